//! What a block holds outside itself: counted buffers of shared binaries, and native resources.
//!
//! The off-heap objects of a block chain by offsets inside it. The word after an object's header
//! is the link: the offset of the next one, or [`END`]. A move of the block touches nothing; a
//! copy counts once more for each binary of the chain ([`adopt`]); a drop gives all back
//! ([`release_all`]).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};

use crate::CopyError;
use crate::limits::BLOCK_WORDS_MAX;
use crate::memory::count_shared;
use crate::raw::{self, Space};
use crate::word::{NATIVE, NATIVE_WORDS, SHARED_BINARY_WORDS, Word};

/// The link of the last off-heap object.
pub(crate) const END: u32 = u32::MAX;
const _: () = assert!(BLOCK_WORDS_MAX < END, "no offset is the end of the chain");

/// A native resource; boxed once more, it has a thin pointer.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Counted bytes. Those copied from a slice follow this header in the same allocation; those
/// taken over from a `Vec` stay where they are.
struct Buffer {
    count: AtomicUsize,
    /// Of the header and the bytes, wherever they lie.
    size: usize,
    // Never read here: `SharedBytes` points into it, and it frees the bytes when it is dropped.
    _taken_over: Vec<u8>,
}

impl Buffer {
    /// A header with one reference, and room for so many bytes behind it.
    fn allocate(bytes: usize, taken_over: Vec<u8>) -> NonNull<Buffer> {
        let room = size_of::<Buffer>() + bytes;
        let size = room + taken_over.capacity();
        let buffer = raw::allocate(room, align_of::<Buffer>()).cast::<Buffer>();
        count_shared(size as i64);
        // SAFETY: the allocation has room for the header, and its alignment.
        unsafe {
            buffer.write(Buffer {
                count: AtomicUsize::new(1),
                size,
                _taken_over: taken_over,
            });
        }
        buffer
    }
}

/// A count no program reaches without leaking handles; beyond it we abort, as `Arc` does.
const COUNT_MAX: usize = isize::MAX as usize;

/// One counted reference to bytes that lie in a [`Buffer`], and which of them.
pub(crate) struct SharedBytes {
    buffer: NonNull<Buffer>,
    data: NonNull<u8>,
    len: usize,
}

// SAFETY: the bytes are never written after they were made, the count is atomic, and the last
// owner frees them from whatever thread it is on (mimalloc and `Vec` both allow that).
unsafe impl Send for SharedBytes {}
// SAFETY: as above; `&SharedBytes` gives out only `&[u8]` and clones.
unsafe impl Sync for SharedBytes {}

impl SharedBytes {
    pub(crate) fn copied(bytes: &[u8]) -> SharedBytes {
        let len = bytes.len();
        let buffer = Buffer::allocate(len, Vec::new());
        // SAFETY: behind the header is room for the bytes.
        let data = unsafe {
            let data = buffer.add(1).cast::<u8>();
            ptr::copy_nonoverlapping(bytes.as_ptr(), data.as_ptr(), len);
            data
        };
        SharedBytes { buffer, data, len }
    }

    pub(crate) fn taken_over(bytes: Vec<u8>) -> SharedBytes {
        let len = bytes.len();
        let data = NonNull::from(bytes.as_slice()).cast::<u8>();
        // Moving the `Vec` in does not move its bytes, and nothing reaches it mutably again before
        // it is dropped.
        let buffer = Buffer::allocate(0, bytes);
        SharedBytes { buffer, data, len }
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: `data` and `len` lie inside the buffer, which this reference keeps alive.
        unsafe { std::slice::from_raw_parts(self.data.as_ptr(), self.len) }
    }

    /// Another reference, to a part of these bytes.
    ///
    /// # Panics
    ///
    /// If the part does not lie inside.
    pub(crate) fn part(&self, start: usize, len: usize) -> SharedBytes {
        let end = start.checked_add(len);
        assert!(
            end.is_some_and(|end| end <= self.len),
            "a part lies inside its binary"
        );
        let mut part = self.clone();
        // SAFETY: `start <= self.len`, so the pointer stays inside the buffer or at its end.
        part.data = unsafe { part.data.add(start) };
        part.len = len;
        part
    }

    /// References to the buffer at this moment.
    pub(crate) fn count(&self) -> usize {
        // SAFETY: this reference keeps the buffer alive.
        unsafe { self.buffer.as_ref() }
            .count
            .load(Ordering::Relaxed)
    }

    /// Whether two references see the same bytes in memory.
    pub(crate) fn same(&self, other: &SharedBytes) -> bool {
        self.data == other.data && self.len == other.len
    }
}

impl Clone for SharedBytes {
    #[inline]
    fn clone(&self) -> SharedBytes {
        // SAFETY: this reference keeps the buffer alive.
        // Relaxed: whoever clones has a reference already, as in `Arc`.
        let before = unsafe { self.buffer.as_ref() }
            .count
            .fetch_add(1, Ordering::Relaxed);
        if before > COUNT_MAX {
            std::process::abort();
        }
        SharedBytes {
            buffer: self.buffer,
            data: self.data,
            len: self.len,
        }
    }
}

