//! How Rust types appear as terms, and come back.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Debug;

use otp_heap::{
    Atom, Binary, Builder, DecodeErrorKind, OwnedTerm, Pid, Ref, atoms, from_term, parse, to_block,
    to_term,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

#[track_caller]
fn maps<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: T, text: &str) {
    let term = to_term(&value).unwrap();
    assert_eq!(term.to_string(), text);
    assert_eq!(from_term::<T>(term.root()).unwrap(), value);
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
enum Message {
    NotFound,
    #[allow(clippy::upper_case_acronyms)]
    EXIT,
    Get(String),
    Put(String, f64),
    Move {
        x: i8,
        to_the_left: bool,
    },
    #[serde(rename = "$gen_call")]
    Call(Pid, Ref),
    Nothing(),
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Point {
    y: i32,
    x: Option<i32>,
    name: String,
}

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Sweep;

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Metres(f32);

#[derive(Serialize, Deserialize, PartialEq, Debug)]
struct Pair(u8, char);

#[test]
fn variants_are_atoms_and_tagged_tuples() {
    maps(Message::NotFound, "not_found");
    maps(Message::EXIT, "'EXIT'");
    maps(Message::Get("k".into()), "{get,<<\"k\">>}");
    maps(Message::Put("k".into(), 1.0), "{put,<<\"k\">>,1.0}");
    maps(
        Message::Move {
            x: -3,
            to_the_left: true,
        },
        "{move,#{to_the_left => true,x => -3}}",
    );
    let (pid, reference) = (Pid::from_parts(7, 9), Ref::from_u64(5));
    maps(
        Message::Call(pid, reference),
        "{'$gen_call',<0.7.9>,#Ref<0.0.0.5>}",
    );
    maps(Message::Nothing(), "{nothing}");
}

#[test]
fn structs_are_maps_in_key_order() {
    let point = Point {
        y: 2,
        x: None,
        name: "p".into(),
    };
    maps(point, "#{name => <<\"p\">>,x => nil,y => 2}");
    maps(Metres(1.5), "1.5");
    maps(Pair(1, 'a'), "{1,97}");
    maps(Sweep, "sweep");
}

#[test]
fn scalars_are_themselves() {
    maps((), "ok");
    maps(true, "true");
    maps('ü', "252");
    maps(Some(3), "3");
    maps(None::<u8>, "nil");
    maps(0.1_f32 as f64, "0.10000000149011612");
    maps("text".to_string(), "<<\"text\">>");
    maps(Atom::new("an atom").unwrap(), "'an atom'");
    maps((1, (2_u8, [3, 4])), "{1,{2,{3,4}}}");
    maps(vec![1, 2, 3], "[1,2,3]");
    maps(Vec::<u8>::new(), "[]");
    maps(BTreeMap::from([(2, 'b'), (1, 'a')]), "#{1 => 97,2 => 98}");
}

#[test]
fn integers_have_128_bits_and_a_sign() {
    for value in [
        0,
        1 << 59,
        (1 << 59) - 1,
        i64::MAX.into(),
        u64::MAX.into(),
        i128::MAX,
    ] {
        maps(value, &value.to_string());
        maps(-value - 1, &(-value - 1).to_string());
        maps(value as u128 + 1, &(value as u128 + 1).to_string());
    }
    maps(u64::MAX, "18446744073709551615");
    maps(i64::MIN, "-9223372036854775808");
    maps(u128::MAX, &u128::MAX.to_string());
    let error = from_term::<u8>(to_term(&300).unwrap().root()).unwrap_err();
    assert!(
        matches!(error.kind(), DecodeErrorKind::Message(_)),
        "{error}"
    );
}

#[test]
fn floats_print_as_in_erlang() {
    let cases = [
        (0.0, "0.0"),
        (-0.0, "-0.0"),
        (1.0, "1.0"),
        (0.1, "0.1"),
        (100000.0, "1.0e5"),
        (123456.0, "123456.0"),
        (1e22, "1.0e22"),
        (1.5e-7, "1.5e-7"),
        (0.001, "0.001"),
        (1.25, "1.25"),
        (-2.5e300, "-2.5e300"),
    ];
    for (value, text) in cases {
        maps(value, text);
    }
}

#[test]
fn results_are_ok_and_error_tuples() {
    maps(Ok::<i32, String>(1), "{ok,1}");
    maps(Err::<i32, String>("no".into()), "{error,<<\"no\">>}");
    maps(Ok::<(), ()>(()), "{ok,ok}");
    let bare = OwnedTerm::from(atoms::OK);
    assert_eq!(from_term::<Result<(), String>>(bare.root()), Ok(Ok(())));
    assert!(from_term::<Result<u8, String>>(bare.root()).is_err());
}

#[test]
fn undefined_is_none_too() {
    let term = OwnedTerm::from(atoms::UNDEFINED);
    assert_eq!(from_term::<Option<u8>>(term.root()), Ok(None));
}

#[test]
fn text_and_bytes_are_borrowed_from_the_term() {
    let long = "l".repeat(100);
    let term = to_term(&("short", &long)).unwrap();
    let (short, borrowed): (&str, &str) = from_term(term.root()).unwrap();
    assert_eq!((short, borrowed), ("short", long.as_str()));
    let element = term.root().as_tuple().unwrap().get(1).unwrap();
    assert_eq!(element.as_binary().unwrap().as_ptr(), borrowed.as_ptr());
    assert_eq!(from_term::<&[u8]>(element), Ok(long.as_bytes()));
    assert_eq!(from_term::<Vec<u8>>(element), Ok(long.into_bytes()));
}

#[test]
fn raw_terms_embed_as_themselves() {
    let inner = to_term(&Message::Put("k".into(), 2.0)).unwrap();
    let outer = to_term(&(atoms::OK, &inner, Binary::from(vec![7; 100]), 1_u64 << 62)).unwrap();
    let (tag, back, _, _): (Atom, OwnedTerm, Binary, u64) = from_term(outer.root()).unwrap();
    assert_eq!((tag, &back), (atoms::OK, &inner));
    // A part of a block, and a block with off-heap words, into the middle of another one.
    let again = to_term(&vec![outer.root(), outer.root(), inner.root()]).unwrap();
    let back: Vec<OwnedTerm> = from_term(again.root()).unwrap();
    assert_eq!(back, [outer.try_clone().unwrap(), outer, inner]);
}

#[test]
fn gen_call_is_one_pass() {
    let (pid, reference) = (Pid::from_parts(1, 2), Ref::from_u64(3));
    let call = (atoms::GEN_CALL, (pid, reference), Message::Get("k".into()));
    let block = to_block(7_u64, &call).unwrap();
    assert_eq!(*block.header(), 7);
    assert_eq!(
        block.to_string(),
        "{'$gen_call',{<0.1.2>,#Ref<0.0.0.3>},{get,<<\"k\">>}}"
    );
}

#[test]
fn serde_attributes_keep_working() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    #[serde(tag = "type")]
    enum Tagged {
        Circle { radius: u8 },
        Empty,
    }
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Flat {
        id: u8,
        #[serde(flatten)]
        rest: HashMap<String, i64>,
    }
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    #[serde(untagged)]
    enum Untagged {
        Pid(Pid),
        Number(u64),
        Text(String),
        None(Option<()>),
    }
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    struct Skipping {
        #[serde(skip_serializing_if = "Option::is_none", default)]
        a: Option<u8>,
        #[serde(rename = "B")]
        b: u8,
    }
    maps(
        Tagged::Circle { radius: 1 },
        "#{radius => 1,type => <<\"Circle\">>}",
    );
    maps(Tagged::Empty, "#{type => <<\"Empty\">>}");
    let flat = Flat {
        id: 1,
        rest: HashMap::from([("x".into(), 2)]),
    };
    maps(flat, "#{<<\"id\">> => 1,<<\"x\">> => 2}");
    maps(Untagged::Pid(Pid::from_parts(1, 0)), "<0.1.0>");
    maps(Untagged::Number(1), "1");
    maps(Untagged::Text("t".into()), "<<\"t\">>");
    maps(Untagged::None(None), "nil");
    maps(Skipping { a: None, b: 1 }, "#{'B' => 1}");
}

#[test]
fn an_array_is_a_tuple_and_what_has_any_length_a_list() {
    maps([1, 2], "{1,2}");
    maps([[1.5; 2]; 1], "{{1.5,1.5}}");
    maps([0_u8; 0], "{}");
    maps(vec![1, 2], "[1,2]");
    assert_eq!(to_term(&[1, 2][..]).unwrap().to_string(), "[1,2]");
    assert_eq!(to_term(&vec![(1, 2)]).unwrap().to_string(), "[{1,2}]");
    // Each is read of the other as well, an array of as many.
    let (list, tuple) = (parse("[1,2]").unwrap(), parse("{1,2}").unwrap());
    assert_eq!(from_term(list.root()), Ok([1, 2]));
    assert_eq!(from_term(tuple.root()), Ok(vec![1, 2]));
    assert!(from_term::<[u8; 3]>(tuple.root()).is_err());
}

#[test]
fn an_untagged_variant_is_what_it_holds_and_is_read_by_its_shape() {
    #[derive(Serialize, Deserialize, PartialEq, Debug)]
    #[serde(untagged)]
    enum Bare {
        Pair(u8, u8),
        Many(Vec<u8>),
        Point { x: u8 },
        Text(String),
        Nothing,
    }
    maps(Bare::Pair(1, 2), "{1,2}");
    maps(Bare::Many(vec![1, 2, 3]), "[1,2,3]");
    maps(Bare::Point { x: 1 }, "#{x => 1}");
    maps(Bare::Text("t".into()), "<<\"t\">>");
    // The first that fits is taken, whatever was written: a pair before a list of two, a text before an atom.
    let read = |text: &str| from_term::<Bare>(parse(text).unwrap().root());
    assert_eq!(read("[1,2]"), Ok(Bare::Pair(1, 2)));
    assert_eq!(read("an_atom"), Ok(Bare::Text("an_atom".into())));
    assert_eq!(to_term(&Bare::Nothing).unwrap().to_string(), "ok");
    assert_eq!(read("ok"), Ok(Bare::Text("ok".into())));
    assert_eq!(read("nil"), Ok(Bare::Nothing));
    // None fits.
    assert!(read("1.5").is_err());
}

#[test]
fn a_type_that_takes_unknown_variants_gets_them() {
    #[derive(Deserialize, PartialEq, Debug)]
    enum Known {
        Ping,
        #[serde(other)]
        Other,
    }
    let decode = |atom: &str| from_term(OwnedTerm::from(Atom::new(atom).unwrap()).root());
    assert_eq!(decode("ping"), Ok(Known::Ping));
    assert_eq!(decode("pong"), Ok(Known::Other));
}

#[test]
fn a_field_goes_by_its_name_and_not_by_its_number() {
    #[derive(Deserialize, PartialEq, Debug)]
    struct Two {
        first: u8,
        second: u8,
    }
    #[derive(Deserialize, PartialEq, Debug)]
    struct Flat {
        first: u8,
        #[serde(flatten)]
        rest: HashMap<i64, u8>,
    }
    for text in [
        "#{0 => 1, 1 => 2}",
        "#{first => 1, second => 2, 0 => 3}",
        "#{first => 1, second => 2, 18446744073709551615 => 3}",
    ] {
        let error = from_term::<Two>(parse(text).unwrap().root()).unwrap_err();
        assert!(error.to_string().contains("field identifier"), "{error}");
    }
    // What `flatten` collects may have any key.
    let flat = parse("#{first => 1, 0 => 2}").unwrap();
    let rest = HashMap::from([(0, 2)]);
    assert_eq!(from_term(flat.root()), Ok(Flat { first: 1, rest }));
}

#[test]
fn an_error_names_the_path() {
    #[derive(Serialize, Deserialize, Debug)]
    struct Outer<T> {
        request: Inner<T>,
    }
    #[derive(Serialize, Deserialize, Debug)]
    struct Inner<T> {
        key: Vec<T>,
    }
    let term = to_term(&Outer {
        request: Inner {
            key: vec![atoms::OK; 4],
        },
    })
    .unwrap();
    let error = from_term::<Outer<u8>>(term.root()).unwrap_err();
    assert_eq!(error.path(), "request.key[0]");
    assert_eq!(error.to_string(), "request.key[0]: expected u8, found ok");
    let error = from_term::<Message>(to_term(&Some(1)).unwrap().root()).unwrap_err();
    assert_eq!(error.to_string(), "expected enum Message, found 1");
    let put = to_term(&(Atom::new("put").unwrap(), 1, 2)).unwrap();
    let error = from_term::<Message>(put.root()).unwrap_err();
    assert_eq!(error.path(), "put[0]");
    let error = from_term::<(u8, u8)>(to_term(&[1, 2, 3]).unwrap().root()).unwrap_err();
    assert!(
        matches!(error.kind(), DecodeErrorKind::Mismatch { .. }),
        "{error}"
    );
}

#[test]
fn a_tuple_is_read_from_as_many_elements_and_no_more() {
    for text in ["{1, 2}", "[1, 2]", "<<1, 2>>"] {
        let term = parse(text).unwrap();
        assert_eq!(from_term::<(u8, u8)>(term.root()), Ok((1, 2)), "{text}");
        assert_eq!(from_term::<Vec<u8>>(term.root()), Ok(vec![1, 2]), "{text}");
        assert!(from_term::<(u8,)>(term.root()).is_err(), "{text}");
        assert!(from_term::<[u8; 3]>(term.root()).is_err(), "{text}");
    }
}

#[test]
fn improper_lists_print_and_do_not_decode() {
    let mut builder = Builder::new();
    builder.integer(1).integer(2).integer(3).cons().cons();
    let term = builder.finish(()).unwrap();
    assert_eq!(term.to_string(), "[1,2|3]");
    assert_eq!(term.root().list_len(), None);
    assert!(from_term::<Vec<u8>>(term.root()).is_err());
    assert_eq!(term.try_clone().unwrap(), term);
}

#[test]
fn a_map_keeps_the_last_of_equal_keys() {
    let mut builder = Builder::new();
    builder
        .integer(2)
        .bytes("b")
        .integer(1)
        .bytes("a")
        .integer(2)
        .bytes("c")
        .map(3);
    let term = builder.finish(()).unwrap();
    assert_eq!(term.to_string(), "#{1 => <<\"a\">>,2 => <<\"c\">>}");
    let key = to_term(&2).unwrap();
    let found = term.root().as_map().unwrap().get(key.root()).unwrap();
    assert_eq!(found.as_str(), Some("c"));
}

#[test]
fn a_text_can_be_cut_off() {
    let term = to_term(&(0..1000).collect::<Vec<_>>()).unwrap();
    assert_eq!(term.root().display_limited(8).to_string(), "[0,1,2,3...");
    assert_eq!(
        to_term(&1).unwrap().root().display_limited(8).to_string(),
        "1"
    );
    let term = to_term("üü").unwrap();
    assert_eq!(term.root().display_limited(4).to_string(), "<<\"...");
}

#[test]
fn structs_that_share_a_name_or_nest_in_themselves_stay_in_order() {
    #[derive(Serialize)]
    struct Node<T> {
        z: u8,
        inner: Option<Box<T>>,
        a: u8,
    }
    mod other {
        #[derive(serde::Serialize)]
        pub struct Node {
            pub c: u8,
            pub b: u8,
            pub a: u8,
        }
    }
    for _ in 0..3 {
        let leaf = Node::<()> {
            z: 1,
            inner: None,
            a: 2,
        };
        let other = other::Node { c: 3, b: 2, a: 1 };
        let node = Node {
            z: 3,
            inner: Some(Box::new((other, leaf))),
            a: 4,
        };
        let text =
            "#{a => 4,inner => {#{a => 1,b => 2,c => 3},#{a => 2,inner => nil,z => 1}},z => 3}";
        assert_eq!(to_term(&node).unwrap().to_string(), text);
    }
}

#[test]
fn a_list_of_characters_is_told_from_a_string() {
    let list = to_term(&[104, 105].to_vec()).unwrap();
    let error = from_term::<String>(list.root()).unwrap_err();
    assert_eq!(
        error.to_string(),
        r#"expected a string, found the list "hi""#
    );
    let binary = to_term("hi").unwrap();
    let error = from_term::<u8>(binary.root()).unwrap_err();
    assert_eq!(error.to_string(), r#"expected u8, found <<"hi">>"#);
}

#[test]
fn a_struct_of_many_fields_is_in_order_each_time() {
    struct Wide(u32);
    impl Serialize for Wide {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            use serde::ser::SerializeStruct;
            const NAMES: [&str; 18] = [
                "r", "q", "p", "o", "n", "m", "l", "k", "j", "i", "h", "g", "f", "e", "d", "c",
                "b", "a",
            ];
            let names = &NAMES[..self.0 as usize];
            let mut fields = serializer.serialize_struct("Wide", names.len())?;
            names
                .iter()
                .try_for_each(|name| fields.serialize_field(name, name))?;
            fields.end()
        }
    }
    for len in [15, 16, 17, 18, 16, 17, 15, 0, 1] {
        let term = to_term(&Wide(len)).unwrap();
        let map = term.root().as_map().unwrap();
        assert_eq!(map.len(), len as usize);
        let pairs: Vec<_> = map.iter().map(|pair| pair.0.as_atom().unwrap()).collect();
        assert!(pairs.is_sorted_by(|left, right| left < right), "{term}");
        assert!(
            map.iter()
                .all(|pair| pair.0.as_atom().map(Atom::as_str) == pair.1.as_str())
        );
    }
}
