//! Streams of tasks: one for each element of an iterator, a limited number at a time. Elixir's `Task.async_stream`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use otp_vm::{Context, ExitReason, Native, Pid, SpawnOptions, Timeout, Vm};

use super::failure::{self, Function};
use super::stream_monitor::{Ask, Events, Fate, Job, Order, Plan, monitor};
use super::supervised::{self, Starter};
use super::supervisor::one_shot;
use super::{AWAIT_TIMEOUT, Task, TaskSupervisorRef, limit};
use crate::proc_lib::{StartError, callers, spawn_for};
use crate::supervisor::{BoxFuture, ChildError, Shutdown, WORKER_SHUTDOWN};

/// Where a task leaves its value.
type Slot<T> = Arc<Mutex<Option<T>>>;

/// What makes the start of a task: of the element, where the value goes, on whose behalf, and how it is shut down.
type MakeJob<E, T> = Box<dyn Fn(E, Slot<T>, Vec<Pid>, Shutdown) -> Job + Send>;

/// Clones an element for the error that its task may come to.
type KeepInput<E> = fn(&E) -> E;

/// The results of a function that runs for each element of an iterator, each in a task of its own, a limited number at
/// a time. [`Task::async_stream`] and the functions of [`TaskSupervisor`](super::TaskSupervisor) make one; methods set
/// its options, and [`next`](Self::next) runs it.
///
/// Nothing runs before the first `next`. Who calls that is the *consumer*, and nobody else may go on with it; the
/// iterator runs in its process. A task is started when its element is reached and fewer than
/// [`max_concurrency`](Self::max_concurrency) run.
///
/// **Dropping it** ends its tasks, at any time, as the end of the consumer does: they get `kill`, a moment later.
/// [`close`](Self::close) waits for that. Nothing of the stream ever comes to the consumer's mailbox.
///
/// A task that fails takes a consumer along that does not trap exits, and so all tasks, unless they are of
/// `async_stream_nolink`. (It is an exit signal of the process that runs the stream; a link would show.) For a consumer
/// that traps exits it is an error among the results.
///
/// The results lie in places that the stream shares with its tasks, moved there, so that whoever drops the future of a
/// `next` loses none.
#[must_use = "a stream does nothing until `next` is called"]
pub struct AsyncStream<I: Iterator, T> {
    /// None: all its elements were reached, or the stream ended.
    source: Option<I>,
    make_job: MakeJob<I::Item, T>,
    is_linked: bool,
    max_concurrency: Option<usize>,
    is_ordered: bool,
    timeout: Timeout,
    kills_late: bool,
    keep_input: Option<KeepInput<I::Item>>,
    shutdown: Shutdown,

    monitor: Option<MonitorHandle>,
    /// Elements by their position whose results were not delivered.
    waiting: BTreeMap<u64, Waiting<T, I::Item>>,
    /// Those that are done, as they ended, if the order is not to be kept.
    done: VecDeque<u64>,
    refused: Option<ChildError>,
    spawned: u64,
    running: usize,
    seen: u64,
}

struct Waiting<T, E> {
    slot: Slot<T>,
    input: Option<E>,
    fate: Option<Fate>,
}

/// The process behind the stream. Dropping it stops that.
struct MonitorHandle {
    vm: Vm,
    pid: Pid,
    consumer: Pid,
}

impl Drop for MonitorHandle {
    fn drop(&mut self) {
        self.vm.exit(self.pid, ExitReason::shutdown());
    }
}

/// Why an element of a stream has no value.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError<E> {
    /// `{exit, Reason}`: the task ended without one; `timeout`: it was killed since it took too long.
    #[error("the task ended without a result: {reason}")]
    Exit {
        /// Why.
        reason: ExitReason,
        /// What it was to work on, if [`zip_input_on_exit`](AsyncStream::zip_input_on_exit) is asked for.
        input: Option<E>,
    },
    /// No task could be started. The stream has ended: nothing comes after this.
    #[error(
        "no task could be started, and the stream ended: {0}; keep max_concurrency below max_children, and mind what \
         else runs under the supervisor"
    )]
    Start(ChildError),
}

