//! Offenders: tasks that did not give way, by their addresses. They are bound from the start of their next slice, so
//! that they hold up no scheduler.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Tasks that are remembered.
const OFFENDERS: usize = 256;

/// Tasks that were bound not long ago, by their addresses. One overwrites another; a new task at the same address is
/// mistaken for the old, once.
#[derive(Debug)]
pub(crate) struct Offenders {
    places: [AtomicUsize; OFFENDERS],
}

impl Default for Offenders {
    fn default() -> Offenders {
        Offenders {
            places: [const { AtomicUsize::new(0) }; OFFENDERS],
        }
    }
}

impl Offenders {
    /// Tasks are some hundred bytes long, so the lowest bits of their addresses tell nothing.
    fn place(&self, address: usize) -> &AtomicUsize {
        &self.places[(address >> 6) % OFFENDERS]
    }

    /// The caller says that there are some: see `unusual.rs`.
    pub(crate) fn add(&self, address: usize) {
        self.place(address).store(address, Ordering::Relaxed);
    }

    /// It behaved: it gave way before its first turn was over.
    pub(crate) fn forgive(&self, address: usize) {
        let place = self.place(address);
        if place.load(Ordering::Relaxed) == address {
            place.store(0, Ordering::Relaxed);
        }
    }

    #[inline]
    pub(crate) fn has(&self, address: usize) -> bool {
        self.place(address).load(Ordering::Relaxed) == address
    }
}
