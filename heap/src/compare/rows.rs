//! What two blocks have in common at first sight: words that are the same, tuples and flat maps of
//! such, short binaries, cells in even steps.
//!
//! Of terms that are compared most parts are equal, so all loops here look for the first words that
//! differ, or that have to be walked into; what those are to each other is for the walk to tell.

use super::{Mode, Run, leaf};
use crate::term::Term;
use crate::word::{CONS, HEAP_BINARY, MAP, TUPLE, Word};

/// The words of two blocks, side by side.
#[derive(Clone, Copy)]
pub(super) struct Rows<'h> {
    left: Term<'h>,
    right: Term<'h>,
    /// Zero if the two are one block, where equal words are equal terms.
    apart: u64,
}

/// What two words are to each other at first sight.
pub(super) enum Level {
    /// Equal.
    Same,
    /// Two tuples or flat maps of one size: equal, but for these words at the end.
    Into(Run),
    /// Two cells.
    Cells,
    /// Anything else.
    Other,
}

impl<'h> Rows<'h> {
    #[inline(always)]
    pub(super) fn new(left: Term<'h>, right: Term<'h>) -> Rows<'h> {
        Rows {
            left,
            right,
            apart: u64::from(left.base() != right.base()),
        }
    }

    #[inline(always)]
    pub(super) fn words(self, left: u32, right: u32) -> (Word, Word) {
        (self.left.at(left).word(), self.right.at(right).word())
    }

    /// The words of two cells.
    #[inline(always)]
    pub(super) fn cells(self, left: Word, right: Word) -> ([Word; 2], [Word; 2]) {
        (self.left.cell(left), self.right.cell(right))
    }

    /// Whether the words are the same, and lead to no object.
    #[inline(always)]
    pub(super) fn same_leaf(self, left: Word, right: Word) -> bool {
        left == right && !left.is_boxed()
    }

    /// Whether the words are of two cells, and not of one.
    #[inline(always)]
    pub(super) fn are_cells(self, left: Word, right: Word) -> bool {
        let tags = left.0.wrapping_sub(CONS) | right.0.wrapping_sub(CONS);
        tags & 15 == 0 && (left.0 ^ right.0) | self.apart != 0
    }

    /// Two words that are not the same leaf, as far as one level below tells.
    #[inline(always)]
    pub(super) fn level(self, left: Word, right: Word, mode: Mode) -> Level {
        let differ = left.0 ^ right.0;
        if differ & 15 != 0 {
            return Level::Other;
        }
        if differ | self.apart == 0 {
            return Level::Same;
        }
        let tag = left.tag();
        let (left, right) = (self.left.with_word(left), self.right.with_word(right));
        if tag == TUPLE {
            let header = left.object_word(0);
            if header != right.object_word(0) {
                return Level::Other;
            }
            return inside(left, right, header.header_len(), mode);
        }
        if tag == MAP {
            let header = left.object_word(0);
            if header != right.object_word(0) || header.header_kind() != MAP {
                return Level::Other;
            }
            return inside(left, right, 2 * header.header_len(), mode);
        }
        match tag {
            CONS => Level::Cells,
            HEAP_BINARY if leaf::same_bytes(left, right) => Level::Same,
            _ => Level::Other,
        }
    }

    /// Goes along two lists from cell to cell, as long as the heads are the same leaves and the
    /// next cells lie as far on as these two from the ones before; gives the cells it came to.
    #[inline(always)]
    pub(super) fn even_cells(self, cells: (Word, Word), before: (Word, Word)) -> (Word, Word) {
        let left_step = cells.0.0.wrapping_sub(before.0.0);
        let right_step = cells.1.0.wrapping_sub(before.1.0);
        // In one block lists may meet, and are the same from there on.
        if (left_step ^ right_step) & self.apart.wrapping_sub(1) != 0 {
            return cells;
        }
        let (left, right) = (self.left.with_word(cells.0), self.right.with_word(cells.1));
        even_cells(left, right, left_step, right_step)
    }
}

/// Cells made one after the other lie in even steps: where the next one lies is known before its
/// offset is loaded. A loop of its own has all it needs in registers.
#[inline(never)]
fn even_cells(left: Term<'_>, right: Term<'_>, left_step: u64, right_step: u64) -> (Word, Word) {
    let at = |offset: u32| Word::boxed(CONS, offset);
    let (mut left_at, mut right_at) = (left.word().offset(), right.word().offset());
    let (mut left_next, mut right_next) = (left.word(), right.word());
    loop {
        // Both are stepped on, so that no address is taken from what was loaded.
        left_next = Word(left_next.0.wrapping_add(left_step));
        right_next = Word(right_next.0.wrapping_add(right_step));
        let [left_head, left_tail] = left.cell(at(left_at));
        let [right_head, right_tail] = right.cell(at(right_at));
        if left_head != right_head
            || left_head.is_boxed()
            || left_tail != left_next
            || right_tail != right_next
        {
            return (at(left_at), at(right_at));
        }
        left_at = left_at.wrapping_add((left_step >> 4) as u32);
        right_at = right_at.wrapping_add((right_step >> 4) as u32);
    }
}

/// Two objects of so many words after their headers.
#[inline(always)]
fn inside(left: Term<'_>, right: Term<'_>, count: u32, mode: Mode) -> Level {
    let same = same_leaves(left, right, count);
    if same == count {
        return Level::Same;
    }
    let mut rest = Run::of(left.word(), right.word(), count, mode);
    rest.skip(same);
    Level::Into(rest)
}

/// How many words of two objects are the same leaves from the first on: no objects, or short
/// binaries of the same bytes.
#[inline(always)]
fn same_leaves(left: Term<'_>, right: Term<'_>, count: u32) -> u32 {
    let left_words = left.words_at(left.word().offset() + 1, count);
    let right_words = right.words_at(right.word().offset() + 1, count);
    let mut index = same_fours(left_words, right_words);
    while let (Some(&left_word), Some(&right_word)) =
        (left_words.get(index), right_words.get(index))
    {
        let same_leaf = left_word == right_word && !left_word.is_boxed();
        let binaries = left_word.tag() == HEAP_BINARY && right_word.tag() == HEAP_BINARY;
        let same = same_leaf
            || binaries && leaf::same_bytes(left.with_word(left_word), right.with_word(right_word));
        if !same {
            break;
        }
        index += 1;
    }
    index as u32
}

/// How many words are the same numbers and atoms from the first on, as far as fours tell.
#[inline(always)]
fn same_fours(left: &[Word], right: &[Word]) -> usize {
    let (left, right) = (left.as_chunks::<4>().0, right.as_chunks::<4>().0);
    // One branch for all of them.
    let same = |(left, right): &(&[Word; 4], &[Word; 4])| {
        let differ = |at: usize| left[at].0 ^ right[at].0 | left[at].beyond_atom();
        differ(0) | differ(1) | differ(2) | differ(3) == 0
    };
    4 * left.iter().zip(right).take_while(same).count()
}
