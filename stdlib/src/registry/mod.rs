//! Names for processes that are no atoms: Elixir's `Registry`, with unique keys.
//!
//! Keys are any terms, so they can be made at run time without filling the table of atoms, and
//! each comes with a value. Looking up reads a table, past every process.
//!
//! # Protocol
//!
//! The registry is a process, the *partition*, that owns two public tables: `Name` with a row
//! `Key => {Pid, Place, Value}` for each key, and `Name.pids` with rows `Pid => Count` and
//! `{Pid, Place} => Key` for each process that registered.
//!
//! 1. A process registers for itself: it links to the partition, counts itself a place, writes
//!    `{Pid, Place} => Key`, then the key's row, if there is none yet.
//! 2. It unregisters for itself: first the key's row goes, then its own; without a key left it
//!    takes its link away (unless it is the one that started the registry).
//! 3. When it ends, the partition, which traps exits, removes what it had registered.
//! 4. A look-up that finds a row of a dead process says that there is none.
//! 5. A registration that finds a row of a dead process asks the partition to remove what that
//!    process had, this key above all, and tries again.
//!
//! # Races
//!
//! * A row is removed only by its living process, or by the partition once the process is dead;
//!   it is made only where there is none. So between the partition's look at a row of a dead
//!   process and its removal nobody can have changed it, and two processes that both find a dead
//!   holder can't remove each other's new row.
//! * A process may be killed between the two writes of step 1. The key was noted first, so the
//!   partition finds it; it removes the key's row only if it bears that pid.
//! * A process that registers while the registry is being restarted gets
//!   [`RegisterError::NoRegistry`]; one that had registered before is linked to the old partition
//!   and ends with it, unless it traps exits. Put the registry before its users in a
//!   `rest_for_one` or `one_for_all` tree.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use otp_stdlib::prelude::*;
//! use otp_vm::{Context, Vm};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vm = Vm::builder().schedulers(1).build()?;
//! let found = vm
//!     .run(async |mut cx: Context| {
//!         let sessions = Registry::<u64, String>::start_link(&mut cx, "sessions").await.unwrap();
//!         sessions.register(&mut cx, &42, &"ada".to_owned()).await.unwrap();
//!         sessions.lookup(&cx, &42) == Some((cx.pid(), "ada".to_owned()))
//!     })
//!     .wait()?;
//! assert!(found);
//! vm.shutdown(Duration::from_secs(1)).wait();
//! # Ok(())
//! # }
//! ```

mod partition;
mod tables;
mod via;

use std::fmt;
use std::marker::PhantomData;

use otp_vm::{
    Atom, AtomError, Context, ExitReason, OwnedTerm, Pid, TableError, Term, Timeout, from_term,
    to_term,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use partition::{Info, Partition, Request};
pub(crate) use via::Valued;

use crate::gen_server::{GenServer, ServerRef, Start};
use crate::proc_lib::StartError;
use crate::supervisor::ChildSpec;
use tables::{Claim, Row, Tables, holder, pids_name, value};

/// A registry's handle: its name, with the types of its keys and values. Free to copy; resolved
/// at each use, so it survives a restart.
pub struct Registry<K, V = ()> {
    name: Atom,
    /// The second table's name, made once.
    pids: Atom,
    types: PhantomData<fn(K, V)>,
}

/// Why a process was not registered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// A living process has the key; perhaps the caller itself.
    #[error("the key belongs to {0}; look it up, or use another key")]
    AlreadyRegistered(Pid),
    /// The registry does not run.
    #[error("the registry {0} does not run; start it before its users")]
    NoRegistry(Atom),
    /// The key or value can't be kept.
    #[error("the key or value can't be kept: {0}")]
    Row(String),
}

/// `{register, Text}`.
#[derive(Serialize)]
enum Reason {
    Register(String),
}

impl From<RegisterError> for ExitReason {
    fn from(error: RegisterError) -> Self {
        ExitReason::new(&Reason::Register(error.to_string()))
    }
}

/// Who has a key of the registry with this name.
pub(crate) fn whereis_key<K>(cx: &Context, registry: Atom, key: &K) -> Option<Pid>
where
    K: Serialize + ?Sized,
{
    let keys = cx.table_by_atom(registry)?;
    keys.lookup_with(cx, key, holder)
        .ok()??
        .filter(|&pid| cx.vm().is_alive(pid))
}

impl<K, V> Registry<K, V> {
    /// A handle on the registry of this name, running or not.
    ///
    /// # Errors
    /// When the text can't be an atom.
    pub fn named(name: &str) -> Result<Self, AtomError> {
        Ok(Self {
            name: Atom::new(name)?,
            pids: pids_name(name)?,
            types: PhantomData,
        })
    }

    /// The same registry for keys and values of any type, for who has them as terms.
    pub fn of_terms(&self) -> Registry<OwnedTerm, OwnedTerm> {
        Registry {
            name: self.name,
            pids: self.pids,
            types: PhantomData,
        }
    }

    pub(crate) fn atom(&self) -> Atom {
        self.name
    }

    /// Starts a registry, linked to the caller. Under a supervisor use [`child_spec`](Self::child_spec).
    ///
    /// # Errors
    /// As any start; [`StartError::AlreadyStarted`] when the name is taken.
    pub async fn start_link(cx: &mut Context, name: &str) -> Result<Self, StartError> {
        Self::child(cx, name).await?;
        Self::named(name).map_err(|error| StartError::BadName(error.to_string()))
    }

    /// A registry as a child of a supervisor, with its name as id: permanent, and before those who register.
    /// `Registry.child_spec/1`.
    pub fn child_spec(name: &'static str) -> ChildSpec {
        ChildSpec::worker(name, move |cx| Self::child(cx, name))
    }

