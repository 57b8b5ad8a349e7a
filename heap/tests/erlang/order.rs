//! Order, both equalities and `phash2`.

use std::cmp::Ordering;

use otp_heap::OwnedTerm;

use crate::erlang_support::{Erlang, Node, Random, Value, erlang};

/// Terms and pairs of them that a test asks about.
const PAIRS: usize = 20_000;

fn boolean(value: &Value) -> bool {
    match value {
        Value::Atom(name) => name == "true",
        other => panic!("{other:?} is no boolean"),
    }
}

/// Asks the node for `<`, `==` and `=:=` of each pair, and holds ours against them, both ways round.
fn compare(erlang: &mut Erlang, pairs: &[(Value, Value)]) {
    let batch = pairs
        .iter()
        .map(|(left, right)| vec![left.clone(), right.clone()]);
    let answers = erlang.ask("compare", batch.collect());
    for ((left, right), answer) in pairs.iter().zip(answers) {
        let Value::Tuple(parts) = answer else {
            panic!("{answer:?} is no answer");
        };
        let [less, equal, exact] = [0, 1, 2].map(|index| boolean(&parts[index]));
        let expected = match (less, equal) {
            (true, _) => Ordering::Less,
            (_, true) => Ordering::Equal,
            _ => Ordering::Greater,
        };
        let (left, right) = (left.to_term(), right.to_term());
        let (left, right) = (left.root(), right.root());
        assert_eq!(left.cmp_value(right), expected, "{left} and {right}");
        assert_eq!(
            right.cmp_value(left),
            expected.reverse(),
            "{right} and {left}"
        );
        assert_eq!(left == right, exact, "{left} and {right}");
        assert_eq!(
            left.cmp_exact(right).is_eq(),
            exact,
            "{left} and {right}, exactly"
        );
    }
}

/// A value that differs from another in one place, or not at all.
fn altered(random: &mut Random, value: &Value) -> Value {
    let mut value = value.clone();
    alter(random, &mut value);
    value
}

fn alter(random: &mut Random, value: &mut Value) {
    let within = |random: &mut Random, values: &mut [Value]| {
        let index = random.below(values.len());
        alter(random, &mut values[index]);
    };
    match value {
        Value::Tuple(elements) if !elements.is_empty() => within(random, elements),
        Value::List(elements, tail) => match random.below(elements.len() + 1) {
            0 => alter_tail(random, tail),
            _ => within(random, elements),
        },
        Value::Map(pairs) if !pairs.is_empty() => {
            let index = random.below(pairs.len());
            if random.one_in(2) {
                let mut key = pairs[index].0.clone();
                alter(random, &mut key);
                if !pairs.iter().any(|(other, _)| other.same(&key)) {
                    pairs[index].0 = key;
                }
            } else {
                alter(random, &mut pairs[index].1);
            }
        }
        // The same number of the other kind, if there is one.
        Value::Integer(..) if random.one_in(2) => {
            if let Some(number) = value.to_i128().filter(|number| number.abs() < 1 << 53) {
                *value = Value::Float(number as f64);
            }
        }
        Value::Float(float) if random.one_in(2) => {
            let whole = float.trunc();
            if whole == *float && whole.abs() < 2_f64.powi(100) {
                *value = Value::from(whole as i128);
            }
        }
        Value::Bits(bytes, last) if !bytes.is_empty() => {
            let end = bytes.len() - 1;
            *last = random.below(8) as u8;
            if *last > 0 {
                bytes[end] &= 0xFF << (8 - *last);
            }
        }
        leaf if random.one_in(2) => *leaf = random.value(1),
        _ => {}
    }
}

/// A list's tail stays no list: a list in a list's tail would be one list, which a [`Value`] says otherwise.
fn alter_tail(random: &mut Random, tail: &mut Value) {
    let other = random.value(1);
    if !matches!(other, Value::List(..)) {
        *tail = other;
    }
}

#[test]
fn order_and_equality_of_random_pairs() {
    let Some(mut erlang) = erlang() else { return };
    let mut random = Random::new(11);
    let pairs: Vec<_> = (0..PAIRS)
        .map(|index| {
            let left = random.value([1, 8, 40][index % 3]);
            let right = match index % 4 {
                0 => random.value([1, 8, 40][index % 3]),
                _ => altered(&mut random, &left),
            };
            (left, right)
        })
        .collect();
    pairs
        .chunks(2000)
        .for_each(|pairs| compare(&mut erlang, pairs));
}

