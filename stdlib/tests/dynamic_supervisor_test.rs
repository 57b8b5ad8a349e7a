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

#[test]
fn with_registered_process() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let first = DynamicSupervisor::start_link(&mut cx, flags())
            .name("dynamic")
            .await
            .unwrap();
        let error = DynamicSupervisor::start_link(&mut cx, flags())
            .name("dynamic")
            .await
            .unwrap_err();
        assert_eq!(error, StartError::AlreadyStarted(first.pid().unwrap()));
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

/// Whether a child is there after it ended with `with`: as another process.
async fn restarted(cx: &mut Context, restart: Restart, with: ExitReason) -> bool {
    let me = cx.pid();
    let supervisor = start(cx, flags()).await;
    let first = supervisor
        .start_child(cx, probe("a", me).restart(restart))
        .await
        .unwrap();
    started(cx, "a").await;
    stop_probe(cx, first, with).await;
    terminated(cx, "a").await;
    match &supervisor.which_children(cx).await.unwrap()[..] {
        [] => false,
        [child] => {
            assert_eq!(child.pid, Some(started(cx, "a").await));
            assert_ne!(child.pid, Some(first));
            true
        }
        more => panic!("{more:?}"),
    }
}

#[test]
fn temporary_child_is_not_restarted_regardless_of_reason() {
    run(async |mut cx: Context| {
        for with in [ExitReason::normal(), ExitReason::shutdown(), reason("oops")] {
            assert!(!restarted(&mut cx, Restart::Temporary, with).await);
        }
    });
}

#[test]
fn transient_child_is_restarted_unless_normal_shutdown() {
    run(async |mut cx: Context| {
        let detail = ExitReason::shutdown_with("signal");
        for with in [ExitReason::normal(), ExitReason::shutdown(), detail] {
            assert!(!restarted(&mut cx, Restart::Transient, with).await);
        }
        assert!(restarted(&mut cx, Restart::Transient, reason("oops")).await);
    });
}

#[test]
fn permanent_child_is_restarted_regardless_of_reason() {
    run(async |mut cx: Context| {
        for with in [ExitReason::normal(), ExitReason::shutdown(), reason("oops")] {
            assert!(restarted(&mut cx, Restart::Permanent, with).await);
        }
    });
}

#[test]
fn child_is_restarted_when_trying_again() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags().intensity(10, LIMIT)).await;
        let (spec, starts) = flaky(me, |start| (1..4).contains(&start));
        let first = supervisor.start_child(&mut cx, spec).await.unwrap();
        started(&mut cx, "flaky").await;
        stop_probe(&mut cx, first, reason("oops")).await;
        terminated(&mut cx, "flaky").await;
        let second = started(&mut cx, "flaky").await;
        assert_ne!(first, second);
        assert_eq!(starts.load(Ordering::SeqCst), 5);
        assert_eq!(
            supervisor.which_children(&mut cx).await.unwrap()[0].pid,
            Some(second)
        );
    });
}

#[test]
fn child_triggers_maximum_restarts() {
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
fn child_triggers_maximum_intensity_when_trying_again() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let supervisor = start(&mut cx, flags().intensity(10, LIMIT)).await;
        let (spec, starts) = flaky(me, |start| start > 0);
        let first = supervisor.start_child(&mut cx, spec).await.unwrap();
        stop_probe(&mut cx, first, reason("oops")).await;
        assert_eq!(
            exit_of(&mut cx, supervisor.pid().unwrap()).await,
            ExitReason::shutdown()
        );
        assert_eq!(starts.load(Ordering::SeqCst), 1 + 10);
    });
}

#[test]
fn restarting_on_exit_children_counted_in_max_children() {
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
