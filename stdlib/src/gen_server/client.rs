//! The client's side: typed references, calls, casts, requests.

use std::marker::PhantomData;

use otp_vm::{CallError, Context, ExitReason, SendError, Timeout, Vm};
use serde::de::DeserializeOwned;

use super::{GenServer, HostRef};
use crate::r#gen::{self, CALL_TIMEOUT, MultiCall, RequestId, Target};
use crate::proc_lib::StopError;
use crate::sys;

/// A typed reference to a server: by pid, by name, or through what else keeps names.
///
/// Cheap to clone, and a message may carry it. A name is resolved at each use, so a reference by
/// name or registry survives a restart of the server; one by pid names this incarnation only.
///
/// Its calls wait for [`CALL_TIMEOUT`], or as [`timeout`](Self::timeout) says.
pub struct ServerRef<S> {
    target: Target,
    call_timeout: Timeout,
    server: PhantomData<fn(S)>,
}

impl<S> ServerRef<S> {
    /// Whatever the target names.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            call_timeout: Timeout::After(CALL_TIMEOUT),
            server: PhantomData,
        }
    }

    /// The same, for calls that wait so long.
    ///
    /// ```
    /// # use otp_stdlib::prelude::*;
    /// # use otp_vm::{Context, Vm};
    /// use std::time::Duration;
    ///
    /// # struct Cache;
    /// #
    /// #[gen_server]
    /// impl Cache {
    ///     // …
    /// #     fn init() -> Self {
    /// #         Cache
    /// #     }
    /// #
    ///     #[call]
    ///     fn get(&mut self, key: String) -> Option<String> {
    /// #         Some(key)
    ///         // …
    ///     }
    /// }
    ///
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let run = vm.run(async |mut cx: Context| {
    /// let cache = Cache::start_link(&mut cx, ()).await.unwrap();
    /// let value = cache.timeout(Duration::from_millis(100)).get(&mut cx, "key".into()).await;
    /// # value
    /// # });
    /// # assert_eq!(run.wait()?.ok().flatten().as_deref(), Some("key"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn timeout(&self, after: impl Into<Timeout>) -> Self {
        Self {
            call_timeout: after.into(),
            ..self.clone()
        }
    }

    pub(super) fn waits_for(&self) -> Timeout {
        self.call_timeout
    }

    /// The same, for a program outside of the VM.
    pub fn on<'vm>(&self, vm: &'vm Vm) -> HostRef<'vm, S> {
        HostRef::new(vm, self.clone())
    }

    r#gen::reference!("server");
}

impl<S: GenServer> ServerRef<S>
where
    S::Reply: DeserializeOwned,
{
    /// Sends a request and waits for the reply, for at most [`CALL_TIMEOUT`], or as [`timeout`](Self::timeout) says.
    /// `gen_server:call/2`.
    ///
    /// Dropping the future gives the call up; the server handles the request all the same.
    ///
    /// # Errors
    /// [`CallError::Exit`] carries the reason with which the server ended (`noproc`: there was
    /// none), [`CallError::Timeout`] that it took too long. A late reply is dropped.
    /// [`CallError::Decode`]: the server is not an `S`, or does not know the request.
    pub fn call(
        &self,
        cx: &mut Context,
        request: S::Call,
    ) -> impl Future<Output = Result<S::Reply, CallError>> + Send {
        self.request(cx, request)
    }

    /// As [`call`](Self::call), with a time of the caller's. `gen_server:call/3`.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub fn call_timeout(
        &self,
        cx: &mut Context,
        request: S::Call,
        after: impl Into<Timeout>,
    ) -> impl Future<Output = Result<S::Reply, CallError>> + Send {
        r#gen::call(cx, &self.target, request, after.into())
    }

    /// As [`call_timeout`](Self::call_timeout) for who can't go on without the reply: **the caller exits** where that
    /// gives an error, with OTP's reason, `{Reason, {gen_server, call, [Server, Request, Timeout]}}`.
    ///
    /// ```
    /// # use otp_stdlib::prelude::*;
    /// # use otp_vm::{Context, Timeout, Vm};
    /// # use std::time::Duration;
    /// # struct S;
    /// # impl GenServer for S {
    /// #     type Args = ();
    /// #     type Call = u32;
    /// #     type Reply = ();
    /// #     type Cast = NoMessage;
    /// #     type Info = NoMessage;
    /// #     type Continue = NoMessage;
    /// #     async fn init(_: (), _: &mut Context) -> Init<Self> { Init::ok(S) }
    /// # }
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let reason = vm.run(async |mut cx: Context| {
    ///     let (_, monitor) = cx
    ///         .spawn_monitor(async |mut cx: Context| {
    ///             let nobody = ServerRef::<S>::from_name("nobody").unwrap();
    ///             nobody.call_or_exit(&mut cx, 7, Duration::from_secs(1)).await
    ///         })
    ///         .unwrap();
    ///     cx.await_down(monitor).await.reason
    /// });
    /// assert_eq!(reason.wait()?.to_string(), "{noproc,{gen_server,call,[nobody,7,1000]}}");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn call_or_exit(
        &self,
        cx: &mut Context,
        request: S::Call,
        after: impl Into<Timeout>,
    ) -> S::Reply {
        let after = after.into();
        match r#gen::call(cx, &self.target, &request, after).await {
            Ok(reply) => reply,
            Err(error) => {
                let call = (&self.target, vec![sys::term(&request)], after);
                r#gen::exit_by_call(cx, &error, "gen_server", call)
            }
        }
    }

    /// Sends a request to all of them at once, and waits for all replies. `gen_server:multi_call/4`, by references in
    /// place of nodes: who gives no reply in time, or isn't there, is among the bad.
    ///
    /// Dropping the future gives the calls up. Late replies are dropped.
    pub async fn multi_call<'s>(
        cx: &mut Context,
        servers: impl IntoIterator<Item = &'s Self> + Send,
        request: &S::Call,
        after: impl Into<Timeout>,
    ) -> MultiCall<Self, S::Reply>
    where
        S: 's,
    {
        let servers: Vec<&Self> = servers.into_iter().collect();
        r#gen::multi_call(cx, servers, Self::target, request, after.into()).await
    }

    /// Sends a request and returns at once; the response comes as a message, and is fetched by what this gives, or by
    /// a collection of those ([`RequestIds`](super::RequestIds)). `gen_server:send_request/2`.
    ///
    /// That nobody is there is told by the response.
    ///
    /// # Errors
    /// When the request can't be serialised, or the server's mailbox refuses it.
    pub fn send_request(
        &self,
        cx: &Context,
        request: S::Call,
    ) -> Result<RequestId<S::Reply>, SendError> {
        r#gen::send_request(cx, &self.target, &request)
    }
}

