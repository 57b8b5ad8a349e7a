//! Children added, removed and listed; specifications and flags that are wrong.

use super::*;
use otp_stdlib::supervisor::{AutoShutdown, check_childspecs};

/// Whoever asks a supervisor that does not run.
async fn nobody(cx: &mut Context, request: &str) {
    let answer: Result<OwnedTerm, _> = cx.call("foo", &term(request), LIMIT).await;
    assert_eq!(ExitReason::from(answer.unwrap_err()), ExitReason::noproc());
}

#[test]
fn child_adm() {
    run(async |mut cx, _| {
        let spec = permanent("child1");
        started(
            &mut cx,
            &init("one_for_one", 2, std::slice::from_ref(&spec)),
        )
        .await;
        let first = which(&mut cx).await[0].1.unwrap();
        assert_eq!(counts(&mut cx).await, [1, 1, 0, 1]);
        cx.link(first);
        let start = format!("{{start_child, {spec}}}");
        assert_eq!(
            ask(&mut cx, &start).await,
            format!("{{error,{{already_started,{first}}}}}")
        );

        assert_eq!(
            ask(&mut cx, "{terminate_child, hej}").await,
            "{error,not_found}"
        );
        nobody(&mut cx, "{terminate_child, child1}").await;
        assert_eq!(ask(&mut cx, "{terminate_child, child1}").await, "ok");
        assert_eq!(exit_of(&mut cx, first).await, "shutdown");
        assert_eq!(
            ask(&mut cx, "which_children").await,
            "[{child1,undefined,worker,[]}]"
        );
        assert_eq!(counts(&mut cx).await, [1, 0, 0, 1]);
        assert_eq!(ask(&mut cx, "{terminate_child, child1}").await, "ok");
        assert_eq!(ask(&mut cx, &start).await, "{error,already_present}");

        let second = pid_in(&ask(&mut cx, "{restart_child, child1}").await);
        assert_eq!(which(&mut cx).await, [("child1".to_owned(), Some(second))]);
        assert_eq!(counts(&mut cx).await, [1, 1, 0, 1]);
        assert_eq!(
            ask(&mut cx, "{restart_child, child1}").await,
            "{error,running}"
        );
        assert_eq!(
            ask(&mut cx, "{restart_child, child2}").await,
            "{error,not_found}"
        );

        assert_eq!(
            ask(&mut cx, "{delete_child, child1}").await,
            "{error,running}"
        );
        assert_eq!(
            ask(&mut cx, "{delete_child, hej}").await,
            "{error,not_found}"
        );
        nobody(&mut cx, "{delete_child, child1}").await;
        assert_eq!(ask(&mut cx, "{terminate_child, child1}").await, "ok");
        assert_eq!(ask(&mut cx, "{delete_child, child1}").await, "ok");
        assert_eq!(
            ask(&mut cx, "{restart_child, child1}").await,
            "{error,not_found}"
        );
        assert_eq!(ask(&mut cx, "which_children").await, "[]");
        assert_eq!(counts(&mut cx).await, [0, 0, 0, 0]);

        nobody(&mut cx, &start).await;
        let third = child(&mut cx, &spec).await;
        assert_eq!(which(&mut cx).await, [("child1".to_owned(), Some(third))]);
        // By pid only those of simple_one_for_one are known.
        let answer = ask(&mut cx, &format!("{{terminate_child, {third}}}")).await;
        assert_eq!(answer, "{error,not_found}");
        assert_eq!(counts(&mut cx).await, [1, 1, 0, 1]);
        nobody(&mut cx, "which_children").await;
        nobody(&mut cx, "count_children").await;
    });
}

