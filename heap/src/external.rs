//! Identifiers of other nodes, and exported funs.

use std::hash::{Hash, Hasher};

use crate::Atom;

/// A process of another node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ExternalPid {
    /// The node's name.
    pub node: Atom,
    /// Which incarnation of the node.
    pub creation: u32,
    /// The process's number there.
    pub id: u32,
    /// Which use of the number.
    pub serial: u32,
}

/// A port of another node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ExternalPort {
    /// The node's name.
    pub node: Atom,
    /// Which incarnation of the node.
    pub creation: u32,
    /// The port's number there.
    pub id: u64,
}

/// A reference made by another node. As in Erlang, zeros at the end of its numbers do not count for
/// equality.
#[derive(Clone, Copy, Debug)]
pub struct ExternalRef {
    /// The node's name.
    pub node: Atom,
    /// Which incarnation of the node.
    pub creation: u32,
    // Zeros past the end.
    ids: [u32; ExternalRef::IDS_MAX],
    len: u8,
}

impl PartialEq for ExternalRef {
    fn eq(&self, other: &ExternalRef) -> bool {
        self.key() == other.key()
    }
}

impl Eq for ExternalRef {}

impl Hash for ExternalRef {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

impl ExternalRef {
    /// Numbers of 32 bits in a reference at most, as in the external format.
    pub const IDS_MAX: usize = 5;

    /// `None` for no number at all, and for more than [`ExternalRef::IDS_MAX`].
    pub fn new(node: Atom, creation: u32, numbers: &[u32]) -> Option<ExternalRef> {
        let len = numbers.len();
        if !(1..=ExternalRef::IDS_MAX).contains(&len) {
            return None;
        }
        let mut ids = [0; ExternalRef::IDS_MAX];
        ids[..len].copy_from_slice(numbers);
        Some(ExternalRef {
            node,
            creation,
            ids,
            len: len as u8,
        })
    }

    /// Its numbers, in the order of the external format.
    pub fn ids(&self) -> &[u32] {
        &self.ids[..usize::from(self.len)]
    }

    /// What the order of references goes by: the node, then the numbers from the last to the first.
    pub(crate) fn key(&self) -> (Atom, u32, [u32; ExternalRef::IDS_MAX]) {
        let mut ids = self.ids;
        ids.reverse();
        (self.node, self.creation, ids)
    }
}

/// An exported fun: `fun module:function/arity`. Ordered by module, function, arity, as in Erlang.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Export {
    /// The module.
    pub module: Atom,
    /// The function.
    pub function: Atom,
    /// Its number of arguments.
    pub arity: u8,
}

/// A bitstring that is no whole number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Bits<'h> {
    bytes: &'h [u8],
    last: u8,
}

impl<'h> Bits<'h> {
    /// All bytes; of the last one only the upper [`Bits::last_bits`] count, the rest is zero.
    pub fn bytes(self) -> &'h [u8] {
        self.bytes
    }

    /// Bits in the last byte, 1 to 7.
    pub fn last_bits(self) -> u8 {
        self.last
    }

    /// Its length in bits. Mirrors `bit_size/1`.
    pub fn bit_len(self) -> usize {
        self.bytes.len() * 8 - 8 + usize::from(self.last)
    }

    pub(crate) fn new(bytes: &'h [u8], last: u8) -> Bits<'h> {
        debug_assert!((1..8).contains(&last) && !bytes.is_empty());
        Bits { bytes, last }
    }
}
