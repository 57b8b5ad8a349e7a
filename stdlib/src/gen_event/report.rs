//! Reports of handlers: values for the host's handler, and text.

use std::fmt::Display;

use otp_vm::{Context, ExitReason, Message, OwnedTerm, Pid, Term, to_term};

use super::install::Erased;
use super::{FormatStatus, HandlerError, HandlerId, Removed};
use crate::r#gen::Name;
use crate::proc_lib::{EVENT_LIMIT_CHARS, Format};
use crate::report::UNKNOWN_TEXT_LIMIT_BYTES;

/// A handler failed, and was taken out: the report with OTP's label `{gen_event, terminate}`. The handler of reports
/// that the VM was built with gets it, by `report.downcast_ref::<Terminated>()`; so does `tracing`, as text.
#[derive(Debug)]
#[non_exhaustive]
pub struct Terminated {
    /// The manager's process.
    pub pid: Pid,
    /// The manager's name, or its pid.
    pub name: OwnedTerm,
    /// The handler.
    pub handler: HandlerId,
    /// What it was handling (an event, a request, another message), as
    /// [`EventHandler::format_status`](super::EventHandler::format_status) shows it. None: it can't be copied.
    pub last_message: Option<OwnedTerm>,
    /// Its state, as `format_status` shows it.
    pub state: OwnedTerm,
    /// Why, as `format_status` shows it; around that of a panic `{'EXIT', Reason}`.
    pub reason: OwnedTerm,
}

/// A message came that a handler has nothing for: the report with OTP's label `{gen_event, no_handle_info}`.
#[derive(Debug)]
#[non_exhaustive]
pub struct NoHandleInfo {
    /// The manager's process.
    pub pid: Pid,
    /// The module of the handler.
    pub module: &'static str,
    /// The message; None if it can't be copied.
    pub message: Option<OwnedTerm>,
}

impl Terminated {
    /// The report as text. `gen_event:format_log/2`.
    pub fn format(&self, format: Format) -> String {
        let term = |term: &OwnedTerm| format.term(term.root());
        let handler = to_term(&self.handler);
        let handler = handler.map_or_else(|_| self.handler.to_string(), |id| term(&id));
        let last = self.last_message.as_ref();
        let last = last.map_or_else(|| UNCOPIED.to_owned(), term);
        let (name, state, reason) = (term(&self.name), term(&self.state), term(&self.reason));
        let text = match format.is_single_line() {
            true => format!(
                "Generic event handler {handler} crashed. Installed: {name}. Last event: {last}. \
                 State: {state}. Reason: {reason}."
            ),
            false => format!(
                "** gen_event handler {handler} crashed.\n** Was installed in {name}\n\
                 ** Last event was: {last}\n** When handler state == {state}\n** Reason == {reason}\n"
            ),
        };
        format.cut(text, 2)
    }
}

impl NoHandleInfo {
    /// The report as text. `gen_event:format_log/2`.
    pub fn format(&self, format: Format) -> String {
        let message = self.message.as_ref();
        let message = message.map_or_else(
            || UNCOPIED.to_owned(),
            |message| format.term(message.root()),
        );
        let module = self.module;
        let text = match format.is_single_line() {
            true => format!("Undefined handle_info in {module}. Unhandled message: {message}."),
            false => {
                format!("** Undefined handle_info in {module}\n** Unhandled message: {message}\n")
            }
        };
        format.cut(text, 2)
    }
}

const UNCOPIED: &str = "one that can't be copied";

/// A handler that is being taken out because it failed.
pub(super) fn terminated<E: super::Event>(
    cx: &Context,
    name: Option<&Name>,
    id: &HandlerId,
    handler: &dyn Erased<E>,
    last: Option<Term<'_>>,
    removed: &Removed,
) {
    let (reason, is_exit) = match removed {
        Removed::Exit(reason) => (reason, true),
        Removed::Error(reason) => (reason, false),
        Removed::Normal | Removed::Shutdown | Removed::Swapped(..) => return,
    };
    let last = last.and_then(|last| OwnedTerm::copy_of((), last).ok());
    let log = Vec::new();
    let status = FormatStatus::of_handler(handler, last, Some(reason.clone()), log);
    let reason = status.reason.unwrap_or_else(|| reason.clone());
    let reason = match is_exit {
        true => term(&HandlerError::Exit(reason)),
        false => reason.to_term(),
    };
    send(cx, name, id, status.message, status.state, reason);
}

/// A handler that another one wanted in its place, and whose `init` failed.
pub(super) fn not_swapped(
    cx: &Context,
    name: Option<&Name>,
    id: &HandlerId,
    last: Term<'_>,
    reason: &ExitReason,
) {
    let state = term("it has none: its init failed");
    let last = OwnedTerm::copy_of((), last).ok();
    send(cx, name, id, last, state, reason.to_term());
}

fn send(
    cx: &Context,
    name: Option<&Name>,
    id: &HandlerId,
    last_message: Option<OwnedTerm>,
    state: OwnedTerm,
    reason: OwnedTerm,
) {
    let pid = cx.pid();
    let report = Terminated {
        pid,
        name: name.map_or_else(|| term(&pid), Name::to_term),
        handler: id.clone(),
        last_message,
        state,
        reason,
    };
    let text = report.format(Format::new().chars_limit(EVENT_LIMIT_CHARS));
    tracing::error!(event = "gen_event_terminated", %pid, handler = %id, "a handler failed\n{text}");
    cx.vm().report(&report);
}

/// What nobody is told by an answer: a `terminate` or a destructor that panicked.
pub(super) fn terminate_failed(cx: &Context, id: &HandlerId, reason: &ExitReason) {
    tracing::warn!(
        event = "gen_event_terminate_failed",
        pid = %cx.pid(),
        handler = %id,
        %reason,
        "a handler panicked as it was taken out"
    );
}

/// A call of a shape that the handler does not have.
pub(super) fn unknown_call(cx: &Context, id: &HandlerId, request: Term<'_>, error: &dyn Display) {
    tracing::warn!(
        event = "gen_event_unknown_call",
        pid = %cx.pid(),
        handler = %id,
        request = %request.display_limited(UNKNOWN_TEXT_LIMIT_BYTES),
        %error,
        "a request did not decode: its caller is told"
    );
}

/// An event whose own code failed: as it was decoded or dropped.
pub(super) fn event_failed(cx: &Context, message: Term<'_>, reason: &ExitReason) {
    tracing::error!(
        event = "gen_event_event_failed",
        pid = %cx.pid(),
        content = %message.display_limited(UNKNOWN_TEXT_LIMIT_BYTES),
        %reason,
        "an event panicked as it was decoded or dropped"
    );
}

/// A handler has nothing for a message.
pub(super) fn no_handle_info(
    cx: &Context,
    module: &'static str,
    message: &Message,
    error: &dyn Display,
) {
    tracing::warn!(
        event = "gen_event_unknown_message",
        pid = %cx.pid(),
        module,
        content = %message.term().display_limited(UNKNOWN_TEXT_LIMIT_BYTES),
        %error,
        "a handler does not know a message"
    );
    cx.vm().report(&NoHandleInfo {
        pid: cx.pid(),
        module,
        message: message.to_term().ok(),
    });
}

fn term<T: serde::Serialize + ?Sized>(value: &T) -> OwnedTerm {
    to_term(value).unwrap_or_else(|_| OwnedTerm::from(otp_vm::atoms::UNDEFINED))
}
