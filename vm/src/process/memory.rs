//! What a process keeps as terms: its heap, its dictionary; and the limit on both and its mailbox.
//!
//! # Protocol
//! The heap lies in the state, behind the lock, until somebody takes it in hand: the body ([`Holder::Body`]), to add to
//! it or to look at it, or whoever collects it ([`Holder::Collector`]). Then only its figures are here, those of the
//! moment it was taken. So the program's code (serialising, destructors of native resources) never runs under the lock,
//! and whoever asks what is known of the process need not wait for it. While a collector that is not the process itself
//! holds the heap, [`Attention::HELD`] keeps the body from running.
//!
//! The dictionary is no part of the heap: each entry is a block of its own, so that it can be had under the lock at any
//! time, makes no garbage, and is decoded outside of it without a copy.

use std::sync::Arc;
use std::thread::{self, Thread};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use otp_heap::{Heap, OwnedTerm, Pid, Ref};

use super::{Attention, Process, State};
use crate::envelope::{self, Kind, Parcel};
use crate::exit_reason::ExitReason;
use crate::mailbox::Queue;
use crate::max_heap_size::MaxHeapSize;
use crate::message_queue::MessageQueueData;

#[cfg(doc)]
use crate::context::ProcessHeap;

/// Bytes of a word, the unit of all sizes of heaps.
pub(crate) const WORD_BYTES: usize = size_of::<u64>();

/// OTP's default, 233 words: what a heap has room for before its first collection.
pub const DEFAULT_MIN_HEAP_SIZE_WORDS: usize = 233;

/// What a process has once it keeps terms, or was given a limit.
#[derive(Debug)]
pub(crate) struct Memory {
    heap: Heap,
    holder: Holder,
    /// Of the heap, when it was taken last.
    figures: HeapFigures,
    pub(crate) dictionary: Dictionary,
    pub(crate) min_heap_words: usize,
    pub(crate) max_heap_size: MaxHeapSize,
    /// As much at least as the messages in the inbox take; only kept while there is a limit.
    mailbox_bytes_max: usize,
    /// Told of the present excess already; again after it was under the limit.
    told: bool,
    /// Who waits for a collection.
    requests: Vec<CollectRequest>,
    /// Threads of the body that wait for the heap.
    waiters: Waiters,
}

/// Who has the heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holder {
    State,
    Body,
    Collector,
}

/// Why the heap can't be had now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The body has it in hand already.
    ByBody,
    /// It is being collected.
    ByCollector,
}

/// Threads that are parked until a heap is back. They are unparked when this is dropped: with the heap put back, or
/// with the state of a process that ends. Not under the lock, which they want next.
#[derive(Debug, Default)]
#[must_use = "they go on once this is dropped, which is done outside of the lock"]
pub(crate) struct Waiters(Vec<Thread>);

impl Drop for Waiters {
    fn drop(&mut self) {
        for waiter in self.0.drain(..) {
            waiter.unpark();
        }
    }
}

/// Figures of a heap.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct HeapFigures {
    pub(crate) words: usize,
    pub(crate) block_bytes: usize,
    pub(crate) binary_bytes: usize,
    pub(crate) collections: u32,
}

impl HeapFigures {
    pub(crate) fn of(heap: &Heap) -> Self {
        Self {
            words: heap.words(),
            block_bytes: heap.bytes(),
            binary_bytes: heap.binary_bytes(),
            collections: heap.collections(),
        }
    }
}

/// The process dictionary.
#[derive(Debug, Default)]
pub(crate) struct Dictionary {
    entries: HashMap<OwnedTerm, Arc<OwnedTerm>, FixedState>,
    /// Of all keys and values.
    bytes: usize,
}

/// An entry of the dictionary, off the lock.
pub(crate) type Entry = (OwnedTerm, Arc<OwnedTerm>);

impl Dictionary {
    pub(crate) fn put(&mut self, key: OwnedTerm, value: Arc<OwnedTerm>) -> Option<Arc<OwnedTerm>> {
        self.bytes += value.bytes();
        let key_bytes = key.bytes();
        let before = self.entries.insert(key, value);
        match &before {
            Some(before) => self.bytes -= before.bytes(),
            None => self.bytes += key_bytes,
        }
        before
    }

    pub(crate) fn get(&self, key: &OwnedTerm) -> Option<Arc<OwnedTerm>> {
        self.entries.get(key).map(Arc::clone)
    }

