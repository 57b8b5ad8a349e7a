//! Errors by operation.

use std::fmt;

use serde::{de, ser};
use thiserror::Error;

use crate::limits::{ATOM_CHARACTERS_MAX, ATOM_LIMIT_MAX, DEPTH_MAX};

/// An atom could not be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AtomError {
    /// The name is too long.
    #[error(
        "an atom's name has at most {ATOM_CHARACTERS_MAX} characters, this one has {characters}: use a binary"
    )]
    TooLong {
        /// Characters of the refused name.
        characters: usize,
    },
    /// The program's table of atoms is full.
    #[error(
        "the table of atoms is full ({limit}): do not make atoms of input, or raise the limit with set_atom_limit"
    )]
    TableFull {
        /// The limit in force.
        limit: u32,
    },
    /// The limit was set already, or more atoms exist than the new limit allows.
    #[error(
        "the limit on atoms stays at {limit}: set it once, early, and above the {count} atoms in use"
    )]
    LimitFixed {
        /// The limit in force.
        limit: u32,
        /// Atoms in use.
        count: u32,
    },
    /// No table of atoms is as large as the new limit.
    #[error("a table of atoms holds at most {ATOM_LIMIT_MAX}, not {limit}: set a lower limit")]
    LimitTooHigh {
        /// The limit asked for.
        limit: u32,
    },
}

/// A term could not be copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CopyError {
    /// The term holds a native resource, which has one owner.
    #[error(
        "the term holds a native resource, which moves and cannot be copied: send it to one receiver"
    )]
    Native,
    /// The copy would pass the limit on a block's size.
    #[error("the copy is over {words_max} words: send it in parts, or as a binary")]
    TooLarge {
        /// The limit in force, in words of 8 bytes.
        words_max: u32,
    },
}

/// A value could not be made a term.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The block would pass its limit ([`BLOCK_WORDS_MAX`](crate::BLOCK_WORDS_MAX) unless a
    /// smaller one was asked for).
    #[error("the term is over {words_max} words: send it in parts, or as a binary")]
    TooLarge {
        /// The limit in force, in words of 8 bytes.
        words_max: u32,
    },
    /// The value nests deeper than [`DEPTH_MAX`]. Terms that it embeds may nest as they like.
    #[error(
        "the value nests deeper than {DEPTH_MAX} levels: make it flatter, or use a list's tail"
    )]
    TooDeep,
    /// A name in the value is no atom.
    #[error(transparent)]
    Atom(#[from] AtomError),
    /// The native resource was sent before.
    #[error("the native resource has moved out already: a resource is sent once")]
    NativeMoved,
    /// A native resource inside a term that should be copied.
    #[error(
        "the term holds a native resource, which moves and cannot be copied: send it to one receiver"
    )]
    NativeCopy,
    /// A float that Erlang does not have.
    #[error("a term has no infinite float and no NaN: send an atom or an Option instead")]
    NotFinite,
    /// A compound value announced one length and gave another.
    #[error("a value announced {announced} elements and gave {given}: its Serialize is wrong")]
    Length {
        /// Elements announced.
        announced: usize,
        /// Elements given; one more than announced stands for any excess.
        given: usize,
    },
    /// A bitstring is longer than its bytes.
    #[error("a bitstring of {bits} bits was made of {bytes} bytes: give it at least as many bits")]
    Bits {
        /// Bits asked for.
        bits: usize,
        /// Bytes given.
        bytes: usize,
    },
    /// A builder was asked for more terms than lie on its stack, or finished with more than one.
    #[error("the builder needs {needed} terms on its stack and has {present}")]
    Stack {
        /// Terms needed.
        needed: usize,
        /// Terms present.
        present: usize,
    },
    /// A builder was asked to change a term that is no map. Mirrors `badmap`.
    #[error(
        "a map was to be changed, and another kind of term stands there on the builder's stack"
    )]
    BadMap,
    /// A builder was asked to update a key that the map does not have. Mirrors `badkey`.
    #[error("the map has no such key to update: use map_put")]
    BadKey,
    /// A builder was given the root of another heap, or a term that is no part of what the root keeps.
    #[error("the root is none of this heap's, or the part is none of its term: copy the term in")]
    Root,
    /// The value's own `Serialize` failed.
    #[error("{0}")]
    Message(Box<str>),
}

