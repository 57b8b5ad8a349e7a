//! The hash of a term as the key of a map: 64 bits, of which a trie takes four a level from the top.
//!
//! It agrees with `=:=`, and is the same in every program and wherever the term lies: an atom hashes by its name, a
//! binary by its bytes, a float by its bits. (A native resource hashes by a number of this program, which it never
//! leaves.) So a trie stays valid where atoms have other indices, and a map gives its pairs in the same order in each
//! run. It is fixed, so who chooses the keys can choose keys that collide: those make one bucket, which halving
//! searches and each change copies.

use crate::Atom;
use crate::term::Term;
use crate::word::{ATOM, BIG, CONS, FLOAT, HEAP_BINARY, NATIVE, OTHER, Other, SHARED_BINARY, Word};

/// First state, and the two factors: odd, half of their bits set, at random. The first 64-bit words of the fractions of
/// pi and of the golden ratio.
const SEED: u64 = 0x243F_6A88_85A3_08D3;
const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
const SECOND_FACTOR: u64 = 0x1319_8A2E_0370_7345;

/// The whole product of 128 bits, folded into 64.
#[inline]
const fn fold(left: u64, right: u64) -> u64 {
    let product = left as u128 * right as u128;
    product as u64 ^ (product >> 64) as u64
}

#[inline]
const fn mix(state: u64, word: u64) -> u64 {
    fold(state ^ word, FACTOR)
}

const fn four(bytes: &[u8; 4]) -> u64 {
    u32::from_le_bytes(*bytes) as u64
}

/// Sixteen bytes a step; the last step may take some twice, which the length at the end tells apart. So does `last`,
/// the bits of the last byte.
#[inline]
const fn mix_bits(state: u64, bytes: &[u8], last: u8) -> u64 {
    let mut state = state;
    let mut rest = bytes;
    while let Some((step, behind)) = rest.split_first_chunk::<16>() {
        let step = u128::from_le_bytes(*step);
        state = fold(state ^ step as u64, (step >> 64) as u64 ^ SECOND_FACTOR);
        rest = behind;
    }
    let (low, high) = if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (rest.first_chunk(), rest.last_chunk()) {
        (four(first), four(last))
    } else if let [first, .., last] = rest {
        let middle = rest[rest.len() / 2] as u64;
        (*first as u64 | middle << 8, *last as u64)
    } else if let [only] = rest {
        (*only as u64, 0)
    } else {
        (0, 0)
    };
    let length = (bytes.len() as u64) << 3 | last as u64;
    mix(fold(state ^ low, high ^ SECOND_FACTOR), length)
}

/// The hash of an atom's name, to be kept with the atom.
pub(crate) const fn of_name(name: &str) -> u64 {
    mix_bits(SEED, name.as_bytes(), 0)
}

#[inline]
fn mix_immediate(state: u64, word: Word) -> u64 {
    if word.tag() == ATOM {
        let atom = Atom::from_index(word.payload() as u32);
        return mix(state, atom.name_hash());
    }
    mix(state, word.0)
}

#[inline]
fn mix_binary(state: u64, term: Term<'_>) -> u64 {
    let (bytes, last) = term.as_bitstring().unwrap_or_default();
    mix_bits(state ^ HEAP_BINARY, bytes, last)
}

/// The hash of a term.
#[inline]
pub(crate) fn of(term: Term<'_>) -> u64 {
    let word = term.word();
    let hash = match word.tag() {
        ATOM => Atom::from_index(word.payload() as u32).name_hash(),
        HEAP_BINARY | SHARED_BINARY => mix_binary(SEED, term),
        _ if word.is_boxed() => of_object(term),
        _ => mix(SEED, word.0),
    };
    #[cfg(test)]
    let hash = hash & narrow::mask();
    hash
}

fn of_object(term: Term<'_>) -> u64 {
    let (mut state, mut rest) = enter(SEED, term);
    let mut open = Open::default();
    loop {
        while rest.count == 0 {
            match open.pop() {
                Some(words) => rest = words,
                None => return state,
            }
        }
        let part = term.at(rest.offset);
        rest.offset += 1;
        rest.count -= 1;
        if part.word().is_boxed() {
            let inner;
            (state, inner) = enter(state, part);
            // An object at its last word is open no more, so the tail of a list costs nothing.
            if inner.count > 0 && rest.count > 0 {
                open.push(rest);
            }
            if inner.count > 0 {
                rest = inner;
            }
        } else {
            state = mix_immediate(state, part.word());
        }
    }
}

