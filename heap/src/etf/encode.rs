//! Terms to bytes.

use super::Progress;
use super::atom_names::{self, Names};
use super::compress::Deflater;
use super::error::EncodeError;
use super::limits::{COPIED_BYTES_PER_WORK, STRING_BYTES_MAX};
use super::options::EncodeOptions;
use super::room::Room;
use super::tags::{
    BINARY_EXT, BIT_BINARY_EXT, COMPRESSED, INTEGER_EXT, LARGE_TUPLE_EXT, LIST_EXT, MAP_EXT,
    NEW_FLOAT_EXT, NIL_EXT, SMALL_BIG_EXT, SMALL_INTEGER_EXT, SMALL_TUPLE_EXT, STRING_EXT, VERSION,
};
use crate::encode::FLAT_PAIRS_MAX;
use crate::limits::HEAP_BINARY_BYTES_MAX;
use crate::word::{ATOM, CONS, FLOAT, HEAP_BINARY, INTEGER, MAP, NIL, TUPLE, Word};
use crate::{Atom, Map, MapIter, Term};

mod rare;

/// Writes a term by steps.
///
/// ```
/// use otp_heap::etf::{EncodeOptions, Encoder, term_to_binary};
/// use otp_heap::to_term;
///
/// let term = to_term(&vec!["text"; 1000])?;
/// let mut encoder = Encoder::new(term.root(), &EncodeOptions::new());
/// let mut steps = 1;
/// while !encoder.step(100)?.done {
///     steps += 1;
/// }
/// assert_eq!(encoder.finish(), term_to_binary(term.root())?);
/// assert_eq!(steps, 11);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Encoder<'t> {
    out: Vec<u8>,
    // Where this term begins in `out`, its version byte.
    start: usize,
    state: State<'t>,
    options: EncodeOptions,
}

enum State<'t> {
    Plain(Open<'t>),
    Deflating(Box<Deflater>),
    Done,
}

/// What is open, and what is left of it.
struct Open<'t> {
    // The term that is written; of the words of its block all else is made.
    term: Term<'t>,
    // The innermost, and what is around it and not at its end.
    frame: Frame,
    around: Vec<Frame>,
    // Pairs of the maps that are not flat.
    pairs: Vec<Pairs<'t>>,
    // Bytes of a binary.
    bytes: &'t [u8],
}

/// Something open: words of it that are left.
#[derive(Clone, Copy)]
struct Frame {
    kind: Kind,
    /// Elements or pairs left; of a list the elements written.
    count: u32,
    /// Of a tuple the offset of the next element, of a flat map of the next key; of a list what
    /// is left of it.
    next: Word,
    /// From a key to its value; of a list where in the output its number of elements is missing.
    extra: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tuple,
    List,
    Map,
    /// The innermost map of [`Open::pairs`].
    Pairs,
    /// One term, the word `next`.
    Term,
    /// The rest of [`Open::bytes`].
    Bytes,
    /// Nothing is left.
    Ended,
}

/// Pairs of a map as they come, or in order.
enum Pairs<'t> {
    Any(MapIter<'t>),
    Sorted(std::vec::IntoIter<(Term<'t>, Term<'t>)>),
}

impl<'t> Iterator for Pairs<'t> {
    type Item = (Term<'t>, Term<'t>);

    #[inline]
    fn next(&mut self) -> Option<(Term<'t>, Term<'t>)> {
        match self {
            Pairs::Any(pairs) => pairs.next(),
            Pairs::Sorted(pairs) => pairs.next(),
        }
    }
}

impl Frame {
    fn of(kind: Kind) -> Frame {
        Frame {
            kind,
            count: 0,
            next: Word::NIL,
            extra: 0,
        }
    }

    fn term(word: Word) -> Frame {
        Frame {
            next: word,
            ..Frame::of(Kind::Term)
        }
    }

    /// A list whose tag and number of elements end at `end`.
    #[inline(always)]
    fn list(word: Word, end: usize) -> Frame {
        Frame {
            next: word,
            extra: end - size_of::<u32>(),
            ..Frame::of(Kind::List)
        }
    }
}

impl std::fmt::Debug for Encoder<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("bytes", &self.out.len())
            .finish_non_exhaustive()
    }
}

