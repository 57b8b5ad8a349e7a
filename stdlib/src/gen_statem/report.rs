//! The report of a state machine that failed: a value for the host's handler, and text.

use std::fmt::Write;

use otp_vm::{Context, ExitReason, OwnedTerm, to_term};

use super::event::Queued;
use super::machine::Machine;
use super::{FormatStatus, GenStatem};
use crate::r#gen::Client;
use crate::proc_lib::{EVENT_LIMIT_CHARS, Format};
use crate::sys::System;

/// A state machine ended by a failure: the report with OTP's label `{gen_statem, terminate}`. The handler that the VM
/// was built with gets it, by `report.downcast_ref::<Terminated>()`; so does `tracing`, as text.
///
/// Events are shown as `{Type, Content}`; all that [`GenStatem::format_status`] may change is shown as that says.
#[derive(Debug)]
#[non_exhaustive]
pub struct Terminated {
    /// The process.
    pub pid: otp_vm::Pid,
    /// Its name, or its pid.
    pub name: OwnedTerm,
    /// The type of its callbacks.
    pub machine: &'static str,
    /// The event that it was handling, and those that it would have handled before any message.
    pub queue: Vec<OwnedTerm>,
    /// The events that it had put off, the oldest first.
    pub postponed: Vec<OwnedTerm>,
    /// `{State, Data}`.
    pub state: OwnedTerm,
    /// The timeouts that ran, or were due.
    pub timeouts: Vec<OwnedTerm>,
    /// Events that `sys` logged.
    pub log: Vec<OwnedTerm>,
    /// Why it ended.
    pub reason: OwnedTerm,
    /// Who had called it, if it was handling a call.
    pub client: Option<Client>,
}

impl Terminated {
    /// The report as text. `gen_statem:format_log/2`.
    ///
    /// The callback mode is always the same: one function handles the events of all states, and state enter calls are
    /// made. Of stacks nothing is known.
    pub fn format(&self, format: Format) -> String {
        let term = |term: &OwnedTerm| format.term(term.root());
        let list =
            |terms: &[OwnedTerm]| to_term(terms).map_or_else(|_| String::new(), |list| term(&list));
        let (name, state, reason) = (term(&self.name), term(&self.state), term(&self.reason));
        let last = self.queue.first().map(term);
        let client = self.client.map(|client| client.format(&format));
        let mut text = String::new();
        if format.is_single_line() {
            let _ = write!(text, "State machine {name} terminating. Reason: {reason}.");
            if let Some(last) = last {
                let _ = write!(text, " Last event: {last}.");
            }
            let _ = write!(text, " State: {state}.");
            if !self.log.is_empty() {
                let _ = write!(text, " Log: {}.", list(&self.log));
            }
            if let Some(client) = client {
                let _ = write!(text, " {client}.");
            }
        } else {
            let _ = writeln!(text, "** State machine {name} terminating");
            if let Some(last) = last {
                let _ = writeln!(text, "** Last event = {last}");
            }
            let _ = writeln!(text, "** When server state  = {state}");
            let _ = writeln!(text, "** Reason for termination = {reason}");
            let _ = writeln!(text, "** Callback modules = [{}]", self.machine);
            let _ = writeln!(
                text,
                "** Callback mode = [handle_event_function,state_enter]"
            );
            if let [_, queued @ ..] = &self.queue[..]
                && !queued.is_empty()
            {
                let _ = writeln!(text, "** Queued = {}", list(queued));
            }
            if !self.postponed.is_empty() {
                let _ = writeln!(text, "** Postponed = {}", list(&self.postponed));
            }
            if !self.timeouts.is_empty() {
                let timeouts = to_term(&(self.timeouts.len(), &self.timeouts));
                let timeouts = timeouts.map_or_else(|_| String::new(), |timeouts| term(&timeouts));
                let _ = writeln!(text, "** Time-outs: {timeouts}");
            }
            if !self.log.is_empty() {
                let _ = writeln!(text, "** Log =\n**  {}", list(&self.log));
            }
            if let Some(client) = client {
                let _ = writeln!(text, "** {client}");
            }
        }
        format.cut(text, 2)
    }
}

/// The calling process, a state machine, ends with an abnormal reason.
pub(super) fn terminated<M: GenStatem>(cx: &Context, machine: &Machine<M>, reason: &ExitReason) {
    let pid = cx.pid();
    let info = cx.process_info(pid);
    let registered_name = info.as_ref().and_then(|info| info.registered_name);
    let label = info.as_ref().and_then(|info| info.label);
    let undefined = || OwnedTerm::from(otp_vm::atoms::UNDEFINED);
    let caller = machine.current.as_ref().and_then(Queued::caller);
    let status = FormatStatus::of(machine, Some(reason.clone()), machine.logged());
    let report = Terminated {
        pid,
        name: machine.name(cx),
        machine: std::any::type_name::<M>(),
        queue: status.queue,
        postponed: status.postponed,
        state: to_term(&(&status.state, &status.data)).unwrap_or_else(|_| undefined()),
        timeouts: status.timeouts,
        log: status.log,
        reason: status
            .reason
            .map_or_else(|| reason.to_term(), |reason| reason.to_term()),
        client: caller.map(|from| Client::of(cx, from.pid())),
    };
    let text = report.format(Format::new().chars_limit(EVENT_LIMIT_CHARS));
    tracing::error!(
        event = "gen_statem_terminated",
        %pid,
        registered_name = registered_name.map(|name| name.as_str()),
        label = label.map(|label| label.as_str()),
        machine = report.machine,
        "gen_statem terminated\n{text}"
    );
    cx.vm().report(&report);
}
