//! Looking at processes and at the VM.

use std::sync::atomic::Ordering;
use std::time::Duration;

use otp_heap::{Atom, Pid, Ref};
use otp_scheduler::{Figures, Priority, RunQueueLengths, WallTime};

use crate::context::Context;
use crate::message::Monitored;
use crate::message_queue::MessageQueueData;
use crate::process::{Attention, Leftovers, Process, quietly};
use crate::vm::Vm;

/// What a process is doing. `process_info(Pid, status)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Its slice is running.
    Running,
    /// It is in a run queue.
    Runnable,
    /// It waits for a message, a time or I/O.
    Waiting,
    /// It has ended, and its body or what it held is being dropped.
    Exiting,
}

/// What is known of a process. `process_info/1`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProcessInfo {
    /// The process.
    pub pid: Pid,
    /// Its registered name.
    pub registered_name: Option<Atom>,
    /// Its label for reports.
    pub label: Option<Atom>,
    /// The type of the function that it began with, which tells the module and the function that the closure stands in.
    /// `process_info(Pid, initial_call)`.
    pub initial_call: &'static str,
    /// What it is doing.
    pub status: Status,
    /// It waits for a message with no body of its own: see [`Context::hibernate`].
    pub hibernated: bool,
    /// What is set for where its messages lie.
    pub message_queue_data: MessageQueueData,
    /// Messages that have arrived and that it has not yet received.
    pub message_queue_len: usize,
    /// Whom it is linked with.
    pub links: Vec<Pid>,
    /// Whom it monitors, as it asked for them.
    pub monitors: Vec<(Ref, Monitored)>,
    /// Who monitors it; callers that wait for a reply are among them.
    pub monitored_by: Vec<Pid>,
    /// Whether it traps exits.
    pub trap_exit: bool,
    /// Reductions that it has used.
    pub reductions: u64,
    /// Bytes of its control block and its body; what the body points to is not counted.
    pub memory: usize,
    /// Bytes that its own code allocated minus those that it freed, as of the end of its last slice; never below 0, and
    /// not part of `memory`. None unless the program installed [`AccountingAllocator`](crate::AccountingAllocator).
    ///
    /// An estimate: what one process allocates another may free, and what C libraries allocate is not counted. Nor are
    /// messages, rows of tables, timers, and the bodies of the processes that it makes.
    pub native_memory: Option<usize>,
    /// Its priority.
    pub priority: Priority,
    /// Who spawned it; None if the host program did.
    pub parent: Option<Pid>,
}

/// What is known of a VM. `system_info/1` and `statistics/1`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SystemInfo {
    /// The version of this library.
    pub version: &'static str,
    /// Scheduler threads.
    pub schedulers: usize,
    /// Those of them that run processes: see [`Vm::set_schedulers_online`].
    pub schedulers_online: usize,
    /// Processes alive or exiting; those that were ended while they are in native code are counted until that returns.
    pub process_count: usize,
    /// Most processes at once.
    pub process_limit: usize,
    /// Processes made so far.
    pub spawned: u64,
    /// Processes that ended with another reason than `normal` or `shutdown`.
    pub crashed: u64,
    /// Messages and exit signals that were discarded since their sender had been ended while it was in native code.
    pub discarded_sends: u64,
    /// Tables.
    pub table_count: usize,
    /// Most tables at once.
    pub table_limit: usize,
    /// Timers that wait to send: those of [`Context::send_after`] and its like.
    pub timer_count: usize,
    /// Most such timers at once.
    pub timer_limit: usize,
    /// What processes begin with that are not told otherwise.
    pub message_queue_data: MessageQueueData,
    /// Since the VM was built.
    pub uptime: Duration,
    /// Run queues, slices, steals, the longest slice and so on, by scheduler: `statistics(run_queue_lengths)`,
    /// `statistics(scheduler_wall_time)` and others.
    pub schedulers_figures: Figures,
}

impl Vm {
    /// What is known of a process, or None if it is gone. Nothing is stopped for it, so the parts
    /// may be of different moments. `process_info/1`.
    pub fn process_info(&self, pid: Pid) -> Option<ProcessInfo> {
        let (info, leftovers) = self
            .core()
            .with_process(pid, |process| info(process, pid))
            .flatten()?;
        quietly(pid, || leftovers.finish());
        Some(info)
    }

