//! Bound threads: tasks in their own code for too long, each with a thread of its own that lost its scheduler.
//!
//! They take turns behind their gates (`gate.rs`), in one queue for all schedulers: a scheduler opens the gate of the
//! first, sleeps for a slice or until there is something else to run, closes the gate and puts it at the end.
//!
//! Where a bound thread stands:
//!
//! | standing | gate   | meaning                                                                  |
//! |----------|--------|--------------------------------------------------------------------------|
//! | FREE     | open   | it is not bound                                                          |
//! | READY    | closed | it waits in the queue for its turn                                       |
//! | TURN     | open   | a scheduler gave it the turn                                             |
//! | ASLEEP   | open   | it waits in the kernel: needs no turn, gets no signal, is looked at now and then |
//! | LET_GO   | open   | there are no gates, or it is the end                                     |
//!
//! A thread whose task nobody waits for any more is *let go*: READY, it waits in a queue of its own, whose first comes
//! into the other one now and then, and which is served where nothing else is to be run.
//!
//! A thread comes here by force, from the monitor, or by choice, at a checkpoint. The only difference is that it closes
//! its own gate in the latter case, without a signal; it has its turns, and its class in the kernel, as the others do.
//! Threads of native tasks (`native.rs`) come whenever they have something to do, and leave to wait; they have a limit
//! of their own.
//!
//! Standings and gates change under one lock, so a gate is never closed on a thread that is free. Only schedulers and
//! the monitor take the lock, and threads that become bound by choice, or free; none of them stands behind a gate
//! meanwhile.

use std::collections::VecDeque;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

use crate::builder::Settings;
use crate::core::Core;
use crate::gate::{self, Gate};
use crate::header::{Header, Task, VTable};
use crate::kernel_class::KernelClass;
use crate::lock::MonitorMutex;
use crate::pins::Pins;
use crate::priority::Priority;
use crate::slot::Slot;
use crate::standing::{ASLEEP, FREE, LET_GO, READY, Standing, TURN};
use crate::worker::Local;

/// A thread that used less than this part of its turn may wait in the kernel; or for a core, which its state tells.
const ASLEEP_BELOW: u64 = 16;

/// Looks at a sleeper are no further apart than so many of the monitor's.
const LOOKS_APART: u32 = 16;

/// What a turn costs: a normal one's weight, so that it has one in each round.
pub(crate) const TURN_COST: u32 = Priority::Normal.turns();

/// So often one of those that were let go gets a turn of a millisecond although others want to run, in milliseconds: 3
/// % of one core for all of them. Chosen by feel: a lock that one of them holds comes free some day.
pub const CONDEMNED_INTERVAL_MS: u64 = 32;

/// How often a first turn in which the thread got no core is repeated. (Beside other busy programs it may be long until
/// it gets one, and the others wait meanwhile.)
const FIRST_TURNS_AGAIN: u32 = 4;

/// So many looks of the monitor's a new one has time to come to its gate.
const LOOKS_BEFORE_ARRIVAL: u32 = 40;

#[derive(Debug)]
pub(crate) struct Bound {
    queues: MonitorMutex<Queues>,
    /// Lengths of the queues.
    ready: AtomicUsize,
    /// Those among them that are new.
    new: AtomicUsize,
    condemned: AtomicUsize,
    /// When one that is condemned was put into the other queue.
    condemned_at: AtomicU64,
    /// Bound threads in all, and those of native tasks among them.
    count: AtomicUsize,
    natives: AtomicUsize,
    /// The sum of their weights.
    weight: AtomicU32,
    /// See [`Figures::unanswered`](crate::Figures::unanswered).
    unanswered: AtomicU64,
    limit: usize,
    /// The signal of the gates; without one they stay open, and nobody gets a turn.
    signal: Option<i32>,
    pub(crate) pins: Pins,
}

