//! How a server is stopped, and how it crashes.

use super::*;

#[test]
fn a_stopped_server_is_gone() {
    // Anonymous, normal.
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        server
            .stop(&mut cx, ExitReason::normal(), Timeout::Infinity)
            .await
            .unwrap();
        assert!(!cx.vm().is_alive(server.pid().unwrap()));
        assert_eq!(ended(&mut cx).await, ExitReason::normal());
        // A second time there is nobody.
        let error = server
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap_err();
        assert_eq!(error, StopError::Exit(ExitReason::noproc()));
    });
}

#[test]
fn a_server_ends_with_the_reason_that_it_is_stopped_with() {
    // With a reason of the caller's.
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        server.stop(&mut cx, reason("other"), LIMIT).await.unwrap();
        assert_eq!(ended(&mut cx).await, reason("other"));
    });
}

#[test]
fn a_name_is_free_when_its_server_was_stopped() {
    // By name.
    run(async |mut cx: Context| {
        let me = cx.pid();
        Server::start(&mut cx, (me, Start::Ok))
            .name("to_stop")
            .await
            .unwrap();
        let named = ServerRef::<Server>::from_name("to_stop").unwrap();
        named
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        assert_eq!(cx.whereis("to_stop"), None);
        let error = named
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap_err();
        assert_eq!(error, StopError::Exit(ExitReason::noproc()));
    });
}

#[test]
fn a_server_is_stopped_through_a_registry() {
    // Through a registry.
    run(async |mut cx: Context| {
        let me = cx.pid();
        let registry = Registry::<u64>::start_link(&mut cx, "stop6").await.unwrap();
        Server::start(&mut cx, (me, Start::Ok))
            .via(&registry, &6)
            .await
            .unwrap();
        let via = ServerRef::<Server>::via(&registry, &6).unwrap();
        via.stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        assert_eq!(registry.whereis(&cx, &6), None);
    });
}

#[test]
fn a_stop_tells_of_another_reason() {
    // The server ends with another reason: its terminate panics.
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        let error = server
            .stop(&mut cx, reason("panic in terminate"), LIMIT)
            .await
            .unwrap_err();
        let StopError::Exit(reason) = error else {
            panic!("{error:?}")
        };
        assert!(reason.to_string().contains("in terminate"), "{reason}");
    });
}

#[test]
fn a_stop_that_takes_too_long_leaves_nothing() {
    // The time is over before the server ended.
    run(async |mut cx: Context| {
        let stuck = Stuck::start(&mut cx, ()).await.unwrap();
        let stuck_pid = stuck.pid().unwrap();
        stuck.cast(&cx, ()).unwrap();
        let limit = Duration::from_millis(10);
        let error = stuck
            .stop(&mut cx, ExitReason::normal(), limit)
            .await
            .unwrap_err();
        assert_eq!(error, StopError::Timeout);
        assert!(cx.vm().is_alive(stuck_pid));
        assert!(
            cx.receive_timeout(Duration::ZERO).await.is_none(),
            "no DOWN is left behind"
        );
    });
}

/// A server that never comes back from a cast.
struct Stuck;

impl GenServer for Stuck {
    type Args = ();
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = ();
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Stuck)
    }

    async fn handle_cast(&mut self, _cast: (), cx: &mut Context) -> NoReply<Self> {
        for_ever(cx).await;
        NoReply::new()
    }
}

#[test]
fn a_panic_is_the_reason_for_all() {
    run(async |mut cx: Context| {
        // In init: no terminate.
        let me = cx.pid();
        let error = Server::start(&mut cx, (me, Start::Panic))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("in init"), "{error}");
        assert!(no_terminate(&mut cx).await);

        // In a call: the caller gets the reason, terminate gets it too.
        let server = server(&mut cx, Start::Ok).await;
        let Err(CallError::Exit(reason)) = server.call(&mut cx, Call::Panic).await else {
            panic!("the call must fail with the reason")
        };
        let text = reason.to_string();
        assert!(
            text.starts_with("{panic,") && text.contains("in call"),
            "{text}"
        );
        assert!(
            text.contains("gen_server_suite"),
            "the place is named: {text}"
        );
        assert_eq!(ended(&mut cx).await, reason);
    });
}

#[test]
fn a_panic_in_any_callback_calls_terminate() {
    run(async |mut cx: Context| {
        for (text, name) in [("in cast", "cast"), ("in info", "info")] {
            let server = server(&mut cx, Start::Ok).await;
            let monitor = cx.monitor(server.pid().unwrap());
            match name {
                "cast" => server.cast(&cx, Cast::Panic).unwrap(),
                _ => cx.send(server.pid().unwrap(), &Do::Panic).unwrap(),
            }
            let reason = down(&mut cx, monitor).await;
            assert!(reason.to_string().contains(text), "{reason}");
            assert_eq!(ended(&mut cx).await, reason);
        }
    });
}

#[test]
fn exit_in_a_callback_is_its_reason() {
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        let result = server.call(&mut cx, Call::Exit(reason("bye"))).await;
        assert!(is_exit(result, &reason("bye")));
        assert_eq!(ended(&mut cx).await, reason("bye"));
    });
}

#[test]
fn a_panic_in_terminate_is_the_reason() {
    // A crash in terminate is the reason of the end.
    run(async |mut cx: Context| {
        let server = server(&mut cx, Start::Ok).await;
        let monitor = cx.monitor(server.pid().unwrap());
        server
            .cast(&cx, Cast::Stop(reason("panic in terminate")))
            .unwrap();
        let reason = down(&mut cx, monitor).await;
        assert!(reason.to_string().contains("in terminate"), "{reason}");
    });
}
