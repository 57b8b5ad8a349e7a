//! Time for tasks: sleeping, time limits, intervals. Each wait is a timer that wakes the task.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

use crate::core::Core;
use crate::fire::AnyFire;
use crate::periodic::{Beat, ZeroPeriod};
use crate::slot;
use crate::timers::TimerKey;

/// The future of [`sleep`]: ready once its time has come, never before. It may be dropped at any time, which cancels
/// its timer, and polled by any task on any thread. If its scheduler ends first, it wakes nobody.
#[must_use = "a sleep does nothing until it is awaited"]
pub struct Sleep {
    core: Arc<Core>,
    at: u64,
    /// The timer, and whom it wakes.
    armed: Option<(TimerKey, Waker)>,
}

impl fmt::Debug for Sleep {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Sleep")
            .field("at", &self.at)
            .finish_non_exhaustive()
    }
}

impl Sleep {
    pub(crate) fn until(core: &Arc<Core>, at: u64) -> Sleep {
        Sleep {
            core: Arc::clone(core),
            at,
            armed: None,
        }
    }

    /// When it is ready, in nanoseconds since the scheduler was built.
    pub fn deadline(&self) -> u64 {
        self.at
    }

    /// Sleeps until another time, from now on.
    pub fn reset(&mut self, at: u64) {
        self.disarm();
        self.at = at;
    }

    fn disarm(&mut self) {
        if let Some((key, _)) = self.armed.take() {
            self.core.cancel_timer(key);
        }
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.disarm();
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.at <= self.core.clock.now() {
            return Poll::Ready(());
        }
        let waker = cx.waker();
        let known = self.armed.as_ref();
        if known.is_some_and(|(_, known)| known.will_wake(waker)) {
            return Poll::Pending;
        }
        // The program's code, which may panic: before anything changes.
        let (known, woken) = (waker.clone(), waker.clone());
        self.disarm();
        let fire = AnyFire::new(move |_| woken.wake());
        // The end of the scheduler drops the waker, as it does with those of sockets.
        if let Ok(key) = self.core.start_timer(self.at, fire) {
            self.armed = Some((key, known));
        }
        Poll::Pending
    }
}

/// The core of the calling task, and the present time.
#[track_caller]
fn current() -> (Arc<Core>, u64) {
    let core = slot::with_core(Arc::clone).expect(
        "this thread runs no tasks: call it inside a task, as in `spawn(async { sleep(..).await })`, or the \
         scheduler's own `sleep_until` or `interval_at`",
    );
    let now = core.clock.now();
    (core, now)
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Waits for `duration` from now on, not less. Mirrors `timer:sleep/1`.
///
/// # Panics
///
/// Off the threads of a scheduler; there, use [`Scheduler::sleep_until`](crate::Scheduler::sleep_until).
///
/// ```
/// use std::time::Duration;
///
/// let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).build()?;
/// let clock = scheduler.clone();
/// let slept = scheduler.spawn(async move {
///     let begun = clock.now();
///     otp_scheduler::sleep(Duration::from_millis(2)).await;
///     clock.now() - begun
/// });
/// assert!(slept.wait()? >= 2_000_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn sleep(duration: Duration) -> Sleep {
    let (core, now) = current();
    Sleep::until(&core, now.saturating_add(nanoseconds(duration)))
}

/// The time was over before the future was ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the time limit was over first; allow more time, or ask why it takes so long")]
pub struct Elapsed;

/// Waits for a future, for `limit` from now on at most. The future is polled first, so one that is ready is never late.
/// Mirrors the `after` of a `receive`.
///
/// It may be dropped at any time if the future may.
///
/// # Errors
///
/// [`Elapsed`] when the limit is over; the future is dropped.
///
/// # Panics
///
/// As [`sleep`].
///
/// ```
/// use std::{future::pending, time::Duration};
///
/// use otp_scheduler::{Elapsed, timeout};
///
/// let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).build()?;
/// let tried = scheduler.spawn(async {
///     let never = timeout(Duration::from_millis(1), pending::<()>()).await;
///     let at_once = timeout(Duration::ZERO, async { 5 }).await;
///     (never, at_once)
/// });
/// assert_eq!(tried.wait()?, (Err(Elapsed), Ok(5)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn timeout<F: Future>(
    limit: Duration,
    future: F,
) -> impl Future<Output = Result<F::Output, Elapsed>> {
    let mut sleep = sleep(limit);
    async move {
        let mut future = pin!(future);
        poll_fn(|cx| {
            if let Poll::Ready(output) = future.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            Pin::new(&mut sleep).poll(cx).map(|()| Err(Elapsed))
        })
        .await
    }
}

/// Beats at a time and each period from there: see [`interval`].
#[derive(Debug)]
pub struct Interval {
    sleep: Sleep,
    period: u64,
}

impl Interval {
    pub(crate) fn new(
        core: &Arc<Core>,
        first_at: u64,
        period: u64,
    ) -> Result<Interval, ZeroPeriod> {
        if period == 0 {
            return Err(ZeroPeriod);
        }
        Ok(Interval {
            sleep: Sleep::until(core, first_at),
            period,
        })
    }

    /// Waits for the next beat. It does not drift: beats stand at multiples of the period. A task that comes late by
    /// whole periods gets one beat for all of them, and is told how many it missed.
    ///
    /// It may be dropped at any time: no beat is lost.
    pub async fn tick(&mut self) -> Beat {
        poll_fn(|cx| self.poll_tick(cx)).await
    }

    /// [`Interval::tick`] for those who poll by hand.
    pub fn poll_tick(&mut self, cx: &mut Context<'_>) -> Poll<Beat> {
        ready!(Pin::new(&mut self.sleep).poll(cx));
        let now = self.sleep.core.clock.now();
        let (beat, next) = Beat::due(self.sleep.at, self.period, now);
        self.sleep.reset(next);
        Poll::Ready(beat)
    }
}

/// Beats each `period` from now on; the first is one period away. For another first beat, see
/// [`Scheduler::interval_at`](crate::Scheduler::interval_at).
///
/// # Errors
///
/// [`ZeroPeriod`].
///
/// # Panics
///
/// As [`sleep`].
///
/// ```
/// use std::time::Duration;
///
/// let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).build()?;
/// let beats = scheduler.spawn(async {
///     let mut interval = otp_scheduler::interval(Duration::from_millis(1))?;
///     let first = interval.tick().await;
///     let second = interval.tick().await;
///     Ok::<_, otp_scheduler::ZeroPeriod>(second.at - first.at - second.missed * 1_000_000)
/// });
/// assert_eq!(beats.wait()??, 1_000_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn interval(period: Duration) -> Result<Interval, ZeroPeriod> {
    let (core, now) = current();
    let period = nanoseconds(period);
    Interval::new(&core, now.saturating_add(period), period)
}
