//! Timers that send a message or an exit signal once, and the answers about them.

use std::time::Duration;

use otp_heap::{Pid, Ref, atoms};
use serde::Serialize;

use super::Context;
use crate::destination::Destination;
use crate::envelope::{self, Kind, Parcel};
use crate::exit_reason::ExitReason;
use crate::timers::TimerError;

/// When a timer is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Due {
    /// So long from now. Zero: at once, but as a timer: the message is not there yet when the call returns.
    After(Duration),
    /// At this point in time, in nanoseconds on the clock of [`Context::monotonic_time`]; at once if it is over.
    /// `{abs, true}`.
    At(u64),
}

impl From<Duration> for Due {
    fn from(after: Duration) -> Self {
        Self::After(after)
    }
}

impl Due {
    fn at(self, now: u64) -> Result<u64, TimerError> {
        match self {
            Self::At(at) => Some(at),
            Self::After(after) => u64::try_from(after.as_nanos())
                .ok()
                .and_then(|after| now.checked_add(after)),
        }
        .filter(|&at| at < crate::process::NEVER)
        .ok_or(TimerError::TooFar)
    }
}

/// A timer's reference, an ordinary [`Ref`]: it can be sent, compared, and given to [`Context::cancel_timer`] by any
/// process.
pub type TimerRef = Ref;

/// The tags of the answers of those that are asked for by message.
#[derive(Serialize)]
enum Tag {
    CancelTimer,
    ReadTimer,
}

impl Context {
    /// Sends a message later. `erlang:send_after/3,4`.
    ///
    /// To a pid: the timer belongs to that process, goes with it, and survives the one that started it; for one that is
    /// gone already no timer is made, though a reference is given. To a name: the timer belongs to nobody, and the name
    /// is resolved when the time has come. (A text that is no atom yet is nobody's for good: give an `Atom` for a name
    /// that will be registered later.)
    ///
    /// ```
    /// # use otp_vm::{Due, Vm, Timeout};
    /// # use std::time::Duration;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let run = vm.run(|mut cx| async move {
    /// cx.send_after(Duration::from_millis(2), cx.pid(), "second").unwrap();
    /// let soon = cx.monotonic_time() + 1_000_000;
    /// cx.send_after(Due::At(soon), cx.pid(), "first").unwrap();
    /// let first = cx.receive_as::<String>(Timeout::Infinity).await;
    /// # assert!(cx.monotonic_time() >= soon);
    /// # first });
    /// # assert_eq!(run.wait()?.unwrap(), "first");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`TimerError`].
    pub fn send_after<M: Serialize + ?Sized>(
        &self,
        due: impl Into<Due>,
        to: impl Into<Destination>,
        message: &M,
    ) -> Result<TimerRef, TimerError> {
        let parcel = self.core().sized(envelope::message(self.pid, message)?)?;
        self.start_at(self.make_ref(), due.into(), to.into(), parcel)
    }

    /// As [`Context::send_after`], with the message `{timeout, Ref, Message}` that has the timer's reference.
    /// `erlang:start_timer/3,4`.
    ///
    /// # Errors
    /// See [`TimerError`].
    pub fn start_timer<M: Serialize + ?Sized>(
        &self,
        due: impl Into<Due>,
        to: impl Into<Destination>,
        message: &M,
    ) -> Result<TimerRef, TimerError> {
        let reference = self.make_ref();
        let parcel = envelope::message(self.pid, &(atoms::TIMEOUT, reference, message))?;
        let parcel = self.core().sized(parcel)?;
        self.start_at(reference, due.into(), to.into(), parcel)
    }

