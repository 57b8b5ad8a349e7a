//! Cases of Elixir's `task_test.exs`, as behaviour, under their own names.

mod common;

use std::time::Duration;

use common::*;
use otp_stdlib::prelude::*;
use otp_vm::{Context, ExitReason};

/// Runs `body` as a process of its own and gives the reason of its end.
async fn fate<B, F>(cx: &mut Context, body: B) -> ExitReason
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let (_, monitor) = cx.spawn_monitor(body).unwrap();
    down(cx, monitor).await
}

#[test]
fn async_() {
    run(async |mut cx: Context| {
        // The result is moved: it need not be a term, nor Sync.
        let task = Task::async_(&cx, async |_| std::sync::mpsc::channel::<u32>()).unwrap();
        let links = cx.vm().process_info(cx.pid()).unwrap().links;
        assert!(links.contains(&task.pid()) || !cx.vm().is_alive(task.pid()));
        let (sender, receiver) = task.await_(&mut cx).await;
        sender.send(42).unwrap();
        assert_eq!(receiver.recv().unwrap(), 42);
        assert!(
            cx.receive_timeout(Duration::ZERO).await.is_none(),
            "no DOWN is left behind"
        );
    });
}

#[test]
fn start_and_start_link() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        Task::start(&cx, async move |cx: Context| cx.send(me, &"done").unwrap()).unwrap();
        assert_eq!(cx.receive().await.decode::<&str>().unwrap(), "done");
        cx.trap_exit(true);
        let pid = Task::start_link(&cx, async |cx: Context| cx.exit(reason("linked"))).unwrap();
        assert_eq!(exit_of(&mut cx, pid).await, reason("linked"));
    });
}

#[test]
fn await_exits_on_timeout() {
    run(async |mut cx: Context| {
        let reason = fate(&mut cx, async |mut cx: Context| {
            let task = Task::async_(&cx, async |mut cx: Context| for_ever(&mut cx).await).unwrap();
            task.await_timeout(&mut cx, Duration::from_millis(1)).await;
        });
        let reason = reason.await.to_string();
        assert!(reason.starts_with("{timeout,{task,await,"), "{reason}");
    });
}

#[test]
fn await_exits_on_task_error() {
    run(async |mut cx: Context| {
        // Trapping, so that the link does not come first.
        let reason = fate(&mut cx, async |mut cx: Context| {
            cx.trap_exit(true);
            let task = Task::<()>::async_(&cx, async |_| panic!("oops")).unwrap();
            task.await_(&mut cx).await;
        });
        let reason = reason.await.to_string();
        assert!(
            reason.starts_with("{{panic,") && reason.contains("oops"),
            "{reason}"
        );
        assert!(reason.contains("{task,await,"), "{reason}");
    });
}

#[test]
fn a_crash_takes_an_owner_along_that_does_not_trap_exits() {
    run(async |mut cx: Context| {
        let ended = fate(&mut cx, async |mut cx: Context| {
            let task =
                Task::<()>::async_(&cx, async |cx: Context| cx.exit(reason("oops"))).unwrap();
            task.await_(&mut cx).await;
        });
        assert_eq!(ended.await, reason("oops"));
    });
}

#[test]
fn raises_when_invoked_from_a_non_owner_process() {
    run(async |mut cx: Context| {
        let task = Task::async_(&cx, async |_| 1).unwrap();
        let reason = fate(&mut cx, async |mut cx: Context| {
            task.await_(&mut cx).await;
        });
        let reason = reason.await.to_string();
        assert!(reason.contains("only be awaited by its owner"), "{reason}");
    });
}

#[test]
fn yield_returns_the_result() {
    run(async |mut cx: Context| {
        let task = Task::async_(&cx, async |_| 42).unwrap();
        assert_eq!(task.yield_(&mut cx, LIMIT).await.unwrap(), Ok(42));
    });
}

#[test]
fn yield_gives_the_task_back_on_timeout() {
    run(async |mut cx: Context| {
        let task = Task::async_(&cx, async |mut cx: Context| {
            cx.receive().await.decode::<u32>().unwrap()
        });
        let task = task
            .unwrap()
            .yield_(&mut cx, Duration::ZERO)
            .await
            .unwrap_err();
        cx.send(task.pid(), &7).unwrap();
        assert_eq!(task.yield_(&mut cx, LIMIT).await.unwrap(), Ok(7));
    });
}

#[test]
fn yield_returns_exit_on_normal_exit() {
    run(async |mut cx: Context| {
        let task = Task::<u32>::async_(&cx, async |cx: Context| cx.exit(ExitReason::normal()));
        let outcome = task.unwrap().yield_(&mut cx, LIMIT).await.unwrap();
        assert_eq!(outcome, Err(ExitReason::normal()));
    });
}

#[test]
fn shutdown_returns_the_result_when_it_was_there() {
    run(async |mut cx: Context| {
        let task = Task::async_(&cx, async |_| 42).unwrap();
        let monitor = cx.monitor(task.pid());
        down(&mut cx, monitor).await;
        assert_eq!(
            task.shutdown(&mut cx, Shutdown::BrutalKill).await,
            Some(Ok(42))
        );
    });
}

#[test]
fn shutdown_returns_nil_on_shutting_down_task() {
    run(async |mut cx: Context| {
        for shutdown in [Shutdown::After(LIMIT), Shutdown::BrutalKill] {
            let task = Task::async_(&cx, async |mut cx: Context| for_ever(&mut cx).await).unwrap();
            let pid = task.pid();
            assert!(task.shutdown(&mut cx, shutdown).await.is_none());
            assert!(!cx.vm().is_alive(pid));
        }
        // Its owner does not trap exits, and is here to say so; nothing is left behind.
        assert!(cx.receive_timeout(Duration::ZERO).await.is_none());
    });
}

#[test]
fn shutdown_kills_a_task_that_does_not_end_in_time() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let task = Task::async_(&cx, async move |mut cx: Context| {
            cx.trap_exit(true);
            cx.send(me, &"trapping").unwrap();
            for_ever(&mut cx).await;
        });
        let task = task.unwrap();
        cx.receive().await;
        let limit = Shutdown::After(Duration::from_millis(1));
        assert!(task.shutdown(&mut cx, limit).await.is_none());
    });
}

#[test]
fn shutdown_returns_exit_on_abnormal_end() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let task = Task::<u32>::async_(&cx, async |cx: Context| cx.exit(reason("oops"))).unwrap();
        exit_of(&mut cx, task.pid()).await;
        let outcome = task.shutdown(&mut cx, Shutdown::After(LIMIT)).await;
        assert_eq!(outcome, Some(Err(reason("oops"))));
    });
}
