//! Where a process comes from: what it began with, and who stands above it.
//!
//! `proc_lib` notes it in the first slice of what it starts, and others look at it: reports name the initial call, and
//! a crash report has the ancestors of its neighbours as well. OTP keeps both in the process dictionary, under
//! `$initial_call` and `$ancestors`, and Elixir the callers under `$callers`; the dictionary shows them here, too.

use std::fmt;
use std::iter;
use std::mem;
use std::sync::Arc;

use otp_heap::{Atom, Pid};
use serde::{Serialize, Serializer};

use crate::context::Context;
use crate::envelope::HOST;
use crate::vm::Vm;

/// A function of a process module by name, `module:function/arity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Mfa {
    /// The module.
    pub module: Atom,
    /// The function.
    pub function: Atom,
    /// Its number of arguments.
    pub arity: u8,
}

impl fmt::Display for Mfa {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{}:{}/{}",
            self.module, self.function, self.arity
        )
    }
}

/// `{Module, Function, Arity}`.
impl Serialize for Mfa {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (self.module, self.function, self.arity).serialize(serializer)
    }
}

/// What a process began with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum InitialCall {
    /// A function of a process module.
    Mfa(Mfa),
    /// A Rust function or closure, by the name of its type: the module, and the function that a closure stands in.
    Fun(&'static str),
}

impl InitialCall {
    /// The function of a module, if it is one.
    pub fn mfa(self) -> Option<Mfa> {
        match self {
            Self::Mfa(mfa) => Some(mfa),
            Self::Fun(_) => None,
        }
    }
}

impl From<Mfa> for InitialCall {
    fn from(mfa: Mfa) -> Self {
        Self::Mfa(mfa)
    }
}

impl fmt::Display for InitialCall {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mfa(mfa) => fmt::Display::fmt(mfa, formatter),
            Self::Fun(name) => formatter.write_str(name),
        }
    }
}

/// `{Module, Function, Arity}`, or the name of the type as a text.
impl Serialize for InitialCall {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Mfa(mfa) => mfa.serialize(serializer),
            Self::Fun(name) => name.serialize(serializer),
        }
    }
}

/// One of those above a process: its name if it had one when it started the next, else its pid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ancestor {
    /// It had no name.
    Pid(Pid),
    /// It was registered.
    Name(Atom),
}

impl fmt::Display for Ancestor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pid(pid) => fmt::Display::fmt(pid, formatter),
            Self::Name(name) => fmt::Display::fmt(name, formatter),
        }
    }
}

impl Serialize for Ancestor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Pid(pid) => pid.serialize(serializer),
            Self::Name(name) => name.serialize(serializer),
        }
    }
}

/// Most ancestors, and most callers, that are kept of a process: one whose maker has as many drops the oldest. OTP has
/// no limit, and a chain of processes that start each other carries them all. Chosen by feel: no tree is as high.
pub const MAX_ANCESTORS: usize = 64;

/// Where a process comes from, as it noted itself: see [`Context::set_origin`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// What it began with.
    pub initial_call: Option<InitialCall>,
    /// Those above it, nearest first; None for a process that was not started by `proc_lib`. `$ancestors`.
    pub ancestors: Option<Vec<Ancestor>>,
    /// On whose behalf it works, nearest first. Elixir's `$callers`.
    pub callers: Vec<Pid>,
}

impl Vm {
    /// Where a process comes from, if it noted that. `proc_lib:initial_call/1`.
    pub fn origin(&self, pid: Pid) -> Option<Arc<Origin>> {
        self.core()
            .with_state(pid, |state| state.origin.clone())
            .flatten()
    }

    /// What a process began with: as it noted, else the type of its first function. `None` for one that is gone.
    pub fn initial_call(&self, pid: Pid) -> Option<InitialCall> {
        let look = |state: &mut crate::process::State| {
            let noted = state.origin.as_ref().and_then(|origin| origin.initial_call);
            noted.or_else(|| state.initial_call.map(|name| InitialCall::Fun(name())))
        };
        self.core().with_state(pid, look).flatten()
    }
}

impl Context {
    /// Where this process comes from, if it noted that.
    pub fn origin(&self) -> Option<Arc<Origin>> {
        self.vm().origin(self.pid())
    }

    /// Notes where this process comes from; None for nothing. Of more than [`MAX_ANCESTORS`] the furthest are left out.
    ///
    /// `proc_lib` does it for what it starts. A process that takes the note away is reported all the same, without
    /// initial call and ancestors, as in OTP one that erases its dictionary.
    pub fn set_origin(&self, origin: Option<Arc<Origin>>) {
        let origin = origin.map(Origin::within_limits);
        let before = self
            .core()
            .with_state(self.pid(), |state| mem::replace(&mut state.origin, origin));
        drop(before);
    }

