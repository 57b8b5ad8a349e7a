//! How a supervisor stops.

use super::*;

#[test]
fn sup_stop_infinity() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, one_for_one(), vec![]).await;
        let args = ProbeArgs::new("a", me);
        let first = ChildSpec::supervisor("a", move |cx| Probe::start_link(cx, args.clone()));
        let second = probe("b", me).shutdown(Shutdown::Infinity);
        let first = linked_child(&mut cx, &supervisor, first).await;
        let second = linked_child(&mut cx, &supervisor, second).await;
        terminate(&mut cx, supervisor.pid().unwrap(), ExitReason::shutdown()).await;
        assert_eq!(exit_of(&mut cx, first).await, ExitReason::shutdown());
        assert_eq!(exit_of(&mut cx, second).await, ExitReason::shutdown());
        for name in ["a", "b"] {
            started(&mut cx, name).await;
        }
        // In reverse order.
        assert_eq!(terminated(&mut cx, "b").await, ExitReason::shutdown());
        assert_eq!(terminated(&mut cx, "a").await, ExitReason::shutdown());
    });
}

/// A process that traps exits and does not end by them.
fn stubborn(name: &'static str, witness: Pid) -> ChildSpec {
    ChildSpec::process(name, move |mut cx: Context| async move {
        cx.trap_exit(true);
        cx.send(witness, &Event::Started(name.to_owned(), cx.pid()))
            .unwrap();
        for_ever(&mut cx).await;
    })
}

#[test]
fn sup_stop_timeout() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, one_for_one(), vec![]).await;
        let first = linked_child(&mut cx, &supervisor, probe("a", me)).await;
        let limit = Shutdown::After(Duration::from_millis(20));
        let second = stubborn("b", me).shutdown(limit);
        let second = linked_child(&mut cx, &supervisor, second).await;
        for name in ["a", "b"] {
            started(&mut cx, name).await;
        }
        terminate(&mut cx, supervisor.pid().unwrap(), ExitReason::shutdown()).await;
        assert_eq!(exit_of(&mut cx, first).await, ExitReason::shutdown());
        assert_eq!(exit_of(&mut cx, second).await, ExitReason::killed());
        assert_eq!(terminated(&mut cx, "a").await, ExitReason::shutdown());
    });
}

#[test]
fn sup_stop_brutal_kill() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, one_for_one(), vec![]).await;
        let first = linked_child(&mut cx, &supervisor, probe("a", me)).await;
        let second = probe("b", me).shutdown(Shutdown::BrutalKill);
        let second = linked_child(&mut cx, &supervisor, second).await;
        for name in ["a", "b"] {
            started(&mut cx, name).await;
        }
        terminate(&mut cx, supervisor.pid().unwrap(), ExitReason::shutdown()).await;
        assert_eq!(exit_of(&mut cx, first).await, ExitReason::shutdown());
        assert_eq!(exit_of(&mut cx, second).await, ExitReason::killed());
        // b had no chance to tell.
        assert_eq!(terminated(&mut cx, "a").await, ExitReason::shutdown());
        assert!(no_event(&mut cx).await);
    });
}

