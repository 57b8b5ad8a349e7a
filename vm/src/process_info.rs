//! Looking at processes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use otp_heap::{Atom, OwnedTerm, Pid, Ref, Term};
use otp_scheduler::Priority;

use crate::context::Context;
use crate::envelope::HOST;
use crate::mailbox_limit::MailboxInfo;
use crate::max_heap_size::MaxHeapSize;
use crate::message::Monitored;
use crate::message_queue::MessageQueueData;
use crate::process::memory::{WORD_BYTES, mailbox_bytes};
use crate::process::{Attention, Leftovers, Process, State, quietly, reductions_of_slice};
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
    /// Others have suspended it: [`Context::suspend_process`].
    Suspended,
    /// Its heap is being collected.
    GarbageCollecting,
    /// It has ended, and its body or what it held is being dropped.
    Exiting,
}

/// What is known of a process. `process_info/1`. By items, and as terms: [`Vm::process_info_items`].
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
    /// Messages that have arrived and that it has not yet received.
    pub message_queue_len: usize,
    /// The limit on these, and what became of messages that were over it.
    pub mailbox: MailboxInfo,
    /// Whom it is linked with.
    pub links: Vec<Pid>,
    /// Whom it monitors.
    pub monitors: Vec<(Ref, Monitored)>,
    /// Who monitors it; callers that wait for a reply are among them.
    pub monitored_by: Vec<Pid>,
    /// Whom it suspends: how often, and how often it will once that one rests. One of the two is 0.
    pub suspending: Vec<(Pid, u32, u32)>,
    /// Its process dictionary, in no order; with `$ancestors` and `$initial_call`, if `proc_lib` started it.
    pub dictionary: Vec<(Arc<OwnedTerm>, Arc<OwnedTerm>)>,
    /// Whether it traps exits.
    pub trap_exit: bool,
    /// Reductions that it has used: as of the end of its last slice, and for who asks of itself up to now.
    pub reductions: u64,
    /// Bytes of its control block, its body, its heap, its dictionary and its mailbox; what the body points to is not
    /// counted.
    pub memory: usize,
    /// Bytes that its own code allocated minus those that it freed, as of the end of its last slice; never below 0, and
    /// not part of `memory`. None unless the program installed [`AccountingAllocator`](crate::AccountingAllocator).
    ///
    /// An estimate: what one process allocates another may free, and what C libraries allocate is not counted. Nor are
    /// messages, rows of tables, timers, and the bodies of the processes that it makes.
    pub native_memory: Option<usize>,
    /// Bytes of the messages that it has taken in, and not yet received.
    pub mailbox_bytes: usize,
    /// Its heap, dictionary and mailbox.
    pub heap: HeapInfo,
    /// Its priority.
    pub priority: Priority,
    /// Its group leader; [`HOST`](crate::HOST) unless it was given another.
    pub group_leader: Pid,
    /// Who spawned it; None if the host program did.
    pub parent: Option<Pid>,
}

/// What a process keeps as terms, in words of 8 bytes. `process_info(Pid, garbage_collection_info)`.
///
/// While the process has its heap in hand, the figures of the heap are those of when it took it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HeapInfo {
    /// Words that terms take, on the heap and in the dictionary, those no longer reached included.
    pub heap_size: usize,
    /// Words allocated for them.
    pub heap_block_size: usize,
    /// Words of the messages in the mailbox; 0 if they are kept off the heap.
    pub mbuf_size: usize,
    /// `heap_block_size` and `mbuf_size` together.
    pub total_heap_size: usize,
    /// Bytes of the shared binaries that the heap refers to.
    pub binary_bytes: usize,
    /// Collections so far.
    pub collections: u32,
    /// What it starts with.
    pub min_heap_size: usize,
    /// The limit on it.
    pub max_heap_size: MaxHeapSize,
    /// Whether messages are part of it.
    pub message_queue_data: MessageQueueData,
}

impl Vm {
    /// What is known of a process, or None if it is gone. All is of one moment, but for its status; the process is
    /// not stopped, nor woken, for it. `process_info/1`.
    pub fn process_info(&self, pid: Pid) -> Option<ProcessInfo> {
        look(self, pid, false).map(|(info, _)| info)
    }

    /// Copies of the messages in a process's mailbox, oldest first; None if it is gone. One with a native resource,
    /// which can't be copied, is shown as a text. `process_info(Pid, messages)`.
    pub fn process_messages(&self, pid: Pid) -> Option<Vec<OwnedTerm>> {
        look(self, pid, true).map(|(_, messages)| messages)
    }
}

impl Context {
    /// As [`Vm::process_info`]. What this process sent to the other before is there already, as is what it sent to
    /// itself.
    pub fn process_info(&self, pid: Pid) -> Option<ProcessInfo> {
        self.vm().process_info(pid)
    }

    /// As [`Vm::process_messages`].
    pub fn process_messages(&self, pid: Pid) -> Option<Vec<OwnedTerm>> {
        self.vm().process_messages(pid)
    }
}

/// All that is asked for, under one hold of the lock.
pub(crate) fn look(vm: &Vm, pid: Pid, messages: bool) -> Option<(ProcessInfo, Vec<OwnedTerm>)> {
    let looked = vm.core().with_process(pid, |process| {
        let mut state = process.lock();
        if !process.is(pid) {
            return None;
        }
        let leftovers = match state.exiting {
            true => Leftovers::default(),
            false => process.drain(&mut state),
        };
        let messages = match messages {
            true => copies(&state),
            false => Vec::new(),
        };
        Some((info(process, &state, pid), messages, leftovers))
    });
    let (info, messages, leftovers) = looked.flatten()?;
    quietly(pid, || leftovers.finish());
    otp_scheduler::tick(1 + messages.len() as u32);
    Some((info, messages))
}

