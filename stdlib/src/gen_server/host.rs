//! A server, as a program outside of the VM sees it.

use std::fmt;

use otp_vm::{CallError, Run, SendError, Vm};
use serde::de::DeserializeOwned;

use super::{GenServer, ServerRef};
use crate::r#gen;

/// A reference for a program outside of the VM: its calls are waited for on a plain thread
/// ([`wait`](otp_vm::Run::wait)), or awaited in any async runtime. [`ServerRef::on`] gives it.
pub struct HostRef<'vm, S> {
    vm: &'vm Vm,
    server: ServerRef<S>,
}

impl<'vm, S> HostRef<'vm, S> {
    pub(super) fn new(vm: &'vm Vm, server: ServerRef<S>) -> Self {
        Self { vm, server }
    }
}

impl<S: GenServer> HostRef<'_, S> {
    /// Sends a request and gives what becomes of it: [`ServerRef::call`]. Dropping that leaves the call under way.
    ///
    /// # Errors
    /// Those of [`Run`], when the process that calls is not made or ended; inside, those of the call.
    pub fn call(&self, request: S::Call) -> Run<Result<S::Reply, CallError>>
    where
        S::Reply: DeserializeOwned,
    {
        self.request(request)
    }

    /// What the client functions of [`gen_server`](macro@crate::gen_server) call: each knows the type of its reply.
    #[doc(hidden)]
    pub fn request<R>(&self, request: S::Call) -> Run<Result<R, CallError>>
    where
        R: DeserializeOwned + Send + 'static,
    {
        let (target, after) = (self.server.target(), self.server.waits_for());
        r#gen::host_call(self.vm, target, &request, after)
    }

    /// Sends a message and does not wait: [`ServerRef::cast`]. What is cast by a pid or a name arrives in the order it
    /// was cast; a reference by anything else is looked up by a process of its own.
    ///
    /// # Errors
    /// When the message can't be serialised.
    pub fn cast(&self, request: S::Cast) -> Result<(), SendError> {
        r#gen::host_cast(self.vm, self.server.target(), &request)
    }
}

impl<S> Clone for HostRef<'_, S> {
    fn clone(&self) -> Self {
        Self::new(self.vm, self.server.clone())
    }
}

impl<S> fmt::Debug for HostRef<'_, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("HostRef")
            .field(&self.server)
            .finish()
    }
}
