//! Who is idle, who searches, who attends: how few wake-ups can serve.
//!
//! An idle worker sleeps on a futex of its own, but one: the *attendant* waits in the poller (`driver.rs`), for sockets
//! and for the next timer of any worker.
//! - While some worker is busy, it looks after sockets and its own timers between slices, and nobody attends: no idle
//!   worker is woken for what a busy one will see in a moment. (A server that shares its cores with its clients lost a
//!   fifth of its throughput to such wake-ups.)
//! - The last worker to go idle attends.
//! - A busy worker may be stuck in a long slice. The monitor notices sockets and timers that are late and wakes an idle
//!   worker, which attends, until it goes idle again and finds that the busy ones do.
//!
//! A worker whose scheduler is offline (`online.rs`) is not idle: nobody wakes it for a task, and for the question who
//! is the last it counts as asleep.
//!
//! Protocol:
//! 1. A worker that found nothing to do enters: under the lock it writes itself down as sleeper or attendant, gives
//!    back its searching count and counts itself idle; *then* it looks at all queues again, then sleeps.
//! 2. Who has pushed a task that others may take (a worker only once the task has waited for a while, see `worker.rs`)
//!    calls `wake_one`: if a worker is idle and none searches, then under the lock it strikes one out, a sleeper rather
//!    than the attendant, turns its idle count into a searching count, and wakes it.
//! 3. A worker that stops waiting, for whatever reason, leaves: under the lock it strikes itself out; if it is struck
//!    out already, it was woken to search, and the searching count is its own.
//! 4. A searcher that finds work gives the count back; if it was the last and more work is visible, it wakes the next
//!    (so a burst wakes worker after worker, a single task wakes one).
//!
//! Races considered:
//! - *Push against going idle.* Push, fence, read of the counts on one side; counts, fence, read of the queues on
//!   the other. One of the two sees the other: either a worker is woken, or the worker sees the task.
//! - *Push while somebody searches.* The pusher wakes nobody. The searcher gives back its count, then (fence) looks
//!   at the queues: the same argument.
//! - *Wake against leaving.* Both strike out under the lock, so a worker is either woken or left by itself. A wake-up
//!   call that comes after it left all the same (it left since it saw work) is spurious at its next sleep.
//! - *Two in the poller.* One event wakes one of them, which takes it. So between a wake-up of the attendant and its
//!   leaving nobody else attends, however late timers are.

use crate::sync::{AtomicU64, Mutex, Ordering, fence};

const IDLE: u64 = 1;
const OFFLINE: u64 = 1 << 16;
const SEARCHING: u64 = 1 << 32;
const ATTENDED: u64 = 1 << 63;

#[derive(Debug)]
pub(crate) struct Idle {
    /// Counts of the idle, the offline and the searching, and whether there is an attendant.
    word: AtomicU64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    /// The last to come is woken first: its caches are the warmest.
    sleepers: Vec<usize>,
    attendant: Option<usize>,
    /// One that attended, was woken, and is still in the poller: until it has left nobody else may attend, who could be
    /// woken in its place.
    called: Option<usize>,
}

/// Where a worker waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the poller.
    Attendant,
    /// On its own futex.
    Sleeper,
}

fn idle(word: u64) -> usize {
    (word & (OFFLINE - 1)) as usize
}

fn offline(word: u64) -> usize {
    ((word & (SEARCHING - 1)) / OFFLINE) as usize
}

fn searching(word: u64) -> usize {
    ((word & !ATTENDED) >> 32) as usize
}

impl Idle {
    pub(crate) fn new(workers: usize) -> Idle {
        Idle {
            word: AtomicU64::new(0),
            waiting: Mutex::new(Waiting {
                sleepers: Vec::with_capacity(workers),
                attendant: None,
                called: None,
            }),
        }
    }

