//! Bytes to blocks.
//!
//! What is open lies on a stack of frames; a tuple's and a flat map's words are laid out when it
//! opens and filled as its parts are read, a list grows cell by cell.

use std::marker::PhantomData;

use super::Progress;
use super::atom_names::{self, Known};
use super::compress::Inflater;
use super::error::{DecodeError, DecodeErrorKind};
use super::limits::{
    COPIED_BYTES_PER_WORK, FIRST_WORDS_MAX, INTEGER_BYTES_MAX, TUPLE_ELEMENTS_MAX,
};
use super::options::DecodeOptions;
use super::tags::{
    ATOM_CACHE_REF, ATOM_EXT, ATOM_UTF8_EXT, BINARY_EXT, BIT_BINARY_EXT, COMPRESSED, EXPORT_EXT,
    FLOAT_EXT, FUN_EXT, INTEGER_EXT, LARGE_BIG_EXT, LARGE_TUPLE_EXT, LIST_EXT, LOCAL_EXT, MAP_EXT,
    NEW_FLOAT_EXT, NEW_FUN_EXT, NEW_PID_EXT, NEW_PORT_EXT, NEW_REFERENCE_EXT, NEWER_REFERENCE_EXT,
    NIL_EXT, PID_EXT, PORT_EXT, REFERENCE_EXT, SMALL_ATOM_EXT, SMALL_ATOM_UTF8_EXT, SMALL_BIG_EXT,
    SMALL_INTEGER_EXT, SMALL_TUPLE_EXT, STRING_EXT, V4_PORT_EXT, VERSION,
};
use crate::encode::{Encoder, FLAT_PAIRS_MAX};
use crate::limits::HEAP_BINARY_BYTES_MAX;
use crate::off_heap::SharedBytes;
use crate::raw::Shape;
use crate::word::{CONS, MAP, TUPLE, Word};
use crate::{
    Atom, Binary, Block, EncodeError, Export, ExternalPid, ExternalPort, ExternalRef, Pid, Port,
    Ref,
};

/// Creations that fit the two bits that older forms had for them.
const OLD_CREATION_MAX: u8 = 3;

/// Bytes of a float in the form of a text.
const FLOAT_TEXT_BYTES: usize = 31;

/// Reads a term by steps, to be behind a header of type `H`.
///
/// ```
/// use otp_heap::etf::{DecodeOptions, Decoder, term_to_binary};
/// use otp_heap::to_term;
///
/// let term = to_term(&vec!["text"; 1000])?;
/// let bytes = term_to_binary(term.root())?;
/// let mut decoder = Decoder::new(&bytes, &DecodeOptions::new());
/// while !decoder.step(100)?.done {}
/// let (block, used) = decoder.finish(());
/// assert_eq!((block, used), (term, bytes.len()));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Decoder<'a, H = ()> {
    input: &'a [u8],
    // The binary that is `input`, if its parts may be shared.
    shared: Option<&'a Binary>,
    options: DecodeOptions,
    state: State,
    header: PhantomData<fn(H)>,
}

enum State {
    Begin,
    Inflating(Box<Inflater>),
    /// The bytes of the term if they were inflated, and how many of the input they are made of.
    Reading(Box<Reader>, Option<(Vec<u8>, usize)>),
    Failed(DecodeError),
}

impl<H> std::fmt::Debug for Decoder<'_, H> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Decoder")
            .field("bytes", &self.input.len())
            .finish_non_exhaustive()
    }
}