impl Drop for SharedBytes {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this reference keeps the buffer alive until the count below is given back.
        if unsafe { self.buffer.as_ref() }
            .count
            .fetch_sub(1, Ordering::Release)
            != 1
        {
            return;
        }
        // Pairs with the release of all other owners: their reads happen before the free.
        fence(Ordering::Acquire);
        // SAFETY: the count is at zero, so no one else reaches the buffer.
        unsafe {
            count_shared(-(self.buffer.as_ref().size as i64));
            ptr::drop_in_place(self.buffer.as_ptr());
            raw::free(self.buffer.cast());
        }
    }
}

/// Words of a shared binary behind the link.
#[repr(C)]
struct BinaryWords {
    header: Word,
    next: u64,
    shared: SharedBytes,
}

/// Words of a native resource.
#[repr(C)]
struct NativeWords {
    header: Word,
    next: u64,
    payload: AtomicPtr<Payload>,
    serial: u64,
}

/// Numbers the native resources of a program in the order in which they become terms. By its number one is equal to
/// itself, ordered and hashed: unlike its place it stays when a heap is collected.
static NATIVES: AtomicU64 = AtomicU64::new(1);

const _: () = assert!(size_of::<BinaryWords>() == (1 + SHARED_BINARY_WORDS as usize) * 8);
const _: () = assert!(size_of::<NativeWords>() == (1 + NATIVE_WORDS as usize) * 8);
const _: () = assert!(align_of::<BinaryWords>() <= 8 && align_of::<NativeWords>() <= 8);

/// Appends a shared binary, which takes over the reference; gives its offset. Its last byte has so many bits, 0 for
/// all; the rest of that byte is zero.
pub(crate) fn push_binary(
    space: &mut Space,
    shared: SharedBytes,
    bits: u8,
) -> Result<u32, CopyError> {
    space.reserve((1 + SHARED_BINARY_WORDS).into())?;
    let object = BinaryWords {
        header: Word::shared_header(bits),
        next: space.off_heap().into(),
        shared,
    };
    // SAFETY: the object's words are reserved, and it links to the chain.
    Ok(unsafe { push(space, object) })
}

/// Makes room for a native resource, so that [`push_native`] cannot fail.
pub(crate) fn reserve_native(space: &mut Space) -> Result<(), CopyError> {
    space.reserve((1 + NATIVE_WORDS).into())
}

/// Appends a native resource; gives its offset.
pub(crate) fn push_native(space: &mut Space, payload: Box<Payload>) -> Result<u32, CopyError> {
    reserve_native(space)?;
    let object = NativeWords {
        header: Word::header(NATIVE, NATIVE_WORDS),
        next: space.off_heap().into(),
        payload: AtomicPtr::new(Box::into_raw(payload)),
        serial: NATIVES.fetch_add(1, Ordering::Relaxed),
    };
    // SAFETY: as in `push_binary`.
    Ok(unsafe { push(space, object) })
}

/// Appends an off-heap object at the head of the chain; gives its offset.
///
/// # Safety
///
/// The object is complete, links to the chain of `space`, and its words are reserved there.
unsafe fn push<T>(space: &mut Space, object: T) -> u32 {
    let offset = space.len();
    // SAFETY: room by the caller's word, aligned as asserted above; with the link to the former
    // first object the chain holds each object once.
    unsafe {
        space.base().add(offset as usize).cast::<T>().write(object);
        space.extend((size_of::<T>() / size_of::<Word>()) as u32);
        space.set_off_heap(offset);
    }
    offset
}

/// The shared bytes of an object.
///
/// # Safety
///
/// At `offset` lies a shared binary of a block or space that lives for `'h` unmoved.
#[inline]
pub(crate) unsafe fn binary_at<'h>(base: NonNull<Word>, offset: u32) -> &'h SharedBytes {
    // SAFETY: by the caller's word.
    unsafe {
        &base
            .add(offset as usize)
            .cast::<BinaryWords>()
            .as_ref()
            .shared
    }
}

/// The pointer of a native resource: null once it has moved out.
///
/// # Safety
///
/// At `offset` lies a native resource of a block that lives for `'h` unmoved.
#[inline]
pub(crate) unsafe fn native_at<'h>(base: NonNull<Word>, offset: u32) -> &'h AtomicPtr<Payload> {
    // SAFETY: by the caller's word.
    unsafe {
        &base
            .add(offset as usize)
            .cast::<NativeWords>()
            .as_ref()
            .payload
    }
}

/// The number of a native resource.
///
/// # Safety
///
/// As for [`native_at`].
pub(crate) unsafe fn native_serial_at(base: NonNull<Word>, offset: u32) -> u64 {
    // SAFETY: by the caller's word; the number is never written again.
    unsafe {
        let native = base.add(offset as usize).cast::<NativeWords>();
        (&raw const (*native.as_ptr()).serial).read()
    }
}

