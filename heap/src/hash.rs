//! A hash that agrees with `==`, for Rust's own maps and sets.

use std::hash::{Hash, Hasher};

use crate::MapIter;
use crate::term::{Term, View};

/// What is left to hash.
enum Open<'h> {
    /// Words in a row, from an offset on: how many.
    Run(u32, u32),
    One(Term<'h>),
    Pairs(MapIter<'h>),
}

/// Agrees with `==`. Not portable: atoms hash by their index in this program; [`Term::phash2`] is.
impl Hash for Term<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut term = *self;
        let mut stack = Vec::new();
        loop {
            let word = term.word();
            state.write_u8(word.tag() as u8);
            match term.view() {
                View::Cons(_) => stack.push(Open::Run(word.offset(), 2)),
                View::Tuple(tuple) => {
                    state.write_usize(tuple.len());
                    stack.push(Open::Run(word.offset() + 1, tuple.len() as u32));
                }
                View::Map(map) => {
                    state.write_usize(map.len());
                    stack.push(Open::Pairs(map.iter()));
                }
                View::Binary(bytes) => bytes.hash(state),
                View::Bits(bits) => bits.hash(state),
                View::ExternalPid(pid) => pid.hash(state),
                View::ExternalPort(port) => port.hash(state),
                View::ExternalRef(external) => external.hash(state),
                View::Export(fun) => fun.hash(state),
                View::Float(value) => state.write_u64(value.to_bits()),
                View::BigInt(value) => value.hash(state),
                View::Native => state.write_u64(term.native_serial()),
                // The word of an immediate is its identity.
                _ => state.write_u64(word.0),
            }
            match next(*self, &mut stack) {
                Some(part) => term = part,
                None => return,
            }
        }
    }
}

/// The next term in order.
fn next<'h>(whole: Term<'h>, stack: &mut Vec<Open<'h>>) -> Option<Term<'h>> {
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
            Open::Pairs(mut pairs) => {
                if let Some((key, value)) = pairs.next() {
                    stack.push(Open::Pairs(pairs));
                    stack.push(Open::One(value));
                    return Some(key);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::hash::{BuildHasher, RandomState};

    use crate::{Builder, OwnedTerm};

    fn build(make: impl FnOnce(&mut Builder<()>)) -> OwnedTerm {
        let mut builder = Builder::new();
        make(&mut builder);
        builder.finish(()).unwrap()
    }

    #[test]
    fn where_a_term_nests_counts() {
        let hasher = RandomState::new();
        let terms = [
            build(|b| {
                b.integer(1).integer(2).integer(3).list(3).tuple(1);
            }),
            build(|b| {
                b.integer(1).integer(2).list(2).integer(3).tuple(2);
            }),
            build(|b| {
                b.integer(1).integer(2).integer(3).tuple(3);
            }),
            build(|b| {
                b.integer(1).integer(2).integer(3).list(3);
            }),
            build(|b| {
                b.integer(1).integer(2).map(1).integer(3).tuple(2);
            }),
            build(|b| {
                b.integer(1).integer(2).integer(3).cons().cons();
            }),
        ];
        let mut hashes: Vec<u64> = terms.iter().map(|term| hasher.hash_one(term)).collect();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), terms.len());
    }
}
