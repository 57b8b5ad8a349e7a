//! Time: sleeping, time limits, intervals.
//!
//! A process's own time limits share one wheel timer. Each wait keeps its deadline; the process
//! keeps the earliest (`State::wake_at`) and a timer that is due no later. When the timer fires
//! too early, because the wait that armed it is over, it is armed anew: so a call with a limit of
//! five seconds costs no timer, only every five seconds one.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::task::{self, Poll, Waker};
use std::time::Duration;

use otp_heap::{EncodeError, Pid};
use otp_scheduler::{Beat, Fire, PeriodicTimer, TimerKey, ZeroPeriod, uncounted};
use serde::Serialize;

use super::Context;
use super::receive::Timeout;
use crate::core::Core;
use crate::destination::Destination;
use crate::envelope::{self, Envelope, HOST, Kind, NO_REF, Parcel};
use crate::message_size::MessageTooLarge;
use crate::process::{NEVER, Process, State, own_waker_matches};

/// The coarse clock may be this far behind, and a limit taken from it must not be early. The
/// scheduler reads the clock at least every 64 slices or 4000 reductions.
const COARSE_SLACK_NS: u64 = 2_000_000;

/// A deadline of one wait.
pub(crate) struct Alarm {
    at: u64,
    /// Whether `at` was taken from the coarse clock, and is looked at by it.
    coarse: bool,
    /// For a wait inside a foreign combinator: a timer of its own, which wakes its waker. Apart, since few have it, and
    /// each call moves its alarm.
    foreign: Option<Box<ForeignAlarm>>,
}

struct ForeignAlarm {
    timer: TimerKey,
    waker: Waker,
    core: Arc<Core>,
}

impl Drop for ForeignAlarm {
    fn drop(&mut self) {
        uncounted(|| self.core.scheduler.cancel_timer(self.timer));
    }
}

impl Alarm {
    pub(crate) fn new(cx: &Context, after: Timeout) -> Self {
        Self::by_clock(after, false, || cx.core().scheduler.now())
    }

    /// As [`Alarm::new`] without a look at the clock: up to [`COARSE_SLACK_NS`] late.
    pub(super) fn coarse(cx: &Context, after: Timeout) -> Self {
        Self::by_clock(after, true, || {
            cx.core().scheduler.coarse_now() + COARSE_SLACK_NS
        })
    }

    fn by_clock(after: Timeout, coarse: bool, now: impl FnOnce() -> u64) -> Self {
        let at = match after {
            Timeout::Infinity => NEVER,
            Timeout::After(duration) if duration.is_zero() => 0,
            Timeout::After(duration) => later(now(), duration),
        };
        Self {
            at,
            coarse,
            foreign: None,
        }
    }

    pub(super) fn is_over_at_once(&self) -> bool {
        self.at == 0
    }

    /// Sees to it that the process is woken when the time is over.
    #[inline]
    pub(super) fn arm(&self, cx: &Context, state: &mut State) {
        if self.at != NEVER && self.at != 0 {
            wake_at(cx.core(), cx.process(), cx.pid, state, self.at);
        }
    }

    /// For a wait inside a foreign combinator, sees to a wake of its waker. Outside of the
    /// process's lock: it clones and drops the program's wakers.
    pub(super) fn arm_foreign(&mut self, cx: &Context, task: &task::Context<'_>) {
        let waker = task.waker();
        if self.at == NEVER || self.at == 0 || own_waker_matches(cx.process(), waker) {
            return;
        }
        let known = self.foreign.as_ref();
        if known.is_some_and(|foreign| foreign.waker.will_wake(waker)) {
            return;
        }
        let core = cx.core();
        let fire = WakeForeign(waker.clone());
        self.foreign = Some(Box::new(ForeignAlarm {
            timer: start_timer(core, self.at, fire),
            waker: waker.clone(),
            core: Arc::clone(cx.vm.core()),
        }));
    }

    /// Ready once the deadline is over; else it has seen to a wake by then, for a foreign waker
    /// in [`Alarm::arm_foreign`].
    pub(super) fn poll(
        &mut self,
        cx: &Context,
        state: &mut State,
        task: &task::Context<'_>,
    ) -> Poll<()> {
        if self.at == NEVER {
            return Poll::Pending;
        }
        let core = cx.core();
        // A foreign timer fires once: when it has, the coarse clock of another scheduler may
        // still be behind the deadline, and nobody would come again.
        let now = if self.coarse && self.foreign.is_none() {
            core.scheduler.coarse_now()
        } else {
            core.scheduler.now()
        };
        if self.at <= now {
            return Poll::Ready(());
        }
        if own_waker_matches(cx.process(), task.waker()) {
            wake_at(core, cx.process(), cx.pid, state, self.at);
        }
        Poll::Pending
    }
}

