//! What others tell a worker, and the call that wakes it.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::sync;

#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The monitor: look at timers and sockets after this slice.
    pub(crate) look: AtomicBool,
    /// It waits in the poller or on its futex.
    resting: AtomicBool,
    /// It gives a bound thread its turn.
    hosting: AtomicBool,
    /// It sleeps on its futex, so that its timers are for the others to fire.
    pub(crate) asleep: AtomicBool,
    /// A wake-up call, which it sleeps on.
    call: sync::AtomicU32,
}

impl Told {
    pub(crate) fn is_resting(&self) -> bool {
        self.resting.load(Ordering::Relaxed)
    }

    pub(crate) fn set_resting(&self, resting: bool) {
        self.resting.store(resting, Ordering::Relaxed);
    }

    pub(crate) fn set_hosting(&self, hosting: bool) {
        self.hosting.store(hosting, Ordering::Relaxed);
    }

    /// It waits, and no bound thread has a turn from it.
    pub(crate) fn could_host(&self) -> bool {
        self.is_resting() && !self.hosting.load(Ordering::Relaxed)
    }

    /// Sleeps until it is called, once for all calls so far, and at most so long.
    pub(crate) fn await_call(&self, limit_ns: u64) {
        if self.call.swap(0, Ordering::SeqCst) == 0 {
            self.asleep.store(true, Ordering::Relaxed);
            sync::futex_wait(&self.call, 0, (limit_ns < u64::MAX / 2).then_some(limit_ns));
            // What was told before a call that is taken back here is seen from here on.
            self.call.swap(0, Ordering::SeqCst);
            self.asleep.store(false, Ordering::Relaxed);
        }
    }

    pub(crate) fn call(&self) {
        self.call.swap(1, Ordering::SeqCst);
        sync::futex_wake_one(&self.call);
    }
}

/// Every interleaving, under `RUSTFLAGS="--cfg loom" cargo test --release --lib loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicBool, Ordering};
    use loom::thread;

    use super::Told;
    use crate::idle::Idle;

    /// What workers and `Core::stop` share; the attendant's descriptor is a call as well.
    struct Model {
        idle: Idle,
        told: Vec<Told>,
        stopping: AtomicBool,
    }

    impl Model {
        fn new(workers: usize) -> Arc<Model> {
            Arc::new(Model {
                idle: Idle::new(workers),
                told: (0..workers).map(|_| Told::default()).collect(),
                stopping: AtomicBool::new(false),
            })
        }

        fn is_stopping(&self) -> bool {
            self.stopping.load(Ordering::Relaxed)
        }

        /// As `Core::stop`.
        fn stop(&self) {
            self.stopping.store(true, Ordering::SeqCst);
            for told in &self.told {
                told.call();
            }
        }

        /// The loop of a worker that never finds anything, as `worker::run` and `Local::wait`. loom fails if it sleeps
        /// for ever.
        fn run(&self, worker: usize) {
            while !self.is_stopping() {
                self.idle.enter(worker, self.told.len(), false, false);
                if !self.is_stopping() {
                    self.told[worker].await_call(u64::MAX);
                }
                if self.idle.leave(worker) {
                    self.idle.end_search();
                }
            }
        }
    }

    #[test]
    fn loom_no_worker_sleeps_through_a_stop() {
        loom::model(|| {
            let model = Model::new(1);
            let worker = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.run(0))
            };
            model.stop();
            worker.join().unwrap();
            assert_eq!(model.idle.count(), 0);
        });
    }

    /// A wake-up call for a task at the same time takes nothing away from the stop's. With two preemptions at most: all
    /// orders of three threads would take hours.
    #[test]
    fn loom_a_wake_up_call_does_not_hide_a_stop() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let model = Model::new(1);
            let worker = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.run(0))
            };
            let waker = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    if let Some((worker, _)) = model.idle.wake_one() {
                        model.told[worker].call();
                    }
                })
            };
            model.stop();
            waker.join().unwrap();
            worker.join().unwrap();
            assert_eq!(model.idle.count(), 0);
        });
    }

    #[test]
    fn loom_what_was_told_before_a_call_is_seen_after_it() {
        loom::model(|| {
            let model = Model::new(1);
            let caller = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.stop())
            };
            model.told[0].await_call(u64::MAX);
            assert!(model.is_stopping());
            caller.join().unwrap();
        });
    }
}
