//! Starts of supervisors and children.

use super::*;

#[test]
fn sup_start_ignore_init() {
    run(async |mut cx, _| {
        let error = start_link(&mut cx, "ignore").await.unwrap_err();
        assert_eq!(error, StartError::Ignore);
        assert_eq!(cx.whereis("sup_test"), None);
    });
}

#[test]
fn sup_start_ignore_child() {
    run(async |mut cx, _| {
        started(&mut cx, &init("one_for_one", 2, &[])).await;
        let ignoring = spec("child1", "[ignore]", "permanent");
        let answer = ask(&mut cx, &format!("{{start_child, {ignoring}}}")).await;
        assert_eq!(answer, "{ok,undefined}");
        let second = child(&mut cx, &permanent("child2")).await;
        let expected = format!("[{{child2,{second},worker,[]}},{{child1,undefined,worker,[]}}]");
        assert_eq!(ask(&mut cx, "which_children").await, expected);
        assert_eq!(counts(&mut cx).await, [2, 1, 0, 2]);
    });
}

#[test]
fn sup_start_ignore_temporary_child() {
    run(async |mut cx, _| {
        let children = [
            spec("child1", "[ignore]", "temporary"),
            spec("child2", "[]", "temporary"),
        ];
        started(&mut cx, &init("one_for_one", 2, &children)).await;
        assert_eq!(ids(&mut cx).await, ["child2"]);
        assert!(which(&mut cx).await[0].1.is_some());
        assert_eq!(counts(&mut cx).await, [1, 1, 0, 1]);
    });
}

#[test]
fn sup_start_ignore_temporary_child_start_child() {
    run(async |mut cx, _| {
        started(&mut cx, &init("one_for_one", 2, &[])).await;
        let ignoring = spec("child1", "[ignore]", "temporary");
        let answer = ask(&mut cx, &format!("{{start_child, {ignoring}}}")).await;
        assert_eq!(answer, "{ok,undefined}");
        let second = child(&mut cx, &spec("child2", "[]", "temporary")).await;
        assert_eq!(which(&mut cx).await, [("child2".to_owned(), Some(second))]);
        assert_eq!(counts(&mut cx).await, [1, 1, 0, 1]);
    });
}

async fn ignored_simple(cx: &mut Context, restart: &str) -> Pid {
    let supervisor = init(
        "simple_one_for_one",
        2,
        &[spec("child1", "[ignore]", restart)],
    );
    let supervisor = started(cx, &supervisor).await;
    assert_eq!(ask(cx, "{start_child, []}").await, "{ok,undefined}");
    let second = child(cx, "[]").await;
    let expected = format!("[{{undefined,{second},worker,[]}}]");
    assert_eq!(ask(cx, "which_children").await, expected);
    assert_eq!(counts(cx).await, [1, 1, 0, 1]);
    supervisor
}

#[test]
fn sup_start_ignore_temporary_child_start_child_simple() {
    run(async |mut cx, _| {
        ignored_simple(&mut cx, "temporary").await;
    });
}

#[test]
fn sup_start_ignore_permanent_child_start_child_simple() {
    run(async |mut cx, _| {
        let supervisor = ignored_simple(&mut cx, "permanent").await;
        cx.exit_process(supervisor, ExitReason::shutdown());
        assert_eq!(exit_of(&mut cx, supervisor).await, "shutdown");
    });
}

#[test]
fn sup_start_error_return() {
    run(async |mut cx, _| {
        let reason = refused(&mut cx, "invalid").await;
        assert_eq!(reason, "{bad_return,{suite,init,invalid}}");
        assert_eq!(cx.whereis("sup_test"), None);
    });
}

#[test]
fn sup_start_fail() {
    run(async |mut cx, _| {
        let reason = refused(&mut cx, "fail").await;
        assert!(reason.starts_with("{panic,<<\"as told\">>,"), "{reason}");
        assert_eq!(cx.whereis("sup_test"), None);
    });
}

#[test]
fn sup_start_child_returns_error() {
    run(async |mut cx, _| {
        started(&mut cx, &init("one_for_one", 2, &[])).await;
        for (returned, reason) in [
            ("{error, reason}", "reason"),
            ("error_reason", "error_reason"),
        ] {
            let failing = spec("child1", &format!("[{{return, {returned}}}]"), "permanent");
            let answer = ask(&mut cx, &format!("{{start_child, {failing}}}")).await;
            assert!(
                answer.starts_with(&format!("{{error,{{{reason},")),
                "{answer}"
            );
        }
        assert_eq!(ask(&mut cx, "which_children").await, "[]");
    });
}

