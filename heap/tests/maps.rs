//! Maps of all sizes, as one sees them from outside.

use std::collections::{BTreeMap, HashMap};

use otp_heap::{
    Atom, Block, Builder, EncodeError, FLAT_MAP_PAIRS_MAX, Native, OwnedTerm, Term, from_term,
    to_term,
};
use serde::ser::SerializeStruct;
use serde::{Deserialize, Serialize, Serializer};

const FLAT: i64 = FLAT_MAP_PAIRS_MAX as i64;

fn numbers(count: i64) -> OwnedTerm {
    let pairs: BTreeMap<i64, i64> = (0..count).map(|n| (n, -n)).collect();
    to_term(&pairs).unwrap()
}

fn flat_words(pairs: i64) -> usize {
    1 + 2 * pairs as usize
}

#[test]
fn a_map_is_flat_up_to_32_keys() {
    assert_eq!(FLAT, 32);
    assert_eq!(numbers(FLAT).root().words(), flat_words(FLAT));
    assert!(numbers(FLAT + 1).root().words() > flat_words(FLAT + 1));
}

#[test]
fn a_map_is_flat_again_once_it_has_32_keys() {
    let (flat, trie) = (numbers(FLAT), numbers(FLAT + 1));
    let mut builder = Builder::new();
    builder
        .term(flat.root())
        .integer(FLAT)
        .integer(-FLAT)
        .map_put();
    let grown = builder.finish(()).unwrap();
    assert_eq!(grown, trie);
    assert_eq!(grown.root().words(), trie.root().words());
    let mut builder = Builder::new();
    builder.term(trie.root()).integer(FLAT).map_remove();
    let shrunk = builder.finish(()).unwrap();
    assert_eq!(shrunk, flat);
    assert_eq!(shrunk.root().words(), flat_words(FLAT));
}

#[test]
fn what_is_no_map_or_no_key_is_an_error() {
    let mut builder = Builder::new();
    builder.integer(1).integer(1).integer(1).map_put();
    assert_eq!(builder.finish(()).unwrap_err(), EncodeError::BadMap);
    let mut builder = Builder::new();
    builder.nil().integer(1).map_remove();
    assert_eq!(builder.finish(()).unwrap_err(), EncodeError::BadMap);
    let mut builder = Builder::new();
    builder.map(0).nil().map_merge();
    assert_eq!(builder.finish(()).unwrap_err(), EncodeError::BadMap);
    let mut builder = Builder::new();
    builder.map(0).integer(1).map_put();
    let error = EncodeError::Stack {
        needed: 3,
        present: 2,
    };
    assert_eq!(builder.finish(()).unwrap_err(), error);
    for size in [5, 100] {
        let map = numbers(size);
        let mut builder = Builder::new();
        builder.term(map.root()).integer(3).integer(7).map_update();
        builder.integer(3).integer(8).map_update();
        let updated = builder.finish(()).unwrap();
        let found = updated
            .root()
            .as_map()
            .unwrap()
            .get(to_term(&3).unwrap().root());
        assert_eq!(found.and_then(Term::as_i64), Some(8));
        let mut builder = Builder::new();
        builder.term(map.root()).float(3.0).integer(7).map_update();
        assert_eq!(builder.finish(()).unwrap_err(), EncodeError::BadKey);
    }
}

#[test]
fn of_a_key_in_both_maps_the_second_counts() {
    for (left, right) in [(3, 5), (20, 40), (40, 20), (100, 3000)] {
        let (one, other) = (
            numbers(left),
            to_term(&(0..right).map(|n| (n, n)).collect::<HashMap<_, _>>()).unwrap(),
        );
        let mut builder = Builder::new();
        builder.term(one.root()).term(other.root()).map_merge();
        let merged: BTreeMap<i64, i64> = from_term(builder.finish(()).unwrap().root()).unwrap();
        let expected = (0..left.max(right)).map(|n| (n, if n < right { n } else { -n }));
        assert_eq!(merged, expected.collect());
    }
}

#[test]
fn a_large_map_comes_back() {
    let map: HashMap<String, (i64, f64)> = (0..1000)
        .map(|n| (format!("key {n}"), (n, n as f64)))
        .collect();
    let term = to_term(&map).unwrap();
    let back: HashMap<String, (i64, f64)> = from_term(term.root()).unwrap();
    assert_eq!(back, map);
}

#[test]
fn copies_of_a_large_map_are_equal_wherever_they_land() {
    // Keys and values that lie outside, and maps in the map.
    let map: BTreeMap<String, BTreeMap<i64, Vec<u8>>> = (0..100)
        .map(|n| {
            (
                format!("{n:080}"),
                (0..n).map(|m| (m, vec![1; 70])).collect(),
            )
        })
        .collect();
    let term = to_term(&map).unwrap();
    let whole = Block::copy_of(1_u64, term.root()).unwrap();
    let moved = to_term(&(1, &term)).unwrap();
    let inside = moved.root().as_tuple().unwrap().get(1).unwrap();
    let part = OwnedTerm::copy_of((), inside).unwrap();
    let order = |term: Term<'_>| -> Vec<String> {
        let pairs = term.as_map().unwrap().iter();
        pairs.map(|pair| pair.0.to_string()).collect()
    };
    for copy in [whole.root(), inside, part.root()] {
        assert!(copy == term.root() && copy.cmp_exact(term.root()).is_eq());
        assert_eq!(copy.words(), term.root().words());
        assert_eq!(order(copy), order(term.root()));
        for (key, value) in term.root().as_map().unwrap() {
            assert_eq!(copy.as_map().unwrap().get(key), Some(value));
        }
    }
}

