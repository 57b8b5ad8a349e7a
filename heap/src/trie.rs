//! The trie of a map over 32 keys: its nodes, and how they are made and changed in a space.
//!
//! A node has 16 places, of which it keeps those in use; a key's hash names a place a level, four bits from the top. A
//! place holds a pair if one key of the map has that way, else it leads to a deeper node:
//!
//! ```text
//! header: kind TRIE | root? | bitmap of pairs | bitmap of nodes
//! size of the map (the root alone)
//! word of a deeper node, for each bit of `nodes`, lowest first
//! key, value, for each bit of `pairs`, lowest first
//! ```
//!
//! Below the 16th level no bit of the hash is left: keys of one hash lie there in a bucket, which is as a flat map (its
//! keys in exact order) of any length over one. Words that lead to nodes and buckets have the tag `MAP`, all others are
//! terms too, so that whoever walks or copies words needs to know nothing of tries.
//!
//! **Canonical.** A node below the root has two pairs or more in and under it, and so has a bucket; a map of up to 32
//! pairs is no trie. So its pairs alone decide a trie's form, and maps are equal exactly if their nodes are.
//!
//! **Shared.** No object is changed once it is part of a map. A change makes the nodes on one way anew, and refers to
//! all others: they belong to both maps.
//!
//! All words given to these functions are of finished terms of the space.

use crate::CopyError;
use crate::key_hash;
use crate::map::{self, flat_find};
use crate::raw::Space;
use crate::term::Term;
use crate::word::{MAP, Word};

/// Levels of nodes; a bucket lies below the last.
pub(crate) const LEVELS: u32 = 16;
/// Bits of a hash that choose a place.
const PLACE_BITS: u32 = 4;
/// Words of the largest node: header, size, and sixteen pairs.
const NODE_WORDS_MAX: u32 = 2 + 32;

/// The place that a hash names at a level, as the bit of its bitmaps.
#[inline]
pub(crate) fn bit(hash: u64, level: u32) -> u16 {
    1 << (hash << (PLACE_BITS * level) >> (64 - PLACE_BITS))
}

/// A path with the place of a bit at a level.
#[inline]
pub(crate) fn with_place(path: u64, level: u32, bit: u16) -> u64 {
    let shift = 64 - PLACE_BITS * (level + 1);
    let place = u64::from(bit.trailing_zeros());
    path & !(15 << shift) | place << shift
}

/// A node: where it lies, and its header, from which the offsets of its words follow.
#[derive(Clone, Copy)]
pub(crate) struct Node {
    offset: u32,
    header: Word,
}

impl Node {
    #[inline]
    pub(crate) fn new(offset: u32, header: Word) -> Node {
        Node { offset, header }
    }

    fn of(space: &Space, word: Word) -> Node {
        Node::new(word.offset(), space.get(word.offset()))
    }

    #[inline]
    pub(crate) fn header(self) -> Word {
        self.header
    }

    #[inline]
    pub(crate) fn word(self) -> Word {
        Word::boxed(MAP, self.offset)
    }

    /// Offset of the first word that leads to a deeper node.
    #[inline]
    pub(crate) fn nodes_start(self) -> u32 {
        self.offset + 1 + u32::from(self.header.trie_is_root())
    }

    /// Offset of the first key.
    #[inline]
    pub(crate) fn pairs_start(self) -> u32 {
        self.nodes_start() + self.header.trie_nodes().count_ones()
    }

    fn end(self) -> u32 {
        self.offset + 1 + self.header.term_words() as u32
    }

    /// Offset of the word that leads to the node at a place, if one is there.
    #[inline]
    pub(crate) fn node_place(self, bit: u16) -> Option<u32> {
        let nodes = self.header.trie_nodes();
        (nodes & bit != 0).then(|| self.node_slot(bit))
    }

    /// Offset of the key at a place, if a pair is there; its value follows.
    #[inline]
    pub(crate) fn pair_place(self, bit: u16) -> Option<u32> {
        let pairs = self.header.trie_pairs();
        (pairs & bit != 0).then(|| self.pair_slot(bit))
    }

