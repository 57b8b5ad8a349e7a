//! What callbacks get and return: OTP's tuples as enums.

use std::fmt;

use otp_vm::{ExitReason, OwnedTerm, Term, from_term, to_term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Install;

/// What [`init`](super::EventHandler::init) returns.
pub enum Init<H> {
    /// `{ok, State}`.
    Ok(H),
    /// `{ok, State, hibernate}`: the manager hibernates until its next message.
    Hibernate(H),
    /// `{error, Reason}`: no handler is added, and who adds it gets the reason.
    Error(ExitReason),
}

impl<H> Init<H> {
    /// `{ok, State}`.
    pub fn ok(state: H) -> Self {
        Self::Ok(state)
    }

    /// `{error, Reason}`.
    pub fn error(reason: impl Into<ExitReason>) -> Self {
        Self::Error(reason.into())
    }

    /// The manager hibernates until its next message. No effect on an error.
    pub fn hibernate(self) -> Self {
        match self {
            Self::Ok(state) => Self::Hibernate(state),
            other => other,
        }
    }

    /// The same of another type.
    pub(super) fn map<T>(self, make: impl FnOnce(H) -> T) -> Init<T> {
        match self {
            Self::Ok(state) => Init::Ok(make(state)),
            Self::Hibernate(state) => Init::Hibernate(make(state)),
            Self::Error(reason) => Init::Error(reason),
        }
    }
}

/// What a handler of events `E` does next: what [`handle_event`](super::EventHandler::handle_event) and
/// [`handle_info`](super::EventHandler::handle_info) return.
pub enum Next<E> {
    /// `{ok, State}`: it stays.
    Ok,
    /// `{ok, State, hibernate}`: it stays, and the manager hibernates when all handlers had the event, until its next
    /// message.
    Hibernate,
    /// `{swap_handler, Args1, State, Handler2, Args2}`: another one takes its place. `terminate` gets the arguments,
    /// and what it gives goes to [`init_swapped`](super::EventHandler::init_swapped) of the other.
    Swap(OwnedTerm, Install<E>),
    /// `remove_handler`.
    Remove,
    /// Anything else, to OTP: the handler has failed. It is taken out, which is reported; the others go on.
    Error(ExitReason),
}

impl<E> Next<E> {
    /// `{ok, State}`.
    pub fn ok() -> Self {
        Self::Ok
    }

    /// `{ok, State, hibernate}`.
    pub fn hibernate() -> Self {
        Self::Hibernate
    }

    /// `remove_handler`.
    pub fn remove() -> Self {
        Self::Remove
    }

    /// `{swap_handler, Args1, State, Handler2, Args2}`. Arguments that can't be a term are a failure of the handler.
    pub fn swap<A: Serialize + ?Sized>(args: &A, with: Install<E>) -> Self {
        match to_term(args) {
            Ok(args) => Self::Swap(args, with),
            Err(error) => Self::Error(ExitReason::from(error.to_string())),
        }
    }

    /// The handler has failed.
    pub fn error(reason: impl Into<ExitReason>) -> Self {
        Self::Error(reason.into())
    }
}

/// What [`handle_call`](super::EventHandler::handle_call) returns.
pub enum Answer<R, E> {
    /// A reply, and what the handler does next. If that is an error, the caller gets the error in place of the reply.
    Reply(R, Next<E>),
    /// The handler has failed: the caller gets the reason.
    Error(ExitReason),
}

impl<R, E> Answer<R, E> {
    /// `{ok, Reply, State}`.
    pub fn new(reply: R) -> Self {
        Self::Reply(reply, Next::Ok)
    }

    /// `{ok, Reply, State, hibernate}`.
    pub fn hibernate(reply: R) -> Self {
        Self::Reply(reply, Next::Hibernate)
    }

    /// `{remove_handler, Reply}`.
    pub fn remove(reply: R) -> Self {
        Self::Reply(reply, Next::Remove)
    }

    /// `{swap_handler, Reply, Args1, State, Handler2, Args2}`: see [`Next::swap`].
    pub fn swap<A: Serialize + ?Sized>(reply: R, args: &A, with: Install<E>) -> Self {
        Self::Reply(reply, Next::swap(args, with))
    }

    /// The handler has failed: it is taken out, and the caller gets the reason.
    pub fn error(reason: impl Into<ExitReason>) -> Self {
        Self::Error(reason.into())
    }
}

/// Why a handler ends: what [`terminate`](super::EventHandler::terminate) gets.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Terminate<'a> {
    /// It is deleted or swapped: the arguments are of who does that, a term of any shape.
    Args(Term<'a>),
    /// It returned that it is to be removed.
    RemoveHandler,
    /// `{stop, Reason}`: the process that supervises it has ended.
    StopReason(ExitReason),
    /// The manager ends.
    Stop,
    /// `{error, Reason}`: it returned an error.
    Error(ExitReason),
    /// `{error, {'EXIT', Reason}}`: it panicked, or called [`Context::exit`](otp_vm::Context::exit).
    Exit(ExitReason),
}

impl Terminate<'_> {
    /// The arguments, if they are of this type.
    pub fn args<A: DeserializeOwned>(&self) -> Option<A> {
        match self {
            Self::Args(term) => from_term(*term).ok(),
            _ => None,
        }
    }
}

// States, replies and events need no `Debug`: only what the VM knows is printed.

impl<H> fmt::Debug for Init<H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(_) => formatter.write_str("Ok"),
            Self::Hibernate(_) => formatter.write_str("Hibernate"),
            Self::Error(reason) => formatter.debug_tuple("Error").field(reason).finish(),
        }
    }
}

impl<E> fmt::Debug for Next<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok => formatter.write_str("Ok"),
            Self::Hibernate => formatter.write_str("Hibernate"),
            Self::Swap(args, with) => formatter
                .debug_tuple("Swap")
                .field(args)
                .field(with)
                .finish(),
            Self::Remove => formatter.write_str("Remove"),
            Self::Error(reason) => formatter.debug_tuple("Error").field(reason).finish(),
        }
    }
}

impl<R, E> fmt::Debug for Answer<R, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(_, next) => formatter.debug_tuple("Reply").field(next).finish(),
            Self::Error(reason) => formatter.debug_tuple("Error").field(reason).finish(),
        }
    }
}
