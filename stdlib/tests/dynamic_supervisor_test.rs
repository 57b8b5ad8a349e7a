//! Cases of Elixir's `dynamic_supervisor_test.exs`, as behaviour, under their own names.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::*;
use otp_stdlib::StartError;
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::{ChildCounts, ChildError, ChildKind};
use otp_vm::{Context, ExitReason, Pid};

async fn start(cx: &mut Context, flags: DynamicSupervisorFlags) -> DynamicSupervisorRef {
    cx.trap_exit(true);
    DynamicSupervisor::start_link(cx, flags)
        .await
        .expect("the supervisor starts")
}

fn flags() -> DynamicSupervisorFlags {
    DynamicSupervisorFlags::new()
}

async fn active(cx: &mut Context, supervisor: &DynamicSupervisorRef) -> u64 {
    supervisor.count_children(cx).await.expect("counts").active
}

/// A child whose starts, counted from 0, fail where `fails` says so.
fn flaky(
    witness: Pid,
    fails: impl Fn(u32) -> bool + Send + Sync + 'static,
) -> (ChildSpec, Arc<AtomicU32>) {
    let starts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&starts);
    let spec = ChildSpec::new("flaky", move |cx| {
        let fails = fails(counted.fetch_add(1, Ordering::SeqCst));
        Box::pin(async move {
            if fails {
                return Err(StartError::Exit(reason("start_error")));
            }
            let args = ProbeArgs::new("flaky", witness);
            Ok(Probe::start_link(cx, args).await?.pid().expect("by pid"))
        })
    });
    (spec, starts)
}

/// A child that does nothing, and ends by any exit signal.
fn sleepy() -> ChildSpec {
    ChildSpec::process("sleepy", async |mut cx: Context| for_ever(&mut cx).await)
}

/// Sends an exit signal, and waits for the end.
async fn assert_kill(cx: &mut Context, pid: Pid, with: ExitReason) {
    let monitor = cx.monitor(pid);
    cx.exit_process(pid, with);
    down(cx, monitor).await;
}

/// How many workers there are, all of them active.
async fn workers(cx: &mut Context, supervisor: &DynamicSupervisorRef) -> u64 {
    let counts = supervisor.count_children(cx).await.expect("counts");
    assert_eq!(counts.workers, counts.active);
    counts.workers
}

#[test]
fn with_registered_process() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let first = DynamicSupervisor::start_link(&mut cx, flags())
            .name("dynamic")
            .await
            .unwrap();
        let pid = first.pid().unwrap();
        assert!(cx.process_info(cx.pid()).unwrap().links.contains(&pid));
        assert_eq!(cx.whereis("dynamic"), Some(pid));
        assert!(otp_stdlib::proc_lib::initial_call(cx.vm(), pid).is_some());
        let label = cx.process_info(pid).unwrap().label.unwrap();
        assert_eq!(label.as_str(), "DynamicSupervisor");
        let error = DynamicSupervisor::start_link(&mut cx, flags())
            .name("dynamic")
            .await
            .unwrap_err();
        assert_eq!(error, StartError::AlreadyStarted(pid));
        DynamicSupervisorRef::from_name("dynamic")
            .unwrap()
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        assert_eq!(cx.whereis("dynamic"), None);
    });
}

#[test]
fn with_different_returns() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags()).await;
        let pid = supervisor
            .start_child(&mut cx, probe("a", me))
            .await
            .unwrap();
        assert_eq!(started(&mut cx, "a").await, pid);
        let ignoring = ChildSpec::new("b", |_| Box::pin(async { Err(StartError::Ignore) }));
        let error = supervisor.start_child(&mut cx, ignoring).await.unwrap_err();
        assert_eq!(error, ChildError::Start(StartError::Ignore));
        let (failing, _) = flaky(me, |_| true);
        let error = supervisor.start_child(&mut cx, failing).await.unwrap_err();
        assert_eq!(
            error,
            ChildError::Start(StartError::Exit(reason("start_error")))
        );
        let counts = supervisor.count_children(&mut cx).await.unwrap();
        assert_eq!(
            counts,
            ChildCounts {
                specs: 1,
                active: 1,
                supervisors: 0,
                workers: 1
            }
        );
        let children = supervisor.which_children(&mut cx).await.unwrap();
        assert_eq!(children.len(), 1);
        assert_eq!(
            (children[0].pid, children[0].kind),
            (Some(pid), ChildKind::Worker)
        );
    });
}

