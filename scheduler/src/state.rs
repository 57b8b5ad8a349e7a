//! The state word of a task: who may push it, who may run it.
//!
//! The word is `wakes * WAKE + RUNNING?`. Read as states:
//!
//! | word              | state     | meaning                                                          |
//! |-------------------|-----------|------------------------------------------------------------------|
//! | 0                 | IDLE      | in no queue; the next wake pushes it                             |
//! | n * WAKE          | SCHEDULED | in exactly one queue or run-next slot                            |
//! | RUNNING           | RUNNING   | one thread is inside `run`, or the task is done                  |
//! | RUNNING + n*WAKE  | NOTIFIED  | woken while it runs; goes to the back of the queue afterwards    |
//!
//! Protocol:
//! 1. `wake` adds WAKE. Who finds the word 0 has made IDLE into SCHEDULED and pushes; nobody else does.
//! 2. The worker that took the task from a queue swaps in RUNNING (`begin`), then reads what wakers wrote.
//! 3. After `Step::Idle` it subtracts RUNNING (`rest`). If wakes remain, the word is SCHEDULED and it pushes.
//! 4. After `Step::Yield` it swaps in SCHEDULED (`requeue`) and pushes.
//! 5. After `Step::Done` it touches nothing: the owner may have given the memory away inside `run`. The word stays
//!    RUNNING, and a RUNNING task is never pushed, so late wakes do nothing.
//! 6. The owner of type-stable memory uses it again with `start` (SCHEDULED at once) or `reset` (IDLE).
//!
//! Races considered:
//! - *Wake against begin.* A waker writes its message, then wakes. A plain load that sees SCHEDULED would not do:
//!   the worker may have stored RUNNING and looked at the mailbox already, with neither seeing the other (store,
//!   then load, on both sides). With a read-modify-write on both sides the two are ordered: either the wake comes
//!   first and `begin` acquires what the waker wrote, or `begin` comes first and the wake makes NOTIFIED.
//! - *Wake against rest.* The same: either the wake is counted in what `rest` gets back, or it finds 0 and pushes.
//! - *Release sequence.* No plain store lies between a wake and the `begin` that acquires it (every change
//!   is a read-modify-write, 2 ns where nobody contends), so each waker's writes are seen, not only the last one's.
//! - *Stale wake on memory in use again.* It is one more wake of the new task: a spurious run. `start` and `reset`
//!   therefore come after the new task is wholly written.
//! - *Overflow.* 2^62 wakes without a run in between do not happen.
//!
//! An addition and not a bit, because on x86 an OR that returns the old word is a compare-and-swap loop, an addition
//! is one instruction, which does not fail under contention.

use crate::header::Activity;
use crate::sync::{AtomicU64, Ordering};

const RUNNING: u64 = 1;
const WAKE: u64 = 2;

#[derive(Debug)]
pub(crate) struct State(AtomicU64);

impl State {
    pub(crate) fn new() -> State {
        State(AtomicU64::new(0))
    }

    /// Counts a wake. True: the caller must push the task.
    #[inline]
    pub(crate) fn wake(&self) -> bool {
        self.0.fetch_add(WAKE, Ordering::AcqRel) == 0
    }

    /// SCHEDULED to RUNNING, by the worker that took the task from a queue.
    #[inline]
    pub(crate) fn begin(&self) {
        let before = self.0.swap(RUNNING, Ordering::AcqRel);
        debug_assert!(
            before & RUNNING == 0,
            "a task was taken from a queue while it runs"
        );
    }

    /// RUNNING to IDLE. True: it was woken meanwhile, is SCHEDULED now, and the caller must push it.
    #[inline]
    pub(crate) fn rest(&self) -> bool {
        self.0.fetch_sub(RUNNING, Ordering::AcqRel) != RUNNING
    }

    /// RUNNING to SCHEDULED; the caller must push the task.
    #[inline]
    pub(crate) fn requeue(&self) {
        self.0.swap(WAKE, Ordering::AcqRel);
    }

