//! Starts, stops, calls, casts and other messages, as OTP's cases have them.

use otp_stdlib::Name;
use otp_vm::MessageQueueData;

use super::names::DummyVia;
use super::suite::{
    Answer, Args, Call, Cast, Info, Suite, atom, down_within, exit_within, is, ms, nothing,
    simulated, suite, told,
};
use super::*;

async fn call(cx: &mut Context, server: &ServerRef<Suite>, call: Call) -> Answer {
    server.call(cx, call).await.expect("an answer")
}

fn is_noproc<T: std::fmt::Debug>(result: &Result<T, CallError>) -> bool {
    matches!(result, Err(CallError::Exit(reason)) if *reason == ExitReason::noproc())
}

#[test]
fn start() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        // Anonymous: alone, linked, monitored.
        let server = Suite::start(&mut cx, Args::Ok).await.unwrap();
        assert_eq!(call(&mut cx, &server, Call::StartedP).await, Answer::Ok);
        assert_eq!(call(&mut cx, &server, Call::Stop).await, Answer::Ok);
        common::ended(&mut cx, server.pid().unwrap()).await;
        let gone = server.call_timeout(&mut cx, Call::StartedP, ms(10)).await;
        assert!(is_noproc(&gone), "{gone:?}");
        let server = suite(&mut cx).await;
        assert_eq!(call(&mut cx, &server, Call::StartedP).await, Answer::Ok);
        assert_eq!(call(&mut cx, &server, Call::Stop).await, Answer::Ok);
        assert!(is(
            &exit_within(&mut cx, server.pid().unwrap()).await,
            "stopped"
        ));
        let (server, monitor) = Suite::start_monitor(&mut cx, Args::Ok).await.unwrap();
        assert_eq!(call(&mut cx, &server, Call::StartedP).await, Answer::Ok);
        assert_eq!(call(&mut cx, &server, Call::Stop).await, Answer::Ok);
        assert!(is(&down_within(&mut cx, monitor).await, "stopped"));

        // The same with a name, of the VM's and of another keeper.
        let keeper = DummyVia::default();
        let local = Name::local("my_test_name").unwrap();
        let via = Name::via(&keeper, "my_test_name").unwrap();
        let by_local = ServerRef::<Suite>::from_name("my_test_name").unwrap();
        let by_via = ServerRef::<Suite>::via(&keeper, "my_test_name").unwrap();
        for (name, named) in [(local, by_local), (via, by_via)] {
            for way in 0..3 {
                let (pid, monitor) = match way {
                    0 => (
                        Suite::start(&mut cx, Args::Ok).named(name.clone()).await,
                        None,
                    ),
                    1 => (
                        Suite::start_link(&mut cx, Args::Ok)
                            .named(name.clone())
                            .await,
                        None,
                    ),
                    _ => {
                        let start = Suite::start_monitor(&mut cx, Args::Ok).named(name.clone());
                        let (server, monitor) = start.await.unwrap();
                        (Ok(server), Some(monitor))
                    }
                };
                let pid = pid.unwrap().pid().unwrap();
                assert_eq!(named.whereis(&cx), Some(pid));
                assert_eq!(call(&mut cx, &named, Call::StartedP).await, Answer::Ok);
                let again = Suite::start(&mut cx, Args::Ok).named(name.clone()).await;
                assert_eq!(again.unwrap_err(), StartError::AlreadyStarted(pid));
                let again = Suite::start_monitor(&mut cx, Args::Ok)
                    .named(name.clone())
                    .await;
                assert_eq!(again.unwrap_err(), StartError::AlreadyStarted(pid));
                assert_eq!(call(&mut cx, &named, Call::Stop).await, Answer::Ok);
                let reason = match (way, monitor) {
                    (_, Some(monitor)) => down_within(&mut cx, monitor).await,
                    (1, _) => exit_within(&mut cx, pid).await,
                    _ => {
                        common::ended(&mut cx, pid).await;
                        atom("stopped").into()
                    }
                };
                assert!(is(&reason, "stopped"), "{reason}");
                let gone = named.call_timeout(&mut cx, Call::StartedP, ms(10)).await;
                assert!(is_noproc(&gone), "{gone:?}");
            }
        }
        nothing(&mut cx).await;
    });
}

