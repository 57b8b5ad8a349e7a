//! The monitor: a thread that looks every millisecond whether the workers get on.
//!
//! It allocates nothing, and takes no lock that a task can hold. While all workers are idle it sleeps: after a few
//! looks that found them so, each after twice the time, it waits for the first worker that leaves.
//!
//! What it sees to:
//! - Sockets or timers are late and a worker is idle: wakes it, so that it attends (`idle.rs`).
//! - Tasks wait in a queue and a worker is idle: wakes it. (A worker tells of its queue between slices only.)
//! - Each worker looks at timers and sockets at least once between two slices in every such millisecond.
//!
//! Race: *falling asleep against the first worker that leaves.* The monitor writes that it sleeps, fence, reads the
//! counts; the worker changes the counts, fence, reads whether the monitor sleeps. One of the two sees the other.

use std::sync::atomic::{AtomicU32, Ordering, fence};

use crate::core::Core;
use crate::futex;

/// Time between two looks while some worker is busy.
const INTERVAL_NS: u64 = 1_000_000;

/// Looks that find all workers idle before it sleeps, each after twice the time: 1, 2, 4 and 8 ms. Chosen so that
/// a VM that works now and then rarely has to wake it, and an idle one wakes nothing.
const IDLE_LOOKS: u32 = 4;

/// A timer so long past its deadline is late: a busy worker would have fired it.
const TIMER_LATE_NS: u64 = 100_000;

/// The shortest sleep: deadlines may be due all the time.
const SHORTEST_NS: u64 = 50_000;

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

#[derive(Debug, Default)]
pub(crate) struct Monitor(AtomicU32);

impl Monitor {
    /// For a worker that stopped being idle, and for the end.
    #[inline]
    pub(crate) fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.0.load(Ordering::Relaxed) == ASLEEP
            && self.0.swap(AWAKE, Ordering::SeqCst) == ASLEEP
        {
            futex::wake_one(&self.0);
        }
    }

    /// The thread's whole life.
    pub(crate) fn run(&self, core: &Core) {
        let mut idle_looks = 0;
        while !core.is_stopping() {
            if core.all_idle() {
                if idle_looks == IDLE_LOOKS {
                    self.0.store(ASLEEP, Ordering::SeqCst);
                    fence(Ordering::SeqCst);
                    if core.all_idle() && !core.is_stopping() {
                        futex::wait(&self.0, ASLEEP, None);
                    }
                    self.0.store(AWAKE, Ordering::SeqCst);
                    idle_looks = 0;
                    continue;
                }
                self.pause(INTERVAL_NS << idle_looks);
                idle_looks += 1;
            } else {
                idle_looks = 0;
                let deadline = core.next_deadline().saturating_add(TIMER_LATE_NS);
                let until_deadline = deadline.saturating_sub(core.clock.now());
                self.pause(until_deadline.clamp(SHORTEST_NS, INTERVAL_NS));
                look(core);
            }
        }
    }

    fn pause(&self, nanoseconds: u64) {
        futex::wait(&self.0, AWAKE, Some(nanoseconds));
    }
}

fn look(core: &Core) {
    let now = core.clock.now();
    for remote in &core.remotes {
        remote.told.look.store(true, Ordering::Relaxed);
    }
    if core.idle.any() && (core.is_late(now) || core.has_work()) {
        core.wake_one();
    }
}

impl Core {
    fn all_idle(&self) -> bool {
        self.idle.count() == self.remotes.len()
    }

    /// True if nobody waits for sockets and timers, and those who should look after them between slices don't.
    pub(crate) fn is_late(&self, now: u64) -> bool {
        !self.idle.is_attended()
            && (self.next_deadline().saturating_add(TIMER_LATE_NS) <= now
                || self.driver.is_late(now))
    }
}
