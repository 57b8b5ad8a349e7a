//! Why a handler did not do as asked, and what its supervisor is told of its end.

use std::fmt;

use otp_vm::{
    CallError, DecodeError, ExitReason, Message, OwnedTerm, Pid, Term, from_term, with_term,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::HandlerId;

/// What a manager says about a handler when it can't do as asked. As terms these are OTP's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandlerError {
    /// A call to a handler that is not there: `bad_module`.
    #[error("the manager has no such handler: add it first, or look at which_handlers")]
    BadModule,
    /// One that is not there can't be deleted: `module_not_found`.
    #[error("the manager has no such handler to delete")]
    ModuleNotFound,
    /// It panicked, or called [`Context::exit`](otp_vm::Context::exit): `{'EXIT', Reason}`. A handler that was there is
    /// gone.
    #[error("the handler crashed: {0}")]
    Exit(ExitReason),
    /// It returned an error, the reason; a handler that was there is gone. `{bad_call, Text}`: it has no such request,
    /// and stays. `{bad_reply, Text}`: what it gave can't be sent.
    #[error("the handler failed: {0}")]
    Error(ExitReason),
}

/// Why a request to a manager gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManagerError {
    /// The manager answered, for the handler.
    #[error(transparent)]
    Handler(#[from] HandlerError),
    /// The manager did not answer: as those of a call.
    #[error(transparent)]
    Call(#[from] CallError),
}

impl ManagerError {
    /// The reason with which a process would exit that can't go on.
    pub fn reason(&self) -> ExitReason {
        match self {
            Self::Handler(error) => ExitReason::new(error),
            Self::Call(error) => error.reason(),
        }
    }
}

/// Why a handler is no longer there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Removed {
    /// It was deleted, or it wanted to go: `normal`.
    Normal,
    /// The manager ended, or the supervisor of the handler did: `shutdown`.
    Shutdown,
    /// Another is in its place, with a supervisor or without: `{swapped, Handler, Pid | false}`.
    Swapped(HandlerId, Option<Pid>),
    /// It panicked: `{'EXIT', Reason}`.
    Exit(ExitReason),
    /// It returned an error, the reason. `crash`: it was to take another's place, and its `init` failed.
    Error(ExitReason),
}

impl Removed {
    /// Whether it failed.
    pub fn is_failure(&self) -> bool {
        matches!(self, Self::Exit(_) | Self::Error(_))
    }
}

/// `{gen_event_EXIT, Handler, Reason}`: what the process gets that supervises a handler
/// ([`add_sup_handler`](super::EventManagerRef::add_sup_handler)), when that is removed.
///
/// In a loop of one's own: [`GenEventExit::of`]. A server has a variant for it among its infos:
///
/// ```
/// use otp_stdlib::gen_event::{HandlerId, Removed};
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// enum Info {
///     #[serde(rename = "gen_event_EXIT")]
///     HandlerGone(HandlerId, Removed),
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GenEventExit {
    /// The handler.
    pub handler: HandlerId,
    /// Why it is gone.
    pub reason: Removed,
}

impl GenEventExit {
    /// What a message says, if it is such a one.
    pub fn of(message: &Message) -> Option<Self> {
        let tuple = message.term().as_tuple().filter(|tuple| tuple.len() == 3)?;
        // Told by its tag first: most messages are something else.
        if tuple.get(0)?.as_atom()?.as_str() != "gen_event_EXIT" {
            return None;
        }
        message.decode().ok()
    }
}

/// The terms that have a shape of their own; any other is a reason.
#[derive(Serialize, Deserialize)]
enum Shape {
    BadModule,
    ModuleNotFound,
    #[serde(rename = "EXIT")]
    Exit(ExitReason),
}

#[derive(Serialize, Deserialize)]
enum End {
    Normal,
    Shutdown,
    Swapped(HandlerId, Supervisor),
    #[serde(rename = "EXIT")]
    Exit(ExitReason),
}

/// A pid, or `false`.
struct Supervisor(Option<Pid>);

#[derive(Serialize, Deserialize)]
enum Told {
    #[serde(rename = "gen_event_EXIT")]
    GenEventExit(HandlerId, Removed),
}

fn reason_of(term: Term<'_>) -> Result<ExitReason, otp_vm::CopyError> {
    OwnedTerm::copy_of((), term).map(ExitReason::from)
}

impl Serialize for HandlerError {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::BadModule => Shape::BadModule.serialize(serializer),
            Self::ModuleNotFound => Shape::ModuleNotFound.serialize(serializer),
            Self::Exit(reason) => Shape::Exit(reason.clone()).serialize(serializer),
            Self::Error(reason) => reason.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for HandlerError {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        with_term(deserializer, |term| {
            Ok::<_, otp_vm::CopyError>(match from_term(term) {
                Ok(Shape::BadModule) => Self::BadModule,
                Ok(Shape::ModuleNotFound) => Self::ModuleNotFound,
                Ok(Shape::Exit(reason)) => Self::Exit(reason),
                Err(_) => Self::Error(reason_of(term)?),
            })
        })
    }
}

impl Serialize for Removed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let end = match self {
            Self::Normal => End::Normal,
            Self::Shutdown => End::Shutdown,
            Self::Swapped(with, supervisor) => End::Swapped(with.clone(), Supervisor(*supervisor)),
            Self::Exit(reason) => End::Exit(reason.clone()),
            Self::Error(reason) => return reason.serialize(serializer),
        };
        end.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Removed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        with_term(deserializer, |term| {
            Ok::<_, otp_vm::CopyError>(match from_term(term) {
                Ok(End::Normal) => Self::Normal,
                Ok(End::Shutdown) => Self::Shutdown,
                Ok(End::Swapped(with, Supervisor(supervisor))) => Self::Swapped(with, supervisor),
                Ok(End::Exit(reason)) => Self::Exit(reason),
                Err(_) => Self::Error(reason_of(term)?),
            })
        })
    }
}

impl Serialize for Supervisor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(pid) => pid.serialize(serializer),
            None => false.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Supervisor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        with_term(deserializer, |term| match term.as_pid() {
            Some(pid) => Ok::<_, DecodeError>(Self(Some(pid))),
            None => from_term::<bool>(term).map(|_| Self(None)),
        })
    }
}

impl Serialize for GenEventExit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Told::GenEventExit(self.handler.clone(), self.reason.clone()).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for GenEventExit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Told::GenEventExit(handler, reason) = Told::deserialize(deserializer)?;
        Ok(Self { handler, reason })
    }
}

impl fmt::Display for GenEventExit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = ExitReason::new(&self.reason);
        write!(formatter, "the handler {} is gone: {reason}", self.handler)
    }
}
