//! What a key's row holds.
//!
//! | type | row in `kv_data` | further rows in `kv_elements` |
//! | --- | --- | --- |
//! | string | `{Key, {ExpiresAt, Bytes}}` | |
//! | list | `{Key, {list, ExpiresAt, Id, Head, Length}}` | `{{Id, Index}, Bytes}` for each index from `Head` on |
//! | set | `{Key, {set, ExpiresAt, Id, Length}}` | `{{Id, Slot}, Member}` for each slot from 0 on, `{{Id, Member}, Slot}` |
//! | hash | `{Key, {hash, ExpiresAt, Id, Length}}` | `{{Id, Field}, Value}` |
//!
//! `ExpiresAt` is the time in milliseconds since 1970, 0 for never. `Id` names a container and is never used again, so
//! a reader with an old id finds rows of the old container or none, never those of another one.

use std::sync::LazyLock;

use otp_vm::{Atom, Term, View};
use serde::ser::SerializeTuple;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Bytes that are a binary as a term, borrowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes<'a>(pub &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bytes<'a>, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Bytes<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a binary")
            }

            fn visit_borrowed_bytes<E: de::Error>(self, bytes: &'de [u8]) -> Result<Bytes<'de>, E> {
                Ok(Bytes(bytes))
            }
        }
        deserializer.deserialize_bytes(Visitor)
    }
}

/// The second part of an element's key. Numbers come before binaries in the term order.
#[derive(Clone, Copy, Debug)]
pub enum Part<'a> {
    /// A list's index or a set's slot.
    Number(i64),
    /// A set's member or a hash's field.
    Bytes(&'a [u8]),
}

impl Part<'_> {
    /// Before every other part. Indexes stay far above: a list would need as many pushes to get there.
    pub const FIRST: Part<'static> = Part::Number(-(1 << 58));
}

impl Serialize for Part<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Part::Number(number) => serializer.serialize_i64(*number),
            Part::Bytes(bytes) => serializer.serialize_bytes(bytes),
        }
    }
}

/// The type of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    String,
    /// Elements by index.
    List,
    /// Members without order.
    Set,
    /// Values by field.
    Hash,
}

impl Kind {
    /// The name that TYPE gives.
    pub fn name(self) -> &'static str {
        match self {
            Kind::String => "string",
            Kind::List => "list",
            Kind::Set => "set",
            Kind::Hash => "hash",
        }
    }

    fn atom(self) -> Atom {
        KINDS[self as usize]
    }
}

static KINDS: LazyLock<[Atom; 4]> = LazyLock::new(|| {
    [Kind::String, Kind::List, Kind::Set, Kind::Hash]
        .map(|kind| Atom::new(kind.name()).expect("four atoms more than the VM's own"))
});

/// A list, set or hash: its head row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Container {
    /// Which of them.
    pub kind: Kind,
    /// Its number, never used for another one.
    pub id: i64,
    /// Where a list begins; 0 for the others.
    pub head: i64,
    /// How many elements it has.
    pub length: i64,
}

/// A key's value, as far as its own row knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// The bytes of a string.
    String(&'a [u8]),
    /// The head of a container.
    Container(Container),
}

impl<'a> Value<'a> {
    /// The type.
    pub fn kind(self) -> Kind {
        match self {
            Value::String(_) => Kind::String,
            Value::Container(container) => container.kind,
        }
    }
}

/// A key's row without its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<'a> {
    /// When it ends, in milliseconds since 1970; 0 for never.
    pub expires_at: i64,
    /// What it is.
    pub value: Value<'a>,
}

impl<'a> Entry<'a> {
    /// A string.
    pub fn string(bytes: &'a [u8], expires_at: i64) -> Entry<'a> {
        Entry {
            expires_at,
            value: Value::String(bytes),
        }
    }

    /// Reads a row's value. `None` for what this server does not write.
    pub fn read(term: Term<'a>) -> Option<Entry<'a>> {
        let tuple = term.as_tuple()?;
        if tuple.len() == 2 {
            return Some(Entry::string(
                tuple.get(1)?.as_binary()?,
                tuple.get(0)?.as_i64()?,
            ));
        }
        let tag = tuple.get(0)?.as_atom()?;
        let expires_at = tuple.get(1)?.as_i64()?;
        let kinds = &*KINDS;
        let id = tuple.get(2)?.as_i64()?;
        let third = tuple.get(3)?.as_i64()?;
        let container = if tag == kinds[Kind::List as usize] {
            Container {
                kind: Kind::List,
                id,
                head: third,
                length: tuple.get(4)?.as_i64()?,
            }
        } else if tag == kinds[Kind::Set as usize] {
            Container {
                kind: Kind::Set,
                id,
                head: 0,
                length: third,
            }
        } else if tag == kinds[Kind::Hash as usize] {
            Container {
                kind: Kind::Hash,
                id,
                head: 0,
                length: third,
            }
        } else {
            return None;
        };
        Some(Entry {
            expires_at,
            value: Value::Container(container),
        })
    }

    /// Whether it has ended at `now`, in milliseconds since 1970.
    pub fn is_expired(&self, now: i64) -> bool {
        self.expires_at != 0 && self.expires_at <= now
    }
}

impl Serialize for Entry<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::String(bytes) => (self.expires_at, Bytes(bytes)).serialize(serializer),
            Value::Container(Container {
                kind,
                id,
                head,
                length,
            }) => {
                let is_list = kind == Kind::List;
                let mut tuple = serializer.serialize_tuple(if is_list { 5 } else { 4 })?;
                tuple.serialize_element(&kind.atom())?;
                tuple.serialize_element(&self.expires_at)?;
                tuple.serialize_element(&id)?;
                if is_list {
                    tuple.serialize_element(&head)?;
                }
                tuple.serialize_element(&length)?;
                tuple.end()
            }
        }
    }
}

/// The bytes of a binary in a row.
pub fn binary(term: Term<'_>) -> Option<&[u8]> {
    match term.view() {
        View::Binary(bytes) => Some(bytes),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use otp_vm::to_term;

    use super::*;

    #[test]
    fn rows_are_read_as_they_were_written() {
        let container = |kind, head| {
            Value::Container(Container {
                kind,
                id: 7,
                head,
                length: 3,
            })
        };
        for value in [
            Value::String(b"bytes"),
            Value::String(&[7; 100]),
            container(Kind::List, -5),
            container(Kind::Set, 0),
            container(Kind::Hash, 0),
        ] {
            let entry = Entry {
                expires_at: 1_700_000_000_000,
                value,
            };
            let term = to_term(&entry).unwrap();
            assert_eq!(Entry::read(term.root()), Some(entry));
        }
        assert_eq!(Entry::read(to_term(&(1, 2, 3)).unwrap().root()), None);
    }

    #[test]
    fn what_never_expires_is_not_expired() {
        assert!(!Entry::string(b"", 0).is_expired(i64::MAX));
        assert!(Entry::string(b"", 5).is_expired(5));
        assert!(!Entry::string(b"", 5).is_expired(4));
    }
}
