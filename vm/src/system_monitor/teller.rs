//! How the system's monitor is told.
//!
//! # Protocol
//! 1. Whoever finds something to tell looks at an atomic first ([`MonitorOfSystem::watches`]), which is all that it
//!    costs while nobody wants to know.
//! 2. Events go into one queue with a limit; further ones are counted, and lost. So they may be told of from anywhere:
//!    a scheduler thread, a process's slice, the middle of a collection.
//! 3. A plain task, which is there while events wait, takes them out: it calls the handler, or sends to the process,
//!    unless [`MAX_WAITING_SYSTEM_EVENTS`] messages wait there. So a monitor that is slow or dead holds nobody up, and
//!    a flood of events is never larger than the queue and that mailbox.
//! 4. A process that is the monitor is marked (`Rare::is_system_monitor`), and its end takes the setting away before
//!    anybody is told of it.
//! 5. While it wants to know of long mailboxes, another task has those looked at whose processes leave them alone.

use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use otp_heap::{Heap, Pid};
use otp_scheduler::lock::Mutex;
use otp_scheduler::{LongSlice, checkpoint, yield_now};

use super::{
    HeapSizes, MAX_SYSTEM_MONITOR_QUEUE, MAX_WAITING_SYSTEM_EVENTS, QueueMarks, SystemEvent,
    SystemMonitor, SystemMonitorError, Told,
};
use crate::core::Core;
use crate::envelope::HOST;
use crate::process::memory::{HeapFigures, WORD_BYTES, mailbox_bytes};
use crate::process::{Attention, quietly};

/// Collections are looked at.
pub(super) const HEAPS: u8 = 1;
/// Mailboxes are.
pub(super) const MAILBOXES: u8 = 2;
/// Processes that are bound are told of.
pub(super) const BOUND: u8 = 4;

/// Processes that are marked, or looked at, between two checkpoints; some 30 ns each.
const LOOKS_PER_CHECKPOINT: usize = 256;

/// How often the mailboxes are looked at of those that don't take their messages in themselves.
const SWEEP_INTERVAL: Duration = Duration::from_secs(1);

/// Such looks take at most so large a part of a scheduler's time.
const SWEEP_SHARE: u32 = 100;

/// A VM's: the setting, and what waits to be told.
#[derive(Debug)]
pub(crate) struct MonitorOfSystem {
    /// What there is to look at, as bits. Changed under the lock of the setting.
    watched: AtomicU8,
    pub(super) setting: Mutex<Option<SystemMonitor>>,
    events: Mutex<Events>,
    limit: usize,
    lost: AtomicU64,
    /// The number of the task that sweeps the mailboxes; one before it ends.
    sweep: AtomicU64,
}

#[derive(Debug, Default)]
struct Events {
    waiting: VecDeque<SystemEvent>,
    /// The task that tells of them is there.
    is_telling: bool,
}