impl<T: Send + 'static> Task<T> {
    /// Runs `function` for each element, each time in a linked task of its own. `Task.async_stream/3`; with functions
    /// of process modules (`async_stream/5`) the elements are calls: `Task::async_stream(calls, task::apply)`.
    ///
    /// Elixir's defaults: results in the order of the elements, as many tasks at a time as schedulers are online, 5
    /// seconds for each, and the consumer exits if one takes longer.
    ///
    /// ```
    /// use otp_stdlib::prelude::*;
    /// use otp_vm::{Context, Vm};
    ///
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let squares = vm.run(async |mut cx: Context| {
    /// let mut squares = Task::async_stream(1..=3, async |_, n: u64| n * n).max_concurrency(2);
    /// let mut sum = 0;
    /// while let Some(square) = squares.next(&mut cx).await {
    ///     sum += square.unwrap();
    /// }
    /// # sum });
    /// # let sum = squares.wait()?;
    /// assert_eq!(sum, 14);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn async_stream<S, F, R>(source: S, function: F) -> AsyncStream<S::IntoIter, T>
    where
        S: IntoIterator<Item: Send + 'static>,
        F: Fn(Context, S::Item) -> R + Send + Sync + 'static,
        R: Future<Output = T> + Send + 'static,
    {
        let function = Arc::new(function);
        let make_job = move |element, slot, callers, _| {
            let function = Arc::clone(&function);
            job(move |cx: &mut Context| {
                let starter = starter(cx);
                let body = move |cx| function(cx, element);
                let body = move |cx| supervised::give(cx, starter, body, keep_in(slot));
                let options = SpawnOptions::new().initial_call::<F>();
                let spawned = spawn_for(cx, options, callers, body);
                Box::pin(std::future::ready(match spawned {
                    Ok(spawned) => Ok(spawned.pid),
                    Err(error) => Err(ChildError::Start(error.into())),
                }))
            })
        };
        AsyncStream::new(source.into_iter(), Box::new(make_job), true)
    }
}

/// The same under a supervisor.
pub(super) fn supervised_stream<S, F, R, T>(
    supervisor: &TaskSupervisorRef,
    is_linked: bool,
    source: S,
    function: F,
) -> AsyncStream<S::IntoIter, T>
where
    T: Send + 'static,
    S: IntoIterator<Item: Send + 'static>,
    F: Fn(Context, S::Item) -> R + Send + Sync + 'static,
    R: Future<Output = T> + Send + 'static,
{
    let (supervisor, function) = (supervisor.clone(), Arc::new(function));
    let make_job = move |element, slot, callers, shutdown| {
        let (supervisor, function) = (supervisor.clone(), Arc::clone(&function));
        job(move |cx: &mut Context| {
            let starter = starter(cx);
            let body = move |cx| function(cx, element);
            let body = move |cx| supervised::give(cx, starter, body, keep_in(slot));
            let options = SpawnOptions::new().initial_call::<F>();
            let child = one_shot(options, callers, shutdown, body);
            Box::pin(async move { supervisor.start_child(cx, child).await })
        })
    };
    AsyncStream::new(source.into_iter(), Box::new(make_job), is_linked)
}

/// Fixes the type of a closure.
fn job<J>(job: J) -> Job
where
    J: for<'a> FnOnce(&'a mut Context) -> BoxFuture<'a, Result<Pid, ChildError>> + Send + 'static,
{
    Box::new(job)
}

/// The stream's monitor, whose Context it is, tells its tasks to begin.
fn starter(cx: &Context) -> Starter {
    Starter {
        pid: cx.pid(),
        is_watched: true,
    }
}

fn keep_in<T>(slot: Slot<T>) -> impl FnOnce(T) {
    move |value| *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(value)
}

impl<I: Iterator, T> AsyncStream<I, T> {
    fn new(source: I, make_job: MakeJob<I::Item, T>, is_linked: bool) -> Self {
        Self {
            source: Some(source),
            make_job,
            is_linked,
            max_concurrency: None,
            is_ordered: true,
            timeout: Timeout::After(AWAIT_TIMEOUT),
            kills_late: false,
            keep_input: None,
            shutdown: Shutdown::After(WORKER_SHUTDOWN),
            monitor: None,
            waiting: BTreeMap::new(),
            done: VecDeque::new(),
            refused: None,
            spawned: 0,
            running: 0,
            seen: 0,
        }
    }

