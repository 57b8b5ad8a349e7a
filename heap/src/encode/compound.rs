//! The compound serializers: lists, tuples, maps, structs.
//!
//! Each one keeps the depth that it stands at and sets it again before each element: an element
//! whose failure the value swallowed leaves no trace in the count.

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant,
};

use super::shape::{self, Order};
use super::{Encoder, FLAT_PAIRS_MAX};
use crate::word::{CONS, MAP, TUPLE, Word};
use crate::{Atom, EncodeError, atom_cache, map_change};

#[derive(Debug)]
pub(crate) struct ListEncoder<'a> {
    encoder: &'a mut Encoder,
    first: Word,
    last: Option<u32>,
    depth: u32,
}

impl<'a> ListEncoder<'a> {
    #[inline]
    pub(crate) fn new(encoder: &'a mut Encoder) -> Result<ListEncoder<'a>, EncodeError> {
        encoder.enter()?;
        let depth = encoder.depth;
        Ok(ListEncoder {
            encoder,
            first: Word::NIL,
            last: None,
            depth,
        })
    }
}

impl SerializeSeq for ListEncoder<'_> {
    type Ok = Word;
    type Error = EncodeError;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.encoder.depth = self.depth;
        let head = value.serialize(&mut *self.encoder)?;
        let offset = self.encoder.space.push([head, Word::NIL])?;
        let cell = Word::boxed(CONS, offset);
        match self.last {
            None => self.first = cell,
            Some(last) => self.encoder.space.set(last + 1, cell),
        }
        self.last = Some(offset);
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<Word, EncodeError> {
        self.encoder.depth = self.depth - 1;
        Ok(self.first)
    }
}

#[derive(Debug)]
pub(crate) struct TupleEncoder<'a> {
    encoder: &'a mut Encoder,
    offset: u32,
    // The last element written, 0 for none; elements follow the header.
    written: u32,
    tags: u32,
    len: u32,
    depth: u32,
}

impl<'a> TupleEncoder<'a> {
    /// For a tuple already made, whose first `tags` elements are written.
    #[inline]
    pub(crate) fn new(
        encoder: &'a mut Encoder,
        offset: u32,
        tags: u32,
        len: usize,
    ) -> Result<TupleEncoder<'a>, EncodeError> {
        encoder.enter()?;
        let depth = encoder.depth;
        Ok(TupleEncoder {
            encoder,
            offset,
            written: tags,
            tags,
            len: len as u32 + tags,
            depth,
        })
    }

    #[inline]
    fn element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        if self.written == self.len {
            return Err(self.wrong_length(1));
        }
        self.encoder.depth = self.depth;
        let word = value.serialize(&mut *self.encoder)?;
        self.written += 1;
        self.encoder.space.set(self.offset + self.written, word);
        Ok(())
    }

    #[inline]
    fn finish(self) -> Result<Word, EncodeError> {
        if self.written != self.len {
            return Err(self.wrong_length(0));
        }
        self.encoder.depth = self.depth - 1;
        Ok(Word::boxed(TUPLE, self.offset))
    }

    #[cold]
    fn wrong_length(&self, excess: usize) -> EncodeError {
        EncodeError::Length {
            announced: (self.len - self.tags) as usize,
            given: (self.written - self.tags) as usize + excess,
        }
    }
}

#[derive(Debug)]
pub(crate) struct MapEncoder<'a> {
    encoder: &'a mut Encoder,
    // Where this map's pairs begin in the encoder's stack of pairs.
    start: usize,
    count: usize,
    key: Option<Word>,
    depth: u32,
}

impl<'a> MapEncoder<'a> {
    #[inline]
    pub(crate) fn new(encoder: &'a mut Encoder) -> Result<MapEncoder<'a>, EncodeError> {
        encoder.enter()?;
        let (start, depth) = (encoder.pairs.len(), encoder.depth);
        Ok(MapEncoder {
            encoder,
            start,
            count: 0,
            key: None,
            depth,
        })
    }
}

impl SerializeMap for MapEncoder<'_> {
    type Ok = Word;
    type Error = EncodeError;

