//! What a supervisor reports: each start, each end that it did not want, each failure, and that it gives up.

use std::fmt::Write;

use otp_vm::{Atom, Context, ExitReason, OwnedTerm, Pid, atoms};
use serde::Serialize;

use super::child::{ChildKind, ChildSpec, Restart, Shutdown};
use super::data::Given;
use super::id::ChildId;
use crate::proc_lib::Format;

/// What a supervisor was doing when it had something to report: the context of OTP's `supervisor_report`, or
/// `progress`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum ReportContext {
    /// It started a child. Not a failure.
    Progress,
    /// A child did not start.
    StartError,
    /// A child ended by itself, and should not have.
    ChildTerminated,
    /// It gives up: `reached_max_restart_intensity`.
    Shutdown,
    /// A child that was told to end ended otherwise.
    ShutdownError,
}

impl ReportContext {
    /// OTP's word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Progress => "progress",
            Self::StartError => "start_error",
            Self::ChildTerminated => "child_terminated",
            Self::Shutdown => "shutdown",
            Self::ShutdownError => "shutdown_error",
        }
    }
}

/// A report of a supervisor: OTP's `supervisor_report`, or a progress report. It goes to the handler
/// that the VM was built with ([`report_handler`](otp_vm::VmBuilder::report_handler)), and to `tracing`: progress as
/// `DEBUG`, anything else as `ERROR`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SupervisorReport {
    /// Who reports.
    pub supervisor: Pid,
    /// Its registered name.
    pub registered_name: Option<Atom>,
    /// What it was doing.
    pub context: ReportContext,
    /// Why; nothing for progress.
    pub reason: Option<ExitReason>,
    /// Whom it is about: OTP's `offender`, or who was started.
    pub offender: Offender,
}

/// The child that a report is about.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Offender {
    /// Its process; of a failed start there is none.
    pub pid: Option<Pid>,
    /// How many children without an order among them it was, that ended all in the same way.
    pub nb_children: Option<u64>,
    /// Its id.
    pub id: ChildId,
    /// `{Module, Function, Arguments}`, if its start is that.
    pub mfargs: Option<Given>,
    /// When it is started again.
    pub restart_type: Restart,
    /// Whether its end may end the supervisor.
    pub significant: bool,
    /// How it is ended.
    pub shutdown: Shutdown,
    /// Worker or supervisor.
    pub child_type: ChildKind,
}

impl Offender {
    pub(crate) fn of(spec: &ChildSpec, pid: Option<Pid>) -> Self {
        Self {
            pid,
            nb_children: None,
            id: spec.id.clone(),
            mfargs: spec.start.mfargs().map(Given::from),
            restart_type: spec.restart,
            significant: spec.significant,
            shutdown: spec.shutdown,
            child_type: spec.kind,
        }
    }