#[derive(Debug)]
struct Queues {
    ready: VecDeque<&'static Slot>,
    /// As `ready`, of those that were bound by force and have had no turn yet: they go first, each as soon as it has
    /// arrived at its gate.
    new: VecDeque<&'static Slot>,
    /// As `ready`, of those that were let go.
    condemned: VecDeque<&'static Slot>,
    asleep: Vec<&'static Slot>,
    /// All that are bound.
    all: Vec<&'static Slot>,
    class: KernelClass,
    /// It is the end: no gate is closed any more.
    ended: bool,
}

impl Queues {
    fn waiting(&self) -> impl Iterator<Item = &&'static Slot> {
        self.ready.iter().chain(&self.new).chain(&self.condemned)
    }
}

/// Who may be given a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Among {
    /// Those that are new: the queue of tasks is ahead of the others.
    New,
    /// All but those that were let go.
    Waiting,
    /// All: there is nothing else to run.
    All,
}

impl Bound {
    pub(crate) fn new(settings: &Settings, pins: Pins) -> Bound {
        let places = settings.max_bound + settings.max_native;
        Bound {
            // The monitor, which adds to them, allocates nothing.
            queues: MonitorMutex::new(Queues {
                ready: VecDeque::with_capacity(places),
                new: VecDeque::with_capacity(places),
                condemned: VecDeque::with_capacity(places),
                asleep: Vec::with_capacity(places),
                all: Vec::with_capacity(places),
                class: KernelClass::new(settings.policy),
                ended: false,
            }),
            ready: AtomicUsize::new(0),
            new: AtomicUsize::new(0),
            condemned: AtomicUsize::new(0),
            condemned_at: AtomicU64::new(0),
            count: AtomicUsize::new(0),
            weight: AtomicU32::new(0),
            natives: AtomicUsize::new(0),
            unanswered: AtomicU64::new(0),
            limit: settings.max_bound,
            signal: settings.gate_signal,
            pins,
        }
    }

    pub(crate) fn signal(&self) -> Option<i32> {
        self.signal
    }

    #[inline]
    pub(crate) fn ready(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }

    /// True if a thread waits that was bound by force and has had no turn yet.
    pub(crate) fn has_new(&self) -> bool {
        self.new.load(Ordering::Relaxed) > 0
    }

    /// True if some thread waits for a turn.
    pub(crate) fn waits(&self) -> bool {
        self.ready() > 0 || self.has_condemned()
    }

    /// True if one that was let go waits.
    #[inline]
    pub(crate) fn has_condemned(&self) -> bool {
        self.condemned.load(Ordering::Relaxed) > 0
    }

    /// How many bound threads were let go.
    pub(crate) fn condemned(&self) -> usize {
        let queues = self.queues.lock();
        let is_condemned = |slot: &&&Slot| slot.gate().bound.is_condemned.load(Ordering::Relaxed);
        queues.all.iter().filter(is_condemned).count()
    }

