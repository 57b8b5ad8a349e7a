//! The accounting allocator: mimalloc, with a count of what the running task allocates and frees.
//!
//! Protocol of a call on a thread that has a slot (others go straight to mimalloc):
//! 1. It notes in the slot that the thread is in the allocator. From here on a gate that closes waits (`slot.rs`): who
//!    stands at a gate must not hold one of mimalloc's locks. The scheduler can be taken away all the same; a task that
//!    does nothing but allocate is in here nearly always, and must lose it like any other.
//! 2. It calls mimalloc, which never calls back. The bytes are in the slot's count before: that keeps less over the
//!    call.
//! 3. It takes the note back, and waits at the gate if that was closed meanwhile.
//!
//! It allocates nothing, panics nowhere, and uses one thread-local, which has no destructor: so it works before `main`,
//! in destructors of thread-locals, and after the thread gave its slot back.

use std::alloc::{GlobalAlloc, Layout};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::slot::{self, Slot};

/// An allocator that counts what tasks allocate: mimalloc, with a count. For a program to install.
///
/// ```
/// #[global_allocator]
/// static ALLOCATOR: otp_scheduler::AccountingAllocator = otp_scheduler::AccountingAllocator;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).build()?;
/// let task = scheduler.spawn(async {
///     let before = otp_scheduler::allocated_bytes();
///     let bytes = std::hint::black_box(vec![0_u8; 1000]);
///     let with_it = otp_scheduler::allocated_bytes() - before;
///     drop(bytes);
///     (with_it, otp_scheduler::allocated_bytes() - before)
/// });
/// assert_eq!(task.wait()?, (1000, 0));
/// # Ok(())
/// # }
/// ```
///
/// It has a second use: a thread that is bound to its task (`docs/scheduler.md`) is not made to wait while it is
/// inside, where it may hold a lock that all others need.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccountingAllocator;

/// Bytes that the calling thread allocated as a scheduler's, minus those that it freed, by [`AccountingAllocator`]. The
/// sizes are those asked for, not those of the blocks they get.
///
/// The difference of two readings inside one slice is what the task allocated between them; a task may run on another
/// thread after an await, which counts for itself. What one task allocated another may free: so the difference may be
/// negative, and the sum for one task is an estimate of what it holds.
///
/// Without the allocator it does not change. Off a scheduler thread it is 0.
#[inline]
pub fn allocated_bytes() -> i64 {
    slot::current().map_or(0, Slot::allocated)
}

/// Calls `f`, and leaves [`allocated_bytes`] as it was before: for memory that belongs to no task, or to another than
/// the running one. Off a scheduler thread it only calls `f`.
///
/// ```
/// # let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).build()?;
/// # let task = scheduler.spawn(async {
/// let before = otp_scheduler::allocated_bytes();
/// let shared = otp_scheduler::uncounted(|| vec![0_u8; 1000]);
/// assert_eq!(otp_scheduler::allocated_bytes(), before);
/// # drop(shared);
/// # });
/// # task.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn uncounted<R>(f: impl FnOnce() -> R) -> R {
    struct Back(Option<(&'static Slot, i64)>);
    impl Drop for Back {
        #[inline]
        fn drop(&mut self) {
            if let Some((slot, before)) = self.0 {
                slot.set_allocated(before);
            }
        }
    }
    let _back = Back(slot::current().map(|slot| (slot, slot.allocated())));
    f()
}

static INSTALLED: AtomicBool = AtomicBool::new(false);

/// True if the program's allocations go through [`AccountingAllocator`]. Known once the first scheduler runs; false
/// before.
#[inline]
pub fn counts_allocations() -> bool {
    INSTALLED.load(Ordering::Relaxed)
}

/// On a thread that has just got a slot: sees whether an allocation is counted. So the allocator need not say in each
/// call that it is there.
pub(crate) fn look_for_it() {
    let before = allocated_bytes();
    let probe = black_box(Box::new(0_u8));
    if allocated_bytes() != before {
        INSTALLED.store(true, Ordering::Relaxed);
    }
    drop(probe);
}

/// Alignment that mimalloc gives without being asked, to blocks of that size at least.
const PLAIN_ALIGN: usize = 16;

#[inline]
fn is_plain(size: usize, align: usize) -> bool {
    align <= PLAIN_ALIGN && align <= size
}

/// Allocates by `call`, and counts `bytes` unless there is no memory. A layout's size fits in an `isize`.
#[inline]
fn counted(bytes: isize, call: impl FnOnce() -> *mut u8) -> *mut u8 {
    let Some(slot) = slot::current() else {
        return call();
    };
    count(slot, bytes);
    slot.enter_allocator();
    let memory = call();
    slot.leave_allocator();
    if memory.is_null() {
        not_counted(slot, bytes);
    }
    memory
}

#[cold]
#[inline(never)]
fn not_counted(slot: &Slot, bytes: isize) {
    count(slot, -bytes);
}

#[inline]
fn count(slot: &Slot, bytes: isize) {
    slot.set_allocated(slot.allocated().wrapping_add(bytes as i64));
}

// SAFETY: mimalloc's blocks are of the size asked for, aligned as asked for, or, where nothing is said of alignment,
// by `is_plain`; they stay valid until they are freed, on whatever thread. Nothing here unwinds.
unsafe impl GlobalAlloc for AccountingAllocator {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: the alignment is a power of two, as a layout's is.
        counted(size as isize, || unsafe {
            if is_plain(size, align) {
                libmimalloc_sys::mi_malloc(size).cast()
            } else {
                libmimalloc_sys::mi_malloc_aligned(size, align).cast()
            }
        })
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        let (size, align) = (layout.size(), layout.align());
        // SAFETY: as in `alloc`.
        counted(size as isize, || unsafe {
            if is_plain(size, align) {
                libmimalloc_sys::mi_zalloc(size).cast()
            } else {
                libmimalloc_sys::mi_zalloc_aligned(size, align).cast()
            }
        })
    }

    #[inline]
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        let Some(slot) = slot::current() else {
            // SAFETY: a block of mimalloc's, by the caller's word.
            return unsafe { libmimalloc_sys::mi_free(memory.cast()) };
        };
        count(slot, -(layout.size() as isize));
        slot.enter_allocator();
        // SAFETY: as above.
        unsafe { libmimalloc_sys::mi_free(memory.cast()) };
        slot.leave_allocator();
    }

    #[inline]
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        let align = layout.align();
        let change = new_size as isize - layout.size() as isize;
        // SAFETY: a block of mimalloc's, by the caller's word; the alignment as in `alloc`.
        counted(change, || unsafe {
            if is_plain(new_size, align) {
                libmimalloc_sys::mi_realloc(memory.cast(), new_size).cast()
            } else {
                libmimalloc_sys::mi_realloc_aligned(memory.cast(), new_size, align).cast()
            }
        })
    }
}
