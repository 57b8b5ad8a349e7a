//! Terms as seen: a word and the block that it lies in.

use std::marker::PhantomData;
use std::ptr::NonNull;

use crate::map::Map;
use crate::number::BigInt;
use crate::off_heap::{self, Payload};
use crate::raw::Fixed;
use crate::word::{
    ATOM, BIG, CONS, FLOAT, HEAP_BINARY, INTEGER, MAP, NATIVE, NIL, OTHER, Other, PID, PORT,
    REFERENCE, SHARED_BINARY, TUPLE, Word,
};
use crate::{Atom, Binary, Bits, Export, ExternalPid, ExternalPort, ExternalRef, Pid, Port, Ref};

/// A term inside a block. `Copy`; never outlives its block.
///
/// `==` is Erlang's `=:=` and `Ord` is its [order of the keys of a map](Term::cmp_exact), all
/// integers before all floats, so the two agree, and `Hash` with them; [`Term::cmp_value`] is `==`
/// and `<` of Erlang. Printed in Erlang syntax.
#[derive(Clone, Copy)]
pub struct Term<'h> {
    base: NonNull<Word>,
    word: Word,
    block: PhantomData<&'h [Word]>,
}

// SAFETY: a term reads words that no one writes while it lives; a native resource inside is
// reached only by an atomic swap, and is `Send` itself; buffers are counted atomically.
unsafe impl Send for Term<'_> {}
// SAFETY: as above.
unsafe impl Sync for Term<'_> {}