impl MonitorOfSystem {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            watched: AtomicU8::new(0),
            setting: Mutex::default(),
            events: Mutex::default(),
            limit,
            lost: AtomicU64::new(0),
            sweep: AtomicU64::new(0),
        }
    }

    /// Whether a VM may be built with it.
    pub(crate) fn check_limit(asked: usize) -> Result<(), SystemMonitorError> {
        if asked > MAX_SYSTEM_MONITOR_QUEUE {
            return Err(SystemMonitorError::Queue { asked });
        }
        Ok(())
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    #[inline]
    fn watches(&self, what: u8) -> bool {
        self.watched.load(Ordering::SeqCst) & what != 0
    }

    #[inline]
    pub(crate) fn watches_mailboxes(&self) -> bool {
        self.watches(MAILBOXES)
    }

    /// When a mailbox is long, if somebody wants to know.
    pub(crate) fn long_message_queue(&self) -> Option<QueueMarks> {
        if !self.watches_mailboxes() {
            return None;
        }
        let setting = self.setting.lock();
        setting.as_ref()?.options.long_message_queue
    }

    pub(crate) fn queue_is_long(&self, core: &Core, pid: Pid, is_long: bool) {
        self.note(core, SystemEvent::LongMessageQueue { pid, is_long });
    }

    /// A process was bound to its thread.
    pub(crate) fn is_bound(&self, core: &Core, pid: Pid) {
        if self.watches(BOUND) {
            self.note(core, SystemEvent::Bound { pid });
        }
    }

    /// A collection begins: when, if somebody may want to know.
    pub(crate) fn collection_begins(&self, core: &Core) -> Option<u64> {
        self.watches(HEAPS).then(|| core.scheduler.now())
    }

    /// It has ended, and left this heap.
    pub(crate) fn collection_ends(&self, core: &Core, pid: Pid, began: Option<u64>, heap: &Heap) {
        let Some(began) = began else { return };
        let duration = Duration::from_nanos(core.scheduler.now().saturating_sub(began));
        let figures = HeapFigures::of(heap);
        let mut sizes = HeapSizes {
            heap_size: figures.words,
            heap_block_size: figures.block_bytes.div_ceil(WORD_BYTES),
            mbuf_size: 0,
        };
        let options = match &*self.setting.lock() {
            Some(monitor) => monitor.options,
            None => return,
        };
        let is_long = SystemEvent::LongGc {
            pid,
            duration,
            sizes,
        };
        let is_large = SystemEvent::LargeHeap { pid, sizes };
        if !is_long.is_wanted(&options) && !is_large.is_wanted(&options) {
            return;
        }
        let mailbox = core.with_state(pid, |state| mailbox_bytes(state));
        sizes.mbuf_size = mailbox.unwrap_or(0).div_ceil(WORD_BYTES);
        if is_long.is_wanted(&options) {
            let event = SystemEvent::LongGc {
                pid,
                duration,
                sizes,
            };
            self.note(core, event);
        }
        if is_large.is_wanted(&options) {
            self.note(core, SystemEvent::LargeHeap { pid, sizes });
        }
    }

    /// A slice of a task was long. What the VM runs besides processes has no number, the task that tells of events
    /// among it.
    fn slice_was_long(&self, core: &Core, slice: LongSlice) {
        if slice.task.id != 0 {
            let pid = Pid::from_u64(slice.task.id);
            self.note(core, SystemEvent::LongSchedule { pid, slice });
        }
    }

    /// Step 2.
    fn note(&self, core: &Core, event: SystemEvent) {
        let starts = {
            let mut events = self.events.lock();
            if events.waiting.len() >= self.limit {
                self.lost.fetch_add(1, Ordering::Relaxed);
                return;
            }
            events.waiting.push_back(event);
            !mem::replace(&mut events.is_telling, true)
        };
        if starts {
            drop(core.scheduler.spawn(tell_all(core.weak())));
        }
    }

    fn next_event(&self) -> Option<SystemEvent> {
        let mut events = self.events.lock();
        let next = events.waiting.pop_front();
        events.is_telling = next.is_some();
        next
    }
}

/// Step 3.
async fn tell_all(core: Weak<Core>) {
    while let Some(core) = core.upgrade() {
        let Some(event) = core.system_monitor.next_event() else {
            return;
        };
        // Whatever the handler does, or its drop.
        quietly(HOST, || core.tell_system_monitor(event));
        drop(core);
        yield_now().await;
    }
}

/// Step 5.
async fn sweep_mailboxes(core: Weak<Core>, sweep: u64) {
    let mut wait = SWEEP_INTERVAL;
    loop {
        otp_scheduler::sleep(wait).await;
        let Some(core) = core.upgrade() else { return };
        let monitor = &core.system_monitor;
        if !monitor.watches_mailboxes() || monitor.sweep.load(Ordering::Relaxed) != sweep {
            return;
        }
        let began = core.scheduler.now();
        for (number, pid) in core.processes.pids().enumerate() {
            let lies = core.with_process(pid, |process| !process.mailbox.is_empty());
            if lies == Some(true) {
                core.watch_mailbox(pid, false);
            }
            if number % LOOKS_PER_CHECKPOINT == 0 {
                checkpoint(LOOKS_PER_CHECKPOINT as u32);
            }
        }
        let took = Duration::from_nanos(core.scheduler.now().saturating_sub(began));
        wait = SWEEP_INTERVAL.max(took * SWEEP_SHARE);
    }
}

impl Core {
    fn tell_system_monitor(&self, event: SystemEvent) {
        let setting = self.system_monitor.setting.lock().clone();
        let Some(monitor) = setting.filter(|monitor| event.is_wanted(&monitor.options)) else {
            return;
        };
        match &monitor.told {
            Told::Handler(handler) => handler(event),
            Told::Process(pid) if *pid == event.pid() => {}
            Told::Process(pid) => {
                let has_room = |len| len < MAX_WAITING_SYSTEM_EVENTS;
                let is_sent = self.messages_waiting(*pid).is_some_and(has_room)
                    && event
                        .message()
                        .is_some_and(|message| self.send(*pid, message).is_ok());
                if !is_sent {
                    let lost = &self.system_monitor.lost;
                    lost.fetch_add(1, Ordering::Relaxed);
                }
            }
        }
    }

