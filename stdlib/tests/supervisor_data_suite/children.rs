//! What is kept of children, and trees of supervisors.

use super::*;

#[test]
fn do_not_save_child_specs_for_temporary_children() {
    run(async |mut cx, _| {
        for strategy in ["one_for_all", "one_for_one", "rest_for_one"] {
            for how in ["kill", "normal", "abnormal", "supervisor"] {
                let supervisor = started(&mut cx, &init(strategy, 10, &[])).await;
                for (number, restart) in ["permanent", "transient", "temporary"].iter().enumerate()
                {
                    let id = format!("child{number}");
                    let spec = spec(&id, "[]", restart);
                    let pid = child(&mut cx, &spec).await;
                    if how == "supervisor" {
                        let request = format!("{{terminate_child, {id}}}");
                        assert_eq!(ask(&mut cx, &request).await, "ok");
                    } else {
                        terminate(&mut cx, pid, how).await;
                    }
                    let answer = ask(&mut cx, &format!("{{start_child, {spec}}}")).await;
                    match (*restart, how) {
                        ("temporary", _) => assert!(answer.starts_with("{ok,<"), "{answer}"),
                        (_, "supervisor") | ("transient", "normal") => {
                            assert_eq!(answer, "{error,already_present}");
                            pid_in(&ask(&mut cx, &format!("{{restart_child, {id}}}")).await);
                        }
                        _ => assert!(answer.starts_with("{error,{already_started,"), "{answer}"),
                    }
                }
                terminate(&mut cx, supervisor, "shutdown").await;
            }
        }
    });
}

fn nested(id: &str, restart: &str, children: &[String]) -> String {
    let init = init("one_for_one", 4, children);
    format!("{{{id}, {{suite, start_nested, [{init}]}}, {restart}, infinity, supervisor, []}}")
}

#[test]
fn tree() {
    run(async |mut cx, _| {
        let top = started(&mut cx, &init("one_for_all", 4, &[])).await;
        let two = [permanent("child1"), permanent("child2")];
        let first = child(&mut cx, &nested("supchild1", "permanent", &two)).await;
        let second = child(&mut cx, &nested("supchild2", "permanent", &[])).await;
        child(&mut cx, &nested("supchild3", "transient", &[])).await;
        assert_eq!(ask(&mut cx, "{terminate_child, supchild3}").await, "ok");
        assert_eq!(counts(&mut cx).await, [3, 2, 3, 0]);
        let workers = which_of(&mut cx, first).await;
        assert_eq!(
            workers
                .iter()
                .map(|(id, _)| id.as_str())
                .collect::<Vec<_>>(),
            ["child2", "child1"]
        );
        assert_eq!(counts_of(&mut cx, first).await, [2, 2, 0, 2]);
        assert_eq!(counts_of(&mut cx, second).await, [0, 0, 0, 0]);

        let third = child_of(&mut cx, second, &spec("child3", "[error]", "permanent")).await;
        let fourth = child_of(&mut cx, second, &permanent("child4")).await;
        assert_eq!(counts_of(&mut cx, second).await, [2, 2, 0, 2]);
        terminate(&mut cx, fourth, "abnormal").await;
        assert_eq!(
            which_of(&mut cx, first).await,
            workers,
            "only who ended is restarted"
        );
        let below = which_of(&mut cx, second).await;
        assert_eq!(below[1], ("child3".to_owned(), Some(third)));
        assert_eq!(below[0].0, "child4");
        assert!(below[0].1.is_some_and(|pid| pid != fourth));
        assert_eq!(counts_of(&mut cx, second).await, [2, 2, 0, 2]);

        // It does not start again: its supervisor gives up, and the top one restarts all of them.
        terminate(&mut cx, third, "abnormal").await;
        cx.sleep(Duration::from_secs(1)).await;
        let supervisors = which_of(&mut cx, top).await;
        let ids: Vec<&str> = supervisors.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["supchild3", "supchild2", "supchild1"]);
        assert_eq!(counts(&mut cx).await, [3, 3, 3, 0]);
        assert_eq!(
            counts_of(&mut cx, supervisors[2].1.unwrap()).await,
            [2, 2, 0, 2]
        );
        assert_eq!(
            counts_of(&mut cx, supervisors[1].1.unwrap()).await,
            [0, 0, 0, 0]
        );
        assert_eq!(
            counts_of(&mut cx, supervisors[0].1.unwrap()).await,
            [0, 0, 0, 0]
        );
    });
}

#[test]
fn order_of_children() {
    run(async |mut cx, _| {
        let ids = ["ch7", "ch3", "ch10", "ch2", "ch5"];
        let supervisor = started(&mut cx, &init("rest_for_one", 2, &ids.map(permanent))).await;
        let before = in_start_order(&mut cx, &ids).await;
        // They end one after the other, newest first.
        ends_in_order(&mut cx, before[2], "died", &[before[4], before[3]]).await;
        let after = in_start_order(&mut cx, &ids).await;
        assert_eq!(after[..2], before[..2]);
        assert!(after[2..].iter().all(|pid| !before.contains(pid)));
        let newest_first: Vec<Pid> = after.iter().rev().copied().collect();
        ends_in_order(&mut cx, supervisor, "shutdown", &newest_first).await;
    });
}

/// The children's pids, which grow as they start.
async fn in_start_order(cx: &mut Context, ids: &[&str]) -> Vec<Pid> {
    let mut children = which(cx).await;
    children.reverse();
    let listed: Vec<&str> = children.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(listed, ids);
    children.iter().map(|(_, pid)| pid.unwrap()).collect()
}

/// Has one end, and the others after it, in this order.
async fn ends_in_order(cx: &mut Context, first: Pid, reason: &str, expected: &[Pid]) {
    for &pid in expected {
        cx.monitor(pid);
    }
    match reason {
        "died" => cx.send(first, &Atom::new("die").unwrap()).unwrap(),
        _ => cx.exit_process(first, ExitReason::shutdown()),
    }
    for &pid in expected {
        let down = cx
            .receive_where(LIMIT, otp_vm::Message::down)
            .await
            .expect("a DOWN");
        assert_eq!(down.object, otp_vm::Monitored::Pid(pid));
    }
    cx.sleep(SOON).await;
}