fn later(now: u64, duration: Duration) -> u64 {
    let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(NEVER);
    now.saturating_add(nanoseconds)
}

/// Sees to it that the process is woken at `at` or before.
fn wake_at(core: &Core, process: &Process, pid: Pid, state: &mut State, at: u64) {
    if at >= state.wake_at {
        return;
    }
    state.wake_at = at;
    match state.armed {
        Some((armed_at, _)) if armed_at <= at => {}
        Some((_, timer)) => {
            uncounted(|| core.scheduler.cancel_timer(timer));
            arm(core, process, pid, state, at);
        }
        None => arm(core, process, pid, state, at),
    }
}

fn arm(core: &Core, process: &Process, pid: Pid, state: &mut State, at: u64) {
    let fire = WakeProcess {
        process: NonNull::from(process),
        pid,
    };
    state.armed = Some((at, start_timer(core, at, fire)));
}

/// A timer's memory is no process's: it is made in a slice and dropped between slices.
fn start_timer(core: &Core, at: u64, fire: impl Fire) -> TimerKey {
    uncounted(|| core.scheduler.start_timer(at, fire))
}

/// The one timer of a process.
struct WakeProcess {
    process: NonNull<Process>,
    pid: Pid,
}

// SAFETY: a slot is Sync and lives as long as the core, which is kept until the threads that
// fire timers have ended (`Core::let_go`).
unsafe impl Send for WakeProcess {}

impl Fire for WakeProcess {
    fn fire(self, now: u64) {
        // SAFETY: as above.
        let process = unsafe { self.process.as_ref() };
        let mut state = process.lock();
        if !process.is(self.pid) || state.exiting {
            return;
        }
        state.armed = None;
        if state.wake_at <= now {
            state.wake_at = NEVER;
            drop(state);
            process.wake();
        } else if state.wake_at != NEVER {
            let at = state.wake_at;
            arm(process.core(), process, self.pid, &mut state, at);
        }
    }
}

struct WakeForeign(Waker);

impl Fire for WakeForeign {
    fn fire(self, _now: u64) {
        self.0.wake();
    }
}

/// A timer that sends a message again and again: see [`Context::send_interval`]. A clone is the
/// same timer. It goes on when the last one is dropped.
#[derive(Debug, Clone)]
pub struct IntervalRef(PeriodicTimer);

/// Why no messages are sent at intervals.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IntervalError {
    /// The interval is zero. `badarg` in OTP.
    #[error("the interval is zero: give at least a nanosecond")]
    Zero,
    /// The message could not be serialised, or can't be copied for each interval.
    #[error("the message could not be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// The message is larger than the VM was built for.
    #[error(transparent)]
    TooLarge(#[from] MessageTooLarge),
}

struct SendEach {
    core: NonNull<Core>,
    to: Destination,
    /// Whose end is the interval's.
    linked: Pid,
    message: Parcel,
    /// Messages that are late.
    owed: u64,
}

/// So many messages of an interval are sent at once; what is late beyond them comes with the next beats. An interval
/// that is shorter than a send takes would otherwise owe more each time, and never end. Some 100 us of a scheduler's
/// time; chosen by feel.
const MESSAGES_AT_ONCE: u64 = 1000;

// SAFETY: as for `WakeProcess`.
unsafe impl Send for SendEach {}

impl SendEach {
    /// One message for each interval that is over, as in OTP.
    fn fire(&mut self, beat: Beat) -> ControlFlow<()> {
        // SAFETY: as for `WakeProcess`.
        let core = unsafe { self.core.as_ref() };
        let owed = self.owed.saturating_add(beat.missed).saturating_add(1);
        let sent = owed.min(MESSAGES_AT_ONCE);
        self.owed = owed - sent;
        for _ in 0..sent {
            // Without a look at its state, whose lock may be held for long.
            if core.with_process(self.linked, |_| ()).is_none() {
                return ControlFlow::Break(());
            }
            // It was copied when the interval began, so it can be.
            if let (Ok(to), Ok(mut parcel)) = (core.resolve(&self.to), copy_of(&self.message)) {
                *parcel.header_mut() = to.envelope(parcel.header().from);
                drop(core.send_from_timer(to.pid, parcel));
            }
        }
        ControlFlow::Continue(())
    }
}

