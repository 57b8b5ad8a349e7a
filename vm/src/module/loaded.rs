//! The modules of a VM.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use otp_heap::Atom;
use otp_scheduler::lock::RwLock;

use super::{Function, Module};
use crate::origin::Mfa;
use crate::vm::Vm;

/// Most modules of a VM, unless set. Chosen by feel: OTP itself, with all its applications, has some 2,000.
pub const DEFAULT_MAX_MODULES: usize = 4096;

/// Most modules that an error names. Chosen by feel: three lines of a terminal.
const LISTED_MODULES: usize = 16;

/// Modules by name.
#[derive(Debug)]
pub(crate) struct Modules {
    /// By name as text, so that a list is in order.
    by_name: RwLock<BTreeMap<&'static str, Module>>,
    max: usize,
    /// How many found no room.
    pub(crate) refused: AtomicU64,
}

/// Why a module was not loaded. `system_limit`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// As many are loaded as the VM was built for.
    #[error(
        "{module} is one module more than the limit of {limit}: unload some, or build the VM with `max_modules` higher"
    )]
    Limit {
        /// The module that found no room.
        module: Atom,
        /// The limit in force.
        limit: usize,
    },
}

impl Modules {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            by_name: RwLock::default(),
            max,
            refused: AtomicU64::new(0),
        }
    }

    /// Gives the module before: it is dropped outside of the lock, since what its functions hold is the program's.
    fn load(&self, module: Module) -> Result<Option<Module>, LoadError> {
        let name = module.name();
        let mut by_name = self.by_name.write();
        if by_name.len() >= self.max && !by_name.contains_key(name.as_str()) {
            drop(by_name);
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(LoadError::Limit {
                module: name,
                limit: self.max,
            });
        }
        Ok(by_name.insert(name.as_str(), module))
    }

    pub(crate) fn count(&self) -> usize {
        self.by_name.read().len()
    }

    pub(crate) fn limit(&self) -> usize {
        self.max
    }

    fn get(&self, name: &str) -> Option<Module> {
        self.by_name.read().get(name).cloned()
    }

    /// The function, or what there is instead.
    pub(super) fn find(&self, mfa: Mfa) -> Result<Function, String> {
        match self.get(mfa.module.as_str()) {
            Some(module) => module.function(mfa).ok_or_else(|| module.to_string()),
            None => Err(self.names(mfa.module)),
        }
    }

    fn names(&self, missing: Atom) -> String {
        let by_name = self.by_name.read();
        let mut listed: Vec<&str> = by_name.keys().copied().take(LISTED_MODULES).collect();
        if by_name.len() > LISTED_MODULES {
            listed.push("and others");
        }
        if listed.is_empty() {
            listed.push("none; give `VmBuilder::module` some");
        }
        format!("no module {missing} is loaded, but {}", listed.join(", "))
    }
}

impl Vm {
    /// Loads a module: from now on its functions are called by name. Gives the one that had the name; who runs in that
    /// goes on there. `code:load_binary/3`.
    ///
    /// # Errors
    /// When the VM has as many modules as it was built for.
    pub fn load_module(&self, module: Module) -> Result<Option<Module>, LoadError> {
        self.core().modules.load(module)
    }

    /// Unloads a module, and gives it; who runs in it goes on. `code:delete/1`.
    pub fn unload_module(&self, name: &str) -> Option<Module> {
        let mut by_name = self.core().modules.by_name.write();
        by_name.remove(name)
    }

    /// A module that is loaded. `code:is_loaded/1`.
    pub fn module(&self, name: &str) -> Option<Module> {
        self.core().modules.get(name)
    }

    /// All modules that are loaded, by name. `code:all_loaded/0`.
    pub fn modules(&self) -> Vec<Module> {
        let by_name = self.core().modules.by_name.read();
        by_name.values().cloned().collect()
    }

    /// Whether a module is loaded and exports the function. `erlang:function_exported/3`.
    pub fn function_exported(&self, module: &str, function: &str, arity: usize) -> bool {
        let found = u8::try_from(arity).ok().and_then(|arity| {
            let module = self.module(module)?;
            let function = Atom::existing(function)?;
            let mfa = Mfa {
                module: module.name(),
                function,
                arity,
            };
            module.function(mfa)
        });
        found.is_some()
    }
}