    /// Takes a timer back, from any process; gives the time that was left. None: it has fired, and its message is in
    /// the receiver's mailbox or was received; or it went with its receiver, or never was. `erlang:cancel_timer/1`.
    ///
    /// ```
    /// # use otp_vm::{Ref, Vm};
    /// # use std::time::Duration;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     let late = cx.send_after(Duration::from_secs(60), cx.pid(), "late").unwrap();
    ///     assert!(cx.cancel_timer(late).unwrap() <= Duration::from_secs(60));
    ///     assert_eq!(cx.cancel_timer(late), None);
    ///     let soon = cx.start_timer(Duration::from_millis(1), cx.pid(), "soon").unwrap();
    ///     let (_, timer, text): (String, Ref, String) = cx.receive().await.decode().unwrap();
    ///     (timer == soon, text)
    /// });
    /// assert_eq!(run.wait()?, (true, "soon".to_owned()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cancel_timer(&self, timer: TimerRef) -> Option<Duration> {
        let at = self.core().cancel_timer(timer)?;
        Some(self.left(at))
    }

    /// The time left until a timer fires, None as for [`Context::cancel_timer`]. `erlang:read_timer/1`.
    pub fn read_timer(&self, timer: TimerRef) -> Option<Duration> {
        let at = self.core().read_timer(timer)?;
        Some(self.left(at))
    }

    /// As [`Context::cancel_timer`]; the answer comes to this process as the message `{cancel_timer, Ref, Left}`, with
    /// milliseconds or `false`. Answers come in the order of the questions. `erlang:cancel_timer(Ref, [{async,
    /// true}])`.
    pub fn cancel_timer_async(&self, timer: TimerRef) {
        let left = self.cancel_timer(timer);
        self.tell_left(Tag::CancelTimer, timer, left);
    }

    /// As [`Context::read_timer`]; the answer comes as the message `{read_timer, Ref, Left}`, with milliseconds or
    /// `false`. `erlang:read_timer(Ref, [{async, true}])`.
    pub fn read_timer_async(&self, timer: TimerRef) {
        let left = self.read_timer(timer);
        self.tell_left(Tag::ReadTimer, timer, left);
    }

    fn tell_left(&self, tag: Tag, timer: TimerRef, left: Option<Duration>) {
        let answer = match left {
            Some(left) => envelope::message(self.pid, &(tag, timer, left.as_millis() as u64)),
            None => envelope::message(self.pid, &(tag, timer, false)),
        };
        self.signal_self(answer.expect("a tuple of an atom, a reference and a number"));
    }

    /// Sends an exit signal later, as [`Context::exit_process`] does at once: in this process's name, though it may be
    /// gone by then. Whom the timer belongs to is as for [`Context::send_after`].
    ///
    /// No limit of a mailbox holds a signal up, so a process that traps exits can rely on what it tells itself by one.
    /// [`timer::exit_after`](crate::timer::exit_after) sends in nobody's name, as OTP's timer server does.
    ///
    /// ```
    /// # use otp_vm::{ExitReason, Vm};
    /// # use std::time::Duration;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let run = vm.run(|mut cx| async move {
    /// cx.trap_exit(true);
    /// let due = ExitReason::new("due");
    /// cx.exit_process_after(Duration::from_millis(1), cx.pid(), due.clone()).unwrap();
    /// let exit = cx.receive().await.exit().unwrap();
    /// assert_eq!((exit.from, exit.reason), (cx.pid(), due));
    /// # });
    /// # run.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`TimerError::TooFar`], [`TimerError::Limit`].
    pub fn exit_process_after(
        &self,
        due: impl Into<Due>,
        to: impl Into<Destination>,
        reason: impl Into<ExitReason>,
    ) -> Result<TimerRef, TimerError> {
        self.exit_later(self.pid, due.into(), to.into(), &reason.into())
    }

    pub(crate) fn exit_later(
        &self,
        from: Pid,
        due: Due,
        to: Destination,
        reason: &ExitReason,
    ) -> Result<TimerRef, TimerError> {
        let parcel = envelope::exit(Kind::Exit, from, reason);
        self.start_at(self.make_ref(), due, to, parcel)
    }

    fn start_at(
        &self,
        reference: Ref,
        due: Due,
        to: Destination,
        parcel: Parcel,
    ) -> Result<TimerRef, TimerError> {
        let core = self.core();
        let at = due.at(core.scheduler.now())?;
        let to = if self.discards() {
            Destination::Nobody
        } else {
            to
        };
        core.start_timer(reference, at, to, parcel)?;
        Ok(reference)
    }
}
