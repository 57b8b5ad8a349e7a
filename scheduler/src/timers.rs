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

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::lock::Mutex;
use crate::wheel::{EntryKey, Wheel};

/// What a timer does when it is due. Runs on a scheduler thread, between slices, outside every lock of the timers.
///
/// It should do little: wake a task, push a message. It may start and cancel timers. If it panics, the panic is
/// logged and counted.
pub trait Fire: Send {
    /// `now` is the clock's reading, in nanoseconds since the scheduler was built; never before the deadline.
    fn fire(self: Box<Self>, now: u64);
}

impl<F: FnOnce(u64) + Send> Fire for F {
    fn fire(self: Box<Self>, now: u64) {
        (*self)(now);
    }
}

/// A started timer, as an index and not as a reference: it may be kept for ever, and finds nothing once the timer
/// has fired or was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimerKey {
    pub(crate) worker: u32,
    pub(crate) entry: EntryKey,
}

/// Timers fired between two looks at anything else; one lock of the wheel takes so many out. Chosen by feel: some
/// 50 us of wakes.
pub(crate) const FIRES_AT_ONCE: usize = 1024;

pub(crate) struct Timers {
    wheel: Mutex<Wheel<Box<dyn Fire>>>,
    /// Set under the lock: no worker is left to fire anything.
    closed: AtomicBool,
    next: AtomicU64,
}

impl fmt::Debug for Timers {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Timers")
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl Timers {
    pub(crate) fn new() -> Timers {
        Timers {
            wheel: Mutex::new(Wheel::new()),
            closed: AtomicBool::new(false),
            next: AtomicU64::new(u64::MAX),
        }
    }

    /// True with the key if the timer is the wheel's next.
    pub(crate) fn start(&self, at: u64, fire: Box<dyn Fire>) -> (EntryKey, bool) {
        let mut wheel = self.wheel.lock();
        if self.closed.load(Ordering::Relaxed) {
            drop(wheel);
            drop(fire);
            return (EntryKey::NOTHING, false);
        }
        let key = wheel.insert(at, fire);
        let is_next = at < self.next.load(Ordering::Relaxed);
        if is_next {
            self.next.store(at, Ordering::Relaxed);
        }
        (key, is_next)
    }

    /// The published deadline stays as it is: a look too many costs less than the search for the next.
    pub(crate) fn cancel(&self, key: EntryKey) -> Option<(u64, Box<dyn Fire>)> {
        self.wheel.lock().remove(key)
    }

    pub(crate) fn deadline(&self, key: EntryKey) -> Option<u64> {
        self.wheel.lock().deadline(key)
    }

    /// Nothing is due before it.
    #[inline]
    pub(crate) fn next(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// True if more is due.
    pub(crate) fn take_due(&self, now: u64, due: &mut Vec<(u64, Box<dyn Fire>)>) -> bool {
        let mut wheel = self.wheel.lock();
        let more = wheel.take_due(now, due, FIRES_AT_ONCE);
        self.next.store(wheel.next_deadline(), Ordering::Relaxed);
        more
    }

    pub(crate) fn len(&self) -> usize {
        self.wheel.lock().len()
    }

    /// Takes all timers out, for the caller to drop outside the lock; those started later are dropped at once.
    pub(crate) fn close(&self) -> Vec<Box<dyn Fire>> {
        let mut wheel = self.wheel.lock();
        self.closed.store(true, Ordering::Relaxed);
        wheel.clear()
    }
}
