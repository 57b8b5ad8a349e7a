//! Trace sessions: beside one another, with handlers, with limits; and when they end.

mod common;
#[path = "trace_suite/stage.rs"]
mod stage;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use common::{LIMIT, bounded};
use otp_vm::{
    Message, Native, Pid, TraceError, TraceFlags, TraceInfo, TraceStop, TraceTargets, Tracer, Vm,
};
use stage::{Do, event, expect, next, nothing, received, settle, simulate, tell, worker};

/// Keeps what it is called with.
fn book() -> (Tracer, Arc<Mutex<Vec<String>>>) {
    let book = Arc::new(Mutex::new(Vec::new()));
    let write = Arc::clone(&book);
    let handler = move |event: &Message| write.lock().unwrap().push(event.to_string());
    (Tracer::handler(handler), book)
}

#[test]
fn each_session_has_its_own_flags_and_tracer() {
    simulate(|mut cx| async move {
        let traced = cx.spawn(worker).unwrap();
        let (handler, book) = book();
        let (one, other) = (
            cx.vm().trace_session(handler),
            cx.vm().trace_session(cx.pid()),
        );
        one.trace(traced, TraceFlags::PROCS | TraceFlags::RECEIVE)
            .unwrap();
        other.trace(traced, TraceFlags::RECEIVE).unwrap();
        // The default session is one more.
        cx.trace(traced, TraceFlags::SEND).unwrap();
        tell(&cx, traced, Do::Note(1));
        expect(&mut cx, [received(traced, &Do::Note(1))]).await;
        assert_eq!(other.stop(traced, TraceFlags::ALL), 1);
        assert_eq!(other.info(traced), Some(TraceInfo::default()));
        assert_eq!(one.info(traced).unwrap().tracer, None);
        tell(&cx, traced, Do::Note(2));
        nothing(&mut cx).await;
        assert_eq!(cx.vm().trace_stop(TraceTargets::All, TraceFlags::ALL), 2);
        tell(&cx, traced, Do::EndNormally);
        nothing(&mut cx).await;
        let seen =
            [Do::Note(1), Do::Note(2), Do::EndNormally].map(|order| received(traced, &order));
        let seen = [&seen[..], &[event(traced, "exit,normal")]].concat();
        assert_eq!(*book.lock().unwrap(), seen);
        assert_eq!(one.figures().events, 4);
        assert_eq!(other.figures().events, 1);
    });
}

#[test]
fn a_handler_is_called_in_order_on_a_scheduler_and_dropped_with_its_session() {
    bounded(2, |mut cx| async move {
        let alive = Arc::new(());
        let held = Arc::clone(&alive);
        let calls = Arc::new(Mutex::new(Vec::new()));
        let write = Arc::clone(&calls);
        let session = cx.vm().trace_session(Tracer::handler(move |event| {
            let _held = &held;
            let name = std::thread::current().name().unwrap_or("").to_owned();
            let (_, _, _, n): (otp_vm::Atom, Pid, otp_vm::Atom, u32) = event.decode().unwrap();
            write.lock().unwrap().push((n, name));
        }));
        session.trace(cx.pid(), TraceFlags::RECEIVE).unwrap();
        for n in 0..100_u32 {
            cx.send(cx.pid(), &n).unwrap();
            cx.receive().await;
        }
        session.stop(cx.pid(), TraceFlags::ALL);
        let reference = session.delivered(&cx, cx.pid());
        let told = stage::next(&mut cx).await;
        assert_eq!(
            told,
            format!("{{trace_delivered,{},{reference}}}", cx.pid())
        );
        let calls = std::mem::take(&mut *calls.lock().unwrap());
        assert!(
            calls.iter().all(|(_, thread)| thread.starts_with("otp-vm")),
            "{calls:?}"
        );
        let numbers = calls.into_iter().map(|(n, _)| n);
        assert!(numbers.eq(0..100));
        session.trace(TraceTargets::All, TraceFlags::ALL).unwrap();
        assert_eq!(Arc::strong_count(&alive), 2);
        drop(session);
        // One that runs is dropped when it returns.
        while Arc::strong_count(&alive) > 1 {
            cx.yield_now().await;
        }
        let (name, child) = ("left", cx.spawn(worker).unwrap());
        cx.register(name, child).unwrap();
        assert_eq!(cx.vm().trace_info(child), Some(TraceInfo::default()));
    });
}

