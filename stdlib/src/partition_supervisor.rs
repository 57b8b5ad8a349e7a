//! A supervisor for as many children of one kind as there are schedulers, among which work is divided by a key:
//! Elixir's `PartitionSupervisor`.
//!
//! One process that everybody asks is a bottleneck: a `DynamicSupervisor` that all sessions are started by, a server
//! that counts for all. Here each partition is a process, and a key, any term, says which: an integer by its remainder,
//! anything else by its hash ([`phash2`](otp_vm::Term::phash2_range)). The way from key to process is a look-up in a
//! table, past every process.
//!
//! # The life of a partition supervisor
//!
//! 1. It is a [`Supervisor`] with a name, whose children have the numbers of their partitions as ids, from 0. It owns a
//!    table of its own name, with the pid of each partition; each start of a child writes its row.
//! 2. A partition that ended is restarted as flags and specification say. Until then its row has the former pid, and
//!    who calls it is told `noproc`.
//! 3. [`resize`](PartitionSupervisor::resize) ends the last partitions, or starts them again: there are never more than
//!    at the start. A key may belong to another partition then: what a partition knew of a key stays behind.
//!
//! ```
//! use otp_stdlib::partition_supervisor::{PartitionFlags, PartitionSupervisor};
//! use otp_stdlib::prelude::*;
//! use otp_vm::{Context, Vm};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vm = Vm::builder().schedulers(2).build()?;
//! let counted = vm.run(async |mut cx: Context| {
//!     let flags = PartitionFlags::new();
//!     let sessions = PartitionSupervisor::<DynamicSupervisor>::start_link(&mut cx, "sessions", flags, |_partition| {
//!         ChildSpec::supervisor("", |cx| DynamicSupervisor::start_link(cx, DynamicSupervisorFlags::new()))
//!     });
//!     let sessions = sessions.await.unwrap();
//!     let session = ChildSpec::process("ada's", async |mut cx: Context| { cx.receive().await; });
//!     let supervisor = sessions.server(&cx, "ada").unwrap();
//!     supervisor.start_child(&mut cx, session).await.unwrap();
//!     sessions.partitions(&cx)
//! });
//! assert_eq!(counted.wait()?, Some(2));
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use otp_vm::{
    AtomError, Context, EncodeError, ExitReason, Pid, Table, TableOptions, Term, Timeout, View,
    to_term,
};
use serde::Serialize;

use crate::r#gen::{Name, PartitionKey, Target, Via};
use crate::gen_server::{GenServer, ServerRef};
use crate::proc_lib::{StartError, StopError};
use crate::supervisor::{
    ChildCounts, ChildError, ChildId, ChildInfo, ChildSpec, Supervise, Supervisor, SupervisorFlags,
    SupervisorInit, SupervisorRef,
};

/// The key of the row that has the number of partitions; the others have theirs.
const COUNT: Partitions = Partitions::Partitions;

#[derive(Serialize)]
enum Partitions {
    Partitions,
}

/// How many partitions there are, and how they are supervised.
#[derive(Clone, Debug)]
pub struct PartitionFlags {
    partitions: Option<usize>,
    flags: SupervisorFlags,
}

impl PartitionFlags {
    /// Elixir's defaults: a partition for each scheduler that is online, restarted alone, 3 restarts within 5 seconds.
    pub fn new() -> Self {
        Self {
            partitions: None,
            flags: SupervisorFlags::one_for_one(),
        }
    }

    /// So many partitions; with none it does not start.
    pub fn partitions(mut self, partitions: usize) -> Self {
        self.partitions = Some(partitions);
        self
    }

    /// At most `max_restarts` within `period`, over all partitions; one more ends the supervisor.
    pub fn intensity(mut self, max_restarts: u32, period: Duration) -> Self {
        self.flags = self.flags.intensity(max_restarts, period);
        self
    }

    /// Supervised as these flags say: by another strategy, say. `auto_shutdown` is not for partitions: with it the
    /// supervisor does not start.
    pub fn flags(mut self, flags: SupervisorFlags) -> Self {
        self.flags = flags;
        self
    }
}

