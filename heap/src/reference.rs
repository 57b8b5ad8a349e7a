//! References.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::embed;

/// A reference, unique in its VM: 60 bits.
///
/// Mirrors `reference()`; printed as `#Ref<0.10 bits.32 bits.18 bits>`, as OTP prints the numbers of
/// the external format.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ref(u64);

impl Ref {
    /// The reference of a number; bits beyond the sixtieth are dropped.
    #[inline]
    pub const fn from_u64(value: u64) -> Ref {
        Ref(value & ((1 << 60) - 1))
    }

    /// The 60 bits.
    #[inline]
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The three numbers of the external format: 18, 32 and 10 bits, the lowest first.
    #[inline]
    pub(crate) const fn numbers(self) -> [u32; 3] {
        [
            self.0 as u32 & ((1 << 18) - 1),
            (self.0 >> 18) as u32,
            (self.0 >> 50) as u32,
        ]
    }

    /// The reference of its three numbers, the lowest first, if they fit; a missing one is 0.
    pub(crate) fn from_numbers(numbers: &[u32]) -> Option<Ref> {
        let number = |index| numbers.get(index).copied().unwrap_or(0);
        let (low, middle, high) = (number(0), number(1), number(2));
        let fits = (1..=3).contains(&numbers.len()) && low < 1 << 18 && high < 1 << 10;
        fits.then(|| Ref(u64::from(high) << 50 | u64::from(middle) << 18 | u64::from(low)))
    }

    fn parse(text: &str) -> Option<Ref> {
        let mut parts = text.strip_prefix("#Ref<0.")?.strip_suffix('>')?.split('.');
        let mut number = || parts.next()?.parse().ok();
        let [high, middle, low] = [number()?, number()?, number()?];
        let numbers = [low, middle, high];
        parts
            .next()
            .is_none()
            .then(|| Ref::from_numbers(&numbers))?
    }
}

impl fmt::Display for Ref {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [low, middle, high] = self.numbers();
        write!(f, "#Ref<0.{high}.{middle}.{low}>")
    }
}

embed::identifier!(Ref, embed::REFERENCE, "a reference");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_comes_back() {
        for value in [0, 1, u64::from(u32::MAX) + 7, (1 << 60) - 1] {
            let reference = Ref::from_u64(value);
            assert_eq!(reference.as_u64(), value);
            assert_eq!(Ref::parse(&reference.to_string()), Some(reference));
        }
        for text in ["#Ref<0.0.0.262144>", "#Ref<0.1024.0.0>", "#Ref<0.1.2>"] {
            assert_eq!(Ref::parse(text), None);
        }
    }
}