    /// Threads that did not come to their gates in time, so far.
    pub(crate) fn unanswered(&self) -> u64 {
        self.unanswered.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// How many share in the turns of one scheduler, normal ones for the rest: at least one.
    pub(crate) fn sharing(&self, schedulers: usize) -> u64 {
        let weight = u64::from(self.weight.load(Ordering::Relaxed));
        weight
            .div_ceil(u64::from(TURN_COST) * schedulers as u64)
            .max(1)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count() >= self.limit + self.natives.load(Ordering::Relaxed)
    }

    /// By the monitor: takes the scheduler away from a thread that is in user code, and binds the thread to its task.
    /// Its turn is over at once. The `slice` is that of the scheduler with this number since then.
    ///
    /// All under the lock: a task that gives way in this very moment finds its scheduler taken, and its thread must
    /// wait in [`Bound::unbind`] until it stands in the lists. Unbound before it was bound, it would stay there for
    /// good, free but gated, and the monitor would find the slot without the scheduler.
    pub(crate) fn take_away(
        &self,
        core: &Core,
        slot: &'static Slot,
        asleep: bool,
        slice: (usize, u64),
    ) -> Option<*mut Local> {
        let mut queues = self.queues.lock();
        if self.is_full() || !slot.take_away(core) {
            return None;
        }
        let local = slot.local_pointer();
        // SAFETY: it was taken away just now, and whoever it is given to comes later.
        unsafe { &*local }.leaves_behind(slot.running());
        slot.gate().bound.overruns(slice);
        self.add(core, &mut queues, slot, slot.task_priority());
        if asleep {
            self.put_to_sleep(&mut queues, slot);
        } else {
            slot.gate()
                .bound
                .first_turns
                .store(FIRST_TURNS_AGAIN, Ordering::Relaxed);
            self.put_first(&mut queues, slot);
        }
        Some(local)
    }

    /// The slice that began first, of those whose tasks were bound by force.
    pub(crate) fn oldest_overrun(&self) -> Option<Overrun> {
        oldest(&self.queues.lock(), |_| true)
    }

    /// The same, of those that nobody was told of. One that began at `limit` or before counts as told from here on.
    pub(crate) fn overdue(&self, limit: u64) -> Option<Overrun> {
        let queues = self.queues.lock();
        let mut overrun = oldest(&queues, |bound| !bound.is_told.load(Ordering::Relaxed))?;
        if overrun.since <= limit {
            overrun.is_told = true;
            let told = &overrun.slot.gate().bound.is_told;
            told.store(true, Ordering::Relaxed);
        }
        Some(overrun)
    }

    /// By a thread itself, in a section, after which it passes its gate. False: the limit is reached, and nothing was
    /// done.
    pub(crate) fn bind_own(&self, core: &Core, slot: &'static Slot) -> bool {
        let mut queues = self.queues.lock();
        if self.is_full() {
            return false;
        }
        self.add(core, &mut queues, slot, slot.task_priority());
        if self.signal.is_some() && !queues.ended {
            // `put_last` finds it closed, and sends no signal.
            slot.gate().close_own();
        }
        self.put_last(&mut queues, slot);
        true
    }

    /// By a scheduler, for a spare that it is about to give a task: its gate is closed until its turn comes. False if
    /// there are as many as may be.
    pub(crate) fn bind_spare(
        &self,
        core: &Core,
        slot: &'static Slot,
        task: Task,
        slice: (usize, u64),
    ) -> bool {
        let mut queues = self.queues.lock();
        if self.is_full() {
            return false;
        }
        slot.will_run(task);
        slot.gate().bound.overruns(slice);
        self.add(core, &mut queues, slot, task.priority());
        self.put_last(&mut queues, slot);
        true
    }

    /// By the thread of a native task, which goes on with it: `at_once`, as one that comes out of a sleep in the
    /// kernel, or when its turn comes; then it passes its gate afterwards. With the priority that the task has by now.
    pub(crate) fn bind_native(&self, slot: &'static Slot, task: Task, at_once: bool) {
        let mut queues = self.queues.lock();
        slot.will_run(task);
        slot.gate().bound.native.store(true, Ordering::Relaxed);
        self.natives.fetch_add(1, Ordering::Relaxed);
        self.enlist(&mut queues, slot, task.priority());
        if at_once {
            self.put_to_sleep(&mut queues, slot);
            return;
        }
        if self.signal.is_some() && !queues.ended {
            slot.gate().close_own();
        }
        self.put_last(&mut queues, slot);
    }

    fn add(&self, core: &Core, queues: &mut Queues, slot: &'static Slot, priority: Priority) {
        gate::set_kernel_slice(slot.gate().thread(), 0);
        // A native task's thread counts from its start to its end.
        core.bound_begins();
        self.enlist(queues, slot, priority);
    }

    fn enlist(&self, queues: &mut Queues, slot: &'static Slot, priority: Priority) {
        let gate = slot.gate();
        gate.bound.credit.store(0, Ordering::Relaxed);
        self.weigh(slot, priority.turns());
        gate.bound.turns.store(0, Ordering::Relaxed);
        gate.bound.first_turns.store(0, Ordering::Relaxed);
        gate.bound
            .cpu_ns
            .store(gate.cpu_ns().unwrap_or(0), Ordering::Relaxed);
        queues.all.push(slot);
        self.count.store(queues.all.len(), Ordering::Relaxed);
    }

    /// Under the lock.
    fn weigh(&self, slot: &Slot, weight: u32) {
        let before = slot.gate().bound.weight.swap(weight, Ordering::Relaxed);
        let sum = self.weight.load(Ordering::Relaxed) + weight - before;
        self.weight.store(sum, Ordering::Relaxed);
    }

    fn put_last(&self, queues: &mut Queues, slot: &'static Slot) {
        let Some(signal) = self.signal.filter(|_| !queues.ended) else {
            slot.gate().bound.set(LET_GO);
            self.pins.release(slot.gate());
            return;
        };
        slot.gate().bound.set(READY);
        slot.gate().close(signal);
        if slot.gate().bound.is_condemned.load(Ordering::Relaxed) {
            queues.condemned.push_back(slot);
        } else {
            queues.ready.push_back(slot);
        }
        self.count_waiting(queues);
    }

    fn count_waiting(&self, queues: &Queues) {
        self.new.store(queues.new.len(), Ordering::Relaxed);
        self.ready
            .store(queues.ready.len() + queues.new.len(), Ordering::Relaxed);
        self.condemned
            .store(queues.condemned.len(), Ordering::Relaxed);
    }

    /// The thread bound to a task. The fence: see [`Scheduler::bound_thread`](crate::Scheduler::bound_thread).
    pub(crate) fn thread_of(&self, task: NonNull<Header>) -> Option<i32> {
        fence(Ordering::SeqCst);
        if self.count() == 0 {
            return None;
        }
        let queues = self.queues.lock();
        let slot = queues.all.iter().find(|slot| slot.runs(task))?;
        Some(slot.gate().thread())
    }

    /// See [`Scheduler::condemn`](crate::Scheduler::condemn).
    pub(crate) fn condemn(&self, task: NonNull<Header>) {
        let mut queues = self.queues.lock();
        let Some(&slot) = queues.all.iter().find(|slot| slot.runs(task)) else {
            return;
        };
        let gate = slot.gate();
        if gate.bound.is_condemned.swap(true, Ordering::Relaxed) {
            return;
        }
        queues.class.demote_for_good(gate);
        self.weigh(slot, 0);
        if take_out(&mut queues.ready, slot) || take_out(&mut queues.new, slot) {
            queues.condemned.push_back(slot);
            self.count_waiting(&queues);
        }
    }

    /// It is the end, and these don't come back: they run on, in the lowest class, behind no gate.
    pub(crate) fn leave_alone(&self) {
        let queues = self.queues.lock();
        if queues.ended {
            for slot in &queues.all {
                queues.class.demote_for_good(slot.gate());
            }
        }
    }

    /// By the monitor.
    pub(crate) fn look_at_condemned(&self, now: u64) {
        let since = self.condemned_at.load(Ordering::Relaxed);
        if !self.has_condemned() || now < since + CONDEMNED_INTERVAL_MS * 1_000_000 {
            return;
        }
        self.condemned_at.store(now, Ordering::Relaxed);
        let mut queues = self.queues.lock();
        if let Some(slot) = queues.condemned.pop_front() {
            queues.ready.push_back(slot);
            self.count_waiting(&queues);
        }
    }

    /// For a thread whose scheduler was taken away: its first turn comes as soon as it stands at its gate. It may have
    /// been kept from its core (a virtual machine's host does so for milliseconds), and need no more than a moment; but
    /// until it has its core again a turn would be lost on it.
    fn put_first(&self, queues: &mut Queues, slot: &'static Slot) {
        self.put_last(queues, slot);
        if take_out(&mut queues.ready, slot) {
            slot.gate().bound.passed.store(0, Ordering::Relaxed);
            queues.new.push_back(slot);
            self.count_waiting(queues);
        }
    }

    /// By the monitor: who does not come to its gate for so long takes its turns as the others do. (Whatever it is
    /// about, as one that masks the signal it is demoted after some.)
    pub(crate) fn look_at_new(&self) {
        if !self.has_new() {
            return;
        }
        let mut queues = self.queues.lock();
        for slot in &queues.new {
            slot.gate().bound.passed.fetch_add(1, Ordering::Relaxed);
        }
        let is_late = |slot: &mut &Slot| {
            slot.gate().bound.passed.load(Ordering::Relaxed) >= LOOKS_BEFORE_ARRIVAL
        };
        while let Some(slot) = queues.new.pop_front_if(is_late) {
            queues.ready.push_back(slot);
            self.unanswered.fetch_add(1, Ordering::Relaxed);
        }
        self.count_waiting(&queues);
    }

    fn put_to_sleep(&self, queues: &mut Queues, slot: &'static Slot) {
        let bound = &slot.gate().bound;
        bound.set(ASLEEP);
        self.pins.release(slot.gate());
        bound.passed.store(0, Ordering::Relaxed);
        bound.patience.store(0, Ordering::Relaxed);
        queues.asleep.push(slot);
    }

    /// Gives the turn to one that is new, else to the first in the queue whose credit suffices. Each that is passed
    /// over gets its weight's worth.
    pub(crate) fn begin_turn(&self, scheduler: usize, among: Among) -> Option<&'static Slot> {
        let mut queues = self.queues.lock();
        let mut slot = None;
        if let Some(place) = queues.new.iter().position(|slot| slot.gate().has_arrived()) {
            slot = queues.new.remove(place);
        } else if among != Among::New {
            slot = next_in_turn(&mut queues.ready);
        }
        if slot.is_none() && among == Among::All {
            slot = queues.condemned.pop_front();
        }
        let slot = slot?;
        self.count_waiting(&queues);
        let gate = slot.gate();
        gate.bound.set(TURN + scheduler as u32);
        self.pins.pin(gate, scheduler);
        gate.bound
            .cpu_ns
            .store(gate.cpu_ns().unwrap_or(0), Ordering::Relaxed);
        gate.open();
        Some(slot)
    }

