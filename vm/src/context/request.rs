//! Calls: a request with a monitor and an alias, and the wait for its answer.
//!
//! # Protocol
//! 1. The caller files the request under a fresh reference, then sends one parcel of kind `Call`:
//!    the message `{'$gen_call', {Pid, Ref}, Request}`, which is at the same time the monitor
//!    signal of the reference. So a call costs one parcel, not three.
//! 2. The server takes the monitor in with the message. Its reply ends it.
//! 3. The reply goes through the alias, straight to the request, never into the inbox: waiting
//!    costs the same whatever else waits in the mailbox. If the request is over, it is dropped.
//! 4. If the server ends first, its `DOWN` is the answer; if it is gone already, `noproc` is.
//! 5. A caller that gives up removes the request and takes the monitor back.
//! 6. A caller that ends takes its monitors back; if it ends as it sends, behind the request.
//! 7. A full mailbox refuses the request; or has it dropped later, and then answers so (`Kind::Refused`).

use std::fmt;
use std::marker::PhantomData;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use otp_heap::{Atom, DecodeError, EncodeError, Pid, Ref, Term, atoms, from_term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Context;
use super::receive::{Timeout, Waiter};
use super::time::Alarm;
use crate::core::Core;
use crate::destination::Destination;
use crate::envelope::{self, Envelope, Kind, Parcel};
use crate::exit_reason::ExitReason;
use crate::mailbox_limit::MailboxFull;
use crate::message::ReplyTo;
use crate::message_size::MessageTooLarge;
use crate::process::{Answer, Request, Undelivered, own_waker_matches};

/// Why a call gave no reply.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No reply in time. A reply that comes later is dropped.
    #[error("no reply in time: give the call longer, or look at why the server is busy")]
    Timeout,
    /// The server ended, or was not there (`noproc`).
    #[error("the server ended: {}{}", .0, hint_at(.0))]
    Exit(ExitReason),
    /// A process called itself, and would wait for ever.
    #[error("the process called itself: do the work directly, or continue")]
    CallingSelf,
    /// The request could not be serialised; nothing was sent.
    #[error("the request could not be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// The request was refused by a full mailbox, or dropped from it: see [`MailboxLimit`](crate::MailboxLimit).
    #[error(transparent)]
    MailboxFull(#[from] MailboxFull),
    /// The request is larger than the VM was built for; nothing was sent.
    #[error(transparent)]
    TooLarge(#[from] MessageTooLarge),
    /// The reply is not of the expected shape.
    #[error("the reply could not be decoded: {0}")]
    Decode(#[from] DecodeError),
}

impl CallError {
    /// The reason with which a process would exit that can't go on without the reply.
    pub fn reason(&self) -> ExitReason {
        match self {
            Self::Timeout => ExitReason::timeout(),
            Self::Exit(reason) => reason.clone(),
            Self::CallingSelf => ExitReason::new(&CallingSelf::CallingSelf),
            Self::MailboxFull(full) => full.reason(),
            Self::Encode(_) | Self::Decode(_) | Self::TooLarge(_) => {
                ExitReason::new(&(atoms::BADARG, self.to_string()))
            }
        }
    }
}

/// A server may also end with `noproc`, after a call of its own.
fn hint_at(reason: &ExitReason) -> &'static str {
    if *reason == ExitReason::noproc() {
        " (most likely it was not there: start it first, or look at the name or pid)"
    } else {
        ""
    }
}

/// OTP's atom for it.
#[derive(Serialize)]
enum CallingSelf {
    CallingSelf,
}

impl From<CallError> for ExitReason {
    fn from(error: CallError) -> Self {
        error.reason()
    }
}

impl Context {
    /// Asks a server and waits for its reply: the message `{'$gen_call', {Pid, Ref}, Request}`.
    /// `gen:call/4`.
    ///
    /// Dropping the future gives the call up, as a timeout does.
    ///
    /// ```
    /// # use otp_vm::{CallError, MessageKind, Vm, from_term};
    /// # use std::time::Duration;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     let server = cx.spawn(|mut cx| async move {
    ///         let message = cx.receive().await;
    ///         if let MessageKind::Call { from, request } = message.kind() {
    ///             let n: u64 = from_term(request).unwrap();
    ///             cx.reply(&from, &(2 * n)).unwrap();
    ///         }
    ///     }).unwrap();
    ///     let limit = Duration::from_secs(5);
    ///     let doubled = cx.call::<_, u64>(server, &21, limit).await;
    ///     // It has ended after the one call.
    ///     let again = cx.call::<_, u64>(server, &21, limit).await;
    ///     (doubled.unwrap(), again.unwrap_err())
    /// });
    /// let (doubled, error) = run.wait()?;
    /// assert_eq!(doubled, 42);
    /// assert!(matches!(error, CallError::Exit(_)));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`CallError`]: a server that ends, or isn't there, answers with its exit reason.
    pub async fn call<M, R>(
        &mut self,
        to: impl Into<Destination>,
        request: &M,
        after: impl Into<Timeout>,
    ) -> Result<R, CallError>
    where
        M: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        self.begin_call(to, request, after)?.await
    }

    /// The first half of [`Context::call`]: sends the request, and gives the future of its reply. That has nothing of
    /// the request, which may be gone or of no use to another thread while it waits.
    ///
    /// ```
    /// # use otp_vm::{Context, MessageKind, Vm};
    /// # use std::time::Duration;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(async |mut cx: Context| {
    ///     let echo = cx.spawn(async |mut cx: Context| {
    ///         let message = cx.receive().await;
    ///         if let MessageKind::Call { from, request } = message.kind() {
    ///             cx.reply(&from, &request).unwrap();
    ///         }
    ///     });
    ///     let reply = {
    ///         let request = String::from("hello");
    ///         cx.begin_call::<_, String>(echo.unwrap(), &request, Duration::from_secs(5))?
    ///     };
    ///     reply.await
    /// });
    /// assert_eq!(run.wait()??, "hello");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Context::call`]: those of the request; those of the reply come with the future.
    #[inline]
    pub fn begin_call<M, R>(
        &mut self,
        to: impl Into<Destination>,
        request: &M,
        after: impl Into<Timeout>,
    ) -> Result<Calling<'_, R>, CallError>
    where
        M: Serialize + ?Sized,
        R: DeserializeOwned,
    {
        let (to, reference, parcel) = self.prepare(atoms::GEN_CALL, to.into(), request)?;
        let waiting = self.begin_request(to, reference, parcel, after.into())?;
        Ok(Calling {
            waiting,
            reply: PhantomData,
        })
    }

    /// As [`Context::call`], by a protocol of one's own: the message is `{Label, {Pid, Ref}, Request}`, and `read` gets
    /// the reply where it lies. `gen:call/4`, whose label OTP's `sys` has as `system`.
    ///
    /// ```
    /// use otp_vm::{Atom, Context, ReplyTo, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(async |mut cx: Context| {
    ///     let echo = cx.spawn(async |mut cx: Context| {
    ///         let (_label, from, word): (Atom, ReplyTo, String) = cx.receive().await.decode().unwrap();
    ///         cx.reply(&from, &word).unwrap();
    ///     });
    ///     let label = Atom::new("echo").unwrap();
    ///     cx.call_labelled(label, echo.unwrap(), "hello", None, |reply| reply.to_string()).await
    /// });
    /// assert_eq!(run.wait()??, "<<\"hello\">>");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Context::call`].
    pub async fn call_labelled<M, T>(
        &mut self,
        label: Atom,
        to: impl Into<Destination>,
        request: &M,
        after: impl Into<Timeout>,
        read: impl FnOnce(Term<'_>) -> T + Send,
    ) -> Result<T, CallError>
    where
        M: Serialize + ?Sized,
    {
        let (to, reference, parcel) = self.prepare(label, to.into(), request)?;
        let waiting = self.begin_request(to, reference, parcel, after.into())?;
        Ok(read(reply_in(&waiting.await?)))
    }

    /// Sends a request, to look for its reply later. `gen_server:send_request/2`.
    ///
    /// ```
    /// # use otp_vm::{Context, MessageKind, Vm};
    /// # use std::time::Duration;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     let echo = |mut cx: Context| async move {
    ///         let message = cx.receive().await;
    ///         if let MessageKind::Call { from, request } = message.kind() {
    ///             cx.reply(&from, &request).unwrap();
    ///         }
    ///     };
    ///     let (one, other) = (cx.spawn(echo).unwrap(), cx.spawn(echo).unwrap());
    ///     // Both work at the same time.
    ///     let first = cx.send_request(one, "a").unwrap();
    ///     let second = cx.send_request(other, "b").unwrap();
    ///     let limit = Duration::from_secs(5);
    ///     let second: String = cx.receive_response(second, limit).await.unwrap();
    ///     let first: String = cx.receive_response(first, limit).await.unwrap();
    ///     first + &second
    /// });
    /// assert_eq!(run.wait()?, "ab");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Context::call`].
    pub fn send_request<M: Serialize + ?Sized>(
        &self,
        to: impl Into<Destination>,
        request: &M,
    ) -> Result<RequestId, CallError> {
        let (to, reference, parcel) = self.prepare(atoms::GEN_CALL, to.into(), request)?;
        self.file(to, reference, parcel, None)?;
        Ok(RequestId {
            core: Arc::clone(self.vm.core()),
            owner: self.pid,
            reference,
        })
    }

    /// Waits for the reply to a request. When the time is over the request is given up: see
    /// `gen_server:receive_response/2`.
    ///
    /// # Errors
    /// As for [`Context::call`]; [`CallError::Exit`] with `noproc` for a request of another process.
    pub async fn receive_response<R: DeserializeOwned>(
        &mut self,
        request: RequestId,
        after: impl Into<Timeout>,
    ) -> Result<R, CallError> {
        if request.owner != self.pid {
            return Err(CallError::Exit(ExitReason::noproc()));
        }
        let waiting = Waiting {
            cx: self,
            reference: request.reference,
            alarm: Alarm::coarse(self, after.into()),
            is_fresh: false,
            is_answered: false,
        };
        decode_reply(&waiting.await?)
    }

    #[inline]
    fn prepare<M: Serialize + ?Sized>(
        &self,
        label: Atom,
        to: Destination,
        request: &M,
    ) -> Result<(Pid, Ref, Parcel), CallError> {
        let to = match self.core().resolve(&to) {
            Ok(to) if to.pid == self.pid => return Err(CallError::CallingSelf),
            Ok(to) => to.pid,
            Err(_) => return Err(CallError::Exit(ExitReason::noproc())),
        };
        let reference = self.make_ref();
        let envelope = Envelope::new(Kind::Call, self.pid, reference);
        let parcel = otp_heap::to_block(envelope, &(label, ReplyTo(self.pid, reference), request))?;
        let parcel = self.core().sized(parcel)?;
        Ok((to, reference, parcel))
    }

    pub(super) fn begin_request(
        &self,
        to: Pid,
        reference: Ref,
        parcel: Parcel,
        after: Timeout,
    ) -> Result<Waiting<'_>, CallError> {
        let alarm = Alarm::coarse(self, after);
        self.file(to, reference, parcel, Some(&alarm))?;
        Ok(Waiting {
            cx: self,
            reference,
            is_fresh: !alarm.is_over_at_once(),
            alarm,
            is_answered: false,
        })
    }

    /// Step 1 of the protocol.
    fn file(
        &self,
        to: Pid,
        reference: Ref,
        parcel: Parcel,
        alarm: Option<&Alarm>,
    ) -> Result<(), CallError> {
        let Some(mut state) = self.state() else {
            return Err(CallError::Exit(ExitReason::noproc()));
        };
        state
            .requests
            .insert(reference, Request { to, answer: None });
        if let Some(alarm) = alarm {
            alarm.arm(self, &mut state);
        }
        drop(state);
        let error = match self.post(to, None, parcel) {
            Ok(()) => {
                if self.has_ended() {
                    let demonitor = envelope::signal(Kind::Demonitor, self.pid, reference);
                    self.core().signal(to, demonitor);
                }
                return Ok(());
            }
            Err(Undelivered::Gone(_)) => CallError::Exit(ExitReason::noproc()),
            Err(Undelivered::Full(full)) => full.into(),
        };
        if let Some(mut state) = self.state() {
            state.requests.remove(&reference);
        }
        Err(error)
    }
}

fn decode_reply<R: DeserializeOwned>(reply: &Parcel) -> Result<R, CallError> {
    Ok(from_term(reply_in(reply))?)
}

/// What is replied in `{Ref, Reply}`.
fn reply_in(reply: &Parcel) -> Term<'_> {
    let tuple = reply.root().as_tuple();
    tuple
        .and_then(|tuple| tuple.get(1))
        .unwrap_or_else(|| reply.root())
}

