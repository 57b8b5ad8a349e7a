//! Environments and their changes, in the table that everybody reads.

use otp_vm::{Atom, Context, ExitReason, OwnedTerm, Pid};

use super::Controller;
use crate::application::callback::{Change, atom};
use crate::application::config::{Config, Env, KERNEL};
use crate::application::env::{Row, get_all_env, get_env};
use crate::application::errors::ApplicationError;
use crate::application::spec::ApplicationSpec;

impl Controller {
    /// Changes an environment, which others see before or after, never between.
    pub(super) fn change_env(&self, app: Atom, cx: &Context, change: impl FnOnce(&mut Env)) {
        let mut env = get_all_env(cx, app.as_str());
        change(&mut env);
        self.insert(&Row::Env(app), &env, cx);
    }

    pub(super) fn change_application_data(
        &mut self,
        specs: Vec<ApplicationSpec>,
        config: Config,
        cx: &Context,
    ) -> Result<(), ApplicationError> {
        for spec in &specs {
            spec.check()?;
        }
        self.config = config;
        for spec in specs {
            if self.specs.loaded(spec.name).is_some() {
                let env = self.env_of(&spec);
                self.change_env(spec.name, cx, |now| *now = env);
                self.insert(&Row::Loaded(spec.name), &spec.keys(), cx);
                self.specs.load(spec);
            }
        }
        self.list_loaded(cx);
        Ok(())
    }

    /// Tells all that run what has changed. Gives what they have against it.
    pub(super) async fn config_change(&self, before: &Config, cx: &mut Context) -> Vec<ExitReason> {
        let mut errors = Vec::new();
        for app in self.running.iter().map(|running| running.app) {
            let now = get_all_env(cx, app.as_str());
            let Some(change) = difference(&now, before.env(app)) else {
                continue;
            };
            let callbacks = self
                .specs
                .loaded(app)
                .and_then(|spec| spec.callbacks.clone());
            let told = match callbacks {
                Some(callbacks) => callbacks.config_change(change, cx).await,
                None => Err(ExitReason::new(&(atom("module_not_defined"), app))),
            };
            errors.extend(told.err());
        }
        errors.reverse();
        errors
    }

    pub(super) async fn call_shutdown_func(&self, reason: &ExitReason, cx: &mut Context) {
        let Ok(Some((module, function))) = get_env::<(Atom, Atom)>(cx, KERNEL, "shutdown_func")
        else {
            return;
        };
        let arguments = (reason.clone(),);
        let applied = Box::pin(async move {
            let (module, function) = (module.as_str(), function.as_str());
            cx.apply::<_, OwnedTerm>(module, function, &arguments).await
        });
        match crate::unwind::Caught(applied).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::error!(event = "shutdown_func", %error, "kernel.shutdown_func failed")
            }
            Err(reason) => {
                tracing::error!(event = "shutdown_func", %reason, "kernel.shutdown_func failed")
            }
        }
    }

    pub(super) fn insert<T: serde::Serialize>(&self, row: &Row, value: &T, cx: &Context) {
        if let Err(error) = self.table.insert(cx, row, value) {
            tracing::error!(event = "ac_tab", %error, "the table of applications was not written");
        }
    }

    pub(super) fn delete(&self, row: &Row, cx: &Context) {
        // A row that is not there is as good as gone.
        let _ = self.table.delete(cx, row);
    }

    pub(super) fn forget_master(&self, app: Atom, master: Pid, cx: &Context) {
        self.delete(&Row::ApplicationMaster(app), cx);
        self.delete(&Row::Master(master), cx);
    }
}

/// What changed between two environments; nothing if nothing did.
fn difference(now: &Env, before: &[(Atom, crate::supervisor::Given)]) -> Option<Change> {
    let mut change = Change::default();
    for (key, value) in now {
        match before.iter().find(|(name, _)| name == key) {
            None => change.new.push((*key, value.clone())),
            Some((_, old)) if old != value => change.changed.push((*key, value.clone())),
            Some(_) => {}
        }
    }
    let gone = before.iter().map(|(key, _)| *key);
    let gone = gone.filter(|key| now.iter().all(|(name, _)| name != key));
    change.removed.extend(gone);
    (change != Change::default()).then_some(change)
}
