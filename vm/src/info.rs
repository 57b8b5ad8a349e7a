//! Looking at the VM.

use std::sync::atomic::Ordering;

use otp_scheduler::{Figures, Processors};

use crate::core::Core;
use crate::message_queue::MessageQueueData;
use crate::multi_scheduling::MultiScheduling;
use crate::vm::Vm;

/// What is known of a VM: `system_info/1`, and what was refused, dropped and lost so far. What `statistics/1` tells is
/// in [`Statistics`](crate::Statistics).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SystemInfo {
    /// The version of this library.
    pub version: &'static str,
    /// Scheduler threads.
    pub schedulers: usize,
    /// Those of them that run processes: see [`Vm::set_schedulers_online`].
    pub schedulers_online: usize,
    /// Whether more than one of those may run processes.
    pub multi_scheduling: MultiScheduling,
    /// The processors of the machine, as of [`Vm::update_cpu_info`].
    pub processors: Processors,
    /// Atoms of the program.
    pub atom_count: usize,
    /// Most atoms: see [`set_atom_limit`](crate::set_atom_limit).
    pub atom_limit: usize,
    /// Processes alive or exiting, without those of whose end links and monitors are being told by now; those that were
    /// ended while they are in native code are counted until that returns.
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
    /// Tables.
    pub table_count: usize,
    /// Most tables at once.
    pub table_limit: usize,
    /// Timers that wait to send: those of [`Context::send_after`](crate::Context::send_after) and its like.
    pub timer_count: usize,
    /// Most such timers at once.
    pub timer_limit: usize,
    /// Modules that are loaded.
    pub module_count: usize,
    /// Most modules at once.
    pub module_limit: usize,
    /// What was refused so far, since a limit was reached.
    pub limits_reached: LimitsReached,
    /// What processes begin with that are not told otherwise.
    pub message_queue_data: MessageQueueData,
    /// The scheduler's own figures: steals, threads that are bound, the longest slice and so on.
    pub schedulers_figures: Figures,
}

/// How often something was refused since as many were there as may be; each time the caller got an error that names
/// the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct LimitsReached {
    /// Processes ([`VmBuilder::max_processes`](crate::VmBuilder::max_processes)).
    pub processes: u64,
    /// Timers ([`VmBuilder::max_timers`](crate::VmBuilder::max_timers)).
    pub timers: u64,
    /// Tables ([`VmBuilder::max_tables`](crate::VmBuilder::max_tables)).
    pub tables: u64,
    /// Modules ([`VmBuilder::max_modules`](crate::VmBuilder::max_modules)).
    pub modules: u64,
    /// Atoms ([`set_atom_limit`](crate::set_atom_limit)), of the whole program.
    pub atoms: u64,
}

impl LimitsReached {
    fn of(core: &Core) -> Self {
        Self {
            processes: core.processes.refused.load(Ordering::Relaxed),
            timers: core.timers.refused.load(Ordering::Relaxed),
            tables: core.tables.refused(),
            modules: core.modules.refused.load(Ordering::Relaxed),
            atoms: otp_heap::atoms_refused(),
        }
    }
}

impl Vm {
    /// What is known of the VM. `system_info/1`.
    pub fn system_info(&self) -> SystemInfo {
        let core = self.core();
        let figures = core.scheduler.figures();
        let (atom_count, atom_limit) = otp_heap::atom_count();
        SystemInfo {
            version: env!("CARGO_PKG_VERSION"),
            schedulers: core.scheduler.schedulers(),
            schedulers_online: core.scheduler.schedulers_online(),
            multi_scheduling: self.multi_scheduling(),
            processors: *core.processors.lock(),
            atom_count: atom_count as usize,
            atom_limit: atom_limit as usize,
            process_count: core.processes.count(),
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
            table_count: core.tables.count(),
            table_limit: core.tables.limit(),
            timer_count: core.timers.count(),
            timer_limit: core.timers.limit(),
            module_count: core.modules.count(),
            module_limit: core.modules.limit(),
            limits_reached: LimitsReached::of(core),
            message_queue_data: core.message_queue_data,
            schedulers_figures: figures,
        }
    }
}

impl Vm {
    /// Asks the system again for its processors, and tells whether they are others than at the last call, or when the
    /// VM was built. `erlang:system_info(update_cpu_info)`.
    ///
    /// After a change one may want as many schedulers online as there are processors for the program, of those built:
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// let vm = Vm::builder().schedulers(4).build()?;
    /// if vm.update_cpu_info() {
    ///     let info = vm.system_info();
    ///     vm.set_schedulers_online(info.processors.available.min(info.schedulers))?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn update_cpu_info(&self) -> bool {
        let now = Processors::now();
        std::mem::replace(&mut *self.core().processors.lock(), now) != now
    }
}
