//! The rows of a `set`: hashed, in shards.

use std::hash::{BuildHasher, Hash};

use crossbeam_utils::CachePadded;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use otp_heap::{OwnedTerm, Term};
use parking_lot::{RwLock, RwLockWriteGuard};

use super::row::Row;

/// Shards of a set. A lookup locks one; with 64, two of eight writers meet in one shard under a third of the
/// time. Chosen by feel, to be tuned when there are more cores to measure on.
const SHARDS: usize = 64;
const SHARD_BITS: u32 = SHARDS.trailing_zeros();

/// Bits by which a hash is turned to get its place in the scan order: hashbrown tells rows of a bucket group apart
/// by the seven highest bits of the hash and finds the group by the lowest, so the shard comes from those below the
/// highest seven; bits that chose the shard are the same for all of its rows and would tell it nothing.
const TAG_BITS: u32 = 7;

/// The hash is kept beside the row, so that growing a shard reads no row.
#[derive(Debug)]
pub(super) struct Slot {
    hash: u64,
    row: Row,
}

#[derive(Debug, Default)]
struct Shard {
    rows: HashTable<Slot>,
    bytes: usize,
    closed: bool,
}

/// The table was deleted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Closed;

#[derive(Debug)]
pub(super) struct SetRows {
    shards: Box<[CachePadded<RwLock<Shard>>]>,
    hash: foldhash::quality::RandomState,
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
    Ordered(std::collections::btree_set::IntoIter<super::ordered::OrderedRow>),
}

impl Discarded {
    /// Frees up to `limit` rows; false when none is left. Charges one reduction a row.
    pub fn free(&mut self, limit: usize) -> bool {
        let mut left = limit;
        while let Some(part) = self.parts.last_mut() {
            let freed = match part {
                DiscardedRows::Set(rows) => rows.take(left).count(),
                DiscardedRows::Ordered(rows) => rows.take(left).count(),
            };
            left -= freed;
            let is_empty = match part {
                DiscardedRows::Set(rows) => rows.len() == 0,
                DiscardedRows::Ordered(rows) => rows.len() == 0,
            };
            if !is_empty {
                break;
            }
            self.parts.pop();
        }
        otp_scheduler::tick(u32::try_from(limit - left).unwrap_or(u32::MAX));
        !self.parts.is_empty()
    }
}

/// One step of a scan: the rows, and where the next one goes on; `None` at the end.
pub(super) type Step = (Vec<Row>, Option<u64>);

impl SetRows {
    pub(super) fn new() -> SetRows {
        SetRows {
            shards: (0..SHARDS).map(|_| CachePadded::default()).collect(),
            hash: foldhash::quality::RandomState::default(),
        }
    }

    fn hash(&self, key: Term<'_>) -> u64 {
        let mut hasher = self.hash.build_hasher();
        key.hash(&mut hasher);
        std::hash::Hasher::finish(&hasher)
    }

    fn shard(&self, hash: u64) -> &RwLock<Shard> {
        &self.shards[shard_index(hash)]
    }

    pub(super) fn get(&self, key: Term<'_>) -> Result<Option<Row>, Closed> {
        let hash = self.hash(key);
        let shard = self.shard(hash).read();
        if shard.closed {
            return Err(Closed);
        }
        Ok(shard
            .rows
            .find(hash, |slot| slot.hash == hash && slot.row.key() == key)
            .map(|slot| slot.row.clone()))
    }

    /// Puts the row in and gives the one that it replaced.
    pub(super) fn insert(&self, row: Row) -> Result<Option<Row>, Closed> {
        self.update(row, |_| true)
            .map(|outcome| outcome.unwrap_or_else(|_| unreachable!("always wanted")))
    }

    /// Puts the row in unless its key is there.
    pub(super) fn insert_new(&self, row: Row) -> Result<bool, Closed> {
        self.update(row, |old| old.is_none())
            .map(|outcome| outcome.is_ok())
    }

