//! The slot of a thread that runs tasks: what the thread says of itself, and what the monitor tells it.
//!
//! A thread *owns* a scheduler (a [`Local`]: queue, timers, the right to run tasks) while its slot says so. The monitor
//! can take it away from a thread that is in a task's own code for too long, without the thread's help.
//!
//! The thread is in one of two states: in user code (`depth` 0), or in a section of the VM (`depth` 1 and more, since
//! sections nest), in which it may use the scheduler that it owns. User code may be in the accounting allocator
//! (`accounting.rs`): then the gate waits as in a section, but the scheduler can be taken away, since the allocator
//! does not use it.
//!
//! Protocol of taking away:
//! 1. A thread that enters a section stores its depth, *then* reads `taken`.
//! 2. The monitor stores ASKED into `taken`, has a barrier run on all threads of the program (`membarrier`), *then*
//!    reads the depth. The barrier stands in for the one that the thread leaves out on its hot path.
//! 3. Depth 0: the monitor swaps ASKED for TAKEN; the scheduler is its to give away. Else it withdraws.
//! 4. A thread that enters and finds ASKED swaps it for REFUSED. Who swaps first wins the tie.
//! 5. A thread that finds TAKEN touches nothing of the scheduler any more. It is *bound* to its task until the task
//!    gives way; then the thread clears the word and gets another scheduler some day.
//!
//! Protocol of giving away, by choice, at a checkpoint (`slice.rs`):
//! 1. The thread enters a section, swaps NONE for GIVEN, and has itself bound (`bound.rs`). If it can't be, it takes
//!    the word back.
//! 2. It gives the scheduler to a spare, leaves the section, and waits at its gate for its turn. GIVEN is TAKEN in all
//!    that follows.
//!
//! Races considered:
//! - *Entering against taking.* If the thread read `taken` before the monitor's store, then its store of the depth came
//!   before that read, and the barrier makes the monitor see it: withdrawn. If it read it later, it sees ASKED or
//!   TAKEN, and the two swaps have an order.
//! - *Giving away against taking.* Both begin with a swap of NONE, so one of them finds something else. If it is the
//!   thread, it goes on as it was: the monitor finds it in a section, and withdraws.
//! - *What the thread wrote to the scheduler before.* It left its last section by a release store of depth 0; the
//!   monitor's read of 0 acquires it, and passes it on to the thread that gets the scheduler.
//!
//! How a thread comes to its slot is told in `seat.rs`.

use std::cell::Cell;
use std::fmt;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicPtr, AtomicU32, Ordering, compiler_fence};

use crossbeam_utils::CachePadded;

use crate::core::Core;
use crate::futex;
use crate::gate;
use crate::header::{Header, Task, VTable};
use crate::priority::Priority;
use crate::reductions::Reductions;
use crate::sync;
use crate::worker::Local;

const NONE: u32 = 0;
const ASKED: u32 = 1;
const REFUSED: u32 = 2;
const TAKEN: u32 = 3;
const GIVEN: u32 = 4;

/// Where a task's priority stands in its address.
const PRIORITY: usize = 0b11;
const _: () = assert!(align_of::<Header>() > PRIORITY);

/// What a thread and the monitor tell each other.
pub(crate) struct Slot {
    own: CachePadded<Own>,
    gate: CachePadded<gate::Gate>,
    /// A spare waits on it for something to run.
    given: AtomicU32,
}

/// Written by the thread, but for `taken`, and the end of a slice in `reductions`.
struct Own {
    reductions: Reductions,
    depth: sync::AtomicU32,
    taken: sync::AtomicU32,
    /// The gate's handler came while the thread was in a section, or in the allocator.
    asked: AtomicBool,
    /// The thread is in the accounting allocator.
    allocating: AtomicBool,
    /// Bytes that the accounting allocator gave out on the thread, minus those that it took back.
    allocated: AtomicI64,
    /// The task that runs on the thread, never followed, with its priority in the lowest bits; null between slices.
    task: AtomicPtr<Header>,
    /// That task's, for others: they must not look into the task, which may end at any moment.
    vtable: AtomicPtr<VTable>,
    /// The scheduler that the thread owns, or owned when it was taken away; null if there is none.
    local: AtomicPtr<Local>,
    /// The set of schedulers that the thread works for; set while it has the slot.
    core: AtomicPtr<Arc<Core>>,
    /// The same, to be compared by others: never followed.
    set: AtomicPtr<Core>,
}