    /// Offset of the key at a place, or where it would be.
    #[inline]
    fn pair_slot(self, bit: u16) -> u32 {
        // All nodes, and the pairs before this one twice, in one count.
        let before = u64::from(self.header.trie_pairs() & (bit - 1));
        let words = u64::from(self.header.trie_nodes()) | before << 16 | before << 32;
        self.nodes_start() + words.count_ones()
    }

    /// Offset of the word that leads to the node at a place, or where it would be.
    #[inline]
    fn node_slot(self, bit: u16) -> u32 {
        let nodes = self.header.trie_nodes();
        // Of a large map the upper nodes are full, and counting bits costs more than this branch.
        let before = if nodes == u16::MAX {
            bit.trailing_zeros()
        } else {
            (nodes & (bit - 1)).count_ones()
        };
        self.nodes_start() + before
    }

    /// The header with some bits turned over.
    fn toggled(self, nodes: u16, pairs: u16) -> Word {
        let header = self.header;
        Word::trie_header(
            header.trie_is_root(),
            header.trie_nodes() ^ nodes,
            header.trie_pairs() ^ pairs,
        )
    }
}

/// A pair with the hash of its key.
#[derive(Clone, Copy)]
pub(crate) struct Pair {
    pub(crate) hash: u64,
    pub(crate) key: Word,
    pub(crate) value: Word,
}

impl Pair {
    pub(crate) fn new(space: &Space, key: Word, value: Word) -> Pair {
        let hash = key_hash::of(term(space, key));
        Pair { hash, key, value }
    }
}

pub(crate) fn term(space: &Space, word: Word) -> Term<'_> {
    // SAFETY: words given to this module are of finished terms of the space.
    unsafe { space.term(word) }
}

fn same(space: &Space, left: Word, right: Word) -> bool {
    map::same(term(space, left), term(space, right))
}

/// Appends a flat object: a map of up to 32 pairs, or a bucket. The keys are in exact order.
pub(crate) fn push_flat(
    space: &mut Space,
    pairs: impl ExactSizeIterator<Item = (Word, Word)>,
) -> Result<Word, CopyError> {
    let len = pairs.len() as u32;
    let offset = space.push_blank(Word::header(MAP, len), u64::from(len) * 2)?;
    for (place, (key, value)) in (offset + 1..).zip(pairs) {
        space.set(place, key);
        space.set(place + len, value);
    }
    Ok(Word::boxed(MAP, offset))
}

/// What a pair did to a flat object or a trie.
pub(crate) struct Inserted {
    pub(crate) word: Word,
    /// Whether the key is new.
    pub(crate) added: bool,
}

/// A flat object with one pair more, or another value. The value of a key that is there stays if `keep`.
pub(crate) fn flat_insert(
    space: &mut Space,
    flat: Word,
    key: Word,
    value: Word,
    keep: bool,
) -> Result<Inserted, CopyError> {
    let len = space.get(flat.offset()).header_len();
    let (keys, values) = (flat.offset() + 1, flat.offset() + 1 + len);
    let found = flat_find(term(space, flat), len as usize, term(space, key));
    let word = match found.map(|index| index as u32) {
        Ok(index) if keep || space.get(values + index) == value => flat,
        Ok(index) => {
            let offset = space.push_copy(flat.offset(), 1 + 2 * len)?;
            space.set(offset + 1 + len + index, value);
            Word::boxed(MAP, offset)
        }
        Err(index) => {
            let index = index as u32;
            // Room for the whole object first: half of one would break a walk along the words.
            space.reserve(u64::from(len) * 2 + 3)?;
            let offset = space.push([Word::header(MAP, len + 1)])?;
            space.push_copy(keys, index)?;
            space.push([key])?;
            space.push_copy(keys + index, len)?;
            space.push([value])?;
            space.push_copy(values + index, len - index)?;
            Word::boxed(MAP, offset)
        }
    };
    Ok(Inserted {
        word,
        added: found.is_err(),
    })
}

/// A flat object without the pair at an index.
pub(crate) fn flat_without(space: &mut Space, flat: Word, index: u32) -> Result<Word, CopyError> {
    let len = space.get(flat.offset()).header_len();
    let keys = flat.offset() + 1;
    space.reserve(u64::from(len) * 2 - 1)?;
    let offset = space.push([Word::header(MAP, len - 1)])?;
    space.push_copy(keys, index)?;
    space.push_copy(keys + index + 1, len - 1)?;
    space.push_copy(keys + len + index + 1, len - index - 1)?;
    Ok(Word::boxed(MAP, offset))
}

