//! `shutdown/2`, with a time limit.

use std::time::Duration;

use otp_stdlib::supervisor::Shutdown;

use super::*;

const LIMIT: Shutdown = Shutdown::After(Duration::from_secs(5));

/// What a shutdown gives of a task that ended with `reason`, and replied before if there is a reply.
async fn shut_down(
    cx: &mut Context,
    reply: Option<&'static str>,
    reason: ExitReason,
) -> Option<Result<&'static str, ExitReason>> {
    let task = dummy(cx, reply, reason).await;
    let result = task.shutdown(cx, LIMIT).await;
    assert!(no_message(cx).await);
    result
}

#[test]
fn returns_ok_result_when_reply_and_abnormal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, Some("result"), atom("abnormal")).await;
        assert_eq!(result, Some(Ok("result")));
    });
}

#[test]
fn returns_ok_result_when_reply_and_normal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, Some("result"), ExitReason::normal()).await;
        assert_eq!(result, Some(Ok("result")));
    });
}

#[test]
fn returns_ok_result_when_reply_and_shut_down_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, Some("result"), ExitReason::shutdown()).await;
        assert_eq!(result, Some(Ok("result")));
    });
}

#[test]
fn returns_nil_on_shutting_down_task() {
    simulated(|mut cx| async move {
        let task = stuck::<()>(&cx);
        let pid = task.pid().unwrap();
        assert_eq!(task.shutdown(&mut cx, LIMIT).await, None);
        assert!(!cx.vm().is_alive(pid));
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn returns_exit_on_abnormal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, None, atom("abnormal")).await;
        assert_eq!(result, Some(Err(atom("abnormal"))));
    });
}

#[test]
fn returns_exit_on_normal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, None, ExitReason::normal()).await;
        assert_eq!(result, Some(Err(ExitReason::normal())));
    });
}

#[test]
fn returns_nil_on_shutdown_down_in_message_queue() {
    simulated(|mut cx| async move {
        assert_eq!(shut_down(&mut cx, None, ExitReason::shutdown()).await, None);
    });
}

#[test]
fn returns_exit_on_killed_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, None, ExitReason::killed()).await;
        assert_eq!(result, Some(Err(ExitReason::killed())));
    });
}

#[test]
fn exits_on_noconnection_down_in_message_queue() {
    simulated(|mut cx| async move {
        let (gone, monitor) = cx.spawn_monitor(async |_| ()).unwrap();
        down(&mut cx, monitor).await;
        let task = Task::<()>::of(&cx, Some(gone), cx.make_ref());
        send_down(&cx, task.reference(), gone, &atom("noconnection"));
        let reason = catch_exit(task.shutdown(&mut cx, LIMIT)).await.to_string();
        let lost = "{nodedown,nonode@nohost}";
        assert_eq!(
            reason,
            format!("{{{lost},{{task,shutdown,[{gone},5000]}}}}")
        );
    });
}

#[test]
fn ignores_if_task_pid_is_nil() {
    simulated(|mut cx| async move {
        assert_eq!(by_hand::<()>(&cx).shutdown(&mut cx, LIMIT).await, None);
        let task = Task::completed(&cx, "done").unwrap();
        assert_eq!(task.shutdown(&mut cx, LIMIT).await, Some(Ok("done")));
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn raises_when_invoked_from_a_non_owner_process() {
    simulated(|mut cx| async move {
        let task = of_another_process(&mut cx).await;
        let texts = not_the_owner(&cx, task.owner());
        assert_says(&catch_exit(task.shutdown(&mut cx, LIMIT)).await, &texts);
    });
}

#[test]
fn returns_nil_on_killing_task() {
    simulated(|mut cx| async move {
        let task = trapping(&mut cx).await;
        assert_eq!(task.shutdown(&mut cx, Shutdown::BrutalKill).await, None);
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn returns_exit_noproc_if_task_handled() {
    simulated(|mut cx| async move {
        let task = dummy::<()>(&mut cx, None, atom("noproc")).await;
        let mut handled = again(&cx, &task);
        assert_eq!(
            handled.yield_(&mut cx, None).await,
            Some(Err(ExitReason::noproc()))
        );
        let result = task.shutdown(&mut cx, LIMIT).await;
        assert_eq!(result, Some(Err(ExitReason::noproc())));
    });
}
