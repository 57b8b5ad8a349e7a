//! `shutdown/2`, with a time limit.

use std::time::Duration;

use super::*;

const LIMIT: Shutdown = Shutdown::After(Duration::from_secs(5));

#[test]
fn returns_ok_result_when_reply_and_abnormal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, LIMIT, Some("result"), atom("abnormal")).await;
        assert_eq!(result, Some(Ok("result")));
    });
}

#[test]
fn returns_ok_result_when_reply_and_normal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, LIMIT, Some("result"), ExitReason::normal()).await;
        assert_eq!(result, Some(Ok("result")));
    });
}

#[test]
fn returns_ok_result_when_reply_and_shut_down_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, LIMIT, Some("result"), ExitReason::shutdown()).await;
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
        let result = shut_down(&mut cx, LIMIT, None, atom("abnormal")).await;
        assert_eq!(result, Some(Err(atom("abnormal"))));
    });
}

#[test]
fn returns_exit_on_normal_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, LIMIT, None, ExitReason::normal()).await;
        assert_eq!(result, Some(Err(ExitReason::normal())));
    });
}

#[test]
fn returns_nil_on_shutdown_down_in_message_queue() {
    simulated(|mut cx| async move {
        assert_eq!(
            shut_down(&mut cx, LIMIT, None, ExitReason::shutdown()).await,
            None
        );
    });
}

#[test]
fn returns_exit_on_killed_down_in_message_queue() {
    simulated(|mut cx| async move {
        let result = shut_down(&mut cx, LIMIT, None, ExitReason::killed()).await;
        assert_eq!(result, Some(Err(ExitReason::killed())));
    });
}

#[test]
fn exits_on_noconnection_down_in_message_queue() {
    simulated(|mut cx| async move {
        shut_down_without_connection(&mut cx, LIMIT, "5000").await;
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
        shut_down_once_handled(&mut cx, LIMIT).await;
    });
}
