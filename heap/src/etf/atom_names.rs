//! From an atom to its name and back without a lock.
//!
//! Names never die, so a table of the thread may keep them: one by the atom's number for writing,
//! one by the name's bytes for reading.

use std::cell::Cell;

use super::error::DecodeErrorKind;
use super::options::MinorVersion;
use super::room::Room;
use super::tags::{ATOM_EXT, ATOM_UTF8_EXT, SMALL_ATOM_UTF8_EXT};
use crate::{ATOM_LIMIT_MAX, Atom, atoms};

/// Entries of each table, 14 KiB in all. Chosen by feel: the names of a few dozen kinds of message.
const ENTRIES: usize = 256;

/// Words of an atom that is kept as it is written, tag and length included; longer ones are rare.
const WRITTEN_WORDS: usize = 3;

/// Each part in a cell of its own: what is read is read from here at once, and not from a copy
/// that was just written, for which the processor would have to wait.
pub(super) struct Written {
    // Of the atom and the version; no atom has the number `u32::MAX / 2`.
    key: Cell<u32>,
    len: Cell<u8>,
    // Words, which are written from registers.
    bytes: Cell<[u64; WRITTEN_WORDS]>,
}

#[derive(Clone, Copy)]
pub(super) struct Read {
    // The first eight bytes and the last eight, or if there are at most sixteen all of them with
    // zeros behind.
    low: u64,
    high: u64,
    // No name has the length `u32::MAX`.
    len: u32,
    atom: Atom,
}

thread_local! {
    static WRITTEN: [Written; ENTRIES] = const {
        [const {
            Written {
                key: Cell::new(u32::MAX),
                len: Cell::new(0),
                bytes: Cell::new([0; WRITTEN_WORDS]),
            }
        }; ENTRIES]
    };
    static READ: [Cell<Read>; ENTRIES] = const {
        [const { Cell::new(Read { low: 0, high: 0, len: u32::MAX, atom: atoms::OK }) }; ENTRIES]
    };
}

/// The thread's table for writing.
pub(super) type Names = [Written; ENTRIES];

/// Looks the table up once for many atoms.
#[inline]
pub(super) fn with_written<T>(write: impl FnOnce(&Names) -> T) -> T {
    WRITTEN.with(|names| write(names))
}

/// What a kept atom is known by: its number, and how it is written.
#[inline(always)]
fn key(atom: Atom, version: MinorVersion) -> u32 {
    const { assert!(ATOM_LIMIT_MAX <= u32::MAX / 2) };
    atom.index() << 1 | u32::from(version == MinorVersion::Two)
}

/// Appends an atom that is kept; says whether it is.
#[inline(always)]
pub(super) fn put_known(names: &Names, room: &mut Room, atom: Atom, version: MinorVersion) -> bool {
    let kept = &names[atom.index() as usize % ENTRIES];
    let known = kept.key.get() == key(atom, version);
    if known {
        // All bytes, whatever the length: one store of known size.
        room.put_cell(&kept.bytes, kept.len.get().into());
    }
    known
}

/// Appends an atom, and keeps it.
#[cold]
#[inline(never)]
pub(super) fn put(names: &Names, out: &mut Vec<u8>, atom: Atom, version: MinorVersion) {
    let start = out.len();
    put_name(out, atom.as_str(), version);
    let written = &out[start..];
    let mut bytes = [0; WRITTEN_WORDS * size_of::<u64>()];
    if let Some(place) = bytes.get_mut(..written.len()) {
        place.copy_from_slice(written);
        let (words, _) = bytes.as_chunks();
        let mut kept_words = [0; WRITTEN_WORDS];
        for (kept, word) in kept_words.iter_mut().zip(words) {
            *kept = u64::from_ne_bytes(*word);
        }
        let kept = &names[atom.index() as usize % ENTRIES];
        kept.key.set(key(atom, version));
        kept.len.set(written.len() as u8);
        kept.bytes.set(kept_words);
    }
}

