//! The layout of a block. Its memory is a matter of [`allocation`], and how it is built one of [`space`].
//!
//! A block is one allocation straight from mimalloc:
//!
//! ```text
//! header: H | capacity, len (u32 words) | root (word) | off-heap chain, start (u32) | words...
//! ```
//!
//! The fixed part is 24 bytes and ends where the words begin, so a term, which knows the address
//! of the first word, reaches it without knowing `H`.

use std::mem::offset_of;
use std::ptr::NonNull;

use crate::word::Word;

mod allocation;
mod bump;
mod scratch;
mod space;

pub(crate) use allocation::{allocate, free};
pub(crate) use bump::Bump;
pub(crate) use scratch::Scratch;
pub(crate) use space::{Mark, Space};

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
    /// Offset of the first off-heap object, or [`off_heap::END`](crate::off_heap::END).
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
