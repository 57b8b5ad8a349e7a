//! A process: its control block, and the slots that control blocks live in.
//!
//! A control block lies in a slot that is never given back to the allocator while the VM lives,
//! so a late look at it finds another incarnation, never foreign memory. How a late look is told
//! from one in time: see [`strays`].

mod aborts;
mod attention;
mod backlog;
pub(crate) mod body;
pub(crate) mod collect;
mod deputy;
mod drain;
mod exit;
mod hibernate;
mod label;
mod links;
pub(crate) mod listing;
pub(crate) mod memory;
mod monitors;
mod notes;
mod occupancy;
mod panics;
mod rare;
mod run;
mod strays;
mod suspensions;
pub(crate) mod table;
mod waker;

use std::cell::UnsafeCell;
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;

use otp_heap::{Atom, Pid, Ref};
use otp_scheduler::lock::{Mutex, MutexGuard};
use otp_scheduler::{Activity, Header, NativePlace, Priority, TaskName, TimerKey};

use crate::context::{MonitorOptions, Reply};
use crate::core::Core;
use crate::envelope::{HOST, Parcel};
use crate::exit_reason::ExitReason;
use crate::host::OnExit;
use crate::inbox::Inbox;
use crate::mailbox::Mailbox;
use crate::mailbox_limit::{MailboxFull, MailboxLimit};
use crate::memory_options::MemoryOptions;
use crate::message_queue::MessageQueueData;
use crate::origin::{OrHost, Origin};
use crate::process_info::Status;
use crate::small_map::SmallMap;
use crate::trace::Mark;

pub(crate) use attention::Attention;
pub(crate) use drain::Leftovers;
pub(crate) use hibernate::NextBody;
use label::Label;
use memory::Memory;
pub(crate) use monitors::{AliasLife, Extras};
pub(crate) use notes::Note;
pub(crate) use occupancy::{Ticket, Undelivered, Waits};
pub(crate) use panics::{
    ExitPayload, handler_returns, install_panic_hook, is_running, quietly, reason_of_panic, report,
};
pub(crate) use rare::Rare;
use run::VTABLE;
pub(crate) use run::{end_of_native, reductions_here, reductions_of_slice, waits_in_vain_again};
pub(crate) use suspensions::{SuspendOutcome, Suspension};
pub(crate) use waker::own_waker_matches;

/// The name of a type: a word, where the text would be two.
pub(crate) type TypeName = fn() -> &'static str;

/// What a process runs.
pub(crate) type Body = Pin<Box<dyn Future<Output = ExitReason> + Send>>;

/// A control block, in its slot.
#[repr(C)]
pub(crate) struct Process {
    /// First, so that the scheduler's pointer is the process's.
    header: Header,
    /// The incarnation: a pid names this slot only while its serial is here. 0 while nobody is. Changed under the lock,
    /// in the hold in which the mailbox is opened or closed.
    serial: AtomicU32,
    /// The incarnation whose code runs on though it has ended: another thread has done that while its own is in native
    /// code, or it did so itself. 0 else. Set under the lock.
    ended: AtomicU32,
    pub(crate) index: u32,
    /// The mailbox has a limit: senders of messages ask for room first. Set under the lock.
    limited: AtomicBool,
    /// About how many parcels were put into the mailbox since it was last found empty. A hint: senders at the same time
    /// count as one.
    backlog: AtomicU16,
    pub(crate) mailbox: Mailbox,
    /// The VM that the slot belongs to; it outlives its slots.
    core: NonNull<Core>,
    /// Only touched by the slice that runs (the scheduler runs one at a time) and by spawn,
    /// before the first slice.
    body: UnsafeCell<Option<Body>>,
    pub(crate) reductions: AtomicU64,
    /// Bytes allocated minus those freed in its slices so far, never below 0; stays 0 without the accounting allocator.
    pub(crate) native_memory: AtomicU64,
    /// An [`Attention`]. Changed under the lock.
    attention: AtomicU16,
    /// A deputy is on its way.
    deputy_called: AtomicBool,
    /// One of the two parts of an end from outside is over.
    half_gone: AtomicBool,
    /// Its holder is in a section: a process that is bound never stands at its gate with it. Else all who want
    /// something of the process would wait for its turn, a scheduler's thread that fires its timer and its deputy among
    /// them.
    state: Mutex<State>,
}

// SAFETY: `body` is reached by one slice at a time (the scheduler's promise), everything else is
// atomic or behind the lock; `core` outlives the slot.
unsafe impl Sync for Process {}
// SAFETY: as above.
unsafe impl Send for Process {}

