//! Terms that own their block: comparisons, and the passage of raw terms through serde.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, SerializeMap, SerializeSeq, SerializeTuple, Serializer};

use crate::loan::{self, Loan};
use crate::term::{Term, View};
use crate::{Atom, Block, CopyError, DEPTH_MAX, OwnedTerm, embed};

impl OwnedTerm {
    /// A copy of the block. Shared binaries are counted, not copied.
    ///
    /// # Errors
    ///
    /// [`CopyError::Native`] if the term holds a native resource.
    pub fn try_clone(&self) -> Result<OwnedTerm, CopyError> {
        Block::copy_of((), self.root())
    }
}

impl From<Atom> for OwnedTerm {
    fn from(atom: Atom) -> OwnedTerm {
        Block::of_atom((), atom)
    }
}

impl<H> PartialEq for Block<H> {
    fn eq(&self, other: &Block<H>) -> bool {
        self.has_words_of(other) || self.root() == other.root()
    }
}

impl<H> Eq for Block<H> {}

impl<H> PartialOrd for Block<H> {
    fn partial_cmp(&self, other: &Block<H>) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// By the terms alone, as [`Term`]; headers do not count.
impl<H> Ord for Block<H> {
    fn cmp(&self, other: &Block<H>) -> Ordering {
        if self.has_words_of(other) {
            return Ordering::Equal;
        }
        self.root().cmp(&other.root())
    }
}

impl<H> Hash for Block<H> {
    fn hash<S: Hasher>(&self, state: &mut S) {
        self.root().hash(state);
    }
}

impl<H> fmt::Display for Block<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.root(), f)
    }
}

impl<H> fmt::Debug for Block<H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.root(), f)
    }
}

/// A copy of the term into a VM message; its structure into a foreign format.
impl Serialize for Term<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let structure = Structure(*self, 0);
        loan::lend(Loan::Term(*self), || {
            serializer.serialize_newtype_struct(embed::TERM, &structure)
        })
        .0
    }
}

impl<H> Serialize for Block<H> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.root().serialize(serializer)
    }
}

/// A term in serde's own data model, for formats that know no terms; and the levels above it, which serde recurses
/// over.
struct Structure<'h>(Term<'h>, u32);

impl Serialize for Structure<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let view = self.0.view();
        // What is a level to the encoder is one here: an empty compound, too.
        let is_level = matches!(
            view,
            View::Tuple(_) | View::Nil | View::Cons(_) | View::Map(_)
        );
        if is_level && self.1 >= DEPTH_MAX {
            return Err(serde::ser::Error::custom(format_args!(
                "the term nests deeper than {DEPTH_MAX} levels: make it flatter, or use a list's tail"
            )));
        }
        let below = |term| Structure(term, self.1 + 1);
        match view {
            View::Int(value) => serializer.serialize_i64(value),
            View::BigInt(big) => match (big.to_i128(), big.magnitude()) {
                (Some(value), _) => serializer.serialize_i128(value),
                (None, Some(value)) if !big.is_negative() => serializer.serialize_u128(value),
                _ => serializer.collect_str(&big),
            },
            View::Float(value) => serializer.serialize_f64(value),
            View::Atom(crate::atoms::TRUE) => serializer.serialize_bool(true),
            View::Atom(crate::atoms::FALSE) => serializer.serialize_bool(false),
            View::Atom(crate::atoms::NIL | crate::atoms::UNDEFINED) => serializer.serialize_none(),
            View::Atom(atom) => serializer.serialize_str(atom.as_str()),
            View::Pid(pid) => serializer.collect_str(&pid),
            View::Ref(reference) => serializer.collect_str(&reference),
            View::Port(port) => serializer.collect_str(&port),
            View::ExternalPid(_)
            | View::ExternalPort(_)
            | View::ExternalRef(_)
            | View::Export(_)
            | View::Bits(_) => serializer.collect_str(&self.0),
            View::Tuple(tuple) => {
                let mut elements = serializer.serialize_tuple(tuple.len())?;
                tuple
                    .iter()
                    .try_for_each(|term| elements.serialize_element(&below(term)))?;
                elements.end()
            }
            View::Nil | View::Cons(_) => {
                let mut elements = serializer.serialize_seq(self.0.list_len())?;
                let mut list = self.0.list_iter();
                for term in list.by_ref() {
                    elements.serialize_element(&below(term))?;
                }
                if !list.tail().is_nil() {
                    elements.serialize_element(&below(list.tail()))?;
                }
                elements.end()
            }
            View::Map(map) => {
                let mut pairs = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    pairs.serialize_entry(&below(key), &below(value))?;
                }
                pairs.end()
            }
            View::Binary(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => serializer.serialize_str(text),
                Err(_) => serializer.serialize_bytes(bytes),
            },
            View::Native => Err(serde::ser::Error::custom(
                "a native resource travels only in a VM message",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for OwnedTerm {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<OwnedTerm, D::Error> {
        with_term(deserializer, |term| Block::copy_of((), term))
    }
}

/// For a `Deserialize` written by hand: has the term looked at where it lies, without a copy. So a type can try several
/// shapes, one after the other.
///
/// ```
/// use otp_heap::{Atom, DecodeError, from_term, to_term, with_term};
/// use serde::{Deserialize, Deserializer};
///
/// #[derive(Debug, PartialEq)]
/// enum Answer {
///     Number(u64),
///     Word(Atom),
/// }
///
/// impl<'de> Deserialize<'de> for Answer {
///     fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
///         with_term(deserializer, |term| match from_term(term) {
///             Ok(number) => Ok(Answer::Number(number)),
///             Err(_) => from_term(term).map(Answer::Word),
///         })
///     }
/// }
///
/// let answer: Answer = from_term(to_term(&7)?.root())?;
/// assert_eq!(answer, Answer::Number(7));
/// assert!(from_term::<Answer>(to_term("text")?.root()).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// What `read` gives, as the deserializer's error; and another, if this is no term of the VM's.
pub fn with_term<'de, D, T, E>(
    deserializer: D,
    read: impl FnOnce(Term<'_>) -> Result<T, E>,
) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    E: fmt::Display,
{
    deserializer.deserialize_newtype_struct(embed::TERM, TermVisitor(read))
}

struct TermVisitor<F>(F);

impl<'de, T, E, F> Visitor<'de> for TermVisitor<F>
where
    E: fmt::Display,
    F: FnOnce(Term<'_>) -> Result<T, E>,
{
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a term of a VM message")
    }

    fn visit_unit<Failed: de::Error>(self) -> Result<T, Failed> {
        match loan::take_source(self.0) {
            Some(read) => read.map_err(Failed::custom),
            None => Err(Failed::invalid_type(
                de::Unexpected::Other("a foreign format"),
                &"a term of a VM message",
            )),
        }
    }
}