    pub(crate) fn erase(&mut self, key: &OwnedTerm) -> Option<Entry> {
        let entry = self.entries.remove_entry(key)?;
        self.bytes -= entry.0.bytes() + entry.1.bytes();
        Some(entry)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&OwnedTerm, &Arc<OwnedTerm>)> {
        self.entries.iter()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Leaves room for what is there.
    pub(crate) fn shrink(&mut self) {
        self.entries.shrink_to_fit();
    }

    pub(crate) fn take(&mut self) -> Vec<Entry> {
        self.bytes = 0;
        std::mem::take(&mut self.entries).into_iter().collect()
    }
}

/// Who waits for a collection of a process's heap, and how it is told.
#[derive(Debug)]
pub(crate) struct CollectRequest {
    pub(crate) from: Pid,
    pub(crate) reference: Ref,
}

impl CollectRequest {
    /// Through the request's alias. Whoever asked may be gone; then nobody waits for the answer.
    pub(crate) fn answer(&self, by: Pid) -> Parcel {
        envelope::signal(Kind::Reply, by, self.reference)
    }
}

impl Memory {
    pub(crate) fn new(max_heap_size: MaxHeapSize, min_heap_words: usize) -> Self {
        Self {
            heap: Heap::new(),
            holder: Holder::State,
            figures: HeapFigures::default(),
            dictionary: Dictionary::default(),
            min_heap_words,
            max_heap_size,
            mailbox_bytes_max: 0,
            told: false,
            requests: Vec::new(),
            waiters: Waiters::default(),
        }
    }

    /// Takes the heap in hand.
    fn take(&mut self, holder: Holder) -> Result<Heap, Taken> {
        match self.holder {
            Holder::Body => Err(Taken::ByBody),
            Holder::Collector => Err(Taken::ByCollector),
            Holder::State => {
                self.holder = holder;
                self.figures = HeapFigures::of(&self.heap);
                Ok(std::mem::take(&mut self.heap))
            }
        }
    }

    pub(crate) fn take_for_body(&mut self) -> Result<Heap, Taken> {
        self.take(Holder::Body)
    }

    pub(crate) fn take_to_collect(&mut self) -> Result<Heap, Taken> {
        self.take(Holder::Collector)
    }

    /// Puts it back. Whoever waits for it is to be told.
    pub(crate) fn put_back(&mut self, heap: Heap) -> Waiters {
        debug_assert_ne!(self.holder, Holder::State);
        self.heap = heap;
        self.holder = Holder::State;
        std::mem::take(&mut self.waiters)
    }

    /// Has this thread unparked when the heap is back, or nobody's.
    pub(crate) fn wait(&mut self) {
        self.waiters.0.push(thread::current());
    }

    pub(crate) fn figures(&self) -> HeapFigures {
        match self.holder {
            Holder::State => HeapFigures::of(&self.heap),
            Holder::Body | Holder::Collector => self.figures,
        }
    }

    pub(crate) fn is_collecting(&self) -> bool {
        self.holder == Holder::Collector
    }

    pub(crate) fn request(&mut self, request: CollectRequest) {
        self.requests.push(request);
    }

    pub(crate) fn requests(&self) -> &[CollectRequest] {
        &self.requests
    }

    pub(crate) fn take_requests(&mut self) -> Vec<CollectRequest> {
        std::mem::take(&mut self.requests)
    }

