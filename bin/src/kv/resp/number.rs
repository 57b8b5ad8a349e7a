//! Integers as Redis reads and writes them.

/// Reads a decimal integer by Redis's strict rule: the text must be what printing the number gives, so no sign
/// but a minus, no leading zeros, no spaces.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    match digits {
        [b'0'] => return (!negative).then_some(0),
        [b'1'..=b'9', ..] if digits.len() <= 19 => {}
        _ => return None,
    }
    let mut value: u64 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        // Nineteen digits stay under 10^19, which a u64 holds.
        value = value * 10 + u64::from(digit - b'0');
    }
    if negative {
        0_i64.checked_sub_unsigned(value)
    } else {
        i64::try_from(value).ok()
    }
}

/// The decimal text of an integer, on the stack.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    digits: [u8; Decimal::LENGTH_MAX],
    start: usize,
}

impl Decimal {
    /// Characters of `i64::MIN`.
    const LENGTH_MAX: usize = 20;

    /// Prints `value`.
    pub fn new(value: i64) -> Decimal {
        let mut digits = [0; Decimal::LENGTH_MAX];
        let mut start = Decimal::LENGTH_MAX;
        let mut left = value.unsigned_abs();
        loop {
            start -= 1;
            digits[start] = b'0' + (left % 10) as u8;
            left /= 10;
            if left == 0 {
                break;
            }
        }
        if value < 0 {
            start -= 1;
            digits[start] = b'-';
        }
        Decimal { digits, start }
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        &self.digits[self.start..]
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_canonical_numbers_are_numbers() {
        for text in [
            "",
            "-",
            "-0",
            "+1",
            "01",
            " 1",
            "1 ",
            "1.0",
            "9223372036854775808",
            "-9223372036854775809",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
        for value in [0, 1, -1, i64::MAX, i64::MIN] {
            assert_eq!(parse_i64(value.to_string().as_bytes()), Some(value));
        }
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_back(value: i64) {
            let decimal = Decimal::new(value);
            prop_assert_eq!(decimal.as_bytes(), value.to_string().into_bytes());
            prop_assert_eq!(parse_i64(decimal.as_bytes()), Some(value));
        }
    }
}
