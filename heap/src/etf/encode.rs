//! Terms to bytes.

use super::Progress;
use super::atom_names::{self, Names};
use super::compress::Deflater;
use super::error::EncodeError;
use super::limits::{COPIED_BYTES_PER_WORK, STRING_BYTES_MAX};
use super::options::EncodeOptions;
use super::tags::{
    BINARY_EXT, BIT_BINARY_EXT, COMPRESSED, EXPORT_EXT, INTEGER_EXT, LARGE_BIG_EXT,
    LARGE_TUPLE_EXT, LIST_EXT, MAP_EXT, NEW_FLOAT_EXT, NEW_PID_EXT, NEW_PORT_EXT,
    NEWER_REFERENCE_EXT, NIL_EXT, SMALL_BIG_EXT, SMALL_INTEGER_EXT, SMALL_TUPLE_EXT, STRING_EXT,
    V4_PORT_EXT, VERSION,
};
use crate::number::BigInt;
use crate::word::{ATOM, FLOAT, HEAP_BINARY, INTEGER, NIL};
use crate::{Atom, Map, MapIter, Term, Tuple, TupleIter, View};

/// Largest port number in the older of the two forms, which OTP prefers.
const NEW_PORT_ID_MAX: u64 = (1 << 28) - 1;

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
    Begin(Term<'t>),
    Plain(Vec<Frame<'t>>),
    Deflating(Box<Deflater>),
    Done,
}

/// What is open, and what is left of it.
enum Frame<'t> {
    Tuple(TupleIter<'t>),
    List(List<'t>),
    Map(MapIter<'t>),
    Sorted(std::vec::IntoIter<(Term<'t>, Term<'t>)>),
    /// The value of a key that is no leaf; the tail of an improper list.
    Term(Term<'t>),
    /// Bytes of a binary.
    Bytes(&'t [u8]),
}

struct List<'t> {
    rest: Term<'t>,
    count: u32,
    // Where the number of elements is to be written.
    count_at: usize,
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
    pub fn append(out: Vec<u8>, term: Term<'t>, options: &EncodeOptions) -> Encoder<'t> {
        Encoder {
            start: out.len(),
            out,
            state: State::Begin(term),
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
                State::Begin(term) => {
                    let term = *term;
                    self.out.push(VERSION);
                    let mut writer = Writer {
                        out: &mut self.out,
                        names,
                        options: &self.options,
                        work: 1,
                        budget,
                    };
                    let stack = if writer.leaf(term) {
                        Vec::new()
                    } else {
                        writer.open(term)?.into_iter().collect()
                    };
                    work += writer.work;
                    self.state = State::Plain(stack);
                }
                State::Plain(stack) => {
                    let mut writer = Writer {
                        out: &mut self.out,
                        names,
                        options: &self.options,
                        work,
                        budget,
                    };
                    writer.run(stack)?;
                    work = writer.work;
                    if stack.is_empty() {
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
    /// Writes what is on the stack, the last first, until it or the budget is used up.
    fn run<'t>(&mut self, stack: &mut Vec<Frame<'t>>) -> Result<(), EncodeError> {
        while let Some(frame) = stack.last_mut() {
            let stopped = match frame {
                Frame::Tuple(elements) => self.tuple(elements),
                Frame::List(list) => self.list(list),
                Frame::Map(pairs) => self.pairs(pairs),
                Frame::Sorted(pairs) => self.pairs(pairs),
                Frame::Term(term) => {
                    let term = *term;
                    self.work += 1;
                    if self.leaf(term) {
                        Stopped::Ended
                    } else {
                        Stopped::Last(term)
                    }
                }
                Frame::Bytes(bytes) => self.bytes(bytes),
            };
            match stopped {
                Stopped::Ended => {
                    stack.pop();
                }
                Stopped::Term(term) => stack.extend(self.open(term)?),
                Stopped::Key(key, value) => {
                    stack.push(Frame::Term(value));
                    stack.extend(self.open(key)?);
                }
                Stopped::Last(term) => {
                    stack.pop();
                    stack.extend(self.open(term)?);
                }
                Stopped::Budget => return Ok(()),
            }
        }
        Ok(())
    }

    /// Counts one term, if the budget has it.
    #[inline(always)]
    fn has_budget(&mut self) -> bool {
        if self.work >= self.budget {
            return false;
        }
        self.work += 1;
        true
    }

    #[inline]
    fn tuple<'t>(&mut self, elements: &mut TupleIter<'t>) -> Stopped<'t> {
        loop {
            if !self.has_budget() {
                return Stopped::Budget;
            }
            let Some(element) = elements.next() else {
                return Stopped::Ended;
            };
            if !self.leaf(element) {
                // The last element leaves nothing to come back to.
                return if elements.len() == 0 {
                    Stopped::Last(element)
                } else {
                    Stopped::Term(element)
                };
            }
        }
    }

    #[inline]
    fn list<'t>(&mut self, list: &mut List<'t>) -> Stopped<'t> {
        loop {
            if !self.has_budget() {
                return Stopped::Budget;
            }
            let Some(cons) = list.rest.as_cons() else {
                let count = list.count.to_be_bytes();
                self.out[list.count_at..list.count_at + 4].copy_from_slice(&count);
                if list.rest.is_nil() {
                    self.out.push(NIL_EXT);
                    return Stopped::Ended;
                }
                return if self.leaf(list.rest) {
                    Stopped::Ended
                } else {
                    Stopped::Last(list.rest)
                };
            };
            // A block has fewer cells than 32 bits count.
            list.count += 1;
            list.rest = cons.tail();
            if !self.leaf(cons.head()) {
                return Stopped::Term(cons.head());
            }
        }
    }

    #[inline]
    fn pairs<'t>(&mut self, pairs: &mut impl Iterator<Item = (Term<'t>, Term<'t>)>) -> Stopped<'t> {
        loop {
            if !self.has_budget() {
                return Stopped::Budget;
            }
            let Some((key, value)) = pairs.next() else {
                return Stopped::Ended;
            };
            if !self.leaf(key) {
                return Stopped::Key(key, value);
            }
            self.work += 1;
            if !self.leaf(value) {
                return Stopped::Term(value);
            }
        }
    }

    #[cold]
    fn bytes<'t>(&mut self, bytes: &mut &[u8]) -> Stopped<'t> {
        if self.work >= self.budget {
            return Stopped::Budget;
        }
        let left = self.budget - self.work;
        let now = bytes.len().min(left.saturating_mul(COPIED_BYTES_PER_WORK));
        let (first, rest) = bytes.split_at(now);
        self.out.extend_from_slice(first);
        self.work += now.div_ceil(COPIED_BYTES_PER_WORK);
        *bytes = rest;
        if rest.is_empty() {
            Stopped::Ended
        } else {
            Stopped::Budget
        }
    }

    /// Writes a term of the most frequent kinds of leaf; says whether it was one.
    #[inline(always)]
    fn leaf(&mut self, term: Term<'_>) -> bool {
        let word = term.word();
        match word.tag() {
            ATOM => self.atom(Atom::from_index(word.payload() as u32)),
            INTEGER => self.integer(word.small_value()),
            NIL => self.out.push(NIL_EXT),
            HEAP_BINARY => match term.as_binary() {
                Some(bytes) => self.short_binary(bytes),
                None => return false,
            },
            FLOAT => {
                self.out.push(NEW_FLOAT_EXT);
                let bits = term.as_f64().unwrap_or(0.0).to_bits();
                self.bytes_of(bits.swap_bytes(), 8);
            }
            _ => return false,
        }
        true
    }

    /// A binary that lies in the block, so of at most 64 bytes.
    #[inline(always)]
    fn short_binary(&mut self, bytes: &[u8]) {
        self.tagged(BINARY_EXT, bytes.len() as u32);
        self.out.extend_from_slice(bytes);
    }

    /// Writes any other leaf, or the head of a compound, whose rest is given.
    #[inline(never)]
    fn open<'t>(&mut self, term: Term<'t>) -> Result<Option<Frame<'t>>, EncodeError> {
        if let Some(tuple) = term.as_tuple() {
            Ok(self.open_tuple(tuple))
        } else if term.as_cons().is_some() {
            Ok(self.open_list(term))
        } else if let Some(map) = term.as_map() {
            Ok(self.open_map(map))
        } else if let Some(bytes) = term.as_binary() {
            self.binary(bytes)
        } else {
            self.rare(term)
        }
    }

    #[inline(always)]
    fn atom(&mut self, atom: Atom) {
        atom_names::put(self.names, self.out, atom, self.options.minor_version);
    }

    /// The first `len` of eight bytes, from the least significant: one store, cut off after it.
    #[inline(always)]
    fn bytes_of(&mut self, word: u64, len: usize) {
        let end = self.out.len() + len;
        self.out.extend_from_slice(&word.to_le_bytes());
        self.out.truncate(end);
    }

    #[inline(always)]
    fn integer(&mut self, value: i64) {
        if let Ok(byte) = u8::try_from(value) {
            self.bytes_of(u64::from(SMALL_INTEGER_EXT) | u64::from(byte) << 8, 2);
        } else if let Ok(value) = i32::try_from(value) {
            self.tagged(INTEGER_EXT, value as u32);
        } else {
            let magnitude = value.unsigned_abs();
            let len = magnitude.ilog2() / 8 + 1;
            let head = u64::from(len) << 8 | u64::from(value < 0) << 16;
            self.bytes_of(u64::from(SMALL_BIG_EXT) | head, 3);
            self.bytes_of(magnitude, len as usize);
        }
    }

    /// A tag with a number of 32 bits.
    #[inline(always)]
    fn tagged(&mut self, tag: u8, number: u32) {
        let number = u64::from(number.swap_bytes());
        self.bytes_of(u64::from(tag) | number << 8, 5);
    }

    fn binary<'t>(&mut self, bytes: &'t [u8]) -> Result<Option<Frame<'t>>, EncodeError> {
        let len = bytes.len();
        let Ok(count) = u32::try_from(len) else {
            return Err(EncodeError::TooLong { bytes: len });
        };
        self.tagged(BINARY_EXT, count);
        if len > COPIED_BYTES_PER_WORK {
            return Ok(Some(Frame::Bytes(bytes)));
        }
        self.out.extend_from_slice(bytes);
        Ok(None)
    }

    #[inline]
    fn open_tuple<'t>(&mut self, tuple: Tuple<'t>) -> Option<Frame<'t>> {
        match u8::try_from(tuple.len()) {
            Ok(len) => self.out.extend_from_slice(&[SMALL_TUPLE_EXT, len]),
            // A block counts elements by 32 bits.
            Err(_) => self.tagged(LARGE_TUPLE_EXT, tuple.len() as u32),
        }
        (!tuple.is_empty()).then(|| Frame::Tuple(tuple.iter()))
    }

    #[inline]
    fn open_map<'t>(&mut self, map: Map<'t>) -> Option<Frame<'t>> {
        self.tagged(MAP_EXT, map.len() as u32);
        if map.is_empty() {
            return None;
        }
        Some(if self.options.deterministic {
            self.work += map.len();
            Frame::Sorted(map.sorted().into_iter())
        } else {
            Frame::Map(map.iter())
        })
    }

    #[inline]
    fn open_list<'t>(&mut self, list: Term<'t>) -> Option<Frame<'t>> {
        let len = self.string_len(list);
        if len > 0 {
            let [high, low] = (len as u16).to_be_bytes();
            self.out.extend_from_slice(&[STRING_EXT, high, low]);
            let byte = |term: Term<'_>| term.word().small_value() as u8;
            self.out.extend(list.list_iter().map(byte));
            return None;
        }
        self.tagged(LIST_EXT, 0);
        Some(Frame::List(List {
            rest: list,
            count: 0,
            count_at: self.out.len() - 4,
        }))
    }

    /// Length of a proper list of bytes that is short enough for a string; 0 for another.
    #[inline]
    fn string_len(&mut self, list: Term<'_>) -> usize {
        let mut cells = list.list_iter();
        let mut len = 0;
        for term in cells.by_ref() {
            let word = term.word();
            let byte = word.tag() == INTEGER && (0..=255).contains(&word.small_value());
            if !byte || len == STRING_BYTES_MAX {
                self.work += len / 4;
                return 0;
            }
            len += 1;
        }
        self.work += len / 4;
        if cells.tail().is_nil() { len } else { 0 }
    }

    /// Leaves that few terms have.
    #[cold]
    #[inline(never)]
    fn rare<'t>(&mut self, term: Term<'t>) -> Result<Option<Frame<'t>>, EncodeError> {
        let local = (self.options.node, self.options.creation);
        match term.view() {
            View::BigInt(big) => self.big(big)?,
            View::Pid(pid) => self.pid(local, pid.index(), pid.serial()),
            View::ExternalPid(pid) => self.pid((pid.node, pid.creation), pid.id, pid.serial),
            View::Port(port) => self.port(local, port.as_u64()),
            View::ExternalPort(port) => self.port((port.node, port.creation), port.id),
            View::Ref(reference) => self.reference(local, &reference.numbers()),
            View::ExternalRef(external) => {
                self.reference((external.node, external.creation), external.ids());
            }
            View::Export(fun) => {
                self.out.push(EXPORT_EXT);
                self.atom(fun.module);
                self.atom(fun.function);
                self.out.extend_from_slice(&[SMALL_INTEGER_EXT, fun.arity]);
            }
            View::Bits(bits) => {
                let bytes = bits.bytes();
                let Ok(count) = u32::try_from(bytes.len()) else {
                    return Err(EncodeError::TooLong { bytes: bytes.len() });
                };
                self.tagged(BIT_BINARY_EXT, count);
                self.out.push(bits.last_bits());
                return Ok(Some(Frame::Bytes(bytes)));
            }
            View::Native => return Err(EncodeError::Native),
            _ => unreachable!("all other kinds are written by `leaf` and `open`"),
        }
        Ok(None)
    }

    fn big(&mut self, big: BigInt<'_>) -> Result<(), EncodeError> {
        let limbs = big.limbs();
        let zeros = limbs.last().map_or(0, |last| last.leading_zeros() / 8);
        let len = limbs.len() * 8 - zeros as usize;
        match (u8::try_from(len), u32::try_from(len)) {
            (Ok(len), _) => self.out.extend_from_slice(&[SMALL_BIG_EXT, len]),
            (_, Ok(len)) => self.tagged(LARGE_BIG_EXT, len),
            _ => return Err(EncodeError::TooLong { bytes: len }),
        }
        self.out.push(big.is_negative().into());
        let end = self.out.len() + len;
        self.out
            .extend(limbs.iter().flat_map(|limb| limb.to_le_bytes()));
        self.out.truncate(end);
        self.work += len / COPIED_BYTES_PER_WORK;
        Ok(())
    }

    fn pid(&mut self, (node, creation): (Atom, u32), id: u32, serial: u32) {
        self.out.push(NEW_PID_EXT);
        self.atom(node);
        self.numbers(&[id, serial, creation]);
    }

    fn port(&mut self, (node, creation): (Atom, u32), id: u64) {
        if id <= NEW_PORT_ID_MAX {
            self.out.push(NEW_PORT_EXT);
            self.atom(node);
            self.numbers(&[id as u32, creation]);
        } else {
            self.out.push(V4_PORT_EXT);
            self.atom(node);
            self.numbers(&[(id >> 32) as u32, id as u32, creation]);
        }
    }

    fn reference(&mut self, (node, creation): (Atom, u32), numbers: &[u32]) {
        self.out
            .extend_from_slice(&[NEWER_REFERENCE_EXT, 0, numbers.len() as u8]);
        self.atom(node);
        self.numbers(&[creation]);
        self.numbers(numbers);
    }

    fn numbers(&mut self, numbers: &[u32]) {
        let bytes = numbers.iter().flat_map(|number| number.to_be_bytes());
        self.out.extend(bytes);
    }
}

/// Why a frame went no further.
enum Stopped<'t> {
    /// It is at its end.
    Ended,
    /// This is to be opened before it goes on.
    Term(Term<'t>),
    /// This key is to be opened before it goes on, and then comes its value.
    Key(Term<'t>, Term<'t>),
    /// It is at its end but for this, which is to be opened.
    Last(Term<'t>),
    /// The budget is used up.
    Budget,
}
