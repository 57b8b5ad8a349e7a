//! The parent of a process that becomes a behaviour by itself.

use otp_vm::{Ancestor, Context, ExitReason, Pid};
use serde::Serialize;

/// Whoever started the calling process, by [`proc_lib`](crate::proc_lib). `gen:get_parent/0`.
///
/// # Errors
/// `process_was_not_started_by_proc_lib`, or `could_not_find_registered_name` of one that was known by a name.
pub(crate) fn parent(cx: &Context) -> Result<Pid, ExitReason> {
    let origin = cx.origin();
    let nearest = origin.and_then(|origin| origin.ancestors().first().copied());
    match nearest {
        Some(Ancestor::Pid(pid)) => Ok(pid),
        Some(Ancestor::Name(name)) => cx
            .whereis(name.as_str())
            .ok_or_else(|| ExitReason::new(&NoParent::CouldNotFindRegisteredName)),
        None => Err(ExitReason::new(&NoParent::ProcessWasNotStartedByProcLib)),
    }
}

/// OTP's reasons.
#[derive(Serialize)]
enum NoParent {
    ProcessWasNotStartedByProcLib,
    CouldNotFindRegisteredName,
}