impl<'t> Encoder<'t> {
    /// An encoder that has done nothing yet.
    pub fn new(term: Term<'t>, options: &EncodeOptions) -> Encoder<'t> {
        Encoder::append(Vec::new(), term, options)
    }

    /// An encoder that appends to these bytes.
    pub fn append(mut out: Vec<u8>, term: Term<'t>, options: &EncodeOptions) -> Encoder<'t> {
        let start = out.len();
        out.push(VERSION);
        Encoder {
            start,
            out,
            state: State::Plain(Open {
                term,
                frame: Frame::term(term.word()),
                around: Vec::new(),
                pairs: Vec::new(),
                bytes: &[],
            }),
            options: *options,
        }
    }

    /// Goes on for about so many units of work (see [`Progress`]), at least for one.
    ///
    /// # Errors
    ///
    /// See [`EncodeError`]; the encoder is of no use then.
    pub fn step(&mut self, budget: usize) -> Result<Progress, EncodeError> {
        atom_names::with_written(|names| self.step_with(names, budget))
    }

    fn step_with(&mut self, names: &Names, budget: usize) -> Result<Progress, EncodeError> {
        let budget = budget.max(1);
        let mut work = 0;
        while work < budget {
            match &mut self.state {
                State::Plain(open) => {
                    let mut writer = Writer {
                        out: &mut self.out,
                        names,
                        options: &self.options,
                        work,
                        budget,
                    };
                    let ended = writer.run(open)?;
                    work = writer.work;
                    if ended {
                        self.state = self.close()?;
                    }
                }
                State::Deflating(deflater) => {
                    let (done, ended) = deflater.step(&self.out[self.start + 1..]);
                    work += done;
                    if ended {
                        // Only what is smaller is of use.
                        let compressed = &deflater.out;
                        if compressed.len() < self.out.len() - self.start {
                            self.out.truncate(self.start);
                            self.out.extend_from_slice(compressed);
                        }
                        self.state = State::Done;
                    }
                }
                State::Done => break,
            }
        }
        let done = matches!(self.state, State::Done);
        Ok(Progress { work, done })
    }

    /// What follows the plain term.
    fn close(&mut self) -> Result<State<'t>, EncodeError> {
        let Some(level) = self.options.compressed else {
            return Ok(State::Done);
        };
        let bytes = self.out.len() - self.start - 1;
        let Ok(size) = u32::try_from(bytes) else {
            return Err(EncodeError::TooLarge { bytes });
        };
        let mut out = vec![VERSION, COMPRESSED];
        out.extend_from_slice(&size.to_be_bytes());
        Ok(State::Deflating(Box::new(Deflater::new(level, out))))
    }

    /// The bytes.
    ///
    /// # Panics
    ///
    /// Unless the last step said that all is done.
    pub fn finish(self) -> Vec<u8> {
        assert!(matches!(self.state, State::Done), "steps are left");
        self.out
    }
}

struct Writer<'a> {
    out: &'a mut Vec<u8>,
    names: &'a Names,
    options: &'a EncodeOptions,
    work: usize,
    budget: usize,
}

