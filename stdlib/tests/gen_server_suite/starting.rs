//! How a server starts.

use super::*;

#[test]
fn a_name_can_be_taken_once() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        // Anonymous.
        let first = server(&mut cx, Start::Ok).await;
        assert_eq!(log(&mut cx, &first).await, ["init"]);
        assert_eq!(first.whereis(&cx), first.pid());

        // Named; a second start of the name finds the first.
        let second = Server::start(&mut cx, (me, Start::Ok))
            .name("my_test_name")
            .await
            .unwrap();
        let error = Server::start(&mut cx, (me, Start::Ok))
            .name("my_test_name")
            .await
            .unwrap_err();
        assert_eq!(error, StartError::AlreadyStarted(second.pid().unwrap()));
        let named = ServerRef::<Server>::from_name("my_test_name").unwrap();
        assert_eq!(named.whereis(&cx), second.pid());
        assert_eq!(log(&mut cx, &named).await, ["init"]);
        named
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        assert_eq!(named.whereis(&cx), None);
        // The name is free at once.
        Server::start(&mut cx, (me, Start::Ok))
            .name("my_test_name")
            .await
            .unwrap();

        // A name that can't be one.
        let long = "x".repeat(256);
        let error = Server::start(&mut cx, (me, Start::Ok))
            .name(&long)
            .await
            .unwrap_err();
        assert!(matches!(error, StartError::BadName(_)), "{error:?}");
    });
}

#[test]
fn start_link_links() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let me = cx.pid();
        let server = Server::start_link(&mut cx, (me, Start::Ok)).await.unwrap();
        server.cast(&cx, Cast::Stop(reason("linked"))).unwrap();
        assert_eq!(
            exit_of(&mut cx, server.pid().unwrap()).await,
            reason("linked")
        );
    });
}

#[test]
fn start_ignore() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let me = cx.pid();
        let start = Server::start_link(&mut cx, (me, Start::Ignore))
            .name("ignored")
            .await;
        assert_eq!(start.unwrap_err(), StartError::Ignore);
        assert_eq!(cx.whereis("ignored"), None);
        assert!(
            cx.receive_timeout(Duration::ZERO).await.is_none(),
            "no EXIT is left behind"
        );
    });
}

#[test]
fn start_stop_and_error() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let me = cx.pid();
        for start in [Start::Stop(reason("why")), Start::Error(reason("why"))] {
            let error = Server::start_link(&mut cx, (me, start))
                .name("fails")
                .await
                .unwrap_err();
            assert_eq!(error, StartError::Exit(reason("why")));
            assert_eq!(cx.whereis("fails"), None);
        }
        assert!(
            cx.receive_timeout(Duration::ZERO).await.is_none(),
            "no EXIT is left behind"
        );
    });
}

#[test]
fn start_link_of_a_failing_init_ends_a_parent_that_does_not_trap() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let parent = move |start| {
            move |mut cx: Context| async move {
                let _ = Server::start_link(&mut cx, (me, start)).await;
                cx.send(me, &"got past the start").unwrap();
            }
        };
        let (_, monitor) = cx
            .spawn_monitor(parent(Start::Stop(reason("why"))))
            .unwrap();
        assert_eq!(down(&mut cx, monitor).await, reason("why"));
        assert!(cx.receive_timeout(Duration::ZERO).await.is_none());
        // `{error, Reason}` is the way to fail without taking the parent along.
        let (_, monitor) = cx
            .spawn_monitor(parent(Start::Error(reason("why"))))
            .unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        assert_eq!(
            cx.receive().await.decode::<String>().unwrap(),
            "got past the start"
        );
    });
}

#[test]
fn start_timeout() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let limit = Duration::from_millis(10);
        let start = Server::start_link(&mut cx, (me, Start::Hang))
            .name("hangs")
            .timeout(limit)
            .await;
        assert_eq!(start.unwrap_err(), StartError::Timeout);
        // The kill did not come back by the link, though this process does not trap exits.
        assert_eq!(cx.whereis("hangs"), None);
        assert!(cx.receive_timeout(Duration::ZERO).await.is_none());
    });
}

#[test]
fn the_name_of_a_failed_start_is_free_at_once() {
    // A name is free as soon as a failed start has returned.
    run(async |mut cx: Context| {
        let me = cx.pid();
        for _ in 0..200 {
            let start = Server::start(&mut cx, (me, Start::Stop(reason("x"))))
                .name("n_7669")
                .await;
            assert_eq!(start.unwrap_err(), StartError::Exit(reason("x")));
            let start = Server::start(&mut cx, (me, Start::Ignore))
                .name("n_7669")
                .await;
            assert_eq!(start.unwrap_err(), StartError::Ignore);
        }
    });
}