fn copy_of(message: &Parcel) -> Result<Parcel, EncodeError> {
    let envelope = Envelope::new(Kind::Message, message.header().from, NO_REF);
    Ok(Parcel::copy_of(envelope, message.root())?)
}

impl Context {
    /// Waits for `duration`, not less. `timer:sleep/1`.
    pub fn sleep(&self, duration: Duration) -> Sleep<'_> {
        Sleep {
            alarm: Alarm::new(self, duration.into()),
            cx: self,
        }
    }

    /// Gives way: everybody else who is ready runs first. `erlang:yield/0`.
    pub async fn yield_now(&self) {
        otp_scheduler::yield_now().await;
    }

    /// Charges `reductions` to the running slice, and gives way if it is used up.
    /// `erlang:bump_reductions/1`.
    ///
    /// For loops that await nothing else: one tick for each turn costs about a nanosecond.
    #[inline]
    pub fn tick(&self, reductions: u32) -> Tick {
        Tick {
            over: otp_scheduler::tick(reductions),
        }
    }

    /// Sends a message every `interval`, from one interval on. It does not drift: if the VM is
    /// late by several intervals, as many messages are sent at once, up to a thousand; the rest comes
    /// with the next ones. `timer:send_interval/3`.
    ///
    /// It ends by [`Context::cancel_interval`], or with the process that gets the messages. A name is resolved for each
    /// message; the interval ends with the process that had it in the beginning, and before its first message if nobody
    /// had.
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// # use std::time::Duration;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     let beats = cx.send_interval(Duration::from_millis(1), cx.pid(), "beat").unwrap();
    ///     for _ in 0..3 {
    ///         assert_eq!(cx.receive().await.decode(), Ok("beat"));
    ///     }
    ///     cx.cancel_interval(&beats).is_some()
    /// });
    /// assert!(run.wait()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`IntervalError::Zero`]; [`IntervalError::Encode`] when the message can't be serialised, or
    /// has a native resource, of which there is only one.
    pub fn send_interval<M: Serialize + ?Sized>(
        &self,
        interval: Duration,
        to: impl Into<Destination>,
        message: &M,
    ) -> Result<IntervalRef, IntervalError> {
        let core = self.core();
        let message = core.sized(envelope::message(self.pid, message)?)?;
        drop(copy_of(&message)?);
        let to = if self.discards() {
            Destination::Nobody
        } else {
            to.into()
        };
        let holder = core.resolve(&to).ok().map(|address| address.pid);
        let mut each = SendEach {
            core: NonNull::from(core),
            linked: holder.unwrap_or(HOST),
            to,
            message,
            owed: 0,
        };
        let period = later(0, interval);
        let first_at = core.scheduler.now().saturating_add(period);
        let timer = core
            .scheduler
            .start_periodic(first_at, period, move |beat| each.fire(beat))
            .map_err(|ZeroPeriod| IntervalError::Zero)?;
        if holder.is_none() {
            timer.cancel();
        }
        Ok(IntervalRef(timer))
    }

    /// Ends an interval, from any process; gives the time that was left until its next message, or
    /// None if it was over already. A message sent before may wait in the mailbox.
    /// `timer:cancel/1`.
    pub fn cancel_interval(&self, interval: &IntervalRef) -> Option<Duration> {
        Some(self.left(interval.0.cancel()?))
    }
}

/// The future of [`Context::tick`]. The charge is made when it is made; awaiting it gives way if
/// the slice is used up.
#[derive(Debug)]
#[must_use = "without an await, a tick only charges"]
pub struct Tick {
    over: bool,
}

impl Future for Tick {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<()> {
        if !self.over {
            return Poll::Ready(());
        }
        self.over = false;
        task.waker().wake_by_ref();
        Poll::Pending
    }
}

/// The future of [`Context::sleep`].
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep<'cx> {
    cx: &'cx Context,
    alarm: Alarm,
}

impl std::fmt::Debug for Sleep<'_> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Sleep")
            .field("at", &self.alarm.at)
            .finish_non_exhaustive()
    }
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<()> {
        let this = &mut *self;
        this.alarm.arm_foreign(this.cx, task);
        let Some(mut state) = this.cx.waiting_state() else {
            return this.cx.wait_in_vain(task);
        };
        let over = this.alarm.poll(this.cx, &mut state, task);
        drop(state);
        if over.is_ready() {
            this.cx.trace_timeout();
        }
        over
    }
}