#[test]
fn a_handler_that_panics_is_called_no_more() {
    simulate(|mut cx| async move {
        let calls = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&calls);
        let session = cx.vm().trace_session(Tracer::handler(move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            panic!("a handler");
        }));
        let traced = cx.spawn(worker).unwrap();
        session.trace(traced, TraceFlags::RECEIVE).unwrap();
        for n in 0..3 {
            tell(&cx, traced, Do::Note(n));
        }
        settle(&mut cx, traced).await;
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        assert_eq!(session.figures().stopped, Some(TraceStop::Panic));
        assert_eq!(session.info(traced), Some(TraceInfo::default()));
        let again = session.trace(traced, TraceFlags::RECEIVE);
        assert_eq!(again, Err(TraceError::Stopped(TraceStop::Panic)));
        // Its captures panic as well when they are dropped.
        let session = cx.vm().trace_session(Tracer::handler({
            let bomb = common::Bomb;
            move |_| {
                let _bomb = &bomb;
                panic!("a handler with a bomb");
            }
        }));
        session.trace(traced, TraceFlags::RECEIVE).unwrap();
        tell(&cx, traced, Do::Note(4));
        settle(&mut cx, traced).await;
        assert_eq!(session.figures().stopped, Some(TraceStop::Panic));
    });
}

/// Sends itself so many messages, and receives them.
async fn chatter(cx: &mut otp_vm::Context, count: u32) {
    for n in 0..count {
        cx.send(cx.pid(), &n).unwrap();
        cx.receive().await;
    }
}

#[test]
fn a_flood_is_switched_off_and_its_tracer_told() {
    let explored = otp_vm::simulation::Simulation::builder().explore(0..10, |simulation| {
        let vm = Vm::builder()
            .simulate(simulation)
            .max_trace_events(10)
            .build()?;
        simulation.block_on(vm.run(|mut cx| async move {
            let this = cx.pid();
            let traced = cx
                .spawn(|mut cx| async move {
                    loop {
                        let count = cx.receive().await.decode().unwrap();
                        chatter(&mut cx, count).await;
                    }
                })
                .unwrap();
            let (handler, book) = book();
            let calm = cx.vm().trace_session(handler);
            calm.trace(traced, TraceFlags::PROCS).unwrap();
            cx.trace(traced, TraceFlags::SEND).unwrap();
            // As many as may be in a second, in each of some seconds.
            for _ in 0..5 {
                cx.send(traced, &10).unwrap();
                for n in 0..10 {
                    let sent = event(traced, format!("send,{n},{traced}"));
                    expect(&mut cx, [sent]).await;
                }
                nothing(&mut cx).await;
                cx.sleep(Duration::from_secs(2)).await;
            }
            // And one more.
            cx.send(traced, &11).unwrap();
            for _ in 0..10 {
                next(&mut cx).await;
            }
            expect(&mut cx, ["{trace_overload,10}".to_owned()]).await;
            cx.send(traced, &11).unwrap();
            nothing(&mut cx).await;
            assert_eq!(cx.vm().trace_info(traced), Some(TraceInfo::default()));
            // The others go on, and so may this one.
            cx.link(traced);
            cx.trace(traced, TraceFlags::SEND).unwrap();
            cx.send(traced, &1).unwrap();
            expect(&mut cx, [event(traced, format!("send,0,{traced}"))]).await;
            nothing(&mut cx).await;
            let linked = event(traced, format!("getting_linked,{this}"));
            assert_eq!(*book.lock().unwrap(), [linked]);
            cx.unlink(traced);
        }))??;
        assert!(simulation.block_on(vm.shutdown(LIMIT))?.is_orderly());
        Ok(())
    });
    if let Err(failure) = explored {
        panic!("{failure}");
    }
}

/// Within a second's limit, but a handler that doesn't return.
#[test]
fn what_waits_for_a_handler_is_limited() {
    let vm = Vm::builder()
        .schedulers(2)
        .max_trace_events(5)
        .build()
        .unwrap();
    let (go_on, wait) = mpsc::channel::<()>();
    let session = vm.trace_session(Tracer::handler(move |_| {
        // Until the sender is gone.
        let _ = wait.recv();
    }));
    let traced = session.clone();
    let run = vm.run(move |mut cx| async move {
        traced.trace(cx.pid(), TraceFlags::SEND).unwrap();
        chatter(&mut cx, 5).await;
        assert_eq!(traced.figures().stopped, None);
        // Another second begins; the limit's own clock is this one.
        cx.sleep(Duration::from_millis(1100)).await;
        chatter(&mut cx, 5).await;
        let figures = traced.figures();
        assert_eq!(figures.stopped, Some(TraceStop::Overload));
        assert!(figures.events < 10, "{figures:?}");
    });
    run.wait().unwrap();
    drop(go_on);
}

#[test]
fn a_tracer_is_told_of_others_and_not_of_itself() {
    simulate(|mut cx| async move {
        let this = cx.pid();
        let tracer = cx.spawn(worker).unwrap();
        let session = cx.vm().trace_session(tracer);
        // All of them, the tracer, too.
        assert_eq!(session.trace(TraceTargets::All, TraceFlags::PROCS), Ok(2));
        cx.trace(tracer, TraceFlags::PROCS).unwrap();
        tell(&cx, tracer, Do::Link(this));
        expect(&mut cx, [event(tracer, format!("link,{this}"))]).await;
        tell(&cx, tracer, Do::Unlink(this));
        expect(&mut cx, [event(tracer, format!("unlink,{this}"))]).await;
        nothing(&mut cx).await;
        assert_eq!(session.info(tracer).unwrap().flags, TraceFlags::PROCS);
        // This process got linked and unlinked.
        assert_eq!(session.figures().events, 2);
    });
}

