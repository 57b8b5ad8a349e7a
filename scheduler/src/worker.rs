//! A worker thread: its queue, its run-next slot, its loop.
//!
//! Where a worker looks for its next task, in this order:
//! 1. The run-next slot: the last task woken by the slice before it. It inherits what is left of that slice, so tasks
//!    that wake each other share one slice; when that is over it goes to the back of the queue like everyone else.
//!    Nobody steals from the slot, so nobody is told of it.
//! 2. Every 61st time the injector (tasks woken from outside), so that a queue that never empties cannot starve it.
//! 3. Its own queue, first in, first out.
//! 4. The injector.
//! 5. The queues of others, from a random one on: it steals up to half.
//!
//! Workers that never run dry steal nothing, so each compares its queue with the others' now and then ([`Local::balance`]).
//!
//! A task taken from a queue gets a new slice. One that yields, or was woken while it ran, goes to the back.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::iter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::Waker;

use crossbeam_deque::{Steal, Worker};

use crate::core::{Core, Remote, forget_payload, panic_text};
use crate::driver::Polled;
use crate::header::{Step, Task};
use crate::random::Random;
use crate::slice::{self, Entered, REDUCTIONS_PER_SLICE, RESUME_REDUCTIONS};
use crate::timers::Fire;

/// A busy worker looks at the clock, the timers and the poller after so many slices, or so many reductions,
/// whichever comes first. The clock costs 23 ns, so it is not read for each slice.
const SLICES_BETWEEN_LOOKS: u32 = 64;
const REDUCTIONS_BETWEEN_LOOKS: i64 = REDUCTIONS_PER_SLICE as i64;

/// Turns between two that begin with the injector. A prime, as Go and tokio have it, to stay out of step with
/// patterns in the work; 61 costs next to nothing and bounds the wait.
const TURNS_BETWEEN_INJECTOR: u32 = 61;

/// Busy workers poll for sockets no more often, together: a poll costs 300 ns, this bounds it to under 2 % of a core.
const POLL_INTERVAL_NS: u64 = 20_000;

/// Busy workers compare their queues no more often. Half the difference moves at a time, so a few rounds even out
/// whatever came about; more often would only move tasks away from their caches. Chosen by feel: a slice of the clock.
const BALANCE_INTERVAL_NS: u64 = 1_000_000;

/// Timers of another worker are left to it for so long after their deadline; then it is taken to be stuck in a slice.
const OTHERS_TIMERS_NS: u64 = 1_000_000;

pub(crate) struct Local {
    core: Arc<Core>,
    index: usize,
    queue: Worker<Task>,
    run_next: Cell<Option<Task>>,
    in_slice: Cell<bool>,
    searching: Cell<bool>,
    coarse_now: Cell<u64>,
    balanced_at: Cell<u64>,
    turn: Cell<u32>,
    slices_since_look: Cell<u32>,
    reductions_since_look: Cell<i64>,
    random: Random,
    due: RefCell<Vec<(u64, Box<dyn Fire>)>>,
    wakers: RefCell<Vec<Waker>>,
}

