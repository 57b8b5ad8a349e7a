//! The external format without an Erlang beside: limits, steps, errors, hostile input.

use otp_heap::etf::{self, DecodeErrorKind, DecodeOptions, Decoder, EncodeError, EncodeOptions};
use otp_heap::{Atom, Binary, Builder, Native, OwnedTerm, Pid, View, to_term};

#[path = "erlang_support/mod.rs"]
mod erlang_support;

use erlang_support::Random;

fn terms(count: usize) -> Vec<OwnedTerm> {
    let mut random = Random::new(9);
    let mut terms: Vec<OwnedTerm> = (0..count).map(|_| random.value(20).to_term()).collect();
    terms.push(to_term(&vec![7_u8; 70_000]).unwrap());
    terms.push(
        Builder::<()>::new()
            .binary(&Binary::from(vec![1; 100_000]))
            .take(),
    );
    terms
}

trait Take {
    fn take(&mut self) -> OwnedTerm;
}

impl Take for Builder<()> {
    fn take(&mut self) -> OwnedTerm {
        std::mem::take(self).finish(()).unwrap()
    }
}

fn kind(bytes: &[u8], options: &DecodeOptions) -> DecodeErrorKind {
    etf::decode((), bytes, options).unwrap_err().kind
}

#[test]
fn steps_of_any_budget_come_to_the_same() {
    for term in terms(200) {
        for options in [EncodeOptions::new(), EncodeOptions::new().compressed(6)] {
            let whole = etf::encode(term.root(), &options).unwrap();
            for budget in [0, 1, 3, 100, 10_000] {
                let mut encoder = etf::Encoder::append(vec![1, 2], term.root(), &options);
                while !encoder.step(budget).unwrap().done {}
                assert_eq!(encoder.finish(), [&[1, 2], &whole[..]].concat());
                let shared = Binary::from(&whole[..]);
                for mut decoder in [
                    Decoder::new(&whole, &DecodeOptions::new()),
                    Decoder::shared(&shared, &DecodeOptions::new()),
                ] {
                    while !decoder.step(budget).unwrap().done {}
                    let (read, used) = decoder.finish(());
                    assert!(read == term && used == whole.len());
                }
            }
        }
    }
}

#[test]
fn an_error_by_steps_of_any_budget_is_the_same() {
    let whole = |bytes: &[u8]| etf::decode((), bytes, &DecodeOptions::new());
    let by_steps = |bytes: &[u8], budget| {
        let mut decoder = Decoder::<()>::new(bytes, &DecodeOptions::new());
        while !decoder.step(budget)?.done {}
        Ok(decoder.finish(()))
    };
    let mut random = Random::new(5);
    let mut errors = 0;
    for _ in 0..300 {
        let term = random.value(20).to_term();
        let sound = etf::term_to_binary(term.root()).unwrap();
        for _ in 0..20 {
            let mut bytes = sound.clone();
            bytes.truncate(1 + random.below(sound.len()));
            let at = random.below(bytes.len());
            bytes[at] = random.below(256) as u8;
            let first = whole(&bytes);
            errors += usize::from(first.is_err());
            for budget in [1, 2, 7] {
                match (&first, by_steps(&bytes, budget)) {
                    (Ok(left), Ok(right)) => assert!(left.0 == right.0 && left.1 == right.1),
                    (left, right) => {
                        assert_eq!(left.as_ref().err(), right.as_ref().err(), "{bytes:?}");
                    }
                }
            }
        }
    }
    assert!(errors > 3000, "{errors} were refused");
    // A count that its own bytes cannot hold, behind room for others.
    let mut bytes = vec![131, 108, 0, 0, 0, 40];
    bytes.extend([104, 100]);
    bytes.extend([97; 60]);
    let error = whole(&bytes).unwrap_err();
    assert_eq!(by_steps(&bytes, 1).unwrap_err(), error);
    assert_eq!(
        error.to_string(),
        "at byte 6: expected the elements of a tuple, found the end"
    );
}