/// A trie of pairs in the order of their hashes, and of their keys where hashes are equal; no two keys are.
///
/// At level 0 it is the root, with its size; below it is a node. No word is wasted. Recurses once a level.
pub(crate) fn build(space: &mut Space, pairs: &[Pair], level: u32) -> Result<Word, CopyError> {
    if level == LEVELS {
        return push_flat(space, pairs.iter().map(|pair| (pair.key, pair.value)));
    }
    let groups = || pairs.chunk_by(|left, right| bit(left.hash, level) == bit(right.hash, level));
    let (mut nodes, mut single) = (0, 0);
    for group in groups() {
        let bits = if group.len() == 1 {
            &mut single
        } else {
            &mut nodes
        };
        *bits |= bit(group[0].hash, level);
    }
    let header = Word::trie_header(level == 0, nodes, single);
    let node = Node::new(space.push_blank(header, header.term_words())?, header);
    if level == 0 {
        space.set(node.offset + 1, Word::number(pairs.len() as u32));
    }
    let (mut child, mut place) = (node.nodes_start(), node.pairs_start());
    for group in groups() {
        if let [pair] = group {
            space.set(place, pair.key);
            space.set(place + 1, pair.value);
            place += 2;
        } else {
            let deeper = build(space, group, level + 1)?;
            space.set(child, deeper);
            child += 1;
        }
    }
    Ok(node.word())
}

/// The way that a hash takes, from a node down to where it goes no further.
struct Way {
    /// Nodes on the way, by level, and where each refers to the next.
    passed: [(u32, u32); LEVELS as usize],
    /// The last node, or a bucket.
    last: Word,
    level: u32,
}

fn find(space: &Space, top: Word, level: u32, hash: u64) -> Way {
    let mut way = Way {
        passed: [(0, 0); LEVELS as usize],
        last: top,
        level,
    };
    while way.level < LEVELS {
        let node = Node::of(space, way.last);
        let Some(place) = node.node_place(bit(hash, way.level)) else {
            break;
        };
        way.passed[way.level as usize] = (node.offset, place);
        way.last = space.get(place);
        way.level += 1;
    }
    way
}

/// A copy of a node that refers to another node at a place.
fn with_node(space: &mut Space, node: u32, place: u32, word: Word) -> Result<Word, CopyError> {
    let words = Node::new(node, space.get(node)).end() - node;
    let offset = space.push_copy(node, words)?;
    space.set(offset + (place - node), word);
    Ok(Word::boxed(MAP, offset))
}

/// The trie at `top`, a node of `level`, with one pair more, or another value. The value of a key that is there stays
/// if `keep`. A root's size is for the caller to set.
pub(crate) fn insert(
    space: &mut Space,
    top: Word,
    level: u32,
    pair: Pair,
    keep: bool,
) -> Result<Inserted, CopyError> {
    let way = find(space, top, level, pair.hash);
    let Inserted { mut word, added } = insert_last(space, &way, pair, keep)?;
    if word == way.last {
        return Ok(Inserted { word: top, added });
    }
    for &(node, place) in way.passed[level as usize..way.level as usize].iter().rev() {
        word = with_node(space, node, place, word)?;
    }
    Ok(Inserted { word, added })
}

fn insert_last(
    space: &mut Space,
    way: &Way,
    pair: Pair,
    keep: bool,
) -> Result<Inserted, CopyError> {
    if way.level == LEVELS {
        return flat_insert(space, way.last, pair.key, pair.value, keep);
    }
    let node = Node::of(space, way.last);
    let bit = bit(pair.hash, way.level);
    let Some(place) = node.pair_place(bit) else {
        return Ok(Inserted {
            word: with_pair(space, node, bit, pair.key, pair.value)?,
            added: true,
        });
    };
    let (key, value) = (space.get(place), space.get(place + 1));
    if !same(space, key, pair.key) {
        let other = Pair::new(space, key, value);
        let deeper = build_two(space, other, pair, way.level + 1)?;
        return Ok(Inserted {
            word: pair_to_node(space, node, bit, deeper)?,
            added: true,
        });
    }
    let word = if keep || value == pair.value {
        way.last
    } else {
        with_node(space, node.offset, place + 1, pair.value)?
    };
    Ok(Inserted { word, added: false })
}