impl<'a, H> Decoder<'a, H> {
    /// A decoder that has done nothing yet.
    pub fn new(input: &'a [u8], options: &DecodeOptions) -> Decoder<'a, H> {
        Decoder {
            input,
            shared: None,
            options: *options,
            state: State::Begin,
            header: PhantomData,
        }
    }

    /// The same; binaries over 64 bytes in the term will be parts of the input, not copied.
    pub fn shared(input: &'a Binary, options: &DecodeOptions) -> Decoder<'a, H> {
        Decoder {
            shared: Some(input),
            ..Decoder::new(input, options)
        }
    }

    /// Goes on for about so many units of work (see [`Progress`]), at least for one.
    ///
    /// # Errors
    ///
    /// See [`DecodeError`]; further steps give the same error.
    pub fn step(&mut self, budget: usize) -> Result<Progress, DecodeError> {
        let budget = budget.max(1);
        let mut work = 0;
        let mut done = false;
        while !done && work < budget {
            let stepped = match &mut self.state {
                State::Begin => self.begin().map(|()| 1),
                State::Inflating(inflater) => {
                    // Behind version, tag and size.
                    let stream = &self.input[6..];
                    match inflater.step(stream) {
                        Ok((work, false)) => Ok(work),
                        Ok((work, true)) => {
                            let used = 6 + inflater.used();
                            let bytes = std::mem::take(&mut inflater.out);
                            self.state = self.reading(0, Some((bytes, used)));
                            Ok(work)
                        }
                        Err(kind) => Err(DecodeError {
                            offset: 6 + inflater.used(),
                            inflated: false,
                            kind,
                        }),
                    }
                }
                State::Reading(reader, inflated) => {
                    let (input, shared) = match &inflated {
                        Some((bytes, _)) => (&bytes[..], None),
                        None => (self.input, self.shared),
                    };
                    let read = reader.run(input, shared, &self.options, budget - work);
                    done = reader.root.is_some();
                    read.map_err(|kind| DecodeError {
                        offset: reader.begin,
                        inflated: inflated.is_some(),
                        kind,
                    })
                }
                State::Failed(error) => Err(*error),
            };
            match stepped {
                Ok(units) => work += units,
                Err(error) => {
                    self.state = State::Failed(error);
                    return Err(error);
                }
            }
        }
        Ok(Progress { work, done })
    }

    fn begin(&mut self) -> Result<(), DecodeError> {
        let at = |offset| {
            move |kind| DecodeError {
                offset,
                inflated: false,
                kind,
            }
        };
        let mut input = Input {
            bytes: self.input,
            at: 0,
        };
        let version = "the version, 131";
        match input.byte(version).map_err(at(0))? {
            VERSION => {}
            found => {
                let expected = version;
                return Err(at(0)(DecodeErrorKind::Expected { expected, found }));
            }
        }
        self.state = if self.input.get(1) == Some(&COMPRESSED) {
            input.at = 2;
            let announced = input.long("the size of the plain term").map_err(at(2))?;
            let inflated_bytes_max = self.options.inflated_bytes_max;
            if announced as usize > inflated_bytes_max {
                return Err(at(2)(DecodeErrorKind::InflatedTooLarge {
                    announced,
                    inflated_bytes_max,
                }));
            }
            State::Inflating(Box::new(Inflater::new(announced)))
        } else {
            self.reading(1, None)
        };
        Ok(())
    }

    fn reading(&self, at: usize, inflated: Option<(Vec<u8>, usize)>) -> State {
        let bytes = match &inflated {
            Some((bytes, _)) => bytes.len(),
            None => self.input.len(),
        };
        // Most terms take less than two words for seven bytes; room that is left goes back.
        let words = (bytes / 4).min(FIRST_WORDS_MAX) as u32;
        let encoder = Encoder::with_room(Shape::of::<H>(), words, self.options.words_max);
        let reader = Reader {
            encoder,
            at,
            begin: at,
            stack: Vec::new(),
            frame: Frame::ROOT,
            pairs: Vec::new(),
            known: [0; FLAT_PAIRS_MAX as usize + 1],
            copying: None,
            root: None,
        };
        State::Reading(Box::new(reader), inflated)
    }

    /// The term behind its header, and the bytes of the input that it took.
    ///
    /// # Panics
    ///
    /// Unless the last step said that all is done.
    pub fn finish(self, header: H) -> (Block<H>, usize) {
        let State::Reading(reader, inflated) = self.state else {
            panic!("steps are left");
        };
        let root = reader.root.expect("steps are left");
        let used = inflated.map_or(reader.at, |(_, used)| used);
        (reader.encoder.finish(header, root), used)
    }
}

/// What is open, and where in it we are.
#[derive(Clone, Copy)]
struct Frame {
    kind: Kind,
    /// Terms left; in a map the pairs of all.
    left: u32,
    /// Offset of the object; of a list the first cell, or [`NONE`].
    object: u32,
    /// The next slot of a tuple, the last cell of a list, the next pair of a map.
    next: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Root,
    Tuple,
    List,
    Tail,
    Key,
    Value,
    /// A map over 32 pairs: its terms wait apart, from `object` on.
    Large,
}

/// No offset of an object: blocks are shorter.
const NONE: u32 = u32::MAX;

impl Frame {
    const ROOT: Frame = Frame {
        kind: Kind::Root,
        left: 0,
        object: 0,
        next: 0,
    };
}

#[derive(Clone, Copy)]
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    #[inline(always)]
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline(always)]
    fn array<const N: usize>(
        &mut self,
        expected: &'static str,
    ) -> Result<[u8; N], DecodeErrorKind> {
        match self.bytes[self.at..].first_chunk() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(DecodeErrorKind::End { expected }),
        }
    }

    #[inline(always)]
    fn byte(&mut self, expected: &'static str) -> Result<u8, DecodeErrorKind> {
        Ok(u8::from_be_bytes(self.array(expected)?))
    }

    #[inline(always)]
    fn short(&mut self, expected: &'static str) -> Result<usize, DecodeErrorKind> {
        Ok(u16::from_be_bytes(self.array(expected)?).into())
    }

    #[inline(always)]
    fn long(&mut self, expected: &'static str) -> Result<u32, DecodeErrorKind> {
        Ok(u32::from_be_bytes(self.array(expected)?))
    }

    #[inline(always)]
    fn take(&mut self, len: usize, expected: &'static str) -> Result<&'a [u8], DecodeErrorKind> {
        match self.bytes[self.at..].get(..len) {
            Some(bytes) => {
                self.at += len;
                Ok(bytes)
            }
            None => Err(DecodeErrorKind::End { expected }),
        }
    }

    /// A count of terms, each of at least one byte.
    #[inline(always)]
    fn count(&mut self, each: usize, expected: &'static str) -> Result<u32, DecodeErrorKind> {
        let count = self.long(expected)?;
        if self.left() / each < count as usize {
            return Err(DecodeErrorKind::End { expected });
        }
        Ok(count)
    }
}

