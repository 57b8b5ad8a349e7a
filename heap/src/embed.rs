//! How a VM type passes through serde as itself.
//!
//! Stable Rust has no specialisation, so a generic `Serializer` cannot ask whether a value is a
//! pid. Each VM type therefore serialises as a newtype struct under one of these names, and our
//! serializer and deserializer know the names; a foreign format sees a plain newtype struct.
//! Nothing unsafe rests on a name: whoever uses one by hand gets a pid, an atom, or an error.

/// Payload: the pid's number; its text in a readable format.
pub(crate) const PID: &str = "$otp::Pid";
/// Payload: the reference's number; its text in a readable format.
pub(crate) const REFERENCE: &str = "$otp::Ref";
/// Payload: the port's number; its text in a readable format.
pub(crate) const PORT: &str = "$otp::Port";
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

/// `Debug` and serde of an identifier of 60 bits: a type with `Display`, `as_u64`, `from_u64`, and
/// `parse`, which reads the displayed text.
macro_rules! identifier {
    ($type:ident, $name:expr, $expecting:literal) => {
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        /// Inside a VM message itself; its text in a readable format, a number elsewhere.
        impl Serialize for $type {
            #[inline]
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.serialize_newtype_struct($name, &format_args!("{self}"))
                } else {
                    serializer.serialize_newtype_struct($name, &self.as_u64())
                }
            }
        }

        impl<'de> Deserialize<'de> for $type {
            #[inline]
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                deserializer.deserialize_newtype_struct($name, IdentifierVisitor)
            }
        }

        struct IdentifierVisitor;

        impl<'de> Visitor<'de> for IdentifierVisitor {
            type Value = $type;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str($expecting)
            }

            #[inline]
            fn visit_u64<E: de::Error>(self, value: u64) -> Result<$type, E> {
                Ok($type::from_u64(value))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<$type, E> {
                $type::parse(text).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(
                self,
                inner: D,
            ) -> Result<$type, D::Error> {
                // Where serde buffers (untagged enums), only the text tells one from a number.
                if inner.is_human_readable() {
                    inner.deserialize_str(self)
                } else {
                    u64::deserialize(inner).map($type::from_u64)
                }
            }
        }
    };
}

pub(crate) use identifier;
