//! The limits of this crate, each with its unit and its reason.

/// Levels that a Rust value nests at most when it is encoded or decoded: serde recurses once a level, and once for each
/// `Some` and newtype. Terms themselves may nest as deeply as they are long.
///
/// Without optimisation the tests of this limit pass on a stack of 1 MiB and not on one of 768 KiB; a type whose own
/// frames are large needs more. Chosen by feel above what real values reach.
pub const DEPTH_MAX: u32 = 512;

/// Words of 8 bytes in a block at most: offsets inside a block have 32 bits.
pub const BLOCK_WORDS_MAX: u32 = u32::MAX - 1;

/// Bytes of a binary that still lies inside the block; a longer one is shared and counted.
///
/// OTP's own bound: under it copying costs less than counting.
pub const HEAP_BINARY_BYTES_MAX: usize = 64;

/// Pairs of a map that lies flat, its keys in order; a larger one is a hash trie. OTP's own bound.
pub const FLAT_MAP_PAIRS_MAX: usize = 32;

/// Characters of an atom's name at most, as in OTP.
pub const ATOM_CHARACTERS_MAX: usize = 255;

/// Atoms in the program's table unless [`set_atom_limit`](crate::set_atom_limit) says otherwise;
/// OTP's default.
pub const DEFAULT_ATOM_LIMIT: u32 = 1_048_576;

/// Atoms that [`set_atom_limit`](crate::set_atom_limit) allows at most: the largest table of OTP (`erl +t`). So an
/// atom's index has 31 bits.
pub const ATOM_LIMIT_MAX: u32 = (1 << 31) - 1;

/// Bytes of all binaries of a parsed text together, unless
/// [`ParseOptions::binary_bytes_max`](crate::ParseOptions::binary_bytes_max) says otherwise.
///
/// `<<0:1000000>>` is a short text for a long binary. Chosen by feel above what is written as text.
pub const PARSE_BINARY_BYTES_MAX: usize = 64 << 20;

/// Levels that a parsed text nests, unless
/// [`ParseOptions::depth_max`](crate::ParseOptions::depth_max) says otherwise.
///
/// The parser does not recurse, but keeps some 120 bytes for a level that is open, which may be one
/// character of text: all levels together take 120 MiB. Chosen by feel.
pub const PARSE_DEPTH_MAX: u32 = 1 << 20;

/// Digits of an integer of a parsed text, unless
/// [`ParseOptions::integer_digits_max`](crate::ParseOptions::integer_digits_max) says otherwise.
///
/// The time grows with the square: 65,536 digits take some 5 ms.
pub const PARSE_INTEGER_DIGITS_MAX: usize = 65_536;

/// Words that a block in the making has on the stack: 512 bytes. Nearly all messages fit. Chosen by feel.
pub(crate) const SCRATCH_WORDS: u32 = 64;

/// Words that an allocation begins with which is to grow: of a builder, of a process's heap.
pub(crate) const FIRST_WORDS: u32 = 16;

/// Bytes from which a block gives back its unused end, if that is over half of it. Below, the
/// second allocation would cost more than the waste.
pub(crate) const SHRINK_BYTES: usize = 1024;

/// Words of a process's heap at most, in living terms: so many again may come on top until a collection decides.
pub(crate) const HEAP_WORDS_MAX: u32 = BLOCK_WORDS_MAX / HEAP_GROWTH;

/// Words under which a process's heap is never full: OTP's `min_heap_size`.
pub(crate) const HEAP_WORDS_MIN: u32 = 233;

/// Words of room at most that a process's heap is given before they are used: 128 MiB. A larger `min_heap_size` still
/// puts collections off. Chosen by feel: a system that can't give so much is in trouble anyway.
pub(crate) const HEAP_ROOM_WORDS_MAX: u32 = 1 << 24;

/// Bytes of shared binaries under which a process's heap is never full on their account: OTP's `min_bin_vheap_size`,
/// which is 46,422 words.
pub(crate) const HEAP_BINARY_BYTES_MIN: usize = 46_422 * 8;

/// What a heap may grow to before the next collection, in times of what was alive after the last: so a word is copied
/// about once for each word added.
pub(crate) const HEAP_GROWTH: u32 = 2;

/// A heap with more than so many times the words that are alive gives memory back, as OTP's under a quarter of use.
pub(crate) const HEAP_SHRINK: u32 = 4;

/// Words of keys that restoring a snapshot compares at most, for each word of the snapshot. Honest maps need about the
/// logarithm of their size; a forged one of a few words may share its way up to any size.
pub(crate) const SNAPSHOT_KEY_WORK: u64 = 64;

/// The same, for a snapshot of any size: keys that share much take some 100 ms at most.
pub(crate) const SNAPSHOT_KEY_WORK_MIN: u64 = 1 << 24;

/// Pages of 64 KiB that a thread has of one size of blocks, from which on it takes none of its own back (see
/// [`share_free_blocks`](crate::share_free_blocks)). Pages that it takes because it needs blocks don't count against
/// it. The environment's `MIMALLOC_PAGE_MAX_RECLAIM` goes before.
///
/// Bodies of 100,000 processes that are replaced by chance, without an end, take as much room as at first with 2 and,
/// nearly, with 16; with 64 half as much again.
pub const DEFAULT_PAGES_TAKEN_BACK: u16 = 16;
