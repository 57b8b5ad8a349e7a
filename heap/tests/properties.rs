//! Properties of random terms.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::hash::BuildHasher;

use otp_heap::{Atom, Binary, Block, OwnedTerm, Pid, Ref, from_term, to_block, to_term};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

/// A value of every kind of term.
#[derive(Clone, Debug, PartialEq, PartialOrd)]
enum Value {
    Integer(i128),
    Float(f64),
    Atom(Atom),
    Ref(Ref),
    Pid(Pid),
    Tuple(Vec<Value>),
    Map(Vec<(Value, Value)>),
    List(Vec<Value>),
    Binary(Vec<u8>),
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeTuple;
        match self {
            Value::Integer(value) => value.serialize(serializer),
            Value::Float(value) => value.serialize(serializer),
            Value::Atom(value) => value.serialize(serializer),
            Value::Ref(value) => value.serialize(serializer),
            Value::Pid(value) => value.serialize(serializer),
            Value::Tuple(values) => {
                let mut tuple = serializer.serialize_tuple(values.len())?;
                values
                    .iter()
                    .try_for_each(|value| tuple.serialize_element(value))?;
                tuple.end()
            }
            Value::Map(pairs) => {
                serializer.collect_map(pairs.iter().map(|pair| (&pair.0, &pair.1)))
            }
            Value::List(values) => values.serialize(serializer),
            Value::Binary(bytes) => Binary::from(&bytes[..]).serialize(serializer),
        }
    }
}

fn value() -> impl Strategy<Value = Value> {
    let float = prop_oneof![
        (-4..4_i32).prop_map(f64::from),
        prop::num::f64::NORMAL,
        Just((1_u64 << 60) as f64),
        Just(0.5),
        Just(-0.0),
    ];
    let leaf = prop_oneof![
        (-4..4_i128).prop_map(Value::Integer),
        any::<i128>().prop_map(Value::Integer),
        any::<i64>().prop_map(|value| Value::Integer(value.into())),
        Just(Value::Integer(1 << 60)),
        float.prop_map(Value::Float),
        "[a-c]{0,2}".prop_map(|name| Value::Atom(Atom::new(&name).unwrap())),
        (0..3_u64).prop_map(|value| Value::Ref(Ref::from_u64(value))),
        (0..3_u32, 0..3_u32).prop_map(|(index, serial)| Value::Pid(Pid::from_parts(index, serial))),
        prop::collection::vec(any::<u8>(), 0..3).prop_map(Value::Binary),
        prop::collection::vec(0..2_u8, 60..70).prop_map(Value::Binary),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        let pairs = prop::collection::vec((inner.clone(), inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Tuple),
            prop::collection::vec(inner, 0..4).prop_map(Value::List),
            pairs.prop_map(Value::Map),
        ]
    })
}

