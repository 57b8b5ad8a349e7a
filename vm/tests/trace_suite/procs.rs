//! The flag `procs`, and the end of all events of a process.

use otp_vm::{TraceFlags, Vm};

use crate::stage::{
    Do, down, end, event, expect, next, nothing, pid, received, settle, simulate, sorted, tell,
    worker,
};

fn is_spawn(event: &str, beginning: &str) -> bool {
    event.starts_with(beginning) && event.contains("worker")
}

#[test]
fn procs_trace() {
    simulate(|mut cx| async move {
        let this = cx.pid();
        cx.trap_exit(true);
        let p1 = cx.spawn_link(worker).unwrap();
        let p2 = cx.spawn(worker).unwrap();
        settle(&mut cx, p1).await;
        let flags = TraceFlags::PROCS | TraceFlags::SET_ON_FIRST_SPAWN;
        assert_eq!(cx.trace(p1, flags), Ok(1));

        // A child; both tell, each in its order.
        tell(&cx, p1, Do::SpawnLink(this));
        let p3 = pid(&mut cx).await;
        let (spawn, link) = (next(&mut cx).await, next(&mut cx).await);
        assert!(
            is_spawn(&spawn, &format!("{{trace,{p1},spawn,{p3},")),
            "{spawn}"
        );
        assert_eq!(link, event(p1, format!("link,{p3}")));
        let spawned = next(&mut cx).await;
        assert!(
            is_spawn(&spawned, &format!("{{trace,{p3},spawned,{p1},")),
            "{spawned}"
        );
        expect(&mut cx, [event(p3, format!("getting_linked,{p1}"))]).await;
        nothing(&mut cx).await;

        tell(&cx, p1, Do::TrapExit(true));
        settle(&mut cx, p1).await;
        tell(&cx, p3, Do::End("make_me".to_owned()));
        expect(
            &mut cx,
            [
                event(p3, "exit,<<\"make_me\">>"),
                event(p1, format!("getting_unlinked,{p3}")),
            ],
        )
        .await;
        nothing(&mut cx).await;

        for (who, whom, events) in [
            (p1, p2, ["link", "unlink"]),
            (p2, p1, ["getting_linked", "getting_unlinked"]),
        ] {
            tell(&cx, who, Do::Link(whom));
            tell(&cx, who, Do::Unlink(whom));
            let events = events.map(|what| event(p1, format!("{what},{p2}")));
            expect(&mut cx, events).await;
            nothing(&mut cx).await;
        }

        cx.register("procs_trace", p1).unwrap();
        expect(&mut cx, [event(p1, "register,procs_trace")]).await;
        assert_eq!(cx.unregister("procs_trace"), Some(p1));
        expect(&mut cx, [event(p1, "unregister,procs_trace")]).await;
        nothing(&mut cx).await;

        // The second child isn't traced. It takes its parent along.
        tell(&cx, p1, Do::TrapExit(false));
        tell(&cx, p1, Do::SpawnLink(this));
        let p4 = pid(&mut cx).await;
        let (spawn, link) = (next(&mut cx).await, next(&mut cx).await);
        assert!(
            is_spawn(&spawn, &format!("{{trace,{p1},spawn,{p4},")),
            "{spawn}"
        );
        assert_eq!(link, event(p1, format!("link,{p4}")));
        cx.register("procs_trace", p1).unwrap();
        expect(&mut cx, [event(p1, "register,procs_trace")]).await;
        nothing(&mut cx).await;
        tell(&cx, p4, Do::End("make_me".to_owned()));
        expect(
            &mut cx,
            [
                event(p1, "exit,<<\"make_me\">>"),
                event(p1, "unregister,procs_trace"),
                format!("{{'EXIT',{p1},<<\"make_me\">>}}"),
            ],
        )
        .await;
        nothing(&mut cx).await;

        cx.trace(p2, TraceFlags::PROCS).unwrap();
        tell(&cx, p2, Do::End("make_me".to_owned()));
        expect(&mut cx, [event(p2, "exit,<<\"make_me\">>")]).await;
        nothing(&mut cx).await;
    });
}

/// As Erlang does it: each call of link and unlink is told, also one that changes nothing, and a link that ends with
/// its other end, whatever the reason, unless it ends this one, too.
#[test]
fn links_are_traced_as_they_are_asked_for_and_as_they_change() {
    simulate(|mut cx| async move {
        let (a, b) = (cx.spawn(worker).unwrap(), cx.spawn(worker).unwrap());
        cx.trace(a, TraceFlags::PROCS).unwrap();
        for order in [
            Do::Link(b),
            Do::Link(b),
            Do::Unlink(b),
            Do::Unlink(b),
            Do::Link(a),
            Do::Link(b),
        ] {
            tell(&cx, a, order);
        }
        let asked = [
            ("link", b),
            ("link", b),
            ("unlink", b),
            ("unlink", b),
            ("link", a),
            ("link", b),
        ];
        expect(
            &mut cx,
            asked.map(|(what, whom)| event(a, format!("{what},{whom}"))),
        )
        .await;
        tell(&cx, b, Do::EndNormally);
        expect(&mut cx, [event(a, format!("getting_unlinked,{b}"))]).await;
        nothing(&mut cx).await;
    });
}

