//! The VM as its host program holds it.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use otp_heap::{Atom, Pid};
use otp_scheduler::simulation::Simulation;
use otp_scheduler::{Blocking, JoinHandle, OnlineError, Policy, QueueFull, Scheduler};
use serde::Serialize;

use crate::context::{
    Context, DEFAULT_MAX_SUSPENSIONS, NativeContext, SpawnError, SpawnOptions,
    spawn_native_process, spawn_process,
};
use crate::core::{Core, Settings};
use crate::destination::{Destination, SendError, sent};
use crate::envelope::{self, HOST, Kind};
use crate::exit_reason::{ExitReason, IntoExit};
use crate::host::Run;
use crate::mailbox_limit::MailboxLimit;
use crate::max_heap_size::{HeapSizeError, MaxHeapSizeOptions};
use crate::message_queue::MessageQueueData;
use crate::message_size::{DEFAULT_MAX_MESSAGE_SIZE_BYTES, LEAST_MAX_MESSAGE_SIZE_BYTES};
use crate::module::{DEFAULT_MAX_MODULES, LoadError, Module, Modules};
use crate::names::RegisterError;
use crate::process::table::MAX_PROCESSES;
use crate::process::{Start, install_panic_hook};
use crate::reports::Reports;
use crate::shutdown::{self, Shutdown};
use crate::system_monitor::{
    DEFAULT_SYSTEM_MONITOR_QUEUE, MonitorOfSystem, SchedulerLink, SystemMonitor, SystemMonitorError,
};
use crate::table::{DEFAULT_MAX_TABLES, Table};
use crate::timers::DEFAULT_MAX_TIMERS;
use crate::trace::DEFAULT_MAX_TRACE_EVENTS;

/// Most processes of a VM, unless set: OTP's own default since release 27, 2^20.
pub const DEFAULT_MAX_PROCESSES: usize = 1 << 20;

/// How long a VM that was dropped without [`Vm::shutdown`] lets its processes end in order.
const DROP_LIMIT: Duration = Duration::from_secs(5);

/// A VM. Clones are handles on the same one.
///
/// When the host program drops its last handle without a [`Vm::shutdown`], the VM is shut down in
/// the background.
#[derive(Clone)]
pub struct Vm {
    core: Arc<Core>,
    /// None in a process's own handle, which doesn't keep the VM up.
    #[expect(dead_code, reason = "held for what its drop does")]
    host: Option<Arc<HostHandle>>,
}

/// Counts the host program's handles.
struct HostHandle(Arc<Core>);

impl Drop for HostHandle {
    fn drop(&mut self) {
        drop(shutdown::begin(&self.0, DROP_LIMIT));
    }
}

impl fmt::Debug for Vm {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Vm")
            .field("name", &self.core.name)
            .finish_non_exhaustive()
    }
}

/// How a VM is built: see [`Vm::builder`].
#[derive(Debug, Clone)]
#[must_use = "a builder builds nothing until `build` is called"]
pub struct VmBuilder {
    name: String,
    scheduler: otp_scheduler::Builder,
    simulated: Option<Scheduler>,
    max_processes: usize,
    max_tables: usize,
    max_timers: usize,
    max_trace_events: u64,
    max_suspensions: u32,
    pub(crate) message_queue_data: MessageQueueData,
    pub(crate) mailbox_limit: MailboxLimit,
    pub(crate) max_message_size: usize,
    pub(crate) system_monitor: Option<SystemMonitor>,
    pub(crate) system_monitor_queue: usize,
    max_modules: usize,
    modules: Vec<Module>,
    reports: Reports,
    max_heap_size: Option<MaxHeapSizeOptions>,
    min_heap_size: Option<usize>,
}

