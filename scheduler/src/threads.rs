//! The threads of a scheduler set: each runs a scheduler, is bound to a task, or is a spare.
//!
//! Life of a thread:
//! 1. It gets a scheduler (a [`Local`]): the first ones when they start, spares from the monitor, or from a thread that
//!    gives its own away.
//! 2. It runs it until the scheduler ends, or is taken away while a task is in its own code for too long, or is given
//!    away at a checkpoint.
//! 3. In the latter cases it is bound to the task until that gives way. It hands the task in, and is a spare.
//! 4. It retires if it is in the kernel's idle class by now, or if there are spares enough.
//!
//! A thread gives its scheduler away ([`give_way`]) when its slice is over, something waits for the end of it, and has
//! done so for a while: a hand-over costs two wake-ups of threads, some 30 us, so a slice of 4000 reductions, which may
//! last for 5 us, is no reason alone. An idle scheduler is told first; it costs one wake-up.
//!
//! A native task's thread is made for it (`native.rs`), and then a spare, or it retires.
//!
//! Spares are made ahead by the maker, a thread of its own that is called when the first slice is overdue: the monitor
//! must not wait for a thread to be made, and who makes a thread hands down its kernel policy to it.

use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::core::Core;
use crate::futex;
use crate::gate;
use crate::header::Task;
use crate::lock::{MonitorMutex, Mutex};
use crate::native;
use crate::panics::report;
use crate::seat::{Reserved, Seat};
use crate::slot::{Given, Slot};
use crate::worker::{self, Left, Local};

/// Spares that are made once the first was wanted.
const SPARES_AHEAD: usize = 4;

/// Threads that become spares when there are so many retire.
const SPARES_KEPT: usize = 8;

/// When the system refused a thread, the maker tries again after so long. Chosen by feel.
const RETRY_NS: u64 = 100_000_000;

/// Refusals are logged no more often: ten each second tell no more than the first. Chosen by feel.
const REFUSALS_TOLD_APART: Duration = Duration::from_secs(10);

/// So long must something have waited for the end of a slice whose reductions are used up before the scheduler is given
/// away. Three times what that costs, there and back; chosen by feel.
const PATIENCE_NS: u64 = 100_000;

/// The kernel's slice for a thread that runs a scheduler: the shortest there is, so that a scheduler that wakes runs
/// before a bound thread.
pub(crate) const KERNEL_SLICE_NS: u64 = 100_000;

#[derive(Debug)]
pub(crate) struct Threads {
    spares: MonitorMutex<Vec<&'static Slot>>,
    /// Calls of the maker: a futex.
    calls: AtomicU32,
    /// A spare was wanted, ever.
    wants_spares: AtomicBool,
    /// The maker's kernel id while it makes a thread, else 0.
    making: AtomicI32,
    /// Threads made, for their names.
    made: AtomicUsize,
    handles: Mutex<Vec<thread::JoinHandle<()>>>,
}

impl Default for Threads {
    fn default() -> Threads {
        Threads {
            spares: MonitorMutex::new(Vec::with_capacity(8 * SPARES_KEPT)),
            calls: AtomicU32::new(0),
            wants_spares: AtomicBool::new(false),
            making: AtomicI32::new(0),
            made: AtomicUsize::new(0),
            handles: Mutex::default(),
        }
    }
}

impl Threads {
    pub(crate) fn make(&self, core: &Arc<Core>, first: First) -> io::Result<()> {
        self.make_on(Reserved::take()?, core, first)
    }

