//! What the scheduler knows of a task: its header.
//!
//! A task is memory of somebody else's which begins with a [`Header`]. The queues hold bare pointers to it, so a
//! wake allocates nothing and counts no reference. The life cycle is told in `state.rs`.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::core::Core;
use crate::long::TaskName;
use crate::priority::{AtomicPriority, Priority};
use crate::scheduler::Scheduler;
use crate::state::State;

/// What a slice of a task came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It waits for a wake. If it was woken while it ran, it goes to the back of the queue.
    Idle,
    /// It gave way and wants to go on: to the back of the queue.
    Yield,
    /// It ended. The scheduler never touches the header again, so its memory may be in use again already.
    Done,
}

/// What a task is doing: see [`Header::activity`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activity {
    /// It waits for a wake.
    Idle,
    /// It is in a queue.
    Scheduled,
    /// Its slice runs, or it is done.
    Running,
}

/// How the scheduler runs a kind of task.
#[derive(Clone, Copy, Debug)]
pub struct VTable {
    /// Runs one slice of the task. One thread at a time calls it. It should not unwind: if it does, the panic is
    /// logged and counted, and the task is treated as [`Step::Done`].
    ///
    /// # Safety
    ///
    /// The pointer is the one given to [`Scheduler::wake`] or [`Scheduler::start`].
    pub run: unsafe fn(NonNull<Header>) -> Step,
    /// Called, if there is one, when the task's slice lasted for so long that its thread lost its scheduler: by the
    /// thread that has that scheduler now. It should only take a note, for instance wake another task.
    ///
    /// It may come late, when the task is done and another lies in its memory.
    ///
    /// # Safety
    ///
    /// As for `run`, of a header in type-stable memory that stays until the scheduler's threads have ended
    /// ([`Scheduler::join`]). Tasks in other memory must not have one.
    pub bound: Option<unsafe fn(NonNull<Header>)>,
    /// The task's name for reports, if there is one: called when a slice of it was long, by any thread of the
    /// scheduler's, in a section of the VM, so it should wait for nothing that the task may hold. The task may run
    /// meanwhile.
    ///
    /// It may come late, as `bound`: then it tells what it can.
    ///
    /// # Safety
    ///
    /// As for `bound`. Tasks in other memory may have one that does not follow the pointer.
    pub name: Option<unsafe fn(NonNull<Header>) -> TaskName>,
}

/// The first field of every schedulable task (`#[repr(C)]`).
#[repr(C)]
#[derive(Debug)]
pub struct Header {
    pub(crate) state: State,
    pub(crate) vtable: &'static VTable,
    core: *const Core,
    pub(crate) priority: AtomicPriority,
    /// A plain task's handle wants it to end (`task.rs`).
    aborted: AtomicBool,
    /// The mark of a native task (`native.rs`); 0 for all others.
    native: AtomicU32,
}

// Each of a million processes has one.
#[cfg(not(loom))]
const _: () = assert!(size_of::<Header>() == 32);

// SAFETY: `core` is only followed in `Header::wake`, whose caller promises that the scheduler is still there, and a
// `Core` is shared between threads. The rest is an atomic and a shared reference.
unsafe impl Send for Header {}
// SAFETY: as above.
unsafe impl Sync for Header {}

impl Header {
    /// A header in the state idle: the first wake pushes it.
    ///
    /// It keeps no handle of the scheduler, so it never keeps one alive.
    pub fn new(scheduler: &Scheduler, vtable: &'static VTable) -> Header {
        Header::of_core(scheduler.core(), vtable)
    }

    pub(crate) fn of_core(core: &Core, vtable: &'static VTable) -> Header {
        Header {
            state: State::new(),
            vtable,
            core,
            priority: AtomicPriority::new(),
            aborted: AtomicBool::new(false),
            native: AtomicU32::new(0),
        }
    }

    #[inline]
    pub(crate) fn native(&self) -> u32 {
        self.native.load(Ordering::Relaxed)
    }

    pub(crate) fn set_native(&self, mark: u32) {
        self.native.store(mark, Ordering::Relaxed);
    }

    /// Takes a note, for the slice that comes of the caller's next wake.
    pub(crate) fn abort(&self) {
        self.aborted.store(true, Ordering::Relaxed);
    }

    #[inline]
    pub(crate) fn is_aborted(&self) -> bool {
        self.aborted.load(Ordering::Relaxed)
    }

    /// Makes the header of a task that is done idle again, for the next task in the same memory.
    ///
    /// Call it last: a stale wake of the former task may push the new one from here on (a spurious run).
    ///
    /// # Safety
    ///
    /// The task is done, so that it is in no queue and no slice of it runs, and the next one is wholly written: a wake
    /// on any thread may run it from here on.
    pub unsafe fn reset(&self) {
        self.set_native(0);
        self.state.reset();
    }

    /// The task's priority: normal, unless it was set.
    pub fn priority(&self) -> Priority {
        self.priority.get()
    }

    /// Sets the task's priority, from the next time on that it is queued. Mirrors `process_flag(priority, _)`.
    pub fn set_priority(&self, priority: Priority) {
        self.priority.set(priority);
    }

    /// What the task is doing at this moment.
    pub fn activity(&self) -> Activity {
        self.state.activity()
    }

    /// [`Scheduler::wake`] for a waker that holds nothing but the header.
    ///
    /// # Safety
    ///
    /// As for [`Scheduler::wake`]; and the scheduler that the header was made for is still there (any handle of it
    /// lives, or one of its threads is the caller).
    #[inline]
    pub unsafe fn wake(this: NonNull<Header>) -> bool {
        // SAFETY: the caller promises that the memory holds a header.
        let header = unsafe { this.as_ref() };
        // SAFETY: the caller promises that the core is still there.
        unsafe { &*header.core }.schedule_if(Task(this), || header.state.wake())
    }
}

/// A task in a queue. Who holds it is the only one to push or run it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task(pub(crate) NonNull<Header>);

// SAFETY: tasks are run by any worker; that the memory may be reached from any thread is the promise of
// `Scheduler::wake`.
unsafe impl Send for Task {}

impl Task {
    /// Of a task that wants to run.
    #[inline]
    pub(crate) fn priority(self) -> Priority {
        // SAFETY: it is in a queue, or taken out to be run, so its owner keeps it.
        unsafe { self.0.as_ref() }.priority.get()
    }
}
