//! Terms of a heap as bytes, for a later time or another program.
//!
//! All numbers are 64 bits, little-endian:
//!
//! ```text
//! "otp-heap" | version | atoms, objects, words of objects, roots (how many) | atoms | objects | roots
//! ```
//!
//! An atom is its length in bytes (16 bits) and its name. A root, and each part of an object, is a word as in memory,
//! but an atom's payload counts in the table above, and a boxed word has the tag of a header and the number of its
//! object, from 0. An object is the header as in memory, and then:
//!
//! | kind | words |
//! |---|---|
//! | cons (length 0) | head, tail |
//! | tuple, other | its words |
//! | map | each key, then its value |
//! | float, big integer | as in memory |
//! | binary, wherever it was | its bytes, padded with zeros |
//!
//! Objects stand in post-order: what an object refers to comes before it. So the reader goes once from first to last
//! and makes each object by the same functions as everyone else, of terms that are made already. A number that is not
//! under the count so far is an error; there can be no cycle, no overlap and no object that is not whole. What is
//! shared is written once and stays shared.

use std::collections::HashMap;

use super::{Heap, Root};
use crate::encode::Encoder;
use crate::limits::{SNAPSHOT_KEY_WORK, SNAPSHOT_KEY_WORK_MIN};
use crate::raw::Space;
use crate::term::Term;
use crate::word::{
    ATOM, BIG, CONS, FLOAT, HEADER, HEAP_BINARY, INTEGER, MAP, NATIVE, NIL, OTHER, Other, PID,
    PORT, REFERENCE, SHARED_BINARY, TUPLE, Word,
};
use crate::{Atom, EncodeError, Export, ExternalPid, ExternalPort, ExternalRef, SnapshotError};

const MAGIC: &[u8; 8] = b"otp-heap";
const VERSION: u64 = 1;
const WORD_BYTES: usize = size_of::<Word>();

impl Heap {
    /// Terms of the heap as bytes, sharing included. [`Heap::restore`] gives their roots in the same order.
    ///
    /// Atoms go by name and shared binaries with their bytes. Pids, references and ports are the numbers that they are.
    ///
    /// # Errors
    ///
    /// [`SnapshotError::Native`] if a native resource is reached, [`SnapshotError::Root`] for the root of another heap.
    pub fn snapshot<'r>(
        &self,
        roots: impl IntoIterator<Item = &'r Root>,
    ) -> Result<Vec<u8>, SnapshotError> {
        let mut roots = roots.into_iter();
        let Some(inner) = &self.inner else {
            return match roots.next() {
                None => Ok(Writer::default().finish(&[])),
                Some(_) => Err(SnapshotError::Root),
            };
        };
        let space = inner.space();
        let mut writer = Writer {
            numbers: vec![0; space.len() as usize],
            ..Writer::default()
        };
        let mut words = Vec::new();
        for root in roots {
            let word = inner.root(root).ok_or(SnapshotError::Root)?;
            writer.reach(space, word)?;
            words.push(writer.word(word));
        }
        Ok(writer.finish(&words))
    }

    /// Adds the terms of a snapshot to the heap; gives their roots.
    ///
    /// The bytes may come from anywhere: what is wrong with them is an error. They name atoms, though, which stay in
    /// the program's table. Collects first if the heap is full.
    ///
    /// # Errors
    ///
    /// See [`SnapshotError`]. The heap is then as it was.
    ///
    /// ```
    /// # use otp_heap::{Heap, to_term};
    /// let mut heap = Heap::new();
    /// let root = heap.keep(to_term(&("name", 1.5))?.root())?;
    /// let bytes = heap.snapshot([&root])?;
    ///
    /// let mut other = Heap::new();
    /// let roots = other.restore(&bytes)?;
    /// assert_eq!(other.get(&roots[0]), heap.get(&root));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn restore(&mut self, bytes: &[u8]) -> Result<Vec<Root>, SnapshotError> {
        let inner = self.prepare(0);
        let mark = inner.space().mark();
        let words = match Reader::new(bytes).read(&mut inner.making.0) {
            Ok(words) => words,
            Err(error) => {
                inner.making.0.space_mut().rollback(mark);
                return Err(match error {
                    SnapshotError::Full { .. } => self.snapshot_full(),
                    error => error,
                });
            }
        };
        let roots: Vec<Root> = words.into_iter().map(|word| self.insert(word)).collect();
        if !self.settle(mark) {
            for root in roots {
                let _ = self.release(root);
            }
            self.collect();
            return Err(self.snapshot_full());
        }
        Ok(roots)
    }

    fn snapshot_full(&self) -> SnapshotError {
        SnapshotError::Full {
            max_bytes: self.max_bytes(),
        }
    }
}

