//! The end of a space at hand: what makes many small objects in a row keeps length and address in
//! registers, and looks at the room once for each.

use std::ptr::NonNull;

use super::Space;
use crate::limits::HEAP_BINARY_BYTES_MAX;
use crate::word::{CONS, HEAP_BINARY, Word};

/// Words that [`Bump::blank`] writes at once, whatever of them counts.
const BLANK_WORDS: usize = 8;

/// Words of the bytes that [`Bump::short_binary`] copies, whatever of them counts.
const BINARY_WORDS: usize = HEAP_BINARY_BYTES_MAX.div_ceil(size_of::<Word>());

/// A space to which objects are appended as long as there is room: [`None`] says that there is not
/// surely enough, and that nothing was done. The space knows of them once this is dropped.
pub(crate) struct Bump<'s> {
    base: NonNull<Word>,
    len: u32,
    /// No more words than the space has room for, and may have.
    end: u32,
    space: &'s mut Space,
}

impl Space {
    #[inline(always)]
    pub(crate) fn bump(&mut self) -> Bump<'_> {
        Bump {
            base: self.base,
            len: self.len,
            end: self.capacity.min(self.words_max).max(self.len),
            space: self,
        }
    }
}

impl Drop for Bump<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        self.space.len = self.len;
    }
}

