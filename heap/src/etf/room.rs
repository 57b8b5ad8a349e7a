//! Room behind the bytes of a `Vec`, written to with one check for each term.
//!
//! A store has a size that is known when the program is compiled, mostly more than the term needs:
//! what is too much is overwritten by the next one. Length and address stay in registers.

use std::cell::Cell;
use std::mem::ManuallyDrop;
use std::ptr::NonNull;

use crate::word::Word;

/// Bytes of room at first: a small message needs no more.
const FIRST_BYTES: usize = 64;

/// Words of the longest object that [`Room::put_words`] copies.
const WORDS_MAX: usize = 8;

/// A `Vec` whose end is at hand. It owns the memory from `start` to `end`, as a `Vec` of that
/// capacity; the bytes before `at` are written.
pub(super) struct Room {
    start: NonNull<u8>,
    at: NonNull<u8>,
    end: NonNull<u8>,
}

impl Room {
    #[inline]
    pub(super) fn new(bytes: Vec<u8>) -> Room {
        let mut bytes = ManuallyDrop::new(bytes);
        let (len, capacity) = (bytes.len(), bytes.capacity());
        // SAFETY: a `Vec` has no null pointer, and its length and capacity lie inside its memory.
        unsafe {
            let start = NonNull::new_unchecked(bytes.as_mut_ptr());
            Room {
                start,
                at: start.add(len),
                end: start.add(capacity),
            }
        }
    }

    /// The bytes written.
    #[inline]
    pub(super) fn finish(self) -> Vec<u8> {
        let room = ManuallyDrop::new(self);
        // SAFETY: not dropped, so the memory has one owner still.
        unsafe { room.vec() }
    }

    /// # Safety
    ///
    /// The room is not used again.
    #[inline]
    unsafe fn vec(&self) -> Vec<u8> {
        let capacity = self.end.addr().get() - self.start.addr().get();
        // SAFETY: `new` took the memory from a `Vec` of this capacity; so many bytes are written.
        unsafe { Vec::from_raw_parts(self.start.as_ptr(), self.len(), capacity) }
    }

    /// Bytes written.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.at.addr().get() - self.start.addr().get()
    }

    #[inline(always)]
    fn reserve(&mut self, bytes: usize) {
        if self.end.addr().get() - self.at.addr().get() < bytes {
            let full = std::mem::replace(self, Room::new(Vec::new()));
            // Moved in and out, so that no one else ever has the address of the hot room.
            *self = grown(full);
        }
    }

    /// Appends the first `len` of these bytes.
    #[inline(always)]
    pub(super) fn put<const N: usize>(&mut self, bytes: [u8; N], len: usize) {
        const { assert!(N <= FIRST_BYTES) };
        self.reserve(N);
        // SAFETY: there is room for all of them, and no more than all count as written.
        unsafe {
            self.at.cast::<[u8; N]>().write_unaligned(bytes);
            self.at = self.at.add(len.min(N));
        }
    }

    /// Appends the first `len` bytes of these words. They are read when there is room, and not kept
    /// on the stack until then.
    #[inline(always)]
    pub(super) fn put_cell<const N: usize>(&mut self, words: &Cell<[u64; N]>, len: usize) {
        const { assert!(N <= WORDS_MAX) };
        self.reserve(N * size_of::<u64>());
        // SAFETY: as in `put`.
        unsafe {
            self.at.cast::<[u64; N]>().write_unaligned(words.get());
            self.at = self.at.add(len.min(N * size_of::<u64>()));
        }
    }

    /// Appends the first `len` bytes of the words, if they are at most [`WORDS_MAX`]; says whether
    /// they were.
    #[inline(always)]
    pub(super) fn put_words(&mut self, words: &[Word], len: usize) -> bool {
        if words.len() > WORDS_MAX || len > size_of_val(words) {
            return false;
        }
        self.reserve(WORDS_MAX * size_of::<Word>());
        // Two copies of known size that may overlap, as a call to copy costs more than the bytes.
        if let (Some(first), Some(last)) = (words.first_chunk::<4>(), words.last_chunk::<4>()) {
            self.write(0, *first);
            self.write(words.len() - 4, *last);
        } else if let (Some(first), Some(last)) =
            (words.first_chunk::<2>(), words.last_chunk::<2>())
        {
            self.write(0, *first);
            self.write(words.len() - 2, *last);
        } else if let Some(word) = words.first() {
            self.write(0, [*word]);
        }
        // SAFETY: the words were written, and hold no fewer bytes.
        self.at = unsafe { self.at.add(len) };
        true
    }

    /// Writes words `index` words behind what is written.
    #[inline(always)]
    fn write<const N: usize>(&mut self, index: usize, words: [Word; N]) {
        debug_assert!(index + N <= WORDS_MAX);
        // SAFETY: `put_words`, the only caller, has made room for `WORDS_MAX` words, and the last of
        // these is one of them.
        unsafe {
            let target = self.at.cast::<Word>().add(index).cast::<[Word; N]>();
            target.write_unaligned(words);
        }
    }

    /// Writes over four bytes.
    ///
    /// # Panics
    ///
    /// Unless they are written already.
    #[inline]
    pub(super) fn patch(&mut self, offset: usize, bytes: [u8; 4]) {
        assert!(offset + 4 <= self.len());
        // SAFETY: they lie before `at`.
        unsafe { self.start.add(offset).cast().write_unaligned(bytes) }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: a dropped room is not used again.
        drop(unsafe { self.vec() });
    }
}

#[cold]
#[inline(never)]
fn grown(full: Room) -> Room {
    let mut bytes = full.finish();
    // As much again as there is, or more.
    bytes.reserve(FIRST_BYTES);
    Room::new(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_stands_in_a_row_however_often_the_room_grows() {
        let words: Vec<Word> = (1..=8)
            .map(|word| Word(word * 0x0102_0304_0506_0708))
            .collect();
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.0.to_ne_bytes()).collect();
        for begin in [0, 1, 63, 64, 1000] {
            let mut expected = vec![7; begin];
            let mut room = Room::new(expected.clone());
            for len in 0..=64_usize {
                let count = len.div_ceil(8);
                assert!(room.put_words(&words[..count], len));
                room.put(*b"abcdefgh", len % 10);
                expected.extend_from_slice(&bytes[..len]);
                expected.extend_from_slice(&b"abcdefgh"[..(len % 10).min(8)]);
                assert_eq!(room.len(), expected.len());
            }
            room.patch(begin, *b"over");
            expected[begin..begin + 4].copy_from_slice(b"over");
            assert_eq!(room.finish(), expected);
        }
    }

    #[test]
    fn too_many_words_or_too_few_are_refused() {
        let mut room = Room::new(Vec::new());
        assert!(!room.put_words(&[Word(0); 9], 72));
        assert!(!room.put_words(&[Word(0); 2], 17));
        assert_eq!(room.len(), 0);
    }

    #[test]
    #[should_panic(expected = "offset + 4")]
    fn what_is_not_written_is_not_written_over() {
        Room::new(vec![0; 7]).patch(4, [0; 4]);
    }
}
