//! Rust values to terms, in one pass into the block.

use serde::ser::{Serialize, Serializer};

use crate::binary::Binary;
use crate::block::Block;
use crate::limits::{BLOCK_WORDS_MAX, DEPTH_MAX, HEAP_BINARY_BYTES_MAX};
use crate::loan::{self, Loan};
use crate::native::NativeCell;
use crate::off_heap::SharedBytes;
use crate::raw::{Scratch, Shape, Space};
use crate::term::Term;
use crate::word::{BIG, CONS, FLOAT, HEAP_BINARY, NATIVE, OTHER, Other, TUPLE, Word};
use crate::{
    CopyError, EncodeError, Export, ExternalPid, ExternalPort, ExternalRef, OwnedTerm, atom_cache,
    atoms, copy, embed, off_heap,
};

mod compound;
mod extract;
mod shape;
mod slots;

pub(crate) use compound::{ListEncoder, MapEncoder, StructEncoder, TupleEncoder};
use extract::Extract;
pub(crate) use slots::FLAT_PAIRS_MAX;

/// Serialises a value into a new block behind a header.
///
/// # Errors
///
/// See [`EncodeError`]. Native resources that the value gave away before the failure are dropped
/// with the unfinished block.
#[inline]
pub fn to_block<H, T: Serialize + ?Sized>(header: H, value: &T) -> Result<Block<H>, EncodeError> {
    to_block_within(header, value, BLOCK_WORDS_MAX)
}

/// As [`to_block`], with a limit on the block's words (of 8 bytes each).
///
/// # Errors
///
/// [`EncodeError::TooLarge`] past the limit, and those of [`to_block`].
#[inline]
pub fn to_block_within<H, T: Serialize + ?Sized>(
    header: H,
    value: &T,
    words_max: u32,
) -> Result<Block<H>, EncodeError> {
    let mut scratch = Scratch::new();
    // SAFETY: the scratch is used by this space alone, which goes in this function.
    let space = unsafe {
        Space::on_scratch(
            &mut scratch,
            Shape::of::<H>(),
            words_max.min(BLOCK_WORDS_MAX),
        )
    };
    let mut encoder = Encoder::within(space);
    let root = value.serialize(&mut encoder)?;
    Ok(encoder.finish(header, root))
}

/// Serialises a value into a term.
///
/// # Errors
///
/// See [`EncodeError`].
pub fn to_term<T: Serialize + ?Sized>(value: &T) -> Result<OwnedTerm, EncodeError> {
    to_block((), value)
}

/// Serialises a value into a term that is to be looked at: native resources stay where they are, and
/// [`NATIVE_SHOWN`] stands in the place of each.
///
/// ```
/// use otp_heap::{Native, to_shown_term};
///
/// let state = ("log", Native::new(std::io::sink()));
/// let shown = to_shown_term(&state)?;
/// assert_eq!(shown.to_string(), "{<<\"log\">>,<<\"a native resource can't be shown\">>}");
/// assert!(state.1.is_present());
/// # Ok::<(), otp_heap::EncodeError>(())
/// ```
///
/// # Errors
///
/// As [`to_term`]. A term with a resource that the value embeds can't be copied.
pub fn to_shown_term<T: Serialize + ?Sized>(value: &T) -> Result<OwnedTerm, EncodeError> {
    let mut encoder = Encoder::new(Shape::of::<()>(), BLOCK_WORDS_MAX);
    encoder.keeps_natives = true;
    let root = value.serialize(&mut encoder)?;
    Ok(encoder.finish((), root))
}

/// What [`to_shown_term`] says in the place of a native resource.
pub const NATIVE_SHOWN: &str = "a native resource can't be shown";

pub(crate) struct Encoder {
    space: Space,
    // Steps of Rust's recursion: a compound, and also `Some` or a newtype. Bounded by DEPTH_MAX.
    depth: u32,
    // Native resources are not moved into the term.
    keeps_natives: bool,
    // Pairs of the maps under construction, outermost first.
    pairs: Vec<(Word, Word)>,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("words", &self.space.len())
            .finish_non_exhaustive()
    }
}

