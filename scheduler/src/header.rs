//! What the scheduler knows of a task: its header.
//!
//! A task is memory of somebody else's which begins with a [`Header`]. The queues hold bare pointers to it, so a
//! wake allocates nothing and counts no reference. The life cycle is told in `state.rs`.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::core::Core;
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
}

/// The first field of every schedulable task (`#[repr(C)]`).
#[repr(C)]
#[derive(Debug)]
pub struct Header {
    pub(crate) state: State,
    pub(crate) vtable: &'static VTable,
    core: *const Core,
    /// The mark of a native task (`native.rs`); 0 for all others.
    native: AtomicU32,
}

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

    /// Makes the header of a task that is done idle again, for the next task in the same memory.
    ///
    /// Call it last: a stale wake of the former task may push the new one from here on (a spurious run).
    pub fn reset(&self) {
        self.set_native(0);
        self.state.reset();
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
    pub unsafe fn wake(this: NonNull<Header>) {
        // SAFETY: the caller promises that the memory holds a header.
        let header = unsafe { this.as_ref() };
        // SAFETY: the caller promises that the core is still there.
        unsafe { &*header.core }.schedule_if(Task(this), || header.state.wake());
    }
}

/// A task in a queue. Who holds it is the only one to push or run it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Task(pub(crate) NonNull<Header>);

// SAFETY: tasks are run by any worker; that the memory may be reached from any thread is the promise of
// `Scheduler::wake`.
unsafe impl Send for Task {}
