//! Changes against a model, with hashes of all widths: narrow ones reach all levels and the buckets.

use std::collections::BTreeMap;
use std::rc::Rc;

use proptest::prelude::*;

use super::{has, make, merge, put, remove};
use crate::key_hash::narrow;
use crate::limits::{BLOCK_WORDS_MAX, FLAT_MAP_PAIRS_MAX};
use crate::map::Map;
use crate::raw::{Shape, Space};
use crate::trie::term;
use crate::word::{MAP, Word};
use crate::{Builder, EncodeError, OwnedTerm, Term, copy, to_term};

type Model = BTreeMap<Rc<OwnedTerm>, i64>;
type Pattern = fn(i64) -> OwnedTerm;

/// Bits that hashes are left with: all; none, so that all keys share one bucket; the last place; the first two; the
/// first and the last; one of each place.
const MASKS: [u64; 6] = [
    u64::MAX,
    0,
    0xF,
    0xFF << 56,
    0xF000_0000_0000_000F,
    0x1111_1111_1111_1111,
];

const KINDS: i64 = 12;

/// Keys of all kinds; those of neighbours are equal by value and not exactly, or hold such.
fn key(number: i64) -> Rc<OwnedTerm> {
    let (kind, number) = (number % KINDS, number / KINDS);
    let float = number as f64;
    let made = match kind {
        0 => to_term(&number),
        1 => to_term(&float),
        2 => to_term(&-float),
        3 => to_term(&((1_i128 << 70) + i128::from(number))),
        4 => to_term(&crate::Atom::new(&format!("key_{number}")).unwrap()),
        5 => to_term(&format!("key_{number}")),
        6 => to_term(&format!("{number:090}")),
        7 => to_term(&(number, float)),
        8 => to_term(&BTreeMap::from([(number, 1)])),
        9 => finished(Builder::new().float(float).integer(1).map(1)),
        10 => to_term(&(0..40).map(|n| (n, number)).collect::<BTreeMap<_, _>>()),
        _ => finished(Builder::new().bits([number as u8, 0xE0], 11)),
    };
    Rc::new(made.unwrap())
}

fn finished(builder: &mut Builder<()>) -> Result<OwnedTerm, EncodeError> {
    std::mem::take(builder).finish(())
}

fn space() -> Space {
    Space::new(Shape::of::<()>(), 0, BLOCK_WORDS_MAX)
}

fn brought(space: &mut Space, key: &OwnedTerm) -> Word {
    copy::copy_into(space, key.root()).unwrap()
}

fn value(number: i64) -> Word {
    Word::small(number).unwrap()
}

fn made<'a>(space: &mut Space, pairs: impl Iterator<Item = (&'a Rc<OwnedTerm>, &'a i64)>) -> Word {
    let mut pairs: Vec<_> = pairs
        .map(|(key, number)| (brought(space, key), value(*number)))
        .collect();
    make(space, &mut pairs, 0).unwrap()
}

/// The headers of the map's objects and the texts of its pairs, from the first word to the last.
fn form(map: Term<'_>, form: &mut Vec<String>, level: u32) {
    let header = map.object_word(0);
    form.push(format!("{level}: {:x}", header.0));
    for index in 1..=header.term_words() as usize {
        let word = map.with_word(map.object_word(index));
        let node = index > usize::from(header.trie_is_root())
            && index
                <= usize::from(header.trie_is_root()) + header.trie_nodes().count_ones() as usize;
        if header.header_kind() == crate::word::TRIE && node {
            assert_eq!(word.word().tag(), MAP);
            self::form(word, form, level + 1);
        } else {
            form.push(word.to_string());
        }
    }
}

fn form_of(space: &Space, map: Word) -> Vec<String> {
    let mut all = Vec::new();
    form(term(space, map), &mut all, 0);
    all
}