#[test]
fn options_of_a_start_reach_the_process() {
    simulated(async |mut cx: Context| {
        let options = otp_vm::SpawnOptions::new()
            .priority(otp_vm::Priority::High)
            .message_queue_data(MessageQueueData::OffHeap)
            .min_heap_size(1000);
        let server = Suite::start(&mut cx, Args::Ok)
            .spawn_opt(options)
            .await
            .unwrap();
        let info = cx.process_info(server.pid().unwrap()).unwrap();
        assert_eq!(info.priority, otp_vm::Priority::High);
        assert!(!info.links.contains(&cx.pid()));
        // A link among them links; a monitor is refused, as by OTP.
        let linked = otp_vm::SpawnOptions::new().link();
        let server = Suite::start(&mut cx, Args::Ok)
            .spawn_opt(linked)
            .await
            .unwrap();
        let info = cx.process_info(server.pid().unwrap()).unwrap();
        assert!(info.links.contains(&cx.pid()));
        let monitored = otp_vm::SpawnOptions::new().monitor();
        let refused = Suite::start(&mut cx, Args::Ok).spawn_opt(monitored).await;
        assert!(matches!(refused, Err(StartError::Spawn(text)) if text.starts_with("badarg")));
        nothing(&mut cx).await;
    });
}

#[test]
fn otp_7669() {
    simulated(async |mut cx: Context| {
        // Not linked with what stops: that would end this process.
        let keeper = DummyVia::default();
        let local = Name::local("suite").unwrap();
        let via = Name::via(&keeper, "suite").unwrap();
        for _ in 0..10 {
            for name in [&local, &via] {
                let free = |cx: &Context| {
                    cx.whereis("suite").is_none() && keeper.holder(cx, "suite").is_none()
                };
                let start = Suite::start(&mut cx, Args::Ignore)
                    .named(name.clone())
                    .await;
                assert_eq!(start.unwrap_err(), StartError::Ignore);
                assert!(free(&cx));
                let start = Suite::start_link(&mut cx, Args::Ignore)
                    .named(name.clone())
                    .await;
                assert_eq!(start.unwrap_err(), StartError::Ignore);
                assert!(free(&cx));
                let start = Suite::start(&mut cx, Args::Stop).named(name.clone()).await;
                assert_eq!(start.unwrap_err(), StartError::Exit(atom("stopped").into()));
                assert!(free(&cx));
            }
        }
    });
}

async fn stopped(cx: &mut Context, named: &ServerRef<Suite>, pid: Pid) {
    named
        .stop(cx, ExitReason::normal(), Timeout::Infinity)
        .await
        .unwrap();
    assert!(!cx.is_alive(pid).await);
    let again = named
        .stop(cx, ExitReason::normal(), Timeout::Infinity)
        .await;
    let noproc = StopError::Exit(ExitReason::noproc());
    assert_eq!(again, Err(noproc.clone()));
    assert_eq!(ExitReason::from(noproc), ExitReason::noproc());
}

#[test]
fn stop1() {
    simulated(async |mut cx: Context| {
        let server = Suite::start(&mut cx, Args::Ok).await.unwrap();
        stopped(&mut cx, &server, server.pid().unwrap()).await;
    });
}

#[test]
fn stop2() {
    simulated(async |mut cx: Context| {
        let server = Suite::start(&mut cx, Args::Ok).await.unwrap();
        server
            .stop(&mut cx, atom("other_reason"), Timeout::Infinity)
            .await
            .unwrap();
        assert!(!cx.is_alive(server.pid().unwrap()).await);
    });
}

#[test]
fn stop4() {
    simulated(async |mut cx: Context| {
        let server = Suite::start(&mut cx, Args::Ok)
            .name("to_stop")
            .await
            .unwrap();
        let named = ServerRef::from_name("to_stop").unwrap();
        stopped(&mut cx, &named, server.pid().unwrap()).await;
    });
}