    /// How many messages wait for a process.
    fn messages_waiting(&self, pid: Pid) -> Option<usize> {
        let (len, leftovers) = self.with_locked(pid, |process, state| {
            let leftovers = process.drain(state);
            (state.queue_len(), leftovers)
        })?;
        quietly(pid, || leftovers.finish());
        Some(len)
    }

    pub(super) fn set_system_monitor(
        &self,
        monitor: Option<SystemMonitor>,
    ) -> Result<Option<SystemMonitor>, SystemMonitorError> {
        let options = monitor.as_ref().map(SystemMonitor::options);
        let marks = options.and_then(|options| options.long_message_queue);
        if let Some(QueueMarks { disable, enable }) =
            marks.filter(|marks| marks.disable >= marks.enable)
        {
            return Err(SystemMonitorError::QueueMarks { disable, enable });
        }
        let pid = monitor.as_ref().and_then(SystemMonitor::pid);
        // Before anything is replaced; its end either sees the mark, or is seen below.
        let mark = |pid| self.with_state(pid, |state| state.rare().is_system_monitor = true);
        if pid.is_some_and(|pid| !self.is_alive(pid) || mark(pid).is_none()) {
            return Err(SystemMonitorError::NoProcess);
        }
        let before = self.replace_system_monitor(monitor);
        if let Some(pid) = pid
            && self.with_state(pid, |_| ()).is_none()
        {
            // It ended meanwhile, as it may at any time after.
            self.end_system_monitor_of(pid);
        }
        if marks.is_some() {
            for (number, pid) in self.processes.pids().enumerate() {
                self.watch_mailbox(pid, true);
                if number % LOOKS_PER_CHECKPOINT == 0 {
                    checkpoint(LOOKS_PER_CHECKPOINT as u32);
                }
            }
            let sweep = self.system_monitor.sweep.fetch_add(1, Ordering::Relaxed) + 1;
            drop(self.scheduler.spawn(sweep_mailboxes(self.weak(), sweep)));
        }
        Ok(before)
    }

    fn replace_system_monitor(&self, monitor: Option<SystemMonitor>) -> Option<SystemMonitor> {
        let options = monitor.as_ref().map(SystemMonitor::options);
        let mut setting = self.system_monitor.setting.lock();
        let watched = options.map_or(0, |options| options.watched());
        self.system_monitor.watched.store(watched, Ordering::SeqCst);
        let threshold = options.and_then(|options| options.long_schedule);
        self.scheduler.set_long_schedule(threshold);
        // The one before, with its handler, is the caller's to drop.
        mem::replace(&mut setting, monitor)
    }

    /// The end of a process that was the monitor, if it still is.
    #[cold]
    pub(crate) fn end_system_monitor_of(&self, pid: Pid) {
        let is_its = |monitor: &SystemMonitor| monitor.pid() == Some(pid);
        let mut setting = self.system_monitor.setting.lock();
        if setting.as_ref().is_some_and(is_its) {
            *setting = None;
            self.system_monitor.watched.store(0, Ordering::SeqCst);
            self.scheduler.set_long_schedule(None);
        }
    }

    /// Has a process look at the length of its mailbox, from now on. For a new monitor it does so anew: nobody was told
    /// that it is long.
    #[cold]
    pub(crate) fn watch_mailbox(&self, pid: Pid, anew: bool) {
        let watched = self.with_locked(pid, |process, state| {
            process.note(Attention::LENGTHY);
            if anew {
                state.forget_that_it_is_long();
            }
            let mut leftovers = process.drain(state);
            process.messages_came(state, &mut leftovers);
            leftovers
        });
        if let Some(leftovers) = watched {
            quietly(pid, || leftovers.finish());
        }
    }
}

/// How the scheduler's reports of long slices find the VM, which is built after it.
#[derive(Debug, Default)]
pub(crate) struct SchedulerLink(Arc<OnceLock<Weak<Core>>>);

impl SchedulerLink {
    /// A scheduler that tells of them, as soon as somebody wants to know.
    pub(crate) fn tell_of_slices(
        &self,
        scheduler: otp_scheduler::Builder,
    ) -> otp_scheduler::Builder {
        let link = Arc::clone(&self.0);
        scheduler.long_schedule(Duration::MAX, move |slice| {
            if let Some(core) = link.get().and_then(Weak::upgrade) {
                core.system_monitor.slice_was_long(&core, slice);
            }
        })
    }

    pub(crate) fn join(&self, core: &Arc<Core>) {
        // It is empty: each VM has its own.
        drop(self.0.set(Arc::downgrade(core)));
    }
}
