//! `await/1`.

use std::time::Duration;

use super::*;

/// The reason of an owner that traps exits and waits for such a task.
async fn failure<B, F>(cx: &mut Context, body: B) -> (String, Pid)
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    cx.trap_exit(true);
    let supervisor = supervisor(cx).await;
    let task = TaskSupervisor::async_(&supervisor, cx, body).await.unwrap();
    let pid = task.pid().unwrap();
    (catch_exit(task.await_(cx)).await.to_string(), pid)
}

fn assert_panic(reason: &str, text: &str, pid: Pid) {
    assert!(
        reason.starts_with("{{panic,") && reason.contains(text),
        "{reason}"
    );
    assert!(
        reason.ends_with(&format!(",{{task,await,[{pid},5000]}}}}")),
        "{reason}"
    );
}

#[test]
fn demonitors_and_unalias_on_timeout() {
    simulated(|mut cx| async move {
        let supervisor = supervisor(&mut cx).await;
        let body = async |mut cx: Context| {
            expect(&mut cx, "go").await;
            "done"
        };
        let task = TaskSupervisor::async_(&supervisor, &mut cx, body)
            .await
            .unwrap();
        let pid = task.pid().unwrap();
        let reason = catch_exit(task.await_timeout(&mut cx, Duration::ZERO)).await;
        assert_eq!(
            reason.to_string(),
            format!("{{timeout,{{task,await,[{pid},0]}}}}")
        );
        let monitor = cx.monitor(pid);
        cx.send(pid, "go").unwrap();
        down(&mut cx, monitor).await;
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn exits_on_task_throw() {
    simulated(|mut cx| async move {
        let throws = failure(&mut cx, async |_| {
            std::panic::panic_any("unknown".to_owned())
        });
        let (reason, pid) = throws.await;
        assert_panic(&reason, "unknown", pid);
    });
}

#[test]
fn exits_on_task_error() {
    simulated(|mut cx| async move {
        let (reason, pid) = failure(&mut cx, async |_| panic!("oops")).await;
        assert_panic(&reason, "oops", pid);
    });
}

#[test]
fn exits_on_task_exit() {
    simulated(|mut cx| async move {
        let exits = failure(&mut cx, async |cx: Context| cx.exit(atom("unknown")));
        let (reason, pid) = exits.await;
        assert_eq!(reason, format!("{{unknown,{{task,await,[{pid},5000]}}}}"));
    });
}
