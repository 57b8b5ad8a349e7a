//! Restarts that fail.

use super::*;

/// A child that fails every restart keeps its supervisor busy, but not deaf.
async fn hanging(cx: &mut Context, flags: SupervisorFlags) {
    let me = cx.pid();
    let (failing, starts) = flaky("a", me, |start| start > 0);
    let flags = flags.intensity(u32::MAX, LIMIT);
    let supervisor = start(cx, flags, vec![failing, probe("b", me)]).await;
    let first = started(cx, "a").await;
    started(cx, "b").await;
    stop_probe(cx, first, reason("end")).await;
    assert_eq!(
        supervisor.restart_child(cx, "a").await,
        Err(ChildError::Restarting)
    );
    assert_eq!(
        supervisor.delete_child(cx, "a").await,
        Err(ChildError::Restarting)
    );
    let error = supervisor
        .start_child(cx, probe("a", me))
        .await
        .unwrap_err();
    assert_eq!(error, ChildError::AlreadyPresent);
    assert!(supervisor.which_children(cx).await.unwrap()[0].restarting);
    supervisor.terminate_child(cx, "a").await.unwrap();
    // The message to try again finds that nobody waits: it is handled before this answer.
    supervisor.count_children(cx).await.unwrap();
    let counted = starts.load(Ordering::SeqCst);
    supervisor.count_children(cx).await.unwrap();
    supervisor.count_children(cx).await.unwrap();
    assert_eq!(
        starts.load(Ordering::SeqCst),
        counted,
        "it is still being tried"
    );
    stop(cx, &supervisor).await;
}

#[test]
fn hanging_restart_loop() {
    run(async |mut cx: Context| hanging(&mut cx, one_for_one()).await);
}

#[test]
fn hanging_restart_loop_rest_for_one() {
    run(async |mut cx: Context| hanging(&mut cx, SupervisorFlags::rest_for_one()).await);
}

#[test]
fn a_child_that_another_keeps_from_its_restart_does_not_wait_to_be_tried_again() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        // b fails once; when it is tried again, a fails for ever.
        let (first, _) = flaky("a", me, |start| start > 1);
        let (second, _) = flaky("b", me, |start| start == 1);
        let flags = SupervisorFlags::one_for_all().intensity(u32::MAX, LIMIT);
        let supervisor = start(&mut cx, flags, vec![first, second]).await;
        started(&mut cx, "a").await;
        let pid = started(&mut cx, "b").await;
        stop_probe(&mut cx, pid, reason("end")).await;
        let begun = std::time::Instant::now();
        while !supervisor.which_children(&mut cx).await.unwrap()[0].restarting {
            assert!(begun.elapsed() < LIMIT, "a does not fail");
        }
        supervisor.terminate_child(&mut cx, "a").await.unwrap();
        // Nobody is about to start it: it can be started by hand.
        let children = supervisor.which_children(&mut cx).await.unwrap();
        assert!(children.iter().all(|child| !child.restarting));
        let again = supervisor.restart_child(&mut cx, "b").await.unwrap();
        assert!(cx.vm().is_alive(again));
    });
}
