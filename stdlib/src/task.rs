//! One computation in a process of its own, and its result: Elixir's `Task`.
//!
//! # Protocol
//!
//! 1. [`Task::async_`] spawns the process, linked and monitored. Task and owner share one slot
//!    for the result, so that it is moved and need not be a message: any `T: Send`.
//! 2. The process puts the result into the slot and ends with `normal`.
//! 3. The owner waits for the `DOWN` of the monitor. A result in the slot is the result, whatever
//!    the reason says; without one, the reason is the error.
//! 4. [`Task::await_`] takes the task by value, so that nobody waits twice; waiting from another
//!    process than the owner panics, since the `DOWN` comes to the owner.
//!
//! # Races
//!
//! * A task that crashes takes its owner along, by the link, unless the owner traps exits; then
//!   it gets an `EXIT` message besides the error, as in Elixir.
//! * A result may come at the moment in which a shutdown kills the task: it is given.
//! * A task that is dropped runs on, linked; its `DOWN` comes to the owner's mailbox. Use
//!   [`Task::start_link`] when no result is wanted.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use otp_stdlib::prelude::*;
//! use otp_vm::{Context, Vm};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vm = Vm::builder().schedulers(1).build()?;
//! let sum = vm
//!     .run(async |mut cx: Context| {
//!         let left = Task::async_(&cx, async |_| 20).unwrap();
//!         let right = Task::async_(&cx, async |_| 22).unwrap();
//!         left.await_(&mut cx).await + right.await_(&mut cx).await
//!     })
//!     .wait()?;
//! assert_eq!(sum, 42);
//! vm.shutdown(Duration::from_secs(1)).wait();
//! # Ok(())
//! # }
//! ```

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use otp_vm::{Context, ExitReason, IntoExit, Pid, Ref, SpawnError, SpawnOptions, Timeout};
use serde::Serialize;

use crate::proc_lib::{await_down, spawn_for_caller};
use crate::supervisor::Shutdown;

/// How long [`Task::await_`] waits: Elixir's 5 seconds.
pub const AWAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// A computation under way, in its owner's hands.
#[must_use = "a task that is not awaited leaves its DOWN message in the mailbox; see Task::start_link"]
pub struct Task<T> {
    pid: Pid,
    owner: Pid,
    monitor: Ref,
    result: Arc<Mutex<Option<T>>>,
}

/// The reasons of owners that waited in vain.
#[derive(Serialize)]
enum Await {
    /// `{task, await, Pid}`: where the owner was.
    Task(Atom, Pid),
}

#[derive(Serialize)]
enum Atom {
    Await,
}

