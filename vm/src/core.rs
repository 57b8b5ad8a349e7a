//! What the processes of one VM share.

use std::cell::Cell;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use otp_heap::{OwnedTerm, Pid, Ref};
use otp_scheduler::lock::{Condvar, Mutex, section};
use otp_scheduler::{Fire, Processors, Scheduler};

use crate::aliases::Aliases;
use crate::envelope::{Envelope, Kind, NO_REF, Parcel};
use crate::exit_reason::ExitReason;
use crate::mailbox::Push;
use crate::mailbox_limit::MailboxLimit;
use crate::memory_options::{HeapDefaults, HeapDefaultsCell};
use crate::message_queue::MessageQueueData;
use crate::module::Modules;
use crate::multi_scheduling::Blockers;
use crate::names::Names;
use crate::process::table::ProcessTable;
use crate::process::{NEVER, Process, State};
use crate::reports::Reports;
use crate::shutdown::ShutdownSlot;
use crate::system_monitor::MonitorOfSystem;
use crate::table::Tables;
use crate::timers::Timers;
use crate::trace::Traces;

/// The inside of a VM. Always lives in an `Arc`.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) name: String,
    pub(crate) scheduler: Scheduler,
    pub(crate) processes: ProcessTable,
    pub(crate) names: Names,
    pub(crate) aliases: Aliases,
    pub(crate) tables: Tables,
    pub(crate) timers: Timers,
    pub(crate) traces: Traces,
    pub(crate) max_suspensions: u32,
    /// Of processes that are not told otherwise.
    pub(crate) message_queue_data: MessageQueueData,
    /// The same.
    pub(crate) mailbox_limit: MailboxLimit,
    pub(crate) max_message_size_bytes: usize,
    pub(crate) system_monitor: MonitorOfSystem,
    /// System time less monotonic time.
    pub(crate) time_offset: Duration,
    pub(crate) last_unique: AtomicU64,
    pub(crate) modules: Modules,
    pub(crate) reports: Reports,
    pub(crate) counts: Counts,
    pub(crate) blockers: Blockers,
    pub(crate) processors: Mutex<Processors>,
    heap_defaults: HeapDefaultsCell,
    pub(crate) shutdown: ShutdownSlot,
    references: AtomicU64,
    number: u64,
    /// New processes are refused: the VM has begun to kill what is left.
    pub(crate) closed: AtomicBool,
    /// How many wait for [`Core::ended`].
    waiting: AtomicU32,
    /// Who waits for it in a simulation; threads wait for the condition.
    ended: Mutex<Option<Waker>>,
    ended_changed: Condvar,
    this: Weak<Core>,
    /// Keeps the core alive while its scheduler threads run; taken out by the end of shut-down.
    keep: Mutex<Option<Arc<Core>>>,
}

/// Keeps the core of a simulated VM until the simulation is dropped, since its tasks and timers point into it. Then it
/// ends the processes that are left: their bodies hold the core in turn.
struct KeptBySimulation(Arc<Core>);

impl Fire for KeptBySimulation {
    fn fire(self, _now: u64) {
        // Only at the end of time; and not even then may the core go.
        std::mem::forget(self);
    }
}

impl Drop for KeptBySimulation {
    fn drop(&mut self) {
        let core = &self.0;
        core.closed.store(true, Ordering::SeqCst);
        let left: Vec<Pid> = core.processes.pids().collect();
        for process in left.iter().filter_map(|&pid| core.processes.get(pid)) {
            // SAFETY: timers are dropped when nobody runs tasks any more, and so no slice of this VM.
            unsafe { process.end_unrun() };
        }
        core.timers.clear();
    }
}

/// What the builder was told, but for the scheduler's part.
pub(crate) struct Settings {
    pub(crate) name: String,
    pub(crate) max_processes: usize,
    pub(crate) max_tables: usize,
    pub(crate) max_timers: usize,
    pub(crate) max_trace_events: u64,
    pub(crate) max_suspensions: u32,
    pub(crate) message_queue_data: MessageQueueData,
    pub(crate) mailbox_limit: MailboxLimit,
    pub(crate) max_message_size_bytes: usize,
    pub(crate) system_monitor_queue: usize,
    pub(crate) modules: Modules,
    pub(crate) reports: Reports,
}

/// What happened in a VM so far.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    pub(crate) spawned: AtomicU64,
    pub(crate) crashed: AtomicU64,
    pub(crate) discarded_sends: AtomicU64,
    pub(crate) heap_limits_passed: AtomicU64,
    pub(crate) collections: AtomicU64,
    pub(crate) words_reclaimed: AtomicU64,
    pub(crate) mailbox_limits_reached: AtomicU64,
    pub(crate) messages_rejected: AtomicU64,
    pub(crate) messages_dropped: AtomicU64,
    pub(crate) messages_too_large: AtomicU64,
}

/// When simulations begin: 2020-01-01, 00:00 UTC.
const SIMULATED_TIME_OFFSET: Duration = Duration::from_secs(1_577_836_800);