#[test]
fn sup_start_restart_child_returns_error() {
    run(async |mut cx, _| {
        let failing = spec("child1", "[error]", "permanent");
        started(&mut cx, &init("one_for_one", 2, &[failing])).await;
        assert_eq!(ask(&mut cx, "{terminate_child, child1}").await, "ok");
        let answer = ask(&mut cx, "{restart_child, child1}").await;
        assert_eq!(answer, "{error,{function_clause,[]}}");
        assert_eq!(
            ask(&mut cx, "which_children").await,
            "[{child1,undefined,worker,[]}]"
        );
    });
}

#[test]
fn sup_start_child_returns_error_simple() {
    run(async |mut cx, _| {
        started(
            &mut cx,
            &init("simple_one_for_one", 2, &[permanent("child1")]),
        )
        .await;
        let answer = ask(&mut cx, "{start_child, [{return, {error, reason}}]}").await;
        assert_eq!(answer, "{error,reason}");
        let answer = ask(&mut cx, "{start_child, [{return, error_reason}]}").await;
        assert_eq!(answer, "{error,error_reason}");
        assert_eq!(ask(&mut cx, "which_children").await, "[]");
    });
}

/// A specification in full.
fn full(id: &str, restart: &str, shutdown: &str, kind: &str) -> String {
    format!(
        "#{{id => {id}, start => {{supervisor_1,start_child,[]}}, restart => {restart}, shutdown => {shutdown}, \
        type => {kind}, significant => false, modules => [supervisor_1]}}"
    )
}

#[test]
fn sup_start_map() {
    run(async |mut cx, _| {
        let start = "start => {supervisor_1, start_child, []}";
        let children = format!(
            "{{ok, {{#{{}}, [#{{id => child1, {start}}}, #{{id => child2, {start}, shutdown => brutal_kill}}, \
             #{{id => child3, {start}, type => supervisor}}]}}}}"
        );
        let supervisor = started(&mut cx, &children).await;
        for (id, shutdown, kind) in [
            ("child1", "5000", "worker"),
            ("child2", "brutal_kill", "worker"),
            ("child3", "infinity", "supervisor"),
        ] {
            let answer = ask(&mut cx, &format!("{{get_childspec, {id}}}")).await;
            let expected = full(id, "permanent", shutdown, kind);
            assert_eq!(term(&answer), term(&format!("{{ok, {expected}}}")));
        }
        assert_eq!(
            ask(&mut cx, "{get_childspec, child4}").await,
            "{error,not_found}"
        );
        terminate(&mut cx, supervisor, "shutdown").await;
    });
}

#[test]
fn sup_start_map_simple() {
    run(async |mut cx, _| {
        let template =
            "#{id => undefined, start => {supervisor_1, start_child, []}, restart => temporary}";
        let flags = format!("{{ok, {{#{{strategy => simple_one_for_one}}, [{template}]}}}}");
        let supervisor = started(&mut cx, &flags).await;
        for _ in 0..3 {
            let pid = child(&mut cx, "[]").await;
            let answer = ask(&mut cx, &format!("{{get_childspec, {pid}}}")).await;
            let expected = full("undefined", "temporary", "5000", "worker");
            assert_eq!(term(&answer), term(&format!("{{ok, {expected}}}")));
        }
        let answer = ask(&mut cx, &format!("{{get_childspec, {}}}", supervisor)).await;
        assert_eq!(answer, "{error,not_found}");
        terminate(&mut cx, supervisor, "shutdown").await;
    });
}

#[test]
fn sup_start_map_faulty_specs() {
    run(async |mut cx, _| {
        let with = |child: &str| format!("{{ok, {{#{{}}, [{child}]}}}}");
        let no_id = with("#{start => {supervisor_1, start_child, []}}");
        assert_eq!(refused(&mut cx, &no_id).await, "{start_spec,missing_id}");
        let no_start = with("#{id => child2}");
        assert_eq!(
            refused(&mut cx, &no_start).await,
            "{start_spec,missing_start}"
        );
        let silly =
            with("#{id => child3, start => {supervisor_1, start_child, []}, silly_flag => true}");
        let supervisor = started(&mut cx, &silly).await;
        terminate(&mut cx, supervisor, "shutdown").await;
        let reason = refused(&mut cx, &with("child4")).await;
        assert_eq!(reason, "{start_spec,{invalid_child_spec,child4}}");
    });
}
