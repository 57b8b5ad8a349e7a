//! Maps as seen. How a large one lies in its words is told in [`crate::trie`].

use std::cmp::Ordering;

use crate::term::Term;
use crate::trie::{self, LEVELS, Node};
use crate::word::{FLOAT, HEAP_BINARY, TRIE, TUPLE, Word};
use crate::{Atom, key_hash};

/// A map. Its keys are unique: no two are `=:=`.
///
/// Up to [`FLAT_MAP_PAIRS_MAX`](crate::FLAT_MAP_PAIRS_MAX) pairs it is flat, beyond that a trie. Which of the two, and
/// every word of it, follows from the pairs alone, however the map was made.
#[derive(Clone, Copy)]
pub struct Map<'h> {
    term: Term<'h>,
    // Full width: see `Tuple`.
    len: usize,
}

impl<'h> Map<'h> {
    /// Of a term with the tag [`MAP`](crate::word::MAP).
    #[inline]
    pub(crate) fn new(term: Term<'h>) -> Map<'h> {
        let header = term.object_word(0);
        let len = if header.header_kind() == TRIE {
            term.object_word(1).payload() as usize
        } else {
            header.header_len() as usize
        };
        Map { term, len }
    }

    /// The number of pairs. Mirrors `map_size/1`.
    #[inline]
    pub fn len(self) -> usize {
        self.len
    }

    /// Whether it is `#{}`.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Whether the map is flat, and so gives its pairs in key order.
    #[inline]
    pub(crate) fn is_flat(self) -> bool {
        self.trie().is_none()
    }

    /// The root, if the map is a trie.
    #[inline]
    pub(crate) fn trie(self) -> Option<Node> {
        let header = self.term.object_word(0);
        (header.header_kind() == TRIE).then(|| Node::new(self.term.word().offset(), header))
    }

    /// The value of a key. The key may lie in any block. Mirrors `maps:get/2`.
    #[inline]
    pub fn get(self, key: Term<'_>) -> Option<Term<'h>> {
        match self.trie() {
            Some(root) => self.get_hashed(root, key_hash::of(key), key),
            None if key.word().is_boxed() => self.get_object(key),
            None => self.get_word(key.word()),
        }
    }

    /// The value of a key that is an atom.
    #[inline]
    pub fn get_atom(self, key: Atom) -> Option<Term<'h>> {
        self.get(self.term.with_word(Word::atom(key)))
    }

    /// In a flat map, the value of a key that is no object: equal words are equal keys.
    #[inline]
    fn get_word(self, key: Word) -> Option<Term<'h>> {
        let found = (1..=self.len).find(|index| self.term.object_word(*index) == key)?;
        Some(self.term.with_word(self.term.object_word(found + self.len)))
    }

    /// In a flat map, the value of a key that is an object: most others differ from it at first sight.
    fn get_object(self, key: Term<'_>) -> Option<Term<'h>> {
        let found = (1..=self.len).find(|index| {
            let stored = self.term.with_word(self.term.object_word(*index));
            stored.word().is_boxed() && same(stored, key)
        })?;
        Some(self.term.with_word(self.term.object_word(found + self.len)))
    }

    fn get_hashed(self, root: Node, hash: u64, key: Term<'_>) -> Option<Term<'h>> {
        let mut node = root;
        for level in 0..LEVELS {
            let bit = trie::bit(hash, level);
            if let Some(place) = node.node_place(bit) {
                let child = self.term.at(place);
                node = Node::new(child.word().offset(), child.object_word(0));
                continue;
            }
            let place = node.pair_place(bit)?;
            return same(self.term.at(place), key).then(|| self.term.at(place + 1));
        }
        let bucket = self.term.with_word(node.word());
        let len = bucket.object_word(0).header_len() as usize;
        let index = flat_find(bucket, len, key).ok()?;
        Some(bucket.with_word(bucket.object_word(1 + len + index)))
    }

    /// Key and value of each pair: in [exact order](Term::cmp_exact) of the keys if the map is flat, else in the order
    /// of a hash, which is the same in each run.
    #[inline]
    pub fn iter(self) -> MapIter<'h> {
        let mut iter = MapIter {
            map: self,
            left: self.len,
            node: self.term.word().offset(),
            level: 0,
            path: 0,
            here: 0,
            next: 0,
            step: 1,
            distance: 0,
        };
        iter.enter(self.term.object_word(0));
        iter
    }

    /// Key and value of each pair, in [exact order](Term::cmp_exact) of the keys.
    pub fn sorted(self) -> Vec<(Term<'h>, Term<'h>)> {
        let mut pairs: Vec<_> = self.iter().collect();
        if !self.is_flat() {
            pairs.sort_unstable_by(|left, right| left.0.cmp_exact(right.0));
        }
        pairs
    }

    /// The map as a term.
    #[inline]
    pub fn term(self) -> Term<'h> {
        self.term
    }
}

