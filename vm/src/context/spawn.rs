//! Making processes.

use std::any::type_name;
use std::sync::atomic::Ordering;

use otp_heap::{Atom, Pid, Ref, atoms};
use otp_scheduler::{NativeError, NativePlace, Priority};

use super::{Context, MonitorOptions, NativeContext};
use crate::envelope::{self, HOST, Kind};
use crate::exit_reason::{ExitReason, IntoExit};
use crate::mailbox_limit::MailboxLimit;
use crate::max_heap_size::{HeapSizeError, MaxHeapSizeOptions};
use crate::memory_options::MemoryOptions;
use crate::message_queue::MessageQueueData;
use crate::process::body::{LazyBody, NativeBody};
use crate::process::{Body, Start, TypeName};
use crate::trace;
use crate::vm::Vm;

/// How to spawn a process. The options of `spawn_opt/2`.
///
/// ```
/// use otp_vm::SpawnOptions;
///
/// let options = SpawnOptions::new().link().monitor().label("worker");
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Default)]
pub struct SpawnOptions {
    link: bool,
    monitor: Option<MonitorOptions>,
    trap_exit: bool,
    label: Option<Atom>,
    priority: Priority,
    pub(crate) message_queue_data: Option<MessageQueueData>,
    pub(crate) mailbox_limit: Option<MailboxLimit>,
    initial_call: Option<TypeName>,
    memory: MemoryOptions,
}

impl SpawnOptions {
    /// No link, no monitor, normal priority.
    pub fn new() -> Self {
        Self::default()
    }

    /// Link the new process with its maker, before it runs.
    pub fn link(mut self) -> Self {
        self.link = true;
        self
    }

    /// Have the maker monitor the new process, from before it runs.
    pub fn monitor(self) -> Self {
        self.monitor_opt(MonitorOptions::new())
    }

    /// As [`SpawnOptions::monitor`], with a tag or as an alias. `{monitor, Options}`.
    pub fn monitor_opt(mut self, options: MonitorOptions) -> Self {
        self.monitor = Some(options);
        self
    }

    /// Whether a link was asked for.
    pub const fn has_link(&self) -> bool {
        self.link
    }

    /// Whether a monitor was asked for.
    pub const fn has_monitor(&self) -> bool {
        self.monitor.is_some()
    }

    /// Trap exits from the first moment.
    pub fn trap_exit(mut self) -> Self {
        self.trap_exit = true;
        self
    }

    /// A name for reports. Left out if it can't be an atom.
    pub fn label(mut self, label: &str) -> Self {
        self.label = Atom::new(label).ok();
        self
    }

    /// What the process is said to have begun with, where the body that is spawned wraps another one: that one's type.
    pub fn initial_call<B>(mut self) -> Self {
        self.initial_call = Some(type_name::<B>);
        self
    }

    /// The limit on what it keeps: a number of words, or options. `{max_heap_size, …}`.
    pub fn max_heap_size(mut self, limit: impl Into<MaxHeapSizeOptions>) -> Self {
        self.memory.max_heap_size = Some(limit.into());
        self
    }

    /// What its heap has room for at least, in words: see [`Context::min_heap_size`]. `{min_heap_size, Words}`.
    pub fn min_heap_size(mut self, words: usize) -> Self {
        self.memory.min_heap_words = Some(words);
        self
    }

    /// The priority. The default is normal, whatever the maker's is.
    pub fn priority(mut self, priority: Priority) -> Self {
        self.priority = priority;
        self
    }
}

/// What [`Context::spawn_opt`] made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spawned {
    /// The new process.
    pub pid: Pid,
    /// The monitor on it, if one was asked for.
    pub monitor: Option<Ref>,
}

/// Why a process was not made. `system_limit` in OTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpawnError {
    /// As many processes are alive as the VM was built for.
    #[error(
        "the limit of {limit} processes is reached: end some, or build the VM with `max_processes` higher"
    )]
    ProcessLimit {
        /// The limit in force.
        limit: usize,
    },
    /// As many native processes are alive as the VM was built for.
    #[error(
        "the limit of {limit} native processes is reached: end some, build the VM with `max_native` higher, or use \
         `blocking`, whose closures wait for a thread"
    )]
    NativeLimit {
        /// The limit in force.
        limit: usize,
    },
    /// There are as many threads that run processes as may be, of all VMs of the program together.
    #[error(
        "all {limit} gates of the program are in use, one for each thread that runs processes, of all its VMs together: \
         end native processes, or use `blocking`, whose closures share a few threads"
    )]
    Gates {
        /// `otp_scheduler::MAX_GATES`.
        limit: usize,
    },
    /// A simulated VM runs on one thread.
    #[error("a simulated VM makes no native process: spawn one with an async body there")]
    NativeInSimulation,
    /// The options have a size that no heap has. `badarg` in OTP.
    #[error("the options are refused: {0}")]
    HeapSize(#[from] HeapSizeError),
    /// The VM is being shut down.
    #[error("the VM is shutting down: no new process is made")]
    ShuttingDown,
    /// The process that spawns was ended while it was in native code. `killed` in OTP, which ends it here.
    #[error("the process was ended while its code ran on: it makes no process any more")]
    MakerEnded,
}

