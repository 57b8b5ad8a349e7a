//! The monotonic clock in nanoseconds since the scheduler was built.

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
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    origin: u64,
}

impl Clock {
    pub(crate) fn new() -> Clock {
        Clock {
            origin: monotonic(),
        }
    }

    #[inline]
    pub(crate) fn now(&self) -> u64 {
        monotonic() - self.origin
    }

    /// The same instant on CLOCK_MONOTONIC.
    pub(crate) fn absolute(&self, at: u64) -> u64 {
        self.origin.saturating_add(at)
    }
}