#[test]
fn with_throw_error_exit() {
    run(async |mut cx: Context| {
        let supervisor = start(&mut cx, flags()).await;
        // A start that panics with a value that is no text; with a text; and that exits.
        let thrown = ChildSpec::new("a", |_| Box::pin(async { std::panic::panic_any(17_u8) }));
        let error = supervisor.start_child(&mut cx, thrown).await.unwrap_err();
        let ChildError::Start(StartError::Exit(why)) = &error else {
            panic!("{error:?}")
        };
        assert!(why.to_string().starts_with("{panic,"), "{why}");
        let panics = ChildSpec::new("b", |_| Box::pin(async { panic!("it breaks") }));
        let error = supervisor.start_child(&mut cx, panics).await.unwrap_err();
        let ChildError::Start(StartError::Exit(why)) = &error else {
            panic!("{error:?}")
        };
        let why = why.to_string();
        assert!(why.starts_with("{panic,<<\"it breaks\">>,"), "{why}");
        assert!(why.contains("dynamic_supervisor_test.rs"), "where: {why}");
        let exits = ChildSpec::new("c", |cx| Box::pin(async { cx.exit(reason("oops")) }));
        let error = supervisor.start_child(&mut cx, exits).await.unwrap_err();
        assert_eq!(error, ChildError::Start(StartError::Exit(reason("oops"))));
        assert_eq!(active(&mut cx, &supervisor).await, 0);
    });
}

#[test]
fn a_panic_in_the_process_of_a_child_fails_its_start() {
    run(async |mut cx: Context| {
        let supervisor = start(&mut cx, flags()).await;
        let panics = ChildSpec::new("a", |cx| {
            Box::pin(otp_stdlib::proc_lib::start_link(
                cx,
                async |mut cx: Context| {
                    let starter = otp_stdlib::proc_lib::Starter::receive(&mut cx).await;
                    assert!(cx.message_queue_len() > 0, "it breaks");
                    starter.init_ack(&cx);
                },
            ))
        });
        let error = supervisor.start_child(&mut cx, panics).await.unwrap_err();
        assert!(error.to_string().contains("it breaks"), "{error}");
        assert_eq!(active(&mut cx, &supervisor).await, 0);
    });
}

#[test]
fn with_max_children() {
    run(async |mut cx: Context| {
        let supervisor = start(&mut cx, flags().max_children(0)).await;
        let error = supervisor.start_child(&mut cx, sleepy()).await;
        assert_eq!(error, Err(ChildError::MaxChildren(0)));
    });
}

#[test]
fn a_child_that_ended_makes_room_under_max_children() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags().max_children(1)).await;
        let pid = supervisor
            .start_child(&mut cx, probe("a", me))
            .await
            .unwrap();
        let error = supervisor
            .start_child(&mut cx, probe("b", me))
            .await
            .unwrap_err();
        assert_eq!(error, ChildError::MaxChildren(1));
        supervisor.terminate_child(&mut cx, pid).await.unwrap();
        supervisor
            .start_child(&mut cx, probe("b", me))
            .await
            .unwrap();
    });
}

/// Starts a child and has it end, for each reason; gives how many are there after each.
async fn after_ends(cx: &mut Context, restart: Restart, reasons: &[ExitReason]) -> Vec<u64> {
    let supervisor = start(cx, flags().intensity(100_000, LIMIT)).await;
    let mut left = Vec::new();
    for with in reasons {
        let child = sleepy().restart(restart);
        let pid = supervisor.start_child(cx, child).await.unwrap();
        assert_kill(cx, pid, with.clone()).await;
        left.push(workers(cx, &supervisor).await);
        let children = supervisor.which_children(cx).await.unwrap();
        assert!(children.iter().all(|child| child.pid != Some(pid)));
    }
    left
}

#[test]
fn temporary_child_is_not_restarted_regardless_of_reason() {
    run(async |mut cx: Context| {
        let reasons = [ExitReason::shutdown(), reason("whatever")];
        let left = after_ends(&mut cx, Restart::Temporary, &reasons).await;
        assert_eq!(left, [0, 0]);
    });
}

