//! Errors of the external format.

use thiserror::Error;

use super::limits::{INTEGER_BYTES_MAX, TUPLE_ELEMENTS_MAX};
use crate::AtomError;

/// A term could not be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The term holds a native resource.
    #[error(
        "the term holds a native resource, which has no external format: send it in a message of this VM"
    )]
    Native,
    /// A binary or an integer is over what 32 bits can count.
    #[error(
        "a binary or integer of {bytes} bytes is over the 4,294,967,295 that the format can count: send it in parts"
    )]
    TooLong {
        /// Bytes of it.
        bytes: usize,
    },
    /// The term is over what 32 bits can count, and should be compressed.
    #[error(
        "a term of {bytes} bytes is over the 4,294,967,295 that the compressed form can count: send it in parts"
    )]
    TooLarge {
        /// Bytes of the term.
        bytes: usize,
    },
}

/// Bytes could not be read as a term: what was wrong, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("at byte {offset}{}: {kind}", if *.inflated { " of the inflated bytes" } else { "" })]
#[non_exhaustive]
pub struct DecodeError {
    /// Bytes before the one where the wrong part begins, from the start of the input; or, if
    /// `inflated`, from the start of what came out of a compressed term.
    pub offset: usize,
    /// Whether the offset counts inflated bytes.
    pub inflated: bool,
    /// What was wrong.
    pub kind: DecodeErrorKind,
}

/// What was wrong with the bytes of a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The bytes end too soon.
    #[error("expected {expected}, found the end")]
    End {
        /// What should have come.
        expected: &'static str,
    },
    /// Another byte was expected.
    #[error("expected {expected}, found the byte {found}")]
    Expected {
        /// What should have come.
        expected: &'static str,
        /// What came.
        found: u8,
    },
    /// A number in the input is out of range.
    #[error("expected {expected}, found {found}")]
    Range {
        /// What should have come.
        expected: &'static str,
        /// What came.
        found: u64,
    },
    /// A fun of Erlang code.
    #[error("a fun's code is in no Rust program: send fun module:function/arity, or data")]
    Fun,
    /// A number of an atom cache.
    #[error("a reference to an atom cache means nothing outside a distribution's message")]
    CacheReference,
    /// A term that only its writer reads.
    #[error("a term in local form is read only by the node that wrote it")]
    Local,
    /// A name is no atom.
    #[error(transparent)]
    Atom(#[from] AtomError),
    /// A name is no UTF-8.
    #[error("an atom's name is no UTF-8")]
    Utf8,
    /// No atom has the name, and none was to be made.
    #[error("no atom of this program has the name, and none is made of this input")]
    UnknownAtom,
    /// A float that Erlang does not have, or a text that is none.
    #[error("expected a finite float")]
    Float,
    /// A key stands twice in a map.
    #[error("a map has the same key twice")]
    DuplicateKey,
    /// The input nests too deeply.
    #[error(
        "the term nests deeper than {depth_max} levels: raise DecodeOptions::depth_max if it may"
    )]
    TooDeep {
        /// The limit in force.
        depth_max: u32,
    },
    /// The block would pass its limit.
    #[error("the term is over {words_max} words: raise DecodeOptions::words_max if it may")]
    TooLarge {
        /// The limit in force, in words of 8 bytes.
        words_max: u32,
    },
    /// A tuple is too long.
    #[error("a tuple has at most {TUPLE_ELEMENTS_MAX} elements, this one has {elements}")]
    TooManyElements {
        /// Elements announced.
        elements: u32,
    },
    /// An integer is too large.
    #[error("an integer has at most {INTEGER_BYTES_MAX} bytes, this one has {bytes}")]
    IntegerTooLarge {
        /// Bytes announced.
        bytes: usize,
    },
    /// A compressed term is announced to be too large.
    #[error(
        "a compressed term of {announced} bytes is over the limit of {inflated_bytes_max}: raise \
         DecodeOptions::inflated_bytes_max if it may"
    )]
    InflatedTooLarge {
        /// Bytes announced.
        announced: u32,
        /// The limit in force.
        inflated_bytes_max: usize,
    },
    /// What should inflate does not.
    #[error("the compressed bytes are no zlib stream")]
    Zlib,
    /// A compressed term has another size than announced.
    #[error("a compressed term is not of the {announced} bytes that were announced")]
    InflatedSize {
        /// Bytes announced.
        announced: u32,
    },
}
