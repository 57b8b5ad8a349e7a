//! Wrong and odd input.

use std::time::Duration;

use otp_stdlib::application::{self, ApplicationSpec, Controller, ControllerOptions, StartType};
use otp_stdlib::gen_server::StopError;
use otp_stdlib::prelude::*;
use otp_stdlib::{ChildError, StartError, proc_lib};
use otp_vm::{CallError, Context, ExitReason, OwnedTerm, Pid, Timeout, to_term};

use crate::common::*;

/// A trap-exit parent: failed starts are errors.
fn trapping(cx: &Context) {
    cx.trap_exit(true);
}

#[test]
fn a_period_of_zero_is_refused() {
    run(async |mut cx: Context| {
        trapping(&cx);
        let flags = SupervisorFlags::one_for_one().intensity(1, Duration::ZERO);
        let error = Supervisor::start_link(&mut cx, flags, vec![])
            .await
            .unwrap_err();
        assert!(error.to_string().contains("invalid_period"), "{error}");
        let flags = DynamicSupervisorFlags::new().intensity(1, Duration::ZERO);
        let error = DynamicSupervisor::start_link(&mut cx, flags)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("invalid_period"), "{error}");
    });
}

#[test]
fn no_restart_allowed_ends_the_supervisor_at_the_first() {
    run(async |mut cx: Context| {
        trapping(&cx);
        let witness = cx.pid();
        let flags = SupervisorFlags::one_for_one().intensity(0, LIMIT);
        let children = vec![probe("a", witness), probe("b", witness)];
        let supervisor = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        started(&mut cx, "a").await;
        let b = started(&mut cx, "b").await;
        cx.exit_process(b, ExitReason::kill());
        assert_eq!(terminated(&mut cx, "a").await, ExitReason::shutdown());
        let end = exit_of(&mut cx, supervisor.pid().unwrap()).await;
        assert_eq!(end, ExitReason::shutdown());
        assert!(no_event(&mut cx).await);
    });
}

#[test]
fn durations_without_end_are_infinity() {
    run(async |mut cx: Context| {
        let witness = cx.pid();
        let for_good = Duration::MAX;
        let args = ProbeArgs::new("a", witness);
        let server = Probe::start(&mut cx, args).timeout(for_good).await.unwrap();
        started(&mut cx, "a").await;
        server
            .call_timeout(&mut cx, Do::Ping, for_good)
            .await
            .unwrap();
        server
            .stop(&mut cx, ExitReason::normal(), for_good)
            .await
            .unwrap();
        terminated(&mut cx, "a").await;

        let flags = SupervisorFlags::one_for_all().intensity(u32::MAX, for_good);
        let children = vec![probe("b", witness).shutdown(Shutdown::After(for_good))];
        let supervisor = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        let b = started(&mut cx, "b").await;
        stop_probe(&mut cx, b, reason("again")).await;
        assert_eq!(terminated(&mut cx, "b").await, reason("again"));
        started(&mut cx, "b").await;
        supervisor
            .stop(&mut cx, ExitReason::normal(), for_good)
            .await
            .unwrap();
        assert_eq!(terminated(&mut cx, "b").await, ExitReason::shutdown());

        let flags = DynamicSupervisorFlags::new().intensity(u32::MAX, for_good);
        let supervisor = DynamicSupervisor::start_link(&mut cx, flags).await.unwrap();
        let child = probe("c", witness).shutdown(Shutdown::After(for_good));
        supervisor.start_child(&mut cx, child).await.unwrap();
        started(&mut cx, "c").await;
        supervisor
            .stop(&mut cx, ExitReason::normal(), for_good)
            .await
            .unwrap();
        assert_eq!(terminated(&mut cx, "c").await, ExitReason::shutdown());

        let task = Task::async_(&cx, async |_| 7).unwrap();
        assert_eq!(task.await_timeout(&mut cx, for_good).await, 7);
    });
}