    /// True if somebody waits.
    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.count() > 0
    }

    #[inline]
    pub(crate) fn count(&self) -> usize {
        idle(self.word.load(Ordering::Relaxed))
    }

    /// How many are offline and sleep.
    pub(crate) fn offline(&self) -> usize {
        offline(self.word.load(Ordering::Relaxed))
    }

    /// True if none of `workers` runs anything.
    pub(crate) fn are_all(&self, workers: usize) -> bool {
        let word = self.word.load(Ordering::Relaxed);
        idle(word) + offline(word) == workers
    }

    /// True if somebody waits in the poller.
    #[inline]
    pub(crate) fn is_attended(&self) -> bool {
        self.word.load(Ordering::Relaxed) & ATTENDED != 0
    }

    /// Counts a worker idle, and says where it shall wait; but it must look at the queues again first. It attends if
    /// there is no attendant and it is the last of `workers` (those offline apart), or if the busy ones are `late`.
    pub(crate) fn enter(
        &self,
        worker: usize,
        workers: usize,
        was_searching: bool,
        late: bool,
    ) -> Place {
        let mut waiting = self.waiting.lock();
        let last = waiting.sleepers.len() + self.offline() + 1 == workers;
        let mut change = IDLE;
        if was_searching {
            change = change.wrapping_sub(SEARCHING);
        }
        let is_free = waiting.attendant.is_none() && waiting.called.is_none();
        let place = if is_free && (last || late) {
            waiting.attendant = Some(worker);
            change = change.wrapping_add(ATTENDED);
            Place::Attendant
        } else {
            waiting.sleepers.push(worker);
            Place::Sleeper
        };
        self.word.fetch_add(change, Ordering::SeqCst);
        drop(waiting);
        fence(Ordering::SeqCst);
        place
    }

    /// Counts a worker as idle no more. True: somebody has done so already, with a wake-up, and the worker searches.
    pub(crate) fn leave(&self, worker: usize) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.attendant == Some(worker) {
            waiting.attendant = None;
            self.word.fetch_sub(IDLE + ATTENDED, Ordering::SeqCst);
            false
        } else if let Some(place) = waiting.sleepers.iter().position(|&one| one == worker) {
            waiting.sleepers.remove(place);
            self.word.fetch_sub(IDLE, Ordering::SeqCst);
            false
        } else {
            waiting.called.take_if(|called| *called == worker);
            true
        }
    }

    /// Counts a worker offline, whose queue is empty; it must look at the queues of others once more. If it was the
    /// last awake of `workers` and nobody attends, this picks an idle one to search, and then to attend: the caller
    /// must wake that one, a sleeper.
    pub(crate) fn go_offline(&self, workers: usize, was_searching: bool) -> Option<usize> {
        let mut waiting = self.waiting.lock();
        let mut change = OFFLINE;
        if was_searching {
            change = change.wrapping_sub(SEARCHING);
        }
        self.word.fetch_add(change, Ordering::SeqCst);
        let last = waiting.sleepers.len() + self.offline() == workers;
        let woken = match waiting.attendant {
            None if last => waiting.sleepers.pop(),
            _ => None,
        };
        if woken.is_some() {
            self.word.fetch_add(SEARCHING - IDLE, Ordering::SeqCst);
        }
        drop(waiting);
        fence(Ordering::SeqCst);
        woken
    }

    /// Counts a worker as offline no more.
    pub(crate) fn come_online(&self) {
        let _waiting = self.waiting.lock();
        self.word.fetch_sub(OFFLINE, Ordering::SeqCst);
    }

    /// Picks an idle worker to search, if none searches. The caller must wake it.
    #[inline]
    pub(crate) fn wake_one(&self) -> Option<(usize, Place)> {
        fence(Ordering::SeqCst);
        let word = self.word.load(Ordering::Relaxed);
        if idle(word) == 0 || searching(word) > 0 {
            return None;
        }
        self.strike_out()
    }

    #[cold]
    fn strike_out(&self) -> Option<(usize, Place)> {
        let mut waiting = self.waiting.lock();
        // Only under the lock does a count of searchers that is none become one by a wake-up, so one is woken.
        if searching(self.word.load(Ordering::SeqCst)) > 0 {
            return None;
        }
        if let Some(worker) = waiting.sleepers.pop() {
            self.word.fetch_add(SEARCHING - IDLE, Ordering::SeqCst);
            return Some((worker, Place::Sleeper));
        }
        let worker = waiting.attendant.take()?;
        waiting.called = Some(worker);
        self.word
            .fetch_add(SEARCHING.wrapping_sub(IDLE + ATTENDED), Ordering::SeqCst);
        Some((worker, Place::Attendant))
    }

    /// How many search.
    #[inline]
    pub(crate) fn searching(&self) -> usize {
        searching(self.word.load(Ordering::Relaxed))
    }

    /// At most half the workers search at once: more would only stand in each other's way.
    pub(crate) fn try_search(&self, workers: usize) -> bool {
        if 2 * self.searching() >= workers {
            return false;
        }
        self.search();
        true
    }

    pub(crate) fn search(&self) {
        self.word.fetch_add(SEARCHING, Ordering::SeqCst);
    }

    /// Gives a searching count back. True: it was the last; the caller must look at the queues and wake another if
    /// there is work.
    pub(crate) fn end_search(&self) -> bool {
        let last = searching(self.word.fetch_sub(SEARCHING, Ordering::SeqCst)) == 1;
        fence(Ordering::SeqCst);
        last
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_is_woken_at_a_time_and_sleepers_first() {
        let idle = Idle::new(2);
        assert_eq!(idle.wake_one(), None, "nobody is idle");
        assert_eq!(idle.enter(0, 2, false, false), Place::Sleeper);
        assert_eq!(idle.enter(1, 2, false, false), Place::Attendant);
        assert!(idle.is_attended());
        assert_eq!(idle.wake_one(), Some((0, Place::Sleeper)));
        assert_eq!(idle.wake_one(), None, "one searches already");
        assert!(idle.leave(0), "it was woken");
        assert!(idle.end_search());
        assert_eq!(idle.wake_one(), Some((1, Place::Attendant)));
        assert!(!idle.is_attended());
        assert!(idle.leave(1));
        assert_eq!(idle.count(), 0);
    }

    #[test]
    fn who_leaves_by_itself_does_not_search() {
        let idle = Idle::new(2);
        idle.enter(0, 2, false, false);
        assert!(!idle.leave(0));
        assert_eq!(
            idle.enter(1, 2, false, true),
            Place::Attendant,
            "others are late"
        );
        assert_eq!(
            idle.enter(0, 2, false, true),
            Place::Sleeper,
            "one is enough"
        );
        assert!(!idle.leave(1));
        assert!(!idle.is_attended());
        assert_eq!(idle.enter(1, 2, false, false), Place::Attendant);
    }

    /// Two in the poller are woken by one event, which one of them takes.
    #[test]
    fn nobody_attends_before_the_one_who_was_woken_has_left_the_poller() {
        let idle = Idle::new(2);
        idle.enter(0, 2, false, true);
        assert_eq!(idle.wake_one(), Some((0, Place::Attendant)));
        assert_eq!(idle.enter(1, 2, false, true), Place::Sleeper);
        assert!(!idle.leave(1));
        assert!(idle.leave(0), "it was woken");
        assert_eq!(idle.enter(1, 2, false, true), Place::Attendant);
    }

    #[test]
    fn who_is_offline_is_not_woken_and_counts_as_asleep() {
        let idle = Idle::new(3);
        assert_eq!(idle.go_offline(3, false), None, "others are awake");
        assert_eq!(idle.enter(0, 3, false, false), Place::Sleeper);
        assert!(!idle.are_all(3));
        assert_eq!(
            idle.enter(1, 3, false, false),
            Place::Attendant,
            "the last of those online"
        );
        assert!(idle.are_all(3));
        assert_eq!(idle.wake_one(), Some((0, Place::Sleeper)));
        assert!(idle.leave(0) && idle.end_search());
        assert_eq!(idle.wake_one(), Some((1, Place::Attendant)));
        assert!(idle.leave(1) && idle.end_search());
        assert_eq!(idle.wake_one(), None);
        idle.come_online();
        assert_eq!((idle.count(), idle.offline()), (0, 0));
    }

    #[test]
    fn the_last_awake_leaves_the_poller_to_a_sleeper_when_it_goes_offline() {
        let idle = Idle::new(2);
        idle.enter(0, 2, false, false);
        idle.search();
        assert_eq!(idle.go_offline(2, true), Some(0));
        assert!(idle.leave(0), "it was woken");
        assert_eq!(idle.enter(0, 2, true, false), Place::Attendant);
        assert!(idle.are_all(2));
    }

    #[test]
    fn half_the_workers_search() {
        let idle = Idle::new(4);
        assert!(idle.try_search(4));
        assert!(idle.try_search(4));
        assert!(!idle.try_search(4));
        assert!(!idle.end_search());
        idle.enter(0, 4, true, false);
        assert_eq!(idle.wake_one(), Some((0, Place::Sleeper)));
    }
}

