//! Integers of any size, and the exact comparison of numbers.

use std::cmp::Ordering;
use std::fmt;

use num_bigint::Sign;

use crate::Builder;
use crate::term::{Term, View};

/// An integer that a small one cannot hold: sign and magnitude in limbs of 64 bits.
///
/// Canonical: the last limb is not zero, and what fits a small integer is never a big one.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct BigInt<'h> {
    negative: bool,
    limbs: &'h [u64],
}

impl<'h> BigInt<'h> {
    pub(crate) fn new(negative: bool, limbs: &'h [u64]) -> BigInt<'h> {
        BigInt { negative, limbs }
    }

    /// Whether it is under zero.
    pub fn is_negative(self) -> bool {
        self.negative
    }

    /// The magnitude, least significant limb first.
    pub fn limbs(self) -> &'h [u64] {
        self.limbs
    }

    /// The magnitude, if 128 bits hold it.
    pub fn magnitude(self) -> Option<u128> {
        match *self.limbs {
            [] => Some(0),
            [low] => Some(low.into()),
            [low, high] => Some((u128::from(high) << 64) | u128::from(low)),
            _ => None,
        }
    }

    /// The value, if 128 bits hold it.
    pub fn to_i128(self) -> Option<i128> {
        let magnitude = self.magnitude()?;
        if self.negative {
            0_i128.checked_sub_unsigned(magnitude)
        } else {
            magnitude.try_into().ok()
        }
    }
}

impl PartialOrd for BigInt<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for BigInt<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => cmp_limbs(self.limbs, other.limbs),
            (true, true) => cmp_limbs(other.limbs, self.limbs),
        }
    }
}

impl fmt::Display for BigInt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&num_bigint::BigInt::from(*self), f)
    }
}

impl fmt::Debug for BigInt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// To calculate with.
impl From<BigInt<'_>> for num_bigint::BigInt {
    fn from(value: BigInt<'_>) -> num_bigint::BigInt {
        let halves = |limb: &u64| [*limb as u32, (*limb >> 32) as u32];
        let sign = if value.negative {
            Sign::Minus
        } else {
            Sign::Plus
        };
        num_bigint::BigInt::new(sign, value.limbs.iter().flat_map(halves).collect())
    }
}

impl Term<'_> {
    /// The integer of any size, if it is one, to calculate with; [`Builder::big_integer`] makes a
    /// term of the result.
    ///
    /// ```
    /// use otp_heap::{Builder, num_bigint::BigInt};
    ///
    /// let mut builder = Builder::new();
    /// builder.big_integer(&"123456789012345678901234567890".parse::<BigInt>()?);
    /// let term = builder.finish(())?;
    /// let square = term.root().to_integer().unwrap().pow(2);
    /// assert_eq!(square.to_string(), "15241578753238836750495351562536198787501905199875019052100");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn to_integer(self) -> Option<num_bigint::BigInt> {
        match self.view() {
            View::Int(value) => Some(value.into()),
            View::BigInt(value) => Some(value.into()),
            _ => None,
        }
    }
}

impl<H> Builder<H> {
    /// An integer of any size.
    pub fn big_integer(&mut self, value: &num_bigint::BigInt) -> &mut Self {
        let (sign, limbs) = value.to_u64_digits();
        self.limbs(sign == Sign::Minus, &limbs)
    }
}

fn cmp_limbs(left: &[u64], right: &[u64]) -> Ordering {
    left.len()
        .cmp(&right.len())
        .then_with(|| left.iter().rev().cmp(right.iter().rev()))
}

/// A number of either kind.
#[derive(Clone, Copy)]
pub(crate) enum Number<'h> {
    Small(i64),
    Big(BigInt<'h>),
    Float(f64),
}

