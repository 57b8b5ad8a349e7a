//! A preemptive process VM for Rust: Erlang's processes, signals and tables, with Rust bodies.
//!
//! ```
//! use otp_vm::Vm;
//! use std::time::Duration;
//!
//! let vm = Vm::builder().build()?;
//! let answer = vm.run(|mut cx| async move {
//!     let parent = cx.pid();
//!     let (child, monitor) = cx.spawn_monitor(move |cx| async move {
//!         cx.send(parent, &("sum", 20 + 22)).unwrap();
//!         panic!("and then it broke");
//!     }).unwrap();
//!     let (_tag, sum): (String, i32) = cx.receive().await.decode().unwrap();
//!     let down = cx.await_down(monitor).await;
//!     assert_eq!(down.object, child);
//!     assert!(down.reason.to_string().starts_with("{panic,"));
//!     sum
//! }).wait()?;
//! assert_eq!(answer, 42);
//! vm.shutdown(Duration::from_secs(1)).wait();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//! - **Isolation.** A process's panic ends the process, with reason and location; whoever is
//!   linked or monitors learns of it. Messages are copied; nothing mutable is shared.
//! - **Order.** What one process sends to another, messages and signals alike, arrives as sent.
//! - **Pids are incarnations.** A pid is never anybody else's; a message for the dead reaches
//!   nobody.
//! - **Fair scheduling** by reductions at every await, and by the clock. A body that neither awaits
//!   nor ticks, or that blocks, loses its scheduler after some milliseconds and takes turns with
//!   the others on a thread of its own: see `docs/scheduler.md`.
//! - **Simulation.** A VM can run on one thread in virtual time, in an order that a seed decides and replays:
//!   [`VmBuilder::simulate`].
//!
//! # Memory
//! [`ProcessInfo::memory`] is what the VM holds for a process, [`Vm::memory`] what it holds at all, by kind. What the
//! process's own code allocates is counted, in [`ProcessInfo::native_memory`], if the program installs
//! [`AccountingAllocator`] as its global allocator. A process that waits for long gives its body and spare room up by
//! [`Context::hibernate`].
//!
//! # Limits
//! What is over a limit is refused with an error that names the limit, and is counted ([`SystemInfo`]);
//! `docs/processes.md` has the table. Those of the VM are set by [`VmBuilder`]: processes, timers, tables, modules, the
//! size of a message ([`VmBuilder::max_message_size`]). A process has a limit on what it keeps ([`MaxHeapSize`]) and on
//! how many messages wait for it ([`MailboxLimit`]) only where one is set, for it ([`SpawnOptions::mailbox_limit`],
//! [`Context::set_mailbox_limit`]) or for all ([`VmBuilder::mailbox_limit`]). Who would rather wait for room than get
//! an error sends with [`Context::send_wait`].
//!
//! # Time
//! Whoever gives a span of time gives a [`Duration`](std::time::Duration), and gets one. Points in time are nanoseconds
//! since the VM was built, as `u64`: [`Context::monotonic_time`], [`LongSlice::began_at`].
//!
//! # Looking into it
//! [`Vm::processes`], [`Vm::process_info`], [`Vm::system_info`], [`Vm::statistics`] and [`Vm::memory`] are OTP's
//! functions of these names, with typed results; items by OTP's names, as terms, have methods beside them
//! ([`InfoItem`], [`SystemInfoItem`], [`StatisticsItem`], [`MemoryInfo::get`]).
//!
//! The system's monitor is told of long slices, long collections, large heaps and long mailboxes:
//! [`Vm::set_system_monitor`].
//!
//! What processes send, receive, spawn, link and so on can be told to another process, or to a handler of the
//! program's: [`Context::trace`], [`TraceSession`]. What isn't traced pays next to nothing for it.
//!
//! # What is not
//! - A build with `panic = "abort"`: a panic must unwind to be contained.
//! - Code that never returns can't be ended: a kill takes effect at once for everybody else, but the code runs on until
//!   it next awaits. (One that kept its scheduler, past [`VmBuilder::max_bound`], is killed for others when it awaits,
//!   too.)
//!
//! # Features
//! `tokio`, off by default: `VmBuilder::tokio` takes a runtime's handle, and tokio's libraries work in processes.
//!
//! The behaviours (GenServer, Supervisor, …) are in the crate `otp-stdlib`.

#[cfg(panic = "abort")]
compile_error!("otp-vm contains panics by unwinding: build with panic = \"unwind\"");

mod aliases;
mod context;
mod core;
mod destination;
mod envelope;
mod exit_reason;
mod host;
mod host_calls;
mod host_mailbox;
mod inbox;
mod info;
mod info_items;
mod mailbox;
mod mailbox_limit;
mod max_heap_size;
mod memory_info;
mod memory_options;
mod message;
mod message_queue;
mod message_size;
mod module;
mod multi_scheduling;
mod named_items;
mod names;
mod origin;
mod process;
mod process_info;
mod process_info_items;
mod receive_macro;
mod reports;
mod shutdown;
mod small_map;
mod statistics;
mod sync;
mod system_monitor;
mod table;
pub mod timer;
mod timers;
mod trace;
mod vm;

