//! Waiting for many tasks at once.

use std::time::Duration;

use otp_vm::{Context, ExitReason, Message, Pid, Ref, Timeout};

use super::failure::{self, Function, Pair, nodedown};
use super::news::{News, news};
use super::{AWAIT_TIMEOUT, Task, TaskResult, limit};
use crate::supervisor::Shutdown;
use crate::vm_made::MapByVmMade;

/// Most tasks that are named in the reason of an owner that waited for many in vain: a reason is copied to all who are
/// linked. Chosen by feel.
const MAX_NAMED: usize = 100;

/// What becomes of tasks that are not done in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnTimeout {
    /// They run on, and can be waited for again. `nothing`.
    #[default]
    Nothing,
    /// They run on, and nothing comes of them any more: [`Task::ignore`]. `ignore`.
    Ignore,
    /// They are killed: [`Task::shutdown`]. `kill_task`.
    KillTask,
}

/// How [`Task::yield_many`] waits: the options of `Task.yield_many/2`.
#[derive(Clone, Copy, Debug)]
pub struct YieldMany {
    timeout: Timeout,
    limit: usize,
    on_timeout: OnTimeout,
}

impl YieldMany {
    /// For at most [`AWAIT_TIMEOUT`], for all tasks; what is not done runs on.
    pub fn new() -> Self {
        Self {
            timeout: Timeout::After(AWAIT_TIMEOUT),
            limit: usize::MAX,
            on_timeout: OnTimeout::Nothing,
        }
    }

    /// How long to wait, over all.
    pub fn timeout(mut self, after: impl Into<Timeout>) -> Self {
        self.timeout = after.into();
        self
    }

    /// Waits for so many tasks only. When as many have ended, it is over at once, and nothing is done to the others.
    pub fn limit(mut self, tasks: usize) -> Self {
        self.limit = tasks;
        self
    }

    /// What becomes of those that are not done in time.
    pub fn on_timeout(mut self, on_timeout: OnTimeout) -> Self {
        self.on_timeout = on_timeout;
        self
    }
}

impl Default for YieldMany {
    fn default() -> Self {
        Self::new()
    }
}

/// Which of the tasks are waited for, by their references.
struct Awaited {
    places: MapByVmMade<Ref, usize>,
    /// Until when, by the VM's clock in nanoseconds.
    deadline: Option<u64>,
}

impl Awaited {
    fn new<T: Send + 'static>(cx: &Context, tasks: &[Task<T>], after: Timeout) -> Self {
        let mut places = MapByVmMade::default();
        for (place, task) in tasks.iter().enumerate() {
            task.check_owner(cx);
            places.insert(task.reference, place);
        }
        let deadline = match after {
            Timeout::Infinity => None,
            Timeout::After(after) => {
                let after = u64::try_from(after.as_nanos()).unwrap_or(u64::MAX);
                Some(cx.monotonic_time().saturating_add(after))
            }
        };
        Self { places, deadline }
    }

    /// The next news, of whichever task. None when the time is over, and none is there.
    async fn next<T: Send + 'static>(&mut self, cx: &mut Context) -> Option<(usize, News<T>)> {
        let node = cx.node();
        let after = self
            .deadline
            .map(|deadline| Duration::from_nanos(deadline.saturating_sub(cx.monotonic_time())));
        let places = &self.places;
        let select =
            |message: &Message| news(message, node, |reference| places.contains_key(&reference));
        let (reference, news) = cx.receive_where(after, select).await?;
        if let News::Reply(_) = news {
            cx.demonitor_flush(reference);
        }
        self.places.remove(&reference).map(|place| (place, news))
    }

    fn demonitor(&self, cx: &Context) {
        for &reference in self.places.keys() {
            cx.demonitor_flush(reference);
        }
    }
}

