//! What is open, and where in it we are.
//!
//! The words of a compound are laid out when it opens, so its own word goes where it belongs at
//! once, and nothing is left to do when the last of its parts is read (of a map, to order it).
//! The places of the parts follow from one number of words forward and back again:
//!
//! ```text
//! tuple  a b c        1, 1
//! list   a - b - c -  2, 2      - is the next cell, laid out as well; the tail comes last
//! map    a c e b d f  n, 1 - n  for a => b, c => d, e => f
//! ```

/// What is open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Nothing: one term is to come, or has come.
    Root,
    Tuple,
    List,
    Tail,
    Map,
    /// A map over 32 pairs: its terms wait apart, from `extra` on.
    Large,
}

/// Something open.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Terms left.
    pub(super) left: u32,
    /// Offset of the word where the next one goes.
    pub(super) slot: u32,
    /// The pairs of a map; of a large one where its terms begin.
    pub(super) extra: u32,
    // From a slot to the next one: with an even number of terms left, and with an odd one.
    forth: i8,
    back: i8,
    pub(super) kind: Kind,
}

const _: () = assert!(size_of::<Frame>() == 16);

impl Frame {
    /// What stands around everything, with so many terms to come.
    pub(super) const fn root(left: u32) -> Frame {
        Frame::apart(Kind::Root, left, 0)
    }

    /// A map over 32 pairs, whose terms wait from `start` on.
    pub(super) const fn large(left: u32, start: u32) -> Frame {
        Frame::apart(Kind::Large, left, start)
    }

    const fn apart(kind: Kind, left: u32, extra: u32) -> Frame {
        Frame {
            left,
            slot: 0,
            extra,
            forth: 0,
            back: 0,
            kind,
        }
    }

    /// The tuple of so many elements at this offset.
    #[inline(always)]
    pub(super) fn tuple(object: u32, count: u32) -> Frame {
        Frame {
            left: count,
            slot: object + 1,
            extra: 0,
            forth: 1,
            back: 1,
            kind: Kind::Tuple,
        }
    }

    /// The list of so many cells, the first of them at this offset.
    #[inline(always)]
    pub(super) fn list(first: u32, count: u32) -> Frame {
        Frame {
            left: count,
            slot: first,
            extra: 0,
            forth: 2,
            back: 2,
            kind: Kind::List,
        }
    }

    /// The flat map of so many pairs at this offset.
    #[inline(always)]
    pub(super) fn map(object: u32, pairs: u32) -> Frame {
        // At most 32.
        let forth = pairs as i8;
        Frame {
            left: 2 * pairs,
            slot: object + 1,
            extra: pairs,
            forth,
            back: 1 - forth,
            kind: Kind::Map,
        }
    }

    /// The tail of a list of which all else was read.
    #[inline(always)]
    pub(super) fn tail(self) -> Frame {
        Frame {
            left: 1,
            // Past the head of the last cell, by the other half of it.
            slot: self.slot - 1,
            kind: Kind::Tail,
            ..self
        }
    }

    /// Offset of the flat map of which all was read.
    #[inline(always)]
    pub(super) fn object_of_map(self) -> u32 {
        self.slot - self.extra - 1
    }

    /// Terms that were announced when this opened; a list's tail is one.
    #[inline(always)]
    pub(super) fn terms(self) -> usize {
        self.left as usize + usize::from(self.kind == Kind::List)
    }

    /// Whether its terms have their slots in the block.
    #[inline(always)]
    pub(super) fn has_slots(self) -> bool {
        !matches!(self.kind, Kind::Root | Kind::Large)
    }

    /// Counts the term of this slot as read.
    #[inline(always)]
    pub(super) fn advance(&mut self) {
        let step = if self.left.is_multiple_of(2) {
            self.forth
        } else {
            self.back
        };
        self.slot = self.slot.wrapping_add_signed(step.into());
        self.left -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(mut frame: Frame) -> Vec<u32> {
        let mut slots = Vec::new();
        while frame.left > 0 {
            slots.push(frame.slot);
            frame.advance();
            if frame.left == 0 && frame.kind == Kind::List {
                frame = frame.tail();
            }
        }
        slots
    }

    #[test]
    fn slots_come_in_the_order_of_the_bytes() {
        assert_eq!(slots(Frame::tuple(10, 3)), [11, 12, 13]);
        assert_eq!(slots(Frame::list(10, 3)), [10, 12, 14, 15]);
        assert_eq!(slots(Frame::map(10, 1)), [11, 12]);
        assert_eq!(slots(Frame::map(10, 3)), [11, 14, 12, 15, 13, 16]);
        let last = *slots(Frame::map(10, 32)).last().unwrap();
        assert_eq!(last, 74);
    }

    #[test]
    fn a_map_that_was_read_knows_where_it_lies() {
        for pairs in [1, 2, 32] {
            let mut frame = Frame::map(10, pairs);
            while frame.left > 0 {
                frame.advance();
            }
            assert_eq!(frame.object_of_map(), 10);
        }
    }
}
