//! Terms to Rust values.

use std::sync::atomic::Ordering;

use serde::de::{self, Deserialize, Deserializer, Error as _, Visitor};

use crate::limits::DEPTH_MAX;
use crate::loan::{self, Loan};
use crate::number::BigInt;
use crate::term::{Term, View};
use crate::word::INTEGER;
use crate::{DecodeError, DecodeErrorKind, Pid, Ref, atom_cache, atoms, embed};

mod access;

use access::{EnumSource, MapSource, SeqSource};

/// Deserialises a value from a term. `&str` and `&[u8]` borrow from the term's block.
///
/// # Errors
///
/// [`DecodeError`] says what was wrong and where.
#[inline]
pub fn from_term<'de, T: Deserialize<'de>>(term: Term<'de>) -> Result<T, DecodeError> {
    T::deserialize(Source { term, depth: 0 })
}

/// Bytes of a found term that an error shows.
const FOUND_BYTES: usize = 64;

/// Refuses to go deeper past the limit. What is a level here is one to the encoder, too.
#[inline]
fn bounded(depth: u32) -> Result<(), DecodeError> {
    if depth >= DEPTH_MAX {
        return Err(DecodeError::new(DecodeErrorKind::TooDeep));
    }
    Ok(())
}

/// A term to be deserialised, and the steps of recursion above it.
#[derive(Clone, Copy)]
struct Source<'de> {
    term: Term<'de>,
    depth: u32,
}

impl<'de> Source<'de> {
    #[inline]
    fn below(self, term: Term<'de>) -> Source<'de> {
        Source {
            term,
            depth: self.depth + 1,
        }
    }

    /// One step deeper on the same term: a type may nest without the term doing so.
    #[inline]
    fn step(self) -> Result<Source<'de>, DecodeError> {
        bounded(self.depth)?;
        Ok(self.below(self.term))
    }

    #[cold]
    fn mismatch(self, expected: &dyn de::Expected) -> DecodeError {
        let mut found = self.term.display_limited(FOUND_BYTES).to_string();
        // A list of characters has the text of the string that may have been expected.
        if found.starts_with('"') {
            found.insert_str(0, "the list ");
        }
        DecodeError::new(DecodeErrorKind::Mismatch {
            expected: expected.to_string().into(),
            found: found.into(),
        })
    }

    #[inline]
    fn integer<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let word = self.term.word();
        if word.tag() == INTEGER {
            return visitor.visit_i64(word.small_value());
        }
        match self.term.view() {
            View::BigInt(value) => self.big(value, visitor),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    #[cold]
    fn big<V: Visitor<'de>>(self, big: BigInt<'de>, visitor: V) -> Result<V::Value, DecodeError> {
        match (big.to_i128(), big.magnitude()) {
            (Some(value), _) => match (u64::try_from(value), i64::try_from(value)) {
                (Ok(value), _) => visitor.visit_u64(value),
                (_, Ok(value)) => visitor.visit_i64(value),
                _ => visitor.visit_i128(value),
            },
            (None, Some(value)) if !big.is_negative() => visitor.visit_u128(value),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    /// A binary's text, or the name of an atom.
    #[inline]
    fn text<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let text = match self.term.as_atom() {
            Some(atom) => Some(atom.as_str()),
            None => self.term.as_str(),
        };
        match text {
            Some(text) => visitor.visit_borrowed_str(text),
            None => Err(self.mismatch(&visitor)),
        }
    }

    #[inline]
    fn is_none(self) -> bool {
        matches!(self.term.as_atom(), Some(atoms::NIL | atoms::UNDEFINED))
    }

    /// A tuple, a proper list, or the bytes of a binary.
    #[inline]
    fn elements<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.term.as_tuple() {
            Some(tuple) => SeqSource::new(tuple.iter(), tuple.len(), self.depth).visit(visitor),
            None => self.list_or_bytes(visitor),
        }
    }