#[test]
fn stop5() {
    simulated(async |mut cx: Context| {
        let server = Suite::start(&mut cx, Args::Ok)
            .name("to_stop")
            .await
            .unwrap();
        let named = ServerRef::from_name_at("to_stop", cx.node()).unwrap();
        stopped(&mut cx, &named, server.pid().unwrap()).await;
    });
}

#[test]
fn stop7() {
    simulated(async |mut cx: Context| {
        let keeper = DummyVia::default();
        let server = Suite::start(&mut cx, Args::Ok)
            .via(&keeper, "to_stop")
            .await
            .unwrap();
        let named = ServerRef::via(&keeper, "to_stop").unwrap();
        stopped(&mut cx, &named, server.pid().unwrap()).await;
    });
}

#[test]
fn call_() {
    // A reply of another shape, OTP's `badreturn`, is not possible by the types; one that is no term ends the server:
    // `reply_that_is_no_term_ends_the_server`.
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        Suite::start_link(&mut cx, Args::Ok)
            .name("my_test_name")
            .await
            .unwrap();
        let server = ServerRef::<Suite>::from_name("my_test_name").unwrap();
        assert_eq!(call(&mut cx, &server, Call::StartedP).await, Answer::Ok);
        assert_eq!(
            call(&mut cx, &server, Call::DelayedAnswer(1)).await,
            Answer::Delayed
        );
        // Two requests within a specified time.
        assert_eq!(
            call(&mut cx, &server, Call::CallWithin(1000)).await,
            Answer::Ok
        );
        cx.sleep(ms(500)).await;
        assert_eq!(call(&mut cx, &server, Call::NextCall).await, Answer::Ok);
        assert_eq!(
            call(&mut cx, &server, Call::CallWithin(1000)).await,
            Answer::Ok
        );
        cx.sleep(ms(1500)).await;
        assert_eq!(call(&mut cx, &server, Call::NextCall).await, Answer::False);
        // With a time limit.
        let within = server
            .call_timeout(&mut cx, Call::DelayedAnswer(1), ms(30))
            .await;
        assert_eq!(within.unwrap(), Answer::Delayed);
        let over = server
            .call_timeout(&mut cx, Call::DelayedAnswer(30), ms(1))
            .await;
        assert!(matches!(over, Err(CallError::Timeout)), "{over:?}");
        cx.sleep(ms(100)).await;
        nothing(&mut cx).await;
    });
}

#[test]
fn cast() {
    simulated(async |mut cx: Context| {
        let me = cx.pid();
        let pid = Suite::start(&mut cx, Args::Ok)
            .name("my_test_name")
            .await
            .unwrap()
            .pid();
        let pid = pid.unwrap();
        let server = ServerRef::<Suite>::from_name("my_test_name").unwrap();
        assert_eq!(call(&mut cx, &server, Call::StartedP).await, Answer::Ok);
        for (cast, what) in [
            (Cast::HandleCast(me), "handled_cast"),
            (Cast::DelayedCast(me, 1), "delayed"),
            (Cast::Stop(me), "stopped"),
        ] {
            server.cast(&cx, cast).unwrap();
            assert_eq!(told(&mut cx).await, (pid, what.to_owned()));
        }
    });
}

#[test]
fn info() {
    simulated(async |mut cx: Context| {
        let me = cx.pid();
        let server = Suite::start(&mut cx, Args::Ok)
            .name("my_test_name")
            .await
            .unwrap();
        let pid = server.pid().unwrap();
        assert_eq!(call(&mut cx, &server, Call::StartedP).await, Answer::Ok);
        for (info, what) in [
            (Info::HandleInfo(me), "handled_info"),
            (Info::DelayedInfo(me, 1), "delayed_info"),
            (Info::Stop(me), "stopped_info"),
        ] {
            cx.send(pid, &info).unwrap();
            assert_eq!(told(&mut cx).await, (pid, what.to_owned()));
        }
    });
}