impl fmt::Debug for Local {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Local")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

impl Local {
    pub(crate) fn new(core: Arc<Core>, index: usize, queue: Worker<Task>) -> Local {
        let now = core.clock.now();
        Local {
            core,
            index,
            queue,
            run_next: Cell::new(None),
            in_slice: Cell::new(false),
            searching: Cell::new(false),
            coarse_now: Cell::new(now),
            balanced_at: Cell::new(now),
            turn: Cell::new(0),
            slices_since_look: Cell::new(0),
            reductions_since_look: Cell::new(0),
            random: Random::new(index as u32 + 1),
            due: RefCell::new(Vec::new()),
            wakers: RefCell::new(Vec::new()),
        }
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    #[inline]
    pub(crate) fn belongs_to(&self, core: &Core) -> bool {
        ptr::eq(&*self.core, core)
    }

    pub(crate) fn coarse_now(&self) -> u64 {
        self.coarse_now.get()
    }

    fn remote(&self) -> &Remote {
        &self.core.remotes[self.index]
    }

    // The queue.

    /// A task woken on this thread.
    #[inline]
    pub(crate) fn push_woken(&self, task: Task) {
        if !self.in_slice.get() {
            self.push_back(task);
        } else if let Some(displaced) = self.run_next.replace(Some(task)) {
            self.push_back(displaced);
        }
    }

    /// To the back of the queue. If this worker has something else to run first, an idle one is told; if not, it will
    /// take the task itself in a moment, which is sooner than anybody would wake up.
    fn push_back(&self, task: Task) {
        let others_may = self.in_slice.get() || self.run_next_is_some() || !self.queue.is_empty();
        self.queue.push(task);
        if others_may {
            self.wake_another();
        }
    }

    fn run_next_is_some(&self) -> bool {
        let task = self.run_next.take();
        self.run_next.set(task);
        task.is_some()
    }

    fn wake_another(&self) {
        if self.core.remotes.len() > 1 && self.core.idle.may_wake() {
            self.remote().counters.wakes.add(1);
            self.core.driver.wake();
        }
    }

    // The loop.

    pub(crate) fn run(&self) {
        let _entered = Entered::new(self);
        while !self.core.is_stopping() {
            if self.slices_since_look.get() >= SLICES_BETWEEN_LOOKS
                || self.reductions_since_look.get() >= REDUCTIONS_BETWEEN_LOOKS
            {
                self.look();
            }
            match self.next() {
                Some(task) => self.run_slice(task),
                None => self.rest(),
            }
        }
        if let Some(task) = self.run_next.take() {
            self.queue.push(task);
        }
    }

    #[inline]
    fn next(&self) -> Option<Task> {
        if let Some(task) = self.run_next.take() {
            if slice::reductions_left() > 0 {
                return Some(task);
            }
            self.push_back(task);
        }
        let task = self.next_queued()?;
        self.end_search();
        slice::set_left(i64::from(REDUCTIONS_PER_SLICE));
        Some(task)
    }

    fn next_queued(&self) -> Option<Task> {
        let turn = self.turn.get() + 1;
        self.turn.set(turn);
        if turn >= TURNS_BETWEEN_INJECTOR {
            self.turn.set(0);
            if let Some(task) = self.take_injected() {
                return Some(task);
            }
        }
        self.queue
            .pop()
            .or_else(|| self.take_injected())
            .or_else(|| self.steal())
    }

    fn take_injected(&self) -> Option<Task> {
        taken(|| self.core.injector.steal_batch_and_pop(&self.queue))
    }

    fn steal(&self) -> Option<Task> {
        let remotes = &self.core.remotes;
        if remotes.len() == 1 {
            return None;
        }
        if !self.searching.get() {
            if !self.core.idle.try_search(remotes.len()) {
                return None;
            }
            self.searching.set(true);
        }
        let first = self.random.below(remotes.len());
        let task = (first..remotes.len())
            .chain(0..first)
            .filter(|&victim| victim != self.index)
            .find_map(|victim| {
                taken(|| remotes[victim].stealer.steal_batch_and_pop(&self.queue))
            })?;
        self.remote().counters.steals.add(1);
        Some(task)
    }

    /// Gives the searching count back once there is something to run; see `idle.rs`, step 2.
    fn end_search(&self) {
        if self.searching.replace(false) && self.core.idle.end_search() && self.core.has_work() {
            self.wake_another();
        }
    }

    #[inline]
    fn run_slice(&self, task: Task) {
        let header = task.0;
        let before = slice::reductions_left();
        slice::set_left(before - i64::from(RESUME_REDUCTIONS));
        self.in_slice.set(true);
        // SAFETY: the task is in no queue any more and SCHEDULED, so its owner keeps it and nobody else runs it.
        let step = unsafe {
            header.as_ref().state.begin();
            let run = header.as_ref().vtable.run;
            catch_unwind(AssertUnwindSafe(|| run(header)))
        };
        self.in_slice.set(false);
        let used = before - slice::reductions_left();
        self.slices_since_look.set(self.slices_since_look.get() + 1);
        self.reductions_since_look
            .set(self.reductions_since_look.get() + used);
        let counters = &self.remote().counters;
        counters.slices.add(1);
        counters.reductions.add(used as u64);
        match step {
            Ok(Step::Idle) => {
                // SAFETY: it is not done, so its memory is still the owner's promise.
                if unsafe { header.as_ref() }.state.rest() {
                    self.push_back(task);
                }
            }
            Ok(Step::Yield) => {
                // SAFETY: as above.
                unsafe { header.as_ref() }.state.requeue();
                self.push_back(task);
            }
            Ok(Step::Done) => {}
            Err(payload) => {
                counters.panics.add(1);
                tracing::error!(
                    panic = panic_text(&*payload),
                    "a task's `run` panicked; the task is given up"
                );
                forget_payload(payload);
            }
        }
    }

    // Time and events.

    /// What a busy worker does now and then.
    #[cold]
    fn look(&self) {
        self.slices_since_look.set(0);
        self.reductions_since_look.set(0);
        let now = self.core.clock.now();
        self.coarse_now.set(now);
        for (index, remote) in self.core.remotes.iter().enumerate() {
            let grace = if index == self.index {
                0
            } else {
                OTHERS_TIMERS_NS
            };
            if remote.timers.next().saturating_add(grace) <= now {
                self.fire_due(remote);
            }
        }
        if now.saturating_sub(self.balanced_at.get()) >= BALANCE_INTERVAL_NS {
            self.balanced_at.set(now);
            self.balance();
        }
        let driver = &self.core.driver;
        // An idle worker is given the events by the kernel.
        if driver.has_sources()
            && !self.core.idle.any()
            && now.saturating_sub(driver.polled_at.load(Ordering::Relaxed)) >= POLL_INTERVAL_NS
        {
            driver.polled_at.store(now, Ordering::Relaxed);
            let polled = self.poll(false);
            if polled.timer {
                self.fire_all();
            }
            if polled.token
                && !self.core.is_stopping()
                && self.core.idle.end_search()
                && self.core.has_work()
            {
                self.wake_another();
            }
        }
    }

    /// Takes tasks from a worker that has over twice as many. Stealing alone evens out nothing among workers that
    /// never run dry: one could serve nine endless tasks and another one.
    fn balance(&self) {
        let own = self.queue.len();
        let crowded = |remote: &&Remote| remote.stealer.len() > 2 * own + 2;
        if let Some(remote) = self.core.remotes.iter().find(crowded)
            && remote.stealer.steal_batch(&self.queue).is_success()
        {
            self.remote().counters.steals.add(1);
        }
    }

    fn poll(&self, block: bool) -> Polled {
        let mut wakers = self.wakers.take();
        let polled = self.core.driver.poll(block, &mut wakers);
        let counters = &self.remote().counters;
        counters.events.add(polled.events);
        for waker in wakers.drain(..) {
            // A waker may be anybody's.
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| waker.wake())) {
                counters.panics.add(1);
                tracing::error!(panic = panic_text(&*payload), "a waker panicked");
                forget_payload(payload);
            }
        }
        self.wakers.replace(wakers);
        polled
    }

