//! Timers that fire again and again.
//!
//! Protocol:
//! 1. What fires lies in the wheel, as any timer's; its schedule is shared with those who may cancel it. The schedule
//!    says that it waits (and where in the wheel), that it fires, or that it is over.
//! 2. Whoever took it out of the wheel says so in the schedule, fires outside of all locks, and puts it back for the
//!    next multiple of the period, unless it is over meanwhile.
//! 3. A cancel says that it is over, and takes it out of the wheel if it waits there.
//!
//! Race: *cancel against fire.* Both change the schedule under its lock. If the cancel is first, the one that fires
//! finds it over and lets it go; otherwise that firing runs to its end, and no other begins.
//!
//! The schedule's lock is taken before the wheel's, and nothing of the user's is called or dropped under it.

use std::fmt;
use std::ops::ControlFlow;
use std::sync::Arc;

use crate::core::Core;
use crate::fire::{AnyFire, Fire};
use crate::lock::Mutex;
use crate::timers::TimerKey;

/// One firing of a periodic timer, or one turn of an [`Interval`](crate::Interval).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beat {
    /// The time that it was due, in nanoseconds since the scheduler was built: the first deadline and a multiple of the
    /// period.
    pub at: u64,
    /// Beats before it that were due as well since the last one, and got no firing of their own: so late it is.
    pub missed: u64,
}

impl Beat {
    /// What is due at `now` of beats at `next` and each period from there; and when the following one is.
    pub(crate) fn due(next: u64, period: u64, now: u64) -> (Beat, u64) {
        let missed = now.saturating_sub(next) / period;
        let at = next + missed * period;
        (Beat { at, missed }, at.saturating_add(period))
    }
}

/// A periodic timer was asked for without a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the period is zero, so beats would never end; give at least a nanosecond")]
pub struct ZeroPeriod;

/// A periodic timer: see [`Scheduler::start_periodic`](crate::Scheduler::start_periodic). A clone is the same timer. It
/// goes on when the last one is dropped.
#[derive(Clone)]
pub struct PeriodicTimer(Arc<Schedule>);

struct Schedule {
    core: Arc<Core>,
    period: u64,
    plan: Mutex<Plan>,
}

struct Plan {
    /// The next beat.
    next: u64,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Waits(TimerKey),
    Fires,
    Over,
}

impl fmt::Debug for PeriodicTimer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("PeriodicTimer")
            .field("period", &self.0.period)
            .field("deadline", &self.deadline())
            .finish_non_exhaustive()
    }
}

impl PeriodicTimer {
    pub(crate) fn start<F>(
        core: &Arc<Core>,
        first_at: u64,
        period: u64,
        fire: F,
    ) -> Result<PeriodicTimer, ZeroPeriod>
    where
        F: FnMut(Beat) -> ControlFlow<()> + Send + 'static,
    {
        if period == 0 {
            return Err(ZeroPeriod);
        }
        let schedule = Arc::new(Schedule {
            core: Arc::clone(core),
            period,
            plan: Mutex::new(Plan {
                next: first_at,
                state: State::Fires,
            }),
        });
        let timer = PeriodicTimer(Arc::clone(&schedule));
        Due(Box::new(Periodic { schedule, fire })).put_back();
        Ok(timer)
    }

    /// Ends it, from any thread, its own firing too: gives the deadline of the beat that will not come, so the time
    /// left is that less [`Scheduler::now`](crate::Scheduler::now). `None` if it was over already: cancelled, at its
    /// own wish, by a panic or with its scheduler.
    ///
    /// After that no firing begins; one that runs on another thread at this moment goes on to its end. Mirrors
    /// `timer:cancel/1`.
    pub fn cancel(&self) -> Option<u64> {
        let Schedule { core, plan, .. } = &*self.0;
        let mut plan = plan.lock();
        let taken = match std::mem::replace(&mut plan.state, State::Over) {
            State::Over => return None,
            State::Fires => None,
            // It is not there any more if somebody has taken it out to fire it, and will find it over.
            State::Waits(key) => core.timers(key).and_then(|timers| timers.cancel(key.entry)),
        };
        let next = plan.next;
        drop(plan);
        // Outside of the lock: it may be the program's.
        drop(taken);
        Some(next)
    }

    /// The deadline of the next beat; `None` if it is over.
    pub fn deadline(&self) -> Option<u64> {
        let plan = self.0.plan.lock();
        (!matches!(plan.state, State::Over)).then_some(plan.next)
    }
}

impl Schedule {
    fn begin(&self, now: u64) -> Option<Beat> {
        let mut plan = self.plan.lock();
        if let State::Over = plan.state {
            return None;
        }
        plan.state = State::Fires;
        let (beat, next) = Beat::due(plan.next, self.period, now);
        plan.next = next;
        Some(beat)
    }
}

/// What the wheel has.
struct Periodic<F> {
    schedule: Arc<Schedule>,
    fire: F,
}

/// In one place for all its life, so that a firing allocates nothing.
struct Due<F>(Box<Periodic<F>>);

impl<F> Drop for Periodic<F> {
    /// Cancelled, ended, panicked, or dropped with the wheel.
    fn drop(&mut self) {
        self.schedule.plan.lock().state = State::Over;
    }
}

impl<F> Fire for Due<F>
where
    F: FnMut(Beat) -> ControlFlow<()> + Send + 'static,
{
    fn fire(mut self, now: u64) {
        let periodic = &mut *self.0;
        let Some(beat) = periodic.schedule.begin(now) else {
            return;
        };
        if (periodic.fire)(beat).is_continue() {
            self.put_back();
        }
    }
}

impl<F> Due<F>
where
    F: FnMut(Beat) -> ControlFlow<()> + Send + 'static,
{
    /// Into the wheel, unless it is over.
    fn put_back(self) {
        let schedule = Arc::clone(&self.0.schedule);
        let mut plan = schedule.plan.lock();
        let refused = if let State::Over = plan.state {
            // Dropped outside of the lock, as below.
            drop(plan);
            return;
        } else {
            match schedule.core.start_timer(plan.next, AnyFire::new(self)) {
                Ok(key) => {
                    plan.state = State::Waits(key);
                    return;
                }
                Err(refused) => refused,
            }
        };
        drop(plan);
        drop(refused);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn beats_keep_to_multiples_of_the_period() {
        let beat = |at, missed| Beat { at, missed };
        assert_eq!(Beat::due(100, 10, 100), (beat(100, 0), 110));
        assert_eq!(Beat::due(100, 10, 109), (beat(100, 0), 110));
        assert_eq!(Beat::due(100, 10, 110), (beat(110, 1), 120));
        assert_eq!(Beat::due(100, 10, 139), (beat(130, 3), 140));
        // At the clock's end there is no next.
        assert_eq!(Beat::due(100, u64::MAX, 139), (beat(100, 0), u64::MAX));
    }
}
