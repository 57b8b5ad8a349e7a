//! Reports of servers: values for the host's handler, and text.

use std::fmt::Write;

use otp_vm::{Context, ExitReason, Message, MessageKind, OwnedTerm, Pid};

use super::{FormatStatus, GenServer};
use crate::r#gen::{Client, Name};
use crate::proc_lib::{EVENT_LIMIT_CHARS, Format};
use crate::sys;

/// A server ended by a failure: the report with OTP's label `{gen_server, terminate}`. The handler that the VM was
/// built with gets it, by `report.downcast_ref::<Terminated>()`; so does `tracing`, as text.
#[derive(Debug)]
#[non_exhaustive]
pub struct Terminated {
    /// The process.
    pub pid: Pid,
    /// Its name, or its pid.
    pub name: OwnedTerm,
    /// The type of its callbacks.
    pub server: &'static str,
    /// What it was handling, as [`GenServer::format_status`] shows it.
    pub last_message: Option<OwnedTerm>,
    /// Its state, as `format_status` shows it.
    pub state: OwnedTerm,
    /// Events that `sys` logged, as `format_status` shows them.
    pub log: Vec<OwnedTerm>,
    /// Why it ended, as `format_status` shows it.
    pub reason: OwnedTerm,
    /// Who had called it, if it was handling a call.
    pub client: Option<Client>,
}

/// A message came to a server that has nothing for it: the report with OTP's label `{gen_server, no_handle_info}`.
#[derive(Debug)]
#[non_exhaustive]
pub struct NoHandleInfo {
    /// The process.
    pub pid: Pid,
    /// The type of its callbacks.
    pub server: &'static str,
    /// The message; None if it can't be copied.
    pub message: Option<OwnedTerm>,
}

impl Terminated {
    /// The report as text. `gen_server:format_log/2`.
    pub fn format(&self, format: Format) -> String {
        let term = |term: &OwnedTerm| format.term(term.root());
        let (name, state, reason) = (term(&self.name), term(&self.state), term(&self.reason));
        let last = self.last_message.as_ref().map(term);
        let client = self.client.map(|client| client.format(&format));
        let log = format.list(self.log.iter().map(term));
        let mut text = String::new();
        if format.is_single_line() {
            let _ = write!(text, "Generic server {name} terminating. Reason: {reason}.");
            if let Some(last) = last {
                let _ = write!(text, " Last message: {last}.");
            }
            let _ = write!(text, " State: {state}.");
            if !self.log.is_empty() {
                let _ = write!(text, " Log: {log}.");
            }
            if let Some(client) = client {
                let _ = write!(text, " {client}.");
            }
        } else {
            let _ = writeln!(text, "** Generic server {name} terminating");
            if let Some(last) = last {
                let _ = writeln!(text, "** Last message in was {last}");
            }
            let _ = writeln!(text, "** When server state was {state}");
            let _ = writeln!(text, "** Reason: {reason}");
            if !self.log.is_empty() {
                let _ = writeln!(text, "** Log: {log}");
            }
            if let Some(client) = client {
                let _ = writeln!(text, "** {client}");
            }
        }
        format.cut(text, 2)
    }
}

impl NoHandleInfo {
    /// The report as text. `gen_server:format_log/2`.
    pub fn format(&self, format: Format) -> String {
        let message = match &self.message {
            Some(message) => format.term(message.root()),
            None => "one that can't be copied".to_owned(),
        };
        let between = match format.is_single_line() {
            true => ". ",
            false => "\n** ",
        };
        let start = match format.is_single_line() {
            true => "",
            false => "** ",
        };
        let server = self.server;
        let text = format!(
            "{start}Undefined handle_info in {server}{between}Unhandled message: {message}"
        );
        format.cut(text, 2)
    }
}

/// The calling process, a server, ends with an abnormal reason.
pub(super) fn terminated<S: GenServer>(
    cx: &Context,
    state: &S,
    name: Option<&Name>,
    message: Option<Message>,
    reason: &ExitReason,
    log: Vec<OwnedTerm>,
) {
    let pid = cx.pid();
    let info = cx.process_info(pid);
    let registered_name = info.as_ref().and_then(|info| info.registered_name);
    let label = info.as_ref().and_then(|info| info.label);
    let client = message.as_ref().and_then(|message| match message.kind() {
        MessageKind::Call { from, .. } => Some(Client::of(cx, from.pid())),
        _ => None,
    });
    let last_message = message.and_then(|message| message.to_term().ok());
    let status = FormatStatus::of(state, last_message, Some(reason.clone()), log);
    let report = Terminated {
        pid,
        name: name.map_or_else(|| sys::name_of(cx), Name::to_term),
        server: std::any::type_name::<S>(),
        last_message: status.message,
        state: status.state,
        log: status.log,
        reason: status
            .reason
            .map_or_else(|| reason.to_term(), |reason| reason.to_term()),
        client,
    };
    let text = report.format(Format::new().chars_limit(EVENT_LIMIT_CHARS));
    tracing::error!(
        event = "gen_server_terminated",
        %pid,
        registered_name = registered_name.map(|name| name.as_str()),
        label = label.map(|label| label.as_str()),
        server = report.server,
        "gen_server terminated\n{text}"
    );
    cx.vm().report(&report);
}

/// The calling process got a message that its `Info` has nothing for.
pub(super) fn no_handle_info<S>(cx: &Context, message: &Message) {
    cx.vm().report(&NoHandleInfo {
        pid: cx.pid(),
        server: std::any::type_name::<S>(),
        message: message.to_term().ok(),
    });
}