    /// Puts the row in if `wanted` says so of the present one; gives the replaced row, or the new one back.
    fn update(
        &self,
        row: Row,
        wanted: impl FnOnce(Option<&Row>) -> bool,
    ) -> Result<Result<Option<Row>, Row>, Closed> {
        let hash = self.hash(row.key());
        let mut guard = self.shard(hash).write();
        let shard = &mut *guard;
        if shard.closed {
            return Err(Closed);
        }
        let bytes = row.bytes();
        let found = shard.rows.entry(
            hash,
            |slot| slot.hash == hash && slot.row.key() == row.key(),
            |slot| slot.hash,
        );
        Ok(match found {
            Entry::Occupied(mut entry) => {
                if !wanted(Some(&entry.get().row)) {
                    // The guard is a local declared before: it goes first, the refused row is dropped by the caller.
                    return Ok(Err(row));
                }
                let old = std::mem::replace(&mut entry.get_mut().row, row);
                shard.bytes = shard.bytes + bytes - old.bytes();
                Ok(Some(old))
            }
            Entry::Vacant(entry) => {
                if !wanted(None) {
                    return Ok(Err(row));
                }
                entry.insert(Slot { hash, row });
                shard.bytes += bytes;
                Ok(None)
            }
        })
    }

    /// Replaces the row by what `change` makes of it, under the lock: `change` must not be user code.
    pub(super) fn change<E>(
        &self,
        key: Term<'_>,
        change: impl FnOnce(Option<&Row>) -> Result<Row, E>,
    ) -> Result<Result<(), E>, Closed> {
        let hash = self.hash(key);
        let mut replaced = None;
        {
            let mut guard = self.shard(hash).write();
            let shard = &mut *guard;
            if shard.closed {
                return Err(Closed);
            }
            let found = shard.rows.entry(
                hash,
                |slot| slot.hash == hash && slot.row.key() == key,
                |slot| slot.hash,
            );
            match found {
                Entry::Occupied(mut entry) => match change(Some(&entry.get().row)) {
                    Ok(row) => {
                        shard.bytes = shard.bytes + row.bytes() - entry.get().row.bytes();
                        replaced = Some(std::mem::replace(&mut entry.get_mut().row, row));
                    }
                    Err(error) => return Ok(Err(error)),
                },
                Entry::Vacant(entry) => match change(None) {
                    Ok(row) => {
                        shard.bytes += row.bytes();
                        entry.insert(Slot { hash, row });
                    }
                    Err(error) => return Ok(Err(error)),
                },
            }
        }
        drop(replaced);
        Ok(Ok(()))
    }

    pub(super) fn remove(&self, key: Term<'_>) -> Result<Option<Row>, Closed> {
        let hash = self.hash(key);
        let mut shard = self.shard(hash).write();
        if shard.closed {
            return Err(Closed);
        }
        let found = shard
            .rows
            .find_entry(hash, |slot| slot.hash == hash && slot.row.key() == key);
        Ok(match found {
            Ok(entry) => {
                let (slot, _) = entry.remove();
                shard.bytes -= slot.row.bytes();
                Some(slot.row)
            }
            Err(_) => None,
        })
    }

    /// Puts all rows in at one instant; gives those that they replaced.
    pub(super) fn insert_many(&self, rows: Vec<Row>) -> Result<Vec<Row>, Closed> {
        let hashes: Vec<u64> = rows.iter().map(|row| self.hash(row.key())).collect();
        let mut locked = self.lock_many(&hashes)?;
        let mut replaced = Vec::new();
        for (row, hash) in rows.into_iter().zip(hashes) {
            let shard = locked.shard(hash);
            shard.bytes += row.bytes();
            let found = shard.rows.entry(
                hash,
                |slot| slot.hash == hash && slot.row.key() == row.key(),
                |slot| slot.hash,
            );
            match found {
                Entry::Occupied(mut entry) => {
                    let old = std::mem::replace(&mut entry.get_mut().row, row);
                    shard.bytes -= old.bytes();
                    replaced.push(old);
                }
                Entry::Vacant(entry) => {
                    entry.insert(Slot { hash, row });
                }
            }
        }
        Ok(replaced)
    }

    /// Removes all rows with these keys at one instant.
    pub(super) fn remove_many(&self, keys: &[OwnedTerm]) -> Result<Vec<Row>, Closed> {
        let hashes: Vec<u64> = keys.iter().map(|key| self.hash(key.root())).collect();
        let mut locked = self.lock_many(&hashes)?;
        let mut removed = Vec::new();
        for (key, hash) in keys.iter().zip(hashes) {
            let shard = locked.shard(hash);
            if let Ok(entry) = shard.rows.find_entry(hash, |slot| {
                slot.hash == hash && slot.row.key() == key.root()
            }) {
                let (slot, _) = entry.remove();
                shard.bytes -= slot.row.bytes();
                removed.push(slot.row);
            }
        }
        Ok(removed)
    }