    /// Ends a turn of so many nanoseconds, if it is still that thread's.
    pub(crate) fn end_turn(&self, slot: &'static Slot, scheduler: usize, lasted_ns: u64) {
        let mut queues = self.queues.lock();
        let gate = slot.gate();
        if !gate.bound.is(TURN + scheduler as u32) {
            return;
        }
        let cpu = gate.cpu_ns().unwrap_or(0);
        let used = cpu.saturating_sub(gate.bound.cpu_ns.swap(cpu, Ordering::Relaxed));
        if was_asleep(gate, lasted_ns, used) {
            self.put_to_sleep(&mut queues, slot);
            return;
        }
        if self.had_no_first_turn(&gate.bound, lasted_ns, used) {
            self.put_first(&mut queues, slot);
            return;
        }
        gate.bound.turns.fetch_add(1, Ordering::Relaxed);
        queues.class.after_turn(gate, lasted_ns, used);
        self.put_last(&mut queues, slot);
    }

    /// Under the lock: true if the kernel ran something else during the first turn of a thread bound by force. It gets
    /// another one at once: a moment may be all that it needs, and a round of the others is long.
    fn had_no_first_turn(&self, bound: &Standing, lasted_ns: u64, used_ns: u64) -> bool {
        let left = bound.first_turns.load(Ordering::Relaxed);
        let again = left > 0 && used_ns < lasted_ns / 2;
        let left = if again { left - 1 } else { 0 };
        bound.first_turns.store(left, Ordering::Relaxed);
        again
    }

