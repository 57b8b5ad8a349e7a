//! The strategies, and giving up.

use super::*;

fn often(flags: SupervisorFlags, restarts: u32) -> SupervisorFlags {
    flags.intensity(restarts, Duration::from_secs(3_600))
}

/// The children's pids, newest first: as OTP lists them.
async fn newest_first(cx: &mut Context, supervisor: &SupervisorRef) -> Vec<Pid> {
    let pids = pids(cx, supervisor).await.into_iter();
    pids.rev().map(|pid| pid.expect("it runs")).collect()
}

#[test]
fn one_for_all() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let flags = often(SupervisorFlags::one_for_all(), 2);
        let supervisor = start(&mut cx, flags, vec![]).await;
        let first = supervisor.start_child(&mut cx, probe("a", me)).await;
        let first = first.unwrap();
        let second = linked_child(&mut cx, &supervisor, probe("b", me)).await;
        stop_probe(&mut cx, first, reason("died")).await;
        exit_of(&mut cx, second).await;
        let children = newest_first(&mut cx, &supervisor).await;
        assert_eq!(children.len(), 2);
        assert!(!children.contains(&first) && !children.contains(&second));
        assert_eq!(counts(&mut cx, &supervisor).await, [2, 2, 0, 2]);

        stop_probe(&mut cx, children[0], reason("died")).await;
        let children = newest_first(&mut cx, &supervisor).await;
        stop_probe(&mut cx, children[0], reason("died")).await;
        let ended = exit_of(&mut cx, supervisor.pid().unwrap()).await;
        assert_eq!(ended, ExitReason::shutdown());
    });
}

#[test]
fn rest_for_one() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let flags = often(SupervisorFlags::rest_for_one(), 2);
        let supervisor = start(&mut cx, flags, vec![]).await;
        let first = linked_child(&mut cx, &supervisor, probe("a", me)).await;
        let second = supervisor.start_child(&mut cx, probe("b", me)).await;
        let second = second.unwrap();
        let third = linked_child(&mut cx, &supervisor, probe("c", me)).await;
        assert_eq!(counts(&mut cx, &supervisor).await, [3, 3, 0, 3]);
        stop_probe(&mut cx, second, reason("died")).await;
        exit_of(&mut cx, third).await;
        let children = newest_first(&mut cx, &supervisor).await;
        assert_eq!(children.len(), 3);
        assert_eq!(counts(&mut cx, &supervisor).await, [3, 3, 0, 3]);
        assert!(!children.contains(&second) && !children.contains(&third));
        assert_eq!(children[2], first);

        stop_probe(&mut cx, children[0], reason("died")).await;
        let children = newest_first(&mut cx, &supervisor).await;
        stop_probe(&mut cx, children[1], reason("died")).await;
        let ended = exit_of(&mut cx, supervisor.pid().unwrap()).await;
        assert_eq!(ended, ExitReason::shutdown());
    });
}

/// A child ends; one of the two can't be started a second time.
async fn escalation(cx: &mut Context, flags: SupervisorFlags, failing: usize) {
    let me = cx.pid();
    let supervisor = start(cx, often(flags, 4), vec![]).await;
    let (spec, starts) = flaky("failing", me, |start| start > 0);
    let mut children = vec![probe("other", me)];
    children.insert(failing, spec);
    let mut children = children.into_iter();
    let first = supervisor.start_child(cx, children.next().unwrap()).await;
    let second = linked_child(cx, &supervisor, children.next().unwrap()).await;
    stop_probe(cx, first.unwrap(), reason("died")).await;
    let ended = exit_of(cx, supervisor.pid().unwrap()).await;
    assert_eq!(ended, ExitReason::shutdown());
    assert_eq!(exit_of(cx, second).await, ExitReason::shutdown());
    assert_eq!(starts.load(Ordering::SeqCst), 1 + 4);
}

#[test]
fn one_for_one_escalation() {
    run(async |mut cx: Context| escalation(&mut cx, one_for_one(), 0).await);
}

#[test]
fn one_for_all_escalation() {
    run(async |mut cx: Context| escalation(&mut cx, SupervisorFlags::one_for_all(), 1).await);
}

#[test]
fn rest_for_one_escalation() {
    run(async |mut cx: Context| escalation(&mut cx, SupervisorFlags::rest_for_one(), 1).await);
}
