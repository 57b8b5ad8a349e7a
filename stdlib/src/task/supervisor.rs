//! Tasks under a supervisor: Elixir's `Task.Supervisor`, a [`DynamicSupervisor`] whose children are tasks.

use std::sync::{Arc, Mutex, PoisonError};

use otp_vm::{Call, Context, InitialCall, IntoExit, Pid, SpawnOptions};
use serde::de::DeserializeOwned;

use super::stream::supervised_stream;
use super::supervised::{self, Starter};
use super::{AsyncStream, Task, alias, apply, closure};
use crate::dynamic_supervisor::{DynamicSupervisor, DynamicSupervisorFlags, DynamicSupervisorRef};
use crate::gen_server::Start;
use crate::proc_lib::{callers, spawn_for};
use crate::supervisor::{ChildError, ChildId, ChildSpec, Restart, Shutdown, WORKER_SHUTDOWN};

/// A reference to a supervisor of tasks: that of a [`DynamicSupervisor`], whose functions work as well.
pub type TaskSupervisorRef = DynamicSupervisorRef;

/// The functions of `Task.Supervisor`.
///
/// A task under a supervisor is shut down with its application, whoever started it, and can be started by one who is
/// not to fall with it ([`async_nolink`](Self::async_nolink)), or who does not care
/// ([`start_child`](Self::start_child)). Its ancestors are the supervisor's; on whose behalf it runs, its `$callers`,
/// is whoever started it.
///
/// The caller has the body, but the supervisor makes the process. It begins when the caller has linked and monitored
/// it; if the caller ends before, so does it, and if a start's future is dropped, within 5 seconds.
///
/// ```
/// use otp_stdlib::prelude::*;
/// use otp_vm::{Context, Vm};
///
/// # let vm = Vm::builder().schedulers(1).build()?;
/// # let run = vm.run(async |mut cx: Context| {
/// let tasks = TaskSupervisor::start_link(&mut cx, DynamicSupervisorFlags::new()).await?;
///
/// // A failure that is an error here, and no more.
/// let fails = async |cx: Context| -> u32 { cx.exit("no answer") };
/// let mut task = TaskSupervisor::async_nolink(&tasks, &mut cx, fails).await?;
/// let answer = task.yield_(&mut cx, None).await;
/// assert_eq!(answer, Some(Err("no answer".into())));
/// # Ok::<(), Box<dyn std::error::Error + Send + Sync>>(()) });
/// # run.wait()?.map_err(|error| error.to_string())?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct TaskSupervisor;

/// How a task lives under its supervisor: the options of `Task.Supervisor`'s functions.
#[derive(Clone, Copy, Debug)]
pub struct TaskOptions {
    restart: Restart,
    shutdown: Shutdown,
}

impl TaskOptions {
    /// Never started again, 5 seconds to shut down.
    pub fn new() -> Self {
        Self {
            restart: Restart::Temporary,
            shutdown: Shutdown::After(WORKER_SHUTDOWN),
        }
    }

    /// When it is started again. For [`TaskSupervisor::start_child_opt`] only: a task with a result runs one time.
    pub fn restart(mut self, restart: Restart) -> Self {
        self.restart = restart;
        self
    }

    /// How it is ended when its supervisor ends.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }
}