impl<S: GenServer> ServerRef<S> {
    /// What the client functions of [`gen_server`](macro@crate::gen_server) call: each knows the type of its reply.
    #[doc(hidden)]
    pub fn request<R: DeserializeOwned>(
        &self,
        cx: &mut Context,
        request: S::Call,
    ) -> impl Future<Output = Result<R, CallError>> + Send {
        r#gen::call(cx, &self.target, request, self.call_timeout)
    }

    /// As [`send_request`](Self::send_request) where each request has a reply of its own type, as those of the
    /// attribute [`gen_server`](macro@crate::gen_server) have: the caller says which.
    ///
    /// ```
    /// use otp_stdlib::prelude::*;
    /// use otp_vm::{Context, Vm};
    ///
    /// struct Doubler;
    ///
    /// #[gen_server]
    /// impl Doubler {
    ///     fn init() -> Self {
    ///         Doubler
    ///     }
    ///
    ///     #[call]
    ///     fn double(&mut self, n: u64) -> u64 {
    ///         2 * n
    ///     }
    /// }
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let doubled = vm.run(async |mut cx: Context| {
    ///     let doubler = Doubler::start_link(&mut cx, ()).await.unwrap();
    ///     let request = doubler.send_request_as::<u64>(&cx, DoublerCall::Double(21)).unwrap();
    ///     // Meanwhile something else is done.
    ///     request.receive_response(&mut cx, None).await.unwrap()
    /// });
    /// assert_eq!(doubled.wait()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`send_request`](Self::send_request). With a type that the reply is not of, the response is a
    /// [`CallError::Decode`].
    pub fn send_request_as<R: DeserializeOwned>(
        &self,
        cx: &Context,
        request: S::Call,
    ) -> Result<RequestId<R>, SendError> {
        r#gen::send_request(cx, &self.target, &request)
    }

    /// Sends a message and does not wait. Silent if nobody is there. `gen_server:cast/2`.
    ///
    /// # Errors
    /// Only when the message can't be serialised.
    pub fn cast(&self, cx: &Context, request: S::Cast) -> Result<(), SendError> {
        r#gen::cast(cx, &self.target, &request)
    }

    /// Sends a message to all of them. `gen_server:abcast/2,3`, by references in place of nodes.
    ///
    /// # Errors
    /// As [`cast`](Self::cast), the first one; the other servers got theirs.
    pub fn abcast<'s>(
        cx: &Context,
        servers: impl IntoIterator<Item = &'s Self>,
        request: &S::Cast,
    ) -> Result<(), SendError> {
        let targets = servers.into_iter().map(|server| &server.target);
        r#gen::abcast(cx, targets, request)
    }

    /// Asks the server to end with `reason`, and waits until it has. `gen_server:stop/3`.
    ///
    /// The server takes the request in its turn among the messages, and calls `terminate`.
    ///
    /// # Errors
    /// [`StopError::Exit`] when it ended with another reason (`noproc`: it was not there),
    /// [`StopError::Timeout`] when it did not end in time; the request stands.
    pub async fn stop(
        &self,
        cx: &mut Context,
        reason: impl Into<ExitReason>,
        after: impl Into<Timeout>,
    ) -> Result<(), StopError> {
        r#gen::stop(cx, &self.target, reason.into(), after.into()).await
    }
}

impl<S> Clone for ServerRef<S> {
    fn clone(&self) -> Self {
        Self {
            target: self.target.clone(),
            ..*self
        }
    }
}

r#gen::reference_traits!(ServerRef<S>);
