//! Blocks: one allocation that holds a header of the owner's and one term.

use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::limits::BLOCK_WORDS_MAX;
use crate::raw::{Fixed, Raw, Scratch, Shape, Space, free};
use crate::term::Term;
use crate::word::{TUPLE, Word};
use crate::{Atom, CopyError, Pid, Ref, copy, off_heap};

/// A term with all that it needs, in one allocation, behind a header of type `H`.
///
/// The words hold offsets, so a block moves by a memory copy. `Send` and `Sync` when `H` is:
/// shared binaries are counted atomically, and a native resource is only ever swapped out.
pub struct Block<H> {
    raw: NonNull<Raw<H>>,
    owns: PhantomData<Raw<H>>,
}

/// A term of one word: what [`Block::of_tuple`] takes.
#[derive(Clone, Copy, Debug)]
pub struct Immediate(Word);

impl From<Atom> for Immediate {
    #[inline]
    fn from(atom: Atom) -> Immediate {
        Immediate(Word::atom(atom))
    }
}

impl From<Pid> for Immediate {
    #[inline]
    fn from(pid: Pid) -> Immediate {
        Immediate(Word::pid(pid))
    }
}

impl From<Ref> for Immediate {
    #[inline]
    fn from(reference: Ref) -> Immediate {
        Immediate(Word::reference(reference))
    }
}

/// A term that owns its block.
pub type OwnedTerm = Block<()>;

// SAFETY: a block owns its header and its words; what its words refer to outside is counted
// atomically or `Send`.
unsafe impl<H: Send> Send for Block<H> {}
// SAFETY: `&Block` reads words that no one writes; natives inside are taken by an atomic swap, and
// need no `Sync` since no reference to one is given out.
unsafe impl<H: Sync> Sync for Block<H> {}

