//! Pids, references, ports and atoms as words: each comes wrapped in a name of its own.

use serde::ser::{Impossible, Serialize, Serializer};

use crate::word::Word;
use crate::{EncodeError, Pid, Port, Ref, atom_cache};

/// Reads the payload of an immediate that embeds itself (see [`crate::embed`]).
#[derive(Clone, Copy)]
pub(super) enum Extract {
    Pid,
    Reference,
    Port,
    Atom,
}

impl Extract {
    fn refuse(self) -> EncodeError {
        EncodeError::Message("a name of otp_heap's own wraps another value".into())
    }
}

macro_rules! refuse {
    ($($method:ident($($argument:ty),*) -> $result:ty;)*) => {
        $(fn $method(self, $(_: $argument),*) -> Result<$result, EncodeError> {
            Err(self.refuse())
        })*
    };
}

impl Serializer for Extract {
    type Ok = Word;
    type Error = EncodeError;
    type SerializeSeq = Impossible<Word, EncodeError>;
    type SerializeTuple = Impossible<Word, EncodeError>;
    type SerializeTupleStruct = Impossible<Word, EncodeError>;
    type SerializeTupleVariant = Impossible<Word, EncodeError>;
    type SerializeMap = Impossible<Word, EncodeError>;
    type SerializeStruct = Impossible<Word, EncodeError>;
    type SerializeStructVariant = Impossible<Word, EncodeError>;

    #[inline]
    fn is_human_readable(&self) -> bool {
        false
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result<Word, EncodeError> {
        match self {
            Extract::Pid => Ok(Word::pid(Pid::from_u64(value))),
            Extract::Reference => Ok(Word::reference(Ref::from_u64(value))),
            Extract::Port => Ok(Word::port(Port::from_u64(value))),
            Extract::Atom => Err(self.refuse()),
        }
    }

    #[inline]
    fn serialize_str(self, value: &str) -> Result<Word, EncodeError> {
        match self {
            Extract::Atom => Ok(Word::atom(atom_cache::text(value)?)),
            Extract::Pid | Extract::Reference | Extract::Port => Err(self.refuse()),
        }
    }

    refuse! {
        serialize_bool(bool) -> Word;
        serialize_i8(i8) -> Word;
        serialize_i16(i16) -> Word;
        serialize_i32(i32) -> Word;
        serialize_i64(i64) -> Word;
        serialize_u8(u8) -> Word;
        serialize_u16(u16) -> Word;
        serialize_u32(u32) -> Word;
        serialize_f32(f32) -> Word;
        serialize_f64(f64) -> Word;
        serialize_char(char) -> Word;
        serialize_bytes(&[u8]) -> Word;
        serialize_none() -> Word;
        serialize_unit() -> Word;
        serialize_unit_struct(&'static str) -> Word;
        serialize_unit_variant(&'static str, u32, &'static str) -> Word;
        serialize_seq(Option<usize>) -> Self::SerializeSeq;
        serialize_tuple(usize) -> Self::SerializeTuple;
        serialize_tuple_struct(&'static str, usize) -> Self::SerializeTupleStruct;
        serialize_tuple_variant(&'static str, u32, &'static str, usize) -> Self::SerializeTupleVariant;
        serialize_map(Option<usize>) -> Self::SerializeMap;
        serialize_struct(&'static str, usize) -> Self::SerializeStruct;
        serialize_struct_variant(&'static str, u32, &'static str, usize) -> Self::SerializeStructVariant;
    }

    fn serialize_some<T: Serialize + ?Sized>(self, _: &T) -> Result<Word, EncodeError> {
        Err(self.refuse())
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: &T,
    ) -> Result<Word, EncodeError> {
        Err(self.refuse())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<Word, EncodeError> {
        Err(self.refuse())
    }
}