#[test]
fn child_adm_simple() {
    run(async |mut cx, _| {
        started(
            &mut cx,
            &init("simple_one_for_one", 2, &[permanent("child")]),
        )
        .await;
        assert_eq!(ask(&mut cx, "which_children").await, "[]");
        assert_eq!(counts(&mut cx).await, [1, 0, 0, 0]);
        nobody(&mut cx, "{start_child, []}").await;
        let first = child(&mut cx, "[]").await;
        assert_eq!(
            which(&mut cx).await,
            [("undefined".to_owned(), Some(first))]
        );
        assert_eq!(counts(&mut cx).await, [1, 1, 0, 1]);
        let second = child(&mut cx, "[]").await;
        let children = which(&mut cx).await;
        assert_eq!(children.len(), 2);
        for pid in [first, second] {
            assert!(children.contains(&("undefined".to_owned(), Some(pid))));
        }
        assert_eq!(counts(&mut cx).await, [1, 2, 0, 2]);

        let wrong = "{error,simple_one_for_one}";
        assert_eq!(ask(&mut cx, "{terminate_child, child1}").await, wrong);
        assert_eq!(counts(&mut cx).await, [1, 2, 0, 2]);
        for _ in 0..2 {
            // Once more is as good.
            let answer = ask(&mut cx, &format!("{{terminate_child, {first}}}")).await;
            assert_eq!(answer, "ok");
            assert_eq!(which(&mut cx).await.len(), 1);
            assert_eq!(counts(&mut cx).await, [1, 1, 0, 1]);
            assert!(!cx.is_alive(first).await);
        }
        let stranger = cx
            .spawn_link(async |mut cx: Context| {
                cx.receive().await;
            })
            .unwrap();
        let answer = ask(&mut cx, &format!("{{terminate_child, {stranger}}}")).await;
        assert_eq!(answer, "{error,not_found}");
        assert!(cx.is_alive(stranger).await);
        assert_eq!(ask(&mut cx, "{restart_child, child1}").await, wrong);
        assert_eq!(ask(&mut cx, "{delete_child, child1}").await, wrong);
    });
}

#[test]
fn extra_return() {
    run(async |mut cx, _| {
        let spec = spec("child1", "[extra_return]", "permanent");
        started(
            &mut cx,
            &init("one_for_one", 2, std::slice::from_ref(&spec)),
        )
        .await;
        let first = which(&mut cx).await[0].1.unwrap();
        cx.link(first);
        for (request, answer) in [
            ("{terminate_child, hej}", "not_found"),
            ("{delete_child, hej}", "not_found"),
            ("{restart_child, hej}", "not_found"),
            ("{delete_child, child1}", "running"),
            ("{restart_child, child1}", "running"),
        ] {
            assert_eq!(ask(&mut cx, request).await, format!("{{error,{answer}}}"));
        }
        assert_eq!(which(&mut cx).await, [("child1".to_owned(), Some(first))]);
        assert_eq!(counts(&mut cx).await, [1, 1, 0, 1]);
        assert_eq!(ask(&mut cx, "{terminate_child, child1}").await, "ok");
        assert_eq!(exit_of(&mut cx, first).await, "shutdown");
        assert_eq!(counts(&mut cx).await, [1, 0, 0, 1]);

        let answer = ask(&mut cx, "{restart_child, child1}").await;
        let second = pid_in(&answer);
        assert_eq!(answer, format!("{{ok,{second},extra_return}}"));
        assert_eq!(counts(&mut cx).await, [1, 1, 0, 1]);
        for request in ["terminate", "terminate", "delete"] {
            assert_eq!(
                ask(&mut cx, &format!("{{{request}_child, child1}}")).await,
                "ok"
            );
        }
        assert_eq!(
            ask(&mut cx, "{restart_child, child1}").await,
            "{error,not_found}"
        );
        assert_eq!(counts(&mut cx).await, [0, 0, 0, 0]);

        let answer = ask(&mut cx, &format!("{{start_child, {spec}}}")).await;
        let third = pid_in(&answer);
        assert_eq!(answer, format!("{{ok,{third},extra_return}}"));
        terminate(&mut cx, third, "abnormal").await;
        let fourth = which(&mut cx).await[0].1.unwrap();
        assert_ne!(fourth, third);
        assert_eq!(counts(&mut cx).await, [1, 1, 0, 1]);
    });
}

fn checked(specs: &str, auto_shutdown: Option<AutoShutdown>) -> String {
    match check_childspecs(term(specs).root(), auto_shutdown) {
        Ok(()) => "ok".to_owned(),
        Err(error) => to_term(&error).unwrap().to_string(),
    }
}

