//! How a supervisor starts.

use super::*;

#[test]
fn sup_start_normal() {
    run(async |mut cx: Context| {
        let supervisor = start(&mut cx, one_for_one(), vec![]).await;
        terminate(&mut cx, supervisor.pid().unwrap(), ExitReason::shutdown()).await;
    });
}

#[test]
fn sup_start_ignore_child() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, one_for_one(), vec![]).await;
        let error = supervisor
            .start_child(&mut cx, ignoring("a"))
            .await
            .unwrap_err();
        assert_eq!(error, ChildError::Start(StartError::Ignore));
        let second = supervisor
            .start_child(&mut cx, probe("b", me))
            .await
            .unwrap();
        // It is kept, without a process.
        assert_eq!(pids(&mut cx, &supervisor).await, [None, Some(second)]);
        assert_eq!(supervisor.count_children(&mut cx).await.unwrap().specs, 2);
    });
}

#[test]
fn sup_start_fail() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let me = cx.pid();
        let (failing, _) = flaky("b", me, |_| true);
        let children = vec![probe("a", me), failing, probe("c", me)];
        let error = Supervisor::start_link(&mut cx, one_for_one(), children)
            .name("fails")
            .await
            .unwrap_err();
        // `{shutdown, {failed_to_start_child, b, start_error}}`; what had started is ended.
        let StartError::Exit(reason) = &error else {
            panic!("{error:?}")
        };
        assert!(reason.is_shutdown(), "{reason}");
        assert!(
            reason.to_string().contains("failed_to_start_child"),
            "{reason}"
        );
        assert!(reason.to_string().contains("start_error"), "{reason}");
        started(&mut cx, "a").await;
        assert_eq!(terminated(&mut cx, "a").await, ExitReason::shutdown());
        assert!(no_event(&mut cx).await, "c must not have started");
        assert_eq!(cx.whereis("fails"), None);
        assert!(
            cx.receive_timeout(Duration::ZERO).await.is_none(),
            "a failed start leaves no EXIT behind"
        );
    });
}

#[test]
fn sup_start_map_faulty_specs() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let me = cx.pid();
        let twice = vec![probe("a", me), probe("a", me)];
        let error = Supervisor::start_link(&mut cx, one_for_one(), twice)
            .await
            .unwrap_err();
        assert!(error.to_string().contains("duplicate_child"), "{error}");
        assert!(
            no_event(&mut cx).await,
            "nothing starts before all specifications are checked"
        );

        // Significant children need auto_shutdown, and must not be permanent.
        let significant = vec![probe("a", me).restart(Restart::Transient).significant(true)];
        Supervisor::start_link(&mut cx, one_for_one(), significant)
            .await
            .unwrap_err();
        let flags = one_for_one().auto_shutdown(AutoShutdown::AnySignificant);
        let permanent = vec![probe("a", me).significant(true)];
        Supervisor::start_link(&mut cx, flags, permanent)
            .await
            .unwrap_err();
    });
}

#[test]
fn sup_start_names_are_unique() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let first = Supervisor::start_link(&mut cx, one_for_one(), vec![])
            .name("sup")
            .await
            .unwrap();
        let error = Supervisor::start_link(&mut cx, one_for_one(), vec![])
            .name("sup")
            .await
            .unwrap_err();
        assert_eq!(error, StartError::AlreadyStarted(first.pid().unwrap()));
    });
}
