//! The limits of the external format, each with its unit and its reason.

/// Elements of a tuple at most, as in OTP.
pub const TUPLE_ELEMENTS_MAX: u32 = (1 << 24) - 1;

/// Bytes of an integer's magnitude that are read at most: a little over the largest that OTP has
/// (2^26 bits), so that one integer does not hold its thread.
pub const INTEGER_BYTES_MAX: usize = 8 * 1024 * 1024 + 8;

/// Levels that a term nests, unless [`DecodeOptions::depth_max`](super::DecodeOptions::depth_max)
/// says otherwise. All of them together take 16 MiB while they are read. Chosen by feel.
pub const DEFAULT_DEPTH_MAX: u32 = 1 << 20;

/// Bytes that a compressed term inflates to at most, unless
/// [`DecodeOptions::inflated_bytes_max`](super::DecodeOptions::inflated_bytes_max) says otherwise.
/// Chosen by feel: a few kilobytes of input reach it.
pub const DEFAULT_INFLATED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Bytes of a binary that are one unit of work to copy.
pub const COPIED_BYTES_PER_WORK: usize = 256;

/// Bytes that are one unit of work to make by inflating.
pub const INFLATED_BYTES_PER_WORK: usize = 16;

/// Bytes that are one unit of work to deflate.
pub const DEFLATED_BYTES_PER_WORK: usize = 1;

/// Bytes inflated or deflated in one go: a step's overhead is then small beside it.
pub(super) const CHUNK_BYTES: usize = 32 * 1024;

/// Characters of a string at most in the form of a byte each: 16 bits count them.
pub(super) const STRING_BYTES_MAX: usize = 65_535;

/// Words of room at first for a decoded term, for so many bytes of input: tuples and lists of numbers take about as
/// many (`benches/etf.rs`), and maps with atoms half of that, so that a block seldom grows, and seldom gives room back.
pub(super) const FIRST_WORDS_PER_1000_BYTES: usize = 360;

/// Words of room at first for a decoded term at most; more come as they are needed.
pub(super) const FIRST_WORDS_MAX: usize = 1 << 20;
