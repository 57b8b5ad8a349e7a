//! Significant children, and supervisors that end with them.

use super::*;

pub(super) const MODES: [&str; 3] = ["never", "any_significant", "all_significant"];

pub(super) fn worker(id: &str, restart: &str, significant: bool) -> String {
    format!(
        "#{{id => {id}, start => {{supervisor_1, start_child, []}}, restart => {restart}, significant => {significant}}}"
    )
}

pub(super) fn ending(flags: &str) -> String {
    format!("{{ok, {{#{{intensity => 5, {flags}}}, []}}}}")
}

/// Three children, the first two of them significant; all linked.
async fn three(cx: &mut Context, restart: &str, mode: &str) -> (Pid, [Pid; 3]) {
    let supervisor = started(cx, &ending(&format!("auto_shutdown => {mode}"))).await;
    let mut pids = Vec::new();
    for (id, significant) in [("child1", true), ("child2", true), ("child3", false)] {
        let pid = child(cx, &worker(id, restart, significant)).await;
        cx.link(pid);
        pids.push(pid);
    }
    (supervisor, pids.try_into().expect("three"))
}

async fn nonsignificant(cx: &mut Context, restart: &str) {
    for mode in MODES {
        let supervisor = started(cx, &ending(&format!("auto_shutdown => {mode}"))).await;
        for how in ["supervisor", "kill", "abnormal", "normal"] {
            let pid = match which(cx).await.first() {
                Some((_, Some(pid))) => *pid,
                Some((_, None)) => pid_in(&ask(cx, "{restart_child, child1}").await),
                None => child(cx, &worker("child1", restart, false)).await,
            };
            cx.link(pid);
            if how == "supervisor" {
                assert_eq!(ask(cx, "{terminate_child, child1}").await, "ok");
            } else {
                terminate(cx, pid, how).await;
            }
            check_exit(cx, &[pid]).await;
            no_exit(cx, &[supervisor]).await;
            let again = restart == "transient" && ["kill", "abnormal"].contains(&how);
            assert_eq!(counts(cx).await[1], i64::from(again));
        }
        terminate(cx, supervisor, "shutdown").await;
        check_exit(cx, &[supervisor]).await;
    }
}

#[test]
fn nonsignificant_temporary() {
    run(async |mut cx, _| nonsignificant(&mut cx, "temporary").await);
}

#[test]
fn nonsignificant_transient() {
    run(async |mut cx, _| nonsignificant(&mut cx, "transient").await);
}

/// Terminated by hand a significant child ends nobody.
async fn by_hand(cx: &mut Context, restart: &str) {
    let (supervisor, [first, second, third]) = three(cx, restart, "any_significant").await;
    assert_eq!(ask(cx, "{terminate_child, child1}").await, "ok");
    check_exit(cx, &[first]).await;
    no_exit(cx, &[second, third, supervisor]).await;
    terminate(cx, supervisor, "shutdown").await;
    check_exit(cx, &[second, third, supervisor]).await;
}

/// The first of two significant children that ends ends nobody, the last all of them.
async fn all_of_them(cx: &mut Context, restart: &str) {
    let (supervisor, [first, second, third]) = three(cx, restart, "all_significant").await;
    terminate(cx, first, "normal").await;
    check_exit(cx, &[first]).await;
    no_exit(cx, &[second, third, supervisor]).await;
    terminate(cx, second, "normal").await;
    check_exit(cx, &[second, third, supervisor]).await;
}

#[test]
fn significant_temporary() {
    run(async |mut cx, _| {
        by_hand(&mut cx, "temporary").await;
        for how in ["kill", "abnormal", "normal"] {
            let (supervisor, pids) = three(&mut cx, "temporary", "any_significant").await;
            terminate(&mut cx, pids[0], how).await;
            check_exit(&mut cx, &pids).await;
            assert_eq!(exit_of(&mut cx, supervisor).await, "shutdown");
        }
        all_of_them(&mut cx, "temporary").await;
    });
}

