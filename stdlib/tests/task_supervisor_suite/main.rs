//! Cases of Elixir's `task/supervisor_test.exs`. Each test bears the case's name; `docs/compat/task_supervisor.md` has
//! the list. They run in simulations, as those of tasks.

mod async_1;
mod async_nolink_1;
mod async_stream;
mod async_stream_nolink;
mod await_1;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/simulated.rs"]
mod simulated;
mod starting;
#[path = "../common/streams.rs"]
mod streams;

use common::{LIMIT, down};
use otp_stdlib::prelude::*;
use otp_stdlib::proc_lib::translate_initial_call;
use otp_stdlib::supervisor::ChildError;
use otp_stdlib::task::{AsyncStream, StreamError, TaskMessage};
use otp_vm::{Atom, Call, Context, ExitReason, InitialCall, Mfa, Pid, Timeout, module};

pub use simulated::{catch_exit, no_message, simulated};
use streams::{Result, ok};

module! {
    /// What tasks run by name.
    pub mod task_supervisor_test {
        /// Says that it is ready, waits until it may go on, and sends the text.
        pub async fn wait_and_send(cx: &mut Context, caller: Pid, text: String) -> String {
            super::wait_and_send(cx, caller, &text).await
        }

        /// Sleeps so many milliseconds.
        pub async fn sleep(cx: &mut Context, millis: u64) -> u64 {
            cx.sleep(std::time::Duration::from_millis(millis)).await;
            millis
        }
    }
}

/// Says that it is ready, waits until it may go on, and sends the text.
pub async fn wait_and_send(cx: &mut Context, caller: Pid, text: &str) -> String {
    cx.send(caller, "ready").unwrap();
    cx.receive_matching(Timeout::Infinity, |message| message.decode() == Ok("go"))
        .await;
    cx.send(caller, text).unwrap();
    text.to_owned()
}

/// The next message that is this text.
pub async fn expect(cx: &mut Context, text: &str) {
    let taken = cx
        .receive_matching(LIMIT, |message| message.decode() == Ok(text))
        .await;
    assert!(taken.is_some(), "no {text} came");
}

/// An atom as a reason.
pub fn atom(text: &str) -> ExitReason {
    Atom::new(text).unwrap().into()
}

/// Elixir's defaults.
pub fn flags() -> DynamicSupervisorFlags {
    DynamicSupervisorFlags::new()
}

/// A supervisor of tasks, linked to the caller, who is the only one above it.
pub async fn supervisor(cx: &mut Context) -> TaskSupervisorRef {
    TaskSupervisor::start_link(cx, flags()).await.unwrap()
}

/// Whom the caller is linked with.
pub fn links(cx: &Context) -> Vec<Pid> {
    cx.process_info(cx.pid()).expect("it is alive").links
}

/// The supervisor's tasks.
pub async fn children(cx: &mut Context, supervisor: &TaskSupervisorRef) -> Vec<Pid> {
    TaskSupervisor::children(supervisor, cx).await.unwrap()
}

/// The initial call is a closure of this suite.
pub fn assert_closure(cx: &Context, pid: Pid) {
    match translate_initial_call(cx.vm(), pid) {
        Some(InitialCall::Fun(name)) => assert!(name.contains("task_supervisor_suite"), "{name}"),
        other => panic!("{other:?}"),
    }
}

/// What a task by name has begun with.
pub fn mfa() -> InitialCall {
    InitialCall::Mfa(Mfa {
        module: Atom::new("task_supervisor_test").unwrap(),
        function: Atom::new("wait_and_send").unwrap(),
        arity: 2,
    })
}

/// A call of `wait_and_send`, of a module that is loaded.
pub fn call(cx: &Context) -> Call {
    cx.vm().load_module(task_supervisor_test::module()).unwrap();
    Call::new("task_supervisor_test", "wait_and_send", &(cx.pid(), "done")).unwrap()
}

/// On whose behalf a process runs, and who is above it.
pub fn origin(cx: &Context) -> (Vec<Pid>, Vec<String>) {
    let origin = cx.origin().expect("it is noted");
    let ancestors = origin.ancestors().iter().map(ToString::to_string);
    (origin.callers.clone(), ancestors.collect())
}

/// Pids as ancestors have them.
pub fn texts(pids: &[Pid]) -> Vec<String> {
    pids.iter().map(ToString::to_string).collect()
}

/// A task's reply, and the message of its monitor.
pub async fn reply_and_down(cx: &mut Context, task: &Task<String>) {
    let of = task.reference();
    let reply = cx.receive_as::<TaskMessage<String>>(LIMIT).await;
    assert_eq!(reply, Some(TaskMessage::Reply(of, "done".into())));
    let down = cx.receive_as::<TaskMessage<String>>(LIMIT).await;
    assert_eq!(down, Some(TaskMessage::Down(of, ExitReason::normal())));
}

