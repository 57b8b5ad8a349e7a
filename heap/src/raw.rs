//! The layout of a block, its allocation, and the space that a block is built in.
//!
//! A block is one allocation straight from mimalloc:
//!
//! ```text
//! header: H | capacity, len (u32 words) | root (word) | off-heap chain, start (u32) | words...
//! ```
//!
//! The fixed part is 24 bytes and ends where the words begin, so a term, which knows the address
//! of the first word, reaches it without knowing `H`.

use std::alloc::{Layout, handle_alloc_error};
use std::mem::{ManuallyDrop, offset_of};
use std::ptr::{self, NonNull};

use crate::CopyError;
use crate::limits::{FIRST_WORDS, HEAP_BINARY_BYTES_MAX, SHRINK_BYTES};
use crate::off_heap;
use crate::term::Term;
use crate::word::{HEAP_BINARY, Word};

mod bump;
mod scratch;

pub(crate) use bump::Bump;
pub(crate) use scratch::Scratch;

/// A block's memory: `H` stands first, so a `NonNull<Raw<H>>` may be cast to a `NonNull<H>`.
#[repr(C)]
pub struct Raw<H> {
    pub(crate) header: H,
    pub(crate) fixed: Fixed,
    pub(crate) words: [Word; 0],
}

impl<H> std::fmt::Debug for Raw<H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Raw")
            .field("fixed", &self.fixed)
            .finish_non_exhaustive()
    }
}

/// What every block knows of itself. Ends right before the first word.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Fixed {
    pub(crate) capacity: u32,
    pub(crate) len: u32,
    pub(crate) root: Word,
    /// Offset of the first off-heap object, or [`off_heap::END`].
    pub(crate) off_heap: u32,
    /// Where the root's words begin, which go on to `len`: 0 but on a process's heap.
    pub(crate) start: u32,
}

/// In place of the root where there is none: in a space, unless it is a process's heap and knows one. No term has this
/// word.
const NO_ROOT: Word = Word(crate::word::HEADER);

impl Fixed {
    /// What stands before the words of the living block, space or heap at `base`, if it is a block whose root has this
    /// word.
    ///
    /// # Safety
    ///
    /// `base` is where such words begin, and they live unmoved for `'h`.
    #[inline]
    pub(crate) unsafe fn of_root<'h>(base: NonNull<Word>, word: Word) -> Option<&'h Fixed> {
        // SAFETY: the fixed part ends where the words begin, and its `root` is written from the start: by `Space::new`
        // as no term's word, which moves along when the space grows, and by `Space::finish` together with the rest.
        unsafe {
            let fixed = base.cast::<Fixed>().sub(1);
            let root = (&raw const (*fixed.as_ptr()).root).read();
            // Elsewhere the rest is unwritten: no reference to it then.
            if root == word {
                Some(fixed.as_ref())
            } else {
                None
            }
        }
    }
}

const _: () = assert!(size_of::<Fixed>() == 24);
const _: () = assert!(offset_of!(Raw<u8>, words) == offset_of!(Raw<u8>, fixed) + 24);

/// Where the words begin, and how the allocation is aligned, for one header type.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Shape {
    pub(crate) prefix: usize,
    pub(crate) align: usize,
}

impl Shape {
    pub(crate) const fn of<H>() -> Shape {
        Shape {
            prefix: offset_of!(Raw<H>, words),
            align: align_of::<Raw<H>>(),
        }
    }

    /// Bytes of the allocation for so many words. A multiple of the alignment, so never under the
    /// size of `Raw<H>`.
    pub(crate) const fn bytes(self, words: u32) -> usize {
        (self.prefix + words as usize * size_of::<Word>()).next_multiple_of(self.align)
    }
}

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

/// The words of a block while it is built, or of a process's heap: the header is unwritten, and the fixed part but for
/// its root, which no term has ([`Fixed::of_root`]).
///
/// Dropped before it becomes a block, it releases what it holds: so an encoder that fails or
/// unwinds leaks nothing.
pub(crate) struct Space {
    base: NonNull<Word>,
    len: u32,
    capacity: u32,
    words_max: u32,
    off_heap: u32,
    shape: Shape,
    /// The words lie in a [`Scratch`], not in an allocation of this shape.
    on_scratch: bool,
}

// SAFETY: a space owns its words as a block does; what they refer to outside is counted atomically or `Send`.
unsafe impl Send for Space {}
// SAFETY: words are written through `&mut Space` alone.
unsafe impl Sync for Space {}

/// The state of a space at one moment, to go back to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Mark {
    len: u32,
    off_heap: u32,
}

