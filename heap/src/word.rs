//! The 64-bit word: a 4-bit tag below, 60 bits of payload above.
//!
//! A boxed word holds the *offset* of its object, counted in words from the first word of the
//! block, never an address: a block moves by a memory copy. Every object but a cons cell opens
//! with a header word, and only a header has the tag [`HEADER`]; so the words of a block can be
//! walked from first to last without following one pointer.

use crate::{Atom, Pid, Port, Ref};

/// Small integer, 60 bits, signed.
pub(crate) const INTEGER: u64 = 0;
/// Atom: its index in the program's table.
pub(crate) const ATOM: u64 = 1;
/// Process identifier, 60 bits.
pub(crate) const PID: u64 = 2;
/// Reference, 60 bits.
pub(crate) const REFERENCE: u64 = 3;
/// The empty list.
pub(crate) const NIL: u64 = 4;
/// Cons cell: head, tail. The only object without a header.
pub(crate) const CONS: u64 = 5;
/// Tuple: header, elements.
pub(crate) const TUPLE: u64 = 6;
/// Map: header, all keys in order, then their values; or the root of a trie, see [`TRIE`].
pub(crate) const MAP: u64 = 7;
/// Float: header, the bits.
pub(crate) const FLOAT: u64 = 8;
/// Big integer: header with the sign, limbs from the least significant.
pub(crate) const BIG: u64 = 9;
/// Binary inside the block: header with the length in bytes, the bytes. In a bitstring the header tells the bits of the
/// last byte, too; the rest of that is zero.
pub(crate) const HEAP_BINARY: u64 = 10;
/// Binary outside: header, next off-heap object, buffer, first byte, length.
pub(crate) const SHARED_BINARY: u64 = 11;
/// Native resource: header, next off-heap object, pointer, number.
pub(crate) const NATIVE: u64 = 12;
/// What is rare: header with its [`Other`] kind, then immediates as in a tuple.
pub(crate) const OTHER: u64 = 13;
/// Port, 60 bits.
pub(crate) const PORT: u64 = 14;
/// Kind of a header only: a node of a map over 32 keys, see [`crate::trie`]. Words that lead there have the tag
/// [`MAP`].
pub(crate) const TRIE: u64 = 14;
/// First word of an object; never the word of a term.
pub(crate) const HEADER: u64 = 15;

/// Words of a shared binary after its header.
pub(crate) const SHARED_BINARY_WORDS: u32 = 4;
/// Words of a native resource after its header.
pub(crate) const NATIVE_WORDS: u32 = 3;

const NEGATIVE: u64 = 1 << 8;
const ROOT: u64 = 1 << 8;
/// No header of a term has this bit.
const FORWARDED: u64 = 1 << 15;

/// What an object with the tag [`OTHER`] is, and its words.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub(crate) enum Other {
    /// Node, creation, id, serial.
    ExternalPid,
    /// Node, creation, up to five numbers of 32 bits.
    ExternalRef,
    /// Node, creation, upper and lower half of the id.
    ExternalPort,
    /// Module, function, arity.
    Export,
}

impl Other {
    const ALL: [Other; 4] = [
        Other::ExternalPid,
        Other::ExternalRef,
        Other::ExternalPort,
        Other::Export,
    ];
}

/// One word of a block: a term's immediate value or offset, a header, or raw payload.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(transparent)]
pub(crate) struct Word(pub(crate) u64);

impl Word {
    pub(crate) const NIL: Word = Word(NIL);

    /// The small integer, if 60 bits hold it.
    #[inline]
    pub(crate) const fn small(value: i64) -> Option<Word> {
        if (value << 4) >> 4 == value {
            Some(Word((value << 4) as u64))
        } else {
            None
        }
    }

    /// A number of 32 bits as a small integer.
    #[inline]
    pub(crate) const fn number(value: u32) -> Word {
        Word((value as u64) << 4)
    }

    #[inline]
    pub(crate) const fn atom(atom: Atom) -> Word {
        Word(((atom.index() as u64) << 4) | ATOM)
    }

    #[inline]
    pub(crate) const fn pid(pid: Pid) -> Word {
        Word((pid.as_u64() << 4) | PID)
    }

    #[inline]
    pub(crate) const fn reference(reference: Ref) -> Word {
        Word((reference.as_u64() << 4) | REFERENCE)
    }

    #[inline]
    pub(crate) const fn port(port: Port) -> Word {
        Word((port.as_u64() << 4) | PORT)
    }

    #[inline]
    pub(crate) const fn boxed(tag: u64, offset: u32) -> Word {
        Word(((offset as u64) << 4) | tag)
    }

    #[inline]
    pub(crate) const fn tag(self) -> u64 {
        self.0 & 15
    }

    #[inline]
    pub(crate) const fn payload(self) -> u64 {
        self.0 >> 4
    }

