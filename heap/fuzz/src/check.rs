//! What must hold of any term.

use std::fmt::Display;

use otp_heap::{Term, View};

/// Asserts that two terms are the same to all that can tell terms apart.
#[track_caller]
pub fn assert_same(left: Term<'_>, right: Term<'_>) {
    assert!(left == right, "{} is not {}", brief(left), brief(right));
    assert!(
        left.cmp_exact(right).is_eq(),
        "{} is not {} in order",
        brief(left),
        brief(right)
    );
    assert_eq!(left.phash2(), right.phash2());
    assert_eq!(left.to_string(), right.to_string());
}

fn brief(term: Term<'_>) -> impl Display {
    term.display_limited(1000)
}

/// Reads all of a term, up to so many terms; tells whether that was all.
///
/// A term that shares its parts may have many more of them than words.
pub fn walk(term: Term<'_>, terms_max: usize) -> bool {
    let mut waiting = vec![term];
    let mut seen = 0;
    let mut bytes = 0_usize;
    while let Some(term) = waiting.pop() {
        seen += 1;
        if seen + waiting.len() > terms_max {
            return false;
        }
        match term.view() {
            View::Tuple(tuple) => waiting.extend(tuple),
            View::Cons(cons) => waiting.extend([cons.head(), cons.tail()]),
            View::Map(map) => {
                let before = waiting.len();
                waiting.extend(map.iter().flat_map(|(key, value)| [key, value]));
                assert_eq!(waiting.len() - before, 2 * map.len());
            }
            View::Binary(binary) => bytes += binary.iter().filter(|byte| **byte != 0).count(),
            View::Bits(bits) => {
                assert!(bits.last_bits() < 8 && bits.bit_len() <= 8 * bits.bytes().len());
                bytes += usize::from(bits.bytes()[bits.bytes().len() - 1]);
            }
            View::BigInt(big) => {
                // Reduced: no zero at the end, and no integer that 60 bits would hold.
                assert_ne!(big.limbs().last(), Some(&0));
                assert!(!big.limbs().is_empty());
            }
            View::Float(value) => assert!(value.is_finite()),
            View::Atom(atom) => bytes += atom.as_str().len(),
            _ => {}
        }
    }
    std::hint::black_box(bytes);
    true
}
