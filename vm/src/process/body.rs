//! The body of a process: the program's function until the first slice, its future from then on. That of a native
//! process is the function alone, and its one slice lasts as long as it does.

use std::any::Any;
use std::pin::Pin;
use std::task::{self, Poll, ready};

use pin_project_lite::pin_project;

use crate::context::{Context, NativeContext};
use crate::exit_reason::{ExitReason, IntoExit};
use crate::process::{ExitPayload, end_of_native};

pin_project! {
    /// Calls `start` in the process's first slice: what it does is the new process's work, not
    /// its maker's, and a panic in it is the new process's. An enum, so that function and future
    /// share their memory; an `async` block would keep room for both.
    #[project = BodyProjection]
    pub(crate) enum LazyBody<B, F> {
        Start { start: Option<(B, Context)> },
        Running { #[pin] future: F },
    }
}

impl<B, F> LazyBody<B, F> {
    pub(crate) fn new(start: B, cx: Context) -> Self {
        Self::Start {
            start: Some((start, cx)),
        }
    }
}

impl<B, F> Future for LazyBody<B, F>
where
    B: FnOnce(Context) -> F,
    F: Future<Output: IntoExit>,
{
    type Output = ExitReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<ExitReason> {
        if let BodyProjection::Start { start } = self.as_mut().project() {
            let (start, context) = start
                .take()
                .expect("a body that panicked is not polled again");
            let future = start(context);
            self.set(Self::Running { future });
        }
        match self.project() {
            BodyProjection::Running { future } => Poll::Ready(ready!(future.poll(cx)).into_exit()),
            BodyProjection::Start { .. } => unreachable!("started above"),
        }
    }
}

/// Calls the function of a native process.
pub(crate) struct NativeBody<B>(Option<(B, Context)>);

impl<B> NativeBody<B> {
    pub(crate) fn new(start: B, cx: Context) -> Self {
        Self(Some((start, cx)))
    }
}

// Nothing in it is pinned: the function is moved out.
impl<B> Unpin for NativeBody<B> {}

impl<B, E> Future for NativeBody<B>
where
    B: FnOnce(NativeContext) -> E,
    E: IntoExit,
{
    type Output = ExitReason;

    fn poll(mut self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<ExitReason> {
        let (start, context) = self.0.take().expect("a native process has one slice");
        let ends = || Some(Box::new(ExitPayload(end_of_native()?)) as Box<dyn Any + Send>);
        let exit = otp_scheduler::enter_native(cx.waker(), &ends, || {
            start(NativeContext::new(context)).into_exit()
        });
        // A signal that was taken in by then came first.
        Poll::Ready(end_of_native().unwrap_or(exit))
    }
}