/// A term that is being read.
struct Reader {
    encoder: Encoder,
    // Bytes of the input that were read, and where the present term began.
    at: usize,
    begin: usize,
    // What is open around `frame`, without the root.
    stack: Vec<Frame>,
    frame: Frame,
    // Keys and values of large maps.
    pairs: Vec<Word>,
    // For each number of pairs the last flat map whose keys were found in order; 0 is none, or
    // the first object, which costs no more than another look.
    known: [u32; FLAT_PAIRS_MAX as usize + 1],
    // A binary of which a part is copied.
    copying: Option<Copying>,
    root: Option<Word>,
}

struct Copying {
    bytes: Vec<u8>,
    len: usize,
    last_bits: u8,
}

impl Reader {
    /// Reads on, and gives the work done.
    fn run(
        &mut self,
        bytes: &[u8],
        shared: Option<&Binary>,
        options: &DecodeOptions,
        budget: usize,
    ) -> Result<usize, DecodeErrorKind> {
        atom_names::with_known(|known| {
            let mut source = Source {
                input: Input { bytes, at: self.at },
                known,
                shared,
                options,
                work: 0,
                budget,
            };
            let result = self.terms(&mut source);
            self.at = source.input.at;
            result?;
            Ok(source.work)
        })
    }

    fn terms(&mut self, source: &mut Source<'_>) -> Result<(), DecodeErrorKind> {
        while self.root.is_none() && source.work < source.budget {
            source.work += 1;
            let leaf = if self.copying.is_some() {
                self.copy(source)?
            } else {
                self.leaves(source);
                self.begin = source.input.at;
                self.term(source)?
            };
            if let Some(word) = leaf {
                self.deliver(word)?;
            }
        }
        Ok(())
    }

    /// Reads leaves of what is open as long as they are of the frequent kinds, sound, and not the
    /// last; all else is left to [`Reader::term`] and [`Reader::deliver`].
    #[inline(always)]
    fn leaves(&mut self, source: &mut Source<'_>) {
        let encoder = &mut self.encoder;
        let known = source.known;
        let mut frame = self.frame;
        let mut input = source.input;
        // The budget has one term more, which is read after these.
        let most = source.budget - source.work;
        let mut done = 0;
        match frame.kind {
            Kind::Tuple => {
                while frame.left > 1 && done < most {
                    let Some(word) = quick(encoder, known, &mut input) else {
                        break;
                    };
                    encoder.fill(frame.next, word);
                    frame.next += 1;
                    frame.left -= 1;
                    done += 1;
                }
            }
            Kind::List => {
                while frame.left > 1 && done < most {
                    let before = input.at;
                    let Some(word) = quick(encoder, known, &mut input) else {
                        break;
                    };
                    let Ok(cell) = encoder.cell(word) else {
                        input.at = before;
                        break;
                    };
                    if frame.object == NONE {
                        frame.object = cell;
                    } else {
                        encoder.fill(frame.next + 1, Word::boxed(CONS, cell));
                    }
                    frame.next = cell;
                    frame.left -= 1;
                    done += 1;
                }
            }
            // A map's leaves gain nothing by it.
            Kind::Root | Kind::Tail | Kind::Key | Kind::Value | Kind::Large => return,
        }
        source.work += done;
        source.input = input;
        self.frame = frame;
    }

