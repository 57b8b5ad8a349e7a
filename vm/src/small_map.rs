//! A map that costs nothing while empty and no allocation for one entry: most processes have one
//! link, one monitor or none.

use std::hash::Hash;
use std::mem;

use foldhash::fast::FixedState;
use hashbrown::HashMap;

/// Entries that a map which had as many keeps room for: callers of a server come and go, and
/// come again. Some 8 KiB; chosen by feel.
const KEPT_CAPACITY_MAX: usize = 448;

/// Entries that a map has room for when it becomes one; one that never had more is nothing again once it is empty. What
/// a table of hashes of the smallest size has room for.
const FEW: usize = 3;

/// Keys to values, without order.
#[derive(Debug, Default)]
pub(crate) enum SmallMap<K, V> {
    #[default]
    Empty,
    One(K, V),
    Many(Box<HashMap<K, V, FixedState>>),
}

impl<K: Eq + Hash, V> SmallMap<K, V> {
    /// Sets a value; gives the one that was there.
    #[inline]
    pub(crate) fn insert(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::Empty => {
                *self = Self::One(key, value);
                None
            }
            _ => self.insert_another(key, value),
        }
    }

    #[inline(never)]
    fn insert_another(&mut self, key: K, value: V) -> Option<V> {
        match self {
            Self::Many(map) => map.insert(key, value),
            Self::One(present, old) if *present == key => Some(mem::replace(old, value)),
            _ => {
                let mut map = HashMap::with_capacity_and_hasher(FEW, FixedState::default());
                if let Self::One(first, old) = mem::take(self) {
                    map.insert(first, old);
                }
                map.insert(key, value);
                *self = Self::Many(Box::new(map));
                None
            }
        }
    }

    /// Removes a key; gives its value.
    #[inline]
    pub(crate) fn remove(&mut self, key: &K) -> Option<V> {
        match self {
            Self::Empty => None,
            Self::One(present, _) if present != key => None,
            Self::One(..) => match mem::take(self) {
                Self::One(_, value) => Some(value),
                _ => unreachable!("looked at above"),
            },
            Self::Many(_) => self.remove_of_many(key),
        }
    }

    #[inline(never)]
    fn remove_of_many(&mut self, key: &K) -> Option<V> {
        let Self::Many(map) = self else {
            return None;
        };
        let value = map.remove(key);
        if map.is_empty() && map.capacity() <= FEW {
            // One that was many once, for a moment, is one alone again and again.
            *self = Self::Empty;
        } else if map.capacity() > KEPT_CAPACITY_MAX && map.len() < map.capacity() / 8 {
            // Seldom enough that each removal pays little for it.
            map.shrink_to_fit();
        }
        value
    }

    pub(crate) fn get(&self, key: &K) -> Option<&V> {
        match self {
            Self::Empty => None,
            Self::One(present, value) => (present == key).then_some(value),
            Self::Many(map) => map.get(key),
        }
    }

    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        match self {
            Self::Empty => None,
            Self::One(present, value) => (present == key).then_some(value),
            Self::Many(map) => map.get_mut(key),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let (one, many) = match self {
            Self::Empty => (None, None),
            Self::One(key, value) => (Some((key, value)), None),
            Self::Many(map) => (None, Some(map.iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Visits all entries. Of many it goes by their `place`, that in memory of what they name: who goes there finds it
    /// sooner so, by the processor's looking ahead, than by hashes.
    #[inline]
    pub(crate) fn for_each_by_place(&self, place: impl Fn(K, V) -> u32, mut visit: impl FnMut(K, V))
    where
        K: Copy,
        V: Copy,
    {
        match self {
            Self::Empty => {}
            Self::One(key, value) => visit(*key, *value),
            Self::Many(map) => {
                let entries = map
                    .iter()
                    .map(|(&key, &value)| (place(key, value), key, value));
                let mut entries: Vec<(u32, K, V)> = entries.collect();
                entries.sort_unstable_by_key(|&(place, ..)| place);
                for (_, key, value) in entries {
                    visit(key, value);
                }
            }
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::One(..) => false,
            Self::Many(map) => map.is_empty(),
        }
    }

    /// Takes everything out.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = (K, V)> {
        let (one, many) = match mem::take(self) {
            Self::Empty => (None, None),
            Self::One(key, value) => (Some((key, value)), None),
            Self::Many(map) => (None, Some(map.into_iter())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Gives spare room back.
    pub(crate) fn shrink(&mut self) {
        if let Self::Many(map) = self {
            if map.is_empty() {
                *self = Self::Empty;
            } else {
                map.shrink_to_fit();
            }
        }
    }

    /// Bytes on the heap.
    pub(crate) fn heap_bytes(&self) -> usize {
        match self {
            Self::Many(map) => size_of::<HashMap<K, V, FixedState>>() + map.allocation_size(),
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grows_from_nothing_to_many_and_back() {
        let mut map = SmallMap::default();
        assert_eq!(map.insert(1, "a"), None);
        assert_eq!(map.insert(1, "b"), Some("a"));
        assert_eq!(map.insert(2, "c"), None);
        assert_eq!(map.get_mut(&2), Some(&mut "c"));
        assert_eq!(map.remove(&1), Some("b"));
        assert_eq!(map.remove(&1), None);
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&2, &"c")]);
        assert_eq!(map.remove(&2), Some("c"));
        assert_eq!(map.iter().count(), 0);
    }

    #[test]
    fn few_are_nothing_once_they_are_gone() {
        let mut map = SmallMap::default();
        for number in 0..FEW {
            map.insert(number, ());
        }
        assert!(map.heap_bytes() > 0);
        for number in 0..FEW {
            map.remove(&number);
        }
        assert_eq!(map.heap_bytes(), 0);
        map.insert(1, ());
        assert_eq!(map.heap_bytes(), 0);
    }

    #[test]
    fn all_are_visited_by_their_places() {
        let mut map = SmallMap::default();
        for number in 0..1000u32 {
            let mut visited = Vec::new();
            map.for_each_by_place(|_, value| value, |key, _| visited.push(key));
            assert!(visited.iter().copied().eq((0..number).rev()));
            map.insert(number, 1000 - number);
        }
    }

    #[test]
    fn room_for_thousands_goes_with_them() {
        let mut map = SmallMap::default();
        for number in 0..10_000u64 {
            map.insert(number, number);
        }
        let full = map.heap_bytes();
        for number in 1..10_000 {
            assert_eq!(map.remove(&number), Some(number));
        }
        assert!(map.heap_bytes() < full / 8, "{} bytes", map.heap_bytes());
        assert_eq!(map.iter().collect::<Vec<_>>(), [(&0, &0)]);
    }

    #[test]
    fn one_entry_needs_no_allocation() {
        let mut map = SmallMap::default();
        map.insert(1u64, 2u64);
        assert_eq!(map.heap_bytes(), 0);
        assert_eq!(map.remove(&2), None);
        assert_eq!(map.iter().count(), 1);
    }
}
