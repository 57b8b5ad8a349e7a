//! Which ends are followed by a restart.

use super::*;

/// A child of this restart type that ended so: whether it is there again, with its new pid.
async fn after(cx: &mut Context, restart: &str, how: &str) -> Option<Pid> {
    let child = child(cx, &spec("child1", "[]", restart)).await;
    terminate(cx, child, how).await;
    let again = which(cx).await.first().and_then(|(_, pid)| *pid);
    assert_ne!(again, Some(child));
    again
}

/// As the case says of a restart type: `[specs, active, supervisors, workers]` after each of these ends.
async fn ends(cx: &mut Context, restart: &str, ends: &[&str], expected: [i64; 4]) {
    started(cx, &init("one_for_one", 10, &[])).await;
    for how in ends {
        let again = after(cx, restart, how).await;
        assert_eq!(again.is_some(), expected[1] == 1, "{restart} {how}");
        assert_eq!(counts(cx).await, expected, "{restart} {how}");
        ask(cx, "{terminate_child, child1}").await;
        ask(cx, "{delete_child, child1}").await;
    }
}

#[test]
fn permanent_normal() {
    run(async |mut cx, _| ends(&mut cx, "permanent", &["normal"], [1, 1, 0, 1]).await);
}

#[test]
fn transient_normal() {
    run(async |mut cx, _| ends(&mut cx, "transient", &["normal"], [1, 0, 0, 1]).await);
}

#[test]
fn temporary_normal() {
    run(async |mut cx, _| ends(&mut cx, "temporary", &["normal"], [0, 0, 0, 0]).await);
}

#[test]
fn permanent_shutdown() {
    run(async |mut cx, _| {
        ends(
            &mut cx,
            "permanent",
            &["shutdown", "{shutdown,some_info}"],
            [1, 1, 0, 1],
        )
        .await;
    });
}

#[test]
fn transient_shutdown() {
    run(async |mut cx, _| {
        ends(
            &mut cx,
            "transient",
            &["shutdown", "{shutdown,some_info}"],
            [1, 0, 0, 1],
        )
        .await;
    });
}

#[test]
fn temporary_shutdown() {
    run(async |mut cx, _| {
        ends(
            &mut cx,
            "temporary",
            &["shutdown", "{shutdown,some_info}"],
            [0, 0, 0, 0],
        )
        .await;
    });
}

#[test]
fn permanent_abnormal() {
    run(async |mut cx, _| ends(&mut cx, "permanent", &["abnormal"], [1, 1, 0, 1]).await);
}

#[test]
fn transient_abnormal() {
    run(async |mut cx, _| ends(&mut cx, "transient", &["abnormal"], [1, 1, 0, 1]).await);
}

#[test]
fn temporary_abnormal() {
    run(async |mut cx, _| ends(&mut cx, "temporary", &["abnormal"], [0, 0, 0, 0]).await);
}

#[test]
fn one_for_one() {
    run(async |mut cx, _| {
        let supervisor = started(&mut cx, &init("one_for_one", 2, &[])).await;
        let first = child(&mut cx, &permanent("child1")).await;
        let second = child(&mut cx, &permanent("child2")).await;
        terminate(&mut cx, first, "abnormal").await;
        let children = which(&mut cx).await;
        assert_eq!(children.len(), 2);
        assert!(children.contains(&("child2".to_owned(), Some(second))));
        assert_eq!(counts(&mut cx).await, [2, 2, 0, 2]);
        // The third restart is one too many.
        terminate(&mut cx, second, "abnormal").await;
        let last = which(&mut cx).await[0].1.unwrap();
        terminate(&mut cx, last, "abnormal").await;
        assert_eq!(exit_of(&mut cx, supervisor).await, "shutdown");
    });
}

#[test]
fn hanging_restart_loop() {
    run(async |mut cx, shared| {
        let supervisor = started(&mut cx, "{ok, {{one_for_one, 8, 10}, []}}").await;
        let spec =
            "{child1, {supervisor_deadlock, start_child, []}, permanent, brutal_kill, worker, []}";
        let first = child(&mut cx, spec).await;
        cx.link(first);
        fail(&mut cx, &shared, &[first]).await;

        let answer = ask(&mut cx, &format!("{{start_child, {spec}}}")).await;
        assert_eq!(answer, "{error,already_present}");
        assert_eq!(
            ask(&mut cx, "{restart_child, child1}").await,
            "{error,restarting}"
        );
        assert_eq!(
            ask(&mut cx, "{delete_child, child1}").await,
            "{error,restarting}"
        );
        assert_eq!(
            ask(&mut cx, "which_children").await,
            "[{child1,restarting,worker,[]}]"
        );
        assert_eq!(counts(&mut cx).await, [1, 0, 0, 1]);
        assert_eq!(ask(&mut cx, "{terminate_child, child1}").await, "ok");
        assert_eq!(exit_of(&mut cx, first).await, "error");
        assert_eq!(
            ask(&mut cx, "which_children").await,
            "[{child1,undefined,worker,[]}]"
        );

        shared.init.lock().unwrap().clear();
        let second = pid_in(&ask(&mut cx, "{restart_child, child1}").await);
        cx.link(second);
        fail(&mut cx, &shared, &[second]).await;
        terminate(&mut cx, supervisor, "shutdown").await;
        assert_eq!(exit_of(&mut cx, second).await, "error");
        assert_eq!(cx.whereis("sup_test"), None);
    });
}

/// From here on no start succeeds; and these end. They are being restarted then.
async fn fail(cx: &mut Context, shared: &Shared, pids: &[Pid]) {
    *shared.init.lock().unwrap() = "fail".to_owned();
    for &pid in pids {
        cx.send(pid, &Atom::new("fail").unwrap()).unwrap();
    }
    cx.sleep(Duration::from_secs(2)).await;
}

