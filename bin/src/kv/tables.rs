//! The tables that hold everything, and how they pass from hand to hand.
//!
//! 1. The keeper makes the tables, with itself as heir, and then does nothing but keep them.
//! 2. A store that starts asks the keeper for them ([`super::keeper`]); each is given away to the store.
//! 3. When the store dies, each table it has goes back to the keeper before anybody hears of the death.
//! 4. Who only reads keeps the handles through all of this: a table's owner changes, the table does not.

use otp_vm::{Context, ExitReason, Pid, Table, TableError, TableKind, TableOptions};

/// The names and kinds of the tables.
const TABLES: [(&str, TableKind); 5] = [
    // Key -> see `entry`.
    ("kv_data", TableKind::Set),
    // {Id, Index or Member or Field} -> see `entry`.
    ("kv_elements", TableKind::OrderedSet),
    // {ExpiresAt, Key} -> ok, for each key that expires.
    ("kv_expiry", TableKind::OrderedSet),
    // Id -> ok, for each container whose rows are to be removed.
    ("kv_graveyard", TableKind::OrderedSet),
    // next_id -> the last id given to a container.
    ("kv_meta", TableKind::Set),
];

/// Handles to all tables.
#[derive(Clone, Debug)]
pub struct Tables {
    /// A row for each key.
    pub data: Table,
    /// The rows of lists, sets and hashes.
    pub elements: Table,
    /// The keys that expire, soonest first.
    pub expiry: Table,
    /// Containers that no key has any more.
    pub graveyard: Table,
    /// Counters of the store.
    pub meta: Table,
}

impl Tables {
    /// Makes the tables that are not there, owned by the caller, and the caller the heir of those that it owns.
    ///
    /// # Errors
    ///
    /// When the VM has no room for more tables.
    pub fn create(cx: &Context) -> Result<Tables, TableError> {
        for (name, kind) in TABLES {
            let options = match kind {
                TableKind::Set => TableOptions::set(),
                TableKind::OrderedSet => TableOptions::ordered_set(),
            };
            match cx.table(name) {
                Some(table) if table.owner() == Some(cx.pid()) => {
                    table.set_heir(cx, Some((cx.pid(), &())))?
                }
                Some(_) => {}
                None => {
                    cx.table_new(name, options.protected().named().heir(cx.pid(), &())?)?;
                }
            }
        }
        Tables::find(cx).ok_or(TableError::OwnerGone)
    }

    /// The tables, if all are there.
    pub fn find(cx: &Context) -> Option<Tables> {
        let table = |index: usize| cx.table(TABLES[index].0);
        Some(Tables {
            data: table(0)?,
            elements: table(1)?,
            expiry: table(2)?,
            graveyard: table(3)?,
            meta: table(4)?,
        })
    }

    /// All of them.
    pub fn all(&self) -> [&Table; 5] {
        [
            &self.data,
            &self.elements,
            &self.expiry,
            &self.graveyard,
            &self.meta,
        ]
    }

    /// Makes `heir` the heir of the tables, which the caller owns.
    ///
    /// # Errors
    ///
    /// When the caller does not own them.
    pub fn set_heir(&self, cx: &Context, heir: Pid) -> Result<(), TableError> {
        self.all()
            .into_iter()
            .try_for_each(|table| table.set_heir(cx, Some((heir, &()))))
    }

    /// Bytes that all of them take.
    pub fn memory(&self) -> usize {
        self.all().into_iter().map(Table::memory).sum()
    }
}

/// The exit reason of a process that cannot go on because of a table.
pub fn exit_reason(error: &TableError) -> ExitReason {
    ExitReason::new(&("table", error.to_string()))
}