/// Takes in what an object is; and which words are to follow.
#[inline]
fn enter(state: u64, object: Term<'_>) -> (u64, Words) {
    let offset = object.word().offset();
    let none = Words::default();
    match object.word().tag() {
        CONS => (mix(state, CONS), Words { offset, count: 2 }),
        HEAP_BINARY | SHARED_BINARY => (mix_binary(state, object), none),
        NATIVE => (mix(mix(state, NATIVE), object.native_serial()), none),
        FLOAT | BIG => {
            let header = object.object_word(0);
            let limbs = (1..=header.raw_words() as usize).map(|index| object.object_word(index).0);
            (limbs.fold(mix(state, header.0), mix), none)
        }
        OTHER if object.object_word(0).other_kind() == Other::ExternalRef => {
            (mix_reference(state, object), none)
        }
        _ => {
            // The nodes of equal tries are alike, so their headers and words may count.
            let header = object.object_word(0);
            let words = Words {
                offset: offset + 1,
                count: header.term_words() as u32,
            };
            (mix(state, header.0), words)
        }
    }
}

/// References are equal whatever zeros end their numbers, so those do not count.
fn mix_reference(state: u64, object: Term<'_>) -> u64 {
    let kind = Word::other_header(Other::ExternalRef, 0);
    let mut count = object.object_word(0).header_len() as usize;
    while object.object_word(count) == Word::number(0) && count > 2 {
        count -= 1;
    }
    (1..=count).fold(mix(state, kind.0), |state, index| {
        mix_immediate(state, object.object_word(index))
    })
}

/// Words still to be seen of an object.
#[derive(Clone, Copy, Default)]
struct Words {
    offset: u32,
    count: u32,
}

/// Objects that nest before the stack of those still open takes memory from the allocator. Chosen by feel.
const NEAR: usize = 8;

/// The objects that are open, innermost last.
#[derive(Default)]
struct Open {
    near: [Words; NEAR],
    len: usize,
    far: Vec<Words>,
}

impl Open {
    #[inline]
    fn push(&mut self, words: Words) {
        match self.near.get_mut(self.len) {
            Some(place) => *place = words,
            None => self.far.push(words),
        }
        self.len += 1;
    }

    #[inline]
    fn pop(&mut self) -> Option<Words> {
        self.len = self.len.checked_sub(1)?;
        match self.near.get(self.len) {
            Some(words) => Some(*words),
            None => self.far.pop(),
        }
    }
}

/// Hashes made narrow for the tests of tries: all but a few bits are zero, so keys collide.
#[cfg(test)]
pub(crate) mod narrow {
    use std::cell::Cell;

    thread_local! {
        static MASK: Cell<u64> = const { Cell::new(u64::MAX) };
    }

    pub(super) fn mask() -> u64 {
        MASK.get()
    }

    /// Runs with only the bits of `mask` in the hashes of this thread.
    pub(crate) fn with<R>(mask: u64, run: impl FnOnce() -> R) -> R {
        struct Restore(u64);
        impl Drop for Restore {
            fn drop(&mut self) {
                MASK.set(self.0);
            }
        }
        let _restore = Restore(MASK.replace(mask));
        run()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Atom, Block, Builder, OwnedTerm, Ref, to_block, to_term};

    fn built(builder: &mut Builder<()>) -> OwnedTerm {
        std::mem::take(builder).finish(()).unwrap()
    }

    fn hash(term: &OwnedTerm) -> u64 {
        of(term.root())
    }

    /// Another value here makes tries that were written down unreadable.
    #[test]
    fn the_hash_of_a_term_is_fixed() {
        let atom = |name| OwnedTerm::from(Atom::new(name).unwrap());
        let fixed = [
            (hash(&to_term(&1).unwrap()), 0x020C_1ECE_50FF_F0FD),
            (hash(&to_term(&1.0).unwrap()), 0x4264_A52D_0694_DD6D),
            (hash(&atom("ok")), 0x7E77_15AF_7562_77D4),
            (hash(&atom("made_in_a_test")), 0xA69D_B9DF_FF9E_9BD1),
            (hash(&to_term("text").unwrap()), 0x7BCE_27A2_32A4_9531),
            (
                hash(&to_term(&"long".repeat(20)).unwrap()),
                0x17F0_16AD_5093_6D77,
            ),
            (
                hash(&to_term(&(1, [1, 2], u128::MAX)).unwrap()),
                0xCF09_58D8_86D7_A369,
            ),
        ];
        for (found, expected) in fixed {
            assert_eq!(found, expected, "{found:#x}");
        }
    }

