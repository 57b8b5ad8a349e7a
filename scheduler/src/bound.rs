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
//! A thread comes here by force, from the monitor, or by choice, at a checkpoint. The only difference is that it closes
//! its own gate in the latter case, without a signal; it has its turns, and its class in the kernel, as the others do.
//! Threads of native tasks (`native.rs`) come whenever they have something to do, and leave to wait; they have a limit of
//! their own.
//!
//! Standings and gates change under one lock, so a gate is never closed on a thread that is free. Only schedulers and
//! the monitor take the lock, and threads that become bound by choice, or free; none of them stands behind a gate
//! meanwhile.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use crate::core::Core;
use crate::gate::{self, Gate};
use crate::lock::MonitorMutex;
use crate::slot::Slot;
use crate::worker::Local;

/// Turns before a bound thread is put into the kernel's idle class. Until then a scheduler that wakes may wait for it,
/// up to a tick of the kernel's clock (4 ms).
const TURNS_BEFORE_DEMOTION: u32 = 1;

/// The same where a thread does not come out of that class again and is lost for schedulers.
const TURNS_BEFORE_DEMOTION_FOR_EVER: u32 = 10;

/// A thread that used less than this part of its turn may wait in the kernel; or for a core, which its state tells.
const ASLEEP_BELOW: u64 = 16;

/// Looks at a sleeper are no further apart than so many of the monitor's.
const LOOKS_APART: u32 = 16;

const FREE: u32 = 0;
const READY: u32 = 1;
const ASLEEP: u32 = 2;
const LET_GO: u32 = 3;
/// Plus the number of the scheduler.
const TURN: u32 = 4;

/// How much of what was offered to demoted threads is remembered, and how much it must be before it tells anything.
const OFFERED_REMEMBERED_NS: u64 = 1_000_000_000;
const OFFERED_AT_LEAST_NS: u64 = 20_000_000;

/// What the kernel shall make of the threads that are bound to tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// The idle class after a turn behind the gate, so that schedulers that wake run at once; but no more of them while
    /// those get less than half of the CPU that their turns offer, since other programs want it.
    #[default]
    Auto,
    /// The idle class from the first turn on. For machines that run nothing else.
    Idle,
    /// The class of all other threads. A scheduler that wakes may wait for a tick of the kernel's clock.
    Normal,
}

/// What a slot knows of it. Changed under the lock of [`Bound`].
#[derive(Debug, Default)]
pub(crate) struct Standing {
    standing: AtomicU32,
    /// The thread's CPU clock at the beginning of its turn, or at the last look.
    cpu_ns: AtomicU64,
    turns: AtomicU32,
    demoted: AtomicBool,
    /// Its task is a native one, which does not count against the limit.
    native: AtomicBool,
    /// Looks that passed over a sleeper, and how many shall.
    passed: AtomicU32,
    patience: AtomicU32,
}

impl Standing {
    /// In the kernel's idle class: the thread is not for schedulers any more.
    pub(crate) fn is_demoted(&self) -> bool {
        self.demoted.load(Ordering::Relaxed)
    }

    /// On the thread itself: a turn of it was over before its task gave way.
    pub(crate) fn has_had_turns(&self) -> bool {
        self.turns.load(Ordering::Relaxed) > 0
    }

    /// For the slot's next thread.
    pub(crate) fn forget(&self) {
        self.demoted.store(false, Ordering::Relaxed);
    }

    fn is(&self, standing: u32) -> bool {
        self.standing.load(Ordering::Relaxed) == standing
    }