/// Every interleaving, under `RUSTFLAGS="--cfg loom" cargo test --release --lib loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, AtomicUsize};
    use loom::thread;

    use super::*;

    /// A queue of one task, and a worker's sleep as a flag.
    #[derive(Debug)]
    struct Model {
        idle: Idle,
        queued: AtomicUsize,
        called: AtomicBool,
    }

    #[test]
    fn loom_a_push_against_going_idle_is_seen() {
        loom::model(|| {
            let model = Arc::new(Model {
                idle: Idle::new(1),
                queued: AtomicUsize::new(0),
                called: AtomicBool::new(false),
            });
            let pusher = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    model.queued.store(1, Ordering::Relaxed);
                    if model.idle.wake_one().is_some() {
                        model.called.store(true, Ordering::Release);
                    }
                })
            };
            model.idle.search();
            model.idle.enter(0, 1, true, false);
            let sees = model.queued.load(Ordering::Relaxed) == 1;
            pusher.join().unwrap();
            assert!(
                sees || model.called.load(Ordering::Acquire),
                "the worker sleeps beside a task"
            );
            if model.idle.leave(0) {
                assert!(model.idle.end_search());
            }
            assert_eq!(model.idle.count(), 0);
            assert!(!model.idle.is_attended());
        });
    }

    #[test]
    fn loom_a_push_while_one_searches_is_seen_by_it() {
        loom::model(|| {
            let model = Arc::new(Model {
                idle: Idle::new(2),
                queued: AtomicUsize::new(0),
                called: AtomicBool::new(false),
            });
            model.idle.enter(1, 2, false, false);
            model.idle.search();
            let pusher = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    model.queued.store(1, Ordering::Relaxed);
                    if model.idle.wake_one().is_some() {
                        model.called.store(true, Ordering::Release);
                    }
                })
            };
            let last = model.idle.end_search();
            assert!(last);
            let sees = model.queued.load(Ordering::Relaxed) == 1;
            pusher.join().unwrap();
            assert!(sees || model.called.load(Ordering::Acquire));
        });
    }

    /// Worker 1 goes offline, worker 0 attends.
    #[test]
    fn loom_a_push_against_going_offline_reaches_another() {
        loom::model(|| {
            let model = Arc::new(Model {
                idle: Idle::new(2),
                queued: AtomicUsize::new(0),
                called: AtomicBool::new(false),
            });
            model.idle.enter(1, 2, false, false);
            model.idle.enter(0, 2, false, false);
            let call = |model: &Model| {
                if let Some((0, _)) = model.idle.wake_one() {
                    model.called.store(true, Ordering::Release);
                }
            };
            let pusher = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    model.queued.store(1, Ordering::Relaxed);
                    call(&model);
                })
            };
            let searching = model.idle.leave(1);
            assert_eq!(model.idle.go_offline(2, searching), None, "one attends");
            if model.queued.load(Ordering::Relaxed) == 1 {
                call(&model);
            }
            pusher.join().unwrap();
            assert!(
                model.called.load(Ordering::Acquire),
                "the task waits, and so does the worker"
            );
        });
    }

    #[test]
    fn loom_somebody_attends_after_one_went_offline_as_the_other_went_idle() {
        loom::model(|| {
            let model = Arc::new(Model {
                idle: Idle::new(2),
                queued: AtomicUsize::new(0),
                called: AtomicBool::new(false),
            });
            let other = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.idle.enter(0, 2, false, false))
            };
            let woken = model.idle.go_offline(2, false);
            let place = other.join().unwrap();
            match place {
                Place::Attendant => assert_eq!(woken, None),
                Place::Sleeper => {
                    assert_eq!(woken, Some(0));
                    assert!(model.idle.leave(0));
                    assert_eq!(model.idle.enter(0, 2, true, false), Place::Attendant);
                }
            }
            assert!(model.idle.are_all(2));
        });
    }
}