#[test]
fn no_time_at_all_is_a_timeout() {
    run(async |mut cx: Context| {
        let witness = cx.pid();
        let none = Duration::ZERO;
        let server = Probe::start(&mut cx, ProbeArgs::new("a", witness))
            .await
            .unwrap();
        started(&mut cx, "a").await;
        let error = server.call_timeout(&mut cx, Do::Ping, none).await;
        // One that answers at once on another scheduler is an answer.
        assert!(
            matches!(error, Err(CallError::Timeout) | Ok(_)),
            "{error:?}"
        );
        let start = proc_lib::StartOptions::new().link(true).timeout(none);
        let error = proc_lib::start_opt(&mut cx, start, async |mut cx: Context| {
            for_ever(&mut cx).await;
        })
        .await;
        assert_eq!(error, Err(StartError::Timeout));
        // Shut down within no time: killed, unless it was done.
        let flags = SupervisorFlags::one_for_one();
        let stubborn = ChildSpec::process("stubborn", async |mut cx: Context| {
            cx.trap_exit(true);
            for_ever(&mut cx).await;
        })
        .shutdown(Shutdown::After(none));
        let supervisor = Supervisor::start_link(&mut cx, flags, vec![stubborn])
            .await
            .unwrap();
        supervisor
            .terminate_child(&mut cx, "stubborn")
            .await
            .unwrap();
        server
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        assert_eq!(
            cx.receive_timeout(none)
                .await
                .map(|m| m.decode::<Event>().is_ok()),
            Some(true)
        );
        assert!(cx.receive_timeout(none).await.is_none());
    });
}

#[test]
fn nobody_is_noproc() {
    run(async |mut cx: Context| {
        let pid = cx.spawn(async |_: Context| ()).unwrap();
        ended(&mut cx, pid).await;
        for nobody in [
            ServerRef::<Probe>::from_pid(pid),
            ServerRef::from_name("nobody at all").unwrap(),
            ServerRef::from_name("").unwrap(),
            ServerRef::via(&Registry::<u64>::named("no registry").unwrap(), &7).unwrap(),
        ] {
            let answer = nobody.call(&mut cx, Do::Ping).await;
            assert!(
                matches!(&answer, Err(CallError::Exit(reason)) if *reason == ExitReason::noproc()),
                "{answer:?}"
            );
            nobody.cast(&cx, Do::Ping).unwrap();
            let sent = nobody.send_request(&cx, Do::Ping).unwrap();
            let answer = sent.receive_response(&mut cx, LIMIT).await;
            assert!(matches!(answer, Err(CallError::Exit(_))), "{answer:?}");
            let stopped = nobody.stop(&mut cx, ExitReason::normal(), LIMIT).await;
            assert_eq!(stopped, Err(StopError::Exit(ExitReason::noproc())));
        }
        let nobody = SupervisorRef::from_pid(pid);
        let error = nobody
            .start_child(&mut cx, probe("a", pid))
            .await
            .unwrap_err();
        assert_eq!(error, ChildError::Supervisor(ExitReason::noproc()));
        let nobody = DynamicSupervisorRef::from_pid(pid);
        let error = nobody
            .start_child(&mut cx, probe("a", pid))
            .await
            .unwrap_err();
        assert_eq!(error, ChildError::Supervisor(ExitReason::noproc()));
        // Itself.
        let me = ServerRef::<Probe>::from_pid(cx.pid());
        let error = me.call(&mut cx, Do::Ping).await.unwrap_err();
        assert_eq!(error.reason().to_string(), "calling_self");
        assert_eq!(
            me.stop(&mut cx, ExitReason::normal(), LIMIT).await,
            Err(StopError::CallingSelf)
        );
        assert!(cx.receive_timeout(Duration::ZERO).await.is_none());
    });
}

