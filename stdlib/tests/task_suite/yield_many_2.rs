//! `yield_many/2`.

use std::time::Duration;

use otp_stdlib::task::{OnTimeout, YieldMany};

use super::*;

fn at_once() -> YieldMany {
    YieldMany::new().timeout(Duration::ZERO)
}

/// Three tasks, of which the first has replied.
fn three(cx: &Context) -> [Task<&'static str>; 3] {
    let tasks = [by_hand(cx), by_hand(cx), by_hand(cx)];
    send_reply(cx, tasks[0].reference(), "result");
    tasks
}

#[test]
fn returns_ok_result_when_reply_and_down_in_message_queue() {
    simulated(|mut cx| async move {
        let mut tasks = [dummy(&mut cx, Some("result"), atom("abnormal")).await];
        let results = Task::yield_many(&mut cx, &mut tasks, at_once()).await;
        assert_eq!(results, [Some(Ok("result"))]);
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn returns_nil_on_timeout_by_default() {
    simulated(|mut cx| async move {
        let mut tasks = [stuck::<()>(&cx)];
        let results = Task::yield_many(&mut cx, &mut tasks, at_once()).await;
        assert_eq!(results, [None]);
        assert!(cx.vm().is_alive(tasks[0].pid().unwrap()));
    });
}

#[test]
fn shuts_down_on_timeout_when_configured() {
    simulated(|mut cx| async move {
        let mut tasks = [stuck::<()>(&cx)];
        let options = at_once().on_timeout(OnTimeout::KillTask);
        let results = Task::yield_many(&mut cx, &mut tasks, options).await;
        assert_eq!(results, [None]);
        assert!(!cx.vm().is_alive(tasks[0].pid().unwrap()));
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn ignores_on_timeout_when_configured() {
    simulated(|mut cx| async move {
        let mut tasks = [Task::async_(&cx, on_go(|_| "late")).unwrap()];
        let options = at_once().on_timeout(OnTimeout::Ignore);
        let results = Task::yield_many(&mut cx, &mut tasks, options).await;
        assert_eq!(results, [None]);
        let pid = tasks[0].pid().unwrap();
        assert!(cx.vm().is_alive(pid));
        assert!(!cx.process_info(cx.pid()).unwrap().links.contains(&pid));
        cx.send(pid, "go").unwrap();
        wait_until_down(&mut cx, &tasks[0]).await;
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn return_exit_on_normal_exit() {
    simulated(|mut cx| async move {
        let body = async |cx: Context| cx.exit(ExitReason::normal());
        let mut tasks = [Task::<()>::async_(&cx, body).unwrap()];
        let results = Task::yield_many(&mut cx, &mut tasks, YieldMany::new()).await;
        assert_eq!(results, [Some(Err(ExitReason::normal()))]);
    });
}

#[test]
fn exits_on_noconnection() {
    simulated(|mut cx| async move {
        let mut tasks = [Task::<()>::of(&cx, Some(cx.pid()), cx.make_ref())];
        send_down(&cx, tasks[0].reference(), cx.pid(), &atom("noconnection"));
        let yields = Task::yield_many(&mut cx, &mut tasks, YieldMany::new());
        let reason = catch_exit(yields).await.to_string();
        assert!(
            reason.starts_with("{{nodedown,nonode@nohost},{task,yield_many,["),
            "{reason}"
        );
    });
}

#[test]
fn raises_when_invoked_from_a_non_owner_process() {
    simulated(|mut cx| async move {
        let mut tasks = [of_another_process(&mut cx).await];
        let texts = not_the_owner(&cx, tasks[0].owner());
        let options = YieldMany::new().timeout(Duration::from_millis(1));
        let yields = Task::yield_many(&mut cx, &mut tasks, options);
        assert_says(&catch_exit(yields).await, &texts);
    });
}

#[test]
fn returns_results_from_multiple_tasks() {
    simulated(|mut cx| async move {
        let mut tasks = three(&cx);
        send_down(&cx, tasks[2].reference(), cx.pid(), &ExitReason::normal());
        let results = Task::yield_many(&mut cx, &mut tasks, at_once()).await;
        let normal = ExitReason::normal();
        assert_eq!(results, [Some(Ok("result")), None, Some(Err(normal))]);
    });
}

#[test]
fn returns_results_from_multiple_tasks_with_limit() {
    simulated(|mut cx| async move {
        let mut tasks = three(&cx);
        send_down(&cx, tasks[2].reference(), cx.pid(), &ExitReason::normal());
        let begun = cx.monotonic_time();
        let options = YieldMany::new().timeout(None).limit(1);
        let results = Task::yield_many(&mut cx, &mut tasks, options).await;
        assert_eq!(results, [Some(Ok("result")), None, None]);
        assert_eq!(
            cx.monotonic_time(),
            begun,
            "it does not wait for the others"
        );
        // What was over the limit is still to be had.
        let results = Task::yield_many(&mut cx, &mut tasks, at_once()).await;
        assert_eq!(results, [None, None, Some(Err(ExitReason::normal()))]);
    });
}

#[test]
fn returns_once_all_tasks_have_replied_below_limit() {
    simulated(|mut cx| async move {
        let mut tasks = three(&cx);
        send_reply(&cx, tasks[1].reference(), "second");
        send_reply(&cx, tasks[2].reference(), "third");
        let begun = cx.monotonic_time();
        let options = YieldMany::new().timeout(None).limit(5);
        let results = Task::yield_many(&mut cx, &mut tasks, options).await;
        assert_eq!(
            results,
            ["result", "second", "third"].map(|value| Some(Ok(value)))
        );
        assert_eq!(cx.monotonic_time(), begun);
    });
}

#[test]
fn returns_results_from_multiple_tasks_with_limit_and_on_timeout() {
    simulated(|mut cx| async move {
        let first = Task::async_(&cx, async |_| "result").unwrap();
        wait_until_down(&mut cx, &first).await;
        // The limit is not reached in time: the others are killed.
        let mut tasks = [first, stuck(&cx), stuck(&cx)];
        let options = YieldMany::new()
            .timeout(Duration::from_millis(10))
            .limit(2)
            .on_timeout(OnTimeout::KillTask);
        let results = Task::yield_many(&mut cx, &mut tasks, options).await;
        assert_eq!(results, [Some(Ok("result")), None, None]);
        assert!(
            tasks
                .iter()
                .all(|task| !cx.vm().is_alive(task.pid().unwrap()))
        );
        // It is reached: nothing is done to them.
        let mut tasks = [Task::async_(&cx, async |_| "result").unwrap(), stuck(&cx)];
        let results = Task::yield_many(&mut cx, &mut tasks, options.limit(1)).await;
        assert_eq!(results, [Some(Ok("result")), None]);
        assert!(cx.vm().is_alive(tasks[1].pid().unwrap()));
    });
}

#[test]
fn returns_results_on_infinity_timeout() {
    simulated(|mut cx| async move {
        let mut tasks = three(&cx);
        send_reply(&cx, tasks[1].reference(), "result");
        send_down(&cx, tasks[2].reference(), cx.pid(), &ExitReason::normal());
        let options = YieldMany::new().timeout(None);
        let results = Task::yield_many(&mut cx, &mut tasks, options).await;
        let normal = ExitReason::normal();
        assert_eq!(
            results,
            [Some(Ok("result")), Some(Ok("result")), Some(Err(normal))]
        );
    });
}
