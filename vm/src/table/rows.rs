//! The rows of a table of either kind, and rows that were taken out of one.

use otp_heap::{OwnedTerm, Term};

use super::ordered::{OrderedRow, OrderedRows};
use super::row::Row;
use super::set::{SetRows, Slot};
use super::{TableError, TableKind};

/// The table was deleted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

#[derive(Debug)]
pub(super) enum Rows {
    Set(SetRows),
    Ordered(OrderedRows),
}

macro_rules! of_either_kind {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty;)*) => {
        $(pub(super) fn $name(&self, $($argument: $type),*) -> $result {
            match self {
                Rows::Set(rows) => rows.$name($($argument),*),
                Rows::Ordered(rows) => rows.$name($($argument),*),
            }
        })*
    };
}

impl Rows {
    pub(super) fn new(kind: TableKind) -> Rows {
        match kind {
            TableKind::Set => Rows::Set(SetRows::new()),
            TableKind::OrderedSet => Rows::Ordered(OrderedRows::default()),
        }
    }

    of_either_kind! {
        fn get(key: Term<'_>) -> Result<Option<Row>, Closed>;
        fn insert(row: Row) -> Result<Option<Row>, Closed>;
        fn insert_new(row: Row) -> Result<bool, Closed>;
        fn insert_many(rows: Vec<Row>) -> Result<Vec<Row>, Closed>;
        fn change(
            key: Term<'_>,
            change: impl FnOnce(Option<&Row>) -> Result<Row, TableError>
        ) -> Result<Result<(), TableError>, Closed>;
        fn remove(key: Term<'_>) -> Result<Option<Row>, Closed>;
        fn remove_many(keys: &[OwnedTerm]) -> Result<Vec<Row>, Closed>;
        fn empty(close: bool) -> Result<Discarded, Closed>;
        fn len() -> usize;
        fn bytes() -> usize;
    }
}

/// Rows taken out of a table at once, to be freed in steps.
///
/// Emptying a table is quick whatever its size; freeing a million rows is not. Whoever emptied it frees them when
/// it suits, by [`Discarded::free`]; dropping the value frees what is left at once.
#[derive(Debug)]
#[must_use = "dropping it frees all rows at once"]
pub struct Discarded {
    pub(super) parts: Vec<DiscardedRows>,
}

#[derive(Debug)]
pub(super) enum DiscardedRows {
    Set(hashbrown::hash_table::IntoIter<Slot>),
    Ordered(std::collections::btree_set::IntoIter<OrderedRow>),
}

impl Discarded {
    /// Frees up to `limit` rows; false when none is left. Charges one reduction a row.
    pub fn free(&mut self, limit: usize) -> bool {
        let mut left = limit;
        while let Some(part) = self.parts.last_mut() {
            let (freed, remaining) = match part {
                DiscardedRows::Set(rows) => (rows.by_ref().take(left).count(), rows.len()),
                DiscardedRows::Ordered(rows) => (rows.by_ref().take(left).count(), rows.len()),
            };
            left -= freed;
            if remaining > 0 {
                break;
            }
            self.parts.pop();
        }
        otp_scheduler::tick(u32::try_from(limit - left).unwrap_or(u32::MAX));
        !self.parts.is_empty()
    }
}