    /// On a slot that was reserved for it; if there is no thread, that is free again.
    pub(crate) fn make_on(&self, slot: Reserved, core: &Arc<Core>, first: First) -> io::Result<()> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let core = Arc::clone(core);
        let handle = thread::Builder::new()
            .name(format!("otp-{}-{number}", core.name()))
            .spawn(move || live(slot, &core, first))?;
        self.keep(handle);
        Ok(())
    }

    pub(crate) fn keep(&self, handle: thread::JoinHandle<()>) {
        let mut handles = self.handles.lock();
        handles.retain(|handle| !handle.is_finished());
        handles.push(handle);
    }

    /// The maker's whole life.
    pub(crate) fn make_spares(&self, core: &Arc<Core>) {
        // SAFETY: a call without arguments.
        let own = unsafe { libc::syscall(libc::SYS_gettid) } as i32;
        let mut refusals = Refusals::default();
        loop {
            let calls = self.calls.load(Ordering::SeqCst);
            if core.is_stopping() {
                return;
            }
            core.notices.log(core);
            self.making.store(own, Ordering::Relaxed);
            let others = core
                .blocking
                .make_wanted(core)
                .and_then(|()| core.natives.make_wanted(core))
                .inspect_err(|error| refusals.tell(error, "blocking code waits for one"));
            // It enters the spares by itself, and calls.
            let spare = self.make_spare(core).inspect_err(|error| {
                refusals.tell(error, "slices may be held up for want of a spare one");
            });
            self.making.store(0, Ordering::Relaxed);
            let retry = others.and(spare).is_err().then_some(RETRY_NS);
            futex::wait(&self.calls, calls, retry);
        }
    }

    fn make_spare(&self, core: &Arc<Core>) -> io::Result<()> {
        if self.wants_spares.load(Ordering::SeqCst) && self.wants_spares() {
            self.make(core, First::Spare)?;
        }
        Ok(())
    }

    /// Calls the maker: a spare is wanted, or has come, or it is the end.
    pub(crate) fn call_maker(&self) {
        self.wants_spares.store(true, Ordering::SeqCst);
        self.wake_maker();
    }

    /// The same for threads of other kinds.
    pub(crate) fn wake_maker(&self) {
        self.calls.fetch_add(1, Ordering::SeqCst);
        futex::wake_one(&self.calls);
    }

    /// True if the maker waits for something (a lock of the allocator's, most likely) while it makes a thread.
    pub(crate) fn maker_waits(&self) -> bool {
        let maker = self.making.load(Ordering::Relaxed);
        maker != 0 && gate::is_waiting(maker)
    }

    /// True if there are fewer spares than shall be ahead.
    pub(crate) fn wants_spares(&self) -> bool {
        self.spares.lock().len() < SPARES_AHEAD
    }

    pub(crate) fn has_spare(&self) -> bool {
        !self.spares.lock().is_empty()
    }

    /// A spare, for the caller to give something to.
    pub(crate) fn take_spare(&self) -> Option<&'static Slot> {
        self.spares.lock().pop()
    }

    /// Takes a spare back that could not be given anything.
    pub(crate) fn return_spare(&self, core: &Core, slot: &'static Slot) {
        let mut spares = self.spares.lock();
        if core.is_stopping() {
            drop(spares);
            slot.give(Given::End);
        } else {
            spares.push(slot);
        }
    }

    /// The end: spares need not wait any more.
    pub(crate) fn dismiss(&self) {
        for slot in self.spares.lock().drain(..) {
            slot.give(Given::End);
        }
        self.wake_maker();
    }

    pub(crate) fn take_handles(&self) -> Vec<thread::JoinHandle<()>> {
        std::mem::take(&mut *self.handles.lock())
    }

    /// True if the thread shall wait for a scheduler.
    fn enter_spares(&self, core: &Core, slot: &'static Slot) -> bool {
        let mut spares = self.spares.lock();
        // Under the lock: `dismiss` comes after the scheduler was told to stop.
        if core.is_stopping() || spares.len() >= SPARES_KEPT || slot.gate().bound.is_demoted() {
            return false;
        }
        spares.push(slot);
        true
    }
}

/// Of threads that the system refused: told once in a while, since the maker tries again and again.
#[derive(Debug, Default)]
struct Refusals {
    told_at: Option<Instant>,
    untold: u64,
}

impl Refusals {
    fn tell(&mut self, error: &io::Error, consequence: &str) {
        if let Some(untold) = self.untold(Instant::now()) {
            report(|| {
                tracing::error!(
                    %error,
                    untold,
                    "there are no more threads to be had, and they are asked for again: {consequence}; raise the system's \
                     limits (RLIMIT_NPROC, pids.max), or have fewer native tasks and schedulers"
                );
            });
        }
    }

    /// Counts one. How many were not told of since the last that was, if this one is to be told.
    fn untold(&mut self, now: Instant) -> Option<u64> {
        if self
            .told_at
            .is_some_and(|told_at| now < told_at + REFUSALS_TOLD_APART)
        {
            self.untold += 1;
            return None;
        }
        self.told_at = Some(now);
        Some(std::mem::take(&mut self.untold))
    }
}

/// What comes of a checkpoint whose slice is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Nothing else wants to run.
    Free,
    /// Something does, but the thread keeps its scheduler: it is too early, or there is no spare or no room.
    Kept,
    /// The scheduler is another thread's. This one is bound, and must pass its gate.
    Given,
}