/// A term taken apart by one level.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub enum View<'h> {
    /// An integer of up to 60 bits.
    Int(i64),
    /// A longer integer.
    BigInt(BigInt<'h>),
    /// A float, finite.
    Float(f64),
    /// An atom.
    Atom(Atom),
    /// A process identifier.
    Pid(Pid),
    /// A reference.
    Ref(Ref),
    /// A port.
    Port(Port),
    /// A process of another node.
    ExternalPid(ExternalPid),
    /// A reference made by another node.
    ExternalRef(ExternalRef),
    /// A port of another node.
    ExternalPort(ExternalPort),
    /// A fun `fun module:function/arity`.
    Export(Export),
    /// A tuple.
    Tuple(Tuple<'h>),
    /// The empty list.
    Nil,
    /// A cell of a list.
    Cons(Cons<'h>),
    /// A map.
    Map(Map<'h>),
    /// A binary, wherever its bytes are.
    Binary(&'h [u8]),
    /// A bitstring that is no whole number of bytes.
    Bits(Bits<'h>),
    /// A native resource; take it with [`from_term`](crate::from_term).
    Native,
}

/// Elements of a tuple that a [`Term::after_run`] goes through at most.
const RUN_ELEMENTS: usize = 8;

impl<'h> Term<'h> {
    /// # Safety
    ///
    /// `word` is the word of a finished term in the block or space at `base`, which lives
    /// unmoved and unwritten for `'h`.
    #[inline]
    pub(crate) unsafe fn new(base: NonNull<Word>, word: Word) -> Term<'h> {
        Term {
            base,
            word,
            block: PhantomData,
        }
    }

    #[inline]
    pub(crate) fn base(self) -> NonNull<Word> {
        self.base
    }

    #[inline]
    pub(crate) fn word(self) -> Word {
        self.word
    }

    /// What tells where the words of this term lie, if it is the root of a block or the one of a process's heap that
    /// has them to itself; `None` for others and for parts.
    #[inline]
    pub(crate) fn whole_block(self) -> Option<&'h Fixed> {
        // SAFETY: a term's words live unmoved for 'h.
        unsafe { Fixed::of_root(self.base, self.word) }
    }

    /// The word at an index of this term's own object, the header being 0.
    #[inline]
    pub(crate) fn object_word(self, index: usize) -> Word {
        debug_assert!(self.word.is_boxed());
        // SAFETY: callers pass indices inside the object, as its header tells.
        unsafe { self.base.add(self.word.index() + index).read() }
    }

    /// The word at an offset of this term's block, as a term; of a header, only [`Term::word`] means something.
    #[inline]
    pub(crate) fn at(self, offset: u32) -> Term<'h> {
        // SAFETY: callers pass offsets inside an object of the block, as its header tells.
        self.with_word(unsafe { self.base.add(offset as usize).read() })
    }

    /// Head and tail of a cell of this term's block, by its word.
    #[inline]
    pub(crate) fn cell(self, word: Word) -> [Word; 2] {
        debug_assert!(word.tag() == CONS);
        // SAFETY: callers pass words of cells of the block, each of which has two words.
        unsafe { self.base.add(word.index()).cast().read() }
    }

    /// So many words of this term's block in a row.
    #[inline]
    pub(crate) fn words_at(self, offset: u32, count: u32) -> &'h [Word] {
        // SAFETY: callers pass words of terms inside one object, as its header tells; no one writes
        // them while the term lives.
        unsafe {
            let first = self.base.add(offset as usize);
            std::slice::from_raw_parts(first.as_ptr(), count as usize)
        }
    }

    /// What this term's own object counts: elements, pairs, limbs or bytes.
    #[inline]
    fn object_len(self) -> usize {
        self.object_word(0).header_len() as usize
    }

    #[inline]
    pub(crate) fn with_word(self, word: Word) -> Term<'h> {
        Term { word, ..self }
    }

    /// The term, taken apart by one level.
    #[inline]
    pub fn view(self) -> View<'h> {
        match self.word.tag() {
            INTEGER => View::Int(self.word.small_value()),
            ATOM => View::Atom(Atom::from_index(self.word.payload() as u32)),
            PID => View::Pid(Pid::from_u64(self.word.payload())),
            REFERENCE => View::Ref(Ref::from_u64(self.word.payload())),
            NIL => View::Nil,
            CONS => View::Cons(Cons { cell: self }),
            TUPLE => View::Tuple(Tuple {
                term: self,
                len: self.object_len(),
            }),
            MAP => View::Map(Map::new(self)),
            FLOAT => View::Float(f64::from_bits(self.object_word(1).0)),
            BIG => View::BigInt(self.big()),
            HEAP_BINARY | SHARED_BINARY => match self.object_word(0).header_bits() {
                0 => View::Binary(self.bytes()),
                bits => View::Bits(Bits::new(self.bytes(), bits)),
            },
            OTHER => self.other(),
            PORT => View::Port(Port::from_u64(self.word.payload())),
            NATIVE => View::Native,
            tag => unreachable!("no term has the tag {tag}"),
        }
    }

    #[cold]
    fn other(self) -> View<'h> {
        let header = self.object_word(0);
        let atom = |index| Atom::from_index(self.object_word(index).payload() as u32);
        let number = |index| self.object_word(index).payload() as u32;
        let (node, creation) = (atom(1), number(2));
        match header.other_kind() {
            Other::ExternalPid => View::ExternalPid(ExternalPid {
                node,
                creation,
                id: number(3),
                serial: number(4),
            }),
            Other::ExternalPort => View::ExternalPort(ExternalPort {
                node,
                creation,
                id: u64::from(number(3)) << 32 | u64::from(number(4)),
            }),
            Other::ExternalRef => {
                let len = header.header_len() as usize - 2;
                let mut ids = [0; ExternalRef::IDS_MAX];
                for (index, id) in ids[..len].iter_mut().enumerate() {
                    *id = number(3 + index);
                }
                let external = ExternalRef::new(node, creation, &ids[..len]);
                View::ExternalRef(external.expect("made of one to five numbers"))
            }
            Other::Export => View::Export(Export {
                module: node,
                function: atom(2),
                arity: number(3) as u8,
            }),
        }
    }

    fn big(self) -> BigInt<'h> {
        // SAFETY: the limbs follow the header, as many as it says; a word is a plain `u64`.
        let limbs = unsafe {
            let first = self.base.add(self.word.offset() as usize + 1).cast::<u64>();
            std::slice::from_raw_parts(first.as_ptr(), self.object_len())
        };
        BigInt::new(self.object_word(0).header_is_negative(), limbs)
    }

    #[inline]
    fn bytes(self) -> &'h [u8] {
        if self.word.tag() == SHARED_BINARY {
            // SAFETY: the tag says that a shared binary lies there, in a block that lives for 'h.
            return unsafe { off_heap::binary_at::<'h>(self.base, self.word.offset()) }.bytes();
        }
        // SAFETY: the bytes follow the header, as many as it says.
        unsafe {
            let first = self.base.add(self.word.offset() as usize + 1).cast::<u8>();
            std::slice::from_raw_parts(first.as_ptr(), self.object_len())
        }
    }

    /// The atom, if it is one.
    #[inline]
    pub fn as_atom(self) -> Option<Atom> {
        (self.word.tag() == ATOM).then(|| Atom::from_index(self.word.payload() as u32))
    }

    /// The pid, if it is one.
    #[inline]
    pub fn as_pid(self) -> Option<Pid> {
        (self.word.tag() == PID).then(|| Pid::from_u64(self.word.payload()))
    }

    /// The reference, if it is one.
    #[inline]
    pub fn as_ref(self) -> Option<Ref> {
        (self.word.tag() == REFERENCE).then(|| Ref::from_u64(self.word.payload()))
    }

    /// The integer, if it is one that 64 bits hold.
    #[inline]
    pub fn as_i64(self) -> Option<i64> {
        match self.view() {
            View::Int(value) => Some(value),
            View::BigInt(big) => big.to_i128().and_then(|value| value.try_into().ok()),
            _ => None,
        }
    }

    /// The float, if it is one; an integer is none.
    #[inline]
    pub fn as_f64(self) -> Option<f64> {
        (self.word.tag() == FLOAT).then(|| f64::from_bits(self.object_word(1).0))
    }

    /// The bytes of a binary; `None` for another term, a bitstring of no whole number of bytes included.
    #[inline]
    pub fn as_binary(self) -> Option<&'h [u8]> {
        let whole = matches!(self.word.tag(), HEAP_BINARY | SHARED_BINARY)
            && self.object_word(0).header_bits() == 0;
        whole.then(|| self.bytes())
    }

    /// All bytes of a binary or bitstring, and the bits of the last one, 0 for all.
    #[inline]
    pub fn as_bitstring(self) -> Option<(&'h [u8], u8)> {
        matches!(self.word.tag(), HEAP_BINARY | SHARED_BINARY)
            .then(|| (self.bytes(), self.object_word(0).header_bits()))
    }

    /// The text of a binary that is UTF-8.
    #[inline]
    pub fn as_str(self) -> Option<&'h str> {
        self.as_binary()
            .and_then(|bytes| std::str::from_utf8(bytes).ok())
    }

    /// A binary as a handle of its own: no copy of the bytes if they are shared.
    pub fn to_binary(self) -> Option<Binary> {
        let bytes = self.as_binary()?;
        match self.word.tag() {
            // SAFETY: the tag says that a shared binary lies there.
            SHARED_BINARY => Some(Binary::from_shared(
                unsafe { off_heap::binary_at(self.base, self.word.offset()) }.clone(),
            )),
            _ => Some(Binary::from(bytes)),
        }
    }

    /// The tuple, if it is one.
    #[inline]
    pub fn as_tuple(self) -> Option<Tuple<'h>> {
        (self.word.tag() == TUPLE).then(|| Tuple {
            term: self,
            len: self.object_len(),
        })
    }

    /// The map, if it is one.
    #[inline]
    pub fn as_map(self) -> Option<Map<'h>> {
        (self.word.tag() == MAP).then(|| Map::new(self))
    }

    /// The cell, if it is a list that is not empty.
    #[inline]
    pub fn as_cons(self) -> Option<Cons<'h>> {
        (self.word.tag() == CONS).then_some(Cons { cell: self })
    }

    /// Whether it is the empty list `[]`. (The atom `nil` is another term.)
    #[inline]
    pub fn is_nil(self) -> bool {
        self.word == Word::NIL
    }

    /// Whether it is a native resource, moved out or not.
    #[inline]
    pub fn is_native(self) -> bool {
        self.word.tag() == NATIVE
    }

    /// The elements of a list; nothing for another term. [`ListIter::tail`] tells how it ended.
    #[inline]
    pub fn list_iter(self) -> ListIter<'h> {
        ListIter { rest: self }
    }

    /// Length of a proper list; `None` for another term, an improper list included.
    pub fn list_len(self) -> Option<usize> {
        let mut cells = self.list_iter();
        let len = cells.by_ref().count();
        cells.tail().is_nil().then_some(len)
    }

    /// Words of 8 bytes that a copy of the term takes: what is reached twice counts twice. Mirrors
    /// `erts_debug:flat_size/1`.
    ///
    /// The time is that of a walk through all of them.
    pub fn words(self) -> usize {
        self.words_within(usize::MAX).unwrap_or(usize::MAX)
    }

    /// The same; `None` once they are more than `limit`.
    pub(crate) fn words_within(self, limit: usize) -> Option<usize> {
        let mut words = 0;
        let mut waiting = Vec::new();
        let (mut at, mut end) = self.after_run(&mut words).extent(&mut words);
        loop {
            while at < end {
                // SAFETY: the range lies inside an object of the same block.
                let part = self.with_word(unsafe { self.base.add(at).read() });
                at += 1;
                if !part.word.is_boxed() {
                    continue;
                }
                let inner = part.after_run(&mut words).extent(&mut words);
                if words > limit {
                    return None;
                }
                if inner.0 < inner.1 {
                    if at < end {
                        waiting.push((at, end));
                    }
                    (at, end) = inner;
                }
            }
            match waiting.pop() {
                Some(left) => (at, end) = left,
                None => return (words <= limit).then_some(words),
            }
        }
    }

    /// What follows the first cells of a list, if each of their heads is an immediate or a tuple of immediates; adds
    /// the words of those. Most long terms are mostly this.
    #[inline(always)]
    fn after_run(mut self, words: &mut usize) -> Term<'h> {
        while self.word.tag() == CONS {
            let head = self.with_word(self.object_word(0));
            *words += 2;
            if head.word.is_boxed() {
                let len = head.as_tuple().map_or(usize::MAX, |tuple| tuple.len);
                if len > RUN_ELEMENTS || (1..=len).any(|index| head.object_word(index).is_boxed()) {
                    *words -= 2;
                    break;
                }
                *words += 1 + len;
            }
            self = self.with_word(self.object_word(1));
        }
        self
    }

    /// Adds the words of this term's own object; gives where those of them that are terms lie in the block.
    #[inline(always)]
    fn extent(self, words: &mut usize) -> (usize, usize) {
        if !self.word.is_boxed() {
            return (0, 0);
        }
        let start = self.word.offset() as usize;
        let (raw, terms) = match self.word.tag() {
            CONS => (0, 2),
            TUPLE => (1, self.object_len()),
            _ => {
                let header = self.object_word(0);
                (
                    1 + header.raw_words() as usize,
                    header.term_words() as usize,
                )
            }
        };
        *words += raw + terms;
        (start + raw, start + raw + terms)
    }

    /// What tells a native resource from all others; 0 for another term.
    pub(crate) fn native_serial(self) -> u64 {
        if !self.is_native() {
            return 0;
        }
        // SAFETY: the tag says that a native resource lies there, in a block that lives for 'h.
        unsafe { off_heap::native_serial_at(self.base, self.word.offset()) }
    }

    /// The pointer of a native resource.
    pub(crate) fn native(self) -> Option<&'h std::sync::atomic::AtomicPtr<Payload>> {
        // SAFETY: the tag says that a native resource lies there, in a block that lives for 'h.
        self.is_native()
            .then(|| unsafe { off_heap::native_at(self.base, self.word.offset()) })
    }
}