impl Default for PartitionFlags {
    fn default() -> Self {
        Self::new()
    }
}

/// A partition supervisor by its name, resolved at each use, so it survives a restart. Cheap to clone.
pub struct PartitionSupervisor<S> {
    supervisor: Target,
    server: PhantomData<fn(S)>,
}

/// Why a partition supervisor has not another number of partitions now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResizeError {
    /// It does not run.
    #[error("the partition supervisor {0} does not run; start it first")]
    NoProc(String),
    /// It had never so many.
    #[error(
        "{wanted} partitions are more than the {most} that it was started with; start it with more"
    )]
    TooMany {
        /// What was wanted.
        wanted: usize,
        /// How many there may be.
        most: usize,
    },
    /// A partition did not end, or did not start.
    #[error("a partition could not be ended or started: {0}")]
    Child(#[from] ChildError),
}

type Child = dyn Fn(usize) -> ChildSpec + Send + Sync;

/// The callback.
struct Callback;

/// What it gives the children by.
struct Args {
    name: Name,
    flags: PartitionFlags,
    child: Arc<Child>,
}

#[derive(Serialize)]
enum Wrong {
    InvalidPartitions(usize),
    InvalidAutoShutdown,
    Table(String),
}

impl Supervise for Callback {
    type Args = Args;

    async fn init(args: &Args, cx: &mut Context) -> SupervisorInit {
        let online = cx.vm().schedulers_online();
        let partitions = args.flags.partitions.unwrap_or(online);
        let invalid = |wrong: Wrong| SupervisorInit::Stop(ExitReason::new(&wrong));
        if partitions == 0 {
            return invalid(Wrong::InvalidPartitions(0));
        }
        if args.flags.flags.is_auto_shutdown() {
            return invalid(Wrong::InvalidAutoShutdown);
        }
        // There is one already when the code is changed.
        if own_table(cx, &args.name).is_none() {
            // Whoever resizes writes it as well.
            let options = TableOptions::set().public();
            let made = match &args.name {
                Name::Local(name) => cx.table_new(name.as_str(), options.named()),
                _ => cx.table_new(TABLE, options),
            };
            let made = made.and_then(|table| table.insert(cx, &COUNT, &[partitions, partitions]));
            if let Err(error) = made {
                return invalid(Wrong::Table(error.to_string()));
            }
        }
        let children = (0..partitions).map(|partition| {
            let spec = (args.child)(partition).with_id(id_of(partition));
            let name = args.name.clone();
            // It is the supervisor that notes.
            spec.noting(move |cx, pid| match own_table(cx, &name) {
                Some(table) => table
                    .insert(cx, &partition, &pid)
                    .map_err(|error| StartError::Spawn(error.to_string())),
                None => Err(StartError::Exit(ExitReason::noproc())),
            })
        });
        SupervisorInit::Ok(args.flags.flags.clone(), children.collect())
    }
}

/// What the table of a supervisor without a local name is called, among those that the supervisor owns.
const TABLE: &str = "partition_supervisor";

/// The table of the partition supervisor with this name, which is the calling process. Another process's table may have
/// the name.
fn own_table(cx: &Context, name: &Name) -> Option<Table> {
    match name {
        Name::Local(name) => {
            let table = cx.table_by_atom(*name);
            table.filter(|table| table.owner() == Some(cx.pid()))
        }
        _ => table_of(cx, cx.pid()),
    }
}

/// The table of the partition supervisor that is called so, if it runs.
fn table_at(cx: &Context, supervisor: &Target) -> Option<Table> {
    match supervisor {
        Target::Name(name) => cx.table_by_atom(*name),
        other => table_of(cx, other.whereis(cx)?),
    }
}

fn table_of(cx: &Context, supervisor: Pid) -> Option<Table> {
    let mut tables = cx.vm().tables_of(supervisor).into_iter();
    tables.find(|table| table.name().as_str() == TABLE)
}

