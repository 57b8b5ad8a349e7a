//! The hash of a term as the key of a map: 64 bits, of which a trie takes four a level from the top.
//!
//! It agrees with `=:=`, and is the same in every program and wherever the term lies: an atom hashes by its name, a
//! binary by its bytes, a float by its bits. So a trie stays valid where atoms have other indices, and a map gives its
//! pairs in the same order in each run. It is fixed, so who chooses the keys can choose keys that collide: those make
//! one bucket, which halving searches and each change copies.

use crate::Atom;
use crate::term::Term;
use crate::word::{ATOM, BIG, CONS, FLOAT, HEAP_BINARY, NATIVE, SHARED_BINARY, Word};

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

/// Sixteen bytes a step; the last step may take some twice, which the length at the end tells apart.
#[inline]
const fn mix_bytes(state: u64, bytes: &[u8]) -> u64 {
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
    mix(fold(state ^ low, high ^ SECOND_FACTOR), bytes.len() as u64)
}

/// The hash of an atom's name, to be kept with the atom.
pub(crate) const fn of_name(name: &str) -> u64 {
    mix_bytes(SEED, name.as_bytes())
}

#[inline]
fn mix_immediate(state: u64, word: Word) -> u64 {
    if word.tag() == ATOM {
        let atom = Atom::from_index(word.payload() as u32);
        return mix(state, atom.name_hash());
    }
    mix(state, word.0)
}

/// The hash of a term.
#[inline]
pub(crate) fn of(term: Term<'_>) -> u64 {
    let hash = if term.word().is_boxed() {
        of_object(term)
    } else {
        mix_immediate(SEED, term.word())
    };
    #[cfg(test)]
    let hash = hash & narrow::mask();
    hash
}

fn of_object(term: Term<'_>) -> u64 {
    let mut state = SEED;
    let mut term = term;
    let mut open = Open::default();
    loop {
        let word = term.word();
        match word.tag() {
            CONS => {
                state = mix(state, CONS);
                open.push(word.offset(), 2);
            }
            HEAP_BINARY | SHARED_BINARY => {
                let (bytes, bits) = term.as_bitstring().unwrap_or_default();
                state = mix_bytes(mix(state, HEAP_BINARY | u64::from(bits) << 4), bytes);
            }
            // Natives are told apart by their places alone, which a hash must not know.
            NATIVE => state = mix(state, NATIVE),
            tag if word.is_boxed() => {
                let header = term.object_word(0);
                state = mix(state, header.0);
                if matches!(tag, FLOAT | BIG) {
                    for index in 1..=header.raw_words() as usize {
                        state = mix(state, term.object_word(index).0);
                    }
                } else {
                    // The nodes of equal tries are alike, so their headers and words may count.
                    open.push(word.offset() + 1, header.term_words() as u32);
                }
            }
            _ => state = mix_immediate(state, word),
        }
        match open.next() {
            Some(offset) => term = term.at(offset),
            None => return state,
        }
    }
}

/// Objects that nest before the stack of those still open takes memory from the allocator. Chosen by feel.
const NEAR: usize = 8;

/// The words still to be seen of the objects that are open, innermost last: where they begin, how many they are. An
/// object at its last word is open no more, so the tail of a list costs nothing.
#[derive(Default)]
struct Open {
    near: [(u32, u32); NEAR],
    len: usize,
    far: Vec<(u32, u32)>,
}

impl Open {
    #[inline]
    fn push(&mut self, offset: u32, count: u32) {
        if count == 0 {
            return;
        }
        match self.near.get_mut(self.len) {
            Some(place) => *place = (offset, count),
            None => self.far.push((offset, count)),
        }
        self.len += 1;
    }

    /// The offset of the next word.
    #[inline]
    fn next(&mut self) -> Option<u32> {
        let last = self.len.checked_sub(1)?;
        let (offset, count) = match self.near.get_mut(last) {
            Some(place) => place,
            None => self.far.last_mut()?,
        };
        let next = *offset;
        *offset += 1;
        *count -= 1;
        if *count == 0 {
            self.len = last;
            if last >= NEAR {
                self.far.pop();
            }
        }
        Some(next)
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
            (hash(&atom("ok")), 0x1D76_4DB6_BB57_BC7D),
            (hash(&atom("made_in_a_test")), 0xC0C0_5400_4C99_9A59),
            (hash(&to_term("text").unwrap()), 0x3174_C756_C1A2_D195),
            (
                hash(&to_term(&"long".repeat(20)).unwrap()),
                0x0A1E_794A_EA47_F047,
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