/// A tuple.
#[derive(Clone, Copy)]
pub struct Tuple<'h> {
    term: Term<'h>,
    // Full width here and below: such values are copied in words of 8 bytes right after they were
    // made, and narrower stores would stall those loads.
    len: usize,
}

impl<'h> Tuple<'h> {
    /// The number of elements.
    #[inline]
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether it is `{}`.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// An element, counted from 0 (`element/2` counts from 1).
    #[inline]
    pub fn get(self, index: usize) -> Option<Term<'h>> {
        (index < self.len()).then(|| self.term.with_word(self.term.object_word(1 + index)))
    }

    /// All elements in order.
    #[inline]
    pub fn iter(self) -> TupleIter<'h> {
        self.iter_from(0)
    }

    /// The elements from an index on.
    #[inline]
    pub(crate) fn iter_from(self, index: usize) -> TupleIter<'h> {
        TupleIter {
            tuple: self,
            next: index.min(self.len),
        }
    }

    /// The tuple as a term.
    #[inline]
    pub fn term(self) -> Term<'h> {
        self.term
    }
}

impl<'h> IntoIterator for Tuple<'h> {
    type Item = Term<'h>;
    type IntoIter = TupleIter<'h>;

    fn into_iter(self) -> TupleIter<'h> {
        self.iter()
    }
}