/// Whether two keys are `=:=`.
#[inline]
pub(crate) fn same(left: Term<'_>, right: Term<'_>) -> bool {
    let tag = left.word().tag();
    if !left.word().is_boxed() {
        return left.word() == right.word();
    }
    if tag != right.word().tag() || !matches!(tag, HEAP_BINARY | TUPLE | FLOAT) {
        return left == right;
    }
    let header = left.object_word(0);
    if header != right.object_word(0) {
        return false;
    }
    if tag == TUPLE {
        let mut nested = false;
        for index in 1..=header.header_len() as usize {
            let (left, right) = (left.object_word(index), right.object_word(index));
            if left.is_boxed() && right.is_boxed() {
                nested = true;
            } else if left != right {
                return false;
            }
        }
        return !nested || left == right;
    }
    // The last word is filled up with zeros, so binaries may be compared by words.
    (1..=header.raw_words() as usize)
        .all(|index| left.object_word(index) == right.object_word(index))
}

/// The index of a key in a flat object of so many pairs, found by halving; or where it would stand.
pub(crate) fn flat_find(object: Term<'_>, len: usize, key: Term<'_>) -> Result<usize, usize> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        let stored = object.with_word(object.object_word(1 + middle));
        match stored.cmp_exact(key) {
            Ordering::Equal => return Ok(middle),
            Ordering::Less => low = middle + 1,
            Ordering::Greater => high = middle,
        }
    }
    Err(low)
}

impl<'h> IntoIterator for Map<'h> {
    type Item = (Term<'h>, Term<'h>);
    type IntoIter = MapIter<'h>;

    fn into_iter(self) -> MapIter<'h> {
        self.iter()
    }
}

/// The pairs of a [`Map`].
///
/// It keeps no stack of nodes: 16 levels of 16 places are a path of 64 bits, by which it finds its way from the root
/// again when a node is done.
#[derive(Clone)]
pub struct MapIter<'h> {
    map: Map<'h>,
    // Pairs left in the map.
    left: usize,
    // The object that gives pairs now, its level, and the places that lead to it, four bits a level from the top.
    node: u32,
    level: u32,
    path: u64,
    // Pairs left in that object; offset of the next key; from one key to the next; from a key to its value.
    here: u32,
    next: u32,
    step: u32,
    distance: u32,
}

impl MapIter<'_> {
    /// Begins with the object at `self.node`.
    #[inline]
    fn enter(&mut self, header: Word) {
        if header.header_kind() == TRIE {
            let node = Node::new(self.node, header);
            self.here = header.trie_pairs().count_ones();
            self.next = node.pairs_start();
            (self.step, self.distance) = (2, 1);
        } else {
            self.here = header.header_len();
            self.next = self.node + 1;
            (self.step, self.distance) = (1, self.here);
        }
    }

    /// Goes on to the next node: the first one below, or the next one of the nearest node above that has more.
    fn advance(&mut self) {
        let term = self.map.term;
        let node_at = |offset| Node::new(offset, term.at(offset).word());
        if self.level < LEVELS {
            let below = term.at(self.node).word().trie_nodes();
            if below != 0 {
                return self.descend(self.level, self.node, below);
            }
        }
        let (mut offset, mut nearest) = (term.word().offset(), None);
        for level in 0..self.level {
            let (node, bit) = (node_at(offset), trie::bit(self.path, level));
            let later = node.header().trie_nodes() & !(bit | (bit - 1));
            if later != 0 {
                nearest = Some((level, offset, later));
            }
            let Some(place) = node.node_place(bit) else {
                break;
            };
            offset = term.at(place).word().offset();
        }
        match nearest {
            Some((level, offset, later)) => self.descend(level, offset, later),
            // Never in a whole trie: it has as many pairs as its root says.
            None => self.left = 0,
        }
    }

    /// From a node of a level into the first of some of its places.
    #[inline]
    fn descend(&mut self, level: u32, offset: u32, places: u16) {
        let term = self.map.term;
        let bit = places & places.wrapping_neg();
        let node = Node::new(offset, term.at(offset).word());
        let Some(place) = node.node_place(bit) else {
            self.left = 0;
            return;
        };
        self.path = trie::with_place(self.path, level, bit);
        self.level = level + 1;
        self.node = term.at(place).word().offset();
        self.enter(term.at(self.node).word());
    }
}

impl<'h> Iterator for MapIter<'h> {
    type Item = (Term<'h>, Term<'h>);

    #[inline]
    fn next(&mut self) -> Option<(Term<'h>, Term<'h>)> {
        while self.here == 0 {
            if self.left == 0 {
                return None;
            }
            self.advance();
        }
        self.left -= 1;
        self.here -= 1;
        let term = self.map.term;
        let pair = (term.at(self.next), term.at(self.next + self.distance));
        self.next += self.step;
        Some(pair)
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}

impl ExactSizeIterator for MapIter<'_> {}
