//! What can be chosen.

use super::limits::{DEFAULT_DEPTH_MAX, DEFAULT_INFLATED_BYTES_MAX};
use crate::limits::BLOCK_WORDS_MAX;
use crate::{Atom, atoms};

/// Which tags are written for atoms. Mirrors the option `minor_version`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MinorVersion {
    /// Latin-1 where the name allows it, else UTF-8: the default up to OTP 25.
    One,
    /// UTF-8: the default since OTP 26.
    #[default]
    Two,
}

/// How a term is written.
///
/// ```
/// use otp_heap::etf::{self, EncodeOptions, MinorVersion};
/// use otp_heap::{OwnedTerm, atoms};
///
/// let term = OwnedTerm::from(atoms::OK);
/// let options = EncodeOptions::new().minor_version(MinorVersion::One).deterministic(true);
/// assert_eq!(etf::encode(term.root(), &options)?, b"\x83\x64\x00\x02ok");
/// # Ok::<(), etf::EncodeError>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EncodeOptions {
    pub(super) minor_version: MinorVersion,
    pub(super) deterministic: bool,
    pub(super) compressed: Option<u8>,
    pub(super) node: Atom,
    pub(super) creation: u32,
}

impl Default for EncodeOptions {
    fn default() -> EncodeOptions {
        EncodeOptions::new()
    }
}

impl EncodeOptions {
    /// Minor version 2, pairs of large maps in any order, not compressed; local identifiers are
    /// those of `nonode@nohost`, creation 0.
    pub const fn new() -> EncodeOptions {
        EncodeOptions {
            minor_version: MinorVersion::Two,
            deterministic: false,
            compressed: None,
            node: atoms::NONODE_NOHOST,
            creation: 0,
        }
    }

    /// Which tags are written for atoms.
    #[must_use]
    pub const fn minor_version(self, minor_version: MinorVersion) -> EncodeOptions {
        EncodeOptions {
            minor_version,
            ..self
        }
    }

    /// Whether equal terms are to be equal bytes, here and in any OTP of the same release: maps are
    /// written in the order of their keys, which costs a sort for each large one.
    #[must_use]
    pub const fn deterministic(self, deterministic: bool) -> EncodeOptions {
        EncodeOptions {
            deterministic,
            ..self
        }
    }

    /// Compresses the term, if that makes it smaller, with zlib's level 1 (quickest) to 9; 0 is
    /// not at all, and 6 what OTP takes. Levels over 9 are 9.
    #[must_use]
    pub const fn compressed(self, level: u8) -> EncodeOptions {
        let compressed = match level {
            0 => None,
            1..=9 => Some(level),
            _ => Some(9),
        };
        EncodeOptions { compressed, ..self }
    }

    /// The node that local pids, references and ports are written with.
    #[must_use]
    pub const fn node(self, node: Atom, creation: u32) -> EncodeOptions {
        EncodeOptions {
            node,
            creation,
            ..self
        }
    }
}

/// How a term is read, and within which limits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecodeOptions {
    pub(super) existing_atoms: bool,
    pub(super) words_max: u32,
    pub(super) depth_max: u32,
    pub(super) inflated_bytes_max: usize,
    pub(super) node: Atom,
    pub(super) creation: u32,
}

impl Default for DecodeOptions {
    fn default() -> DecodeOptions {
        DecodeOptions::new()
    }
}

impl DecodeOptions {
    /// Atoms are made, a block is of any size, levels are at most [`DEFAULT_DEPTH_MAX`], inflated
    /// bytes [`DEFAULT_INFLATED_BYTES_MAX`]; identifiers of `nonode@nohost`, creation 0, are local.
    pub const fn new() -> DecodeOptions {
        DecodeOptions {
            existing_atoms: false,
            words_max: BLOCK_WORDS_MAX,
            depth_max: DEFAULT_DEPTH_MAX,
            inflated_bytes_max: DEFAULT_INFLATED_BYTES_MAX,
            node: atoms::NONODE_NOHOST,
            creation: 0,
        }
    }

    /// Whether an atom that the program does not have is an error. Mirrors the option `safe`.
    #[must_use]
    pub const fn existing_atoms(self, existing_atoms: bool) -> DecodeOptions {
        DecodeOptions {
            existing_atoms,
            ..self
        }
    }

    /// Words of 8 bytes that the block may have. Two for each byte of input are always enough.
    #[must_use]
    pub const fn words_max(self, words_max: u32) -> DecodeOptions {
        DecodeOptions { words_max, ..self }
    }

    /// Levels that the term may nest, the tails of lists aside. Each takes 16 bytes while it is
    /// read.
    #[must_use]
    pub const fn depth_max(self, depth_max: u32) -> DecodeOptions {
        DecodeOptions { depth_max, ..self }
    }

    /// Bytes that a compressed term may inflate to.
    #[must_use]
    pub const fn inflated_bytes_max(self, inflated_bytes_max: usize) -> DecodeOptions {
        DecodeOptions {
            inflated_bytes_max,
            ..self
        }
    }

    /// The node whose pids, references and ports are local.
    #[must_use]
    pub const fn node(self, node: Atom, creation: u32) -> DecodeOptions {
        DecodeOptions {
            node,
            creation,
            ..self
        }
    }
}
