//! What a process does, as its debug functions see it.

use std::fmt;

use otp_vm::{Message, OwnedTerm, atoms};
use serde::{Serialize, Serializer};

/// Something that a process did or met: OTP's `system_event()`. As a term it is OTP's tuple.
#[derive(Debug)]
#[non_exhaustive]
pub enum SystemEvent {
    /// `{in, Msg}`: a message that is handled next; the atom `timeout` for a server's timeout.
    In(OwnedTerm),
    /// `{out, Msg, To, State}`: what was sent, to whom, and the state after it.
    Out(OwnedTerm, OwnedTerm, OwnedTerm),
    /// `{noreply, State}`: a message was handled, and this is the state now.
    NoReply(OwnedTerm),
    /// `continue`: what a callback had put off is handled next. It is moved and need not be a term, so it is not shown.
    Continue,
    /// Any other, of a behaviour or of a process of one's own: all those of a
    /// [`gen_statem`](mod@crate::gen_statem#system-messages). One whose tag is `in` or `out` counts for the statistics.
    Other(OwnedTerm),
}

/// Which way a message goes.
pub(super) enum Direction {
    In,
    Out,
}

impl SystemEvent {
    /// What statistics count: as in OTP, by the tags `in` and `out`.
    pub(super) fn direction(&self) -> Option<Direction> {
        match self {
            Self::In(_) => Some(Direction::In),
            Self::Out(..) => Some(Direction::Out),
            Self::NoReply(_) | Self::Continue => None,
            Self::Other(event) => match event.root().as_tuple()?.get(0)?.as_atom()?.as_str() {
                "in" => Some(Direction::In),
                "out" => Some(Direction::Out),
                _ => None,
            },
        }
    }

    /// `{in, Msg}`. One that can't be copied, since it holds a native resource, is told by a text in its place.
    pub fn of_message(message: &Message) -> Self {
        Self::In(copy(message.to_term()))
    }

    /// The event as OTP has it.
    pub fn to_term(&self) -> OwnedTerm {
        otp_vm::to_term(self).unwrap_or_else(|_| OwnedTerm::from(atoms::UNDEFINED))
    }

    /// A line of text, as `gen_server` prints its events: `*DBG* counter got call {add,1} from <0.5.0>`.
    pub fn format(&self, name: &OwnedTerm) -> String {
        match self {
            Self::In(message) => match gen_message(message) {
                Some(GenMessage::Call(from, request)) => {
                    format!("*DBG* {name} got call {request} from {from}")
                }
                Some(GenMessage::Cast(request)) => format!("*DBG* {name} got cast {request}"),
                None => format!("*DBG* {name} got {message}"),
            },
            Self::Out(message, to, state) => {
                format!("*DBG* {name} sent {message} to {to}, new state {state}")
            }
            Self::NoReply(state) => format!("*DBG* {name} new state {state}"),
            Self::Continue => format!("*DBG* {name} continues"),
            Self::Other(event) => format!("*DBG* {name} dbg {event}"),
        }
    }
}

/// What goes wrong with the copy of a term is said in its place.
pub(super) fn copy<E: fmt::Display>(copied: Result<OwnedTerm, E>) -> OwnedTerm {
    copied.unwrap_or_else(|error| super::text(&error.to_string()))
}

/// A message of `gen`'s, in words.
enum GenMessage<'m> {
    Call(otp_vm::Term<'m>, otp_vm::Term<'m>),
    Cast(otp_vm::Term<'m>),
}

fn gen_message(message: &OwnedTerm) -> Option<GenMessage<'_>> {
    let tuple = message.root().as_tuple()?;
    match (tuple.get(0)?.as_atom()?, tuple.len()) {
        (atoms::GEN_CALL, 3) => {
            let from = tuple.get(1)?.as_tuple()?.get(0)?;
            Some(GenMessage::Call(from, tuple.get(2)?))
        }
        (atoms::GEN_CAST, 2) => Some(GenMessage::Cast(tuple.get(1)?)),
        _ => None,
    }
}

impl Serialize for SystemEvent {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        enum Event<'e> {
            In(&'e OwnedTerm),
            Out(&'e OwnedTerm, &'e OwnedTerm, &'e OwnedTerm),
            Noreply(&'e OwnedTerm),
            Continue,
        }
        let event = match self {
            Self::In(message) => Event::In(message),
            Self::Out(message, to, state) => Event::Out(message, to, state),
            Self::NoReply(state) => Event::Noreply(state),
            Self::Continue => Event::Continue,
            Self::Other(event) => return event.serialize(serializer),
        };
        event.serialize(serializer)
    }
}
