//! Reports of the behaviours: events of `tracing`, each bounded in size.
//!
//! A reason prints itself within 4 KiB; everything else that comes from outside is cut here.

use otp_vm::{Message, MessageKind, Pid};

/// Longest text of an unknown message in a report, in bytes. Chosen by feel: what a line of a log
/// may hold.
pub(crate) const UNKNOWN_TEXT_LIMIT_BYTES: usize = 1024;

/// What a supervisor was doing when it had something to report: the context of OTP's
/// `supervisor_report`.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Doing {
    StartError,
    ChildTerminated,
    Shutdown,
    ShutdownError,
}

impl Doing {
    fn as_str(self) -> &'static str {
        match self {
            Self::StartError => "start_error",
            Self::ChildTerminated => "child_terminated",
            Self::Shutdown => "shutdown",
            Self::ShutdownError => "shutdown_error",
        }
    }
}

/// Something went wrong with a child.
pub(crate) fn supervisor(
    supervisor: Pid,
    doing: Doing,
    reason: &dyn std::fmt::Display,
    child: &str,
    pid: Option<Pid>,
) {
    tracing::error!(
        event = "supervisor_report",
        supervisor = %supervisor,
        context = doing.as_str(),
        %reason,
        child,
        pid = pid.map(tracing::field::display),
        "supervisor report"
    );
}

/// A child started.
pub(crate) fn progress(supervisor: Pid, child: &str, pid: Pid) {
    tracing::debug!(event = "progress", supervisor = %supervisor, child, pid = %pid, "progress");
}

/// What may be wrong with a message that did not decode: a text in the place of the variant's name.
pub(crate) fn hint(message: &Message) -> Option<&'static str> {
    let content = match message.kind() {
        MessageKind::Call { request, .. } | MessageKind::Cast(request) => request,
        _ => message.term(),
    };
    let tag = match content.as_tuple() {
        Some(tuple) => tuple.get(0)?,
        None => content,
    };
    tag.as_str()?;
    Some(
        "a text is a binary, and a variant's name an atom: send the variant itself, of a type that derives Serialize",
    )
}
