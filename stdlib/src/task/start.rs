//! Tasks for their side effects: no result, and nobody who waits.

use std::sync::Arc;

use otp_vm::{Context, IntoExit, Pid, SpawnError, SpawnOptions};

use super::{Task, supervised};
use crate::proc_lib::{callers, spawn_for};
use crate::supervisor::{ChildSpec, Restart};

impl Task<()> {
    /// Starts a process for its side effects, on its own. `Task.start/1,3`.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn start<B, F>(cx: &Context, body: B) -> Result<Pid, SpawnError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future + Send + 'static,
        F::Output: IntoExit,
    {
        start(cx, SpawnOptions::new(), callers(cx), body)
    }

    /// Starts a process for its side effects, linked to the caller. `Task.start_link/1,3`.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn start_link<B, F>(cx: &Context, body: B) -> Result<Pid, SpawnError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future + Send + 'static,
        F::Output: IntoExit,
    {
        start(cx, SpawnOptions::new().link(), callers(cx), body)
    }

    /// A task as a child of a supervisor, with the id `Task`: temporary, so not started again, unless it is said
    /// otherwise; 5 seconds to shut down. `Task.child_spec/1`; for one with another id, `use Task, id: …`, there is
    /// [`child_spec_with_id`](Self::child_spec_with_id).
    ///
    /// ```
    /// use otp_stdlib::prelude::*;
    /// use otp_vm::{Context, Vm};
    ///
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # vm.run(async |mut cx: Context| {
    /// let warm_up = Task::child_spec(async |_| println!("the caches are warm"));
    /// let tree = Supervisor::start_link(&mut cx, SupervisorFlags::one_for_one(), vec![warm_up]);
    /// tree.await.unwrap();
    /// # }).wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn child_spec<B, F>(body: B) -> ChildSpec
    where
        B: Fn(Context) -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
        F::Output: IntoExit,
    {
        Self::child_spec_with_id("Task", body)
    }

    /// As [`child_spec`](Self::child_spec), with an id of the caller's.
    pub fn child_spec_with_id<B, F>(id: impl Into<crate::supervisor::ChildId>, body: B) -> ChildSpec
    where
        B: Fn(Context) -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
        F::Output: IntoExit,
    {
        let body = Arc::new(body);
        ChildSpec::new(id, move |cx| {
            let body = Arc::clone(&body);
            let options = SpawnOptions::new().link().initial_call::<B>();
            let body = move |cx| supervised::noreply(cx, move |cx| body(cx));
            let spawned = spawn_for(cx, options, callers(cx), body);
            Box::pin(std::future::ready(match spawned {
                Ok(spawned) => Ok(spawned.pid),
                Err(error) => Err(error.into()),
            }))
        })
        .restart(Restart::Temporary)
    }
}

fn start<B, F>(
    cx: &Context,
    options: SpawnOptions,
    callers: Vec<Pid>,
    body: B,
) -> Result<Pid, SpawnError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    let options = options.initial_call::<B>();
    let body = move |cx| supervised::noreply(cx, body);
    spawn_for(cx, options, callers, body).map(|spawned| spawned.pid)
}