impl Encoder {
    #[inline]
    pub(crate) fn new(shape: Shape, words_max: u32) -> Encoder {
        Encoder::within(Space::new(shape, 0, words_max.min(BLOCK_WORDS_MAX)))
    }

    /// An encoder that goes on in a space.
    #[inline]
    pub(crate) fn within(space: Space) -> Encoder {
        Encoder {
            space,
            depth: 0,
            keeps_natives: false,
            pairs: Vec::new(),
        }
    }

    #[inline]
    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    #[inline]
    pub(crate) fn space_mut(&mut self) -> &mut Space {
        &mut self.space
    }

    /// Goes on in another space; the old one is dropped.
    pub(crate) fn replace_space(&mut self, space: Space) {
        self.space = space;
    }

    #[inline(always)]
    pub(crate) fn finish<H>(self, header: H, root: Word) -> Block<H> {
        Block::finish(self.space, header, root)
    }

    #[inline]
    fn enter(&mut self) -> Result<(), EncodeError> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(EncodeError::TooDeep);
        }
        Ok(())
    }

    #[inline]
    fn leave(&mut self) {
        self.depth -= 1;
    }

    #[inline]
    pub(crate) fn tuple(&mut self, len: usize) -> Result<u32, EncodeError> {
        let count = self.length(len)?;
        Ok(self
            .space
            .push_blank(Word::header(TUPLE, count), count.into())?)
    }

    #[inline]
    pub(crate) fn length(&self, len: usize) -> Result<u32, EncodeError> {
        u32::try_from(len).map_err(|_| EncodeError::TooLarge {
            words_max: BLOCK_WORDS_MAX,
        })
    }

    #[inline]
    pub(crate) fn integer(&mut self, value: i64) -> Result<Word, EncodeError> {
        match Word::small(value) {
            Some(word) => Ok(word),
            None => self.big(value < 0, value.unsigned_abs().into()),
        }
    }

    #[inline]
    pub(crate) fn unsigned(&mut self, value: u64) -> Result<Word, EncodeError> {
        match i64::try_from(value).ok().and_then(Word::small) {
            Some(word) => Ok(word),
            None => self.big(false, value.into()),
        }
    }

    pub(crate) fn wide(&mut self, value: i128) -> Result<Word, EncodeError> {
        match i64::try_from(value).ok().and_then(Word::small) {
            Some(word) => Ok(word),
            None => self.big(value < 0, value.unsigned_abs()),
        }
    }

    #[cold]
    fn big(&mut self, negative: bool, magnitude: u128) -> Result<Word, EncodeError> {
        let (low, high) = (magnitude as u64, (magnitude >> 64) as u64);
        let offset = if high == 0 {
            self.space
                .push([Word::big_header(negative, 1), Word(low)])?
        } else {
            self.space
                .push([Word::big_header(negative, 2), Word(low), Word(high)])?
        };
        Ok(Word::boxed(BIG, offset))
    }

    /// An integer of any size: sign and magnitude, least significant limb first.
    pub(crate) fn limbs(&mut self, negative: bool, limbs: &[u64]) -> Result<Word, EncodeError> {
        let used = limbs
            .iter()
            .rposition(|limb| *limb != 0)
            .map_or(0, |last| last + 1);
        let limbs = &limbs[..used];
        if used <= 1 {
            let magnitude = i128::from(limbs.first().copied().unwrap_or(0));
            return self.wide(if negative { -magnitude } else { magnitude });
        }
        let count = self.length(used)?;
        let header = Word::big_header(negative, count);
        let offset = self.space.push_raw(header, limbs)?;
        Ok(Word::boxed(BIG, offset))
    }

    #[inline]
    pub(crate) fn float(&mut self, value: f64) -> Result<Word, EncodeError> {
        if !value.is_finite() {
            return Err(EncodeError::NotFinite);
        }
        let offset = self
            .space
            .push([Word::header(FLOAT, 1), Word(value.to_bits())])?;
        Ok(Word::boxed(FLOAT, offset))
    }

    #[inline]
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<Word, EncodeError> {
        if bytes.len() <= HEAP_BINARY_BYTES_MAX {
            return Ok(Word::boxed(HEAP_BINARY, self.space.push_bytes(bytes)?));
        }
        self.shared(SharedBytes::copied(bytes), 0)
    }

    /// A bitstring: so many bits of the bytes, whose rest does not matter.
    pub(crate) fn bits(&mut self, bytes: &[u8], bits: usize) -> Result<Word, EncodeError> {
        let bytes = bytes.get(..bits.div_ceil(8)).ok_or(EncodeError::Bits {
            bits,
            bytes: bytes.len(),
        })?;
        let last = (bits % 8) as u8;
        if last == 0 {
            return self.bytes(bytes);
        }
        let mask = 0xFF << (8 - last);
        if bytes.len() <= HEAP_BINARY_BYTES_MAX {
            let offset = self.space.push_bits(bytes, last, mask)?;
            return Ok(Word::boxed(HEAP_BINARY, offset));
        }
        let mut owned = bytes.to_vec();
        if let Some(byte) = owned.last_mut() {
            *byte &= mask;
        }
        self.shared(SharedBytes::taken_over(owned), last)
    }

    fn other(&mut self, kind: Other, words: &[Word]) -> Result<Word, EncodeError> {
        let header = Word::other_header(kind, words.len() as u32);
        let offset = self.space.push_blank(header, words.len() as u64)?;
        for (place, word) in (offset + 1..).zip(words) {
            self.space.set(place, *word);
        }
        Ok(Word::boxed(OTHER, offset))
    }

    pub(crate) fn external_pid(&mut self, pid: ExternalPid) -> Result<Word, EncodeError> {
        let words = [pid.creation, pid.id, pid.serial].map(Word::number);
        self.other(
            Other::ExternalPid,
            &[Word::atom(pid.node), words[0], words[1], words[2]],
        )
    }

    pub(crate) fn external_port(&mut self, port: ExternalPort) -> Result<Word, EncodeError> {
        let words = [port.creation, (port.id >> 32) as u32, port.id as u32].map(Word::number);
        self.other(
            Other::ExternalPort,
            &[Word::atom(port.node), words[0], words[1], words[2]],
        )
    }

    pub(crate) fn external_ref(&mut self, external: &ExternalRef) -> Result<Word, EncodeError> {
        let mut words = [Word::NIL; 2 + ExternalRef::IDS_MAX];
        words[0] = Word::atom(external.node);
        words[1] = Word::number(external.creation);
        for (word, id) in words[2..].iter_mut().zip(external.ids()) {
            *word = Word::number(*id);
        }
        self.other(Other::ExternalRef, &words[..2 + external.ids().len()])
    }

    pub(crate) fn export(&mut self, fun: Export) -> Result<Word, EncodeError> {
        let arity = Word::number(fun.arity.into());
        self.other(
            Other::Export,
            &[Word::atom(fun.module), Word::atom(fun.function), arity],
        )
    }

    pub(crate) fn binary(&mut self, binary: &Binary) -> Result<Word, EncodeError> {
        if binary.len() <= HEAP_BINARY_BYTES_MAX {
            return self.bytes(binary);
        }
        self.shared(binary.shared().clone(), 0)
    }

    pub(crate) fn native(&mut self, native: &NativeCell) -> Result<Word, EncodeError> {
        if self.keeps_natives {
            return self.bytes(NATIVE_SHOWN.as_bytes());
        }
        // Room first: once taken, the resource must find its place.
        off_heap::reserve_native(&mut self.space)?;
        let payload = native.take().ok_or(EncodeError::NativeMoved)?;
        let offset = off_heap::push_native(&mut self.space, payload)?;
        Ok(Word::boxed(NATIVE, offset))
    }

    /// A copy of a term.
    pub(crate) fn copy(&mut self, term: Term<'_>) -> Result<Word, CopyError> {
        copy::copy_into(&mut self.space, term)
    }

    pub(crate) fn cons(&mut self, head: Word, tail: Word) -> Result<Word, EncodeError> {
        Ok(Word::boxed(CONS, self.space.push([head, tail])?))
    }

    pub(crate) fn tuple_of(&mut self, elements: &[Word]) -> Result<Word, EncodeError> {
        let offset = self.tuple(elements.len())?;
        for (index, element) in (1..).zip(elements) {
            self.space.set(offset + index, *element);
        }
        Ok(Word::boxed(TUPLE, offset))
    }

    /// A map of keys, each followed by its value.
    pub(crate) fn map_of(&mut self, terms: &[Word]) -> Result<Word, EncodeError> {
        let start = self.pairs.len();
        self.pairs
            .extend(terms.chunks_exact(2).map(|pair| (pair[0], pair[1])));
        self.map_from_pairs(start)
    }

    /// What a change of maps makes of the words of this encoder's space.
    pub(crate) fn change(
        &mut self,
        change: impl FnOnce(&mut Space) -> Result<Word, CopyError>,
    ) -> Result<Word, EncodeError> {
        Ok(change(&mut self.space)?)
    }

    /// Serialises one value apart from what was before.
    pub(crate) fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<Word, EncodeError> {
        self.depth = 0;
        self.pairs.clear();
        value.serialize(self)
    }

    /// The atom of a variant. `Result`'s `Err` is Erlang's `error`.
    #[inline]
    fn variant(&mut self, name: &'static str, variant: &'static str) -> Result<Word, EncodeError> {
        if name == "Result" && variant == "Err" {
            return Ok(Word::atom(atoms::ERROR));
        }
        Ok(Word::atom(atom_cache::variant(variant)?))
    }

    /// A tuple `{variant, ...}` with room for so many more elements.
    #[inline]
    fn tagged(
        &mut self,
        name: &'static str,
        variant: &'static str,
        len: usize,
    ) -> Result<u32, EncodeError> {
        let tag = self.variant(name, variant)?;
        let offset = self.tuple(len.saturating_add(1))?;
        self.space.set(offset + 1, tag);
        Ok(offset)
    }

    #[inline(never)]
    fn borrowed(&mut self, name: &'static str) -> Result<Option<Word>, EncodeError> {
        loan::take(|loan| match (name, loan) {
            (embed::TERM, Loan::Term(term)) => Some(self.copy(term).map_err(EncodeError::from)),
            (embed::BINARY, Loan::Binary(binary)) => Some(self.binary(binary)),
            (embed::NATIVE, Loan::Native(native)) => Some(self.native(native)),
            _ => None,
        })
        .transpose()
    }
}

