//! What a bridge reports: that its subsystem has started, and that it has ended.

use otp_vm::{Context, ExitReason, OwnedTerm, Pid};
use serde::Serialize;

use super::SupervisorBridge;
use crate::proc_lib::Format;
use crate::supervisor::ReportContext;
use crate::sys;

/// A report of a bridge: OTP's with the labels `{supervisor, progress}` and `{supervisor, error}`. It goes to the
/// handler that the VM was built with, by `report.downcast_ref::<BridgeReport>()`, and to `tracing`: progress as
/// `DEBUG`, the end as `ERROR`.
#[derive(Debug)]
#[non_exhaustive]
pub struct BridgeReport {
    /// The bridge.
    pub pid: Pid,
    /// `{local, Name}`, or of a bridge that has no such name `{Pid, Module}`.
    pub supervisor: OwnedTerm,
    /// [`SupervisorBridge::module`].
    pub module: &'static str,
    /// The subsystem's main process.
    pub main: Pid,
    /// What became of the subsystem.
    pub what: BridgeNews,
}

/// What a [`BridgeReport`] tells.
#[derive(Debug)]
pub enum BridgeNews {
    /// It has started, with these arguments, as [`SupervisorBridge::show_args`] shows them.
    Progress(OwnedTerm),
    /// It has ended by itself, for this reason.
    ChildTerminated(ExitReason),
}

impl BridgeReport {
    /// The report as text, in the form of OTP's. `supervisor_bridge:format_log/1,2`.
    pub fn format(&self, format: Format) -> String {
        let (by, module) = (format.term(self.supervisor.root()), sys::atom(self.module));
        let pid = self.main;
        let text = match &self.what {
            BridgeNews::Progress(args) => {
                let call = sys::term(&(module, sys::atom("init"), &[args][..]));
                let started = [Pair::Pid(pid), Pair::Mfa(&call)];
                match format.is_single_line() {
                    true => format!(
                        "Supervisor: {by}. Started: pid={pid},mfa={}.",
                        format.term(call.root())
                    ),
                    false => format!(
                        "    supervisor: {by}\n    started: {}\n",
                        format.term(sys::term(&started[..]).root())
                    ),
                }
            }
            BridgeNews::ChildTerminated(reason) => {
                let context = ReportContext::ChildTerminated.as_str();
                let reason = format.term(reason.to_term().root());
                let offender = [Pair::Pid(pid), Pair::Mod(&module)];
                match format.is_single_line() {
                    true => format!(
                        "Supervisor: {by}. Context: {context}. Reason: {reason}. Offender: pid={pid},mod={module}."
                    ),
                    false => format!(
                        "    supervisor: {by}\n    errorContext: {context}\n    reason: {reason}\n    offender: {}\n",
                        format.term(sys::term(&offender[..]).root())
                    ),
                }
            }
        };
        format.cut(text, 1)
    }

    /// Of the calling process.
    pub(super) fn new<B: SupervisorBridge>(cx: &Context, main: Pid, what: BridgeNews) -> Self {
        let (pid, module) = (cx.pid(), B::module());
        let info = cx.process_info(pid);
        let supervisor = match info.and_then(|info| info.registered_name) {
            Some(name) => sys::term(&(sys::atom("local"), name)),
            None => sys::term(&(pid, sys::atom(module))),
        };
        Self {
            pid,
            supervisor,
            module,
            main,
            what,
        }
    }

    pub(super) fn send(&self, cx: &Context) {
        let (supervisor, child, pid) = (self.pid, self.module, self.main);
        match &self.what {
            BridgeNews::Progress(_) => {
                tracing::debug!(event = "progress", %supervisor, child, %pid, "progress");
            }
            BridgeNews::ChildTerminated(reason) => tracing::error!(
                event = "supervisor_report",
                %supervisor,
                context = ReportContext::ChildTerminated.as_str(),
                %reason,
                child,
                %pid,
                "supervisor report"
            ),
        }
        cx.vm().report(self);
    }
}

/// What the reports say of the subsystem.
#[derive(Serialize)]
enum Pair<'a> {
    Pid(Pid),
    Mfa(&'a OwnedTerm),
    Mod(&'a OwnedTerm),
}
