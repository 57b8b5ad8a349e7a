//! The end of a process whose thread is in native code, for everybody else.
//!
//! A process takes in its own signals, when it reaches the VM. One that lost its scheduler to native code (it is
//! *bound*) may not do so for long, or ever; so somebody does it in its place: its *deputy*, a task that takes the
//! signals in and, if they end the process, tells everybody. OTP has processes of that kind for those that execute
//! dirty native functions.
//!
//! # Protocol
//! 1. Who sends a signal that cannot wait ([`Care::is_urgent`]) first puts it into the mailbox, then, unless it woke an
//!    idle process by that, asks whether the process is bound, and calls the deputy if it is. Whoever binds the process
//!    (the scheduler goes on with another thread) looks into its mailbox afterwards, and does the same. One of the two
//!    sees the other.
//! 2. The deputy drains the mailbox under the process's lock. If the process is to end, it *claims* the end in the same
//!    hold: from here on the process does not exist for its own operations (`Process::was_ended`). It counts as a
//!    process until step 5, as it has a thread.
//! 3. The deputy does the outside part of the end (`exit.rs`): indexes, links, monitors, what waits in the mailbox. The
//!    thread is condemned to the lowest share.
//! 4. The process's own slice finds itself ended when it reaches the VM, drops the body, and tells nobody.
//! 5. Whoever is through last gives the slot back, so neither meets another incarnation in it.
//!
//! Races considered:
//! - *The process reaches the VM as the deputy claims.* Its own end claims under the same lock. Who comes second leaves
//!   the telling to the first.
//! - *It gave way before the deputy looks.* It was woken for the signal, and takes it in itself. If it gives way
//!   between that look and the claim, its next slice (a doomed process is woken) finds itself ended.
//! - *It is already ending by itself*, and its destructors take their time: everybody waits for them, as always, unless
//!   it is killed. Then the deputy tells the reason that was decided before.

use std::ptr::NonNull;
use std::sync::atomic::{Ordering, fence};

use otp_heap::Pid;
use otp_scheduler::{Activity, Header, Priority};

use super::panics::{CURRENT, quietly};
use super::{Attention, Process, State};
use crate::core::Core;

#[cfg(doc)]
use crate::envelope::Care;

impl Process {
    /// The first step, for who sent a signal that cannot wait.
    #[cold]
    pub(crate) fn call_deputy_if_bound(&self) {
        // Against a bound process's own look, see `Scheduler::bound_thread`.
        fence(Ordering::SeqCst);
        if self.header.activity() != Activity::Idle && self.bound_thread().is_some() {
            self.call_deputy();
        }
    }

    /// The kernel's id of the thread that is bound to the process.
    pub(crate) fn bound_thread(&self) -> Option<i32> {
        let header = NonNull::from(&self.header);
        self.core().scheduler.bound_thread(header)
    }

    fn call_deputy(&self) {
        if self.deputy_called.swap(true, Ordering::AcqRel) {
            return;
        }
        let (core, index) = (self.core().weak(), self.index);
        let deputy = async move {
            if let Some(core) = core.upgrade() {
                act(&core, index);
            }
        };
        // Whatever the others want to do: who is told of the end may be what they wait for.
        drop(self.core().scheduler.spawn_at(Priority::Max, deputy));
    }

    /// Under the lock: takes the end on for another thread than the process's own.
    fn claim(&self, state: &mut State, pid: Pid) {
        self.begin_end(state, pid);
        state.claimed = true;
        self.ended.store(pid.serial(), Ordering::Release);
        self.note(Attention::DOOMED);
    }
}

/// How the scheduler tells that a process was bound.
///
/// # Safety
/// `header` is the first field of a process's slot.
pub(super) unsafe fn bound(header: NonNull<Header>) {
    // SAFETY: the header is the first field of a `repr(C)` Process; slots outlive the scheduler's threads.
    let process = unsafe { header.cast::<Process>().as_ref() };
    fence(Ordering::SeqCst);
    if let Some(pid) = process.pid() {
        let core = process.core();
        core.system_monitor.is_bound(core, pid);
        if process.mailbox.has_signal() || process.attention().has(Attention::DOOMED) {
            process.call_deputy();
        }
    } else if process.ended_pid().is_some() {
        // It drops what its body held, and nobody waits for it.
        process.core().scheduler.condemn(header);
    }
}

/// Steps 2 and 3, for whoever is in the slot by now: one that calls a deputy later finds it called already. It holds
/// this incarnation, if the claim succeeds, until both parts are over.
fn act(core: &Core, index: u32) {
    let Some(process) = core.processes.slot(index) else {
        return;
    };
    process.deputy_called.swap(false, Ordering::AcqRel);
    if process.bound_thread().is_none() {
        return;
    }
    let (pid, leftovers, reason) = {
        let mut state = process.lock();
        let Some(pid) = process.pid().filter(|_| !state.claimed) else {
            return;
        };
        let leftovers = process.drain(&mut state);
        let ends = state.exit.is_some() && (!state.exiting || state.killed);
        if ends {
            process.claim(&mut state, pid);
        }
        (pid, leftovers, state.exit.clone().filter(|_| ends))
    };
    // Panics of what the process was sent are told in its name.
    CURRENT.set(Some((pid, NonNull::from(process))));
    if let Some(reason) = reason {
        core.scheduler.condemn(NonNull::from(&process.header));
        let on_exit = process.leave(core, pid, &reason);
        process.part_is_over(core, pid);
        on_exit.call(pid, &reason);
    }
    // Last, since it may run the program's destructors, which may not return.
    quietly(pid, || leftovers.finish());
    CURRENT.set(None);
}