#[derive(Default)]
struct Writer {
    /// For the offset of each object its number and 1 more, 0 before it is written.
    numbers: Vec<u32>,
    objects: u32,
    atoms: HashMap<Atom, u64, foldhash::fast::RandomState>,
    atom_bytes: Vec<u8>,
    bytes: Vec<u8>,
}

impl Writer {
    fn push(&mut self, word: u64) {
        self.bytes.extend_from_slice(&word.to_le_bytes());
    }

    fn number(&self, word: Word) -> u32 {
        self.numbers[word.offset() as usize]
    }

    /// Writes all objects that a word reaches and that are not written yet, the deepest first.
    fn reach(&mut self, space: &Space, root: Word) -> Result<(), SnapshotError> {
        // Whether the parts of an object have been put above it.
        let mut waiting = vec![(root, false)];
        while let Some((word, parts_done)) = waiting.pop() {
            if !word.is_boxed() || self.number(word) != 0 {
                continue;
            }
            if parts_done || !matches!(word.tag(), CONS | TUPLE | MAP) {
                self.object(space, word)?;
                self.objects += 1;
                self.numbers[word.offset() as usize] = self.objects;
                continue;
            }
            waiting.push((word, true));
            each_part(space, word, |part| {
                if part.is_boxed() && self.number(part) == 0 {
                    waiting.push((part, false));
                }
            });
        }
        Ok(())
    }

    fn object(&mut self, space: &Space, word: Word) -> Result<(), SnapshotError> {
        let offset = word.offset();
        let header = space.get(offset);
        match word.tag() {
            CONS => self.push(Word::header(CONS, 0).0),
            MAP => self.push(Word::header(MAP, pairs(space, word)).0),
            HEAP_BINARY | SHARED_BINARY => {
                // SAFETY: the word is that of a finished term of the space, which is borrowed.
                let term = unsafe { Term::new(space.base(), word) };
                let (bytes, _) = term.as_bitstring().unwrap_or_default();
                let flags = u64::from(header.header_bits()) << 8;
                self.push((bytes.len() as u64) << 16 | flags | HEAP_BINARY << 4 | HEADER);
                self.bytes.extend_from_slice(bytes);
                let padding = bytes.len().next_multiple_of(WORD_BYTES) - bytes.len();
                self.bytes.extend_from_slice(&[0; WORD_BYTES][..padding]);
                return Ok(());
            }
            NATIVE => return Err(SnapshotError::Native),
            _ => self.push(header.0),
        }
        match word.tag() {
            FLOAT | BIG => {
                for index in 1..=header.raw_words() {
                    self.push(space.get(offset + index).0);
                }
            }
            OTHER => {
                for index in 1..=header.header_len() {
                    let part = self.word(space.get(offset + index));
                    self.push(part);
                }
            }
            _ => each_part(space, word, |part| {
                let part = self.word(part);
                self.push(part);
            }),
        }
        Ok(())
    }

    /// A word as it stands in a snapshot. Its object is written already.
    fn word(&mut self, word: Word) -> u64 {
        if word.is_boxed() {
            return u64::from(self.number(word) - 1) << 4 | HEADER;
        }
        if word.tag() != ATOM {
            return word.0;
        }
        let atom = Atom::from_index(word.offset());
        let next = self.atoms.len() as u64;
        let index = *self.atoms.entry(atom).or_insert_with(|| {
            let name = atom.as_str();
            let len = name.len() as u16;
            self.atom_bytes.extend_from_slice(&len.to_le_bytes());
            self.atom_bytes.extend_from_slice(name.as_bytes());
            next
        });
        index << 4 | ATOM
    }