#[test]
fn the_traces_of_a_tracer_that_is_gone_go_with_it() {
    simulate(|mut cx| async move {
        let traced = cx.spawn(worker).unwrap();
        let tracer = cx.spawn(worker).unwrap();
        let session = cx.vm().trace_session(tracer);
        session.trace(TraceTargets::All, TraceFlags::ALL).unwrap();
        stage::end(&mut cx, tracer).await;
        assert_eq!(session.info(traced), Some(TraceInfo::default()));
        assert_eq!(session.info_new(), TraceInfo::default());
        let told = session.figures().events;
        tell(&cx, traced, Do::Note(1));
        cx.spawn(worker).unwrap();
        settle(&mut cx, traced).await;
        assert_eq!(session.figures().events, told);
        let again = session.trace(traced, TraceFlags::SEND);
        assert_eq!(again, Err(TraceError::NoTracer));
    });
}

#[test]
fn a_message_with_a_native_is_shown_as_text() {
    simulate(|mut cx| async move {
        let traced = cx.spawn(worker).unwrap();
        cx.trace(traced, TraceFlags::RECEIVE).unwrap();
        cx.send(traced, &("held", Native::new(7_u32))).unwrap();
        let trace = next(&mut cx).await;
        let beginning = format!("{{trace,{traced},'receive',<<\"");
        assert!(trace.starts_with(&beginning), "{trace}");
        assert!(trace.contains("held"), "{trace}");
    });
}

#[test]
fn stamps_are_of_the_kind_that_was_asked_for() {
    simulate(|mut cx| async move {
        let session = cx.vm().trace_session(cx.pid());
        let traced = cx.spawn(worker).unwrap();
        cx.sleep(Duration::from_secs(3_000_001)).await;
        let mut last = 0;
        for (kind, elements) in [
            (TraceFlags::MONOTONIC_TIMESTAMP, 1),
            (TraceFlags::STRICT_MONOTONIC_TIMESTAMP, 2),
            (TraceFlags::TIMESTAMP, 3),
        ] {
            let before = cx.monotonic_time();
            session.trace(traced, TraceFlags::RECEIVE | kind).unwrap();
            tell(&cx, traced, Do::Note(1));
            let trace = next(&mut cx).await;
            let head = format!(
                "{{trace_ts,{traced},'receive',{},",
                stage::text(&Do::Note(1))
            );
            let stamp = trace.strip_prefix(&head).expect(&trace);
            let stamp: Vec<u64> = stamp
                .split(|c: char| !c.is_ascii_digit())
                .filter_map(|n| n.parse().ok())
                .collect();
            assert_eq!(stamp.len(), elements, "{trace}");
            let now = before..=cx.monotonic_time();
            match stamp[..] {
                [ns] => assert!(now.contains(&ns), "{trace}"),
                [ns, number] => {
                    assert!(now.contains(&ns), "{trace}");
                    assert!(number > last, "{trace}");
                    last = number;
                }
                _ => assert_eq!(stamp[..2], [3, 1], "{trace}"),
            }
            session.stop(traced, TraceFlags::ALL);
        }
    });
}

/// Sessions come and go while processes do, on two schedulers: nothing is left, and nobody waits for ever.
#[test]
fn sessions_and_processes_come_and_go_at_once() {
    const ROUNDS: usize = 200;
    bounded(2, |mut cx| async move {
        let alive = Arc::new(());
        let this = cx.pid();
        let spawner = cx.spawn(move |cx| async move {
            for n in 0..50 * ROUNDS {
                let child = cx.spawn_link(worker).unwrap();
                let _ = cx.register("come_and_go", child);
                tell(&cx, child, Do::Note(n as u32));
                tell(&cx, child, Do::EndNormally);
                cx.tick(10).await;
            }
            cx.send(this, "done").unwrap();
        });
        spawner.unwrap();
        let flags = TraceFlags::ALL.without(TraceFlags::TIMESTAMP);
        for n in 0..ROUNDS {
            let held = Arc::clone(&alive);
            let session = cx
                .vm()
                .trace_session(Tracer::handler(move |_| drop(Arc::clone(&held))));
            session.trace(TraceTargets::All, flags).unwrap();
            if n % 2 == 0 {
                cx.yield_now().await;
            }
            if n % 3 == 0 {
                session.stop(TraceTargets::Existing, TraceFlags::RECEIVE);
            }
        }
        let done = cx.receive_where(LIMIT, |message| message.decode::<String>().ok());
        assert_eq!(done.await.as_deref(), Some("done"));
        while Arc::strong_count(&alive) > 1 {
            cx.yield_now().await;
        }
        assert_eq!(cx.vm().trace_info_new(), TraceInfo::default());
    });
}
