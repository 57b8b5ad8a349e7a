//! Shared binaries.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::{Deref, RangeBounds};

use serde::de::{self, Deserialize, Deserializer, SeqAccess, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::loan::{self, Loan};
use crate::off_heap::SharedBytes;
use crate::{embed, text};

/// Bytes that are shared and counted: a clone, a part, and a passage through a message of more
/// than 64 bytes cost no copy.
///
/// A part keeps the whole alive, as in OTP; `Binary::from(&part[..])` copies it out
/// (`binary:copy/1`).
#[derive(Clone)]
pub struct Binary(SharedBytes);

impl Binary {
    /// A part of the same bytes, not copied.
    ///
    /// # Panics
    ///
    /// If the range does not lie inside.
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Binary {
        let part = &self[(range.start_bound().cloned(), range.end_bound().cloned())];
        let start = part.as_ptr().addr() - self.as_ptr().addr();
        Binary(self.0.part(start, part.len()))
    }

    /// References to these bytes at this moment, those in messages included.
    pub fn reference_count(&self) -> usize {
        self.0.count()
    }

    /// Whether two binaries are the same bytes in memory.
    pub fn ptr_eq(&self, other: &Binary) -> bool {
        self.0.same(&other.0)
    }

    pub(crate) fn from_shared(shared: SharedBytes) -> Binary {
        Binary(shared)
    }

    pub(crate) fn shared(&self) -> &SharedBytes {
        &self.0
    }
}

impl Deref for Binary {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        self.0.bytes()
    }
}

impl AsRef<[u8]> for Binary {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// Takes the bytes over where they are.
impl From<Vec<u8>> for Binary {
    fn from(bytes: Vec<u8>) -> Binary {
        Binary(SharedBytes::taken_over(bytes))
    }
}

/// Takes the bytes over where they are.
impl From<String> for Binary {
    fn from(text: String) -> Binary {
        Binary::from(text.into_bytes())
    }
}

/// Copies the bytes once.
impl From<&[u8]> for Binary {
    fn from(bytes: &[u8]) -> Binary {
        Binary(SharedBytes::copied(bytes))
    }
}

/// Copies the bytes once.
impl From<&str> for Binary {
    fn from(text: &str) -> Binary {
        Binary::from(text.as_bytes())
    }
}

impl Default for Binary {
    fn default() -> Binary {
        Binary::from(&[][..])
    }
}

impl PartialEq for Binary {
    fn eq(&self, other: &Binary) -> bool {
        **self == **other
    }
}

impl Eq for Binary {}

impl PartialOrd for Binary {
    fn partial_cmp(&self, other: &Binary) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Binary {
    fn cmp(&self, other: &Binary) -> Ordering {
        (**self).cmp(&**other)
    }
}

impl Hash for Binary {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// Erlang syntax: `<<"text">>` or `<<1,2,255>>`.
impl fmt::Display for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::print::write_binary(self, f)
    }
}

impl fmt::Debug for Binary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

struct Bytes<'a>(&'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

/// By reference into a VM message; as bytes into a foreign format.
impl Serialize for Binary {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let payload = Bytes(self);
        loan::lend(Loan::Binary(self), || {
            serializer.serialize_newtype_struct(embed::BINARY, &payload)
        })
        .0
    }
}

impl<'de> Deserialize<'de> for Binary {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Binary, D::Error> {
        deserializer.deserialize_newtype_struct(embed::BINARY, BinaryVisitor)
    }
}

struct BinaryVisitor;

impl<'de> Visitor<'de> for BinaryVisitor {
    type Value = Binary;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a binary")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Binary, E> {
        loan::take_source(|term| term.to_binary())
            .flatten()
            .ok_or_else(|| E::invalid_type(de::Unexpected::Unit, &self))
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<Binary, E> {
        Ok(Binary::from(bytes))
    }

    fn visit_byte_buf<E: de::Error>(self, bytes: Vec<u8>) -> Result<Binary, E> {
        Ok(Binary::from(bytes))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Binary, E> {
        Ok(Binary::from(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Binary, A::Error> {
        let mut bytes = Vec::new();
        while let Some(byte) = elements.next_element()? {
            bytes.push(byte);
        }
        Ok(Binary::from(bytes))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Binary, D::Error> {
        inner.deserialize_byte_buf(self)
    }
}
