//! The process's own heap, in its hands.

use std::marker::PhantomData;
use std::ops::Deref;
use std::panic::resume_unwind;
use std::thread;

use otp_heap::{EncodeError, Heap, HeapBuilder, HeapError, Pid, Root, Term, to_term};
use serde::Serialize;

use super::{Context, Timeout};
use crate::envelope::{self, Envelope, Kind, Parcel};
use crate::process::collect::{collect_for, collect_here, reductions_for};
use crate::process::memory::Taken;
use crate::process::{Attention, ExitPayload, is_running};

/// A process's heap, by [`Context::heap`]: terms that it keeps, and changes in place of making them anew.
///
/// To look at terms it stands for a [`Heap`]. What adds to it collects first when the heap is full, by steps that are
/// charged as reductions and give way as a [`checkpoint`](crate::checkpoint) does. Dropped, it gives the heap back to
/// the VM. It is not `Send`, so it is not held across an await: take it when needed, keep the [`Root`]s.
#[derive(Debug)]
pub struct ProcessHeap<'cx> {
    cx: &'cx Context,
    heap: Heap,
    /// When it was taken.
    words: usize,
    not_send: PhantomData<*const ()>,
}

impl Context {
    /// The process's heap, to keep terms on: state that grows, results, whatever would cost to encode and decode each
    /// time. It begins with room for as much as `min_heap_size` says ([`Context::min_heap_size`]).
    ///
    /// ```
    /// use otp_heap::Root;
    /// use otp_vm::Vm;
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|cx| async move {
    ///     let mut state = cx.heap().keep_value::<[u64]>(&[]).unwrap();
    ///     for n in 0..3_u64 {
    ///         // A cell in front of the list, which is not copied.
    ///         let mut heap = cx.heap();
    ///         let mut builder = heap.builder();
    ///         builder.integer(n).root(&state).cons();
    ///         let grown = builder.keep().unwrap();
    ///         heap.release(std::mem::replace(&mut state, grown)).unwrap();
    ///     }
    ///     cx.heap().get(&state).unwrap().to_string()
    /// });
    /// assert_eq!(run.wait()?, "[2,1,0]");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    /// If the process has it in hand already. A process past its `max_heap_size` ends here, by unwinding, with reason
    /// `killed`.
    pub fn heap(&self) -> ProcessHeap<'_> {
        let heap = self.take_heap();
        ProcessHeap {
            cx: self,
            words: heap.words(),
            heap,
            not_send: PhantomData,
        }
    }

    fn take_heap(&self) -> Heap {
        loop {
            let Some(mut state) = self.state() else {
                // Of a process that is gone: an empty one, which nobody sees again.
                return Heap::new();
            };
            if state.exit.is_some() {
                drop(state);
                self.end_here();
                return Heap::new();
            }
            let memory = self.process().memory(&mut state);
            let min_words = memory.min_heap_words;
            match memory.take_for_body() {
                Ok(mut heap) => {
                    drop(state);
                    heap.set_min_words(min_words);
                    return heap;
                }
                Err(Taken::ByBody) => {
                    drop(state);
                    panic!(
                        "process {} has its heap in hand already: drop the ProcessHeap before it is taken again",
                        self.pid
                    );
                }
                Err(Taken::ByCollector) => {
                    // The process began to run at the moment at which another began to collect.
                    memory.wait();
                    drop(state);
                    thread::park();
                }
            }
        }
    }

    /// Ends the body of a process that is doomed, if this is its body.
    #[cold]
    pub(super) fn end_here(&self) {
        let reason = self.state().and_then(|state| state.exit.clone());
        if let Some(reason) = reason
            && is_running(self.pid)
            && !thread::panicking()
        {
            resume_unwind(Box::new(ExitPayload(reason)));
        }
    }

    /// Looks whether the process keeps more than it may, after it added to it; then it ends here, if its limit says so.
    pub(super) fn check_limit(&self) {
        let excess = match self.state() {
            Some(mut state) => self.process().check_limit(&mut state),
            None => None,
        };
        if let Some(excess) = excess {
            excess.tell(self.process(), self.pid);
            self.end_here();
        }
    }

    /// Collects the process's heap. `garbage_collect/0`.
    ///
    /// By steps, which are charged as reductions, and give way as a [`checkpoint`](crate::checkpoint) does.
    ///
    /// # Panics
    /// If the process has its heap in hand: then [`ProcessHeap::collect`] does it.
    pub fn garbage_collect(&self) {
        self.heap().collect();
    }

