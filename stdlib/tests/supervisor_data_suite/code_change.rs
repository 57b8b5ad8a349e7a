//! Changes of code: the callback is called again, and gives something else.

use super::significant::worker;
use super::*;

/// A supervisor whose callback gives what is shared, this at first.
async fn changing(cx: &mut Context, shared: &Shared, init: &str) -> SupervisorRef {
    *shared.init.lock().unwrap() = init.to_owned();
    start_link(cx, "shared").await.expect("it starts")
}

/// What comes of a change to this.
async fn change(cx: &mut Context, shared: &Shared, to: &str) -> Result<(), String> {
    *shared.init.lock().unwrap() = to.to_owned();
    let supervisor = SupervisorRef::from_name("sup_test").unwrap();
    supervisor
        .code_change(cx)
        .await
        .map_err(|error| error.to_string())
}

/// Changes the children, as both forms of the case do.
async fn children(
    cx: &mut Context,
    shared: &Shared,
    flags: &str,
    of: impl Fn(&str, &str) -> String,
) {
    let with = |children: &[String]| format!("{{ok, {{{flags}, [{}]}}}}", children.join(","));
    let two = [of("child1", "2000"), of("child2", "brutal_kill")];
    change(cx, shared, &with(&two)).await.unwrap();
    // Nobody is started by a change.
    assert_eq!(counts(cx).await, [2, 0, 0, 2]);
    let first = pid_in(&ask(cx, "{restart_child, child1}").await);
    pid_in(&ask(cx, "{restart_child, child2}").await);
    assert_eq!(ids(cx).await, ["child2", "child1"]);
    assert!(
        ask(cx, "{get_childspec, child1}")
            .await
            .contains("shutdown => 2000")
    );

    let other = [of("child1", "1000"), of("child3", "brutal_kill")];
    change(cx, shared, &with(&other)).await.unwrap();
    // Who is not there any more stays.
    assert_eq!(ids(cx).await, ["child2", "child3", "child1"]);
    assert_eq!(which(cx).await[2].1, Some(first));
    assert!(
        ask(cx, "{get_childspec, child1}")
            .await
            .contains("shutdown => 1000")
    );
    change(cx, shared, "ignore").await.unwrap();
    let error = change(cx, shared, "faulty_return").await.unwrap_err();
    assert!(error.contains("faulty_return"), "{error}");
    assert_eq!(ids(cx).await, ["child2", "child3", "child1"]);
}

/// Flags are taken on: so many restarts are allowed now, and no more.
async fn allows(cx: &mut Context, supervisor: Pid, restarts: u32) {
    for at in 0..=restarts {
        let child = which(cx).await[0].1.expect("it runs");
        terminate(cx, child, "abnormal").await;
        assert_eq!(cx.is_alive(supervisor).await, at < restarts);
    }
}

#[test]
fn code_change() {
    run(async |mut cx, shared| {
        let flags = "{one_for_one, 0, 1}";
        let supervisor = changing(&mut cx, &shared, &format!("{{ok, {{{flags}, []}}}}")).await;
        change(&mut cx, &shared, "{ok, {{one_for_one, 1, 3}, []}}")
            .await
            .unwrap();
        let faulty = "{child1, permanent, brutal_kill, worker, []}";
        let error = change(
            &mut cx,
            &shared,
            &format!("{{ok, {{{flags}, [{faulty}]}}}}"),
        )
        .await;
        assert!(error.unwrap_err().contains("is no child specification"));
        let of = |id: &str, shutdown: &str| {
            format!(
                "{{{id}, {{supervisor_1, start_child, []}}, permanent, {shutdown}, worker, []}}"
            )
        };
        children(&mut cx, &shared, "{one_for_one, 1, 3}", of).await;
        let wrong = "{ok, {{one_for_one, faulty_intensity, 1}, []}}";
        let error = change(&mut cx, &shared, wrong).await.unwrap_err();
        assert!(
            error.contains("faulty_intensity is no intensity"),
            "{error}"
        );
        let error = change(&mut cx, &shared, "{ok, {faulty_flags, []}}")
            .await
            .unwrap_err();
        assert!(error.contains("faulty_flags are no flags"), "{error}");
        allows(&mut cx, supervisor.pid().unwrap(), 1).await;
    });
}

