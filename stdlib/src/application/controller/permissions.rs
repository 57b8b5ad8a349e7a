//! Which applications are permitted to run.

use otp_vm::{Atom, Context, OwnedTerm};

use super::{Caller, Controller, End, IntoOutcome, Outcome};
use crate::application::callback::{atom, given};
use crate::application::config;
use crate::application::config::KERNEL;
use crate::application::env::get_env;
use crate::application::errors::ApplicationError;

impl Controller {
    pub(super) fn permit_application(
        &mut self,
        app: Atom,
        permit: bool,
        from: Caller,
        cx: &mut Context,
    ) -> (Outcome, End) {
        if permit && self.is_running(app) {
            return (Ok(()).outcome(), None);
        }
        if self.specs.loaded(app).is_none() {
            return (Err(ApplicationError::NotLoaded(app)).outcome(), None);
        }
        if !self.is_running(app) {
            self.set_permission(app, permit, cx);
        }
        let waiting = self.unpermitted.iter().position(|(name, _)| *name == app);
        let is_starting = self
            .starting
            .iter()
            .any(|starting| starting.spec.name == app);
        let started = self.started.iter().find(|(name, _)| *name == app).copied();
        match permit {
            true if is_starting => {}
            true => {
                let waiting = waiting.map(|at| self.unpermitted.remove(at));
                if let Some((_, restart)) = waiting.or(started)
                    && let Some(spec) = self.specs.loaded(app)
                {
                    self.forget_started(app);
                    let end = self.begin(spec, restart, from, cx);
                    return (Outcome::Later, end);
                }
            }
            false if self.is_running(app) => {
                self.halt(app, vec![from], cx);
                return (Outcome::Later, None);
            }
            false => {
                if let Some(at) = waiting {
                    self.unpermitted.remove(at);
                }
            }
        }
        (Ok(()).outcome(), None)
    }

    pub(super) fn set_permission(&self, app: Atom, permit: bool, cx: &Context) {
        let mut permissions = permissions(cx);
        permissions.retain(|(name, _)| *name != app);
        permissions.insert(0, (app, permit));
        let value = given(&permissions);
        self.change_env(atom(KERNEL), cx, |env| {
            config::put(env, atom("permissions"), value);
        });
    }
}

pub(super) fn permissions(cx: &Context) -> Vec<(Atom, bool)> {
    match get_env::<OwnedTerm>(cx, KERNEL, "permissions") {
        Ok(Some(value)) => config::permissions(value.root()).unwrap_or_default(),
        _ => Vec::new(),
    }
}