    fn set(&self, standing: u32) {
        self.standing.store(standing, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct Bound {
    queues: MonitorMutex<Queues>,
    /// Length of the queue.
    ready: AtomicUsize,
    /// Bound threads in all, and those of native tasks among them.
    count: AtomicUsize,
    natives: AtomicUsize,
    limit: usize,
    policy: Policy,
    /// Turns of demoted threads, as offered and as used, in nanoseconds; halved now and then, so that they tell of the
    /// last second or so.
    offered_ns: AtomicU64,
    used_ns: AtomicU64,
    /// A thread that was demoted could not come back.
    no_way_back: AtomicBool,
    /// The signal of the gates; without one they stay open, and nobody gets a turn.
    signal: Option<i32>,
}

#[derive(Debug)]
struct Queues {
    ready: VecDeque<&'static Slot>,
    asleep: Vec<&'static Slot>,
    /// All that are bound.
    all: Vec<&'static Slot>,
    /// It is the end: no gate is closed any more.
    ended: bool,
}

impl Bound {
    pub(crate) fn new(
        limit: usize,
        max_native: usize,
        signal: Option<i32>,
        policy: Policy,
    ) -> Bound {
        let places = limit + max_native;
        Bound {
            policy,
            offered_ns: AtomicU64::new(0),
            used_ns: AtomicU64::new(0),
            no_way_back: AtomicBool::new(false),
            // The monitor, which adds to them, allocates nothing.
            queues: MonitorMutex::new(Queues {
                ready: VecDeque::with_capacity(places),
                asleep: Vec::with_capacity(places),
                all: Vec::with_capacity(places),
                ended: false,
            }),
            ready: AtomicUsize::new(0),
            count: AtomicUsize::new(0),
            natives: AtomicUsize::new(0),
            limit,
            signal,
        }
    }

    pub(crate) fn signal(&self) -> Option<i32> {
        self.signal
    }

    #[inline]
    pub(crate) fn ready(&self) -> usize {
        self.ready.load(Ordering::Relaxed)
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.count() >= self.limit + self.natives.load(Ordering::Relaxed)
    }

    /// By the monitor: takes the scheduler away from a thread that is in user code, and binds the thread to its task. Its
    /// turn is over at once.
    ///
    /// All under the lock: a task that gives way in this very moment finds its scheduler taken, and its thread must wait
    /// in [`Bound::unbind`] until it stands in the lists. Unbound before it was bound, it would stay there for good, free
    /// but gated, and the monitor would find the slot without the scheduler.
    pub(crate) fn take_away(
        &self,
        core: &Core,
        slot: &'static Slot,
        asleep: bool,
    ) -> Option<*mut Local> {
        let mut queues = self.queues.lock();
        if self.is_full() || !slot.take_away(core) {
            return None;
        }
        let local = slot.local_pointer();
        self.add(core, &mut queues, slot);
        if asleep {
            self.put_to_sleep(&mut queues, slot);
        } else {
            self.put_last(&mut queues, slot);
        }
        Some(local)
    }

    /// By a thread itself, in a section, after which it passes its gate. False: the limit is reached, and nothing was
    /// done.
    pub(crate) fn bind_own(&self, core: &Core, slot: &'static Slot) -> bool {
        let mut queues = self.queues.lock();
        if self.is_full() {
            return false;
        }
        self.add(core, &mut queues, slot);
        if self.signal.is_some() && !queues.ended {
            // `put_last` finds it closed, and sends no signal.
            slot.gate().close_own();
        }
        self.put_last(&mut queues, slot);
        true
    }

    /// By a scheduler, for a spare that it is about to give a task: its gate is closed until its turn comes. False if
    /// there are as many as may be.
    pub(crate) fn bind_spare(&self, core: &Core, slot: &'static Slot) -> bool {
        let mut queues = self.queues.lock();
        if self.is_full() {
            return false;
        }
        self.add(core, &mut queues, slot);
        self.put_last(&mut queues, slot);
        true
    }

    /// By the thread of a native task, which goes on with it: `at_once`, as one that comes out of a sleep in the kernel,
    /// or when its turn comes; then it passes its gate afterwards.
    pub(crate) fn bind_native(&self, core: &Core, slot: &'static Slot, at_once: bool) {
        let mut queues = self.queues.lock();
        slot.gate().bound.native.store(true, Ordering::Relaxed);
        self.natives.fetch_add(1, Ordering::Relaxed);
        self.enlist(core, &mut queues, slot);
        if at_once {
            self.put_to_sleep(&mut queues, slot);
            return;
        }
        if self.signal.is_some() && !queues.ended {
            slot.gate().close_own();
        }
        self.put_last(&mut queues, slot);
    }

    fn add(&self, core: &Core, queues: &mut Queues, slot: &'static Slot) {
        gate::set_kernel_slice(slot.gate().thread(), 0);
        self.enlist(core, queues, slot);
    }

    fn enlist(&self, core: &Core, queues: &mut Queues, slot: &'static Slot) {
        core.bound_begins();
        let gate = slot.gate();
        gate.bound.turns.store(0, Ordering::Relaxed);
        gate.bound
            .cpu_ns
            .store(gate.cpu_ns().unwrap_or(0), Ordering::Relaxed);
        queues.all.push(slot);
        self.count.store(queues.all.len(), Ordering::Relaxed);
    }

    fn put_last(&self, queues: &mut Queues, slot: &'static Slot) {
        let Some(signal) = self.signal.filter(|_| !queues.ended) else {
            slot.gate().bound.set(LET_GO);
            return;
        };
        slot.gate().bound.set(READY);
        slot.gate().close(signal);
        queues.ready.push_back(slot);
        self.ready.store(queues.ready.len(), Ordering::Relaxed);
    }

    fn put_to_sleep(&self, queues: &mut Queues, slot: &'static Slot) {
        let bound = &slot.gate().bound;
        bound.set(ASLEEP);
        bound.passed.store(0, Ordering::Relaxed);
        bound.patience.store(0, Ordering::Relaxed);
        queues.asleep.push(slot);
    }

    /// Gives the turn to the first in the queue.
    pub(crate) fn begin_turn(&self, scheduler: usize) -> Option<&'static Slot> {
        let mut queues = self.queues.lock();
        let slot = queues.ready.pop_front()?;
        self.ready.store(queues.ready.len(), Ordering::Relaxed);
        let gate = slot.gate();
        gate.bound.set(TURN + scheduler as u32);
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
        gate.bound.turns.fetch_add(1, Ordering::Relaxed);
        self.consider_demotion(gate, lasted_ns, used);
        self.put_last(&mut queues, slot);
    }

    /// Under the lock: demotes a thread that has had turns enough, or counts what a demoted one made of its turn.
    fn consider_demotion(&self, gate: &Gate, lasted_ns: u64, used_ns: u64) {
        if gate.bound.is_demoted() {
            let offered = self.offered_ns.fetch_add(lasted_ns, Ordering::Relaxed) + lasted_ns;
            self.used_ns.fetch_add(used_ns, Ordering::Relaxed);
            if offered > OFFERED_REMEMBERED_NS {
                self.offered_ns.store(offered / 2, Ordering::Relaxed);
                self.used_ns
                    .store(self.used_ns.load(Ordering::Relaxed) / 2, Ordering::Relaxed);
            }
            return;
        }
        let turns = gate.bound.turns.load(Ordering::Relaxed);
        // Beside other busy programs the idle class starves. Then it does not get any more of ours.
        let starves = 2 * self.used_ns.load(Ordering::Relaxed)
            < self
                .offered_ns
                .load(Ordering::Relaxed)
                .saturating_sub(OFFERED_AT_LEAST_NS);
        let turns_before = if self.no_way_back.load(Ordering::Relaxed) {
            TURNS_BEFORE_DEMOTION_FOR_EVER
        } else {
            TURNS_BEFORE_DEMOTION
        };
        let demote = match self.policy {
            Policy::Normal => false,
            Policy::Idle => true,
            Policy::Auto => turns >= turns_before && !starves,
        };
        if demote {
            gate.demote();
            gate.bound.demoted.store(true, Ordering::Relaxed);
        }
    }

    /// Goes on with a turn of so many nanoseconds, if nobody else waits for one.
    pub(crate) fn extend_turn(
        &self,
        slot: &'static Slot,
        scheduler: usize,
        lasted_ns: u64,
    ) -> bool {
        if self.ready() > 0 {
            return false;
        }
        let _queues = self.queues.lock();
        let gate = slot.gate();
        let cpu = gate.cpu_ns().unwrap_or(0);
        let used = cpu.saturating_sub(gate.bound.cpu_ns.swap(cpu, Ordering::Relaxed));
        let extends = gate.bound.is(TURN + scheduler as u32) && !was_asleep(gate, lasted_ns, used);
        if extends {
            gate.bound.turns.fetch_add(1, Ordering::Relaxed);
            self.consider_demotion(gate, lasted_ns, used);
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
            READY => queues.ready.retain(|&one| !std::ptr::eq(one, slot)),
            ASLEEP => queues.asleep.retain(|&one| !std::ptr::eq(one, slot)),
            _ => {}
        }
        queues.all.retain(|&one| !std::ptr::eq(one, slot));
        if slot.gate().bound.native.swap(false, Ordering::Relaxed) {
            self.natives.fetch_sub(1, Ordering::Relaxed);
        }
        self.ready.store(queues.ready.len(), Ordering::Relaxed);
        self.count.store(queues.all.len(), Ordering::Relaxed);
        let gate = slot.gate();
        gate.open();
        if gate.bound.is_demoted() {
            if gate.promote() {
                gate.bound.forget();
            } else {
                self.no_way_back.store(true, Ordering::Relaxed);
            }
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
        for slot in &queues.ready {
            slot.gate().close(self.signal.unwrap_or(0));
        }
    }

    /// It is the end: all go on, so that those that can give way do.
    pub(crate) fn end(&self) {
        let mut queues = self.queues.lock();
        queues.ended = true;
        while let Some(slot) = queues.ready.pop_front() {
            slot.gate().bound.set(LET_GO);
        }
        self.ready.store(0, Ordering::Relaxed);
        for slot in &queues.all {
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

/// True if a thread that used so much of so long a turn waits in the kernel. One that got no core waits for its next
/// turn like others: as a sleeper it would lose its turns to those that do get one.
fn was_asleep(gate: &Gate, lasted_ns: u64, used_ns: u64) -> bool {
    used_ns < lasted_ns / ASLEEP_BELOW && gate.is_waiting()
}

/// CPU time in a millisecond that a thread may use and still count as asleep.
pub(crate) const SLEEPER_MAY_USE_NS: u64 = 50_000;
