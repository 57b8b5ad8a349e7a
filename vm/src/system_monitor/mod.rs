//! The system's monitor: who is told of processes that hold others up, or grow. `erlang:system_monitor/0,1,2`.

mod teller;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use otp_heap::{Builder, Pid, atoms};
use otp_scheduler::LongSlice;

use crate::envelope::{Envelope, HOST, Kind, NO_REF, Parcel};
use crate::named_items::{atom, figure};
use crate::vm::{Vm, VmBuilder};

use teller::{BOUND, HEAPS, MAILBOXES};
pub(crate) use teller::{MonitorOfSystem, SchedulerLink};

/// Events that wait for the monitor's turn, unless set by [`VmBuilder::system_monitor_queue`]. More at a time tell
/// nobody anything new; chosen by feel.
pub const DEFAULT_SYSTEM_MONITOR_QUEUE: usize = 64;

/// The most that can be asked for.
pub const MAX_SYSTEM_MONITOR_QUEUE: usize = 1 << 20;

/// Messages in the mailbox of a process that is the system's monitor from which on it gets no more events, until it has
/// received some. Chosen by feel.
pub const MAX_WAITING_SYSTEM_EVENTS: usize = 1024;

/// The scheduler looks for long slices each millisecond.
const SHORTEST_LONG_SCHEDULE: Duration = Duration::from_millis(1);

/// What the monitor is told of. The options of `erlang:system_monitor/2`.
///
/// ```
/// use otp_vm::SystemMonitorOptions;
/// use std::time::Duration;
///
/// let options = SystemMonitorOptions::new()
///     .long_schedule(Duration::from_millis(50))
///     .long_message_queue(1_000, 10_000);
/// assert_eq!(options.long_message_queue.unwrap().enable, 10_000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct SystemMonitorOptions {
    /// A process kept its scheduler for so long.
    pub long_schedule: Option<Duration>,
    /// A collection of a process's heap took so long.
    pub long_gc: Option<Duration>,
    /// After a collection, so many words are allocated for a process's heap.
    pub large_heap: Option<usize>,
    /// A process's mailbox became long, and was short again.
    pub long_message_queue: Option<QueueMarks>,
    /// A process was bound to its thread, since it did not give way.
    pub bound: bool,
    /// Kept, and without effect: there are no ports.
    pub busy_port: bool,
    /// The same.
    pub busy_dist_port: bool,
}

/// When a mailbox is long, in messages: from `enable` on, until it has come down to `disable`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct QueueMarks {
    /// Less than `enable`.
    pub disable: usize,
    /// 1 or more.
    pub enable: usize,
}

impl SystemMonitorOptions {
    /// Nothing. A monitor with these options is none.
    pub fn new() -> Self {
        Self::default()
    }

    /// `{long_schedule, Ms}`: once for each slice, when it ends; or, if the process was bound meanwhile, when it has
    /// lasted for so long. Less than a millisecond is one. See [`otp_scheduler::Builder::long_schedule`] for what is
    /// found; a simulation finds none.
    pub fn long_schedule(mut self, threshold: Duration) -> Self {
        self.long_schedule = Some(threshold.max(SHORTEST_LONG_SCHEDULE));
        self
    }

    /// `{long_gc, Ms}`. Zero is a nanosecond.
    pub fn long_gc(mut self, threshold: Duration) -> Self {
        self.long_gc = Some(threshold.max(Duration::from_nanos(1)));
        self
    }

    /// `{large_heap, Words}`, of 8 bytes. Zero is one.
    pub fn large_heap(mut self, words: usize) -> Self {
        self.large_heap = Some(words.max(1));
        self
    }

