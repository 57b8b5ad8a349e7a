//! Segments of binaries: `Value:Size/Types`, as `eval_bits` puts them together.

use std::num::FpCategory;

/// The value of a segment.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Integer(Integer),
    Float(f64),
    /// Each character is a segment of its own.
    Text(String),
    Bits {
        bytes: Vec<u8>,
        bits: usize,
    },
}

/// Sign and magnitude; the upper limbs are seldom there.
#[derive(Clone, Debug)]
pub(super) struct Integer {
    negative: bool,
    low: u64,
    upper: Vec<u64>,
}

impl Integer {
    pub(super) fn new(negative: bool, limbs: &[u64]) -> Integer {
        let (low, upper) = limbs.split_first().unwrap_or((&0, &[]));
        Integer {
            negative,
            low: *low,
            upper: upper.to_vec(),
        }
    }

    /// The lowest byte of the two's complement.
    fn lowest(&self) -> u8 {
        if self.negative {
            (self.low as u8).wrapping_neg()
        } else {
            self.low as u8
        }
    }

    /// The lowest bytes of the two's complement, the lowest first.
    fn lowest_bytes(&self, count: usize) -> Vec<u8> {
        let limbs = std::iter::once(self.low)
            .chain(self.upper.iter().copied())
            .chain(std::iter::repeat(0));
        let mut carry = self.negative;
        let mut bytes = Vec::with_capacity(count.next_multiple_of(8));
        for limb in limbs.take(count.div_ceil(8)) {
            let limb = if self.negative {
                let (limb, carried) = (!limb).overflowing_add(carry.into());
                carry = carried;
                limb
            } else {
                limb
            };
            bytes.extend(limb.to_le_bytes());
        }
        bytes.truncate(count);
        bytes
    }

    /// The nearest float; infinite if there is none.
    fn to_float(&self) -> f64 {
        // The top 64 bits, the last of which says whether any below is set: it rounds the same.
        let mut limbs = self.upper.iter().rev();
        let (mut top, mut shift) = match limbs.next() {
            None => (self.low, 0),
            Some(last) => {
                let next = limbs.next().copied();
                let zeros = last.leading_zeros();
                let mut wide = u128::from(*last) << 64 | u128::from(next.unwrap_or(self.low));
                wide <<= zeros;
                let below = next.is_some() && (self.low != 0 || limbs.any(|limb| *limb != 0));
                let sticky = wide as u64 != 0 || below;
                (
                    (wide >> 64) as u64 | u64::from(sticky),
                    self.upper.len() * 64 - zeros as usize,
                )
            }
        };
        if shift > f64::MAX_EXP as usize {
            (top, shift) = (u64::MAX, f64::MAX_EXP as usize);
        }
        let magnitude = top as f64 * 2_f64.powi(shift as i32);
        if self.negative { -magnitude } else { magnitude }
    }

    /// The character of this code.
    fn to_character(&self) -> Option<char> {
        if self.negative && self.low != 0 || !self.upper.is_empty() {
            return None;
        }
        u32::try_from(self.low).ok().and_then(char::from_u32)
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Type {
    Integer,
    Float,
    Binary,
    Utf8,
    Utf16,
    Utf32,
}

/// The types of a segment, each said at most in one way.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Types {
    kind: Option<Type>,
    unit: Option<u64>,
    little: Option<Endian>,
    signed: Option<bool>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Endian {
    Big,
    Little,
    Native,
}

/// Sets a type that may be there already, if it is the same.
fn set<T: PartialEq>(place: &mut Option<T>, value: T) -> Result<(), &'static str> {
    match place {
        Some(other) if *other != value => Err("two types of this segment exclude each other"),
        _ => {
            *place = Some(value);
            Ok(())
        }
    }
}

impl Types {
    pub(super) fn add(&mut self, name: &str) -> Result<(), &'static str> {
        match name {
            "integer" => set(&mut self.kind, Type::Integer),
            "float" => set(&mut self.kind, Type::Float),
            "binary" => set(&mut self.kind, Type::Binary),
            "bytes" => set(&mut self.kind, Type::Binary).and_then(|()| set(&mut self.unit, 8)),
            "bits" | "bitstring" => {
                set(&mut self.kind, Type::Binary).and_then(|()| set(&mut self.unit, 1))
            }
            "utf8" => set(&mut self.kind, Type::Utf8),
            "utf16" => set(&mut self.kind, Type::Utf16),
            "utf32" => set(&mut self.kind, Type::Utf32),
            "big" => set(&mut self.little, Endian::Big),
            "little" => set(&mut self.little, Endian::Little),
            "native" => set(&mut self.little, Endian::Native),
            "signed" => set(&mut self.signed, true),
            "unsigned" => set(&mut self.signed, false),
            _ => Err("no such type of a segment"),
        }
    }

