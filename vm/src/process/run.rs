//! A slice of a process.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Once;
use std::sync::atomic::Ordering;
use std::task::{self, Poll};

use otp_heap::Pid;
use otp_scheduler::{Header, Step, VTable};

use super::{Process, waker};
use crate::exit_reason::ExitReason;

/// How the scheduler runs processes.
pub(crate) static VTABLE: VTable = VTable { run };

thread_local! {
    /// The process whose slice runs on this thread, and its slot.
    static CURRENT: Cell<Option<(Pid, NonNull<Process>)>> = const { Cell::new(None) };
    /// What the panic hook saw on this thread, until the slice fetches it.
    static SEEN: RefCell<Option<SeenPanic>> = const { RefCell::new(None) };
}

struct SeenPanic {
    location: String,
    backtrace: Backtrace,
}

/// A payload that ends the process with a reason: how `Context::exit` unwinds.
pub(crate) struct ExitPayload(pub(crate) ExitReason);

/// Runs one slice.
///
/// # Safety
/// `header` is the first field of a slot with a process in it.
unsafe fn run(header: NonNull<Header>) -> Step {
    // SAFETY: the header is the first field of a `repr(C)` Process, and slots outlive slices.
    let process = unsafe { header.cast::<Process>().as_ref() };
    let Some(pid) = process.pid() else {
        // Only a stale wake of a slot that ended comes here.
        return Step::Done;
    };
    CURRENT.set(Some((pid, NonNull::from(process))));
    let before = otp_scheduler::reductions_left();
    let ended = slice(process);
    let used = before
        .saturating_sub(otp_scheduler::reductions_left())
        .max(1);
    process.reductions.fetch_add(used as u64, Ordering::Relaxed);
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

/// Drains, polls the body once, and says whether the process ends.
fn slice(process: &Process) -> Option<ExitReason> {
    if let Some(reason) = take_in(process) {
        return Some(reason);
    }
    let waker = waker::borrowed(process);
    let mut cx = task::Context::from_waker(&waker);
    // SAFETY: the scheduler runs one slice of a process at a time.
    let body = unsafe { &mut *process.body.get() };
    let body = body.as_mut()?;
    match catch_unwind(AssertUnwindSafe(|| body.as_mut().poll(&mut cx))) {
        Ok(Poll::Ready(reason)) => Some(reason),
        // A signal that the body's own receive took in may have decided the end.
        Ok(Poll::Pending) if process.doomed.load(Ordering::Acquire) => process.lock().exit.take(),
        Ok(Poll::Pending) => None,
        Err(payload) => Some(reason_of_panic(payload)),
    }
}

fn take_in(process: &Process) -> Option<ExitReason> {
    if process.mailbox.is_empty() {
        return None;
    }
    let (leftovers, exit) = {
        let mut state = process.lock();
        let leftovers = process.drain(&mut state);
        (leftovers, state.exit.take())
    };
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| leftovers.finish())) {
        let (message, location) = describe_panic(payload);
        tracing::error!(target: "otp_vm::crash", %message, %location, "a waker or a native resource panicked");
    }
    exit
}

/// The exit reason that a panic of the running process stands for, whether its body caught it or not. Logs it, unless
/// it is a call of `Context::exit`.
pub(crate) fn reason_of_panic(payload: Box<dyn Any + Send>) -> ExitReason {
    let payload = match payload.downcast::<ExitPayload>() {
        Ok(exit) => return exit.0,
        Err(payload) => payload,
    };
    let (pid, name, label) = match CURRENT.get() {
        Some((pid, process)) => {
            // SAFETY: `run` set it for the time of its slice on this thread, and slots outlive slices.
            let state = unsafe { process.as_ref() }.lock();
            (Some(pid), state.name(), state.label)
        }
        None => (None, None, None),
    };
    let pid = pid.map(tracing::field::display);
    let registered_name = name.map(|name| name.as_str());
    let label = label.map_or("", |label| label.as_str());
    let backtrace = SEEN.with_borrow_mut(|seen| {
        seen.as_mut()
            .map(|seen| std::mem::replace(&mut seen.backtrace, Backtrace::disabled()))
    });
    let (message, location) = describe_panic(payload);
    match backtrace.filter(|trace| trace.status() == BacktraceStatus::Captured) {
        Some(trace) => {
            tracing::error!(target: "otp_vm::crash", pid, registered_name, label, %message, %location,
            "process panicked\n{trace}")
        }
        None => {
            tracing::error!(target: "otp_vm::crash", pid, registered_name, label, %message, %location,
                "process panicked");
        }
    }
    ExitReason::panic(&message, &location)
}

/// The text of a panic and where it was, as far as known. Disposes of the payload, whose own
/// destructor may panic.
pub(super) fn describe_panic(payload: Box<dyn Any + Send>) -> (String, String) {
    let message = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic whose payload is no text".to_owned()
    };
    let location = SEEN
        .with_borrow_mut(Option::take)
        .map_or_else(|| "unknown".to_owned(), |seen| seen.location);
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Its destructor panicked; what that one brought is not risked as well.
        std::mem::forget(again);
    }
    (message, location)
}

/// Installs the panic hook of the program, once: panics of processes are kept for their report,
/// all others go to the hook that was there before.
pub(crate) fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        let previous = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if CURRENT.try_with(Cell::get).ok().flatten().is_none() {
                return previous(info);
            }
            let location = info
                .location()
                .map_or_else(|| "unknown".to_owned(), ToString::to_string);
            let seen = SeenPanic {
                location,
                backtrace: Backtrace::capture(),
            };
            let _ = SEEN.try_with(|slot| {
                if let Ok(mut slot) = slot.try_borrow_mut() {
                    *slot = Some(seen);
                }
            });
        }));
    });
}
