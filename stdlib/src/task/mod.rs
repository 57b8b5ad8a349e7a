//! One computation in a process of its own, and its result: Elixir's `Task`.
//!
//! | function | mirrors |
//! | --- | --- |
//! | [`Task::async_`], [`await_`](Task::await_), [`await_many`](Task::await_many) | `Task.async/1`, `await/2`, `await_many/2` |
//! | [`yield_`](Task::yield_), [`yield_many`](Task::yield_many), [`shutdown`](Task::shutdown), [`ignore`](Task::ignore) | `yield/2`, `yield_many/2`, `shutdown/2`, `ignore/1` |
//! | [`async_stream`](Task::async_stream) | `async_stream/3` |
//! | [`start`](Task::start), [`start_link`](Task::start_link), [`completed`](Task::completed), [`child_spec`](Task::child_spec) | the same |
//! | [`TaskSupervisor`] | `Task.Supervisor` |
//!
//! # Protocol
//!
//! 1. [`Task::async_`] spawns the process, linked and monitored; the caller is its *owner*. The monitor's reference is
//!    an alias of the owner at the same time, and the process is told it: then it begins.
//! 2. When the body is done, its value goes to that reference as the message `{Ref, Value}`, and the process ends with
//!    `normal`. The value is moved: it travels as a [native resource](otp_vm::Native), so it need be no term, nor
//!    `Sync`. (It could lie in a place that both share; but then who kills a task and goes on would not know whether a
//!    value comes yet, and a server could not take it among its messages.)
//! 3. The owner waits for that message, or for the `DOWN`. With a value it takes the monitor back, and nothing more
//!    comes. Without one, the reason is the error.
//! 4. Whoever gives a task up ([`await_`](Task::await_) by its time limit, [`ignore`](Task::ignore),
//!    [`shutdown`](Task::shutdown)) takes the monitor back, and so the alias: a value that comes later is dropped by
//!    the VM, in the task's process, and never shows up in the mailbox.
//! 5. Only the owner can wait: the messages come to it. Anybody else panics.
//!
//! A task knows on whose behalf it runs ([`Origin::callers`](otp_vm::Origin), Elixir's `$callers`), and who is above
//! it.
//!
//! # Races
//!
//! * A task that fails takes its owner along, by the link, unless the owner traps exits; then it gets an `EXIT` message
//!   besides the error, as in Elixir. Not so one of [`TaskSupervisor::async_nolink`].
//! * An owner that ends takes the task along, by the link, unless it ends with `normal` or the task traps exits.
//! * A value may come at the moment in which a shutdown kills the task: it is given.
//! * A task that is dropped runs on, linked, and its messages come to the owner's mailbox: as is right for a server,
//!   which takes them as [`TaskMessage`]. When no result is wanted use [`Task::start_link`].
//! * The value is a message like any other: a mailbox with a [limit](otp_vm::MailboxLimit) may refuse it (the task ends
//!   with `{mailbox_limit, _}`) or drop it (the task ends with `normal`, and that is the error).
//!
//! # When not to use it
//!
//! A task that is awaited at once does what a plain call of the function would. A server that awaits a task keeps its
//! clients waiting: let the task reply to them ([`gen_server::From`](crate::gen_server::From) may be moved into it).
//! What is to run whatever becomes of its starter belongs under a [`TaskSupervisor`]. In the task's body
//! `cx.pid()` is the **task**, not its owner: a body that sends its result to `self()`, as one reads it now and then,
//! sends it to itself. Return it, or take the owner's pid before.
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
//!
//! With a limit, after which the task is ended; a value that came at the last moment is not lost:
//!
//! ```
//! # use std::time::Duration;
//! # use otp_stdlib::prelude::*;
//! # use otp_vm::{Context, Vm};
//! # let vm = Vm::builder().schedulers(1).build()?;
//! # let answer = vm.run(async |mut cx: Context| {
//! let mut task = Task::async_(&cx, async |_| 42).unwrap();
//! let answer = match task.yield_(&mut cx, Duration::from_secs(60)).await {
//!     Some(answer) => Some(answer),
//!     None => task.shutdown(&mut cx, Shutdown::BrutalKill).await,
//! };
//! # answer });
//! # assert_eq!(answer.wait()?, Some(Ok(42)));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod failure;
mod many;
mod news;
mod report;
mod start;
mod stop;
mod stream;
mod stream_monitor;
mod supervised;
mod supervisor;

