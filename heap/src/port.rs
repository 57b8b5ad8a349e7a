//! Ports of this VM.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::embed;

/// A port, unique in its VM: 60 bits.
///
/// Mirrors `port()`; printed as `#Port<0.number>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Port(u64);

impl Port {
    /// The port of a number; bits beyond the sixtieth are dropped.
    #[inline]
    pub const fn from_u64(value: u64) -> Port {
        Port(value & ((1 << 60) - 1))
    }

    /// The 60 bits.
    #[inline]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    fn parse(text: &str) -> Option<Port> {
        let number = text.strip_prefix("#Port<0.")?.strip_suffix('>')?;
        let number: u64 = number.parse().ok()?;
        (number < 1 << 60).then_some(Port(number))
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#Port<0.{}>", self.0)
    }
}

embed::identifier!(Port, embed::PORT, "a port");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_comes_back() {
        for value in [0, 7, (1 << 60) - 1] {
            let port = Port::from_u64(value);
            assert_eq!(port.as_u64(), value);
            assert_eq!(Port::parse(&port.to_string()), Some(port));
        }
        assert_eq!(Port::parse("#Port<0.1152921504606846976>"), None);
        assert_eq!(Port::parse("#Ref<0.1.2>"), None);
    }
}
