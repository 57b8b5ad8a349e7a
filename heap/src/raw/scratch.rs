//! A block's words on the stack of who makes it: nearly all blocks are small, and get an allocation of their size once
//! it is known. A larger one leaves the stack on the way, and grows in an allocation from then on.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use super::allocation::allocated;
use super::{Fixed, Shape, Space};
use crate::limits::SCRATCH_WORDS;
use crate::off_heap;
use crate::word::Word;

/// Words up to which one is copied after the other: as few as they are, a call costs more.
const COPIED_SINGLY_MAX: usize = 8;

/// Room for the words of a block in the making, and what stands before them.
#[repr(C)]
pub(crate) struct Scratch {
    fixed: MaybeUninit<Fixed>,
    words: [MaybeUninit<Word>; SCRATCH_WORDS as usize],
}

impl Scratch {
    #[inline(always)]
    pub(crate) fn new() -> Scratch {
        Scratch {
            fixed: MaybeUninit::uninit(),
            words: [MaybeUninit::uninit(); SCRATCH_WORDS as usize],
        }
    }
}

impl Space {
    /// A space that begins on a scratch.
    ///
    /// # Safety
    ///
    /// The scratch outlives the space, and nobody else uses or moves it meanwhile.
    #[inline(always)]
    pub(crate) unsafe fn on_scratch(scratch: &mut Scratch, shape: Shape, words_max: u32) -> Space {
        // By the whole scratch: what stands before the words is written through the same pointer.
        let words = NonNull::from(scratch).cast::<u8>();
        let mut space = Space {
            // SAFETY: the words stand behind the fixed part, without a gap.
            base: unsafe { words.add(size_of::<Fixed>()) }.cast(),
            len: 0,
            capacity: SCRATCH_WORDS,
            words_max,
            off_heap: off_heap::END,
            shape,
            on_scratch: true,
        };
        space.clear_root();
        space
    }

    /// Moves to an allocation of so many words, at least those in use.
    #[cold]
    pub(super) fn leave_scratch(&mut self, words: u32) {
        let base = allocated(self.shape, words);
        // With what was reserved: a maker may have written some of it, as when an allocation grows.
        let kept = self.capacity.min(words) as usize;
        // SAFETY: both places have so many words, whether they are written or not.
        unsafe { self.base.copy_to_nonoverlapping(base, kept) };
        self.base = base;
        self.capacity = words;
        self.on_scratch = false;
        self.clear_root();
    }
}

/// A copy of the words of a space in an allocation of exactly their size; gives where they begin there.
#[inline(always)]
pub(super) fn copied(base: NonNull<Word>, len: u32, shape: Shape) -> NonNull<Word> {
    let target = allocated(shape, len);
    let len = len as usize;
    // SAFETY: every word under `len` is written, and there is room for as many behind `target`, in another allocation.
    unsafe {
        if len > COPIED_SINGLY_MAX {
            base.copy_to_nonoverlapping(target, len);
            return target;
        }
        for index in 0..COPIED_SINGLY_MAX {
            if index == len {
                break;
            }
            // Volatile, so that no two are read at once: that would wait until both, just written, are in the cache.
            target.add(index).write(base.add(index).read_volatile());
        }
    }
    target
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Block, EncodeError, Native, OwnedTerm, from_term, to_block, to_block_within, to_term,
    };

    /// Bytes of a block without a header, for so many words.
    fn bytes(words: usize) -> usize {
        size_of::<Fixed>() + words * size_of::<Word>()
    }

    #[test]
    fn a_block_is_as_small_as_its_term() {
        assert_eq!(to_term(&1).unwrap().bytes(), bytes(0));
        assert_eq!(to_term(&("k", 2.5)).unwrap().bytes(), bytes(7));
        for len in 0..SCRATCH_WORDS as usize / 2 {
            let list: Vec<usize> = (0..len).collect();
            let term = to_term(&list).unwrap();
            assert_eq!(term.bytes(), bytes(2 * len));
            assert_eq!(from_term::<Vec<usize>>(term.root()).unwrap(), list);
        }
    }

    #[test]
    fn so_is_a_copy_of_a_block_and_of_a_part() {
        let pair = to_term(&(1, "part")).unwrap();
        let copy = OwnedTerm::copy_of((), pair.root()).unwrap();
        assert_eq!((copy.bytes(), &copy), (bytes(5), &pair));
        let part = pair.root().as_tuple().unwrap().get(1).unwrap();
        let copy = OwnedTerm::copy_of((), part).unwrap();
        assert_eq!((copy.bytes(), copy.root()), (bytes(2), part));
    }

    #[test]
    fn a_term_outgrows_the_scratch_at_any_object() {
        let scratch = SCRATCH_WORDS as usize;
        for len in scratch - 8..scratch + 8 {
            // A binary of each such length leaves the stack where it is no longer enough, and so does a list behind it.
            let value = ("x".repeat(64), vec![1.5; len / 4], "y".repeat(len % 8), len);
            let term = to_term(&value).unwrap();
            assert_eq!(
                from_term::<(String, Vec<f64>, String, usize)>(term.root()).unwrap(),
                value
            );
        }
    }

    #[test]
    fn the_limit_holds_on_the_scratch_and_behind() {
        for words_max in [
            1,
            7,
            SCRATCH_WORDS - 1,
            SCRATCH_WORDS,
            SCRATCH_WORDS + 1,
            1000,
        ] {
            let fits = vec![1; words_max as usize / 2];
            assert!(to_block_within((), &fits, words_max).is_ok());
            let longer = vec![1; words_max as usize / 2 + 1];
            let refused = to_block_within((), &longer, words_max).unwrap_err();
            assert_eq!(refused, EncodeError::TooLarge { words_max });
        }
    }

    #[test]
    fn what_the_words_hold_goes_over_or_is_released() {
        struct Failing<'n>(&'n Native<std::sync::Arc<()>>, usize);
        impl serde::Serialize for Failing<'_> {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeTuple;
                let mut tuple = serializer.serialize_tuple(3)?;
                tuple.serialize_element(self.0)?;
                tuple.serialize_element(&vec![1; self.1])?;
                tuple.serialize_element(&f64::NAN)?;
                tuple.end()
            }
        }
        for len in [1, 100] {
            let counted = std::sync::Arc::new(());
            let native = || Native::new(std::sync::Arc::clone(&counted));
            let sent = to_term(&(native(), vec![1; len])).unwrap();
            assert_eq!(std::sync::Arc::strong_count(&counted), 2);
            drop(sent);
            assert_eq!(std::sync::Arc::strong_count(&counted), 1);
            let failed = to_term(&Failing(&native(), len)).unwrap_err();
            assert_eq!(failed, EncodeError::NotFinite);
            assert_eq!(std::sync::Arc::strong_count(&counted), 1);
        }
    }

    #[test]
    fn a_header_of_any_alignment_is_met() {
        #[repr(align(64))]
        #[derive(Debug, PartialEq)]
        struct Line(u8);
        for len in [0, 1, 9, 100] {
            let block: Block<Line> = to_block(Line(7), &vec![len; len]).unwrap();
            assert_eq!(std::ptr::from_ref(block.header()).addr() % 64, 0);
            assert_eq!((block.header(), block.bytes() % 64), (&Line(7), 0));
            assert_eq!(
                from_term::<Vec<usize>>(block.root()).unwrap(),
                vec![len; len]
            );
        }
    }
}
