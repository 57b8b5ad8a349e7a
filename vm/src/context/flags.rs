//! What a process may set of itself, and its group leader.

use otp_heap::Pid;

use super::Context;
use crate::destination::SendError;
use crate::envelope::{Envelope, HOST, Kind, NO_REF};
use crate::max_heap_size::{HeapSizeError, MaxHeapSize, MaxHeapSizeOptions};
use crate::memory_options::check_min;
use crate::origin::OrHost;
use crate::process::reductions_of_slice;

impl Context {
    /// Sets the limit on what the process keeps; gives what was set before. What the options leave out is as in the
    /// VM's default. `process_flag(max_heap_size, …)`.
    ///
    /// # Errors
    /// [`HeapSizeError`]; then nothing was changed.
    ///
    /// ```
    /// use otp_vm::Vm;
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|cx| async move {
    ///     let before = cx.max_heap_size(1 << 20)?;
    ///     assert_eq!(before.size, 0);
    ///     cx.max_heap_size(before)
    /// });
    /// assert_eq!(run.wait()??.size, 1 << 20);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn max_heap_size(
        &self,
        limit: impl Into<MaxHeapSizeOptions>,
    ) -> Result<MaxHeapSize, HeapSizeError> {
        let limit = limit.into();
        let default = self.core().heap_defaults().max_heap_size;
        let before = {
            let mut state = self.state().ok_or(HeapSizeError::Gone)?;
            let process = self.process();
            let min = process.memory(&mut state).min_heap_words;
            let limit = limit.resolve(default, min)?;
            process.limit_memory(&mut state, limit)
        };
        self.check_limit();
        Ok(before)
    }

    /// Sets what the heap has room for at least, in words; gives what was set before. `process_flag(min_heap_size,
    /// Words)`.
    ///
    /// It has the room from its next use on ([`Context::heap`]), and is not collected by itself before as much is in
    /// use; of a process that hibernates it is given back meanwhile. A process that keeps nothing on its heap has none.
    /// The default, 233 words, is the least: lower ones are taken, and act as that does.
    ///
    /// # Errors
    /// [`HeapSizeError`] if it is over `max_heap_size`; then nothing was changed.
    pub fn min_heap_size(&self, words: usize) -> Result<usize, HeapSizeError> {
        let mut state = self.state().ok_or(HeapSizeError::Gone)?;
        let memory = self.process().memory(&mut state);
        check_min(words, memory.max_heap_size.size)?;
        Ok(std::mem::replace(&mut memory.min_heap_words, words))
    }

    /// Reductions that the process has used, up to now. `process_info(self(), reductions)`.
    pub fn reductions(&self) -> u64 {
        let counted = &self.process().reductions;
        counted.load(std::sync::atomic::Ordering::Relaxed) + reductions_of_slice(self.pid)
    }

    /// Charges the process, without giving way. `erlang:bump_reductions/1`.
    pub fn bump_reductions(&self, n: u32) {
        otp_scheduler::tick(n.min(otp_scheduler::REDUCTIONS_PER_SLICE));
    }

    /// The process's group leader; [`HOST`] unless it, or who made it, was given another. `group_leader/0`.
    pub fn group_leader(&self) -> Pid {
        self.state().map_or(HOST, |state| state.group_leader.0)
    }

    /// Gives a process another group leader, which those that it makes from then on have, too: by a signal, in order
    /// with what else this process sends it. `group_leader/2`.
    ///
    /// # Errors
    /// [`SendError::NoName`] if one of the two is not there: `badarg` in OTP.
    pub fn set_group_leader(&self, leader: Pid, pid: Pid) -> Result<(), SendError> {
        if leader != HOST && !self.core().is_alive(leader) {
            return Err(SendError::NoName);
        }
        if pid == self.pid {
            let mut state = self.state().ok_or(SendError::NoName)?;
            state.group_leader = OrHost(leader);
            return Ok(());
        }
        let parcel =
            otp_heap::to_block(Envelope::new(Kind::GroupLeader, self.pid, NO_REF), &leader)?;
        if self.discards() {
            return Ok(());
        }
        self.core()
            .deliver(pid, parcel)
            .map_err(|_| SendError::NoName)
    }
}