    /// The start of a registry, as a child specification needs it:
    /// `ChildSpec::worker("sessions", |cx| Registry::<u64, String>::child(cx, "sessions"))`.
    pub fn child<'a>(cx: &'a mut Context, name: &str) -> Start<'a, Partition> {
        Partition::start_link(cx, name.to_owned()).name(name)
    }

    /// How many keys are registered; those of processes that ended this moment count as well.
    /// `Registry.count/1`.
    pub fn count(&self, cx: &Context) -> usize {
        cx.table_by_atom(self.name).map_or(0, |keys| keys.len())
    }

    fn tables(&self, cx: &Context) -> Option<Tables> {
        Tables::find(cx, self.name, self.pids)
    }

    fn failed(&self, error: TableError) -> RegisterError {
        match error {
            TableError::NoTable(_) => RegisterError::NoRegistry(self.name),
            other => RegisterError::Row(other.to_string()),
        }
    }
}

impl<K: Serialize, V> Registry<K, V> {
    /// Who has a key: a living process, or nobody. `Registry.whereis_name/1`.
    pub fn whereis(&self, cx: &Context, key: &K) -> Option<Pid> {
        whereis_key(cx, self.name, key)
    }

    /// Gives a key back that the caller registered. False: it had not. `Registry.unregister/2`.
    pub fn unregister(&self, cx: &Context, key: &K) -> bool {
        let Some(tables) = self.tables(cx) else {
            return false;
        };
        let released = tables.release(cx, key).unwrap_or(false);
        if released {
            self.unlink_if_done(cx, &tables);
        }
        released
    }

    /// A process without a key has no reason to be linked to the partition.
    fn unlink_if_done(&self, cx: &Context, tables: &Tables) {
        if let Some(partition) = tables.owner()
            && tables.may_unlink(cx).unwrap_or(false)
        {
            cx.unlink(partition);
        }
    }
}

impl<K: Serialize, V: Serialize> Registry<K, V> {
    /// Registers the calling process under a key. `Registry.register/3`.
    ///
    /// It stays until the process ends or unregisters. One process may have many keys.
    ///
    /// # Errors
    /// [`RegisterError::AlreadyRegistered`] when a living process has the key.
    pub async fn register(
        &self,
        cx: &mut Context,
        key: &K,
        value: &V,
    ) -> Result<(), RegisterError> {
        let nobody = RegisterError::NoRegistry(self.name);
        let Some(tables) = self.tables(cx) else {
            return Err(nobody);
        };
        let Some(partition) = tables.owner() else {
            return Err(nobody);
        };
        cx.link(partition);
        loop {
            let error = match tables.claim(cx, key, value) {
                Ok(Claim::Ours) => return Ok(()),
                Ok(Claim::Free) => continue,
                Ok(Claim::Held(holder)) if cx.vm().is_alive(holder) => {
                    RegisterError::AlreadyRegistered(holder)
                }
                Ok(Claim::Held(dead)) => match self.take_over(cx, partition, dead, key).await {
                    Ok(()) => continue,
                    Err(error) => error,
                },
                Err(error) => self.failed(error),
            };
            self.unlink_if_done(cx, &tables);
            return Err(error);
        }
    }

    /// Step 5 of the protocol.
    async fn take_over(
        &self,
        cx: &mut Context,
        partition: Pid,
        dead: Pid,
        key: &K,
    ) -> Result<(), RegisterError> {
        let key = to_term(key).map_err(|error| RegisterError::Row(error.to_string()))?;
        let partition = ServerRef::<Partition>::from_pid(partition);
        let cleaned = partition
            .call_timeout(cx, Request::Clean(dead, key), Timeout::Infinity)
            .await;
        cleaned.map_err(|_| RegisterError::NoRegistry(self.name))
    }
}

impl<K: Serialize, V: Serialize + DeserializeOwned> Registry<K, V> {
    /// Who has a key, and with which value. `Registry.lookup/2`.
    ///
    /// A process that ended is never found, even if the registry does not know yet.
    pub fn lookup(&self, cx: &Context, key: &K) -> Option<(Pid, V)> {
        let keys = cx.table_by_atom(self.name)?;
        let entry = |row: Term<'_>| Some((holder(row)?, from_term(value(row)?).ok()?));
        keys.lookup_with(cx, key, entry)
            .ok()??
            .filter(|&(pid, _)| cx.vm().is_alive(pid))
    }

    /// Changes the value of a key that the caller registered, and gives the new value.
    /// `Registry.update_value/3`. `None`: the key is not the caller's.
    pub fn update_value(&self, cx: &Context, key: &K, change: impl FnOnce(V) -> V) -> Option<V> {
        let keys = cx.table_by_atom(self.name)?;
        let mut row: Row<V> = keys.lookup(cx, key).ok()??;
        if row.0 != cx.pid() {
            return None;
        }
        row.2 = change(row.2);
        keys.insert(cx, key, &row).ok()?;
        Some(row.2)
    }
}

impl<K: Serialize + DeserializeOwned, V> Registry<K, V> {
    /// The keys of a process, in no order. `Registry.keys/2`.
    pub fn keys(&self, cx: &Context, pid: Pid) -> Vec<K> {
        let Some(tables) = self.tables(cx) else {
            return Vec::new();
        };
        let count = tables.count_of(cx, pid).unwrap_or(0);
        (0..count)
            .filter_map(|place| tables.key_at(cx, pid, place))
            .collect()
    }
}

impl<K, V> Clone for Registry<K, V> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K, V> Copy for Registry<K, V> {}

impl<K, V> fmt::Debug for Registry<K, V> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Registry").field(&self.name).finish()
    }
}
