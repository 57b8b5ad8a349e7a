//! The rows of a `set`: hashed, in shards.

use std::hash::{BuildHasher, Hash};

use crossbeam_utils::CachePadded;
use foldhash::SharedSeed;
use foldhash::quality::SeedableRandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use otp_heap::{OwnedTerm, Term};
use otp_scheduler::lock::{RwLock, RwLockWriteGuard};
use otp_scheduler::{random, simulation};

use super::TableError;
use super::row::Row;
use super::rows::{Closed, Discarded, DiscardedRows};

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

impl Slot {
    fn holds(&self, hash: u64, key: Term<'_>) -> bool {
        self.hash == hash && self.row.key() == key
    }
}

impl Shard {
    fn open(&self) -> Result<(), Closed> {
        if self.closed { Err(Closed) } else { Ok(()) }
    }

    fn find(&self, hash: u64, key: Term<'_>) -> Option<&Row> {
        let slot = self.rows.find(hash, |slot| slot.holds(hash, key));
        slot.map(|slot| &slot.row)
    }

    fn put(&mut self, hash: u64, row: Row) -> Option<Row> {
        self.bytes += row.bytes();
        let found = self
            .rows
            .entry(hash, |slot| slot.holds(hash, row.key()), |slot| slot.hash);
        match found {
            Entry::Occupied(mut entry) => {
                let old = std::mem::replace(&mut entry.get_mut().row, row);
                self.bytes -= old.bytes();
                Some(old)
            }
            Entry::Vacant(entry) => {
                entry.insert(Slot { hash, row });
                None
            }
        }
    }

    fn take(&mut self, hash: u64, key: Term<'_>) -> Option<Row> {
        let found = self.rows.find_entry(hash, |slot| slot.holds(hash, key));
        let (slot, _) = found.ok()?.remove();
        self.bytes -= slot.row.bytes();
        Some(slot.row)
    }
}

#[derive(Debug)]
pub(super) struct SetRows {
    shards: Box<[CachePadded<RwLock<Shard>>]>,
    hash: SeedableRandomState,
}

/// One step of a scan: the rows, and where the next one goes on; `None` at the end.
pub(super) type Step = (Vec<Row>, Option<u64>);

impl SetRows {
    pub(super) fn new() -> SetRows {
        SetRows {
            shards: (0..SHARDS).map(|_| CachePadded::default()).collect(),
            // In a simulation the seed decides the order of a scan as well.
            hash: if simulation::is_running() {
                SeedableRandomState::with_seed(random(), SharedSeed::global_fixed())
            } else {
                SeedableRandomState::random()
            },
        }
    }

    fn hash(&self, key: Term<'_>) -> u64 {
        let mut hasher = self.hash.build_hasher();
        key.hash(&mut hasher);
        std::hash::Hasher::finish(&hasher)
    }

    fn write(&self, hash: u64) -> Result<RwLockWriteGuard<'_, Shard>, Closed> {
        let shard = self.shards[shard_index(hash)].write();
        shard.open()?;
        Ok(shard)
    }

    pub(super) fn get(&self, key: Term<'_>) -> Result<Option<Row>, Closed> {
        let hash = self.hash(key);
        let shard = self.shards[shard_index(hash)].read();
        shard.open()?;
        Ok(shard.find(hash, key).cloned())
    }

    /// Puts the row in and gives the one that it replaced.
    pub(super) fn insert(&self, row: Row) -> Result<Option<Row>, Closed> {
        let hash = self.hash(row.key());
        Ok(self.write(hash)?.put(hash, row))
    }

    /// Puts the row in unless its key is there.
    pub(super) fn insert_new(&self, row: Row) -> Result<bool, Closed> {
        let hash = self.hash(row.key());
        let mut shard = self.write(hash)?;
        let is_new = shard.find(hash, row.key()).is_none();
        if is_new {
            shard.put(hash, row);
        }
        Ok(is_new)
    }

    /// Replaces the row by what `change` makes of it, under the lock: `change` must not be user code.
    pub(super) fn change(
        &self,
        key: Term<'_>,
        change: impl FnOnce(Option<&Row>) -> Result<Row, TableError>,
    ) -> Result<Result<(), TableError>, Closed> {
        let hash = self.hash(key);
        let mut shard = self.write(hash)?;
        let changed = change(shard.find(hash, key));
        let replaced = changed.map(|row| shard.put(hash, row));
        drop(shard);
        Ok(replaced.map(drop))
    }

    pub(super) fn remove(&self, key: Term<'_>) -> Result<Option<Row>, Closed> {
        let hash = self.hash(key);
        Ok(self.write(hash)?.take(hash, key))
    }

    /// Puts all rows in at one instant; gives those that they replaced.
    pub(super) fn insert_many(&self, rows: Vec<Row>) -> Result<Vec<Row>, Closed> {
        let hashes: Vec<u64> = rows.iter().map(|row| self.hash(row.key())).collect();
        let mut locked = self.lock_many(&hashes)?;
        let put = |(row, hash)| locked.shard(hash).put(hash, row);
        Ok(rows.into_iter().zip(hashes).filter_map(put).collect())
    }

    /// Removes all rows with these keys at one instant.
    pub(super) fn remove_many(&self, keys: &[OwnedTerm]) -> Result<Vec<Row>, Closed> {
        let hashes: Vec<u64> = keys.iter().map(|key| self.hash(key.root())).collect();
        let mut locked = self.lock_many(&hashes)?;
        let take = |(key, hash): (&OwnedTerm, _)| locked.shard(hash).take(hash, key.root());
        Ok(keys.iter().zip(hashes).filter_map(take).collect())
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
        shards.iter().try_for_each(|shard| shard.open())?;
        Ok(Locked { indexes, shards })
    }

    /// Empties all shards at one instant; with `close`, for good.
    pub(super) fn empty(&self, close: bool) -> Result<Discarded, Closed> {
        // All locks are taken, in order, before the first shard is emptied: no reader sees half of it.
        let mut shards: Vec<RwLockWriteGuard<'_, Shard>> =
            self.shards.iter().map(|shard| shard.write()).collect();
        shards[0].open()?;
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
            shard.open()?;
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
