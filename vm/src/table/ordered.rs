//! The rows of an `ordered_set`: a B-tree in Erlang's term order.

use std::borrow::Borrow;
use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::ops::Bound;

use otp_heap::{OwnedTerm, Term};
use otp_scheduler::lock::RwLock;

use super::TableError;
use super::row::Row;
use super::rows::{Closed, Discarded, DiscardedRows};

/// Rows that are counted or taken out under one hold of the lock: some 10 us of work.
const ROWS_PER_HOLD: usize = 128;

/// About what a row costs in the tree besides its block: nodes of 11 keys, on average two thirds full, with
/// their share of edges.
const NODE_BYTES_PER_ROW: usize = 16;

/// A row, ordered by its key as `==` and `<` see it.
#[derive(Debug)]
pub(super) struct OrderedRow(Row);

/// What the tree is searched by: a row in it, or a key that is nobody's row.
trait Key {
    fn key(&self) -> Term<'_>;
}

impl Key for OrderedRow {
    fn key(&self) -> Term<'_> {
        self.0.key()
    }
}

struct SearchKey<'a>(Term<'a>);

impl Key for SearchKey<'_> {
    fn key(&self) -> Term<'_> {
        self.0
    }
}

impl PartialEq for dyn Key + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for dyn Key + '_ {}

impl PartialOrd for dyn Key + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for dyn Key + '_ {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp_value(other.key())
    }
}

impl<'a> Borrow<dyn Key + 'a> for OrderedRow {
    fn borrow(&self) -> &(dyn Key + 'a) {
        self
    }
}

impl PartialEq for OrderedRow {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for OrderedRow {}

impl PartialOrd for OrderedRow {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for OrderedRow {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp_value(other.key())
    }
}

#[derive(Debug, Default)]
struct Tree {
    rows: BTreeSet<OrderedRow>,
    bytes: usize,
    closed: bool,
}

impl Tree {
    fn open(&self) -> Result<(), Closed> {
        if self.closed { Err(Closed) } else { Ok(()) }
    }

    fn find(&self, key: Term<'_>) -> Option<&Row> {
        let key: &dyn Key = &SearchKey(key);
        self.rows.get(key).map(|row| &row.0)
    }

    fn put(&mut self, row: Row) -> Option<Row> {
        self.bytes += row.bytes();
        let old = self.rows.replace(OrderedRow(row)).map(|row| row.0);
        if let Some(old) = &old {
            self.bytes -= old.bytes();
        }
        old
    }

    fn take(&mut self, key: Term<'_>) -> Option<Row> {
        let key: &dyn Key = &SearchKey(key);
        let old = self.rows.take(key).map(|row| row.0);
        if let Some(old) = &old {
            self.bytes -= old.bytes();
        }
        old
    }

    fn range(&self, from: Bound<Term<'_>>, to: Bound<Term<'_>>, limit: usize) -> Vec<Row> {
        let (from, to) = (from.map(SearchKey), to.map(SearchKey));
        let bounds = (as_bound(&from), as_bound(&to));
        if is_empty_range(&bounds) {
            return Vec::new();
        }
        self.rows
            .range::<dyn Key, _>(bounds)
            .take(limit)
            .map(|row| row.0.clone())
            .collect()
    }
}

fn as_bound<'a, 'k>(bound: &'a Bound<SearchKey<'k>>) -> Bound<&'a (dyn Key + 'a)>
where
    'k: 'a,
{
    match bound {
        Bound::Included(key) => Bound::Included(key),
        Bound::Excluded(key) => Bound::Excluded(key),
        Bound::Unbounded => Bound::Unbounded,
    }
}

/// `BTreeSet::range` panics on these.
fn is_empty_range(bounds: &(Bound<&dyn Key>, Bound<&dyn Key>)) -> bool {
    match bounds {
        (Bound::Excluded(from), Bound::Excluded(to)) => from >= to,
        (
            Bound::Included(from) | Bound::Excluded(from),
            Bound::Included(to) | Bound::Excluded(to),
        ) => from > to,
        _ => false,
    }
}

#[derive(Debug, Default)]
pub(super) struct OrderedRows {
    tree: RwLock<Tree>,
}

