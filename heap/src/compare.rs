//! Erlang's order, equality and a hash that agrees.
//!
//! Recursion is bounded by the depth of a term: lists go along their tails.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};

use crate::map::Map;
use crate::number::Number;
use crate::term::{Term, View};

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// `1` and `1.0` are equal.
    Value,
    /// `1` comes before `1.0`, `-0.0` before `0.0`.
    Exact,
}

impl Term<'_> {
    /// The total order in which two terms are equal only if `=:=`: numbers of one value are told
    /// apart, `1` before `1.0`. The order of the keys of a map.
    #[inline]
    pub fn cmp_exact(self, other: Term<'_>) -> Ordering {
        compare(self, other, Mode::Exact)
    }

    /// Erlang's `<` and `==`: numbers by value, except as the keys of maps.
    #[inline]
    pub fn cmp_value(self, other: Term<'_>) -> Ordering {
        compare(self, other, Mode::Value)
    }
}

impl PartialEq for Term<'_> {
    fn eq(&self, other: &Self) -> bool {
        equal(*self, *other)
    }
}

impl Eq for Term<'_> {}

impl PartialOrd for Term<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Term<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.cmp_exact(*other)
    }
}

fn same_place(left: Term<'_>, right: Term<'_>) -> bool {
    left.word() == right.word() && (!left.word().is_boxed() || left.base() == right.base())
}

/// number < atom < reference < (fun < port) < pid < tuple < map < nil < list < bitstring.
fn rank(view: &View<'_>) -> u8 {
    match view {
        View::Int(_) | View::BigInt(_) | View::Float(_) => 0,
        View::Atom(_) => 1,
        View::Ref(_) | View::ExternalRef(_) => 2,
        // In OTP a resource is a reference too; after the plain ones.
        View::Native => 3,
        View::Export(_) => 4,
        View::Port(_) | View::ExternalPort(_) => 5,
        View::Pid(_) | View::ExternalPid(_) => 6,
        View::Tuple(_) => 7,
        View::Map(_) => 8,
        View::Nil => 9,
        View::Cons(_) => 10,
        View::Binary(_) | View::Bits(_) => 11,
    }
}

fn number<'h>(view: View<'h>) -> Option<Number<'h>> {
    match view {
        View::Int(value) => Some(Number::Small(value)),
        View::BigInt(value) => Some(Number::Big(value)),
        View::Float(value) => Some(Number::Float(value)),
        _ => None,
    }
}

fn compare(mut left: Term<'_>, mut right: Term<'_>, mode: Mode) -> Ordering {
    loop {
        if same_place(left, right) {
            return Ordering::Equal;
        }
        let (cons_left, cons_right) = match (left.view(), right.view()) {
            (View::Cons(left), View::Cons(right)) => (left, right),
            (left_view, right_view) => {
                return compare_views(left, left_view, right, right_view, mode);
            }
        };
        match compare(cons_left.head(), cons_right.head(), mode) {
            Ordering::Equal => {}
            decided => return decided,
        }
        (left, right) = (cons_left.tail(), cons_right.tail());
    }
}

fn compare_views(
    left: Term<'_>,
    left_view: View<'_>,
    right: Term<'_>,
    right_view: View<'_>,
    mode: Mode,
) -> Ordering {
    if let (Some(left), Some(right)) = (number(left_view), number(right_view)) {
        return compare_numbers(left, right, mode);
    }
    match (left_view, right_view) {
        (View::Atom(left), View::Atom(right)) => left.cmp(&right),
        (View::Ref(left), View::Ref(right)) => left.cmp(&right),
        (View::Pid(left), View::Pid(right)) => left.cmp(&right),
        (View::Port(left), View::Port(right)) => left.cmp(&right),
        (View::ExternalPid(left), View::ExternalPid(right)) => {
            let key = |pid: crate::ExternalPid| (pid.serial, pid.id, pid.node, pid.creation);
            key(left).cmp(&key(right))
        }
        (View::ExternalPort(left), View::ExternalPort(right)) => {
            let key = |port: crate::ExternalPort| (port.id, port.node, port.creation);
            key(left).cmp(&key(right))
        }
        (View::ExternalRef(left), View::ExternalRef(right)) => {
            let node = |external: &crate::ExternalRef| (external.node, external.creation);
            let numbers = left.ids().iter().rev().cmp(right.ids().iter().rev());
            numbers.then_with(|| node(&left).cmp(&node(&right)))
        }
        (View::Export(left), View::Export(right)) => {
            let key = |fun: crate::Export| (fun.module, fun.function, fun.arity);
            key(left).cmp(&key(right))
        }
        (View::Binary(_) | View::Bits(_), View::Binary(_) | View::Bits(_)) => {
            left.as_bitstring().cmp(&right.as_bitstring())
        }
        (View::Tuple(left), View::Tuple(right)) => left
            .len()
            .cmp(&right.len())
            .then_with(|| first_difference(left.iter().zip(right.iter()), mode)),
        (View::Map(left), View::Map(right)) => compare_maps(left, right, mode),
        // Natives are told apart by where they lie.
        (View::Native, View::Native) => {
            let place = |term: Term<'_>| (term.base(), term.word().offset());
            place(left).cmp(&place(right))
        }
        (left, right) => rank(&left).cmp(&rank(&right)),
    }
}