impl<H> Block<H> {
    /// The term.
    #[inline]
    pub fn root(&self) -> Term<'_> {
        // SAFETY: the words live unmoved as long as the block is borrowed.
        unsafe { Term::new(self.base(), self.fixed().root) }
    }

    /// The owner's header.
    #[inline]
    pub fn header(&self) -> &H {
        // SAFETY: the header was written when the block was made.
        unsafe { &(*self.raw.as_ptr()).header }
    }

    /// The owner's header, to change it.
    #[inline]
    pub fn header_mut(&mut self) -> &mut H {
        // SAFETY: as above, and the block is borrowed mutably.
        unsafe { &mut (*self.raw.as_ptr()).header }
    }

    /// Bytes of the whole allocation, header included. Shared binaries and natives lie outside.
    #[inline]
    pub fn bytes(&self) -> usize {
        Shape::of::<H>().bytes(self.fixed().capacity)
    }

    /// Whether the term holds a native resource, moved out or not: such a block has one owner and cannot be copied.
    #[inline]
    pub fn has_natives(&self) -> bool {
        // SAFETY: the chain is that of this block, which is borrowed.
        unsafe { off_heap::has_native(self.base(), self.fixed().off_heap) }
    }

    /// Whether all of the term lies in the block: neither a shared binary nor a native resource. To drop it is to give
    /// one allocation back, and runs no code of the program's.
    #[inline]
    pub fn is_self_contained(&self) -> bool {
        self.fixed().off_heap == off_heap::END
    }

    /// Whether both blocks hold the same words, and nothing outside: then their terms are equal,
    /// since words know no addresses. Two that were made alike do, and one look at their memory
    /// costs a fraction of a walk.
    #[inline]
    pub(crate) fn has_words_of(&self, other: &Block<H>) -> bool {
        let (left, right) = (self.fixed(), other.fixed());
        let alike = left.root == right.root && left.len == right.len;
        if !alike || left.off_heap != off_heap::END || right.off_heap != off_heap::END {
            return false;
        }
        self.words() == other.words()
    }

    fn words(&self) -> &[u64] {
        // SAFETY: every word under `len` has been written, and none is while the block is borrowed;
        // a word is a plain `u64`.
        unsafe {
            std::slice::from_raw_parts(self.base().as_ptr().cast(), self.fixed().len as usize)
        }
    }

    /// Copies a term into a new block.
    ///
    /// Of a block's root it is one memory copy; shared binaries are counted, not copied.
    ///
    /// # Errors
    ///
    /// [`CopyError::Native`] if the term holds a native resource.
    pub fn copy_of(header: H, term: Term<'_>) -> Result<Block<H>, CopyError> {
        let shape = Shape::of::<H>();
        let mut scratch = Scratch::new();
        let mut space = match copy::size_hint(term) {
            // SAFETY: the scratch is used by this space alone, which goes in this function.
            0 => unsafe { Space::on_scratch(&mut scratch, shape, BLOCK_WORDS_MAX) },
            words => Space::exact(shape, words, BLOCK_WORDS_MAX),
        };
        let root = copy::copy_into(&mut space, term)?;
        Ok(Block::finish(space, header, root))
    }

    /// A block that holds one atom.
    #[inline]
    pub fn of_atom(header: H, atom: Atom) -> Block<H> {
        let space = Space::exact(Shape::of::<H>(), 0, BLOCK_WORDS_MAX);
        Block::finish(space, header, Word::atom(atom))
    }

    /// A block that holds a tuple of terms of one word each: what encoding it would give, in one step and without spare
    /// room. For what a VM says often.
    ///
    /// ```
    /// use otp_heap::{Block, OwnedTerm, Pid, Ref, atoms, to_term};
    ///
    /// let (pid, reference) = (Pid::from_parts(4, 1), Ref::from_u64(7));
    /// let elements = [atoms::DOWN.into(), reference.into(), pid.into()];
    /// let term: OwnedTerm = Block::of_tuple((), elements);
    /// assert_eq!(term.root(), to_term(&(atoms::DOWN, reference, pid))?.root());
    /// # Ok::<(), otp_heap::EncodeError>(())
    /// ```
    #[inline]
    pub fn of_tuple<const N: usize>(header: H, elements: [Immediate; N]) -> Block<H> {
        const { assert!(N < BLOCK_WORDS_MAX as usize) };
        let len = N as u32;
        let mut space = Space::exact(Shape::of::<H>(), len + 1, BLOCK_WORDS_MAX);
        let start = space.push([Word::header(TUPLE, len)]);
        let start = start.expect("a block takes its header");
        let rest = space.push(elements.map(|Immediate(word)| word));
        rest.expect("there is room for the elements");
        Block::finish(space, header, Word::boxed(TUPLE, start))
    }

    #[inline(always)]
    pub(crate) fn finish(space: Space, header: H, root: Word) -> Block<H> {
        Block {
            raw: space.finish(header, root),
            owns: PhantomData,
        }
    }

    /// The same term behind another header; the old header is dropped.
    ///
    /// In place if both headers take the same room, else by one memory copy.
    pub fn with_header<H2>(self, header: H2) -> Block<H2> {
        let (old, block) = self.replace_header(header);
        drop(old);
        block
    }

    /// The same term behind another header, and the old header.
    pub fn replace_header<H2>(self, header: H2) -> (H, Block<H2>) {
        let (from, to) = (Shape::of::<H>(), Shape::of::<H2>());
        let raw = self.into_raw();
        // SAFETY: `into_raw` gave the memory to us. The header is moved out, and either overwritten
        // in place or never looked at again; the words are moved as they are, and the memory they
        // were in is freed without releasing what they refer to.
        unsafe {
            let old = (&raw const (*raw.as_ptr()).header).read();
            let target: NonNull<Raw<H2>> = if from == to {
                raw.cast()
            } else {
                let mut fixed = (&raw const (*raw.as_ptr()).fixed).read();
                fixed.capacity = fixed.len;
                let target: NonNull<Raw<H2>> =
                    crate::raw::allocate(to.bytes(fixed.len), to.align).cast();
                (&raw mut (*target.as_ptr()).fixed).write(fixed);
                let words = raw.cast::<u8>().add(from.prefix).cast::<Word>();
                let new_words = target.cast::<u8>().add(to.prefix).cast::<Word>();
                words.copy_to_nonoverlapping(new_words, fixed.len as usize);
                free(raw.cast());
                target
            };
            (&raw mut (*target.as_ptr()).header).write(header);
            (
                old,
                Block {
                    raw: target,
                    owns: PhantomData,
                },
            )
        }
    }

    /// Gives the memory away; [`Block::from_raw`] takes it back.
    ///
    /// `Raw<H>` is `repr(C)` with the header first: the pointer may be cast to `NonNull<H>`, and
    /// back, which makes a block an intrusive node.
    #[inline]
    pub fn into_raw(self) -> NonNull<Raw<H>> {
        let raw = self.raw;
        std::mem::forget(self);
        raw
    }

    /// Takes back what [`Block::into_raw`] gave away.
    ///
    /// # Safety
    ///
    /// `raw` came from `into_raw` of a `Block<H>`, and is taken back once.
    #[inline]
    pub unsafe fn from_raw(raw: NonNull<Raw<H>>) -> Block<H> {
        Block {
            raw,
            owns: PhantomData,
        }
    }

    #[inline]
    fn fixed(&self) -> &Fixed {
        // SAFETY: the fixed part was written when the block was made.
        unsafe { &(*self.raw.as_ptr()).fixed }
    }

    #[inline]
    fn base(&self) -> NonNull<Word> {
        // SAFETY: the words begin `prefix` bytes into the allocation.
        unsafe { self.raw.cast::<u8>().add(Shape::of::<H>().prefix).cast() }
    }
}

impl<H> Drop for Block<H> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: the block is going: no term borrows it, its chain and memory are not used again.
        // The header is moved out first, so that its own `Drop` runs last and may panic.
        let header = unsafe {
            off_heap::release_all(self.base(), self.fixed().off_heap);
            let header = (&raw const (*self.raw.as_ptr()).header).read();
            free(self.raw.cast());
            header
        };
        drop(header);
    }
}
