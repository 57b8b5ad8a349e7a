//! Maps under random changes, beside `BTreeMap` with keys that order themselves.
#![no_main]

use std::cmp::Ordering;
use std::collections::BTreeMap;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use otp_heap::{Builder, EncodeError, Heap, Place, Root, Term, from_term, to_term};
use otp_heap_fuzz::{assert_same, byte, number};
use serde::Serialize;

/// A key, in the order of Erlang's exact one.
#[derive(Arbitrary, Serialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(untagged)]
enum Key {
    Small(i8),
    Large(Large),
    Tuple(i8, u8),
    List(Vec<i8>),
    Binary(Text),
}

/// An integer that takes more than 60 bits.
#[derive(Arbitrary, Serialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
#[serde(into = "i128")]
struct Large(u64);

impl From<Large> for i128 {
    fn from(large: Large) -> i128 {
        i128::from(large.0) + (1 << 60)
    }
}

#[derive(Serialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Text(String);

impl<'a> Arbitrary<'a> for Text {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Text> {
        // Some are over 64 bytes, and shared.
        let repeated = if input.arbitrary()? { 70 } else { 1 };
        Ok(Text(
            char::from(input.arbitrary::<u8>()?)
                .to_string()
                .repeat(repeated),
        ))
    }
}

type Model = BTreeMap<Key, u64>;

/// Maps that are changed side by side.
const MAPS: usize = 3;

/// Pairs added by one operation at most.
const PAIRS_MAX: u64 = 300;

/// Pairs of a map that has enough of them, and rounds of changes, so that an input takes little time.
const ENOUGH: usize = 1_000;
const ROUNDS_MAX: usize = 50;

fuzz_target!(|data: &[u8]| {
    let mut input = Unstructured::new(data);
    let mut heap = Heap::new();
    let mut maps: [(Root, Model); MAPS] = std::array::from_fn(|_| {
        let mut builder = heap.builder();
        builder.map(0);
        (builder.keep().unwrap(), Model::new())
    });
    for _ in 0..ROUNDS_MAX {
        if input.is_empty() {
            break;
        }
        let at = byte(&mut input) % MAPS;
        let other = byte(&mut input) % MAPS;
        let mut model = maps[at].1.clone();
        let mut builder = heap.builder();
        builder.root(&maps[at].0);
        if other == at {
            for _ in 0..=byte(&mut input) % 32 {
                change(&mut builder, &mut input, &mut model);
            }
        } else {
            builder.root(&maps[other].0).map_merge();
            model.extend(maps[other].1.clone());
        }
        let root = builder.keep().unwrap();
        let (old, _) = std::mem::replace(&mut maps[at], (root, model));
        heap.release(old).unwrap();
        // However it came about, it is the map that is made at once.
        assert!(heap.get(&maps[at].0).unwrap() == to_term(&maps[at].1).unwrap().root());
    }
    // Changes share, so the others must be as they were, and after a collection, too.
    heap.collect();
    for (root, model) in &maps {
        check(heap.get(root).unwrap(), model);
    }
    let [one, other] = [&maps[0], &maps[1]].map(|(root, model)| (heap.get(root).unwrap(), model));
    assert_eq!(one.0 == other.0, one.1 == other.1);
    assert_eq!(one.0.cmp_exact(other.0), order(one.1, other.1));
});

fn change<H, P: Place>(
    builder: &mut Builder<H, P>,
    input: &mut Unstructured<'_>,
    model: &mut Model,
) {
    let choice = byte(input);
    if choice % 16 == 0 && model.len() < ENOUGH {
        let (first, count) = (number(input) >> 1, number(input) % PAIRS_MAX);
        for number in first..first + count {
            builder
                .value(&Key::Large(Large(number)))
                .integer(number)
                .map_put();
            model.insert(Key::Large(Large(number)), number);
        }
        return;
    }
    if choice % 16 == 1 {
        while model.len() > choice {
            if let Some((key, _)) = model.pop_last() {
                builder.value(&key).map_remove();
            }
        }
        return;
    }
    let key = Key::arbitrary(input).unwrap_or(Key::Small(0));
    builder.value(&key);
    if choice % 3 == 0 {
        builder.map_remove();
        model.remove(&key);
    } else {
        let value = number(input);
        builder.integer(value);
        if choice % 3 == 1 && model.contains_key(&key) {
            builder.map_update();
        } else {
            builder.map_put();
        }
        model.insert(key, value);
    }
}

fn check(term: Term<'_>, model: &Model) {
    let map = term.as_map().unwrap();
    assert_eq!((map.len(), map.is_empty()), (model.len(), model.is_empty()));
    let made = to_term(model).unwrap();
    assert_same(term, made.root());
    assert_eq!(term.words(), made.root().words());
    let sorted = map.sorted();
    assert_eq!(sorted.len(), model.len());
    for ((key, value), (wanted, number)) in sorted.into_iter().zip(model) {
        assert!(
            key == to_term(wanted).unwrap().root(),
            "{key} is not {wanted:?}"
        );
        assert_eq!(from_term::<u64>(value), Ok(*number));
    }
    for (key, value) in map {
        assert!(map.get(key) == Some(value));
    }
    for key in [
        Key::Small(0),
        Key::List(vec![]),
        Key::Tuple(0, 0),
        Key::Large(Large(0)),
    ] {
        let found = map.get(to_term(&key).unwrap().root());
        assert_eq!(
            found.map(|value| from_term(value).unwrap()),
            model.get(&key).copied()
        );
        let mut builder = Builder::<()>::new();
        builder.term(term).value(&key).nil().map_update();
        match builder.finish(()) {
            Ok(updated) => {
                let value = updated
                    .root()
                    .as_map()
                    .unwrap()
                    .get(to_term(&key).unwrap().root());
                assert!(found.is_some() && value.unwrap().is_nil());
            }
            Err(error) => assert!(found.is_none() && error == EncodeError::BadKey, "{error}"),
        }
    }
}

/// Erlang's order of maps: by size, then keys, then values.
fn order(left: &Model, right: &Model) -> Ordering {
    left.len()
        .cmp(&right.len())
        .then_with(|| left.keys().cmp(right.keys()))
        .then_with(|| left.values().cmp(right.values()))
}