    /// Puts a finished term where it belongs, and what that finishes, too.
    #[inline(always)]
    fn deliver(&mut self, mut word: Word) -> Result<(), DecodeErrorKind> {
        loop {
            let frame = &mut self.frame;
            match frame.kind {
                Kind::Tuple => {
                    self.encoder.fill(frame.next, word);
                    frame.next += 1;
                    frame.left -= 1;
                    if frame.left > 0 {
                        return Ok(());
                    }
                    word = Word::boxed(TUPLE, frame.object);
                }
                Kind::Key => {
                    self.encoder.fill(frame.object + 1 + frame.next, word);
                    frame.kind = Kind::Value;
                    return Ok(());
                }
                Kind::Value => {
                    let slot = frame.object + 1 + frame.left + frame.next;
                    self.encoder.fill(slot, word);
                    frame.next += 1;
                    frame.kind = Kind::Key;
                    if frame.next < frame.left {
                        return Ok(());
                    }
                    let (map, pairs) = (frame.object, frame.left);
                    self.close_map(map, pairs)?;
                    word = Word::boxed(MAP, map);
                }
                Kind::List => {
                    let cell = self.encoder.cell(word).map_err(too_large)?;
                    if frame.object == NONE {
                        frame.object = cell;
                    } else {
                        self.encoder.fill(frame.next + 1, Word::boxed(CONS, cell));
                    }
                    frame.next = cell;
                    frame.left -= 1;
                    if frame.left == 0 {
                        frame.kind = Kind::Tail;
                    }
                    return Ok(());
                }
                Kind::Tail => {
                    // A list of no element is its tail.
                    if frame.object != NONE {
                        self.encoder.fill(frame.next + 1, word);
                        word = Word::boxed(CONS, frame.object);
                    }
                }
                Kind::Large => {
                    self.pairs.push(word);
                    frame.left -= 1;
                    if frame.left > 0 {
                        return Ok(());
                    }
                    let start = frame.object as usize;
                    word = self.close_large(start)?;
                }
                Kind::Root => {
                    self.root = Some(word);
                    return Ok(());
                }
            }
            self.frame = self.stack.pop().unwrap_or(Frame::ROOT);
        }
    }

    #[inline(always)]
    fn open(
        &mut self,
        frame: Frame,
        options: &DecodeOptions,
    ) -> Result<Option<Word>, DecodeErrorKind> {
        self.level(options)?;
        if self.frame.kind != Kind::Root {
            self.stack.push(self.frame);
        }
        self.frame = frame;
        Ok(None)
    }

    /// Counts a level under what is open.
    #[inline(always)]
    fn level(&mut self, options: &DecodeOptions) -> Result<(), DecodeErrorKind> {
        let above = self.stack.len() + usize::from(self.frame.kind != Kind::Root);
        let depth_max = options.depth_max;
        if above >= depth_max as usize {
            return Err(DecodeErrorKind::TooDeep { depth_max });
        }
        Ok(())
    }

    #[inline]
    fn close_map(&mut self, map: u32, pairs: u32) -> Result<(), DecodeErrorKind> {
        let known = &mut self.known[pairs as usize];
        if *known > 0 && self.encoder.same_keys(*known, map, pairs) {
            return Ok(());
        }
        if !self.encoder.order_map(map, pairs) {
            return Err(DecodeErrorKind::DuplicateKey);
        }
        *known = map;
        Ok(())
    }

    #[cold]
    fn close_large(&mut self, start: usize) -> Result<Word, DecodeErrorKind> {
        let terms = &self.pairs[start..];
        let map = self.encoder.map_of(terms).map_err(too_large)?;
        if self.encoder.map_len(map) != terms.len() / 2 {
            return Err(DecodeErrorKind::DuplicateKey);
        }
        self.pairs.truncate(start);
        Ok(map)
    }

    /// Reads a leaf, or opens a compound, which is no term yet.
    #[inline(always)]
    fn term(&mut self, source: &mut Source<'_>) -> Result<Option<Word>, DecodeErrorKind> {
        let input = &mut source.input;
        let encoder = &mut self.encoder;
        let word = match input.byte("a term")? {
            SMALL_INTEGER_EXT => Word::number(input.byte("an integer")?.into()),
            INTEGER_EXT => {
                let value = input.long("an integer")? as i32;
                encoder.integer(value.into()).map_err(too_large)?
            }
            SMALL_ATOM_UTF8_EXT => {
                let len = input.byte("an atom's length")?;
                Word::atom(source.atom(len.into(), false)?)
            }
            ATOM_EXT => {
                let len = input.short("an atom's length")?;
                Word::atom(source.atom(len, true)?)
            }
            NIL_EXT => Word::NIL,
            BINARY_EXT => {
                let len = input.long("a binary's length")? as usize;
                return self.binary(source, len, 0);
            }
            SMALL_TUPLE_EXT => {
                let count = input.byte("a tuple's arity")?;
                return self.tuple(source, count.into());
            }
            MAP_EXT => {
                let count = input.count(2, "the pairs of a map")?;
                return self.map(source, count);
            }
            LIST_EXT => {
                let count = input.count(1, "the elements of a list")?;
                return self.list(source, count);
            }
            STRING_EXT => {
                let len = input.short("a string's length")?;
                return self.string(source, len);
            }
            NEW_FLOAT_EXT => {
                let value = f64::from_be_bytes(input.array("a float")?);
                self.float(value)?
            }
            tag => return self.rare(source, tag),
        };
        Ok(Some(word))
    }

