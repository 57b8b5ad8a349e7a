//! `shutdown/2` with `brutal_kill`.

use std::time::Duration;

use super::*;

#[test]
fn returns_ok_result_when_reply_and_abnormal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(
            &mut cx,
            Shutdown::BrutalKill,
            Some("result"),
            atom("abnormal"),
        )
        .await;
        assert_eq!(result, Some(Ok("result")));
    });
}

#[test]
fn returns_ok_result_when_reply_and_normal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(
            &mut cx,
            Shutdown::BrutalKill,
            Some("result"),
            ExitReason::normal(),
        )
        .await;
        assert_eq!(result, Some(Ok("result")));
    });
}

#[test]
fn returns_ok_result_when_reply_and_shut_down_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(
            &mut cx,
            Shutdown::BrutalKill,
            Some("result"),
            ExitReason::shutdown(),
        )
        .await;
        assert_eq!(result, Some(Ok("result")));
    });
}

#[test]
fn returns_nil_on_killed_down_in_message_queue() {
    simulated(|mut cx| async move {
        assert_eq!(
            shut_down(&mut cx, Shutdown::BrutalKill, None, ExitReason::killed()).await,
            None
        );
    });
}

#[test]
fn returns_exit_on_abnormal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, Shutdown::BrutalKill, None, atom("abnormal")).await;
        assert_eq!(result, Some(Err(atom("abnormal"))));
    });
}

#[test]
fn returns_exit_on_normal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, Shutdown::BrutalKill, None, ExitReason::normal()).await;
        assert_eq!(result, Some(Err(ExitReason::normal())));
    });
}

#[test]
fn returns_exit_on_shutdown_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, Shutdown::BrutalKill, None, ExitReason::shutdown()).await;
        assert_eq!(result, Some(Err(ExitReason::shutdown())));
    });
}

#[test]
fn exits_on_noconnection_down_in_message_queue() {
    simulated(|mut cx| async move {
        shut_down_without_connection(&mut cx, Shutdown::BrutalKill, "brutal_kill").await;
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
        shut_down_once_handled(&mut cx, Shutdown::BrutalKill).await;
    });
}
