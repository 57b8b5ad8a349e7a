//! Panics of processes: caught, reported, told as exit reasons.
//!
//! A report runs the program's code as well, its `tracing` subscriber. Nothing here unwinds.

use std::any::Any;
use std::backtrace::{Backtrace, BacktraceStatus};
use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe, catch_unwind};
use std::ptr::NonNull;
use std::sync::Once;

use otp_heap::Pid;

use super::{Process, aborts};
use crate::exit_reason::ExitReason;

thread_local! {
    /// The process whose slice runs on this thread, and its slot.
    pub(super) static CURRENT: Cell<Option<(Pid, NonNull<Process>)>> = const { Cell::new(None) };
    /// What the panic hook saw on this thread, until a report fetches it.
    static SEEN: RefCell<Option<SeenPanic>> = const { RefCell::new(None) };
}

struct SeenPanic {
    location: String,
    backtrace: Backtrace,
}

/// Whether the calling thread runs a slice of that process.
pub(crate) fn is_running(pid: Pid) -> bool {
    CURRENT.get().is_some_and(|(current, _)| current == pid)
}

/// A payload that ends the process with a reason: how `Context::exit` unwinds.
pub(crate) struct ExitPayload(pub(crate) ExitReason);

/// The exit reason that a panic of the running process stands for, whether its body caught it or not. Logs it, unless
/// it is a call of `Context::exit`.
pub(crate) fn reason_of_panic(payload: Box<dyn Any + Send>) -> ExitReason {
    let payload = match payload.downcast::<ExitPayload>() {
        Ok(exit) => return exit.0,
        Err(payload) => payload,
    };
    if payload.is::<otp_scheduler::Stopped>() {
        // The scheduler ended while it waited, after all else had failed.
        return ExitReason::killed();
    }
    let (pid, name, label) = match CURRENT.get() {
        Some((pid, process)) => {
            // SAFETY: `run` set it for the time of its slice on this thread, and slots outlive slices.
            let state = unsafe { process.as_ref() }.lock();
            (Some(pid), state.name(), state.label.get())
        }
        None => (None, None, None),
    };
    let pid = pid.map(tracing::field::display);
    let registered_name = name.map(|name| name.as_str());
    let label = label.map_or("", |label| label.as_str());
    let (message, location, backtrace) = describe(payload);
    report(|| match backtrace {
        Some(trace) if trace.status() == BacktraceStatus::Captured => {
            tracing::error!(target: "otp_vm::crash", pid, registered_name, label, %message, %location,
                "process panicked\n{trace}");
        }
        _ => {
            tracing::error!(target: "otp_vm::crash", pid, registered_name, label, %message, %location,
                "process panicked");
        }
    });
    ExitReason::panic(&message, &location)
}

/// Runs the program's code; a panic of it is reported and ends there.
pub(crate) fn quietly(pid: Pid, call: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(call)) {
        let (message, location, _) = describe(payload);
        report(|| {
            tracing::error!(target: "otp_vm::crash", %pid, %message, %location,
                "a destructor or waker panicked");
        });
    }
}

/// Calls a trace handler of the program's; false if it panicked, which is reported.
pub(crate) fn handler_returns(call: impl FnOnce()) -> bool {
    let Err(payload) = catch_unwind(AssertUnwindSafe(call)) else {
        return true;
    };
    let (message, location, _) = describe(payload);
    report(|| {
        tracing::error!(target: "otp_vm::crash", %message, %location,
            "a trace handler panicked: its session is switched off");
    });
    false
}

/// Logs. A subscriber that panics must not keep a process from its end, nor the VM from its own.
pub(crate) fn report(log: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(log)) {
        describe(payload);
    }
}

/// The text of a panic, and where it was, as far as known. Disposes of the payload, whose own
/// destructor may panic.
fn describe(payload: Box<dyn Any + Send>) -> (String, String, Option<Backtrace>) {
    let message = if let Some(text) = payload.downcast_ref::<&str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "a panic whose payload is no text".to_owned()
    };
    let (location, backtrace) = SEEN.with_borrow_mut(Option::take).map_or_else(
        || ("unknown".to_owned(), None),
        |seen| (seen.location, Some(seen.backtrace)),
    );
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Its destructor panicked; what that one brought is not risked as well.
        std::mem::forget(again);
    }
    (message, location, backtrace)
}

/// Installs the panic hook of the program, once: panics of processes are kept for their report,
/// all others go to the hook that was there before. Also what names a process before the program aborts.
pub(crate) fn install_panic_hook() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        aborts::install();
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