/// Why a VM was not built.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The scheduler's threads or its poller could not be made; or one of its settings is out of range, which is an
    /// [`InvalidInput`](std::io::ErrorKind::InvalidInput) that says what to give.
    #[error("the scheduler could not be started: {0}")]
    Scheduler(#[from] std::io::Error),
    /// A limit of no process, or of more than pids can name.
    #[error("max_processes is {asked}: give a number from 1 to {MAX_PROCESSES}")]
    MaxProcesses {
        /// What was asked for.
        asked: usize,
    },
    /// More modules than the limit.
    #[error(transparent)]
    Module(#[from] LoadError),
    /// A default size of heaps that no heap has.
    #[error("the default size of heaps is refused: {0}")]
    HeapSize(#[from] HeapSizeError),
    /// Messages are not limited to so little.
    #[error("max_message_size is {asked} bytes: give {LEAST_MAX_MESSAGE_SIZE_BYTES} or more")]
    MaxMessageSize {
        /// What was asked for.
        asked: usize,
    },
    /// The system's monitor can't be as asked for.
    #[error(transparent)]
    SystemMonitor(#[from] SystemMonitorError),
}

impl VmBuilder {
    /// Scheduler threads, 1 to 1024; by default as many as the program may use cores. `erl +S`.
    pub fn schedulers(mut self, schedulers: usize) -> Self {
        self.scheduler = self.scheduler.schedulers(schedulers);
        self
    }

    /// How many of them run processes from the start; by default all. `erl +S Schedulers:Online`. See
    /// [`Vm::set_schedulers_online`].
    pub fn schedulers_online(mut self, online: usize) -> Self {
        self.scheduler = self.scheduler.schedulers_online(online);
        self
    }

    /// The signal that makes threads wait whose process does not give way; `None` for a host that forbids signals. By
    /// default SIGRTMIN + 5. See [`otp_scheduler::Builder::gate_signal`].
    pub fn gate_signal(mut self, signal: Option<i32>) -> Self {
        self.scheduler = self.scheduler.gate_signal(signal);
        self
    }

    /// What the kernel shall make of threads whose process does not give way; by default [`Policy::Auto`].
    pub fn kernel_policy(mut self, policy: Policy) -> Self {
        self.scheduler = self.scheduler.kernel_policy(policy);
        self
    }

    /// Pins each scheduler to a core, for machines that run nothing else; by default not. `erl +sbt`. What a process
    /// starts inherits its core, threads and programs: see [`otp_scheduler::Builder::pin`].
    pub fn pin(mut self, pin: bool) -> Self {
        self.scheduler = self.scheduler.pin(pin);
        self
    }

    /// Most threads at once whose process does not give way, 0 for none; by default
    /// [`otp_scheduler::DEFAULT_MAX_BOUND`]. See [`otp_scheduler::Builder::max_bound`]. A process past the limit keeps
    /// its scheduler, and is as others are: an exit signal ends it when it next awaits, for everybody, and not before.
    pub fn max_bound(mut self, max: usize) -> Self {
        self.scheduler = self.scheduler.max_bound(max);
        self
    }

    /// Most native processes at once, 0 for none; by default [`otp_scheduler::DEFAULT_MAX_NATIVE`].
    pub fn max_native(mut self, max: usize) -> Self {
        self.scheduler = self.scheduler.max_native(max);
        self
    }

    /// Most threads of the blocking pool, 1 or more; by default [`otp_scheduler::DEFAULT_BLOCKING_THREADS`].
    pub fn blocking_threads(mut self, max: usize) -> Self {
        self.scheduler = self.scheduler.blocking_threads(max);
        self
    }

    /// Most closures that wait for a thread of the blocking pool, 1 or more; by default
    /// [`otp_scheduler::DEFAULT_BLOCKING_QUEUE`].
    pub fn blocking_queue(mut self, max: usize) -> Self {
        self.scheduler = self.scheduler.blocking_queue(max);
        self
    }

    /// How long a thread of the blocking pool stays with nothing to do; by default
    /// [`otp_scheduler::DEFAULT_BLOCKING_IDLE`].
    pub fn blocking_idle(mut self, idle: Duration) -> Self {
        self.scheduler = self.scheduler.blocking_idle(idle);
        self
    }

    /// Lets processes use tokio's libraries; by default they can't. Feature `tokio`. See
    /// [`otp_scheduler::Builder::tokio`].
    #[cfg(feature = "tokio")]
    pub fn tokio(mut self, handle: tokio::runtime::Handle) -> Self {
        self.scheduler = self.scheduler.tokio(handle);
        self
    }

    /// Most processes at once, 1 to [`MAX_PROCESSES`]; by default [`DEFAULT_MAX_PROCESSES`]. `erl +P`.
    pub fn max_processes(mut self, max: usize) -> Self {
        self.max_processes = max;
        self
    }

    /// Most tables at once, 0 for none; by default [`DEFAULT_MAX_TABLES`]. `erl +e`.
    pub fn max_tables(mut self, max: usize) -> Self {
        self.max_tables = max;
        self
    }

    /// Most timers that send at once ([`Context::send_after`] and its like), 0 for none; by default
    /// [`DEFAULT_MAX_TIMERS`].
    pub fn max_timers(mut self, max: usize) -> Self {
        self.max_timers = max;
        self
    }

    /// Most events that a tracer is told in a second, and most that wait for a handler; by default
    /// [`DEFAULT_MAX_TRACE_EVENTS`]. A trace that goes over it is switched off: its last message is
    /// `{trace_overload, Limit}`. In a simulation the seconds are virtual. `u64::MAX` is no limit.
    ///
    /// ```
    /// use otp_vm::{TraceFlags, TraceStop, Tracer, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).max_trace_events(2).build()?;
    /// let session = vm.trace_session(Tracer::handler(|_| ()));
    /// let traced = session.clone();
    /// vm.run(move |cx| async move {
    ///     traced.trace(cx.pid(), TraceFlags::SEND).unwrap();
    ///     for n in 0..3 {
    ///         cx.send(cx.pid(), &n).unwrap();
    ///     }
    /// }).wait()?;
    /// assert_eq!(session.figures().stopped, Some(TraceStop::Overload));
    /// assert_eq!(session.figures().events, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_trace_events(mut self, per_second: u64) -> Self {
        self.max_trace_events = per_second;
        self
    }

    /// How often at once a process may suspend the same one, 0 for not at all; by default [`DEFAULT_MAX_SUSPENSIONS`].
    pub fn max_suspensions(mut self, max: u32) -> Self {
        self.max_suspensions = max;
        self
    }

    /// Most modules at once, 0 for none; by default [`DEFAULT_MAX_MODULES`].
    pub fn max_modules(mut self, max: usize) -> Self {
        self.max_modules = max;
        self
    }

    /// Loads a process module, before the first process runs; by default there are none. See [`Vm::load_module`].
    pub fn module(mut self, module: Module) -> Self {
        self.modules.push(module);
        self
    }

    /// Has `handler` called with each report: of a crash, say; by default nobody is. It downcasts to the types of
    /// reports that it knows: `otp_stdlib::proc_lib::CrashReport`. A report is an event of `tracing` as well, whether
    /// or not there is a handler.
    ///
    /// It is called in the process that the report is of, or in the one that makes it; without a lock of the VM's. A
    /// panic of it is logged, and ends nobody. It should hold no [`Vm`], which would keep that up.
    pub fn report_handler(
        mut self,
        handler: impl Fn(&(dyn Any + Send + Sync)) + Send + Sync + 'static,
    ) -> Self {
        self.reports = Reports::to(handler);
        self
    }

    /// The limit on what each process keeps that is made without one; by default none. `erl +hmax`, `+hmaxk`,
    /// `+hmaxel`. See also [`Vm::set_max_heap_size`].
    pub fn max_heap_size(mut self, limit: impl Into<MaxHeapSizeOptions>) -> Self {
        self.max_heap_size = Some(limit.into());
        self
    }

    /// What heaps start with, in words; by default
    /// [`DEFAULT_MIN_HEAP_SIZE_WORDS`](crate::DEFAULT_MIN_HEAP_SIZE_WORDS). `erl +hms`.
    pub fn min_heap_size(mut self, words: usize) -> Self {
        self.min_heap_size = Some(words);
        self
    }

    /// The VM's name, for threads and reports; by default `vm`.
    pub fn name(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// Has the VM run in a simulation, instead of on threads of its own, as it does by default: when the simulation
    /// runs, on the thread that runs it, in virtual time, in an order that the seed decides. What concerns threads is
    /// without effect then.
    ///
    /// [`Run`] and [`Shutdown`] are for [`Simulation::block_on`]; their `wait` runs nothing. The simulation ends what
    /// processes there are when it is dropped. Several VMs may share one. Messages from other threads, and processes
    /// whose `Context` was moved to one, are no part of what a seed decides: see [`otp_scheduler::simulation`].
    ///
    /// ```
    /// use otp_vm::Vm;
    /// use otp_vm::simulation::Simulation;
    /// use std::time::Duration;
    ///
    /// Simulation::builder().explore(0..20, |simulation| {
    ///     let vm = Vm::builder().simulate(simulation).build()?;
    ///     let answer = simulation.block_on(vm.run(|mut cx| async move {
    ///         let parent = cx.pid();
    ///         for name in ["a", "b"] {
    ///             cx.spawn(move |cx| async move {
    ///                 cx.sleep(Duration::from_secs(3600)).await;
    ///                 cx.send(parent, name).unwrap();
    ///             }).unwrap();
    ///         }
    ///         // In one order under some seeds, in the other under others; and no hour passes.
    ///         let mut names = [cx.receive().await, cx.receive().await].map(|name| name.to_string());
    ///         names.sort();
    ///         names.concat()
    ///     }))??;
    ///     assert_eq!(answer, r#"<<"a">><<"b">>"#);
    ///     assert!(simulation.block_on(vm.shutdown(Duration::from_secs(5)))?.is_orderly());
    ///     Ok(())
    /// })?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn simulate(mut self, simulation: &Simulation) -> Self {
        self.simulated = Some(simulation.scheduler().clone());
        self
    }

    /// Starts the VM.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn build(self) -> Result<Vm, BuildError> {
        if !(1..=MAX_PROCESSES).contains(&self.max_processes) {
            return Err(BuildError::MaxProcesses {
                asked: self.max_processes,
            });
        }
        if self.max_message_size < LEAST_MAX_MESSAGE_SIZE_BYTES {
            return Err(BuildError::MaxMessageSize {
                asked: self.max_message_size,
            });
        }
        MonitorOfSystem::check_limit(self.system_monitor_queue)?;
        install_panic_hook();
        otp_heap::share_free_blocks();
        let link = SchedulerLink::default();
        let scheduler = match self.simulated {
            Some(simulated) => simulated,
            None => link
                .tell_of_slices(self.scheduler)
                .name(&self.name)
                .build()?,
        };
        let settings = Settings {
            name: self.name,
            max_processes: self.max_processes,
            max_tables: self.max_tables,
            max_timers: self.max_timers,
            max_trace_events: self.max_trace_events,
            max_suspensions: self.max_suspensions,
            message_queue_data: self.message_queue_data,
            mailbox_limit: self.mailbox_limit,
            max_message_size_bytes: self.max_message_size,
            system_monitor_queue: self.system_monitor_queue,
            modules: Modules::new(self.max_modules),
            reports: self.reports,
        };
        let core = Core::new(scheduler, settings);
        link.join(&core);
        let host = Some(Arc::new(HostHandle(Arc::clone(&core))));
        let vm = Vm { core, host };
        if let Some(words) = self.min_heap_size {
            vm.set_min_heap_size(words)?;
        }
        if let Some(limit) = self.max_heap_size {
            vm.set_max_heap_size(limit)?;
        }
        if let Some(monitor) = self.system_monitor {
            vm.set_system_monitor(monitor)?;
        }
        for module in self.modules {
            vm.load_module(module)?;
        }
        Ok(vm)
    }
}

impl Vm {
    /// Begins to build a VM: named `vm`, a scheduler for each core, the default limits.
    pub fn builder() -> VmBuilder {
        VmBuilder {
            name: "vm".to_owned(),
            scheduler: Scheduler::builder(),
            simulated: None,
            max_processes: DEFAULT_MAX_PROCESSES,
            max_tables: DEFAULT_MAX_TABLES,
            max_timers: DEFAULT_MAX_TIMERS,
            max_trace_events: DEFAULT_MAX_TRACE_EVENTS,
            max_suspensions: DEFAULT_MAX_SUSPENSIONS,
            message_queue_data: MessageQueueData::default(),
            mailbox_limit: MailboxLimit::NONE,
            max_message_size: DEFAULT_MAX_MESSAGE_SIZE_BYTES,
            system_monitor: None,
            system_monitor_queue: DEFAULT_SYSTEM_MONITOR_QUEUE,
            max_modules: DEFAULT_MAX_MODULES,
            modules: Vec::new(),
            reports: Reports::default(),
            max_heap_size: None,
            min_heap_size: None,
        }
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The handle that a process gets.
    pub(crate) fn for_process(&self) -> Vm {
        Vm {
            core: Arc::clone(&self.core),
            host: None,
        }
    }

    /// The VM's name.
    pub fn name(&self) -> &str {
        &self.core.name
    }

    /// Makes a process without a parent. When the VM shuts down, such processes are asked to end
    /// first, with `shutdown`; what they supervise, they take along.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn<B, F>(&self, body: B) -> Result<Pid, SpawnError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        spawn_process(self, None, Start::default(), body)
    }

    /// As [`Vm::spawn`], by options; `link` and `monitor` have no meaning here.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn_opt<B, F>(&self, options: SpawnOptions, body: B) -> Result<Pid, SpawnError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        spawn_process(self, None, options.start(), body)
    }

    /// Runs a process for its result, which is moved, not serialised. The way for a host program
    /// to call into the VM: from any async runtime by `.await`, from a thread by
    /// [`Run::wait`].
    ///
    /// The process has no parent, so [`Vm::shutdown`] ends it among the first: unless it traps exits, it is cut off
    /// where it waits, and so is what it asks of others, while they still run. What is to be finished is waited for
    /// before the shut-down begins.
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// # use std::time::Duration;
    /// let vm = Vm::builder().schedulers(1).build().unwrap();
    /// let pid = vm.run(|cx| async move { cx.pid() }).wait().unwrap();
    /// assert!(!vm.is_alive(pid));
    /// vm.shutdown(Duration::from_secs(1)).wait();
    /// ```
    pub fn run<B, F, T>(&self, body: B) -> Run<T>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
        T: Send + 'static,
    {
        Run::start(self, body)
    }

    /// Makes a native process without a parent: see [`Context::spawn_native`].
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn_native<B, E>(&self, body: B) -> Result<Pid, SpawnError>
    where
        B: FnOnce(NativeContext) -> E + Send + 'static,
        E: IntoExit,
    {
        spawn_native_process(self, None, Start::default(), body)
    }

    /// Runs a closure that may block on a thread of the VM's pool. See [`Context::blocking`].
    pub fn blocking<F, T>(&self, closure: F) -> Blocking<F, T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.scheduler.blocking(closure)
    }

    /// As [`Vm::blocking`], but at once or not at all: for threads of the host program.
    ///
    /// # Errors
    /// [`QueueFull`], which has the closure.
    pub fn try_blocking<F, T>(&self, closure: F) -> Result<JoinHandle<T>, QueueFull<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.scheduler.try_blocking(closure)
    }

    /// Sends a message from the host program. See [`Context::send`].
    ///
    /// # Errors
    /// As for [`Context::send`].
    pub fn send<M: Serialize + ?Sized>(
        &self,
        to: impl Into<Destination>,
        message: &M,
    ) -> Result<(), SendError> {
        let to = self.core.resolve(&to.into())?;
        let parcel = self.core.sized(to.message(HOST, message)?)?;
        sent(self.core.send(to.pid, parcel))
    }

    /// Sends an exit signal from the host program. `exit/2`.
    pub fn exit(&self, pid: Pid, reason: impl Into<ExitReason>) {
        let exit = envelope::exit(Kind::Exit, HOST, &reason.into());
        self.core.signal(pid, exit);
    }

    /// Who has a name. `whereis/1`.
    pub fn whereis(&self, name: &str) -> Option<Pid> {
        self.core.names.whereis(Atom::existing(name)?)
    }

    /// Names a process. `register/2`.
    ///
    /// # Errors
    /// When the name is taken or reserved, or the process has a name already or is gone.
    pub fn register(&self, name: &str, pid: Pid) -> Result<(), RegisterError> {
        self.core.names.register(&self.core, Atom::new(name)?, pid)
    }

    /// Takes a name away. Gives who had it. `unregister/1`.
    pub fn unregister(&self, name: &str) -> Option<Pid> {
        self.core
            .names
            .unregister(&self.core, Atom::existing(name)?)
    }

    /// All names and who has them, in no order. `registered/0`.
    pub fn registered(&self) -> Vec<(Atom, Pid)> {
        self.core.names.all()
    }

    /// Whether a process is alive and not about to end. `is_process_alive/1`.
    ///
    /// Signals that it has not yet taken in don't count; [`Context::is_alive`] waits for those.
    pub fn is_alive(&self, pid: Pid) -> bool {
        self.core.is_alive(pid)
    }

    /// A named table.
    pub fn table(&self, name: &str) -> Option<Table> {
        self.core.tables.by_name(Atom::existing(name)?)
    }

    /// The tables that a process owns, in no order; none, if it is gone.
    ///
    /// ```
    /// use otp_vm::{Context, TableOptions, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let names = vm.run(async |cx: Context| {
    ///     let _table = cx.table_new("a_table", TableOptions::set()).unwrap();
    ///     let tables = cx.vm().tables_of(cx.pid());
    ///     tables.iter().map(|table| table.name().to_string()).collect::<Vec<_>>()
    /// });
    /// assert_eq!(names.wait()?, ["a_table"]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn tables_of(&self, pid: Pid) -> Vec<Table> {
        self.core.tables.owned_by(pid)
    }

    /// Number of schedulers that run processes. `system_info(schedulers_online)`.
    pub fn schedulers_online(&self) -> usize {
        self.core.scheduler.schedulers_online()
    }

    /// Has so many of the schedulers run processes, and gives the number before.
    /// `system_flag(schedulers_online, N)`. See [`otp_scheduler::Scheduler::set_schedulers_online`].
    ///
    /// # Errors
    /// [`OnlineError`] for 0, and for more than there are.
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// let vm = Vm::builder().schedulers(2).build()?;
    /// assert_eq!(vm.set_schedulers_online(1)?, 2);
    /// assert_eq!(vm.system_info().schedulers_online, 1);
    /// assert!(vm.set_schedulers_online(0).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_schedulers_online(&self, n: usize) -> Result<usize, OnlineError> {
        self.core.scheduler.set_schedulers_online(n)
    }

    /// Shuts the VM down in order: processes without a parent are asked to end with `shutdown`,
    /// when they are gone so is everybody else; what is left after `limit` is killed; then the
    /// threads end.
    ///
    /// So what a host has begun by [`Vm::run`], and not waited for, is cut off first: its process has no parent, and
    /// whoever waits for it gets [`RunError::Exit`](crate::RunError::Exit) with `shutdown`.
    ///
    /// It keeps to `limit`, up to a second: the killed get half a second to end (from the last of them that did, and
    /// two in all), and the threads, with the closures of the blocking pool that run, what is left of `limit` and half
    /// a second. Only code that does not return uses that up. The report names the processes and the threads that are
    /// left then.
    ///
    /// It begins at once and goes on whether or not the result is awaited. A second call gives
    /// the same result.
    ///
    /// ```
    /// use otp_vm::{SpawnOptions, Vm};
    /// use std::time::Duration;
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// vm.spawn_opt(SpawnOptions::new().trap_exit(), |mut cx| async move {
    ///     loop {
    ///         // `shutdown` comes as a message, and is passed over.
    ///         cx.receive().await;
    ///     }
    /// })?;
    /// let report = vm.shutdown(Duration::from_millis(10)).wait().unwrap();
    /// assert!(!report.is_orderly());
    /// assert_eq!((report.ended, report.killed), (0, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn shutdown(&self, limit: Duration) -> Shutdown {
        shutdown::begin(&self.core, limit)
    }
}