#[test]
fn child_specs() {
    run(async |mut cx, _| {
        let supervisor = started(&mut cx, &init("one_for_one", 2, &[])).await;
        assert!(
            ask(&mut cx, "{start_child, hej}")
                .await
                .starts_with("{error,")
        );
        let wrong = [
            (
                "{child, mfa, permanent, 1000, worker, []}",
                "{invalid_mfa,mfa}",
            ),
            (
                "{child, {m,f,[a]}, prmanent, 1000, worker, []}",
                "{invalid_restart_type,prmanent}",
            ),
            (
                "{child, {m,f,[a]}, permanent, -10, worker, []}",
                "{invalid_shutdown,-10}",
            ),
            (
                "{child, {m,f,[a]}, permanent, 10, wrker, []}",
                "{invalid_child_type,wrker}",
            ),
            (
                "{child, {m,f,[a]}, permanent, 1000, worker, dy}",
                "{invalid_modules,dy}",
            ),
            (
                "{child, {m,f,[a]}, permanent, 1000, worker, [1,2,3]}",
                "{invalid_module,1}",
            ),
        ];
        for (spec, error) in wrong {
            let answer = ask(&mut cx, &format!("{{start_child, {spec}}}")).await;
            assert_eq!(answer, format!("{{error,{error}}}"));
            assert_eq!(checked(&format!("[{spec}]"), None), error);
        }
        assert!(
            checked(wrong[0].0, None).starts_with("{badarg,"),
            "it is no list"
        );
        for restart in ["permanent", "transient", "temporary"] {
            for shutdown in ["0", "1000", "infinity", "brutal_kill"] {
                for kind in ["supervisor", "worker"] {
                    for modules in ["dynamic", "[]", "[m]", "[m1, m2]"] {
                        let spec = format!(
                            "[{{child, {{m,f,[a]}}, {restart}, {shutdown}, {kind}, {modules}}}]"
                        );
                        assert_eq!(checked(&spec, None), "ok");
                    }
                }
            }
        }
        let (one, other) = (
            "{child, {m,f,[a]}, permanent, infinity, supervisor, []}",
            "{child, {m,f,[a]}, permanent, 1000, supervisor, []}",
        );
        let both = format!("[{one},{other}]");
        assert_eq!(checked(&both, None), "{duplicate_child_name,child}");
        terminate(&mut cx, supervisor, "shutdown").await;

        let with = |strategy, child: &str| init(strategy, 2, &[child.to_owned()]);
        let reason = refused(&mut cx, &with("one_for_one", wrong[0].0)).await;
        assert_eq!(reason, "{start_spec,{invalid_mfa,mfa}}");
        let reason = refused(&mut cx, &with("simple_one_for_one", wrong[1].0)).await;
        assert_eq!(reason, "{start_spec,{invalid_restart_type,prmanent}}");
        not_one(&mut cx, &both).await;
    });
}

/// One for all of its children is what simple_one_for_one needs.
async fn not_one(cx: &mut Context, both: &str) {
    let reason = refused(cx, &init("simple_one_for_one", 2, &[])).await;
    assert_eq!(reason, "{bad_start_spec,[]}");
    let reason = refused(
        cx,
        &format!("{{ok, {{{{simple_one_for_one, 2, 3600}}, {both}}}}}"),
    )
    .await;
    assert_eq!(term(&reason), term(&format!("{{bad_start_spec, {both}}}")));
}

