//! From a Rust name to its atom without a hash or a lock.
//!
//! serde names fields and variants by `&'static str`, so a name's address and length stand for
//! its text as long as the program runs. A table of the thread keeps the atom; the conversion from
//! CamelCase happens once, on a miss.

use std::borrow::Cow;
use std::cell::Cell;

use crate::{Atom, AtomError, atoms};

/// Places of a thread's table, each for two entries: 6 KiB. Chosen by feel; a service has a few
/// dozen message names, of which some meet: where a name lies is by chance, anew in each run.
const PLACES: usize = 128;

/// What a place keeps: the last that came, and the one before. So two that meet do not drive each
/// other out.
struct Pair<E>([Cell<E>; 2]);

impl<E: Copy> Pair<E> {
    const fn new(empty: E) -> Pair<E> {
        Pair([Cell::new(empty), Cell::new(empty)])
    }

    #[inline]
    fn find(&self, is_it: impl Fn(&E) -> bool) -> Option<E> {
        self.0.iter().map(Cell::get).find(is_it)
    }

    fn keep(&self, entry: E) {
        self.0[1].set(self.0[0].replace(entry));
    }
}

#[derive(Clone, Copy)]
struct Entry {
    address: usize,
    // The name's length, doubled; odd for a variant, whose text is converted.
    key: usize,
    atom: Atom,
}

thread_local! {
    static CACHE: [Pair<Entry>; PLACES] = const {
        [const { Pair::new(Entry { address: 0, key: 0, atom: atoms::OK }) }; PLACES]
    };
    static VARIANTS: [Pair<Variant>; PLACES] = const {
        [const { Pair::new(Variant { address: 0, length: 0, atom: 0, index: 0 }) }; PLACES]
    };
}

#[inline]
fn place(address: usize, key: usize) -> usize {
    (address ^ key.rotate_right(8)).wrapping_mul(0x9E37_79B9_7F4A_7C15_u64 as usize)
        >> (usize::BITS - PLACES.ilog2())
}

#[inline]
fn lookup(name: &str, key: usize) -> Option<Atom> {
    let address = name.as_ptr() as usize;
    let is_it = |entry: &Entry| entry.address == address && entry.key == key;
    let entry = CACHE.with(|cache| cache[place(address, key)].find(is_it));
    entry.map(|entry| entry.atom)
}

fn remember(name: &'static str, key: usize, atom: Atom) {
    let address = name.as_ptr() as usize;
    CACHE.with(|cache| cache[place(address, key)].keep(Entry { address, key, atom }));
}

/// The atom of a field's name, taken as it is.
#[inline]
pub(crate) fn field(name: &'static str) -> Result<Atom, AtomError> {
    let key = name.len() * 2;
    lookup(name, key).map_or_else(|| miss(name, key, Cow::Borrowed), Ok)
}

/// The atom of a variant's name, or of a unit struct's: CamelCase becomes snake_case.
#[inline]
pub(crate) fn variant(name: &'static str) -> Result<Atom, AtomError> {
    let key = name.len() * 2 + 1;
    lookup(name, key).map_or_else(|| miss(name, key, snake_case), Ok)
}

#[cold]
#[inline(never)]
fn miss(
    name: &'static str,
    key: usize,
    convert: fn(&'static str) -> Cow<'static, str>,
) -> Result<Atom, AtomError> {
    let atom = Atom::new(&convert(name))?;
    remember(name, key, atom);
    Ok(atom)
}

/// The atom of any text. Hits for an atom's own canonical text: the table holds only names that
/// live for ever, so an equal address and length is an equal text.
#[inline]
pub(crate) fn text(name: &str) -> Result<Atom, AtomError> {
    let key = name.len() * 2;
    lookup(name, key).map_or_else(|| text_miss(name, key), Ok)
}

#[cold]
#[inline(never)]
fn text_miss(name: &str, key: usize) -> Result<Atom, AtomError> {
    let atom = Atom::new(name)?;
    let canonical = atom.as_str();
    if std::ptr::eq(canonical, name) {
        remember(canonical, key, atom);
    }
    Ok(atom)
}

#[derive(Clone, Copy)]
struct Variant {
    address: usize,
    length: usize,
    atom: u32,
    index: u32,
}

/// The variant of an enum that an atom names: its place in `names`.
#[inline]
pub(crate) fn find_variant(names: &'static [&'static str], atom: Atom) -> Option<usize> {
    let address = names.as_ptr() as usize;
    let place = place(address, atom.index() as usize);
    let is_it = |entry: &Variant| {
        entry.address == address && entry.length == names.len() && entry.atom == atom.index()
    };
    match VARIANTS.with(|variants| variants[place].find(is_it)) {
        Some(entry) => Some(entry.index as usize),
        None => find_variant_miss(names, atom, place),
    }
}