/// Which neighbour of a key is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Neighbour<'a> {
    First,
    Last,
    Next(Term<'a>),
    Previous(Term<'a>),
}

impl OrderedRows {
    pub(super) fn get(&self, key: Term<'_>) -> Result<Option<Row>, Closed> {
        let tree = self.tree.read();
        tree.open()?;
        Ok(tree.find(key).cloned())
    }

    pub(super) fn insert(&self, row: Row) -> Result<Option<Row>, Closed> {
        let mut tree = self.tree.write();
        tree.open()?;
        Ok(tree.put(row))
    }

    pub(super) fn insert_new(&self, row: Row) -> Result<bool, Closed> {
        let mut tree = self.tree.write();
        tree.open()?;
        let is_new = tree.find(row.key()).is_none();
        if is_new {
            tree.put(row);
        }
        Ok(is_new)
    }

    /// Replaces the row by what `change` makes of it, under the lock: `change` must not be user code.
    pub(super) fn change(
        &self,
        key: Term<'_>,
        change: impl FnOnce(Option<&Row>) -> Result<Row, TableError>,
    ) -> Result<Result<(), TableError>, Closed> {
        let mut tree = self.tree.write();
        tree.open()?;
        let changed = change(tree.find(key));
        let replaced = changed.map(|row| tree.put(row));
        drop(tree);
        Ok(replaced.map(drop))
    }

    /// Puts all rows in at one instant; gives those that they replaced.
    pub(super) fn insert_many(&self, rows: Vec<Row>) -> Result<Vec<Row>, Closed> {
        let mut tree = self.tree.write();
        tree.open()?;
        Ok(rows.into_iter().filter_map(|row| tree.put(row)).collect())
    }

    /// Removes all rows with these keys at one instant.
    pub(super) fn remove_many(&self, keys: &[OwnedTerm]) -> Result<Vec<Row>, Closed> {
        let mut tree = self.tree.write();
        tree.open()?;
        Ok(keys
            .iter()
            .filter_map(|key| tree.take(key.root()))
            .collect())
    }

    pub(super) fn remove(&self, key: Term<'_>) -> Result<Option<Row>, Closed> {
        let mut tree = self.tree.write();
        tree.open()?;
        Ok(tree.take(key))
    }

    pub(super) fn neighbour(&self, which: Neighbour<'_>) -> Result<Option<Row>, Closed> {
        let tree = self.tree.read();
        tree.open()?;
        let row = match which {
            Neighbour::First => tree.rows.first(),
            Neighbour::Last => tree.rows.last(),
            Neighbour::Next(key) => {
                let key: &dyn Key = &SearchKey(key);
                tree.rows
                    .range::<dyn Key, _>((Bound::Excluded(key), Bound::Unbounded))
                    .next()
            }
            Neighbour::Previous(key) => {
                let key: &dyn Key = &SearchKey(key);
                tree.rows
                    .range::<dyn Key, _>((Bound::Unbounded, Bound::Excluded(key)))
                    .next_back()
            }
        };
        Ok(row.map(|row| row.0.clone()))
    }

    /// Up to `limit` rows of the range, in order, but no more than one hold of the lock allows; the flag says
    /// whether the range may have more.
    pub(super) fn range(
        &self,
        from: Bound<Term<'_>>,
        to: Bound<Term<'_>>,
        limit: usize,
    ) -> Result<(Vec<Row>, bool), Closed> {
        let tree = self.tree.read();
        tree.open()?;
        let hold = limit.min(ROWS_PER_HOLD);
        let rows = tree.range(from, to, hold);
        let more = rows.len() == hold && limit > hold;
        Ok((rows, more))
    }

    /// Removes up to `limit` rows of the range, a hold of the lock at a time; gives how many.
    pub(super) fn remove_range(
        &self,
        from: Bound<Term<'_>>,
        to: Bound<Term<'_>>,
        limit: usize,
    ) -> Result<usize, Closed> {
        let mut removed = 0;
        while removed < limit {
            let hold = (limit - removed).min(ROWS_PER_HOLD);
            let mut tree = self.tree.write();
            tree.open()?;
            let rows = tree.range(from, to, hold);
            for row in &rows {
                tree.take(row.key());
            }
            drop(tree);
            removed += rows.len();
            if rows.len() < hold {
                break;
            }
        }
        Ok(removed)
    }

    /// Empties the table at one instant; with `close`, for good.
    pub(super) fn empty(&self, close: bool) -> Result<Discarded, Closed> {
        let mut tree = self.tree.write();
        tree.open()?;
        let rows = std::mem::take(&mut tree.rows);
        tree.bytes = 0;
        tree.closed = close;
        drop(tree);
        let parts = if rows.is_empty() {
            Vec::new()
        } else {
            vec![DiscardedRows::Ordered(rows.into_iter())]
        };
        Ok(Discarded { parts })
    }

    pub(super) fn len(&self) -> usize {
        self.tree.read().rows.len()
    }

    pub(super) fn bytes(&self) -> usize {
        let tree = self.tree.read();
        tree.bytes + tree.rows.len() * NODE_BYTES_PER_ROW
    }
}