impl Mark {
    /// Whether there was no word yet.
    pub(crate) fn is_start(self) -> bool {
        self.len == 0
    }

    /// The number of words at that moment.
    pub(crate) fn len(self) -> u32 {
        self.len
    }

    /// The first off-heap object at that moment.
    pub(crate) fn off_heap(self) -> u32 {
        self.off_heap
    }
}

impl Space {
    #[inline]
    pub(crate) fn new(shape: Shape, words: u32, words_max: u32) -> Space {
        let words = words.clamp(FIRST_WORDS, words_max.max(FIRST_WORDS));
        Space::exact(shape, words, words_max)
    }

    /// A space with room for so many words, and none to spare.
    #[inline]
    pub(crate) fn exact(shape: Shape, words: u32, words_max: u32) -> Space {
        let mut space = Space {
            base: allocated(shape, words),
            len: 0,
            capacity: words,
            words_max,
            off_heap: off_heap::END,
            shape,
            on_scratch: false,
        };
        space.clear_root();
        space
    }

    #[inline]
    pub(crate) fn base(&self) -> NonNull<Word> {
        self.base
    }

    #[inline]
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    #[inline]
    pub(crate) fn get(&self, offset: u32) -> Word {
        assert!(offset < self.len);
        // SAFETY: every word under `len` has been written.
        unsafe { self.base.add(offset as usize).read() }
    }

    #[inline]
    pub(crate) fn set(&mut self, offset: u32, word: Word) {
        assert!(offset < self.len);
        // SAFETY: under `len`, so inside the allocation.
        unsafe { self.base.add(offset as usize).write(word) }
    }

