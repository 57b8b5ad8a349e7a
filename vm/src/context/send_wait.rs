//! Sending with a wait for room in the receiver's mailbox: back-pressure, for senders that choose it.
//!
//! `process/occupancy.rs` tells how they get in by turns.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use otp_heap::Pid;
use serde::Serialize;

use super::{Context, NativeContext};
use crate::core::Core;
use crate::destination::{Destination, SendError, sent};
use crate::envelope::{HOST, Parcel};
use crate::mailbox_limit::{MailboxFull, WhenFull};
use crate::process::{Ticket, Waits};
use crate::vm::Vm;

#[cfg(doc)]
use crate::mailbox_limit::MailboxLimit;

impl Context {
    /// As [`Context::send`], but where the receiver's mailbox is full by its [`MailboxLimit`], whatever that says of
    /// one message more, this waits until there is room or the receiver is gone. (With
    /// [`WhenFull::Tell`](crate::WhenFull) there always is.) Senders that wait get in by turns.
    ///
    /// A name or an alias is resolved once, when it begins. Dropping the future before it is ready sends nothing, and
    /// leaves the turn to the next.
    ///
    /// ```
    /// use otp_vm::{MailboxLimit, SpawnOptions, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|cx| async move {
    ///     let options = SpawnOptions::new().mailbox_limit(MailboxLimit::reject(10));
    ///     let slow = cx.spawn_opt(options, |mut cx| async move {
    ///         loop {
    ///             cx.receive().await;
    ///         }
    ///     }).unwrap().pid;
    ///     for number in 0..1000 {
    ///         cx.send_wait(slow, &number).await.unwrap();
    ///     }
    ///     cx.process_info(slow).unwrap().mailbox.rejected
    /// });
    /// assert_eq!(run.wait()?, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Context::send`]; [`SendError::MailboxFull`] only to itself, since it would wait for ever.
    pub async fn send_wait<M: Serialize + ?Sized>(
        &self,
        to: impl Into<Destination>,
        message: &M,
    ) -> Result<(), SendError> {
        let core = self.core();
        let named = to.into();
        let to = core.resolve(&named)?;
        let parcel = core.sized(to.message(self.pid, message)?)?;
        let is_limited = core.with_process(to.pid, |process| process.has_limited_mailbox());
        if is_limited != Some(true) {
            return sent(self.post(to.pid, Some(&named), parcel));
        }
        if to.pid == self.pid {
            return self.send_to_itself(parcel);
        }
        otp_scheduler::tick(1 + (parcel.bytes() / super::SEND_BYTES_PER_REDUCTION) as u32);
        if self.discards() {
            return Ok(());
        }
        if self.process().is_traced() {
            // Told when it begins to wait: then the order of what the sender does is that of its code.
            self.trace_send(&named, parcel.root());
        }
        let mut sending = Sending::new(Arc::clone(self.vm.core()), to.pid, parcel);
        poll_fn(move |task| {
            ready!(otp_scheduler::poll_proceed(task));
            if self.was_ended() {
                return self.wait_in_vain(task);
            }
            sending.poll(task)
        })
        .await;
        Ok(())
    }

    /// Nobody else would make room.
    fn send_to_itself(&self, parcel: Parcel) -> Result<(), SendError> {
        let limit = self.state().map(|state| state.mailbox_info().limit);
        match limit {
            Some(limit)
                if limit.when_full != WhenFull::Tell
                    && self.message_queue_len() >= limit.max_len =>
            {
                Err(MailboxFull::new(limit.max_len).into())
            }
            _ => sent(self.post(self.pid, None, parcel)),
        }
    }
}

impl NativeContext {
    /// As [`Context::send_wait`]; the thread blocks.
    ///
    /// # Errors
    /// As for [`Context::send_wait`].
    pub fn send_wait<M: Serialize + ?Sized>(
        &mut self,
        to: impl Into<Destination>,
        message: &M,
    ) -> Result<(), SendError> {
        self.block_on(async |cx| cx.send_wait(to, message).await)
    }
}

impl Vm {
    /// As [`Vm::send`], but where the receiver's mailbox is full by its [`MailboxLimit`] the sender waits until there
    /// is room, or the receiver is gone: by `.await` on any runtime, by [`SendWait::wait`] on a thread. See
    /// [`Context::send_wait`].
    ///
    /// ```
    /// use otp_vm::{MailboxLimit, SpawnOptions, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let options = SpawnOptions::new().mailbox_limit(MailboxLimit::reject(10));
    /// let slow = vm.spawn_opt(options, |mut cx| async move {
    ///     loop {
    ///         cx.receive().await;
    ///     }
    /// })?;
    /// for number in 0..1000 {
    ///     vm.send_wait(slow, &number)?.wait()?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As for [`Vm::send`], but for a full mailbox.
    pub fn send_wait<M: Serialize + ?Sized>(
        &self,
        to: impl Into<Destination>,
        message: &M,
    ) -> Result<SendWait, SendError> {
        let core = self.core();
        let to = core.resolve(&to.into())?;
        let parcel = core.sized(to.message(HOST, message)?)?;
        Ok(SendWait(Sending::new(Arc::clone(core), to.pid, parcel)))
    }
}

/// The future of [`Vm::send_wait`]. Dropped before it is ready, it sends nothing.
#[must_use = "nothing is sent until this is awaited or waited for"]
pub struct SendWait(Sending);

/// Why [`SendWait::wait`] did not wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendWaitError {
    /// It was called on a thread that runs processes, and would stop it.
    #[error("waiting would block a scheduler thread: use `.await`, or `Context::send_wait`")]
    OnSchedulerThread,
    /// Waiting does not run a simulated VM.
    #[error("waiting does not run a simulation: hand this to `Simulation::block_on`")]
    Simulated,
}

impl SendWait {
    /// Blocks the thread until the message was sent.
    ///
    /// # Errors
    /// See [`SendWaitError`]; then nothing was sent.
    pub fn wait(self) -> Result<(), SendWaitError> {
        if self.0.core.scheduler.is_simulated() {
            return Err(SendWaitError::Simulated);
        }
        otp_scheduler::block_on(self).map_err(|_| SendWaitError::OnSchedulerThread)
    }
}

impl Future for SendWait {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<()> {
        self.0.poll(task)
    }
}

impl fmt::Debug for SendWait {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("SendWait").field(&self.0.to).finish()
    }
}

/// A message on its way into a mailbox that may be full.
struct Sending {
    core: Arc<Core>,
    to: Pid,
    /// Until it is sent.
    parcel: Option<Parcel>,
    /// Its place among those that wait.
    ticket: Option<Ticket>,
}

impl Sending {
    fn new(core: Arc<Core>, to: Pid, parcel: Parcel) -> Self {
        Self {
            core,
            to,
            parcel: Some(parcel),
            ticket: None,
        }
    }

    fn poll(&mut self, task: &task::Context<'_>) -> Poll<()> {
        // Before the lock is taken, and before the message is: cloning is the program's code, and may panic.
        let waker = task.waker().clone();
        let Some(parcel) = self.parcel.take() else {
            return Poll::Ready(());
        };
        let waits = Waits {
            ticket: &mut self.ticket,
            waker,
        };
        match self.core.send_or_wait(self.to, parcel, waits) {
            Ok(()) => Poll::Ready(()),
            Err(parcel) => {
                self.parcel = Some(parcel);
                Poll::Pending
            }
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.core.give_room_up(self.to, ticket);
        }
    }
}
