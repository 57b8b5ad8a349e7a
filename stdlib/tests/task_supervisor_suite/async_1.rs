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
        works(&mut cx, &supervisor, &task, true).await;
    });
}

#[test]
fn with_custom_shutdown() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        let (supervisor, parent) = (supervisor(&mut cx).await, cx.pid());
        let body = move |mut cx| async move { wait_and_send(&mut cx, parent, "done").await };
        let options = TaskOptions::new().shutdown(Shutdown::BrutalKill);
        let task = TaskSupervisor::async_opt(&supervisor, &mut cx, options, body)
            .await
            .unwrap();
        is_killed(&mut cx, &supervisor, task).await;
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