    /// Found nothing: waits for an event. See `idle.rs`, step 3.
    fn rest(&self) {
        let core = &self.core;
        core.idle.enter(self.searching.replace(false));
        if core.is_stopping() || core.has_work() {
            core.idle.leave_to_search();
            self.searching.set(true);
            return;
        }
        core.driver.arm(core.next_deadline());
        self.remote().counters.parks.add(1);
        let polled = self.poll(true);
        core.idle.leave();
        // After `stop` the token carries no searching count; the loop ends.
        self.searching.set(polled.token && !core.is_stopping());
        self.coarse_now.set(core.clock.now());
        self.slices_since_look.set(0);
        self.reductions_since_look.set(0);
        if polled.timer {
            self.fire_all();
        }
    }

    /// Fires what is due in all wheels, and arms the descriptor again for those who still wait.
    fn fire_all(&self) {
        let now = self.core.clock.now();
        for remote in &self.core.remotes {
            if remote.timers.next() <= now {
                self.fire_due(remote);
            }
        }
        if self.core.idle.any() {
            self.core.driver.arm(self.core.next_deadline());
        }
    }

    /// Fires what is due in one wheel, up to a limit; the rest at the next look.
    fn fire_due(&self, remote: &Remote) {
        let now = self.core.clock.now();
        let mut due = self.due.take();
        if remote.timers.take_due(now, &mut due) {
            self.slices_since_look.set(SLICES_BETWEEN_LOOKS);
        }
        let counters = &self.remote().counters;
        counters.timers_fired.add(due.len() as u64);
        for (_, fire) in due.drain(..) {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| fire.fire(now))) {
                counters.panics.add(1);
                tracing::error!(panic = panic_text(&*payload), "a timer panicked");
                forget_payload(payload);
            }
        }
        self.due.replace(due);
    }
}

/// Tries again for as long as another thief was in the way.
fn taken(mut steal: impl FnMut() -> Steal<Task>) -> Option<Task> {
    iter::repeat_with(&mut steal)
        .find(|result| !result.is_retry())
        .and_then(Steal::success)
}
