//! Two terms of which at least one holds no other term, or which are of two kinds.

use std::cmp::Ordering;

use super::Mode;
use crate::number::Number;
use crate::term::{Term, View};
use crate::word::{HEAP_BINARY, Word};
use crate::{Atom, ExternalRef, atoms};

/// Their order; where only equality is asked for, any order but `Equal` stands for a difference.
#[inline]
pub(super) fn compare<const EQUALITY: bool>(
    left: Term<'_>,
    right: Term<'_>,
    mode: Mode,
) -> Ordering {
    // Of what is no object, equal words were seen before.
    if EQUALITY && !(left.word().is_boxed() && right.word().is_boxed()) {
        return Ordering::Less;
    }
    if left.word().tag() == HEAP_BINARY && right.word().tag() == HEAP_BINARY {
        return heap_binaries::<EQUALITY>(left, right);
    }
    order::<EQUALITY>(left, right, mode)
}

/// Two binaries that lie in their blocks, word by word: what is past the end of one is zero.
#[inline(always)]
pub(super) fn heap_binaries<const EQUALITY: bool>(left: Term<'_>, right: Term<'_>) -> Ordering {
    let (header, other) = (left.object_word(0), right.object_word(0));
    if EQUALITY && header != other {
        return Ordering::Less;
    }
    for index in 1..=header.raw_words().min(other.raw_words()) as usize {
        let (left, right) = (left.object_word(index).0, right.object_word(index).0);
        if left != right {
            // The first byte is the least significant one.
            return left.swap_bytes().cmp(&right.swap_bytes());
        }
    }
    // One begins with the other, zeros apart: the shorter one is the lesser.
    let length = |header: Word| (header.header_len(), header.header_bits().wrapping_sub(1));
    length(header).cmp(&length(other))
}

/// Whether two binaries that lie in their blocks are the same.
#[inline(always)]
pub(super) fn same_bytes(left: Term<'_>, right: Term<'_>) -> bool {
    let header = left.object_word(0);
    // What is past the end is zero.
    let words = header.header_len().div_ceil(8) as usize;
    header == right.object_word(0)
        && (1..=words).all(|index| left.object_word(index) == right.object_word(index))
}

fn order<const EQUALITY: bool>(left: Term<'_>, right: Term<'_>, mode: Mode) -> Ordering {
    let (left_view, right_view) = (left.view(), right.view());
    match (left_view, right_view) {
        (View::Atom(left), View::Atom(right)) => left.cmp(&right),
        (View::Float(left), View::Float(right)) if mode == Mode::Exact => left.total_cmp(&right),
        (View::Binary(left), View::Binary(right)) => {
            if EQUALITY && left.len() != right.len() {
                return Ordering::Less;
            }
            left.cmp(right)
        }
        (View::Export(left), View::Export(right)) => left.cmp(&right),
        (View::Native, View::Native) => left.native_serial().cmp(&right.native_serial()),
        (left_view, right_view) => {
            let by_rank = rank(&left_view).cmp(&rank(&right_view));
            by_rank.then_with(|| match rank(&left_view) {
                Rank::Number => numbers(left_view, right_view, mode),
                Rank::Reference => reference(left_view).cmp(&reference(right_view)),
                Rank::Port => port(left_view).cmp(&port(right_view)),
                Rank::Pid => pid(left_view).cmp(&pid(right_view)),
                Rank::Bitstring => bitstring(left).cmp(&bitstring(right)),
                // Of these, two of one rank were seen above or nest; `[]` is one term.
                _ => Ordering::Equal,
            })
        }
    }
}

/// The kinds in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    Number,
    Atom,
    Reference,
    /// In OTP a resource is a reference too.
    Native,
    Fun,
    Port,
    Pid,
    Tuple,
    Map,
    Nil,
    List,
    Bitstring,
}

fn rank(view: &View<'_>) -> Rank {
    match view {
        View::Int(_) | View::BigInt(_) | View::Float(_) => Rank::Number,
        View::Atom(_) => Rank::Atom,
        View::Ref(_) | View::ExternalRef(_) => Rank::Reference,
        View::Native => Rank::Native,
        View::Export(_) => Rank::Fun,
        View::Port(_) | View::ExternalPort(_) => Rank::Port,
        View::Pid(_) | View::ExternalPid(_) => Rank::Pid,
        View::Tuple(_) => Rank::Tuple,
        View::Map(_) => Rank::Map,
        View::Nil => Rank::Nil,
        View::Cons(_) => Rank::List,
        View::Binary(_) | View::Bits(_) => Rank::Bitstring,
    }
}

fn numbers(left: View<'_>, right: View<'_>, mode: Mode) -> Ordering {
    let (Some(left), Some(right)) = (Number::of(left), Number::of(right)) else {
        unreachable!("the rank says that they are numbers");
    };
    if mode == Mode::Exact && left.is_float() != right.is_float() {
        return left.is_float().cmp(&right.is_float());
    }
    left.cmp_value(right)
}

/// The bytes, and how many bits of the last one count: of two that begin alike, the shorter one is
/// the lesser, and what is past the end of one is zero.
fn bitstring(term: Term<'_>) -> (&[u8], u8) {
    match term.as_bitstring() {
        Some((bytes, 0)) => (bytes, 8),
        Some((bytes, last)) => (bytes, last),
        None => unreachable!("the rank says that it is a bitstring"),
    }
}

/// A node's name and creation; last, whether an identifier is written out as of another node.
type Node = (Atom, u32, bool);

/// What this VM is as a node, for the order of identifiers.
const HERE: Node = (atoms::NONODE_NOHOST, 0, false);

/// Serial and id, then the node.
fn pid(view: View<'_>) -> (u32, u32, Node) {
    match view {
        View::Pid(pid) => (pid.serial(), pid.index(), HERE),
        View::ExternalPid(pid) => (pid.serial, pid.id, (pid.node, pid.creation, true)),
        _ => unreachable!("the rank says that it is a pid"),
    }
}

/// The node, then the number.
fn port(view: View<'_>) -> (Node, u64) {
    match view {
        View::Port(port) => (HERE, port.as_u64()),
        View::ExternalPort(port) => ((port.node, port.creation, true), port.id),
        _ => unreachable!("the rank says that it is a port"),
    }
}

/// The node, then the numbers from the last to the first; missing ones are zero.
fn reference(view: View<'_>) -> (Node, [u32; ExternalRef::IDS_MAX]) {
    match view {
        View::Ref(reference) => {
            let [first, second, third] = reference.numbers();
            (HERE, [0, 0, third, second, first])
        }
        View::ExternalRef(external) => {
            let (node, creation, numbers) = external.key();
            ((node, creation, true), numbers)
        }
        _ => unreachable!("the rank says that it is a reference"),
    }
}