/// A call whose reply is awaited: see [`Context::begin_call`]. Dropping it gives the call up.
#[must_use = "a reply does not come until it is awaited"]
pub struct Calling<'cx, R> {
    waiting: Waiting<'cx>,
    reply: PhantomData<fn() -> R>,
}

impl<R: DeserializeOwned> Future for Calling<'_, R> {
    type Output = Result<R, CallError>;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Self::Output> {
        let reply = ready!(Pin::new(&mut self.waiting).poll(task))?;
        Poll::Ready(decode_reply(&reply))
    }
}

impl<R> fmt::Debug for Calling<'_, R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Calling")
            .field("reference", &self.waiting.reference)
            .finish_non_exhaustive()
    }
}

/// A request whose answer is awaited; dropping it gives the request up.
pub(super) struct Waiting<'cx> {
    cx: &'cx Context,
    reference: Ref,
    alarm: Alarm,
    /// Not polled since the request was filed and the alarm armed: what came since has woken the slice that runs.
    is_fresh: bool,
    /// The request has been taken out.
    is_answered: bool,
}

impl Future for Waiting<'_> {
    type Output = Result<Parcel, CallError>;

    fn poll(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        // Fresh for this poll, whether it gets on or not: while the caller is queued its timer may fire, and tells it
        // nothing that it would not come by.
        let is_fresh = mem::take(&mut this.is_fresh);
        ready!(otp_scheduler::poll_proceed(task));
        let is_own = own_waker_matches(this.cx.process(), task.waker());
        if is_own && is_fresh && this.cx.finds_nothing() {
            return Poll::Pending;
        }
        let mut waiter = Waiter::new(this.cx, task);
        this.alarm.arm_foreign(this.cx, task);
        let Some(mut state) = this.cx.waiting_state() else {
            return this.cx.wait_in_vain(task);
        };
        // All that nearly every call waits for.
        if is_own
            && let Some((to, reply)) = this
                .cx
                .process()
                .take_lone_reply(&mut state, this.reference)
        {
            drop(state);
            this.is_answered = true;
            return Poll::Ready(Ok(this.replied(to, reply)));
        }
        let leftovers = this.cx.process().drain(&mut state);
        let ends = state.exit.is_some();
        let answer = if ends {
            Poll::Pending
        } else {
            match state.requests.get_mut(&this.reference) {
                Some(request) => request
                    .answer
                    .take()
                    .map_or(Poll::Pending, |answer| Poll::Ready((request.to, answer))),
                None => Poll::Ready((envelope::HOST, Answer::Down(ExitReason::noproc()))),
            }
        };
        let mut timed_out = false;
        match &answer {
            Poll::Ready(_) => {
                this.is_answered = true;
                drop(state.requests.remove(&this.reference));
            }
            Poll::Pending => {
                waiter.wait(this.cx, &mut state);
                timed_out = !ends && this.alarm.poll(this.cx, &mut state, task).is_ready();
            }
        }
        drop(state);
        leftovers.finish();
        if ends {
            return this.cx.wait_in_vain(task);
        }
        if timed_out {
            this.cx.trace_timeout();
            return Poll::Ready(Err(CallError::Timeout));
        }
        answer.map(|(to, answer)| match answer {
            Answer::Down(reason) => Err(CallError::Exit(reason)),
            Answer::Refused(full) => Err(full.into()),
            Answer::Reply(reply) => Ok(this.replied(to, reply)),
        })
    }
}

