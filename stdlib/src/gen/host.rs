//! Calls and casts of a program outside of the VM.

use otp_vm::{CallError, Context, Destination, OwnedTerm, Run, SendError, Timeout, Vm};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Target;

/// Has a process of its own make the call.
pub(crate) fn host_call<M: Serialize, R: DeserializeOwned + Send + 'static>(
    vm: &Vm,
    target: &Target,
    request: &M,
    after: Timeout,
) -> Run<Result<R, CallError>> {
    let target = target.clone();
    // Serialised here: that it can't be is told before a process is made.
    let request = otp_vm::to_term(request);
    vm.run(async move |mut cx| super::call(&mut cx, &target, &request?, after).await)
}

/// Casts, by a pid or a name in the order of the casts; who is known by anything else is looked up by a process of its
/// own.
///
/// # Errors
/// When the message can't be serialised.
pub(crate) fn host_cast<M: Serialize>(
    vm: &Vm,
    target: &Target,
    request: &M,
) -> Result<(), SendError> {
    match plain(target) {
        Some(to) => vm.cast(to, request),
        None => by_process(vm, target, request, |cx, target, request| {
            super::cast(cx, target, request)
        }),
    }
}

/// Sends a message as it is, as [`host_cast`] casts.
///
/// # Errors
/// As those of [`Vm::send`]; by anything but a pid or a name, only when the message can't be serialised.
pub(crate) fn host_send<M: Serialize>(
    vm: &Vm,
    target: &Target,
    message: &M,
) -> Result<(), SendError> {
    match plain(target) {
        Some(to) => vm.send(to, message),
        None => by_process(vm, target, message, |cx, target, message| {
            cx.send(target.resolve(cx), message)
        }),
    }
}

/// Whom a program reaches without a process of its own.
fn plain(target: &Target) -> Option<Destination> {
    match *target {
        Target::Pid(pid) => Some(pid.into()),
        Target::Name(name) => Some(name.into()),
        Target::NameAt(name, node) => Some((name, node).into()),
        _ => None,
    }
}

fn by_process<M: Serialize>(
    vm: &Vm,
    target: &Target,
    message: &M,
    send: fn(&Context, &Target, &OwnedTerm) -> Result<(), SendError>,
) -> Result<(), SendError> {
    let (target, message) = (target.clone(), otp_vm::to_term(message)?);
    // A VM that takes no process more has nobody who would look the name up.
    let _ = vm.spawn(async move |cx: Context| drop(send(&cx, &target, &message)));
    Ok(())
}