    fn list_or_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.term.view() {
            View::Nil | View::Cons(_) => match self.term.list_len() {
                Some(len) => SeqSource::new(self.term.list_iter(), len, self.depth).visit(visitor),
                None => Err(self.mismatch(&visitor)),
            },
            View::Binary(bytes) => {
                bounded(self.depth)?;
                let mut bytes = de::value::SeqDeserializer::new(bytes.iter().copied());
                let value = visitor.visit_seq(&mut bytes)?;
                bytes.end()?;
                Ok(value)
            }
            _ => Err(self.mismatch(&visitor)),
        }
    }

    #[inline]
    fn pairs<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.term.as_map() {
            Some(map) => MapSource::new(map, self.depth).visit(visitor),
            None => Err(self.mismatch(&visitor)),
        }
    }

    /// Lends the term to a visitor of ours.
    fn lend<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        loan::lend(Loan::Source(self.term), || visitor.visit_unit()).0
    }

    fn native_has_moved(self) -> bool {
        self.term
            .native()
            .is_some_and(|place| place.load(Ordering::Relaxed).is_null())
    }

    /// The name is known where the type is: what is left of the choice is one look at the term.
    #[inline]
    fn embedded<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let term = self.term;
        let number = match name {
            embed::PID => term.as_pid().map(Pid::as_u64),
            embed::REFERENCE => term.as_ref().map(Ref::as_u64),
            embed::ATOM => {
                return match term.as_atom() {
                    Some(atom) => visitor.visit_borrowed_str(atom.as_str()),
                    None => Err(self.mismatch(&visitor)),
                };
            }
            _ => return self.embedded_otherwise(name, visitor),
        };
        match number {
            Some(number) => visitor.visit_u64(number),
            None => Err(self.mismatch(&visitor)),
        }
    }

    fn embedded_otherwise<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match (name, self.term.view()) {
            (embed::PORT, View::Port(port)) => visitor.visit_u64(port.as_u64()),
            (embed::NATIVE, View::Native) if self.native_has_moved() => {
                Err(DecodeError::new(DecodeErrorKind::NativeMoved))
            }
            (embed::TERM, _) | (embed::BINARY, View::Binary(_)) | (embed::NATIVE, View::Native) => {
                self.lend(visitor)
            }
            (embed::PORT | embed::BINARY | embed::NATIVE, _) => Err(self.mismatch(&visitor)),
            _ => visitor.visit_newtype_struct(self.step()?),
        }
    }
}

macro_rules! integers {
    ($($method:ident)*) => {
        $(#[inline]
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
            self.integer(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for Source<'de> {
    type Error = DecodeError;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.term.view() {
            View::Int(_) | View::BigInt(_) => self.integer(visitor),
            View::Float(value) => visitor.visit_f64(value),
            View::Atom(atoms::TRUE) => visitor.visit_bool(true),
            View::Atom(atoms::FALSE) => visitor.visit_bool(false),
            View::Atom(atoms::NIL | atoms::UNDEFINED) => visitor.visit_none(),
            View::Atom(_) => self.text(visitor),
            // As text, so that a number and a pid stay apart where serde buffers.
            View::Pid(pid) => visitor.visit_string(pid.to_string()),
            View::Ref(reference) => visitor.visit_string(reference.to_string()),
            View::Port(port) => visitor.visit_string(port.to_string()),
            View::ExternalPid(_)
            | View::ExternalPort(_)
            | View::ExternalRef(_)
            | View::Export(_)
            | View::Bits(_) => visitor.visit_string(self.term.to_string()),
            View::Tuple(_) | View::Nil | View::Cons(_) => self.elements(visitor),
            View::Map(_) => self.pairs(visitor),
            View::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => visitor.visit_borrowed_str(text),
                Err(_) => visitor.visit_borrowed_bytes(bytes),
            },
            View::Native => self.lend(visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.term.as_atom() {
            Some(atoms::TRUE) => visitor.visit_bool(true),
            Some(atoms::FALSE) => visitor.visit_bool(false),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.term.view() {
            View::Float(value) => visitor.visit_f64(value),
            _ => self.integer(visitor),
        }
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let character = self
            .term
            .as_i64()
            .and_then(|value| u32::try_from(value).ok());
        match character.and_then(char::from_u32) {
            Some(character) => visitor.visit_char(character),
            None => self.text(visitor),
        }
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.text(visitor)
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.text(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.term.as_binary() {
            Some(bytes) => visitor.visit_borrowed_bytes(bytes),
            None => self.elements(visitor),
        }
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        if self.is_none() {
            visitor.visit_none()
        } else {
            visitor.visit_some(self.step()?)
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        match self.term.as_atom() {
            Some(atoms::OK) => visitor.visit_unit(),
            _ => Err(self.mismatch(&visitor)),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        let expected = atom_cache::variant(name).map_err(DecodeError::custom)?;
        if self.term.as_atom() == Some(expected) {
            return visitor.visit_unit();
        }
        Err(self.mismatch(&visitor))
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        if embed::is_embedding(name) {
            return self.embedded(name, visitor);
        }
        visitor.visit_newtype_struct(self.step()?)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.elements(visitor)
    }

    #[inline]
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.term.as_tuple() {
            Some(tuple) if tuple.len() == len => {
                SeqSource::new(tuple.iter(), len, self.depth).visit(visitor)
            }
            Some(_) => Err(self.mismatch(&visitor)),
            None => self.list_or_bytes(visitor),
        }
    }

    #[inline]
    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.deserialize_tuple(len, visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        self.pairs(visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.pairs(visitor)
    }

    #[inline]
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match EnumSource::new(self, name, variants) {
            Some(source) => source.visit(visitor),
            None => Err(self.mismatch(&visitor)),
        }
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        // For a `flatten` that collects such keys. A field's number would come by `visit_u64`.
        if self.term.word().tag() == INTEGER {
            return visitor.visit_i64(self.term.word().small_value());
        }
        self.text(visitor)
    }

    #[inline]
    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        visitor.visit_unit()
    }
}