impl Writer<'_> {
    /// Writes what is open, until it or the budget is used up; says whether all is written.
    fn run<'t>(&mut self, open: &mut Open<'t>) -> Result<bool, EncodeError> {
        let term = open.term;
        // Both in registers: their addresses are known to no one.
        let mut frame = open.frame;
        let mut room = Room::new(std::mem::take(self.out));
        let ended = loop {
            if self.work >= self.budget {
                break false;
            }
            // Leaf after leaf, up to a term that is none of the frequent ones.
            let stopped = match frame.kind {
                Kind::Ended => match open.around.pop() {
                    Some(around) => {
                        frame = around;
                        continue;
                    }
                    None => break true,
                },
                Kind::Tuple => self.tuple(&mut room, term, &mut frame),
                Kind::List => self.list(&mut room, term, &mut frame),
                Kind::Map => self.map(&mut room, &mut open.around, term, &mut frame),
                Kind::Term => {
                    let word = frame.next;
                    frame.kind = Kind::Ended;
                    self.work += 1;
                    (!self.leaf(&mut room, term, word)).then_some(word)
                }
                Kind::Pairs | Kind::Bytes => {
                    open.frame = frame;
                    *self.out = room.finish();
                    let stopped = self.rest(open);
                    room = Room::new(std::mem::take(self.out));
                    frame = open.frame;
                    stopped
                }
            };
            let Some(word) = stopped else {
                continue;
            };
            let new = match word.tag() {
                TUPLE => open_tuple(&mut room, term, word),
                MAP if is_flat(term, word) => open_map(&mut room, term, word),
                CONS => self.open_cons(&mut room, term, word),
                _ => {
                    *self.out = room.finish();
                    let new = self.other(open, word)?;
                    room = Room::new(std::mem::take(self.out));
                    new
                }
            };
            if let Some(new) = new {
                // What is at its end is not come back to.
                if frame.kind != Kind::Ended {
                    open.around.push(frame);
                }
                frame = new;
            }
        };
        open.frame = frame;
        *self.out = room.finish();
        Ok(ended)
    }

    /// How many of so many things, each so many units of work, the budget has; one at least.
    #[inline(always)]
    fn affordable(&self, count: u32, units: usize) -> u32 {
        let most = (self.budget - self.work).div_ceil(units);
        u32::try_from(most).map_or(count, |most| count.min(most))
    }

    #[inline(always)]
    fn tuple(&mut self, room: &mut Room, term: Term<'_>, frame: &mut Frame) -> Option<Word> {
        let now = self.affordable(frame.count, 1);
        let mut words = term.words_at(frame.next.offset(), now).iter();
        let stopped = words.find(|word| !self.leaf(room, term, **word)).copied();
        let written = now - words.len() as u32;
        self.work += written as usize;
        frame.next = Word::boxed(TUPLE, frame.next.offset() + written);
        frame.count -= written;
        if frame.count == 0 {
            frame.kind = Kind::Ended;
        }
        stopped
    }

    #[inline(always)]
    fn map(
        &mut self,
        room: &mut Room,
        around: &mut Vec<Frame>,
        term: Term<'_>,
        frame: &mut Frame,
    ) -> Option<Word> {
        let now = self.affordable(frame.count, 2);
        let keys = frame.next.offset();
        let values = term.words_at(keys + frame.extra as u32, now).iter();
        let mut pairs = term.words_at(keys, now).iter().zip(values);
        let mut key_stopped = false;
        let stopped = pairs.find(|(key, value)| {
            // Keys are atoms, most often.
            key_stopped = !if key.tag() == ATOM {
                self.known_atom(room, **key)
            } else {
                self.leaf(room, term, **key)
            };
            key_stopped || !self.leaf(room, term, **value)
        });
        let written = now - pairs.len() as u32;
        self.work += 2 * written as usize;
        frame.next = Word::boxed(MAP, keys + written);
        frame.count -= written;
        if frame.count == 0 {
            frame.kind = Kind::Ended;
        }
        let (key, value) = stopped?;
        if !key_stopped {
            return Some(*value);
        }
        if frame.kind != Kind::Ended {
            around.push(*frame);
        }
        *frame = Frame::term(*value);
        Some(*key)
    }

    #[inline(always)]
    fn list(&mut self, room: &mut Room, term: Term<'_>, frame: &mut Frame) -> Option<Word> {
        let now = self.affordable(u32::MAX, 1);
        let mut rest = frame.next;
        let mut written = 0;
        let mut stopped = None;
        while rest.tag() == CONS && written < now && stopped.is_none() {
            let cell = term.words_at(rest.offset(), 2);
            rest = cell[1];
            written += 1;
            if !self.leaf(room, term, cell[0]) {
                stopped = Some(cell[0]);
            }
        }
        self.work += written as usize;
        frame.next = rest;
        // A block has fewer cells than 32 bits count.
        frame.count += written;
        if stopped.is_some() || rest.tag() == CONS {
            return stopped;
        }
        room.patch(frame.extra, frame.count.to_be_bytes());
        frame.kind = Kind::Ended;
        (!self.leaf(room, term, rest)).then_some(rest)
    }

    /// Goes on with what few terms have.
    #[inline(never)]
    fn rest<'t>(&mut self, open: &mut Open<'t>) -> Option<Word> {
        if open.frame.kind == Kind::Bytes {
            self.bytes(open);
            return None;
        }
        let mut room = Room::new(std::mem::take(self.out));
        let mut stopped = None;
        while stopped.is_none() && self.work < self.budget {
            let Some((key, value)) = open.pairs.last_mut().and_then(Pairs::next) else {
                open.pairs.pop();
                open.frame.kind = Kind::Ended;
                break;
            };
            self.work += 2;
            if !self.leaf(&mut room, key, key.word()) {
                open.around.push(open.frame);
                open.frame = Frame::term(value.word());
                stopped = Some(key.word());
            } else if !self.leaf(&mut room, value, value.word()) {
                stopped = Some(value.word());
            }
        }
        *self.out = room.finish();
        stopped
    }

    fn bytes(&mut self, open: &mut Open<'_>) {
        let left = self.budget - self.work;
        let most = left.saturating_mul(COPIED_BYTES_PER_WORK);
        let (first, rest) = open.bytes.split_at(open.bytes.len().min(most));
        self.out.extend_from_slice(first);
        self.work += first.len().div_ceil(COPIED_BYTES_PER_WORK);
        open.bytes = rest;
        if rest.is_empty() {
            open.frame.kind = Kind::Ended;
        }
    }

    /// Writes an atom that is kept as it is written; says whether it is.
    #[inline(always)]
    fn known_atom(&self, room: &mut Room, word: Word) -> bool {
        let atom = Atom::from_index(word.payload() as u32);
        atom_names::put_known(self.names, room, atom, self.options.minor_version)
    }

    /// Writes a term of the most frequent kinds of leaf; says whether it was one.
    #[inline(always)]
    fn leaf(&self, room: &mut Room, term: Term<'_>, word: Word) -> bool {
        match word.tag() {
            ATOM => return self.known_atom(room, word),
            INTEGER => integer(room, word.small_value()),
            NIL => room.put([NIL_EXT], 1),
            HEAP_BINARY => {
                let header = term.at(word.offset()).word();
                let len = header.header_len();
                if header.header_bits() > 0 || len as usize > HEAP_BINARY_BYTES_MAX {
                    return false;
                }
                tagged(room, BINARY_EXT, len);
                // As the header counts its raw words, whose kind is known here.
                let words = term.words_at(word.offset() + 1, len.div_ceil(8));
                return room.put_words(words, len as usize);
            }
            FLOAT => {
                let bits = term.at(word.offset() + 1).word().0;
                let bytes = u128::from(NEW_FLOAT_EXT) | u128::from(bits.swap_bytes()) << 8;
                room.put(bytes.to_le_bytes(), 9);
            }
            _ => return false,
        }
        true
    }

    /// A list; one of bytes is a string, and written at once.
    #[inline(always)]
    fn open_cons(&mut self, room: &mut Room, term: Term<'_>, list: Word) -> Option<Frame> {
        if !is_byte(term.at(list.offset()).word()) {
            return open_list(room, list);
        }
        let (bytes, rest) = leading_bytes(term, list);
        self.work += bytes / 4;
        if rest.tag() != NIL || bytes > STRING_BYTES_MAX {
            return open_list(room, list);
        }
        let [high, low] = (bytes as u16).to_be_bytes();
        room.put([STRING_EXT, high, low], 3);
        let mut rest = list;
        while rest.tag() == CONS {
            let cell = term.words_at(rest.offset(), 2);
            room.put([cell[0].small_value() as u8], 1);
            rest = cell[1];
        }
        None
    }

    /// Writes any other leaf, or the head of any other compound, whose rest is given.
    #[inline(never)]
    fn other<'t>(&mut self, open: &mut Open<'t>, word: Word) -> Result<Option<Frame>, EncodeError> {
        let term = open.term.with_word(word);
        if let Some(atom) = term.as_atom() {
            atom_names::put(self.names, self.out, atom, self.options.minor_version);
        } else if let Some(map) = term.as_map() {
            return Ok(self.open_pairs(open, map));
        } else if let Some(bytes) = term.as_binary() {
            return self.binary(open, bytes, None);
        } else {
            return self.rare(open, term);
        }
        Ok(None)
    }

    /// A tag with a number of 32 bits.
    fn tagged(&mut self, tag: u8, number: u32) {
        self.out.push(tag);
        self.out.extend_from_slice(&number.to_be_bytes());
    }

    /// A binary, or a bitstring whose last byte has so many bits.
    fn binary<'t>(
        &mut self,
        open: &mut Open<'t>,
        bytes: &'t [u8],
        last_bits: Option<u8>,
    ) -> Result<Option<Frame>, EncodeError> {
        let len = bytes.len();
        let Ok(count) = u32::try_from(len) else {
            return Err(EncodeError::TooLong { bytes: len });
        };
        match last_bits {
            None => self.tagged(BINARY_EXT, count),
            Some(bits) => {
                self.tagged(BIT_BINARY_EXT, count);
                self.out.push(bits);
            }
        }
        if len > COPIED_BYTES_PER_WORK {
            open.bytes = bytes;
            return Ok(Some(Frame::of(Kind::Bytes)));
        }
        self.out.extend_from_slice(bytes);
        Ok(None)
    }

    /// A map that is not flat.
    fn open_pairs<'t>(&mut self, open: &mut Open<'t>, map: Map<'t>) -> Option<Frame> {
        // A map has fewer pairs than its block has words.
        self.tagged(MAP_EXT, map.len() as u32);
        open.pairs.push(if self.options.deterministic {
            self.work += map.len();
            Pairs::Sorted(map.sorted().into_iter())
        } else {
            Pairs::Any(map.iter())
        });
        Some(Frame::of(Kind::Pairs))
    }
}

