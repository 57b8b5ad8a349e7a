//! Process identifiers.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::embed;

/// Bits of a pid's index: the 134 million processes that OTP allows, and more.
const INDEX_BITS: u32 = 28;

/// A process identifier: 28 bits of index, 32 bits of serial.
///
/// A pid names an incarnation: the index is reused, the pair of index and serial is not.
/// Mirrors `pid()`; printed as `<0.index.serial>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pid(u64);

impl Pid {
    /// The largest index, 2^28 - 1.
    pub const INDEX_MAX: u32 = (1 << INDEX_BITS) - 1;

    /// Makes a pid of its parts.
    ///
    /// # Panics
    ///
    /// If `index` is over [`Pid::INDEX_MAX`].
    #[inline]
    pub const fn from_parts(index: u32, serial: u32) -> Pid {
        assert!(index <= Pid::INDEX_MAX, "a pid's index has 28 bits");
        Pid(((serial as u64) << INDEX_BITS) | index as u64)
    }

    /// The slot's index.
    #[inline]
    pub const fn index(self) -> u32 {
        self.0 as u32 & Pid::INDEX_MAX
    }

    /// The incarnation's serial.
    #[inline]
    pub const fn serial(self) -> u32 {
        (self.0 >> INDEX_BITS) as u32
    }

    /// The 60 bits as one number.
    #[inline]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The pid of a number made by [`Pid::as_u64`]; bits beyond the sixtieth are dropped.
    #[inline]
    pub const fn from_u64(value: u64) -> Pid {
        Pid(value & ((1 << 60) - 1))
    }

    fn parse(text: &str) -> Option<Pid> {
        let mut parts = text.strip_prefix("<0.")?.strip_suffix('>')?.split('.');
        let index = parts.next()?.parse().ok()?;
        let serial = parts.next()?.parse().ok()?;
        (parts.next().is_none() && index <= Pid::INDEX_MAX).then(|| Pid::from_parts(index, serial))
    }
}

impl PartialOrd for Pid {
    fn partial_cmp(&self, other: &Pid) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

/// By serial, then by index: older incarnations first.
impl Ord for Pid {
    fn cmp(&self, other: &Pid) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

impl fmt::Display for Pid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<0.{}.{}>", self.index(), self.serial())
    }
}

embed::identifier!(Pid, embed::PID, "a pid");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_come_back() {
        let pid = Pid::from_parts(Pid::INDEX_MAX, u32::MAX);
        assert_eq!((pid.index(), pid.serial()), (Pid::INDEX_MAX, u32::MAX));
        assert_eq!(Pid::from_u64(pid.as_u64()), pid);
        assert_eq!(Pid::parse(&pid.to_string()), Some(pid));
    }

    #[test]
    fn other_text_is_no_pid() {
        for text in ["", "<0.1>", "<0.1.2.3>", "<1.1.2>", "<0.268435456.0>"] {
            assert_eq!(Pid::parse(text), None, "{text}");
        }
    }
}
