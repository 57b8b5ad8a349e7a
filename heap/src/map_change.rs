//! Maps made and changed in a space.
//!
//! Here is decided which maps are flat and which are tries: up to 32 pairs, and over. A change shares what it can with
//! the map that it changes, which stays as it was.
//!
//! All words given to these functions are of finished terms of the space, those named `map` of maps.

use crate::limits::FLAT_MAP_PAIRS_MAX;
use crate::map::{Map, flat_find};
use crate::raw::Space;
use crate::trie::{self, Pair};
use crate::word::{MAP, TRIE, Word};
use crate::{CopyError, key_hash};

fn view(space: &Space, map: Word) -> Map<'_> {
    Map::new(trie::term(space, map))
}

fn is_trie(space: &Space, map: Word) -> bool {
    space.get(map.offset()).header_kind() == TRIE
}

fn pairs_of(space: &Space, map: Word) -> impl ExactSizeIterator<Item = (Word, Word)> {
    let pairs = view(space, map).iter();
    pairs.map(|(key, value)| (key.word(), value.word()))
}

/// A map of the pairs from `start` on, in any order; of equal keys the last pair counts. Leaves nothing else in the
/// space, and those pairs in some order.
pub(crate) fn make(
    space: &mut Space,
    pairs: &mut Vec<(Word, Word)>,
    start: usize,
) -> Result<Word, CopyError> {
    if pairs.len() - start > FLAT_MAP_PAIRS_MAX {
        let hashed = hashed(space, &pairs[start..]);
        if hashed.len() > FLAT_MAP_PAIRS_MAX {
            return trie::build(space, &hashed, 0);
        }
        pairs.truncate(start);
        pairs.extend(hashed.iter().map(|pair| (pair.key, pair.value)));
    }
    trie::sort_last_wins(space, pairs, start);
    trie::push_flat(space, pairs[start..].iter().copied())
}

/// The pairs in the order of a trie, each key once.
fn hashed(space: &Space, pairs: &[(Word, Word)]) -> Vec<Pair> {
    let hash = |pair: &(Word, Word)| key_hash::of(trie::term(space, pair.0));
    let mut places: Vec<(u64, u32)> = pairs.iter().map(hash).zip(0..).collect();
    // With its place a hash is unique: the order given stays among equal ones.
    places.sort_unstable();
    let pair = |&(hash, place): &(u64, u32)| {
        let (key, value) = pairs[place as usize];
        Pair { hash, key, value }
    };
    let mut hashed: Vec<_> = places.iter().map(pair).collect();
    let order = |left: &Pair, right: &Pair| {
        trie::term(space, left.key).cmp_exact(trie::term(space, right.key))
    };
    for alike in hashed.chunk_by_mut(|left, right| left.hash == right.hash) {
        alike.sort_by(order);
    }
    hashed.dedup_by(|later, earlier| {
        let equal = later.hash == earlier.hash && order(later, earlier).is_eq();
        if equal {
            *earlier = *later;
        }
        equal
    });
    hashed
}

/// The map with a pair more, or another value for its key. Mirrors `maps:put/3`.
pub(crate) fn put(space: &mut Space, map: Word, key: Word, value: Word) -> Result<Word, CopyError> {
    let len = view(space, map).len();
    if is_trie(space, map) {
        let pair = Pair::new(space, key, value);
        let inserted = trie::insert(space, map, 0, pair, false)?;
        if inserted.added {
            set_len(space, inserted.word, len + 1);
        }
        return Ok(inserted.word);
    }
    if len == FLAT_MAP_PAIRS_MAX && !has(space, map, key) {
        let mut pairs: Vec<_> = pairs_of(space, map).collect();
        pairs.push((key, value));
        return make(space, &mut pairs, 0);
    }
    Ok(trie::flat_insert(space, map, key, value, false)?.word)
}

/// Whether the map has the key. Mirrors `maps:is_key/2`.
pub(crate) fn has(space: &Space, map: Word, key: Word) -> bool {
    view(space, map).get(trie::term(space, key)).is_some()
}

/// The map without a key; the map itself if it has no such key. Mirrors `maps:remove/2`.
pub(crate) fn remove(space: &mut Space, map: Word, key: Word) -> Result<Word, CopyError> {
    let len = view(space, map).len();
    if !is_trie(space, map) {
        let found = flat_find(trie::term(space, map), len, trie::term(space, key));
        return match found {
            Ok(index) => trie::flat_without(space, map, index as u32),
            Err(_) => Ok(map),
        };
    }
    if len == FLAT_MAP_PAIRS_MAX + 1 {
        if !has(space, map, key) {
            return Ok(map);
        }
        let mut pairs: Vec<_> = pairs_of(space, map).collect();
        pairs.retain(|pair| trie::term(space, pair.0) != trie::term(space, key));
        return make(space, &mut pairs, 0);
    }
    match trie::remove(space, map, key)? {
        Some(smaller) => {
            set_len(space, smaller, len - 1);
            Ok(smaller)
        }
        None => Ok(map),
    }
}

/// Both maps in one; of a key in both the pair of `right` counts. Mirrors `maps:merge/2`.
pub(crate) fn merge(space: &mut Space, left: Word, right: Word) -> Result<Word, CopyError> {
    let (left_len, right_len) = (view(space, left).len(), view(space, right).len());
    if left_len == 0 {
        return Ok(right);
    }
    if right_len == 0 {
        return Ok(left);
    }
    if !is_trie(space, left) && !is_trie(space, right) {
        let mut pairs: Vec<_> = pairs_of(space, left).collect();
        pairs.extend(pairs_of(space, right));
        return make(space, &mut pairs, 0);
    }
    let roots = (as_root(space, left)?, as_root(space, right)?);
    let mut twice = 0;
    let merged = trie::merge(space, roots.0, roots.1, 0, &mut twice)?;
    if merged != roots.0 && merged != roots.1 {
        set_len(space, merged, left_len + right_len - twice as usize);
    }
    Ok(merged)
}

/// The root of a trie of the map's pairs: of a flat map, one that is for a merge alone.
fn as_root(space: &mut Space, map: Word) -> Result<Word, CopyError> {
    if is_trie(space, map) {
        return Ok(map);
    }
    let pairs: Vec<_> = pairs_of(space, map).collect();
    let pairs = hashed(space, &pairs);
    trie::build(space, &pairs, 0)
}

/// Sets the size of a root that was just made.
fn set_len(space: &mut Space, root: Word, len: usize) {
    debug_assert!(root.tag() == MAP && is_trie(space, root));
    space.set(root.offset() + 1, Word::number(len as u32));
}

#[cfg(test)]
mod tests;
