use otp_heap::{Atom, AtomError, DecodeError, EncodeError, Pid};

/// Why an operation on a table failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// The table was deleted, by its owner or because its owner died without an heir.
    #[error(
        "the table {0} does not exist any more; create it again, or give it an heir that keeps it"
    )]
    NoTable(Atom),
    /// The caller may not do this: the table is protected or private and belongs to another process.
    #[error(
        "the table {0} belongs to another process; ask its owner, or create it with more access"
    )]
    Access(Atom),
    /// The name cannot be an atom.
    #[error("a table's name must be an atom: {0}")]
    Name(#[from] AtomError),
    /// The process that would own the table has ended.
    #[error("the process that would own the table has ended; create it from a living one")]
    OwnerGone,
    /// The process that writes was ended while its code ran on ([`Context`](crate::Context)).
    #[error("the process was ended while its code ran on: what it writes is discarded")]
    Ended,
    /// A named table of that name exists already.
    #[error("a table named {0} exists already; choose another name, or do not name this one")]
    NameTaken(Atom),
    /// The VM has as many tables as it may have.
    #[error(
        "the limit of {limit} tables is reached; delete some, or build the VM with `max_tables` higher"
    )]
    Limit {
        /// The limit, in tables.
        limit: usize,
    },
    /// The row holds a native resource, of which there can be only one.
    #[error("a native resource cannot be kept in a table; send it to a process that keeps it")]
    Native,
    /// The operation needs an order among the keys, which only an ordered_set has.
    #[error("the table {0} is a set and has no order; create it with TableOptions::ordered_set()")]
    NotOrdered(Atom),
    /// The process that should get the table is not alive.
    #[error("{0} is not alive and cannot own a table; choose a living process")]
    NoProcess(Pid),
    /// The value that `update_counter` was to change is not a small integer, or has no default to start from.
    #[error("the value to count with is not an integer, or there is none and no default was given")]
    NotACounter,
    /// The counter would leave the range of a 64-bit integer.
    #[error("the counter would leave the range of a 64-bit integer; it was left as it was")]
    CounterOverflow,
    /// A key or value could not be made a term.
    #[error("a key or value cannot be made a term: {0}")]
    Encode(#[from] EncodeError),
    /// A key or value is not of the type that was asked for.
    #[error("a key or value is not of the type asked for: {0}")]
    Decode(#[from] DecodeError),
}
