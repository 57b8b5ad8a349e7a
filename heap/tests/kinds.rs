//! Terms of every kind are made, looked at, copied and compared.

use otp_heap::{
    Atom, Block, Builder, EncodeError, Export, ExternalPid, ExternalPort, ExternalRef, OwnedTerm,
    Port, Term, View, from_term, to_term,
};

fn node() -> Atom {
    Atom::new("there@host").unwrap()
}

fn build(make: impl FnOnce(&mut Builder<()>)) -> OwnedTerm {
    let mut builder = Builder::new();
    make(&mut builder);
    builder.finish(()).unwrap()
}

/// The term, and the same as the part of another, copied out of it: both ways of copying.
fn everywhere(term: &OwnedTerm, check: impl Fn(Term<'_>)) {
    check(term.root());
    let whole = Block::copy_of(0_u8, term.root()).unwrap();
    check(whole.root());
    let within = to_term(&(1, term)).unwrap();
    let part = within.root().as_tuple().unwrap().get(1).unwrap();
    check(part);
    let out = Block::copy_of((), part).unwrap();
    check(out.root());
    assert_eq!(out.root(), term.root());
    assert_eq!(out.root().words(), term.root().words());
}

#[test]
fn identifiers_of_other_nodes() {
    let pid = ExternalPid {
        node: node(),
        creation: u32::MAX,
        id: 7,
        serial: 9,
    };
    let term = build(|builder| {
        builder.external_pid(pid);
    });
    everywhere(&term, |term| {
        assert!(matches!(term.view(), View::ExternalPid(seen) if seen == pid))
    });
    let port = ExternalPort {
        node: node(),
        creation: 3,
        id: u64::MAX - 5,
    };
    let term = build(|builder| {
        builder.external_port(port);
    });
    everywhere(&term, |term| {
        assert!(matches!(term.view(), View::ExternalPort(seen) if seen == port))
    });
    for len in 1..=ExternalRef::IDS_MAX {
        let numbers = [1, u32::MAX, 3, 4, 5];
        let reference = ExternalRef::new(node(), 1, &numbers[..len]).unwrap();
        assert_eq!(reference.ids(), &numbers[..len]);
        let term = build(|builder| {
            builder.external_ref(&reference);
        });
        everywhere(&term, |term| {
            assert!(matches!(term.view(), View::ExternalRef(seen) if seen == reference))
        });
    }
    assert_eq!(ExternalRef::new(node(), 1, &[]), None);
    assert_eq!(ExternalRef::new(node(), 1, &[0; 6]), None);
}

#[test]
fn ports_and_exported_funs() {
    let port = Port::from_u64(u64::MAX);
    let term = to_term(&port).unwrap();
    everywhere(&term, |term| {
        assert!(matches!(term.view(), View::Port(seen) if seen == port));
        assert_eq!(from_term::<Port>(term).unwrap(), port);
    });
    let fun = Export {
        module: Atom::new("lists").unwrap(),
        function: Atom::new("map").unwrap(),
        arity: 255,
    };
    let term = build(|builder| {
        builder.export(fun);
    });
    everywhere(&term, |term| {
        assert!(matches!(term.view(), View::Export(seen) if seen == fun))
    });
}

#[test]
fn bitstrings_short_and_long() {
    for len in [1, 64, 65, 200] {
        let bytes = vec![0b1010_1111; len];
        for last in 1..8_u8 {
            let bits = (len - 1) * 8 + usize::from(last);
            let term = build(|builder| {
                builder.bits(&bytes, bits);
            });
            everywhere(&term, |term| {
                let View::Bits(seen) = term.view() else {
                    panic!("{term} is a bitstring");
                };
                assert_eq!((seen.bit_len(), seen.last_bits()), (bits, last));
                assert_eq!(seen.bytes()[..len - 1], bytes[..len - 1]);
                assert_eq!(
                    seen.bytes()[len - 1],
                    0b1010_1111 & (0xFF << (8 - last)),
                    "what is past the end does not show"
                );
                assert_eq!(term.as_binary(), None);
                assert!(term.to_binary().is_none());
            });
            let whole = build(|builder| {
                builder.bits(&bytes, len * 8);
            });
            assert_eq!(whole.root().as_binary(), Some(&bytes[..]));
            assert_ne!(whole, term);
        }
    }
    let mut builder = Builder::new();
    builder.bits([1], 9);
    assert_eq!(
        builder.finish(()).unwrap_err(),
        EncodeError::Bits { bits: 9, bytes: 1 }
    );
}

#[test]
fn integers_of_any_size() {
    let limbs = [1, 2, u64::MAX, 0, 5];
    let term = build(|builder| {
        builder.limbs(true, &limbs);
    });
    everywhere(&term, |term| {
        let View::BigInt(big) = term.view() else {
            panic!("{term} is a big integer");
        };
        assert!(big.is_negative());
        assert_eq!(big.limbs(), limbs);
    });
    for (limbs, text) in [
        (&[][..], "0"),
        (&[0, 0, 0][..], "0"),
        (&[5, 0][..], "-5"),
        (&[u64::MAX, 0][..], "-18446744073709551615"),
        (&[0, 1, 0][..], "-18446744073709551616"),
    ] {
        let term = build(|builder| {
            builder.limbs(true, limbs);
        });
        assert_eq!(term.to_string(), text);
        let value: i128 = text.parse().unwrap();
        assert_eq!(term, to_term(&value).unwrap(), "one form for each number");
    }
}
