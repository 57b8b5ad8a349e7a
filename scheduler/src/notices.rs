//! What the monitor wants logged. It allocates nothing and runs no code of the program's, such as a `tracing`
//! subscriber, so it leaves a note, and the maker of threads (`threads.rs`) logs what came about since the last one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::core::Core;
use crate::panics::report;

/// Notes are no closer together, so that what goes on is told each second, and not each millisecond.
const APART_NS: u64 = 1_000_000_000;

/// The first two are the monitor's, the last two the maker's.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    /// What the last note was about, in all; and when the next may be left.
    noted: AtomicU64,
    next_at: AtomicU64,
    is_left: AtomicBool,
    /// What was logged so far, of [`Core::held_up`] and [`Core::emergencies`].
    held_up: AtomicU64,
    emergencies: AtomicU64,
}

impl Notices {
    /// By the monitor. True: it left a note, and the maker is to be called.
    pub(crate) fn leave(&self, core: &Core, now: u64) -> bool {
        let all = core.held_up.load(Ordering::Relaxed) + core.emergencies.load(Ordering::Relaxed);
        if all == self.noted.load(Ordering::Relaxed) || now < self.next_at.load(Ordering::Relaxed) {
            return false;
        }
        self.noted.store(all, Ordering::Relaxed);
        self.next_at.store(now + APART_NS, Ordering::Relaxed);
        self.is_left.store(true, Ordering::Relaxed);
        true
    }

    /// By the maker: logs, if there is a note.
    pub(crate) fn log(&self, core: &Core) {
        if !self.is_left.swap(false, Ordering::Relaxed) {
            return;
        }
        let since = |count: &AtomicU64, logged: &AtomicU64| {
            let count = count.load(Ordering::Relaxed);
            count - logged.swap(count, Ordering::Relaxed)
        };
        let looks = since(&core.held_up, &self.held_up);
        if looks > 0 {
            report(|| {
                tracing::warn!(
                    looks,
                    bound = core.bound.count(),
                    "tasks that do not give way keep their schedulers, since as many threads are bound as may be: build with \
                     `max_bound` higher, or have the code give way"
                );
            });
        }
        let times = since(&core.emergencies, &self.emergencies);
        if times > 0 {
            report(|| {
                tracing::info!(
                    times,
                    "a scheduler, or the maker of threads, waited for something that a bound thread may hold: all gates were \
                     opened for a moment"
                );
            });
        }
    }
}
