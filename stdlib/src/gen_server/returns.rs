//! What callbacks return: OTP's tuples as enums.

use std::fmt;
use std::time::Duration;

use otp_vm::ExitReason;

use super::GenServer;

/// What the server does next, when it goes on.
#[derive(Default)]
pub enum Action<S: GenServer> {
    /// Waits for the next message.
    #[default]
    Wait,
    /// Waits; if no message came within the time, `handle_info` gets the atom `timeout`, which
    /// [`Info`](GenServer::Info) must have a variant for, or nothing happens.
    Timeout(Duration),
    /// Waits for the next message in as little memory as there can be: the process's heap is collected, and shrunk to
    /// what it keeps ([`Context::hibernate`](otp_vm::Context::hibernate)). For a server that expects none for long: it
    /// costs some microseconds, and more where there is much on the heap.
    Hibernate,
    /// Runs `handle_continue` before any message.
    Continue(S::Continue),
}

/// What [`init`](GenServer::init) returns.
pub enum Init<S: GenServer> {
    /// `{ok, State}`, `{ok, State, Action}`.
    Ok(S, Action<S>),
    /// `ignore`: the process ends with `normal`, and the start gives
    /// [`StartError::Ignore`](crate::StartError::Ignore).
    Ignore,
    /// `{stop, Reason}`: the process exits with the reason. A parent that started it linked and
    /// does not trap exits dies with it, as in OTP.
    Stop(ExitReason),
    /// `{error, Reason}`: the start gives the reason as an error, but the process ends with
    /// `normal`, so a linked parent lives on.
    Error(ExitReason),
}

/// What [`handle_call`](GenServer::handle_call) returns; `T` is what this request is answered with, where each has a
/// type of its own (see the attribute [`gen_server`](macro@crate::gen_server)).
pub enum Reply<S: GenServer, T = <S as GenServer>::Reply> {
    /// `{reply, Reply, State}`, `{reply, Reply, State, Action}`.
    Reply(T, Action<S>),
    /// `{noreply, State}`, `{noreply, State, Action}`: the reply comes later, by
    /// [`From::reply`](super::From::reply).
    NoReply(Action<S>),
    /// `{stop, Reason, State}`, `{stop, Reason, Reply, State}`.
    Stop(ExitReason, Option<T>),
}

/// What the callbacks for messages without a reply return.
pub enum NoReply<S: GenServer> {
    /// `{noreply, State}`, `{noreply, State, Action}`.
    NoReply(Action<S>),
    /// `{stop, Reason, State}`.
    Stop(ExitReason),
}

impl<S: GenServer> Init<S> {
    /// `{ok, State}`.
    pub fn ok(state: S) -> Self {
        Self::Ok(state, Action::Wait)
    }

    /// `ignore`.
    pub fn ignore() -> Self {
        Self::Ignore
    }

    /// `{stop, Reason}`.
    pub fn stop(reason: impl Into<ExitReason>) -> Self {
        Self::Stop(reason.into())
    }

    /// `{error, Reason}`.
    pub fn error(reason: impl Into<ExitReason>) -> Self {
        Self::Error(reason.into())
    }
}

impl<S: GenServer, T> Reply<S, T> {
    /// `{reply, Value, State}`.
    pub fn new(value: T) -> Self {
        Self::Reply(value, Action::Wait)
    }

    /// `{noreply, State}`: somebody replies later.
    pub fn later() -> Self {
        Self::NoReply(Action::Wait)
    }

    /// `{stop, Reason, State}`: the caller gets the reason as the error of its call.
    pub fn stop(reason: impl Into<ExitReason>) -> Self {
        Self::Stop(reason.into(), None)
    }

    /// `{stop, Reason, Value, State}`: the reply is sent after `terminate`.
    pub fn stop_with(reason: impl Into<ExitReason>, value: T) -> Self {
        Self::Stop(reason.into(), Some(value))
    }

    /// The same with another value in place of this one.
    pub fn map<U>(self, make: impl FnOnce(T) -> U) -> Reply<S, U> {
        match self {
            Self::Reply(value, action) => Reply::Reply(make(value), action),
            Self::NoReply(action) => Reply::NoReply(action),
            Self::Stop(reason, value) => Reply::Stop(reason, value.map(make)),
        }
    }
}

impl<S: GenServer> NoReply<S> {
    /// `{noreply, State}`.
    pub fn new() -> Self {
        Self::NoReply(Action::Wait)
    }

    /// `{stop, Reason, State}`.
    pub fn stop(reason: impl Into<ExitReason>) -> Self {
        Self::Stop(reason.into())
    }
}

impl<S: GenServer> Default for NoReply<S> {
    fn default() -> Self {
        Self::new()
    }
}

/// The same three builders for each return type that can go on.
macro_rules! actions {
    ($type:ident $(<$value:ident>)?, $self:ident, $action:ident, $body:expr) => {
        impl<S: GenServer $(, $value)?> $type<S $(, $value)?> {
            /// Sends `timeout` to `handle_info` if no message came within `after`. No effect on a
            /// value that ends the server.
            pub fn timeout(self, after: Duration) -> Self {
                self.action(Action::Timeout(after))
            }

            /// Runs `handle_continue` before any message. No effect on a value that ends the server.
            pub fn and_continue(self, next: S::Continue) -> Self {
                self.action(Action::Continue(next))
            }

            /// Hibernates until the next message: see [`Action::Hibernate`].
            pub fn hibernate(self) -> Self {
                self.action(Action::Hibernate)
            }

            fn action($self, $action: Action<S>) -> Self {
                $body
            }
        }
    };
}

actions!(
    Init,
    self,
    action,
    match self {
        Self::Ok(state, _) => Self::Ok(state, action),
        other => other,
    }
);
actions!(
    Reply<T>,
    self,
    action,
    match self {
        Self::Reply(value, _) => Self::Reply(value, action),
        Self::NoReply(_) => Self::NoReply(action),
        stop => stop,
    }
);
actions!(
    NoReply,
    self,
    action,
    match self {
        Self::NoReply(_) => Self::NoReply(action),
        stop => stop,
    }
);

// States and replies need no `Debug`: only what the VM knows is printed.

impl<S: GenServer> fmt::Debug for Action<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Wait => formatter.write_str("Wait"),
            Self::Timeout(after) => formatter.debug_tuple("Timeout").field(after).finish(),
            Self::Hibernate => formatter.write_str("Hibernate"),
            Self::Continue(_) => formatter.write_str("Continue"),
        }
    }
}

impl<S: GenServer> fmt::Debug for Init<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(..) => formatter.debug_tuple("Ok").finish_non_exhaustive(),
            Self::Ignore => formatter.write_str("Ignore"),
            Self::Stop(reason) => formatter.debug_tuple("Stop").field(reason).finish(),
            Self::Error(reason) => formatter.debug_tuple("Error").field(reason).finish(),
        }
    }
}

impl<S: GenServer, T> fmt::Debug for Reply<S, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Reply(..) => formatter.debug_tuple("Reply").finish_non_exhaustive(),
            Self::NoReply(_) => formatter.debug_tuple("NoReply").finish_non_exhaustive(),
            Self::Stop(reason, _) => formatter.debug_tuple("Stop").field(reason).finish(),
        }
    }
}

impl<S: GenServer> fmt::Debug for NoReply<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoReply(_) => formatter.debug_tuple("NoReply").finish_non_exhaustive(),
            Self::Stop(reason) => formatter.debug_tuple("Stop").field(reason).finish(),
        }
    }
}