impl fmt::Debug for Slot {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Slot")
            .field("depth", &self.own.depth)
            .field("taken", &self.own.taken)
            .finish_non_exhaustive()
    }
}

/// What a spare is given.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Given {
    /// A scheduler to run.
    Scheduler(*mut Local),
    /// A task to be bound to from the start.
    Task(Task),
    /// Nothing any more.
    End,
}

const NOTHING: u32 = 0;
const SCHEDULER: u32 = 1;
const TASK: u32 = 2;
const END: u32 = 3;

thread_local! {
    static CURRENT: Cell<Option<&'static Slot>> = const { Cell::new(None) };
}

/// The slot of this thread, if it runs tasks.
#[inline]
pub(crate) fn current() -> Option<&'static Slot> {
    CURRENT.with(Cell::get)
}

/// The core that the calling thread works for, if it runs tasks; also while it is bound.
pub(crate) fn with_core<R>(f: impl FnOnce(&Arc<Core>) -> R) -> Option<R> {
    // SAFETY: set by the seat of this thread, which borrows the core while it lives, and is taken back with it.
    let core = unsafe { current()?.own.core.load(Ordering::Relaxed).as_ref() };
    core.map(f)
}

/// By the seat of the calling thread.
pub(crate) fn set_current(slot: Option<&'static Slot>) {
    CURRENT.with(|cell| cell.set(slot));
}

impl Slot {
    pub(crate) fn new() -> Slot {
        Slot {
            own: CachePadded::new(Own {
                reductions: Reductions::default(),
                depth: sync::AtomicU32::new(1),
                taken: sync::AtomicU32::new(NONE),
                asked: AtomicBool::new(false),
                allocating: AtomicBool::new(false),
                allocated: AtomicI64::new(0),
                task: AtomicPtr::new(ptr::null_mut()),
                vtable: AtomicPtr::new(ptr::null_mut()),
                local: AtomicPtr::new(ptr::null_mut()),
                core: AtomicPtr::new(ptr::null_mut()),
                set: AtomicPtr::new(ptr::null_mut()),
            }),
            gate: CachePadded::new(gate::Gate::default()),
            given: AtomicU32::new(0),
        }
    }

    /// The calling thread takes the slot; the core stays until `stand_up`.
    pub(crate) fn sit_down(&self, core: &Arc<Core>) {
        let own = &self.own;
        own.depth.store(1, Ordering::Relaxed);
        own.asked.store(false, Ordering::Relaxed);
        own.local.store(ptr::null_mut(), Ordering::Relaxed);
        own.core
            .store(ptr::from_ref(core).cast_mut(), Ordering::Relaxed);
        own.set
            .store(Arc::as_ptr(core).cast_mut(), Ordering::Relaxed);
        self.gate.sit_down();
    }

    pub(crate) fn stand_up(&self) {
        self.own.core.store(ptr::null_mut(), Ordering::Relaxed);
        self.gate.stand_up();
    }

    pub(crate) fn gate(&self) -> &gate::Gate {
        &self.gate
    }

    #[inline]
    pub(crate) fn reductions(&self) -> &Reductions {
        &self.own.reductions
    }

    // Sections.

