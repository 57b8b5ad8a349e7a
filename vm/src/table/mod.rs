//! Tables: terms kept outside of any process, as ETS keeps them.
//!
//! # A table's life
//!
//! 1. A process creates a table and owns it. The registry ([`Tables`]) counts it, knows it by its name when it
//!    is named, and knows which process owns what.
//! 2. Reads pass by the owner: any process reads a public or protected table directly. Writes of a protected
//!    table are the owner's alone, so a server that owns one serialises the writes and nobody waits for a read.
//! 3. The owner gives the table away, or dies. Whoever takes a table off the list of what its owner has decides
//!    what becomes of it: `give_away` moves it to the receiver's list, `owner_died` to the heir's or to nobody's.
//!    The list changes under one lock, so exactly one of two rivals gets it.
//! 4. A table that goes to a process which may just be dying is first put on that process's list, then the
//!    process's liveness is asked. Either the death sees the table on the list, or the giver sees the death: a
//!    table never ends up with an owner whom nobody will mourn.
//! 5. Deletion closes every shard under its lock. A write that was on its way finds the shard closed and answers
//!    [`TableError::NoTable`]; rows that readers still hold live until the last of them lets go.
//!
//! # Rows
//!
//! A row is the term `{Key, Value}` in one counted block, never changed once it is in the table: to replace it is
//! to put another block in its place. A reader takes a count under the lock and looks at the row outside of it, so
//! no user code (`Serialize`, `Deserialize`, closures, destructors) ever runs under a lock, and no reader waits
//! for another one's closure.

mod error;
mod options;
mod ordered;
mod registry;
mod row;
mod rows;
mod set;
#[expect(
    clippy::module_inception,
    reason = "the type is what the module is about"
)]
mod table;
#[cfg(test)]
mod tests;

pub use error::TableError;
pub use options::{Access, TableKind, TableOptions};
pub use registry::{DEFAULT_MAX_TABLES, Tables};
pub use rows::Discarded;
pub use table::Table;
