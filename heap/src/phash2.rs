//! Erlang's portable hash of a term: the same number in every OTP, and in this crate.
//!
//! The state is one word of 32 bits, into which each part of the term is mixed in order, with a
//! constant for its kind. Only the pairs of a map are hashed each by itself, and joined by
//! exclusive or: so their order does not count.

use crate::MapIter;
use crate::term::{Term, View};
use crate::{Atom, BigInt};

/// Multiplied by the number of its kind, the constant that a part is mixed with.
const GOLDEN: u32 = 0x9E37_79B9;

/// The hash of an empty list at the very start, and what stands for one later.
const NIL_FIRST: u32 = 3_468_870_702;
const NIL_LATER: u32 = 2;

impl Term<'_> {
    /// A number under 2^27, the same on every node of every release and wherever the term lies.
    /// Mirrors `erlang:phash2/1`, with its values.
    ///
    /// Equal terms have equal hashes; so have `0.0` and `-0.0`, and all [native
    /// resources](crate::Native), of which Erlang has none. Of pids and ports it sees the number,
    /// of references the first number, of none the node.
    ///
    /// ```
    /// use otp_heap::{atoms, to_term};
    ///
    /// // erlang:phash2({ok, 1}).
    /// assert_eq!(to_term(&(atoms::OK, 1))?.root().phash2(), 101_439_905);
    /// # Ok::<(), otp_heap::EncodeError>(())
    /// ```
    pub fn phash2(self) -> u32 {
        hash(self) & ((1 << 27) - 1)
    }

    /// A number under `range`. Mirrors `erlang:phash2/2`, with its values.
    ///
    /// # Panics
    ///
    /// Unless `range` is from 1 to 2^32, as in Erlang.
    pub fn phash2_range(self, range: u64) -> u32 {
        assert!(
            (1..=1 << 32).contains(&range),
            "the range of a hash is from 1 to 2^32, not {range}"
        );
        (u64::from(hash(self)) % range) as u32
    }
}

/// What is left to hash.
enum Open<'h> {
    /// Words in a row, from an offset on: how many.
    Run(u32, u32),
    One(Term<'h>),
    Pairs(Box<Pairs<'h>>),
}

/// A map whose pairs are being hashed.
struct Pairs<'h> {
    pairs: MapIter<'h>,
    // The state before the pairs, and the pairs so far.
    before: State,
    joined: u32,
}

fn hash(whole: Term<'_>) -> u32 {
    let mut state = State(0);
    let mut stack = Vec::new();
    let mut term = whole;
    loop {
        match term.view() {
            View::Cons(_) => {
                let rest = state.bytes(term);
                if rest.as_cons().is_none() {
                    // What ended the list.
                    term = rest;
                    continue;
                }
                stack.push(Open::Run(rest.word().offset(), 2));
            }
            View::Tuple(tuple) => {
                state.mix(tuple.len() as u32, 0, 9);
                stack.push(Open::Run(term.word().offset() + 1, tuple.len() as u32));
            }
            View::Map(map) => {
                state.mix(map.len() as u32, 0, 16);
                if !map.is_empty() {
                    stack.push(Open::Pairs(Box::new(Pairs {
                        pairs: map.iter(),
                        before: state,
                        joined: 0,
                    })));
                    state = State(0);
                }
            }
            View::Nil if state.0 == 0 => state = State(NIL_FIRST),
            View::Nil => state.mix(NIL_LATER, 0, 2),
            View::Atom(atom) if state.0 == 0 => state = State(name_hash(atom)),
            View::Atom(atom) => state.mix(name_hash(atom), 0, 3),
            View::Int(value) => state.integer(value),
            View::BigInt(value) => state.limbs(value),
            View::Float(value) => {
                // Adding turns -0.0 into 0.0.
                let bits = (value + 0.0).to_bits();
                state.wide(bits.rotate_left(32), 12);
            }
            View::Binary(bytes) => state.bits(bytes, 0),
            View::Bits(bits) => state.bits(bits.bytes(), bits.last_bits()),
            View::Pid(pid) => state.mix(pid.index(), 0, 5),
            View::ExternalPid(pid) => state.mix(pid.id, 0, 5),
            View::Port(port) => state.wide(port.as_u64(), 6),
            View::ExternalPort(port) => state.wide(port.id, 6),
            View::Ref(reference) => state.mix(reference.numbers()[0], 0, 7),
            View::ExternalRef(external) => state.mix(external.ids()[0], 0, 7),
            View::Native => state.mix(0, 0, 7),
            View::Export(fun) => {
                state.mix(fun.arity.into(), name_hash(fun.module), 1);
                state.mix(name_hash(fun.function), 0, 14);
            }
        }
        match next(whole, &mut state, &mut stack) {
            Some(part) => term = part,
            None => return state.0,
        }
    }
}

/// The next term in order; what ends before it is mixed in.
fn next<'h>(whole: Term<'h>, state: &mut State, stack: &mut Vec<Open<'h>>) -> Option<Term<'h>> {
    loop {
        match stack.pop()? {
            Open::Run(_, 0) => {}
            Open::Run(offset, count) => {
                if count > 1 {
                    stack.push(Open::Run(offset + 1, count - 1));
                }
                return Some(whole.at(offset));
            }
            Open::One(term) => return Some(term),
            Open::Pairs(mut map) => {
                // Zero before the first pair.
                map.joined ^= state.0;
                if let Some((key, value)) = map.pairs.next() {
                    *state = State(0);
                    stack.push(Open::Pairs(map));
                    stack.push(Open::One(value));
                    return Some(key);
                }
                *state = map.before;
                state.mix(map.joined, 0, 19);
            }
        }
    }
}