fn term() -> impl Strategy<Value = OwnedTerm> {
    value().prop_map(|value| to_term(&value).unwrap())
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Message {
    Unit,
    One(Option<i64>),
    Many(u64, String, Vec<(i128, bool)>),
    Named {
        key: Vec<u8>,
        value: BTreeMap<String, f32>,
        rest: Option<Box<Message>>,
    },
    Results(Vec<Result<u8, char>>),
}

fn message() -> impl Strategy<Value = Message> {
    let finite = prop::num::f32::NORMAL;
    let leaf = prop_oneof![
        Just(Message::Unit),
        any::<Option<i64>>().prop_map(Message::One),
        (
            any::<u64>(),
            any::<String>(),
            prop::collection::vec(any::<(i128, bool)>(), 0..5)
        )
            .prop_map(|(number, text, list)| Message::Many(number, text, list)),
        prop::collection::vec(any::<Result<u8, char>>(), 0..5).prop_map(Message::Results),
    ];
    leaf.prop_recursive(3, 8, 1, move |inner| {
        let value = prop::collection::btree_map(any::<String>(), finite, 0..4);
        (any::<Vec<u8>>(), value, inner).prop_map(|(key, value, rest)| Message::Named {
            key,
            value,
            rest: Some(Box::new(rest)),
        })
    })
}

proptest! {
    #[test]
    fn values_come_back(message in message()) {
        let term = to_term(&message).unwrap();
        prop_assert_eq!(from_term::<Message>(term.root()).unwrap(), message);
    }

    #[test]
    fn copies_are_equal_wherever_they_land(value in value(), header in any::<u128>()) {
        let term = to_term(&value).unwrap();
        let copy = Block::copy_of(header, term.root()).unwrap();
        prop_assert_eq!(copy.root(), term.root());
        prop_assert_eq!(copy.root().words(), term.root().words());
        let block = to_block((), &(1, &copy, &value)).unwrap();
        for index in 1..3 {
            let part = block.root().as_tuple().unwrap().get(index).unwrap();
            prop_assert_eq!(part, term.root());
            let again = Block::copy_of((), part).unwrap();
            prop_assert_eq!(again.root(), term.root());
        }
        let text = term.to_string();
        prop_assert_eq!(copy.with_header(0_u8).with_header([1_u8; 40]).to_string(), text);
    }

    #[test]
    fn equality_order_and_hash_agree(left in term(), right in term()) {
        let hasher = std::hash::RandomState::new();
        let (left, right) = (left.root(), right.root());
        prop_assert_eq!(left.cmp(&right), right.cmp(&left).reverse());
        prop_assert_eq!(left.cmp_value(right), right.cmp_value(left).reverse());
        prop_assert_eq!(left.cmp(&left), Ordering::Equal);
        prop_assert_eq!(left == right, left.cmp(&right).is_eq());
        if left == right {
            prop_assert_eq!(hasher.hash_one(left), hasher.hash_one(right));
            prop_assert_eq!(left.cmp_value(right), Ordering::Equal);
            prop_assert_eq!(left.to_string(), right.to_string());
        }
    }

    #[test]
    fn the_order_is_transitive(mut terms in prop::collection::vec(term(), 3..8)) {
        // A sorted list whose every pair is in order has no cycle.
        terms.sort();
        for (index, left) in terms.iter().enumerate() {
            for right in &terms[index..] {
                prop_assert!(left <= right, "{left} {right}");
            }
        }
        terms.sort_by(|left, right| left.root().cmp_value(right.root()));
        for (index, left) in terms.iter().enumerate() {
            for right in &terms[index..] {
                prop_assert!(left.root().cmp_value(right.root()).is_le(), "{left} {right}");
            }
        }
    }

    #[test]
    fn every_key_of_a_map_is_found(value in prop::collection::vec((value(), value()), 0..50)) {
        let term = to_term(&Value::Map(value.clone())).unwrap();
        let map = term.root().as_map().unwrap();
        let keys: Vec<_> = map.sorted().into_iter().map(|pair| pair.0).collect();
        prop_assert_eq!(keys.len(), map.len());
        prop_assert!(keys.windows(2).all(|pair| pair[0] < pair[1]));
        for (key, _) in &value {
            let key = to_term(key).unwrap();
            let last = value.iter().rev().find(|pair| to_term(&pair.0).unwrap() == key).unwrap();
            let last = to_term(&last.1).unwrap();
            prop_assert_eq!(map.get(key.root()), Some(last.root()));
        }
    }
}

#[test]
fn kinds_stand_in_erlangs_order() {
    let atom = Atom::new("z").unwrap();
    let kinds = [
        Value::Float(1e300),
        Value::Atom(atom),
        Value::Ref(Ref::from_u64(0)),
        Value::Pid(Pid::from_parts(0, 0)),
        Value::Tuple(vec![]),
        Value::Tuple(vec![Value::Atom(atom)]),
        Value::Tuple(vec![Value::Integer(0), Value::Integer(0)]),
        Value::Map(vec![]),
        Value::Map(vec![(Value::Integer(2), Value::Integer(1))]),
        Value::Map(vec![(Value::Float(2.0), Value::Integer(0))]),
        Value::List(vec![]),
        Value::List(vec![Value::Integer(9)]),
        Value::List(vec![Value::Integer(9), Value::Integer(0)]),
        Value::Binary(vec![]),
        Value::Binary(vec![0; 70]),
        Value::Binary(vec![0, 1]),
    ];
    let terms = kinds.map(|kind| to_term(&kind).unwrap());
    assert!(terms.is_sorted_by(|left, right| left < right), "{terms:?}");
}

#[test]
fn numbers_are_equal_by_value_and_apart_exactly() {
    let (integer, float) = (to_term(&1).unwrap(), to_term(&1.0).unwrap());
    assert_eq!(integer.root().cmp_value(float.root()), Ordering::Equal);
    assert!(integer < float);
    assert_ne!(integer, float);
    let (zero, minus) = (to_term(&0.0).unwrap(), to_term(&-0.0).unwrap());
    assert_eq!(zero.root().cmp_value(minus.root()), Ordering::Equal);
    assert!(minus < zero);
}
