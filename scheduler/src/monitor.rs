//! The monitor: a thread that looks every millisecond whether the schedulers get on.
//!
//! It allocates nothing, and takes no lock that a task can hold. While all schedulers are idle it sleeps: after a few
//! looks that found them so, each after twice the time, it waits for the first worker that leaves.
//!
//! What it sees to:
//! - Sockets or timers are late and a worker is idle: wakes it, so that it attends (`idle.rs`).
//! - Tasks wait in a queue and a worker is idle: wakes it. (A worker tells of its queue between slices only.)
//! - Each worker looks at timers and sockets at least once between two slices in every such millisecond.
//! - Bound threads wait for a turn and a worker is idle: wakes it.
//! - A slice lasts for a millisecond: ends it, so that the next tick or await gives way, and marks it as long
//!   (`long.rs`).
//! - A slice lasts for four, in the task's own code: takes the scheduler away (`slot.rs`), gives it to a spare thread
//!   (`threads.rs`), and binds the thread to its task (`bound.rs`).
//! - Bound threads that slept in the kernel burn CPU again: puts them into the queue for turns.
//! - A scheduler waits for something inside the VM: a lock, most likely, whose holder stands behind a gate. Opens all
//!   gates until the next look. The same if no spare comes: who makes one takes locks of the program's, its allocator's
//!   for one.
//! - Either of that, and tasks that keep their schedulers past the limit of bound threads, is to be logged: leaves a
//!   note (`notices.rs`).
//!
//! Race: *falling asleep against the first worker that leaves.* The monitor writes that it sleeps, fence, reads the
//! counts; the worker changes the counts, fence, reads whether the monitor sleeps. One of the two sees the other.

use std::sync::atomic::{AtomicU32, Ordering, fence};

use crate::core::Core;
use crate::futex;
use crate::slot::{Given, Slot};

/// Time between two looks while some worker is busy.
const INTERVAL_NS: u64 = 1_000_000;

/// Looks that find all workers idle before it sleeps, each after twice the time: 1, 2, 4 and 8 ms. Chosen so that
/// a VM that works now and then rarely has to wake it, and an idle one wakes nothing.
const IDLE_LOOKS: u32 = 4;

/// A timer so long past its deadline is late: a busy worker would have fired it.
const TIMER_LATE_NS: u64 = 100_000;

/// The shortest sleep: deadlines may be due all the time.
const SHORTEST_NS: u64 = 50_000;

/// A slice that lasts so long ends at the next tick or await.
pub(crate) const SLICE_NS: u64 = 1_000_000;

/// A task that is in its own code for so long loses its scheduler, if its thread used half of it, or waits in the
/// kernel. (A thread that does neither waits for a core: it is not to blame.) With 2 ms it also met tasks whose
/// memory the kernel was making (a huge page takes it 2 ms here), and `skynet` took twice as long.
const TAKE_AWAY_NS: u64 = 4_000_000;

/// The same while some task is bound, and while many are: where one does not give way others hardly do, and everyone
/// else waits for each of them in turn.
const TAKE_AWAY_NEXT_NS: u64 = 2_000_000;
const TAKE_AWAY_OF_MANY_NS: u64 = 1_000_000;

/// A scheduler that waits inside the VM for so long may wait for somebody behind a gate.
const EMERGENCY_NS: u64 = 2_000_000;

/// So many bound threads are many.
const MANY_BOUND: usize = 8;

/// Time between two looks while some thread is bound.
const INTERVAL_BESIDE_BOUND_NS: u64 = 500_000;

fn take_away_ns(bound: usize) -> u64 {
    match bound {
        0 => TAKE_AWAY_NS,
        1..MANY_BOUND => TAKE_AWAY_NEXT_NS,
        _ => TAKE_AWAY_OF_MANY_NS,
    }
}

/// A spare that is missing for so long: whoever shall be it may wait for a lock before it can tell. The gates open for
/// one look in so many. (Open for longer, on a machine that others use as well, all bound threads would keep the maker
/// and the spare from the cores.)
const SPARE_LATE_NS: u64 = 20_000_000;

const AWAKE: u32 = 0;
const ASLEEP: u32 = 1;

#[derive(Debug, Default)]
pub(crate) struct Monitor(AtomicU32);

impl Monitor {
    /// For a worker that stopped being idle, and for the end.
    #[inline]
    pub(crate) fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.0.load(Ordering::Relaxed) == ASLEEP
            && self.0.swap(AWAKE, Ordering::SeqCst) == ASLEEP
        {
            futex::wake_one(&self.0);
        }
    }

    /// The thread's whole life.
    pub(crate) fn run(&self, core: &Core) {
        let mut watches = vec![Watch::default(); core.remotes.len()];
        let mut emergency = false;
        let mut idle_looks = 0;
        while !core.is_stopping() {
            if core.all_idle() {
                if idle_looks == IDLE_LOOKS {
                    self.0.store(ASLEEP, Ordering::SeqCst);
                    fence(Ordering::SeqCst);
                    if core.all_idle() && !core.is_stopping() {
                        futex::wait(&self.0, ASLEEP, None);
                    }
                    self.0.store(AWAKE, Ordering::SeqCst);
                    idle_looks = 0;
                    continue;
                }
                self.pause(INTERVAL_NS << idle_looks);
                idle_looks += 1;
            } else {
                idle_looks = 0;
                let deadline = core.next_deadline().saturating_add(TIMER_LATE_NS);
                let until_deadline = deadline.saturating_sub(core.clock.now());
                let interval = if core.bound.count() > 0 {
                    INTERVAL_BESIDE_BOUND_NS
                } else {
                    INTERVAL_NS
                };
                self.pause(until_deadline.clamp(SHORTEST_NS, interval));
                look(core);
                emergency = oversee(core, &mut watches, emergency);
                if core.notices.leave(core, core.clock.now()) {
                    core.threads.wake_maker();
                }
            }
        }
    }

    fn pause(&self, nanoseconds: u64) {
        futex::wait(&self.0, AWAKE, Some(nanoseconds));
    }
}