    #[inline]
    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), EncodeError> {
        self.encoder.depth = self.depth;
        self.key = Some(key.serialize(&mut *self.encoder)?);
        Ok(())
    }

    #[inline]
    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), EncodeError> {
        self.encoder.depth = self.depth;
        let value = value.serialize(&mut *self.encoder)?;
        let Some(key) = self.key.take() else {
            return Err(EncodeError::Message(
                "a map gave a value before its key".into(),
            ));
        };
        // Pairs of an inner map that was given up half way would stand between ours.
        self.encoder.pairs.truncate(self.start + self.count);
        self.encoder.pairs.push((key, value));
        self.count += 1;
        Ok(())
    }

    #[inline]
    fn end(self) -> Result<Word, EncodeError> {
        self.encoder.depth = self.depth - 1;
        self.encoder.pairs.truncate(self.start + self.count);
        self.encoder.map_from_pairs(self.start)
    }
}

impl Encoder {
    /// Makes a map of the pairs on the stack from `start` on; the last of equal keys counts.
    pub(crate) fn map_from_pairs(&mut self, start: usize) -> Result<Word, EncodeError> {
        let map = map_change::make(&mut self.space, &mut self.pairs, start);
        self.pairs.truncate(start);
        Ok(map?)
    }
}

#[derive(Debug)]
pub(crate) struct StructEncoder<'a> {
    encoder: &'a mut Encoder,
    name: &'static str,
    // Offset of the map; of a wide struct, where its pairs begin in the encoder's stack of pairs.
    offset: u32,
    written: u32,
    len: u32,
    order: Order,
    // The tuple of a struct variant.
    variant: Option<u32>,
    depth: u32,
}

impl<'a> StructEncoder<'a> {
    #[inline]
    pub(crate) fn new(
        encoder: &'a mut Encoder,
        name: &'static str,
        len: usize,
        variant: Option<u32>,
    ) -> Result<StructEncoder<'a>, EncodeError> {
        let len = encoder.length(len)?;
        let offset = if len > FLAT_PAIRS_MAX {
            encoder.length(encoder.pairs.len())?
        } else {
            encoder.open_map(len)?
        };
        encoder.enter()?;
        let (depth, order) = (encoder.depth, shape::expected(name, len));
        Ok(StructEncoder {
            encoder,
            name,
            offset,
            written: 0,
            len,
            order,
            variant,
            depth,
        })
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(
        &mut self,
        name: &'static str,
        value: &T,
    ) -> Result<(), EncodeError> {
        if self.written == self.len {
            return Err(self.wrong_length(1));
        }
        let atom = atom_cache::field(name)?;
        self.encoder.depth = self.depth;
        let value = value.serialize(&mut *self.encoder)?;
        if self.is_wide() {
            self.wide_field(atom, value);
            return Ok(());
        }
        let place = self.offset + 1 + self.order.slot(self.written);
        self.encoder.space.set(place, Word::atom(atom));
        self.encoder.space.set(place + self.len, value);
        self.written += 1;
        Ok(())
    }

    #[inline]
    fn finish(self) -> Result<Word, EncodeError> {
        if self.written != self.len {
            return Err(self.wrong_length(0));
        }
        let map = if self.is_wide() {
            self.encoder.wide_struct(self.offset, self.len)?
        } else {
            let space = &self.encoder.space;
            let keys = (1..=self.len).map(|slot| key(space.get(self.offset + slot)));
            if !shape::is_known(self.name, self.len, keys) {
                self.encoder
                    .sort_struct(self.name, self.offset, self.len, self.order)?;
            }
            Word::boxed(MAP, self.offset)
        };
        self.encoder.depth = self.depth - 1;
        match self.variant {
            None => Ok(map),
            Some(tuple) => {
                self.encoder.leave();
                self.encoder.space.set(tuple + 2, map);
                Ok(Word::boxed(TUPLE, tuple))
            }
        }
    }

