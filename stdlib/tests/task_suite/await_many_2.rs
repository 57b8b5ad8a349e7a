//! `await_many/2`.

use std::time::Duration;

use otp_vm::Message;

use super::*;

fn expected(reason: &str, tasks: &[Option<Pid>], timeout: &str) -> String {
    let tasks: Vec<_> = tasks
        .iter()
        .map(|task| task.map_or("nil".to_owned(), |pid| pid.to_string()))
        .collect();
    let tasks = tasks.join(",");
    format!("{{{reason},{{task,await_many,[[{tasks}],{timeout}]}}}}")
}

/// Why an owner exits that waits for these; what is left of it is asserted to be nothing.
async fn failure(cx: &mut Context, tasks: Vec<Task<()>>) -> (String, Vec<Option<Pid>>) {
    let pids: Vec<_> = tasks.iter().map(Task::pid).collect();
    let reason = catch_exit(Task::await_many(cx, tasks)).await;
    // All monitors are taken back: no DOWN comes of those that end later.
    let me = cx.pid();
    for &pid in pids.iter().flatten().filter(|&&pid| pid != me) {
        cx.unlink(pid);
        cx.exit_process(pid, ExitReason::kill());
        ended(cx, pid).await;
    }
    let is_down = |message: &Message| message.down().map(|_| ());
    assert_eq!(cx.receive_where(Duration::ZERO, is_down).await, None);
    (reason.to_string(), pids)
}

#[test]
fn returns_list_of_replies() {
    simulated(|mut cx| async move {
        let tasks = [1, 3, 9].map(|value| Task::async_(&cx, async move |_| value).unwrap());
        assert_eq!(Task::await_many(&mut cx, tasks).await, [1, 3, 9]);
    });
}

#[test]
fn returns_replies_in_input_order_ignoring_response_order() {
    simulated(|mut cx| async move {
        let tasks = [by_hand::<u64>(&cx), by_hand(&cx), by_hand(&cx)];
        send_reply(&cx, tasks[1].reference(), 3_u64);
        send_reply(&cx, tasks[2].reference(), 9_u64);
        send_reply(&cx, tasks[0].reference(), 1_u64);
        assert_eq!(Task::await_many(&mut cx, tasks).await, [1, 3, 9]);
    });
}

#[test]
fn returns_an_empty_list_immediately() {
    simulated(|mut cx| async move {
        let begun = cx.monotonic_time();
        assert_eq!(Task::<()>::await_many(&mut cx, []).await, []);
        assert_eq!(cx.monotonic_time(), begun);
    });
}

