//! Terms of every kind, made by a builder as a program of bytes says.

use libfuzzer_sys::arbitrary::Unstructured;
use otp_heap::{
    Atom, Binary, Builder, Export, ExternalPid, ExternalPort, ExternalRef, OwnedTerm, Pid, Place,
    Port, Ref, atoms,
};

/// Names that a term may hold: plain ones, those that need quotes, Latin-1, and beyond.
const NAMES: [&str; 16] = [
    "ok",
    "nil",
    "true",
    "undefined",
    "put",
    "key",
    "value",
    "end",
    "EXIT",
    "",
    "a b",
    "it's\\",
    "é",
    "ł",
    "語",
    "😀",
];

/// Characters that fuzzed names are made of.
const LETTERS: [char; 8] = ['a', 'Z', '0', '_', '@', '\n', 'ÿ', 'ł'];

/// Levels that a program nests one term in at one go, all in all at most: more than a recursion would stand.
const LEVELS_MAX: usize = 20_000;

/// Elements that one byte of a program adds at most: a trie of several levels.
const ELEMENTS_MAX: usize = 500;

/// The next byte; 0 at the end.
pub fn byte(input: &mut Unstructured<'_>) -> usize {
    input.arbitrary::<u8>().unwrap_or_default().into()
}

/// The next 8 bytes, with zeros for what is not there.
pub fn number(input: &mut Unstructured<'_>) -> u64 {
    input.arbitrary().unwrap_or_default()
}

fn bytes<'a>(input: &mut Unstructured<'a>) -> &'a [u8] {
    let len = byte(input).min(input.len());
    input.bytes(len).unwrap_or_default()
}

/// Makes terms out of bytes.
pub struct Maker {
    pool: [Binary; 3],
}

impl Default for Maker {
    fn default() -> Maker {
        Maker {
            pool: [65, 300, 3000].map(|len| Binary::from(vec![len as u8; len])),
        }
    }
}

impl Maker {
    /// A tuple of what a program of so many operations makes.
    pub fn term(&self, input: &mut Unstructured<'_>, operations: usize) -> OwnedTerm {
        let mut builder = Builder::new();
        self.push(&mut builder, input, operations);
        builder
            .finish_tuple(())
            .expect("a program keeps the limits")
    }

    /// Lets a program push terms on a builder's empty stack; gives how many lie there then.
    pub fn push<H, P: Place>(
        &self,
        builder: &mut Builder<H, P>,
        input: &mut Unstructured<'_>,
        operations: usize,
    ) -> usize {
        // For each term on the stack, whether it is a map.
        let mut stack = Vec::new();
        let mut levels = LEVELS_MAX;
        for _ in 0..operations {
            if input.is_empty() {
                break;
            }
            let operation = byte(input);
            let taken = self.compound(builder, input, operation, &stack, &mut levels);
            let (taken, map) = taken.unwrap_or_else(|| {
                self.leaf(builder, input, operation);
                (0, false)
            });
            stack.truncate(stack.len() - taken);
            stack.push(map);
        }
        stack.len()
    }

