//! Atoms: names as numbers, in one append-only table of the program.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};

use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};

use crate::atoms::PRESET;
use crate::limits::{ATOM_CHARACTERS_MAX, ATOM_LIMIT_MAX, DEFAULT_ATOM_LIMIT};
use crate::memory::AtomBytes;
use crate::{AtomError, embed, key_hash, text};

/// An atom. Two atoms are equal exactly if their names are; `Ord` is by name, as in Erlang.
///
/// Names are never freed: do not make atoms of untrusted input ([`Atom::existing`] is for that).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Atom(u32);

impl Atom {
    /// The atom of a name, made if there was none. Mirrors `binary_to_atom/1`.
    ///
    /// # Errors
    ///
    /// [`AtomError::TooLong`] over 255 characters, [`AtomError::TableFull`] at the limit.
    pub fn new(name: &str) -> Result<Atom, AtomError> {
        if let Some(atom) = Atom::existing(name) {
            return Ok(atom);
        }
        let characters = name.chars().count();
        if characters > ATOM_CHARACTERS_MAX {
            return Err(AtomError::TooLong { characters });
        }
        let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
        // Another thread may have made it between the look and the lock.
        if let Some(&atom) = table.atoms.get(name) {
            return Ok(atom);
        }
        let count = table.atoms.len() as u32;
        let limit = table.limit.unwrap_or(DEFAULT_ATOM_LIMIT);
        if count >= limit {
            table.refused += 1;
            return Err(AtomError::TableFull { limit });
        }
        table.name_bytes += name.len();
        let name: &'static str = Box::leak(name.into());
        slot(count).get_or_init(|| Entry::new(name));
        table.atoms.insert(name, Atom(count));
        Ok(Atom(count))
    }

    /// The atom of a name, if there is one. Mirrors `binary_to_existing_atom/1`.
    pub fn existing(name: &str) -> Option<Atom> {
        let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
        table.atoms.get(name).copied()
    }

    /// The name.
    #[inline]
    pub fn as_str(self) -> &'static str {
        self.entry().name
    }

    /// The atom's place in the table; stable for the program's life, and for it alone.
    #[inline]
    pub const fn index(self) -> u32 {
        self.0
    }

    /// An index that came out of a word: the atom exists.
    #[inline]
    pub(crate) const fn from_index(index: u32) -> Atom {
        Atom(index)
    }

    /// A hash of the name, the same in every program.
    #[inline]
    pub(crate) fn name_hash(self) -> u64 {
        self.entry().hash
    }

    #[inline]
    fn entry(self) -> Entry {
        if let Some(preset) = PRESET_ENTRIES.get(self.0 as usize) {
            return *preset;
        }
        // The atom was handed out after its slot was set.
        *slot(self.0)
            .get()
            .expect("an atom's slot is set before the atom exists")
    }
}

/// Sets the limit on atoms, once and before it is reached. Mirrors `erl +t`.
///
/// # Errors
///
/// [`AtomError::LimitFixed`] if it was set before, or is under the number of atoms in use; [`AtomError::LimitTooHigh`]
/// over [`ATOM_LIMIT_MAX`].
pub fn set_atom_limit(limit: u32) -> Result<(), AtomError> {
    if limit > ATOM_LIMIT_MAX {
        return Err(AtomError::LimitTooHigh { limit });
    }
    let mut table = TABLE.write().unwrap_or_else(PoisonError::into_inner);
    let count = table.atoms.len() as u32;
    if table.limit.is_some() || limit < count {
        let limit = table.limit.unwrap_or(DEFAULT_ATOM_LIMIT);
        return Err(AtomError::LimitFixed { limit, count });
    }
    table.limit = Some(limit);
    Ok(())
}

/// Atoms in use, and the limit. Mirrors `erlang:system_info(atom_count)` and `atom_limit`.
pub fn atom_count() -> (u32, u32) {
    let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
    (
        table.atoms.len() as u32,
        table.limit.unwrap_or(DEFAULT_ATOM_LIMIT),
    )
}

/// Names that could not be made atoms so far, since the table was at its limit.
pub fn atoms_refused() -> u64 {
    TABLE.read().unwrap_or_else(PoisonError::into_inner).refused
}