    fn finish(self, roots: &[u64]) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(
            (6 + roots.len()) * WORD_BYTES + self.atom_bytes.len() + self.bytes.len(),
        );
        bytes.extend_from_slice(MAGIC);
        let counts = [
            VERSION,
            self.atoms.len() as u64,
            self.objects.into(),
            (self.bytes.len() / WORD_BYTES) as u64,
            roots.len() as u64,
        ];
        let words = |bytes: &mut Vec<u8>, words: &[u64]| {
            words
                .iter()
                .for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
        };
        words(&mut bytes, &counts);
        bytes.extend_from_slice(&self.atom_bytes);
        bytes.extend_from_slice(&self.bytes);
        words(&mut bytes, roots);
        bytes
    }
}

/// The map that a word is.
fn map(space: &Space, word: Word) -> Option<crate::Map<'_>> {
    // SAFETY: the word is that of a finished term of the space, which is borrowed.
    unsafe { Term::new(space.base(), word) }.as_map()
}

fn pairs(space: &Space, word: Word) -> u32 {
    map(space, word).map_or(0, |map| map.len() as u32)
}

/// The parts of a cell, a tuple or a map, each key before its value.
fn each_part(space: &Space, word: Word, mut part: impl FnMut(Word)) {
    let offset = word.offset();
    match word.tag() {
        CONS => {
            part(space.get(offset));
            part(space.get(offset + 1));
        }
        MAP => map(space, word).into_iter().flatten().for_each(|pair| {
            part(pair.0.word());
            part(pair.1.word());
        }),
        _ => (1..=space.get(offset).header_len()).for_each(|index| part(space.get(offset + index))),
    }
}

struct Reader<'b> {
    bytes: &'b [u8],
    rest: &'b [u8],
    atoms: Vec<Atom>,
    objects: Vec<Object>,
    /// Room for the parts of one object.
    terms: Vec<Word>,
    /// What comparing keys may still cost.
    key_work: u64,
}

/// An object that was read: its word, and its words when what is shared counts each time.
#[derive(Clone, Copy)]
struct Object {
    word: Word,
    weight: u64,
}

