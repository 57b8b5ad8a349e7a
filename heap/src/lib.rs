//! Erlang terms, position-independent blocks, and serde both ways.
//!
//! A term lives in a [`Block`]: one allocation that holds a header of the owner's and the words
//! of the term. Any `Serialize` type becomes a term in one pass, and comes back by `Deserialize`.
//!
//! ```
//! use otp_heap::{Pid, from_term, to_term};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize, PartialEq, Debug)]
//! enum Request {
//!     Put(String, f64),
//!     Subscribe { from: Pid },
//!     Stop,
//! }
//!
//! let term = to_term(&Request::Put("k".into(), 1.0))?;
//! assert_eq!(term.to_string(), r#"{put,<<"k">>,1.0}"#);
//! assert_eq!(from_term::<Request>(term.root())?, Request::Put("k".into(), 1.0));
//!
//! let from = Pid::from_parts(4, 1);
//! let term = to_term(&[Request::Subscribe { from }, Request::Stop])?;
//! assert_eq!(term.to_string(), "{{subscribe,#{from => <0.4.1>}},stop}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # How Rust types map to terms
//!
//! | Rust | term | read as well |
//! |---|---|---|
//! | unit variant `NotFound` | atom `not_found` | |
//! | newtype variant `Get(k)`, tuple variant `Put(k, v)` | `{get, K}`, `{put, K, V}` | |
//! | struct variant `Move { x }` | `{move, #{x => X}}` | |
//! | `Result` | `{ok, V}`, `{error, E}` | a bare `ok` or `error` for `()` inside |
//! | struct | map with atom keys | binaries as keys |
//! | tuple, tuple struct, array | tuple | list |
//! | newtype struct | what it wraps | |
//! | unit struct `Sweep` | atom `sweep` | |
//! | `()` | atom `ok` | |
//! | sequence, set | list | tuple; a binary, for bytes |
//! | map | map | |
//! | `None`, `Some(x)` | atom `nil`, `x` itself | `undefined` for `None` |
//! | `bool` | atom `true`, `false` | |
//! | integers up to `i128`, `u128` | integer | |
//! | `f32`, `f64` | float; infinite ones and NaN are refused | integer |
//! | `char` | integer | a binary of one character |
//! | `str`, `String` | binary | atom, by its name |
//! | bytes | binary | list of integers |
//! | [`Atom`], [`Pid`], [`Ref`], [`Port`], [`Term`], [`OwnedTerm`] | themselves | |
//! | [`Binary`] | binary; over 64 bytes by reference | |
//! | [`Native`] | native resource; it moves | |
//!
//! A variant's name turns from `CamelCase` to `snake_case` if it opens with an upper-case letter
//! and has a lower-case one: `EXIT` and `$gen_call` stay as they are, and so do names of fields.
//! Map keys are unique: the last wins. Up to 32 of them lie flat, in order; more are a hash trie.
//!
//! The page `docs/terms.md` has the whole of serde's data model, the layout in memory, and how to keep terms.
//!
//! # Terms as text
//!
//! [`Display`](std::fmt::Display) prints a term as OTP's `~0tp` does, [`Term::display_latin1`] as
//! `~0p`; [`parse()`] reads Erlang's syntax back, with the line and column of what is wrong.
//! [`term!`] and [`term_match!`] are for terms in the program's own text:
//!
//! ```
//! use otp_heap::{parse, term, term_match};
//!
//! let reply = parse("{reply, [1, 16#ff], #{text => <<\"é\"/utf8>>}}.")?;
//! assert_eq!(reply, term!({reply, [1, 255], #{text => "é"}}));
//! let numbers = term_match!(reply.root(), {reply, numbers: Vec<u8>, _});
//! assert_eq!(numbers, Some(vec![1, 255]));
//! # Ok::<(), otp_heap::ParseError>(())
//! ```
//!
//! # What is promised
//!
//! - A block is one allocation, made straight from mimalloc. Its words hold offsets, so it moves
//!   by a memory copy, and never by a walk. The fixed part takes 24 bytes besides the header.
//! - Terms never point from one block to another. Binaries over 64 bytes are shared and counted.
//! - Order, equality and [`phash2`](Term::phash2) are Erlang's, held against a real one in the
//!   tests; integers and floats compare without rounding. They take no stack however deep a term.
//! - Integers have any size: [`Term::to_integer`] gives one to calculate with.
//! - What is printed is read back as an equal term, native resources apart.
//! - A process keeps its terms on a [`Heap`]: it is collected by steps, and the borrow checker refuses a stale term.
//! - Every size and name has a limit, and going over it is an error that says which. So has the depth of what serde
//!   encodes and decodes; a term that is copied, kept or collected may nest as deeply as it likes.
//! - A `Serialize` that fails or panics half way leaks nothing.
//!
//! # What is not promised
//!
//! - What `Hash` feeds of a term and the index of an atom mean nothing in another program.
//! - Where serde itself buffers (untagged and internally tagged enums, `flatten`), it knows no
//!   terms: atoms, pids and references pass as their texts, and [`OwnedTerm`], [`Native`] and
//!   enums tagged in the usual way cannot pass.
//! - `Some(None)` and `Some(atoms::NIL)` come back as `None`.