pub use otp_heap::{
    Atom, AtomError, Binary, Block, Builder, CopyError, DecodeError, EncodeError, NATIVE_SHOWN,
    Native, OwnedTerm, Pid, Ref, Term, View, atoms, from_term, matches_term, set_atom_limit, term,
    term_match, to_shown_term, to_term, with_term,
};
/// A time limit for what a process awaits; messages have [`Context::receive_timeout`].
///
/// ```
/// use otp_vm::{Elapsed, Vm, net, timeout};
/// use std::time::Duration;
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let run = vm.run(|_| async {
///     let listener = net::TcpListener::bind("127.0.0.1:0")?;
///     // Nobody connects.
///     let accepted = timeout(Duration::from_millis(1), listener.accept()).await;
///     std::io::Result::Ok(accepted.err())
/// });
/// assert_eq!(run.wait()??, Some(Elapsed));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use otp_scheduler::timeout;
pub use otp_scheduler::{
    AccountingAllocator, Blocking, Elapsed, Figures, JoinError, JoinHandle, LongSlice, OnlineError,
    Policy, Priority, Processors, QueueFull, REDUCTIONS_PER_SLICE, RandomState, RunQueueLengths,
    SchedulerFigures, TaskName, WallTime, checkpoint, net, proceed, random, simulation, tick,
};
/// Makes code give way by itself.
///
/// ```
/// use otp_vm::{Context, Vm, reductions};
///
/// #[reductions]
/// fn fibonacci(n: u32) -> u64 {
///     if n < 2 { u64::from(n) } else { fibonacci(n - 1) + fibonacci(n - 2) }
/// }
///
/// #[reductions]
/// async fn sum(mut cx: Context, count: u32) -> u64 {
///     let mut sum = 0;
///     for _ in 0..count {
///         let n: u32 = cx.receive().await.decode().unwrap();
///         sum += fibonacci(n);
///     }
///     sum
/// }
///
/// let vm = Vm::builder().build()?;
/// let run = vm.run(|cx| async move {
///     for n in 0..20_u32 {
///         cx.send(cx.pid(), &n).unwrap();
///     }
///     sum(cx, 20).await
/// });
/// assert_eq!(run.wait()?, 10_945);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use otp_scheduler_macros::reductions_vm as reductions;

pub use context::{
    AliasMode, CallError, Calling, Context, DEFAULT_MAX_SUSPENSIONS, DictionaryError, Due,
    IntervalError, IntervalRef, MonitorOptions, NativeContext, ProcessHeap, Receive, ReceiveMark,
    ReceiveWhere, RequestId, SendWait, SendWaitError, Sleep, SpawnError, SpawnOptions, SpawnReply,
    SpawnRequestOptions, Spawned, SuspendError, SuspendOptions, Tick, Timeout, TimerRef,
};
pub use destination::{Destination, SendError};
pub use envelope::HOST;
pub use exit_reason::{ExitReason, IntoExit};
pub use host::{Run, RunError};
pub use host_mailbox::{HostMailbox, HostReceive, HostReceiveError};
pub use info::{LimitsReached, SystemInfo};
pub use info_items::SystemInfoItem;
pub use mailbox_limit::{MailboxFull, MailboxInfo, MailboxLimit, OLDEST_LOOKS, WhenFull};
pub use max_heap_size::{
    HeapSizeError, MAX_HEAP_SIZE_LIMIT_WORDS, MaxHeapSize, MaxHeapSizeOptions,
};
pub use memory_info::MemoryInfo;
pub use message::{Down, Exit, Message, MessageKind, Monitored, ReplyTo};
pub use message_queue::MessageQueueData;
pub use message_size::{
    DEFAULT_MAX_MESSAGE_SIZE_BYTES, LEAST_MAX_MESSAGE_SIZE_BYTES, MessageTooLarge,
};
pub use module::{
    ApplyError, Arguments, ArgumentsError, BoxFuture, Call, DEFAULT_MAX_MODULES, ExportInfo,
    Function, FunctionError, LoadError, Module, ModuleBuilder, ModuleError, ModuleInfo,
};
pub use multi_scheduling::{BlockError, MultiScheduling};
pub use names::RegisterError;
pub use origin::{Ancestor, InitialCall, MAX_ANCESTORS, Mfa, Origin};
pub use process::listing::Processes;
pub use process::memory::DEFAULT_MIN_HEAP_SIZE_WORDS;
pub use process::table::MAX_PROCESSES;
pub use process_info::{HeapInfo, ProcessInfo, Status};
pub use process_info_items::InfoItem;
#[doc(hidden)]
pub use receive_macro::support as __macros;
pub use reports::MAX_COPIED_BYTES;
pub use shutdown::{Shutdown, ShutdownReport};
pub use statistics::{Statistics, StatisticsItem};
pub use system_monitor::{
    DEFAULT_SYSTEM_MONITOR_QUEUE, HeapSizes, MAX_SYSTEM_MONITOR_QUEUE, MAX_WAITING_SYSTEM_EVENTS,
    QueueMarks, SystemEvent, SystemMonitor, SystemMonitorError, SystemMonitorOptions,
};
pub use table::{
    Access, DEFAULT_MAX_TABLES, Discarded, Table, TableError, TableKind, TableOptions,
};
pub use timers::{DEFAULT_MAX_TIMERS, TimerError};
pub use trace::{
    DEFAULT_MAX_TRACE_EVENTS, TraceClause, TraceError, TraceFigures, TraceFlags, TraceInfo,
    TraceMessages, TracePattern, TraceSession, TraceStop, TraceTargets, Tracer, UnknownTraceFlag,
};
pub use vm::{BuildError, DEFAULT_MAX_PROCESSES, Vm, VmBuilder};