impl std::fmt::Debug for Process {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Process")
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}

// A million of them idle are what the memory of a VM goes into: what few need lies in `Rare`.
#[cfg(not(loom))]
const _: () = assert!(size_of::<Process>() <= 384);

/// No deadline.
pub(crate) const NEVER: u64 = u64::MAX;

/// What only the process itself changes, and others may look at: behind a lock, because a
/// `Context` may be moved to another thread.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Messages taken from the mailbox, oldest first.
    pub(crate) inbox: Inbox,
    pub(crate) links: SmallMap<Pid, ()>,
    /// Monitors that this process holds.
    pub(crate) monitors: SmallMap<Ref, Pid>,
    /// Monitors that others hold on this process.
    pub(crate) monitored_by: SmallMap<Ref, Pid>,
    /// Requests under way, by the alias that their reply comes through.
    pub(crate) requests: SmallMap<Ref, Request>,
    /// Set once it is decided that the process ends, and with what.
    pub(crate) exit: Option<ExitReason>,
    /// The body is being dropped, or the process is gone.
    pub(crate) exiting: bool,
    /// A thread has taken on to tell everybody of the end.
    claimed: bool,
    /// The signal was `kill`.
    killed: bool,
    pub(crate) trap_exit: bool,
    /// The waker of a receive that waits inside a foreign combinator. One is enough: a receive
    /// borrows the Context mutably.
    pub(crate) receiver: Option<Waker>,
    /// The running drain has filed an answer to a request.
    pub(crate) answered: bool,
    /// The earliest deadline that the body waits for.
    pub(crate) wake_at: u64,
    /// The wheel timer behind it; may be earlier than `wake_at`, and is then armed anew.
    pub(crate) armed: Option<(u64, TimerKey)>,
    pub(crate) parent: OrHost,
    pub(crate) group_leader: OrHost,
    /// Where it says that it comes from: nothing, for most.
    pub(crate) origin: Option<Arc<Origin>>,
    /// What most processes don't have.
    pub(crate) rare: Option<Box<Rare>>,
    pub(crate) label: Label,
    /// The type of the function that it began with.
    pub(crate) initial_call: Option<TypeName>,
    pub(crate) body_bytes: u32,
    pub(crate) message_queue_data: MessageQueueData,
}

/// A request whose reply is awaited.
#[derive(Debug)]
pub(crate) struct Request {
    /// Who was asked.
    pub(crate) to: Pid,
    pub(crate) answer: Option<Answer>,
}

impl Request {
    /// Whether the request's monitor still stands at whom it was sent to: it ends with its own
    /// reply or end, not with the reply of another in its place.
    pub(crate) fn is_monitored(&self) -> bool {
        match &self.answer {
            None => true,
            Some(Answer::Reply(parcel)) => parcel.header().from != self.to,
            Some(Answer::Down(_) | Answer::Refused(_)) => false,
        }
    }
}

/// What came of a request.
#[derive(Debug)]
pub(crate) enum Answer {
    Reply(Parcel),
    Down(ExitReason),
    /// It was dropped from a full mailbox.
    Refused(MailboxFull),
}

impl Process {
    /// A free slot.
    ///
    /// # Safety
    /// `core` must outlive the slot.
    pub(crate) unsafe fn vacant(core: &Core, index: u32) -> Self {
        Self {
            header: Header::new(&core.scheduler, &VTABLE),
            serial: AtomicU32::new(0),
            ended: AtomicU32::new(0),
            index,
            limited: AtomicBool::new(false),
            backlog: AtomicU16::new(0),
            mailbox: Mailbox::closed(),
            core: NonNull::from(core),
            body: UnsafeCell::new(None),
            reductions: AtomicU64::new(0),
            native_memory: AtomicU64::new(0),
            attention: AtomicU16::new(0),
            deputy_called: AtomicBool::new(false),
            half_gone: AtomicBool::new(false),
            state: Mutex::new(State::default()),
        }
    }

    pub(crate) fn core(&self) -> &Core {
        // SAFETY: the core outlives its slots (the contract of `vacant`).
        unsafe { self.core.as_ref() }
    }

    #[inline]
    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// The incarnation that lives here now, if any.
    #[inline]
    pub(crate) fn pid(&self) -> Option<Pid> {
        match self.serial.load(Ordering::Acquire) {
            0 => None,
            serial => Some(Pid::from_parts(self.index, serial)),
        }
    }