#[test]
fn ignores_messages_from_other_processes() {
    simulated(|mut cx| async move {
        let other = cx.make_ref();
        let tasks = ["a", "b"].map(|value| Task::async_(&cx, async move |_| value).unwrap());
        cx.send(cx.pid(), &other).unwrap();
        send_reply(&cx, other, "z");
        send_down(&cx, other, 1, &atom("goodbye"));
        assert_eq!(Task::await_many(&mut cx, tasks).await, ["a", "b"]);
        assert_eq!(cx.receive().await.decode(), Ok(other));
        let (of, value) = cx.receive().await.decode::<(Ref, Native<&str>)>().unwrap();
        assert_eq!((of, value.into_inner()), (other, Some("z")));
        let down = cx.receive().await.to_string();
        assert!(
            down.contains("'DOWN'") && down.contains("goodbye"),
            "{down}"
        );
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn ignores_additional_messages_after_reply() {
    simulated(|mut cx| async move {
        let tasks = [by_hand::<&str>(&cx), by_hand(&cx)];
        let [first, second] = [tasks[0].reference(), tasks[1].reference()];
        send_reply(&cx, second, "b");
        send_reply(&cx, second, "other");
        send_reply(&cx, first, "a");
        assert_eq!(Task::await_many(&mut cx, tasks).await, ["a", "b"]);
        let (of, value) = cx.receive().await.decode::<(Ref, Native<&str>)>().unwrap();
        assert_eq!((of, value.into_inner()), (second, Some("other")));
    });
}

#[test]
fn exits_on_timeout() {
    simulated(|mut cx| async move {
        let task = stuck::<()>(&cx);
        let pids = [task.pid()];
        let waits = Task::await_many_timeout(&mut cx, [task], Duration::ZERO);
        let reason = catch_exit(waits).await;
        assert_eq!(reason.to_string(), expected("timeout", &pids, "0"));
    });
}

fn exits(cx: &Context, reason: ExitReason) -> Task<()> {
    Task::async_(cx, async move |cx: Context| cx.exit(reason)).unwrap()
}

#[test]
fn exits_with_same_reason_when_task_exits() {
    simulated(|mut cx| async move {
        let tasks = vec![exits(&cx, ExitReason::normal())];
        let (reason, pids) = failure(&mut cx, tasks).await;
        assert_eq!(reason, expected("normal", &pids, "5000"));
    });
}

#[test]
fn exits_immediately_when_any_task_exits() {
    simulated(|mut cx| async move {
        let begun = cx.monotonic_time();
        let tasks = vec![stuck(&cx), exits(&cx, ExitReason::normal())];
        let (reason, pids) = failure(&mut cx, tasks).await;
        assert_eq!(reason, expected("normal", &pids, "5000"));
        assert!(cx.monotonic_time() - begun < 5_000_000_000);
    });
}

#[test]
fn exits_immediately_when_any_task_crashes() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        let tasks = vec![stuck(&cx), exits(&cx, atom("unknown"))];
        let (reason, pids) = failure(&mut cx, tasks).await;
        assert_eq!(reason, expected("unknown", &pids, "5000"));
    });
}

#[test]
fn exits_immediately_when_any_task_throws() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        let body = async |_| std::panic::panic_any("unknown".to_owned());
        let tasks = vec![stuck(&cx), Task::async_(&cx, body).unwrap()];
        let (reason, pids) = failure(&mut cx, tasks).await;
        assert!(reason.contains("unknown"), "{reason}");
        assert!(
            reason.ends_with(&expected("", &pids, "5000")[1..]),
            "{reason}"
        );
    });
}

#[test]
fn exits_immediately_on_any_task_error() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        let tasks = vec![
            stuck(&cx),
            Task::async_(&cx, async |_| panic!("oops")).unwrap(),
        ];
        let (reason, pids) = failure(&mut cx, tasks).await;
        assert!(
            reason.starts_with("{{panic,") && reason.contains("oops"),
            "{reason}"
        );
        assert!(
            reason.ends_with(&expected("", &pids, "5000")[1..]),
            "{reason}"
        );
    });
}

#[test]
fn exits_immediately_on_noconnection() {
    simulated(|mut cx| async move {
        let lost = Task::of(&cx, Some(cx.pid()), cx.make_ref());
        send_down(&cx, lost.reference(), cx.pid(), &atom("noconnection"));
        let tasks = vec![stuck(&cx), lost];
        let (reason, pids) = failure(&mut cx, tasks).await;
        assert_eq!(reason, expected("{nodedown,nonode@nohost}", &pids, "5000"));
    });
}

#[test]
fn exits_immediately_on_noconnection_from_named_monitor() {
    simulated(|mut cx| async move {
        let lost = by_hand(&cx);
        let name = [Atom::new("name").unwrap(), Atom::new("node").unwrap()];
        send_down(
            &cx,
            lost.reference(),
            (name[0], name[1]),
            &atom("noconnection"),
        );
        let tasks = vec![stuck(&cx), lost];
        let (reason, pids) = failure(&mut cx, tasks).await;
        assert_eq!(reason, expected("{nodedown,node}", &pids, "5000"));
    });
}

#[test]
fn raises_when_invoked_from_a_non_owner_process() {
    simulated(|mut cx| async move {
        let other = of_another_process(&mut cx).await;
        let texts = not_the_owner(&cx, other.owner());
        let tasks = vec![stuck(&cx), other];
        let awaits = Task::await_many_timeout(&mut cx, tasks, Duration::from_millis(1));
        assert_says(&catch_exit(awaits).await, &texts);
    });
}
