//! Panics of the program's code, which end no thread of the scheduler's: caught, logged, disposed of.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Drops what may have a destructor of the user's.
pub(crate) fn drop_quietly<T>(value: T) {
    quietly("a destructor", || drop(value));
}

/// Runs code of the program's; a panic of it is logged, and ends here. True: it went well.
pub(crate) fn quietly(what: &str, call: impl FnOnce()) -> bool {
    let result = catch_unwind(AssertUnwindSafe(call));
    match result {
        Ok(()) => true,
        Err(payload) => {
            log_panic(what, payload);
            false
        }
    }
}

/// Logs a panic that was caught, and disposes of its payload.
#[cold]
pub(crate) fn log_panic(what: &str, payload: Box<dyn Any + Send>) {
    report(|| tracing::error!(panic = panic_text(&*payload), "{what} panicked"));
    forget_payload(payload);
}

/// Logs. The program's `tracing` subscriber may panic as well: no thread of the scheduler's ends by it.
#[cold]
pub(crate) fn report(log: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(log)) {
        forget_payload(payload);
    }
}

/// A payload's own destructor may panic: nobody is left to tell.
pub(crate) fn forget_payload(payload: Box<dyn Any + Send>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(payload);
    }
}

/// The text of a panic's payload, where it has one.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a payload that is no text")
}