use std::fmt;
use std::marker::PhantomData;
use std::time::Duration;

use otp_vm::{
    AliasMode, Call, Context, ExitReason, InitialCall, MonitorOptions, Native, Pid, ReceiveMark,
    Ref, SendError, SpawnError, SpawnOptions, Timeout,
};
use serde::de::DeserializeOwned;

pub use many::{OnTimeout, YieldMany};
pub use news::TaskMessage;
pub use report::TaskReport;
pub use stream::{AsyncStream, StreamError};
pub use supervised::apply;
pub use supervisor::{TaskOptions, TaskSupervisor, TaskSupervisorRef};

use crate::proc_lib::{callers, spawn_for};
use failure::{Function, Pair, nodedown};
use news::{News, news};
use supervised::Starter;

/// How long [`Task::await_`] waits: Elixir's 5 seconds.
pub const AWAIT_TIMEOUT: Duration = Duration::from_secs(5);

/// What becomes of a task: its value, or the reason with which it ended without one.
pub type TaskResult<T> = Result<T, ExitReason>;

/// A computation under way, in its owner's hands.
#[must_use = "a task that is not awaited leaves its messages in the mailbox; see Task::start_link"]
pub struct Task<T> {
    pid: Option<Pid>,
    reference: Ref,
    owner: Pid,
    mfa: Option<InitialCall>,
    /// What is older in the mailbox is not looked at.
    mark: Option<ReceiveMark>,
    value: PhantomData<fn() -> T>,
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
        Self::spawn(cx, closure::<B>(), body)
    }

    /// As [`async_`](Self::async_), for a function of a process module: see [`apply`]. `Task.async/3`.
    ///
    /// # Errors
    /// When no process can be made.
    pub fn async_apply(cx: &Context, call: Call) -> Result<Self, SpawnError>
    where
        T: DeserializeOwned,
    {
        let mfa = call.mfa().into();
        Self::spawn(cx, mfa, |cx| apply(cx, call))
    }

    fn spawn<B, F>(cx: &Context, mfa: InitialCall, body: B) -> Result<Self, SpawnError>
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let mark = cx.receive_mark();
        let options = SpawnOptions::new()
            .link()
            .monitor_opt(alias())
            .initial_call::<B>();
        let starter = Starter {
            pid: cx.pid(),
            is_watched: false,
        };
        let body = move |cx| supervised::reply(cx, starter, body);
        let spawned = spawn_for(cx, options, callers(cx), body)?;
        let Some(reference) = spawned.monitor else {
            unreachable!("a spawn with a monitor gave none");
        };
        supervised::begin(cx, spawned.pid, reference);
        Ok(Self {
            mfa: Some(mfa),
            mark: Some(mark),
            ..Self::of(cx, Some(spawned.pid), reference)
        })
    }

    /// A task that is made by hand, as Elixir's struct can be: the caller, its owner, waits for `{reference, Value}`,
    /// where the value is a [`Native<T>`](otp_vm::Native), or for the `DOWN` of the monitor `reference`. For a protocol
    /// of one's own, where something other than this module answers.
    ///
    /// ```
    /// # use otp_stdlib::Task;
    /// # use otp_vm::{AliasMode, Context, MonitorOptions, Native, Ref, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let value = vm.run(async |mut cx: Context| {
    ///     let server = cx.spawn(async |mut cx: Context| {
    ///         let to: Ref = cx.receive().await.decode().unwrap();
    ///         cx.send(to, &(to, Native::new("moved"))).unwrap();
    ///     });
    ///     let server = server.unwrap();
    ///     let to = cx.monitor_opt(server, MonitorOptions::new().alias(AliasMode::Demonitor));
    ///     cx.send(server, &to).unwrap();
    ///     Task::<&str>::of(&cx, Some(server), to).await_(&mut cx).await
    /// });
    /// assert_eq!(value.wait()?, "moved");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn of(cx: &Context, pid: Option<Pid>, reference: Ref) -> Self {
        Self {
            pid,
            reference,
            owner: cx.pid(),
            mfa: None,
            mark: None,
            value: PhantomData,
        }
    }

    /// A task that is done already, without a process: its value waits in the caller's mailbox. `Task.completed/1`.
    ///
    /// # Errors
    /// When the caller's own mailbox refuses it.
    pub fn completed(cx: &Context, value: T) -> Result<Self, SendError> {
        let reference = cx.make_ref();
        cx.send(cx.pid(), &(reference, Native::new(value)))?;
        Ok(Self::of(cx, None, reference))
    }

    /// The task's process; none of one that is [completed](Self::completed).
    pub fn pid(&self) -> Option<Pid> {
        self.pid
    }

    /// What the task's messages begin with: the reference of its monitor. `task.ref`.
    pub fn reference(&self) -> Ref {
        self.reference
    }

    /// Who may wait for it. `task.owner`.
    pub fn owner(&self) -> Pid {
        self.owner
    }

    /// What it runs: the function of a process module, or the name of a closure; None of a task that was made by hand.
    /// `task.mfa`, which of a closure says `erlang:apply/2` only.
    pub fn mfa(&self) -> Option<InitialCall> {
        self.mfa
    }

    /// Waits for the value, for at most [`AWAIT_TIMEOUT`]. `Task.await/1`.
    ///
    /// **Exits the caller** when the task ended without a value, with `{Reason, {task, await, [Pid, Timeout]}}`, and
    /// when the time is over, with `{timeout, {task, await, [Pid, Timeout]}}`. To get an error instead use
    /// [`yield_`](Self::yield_), and [`shutdown`](Self::shutdown) after it.
    ///
    /// Dropping the future drops the task, which runs on: in a `select!` use [`yield_`](Self::yield_).
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
    pub async fn await_timeout(self, cx: &mut Context, after: impl Into<Timeout>) -> T {
        let after = after.into();
        let reason = match self.news(cx, after).await {
            Some(News::Reply(value)) => {
                cx.demonitor_flush(self.reference);
                return value;
            }
            Some(News::Down(reason)) => reason,
            Some(News::Lost(node)) => nodedown(node),
            None => {
                cx.demonitor_flush(self.reference);
                ExitReason::timeout()
            }
        };
        failure::exit(cx, reason, Function::Await, Pair(self.pid, limit(after)))
    }

    /// Waits for the value, or for the reason why there is none; None when the time is over. Then the task is still the
    /// caller's, to be waited for again, shut down or ignored. `Task.yield/2`.
    ///
    /// Once it gave something there is nothing more to come: it waits in vain. Dropping the future loses nothing.
    ///
    /// # Panics
    /// As [`await_`](Self::await_).
    pub async fn yield_(
        &mut self,
        cx: &mut Context,
        after: impl Into<Timeout>,
    ) -> Option<TaskResult<T>> {
        let after = after.into();
        match self.news(cx, after).await? {
            News::Reply(value) => {
                cx.demonitor_flush(self.reference);
                Some(Ok(value))
            }
            News::Down(reason) => Some(Err(reason)),
            News::Lost(node) => {
                let arguments = Pair(self.pid, limit(after));
                failure::exit(cx, nodedown(node), Function::Yield, arguments)
            }
        }
    }

    /// Step 3 of the protocol. None: the time is over.
    async fn news(&self, cx: &mut Context, after: Timeout) -> Option<News<T>> {
        self.check_owner(cx);
        let (reference, node) = (self.reference, cx.node());
        let select = |message: &otp_vm::Message| {
            news(message, node, |of| of == reference).map(|(_, news)| news)
        };
        match &self.mark {
            Some(mark) => cx.receive_since(mark, after, select).await,
            None => cx.receive_where(after, select).await,
        }
    }

    fn check_owner(&self, cx: &Context) {
        let (owner, me) = (self.owner, cx.pid());
        assert_eq!(
            owner, me,
            "{self:?} must be queried from the owner but was queried from {me}: have the owner send its result on"
        );
    }
}

/// What a closure is called.
fn closure<B>() -> InitialCall {
    InitialCall::Fun(std::any::type_name::<B>())
}

/// A monitor whose reference is where the result goes.
fn alias() -> MonitorOptions {
    MonitorOptions::new().alias(AliasMode::Demonitor)
}

fn limit(after: impl Into<failure::Limit>) -> failure::Limit {
    after.into()
}

impl<T> fmt::Debug for Task<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Task")
            .field("pid", &self.pid)
            .field("reference", &self.reference)
            .field("owner", &self.owner)
            .field("mfa", &self.mfa)
            .finish_non_exhaustive()
    }
}