/// References are handed to threads by the block, so that making one needs no shared line.
const REFERENCE_BLOCK: u64 = 1024;

thread_local! {
    /// The block of references that this thread takes from: VM number, next, end.
    static REFERENCES: Cell<(u64, u64, u64)> = const { Cell::new((0, 0, 0)) };
}

impl Core {
    pub(crate) fn new(scheduler: Scheduler, settings: Settings) -> Arc<Self> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        // Serials of VMs start a million apart, so that a pid carried from one VM into another
        // is nobody's there, until a slot has been used that often.
        let is_simulated = scheduler.is_simulated();
        let first_serial = if is_simulated {
            scheduler.random() as u32
        } else {
            ((number - 1) as u32).wrapping_shl(20) | 1
        };
        let time_offset = if is_simulated {
            SIMULATED_TIME_OFFSET
        } else {
            let system = SystemTime::now().duration_since(UNIX_EPOCH);
            system
                .unwrap_or_default()
                .saturating_sub(Duration::from_nanos(scheduler.now()))
        };
        let core = Arc::new_cyclic(|this| Self {
            name: settings.name,
            scheduler,
            processes: ProcessTable::new(settings.max_processes, first_serial, is_simulated),
            names: Names::default(),
            aliases: Aliases::default(),
            tables: Tables::new(settings.max_tables),
            timers: Timers::new(settings.max_timers),
            traces: Traces::new(settings.max_trace_events),
            max_suspensions: settings.max_suspensions,
            message_queue_data: settings.message_queue_data,
            mailbox_limit: settings.mailbox_limit,
            max_message_size_bytes: settings.max_message_size_bytes,
            system_monitor: MonitorOfSystem::new(settings.system_monitor_queue),
            time_offset,
            last_unique: AtomicU64::new(0),
            modules: settings.modules,
            reports: settings.reports,
            counts: Counts::default(),
            blockers: Blockers::default(),
            processors: Mutex::new(Processors::now()),
            heap_defaults: HeapDefaultsCell::default(),
            shutdown: ShutdownSlot::default(),
            references: AtomicU64::new(1),
            number,
            closed: AtomicBool::new(false),
            waiting: AtomicU32::new(0),
            ended: Mutex::new(None),
            ended_changed: Condvar::new(),
            this: Weak::clone(this),
            keep: Mutex::new(None),
        });
        if core.scheduler.is_simulated() {
            // Nobody has the key, and the time never comes.
            let until_the_end = KeptBySimulation(Arc::clone(&core));
            core.scheduler.start_timer(NEVER, until_the_end);
        } else {
            *core.keep.lock() = Some(Arc::clone(&core));
        }
        core
    }

    /// Puts a parcel into the mailbox of `to`, whatever its limit, and wakes it. Gives the parcel back when nobody
    /// is there. Messages of the program's go by [`Core::send`].
    pub(crate) fn deliver(&self, to: Pid, parcel: Parcel) -> Result<(), Parcel> {
        let _section = section();
        let Some(process) = self.processes.get(to) else {
            return Err(parcel);
        };
        self.push(process, to, parcel)
    }

    /// The same for a process that was looked up. Its slot may have somebody else by now: `process/strays.rs`.
    #[inline]
    pub(crate) fn push(&self, process: &Process, to: Pid, parcel: Parcel) -> Result<(), Parcel> {
        let is_urgent = parcel.header().kind.care().is_urgent();
        let was_idle = match process.mailbox.push(parcel, to.serial()) {
            Push::First => {
                process.begin_backlog();
                process.wake()
            }
            Push::Behind => {
                process.charge_backlog();
                false
            }
            Push::Closed(parcel) => return Err(parcel),
        };
        // One that was idle takes the signal in as soon as it runs; and who binds it then looks for signals, too.
        if is_urgent && !was_idle {
            process.call_deputy_if_bound();
        }
        if !process.is(to) {
            process.may_have_stray(to);
        }
        Ok(())
    }

    /// Delivers a signal to a process that may be gone.
    pub(crate) fn signal(&self, to: Pid, parcel: Parcel) {
        drop(self.deliver(to, parcel));
    }

    /// Runs `look` on the control block of `pid`, if it is there. Meanwhile it may become that of another: what must
    /// not be about anybody else compares again, under its lock.
    pub(crate) fn with_process<R>(&self, pid: Pid, look: impl FnOnce(&Process) -> R) -> Option<R> {
        let _section = section();
        self.processes.get(pid).map(look)
    }

    /// Runs `look` on `pid`, under its lock, unless the process is gone or exiting.
    pub(crate) fn with_locked<R>(
        &self,
        pid: Pid,
        look: impl FnOnce(&Process, &mut State) -> R,
    ) -> Option<R> {
        self.with_process(pid, |process| {
            let mut state = process.lock();
            (process.is(pid) && !state.exiting).then(|| look(process, &mut state))
        })
        .flatten()
    }

    /// The same, where the state is enough.
    pub(crate) fn with_state<R>(&self, pid: Pid, look: impl FnOnce(&mut State) -> R) -> Option<R> {
        self.with_locked(pid, |_, state| look(state))
    }

    pub(crate) fn is_alive(&self, pid: Pid) -> bool {
        self.with_state(pid, |state| state.exit.is_none()) == Some(true)
    }

    /// A reference that this VM has not made before.
    pub(crate) fn make_ref(&self) -> Ref {
        let (number, mut next, mut end) = REFERENCES.get();
        if number != self.number || next == end {
            next = self
                .references
                .fetch_add(REFERENCE_BLOCK, Ordering::Relaxed);
            end = next + REFERENCE_BLOCK;
        }
        REFERENCES.set((self.number, next + 1, end));
        Ref::from_u64(next)
    }

    pub(crate) fn ended_with(&self, reason: &ExitReason) {
        if reason.is_abnormal() {
            self.counts.crashed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a process out, and tells those who wait for the end.
    pub(crate) fn count_out(&self) {
        self.processes.count_out();
        self.tell_of_an_end();
    }

    /// Tells those who wait for the end of processes that one has ended.
    pub(crate) fn tell_of_an_end(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            let waker = self.ended.lock().take();
            self.ended_changed.notify_all();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Waits until enough processes have ended for `enough` to hold, or until `deadline` (on the scheduler's clock;
    /// [`NEVER`]: for ever). Whether it came to that. `enough` is asked after each end.
    ///
    /// It blocks the thread, except in a simulation.
    pub(crate) async fn wait_until(&self, deadline: u64, enough: impl Fn() -> bool) -> bool {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        if self.scheduler.is_simulated() {
            self.wait_in_simulation(deadline, &enough).await;
        } else {
            self.block_until(deadline, &enough);
        }
        self.waiting.fetch_sub(1, Ordering::SeqCst);
        enough()
    }

    fn block_until(&self, deadline: u64, enough: &impl Fn() -> bool) {
        let left = Duration::from_nanos(deadline.saturating_sub(self.scheduler.now()));
        let deadline = (deadline != NEVER).then(|| Instant::now() + left);
        let mut ended = self.ended.lock();
        while !enough() {
            match deadline {
                Some(deadline) => {
                    if self.ended_changed.wait_until(&mut ended, deadline) {
                        break;
                    }
                }
                None => self.ended_changed.wait(&mut ended),
            }
        }
    }

    async fn wait_in_simulation(&self, deadline: u64, enough: &impl Fn() -> bool) {
        let mut timer = None;
        poll_fn(|cx| {
            *self.ended.lock() = Some(cx.waker().clone());
            if enough() || self.scheduler.now() >= deadline {
                return Poll::Ready(());
            }
            timer.get_or_insert_with(|| {
                let waker = cx.waker().clone();
                self.scheduler
                    .start_timer(deadline, move |_: u64| waker.wake())
            });
            Poll::Pending
        })
        .await;
        if let Some(timer) = timer {
            self.scheduler.cancel_timer(timer);
        }
    }

    /// Hands the tables of a dead process to their heirs.
    pub(crate) fn tables_of_the_dead(&self, pid: Pid) {
        self.tables
            .owner_died(pid, |heir, message| self.transfer_table(pid, heir, message));
    }

    /// Tells a process of the table that is on its list by now. False if it is ending: then its
    /// end has seen the table there, or never will.
    pub(crate) fn transfer_table(&self, from: Pid, to: Pid, message: OwnedTerm) -> bool {
        let envelope = Envelope::new(Kind::News, from, NO_REF);
        self.mark_table_owner(to) && self.deliver(to, message.with_header(envelope)).is_ok()
    }

    /// Notes that a process owns tables, which its end must see to. False if it is ending.
    pub(crate) fn mark_table_owner(&self, pid: Pid) -> bool {
        self.with_state(pid, |state| state.rare().owns_tables = true)
            .is_some()
    }

    pub(crate) fn heap_defaults(&self) -> HeapDefaults {
        self.heap_defaults.get()
    }

    /// Gives those before.
    pub(crate) fn set_heap_defaults<E>(
        &self,
        change: impl FnOnce(&mut HeapDefaults) -> Result<(), E>,
    ) -> Result<HeapDefaults, E> {
        self.heap_defaults.set(change)
    }

    /// Whether new processes get a limit without asking.
    #[inline]
    pub(crate) fn limits_heaps(&self) -> bool {
        self.heap_defaults.limits()
    }

    pub(crate) fn weak(&self) -> Weak<Core> {
        Weak::clone(&self.this)
    }

    /// Lets the core go, once no thread of its scheduler runs any more.
    pub(crate) fn let_go(&self) {
        // They may hold the core in turn.
        self.timers.clear();
        let kept = self.keep.lock().take();
        drop(kept);
    }
}