#[inline(always)]
fn integer(room: &mut Room, value: i64) {
    if let Ok(byte) = u8::try_from(value) {
        let bytes = u64::from(SMALL_INTEGER_EXT) | u64::from(byte) << 8;
        room.put(bytes.to_le_bytes(), 2);
    } else if let Ok(value) = i32::try_from(value) {
        tagged(room, INTEGER_EXT, value as u32);
    } else {
        let magnitude = value.unsigned_abs();
        let len = magnitude.ilog2() / 8 + 1;
        let head = u32::from(SMALL_BIG_EXT) | len << 8 | u32::from(value < 0) << 16;
        let bytes = u128::from(head) | u128::from(magnitude) << 24;
        room.put(bytes.to_le_bytes(), 3 + len as usize);
    }
}

/// A tag with a number of 32 bits.
#[inline(always)]
fn tagged(room: &mut Room, tag: u8, number: u32) {
    let bytes = u64::from(tag) | u64::from(number.swap_bytes()) << 8;
    room.put(bytes.to_le_bytes(), 5);
}

#[inline(always)]
fn is_byte(word: Word) -> bool {
    word.tag() == INTEGER && (0..=255).contains(&word.small_value())
}

/// How many elements of a list are bytes, up to the first that is none or would be one too many for
/// a string; and what is left of the list.
#[inline(always)]
fn leading_bytes(term: Term<'_>, list: Word) -> (usize, Word) {
    let (mut bytes, mut rest) = (0, list);
    while rest.tag() == CONS && bytes <= STRING_BYTES_MAX {
        let cell = term.words_at(rest.offset(), 2);
        if !is_byte(cell[0]) {
            break;
        }
        rest = cell[1];
        bytes += 1;
    }
    (bytes, rest)
}

