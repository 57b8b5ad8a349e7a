//! The machine: terms one after the other, each to its place in what is open.

use super::frame::{Frame, Kind};
use super::input::{Input, Source};
use crate::encode::{Encoder, FLAT_PAIRS_MAX};
use crate::etf::atom_names;
use crate::etf::error::DecodeErrorKind;
use crate::etf::limits::COPIED_BYTES_PER_WORK;
use crate::etf::options::DecodeOptions;
use crate::off_heap::SharedBytes;
use crate::word::Word;
use crate::{Binary, EncodeError};

/// Words that are laid out, or pairs of them, for a unit of work.
const LAID_OUT_PER_WORK: usize = 32;

/// A term that is being read.
pub(super) struct Reader {
    pub(super) encoder: Encoder,
    /// Bytes of the input that were read, and where the present term began.
    pub(super) at: usize,
    pub(super) begin: usize,
    /// What is open around `frame`, without the root.
    pub(super) stack: Vec<Frame>,
    pub(super) frame: Frame,
    /// Keys and values of large maps.
    pub(super) pairs: Vec<Word>,
    /// For each number of pairs the last flat map whose keys were immediates and found in order; 0
    /// is none, or the first object, which costs no more than another look.
    pub(super) known: [u32; FLAT_PAIRS_MAX as usize + 1],
    /// Terms that the counts of all compounds up to here announced. Each takes a byte at least, so
    /// they are not more than the bytes, and room for all of them is room in proportion to the input,
    /// however the counts nest.
    pub(super) announced: usize,
    /// A binary of which a part is copied.
    pub(super) copying: Option<Copying>,
    root: Option<Word>,
}

pub(super) struct Copying {
    pub(super) bytes: Vec<u8>,
    pub(super) len: usize,
    pub(super) last_bits: u8,
}

impl Reader {
    /// A reader of a term that begins at this byte.
    pub(super) fn new(encoder: Encoder, at: usize) -> Reader {
        Reader {
            encoder,
            at,
            begin: at,
            stack: Vec::new(),
            frame: Frame::root(1),
            pairs: Vec::new(),
            known: [0; FLAT_PAIRS_MAX as usize + 1],
            announced: 1,
            copying: None,
            root: None,
        }
    }

    /// The term's word, once all of it is read.
    #[inline]
    pub(super) fn root(&self) -> Option<Word> {
        self.root.filter(|_| self.frame.kind() == Kind::Root)
    }

    /// Reads on, and gives the work done.
    pub(super) fn run(
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
        loop {
            if self.frame.left == 0 {
                if self.frame.kind() == Kind::Root {
                    return Ok(());
                }
                self.close()?;
            } else if source.work >= source.budget {
                return Ok(());
            } else if self.copying.is_some() {
                source.work += 1;
                if let Some(word) = self.copy(source)? {
                    self.deliver(word);
                }
            } else if !self.quick(source) {
                source.work += 1;
                self.begin = source.input.at;
                if let Some(word) = self.term(source)? {
                    self.deliver(word);
                }
            }
        }
    }

    /// Puts a term where it belongs.
    #[inline]
    pub(super) fn deliver(&mut self, word: Word) {
        let frame = &mut self.frame;
        match frame.kind() {
            Kind::Root => self.root = Some(word),
            Kind::Large => self.pairs.push(word),
            Kind::Tuple | Kind::List | Kind::Tail | Kind::Map => {
                self.encoder.fill(frame.slot, word);
            }
        }
        frame.advance();
    }

    /// Opens a compound that lies at its place already.
    #[inline]
    pub(super) fn open(
        &mut self,
        word: Word,
        frame: Frame,
        options: &DecodeOptions,
    ) -> Result<(), DecodeErrorKind> {
        // A list in the place of a tail goes on with the one before it.
        if self.frame.kind() == Kind::Tail && frame.kind() == Kind::List {
            self.deliver(word);
        } else {
            self.level(options)?;
            self.deliver(word);
            self.enclose();
        }
        self.frame = frame;
        Ok(())
    }

    /// Keeps what is open for later.
    #[inline]
    pub(super) fn enclose(&mut self) {
        if self.frame.kind() != Kind::Root {
            self.stack.push(self.frame);
        }
    }

    /// Counts a level under what is open.
    #[inline]
    pub(super) fn level(&self, options: &DecodeOptions) -> Result<(), DecodeErrorKind> {
        let above = self.stack.len() + usize::from(self.frame.kind() != Kind::Root);
        let depth_max = options.depth_max;
        if above >= depth_max as usize {
            return Err(DecodeErrorKind::TooDeep { depth_max });
        }
        Ok(())
    }

    /// Counts terms that are to come, each of at least one byte.
    #[inline]
    pub(super) fn announce(
        &mut self,
        input: &Input<'_>,
        terms: usize,
        expected: &'static str,
    ) -> Result<(), DecodeErrorKind> {
        self.announced = self.announced.saturating_add(terms);
        if terms > input.left() || self.announced > input.bytes.len() {
            return Err(DecodeErrorKind::End { expected });
        }
        Ok(())
    }

    /// Leaves what has no term left, but for a list's tail.
    fn close(&mut self) -> Result<(), DecodeErrorKind> {
        let frame = self.frame;
        match frame.kind() {
            Kind::List => {
                self.frame = frame.tail();
                return Ok(());
            }
            Kind::Map => self.close_map(frame.object_of_map(), frame.extra())?,
            Kind::Large => {
                let word = self.close_large(frame.extra() as usize)?;
                self.leave();
                self.deliver(word);
                return Ok(());
            }
            Kind::Tuple | Kind::Tail | Kind::Root => {}
        }
        self.leave();
        Ok(())
    }

    fn leave(&mut self) {
        let root = || Frame::root(self.root.is_none().into());
        self.frame = self.stack.pop().unwrap_or_else(root);
    }

    fn close_map(&mut self, map: u32, pairs: u32) -> Result<(), DecodeErrorKind> {
        let known = self.known[pairs as usize];
        if known > 0 && self.encoder.same_keys(known, map, pairs) {
            return Ok(());
        }
        if !self.encoder.order_map(map, pairs) {
            return Err(DecodeErrorKind::DuplicateKey);
        }
        if self.encoder.has_immediate_keys(map, pairs) {
            self.known[pairs as usize] = map;
        }
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
}

/// Work for the words of so many terms, laid out when what holds them opens.
#[inline(always)]
pub(super) fn opening_work(terms: u32) -> usize {
    terms as usize / LAID_OUT_PER_WORK
}

/// Of the errors of making terms only this one is left when the parts are sound.
#[cold]
pub(super) fn too_large(error: EncodeError) -> DecodeErrorKind {
    match error {
        EncodeError::TooLarge { words_max } => DecodeErrorKind::TooLarge { words_max },
        other => unreachable!("the parts were looked at before: {other}"),
    }
}