    #[inline]
    pub(crate) fn is(&self, pid: Pid) -> bool {
        self.serial.load(Ordering::Acquire) == pid.serial()
    }

    /// True if that incarnation was ended while its code runs on: for everybody else it is gone, or is about to be, and
    /// what it does is discarded.
    #[inline]
    pub(crate) fn was_ended(&self, pid: Pid) -> bool {
        self.ended.load(Ordering::Relaxed) == pid.serial()
    }

    /// The incarnation that was ended so and still runs, if there is one.
    pub(crate) fn ended_pid(&self) -> Option<Pid> {
        match self.ended.load(Ordering::Acquire) {
            0 => None,
            serial => Some(Pid::from_parts(self.index, serial)),
        }
    }

    /// Moves a new process into a vacant slot. Its first slice comes with [`Process::wake`], or with
    /// [`Process::start_native`] if it has a place for that.
    ///
    /// # Safety
    /// The slot is vacant and the caller's alone, as `ProcessTable::allocate` hands it out.
    pub(crate) unsafe fn occupy(
        &self,
        serial: u32,
        body: Body,
        body_bytes: u32,
        start: Start,
        monitor: Option<Ref>,
        native: Option<&NativePlace>,
    ) {
        // A slot never used before is idle, and must not be reset below: whoever lists the
        // processes may wake this one as soon as its serial is there, and a reset would let it
        // be pushed a second time.
        let used_before = self.header.activity() == Activity::Running;
        // SAFETY: no slice runs in a vacant slot.
        unsafe { *self.body.get() = Some(body) };
        self.reductions.store(0, Ordering::Relaxed);
        self.native_memory.store(0, Ordering::Relaxed);
        // Release: who sees it sees that the serial before is gone.
        self.attention.store(0, Ordering::Release);
        self.header.set_priority(start.priority);
        self.deputy_called.store(false, Ordering::Relaxed);
        let mut state = self.lock();
        state.wake_at = NEVER;
        state.parent = OrHost(start.parent);
        state.group_leader = start.group_leader;
        state.label = start.label.into();
        state.initial_call = start.initial_call;
        state.trap_exit = start.trap_exit;
        state.body_bytes = body_bytes;
        let by_default = self.core().message_queue_data;
        state.message_queue_data = start.message_queue_data.unwrap_or(by_default);
        let mailbox_limit = start.mailbox_limit.unwrap_or(self.core().mailbox_limit);
        self.limited.store(false, Ordering::Relaxed);
        if mailbox_limit.max_len > 0 {
            // There is nobody yet who would be woken.
            let (_, nothing) = self.limit_mailbox(&mut state, mailbox_limit);
            nothing.finish();
        }
        if start.on_exit.is_some() {
            state.rare().on_exit = start.on_exit;
        }
        if let Some(memory) = start.memory {
            if memory.max_heap_size.size > 0 {
                self.note(Attention::LIMITED);
            }
            state.rare().memory = Some(memory);
        }
        if native.is_some() {
            state.rare().is_native = true;
        }
        if let Some(marks) = start.marks {
            state.rare().marks = marks.into_vec();
            self.note(Attention::TRACED);
        }
        if start.link {
            state.links.insert(start.parent, ());
        }
        if let Some(reference) = monitor {
            state.monitored_by.insert(reference, start.parent);
        }
        if let Some(place) = native {
            // SAFETY: the slot is vacant: its last process, if there was one, is done; no slice of it runs, and it is
            // in no queue. The place is of the VM's one scheduler.
            unsafe { place.mark(&self.header) };
        }
        self.mailbox.open();
        self.serial.store(serial, Ordering::Release);
        drop(state);
        if used_before && native.is_none() {
            // Last: from here on, a stale wake may run the process.
            // SAFETY: the last process of the slot is done, and the new one is wholly written.
            unsafe { self.header.reset() };
        }
    }

    pub(crate) fn priority(&self) -> Priority {
        self.header.priority()
    }

    /// Sets the priority, from the next time on that the process is queued.
    pub(crate) fn set_priority(&self, priority: Priority) {
        self.header.set_priority(priority);
    }

    /// What reports call the process.
    fn task_name(&self, pid: Pid) -> TaskName {
        let (called, initial_call) = {
            let state = self.lock();
            (state.name().or(state.label.get()), state.initial_call)
        };
        let mut name = pid.to_string();
        if let Some(called) = called {
            name.push_str(&format!(" ({called})"));
        }
        if let Some(initial_call) = initial_call {
            name.push_str(&format!(": {}", initial_call()));
        }
        TaskName {
            id: pid.as_u64(),
            name,
        }
    }