/// As Erlang does it: there was no link, so none is undone; the news is a message to one that traps exits.
#[test]
fn a_link_to_somebody_who_is_gone_is_traced_as_asked_for_and_as_a_message() {
    simulate(|mut cx| async move {
        let (a, gone) = (cx.spawn(worker).unwrap(), cx.spawn(worker).unwrap());
        end(&mut cx, gone).await;
        tell(&cx, a, Do::TrapExit(true));
        settle(&mut cx, a).await;
        cx.trace(a, TraceFlags::PROCS | TraceFlags::RECEIVE)
            .unwrap();
        tell(&cx, a, Do::Link(gone));
        expect(
            &mut cx,
            [
                received(a, &Do::Link(gone)),
                event(a, format!("link,{gone}")),
                event(a, format!("'receive',{{'EXIT',{gone},noproc}}")),
            ],
        )
        .await;
        nothing(&mut cx).await;
        // It traps the shut-down's signal.
        tell(&cx, a, Do::EndNormally);
    });
}

/// All events by the time that it is asked for, by threads that run at once.
#[test]
fn trace_delivered() {
    const ROUNDS: usize = 10_000;
    let vm = Vm::builder().schedulers(2).build().unwrap();
    let run = vm.run(|mut cx| async move {
        let this = cx.pid();
        let (traced, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                cx.receive().await;
                for _ in 0..ROUNDS {
                    cx.link(this);
                    cx.register("trace_delivered", cx.pid()).unwrap();
                    cx.unregister("trace_delivered");
                    cx.unlink(this);
                    cx.tick(1).await;
                }
            })
            .unwrap();
        cx.trace(traced, TraceFlags::PROCS).unwrap();
        cx.send(traced, "go").unwrap();
        assert!(down(&mut cx, monitor).await.is_normal());
        let reference = cx.trace_delivered(traced);
        let until = format!("{{trace_delivered,{traced},{reference}}}");
        let mut events = 0;
        while next(&mut cx).await != until {
            events += 1;
        }
        assert_eq!(events, 4 * ROUNDS + 1);
        assert_eq!(cx.message_queue_len(), 0);
    });
    run.wait().unwrap();
}

/// `in` before anything else of a slice, `out` when it gives way, none at the end.
#[test]
fn running_is_traced_slice_by_slice() {
    simulate(|mut cx| async move {
        let traced = cx.spawn(worker).unwrap();
        settle(&mut cx, traced).await;
        let flags = TraceFlags::RUNNING | TraceFlags::PROCS | TraceFlags::RECEIVE;
        cx.trace(traced, flags).unwrap();
        tell(&cx, traced, Do::EndNormally);
        let slice_begins = next(&mut cx).await;
        assert!(
            is_spawn(&slice_begins, &format!("{{trace,{traced},in,")),
            "{slice_begins}"
        );
        let mut events = vec![slice_begins];
        loop {
            events.push(next(&mut cx).await);
            if events.last().unwrap().ends_with("exit,normal}") {
                break;
            }
        }
        let running = events
            .iter()
            .filter(|event| event.contains(",in,") || event.contains(",out,"));
        for (n, event) in running.enumerate() {
            let expected = if n % 2 == 0 { ",in," } else { ",out," };
            assert!(event.contains(expected), "{events:?}");
        }
        let ins = events.iter().filter(|event| event.contains(",in,")).count();
        let outs = events
            .iter()
            .filter(|event| event.contains(",out,"))
            .count();
        assert_eq!(ins, outs + 1, "{events:?}");
        nothing(&mut cx).await;
    });
}

/// New processes are told of from their beginning.
#[test]
fn a_new_process_begins_with_spawned() {
    simulate(|mut cx| async move {
        let this = cx.pid();
        let traced = cx.trace(otp_vm::TraceTargets::New, TraceFlags::PROCS);
        assert_eq!(traced, Ok(0));
        let child = cx.spawn_link(worker).unwrap();
        let events = sorted(&mut cx, 2).await;
        assert_eq!(events[0], event(child, format!("getting_linked,{this}")));
        assert!(is_spawn(
            &events[1],
            &format!("{{trace,{child},spawned,{this},")
        ));
        assert_eq!(
            cx.vm()
                .trace_stop(otp_vm::TraceTargets::New, TraceFlags::ALL),
            0
        );
        cx.spawn(worker).unwrap();
        nothing(&mut cx).await;
    });
}