    #[inline]
    pub(crate) const fn small_value(self) -> i64 {
        (self.0 as i64) >> 4
    }

    /// Offset of the object of a boxed word.
    #[inline]
    pub(crate) const fn offset(self) -> u32 {
        (self.0 >> 4) as u32
    }

    /// The same in full width. [`Word::boxed`] is the one maker of such words, so nothing is above 32 bits to be cut.
    #[inline]
    pub(crate) const fn index(self) -> usize {
        debug_assert!(self.is_boxed());
        (self.0 >> 4) as usize
    }

    #[inline]
    pub(crate) const fn is_boxed(self) -> bool {
        // Their tags lie in a row.
        self.0.wrapping_sub(CONS) & 15 <= OTHER - CONS
    }

    /// Zero of small integers and atoms alone: a test that takes many words at once, joined by `|`.
    #[inline]
    pub(crate) const fn beyond_atom(self) -> u64 {
        self.0 & (15 & !ATOM & !INTEGER)
    }

    /// The word of the same term when its words lie `delta` further on. Without a branch: many are moved at once.
    #[inline(always)]
    pub(crate) const fn moved(self, delta: i64) -> Word {
        // From `CONS` on, the first tags are those of boxed words; all bits for the others. In this form the compiler
        // takes several words at once.
        let from_cons = self.0.wrapping_sub(CONS) & 15;
        let immediate = ((from_cons + 15 - (OTHER - CONS)) >> 4).wrapping_neg();
        let shift = (delta as u64) << 4;
        Word(self.0.wrapping_add(shift).wrapping_sub(immediate & shift))
    }

    /// Whether all are small integers, atoms, pids or references, the tags with the two upper bits clear.
    #[inline(always)]
    pub(crate) const fn are_common(words: [Word; 3]) -> bool {
        const _: () = assert!(INTEGER | ATOM | PID | REFERENCE == 3);
        (words[0].0 | words[1].0 | words[2].0) & 12 == 0
    }

    /// Of what [`Word::raw_bit`] gives, the bit that counts.
    pub(crate) const RAW_BIT: u64 = 1 << 8;

    /// Has [`Word::RAW_BIT`] if this is a header whose kind has raw words, or is one of the rare ones: many such
    /// answers may be joined and looked at once.
    #[inline(always)]
    pub(crate) const fn raw_bit(self) -> u64 {
        const KINDS: u64 = FLOAT << 4 | HEADER;
        (self.0 & KINDS) + (Word::RAW_BIT - KINDS)
    }

    /// The same for one word.
    #[inline(always)]
    pub(crate) const fn may_open_raw(self) -> bool {
        self.raw_bit() & Word::RAW_BIT != 0
    }

    /// Header of an object: `len` counts elements, pairs, limbs or bytes, by `kind`.
    #[inline]
    pub(crate) const fn header(kind: u64, len: u32) -> Word {
        Word(((len as u64) << 16) | (kind << 4) | HEADER)
    }

    #[inline]
    pub(crate) const fn big_header(negative: bool, limbs: u32) -> Word {
        let sign = if negative { NEGATIVE } else { 0 };
        Word(Word::header(BIG, limbs).0 | sign)
    }

    #[inline]
    pub(crate) const fn other_header(kind: Other, words: u32) -> Word {
        Word(Word::header(OTHER, words).0 | (kind as u64) << 8)
    }

    #[inline]
    pub(crate) fn other_kind(self) -> Other {
        Other::ALL[(self.0 >> 8 & 0xFF) as usize]
    }

    /// Header of a binary inside the block whose last byte has so many bits, 0 for all.
    #[inline]
    pub(crate) const fn bits_header(bytes: u32, bits: u8) -> Word {
        Word(Word::header(HEAP_BINARY, bytes).0 | (bits as u64) << 8)
    }

    /// Header of a shared binary whose last byte has so many bits, 0 for all.
    #[inline]
    pub(crate) const fn shared_header(bits: u8) -> Word {
        Word(Word::header(SHARED_BINARY, SHARED_BINARY_WORDS).0 | (bits as u64) << 8)
    }

    /// Header of a node of a trie: which of its 16 places lead to a deeper node, and which hold a pair. The root has
    /// one word more, for the map's size.
    #[inline]
    pub(crate) const fn trie_header(root: bool, nodes: u16, pairs: u16) -> Word {
        let root = if root { ROOT } else { 0 };
        Word((nodes as u64) << 32 | (pairs as u64) << 16 | root | TRIE << 4 | HEADER)
    }

    /// Places of a trie's node that lead to a deeper one, a bit for each.
    #[inline]
    pub(crate) const fn trie_nodes(self) -> u16 {
        (self.0 >> 32) as u16
    }