    /// Locks the shards of all these hashes. In order, so that two who do this cannot wait for each other.
    fn lock_many(&self, hashes: &[u64]) -> Result<Locked<'_>, Closed> {
        let mut indexes: Vec<usize> = hashes.iter().map(|hash| shard_index(*hash)).collect();
        indexes.sort_unstable();
        indexes.dedup();
        let shards: Vec<_> = indexes
            .iter()
            .map(|index| self.shards[*index].write())
            .collect();
        if shards.iter().any(|shard| shard.closed) {
            return Err(Closed);
        }
        Ok(Locked { indexes, shards })
    }

    /// Empties all shards at one instant; with `close`, for good.
    pub(super) fn empty(&self, close: bool) -> Result<Discarded, Closed> {
        // All locks are taken, in order, before the first shard is emptied: no reader sees half of it.
        let mut shards: Vec<RwLockWriteGuard<'_, Shard>> =
            self.shards.iter().map(|shard| shard.write()).collect();
        if shards[0].closed {
            return Err(Closed);
        }
        let parts = shards
            .iter_mut()
            .map(|shard| {
                shard.closed = close;
                shard.bytes = 0;
                std::mem::take(&mut shard.rows)
            })
            .collect::<Vec<_>>();
        drop(shards);
        let parts = parts
            .into_iter()
            .filter(|rows| !rows.is_empty())
            .map(|rows| DiscardedRows::Set(rows.into_iter()))
            .collect();
        Ok(Discarded { parts })
    }

    /// The rows whose place in the scan order is `from` or later, about `limit` of them, in no order.
    ///
    /// The order is that of the hashes, which no growth of a shard changes: a row that is in the table from the
    /// first step to the last is met exactly once. A step reads the hashes of one shard, so that its cost has a
    /// bound; the part of the hash range it covers is chosen for about `limit` rows.
    pub(super) fn scan(&self, from: u64, limit: usize) -> Result<Step, Closed> {
        let mut rows = Vec::new();
        let mut from = from;
        let mut scanned = 0;
        loop {
            let index = (from >> (64 - SHARD_BITS)) as usize;
            let shard_end = u64::MAX >> SHARD_BITS | from;
            let shard = self.shards[index].read();
            if shard.closed {
                return Err(Closed);
            }
            let missing = limit.max(1) - rows.len();
            // The width is a power of two part of the shard's range, as wide as `missing` rows should lie.
            let parts = (shard.rows.len() / missing).next_power_of_two() as u64;
            let width = ((u64::MAX >> SHARD_BITS) / parts).saturating_add(1);
            let to = from.saturating_add(width - 1).min(shard_end);
            rows.extend(
                shard
                    .rows
                    .iter()
                    .filter(|slot| (from..=to).contains(&position(slot.hash)))
                    .map(|slot| slot.row.clone()),
            );
            scanned += shard.rows.len();
            if to == u64::MAX {
                return Ok((rows, None));
            }
            from = to + 1;
            if rows.len() >= limit || scanned >= SCAN_SLOTS_MAX {
                return Ok((rows, Some(from)));
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| shard.read().rows.len())
            .sum()
    }

    pub(super) fn bytes(&self) -> usize {
        let shards: usize = self
            .shards
            .iter()
            .map(|shard| {
                let shard = shard.read();
                shard.bytes + shard.rows.allocation_size()
            })
            .sum();
        shards + std::mem::size_of_val(&*self.shards)
    }
}

/// Some shards of a set, locked, with their indexes in order.
struct Locked<'a> {
    indexes: Vec<usize>,
    shards: Vec<RwLockWriteGuard<'a, Shard>>,
}

impl Locked<'_> {
    fn shard(&mut self, hash: u64) -> &mut Shard {
        let place = self
            .indexes
            .binary_search(&shard_index(hash))
            .expect("the shard of every hash was locked");
        &mut self.shards[place]
    }
}

/// Slots that a scan step reads before it gives what it has: some 10 us of sequential reading.
const SCAN_SLOTS_MAX: usize = 16_384;

fn shard_index(hash: u64) -> usize {
    (position(hash) >> (64 - SHARD_BITS)) as usize
}

/// A hash's place in the scan order; the highest bits are the shard.
fn position(hash: u64) -> u64 {
    hash.rotate_left(TAG_BITS)
}
