//! The external term format.

use crate::erlang_support::{Node, Random, Value, erlang};
use otp_heap::etf::{self, DecodeErrorKind, DecodeOptions, EncodeOptions, MinorVersion};
use otp_heap::{Atom, OwnedTerm, Term, View};

const TERMS: usize = 20_000;
const SEED: u64 = 4;

/// Terms of all kinds: each value with the crate's own term of it.
fn terms() -> Vec<(Value, OwnedTerm)> {
    let mut random = Random::new(SEED);
    let mut values: Vec<Value> = (0..TERMS)
        .map(|index| random.value(1 + index % 24))
        .collect();
    values.extend((0..200).map(|levels| random.deep(levels)));
    values.extend(edges());
    values
        .into_iter()
        .map(|value| {
            let term = value.to_term();
            (value, term)
        })
        .collect()
}

/// Where one form ends and another begins.
fn edges() -> Vec<Value> {
    let bytes = |len: usize| Value::list((0..len).map(|byte| Value::from(byte as i128 % 256)));
    let pairs = |len: i128| Value::Map((0..len).map(|n| (Value::from(n), Value::Nil)).collect());
    let mut values: Vec<Value> = [65_533, 65_534, 65_535, 65_536, 65_537]
        .into_iter()
        .map(bytes)
        .collect();
    values.extend([31, 32, 33, 1000].map(pairs));
    values.extend([255, 256, 257].map(|len| Value::Tuple(vec![Value::Nil; len])));
    values.extend([0, 63, 64, 65, 255, 256, 257, 70_000].map(|len| Value::binary(vec![7; len])));
    values.extend([0, 1, 254, 255].map(|len| Value::Atom("é".repeat(len))));
    let node = |name: &str| Node {
        name: name.into(),
        creation: 1,
    };
    values.extend((0..8).map(|n| Value::Port(node("a@b"), (1 << 28) - 4 + n)));
    values.extend((1..=5).map(|len| Value::Ref(node("a@b"), vec![u32::MAX; len])));
    // Ends with no byte, or in no list.
    let one = || Value::from(1);
    values.push(Value::List(vec![one(); 3], Box::new(one())));
    values.push(Value::list([one(), Value::from(256)]));
    values.push(Value::list([one(), Value::from(-1)]));
    values
}

fn erlang_options(deterministic: bool, version: i128) -> Value {
    let version = Value::Tuple(vec![Value::atom("minor_version"), Value::from(version)]);
    let mut options = vec![version];
    options.extend(deterministic.then(|| Value::atom("deterministic")));
    Value::list(options)
}

/// Fails with the value, not with megabytes of bytes.
fn assert_bytes(ours: &[u8], theirs: &[u8], value: &Value) {
    if ours != theirs {
        let at = ours.iter().zip(theirs).position(|(l, r)| l != r);
        let text: String = format!("{value:?}").chars().take(2000).collect();
        panic!(
            "{text}\ndiffers at byte {at:?}, {} and {} bytes",
            ours.len(),
            theirs.len()
        );
    }
}

#[test]
fn deterministic_bytes_are_those_of_erlang() {
    let Some(mut erlang) = erlang() else { return };
    let terms = terms();
    for (version, number) in [(MinorVersion::One, 1), (MinorVersion::Two, 2)] {
        let options = EncodeOptions::new()
            .minor_version(version)
            .deterministic(true);
        let batch = terms
            .iter()
            .map(|(value, _)| vec![value.clone(), erlang_options(true, number)])
            .collect();
        let theirs = erlang.ask("to_binary", batch);
        for ((value, term), theirs) in terms.iter().zip(theirs) {
            let ours = etf::encode(term.root(), &options).unwrap();
            assert_bytes(&ours, &theirs.bytes().unwrap(), value);
        }
    }
}

#[test]
fn erlang_reads_what_we_write() {
    let Some(mut erlang) = erlang() else { return };
    let terms = terms();
    for options in [
        EncodeOptions::new(),
        EncodeOptions::new().minor_version(MinorVersion::One),
        EncodeOptions::new().compressed(6),
        EncodeOptions::new().compressed(1).deterministic(true),
    ] {
        let batch = terms
            .iter()
            .map(|(value, term)| {
                let ours = etf::encode(term.root(), &options).unwrap();
                vec![Value::binary(ours), Value::binary(value.to_external())]
            })
            .collect();
        let same = erlang.ask("same", batch);
        for ((value, _), same) in terms.iter().zip(same) {
            assert!(same == Value::atom("true"), "{options:?}: {value:?}");
        }
    }
}

