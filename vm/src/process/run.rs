//! A slice of a process.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::task::{self, Poll};

use otp_heap::Pid;
use otp_scheduler::{Header, Step, TaskName, VTable};

use super::panics::{CURRENT, quietly, reason_of_panic};
use super::{Attention, Process, deputy, waker};
use crate::core::Core;
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
    BEGAN_AT.set(before.reductions);
    let ended = slice(process, pid);
    let used = otp_scheduler::usage() - before;
    let is_over = process.count(used.reductions.max(1), used.allocated);
    let step = match (ended, is_over) {
        (None, false) => Step::Idle,
        (ended, _) => end_or_not(process, pid, ended),
    };
    CURRENT.set(None);
    step
}

/// The process ends, or has more native memory than it may.
#[cold]
fn end_or_not(process: &Process, pid: Pid, ended: Option<ExitReason>) -> Step {
    match ended.or_else(|| over_native_limit(process, pid)) {
        Some(reason) => {
            process.end(pid, reason);
            Step::Done
        }
        None => Step::Idle,
    }
}

/// Takes in signals, polls the body once, and says whether the process ends.
#[inline]
fn slice(process: &Process, pid: Pid) -> Option<ExitReason> {
    if process.mailbox.has_signal() || process.attention().has(Attention::BEFORE) {
        match before(process, pid) {
            Before::Run => {}
            Before::Rest => return rest(process, pid),
            Before::End(reason) => return Some(reason),
        }
    }
    let waker = waker::borrowed(process);
    let mut cx = task::Context::from_waker(&waker);
    // SAFETY: the scheduler runs one slice of a process at a time.
    let body = unsafe { &mut *process.body.get() };
    let body = body.as_mut()?;
    let ended = match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(&mut cx))) {
        Ok(Poll::Pending) if !process.attention().has(Attention::AFTER) => return None,
        Ok(Poll::Pending) => return after(process, pid),
        Ok(Poll::Ready(reason)) => reason,
        Err(payload) => reason_of_panic(payload),
    };
    // A signal that the body's own operations took in came before whatever the body did then.
    match process.attention().has(Attention::DOOMED) {
        true => Some(process.reason_to_end(pid)),
        false => Some(ended),
    }
}

/// What there is to do before the body runs.
#[cold]
fn before(process: &Process, pid: Pid) -> Before {
    match signals(process, pid, true) {
        Before::Run if process.attention().has(Attention::HIBERNATED) => {
            match process.sleeps_on(pid) {
                true => Before::Rest,
                false => Before::Run,
            }
        }
        before => before,
    }
}

/// A combinator of futures polls one of them no more often within a poll of its own, even if it is woken each time.
/// Chosen by feel: those known to us do it twice.
const POLLS_IN_VAIN: u32 = 64;

thread_local! {
    /// What [`otp_scheduler::usage`] told when this thread's slice began.
    static BEGAN_AT: Cell<i64> = const { Cell::new(0) };
    /// The process whose waits on this thread are in vain, and how many were.
    static IN_VAIN: Cell<(Option<Pid>, u32)> = const { Cell::new((None, 0)) };
}

/// Counts a poll of a wait of which nothing can come, in the process's slice on this thread. True: there were so many
/// that whoever polls does not give way.
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
    match signals(process, pid, false) {
        Before::Run | Before::Rest => None,
        Before::End(reason) => Some(reason),
    }
}

/// What comes before the body runs.
enum Before {
    Run,
    /// The body rests: the process is suspended, or its heap is in the hands of who collects it.
    Rest,
    End(ExitReason),
}

/// Takes in signals, if there are any, and says whether the process ends. Messages lie until the body looks for some,
/// but for those that a receive waits for which only a drain wakes, and those of a process that is traced: that they
/// came is told when they are taken in. `begins`: the slice does.
fn signals(process: &Process, pid: Pid, begins: bool) -> Before {
    let attention = process.attention();
    if attention.has(Attention::DOOMED) {
        return Before::End(process.reason_to_end(pid));
    }
    if process.mailbox.has_signal() || attention.has(Attention::UNUSUAL) {
        return take_in(process, pid, begins);
    }
    Before::Run
}

fn take_in(process: &Process, pid: Pid, begins: bool) -> Before {
    let (leftovers, exit) = {
        let mut state = process.lock();
        if process.is_claimed(&state, pid) {
            return Before::End(ExitReason::killed());
        }
        if begins && process.is_traced() {
            process.trace_in(&mut state, pid);
        }
        let leftovers = process.drain(&mut state);
        (leftovers, state.exit.clone())
    };
    quietly(pid, || leftovers.finish());
    if let Some(reason) = exit {
        return Before::End(reason);
    }
    if process.attention().has(Attention::ASKED) {
        process.do_as_asked(pid);
    }
    match process.attention().has(Attention::RESTS) {
        true => Before::Rest,
        false => Before::Run,
    }
}

/// The body gave way, and there is more to do.
#[cold]
fn after(process: &Process, pid: Pid) -> Option<ExitReason> {
    let attention = process.attention();
    // A signal that the body's own receive took in may have decided the end.
    if attention.has(Attention::DOOMED) {
        return Some(process.reason_to_end(pid));
    }
    if attention.has(Attention::ASKED) {
        process.do_as_asked(pid);
    }
    if attention.has(Attention::TURNS) {
        process.fall_asleep(pid);
    }
    rest(process, pid)
}

/// The slice ends.
#[cold]
fn rest(process: &Process, pid: Pid) -> Option<ExitReason> {
    if process.is_traced() {
        process.trace_out(pid);
    }
    None
}

/// Native memory counts by the slice.
#[cold]
fn over_native_limit(process: &Process, pid: Pid) -> Option<ExitReason> {
    let excess = process.check_limit(&mut process.lock());
    if let Some(excess) = excess {
        excess.tell(process, pid);
    }
    match process.attention().has(Attention::DOOMED) {
        true => Some(process.reason_to_end(pid)),
        false => None,
    }
}

/// Reductions that the running process has used, those of its slice so far included; of another none.
pub(crate) fn reductions_of_slice(pid: Pid) -> u64 {
    match CURRENT.get() {
        Some((current, _)) if current == pid => {
            let used = otp_scheduler::usage().reductions - BEGAN_AT.get();
            u64::try_from(used).unwrap_or(0)
        }
        _ => 0,
    }
}

/// Of the slice that runs on this thread, if it is of a process of this VM.
pub(crate) fn reductions_here(core: &Core) -> u64 {
    let Some((pid, process)) = CURRENT.get() else {
        return 0;
    };
    // SAFETY: `run` set it for the time of its slice on this thread, and slots outlive slices.
    let is_ours = std::ptr::eq(unsafe { process.as_ref() }.core(), core);
    if is_ours { reductions_of_slice(pid) } else { 0 }
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