#[test]
fn transient_child_is_restarted_unless_normal_shutdown() {
    run(async |mut cx: Context| {
        let detail = ExitReason::shutdown_with("signal");
        let reasons = [ExitReason::shutdown(), detail, reason("whatever")];
        let left = after_ends(&mut cx, Restart::Transient, &reasons).await;
        assert_eq!(left, [0, 0, 1]);
        // By itself: a signal `normal` would not end it.
        let me = cx.pid();
        let supervisor = start(&mut cx, flags()).await;
        let child = probe("a", me).restart(Restart::Transient);
        let pid = supervisor.start_child(&mut cx, child).await.unwrap();
        stop_probe(&mut cx, pid, ExitReason::normal()).await;
        assert_eq!(workers(&mut cx, &supervisor).await, 0);
    });
}

#[test]
fn permanent_child_is_restarted_regardless_of_reason() {
    run(async |mut cx: Context| {
        let detail = ExitReason::shutdown_with("signal");
        let reasons = [ExitReason::shutdown(), detail, reason("whatever")];
        let left = after_ends(&mut cx, Restart::Permanent, &reasons).await;
        assert_eq!(left, [1, 2, 3]);
    });
}

#[test]
fn child_is_restarted_when_trying_again() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags().intensity(2, LIMIT)).await;
        let (spec, starts) = flaky(me, |start| start == 1);
        let first = supervisor.start_child(&mut cx, spec).await.unwrap();
        assert_eq!(started(&mut cx, "flaky").await, first);
        assert_kill(&mut cx, first, ExitReason::kill()).await;
        let second = started(&mut cx, "flaky").await;
        assert_ne!(first, second);
        assert_eq!(starts.load(Ordering::SeqCst), 3);
        assert_eq!(workers(&mut cx, &supervisor).await, 1);
        let children = supervisor.which_children(&mut cx).await.unwrap();
        assert_eq!(children[0].pid, Some(second));
    });
}

/// A child that can be started once, and ends: the supervisor does so, too, after so many attempts.
async fn gives_up(cx: &mut Context, restarts: u32) {
    let me = cx.pid();
    let supervisor = start(cx, flags().intensity(restarts, LIMIT)).await;
    let (spec, starts) = flaky(me, |start| start > 0);
    let pid = supervisor.start_child(cx, spec).await.unwrap();
    stop_probe(cx, pid, ExitReason::shutdown()).await;
    let ended = exit_of(cx, supervisor.pid().unwrap()).await;
    assert_eq!(ended, ExitReason::shutdown());
    assert_eq!(starts.load(Ordering::SeqCst), 1 + restarts);
}

#[test]
fn child_triggers_maximum_restarts() {
    run(async |mut cx: Context| gives_up(&mut cx, 1).await);
}

#[test]
fn child_triggers_maximum_intensity_when_trying_again() {
    run(async |mut cx: Context| gives_up(&mut cx, 10).await);
}

#[test]
fn a_child_that_ends_too_often_takes_its_siblings_along() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags().intensity(1, LIMIT)).await;
        let first = supervisor
            .start_child(&mut cx, probe("a", me))
            .await
            .unwrap();
        supervisor
            .start_child(&mut cx, probe("b", me))
            .await
            .unwrap();
        started(&mut cx, "a").await;
        started(&mut cx, "b").await;
        stop_probe(&mut cx, first, reason("oops")).await;
        terminated(&mut cx, "a").await;
        let second = started(&mut cx, "a").await;
        stop_probe(&mut cx, second, reason("oops")).await;
        assert_eq!(
            exit_of(&mut cx, supervisor.pid().unwrap()).await,
            ExitReason::shutdown()
        );
        terminated(&mut cx, "a").await;
        assert_eq!(terminated(&mut cx, "b").await, ExitReason::shutdown());
    });
}

#[test]
fn restarting_on_exit_children_counted_in_max_children() {
    run(async |mut cx: Context| {
        let flags = flags().max_children(1).intensity(100_000, LIMIT);
        let supervisor = start(&mut cx, flags).await;
        let pid = supervisor.start_child(&mut cx, sleepy()).await.unwrap();
        assert_kill(&mut cx, pid, ExitReason::shutdown()).await;
        assert_eq!(workers(&mut cx, &supervisor).await, 1);
        let error = supervisor.start_child(&mut cx, sleepy()).await;
        assert_eq!(error, Err(ChildError::MaxChildren(1)));
    });
}