#[cold]
#[inline(never)]
fn find_variant_miss(names: &'static [&'static str], atom: Atom, place: usize) -> Option<usize> {
    let index = names.iter().position(|name| variant(name) == Ok(atom))?;
    if index < u32::MAX as usize {
        let (address, length) = (names.as_ptr() as usize, names.len());
        let entry = Variant {
            address,
            length,
            atom: atom.index(),
            index: index as u32,
        };
        VARIANTS.with(|variants| variants[place].keep(entry));
    }
    Some(index)
}

/// `NotFound` to `not_found`, `HTTPServer` to `http_server`; names that open with no upper-case
/// letter, or have no lower-case one (`EXIT`, `$gen_call`), stay.
pub(crate) fn snake_case(name: &str) -> Cow<'_, str> {
    let camel = name.starts_with(char::is_uppercase) && name.chars().any(char::is_lowercase);
    if !camel {
        return Cow::Borrowed(name);
    }
    let characters: Vec<char> = name.chars().collect();
    let mut snake = String::with_capacity(name.len() + 4);
    for (index, &character) in characters.iter().enumerate() {
        if character.is_uppercase() && index > 0 {
            let before = characters[index - 1];
            let word_follows = characters
                .get(index + 1)
                .is_some_and(|next| next.is_lowercase());
            let boundary = before.is_lowercase()
                || before.is_ascii_digit()
                || (before.is_uppercase() && word_follows);
            if boundary {
                snake.push('_');
            }
        }
        snake.extend(character.to_lowercase());
    }
    Cow::Owned(snake)
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use super::*;

    #[test]
    fn camel_case_becomes_snake_case() {
        let cases = [
            ("NotFound", "not_found"),
            ("Put", "put"),
            ("HTTPServer", "http_server"),
            ("Md5Sum", "md5_sum"),
            ("Ok", "ok"),
            ("EXIT", "EXIT"),
            ("DOWN", "DOWN"),
            ("$gen_call", "$gen_call"),
            ("already_snake", "already_snake"),
            ("camelCase", "camelCase"),
            ("With_Under", "with_under"),
            ("", ""),
        ];
        for (name, snake) in cases {
            assert_eq!(snake_case(name), snake);
        }
    }

    #[test]
    fn a_field_and_a_variant_of_one_name_do_not_mix() {
        let name: &'static str = "CacheKey";
        for _ in 0..2 {
            assert_eq!(field(name).unwrap().as_str(), "CacheKey");
            assert_eq!(variant(name).unwrap().as_str(), "cache_key");
        }
    }

    #[test]
    fn two_names_that_meet_are_both_kept() {
        static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
            let names = (0..=PLACES).map(|number| format!("meeting_{number:03}"));
            names.collect()
        });
        let names: Vec<&'static str> = NAMES.iter().map(String::as_str).collect();
        let key = names[0].len() * 2;
        let place = |name: &str| place(name.as_ptr() as usize, key);
        let (one, other) = (0..names.len())
            .flat_map(|first| (0..first).map(move |second| (first, second)))
            .map(|(first, second)| (names[first], names[second]))
            .find(|(one, other)| place(one) == place(other))
            .unwrap();
        let atoms = [field(one), field(other), field(one), field(other)];
        assert_eq!(atoms[..2], atoms[2..]);
        assert_eq!(lookup(one, key), atoms[0].ok());
        assert_eq!(lookup(other, key), atoms[1].ok());
    }

    #[test]
    fn text_that_dies_is_not_remembered() {
        let mut buffer = String::from("first_text");
        let first = text(&buffer).unwrap();
        buffer.clear();
        buffer.push_str("other_text");
        assert_ne!(text(&buffer).unwrap(), first);
        assert_eq!(text(first.as_str()), Ok(first));
    }
}
