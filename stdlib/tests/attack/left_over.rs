//! Nothing is left over: links, monitors, messages, processes, tables.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::*;
use otp_stdlib::{application, proc_lib};
use otp_vm::{CallError, Context, ExitReason, Pid};
use serde::{Deserialize, Serialize};

use crate::common::*;

/// Asserts that a process has these links, and nothing else on it.
fn bare(cx: &Context, pid: Pid, links: &[Pid]) {
    let info = cx.process_info(pid).expect("it is alive");
    let (mut linked, mut expected) = (info.links, links.to_vec());
    linked.sort();
    expected.sort();
    assert_eq!(linked, expected, "links of {pid}");
    assert_eq!(info.monitors, [], "monitors of {pid}");
    assert_eq!(info.monitored_by, [], "monitors on {pid}");
    assert_eq!(info.message_queue_len, 0, "messages of {pid}");
}

/// A server that answers when and as often as it is told.
#[derive(Default)]
struct Late {
    kept: Vec<From<u64>>,
}

#[derive(Serialize, Deserialize)]
enum Ask {
    Keep,
    /// Replies so often itself, and says nothing more.
    Reply(u64),
    /// Has another process reply.
    Other,
    Forget,
    /// What it was asked for before is answered now.
    Flush,
}

impl GenServer for Late {
    type Args = ();
    type Call = Ask;
    type Reply = u64;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init((): (), _cx: &mut Context) -> Init<Self> {
        Init::ok(Late::default())
    }

    async fn handle_call(&mut self, ask: Ask, from: From<u64>, cx: &mut Context) -> Reply<Self> {
        match ask {
            Ask::Keep => self.kept.push(from),
            Ask::Reply(times) => (0..times).for_each(|time| from.reply(cx, &time).unwrap()),
            Ask::Other => {
                cx.spawn(async move |cx: Context| from.reply(&cx, &7).unwrap())
                    .unwrap();
            }
            Ask::Forget => {}
            Ask::Flush => {
                self.kept
                    .drain(..)
                    .for_each(|from| from.reply(cx, &0).unwrap());
                return Reply::new(1);
            }
        }
        Reply::later()
    }
}

#[test]
fn calls_leave_nothing() {
    run(async |mut cx: Context| {
        let server = Late::start(&mut cx, ()).await.unwrap();
        let (me, pid) = (cx.pid(), server.pid().unwrap());
        for _ in 0..20 {
            assert_eq!(server.call(&mut cx, Ask::Reply(3)).await.unwrap(), 0);
            assert_eq!(server.call(&mut cx, Ask::Other).await.unwrap(), 7);
            for ask in [Ask::Keep, Ask::Forget] {
                let late = server
                    .call_timeout(&mut cx, ask, Duration::from_millis(1))
                    .await;
                assert!(matches!(late, Err(CallError::Timeout)), "{late:?}");
            }
            let given_up = server.send_request(&cx, Ask::Keep).unwrap();
            given_up.abandon(&mut cx).await;
            let pending = server.send_request(&cx, Ask::Reply(2)).unwrap();
            assert_eq!(pending.receive_response(&mut cx, LIMIT).await.unwrap(), 0);
            let pending = server.send_request(&cx, Ask::Keep).unwrap();
            let late = pending.receive_response(&mut cx, Duration::ZERO).await;
            assert!(matches!(late, Err(CallError::Timeout)), "{late:?}");
            // Late replies, to those that gave up.
            assert_eq!(server.call(&mut cx, Ask::Flush).await.unwrap(), 1);
        }
        assert!(cx.is_alive(pid).await);
        bare(&cx, me, &[]);
        bare(&cx, pid, &[]);
    });
}

/// Polls a future one time, and drops it.
async fn given_up(future: impl Future) {
    let mut future = pin!(future);
    let polled = poll_fn(|task| Poll::Ready(future.as_mut().poll(task))).await;
    assert!(polled.is_pending());
}