/// The elements of a [`Tuple`].
#[derive(Clone)]
pub struct TupleIter<'h> {
    tuple: Tuple<'h>,
    next: usize,
}

impl<'h> Iterator for TupleIter<'h> {
    type Item = Term<'h>;

    #[inline]
    fn next(&mut self) -> Option<Term<'h>> {
        if self.next == self.tuple.len {
            return None;
        }
        self.next += 1;
        let term = self.tuple.term;
        Some(term.with_word(term.object_word(self.next)))
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.tuple.len - self.next;
        (left, Some(left))
    }
}

impl ExactSizeIterator for TupleIter<'_> {}

/// A cell of a list.
#[derive(Clone, Copy)]
pub struct Cons<'h> {
    cell: Term<'h>,
}

impl<'h> Cons<'h> {
    /// The first element.
    #[inline]
    pub fn head(self) -> Term<'h> {
        self.cell.with_word(self.cell.object_word(0))
    }

    /// The rest: a list, or any term if the list is improper.
    #[inline]
    pub fn tail(self) -> Term<'h> {
        self.cell.with_word(self.cell.object_word(1))
    }

    /// The list as a term.
    #[inline]
    pub fn term(self) -> Term<'h> {
        self.cell
    }
}

/// The elements of a list.
#[derive(Clone)]
pub struct ListIter<'h> {
    rest: Term<'h>,
}

impl<'h> ListIter<'h> {
    /// What is left: `[]` at the end of a proper list.
    #[inline]
    pub fn tail(&self) -> Term<'h> {
        self.rest
    }
}

impl<'h> Iterator for ListIter<'h> {
    type Item = Term<'h>;

    #[inline]
    fn next(&mut self) -> Option<Term<'h>> {
        let cons = self.rest.as_cons()?;
        self.rest = cons.tail();
        Some(cons.head())
    }
}