    /// Goes on with a turn of so many nanoseconds, if nobody else waits for one. One that was let go goes on while
    /// there is nothing else to run at all.
    pub(crate) fn extend_turn(
        &self,
        slot: &'static Slot,
        scheduler: usize,
        lasted_ns: u64,
        nothing_else: bool,
    ) -> bool {
        let gate = slot.gate();
        let is_condemned = gate.bound.is_condemned.load(Ordering::Relaxed);
        if self.ready() > 0 || is_condemned && !nothing_else {
            return false;
        }
        let mut queues = self.queues.lock();
        let cpu = gate.cpu_ns().unwrap_or(0);
        let used = cpu.saturating_sub(gate.bound.cpu_ns.swap(cpu, Ordering::Relaxed));
        let extends = gate.bound.is(TURN + scheduler as u32) && !was_asleep(gate, lasted_ns, used);
        if extends {
            gate.bound.turns.fetch_add(1, Ordering::Relaxed);
            queues.class.after_turn(gate, lasted_ns, used);
        } else {
            // As at the beginning, for who ends the turn.
            gate.bound.cpu_ns.store(cpu - used, Ordering::Relaxed);
        }
        extends
    }

    /// True while the turn that the scheduler gave is still that thread's.
    pub(crate) fn has_turn(&self, slot: &'static Slot, scheduler: usize) -> bool {
        slot.gate().bound.is(TURN + scheduler as u32)
    }