/// How many partitions there are, and how many there may be.
fn sizes(table: &Table, cx: &Context) -> Option<[usize; 2]> {
    table.lookup(cx, &COUNT).ok()?
}

/// The partition of a key, by its last process; `None`: the supervisor does not run, or has no partition.
pub(crate) fn whereis_partition(cx: &Context, supervisor: &Target, key: Term<'_>) -> Option<Pid> {
    let table = table_at(cx, supervisor)?;
    let [partitions, _] = sizes(&table, cx)?;
    let partitions = u32::try_from(partitions).ok().and_then(NonZeroU32::new)?;
    table.lookup(cx, &partition_of(key, partitions)).ok()?
}

fn partition_of(key: Term<'_>, partitions: NonZeroU32) -> u64 {
    let range = u64::from(partitions.get());
    match key.view() {
        View::Int(number) => number.unsigned_abs() % range,
        // Limb by limb, the most significant first, as by hand.
        View::BigInt(number) => number.limbs().iter().rev().fold(0, |rest, &limb| {
            let number = u128::from(rest) << 64 | u128::from(limb);
            (number % u128::from(range)) as u64
        }),
        _ => key.phash2_range(range).into(),
    }
}

/// A partition's number as the id of its child.
fn id_of(partition: usize) -> ChildId {
    match to_term(&partition) {
        Ok(number) => ChildId::from(number),
        Err(error) => unreachable!("a number could not be encoded: {error}"),
    }
}

impl<S: GenServer> PartitionSupervisor<S> {
    /// Starts a partition supervisor under this name, linked to the caller. `PartitionSupervisor.start_link/1`.
    ///
    /// `child` gives the specification of each partition, whose number it gets: what Elixir's `with_arguments` is for.
    /// Ids in it are not looked at.
    ///
    /// # Errors
    /// As any start of a supervisor; with no partition `{invalid_partitions, 0}`.
    pub async fn start_link<F>(
        cx: &mut Context,
        name: &str,
        flags: PartitionFlags,
        child: F,
    ) -> Result<Self, StartError>
    where
        F: Fn(usize) -> ChildSpec + Send + Sync + 'static,
    {
        let name = Name::local(name).map_err(bad_name)?;
        Self::start_link_named(cx, name, flags, child).await
    }

    /// As [`start_link`](Self::start_link), under a name of any kind: `{via, Module, Name}`.
    ///
    /// ```
    /// use otp_stdlib::Name;
    /// use otp_stdlib::partition_supervisor::{PartitionFlags, PartitionSupervisor};
    /// use otp_stdlib::prelude::*;
    /// use otp_vm::{Context, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(async |mut cx: Context| {
    ///     let trees = Registry::<String, ()>::start_link(&mut cx, "trees").await.unwrap();
    ///     let name = Name::via(&trees, &"sessions".to_owned()).unwrap();
    ///     let dynamic = |_partition| DynamicSupervisor::child_spec(DynamicSupervisorFlags::new());
    ///     let flags = PartitionFlags::new().partitions(3);
    ///     let started = PartitionSupervisor::<DynamicSupervisor>::start_link_named(&mut cx, name, flags, dynamic);
    ///     started.await.unwrap();
    ///     let sessions = PartitionSupervisor::<DynamicSupervisor>::via(&trees, &"sessions".to_owned());
    ///     assert_eq!(sessions.unwrap().partitions(&cx), Some(3));
    /// });
    /// run.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`start_link`](Self::start_link).
    pub async fn start_link_named<F>(
        cx: &mut Context,
        name: Name,
        flags: PartitionFlags,
        child: F,
    ) -> Result<Self, StartError>
    where
        F: Fn(usize) -> ChildSpec + Send + Sync + 'static,
    {
        Self::child(cx, name.clone(), flags, Arc::new(child)).await?;
        Ok(Self::of(name))
    }

