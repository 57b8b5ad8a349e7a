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
#[repr(u8)]
pub(super) enum Kind {
    /// Nothing: one term is to come, or has come.
    Root,
    Tuple,
    List,
    Tail,
    Map,
    /// A map over 32 pairs: its terms wait apart.
    Large,
}

/// Something open. Three numbers, not more, so that to open and to leave it are a few moves.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Terms left.
    pub(super) left: u32,
    /// Offset of the word where the next one goes.
    pub(super) slot: u32,
    shape: Shape,
}

const _: () = assert!(size_of::<Frame>() == 16);

/// What stays the same while something is open, from the lowest byte: its [`Kind`]; the words from
/// a slot to the next one with an even number of terms left, and with an odd one; above 32 bits what
/// [`Frame::extra`] gives.
#[derive(Clone, Copy, Debug)]
struct Shape(u64);

impl Shape {
    #[inline(always)]
    const fn new(kind: Kind, forth: i8, back: i8, extra: u32) -> Shape {
        let [forth, back] = [forth as u8 as u64, back as u8 as u64];
        Shape(kind as u64 | forth << 8 | back << 16 | (extra as u64) << 32)
    }
}

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
            shape: Shape::new(kind, 0, 0, extra),
        }
    }

    #[inline(always)]
    pub(super) fn kind(self) -> Kind {
        const TUPLE: u8 = Kind::Tuple as u8;
        const LIST: u8 = Kind::List as u8;
        const TAIL: u8 = Kind::Tail as u8;
        const MAP: u8 = Kind::Map as u8;
        const LARGE: u8 = Kind::Large as u8;
        match self.shape.0 as u8 {
            TUPLE => Kind::Tuple,
            LIST => Kind::List,
            TAIL => Kind::Tail,
            MAP => Kind::Map,
            LARGE => Kind::Large,
            _ => Kind::Root,
        }
    }

    /// The pairs of a map; of a large one where its terms begin.
    #[inline(always)]
    pub(super) fn extra(self) -> u32 {
        (self.shape.0 >> 32) as u32
    }

    /// The tuple of so many elements at this offset.
    #[inline(always)]
    pub(super) fn tuple(object: u32, count: u32) -> Frame {
        Frame {
            left: count,
            slot: object + 1,
            shape: Shape::new(Kind::Tuple, 1, 1, 0),
        }
    }

    /// The list of so many cells, the first of them at this offset.
    #[inline(always)]
    pub(super) fn list(first: u32, count: u32) -> Frame {
        Frame {
            left: count,
            slot: first,
            shape: Shape::new(Kind::List, 2, 2, 0),
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
            shape: Shape::new(Kind::Map, forth, 1 - forth, pairs),
        }
    }

    /// The tail of a list of which all else was read.
    #[inline(always)]
    pub(super) fn tail(self) -> Frame {
        Frame {
            left: 1,
            // Past the head of the last cell, by the other half of it.
            slot: self.slot - 1,
            shape: Shape::new(Kind::Tail, 0, 0, 0),
        }
    }

    /// Offset of the flat map of which all was read.
    #[inline(always)]
    pub(super) fn object_of_map(self) -> u32 {
        self.slot - self.extra() - 1
    }

    /// Terms that were announced when this opened; a list's tail is one.
    #[inline(always)]
    pub(super) fn terms(self) -> usize {
        self.left as usize + usize::from(self.kind() == Kind::List)
    }

    /// Whether its terms have their slots in the block.
    #[inline(always)]
    pub(super) fn has_slots(self) -> bool {
        !matches!(self.kind(), Kind::Root | Kind::Large)
    }

    /// Counts the term of this slot as read.
    #[inline(always)]
    pub(super) fn advance(&mut self) {
        let shift = if self.left.is_multiple_of(2) { 8 } else { 16 };
        let step = (self.shape.0 >> shift) as i8;
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
            if frame.left == 0 && frame.kind() == Kind::List {
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
