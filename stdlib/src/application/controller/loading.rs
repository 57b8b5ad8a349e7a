//! What is loaded: the specifications and their environments.

use otp_vm::{Atom, Context, ExitReason, OwnedTerm};

use super::Controller;
use crate::application::config;
use crate::application::config::Env;
use crate::application::env::Row;
use crate::application::errors::ApplicationError;
use crate::application::spec::ApplicationSpec;

impl Controller {
    pub(super) fn load_application(
        &mut self,
        which: &OwnedTerm,
        cx: &Context,
    ) -> Result<(), ApplicationError> {
        let Some(app) = which.root().as_atom() else {
            let spec = ApplicationSpec::from_term(which.root())?;
            return self.load_spec(spec, cx);
        };
        if self.specs.loaded(app).is_some() {
            return Err(ApplicationError::AlreadyLoaded(app));
        }
        let spec = self.specs.known(app)?;
        self.load_spec(spec, cx)
    }

    pub(super) fn load_spec(
        &mut self,
        spec: ApplicationSpec,
        cx: &Context,
    ) -> Result<(), ApplicationError> {
        spec.check()?;
        if self.specs.loaded(spec.name).is_some() {
            return Err(ApplicationError::AlreadyLoaded(spec.name));
        }
        // All that it includes, before any is loaded.
        let mut specs = vec![spec];
        let mut at = 0;
        while at < specs.len() {
            for app in specs[at].included.clone() {
                let is_there = specs.iter().any(|spec| spec.name == app);
                if !is_there && self.specs.loaded(app).is_none() {
                    specs.push(self.specs.known(app)?);
                }
            }
            at += 1;
        }
        for spec in specs {
            if let Err(reason) = self.load(spec, cx) {
                return Err(ApplicationError::Failed(reason));
            }
        }
        Ok(())
    }

    pub(super) fn load(&mut self, spec: ApplicationSpec, cx: &Context) -> Result<(), ExitReason> {
        let app = spec.name;
        let env = self.env_of(&spec);
        // Values that were set before are left, unless the specification or the configuration has others.
        self.change_env(app, cx, |now| {
            for (key, value) in env {
                config::put(now, key, value);
            }
        });
        let written = self.table.insert(cx, &Row::Loaded(app), &spec.keys());
        written.map_err(|error| ExitReason::from(error.to_string()))?;
        self.specs.load(spec);
        self.list_loaded(cx);
        Ok(())
    }

    /// What a specification's environment is, as configured.
    pub(super) fn env_of(&self, spec: &ApplicationSpec) -> Env {
        let mut env = Env::new();
        let layers = [
            &spec.env[..],
            self.config.env(spec.name),
            self.command_line.env(spec.name),
        ];
        for (key, value) in layers.into_iter().flatten() {
            config::put(&mut env, *key, value.clone());
        }
        env
    }

    pub(super) fn unload_application(
        &mut self,
        app: Atom,
        cx: &Context,
    ) -> Result<(), ApplicationError> {
        if self.is_running(app) {
            return Err(ApplicationError::Running(app));
        }
        if self.specs.loaded(app).is_none() {
            return Err(ApplicationError::NotLoaded(app));
        }
        let mut apps = vec![app];
        while let Some(app) = apps.pop() {
            if let Some(spec) = self.specs.unload(app) {
                self.delete(&Row::Env(app), cx);
                self.delete(&Row::Loaded(app), cx);
                apps.extend(&spec.included);
            }
        }
        self.list_loaded(cx);
        Ok(())
    }

    pub(super) fn list_loaded(&self, cx: &Context) {
        self.insert(&Row::LoadedApplications, &self.specs.infos(), cx);
    }
}