/// That the map is the model's, and has the form that the model's pairs have when they are made a map at once.
fn check(space: &Space, map: Word, model: &Model) {
    let view = Map::new(term(space, map));
    assert_eq!(view.len(), model.len());
    assert_eq!(view.trie().is_some(), model.len() > FLAT_MAP_PAIRS_MAX);
    assert_eq!(view.iter().len(), model.len());
    let expected: Vec<_> = model
        .iter()
        .map(|(key, value)| (key.root(), *value))
        .collect();
    let number = |pair: (Term<'_>, Term<'_>)| pair.1.as_i64().unwrap();
    let sorted = view.sorted();
    let sorted: Vec<_> = sorted.iter().map(|pair| (pair.0, number(*pair))).collect();
    assert_eq!(sorted, expected);
    for (key, value) in &expected {
        assert_eq!(view.get(*key).and_then(Term::as_i64), Some(*value));
    }
    let mut fresh = self::space();
    // From the last to the first: another order than the keys' own.
    let again = made(&mut fresh, model.iter().rev());
    assert_eq!(form_of(space, map), form_of(&fresh, again));
    let (map, again) = (term(space, map), term(&fresh, again));
    assert!(map == again && map.cmp_exact(again).is_eq());
    assert_eq!(map.words(), again.words());
    let pairs = |map: Term<'_>| {
        Map::new(map)
            .iter()
            .map(|pair| pair.0.to_string())
            .collect()
    };
    let (order, order_again): (Vec<_>, Vec<_>) = (pairs(map), pairs(again));
    assert_eq!(order, order_again);
}

#[derive(Clone, Debug)]
enum Change {
    Put(i64, i64),
    Remove(i64),
    Merge(Vec<i64>, bool),
}

fn changes(keys: i64) -> impl Strategy<Value = Vec<Change>> {
    let change = prop_oneof![
        8 => (0..keys, 0..3_i64).prop_map(|(key, value)| Change::Put(key, value)),
        6 => (0..keys).prop_map(Change::Remove),
        1 => (prop::collection::vec(0..keys, 0..60), any::<bool>())
            .prop_map(|(keys, ours)| Change::Merge(keys, ours)),
    ];
    prop::collection::vec(change, 0..120)
}

fn apply(space: &mut Space, map: Word, model: &mut Model, change: &Change) -> Word {
    match change {
        Change::Put(number, new) => {
            let key = key(*number);
            let word = brought(space, &key);
            assert_eq!(has(space, map, word), model.contains_key(&key));
            model.insert(key, *new);
            put(space, map, word, value(*new)).unwrap()
        }
        Change::Remove(number) => {
            let key = key(*number);
            let word = brought(space, &key);
            let smaller = remove(space, map, word).unwrap();
            // A key that is not there changes nothing.
            assert_eq!(smaller == map, model.remove(&key).is_none());
            smaller
        }
        Change::Merge(numbers, ours) => {
            let other: Model = numbers.iter().map(|number| (key(*number), 9)).collect();
            let word = made(space, other.iter());
            let mut mine = model.clone();
            if *ours {
                *model = other;
                model.append(&mut mine);
                merge(space, word, map).unwrap()
            } else {
                let mut other = other;
                model.append(&mut other);
                merge(space, map, word).unwrap()
            }
        }
    }
}

