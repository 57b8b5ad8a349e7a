//! Panics of the program's code as exit reasons.

use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{self, Poll};

use otp_vm::ExitReason;

/// Runs `call`. A panic, or `Context::exit`, gives the reason.
pub(crate) fn caught<T>(call: impl FnOnce() -> T) -> Result<T, ExitReason> {
    // What the panic left half done is a server's state, which only `terminate` sees again (the gen_server module says
    // why it may), or nobody's.
    catch_unwind(AssertUnwindSafe(call)).map_err(ExitReason::from_panic)
}

/// Drops what is the program's. A panic of its destructor is told, and is not the process's.
pub(crate) fn drop_caught<T>(value: T) {
    if let Err(reason) = caught(|| drop(value)) {
        tracing::warn!(event = "destructor_panicked", %reason, "what was dropped panicked");
    }
}

/// What is the program's, to be dropped as [`drop_caught`] does, wherever that is.
pub(crate) struct DropCaught<T>(Option<T>);

impl<T> DropCaught<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(Some(value))
    }

    pub(crate) fn into_inner(mut self) -> T {
        match self.0.take() {
            Some(value) => value,
            None => unreachable!("it is taken with the whole"),
        }
    }
}

impl<T> Deref for DropCaught<T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.0 {
            Some(value) => value,
            None => unreachable!("it is taken with the whole"),
        }
    }
}

impl<T> Drop for DropCaught<T> {
    fn drop(&mut self) {
        if let Some(value) = self.0.take() {
            drop_caught(value);
        }
    }
}

/// Runs a future to its end. A panic, or `Context::exit`, gives the reason.
///
/// After an error the future must not be polled again.
pub(crate) struct Caught<F>(pub(crate) F);

impl<F: Future + Unpin> Future for Caught<F> {
    type Output = Result<F::Output, ExitReason>;

    fn poll(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Self::Output> {
        match caught(|| Pin::new(&mut self.0).poll(task)) {
            Ok(poll) => poll.map(Ok),
            Err(reason) => Poll::Ready(Err(reason)),
        }
    }
}
