//! Collections of a process's heap that somebody asked for.
//!
//! # Protocol
//! 1. Who asks sends [`Kind::Collect`]. Whoever takes it in files the request with the process, and notes
//!    [`Attention::ASKED`].
//! 2. The process collects before or after it next runs its body, and answers all requests.
//! 3. It may not run for long, if others of higher priority do. So one who asks with a higher priority than the
//!    process's also starts a task of its own priority, which takes the requests in the process's place, as long as the
//!    process is not running: it takes the heap in hand, and has the body rest ([`Attention::HELD`]) until the heap is
//!    back.
//! 4. A process that ends answers what is left by its end: `noproc`.
//!
//! Races considered:
//! - *The process began to run as the task took the heap.* It gets on until it wants its heap, and then its thread is
//!   parked until the heap is back, or nobody's ([`Context::heap`](crate::Context::heap), [`Waiters`]).
//! - *It ends meanwhile.* The heap is nobody's then, and dropped by who has it.

use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use otp_heap::{Heap, Pid};
use otp_scheduler::{Activity, Priority};

use super::memory::CollectRequest;
#[cfg(doc)]
use super::memory::Waiters;
use super::panics::quietly;
use super::{Attention, Process, Rare};
use crate::core::Core;
use crate::envelope::{self, Kind};
use crate::exit_reason::ExitReason;
use crate::trace;

/// Work of a collection between two looks at the slice, in words: some 20 us.
const STEP_WORDS: usize = 20_000;

/// A reduction's usual work, in words of a collection: 10 ns by 1 ns.
pub(crate) const WORDS_PER_REDUCTION: usize = 10;

/// How long the task of step 3 leaves a process that is running before it looks again; from look to look twice as long.
const PATIENCE: Duration = Duration::from_millis(1);
const PATIENCE_MAX: Duration = Duration::from_millis(64);

/// Reductions for work on so many words, or bytes of messages by eight.
pub(crate) fn reductions_for(words: usize) -> u32 {
    u32::try_from(words / WORDS_PER_REDUCTION).unwrap_or(u32::MAX)
}

/// Collects, step by step, where nothing can be awaited: it gives way at checkpoints.
pub(crate) fn collect_here(core: &Core, pid: Pid, heap: &mut Heap) {
    let began = core.system_monitor.collection_begins(core);
    let before = core.collection_begins(pid, heap);
    let mut collection = heap.collection();
    while !collection.is_finished() {
        // The destructors of native resources are the program's.
        let mut done = 0;
        quietly(pid, || done = collection.step(STEP_WORDS));
        otp_scheduler::checkpoint(reductions_for(done).max(1));
    }
    drop(collection);
    core.collection_ends(pid, heap, before);
    core.system_monitor.collection_ends(core, pid, began, heap);
}

impl Process {
    /// Step 2, and the answers to who suspends the process. Called by its slice, outside of the body.
    #[cold]
    pub(super) fn do_as_asked(&self, pid: Pid) {
        let (resting, taken) = {
            let mut state = self.lock();
            self.forget(Attention::ASKED);
            let Some(rare) = state.rare.as_deref_mut() else {
                return;
            };
            let resting = mem::take(&mut rare.rest_awaited);
            let memory = rare.memory.as_deref_mut();
            let taken = memory
                .filter(|memory| memory.has_requests())
                .and_then(|memory| {
                    match memory.take_to_collect() {
                        Ok(heap) => Some((heap, memory.take_requests())),
                        Err(_) => {
                            // Somebody has it. It is looked for again after each run.
                            self.note(Attention::ASKED);
                            None
                        }
                    }
                });
            (resting, taken)
        };
        for (from, reference) in resting {
            let answer = envelope::signal(Kind::Suspended, pid, reference);
            self.core().signal(from, answer);
        }
        if let Some((mut heap, requests)) = taken {
            collect_here(self.core(), pid, &mut heap);
            self.put_heap_back(pid, heap);
            answer(self.core(), pid, requests);
        }
    }

    /// The heap of one that falls asleep: it takes no more than what is kept. Called by its slice, outside of the body.
    pub(super) fn shrink_heap(&self, pid: Pid) {
        let taken = {
            let mut state = self.lock();
            let rare = state.rare.as_deref_mut();
            rare.and_then(|rare| rare.memory.as_deref_mut())
                .and_then(|memory| {
                    memory.dictionary.shrink();
                    // Who collects it at this moment shrinks it nearly as far.
                    memory.take_to_collect().ok()
                })
        };
        let Some(mut heap) = taken else { return };
        if heap.bytes() > 0 {
            collect_here(self.core(), pid, &mut heap);
            heap.shrink_to_fit();
        }
        self.put_heap_back(pid, heap);
    }

    /// The heap of a process that is gone is dropped.
    pub(crate) fn put_heap_back(&self, pid: Pid, heap: Heap) {
        let (nobodys, waiters) = {
            let mut state = self.lock();
            match state
                .rare
                .as_deref_mut()
                .and_then(|rare| rare.memory.as_deref_mut())
            {
                Some(memory) if self.is(pid) => (None, Some(memory.put_back(heap))),
                _ => (Some(heap), None),
            }
        };
        drop(waiters);
        quietly(pid, || drop(nobodys));
    }
}

