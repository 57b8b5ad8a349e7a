//! The specifications that a controller knows, and those that are loaded.

use std::sync::Arc;

use otp_vm::Atom;

use super::env::AppInfo;
use super::errors::ApplicationError;
use super::spec::ApplicationSpec;

/// Few: in lists, newest first.
#[derive(Default)]
pub(super) struct Specs {
    /// Those that can be loaded by name: OTP's files on the code path.
    known: Vec<ApplicationSpec>,
    loaded: Vec<Arc<ApplicationSpec>>,
}

/// What OTP's own applications are here: libraries that are always there, so that others may depend on them.
pub(super) fn builtin() -> [ApplicationSpec; 2] {
    let vsn = env!("CARGO_PKG_VERSION");
    [
        ApplicationSpec::new("kernel")
            .description("The VM")
            .vsn(vsn),
        ApplicationSpec::new("stdlib")
            .description("The behaviours")
            .vsn(vsn)
            .applications(["kernel"]),
    ]
}

impl Specs {
    /// Makes a specification known, in place of the one that had the name.
    pub(super) fn define(&mut self, spec: ApplicationSpec) {
        self.known.retain(|known| known.name != spec.name);
        self.known.insert(0, spec);
    }

    pub(super) fn known(&self, app: Atom) -> Result<ApplicationSpec, ApplicationError> {
        let known = self.known.iter().find(|spec| spec.name == app);
        known.cloned().ok_or(ApplicationError::NoSuchFile(app))
    }

    pub(super) fn load(&mut self, spec: ApplicationSpec) {
        let spec = Arc::new(spec);
        match self
            .loaded
            .iter_mut()
            .find(|loaded| loaded.name == spec.name)
        {
            Some(loaded) => *loaded = spec,
            None => self.loaded.insert(0, spec),
        }
    }

    pub(super) fn unload(&mut self, app: Atom) -> Option<Arc<ApplicationSpec>> {
        let at = self.loaded.iter().position(|spec| spec.name == app)?;
        Some(self.loaded.remove(at))
    }

    pub(super) fn loaded(&self, app: Atom) -> Option<Arc<ApplicationSpec>> {
        self.loaded.iter().find(|spec| spec.name == app).cloned()
    }

    /// Those that an application includes, near and far.
    pub(super) fn included(&self, spec: &ApplicationSpec) -> Vec<Arc<ApplicationSpec>> {
        let mut included: Vec<Arc<ApplicationSpec>> = Vec::new();
        let mut names = spec.included.clone();
        while let Some(name) = names.pop() {
            let is_new = included.iter().all(|spec| spec.name != name);
            if let Some(spec) = self.loaded(name).filter(|_| is_new) {
                names.extend(&spec.included);
                included.push(spec);
            }
        }
        included
    }

    pub(super) fn info(&self, app: Atom) -> Option<AppInfo> {
        self.loaded(app).as_deref().map(info)
    }

    pub(super) fn infos(&self) -> Vec<AppInfo> {
        self.loaded.iter().map(|spec| info(spec)).collect()
    }
}

fn info(spec: &ApplicationSpec) -> AppInfo {
    (spec.name, spec.description.clone(), spec.vsn.clone())
}