/// The examples of `docs/terms.md` are tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/terms.md")]
struct TermsPage;

mod atom;
mod atom_cache;
pub mod atoms;
mod binary;
mod block;
mod builder;
mod compare;
mod copy;
mod decode;
mod embed;
mod encode;
mod error;
pub mod etf;
mod external;
mod free_blocks;
mod hash;
mod heap;
mod key_hash;
mod limits;
mod loan;
mod macros;
mod map;
mod map_change;
mod memory;
mod native;
mod number;
mod off_heap;
mod owned;
mod phash2;
mod pid;
mod port;
mod raw;
mod reference;
mod term;
mod text;
mod trie;
mod word;

pub use atom::{Atom, atom_bytes, atom_count, atoms_refused, set_atom_limit};
pub use binary::Binary;
pub use block::{Block, Immediate, OwnedTerm};
pub use builder::{Builder, Making, Place};
pub use decode::from_term;
pub use encode::{NATIVE_SHOWN, to_block, to_block_within, to_shown_term, to_term};
pub use error::{
    AtomError, CopyError, DecodeError, DecodeErrorKind, EncodeError, HeapError, SnapshotError,
};
pub use external::{Bits, Export, ExternalPid, ExternalPort, ExternalRef};
pub use free_blocks::share_free_blocks;
pub use heap::{Collection, Heap, HeapBuilder, OnHeap, Root};
pub use limits::{
    ATOM_CHARACTERS_MAX, ATOM_LIMIT_MAX, BLOCK_WORDS_MAX, DEFAULT_ATOM_LIMIT,
    DEFAULT_PAGES_TAKEN_BACK, DEPTH_MAX, FLAT_MAP_PAIRS_MAX, HEAP_BINARY_BYTES_MAX,
    PARSE_BINARY_BYTES_MAX, PARSE_DEPTH_MAX, PARSE_INTEGER_DIGITS_MAX,
};
#[doc(hidden)]
pub use macros::support as __macros;
pub use map::{Map, MapIter};
pub use memory::{AtomBytes, allocator_bytes, shared_binary_bytes};
pub use native::Native;
pub use num_bigint;
pub use number::BigInt;
pub use owned::with_term;
pub use pid::Pid;
pub use port::Port;
pub use raw::Raw;
pub use reference::Ref;
pub use term::{Cons, ListIter, Term, Tuple, TupleIter, View};
pub use text::parse::{ParseError, ParseErrorKind, ParseOptions, parse};
pub use text::print::{DisplayLatin1, DisplayLimited};