    /// Enters a section. The thread must be the slot's own.
    #[inline]
    pub(crate) fn enter(&self) -> Section<'_> {
        let depth = self.own.depth.load(Ordering::Relaxed) + 1;
        self.own.depth.store(depth, Ordering::Relaxed);
        // See the barrier in step 2 of the protocol.
        sync::fence_of_barrier();
        if self.own.taken.load(Ordering::Relaxed) == ASKED {
            self.refuse();
        }
        Section(self)
    }

    /// Enters a section that does not touch the scheduler: one for locks. It may be taken away meanwhile; the gate
    /// waits.
    #[inline]
    pub(crate) fn enter_apart(&self) {
        let depth = self.own.depth.load(Ordering::Relaxed) + 1;
        self.own.depth.store(depth, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    #[cold]
    fn refuse(&self) {
        let _ =
            self.own
                .taken
                .compare_exchange(ASKED, REFUSED, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Runs a task's own code from inside the outermost section.
    #[inline]
    pub(crate) fn in_user_code<R>(&self, task: Task, f: impl FnOnce() -> R) -> R {
        struct Back<'a>(&'a Slot);
        impl Drop for Back<'_> {
            #[inline]
            fn drop(&mut self) {
                self.0.own.task.store(ptr::null_mut(), Ordering::Relaxed);
                std::mem::forget(self.0.enter());
            }
        }
        self.will_run(task);
        self.leave();
        let _back = Back(self);
        f()
    }

    #[inline]
    pub(crate) fn leave(&self) {
        let depth = self.own.depth.load(Ordering::Relaxed) - 1;
        self.own.depth.store(depth, Ordering::Release);
        compiler_fence(Ordering::SeqCst);
        if depth == 0 && self.own.asked.load(Ordering::Relaxed) {
            self.wait_now();
        }
    }

    /// What the handler could not do within the section.
    #[cold]
    fn wait_now(&self) {
        self.own.asked.store(false, Ordering::Relaxed);
        self.gate.pass();
    }

    /// By the handler, on the thread itself.
    pub(crate) fn signalled(&self) {
        if self.in_user_state() && !self.own.allocating.load(Ordering::Relaxed) {
            self.gate.pass();
        } else {
            self.own.asked.store(true, Ordering::Relaxed);
        }
    }

    // The accounting allocator, on the slot's own thread.

    /// Bytes allocated on the thread, minus those freed.
    #[inline]
    pub(crate) fn allocated(&self) -> i64 {
        self.own.allocated.load(Ordering::Relaxed)
    }

    #[inline]
    pub(crate) fn set_allocated(&self, bytes: i64) {
        self.own.allocated.store(bytes, Ordering::Relaxed);
    }

    /// Enters the allocator. It never calls back, so this does not nest.
    #[inline]
    pub(crate) fn enter_allocator(&self) {
        self.own.allocating.store(true, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
    }

    #[inline]
    pub(crate) fn leave_allocator(&self) {
        compiler_fence(Ordering::SeqCst);
        self.own.allocating.store(false, Ordering::Relaxed);
        compiler_fence(Ordering::SeqCst);
        if self.own.asked.load(Ordering::Relaxed) {
            self.wait_after_allocator();
        }
    }

    /// In a section, which the note of the handler stays for, it goes on. No allocation: the caller is the allocator.
    #[cold]
    #[inline(never)]
    fn wait_after_allocator(&self) {
        if self.in_user_state() {
            // Nobody expects a change of it from freeing memory.
            // SAFETY: the thread's own word.
            let error = unsafe { *libc::__errno_location() };
            self.wait_now();
            // SAFETY: as above.
            unsafe { *libc::__errno_location() = error };
        }
    }

    /// The task that runs on the thread.
    pub(crate) fn task(&self) -> Option<NonNull<Header>> {
        NonNull::new(self.task_pointer())
    }

    /// True while a task runs on the thread.
    #[inline]
    pub(crate) fn in_slice(&self) -> bool {
        !self.own.task.load(Ordering::Relaxed).is_null()
    }

    /// The priority that the task had when its slice began.
    pub(crate) fn task_priority(&self) -> Priority {
        Priority::of_number((self.own.task.load(Ordering::Relaxed).addr() & PRIORITY) as u8)
    }

    fn task_pointer(&self) -> *mut Header {
        let marked = self.own.task.load(Ordering::Relaxed);
        marked.map_addr(|address| address & !PRIORITY)
    }

    /// By who takes the scheduler away, under the lock of the bound threads for one that is, or on the thread itself:
    /// the task that runs on the thread, and its table. It may be done by now.
    pub(crate) fn running(&self) -> Option<(Task, &'static VTable)> {
        let task = NonNull::new(self.task_pointer())?;
        // SAFETY: null or a table, stored before the task by the thread; who took the scheduler away has acquired what
        // the thread wrote when it went into user code, and it writes no other before it is unbound.
        let vtable = unsafe { self.own.vtable.load(Ordering::Relaxed).as_ref() }?;
        Some((Task(task), vtable))
    }

    /// On the slot's own thread: the table of the last task that ran on it.
    pub(crate) fn vtable(&self) -> Option<&'static VTable> {
        // SAFETY: null or a table, stored by the thread itself or before the task was given to it.
        unsafe { self.own.vtable.load(Ordering::Relaxed).as_ref() }
    }

    /// Under the lock of the bound threads: whether this one's task is that. Nothing is followed.
    pub(crate) fn runs(&self, task: NonNull<Header>) -> bool {
        ptr::eq(self.task_pointer(), task.as_ptr())
    }

    /// On the slot's own thread; or for a spare that is about to be given that task, under the lock of the bound
    /// threads.
    #[inline]
    pub(crate) fn will_run(&self, task: Task) {
        // SAFETY: it was taken out of a queue to be run, so its owner keeps it.
        let vtable = unsafe { task.0.as_ref() }.vtable;
        self.own
            .vtable
            .store(ptr::from_ref(vtable).cast_mut(), Ordering::Relaxed);
        let priority = task.priority() as usize;
        let marked = task.0.as_ptr().map_addr(|address| address | priority);
        self.own.task.store(marked, Ordering::Relaxed);
    }

    // Spares.

    /// On the slot's own thread: waits until it is given something.
    pub(crate) fn await_work(&self) -> Given {
        loop {
            match self.given.swap(NOTHING, Ordering::Acquire) {
                NOTHING => futex::wait(&self.given, NOTHING, None),
                SCHEDULER => return Given::Scheduler(self.local_pointer()),
                TASK => {
                    return Given::Task(Task(self.task().expect("a task was given")));
                }
                _ => return Given::End,
            }
        }
    }

    /// To a thread that waits for it.
    pub(crate) fn give(&self, given: Given) {
        let what = match given {
            Given::Scheduler(local) => {
                self.own.local.store(local, Ordering::Relaxed);
                SCHEDULER
            }
            Given::Task(task) => {
                self.will_run(task);
                // It runs it as one that was taken the scheduler from in the task's first moment.
                self.own.taken.store(TAKEN, Ordering::Relaxed);
                TASK
            }
            Given::End => END,
        };
        self.given.store(what, Ordering::Release);
        futex::wake_one(&self.given);
    }

    // Ownership.

    /// In a section, on the slot's own thread: the scheduler that the thread owns.
    #[inline]
    pub(crate) fn local(&self) -> Option<&Local> {
        if self.is_taken() {
            return None;
        }
        // SAFETY: while the thread is in a section and `taken` does not say so, nobody takes the scheduler away (see
        // the protocol), and an owned scheduler is there.
        unsafe { self.own.local.load(Ordering::Relaxed).as_ref() }
    }

    #[inline]
    pub(crate) fn is_taken(&self) -> bool {
        self.own.taken.load(Ordering::Relaxed) >= TAKEN
    }

    /// On the slot's own thread, which is bound: it came about by choice.
    pub(crate) fn is_given(&self) -> bool {
        self.own.taken.load(Ordering::Relaxed) == GIVEN
    }

    /// On the slot's own thread, in its outermost section: gives up the scheduler, unless the monitor has asked for it.
    pub(crate) fn begin_giving(&self) -> bool {
        self.own
            .taken
            .compare_exchange(NONE, GIVEN, Ordering::SeqCst, Ordering::Relaxed)
            .is_ok()
    }

    /// After `begin_giving`, in the same section: nothing comes of it.
    pub(crate) fn end_giving(&self) {
        self.own.taken.store(NONE, Ordering::SeqCst);
    }

    pub(crate) fn local_pointer(&self) -> *mut Local {
        self.own.local.load(Ordering::Relaxed)
    }

    /// Makes the thread the owner.
    pub(crate) fn set_local(&self, local: *mut Local) {
        self.own.local.store(local, Ordering::Relaxed);
    }

    /// On the slot's own thread, which owns no scheduler: it is bound from the start.
    pub(crate) fn begin_bound(&self) {
        self.own.taken.store(TAKEN, Ordering::Relaxed);
    }

    /// On the slot's own thread, which is bound to nothing any more.
    pub(crate) fn unbind(&self) {
        self.own.reductions.forget_refusals();
        self.own.local.store(ptr::null_mut(), Ordering::Relaxed);
        self.own.taken.store(NONE, Ordering::Release);
    }

    /// By the monitor of `core`: takes the scheduler away, if the thread is in user code, and still one of that set
    /// (its slot may have gone to a thread of another since the monitor looked it up).
    pub(crate) fn take_away(&self, core: *const Core) -> bool {
        let own = &self.own;
        if own.depth.load(Ordering::Relaxed) > 0
            || own
                .taken
                .compare_exchange(NONE, ASKED, Ordering::SeqCst, Ordering::Relaxed)
                .is_err()
        {
            return false;
        }
        // No barrier can be had any more if, say, a filter of system calls came since: then nothing is certain.
        let barrier = gate::barrier_on_all_threads();
        let next = if barrier
            && own.depth.load(Ordering::Acquire) == 0
            && ptr::eq(own.set.load(Ordering::Relaxed), core)
        {
            TAKEN
        } else {
            NONE
        };
        let swapped = own
            .taken
            .compare_exchange(ASKED, next, Ordering::SeqCst, Ordering::Relaxed);
        if swapped.is_err() {
            // Refused: the thread came back in this moment.
            own.taken.store(NONE, Ordering::SeqCst);
        }
        next == TAKEN && swapped.is_ok()
    }

    /// True in user code: a guess, but on the thread itself.
    pub(crate) fn in_user_state(&self) -> bool {
        self.own.depth.load(Ordering::Relaxed) == 0
    }
}

/// While it lives, the thread is in a section of the VM.
pub(crate) struct Section<'a>(&'a Slot);

