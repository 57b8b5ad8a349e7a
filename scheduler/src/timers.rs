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

/// Every interleaving, under `RUSTFLAGS="--cfg loom" cargo test --release --lib loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::thread;

    use super::*;
    use crate::idle::{Idle, Place};
    use crate::sync::fence;

    fn timers() -> Arc<Timers<u32>> {
        Arc::new(Timers::new())
    }

    fn started(timers: &Timers<u32>, at: u64, value: u32) -> EntryKey {
        let (key, _) = timers.start(at, value).expect("it is not closed");
        key
    }

    fn fired(timers: &Timers<u32>, now: u64) -> Vec<(u64, u32)> {
        let mut due = Vec::new();
        timers.take_due(now, &mut due);
        due
    }

    #[test]
    fn loom_a_cancel_or_the_firing_gets_the_timer() {
        loom::model(|| {
            let timers = timers();
            let key = started(&timers, 5, 1);
            let later = started(&timers, 9, 2);
            let canceller = {
                let timers = Arc::clone(&timers);
                thread::spawn(move || timers.cancel(key))
            };
            let due = fired(&timers, 5);
            match canceller.join().unwrap() {
                Some(cancelled) => assert_eq!((cancelled, due.len()), ((5, 1), 0)),
                None => assert_eq!(due, [(5, 1)]),
            }
            assert_eq!(timers.cancel(key), None);
            assert!(timers.next() <= 9, "the other is not forgotten");
            assert_eq!(timers.deadline(later), Some(9));
        });
    }

    #[test]
    fn loom_two_that_fire_share_what_is_due() {
        loom::model(|| {
            let timers = timers();
            started(&timers, 5, 1);
            started(&timers, 6, 2);
            let other = {
                let timers = Arc::clone(&timers);
                thread::spawn(move || fired(&timers, 6))
            };
            let mut due = fired(&timers, 6);
            due.extend(other.join().unwrap());
            due.sort_unstable();
            assert_eq!(due, [(5, 1), (6, 2)]);
            assert_eq!(timers.next(), u64::MAX);
        });
    }

    #[test]
    fn loom_the_published_deadline_is_never_too_late() {
        loom::model(|| {
            let timers = timers();
            started(&timers, 5, 1);
            let starter = {
                let timers = Arc::clone(&timers);
                thread::spawn(move || {
                    started(&timers, 7, 2);
                    // It is there until it fires, and nobody fires it.
                    assert!(timers.next() <= 7);
                    started(&timers, 6, 3);
                    assert!(timers.next() <= 6);
                })
            };
            assert_eq!(fired(&timers, 5), [(5, 1)]);
            starter.join().unwrap();
            assert_eq!(timers.next(), 6);
        });
    }

    /// As in `Core::start_timer`, and in `Local::wait`.
    #[test]
    fn loom_a_start_against_attending_arms_the_descriptor() {
        loom::model(|| {
            let model = Arc::new((Timers::<u32>::new(), Idle::new(1)));
            let starter = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    let (timers, idle) = &*model;
                    let (_, is_next) = timers.start(5, 1).expect("it is not closed");
                    assert!(is_next);
                    fence(Ordering::SeqCst);
                    idle.is_attended()
                })
            };
            let (timers, idle) = &*model;
            assert_eq!(idle.enter(0, 1, false, false), Place::Attendant);
            let armed_for = timers.next();
            let starter_arms = starter.join().unwrap();
            assert!(starter_arms || armed_for == 5, "nobody wakes for the timer");
        });
    }

    #[test]
    fn loom_what_is_started_while_all_ends_comes_back_or_is_taken_out() {
        loom::model(|| {
            let timers = timers();
            let starter = {
                let timers = Arc::clone(&timers);
                thread::spawn(move || timers.start(5, 1).err())
            };
            let mut values = timers.close();
            values.extend(starter.join().unwrap());
            assert_eq!(values, [1]);
            assert_eq!(timers.start(6, 2), Err(2));
            assert_eq!((timers.len(), timers.next()), (0, u64::MAX));
        });
    }
}
