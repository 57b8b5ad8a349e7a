//! The space that a block is built in.

use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use super::allocation::{allocated, free, resized, trimmed};
use super::{Fixed, NO_ROOT, Raw, Shape, scratch};
use crate::CopyError;
use crate::limits::{FIRST_WORDS, HEAP_BINARY_BYTES_MAX};
use crate::off_heap;
use crate::term::Term;
use crate::word::{HEAP_BINARY, Word};

/// The words of a block while it is built, or of a process's heap: the header is unwritten, and the fixed part but for
/// its root, which no term has ([`Fixed::of_root`]).
///
/// Dropped before it becomes a block, it releases what it holds: so an encoder that fails or
/// unwinds leaks nothing.
pub(crate) struct Space {
    pub(super) base: NonNull<Word>,
    pub(super) len: u32,
    pub(super) capacity: u32,
    pub(super) words_max: u32,
    pub(super) off_heap: u32,
    pub(super) shape: Shape,
    /// The words lie in a [`Scratch`], not in an allocation of this shape.
    pub(super) on_scratch: bool,
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

    pub(super) fn clear_root(&mut self) {
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