    /// Collects the heap of a process, at the priority of this one if that is higher; true once it is done, false if
    /// the process was gone. `garbage_collect/1`.
    ///
    /// The process does it itself, when it next gives way, unless it waits in a run queue behind others: then it is
    /// done in its place. Code that does not give way is waited for.
    pub async fn garbage_collect_process(&mut self, pid: Pid) -> bool {
        if pid == self.pid {
            self.garbage_collect();
            return true;
        }
        let reference = self.make_ref();
        let request = envelope::signal(Kind::Collect, self.pid, reference);
        let priority = self.process().priority();
        let Ok(waiting) = self.begin_request(pid, reference, request, Timeout::Infinity) else {
            return false;
        };
        collect_for(self.core(), pid, priority);
        waiting.await.is_ok()
    }

    /// As [`Context::garbage_collect_process`], without waiting: the message `{garbage_collect, Id, Bool}` comes when
    /// it is done, or when the process was found gone. `garbage_collect(Pid, [{async, Id}])`.
    ///
    /// # Errors
    /// When the identifier can't be serialised; then nothing was asked.
    pub fn garbage_collect_async<I: Serialize + ?Sized>(
        &self,
        pid: Pid,
        id: &I,
    ) -> Result<(), EncodeError> {
        let id = to_term(id)?;
        if id.has_natives() {
            return Err(EncodeError::NativeCopy);
        }
        let told = |done: bool| -> Result<Parcel, EncodeError> {
            let envelope = Envelope::new(Kind::News, pid, envelope::NO_REF);
            otp_heap::to_block(envelope, &(GarbageCollect::GarbageCollect, &id, done))
        };
        let (done, gone) = (told(true)?, told(false)?);
        if pid == self.pid {
            self.garbage_collect();
            self.core().signal(self.pid, done);
            return Ok(());
        }
        let options = super::SpawnOptions::new().priority(self.process().priority());
        let to = self.pid;
        // A process waits in this one's place: the answer comes by its request.
        let waits = move |mut cx: Context| async move {
            let is_done = cx.garbage_collect_process(pid).await;
            cx.core().signal(to, if is_done { done } else { gone });
        };
        if self.vm().spawn_opt(options, waits).is_err() {
            // At the limit of processes, or at the VM's end.
            self.core().signal(self.pid, told(false)?);
        }
        Ok(())
    }
}

/// OTP's atom for it.
#[derive(Serialize)]
enum GarbageCollect {
    GarbageCollect,
}

impl ProcessHeap<'_> {
    /// Keeps a copy of a term. See [`Heap::keep`].
    ///
    /// # Errors
    /// See [`HeapError`].
    pub fn keep(&mut self, term: Term<'_>) -> Result<Root, HeapError> {
        self.make_room();
        self.heap.keep(term)
    }

    /// Keeps a value as a term.
    ///
    /// # Errors
    /// See [`HeapError`].
    pub fn keep_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<Root, HeapError> {
        let mut builder = self.builder();
        builder.value(value);
        builder.keep()
    }

    /// A builder whose terms lie on this heap. See [`Heap::builder`].
    pub fn builder(&mut self) -> HeapBuilder<'_> {
        self.make_room();
        self.heap.builder()
    }

    /// Keeps a term no longer. See [`Heap::release`].
    ///
    /// # Errors
    /// Gives the root of another heap back.
    pub fn release(&mut self, root: Root) -> Result<(), Root> {
        self.heap.release(root)
    }

    /// Collects.
    pub fn collect(&mut self) {
        self.charge();
        collect_here(self.cx.core(), self.cx.pid, &mut self.heap);
        self.words = self.heap.words();
    }

    /// A full heap is collected by steps, where [`Heap::keep`] would do it in one.
    fn make_room(&mut self) {
        if self.heap.is_full() {
            self.collect();
        }
    }

    /// What was added since the last time, as reductions.
    fn charge(&mut self) {
        let added = self.heap.words().saturating_sub(self.words);
        self.words = self.heap.words();
        otp_scheduler::tick(1 + reductions_for(added));
    }
}

impl Deref for ProcessHeap<'_> {
    type Target = Heap;

    fn deref(&self) -> &Heap {
        &self.heap
    }
}

impl Drop for ProcessHeap<'_> {
    fn drop(&mut self) {
        self.charge();
        let limit_words = self.cx.limit_words();
        if limit_words > 0 && self.heap.words() > limit_words {
            // What is over it may be garbage.
            self.collect();
        }
        let heap = std::mem::take(&mut self.heap);
        self.cx.process().put_heap_back(self.cx.pid, heap);
        if limit_words > 0 {
            self.cx.check_limit();
        }
    }
}

impl Context {
    /// The process's limit, in words; 0 if it has none.
    fn limit_words(&self) -> usize {
        if !self.process().attention().has(Attention::LIMITED) {
            return 0;
        }
        let Some(state) = self.state() else { return 0 };
        let memory = state
            .rare
            .as_deref()
            .and_then(|rare| rare.memory.as_deref());
        memory.map_or(0, |memory| memory.max_heap_size.size)
    }
}