    /// Makes room for `count` more words, which stay unwritten and outside `len`.
    #[inline]
    pub(crate) fn reserve(&mut self, count: u64) -> Result<(), CopyError> {
        let needed = u64::from(self.len) + count;
        if needed > u64::from(self.capacity) || needed > u64::from(self.words_max) {
            return self.grow(needed);
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, needed: u64) -> Result<(), CopyError> {
        if needed > u64::from(self.words_max) {
            return Err(CopyError::TooLarge {
                words_max: self.words_max,
            });
        }
        let doubled = u64::from(self.capacity) * 2;
        let words = doubled.max(needed).min(u64::from(self.words_max)) as u32;
        if words > self.capacity {
            self.resize(words);
        }
        Ok(())
    }

    /// Sets the words that there may be; those there are already stay.
    pub(crate) fn set_words_max(&mut self, words_max: u32) {
        self.words_max = words_max;
    }

    #[inline]
    pub(crate) fn words_max(&self) -> u32 {
        self.words_max
    }

    /// Tells copies where the words of one term lie, and which; those of another are forgotten.
    ///
    /// # Safety
    ///
    /// From `start` to `end` lie the objects of the finished term `root`, all of them and whole. If the space has
    /// off-heap objects, these are all of its words; or there is none among them, and `off_heap` is false.
    pub(crate) unsafe fn set_root(&mut self, root: Word, start: u32, end: u32, off_heap: bool) {
        let fixed = Fixed {
            capacity: self.capacity,
            len: end,
            root,
            off_heap: if off_heap {
                self.off_heap
            } else {
                off_heap::END
            },
            start,
        };
        // SAFETY: the words stand behind room for the fixed part.
        unsafe { self.base.cast::<Fixed>().sub(1).write(fixed) }
    }

    fn clear_root(&mut self) {
        // SAFETY: as in `set_root`.
        unsafe {
            let fixed = self.base.cast::<Fixed>().sub(1);
            (&raw mut (*fixed.as_ptr()).root).write(NO_ROOT);
        }
    }

    #[inline]
    pub(crate) fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Words that it may have without growing.
    #[inline]
    pub(crate) fn room(&self) -> u32 {
        self.capacity.min(self.words_max)
    }

    /// Moves to an allocation of so many words, at least those in use.
    pub(crate) fn resize(&mut self, words: u32) {
        let words = words.max(self.len);
        if self.on_scratch {
            self.leave_scratch(words);
            return;
        }
        // SAFETY: the words are this space's own; `base` is replaced.
        self.base = unsafe { resized(self.base, self.shape, words) };
        self.capacity = words;
    }

    fn memory(&self) -> NonNull<u8> {
        // SAFETY: the words begin `prefix` bytes into the allocation.
        unsafe { self.base.cast::<u8>().sub(self.shape.prefix) }
    }

    /// Appends words; gives the offset of the first.
    #[inline]
    pub(crate) fn push<const N: usize>(&mut self, words: [Word; N]) -> Result<u32, CopyError> {
        self.reserve(N as u64)?;
        let offset = self.len;
        // SAFETY: `reserve` made room for N words behind `len`.
        unsafe {
            self.base
                .add(offset as usize)
                .cast::<[Word; N]>()
                .write(words)
        };
        self.len += N as u32;
        Ok(offset)
    }

    /// Appends a header and `count` zero words (each the integer 0) for its elements.
    #[inline]
    pub(crate) fn push_blank(&mut self, header: Word, count: u64) -> Result<u32, CopyError> {
        self.reserve(count + 1)?;
        let offset = self.len;
        // SAFETY: `reserve` made room for `count + 1` words behind `len`.
        unsafe {
            let start = self.base.add(offset as usize);
            start.write(header);
            // A loop, not one fill: most tuples are small, and a call costs more than the stores.
            for index in 1..=count as usize {
                start.add(index).write(Word(0));
            }
        }
        self.len += count as u32 + 1;
        Ok(offset)
    }

    /// Appends an object of raw bytes: a header, then the bytes padded to whole words.
    #[inline]
    pub(crate) fn push_bytes(&mut self, bytes: &[u8]) -> Result<u32, CopyError> {
        self.push_bits(bytes, 0, 0xFF)
    }

    /// The same for a bitstring: of the last byte so many bits count, 0 for all; the rest is masked away.
    #[inline]
    pub(crate) fn push_bits(&mut self, bytes: &[u8], bits: u8, mask: u8) -> Result<u32, CopyError> {
        let words = bytes.len().div_ceil(size_of::<Word>());
        let length = u32::try_from(bytes.len()).map_err(|_| CopyError::TooLarge {
            words_max: self.words_max,
        })?;
        self.reserve(words as u64 + 1)?;
        let offset = self.len;
        // SAFETY: `reserve` made room for `words + 1` words; the last one is zeroed first, so that
        // its padding is written. Source and target are different allocations.
        unsafe {
            let start = self.base.add(offset as usize);
            start.add(words).write(Word(0));
            start.write(Word::bits_header(length, bits));
            let target = start.add(1).cast::<u8>();
            ptr::copy_nonoverlapping(bytes.as_ptr(), target.as_ptr(), bytes.len());
            if bits > 0 {
                *target.add(bytes.len() - 1).as_mut() &= mask;
            }
        }
        self.len += words as u32 + 1;
        Ok(offset)
    }

    /// As [`Space::push_bytes`] of the first `len` bytes: more are there, so that none of the copies
    /// has a length to be looked at.
    ///
    /// # Panics
    ///
    /// If `len` is over their number.
    #[inline(always)]
    pub(crate) fn push_short(
        &mut self,
        bytes: &[u8; HEAP_BINARY_BYTES_MAX],
        len: usize,
    ) -> Result<u32, CopyError> {
        const WORDS: u64 = HEAP_BINARY_BYTES_MAX.div_ceil(size_of::<Word>()) as u64;
        let needed = u64::from(self.len) + WORDS + 1;
        if needed > u64::from(self.capacity.min(self.words_max)) {
            // No room for all of them, but perhaps for those that count.
            return self.push_bytes(&bytes[..len]);
        }
        assert!(len <= bytes.len());
        let words = len.div_ceil(size_of::<Word>());
        let offset = self.len;
        // SAFETY: there is room for a header and all bytes, whatever of them counts in the end;
        // source and target are different allocations. The last word, if there is one, is one of
        // those just written.
        unsafe {
            let start = self.base.add(offset as usize);
            start.write(Word::header(HEAP_BINARY, len as u32));
            let target = start.add(1);
            if len <= bytes.len() / 2 {
                let half = bytes.len() / 2;
                ptr::copy_nonoverlapping(bytes.as_ptr(), target.cast().as_ptr(), half);
            } else {
                target.cast().write_unaligned(*bytes);
            }
            if words > 0 {
                let last = target.add(words - 1);
                let unused = words * size_of::<Word>() - len;
                let mask = u64::from_le(u64::MAX >> (8 * unused));
                last.write(Word(last.read().0 & mask));
            }
        }
        self.len += words as u32 + 1;
        Ok(offset)
    }

    /// Appends an object of raw words.
    pub(crate) fn push_raw(&mut self, header: Word, words: &[u64]) -> Result<u32, CopyError> {
        self.reserve(words.len() as u64 + 1)?;
        let offset = self.len;
        // SAFETY: `reserve` made room for the words behind `len`, in another allocation than theirs; a word is a plain
        // `u64`.
        unsafe {
            let start = self.base.add(offset as usize);
            start.write(header);
            let target = start.add(1).cast::<u64>();
            ptr::copy_nonoverlapping(words.as_ptr(), target.as_ptr(), words.len());
        }
        self.len += words.len() as u32 + 1;
        Ok(offset)
    }

    /// Appends a copy of some of this space's words: of immediates and offsets, never of off-heap objects.
    #[inline]
    pub(crate) fn push_copy(&mut self, start: u32, count: u32) -> Result<u32, CopyError> {
        let end = u64::from(start) + u64::from(count);
        assert!(end <= u64::from(self.len));
        self.reserve(count.into())?;
        let offset = self.len;
        // SAFETY: the words lie under `len`, and `reserve` made room for as many behind it.
        unsafe {
            let source = self.base.add(start as usize);
            source.copy_to_nonoverlapping(self.base.add(offset as usize), count as usize);
        }
        self.len += count;
        Ok(offset)
    }

    /// A view of a term in the making.
    ///
    /// # Safety
    ///
    /// `word` is the word of a finished term of this space.
    #[inline]
    pub(crate) unsafe fn term(&self, word: Word) -> Term<'_> {
        // SAFETY: by the caller's word; the space is borrowed, so nothing is written or moved meanwhile.
        unsafe { Term::new(self.base, word) }
    }

