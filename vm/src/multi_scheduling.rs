//! Leaving one scheduler to run processes: for who must be alone, a debugger say.
//!
//! # Protocol
//! 1. A process that blocks is counted in, once for each call; that it is, is noted with the process under its lock, so
//!    that its end sees it.
//! 2. While anybody is counted in, only the first scheduler runs processes. Who changes the count sets it so, under
//!    the same lock. Then the one who blocks waits until the others sleep.
//! 3. The end of a process counts it out, however often it had blocked.
//!
//! The lock of a process comes first, then this one's, then the scheduler's.

use std::collections::HashMap;

use foldhash::fast::FixedState;
use otp_heap::Pid;
use otp_scheduler::lock::Mutex;
use otp_scheduler::uncounted;

use crate::context::Context;
use crate::core::Core;
use crate::vm::Vm;

/// Whether several schedulers run processes. `erlang:system_info(multi_scheduling)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum MultiScheduling {
    /// The VM has one scheduler.
    Disabled,
    /// All that are online do.
    Enabled,
    /// Some process has left it to one. OTP's `blocked_normal`: closures of [`Context::blocking`] and threads of native
    /// processes go on.
    Blocked,
}

impl MultiScheduling {
    /// OTP's name.
    pub fn name(self) -> &'static str {
        match self {
            MultiScheduling::Disabled => "disabled",
            MultiScheduling::Enabled => "enabled",
            MultiScheduling::Blocked => "blocked_normal",
        }
    }
}

/// Why the schedulers were not blocked or unblocked. `badarg` in OTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The calling process has ended.
    #[error("the process has ended: its block would never be taken back")]
    Ended,
    /// The calling process does not block them.
    #[error("this process does not block the schedulers: block them first, and once for each call")]
    NotBlocking,
}

/// Who blocks, and how often.
#[derive(Debug, Default)]
pub(crate) struct Blockers(Mutex<HashMap<Pid, u32, FixedState>>);

impl Blockers {
    fn any(&self) -> bool {
        !self.0.lock().is_empty()
    }

    fn add(&self, core: &Core, pid: Pid) {
        let mut blockers = self.0.lock();
        *uncounted(|| blockers.entry(pid).or_insert(0)) += 1;
        core.scheduler.block_schedulers(true);
    }

    fn take_back(&self, core: &Core, pid: Pid) -> Result<(), BlockError> {
        let mut blockers = self.0.lock();
        let count = blockers.get_mut(&pid).ok_or(BlockError::NotBlocking)?;
        *count -= 1;
        if *count == 0 {
            blockers.remove(&pid);
        }
        core.scheduler.block_schedulers(!blockers.is_empty());
        Ok(())
    }

    pub(crate) fn owner_died(&self, core: &Core, pid: Pid) {
        let mut blockers = self.0.lock();
        blockers.remove(&pid);
        core.scheduler.block_schedulers(!blockers.is_empty());
    }
}

impl Context {
    /// Leaves one scheduler to run processes, and waits until the others have stopped, until this process has called
    /// [`Context::unblock_multi_scheduling`] as often, or ends. Several processes may block; all have to take it back.
    /// `erlang:system_flag(multi_scheduling, block_normal)`.
    ///
    /// For debugging, and for few moments: everything else waits for that one scheduler. Code that does not give way
    /// is waited for no longer than until it loses its scheduler, and goes on in its turns. Dropping the future leaves
    /// the block in place.
    ///
    /// # Errors
    /// [`BlockError::Ended`].
    ///
    /// ```
    /// use otp_vm::{MultiScheduling, Vm};
    ///
    /// let vm = Vm::builder().schedulers(2).build()?;
    /// let run = vm.run(|cx| async move {
    ///     assert_eq!(cx.block_multi_scheduling().await, Ok(MultiScheduling::Blocked));
    ///     assert_eq!(cx.vm().schedulers_active(), 1);
    ///     cx.unblock_multi_scheduling()
    /// });
    /// assert_eq!(run.wait()?, Ok(MultiScheduling::Enabled));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn block_multi_scheduling(&self) -> Result<MultiScheduling, BlockError> {
        let core = self.core();
        {
            let mut state = self.state().ok_or(BlockError::Ended)?;
            state.rare().blocks_schedulers = true;
            core.blockers.add(core, self.pid());
        }
        while core.scheduler.schedulers_active() > 1 && core.blockers.any() {
            self.yield_now().await;
        }
        Ok(self.vm().multi_scheduling())
    }

    /// Takes one block of this process's back. Gives what holds then: [`MultiScheduling::Blocked`] while others, or
    /// earlier calls, still block. `erlang:system_flag(multi_scheduling, unblock_normal)`.
    ///
    /// # Errors
    /// [`BlockError::NotBlocking`].
    pub fn unblock_multi_scheduling(&self) -> Result<MultiScheduling, BlockError> {
        let core = self.core();
        core.blockers.take_back(core, self.pid())?;
        Ok(self.vm().multi_scheduling())
    }
}

impl Vm {
    /// Whether several schedulers run processes. `erlang:system_info(multi_scheduling)`.
    pub fn multi_scheduling(&self) -> MultiScheduling {
        let core = self.core();
        if core.scheduler.schedulers() == 1 {
            MultiScheduling::Disabled
        } else if core.blockers.any() {
            MultiScheduling::Blocked
        } else {
            MultiScheduling::Enabled
        }
    }

    /// The processes that block the schedulers, in no order, each once.
    /// `erlang:system_info(normal_multi_scheduling_blockers)`.
    pub fn multi_scheduling_blockers(&self) -> Vec<Pid> {
        self.core().blockers.0.lock().keys().copied().collect()
    }

    /// Number of schedulers that run processes at this moment: soon those online, or one while they are blocked.
    pub fn schedulers_active(&self) -> usize {
        self.core().scheduler.schedulers_active()
    }
}