    #[inline]
    fn tuple(
        &mut self,
        source: &mut Source<'_>,
        count: u32,
    ) -> Result<Option<Word>, DecodeErrorKind> {
        if source.input.left() < count as usize {
            let expected = "the elements of a tuple";
            return Err(DecodeErrorKind::End { expected });
        }
        source.work += count as usize / 32;
        let object = self.encoder.tuple(count as usize).map_err(too_large)?;
        if count == 0 {
            self.level(source.options)?;
            return Ok(Some(Word::boxed(TUPLE, object)));
        }
        let frame = Frame {
            kind: Kind::Tuple,
            left: count,
            object,
            next: object + 1,
        };
        self.open(frame, source.options)
    }

    #[inline]
    fn map(
        &mut self,
        source: &mut Source<'_>,
        count: u32,
    ) -> Result<Option<Word>, DecodeErrorKind> {
        if count > FLAT_PAIRS_MAX {
            // The input is there for all of them, but might be larger than 32 bits count.
            let left = count.checked_mul(2).ok_or(DecodeErrorKind::TooLarge {
                words_max: source.options.words_max,
            })?;
            let object = self.pairs.len();
            let object = u32::try_from(object).map_err(|_| DecodeErrorKind::TooLarge {
                words_max: source.options.words_max,
            })?;
            let frame = Frame {
                kind: Kind::Large,
                left,
                object,
                next: 0,
            };
            return self.open(frame, source.options);
        }
        let object = self.encoder.open_map(count).map_err(too_large)?;
        if count == 0 {
            self.level(source.options)?;
            return Ok(Some(Word::boxed(MAP, object)));
        }
        let frame = Frame {
            kind: Kind::Key,
            left: count,
            object,
            next: 0,
        };
        self.open(frame, source.options)
    }

    #[inline]
    fn list(&mut self, source: &Source<'_>, count: u32) -> Result<Option<Word>, DecodeErrorKind> {
        let kind = if count > 0 { Kind::List } else { Kind::Tail };
        // A list in the place of a tail goes on with the cells before it.
        if self.frame.kind == Kind::Tail {
            self.frame.kind = kind;
            self.frame.left = count;
            return Ok(None);
        }
        let frame = Frame {
            kind,
            left: count,
            object: NONE,
            next: NONE,
        };
        self.open(frame, source.options)
    }

    #[inline]
    fn string(
        &mut self,
        source: &mut Source<'_>,
        len: usize,
    ) -> Result<Option<Word>, DecodeErrorKind> {
        let bytes = source.input.take(len, "the bytes of a string")?;
        if bytes.is_empty() {
            return Ok(Some(Word::NIL));
        }
        source.work += len / 4;
        let (first, _) = self.encoder.cells(bytes).map_err(too_large)?;
        self.level(source.options)?;
        Ok(Some(Word::boxed(CONS, first)))
    }

    #[inline]
    fn float(&mut self, value: f64) -> Result<Word, DecodeErrorKind> {
        self.encoder.float(value).map_err(|error| match error {
            EncodeError::NotFinite => DecodeErrorKind::Float,
            error => too_large(error),
        })
    }

    #[inline]
    fn binary(
        &mut self,
        source: &mut Source<'_>,
        len: usize,
        last_bits: u8,
    ) -> Result<Option<Word>, DecodeErrorKind> {
        let start = source.input.at;
        if let (Some(bytes), 0..=HEAP_BINARY_BYTES_MAX, 0) =
            (source.input.bytes[start..].first_chunk(), len, last_bits)
        {
            source.input.at += len;
            let word = self.encoder.short_binary(bytes, len);
            return Ok(Some(word.map_err(too_large)?));
        }
        let bytes = source.input.take(len, "the bytes of a binary")?;
        let part = |binary: &Binary| binary.shared().part(start, len);
        if let (Some(shared), 0) = (source.shared, last_bits) {
            let part: &dyn Fn() -> SharedBytes = &|| part(shared);
            let word = self.encoder.bitstring(bytes, 0, Some(part));
            return Ok(Some(word.map_err(too_large)?));
        }
        if len / COPIED_BYTES_PER_WORK > source.budget.saturating_sub(source.work) {
            source.input.at = start;
            self.copying = Some(Copying {
                bytes: Vec::with_capacity(len),
                len,
                last_bits,
            });
            return Ok(None);
        }
        source.work += len / COPIED_BYTES_PER_WORK;
        let word = self.encoder.bitstring(bytes, last_bits, None);
        Ok(Some(word.map_err(too_large)?))
    }