fn look(core: &Core) {
    let now = core.clock.now();
    for remote in &core.remotes {
        remote.told.look.store(true, Ordering::Relaxed);
    }
    if core.idle.any() && (core.is_late(now) || core.has_work()) {
        core.wake_one();
    }
    for remote in core.hosts().take(core.bound.ready()) {
        remote.told.call();
        core.driver.wake();
    }
}

/// What the monitor saw of a scheduler.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    slices: u64,
    /// When it saw that number of slices first, and the thread's CPU clock then.
    since: u64,
    cpu_ns: u64,
}

/// Sees to slices that last. True: the gates are open, since somebody waits inside the VM.
fn oversee(core: &Core, watches: &mut [Watch], was_emergency: bool) -> bool {
    let now = core.clock.now();
    if core.bound.count() > 0 {
        core.bound.look_at_sleepers();
        core.bound.look_at_new();
        core.bound.look_at_condemned(now);
    }
    let take_away_ns = take_away_ns(core.bound.count());
    let mut emergency = false;
    let mut kept = 0;
    for (index, watch) in watches.iter_mut().enumerate() {
        let remote = &core.remotes[index];
        let Some(slot) = remote.runner() else {
            watch.since = now;
            continue;
        };
        let slices = remote.counters.slices.get();
        if slices != watch.slices || remote.told.is_resting() {
            *watch = Watch {
                slices,
                since: now,
                cpu_ns: slot.gate().cpu_ns().unwrap_or(0),
            };
            continue;
        }
        // It may have been idle meanwhile, and the monitor asleep.
        watch.since = watch.since.max(remote.counters.time.changed_at());
        let lasted = now.saturating_sub(watch.since);
        if lasted >= SLICE_NS && slot.in_slice() {
            slot.reductions().end_slice();
            remote.counters.long.set(slices + 1, watch.since);
            if core.threads.wants_spares() {
                core.threads.call_maker();
            }
        }
        if lasted < take_away_ns {
            continue;
        }
        let cpu_ns = slot.gate().cpu_ns().unwrap_or(0);
        let burns = cpu_ns.saturating_sub(watch.cpu_ns) >= take_away_ns / 2;
        let waits = !burns && slot.gate().is_waiting();
        if slot.in_user_state() {
            if burns || waits {
                if take_away(core, index, slot, waits, watch.since) {
                    // What it saw of this thread says nothing of the next.
                    watch.slices = u64::MAX;
                } else {
                    emergency |= waits || is_spare_stuck(core, lasted - take_away_ns);
                    kept += usize::from(core.online.has(index));
                }
            }
        } else {
            emergency |= waits && lasted >= EMERGENCY_NS;
        }
    }
    // Past the limit of bound threads, with nobody left to give them turns, and one may have what the others spin for.
    emergency |= kept == core.online.count() && core.bound.is_full() && core.bound.waits();
    if emergency {
        core.emergencies
            .fetch_add(u64::from(!was_emergency), Ordering::Relaxed);
        core.bound.open_all();
    } else if was_emergency {
        core.bound.close_all();
    }
    emergency
}

/// For a scheduler that should have been taken away so long ago: true if there is no spare, and a lock behind a gate
/// may be the reason.
fn is_spare_stuck(core: &Core, late: u64) -> bool {
    !core.threads.has_spare()
        && !core.bound.is_full()
        && (core.threads.maker_waits() || late % SPARE_LATE_NS >= SPARE_LATE_NS - INTERVAL_NS)
}

fn take_away(core: &Core, index: usize, slot: &'static Slot, waits: bool, since: u64) -> bool {
    if core.bound.is_full() {
        core.held_up.fetch_add(1, Ordering::Relaxed);
        return false;
    }
    let Some(spare) = core.threads.take_spare() else {
        return false;
    };
    let Some(local) = core.bound.take_away(core, slot, waits, (index, since)) else {
        core.threads.return_spare(core, spare);
        return false;
    };
    core.remotes[index].set_runner(None);
    core.taken_away.fetch_add(1, Ordering::Relaxed);
    core.bound.pins.pin(spare.gate(), index);
    // At the end, too: the spare finds that, and ends the scheduler.
    spare.give(Given::Scheduler(local));
    true
}

impl Core {
    fn all_idle(&self) -> bool {
        self.idle.are_all(self.remotes.len()) && self.bound.count() == 0
    }

    /// True if nobody waits for sockets and timers, and those who should look after them between slices don't.
    pub(crate) fn is_late(&self, now: u64) -> bool {
        !self.idle.is_attended()
            && (self.next_deadline().saturating_add(TIMER_LATE_NS) <= now
                || self.driver.is_late(now))
    }
}
