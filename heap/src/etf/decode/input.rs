//! What is read from: bytes with a place in them, and atoms by their names.

use crate::etf::atom_names::{self, Known};
use crate::etf::error::DecodeErrorKind;
use crate::etf::options::DecodeOptions;
use crate::etf::tags::{
    ATOM_CACHE_REF, ATOM_EXT, ATOM_UTF8_EXT, SMALL_ATOM_EXT, SMALL_ATOM_UTF8_EXT,
};
use crate::{Atom, Binary};

/// Creations that fit the two bits that older forms had for them.
const OLD_CREATION_MAX: u8 = 3;

/// Bytes, and how many of them were read.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

impl<'a> Input<'a> {
    #[inline(always)]
    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    #[inline(always)]
    pub(super) fn array<const N: usize>(
        &mut self,
        expected: &'static str,
    ) -> Result<[u8; N], DecodeErrorKind> {
        match self.bytes[self.at..].first_chunk() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => Err(DecodeErrorKind::End { expected }),
        }
    }

    #[inline(always)]
    pub(super) fn byte(&mut self, expected: &'static str) -> Result<u8, DecodeErrorKind> {
        Ok(u8::from_be_bytes(self.array(expected)?))
    }

    #[inline(always)]
    pub(super) fn short(&mut self, expected: &'static str) -> Result<usize, DecodeErrorKind> {
        Ok(u16::from_be_bytes(self.array(expected)?).into())
    }

    #[inline(always)]
    pub(super) fn long(&mut self, expected: &'static str) -> Result<u32, DecodeErrorKind> {
        Ok(u32::from_be_bytes(self.array(expected)?))
    }

    #[inline(always)]
    pub(super) fn take(
        &mut self,
        len: usize,
        expected: &'static str,
    ) -> Result<&'a [u8], DecodeErrorKind> {
        match self.bytes[self.at..].get(..len) {
            Some(bytes) => {
                self.at += len;
                Ok(bytes)
            }
            None => Err(DecodeErrorKind::End { expected }),
        }
    }
}

/// What is read from, with what was asked for.
pub(super) struct Source<'a> {
    pub(super) input: Input<'a>,
    pub(super) known: &'a Known,
    pub(super) shared: Option<&'a Binary>,
    pub(super) options: &'a DecodeOptions,
    pub(super) work: usize,
    pub(super) budget: usize,
}

impl Source<'_> {
    /// An atom of so many bytes.
    #[inline(always)]
    pub(super) fn atom(&mut self, len: usize, latin1: bool) -> Result<Atom, DecodeErrorKind> {
        let rest = &self.input.bytes[self.input.at..];
        if rest.len() < len {
            let expected = "an atom's name";
            return Err(DecodeErrorKind::End { expected });
        }
        self.input.at += len;
        atom_names::read(self.known, rest, len, latin1, self.options.existing_atoms)
    }

    /// An atom whose tag was read.
    pub(super) fn atom_of(&mut self, tag: u8) -> Result<Atom, DecodeErrorKind> {
        let expected = "an atom's length";
        match tag {
            SMALL_ATOM_UTF8_EXT | SMALL_ATOM_EXT => {
                let len = self.input.byte(expected)?;
                self.atom(len.into(), tag == SMALL_ATOM_EXT)
            }
            ATOM_UTF8_EXT | ATOM_EXT => {
                let len = self.input.short(expected)?;
                self.atom(len, tag == ATOM_EXT)
            }
            ATOM_CACHE_REF => Err(DecodeErrorKind::CacheReference),
            found => {
                let expected = "the tag of an atom";
                Err(DecodeErrorKind::Expected { expected, found })
            }
        }
    }

    /// An atom inside another term: a node, a module, a function.
    pub(super) fn node(&mut self) -> Result<Atom, DecodeErrorKind> {
        let tag = self.input.byte("an atom")?;
        self.atom_of(tag)
    }

    pub(super) fn creation(&mut self, old: bool) -> Result<u32, DecodeErrorKind> {
        if !old {
            return self.input.long("a node's creation");
        }
        let expected = "a node's creation, 0 to 3";
        match self.input.byte(expected)? {
            creation @ 0..=OLD_CREATION_MAX => Ok(creation.into()),
            found => Err(DecodeErrorKind::Expected { expected, found }),
        }
    }

    pub(super) fn is_local(&self, node: Atom, creation: u32) -> bool {
        node == self.options.node && creation == self.options.creation
    }
}