impl<'b> Reader<'b> {
    fn new(bytes: &'b [u8]) -> Reader<'b> {
        let words = (bytes.len() / WORD_BYTES) as u64;
        Reader {
            bytes,
            rest: bytes,
            atoms: Vec::new(),
            objects: Vec::new(),
            terms: Vec::new(),
            key_work: SNAPSHOT_KEY_WORK_MIN + words.saturating_mul(SNAPSHOT_KEY_WORK),
        }
    }

    #[cold]
    fn wrong(&self, what: &'static str) -> SnapshotError {
        SnapshotError::Malformed {
            at: self.bytes.len() - self.rest.len(),
            what,
        }
    }

    fn take(&mut self, bytes: u64) -> Result<&'b [u8], SnapshotError> {
        let split = usize::try_from(bytes)
            .ok()
            .and_then(|bytes| self.rest.split_at_checked(bytes));
        let Some((taken, rest)) = split else {
            return Err(self.wrong("the bytes end early"));
        };
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn number(&mut self) -> Result<u64, SnapshotError> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return Err(self.wrong("the bytes end early"));
        };
        self.rest = rest;
        Ok(u64::from_le_bytes(*bytes))
    }

    fn read(mut self, encoder: &mut Encoder) -> Result<Vec<Word>, SnapshotError> {
        if self.take(MAGIC.len() as u64)? != MAGIC {
            return Err(self.wrong("this is no snapshot of a heap"));
        }
        let version = self.number()?;
        if version != VERSION {
            return Err(SnapshotError::Version { version });
        }
        let (atoms, objects) = (self.number()?, self.number()?);
        let (words, roots) = (self.number()?, self.number()?);
        for _ in 0..atoms {
            let len = self.take(2)?;
            let name = self.take(u16::from_le_bytes([len[0], len[1]]).into())?;
            let name = std::str::from_utf8(name).map_err(|_| self.wrong("a name is not UTF-8"))?;
            self.atoms.push(Atom::new(name)?);
        }
        let after = (self.rest.len() as u64).checked_sub(words.saturating_mul(8));
        for _ in 0..objects {
            let object = self.object(encoder)?;
            self.objects.push(object);
        }
        if after != Some(self.rest.len() as u64) {
            return Err(self.wrong("the objects take other words than announced"));
        }
        let mut words = Vec::new();
        for _ in 0..roots {
            words.push(self.term()?.word);
        }
        if !self.rest.is_empty() {
            return Err(self.wrong("bytes follow the last root"));
        }
        Ok(words)
    }

    /// A term: an immediate, or an object read before.
    #[inline]
    fn term(&mut self) -> Result<Object, SnapshotError> {
        let word = Word(self.number()?);
        let immediate = |word| Object { word, weight: 1 };
        match word.tag() {
            HEADER => usize::try_from(word.payload())
                .ok()
                .and_then(|number| self.objects.get(number).copied())
                .ok_or_else(|| self.wrong("a term names an object that does not come before it")),
            ATOM => usize::try_from(word.payload())
                .ok()
                .and_then(|index| self.atoms.get(index))
                .map(|atom| immediate(Word::atom(*atom)))
                .ok_or_else(|| self.wrong("an atom is not in the table")),
            INTEGER | PID | REFERENCE | PORT => Ok(immediate(word)),
            NIL if word == Word::NIL => Ok(immediate(word)),
            _ => Err(self.wrong("a word is no term")),
        }
    }

    fn atom(&mut self) -> Result<Atom, SnapshotError> {
        let word = self.term()?.word;
        if word.tag() == ATOM {
            Ok(Atom::from_index(word.offset()))
        } else {
            Err(self.wrong("an identifier has no atom in its place"))
        }
    }

    /// A number of 32 bits.
    fn small(&mut self) -> Result<u32, SnapshotError> {
        let word = Word(self.number()?);
        u32::try_from(word.payload())
            .ok()
            .filter(|_| word.tag() == INTEGER)
            .ok_or_else(|| self.wrong("an identifier has no number in its place"))
    }

    /// Adds so many terms; gives their weight together, and that of every second one from the first: the keys of a map.
    fn terms(&mut self, count: u64, terms: &mut Vec<Word>) -> Result<(u64, u64), SnapshotError> {
        if count > (self.rest.len() / WORD_BYTES) as u64 {
            return Err(self.wrong("the bytes end early"));
        }
        let mut weights = [0_u64; 2];
        for index in 0..count as usize {
            let term = self.term()?;
            weights[index % 2] = weights[index % 2].saturating_add(term.weight);
            terms.push(term.word);
        }
        Ok((weights[0].saturating_add(weights[1]), weights[0]))
    }

    fn object(&mut self, encoder: &mut Encoder) -> Result<Object, SnapshotError> {
        let header = Word(self.number()?);
        let (kind, flags, len) = (header.header_kind(), header.0 >> 8 & 0xFF, header.0 >> 16);
        if header.tag() != HEADER {
            return Err(self.wrong("an object has no header"));
        }
        let mut terms = std::mem::take(&mut self.terms);
        terms.clear();
        let (made, weight) = match (kind, flags) {
            (CONS, 0) if len == 0 => {
                let (head, tail) = (self.term()?, self.term()?);
                let weight = head.weight.saturating_add(tail.weight);
                (encoder.cons(head.word, tail.word), weight)
            }
            (TUPLE, 0) => {
                let (weight, _) = self.terms(len, &mut terms)?;
                (encoder.tuple_of(&terms), weight)
            }
            (MAP, 0) => {
                let (weight, keys) = self.terms(len.saturating_mul(2), &mut terms)?;
                self.charge_keys(len, keys)?;
                let map = encoder.map_of(&terms).map_err(SnapshotError::of)?;
                if u64::from(pairs(encoder.space(), map)) != len {
                    return Err(self.wrong("a map has a key twice"));
                }
                (Ok(map), weight)
            }
            (FLOAT, 0) if len == 1 => (encoder.float(f64::from_bits(self.number()?)), 1),
            (BIG, 0 | 1) => {
                let bytes = self.take(len.saturating_mul(8))?;
                let limbs: Vec<u64> = bytes
                    .chunks_exact(WORD_BYTES)
                    .map(|limb| {
                        limb.iter()
                            .rev()
                            .fold(0, |sum, byte| sum << 8 | u64::from(*byte))
                    })
                    .collect();
                (encoder.limbs(flags == 1, &limbs), len)
            }
            (HEAP_BINARY, 0..8) if len > 0 || flags == 0 => {
                let bytes = self.take(len)?;
                let padding = self.take(len.next_multiple_of(8) - len)?;
                if padding.iter().any(|byte| *byte != 0) {
                    return Err(self.wrong("a binary is not padded with zeros"));
                }
                let bits = match flags as usize {
                    0 => bytes.len() * 8,
                    last => (bytes.len() - 1) * 8 + last,
                };
                (encoder.bits(bytes, bits), len / 8)
            }
            (OTHER, kind) => (self.other(encoder, kind, len)?, len),
            _ => return Err(self.wrong("an object is of no kind")),
        };
        self.terms = terms;
        Ok(Object {
            word: made.map_err(SnapshotError::of)?,
            weight: weight.saturating_add(2),
        })
    }

    fn other(
        &mut self,
        encoder: &mut Encoder,
        kind: u64,
        len: u64,
    ) -> Result<Result<Word, EncodeError>, SnapshotError> {
        const PID_KIND: u64 = Other::ExternalPid as u64;
        const PORT_KIND: u64 = Other::ExternalPort as u64;
        const REF_KIND: u64 = Other::ExternalRef as u64;
        const EXPORT_KIND: u64 = Other::Export as u64;
        Ok(match (kind, len) {
            (PID_KIND, 4) => encoder.external_pid(ExternalPid {
                node: self.atom()?,
                creation: self.small()?,
                id: self.small()?,
                serial: self.small()?,
            }),
            (PORT_KIND, 4) => encoder.external_port(ExternalPort {
                node: self.atom()?,
                creation: self.small()?,
                id: u64::from(self.small()?) << 32 | u64::from(self.small()?),
            }),
            (REF_KIND, 3..=7) => {
                let (node, creation) = (self.atom()?, self.small()?);
                let mut ids = [0; ExternalRef::IDS_MAX];
                let ids = &mut ids[..len as usize - 2];
                for id in ids.iter_mut() {
                    *id = self.small()?;
                }
                match ExternalRef::new(node, creation, ids) {
                    Some(external) => encoder.external_ref(&external),
                    None => return Err(self.wrong("a reference has no numbers")),
                }
            }
            (EXPORT_KIND, 3) => {
                let (module, function, arity) = (self.atom()?, self.atom()?, self.small()?);
                let arity =
                    u8::try_from(arity).map_err(|_| self.wrong("a fun has too many arguments"))?;
                encoder.export(Export {
                    module,
                    function,
                    arity,
                })
            }
            _ => return Err(self.wrong("an identifier is of no kind")),
        })
    }

    /// Before keys are compared: what is shared in them many times over could take for ever.
    fn charge_keys(&mut self, pairs: u64, keys: u64) -> Result<(), SnapshotError> {
        let Some(rounds) = pairs.checked_ilog2().filter(|rounds| *rounds > 0) else {
            return Ok(());
        };
        let work = keys.saturating_mul(u64::from(rounds) + 1);
        match self.key_work.checked_sub(work) {
            Some(left) => {
                self.key_work = left;
                Ok(())
            }
            None => Err(self.wrong("the keys of maps share too much to be compared")),
        }
    }
}

impl SnapshotError {
    fn of(error: EncodeError) -> SnapshotError {
        match error {
            EncodeError::TooLarge { .. } => SnapshotError::Full { max_bytes: 0 },
            error => SnapshotError::Term(error),
        }
    }
}
