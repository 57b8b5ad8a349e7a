//! A million timers at once. In a file of its own: it keeps both cores busy.

mod common;

use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

use common::{next, scheduler};
use otp_scheduler::{Scheduler, TimerKey, proceed};

const MS: u64 = 1_000_000;

/// What became of a timer.
#[derive(Default)]
struct Fate {
    fired: AtomicU8,
    cancelled: AtomicU8,
}

/// Optimised builds take a million; both have the same two seconds.
const MANY: usize = if cfg!(debug_assertions) {
    100_000
} else {
    1_000_000
};

/// A third is cancelled by other threads, each as it is about to fire.
#[test]
fn of_a_million_timers_each_fires_once_or_is_cancelled_and_none_early() {
    struct Many {
        scheduler: Scheduler,
        fates: Vec<Fate>,
        early: AtomicUsize,
        left: AtomicUsize,
        all: mpsc::Sender<()>,
    }
    impl Many {
        fn one_less(&self) {
            if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
                self.all.send(()).unwrap();
            }
        }

        fn start(self: &Arc<Self>, number: usize, at: u64) -> TimerKey {
            let many = Arc::clone(self);
            self.scheduler.start_timer(at, move |now| {
                if now < at || many.scheduler.now() < at {
                    many.early.fetch_add(1, Ordering::Relaxed);
                }
                many.fates[number].fired.fetch_add(1, Ordering::Relaxed);
                many.one_less();
            })
        }
    }
    let scheduler = scheduler(2);
    let (all, are_over) = mpsc::channel();
    let many = Arc::new(Many {
        scheduler: scheduler.clone(),
        fates: (0..MANY).map(|_| Fate::default()).collect(),
        early: AtomicUsize::new(0),
        left: AtomicUsize::new(MANY),
        all,
    });
    // Half on each of two schedulers, or where the tasks happen to be.
    let starters: Vec<_> = (0..2)
        .map(|half| {
            let many = Arc::clone(&many);
            scheduler.spawn(async move {
                let begun = many.scheduler.now();
                let mut random: u64 = half as u64 + 1;
                let mut to_cancel = Vec::new();
                for number in (half..MANY).step_by(2) {
                    proceed(1).await;
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1);
                    let at = begun + (random >> 33) % (2_000 * MS);
                    let key = many.start(number, at);
                    if number % 3 == 0 {
                        to_cancel.push((at, number, key));
                    }
                }
                to_cancel
            })
        })
        .collect();
    let cancellers: Vec<_> = starters
        .into_iter()
        .map(|starter| {
            let (many, mut to_cancel) = (Arc::clone(&many), starter.wait().unwrap());
            to_cancel.sort_unstable_by_key(|&(at, number, _)| (at, number));
            std::thread::spawn(move || {
                let mut cancelled = 0;
                for (at, number, key) in to_cancel {
                    while many.scheduler.now() + MS / 10 < at {
                        std::thread::yield_now();
                    }
                    if let Some(deadline) = many.scheduler.cancel_timer(key) {
                        assert_eq!(deadline, at);
                        many.fates[number].cancelled.fetch_add(1, Ordering::Relaxed);
                        many.one_less();
                        cancelled += 1;
                    }
                }
                cancelled
            })
        })
        .collect();
    let cancelled: usize = cancellers
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .sum();
    next(&are_over);
    assert_eq!(many.early.load(Ordering::Relaxed), 0);
    assert!(cancelled > 0);
    for (number, fate) in many.fates.iter().enumerate() {
        let fired = fate.fired.load(Ordering::Relaxed);
        let cancelled = fate.cancelled.load(Ordering::Relaxed);
        assert_eq!(
            fired + cancelled,
            1,
            "timer {number}: {fired} and {cancelled}"
        );
        assert!(cancelled == 0 || number % 3 == 0);
    }
    assert_eq!(scheduler.figures().timers, 0);
    let fired: u64 = scheduler
        .figures()
        .schedulers
        .iter()
        .map(|worker| worker.timers_fired)
        .sum();
    assert_eq!(fired as usize, MANY - cancelled);
}