    /// The start as a child specification needs it, whose id is the supervisor's name.
    /// `PartitionSupervisor.child_spec/1`.
    ///
    /// # Panics
    /// When the name can't be an atom.
    pub fn child_spec<F>(name: &'static str, flags: PartitionFlags, child: F) -> ChildSpec
    where
        F: Fn(usize) -> ChildSpec + Send + Sync + 'static,
    {
        match Name::local(name) {
            Ok(local) => Self::child_spec_named(local, flags, child).with_id(name),
            Err(error) => panic!("{name:?} is no name for a partition supervisor: {error}"),
        }
    }

    /// As [`child_spec`](Self::child_spec), for a name of any kind: the id is the name alone, without what keeps it.
    pub fn child_spec_named<F>(name: Name, flags: PartitionFlags, child: F) -> ChildSpec
    where
        F: Fn(usize) -> ChildSpec + Send + Sync + 'static,
    {
        let child: Arc<Child> = Arc::new(child);
        let start = ChildSpec::new(ChildId::from(&name), move |cx| {
            let (name, flags, child) = (name.clone(), flags.clone(), Arc::clone(&child));
            Box::pin(async move {
                match Self::child(cx, name, flags, child).await?.pid() {
                    Some(pid) => Ok(pid),
                    None => unreachable!("a start gives a reference by pid"),
                }
            })
        });
        start.into_supervisor()
    }

    fn child(
        cx: &mut Context,
        name: Name,
        flags: PartitionFlags,
        child: Arc<Child>,
    ) -> crate::gen_server::Start<'_, Supervisor> {
        let args = Args {
            name: name.clone(),
            flags,
            child,
        };
        Supervisor::start_link_with::<Callback>(cx, args).named(name)
    }

    fn of(name: Name) -> Self {
        let supervisor = match name {
            Name::Local(name) => Target::Name(name),
            Name::Via(name) => Target::Via(name),
        };
        Self {
            supervisor,
            server: PhantomData,
        }
    }

    /// A handle on the partition supervisor of this name, running or not.
    ///
    /// # Errors
    /// When the text can't be an atom.
    pub fn named(name: &str) -> Result<Self, AtomError> {
        Name::local(name).map(Self::of)
    }

    /// A handle on the partition supervisor of a name that `via` keeps. `{via, Module, Name}`.
    ///
    /// # Errors
    /// When the name can't be a term.
    pub fn via<V: Via>(via: &V, name: &V::Name) -> Result<Self, EncodeError> {
        Name::via(via, name).map(Self::of)
    }

    fn table(&self, cx: &Context) -> Option<Table> {
        table_at(cx, &self.supervisor)
    }

    /// How many partitions there are; `None`: it does not run. `PartitionSupervisor.partitions/1`.
    pub fn partitions(&self, cx: &Context) -> Option<usize> {
        sizes(&self.table(cx)?, cx).map(|[now, _]| now)
    }

    /// The process that a key belongs to; `None`: the supervisor does not run, or has no partition, or the key is no
    /// term. `GenServer.whereis({:via, PartitionSupervisor, {Name, Key}})`.
    pub fn whereis<K: Serialize + ?Sized>(&self, cx: &Context, key: &K) -> Option<Pid> {
        whereis_partition(cx, &self.supervisor, to_term(key).ok()?.root())
    }

    /// A reference to the server that a key belongs to, as [`whereis`](Self::whereis) finds it now.
    pub fn server<K: Serialize + ?Sized>(&self, cx: &Context, key: &K) -> Option<ServerRef<S>> {
        self.whereis(cx, key).map(ServerRef::from_pid)
    }