#[test]
fn child_specs_map() {
    run(async |mut cx, _| {
        let supervisor = started(&mut cx, "{ok, {#{}, []}}").await;
        assert!(
            ask(&mut cx, "{start_child, hej}")
                .await
                .starts_with("{error,")
        );
        let with = |part: &str| format!("#{{id => child, start => {{m,f,[a]}}, {part}}}");
        let wrong = [
            ("#{}".to_owned(), "missing_id"),
            ("#{id => child}".to_owned(), "missing_start"),
            ("#{start => {m,f,[a]}}".to_owned(), "missing_id"),
            (
                "#{id => child, start => mfa}".to_owned(),
                "{invalid_mfa,mfa}",
            ),
            (
                with("restart => prmanent"),
                "{invalid_restart_type,prmanent}",
            ),
            (with("shutdown => -10"), "{invalid_shutdown,-10}"),
            (with("type => wrker"), "{invalid_child_type,wrker}"),
            (with("modules => dy"), "{invalid_modules,dy}"),
            (with("modules => [1,2,3]"), "{invalid_module,1}"),
            (
                with("significant => 'maybe'"),
                "{invalid_significant,'maybe'}",
            ),
        ];
        for (spec, error) in &wrong {
            let answer = ask(&mut cx, &format!("{{start_child, {spec}}}")).await;
            assert_eq!(term(&answer), term(&format!("{{error,{error}}}")));
            assert_eq!(term(&checked(&format!("[{spec}]"), None)), term(error));
        }
        assert!(
            checked("#{}", None).starts_with("{badarg,"),
            "it is no list"
        );
        every_combination();
        let twice = format!("[{0},{0}]", "#{id => child, start => {m,f,[a]}}");
        assert_eq!(checked(&twice, None), "{duplicate_child_name,child}");
        terminate(&mut cx, supervisor, "shutdown").await;

        let reason = refused(&mut cx, &init("one_for_one", 2, &[wrong[3].0.clone()])).await;
        assert_eq!(reason, "{start_spec,{invalid_mfa,mfa}}");
        let reason = refused(
            &mut cx,
            &init("simple_one_for_one", 2, &[wrong[4].0.clone()]),
        )
        .await;
        assert_eq!(reason, "{start_spec,{invalid_restart_type,prmanent}}");
        not_one(&mut cx, &twice).await;
        let significant = format!(
            "{{ok, {{#{{auto_shutdown => never}}, [{}]}}}}",
            with("significant => true")
        );
        let reason = refused(&mut cx, &significant).await;
        assert!(
            reason.starts_with("{start_spec,{bad_combination,"),
            "{reason}"
        );
    });
}

/// All of the case's combinations, with each part left out as well.
fn every_combination() {
    let parts = |key: &str, values: &[&str]| {
        let given = values.iter().map(|value| format!(", {key} => {value}"));
        std::iter::once(String::new())
            .chain(given)
            .collect::<Vec<_>>()
    };
    let modes = [
        None,
        Some(AutoShutdown::Never),
        Some(AutoShutdown::AnySignificant),
        Some(AutoShutdown::AllSignificant),
    ];
    for restart in parts("restart", &["permanent", "transient", "temporary"]) {
        for shutdown in parts("shutdown", &["0", "1000", "infinity", "brutal_kill"]) {
            for kind in parts("type", &["supervisor", "worker"]) {
                for modules in parts("modules", &["dynamic", "[]", "[m]", "[m1, m2]"]) {
                    for significant in parts("significant", &["true", "false"]) {
                        let spec = format!(
                            "[#{{id => child, start => {{m,f,[a]}}{restart}{shutdown}{kind}{modules}{significant}, dummy => dummy}}]"
                        );
                        let is_permanent = restart.is_empty() || restart.ends_with("permanent");
                        for mode in modes {
                            let checked = checked(&spec, mode);
                            let expected = match (significant.ends_with("true"), mode) {
                                (true, Some(AutoShutdown::Never)) => {
                                    "{bad_combination,[{auto_shutdown,never},{significant,true}]}"
                                }
                                (true, _) if is_permanent => {
                                    "{bad_combination,[{restart,permanent},{significant,true}]}"
                                }
                                _ => "ok",
                            };
                            assert_eq!(checked, expected, "{spec}");
                        }
                    }
                }
            }
        }
    }
}

#[test]
fn sup_flags() {
    run(async |mut cx, _| {
        for (flags, error) in [
            ("{none_for_one, 2, 3600}", "invalid_strategy"),
            ("#{strategy => none_for_one}", "invalid_strategy"),
            ("{one_for_one, infinity, 3600}", "invalid_intensity"),
            ("#{intensity => infinity}", "invalid_intensity"),
            ("{one_for_one, 2, 0}", "invalid_period"),
            ("#{period => 0}", "invalid_period"),
            ("{one_for_one, 2, infinity}", "invalid_period"),
            ("#{period => infinity}", "invalid_period"),
            ("#{auto_shutdown => sometimes}", "invalid_auto_shutdown"),
            ("{one_for_one, 2}", "invalid_type"),
        ] {
            let reason = refused(&mut cx, &format!("{{ok, {{{flags}, []}}}}")).await;
            assert!(
                reason.starts_with(&format!("{{supervisor_data,{{{error},")),
                "{reason}"
            );
        }
        let supervisor = started(&mut cx, "{ok, {#{silly_flag => true}, []}}").await;
        terminate(&mut cx, supervisor, "shutdown").await;
    });
}