fn build_two(space: &mut Space, one: Pair, other: Pair, level: u32) -> Result<Word, CopyError> {
    let order = one.hash.cmp(&other.hash);
    let order = order.then_with(|| term(space, one.key).cmp_exact(term(space, other.key)));
    let pairs = if order.is_lt() {
        [one, other]
    } else {
        [other, one]
    };
    build(space, &pairs, level)
}

/// Begins a copy of a node under a header of its own, with what stands before `end`; makes room for the rest.
#[inline]
fn begin_copy(space: &mut Space, node: Node, header: Word, end: u32) -> Result<u32, CopyError> {
    space.reserve(NODE_WORDS_MAX.into())?;
    let offset = space.push([header])?;
    let first = node.offset + 1;
    space.push_copy(first, end - first)?;
    Ok(offset)
}

/// A copy of a node with a pair at a place that was free.
fn with_pair(
    space: &mut Space,
    node: Node,
    bit: u16,
    key: Word,
    value: Word,
) -> Result<Word, CopyError> {
    let slot = node.pair_slot(bit);
    let offset = begin_copy(space, node, node.toggled(0, bit), slot)?;
    space.push([key, value])?;
    space.push_copy(slot, node.end() - slot)?;
    Ok(Word::boxed(MAP, offset))
}

/// A copy of a node without the pair at a place.
fn without_pair(space: &mut Space, node: Node, bit: u16) -> Result<Word, CopyError> {
    let slot = node.pair_slot(bit);
    let offset = begin_copy(space, node, node.toggled(0, bit), slot)?;
    space.push_copy(slot + 2, node.end() - (slot + 2))?;
    Ok(Word::boxed(MAP, offset))
}

/// A copy of a node where a deeper node has taken the place of a pair.
fn pair_to_node(space: &mut Space, node: Node, bit: u16, deeper: Word) -> Result<Word, CopyError> {
    let (from, slot) = (node.node_slot(bit), node.pair_slot(bit));
    let offset = begin_copy(space, node, node.toggled(bit, bit), from)?;
    space.push([deeper])?;
    space.push_copy(from, slot - from)?;
    space.push_copy(slot + 2, node.end() - (slot + 2))?;
    Ok(Word::boxed(MAP, offset))
}

/// A copy of a node where a pair has taken the place of a deeper node.
fn node_to_pair(
    space: &mut Space,
    node: Node,
    bit: u16,
    key: Word,
    value: Word,
) -> Result<Word, CopyError> {
    let (from, slot) = (node.node_slot(bit), node.pair_slot(bit));
    let offset = begin_copy(space, node, node.toggled(bit, bit), from)?;
    space.push_copy(from + 1, slot - (from + 1))?;
    space.push([key, value])?;
    space.push_copy(slot, node.end() - slot)?;
    Ok(Word::boxed(MAP, offset))
}

/// What is left below a place when a pair is gone.
enum Left {
    Node(Word),
    /// A last pair, which moves up.
    Pair(Word, Word),
}

/// The trie at the root `top` without a key; `None` if it has no such key. A map that becomes flat is for the caller to
/// make, and so is the root's new size to set.
pub(crate) fn remove(space: &mut Space, top: Word, key: Word) -> Result<Option<Word>, CopyError> {
    let hash = key_hash::of(term(space, key));
    let way = find(space, top, 0, hash);
    let Some(mut left) = remove_last(space, &way, hash, key)? else {
        return Ok(None);
    };
    for level in (0..way.level).rev() {
        let (offset, place) = way.passed[level as usize];
        let node = Node::new(offset, space.get(offset));
        left = match left {
            Left::Node(word) => Left::Node(with_node(space, offset, place, word)?),
            Left::Pair(key, value) => {
                let bit = bit(hash, level);
                let alone = node.header.trie_nodes() == bit && node.header.trie_pairs() == 0;
                if alone && level > 0 {
                    Left::Pair(key, value)
                } else {
                    Left::Node(node_to_pair(space, node, bit, key, value)?)
                }
            }
        };
    }
    match left {
        Left::Node(word) => Ok(Some(word)),
        Left::Pair(..) => unreachable!("a root is no pair"),
    }
}