    /// `{long_message_queue, {Disable, Enable}}`, in messages; `disable` has to be below `enable`
    /// ([`SystemMonitorError::QueueMarks`]).
    ///
    /// A process's mailbox is looked at when it takes messages in: when it receives, waits for a reply, has signals,
    /// or is looked at with [`Vm::process_info`]; with each message, if it has a [`MailboxLimit`](crate::MailboxLimit);
    /// and each second, so that one that does nothing of these is found as well. (Less often where there are so many
    /// processes that the looks would take more than a hundredth of a scheduler's time.)
    pub fn long_message_queue(mut self, disable: usize, enable: usize) -> Self {
        self.long_message_queue = Some(QueueMarks { disable, enable });
        self
    }

    /// Each time that a process is bound to its thread: no option of OTP's.
    pub fn bound(mut self) -> Self {
        self.bound = true;
        self
    }

    /// `busy_port`.
    pub fn busy_port(mut self) -> Self {
        self.busy_port = true;
        self
    }

    /// `busy_dist_port`.
    pub fn busy_dist_port(mut self) -> Self {
        self.busy_dist_port = true;
        self
    }

    fn watched(&self) -> u8 {
        let is = |set: bool, what: u8| if set { what } else { 0 };
        is(self.long_gc.is_some() || self.large_heap.is_some(), HEAPS)
            | is(self.long_message_queue.is_some(), MAILBOXES)
            | is(self.bound, BOUND)
    }
}

/// Sizes of a process's heap, in words of 8 bytes, as its collection left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct HeapSizes {
    /// That terms take.
    pub heap_size: usize,
    /// That are allocated.
    pub heap_block_size: usize,
    /// Of the messages in the mailbox, as far as they were taken in.
    pub mbuf_size: usize,
}

/// What the monitor is told.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SystemEvent {
    /// To a process: `{monitor, Pid, long_schedule, [{timeout, Ms}, {in, undefined}, {out, undefined}, {bound, Bool},
    /// {name, Text}]}`.
    LongSchedule {
        /// Whose slice it was.
        pid: Pid,
        /// With the process's name or label, and the function that it began with, as text.
        slice: LongSlice,
    },
    /// To a process: `{monitor, Pid, long_gc, [{timeout, Ms} | Sizes]}`, with the sizes of `large_heap`.
    LongGc {
        /// Whose heap was collected.
        pid: Pid,
        /// From the beginning to the end, with what others did when the collection gave way.
        duration: Duration,
        /// Afterwards.
        sizes: HeapSizes,
    },
    /// To a process: `{monitor, Pid, large_heap, [{heap_size, Words}, {old_heap_size, 0}, {stack_size, 0}, {mbuf_size,
    /// Words}, {heap_block_size, Words}, {old_heap_block_size, 0}]}`.
    LargeHeap {
        /// Whose heap was collected.
        pid: Pid,
        /// Afterwards.
        sizes: HeapSizes,
    },
    /// To a process: `{monitor, Pid, long_message_queue, Bool}`.
    LongMessageQueue {
        /// Whose mailbox it is.
        pid: Pid,
        /// It became long; else it is short again.
        is_long: bool,
    },
    /// To a process: `{monitor, Pid, bound, []}`.
    Bound {
        /// Who was bound to its thread.
        pid: Pid,
    },
}

impl SystemEvent {
    /// The process that it is about. It may have ended meanwhile.
    pub fn pid(&self) -> Pid {
        match *self {
            Self::LongSchedule { pid, .. }
            | Self::LongGc { pid, .. }
            | Self::LargeHeap { pid, .. }
            | Self::LongMessageQueue { pid, .. }
            | Self::Bound { pid } => pid,
        }
    }

    fn is_wanted(&self, options: &SystemMonitorOptions) -> bool {
        match self {
            Self::LongSchedule { slice, .. } => options
                .long_schedule
                .is_some_and(|threshold| slice.duration >= threshold),
            Self::LongGc { duration, .. } => options
                .long_gc
                .is_some_and(|threshold| *duration >= threshold),
            Self::LargeHeap { sizes, .. } => options
                .large_heap
                .is_some_and(|words| sizes.heap_block_size >= words),
            Self::LongMessageQueue { .. } => options.long_message_queue.is_some(),
            Self::Bound { .. } => options.bound,
        }
    }