#[test]
fn a_block_is_in_proportion_to_its_input() {
    for len in [1, 126, 1000, 65_535_u16] {
        let mut bytes = vec![131, 107];
        bytes.extend(len.to_be_bytes());
        bytes.resize(bytes.len() + usize::from(len), 7);
        let term = etf::binary_to_term(&bytes).unwrap();
        assert_eq!(term.root().words(), 2 * usize::from(len));
        assert!(
            term.bytes() <= 32 * bytes.len() + 1024,
            "{} bytes",
            term.bytes()
        );
    }
}

#[test]
fn a_step_keeps_its_budget() {
    let term = to_term(&vec![("text", 1.5, vec![1000; 5]); 5000]).unwrap();
    let bytes = etf::term_to_binary(term.root()).unwrap();
    let mut decoder = Decoder::<()>::new(&bytes, &DecodeOptions::new());
    let (mut steps, mut work) = (0, 0);
    loop {
        let progress = decoder.step(1000).unwrap();
        (steps, work) = (steps + 1, work + progress.work);
        assert!(progress.work <= 1001);
        if progress.done {
            break;
        }
    }
    assert!(steps >= work / 1001 && work > 5000 * 9);
}

#[test]
fn large_binaries_are_parts_of_a_shared_input() {
    let bytes = etf::term_to_binary(to_term(&Binary::from(vec![5; 1000])).unwrap().root()).unwrap();
    let input = Binary::from(bytes);
    let (term, _) = etf::decode_shared((), &input, &DecodeOptions::new()).unwrap();
    let binary = term.root().to_binary().unwrap();
    assert!(binary.ptr_eq(&input.slice(6..)));
    assert_eq!(input.reference_count(), 3);
}

#[test]
fn every_beginning_of_a_term_is_an_error_and_no_more_than_that() {
    for term in terms(100) {
        let bytes = etf::term_to_binary(term.root()).unwrap();
        let step = 1 + bytes.len() / 200;
        for len in (0..bytes.len()).step_by(step) {
            let error = etf::binary_to_term(&bytes[..len]).unwrap_err();
            assert!(matches!(error.kind, DecodeErrorKind::End { .. }), "{error}");
            assert!(error.offset <= len);
        }
    }
}

