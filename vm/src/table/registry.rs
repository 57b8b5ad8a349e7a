//! Which tables there are, what they are called, and who owns them.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use otp_heap::{Atom, OwnedTerm, Pid, atoms, to_term};
use otp_scheduler::lock::RwLock;

use super::rows::{Closed, Discarded, Rows};
use super::{Access, Table, TableError, TableOptions};

/// Tables that a VM may have at once unless it was built with another limit. OTP's own limit was 2,053 for twenty
/// years and few programs ever met it; an empty set costs some 10 KB, so this many cost 640 MB.
pub const DEFAULT_MAX_TABLES: usize = 65_536;

/// All tables of a VM.
#[derive(Debug)]
pub struct Tables {
    limit: usize,
    registry: RwLock<Registry>,
}

#[derive(Debug, Default)]
struct Registry {
    count: usize,
    /// How many found no room.
    refused: u64,
    names: HashMap<Atom, Arc<Inner>, foldhash::fast::RandomState>,
    owned: HashMap<Pid, Vec<Arc<Inner>>, foldhash::fast::RandomState>,
}

/// One table. `owner` changes under the registry's write lock only.
#[derive(Debug)]
pub(super) struct Inner {
    pub(super) name: Atom,
    pub(super) access: Access,
    pub(super) rows: Rows,
    named: bool,
    owner: AtomicU64,
    heir: RwLock<Option<(Pid, OwnedTerm)>>,
}

impl Inner {
    pub(super) fn owner(&self) -> Option<Pid> {
        let owner = self.owner.load(Ordering::Acquire);
        (owner != NOBODY).then(|| Pid::from_u64(owner))
    }

    /// Whether `pid` owns the table. A process that asks this about itself gets a steady answer while it runs: only
    /// itself and its death take a table from it.
    pub(super) fn is_owned_by(&self, pid: Pid) -> bool {
        self.owner.load(Ordering::Acquire) == pid.as_u64()
    }

    fn set_owner(&self, owner: Option<Pid>) {
        self.owner
            .store(owner.map_or(NOBODY, Pid::as_u64), Ordering::Release);
    }

    /// `{'ETS-TRANSFER', Name, From, Data}`.
    pub(super) fn transfer_message(&self, from: Pid, data: &OwnedTerm) -> OwnedTerm {
        let with = |data: &OwnedTerm| to_term(&(atoms::ETS_TRANSFER, self.name, from, data));
        with(data)
            .or_else(|_| with(&OwnedTerm::from(atoms::BADARG)))
            .expect("atoms, pids and terms are terms")
    }
}

/// No pid: those have only 60 bits.
const NOBODY: u64 = u64::MAX;

impl Registry {
    /// Puts a table on `pid`'s list and makes it the owner.
    fn enlist(&mut self, pid: Pid, table: Arc<Inner>) {
        table.set_owner(Some(pid));
        self.owned.entry(pid).or_default().push(table);
    }

    /// Takes a table off `pid`'s list; false if it is not on it any more.
    fn delist(&mut self, pid: Pid, table: &Arc<Inner>) -> bool {
        let Some(owned) = self.owned.get_mut(&pid) else {
            return false;
        };
        let Some(index) = owned.iter().position(|owned| Arc::ptr_eq(owned, table)) else {
            return false;
        };
        owned.swap_remove(index);
        if owned.is_empty() {
            self.owned.remove(&pid);
        }
        true
    }

    /// Forgets a table that was taken off its owner's list. Its rows are closed and freed outside of the lock.
    fn forget(&mut self, table: &Arc<Inner>) {
        table.set_owner(None);
        self.count -= 1;
        if table.named {
            self.names.remove(&table.name);
        }
    }
}

impl Tables {
    /// No tables yet, and at most `limit` of them at once.
    pub fn new(limit: usize) -> Tables {
        Tables {
            limit,
            registry: RwLock::default(),
        }
    }

    /// Makes a table that `owner`, which must be alive, owns: `ets:new/2`.
    ///
    /// # Errors
    ///
    /// [`TableError::Name`], [`TableError::NameTaken`] and [`TableError::Limit`].
    pub fn create(
        &self,
        owner: Pid,
        name: &str,
        options: TableOptions,
    ) -> Result<Table, TableError> {
        let TableOptions {
            kind,
            access,
            named,
            heir,
        } = options;
        let name = Atom::new(name)?;
        let table = Arc::new(Inner {
            name,
            access,
            rows: Rows::new(kind),
            named,
            owner: AtomicU64::new(NOBODY),
            heir: RwLock::new(heir),
        });
        let mut registry = self.registry.write();
        if named && registry.names.contains_key(&name) {
            return Err(TableError::NameTaken(name));
        }
        if registry.count >= self.limit {
            registry.refused += 1;
            return Err(TableError::Limit { limit: self.limit });
        }
        registry.count += 1;
        if named {
            registry.names.insert(name, Arc::clone(&table));
        }
        registry.enlist(owner, Arc::clone(&table));
        Ok(Table(table))
    }

