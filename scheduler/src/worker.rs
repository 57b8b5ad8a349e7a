//! A worker thread: its run-next slot, its loop, and how it waits.
//!
//! Where a worker looks for its next task, in this order:
//! 1. Tasks of priority max and high, its own and those woken from outside.
//! 2. The run-next slot: the last normal task woken by the slice before it. It inherits what is left of that slice, so
//!    tasks that wake each other share one slice; when that is over it goes to the back of the queue with those that ran.
//!    Nobody steals from the slot, so nobody is told of it.
//! 3. Every 61st time the injectors (tasks woken from outside), so that a queue that never empties cannot starve them.
//! 4. Its own queue (`run_queue.rs`).
//! 5. The injectors.
//! 6. The queues of others, from a random one on: it steals up to half.
//!
//! Workers that never run dry steal nothing, so each compares its queue with the others' now and then ([`Local::balance`]).
//!
//! A task taken from a queue gets a new slice. One that yields, or was woken while it ran, goes to the back.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::task::Waker;

use crate::bound::Among;
use crate::core::{Core, Remote, log_panic, quietly};
use crate::driver::{Polled, Wait};
use crate::fire::AnyFire;
use crate::header::{Step, Task, VTable};
use crate::idle::Place;
use crate::long::Lasted;
use crate::microstates::State;
use crate::priority::Priority;
use crate::random::SplitMix;
use crate::run_queue::{Lane, Origin, RunQueue};
use crate::slice::{REDUCTIONS_PER_SLICE, RESUME_REDUCTIONS};
use crate::slot::{self, Given, Slot};
use crate::unusual::Matter;

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

/// Busy workers poll for sockets no more often, together: a poll costs 300 ns, this bounds it to under 2 % of a core.
const POLL_INTERVAL_NS: u64 = 20_000;

/// Busy workers compare their queues no more often. Half the difference moves at a time, so a few rounds even out
/// whatever came about; more often would only move tasks away from their caches. Chosen by feel: a slice of the clock.
const BALANCE_INTERVAL_NS: u64 = 1_000_000;

/// So long may a task wait in a worker's queue before the worker wakes an idle one for it. A wake-up costs 11 to 20 us
/// of two threads' time, and where all cores are in use it takes one away from somebody. Measured with `kv` beside its
/// clients, and with bursts of small tasks.
const PATIENCE_NS: u64 = 50_000;

/// A turn of a bound thread.
const TURN_NS: u64 = 1_000_000;

/// So far behind the bound threads, in virtual time, a queue may be that was empty.
const CREDIT_NS: u64 = 1_000_000;

/// For so many turns of bound threads at most the queue waits, even if one of its tasks had a very long slice: the
/// others in it are not to blame.
const DEBT_TURNS: u64 = 4;

/// Tasks that come from waiting go before bound threads until the queue is so many of their turns ahead. Less than
/// [`DEBT_TURNS`], or they would for ever.
const WOKEN_TURNS: u64 = 2;

/// An idle worker wakes for timers no more often: a wake-up costs 10 us, and timers that are spread out evenly would
/// take half a core at 20 us each. So much later a timer may be that follows another closely.
const TIMER_WAKES_APART_NS: u64 = 50_000;

/// Timers of another busy worker are left to it for so long after their deadline; then it is taken to be in a long
/// slice.
const OTHERS_TIMERS_NS: u64 = 50_000;

pub(crate) struct Local {
    core: Arc<Core>,
    remote: Arc<Remote>,
    index: usize,
    queue: RunQueue,
    run_next: Cell<Option<Task>>,
    /// Where the slice's first task came from, until that lane is charged, and whether it woke others that ran in the same
    /// slice.
    lane: Cell<Option<Lane>>,
    chained: Cell<bool>,
    searching: Cell<bool>,
    coarse_now: Cell<u64>,
    balanced_at: Cell<u64>,
    /// The bound thread that has its turn, and since when.
    guest: Cell<Option<&'static Slot>>,
    /// The task that its last thread was left with, and bound to; its owner is to be told.
    left_behind: Cell<Option<(Task, &'static VTable)>>,
    turn_began: Cell<u64>,
    /// Virtual times of the queue and of the bound threads, and when the former was last brought up to date.
    queue_time: Cell<u64>,
    bound_time: Cell<u64>,
    turns_seen: Cell<u64>,
    /// When it last fired what was due in all wheels.
    fired_at: Cell<u64>,
    /// Since when tasks wait in the queue that an idle worker could run; 0 if they don't, or it is not known.
    waiting_since: Cell<u64>,
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
            guest: Cell::new(None),
            left_behind: Cell::new(None),
            turn_began: Cell::new(0),
            queue_time: Cell::new(0),
            bound_time: Cell::new(0),
            turns_seen: Cell::new(now),
            fired_at: Cell::new(0),
            waiting_since: Cell::new(0),
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
        let lane = self.queue.push(task, origin);
        self.core.note(lane);
        if others_may {
            self.waiting_since.set(self.core.clock.now());
        }
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
        self.run_next_is_some() && !slot.is_over()
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
        slot.new_slice(i64::from(REDUCTIONS_PER_SLICE));
        Some(task)
    }