fn first_difference<'l, 'r>(
    mut pairs: impl Iterator<Item = (Term<'l>, Term<'r>)>,
    mode: Mode,
) -> Ordering {
    pairs
        .find_map(|(left, right)| {
            let order = compare(left, right, mode);
            order.is_ne().then_some(order)
        })
        .unwrap_or(Ordering::Equal)
}

fn compare_numbers(left: Number<'_>, right: Number<'_>, mode: Mode) -> Ordering {
    let by_value = left.cmp_value(right);
    if by_value.is_ne() || mode == Mode::Value {
        return by_value;
    }
    match (left, right) {
        (Number::Float(left), Number::Float(right)) => left.total_cmp(&right),
        (_, Number::Float(_)) => Ordering::Less,
        (Number::Float(_), _) => Ordering::Greater,
        _ => Ordering::Equal,
    }
}

fn compare_maps(left: Map<'_>, right: Map<'_>, mode: Mode) -> Ordering {
    left.len().cmp(&right.len()).then_with(|| {
        if left.is_flat() {
            compare_pairs(left.iter(), right.iter(), mode)
        } else {
            let (left, right) = (left.sorted(), right.sorted());
            compare_pairs(left.iter().copied(), right.iter().copied(), mode)
        }
    })
}

/// Pairs of two maps in key order: all keys first, then the values.
fn compare_pairs<'l, 'r>(
    left: impl Iterator<Item = (Term<'l>, Term<'l>)> + Clone,
    right: impl Iterator<Item = (Term<'r>, Term<'r>)> + Clone,
    mode: Mode,
) -> Ordering {
    let pairs = left.zip(right);
    let keys = pairs.clone().map(|(left, right)| (left.0, right.0));
    first_difference(keys, Mode::Exact).then_with(|| {
        let values = pairs.map(|(left, right)| (left.1, right.1));
        first_difference(values, mode)
    })
}

fn equal(mut left: Term<'_>, mut right: Term<'_>) -> bool {
    loop {
        if same_place(left, right) {
            return true;
        }
        if !left.word().is_boxed() || !right.word().is_boxed() {
            return false;
        }
        match (left.view(), right.view()) {
            (View::Cons(cons_left), View::Cons(cons_right)) => {
                if !equal(cons_left.head(), cons_right.head()) {
                    return false;
                }
                (left, right) = (cons_left.tail(), cons_right.tail());
            }
            (View::Tuple(left), View::Tuple(right)) => {
                return left.len() == right.len()
                    && left
                        .iter()
                        .zip(right)
                        .all(|(left, right)| equal(left, right));
            }
            (View::Map(left), View::Map(right)) => {
                return left.len() == right.len()
                    && left
                        .iter()
                        .zip(right)
                        .all(|(left, right)| equal(left.0, right.0) && equal(left.1, right.1));
            }
            (View::Binary(left), View::Binary(right)) => return left == right,
            (View::Bits(left), View::Bits(right)) => return left == right,
            (View::ExternalPid(left), View::ExternalPid(right)) => return left == right,
            (View::ExternalPort(left), View::ExternalPort(right)) => return left == right,
            (View::ExternalRef(left), View::ExternalRef(right)) => return left == right,
            (View::Export(left), View::Export(right)) => return left == right,
            (View::Float(left), View::Float(right)) => return left.to_bits() == right.to_bits(),
            (View::BigInt(left), View::BigInt(right)) => return left == right,
            // Natives that are not in one place, or terms of two kinds.
            _ => return false,
        }
    }
}

/// Agrees with `==`. Not portable: atoms hash by their index in this program.
impl Hash for Term<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut term = *self;
        loop {
            match term.view() {
                View::Cons(cons) => {
                    state.write_u8(10);
                    cons.head().hash(state);
                    term = cons.tail();
                    continue;
                }
                View::Tuple(tuple) => {
                    state.write_u8(7);
                    state.write_usize(tuple.len());
                    tuple.iter().for_each(|element| element.hash(state));
                }
                View::Map(map) => {
                    state.write_u8(8);
                    state.write_usize(map.len());
                    map.iter().for_each(|pair| pair.hash(state));
                }
                View::Binary(bytes) => {
                    state.write_u8(11);
                    bytes.hash(state);
                }
                View::Bits(bits) => bits.hash(state),
                View::ExternalPid(pid) => pid.hash(state),
                View::ExternalPort(port) => port.hash(state),
                View::ExternalRef(external) => external.hash(state),
                View::Export(fun) => fun.hash(state),
                View::Float(value) => state.write_u64(value.to_bits()),
                View::BigInt(value) => value.hash(state),
                View::Native => state.write_u8(3),
                // The word of an immediate is its identity.
                _ => state.write_u64(term.word().0),
            }
            return;
        }
    }
}