/// Bytes of the table of atoms; the preset names lie in the program's image, and don't count. Mirrors
/// `erlang:memory([atom, atom_used])`.
///
/// ```
/// let before = otp_heap::atom_bytes();
/// otp_heap::Atom::new("an atom that nobody has made before")?;
/// let after = otp_heap::atom_bytes();
/// assert!(after.used > before.used && after.allocated >= after.used);
/// # Ok::<(), otp_heap::AtomError>(())
/// ```
pub fn atom_bytes() -> AtomBytes {
    let table = TABLE.read().unwrap_or_else(PoisonError::into_inner);
    let (atoms, room, names) = (table.atoms.len(), table.atoms.capacity(), table.name_bytes);
    drop(table);
    let by_name = size_of::<(&str, Atom)>() + 1;
    let chunks = SLOTS.iter().filter_map(OnceLock::get);
    let by_index: usize = chunks.map(|chunk| size_of_val(&**chunk)).sum();
    let atoms_by_index = atoms.saturating_sub(PRESET.len()) * size_of::<OnceLock<Entry>>();
    AtomBytes {
        allocated: names + room * by_name + by_index,
        used: names + atoms * by_name + atoms_by_index,
    }
}

struct Table {
    atoms: HashMap<&'static str, Atom, foldhash::fast::RandomState>,
    /// Of the names that were made.
    name_bytes: usize,
    /// How many found no room.
    refused: u64,
    limit: Option<u32>,
}

static TABLE: LazyLock<RwLock<Table>> = LazyLock::new(|| {
    let atoms = PRESET
        .iter()
        .zip(0..)
        .map(|(name, index)| (*name, Atom(index)))
        .collect();
    RwLock::new(Table {
        atoms,
        name_bytes: 0,
        refused: 0,
        limit: None,
    })
});

/// A name with its first eight bytes as a number, where most comparisons end; and its hash as a key of maps.
#[derive(Clone, Copy)]
struct Entry {
    name: &'static str,
    prefix: u64,
    hash: u64,
}

impl Entry {
    const fn new(name: &'static str) -> Entry {
        let bytes = name.as_bytes();
        let mut first = [0; 8];
        let mut index = 0;
        while index < bytes.len() && index < first.len() {
            first[index] = bytes[index];
            index += 1;
        }
        Entry {
            name,
            prefix: u64::from_be_bytes(first),
            hash: key_hash::of_name(name),
        }
    }
}

static PRESET_ENTRIES: [Entry; PRESET.len()] = {
    let mut entries = [Entry::new(""); PRESET.len()];
    let mut index = 0;
    while index < PRESET.len() {
        entries[index] = Entry::new(PRESET[index]);
        index += 1;
    }
    entries
};

/// Slots of the first chunk; each further chunk doubles the table, so that it grows without moving
/// an entry that another thread is reading.
const FIRST_CHUNK: u32 = 1024;
/// As many as the largest table needs.
const CHUNKS: usize = (ATOM_LIMIT_MAX / FIRST_CHUNK).ilog2() as usize + 2;

type Chunk = OnceLock<Box<[OnceLock<Entry>]>>;
static SLOTS: [Chunk; CHUNKS] = [const { OnceLock::new() }; CHUNKS];

#[inline]
fn slot(index: u32) -> &'static OnceLock<Entry> {
    let doublings = (index / FIRST_CHUNK)
        .checked_ilog2()
        .map_or(0, |log| log + 1);
    let start = if doublings == 0 {
        0
    } else {
        FIRST_CHUNK << (doublings - 1)
    };
    let chunk = SLOTS[doublings as usize].get_or_init(|| {
        let slots = start.max(FIRST_CHUNK);
        (0..slots).map(|_| OnceLock::new()).collect()
    });
    &chunk[(index - start) as usize]
}

