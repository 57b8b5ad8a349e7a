//! The client's side: references to managers, events, and what one asks of handlers.

use std::marker::PhantomData;

use otp_vm::{CallError, Context, ExitReason, Native, OwnedTerm, SendError, Timeout, Vm};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::Tag;
use super::{
    Event, EventHandler, Handler, HandlerError, HandlerId, HostRef, Install, ManagerError,
};
use crate::done::Done;
use crate::r#gen::{self, CALL_TIMEOUT, RequestId, Target};
use crate::proc_lib::StopError;
use crate::sys;

/// A reference to a manager of events `E`: by pid, by name, or through what else keeps names. OTP's `emgr_ref()`.
///
/// Cheap to clone, and a message may carry it. A name is resolved at each use.
///
/// Functions that change the handlers wait for ever, as OTP's do; [`call`](Self::call) waits for [`CALL_TIMEOUT`].
/// Dropping the future of any gives the wait up, and the manager does what it was asked all the same.
pub struct EventManagerRef<E> {
    target: Target,
    event: PhantomData<fn(E)>,
}

impl<E> EventManagerRef<E> {
    /// Whatever the target names.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            event: PhantomData,
        }
    }

    /// The same, for a program outside of the VM.
    pub fn on<'vm>(&self, vm: &'vm Vm) -> HostRef<'vm, E> {
        HostRef::new(vm, self.clone())
    }

    r#gen::reference!("manager");

    pub(super) async fn ask<M: Serialize, R: DeserializeOwned>(
        &self,
        cx: &mut Context,
        request: M,
        after: Timeout,
    ) -> Result<R, CallError> {
        r#gen::call(cx, &self.target, request, after).await
    }
}

impl<E: Event> EventManagerRef<E> {
    /// Has every handler handle an event, newest first, and does not wait. `gen_event:notify/2`.
    ///
    /// The message is `{notify, Event}`: any process may send it, without this function.
    ///
    /// # Errors
    /// [`SendError::NoName`] when nobody has the reference's local name, as OTP's `badarg`; one who is gone is no
    /// error. Else when the event can't be serialised, or the manager's mailbox refuses it.
    pub fn notify(&self, cx: &Context, event: &E) -> Result<(), SendError> {
        let sent = cx.send(self.target.resolve(cx), &(Tag::Notify, event));
        notified(&self.target, sent)
    }

    /// As [`notify`](Self::notify), and returns when every handler has handled the event. `gen_event:sync_notify/2`.
    ///
    /// # Errors
    /// As those of a call; never because of a handler.
    pub async fn sync_notify(&self, cx: &mut Context, event: &E) -> Result<(), CallError> {
        let request = (Tag::SyncNotify, event);
        self.ask::<_, Done<HandlerError>>(cx, &request, Timeout::Infinity)
            .await
            .map(drop)
    }

    /// Adds a handler, in front of the others. It runs its `init` in the manager's process, which takes the arguments
    /// by moving: they need be no terms. `gen_event:add_handler/3`.
    ///
    /// A second one of the same id is added as well.
    ///
    /// # Errors
    /// [`HandlerError::Error`] with the reason that `init` returned, [`HandlerError::Exit`] when it panicked: it is not
    /// added. [`ManagerError::Call`] when there is no answer: `noproc`, no manager.
    pub async fn add_handler<H: EventHandler<Event = E>>(
        &self,
        cx: &mut Context,
        handler: Handler<H>,
        args: H::Args,
    ) -> Result<(), ManagerError> {
        let Install { id, make } = Install::new(handler, args);
        let request = (Tag::AddHandler, id, Native::new(make));
        self.done(cx, &request).await
    }

