//! Calling into the VM from outside: a process whose result goes to the host program.

use std::any::type_name;
use std::fmt;
use std::mem;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, Waker};

use otp_scheduler::lock::{Condvar, Mutex};

use crate::context::{Context, SpawnError, spawn_process};
use crate::exit_reason::ExitReason;
use crate::process::Start;
use crate::vm::Vm;

/// The result of [`Vm::run`], to come: a future for any runtime, and [`Run::wait`] for threads.
///
/// Dropping it doesn't end the process.
#[must_use = "the process runs all the same, but nobody learns its result"]
pub struct Run<T> {
    outcome: Arc<Outcome<T>>,
    simulated: bool,
}

/// Why [`Vm::run`] gave no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The process ended without a result: it panicked, was killed, or a link took it along; or
    /// the VM was shut down and its code did not return (`shutdown` or `killed`).
    #[error("the process ended without a result: {0}")]
    Exit(ExitReason),
    /// The process could not be made.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// [`Run::wait`] was called on a thread that runs processes, and would stop it.
    #[error(
        "waiting would block a scheduler thread: use `.await`, or `NativeContext::block_on` in a native process"
    )]
    OnSchedulerThread,
    /// [`Run::wait`] was called on a process of a simulated VM that has not ended: waiting does not run it.
    #[error("waiting does not run a simulation: hand this to `Simulation::block_on`")]
    Simulated,
}

struct Outcome<T> {
    state: Mutex<OutcomeState<T>>,
    there: Condvar,
}

struct OutcomeState<T> {
    /// What the body gave. The result is handed over when the process has ended, so that whoever
    /// has it finds no trace of the process any more: no name, no entry, no link.
    value: Option<T>,
    result: Option<Result<T, RunError>>,
    waker: Option<Waker>,
}

impl<T> Outcome<T> {
    fn set(&self, result: Result<T, RunError>) {
        let mut state = self.state.lock();
        state.result = Some(result);
        let waker = state.waker.take();
        drop(state);
        self.there.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn end(&self, reason: &ExitReason) {
        let value = self.state.lock().value.take();
        self.set(value.ok_or_else(|| RunError::Exit(reason.clone())));
    }
}

impl<T: Send + 'static> Run<T> {
    pub(crate) fn start<B, F>(vm: &Vm, body: B) -> Self
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let outcome = Arc::new(Outcome {
            state: Mutex::new(OutcomeState {
                value: None,
                result: None,
                waker: None,
            }),
            there: Condvar::new(),
        });
        let (at_return, at_end) = (Arc::clone(&outcome), Arc::clone(&outcome));
        let start = Start {
            initial_call: Some(type_name::<B>),
            on_exit: Some(OnExit(Box::new(move |reason| at_end.end(reason)))),
            ..Start::default()
        };
        let spawned = spawn_process(vm, None, start, move |cx| async move {
            let value = body(cx).await;
            at_return.state.lock().value = Some(value);
        });
        if let Err(error) = spawned {
            outcome.set(Err(error.into()));
        }
        Self {
            outcome,
            simulated: vm.core().scheduler.is_simulated(),
        }
    }

    /// Blocks the thread until the result is there.
    ///
    /// # Errors
    /// See [`RunError`]; at once on a thread that runs processes, and in a simulation.
    pub fn wait(self) -> Result<T, RunError> {
        if otp_scheduler::on_scheduler_thread() {
            return Err(RunError::OnSchedulerThread);
        }
        let mut state = self.outcome.state.lock();
        loop {
            if let Some(result) = state.result.take() {
                return result;
            }
            if self.simulated {
                return Err(RunError::Simulated);
            }
            self.outcome.there.wait(&mut state);
        }
    }
}

/// What is called with the exit reason once everybody else has been told.
pub(crate) struct OnExit(pub(crate) Box<dyn FnOnce(&ExitReason) + Send>);

impl fmt::Debug for OnExit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("OnExit")
    }
}

impl<T> Future for Run<T> {
    type Output = Result<T, RunError>;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<Self::Output> {
        // The clone is made, and the one before dropped, outside of the lock: the program's code.
        let mut waker = Some(cx.waker().clone());
        let mut state = self.outcome.state.lock();
        match state.result.take() {
            Some(result) => Poll::Ready(result),
            None => {
                mem::swap(&mut state.waker, &mut waker);
                Poll::Pending
            }
        }
    }
}

impl<T> fmt::Debug for Run<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Run")
    }
}
