//! Terms that are rare, old, or no terms.

use super::input::Source;
use super::reader::{Reader, too_large};
use crate::etf::error::DecodeErrorKind;
use crate::etf::limits::{COPIED_BYTES_PER_WORK, INTEGER_BYTES_MAX, TUPLE_ELEMENTS_MAX};
use crate::etf::tags::{
    ATOM_CACHE_REF, ATOM_UTF8_EXT, BIT_BINARY_EXT, EXPORT_EXT, FLOAT_EXT, FUN_EXT, INTEGER_EXT,
    LARGE_BIG_EXT, LARGE_TUPLE_EXT, LOCAL_EXT, NEW_FUN_EXT, NEW_PID_EXT, NEW_PORT_EXT,
    NEW_REFERENCE_EXT, NEWER_REFERENCE_EXT, PID_EXT, PORT_EXT, REFERENCE_EXT, SMALL_ATOM_EXT,
    SMALL_BIG_EXT, SMALL_INTEGER_EXT, V4_PORT_EXT,
};
use crate::word::Word;
use crate::{Export, ExternalPid, ExternalPort, ExternalRef, Pid, Port, Ref};

/// Bytes of a float in the form of a text.
const FLOAT_TEXT_BYTES: usize = 31;

impl Reader {
    /// As [`Reader::term`], behind a tag that is not among the frequent ones.
    #[cold]
    #[inline(never)]
    pub(super) fn rare(
        &mut self,
        source: &mut Source<'_>,
        tag: u8,
    ) -> Result<Option<Word>, DecodeErrorKind> {
        let input = &mut source.input;
        let word = match tag {
            SMALL_BIG_EXT => {
                let len = input.byte("an integer's length")?;
                self.big(source, len.into())?
            }
            LARGE_BIG_EXT => {
                let len = input.long("an integer's length")?;
                self.big(source, len as usize)?
            }
            ATOM_UTF8_EXT | SMALL_ATOM_EXT => Word::atom(source.atom_of(tag)?),
            LARGE_TUPLE_EXT => {
                let elements = input.long("a tuple's arity")?;
                if elements > TUPLE_ELEMENTS_MAX {
                    return Err(DecodeErrorKind::TooManyElements { elements });
                }
                return self.tuple(source, elements);
            }
            BIT_BINARY_EXT => {
                let len = input.long("a bitstring's length")? as usize;
                let bits = input.byte("the bits of a bitstring's last byte")?;
                if bits > 8 || (bits == 0) != (len == 0) {
                    let expected = "1 to 8 bits in a bitstring's last byte";
                    return Err(DecodeErrorKind::Expected {
                        expected,
                        found: bits,
                    });
                }
                return self.binary(source, len, bits % 8);
            }
            FLOAT_EXT => {
                let text = input.take(FLOAT_TEXT_BYTES, "the 31 bytes of a float's text")?;
                self.float(float_of_text(text).ok_or(DecodeErrorKind::Float)?)?
            }
            PID_EXT | NEW_PID_EXT => self.pid(source, tag)?,
            PORT_EXT | NEW_PORT_EXT | V4_PORT_EXT => self.port(source, tag)?,
            REFERENCE_EXT | NEW_REFERENCE_EXT | NEWER_REFERENCE_EXT => {
                self.reference(source, tag)?
            }
            EXPORT_EXT => self.export(source)?,
            NEW_FUN_EXT | FUN_EXT => return Err(DecodeErrorKind::Fun),
            ATOM_CACHE_REF => return Err(DecodeErrorKind::CacheReference),
            LOCAL_EXT => return Err(DecodeErrorKind::Local),
            found => {
                let expected = "the tag of a term";
                return Err(DecodeErrorKind::Expected { expected, found });
            }
        };
        Ok(Some(word))
    }

    fn big(&mut self, source: &mut Source<'_>, bytes: usize) -> Result<Word, DecodeErrorKind> {
        // Any sign but 0 is a minus, as in OTP.
        let negative = source.input.byte("an integer's sign")? != 0;
        if bytes > INTEGER_BYTES_MAX {
            return Err(DecodeErrorKind::IntegerTooLarge { bytes });
        }
        let magnitude = source.input.take(bytes, "the bytes of an integer")?;
        source.work += bytes / COPIED_BYTES_PER_WORK;
        if bytes <= 16 {
            let mut limbs = [0; 16];
            limbs[..bytes].copy_from_slice(magnitude);
            let value = u128::from_le_bytes(limbs);
            let limbs = [value as u64, (value >> 64) as u64];
            return self.encoder.limbs(negative, &limbs).map_err(too_large);
        }
        let limbs: Vec<u64> = magnitude
            .chunks(8)
            .map(|chunk| {
                let mut limb = [0; 8];
                limb[..chunk.len()].copy_from_slice(chunk);
                u64::from_le_bytes(limb)
            })
            .collect();
        self.encoder.limbs(negative, &limbs).map_err(too_large)
    }