#[test]
fn order_of_leaves_of_one_kind() {
    let Some(mut erlang) = erlang() else { return };
    let mut random = Random::new(12);
    // Of numbers, identifiers, atoms and bitstrings, neighbours are likely where few of them are.
    let leaves: Vec<Value> = (0..200).map(|_| random.value(1)).collect();
    let pairs: Vec<_> = leaves
        .iter()
        .flat_map(|left| leaves.iter().map(|right| (left.clone(), right.clone())))
        .collect();
    pairs
        .chunks(10_000)
        .for_each(|pairs| compare(&mut erlang, pairs));
}

#[test]
fn integers_beside_floats() {
    let Some(mut erlang) = erlang() else { return };
    let mut random = Random::new(13);
    let powers = [0, 1, 27, 52, 53, 54, 58, 59, 60, 62, 63, 64, 65, 100, 126];
    let mut pairs = Vec::new();
    for power in powers {
        for near in -3..=3_i128 {
            let integer = (1 << power) + near;
            for float in [integer as f64, 2_f64.powi(power), 2_f64.powi(power) + 0.5] {
                for bits in [-1, 0, 1] {
                    let float = f64::from_bits(float.to_bits().wrapping_add_signed(bits));
                    for (integer, float) in [(integer, float), (-integer, -float)] {
                        // -0.0 is equal to 0.0 or not, by the release.
                        if float.is_finite() && float.to_bits() != (-0.0_f64).to_bits() {
                            pairs.push((Value::from(integer), Value::Float(float)));
                        }
                    }
                }
            }
        }
    }
    for _ in 0..3000 {
        pairs.push((random.integer(), Value::Float(random.float())));
        pairs.push((random.integer(), random.integer()));
    }
    compare(&mut erlang, &pairs);
}

#[test]
fn maps_on_both_sides_of_flat() {
    let Some(mut erlang) = erlang() else { return };
    let mut random = Random::new(14);
    let mut pairs = Vec::new();
    for round in 0..1500 {
        let len = [1, 3, 31, 32, 33, 34, 80][round % 7];
        let key = |random: &mut Random| match random.below(3) {
            0 => Value::from(random.below(200) as i128),
            1 => Value::Float(random.below(200) as f64),
            _ => Value::Tuple(vec![
                Value::Float(1.0),
                Value::from(random.below(200) as i128),
            ]),
        };
        let mut map: Vec<(Value, Value)> = Vec::new();
        while map.len() < len {
            let key = key(&mut random);
            if !map.iter().any(|(other, _)| *other == key) {
                map.push((key, Value::from(random.below(3) as i128)));
            }
        }
        let mut other = map.clone();
        for _ in 0..random.below(4) {
            let index = random.below(len);
            let key = key(&mut random);
            if random.one_in(2) && !other.iter().any(|(present, _)| *present == key) {
                other[index].0 = key;
            } else {
                other[index].1 = match random.below(3) {
                    0 => Value::Float(1.0),
                    _ => Value::from(random.below(3) as i128),
                };
            }
        }
        pairs.push((Value::Map(map), Value::Map(other)));
    }
    // The same as keys and as values of other maps.
    let nested: Vec<_> = pairs
        .windows(2)
        .step_by(2)
        .map(|two| {
            let pair = |map: &Value, other: &Value| {
                let more = (0..40).map(|key| (Value::from(key), Value::Nil));
                let pairs = [(map.clone(), other.clone())].into_iter().chain(more);
                Value::Map(pairs.collect())
            };
            let ((left, right), (value, other)) = (&two[0], &two[1]);
            (pair(left, value), pair(right, other))
        })
        .collect();
    compare(&mut erlang, &pairs);
    compare(&mut erlang, &nested);
}

#[test]
fn sorting_as_lists_sort_does() {
    let Some(mut erlang) = erlang() else { return };
    let mut random = Random::new(15);
    for _ in 0..20 {
        let values: Vec<Value> = (0..500).map(|_| random.value(3)).collect();
        let sorted = erlang.ask("sort", vec![vec![Value::list(values.clone())]]);
        let mut terms: Vec<OwnedTerm> = values.iter().map(Value::to_term).collect();
        terms.sort_by(|left, right| left.root().cmp_value(right.root()));
        let sorted = sorted.into_iter().next().and_then(Value::elements);
        for (ours, theirs) in terms.iter().zip(sorted.unwrap()) {
            // Not `=:=`: which of 1 and 1.0 comes first is up to the sorting.
            let theirs = theirs.to_term();
            assert!(
                ours.root().cmp_value(theirs.root()).is_eq(),
                "{ours} and {theirs}"
            );
        }
    }
}

