//! Trees, and ends at awkward moments.

use super::*;

#[test]
fn tree() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let inner = |name: &'static str, child: &'static str| {
            ChildSpec::supervisor(name, move |cx| {
                let flags = SupervisorFlags::one_for_one().intensity(1, LIMIT);
                Supervisor::start_link(cx, flags, vec![probe(child, me)]).name(name)
            })
        };
        let children = vec![inner("left", "l"), inner("right", "r")];
        let top = start(&mut cx, one_for_one(), children).await;
        let mut left = started(&mut cx, "l").await;
        started(&mut cx, "r").await;
        let before = cx.whereis("left").unwrap();
        // Twice is once too often for the inner tree, which the outer starts anew.
        for _ in 0..2 {
            stop_probe(&mut cx, left, reason("leaf")).await;
            terminated(&mut cx, "l").await;
            left = started(&mut cx, "l").await;
        }
        let after = cx.whereis("left").unwrap();
        assert_ne!(before, after);
        assert!(no_event(&mut cx).await, "the right tree was not touched");
        stop(&mut cx, &top).await;
        terminated(&mut cx, "r").await;
        terminated(&mut cx, "l").await;
    });
}

#[test]
fn a_killed_supervisor_takes_its_children_along() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let args = ProbeArgs::new("a", me).not_trapping();
        let child = ChildSpec::worker("a", move |cx| Probe::start_link(cx, args.clone()));
        let supervisor = start(&mut cx, one_for_one(), vec![child]).await;
        let pid = started(&mut cx, "a").await;
        let monitor = cx.monitor(pid);
        cx.exit_process(supervisor.pid().unwrap(), ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
    });
}

#[test]
fn a_child_killed_during_its_init_is_a_failed_start() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, one_for_one(), vec![]).await;
        let child = ChildSpec::new("a", move |cx| {
            Box::pin(otp_stdlib::proc_lib::start_link(
                cx,
                move |mut cx: Context| async move {
                    let starter = otp_stdlib::proc_lib::Starter::receive(&mut cx).await;
                    cx.send(me, &Event::Started("a".into(), cx.pid())).unwrap();
                    for_ever(&mut cx).await;
                    starter.init_ack(&cx);
                },
            ))
        });
        let killer = cx
            .spawn(async move |mut cx: Context| {
                let pid: Pid = cx.receive().await.decode().unwrap();
                cx.exit_process(pid, ExitReason::kill());
            })
            .unwrap();
        let asked = supervisor.clone();
        let (_, monitor) = cx
            .spawn_monitor(move |mut cx: Context| async move {
                let error = asked.start_child(&mut cx, child).await.unwrap_err();
                assert_eq!(
                    error,
                    ChildError::Start(StartError::Exit(ExitReason::killed()))
                );
            })
            .unwrap();
        let pid = started(&mut cx, "a").await;
        cx.send(killer, &pid).unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        assert_eq!(supervisor.count_children(&mut cx).await.unwrap().specs, 0);
    });
}

#[test]
fn one_shot_children_move_what_they_capture() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, one_for_one(), vec![]).await;
        let (sender, receiver) = std::sync::mpsc::channel::<u32>();
        let child = ChildSpec::process_once("a", move |cx: Context| async move {
            cx.send(me, &receiver.recv_timeout(LIMIT).unwrap()).unwrap();
        });
        // A one-shot child can only be temporary.
        let child = child.restart(Restart::Permanent);
        sender.send(42).unwrap();
        let pid = supervisor.start_child(&mut cx, child).await.unwrap();
        let number = cx
            .receive_where(LIMIT, |message| message.decode::<u32>().ok())
            .await;
        assert_eq!(number, Some(42));
        ended(&mut cx, pid).await;
        assert_eq!(supervisor.count_children(&mut cx).await.unwrap().specs, 0);
    });
}

/// How long it takes to start so many children, and to end them one by one.
async fn start_and_stop(
    cx: &mut Context,
    supervisor: &SupervisorRef,
    many: usize,
) -> (Duration, Duration) {
    let begun = std::time::Instant::now();
    for n in 0..many {
        // The case's children are servers; what is measured is the supervisor.
        let child = ChildSpec::process(format!("{n}"), async |mut cx: Context| {
            for_ever(&mut cx).await;
        });
        supervisor.start_child(cx, child).await.unwrap();
    }
    let started = begun.elapsed();
    let begun = std::time::Instant::now();
    for n in 0..many {
        supervisor
            .terminate_child(cx, format!("{n}"))
            .await
            .unwrap();
    }
    let ended = begun.elapsed();
    for n in 0..many {
        supervisor.delete_child(cx, format!("{n}")).await.unwrap();
    }
    (started, ended)
}

#[test]
fn scale_start_stop_many_children() {
    const FEW: usize = 1_000;
    const MANY: usize = 100_000;
    run(async |mut cx: Context| {
        let supervisor = start(&mut cx, one_for_one(), vec![]).await;
        let (started, ended) = start_and_stop(&mut cx, &supervisor, FEW).await;
        let (many_started, many_ended) = start_and_stop(&mut cx, &supervisor, MANY).await;
        // More or less linear. The factor is OTP's: it allows for a loaded machine.
        let limit = (MANY / FEW) as u32 * 10;
        assert!(
            many_started < limit * started,
            "{many_started:?}, {started:?}"
        );
        assert!(many_ended < limit * ended, "{many_ended:?}, {ended:?}");
        assert_eq!(counts(&mut cx, &supervisor).await, [0, 0, 0, 0]);
        stop(&mut cx, &supervisor).await;
    });
}

#[test]
fn a_supervisor_that_is_not_there_is_an_error_with_the_reason() {
    run(async |mut cx: Context| {
        let nobody = SupervisorRef::from_name("nobody_at_all").unwrap();
        let error = nobody.count_children(&mut cx).await.unwrap_err();
        assert_eq!(error, ChildError::Supervisor(ExitReason::noproc()));
    });
}
