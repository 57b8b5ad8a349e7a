//! Every limit answers with an error.

use std::collections::BTreeMap;

use otp_heap::{
    Atom, Builder, DEPTH_MAX, DecodeErrorKind, EncodeError, OwnedTerm, Term, from_term, parse,
    to_block_within, to_term,
};
use serde::ser::{SerializeMap, SerializeStruct, SerializeTuple};
use serde::{Deserialize, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
enum Chain {
    End,
    Link(Box<Chain>),
}

fn chain(levels: u32) -> Chain {
    (0..levels).fold(Chain::End, |chain, _| Chain::Link(Box::new(chain)))
}

#[test]
fn depth_is_bounded() {
    let term = to_term(&chain(DEPTH_MAX)).unwrap();
    assert!(from_term::<Chain>(term.root()).is_ok());
    assert_eq!(
        to_term(&chain(DEPTH_MAX + 1)).unwrap_err(),
        EncodeError::TooDeep
    );
}

/// `{newtype,{newtype,…}}` around a term.
fn wrapped(term: &OwnedTerm, levels: u32) -> OwnedTerm {
    let mut builder = Builder::new();
    for _ in 0..levels {
        builder.atom(Atom::new("newtype").unwrap());
    }
    builder.term(term.root());
    for _ in 0..levels {
        builder.tuple(2);
    }
    builder.finish(()).unwrap()
}

#[test]
fn a_value_is_read_as_deeply_as_it_is_written_and_no_deeper() {
    #[derive(Serialize, Deserialize, Debug)]
    enum Nested {
        Unit(()),
        Bytes(Vec<u8>),
        Newtype(Box<Nested>),
        Tuple(u8, Box<Nested>),
        List(Vec<Nested>),
        Map(BTreeMap<u8, Nested>),
        Optional(Wrapper),
        Struct { inner: Box<Nested> },
    }
    #[derive(Serialize, Deserialize, Debug)]
    struct Wrapper(Option<Box<Nested>>);
    let too_deep = |term: OwnedTerm| {
        let error = from_term::<Nested>(term.root()).unwrap_err();
        assert_eq!(error.kind(), &DecodeErrorKind::TooDeep);
    };
    // Each with the levels that it adds.
    type Wrap = fn(Nested) -> Nested;
    let kinds: [(Wrap, u32); 6] = [
        (|inner| Nested::Newtype(inner.into()), 1),
        (|inner| Nested::Tuple(1, inner.into()), 1),
        (|inner| Nested::List(vec![inner]), 2),
        (|inner| Nested::Map([(1, inner)].into()), 2),
        (|inner| Nested::Optional(Wrapper(Some(inner.into()))), 3),
        (
            |inner| Nested::Struct {
                inner: inner.into(),
            },
            2,
        ),
    ];
    for (wrap, levels) in kinds {
        for (innermost, own) in [
            ((|| Nested::Unit(())) as fn() -> Nested, 1),
            (|| Nested::Bytes(vec![1]), 2),
        ] {
            let (most, left) = ((DEPTH_MAX - own) / levels, (DEPTH_MAX - own) % levels);
            let value = |count| (0..count).fold(innermost(), |inner, _| wrap(inner));
            assert_eq!(to_term(&value(most + 1)).unwrap_err(), EncodeError::TooDeep);
            let term = to_term(&value(most)).unwrap();
            assert!(from_term::<Nested>(wrapped(&term, left).root()).is_ok());
            too_deep(wrapped(&term, left + 1));
        }
    }
    // The bytes of a binary are elements where a sequence is asked for.
    let bytes = parse("{bytes, <<1, 2>>}").unwrap();
    assert!(from_term::<Nested>(wrapped(&bytes, DEPTH_MAX - 2).root()).is_ok());
    too_deep(wrapped(&bytes, DEPTH_MAX - 1));
}

/// `{1,{1,{1,…}}}`, or with the nesting in the first place.
fn nested(levels: usize, last: bool) -> OwnedTerm {
    let mut builder = Builder::new();
    if last {
        for _ in 0..levels {
            builder.integer(1);
        }
    }
    builder.nil();
    for _ in 0..levels {
        if !last {
            builder.integer(1);
        }
        builder.tuple(2);
    }
    builder.finish(()).unwrap()
}

/// Levels down to the empty list, by the elements at `index`.
fn levels(term: Term<'_>, index: usize) -> usize {
    let mut inner = term;
    let mut levels = 0;
    while let Some(tuple) = inner.as_tuple() {
        (inner, levels) = (tuple.get(index).unwrap(), levels + 1);
    }
    assert!(inner.is_nil());
    levels
}

#[test]
fn a_term_nests_as_deeply_as_it_is_long() {
    const LEVELS: usize = 200_000;
    for last in [false, true] {
        let index = usize::from(last);
        let term = nested(LEVELS, last);
        let wrapped = to_term(&(1, &term)).unwrap();
        let part = wrapped.root().as_tuple().unwrap().get(1).unwrap();
        assert_eq!(part.words(), 3 * LEVELS);
        let copy = OwnedTerm::copy_of((), part).unwrap();
        assert_eq!(levels(copy.root(), index), LEVELS);
        let (_, received): (u8, OwnedTerm) = from_term(wrapped.root()).unwrap();
        assert_eq!(levels(received.root(), index), LEVELS);
        let mut builder = Builder::new();
        builder.term(part).tuple(1);
        let block = builder.finish(()).unwrap();
        let inner = block.root().as_tuple().unwrap().get(0).unwrap();
        assert_eq!(levels(inner, index), LEVELS);
    }
}

#[test]
fn serde_goes_no_deeper_than_the_limit_into_a_deeper_term() {
    #[derive(Serialize, Deserialize)]
    struct Tuples(u8, Box<Tuples>);
    #[derive(Serialize, Deserialize)]
    struct Map {
        a: Box<Map>,
    }
    let too_deep = |kind: &DecodeErrorKind| assert_eq!(kind, &DecodeErrorKind::TooDeep);
    let deep = nested(200_000, true);
    too_deep(from_term::<Tuples>(deep.root()).err().unwrap().kind());
    assert!(
        serde_json::to_string(&deep)
            .unwrap_err()
            .to_string()
            .contains("512 levels")
    );
    let (mut chain, mut map) = (Builder::new(), Builder::new());
    let (link, key) = (Atom::new("link").unwrap(), Atom::new("a").unwrap());
    for _ in 0..200_000 {
        chain.atom(link);
        map.atom(key);
    }
    chain.nil();
    map.nil();
    for _ in 0..200_000 {
        chain.tuple(2);
        map.map(1);
    }
    let (chain, map) = (chain.finish(()).unwrap(), map.finish(()).unwrap());
    too_deep(from_term::<Chain>(chain.root()).err().unwrap().kind());
    too_deep(from_term::<Map>(map.root()).err().unwrap().kind());
}

#[test]
fn a_foreign_format_takes_as_many_levels_as_a_block() {
    struct Nested(Value, u32);
    #[derive(Clone, Copy)]
    enum Value {
        Integer,
        Tuple,
        List,
        Map,
    }
    impl Serialize for Nested {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Nested(value, levels) = *self;
            match value {
                _ if levels > 0 => (1, Nested(value, levels - 1)).serialize(serializer),
                Value::Integer => serializer.serialize_u8(1),
                Value::Tuple => [(); 0].serialize(serializer),
                Value::List => [(); 0][..].serialize(serializer),
                Value::Map => BTreeMap::<u8, u8>::new().serialize(serializer),
            }
        }
    }
    for (value, own, text) in [
        (Value::Integer, 0, "1"),
        (Value::Tuple, 1, "{}"),
        (Value::List, 1, "[]"),
        (Value::Map, 1, "#{}"),
    ] {
        for levels in [DEPTH_MAX - own, DEPTH_MAX - own + 1] {
            let mut builder = Builder::new();
            for _ in 0..levels {
                builder.integer(1);
            }
            builder.term(parse(text).unwrap().root());
            for _ in 0..levels {
                builder.tuple(2);
            }
            let term = builder.finish(()).unwrap();
            let fits = levels + own <= DEPTH_MAX;
            assert_eq!(serde_json::to_string(&term).is_ok(), fits, "{text}");
            assert_eq!(to_term(&Nested(value, levels)).is_ok(), fits, "{text}");
        }
    }
}