    /// Copies on.
    #[cold]
    fn copy(&mut self, source: &mut Source<'_>) -> Result<Option<Word>, DecodeErrorKind> {
        let Some(mut copying) = self.copying.take() else {
            return Ok(None);
        };
        let budget = source.budget.saturating_sub(source.work).max(1);
        let left = copying.len - copying.bytes.len();
        let now = left.min(budget.saturating_mul(COPIED_BYTES_PER_WORK));
        let bytes = source.input.take(now, "the bytes of a binary")?;
        copying.bytes.extend_from_slice(bytes);
        source.work += now / COPIED_BYTES_PER_WORK;
        if copying.bytes.len() < copying.len {
            self.copying = Some(copying);
            return Ok(None);
        }
        let Copying {
            mut bytes,
            last_bits,
            ..
        } = copying;
        if let (Some(last), 1..) = (bytes.last_mut(), last_bits) {
            *last &= 0xFF << (8 - last_bits);
        }
        let shared = SharedBytes::taken_over(bytes);
        let word = self.encoder.shared(shared, last_bits).map_err(too_large)?;
        Ok(Some(word))
    }

    /// The same for terms that are rare, old, or no terms.
    #[cold]
    #[inline(never)]
    fn rare(&mut self, source: &mut Source<'_>, tag: u8) -> Result<Option<Word>, DecodeErrorKind> {
        let input = &mut source.input;
        let word = match tag {
            SMALL_BIG_EXT => {
                let len = input.byte("an integer's length")?;
                self.big(source, len.into())?
            }
            LARGE_BIG_EXT => {
                let len = input.long("an integer's length")?;
                self.big(source, len as usize)?
            }
            ATOM_UTF8_EXT | SMALL_ATOM_EXT => Word::atom(source.atom_of(tag)?),
            LARGE_TUPLE_EXT => {
                let elements = input.long("a tuple's arity")?;
                if elements > TUPLE_ELEMENTS_MAX {
                    return Err(DecodeErrorKind::TooManyElements { elements });
                }
                return self.tuple(source, elements);
            }
            BIT_BINARY_EXT => {
                let len = input.long("a bitstring's length")? as usize;
                let bits = input.byte("the bits of a bitstring's last byte")?;
                if bits > 8 || (bits == 0) != (len == 0) {
                    let expected = "1 to 8 bits in a bitstring's last byte";
                    return Err(DecodeErrorKind::Expected {
                        expected,
                        found: bits,
                    });
                }
                return self.binary(source, len, bits % 8);
            }
            FLOAT_EXT => {
                let text = input.take(FLOAT_TEXT_BYTES, "the 31 bytes of a float's text")?;
                self.float(float_of_text(text).ok_or(DecodeErrorKind::Float)?)?
            }
            PID_EXT | NEW_PID_EXT => self.pid(source, tag)?,
            PORT_EXT | NEW_PORT_EXT | V4_PORT_EXT => self.port(source, tag)?,
            REFERENCE_EXT | NEW_REFERENCE_EXT | NEWER_REFERENCE_EXT => {
                self.reference(source, tag)?
            }
            EXPORT_EXT => self.export(source)?,
            NEW_FUN_EXT | FUN_EXT => return Err(DecodeErrorKind::Fun),
            ATOM_CACHE_REF => return Err(DecodeErrorKind::CacheReference),
            LOCAL_EXT => return Err(DecodeErrorKind::Local),
            found => {
                let expected = "the tag of a term";
                return Err(DecodeErrorKind::Expected { expected, found });
            }
        };
        Ok(Some(word))
    }