    /// What the process is doing at this moment.
    pub(crate) fn status(&self) -> Status {
        if self.attention().has(Attention::SUSPENDED) {
            return Status::Suspended;
        }
        match self.header.activity() {
            Activity::Running => Status::Running,
            Activity::Scheduled => Status::Runnable,
            Activity::Idle => Status::Waiting,
        }
    }

    /// At the end of a slice, by the slice: only one runs at a time. True if native memory changed, and may be limited.
    #[inline]
    fn count(&self, reductions: i64, allocated: i64) -> bool {
        let before = self.reductions.load(Ordering::Relaxed);
        self.reductions
            .store(before.wrapping_add_signed(reductions), Ordering::Relaxed);
        if allocated != 0 {
            let held = self.native_memory.load(Ordering::Relaxed);
            self.native_memory
                .store(held.saturating_add_signed(allocated), Ordering::Relaxed);
            return self.attention().has(Attention::LIMITED);
        }
        false
    }

    /// Starts a process that was marked for the place.
    pub(crate) fn start_native(&self, place: NativePlace) {
        // SAFETY: the slot lives as long as the VM, and the process in it was just made: no slice of it ran.
        unsafe { place.start(NonNull::from(&self.header)) }
    }

    /// Makes the process run, now or again. True if it was idle, so that no thread is bound to it.
    pub(crate) fn wake(&self) -> bool {
        // SAFETY: slots live as long as the VM, and a wake of another incarnation, or of a slot
        // that is vacant, is spurious at worst.
        unsafe { self.core().scheduler.wake(NonNull::from(&self.header)) }
    }
}

/// What a process starts with, as its maker says.
#[derive(Debug)]
pub(crate) struct Start {
    /// By default, that of the body.
    pub(crate) initial_call: Option<TypeName>,
    pub(crate) parent: Pid,
    pub(crate) link: bool,
    /// The maker's monitor on it.
    pub(crate) monitor: Option<(Ref, MonitorOptions)>,
    /// What the maker is told once the process can be named.
    pub(crate) reply: Option<Reply>,
    pub(crate) label: Option<Atom>,
    pub(crate) trap_exit: bool,
    pub(crate) priority: Priority,
    /// By default, the VM's.
    pub(crate) message_queue_data: Option<MessageQueueData>,
    /// By default, the VM's.
    pub(crate) mailbox_limit: Option<MailboxLimit>,
    pub(crate) on_exit: Option<OnExit>,
    pub(crate) memory_options: Option<MemoryOptions>,
    /// Made of the options.
    pub(crate) memory: Option<Box<Memory>>,
    pub(crate) group_leader: OrHost,
    /// Who traces it from its beginning.
    pub(crate) marks: Option<Box<[Mark]>>,
}

impl Default for Start {
    fn default() -> Self {
        Self {
            initial_call: None,
            parent: HOST,
            link: false,
            monitor: None,
            reply: None,
            label: None,
            trap_exit: false,
            priority: Priority::Normal,
            message_queue_data: None,
            mailbox_limit: None,
            on_exit: None,
            memory_options: None,
            memory: None,
            group_leader: OrHost::default(),
            marks: None,
        }
    }
}

impl State {
    pub(crate) fn name(&self) -> Option<Atom> {
        self.rare.as_ref().and_then(|rare| rare.name)
    }

    /// Messages in the mailbox that the process has drained so far.
    pub(crate) fn queue_len(&self) -> usize {
        self.inbox.len()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::{Duration, Instant};

    use otp_scheduler::{REDUCTIONS_PER_SLICE, checkpoint};

    use crate::{Context, Vm};

    /// Gives way all the time, and is always ready.
    async fn wants_to_run(cx: Context) {
        loop {
            cx.yield_now().await;
        }
    }

    /// A checkpoint gives the scheduler away where somebody has waited for it for 100 us, and then stands at its gate;
    /// but not in a section.
    #[test]
    fn nobody_stands_at_a_gate_with_the_lock_of_a_process() {
        let vm = Vm::builder().schedulers(1).build().unwrap();
        let run = vm.run(|cx| async move {
            cx.spawn(wants_to_run).unwrap();
            let process = cx.core().processes.get(cx.pid()).unwrap();
            let state = process.lock();
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_millis(20) {
                checkpoint(REDUCTIONS_PER_SLICE);
            }
            drop(state);
            cx.vm().system_info().schedulers_figures.given_away
        });
        assert_eq!(run.wait().unwrap(), 0);
    }
}
