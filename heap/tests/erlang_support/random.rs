//! Random values of every kind, the same for the same seed.

use super::{Node, Value};

/// A source of random values.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

/// Letters of an atom's name: plain ones, those that need quotes, Latin-1, and beyond.
const LETTERS: &[char] = &[
    'a', 'b', 'z', 'A', 'Z', '0', '9', '_', '@', ' ', '\'', '\\', '\n', 'é', 'ÿ', 'ł', '語', '😀',
];

/// Names that a program is likely to have.
const NAMES: &[&str] = &[
    "ok",
    "error",
    "true",
    "false",
    "nil",
    "undefined",
    "end",
    "fun",
    "EXIT",
    "$gen_call",
    "",
    "a@b",
    "nonode@nohost",
];

impl Random {
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    /// 64 random bits (splitmix64).
    pub fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.state ^ self.state >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// A number under the bound, which is over zero.
    pub fn below(&mut self, bound: usize) -> usize {
        (self.bits() % bound as u64) as usize
    }

    /// One chance in so many.
    pub fn one_in(&mut self, chances: usize) -> bool {
        self.below(chances) == 0
    }

    fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }

    /// A number of 32 bits, small ones and the largest often.
    fn long(&mut self) -> u32 {
        match self.below(4) {
            0 => self.below(4) as u32,
            1 => u32::MAX - self.below(2) as u32,
            _ => self.bits() as u32,
        }
    }

    /// A value of any kind, of some `size` parts.
    ///
    /// No `-0.0`: whether it is `0.0` depends on the release (it is up to OTP 26).
    pub fn value(&mut self, size: usize) -> Value {
        let mut left = size as isize;
        self.part(&mut left)
    }

    /// A value that nests so deeply, in compounds of all kinds.
    pub fn deep(&mut self, levels: usize) -> Value {
        let mut value = self.leaf();
        for _ in 0..levels {
            value = match self.below(5) {
                0 => Value::Tuple(vec![self.leaf(), value]),
                1 => Value::Tuple(vec![value, self.leaf()]),
                2 => Value::list([value]),
                3 => Value::Map(vec![(self.leaf(), value)]),
                _ => Value::Map(vec![(value, self.leaf())]),
            };
        }
        value
    }

    fn part(&mut self, left: &mut isize) -> Value {
        *left -= 1;
        if *left <= 0 {
            return self.leaf();
        }
        // Over 32 keys a map is of another kind, so some are large whatever is left.
        let len = match self.below(60) {
            0 => 33 + self.below(40),
            _ => self.below(7),
        };
        match self.below(9) {
            0..=2 => Value::Tuple(self.parts(len, left)),
            3 | 4 => Value::list(self.parts(len, left)),
            5 => {
                let elements = self.parts(len.max(1), left);
                match self.part(left) {
                    // Lists end in no list of the same kind.
                    tail @ (Value::List(..) | Value::Nil) => {
                        Value::Tuple(vec![Value::list(elements), tail])
                    }
                    tail => Value::List(elements, Box::new(tail)),
                }
            }
            6 | 7 => {
                let mut pairs: Vec<(Value, Value)> = Vec::with_capacity(len);
                for _ in 0..len {
                    let key = if len > 32 {
                        self.leaf()
                    } else {
                        self.part(left)
                    };
                    let value = if len > 32 {
                        self.leaf()
                    } else {
                        self.part(left)
                    };
                    if pairs.iter().all(|(other, _)| !other.same(&key)) {
                        pairs.push((key, value));
                    }
                }
                Value::Map(pairs)
            }
            _ => self.leaf(),
        }
    }

    fn parts(&mut self, len: usize, left: &mut isize) -> Vec<Value> {
        (0..len).map(|_| self.part(left)).collect()
    }

    /// A value without parts, and lists of bytes.
    pub fn leaf(&mut self) -> Value {
        match self.below(22) {
            0..=3 => self.small(),
            4 | 5 => self.integer(),
            6..=8 => Value::Float(self.float()),
            9..=12 => Value::Atom(self.name()),
            13 => {
                let node = self.node();
                if node == Node::local() {
                    return Value::Pid(
                        node,
                        self.below(1 << 15) as u32,
                        self.below(1 << 13) as u32,
                    );
                }
                Value::Pid(node, self.long(), self.long())
            }
            14 => {
                let node = self.node();
                let first = self.below(1 << 18) as u32;
                if node == Node::local() {
                    return Value::Ref(node, vec![first, self.long(), self.below(1 << 10) as u32]);
                }
                let mut ids = vec![first];
                // Three to five: with less, OTP 25 hashes what lies behind them, and a large map does
                // not find such a key again.
                ids.extend((0..2 + self.below(3)).map(|_| self.long()));
                Value::Ref(node, ids)
            }
            15 => {
                let node = self.node();
                let id = match self.below(3) {
                    0 => self.below(1 << 10) as u64,
                    1 => self.below(1 << 28) as u64,
                    _ if node == Node::local() => self.bits() >> 36,
                    _ => self.bits(),
                };
                Value::Port(node, id)
            }
            16 => Value::Export(self.name(), self.name(), self.bits() as u8),
            17 => {
                let len = self.length();
                Value::list((0..len).map(|_| Value::from(self.below(256) as i128)))
            }
            18 => Value::Nil,
            19 | 20 => {
                let len = self.length();
                Value::Bits((0..len).map(|_| self.bits() as u8).collect(), 0)
            }
            _ => {
                let (len, last) = (self.length() + 1, 1 + self.below(7) as u8);
                let mut bytes: Vec<u8> = (0..len).map(|_| self.bits() as u8).collect();
                bytes[len - 1] &= 0xFF << (8 - last);
                Value::Bits(bytes, last)
            }
        }
    }

    /// A length: mostly small, at times around the bounds at which formats change.
    fn length(&mut self) -> usize {
        match self.below(12) {
            0 => 62 + self.below(5),
            1 => 253 + self.below(5),
            _ => self.below(12),
        }
    }

    fn small(&mut self) -> Value {
        Value::from(match self.below(4) {
            0 => self.below(4) as i128 - 2,
            1 => self.below(1024) as i128 - 512,
            _ => i128::from(self.bits() as i32),
        })
    }

    /// An integer of any size, often about a power of two, where its form changes.
    pub fn integer(&mut self) -> Value {
        let power = *self.pick(&[7, 8, 27, 28, 31, 32, 59, 60, 63, 64, 96, 100]);
        match self.below(4) {
            0 | 1 => {
                let near = (1_i128 << power) + self.below(5) as i128 - 2;
                Value::from(if self.one_in(2) { near } else { -near })
            }
            2 => Value::from(i128::from(self.bits() as i64)),
            _ => {
                let len = match self.below(40) {
                    0 => 254 + self.below(4),
                    _ => 1 + self.below(40),
                };
                let mut magnitude: Vec<u8> = (0..len).map(|_| self.bits() as u8).collect();
                magnitude[len - 1] |= 1;
                Value::Integer(self.one_in(2), magnitude)
            }
        }
    }

    /// A finite float that is not `-0.0`: whole ones, about powers of two, of any bits.
    pub fn float(&mut self) -> f64 {
        let value = match self.below(5) {
            0 => self.below(9) as f64 - 4.0,
            1 => (self.bits() as i32).into(),
            2 => self.below(100_000) as f64 / 1000.0,
            3 => 2_f64.powi(*self.pick(&[53, 59, 60, 63, 64, 100, -3, -1074, 1023])),
            _ => f64::from_bits(self.bits()),
        };
        if value.is_finite() && value != 0.0 {
            value
        } else {
            0.0
        }
    }

    /// An atom's name, out of some thousands.
    pub fn name(&mut self) -> String {
        match self.below(30) {
            0 => self
                .pick(&['x', 'é', '語'])
                .to_string()
                .repeat(253 + self.below(3)),
            1 => self
                .pick(&['é', '語'])
                .to_string()
                .repeat(127 + self.below(2)),
            2..=12 => (*self.pick(NAMES)).into(),
            _ => (0..1 + self.below(2))
                .map(|_| *self.pick(LETTERS))
                .collect(),
        }
    }

    /// A node: the local one half of the time.
    pub fn node(&mut self) -> Node {
        if self.one_in(2) {
            return Node::local();
        }
        let name = (*self.pick(&["a@host", "b@host", "ö@host"])).into();
        Node {
            name,
            creation: *self.pick(&[1, 2, 3, 4, u32::MAX]),
        }
    }
}