#[test]
fn sup_stop_race() {
    // Children end by themselves while the supervisor waits for one that started after them.
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, one_for_one(), vec![]).await;
        let first = probe("a", me).restart(Restart::Temporary);
        let first = linked_child(&mut cx, &supervisor, first).await;
        let mut children = Vec::new();
        for restart in [Restart::Temporary, Restart::Transient, Restart::Permanent] {
            let (detail, other) = (ExitReason::shutdown_with("test"), reason("other"));
            for with in [ExitReason::normal(), ExitReason::shutdown(), detail, other] {
                let args = ProbeArgs::new("x", me);
                let child = ChildSpec::worker(format!("{restart:?} {with}"), move |cx| {
                    Probe::start_link(cx, args.clone())
                });
                let child = child.restart(restart);
                children.push((linked_child(&mut cx, &supervisor, child).await, with));
            }
        }
        // Says that it is told to end, and waits until it may.
        let last = ChildSpec::process("z", move |mut cx: Context| async move {
            cx.trap_exit(true);
            cx.send(me, &"ready").unwrap();
            let exit = cx.receive().await.exit().expect("it is told to end");
            cx.send(me, &"ending").unwrap();
            cx.receive_where(LIMIT, |message| message.decode::<bool>().ok())
                .await;
            cx.exit(exit.reason)
        });
        let last = last
            .restart(Restart::Temporary)
            .shutdown(Shutdown::After(LIMIT));
        let last = linked_child(&mut cx, &supervisor, last).await;
        says(&mut cx, "ready").await;
        let monitor = cx.monitor(supervisor.pid().unwrap());
        cx.exit_process(supervisor.pid().unwrap(), ExitReason::shutdown());
        says(&mut cx, "ending").await;
        for (pid, with) in &children {
            stop_probe(&mut cx, *pid, with.clone()).await;
        }
        cx.send(last, &true).unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::shutdown());
        let supervisor = supervisor.pid().unwrap();
        assert_eq!(exit_of(&mut cx, supervisor).await, ExitReason::shutdown());
        assert_eq!(exit_of(&mut cx, last).await, ExitReason::shutdown());
        for (pid, with) in children {
            assert_eq!(exit_of(&mut cx, pid).await, with);
        }
        assert_eq!(exit_of(&mut cx, first).await, ExitReason::shutdown());
        // All that started, and none of them twice.
        let mut starts = 0;
        let next = |message: &otp_vm::Message| message.decode::<Event>().ok();
        while let Some(event) = cx.receive_where(Duration::ZERO, next).await {
            starts += u32::from(matches!(event, Event::Started(..)));
        }
        assert_eq!(starts, 13);
    });
}

/// Waits until somebody says so.
async fn says(cx: &mut Context, what: &str) {
    let said = |message: &otp_vm::Message| {
        let text = message.decode::<String>().ok();
        text.filter(|text| text == what)
    };
    cx.receive_where(LIMIT, said).await.expect(what);
}

#[test]
fn children_that_end_while_all_are_ended_are_not_restarted() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        for _ in 0..20 {
            let spec = |n: u32| {
                let args = ProbeArgs::new("x", me);
                ChildSpec::worker(format!("{n}"), move |cx| {
                    Probe::start_link(cx, args.clone())
                })
            };
            let children = (0..20).map(spec).collect();
            let supervisor = start(
                &mut cx,
                one_for_one().intensity(100, Duration::from_secs(1)),
                children,
            )
            .await;
            let pids = pids(&mut cx, &supervisor).await;
            let monitors: Vec<_> = pids.iter().flatten().map(|&pid| cx.monitor(pid)).collect();
            for pid in pids.into_iter().flatten() {
                ServerRef::<Probe>::from_pid(pid)
                    .cast(&cx, Do::Stop(reason("race")))
                    .unwrap();
            }
            stop(&mut cx, &supervisor).await;
            for monitor in monitors {
                down(&mut cx, monitor).await;
            }
        }
        // Every probe that started has ended: nobody was restarted and forgotten.
        let mut running = 0i32;
        while let Some(event) = cx
            .receive_where(Duration::ZERO, |message| message.decode::<Event>().ok())
            .await
        {
            running += if matches!(event, Event::Started(..)) {
                1
            } else {
                -1
            };
        }
        assert_eq!(running, 0);
    });
}

#[test]
fn parent_exit_ends_the_tree() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let (parent, monitor) = cx
            .spawn_monitor(move |mut cx: Context| async move {
                let children = vec![probe("a", me)];
                Supervisor::start_link(&mut cx, one_for_one(), children)
                    .await
                    .unwrap();
                for_ever(&mut cx).await;
            })
            .unwrap();
        started(&mut cx, "a").await;
        cx.exit_process(parent, reason("parent_gone"));
        assert_eq!(down(&mut cx, monitor).await, reason("parent_gone"));
        assert_eq!(terminated(&mut cx, "a").await, ExitReason::shutdown());
    });
}