    pub(crate) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Bytes that the terms take, in blocks, used or not; the dictionary's and the heap's.
    pub(crate) fn block_bytes(&self) -> usize {
        self.figures().block_bytes + self.dictionary.bytes()
    }
}

/// Bytes of the messages in the mailbox, as far as they were taken in.
pub(crate) fn mailbox_bytes(state: &State) -> usize {
    state.inbox.bytes()
}

/// What a process has too much of: to be told outside of the lock.
#[derive(Debug)]
pub(crate) struct Excess {
    limit: MaxHeapSize,
    used_words: usize,
    mailbox_len: usize,
}

impl Excess {
    /// An event of `tracing`, which may run the program's code.
    #[cold]
    pub(crate) fn tell(&self, process: &Process, pid: Pid) {
        let counts = &process.core().counts;
        let count = &counts.heap_limits_passed;
        count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        if !self.limit.error_logger {
            return;
        }
        let name = process.lock().name();
        super::report(|| {
            tracing::error!(
                target: "otp_vm::max_heap_size",
                %pid,
                registered_name = name.map(|name| name.as_str()),
                max_heap_size_words = self.limit.size,
                used_words = self.used_words,
                message_queue_len = self.mailbox_len,
                kill = self.limit.kill,
                "a process keeps more than its max_heap_size: let it keep less, or give it more"
            );
        });
    }
}

impl Process {
    /// What the process is kept to.
    pub(crate) fn memory<'s>(&self, state: &'s mut State) -> &'s mut Memory {
        let core = self.core();
        let memory = || {
            let defaults = core.heap_defaults();
            Box::new(Memory::new(defaults.max_heap_size, defaults.min_heap_words))
        };
        state.rare().memory.get_or_insert_with(memory)
    }

    /// Under the lock: sets a limit, or takes it away.
    pub(crate) fn limit_memory(&self, state: &mut State, limit: MaxHeapSize) -> MaxHeapSize {
        let bytes = mailbox_bytes(state);
        let memory = self.memory(state);
        memory.mailbox_bytes_max = bytes;
        memory.told = false;
        let before = std::mem::replace(&mut memory.max_heap_size, limit);
        if limit.size == 0 {
            self.forget(Attention::LIMITED);
        } else {
            self.note(Attention::LIMITED);
        }
        before
    }

    /// Under the lock, for one that is [`Attention::LIMITED`]: so many bytes of messages came.
    pub(super) fn count_mail(&self, state: &mut State, arrived: &Queue) {
        self.memory(state).mailbox_bytes_max += arrived.bytes();
    }

    /// Under the lock: whether the process keeps more than it may; then it is doomed, if its limit says so.
    #[cold]
    pub(crate) fn check_limit(&self, state: &mut State) -> Option<Excess> {
        if !self.attention().has(Attention::LIMITED) || state.exit.is_some() {
            return None;
        }
        let memory = state.rare.as_deref()?.memory.as_deref()?;
        let limit = memory.max_heap_size;
        let figures = memory.figures();
        let mut used_bytes = figures.words * WORD_BYTES + memory.dictionary.bytes();
        if limit.include_shared_binaries {
            used_bytes += figures.binary_bytes;
        }
        if limit.include_native_memory {
            used_bytes += self
                .native_memory
                .load(std::sync::atomic::Ordering::Relaxed) as usize;
        }
        let limit_bytes = limit.size.saturating_mul(WORD_BYTES);
        let mut mailbox = 0;
        if state.message_queue_data == MessageQueueData::OnHeap {
            mailbox = memory.mailbox_bytes_max;
            if used_bytes + mailbox > limit_bytes {
                // Those that were received meanwhile are still counted: now exactly.
                mailbox = mailbox_bytes(state);
            }
        }
        let used_words = (used_bytes + mailbox).div_ceil(WORD_BYTES);
        let mailbox_len = state.queue_len();
        let memory = self.memory(state);
        memory.mailbox_bytes_max = mailbox;
        if used_words <= limit.size {
            memory.told = false;
            return None;
        }
        if std::mem::replace(&mut memory.told, true) {
            return None;
        }
        if limit.kill {
            self.doom(state, ExitReason::killed());
        }
        Some(Excess {
            limit,
            used_words,
            mailbox_len,
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc::{self, Receiver};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::{Context, Vm};

    const LIMIT: Duration = Duration::from_secs(20);

    fn with_memory<R>(vm: &Vm, pid: Pid, look: impl FnOnce(&mut Memory) -> R) -> Option<R> {
        vm.core().with_process(pid, |process| {
            let mut state = process.lock();
            look(process.memory(&mut state))
        })
    }

    /// A process whose body wants its heap, which somebody else has in hand, and is parked by now. It tells the words
    /// on the heap that it gets.
    fn parked(vm: &Vm) -> (Pid, Heap, Receiver<usize>) {
        let (told, tells) = mpsc::channel();
        let body = move |mut cx: Context| async move {
            cx.receive().await;
            let words = cx.heap().words();
            told.send(words).unwrap();
        };
        let pid = vm.spawn(body).unwrap();
        let heap = with_memory(vm, pid, |memory| memory.take_to_collect().unwrap());
        let mut heap = heap.unwrap();
        let pair = otp_heap::to_term(&(1, 2)).unwrap();
        let _kept = heap.keep(pair.root()).unwrap();
        vm.send(pid, &()).unwrap();
        let begun = Instant::now();
        while with_memory(vm, pid, |memory| memory.waiters.0.len()) != Some(1) {
            assert!(begun.elapsed() < LIMIT, "it does not wait");
            thread::yield_now();
        }
        assert!(tells.try_recv().is_err());
        (pid, heap, tells)
    }

    #[test]
    fn a_body_that_wants_its_heap_is_parked_until_it_is_back() {
        let vm = Vm::builder().schedulers(1).build().unwrap();
        let (pid, heap, tells) = parked(&vm);
        vm.core()
            .with_process(pid, |process| process.put_heap_back(pid, heap));
        assert_eq!(tells.recv_timeout(LIMIT), Ok(3));
        assert!(vm.shutdown(LIMIT).wait().unwrap().is_orderly());
    }

    /// Its thread sleeps as in native code, so it is ended from outside; then it gets a heap that nobody sees again.
    #[test]
    fn a_body_that_is_killed_while_it_waits_for_its_heap_goes_on() {
        let vm = Vm::builder().schedulers(1).build().unwrap();
        let (pid, heap, tells) = parked(&vm);
        vm.exit(pid, ExitReason::kill());
        assert_eq!(tells.recv_timeout(LIMIT), Ok(0));
        assert!(!vm.is_alive(pid));
        drop(heap);
        assert!(vm.shutdown(LIMIT).wait().unwrap().stuck.is_empty());
    }
}
