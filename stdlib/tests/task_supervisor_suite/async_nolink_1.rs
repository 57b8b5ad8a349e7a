//! `async_nolink/1`.

use otp_stdlib::task::TaskOptions;

use super::*;

#[test]
fn spawns_a_task_under_the_supervisor_without_linking_to_the_caller() {
    simulated(|mut cx| async move {
        let (supervisor, parent) = (supervisor(&mut cx).await, cx.pid());
        let body = move |mut cx| async move { wait_and_send(&mut cx, parent, "done").await };
        let task = TaskSupervisor::async_nolink(&supervisor, &mut cx, body)
            .await
            .unwrap();
        assert!(matches!(task.mfa(), Some(InitialCall::Fun(_))));
        works(&mut cx, &supervisor, &task, false).await;
    });
}

#[test]
fn with_custom_shutdown() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        let (supervisor, parent) = (supervisor(&mut cx).await, cx.pid());
        let body = move |mut cx| async move { wait_and_send(&mut cx, parent, "done").await };
        let options = TaskOptions::new().shutdown(Shutdown::BrutalKill);
        let task = TaskSupervisor::async_nolink_opt(&supervisor, &mut cx, options, body)
            .await
            .unwrap();
        is_killed(&mut cx, &supervisor, task).await;
    });
}

#[test]
fn raises_when_max_children_is_reached() {
    simulated(|mut cx| async move {
        let full = full(&mut cx).await;
        assert_full(TaskSupervisor::async_nolink(&full, &mut cx, async |_| ()).await);
    });
}