/// A term could not be kept on a process's heap.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum HeapError {
    /// With the term, the heap would pass its limit.
    #[error(
        "the heap is at its limit of {max_bytes} bytes: release terms, or raise it with set_max_bytes"
    )]
    Full {
        /// The limit in force, in bytes of living terms.
        max_bytes: usize,
    },
    /// The term could not be copied in.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The term could not be built.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// A snapshot of a heap could not be written or read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SnapshotError {
    /// A term holds a native resource, which exists in one program only.
    #[error(
        "a term of the snapshot holds a native resource: release it first, or leave that root out"
    )]
    Native,
    /// The root of another heap was given.
    #[error("a root of the snapshot is none of this heap's")]
    Root,
    /// With the terms, the heap would pass its limit.
    #[error(
        "the heap is at its limit of {max_bytes} bytes: release terms, or raise it with set_max_bytes"
    )]
    Full {
        /// The limit in force, in bytes of living terms.
        max_bytes: usize,
    },
    /// The snapshot is of another version.
    #[error(
        "the snapshot has version {version}, only 1 is known: restore it by the program that wrote it"
    )]
    Version {
        /// The version found.
        version: u64,
    },
    /// The bytes are no snapshot, or not a whole one.
    #[error("at byte {at} of the snapshot: {what}")]
    Malformed {
        /// How many bytes were read before.
        at: usize,
        /// What is wrong with them.
        what: &'static str,
    },
    /// A name is no atom, or the program's table is full.
    #[error(transparent)]
    Atom(#[from] AtomError),
    /// A term could not be made.
    #[error(transparent)]
    Term(EncodeError),
}

impl From<CopyError> for EncodeError {
    fn from(error: CopyError) -> EncodeError {
        match error {
            CopyError::Native => EncodeError::NativeCopy,
            CopyError::TooLarge { words_max } => EncodeError::TooLarge { words_max },
        }
    }
}

impl ser::Error for EncodeError {
    fn custom<T: fmt::Display>(message: T) -> EncodeError {
        EncodeError::Message(message.to_string().into())
    }
}

/// What was wrong with a term.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// Another kind of term was expected.
    #[error("expected {expected}, found {found}")]
    Mismatch {
        /// What the type wanted.
        expected: Box<str>,
        /// The start of the term that was there.
        found: Box<str>,
    },
    /// The type nests deeper than [`DEPTH_MAX`].
    #[error("the type nests deeper than {DEPTH_MAX} levels")]
    TooDeep,
    /// The native resource was received before.
    #[error("the native resource has moved out already: a resource is received once")]
    NativeMoved,
    /// The value's own `Deserialize` failed: a missing field, an unknown variant, a number out of
    /// range.
    #[error("{0}")]
    Message(Box<str>),
}

/// A term could not be made a value: what was wrong, and where (`request.key[3]`).
#[derive(Clone, PartialEq, Eq)]
pub struct DecodeError(Box<Detail>);

#[derive(Clone, PartialEq, Eq)]
struct Detail {
    kind: DecodeErrorKind,
    // From the innermost step to the outermost: each level appends as the error passes.
    path: Vec<Step>,
}

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Name(Box<str>),
    Index(usize),
}

impl DecodeError {
    #[cold]
    pub(crate) fn new(kind: DecodeErrorKind) -> DecodeError {
        DecodeError(Box::new(Detail {
            kind,
            path: Vec::new(),
        }))
    }

    #[cold]
    pub(crate) fn at(mut self, step: Step) -> DecodeError {
        self.0.path.push(step);
        self
    }

    /// What was wrong.
    pub fn kind(&self) -> &DecodeErrorKind {
        &self.0.kind
    }

    /// Where: `request.key[3]`; empty for the term itself.
    pub fn path(&self) -> String {
        let mut text = String::new();
        for step in self.0.path.iter().rev() {
            match step {
                Step::Name(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                Step::Index(index) => text.push_str(&format!("[{index}]")),
            }
        }
        text
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.0.path.is_empty() {
            write!(f, "{}: ", self.path())?;
        }
        fmt::Display::fmt(&self.0.kind, f)
    }
}

impl fmt::Debug for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DecodeError")
            .field("kind", &self.0.kind)
            .field("path", &self.path())
            .finish()
    }
}

impl std::error::Error for DecodeError {}

impl de::Error for DecodeError {
    fn custom<T: fmt::Display>(message: T) -> DecodeError {
        DecodeError::new(DecodeErrorKind::Message(message.to_string().into()))
    }
}
