//! Reductions, yields and priorities.

use std::time::Duration;

use otp_vm::{
    Context, ExitReason, Pid, Priority, REDUCTIONS_PER_SLICE, Ref, SpawnOptions, Status, Timeout,
    TraceFlags,
};

use crate::common::{bounded, down, expect, run};

#[test]
fn bump_reductions() {
    run(|cx| async move {
        cx.yield_now().await;
        let before = cx.reductions();
        cx.bump_reductions(100);
        let bumped = cx.reductions() - before;
        assert!((100..=110).contains(&bumped), "{bumped}");
        let info = cx.process_info(cx.pid()).unwrap().reductions;
        assert!(info - before <= 120);
        let mut last = cx.reductions();
        while last <= 1 << 27 {
            for _ in 0..100 {
                cx.bump_reductions(100_000);
            }
            let now = cx.reductions();
            assert!(now > last);
            // Each counts a slice at most.
            assert!(now - last <= 101 * u64::from(REDUCTIONS_PER_SLICE));
            last = now;
        }
    });
}

#[test]
fn r#yield() {
    bounded(1, |mut cx| async move {
        let me = cx.pid();
        let (counter, _) = cx
            .spawn_monitor(move |mut cx| async move {
                let mut counting = None;
                loop {
                    while let Some(message) = cx.receive_timeout(Duration::ZERO).await {
                        match (message.decode::<String>().unwrap().as_str(), counting) {
                            ("start", _) => counting = Some(0_u32),
                            (_, count) => cx.send(me, &count.unwrap()).unwrap(),
                        }
                    }
                    counting = counting.map(|turns| turns + 1);
                    cx.yield_now().await;
                }
            })
            .unwrap();
        cx.send(counter, "start").unwrap();
        cx.yield_now().await;
        let before = cx.reductions();
        for _ in 0..4 {
            cx.yield_now().await;
        }
        let used = cx.reductions() - before;
        cx.send(counter, "stop").unwrap();
        let turns: u32 = expect(&mut cx).await;
        // One as it takes in `start`, and one with each yield.
        assert_eq!(turns, 5);
        // A resumption costs ten.
        assert!(used < 4 * 10 + 30, "{used}");
    });
}

#[test]
fn yield2() {
    run(|mut cx| async move {
        let me = cx.pid();
        let (yields, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                expect::<()>(&mut cx).await;
                let before = cx.reductions();
                for _ in 0..4 {
                    cx.yield_now().await;
                }
                let used = cx.reductions() - before;
                let reference = cx.make_ref();
                cx.send(me, &(used, reference)).unwrap();
                ExitReason::new(&reference)
            })
            .unwrap();
        // So that its first slice is no part of the trace.
        while cx.process_info(yields).unwrap().status != Status::Waiting {
            cx.yield_now().await;
        }
        let flags = TraceFlags::RUNNING | TraceFlags::PROCS;
        assert_eq!(cx.trace(yields, flags), Ok(1));
        cx.send(yields, &()).unwrap();
        let reference: Ref = down(&mut cx, monitor).await.decode().unwrap();
        let delivered = cx.trace_delivered(yields);
        let mut events = Vec::new();
        let mut used = None;
        loop {
            let message = cx.receive().await;
            if let Ok((reductions, by)) = message.decode::<(u64, Ref)>() {
                assert_eq!(by, reference);
                used = Some(reductions);
                continue;
            }
            let text = message.to_string();
            if text == format!("{{trace_delivered,{yields},{delivered}}}") {
                break;
            }
            let head = format!("{{trace,{yields},");
            let event = text.strip_prefix(&head).expect("an event of it");
            events.push(event.split(',').next().unwrap().to_owned());
            if event.starts_with("exit") {
                assert_eq!(event, format!("exit,{reference}}}"));
            }
        }
        let mut expected = vec!["in"];
        expected.extend(["out", "in"].repeat(4));
        expected.push("exit");
        assert_eq!(events, expected);
        // A resumption costs ten.
        let used = used.unwrap();
        assert!(0 < used && used < 4 * 10 + 30, "{used}");
        assert_eq!(cx.message_queue_len(), 0);
    });
}

#[test]
fn low_prio() {
    bounded(1, |mut cx| async move {
        let me = cx.pid();
        cx.trap_exit(true);
        let high = SpawnOptions::new().monitor().priority(Priority::High);
        let server = cx
            .spawn_opt(high, |mut cx: Context| async move {
                let mut counts = [0_u64; 2];
                loop {
                    match expect::<Option<usize>>(&mut cx).await {
                        Some(client) => counts[client] += 1,
                        None => cx.exit(ExitReason::new(&counts)),
                    }
                }
            })
            .unwrap();
        let client = |priority, number: usize| {
            let server = server.pid;
            let options = SpawnOptions::new().link().priority(priority);
            let sends = move |cx: Context| async move {
                loop {
                    cx.send(server, &Some(number)).unwrap();
                    cx.tick(1).await;
                }
            };
            cx.spawn_opt(options, sends).unwrap().pid
        };
        let clients: [Pid; 2] = [client(Priority::Normal, 0), client(Priority::Low, 1)];
        cx.set_priority(Priority::Max);
        cx.receive_where(Duration::from_secs(2), |_| None::<()>)
            .await;
        for pid in clients {
            cx.exit_process(pid, ExitReason::kill());
        }
        cx.send(server.pid, &None::<usize>).unwrap();
        let reason = down(&mut cx, server.monitor.unwrap()).await;
        let [normal, low]: [u64; 2] = reason.decode().unwrap();
        let share = low as f64 / normal as f64;
        assert!((1.0 / 16.0..1.0 / 4.0).contains(&share), "{low} / {normal}");
        let _ = (me, Timeout::Infinity);
    });
}