    /// The named table: `ets:whereis/1`.
    pub fn by_name(&self, name: Atom) -> Option<Table> {
        self.registry.read().names.get(&name).cloned().map(Table)
    }

    /// The tables that `pid` owns, in no order.
    pub fn owned_by(&self, pid: Pid) -> Vec<Table> {
        let registry = self.registry.read();
        registry
            .owned
            .get(&pid)
            .into_iter()
            .flatten()
            .cloned()
            .map(Table)
            .collect()
    }

    /// How many tables there are.
    pub fn count(&self) -> usize {
        self.registry.read().count
    }

    /// How many were refused at the limit.
    pub fn refused(&self) -> u64 {
        self.registry.read().refused
    }

    /// Bytes of all tables; see [`Table::memory`].
    pub fn bytes(&self) -> usize {
        let registry = self.registry.read();
        let tables = registry.owned.values().flatten();
        tables.map(|table| table.rows.bytes()).sum()
    }

    /// How many tables there may be at once.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Gives `table` from `giver` to `receiver`, which gets `message`. `deliver` is as for [`Tables::owner_died`], and
    /// is asked when the receiver has the table on its list; `is_alive` spares the dead the visit, and is asked of
    /// the giver that has the table back on its list: its death may have come meanwhile and not seen it there.
    pub(super) fn give_away(
        &self,
        table: &Arc<Inner>,
        giver: Pid,
        receiver: Pid,
        message: OwnedTerm,
        is_alive: impl Fn(Pid) -> bool,
        mut deliver: impl FnMut(Pid, OwnedTerm) -> bool,
    ) -> Result<(), TableError> {
        if !is_alive(receiver) {
            return Err(TableError::NoProcess(receiver));
        }
        let mut registry = self.registry.write();
        if !registry.delist(giver, table) {
            return Err(TableError::Access(table.name));
        }
        registry.enlist(receiver, Arc::clone(table));
        drop(registry);
        if deliver(receiver, message) {
            return Ok(());
        }
        let mut registry = self.registry.write();
        if !registry.delist(receiver, table) {
            // The receiver's death got it first: it was given, and has gone to the heir or away.
            return Ok(());
        }
        registry.enlist(giver, Arc::clone(table));
        drop(registry);
        if !is_alive(giver) {
            self.owner_died(giver, deliver);
        }
        Err(TableError::NoProcess(receiver))
    }

    /// Names the heir of a table that `owner` asks to name. Its death may come at the same time, from another thread:
    /// then this comes first and counts, or is refused, and says nothing to the next owner.
    pub(super) fn set_heir(
        &self,
        table: &Arc<Inner>,
        owner: Pid,
        heir: Option<(Pid, OwnedTerm)>,
    ) -> Result<(), TableError> {
        let registry = self.registry.read();
        let mut owned = registry.owned.get(&owner).into_iter().flatten();
        if !owned.any(|owned| Arc::ptr_eq(owned, table)) {
            return Err(TableError::Access(table.name));
        }
        let old = std::mem::replace(&mut *table.heir.write(), heir);
        drop(registry);
        drop(old);
        Ok(())
    }

    /// Deletes a table that `owner` asks to delete.
    pub(super) fn delete(&self, table: &Arc<Inner>, owner: Pid) -> Result<Discarded, TableError> {
        let mut registry = self.registry.write();
        if !registry.delist(owner, table) {
            return Err(TableError::Access(table.name));
        }
        registry.forget(table);
        drop(registry);
        table
            .rows
            .empty(true)
            .map_err(|Closed| TableError::NoTable(table.name))
    }

    /// Settles what `pid` owned: each table goes to its heir or is deleted.
    ///
    /// To be called once `pid` counts as dead for whoever asks, and before its links and monitors hear of it, so that
    /// who restarts an owner finds its tables with the heir. `deliver` sends the heir its message and says whether the
    /// heir is alive; if it says so, the heir's own death must come here later. It runs outside of all locks.
    pub fn owner_died(&self, pid: Pid, mut deliver: impl FnMut(Pid, OwnedTerm) -> bool) {
        let owned = self.registry.write().owned.remove(&pid);
        for table in owned.unwrap_or_default() {
            self.settle(&table, pid, &mut deliver);
        }
    }

    /// Gives a table that is on nobody's list to its heir, or deletes it.
    fn settle(
        &self,
        table: &Arc<Inner>,
        dead: Pid,
        deliver: &mut impl FnMut(Pid, OwnedTerm) -> bool,
    ) {
        let heir = table
            .heir
            .read()
            .as_ref()
            .map(|(heir, data)| (*heir, table.transfer_message(dead, data)));
        if let Some((heir, message)) = heir.filter(|(heir, _)| *heir != dead) {
            // The heir owns the table before it is told, so that it can write as soon as it hears of it.
            self.registry.write().enlist(heir, Arc::clone(table));
            if deliver(heir, message) {
                return;
            }
            if !self.registry.write().delist(heir, table) {
                // The heir died with the table on its list, and its death settles it.
                return;
            }
        }
        self.registry.write().forget(table);
        drop(table.rows.empty(true));
    }
}