impl<T: Send + 'static> Task<T> {
    /// Waits for the values of all, for at most [`AWAIT_TIMEOUT`] in all. They are in the order of the tasks.
    /// `Task.await_many/1`.
    ///
    /// **Exits the caller** when a task ends without a value, at once, with `{Reason, {task, await_many, [Pids,
    /// Timeout]}}`, and when the time is over; tasks that are linked with it end with it. Dropping the future drops the
    /// tasks, which run on.
    ///
    /// # Panics
    /// When called by another process than the owner of all.
    pub async fn await_many(cx: &mut Context, tasks: impl IntoIterator<Item = Self>) -> Vec<T> {
        Self::await_many_timeout(cx, tasks, AWAIT_TIMEOUT).await
    }

    /// As [`await_many`](Self::await_many), with a time of the caller's. `Task.await_many/2`.
    ///
    /// # Panics
    /// As [`await_many`](Self::await_many).
    pub async fn await_many_timeout(
        cx: &mut Context,
        tasks: impl IntoIterator<Item = Self>,
        after: impl Into<Timeout>,
    ) -> Vec<T> {
        let (tasks, after) = (Vec::from_iter(tasks), after.into());
        let mut awaited = Awaited::new(cx, &tasks, after);
        let mut values: Vec<Option<T>> = tasks.iter().map(|_| None).collect();
        while !awaited.places.is_empty() {
            let reason = match awaited.next(cx).await {
                Some((place, News::Reply(value))) => {
                    values[place] = Some(value);
                    continue;
                }
                Some((_, News::Down(reason))) => reason,
                Some((_, News::Lost(node))) => nodedown(node),
                None => ExitReason::timeout(),
            };
            awaited.demonitor(cx);
            let arguments = Pair(named(&tasks), limit(after));
            failure::exit(cx, reason, Function::AwaitMany, arguments)
        }
        // Two tasks of one reference can't be told apart: there is one value for both.
        values.into_iter().flatten().collect()
    }

    /// Waits for many tasks, and gives for each what [`yield_`](Self::yield_) would, in their order.
    /// `Task.yield_many/2`.
    ///
    /// None is for a task that is not done; with [`OnTimeout::Ignore`] and [`OnTimeout::KillTask`] also for one of
    /// which nothing comes any more.
    ///
    /// ```
    /// use std::time::Duration;
    /// use otp_stdlib::prelude::*;
    /// use otp_stdlib::task::{OnTimeout, YieldMany};
    /// use otp_vm::{Context, Vm};
    ///
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let results = vm.run(async |mut cx: Context| {
    /// let seconds = [0, 600];
    /// let mut tasks = seconds.map(|seconds| {
    ///     let body = async move |cx: Context| {
    ///         cx.sleep(Duration::from_secs(seconds)).await;
    ///         seconds
    ///     };
    ///     Task::async_(&cx, body).unwrap()
    /// });
    /// let options = YieldMany::new()
    ///     .timeout(Duration::from_millis(100))
    ///     .on_timeout(OnTimeout::KillTask);
    /// let results = Task::yield_many(&mut cx, &mut tasks, options).await;
    /// # results });
    /// # let results = results.wait()?;
    /// assert_eq!(results, [Some(Ok(0)), None]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// **Exits the caller** when a task's node is gone. Dropping the future loses the values that it had by then.
    ///
    /// # Panics
    /// When called by another process than the owner of all.
    pub async fn yield_many(
        cx: &mut Context,
        tasks: &mut [Self],
        options: YieldMany,
    ) -> Vec<Option<TaskResult<T>>> {
        let mut awaited = Awaited::new(cx, tasks, options.timeout);
        let mut results: Vec<Option<TaskResult<T>>> = tasks.iter().map(|_| None).collect();
        let mut ended = 0;
        while !awaited.places.is_empty() && ended < options.limit {
            match awaited.next(cx).await {
                Some((place, News::Reply(value))) => results[place] = Some(Ok(value)),
                Some((place, News::Down(reason))) => results[place] = Some(Err(reason)),
                Some((_, News::Lost(node))) => {
                    let arguments = Pair(named(tasks), limit(options.timeout));
                    failure::exit(cx, nodedown(node), Function::YieldMany, arguments)
                }
                None => {
                    for (task, result) in tasks.iter_mut().zip(&mut results) {
                        if result.is_none() {
                            *result = match options.on_timeout {
                                OnTimeout::Nothing => None,
                                OnTimeout::Ignore => task.let_go(cx).await,
                                OnTimeout::KillTask => {
                                    task.shut_down(cx, Shutdown::BrutalKill).await
                                }
                            };
                        }
                    }
                    break;
                }
            }
            ended += 1;
        }
        results
    }
}

fn named<T>(tasks: &[Task<T>]) -> Vec<Option<Pid>> {
    tasks.iter().take(MAX_NAMED).map(|task| task.pid).collect()
}