#[test]
fn significant_transient() {
    run(async |mut cx, _| {
        by_hand(&mut cx, "transient").await;
        let (supervisor, [mut first, second, third]) =
            three(&mut cx, "transient", "any_significant").await;
        for how in ["kill", "abnormal"] {
            terminate(&mut cx, first, how).await;
            check_exit(&mut cx, &[first]).await;
            no_exit(&mut cx, &[second, third, supervisor]).await;
            first = which(&mut cx).await[2].1.expect("it is there again");
            cx.link(first);
        }
        terminate(&mut cx, first, "normal").await;
        check_exit(&mut cx, &[first, second, third, supervisor]).await;
        all_of_them(&mut cx, "transient").await;
    });
}

#[test]
fn significant_simple() {
    run(async |mut cx, _| {
        for mode in ["any_significant", "all_significant"] {
            let template = worker("child1", "temporary", true);
            let init = format!(
                "{{ok, {{#{{strategy => simple_one_for_one, auto_shutdown => {mode}}}, [{template}]}}}}"
            );
            let supervisor = started(&mut cx, &init).await;
            let (first, second) = (child(&mut cx, "[]").await, child(&mut cx, "[]").await);
            cx.link(first);
            cx.link(second);
            terminate(&mut cx, first, "normal").await;
            check_exit(&mut cx, &[first]).await;
            if mode == "all_significant" {
                no_exit(&mut cx, &[second, supervisor]).await;
                terminate(&mut cx, second, "normal").await;
            }
            check_exit(&mut cx, &[second, supervisor]).await;
        }
    });
}

#[test]
fn significant_bystander() {
    run(async |mut cx, _| {
        for strategy in ["one_for_one", "one_for_all", "rest_for_one"] {
            for mode in ["any_significant", "all_significant"] {
                let flags = ending(&format!("strategy => {strategy}, auto_shutdown => {mode}"));
                let supervisor = started(&mut cx, &flags).await;
                let mut pids = Vec::new();
                for (id, significant) in [("child1", true), ("child2", false), ("child3", true)] {
                    let pid = child(&mut cx, &worker(id, "transient", significant)).await;
                    cx.link(pid);
                    pids.push(pid);
                }
                terminate(&mut cx, pids[1], "kill").await;
                let (gone, left) = match strategy {
                    "one_for_one" => (vec![pids[1]], vec![pids[0], pids[2]]),
                    "one_for_all" => (pids.clone(), vec![]),
                    _ => (vec![pids[1], pids[2]], vec![pids[0]]),
                };
                check_exit(&mut cx, &gone).await;
                no_exit(&mut cx, &left).await;
                no_exit(&mut cx, &[supervisor]).await;
                terminate(&mut cx, supervisor, "shutdown").await;
                check_exit(&mut cx, &left).await;
                check_exit(&mut cx, &[supervisor]).await;
            }
        }
    });
}

#[test]
fn significant_escalation() {
    run(async |mut cx, _| {
        for significant in [true, false] {
            let top = started(&mut cx, &ending("auto_shutdown => any_significant")).await;
            let below = format!(
                "#{{id => sup1, start => {{suite, start_nested, [{}]}}, restart => transient, type => supervisor, \
                 significant => {significant}}}",
                ending("auto_shutdown => any_significant")
            );
            let below = child(&mut cx, &below).await;
            let worker = child_of(&mut cx, below, &worker("child1", "transient", true)).await;
            cx.link(below);
            cx.link(worker);
            terminate(&mut cx, worker, "normal").await;
            check_exit(&mut cx, &[worker, below]).await;
            if !significant {
                no_exit(&mut cx, &[top]).await;
                terminate(&mut cx, top, "shutdown").await;
            }
            check_exit(&mut cx, &[top]).await;
        }
    });
}