    /// IDLE to RUNNING, if nobody has woken the task, or is about to push it.
    pub(crate) fn begin_idle(&self) -> bool {
        self.0
            .compare_exchange(0, RUNNING, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// A new or done task to RUNNING, until `start`: wakes push nothing.
    pub(crate) fn hold(&self) {
        self.0.swap(RUNNING, Ordering::AcqRel);
    }

    pub(crate) fn activity(&self) -> Activity {
        match self.0.load(Ordering::Relaxed) {
            0 => Activity::Idle,
            word if word & RUNNING == RUNNING => Activity::Running,
            _ => Activity::Scheduled,
        }
    }

    /// A new or done task to SCHEDULED; the caller must push it.
    #[inline]
    pub(crate) fn start(&self) {
        self.0.swap(WAKE, Ordering::AcqRel);
    }

    /// A done task to IDLE.
    #[inline]
    pub(crate) fn reset(&self) {
        self.0.swap(0, Ordering::AcqRel);
    }
}

/// Every interleaving, under `RUSTFLAGS="--cfg loom" cargo test --release --lib loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicUsize;
    use loom::thread;

    use super::*;

    #[derive(Debug)]
    struct Model {
        state: State,
        /// Pushes not yet taken: the queue.
        queued: AtomicUsize,
        /// What wakers write before they wake, without an order of its own.
        messages: [AtomicUsize; 2],
    }

    impl Model {
        fn new() -> Model {
            Model {
                state: State::new(),
                queued: AtomicUsize::new(0),
                messages: [AtomicUsize::new(0), AtomicUsize::new(0)],
            }
        }

        fn send(&self, to: usize) {
            self.messages[to].store(1, Ordering::Relaxed);
            if self.state.wake() {
                let queued = self.queued.fetch_add(1, Ordering::AcqRel);
                assert_eq!(queued, 0, "the task is in the queue twice");
            }
        }

        fn take(&self) -> bool {
            self.queued
                .fetch_update(Ordering::AcqRel, Ordering::Acquire, |n| n.checked_sub(1))
                .is_ok()
        }

        /// Runs slices until the queue is empty; what the last one saw.
        fn run(&self, yields: bool) -> Option<usize> {
            let mut seen = None;
            let mut yields = yields;
            while self.take() {
                self.state.begin();
                let messages = &self.messages;
                seen = Some(messages.iter().map(|one| one.load(Ordering::Relaxed)).sum());
                if std::mem::take(&mut yields) {
                    self.state.requeue();
                    assert_eq!(self.queued.fetch_add(1, Ordering::AcqRel), 0);
                } else if self.state.rest() {
                    assert_eq!(self.queued.fetch_add(1, Ordering::AcqRel), 0);
                }
            }
            seen
        }
    }

    fn two_wakers_against_a_worker(yields: bool) {
        loom::model(move || {
            let model = Arc::new(Model::new());
            let wakers = [0, 1].map(|which| {
                let model = Arc::clone(&model);
                thread::spawn(move || model.send(which))
            });
            let early = model.run(yields);
            for waker in wakers {
                waker.join().unwrap();
            }
            // The last slice, now or before, saw both messages: no wake was lost.
            assert_eq!(model.run(false).or(early), Some(2));
        });
    }

    #[test]
    fn loom_a_wake_against_sleep_is_never_lost() {
        two_wakers_against_a_worker(false);
    }

    #[test]
    fn loom_a_wake_against_a_yield_is_never_lost() {
        two_wakers_against_a_worker(true);
    }

    #[test]
    fn loom_a_stale_wake_of_memory_in_use_again_is_harmless() {
        loom::model(|| {
            let model = Arc::new(Model::new());
            model.state.start();
            model.state.begin();
            // Done here: the word stays RUNNING. A waker of the former task comes late, while the memory gets its
            // next task, which is started, run and done or idle.
            let stale = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.send(0))
            };
            model.state.start();
            model.queued.fetch_add(1, Ordering::AcqRel);
            assert!(model.run(false).is_some());
            stale.join().unwrap();
            model.run(false);
            assert!(
                model.state.wake(),
                "idle in the end, whatever the stale wake did"
            );
        });
    }

    const PUSHED: usize = 1;
    const STOPPED: usize = 2;

    /// The wait of a native task (`native.rs`), against a wake and the end.
    fn native_wait(model: &Model) -> (bool, usize) {
        let mut stopped = false;
        if model.state.rest() {
            model.state.begin();
        } else {
            loop {
                let word = model.queued.load(Ordering::SeqCst);
                if word & PUSHED != 0 {
                    model.queued.fetch_and(!PUSHED, Ordering::SeqCst);
                    model.state.begin();
                    break;
                }
                if word & STOPPED != 0 && model.state.begin_idle() {
                    stopped = true;
                    break;
                }
                thread::yield_now();
            }
        }
        (stopped, model.messages[0].load(Ordering::Relaxed))
    }

    #[test]
    fn loom_a_native_task_goes_on_by_its_one_push_or_the_end_and_none_is_left_over() {
        loom::model(|| {
            let model = Arc::new(Model::new());
            model.state.hold();
            let waker = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    model.messages[0].store(1, Ordering::Relaxed);
                    if model.state.wake() {
                        model.queued.fetch_or(PUSHED, Ordering::SeqCst);
                    }
                })
            };
            let stopper = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    model.queued.fetch_or(STOPPED, Ordering::SeqCst);
                })
            };
            let (stopped, message) = native_wait(&model);
            assert!(stopped || message == 1, "it went on for no reason");
            waker.join().unwrap();
            stopper.join().unwrap();
            assert_eq!(model.queued.load(Ordering::SeqCst), STOPPED);
            assert_eq!(model.state.activity(), Activity::Running);
        });
    }
}