    /// As [`add_handler`](Self::add_handler), and the caller supervises the handler. `gen_event:add_sup_handler/3`.
    ///
    /// The manager and the caller are linked from now on. When the handler is removed, for whatever reason, the caller
    /// gets a [`GenEventExit`](super::GenEventExit). When the caller ends, the handler is removed, with
    /// [`Terminate::StopReason`](super::Terminate::StopReason).
    ///
    /// # Errors
    /// As [`add_handler`](Self::add_handler). The link stays.
    pub async fn add_sup_handler<H: EventHandler<Event = E>>(
        &self,
        cx: &mut Context,
        handler: Handler<H>,
        args: H::Args,
    ) -> Result<(), ManagerError> {
        let Install { id, make } = Install::new(handler, args);
        let request = (Tag::AddSupHandler, id, Native::new(make), cx.pid());
        self.done(cx, &request).await
    }

    /// Removes a handler, and gives what its `terminate` gives, which gets the arguments.
    /// `gen_event:delete_handler/3`.
    ///
    /// # Errors
    /// [`HandlerError::ModuleNotFound`]: there is no such handler. [`HandlerError::Exit`]: its `terminate` panicked; it
    /// is gone all the same.
    pub async fn delete_handler<A: Serialize + Send + Sync>(
        &self,
        cx: &mut Context,
        handler: impl Into<HandlerId> + Send,
        args: &A,
    ) -> Result<OwnedTerm, ManagerError> {
        let request = (Tag::DeleteHandler, handler.into(), args);
        let deleted: Result<OwnedTerm, HandlerError> =
            self.ask(cx, &request, Timeout::Infinity).await?;
        Ok(deleted?)
    }

    /// Puts a handler in the place of another: `terminate` of the old one gets `args`, and what it gives goes to
    /// [`init_swapped`](EventHandler::init_swapped) of the new one. Who supervised the old one supervises the new one.
    /// If the old one is not there, the new one is added, and told so. `gen_event:swap_handler/3`.
    ///
    /// # Errors
    /// As [`add_handler`](Self::add_handler). The old one is gone.
    pub async fn swap_handler<A: Serialize + Send + Sync>(
        &self,
        cx: &mut Context,
        (old, args): (impl Into<HandlerId> + Send, &A),
        new: Install<E>,
    ) -> Result<(), ManagerError> {
        let make = Native::new(new.make);
        let request = (Tag::SwapHandler, old.into(), args, new.id, make);
        self.done(cx, &request).await
    }

    /// As [`swap_handler`](Self::swap_handler), and the caller supervises the new one.
    /// `gen_event:swap_sup_handler/3`.
    ///
    /// # Errors
    /// As [`swap_handler`](Self::swap_handler).
    pub async fn swap_sup_handler<A: Serialize + Send + Sync>(
        &self,
        cx: &mut Context,
        (old, args): (impl Into<HandlerId> + Send, &A),
        new: Install<E>,
    ) -> Result<(), ManagerError> {
        let make = Native::new(new.make);
        let old = old.into();
        let request = (Tag::SwapSupHandler, old, args, new.id, make, cx.pid());
        self.done(cx, &request).await
    }

    async fn done<M: Serialize>(&self, cx: &mut Context, request: &M) -> Result<(), ManagerError> {
        let done: Done<HandlerError> = self.ask(cx, request, Timeout::Infinity).await?;
        Ok(done.into_result()?)
    }

    /// Asks one handler, and waits for its reply for at most [`CALL_TIMEOUT`]. `gen_event:call/3`.
    ///
    /// # Errors
    /// [`HandlerError::BadModule`]: there is no such handler. [`HandlerError::Error`] and [`HandlerError::Exit`]: it
    /// failed, and is gone. [`ManagerError::Call`]: the manager did not answer.
    pub async fn call<H>(
        &self,
        cx: &mut Context,
        handler: &Handler<H>,
        request: H::Call,
    ) -> Result<H::Reply, ManagerError>
    where
        H: EventHandler<Event = E>,
        H::Reply: DeserializeOwned,
    {
        self.call_timeout(cx, handler, request, CALL_TIMEOUT).await
    }

    /// As [`call`](Self::call), with a time of the caller's. `gen_event:call/4`.
    ///
    /// # Errors
    /// As [`call`](Self::call).
    pub async fn call_timeout<H>(
        &self,
        cx: &mut Context,
        handler: &Handler<H>,
        request: H::Call,
        after: impl Into<Timeout> + Send,
    ) -> Result<H::Reply, ManagerError>
    where
        H: EventHandler<Event = E>,
        H::Reply: DeserializeOwned,
    {
        self.ask_handler(cx, handler.id(), request, after.into())
            .await
    }

