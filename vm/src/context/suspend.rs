//! Suspending and resuming other processes: for debuggers and tests.
//!
//! # Protocol
//! 1. Who suspends counts it with itself (`Rare::suspending`), and sends [`Kind::Suspend`].
//! 2. The process takes that in as any signal, and notes who suspends it (`Rare::suspenders`). Its slices then take in
//!    signals and leave the body alone ([`Attention::SUSPENDED`]). It answers between two slices' runs of the body
//!    ([`Attention::ASKED`]), whoever took the signal in. With the answer, [`Kind::Suspended`], the suspension is
//!    *active*; who suspends waits for it, has a message made of it, or only counts it.
//! 3. When the count is 0 again, or who suspended ends, it gets [`Kind::Resume`]. A process that ends sends those
//!    before it tells anybody of its end.

use otp_heap::{EncodeError, Pid, Ref};
use serde::Serialize;

use super::monitor::shared_term;
use super::{Context, Timeout};
use crate::envelope::{self, Kind, Parcel};
use crate::process::SuspendOutcome;

#[cfg(doc)]
use crate::process::Attention;

/// How often a process may suspend another at once, unless set: as far as OTP counts on most machines, 2^31 - 1.
pub const DEFAULT_MAX_SUSPENSIONS: u32 = i32::MAX as u32;

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

    /// Don't wait until it is suspended. See also [`Context::suspend_process_async`].
    pub fn asynchronous(mut self) -> Self {
        self.asynchronous = true;
        self
    }
}

/// Why a process was not suspended or resumed. `badarg` in OTP, and `system_limit`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// This process suspends it as often as [`VmBuilder::max_suspensions`](crate::VmBuilder::max_suspensions) allows.
    #[error(
        "the process is suspended {limit} times by this one: resume it, or raise `max_suspensions`"
    )]
    Limit {
        /// The limit.
        limit: u32,
    },
    /// The tag can't be serialised, or has a native resource, of which there is only one.
    #[error("the tag could not be encoded: {0}")]
    Tag(#[from] EncodeError),
}

/// What a suspension that was asked for means.
enum Asked {
    /// It was counted under this reference, and a signal is to be sent for it.
    Send(Ref),
    /// It stands already, and was counted.
    Counted,
    /// It stands already, and was not.
    Stands,
}

impl Context {
    /// Suspends a process: it keeps its messages and takes in signals, and its body does not run until it is resumed as
    /// often as it was suspended, or this process ends. `suspend_process/2`.
    ///
    /// When this returns, the process does not run any more; code that does not give way is waited for. Gives false,
    /// and does nothing, if this process suspends it already and the options say so. Dropping the future leaves it to
    /// the process when it is suspended.
    ///
    /// ```
    /// # use otp_vm::{Status, SuspendOptions, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     let busy = cx.spawn(|cx| async move {
    ///         loop {
    ///             cx.yield_now().await;
    ///         }
    ///     }).unwrap();
    ///     cx.suspend_process(busy, SuspendOptions::new()).await.unwrap();
    ///     let status = cx.process_info(busy).unwrap().status;
    ///     cx.resume_process(busy).unwrap();
    ///     status
    /// });
    /// assert_eq!(run.wait()?, Status::Suspended);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`SuspendError`].
    pub async fn suspend_process(
        &mut self,
        pid: Pid,
        options: SuspendOptions,
    ) -> Result<bool, SuspendError> {
        if !self.may_suspend(pid)? {
            return Err(SuspendError::NoProcess);
        }
        // One that is suspended already may be on its way there: it is waited for.
        let reference = match self.count_suspension(pid, options, !options.asynchronous)? {
            Asked::Send(reference) => reference,
            Asked::Counted => return Ok(true),
            Asked::Stands => return Ok(false),
        };
        let suspend = envelope::signal(Kind::Suspend, self.pid, reference);
        let is_suspended = match options.asynchronous {
            true => self.send_suspend(pid, suspend),
            false => match self.begin_request(pid, reference, suspend, Timeout::Infinity) {
                Ok(waiting) => {
                    self.resume_if_ended(pid);
                    waiting.await.is_ok()
                }
                Err(_) => false,
            },
        };
        if !is_suspended {
            self.forget_suspending(pid);
            return Err(SuspendError::NoProcess);
        }
        Ok(true)
    }