    /// `{monitor, Pid, Tag, Info}`.
    fn message(&self) -> Option<Parcel> {
        let mut builder = Builder::new();
        builder.atom(atom("monitor")).pid(self.pid());
        match self {
            Self::LongSchedule { slice, .. } => {
                builder.atom(atom("long_schedule"));
                figure(&mut builder, "timeout", slice.duration.as_millis() as usize);
                for place in ["in", "out"] {
                    builder.atom(atom(place)).atom(atoms::UNDEFINED).tuple(2);
                }
                builder.atom(atom("bound")).value(&slice.bound).tuple(2);
                builder.atom(atom("name")).bytes(&slice.task.name).tuple(2);
                builder.list(5);
            }
            Self::LongGc {
                duration, sizes, ..
            } => {
                builder.atom(atom("long_gc"));
                figure(&mut builder, "timeout", duration.as_millis() as usize);
                let sizes = sizes.add_to(&mut builder);
                builder.list(1 + sizes);
            }
            Self::LargeHeap { sizes, .. } => {
                builder.atom(atom("large_heap"));
                let sizes = sizes.add_to(&mut builder);
                builder.list(sizes);
            }
            Self::LongMessageQueue { is_long, .. } => {
                builder.atom(atom("long_message_queue")).value(is_long);
            }
            Self::Bound { .. } => {
                builder.atom(atom("bound")).list(0);
            }
        }
        builder.tuple(4);
        // Too large only by the name of a type of 4 GiB.
        builder
            .finish(Envelope::new(Kind::Message, HOST, NO_REF))
            .ok()
    }
}

impl HeapSizes {
    /// OTP's list, in which what there is none of here is 0. Gives how many.
    fn add_to<H>(&self, builder: &mut Builder<H>) -> usize {
        let sizes = [
            ("heap_size", self.heap_size),
            ("old_heap_size", 0),
            ("stack_size", 0),
            ("mbuf_size", self.mbuf_size),
            ("heap_block_size", self.heap_block_size),
            ("old_heap_block_size", 0),
        ];
        for (name, words) in sizes {
            figure(builder, name, words);
        }
        sizes.len()
    }
}

type Handler = dyn Fn(SystemEvent) + Send + Sync;

/// Who is told of what in a VM: a process, or a handler of the host's. See [`Vm::set_system_monitor`].
#[derive(Clone)]
pub struct SystemMonitor {
    told: Told,
    options: SystemMonitorOptions,
}

#[derive(Clone)]
enum Told {
    Process(Pid),
    Handler(Arc<Handler>),
}

impl SystemMonitor {
    /// A process: it gets messages `{monitor, Pid, Tag, Info}`, but none of itself. When it ends there is no monitor
    /// any more.
    pub fn process(pid: Pid, options: SystemMonitorOptions) -> Self {
        Self {
            told: Told::Process(pid),
            options,
        }
    }

    /// A handler. A plain task of the VM's calls it, one event at a time, with nothing held: it may send, log, block
    /// and take its time, and is then treated as any code that does; its own slices are not told of. A panic of it is
    /// logged, and ends nobody. It should hold no [`Vm`], which would keep that up.
    pub fn handler(
        options: SystemMonitorOptions,
        handler: impl Fn(SystemEvent) + Send + Sync + 'static,
    ) -> Self {
        Self {
            told: Told::Handler(Arc::new(handler)),
            options,
        }
    }

    /// The process that is told; None for a handler.
    pub fn pid(&self) -> Option<Pid> {
        match self.told {
            Told::Process(pid) => Some(pid),
            Told::Handler(_) => None,
        }
    }

    /// What is told.
    pub fn options(&self) -> SystemMonitorOptions {
        self.options
    }
}

impl fmt::Debug for SystemMonitor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SystemMonitor")
            .field("pid", &self.pid())
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