    fn big(&mut self, source: &mut Source<'_>, bytes: usize) -> Result<Word, DecodeErrorKind> {
        // Any sign but 0 is a minus, as in OTP.
        let negative = source.input.byte("an integer's sign")? != 0;
        if bytes > INTEGER_BYTES_MAX {
            return Err(DecodeErrorKind::IntegerTooLarge { bytes });
        }
        let magnitude = source.input.take(bytes, "the bytes of an integer")?;
        source.work += bytes / COPIED_BYTES_PER_WORK;
        if bytes <= 16 {
            let mut limbs = [0; 16];
            limbs[..bytes].copy_from_slice(magnitude);
            let value = u128::from_le_bytes(limbs);
            let limbs = [value as u64, (value >> 64) as u64];
            return self.encoder.limbs(negative, &limbs).map_err(too_large);
        }
        let limbs: Vec<u64> = magnitude
            .chunks(8)
            .map(|chunk| {
                let mut limb = [0; 8];
                limb[..chunk.len()].copy_from_slice(chunk);
                u64::from_le_bytes(limb)
            })
            .collect();
        self.encoder.limbs(negative, &limbs).map_err(too_large)
    }

    fn pid(&mut self, source: &mut Source<'_>, tag: u8) -> Result<Word, DecodeErrorKind> {
        let node = source.node()?;
        let id = source.input.long("a pid's id")?;
        let serial = source.input.long("a pid's serial")?;
        let creation = source.creation(tag == PID_EXT)?;
        if source.is_local(node, creation) && id <= Pid::INDEX_MAX {
            return Ok(Word::pid(Pid::from_parts(id, serial)));
        }
        let pid = ExternalPid {
            node,
            creation,
            id,
            serial,
        };
        self.encoder.external_pid(pid).map_err(too_large)
    }

    fn port(&mut self, source: &mut Source<'_>, tag: u8) -> Result<Word, DecodeErrorKind> {
        let node = source.node()?;
        let id = match tag {
            V4_PORT_EXT => u64::from_be_bytes(source.input.array("a port's id")?),
            _ => source.input.long("a port's id")?.into(),
        };
        let creation = source.creation(tag == PORT_EXT)?;
        let port = Port::from_u64(id);
        if source.is_local(node, creation) && port.as_u64() == id {
            return Ok(Word::port(port));
        }
        let port = ExternalPort { node, creation, id };
        self.encoder.external_port(port).map_err(too_large)
    }

    fn reference(&mut self, source: &mut Source<'_>, tag: u8) -> Result<Word, DecodeErrorKind> {
        let mut numbers = [0; ExternalRef::IDS_MAX];
        let expected = "one to five numbers of a reference";
        let len = match tag {
            REFERENCE_EXT => 1,
            _ => source.input.short("a reference's length")?,
        };
        let Some(numbers) = numbers.get_mut(..len).filter(|_| len > 0) else {
            return Err(DecodeErrorKind::Range {
                expected,
                found: len as u64,
            });
        };
        let node = source.node()?;
        let mut creation = 0;
        if tag != REFERENCE_EXT {
            creation = source.creation(tag == NEW_REFERENCE_EXT)?;
        }
        for number in numbers.iter_mut() {
            *number = source.input.long("a reference's number")?;
        }
        if tag == REFERENCE_EXT {
            creation = source.creation(true)?;
        }
        if source.is_local(node, creation)
            && let Some(reference) = Ref::from_numbers(numbers)
        {
            return Ok(Word::reference(reference));
        }
        let Some(external) = ExternalRef::new(node, creation, numbers) else {
            return Err(DecodeErrorKind::Range {
                expected,
                found: len as u64,
            });
        };
        self.encoder.external_ref(&external).map_err(too_large)
    }

    fn export(&mut self, source: &mut Source<'_>) -> Result<Word, DecodeErrorKind> {
        let module = source.node()?;
        let function = source.node()?;
        let expected = "a fun's arity, 0 to 255";
        let arity = match source.input.byte(expected)? {
            SMALL_INTEGER_EXT => source.input.byte(expected)?.into(),
            INTEGER_EXT => source.input.long(expected)?,
            found => return Err(DecodeErrorKind::Expected { expected, found }),
        };
        let fun = Export {
            module,
            function,
            arity: u8::try_from(arity).map_err(|_| DecodeErrorKind::Range {
                expected,
                found: arity.into(),
            })?,
        };
        self.encoder.export(fun).map_err(too_large)
    }
}

