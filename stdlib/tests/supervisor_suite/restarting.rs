//! Who ends and starts again with a child.

use super::*;

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
fn one_for_all_ends_all_in_reverse_order() {
    run(async |mut cx: Context| {
        let happened = strategy(&mut cx, SupervisorFlags::one_for_all(), 1).await;
        assert_eq!(happened, (texts(&["b", "c", "a"]), texts(&["a", "b", "c"])));
    });
}

#[test]
fn rest_for_one_ends_the_rest() {
    run(async |mut cx: Context| {
        let happened = strategy(&mut cx, SupervisorFlags::rest_for_one(), 1).await;
        assert_eq!(happened, (texts(&["b", "c"]), texts(&["b", "c"])));
    });
}

/// Child `a` ends; `b`, which is restarted with it, fails its second start. Then ends who started the supervisor, and
/// the supervisor with him.
async fn other_child_fails_restart(cx: &mut Context, flags: SupervisorFlags) -> Vec<Event> {
    cx.trap_exit(true);
    let me = cx.pid();
    let (second, starts) = flaky("b", me, |start| start == 1);
    let children = vec![probe("a", me), second, probe("c", me)];
    let starter = cx.spawn_link(async move |mut cx: Context| {
        let supervisor = Supervisor::start_link(&mut cx, flags, children).await;
        cx.send(me, &supervisor.unwrap().pid().unwrap()).unwrap();
        cx.receive().await;
    });
    let starter = starter.unwrap();
    let first = started(cx, "a").await;
    started(cx, "b").await;
    started(cx, "c").await;
    let supervisor = cx.receive_where(LIMIT, |message| message.decode::<Pid>().ok());
    let supervisor = SupervisorRef::from_pid(supervisor.await.expect("it started"));
    cx.link(supervisor.pid().unwrap());
    stop_probe(cx, first, reason("die")).await;
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
    cx.send(starter, &"stop").unwrap();
    assert_eq!(exit_of(cx, starter).await, ExitReason::normal());
    exit_of(cx, supervisor.pid().unwrap()).await;
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
        let ended = Event::Terminated("a".to_owned(), ExitReason::shutdown());
        assert_eq!(events[4], ended, "it was restarted already");
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
    // One a second is allowed.
    simulated(async |mut cx: Context| {
        let me = cx.pid();
        let flags = one_for_one().intensity(1, Duration::from_secs(1));
        let supervisor = start(&mut cx, flags, vec![]).await;
        let child = probe("a", me).shutdown(Shutdown::BrutalKill);
        let mut pid = supervisor.start_child(&mut cx, child).await.unwrap();
        stop_probe(&mut cx, pid, reason("died")).await;
        for _ in 0..3 {
            cx.sleep(Duration::from_millis(2_100)).await;
            let before = pid;
            pid = pids(&mut cx, &supervisor).await[0].expect("it runs");
            assert_ne!(pid, before);
            stop_probe(&mut cx, pid, reason("died")).await;
        }
        supervisor.terminate_child(&mut cx, "a").await.unwrap();
        supervisor.delete_child(&mut cx, "a").await.unwrap();
        cx.exit_process(supervisor.pid().unwrap(), ExitReason::kill());
        let ended = exit_of(&mut cx, supervisor.pid().unwrap()).await;
        assert_eq!(ended, ExitReason::killed());
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
            let supervisor = start(&mut cx, flags.intensity(2, LIMIT), vec![]).await;
            let first = supervisor.start_child(&mut cx, probe("a", me)).await;
            let second = probe("b", me).restart(Restart::Temporary);
            supervisor.start_child(&mut cx, second).await.unwrap();
            started(&mut cx, "a").await;
            started(&mut cx, "b").await;
            stop_probe(&mut cx, first.unwrap(), ExitReason::normal()).await;
            let children = supervisor.which_children(&mut cx).await.unwrap();
            assert_eq!(children.len(), 1);
            assert_eq!(children[0].id, "a");
            assert!(cx.vm().is_alive(supervisor.pid().unwrap()));
            terminated(&mut cx, "a").await;
            terminated(&mut cx, "b").await;
            started(&mut cx, "a").await;
            assert!(no_event(&mut cx).await);
            stop(&mut cx, &supervisor).await;
            terminated(&mut cx, "a").await;
        }
    });
}
