//! The timers of one worker, reachable from all threads.
//!
//! Protocol:
//! 1. `start` puts the timer into the wheel of the worker it is called on (elsewhere: the first worker's) and
//!    publishes the wheel's next deadline if it became earlier.
//! 2. Busy workers look at the published deadlines between slices, of those that sleep too. The attendant (`idle.rs`)
//!    arms the poller's timer descriptor for the earliest of *all* wheels; while nobody attends and a timer is late,
//!    since its worker is stuck in a long slice, the monitor sees to it that somebody does.
//! 3. Whoever finds timers due takes them out under the lock, and fires them after it let go of it. A timer taken
//!    out can be cancelled no more.
//!
//! Race: *start against attending.* `start` publishes, fence, reads whether anyone attends; the worker says that it
//! attends, fence, reads the deadlines. So one of the two arms the descriptor.

use crate::fire::AnyFire;
use crate::sync::{AtomicU64, LockMutex as Mutex, Ordering};
use crate::wheel::{EntryKey, Wheel};

/// A started timer, as an index and not as a reference: it may be kept for ever, and finds nothing once the timer
/// has fired or was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    pub(crate) worker: u32,
    pub(crate) entry: EntryKey,
}

impl TimerKey {
    /// Finds nothing.
    pub(crate) const NOTHING: TimerKey = TimerKey {
        worker: 0,
        entry: EntryKey::NOTHING,
    };
}

/// Timers fired between two looks at anything else; one lock of the wheel takes so many out. Chosen by feel: some
/// 50 us of wakes.
pub(crate) const FIRES_AT_ONCE: usize = 1024;

#[derive(Debug)]
pub(crate) struct Timers<T = AnyFire> {
    guarded: Mutex<Guarded<T>>,
    /// The earliest deadline, or an earlier one after a cancel. Written under the lock.
    next: AtomicU64,
}

#[derive(Debug)]
struct Guarded<T> {
    wheel: Wheel<T>,
    /// No worker is left to fire anything.
    closed: bool,
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Timers<T> {
        Timers {
            guarded: Mutex::new(Guarded {
                wheel: Wheel::new(),
                closed: false,
            }),
            next: AtomicU64::new(u64::MAX),
        }
    }

    /// True with the key if the timer is the wheel's next. After the end, the caller gets it back.
    pub(crate) fn start(&self, at: u64, fire: T) -> Result<(EntryKey, bool), T> {
        let mut guarded = self.guarded.lock();
        if guarded.closed {
            return Err(fire);
        }
        let key = guarded.wheel.insert(at, fire);
        let is_next = at < self.next.load(Ordering::Relaxed);
        if is_next {
            self.next.store(at, Ordering::Relaxed);
        }
        Ok((key, is_next))
    }

    /// The published deadline stays as it is: a look too many costs less than the search for the next.
    pub(crate) fn cancel(&self, key: EntryKey) -> Option<(u64, T)> {
        self.guarded.lock().wheel.remove(key)
    }

    pub(crate) fn deadline(&self, key: EntryKey) -> Option<u64> {
        self.guarded.lock().wheel.deadline(key)
    }

    /// Nothing is due before it.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// True if more is due.
    pub(crate) fn take_due(&self, now: u64, due: &mut Vec<(u64, T)>) -> bool {
        let mut guarded = self.guarded.lock();
        let more = guarded.wheel.take_due(now, due, FIRES_AT_ONCE);
        let next = guarded.wheel.next_deadline();
        self.next.store(next, Ordering::Relaxed);
        more
    }

    pub(crate) fn len(&self) -> usize {
        self.guarded.lock().wheel.len()
    }

    /// Takes all timers out, for the caller to drop outside the lock; none is started later.
    pub(crate) fn close(&self) -> Vec<T> {
        let mut guarded = self.guarded.lock();
        guarded.closed = true;
        self.next.store(u64::MAX, Ordering::Relaxed);
        guarded.wheel.clear()
    }
}
