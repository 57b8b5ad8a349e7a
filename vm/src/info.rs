//! Looking at the VM.

use std::sync::atomic::Ordering;
use std::time::Duration;

use otp_scheduler::{Figures, RunQueueLengths, WallTime};

use crate::message_queue::MessageQueueData;
use crate::process_info::bytes_of;
use crate::vm::Vm;

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
    /// Times that a process was found to keep more than its `max_heap_size`.
    pub heap_limits_passed: u64,
    /// Times that a mailbox was found full: see [`MailboxLimit`](crate::MailboxLimit).
    pub mailbox_limits_reached: u64,
    /// Messages that were an error of their sender's, since the receiver's mailbox was full.
    pub messages_rejected: u64,
    /// Messages that were dropped, for or from a full mailbox.
    pub messages_dropped: u64,
    /// Messages that were an error of their sender's, since they were larger than the VM was built for:
    /// [`VmBuilder::max_message_size`](crate::VmBuilder::max_message_size).
    pub messages_too_large: u64,
    /// Events of the system's monitor that it did not get, since it was slow: see
    /// [`SystemMonitor`](crate::SystemMonitor).
    pub system_monitor_events_lost: u64,
    /// Collections of heaps, and the words that they gave back: `statistics(garbage_collection)`.
    pub collections: u64,
    /// Words of 8 bytes.
    pub words_reclaimed: u64,
    /// Tables.
    pub table_count: usize,
    /// Most tables at once.
    pub table_limit: usize,
    /// Timers that wait to send: those of [`Context::send_after`](crate::Context::send_after) and its like.
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
            heap_limits_passed: core.counts.heap_limits_passed.load(Ordering::Relaxed),
            mailbox_limits_reached: core.counts.mailbox_limits_reached.load(Ordering::Relaxed),
            messages_rejected: core.counts.messages_rejected.load(Ordering::Relaxed),
            messages_dropped: core.counts.messages_dropped.load(Ordering::Relaxed),
            messages_too_large: core.counts.messages_too_large.load(Ordering::Relaxed),
            system_monitor_events_lost: core.system_monitor.lost(),
            collections: core.counts.collections.load(Ordering::Relaxed),
            words_reclaimed: core.counts.words_reclaimed.load(Ordering::Relaxed),
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

/// Bytes that a VM holds, by kind. `erlang:memory/0`.
///
/// What the program's own code allocates is not among them, nor is what the scheduler has for its threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryInfo {
    /// Processes and tables together.
    pub total: usize,
    /// All of [`ProcessInfo::memory`](crate::ProcessInfo::memory): control blocks, bodies, heaps, dictionaries,
    /// mailboxes.
    pub processes: usize,
    /// Part of it: terms, on heaps and in dictionaries, and the messages in mailboxes.
    pub heaps: usize,
    /// Rows of tables.
    pub ets: usize,
}

impl Vm {
    /// What the VM's memory goes into. Each process is looked at once, while the others run: it costs as many looks.
    /// `erlang:memory/0`.
    ///
    /// ```
    /// # let vm = otp_vm::Vm::builder().schedulers(1).build()?;
    /// let memory = vm.memory();
    /// assert_eq!(memory.total, memory.processes + memory.ets);
    /// # Ok::<(), otp_vm::BuildError>(())
    /// ```
    pub fn memory(&self) -> MemoryInfo {
        let (mut processes, mut heaps) = (0, 0);
        for pid in self.processes() {
            if let Some((memory, terms)) = bytes_of(self, pid) {
                processes += memory;
                heaps += terms;
            }
        }
        let ets = self.core().tables.bytes();
        MemoryInfo {
            total: processes + ets,
            processes,
            heaps,
            ets,
        }
    }
}

impl Vm {
    /// Processes that are ready to run, by priority: one entry for each scheduler's queue, then the common queue's, of
    /// those that were woken from outside. `statistics(run_queue_lengths)`.
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
