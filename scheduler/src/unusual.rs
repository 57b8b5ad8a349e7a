//! What is not as usual, in one word: a worker reads it once between two slices, and looks at each matter only if some flag
//! is set. What a flag stands for lies elsewhere and changes first. Who waits, and is called, looks there.

use std::sync::atomic::{AtomicU32, Ordering};

/// One matter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Matter {
    /// The schedulers are to stop.
    Stopping = 1,
    /// Some scheduler is not online.
    Offline = 2,
    /// Some task of priority max or high was queued, ever: from then on they are looked for.
    Urgent = 4,
    /// Some task was an offender, ever.
    Offenders = 8,
}

#[derive(Debug, Default)]
pub(crate) struct Unusual(AtomicU32);

impl Unusual {
    pub(crate) fn set(&self, matter: Matter, is: bool) {
        if is {
            self.0.fetch_or(matter as u32, Ordering::SeqCst);
        } else {
            self.0.fetch_and(!(matter as u32), Ordering::SeqCst);
        }
    }

    #[inline]
    pub(crate) fn has(&self, matter: Matter) -> bool {
        self.0.load(Ordering::Relaxed) & matter as u32 != 0
    }

    #[inline]
    pub(crate) fn is_any(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }
}
