//! The external term format: the bytes of `term_to_binary/2`, from and to blocks without a tree
//! between.
//!
//! ```
//! use otp_heap::{etf, to_term};
//!
//! let term = to_term(&("put", 1, [2.5]))?;
//! let bytes = etf::term_to_binary(term.root())?;
//! assert_eq!(bytes[..3], [131, 104, 3]);
//! assert_eq!(etf::binary_to_term(&bytes)?, term);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is written
//!
//! What OTP 25 to 27 write, byte by byte, with the same [`EncodeOptions`]:
//!
//! - [`MinorVersion::Two`], the default since OTP 26, and [`MinorVersion::One`], OTP 25's, differ
//!   in the tags of atoms.
//! - [`EncodeOptions::deterministic`] writes the pairs of every map in the order of their keys, as
//!   OTP does. Without it a map's pairs come as they lie, here and there: a flat map's in key
//!   order, as in OTP 25 (OTP 26 and later lay atoms out by their number, which no other node
//!   knows); those of a larger one in no order that two programs share.
//! - A compressed term is one that zlib reads, and of zlib's own size or nearly. Its bytes differ.
//!
//! # What is read
//!
//! All that those releases send, and the older forms that they still read. Refused with an error
//! that says so: funs other than `fun m:f/a` (their code is in no Rust program), references
//! without a number, references to a distribution's atom cache, and what only the node that wrote
//! it can read (`local`).
//!
//! Pids, references and ports of the node and creation in the options are local ones, if they fit
//! the 60 bits of such; all others are external ones, and are written as they were read.
//!
//! # Input from strangers
//!
//! Decoding does not recurse, and never panics. A count in the input makes no room before the
//! bytes for it are there, and those of no other count: the term takes at most 16 bytes for each
//! byte of input (inflated, if it is compressed), its block at most twice that, since its room doubles, and the stack
//! 16 for each level. [`DecodeOptions`] has the limits.
//! With [`DecodeOptions::existing_atoms`] no atom is made (`binary_to_term(_, [safe])`).
//!
//! # By steps
//!
//! [`Encoder`] and [`Decoder`] do the same by steps with a budget, so that a big term does not
//! hold its thread: see [`Progress`] for what a unit of work is.

mod atom_names;
mod compress;
mod decode;
mod encode;
mod error;
mod limits;
mod options;
mod room;
mod tags;

pub use decode::Decoder;
pub use encode::Encoder;
pub use error::{DecodeError, DecodeErrorKind, EncodeError};
pub use limits::{
    COPIED_BYTES_PER_WORK, DEFAULT_DEPTH_MAX, DEFAULT_INFLATED_BYTES_MAX, DEFLATED_BYTES_PER_WORK,
    INFLATED_BYTES_PER_WORK, INTEGER_BYTES_MAX, TUPLE_ELEMENTS_MAX,
};
pub use options::{DecodeOptions, EncodeOptions, MinorVersion};

use crate::{Binary, Block, OwnedTerm, Term};

/// What a step did.
///
/// A unit of work is a term written or read, or so many bytes copied, inflated or deflated
/// ([`COPIED_BYTES_PER_WORK`], [`INFLATED_BYTES_PER_WORK`], [`DEFLATED_BYTES_PER_WORK`]): some 5 to
/// 10 ns. A step may go over its budget by what cannot be cut: a list of up to 65,535 bytes, room
/// for a tuple's elements, the order of a map's keys, one integer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Progress {
    /// Units of work done in this step.
    pub work: usize,
    /// Whether all is done.
    pub done: bool,
}

/// The external format of a term. Mirrors `term_to_binary/1` of OTP 26 and later.
///
/// # Errors
///
/// [`EncodeError::Native`] if the term holds a native resource.
pub fn term_to_binary(term: Term<'_>) -> Result<Vec<u8>, EncodeError> {
    encode(term, &EncodeOptions::new())
}

/// The external format of a term, with options. Mirrors `term_to_binary/2`.
///
/// # Errors
///
/// See [`EncodeError`].
pub fn encode(term: Term<'_>, options: &EncodeOptions) -> Result<Vec<u8>, EncodeError> {
    let mut encoder = Encoder::new(term, options);
    encoder.step(usize::MAX)?;
    Ok(encoder.finish())
}

/// The term of an external format; bytes behind it are let be. Mirrors `binary_to_term/1`.
///
/// # Errors
///
/// See [`DecodeError`].
pub fn binary_to_term(bytes: &[u8]) -> Result<OwnedTerm, DecodeError> {
    Ok(decode((), bytes, &DecodeOptions::new())?.0)
}

/// The term behind a header, and the bytes that it took: there may be more behind them. Mirrors
/// `binary_to_term(_, [used])`.
///
/// # Errors
///
/// See [`DecodeError`].
pub fn decode<H>(
    header: H,
    bytes: &[u8],
    options: &DecodeOptions,
) -> Result<(Block<H>, usize), DecodeError> {
    finish(header, Decoder::new(bytes, options))
}

/// As [`decode`]; binaries over 64 bytes in the term are parts of the input and not copied. They
/// keep all of it alive. (Inflated bytes are copied out.)
///
/// # Errors
///
/// See [`DecodeError`].
pub fn decode_shared<H>(
    header: H,
    binary: &Binary,
    options: &DecodeOptions,
) -> Result<(Block<H>, usize), DecodeError> {
    finish(header, Decoder::shared(binary, options))
}

fn finish<H>(header: H, mut decoder: Decoder<'_, H>) -> Result<(Block<H>, usize), DecodeError> {
    decoder.step(usize::MAX)?;
    Ok(decoder.finish(header))
}