    /// As [`Context::suspend_process`], without waiting: the message `{Tag, suspended}` comes when it is done, `{Tag,
    /// exited}` if the process ended before, `{Tag, badarg}` if it was gone already. `suspend_process(Pid,
    /// [{asynchronous, Tag}])`.
    ///
    /// # Errors
    /// See [`SuspendError`]; never [`SuspendError::NoProcess`] for one that is gone.
    pub fn suspend_process_async<T: Serialize + ?Sized>(
        &self,
        pid: Pid,
        options: SuspendOptions,
        tag: &T,
    ) -> Result<bool, SuspendError> {
        let tag = shared_term(tag)?;
        let is_there = self.may_suspend(pid)?;
        let reference = match self.count_suspension(pid, options, true)? {
            Asked::Send(reference) => reference,
            Asked::Counted => return Ok(true),
            Asked::Stands => return Ok(false),
        };
        if let Some(mut state) = self.state() {
            state.tag_suspension(reference, tag);
        }
        let suspend = envelope::signal(Kind::Suspend, self.pid, reference);
        if !is_there || !self.send_suspend(pid, suspend) {
            self.forget_suspending(pid);
            let told = self
                .state()
                .and_then(|mut state| state.tell_suspender(pid, reference, SuspendOutcome::Badarg));
            if let Some(message) = told {
                self.signal_self(message);
            }
        }
        Ok(true)
    }

    /// Whether the process is there.
    fn may_suspend(&self, pid: Pid) -> Result<bool, SuspendError> {
        if pid == self.pid {
            return Err(SuspendError::Myself);
        }
        let is_native = self.core().with_state(pid, |state| {
            state.rare.as_ref().is_some_and(|rare| rare.is_native)
        });
        match is_native {
            Some(true) => Err(SuspendError::Native),
            is_native => Ok(is_native.is_some()),
        }
    }

    /// Step 1, but for the signal. `always`: one is sent for a suspension that stands, too.
    fn count_suspension(
        &self,
        pid: Pid,
        options: SuspendOptions,
        always: bool,
    ) -> Result<Asked, SuspendError> {
        let reference = self.make_ref();
        let limit = self.core().max_suspensions;
        let mut state = self.state().ok_or(SuspendError::NoProcess)?;
        let count = state.suspend_count(pid);
        if count > 0 && options.unless_suspending {
            return Ok(Asked::Stands);
        }
        if count >= limit {
            return Err(SuspendError::Limit { limit });
        }
        if count > 0 && !always {
            state.set_suspend_count(pid, count + 1);
            return Ok(Asked::Counted);
        }
        state.suspends(pid, count + 1, reference);
        Ok(Asked::Send(reference))
    }

    /// False if nobody is there.
    fn send_suspend(&self, pid: Pid, suspend: Parcel) -> bool {
        let is_sent = self.core().deliver(pid, suspend).is_ok();
        self.resume_if_ended(pid);
        is_sent
    }

    /// After the signal was sent: if this process ended between that and the count, its end may have sent its
    /// [`Kind::Resume`] before.
    fn resume_if_ended(&self, pid: Pid) {
        if self.has_ended() {
            self.send_resume(pid);
        }
    }

    fn send_resume(&self, pid: Pid) {
        let resume = envelope::signal(Kind::Resume, self.pid, envelope::NO_REF);
        self.core().signal(pid, resume);
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
            match state.suspend_count(pid) {
                0 => return Err(SuspendError::NotSuspended),
                1 => drop(state.rare().suspending.remove(&pid)),
                count => {
                    state.set_suspend_count(pid, count - 1);
                    return Ok(());
                }
            }
        }
        self.send_resume(pid);
        Ok(())
    }

    fn forget_suspending(&self, pid: Pid) {
        if let Some(mut state) = self.state() {
            state.rare().suspending.remove(&pid);
        }
    }
}