    /// Where a process comes from that this one starts: this one, and those above it, are its ancestors. All that it
    /// starts share it.
    pub fn child_origin(&self) -> Arc<Origin> {
        let known = self.core().with_state(self.pid(), |state| {
            let me = state
                .name()
                .map_or(Ancestor::Pid(self.pid()), Ancestor::Name);
            let shared = state
                .rare
                .as_ref()
                .and_then(|rare| rare.child_origin.as_ref());
            if let Some(shared) = shared.filter(|shared| shared.ancestors().first() == Some(&me)) {
                return Arc::clone(shared);
            }
            let above = state
                .origin
                .as_ref()
                .map_or(&[][..], |origin| origin.ancestors());
            let origin = Origin::below(me, above);
            state.rare().child_origin = Some(Arc::clone(&origin));
            origin
        });
        // Of one that ended, only itself.
        known.unwrap_or_else(|| Origin::below(Ancestor::Pid(self.pid()), &[]))
    }

    /// Notes the initial call alone.
    pub(crate) fn set_initial_call(&self, mfa: Mfa) {
        let mut origin = self.origin().map(Arc::unwrap_or_clone).unwrap_or_default();
        origin.initial_call = Some(mfa.into());
        self.set_origin(Some(Arc::new(origin)));
    }
}

impl Origin {
    /// Those above the process, nearest first: none if it was not started by `proc_lib`.
    pub fn ancestors(&self) -> &[Ancestor] {
        self.ancestors.as_deref().unwrap_or_default()
    }

    fn below(parent: Ancestor, above: &[Ancestor]) -> Arc<Self> {
        let ancestors = iter::once(parent).chain(above.iter().copied());
        Arc::new(Self {
            ancestors: Some(ancestors.take(MAX_ANCESTORS).collect()),
            ..Self::default()
        })
    }

    fn within_limits(mut self: Arc<Self>) -> Arc<Self> {
        if self.ancestors().len() > MAX_ANCESTORS || self.callers.len() > MAX_ANCESTORS {
            let origin = Arc::make_mut(&mut self);
            if let Some(ancestors) = &mut origin.ancestors {
                ancestors.truncate(MAX_ANCESTORS);
            }
            origin.callers.truncate(MAX_ANCESTORS);
        }
        self
    }
}

/// Who spawned a process, or leads its group. A type of its own, so that none is the host in 8 bytes, where an option
/// takes 16.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OrHost(pub(crate) Pid);

impl Default for OrHost {
    fn default() -> Self {
        Self(HOST)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use otp_heap::atoms;

    use super::*;

    #[test]
    fn a_function_prints_as_in_erlang() {
        let mfa = Mfa {
            module: Atom::new("calc").unwrap(),
            function: Atom::new("add").unwrap(),
            arity: 2,
        };
        assert_eq!(InitialCall::from(mfa).to_string(), "calc:add/2");
        assert_eq!(otp_heap::to_term(&mfa).unwrap().to_string(), "{calc,add,2}");
        assert_eq!(Ancestor::Name(atoms::OK).to_string(), "ok");
    }

    #[test]
    fn the_furthest_ancestors_are_left_out() {
        let vm = Vm::builder().schedulers(1).build().unwrap();
        let run = vm.run(|cx| async move {
            assert_eq!(cx.origin(), None);
            let ancestors = vec![Ancestor::Pid(cx.pid()); MAX_ANCESTORS + 1];
            let origin = Origin {
                ancestors: Some(ancestors),
                callers: vec![cx.pid(); MAX_ANCESTORS + 1],
                ..Origin::default()
            };
            cx.set_origin(Some(Arc::new(origin)));
            let kept = cx.origin().unwrap();
            assert_eq!(kept.ancestors.as_ref().unwrap().len(), MAX_ANCESTORS);
            assert_eq!(kept.callers.len(), MAX_ANCESTORS);
            let below = cx.child_origin();
            assert_eq!(below.ancestors().len(), MAX_ANCESTORS);
            assert!(Arc::ptr_eq(&below, &cx.child_origin()), "children share it");
            cx.register("above", cx.pid()).unwrap();
            let name = Ancestor::Name(Atom::new("above").unwrap());
            assert_eq!(cx.child_origin().ancestors()[0], name);
            cx.set_origin(None);
            assert_eq!(cx.origin(), None);
        });
        run.wait().unwrap();
    }
}