impl Default for TaskOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl TaskSupervisor {
    /// Starts a supervisor of tasks, linked to the caller. `Task.Supervisor.start_link/1`.
    ///
    /// Await the result, perhaps after `name`.
    pub fn start_link(
        cx: &mut Context,
        flags: DynamicSupervisorFlags,
    ) -> Start<'_, DynamicSupervisor> {
        DynamicSupervisor::start_link(cx, flags)
    }

    /// A supervisor of tasks as a child of another one, without a name, with the id `Task.Supervisor`.
    /// `Task.Supervisor.child_spec/1`. For one with a `via` name there is [`ChildSpec::supervisor`].
    pub fn child_spec(flags: DynamicSupervisorFlags) -> ChildSpec {
        ChildSpec::supervisor("Task.Supervisor", move |cx| {
            Self::start_link(cx, flags.clone())
        })
    }

    /// As [`child_spec`](Self::child_spec), with a name, which is the id as well.
    pub fn child_spec_with_name(name: &'static str, flags: DynamicSupervisorFlags) -> ChildSpec {
        ChildSpec::supervisor(name, move |cx| {
            Self::start_link(cx, flags.clone()).name(name)
        })
    }

    /// Starts a task under the supervisor, linked to the caller as well, who waits for its result.
    /// `Task.Supervisor.async/2`.
    ///
    /// # Errors
    /// [`ChildError::MaxChildren`], or no process can be made, or the supervisor does not answer.
    pub async fn async_<T, B, F>(
        supervisor: &TaskSupervisorRef,
        cx: &mut Context,
        body: B,
    ) -> Result<Task<T>, ChildError>
    where
        T: Send + 'static,
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        Self::async_opt(supervisor, cx, TaskOptions::new(), body).await
    }

    /// As [`async_`](Self::async_), for a function of a process module: see [`apply`]. `Task.Supervisor.async/5`.
    ///
    /// # Errors
    /// As [`async_`](Self::async_).
    pub async fn async_apply<T: DeserializeOwned + Send + 'static>(
        supervisor: &TaskSupervisorRef,
        cx: &mut Context,
        options: TaskOptions,
        call: Call,
    ) -> Result<Task<T>, ChildError> {
        let mfa = call.mfa().into();
        let body = |cx| apply(cx, call);
        begin(supervisor, cx, true, options, mfa, body).await
    }

    /// As [`async_`](Self::async_), with options. `Task.Supervisor.async/3`.
    ///
    /// # Errors
    /// As [`async_`](Self::async_).
    pub async fn async_opt<T, B, F>(
        supervisor: &TaskSupervisorRef,
        cx: &mut Context,
        options: TaskOptions,
        body: B,
    ) -> Result<Task<T>, ChildError>
    where
        T: Send + 'static,
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        begin(supervisor, cx, true, options, closure::<B>(), body).await
    }

    /// As [`async_`](Self::async_), without the link: the task's failure is an error of [`Task::yield_`], and the end
    /// of the caller is none to the task. `Task.Supervisor.async_nolink/2`.
    ///
    /// # Errors
    /// As [`async_`](Self::async_).
    pub async fn async_nolink<T, B, F>(
        supervisor: &TaskSupervisorRef,
        cx: &mut Context,
        body: B,
    ) -> Result<Task<T>, ChildError>
    where
        T: Send + 'static,
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        Self::async_nolink_opt(supervisor, cx, TaskOptions::new(), body).await
    }

    /// As [`async_nolink`](Self::async_nolink), with options. `Task.Supervisor.async_nolink/3`.
    ///
    /// # Errors
    /// As [`async_`](Self::async_).
    pub async fn async_nolink_opt<T, B, F>(
        supervisor: &TaskSupervisorRef,
        cx: &mut Context,
        options: TaskOptions,
        body: B,
    ) -> Result<Task<T>, ChildError>
    where
        T: Send + 'static,
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        begin(supervisor, cx, false, options, closure::<B>(), body).await
    }

    /// As [`async_nolink`](Self::async_nolink), for a function of a process module. `Task.Supervisor.async_nolink/5`.
    ///
    /// # Errors
    /// As [`async_`](Self::async_).
    pub async fn async_nolink_apply<T: DeserializeOwned + Send + 'static>(
        supervisor: &TaskSupervisorRef,
        cx: &mut Context,
        options: TaskOptions,
        call: Call,
    ) -> Result<Task<T>, ChildError> {
        let mfa = call.mfa().into();
        let body = |cx| apply(cx, call);
        begin(supervisor, cx, false, options, mfa, body).await
    }

    /// Starts a task for its side effects, of which the caller hears no more. `Task.Supervisor.start_child/2`.
    ///
    /// # Errors
    /// As [`async_`](Self::async_).
    pub async fn start_child<B, F>(
        supervisor: &TaskSupervisorRef,
        cx: &mut Context,
        body: B,
    ) -> Result<Pid, ChildError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let options = SpawnOptions::new().initial_call::<B>();
        let shutdown = Shutdown::After(WORKER_SHUTDOWN);
        let body = move |cx| supervised::noreply(cx, body);
        let child = one_shot(options, callers(cx), shutdown, body);
        supervisor.start_child(cx, child).await
    }

    /// As [`start_child`](Self::start_child), with options: the body can be run again if the task is to be restarted.
    /// `Task.Supervisor.start_child/3`.
    ///
    /// # Errors
    /// As [`async_`](Self::async_).
    pub async fn start_child_opt<B, F>(
        supervisor: &TaskSupervisorRef,
        cx: &mut Context,
        options: TaskOptions,
        body: B,
    ) -> Result<Pid, ChildError>
    where
        B: Fn(Context) -> F + Send + Sync + 'static,
        F: Future<Output: IntoExit> + Send + 'static,
    {
        let body = Arc::new(body);
        let callers = callers(cx);
        let child = ChildSpec::new(TASK, move |cx| {
            let body = Arc::clone(&body);
            let options = SpawnOptions::new().link().initial_call::<B>();
            let body = move |cx| supervised::noreply(cx, move |cx| body(cx));
            let spawned = spawn_for(cx, options, callers.clone(), body);
            Box::pin(std::future::ready(match spawned {
                Ok(spawned) => Ok(spawned.pid),
                Err(error) => Err(error.into()),
            }))
        });
        let child = child.restart(options.restart).shutdown(options.shutdown);
        supervisor.start_child(cx, child).await
    }

    /// Shuts a task down. `Task.Supervisor.terminate_child/2`.
    ///
    /// # Errors
    /// [`ChildError::NotFound`].
    pub async fn terminate_child(
        supervisor: &TaskSupervisorRef,
        cx: &mut Context,
        pid: Pid,
    ) -> Result<(), ChildError> {
        supervisor.terminate_child(cx, pid).await
    }

    /// The tasks' processes, in no order. `Task.Supervisor.children/1`.
    ///
    /// # Errors
    /// [`ChildError::Supervisor`].
    pub async fn children(
        supervisor: &TaskSupervisorRef,
        cx: &mut Context,
    ) -> Result<Vec<Pid>, ChildError> {
        let children = supervisor.which_children(cx).await?;
        Ok(children.into_iter().filter_map(|child| child.pid).collect())
    }

    /// As [`Task::async_stream`], with its tasks under the supervisor. `Task.Supervisor.async_stream/4`.
    ///
    /// With more at a time than the supervisor may have children the stream ends with
    /// [`StreamError::Start`](super::StreamError::Start).
    pub fn async_stream<S, F, R, T>(
        supervisor: &TaskSupervisorRef,
        source: S,
        function: F,
    ) -> AsyncStream<S::IntoIter, T>
    where
        T: Send + 'static,
        S: IntoIterator<Item: Send + 'static>,
        F: Fn(Context, S::Item) -> R + Send + Sync + 'static,
        R: Future<Output = T> + Send + 'static,
    {
        supervised_stream(supervisor, true, source, function)
    }

    /// As [`async_stream`](Self::async_stream); a task that fails is an error among the results, whether the consumer
    /// traps exits or not. `Task.Supervisor.async_stream_nolink/4`.
    pub fn async_stream_nolink<S, F, R, T>(
        supervisor: &TaskSupervisorRef,
        source: S,
        function: F,
    ) -> AsyncStream<S::IntoIter, T>
    where
        T: Send + 'static,
        S: IntoIterator<Item: Send + 'static>,
        F: Fn(Context, S::Item) -> R + Send + Sync + 'static,
        R: Future<Output = T> + Send + 'static,
    {
        supervised_stream(supervisor, false, source, function)
    }
}

