//! Where a bound thread stands, and what is known of its turns. It is part of the thread's gate; the table of standings
//! is in `bound.rs`.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::long::Lasted;

pub(crate) const FREE: u32 = 0;
pub(crate) const READY: u32 = 1;
pub(crate) const ASLEEP: u32 = 2;
pub(crate) const LET_GO: u32 = 3;
/// Plus the number of the scheduler.
pub(crate) const TURN: u32 = 4;

/// Changed under the lock of [`Bound`](crate::bound::Bound).
#[derive(Debug, Default)]
pub(crate) struct Standing {
    pub(crate) standing: AtomicU32,
    /// The thread's CPU clock at the beginning of its turn, or at the last look.
    pub(crate) cpu_ns: AtomicU64,
    pub(crate) turns: AtomicU32,
    /// By its task's priority; and what it has left of a round. A turn costs [`TURN_COST`](crate::bound::TURN_COST).
    pub(crate) weight: AtomicU32,
    pub(crate) credit: AtomicU32,
    /// How often the first turn of one bound by force may still be repeated.
    pub(crate) first_turns: AtomicU32,
    demoted: AtomicBool,
    /// Nobody waits for the task any more.
    pub(crate) is_condemned: AtomicBool,
    /// Its task is a native one, which does not count against the limit.
    pub(crate) native: AtomicBool,
    /// It was bound by force in a slice that the scheduler of this number ran since then; 0 if it was not.
    pub(crate) overruns_since: AtomicU64,
    pub(crate) scheduler: AtomicUsize,
    /// That was reported.
    pub(crate) is_told: AtomicBool,
    /// Looks that passed over a sleeper, and how many shall.
    pub(crate) passed: AtomicU32,
    pub(crate) patience: AtomicU32,
}

impl Standing {
    /// In the kernel's idle class: the thread is not for schedulers any more.
    pub(crate) fn is_demoted(&self) -> bool {
        self.demoted.load(Ordering::Relaxed)
    }

    /// Turns that were over before its task gave way.
    pub(crate) fn turns(&self) -> u32 {
        self.turns.load(Ordering::Relaxed)
    }

    /// On the thread itself: it was bound by force. It may not see that yet.
    pub(crate) fn is_overrun(&self) -> bool {
        self.overruns_since.load(Ordering::Relaxed) != 0
    }

    pub(crate) fn overruns(&self, (scheduler, since): (usize, u64)) {
        self.overruns_since.store(since.max(1), Ordering::Relaxed);
        self.scheduler.store(scheduler, Ordering::Relaxed);
        self.is_told.store(false, Ordering::Relaxed);
    }

    /// On the thread itself, which is bound no more.
    pub(crate) fn end_overrun(&self) -> Option<Lasted> {
        let since = self.overruns_since.swap(0, Ordering::Relaxed);
        (since != 0).then(|| Lasted {
            scheduler: self.scheduler.load(Ordering::Relaxed),
            since,
            bound: true,
            is_told: self.is_told.load(Ordering::Relaxed),
        })
    }

    /// It was bound by force, and has its first turn or waits for it.
    pub(crate) fn is_new(&self) -> bool {
        self.first_turns.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn set_demoted(&self) {
        self.demoted.store(true, Ordering::Relaxed);
    }

    /// It is not demoted: for the slot's next thread, or for one that came back.
    pub(crate) fn forget(&self) {
        self.demoted.store(false, Ordering::Relaxed);
    }

    pub(crate) fn is(&self, standing: u32) -> bool {
        self.standing.load(Ordering::Relaxed) == standing
    }

    pub(crate) fn set(&self, standing: u32) {
        self.standing.store(standing, Ordering::Relaxed);
    }
}
