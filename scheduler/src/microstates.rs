//! What a scheduler's time goes into: OTP's `scheduler_wall_time`, and its microstate accounting in short.
//!
//! A scheduler is in one [`State`] at a time. It changes it only where it reads the clock anyway, so a slice costs
//! nothing: what passes between two waits, and is neither a poll nor the firing of timers, is busy. A wait
//! begins where a scheduler looks on before it sleeps, as OTP's `busy_wait` is not active either.
//!
//! Each state has a word: the time spent in it so far or, while the scheduler is in it, that less the time at which it
//! came, so that a reader who adds the clock gets the time up to now. Only the thread that has the scheduler writes.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::time::Duration;

/// What a scheduler spent its time on since it was built. Mirrors `statistics(scheduler_wall_time)`; over a part of
/// that time by two readings and [`WallTime::since`].
///
/// ```
/// use otp_scheduler::Scheduler;
/// use std::time::Instant;
///
/// let scheduler = Scheduler::builder().schedulers(1).build()?;
/// let before = scheduler.figures().schedulers[0].wall_time;
/// let two_milliseconds = async {
///     let begun = Instant::now();
///     while begun.elapsed().as_millis() < 2 {}
/// };
/// scheduler.spawn(two_milliseconds).wait()?;
/// let spent = scheduler.figures().schedulers[0].wall_time.since(before);
/// // If the task was bound to its thread meanwhile, the scheduler slept for a part of it.
/// assert!((spent.busy + spent.hosting).as_millis() >= 1);
/// assert!(spent.utilisation() > 0.0 && spent.utilisation() <= 1.0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct WallTime {
    /// It ran tasks, looked for some, or was on its way from a thread that lost it to another.
    pub busy: Duration,
    /// It slept while a bound thread had its turn.
    pub hosting: Duration,
    /// It took events from the poller, or fired timers.
    pub polling: Duration,
    /// It slept, or was about to: there was nothing to do. Also the time before its thread began, and after it ended.
    pub idle: Duration,
}

impl WallTime {
    /// All of it: the time since the scheduler was built.
    pub fn total(&self) -> Duration {
        self.busy + self.hosting + self.polling + self.idle
    }

    /// What was spent since an earlier reading of the same scheduler's.
    pub fn since(&self, earlier: WallTime) -> WallTime {
        WallTime {
            busy: self.busy.saturating_sub(earlier.busy),
            hosting: self.hosting.saturating_sub(earlier.hosting),
            polling: self.polling.saturating_sub(earlier.polling),
            idle: self.idle.saturating_sub(earlier.idle),
        }
    }

    /// The part that was not idle, 0 to 1; 0 of no time at all. Mirrors `scheduler:utilization/1`.
    pub fn utilisation(&self) -> f64 {
        let total = self.total();
        if total.is_zero() {
            return 0.0;
        }
        (total - self.idle).as_nanos() as f64 / total.as_nanos() as f64
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Busy,
    Hosting,
    Polling,
    Idle,
}

/// In the lowest bit of a word: the scheduler is in that state.
const INSIDE: u64 = 1;

#[derive(Debug)]
pub(crate) struct Microstates {
    /// By state: nanoseconds, one bit up.
    words: [AtomicU64; 4],
    state: AtomicUsize,
    changed_at: AtomicU64,
}

impl Default for Microstates {
    /// Idle, from the clock's beginning on.
    fn default() -> Microstates {
        let words = [const { AtomicU64::new(0) }; 4];
        words[State::Idle as usize].store(INSIDE, Ordering::Relaxed);
        Microstates {
            words,
            state: AtomicUsize::new(State::Idle as usize),
            changed_at: AtomicU64::new(0),
        }
    }
}

impl Microstates {
    /// By the thread that has the scheduler.
    pub(crate) fn enter(&self, next: State, now: u64) {
        let next = next as usize;
        let state = self.state.load(Ordering::Relaxed);
        if state == next {
            return;
        }
        let spent = nanoseconds(self.words[state].load(Ordering::Relaxed)).wrapping_add(now);
        self.words[state].store(spent << 1, Ordering::Release);
        let came = nanoseconds(self.words[next].load(Ordering::Relaxed)).wrapping_sub(now);
        self.words[next].store(came << 1 | INSIDE, Ordering::Release);
        self.state.store(next, Ordering::Relaxed);
        self.changed_at.store(now, Ordering::Relaxed);
    }

    /// When it came into its state: no slice that runs began before.
    pub(crate) fn changed_at(&self) -> u64 {
        self.changed_at.load(Ordering::Relaxed)
    }

    /// By anybody.
    pub(crate) fn is_busy(&self) -> bool {
        self.state.load(Ordering::Relaxed) == State::Busy as usize
    }

    /// By anybody. None of the figures ever goes back.
    pub(crate) fn read(&self, now: impl Fn() -> u64) -> WallTime {
        let spent = |state: State| Duration::from_nanos(self.spent(state, &now));
        WallTime {
            busy: spent(State::Busy),
            hosting: spent(State::Hosting),
            polling: spent(State::Polling),
            idle: spent(State::Idle),
        }
    }

    fn spent(&self, state: State, now: impl Fn() -> u64) -> u64 {
        let word = &self.words[state as usize];
        loop {
            let seen = word.load(Ordering::Acquire);
            if seen & INSIDE == 0 {
                return nanoseconds(seen);
            }
            let now = now();
            fence(Ordering::Acquire);
            // If it left meanwhile, `now` may be past that.
            if word.load(Ordering::Relaxed) == seen {
                return nanoseconds(seen).wrapping_add(now);
            }
        }
    }
}

/// May be below zero while the scheduler is inside.
fn nanoseconds(word: u64) -> u64 {
    (word.cast_signed() >> 1).cast_unsigned()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn read(states: &Microstates, now: u64) -> [u64; 4] {
        let time = states.read(|| now);
        [time.busy, time.hosting, time.polling, time.idle].map(|time| time.as_nanos() as u64)
    }

    #[test]
    fn all_time_is_in_one_state_or_another() {
        let states = Microstates::default();
        assert_eq!(read(&states, 5), [0, 0, 0, 5]);
        states.enter(State::Busy, 10);
        assert_eq!(read(&states, 10), [0, 0, 0, 10]);
        assert_eq!(read(&states, 12), [2, 0, 0, 10], "up to now");
        states.enter(State::Busy, 15);
        assert_eq!(states.changed_at(), 10, "it was busy before");
        states.enter(State::Polling, 20);
        states.enter(State::Hosting, 21);
        states.enter(State::Busy, 24);
        states.enter(State::Idle, 30);
        assert_eq!(read(&states, 100), [16, 3, 1, 80]);
        assert_eq!(states.read(|| 100).total(), Duration::from_nanos(100));
    }

    #[test]
    fn a_part_of_the_time_has_a_utilisation_of_its_own() {
        let states = Microstates::default();
        assert_eq!(states.read(|| 0).utilisation(), 0.0, "no time has passed");
        let before = states.read(|| 60);
        assert_eq!(before.utilisation(), 0.0);
        states.enter(State::Busy, 70);
        let part = states.read(|| 100).since(before);
        assert_eq!(part.total(), Duration::from_nanos(40));
        assert_eq!(part.utilisation(), 0.75);
    }
}
