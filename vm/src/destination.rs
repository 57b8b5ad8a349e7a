//! Where messages go.

use otp_heap::{Atom, EncodeError, Pid};

use crate::core::Core;

/// A process by pid or by registered name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Destination {
    /// This incarnation and no other.
    Pid(Pid),
    /// Whoever has the name when it is resolved, at each use.
    Name(Atom),
    /// A text that is no atom, and so nobody's name.
    Nobody,
}

impl Destination {
    /// The name, where it is one.
    #[inline]
    pub(crate) fn name(self) -> Option<Atom> {
        match self {
            Self::Name(name) => Some(name),
            _ => None,
        }
    }
}

impl From<Pid> for Destination {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

impl From<Atom> for Destination {
    fn from(name: Atom) -> Self {
        Self::Name(name)
    }
}

impl From<&str> for Destination {
    /// A text that isn't an atom yet is nobody's name: looking it up doesn't make it one.
    fn from(name: &str) -> Self {
        Atom::existing(name).map_or(Self::Nobody, Self::Name)
    }
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// No process has the name. `badarg` in OTP.
    #[error("no process is registered under that name: start it first, or send to its pid")]
    NoName,
    /// The message could not be serialised.
    #[error("the message could not be encoded: {0}")]
    Encode(#[from] EncodeError),
}

impl Core {
    /// The pid behind a destination, now.
    #[inline]
    pub(crate) fn resolve(&self, destination: Destination) -> Result<Pid, SendError> {
        match destination {
            Destination::Pid(pid) => Ok(pid),
            Destination::Name(name) => self.names.whereis(name).ok_or(SendError::NoName),
            Destination::Nobody => Err(SendError::NoName),
        }
    }
}
