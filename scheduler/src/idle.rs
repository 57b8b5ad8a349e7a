//! Who is idle, who searches: the count that throttles wake-ups.
//!
//! All idle workers wait in the I/O poller together. The kernel wakes one of them (the last to come) for each event,
//! be it a socket, a due timer or a *wake token* written by a worker that has work to share. So a worker that leaves
//! with an event needs to hand the poller to nobody: the next event finds the next idle worker.
//!
//! Protocol:
//! 1. Who pushes a task that others may take calls `may_wake`: if a worker is idle and none searches, the searching
//!    count goes from 0 to 1 and *one* token is written. The count belongs to the token until somebody reads it.
//! 2. Who reads the token searches. If it finds work, it gives the count back; if it was the last searcher and more
//!    work is visible, it wakes the next (so a burst wakes worker after worker, a single task wakes one).
//! 3. A worker that found nothing counts itself idle and gives back its searching count in one step, *then* looks at
//!    all queues again, then waits.
//! 4. A busy worker that happens to read the token gives the count back and wakes another if work is visible.
//!
//! Races considered:
//! - *Push against going idle.* Push, fence, read of the counts on one side; counts, fence, read of the queues on
//!   the other. One of the two sees the other: either a token is written, or the worker sees the task.
//! - *Push while somebody searches.* The pusher writes no token. The searcher gives back its count, then (fence)
//!   looks at the queues: the same argument.
//! - *Token without a reader.* The idle worker it was meant for left by itself. The token stays in the poller, the
//!   count stays 1, and there was no other idle worker to wake; the next to go idle reads it at once.
//! - *Two tokens melting into one.* Not possible: a second one is only written after the count was 0 again, so
//!   after the first was read.

use std::sync::atomic::{AtomicU64, Ordering, fence};

const IDLE: u64 = 1;
const SEARCHING: u64 = 1 << 32;

#[derive(Debug, Default)]
pub(crate) struct Idle(AtomicU64);

fn idle(word: u64) -> u64 {
    word & (SEARCHING - 1)
}

fn searching(word: u64) -> u64 {
    word >> 32
}

impl Idle {
    /// True if somebody waits in the poller, and so attends to events.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        idle(self.0.load(Ordering::Relaxed)) > 0
    }

    pub(crate) fn count(&self) -> usize {
        idle(self.0.load(Ordering::Relaxed)) as usize
    }

    /// True: the caller must write the wake token.
    #[inline]
    pub(crate) fn may_wake(&self) -> bool {
        fence(Ordering::SeqCst);
        let word = self.0.load(Ordering::Relaxed);
        idle(word) > 0 && searching(word) == 0 && self.claim_token(word)
    }

    #[cold]
    fn claim_token(&self, mut word: u64) -> bool {
        while idle(word) > 0 && searching(word) == 0 {
            match self.0.compare_exchange_weak(
                word,
                word + SEARCHING,
                Ordering::SeqCst,
                Ordering::Relaxed,
            ) {
                Ok(_) => return true,
                Err(now) => word = now,
            }
        }
        false
    }

    /// At most half the workers search at once: more would only stand in each other's way.
    pub(crate) fn try_search(&self, workers: usize) -> bool {
        let word = self.0.load(Ordering::Relaxed);
        if 2 * searching(word) >= workers as u64 {
            return false;
        }
        self.0.fetch_add(SEARCHING, Ordering::SeqCst);
        true
    }

    /// Gives a searching count back. True: it was the last; the caller must look at the queues and wake another if
    /// there is work.
    pub(crate) fn end_search(&self) -> bool {
        let last = searching(self.0.fetch_sub(SEARCHING, Ordering::SeqCst)) == 1;
        fence(Ordering::SeqCst);
        last
    }

    /// Counts the worker idle. It must look at the queues again before it waits.
    pub(crate) fn enter(&self, was_searching: bool) {
        let change = if was_searching {
            IDLE.wrapping_sub(SEARCHING)
        } else {
            IDLE
        };
        self.0.fetch_add(change, Ordering::SeqCst);
        fence(Ordering::SeqCst);
    }

    pub(crate) fn leave(&self) {
        self.0.fetch_sub(IDLE, Ordering::SeqCst);
    }

    /// From idle to searching, when the second look found work.
    pub(crate) fn leave_to_search(&self) {
        self.0.fetch_add(SEARCHING - IDLE, Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_token_is_out_at_most() {
        let counts = Idle::default();
        assert!(!counts.may_wake(), "nobody is idle");
        counts.enter(false);
        counts.enter(false);
        assert!(counts.may_wake());
        assert!(!counts.may_wake(), "the token's reader searches already");
        assert!(counts.end_search());
        assert!(counts.may_wake());
    }

    #[test]
    fn half_the_workers_search() {
        let counts = Idle::default();
        assert!(counts.try_search(4));
        assert!(counts.try_search(4));
        assert!(!counts.try_search(4));
        assert!(!counts.end_search());
        counts.enter(true);
        assert_eq!(counts.count(), 1);
        assert!(counts.may_wake());
    }
}