    /// On the thread itself, whose task gave way: it is bound no more. Answers the scheduler that gave it its turn.
    pub(crate) fn unbind(&self, slot: &'static Slot) -> Option<usize> {
        let mut queues = self.queues.lock();
        let standing = slot.gate().bound.standing.swap(FREE, Ordering::Relaxed);
        match standing {
            READY => {
                let _ = take_out(&mut queues.ready, slot)
                    || take_out(&mut queues.new, slot)
                    || take_out(&mut queues.condemned, slot);
            }
            ASLEEP => queues.asleep.retain(|&one| !std::ptr::eq(one, slot)),
            _ => {}
        }
        queues.all.retain(|&one| !std::ptr::eq(one, slot));
        if slot.gate().bound.native.swap(false, Ordering::Relaxed) {
            self.natives.fetch_sub(1, Ordering::Relaxed);
        }
        self.weigh(slot, 0);
        self.count_waiting(&queues);
        self.count.store(queues.all.len(), Ordering::Relaxed);
        let gate = slot.gate();
        gate.bound.is_condemned.store(false, Ordering::Relaxed);
        gate.open();
        if gate.bound.is_demoted() {
            queues.class.promote(gate);
        }
        standing
            .checked_sub(TURN)
            .map(|scheduler| scheduler as usize)
    }

    /// By the monitor: sleepers that woke stand in the queue again. Each is looked at more and more rarely.
    pub(crate) fn look_at_sleepers(&self) {
        let mut queues = self.queues.lock();
        let mut index = 0;
        while let Some(&slot) = queues.asleep.get(index) {
            let gate = slot.gate();
            let bound = &gate.bound;
            let patience = bound.patience.load(Ordering::Relaxed);
            if bound.passed.fetch_add(1, Ordering::Relaxed) < patience {
                index += 1;
                continue;
            }
            bound.passed.store(0, Ordering::Relaxed);
            let cpu = gate.cpu_ns().unwrap_or(0);
            let used = cpu.saturating_sub(bound.cpu_ns.swap(cpu, Ordering::Relaxed));
            if used > u64::from(patience + 1) * SLEEPER_MAY_USE_NS {
                queues.asleep.swap_remove(index);
                self.put_last(&mut queues, slot);
            } else {
                bound
                    .patience
                    .store((2 * patience + 1).min(LOOKS_APART), Ordering::Relaxed);
                index += 1;
            }
        }
    }

    /// In an emergency: all go on at once.
    pub(crate) fn open_all(&self) {
        for slot in &self.queues.lock().all {
            slot.gate().open();
        }
    }