/// What all tasks are called: their supervisor knows them by pid.
const TASK: &str = "Task";

/// A task with a result under the supervisor.
async fn begin<T, B, F>(
    supervisor: &TaskSupervisorRef,
    cx: &mut Context,
    is_linked: bool,
    options: TaskOptions,
    mfa: InitialCall,
    body: B,
) -> Result<Task<T>, ChildError>
where
    T: Send + 'static,
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let starter = Starter {
        pid: cx.pid(),
        is_watched: true,
    };
    let spawn = SpawnOptions::new().initial_call::<B>();
    let body = move |cx| supervised::reply(cx, starter, body);
    let child = one_shot(spawn, callers(cx), options.shutdown, body);
    let pid = supervisor.start_child(cx, child).await?;
    if is_linked {
        cx.link(pid);
    }
    let mark = cx.receive_mark();
    let reference = cx.monitor_opt(pid, alias());
    supervised::begin(cx, pid, reference);
    Ok(Task {
        mfa: Some(mfa),
        mark: Some(mark),
        ..Task::of(cx, Some(pid), reference)
    })
}

/// A child that runs one time, on behalf of `callers`, with what its body captured.
pub(super) fn one_shot<B, F>(
    options: SpawnOptions,
    callers: Vec<Pid>,
    shutdown: Shutdown,
    body: B,
) -> ChildSpec
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    let options = options.link();
    // It is started one time, since it is temporary.
    let once = Mutex::new(Some((callers, body)));
    let start = move |cx: &mut Context| {
        let once = once.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((callers, body)) = once else {
            unreachable!("a temporary child was started twice");
        };
        let spawned = spawn_for(cx, options.clone(), callers, body);
        spawned.map(|spawned| spawned.pid)
    };
    let id = ChildId::from(TASK);
    ChildSpec::new(id, move |cx| {
        let started = start(cx).map_err(Into::into);
        Box::pin(std::future::ready(started))
    })
    .restart(Restart::Temporary)
    .shutdown(shutdown)
}
