//! Registered names.

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use otp_heap::{Atom, Pid, atoms};
use otp_scheduler::lock::RwLock;

use crate::core::Core;
use crate::trace::Event;

/// Names to pids. A name is gone before anybody is told that its process ended.
#[derive(Debug, Default)]
pub(crate) struct Names {
    by_name: RwLock<HashMap<Atom, Pid, FixedState>>,
}

/// Why a name could not be registered. `badarg` in OTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// Another process has the name.
    #[error("the name is taken by {0}: unregister it there, or choose another")]
    Taken(Pid),
    /// The process has a name already; a process has one at most.
    #[error("the process is registered as '{0}' already: unregister that name first")]
    Named(Atom),
    /// The process is not alive.
    #[error("no such process: it ended before it could be registered")]
    NoProcess,
    /// `undefined` is what a look-up answers for no name.
    #[error("the name 'undefined' is reserved: choose another")]
    Reserved,
    /// The text is no atom: too long, or the table of atoms is full.
    #[error("the name can't be made an atom: {0}")]
    Atom(#[from] otp_heap::AtomError),
}

impl Names {
    pub(crate) fn whereis(&self, name: Atom) -> Option<Pid> {
        self.by_name.read().get(&name).copied()
    }

    pub(crate) fn register(&self, core: &Core, name: Atom, pid: Pid) -> Result<(), RegisterError> {
        if name == atoms::UNDEFINED {
            return Err(RegisterError::Reserved);
        }
        core.with_state(pid, |state| {
            // The process's lock first, then the table's: a process that ends marks itself under
            // its lock, and so either sees the name here or is seen as exiting.
            let mut by_name = self.by_name.write();
            if let Some(&holder) = by_name.get(&name) {
                return Err(RegisterError::Taken(holder));
            }
            if let Some(present) = state.name() {
                return Err(RegisterError::Named(present));
            }
            by_name.insert(name, pid);
            drop(by_name);
            state.rare().name = Some(name);
            state.trace(core, pid, Event::Register(name));
            Ok(())
        })
        .unwrap_or(Err(RegisterError::NoProcess))
    }

    /// Takes a name away, from a process that is ending as well; gives who had it.
    pub(crate) fn unregister(&self, core: &Core, name: Atom) -> Option<Pid> {
        let pid = self.whereis(name)?;
        core.with_process(pid, |process| {
            let mut state = process.lock();
            // Of one whose end has come to its name this is done already; what is left is the entry here.
            if process.is(pid) && state.name() == Some(name) {
                state.rare().name = None;
            }
            if !self.forget(name, pid) {
                return None;
            }
            if process.is(pid) {
                state.trace(core, pid, Event::Unregister(name));
            }
            Some(pid)
        })
        .flatten()
    }

    /// Removes the entry of a name, if it is this process's.
    pub(crate) fn forget(&self, name: Atom, pid: Pid) -> bool {
        let mut by_name = self.by_name.write();
        let is_its = by_name.get(&name) == Some(&pid);
        if is_its {
            by_name.remove(&name);
        }
        is_its
    }

    pub(crate) fn all(&self) -> Vec<(Atom, Pid)> {
        self.by_name
            .read()
            .iter()
            .map(|(&name, &pid)| (name, pid))
            .collect()
    }
}
