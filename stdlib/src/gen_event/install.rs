//! Handlers of any type behind one face, and how one is made in the manager's process.

use std::any::Any;
use std::fmt;

use otp_vm::{
    BoxFuture, Context, DecodeError, ExitReason, Message, OwnedTerm, Term, from_term, to_term,
};
use serde::Serialize;

use super::{Answer, Event, EventHandler, FormatStatus, Handler, HandlerId, Init, Next, Terminate};

/// A handler to be made: its id, and the arguments of its `init`.
///
/// It is made where it will live, in the manager's process. Type and arguments get there by moving, as a
/// [native resource](otp_vm::Native), and need be no terms.
pub struct Install<E> {
    pub(super) id: HandlerId,
    pub(super) make: Make<E>,
}

/// Makes a handler.
pub(super) type Make<E> = Box<dyn FnOnce(How, &mut Context) -> BoxFuture<'_, Made<E>> + Send>;

/// A handler of any type.
pub(super) type AnyHandler<E> = Box<dyn Erased<E>>;

pub(super) type Made<E> = Init<AnyHandler<E>>;

/// How a handler comes in.
pub(super) enum How {
    Added,
    /// In the place of another, with what that one's `terminate` gave; None: there was no other.
    Swapped(Option<OwnedTerm>),
}

impl<E: Event> Install<E> {
    /// This handler, with these arguments.
    pub fn new<H: EventHandler<Event = E>>(handler: Handler<H>, args: H::Args) -> Self {
        Self {
            id: handler.into(),
            make: Box::new(move |how, cx| {
                Box::pin(async move {
                    let made = match how {
                        How::Added => H::init(args, cx).await,
                        How::Swapped(old) => H::init_swapped(args, old, cx).await,
                    };
                    made.map(|handler| Box::new(handler) as AnyHandler<E>)
                })
            }),
        }
    }
}

impl<E> fmt::Debug for Install<E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Install").field(&self.id).finish()
    }
}

/// What is handed to every handler.
pub(super) enum Happened<'a, E> {
    /// An event, and its term.
    Event(&'a E, Term<'a>),
    /// Another message.
    Info(&'a Message),
    /// An event that is none of the manager's.
    Unknown(&'a Message, &'a DecodeError),
}

impl<E> Clone for Happened<'_, E> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<E> Copy for Happened<'_, E> {}

impl<'a, E> Happened<'a, E> {
    /// As reports show it.
    pub(super) fn term(self) -> Term<'a> {
        match self {
            Self::Event(_, term) => term,
            Self::Info(message) | Self::Unknown(message, _) => message.term(),
        }
    }
}

/// [`EventHandler`] of any type. All of it runs the program's code, which the caller has under watch while it polls:
/// nothing runs before.
pub(super) trait Erased<E>: Any + Send {
    fn handle<'a>(
        &'a mut self,
        happened: Happened<'a, E>,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Next<E>>;

    fn handle_call<'a>(
        &'a mut self,
        request: Term<'a>,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Called<E>>;

    fn terminate<'a>(
        &'a mut self,
        why: Terminate<'a>,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, OwnedTerm>;

    fn code_change<'a>(
        &'a mut self,
        old_version: OwnedTerm,
        extra: OwnedTerm,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Result<(), ExitReason>>;

    fn format_status(&self, status: FormatStatus) -> FormatStatus;

    fn system_get_state(&self) -> OwnedTerm;

    /// The name of its type, with its path.
    fn type_name(&self) -> &'static str;
}

/// What came of a call.
pub(super) enum Called<E> {
    Answered(Answer<OwnedTerm, E>),
    /// The handler has no such request, and stays.
    Unknown(DecodeError),
}

impl<E: Event, H: EventHandler<Event = E>> Erased<E> for H {
    fn handle<'a>(
        &'a mut self,
        happened: Happened<'a, E>,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Next<E>> {
        Box::pin(async move {
            match happened {
                Happened::Event(event, _) => self.handle_event(event, cx).await,
                Happened::Info(message) => match from_term(message.term()) {
                    Ok(info) => self.handle_info(info, cx).await,
                    Err(error) => self.handle_unknown(message, &error, cx).await,
                },
                Happened::Unknown(message, error) => self.handle_unknown(message, error, cx).await,
            }
        })
    }

    fn handle_call<'a>(
        &'a mut self,
        request: Term<'a>,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Called<E>> {
        Box::pin(async move {
            let request = match from_term(request) {
                Ok(request) => request,
                Err(error) => return Called::Unknown(error),
            };
            let answer = EventHandler::handle_call(self, request, cx).await;
            Called::Answered(match answer {
                Answer::Reply(reply, next) => match to_term(&reply) {
                    Ok(reply) => Answer::Reply(reply, next),
                    // The caller would wait for nothing: it is to learn why.
                    Err(error) => Answer::Error(ExitReason::new(&Bad::Reply(error.to_string()))),
                },
                Answer::Error(reason) => Answer::Error(reason),
            })
        })
    }

    fn terminate<'a>(
        &'a mut self,
        why: Terminate<'a>,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, OwnedTerm> {
        Box::pin(async move { EventHandler::terminate(self, why, cx).await })
    }

    fn code_change<'a>(
        &'a mut self,
        old_version: OwnedTerm,
        extra: OwnedTerm,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Result<(), ExitReason>> {
        Box::pin(EventHandler::code_change(self, old_version, extra, cx))
    }

    fn format_status(&self, status: FormatStatus) -> FormatStatus {
        EventHandler::format_status(self, status)
    }

    fn system_get_state(&self) -> OwnedTerm {
        EventHandler::system_get_state(self)
    }

    fn type_name(&self) -> &'static str {
        std::any::type_name::<H>()
    }
}

/// The reasons of callers that get no reply.
#[derive(Serialize)]
pub(super) enum Bad {
    #[serde(rename = "bad_reply")]
    Reply(String),
    #[serde(rename = "bad_call")]
    Call(String),
    #[serde(rename = "bad_args")]
    Args(String),
}