#[test]
fn code_change_map() {
    run(async |mut cx, shared| {
        let supervisor = changing(&mut cx, &shared, "{ok, {#{intensity => 0}, []}}").await;
        change(
            &mut cx,
            &shared,
            "{ok, {#{intensity => 1, period => 3}, []}}",
        )
        .await
        .unwrap();
        let error = change(&mut cx, &shared, "{ok, {#{}, [#{id => faulty_child}]}}").await;
        assert!(error.unwrap_err().contains("has no start"));
        let of = |id: &str, shutdown: &str| {
            format!(
                "#{{id => {id}, start => {{supervisor_1, start_child, []}}, shutdown => {shutdown}}}"
            )
        };
        children(&mut cx, &shared, "#{intensity => 2}", of).await;
        let error = change(
            &mut cx,
            &shared,
            "{ok, {#{intensity => faulty_intensity}, []}}",
        )
        .await;
        assert!(
            error
                .unwrap_err()
                .contains("faulty_intensity is no intensity")
        );
        allows(&mut cx, supervisor.pid().unwrap(), 2).await;
    });
}

/// Another specification is taken on, but not two, nor none.
async fn simple(cx: &mut Context, shared: &Shared, flags: &str, specs: [&str; 3]) {
    let with = |children: &str| format!("{{ok, {{{flags}, [{children}]}}}}");
    let supervisor = changing(cx, shared, &with(specs[0])).await;
    let child = child(cx, "[]").await;
    change(cx, shared, &with(specs[1])).await.unwrap();
    let spec = ask(cx, &format!("{{get_childspec, {child}}}")).await;
    assert!(spec.contains("shutdown => 1000"), "{spec}");
    let two = format!("{},{}", specs[0], specs[2]);
    change(cx, shared, &with(&two)).await.unwrap_err();
    change(cx, shared, &with("")).await.unwrap_err();
    assert_eq!(which(cx).await[0].1, Some(child));
    terminate(cx, supervisor.pid().unwrap(), "shutdown").await;
}

#[test]
fn code_change_simple() {
    run(async |mut cx, shared| {
        let specs = [
            "{child1, {supervisor_1, start_child, []}, permanent, brutal_kill, worker, []}",
            "{child1, {supervisor_1, start_child, []}, permanent, 1000, worker, []}",
            "{child2, {supervisor_1, start_child, []}, permanent, brutal_kill, worker, []}",
        ];
        simple(&mut cx, &shared, "{simple_one_for_one, 0, 1}", specs).await;
    });
}

#[test]
fn code_change_simple_map() {
    run(async |mut cx, shared| {
        let specs = [
            "#{id => child1, start => {supervisor_1, start_child, []}}",
            "#{id => child1, start => {supervisor_1, start_child, []}, shutdown => 1000}",
            "#{id => child2, start => {supervisor_1, start_child, []}}",
        ];
        simple(&mut cx, &shared, "#{strategy => simple_one_for_one}", specs).await;
    });
}

fn mode(mode: &str, children: &str) -> String {
    format!("{{ok, {{#{{auto_shutdown => {mode}}}, [{children}]}}}}")
}

/// A supervisor that changes from one mode to the other, and its two significant children, linked: those of the first
/// mode are there before, if it has any.
async fn changed(cx: &mut Context, shared: &Shared, from: &str, to: &str) -> (Pid, Vec<Pid>) {
    let supervisor = changing(cx, shared, &mode(from, "")).await.pid().unwrap();
    let mut pids = Vec::new();
    let bad = "{error,{bad_combination,[{auto_shutdown,never},{significant,true}]}}";
    for when in [from, to] {
        if when == to {
            change(cx, shared, &mode(to, "")).await.unwrap();
            no_exit(cx, &pids).await;
            no_exit(cx, &[supervisor]).await;
        }
        let count = if from == "never" || to == "never" {
            1 + usize::from(when == to && from == "never")
        } else {
            2
        };
        for _ in pids.len()..count.max(pids.len()) {
            let id = format!("child{}", pids.len() + 1);
            let request = format!("{{start_child, {}}}", worker(&id, "transient", true));
            let answer = ask(cx, &request).await;
            if when == "never" {
                assert_eq!(answer, bad);
                break;
            }
            pids.push(pid_in(&answer));
            cx.link(pids[pids.len() - 1]);
        }
        if when == "never" && when == to {
            let request = format!("{{start_child, {}}}", worker("child2", "transient", true));
            assert_eq!(ask(cx, &request).await, bad);
        }
    }
    (supervisor, pids)
}