macro_rules! integers {
    ($($method:ident($type:ty))*) => {
        $(#[inline]
        fn $method(self, value: $type) -> Result<Word, EncodeError> {
            self.integer(value.into())
        })*
    };
}

impl<'a> Serializer for &'a mut Encoder {
    type Ok = Word;
    type Error = EncodeError;
    type SerializeSeq = ListEncoder<'a>;
    type SerializeTuple = TupleEncoder<'a>;
    type SerializeTupleStruct = TupleEncoder<'a>;
    type SerializeTupleVariant = TupleEncoder<'a>;
    type SerializeMap = MapEncoder<'a>;
    type SerializeStruct = StructEncoder<'a>;
    type SerializeStructVariant = StructEncoder<'a>;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_bool(self, value: bool) -> Result<Word, EncodeError> {
        Ok(Word::atom(if value { atoms::TRUE } else { atoms::FALSE }))
    }

    integers! {
        serialize_i8(i8) serialize_i16(i16) serialize_i32(i32) serialize_i64(i64)
        serialize_u8(u8) serialize_u16(u16) serialize_u32(u32)
    }

    fn serialize_i128(self, value: i128) -> Result<Word, EncodeError> {
        self.wide(value)
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result<Word, EncodeError> {
        self.unsigned(value)
    }

    fn serialize_u128(self, value: u128) -> Result<Word, EncodeError> {
        match i128::try_from(value) {
            Ok(value) => self.wide(value),
            Err(_) => self.big(false, value),
        }
    }

    #[inline]
    fn serialize_f32(self, value: f32) -> Result<Word, EncodeError> {
        self.float(value.into())
    }

    #[inline]
    fn serialize_f64(self, value: f64) -> Result<Word, EncodeError> {
        self.float(value)
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result<Word, EncodeError> {
        self.integer(u32::from(value).into())
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<Word, EncodeError> {
        self.bytes(value.as_bytes())
    }

    #[inline]
    fn serialize_bytes(self, value: &[u8]) -> Result<Word, EncodeError> {
        self.bytes(value)
    }

    #[inline]
    fn serialize_none(self) -> Result<Word, EncodeError> {
        Ok(Word::atom(atoms::NIL))
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<Word, EncodeError> {
        self.enter()?;
        let word = value.serialize(&mut *self)?;
        self.leave();
        Ok(word)
    }

    #[inline]
    fn serialize_unit(self) -> Result<Word, EncodeError> {
        Ok(Word::atom(atoms::OK))
    }

    #[inline]
    fn serialize_unit_struct(self, name: &'static str) -> Result<Word, EncodeError> {
        Ok(Word::atom(atom_cache::variant(name)?))
    }

    #[inline]
    fn serialize_unit_variant(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
    ) -> Result<Word, EncodeError> {
        self.variant(name, variant)
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<Word, EncodeError> {
        if embed::is_embedding(name) {
            let immediate = match name {
                embed::PID => Some(value.serialize(Extract::Pid)?),
                embed::REFERENCE => Some(value.serialize(Extract::Reference)?),
                embed::PORT => Some(value.serialize(Extract::Port)?),
                embed::ATOM => Some(value.serialize(Extract::Atom)?),
                _ => self.borrowed(name)?,
            };
            if let Some(word) = immediate {
                return Ok(word);
            }
        }
        self.enter()?;
        let word = value.serialize(&mut *self)?;
        self.leave();
        Ok(word)
    }

    #[inline]
    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<Word, EncodeError> {
        let offset = self.tagged(name, variant, 1)?;
        self.enter()?;
        let word = value.serialize(&mut *self)?;
        self.leave();
        self.space.set(offset + 2, word);
        Ok(Word::boxed(TUPLE, offset))
    }

    #[inline]
    fn serialize_seq(self, _len: Option<usize>) -> Result<ListEncoder<'a>, EncodeError> {
        ListEncoder::new(self)
    }

    #[inline]
    fn serialize_tuple(self, len: usize) -> Result<TupleEncoder<'a>, EncodeError> {
        let offset = self.tuple(len)?;
        TupleEncoder::new(self, offset, 0, len)
    }

    #[inline]
    fn serialize_tuple_struct(
        self,
        _name: &'static str,
        len: usize,
    ) -> Result<TupleEncoder<'a>, EncodeError> {
        self.serialize_tuple(len)
    }

    #[inline]
    fn serialize_tuple_variant(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<TupleEncoder<'a>, EncodeError> {
        let offset = self.tagged(name, variant, len)?;
        TupleEncoder::new(self, offset, 1, len)
    }

    #[inline]
    fn serialize_map(self, _len: Option<usize>) -> Result<MapEncoder<'a>, EncodeError> {
        MapEncoder::new(self)
    }

    #[inline]
    fn serialize_struct(
        self,
        name: &'static str,
        len: usize,
    ) -> Result<StructEncoder<'a>, EncodeError> {
        StructEncoder::new(self, name, len, None)
    }

    #[inline]
    fn serialize_struct_variant(
        self,
        name: &'static str,
        _index: u32,
        variant: &'static str,
        len: usize,
    ) -> Result<StructEncoder<'a>, EncodeError> {
        let offset = self.tagged(name, variant, 1)?;
        self.enter()?;
        StructEncoder::new(self, variant, len, Some(offset))
    }
}