#[test]
fn hanging_restart_loop_rest_for_one() {
    run(async |mut cx, shared| {
        let supervisor = started(&mut cx, "{ok, {{rest_for_one, 8, 10}, []}}").await;
        let first = child(&mut cx, &permanent("child1")).await;
        let spec =
            "{child2, {supervisor_deadlock, start_child, []}, permanent, brutal_kill, worker, []}";
        let second = child(&mut cx, spec).await;
        cx.link(second);
        child(&mut cx, &permanent("child3")).await;
        fail(&mut cx, &shared, &[second]).await;

        let answer = ask(&mut cx, &format!("{{start_child, {spec}}}")).await;
        assert_eq!(answer, "{error,already_present}");
        assert_eq!(
            ask(&mut cx, "{restart_child, child2}").await,
            "{error,restarting}"
        );
        assert_eq!(
            ask(&mut cx, "{delete_child, child2}").await,
            "{error,restarting}"
        );
        let listed = |second: &str| {
            format!(
                "[{{child3,undefined,worker,[]}},{{child2,{second},worker,[]}},{{child1,{first},worker,[]}}]"
            )
        };
        assert_eq!(ask(&mut cx, "which_children").await, listed("restarting"));
        let one = "{ok,{child2,restarting,worker,[]}}";
        assert_eq!(ask(&mut cx, "{which_child, child2}").await, one);
        assert_eq!(counts(&mut cx).await, [3, 1, 0, 3]);
        assert_eq!(ask(&mut cx, "{terminate_child, child2}").await, "ok");
        assert_eq!(exit_of(&mut cx, second).await, "error");
        assert_eq!(ask(&mut cx, "which_children").await, listed("undefined"));

        shared.init.lock().unwrap().clear();
        let second = pid_in(&ask(&mut cx, "{restart_child, child2}").await);
        cx.link(second);
        fail(&mut cx, &shared, &[second]).await;
        terminate(&mut cx, supervisor, "shutdown").await;
        assert_eq!(exit_of(&mut cx, second).await, "error");
        assert_eq!(cx.whereis("sup_test"), None);
    });
}

#[test]
fn hanging_restart_loop_simple() {
    run(async |mut cx, shared| {
        let spec =
            "{child1, {supervisor_deadlock, start_child, []}, permanent, brutal_kill, worker, []}";
        let supervisor = started(
            &mut cx,
            &format!("{{ok, {{{{simple_one_for_one, 8, 10}}, [{spec}]}}}}"),
        )
        .await;
        let first = child(&mut cx, "[]").await;
        cx.link(first);
        fail(&mut cx, &shared, &[first]).await;
        let wrong = "{error,simple_one_for_one}";
        assert_eq!(ask(&mut cx, "{restart_child, child1}").await, wrong);
        assert_eq!(ask(&mut cx, "{delete_child, child1}").await, wrong);
        assert_eq!(
            ask(&mut cx, "which_children").await,
            "[{undefined,restarting,worker,[]}]"
        );
        let one = ask(&mut cx, &format!("{{which_child, {first}}}")).await;
        assert_eq!(one, "{ok,{undefined,restarting,worker,[]}}");
        assert_eq!(counts(&mut cx).await, [1, 0, 0, 1]);
        assert_eq!(
            ask(&mut cx, &format!("{{terminate_child, {first}}}")).await,
            "ok"
        );
        assert_eq!(exit_of(&mut cx, first).await, "error");
        assert_eq!(ask(&mut cx, "which_children").await, "[]");

        shared.init.lock().unwrap().clear();
        let second = child(&mut cx, "[]").await;
        cx.link(second);
        fail(&mut cx, &shared, &[second]).await;
        terminate(&mut cx, supervisor, "shutdown").await;
        assert_eq!(exit_of(&mut cx, second).await, "error");
        assert_eq!(cx.whereis("sup_test"), None);
    });
}

#[test]
fn count_restarting_children() {
    run(async |mut cx, shared| {
        let spec =
            "{child, {supervisor_deadlock, start_child, []}, permanent, brutal_kill, worker, []}";
        started(
            &mut cx,
            &format!("{{ok, {{{{simple_one_for_one, 20, 10}}, [{spec}]}}}}"),
        )
        .await;
        assert_eq!(counts(&mut cx).await, [1, 0, 0, 0]);
        for number in 1..=3 {
            let child = child(&mut cx, "[]").await;
            assert_eq!(counts(&mut cx).await, [1, number, 0, number]);
            terminate(&mut cx, child, "abnormal").await;
        }
        assert_eq!(counts(&mut cx).await, [1, 3, 0, 3]);
        let running: Vec<Pid> = which(&mut cx)
            .await
            .iter()
            .filter_map(|(_, pid)| *pid)
            .collect();
        fail(&mut cx, &shared, &running[..2]).await;
        cx.sleep(Duration::from_secs(2)).await;
        assert_eq!(counts(&mut cx).await, [1, 1, 0, 3]);
        shared.init.lock().unwrap().clear();
        cx.sleep(Duration::from_secs(4)).await;
        assert_eq!(counts(&mut cx).await, [1, 3, 0, 3]);
        for left in (0..3).rev() {
            let child = which(&mut cx).await[0].1.unwrap();
            assert_eq!(
                ask(&mut cx, &format!("{{terminate_child, {child}}}")).await,
                "ok"
            );
            assert_eq!(counts(&mut cx).await, [1, left, 0, left]);
        }
    });
}