#[test]
fn significant_upgrade_never_any() {
    run(async |mut cx, shared| {
        let (supervisor, pids) = changed(&mut cx, &shared, "never", "any_significant").await;
        terminate(&mut cx, pids[0], "normal").await;
        check_exit(&mut cx, &[pids[0], pids[1], supervisor]).await;
    });
}

async fn to_never(cx: &mut Context, shared: &Shared, from: &str) {
    let (supervisor, pids) = changed(cx, shared, from, "never").await;
    terminate(cx, pids[0], "normal").await;
    check_exit(cx, &pids[..1]).await;
    no_exit(cx, &[supervisor]).await;
    let again = pid_in(&ask(cx, "{restart_child, child1}").await);
    cx.link(again);
    terminate(cx, supervisor, "shutdown").await;
    check_exit(cx, &[again, supervisor]).await;
}

#[test]
fn significant_upgrade_any_never() {
    run(async |mut cx, shared| to_never(&mut cx, &shared, "any_significant").await);
}

#[test]
fn significant_upgrade_all_never() {
    run(async |mut cx, shared| to_never(&mut cx, &shared, "all_significant").await);
}

async fn to_all(cx: &mut Context, shared: &Shared, from: &str) {
    let (supervisor, pids) = changed(cx, shared, from, "all_significant").await;
    terminate(cx, pids[0], "normal").await;
    check_exit(cx, &pids[..1]).await;
    no_exit(cx, &[pids[1], supervisor]).await;
    terminate(cx, pids[1], "normal").await;
    check_exit(cx, &[pids[1], supervisor]).await;
}

#[test]
fn significant_upgrade_never_all() {
    run(async |mut cx, shared| to_all(&mut cx, &shared, "never").await);
}

#[test]
fn significant_upgrade_any_all() {
    run(async |mut cx, shared| to_all(&mut cx, &shared, "any_significant").await);
}

#[test]
fn significant_upgrade_all_any() {
    run(async |mut cx, shared| {
        let (supervisor, pids) =
            changed(&mut cx, &shared, "all_significant", "any_significant").await;
        terminate(&mut cx, pids[0], "normal").await;
        check_exit(&mut cx, &[pids[0], pids[1], supervisor]).await;
    });
}

#[test]
fn significant_upgrade_child() {
    run(async |mut cx, shared| {
        let (plain, significant) = (
            worker("child", "transient", false),
            worker("child", "transient", true),
        );
        let supervisor = changing(&mut cx, &shared, &mode("never", &plain))
            .await
            .pid()
            .unwrap();
        let child = which(&mut cx).await[0].1.unwrap();
        cx.link(child);
        change(&mut cx, &shared, &mode("never", &significant))
            .await
            .unwrap_err();
        no_exit(&mut cx, &[child, supervisor]).await;
        terminate(&mut cx, supervisor, "shutdown").await;
        check_exit(&mut cx, &[child, supervisor]).await;

        for (from, to, ends) in [(&plain, &significant, true), (&significant, &plain, false)] {
            let supervisor = changing(&mut cx, &shared, &mode("any_significant", from))
                .await
                .pid()
                .unwrap();
            let child = which(&mut cx).await[0].1.unwrap();
            cx.link(child);
            change(&mut cx, &shared, &mode("any_significant", to))
                .await
                .unwrap();
            no_exit(&mut cx, &[child, supervisor]).await;
            terminate(&mut cx, child, "normal").await;
            check_exit(&mut cx, &[child]).await;
            if !ends {
                no_exit(&mut cx, &[supervisor]).await;
                terminate(&mut cx, supervisor, "shutdown").await;
            }
            check_exit(&mut cx, &[supervisor]).await;
        }
    });
}