    /// What is known of the VM. `system_info/1`, `statistics/1`.
    pub fn system_info(&self) -> SystemInfo {
        let core = self.core();
        let figures = core.scheduler.figures();
        SystemInfo {
            version: env!("CARGO_PKG_VERSION"),
            schedulers: core.scheduler.schedulers(),
            schedulers_online: core.scheduler.schedulers_online(),
            process_count: core.processes.live(),
            process_limit: core.processes.limit(),
            spawned: core.counts.spawned.load(Ordering::Relaxed),
            crashed: core.counts.crashed.load(Ordering::Relaxed),
            discarded_sends: core.counts.discarded_sends.load(Ordering::Relaxed),
            table_count: core.tables.count(),
            table_limit: core.tables.limit(),
            timer_count: core.timers.count(),
            timer_limit: core.timers.limit(),
            message_queue_data: core.message_queue_data,
            uptime: Duration::from_nanos(core.scheduler.now()),
            schedulers_figures: figures,
        }
    }
}

impl Vm {
    /// Processes that are ready to run, by priority: one entry for each scheduler's queue, then the common queue's, of those
    /// that were woken from outside. `statistics(run_queue_lengths)`.
    pub fn run_queue_lengths(&self) -> Vec<RunQueueLengths> {
        let figures = self.core().scheduler.figures();
        let own = figures
            .schedulers
            .iter()
            .map(|scheduler| scheduler.run_queue_lengths);
        own.chain([figures.injector_lengths]).collect()
    }

    /// What each scheduler's time went into since the VM was built; the difference of two readings is
    /// [`WallTime::since`]. `statistics(scheduler_wall_time)`.
    ///
    /// ```
    /// # let vm = otp_vm::Vm::builder().schedulers(1).build()?;
    /// let before = vm.scheduler_wall_time();
    /// // ... a minute later:
    /// for (scheduler, (now, before)) in vm.scheduler_wall_time().iter().zip(before).enumerate() {
    ///     println!("{scheduler}: {:.0} %", 100.0 * now.since(before).utilisation());
    /// }
    /// # Ok::<(), otp_vm::BuildError>(())
    /// ```
    pub fn scheduler_wall_time(&self) -> Vec<WallTime> {
        let figures = self.core().scheduler.figures();
        figures
            .schedulers
            .iter()
            .map(|scheduler| scheduler.wall_time)
            .collect()
    }
}

impl Context {
    /// As [`Vm::process_info`].
    pub fn process_info(&self, pid: Pid) -> Option<ProcessInfo> {
        self.vm().process_info(pid)
    }
}

fn info(process: &Process, pid: Pid) -> Option<(ProcessInfo, Leftovers)> {
    let mut state = process.lock();
    if !process.is(pid) {
        return None;
    }
    let leftovers = if state.exiting {
        Leftovers::default()
    } else {
        process.drain(&mut state)
    };
    let maps =
        state.links.heap_bytes() + state.monitors.heap_bytes() + state.monitored_by.heap_bytes();
    let info = ProcessInfo {
        pid,
        registered_name: state.name(),
        label: state.label,
        initial_call: state.initial_call.map_or("", |name| name()),
        status: if state.exiting {
            Status::Exiting
        } else {
            process.status()
        },
        hibernated: process.attention().has(Attention::HIBERNATED),
        message_queue_data: state.message_queue_data,
        message_queue_len: state.queue_len(),
        links: state.links.iter().map(|(&pid, ())| pid).collect(),
        monitors: state
            .monitors
            .iter()
            .map(|(&reference, &pid)| (reference, state.monitored(reference, pid)))
            .collect(),
        monitored_by: state.monitored_by.iter().map(|(_, &pid)| pid).collect(),
        trap_exit: state.trap_exit,
        reductions: process.reductions.load(Ordering::Relaxed),
        memory: size_of::<Process>() + state.body_bytes as usize + maps,
        native_memory: otp_scheduler::counts_allocations()
            .then(|| process.native_memory.load(Ordering::Relaxed) as usize),
        priority: process.priority(),
        parent: Some(state.parent.0).filter(|&parent| parent != crate::envelope::HOST),
    };
    Some((info, leftovers))
}
