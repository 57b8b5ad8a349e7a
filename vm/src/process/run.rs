//! A slice of a process.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::task::{self, Poll};

use otp_heap::Pid;
use otp_scheduler::{Header, Step, TaskName, VTable};

use super::panics::{CURRENT, quietly, reason_of_panic};
use super::{Attention, Process, deputy, waker};
use crate::exit_reason::ExitReason;

/// How the scheduler runs processes.
pub(crate) static VTABLE: VTable = VTable {
    run,
    bound: Some(deputy::bound),
    name: Some(name),
};

/// Names the process.
///
/// # Safety
/// `header` is the first field of a process's slot.
unsafe fn name(header: NonNull<Header>) -> TaskName {
    // SAFETY: the header is the first field of a `repr(C)` Process; slots outlive the scheduler's threads.
    let process = unsafe { header.cast::<Process>().as_ref() };
    match pid_in(process) {
        Some(pid) => process.task_name(pid),
        None => TaskName {
            id: 0,
            name: "a process that has ended".to_owned(),
        },
    }
}

/// Whose slice it is: also that of one which was ended meanwhile.
#[inline]
fn pid_in(process: &Process) -> Option<Pid> {
    #[cold]
    fn ended(process: &Process) -> Option<Pid> {
        process.ended_pid()
    }
    process.pid().or_else(|| ended(process))
}

/// Runs one slice.
///
/// # Safety
/// `header` is the first field of a slot with a process in it.
unsafe fn run(header: NonNull<Header>) -> Step {
    // SAFETY: the header is the first field of a `repr(C)` Process, and slots outlive slices.
    let process = unsafe { header.cast::<Process>().as_ref() };
    let Some(pid) = pid_in(process) else {
        // Only a stale wake of a slot that ended comes here.
        return Step::Done;
    };
    CURRENT.set(Some((pid, NonNull::from(process))));
    let before = otp_scheduler::usage();
    let ended = slice(process, pid);
    let used = otp_scheduler::usage() - before;
    process.count(used.reductions.max(1), used.allocated);
    let step = match ended {
        Some(reason) => {
            process.end(pid, reason);
            Step::Done
        }
        None => Step::Idle,
    };
    CURRENT.set(None);
    step
}

/// Takes in signals, polls the body once, and says whether the process ends.
#[inline]
fn slice(process: &Process, pid: Pid) -> Option<ExitReason> {
    if let Some(reason) = signals(process, pid, true) {
        return Some(reason);
    }
    let waker = waker::borrowed(process);
    let mut cx = task::Context::from_waker(&waker);
    // SAFETY: the scheduler runs one slice of a process at a time.
    let body = unsafe { &mut *process.body.get() };
    let body = body.as_mut()?;
    match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(&mut cx))) {
        Ok(Poll::Ready(reason)) => Some(reason),
        Ok(Poll::Pending) => gives_way(process, pid),
        Err(payload) => Some(reason_of_panic(payload)),
    }
}

/// The body waits.
#[inline]
fn gives_way(process: &Process, pid: Pid) -> Option<ExitReason> {
    let attention = process.attention();
    if !attention.has(Attention::DOOMED.or(Attention::TRACED)) {
        return None;
    }
    // A signal that the body's own receive took in may have decided the end.
    if attention.has(Attention::DOOMED) {
        return Some(process.reason_to_end(pid));
    }
    process.trace_out(pid);
    None
}

/// A combinator of futures polls one of them no more often within a poll of its own, even if it is woken each time. Chosen
/// by feel: those known to us do it twice.
const POLLS_IN_VAIN: u32 = 64;

thread_local! {
    /// The process whose waits on this thread are in vain, and how many were.
    static IN_VAIN: Cell<(Option<Pid>, u32)> = const { Cell::new((None, 0)) };
}

/// Counts a poll of a wait of which nothing can come, in the process's slice on this thread. True: there were so many that
/// whoever polls does not give way.
pub(crate) fn waits_in_vain_again(pid: Pid) -> bool {
    let (process, polls) = IN_VAIN.get();
    let polls = if process == Some(pid) { polls + 1 } else { 1 };
    IN_VAIN.set((Some(pid), polls));
    polls > POLLS_IN_VAIN
}

/// For the body of a native process, between its waits: the reason that a signal ends it with. It stays: who catches
/// the unwinding is told again.
pub(crate) fn end_of_native() -> Option<ExitReason> {
    let (pid, process) = CURRENT.get()?;
    // SAFETY: `run` set it for the time of its slice on this thread, and slots outlive slices.
    let process = unsafe { process.as_ref() };
    signals(process, pid, false)
}

/// Takes in signals, if there are any, and says whether the process ends. Messages lie until the body looks for some, but
/// for those that a receive waits for which only a drain wakes, and those of a process that is traced: that they came is
/// told when they are taken in. `begins`: the slice does.
#[inline]
fn signals(process: &Process, pid: Pid, begins: bool) -> Option<ExitReason> {
    let attention = process.attention();
    if attention.has(Attention::DOOMED) {
        return Some(process.reason_to_end(pid));
    }
    if process.mailbox.has_signal() || attention.has(Attention::FOREIGN.or(Attention::TRACED)) {
        return take_in(process, pid, begins);
    }
    None
}

#[cold]
fn take_in(process: &Process, pid: Pid, begins: bool) -> Option<ExitReason> {
    let (leftovers, exit) = {
        let mut state = process.lock();
        if process.was_ended(pid) {
            return Some(ExitReason::killed());
        }
        if begins && process.is_traced() {
            process.trace_in(&mut state, pid);
        }
        let leftovers = process.drain(&mut state);
        (leftovers, state.exit.clone())
    };
    quietly(pid, || leftovers.finish());
    exit
}

impl Process {
    /// Of one that is doomed. Left where it is: until the process claims its end, its deputy may.
    #[cold]
    fn reason_to_end(&self, pid: Pid) -> ExitReason {
        let reason = self.lock().exit.clone();
        debug_assert!(reason.is_some() || self.was_ended(pid));
        // One that was ended has been told of already, with its reason.
        reason.unwrap_or_else(ExitReason::killed)
    }
}