fn remove_last(
    space: &mut Space,
    way: &Way,
    hash: u64,
    key: Word,
) -> Result<Option<Left>, CopyError> {
    if way.level == LEVELS {
        let offset = way.last.offset();
        let len = space.get(offset).header_len();
        let found = flat_find(term(space, way.last), len as usize, term(space, key));
        let Ok(index) = found.map(|index| index as u32) else {
            return Ok(None);
        };
        if len == 2 {
            let other = offset + 1 + (1 - index);
            return Ok(Some(Left::Pair(space.get(other), space.get(other + len))));
        }
        return Ok(Some(Left::Node(flat_without(space, way.last, index)?)));
    }
    let node = Node::of(space, way.last);
    let bit = bit(hash, way.level);
    let place = node.pair_place(bit);
    let Some(place) = place.filter(|place| same(space, space.get(*place), key)) else {
        return Ok(None);
    };
    let two = node.header.trie_nodes() == 0 && node.header.trie_pairs().count_ones() == 2;
    if two && way.level > 0 {
        let first = node.pairs_start();
        let other = if place == first { first + 2 } else { first };
        return Ok(Some(Left::Pair(space.get(other), space.get(other + 1))));
    }
    Ok(Some(Left::Node(without_pair(space, node, bit)?)))
}

/// The words of a node in the making, by place.
struct Draft {
    nodes: u16,
    pairs: u16,
    node_words: [Word; 16],
    pair_words: [Word; 32],
}

impl Draft {
    fn new() -> Draft {
        Draft {
            nodes: 0,
            pairs: 0,
            node_words: [Word::NIL; 16],
            pair_words: [Word::NIL; 32],
        }
    }

    /// Places come lowest first.
    fn add_node(&mut self, bit: u16, word: Word) {
        self.node_words[self.nodes.count_ones() as usize] = word;
        self.nodes |= bit;
    }

    fn add_pair(&mut self, bit: u16, (key, value): (Word, Word)) {
        let place = 2 * self.pairs.count_ones() as usize;
        self.pair_words[place..place + 2].copy_from_slice(&[key, value]);
        self.pairs |= bit;
    }

    fn words(&self) -> impl Iterator<Item = Word> {
        let nodes = &self.node_words[..self.nodes.count_ones() as usize];
        let pairs = &self.pair_words[..2 * self.pairs.count_ones() as usize];
        nodes.iter().chain(pairs).copied()
    }

    /// Whether it would be this very node once more.
    fn is(&self, space: &Space, node: Node) -> bool {
        let header = node.header;
        (header.trie_nodes(), header.trie_pairs()) == (self.nodes, self.pairs)
            && (node.nodes_start()..)
                .zip(self.words())
                .all(|(place, word)| space.get(place) == word)
    }

    fn push(&self, space: &mut Space, root: bool) -> Result<Word, CopyError> {
        let header = Word::trie_header(root, self.nodes, self.pairs);
        let node = Node::new(space.push_blank(header, header.term_words())?, header);
        for (place, word) in (node.nodes_start()..).zip(self.words()) {
            space.set(place, word);
        }
        Ok(node.word())
    }
}