/// Shuts the supervisor down, and gives the reason with which the task ended that the caller monitors.
pub async fn shutdown_reason(
    cx: &mut Context,
    supervisor: &TaskSupervisorRef,
    task: Pid,
) -> ExitReason {
    let monitor = cx.monitor(task);
    cx.exit_process(supervisor.pid().unwrap(), ExitReason::shutdown());
    down(cx, monitor).await
}

/// A supervisor with one child, which is all that it may have.
pub async fn full(cx: &mut Context) -> TaskSupervisorRef {
    let full = TaskSupervisor::start_link(cx, flags().max_children(1))
        .await
        .unwrap();
    let stuck = async |mut cx: Context| common::for_ever(&mut cx).await;
    TaskSupervisor::start_child(&full, cx, stuck).await.unwrap();
    full
}

/// It was refused for want of room.
pub fn assert_full<T>(refused: std::result::Result<T, ChildError>) {
    match refused {
        Err(ChildError::MaxChildren(1)) => {}
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it starts"),
    }
}

/// The first of a stream's results; the stream is ended, and nothing of it is left.
pub async fn first_of_stuck(
    cx: &mut Context,
    supervisor: &TaskSupervisorRef,
    mut stream: AsyncStream<std::array::IntoIter<u64, 4>, u64>,
) {
    assert_eq!(stream.next(cx).await, Some(Ok(0)));
    stream.close(cx).await;
    assert_eq!(links(cx), [supervisor.pid().unwrap()]);
    assert_eq!(children(cx, supervisor).await, []);
    assert!(no_message(cx).await);
}

/// A stream whose supervisor refuses its second task: it ends, and leaves nothing.
pub async fn refused_stream(
    cx: &mut Context,
    make: impl FnOnce(&TaskSupervisorRef) -> AsyncStream<std::array::IntoIter<u64, 3>, u64>,
) {
    let unused = supervisor(cx).await;
    let one = TaskSupervisor::start_link(cx, flags().max_children(1))
        .await
        .unwrap();
    let mut stream = make(&one).max_concurrency(2);
    match stream.next(cx).await {
        Some(Err(error @ StreamError::Start(ChildError::MaxChildren(1)))) => {
            assert!(error.to_string().contains("max_concurrency"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(stream.next(cx).await, None);
    cx.sleep(std::time::Duration::from_secs(1)).await;
    let mut expected = [unused.pid().unwrap(), one.pid().unwrap()];
    let mut linked = links(cx);
    expected.sort();
    linked.sort();
    assert_eq!(linked, expected);
    assert_eq!(children(cx, &one).await, []);
    assert_eq!(cx.vm().processes().len(), 3);
    assert!(no_message(cx).await);
}

/// By turns first, so that whoever starts it has its monitor: a case of Elixir's does so.
pub async fn yield_and_exit(cx: Context, value: u64) -> u64 {
    cx.yield_now().await;
    cx.exit(ExitReason::new(&value))
}

/// What a stream over functions of a module gives.
pub async fn values<I>(cx: &mut Context, stream: AsyncStream<I, u64>) -> Vec<Result>
where
    I: Iterator<Item = Call>,
{
    let results = stream.collect(cx).await;
    let value = |result: std::result::Result<u64, StreamError<Call>>| Ok(result.expect("a value"));
    results.into_iter().map(value).collect()
}

/// Calls of `sleep`, of a module that is loaded.
pub fn sleep_calls(cx: &Context) -> impl Iterator<Item = Call> + Send + 'static {
    cx.vm().load_module(task_supervisor_test::module()).unwrap();
    (1_u64..=4).map(|n| Call::new("task_supervisor_test", "sleep", &(n,)).unwrap())
}

/// What `sleep` gives for one to four.
pub fn one_to_four() -> Vec<Result> {
    ok(1..=4)
}

/// A task that waits in [`wait_and_send`]: under its supervisor, linked to its owner or not, it goes on and replies.
async fn works(
    cx: &mut Context,
    supervisor: &TaskSupervisorRef,
    task: &Task<String>,
    is_linked: bool,
) {
    let pid = task.pid().expect("a process");
    assert_eq!(children(cx, supervisor).await, [pid]);
    assert_eq!(links(cx).contains(&pid), is_linked);
    expect(cx, "ready").await;
    assert_closure(cx, pid);
    cx.send(pid, "go").unwrap();
    expect(cx, "done").await;
    reply_and_down(cx, task).await;
}

/// A task that its supervisor kills when that ends.
async fn is_killed(cx: &mut Context, supervisor: &TaskSupervisorRef, mut task: Task<String>) {
    let reason = shutdown_reason(cx, supervisor, task.pid().expect("a process")).await;
    assert_eq!(reason, ExitReason::killed());
    assert_eq!(task.yield_(cx, None).await, Some(Err(reason)));
}