    /// A reference to whichever server a key belongs to when the reference is used, so it survives a restart of the
    /// partition and a [`resize`](Self::resize). While there is none, a call of it is told `noproc`. Elixir's
    /// `{:via, PartitionSupervisor, {Name, Key}}`.
    ///
    /// ```
    /// # use otp_stdlib::prelude::*;
    /// # use otp_vm::{Context, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let run = vm.run(async |mut cx: Context| {
    /// # let dynamic = |_| DynamicSupervisor::child_spec(DynamicSupervisorFlags::new());
    /// # let flags = PartitionFlags::new().partitions(3);
    /// # PartitionSupervisor::<DynamicSupervisor>::start_link(&mut cx, "sessions", flags, dynamic).await.unwrap();
    /// let sessions = PartitionSupervisor::<DynamicSupervisor>::named("sessions").unwrap();
    /// let session = ChildSpec::process("ada's", async |mut cx: Context| { cx.receive().await; });
    /// sessions.server_via("ada").unwrap().start_child(&mut cx, session).await.unwrap();
    /// # });
    /// # run.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// When the key can't be a term.
    pub fn server_via<K: Serialize + ?Sized>(&self, key: &K) -> Result<ServerRef<S>, EncodeError> {
        let (supervisor, key) = (self.supervisor.clone(), to_term(key)?);
        let target = Target::Partitioned(Arc::new(PartitionKey { supervisor, key }));
        Ok(ServerRef::new(target))
    }

    /// Ends the last partitions, or starts them again, and gives how many there were. There may be none.
    /// `PartitionSupervisor.resize!/2`.
    ///
    /// Two that resize at once may leave partitions running to which no key leads, or a key without a process: have one
    /// do it.
    ///
    /// # Errors
    /// See [`ResizeError`].
    pub async fn resize(&self, cx: &mut Context, partitions: usize) -> Result<usize, ResizeError> {
        let no_proc = || ResizeError::NoProc(self.supervisor.to_term().to_string());
        let table = self.table(cx).ok_or_else(no_proc)?;
        let [before, most] = sizes(&table, cx).ok_or_else(no_proc)?;
        if partitions > most {
            let wanted = partitions;
            return Err(ResizeError::TooMany { wanted, most });
        }
        let supervisor = self.supervisor();
        let write = |cx: &Context| table.insert(cx, &COUNT, &[partitions, most]);
        for partition in before..partitions {
            match supervisor.restart_child(cx, id_of(partition)).await {
                Ok(_) | Err(ChildError::Running) => {}
                Err(error) => return Err(error.into()),
            }
        }
        // No key leads to those that are to end before they do, nor to those that start before they run.
        write(cx).map_err(|_| no_proc())?;
        // All that are too many: somebody may have been killed while he ended the last ones.
        for partition in partitions..most {
            match supervisor.terminate_child(cx, id_of(partition)).await {
                // A temporary one is forgotten when it has ended.
                Ok(()) | Err(ChildError::NotFound) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(before)
    }

    fn supervisor(&self) -> SupervisorRef {
        SupervisorRef::new(self.supervisor.clone())
    }

    /// The partitions, by number: ids are those. `PartitionSupervisor.which_children/1`.
    ///
    /// # Errors
    /// [`ChildError::Supervisor`].
    pub async fn which_children(&self, cx: &mut Context) -> Result<Vec<ChildInfo>, ChildError> {
        self.supervisor().which_children(cx).await
    }

    /// How many partitions there are, and how many of them run. `PartitionSupervisor.count_children/1`.
    ///
    /// # Errors
    /// [`ChildError::Supervisor`].
    pub async fn count_children(&self, cx: &mut Context) -> Result<ChildCounts, ChildError> {
        self.supervisor().count_children(cx).await
    }

    /// Ends the supervisor and all partitions, and waits until it has. `PartitionSupervisor.stop/3`.
    ///
    /// # Errors
    /// As [`ServerRef::stop`].
    pub async fn stop(
        &self,
        cx: &mut Context,
        reason: impl Into<ExitReason>,
        after: impl Into<Timeout>,
    ) -> Result<(), StopError> {
        self.supervisor().stop(cx, reason, after).await
    }
}

fn bad_name(error: AtomError) -> StartError {
    StartError::BadName(error.to_string())
}

impl<S> Clone for PartitionSupervisor<S> {
    fn clone(&self) -> Self {
        Self {
            supervisor: self.supervisor.clone(),
            server: PhantomData,
        }
    }
}

impl<S> fmt::Debug for PartitionSupervisor<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_tuple("PartitionSupervisor")
            .field(&self.supervisor)
            .finish()
    }
}
