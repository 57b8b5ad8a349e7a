//! One term, whatever stands around it: a leaf, or the head of a compound.

use super::frame::Frame;
use super::input::Source;
use super::reader::{Copying, Reader, opening_work, too_large};
use crate::encode::FLAT_PAIRS_MAX;
use crate::etf::error::DecodeErrorKind;
use crate::etf::limits::COPIED_BYTES_PER_WORK;
use crate::etf::options::DecodeOptions;
use crate::etf::tags::{
    ATOM_EXT, BINARY_EXT, INTEGER_EXT, LIST_EXT, MAP_EXT, NEW_FLOAT_EXT, NIL_EXT,
    SMALL_ATOM_UTF8_EXT, SMALL_INTEGER_EXT, SMALL_TUPLE_EXT, STRING_EXT,
};
use crate::limits::HEAP_BINARY_BYTES_MAX;
use crate::off_heap::SharedBytes;
use crate::word::{CONS, MAP, TUPLE, Word};
use crate::{Binary, EncodeError};

impl Reader {
    /// Reads a leaf, or opens a compound, which is no term yet.
    #[inline]
    pub(super) fn term(
        &mut self,
        source: &mut Source<'_>,
    ) -> Result<Option<Word>, DecodeErrorKind> {
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
                let count = input.long("the pairs of a map")?;
                return self.map(source, count);
            }
            LIST_EXT => {
                let count = input.long("the elements of a list")?;
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
    pub(super) fn tuple(
        &mut self,
        source: &mut Source<'_>,
        count: u32,
    ) -> Result<Option<Word>, DecodeErrorKind> {
        self.announce(&source.input, count as usize, "the elements of a tuple")?;
        source.work += opening_work(count);
        let object = self.encoder.tuple(count as usize).map_err(too_large)?;
        let word = Word::boxed(TUPLE, object);
        if count == 0 {
            self.level(source.options)?;
            return Ok(Some(word));
        }
        self.open(word, Frame::tuple(object, count), source.options)?;
        Ok(None)
    }

    #[inline]
    fn map(
        &mut self,
        source: &mut Source<'_>,
        pairs: u32,
    ) -> Result<Option<Word>, DecodeErrorKind> {
        let terms = (pairs as usize).saturating_mul(2);
        self.announce(&source.input, terms, "the pairs of a map")?;
        if pairs > FLAT_PAIRS_MAX {
            return self.large_map(source.options, terms);
        }
        source.work += opening_work(2 * pairs);
        let object = self.encoder.open_map(pairs).map_err(too_large)?;
        let word = Word::boxed(MAP, object);
        if pairs == 0 {
            self.level(source.options)?;
            return Ok(Some(word));
        }
        self.open(word, Frame::map(object, pairs), source.options)?;
        Ok(None)
    }

    /// A map whose word is there only when all of it is.
    #[cold]
    fn large_map(
        &mut self,
        options: &DecodeOptions,
        terms: usize,
    ) -> Result<Option<Word>, DecodeErrorKind> {
        self.level(options)?;
        // The input is there for all of them, but might be larger than 32 bits count.
        let count = |terms: usize| {
            let words_max = options.words_max;
            u32::try_from(terms).map_err(|_| DecodeErrorKind::TooLarge { words_max })
        };
        let frame = Frame::large(count(terms)?, count(self.pairs.len())?);
        self.enclose();
        self.frame = frame;
        Ok(None)
    }

    #[inline]
    fn list(
        &mut self,
        source: &mut Source<'_>,
        count: u32,
    ) -> Result<Option<Word>, DecodeErrorKind> {
        let terms = (count as usize).saturating_add(1);
        self.announce(&source.input, terms, "the elements of a list")?;
        // A list of no element is its tail: the term that follows stands in its place.
        if count > 0 {
            source.work += opening_work(count);
            let first = self.encoder.blank_cells(count).map_err(too_large)?;
            let word = Word::boxed(CONS, first);
            self.open(word, Frame::list(first, count), source.options)?;
        }
        Ok(None)
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
        let first = self.encoder.cells(bytes).map_err(too_large)?;
        self.level(source.options)?;
        Ok(Some(Word::boxed(CONS, first)))
    }

    #[inline]
    pub(super) fn float(&mut self, value: f64) -> Result<Word, DecodeErrorKind> {
        self.encoder.float(value).map_err(|error| match error {
            EncodeError::NotFinite => DecodeErrorKind::Float,
            error => too_large(error),
        })
    }

    #[inline]
    pub(super) fn binary(
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
}