impl From<NativeError> for SpawnError {
    fn from(error: NativeError) -> Self {
        match error {
            NativeError::Limit { limit } => Self::NativeLimit { limit },
            NativeError::Gates { limit } => Self::Gates { limit },
            NativeError::Simulated => Self::NativeInSimulation,
            _ => Self::ShuttingDown,
        }
    }
}

impl From<SpawnError> for ExitReason {
    fn from(error: SpawnError) -> Self {
        Self::new(&(atoms::SYSTEM_LIMIT, error.to_string()))
    }
}

impl Context {
    /// Makes a process. `spawn/1`.
    ///
    /// The body's function is called in the new process's first slice.
    ///
    /// # Errors
    /// See [`SpawnError`]; the same for all of this family.
    pub fn spawn<B, F>(&self, body: B) -> Result<Pid, SpawnError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        self.spawn_opt(SpawnOptions::new(), body)
            .map(|spawned| spawned.pid)
    }

    /// Makes a process that is linked with this one. `spawn_link/1`.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn_link<B, F>(&self, body: B) -> Result<Pid, SpawnError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        self.spawn_opt(SpawnOptions::new().link(), body)
            .map(|spawned| spawned.pid)
    }

    /// Makes a process that this one monitors. `spawn_monitor/1`.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn_monitor<B, F>(&self, body: B) -> Result<(Pid, Ref), SpawnError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let reference = self.make_ref();
        let start = self.start(SpawnOptions::new().monitor(), reference);
        spawn_process(self.vm(), Some(self), start, body).map(|pid| (pid, reference))
    }

    /// Makes a process by options. `spawn_opt/2`.
    ///
    /// # Errors
    /// See [`SpawnError`].
    pub fn spawn_opt<B, F>(&self, options: SpawnOptions, body: B) -> Result<Spawned, SpawnError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let reference = self.make_ref();
        let start = self.start(options, reference);
        let monitor = start.monitor.as_ref().map(|_| reference);
        spawn_process(self.vm(), Some(self), start, body).map(|pid| Spawned { pid, monitor })
    }

    /// With the reference of the monitor, if one is asked for.
    pub(super) fn start(&self, mut options: SpawnOptions, reference: Ref) -> Start {
        Start {
            parent: self.pid,
            link: options.link,
            monitor: options.monitor.take().map(|options| (reference, options)),
            ..options.start()
        }
    }
}

impl SpawnOptions {
    /// Without a maker: link and monitor need one.
    pub(crate) fn start(self) -> Start {
        Start {
            initial_call: self.initial_call,
            label: self.label,
            trap_exit: self.trap_exit,
            priority: self.priority,
            message_queue_data: self.message_queue_data,
            mailbox_limit: self.mailbox_limit,
            memory_options: self.memory.is_set().then_some(self.memory),
            ..Start::default()
        }
    }
}

pub(crate) fn spawn_process<B, F>(
    vm: &Vm,
    maker: Option<&Context>,
    mut start: Start,
    body: B,
) -> Result<Pid, SpawnError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    start.initial_call.get_or_insert(type_name::<B>);
    let make = |cx| {
        (
            Box::pin(LazyBody::new(body, cx)) as Body,
            size_of::<LazyBody<B, F>>(),
        )
    };
    spawn_body(vm, maker, start, None, make)
}

/// A process whose Context the host program holds; its body waits for `end`.
pub(crate) fn spawn_of_host<F>(vm: &Vm, start: Start, end: F) -> Result<Context, SpawnError>
where
    F: Future<Output = ExitReason> + Send + 'static,
{
    let mut context = None;
    let make = |cx| {
        context = Some(cx);
        (Box::pin(end) as Body, size_of::<F>())
    };
    spawn_body(vm, None, start, None, make)?;
    Ok(context.expect("a process that was made has a Context"))
}

