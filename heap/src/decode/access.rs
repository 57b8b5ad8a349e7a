//! Elements, pairs and variants for a visitor. Paths are added on the way of an error only.

use serde::de::value::{BorrowedStrDeserializer, UnitDeserializer};
use serde::de::{self, DeserializeSeed, EnumAccess, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::Source;
use crate::error::Step;
use crate::map::{Map, MapIter};
use crate::term::{Term, Tuple};
use crate::{Atom, DecodeError, DecodeErrorKind, atom_cache, atoms};

pub(super) struct SeqSource<I> {
    terms: I,
    index: usize,
    len: usize,
    depth: u32,
}

impl<'de, I: Iterator<Item = Term<'de>>> SeqSource<I> {
    /// Of `len` terms.
    #[inline]
    pub(super) fn new(terms: I, len: usize, depth: u32) -> SeqSource<I> {
        SeqSource {
            terms,
            index: 0,
            len,
            depth,
        }
    }

    /// Visits the elements; it is an error if the visitor leaves some over.
    #[inline]
    pub(super) fn visit<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, DecodeError> {
        super::bounded(self.depth)?;
        let value = visitor.visit_seq(&mut self)?;
        if self.index < self.len {
            return Err(self.left_over());
        }
        Ok(value)
    }

    #[cold]
    fn left_over(&self) -> DecodeError {
        DecodeError::new(DecodeErrorKind::Mismatch {
            expected: format!("{} elements", self.index).into(),
            found: format!("{} elements", self.len).into(),
        })
    }
}

impl<'de, I: Iterator<Item = Term<'de>>> SeqAccess<'de> for &mut SeqSource<I> {
    type Error = DecodeError;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, DecodeError> {
        let Some(term) = self.terms.next() else {
            return Ok(None);
        };
        let index = self.index;
        self.index += 1;
        match seed.deserialize(Source {
            term,
            depth: self.depth + 1,
        }) {
            Ok(value) => Ok(Some(value)),
            Err(error) => Err(error.at(Step::Index(index))),
        }
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.len - self.index)
    }
}

pub(super) struct MapSource<'de> {
    pairs: MapIter<'de>,
    // The pair whose key was given last.
    key: Option<Term<'de>>,
    value: Option<Term<'de>>,
    depth: u32,
}

impl<'de> MapSource<'de> {
    #[inline]
    pub(super) fn new(map: Map<'de>, depth: u32) -> MapSource<'de> {
        MapSource {
            pairs: map.iter(),
            key: None,
            value: None,
            depth,
        }
    }

    #[inline]
    pub(super) fn visit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        super::bounded(self.depth)?;
        visitor.visit_map(self)
    }

    #[cold]
    fn at_key(&self, error: DecodeError) -> DecodeError {
        let Some(key) = self.key else { return error };
        error.at(Step::Name(match (key.as_atom(), key.as_str()) {
            (Some(atom), _) => atom.as_str().into(),
            (_, Some(text)) => text.into(),
            _ => key.display_limited(super::FOUND_BYTES).to_string().into(),
        }))
    }
}

impl<'de> MapAccess<'de> for MapSource<'de> {
    type Error = DecodeError;

    #[inline]
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, DecodeError> {
        let Some((key, value)) = self.pairs.next() else {
            return Ok(None);
        };
        self.key = Some(key);
        self.value = Some(value);
        let source = Source {
            term: key,
            depth: self.depth + 1,
        };
        seed.deserialize(source)
            .map(Some)
            .map_err(|error| self.at_key(error))
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        let Some(term) = self.value.take() else {
            return Err(de::Error::custom(
                "a map's value was asked for before its key",
            ));
        };
        let source = Source {
            term,
            depth: self.depth + 1,
        };
        seed.deserialize(source).map_err(|error| self.at_key(error))
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.pairs.len())
    }
}

/// A variant before its name is known.
pub(super) struct EnumSource<'de> {
    source: Source<'de>,
    name: &'static str,
    variants: &'static [&'static str],
    atom: Atom,
}

impl<'de> EnumSource<'de> {
    #[inline]
    pub(super) fn new(
        source: Source<'de>,
        name: &'static str,
        variants: &'static [&'static str],
    ) -> Option<EnumSource<'de>> {
        let atom = match source.term.as_tuple() {
            Some(tuple) => tuple.get(0)?.as_atom()?,
            None => source.term.as_atom()?,
        };
        Some(EnumSource {
            source,
            name,
            variants,
            atom,
        })
    }

    #[inline]
    pub(super) fn visit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, DecodeError> {
        let atom = self.atom;
        visitor
            .visit_enum(self)
            .map_err(|error| error.at(Step::Name(atom.as_str().into())))
    }

    #[inline]
    fn is_result(&self) -> bool {
        self.name == "Result"
    }

    /// The Rust name of the variant, or the atom's own for a type that takes unknown ones.
    #[inline]
    fn variant_name(&self) -> &'static str {
        if self.atom == atoms::ERROR && self.is_result() {
            return "Err";
        }
        match atom_cache::find_variant(self.variants, self.atom) {
            Some(index) => self.variants[index],
            None => self.atom.as_str(),
        }
    }
}

impl<'de> EnumAccess<'de> for EnumSource<'de> {
    type Error = DecodeError;
    type Variant = VariantSource<'de>;

    #[inline]
    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, VariantSource<'de>), DecodeError> {
        let value = seed.deserialize(BorrowedStrDeserializer::<DecodeError>::new(
            self.variant_name(),
        ))?;
        let payload = VariantSource {
            source: self.source,
            is_result: self.is_result(),
        };
        Ok((value, payload))
    }
}

/// What a variant holds: an atom alone, or a tuple that begins with it.
///
/// Little, since it is copied on the way.
pub(super) struct VariantSource<'de> {
    source: Source<'de>,
    is_result: bool,
}

impl<'de> VariantSource<'de> {
    #[inline]
    fn tuple(&self) -> Option<Tuple<'de>> {
        self.source.term.as_tuple()
    }

    /// The variant's one value.
    #[inline]
    fn one(&self) -> Result<Source<'de>, DecodeError> {
        super::bounded(self.source.depth)?;
        let payload = self.tuple().filter(|tuple| tuple.len() == 2);
        match payload.and_then(|tuple| tuple.get(1)) {
            Some(term) => Ok(self.source.below(term)),
            None => Err(self.source.mismatch(&"a variant with one value")),
        }
    }
}

impl<'de> VariantAccess<'de> for VariantSource<'de> {
    type Error = DecodeError;

    #[inline]
    fn unit_variant(self) -> Result<(), DecodeError> {
        match self.tuple() {
            None => Ok(()),
            Some(_) => Err(self.source.mismatch(&"a variant without values")),
        }
    }

    #[inline]
    fn newtype_variant_seed<T: DeserializeSeed<'de>>(
        self,
        seed: T,
    ) -> Result<T::Value, DecodeError> {
        if self.is_result && self.tuple().is_none() {
            // A bare `ok` stands for `{ok, ok}`.
            return seed.deserialize(UnitDeserializer::<DecodeError>::new());
        }
        seed.deserialize(self.one()?)
    }

    #[inline]
    fn tuple_variant<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        match self.tuple() {
            Some(tuple) if tuple.len() == len + 1 => {
                SeqSource::new(tuple.iter_from(1), len, self.source.depth).visit(visitor)
            }
            _ => Err(self.source.mismatch(&visitor)),
        }
    }

    #[inline]
    fn struct_variant<V: Visitor<'de>>(
        self,
        _fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, DecodeError> {
        self.one()?.pairs(visitor)
    }
}