#[test]
fn a_supervisor_answers_what_it_does_not_know() {
    run(async |mut cx: Context| {
        let flags = SupervisorFlags::one_for_one();
        let supervisor = Supervisor::start_link(&mut cx, flags, vec![])
            .await
            .unwrap();
        let pid = supervisor.pid().unwrap();
        // A dynamic supervisor's request, a probe's, and no request at all.
        let dynamic = DynamicSupervisorRef::from_pid(pid);
        let error = dynamic.terminate_child(&mut cx, pid).await.unwrap_err();
        assert!(matches!(error, ChildError::Supervisor(_)), "{error:?}");
        let answer = ServerRef::<Probe>::from_pid(pid)
            .call(&mut cx, Do::Ping)
            .await;
        assert!(matches!(answer, Err(CallError::Decode(_))), "{answer:?}");
        cx.cast(pid, "TryAgainRestart").unwrap();
        cx.send(pid, "a message").unwrap();
        cx.send(pid, &("EXIT", 7)).unwrap();
        assert_eq!(supervisor.count_children(&mut cx).await.unwrap().specs, 0);
        let error = supervisor.terminate_child(&mut cx, "nobody").await;
        assert_eq!(error, Err(ChildError::NotFound));
        // No id, and one too long for an atom.
        let long: &'static str = Box::leak("x".repeat(300).into_boxed_str());
        for id in ["", long] {
            let witness = cx.pid();
            let child = supervisor
                .start_child(&mut cx, probe(id, witness))
                .await
                .unwrap();
            assert_eq!(started(&mut cx, id).await, child);
            let again = supervisor.start_child(&mut cx, probe(id, witness)).await;
            assert_eq!(again, Err(ChildError::AlreadyStarted(child)));
            supervisor.terminate_child(&mut cx, id).await.unwrap();
            terminated(&mut cx, id).await;
            let again = supervisor.start_child(&mut cx, probe(id, witness)).await;
            assert_eq!(again, Err(ChildError::AlreadyPresent));
            supervisor.delete_child(&mut cx, id).await.unwrap();
            assert_eq!(
                supervisor.delete_child(&mut cx, id).await,
                Err(ChildError::NotFound)
            );
        }
        let error = Probe::start(&mut cx, ProbeArgs::new("a", pid))
            .name(long)
            .await;
        assert!(matches!(error, Err(StartError::BadName(_))), "{error:?}");
        let error = Probe::start(&mut cx, ProbeArgs::new("a", pid))
            .name("undefined")
            .await;
        assert!(matches!(error, Err(StartError::BadName(_))), "{error:?}");
    });
}

/// A list in a list in a list …
fn nested(depth: usize) -> OwnedTerm {
    let mut term = to_term(&0).unwrap();
    for _ in 0..depth {
        term = to_term(&(term,)).unwrap();
    }
    term
}

#[test]
fn a_reason_as_deep_as_can_be_is_seen_by_the_supervisor() {
    // As deep as serde encodes, and deeper: a reason passes as the term that it is.
    let deepest = 516;
    run(async move |mut cx: Context| {
        for depth in deepest - 6..=deepest {
            let deep = ExitReason::from(nested(depth));
            let witness = cx.pid();
            let child = ChildSpec::process("deep", move |mut cx: Context| {
                let deep = deep.clone();
                async move {
                    cx.send(witness, &Event::Started("deep".into(), cx.pid()))
                        .unwrap();
                    cx.receive().await;
                    deep
                }
            });
            let flags = SupervisorFlags::one_for_one();
            let supervisor = Supervisor::start_link(&mut cx, flags, vec![child])
                .await
                .unwrap();
            let before = started(&mut cx, "deep").await;
            cx.send(before, &()).unwrap();
            let after = started(&mut cx, "deep").await;
            assert_ne!(before, after);
            supervisor
                .stop(&mut cx, ExitReason::normal(), LIMIT)
                .await
                .unwrap();
        }
    });
}

#[test]
fn a_signal_of_a_living_child_is_not_its_end() {
    run(async |mut cx: Context| {
        let witness = cx.pid();
        let flags = SupervisorFlags::one_for_one();
        let supervisor = Supervisor::start_link(&mut cx, flags, vec![shouting(witness)])
            .await
            .unwrap();
        let child = started(&mut cx, "shouting").await;
        let children = supervisor.which_children(&mut cx).await.unwrap();
        assert_eq!(children[0].pid, Some(child));
        supervisor
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        assert!(
            no_event(&mut cx).await,
            "a second one was started beside the first"
        );

        let flags = DynamicSupervisorFlags::new();
        let supervisor = DynamicSupervisor::start_link(&mut cx, flags).await.unwrap();
        let child = supervisor
            .start_child(&mut cx, shouting(witness))
            .await
            .unwrap();
        assert_eq!(started(&mut cx, "shouting").await, child);
        let children = supervisor.which_children(&mut cx).await.unwrap();
        assert_eq!(children[0].pid, Some(child));
        supervisor
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        assert!(
            no_event(&mut cx).await,
            "a second one was started beside the first"
        );
    });
}