#[test]
fn a_child_that_waits_to_be_tried_again_counts_in_max_children() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags().max_children(1).intensity(u32::MAX, LIMIT)).await;
        let (spec, _) = flaky(me, |start| start > 0);
        let first = supervisor.start_child(&mut cx, spec).await.unwrap();
        stop_probe(&mut cx, first, reason("oops")).await;
        let children = supervisor.which_children(&mut cx).await.unwrap();
        assert!(children[0].restarting && children[0].pid.is_none());
        let counts = supervisor.count_children(&mut cx).await.unwrap();
        assert_eq!(
            counts,
            ChildCounts {
                specs: 1,
                active: 0,
                supervisors: 0,
                workers: 1
            }
        );
        let error = supervisor
            .start_child(&mut cx, probe("b", me))
            .await
            .unwrap_err();
        assert_eq!(error, ChildError::MaxChildren(1));
        // terminates restarting child: by its former pid.
        supervisor.terminate_child(&mut cx, first).await.unwrap();
        supervisor
            .start_child(&mut cx, probe("b", me))
            .await
            .unwrap();
    });
}

#[test]
fn terminates_child() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags()).await;
        for (shutdown, told) in [
            (Shutdown::BrutalKill, false),
            (Shutdown::After(LIMIT), true),
        ] {
            let spec = probe("a", me).shutdown(shutdown);
            let pid = supervisor.start_child(&mut cx, spec).await.unwrap();
            started(&mut cx, "a").await;
            supervisor.terminate_child(&mut cx, pid).await.unwrap();
            assert!(!cx.vm().is_alive(pid));
            let again = supervisor.terminate_child(&mut cx, pid).await;
            assert_eq!(again, Err(ChildError::NotFound));
            if told {
                assert_eq!(terminated(&mut cx, "a").await, ExitReason::shutdown());
            }
            assert!(no_event(&mut cx).await, "it is not restarted");
        }
    });
}

/// Traps exits and never ends by them.
fn stubborn(witness: Pid) -> ChildSpec {
    ChildSpec::process("stubborn", move |mut cx: Context| async move {
        cx.trap_exit(true);
        cx.send(witness, &Event::Started("stubborn".into(), cx.pid()))
            .unwrap();
        for_ever(&mut cx).await;
    })
}

#[test]
fn terminates_children_with_expired_integer_shutdown() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags()).await;
        let limit = Shutdown::After(Duration::from_millis(1));
        let specs = [
            (sleepy(), ExitReason::shutdown()),
            (stubborn(me), ExitReason::killed()),
            (sleepy(), ExitReason::shutdown()),
        ];
        let mut expected = Vec::new();
        for (spec, reason) in specs {
            // In a millisecond one that ends at once may not, on a loaded machine.
            let limit = match reason == ExitReason::killed() {
                true => limit,
                false => Shutdown::After(LIMIT),
            };
            let spec = spec.shutdown(limit);
            let pid = supervisor.start_child(&mut cx, spec).await.unwrap();
            expected.push((cx.monitor(pid), reason));
        }
        started(&mut cx, "stubborn").await;
        assert_kill(&mut cx, supervisor.pid().unwrap(), ExitReason::shutdown()).await;
        for (monitor, reason) in expected {
            assert_eq!(down(&mut cx, monitor).await, reason);
        }
    });
}

#[test]
fn children_that_are_stuck_are_killed_together() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags()).await;
        let limit = Shutdown::After(Duration::from_millis(20));
        let mut monitors = Vec::new();
        for _ in 0..10 {
            let spec = stubborn(me).shutdown(limit);
            let pid = supervisor.start_child(&mut cx, spec).await.unwrap();
            started(&mut cx, "stubborn").await;
            monitors.push(cx.monitor(pid));
        }
        let begun = std::time::Instant::now();
        supervisor
            .stop(&mut cx, ExitReason::shutdown(), LIMIT)
            .await
            .unwrap();
        for monitor in monitors {
            assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        }
        // One limit for all, not ten: the bound is far from both, for slow machines.
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{:?}",
            begun.elapsed()
        );
    });
}