    /// After an emergency: who waits for a turn waits again.
    pub(crate) fn close_all(&self) {
        let queues = self.queues.lock();
        for slot in queues.waiting() {
            slot.gate().close(self.signal.unwrap_or(0));
        }
    }

    /// It is the end: all go on, so that those that can give way do.
    pub(crate) fn end(&self) {
        let mut queues = self.queues.lock();
        queues.ended = true;
        for slot in queues.waiting() {
            slot.gate().bound.set(LET_GO);
        }
        queues.ready.clear();
        queues.new.clear();
        queues.condemned.clear();
        self.count_waiting(&queues);
        for slot in &queues.all {
            self.pins.release(slot.gate());
            slot.gate().open();
        }
    }

    /// Kernel ids of all bound threads, but for those of native tasks.
    pub(crate) fn threads(&self) -> Vec<i32> {
        let mut threads = Vec::with_capacity(self.limit);
        let queues = self.queues.lock();
        let gates = queues.all.iter().map(|slot| slot.gate());
        let others = gates.filter(|gate| !gate.bound.native.load(Ordering::Relaxed));
        threads.extend(others.map(Gate::thread));
        threads
    }
}

/// A slice whose task was bound by force. The task may be done by now, and another may lie in its memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Overrun {
    slot: &'static Slot,
    pub(crate) task: Task,
    pub(crate) vtable: &'static VTable,
    pub(crate) scheduler: usize,
    pub(crate) since: u64,
    pub(crate) is_told: bool,
}

/// Those that are about to be unbound, whose task is over, are left out: they report themselves.
fn oldest(queues: &Queues, counts: impl Fn(&Standing) -> bool) -> Option<Overrun> {
    let overruns = queues.all.iter().filter_map(|&slot| {
        let bound = &slot.gate().bound;
        if !bound.is_overrun() || !counts(bound) {
            return None;
        }
        let (task, vtable) = slot.running()?;
        Some(Overrun {
            slot,
            task,
            vtable,
            scheduler: bound.scheduler.load(Ordering::Relaxed),
            since: bound.overruns_since.load(Ordering::Relaxed),
            is_told: bound.is_told.load(Ordering::Relaxed),
        })
    });
    overruns.min_by_key(|overrun| overrun.since)
}

/// True if a thread that used so much of so long a turn waits in the kernel. One that got no core waits for its next
/// turn like others: as a sleeper it would lose its turns to those that do get one.
fn was_asleep(gate: &Gate, lasted_ns: u64, used_ns: u64) -> bool {
    used_ns < lasted_ns / ASLEEP_BELOW && gate.is_waiting()
}

/// CPU time in a millisecond that a thread may use and still count as asleep.
pub(crate) const SLEEPER_MAY_USE_NS: u64 = 50_000;

/// Takes a thread out of a queue; false if it is not there.
fn take_out(queue: &mut VecDeque<&'static Slot>, slot: &Slot) -> bool {
    let place = queue.iter().position(|&one| std::ptr::eq(one, slot));
    place.is_some_and(|place| queue.remove(place).is_some())
}

/// Takes out the first whose credit suffices; those passed over go to the back.
fn next_in_turn(ready: &mut VecDeque<&'static Slot>) -> Option<&'static Slot> {
    loop {
        let slot = ready.pop_front()?;
        let bound = &slot.gate().bound;
        let mut credit = bound.credit.load(Ordering::Relaxed);
        if credit < TURN_COST {
            credit += bound.weight.load(Ordering::Relaxed);
        }
        let rest = credit.checked_sub(TURN_COST);
        bound
            .credit
            .store(rest.unwrap_or(credit), Ordering::Relaxed);
        // One that is condemned is in this queue since it is its turn.
        if rest.is_some() || bound.is_condemned.load(Ordering::Relaxed) {
            return Some(slot);
        }
        ready.push_back(slot);
    }
}