fn model_holds(keys: i64, before: i64, changes: &[Change]) {
    for mask in MASKS {
        narrow::with(mask, || {
            let mut space = space();
            let mut model: Model = (0..before).map(|number| (key(number), 5)).collect();
            let mut map = made(&mut space, model.iter());
            check(&space, map, &model);
            let first = (map, model.clone());
            for change in changes {
                map = apply(&mut space, map, &mut model, change);
                assert_eq!(Map::new(term(&space, map)).len(), model.len(), "{change:?}");
            }
            check(&space, map, &model);
            // What was changed is as it was.
            check(&space, first.0, &first.1);
            for number in 0..keys {
                let key = key(number);
                let found = Map::new(term(&space, map)).get(key.root());
                assert_eq!(found.and_then(Term::as_i64), model.get(&key).copied());
            }
        });
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_small_map_is_its_model(changes in changes(45)) {
        model_holds(45, 0, &changes);
    }

    #[test]
    fn a_map_about_the_threshold_is_its_model(before in 30..36_i64, changes in changes(40)) {
        model_holds(40, before, &changes);
    }

    #[test]
    fn a_large_map_is_its_model(before in 200..300_i64, changes in changes(400)) {
        model_holds(400, before, &changes);
    }
}

/// Everything in, and out again in another order; the form is canonical all the way.
#[test]
fn a_map_grows_and_shrinks_through_all_sizes() {
    for mask in MASKS {
        narrow::with(mask, || {
            let mut space = space();
            let mut model = Model::new();
            let mut map = made(&mut space, model.iter());
            for number in 0..80 {
                map = apply(&mut space, map, &mut model, &Change::Put(number, number));
                check(&space, map, &model);
            }
            for number in 0..80 {
                map = apply(
                    &mut space,
                    map,
                    &mut model,
                    &Change::Remove(number * 7 % 80),
                );
                check(&space, map, &model);
            }
            assert!(model.is_empty());
        });
    }
}

#[test]
fn making_a_map_wastes_no_word() {
    for mask in MASKS {
        narrow::with(mask, || {
            for pairs in [0, 32, 33, 500] {
                let mut space = space();
                let mut given: Vec<_> = (0..pairs).map(|n| (value(n), value(0))).collect();
                // The same keys once more, with the values that count.
                given.extend((0..pairs).rev().map(|n| (value(n), value(n))));
                let map = make(&mut space, &mut given, 0).unwrap();
                let view = Map::new(term(&space, map));
                assert_eq!(view.term().words(), space.len() as usize);
                assert!(view.iter().all(|(key, value)| key == value));
                assert_eq!(view.len() as i64, pairs);
            }
        });
    }
}

#[test]
fn a_put_shares_all_but_one_way() {
    let mut space = space();
    let mut pairs: Vec<_> = (0..10_000).map(|n| (value(n), value(n))).collect();
    let map = make(&mut space, &mut pairs, 0).unwrap();
    let before = space.len();
    assert_eq!(put(&mut space, map, value(5), value(5)), Ok(map));
    assert_eq!(remove(&mut space, map, value(-1)), Ok(map));
    assert_eq!(merge(&mut space, map, map), Ok(map));
    assert_eq!(space.len(), before, "no change, no word");
    let changed = put(&mut space, map, value(5), value(6)).unwrap();
    assert!(
        space.len() - before < 5 * 20,
        "{} words",
        space.len() - before
    );
    let before = space.len();
    // The two differ along one way: all the rest is seen to be the same and not looked into.
    assert_eq!(merge(&mut space, map, changed), Ok(changed));
    assert_eq!(space.len(), before);
}

/// Keys of one pattern spread about as well as keys at random do, which take some 2.7 words a pair.
#[test]
fn keys_of_every_pattern_spread() {
    let patterns: [(&str, Pattern); 9] = [
        ("small integers", |n| to_term(&n).unwrap()),
        ("negative integers", |n| to_term(&-n).unwrap()),
        ("multiples of 2^16", |n| to_term(&(n << 16)).unwrap()),
        ("multiples of 2^44", |n| to_term(&(n << 44)).unwrap()),
        ("floats", |n| to_term(&(n as f64)).unwrap()),
        ("texts", |n| to_term(&format!("user:{n}")).unwrap()),
        ("long texts", |n| to_term(&format!("{n:070}")).unwrap()),
        ("pairs", |n| to_term(&(n / 100, n % 100)).unwrap()),
        ("pids", |n| {
            to_term(&crate::Pid::from_parts(n as u32, 1)).unwrap()
        }),
    ];
    for (name, pattern) in patterns {
        for total in [1000, 3000, 10_000] {
            let mut space = space();
            let mut pairs: Vec<_> = (0..total)
                .map(|n| (brought(&mut space, &pattern(n)), value(0)))
                .collect();
            let before = space.len();
            make(&mut space, &mut pairs, 0).unwrap();
            let words = f64::from(space.len() - before) / total as f64;
            assert!((2.1..3.4).contains(&words), "{total} {name}: {words} words");
        }
    }
}
