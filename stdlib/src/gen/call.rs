//! Calls and casts to a [`Target`], stops, and the reasons of who exits by them.

use std::time::Duration;

use otp_vm::{
    CallError, Context, DecodeError, Destination, ExitReason, OwnedTerm, ReplyTo, SendError,
    Timeout,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Target;
use crate::proc_lib::{self, StopError};
use crate::sys;

/// How long a call waits unless told otherwise: OTP's 5 seconds.
pub const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// `gen:call/4`. References give this very future: each layer of async is polled, and its result moved, at each call.
pub(crate) async fn call<M: Serialize, R: DeserializeOwned>(
    cx: &mut Context,
    target: &Target,
    request: M,
    after: Timeout,
) -> Result<R, CallError> {
    if let Some(node) = target.other_node(cx) {
        return Err(CallError::Exit(Target::node_down(node)));
    }
    cx.begin_call(target.resolve(cx), &request, after)?.await
}

/// `gen_server:cast/2`: nobody is no error.
pub(crate) fn cast<M: Serialize>(
    cx: &Context,
    target: &Target,
    request: &M,
) -> Result<(), SendError> {
    cx.cast(target.resolve(cx), request)
}

/// `gen:stop/3`.
pub(crate) async fn stop(
    cx: &mut Context,
    target: &Target,
    reason: ExitReason,
    after: Timeout,
) -> Result<(), StopError> {
    if let Some(node) = target.other_node(cx) {
        return Err(StopError::Exit(Target::node_down(node)));
    }
    match target.resolve(cx) {
        Destination::Nobody => Err(StopError::Exit(ExitReason::noproc())),
        destination => proc_lib::stop(cx, destination, reason, after).await,
    }
}

/// Answers a call that did not decode, `{bad_call, Text}`: its caller fails at once, in place of its timeout.
pub(crate) fn bad_call(cx: &Context, from: &ReplyTo, error: &DecodeError) {
    // The caller may be gone: a reply to nobody is not an error.
    let _ = cx.reply(from, &(sys::atom_of("bad_call"), error.to_string()));
}

/// Exits by a failed call: `{Reason, {Module, call, [Server, Request, Timeout]}}`, where what is requested may be more
/// than one term.
pub(crate) fn exit_by_call(
    cx: &Context,
    error: &CallError,
    module: &str,
    (target, request, after): (&Target, Vec<OwnedTerm>, Timeout),
) -> ! {
    let mut arguments = request;
    arguments.insert(0, target.to_term());
    arguments.push(milliseconds(after));
    let call = (sys::atom(module), sys::atom("call"), arguments);
    cx.exit(ExitReason::new(&(error.reason(), call)))
}

/// A time as OTP counts it: whole milliseconds, or `infinity`.
pub(crate) fn milliseconds(after: Timeout) -> OwnedTerm {
    match after {
        Timeout::Infinity => sys::atom("infinity"),
        Timeout::After(after) => sys::term(&u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// It is gone while the reply is waited for: a request need only be `Send`.
    #[test]
    fn a_request_may_be_of_use_to_one_thread_only() {
        fn check<'a>(cx: &'a mut Context, target: &'a Target) -> impl Future + Send + 'a {
            call::<_, u32>(cx, target, Cell::new(1), Timeout::Infinity)
        }
        let _ = check;
    }
}
