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
        let pid = task.pid().expect("a process");
        assert_eq!(children(&mut cx, &supervisor).await, [pid]);
        assert!(matches!(task.mfa(), Some(InitialCall::Fun(_))));
        assert!(!links(&cx).contains(&pid));
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
        let mut task = TaskSupervisor::async_nolink_opt(&supervisor, &mut cx, options, body)
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
        assert_full(TaskSupervisor::async_nolink(&full, &mut cx, async |_| ()).await);
    });
}