#[test]
fn we_read_what_erlang_writes() {
    let Some(mut erlang) = erlang() else { return };
    let terms = terms();
    let compressed = Value::list([Value::atom("compressed")]);
    for options in [
        erlang_options(false, 0),
        erlang_options(false, 1),
        erlang_options(false, 2),
        compressed,
    ] {
        let batch = terms
            .iter()
            .map(|(value, _)| vec![value.clone(), options.clone()])
            .collect();
        let theirs = erlang.ask("to_binary", batch);
        for ((value, term), theirs) in terms.iter().zip(theirs) {
            let mut bytes = theirs.bytes().unwrap();
            let len = bytes.len();
            bytes.extend([1, 2, 3]);
            let (read, used) = etf::decode((), &bytes, &DecodeOptions::new()).unwrap();
            assert_eq!(used, len);
            assert!(read == *term, "{value:?} was read as {read}");
            let shared = otp_heap::Binary::from(bytes);
            let read = etf::decode_shared((), &shared, &DecodeOptions::new());
            assert!(read.unwrap() == (OwnedTerm::copy_of((), term.root()).unwrap(), used));
        }
    }
}

/// Both sides on the same bytes: the same term, or an error on both.
///
/// Without OTP's tags for its own memory, 73 to 76, which it should refuse: it reads some of them.
#[test]
fn what_erlang_refuses_we_refuse() {
    let Some(mut erlang) = erlang() else { return };
    let mut random = Random::new(SEED + 1);
    let mut inputs = Vec::new();
    for _ in 0..TERMS {
        let size = 1 + random.below(8);
        let mut bytes = random.value(size).to_external();
        match random.below(3) {
            0 => bytes.truncate(1 + random.below(bytes.len())),
            _ => {
                let at = 1 + random.below(bytes.len() - 1);
                bytes[at] = random.bits() as u8;
            }
        }
        let error = etf::binary_to_term(&bytes).err().map(|error| error.kind);
        if !matches!(
            error,
            Some(DecodeErrorKind::Expected { found: 73..=76, .. })
        ) {
            inputs.push(bytes);
        }
    }
    let batch: Vec<Vec<Value>> = inputs
        .iter()
        .map(|bytes| vec![Value::binary(bytes.clone()), Value::Nil])
        .collect();
    let theirs = erlang.try_ask("from_binary", &batch);
    let (mut read, mut refused) = (0, 0);
    for (bytes, theirs) in inputs.iter().zip(theirs) {
        match (etf::binary_to_term(bytes), theirs) {
            (Ok(ours), Ok(theirs)) => {
                read += 1;
                assert!(
                    Value::from_term(ours.root()).same(&theirs),
                    "{bytes:?}: {ours}"
                );
            }
            (Err(_), Err(_)) => refused += 1,
            (Ok(ours), Err(_)) => {
                assert!(is_wider(ours.root()), "only we read {bytes:?}: {ours}");
            }
            (Err(error), Ok(theirs)) => {
                assert!(
                    is_ours_to_refuse(error.kind),
                    "{error}: {bytes:?}: {theirs:?}"
                );
            }
        }
    }
    assert!(
        read > TERMS / 10 && refused > TERMS / 10,
        "{read} and {refused}"
    );
}

/// What we read and OTP 25 does not: numbers of its own identifiers that it would never choose.
fn is_wider(term: Term<'_>) -> bool {
    Value::from_term(term).any(&|value| {
        matches!(value, Value::Pid(node, ..) | Value::Ref(node, _) | Value::Port(node, _)
            if *node == Node::local())
    })
}

/// What OTP reads and we have no term for: references without a number, funs of over 255
/// arguments.
fn is_ours_to_refuse(kind: DecodeErrorKind) -> bool {
    matches!(kind, DecodeErrorKind::Range { .. })
}

#[test]
fn identifiers_of_a_named_node() {
    let Some(mut erlang) = erlang() else { return };
    // Written with a name, ours are external ones to the node without one; and the other way.
    let name = Atom::new("me@host").unwrap();
    let (write, read) = (
        EncodeOptions::new().node(name, 7).deterministic(true),
        DecodeOptions::new().node(name, 7),
    );
    let node = Node {
        name: "me@host".into(),
        creation: 7,
    };
    let values = [
        Value::Pid(node.clone(), 5, 6),
        Value::Ref(node.clone(), vec![1, 2, 3]),
        Value::Port(node, 9),
        Value::Pid(Node::local(), 5, 6),
    ];
    let batch = values
        .iter()
        .map(|value| vec![value.clone(), erlang_options(true, 2)])
        .collect();
    for (value, theirs) in values.iter().zip(erlang.ask("to_binary", batch)) {
        let theirs = theirs.bytes().unwrap();
        let (term, _) = etf::decode((), &theirs, &read).unwrap();
        assert_eq!(
            etf::encode(term.root(), &write).unwrap(),
            theirs,
            "{value:?}"
        );
        let view = term.root().view();
        let local = matches!(view, View::Pid(_) | View::Ref(_) | View::Port(_));
        assert_eq!(
            local,
            !matches!(value, Value::Pid(node, ..) if *node == Node::local())
        );
    }
}
