//! `await/2`.

use std::time::Duration;

use otp_vm::Call;

use super::*;

/// The reason of an owner that traps exits and waits for such a task.
async fn failure<B, F>(cx: &mut Context, body: B) -> (String, Pid)
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    cx.trap_exit(true);
    let task = Task::async_(cx, body).unwrap();
    let pid = task.pid().unwrap();
    (catch_exit(task.await_(cx)).await.to_string(), pid)
}

fn assert_panic(reason: &str, text: &str, pid: Pid) {
    assert!(
        reason.starts_with("{{panic,") && reason.contains(text),
        "{reason}"
    );
    assert!(
        reason.ends_with(&format!(",{{task,await,[{pid},5000]}}}}")),
        "{reason}"
    );
}

#[test]
fn demonitors_and_unalias_on_timeout() {
    simulated(|mut cx| async move {
        let task = Task::async_(&cx, on_go(|_| "done")).unwrap();
        let pid = task.pid();
        let handled = again(&cx, &task);
        let reason = catch_exit(task.await_timeout(&mut cx, Duration::ZERO)).await;
        assert_eq!(reason.to_string(), await_exit("timeout", pid, "0"));
        cx.send(pid.unwrap(), "go").unwrap();
        wait_until_down(&mut cx, &handled).await;
        assert!(no_message(&mut cx).await);
    });
}

#[test]
fn exits_on_timeout() {
    simulated(|mut cx| async move {
        let reason = catch_exit(by_hand::<()>(&cx).await_timeout(&mut cx, Duration::ZERO)).await;
        assert_eq!(reason.to_string(), await_exit("timeout", None, "0"));
    });
}

#[test]
fn exits_on_normal_exit() {
    simulated(|mut cx| async move {
        let task = Task::<()>::async_(&cx, async |cx: Context| cx.exit(ExitReason::normal()));
        let task = task.unwrap();
        let pid = task.pid();
        let reason = catch_exit(task.await_(&mut cx)).await;
        assert_eq!(reason.to_string(), await_exit("normal", pid, "5000"));
    });
}

#[test]
fn exits_on_task_throw() {
    simulated(|mut cx| async move {
        let throws = failure(&mut cx, async |_| {
            std::panic::panic_any("unknown".to_owned())
        });
        let (reason, pid) = throws.await;
        assert_panic(&reason, "unknown", pid);
    });
}

#[test]
fn exits_on_task_error() {
    simulated(|mut cx| async move {
        let (reason, pid) = failure(&mut cx, async |_| panic!("oops")).await;
        assert_panic(&reason, "oops", pid);
    });
}

/// The reason of an owner whose task calls what is not there.
async fn undefined(cx: &mut Context, module: &str) -> (String, Pid) {
    cx.trap_exit(true);
    cx.vm().load_module(task_test::module()).unwrap();
    let call = Call::new(module, "undef", &[0; 0]).unwrap();
    let task = Task::<u64>::async_apply(cx, call).unwrap();
    let pid = task.pid().unwrap();
    (catch_exit(task.await_(cx)).await.to_string(), pid)
}

#[test]
fn exits_on_task_undef_module_error() {
    simulated(|mut cx| async move {
        let (reason, pid) = undefined(&mut cx, "module_does_not_exist").await;
        let undef = "{undef,[{module_does_not_exist,undef,[],[]}]}";
        assert_eq!(reason, await_exit(undef, Some(pid), "5000"));
    });
}

#[test]
fn exits_on_task_undef_function_error() {
    simulated(|mut cx| async move {
        let (reason, pid) = undefined(&mut cx, "task_test").await;
        let undef = "{undef,[{task_test,undef,[],[]}]}";
        assert_eq!(reason, await_exit(undef, Some(pid), "5000"));
    });
}

#[test]
fn exits_on_task_exit() {
    simulated(|mut cx| async move {
        let exits = failure(&mut cx, async |cx: Context| cx.exit(atom("unknown")));
        let (reason, pid) = exits.await;
        assert_eq!(reason, await_exit("unknown", Some(pid), "5000"));
    });
}

#[test]
fn exits_on_noconnection() {
    simulated(|mut cx| async move {
        let task = Task::<()>::of(&cx, Some(cx.pid()), cx.make_ref());
        send_down(&cx, task.reference(), cx.pid(), &atom("noconnection"));
        let reason = catch_exit(task.await_(&mut cx)).await;
        let lost = "{nodedown,nonode@nohost}";
        assert_eq!(reason.to_string(), await_exit(lost, Some(cx.pid()), "5000"));
    });
}

#[test]
fn exits_on_noconnection_from_named_monitor() {
    simulated(|mut cx| async move {
        let task = by_hand::<()>(&cx);
        let name = [Atom::new("name").unwrap(), Atom::new("node").unwrap()];
        send_down(
            &cx,
            task.reference(),
            (name[0], name[1]),
            &atom("noconnection"),
        );
        let reason = catch_exit(task.await_(&mut cx)).await;
        assert_eq!(
            reason.to_string(),
            await_exit("{nodedown,node}", None, "5000")
        );
    });
}

#[test]
fn raises_when_invoked_from_a_non_owner_process() {
    simulated(|mut cx| async move {
        let task = of_another_process(&mut cx).await;
        let texts = not_the_owner(&cx, task.owner());
        let awaits = task.await_timeout(&mut cx, Duration::from_millis(1));
        assert_says(&catch_exit(awaits).await, &texts);
    });
}
