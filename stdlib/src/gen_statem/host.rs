//! A state machine, as a program outside of the VM sees it.

use std::fmt;

use otp_vm::{CallError, Run, SendError, Timeout, Vm};
use serde::de::DeserializeOwned;

use super::{GenStatem, StatemRef};
use crate::r#gen;

/// A reference for a program outside of the VM: its calls are waited for on a plain thread
/// ([`wait`](otp_vm::Run::wait)), or awaited in any async runtime. [`StatemRef::on`] gives it.
pub struct HostRef<'vm, M> {
    vm: &'vm Vm,
    machine: StatemRef<M>,
}

impl<'vm, M> HostRef<'vm, M> {
    pub(super) fn new(vm: &'vm Vm, machine: StatemRef<M>) -> Self {
        Self { vm, machine }
    }
}

impl<M: GenStatem> HostRef<'_, M> {
    /// Sends a request and gives what becomes of it, for ever: [`StatemRef::call`]. Dropping that leaves the call under
    /// way.
    ///
    /// # Errors
    /// Those of [`Run`], when the process that calls is not made or ended; inside, those of the call.
    pub fn call(&self, request: M::Call) -> Run<Result<M::Reply, CallError>>
    where
        M::Reply: DeserializeOwned,
    {
        self.call_timeout(request, Timeout::Infinity)
    }

    /// As [`call`](Self::call), for at most so long: [`StatemRef::call_timeout`].
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_timeout(
        &self,
        request: M::Call,
        after: impl Into<Timeout>,
    ) -> Run<Result<M::Reply, CallError>>
    where
        M::Reply: DeserializeOwned,
    {
        r#gen::host_call(self.vm, self.machine.target(), &request, after.into())
    }

    /// Sends a message and does not wait: [`StatemRef::cast`]. What is cast by a pid or a name arrives in the order it
    /// was cast; a reference by anything else is looked up by a process of its own.
    ///
    /// # Errors
    /// When the message can't be serialised.
    pub fn cast(&self, event: M::Cast) -> Result<(), SendError> {
        r#gen::host_cast(self.vm, self.machine.target(), &event)
    }
}

impl<M> Clone for HostRef<'_, M> {
    fn clone(&self) -> Self {
        Self::new(self.vm, self.machine.clone())
    }
}

impl<M> fmt::Debug for HostRef<'_, M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("HostRef")
            .field(&self.machine)
            .finish()
    }
}
