//! The client's side: typed references, calls, casts, requests.

use std::marker::PhantomData;

use otp_vm::{CallError, Context, ExitReason, SendError, Timeout, Vm};
use serde::de::DeserializeOwned;

use super::{GenStatem, HostRef};
use crate::r#gen::{self, RequestId, Target};
use crate::proc_lib::StopError;
use crate::sys;

/// A typed reference to a state machine: by pid, by name, or through what else keeps names.
///
/// Cheap to clone, and a message may carry it. A name is resolved at each use, so a reference by name or registry
/// survives a restart; one by pid names this incarnation only.
pub struct StatemRef<M> {
    target: Target,
    machine: PhantomData<fn(M)>,
}

impl<M> StatemRef<M> {
    /// Whatever the target names.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            machine: PhantomData,
        }
    }

    /// The same, for a program outside of the VM.
    pub fn on<'vm>(&self, vm: &'vm Vm) -> HostRef<'vm, M> {
        HostRef::new(vm, self.clone())
    }

    r#gen::reference!("machine");
}

impl<M: GenStatem> StatemRef<M>
where
    M::Reply: DeserializeOwned,
{
    /// Sends a request and waits for the reply, for ever: a state machine may have it wait for another state.
    /// `gen_statem:call/2`.
    ///
    /// Dropping the future gives the call up; the machine handles the request all the same.
    ///
    /// # Errors
    /// [`CallError::Exit`] carries the reason with which the machine ended (`noproc`: there was none),
    /// [`CallError::Decode`]: it is not an `M`, or does not know the request.
    pub fn call(
        &self,
        cx: &mut Context,
        request: M::Call,
    ) -> impl Future<Output = Result<M::Reply, CallError>> + Send {
        self.call_timeout(cx, request, Timeout::Infinity)
    }

    /// As [`call`](Self::call), for at most so long. `gen_statem:call/3`; all of its calls are clean: a late reply is
    /// dropped.
    ///
    /// # Errors
    /// As [`call`](Self::call), and [`CallError::Timeout`].
    pub fn call_timeout(
        &self,
        cx: &mut Context,
        request: M::Call,
        after: impl Into<Timeout>,
    ) -> impl Future<Output = Result<M::Reply, CallError>> + Send {
        r#gen::call(cx, &self.target, request, after.into())
    }

    /// As [`call_timeout`](Self::call_timeout) for who can't go on without the reply: **the caller exits** where that
    /// gives an error, with OTP's reason, `{Reason, {gen_statem, call, [Machine, Request, Timeout]}}`.
    pub async fn call_or_exit(
        &self,
        cx: &mut Context,
        request: M::Call,
        after: impl Into<Timeout>,
    ) -> M::Reply {
        let after = after.into();
        match r#gen::call(cx, &self.target, &request, after).await {
            Ok(reply) => reply,
            Err(error) => {
                let call = (&self.target, vec![sys::term(&request)], after);
                r#gen::exit_by_call(cx, &error, "gen_statem", call)
            }
        }
    }

    /// Sends a request and returns at once; the response comes as a message, and is fetched by what this gives, or by
    /// a collection of those ([`RequestIds`](super::RequestIds)). `gen_statem:send_request/2`.
    ///
    /// That nobody is there is told by the response.
    ///
    /// # Errors
    /// When the request can't be serialised, or the machine's mailbox refuses it.
    pub fn send_request(
        &self,
        cx: &Context,
        request: M::Call,
    ) -> Result<RequestId<M::Reply>, SendError> {
        r#gen::send_request(cx, &self.target, &request)
    }
}

impl<M: GenStatem> StatemRef<M> {
    /// Sends a message and does not wait. Silent if nobody is there. `gen_statem:cast/2`.
    ///
    /// # Errors
    /// Only when the message can't be serialised.
    pub fn cast(&self, cx: &Context, event: M::Cast) -> Result<(), SendError> {
        r#gen::cast(cx, &self.target, &event)
    }

    /// Asks the machine to end with `reason`, and waits until it has. `gen_statem:stop/3`.
    ///
    /// The machine takes the request in its turn among the messages, and calls `terminate`.
    ///
    /// # Errors
    /// [`StopError::Exit`] when it ended with another reason (`noproc`: it was not there), [`StopError::Timeout`] when
    /// it did not end in time; the request stands.
    pub async fn stop(
        &self,
        cx: &mut Context,
        reason: impl Into<ExitReason>,
        after: impl Into<Timeout>,
    ) -> Result<(), StopError> {
        r#gen::stop(cx, &self.target, reason.into(), after.into()).await
    }
}

impl<M> Clone for StatemRef<M> {
    fn clone(&self) -> Self {
        Self::new(self.target.clone())
    }
}

r#gen::reference_traits!(StatemRef<M>);