impl Drop for Section<'_> {
    #[inline]
    fn drop(&mut self) {
        self.0.leave();
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// What the monitor does to a thread in the allocator, and that the thread waits after `leave`, in user code.
    fn waits_after(leave: impl FnOnce(&Slot) + Send) {
        gate::prepare_barriers().expect("the kernel has barriers");
        let slot = Slot::new();
        let opened = AtomicBool::new(false);
        thread::scope(|scope| {
            let waiter = scope.spawn(|| {
                slot.gate.sit_down();
                leave(&slot);
                assert!(opened.load(Ordering::SeqCst), "it did not wait");
            });
            let begun = Instant::now();
            while !waiter.is_finished() && begun.elapsed() < Duration::from_secs(20) {
                let thread = slot.gate.thread();
                if thread != 0 && slot.gate.is_closed() && gate::is_waiting(thread) {
                    break;
                }
                thread::yield_now();
            }
            opened.store(true, Ordering::SeqCst);
            slot.gate.open();
        });
    }

    #[test]
    fn a_thread_waits_at_its_gate_after_the_allocator() {
        waits_after(|slot| {
            slot.leave();
            slot.enter_allocator();
            assert!(slot.take_away(ptr::null()), "it does not use the scheduler");
            slot.gate.close_own();
            slot.signalled();
            slot.leave_allocator();
        });
    }

    #[test]
    fn a_thread_that_allocates_in_a_section_waits_after_the_section() {
        waits_after(|slot| {
            slot.enter_allocator();
            slot.gate.close_own();
            slot.signalled();
            slot.leave_allocator();
            slot.leave();
        });
    }

    #[test]
    fn a_gate_that_opened_meanwhile_holds_nobody() {
        let slot = Slot::new();
        slot.leave();
        slot.enter_allocator();
        slot.gate.close_own();
        slot.signalled();
        slot.gate.open();
        slot.leave_allocator();
        // Nothing is left of the note either.
        slot.gate.close_own();
        slot.enter_allocator();
        slot.leave_allocator();
    }
}

