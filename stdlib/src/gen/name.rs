//! The name that a process takes when it starts.

use otp_vm::{Atom, AtomError, Context, EncodeError, ExitReason, OwnedTerm, RegisterError};
use serde::Serialize;

use super::via::{NameError, Via, ViaName};
use crate::proc_lib::Refusal;

/// A name for a new process: `{local, Name}` or `{via, Module, Name}`. Names of a whole cluster (`{global, Name}`) come
/// with distribution.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Name {
    /// A name of the VM's.
    Local(Atom),
    /// A name that something else keeps.
    Via(ViaName),
}

impl Name {
    /// `{local, Name}`.
    ///
    /// # Errors
    /// When the text can't be an atom: longer than 255 characters, or the table of atoms is full.
    pub fn local(name: &str) -> Result<Self, AtomError> {
        Atom::new(name).map(Self::Local)
    }

    /// `{via, Module, Name}`.
    ///
    /// # Errors
    /// When the name can't be a term.
    pub fn via<V: Via>(via: &V, name: &V::Name) -> Result<Self, EncodeError> {
        ViaName::new(via, name).map(Self::Via)
    }

    /// The name alone, as reports have it.
    pub(crate) fn to_term(&self) -> OwnedTerm {
        match self {
            Self::Local(name) => OwnedTerm::from(*name),
            Self::Via(name) => {
                let term = name.name().try_clone();
                term.unwrap_or_else(|_| OwnedTerm::from(name.module()))
            }
        }
    }

    /// Takes the name for the calling process.
    pub(crate) async fn register(&self, cx: &mut Context) -> Result<(), Refusal> {
        match self {
            Self::Local(name) => match cx.register(name.as_str(), cx.pid()) {
                Ok(()) => Ok(()),
                // Not by another look at the name: its holder may be gone by now.
                Err(RegisterError::Taken(holder)) => Err(Refusal::AlreadyStarted(holder)),
                Err(error) => Err(Refusal::BadName(error.to_string())),
            },
            Self::Via(name) => match name.register(cx).await {
                Ok(()) => Ok(()),
                Err(NameError::Taken(holder)) => Err(Refusal::AlreadyStarted(holder)),
                Err(NameError::Refused(text)) => Err(Refusal::BadName(text)),
            },
        }
    }

    /// Gives the name back that the calling process took.
    pub(crate) fn unregister(&self, cx: &Context) {
        match self {
            Self::Local(name) => {
                if cx.whereis(name.as_str()) == Some(cx.pid()) {
                    cx.unregister(name.as_str());
                }
            }
            Self::Via(name) => name.unregister(cx),
        }
    }

    /// Whether the calling process has the name, as one that says so must.
    ///
    /// # Errors
    /// `process_not_registered`, or `{process_not_registered_via, Module}`.
    pub(crate) fn check(&self, cx: &Context) -> Result<(), ExitReason> {
        let (holder, reason) = match self {
            Self::Local(name) => {
                let reason = NotRegistered::ProcessNotRegistered;
                (cx.whereis(name.as_str()), reason)
            }
            Self::Via(name) => {
                let reason = NotRegistered::ProcessNotRegisteredVia(name.module());
                (name.whereis(cx), reason)
            }
        };
        match holder == Some(cx.pid()) {
            true => Ok(()),
            false => Err(ExitReason::new(&reason)),
        }
    }
}

/// OTP's reasons.
#[derive(Serialize)]
enum NotRegistered {
    ProcessNotRegistered,
    ProcessNotRegisteredVia(Atom),
}