/// What a process holds, in bytes.
pub(crate) struct Bytes {
    pub(crate) all: usize,
    /// Heap, dictionary and messages.
    pub(crate) terms: usize,
    /// Room on the heap with nothing in it.
    pub(crate) unused: usize,
}

pub(crate) fn bytes_of(vm: &Vm, pid: Pid) -> Option<Bytes> {
    let (info, _) = look(vm, pid, false)?;
    let heap = &info.heap;
    Some(Bytes {
        all: info.memory,
        terms: heap.heap_block_size * WORD_BYTES + info.mailbox_bytes,
        unused: heap.heap_block_size.saturating_sub(heap.heap_size) * WORD_BYTES,
    })
}

fn copies(state: &State) -> Vec<OwnedTerm> {
    let mut messages = Vec::with_capacity(state.queue_len());
    state
        .inbox
        .each(|parcel| messages.push(copy(parcel.root())));
    messages
}

fn copy(term: Term<'_>) -> OwnedTerm {
    OwnedTerm::copy_of((), term).unwrap_or_else(|_| {
        let text = term.display_limited(crate::exit_reason::REASON_TEXT_LIMIT_BYTES);
        otp_heap::to_term(&text.to_string()).expect("a text is a term")
    })
}

fn info(process: &Process, state: &State, pid: Pid) -> ProcessInfo {
    let rare = state.rare.as_deref();
    let memory = rare.and_then(|rare| rare.memory.as_deref());
    let maps =
        state.links.heap_bytes() + state.monitors.heap_bytes() + state.monitored_by.heap_bytes();
    let mailbox = mailbox_bytes(state);
    let terms = memory.map_or(0, |memory| memory.block_bytes() + size_of_val(memory));
    let dictionary = memory.map(|memory| &memory.dictionary);
    let entries = dictionary
        .into_iter()
        .flat_map(|dictionary| dictionary.iter());
    let entries = entries.map(|(key, value)| (Arc::new(copy(key.root())), Arc::clone(value)));
    let notes = state.notes(dictionary).into_iter();
    let notes = notes.map(|(key, value)| (Arc::new(key), Arc::new(value)));
    let suspending = rare.map(|rare| {
        let suspending = rare.suspending.iter();
        let alive = suspending.filter(|(suspended, _)| {
            let slot = process.core().processes.slot(suspended.index());
            slot.is_some_and(|slot| slot.is(**suspended))
        });
        let counted = alive.map(|(&pid, suspension)| {
            let (active, outstanding) = suspension.counts();
            (pid, active, outstanding)
        });
        counted.collect()
    });
    let is_collecting = memory.is_some_and(|memory| memory.is_collecting());
    ProcessInfo {
        pid,
        registered_name: state.name(),
        label: state.label.get(),
        initial_call: state.initial_call.map_or("", |name| name()),
        status: match process.status() {
            _ if state.exiting => Status::Exiting,
            Status::Suspended => Status::Suspended,
            _ if is_collecting => Status::GarbageCollecting,
            status => status,
        },
        message_queue_len: state.queue_len(),
        mailbox: state.mailbox_info(),
        links: state.links.iter().map(|(&pid, ())| pid).collect(),
        monitors: state
            .monitors
            .iter()
            .map(|(&reference, &pid)| (reference, state.monitored(reference, pid)))
            .collect(),
        monitored_by: state.monitored_by.iter().map(|(_, &pid)| pid).collect(),
        suspending: suspending.unwrap_or_default(),
        dictionary: entries.chain(notes).collect(),
        trap_exit: state.trap_exit,
        reductions: process.reductions.load(Ordering::Relaxed) + reductions_of_slice(pid),
        memory: size_of::<Process>() + state.body_bytes as usize + maps + mailbox + terms,
        native_memory: otp_scheduler::counts_allocations()
            .then(|| process.native_memory.load(Ordering::Relaxed) as usize),
        mailbox_bytes: mailbox,
        heap: heap_info(process, state, mailbox),
        priority: process.priority(),
        group_leader: state.group_leader.0,
        parent: Some(state.parent.0).filter(|&parent| parent != HOST),
        hibernated: process.attention().has(Attention::HIBERNATED),
    }
}

fn heap_info(process: &Process, state: &State, mailbox_bytes: usize) -> HeapInfo {
    let rare = state.rare.as_deref();
    let memory = rare.and_then(|rare| rare.memory.as_deref());
    let defaults = process.core().heap_defaults();
    let figures = memory.map(|memory| memory.figures()).unwrap_or_default();
    let dictionary = memory
        .map_or(0, |memory| memory.dictionary.bytes())
        .div_ceil(WORD_BYTES);
    let heap_block_size = figures.block_bytes.div_ceil(WORD_BYTES) + dictionary;
    let mbuf_size = match state.message_queue_data {
        MessageQueueData::OffHeap => 0,
        MessageQueueData::OnHeap => mailbox_bytes.div_ceil(WORD_BYTES),
    };
    HeapInfo {
        heap_size: figures.words + dictionary,
        heap_block_size,
        mbuf_size,
        total_heap_size: heap_block_size + mbuf_size,
        binary_bytes: figures.binary_bytes,
        collections: figures.collections,
        min_heap_size: memory.map_or(defaults.min_heap_words, |memory| memory.min_heap_words),
        max_heap_size: memory.map_or(defaults.max_heap_size, |memory| memory.max_heap_size),
        message_queue_data: state.message_queue_data,
    }
}