    fn pid(&mut self, source: &mut Source<'_>, tag: u8) -> Result<Word, DecodeErrorKind> {
        let node = source.node()?;
        let id = source.input.long("a pid's id")?;
        let serial = source.input.long("a pid's serial")?;
        let creation = source.creation(tag == PID_EXT)?;
        if source.is_local(node, creation) && id <= Pid::INDEX_MAX {
            return Ok(Word::pid(Pid::from_parts(id, serial)));
        }
        let pid = ExternalPid {
            node,
            creation,
            id,
            serial,
        };
        self.encoder.external_pid(pid).map_err(too_large)
    }

    fn port(&mut self, source: &mut Source<'_>, tag: u8) -> Result<Word, DecodeErrorKind> {
        let node = source.node()?;
        let id = match tag {
            V4_PORT_EXT => u64::from_be_bytes(source.input.array("a port's id")?),
            _ => source.input.long("a port's id")?.into(),
        };
        let creation = source.creation(tag == PORT_EXT)?;
        let port = Port::from_u64(id);
        if source.is_local(node, creation) && port.as_u64() == id {
            return Ok(Word::port(port));
        }
        let port = ExternalPort { node, creation, id };
        self.encoder.external_port(port).map_err(too_large)
    }

    fn reference(&mut self, source: &mut Source<'_>, tag: u8) -> Result<Word, DecodeErrorKind> {
        let mut numbers = [0; ExternalRef::IDS_MAX];
        let expected = "one to five numbers of a reference";
        let len = match tag {
            REFERENCE_EXT => 1,
            _ => source.input.short("a reference's length")?,
        };
        let Some(numbers) = numbers.get_mut(..len).filter(|_| len > 0) else {
            return Err(DecodeErrorKind::Range {
                expected,
                found: len as u64,
            });
        };
        let node = source.node()?;
        let mut creation = 0;
        if tag != REFERENCE_EXT {
            creation = source.creation(tag == NEW_REFERENCE_EXT)?;
        }
        for number in numbers.iter_mut() {
            *number = source.input.long("a reference's number")?;
        }
        if tag == REFERENCE_EXT {
            creation = source.creation(true)?;
        }
        if source.is_local(node, creation)
            && let Some(reference) = Ref::from_numbers(numbers)
        {
            return Ok(Word::reference(reference));
        }
        let Some(external) = ExternalRef::new(node, creation, numbers) else {
            return Err(DecodeErrorKind::Range {
                expected,
                found: len as u64,
            });
        };
        self.encoder.external_ref(&external).map_err(too_large)
    }

    fn export(&mut self, source: &mut Source<'_>) -> Result<Word, DecodeErrorKind> {
        let module = source.node()?;
        let function = source.node()?;
        let expected = "a fun's arity, 0 to 255";
        let arity = match source.input.byte(expected)? {
            SMALL_INTEGER_EXT => source.input.byte(expected)?.into(),
            INTEGER_EXT => source.input.long(expected)?,
            found => return Err(DecodeErrorKind::Expected { expected, found }),
        };
        let fun = Export {
            module,
            function,
            arity: u8::try_from(arity).map_err(|_| DecodeErrorKind::Range {
                expected,
                found: arity.into(),
            })?,
        };
        self.encoder.export(fun).map_err(too_large)
    }
}

/// A float's text as C's `%.20e` writes it: a sign, digits with a point between them, an exponent;
/// then zeros.
fn float_of_text(text: &[u8]) -> Option<f64> {
    let end = text.iter().position(|byte| *byte == 0)?;
    let text = std::str::from_utf8(&text[..end]).ok()?;
    // Rust reads more than Erlang: no infinity, and digits on both sides of the point.
    let point = text.find('.')?;
    let digit = |index: usize| text.as_bytes().get(index).is_some_and(u8::is_ascii_digit);
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    (plain && point > 0 && digit(point - 1) && digit(point + 1))
        .then(|| text.parse().ok())
        .flatten()
}