    #[cold]
    fn next_urgent(&self) -> Option<(Task, Lane)> {
        if !self.core.unusual.has(Matter::Urgent) {
            return None;
        }
        let injectors = &self.core.injectors;
        self.queue
            .pop_urgent()
            .or_else(|| self.queue.take_injected_urgent(injectors))
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
        self.queue.take_injected(&self.core.injectors)
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
            .find_map(|victim| self.queue.steal(&remotes[victim].stealers))?;
        self.remote().counters.steals.add(1);
        Some(found)
    }

    /// Gives the searching count back once there is something to run; see `idle.rs`, step 2.
    fn end_search(&self) {
        if self.searching.replace(false) && self.core.idle.end_search() && self.core.has_work() {
            self.wake_another();
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
            let used = i64::from(REDUCTIONS_PER_SLICE) - slot.left();
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
        if let Some(task) = self.run_next.take() {
            self.queue.push(task, Origin::Waiting);
        }
        // The gate of a bound thread stays open: it is the end.
        self.guest.set(None);
        self.enter(State::Idle, self.core.clock.now());
        self.core.remotes[self.index].set_runner(None);
    }

    // Time and events.

    /// What a busy worker does now and then.
    #[cold]
    fn look(&self) {
        self.until_look.set(REDUCTIONS_BETWEEN_LOOKS);
        self.remote().told.look.store(false, Ordering::Relaxed);
        let now = self.core.clock.now();
        self.coarse_now.set(now);
        let mut polls = false;
        for (index, remote) in self.core.remotes.iter().enumerate() {
            let grace = if index == self.index || remote.told.asleep.load(Ordering::Relaxed) {
                0
            } else {
                OTHERS_TIMERS_NS
            };
            if remote.timers.next().saturating_add(grace) <= now {
                polls = true;
                self.enter(State::Polling, now);
                self.fire_due(remote);
            }
        }
        if now.saturating_sub(self.balanced_at.get()) >= BALANCE_INTERVAL_NS {
            self.balanced_at.set(now);
            self.balance();
        }
        let driver = &self.core.driver;
        if !self.core.idle.is_attended() && driver.is_unpolled(now, POLL_INTERVAL_NS) {
            driver.set_polled(now);
            polls = true;
            self.enter(State::Polling, now);
            self.poll(Wait::No);
        }
        if polls {
            self.enter(State::Busy, self.core.clock.now());
        }
    }

    /// Takes tasks from workers that have over twice as many. Stealing alone evens out nothing among workers that never
    /// run dry: one could serve nine endless tasks and another one.
    fn balance(&self) {
        for (index, remote) in self.core.remotes.iter().enumerate() {
            if index != self.index && self.queue.balance(&remote.stealers) {
                self.remote().counters.steals.add(1);
                return;
            }
        }
    }

    fn poll(&self, wait: Wait) -> Polled {
        let mut wakers = self.wakers.take();
        let polled = self.core.driver.poll(wait, &mut wakers);
        if wait == Wait::Attend {
            self.enter(State::Polling, self.core.clock.now());
        }
        let counters = &self.remote().counters;
        counters.events.add(polled.events);
        for waker in wakers.drain(..) {
            // A waker may be anybody's.
            if !quietly("a waker", || waker.wake()) {
                counters.panics.add(1);
            }
        }
        self.wakers.replace(wakers);
        polled
    }

    /// Found nothing: waits for an event, for a call, or for the end of a bound thread's turn. See `idle.rs`.
    fn rest(&self) {
        let core = &self.core;
        let until = match self.guest.get() {
            Some(_) => self.turn_began.get() + TURN_NS,
            None if self.begin_turn(Among::All) => self.turn_began.get() + TURN_NS,
            None => u64::MAX,
        };
        self.wait(until, || core.has_work());
        let earliest = self.bound_time.get().saturating_sub(CREDIT_NS);
        self.queue_time.set(self.queue_time.get().max(earliest));
    }

    /// Waits for an event or a call, but not if there is `something` already, and at most until `until`.
    fn wait(&self, until: u64, something: impl Fn() -> bool) {
        let core = &self.core;
        self.waiting_since.set(0);
        self.remote().told.set_resting(true);
        let now = core.clock.now();
        let late = core.is_late(now);
        let was_searching = self.searching.replace(false);
        let place = core
            .idle
            .enter(self.index, core.remotes.len(), was_searching, late);
        if core.is_stopping() || !self.is_online() || something() {
            if !core.idle.leave(self.index) {
                core.idle.search();
            }
            self.searching.set(true);
            self.remote().told.set_resting(false);
            // It may have seen all idle, and fallen asleep.
            core.monitor.wake();
            self.turns_seen.set(core.clock.now());
            return;
        }
        self.remote().counters.parks.add(1);
        let state = match self.guest.get() {
            Some(_) => State::Hosting,
            None => State::Idle,
        };
        self.enter(state, now);
        let timer = match place {
            Place::Attendant => {
                let next = self.fired_at.get() + TIMER_WAKES_APART_NS;
                core.driver.arm(core.next_deadline().max(next).min(until));
                self.poll(Wait::Attend).timer
            }
            Place::Sleeper => {
                let limit = until.saturating_sub(core.clock.now());
                self.remote().told.await_call(limit);
                false
            }
        };
        let now = core.clock.now();
        self.turns_seen.set(now);
        if place == Place::Attendant {
            core.driver.set_polled(now);
        }
        self.searching.set(core.idle.leave(self.index));
        self.remote().told.set_resting(false);
        core.monitor.wake();
        self.coarse_now.set(now);
        self.until_look.set(REDUCTIONS_BETWEEN_LOOKS);
        if timer {
            self.fire_all();
            self.enter(State::Busy, core.clock.now());
        } else {
            self.enter(State::Busy, now);
        }
    }

    #[inline]
    pub(crate) fn is_online(&self) -> bool {
        self.core.online.has(self.index)
    }

    /// Leaves everything to the other workers, and sleeps until it is online again, or it is the end. See `online.rs`.
    #[cold]
    fn stay_offline(&self) {
        let core = &self.core;
        if let Some(slot) = self.guest.take() {
            self.remote().told.set_hosting(false);
            let lasted = core.clock.now().saturating_sub(self.turn_began.get());
            core.bound.end_turn(slot, self.index, lasted);
        }
        if let Some(task) = self.run_next.take() {
            self.queue.push(task, Origin::Waiting);
        }
        self.queue.move_to(&core.injectors);
        self.waiting_since.set(0);
        self.remote().told.set_resting(true);
        let was_searching = self.searching.replace(false);
        if let Some(sleeper) = core.idle.go_offline(core.remotes.len(), was_searching) {
            core.remotes[sleeper].told.call();
        }
        if core.has_work() {
            self.wake_another();
        }
        self.enter(State::Idle, core.clock.now());
        while !self.is_online() && !core.is_stopping() {
            self.remote().told.await_call(u64::MAX);
        }
        self.enter(State::Busy, core.clock.now());
        core.idle.come_online();
        self.remote().told.set_resting(false);
        core.monitor.wake();
        let now = core.clock.now();
        self.turns_seen.set(now);
        self.coarse_now.set(now);
    }

    // Bound threads: see `bound.rs`.

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
            if let Some(task) = self.run_next.take() {
                self.queue.push(task, Origin::Waiting);
            }
            self.wake_another();
        }
        others_may
    }

    /// Between slices, while there are bound threads: gives turns to them, and ends them.
    ///
    /// Virtual time decides whose turn it is, the queue's or that of a bound thread: each advances by what it used,
    /// divided by the number that share in it. Who was idle is behind, and goes first, but not for longer than a credit.
    #[cold]
    fn take_turns(&self) {
        let bound = &self.core.bound;
        let now = self.core.clock.now();
        let ran = now - self.turns_seen.replace(now);
        let queued = self.queue.len() as u64 + 1;
        let turn = TURN_NS / bound.sharing(self.core.online.count());
        let latest = self.bound_time.get() + DEBT_TURNS * turn;
        self.queue_time
            .set((self.queue_time.get() + ran / queued).min(latest));
        if let Some(slot) = self.guest.get()
            && (now >= self.turn_began.get() + TURN_NS || !bound.has_turn(slot, self.index))
        {
            self.go_on_or_end_turn(slot, now);
        }
        if self.queue.is_empty() || self.run_next_is_some() {
            // Whatever there is runs at once, or the worker rests, and gives a turn meanwhile.
            return;
        }
        let core = &self.core;
        let time_ahead = self.queue_time.get().saturating_sub(self.bound_time.get());
        let is_pressing = || {
            (core.unusual.has(Matter::Urgent) && self.queue.has_urgent(&core.injectors))
                || (time_ahead <= WOKEN_TURNS * turn && self.queue.has_woken(&core.injectors))
        };
        let among = if time_ahead > 0 {
            Among::Waiting
        } else {
            Among::New
        };
        if (time_ahead > 0 || bound.has_new())
            && !is_pressing()
            && (self.guest.get().is_some() || self.begin_turn(among))
        {
            self.wait(self.turn_began.get() + TURN_NS, is_pressing);
        }
    }

    fn begin_turn(&self, among: Among) -> bool {
        let bound = &self.core.bound;
        if bound.ready() == 0 && !(among == Among::All && bound.has_condemned()) {
            return false;
        }
        let Some(slot) = bound.begin_turn(self.index, among) else {
            return false;
        };
        self.guest.set(Some(slot));
        self.remote().told.set_hosting(true);
        self.turn_began.set(self.core.clock.now());
        true
    }

    /// What the scheduler's thread was left with when it was taken or given away, by who does so. That slice is over for
    /// the scheduler; a mark on it is not the next one's.
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

    fn go_on_or_end_turn(&self, slot: &'static Slot, now: u64) {
        let bound = &self.core.bound;
        let lasted = now.saturating_sub(self.turn_began.get());
        let sharing = bound.sharing(self.core.online.count());
        self.bound_time
            .set(self.bound_time.get() + lasted / sharing);
        let nothing_else = !self.run_next_is_some() && !self.core.has_work();
        if bound.extend_turn(slot, self.index, lasted, nothing_else) {
            self.turn_began.set(now);
        } else {
            self.guest.set(None);
            self.remote().told.set_hosting(false);
            bound.end_turn(slot, self.index, lasted);
        }
    }

    /// Fires what is due in all wheels, and arms the descriptor again for those who still wait.
    fn fire_all(&self) {
        let now = self.core.clock.now();
        self.fired_at.set(now);
        for remote in &self.core.remotes {
            if remote.timers.next() <= now {
                self.fire_due(remote);
            }
        }
        if self.core.idle.is_attended() {
            self.core.driver.arm(self.core.next_deadline());
        }
    }

    /// Fires what is due in one wheel, up to a limit; the rest at the next look.
    fn fire_due(&self, remote: &Remote) {
        let now = self.core.clock.now();
        let mut due = self.due.take();
        if remote.timers.take_due(now, &mut due) {
            self.until_look.set(0);
        }
        let counters = &self.remote().counters;
        counters.timers_fired.add(due.len() as u64);
        for (_, fire) in due.drain(..) {
            if !quietly("a timer", || fire.fire(now)) {
                counters.panics.add(1);
            }
        }
        self.due.replace(due);
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
    slot.new_slice(i64::from(REDUCTIONS_PER_SLICE));
    if let Some(local) = slot.local() {
        local.remote().set_runner(Some(slot));
        // What its last thread did with its last task is not the queue's.
        let now = core.clock.now();
        local.turns_seen.set(now);
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
        if local.guest.get().is_some() || core.bound.ready() > 0 {
            local.take_turns();
        }
        let Some(task) = local.next(slot, unusual) else {
            local.rest();
            continue;
        };
        if unusual && is_offender(core, task) && start_bound(core, slot, task) {
            continue;
        }
        let left = slot.left();
        let step = run_slice(core, slot, task);
        local = match slot.local() {
            Some(local) => local,
            None => {
                hand_in(core, slot, task, step);
                return Left::TakenAway;
            }
        };
        local.after(slot, task, step, left - slot.left());
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
    slot.set_left(slot.left() - i64::from(RESUME_REDUCTIONS));
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
    slot.new_slice(i64::from(REDUCTIONS_PER_SLICE));
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
    if slot.gate().bound.has_had_turns() && !slot.is_given() && step != Step::Done {
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
