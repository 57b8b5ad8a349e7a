//! The two tables of a registry, and what a process does to its own rows.
//!
//! A process's rows are numbered from 0 without a gap, so that its keys can be listed, and one
//! removed, without a search: the last moves into the place of the one that goes.

use otp_vm::{
    Atom, AtomError, Context, OwnedTerm, Pid, Table, TableError, TableOptions, Term, atoms,
};
use serde::{Deserialize, Serialize};

/// In the table by pid, the row of the registry's parent. No pid, so in nobody's way.
const PARENT: Atom = atoms::NIL;

/// Where a key stands among those of its process.
type Place = i64;

/// `Key => {Pid, Place, Value}`.
#[derive(Serialize, Deserialize)]
pub(super) struct Row<V>(pub(super) Pid, Place, pub(super) V);

/// Who holds the row.
pub(super) fn holder(row: Term<'_>) -> Option<Pid> {
    row.as_tuple()?.get(0)?.as_pid()
}

/// The row's value.
pub(super) fn value(row: Term<'_>) -> Option<Term<'_>> {
    row.as_tuple()?.get(2)
}

/// What became of a wish for a key.
pub(super) enum Claim {
    Ours,
    /// Somebody's, dead or alive. Nothing was written.
    Held(Pid),
    /// It was somebody's, and is free by now. Nothing was written.
    Free,
}

/// The tables, by the registry's name.
#[derive(Debug)]
pub(super) struct Tables {
    keys: Table,
    pids: Table,
}

/// The name of the table by pid.
pub(super) fn pids_name(registry: &str) -> Result<Atom, AtomError> {
    Atom::new(&format!("{registry}.pids"))
}

impl Tables {
    /// Makes the tables: the caller is the partition.
    pub(super) fn create(cx: &Context, keys: &str, pids: Atom) -> Result<Self, TableError> {
        let table = |name: &str| cx.table_new(name, TableOptions::set().public().named());
        let tables = Self {
            keys: table(keys)?,
            pids: table(pids.as_str())?,
        };
        tables.pids.insert(cx, &PARENT, &cx.parent())?;
        Ok(tables)
    }

    /// The process that started the registry, and is linked to it whether or not it has keys.
    fn is_parent(&self, cx: &Context) -> Result<bool, TableError> {
        Ok(self.pids.lookup(cx, &PARENT)? == Some(cx.pid()))
    }

    /// Whether the caller has no reason to be linked to the partition.
    pub(super) fn may_unlink(&self, cx: &Context) -> Result<bool, TableError> {
        Ok(!self.pids.contains(cx, &cx.pid())? && !self.is_parent(cx)?)
    }

    /// The tables of a running registry.
    pub(super) fn find(cx: &Context, keys: Atom, pids: Atom) -> Option<Self> {
        Some(Self {
            keys: cx.table_by_atom(keys)?,
            pids: cx.table_by_atom(pids)?,
        })
    }

    /// The partition.
    pub(super) fn owner(&self) -> Option<Pid> {
        self.keys.owner()
    }

    /// Writes the caller's rows for a key, if it is free.
    pub(super) fn claim<K, V>(&self, cx: &Context, key: &K, value: &V) -> Result<Claim, TableError>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        let me = cx.pid();
        let place = self.pids.update_counter(cx, &me, 1, Some(0))? - 1;
        let claimed = Claimed {
            tables: self,
            cx,
            place,
        };
        self.pids.insert(cx, &(me, place), key)?;
        if self.keys.insert_new(cx, key, &Row(me, place, value))? {
            std::mem::forget(claimed);
            return Ok(Claim::Ours);
        }
        drop(claimed);
        Ok(match self.keys.lookup_with(cx, key, holder)?.flatten() {
            Some(holder) => Claim::Held(holder),
            None => Claim::Free,
        })
    }

    /// Undoes the first half of a claim: the last place is free again.
    fn give_place_back(&self, cx: &Context, place: Place) -> Result<(), TableError> {
        let me = cx.pid();
        self.pids.delete(cx, &(me, place))?;
        if self.pids.update_counter(cx, &me, -1, None)? == 0 {
            self.pids.delete(cx, &me)?;
        }
        Ok(())
    }

    /// Removes the caller's rows for a key. False: the key is not the caller's.
    pub(super) fn release<K>(&self, cx: &Context, key: &K) -> Result<bool, TableError>
    where
        K: Serialize + ?Sized,
    {
        let me = cx.pid();
        let Some(place) = self.own_place(cx, key)? else {
            return Ok(false);
        };
        // Only this process writes these rows while it lives, so nothing changes in between.
        self.keys.delete(cx, key)?;
        let last = self.pids.update_counter(cx, &me, -1, None)?;
        let moved: Option<OwnedTerm> = self.pids.take(cx, &(me, last))?;
        if last != place
            && let Some(moved) = moved
        {
            self.pids.insert(cx, &(me, place), &moved)?;
            let row: Option<Row<OwnedTerm>> = self.keys.lookup(cx, &moved)?;
            if let Some(Row(_, _, value)) = row {
                self.keys.insert(cx, &moved, &Row(me, place, value))?;
            }
        }
        if last == 0 {
            self.pids.delete(cx, &me)?;
        }
        Ok(true)
    }

    fn own_place<K: Serialize + ?Sized>(
        &self,
        cx: &Context,
        key: &K,
    ) -> Result<Option<Place>, TableError> {
        let own = |row: Term<'_>| {
            (holder(row)? == cx.pid())
                .then(|| row.as_tuple()?.get(1)?.as_i64())
                .flatten()
        };
        Ok(self.keys.lookup_with(cx, key, own)?.flatten())
    }

    /// How many keys a process has.
    pub(super) fn count_of(&self, cx: &Context, pid: Pid) -> Result<Place, TableError> {
        Ok(self.pids.lookup(cx, &pid)?.unwrap_or(0))
    }

    /// The key at a place of a process, if it is still there.
    pub(super) fn key_at<K>(&self, cx: &Context, pid: Pid, place: Place) -> Option<K>
    where
        K: serde::de::DeserializeOwned,
    {
        self.pids.lookup(cx, &(pid, place)).ok().flatten()
    }

    /// Removes the count of a dead process, and gives it. Only for the partition.
    pub(super) fn bury(&self, cx: &Context, dead: Pid) -> Result<Place, TableError> {
        Ok(self.pids.take(cx, &dead)?.unwrap_or(0))
    }

    /// Removes one key of a dead process. Only for the partition.
    pub(super) fn bury_key(&self, cx: &Context, dead: Pid, place: Place) -> Result<(), TableError> {
        let Some(key) = self.pids.take::<_, OwnedTerm>(cx, &(dead, place))? else {
            return Ok(());
        };
        // Another's, if `dead` was killed before it could take it.
        self.bury_row(cx, dead, &key)
    }

    /// Removes a key's row if it is a dead process's. Only for the partition.
    pub(super) fn bury_row(
        &self,
        cx: &Context,
        dead: Pid,
        key: &OwnedTerm,
    ) -> Result<(), TableError> {
        if self.keys.lookup_with(cx, key, holder)?.flatten() == Some(dead) {
            self.keys.delete(cx, key)?;
        }
        Ok(())
    }
}

/// The first half of a claim, undone when it is dropped: the key is somebody's, or encoding the key or the value
/// failed or panicked.
struct Claimed<'a> {
    tables: &'a Tables,
    cx: &'a Context,
    place: Place,
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        // It fails only when the tables are gone, and the place with them.
        let _ = self.tables.give_place_back(self.cx, self.place);
    }
}
