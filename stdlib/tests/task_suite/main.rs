//! Cases of Elixir's `task_test.exs`. Each test bears the case's name; `docs/compat/task.md` has the list.
//!
//! They run in simulations: in virtual time, and in an order that each seed decides.

mod async_stream_2;
mod async_stream_with_max_concurrency_n_tasks;
mod await_2;
mod await_many_2;
#[path = "../common/mod.rs"]
mod common;
mod default_logger_reporter;
mod ignore_1;
mod shutdown_2;
mod shutdown_2_with_brutal_kill;
#[path = "../common/simulated.rs"]
mod simulated;
mod starting;
#[path = "../common/streams.rs"]
mod streams;
mod yield_2;
mod yield_many_2;

use common::{down, ended};
use otp_stdlib::Task;
use otp_stdlib::supervisor::Shutdown;
use otp_vm::{
    AliasMode, Atom, BoxFuture, Context, ExitReason, MonitorOptions, Native, Pid, Ref, Timeout,
    atoms, module,
};

pub use simulated::{catch_exit, no_message, simulated};

module! {
    /// What tasks run by name.
    pub mod task_test {
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

/// The next message, which must be this text.
pub async fn expect(cx: &mut Context, text: &str) {
    let taken = cx
        .receive_matching(common::LIMIT, |message| message.decode() == Ok(text))
        .await;
    assert!(taken.is_some(), "no {text} came");
}

/// An atom as a reason.
pub fn atom(text: &str) -> ExitReason {
    Atom::new(text).unwrap().into()
}

/// A body that waits for the message `go`, and gives what is said.
pub fn on_go<T: Send + 'static>(
    ends: impl FnOnce(&Context) -> T + Send + 'static,
) -> impl FnOnce(Context) -> BoxFuture<'static, T> + Send + 'static {
    move |mut cx: Context| {
        Box::pin(async move {
            expect(&mut cx, "go").await;
            ends(&cx)
        })
    }
}

/// A task that never ends.
pub fn stuck<T: Send + 'static>(cx: &Context) -> Task<T> {
    Task::async_(cx, |mut cx| async move {
        common::for_ever(&mut cx).await;
        unreachable!()
    })
    .unwrap()
}

/// A task without a process, whose messages the test sends.
pub fn by_hand<T: Send + 'static>(cx: &Context) -> Task<T> {
    Task::of(cx, None, cx.make_ref())
}

/// The result of a task.
pub fn send_reply<T: Send + 'static>(cx: &Context, task: Ref, value: T) {
    cx.send(cx.pid(), &(task, Native::new(value))).unwrap();
}

/// The end of a task, sent as a mere message.
pub fn send_down<O: serde::Serialize>(cx: &Context, task: Ref, object: O, reason: &ExitReason) {
    let down = (atoms::DOWN, task, atoms::PROCESS, object, reason);
    cx.send(cx.pid(), &down).unwrap();
}

/// A task whose process has ended with `reason`, and may have replied before: its messages wait.
pub async fn dummy<T: Send + 'static>(
    cx: &mut Context,
    reply: Option<T>,
    reason: ExitReason,
) -> Task<T> {
    let (pid, monitor) = cx
        .spawn_monitor(|mut cx: Context| async move {
            let to = cx.receive().await.decode::<Ref>().unwrap();
            if let Some(value) = reply {
                cx.send(to, &(to, Native::new(value))).unwrap();
            }
            reason
        })
        .unwrap();
    let reference = cx.monitor_opt(pid, MonitorOptions::new().alias(AliasMode::Demonitor));
    cx.send(pid, &reference).unwrap();
    down(cx, monitor).await;
    cx.yield_now().await;
    Task::of(cx, Some(pid), reference)
}

/// A task of somebody else.
pub async fn of_another_process(cx: &mut Context) -> Task<()> {
    let caller = cx.pid();
    cx.spawn(move |cx: Context| async move {
        let task = Task::async_(&cx, async |_| ()).unwrap();
        cx.send(caller, &Native::new(task)).unwrap();
    })
    .unwrap();
    let message = cx.receive().await;
    message
        .decode::<Native<Task<()>>>()
        .unwrap()
        .into_inner()
        .unwrap()
}

/// What somebody is told who is not the owner.
pub fn not_the_owner(cx: &Context, owner: Pid) -> [String; 2] {
    [
        format!("owner: {owner:?}"),
        format!(
            "must be queried from the owner but was queried from {}",
            cx.pid()
        ),
    ]
}

/// The reason has all these texts.
pub fn assert_says(reason: &ExitReason, texts: &[String]) {
    let reason = reason.to_string();
    let lacks = texts.iter().find(|text| !reason.contains(*text));
    assert_eq!(lacks, None, "{reason}");
}

/// Waits until its process has ended, and its messages are there.
pub async fn wait_until_down<T: Send + 'static>(cx: &mut Context, task: &Task<T>) {
    ended(cx, task.pid().expect("a process")).await;
    cx.yield_now().await;
}

/// The same task once more, as one that was not handled yet.
pub fn again<T: Send + 'static>(cx: &Context, task: &Task<T>) -> Task<T> {
    Task::of(cx, task.pid(), task.reference())
}

/// `{Reason, {task, await, [Pid, Timeout]}}`.
pub fn await_exit(reason: &str, task: Option<Pid>, timeout: &str) -> String {
    let task = task.map_or("nil".to_owned(), |pid| pid.to_string());
    format!("{{{reason},{{task,await,[{task},{timeout}]}}}}")
}

/// A task that traps exits, and waits for something else.
pub async fn trapping(cx: &mut Context) -> Task<()> {
    let caller = cx.pid();
    let task = Task::async_(cx, move |mut cx: Context| async move {
        cx.trap_exit(true);
        cx.send(caller, "ready").unwrap();
        common::for_ever(&mut cx).await;
    });
    expect(cx, "ready").await;
    task.unwrap()
}

/// What a shutdown gives of a task that ended with `reason`, and replied before if there is a reply.
async fn shut_down(
    cx: &mut Context,
    how: Shutdown,
    reply: Option<&'static str>,
    reason: ExitReason,
) -> Option<Result<&'static str, ExitReason>> {
    let task = dummy(cx, reply, reason).await;
    let result = task.shutdown(cx, how).await;
    assert!(no_message(cx).await);
    result
}

/// A task whose `DOWN` says `noconnection`: who shuts it down exits, with these arguments behind the task's pid.
async fn shut_down_without_connection(cx: &mut Context, how: Shutdown, shown: &str) {
    let (gone, monitor) = cx.spawn_monitor(async |_| ()).unwrap();
    down(cx, monitor).await;
    let task = Task::<()>::of(cx, Some(gone), cx.make_ref());
    send_down(cx, task.reference(), gone, &atom("noconnection"));
    let reason = catch_exit(task.shutdown(cx, how)).await.to_string();
    let lost = "{nodedown,nonode@nohost}";
    assert_eq!(
        reason,
        format!("{{{lost},{{task,shutdown,[{gone},{shown}]}}}}")
    );
}

/// A task whose `DOWN` was handled before.
async fn shut_down_once_handled(cx: &mut Context, how: Shutdown) {
    let noproc = Some(Err(ExitReason::noproc()));
    let task = dummy::<()>(cx, None, atom("noproc")).await;
    let mut handled = again(cx, &task);
    assert_eq!(handled.yield_(cx, None).await, noproc);
    assert_eq!(task.shutdown(cx, how).await, noproc);
}