    pub(super) fn add_unit(&mut self, limbs: &[u64]) -> Result<(), &'static str> {
        match *limbs {
            [unit @ 1..=256] => set(&mut self.unit, unit),
            _ => Err("a segment's unit is 1 to 256"),
        }
    }

    fn is_little(self) -> bool {
        match self.little {
            Some(Endian::Little) => true,
            Some(Endian::Native) => cfg!(target_endian = "little"),
            Some(Endian::Big) | None => false,
        }
    }
}

/// Why a segment could not be put.
pub(super) enum SegmentError {
    Wrong(&'static str),
    /// The limit on bytes is reached.
    TooLarge,
}

impl From<&'static str> for SegmentError {
    fn from(why: &'static str) -> SegmentError {
        SegmentError::Wrong(why)
    }
}

/// A bitstring under construction.
#[derive(Debug, Default)]
pub(super) struct Bitstring {
    pub(super) bytes: Vec<u8>,
    pub(super) bits: usize,
    /// The value of the segment that is being read.
    pub(super) value: Option<Value>,
}

impl Bitstring {
    /// Appends a segment; `bytes_left` counts what may still be appended.
    pub(super) fn put(
        &mut self,
        size: Option<u64>,
        types: Types,
        bytes_left: &mut usize,
    ) -> Result<(), SegmentError> {
        let Some(value) = self.value.take() else {
            return Ok(());
        };
        let kind = types.kind.unwrap_or(Type::Integer);
        let bits = match kind {
            Type::Utf8 | Type::Utf16 | Type::Utf32 => {
                if size.is_some() || types.unit.is_some() {
                    return Err("a segment of UTF has neither size nor unit".into());
                }
                None
            }
            Type::Binary => size.map(|size| size.saturating_mul(types.unit.unwrap_or(8))),
            Type::Integer | Type::Float => {
                if size.is_none() && types.unit.is_some() {
                    return Err("a segment has a unit only with a size".into());
                }
                let default = if kind == Type::Integer { 8 } else { 64 };
                let unit = types.unit.unwrap_or(1);
                Some(size.map_or(default, |size| size.saturating_mul(unit)))
            }
        };
        let mut segment = Segment {
            bits,
            types,
            kind,
            bytes_left,
            out: self,
        };
        match value {
            Value::Text(text) if text.is_empty() => {
                // There is nothing to put, but what is wrong with every character is wrong.
                let mut nowhere = Bitstring::default();
                let mut bytes_left = usize::MAX;
                let mut segment = Segment {
                    out: &mut nowhere,
                    bytes_left: &mut bytes_left,
                    ..segment
                };
                match kind {
                    Type::Integer => Ok(()),
                    _ => segment.put(&Value::Integer(Integer::new(false, &[0]))),
                }
            }
            Value::Text(text) => text.chars().try_for_each(|character| {
                let code = Integer::new(false, &[u32::from(character).into()]);
                segment.put(&Value::Integer(code))
            }),
            value => segment.put(&value),
        }
    }

    /// Appends the lowest bits of a byte, 1 to 8.
    fn push(&mut self, value: u8, count: usize) {
        let used = self.bits % 8;
        let aligned = (u16::from(value) << (16 - count)) >> used;
        let [first, second] = aligned.to_be_bytes();
        match self.bytes.last_mut() {
            Some(last) if used > 0 => *last |= first,
            _ => self.bytes.push(first),
        }
        if used + count > 8 {
            self.bytes.push(second);
        }
        self.bits += count;
    }

    fn push_bytes(&mut self, bytes: &[u8]) {
        if self.bits.is_multiple_of(8) {
            self.bytes.extend_from_slice(bytes);
            self.bits += bytes.len() * 8;
        } else {
            bytes.iter().for_each(|byte| self.push(*byte, 8));
        }
    }
}

struct Segment<'a> {
    /// `None` for as many as the value has.
    bits: Option<u64>,
    types: Types,
    kind: Type,
    bytes_left: &'a mut usize,
    out: &'a mut Bitstring,
}

