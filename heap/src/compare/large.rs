//! Maps that give their pairs in the order of a hash.

use std::cmp::Ordering;

use super::Mode;
use crate::term::Term;
use crate::{Map, MapIter};

/// Two large maps of one size.
///
/// They give their pairs in the order of a hash, which is the same for both as long as their keys
/// are. If all are, the least key whose values differ decides, by its values. If not, the least
/// key that only one map has decides: that map is the lesser one. So a difference is kept with its
/// key while the search goes on.
pub(super) struct Large<'h> {
    left: Map<'h>,
    right: Map<'h>,
    left_pairs: MapIter<'h>,
    right_pairs: MapIter<'h>,
    // The pair under comparison, of the left map and of the right.
    here: Option<[Pair<'h>; 2]>,
    mode: Mode,
    asked: Asked<'h>,
    // The best difference so far, and its key.
    found: Option<(Ordering, Term<'h>)>,
}

type Pair<'h> = (Term<'h>, Term<'h>);

/// What the comparison under way is of.
enum Asked<'h> {
    Nothing,
    /// The keys of both pairs, for equality only.
    Keys,
    /// The key of both pairs, and that of the difference found.
    Lesser,
    /// The values of both pairs.
    Values,
    /// A key that only one map has, and the least such one so far; and what it would decide.
    Alone(Term<'h>, Ordering),
}

/// How the search goes on.
pub(super) enum Next<'h> {
    Compare(Term<'h>, Term<'h>, Mode),
    Done(Ordering),
}

impl<'h> Large<'h> {
    pub(super) fn new(left: Map<'h>, right: Map<'h>, mode: Mode) -> Large<'h> {
        Large {
            left,
            right,
            left_pairs: left.iter(),
            right_pairs: right.iter(),
            here: None,
            mode,
            asked: Asked::Nothing,
            found: None,
        }
    }

    /// Both maps.
    pub(super) fn terms(&self) -> Pair<'h> {
        (self.left.term(), self.right.term())
    }

    /// Takes in the result of the comparison asked for last. Where only equality is asked for, that
    /// is always `Equal`: the first difference ends the walk.
    pub(super) fn take<const EQUALITY: bool>(&mut self, order: Ordering) -> Next<'h> {
        match std::mem::replace(&mut self.asked, Asked::Nothing) {
            Asked::Keys => return self.values(),
            Asked::Lesser if order.is_lt() => return self.values(),
            Asked::Values if order.is_ne() => {
                self.found = self.here.map(|[left, _]| (order, left.0));
            }
            Asked::Alone(key, decides) => {
                if order.is_lt() {
                    self.found = Some((decides, key));
                }
                return self.next_alone();
            }
            Asked::Nothing | Asked::Lesser | Asked::Values => {}
        }
        self.next_pair::<EQUALITY>()
    }

    fn next_pair<const EQUALITY: bool>(&mut self) -> Next<'h> {
        let (Some(left), Some(right)) = (self.left_pairs.next(), self.right_pairs.next()) else {
            return self.done();
        };
        self.here = Some([left, right]);
        if EQUALITY {
            self.asked = Asked::Keys;
            return Next::Compare(left.0, right.0, Mode::Exact);
        }
        // Equality takes no stack, and time in proportion. Their order is of use only if they turn
        // out to be the least; to ask for it here as well would double the work at each level.
        if left.0 != right.0 {
            self.found = None;
            (self.left_pairs, self.right_pairs) = (self.left.iter(), self.right.iter());
            return self.next_alone();
        }
        match self.found {
            Some((_, least)) => {
                self.asked = Asked::Lesser;
                Next::Compare(left.0, least, Mode::Exact)
            }
            None => self.values(),
        }
    }

    fn values(&mut self) -> Next<'h> {
        let Some([left, right]) = self.here else {
            return self.done();
        };
        self.asked = Asked::Values;
        Next::Compare(left.1, right.1, self.mode)
    }

    /// The next key that only one map has.
    fn next_alone(&mut self) -> Next<'h> {
        loop {
            let (key, other, decides) = if let Some((key, _)) = self.left_pairs.next() {
                (key, self.right, Ordering::Less)
            } else if let Some((key, _)) = self.right_pairs.next() {
                (key, self.left, Ordering::Greater)
            } else {
                return self.done();
            };
            if other.get(key).is_some() {
                continue;
            }
            match self.found {
                Some((_, least)) => {
                    self.asked = Asked::Alone(key, decides);
                    return Next::Compare(key, least, Mode::Exact);
                }
                None => self.found = Some((decides, key)),
            }
        }
    }

    fn done(&self) -> Next<'h> {
        Next::Done(self.found.map_or(Ordering::Equal, |(order, _)| order))
    }
}