    /// How many tasks run at a time: as many as there are schedulers online when the stream starts, unless told
    /// otherwise. With `ordered` more results may wait behind a slow one.
    ///
    /// # Panics
    /// With 0, by which nothing would ever run.
    pub fn max_concurrency(mut self, tasks: usize) -> Self {
        assert!(
            tasks > 0,
            "max_concurrency must be an integer greater than zero"
        );
        self.max_concurrency = Some(tasks);
        self
    }

    /// Whether the results come in the order of the elements, as they do unless told otherwise, or as the tasks end.
    pub fn ordered(mut self, ordered: bool) -> Self {
        self.is_ordered = ordered;
        self
    }

    /// How long each task may take, from its start: 5 seconds unless told otherwise. A task that takes longer is
    /// killed, and the consumer **exits** with `{timeout, {task, async_stream, [Timeout]}}`.
    pub fn timeout(mut self, after: impl Into<Timeout>) -> Self {
        self.timeout = after.into();
        self
    }

    /// Makes a task that takes too long an error among the results, `timeout`, and the consumer goes on. `on_timeout:
    /// :kill_task`.
    pub fn kill_task_on_timeout(mut self) -> Self {
        self.kills_late = true;
        self
    }

    /// Gives the element back with the error, `{exit, {Element, Reason}}`: so it is cloned for its task.
    pub fn zip_input_on_exit(mut self) -> Self
    where
        I::Item: Clone,
    {
        self.keep_input = Some(Clone::clone);
        self
    }

    /// How the supervisor of the tasks ends them when it ends itself: 5 seconds unless told otherwise. Of no account
    /// without a supervisor.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// What can be delivered now.
    fn deliver(&mut self) -> Option<Result<T, StreamError<I::Item>>> {
        if let Some(error) = self.refused.take() {
            self.end();
            return Some(Err(StreamError::Start(error)));
        }
        let position = if self.is_ordered {
            let (&first, waiting) = self.waiting.first_key_value()?;
            waiting.fate.as_ref().map(|_| first)?
        } else {
            self.done.pop_front()?
        };
        let waiting = self.waiting.remove(&position)?;
        let value = waiting.take();
        let reason = match waiting.fate {
            Some(Fate::Down(reason)) => reason,
            _ => ExitReason::timeout(),
        };
        Some(value.ok_or(StreamError::Exit {
            reason,
            input: waiting.input,
        }))
    }

    /// Starts as many tasks as may run. The iterator is the program's, and may panic: all is as it was then.
    fn fill(&mut self, cx: &Context) {
        let max = self
            .max_concurrency
            .unwrap_or_else(|| cx.vm().schedulers_online());
        while self.running < max
            && self.refused.is_none()
            && let Some(source) = &mut self.source
        {
            let Some(element) = source.next() else {
                self.source = None;
                return;
            };
            if let Err(error) = self.spawn(cx, element) {
                self.refused = Some(error);
            }
        }
    }

    fn spawn(&mut self, cx: &Context, element: I::Item) -> Result<(), ChildError> {
        let monitor = match &self.monitor {
            Some(monitor) => monitor.pid,
            None => self.start(cx)?,
        };
        let slot = Slot::default();
        let input = self.keep_input.map(|keep| keep(&element));
        let job = (self.make_job)(element, Arc::clone(&slot), callers(cx), self.shutdown);
        let order = Order::Spawn(self.spawned, Native::new(job));
        if let Err(error) = cx.cast(monitor, &order) {
            return Err(ChildError::Start(StartError::Spawn(error.to_string())));
        }
        let waiting = Waiting {
            slot,
            input,
            fate: None,
        };
        self.waiting.insert(self.spawned, waiting);
        self.spawned += 1;
        self.running += 1;
        Ok(())
    }

    /// Starts the process behind the stream.
    fn start(&mut self, cx: &Context) -> Result<Pid, ChildError> {
        let traps_exits = cx.trap_exit(true);
        cx.trap_exit(traps_exits);
        let plan = Plan {
            consumer: cx.pid(),
            traps_exits,
            is_linked: self.is_linked,
            timeout: self.timeout,
        };
        // What ends it is told to the consumer: it is no crash of its own.
        let origin = cx.child_origin();
        let spawned = cx.spawn_opt(SpawnOptions::new().label("task_stream"), move |cx| {
            cx.set_origin(Some(origin));
            monitor(cx, plan)
        });
        let pid = match spawned {
            Ok(spawned) => spawned.pid,
            Err(error) => return Err(ChildError::Start(error.into())),
        };
        self.monitor = Some(MonitorHandle {
            vm: cx.vm().clone(),
            pid,
            consumer: cx.pid(),
        });
        Ok(pid)
    }