/// A child that sends its supervisor an exit signal, and lives.
fn shouting(witness: Pid) -> ChildSpec {
    ChildSpec::process("shouting", move |mut cx: Context| async move {
        let parent = cx.parent();
        cx.exit_process(parent, reason("I am not dead"));
        cx.send(witness, &Event::Started("shouting".into(), cx.pid()))
            .unwrap();
        for_ever(&mut cx).await;
    })
}

#[test]
fn a_signal_of_a_living_process_does_not_take_its_keys() {
    run(async |mut cx: Context| {
        let names = Registry::<u64, ()>::start_link(&mut cx, "names")
            .await
            .unwrap();
        let me = cx.pid();
        let holder = cx
            .spawn(async move |mut cx: Context| {
                names.register(&mut cx, &7, &()).await.unwrap();
                let partition = cx.whereis("names").unwrap();
                cx.exit_process(partition, reason("I am not dead"));
                // Its answer comes after what was sent before.
                assert!(cx.is_alive(partition).await);
                let clean =
                    otp_stdlib::registry::Request::Clean(cx.pid(), otp_vm::to_term(&7).unwrap());
                let partition = ServerRef::<otp_stdlib::registry::Partition>::from_pid(partition);
                partition.call(&mut cx, clean).await.unwrap();
                cx.send(me, &Event::Started("holder".into(), cx.pid()))
                    .unwrap();
                for_ever(&mut cx).await;
            })
            .unwrap();
        started(&mut cx, "holder").await;
        assert_eq!(names.whereis(&cx, &7), Some(holder));
        assert_eq!(names.keys(&cx, holder), [7]);
    });
}

/// An application that has something computed aside while it starts.
struct Computing;

impl Application for Computing {
    type Args = ();

    async fn start(_: StartType, _: (), cx: &mut Context) -> Result<(Pid, Self), StartError> {
        let task = Task::async_(cx, async |_| 7).expect("a task");
        assert_eq!(task.await_(cx).await, 7);
        let witness = cx.whereis("witness").expect("a witness");
        let flags = SupervisorFlags::one_for_one();
        let tree = Supervisor::start_link(cx, flags, vec![probe("leaf", witness)]);
        Ok((application::tree(tree.await)?, Computing))
    }
}

#[test]
fn an_application_lives_on_when_a_helper_of_its_start_is_done() {
    run(async |mut cx: Context| {
        cx.register("witness", cx.pid()).unwrap();
        let controller = Controller::start_link(&mut cx, ControllerOptions::new());
        let controller = controller.await.unwrap().pid().unwrap();
        let computing = ApplicationSpec::new("computing").module::<Computing>(());
        application::start(&mut cx, computing).await.unwrap();
        let leaf = started(&mut cx, "leaf").await;
        let master = application::get_master(&cx, "computing").unwrap();
        // Its answer comes when it has looked at its mailbox, or is on its way out.
        for deaf in [controller, master] {
            cx.send(deaf, "what is this?").unwrap();
            assert!(cx.is_alive(deaf).await);
        }
        let server = ServerRef::<Probe>::from_pid(leaf);
        assert_eq!(server.call(&mut cx, Do::Ping).await.unwrap(), leaf);
        let monitor = cx.monitor(master);
        application::stop(&mut cx, "computing").await.unwrap();
        assert_eq!(terminated(&mut cx, "leaf").await, ExitReason::shutdown());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn a_stop_of_one_that_does_not_listen_ends_by_its_limit() {
    run(async |mut cx: Context| {
        let pid = cx
            .spawn(async |mut cx: Context| for_ever(&mut cx).await)
            .unwrap();
        let limit = Duration::from_millis(1);
        let stopped = proc_lib::stop(&mut cx, pid, ExitReason::kill(), limit).await;
        assert_eq!(stopped, Err(StopError::Timeout));
        let monitor = cx.monitor(pid);
        cx.exit_process(pid, ExitReason::kill());
        down(&mut cx, monitor).await;
        let stopped = proc_lib::stop(&mut cx, pid, ExitReason::kill(), Timeout::Infinity).await;
        assert_eq!(stopped, Err(StopError::Exit(ExitReason::noproc())));
    });
}