    /// The offender as OTP's reports have it: a list of pairs.
    pub fn to_term(&self) -> OwnedTerm {
        #[derive(Serialize)]
        enum Pair<'a> {
            Pid(Option<Pid>),
            NbChildren(u64),
            Id(&'a ChildId),
            Mfargs(&'a Given),
            RestartType(Restart),
            Significant(bool),
            Shutdown(Shutdown),
            ChildType(ChildKind),
        }
        let mut pairs = vec![match (self.nb_children, self.pid) {
            (Some(children), _) => Pair::NbChildren(children),
            (None, pid) => Pair::Pid(pid),
        }];
        pairs.push(Pair::Id(&self.id));
        pairs.extend(self.mfargs.as_ref().map(Pair::Mfargs));
        pairs.push(Pair::RestartType(self.restart_type));
        pairs.push(Pair::Significant(self.significant));
        pairs.push(Pair::Shutdown(self.shutdown));
        pairs.push(Pair::ChildType(self.child_type));
        otp_vm::to_term(&pairs).unwrap_or_else(|_| OwnedTerm::from(atoms::BADARG))
    }
}

impl SupervisorReport {
    /// The report as text, in the form of OTP's. `supervisor:format_log/1,2`.
    pub fn format(&self, format: Format) -> String {
        let by = match self.registered_name {
            Some(name) => OwnedTerm::from(name).to_string(),
            None => self.supervisor.to_string(),
        };
        let reason = self.reason.as_ref().map(ExitReason::to_term);
        let reason = reason.as_ref().map(|reason| format.term(reason.root()));
        let context = self.context.as_str();
        let mut text = String::new();
        let who = if reason.is_some() {
            "offender"
        } else {
            "started"
        };
        if format.is_single_line() {
            let offender = &self.offender;
            let id = otp_vm::to_term(&offender.id).map(|id| format.term(id.root()));
            let id = id.unwrap_or_else(|_| offender.id.to_string());
            let number = match (offender.nb_children, offender.pid) {
                (Some(children), _) => format!("nb_children={children}"),
                (None, Some(pid)) => format!("pid={pid}"),
                (None, None) => "pid=undefined".to_owned(),
            };
            let _ = write!(text, "Supervisor: {by}.");
            if let Some(reason) = reason {
                let _ = write!(text, " Context: {context}. Reason: {reason}. Offender:");
            } else {
                text.push_str(" Started:");
            }
            let _ = write!(text, " id={id},{number}.");
        } else {
            let _ = writeln!(text, "    supervisor: {by}");
            if let Some(reason) = reason {
                let _ = writeln!(text, "    errorContext: {context}");
                let _ = writeln!(text, "    reason: {reason}");
            }
            let _ = writeln!(
                text,
                "    {who}: {}",
                format.term(self.offender.to_term().root())
            );
        }
        format.cut(text, 1)
    }
}

/// Who reports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reporter {
    pid: Pid,
    name: Option<Atom>,
}

impl Reporter {
    /// The calling process, under the name that it has.
    pub(crate) fn new(cx: &Context) -> Self {
        let info = cx.process_info(cx.pid());
        Self {
            pid: cx.pid(),
            name: info.and_then(|info| info.registered_name),
        }
    }

    /// A child started.
    pub(crate) fn progress(&self, cx: &Context, spec: &ChildSpec, pid: Pid) {
        tracing::debug!(
            event = "progress",
            supervisor = %self.pid,
            registered_name = self.name.map(Atom::as_str),
            child = spec.id.as_str(),
            %pid,
            "progress"
        );
        self.hand_over(cx, ReportContext::Progress, None, || {
            Offender::of(spec, Some(pid))
        });
    }

    /// Something went wrong with a child.
    pub(crate) fn error(
        &self,
        cx: &Context,
        context: ReportContext,
        reason: &ExitReason,
        spec: &ChildSpec,
        pid: Option<Pid>,
    ) {
        self.offence(cx, context, reason, &Offender::of(spec, pid));
    }

    /// As [`error`](Self::error), of somebody who is gone.
    pub(crate) fn offence(
        &self,
        cx: &Context,
        context: ReportContext,
        reason: &ExitReason,
        offender: &Offender,
    ) {
        tracing::error!(
            event = "supervisor_report",
            supervisor = %self.pid,
            registered_name = self.name.map(Atom::as_str),
            context = context.as_str(),
            %reason,
            child = offender.id.as_str(),
            pid = offender.pid.map(tracing::field::display),
            nb_children = offender.nb_children,
            mfargs = offender.mfargs.as_ref().map(tracing::field::display),
            restart_type = ?offender.restart_type,
            significant = offender.significant,
            shutdown = ?offender.shutdown,
            child_type = ?offender.child_type,
            "supervisor report"
        );
        self.hand_over(cx, context, Some(reason.clone()), || offender.clone());
    }

    fn hand_over(
        &self,
        cx: &Context,
        context: ReportContext,
        reason: Option<ExitReason>,
        offender: impl FnOnce() -> Offender,
    ) {
        cx.vm().report(&SupervisorReport {
            supervisor: self.pid,
            registered_name: self.name,
            context,
            reason,
            offender: offender(),
        });
    }
}

/// `reached_max_restart_intensity`.
pub(crate) fn reached_max_restart_intensity() -> ExitReason {
    match Atom::new("reached_max_restart_intensity") {
        Ok(reason) => ExitReason::from(reason),
        Err(_) => ExitReason::shutdown(),
    }
}
