//! Significant children.

use super::*;

async fn significant(
    cx: &mut Context,
    auto: AutoShutdown,
    restart: Restart,
) -> (SupervisorRef, Vec<Pid>) {
    let me = cx.pid();
    let children = vec![
        probe("a", me)
            .restart(restart)
            .significant(auto != AutoShutdown::Never),
        probe("b", me)
            .restart(restart)
            .significant(auto != AutoShutdown::Never),
        probe("c", me),
    ];
    let supervisor = start(cx, one_for_one().auto_shutdown(auto), children).await;
    let mut pids = Vec::new();
    for name in ["a", "b", "c"] {
        pids.push(started(cx, name).await);
    }
    (supervisor, pids)
}

#[test]
fn nonsignificant_temporary() {
    run(async |mut cx: Context| {
        let (supervisor, pids) =
            significant(&mut cx, AutoShutdown::Never, Restart::Temporary).await;
        stop_probe(&mut cx, pids[0], ExitReason::normal()).await;
        stop_probe(&mut cx, pids[1], reason("abnormal")).await;
        assert_eq!(supervisor.which_children(&mut cx).await.unwrap().len(), 1);
    });
}

#[test]
fn significant_temporary() {
    run(async |mut cx: Context| {
        let (supervisor, pids) =
            significant(&mut cx, AutoShutdown::AnySignificant, Restart::Temporary).await;
        stop_probe(&mut cx, pids[0], reason("abnormal")).await;
        let ended = exit_of(&mut cx, supervisor.pid().unwrap()).await;
        assert_eq!(ended, ExitReason::shutdown());
        terminated(&mut cx, "a").await;
        terminated(&mut cx, "c").await;
        terminated(&mut cx, "b").await;
    });
}

#[test]
fn significant_transient() {
    run(async |mut cx: Context| {
        let (supervisor, pids) =
            significant(&mut cx, AutoShutdown::AllSignificant, Restart::Transient).await;
        // An abnormal end restarts it, and ends nothing.
        stop_probe(&mut cx, pids[0], reason("abnormal")).await;
        terminated(&mut cx, "a").await;
        let again = started(&mut cx, "a").await;
        // One of two ended for good.
        stop_probe(&mut cx, again, ExitReason::normal()).await;
        assert_eq!(supervisor.count_children(&mut cx).await.unwrap().active, 2);
        // Both did.
        stop_probe(&mut cx, pids[1], ExitReason::shutdown()).await;
        let ended = exit_of(&mut cx, supervisor.pid().unwrap()).await;
        assert_eq!(ended, ExitReason::shutdown());
    });
}

#[test]
fn significant_bystander() {
    // A significant child that is ended by its supervisor does not end the supervisor.
    run(async |mut cx: Context| {
        let (supervisor, _) =
            significant(&mut cx, AutoShutdown::AnySignificant, Restart::Transient).await;
        supervisor.terminate_child(&mut cx, "a").await.unwrap();
        assert_eq!(supervisor.count_children(&mut cx).await.unwrap().active, 2);
    });
}

#[test]
fn significant_escalation() {
    // The end of an inner tree by its significant child is an end of a child of the outer tree.
    run(async |mut cx: Context| {
        let me = cx.pid();
        let inner = ChildSpec::supervisor("inner", move |cx| {
            let flags = SupervisorFlags::one_for_one().auto_shutdown(AutoShutdown::AnySignificant);
            let child = probe("a", me).restart(Restart::Transient).significant(true);
            Supervisor::start_link(cx, flags, vec![child])
        });
        let inner = inner.restart(Restart::Transient).significant(true);
        let flags = one_for_one().auto_shutdown(AutoShutdown::AnySignificant);
        let supervisor = start(&mut cx, flags, vec![inner]).await;
        let pid = started(&mut cx, "a").await;
        stop_probe(&mut cx, pid, ExitReason::normal()).await;
        let ended = exit_of(&mut cx, supervisor.pid().unwrap()).await;
        assert_eq!(ended, ExitReason::shutdown());
    });
}