impl Segment<'_> {
    fn put(&mut self, value: &Value) -> Result<(), SegmentError> {
        match (self.kind, value) {
            (Type::Integer, Value::Integer(integer)) => self.integer(integer),
            (Type::Float, Value::Integer(integer)) => {
                let float = integer.to_float();
                if float.is_finite() {
                    self.float(float)
                } else {
                    Err("this integer is out of the range of floats".into())
                }
            }
            (Type::Float, Value::Float(float)) => self.float(*float),
            (Type::Binary, Value::Bits { bytes, bits }) => self.bitstring(bytes, *bits),
            (Type::Utf8 | Type::Utf16 | Type::Utf32, Value::Integer(code)) => {
                let character = code.to_character();
                self.utf(character.ok_or("this integer is no character")?)
            }
            (Type::Integer, _) => {
                Err("a segment is an integer unless a type says otherwise".into())
            }
            (Type::Float, _) => Err("a segment of type float is a number".into()),
            (Type::Binary, _) => Err("a segment of type binary is a binary".into()),
            _ => Err("a segment of UTF is an integer or a string".into()),
        }
    }

    /// Counts the bytes to come against the limit, a part of one as one.
    fn reserve(&mut self, bits: u64) -> Result<usize, SegmentError> {
        let bits = usize::try_from(bits).map_err(|_| SegmentError::TooLarge)?;
        let left = self.bytes_left.checked_sub(bits.div_ceil(8));
        *self.bytes_left = left.ok_or(SegmentError::TooLarge)?;
        Ok(bits)
    }

    fn integer(&mut self, integer: &Integer) -> Result<(), SegmentError> {
        let bits = self.reserve(self.bits.unwrap_or(8))?;
        if bits == 8 {
            self.out.push(integer.lowest(), 8);
            return Ok(());
        }
        let mut bytes = integer.lowest_bytes(bits.div_ceil(8));
        let part = bits % 8;
        let rest = if part > 0 { bytes.pop() } else { None };
        if self.types.is_little() {
            self.out.push_bytes(&bytes);
            rest.into_iter().for_each(|byte| self.out.push(byte, part));
        } else {
            rest.into_iter().for_each(|byte| self.out.push(byte, part));
            bytes.reverse();
            self.out.push_bytes(&bytes);
        }
        Ok(())
    }

    fn float(&mut self, value: f64) -> Result<(), SegmentError> {
        match self.bits {
            Some(16) => self.ordered(half(value as f32).to_be_bytes()),
            Some(32) => self.ordered((value as f32).to_be_bytes()),
            Some(64) => self.ordered(value.to_be_bytes()),
            _ => Err("a float has 16, 32 or 64 bits".into()),
        }
    }

    fn utf(&mut self, character: char) -> Result<(), SegmentError> {
        match self.kind {
            Type::Utf16 => {
                let mut units = [0; 2];
                let units = character.encode_utf16(&mut units);
                units
                    .iter()
                    .try_for_each(|unit| self.ordered(unit.to_be_bytes()))
            }
            Type::Utf32 => self.ordered(u32::from(character).to_be_bytes()),
            _ => {
                let mut bytes = [0; 4];
                let text = character.encode_utf8(&mut bytes);
                self.reserve(text.len() as u64 * 8)?;
                self.out.push_bytes(text.as_bytes());
                Ok(())
            }
        }
    }

    /// Appends bytes that are given with the most significant one first.
    fn ordered<const N: usize>(&mut self, mut bytes: [u8; N]) -> Result<(), SegmentError> {
        self.reserve(N as u64 * 8)?;
        if self.types.is_little() {
            bytes.reverse();
        }
        self.out.push_bytes(&bytes);
        Ok(())
    }

    fn bitstring(&mut self, bytes: &[u8], bits: usize) -> Result<(), SegmentError> {
        let unit = self.types.unit.unwrap_or(8);
        let wanted = self.bits.unwrap_or(bits as u64);
        if self.bits.is_none() && !(bits as u64).is_multiple_of(unit) {
            return Err("this bitstring is no whole number of units".into());
        }
        if wanted > bits as u64 {
            return Err("this binary is shorter than its size".into());
        }
        let bits = self.reserve(wanted)?;
        self.out.push_bytes(&bytes[..bits / 8]);
        let part = bits % 8;
        if part > 0 {
            self.out.push(bytes[bits / 8] >> (8 - part), part);
        }
        Ok(())
    }
}

/// The nearest number of 16 bits, the even one of two; infinite if it is too large.
fn half(value: f32) -> u16 {
    let bits = value.to_bits();
    let sign = (bits >> 16) as u16 & 0x8000;
    let exponent = (bits >> 23 & 0xFF) as i32 - 127;
    let mantissa = bits & 0x7F_FFFF;
    let magnitude = match value.classify() {
        FpCategory::Zero | FpCategory::Subnormal => 0,
        _ if exponent > 15 => 0x7C00,
        // Too small even to round up to the least one.
        _ if exponent < -25 => 0,
        _ => {
            // Below 2^-14 the implicit bit is shown and the exponent stays.
            let (whole, drop) = if exponent < -14 {
                (mantissa | 0x80_0000, 13 + (-14 - exponent))
            } else {
                (mantissa | ((exponent + 15) as u32) << 23, 13)
            };
            let (kept, rest) = (whole >> drop, whole & ((1 << drop) - 1));
            let middle = 1 << (drop - 1);
            let up = rest > middle || rest == middle && kept & 1 == 1;
            // A carry out of the mantissa raises the exponent, as it should.
            (kept + u32::from(up)) as u16
        }
    };
    sign | magnitude
}
