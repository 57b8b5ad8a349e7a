//! A mailbox of the host program's: a pid that processes send to, and a handle that receives.
//!
//! Behind it is a process whose body only waits for the handle to be dropped, and whose [`Context`] the handle holds.
//! So it is a process in all that others see: it may be monitored, linked, named, called and killed, and what one
//! process sends to it arrives in order. It costs no thread; a message wakes its slice, and that the receiver.

use std::any::type_name;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Poll, Waker};

use otp_heap::Pid;
use otp_scheduler::lock::Mutex;

use crate::context::{Alarm, Context, SpawnError, Timeout, poll_receive_of_host, spawn_of_host};
use crate::exit_reason::ExitReason;
use crate::host::OnExit;
use crate::message::Message;
use crate::process::Start;
use crate::vm::Vm;

/// A mailbox of the host program's, made by [`Vm::mailbox`]. Dropping it ends its process, with `normal`.
///
/// It does not keep the VM up. When that is shut down the mailbox's process is asked to end as others are, and receives
/// answer [`HostReceiveError::Exit`]; one that traps exits gets the message `{'EXIT', Pid, shutdown}`, and is to be
/// dropped.
///
/// ```
/// use otp_vm::Vm;
/// use std::time::Duration;
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let mut mailbox = vm.mailbox()?;
/// let to = mailbox.pid();
/// let (worker, monitor) = mailbox.context().spawn_monitor(move |cx| async move {
///     cx.send(to, "hello").unwrap();
/// })?;
/// assert_eq!(mailbox.receive_blocking()?.decode::<&str>()?, "hello");
/// let down = mailbox.receive_blocking()?.down().unwrap();
/// assert_eq!((down.object.pid(), down.reference), (Some(worker), monitor));
/// assert!(mailbox.receive_timeout_blocking(Duration::from_millis(1))?.is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct HostMailbox {
    cx: Context,
    dropped: Arc<AtomicBool>,
    ended: Arc<Ended>,
}

/// Why a [`HostMailbox`] gave no message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HostReceiveError {
    /// The mailbox's process ended: the VM was shut down, a link took it along, or it was killed.
    #[error("the mailbox ended: {0}")]
    Exit(ExitReason),
    /// A blocking receive on a thread that runs processes, and that would stop.
    #[error("waiting would block a scheduler thread: use `HostMailbox::receive` and `.await`")]
    OnSchedulerThread,
    /// A blocking receive of a simulated VM: waiting does not run it.
    #[error(
        "waiting does not run a simulation: hand `HostMailbox::receive` to `Simulation::block_on`"
    )]
    Simulated,
}

impl Vm {
    /// Makes a mailbox for the host program, or for a process that wants a second one.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn mailbox(&self) -> Result<HostMailbox, SpawnError> {
        let dropped = Arc::new(AtomicBool::new(false));
        let ended = Arc::new(Ended::default());
        let at_end = Arc::clone(&ended);
        let start = Start {
            initial_call: Some(type_name::<HostMailbox>),
            on_exit: Some(OnExit(Box::new(move |reason| at_end.set(reason)))),
            ..Start::default()
        };
        let is_dropped = Arc::clone(&dropped);
        // The drop wakes it.
        let end = std::future::poll_fn(move |_| {
            if is_dropped.load(Ordering::Acquire) {
                Poll::Ready(ExitReason::normal())
            } else {
                Poll::Pending
            }
        });
        let cx = spawn_of_host(self, start, end)?;
        Ok(HostMailbox { cx, dropped, ended })
    }
}

impl HostMailbox {
    /// Whom to send to.
    pub fn pid(&self) -> Pid {
        self.cx.pid()
    }

    /// The mailbox's process in all that does not wait: to send, monitor, link, spawn, register and so on.
    ///
    /// [`Context::exit`] on it unwinds the calling thread; to end the mailbox, drop it.
    pub fn context(&self) -> &Context {
        &self.cx
    }