#[test]
fn bytes_of_any_kind_are_read_or_refused() {
    let mut random = Random::new(2);
    let options = DecodeOptions::new().existing_atoms(true);
    let (mut read, mut refused) = (0, 0);
    for term in terms(3000) {
        let mut bytes = etf::term_to_binary(term.root()).unwrap();
        for _ in 0..4 {
            let at = 1 + random.below(bytes.len() - 1);
            bytes[at] = random.bits() as u8;
            match etf::decode((), &bytes, &options) {
                Ok((term, used)) => {
                    assert!(used <= bytes.len());
                    // What was read is a sound term: it can be written and read again.
                    let again = etf::term_to_binary(term.root()).unwrap();
                    assert!(etf::binary_to_term(&again).unwrap() == term);
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 100 && refused > 100, "{read} and {refused}");
}

#[test]
fn counts_make_no_room_before_their_bytes_are_there() {
    for tag in [105, 108, 109, 116] {
        let bytes = [131, tag, 0, 0xFF, 0xFF, 0xFF, 0, 97, 1];
        assert!(
            matches!(
                kind(&bytes, &DecodeOptions::new()),
                DecodeErrorKind::End { .. }
            ),
            "{tag}"
        );
    }
    let bytes = [131, 105, 1, 0, 0, 0];
    let elements = 1 << 24;
    assert_eq!(
        kind(&bytes, &DecodeOptions::new()),
        DecodeErrorKind::TooManyElements { elements }
    );
    let bytes = [131, 111, 0xFF, 0xFF, 0xFF, 0xFF, 0];
    assert!(matches!(
        kind(&bytes, &DecodeOptions::new()),
        DecodeErrorKind::IntegerTooLarge { .. }
    ));
}

#[test]
fn counts_that_nest_announce_no_byte_twice() {
    // Each count is within the bytes behind it, and all together are far over them.
    for tag in [105, 108] {
        let mut bytes = vec![131];
        (0..50_000).for_each(|_| bytes.extend([tag, 0, 2, 0, 0]));
        let options = DecodeOptions::new().words_max(2 * bytes.len() as u32);
        let error = kind(&bytes, &options);
        assert!(matches!(error, DecodeErrorKind::End { .. }), "{error}");
    }
}

#[test]
fn levels_are_bounded_and_take_no_stack() {
    let nested = |levels: usize, open: &[u8]| {
        let mut bytes = vec![131];
        (0..levels).for_each(|_| bytes.extend(open));
        bytes.push(106);
        bytes.extend(vec![106; levels]);
        bytes
    };
    for open in [&[104, 1][..], &[108, 0, 0, 0, 1][..]] {
        let bytes = nested(100_000, open);
        let options = DecodeOptions::new().depth_max(99_999);
        assert_eq!(
            kind(&bytes, &options),
            DecodeErrorKind::TooDeep { depth_max: 99_999 }
        );
        let options = options.depth_max(100_000);
        let (term, _) = etf::decode((), &bytes, &options).unwrap();
        let again = etf::term_to_binary(term.root()).unwrap();
        assert!(etf::decode((), &again, &options).unwrap().0 == term);
    }
    let bytes = nested(etf::DEFAULT_DEPTH_MAX as usize + 1, &[104, 1]);
    assert!(matches!(
        kind(&bytes, &DecodeOptions::new()),
        DecodeErrorKind::TooDeep { .. }
    ));
    // A list in the place of a tail is no level.
    let mut bytes = vec![131];
    (0..100_000).for_each(|_| bytes.extend([108, 0, 0, 0, 1, 97, 1]));
    bytes.push(106);
    let term = etf::binary_to_term(&bytes).unwrap();
    assert_eq!(term.root().list_len(), Some(100_000));
}

#[test]
fn words_are_bounded() {
    let term = to_term(&vec![1000; 100]).unwrap();
    let bytes = etf::term_to_binary(term.root()).unwrap();
    let options = DecodeOptions::new();
    assert!(etf::decode((), &bytes, &options.words_max(200)).is_ok());
    assert_eq!(
        kind(&bytes, &options.words_max(199)),
        DecodeErrorKind::TooLarge { words_max: 199 }
    );
}

#[test]
fn a_compressed_term_is_of_the_size_it_says() {
    let term = to_term(&vec![1000; 10_000]).unwrap();
    let plain = etf::term_to_binary(term.root()).unwrap();
    let bytes = etf::encode(term.root(), &EncodeOptions::new().compressed(9)).unwrap();
    assert_eq!(bytes[..2], [131, 80]);
    assert!(bytes.len() < plain.len() / 10);
    let size = plain.len() as u32 - 1;
    assert_eq!(bytes[2..6], size.to_be_bytes());
    let options = DecodeOptions::new().inflated_bytes_max(plain.len() - 1);
    assert!(etf::decode((), &bytes, &options).unwrap().0 == term);
    assert_eq!(
        kind(&bytes, &options.inflated_bytes_max(plain.len() - 2)),
        DecodeErrorKind::InflatedTooLarge {
            announced: size,
            inflated_bytes_max: plain.len() - 2
        }
    );
    for wrong in [0, size - 1, size + 1] {
        let mut bytes = bytes.clone();
        bytes[2..6].copy_from_slice(&wrong.to_be_bytes());
        assert_eq!(
            kind(&bytes, &DecodeOptions::new()),
            DecodeErrorKind::InflatedSize { announced: wrong }
        );
    }
    for len in 6..bytes.len() {
        let error = kind(&bytes[..len], &DecodeOptions::new());
        assert!(
            matches!(error, DecodeErrorKind::End { .. }),
            "{len}: {error}"
        );
    }
    let mut bytes = bytes.clone();
    bytes[6] = 0;
    assert_eq!(kind(&bytes, &DecodeOptions::new()), DecodeErrorKind::Zlib);
    // What compressing would make larger stays as it is.
    let small = to_term(&1).unwrap();
    let options = EncodeOptions::new().compressed(9);
    assert_eq!(etf::encode(small.root(), &options).unwrap(), [131, 97, 1]);
}

#[test]
fn with_existing_atoms_none_is_made() {
    let options = DecodeOptions::new().existing_atoms(true);
    let bytes = b"\x83\x77\x0Bnever_a_name";
    assert_eq!(kind(&bytes[..14], &options), DecodeErrorKind::UnknownAtom);
    assert_eq!(Atom::existing("never_a_nam"), None);
    let (term, _) = etf::decode((), b"\x83\x77\x02ok", &options).unwrap();
    assert_eq!(term.root().as_atom(), Some(otp_heap::atoms::OK));
}

#[test]
fn errors_tell_where_and_what() {
    let cases: [(&[u8], &str); 9] = [
        (
            &[130, 97, 1],
            "at byte 0: expected the version, 131, found the byte 130",
        ),
        (&[131], "at byte 1: expected a term, found the end"),
        (
            &[131, 104, 2, 97, 1, 1],
            "at byte 5: expected the tag of a term, found the byte 1",
        ),
        (
            &[131, 116, 0, 0, 0, 2, 97, 1, 97, 1, 97, 1, 97, 2],
            "at byte 12: a map has the same key twice",
        ),
        (
            &[131, 70, 127, 240, 0, 0, 0, 0, 0, 0],
            "at byte 1: expected a finite float",
        ),
        (&[131, 119, 1, 255], "at byte 1: an atom's name is no UTF-8"),
        (
            &[131, 112],
            "at byte 1: a fun's code is in no Rust program: send fun module:function/arity, or data",
        ),
        (
            &[131, 82, 0],
            "at byte 1: a reference to an atom cache means nothing outside a distribution's message",
        ),
        (
            &[131, 121],
            "at byte 1: a term in local form is read only by the node that wrote it",
        ),
    ];
    for (bytes, text) in cases {
        assert_eq!(etf::binary_to_term(bytes).unwrap_err().to_string(), text);
    }
}

#[test]
fn a_large_map_has_each_key_once() {
    let pairs = |keys: &[u8]| {
        let mut bytes = vec![131, 116, 0, 0, 0, keys.len() as u8];
        keys.iter().for_each(|key| bytes.extend([97, *key, 106]));
        bytes
    };
    let keys: Vec<u8> = (0..100).rev().collect();
    let map = etf::binary_to_term(&pairs(&keys)).unwrap();
    assert_eq!(map.root().as_map().unwrap().len(), 100);
    for len in [33, 100] {
        let twice = [&keys[..len - 1], &keys[..1]].concat();
        let error = kind(&pairs(&twice), &DecodeOptions::new());
        assert_eq!(error, DecodeErrorKind::DuplicateKey);
    }
}

#[test]
fn a_native_resource_has_no_format() {
    let term = to_term(&(1, Native::new(5_u8))).unwrap();
    assert_eq!(etf::term_to_binary(term.root()), Err(EncodeError::Native));
}

#[test]
fn an_identifier_too_large_to_be_local_stays_what_it_was() {
    let bytes = b"\x83\x58\x77\x0Dnonode@nohost\xFF\xFF\xFF\xFF\0\0\0\x01\0\0\0\0";
    let term = etf::binary_to_term(bytes).unwrap();
    assert!(matches!(term.root().view(), View::ExternalPid(pid) if pid.id == u32::MAX));
    assert_eq!(etf::term_to_binary(term.root()).unwrap(), bytes);
    let local = to_term(&Pid::from_parts(Pid::INDEX_MAX, u32::MAX)).unwrap();
    let bytes = etf::term_to_binary(local.root()).unwrap();
    assert!(etf::binary_to_term(&bytes).unwrap() == local);
}

/// A binary near the end of the input, or of the room, is copied in another way than one before.
#[test]
fn short_binaries_are_read_wherever_they_stand() {
    for len in 0..=65_usize {
        let bytes = vec![0xFF; len];
        for behind in [0, 13, 80] {
            let term = to_term(&(Binary::from(bytes.clone()), vec![300; behind])).unwrap();
            let external = etf::term_to_binary(term.root()).unwrap();
            let words = (1..).find_map(|words| {
                let options = DecodeOptions::new().words_max(words);
                etf::decode((), &external, &options).ok()
            });
            let (tight, _) = words.unwrap();
            assert_eq!(tight, term);
            assert_eq!(etf::binary_to_term(&external).unwrap(), term);
            assert_eq!(etf::term_to_binary(tight.root()).unwrap(), external);
        }
    }
}
