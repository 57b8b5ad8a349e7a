//! Restart types and strategies.

use super::*;

/// Ends the only child with `with`. Gives the children afterwards, and whether it was restarted.
async fn after_end(cx: &mut Context, restart: Restart, with: ExitReason) -> (usize, bool) {
    let me = cx.pid();
    let supervisor = start(cx, one_for_one(), vec![probe("a", me).restart(restart)]).await;
    let first = started(cx, "a").await;
    stop_probe(cx, first, with).await;
    terminated(cx, "a").await;
    // The answer comes after the supervisor dealt with the EXIT: both are its messages, and the
    // EXIT was sent when the DOWN was.
    let children = supervisor.which_children(cx).await.unwrap();
    let restarted = children
        .first()
        .is_some_and(|child| child.pid.is_some_and(|pid| pid != first));
    if restarted {
        started(cx, "a").await;
    }
    assert!(no_event(cx).await);
    stop(cx, &supervisor).await;
    if restarted {
        terminated(cx, "a").await;
    }
    (children.len(), restarted)
}

macro_rules! restart_cases {
    ($($name:ident: $restart:ident, $reason:expr => $expected:expr;)*) => {$(
        #[test]
        fn $name() {
            run(async |mut cx: Context| {
                assert_eq!(after_end(&mut cx, Restart::$restart, $reason).await, $expected);
            });
        }
    )*};
}

restart_cases! {
    permanent_normal: Permanent, ExitReason::normal() => (1, true);
    transient_normal: Transient, ExitReason::normal() => (1, false);
    temporary_normal: Temporary, ExitReason::normal() => (0, false);
    permanent_shutdown: Permanent, ExitReason::shutdown() => (1, true);
    transient_shutdown: Transient, ExitReason::shutdown() => (1, false);
    transient_shutdown_with_detail: Transient, ExitReason::shutdown_with("x") => (1, false);
    temporary_shutdown: Temporary, ExitReason::shutdown() => (0, false);
    permanent_abnormal: Permanent, reason("abnormal") => (1, true);
    transient_abnormal: Transient, reason("abnormal") => (1, true);
    temporary_abnormal: Temporary, reason("abnormal") => (0, false);
}

/// Starts a, b, c; ends the one at `at`; gives who ended and who started again, in order.
async fn strategy(
    cx: &mut Context,
    flags: SupervisorFlags,
    at: usize,
) -> (Vec<String>, Vec<String>) {
    let me = cx.pid();
    let children = ["a", "b", "c"].map(|name| probe(name, me)).into();
    let supervisor = start(cx, flags, children).await;
    let mut first = Vec::new();
    for name in ["a", "b", "c"] {
        first.push(started(cx, name).await);
    }
    stop_probe(cx, first[at], reason("strategy")).await;
    let after = pids(cx, &supervisor).await;
    assert!(after.iter().all(Option::is_some));
    let (mut ended, mut again) = (Vec::new(), Vec::new());
    while let Some(event) = cx
        .receive_where(Duration::ZERO, |message| message.decode::<Event>().ok())
        .await
    {
        match event {
            Event::Terminated(name, _) => {
                assert!(again.is_empty(), "all end before any starts again");
                ended.push(name);
            }
            Event::Started(name, _) => again.push(name),
        }
    }
    for (before, after) in first.iter().zip(after) {
        let name = ["a", "b", "c"][first.iter().position(|pid| pid == before).unwrap()];
        assert_eq!(
            Some(*before) != after,
            again.iter().any(|who| who == name),
            "{name}"
        );
    }
    (ended, again)
}