#[test]
fn abcast() {
    // By references in place of nodes.
    simulated(async |mut cx: Context| {
        let me = cx.pid();
        let pid = Suite::start(&mut cx, Args::Ok)
            .name("my_test_name")
            .await
            .unwrap()
            .pid();
        let pid = pid.unwrap();
        let here = ServerRef::<Suite>::from_name("my_test_name").unwrap();
        let at = ServerRef::<Suite>::from_name_at("my_test_name", cx.node()).unwrap();
        assert_eq!(call(&mut cx, &here, Call::StartedP).await, Answer::Ok);
        ServerRef::abcast(&cx, [&here], &Cast::HandleCast(me)).unwrap();
        assert_eq!(told(&mut cx).await, (pid, "handled_cast".to_owned()));
        ServerRef::abcast(&cx, [&at], &Cast::DelayedCast(me, 1)).unwrap();
        assert_eq!(told(&mut cx).await, (pid, "delayed".to_owned()));
        ServerRef::abcast(&cx, [&here], &Cast::Stop(me)).unwrap();
        assert_eq!(told(&mut cx).await, (pid, "stopped".to_owned()));
    });
}

#[test]
fn multicall() {
    // By references in place of nodes.
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let pid = Suite::start_link(&mut cx, Args::Ok)
            .name("my_test_name")
            .await
            .unwrap()
            .pid();
        let server = ServerRef::<Suite>::from_name("my_test_name").unwrap();
        for (request, answer, then) in [
            (Call::StartedP, Answer::Ok, 0),
            (Call::DelayedAnswer(1), Answer::Delayed, 0),
            (Call::CallWithin(1000), Answer::Ok, 500),
            (Call::NextCall, Answer::Ok, 0),
            (Call::CallWithin(1000), Answer::Ok, 1500),
            (Call::NextCall, Answer::False, 0),
            (Call::Stop, Answer::Ok, 0),
        ] {
            let called = ServerRef::multi_call(&mut cx, [&server], &request, Timeout::Infinity);
            let called = called.await;
            assert_eq!(called.replies, [(server.clone(), answer)]);
            assert!(called.bad.is_empty());
            cx.sleep(ms(then)).await;
        }
        assert!(is(&exit_within(&mut cx, pid.unwrap()).await, "stopped"));
    });
}

#[test]
fn multicall_down() {
    // A node that is not there; and who is too slow, and who is gone.
    simulated(async |mut cx: Context| {
        let server = suite(&mut cx).await;
        let at =
            ServerRef::<Suite>::from_name_at("global_name_server", atom("node@test01")).unwrap();
        let nobody = ServerRef::<Suite>::from_name("nobody").unwrap();
        let slow = suite(&mut cx).await;
        slow.cast(&cx, Cast::HandleCast(cx.pid())).unwrap();
        told(&mut cx).await;
        let all = [&at, &server, &nobody];
        let called = ServerRef::multi_call(&mut cx, all, &Call::StartedP, ms(3000)).await;
        assert_eq!(called.replies, [(server.clone(), Answer::Ok)]);
        let bad: Vec<_> = called
            .bad
            .iter()
            .map(|bad| (&bad.server, bad.error.reason()))
            .collect();
        let texts: Vec<_> = bad.iter().map(|(_, reason)| reason.to_string()).collect();
        assert_eq!([bad[0].0, bad[1].0], [&at, &nobody]);
        assert_eq!(texts, ["{nodedown,node@test01}", "noproc"]);
        // One limit for all, from the start.
        let before = cx.monotonic_time();
        let both = [&slow, &server];
        let called = ServerRef::multi_call(&mut cx, both, &Call::DelayedAnswer(200), ms(100)).await;
        assert!(called.replies.is_empty());
        assert!(
            called
                .bad
                .iter()
                .all(|bad| matches!(bad.error, CallError::Timeout))
        );
        assert!(cx.monotonic_time() - before < 150_000_000);
        cx.sleep(ms(500)).await;
        nothing(&mut cx).await;
    });
}