impl<T: Send + 'static> Task<T> {
    /// Starts a task, linked to the caller, who is its owner. `Task.async/1`.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn async_<B, F>(cx: &Context, body: B) -> Result<Self, SpawnError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let result = Arc::new(Mutex::new(None));
        let slot = Arc::clone(&result);
        let spawned = spawn_for_caller(cx, SpawnOptions::new().link().monitor(), move |cx| {
            let running = body(cx);
            async move {
                let value = running.await;
                *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
            }
        })?;
        let Some(monitor) = spawned.monitor else {
            unreachable!("a spawn with a monitor gave none");
        };
        Ok(Self {
            pid: spawned.pid,
            owner: cx.pid(),
            monitor,
            result,
        })
    }

    /// The task's process.
    pub fn pid(&self) -> Pid {
        self.pid
    }

    /// Waits for the result, for at most [`AWAIT_TIMEOUT`]. `Task.await/1`.
    ///
    /// **Exits the caller** when the task ended without a result, with `{Reason, {task, await,
    /// Pid}}`, and when the time is over, with `{timeout, {task, await, Pid}}`. To get an error
    /// instead use [`yield_`](Self::yield_) and [`shutdown`](Self::shutdown).
    ///
    /// # Panics
    /// When called by another process than the owner.
    pub async fn await_(self, cx: &mut Context) -> T {
        self.await_timeout(cx, AWAIT_TIMEOUT).await
    }

    /// As [`await_`](Self::await_), with a time of the caller's. `Task.await/2`.
    ///
    /// # Panics
    /// As [`await_`](Self::await_).
    pub async fn await_timeout(mut self, cx: &mut Context, after: impl Into<Timeout>) -> T {
        let reason = match self.outcome(cx, after.into()).await {
            Some(Ok(value)) => return value,
            Some(Err(reason)) => reason,
            None => {
                cx.demonitor_flush(self.monitor);
                ExitReason::timeout()
            }
        };
        cx.exit(ExitReason::new(&(
            reason,
            Await::Task(Atom::Await, self.pid),
        )))
    }

    /// Waits for the result, or for the reason why there is none. When the time is over the task
    /// is given back, to be waited for again or shut down. `Task.yield/2`.
    ///
    /// # Errors
    /// The task itself, when it is not done in time.
    ///
    /// # Panics
    /// As [`await_`](Self::await_).
    pub async fn yield_(
        mut self,
        cx: &mut Context,
        after: impl Into<Timeout>,
    ) -> Result<Result<T, ExitReason>, Self> {
        self.outcome(cx, after.into()).await.ok_or(self)
    }

    /// Ends the task, and waits for its end. Gives the result if it was done before, the reason
    /// if it ended in another way than asked, else `None`. `Task.shutdown/2`.
    ///
    /// # Panics
    /// As [`await_`](Self::await_).
    pub async fn shutdown(
        mut self,
        cx: &mut Context,
        shutdown: Shutdown,
    ) -> Option<Result<T, ExitReason>> {
        // The end that is asked for must not come back by the link.
        cx.unlink(self.pid);
        let (signal, after) = match shutdown {
            Shutdown::BrutalKill => (ExitReason::kill(), Timeout::Infinity),
            Shutdown::After(limit) => (ExitReason::shutdown(), Timeout::After(limit)),
            Shutdown::Infinity => (ExitReason::shutdown(), Timeout::Infinity),
        };
        cx.exit_process(self.pid, signal);
        let mut asked = match shutdown {
            Shutdown::BrutalKill => ExitReason::killed(),
            _ => ExitReason::shutdown(),
        };
        let outcome = match self.outcome(cx, after).await {
            Some(outcome) => outcome,
            None => {
                cx.exit_process(self.pid, ExitReason::kill());
                asked = ExitReason::killed();
                self.outcome(cx, Timeout::Infinity).await?
            }
        };
        match outcome {
            Err(reason) if reason == asked => None,
            outcome => Some(outcome),
        }
    }

    /// Step 3 of the protocol. `None`: the time is over.
    async fn outcome(&mut self, cx: &mut Context, after: Timeout) -> Option<Result<T, ExitReason>> {
        assert_eq!(
            cx.pid(),
            self.owner,
            "a task can only be awaited by its owner: have it send a message to share its result"
        );
        let reason = await_down(cx, self.monitor, after).await?;
        let value = self
            .result
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        Some(value.ok_or(reason))
    }
}

impl Task<()> {
    /// Starts a process for its side effects, on its own. `Task.start/1`.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn start<B, F>(cx: &Context, body: B) -> Result<Pid, SpawnError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future + Send + 'static,
        F::Output: IntoExit,
    {
        spawn_for_caller(cx, SpawnOptions::new(), body).map(|spawned| spawned.pid)
    }

    /// Starts a process for its side effects, linked to the caller. `Task.start_link/1`.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn start_link<B, F>(cx: &Context, body: B) -> Result<Pid, SpawnError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future + Send + 'static,
        F::Output: IntoExit,
    {
        spawn_for_caller(cx, SpawnOptions::new().link(), body).map(|spawned| spawned.pid)
    }
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Task")
            .field("pid", &self.pid)
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}
