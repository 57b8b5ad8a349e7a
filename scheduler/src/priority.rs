//! Priorities of tasks, with OTP's meaning.

use std::sync::atomic::{AtomicU8, Ordering};

/// How a task stands to others that want to run. Mirrors `process_flag(priority, _)`.
///
/// It counts from the next time on that the task is queued; a slice that runs is not cut short for anybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Priority {
    /// Shares with the normal ones, at an eighth of the turns that each of them gets. With nothing normal to run it
    /// runs like one.
    Low,
    /// The default.
    #[default]
    Normal,
    /// While one wants to run on a scheduler, nothing normal or low does. For the few that others wait for.
    High,
    /// While one wants to run on a scheduler, nothing else does. For the VM's own tasks.
    Max,
}

impl Priority {
    pub(crate) fn of_number(number: u8) -> Priority {
        match number {
            0 => Priority::Low,
            1 => Priority::Normal,
            2 => Priority::High,
            _ => Priority::Max,
        }
    }

    /// Turns of a thread bound to such a task, beside eight of a normal one.
    ///
    /// By weight, not strictly, for high and max too: bound code may spin for a lock that other bound code holds.
    pub(crate) const fn turns(self) -> u32 {
        match self {
            Priority::Low => 1,
            Priority::Normal => 8,
            Priority::High => 16,
            Priority::Max => 32,
        }
    }
}

/// The priority in a task's header.
#[derive(Debug)]
pub(crate) struct AtomicPriority(AtomicU8);

impl AtomicPriority {
    pub(crate) fn new() -> AtomicPriority {
        AtomicPriority(AtomicU8::new(Priority::Normal as u8))
    }

    #[inline]
    pub(crate) fn get(&self) -> Priority {
        Priority::of_number(self.0.load(Ordering::Relaxed))
    }

    pub(crate) fn set(&self, priority: Priority) {
        self.0.store(priority as u8, Ordering::Relaxed);
    }
}
