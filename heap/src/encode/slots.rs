//! Objects that are opened first and filled slot by slot, for makers that keep a stack of their
//! own instead of recursing.

use super::Encoder;
use crate::off_heap::{self, SharedBytes};
use crate::raw::{Shape, Space};
use crate::term::Term;
use crate::word::{HEAP_BINARY, MAP, SHARED_BINARY, Word};
use crate::{EncodeError, limits};

/// [`limits::FLAT_MAP_PAIRS_MAX`] as a header counts.
pub(crate) const FLAT_PAIRS_MAX: u32 = limits::FLAT_MAP_PAIRS_MAX as u32;

impl Encoder {
    /// An encoder whose block begins with room for so many words.
    pub(crate) fn with_room(shape: Shape, words: u32, words_max: u32) -> Encoder {
        let words_max = words_max.min(limits::BLOCK_WORDS_MAX);
        Encoder::within(Space::new(shape, words.min(words_max), words_max))
    }

    #[inline]
    pub(crate) fn fill(&mut self, slot: u32, word: Word) {
        self.space.set(slot, word);
    }

    /// Cells of bytes, each the tail of the one before; gives the offset of the first. There is at
    /// least one byte.
    pub(crate) fn cells(&mut self, bytes: &[u8]) -> Result<u32, EncodeError> {
        let first = self.blank_cells(bytes.len() as u32)?;
        for (byte, index) in bytes.iter().zip(0..) {
            self.fill(first + 2 * index, Word::number((*byte).into()));
        }
        Ok(first)
    }

    /// Cells without their heads yet, each the tail of the one before; gives the offset of the
    /// first. There is at least one.
    pub(crate) fn blank_cells(&mut self, count: u32) -> Result<u32, EncodeError> {
        self.space.reserve(u64::from(count) * 2)?;
        let cells = self.space.bump().cells(count);
        Ok(cells.expect("there is room now"))
    }

    /// A flat map of so many pairs, at most [`FLAT_PAIRS_MAX`]: its keys are the slots after the
    /// offset, then come the values.
    #[inline]
    pub(crate) fn open_map(&mut self, pairs: u32) -> Result<u32, EncodeError> {
        let words = u64::from(pairs) * 2;
        Ok(self.space.push_blank(Word::header(MAP, pairs), words)?)
    }

    /// Brings the keys of a filled flat map into order; says whether each is there but once.
    pub(crate) fn order_map(&mut self, map: u32, pairs: u32) -> bool {
        let key = |encoder: &Encoder, index: u32| encoder.space.get(map + 1 + index);
        let sorted =
            (1..pairs).all(|index| self.compare(key(self, index - 1), key(self, index)).is_lt());
        if sorted {
            return true;
        }
        let mut blank = [(Word::NIL, Word::NIL); FLAT_PAIRS_MAX as usize];
        let sorted = &mut blank[..pairs as usize];
        for (pair, index) in sorted.iter_mut().zip(0..) {
            *pair = (key(self, index), self.space.get(map + 1 + pairs + index));
        }
        sorted.sort_by(|left, right| self.compare(left.0, right.0));
        for ((key, value), slot) in sorted.iter().zip(map + 1..) {
            self.space.set(slot, *key);
            self.space.set(slot + pairs, *value);
        }
        sorted
            .windows(2)
            .all(|pair| self.compare(pair[0].0, pair[1].0).is_ne())
    }

    /// Whether two filled flat maps have the same keys, word by word.
    #[inline]
    pub(crate) fn same_keys(&self, left: u32, right: u32, pairs: u32) -> bool {
        (1..=pairs).all(|slot| self.space.get(left + slot) == self.space.get(right + slot))
    }

    /// Whether all keys of a filled flat map are immediates: then no others have their words.
    pub(crate) fn has_immediate_keys(&self, map: u32, pairs: u32) -> bool {
        (1..=pairs).all(|slot| !self.space.get(map + slot).is_boxed())
    }

    /// The pairs of a map made here.
    pub(crate) fn map_len(&self, map: Word) -> usize {
        self.finished(map).as_map().map_or(0, |map| map.len())
    }

    /// A binary of these bytes, or a bitstring if so many bits of its last byte count. Over 64
    /// bytes a part of `shared`, if there is one, else a copy.
    #[inline]
    pub(crate) fn bitstring(
        &mut self,
        bytes: &[u8],
        last_bits: u8,
        shared: Option<&dyn Fn() -> SharedBytes>,
    ) -> Result<Word, EncodeError> {
        if last_bits > 0 {
            return self.bits(bytes, (bytes.len() - 1) * 8 + usize::from(last_bits));
        }
        if bytes.len() <= limits::HEAP_BINARY_BYTES_MAX {
            return Ok(Word::boxed(HEAP_BINARY, self.space.push_bytes(bytes)?));
        }
        let shared = shared.map_or_else(|| SharedBytes::copied(bytes), |shared| shared());
        self.shared(shared, 0)
    }

    /// A binary of the first `len` of these bytes.
    #[inline(always)]
    pub(crate) fn short_binary(
        &mut self,
        bytes: &[u8; limits::HEAP_BINARY_BYTES_MAX],
        len: usize,
    ) -> Result<Word, EncodeError> {
        Ok(Word::boxed(HEAP_BINARY, self.space.push_short(bytes, len)?))
    }

    /// A shared binary; past the bits of its last byte all are zero.
    pub(crate) fn shared(&mut self, shared: SharedBytes, last: u8) -> Result<Word, EncodeError> {
        let offset = off_heap::push_binary(&mut self.space, shared, last)?;
        Ok(Word::boxed(SHARED_BINARY, offset))
    }

    fn compare(&self, left: Word, right: Word) -> std::cmp::Ordering {
        self.finished(left).cmp_exact(self.finished(right))
    }

    /// A finished term of this encoder's space, to be looked at.
    fn finished(&self, word: Word) -> Term<'_> {
        // SAFETY: the word was given out by this encoder for a finished term of its space.
        unsafe { self.space.term(word) }
    }
}