fn texts(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

#[test]
fn one_for_one_restarts_one() {
    run(async |mut cx: Context| {
        let happened = strategy(&mut cx, one_for_one(), 1).await;
        assert_eq!(happened, (texts(&["b"]), texts(&["b"])));
    });
}

#[test]
fn one_for_all() {
    run(async |mut cx: Context| {
        let happened = strategy(&mut cx, SupervisorFlags::one_for_all(), 1).await;
        assert_eq!(happened, (texts(&["b", "c", "a"]), texts(&["a", "b", "c"])));
    });
}

#[test]
fn rest_for_one() {
    run(async |mut cx: Context| {
        let happened = strategy(&mut cx, SupervisorFlags::rest_for_one(), 1).await;
        assert_eq!(happened, (texts(&["b", "c"]), texts(&["b", "c"])));
    });
}

/// One restart is allowed; the second ends the tree.
async fn escalation(cx: &mut Context, flags: SupervisorFlags) {
    let me = cx.pid();
    let children = vec![probe("a", me), probe("b", me)];
    let flags = flags.intensity(1, LIMIT);
    let supervisor = start(cx, flags, children).await;
    let sup = supervisor.pid().unwrap();
    let mut current = started(cx, "a").await;
    started(cx, "b").await;
    stop_probe(cx, current, reason("first")).await;
    loop {
        if let Event::Started(name, pid) = event(cx).await
            && name == "a"
        {
            current = pid;
            break;
        }
    }
    assert!(cx.vm().is_alive(sup));
    let second = pids(cx, &supervisor).await[1].unwrap();
    let monitor = cx.monitor(second);
    stop_probe(cx, current, reason("second")).await;
    assert_eq!(exit_of(cx, sup).await, ExitReason::shutdown());
    assert_eq!(down(cx, monitor).await, ExitReason::shutdown());
}

#[test]
fn one_for_one_escalation() {
    run(async |mut cx: Context| escalation(&mut cx, one_for_one()).await);
}

#[test]
fn one_for_all_escalation() {
    run(async |mut cx: Context| escalation(&mut cx, SupervisorFlags::one_for_all()).await);
}

#[test]
fn rest_for_one_escalation() {
    run(async |mut cx: Context| escalation(&mut cx, SupervisorFlags::rest_for_one()).await);
}

/// Child `a` ends; `b`, which is restarted with it, fails its second start.
async fn other_child_fails_restart(cx: &mut Context, flags: SupervisorFlags) -> Vec<Event> {
    let me = cx.pid();
    let (second, starts) = flaky("b", me, |start| start == 1);
    let children = vec![probe("a", me), second, probe("c", me)];
    let supervisor = start(cx, flags, children).await;
    let first = started(cx, "a").await;
    started(cx, "b").await;
    started(cx, "c").await;
    stop_probe(cx, first, reason("end")).await;
    // Ends when c has started a second time.
    let mut events = Vec::new();
    loop {
        let event = event(cx).await;
        let last = matches!(&event, Event::Started(name, _) if name == "c");
        events.push(event);
        if last {
            break;
        }
    }
    assert_eq!(starts.load(Ordering::SeqCst), 3);
    assert!(pids(cx, &supervisor).await.iter().all(Option::is_some));
    events
}

fn names(events: &[Event]) -> Vec<String> {
    let name = |event: &Event| match event {
        Event::Started(name, _) => format!("+{name}"),
        Event::Terminated(name, _) => format!("-{name}"),
    };
    events.iter().map(name).collect()
}

#[test]
fn one_for_all_other_child_fails_restart() {
    run(async |mut cx: Context| {
        let events = other_child_fails_restart(&mut cx, SupervisorFlags::one_for_all()).await;
        // All are ended again when b is tried again.
        assert_eq!(
            names(&events),
            ["-a", "-c", "-b", "+a", "-a", "+a", "+b", "+c"]
        );
    });
}

#[test]
fn rest_for_one_other_child_fails_restart() {
    run(async |mut cx: Context| {
        let events = other_child_fails_restart(&mut cx, SupervisorFlags::rest_for_one()).await;
        // a, started before b, is left alone when b is tried again.
        assert_eq!(names(&events), ["-a", "-c", "-b", "+a", "+b", "+c"]);
    });
}

#[test]
fn multiple_restarts() {
    // With a limit of 1 in the period, restarts further apart than the period go on for ever.
    run(async |mut cx: Context| {
        let me = cx.pid();
        let period = Duration::from_millis(5);
        let supervisor = start(
            &mut cx,
            one_for_one().intensity(1, period),
            vec![probe("a", me)],
        )
        .await;
        for _ in 0..4 {
            let pid = started(&mut cx, "a").await;
            stop_probe(&mut cx, pid, reason("again")).await;
            terminated(&mut cx, "a").await;
            // Time itself is what is tested: no event says that a period is over.
            cx.sleep(period * 3).await;
        }
        assert!(cx.vm().is_alive(supervisor.pid().unwrap()));
    });
}

#[test]
fn temporary_bystander() {
    // A temporary sibling is ended, and not started again.
    run(async |mut cx: Context| {
        let me = cx.pid();
        for flags in [
            SupervisorFlags::one_for_all(),
            SupervisorFlags::rest_for_one(),
        ] {
            let children = vec![probe("a", me), probe("b", me).restart(Restart::Temporary)];
            let supervisor = start(&mut cx, flags, children).await;
            let first = started(&mut cx, "a").await;
            started(&mut cx, "b").await;
            stop_probe(&mut cx, first, reason("end")).await;
            assert_eq!(supervisor.which_children(&mut cx).await.unwrap().len(), 1);
            terminated(&mut cx, "a").await;
            terminated(&mut cx, "b").await;
            started(&mut cx, "a").await;
            assert!(no_event(&mut cx).await);
            stop(&mut cx, &supervisor).await;
            terminated(&mut cx, "a").await;
        }
    });
}
