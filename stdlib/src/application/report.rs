//! What the controller reports: that applications started, and that they ended.

use otp_vm::{Atom, Context, ExitReason, OwnedTerm};

use super::env::term;
use crate::proc_lib::Format;
use crate::supervisor::Restart;

/// A report of the controller: OTP's progress report, or its `exit`. It goes to the handler that the VM was built with
/// ([`report_handler`](otp_vm::VmBuilder::report_handler)), and to `tracing`: progress as `DEBUG`, an end that was
/// wanted as `INFO`, another as `WARN`.
#[derive(Debug)]
#[non_exhaustive]
pub enum ApplicationReport {
    /// It runs.
    Started {
        /// The application.
        application: Atom,
        /// The node's name.
        started_at: OwnedTerm,
    },
    /// It does not run any more, or did not start.
    Exited {
        /// The application.
        application: Atom,
        /// Why: `stopped`, if it was told to.
        exited: OwnedTerm,
        /// What it was started as.
        restart: Restart,
    },
}

impl ApplicationReport {
    /// The report as text, in the form of OTP's. `application_controller:format_log/1,2`.
    pub fn format(&self, format: Format) -> String {
        let (application, rest) = match self {
            Self::Started {
                application,
                started_at,
            } => (
                application,
                vec![("started_at", format.term(started_at.root()))],
            ),
            Self::Exited {
                application,
                exited,
                restart,
            } => {
                let exited = format.term(exited.root());
                let restart = format.term(term(restart).root());
                (application, vec![("exited", exited), ("type", restart)])
            }
        };
        let first = ("application", OwnedTerm::from(*application).to_string());
        let lines = std::iter::once(first).chain(rest);
        let text: Vec<String> = match format.is_single_line() {
            true => lines
                .map(|(key, value)| format!("{}: {value}.", title(key)))
                .collect(),
            false => lines
                .map(|(key, value)| format!("    {key}: {value}\n"))
                .collect(),
        };
        let between = if format.is_single_line() { " " } else { "" };
        format.cut(text.join(between), 1)
    }
}

/// `started_at` as it opens a sentence.
fn title(key: &str) -> String {
    let mut words = key.replace('_', " ");
    words[..1].make_ascii_uppercase();
    words
}

/// It runs.
pub(super) fn started(cx: &Context, application: Atom) {
    tracing::debug!(event = "progress", %application, "the application started");
    cx.vm().report(&ApplicationReport::Started {
        application,
        started_at: OwnedTerm::from(cx.node()),
    });
}

/// It does not run any more.
pub(super) fn exited(cx: &Context, application: Atom, reason: &ExitReason, restart: Restart) {
    if *reason != stopped() && reason.is_abnormal() {
        tracing::warn!(event = "application_exited", %application, %reason, ?restart, "the application ended");
    } else {
        tracing::info!(event = "application_exited", %application, %reason, ?restart, "the application ended");
    }
    cx.vm().report(&ApplicationReport::Exited {
        application,
        exited: reason.to_term(),
        restart,
    });
}

/// The reason of one that was told to.
pub(super) fn stopped() -> ExitReason {
    ExitReason::from(super::callback::atom("stopped"))
}