/// Two tries of one level as one; of a key in both the pair of `right` counts. Adds to `twice` how many keys those are.
/// A root's size is for the caller to set, unless the result is `left` or `right` itself. Recurses once a level.
pub(crate) fn merge(
    space: &mut Space,
    left: Word,
    right: Word,
    level: u32,
    twice: &mut u32,
) -> Result<Word, CopyError> {
    if left == right {
        *twice += count(space, left, level);
        return Ok(left);
    }
    if level == LEVELS {
        return merge_buckets(space, left, right, twice);
    }
    let (one, other) = (Node::of(space, left), Node::of(space, right));
    let mut draft = Draft::new();
    let used = |node: Node| node.header.trie_nodes() | node.header.trie_pairs();
    let mut places = used(one) | used(other);
    while places != 0 {
        let bit = places & places.wrapping_neg();
        places ^= bit;
        match (child(space, one, bit), child(space, other, bit)) {
            (Child::Node(left), Child::Node(right)) => {
                draft.add_node(bit, merge(space, left, right, level + 1, twice)?);
            }
            (Child::Node(node), Child::None) | (Child::None, Child::Node(node)) => {
                draft.add_node(bit, node);
            }
            (Child::Pair(key, value), Child::None) | (Child::None, Child::Pair(key, value)) => {
                draft.add_pair(bit, (key, value));
            }
            (Child::Pair(key, value), Child::Pair(new_key, new_value)) => {
                if same(space, key, new_key) {
                    *twice += 1;
                    draft.add_pair(bit, (new_key, new_value));
                } else {
                    let pair = Pair::new(space, key, value);
                    let new = Pair::new(space, new_key, new_value);
                    draft.add_node(bit, build_two(space, pair, new, level + 1)?);
                }
            }
            (Child::Pair(key, value), Child::Node(node)) => {
                let pair = Pair::new(space, key, value);
                let inserted = insert(space, node, level + 1, pair, true)?;
                *twice += u32::from(!inserted.added);
                draft.add_node(bit, inserted.word);
            }
            (Child::Node(node), Child::Pair(key, value)) => {
                let pair = Pair::new(space, key, value);
                let inserted = insert(space, node, level + 1, pair, false)?;
                *twice += u32::from(!inserted.added);
                draft.add_node(bit, inserted.word);
            }
            (Child::None, Child::None) => {}
        }
    }
    for node in [one, other] {
        if draft.is(space, node) {
            return Ok(node.word());
        }
    }
    draft.push(space, level == 0)
}

enum Child {
    None,
    Node(Word),
    Pair(Word, Word),
}

fn child(space: &Space, node: Node, bit: u16) -> Child {
    if let Some(place) = node.node_place(bit) {
        return Child::Node(space.get(place));
    }
    match node.pair_place(bit) {
        Some(place) => Child::Pair(space.get(place), space.get(place + 1)),
        None => Child::None,
    }
}

fn merge_buckets(
    space: &mut Space,
    left: Word,
    right: Word,
    twice: &mut u32,
) -> Result<Word, CopyError> {
    let pairs_of = |space: &Space, bucket: Word| -> Vec<(Word, Word)> {
        let len = space.get(bucket.offset()).header_len();
        let keys = bucket.offset() + 1..;
        keys.take(len as usize)
            .map(|place| (space.get(place), space.get(place + len)))
            .collect()
    };
    let mut pairs = pairs_of(space, left);
    pairs.extend(pairs_of(space, right));
    let before = pairs.len();
    sort_last_wins(space, &mut pairs, 0);
    *twice += (before - pairs.len()) as u32;
    push_flat(space, pairs.into_iter())
}

/// Brings the pairs from `start` on into the exact order of their keys; of equal keys the last pair stays.
pub(crate) fn sort_last_wins(space: &Space, pairs: &mut Vec<(Word, Word)>, start: usize) {
    let order = |left: &(Word, Word), right: &(Word, Word)| {
        term(space, left.0).cmp_exact(term(space, right.0))
    };
    if pairs[start..].is_sorted_by(|left, right| order(left, right).is_lt()) {
        return;
    }
    pairs[start..].sort_by(order);
    let mut kept = start;
    for index in start + 1..pairs.len() {
        if !same(space, pairs[kept].0, pairs[index].0) {
            kept += 1;
        }
        pairs[kept] = pairs[index];
    }
    pairs.truncate(kept + 1);
}

/// Pairs in and under a node or bucket. Recurses once a level.
fn count(space: &Space, word: Word, level: u32) -> u32 {
    if level == LEVELS {
        return space.get(word.offset()).header_len();
    }
    let node = Node::of(space, word);
    let below = (node.nodes_start()..node.pairs_start())
        .map(|place| count(space, space.get(place), level + 1));
    node.header.trie_pairs().count_ones() + below.sum::<u32>()
}
