//! Many terms in a row, of the frequent kinds only.

use super::frame::{Frame, Kind};
use super::input::Source;
use super::reader::{Reader, opening_work};
use crate::encode::FLAT_PAIRS_MAX;
use crate::etf::atom_names::{self, Known};
use crate::etf::tags::{
    ATOM_EXT, BINARY_EXT, INTEGER_EXT, LIST_EXT, MAP_EXT, NEW_FLOAT_EXT, NIL_EXT,
    SMALL_ATOM_UTF8_EXT, SMALL_BIG_EXT, SMALL_INTEGER_EXT, SMALL_TUPLE_EXT,
};
use crate::limits::HEAP_BINARY_BYTES_MAX;
use crate::raw::Bump;
use crate::word::{CONS, FLOAT, HEAP_BINARY, MAP, TUPLE, Word};

/// Bytes that are looked at for one term: the longest head, or name that is looked up at once.
const HEAD_BYTES: usize = 19;

/// Bytes of a name that is looked up at once.
const NAME_BYTES: usize = 16;

impl Reader {
    /// Reads terms as long as they are frequent, sound, and neither near the end of the input nor of
    /// the room; says whether there was one. All else is left, unread, to [`Reader::term`] and
    /// [`Reader::close`], which do the same with a closer look and tell errors.
    ///
    /// What changes with each term is in variables of this function's own.
    #[inline(never)]
    pub(super) fn quick(&mut self, source: &mut Source<'_>) -> bool {
        let mut frame = self.frame;
        if !frame.has_slots() {
            return false;
        }
        let bytes = source.input.bytes;
        let mut rest = &bytes[source.input.at..];
        // What was left when the present term began.
        let mut begin = rest.len();
        let before = source.work;
        let mut budget = source.budget - before;
        let mut words = self.encoder.space_mut().bump();
        loop {
            let mut now = budget.min(frame.left as usize);
            budget -= now;
            while now > 0 {
                let Some((word, read)) = leaf(&mut words, source.known, rest) else {
                    break;
                };
                begin = rest.len();
                rest = &rest[read..];
                words.set(frame.slot, word);
                frame.advance();
                now -= 1;
            }
            budget += now;
            if budget == 0 {
                break;
            }
            if frame.left == 0 {
                match frame.kind() {
                    Kind::Tuple | Kind::Tail => {}
                    // The last cell has its `[]` already.
                    Kind::List if rest.first() == Some(&NIL_EXT) => {
                        begin = rest.len();
                        rest = &rest[1..];
                        budget -= 1;
                    }
                    Kind::List => {
                        frame = frame.tail();
                        continue;
                    }
                    Kind::Map => {
                        let known = self.known[frame.extra() as usize];
                        let map = frame.object_of_map();
                        let keys = |map: u32| words.words(map + 1, frame.extra());
                        if known == 0 || !same(keys(known), keys(map)) {
                            break;
                        }
                    }
                    Kind::Root | Kind::Large => break,
                }
                frame = self.stack.pop().unwrap_or(Frame::root(0));
                if !frame.has_slots() {
                    break;
                }
                continue;
            }
            let Some((word, new, read)) = compound(&mut words, rest) else {
                break;
            };
            let work = 1 + opening_work(new.left);
            let announced = self.announced + new.terms();
            let depth_max = source.options.depth_max as usize;
            // As `Reader::announce`: that a step ends here or there changes no error.
            let cut = new.terms() > rest.len() - read || announced > bytes.len();
            if cut || work > budget || self.stack.len() + 1 >= depth_max {
                words.take_back(word.offset());
                break;
            }
            self.announced = announced;
            budget -= work;
            begin = rest.len();
            rest = &rest[read..];
            words.set(frame.slot, word);
            frame.advance();
            // A list in the place of a tail goes on with the one before it.
            if frame.kind() != Kind::Tail || new.kind() != Kind::List {
                self.stack.push(frame);
            }
            frame = new;
        }
        drop(words);
        self.frame = frame;
        self.begin = bytes.len() - begin;
        source.work = source.budget - budget;
        source.input.at = bytes.len() - rest.len();
        source.work > before
    }
}

