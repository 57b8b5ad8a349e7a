//! Panics of callbacks as exit reasons.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::Poll;

use otp_vm::ExitReason;

/// Runs a callback's future to its end. A panic, or `Context::exit`, gives the reason.
///
/// After an error the future must not be polled again; its caller drops it.
pub(crate) async fn caught<F: Future>(mut future: Pin<&mut F>) -> Result<F::Output, ExitReason> {
    std::future::poll_fn(move |task| {
        // What the panic left half done is the server's state, which only `terminate` sees again:
        // the gen_server module says why it may.
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => Poll::Ready(Err(ExitReason::from_panic(payload))),
        }
    })
    .await
}