impl<'h> Number<'h> {
    #[inline]
    pub(crate) fn of(view: View<'h>) -> Option<Number<'h>> {
        match view {
            View::Int(value) => Some(Number::Small(value)),
            View::BigInt(value) => Some(Number::Big(value)),
            View::Float(value) => Some(Number::Float(value)),
            _ => None,
        }
    }

    #[inline]
    pub(crate) fn is_float(self) -> bool {
        matches!(self, Number::Float(_))
    }

    /// By value, exactly: an integer is never rounded to be compared with a float.
    #[inline]
    pub(crate) fn cmp_value(self, other: Number<'_>) -> Ordering {
        use Number::{Big, Float, Small};
        match (self, other) {
            (Small(left), Small(right)) => left.cmp(&right),
            (Small(_), Big(big)) => by_sign(!big.negative),
            (Big(big), Small(_)) => by_sign(big.negative),
            (Big(left), Big(right)) => left.cmp(&right),
            // Finite both, so they compare; 0.0 and -0.0 have one value.
            (Float(left), Float(right)) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
            (Float(left), right) => cmp_integer_float(right, left).reverse(),
            (left, Float(right)) => cmp_integer_float(left, right),
        }
    }
}

/// `Less` if the other side is a positive big integer.
fn by_sign(less: bool) -> Ordering {
    if less {
        Ordering::Less
    } else {
        Ordering::Greater
    }
}

fn cmp_integer_float(integer: Number<'_>, float: f64) -> Ordering {
    // Up to here a float holds every integer.
    const EXACT: i64 = 1 << f64::MANTISSA_DIGITS;
    if let Number::Small(value) = integer
        && (-EXACT..=EXACT).contains(&value)
    {
        return (value as f64)
            .partial_cmp(&float)
            .unwrap_or(Ordering::Equal);
    }
    let limb;
    let integer = match integer {
        Number::Small(value) => {
            limb = [value.unsigned_abs()];
            let limbs = if value == 0 { &[][..] } else { &limb[..] };
            BigInt {
                negative: value < 0,
                limbs,
            }
        }
        Number::Big(big) => big,
        Number::Float(_) => unreachable!("the caller matched an integer"),
    };
    let whole = float.trunc();
    let (parts, used) = float_limbs(whole.abs());
    let truncated = BigInt {
        negative: whole < 0.0,
        limbs: &parts[..used],
    };
    // Equal so far means that the float's fraction decides; it points away from zero.
    integer.cmp(&truncated).then_with(|| {
        0.0_f64
            .partial_cmp(&(float - whole))
            .unwrap_or(Ordering::Equal)
    })
}

/// Limbs of the largest float, 1024 bits, and one more for the shifted mantissa's end.
const FLOAT_LIMBS: usize = 17;

/// A whole float, not negative, as limbs; and how many of them are used.
fn float_limbs(whole: f64) -> ([u64; FLOAT_LIMBS], usize) {
    let mut limbs = [0; FLOAT_LIMBS];
    if whole < 1.0 {
        return (limbs, 0);
    }
    let bits = whole.to_bits();
    let mantissa = (bits & ((1 << 52) - 1)) | (1 << 52);
    // The value is mantissa * 2^shift; a whole float loses no bit when the shift is negative.
    let shift = (bits >> 52) as i32 - 1075;
    if shift <= 0 {
        limbs[0] = mantissa >> -shift;
    } else {
        let (limb, bit) = (shift as usize / 64, shift % 64);
        let wide = u128::from(mantissa) << bit;
        limbs[limb] = wide as u64;
        limbs[limb + 1] = (wide >> 64) as u64;
    }
    let used = FLOAT_LIMBS - limbs.iter().rev().take_while(|limb| **limb == 0).count();
    (limbs, used)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compare(integer: i128, float: f64) -> Ordering {
        let magnitude = integer.unsigned_abs();
        let limbs = [magnitude as u64, (magnitude >> 64) as u64];
        let used = 2 - limbs.iter().rev().take_while(|limb| **limb == 0).count();
        let big = BigInt::new(integer < 0, &limbs[..used]);
        let order = Number::Big(big).cmp_value(Number::Float(float));
        assert_eq!(
            Number::Float(float).cmp_value(Number::Big(big)),
            order.reverse()
        );
        order
    }

    #[test]
    fn integers_and_floats_compare_without_rounding() {
        let odd = (1_i128 << 53) + 1;
        assert_eq!(compare(odd, odd as f64), Ordering::Greater);
        assert_eq!(compare(1 << 53, (1_i128 << 53) as f64), Ordering::Equal);
        assert_eq!(compare(-odd, -(odd as f64)), Ordering::Less);
        assert_eq!(compare(i128::MAX, 2_f64.powi(127)), Ordering::Less);
        assert_eq!(compare(i128::MIN, -(2_f64.powi(127))), Ordering::Equal);
        assert_eq!(compare(i128::MAX, f64::MAX), Ordering::Less);
        assert_eq!(compare(1, 1.5), Ordering::Less);
        assert_eq!(compare(-1, -1.5), Ordering::Greater);
        assert_eq!(compare(0, -0.5), Ordering::Greater);
        assert_eq!(compare(0, -0.0), Ordering::Equal);
        assert_eq!(compare(0, f64::MIN_POSITIVE), Ordering::Less);
    }

    #[test]
    fn long_integers_print_all_their_digits() {
        let limbs = [0, 0, 1];
        assert_eq!(
            BigInt::new(true, &limbs).to_string(),
            "-340282366920938463463374607431768211456"
        );
        let limbs = [u64::MAX, u64::MAX];
        assert_eq!(
            BigInt::new(false, &limbs).to_string(),
            u128::MAX.to_string()
        );
    }

    #[test]
    fn integers_of_any_size_come_back_from_the_library_and_as_text() {
        for power in [0, 58, 59, 60, 63, 64, 65, 127, 128, 1000] {
            let two = num_bigint::BigInt::from(2).pow(power);
            for near in [&two - 1, two.clone(), &two + 1] {
                for value in [-&near, near] {
                    let mut builder = Builder::new();
                    builder.big_integer(&value);
                    let term = builder.finish(()).unwrap();
                    assert_eq!(term.root().to_integer(), Some(value.clone()));
                    assert_eq!(term.to_string(), value.to_string());
                }
            }
        }
    }
}