/// The same for a native process.
pub(crate) fn spawn_native_process<B, E>(
    vm: &Vm,
    maker: Option<&Context>,
    mut start: Start,
    body: B,
) -> Result<Pid, SpawnError>
where
    B: FnOnce(NativeContext) -> E + Send + 'static,
    E: IntoExit,
{
    let place = vm.core().scheduler.native_place()?;
    start.initial_call.get_or_insert(type_name::<B>);
    let make = |cx| {
        (
            Box::pin(NativeBody::new(body, cx)) as Body,
            size_of::<NativeBody<B>>(),
        )
    };
    spawn_body(vm, maker, start, Some(place), make)
}

#[inline]
fn spawn_body(
    vm: &Vm,
    maker: Option<&Context>,
    mut start: Start,
    native: Option<NativePlace>,
    make: impl FnOnce(Context) -> (Body, usize),
) -> Result<Pid, SpawnError> {
    let core = vm.core();
    if maker.is_some_and(Context::was_ended) {
        return Err(SpawnError::MakerEnded);
    }
    if start.memory_options.is_some() || core.limits_heaps() {
        let options = start.memory_options.unwrap_or_default();
        start.memory = Some(options.resolve(core)?);
    }
    let Some((slot, serial)) = core.processes.allocate(core) else {
        return Err(SpawnError::ProcessLimit {
            limit: core.processes.limit(),
        });
    };
    let pid = Pid::from_parts(slot.index, serial);
    // After the count: shut-down closes the VM and then counts, so that one of the two sees the
    // other, and the threads never end before a process that was promised a run.
    if core.closed.load(Ordering::SeqCst) {
        core.processes.release(pid);
        core.count_out();
        return Err(SpawnError::ShuttingDown);
    }
    let cx = Context::new(vm.for_process(), slot, pid);
    // The new process's, not its maker's; `ProcessInfo::memory` has it.
    let (body, body_bytes) = otp_scheduler::uncounted(|| make(cx));
    let (link, parent) = (start.link, start.parent);
    let monitor = start.monitor.take();
    let monitored_by = monitor.as_ref().map(|&(reference, _)| reference);
    // The maker's side of link and monitor first: a stale wake may run the new process, and it
    // may end, before this thread gets on.
    if let Some(maker) = maker
        && let Some(mut state) = maker.state()
    {
        if start.link {
            state.links.insert(pid, ());
        }
        start.group_leader = state.group_leader;
        if let Some((reference, options)) = monitor {
            maker.note_monitor(&mut state, reference, pid, options);
        }
        if maker.process().is_traced() {
            start.marks = trace::spawns(core, &mut state, parent, pid, &start);
        }
    }
    if core.traces.has_new() {
        start.marks = core.traces.of_new(core, start.marks.take());
    }
    if start.marks.is_some() {
        trace::spawned(core, pid, &start);
    }
    // Before anything that the new process may send.
    if let Some(reply) = start.reply.take() {
        core.signal(parent, reply.ok(parent, pid));
    }
    otp_scheduler::tick(SPAWN_REDUCTIONS);
    // SAFETY: `allocate` handed the slot to this thread alone.
    unsafe {
        slot.occupy(
            serial,
            body,
            body_bytes as u32,
            start,
            monitored_by,
            native.as_ref(),
        );
    }
    // After it can be listed, and before the look at the monitor: see `Vm::set_system_monitor`.
    core.counts.spawned.fetch_add(1, Ordering::SeqCst);
    if core.system_monitor.watches_mailboxes() {
        core.watch_mailbox(pid, true);
    }
    match native {
        None => {
            slot.wake();
        }
        Some(place) => slot.start_native(place),
    }
    // The maker may have ended meanwhile, if its Context is elsewhere; its end told nobody here.
    if link && maker.is_some_and(|maker| maker.state().is_none()) {
        let noproc = ExitReason::noproc();
        core.signal(pid, envelope::exit(Kind::LinkExit, parent, &noproc));
    }
    // Shut-down may have listed the processes before this one was there.
    if core.closed.load(Ordering::SeqCst) {
        core.signal(pid, envelope::exit(Kind::Exit, HOST, &ExitReason::kill()));
    }
    Ok(pid)
}

/// What a spawn is charged: some 150 ns, as against some 10 ns of an ordinary reduction.
const SPAWN_REDUCTIONS: u32 = 10;
