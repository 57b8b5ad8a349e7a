//! Calls and casts of a program outside of the VM.

use otp_vm::{CallError, Run, SendError, Timeout, Vm};
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
    match target {
        Target::Pid(pid) => vm.cast(*pid, request),
        Target::Name(name) => vm.cast(*name, request),
        Target::NameAt(name, node) => vm.cast((*name, *node), request),
        other => {
            let (target, request) = (other.clone(), otp_vm::to_term(request)?);
            // A VM that takes no process more has nobody who would look the name up.
            let cast = async move |cx| drop(super::cast(&cx, &target, &request));
            let _ = vm.spawn(cast);
            Ok(())
        }
    }
}
