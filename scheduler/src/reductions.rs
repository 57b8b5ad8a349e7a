//! What is left of a slice: the reductions of the thread that runs it.
//!
//! The thread counts them down, with plain loads and stores. The slice is over once no more than the *floor* is left:
//! 0, or less when the same task goes on with a new slice, since others compare readings of what is left. By the clock
//! the monitor ends it: it raises the floor above everything.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};

/// So much is left off a scheduler thread that it never runs out.
pub(crate) const UNLIMITED: i64 = i64::MAX;

/// The floor of a slice that is over by the clock.
const ENDED: i64 = UNLIMITED - 1;

/// Written by the thread, but for `floor` and `check`.
pub(crate) struct Reductions {
    left: AtomicI64,
    /// The slice is over when no more than so much is left.
    floor: AtomicI64,
    /// A checkpoint looks about when no more than so much is left: `floor`, or less if it has looked already.
    check: AtomicI64,
    /// When a checkpoint found the slice over. By the clock of the core.
    over_since: AtomicU64,
    /// Times that the bound task was told to give way, and did not.
    refusals: AtomicU32,
}

impl Default for Reductions {
    fn default() -> Reductions {
        Reductions {
            left: AtomicI64::new(UNLIMITED),
            floor: AtomicI64::new(0),
            check: AtomicI64::new(0),
            over_since: AtomicU64::new(0),
            refusals: AtomicU32::new(0),
        }
    }
}

impl Reductions {
    /// Charges; true when the slice is over.
    #[inline]
    pub(crate) fn charge(&self, n: u32) -> bool {
        let left = self.left() - i64::from(n);
        self.set_left(left);
        left <= self.floor.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn left(&self) -> i64 {
        self.left.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_left(&self, left: i64) {
        self.left.store(left, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_over(&self) -> bool {
        self.left() <= self.floor.load(Ordering::Relaxed)
    }

    /// A new slice of so many reductions.
    #[inline]
    pub(crate) fn new_slice(&self, reductions: i64) {
        self.set_left(reductions);
        self.set_floor(0);
    }

    /// The same task goes on with a new slice: what is left goes down as before, since others compare readings of it.
    pub(crate) fn extend_slice(&self, reductions: i64) {
        self.set_floor(self.left() - reductions);
    }

    #[inline]
    fn set_floor(&self, floor: i64) {
        self.floor.store(floor, Ordering::Relaxed);
        self.check.store(floor, Ordering::Relaxed);
    }

    /// Ends the slice by the clock: the next tick or await gives way. A slice that begins at this moment may end early
    /// by it, which does no harm.
    pub(crate) fn end_slice(&self) {
        self.set_floor(ENDED);
    }

    /// Charges; true when a checkpoint shall look about.
    #[inline]
    pub(crate) fn charge_checkpoint(&self, n: u32) -> bool {
        let left = self.left() - i64::from(n);
        self.set_left(left);
        left <= self.check.load(Ordering::Relaxed)
    }

    /// At a checkpoint that shall look about: since when the slice is over, if it is not by the clock.
    pub(crate) fn over_since(&self, now: u64) -> Option<u64> {
        let check = self.check.load(Ordering::Relaxed);
        if check == ENDED {
            return None;
        }
        if check == self.floor.load(Ordering::Relaxed) {
            self.set_over_since(now);
        }
        Some(self.over_since.load(Ordering::Relaxed))
    }

    pub(crate) fn set_over_since(&self, now: u64) {
        self.over_since.store(now, Ordering::Relaxed);
    }

    /// Checkpoints let so many reductions pass before they look about again. The slice is over as it was.
    pub(crate) fn put_off_check(&self, reductions: i64) {
        self.check
            .store(self.left().saturating_sub(reductions), Ordering::Relaxed);
    }

    /// On the slot's own thread, which is bound: its task is told to give way. How often it was.
    pub(crate) fn count_refusal(&self) -> u32 {
        let refusals = self.refusals.load(Ordering::Relaxed) + 1;
        self.refusals.store(refusals, Ordering::Relaxed);
        refusals
    }

    pub(crate) fn forget_refusals(&self) {
        self.refusals.store(0, Ordering::Relaxed);
    }
}