#[test]
fn terminates_with_mixed_children() {
    run(async |mut cx: Context| {
        let supervisor = start(&mut cx, flags()).await;
        let mut expected = Vec::new();
        for (shutdown, reason) in [
            (Shutdown::Infinity, ExitReason::shutdown()),
            (Shutdown::BrutalKill, ExitReason::killed()),
        ] {
            let spec = sleepy().shutdown(shutdown);
            let pid = supervisor.start_child(&mut cx, spec).await.unwrap();
            expected.push((cx.monitor(pid), reason));
        }
        assert_kill(&mut cx, supervisor.pid().unwrap(), ExitReason::shutdown()).await;
        for (monitor, reason) in expected {
            assert_eq!(down(&mut cx, monitor).await, reason);
        }
    });
}

#[test]
fn each_child_is_ended_as_its_specification_says() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags()).await;
        let after = |limit| Shutdown::After(Duration::from_millis(limit));
        let specs = [
            (
                probe("a", me).shutdown(Shutdown::Infinity),
                ExitReason::shutdown(),
            ),
            (
                probe("b", me).shutdown(Shutdown::BrutalKill),
                ExitReason::killed(),
            ),
            (stubborn(me).shutdown(after(10)), ExitReason::killed()),
            (stubborn(me).shutdown(after(20)), ExitReason::killed()),
            (
                probe("c", me).restart(Restart::Temporary),
                ExitReason::shutdown(),
            ),
        ];
        let mut expected = Vec::new();
        for (spec, reason) in specs {
            let pid = supervisor.start_child(&mut cx, spec).await.unwrap();
            event(&mut cx).await;
            expected.push((cx.monitor(pid), reason));
        }
        supervisor
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        for (monitor, reason) in expected {
            assert_eq!(down(&mut cx, monitor).await, reason);
        }
    });
}

#[test]
fn one_shot_child_gets_what_it_captured() {
    run(async |mut cx: Context| {
        let supervisor = start(&mut cx, flags()).await;
        let (sender, receiver) = std::sync::mpsc::channel();
        // A receiver is Send, not Sync, and there is one only: it must have moved.
        let (_back, forth) = std::sync::mpsc::channel::<()>();
        let spec = ChildSpec::process_once("session", move |_cx: Context| async move {
            sender.send(forth.try_recv().is_err()).unwrap();
        });
        let pid = supervisor.start_child(&mut cx, spec).await.unwrap();
        ended(&mut cx, pid).await;
        assert!(receiver.recv_timeout(LIMIT).unwrap());
        assert_eq!(active(&mut cx, &supervisor).await, 0);
    });
}

#[test]
fn one_shot_server_child() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags()).await;
        let args = ProbeArgs::new("once", me);
        let spec = ChildSpec::once("once", move |cx| Probe::start_link(cx, args));
        let pid = supervisor.start_child(&mut cx, spec).await.unwrap();
        assert_eq!(started(&mut cx, "once").await, pid);
        stop_probe(&mut cx, pid, reason("oops")).await;
        assert_eq!(active(&mut cx, &supervisor).await, 0);
    });
}

#[test]
fn many_children_are_shut_down_together() {
    const MANY: usize = 20_000;
    run(async |mut cx: Context| {
        let supervisor = start(&mut cx, flags()).await;
        let mut pids = Vec::with_capacity(MANY);
        for _ in 0..MANY {
            let spec =
                ChildSpec::process_once("one", async |mut cx: Context| for_ever(&mut cx).await);
            pids.push(supervisor.start_child(&mut cx, spec).await.unwrap());
        }
        assert_eq!(active(&mut cx, &supervisor).await, MANY as u64);
        supervisor
            .stop(&mut cx, ExitReason::shutdown(), LIMIT)
            .await
            .unwrap();
        assert!(pids.into_iter().all(|pid| !cx.vm().is_alive(pid)));
    });
}

#[test]
fn a_caller_that_ends_leaves_its_child() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags()).await;
        let asked = supervisor.clone();
        let caller = cx
            .spawn(move |mut cx: Context| async move {
                asked.start_child(&mut cx, probe("a", me)).await.unwrap();
            })
            .unwrap();
        ended(&mut cx, caller).await;
        started(&mut cx, "a").await;
        assert_eq!(active(&mut cx, &supervisor).await, 1);
    });
}
