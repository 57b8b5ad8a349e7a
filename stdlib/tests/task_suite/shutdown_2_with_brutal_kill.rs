//! `shutdown/2` with `brutal_kill`.

use std::time::Duration;

use otp_stdlib::supervisor::Shutdown;

use super::*;

/// As with a time limit.
async fn kill(
    cx: &mut Context,
    reply: Option<&'static str>,
    reason: ExitReason,
) -> Option<Result<&'static str, ExitReason>> {
    let task = dummy(cx, reply, reason).await;
    let result = task.shutdown(cx, Shutdown::BrutalKill).await;
    assert!(no_message(cx).await);
    result
}

#[test]
fn returns_ok_result_when_reply_and_abnormal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = kill(&mut cx, Some("result"), atom("abnormal")).await;
        assert_eq!(result, Some(Ok("result")));
    });
}

#[test]
fn returns_ok_result_when_reply_and_normal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = kill(&mut cx, Some("result"), ExitReason::normal()).await;
        assert_eq!(result, Some(Ok("result")));
    });
}

#[test]
fn returns_ok_result_when_reply_and_shut_down_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = kill(&mut cx, Some("result"), ExitReason::shutdown()).await;
        assert_eq!(result, Some(Ok("result")));
    });
}

#[test]
fn returns_nil_on_killed_down_in_message_queue() {
    simulated(|mut cx| async move {
        assert_eq!(kill(&mut cx, None, ExitReason::killed()).await, None);
    });
}

#[test]
fn returns_exit_on_abnormal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = kill(&mut cx, None, atom("abnormal")).await;
        assert_eq!(result, Some(Err(atom("abnormal"))));
    });
}

#[test]
fn returns_exit_on_normal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = kill(&mut cx, None, ExitReason::normal()).await;
        assert_eq!(result, Some(Err(ExitReason::normal())));
    });
}

#[test]
fn returns_exit_on_shutdown_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = kill(&mut cx, None, ExitReason::shutdown()).await;
        assert_eq!(result, Some(Err(ExitReason::shutdown())));
    });
}

#[test]
fn exits_on_noconnection_down_in_message_queue() {
    simulated(|mut cx| async move {
        let (gone, monitor) = cx.spawn_monitor(async |_| ()).unwrap();
        down(&mut cx, monitor).await;
        let task = Task::<()>::of(&cx, Some(gone), cx.make_ref());
        send_down(&cx, task.reference(), gone, &atom("noconnection"));
        let kills = task.shutdown(&mut cx, Shutdown::BrutalKill);
        let reason = catch_exit(kills).await.to_string();
        let lost = "{nodedown,nonode@nohost}";
        assert_eq!(
            reason,
            format!("{{{lost},{{task,shutdown,[{gone},brutal_kill]}}}}")
        );
    });
}

#[test]
fn returns_exit_on_killing_task_after_shutdown_timeout() {
    simulated(|mut cx| async move {
        let task = trapping(&mut cx).await;
        let limit = Shutdown::After(Duration::from_millis(1));
        let result = task.shutdown(&mut cx, limit).await;
        assert_eq!(result, Some(Err(ExitReason::killed())));
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
        let result = task.shutdown(&mut cx, Shutdown::BrutalKill).await;
        assert_eq!(result, Some(Err(ExitReason::noproc())));
    });
}