fn put_name(out: &mut Vec<u8>, name: &str, version: MinorVersion) {
    if version == MinorVersion::One && name.chars().all(|c| u32::from(c) < 256) {
        // At most 255 characters, as every atom.
        out.extend_from_slice(&[ATOM_EXT, 0, name.chars().count() as u8]);
        out.extend(name.chars().map(|c| c as u8));
        return;
    }
    match u8::try_from(name.len()) {
        Ok(len) => out.extend_from_slice(&[SMALL_ATOM_UTF8_EXT, len]),
        Err(_) => {
            out.push(ATOM_UTF8_EXT);
            // Four bytes for each of 255 characters fit 16 bits.
            out.extend_from_slice(&(name.len() as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(name.as_bytes());
}

/// The thread's table for reading. An entry stands at its place, whose number is even, or next door.
pub(super) type Known = [Cell<Read>; ENTRIES];

/// Looks the table up once for many atoms.
#[inline]
pub(super) fn with_known<T>(read: impl FnOnce(&Known) -> T) -> T {
    READ.with(|known| read(known))
}

/// The atom of the first `len` bytes, which are there; what follows them is looked at and does
/// not matter.
#[inline(always)]
pub(super) fn read(
    known: &Known,
    input: &[u8],
    len: usize,
    latin1: bool,
    existing: bool,
) -> Result<Atom, DecodeErrorKind> {
    let (low, high) = match input.first_chunk::<16>() {
        Some(first) if len <= 16 => masked(u128::from_le_bytes(*first), len),
        _ => ends(&input[..len]),
    };
    let place = place(low, high, len);
    let kept = known[place].get();
    // The table has names by their UTF-8; ASCII is the same in Latin-1.
    if kept.low == low
        && kept.high == high
        && kept.len == len as u32
        && (len <= 16 || kept.atom.as_str().as_bytes() == &input[..len])
        && (!latin1 || (low | high) & NOT_ASCII == 0 && len <= 16)
    {
        return Ok(kept.atom);
    }
    let new = Read {
        low,
        high,
        len: len as u32,
        atom: atoms::OK,
    };
    read_elsewhere(known, place, new, &input[..len], latin1, existing)
}

/// The atom of the first `len` of these bytes, if it is kept.
#[inline(always)]
pub(super) fn known(known: &Known, first: &[u8; 16], len: usize, latin1: bool) -> Option<Atom> {
    if len > first.len() {
        return None;
    }
    let (low, high) = masked(u128::from_le_bytes(*first), len);
    // The table has names by their UTF-8; ASCII is the same in Latin-1.
    if latin1 && (low | high) & NOT_ASCII != 0 {
        return None;
    }
    let place = place(low, high, len);
    let is_name = |kept: &Read| kept.low == low && kept.high == high && kept.len == len as u32;
    let kept = known[place].get();
    if is_name(&kept) {
        return Some(kept.atom);
    }
    let kept = known[place ^ 1].get();
    is_name(&kept).then_some(kept.atom)
}

#[inline(always)]
fn place(low: u64, high: u64, len: usize) -> usize {
    let mixed = (low ^ high.rotate_left(29) ^ len as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> (u64::BITS - ENTRIES.ilog2())) as usize & !1
}

/// The upper bit of each byte.
const NOT_ASCII: u64 = 0x8080_8080_8080_8080;

#[cold]
#[inline(never)]
fn read_elsewhere(
    known: &Known,
    place: usize,
    mut new: Read,
    name: &[u8],
    latin1: bool,
    existing: bool,
) -> Result<Atom, DecodeErrorKind> {
    let ascii = name.is_ascii();
    let other = known[place ^ 1].get();
    let same = other.len == new.len && other.atom.as_str().as_bytes() == name;
    new.atom = if same && (ascii || !latin1) {
        other.atom
    } else {
        look_up(name, latin1, existing)?
    };
    if ascii || !latin1 {
        // The one that was here goes next door: two names that meet do not drive each other out.
        known[place ^ 1].set(known[place].get());
        known[place].set(new);
    }
    Ok(new.atom)
}

/// The bits of the first so many bytes of sixteen, in two halves.
static MASKS: [(u64, u64); 17] = {
    let mut masks = [(u64::MAX, u64::MAX); 17];
    let mut len = 0;
    while len < 16 {
        let mask = (1_u128 << (8 * len)) - 1;
        masks[len] = (mask as u64, (mask >> 64) as u64);
        len += 1;
    }
    masks
};

#[inline(always)]
fn masked(first: u128, len: usize) -> (u64, u64) {
    let (low, high) = MASKS[len];
    (first as u64 & low, (first >> 64) as u64 & high)
}

#[cold]
fn ends(name: &[u8]) -> (u64, u64) {
    if let (true, Some(first), Some(last)) =
        (name.len() > 16, name.first_chunk(), name.last_chunk())
    {
        return (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
    }
    let mut all = [0; 16];
    all[..name.len()].copy_from_slice(name);
    masked(u128::from_le_bytes(all), name.len())
}

#[cold]
#[inline(never)]
fn look_up(bytes: &[u8], latin1: bool, existing: bool) -> Result<Atom, DecodeErrorKind> {
    let converted;
    let name = if latin1 {
        converted = bytes
            .iter()
            .map(|byte| char::from(*byte))
            .collect::<String>();
        &converted
    } else {
        std::str::from_utf8(bytes).map_err(|_| DecodeErrorKind::Utf8)?
    };
    if existing {
        return Atom::existing(name).ok_or(DecodeErrorKind::UnknownAtom);
    }
    Ok(Atom::new(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_name(
        input: &[u8],
        len: usize,
        latin1: bool,
        existing: bool,
    ) -> Result<Atom, DecodeErrorKind> {
        with_known(|known| read(known, input, len, latin1, existing))
    }

    /// Names around every length at which something changes, ASCII and not.
    fn names() -> Vec<String> {
        let lengths = [0, 1, 7, 8, 9, 11, 15, 16, 17, 21, 22, 23, 127, 128, 255];
        let mut names = Vec::new();
        for letter in ["x", "é", "語"] {
            names.extend(lengths.iter().map(|len| letter.repeat(*len)));
        }
        names
    }

    #[test]
    fn a_name_that_was_written_is_read_whatever_follows() {
        for name in names() {
            let atom = Atom::new(&name).unwrap();
            for version in [MinorVersion::One, MinorVersion::Two] {
                // Twice: the second time from the tables.
                for _ in 0..2 {
                    let mut room = Room::new(Vec::new());
                    let known = with_written(|names| put_known(names, &mut room, atom, version));
                    let mut out = room.finish();
                    if !known {
                        assert!(out.is_empty());
                        with_written(|names| put(names, &mut out, atom, version));
                    }
                    let (latin1, start) = match out[0] {
                        ATOM_EXT => (true, 3),
                        ATOM_UTF8_EXT => (false, 3),
                        _ => (false, 2),
                    };
                    let len = out.len() - start;
                    for more in [0, 1, 30] {
                        out.truncate(start + len);
                        out.extend(vec![b'y'; more]);
                        assert_eq!(
                            by_name(&out[start..], len, latin1, false),
                            Ok(atom),
                            "{name}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn one_name_in_two_encodings_is_two_names() {
        // "é" in UTF-8 is "Ã©" in Latin-1.
        let bytes = "é".as_bytes();
        for _ in 0..2 {
            assert_eq!(by_name(bytes, 2, false, false).unwrap().as_str(), "é");
            assert_eq!(by_name(bytes, 2, true, false).unwrap().as_str(), "Ã©");
        }
    }

    #[test]
    fn two_names_that_meet_are_both_kept() {
        let bytes = |number: usize| {
            let mut bytes = [0; 16];
            bytes[..8].copy_from_slice(format!("meet_{number:03}").as_bytes());
            bytes
        };
        let place = |number| {
            let (low, high) = masked(u128::from_le_bytes(bytes(number)), 8);
            place(low, high, 8)
        };
        let meeting: Vec<_> = (1..ENTRIES)
            .filter(|number| place(*number) / 2 == place(0) / 2)
            .map(|number| [bytes(0), bytes(number)])
            .collect();
        assert!(!meeting.is_empty());
        for pair in meeting {
            for name in pair {
                by_name(&name, 8, false, false).unwrap();
            }
            let kept = |name: [u8; 16]| with_known(|names| known(names, &name, 8, false));
            assert!(pair.into_iter().all(|name| kept(name).is_some()));
        }
    }

    #[test]
    fn names_with_zeros_at_their_end_are_told_apart() {
        let bytes = [b'a', 0, 0, 0];
        let atoms: Vec<Atom> = (1..=4)
            .map(|len| by_name(&bytes, len, false, false).unwrap())
            .collect();
        for (index, atom) in atoms.iter().enumerate() {
            assert_eq!(atom.as_str().len(), index + 1);
        }
    }
}
