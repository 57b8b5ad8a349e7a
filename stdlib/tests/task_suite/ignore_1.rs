//! `ignore/1`.

use std::time::Duration;

use super::*;

async fn times_out(cx: &mut Context, task: Task<&'static str>) {
    let pid = task.pid();
    let reason = catch_exit(task.await_timeout(cx, Duration::ZERO)).await;
    assert_eq!(reason.to_string(), await_exit("timeout", pid, "0"));
    let links = cx.process_info(cx.pid()).unwrap().links;
    assert!(pid.is_none_or(|pid| !links.contains(&pid)));
}

#[test]
fn discards_on_time_replies() {
    simulated(|mut cx| async move {
        let task = Task::async_(&cx, async |_| "ok").unwrap();
        wait_until_down(&mut cx, &task).await;
        let handled = again(&cx, &task);
        assert_eq!(task.ignore(&mut cx).await, Some(Ok("ok")));
        times_out(&mut cx, handled).await;
    });
}

#[test]
fn discards_late_replies() {
    simulated(|mut cx| async move {
        let task = Task::async_(&cx, on_go(|_| "ok")).unwrap();
        let handled = again(&cx, &task);
        assert_eq!(task.ignore(&mut cx).await, None);
        cx.send(handled.pid().unwrap(), "go").unwrap();
        wait_until_down(&mut cx, &handled).await;
        times_out(&mut cx, handled).await;
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn discards_on_time_failures() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        let body = |cx: Context| async move { cx.exit(atom("oops")) };
        let task = Task::<&str>::async_(&cx, body).unwrap();
        wait_until_down(&mut cx, &task).await;
        let handled = again(&cx, &task);
        assert_eq!(task.ignore(&mut cx).await, Some(Err(atom("oops"))));
        times_out(&mut cx, handled).await;
    });
}

#[test]
fn discards_late_failures() {
    simulated(|mut cx| async move {
        let body = on_go(|cx: &Context| -> &str { cx.exit(atom("oops")) });
        let task = Task::async_(&cx, body).unwrap();
        let handled = again(&cx, &task);
        assert_eq!(task.ignore(&mut cx).await, None);
        cx.send(handled.pid().unwrap(), "go").unwrap();
        wait_until_down(&mut cx, &handled).await;
        times_out(&mut cx, handled).await;
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn exits_on_noconnection() {
    simulated(|mut cx| async move {
        let task = Task::<()>::of(&cx, Some(cx.pid()), cx.make_ref());
        send_down(&cx, task.reference(), cx.pid(), &atom("noconnection"));
        let reason = catch_exit(task.ignore(&mut cx)).await.to_string();
        let expected = format!(
            "{{{{nodedown,nonode@nohost}},{{task,ignore,[{}]}}}}",
            cx.pid()
        );
        assert_eq!(reason, expected);
    });
}

#[test]
fn can_ignore_completed_tasks() {
    simulated(|mut cx| async move {
        let task = Task::completed(&cx, "done").unwrap();
        assert_eq!(task.ignore(&mut cx).await, Some(Ok("done")));
        assert!(no_message(&mut cx).await);
    });
}