/// On the slot's own thread, in a task's own code, with a slice that is over: gives the scheduler to a spare thread, if
/// that is worth it. See `slot.rs` for the protocol.
pub(crate) fn give_way(core: &Core, slot: &'static Slot) -> Way {
    let _section = slot.enter();
    let Some(local) = slot.local() else {
        // The monitor took it in this moment, and its signal is on the way.
        return Way::Kept;
    };
    let now = core.clock.now();
    if !local.is_waited_for(now) {
        return Way::Free;
    }
    let is_early = slot
        .reductions()
        .over_since(now)
        .is_some_and(|since| now < since + PATIENCE_NS);
    if is_early {
        return Way::Kept;
    }
    // From here on it takes others some time to answer: no look is of use before.
    slot.reductions().set_over_since(now);
    if (local.pass_on() && local.is_online()) || core.is_stopping() || core.bound.is_full() {
        return Way::Kept;
    }
    let threads = &core.threads;
    let Some(spare) = threads.take_spare() else {
        threads.call_maker();
        return Way::Kept;
    };
    if !slot.begin_giving() {
        threads.return_spare(core, spare);
        return Way::Kept;
    }
    if !core.bound.bind_own(core, slot) {
        slot.end_giving();
        threads.return_spare(core, spare);
        return Way::Kept;
    }
    if local.is_long()
        && let Some((task, _)) = slot.running()
    {
        local.end_long(task);
    }
    local.leaves_behind(slot.running());
    core.remotes[local.index()].set_runner(None);
    core.given_away.fetch_add(1, Ordering::Relaxed);
    core.bound.pins.pin(spare.gate(), local.index());
    // This thread has no reference to it from here on. At the end, too: the spare finds that, and ends the scheduler.
    spare.give(Given::Scheduler(slot.local_pointer()));
    if !threads.has_spare() {
        threads.call_maker();
    }
    Way::Given
}

/// What a thread is made for.
#[derive(Debug)]
pub(crate) enum First {
    /// To run a scheduler.
    Scheduler(Box<Local>),
    /// To run a native task.
    Native(Task),
    /// To wait for something.
    Spare,
}

/// A thread's whole life.
fn live(slot: Reserved, core: &Arc<Core>, first: First) {
    // The kernel's default of 50 us would come on top of every sleep (p50 of a 1 ms ticker: 65 us against 15).
    // SAFETY: a call without pointers, about the calling thread only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
    if let Some(signal) = core.bound.signal() {
        gate::unblock(signal);
    }
    let _tokio = core.enter_tokio();
    let seat = Seat::take(slot, core);
    let slot = seat.slot();
    let mut given = match first {
        First::Scheduler(local) => {
            core.bound.pins.pin(slot.gate(), local.index());
            Some(Given::Scheduler(Box::into_raw(local)))
        }
        First::Native(task) => {
            native::run(core, slot, task);
            None
        }
        First::Spare => None,
    };
    loop {
        let work = match given.take() {
            Some(work) => work,
            None if core.threads.enter_spares(core, slot) => {
                core.threads.wake_maker();
                slot.await_work()
            }
            None => break,
        };
        match work {
            Given::End => break,
            Given::Task(task) => {
                worker::run_bound(core, slot, task);
                core.bound_ended();
            }
            Given::Scheduler(local) => {
                slot.set_local(local);
                gate::set_kernel_slice(0, KERNEL_SLICE_NS);
                match worker::run(core, slot) {
                    Left::Ended => {
                        slot.set_local(ptr::null_mut());
                        // SAFETY: the thread owns it, and it has ended: nobody else has the pointer.
                        let local = unsafe { Box::from_raw(local) };
                        let index = local.index();
                        drop(local);
                        core.worker_ended(index);
                        break;
                    }
                    Left::TakenAway => core.bound_ended(),
                }
            }
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_told_now_and_then_and_counted_in_between() {
        let mut refusals = Refusals::default();
        let first = Instant::now();
        let after = |tenths: u32| first + tenths * REFUSALS_TOLD_APART / 10;
        let told: Vec<_> = (0..=21)
            .map(|tenths| refusals.untold(after(tenths)))
            .collect();
        let some: Vec<_> = (0..)
            .zip(told)
            .filter_map(|(tenths, told)| Some((tenths, told?)))
            .collect();
        assert_eq!(some, [(0, 0), (10, 9), (20, 9)]);
    }
}
