//! `yield/2`.

use std::time::Duration;

use super::*;

#[test]
fn returns_ok_result_when_reply_and_down_in_message_queue() {
    simulated(|mut cx| async move {
        let mut task = dummy(&mut cx, Some("result"), atom("abnormal")).await;
        assert_eq!(
            task.yield_(&mut cx, Duration::ZERO).await,
            Some(Ok("result"))
        );
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn returns_nil_on_timeout() {
    simulated(|mut cx| async move {
        let mut task = by_hand::<()>(&cx);
        assert_eq!(task.yield_(&mut cx, Duration::ZERO).await, None);
        // And again, with what came meanwhile.
        send_reply(&cx, task.reference(), ());
        assert_eq!(task.yield_(&mut cx, Duration::ZERO).await, Some(Ok(())));
    });
}

#[test]
fn return_exit_on_normal_exit() {
    simulated(|mut cx| async move {
        let task = Task::<()>::async_(&cx, async |cx: Context| cx.exit(ExitReason::normal()));
        let ended = task.unwrap().yield_(&mut cx, None).await;
        assert_eq!(ended, Some(Err(ExitReason::normal())));
    });
}

#[test]
fn exits_on_noconnection() {
    simulated(|mut cx| async move {
        let mut task = Task::<()>::of(&cx, Some(cx.pid()), cx.make_ref());
        send_down(&cx, task.reference(), cx.pid(), &atom("noconnection"));
        let reason = catch_exit(task.yield_(&mut cx, None)).await.to_string();
        assert!(
            reason.starts_with("{{nodedown,nonode@nohost},{task,yield,["),
            "{reason}"
        );
    });
}

#[test]
fn raises_when_invoked_from_a_non_owner_process() {
    simulated(|mut cx| async move {
        let mut task = of_another_process(&mut cx).await;
        let texts = not_the_owner(&cx, task.owner());
        let yields = task.yield_(&mut cx, Duration::from_millis(1));
        assert_says(&catch_exit(yields).await, &texts);
    });
}
