//! Suspending and resuming other processes: for debuggers and tests.
//!
//! # Protocol
//! 1. Who suspends counts it with itself (`Rare::suspending`), and sends [`Kind::Suspend`].
//! 2. The process takes that in as any signal, and notes who suspends it (`Rare::suspenders`). Its slices then take in
//!    signals and leave the body alone ([`Attention::SUSPENDED`]). It answers between two slices' runs of the body
//!    ([`Attention::ASKED`]), whoever took the signal in.
//! 3. When the count is 0 again, or who suspended ends, it gets [`Kind::Resume`]. A process that ends sends those
//!    before it tells anybody of its end.

use otp_heap::Pid;

use super::{Context, Timeout};
use crate::envelope::{self, Kind};

#[cfg(doc)]
use crate::process::Attention;

/// How to suspend. The options of `suspend_process/2`.
#[derive(Debug, Clone, Copy, Default)]
pub struct SuspendOptions {
    unless_suspending: bool,
    asynchronous: bool,
}

impl SuspendOptions {
    /// Wait until it is suspended, and count.
    pub fn new() -> Self {
        Self::default()
    }

    /// Only if this process does not suspend it already.
    pub fn unless_suspending(mut self) -> Self {
        self.unless_suspending = true;
        self
    }

    /// Don't wait until it is suspended.
    pub fn asynchronous(mut self) -> Self {
        self.asynchronous = true;
        self
    }
}

/// Why a process was not suspended or resumed. `badarg` in OTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SuspendError {
    /// A process that suspends itself would never resume.
    #[error("a process can't suspend itself: receive a message instead")]
    Myself,
    /// The process is not there, or ended meanwhile.
    #[error("no such process: it has ended")]
    NoProcess,
    /// A native process rests only by its own choice.
    #[error("a native process can't be suspended: its thread runs blocking code of its own")]
    Native,
    /// It is not this process that suspends it.
    #[error("the process is not suspended by this one: suspend it first")]
    NotSuspended,
}

impl Context {
    /// Suspends a process: it keeps its messages and takes in signals, and its body does not run until it is resumed as
    /// often as it was suspended, or this process ends. `suspend_process/2`.
    ///
    /// When this returns, the process does not run any more; code that does not give way is waited for. Gives false,
    /// and does nothing, if this process suspends it already and the options say so. Dropping the future leaves it to
    /// the process when it is suspended.
    ///
    /// # Errors
    /// See [`SuspendError`].
    pub async fn suspend_process(
        &mut self,
        pid: Pid,
        options: SuspendOptions,
    ) -> Result<bool, SuspendError> {
        if pid == self.pid {
            return Err(SuspendError::Myself);
        }
        let is_native = self.core().with_state(pid, |state| {
            state.rare.as_ref().is_some_and(|rare| rare.is_native)
        });
        match is_native {
            None => return Err(SuspendError::NoProcess),
            Some(true) => return Err(SuspendError::Native),
            Some(false) => {}
        }
        let count = {
            let mut state = self.state().ok_or(SuspendError::NoProcess)?;
            let suspending = &mut state.rare().suspending;
            let count = suspending.get(&pid).copied().unwrap_or(0);
            if count > 0 && options.unless_suspending {
                return Ok(false);
            }
            suspending.insert(pid, count + 1);
            count
        };
        let reference = self.make_ref();
        let suspend = envelope::signal(Kind::Suspend, self.pid, reference);
        if options.asynchronous {
            if count == 0 && self.core().deliver(pid, suspend).is_err() {
                self.forget_suspending(pid);
                return Err(SuspendError::NoProcess);
            }
            return Ok(true);
        }
        // Also of one that is suspended already: it may be on its way there.
        let suspended = match self.begin_request(pid, reference, suspend) {
            Ok(waiting) => waiting.answer(Timeout::Infinity).await.is_ok(),
            Err(_) => false,
        };
        if !suspended {
            self.forget_suspending(pid);
            return Err(SuspendError::NoProcess);
        }
        Ok(true)
    }

    /// Takes one suspension back. `resume_process/1`.
    ///
    /// # Errors
    /// See [`SuspendError`].
    pub fn resume_process(&self, pid: Pid) -> Result<(), SuspendError> {
        if !self.core().is_alive(pid) {
            self.forget_suspending(pid);
            return Err(SuspendError::NoProcess);
        }
        {
            let mut state = self.state().ok_or(SuspendError::NoProcess)?;
            let suspending = &mut state.rare().suspending;
            match suspending.get(&pid).copied() {
                None => return Err(SuspendError::NotSuspended),
                Some(1) => drop(suspending.remove(&pid)),
                Some(count) => {
                    suspending.insert(pid, count - 1);
                    return Ok(());
                }
            }
        }
        self.core().signal(
            pid,
            envelope::signal(Kind::Resume, self.pid, envelope::NO_REF),
        );
        Ok(())
    }

    fn forget_suspending(&self, pid: Pid) {
        if let Some(mut state) = self.state() {
            state.rare().suspending.remove(&pid);
        }
    }
}