/// Whether the chain holds a native resource, moved out or not.
///
/// # Safety
///
/// `first` is the chain of the living block or space at `base`.
pub(crate) unsafe fn has_native(base: NonNull<Word>, first: u32) -> bool {
    let mut offset = first;
    while offset != END {
        // SAFETY: every link of a chain leads to a whole off-heap object.
        unsafe {
            let object = base.add(offset as usize);
            if object.read().header_kind() == NATIVE {
                return true;
            }
            offset = object.add(1).read().0 as u32;
        }
    }
    false
}

/// After words without natives were copied to where their offsets in `space` are `delta` more: counts
/// each of their binaries once more and joins their chain to the space's own.
///
/// # Safety
///
/// The copied off-heap objects are bit by bit those of the living block or space whose chain begins at
/// `first`, and are adopted once.
pub(crate) unsafe fn adopt(space: &mut Space, delta: i64, first: u32) {
    let mut offset = first;
    while offset != END {
        let here = (i64::from(offset) + delta) as u32;
        // SAFETY: the source's chain leads from one whole binary to the next, so do its copies.
        // The source owns a reference of its own, so the buffer is alive; the copy's becomes
        // counted here, before the chain can release it.
        unsafe {
            let object = space.base().add(here as usize).cast::<BinaryWords>();
            std::mem::forget(object.as_ref().shared.clone());
            let next = &raw mut (*object.as_ptr()).next;
            offset = next.read() as u32;
            next.write(space.off_heap().into());
            space.set_off_heap(here);
        }
    }
}

/// Gives back every binary and drops every native that has not moved out.
///
/// A native whose `Drop` panics is contained: the rest of the chain is released all the same.
///
/// # Safety
///
/// `first` is the chain of the block or space at `base`, which no one else reaches, and whose
/// off-heap objects are not used again.
#[inline]
pub(crate) unsafe fn release_all(base: NonNull<Word>, first: u32) {
    if first != END {
        // SAFETY: by the caller's word.
        unsafe { release_chain(base, first) }
    }
}

#[cold]
unsafe fn release_chain(base: NonNull<Word>, first: u32) {
    let mut offset = first;
    while offset != END {
        // SAFETY: every link of a chain leads to a whole off-heap object, each once.
        unsafe {
            let object = offset;
            offset = next(base, object);
            release(base, object);
        }
    }
}

/// Puts an off-heap object of the space at the head of its chain.
///
/// # Safety
///
/// At `offset` lies a whole off-heap object of `space` that is not in its chain.
pub(crate) unsafe fn link(space: &mut Space, offset: u32) {
    // SAFETY: the link follows the header; with it the chain holds each object once.
    unsafe {
        let next = space.base().add(offset as usize + 1);
        next.write(Word(space.off_heap().into()));
        space.set_off_heap(offset);
    }
}

/// Bytes that an off-heap object refers to: 0 for a native.
///
/// # Safety
///
/// As for [`next`].
pub(crate) unsafe fn bytes_at(base: NonNull<Word>, offset: u32) -> usize {
    // SAFETY: by the caller's word; the header tells which of the two it is.
    unsafe {
        if base.add(offset as usize).read().header_kind() == NATIVE {
            return 0;
        }
        binary_at(base, offset).len
    }
}

/// The link of an off-heap object: the next one, or [`END`].
///
/// # Safety
///
/// At `offset` lies an off-heap object of the living block or space at `base`.
#[inline]
pub(crate) unsafe fn next(base: NonNull<Word>, offset: u32) -> u32 {
    // SAFETY: the link follows the header.
    unsafe { base.add(offset as usize + 1).read().0 as u32 }
}

/// Gives back one binary, or drops one native unless it has moved out. A panic of its `Drop` is contained.
///
/// # Safety
///
/// As for [`next`]; no one else reaches the object, nor does anyone use it again.
pub(crate) unsafe fn release(base: NonNull<Word>, offset: u32) {
    // SAFETY: by the caller's word; the header tells which of the two it is.
    unsafe {
        let object = base.add(offset as usize);
        if object.read().header_kind() == NATIVE {
            let native = object.cast::<NativeWords>();
            let payload = native
                .as_ref()
                .payload
                .swap(ptr::null_mut(), Ordering::Acquire);
            if !payload.is_null() {
                drop_contained(Box::from_raw(payload));
            }
        } else {
            ptr::drop_in_place(&raw mut (*object.cast::<BinaryWords>().as_ptr()).shared);
        }
    }
}

/// Drops a native; a panic of its `Drop` ends here, since a block may be dropped while unwinding.
pub(crate) fn drop_contained(payload: Box<Payload>) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // The payload of the panic may itself panic in its `Drop`; then it is let go.
        if let Err(second) = catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            std::mem::forget(second);
        }
    }
}
