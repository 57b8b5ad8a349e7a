//! What users do with a table.

use std::cell::Cell;
use std::ops::Bound;
use std::sync::Arc;

use otp_heap::{Atom, OwnedTerm, Pid, Term, from_term, to_term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::options::transfer_data;
use super::ordered::{Neighbour, OrderedRows};
use super::registry::Inner;
use super::row::Row;
use super::rows::{Closed, Discarded, Rows};
use super::{Access, TableError, TableKind};
use crate::Context;

/// Bytes of a row that cost one reduction to write; reading a row costs one whatever its size. Chosen by feel: a
/// reduction is a quarter of a microsecond, in which a core copies a good kilobyte out of its cache.
const BYTES_PER_REDUCTION: usize = 1024;

/// A table: a handle that may be cloned and sent to threads, but not to processes; those find a table by its name.
///
/// Keys and values are anything that serialises. Every operation takes the calling process's context, to know whose
/// access to check, and charges it reductions by the rows and bytes it touched. After the table was deleted, all of
/// them answer [`TableError::NoTable`].
///
/// Reads take a count of the row under a lock and decode it outside: a reader holds nobody up. What one operation
/// does to one row is atomic; an operation over many rows says what it is.
#[derive(Clone, Debug)]
pub struct Table(pub(super) Arc<Inner>);

impl Table {
    /// The table's name.
    pub fn name(&self) -> Atom {
        self.0.name
    }

    /// Hashed or sorted.
    pub fn kind(&self) -> TableKind {
        match self.0.rows {
            Rows::Set(_) => TableKind::Set,
            Rows::Ordered(_) => TableKind::OrderedSet,
        }
    }

    /// Who owns it; `None` once it was deleted.
    pub fn owner(&self) -> Option<Pid> {
        self.0.owner()
    }

    /// How many rows it has. Zero once it was deleted.
    pub fn len(&self) -> usize {
        self.0.rows.len()
    }

    /// Whether it has no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that the table takes: rows exactly, and the hash table over them (of an ordered_set, an estimate of its
    /// nodes). Binaries of over 64 bytes are shared with whoever else has them and not counted here.
    pub fn memory(&self) -> usize {
        self.0.rows.bytes()
    }

    /// Puts `{key, value}` in, in place of the row that had the key: `ets:insert/2`.
    ///
    /// # Errors
    ///
    /// As for all writes: [`TableError::NoTable`], [`TableError::Access`], [`TableError::Encode`],
    /// [`TableError::Native`].
    pub fn insert<K, V>(&self, cx: &Context, key: &K, value: &V) -> Result<(), TableError>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        self.replace_with(cx, key, value, |_| ())
    }

    /// [`insert`](Table::insert), and looks at the value that was replaced.
    ///
    /// # Errors
    ///
    /// As [`insert`](Table::insert).
    pub fn replace_with<K, V, R>(
        &self,
        cx: &Context,
        key: &K,
        value: &V,
        look: impl FnOnce(Option<Term<'_>>) -> R,
    ) -> Result<R, TableError>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        self.may_write(cx)?;
        let row = self.row(key, value)?;
        let old = self.open(self.0.rows.insert(row))?;
        Ok(look(old.as_ref().map(Row::value)))
    }

    /// Puts `{key, value}` in unless the key is there: `ets:insert_new/2`. Says whether it did.
    ///
    /// # Errors
    ///
    /// As [`insert`](Table::insert).
    pub fn insert_new<K, V>(&self, cx: &Context, key: &K, value: &V) -> Result<bool, TableError>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        self.may_write(cx)?;
        let row = self.row(key, value)?;
        self.open(self.0.rows.insert_new(row))
    }

    /// Puts all rows in at one instant: `ets:insert/2` with a list. Looks at key and value of each row that was
    /// replaced.
    ///
    /// # Errors
    ///
    /// As [`insert`](Table::insert); none of the rows is then in.
    pub fn insert_many<K, V>(
        &self,
        cx: &Context,
        rows: impl IntoIterator<Item = (K, V)>,
        mut look: impl FnMut(Term<'_>, Term<'_>),
    ) -> Result<(), TableError>
    where
        K: Serialize,
        V: Serialize,
    {
        self.may_write(cx)?;
        let rows = rows
            .into_iter()
            .map(|(key, value)| self.row(&key, &value))
            .collect::<Result<Vec<_>, _>>()?;
        let replaced = self.open(self.0.rows.insert_many(rows))?;
        replaced.iter().for_each(|row| look(row.key(), row.value()));
        Ok(())
    }

    /// Removes the rows of all these keys at one instant, and looks at key and value of each.
    ///
    /// # Errors
    ///
    /// As [`insert`](Table::insert); none of the rows is then gone.
    pub fn delete_many<K: Serialize>(
        &self,
        cx: &Context,
        keys: impl IntoIterator<Item = K>,
        mut look: impl FnMut(Term<'_>, Term<'_>),
    ) -> Result<(), TableError> {
        self.may_write(cx)?;
        let keys = keys
            .into_iter()
            .map(|key| key_term(&key))
            .collect::<Result<Vec<_>, _>>()?;
        otp_scheduler::tick(reductions(keys.len()));
        let removed = self.open(self.0.rows.remove_many(&keys))?;
        removed.iter().for_each(|row| look(row.key(), row.value()));
        Ok(())
    }

    /// Removes the key's row: `ets:delete/2`. Says whether there was one.
    ///
    /// # Errors
    ///
    /// As [`insert`](Table::insert).
    pub fn delete<K: Serialize + ?Sized>(&self, cx: &Context, key: &K) -> Result<bool, TableError> {
        Ok(self.remove(cx, key)?.is_some())
    }

    /// Removes the key's row and gives its value: `ets:take/2`.
    ///
    /// # Errors
    ///
    /// As [`insert`](Table::insert), and [`TableError::Decode`]: the row is then gone.
    pub fn take<K, V>(&self, cx: &Context, key: &K) -> Result<Option<V>, TableError>
    where
        K: Serialize + ?Sized,
        V: DeserializeOwned,
    {
        let value = self.take_with(cx, key, |value| from_term(value))?;
        Ok(value.transpose()?)
    }

    /// Removes the key's row and looks at its value.
    ///
    /// # Errors
    ///
    /// As [`insert`](Table::insert).
    pub fn take_with<K, R>(
        &self,
        cx: &Context,
        key: &K,
        look: impl FnOnce(Term<'_>) -> R,
    ) -> Result<Option<R>, TableError>
    where
        K: Serialize + ?Sized,
    {
        Ok(self.remove(cx, key)?.map(|row| look(row.value())))
    }

    /// Removes all rows at one instant: `ets:delete_all_objects/1`. The rows are the caller's to free, in steps if
    /// there may be many.
    ///
    /// # Errors
    ///
    /// [`TableError::NoTable`], [`TableError::Access`].
    pub fn clear(&self, cx: &Context) -> Result<Discarded, TableError> {
        self.may_write(cx)?;
        self.open(self.0.rows.empty(false))
    }

    /// Adds `increment` to the key's value, which must be an integer, and gives the sum: `ets:update_counter/4`.
    /// Without a row, it starts from `default`.
    ///
    /// # Errors
    ///
    /// As [`insert`](Table::insert), [`TableError::NotACounter`], [`TableError::CounterOverflow`].
    pub fn update_counter<K>(
        &self,
        cx: &Context,
        key: &K,
        increment: i64,
        default: Option<i64>,
    ) -> Result<i64, TableError>
    where
        K: Serialize + ?Sized,
    {
        self.may_write(cx)?;
        let key = key_term(key)?;
        otp_scheduler::tick(1);
        let sum = Cell::new(0);
        // Under the lock: reads an integer and makes a row of terms, so no user code runs.
        let change = |row: Option<&Row>| {
            let count = match row {
                Some(row) => row.value().as_i64(),
                None => default,
            };
            let count = count.ok_or(TableError::NotACounter)?;
            sum.set(
                count
                    .checked_add(increment)
                    .ok_or(TableError::CounterOverflow)?,
            );
            Row::new(&key, &sum.get())
        };
        self.open(self.0.rows.change(key.root(), change))??;
        Ok(sum.get())
    }

    /// The key's value: `ets:lookup_element/3`.
    ///
    /// # Errors
    ///
    /// As for all reads: [`TableError::NoTable`], [`TableError::Access`], [`TableError::Encode`]; and
    /// [`TableError::Decode`].
    pub fn lookup<K, V>(&self, cx: &Context, key: &K) -> Result<Option<V>, TableError>
    where
        K: Serialize + ?Sized,
        V: DeserializeOwned,
    {
        let value = self.lookup_with(cx, key, |value| from_term(value))?;
        Ok(value.transpose()?)
    }

    /// Looks at the key's value, outside of every lock.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Table::lookup).
    pub fn lookup_with<K, R>(
        &self,
        cx: &Context,
        key: &K,
        look: impl FnOnce(Term<'_>) -> R,
    ) -> Result<Option<R>, TableError>
    where
        K: Serialize + ?Sized,
    {
        Ok(self.get(cx, key)?.map(|row| look(row.value())))
    }

    /// Whether the key has a row: `ets:member/2`.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Table::lookup).
    pub fn contains<K: Serialize + ?Sized>(
        &self,
        cx: &Context,
        key: &K,
    ) -> Result<bool, TableError> {
        Ok(self.get(cx, key)?.is_some())
    }

    /// The smallest key: `ets:first/1`.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Table::lookup), and [`TableError::NotOrdered`] for a set.
    pub fn first<K: DeserializeOwned>(&self, cx: &Context) -> Result<Option<K>, TableError> {
        self.neighbour(cx, Neighbour::First)
    }

    /// The largest key: `ets:last/1`.
    ///
    /// # Errors
    ///
    /// As [`first`](Table::first).
    pub fn last<K: DeserializeOwned>(&self, cx: &Context) -> Result<Option<K>, TableError> {
        self.neighbour(cx, Neighbour::Last)
    }

    /// The smallest key above `key`, which need not be in the table: `ets:next/2`.
    ///
    /// # Errors
    ///
    /// As [`first`](Table::first).
    pub fn next<K, K2>(&self, cx: &Context, key: &K) -> Result<Option<K2>, TableError>
    where
        K: Serialize + ?Sized,
        K2: DeserializeOwned,
    {
        self.neighbour(cx, Neighbour::Next(key_term(key)?.root()))
    }

    /// The largest key below `key`, which need not be in the table: `ets:prev/2`.
    ///
    /// # Errors
    ///
    /// As [`first`](Table::first).
    pub fn prev<K, K2>(&self, cx: &Context, key: &K) -> Result<Option<K2>, TableError>
    where
        K: Serialize + ?Sized,
        K2: DeserializeOwned,
    {
        self.neighbour(cx, Neighbour::Previous(key_term(key)?.root()))
    }

    /// Up to `limit` rows of a range of keys, in order.
    ///
    /// # Errors
    ///
    /// As [`first`](Table::first).
    pub fn range<K, K2, V>(
        &self,
        cx: &Context,
        from: Bound<&K>,
        to: Bound<&K>,
        limit: usize,
    ) -> Result<Vec<(K2, V)>, TableError>
    where
        K: Serialize + ?Sized,
        K2: DeserializeOwned,
        V: DeserializeOwned,
    {
        let mut rows = Vec::new();
        self.range_with(cx, from, to, limit, |key, value| {
            rows.push((from_term(key)?, from_term(value)?));
            Ok(())
        })?;
        Ok(rows)
    }

    /// Looks at up to `limit` rows of a range of keys, in order, outside of every lock; gives how many they were.
    /// Against writes of other processes the range is not one instant; each row is.
    ///
    /// # Errors
    ///
    /// As [`first`](Table::first), and the first one of `look`, which ends it.
    pub fn range_with<K>(
        &self,
        cx: &Context,
        from: Bound<&K>,
        to: Bound<&K>,
        limit: usize,
        mut look: impl FnMut(Term<'_>, Term<'_>) -> Result<(), TableError>,
    ) -> Result<usize, TableError>
    where
        K: Serialize + ?Sized,
    {
        self.may_read(cx)?;
        let ordered = self.ordered()?;
        let (from, to) = (bound_term(from)?, bound_term(to)?);
        let (from, to) = (
            from.as_ref().map(OwnedTerm::root),
            to.as_ref().map(OwnedTerm::root),
        );
        let (mut rows, mut more) = self.open(ordered.range(from, to, limit))?;
        let mut seen = 0;
        loop {
            otp_scheduler::tick(reductions(rows.len()));
            for row in &rows {
                look(row.key(), row.value())?;
            }
            seen += rows.len();
            let Some(last) = rows.last().filter(|_| more) else {
                return Ok(seen);
            };
            let last = last.clone();
            (rows, more) =
                self.open(ordered.range(Bound::Excluded(last.key()), to, limit - seen))?;
        }
    }

    /// Removes up to `limit` rows of a range of keys; gives how many they were.
    ///
    /// # Errors
    ///
    /// As [`insert`](Table::insert), and [`TableError::NotOrdered`] for a set.
    pub fn delete_range<K>(
        &self,
        cx: &Context,
        from: Bound<&K>,
        to: Bound<&K>,
        limit: usize,
    ) -> Result<usize, TableError>
    where
        K: Serialize + ?Sized,
    {
        self.may_write(cx)?;
        let ordered = self.ordered()?;
        let (from, to) = (bound_term(from)?, bound_term(to)?);
        let (from, to) = (
            from.as_ref().map(OwnedTerm::root),
            to.as_ref().map(OwnedTerm::root),
        );
        let removed = self.open(ordered.remove_range(from, to, limit))?;
        otp_scheduler::tick(reductions(removed));
        Ok(removed)
    }

    /// Looks at about `limit` rows of a set, in no order, outside of every lock. Gives the cursor to go on from;
    /// `None` at the end. Start with cursor 0.
    ///
    /// The cursor is all the state there is. A row that is there from the first step to the last is met exactly once,
    /// however the table grows meanwhile; one that comes or goes is met or not.
    ///
    /// # Errors
    ///
    /// As [`lookup`](Table::lookup). An ordered_set is better walked by [`range_with`](Table::range_with): here it
    /// gives all of its rows in one step.
    pub fn scan_with(
        &self,
        cx: &Context,
        cursor: u64,
        limit: usize,
        mut look: impl FnMut(Term<'_>, Term<'_>),
    ) -> Result<Option<u64>, TableError> {
        self.may_read(cx)?;
        match &self.0.rows {
            Rows::Set(set) => {
                let (rows, next) = self.open(set.scan(cursor, limit))?;
                otp_scheduler::tick(reductions(rows.len()));
                for row in &rows {
                    look(row.key(), row.value());
                }
                Ok(next)
            }
            Rows::Ordered(_) => {
                self.range_with::<()>(
                    cx,
                    Bound::Unbounded,
                    Bound::Unbounded,
                    usize::MAX,
                    |key, value| {
                        look(key, value);
                        Ok(())
                    },
                )?;
                Ok(None)
            }
        }
    }

    /// Gives the table to the process `to`, which gets `{'ETS-TRANSFER', TableName, FromPid, Data}`:
    /// `ets:give_away/3`. Only the owner can.
    ///
    /// # Errors
    ///
    /// [`TableError::Access`] if the caller is not the owner, [`TableError::NoProcess`] if `to` is not alive: the
    /// caller then keeps the table.
    pub fn give_away<T: Serialize + ?Sized>(
        &self,
        cx: &Context,
        to: Pid,
        data: &T,
    ) -> Result<(), TableError> {
        self.by_owner(cx.pid())?;
        let message = self.0.transfer_message(cx.pid(), &transfer_data(data)?);
        otp_scheduler::tick(1 + reductions(message.bytes() / BYTES_PER_REDUCTION));
        let core = cx.core();
        core.tables.give_away(
            &self.0,
            cx.pid(),
            to,
            message,
            |pid| core.mark_table_owner(pid),
            |pid, message| core.transfer_table(cx.pid(), pid, message),
        )
    }

    /// Names the heir, or none: `ets:setopts/2`. Only the owner can.
    ///
    /// # Errors
    ///
    /// [`TableError::Access`], [`TableError::Encode`].
    pub fn set_heir<T: Serialize + ?Sized>(
        &self,
        cx: &Context,
        heir: Option<(Pid, &T)>,
    ) -> Result<(), TableError> {
        self.by_owner(cx.pid())?;
        let heir = heir
            .map(|(pid, data)| Ok::<_, TableError>((pid, transfer_data(data)?)))
            .transpose()?;
        cx.core().tables.set_heir(&self.0, cx.pid(), heir)
    }

    /// Deletes the table: `ets:delete/1`. Only the owner can. The rows are the caller's to free.
    ///
    /// # Errors
    ///
    /// [`TableError::Access`], [`TableError::NoTable`].
    pub fn delete_table(&self, cx: &Context) -> Result<Discarded, TableError> {
        self.by_owner(cx.pid())?;
        cx.core().tables.delete(&self.0, cx.pid())
    }

    fn get<K: Serialize + ?Sized>(&self, cx: &Context, key: &K) -> Result<Option<Row>, TableError> {
        self.may_read(cx)?;
        let key = key_term(key)?;
        otp_scheduler::tick(1);
        self.open(self.0.rows.get(key.root()))
    }

    fn remove<K: Serialize + ?Sized>(
        &self,
        cx: &Context,
        key: &K,
    ) -> Result<Option<Row>, TableError> {
        self.may_write(cx)?;
        let key = key_term(key)?;
        otp_scheduler::tick(1);
        self.open(self.0.rows.remove(key.root()))
    }

    fn neighbour<K: DeserializeOwned>(
        &self,
        cx: &Context,
        which: Neighbour<'_>,
    ) -> Result<Option<K>, TableError> {
        self.may_read(cx)?;
        otp_scheduler::tick(1);
        let row = self.open(self.ordered()?.neighbour(which))?;
        Ok(row.map(|row| from_term(row.key())).transpose()?)
    }

    fn row<K, V>(&self, key: &K, value: &V) -> Result<Row, TableError>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        let row = Row::new(key, value)?;
        otp_scheduler::tick(1 + reductions(row.bytes() / BYTES_PER_REDUCTION));
        Ok(row)
    }

    fn ordered(&self) -> Result<&OrderedRows, TableError> {
        match &self.0.rows {
            Rows::Ordered(rows) => Ok(rows),
            Rows::Set(_) => Err(TableError::NotOrdered(self.0.name)),
        }
    }

    fn may_read(&self, cx: &Context) -> Result<(), TableError> {
        match self.0.access {
            Access::Public | Access::Protected => Ok(()),
            Access::Private => self.by_owner(cx.pid()),
        }
    }

    fn may_write(&self, cx: &Context) -> Result<(), TableError> {
        if cx.was_ended() {
            return Err(TableError::Ended);
        }
        match self.0.access {
            Access::Public => Ok(()),
            Access::Protected | Access::Private => self.by_owner(cx.pid()),
        }
    }

    fn by_owner(&self, pid: Pid) -> Result<(), TableError> {
        if self.0.is_owned_by(pid) {
            return Ok(());
        }
        Err(match self.0.owner() {
            Some(_) => TableError::Access(self.0.name),
            None => TableError::NoTable(self.0.name),
        })
    }

    fn open<T>(&self, outcome: Result<T, Closed>) -> Result<T, TableError> {
        outcome.map_err(|Closed| TableError::NoTable(self.0.name))
    }
}

fn key_term<K: Serialize + ?Sized>(key: &K) -> Result<OwnedTerm, TableError> {
    Ok(to_term(key)?)
}

fn bound_term<K: Serialize + ?Sized>(bound: Bound<&K>) -> Result<Bound<OwnedTerm>, TableError> {
    Ok(match bound {
        Bound::Included(key) => Bound::Included(key_term(key)?),
        Bound::Excluded(key) => Bound::Excluded(key_term(key)?),
        Bound::Unbounded => Bound::Unbounded,
    })
}

fn reductions(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
