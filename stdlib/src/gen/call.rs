//! Calls and casts to a [`Target`], stops, and the reasons of who exits by them.

use std::time::Duration;

use otp_vm::{CallError, Context, Destination, ExitReason, OwnedTerm, SendError, Timeout};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Target;
use crate::proc_lib::{self, StopError};

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

/// The reason of a process that exits by a failed call: `{Reason, {Module, Function, [Server, Request, Timeout]}}`.
pub(crate) fn exit_reason<M: Serialize + ?Sized>(
    reason: &ExitReason,
    (module, function): (&str, &str),
    target: &Target,
    request: &M,
    after: Timeout,
) -> ExitReason {
    let atom = |text| otp_vm::Atom::new(text).unwrap_or(otp_vm::atoms::UNDEFINED);
    let arguments = (target.to_term(), request, milliseconds(after));
    ExitReason::new(&(
        reason,
        (atom(module), atom(function), Arguments(&arguments)),
    ))
}

/// As OTP counts.
fn milliseconds(after: Timeout) -> Milliseconds {
    match after {
        Timeout::Infinity => Milliseconds::Infinity,
        Timeout::After(after) => {
            Milliseconds::After(u64::try_from(after.as_millis()).unwrap_or(u64::MAX))
        }
    }
}

enum Milliseconds {
    Infinity,
    After(u64),
}

impl Serialize for Milliseconds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Infinity => serializer.serialize_unit_variant("Timeout", 0, "infinity"),
            Self::After(milliseconds) => serializer.serialize_u64(*milliseconds),
        }
    }
}

/// A list of values of several types.
struct Arguments<'a, M: ?Sized>(&'a (OwnedTerm, &'a M, Milliseconds));

impl<M: Serialize + ?Sized> Serialize for Arguments<'_, M> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeSeq;

        let (target, request, after) = self.0;
        let mut list = serializer.serialize_seq(Some(3))?;
        list.serialize_element(target)?;
        list.serialize_element(request)?;
        list.serialize_element(after)?;
        list.end()
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