impl Waiting<'_> {
    #[inline]
    fn replied(&self, to: Pid, reply: Parcel) -> Parcel {
        // Another process replied in the server's place: the monitor still stands there.
        if reply.header().from != to {
            let demonitor = envelope::signal(Kind::Demonitor, self.cx.pid, self.reference);
            self.cx.core().signal(to, demonitor);
        }
        reply
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.is_answered {
            return;
        }
        let request = self
            .cx
            .state()
            .and_then(|mut state| state.requests.remove(&self.reference));
        give_up(self.cx.core(), self.cx.pid, self.reference, request);
    }
}

fn give_up(core: &Core, owner: Pid, reference: Ref, request: Option<Request>) {
    if let Some(request) = request.filter(Request::is_monitored) {
        let demonitor = envelope::signal(Kind::Demonitor, owner, reference);
        core.signal(request.to, demonitor);
    }
}

/// A request that was sent: see [`Context::send_request`]. Dropping it gives the request up: a
/// reply that comes later is dropped.
#[derive(Debug)]
pub struct RequestId {
    core: Arc<Core>,
    owner: Pid,
    reference: Ref,
}

impl Drop for RequestId {
    fn drop(&mut self) {
        // A process that is ending takes its monitors back itself.
        let request = self
            .core
            .with_state(self.owner, |state| state.requests.remove(&self.reference));
        give_up(&self.core, self.owner, self.reference, request.flatten());
    }
}
