//! A worker thread: its run-next slot, its loop, and how it waits.
//!
//! Where a worker looks for its next task, in this order:
//! 1. Tasks of priority max and high, its own and those woken from outside.
//! 2. The run-next slot: the last normal task woken by the slice before it. It inherits what is left of that slice, so
//!    tasks that wake each other share one slice; when that is over it goes to the back of the queue with those that
//!    ran. Nobody steals from the slot, so nobody is told of it.
//! 3. Every 61st time the injectors (tasks woken from outside), so that a queue that never empties cannot starve them.
//! 4. Its own queue (`run_queue.rs`).
//! 5. The injectors.
//! 6. The queues of others, from a random one on: it steals up to half.
//!
//! Workers that never run dry steal nothing, so each compares its queue with the others' now and then
//! ([`Local::balance`]).
//!
//! A task taken from a queue gets a new slice. One that yields, or was woken while it ran, goes to the back.

mod events;
mod rest;
mod turns;

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::Waker;

use crate::core::{Core, Remote};
use crate::fire::AnyFire;
use crate::header::{Step, Task, VTable};
use crate::long::Lasted;
use crate::microstates::State;
use crate::panics::{log_panic, quietly};
use crate::priority::Priority;
use crate::random::SplitMix;
use crate::run_queue::{Lane, Origin, RunQueue};
use crate::slice::{REDUCTIONS_PER_SLICE, RESUME_REDUCTIONS};
use crate::slot::{self, Given, Slot};
use crate::unusual::Matter;
use turns::Turns;

/// A busy worker looks at the clock, the timers and the poller after so many slices, or so many reductions,
/// whichever comes first. The clock costs 23 ns, so it is not read for each slice.
const SLICES_BETWEEN_LOOKS: u32 = 64;
const REDUCTIONS_BETWEEN_LOOKS: i64 = REDUCTIONS_PER_SLICE as i64;

/// One count for both: so many reductions each slice counts for at least.
const SLICE_COUNTS_FOR: i64 =
    (REDUCTIONS_BETWEEN_LOOKS as u32).div_ceil(SLICES_BETWEEN_LOOKS) as i64;

/// Turns between two that begin with the injector. A prime, as Go and tokio have it, to stay out of step with
/// patterns in the work; 61 costs next to nothing and bounds the wait.
const TURNS_BETWEEN_INJECTOR: u32 = 61;

/// So long may a task wait in a worker's queue before the worker wakes an idle one for it. A wake-up costs 11 to 20 us
/// of two threads' time, and where all cores are in use it takes one away from somebody. Measured with `kv` beside its
/// clients, and with bursts of small tasks.
const PATIENCE_NS: u64 = 50_000;

