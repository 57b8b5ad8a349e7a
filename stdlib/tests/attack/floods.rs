//! Floods: full mailboxes, many children, restarts beyond measure.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use otp_stdlib::prelude::*;
use otp_vm::{Context, ExitReason, Pid};

use crate::common::*;

const MESSAGES: usize = 100_000;

async fn idle(mut cx: Context) {
    for_ever(&mut cx).await;
}

#[test]
fn a_supervisor_with_a_full_mailbox_answers_and_ends_its_children() {
    run(async |mut cx: Context| {
        let flags = SupervisorFlags::one_for_one();
        let ids: Vec<String> = (0..200).map(|id| id.to_string()).collect();
        let children = ids
            .iter()
            .map(|id| ChildSpec::process(id.clone(), idle))
            .collect();
        let supervisor = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        let pid = supervisor.pid().unwrap();
        for number in 0..MESSAGES {
            cx.send(pid, &number).unwrap();
        }
        supervisor.terminate_child(&mut cx, "7").await.unwrap();
        assert_eq!(
            supervisor.count_children(&mut cx).await.unwrap().active,
            199
        );
        for number in 0..MESSAGES {
            cx.send(pid, &number).unwrap();
        }
        supervisor
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
    });
}

#[test]
fn a_supervisor_told_to_end_before_a_flood_ends() {
    run(async |mut cx: Context| {
        let flags = SupervisorFlags::one_for_one();
        let children = (0..500)
            .map(|id| ChildSpec::process(id.to_string(), idle))
            .collect();
        let supervisor = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        let pid = supervisor.pid().unwrap();
        cx.unlink(pid);
        let monitor = cx.monitor(pid);
        cx.exit_process(pid, ExitReason::shutdown());
        cx.trap_exit(true);
        for number in 0..MESSAGES {
            cx.send(pid, &number).unwrap();
        }
        let end = cx.receive_timeout(LIMIT).await.expect("an end in time");
        assert_eq!(end.down().map(|down| down.reference), Some(monitor));
    });
}

#[test]
fn many_children_that_die_at_once_are_restarted() {
    const CHILDREN: u64 = 2_000;
    run(async |mut cx: Context| {
        let flags = SupervisorFlags::one_for_one().intensity(u32::MAX, LIMIT);
        let children = (0..CHILDREN)
            .map(|id| ChildSpec::process(id.to_string(), idle))
            .collect();
        let supervisor = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        let before = supervisor.which_children(&mut cx).await.unwrap();
        for child in &before {
            cx.exit_process(child.pid.unwrap(), ExitReason::kill());
        }
        for child in &before {
            ended(&mut cx, child.pid.unwrap()).await;
        }
        // Links are told before monitors: the supervisor has all news before this question.
        let after = supervisor.which_children(&mut cx).await.unwrap();
        assert_eq!(after.len(), before.len());
        for (after, before) in after.iter().zip(&before) {
            assert_eq!(after.id, before.id);
            assert!(after.pid.is_some() && after.pid != before.pid, "{after:?}");
        }
        supervisor
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
    });
}

#[test]
fn many_children_that_die_at_once_beyond_the_intensity_end_the_supervisor() {
    const CHILDREN: usize = 10_000;
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let flags = SupervisorFlags::one_for_one();
        let children = (0..CHILDREN)
            .map(|id| ChildSpec::process(id.to_string(), idle))
            .collect();
        let supervisor = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        for child in supervisor.which_children(&mut cx).await.unwrap() {
            cx.exit_process(child.pid.unwrap(), ExitReason::kill());
        }
        let end = exit_of(&mut cx, supervisor.pid().unwrap()).await;
        assert_eq!(end, ExitReason::shutdown());
        alone(&cx).await;
    });
}

#[test]
fn many_dynamic_children_that_die_at_once() {
    const CHILDREN: usize = 10_000;
    for beyond in [false, true] {
        run(async move |mut cx: Context| {
            cx.trap_exit(true);
            let flags = DynamicSupervisorFlags::new();
            let supervisor = DynamicSupervisor::start_link(&mut cx, flags).await.unwrap();
            let restart = if beyond {
                Restart::Permanent
            } else {
                Restart::Temporary
            };
            let mut children: Vec<Pid> = Vec::new();
            for _ in 0..CHILDREN {
                let child = ChildSpec::process("child", idle).restart(restart);
                children.push(supervisor.start_child(&mut cx, child).await.unwrap());
            }
            for child in children {
                cx.exit_process(child, ExitReason::kill());
            }
            let pid = supervisor.pid().unwrap();
            if beyond {
                assert_eq!(exit_of(&mut cx, pid).await, ExitReason::shutdown());
            } else {
                while supervisor.count_children(&mut cx).await.unwrap().specs > 0 {}
                supervisor
                    .stop(&mut cx, ExitReason::normal(), LIMIT)
                    .await
                    .unwrap();
            }
            alone(&cx).await;
        });
    }
}

