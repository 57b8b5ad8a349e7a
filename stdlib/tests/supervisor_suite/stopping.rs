//! How a supervisor stops.

use super::*;

#[test]
fn sup_stop_infinity() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let children = vec![
            probe("a", me).shutdown(Shutdown::Infinity),
            probe("b", me).shutdown(Shutdown::Infinity),
        ];
        let supervisor = start(&mut cx, one_for_one(), children).await;
        started(&mut cx, "a").await;
        started(&mut cx, "b").await;
        stop(&mut cx, &supervisor).await;
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
        let limit = Duration::from_millis(20);
        let children = vec![
            probe("a", me),
            stubborn("b", me).shutdown(Shutdown::After(limit)),
        ];
        let supervisor = start(&mut cx, one_for_one(), children).await;
        started(&mut cx, "a").await;
        let second = started(&mut cx, "b").await;
        let monitor = cx.monitor(second);
        stop(&mut cx, &supervisor).await;
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        assert_eq!(terminated(&mut cx, "a").await, ExitReason::shutdown());
    });
}

#[test]
fn sup_stop_brutal_kill() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let children = vec![
            probe("a", me),
            probe("b", me).shutdown(Shutdown::BrutalKill),
        ];
        let supervisor = start(&mut cx, one_for_one(), children).await;
        started(&mut cx, "a").await;
        let second = started(&mut cx, "b").await;
        let monitor = cx.monitor(second);
        stop(&mut cx, &supervisor).await;
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        // b had no chance to tell.
        assert_eq!(terminated(&mut cx, "a").await, ExitReason::shutdown());
        assert!(no_event(&mut cx).await);
    });
}

#[test]
fn sup_stop_race() {
    // Children end by themselves while the supervisor shuts them down.
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