#[test]
fn a_wait_for_an_end_that_is_given_up_leaves_nothing() {
    run(async |mut cx: Context| {
        let deaf = async |mut cx: Context| for_ever(&mut cx).await;
        let (me, deaf) = (cx.pid(), cx.spawn(deaf).unwrap());
        given_up(proc_lib::stop(&mut cx, deaf, ExitReason::normal(), LIMIT)).await;
        bare(&cx, me, &[]);
        let server = ServerRef::<Probe>::from_pid(deaf);
        given_up(server.stop(&mut cx, ExitReason::normal(), LIMIT)).await;
        bare(&cx, me, &[]);
        given_up(application::get_child(&mut cx, deaf)).await;
        bare(&cx, me, &[]);
        cx.exit_process(deaf, ExitReason::kill());
        assert!(!cx.is_alive(deaf).await);
        bare(&cx, me, &[]);
    });
}

fn start(cx: &mut Context, linked: bool) -> otp_stdlib::gen_server::Start<'_, Probe> {
    let args = ProbeArgs::new("a", cx.pid());
    if linked {
        Probe::start_link(cx, args)
    } else {
        Probe::start(cx, args)
    }
}

#[test]
fn starts_leave_nothing() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        cx.trap_exit(true);
        let keeper = Probe::start_link(&mut cx, ProbeArgs::new("keeper", me))
            .name("taken")
            .await
            .unwrap();
        started(&mut cx, "keeper").await;
        let keeper = keeper.pid().unwrap();
        for round in 0..40 {
            let args = ProbeArgs::new("a", me);
            // A name that is taken, a name that can't be, no time.
            for linked in [true, false] {
                assert!(start(&mut cx, linked).name("taken").await.is_err());
                assert!(start(&mut cx, linked).name("undefined").await.is_err());
                match start(&mut cx, linked).timeout(Duration::ZERO).await {
                    Err(_) => {}
                    Ok(server) => server
                        .stop(&mut cx, ExitReason::normal(), LIMIT)
                        .await
                        .unwrap(),
                }
            }
            let server = Probe::start_link(&mut cx, args.clone()).await.unwrap();
            if round % 2 == 0 {
                server
                    .stop(&mut cx, ExitReason::normal(), LIMIT)
                    .await
                    .unwrap();
            } else {
                let pid = server.pid().unwrap();
                stop_probe(&mut cx, pid, reason("oops")).await;
            }
            exit_of(&mut cx, server.pid().unwrap()).await;
            while !no_event(&mut cx).await {}
            while cx
                .receive_where(Duration::ZERO, |m| m.exit())
                .await
                .is_some()
            {}
        }
        bare(&cx, me, &[keeper]);
        assert!(cx.is_alive(keeper).await);
        bare(&cx, keeper, &[me]);
    });
}