    /// Counts `count` words behind `len` as written.
    ///
    /// # Safety
    ///
    /// They were reserved and written, as whole objects.
    #[inline]
    pub(crate) unsafe fn extend(&mut self, count: u32) {
        debug_assert!(self.len + count <= self.capacity);
        self.len += count;
    }

    #[inline]
    pub(crate) fn mark(&self) -> Mark {
        Mark {
            len: self.len,
            off_heap: self.off_heap,
        }
    }

    /// Forgets what was appended after the mark, and releases what it held outside.
    ///
    /// No word from before the mark may have been made to refer behind it.
    #[cold]
    pub(crate) fn rollback(&mut self, mark: Mark) {
        // The chain grows at its head: what is younger comes first.
        while self.off_heap != mark.off_heap {
            // SAFETY: the chain of this space; each object is taken off it before it is released.
            unsafe {
                let first = self.off_heap;
                self.off_heap = off_heap::next(self.base, first);
                off_heap::release(self.base, first);
            }
        }
        self.len = self.len.min(mark.len);
    }

    #[inline]
    pub(crate) fn off_heap(&self) -> u32 {
        self.off_heap
    }

    /// Sets the first off-heap object.
    ///
    /// # Safety
    ///
    /// `offset` is a finished off-heap object, whose chain holds every off-heap object of the
    /// space exactly once.
    #[inline]
    pub(crate) unsafe fn set_off_heap(&mut self, offset: u32) {
        self.off_heap = offset;
    }

    /// Writes header and fixed part, and gives the memory away.
    #[inline(always)]
    pub(crate) fn finish<H>(self, header: H, root: Word) -> NonNull<Raw<H>> {
        // From here on a few numbers: whoever needed the space by address would have it copied from the encoder's.
        let space = ManuallyDrop::new(self);
        let Space { base, len, .. } = *space;
        let shape = Shape::of::<H>();
        let (base, capacity) = if space.on_scratch {
            (scratch::copied(base, len, shape), len)
        } else {
            assert!(space.shape == shape, "the space was made for this header");
            // SAFETY: the space is not used again.
            unsafe { trimmed(base, shape, len, space.capacity) }
        };
        let fixed = Fixed {
            capacity,
            len,
            root,
            off_heap: space.off_heap,
            start: 0,
        };
        // SAFETY: the words begin `prefix` bytes into the allocation. The shape is that of `Raw<H>`, so both fields lie
        // inside, aligned.
        unsafe {
            let raw = base.cast::<u8>().sub(shape.prefix).cast::<Raw<H>>();
            (&raw mut (*raw.as_ptr()).header).write(header);
            (&raw mut (*raw.as_ptr()).fixed).write(fixed);
            raw
        }
    }
}

/// Where the words begin of a new allocation for so many.
#[inline]
fn allocated(shape: Shape, words: u32) -> NonNull<Word> {
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
unsafe fn trimmed(
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
unsafe fn resized(base: NonNull<Word>, shape: Shape, words: u32) -> NonNull<Word> {
    // SAFETY: the words begin `prefix` bytes into the allocation, here and there.
    unsafe {
        let memory = base.cast::<u8>().sub(shape.prefix);
        let moved = reallocate(memory, shape.bytes(words), shape.align);
        moved.add(shape.prefix).cast()
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // SAFETY: the chain is that of this space and is not used again, nor is the memory.
        unsafe {
            off_heap::release_all(self.base, self.off_heap);
            if !self.on_scratch {
                free(self.memory());
            }
        }
    }
}