/// Asks for `phash2` of each value, and in ranges small, odd and largest.
fn hash(erlang: &mut Erlang, values: &[Value]) {
    const RANGES: [u64; 4] = [1, 1000, (1 << 27) + 1, 1 << 32];
    let mut batch = Vec::new();
    let mut ours = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let term = value.to_term();
        batch.push(vec![value.clone()]);
        ours.push((term.root().phash2(), value));
        let range = RANGES[index % RANGES.len()];
        batch.push(vec![value.clone(), Value::from(i128::from(range))]);
        ours.push((term.root().phash2_range(range), value));
    }
    let theirs = erlang.ask("phash2", batch);
    for ((ours, value), theirs) in ours.into_iter().zip(theirs) {
        assert_eq!(Some(i128::from(ours)), theirs.to_i128(), "{value:?}");
    }
}

#[test]
fn phash2_of_random_values() {
    let Some(mut erlang) = erlang() else { return };
    let mut random = Random::new(16);
    let values: Vec<Value> = (0..PAIRS)
        .map(|index| random.value([1, 2, 10, 40][index % 4]))
        .collect();
    values
        .chunks(2000)
        .for_each(|values| hash(&mut erlang, values));
}

#[test]
fn phash2_where_its_rules_change() {
    let Some(mut erlang) = erlang() else { return };
    let mut values = Vec::new();
    for power in [0, 7, 8, 26, 27, 28, 31, 32, 58, 59, 60, 63, 64, 65, 96, 120] {
        for near in -2..=2 {
            values.extend([(1_i128 << power) + near, -(1_i128 << power) + near].map(Value::from));
        }
    }
    values.extend([0.0, -0.0, 1.0, -1.5, f64::MAX, f64::MIN_POSITIVE].map(Value::Float));
    // Lists of bytes, of what is no byte, and of both; with tails of all sorts.
    let elements = |length: usize| (0..length).map(|index| Value::from(250 + index as i128 % 6));
    for length in 0..12 {
        values.push(Value::list(elements(length)));
        for other in [
            Value::from(256),
            Value::from(-1),
            Value::atom("a"),
            Value::Nil,
        ] {
            let list: Vec<Value> = elements(length)
                .chain([other.clone()])
                .chain(elements(length))
                .collect();
            values.push(Value::List(list.clone(), Box::new(other.clone())));
            values.push(Value::list([Value::list(list), other]));
        }
    }
    for length in 0..40 {
        let bytes: Vec<u8> = (0..length as u8)
            .map(|byte| byte.wrapping_mul(37))
            .collect();
        values.push(Value::binary(bytes.clone()));
        values.push(Value::Tuple(vec![
            Value::from(1),
            Value::binary(bytes.clone()),
        ]));
        if let Some((last, whole)) = bytes.split_last() {
            for bits in 1..8 {
                let last = [last & 0xFF << (8 - bits)];
                values.push(Value::Bits([whole, &last].concat(), bits));
            }
        }
    }
    for name in [
        "",
        "a",
        "é",
        "ÿÿÿ",
        "a\u{80}",
        "ł",
        "語",
        "é語é",
        "aaaaaaaaaaaaaaaaé",
    ] {
        values.push(Value::atom(name));
        values.push(Value::Tuple(vec![Value::atom(name), Value::atom(name)]));
        values.push(Value::Export(name.into(), "f".into(), 3));
    }
    let there = Node {
        name: "there@host".into(),
        creation: 3,
    };
    for id in [
        0,
        1,
        0x7FFF,
        0x8000,
        1 << 17,
        (1 << 28) - 1,
        1 << 28,
        u32::MAX,
    ] {
        values.push(Value::Pid(there.clone(), id, 7));
        values.push(Value::Port(there.clone(), u64::from(id) << 20 | 5));
        values.push(Value::Ref(there.clone(), vec![id & 0x3_FFFF, 9, id]));
    }
    hash(&mut erlang, &values);
}

#[test]
fn terms_that_nest_deeply() {
    let Some(mut erlang) = erlang() else { return };
    let mut random = Random::new(17);
    let values: Vec<Value> = (0..20).map(|_| random.deep(100)).collect();
    let pairs: Vec<_> = values
        .iter()
        .map(|value| (value.clone(), altered(&mut random, value)))
        .collect();
    compare(&mut erlang, &pairs);
    hash(&mut erlang, &values);
}