#[test]
fn a_type_that_nests_without_its_term_is_bounded_too() {
    #[derive(Serialize, Deserialize, Debug)]
    struct Node(Option<Box<Node>>);
    let node = (0..DEPTH_MAX).fold(Node(None), |node, _| Node(Some(Box::new(node))));
    assert_eq!(to_term(&node).unwrap_err(), EncodeError::TooDeep);
    let error = from_term::<Node>(to_term(&1).unwrap().root()).unwrap_err();
    assert_eq!(error.kind(), &DecodeErrorKind::TooDeep);
}

#[test]
fn unwrapping_and_wrapping_again_does_not_add_up() {
    let mut term = to_term(&(1, 2)).unwrap();
    for _ in 0..3 * DEPTH_MAX {
        let wrapped = to_term(&Some((1, term))).unwrap();
        (_, term) = from_term::<Option<(u8, OwnedTerm)>>(wrapped.root())
            .unwrap()
            .unwrap();
    }
    assert_eq!(term.to_string(), "{1,2}");
}

#[test]
fn long_lists_do_not_recurse() {
    let long: Vec<(u32, u32)> = (0..200_000).map(|n| (n, n)).collect();
    let term = to_term(&long).unwrap();
    let copy = OwnedTerm::copy_of((), term.root()).unwrap();
    assert_eq!(term, copy);
    let tail = OwnedTerm::copy_of((), term.root().as_cons().unwrap().tail()).unwrap();
    assert!(tail > term);
    assert_eq!(term.root().words(), 200_000 * 5);
    let mut builder = Builder::new();
    for number in 0..5000 {
        builder.integer(number);
    }
    builder.nil();
    for _ in 0..5000 {
        builder.cons();
    }
    assert_eq!(builder.finish(()).unwrap().root().list_len(), Some(5000));
}