/// Every interleaving, under `RUSTFLAGS="--cfg loom" cargo test --release --lib loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::cell::UnsafeCell;
    use loom::sync::Arc;
    use loom::thread;

    use super::*;

    /// A slot, and the scheduler behind it: loom sees to it that nobody touches it while another does.
    struct Model {
        slot: Slot,
        scheduler: UnsafeCell<u32>,
    }

    // SAFETY: what the model is to show.
    unsafe impl Sync for Model {}
    // SAFETY: as above.
    unsafe impl Send for Model {}

    impl Model {
        fn new() -> Arc<Model> {
            Arc::new(Model {
                slot: Slot::new(),
                scheduler: UnsafeCell::new(0),
            })
        }

        fn use_scheduler(&self) {
            // SAFETY: the caller owns it, which loom checks.
            self.scheduler
                .with_mut(|scheduler| unsafe { *scheduler += 1 });
        }

        /// What the thread does in a section. True if it owns the scheduler.
        fn section(&self) -> bool {
            let _section = self.slot.enter();
            let owns = !self.slot.is_taken();
            if owns {
                self.use_scheduler();
            }
            owns
        }

        /// What the monitor does, and with it whoever it gives the scheduler to.
        fn take(&self) -> bool {
            let taken = self.slot.take_away(ptr::null());
            if taken {
                self.use_scheduler();
            }
            taken
        }
    }

    #[test]
    fn loom_a_scheduler_has_one_owner_while_it_is_taken() {
        loom::model(|| {
            let model = Model::new();
            let monitor = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.take())
            };
            model.use_scheduler();
            // Into user code, from where it enters two sections.
            model.slot.leave();
            let owned = [model.section(), model.section()];
            assert!(owned[0] || !owned[1], "what was taken does not come back");
            let taken = monitor.join().unwrap();
            assert!(owned[1] || taken, "somebody owns the scheduler");
            assert_eq!(model.slot.is_taken(), taken);
            if !taken {
                // Refused or withdrawn, nothing is left of it.
                assert!(model.take(), "it can be taken from user code later");
            }
        });
    }

    #[test]
    fn loom_a_refusal_stands_in_the_way_of_no_later_try() {
        loom::model(|| {
            let model = Model::new();
            let monitor = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.take() || model.take())
            };
            model.slot.leave();
            let owned = model.section();
            let taken = monitor.join().unwrap();
            assert!(owned || taken, "somebody owns the scheduler");
            assert_eq!(model.slot.is_taken(), taken);
        });
    }

    /// Its own thread is bound until its task gives way; then the slot is as good as new.
    #[test]
    fn loom_a_thread_that_was_bound_is_taken_from_again() {
        loom::model(|| {
            let model = Model::new();
            model.slot.leave();
            let monitor = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.take())
            };
            std::mem::forget(model.slot.enter());
            let bound = model.slot.is_taken();
            // In the program the list of bound threads, a lock, stands between the two.
            let taken = monitor.join().unwrap();
            assert_eq!(bound, taken);
            if bound {
                model.slot.unbind();
            }
            model.slot.leave();
            assert!(model.take());
        });
    }
}