    /// Makes a compound, if the operation is one: the terms that it took, and whether it is a map.
    fn compound<H, P: Place>(
        &self,
        builder: &mut Builder<H, P>,
        input: &mut Unstructured<'_>,
        operation: usize,
        stack: &[bool],
        levels_left: &mut usize,
    ) -> Option<(usize, bool)> {
        let height = stack.len();
        let is_map = |below: usize| height > below && stack[height - 1 - below];
        let (taken, map) = match operation % 32 {
            0 | 1 => {
                let len = byte(input).min(height);
                builder.tuple(len);
                (len, false)
            }
            2 | 3 => {
                let len = byte(input).min(height);
                builder.list(len);
                (len, false)
            }
            4 | 5 if height >= 2 => {
                builder.cons();
                (2, false)
            }
            6 | 7 => {
                let pairs = byte(input).min(height / 2);
                builder.map(pairs);
                (2 * pairs, true)
            }
            8 if is_map(2) => {
                builder.map_put();
                (3, true)
            }
            9 if is_map(1) => {
                builder.map_remove();
                (2, true)
            }
            10 if is_map(1) && is_map(0) => {
                builder.map_merge();
                (2, true)
            }
            11 if height >= 1 => {
                // Mostly few, for many terms in little time.
                let shift = [12, 8, 4, 0][operation / 64];
                let levels = (number(input) as usize % (*levels_left + 1)) >> shift;
                *levels_left -= levels;
                for _ in 0..levels {
                    match operation / 32 % 2 {
                        0 => builder.tuple(1),
                        _ => builder.nil().cons(),
                    };
                }
                (1, false)
            }
            12 => {
                let len = number(input) as usize % (ELEMENTS_MAX + 1);
                for value in 0..len {
                    builder.integer((value * operation) as i64 & 0xFF);
                }
                builder.list(len);
                (0, false)
            }
            13 => {
                let pairs = number(input) as usize % (ELEMENTS_MAX + 1);
                let stride = number(input) as i64;
                for key in 0..pairs as i64 {
                    builder.integer(key.wrapping_mul(stride)).integer(key);
                }
                builder.map(pairs);
                (0, true)
            }
            _ => return None,
        };
        Some((taken, map))
    }

    fn leaf<H, P: Place>(
        &self,
        builder: &mut Builder<H, P>,
        input: &mut Unstructured<'_>,
        operation: usize,
    ) {
        let node = NAMES[operation / 32];
        match operation % 32 {
            14 => builder.integer(number(input) as i64),
            15 => builder.integer(i128::from(number(input)) << 64 | i128::from(number(input))),
            16 => {
                let limbs: Vec<u64> = (0..byte(input) % 80).map(|_| number(input)).collect();
                builder.limbs(operation / 32 % 2 == 1, &limbs)
            }
            17 => builder.float(
                Some(f64::from_bits(number(input)))
                    .filter(|value| value.is_finite())
                    .unwrap_or(-0.0),
            ),
            18 => builder.float((byte(input) as f64 - 128.0) / 2.0),
            19 | 20 => builder.atom(atom(NAMES[byte(input) % NAMES.len()])),
            21 => {
                let letters = [byte(input), byte(input), byte(input)];
                let name: String = letters
                    .iter()
                    .map(|letter| LETTERS[letter % LETTERS.len()])
                    .collect();
                builder.atom(atom(&name))
            }
            22 => builder.bytes(bytes(input)),
            23 => {
                let from = byte(input) % 65;
                builder.binary(&self.pool[operation / 32 % self.pool.len()].slice(from..))
            }
            24 => {
                let bytes = bytes(input);
                let bits = (8 * bytes.len()).saturating_sub(operation / 32);
                builder.bits(bytes, bits)
            }
            25 => builder.pid(Pid::from_u64(number(input))),
            26 => builder.reference(Ref::from_u64(number(input))),
            27 => builder.port(Port::from_u64(number(input))),
            28 => builder.external_pid(ExternalPid {
                node: atom(node),
                creation: byte(input) as u32,
                id: number(input) as u32,
                serial: byte(input) as u32,
            }),
            29 => builder.external_port(ExternalPort {
                node: atom(node),
                creation: byte(input) as u32,
                id: number(input),
            }),
            30 => {
                let ids: Vec<u32> = (0..=byte(input) % 5)
                    .map(|_| number(input) as u32)
                    .collect();
                let external = ExternalRef::new(atom(node), byte(input) as u32, &ids);
                builder.external_ref(&external.expect("one to five numbers"))
            }
            31 => builder.export(Export {
                module: atom(node),
                function: atom(NAMES[byte(input) % NAMES.len()]),
                arity: byte(input) as u8,
            }),
            _ => builder.integer(operation as i64 / 32 - 4),
        };
    }
}

fn atom(name: &str) -> Atom {
    // The table may be full of names out of other input.
    Atom::new(name).unwrap_or(atoms::OK)
}