impl Bump<'_> {
    #[inline(always)]
    fn has_room(&self, words: usize) -> bool {
        (self.end - self.len) as usize >= words
    }

    /// Where the next word goes.
    #[inline(always)]
    fn at(&self) -> NonNull<Word> {
        // SAFETY: `len` is at most the capacity.
        unsafe { self.base.add(self.len as usize) }
    }

    /// Counts so many words as written; gives the offset of the first.
    #[inline(always)]
    fn advance(&mut self, words: usize) -> u32 {
        debug_assert!(self.has_room(words));
        let offset = self.len;
        self.len += words as u32;
        offset
    }

    /// Writes over a word.
    ///
    /// # Panics
    ///
    /// Unless it is written already.
    #[inline(always)]
    pub(crate) fn set(&mut self, offset: u32, word: Word) {
        assert!(offset < self.len);
        // SAFETY: under `len`, so inside the allocation.
        unsafe { self.base.add(offset as usize).write(word) }
    }

    /// Words that are written.
    ///
    /// # Panics
    ///
    /// If one of them is not.
    #[inline(always)]
    pub(crate) fn words(&self, offset: u32, count: u32) -> &[Word] {
        assert!(u64::from(offset) + u64::from(count) <= u64::from(self.len));
        // SAFETY: every word under `len` has been written, and none is while this is borrowed.
        unsafe {
            let start = self.base.add(offset as usize);
            std::slice::from_raw_parts(start.as_ptr(), count as usize)
        }
    }

    /// Forgets the words from an offset on: those just appended, to which no other leads.
    #[inline(always)]
    pub(crate) fn take_back(&mut self, offset: u32) {
        self.len = self.len.min(offset);
    }

    /// Appends words; gives the offset of the first.
    #[inline(always)]
    pub(crate) fn push<const N: usize>(&mut self, words: [Word; N]) -> Option<u32> {
        if !self.has_room(N) {
            return None;
        }
        // SAFETY: there is room for them behind `len`.
        unsafe { self.at().cast::<[Word; N]>().write(words) };
        Some(self.advance(N))
    }

    /// Appends a header and so many zero words for its elements.
    #[inline(always)]
    pub(crate) fn blank(&mut self, header: Word, count: u32) -> Option<u32> {
        let count = count as usize;
        if !self.has_room(1 + count.max(BLANK_WORDS)) {
            return None;
        }
        // SAFETY: there is room behind `len` for the header and for all words written here, be they
        // `BLANK_WORDS` or `count`.
        unsafe {
            let start = self.at();
            start.write(header);
            let elements = start.add(1);
            elements
                .cast::<[Word; BLANK_WORDS]>()
                .write([Word(0); BLANK_WORDS]);
            for index in BLANK_WORDS..count {
                elements.add(index).write(Word(0));
            }
        }
        Some(self.advance(1 + count))
    }

    /// Appends the cells of a list, each the tail of the one before, the last with the tail `[]`;
    /// their heads are zero words. There is at least one.
    #[inline(always)]
    pub(crate) fn cells(&mut self, count: u32) -> Option<u32> {
        let words = 2 * count as usize;
        if count == 0 || !self.has_room(words) {
            return None;
        }
        let start = self.at();
        // SAFETY: there is room for them behind `len`, and there is a last one.
        unsafe {
            let mut next = self.len;
            for index in 0..count as usize {
                next += 2;
                let cell = [Word(0), Word::boxed(CONS, next)];
                start.cast::<[Word; 2]>().add(index).write(cell);
            }
            start.add(words - 1).write(Word::NIL);
        }
        Some(self.advance(words))
    }

    /// Appends a binary of the first `len` bytes; all are copied, so that no copy has a length to
    /// be looked at.
    ///
    /// # Panics
    ///
    /// If `len` is over their number.
    #[inline(always)]
    pub(crate) fn short_binary(
        &mut self,
        bytes: &[u8; HEAP_BINARY_BYTES_MAX],
        len: usize,
    ) -> Option<u32> {
        if !self.has_room(1 + BINARY_WORDS) {
            return None;
        }
        assert!(len <= bytes.len());
        let words = len.div_ceil(size_of::<Word>());
        // SAFETY: there is room for the header and all the bytes, which lie in another allocation;
        // the last word that counts, if there is one, is one of theirs.
        unsafe {
            let start = self.at();
            start.write(Word::header(HEAP_BINARY, len as u32));
            let target = start.add(1);
            target.cast().write_unaligned(*bytes);
            if words > 0 {
                let source = bytes.as_ptr().cast::<u64>().add(words - 1);
                let unused = words * size_of::<Word>() - len;
                let mask = u64::from_le(u64::MAX >> (8 * unused));
                let last = source.read_unaligned() & mask;
                target.add(words - 1).write(Word(last));
            }
        }
        Some(self.advance(1 + words))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::BLOCK_WORDS_MAX;
    use crate::raw::Shape;

    fn space(words: u32) -> Space {
        Space::new(Shape::of::<()>(), words, BLOCK_WORDS_MAX)
    }

    #[test]
    fn objects_stand_in_a_row_and_their_padding_is_zero() {
        for len in 0..=HEAP_BINARY_BYTES_MAX {
            let (mut quick, mut careful) = (space(200), space(200));
            let mut bump = quick.bump();
            assert_eq!(bump.short_binary(&[0xFF; 64], len), Some(0));
            let count = len as u32;
            let tuple = bump.blank(Word::header(crate::word::TUPLE, count), count);
            let cells = bump.cells(1 + count / 2);
            let last = bump.push([Word(5)]);
            drop(bump);
            careful.push_bytes(&[0xFF; 64][..len]).unwrap();
            let header = Word::header(crate::word::TUPLE, count);
            let expected = careful.push_blank(header, count.into()).unwrap();
            assert_eq!(tuple, Some(expected));
            assert_eq!(cells, Some(careful.len()));
            for index in 0..=count / 2 {
                let next = careful.len() + 2;
                let end = index == count / 2;
                let tail = if end {
                    Word::NIL
                } else {
                    Word::boxed(CONS, next)
                };
                careful.push([Word(0), tail]).unwrap();
            }
            assert_eq!(last, Some(careful.len()));
            careful.push([Word(5)]).unwrap();
            assert_eq!(quick.len(), careful.len());
            for offset in 0..quick.len() {
                assert_eq!(quick.get(offset), careful.get(offset));
            }
        }
    }

    #[test]
    fn nothing_is_appended_past_the_room_or_the_limit() {
        for (words, words_max) in [(40, BLOCK_WORDS_MAX), (200, 40)] {
            let mut space = Space::new(Shape::of::<()>(), words, words_max);
            let mut bump = space.bump();
            assert_eq!(bump.cells(0), None);
            assert_eq!(bump.cells(21), None);
            assert_eq!(bump.blank(Word::header(crate::word::TUPLE, 40), 40), None);
            assert_eq!(bump.cells(16), Some(0));
            assert_eq!(bump.blank(Word::header(crate::word::TUPLE, 0), 0), None);
            assert_eq!(bump.short_binary(&[0; 64], 0), None);
            assert_eq!(bump.push([Word(0); 9]), None);
            assert_eq!(bump.push([Word(0); 8]), Some(32));
            assert_eq!(bump.push([Word(0)]), None);
            drop(bump);
            assert_eq!(space.len(), 40);
        }
    }

    #[test]
    #[should_panic(expected = "offset < self.len")]
    fn what_is_not_written_is_not_written_over() {
        space(40).bump().set(0, Word(0));
    }
}