    #[test]
    fn what_is_equal_has_one_hash_wherever_it_lies() {
        let key = (
            1.5,
            "text",
            (Ref::from_u64(7), u128::MAX),
            vec![Some(1); 20],
        );
        let alone = to_term(&key).unwrap();
        let part = to_block((), &(0, &key)).unwrap();
        let part = part.root().as_tuple().unwrap().get(1).unwrap();
        assert_eq!(hash(&alone), of(part));
        let copy = Block::copy_of(0_u8, part).unwrap();
        assert_eq!(hash(&alone), of(copy.root()));
        // Bytes inside the block and outside.
        let long = "x".repeat(100);
        let slice = crate::Binary::from(long.as_bytes()).slice(10..40);
        assert_eq!(
            hash(&to_term(&slice).unwrap()),
            hash(&to_term(&long[10..40]).unwrap())
        );
    }

    #[test]
    fn terms_that_differ_have_hashes_that_differ() {
        let mut terms = vec![
            to_term(&1).unwrap(),
            to_term(&1.0).unwrap(),
            to_term(&0.0).unwrap(),
            to_term(&-0.0).unwrap(),
            to_term(&(1_i128 << 70)).unwrap(),
            to_term(&-(1_i128 << 70)).unwrap(),
            to_term(&(1,)).unwrap(),
            to_term(&vec![1]).unwrap(),
            to_term(&vec![vec![1]]).unwrap(),
            to_term(&((1, 2), 3)).unwrap(),
            to_term(&(1, (2, 3))).unwrap(),
            to_term(&(1, 2, 3)).unwrap(),
            to_term(&((1, 2, 3),)).unwrap(),
            to_term(&((), ((), ()))).unwrap(),
            to_term("ok").unwrap(),
            built(Builder::new().nil().nil().cons()),
            built(Builder::new().nil()),
            built(Builder::new().tuple(0)),
            built(Builder::new().map(0)),
            built(Builder::new().bits([0x80], 1)),
            built(Builder::new().bits([0x80], 2)),
            built(Builder::new().bytes([0x80])),
        ];
        terms.extend((0..40).map(|len| to_term(&"a".repeat(len)).unwrap()));
        terms.extend((1..40).map(|len| built(Builder::new().bytes(vec![0; len]))));
        let mut hashes: Vec<_> = terms.iter().map(hash).collect();
        hashes.sort();
        hashes.dedup();
        assert_eq!(hashes.len(), terms.len());
    }

    #[test]
    fn zeros_at_the_end_of_a_reference_do_not_count() {
        let reference = |ids: &[u32]| {
            let made = crate::ExternalRef::new(Atom::new("a@b").unwrap(), 7, ids).unwrap();
            built(Builder::new().external_ref(&made))
        };
        let numbers: [&[u32]; 4] = [&[1, 2], &[1, 2, 0], &[1, 2, 0, 0], &[1, 2, 0, 0, 0]];
        let short = reference(numbers[0]);
        for long in numbers.map(reference) {
            assert_eq!(long, short);
            assert_eq!(hash(&long), hash(&short));
        }
        assert_eq!(hash(&reference(&[0])), hash(&reference(&[0; 5])));
        let others: [&[u32]; 4] = [&[0], &[1], &[0, 1, 2], &[1, 2, 1]];
        for other in others.map(reference) {
            assert_ne!(hash(&other), hash(&short));
        }
        // Found as the key of a map, flat or a trie, whichever form is stored.
        for len in [1_u32, 100] {
            let mut builder = Builder::<()>::new();
            builder.term(reference(numbers[3]).root()).integer(-1);
            for number in 1..len {
                builder.integer(number).integer(number);
            }
            let map = built(builder.map(len as usize));
            let found = map.root().as_map().unwrap().get(short.root());
            assert_eq!(found.and_then(Term::as_i64), Some(-1));
        }
    }

    #[test]
    fn a_key_nests_as_deep_as_it_likes() {
        let mut builder = Builder::<()>::new();
        builder.integer(0);
        for level in 0..500 {
            builder.integer(level).tuple(2);
        }
        let left = builder.finish(()).unwrap();
        let right = left.try_clone().unwrap();
        assert_eq!(hash(&left), hash(&right));
        assert_ne!(hash(&left), hash(&to_term(&0).unwrap()));
    }
}
