//! Links. What both sides keep, and how they agree, is told in `process/links.rs`.

use otp_heap::Pid;

use super::Context;
use crate::envelope::{self, Kind, NO_REF};
use crate::exit_reason::ExitReason;
use crate::trace::Event;

impl Context {
    /// Links the process with `pid`: when one ends, the other gets an exit signal. `link/1`.
    ///
    /// If `pid` is not alive, this process gets the exit signal `noproc`, which [`Context::unlink`] does not take back:
    /// there was no link. There is one link at most between two processes, and none of a process with itself.
    pub fn link(&self, pid: Pid) {
        let Some(mut state) = self.state() else {
            return;
        };
        state.trace(self.core(), self.pid, Event::Link(pid));
        if pid == self.pid || !state.link(pid) {
            return;
        }
        drop(state);
        let link = envelope::signal(Kind::Link, self.pid, NO_REF);
        if self.core().deliver(pid, link).is_err() {
            // No link is made, and so no exit signal of a link is sent: `unlink` does not take the news back.
            if let Some(mut state) = self.state() {
                state.links.remove(&pid);
            }
            self.signal_self(envelope::exit(Kind::Exit, pid, &ExitReason::noproc()));
        }
        if self.has_ended() {
            let noproc = envelope::exit(Kind::LinkExit, self.pid, &ExitReason::noproc());
            self.core().signal(pid, noproc);
        }
    }

    /// Takes a link back, from both sides. No exit signal of it arrives later; one that was trapped before waits as a
    /// message. `unlink/1`.
    ///
    /// ```
    /// # use otp_vm::{ExitReason, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     let other = cx.spawn_link(|mut cx| async move { drop(cx.receive().await) }).unwrap();
    ///     cx.unlink(other);
    ///     let monitor = cx.monitor(other);
    ///     cx.exit_process(other, ExitReason::new("gone"));
    ///     cx.await_down(monitor).await.reason
    /// });
    /// // This process lives.
    /// assert_eq!(run.wait()?, ExitReason::new("gone"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn unlink(&self, pid: Pid) {
        let number = self.make_ref();
        let Some(mut state) = self.state() else {
            return;
        };
        state.trace(self.core(), self.pid, Event::Unlink(pid));
        if !state.unlink(pid, number) {
            return;
        }
        drop(state);
        let unlink = envelope::signal(Kind::Unlink, self.pid, number);
        if self.core().deliver(pid, unlink).is_err()
            && let Some(mut state) = self.state()
        {
            // Nobody is there to send the number back.
            state.unlinked(pid, number);
        }
    }
}
