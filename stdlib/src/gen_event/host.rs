//! An event manager, as a program outside of the VM sees it.

use std::fmt;

use otp_vm::{CallError, OwnedTerm, Run, SendError, Timeout, Vm, to_term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::wire::Tag;
use super::{
    Event, EventHandler, EventManagerRef, Handler, HandlerError, HandlerId, Install, ManagerError,
};
use crate::done::Done;
use crate::r#gen::{self, CALL_TIMEOUT};

/// A reference for a program outside of the VM: what it asks is waited for on a plain thread
/// ([`wait`](otp_vm::Run::wait)), or awaited in any async runtime. [`EventManagerRef::on`] gives it.
///
/// Dropping what a function gives leaves what was asked under way. Each [`Run`] has errors of its own, when the process
/// that asks is not made or ended; inside are those of the function of [`EventManagerRef`].
///
/// A program is no process: it can't supervise handlers.
pub struct HostRef<'vm, E> {
    vm: &'vm Vm,
    manager: EventManagerRef<E>,
}

impl<'vm, E> HostRef<'vm, E> {
    pub(super) fn new(vm: &'vm Vm, manager: EventManagerRef<E>) -> Self {
        Self { vm, manager }
    }
}

impl<E: Event> HostRef<'_, E> {
    /// Has every handler handle an event, and does not wait: [`EventManagerRef::notify`]. Events by a pid or a name
    /// arrive in the order in which they were told; a reference by anything else is looked up by a process of its own.
    ///
    /// # Errors
    /// As those of [`EventManagerRef::notify`].
    pub fn notify(&self, event: &E) -> Result<(), SendError> {
        let target = self.manager.target();
        let sent = r#gen::host_send(self.vm, target, &(Tag::Notify, event));
        super::client::notified(target, sent)
    }

    /// As [`notify`](Self::notify), until every handler has handled it: [`EventManagerRef::sync_notify`].
    pub fn sync_notify(&self, event: &E) -> Run<Result<(), CallError>> {
        let target = self.manager.target().clone();
        let request = to_term(&(Tag::SyncNotify, event));
        self.vm.run(async move |mut cx| {
            let request = request?;
            let done =
                r#gen::call::<_, Done<HandlerError>>(&mut cx, &target, &request, Timeout::Infinity);
            done.await.map(drop)
        })
    }

    /// Asks one handler, for at most [`CALL_TIMEOUT`]: [`EventManagerRef::call`].
    pub fn call<H>(
        &self,
        handler: &Handler<H>,
        request: H::Call,
    ) -> Run<Result<H::Reply, ManagerError>>
    where
        H: EventHandler<Event = E>,
        H::Reply: DeserializeOwned,
    {
        self.call_timeout(handler, request, CALL_TIMEOUT)
    }

    /// As [`call`](Self::call), for at most so long: [`EventManagerRef::call_timeout`].
    pub fn call_timeout<H>(
        &self,
        handler: &Handler<H>,
        request: H::Call,
        after: impl Into<Timeout>,
    ) -> Run<Result<H::Reply, ManagerError>>
    where
        H: EventHandler<Event = E>,
        H::Reply: DeserializeOwned,
    {
        let (manager, after) = (self.manager.clone(), after.into());
        let request = to_term(&(Tag::Call, handler.id(), request));
        self.vm.run(async move |mut cx| {
            let request = request.map_err(CallError::from)?;
            let reply: Result<_, HandlerError> = manager.ask(&mut cx, &request, after).await?;
            Ok(reply?)
        })
    }

    /// Adds a handler: [`EventManagerRef::add_handler`].
    pub fn add_handler<H: EventHandler<Event = E>>(
        &self,
        handler: Handler<H>,
        args: H::Args,
    ) -> Run<Result<(), ManagerError>> {
        let manager = self.manager.clone();
        self.vm
            .run(async move |mut cx| manager.add_handler(&mut cx, handler, args).await)
    }

    /// Removes a handler: [`EventManagerRef::delete_handler`].
    pub fn delete_handler<A: Serialize>(
        &self,
        handler: impl Into<HandlerId>,
        args: &A,
    ) -> Run<Result<OwnedTerm, ManagerError>> {
        let (manager, handler, args) = (self.manager.clone(), handler.into(), to_term(args));
        self.vm.run(async move |mut cx| {
            let args = args.map_err(CallError::from)?;
            manager.delete_handler(&mut cx, handler, &args).await
        })
    }

    /// Puts a handler in the place of another: [`EventManagerRef::swap_handler`].
    pub fn swap_handler<A: Serialize>(
        &self,
        (old, args): (impl Into<HandlerId>, &A),
        new: Install<E>,
    ) -> Run<Result<(), ManagerError>> {
        let (manager, old, args) = (self.manager.clone(), old.into(), to_term(args));
        self.vm.run(async move |mut cx| {
            let args = args.map_err(CallError::from)?;
            manager.swap_handler(&mut cx, (old, &args), new).await
        })
    }

    /// The handlers, newest first: [`EventManagerRef::which_handlers`].
    pub fn which_handlers(&self) -> Run<Result<Vec<HandlerId>, CallError>> {
        let (target, after) = (self.manager.target(), Timeout::Infinity);
        r#gen::host_call(self.vm, target, &Tag::WhichHandlers, after)
    }
}

impl<E> Clone for HostRef<'_, E> {
    fn clone(&self) -> Self {
        Self::new(self.vm, self.manager.clone())
    }
}

impl<E> fmt::Debug for HostRef<'_, E> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("HostRef")
            .field(&self.manager)
            .finish()
    }
}