/// The hash of all that was before.
#[derive(Clone, Copy)]
struct State(u32);

impl State {
    /// Mixes in two numbers of a kind.
    #[inline]
    fn mix(&mut self, low: u32, high: u32, kind: u32) {
        let constant = GOLDEN.wrapping_mul(kind);
        let start = [low.wrapping_add(constant), high.wrapping_add(constant)];
        self.0 = jenkins(start[0], start[1], self.0)[2];
    }

    fn wide(&mut self, number: u64, kind: u32) {
        self.mix(number as u32, (number >> 32) as u32, kind);
    }

    fn integer(&mut self, value: i64) {
        // Of 28 bits, as the small integers of old.
        if (-(1 << 27)..1 << 27).contains(&value) {
            if value < 0 {
                self.mix(-value as u32, 0, 1);
            }
            self.mix(value as u32, 0, 1);
        } else {
            self.limb(value < 0, value.unsigned_abs());
        }
    }

    fn limb(&mut self, negative: bool, limb: u64) {
        self.wide(limb, if negative { 10 } else { 11 });
    }

    fn limbs(&mut self, value: BigInt<'_>) {
        for limb in value.limbs() {
            self.limb(value.is_negative(), *limb);
        }
    }

    /// Mixes in the bytes that a list begins with, four at once; gives the rest of the list.
    fn bytes<'h>(&mut self, list: Term<'h>) -> Term<'h> {
        let (mut four, mut count) = (0_u32, 0);
        let mut rest = list;
        while let Some(cell) = rest.as_cons() {
            let View::Int(byte @ 0..=255) = cell.head().view() else {
                break;
            };
            four = four << 8 | byte as u32;
            count += 1;
            if count == 4 {
                self.mix(four, 0, 4);
                (four, count) = (0, 0);
            }
            rest = cell.tail();
        }
        if count > 0 {
            self.mix(four, 0, 4);
        }
        rest
    }

    /// Mixes in a bitstring: its bytes, and the bits of the last one, 0 for all.
    fn bits(&mut self, bytes: &[u8], last: u8) {
        let before = self.0.wrapping_add(GOLDEN.wrapping_mul(13));
        let (whole, rest) = match bytes.split_last() {
            Some((rest, whole)) if last > 0 => (whole, Some(rest)),
            _ => (bytes, None),
        };
        if bytes.is_empty() {
            self.0 = before;
            return;
        }
        self.0 = block(whole, before);
        if let Some(rest) = rest {
            self.mix(last.into(), (rest >> (8 - last)).into(), 15);
        }
    }
}

/// Bytes in blocks of twelve. Their number counts modulo 2^32, and of more than that only so many
/// of them, as in OTP.
fn block(bytes: &[u8], before: u32) -> u32 {
    let len = bytes.len() as u32;
    let bytes = &bytes[..len as usize];
    let number = |bytes: &[u8]| {
        let add = |sum, (index, byte): (u32, &u8)| sum | u32::from(*byte) << (8 * index);
        (0..).zip(bytes).fold(0_u32, add)
    };
    let [mut a, mut b, mut c] = [GOLDEN, GOLDEN, before];
    let (blocks, rest) = bytes.as_chunks::<12>();
    for block in blocks {
        a = a.wrapping_add(number(&block[..4]));
        b = b.wrapping_add(number(&block[4..8]));
        c = c.wrapping_add(number(&block[8..]));
        [a, b, c] = jenkins(a, b, c);
    }
    let mut parts = [0; 3];
    for (part, bytes) in parts.iter_mut().zip(rest.chunks(4)) {
        *part = number(bytes);
    }
    // The lowest byte of the third number is kept for the length.
    jenkins(
        a.wrapping_add(parts[0]),
        b.wrapping_add(parts[1]),
        c.wrapping_add(parts[2] << 8).wrapping_add(len),
    )[2]
}

/// Bob Jenkins's mix of three numbers.
#[inline]
fn jenkins(mut a: u32, mut b: u32, mut c: u32) -> [u32; 3] {
    // Right, left and right by so much in each of three rounds.
    for [first, second, third] in [[13, 8, 13], [12, 16, 5], [3, 10, 15]] {
        a = a.wrapping_sub(b).wrapping_sub(c) ^ c >> first;
        b = b.wrapping_sub(c).wrapping_sub(a) ^ a << second;
        c = c.wrapping_sub(a).wrapping_sub(b) ^ b >> third;
    }
    [a, b, c]
}

/// The hash of an atom's name by Peter Weinberger's method, 28 bits. A character of Latin-1 counts
/// as one byte, as in the times when names had no others; the rest as UTF-8.
fn name_hash(atom: Atom) -> u32 {
    let mut bytes = [0; 4];
    atom.as_str().chars().fold(0, |hash, character| {
        if let Ok(byte) = u8::try_from(character) {
            return name_step(hash, byte);
        }
        let utf8 = character.encode_utf8(&mut bytes);
        utf8.bytes().fold(hash, name_step)
    })
}

fn name_step(hash: u32, byte: u8) -> u32 {
    let hash = (hash << 4).wrapping_add(byte.into());
    let top = hash & 0xF000_0000;
    hash ^ top >> 24 ^ top
}