    /// The next message, in order of arrival; for any async runtime. Dropping the future loses nothing.
    pub fn receive(&mut self) -> HostReceive<'_> {
        HostReceive { mailbox: self }
    }

    /// As [`HostMailbox::receive`], or None when no message came in time.
    ///
    /// # Errors
    /// [`HostReceiveError::Exit`].
    pub async fn receive_timeout(
        &mut self,
        after: impl Into<Timeout>,
    ) -> Result<Option<Message>, HostReceiveError> {
        let mut alarm = Alarm::new(&self.cx, after.into());
        let mailbox = &*self;
        std::future::poll_fn(move |task| mailbox.poll(Some(&mut alarm), task)).await
    }

    /// The next message; the thread blocks until it comes.
    ///
    /// # Errors
    /// See [`HostReceiveError`]; at once on a thread that runs processes, and in a simulation.
    pub fn receive_blocking(&mut self) -> Result<Message, HostReceiveError> {
        self.may_block()?;
        otp_scheduler::block_on(self.receive()).map_err(|_| HostReceiveError::OnSchedulerThread)?
    }

    /// As [`HostMailbox::receive_blocking`], or None when no message came in time.
    ///
    /// # Errors
    /// As [`HostMailbox::receive_blocking`].
    pub fn receive_timeout_blocking(
        &mut self,
        after: impl Into<Timeout>,
    ) -> Result<Option<Message>, HostReceiveError> {
        self.may_block()?;
        otp_scheduler::block_on(self.receive_timeout(after))
            .map_err(|_| HostReceiveError::OnSchedulerThread)?
    }

    fn may_block(&self) -> Result<(), HostReceiveError> {
        if self.cx.core().scheduler.is_simulated() {
            return Err(HostReceiveError::Simulated);
        }
        Ok(())
    }

    fn poll(
        &self,
        alarm: Option<&mut Alarm>,
        task: &mut task::Context<'_>,
    ) -> Poll<Result<Option<Message>, HostReceiveError>> {
        // First: the end wakes who asked for it, and is told by nothing else.
        if let Some(reason) = self.ended.poll(task) {
            return Poll::Ready(Err(HostReceiveError::Exit(reason)));
        }
        poll_receive_of_host(&self.cx, alarm, task).map(Ok)
    }
}

impl Drop for HostMailbox {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Release);
        self.cx
            .core()
            .with_process(self.pid(), |process| process.wake());
    }
}

impl fmt::Debug for HostMailbox {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("HostMailbox")
            .field(&self.pid())
            .finish()
    }
}

/// The end of the mailbox's process, and who waits for it: one, since a receive borrows the mailbox mutably.
#[derive(Default)]
struct Ended(Mutex<(Option<ExitReason>, Option<Waker>)>);

impl Ended {
    fn set(&self, reason: &ExitReason) {
        let waker = {
            let mut ended = self.0.lock();
            ended.0 = Some(reason.clone());
            ended.1.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// The reason, or None, and then the waker is woken when there is one.
    fn poll(&self, task: &task::Context<'_>) -> Option<ExitReason> {
        // The clone is made, and the one before dropped, outside of the lock: the program's code.
        let mut waker = Some(task.waker().clone());
        let mut ended = self.0.lock();
        let reason = ended.0.clone();
        if reason.is_none() {
            mem::swap(&mut ended.1, &mut waker);
        }
        drop(ended);
        drop(waker);
        reason
    }
}

/// The future of [`HostMailbox::receive`].
#[derive(Debug)]
#[must_use = "a receive does nothing until it is awaited"]
pub struct HostReceive<'m> {
    mailbox: &'m mut HostMailbox,
}

impl Future for HostReceive<'_> {
    type Output = Result<Message, HostReceiveError>;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Self::Output> {
        self.mailbox
            .poll(None, task)
            .map_ok(|message| message.expect("without an alarm it waits for a message"))
    }
}