    /// Whether the map is a trie, which is made once all fields are known.
    #[inline]
    fn is_wide(&self) -> bool {
        self.len > FLAT_PAIRS_MAX
    }

    #[cold]
    fn wide_field(&mut self, atom: Atom, value: Word) {
        let pairs = &mut self.encoder.pairs;
        // As in `MapEncoder`: what an inner map left.
        pairs.truncate((self.offset + self.written) as usize);
        pairs.push((Word::atom(atom), value));
        self.written += 1;
    }

    #[cold]
    fn wrong_length(&self, excess: usize) -> EncodeError {
        EncodeError::Length {
            announced: self.len as usize,
            given: self.written as usize + excess,
        }
    }
}

/// The atom of a key of a struct.
#[inline]
fn key(word: Word) -> Atom {
    Atom::from_index(word.payload() as u32)
}

impl Encoder {
    /// The map of a struct over 32 fields, whose pairs begin at `start`.
    #[cold]
    fn wide_struct(&mut self, start: u32, len: u32) -> Result<Word, EncodeError> {
        let start = start as usize;
        self.pairs.truncate(start + len as usize);
        let mut names: Vec<_> = self.pairs[start..].iter().map(|pair| key(pair.0)).collect();
        names.sort_unstable_by_key(|name| name.index());
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(field_twice(twice[0]));
        }
        self.map_from_pairs(start)
    }

    /// Brings the fields of a struct into key order, and remembers it.
    #[cold]
    fn sort_struct(
        &mut self,
        name: &'static str,
        offset: u32,
        len: u32,
        order: Order,
    ) -> Result<(), EncodeError> {
        let space = &mut self.space;
        let at = |field: u32| offset + 1 + order.slot(field);
        let declared: Vec<_> = (0..len)
            .map(|field| (key(space.get(at(field))), space.get(at(field) + len)))
            .collect();
        let mut sorted = declared.clone();
        sorted.sort_by_key(|pair| pair.0);
        for ((atom, value), place) in sorted.iter().zip(offset + 1..) {
            space.set(place, Word::atom(*atom));
            space.set(place + len, *value);
        }
        if let Some(twice) = sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(field_twice(twice[0].0));
        }
        let atoms = |pairs: &[(Atom, Word)]| pairs.iter().map(|pair| pair.0).collect::<Vec<_>>();
        shape::learn(name, &atoms(&declared), &atoms(&sorted));
        Ok(())
    }
}

fn field_twice(name: Atom) -> EncodeError {
    EncodeError::Message(format!("a struct has the field {name} twice").into())
}

/// serde has a trait for each kind of tuple and of struct, alike but for the names.
macro_rules! compound {
    ($($trait:ident for $encoder:ident: $method:ident => $inner:ident($($name:ident: $type:ty)?);)*) => {
        $(impl $trait for $encoder<'_> {
            type Ok = Word;
            type Error = EncodeError;

            #[inline]
            fn $method<T: Serialize + ?Sized>(
                &mut self,
                $($name: $type,)?
                value: &T,
            ) -> Result<(), EncodeError> {
                self.$inner($($name,)? value)
            }

            #[inline]
            fn end(self) -> Result<Word, EncodeError> {
                self.finish()
            }
        })*
    };
}

compound! {
    SerializeTuple for TupleEncoder: serialize_element => element();
    SerializeTupleStruct for TupleEncoder: serialize_field => element();
    SerializeTupleVariant for TupleEncoder: serialize_field => element();
    SerializeStruct for StructEncoder: serialize_field => field(name: &'static str);
    SerializeStructVariant for StructEncoder: serialize_field => field(name: &'static str);
}