impl PartialOrd for Atom {
    fn partial_cmp(&self, other: &Atom) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Atom {
    #[inline]
    fn cmp(&self, other: &Atom) -> Ordering {
        if self.0 == other.0 {
            return Ordering::Equal;
        }
        let (left, right) = (self.entry(), other.entry());
        left.prefix
            .cmp(&right.prefix)
            .then_with(|| left.name.cmp(right.name))
    }
}

/// Erlang syntax: quoted where Erlang needs the quotes.
impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        text::print::write_atom(*self, f)
    }
}

impl fmt::Debug for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Inside a VM message the atom itself; its name as a string elsewhere.
impl Serialize for Atom {
    #[inline]
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(embed::ATOM, self.as_str())
    }
}

/// From a foreign format, only names that fit the table's limit: the input chooses them.
impl<'de> Deserialize<'de> for Atom {
    #[inline]
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Atom, D::Error> {
        deserializer.deserialize_newtype_struct(embed::ATOM, AtomVisitor)
    }
}

struct AtomVisitor;

impl<'de> Visitor<'de> for AtomVisitor {
    type Value = Atom;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an atom")
    }

    #[inline]
    fn visit_str<E: de::Error>(self, name: &str) -> Result<Atom, E> {
        crate::atom_cache::text(name).map_err(E::custom)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Atom, E> {
        Ok(if value {
            crate::atoms::TRUE
        } else {
            crate::atoms::FALSE
        })
    }

    fn visit_none<E: de::Error>(self) -> Result<Atom, E> {
        Ok(crate::atoms::NIL)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Atom, E> {
        Ok(crate::atoms::NIL)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, inner: D) -> Result<Atom, D::Error> {
        // Readable formats have booleans and null of their own, which are atoms here.
        if inner.is_human_readable() {
            inner.deserialize_any(self)
        } else {
            inner.deserialize_str(self)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::atoms;

    #[test]
    fn a_name_has_one_atom() {
        let atom = Atom::new("a name with spaces").unwrap();
        assert_eq!(Atom::new("a name with spaces"), Ok(atom));
        assert_eq!(Atom::existing("a name with spaces"), Some(atom));
        assert_eq!(atom.as_str(), "a name with spaces");
        assert_eq!(Atom::existing("never made anywhere"), None);
        assert_eq!(Atom::new("ok"), Ok(atoms::OK));
    }

    #[test]
    fn names_have_at_most_255_characters() {
        assert!(Atom::new(&"ü".repeat(255)).is_ok());
        let error = Atom::new(&"x".repeat(256));
        assert_eq!(error, Err(AtomError::TooLong { characters: 256 }));
    }

    #[test]
    fn many_atoms_keep_their_names_over_several_chunks() {
        let atoms: Vec<Atom> = (0..5000)
            .map(|n| Atom::new(&format!("chunk_{n}")).unwrap())
            .collect();
        for (n, atom) in atoms.iter().enumerate() {
            assert_eq!(atom.as_str(), format!("chunk_{n}"));
        }
    }

    #[test]
    fn order_is_by_name() {
        let names = ["", "a", "ab", "abcdefgh", "abcdefgh1", "b", "z\u{1F600}"];
        for (i, left) in names.iter().enumerate() {
            for (j, right) in names.iter().enumerate() {
                let (left, right) = (Atom::new(left).unwrap(), Atom::new(right).unwrap());
                assert_eq!(left.cmp(&right), i.cmp(&j));
            }
        }
        // A zero byte in the name must not pass for the padding of the prefix.
        assert!(Atom::new("a").unwrap() < Atom::new("a\0").unwrap());
    }

    #[test]
    fn quotes_where_erlang_needs_them() {
        let cases = [
            ("ok", "ok"),
            ("élan", "élan"),
            ("a÷b", "'a÷b'"),
            ("Ω", "'Ω'"),
            ("a\u{1}\u{7F}\u{90}", r"'a\001\d\220'"),
            ("a@b_C1", "a@b_C1"),
            ("EXIT", "'EXIT'"),
            ("end", "'end'"),
            ("", "''"),
            ("it's", r"'it\'s'"),
            ("a\nb", r"'a\nb'"),
            ("$gen_call", "'$gen_call'"),
        ];
        for (name, text) in cases {
            assert_eq!(Atom::new(name).unwrap().to_string(), text);
        }
    }
}