/// A leaf of a frequent kind; `None`, with nothing read, if the next term is another, or is near
/// the end of the input, or not sound, or not to be had without a closer look.
#[inline(always)]
fn quick(encoder: &mut Encoder, known: &Known, input: &mut Input<'_>) -> Option<Word> {
    let rest = &input.bytes[input.at..];
    // The longest head of a leaf, or the longest name that is looked up at once.
    let first: &[u8; 18] = rest.first_chunk()?;
    let number = || u32::from_be_bytes([first[1], first[2], first[3], first[4]]);
    let eight = |start: usize| {
        let bytes = first[start..].first_chunk::<8>();
        bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
    };
    let (word, read) = match first[0] {
        SMALL_INTEGER_EXT => (Word::number(first[1].into()), 2),
        INTEGER_EXT => (Word::small((number() as i32).into())?, 5),
        SMALL_BIG_EXT if first[1] < 8 => {
            let len = usize::from(first[1]);
            let magnitude = eight(3) & !(u64::MAX << (8 * len));
            let value = magnitude as i64;
            let value = if first[2] == 0 { value } else { -value };
            (Word::small(value)?, 3 + len)
        }
        SMALL_ATOM_UTF8_EXT => {
            let len = usize::from(first[1]);
            let name = first.last_chunk()?;
            let atom = atom_names::known_at_its_place(known, name, len)?;
            (Word::atom(atom), 2 + len)
        }
        NIL_EXT => (Word::NIL, 1),
        NEW_FLOAT_EXT => {
            let value = f64::from_bits(eight(1).swap_bytes());
            (encoder.float(value).ok()?, 9)
        }
        BINARY_EXT => {
            let len = number() as usize;
            if len > HEAP_BINARY_BYTES_MAX {
                return None;
            }
            let bytes = rest[5..].first_chunk()?;
            (encoder.short_binary(bytes, len).ok()?, 5 + len)
        }
        _ => return None,
    };
    input.at += read;
    Some(word)
}

/// What is read from, with what was asked for.
struct Source<'a> {
    input: Input<'a>,
    known: &'a Known,
    shared: Option<&'a Binary>,
    options: &'a DecodeOptions,
    work: usize,
    budget: usize,
}

impl Source<'_> {
    /// An atom of so many bytes.
    #[inline(always)]
    fn atom(&mut self, len: usize, latin1: bool) -> Result<Atom, DecodeErrorKind> {
        let rest = &self.input.bytes[self.input.at..];
        if rest.len() < len {
            let expected = "an atom's name";
            return Err(DecodeErrorKind::End { expected });
        }
        self.input.at += len;
        atom_names::read(self.known, rest, len, latin1, self.options.existing_atoms)
    }

    /// An atom whose tag was read.
    fn atom_of(&mut self, tag: u8) -> Result<Atom, DecodeErrorKind> {
        let expected = "an atom's length";
        match tag {
            SMALL_ATOM_UTF8_EXT | SMALL_ATOM_EXT => {
                let len = self.input.byte(expected)?;
                self.atom(len.into(), tag == SMALL_ATOM_EXT)
            }
            ATOM_UTF8_EXT | ATOM_EXT => {
                let len = self.input.short(expected)?;
                self.atom(len, tag == ATOM_EXT)
            }
            ATOM_CACHE_REF => Err(DecodeErrorKind::CacheReference),
            found => {
                let expected = "the tag of an atom";
                Err(DecodeErrorKind::Expected { expected, found })
            }
        }
    }

    /// An atom inside another term: a node, a module, a function.
    fn node(&mut self) -> Result<Atom, DecodeErrorKind> {
        let tag = self.input.byte("an atom")?;
        self.atom_of(tag)
    }

    fn creation(&mut self, old: bool) -> Result<u32, DecodeErrorKind> {
        if !old {
            return self.input.long("a node's creation");
        }
        let expected = "a node's creation, 0 to 3";
        match self.input.byte(expected)? {
            creation @ 0..=OLD_CREATION_MAX => Ok(creation.into()),
            found => Err(DecodeErrorKind::Expected { expected, found }),
        }
    }

    fn is_local(&self, node: Atom, creation: u32) -> bool {
        node == self.options.node && creation == self.options.creation
    }
}

/// A float's text as C's `%.20e` writes it: a sign, digits with a point between them, an exponent;
/// then zeros.
fn float_of_text(text: &[u8]) -> Option<f64> {
    let end = text.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(&text[..end]).ok()?;
    // Rust reads more than Erlang: no infinity, and digits on both sides of the point.
    let point = text.find('.')?;
    let digit = |index: usize| text.as_bytes().get(index).is_some_and(u8::is_ascii_digit);
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    (plain && point > 0 && digit(point - 1) && digit(point + 1))
        .then(|| text.parse().ok())
        .flatten()
}

/// Of the errors of making terms only this one is left when the parts are sound.
#[cold]
fn too_large(error: EncodeError) -> DecodeErrorKind {
    match error {
        EncodeError::TooLarge { words_max } => DecodeErrorKind::TooLarge { words_max },
        other => unreachable!("the parts were looked at before: {other}"),
    }
}
