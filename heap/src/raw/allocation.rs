//! The memory of blocks: straight from mimalloc.

use std::alloc::{Layout, handle_alloc_error};
use std::ptr::NonNull;

use super::Shape;
use crate::limits::SHRINK_BYTES;
use crate::word::Word;

#[cfg(not(any(asan, fuzzing)))]
use libmimalloc_sys as memory;

/// Under AddressSanitizer (`--cfg asan`, or `cargo fuzz`) the system's allocator, which the sanitizer watches, in place
/// of mimalloc.
#[cfg(any(asan, fuzzing))]
mod memory {
    use std::ffi::c_void;

    unsafe extern "C" {
        #[link_name = "malloc"]
        pub(super) fn mi_malloc(bytes: usize) -> *mut c_void;
        #[link_name = "realloc"]
        pub(super) fn mi_realloc(memory: *mut c_void, bytes: usize) -> *mut c_void;
        #[link_name = "free"]
        pub(super) fn mi_free(memory: *mut c_void);
        fn aligned_alloc(align: usize, bytes: usize) -> *mut c_void;
        fn malloc_usable_size(memory: *mut c_void) -> usize;
    }

    pub(super) unsafe fn mi_malloc_aligned(bytes: usize, align: usize) -> *mut c_void {
        // SAFETY: the alignment is that of a type, and the size made a multiple of it.
        unsafe { aligned_alloc(align, bytes.next_multiple_of(align)) }
    }

    pub(super) unsafe fn mi_realloc_aligned(
        memory: *mut c_void,
        bytes: usize,
        align: usize,
    ) -> *mut c_void {
        // SAFETY: the memory came from here; as much is copied as both have.
        unsafe {
            let moved = mi_malloc_aligned(bytes, align);
            let kept = malloc_usable_size(memory).min(bytes);
            std::ptr::copy_nonoverlapping(memory.cast::<u8>(), moved.cast::<u8>(), kept);
            mi_free(memory);
            moved
        }
    }
}

/// Alignment that mimalloc gives without being asked.
const PLAIN_ALIGN: usize = 16;

#[inline]
pub(crate) fn allocate(bytes: usize, align: usize) -> NonNull<u8> {
    // SAFETY: the size is not zero, the alignment is that of a type, so a power of two.
    let memory = unsafe {
        if align <= PLAIN_ALIGN && bytes >= PLAIN_ALIGN {
            memory::mi_malloc(bytes)
        } else {
            memory::mi_malloc_aligned(bytes, align)
        }
    };
    NonNull::new(memory.cast()).unwrap_or_else(|| out_of_memory(bytes, align))
}

/// # Safety
///
/// `memory` came from [`allocate`] or [`reallocate`] with this alignment and is not used again.
#[cold]
pub(crate) unsafe fn reallocate(memory: NonNull<u8>, bytes: usize, align: usize) -> NonNull<u8> {
    // SAFETY: ours by the caller's word; size and alignment as in `allocate`.
    let moved = unsafe {
        if align <= PLAIN_ALIGN {
            memory::mi_realloc(memory.as_ptr().cast(), bytes)
        } else {
            memory::mi_realloc_aligned(memory.as_ptr().cast(), bytes, align)
        }
    };
    NonNull::new(moved.cast()).unwrap_or_else(|| out_of_memory(bytes, align))
}

/// # Safety
///
/// `memory` came from [`allocate`] or [`reallocate`] and is not used again.
#[inline]
pub(crate) unsafe fn free(memory: NonNull<u8>) {
    // SAFETY: by the caller's word.
    unsafe { memory::mi_free(memory.as_ptr().cast()) }
}

#[cold]
fn out_of_memory(bytes: usize, align: usize) -> ! {
    match Layout::from_size_align(bytes, align) {
        Ok(layout) => handle_alloc_error(layout),
        Err(_) => panic!("a block of {bytes} bytes is over the address space"),
    }
}

/// Where the words begin of a new allocation for so many.
#[inline]
pub(super) fn allocated(shape: Shape, words: u32) -> NonNull<Word> {
    let memory = allocate(shape.bytes(words), shape.align);
    // SAFETY: the allocation is at least `prefix` bytes long.
    unsafe { memory.add(shape.prefix) }.cast()
}

/// Gives back the room that is left over, if that pays; gives where the words begin then, and for how many there is
/// room.
///
/// # Safety
///
/// As for [`resized`].
#[inline]
pub(super) unsafe fn trimmed(
    base: NonNull<Word>,
    shape: Shape,
    len: u32,
    capacity: u32,
) -> (NonNull<Word>, u32) {
    let unused = (capacity - len) as usize * size_of::<Word>();
    let bytes = shape.bytes(capacity);
    if bytes <= SHRINK_BYTES || unused <= bytes / 2 {
        return (base, capacity);
    }
    let words = len.max(1);
    // SAFETY: by the caller's word.
    (unsafe { resized(base, shape, words) }, words)
}

/// Moves words to an allocation of so many; gives where they begin then.
///
/// # Safety
///
/// `base` is where the words of a space of this shape begin, `words` at least those in use; the old place is not used
/// again.
#[cold]
pub(super) unsafe fn resized(base: NonNull<Word>, shape: Shape, words: u32) -> NonNull<Word> {
    // SAFETY: the words begin `prefix` bytes into the allocation, here and there.
    unsafe {
        let memory = base.cast::<u8>().sub(shape.prefix);
        let moved = reallocate(memory, shape.bytes(words), shape.align);
        moved.add(shape.prefix).cast()
    }
}