/// What a server told up to `ack`.
async fn replies(cx: &mut Context, pid: Pid) -> Vec<String> {
    let mut replies = Vec::new();
    loop {
        let (from, what) = told(cx).await;
        assert_eq!(from, pid);
        match what.as_str() {
            "ack" => return replies,
            _ => replies.push(what),
        }
    }
}

#[test]
fn continue_() {
    simulated(async |mut cx: Context| {
        let me = cx.pid();
        let server = Suite::start_link(&mut cx, Args::Continue(me))
            .await
            .unwrap();
        let pid = server.pid().unwrap();
        let once = ["continue", "after_continue"];
        assert_eq!(replies(&mut cx, pid).await, once);
        call(&mut cx, &server, Call::ContinueReply(me)).await;
        assert_eq!(replies(&mut cx, pid).await, once);
        call(&mut cx, &server, Call::ContinueNoreply(me)).await;
        assert_eq!(replies(&mut cx, pid).await, once);
        server.cast(&cx, Cast::ContinueNoreply(me)).unwrap();
        assert_eq!(replies(&mut cx, pid).await, once);
        cx.send(pid, &Info::ContinueNoreply(me)).unwrap();
        assert_eq!(replies(&mut cx, pid).await, once);
        cx.send(pid, &Info::ContinueContinue(me)).unwrap();
        let twice = ["before_continue", "continue", "after_continue"];
        assert_eq!(replies(&mut cx, pid).await, twice);
        let monitor = cx.monitor(pid);
        cx.send(pid, &Info::ContinueStop).unwrap();
        assert_eq!(down_within(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn calling_self() {
    simulated(async |mut cx: Context| {
        let me = ServerRef::<Suite>::from_pid(cx.pid());
        for after in [Timeout::After(ms(5000)), Timeout::Infinity] {
            let result = me.call_timeout(&mut cx, Call::StartedP, after).await;
            let error = result.unwrap_err();
            assert!(is(&error.reason(), "calling_self"), "{error}");
        }
        nothing(&mut cx).await;
    });
}

#[test]
fn auto_hibernate() {
    simulated(async |mut cx: Context| {
        let me = cx.pid();
        let state = Args::State(super::suite::State::Shown("auto_hibernate_state"));
        let start = Suite::start_link(&mut cx, state).hibernate_after(ms(100));
        let server = start.await.unwrap();
        let pid = server.pid().unwrap();
        let sleeps = |cx: &Context| cx.process_info(pid).expect("it lives").hibernated;
        for round in 0..4 {
            match round {
                0 => {}
                1 => assert_eq!(call(&mut cx, &server, Call::StartedP).await, Answer::Ok),
                2 => {
                    server.cast(&cx, Cast::HandleCast(me)).unwrap();
                    assert_eq!(told(&mut cx).await.1, "handled_cast");
                }
                _ => {
                    cx.send(pid, &Info::HandleInfo(me)).unwrap();
                    assert_eq!(told(&mut cx).await.1, "handled_info");
                }
            }
            assert!(!sleeps(&cx));
            cx.sleep(ms(90)).await;
            assert!(!sleeps(&cx), "not before its time");
            cx.sleep(ms(20)).await;
            assert!(sleeps(&cx));
            // It answers from its sleep, and goes on sleeping.
            let state = sys::get_state(&server).call(&mut cx).await.unwrap();
            assert_eq!(state.to_string(), "auto_hibernate_state");
            cx.sleep(ms(1)).await;
            assert!(sleeps(&cx));
        }
        // A timeout of a callback's is another matter.
        assert_eq!(
            call(&mut cx, &server, Call::DelayedAnswer(150)).await,
            Answer::Delayed
        );
        cx.trap_exit(true);
        assert_eq!(call(&mut cx, &server, Call::Stop).await, Answer::Ok);
        assert!(is(&exit_within(&mut cx, pid).await, "stopped"));
    });
}
