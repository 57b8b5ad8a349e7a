//! Starts and stops.

use otp_stdlib::gen_event::Name;
use otp_stdlib::prelude::*;
use otp_vm::SpawnOptions;

use super::names::DummyVia;
use super::*;

async fn down(cx: &mut Context, monitor: otp_vm::Ref) -> ExitReason {
    common::down(cx, monitor).await
}

/// Starts one in each of the three ways, with a name or without: each works, and is stopped by what `by` gives.
async fn in_each_way(cx: &mut Context, name: Option<(Name, Manager)>) {
    for way in 0..3 {
        let mut monitor = None;
        let started = if way < 2 {
            let start = match way {
                0 => EventManager::<Event>::start(cx),
                _ => EventManager::<Event>::start_link(cx),
            };
            match &name {
                Some((name, _)) => start.named(name.clone()).await,
                None => start.await,
            }
        } else {
            let start = EventManager::<Event>::start_monitor(cx);
            let started = match &name {
                Some((name, _)) => start.named(name.clone()).await,
                None => start.await,
            };
            started.map(|(manager, reference)| {
                monitor = Some(reference);
                manager
            })
        };
        let by_pid = started.expect("it starts");
        let pid = by_pid.pid().expect("a start gives a pid");
        assert!(which(cx, &by_pid).await.is_empty());
        let mut by = by_pid;
        if let Some((name, named)) = &name {
            assert!(which(cx, named).await.is_empty());
            assert_eq!(named.whereis(cx), Some(pid));
            let again = EventManager::<Event>::start_link(cx)
                .named(name.clone())
                .await;
            assert_eq!(again.unwrap_err(), StartError::AlreadyStarted(pid));
            let again = EventManager::<Event>::start(cx).named(name.clone()).await;
            assert_eq!(again.unwrap_err(), StartError::AlreadyStarted(pid));
            let again = EventManager::<Event>::start_monitor(cx);
            let again = again.named(name.clone()).await;
            assert_eq!(again.unwrap_err(), StartError::AlreadyStarted(pid));
            by = named.clone();
        }
        stop(cx, &by).await;
        match monitor {
            Some(monitor) => assert_eq!(down(cx, monitor).await, ExitReason::normal()),
            None if way == 1 => {
                assert_eq!(common::exit_of(cx, pid).await, ExitReason::normal());
            }
            None => {}
        }
        nothing(cx).await;
    }
}

fn named(keeper: &DummyVia) -> [(Name, Manager); 2] {
    let local = Name::local("my_dummy_name").unwrap();
    let via = Name::via(keeper, "my_dummy_name").unwrap();
    let by_local = Manager::from_name("my_dummy_name").unwrap();
    let by_via = Manager::via(keeper, "my_dummy_name").unwrap();
    [(local, by_local), (via, by_via)]
}

/// One that is linked or monitored ends with `shutdown`, by a stop and by its parent's exit signal.
async fn ends_with_shutdown(cx: &mut Context, (name, by): (Name, Manager)) {
    for by_signal in [false, true] {
        let start = EventManager::<Event>::start_link(cx);
        let pid = start.named(name.clone()).await.unwrap().pid().unwrap();
        if by_signal {
            cx.exit_process(pid, ExitReason::shutdown());
        } else {
            let stopped = by.stop(cx, ExitReason::shutdown(), ms(10_000));
            stopped.await.unwrap();
        }
        assert_eq!(common::exit_of(cx, pid).await, ExitReason::shutdown());
    }
    for by_signal in [false, true] {
        let start = EventManager::<Event>::start_monitor(cx);
        let (manager, monitor) = start.named(name.clone()).await.unwrap();
        let pid = manager.pid().unwrap();
        let again = EventManager::<Event>::start_monitor(cx).named(name.clone());
        assert_eq!(again.await.unwrap_err(), StartError::AlreadyStarted(pid));
        if by_signal {
            cx.exit_process(pid, ExitReason::shutdown());
        } else {
            let stopped = by.stop(cx, ExitReason::shutdown(), ms(10_000));
            stopped.await.unwrap();
        }
        assert_eq!(down(cx, monitor).await, ExitReason::shutdown());
    }
    nothing(cx).await;
}