#[test]
fn size_is_bounded() {
    let values = vec![1.5; 100];
    assert!(to_block_within((), &values, 400).is_ok());
    let error = to_block_within((), &values, 399).unwrap_err();
    assert_eq!(error, EncodeError::TooLarge { words_max: 399 });
    assert!(to_block_within((), &1, 0).is_ok());
    assert!(to_block_within((), "x", 1).is_err());
    // Announcing more than there can be allocates nothing.
    struct Liar(usize);
    impl Serialize for Liar {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_tuple(self.0)?.end()
        }
    }
    for len in [1000, u32::MAX as usize, usize::MAX - 1] {
        let error = to_block_within((), &Liar(len), 100).unwrap_err();
        assert!(matches!(error, EncodeError::TooLarge { .. }), "{error}");
    }
    assert_eq!(
        to_term(&Liar(2)).unwrap_err(),
        EncodeError::Length {
            announced: 2,
            given: 0
        }
    );
}

#[test]
fn a_block_gives_its_waste_back() {
    let term = to_term(&vec![1; 520]).unwrap();
    assert!(term.bytes() < 2 * 8 * 1040, "{} bytes", term.bytes());
    assert_eq!(to_term(&1).unwrap().bytes(), 24);
}

#[test]
fn floats_are_finite() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        assert_eq!(to_term(&value).unwrap_err(), EncodeError::NotFinite);
    }
}

#[test]
fn a_wrong_serialize_is_an_error() {
    struct Wrong(u8);
    impl Serialize for Wrong {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            match self.0 {
                0 => {
                    let mut value = serializer.serialize_struct("Wrong", 1)?;
                    value.serialize_field("a", &1)?;
                    value.serialize_field("b", &1)?;
                    value.end()
                }
                1 => {
                    let mut value = serializer.serialize_struct("Wrong", 3)?;
                    value.serialize_field("c", &1)?;
                    value.serialize_field("b", &1)?;
                    value.serialize_field("b", &1)?;
                    value.end()
                }
                2 => serializer.serialize_struct("Wrong", 1)?.end(),
                3 => {
                    let mut value = serializer.serialize_tuple(1)?;
                    value.serialize_element(&1)?;
                    value.serialize_element(&1)?;
                    value.end()
                }
                _ => {
                    let mut value = serializer.serialize_map(None)?;
                    value.serialize_value(&1)?;
                    value.end()
                }
            }
        }
    }
    for case in 0..5 {
        assert!(to_term(&Wrong(case)).is_err(), "{case}");
    }
}

#[test]
fn a_builder_says_what_its_stack_lacks() {
    let mut builder = Builder::new();
    builder.integer(1).tuple(2);
    assert_eq!(
        builder.finish(()).unwrap_err(),
        EncodeError::Stack {
            needed: 2,
            present: 1
        }
    );
    let error = Builder::new().finish(()).unwrap_err();
    assert_eq!(
        error,
        EncodeError::Stack {
            needed: 1,
            present: 0
        }
    );
    let mut builder = Builder::new();
    builder.integer(1).integer(2);
    assert_eq!(builder.finish_tuple(()).unwrap().to_string(), "{1,2}");
}
