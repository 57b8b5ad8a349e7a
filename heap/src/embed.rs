//! How a VM type passes through serde as itself.
//!
//! Stable Rust has no specialisation, so a generic `Serializer` cannot ask whether a value is a
//! pid. Each VM type therefore serialises as a newtype struct under one of these names, and our
//! serializer and deserializer know the names; a foreign format sees a plain newtype struct.
//! Nothing unsafe rests on a name: whoever uses one by hand gets a pid, an atom, or an error.

use std::fmt;

use serde::de::{self, Visitor};
use serde::ser::{Serialize, Serializer};

/// Payload: the pid's number; its text in a readable format.
pub(crate) const PID: &str = "$otp::Pid";
/// Payload: the reference's number; its text in a readable format.
pub(crate) const REFERENCE: &str = "$otp::Ref";
/// Payload: the atom's text.
pub(crate) const ATOM: &str = "$otp::Atom";
/// A loan (see [`crate::loan`]) of a term; payload for foreign formats: its structure.
pub(crate) const TERM: &str = "$otp::Term";
/// A loan of a binary; payload for foreign formats: its bytes.
pub(crate) const BINARY: &str = "$otp::Binary";
/// A loan of a native resource; no payload.
pub(crate) const NATIVE: &str = "$otp::Native";

/// A quick first look, so that ordinary newtype structs pay one comparison.
#[inline]
pub(crate) fn is_embedding(name: &str) -> bool {
    name.as_bytes().first() == Some(&b'$')
}

/// The printed form of an identifier, as a string.
pub(crate) struct Text<T>(pub(crate) T);

impl<T: fmt::Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// Reads a string, borrowed or not.
pub(crate) struct TextVisitor;

impl Visitor<'_> for TextVisitor {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text of a pid or a reference")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
        Ok(text.into())
    }
}