#[test]
fn start() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        in_each_way(&mut cx, None).await;
        let keeper = DummyVia::default();
        for name in named(&keeper) {
            in_each_way(&mut cx, Some(name.clone())).await;
            ends_with_shutdown(&mut cx, name).await;
        }
    });
}

#[test]
fn start_opt() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let min_heap_size = 10_000;
        let keeper = DummyVia::default();
        for (name, by) in named(&keeper) {
            for with_options in [false, true] {
                let options = match with_options {
                    true => SpawnOptions::new().min_heap_size(min_heap_size),
                    false => SpawnOptions::new(),
                };
                let start = EventManager::<Event>::start_link(&mut cx).spawn_opt(options);
                let pid = start.named(name.clone()).await.unwrap().pid().unwrap();
                assert!(which(&mut cx, &by).await.is_empty());
                let again = EventManager::<Event>::start(&mut cx).spawn_opt(SpawnOptions::new());
                let again = again.named(name.clone()).await;
                assert_eq!(again.unwrap_err(), StartError::AlreadyStarted(pid));
                let heap = cx.process_info(pid).unwrap().heap;
                assert_eq!(heap.min_heap_size >= min_heap_size, with_options);
                stop(&mut cx, &by).await;
                assert_eq!(common::exit_of(&mut cx, pid).await, ExitReason::normal());
            }
            ends_with_shutdown(&mut cx, (name, by)).await;
        }
    });
}

#[test]
fn nobody_answers_for_a_manager_that_is_not_there() {
    simulated(async |mut cx: Context| {
        let by_name = Manager::from_name("nobody").unwrap();
        let elsewhere = Manager::from_name_at("nobody", atom("foo@node")).unwrap();
        let via = Manager::via(&DummyVia::default(), "nobody").unwrap();
        let gone = EventManager::<Event>::start(&mut cx).await.unwrap();
        stop(&mut cx, &gone).await;
        let event = Event::Wakeup;
        // A local name must be there to be sent to.
        let sent = by_name.notify(&cx, &event);
        assert!(matches!(sent, Err(otp_vm::SendError::NoName)), "{sent:?}");
        for nobody in [&elsewhere, &via, &gone] {
            nobody.notify(&cx, &event).unwrap();
        }
        for (nobody, reason) in [
            (&by_name, "noproc"),
            (&elsewhere, "{nodedown,foo@node}"),
            (&via, "noproc"),
            (&gone, "noproc"),
        ] {
            let error = nobody.sync_notify(&mut cx, &event).await.unwrap_err();
            assert_eq!(error.reason().to_string(), reason);
            let error = nobody.which_handlers(&mut cx).await.unwrap_err();
            assert_eq!(error.reason().to_string(), reason);
            let stopped = nobody.stop(&mut cx, ExitReason::normal(), ms(1)).await;
            let Err(StopError::Exit(ended)) = stopped else {
                panic!("nobody to be stopped: {stopped:?}")
            };
            assert_eq!(ended.to_string(), reason);
        }
        nothing(&mut cx).await;
    });
}

#[test]
fn a_manager_is_a_child_of_a_supervisor() {
    simulated(async |mut cx: Context| {
        let children = vec![EventManager::<Event>::child_spec("my_dummy_handler")];
        let flags = SupervisorFlags::one_for_one();
        let tree = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        let events = Manager::from_name("my_dummy_handler").unwrap();
        add(&mut cx, &events).await;
        let first = events.whereis(&cx).unwrap();
        cx.exit_process(first, ExitReason::kill());
        common::ended(&mut cx, first).await;
        // Another one, without handlers.
        let second = loop {
            match events.whereis(&cx) {
                Some(pid) if pid != first => break pid,
                _ => cx.sleep(ms(1)).await,
            }
        };
        assert!(which(&mut cx, &events).await.is_empty());
        let stopped = tree.stop(&mut cx, ExitReason::normal(), LIMIT);
        stopped.await.unwrap();
        assert!(!cx.is_alive(second).await);
    });
}