    /// Waits for news of the tasks.
    async fn hear(&mut self, cx: &mut Context) {
        let Some(monitor) = &self.monitor else { return };
        let ask = Ask::Events(self.seen);
        let events: Events = match cx.call(monitor.pid, &ask, Timeout::Infinity).await {
            Ok(events) => events,
            Err(error) => self.exit(cx, error.into()),
        };
        for (position, fate) in events {
            self.seen += 1;
            self.running -= 1;
            let Some(waiting) = self.waiting.get_mut(&position) else {
                continue;
            };
            match fate {
                Fate::Refused(error) => self.refused = Some(error),
                Fate::TimedOut if !self.kills_late && waiting.is_empty() => {
                    self.exit(cx, ExitReason::timeout())
                }
                fate => {
                    waiting.fate = Some(fate);
                    if !self.is_ordered {
                        self.done.push_back(position);
                    }
                }
            }
        }
    }

    /// Ends the consumer, and the tasks.
    fn exit(&mut self, cx: &Context, reason: ExitReason) -> ! {
        self.end();
        let arguments = [limit(self.timeout)];
        failure::exit(cx, reason, Function::AsyncStream, arguments.as_slice())
    }

    /// Nothing comes any more. The tasks are ended, if there are any.
    fn end(&mut self) {
        self.source = None;
        self.waiting.clear();
        self.done.clear();
        self.monitor = None;
    }
}

impl<I: Iterator, T: Send + 'static> AsyncStream<I, T> {
    /// The next result; None after the last, when all tasks are gone. Elixir's stream is consumed so by `Enum` and
    /// `Stream`; here it is a loop, or [`collect`](Self::collect).
    ///
    /// **Exits the caller** when a task takes too long, unless [they are killed](Self::kill_task_on_timeout). Dropping
    /// the future loses nothing.
    ///
    /// # Panics
    /// When somebody else began to consume it; and when the iterator does.
    pub async fn next(&mut self, cx: &mut Context) -> Option<Result<T, StreamError<I::Item>>> {
        if let Some(monitor) = &self.monitor {
            let (consumer, me) = (monitor.consumer, cx.pid());
            assert_eq!(
                consumer, me,
                "{consumer} consumes this stream, and {me} can't go on with it: send the results on"
            );
        }
        loop {
            if let Some(result) = self.deliver() {
                return Some(result);
            }
            self.fill(cx);
            if self.waiting.is_empty() && self.refused.is_none() {
                self.close(cx).await;
                return None;
            }
            if self.refused.is_none() {
                self.hear(cx).await;
            }
        }
    }

    /// All results. `Enum.to_list/1`.
    ///
    /// # Panics
    /// As [`next`](Self::next).
    pub async fn collect(mut self, cx: &mut Context) -> Vec<Result<T, StreamError<I::Item>>> {
        let mut results = Vec::new();
        while let Some(result) = self.next(cx).await {
            results.push(result);
        }
        results
    }

    /// Runs it for its side effects, and drops the results. `Stream.run/1`.
    ///
    /// # Panics
    /// As [`next`](Self::next).
    pub async fn run(mut self, cx: &mut Context) {
        while self.next(cx).await.is_some() {}
    }

    /// Ends it: when this returns its tasks are gone, and what was not delivered is dropped. Without it, dropping the
    /// stream ends them a moment later.
    pub async fn close(&mut self, cx: &mut Context) {
        if let Some(monitor) = &self.monitor {
            // It does not answer, but end.
            let _: Result<(), _> = cx.call(monitor.pid, &Ask::Stop, Timeout::Infinity).await;
        }
        self.end();
    }
}

impl<T, E> Waiting<T, E> {
    fn take(&self) -> Option<T> {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.take()
    }

    fn is_empty(&self) -> bool {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.is_none()
    }
}

impl<I: Iterator, T> fmt::Debug for AsyncStream<I, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AsyncStream")
            .field("spawned", &self.spawned)
            .field("running", &self.running)
            .finish_non_exhaustive()
    }
}
