//! Exits: a process's own, and those that it asks of others.

use std::mem;
use std::panic::resume_unwind;
use std::thread;

use otp_heap::Pid;

use super::Context;
use crate::envelope::{self, Kind};
use crate::exit_reason::ExitReason;
use crate::process::{ExitPayload, is_running};

impl Context {
    /// Sends an exit signal. `exit/2`.
    ///
    /// `kill` can't be trapped; `normal` is ignored by another process that doesn't trap exits. A signal that ends a
    /// process in native code does so at once for everybody else: the process is gone, though its code runs on until it
    /// next awaits ([`Context`]).
    ///
    /// A signal to oneself acts before this returns. If exits are trapped its message is there then (unless it is
    /// `kill`). Else, and for `normal` as well, the process ends here and now: the body is unwound as by
    /// [`Context::exit`], but there is no way back. If the body catches it, or a destructor on the way wants to tell
    /// somebody, what they do with the Context is discarded, and the process ends with this reason when the body next
    /// awaits or returns. (In a destructor of a body that unwinds already, and on a thread that the Context was moved
    /// to, this returns.)
    ///
    /// ```
    /// # use otp_vm::{ExitReason, Timeout, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     cx.spawn_monitor(|cx| async move {
    ///         cx.exit_process(cx.pid(), ExitReason::normal());
    ///         unreachable!("it has ended");
    ///     }).unwrap();
    ///     cx.receive().await.down().map(|down| down.reason)
    /// });
    /// assert_eq!(run.wait()?, Some(ExitReason::normal()));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn exit_process(&self, pid: Pid, reason: impl Into<ExitReason>) {
        if self.discards() {
            return;
        }
        let parcel = envelope::exit(Kind::Exit, self.pid, &reason.into());
        if pid != self.pid {
            return self.core().signal(pid, parcel);
        }
        let Some(mut state) = self.state() else {
            return;
        };
        let leftovers = self.process().take_in_own(&mut state, parcel);
        let end = self.process().end_itself(&mut state, self.pid);
        drop(state);
        leftovers.finish();
        if let Some(reason) = end
            && is_running(self.pid)
            && !thread::panicking()
        {
            resume_unwind(Box::new(ExitPayload(reason)));
        }
    }

    /// Ends the process here and now with a reason: unwinds the body. `exit/1`.
    ///
    /// Destructors run, and `catch_unwind` in between would catch it.
    ///
    /// ```
    /// # use otp_vm::{ExitReason, RunError, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|cx| async move {
    ///     if cx.whereis("config").is_none() {
    ///         cx.exit("no configuration");
    ///     }
    /// });
    /// assert_eq!(run.wait(), Err(RunError::Exit(ExitReason::from("no configuration"))));
    ///
    /// let run = vm.run(|cx| async move { cx.exit(ExitReason::new(&("bad_file", 7))) });
    /// # let run: otp_vm::Run<()> = run;
    /// assert_eq!(run.wait(), Err(RunError::Exit(ExitReason::new(&("bad_file", 7)))));
    /// # Ok::<(), otp_vm::BuildError>(())
    /// ```
    pub fn exit(&self, reason: impl Into<ExitReason>) -> ! {
        resume_unwind(Box::new(ExitPayload(reason.into())))
    }

    /// Whether exit signals arrive as messages `{'EXIT', Pid, Reason}` instead of ending the
    /// process. Gives what was set before. `process_flag(trap_exit, Bool)`.
    ///
    /// ```
    /// # use otp_vm::{ExitReason, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     cx.trap_exit(true);
    ///     let child = cx.spawn_link(|cx| async move { cx.exit("broken") }).unwrap();
    ///     let exit = cx.receive().await.exit().unwrap();
    ///     (exit.from == child, exit.reason)
    /// });
    /// assert_eq!(run.wait()?, (true, ExitReason::from("broken")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn trap_exit(&self, trap: bool) -> bool {
        self.state()
            .is_some_and(|mut state| mem::replace(&mut state.trap_exit, trap))
    }
}