#[test]
fn supervisors_leave_nothing() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let flags = SupervisorFlags::rest_for_one().intensity(u32::MAX, LIMIT);
        let children = vec![
            probe("a", me),
            probe("b", me).shutdown(Shutdown::BrutalKill),
        ];
        let supervisor = Supervisor::start_link(&mut cx, flags, children)
            .await
            .unwrap();
        let pid = supervisor.pid().unwrap();
        let flags = DynamicSupervisorFlags::new().intensity(u32::MAX, LIMIT);
        let dynamic = DynamicSupervisor::start_link(&mut cx, flags).await.unwrap();
        let dynamic_pid = dynamic.pid().unwrap();
        for _ in 0..20 {
            let children = supervisor.which_children(&mut cx).await.unwrap();
            let first = children[0].pid.unwrap();
            cx.exit_process(first, ExitReason::kill());
            ended(&mut cx, first).await;
            supervisor.terminate_child(&mut cx, "b").await.unwrap();
            supervisor.restart_child(&mut cx, "b").await.unwrap();
            supervisor
                .start_child(&mut cx, probe("c", me))
                .await
                .unwrap();
            supervisor
                .start_child(&mut cx, probe("c", me))
                .await
                .unwrap_err();
            supervisor.terminate_child(&mut cx, "c").await.unwrap();
            supervisor.delete_child(&mut cx, "c").await.unwrap();
            let child = dynamic.start_child(&mut cx, probe("d", me)).await.unwrap();
            dynamic.terminate_child(&mut cx, child).await.unwrap();
            let child = probe("d", me).restart(Restart::Temporary);
            let child = dynamic.start_child(&mut cx, child).await.unwrap();
            cx.exit_process(child, ExitReason::kill());
            ended(&mut cx, child).await;
        }
        while !no_event(&mut cx).await {}
        let mut pids: Vec<Pid> = supervisor
            .which_children(&mut cx)
            .await
            .unwrap()
            .into_iter()
            .filter_map(|child| child.pid)
            .collect();
        assert_eq!(pids.len(), 2);
        for &child in &pids {
            // It has taken in what was sent to it.
            assert!(cx.is_alive(child).await);
            bare(&cx, child, &[pid]);
        }
        pids.insert(0, me);
        assert!(cx.is_alive(pid).await);
        bare(&cx, pid, &pids);
        assert_eq!(dynamic.count_children(&mut cx).await.unwrap().specs, 0);
        assert!(cx.is_alive(dynamic_pid).await);
        bare(&cx, dynamic_pid, &[me]);
        bare(&cx, me, &[pid, dynamic_pid]);
        supervisor
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        dynamic
            .stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        while !no_event(&mut cx).await {}
        bare(&cx, me, &[]);
        alone(&cx).await;
    });
}

#[test]
fn tasks_leave_nothing() {
    run(async |mut cx: Context| {
        for _ in 0..20 {
            let done = Task::async_(&cx, async |_| 1).unwrap();
            assert_eq!(done.await_(&mut cx).await, 1);
            let mut stuck =
                Task::async_(&cx, async |mut cx: Context| for_ever(&mut cx).await).unwrap();
            assert_eq!(stuck.yield_(&mut cx, Duration::ZERO).await, None);
            assert_eq!(stuck.shutdown(&mut cx, Shutdown::After(LIMIT)).await, None);
        }
        // Each has ended by now, or is about to: its result comes first.
        alone(&cx).await;
        bare(&cx, cx.pid(), &[]);
    });
}

#[test]
fn a_registry_leaves_nothing() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let tables = cx.vm().system_info().table_count;
        let starting = cx
            .spawn(async move |mut cx: Context| {
                let names = Registry::<u64, String>::start_link(&mut cx, "names")
                    .await
                    .unwrap();
                for key in 0..100 {
                    names
                        .register(&mut cx, &key, &"value".into())
                        .await
                        .unwrap();
                }
                for key in 0..100 {
                    assert!(names.unregister(&cx, &key));
                }
                assert_eq!(names.count(&cx), 0);
                assert_eq!(cx.table("names.pids").unwrap().len(), 1);
                for key in 0..100 {
                    names
                        .register(&mut cx, &key, &"value".into())
                        .await
                        .unwrap();
                }
                cx.send(me, &Event::Started("registry".into(), cx.pid()))
                    .unwrap();
                for_ever(&mut cx).await;
            })
            .unwrap();
        started(&mut cx, "registry").await;
        let partition = cx.whereis("names").unwrap();
        cx.exit_process(starting, ExitReason::kill());
        ended(&mut cx, partition).await;
        assert_eq!(cx.vm().system_info().table_count, tables);
        assert_eq!(cx.whereis("names"), None);
        let names = Registry::<u64, String>::start_link(&mut cx, "names")
            .await
            .unwrap();
        assert_eq!(names.lookup(&cx, &7), None);
    });
}

#[test]
fn bodies_that_end_normally_before_they_are_asked_hold_nobody_up() {
    run(async |mut cx: Context| {
        for _ in 0..1_000 {
            let started = otp_stdlib::proc_lib::start_link(&mut cx, async |_: Context| ()).await;
            let reason = ExitReason::normal();
            assert_eq!(started, Err(otp_stdlib::StartError::Exit(reason)));
        }
        bare(&cx, cx.pid(), &[]);
    });
}
