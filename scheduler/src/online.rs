//! How many schedulers are online: those with lower numbers run tasks, the others sleep.
//!
//! A scheduler goes offline:
//! 1. `set` writes the new number, and calls those that it concerns; one may attend, so the poller is called, too.
//! 2. Each finds between two slices, or before it sleeps, that its number is past those online. It ends the turn that
//!    it gives, and moves all tasks out of its queue into the common one.
//! 3. Under the lock of `idle.rs` it gives its searching count back and is counted as offline, not idle, so no wake-up
//!    for a task is ever meant for it. If all others sleep and none attends, one of them is woken to.
//! 4. It looks at the queues once more, as every searcher does, and wakes another if there is work. It sleeps.
//! 5. `set` calls it again when it is online; it strikes itself from the count, and goes on as one that just woke.
//!
//! While the schedulers are *blocked* only the first is online for all this, whatever number is set; that counts again
//! afterwards.
//!
//! Its timers stay where they are: the others look at all wheels. So do timers started by tasks that left it behind.
//!
//! Races considered:
//! - *A wake-up for a task that meets one on its way.* Whoever was picked has the searching count. It gives it back in
//!   step 3, *then* looks at the queues: as in `idle.rs`, either it sees the task or the pusher picks another.
//! - *Going to sleep against `set`.* As with the end of all: write, call on one side; enter, read on the other.
//! - *The last that is awake.* It attends if it goes idle after step 3, since those offline count as asleep for that;
//!   if before, step 3 finds it. Both are under one lock. The first scheduler is always online.
//! - *A task that keeps its thread.* The scheduler is taken away, or given away at a checkpoint, as for any other
//!   reason, and the next thread finds that it is offline.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::core::Core;
use crate::lock::Mutex;
use crate::unusual::Matter;

/// [`Scheduler::set_schedulers_online`](crate::Scheduler::set_schedulers_online) was asked for a number out of range.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{asked} schedulers asked to be online; give a number from 1 to {schedulers}, as many as were built"
)]
#[non_exhaustive]
pub struct OnlineError {
    /// What was asked for.
    pub asked: usize,
    /// The most that can be had.
    pub schedulers: usize,
}

#[derive(Debug)]
pub(crate) struct Online {
    /// Those that run tasks.
    count: AtomicUsize,
    setting: Mutex<Setting>,
}

/// What was asked for.
#[derive(Debug)]
struct Setting {
    count: usize,
    blocked: bool,
}

impl Online {
    /// `count` of so many schedulers, which is checked.
    pub(crate) fn new(count: usize) -> Online {
        Online {
            count: AtomicUsize::new(count),
            setting: Mutex::new(Setting {
                count,
                blocked: false,
            }),
        }
    }

    /// Schedulers that may run tasks now.
    #[inline]
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn has(&self, scheduler: usize) -> bool {
        scheduler < self.count()
    }

    /// As many as were asked for, also while they are blocked.
    pub(crate) fn asked(&self) -> usize {
        self.setting.lock().count
    }

    /// Answers the number before.
    pub(crate) fn set(&self, core: &Core, count: usize) -> Result<usize, OnlineError> {
        let schedulers = core.remotes.len();
        if !(1..=schedulers).contains(&count) {
            return Err(OnlineError {
                asked: count,
                schedulers,
            });
        }
        let mut setting = self.setting.lock();
        let before = std::mem::replace(&mut setting.count, count);
        self.apply(core, &setting);
        Ok(before)
    }

    /// Leaves only the first online, or no longer.
    pub(crate) fn block(&self, core: &Core, blocked: bool) {
        let mut setting = self.setting.lock();
        setting.blocked = blocked;
        self.apply(core, &setting);
    }

    fn apply(&self, core: &Core, setting: &Setting) {
        let count = if setting.blocked { 1 } else { setting.count };
        let before = self.count.swap(count, Ordering::SeqCst);
        core.unusual
            .set(Matter::Offline, count < core.remotes.len());
        for remote in &core.remotes[before.min(count)..before.max(count)] {
            remote.told.call();
        }
        if count < before {
            core.driver.wake();
        }
    }
}