    /// Places of a trie's node that hold a pair, a bit for each.
    #[inline]
    pub(crate) const fn trie_pairs(self) -> u16 {
        (self.0 >> 16) as u16
    }

    /// Whether the node is the root of its trie.
    #[inline]
    pub(crate) const fn trie_is_root(self) -> bool {
        self.0 & ROOT != 0
    }

    /// Bits of the last byte of a binary, 0 for all.
    #[inline]
    pub(crate) const fn header_bits(self) -> u8 {
        (self.0 >> 8 & 7) as u8
    }

    /// What a collection leaves as the first word of an object that it moved: its kind, and where it lies now.
    #[inline]
    pub(crate) const fn forward(kind: u64, offset: u32) -> Word {
        Word(Word::header(kind, offset).0 | FORWARDED)
    }

    /// Where the object moved, if this is what [`Word::forward`] made.
    #[inline]
    pub(crate) const fn forwarded(self) -> Option<u32> {
        if self.0 & (FORWARDED | 15) == FORWARDED | HEADER {
            Some(self.header_len())
        } else {
            None
        }
    }

    #[inline]
    pub(crate) const fn header_kind(self) -> u64 {
        (self.0 >> 4) & 15
    }

    #[inline]
    pub(crate) const fn header_len(self) -> u32 {
        (self.0 >> 16) as u32
    }

    #[inline]
    pub(crate) const fn header_is_negative(self) -> bool {
        self.0 & NEGATIVE != 0
    }

    /// Words after this header that are no terms.
    #[inline]
    pub(crate) const fn raw_words(self) -> u32 {
        match self.header_kind() {
            FLOAT => 1,
            BIG => self.header_len(),
            HEAP_BINARY => self.header_len().div_ceil(8),
            SHARED_BINARY => SHARED_BINARY_WORDS,
            NATIVE => NATIVE_WORDS,
            _ => 0,
        }
    }

    /// Words after this header that are terms.
    #[inline]
    pub(crate) const fn term_words(self) -> u64 {
        match self.header_kind() {
            TUPLE | OTHER => self.header_len() as u64,
            MAP => self.header_len() as u64 * 2,
            TRIE => {
                let nodes = self.trie_nodes().count_ones() as u64;
                let pairs = self.trie_pairs().count_ones() as u64;
                self.trie_is_root() as u64 + nodes + 2 * pairs
            }
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_integers_have_sixty_bits() {
        for value in [0, 1, -1, (1 << 59) - 1, -(1 << 59)] {
            assert_eq!(Word::small(value).map(Word::small_value), Some(value));
        }
        assert_eq!(Word::small(1 << 59), None);
        assert_eq!(Word::small(-(1 << 59) - 1), None);
    }

    #[test]
    fn a_node_of_a_trie_counts_its_words() {
        let header = Word::trie_header(true, 0x8001, 0x7FFE);
        assert_eq!((header.tag(), header.header_kind()), (HEADER, TRIE));
        assert_eq!((header.trie_nodes(), header.trie_pairs()), (0x8001, 0x7FFE));
        assert!(header.trie_is_root());
        assert_eq!((header.term_words(), header.raw_words()), (1 + 2 + 28, 0));
        let header = Word::trie_header(false, 0, 1);
        assert_eq!((header.term_words(), header.trie_is_root()), (2, false));
    }

    #[test]
    fn only_words_of_objects_move() {
        for tag in 0..16 {
            let word = Word((77 << 4) | tag);
            let moved = if word.is_boxed() { 77 + 1000 } else { 77 };
            assert_eq!(word.moved(1000), Word((moved << 4) | tag));
        }
        let last = Word::boxed(MAP, u32::MAX);
        assert_eq!(last.moved(-i64::from(u32::MAX)), Word::boxed(MAP, 0));
        assert_eq!(Word::boxed(MAP, 0).moved(u32::MAX.into()), last);
    }

    #[test]
    fn every_header_with_raw_words_is_seen_at_one_look() {
        for kind in 0..16 {
            let header = Word::header(kind, 3);
            assert!(header.may_open_raw() || header.raw_words() == 0);
            assert!(!Word::boxed(kind, 3).may_open_raw() || kind == HEADER);
        }
        assert!(!Word::header(TUPLE, 3).may_open_raw() && !Word::header(MAP, 3).may_open_raw());
    }

    #[test]
    fn a_header_keeps_kind_length_and_sign() {
        let header = Word::big_header(true, 7);
        assert_eq!(header.tag(), HEADER);
        assert_eq!(header.header_kind(), BIG);
        assert_eq!(header.header_len(), 7);
        assert!(header.header_is_negative());
        assert!(!header.is_boxed());
        assert_eq!(Word::header(HEAP_BINARY, 9).raw_words(), 2);
        assert_eq!(
            Word::header(MAP, u32::MAX).term_words(),
            2 * u64::from(u32::MAX)
        );
    }
}