/// Whether the words of a map's object are its keys and then its values.
#[inline(always)]
fn is_flat(term: Term<'_>, map: Word) -> bool {
    let header = term.at(map.offset()).word();
    header.header_kind() == MAP && header.header_len() <= FLAT_PAIRS_MAX
}

#[inline(always)]
fn open_tuple(room: &mut Room, term: Term<'_>, tuple: Word) -> Option<Frame> {
    let count = term.at(tuple.offset()).word().header_len();
    match u8::try_from(count) {
        Ok(count) => room.put([SMALL_TUPLE_EXT, count], 2),
        Err(_) => tagged(room, LARGE_TUPLE_EXT, count),
    }
    (count > 0).then_some(Frame {
        kind: Kind::Tuple,
        count,
        next: Word::boxed(TUPLE, tuple.offset() + 1),
        extra: 0,
    })
}

#[inline(always)]
fn open_map(room: &mut Room, term: Term<'_>, map: Word) -> Option<Frame> {
    let count = term.at(map.offset()).word().header_len();
    tagged(room, MAP_EXT, count);
    (count > 0).then_some(Frame {
        kind: Kind::Map,
        count,
        next: Word::boxed(MAP, map.offset() + 1),
        extra: count as usize,
    })
}

#[inline(always)]
fn open_list(room: &mut Room, list: Word) -> Option<Frame> {
    tagged(room, LIST_EXT, 0);
    Some(Frame::list(list, room.len()))
}
