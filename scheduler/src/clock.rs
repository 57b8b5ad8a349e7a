//! The monotonic clock in nanoseconds since the scheduler was built; in a simulation, the virtual one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Reads CLOCK_MONOTONIC, in nanoseconds; the same clock as the timer descriptor's.
pub(crate) fn monotonic() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid place for the answer. The call cannot fail for this clock.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// A clock with an origin of its own.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    origin: u64,
    simulated: Option<Arc<AtomicU64>>,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock {
            origin: monotonic(),
            simulated: None,
        }
    }

    /// A clock that stands still but for [`Clock::set`].
    pub(crate) fn simulated() -> Clock {
        Clock {
            origin: 0,
            simulated: Some(Arc::default()),
        }
    }

    /// Moves a simulated clock, and all its clones.
    pub(crate) fn set(&self, now: u64) {
        if let Some(simulated) = &self.simulated {
            simulated.store(now, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        match &self.simulated {
            None => monotonic() - self.origin,
            Some(now) => now.load(Ordering::Relaxed),
        }
    }

    /// The same instant on CLOCK_MONOTONIC.
    pub(crate) fn absolute(&self, at: u64) -> u64 {
        self.origin.saturating_add(at)
    }
}
