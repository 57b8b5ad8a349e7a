//! `async/1`.

use otp_stdlib::task::TaskOptions;

use super::*;

#[test]
fn spawns_tasks_under_the_supervisor() {
    simulated(|mut cx| async move {
        let (supervisor, parent) = (supervisor(&mut cx).await, cx.pid());
        let body = move |mut cx| async move { wait_and_send(&mut cx, parent, "done").await };
        let task = TaskSupervisor::async_(&supervisor, &mut cx, body)
            .await
            .unwrap();
        let pid = task.pid().expect("a process");
        assert_eq!(children(&mut cx, &supervisor).await, [pid]);
        assert!(links(&cx).contains(&pid));
        expect(&mut cx, "ready").await;
        assert_closure(&cx, pid);
        cx.send(pid, "go").unwrap();
        expect(&mut cx, "done").await;
        reply_and_down(&mut cx, &task).await;
    });
}

#[test]
fn with_custom_shutdown() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        let (supervisor, parent) = (supervisor(&mut cx).await, cx.pid());
        let body = move |mut cx| async move { wait_and_send(&mut cx, parent, "done").await };
        let options = TaskOptions::new().shutdown(Shutdown::BrutalKill);
        let mut task = TaskSupervisor::async_opt(&supervisor, &mut cx, options, body)
            .await
            .unwrap();
        let reason = shutdown_reason(&mut cx, &supervisor, task.pid().unwrap()).await;
        assert_eq!(reason, ExitReason::killed());
        assert_eq!(task.yield_(&mut cx, None).await, Some(Err(reason)));
    });
}

#[test]
fn raises_when_max_children_is_reached() {
    simulated(|mut cx| async move {
        let full = full(&mut cx).await;
        assert_full(TaskSupervisor::async_(&full, &mut cx, async |_| ()).await);
    });
}

#[test]
fn with_callers() {
    simulated(|mut cx| async move {
        let (supervisor, grandparent) = (supervisor(&mut cx).await, cx.pid());
        let above = texts(&[supervisor.pid().unwrap(), grandparent]);
        let inner = supervisor.clone();
        let body = async move |mut cx: Context| {
            let parent = cx.pid();
            assert_eq!(origin(&cx), (vec![grandparent], above.clone()));
            let body = async move |cx: Context| {
                assert_eq!(origin(&cx), (vec![parent, grandparent], above));
            };
            let task = TaskSupervisor::async_(&inner, &mut cx, body).await.unwrap();
            task.await_(&mut cx).await;
        };
        let task = TaskSupervisor::async_(&supervisor, &mut cx, body)
            .await
            .unwrap();
        task.await_(&mut cx).await;
    });
}
