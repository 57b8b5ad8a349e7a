//! What a state machine handles: events, and what kinds there are.

use std::fmt;

use otp_vm::{DecodeError, EncodeError, MessageKind, OwnedTerm, ReplyTo, Term, from_term, to_term};
use serde::Serialize;

use super::{From, GenStatem};
use crate::sys;

/// An event, as [`handle_event`](GenStatem::handle_event) gets it: its type, and its content. The first two arguments
/// of OTP's state functions.
pub enum Event<M: GenStatem> {
    /// `{call, From}`: somebody waits for a reply.
    Call(From<M::Reply>, M::Call),
    /// `cast`.
    Cast(M::Cast),
    /// `info`: any other message.
    Info(M::Info),
    /// `internal`: what the machine has told itself, by [`Transition::next_event`](super::Transition::next_event).
    Internal(M::Internal),
    /// `timeout`: no event came in time.
    Timeout(M::Timeout),
    /// `state_timeout`: the state did not change in time.
    StateTimeout(M::Timeout),
    /// `{timeout, Name}`: the time is over, whatever happened.
    GenericTimeout(M::TimeoutName, M::Timeout),
}

/// The type of an event. As a term it is OTP's `event_type()`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum EventType<N> {
    /// `{call, From}`.
    Call(ReplyTo),
    /// `cast`.
    Cast,
    /// `info`.
    Info,
    /// `internal`.
    Internal,
    /// `timeout`, `state_timeout` or `{timeout, Name}`.
    #[serde(untagged)]
    Timeout(TimeoutType<N>),
}

/// The three kinds of timeouts. As a term it is OTP's `timeout_event_type()`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize)]
pub enum TimeoutType<N> {
    /// `timeout`: for the time until the next event.
    Timeout,
    /// `state_timeout`: for the time in a state.
    StateTimeout,
    /// `{timeout, Name}`: for any time; as many at once as there are names.
    #[serde(rename = "timeout")]
    Generic(N),
}

impl<M: GenStatem> Event<M> {
    /// Its type.
    pub fn event_type(&self) -> EventType<M::TimeoutName> {
        match self {
            Self::Call(from, _) => EventType::Call(from.reply_to()),
            Self::Cast(_) => EventType::Cast,
            Self::Info(_) => EventType::Info,
            Self::Internal(_) => EventType::Internal,
            Self::Timeout(_) => EventType::Timeout(TimeoutType::Timeout),
            Self::StateTimeout(_) => EventType::Timeout(TimeoutType::StateTimeout),
            Self::GenericTimeout(name, _) => EventType::Timeout(TimeoutType::Generic(name.clone())),
        }
    }

    /// An event out of its two halves.
    pub(super) fn decode(
        event_type: &EventType<M::TimeoutName>,
        content: Term<'_>,
    ) -> Result<Self, DecodeError> {
        Ok(match event_type {
            EventType::Call(from) => Self::Call(From::from(*from), from_term(content)?),
            EventType::Cast => Self::Cast(from_term(content)?),
            EventType::Info => Self::Info(from_term(content)?),
            EventType::Internal => Self::Internal(from_term(content)?),
            EventType::Timeout(TimeoutType::Timeout) => Self::Timeout(from_term(content)?),
            EventType::Timeout(TimeoutType::StateTimeout) => {
                Self::StateTimeout(from_term(content)?)
            }
            EventType::Timeout(TimeoutType::Generic(name)) => {
                Self::GenericTimeout(name.clone(), from_term(content)?)
            }
        })
    }

    /// The content as a term: an event that waits is one.
    pub(super) fn content(&self) -> Result<OwnedTerm, EncodeError>
    where
        M::Info: Serialize,
    {
        match self {
            Self::Call(_, content) => to_term(content),
            Self::Cast(content) => to_term(content),
            Self::Info(content) => to_term(content),
            Self::Internal(content) => to_term(content),
            Self::Timeout(content)
            | Self::StateTimeout(content)
            | Self::GenericTimeout(_, content) => to_term(content),
        }
    }
}

impl<M: GenStatem> fmt::Debug for Event<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Contents and names need no `Debug`.
        let name = match self {
            Self::Call(from, _) => {
                return formatter
                    .debug_tuple("Call")
                    .field(&from.reply_to())
                    .finish_non_exhaustive();
            }
            Self::Cast(_) => "Cast",
            Self::Info(_) => "Info",
            Self::Internal(_) => "Internal",
            Self::Timeout(_) => "Timeout",
            Self::StateTimeout(_) => "StateTimeout",
            Self::GenericTimeout(..) => "GenericTimeout",
        };
        formatter.debug_tuple(name).finish_non_exhaustive()
    }
}

/// An event that waits to be handled, or is being handled. It is decoded each time that it is handled: so one that is
/// postponed costs nobody a copy, and reports show it as it came.
pub(super) enum Queued<N> {
    /// A message, as it came.
    Message(otp_vm::Message),
    /// What the machine told itself, or a timeout.
    Own(EventType<N>, OwnedTerm),
}

impl<N: Clone + Serialize> Queued<N> {
    /// Its two halves.
    pub(super) fn halves(&self) -> (EventType<N>, Term<'_>) {
        match self {
            Self::Own(event_type, content) => (event_type.clone(), content.root()),
            Self::Message(message) => match message.kind() {
                MessageKind::Call { from, request } => (EventType::Call(from), request),
                MessageKind::Cast(request) => (EventType::Cast, request),
                _ => (EventType::Info, message.term()),
            },
        }
    }

    /// Who waits for an answer, if it is a call.
    pub(super) fn caller(&self) -> Option<ReplyTo> {
        match self {
            Self::Own(EventType::Call(from), _) => Some(*from),
            Self::Message(message) => match message.kind() {
                MessageKind::Call { from, .. } => Some(from),
                _ => None,
            },
            Self::Own(..) => None,
        }
    }

    /// `{Type, Content}`, for reports and for `sys`. A content that can't be copied, since it holds a native resource,
    /// is told by a text in its place.
    pub(super) fn to_term(&self) -> OwnedTerm {
        let (event_type, content) = self.halves();
        let copied = to_term(&(&event_type, content));
        copied.unwrap_or_else(|error| sys::term(&(event_type, error.to_string())))
    }
}