#[test]
fn large_maps_are_in_erlangs_order() {
    let base: BTreeMap<i64, i64> = (0..50).map(|n| (n, 0)).collect();
    let with = |key: i64, value: i64| {
        let mut map = base.clone();
        map.insert(key, value);
        to_term(&map).unwrap()
    };
    // By size, then by keys in order, then by values in the order of their keys.
    let order = [
        to_term(&base).unwrap(),
        with(-2, 0),
        with(-1, 0),
        with(-1, 1),
        with(50, -5),
        with(50, 5),
    ];
    assert!(order.is_sorted_by(|left, right| left < right));
}

#[test]
fn equal_numbers_of_two_kinds_are_two_keys() {
    let mut builder = Builder::new();
    for number in 0..100 {
        builder.integer(number).atom(otp_heap::atoms::OK);
        builder.float(number as f64).atom(otp_heap::atoms::ERROR);
    }
    builder.map(200);
    let map = builder.finish(()).unwrap();
    let map = map.root().as_map().unwrap();
    assert_eq!(map.len(), 200);
    let get = |key: &OwnedTerm| map.get(key.root()).and_then(Term::as_atom);
    assert_eq!(get(&to_term(&7).unwrap()), Some(otp_heap::atoms::OK));
    assert_eq!(get(&to_term(&7.0).unwrap()), Some(otp_heap::atoms::ERROR));
    assert_eq!(get(&to_term(&-0.0).unwrap()), None);
}

/// A struct of so many fields, of which the last may bear the name of the first.
struct Wide(usize, bool);

impl Wide {
    fn names(&self) -> Vec<&'static str> {
        let name = |n| Atom::new(&format!("wide_{n}")).unwrap().as_str();
        let mut names: Vec<_> = (0..self.0).map(name).collect();
        if self.1 {
            names[self.0 - 1] = names[0];
        }
        names
    }
}

impl Serialize for Wide {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("Wide", self.0)?;
        for (index, name) in self.names().into_iter().enumerate() {
            // A map inside: its pairs are held on the same stack.
            fields.serialize_field(name, &HashMap::from([(index, "x")]))?;
        }
        fields.end()
    }
}

#[test]
fn a_struct_over_32_fields_is_a_trie() {
    for fields in [32, 33, 100] {
        let term = to_term(&(1, Wide(fields, false), Wide(fields, false))).unwrap();
        for index in 1..3 {
            let term = term.root().as_tuple().unwrap().get(index).unwrap();
            let map: BTreeMap<String, BTreeMap<usize, String>> = from_term(term).unwrap();
            let names = Wide(fields, false).names().into_iter().enumerate();
            let expected = names.map(|(n, name)| (name.into(), BTreeMap::from([(n, "x".into())])));
            assert_eq!(map, expected.collect());
            let again = to_term(
                &map.iter()
                    .map(|(name, value)| (Atom::new(name).unwrap(), value))
                    .collect::<HashMap<_, _>>(),
            );
            assert_eq!(again.unwrap().root(), term);
        }
        let error = to_term(&Wide(fields, true)).unwrap_err();
        let text = "a struct has the field wide_0 twice";
        assert_eq!(error, EncodeError::Message(text.into()));
    }
}

#[test]
fn a_struct_is_read_from_a_trie() {
    #[derive(Deserialize, PartialEq, Debug)]
    struct Two {
        wide_3: HashMap<u8, String>,
        wide_70: HashMap<u8, String>,
    }
    let term = to_term(&Wide(80, false)).unwrap();
    let two: Two = from_term(term.root()).unwrap();
    assert_eq!(two.wide_3, HashMap::from([(3, "x".into())]));
    assert_eq!(two.wide_70, HashMap::from([(70, "x".into())]));
}

#[test]
fn a_map_of_very_many_keys_holds_them_all() {
    let mut builder = Builder::new();
    builder.map(0);
    for number in 0..20_000_i64 {
        builder
            .integer(number * 31 % 20_000)
            .integer(number)
            .map_put();
    }
    let grown = builder.finish(()).unwrap();
    let made: HashMap<i64, i64> = (0..20_000).map(|n| (n * 31 % 20_000, n)).collect();
    assert_eq!(grown, to_term(&made).unwrap());
    let large = numbers(100_000);
    let map = large.root().as_map().unwrap();
    assert_eq!((map.len(), map.iter().len()), (100_000, 100_000));
    let mut found: Vec<_> = map.iter().map(|pair| pair.0.as_i64().unwrap()).collect();
    found.sort();
    assert!(found.into_iter().eq(0..100_000));
    assert!(
        map.sorted()
            .into_iter()
            .map(|pair| pair.0.as_i64().unwrap())
            .eq(0..100_000)
    );
}

#[test]
fn resources_are_keys_too() {
    struct Keys(Vec<Native<u32>>);
    impl Serialize for Keys {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().zip(0..40))
        }
    }
    let block = to_term(&Keys((0..40).map(Native::new).collect())).unwrap();
    let block = block.with_header([0_u64; 9]);
    let map = block.root().as_map().unwrap();
    assert_eq!(map.len(), 40);
    let mut values = Vec::new();
    for (key, value) in map {
        assert_eq!(map.get(key), Some(value));
        values.push(value.as_i64().unwrap());
    }
    values.sort();
    assert!(values.into_iter().eq(0..40));
}
