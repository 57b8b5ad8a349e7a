//! Serde: values come back, and any term at all is decoded as any type or refused.
#![no_main]

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;

use libfuzzer_sys::arbitrary::{self, Arbitrary, Unstructured};
use libfuzzer_sys::fuzz_target;
use otp_heap::{
    Atom, Binary, EncodeError, Native, OwnedTerm, Pid, Port, Ref, Term, from_term, to_term,
};
use otp_heap_fuzz::{Maker, byte, limit_atoms};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

#[derive(Arbitrary, Serialize, Deserialize, PartialEq, Debug)]
enum Message {
    Ok,
    #[serde(rename = "EXIT")]
    Exit(Option<i64>),
    Put(u64, String, Vec<(i128, bool)>),
    Key {
        key: Vec<u8>,
        value: BTreeMap<String, u128>,
        nil: Option<Box<Message>>,
    },
    Results(Vec<Result<u8, char>>),
    Tuple((), [i8; 2], (i16, (u32,))),
    Float(f64, f32),
    Value(Wrapped),
    Sweep(Sweep),
    Empty {},
    Nothing(),
}

#[derive(Arbitrary, Serialize, Deserialize, PartialEq, Debug)]
struct Wrapped(BTreeMap<i32, Point>);

#[derive(Arbitrary, Serialize, Deserialize, PartialEq, Debug)]
struct Sweep;

#[derive(Arbitrary, Serialize, Deserialize, PartialEq, Debug, Default)]
#[serde(default)]
struct Point {
    key: Option<i32>,
    value: String,
    nil: BTreeSet<i8>,
}

/// What serde buffers: without a tag, with one inside, and flat.
#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(untagged)]
enum Untagged {
    Number(i64),
    Pair(u8, Box<Untagged>),
    Text(String),
    Named { key: u8 },
    Many(Vec<Untagged>),
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
#[serde(tag = "key")]
enum Tagged {
    #[serde(rename = "put")]
    Put { value: i64 },
    #[serde(rename = "ok")]
    Ok,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Flat {
    key: i64,
    #[serde(flatten)]
    rest: BTreeMap<String, u8>,
}

#[derive(Deserialize, Debug)]
#[allow(dead_code)]
struct Borrowed<'a> {
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(default)]
    value: &'a [u8],
    #[serde(default)]
    ok: &'a str,
}

fuzz_target!(
    init: limit_atoms(),
    |data: &[u8]| {
        let mut input = Unstructured::new(data);
        let any_type = TYPES[byte(&mut input) % TYPES.len()];
        if byte(&mut input) % 2 == 0 {
            let Ok(message) = Message::arbitrary(&mut input) else {
                return;
            };
            match to_term(&message) {
                Ok(term) => {
                    assert_eq!(from_term::<Message>(term.root()).unwrap(), message);
                    any_type(term.root());
                }
                Err(error) => assert!(matches!(error, EncodeError::NotFinite | EncodeError::TooDeep), "{error}"),
            }
        } else {
            let term = Maker::default().term(&mut input, 100);
            any_type(term.root());
            for element in term.root().as_tuple().unwrap() {
                any_type(element);
            }
        }
    }
);

/// Types to read terms as: one for each input, so that there are many inputs.
const TYPES: &[fn(Term<'_>)] = &[
    settles::<Message>,
    settles::<Wrapped>,
    settles::<Point>,
    settles::<Untagged>,
    settles::<Tagged>,
    settles::<Flat>,
    settles::<Sweep>,
    settles::<()>,
    settles::<bool>,
    settles::<u8>,
    settles::<i64>,
    settles::<u128>,
    settles::<f32>,
    settles::<f64>,
    settles::<char>,
    settles::<String>,
    settles::<Atom>,
    settles::<Pid>,
    settles::<Ref>,
    settles::<Port>,
    settles::<Binary>,
    settles::<Vec<u8>>,
    settles::<(i64, f64)>,
    settles::<[i64; 3]>,
    settles::<Vec<OwnedTerm>>,
    settles::<BTreeMap<OwnedTerm, OwnedTerm>>,
    settles::<HashMap<String, Option<i64>>>,
    settles::<Result<u8, Option<String>>>,
    whole,
    borrowed,
];

fn whole(term: Term<'_>) {
    assert!(from_term::<OwnedTerm>(term).unwrap().root() == term);
    assert!(from_term::<Native>(term).is_err());
}

/// Nothing to compare: only read.
fn borrowed(term: Term<'_>) {
    let _ = from_term::<IgnoredAny>(term);
    let _ = from_term::<&str>(term);
    let _ = from_term::<&[u8]>(term);
    let _ = from_term::<Borrowed<'_>>(term);
}

/// Once a value was read, what it is written as reads as the same.
fn settles<T: Serialize + DeserializeOwned + PartialEq + Debug>(term: Term<'_>) {
    match from_term::<T>(term) {
        Ok(value) => {
            // A large float is infinite as an `f32`.
            match to_term(&value) {
                Ok(written) => assert_eq!(from_term::<T>(written.root()).unwrap(), value),
                Err(error) => assert_eq!(error, EncodeError::NotFinite),
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
