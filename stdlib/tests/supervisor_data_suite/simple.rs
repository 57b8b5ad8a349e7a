//! The strategy `simple_one_for_one`.

use super::*;

async fn two(cx: &mut Context, arguments: &str) -> (Pid, Pid, Pid) {
    let spec = spec("child", arguments, "permanent");
    let supervisor = started(cx, &init("simple_one_for_one", 2, &[spec])).await;
    (supervisor, child(cx, "[]").await, child(cx, "[]").await)
}

/// One ends, and there are two again; then the others do, and that is one too many.
async fn three_ends(cx: &mut Context, supervisor: Pid, first: Pid, second: Pid) {
    terminate(cx, first, "abnormal").await;
    let children = which(cx).await;
    assert_eq!(children.len(), 2);
    assert!(children.iter().any(|(_, pid)| *pid == Some(second)));
    assert_eq!(counts(cx).await, [1, 2, 0, 2]);
    terminate(cx, second, "abnormal").await;
    let last = which(cx).await[0].1.unwrap();
    terminate(cx, last, "abnormal").await;
    assert_eq!(exit_of(cx, supervisor).await, "shutdown");
}

#[test]
fn simple_one_for_one() {
    run(async |mut cx, _| {
        let (supervisor, first, second) = two(&mut cx, "[]").await;
        three_ends(&mut cx, supervisor, first, second).await;
    });
}

/// Not of the suite, which has no case for it.
#[test]
fn which_child() {
    run(async |mut cx, _| {
        let (supervisor, first, _) = two(&mut cx, "[]").await;
        let one = ask(&mut cx, &format!("{{which_child, {first}}}")).await;
        assert_eq!(one, format!("{{ok,{{undefined,{first},worker,[]}}}}"));
        let nobody = ask(&mut cx, &format!("{{which_child, {supervisor}}}")).await;
        assert_eq!(nobody, "{error,not_found}");
        let wrong = "{error,simple_one_for_one}";
        assert_eq!(ask(&mut cx, "{which_child, child}").await, wrong);
    });
}

#[test]
fn simple_one_for_one_extra() {
    run(async |mut cx, _| {
        let template = spec("child", "[extra_info]", "permanent");
        let supervisor = started(&mut cx, &init("simple_one_for_one", 2, &[template])).await;
        let mut pids = Vec::new();
        for _ in 0..2 {
            let answer = ask(&mut cx, "{start_child, []}").await;
            let pid = pid_in(&answer);
            assert_eq!(answer, format!("{{ok,{pid},extra_info}}"));
            pids.push(pid);
        }
        three_ends(&mut cx, supervisor, pids[0], pids[1]).await;
    });
}

#[test]
fn simple_one_for_one_escalation() {
    run(async |mut cx, _| {
        let supervisor = started(
            &mut cx,
            &init("simple_one_for_one", 4, &[permanent("child")]),
        )
        .await;
        let first = child(&mut cx, "[error]").await;
        cx.link(first);
        let second = child(&mut cx, "[]").await;
        cx.link(second);
        terminate(&mut cx, first, "abnormal").await;
        check_exit(&mut cx, &[supervisor, second]).await;
    });
}

/// What a supervisor keeps of children that had large arguments, as its `get_childspec` tells.
async fn kept(cx: &mut Context, restart: &str, strategy: &str) -> bool {
    let simple = strategy == "simple_one_for_one";
    let template = if simple {
        vec![spec("child", "[]", restart)]
    } else {
        vec![]
    };
    let supervisor = started(cx, &init(strategy, 2, &template)).await;
    let large = "[\"potentially large\", \"potentially large\"]";
    let started = if simple {
        child(cx, &format!("[{large}]")).await;
        None
    } else {
        child(cx, &spec("child1", &format!("[{large}]"), restart)).await;
        Some(ask(cx, "{get_childspec, child1}").await)
    };
    let is_kept = match started {
        Some(spec) => spec.contains("potentially large"),
        None => {
            // A restart needs them; there is none without.
            let child = which(cx).await[0].1.unwrap();
            terminate(cx, child, "abnormal").await;
            counts(cx).await[1] == 1
        }
    };
    terminate(cx, supervisor, "shutdown").await;
    is_kept
}

#[test]
fn do_not_save_start_parameters_for_temporary_children() {
    run(async |mut cx, _| {
        for strategy in [
            "one_for_all",
            "one_for_one",
            "rest_for_one",
            "simple_one_for_one",
        ] {
            assert!(kept(&mut cx, "permanent", strategy).await);
            assert!(kept(&mut cx, "transient", strategy).await);
            assert!(!kept(&mut cx, "temporary", strategy).await);
        }
    });
}

async fn many(cx: &mut Context, kind: &str) {
    let spec = format!("{{child, {{supervisor_1, start_child, []}}, temporary, 1000, {kind}, []}}");
    started(cx, &init("simple_one_for_one", 2, &[spec])).await;
    let of = |count: i64| {
        if kind == "worker" {
            [1, count, 0, count]
        } else {
            [1, count, count, 0]
        }
    };
    for round in 1..=2 {
        for _ in 0..1000 {
            child(cx, "[]").await;
        }
        assert_eq!(counts(cx).await, of(1000 * round));
        let children = which(cx).await;
        assert_eq!(children.len(), 1000 * round as usize);
        assert_eq!(which(cx).await, children);
        assert_eq!(counts(cx).await, of(1000 * round));
    }
    for (_, pid) in which(cx).await {
        cx.exit_process(pid.unwrap(), ExitReason::kill());
    }
    cx.sleep(Duration::from_secs(1)).await;
    assert_eq!(counts(cx).await, [1, 0, 0, 0]);
}

#[test]
fn count_children() {
    run(async |mut cx, _| many(&mut cx, "worker").await);
}

#[test]
fn count_children_supervisor() {
    run(async |mut cx, _| many(&mut cx, "supervisor").await);
}

#[test]
fn get_callback_module() {
    run(async |mut cx, _| {
        let init = init("simple_one_for_one", 2, &[permanent("child")]);
        let supervisor = start_link(&mut cx, &init).await.unwrap();
        let module = supervisor.get_callback_module(&mut cx).await.unwrap();
        assert_eq!(module.as_deref(), Some("suite"));
    });
}

#[test]
fn simple_one_for_one_scale_many_temporary_children() {
    run(async |mut cx, _| {
        let template = spec("child", "[]", "temporary");
        started(&mut cx, &init("simple_one_for_one", 2, &[template])).await;
        // The shortest of some rounds: others share the machine.
        let mut shortest = [Duration::MAX; 2];
        for round in 0..6 {
            let mut children = Vec::new();
            for _ in 0..[100, 1000][round % 2] {
                children.push(child(&mut cx, "[]").await);
            }
            let begun = std::time::Instant::now();
            for child in children {
                let answer = ask(&mut cx, &format!("{{terminate_child, {child}}}")).await;
                assert_eq!(answer, "ok");
            }
            shortest[round % 2] = shortest[round % 2].min(begun.elapsed());
        }
        // Ten times as many take ten times as long, and not a hundred times.
        assert!(shortest[1] < shortest[0] * 50, "{shortest:?}");
    });
}