/// A leaf at the beginning of these bytes, and how many of them it takes.
#[inline(always)]
fn leaf(words: &mut Bump<'_>, known: &Known, rest: &[u8]) -> Option<(Word, usize)> {
    let first = rest.first_chunk::<HEAD_BYTES>()?;
    let eight = |start: usize| {
        let bytes = first[start..].first_chunk::<8>();
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let leaf = match first[0] {
        SMALL_INTEGER_EXT => (Word::number(first[1].into()), 2),
        INTEGER_EXT => (Word::small((number(first) as i32).into())?, 5),
        SMALL_BIG_EXT if first[1] < 8 => {
            let len = usize::from(first[1]);
            let magnitude = (eight(3) & !(u64::MAX << (8 * len))) as i64;
            let value = if first[2] == 0 { magnitude } else { -magnitude };
            (Word::small(value)?, 3 + len)
        }
        SMALL_ATOM_UTF8_EXT => {
            let len = usize::from(first[1]);
            let name = first[2..].first_chunk::<NAME_BYTES>()?;
            let atom = atom_names::known(known, name, len, false)?;
            (Word::atom(atom), 2 + len)
        }
        ATOM_EXT if first[1] == 0 => {
            let len = usize::from(first[2]);
            let name = first[3..].first_chunk::<NAME_BYTES>()?;
            let atom = atom_names::known(known, name, len, true)?;
            (Word::atom(atom), 3 + len)
        }
        NIL_EXT => (Word::NIL, 1),
        NEW_FLOAT_EXT => {
            let value = f64::from_bits(eight(1).swap_bytes());
            if !value.is_finite() {
                return None;
            }
            let offset = words.push([Word::header(FLOAT, 1), Word(value.to_bits())])?;
            (Word::boxed(FLOAT, offset), 9)
        }
        BINARY_EXT => {
            let len = number(first) as usize;
            let bytes = rest[5..].first_chunk::<HEAP_BINARY_BYTES_MAX>()?;
            if len > HEAP_BINARY_BYTES_MAX {
                return None;
            }
            let offset = words.short_binary(bytes, len)?;
            (Word::boxed(HEAP_BINARY, offset), 5 + len)
        }
        _ => return None,
    };
    Some(leaf)
}

/// A compound at the beginning of these bytes, its words laid out, and how many bytes its head takes.
#[inline(always)]
fn compound(words: &mut Bump<'_>, rest: &[u8]) -> Option<(Word, Frame, usize)> {
    let first = rest.first_chunk::<HEAD_BYTES>()?;
    match first[0] {
        SMALL_TUPLE_EXT if first[1] > 0 => {
            let count = first[1].into();
            let object = words.blank(Word::header(TUPLE, count), count)?;
            Some((Word::boxed(TUPLE, object), Frame::tuple(object, count), 2))
        }
        LIST_EXT => {
            let count = number(first);
            if count as usize > rest.len() {
                return None;
            }
            let object = words.cells(count)?;
            Some((Word::boxed(CONS, object), Frame::list(object, count), 5))
        }
        MAP_EXT => {
            let pairs = number(first);
            if pairs == 0 || pairs > FLAT_PAIRS_MAX {
                return None;
            }
            let object = words.blank(Word::header(MAP, pairs), 2 * pairs)?;
            Some((Word::boxed(MAP, object), Frame::map(object, pairs), 5))
        }
        _ => None,
    }
}

/// The number behind a tag.
#[inline(always)]
fn number(head: &[u8; HEAD_BYTES]) -> u32 {
    u32::from_be_bytes([head[1], head[2], head[3], head[4]])
}

/// Whether the words are the same; all are looked at, as mostly they are.
#[inline(always)]
fn same(left: &[Word], right: &[Word]) -> bool {
    let words = left.iter().zip(right);
    words.fold(0, |other, (left, right)| other | (left.0 ^ right.0)) == 0
}