/// Why a system monitor was not set. `badarg` in OTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SystemMonitorError {
    /// The process is not there.
    #[error("the process that is to be the system's monitor has ended: give one that is alive")]
    NoProcess,
    /// A mailbox can't be long and short at once.
    #[error(
        "long_message_queue from {enable} on, until {disable}: give a disable mark below the enable mark"
    )]
    QueueMarks {
        /// Short again.
        disable: usize,
        /// Long.
        enable: usize,
    },
    /// A queue that is too long.
    #[error("system_monitor_queue is {asked}: give from 0 to {MAX_SYSTEM_MONITOR_QUEUE}")]
    Queue {
        /// What was asked for.
        asked: usize,
    },
}

impl VmBuilder {
    /// Sets the system's monitor from the beginning; by default there is none. See [`Vm::set_system_monitor`].
    ///
    /// ```
    /// use otp_vm::{SystemEvent, SystemMonitor, SystemMonitorOptions, Vm};
    /// use std::time::Duration;
    ///
    /// let options = SystemMonitorOptions::new().long_schedule(Duration::from_millis(50));
    /// let vm = Vm::builder()
    ///     .system_monitor(SystemMonitor::handler(options, |event| {
    ///         if let SystemEvent::LongSchedule { pid, slice } = event {
    ///             eprintln!("{pid} ran for {:?}: {}", slice.duration, slice.task);
    ///         }
    ///     }))
    ///     .build()?;
    /// # Ok::<(), otp_vm::BuildError>(())
    /// ```
    pub fn system_monitor(mut self, monitor: SystemMonitor) -> Self {
        self.system_monitor = Some(monitor);
        self
    }

    /// Most events that wait for the system's monitor, up to 2^20; further ones are lost, and counted
    /// ([`SystemInfo::system_monitor_events_lost`](crate::SystemInfo)). By default [`DEFAULT_SYSTEM_MONITOR_QUEUE`].
    pub fn system_monitor_queue(mut self, max: usize) -> Self {
        self.system_monitor_queue = max;
        self
    }
}

impl Vm {
    /// The system's monitor, as it was set; None if there is none. `erlang:system_monitor/0`.
    pub fn system_monitor(&self) -> Option<SystemMonitor> {
        self.core().system_monitor.setting.lock().clone()
    }

    /// Sets the system's monitor, in place of the one before, which this gives; `None`, or options that ask for
    /// nothing: there is none from then on. `erlang:system_monitor/2`.
    ///
    /// What it is told, it is told soon after. Events that it is too slow for are lost, and counted
    /// ([`SystemInfo::system_monitor_events_lost`](crate::SystemInfo)): those that find
    /// [`VmBuilder::system_monitor_queue`] of them waiting, and, for a process, [`MAX_WAITING_SYSTEM_EVENTS`] messages
    /// in its mailbox.
    ///
    /// Asking for long message queues looks at each process once.
    ///
    /// ```
    /// use otp_vm::{SystemMonitor, SystemMonitorOptions, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     let options = SystemMonitorOptions::new().long_message_queue(0, 3);
    ///     let monitor = SystemMonitor::process(cx.pid(), options);
    ///     assert!(cx.vm().set_system_monitor(monitor).unwrap().is_none());
    ///     let busy = cx.spawn(|mut cx| async move {
    ///         cx.receive().await;
    ///     }).unwrap();
    ///     for number in 0..4 {
    ///         cx.send(busy, &number).unwrap();
    ///     }
    ///     cx.receive().await.to_string() == format!("{{monitor,{busy},long_message_queue,true}}")
    /// });
    /// assert!(run.wait()?);
    /// assert!(vm.system_monitor().is_none(), "it has ended");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`SystemMonitorError`]. Then nothing was changed, but where the process ended meanwhile: then there is no
    /// monitor.
    pub fn set_system_monitor(
        &self,
        monitor: impl Into<Option<SystemMonitor>>,
    ) -> Result<Option<SystemMonitor>, SystemMonitorError> {
        let nothing = SystemMonitorOptions::new();
        let monitor = monitor.into().filter(|monitor| monitor.options != nothing);
        self.core().set_system_monitor(monitor)
    }
}