#[test]
fn fifty_thousand_children_are_shut_down() {
    const CHILDREN: u64 = 50_000;
    run(async |mut cx: Context| {
        let flags = DynamicSupervisorFlags::new();
        let supervisor = DynamicSupervisor::start_link(&mut cx, flags).await.unwrap();
        for number in 0..CHILDREN {
            // Limits of all kinds.
            let limit = LIMIT + std::time::Duration::from_millis(number);
            let child = ChildSpec::process("child", idle).shutdown(Shutdown::After(limit));
            supervisor.start_child(&mut cx, child).await.unwrap();
        }
        supervisor
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        alone(&cx).await;
    });
}

#[test]
fn children_with_limits_of_their_own_are_killed_each_in_time() {
    const CHILDREN: u64 = 10_000;
    run(async |mut cx: Context| {
        let flags = DynamicSupervisorFlags::new();
        let supervisor = DynamicSupervisor::start_link(&mut cx, flags).await.unwrap();
        for number in 0..CHILDREN {
            let limit = std::time::Duration::from_nanos(number);
            let child = ChildSpec::process("child", async |mut cx: Context| {
                cx.trap_exit(true);
                for_ever(&mut cx).await;
            })
            .shutdown(Shutdown::After(limit));
            supervisor.start_child(&mut cx, child).await.unwrap();
        }
        supervisor
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        alone(&cx).await;
    });
}

#[test]
fn a_restart_storm_ends() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let starts = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&starts);
        let child = ChildSpec::process("storm", move |_: Context| {
            counted.fetch_add(1, Ordering::SeqCst);
            async { reason("at once") }
        });
        let flags = SupervisorFlags::one_for_one().intensity(1_000, LIMIT);
        let supervisor = Supervisor::start_link(&mut cx, flags, vec![child])
            .await
            .unwrap();
        let end = exit_of(&mut cx, supervisor.pid().unwrap()).await;
        assert_eq!(end, ExitReason::shutdown());
        assert_eq!(starts.load(Ordering::SeqCst), 1_001);
    });
}

#[test]
fn a_server_with_a_full_mailbox_answers_in_its_turn() {
    run(async |mut cx: Context| {
        let args = ProbeArgs::new("a", cx.pid());
        let server = Probe::start(&mut cx, args).await.unwrap();
        started(&mut cx, "a").await;
        for _ in 0..MESSAGES {
            server.cast(&cx, Do::Ping).unwrap();
        }
        let answer = server.call_timeout(&mut cx, Do::Ping, LIMIT).await.unwrap();
        assert_eq!(Some(answer), server.pid());
        for _ in 0..MESSAGES {
            server.cast(&cx, Do::Ping).unwrap();
        }
        server
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
    });
}

/// A server that never has done with continuing.
struct Endless;

impl GenServer for Endless {
    type Args = ();
    type Call = ();
    type Reply = ();
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = ();

    async fn init((): (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Self).and_continue(())
    }

    async fn handle_continue(&mut self, (): (), _cx: &mut Context) -> NoReply<Self> {
        NoReply::new().and_continue(())
    }
}

#[test]
fn a_server_that_continues_for_ever_lets_others_run_and_can_be_killed() {
    run_on(1, async |mut cx: Context| {
        let server = Endless::start(&mut cx, ()).await.unwrap();
        let pid = server.pid().unwrap();
        let monitor = cx.monitor(pid);
        cx.yield_now().await;
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
    });
}

#[test]
fn a_supervisor_that_starts_many_children_lets_others_run() {
    run_on(1, async |mut cx: Context| {
        let turns = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&turns);
        let other = cx
            .spawn(async move |cx: Context| {
                loop {
                    counted.fetch_add(1, Ordering::SeqCst);
                    cx.yield_now().await;
                }
            })
            .unwrap();
        let (first, last) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let mut children: Vec<ChildSpec> = (0..20_000)
            .map(|id| ChildSpec::process(id.to_string(), idle))
            .collect();
        for (place, at) in [(0, &first), (20_000, &last)] {
            let (turns, at) = (Arc::clone(&turns), Arc::clone(at));
            let noting = ChildSpec::new(format!("noting {place}"), move |cx| {
                at.store(turns.load(Ordering::SeqCst), Ordering::SeqCst);
                let started = cx.spawn_link(idle).map_err(Into::into);
                Box::pin(std::future::ready(started))
            });
            children.insert(place, noting);
        }
        let flags = SupervisorFlags::one_for_one();
        let supervisor = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        let turns = last.load(Ordering::SeqCst) - first.load(Ordering::SeqCst);
        assert!(
            turns > 1,
            "nobody else ran while 20,000 children were started"
        );
        cx.exit_process(other, ExitReason::kill());
        supervisor
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
    });
}
