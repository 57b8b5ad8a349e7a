//! What is written is read again, and the other way round.

use proptest::prelude::*;

use super::parse::{ParseErrorKind, ParseOptions, parse};
use crate::{Atom, Builder, OwnedTerm, PARSE_DEPTH_MAX, to_term};

fn reads(text: &str) -> OwnedTerm {
    parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn every_syntax_of_a_number() {
    for (text, value) in [
        ("16#ff", 255_i128),
        ("16#Ff_fF.", 65_535),
        ("36#zZ", 35 * 36 + 35),
        ("1_000_000", 1_000_000),
        ("-2#101", -5),
        ("+0", 0),
        ("- $a", -97),
        ("-((1))", -1),
        ("$\\x{1F600}", 0x1F600),
        ("$ ", 32),
        ("$\\n", 10),
        ("$\\101", 65),
        ("$\\^a", 1),
        ("$\\s", 32),
        ("170141183460469231731687303715884105727", i128::MAX),
        ("-16#80000000000000000000000000000000", i128::MIN),
    ] {
        assert_eq!(reads(text), to_term(&value).unwrap(), "{text}");
    }
    for (text, value) in [
        ("1.5e3", 1500.0),
        ("-0.0", -0.0),
        ("1_0.2_5E-1_0", 10.25e-10),
        ("1.0e-400", 0.0),
        ("2.2250738585072014e-308", f64::MIN_POSITIVE),
    ] {
        assert_eq!(reads(text), to_term(&value).unwrap(), "{text}");
    }
}

#[test]
fn texts_and_the_terms_that_they_mean() {
    for (text, printed) in [
        ("% before\n[ a|% the tail\n [b] ] . % after", "[a,b]"),
        ("[a|b]", "[a|b]"),
        ("[1,2|[]]", "[1,2]"),
        ("# {a=>1, a => 2}", "#{a => 2}"),
        ("#{}", "#{}"),
        ("{}", "{}"),
        ("(({(a)}))", "{a}"),
        (
            r#""a" "b" % three
           "c""#,
            "\"abc\"",
        ),
        (r#"["\x{65E5}\^a"]"#, "[[26085,1]]"),
        (r#""\d""#, "[127]"),
        (r#""\e\s\z""#, r#""\e z""#),
        ("''", "''"),
        (r"'a\'b'", r"'a\'b'"),
        ("fun lists:map/2", "fun lists:map/2"),
        ("fun erlang:'and'/2", "fun erlang:and/2"),
        ("fun 'A b':c@d/255", "fun 'A b':'c@d'/255"),
        ("<0.1.2>", "<0.1.2>"),
        ("#Ref<0.1.2.3>", "#Ref<0.1.2.3>"),
        ("#Port<0.7>", "#Port<0.7>"),
        ("<a@b/4294967295.7.9>", "<a@b/4294967295.7.9>"),
        ("<'a@b.c'/3.7.9>", "<'a@b.c'/3.7.9>"),
        ("#Ref<a@b/3.1.2.3.4.5>", "#Ref<a@b/3.1.2.3.4.5>"),
        (
            "#Port<a@b/3.18446744073709551615>",
            "#Port<a@b/3.18446744073709551615>",
        ),
        (
            "<<1, 2:4, \"ab\", 3.0:32/float, 5:16/little>>",
            "<<1,38,22,36,4,0,0,0,80,0:4>>",
        ),
        ("<<<<1>>/binary, <<5:3>>/bits>>", "<<1,5:3>>"),
        ("<<\"\">>", "<<>>"),
        ("<<>>", "<<>>"),
        ("<<(1):(8)/integer-unit:2>>", "<<0,1>>"),
    ] {
        assert_eq!(reads(text).to_string(), printed, "{text}");
    }
}

#[test]
fn errors_tell_where_and_what() {
    for (text, message) in [
        ("", "1:1: expected a term, found the end"),
        ("{ok,\n [1 2]}", "2:5: expected ',', '|' or ']', found '2'"),
        ("é x", "1:3: expected the end of the term, found 'x'"),
        ("{a", "1:3: expected ',' or '}', found the end"),
        ("{,}", "1:2: expected a term, found ','"),
        ("{1,}", "1:4: expected a term, found '}'"),
        ("[|a]", "1:2: expected a term, found '|'"),
        (
            "[a|b,c]",
            "1:5: expected ']' after the tail of the list, found ','",
        ),
        ("#{a:=1}", "1:4: expected '=>' after the key, found ':'"),
        (
            "#Native<>",
            "1:2: expected '{' after the '#' of a map, found 'N'",
        ),
        ("X", "1:1: expected a term, found 'X'"),
        ("end", "1:1: expected a term, found 'end'"),
        ("-a", "1:2: expected a number after its sign, found 'a'"),
        ("--1", "1:2: expected a number after its sign, found '-'"),
        ("(1", "1:3: expected ')', found the end"),
        ("1. 2.", "1:4: expected the end after the dot, found '2'"),
        ("\"a\n", "1:1: the closing quote is missing"),
        ("37#1", "1:1: the base of an integer is 2 to 36"),
        (
            "16#",
            "1:1: an integer with a base has digits after the '#'",
        ),
        ("1.0e400", "1:1: this float is out of range"),
        ("'\\x{d800}'", "1:1: this escape names no character"),
        (
            "fun a:b/256",
            "1:9: expected an arity, an integer up to 255, found '256'",
        ),
        (
            "<<a>>",
            "1:3: expected a number, a string or a binary, found 'a'",
        ),
        ("<<1/foo>>", "1:5: no such type of a segment"),
        (
            "<<1/big-little>>",
            "1:9: two types of this segment exclude each other",
        ),
        (
            "<<1:-1>>",
            "1:5: expected the size of a segment, an integer, found '-'",
        ),
        ("<268435456.1>", "1:1: an identifier is <0.1.2>"),
        (
            "<0.268435456.1>",
            "1:1: the numbers of this identifier are too many",
        ),
        (
            "#Ref<0.1024.0.0>",
            "1:1: the numbers of this identifier are too many",
        ),
        ("<0.1>", "1:1: the numbers of this identifier are too many"),
    ] {
        let error = parse(text).unwrap_err().to_string();
        assert!(error.starts_with(message), "{text:?}: {error}");
    }
}

#[test]
fn limits_are_errors_that_say_which() {
    let nested = |levels: usize| "[".repeat(levels) + &"]".repeat(levels);
    let options = ParseOptions::new().depth_max(3);
    assert!(options.parse(&nested(3)).is_ok());
    assert_eq!(
        options.parse(&nested(4)).unwrap_err().to_string(),
        "1:4: the term nests deeper than 3 levels: raise the limit, or make it flatter"
    );
    let error = parse(&"{".repeat(PARSE_DEPTH_MAX as usize + 1)).unwrap_err();
    assert!(matches!(error.kind(), ParseErrorKind::TooDeep { .. }));
    // Far more than a recursive parser has stack for.
    let deep = "{".repeat(300_000) + &"}".repeat(300_000);
    assert_eq!(parse(&deep).unwrap().to_string(), deep);

    let options = ParseOptions::new().integer_digits_max(20);
    assert!(options.parse(&"9".repeat(20)).is_ok());
    let error = options.parse(&"9".repeat(21)).unwrap_err();
    assert_eq!(
        error.kind(),
        &ParseErrorKind::IntegerTooLong { digits_max: 20 }
    );

    let options = ParseOptions::new().binary_bytes_max(10);
    assert!(options.parse("[<<0:32>>,<<1:33>>,\"0123456789\"]").is_ok());
    let too_large = ParseErrorKind::BinariesTooLarge { bytes_max: 10 };
    for text in [
        "[<<0:32>>,<<1:49>>]",
        "<<0:99999999999999999999999>>",
        "<<1:2000000000/unit:256>>",
    ] {
        assert_eq!(
            options.parse(text).unwrap_err().kind(),
            &too_large,
            "{text}"
        );
    }

    let options = ParseOptions::new().words_max(40);
    assert!(options.parse(&format!("{:?}", "x".repeat(20))).is_ok());
    assert!(options.parse(&format!("{:?}", "x".repeat(21))).is_err());

    let name = "a".repeat(256);
    assert_eq!(
        parse(&name).unwrap_err().to_string(),
        "1:1: an atom's name has at most 255 characters, this one has 256: use a binary"
    );
    let options = ParseOptions::new().existing_atoms(true);
    for text in [
        "'not made by this text'",
        "<'no such node'/1.2.3>",
        "fun ok:'no such'/1",
    ] {
        let error = options.parse(text).unwrap_err();
        assert!(
            matches!(error.kind(), ParseErrorKind::NoSuchAtom { .. }),
            "{text}"
        );
    }
}

#[test]
fn a_limited_text_ends_at_the_limit() {
    let terms = [
        to_term(&vec![u64::MAX; 1000]).unwrap(),
        to_term(&vec![65; 1000]).unwrap(),
        to_term(&"é".repeat(1000)).unwrap(),
        reads(&format!("{{{}}}", vec!["ok"; 1000].join(","))),
    ];
    for term in &terms {
        let full = term.to_string();
        for bytes in 0..100 {
            let text = term.root().display_limited(bytes).to_string();
            let cut = text.strip_suffix("...").unwrap();
            assert!(full.starts_with(cut), "{text}");
            assert!(cut.len() <= bytes && cut.len() + 1 >= bytes, "{text}");
        }
        let all = term.root().display_limited(full.len());
        assert_eq!(all.to_string(), full);
    }
    let map: std::collections::BTreeMap<i64, i64> = (0..1000).map(|key| (key, key)).collect();
    let text = to_term(&map)
        .unwrap()
        .root()
        .display_limited(40)
        .to_string();
    assert!(text.starts_with("#{") && text.len() <= 43, "{text}");
}

#[test]
fn a_limited_text_looks_at_nothing_beyond() {
    // The decimal digits of a million limbs are the work of minutes at least.
    let mut builder = Builder::new();
    builder.limbs(true, &vec![0xAB; 1_000_000]);
    let term = builder.finish(()).unwrap();
    let text = term.root().display_limited(24).to_string();
    assert_eq!(text, "-16#AB00000000000000AB00...");
    assert_eq!(reads("-16#AB").to_string(), "-171");
}

#[test]
fn an_integer_is_whole_in_base_10_or_cut_off() {
    for limbs in [1, 2, 3, 8] {
        for top in [1, u64::MAX] {
            for negative in [false, true] {
                let mut value = vec![0xAB; limbs];
                value[limbs - 1] = top;
                let mut builder = Builder::new();
                builder.limbs(negative, &value);
                let term = builder.finish(()).unwrap();
                let (full, base_16) = (term.to_string(), base_16(negative, &value));
                for bytes in 0..=full.len() {
                    let text = term.root().display_limited(bytes).to_string();
                    if bytes == full.len() {
                        assert_eq!(text, full);
                        continue;
                    }
                    let cut = text.strip_suffix("...").unwrap();
                    assert_eq!(cut.len(), bytes);
                    let begins = full.starts_with(cut) || base_16.starts_with(cut);
                    assert!(begins, "{text} of {full} or {base_16}");
                }
            }
        }
    }
}

fn base_16(negative: bool, limbs: &[u64]) -> String {
    let (last, rest) = limbs.split_last().unwrap();
    let rest: String = rest
        .iter()
        .rev()
        .map(|limb| format!("{limb:016X}"))
        .collect();
    format!("{}16#{last:X}{rest}", if negative { "-" } else { "" })
}

proptest! {
    #[test]
    fn any_text_is_a_term_or_an_error(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..20),
        odd in any::<String>(),
        place in any::<prop::sample::Index>(),
    ) {
        let mut text = pieces.concat();
        let place = text.floor_char_boundary(place.index(text.len() + 1));
        if odd.len() % 4 == 0 {
            text.insert_str(place, &odd);
        }
        match ParseOptions::new().binary_bytes_max(1 << 10).parse(&text) {
            Ok(term) => {
                prop_assert_eq!(parse(&term.to_string()).unwrap(), term);
            }
            Err(error) => {
                let line = text.split('\n').nth(error.line() - 1);
                let len = line.map(|line| line.chars().count());
                prop_assert!(len.is_some_and(|len| error.column() <= len + 1), "{text:?}: {error}");
            }
        }
    }
}

/// What texts are made of, whole and in parts.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    "(",
    ")",
    "#",
    "#{",
    "=>",
    "<<",
    ">>",
    "|",
    ",",
    ":",
    "/",
    "-",
    "+",
    ".",
    " ",
    "\n",
    "% x\n",
    "1",
    "16#f",
    "99999999999999999999",
    "1.5",
    "e3",
    "_",
    "$",
    "\\",
    "'",
    "\"",
    "a",
    "'b c'",
    "\"d\"",
    "fun ",
    "fun a:b/1",
    "é",
    "日",
    "end",
    "utf8",
    "float",
    "unit:",
    "binary",
    "<0.1.2>",
    "<",
    ">",
    "#Ref<",
    "#Port<a@b/1.2>",
    "0.",
    "\\x{41}",
    "\\^",
    "\0",
];

#[test]
fn what_no_erlang_text_has_is_read_back() {
    // Characters that Erlang's own scanner refuses, in an atom that OTP can make.
    for charset in ["'\u{FFFE}\u{FFFF}'", r"'\x{FFFE}\x{FFFF}'"] {
        let atom = Atom::new("\u{FFFE}\u{FFFF}").unwrap();
        assert_eq!(reads(charset), OwnedTerm::from(atom));
    }
}

#[test]
fn the_text_of_a_term_is_parsed_by_from_str() {
    assert_eq!("{ok,1}".parse::<OwnedTerm>(), parse("{ok, 1}."));
    assert_eq!("{".parse::<OwnedTerm>().unwrap_err().line(), 1);
    assert_eq!("{".parse::<OwnedTerm>().unwrap_err().column(), 2);
}