    /// As [`call_timeout`](Self::call_timeout) for who can't go on without the manager: **the caller exits** where that
    /// does not answer, with OTP's reason, `{Reason, {gen_event, call, [Manager, Handler, Request, Timeout]}}`.
    ///
    /// # Errors
    /// The manager's answer: there is no such handler, or it failed.
    pub async fn call_or_exit<H>(
        &self,
        cx: &mut Context,
        handler: &Handler<H>,
        request: H::Call,
        after: impl Into<Timeout> + Send,
    ) -> Result<H::Reply, HandlerError>
    where
        H: EventHandler<Event = E>,
        H::Reply: DeserializeOwned,
    {
        let (id, after) = (handler.id(), after.into());
        match self.ask_handler(cx, id, &request, after).await {
            Ok(reply) => Ok(reply),
            Err(ManagerError::Handler(error)) => Err(error),
            Err(ManagerError::Call(error)) => {
                let request = vec![sys::term(id), sys::term(&request)];
                let call = (&self.target, request, after);
                r#gen::exit_by_call(cx, &error, "gen_event", call)
            }
        }
    }

    /// As [`call`](Self::call) for a handler whose type the caller does not know: request and reply are terms.
    ///
    /// # Errors
    /// As [`call`](Self::call). A request that the handler does not have is a [`HandlerError::Error`] with
    /// `{bad_call, Text}`.
    pub async fn call_term<M: Serialize + Send + Sync>(
        &self,
        cx: &mut Context,
        handler: impl Into<HandlerId> + Send,
        request: &M,
        after: impl Into<Timeout> + Send,
    ) -> Result<OwnedTerm, ManagerError> {
        self.ask_handler(cx, &handler.into(), request, after.into())
            .await
    }

    async fn ask_handler<M: Serialize, R: DeserializeOwned>(
        &self,
        cx: &mut Context,
        handler: &HandlerId,
        request: M,
        after: Timeout,
    ) -> Result<R, ManagerError> {
        let request = (Tag::Call, handler, request);
        let reply: Result<R, HandlerError> = self.ask(cx, request, after).await?;
        Ok(reply?)
    }

    /// Sends a request to one handler and returns at once; the response comes as a message, and is fetched by what
    /// this gives, or by a collection of those ([`RequestIds`](super::RequestIds)). `gen_event:send_request/3`.
    ///
    /// # Errors
    /// When the request can't be serialised, or the manager's mailbox refuses it.
    pub fn send_request<H: EventHandler<Event = E>>(
        &self,
        cx: &Context,
        handler: &Handler<H>,
        request: H::Call,
    ) -> Result<RequestId<Result<H::Reply, HandlerError>>, SendError> {
        r#gen::send_request(cx, &self.target, &(Tag::Call, handler.id(), request))
    }

    /// The handlers, newest first. `gen_event:which_handlers/1`.
    ///
    /// # Errors
    /// As those of a call.
    pub async fn which_handlers(&self, cx: &mut Context) -> Result<Vec<HandlerId>, CallError> {
        self.ask(cx, &Tag::WhichHandlers, Timeout::Infinity).await
    }

    /// Asks the manager to end, after what came before, and waits until it has. Its handlers get
    /// [`Terminate::Stop`](super::Terminate::Stop). `gen_event:stop/3`; the defaults there are `normal` and infinity.
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

/// What becomes of an event that was sent, in OTP's own words: only a local name must be there.
pub(super) fn notified(target: &Target, sent: Result<(), SendError>) -> Result<(), SendError> {
    match sent {
        Err(SendError::NoName) if !matches!(target, Target::Name(_)) => Ok(()),
        sent => sent,
    }
}

impl<E> Clone for EventManagerRef<E> {
    fn clone(&self) -> Self {
        Self::new(self.target.clone())
    }
}

r#gen::reference_traits!(EventManagerRef<E>);