pub(crate) struct Local {
    core: Arc<Core>,
    remote: Arc<Remote>,
    index: usize,
    queue: RunQueue,
    run_next: Cell<Option<Task>>,
    /// Where the slice's first task came from, until that lane is charged, and whether it woke others that ran in the
    /// same slice.
    lane: Cell<Option<Lane>>,
    chained: Cell<bool>,
    searching: Cell<bool>,
    coarse_now: Cell<u64>,
    balanced_at: Cell<u64>,
    /// The task that its last thread was left with, and bound to; its owner is to be told.
    left_behind: Cell<Option<(Task, &'static VTable)>>,
    turns: Turns,
    /// When it last fired what was due in all wheels.
    fired_at: Cell<u64>,
    /// Since when tasks wait in the queue that an idle worker could run; 0 if they don't, or it is not known.
    waiting_since: Cell<u64>,
    hope: rest::Hope,
    turn: Cell<u32>,
    /// The next look is due when there is nothing left.
    until_look: Cell<i64>,
    random: SplitMix,
    due: RefCell<Vec<(u64, AnyFire)>>,
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
    pub(crate) fn new(core: Arc<Core>, index: usize, queue: RunQueue) -> Local {
        let now = core.clock.now();
        Local {
            remote: Arc::clone(&core.remotes[index]),
            core,
            index,
            queue,
            run_next: Cell::new(None),
            lane: Cell::new(None),
            chained: Cell::new(false),
            searching: Cell::new(false),
            coarse_now: Cell::new(now),
            balanced_at: Cell::new(now),
            left_behind: Cell::new(None),
            turns: Turns::new(now),
            fired_at: Cell::new(0),
            waiting_since: Cell::new(0),
            hope: rest::Hope::default(),
            turn: Cell::new(0),
            until_look: Cell::new(REDUCTIONS_BETWEEN_LOOKS),
            random: SplitMix::new(index as u64),
            due: RefCell::new(Vec::new()),
            wakers: RefCell::new(Vec::new()),
        }
    }

    pub(crate) fn index(&self) -> usize {
        self.index
    }

    #[inline]
    pub(crate) fn belongs_to(&self, core: &Core) -> bool {
        ptr::eq(&*self.core, core)
    }

    pub(crate) fn coarse_now(&self) -> u64 {
        self.coarse_now.get()
    }

    #[inline]
    fn remote(&self) -> &Remote {
        &self.remote
    }

    /// What it does from `now` on, for the figures.
    fn enter(&self, state: State, now: u64) {
        self.remote().counters.time.enter(state, now);
    }

    // The queue.

    /// A task woken on this thread.
    #[inline]
    pub(crate) fn push_woken(&self, task: Task, slot: &Slot) {
        if task.priority() != Priority::Normal || !slot.in_slice() {
            self.push_back(task, Origin::Waiting);
        } else if let Some(displaced) = self.run_next.replace(Some(task)) {
            self.push_back(displaced, Origin::Waiting);
        }
    }

    /// To the back of the queue. If this worker has something else to run first, and another is idle, the time counts
    /// from here on until that one is told; see `tell_of_waiting`.
    fn push_back(&self, task: Task, origin: Origin) {
        let idle = self.waiting_since.get() == 0 && self.core.idle.any();
        let others_may = idle && (in_slice() || self.run_next_is_some() || !self.queue.is_empty());
        self.enqueue(task, origin);
        if others_may {
            self.waiting_since.set(self.core.clock.now());
        }
    }

    fn enqueue(&self, task: Task, origin: Origin) {
        let lane = self.queue.push(task, origin);
        self.core.note(lane);
    }

    /// After each slice while tasks wait: wakes an idle worker once they have waited for long enough. The worker that
    /// goes idle meanwhile finds them by itself; one that is missed here since its going idle was not seen yet, too.
    #[cold]
    fn tell_of_waiting(&self) {
        if self.queue.is_empty() {
            self.waiting_since.set(0);
        } else if self.core.clock.now() - self.waiting_since.get() >= PATIENCE_NS {
            self.waiting_since.set(0);
            self.wake_another();
        }
    }

    fn run_next_is_some(&self) -> bool {
        self.run_next.get().is_some()
    }

    fn wake_another(&self) {
        if self.core.wake_one() {
            self.remote().counters.wakes.add(1);
        }
    }

    // The loop.

    #[inline]
    fn next(&self, slot: &Slot, unusual: bool) -> Option<Task> {
        let urgent = unusual.then(|| self.next_urgent()).flatten();
        if urgent.is_none() && self.goes_on(slot) {
            self.chained.set(true);
            return self.run_next.take();
        }
        self.next_slice(slot, urgent)
    }

    /// What is in the run-next slot runs in the same slice.
    #[inline]
    fn goes_on(&self, slot: &Slot) -> bool {
        self.run_next_is_some() && !slot.reductions().is_over()
    }

    fn next_slice(&self, slot: &Slot, urgent: Option<(Task, Lane)>) -> Option<Task> {
        // If what was to go on does not.
        self.charge(slot);
        let (task, lane) = match urgent {
            Some(found) => {
                self.clear_run_next();
                found
            }
            None => {
                if let Some(task) = self.run_next.take() {
                    // A chain of tasks that wake each other has used its slice, as a task would have.
                    let origin = if self.chained.get() {
                        Origin::Running
                    } else {
                        Origin::Waiting
                    };
                    self.push_back(task, origin);
                }
                self.next_queued()?
            }
        };
        self.lane.set(Some(lane));
        self.chained.set(false);
        self.end_search();
        slot.reductions().new_slice(i64::from(REDUCTIONS_PER_SLICE));
        Some(task)
    }

    #[cold]
    fn next_urgent(&self) -> Option<(Task, Lane)> {
        if !self.core.unusual.has(Matter::Urgent) {
            return None;
        }
        let injectors = &self.core.injectors;
        self.queue.pop_urgent().or_else(|| {
            let taken = self.queue.take_injected_urgent(injectors);
            self.note_moved(taken)
        })
    }

    /// Something goes before what is in the run-next slot, for who knows how long. In the queue others may take it.
    fn clear_run_next(&self) {
        if let Some(task) = self.run_next.take() {
            self.push_back(task, Origin::Waiting);
            if self.waiting_since.get() == 0 && self.core.idle.any() {
                self.waiting_since.set(self.core.clock.now());
            }
        }
    }

    /// To where others find it.
    fn queue_run_next(&self) {
        if let Some(task) = self.run_next.take() {
            self.enqueue(task, Origin::Waiting);
        }
    }

    fn next_queued(&self) -> Option<(Task, Lane)> {
        let turn = self.turn.get() + 1;
        self.turn.set(turn);
        if turn >= TURNS_BETWEEN_INJECTOR {
            self.turn.set(0);
            self.queue.take_injected_low(&self.core.injectors);
            if let Some(found) = self.take_injected() {
                return Some(found);
            }
        }
        self.queue
            .pop(&self.core.injectors)
            .or_else(|| self.take_injected())
            .or_else(|| self.steal())
    }

    fn take_injected(&self) -> Option<(Task, Lane)> {
        let taken = self.queue.take_injected(&self.core.injectors);
        self.note_moved(taken)
    }

    /// More tasks of that lane may have come into this queue. On the way they were in none, and nobody saw them.
    #[inline]
    fn note_moved(&self, taken: Option<(Task, Lane)>) -> Option<(Task, Lane)> {
        taken.inspect(|&(_, lane)| self.core.note(lane))
    }

    fn steal(&self) -> Option<(Task, Lane)> {
        let remotes = &self.core.remotes;
        if remotes.len() == 1 {
            return None;
        }
        if !self.searching.get() {
            if !self.core.idle.try_search(self.core.online.count()) {
                return None;
            }
            self.searching.set(true);
        }
        let first = self.random.below(remotes.len() as u64) as usize;
        let found = (first..remotes.len())
            .chain(0..first)
            .filter(|&victim| victim != self.index)
            .find_map(|victim| self.queue.steal(&remotes[victim].stealers));
        if found.is_some() {
            self.remote().counters.steals.add(1);
            self.hope.pays();
        }
        self.note_moved(found)
    }

    /// Gives the searching count back once there is something to run; see `idle.rs`, step 2.
    fn end_search(&self) {
        if self.searching.replace(false) {
            self.hope.ends();
            if self.core.idle.end_search() && self.core.has_work() {
                self.wake_another();
            }
        }
    }

    /// After a slice.
    #[inline]
    fn after(&self, slot: &Slot, task: Task, step: Step, used: i64) {
        self.until_look
            .set(self.until_look.get() - used.max(SLICE_COUNTS_FOR));
        let counters = &self.remote().counters;
        let slice = counters.slices.add(1);
        counters.reductions.add(used as u64);
        if !self.goes_on(slot) {
            self.charge(slot);
        }
        if counters.long.is_of(slice) {
            self.end_long(task);
        }
        if leave_off(task, step) {
            self.push_back(task, Origin::Running);
        }
        if self.waiting_since.get() != 0 {
            self.tell_of_waiting();
        }
    }

    /// At the end of a slice, once, with all that ran in it.
    #[inline]
    fn charge(&self, slot: &Slot) {
        if let Some(lane) = self.lane.take() {
            let used = i64::from(REDUCTIONS_PER_SLICE) - slot.reductions().left();
            self.queue.charge(lane, used);
        }
    }

    /// The monitor has marked the slice that runs.
    pub(crate) fn is_long(&self) -> bool {
        let counters = &self.remote().counters;
        counters.long.is_of(counters.slices.get() + 1)
    }

    /// On the thread that ran the slice of the task, before it says that the task gave way.
    #[cold]
    pub(crate) fn end_long(&self, task: Task) {
        let Some(slot) = slot::current() else {
            return;
        };
        let lasted = Lasted {
            scheduler: self.index,
            since: self.remote().counters.long.since(),
            bound: false,
            is_told: false,
        };
        self.core.long.ended(&self.core, slot, task, lasted);
    }

    /// The end of the scheduler's run: what is in the run-next slot is to be found in the queue.
    fn end(&self) {
        self.queue_run_next();
        // The gate of a bound thread stays open: it is the end.
        self.turns.forget_guest();
        self.enter(State::Idle, self.core.clock.now());
        self.core.remotes[self.index].set_runner(None);
    }

    #[inline]
    pub(crate) fn is_online(&self) -> bool {
        self.core.online.has(self.index)
    }

    /// During a slice: something waits for it to end.
    pub(crate) fn is_waited_for(&self, now: u64) -> bool {
        !self.is_online()
            || self.run_next_is_some()
            || !self.queue.is_empty()
            || !self.core.injectors.is_empty()
            || self.core.bound.ready() > 0
            || self.core.is_late(now)
    }

    /// During a long slice: if another worker is idle, wakes it for what waits here.
    pub(crate) fn pass_on(&self) -> bool {
        let others_may = self.core.idle.any();
        if others_may {
            self.queue_run_next();
            self.wake_another();
        }
        others_may
    }

    /// What the scheduler's thread was left with when it was taken or given away, by who does so. That slice is over
    /// for the scheduler; a mark on it is not the next one's.
    pub(crate) fn leaves_behind(&self, task: Option<(Task, &'static VTable)>) {
        self.left_behind.set(task);
        self.remote().counters.slices.add(1);
    }

    fn tell_of_left_behind(&self) {
        let Some((task, vtable)) = self.left_behind.take() else {
            return;
        };
        if let Some(bound) = vtable.bound {
            // SAFETY: the owner promises that the task's memory still holds a header, since its table has this entry.
            if !quietly("a task's `bound`", || unsafe { bound(task.0) }) {
                self.remote().counters.panics.add(1);
            }
        }
        self.core.long.expect(&self.core);
    }
}

/// How a thread stopped running a scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Left {
    /// The set of schedulers ends.
    Ended,
    /// The monitor gave the scheduler to another thread while a task ran on this one.
    TakenAway,
}

/// Runs the thread's scheduler until it ends or is taken away.
///
/// No reference to the scheduler is used past the running of a task: another thread may have it by then.
pub(crate) fn run(core: &Arc<Core>, slot: &'static Slot) -> Left {
    slot.reductions().new_slice(i64::from(REDUCTIONS_PER_SLICE));
    if let Some(local) = slot.local() {
        local.remote().set_runner(Some(slot));
        // What its last thread did with its last task is not the queue's.
        let now = core.clock.now();
        local.turns.skip_to(now);
        local.lane.set(None);
        local.enter(State::Busy, now);
        local.tell_of_left_behind();
    }
    let mut local = slot.local().expect("a scheduler that was not taken away");
    loop {
        let unusual = core.unusual.is_any();
        if unusual {
            if core.is_stopping() {
                local.end();
                return Left::Ended;
            }
            if !local.is_online() {
                local.stay_offline();
                continue;
            }
        }
        if local.until_look.get() <= 0 || local.remote().told.look.load(Ordering::Relaxed) {
            local.look();
        }
        if local.turns.has_guest() || core.bound.ready() > 0 {
            local.take_turns();
        }
        let Some(task) = local.next(slot, unusual) else {
            local.rest();
            continue;
        };
        if unusual && is_offender(core, task) && start_bound(core, slot, task) {
            continue;
        }
        let left = slot.reductions().left();
        let step = run_slice(core, slot, task);
        local = match slot.local() {
            Some(local) => local,
            None => {
                hand_in(core, slot, task, step);
                return Left::TakenAway;
            }
        };
        local.after(slot, task, step, left - slot.reductions().left());
    }
}

#[cold]
fn is_offender(core: &Core, task: Task) -> bool {
    core.unusual.has(Matter::Offenders) && core.offenders.has(task.0.addr().get())
}

/// Runs a slice of a task, in user code.
#[inline]
pub(crate) fn run_slice(core: &Core, slot: &Slot, task: Task) -> Step {
    let header = task.0;
    slot.reductions()
        .set_left(slot.reductions().left() - i64::from(RESUME_REDUCTIONS));
    // SAFETY: the task is in no queue any more and SCHEDULED, so its owner keeps it and nobody else runs it.
    let step = unsafe {
        header.as_ref().state.begin();
        let run = header.as_ref().vtable.run;
        slot.in_user_code(task, || catch_unwind(AssertUnwindSafe(|| run(header))))
    };
    step.unwrap_or_else(|payload| {
        match slot.local() {
            Some(local) => {
                local.remote().counters.panics.add(1);
            }
            None => {
                core.bound_panics.fetch_add(1, Ordering::Relaxed);
            }
        }
        // The task is given up.
        log_panic("a task's `run`", payload);
        Step::Done
    })
}

/// Says in the task's state that its slice is over. True: it wants to be queued.
#[inline]
pub(crate) fn leave_off(task: Task, step: Step) -> bool {
    match step {
        // SAFETY: it is not done, so its memory is still the owner's promise.
        Step::Idle => unsafe { task.0.as_ref() }.state.rest(),
        Step::Yield => {
            // SAFETY: as above.
            unsafe { task.0.as_ref() }.state.requeue();
            true
        }
        Step::Done => false,
    }
}

/// Gives a task that did not give way before to a thread of its own at once. False: there is none, or no room.
#[cold]
fn start_bound(core: &Arc<Core>, slot: &Slot, task: Task) -> bool {
    let Some(spare) = core.threads.take_spare() else {
        core.threads.call_maker();
        return false;
    };
    let index = slot.local().map_or(0, Local::index);
    // Before it has the task: it might be done with it, and bound no more.
    if !core
        .bound
        .bind_spare(core, spare, task, (index, core.clock.now()))
    {
        core.threads.return_spare(core, spare);
        return false;
    }
    spare.give(Given::Task(task));
    core.long.expect(core);
    true
}

/// Runs a slice of a task on a thread that is bound to it from the start, and waits for its turn first.
pub(crate) fn run_bound(core: &Core, slot: &'static Slot, task: Task) {
    slot.reductions().new_slice(i64::from(REDUCTIONS_PER_SLICE));
    // Who asked before whether the task is bound, and was told that it isn't, did so before it looks about itself.
    fence(Ordering::SeqCst);
    let step = run_slice(core, slot, task);
    hand_in(core, slot, task, step);
}

/// A bound task gave way: it is a task like any other again, but if it used up a turn, it is bound from the start next
/// time. (One that did not may have been kept from its core by others when its scheduler was taken away. Bound from the
/// start it would wait for a turn of everybody else.)
#[cold]
fn hand_in(core: &Core, slot: &'static Slot, task: Task, step: Step) {
    let address = task.0.addr().get();
    if slot.gate().bound.turns() > 0 && !slot.is_given() && step != Step::Done {
        core.offenders.add(address);
        core.unusual.set(Matter::Offenders, true);
    } else {
        core.offenders.forgive(address);
    }
    let scheduler = core.bound.unbind(slot);
    slot.unbind();
    if let Some(lasted) = slot.gate().bound.end_overrun() {
        slot::with_core(|core| core.long.ended(core, slot, task, lasted));
    }
    if leave_off(task, step) {
        core.inject(task);
    }
    end_unused_turn(core, scheduler);
}

/// After a thread was unbound: tells the scheduler that gave it its turn, and sleeps until the end of it.
pub(crate) fn end_unused_turn(core: &Core, scheduler: Option<usize>) {
    if let Some(scheduler) = scheduler {
        core.remotes[scheduler].told.call();
        core.driver.wake();
    }
}

/// True while a task runs on this thread.
fn in_slice() -> bool {
    slot::current().is_some_and(Slot::in_slice)
}