impl Rare {
    /// At the end of its process, to those whom links and monitors do not tell: whom it had suspended, and who waits
    /// for a collection.
    #[cold]
    pub(super) fn tell_of_an_end(&self, core: &Core, pid: Pid) {
        // Who learns of the end finds the suspended resumed.
        for (&suspended, _) in self.suspending.iter() {
            core.signal(
                suspended,
                envelope::signal(Kind::Resume, pid, envelope::NO_REF),
            );
        }
        let requests = self.memory.as_deref().map(|memory| memory.requests());
        let requests = requests.into_iter().flatten();
        let asked = requests.map(|request| (request.from, request.reference));
        for (from, reference) in asked.chain(self.rest_awaited.iter().copied()) {
            core.signal(from, envelope::down(pid, reference, &ExitReason::noproc()));
        }
    }
}

fn answer(core: &Core, pid: Pid, requests: Vec<CollectRequest>) {
    for request in requests {
        core.signal(request.from, request.answer(pid));
    }
}

/// Step 3.
pub(crate) fn collect_for(core: &Core, pid: Pid, priority: Priority) {
    let needs_help = core.with_process(pid, |process| process.priority() < priority);
    if needs_help != Some(true) {
        return;
    }
    let weak = core.weak();
    let help = async move {
        let mut patience = PATIENCE;
        loop {
            let Some(core) = weak.upgrade() else { return };
            let begun = begin(&core, pid);
            match begun {
                Begun::Over => return,
                Begun::Runs => {
                    drop(core);
                    otp_scheduler::sleep(patience).await;
                    patience = (patience * 2).min(PATIENCE_MAX);
                }
                Begun::Held(mut held) => {
                    let began = core.system_monitor.collection_begins(&core);
                    let before = core.collection_begins(pid, &held.heap);
                    let mut collection = held.heap.collection();
                    while !collection.is_finished() {
                        let mut done = 0;
                        quietly(pid, || done = collection.step(STEP_WORDS));
                        otp_scheduler::proceed(reductions_for(done).max(1)).await;
                    }
                    drop(collection);
                    core.collection_ends(pid, &held.heap, before);
                    let monitor = &core.system_monitor;
                    monitor.collection_ends(&core, pid, began, &held.heap);
                    let requests = mem::take(&mut held.requests);
                    drop(held);
                    answer(&core, pid, requests);
                    return;
                }
            }
        }
    };
    drop(core.scheduler.spawn_at(priority, help));
}

/// What the task found.
enum Begun {
    /// Nothing is asked for any more.
    Over,
    /// The process will see to it itself, if it gives way soon.
    Runs,
    Held(Held),
}

/// A heap in the task's hands. It goes back whatever happens.
struct Held {
    core: Arc<Core>,
    pid: Pid,
    heap: Heap,
    requests: Vec<CollectRequest>,
}

impl Drop for Held {
    fn drop(&mut self) {
        let heap = mem::take(&mut self.heap);
        let Some(process) = self.core.processes.slot(self.pid.index()) else {
            return;
        };
        process.put_heap_back(self.pid, heap);
        let state = process.lock();
        if process.is(self.pid) {
            process.forget(Attention::HELD);
            drop(state);
            process.wake();
        }
    }
}

fn begin(core: &Arc<Core>, pid: Pid) -> Begun {
    let begun = core.with_process(pid, |process| {
        let mut state = process.lock();
        if !process.is(pid) || state.exiting {
            return (Begun::Over, None);
        }
        let leftovers = process.drain(&mut state);
        let runs = process.header.activity() == Activity::Running;
        let memory = process.memory(&mut state);
        let begun = if !memory.has_requests() {
            Begun::Over
        } else if runs {
            Begun::Runs
        } else {
            match memory.take_to_collect() {
                Err(_) => Begun::Runs,
                Ok(heap) => {
                    let requests = memory.take_requests();
                    process.note(Attention::HELD);
                    Begun::Held(Held {
                        core: Arc::clone(core),
                        pid,
                        heap,
                        requests,
                    })
                }
            }
        };
        (begun, Some(leftovers))
    });
    let (begun, leftovers) = begun.unwrap_or((Begun::Over, None));
    if let Some(leftovers) = leftovers {
        quietly(pid, || leftovers.finish());
    }
    begun
}

impl Core {
    /// Tells whoever traces it; gives the heap's words, for its end.
    fn collection_begins(&self, pid: Pid, heap: &Heap) -> usize {
        trace::collection(self, pid, heap, None);
        heap.words()
    }

    /// The same, and counts it, for the statistics.
    fn collection_ends(&self, pid: Pid, heap: &Heap, words_before: usize) {
        let reclaimed = words_before.saturating_sub(heap.words());
        self.counts.collections.fetch_add(1, Ordering::Relaxed);
        self.counts
            .words_reclaimed
            .fetch_add(reclaimed as u64, Ordering::Relaxed);
        trace::collection(self, pid, heap, Some(reclaimed));
    }
}
