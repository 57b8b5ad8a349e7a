//! Kills at ill times. Every wait ends, and no name is left.

use std::sync::mpsc;
use std::sync::{Arc, Mutex};

use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::*;
use otp_stdlib::{ChildError, StartError};
use otp_vm::{CallError, Context, ExitReason, Pid};
use serde::{Deserialize, Serialize, Serializer};

use crate::common::*;

/// A server whose `init` says that it began, and waits to be told how to go on.
struct Slow;

#[derive(Clone, Copy, PartialEq, Serialize, Deserialize)]
enum GoOn {
    GoOn,
}

impl GenServer for Slow {
    type Args = (Pid, bool);
    type Call = ();
    type Reply = ();
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init((witness, trap): Self::Args, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(trap);
        cx.send(witness, &Event::Started("slow".into(), cx.pid()))
            .unwrap();
        cx.receive_where(LIMIT, |message| message.decode::<GoOn>().ok())
            .await;
        Init::ok(Slow)
    }

    async fn handle_call(&mut self, (): (), _: From<()>, _: &mut Context) -> Reply<Self> {
        Reply::new(())
    }
}

fn slow(witness: Pid, trap: bool) -> ChildSpec {
    ChildSpec::worker("slow", move |cx| {
        Slow::start_link(cx, (witness, trap)).name("slow")
    })
}

#[test]
fn a_server_killed_in_its_init_fails_the_start() {
    for linked in [true, false] {
        run(async move |mut cx: Context| {
            let me = cx.pid();
            let starter = cx
                .spawn(async move |mut cx: Context| {
                    cx.trap_exit(true);
                    let started = if linked {
                        Slow::start_link(&mut cx, (me, true)).name("slow").await
                    } else {
                        Slow::start(&mut cx, (me, true)).name("slow").await
                    };
                    assert_eq!(started.unwrap_err(), StartError::Exit(ExitReason::killed()));
                    assert_eq!(cx.whereis("slow"), None);
                    assert_eq!(cx.message_queue_len(), 0);
                })
                .unwrap();
            let slow = started(&mut cx, "slow").await;
            assert_eq!(cx.whereis("slow"), Some(slow));
            cx.exit_process(slow, ExitReason::kill());
            assert_eq!(ended(&mut cx, starter).await, ExitReason::normal());
        });
    }
}

#[test]
fn a_starter_killed_in_start_link_takes_the_server_along() {
    for trap in [true, false] {
        run(async move |mut cx: Context| {
            let me = cx.pid();
            let starter = cx
                .spawn(async move |mut cx: Context| {
                    let _ = Slow::start_link(&mut cx, (me, trap)).name("slow").await;
                })
                .unwrap();
            let slow = started(&mut cx, "slow").await;
            cx.exit_process(starter, ExitReason::kill());
            // The monitor comes behind the kill.
            assert_eq!(ended(&mut cx, starter).await, ExitReason::noproc());
            // One that traps exits finds the news once its init is done.
            let _ = cx.send(slow, &GoOn::GoOn);
            let reason = ended(&mut cx, slow).await;
            assert!(reason == ExitReason::killed() || reason == ExitReason::noproc());
            assert_eq!(cx.whereis("slow"), None);
        });
    }
}

#[test]
fn a_supervisor_killed_while_a_child_starts_takes_all_along() {
    for trap in [true, false] {
        run(async move |mut cx: Context| {
            let me = cx.pid();
            cx.trap_exit(true);
            let starter = cx
                .spawn(async move |mut cx: Context| {
                    cx.trap_exit(true);
                    let flags = SupervisorFlags::one_for_one();
                    let children = vec![probe("first", me), slow(me, trap)];
                    let started = Supervisor::start_link(&mut cx, flags, children)
                        .name("tree")
                        .await;
                    assert_eq!(started.unwrap_err(), StartError::Exit(ExitReason::killed()));
                })
                .unwrap();
            let first = started(&mut cx, "first").await;
            let slow = started(&mut cx, "slow").await;
            let supervisor = cx.whereis("tree").unwrap();
            cx.exit_process(supervisor, ExitReason::kill());
            ended(&mut cx, starter).await;
            let _ = cx.send(slow, &GoOn::GoOn);
            ended(&mut cx, slow).await;
            ended(&mut cx, first).await;
            assert_eq!(terminated(&mut cx, "first").await, ExitReason::killed());
            assert_eq!(cx.whereis("slow"), None);
            assert_eq!(cx.whereis("tree"), None);
        });
    }
}

#[test]
fn a_supervisor_killed_in_a_restart_takes_all_along_and_answers() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        cx.trap_exit(true);
        let flags = SupervisorFlags::one_for_all();
        let children = vec![probe("first", me), slow(me, true)];
        let starting = cx
            .spawn(async move |mut cx: Context| {
                cx.trap_exit(true);
                let supervisor = Supervisor::start_link(&mut cx, flags, children)
                    .await
                    .unwrap();
                cx.send(me, &supervisor).unwrap();
                for_ever(&mut cx).await;
            })
            .unwrap();
        started(&mut cx, "first").await;
        let before = started(&mut cx, "slow").await;
        cx.send(before, &GoOn::GoOn).unwrap();
        let supervisor: SupervisorRef = cx
            .receive_where(LIMIT, |message| message.decode().ok())
            .await
            .unwrap();
        cx.exit_process(before, ExitReason::kill());
        assert_eq!(terminated(&mut cx, "first").await, ExitReason::shutdown());
        let first = started(&mut cx, "first").await;
        let after = started(&mut cx, "slow").await;
        // Somebody asks it, and it dies.
        let asking = cx
            .spawn(async move |mut cx: Context| {
                cx.send(me, &Event::Started("asking".into(), cx.pid()))
                    .unwrap();
                let error = supervisor.which_children(&mut cx).await.unwrap_err();
                assert_eq!(error, ChildError::Supervisor(ExitReason::killed()));
            })
            .unwrap();
        started(&mut cx, "asking").await;
        let info = cx.process_info(starting).unwrap();
        let supervisor = info.links[0];
        cx.exit_process(supervisor, ExitReason::kill());
        let _ = cx.send(after, &GoOn::GoOn);
        let end = ended(&mut cx, asking).await;
        assert!(!end.is_abnormal() || end == ExitReason::noproc(), "{end}");
        ended(&mut cx, after).await;
        ended(&mut cx, first).await;
    });
}

#[test]
fn a_supervisor_killed_while_it_shuts_down_leaves_nobody() {
    for dynamic in [false, true] {
        run(async move |mut cx: Context| {
            let me = cx.pid();
            cx.trap_exit(true);
            // Says that it was told to end, and doesn't.
            let stubborn = ChildSpec::process("stubborn", move |mut cx: Context| async move {
                cx.trap_exit(true);
                cx.send(me, &Event::Started("stubborn".into(), cx.pid()))
                    .unwrap();
                let exit = cx.receive().await.exit().unwrap();
                let pid = cx.pid();
                cx.send(me, &Event::Terminated("stubborn".into(), exit.reason))
                    .unwrap();
                cx.receive_where(LIMIT, |message| {
                    message.exit().filter(|exit| exit.from != pid)
                })
                .await;
            })
            .shutdown(Shutdown::Infinity);
            let supervisor = if dynamic {
                let flags = DynamicSupervisorFlags::new();
                let supervisor = DynamicSupervisor::start_link(&mut cx, flags).await.unwrap();
                supervisor
                    .start_child(&mut cx, probe("first", me))
                    .await
                    .unwrap();
                supervisor.start_child(&mut cx, stubborn).await.unwrap();
                supervisor.pid().unwrap()
            } else {
                let flags = SupervisorFlags::one_for_one();
                let children = vec![probe("first", me), stubborn];
                let supervisor = Supervisor::start_link(&mut cx, flags, children)
                    .await
                    .unwrap();
                supervisor.pid().unwrap()
            };
            let first = started(&mut cx, "first").await;
            let stubborn = started(&mut cx, "stubborn").await;
            cx.exit_process(supervisor, ExitReason::shutdown());
            loop {
                if event(&mut cx).await
                    == Event::Terminated("stubborn".into(), ExitReason::shutdown())
                {
                    break;
                }
            }
            cx.exit_process(supervisor, ExitReason::kill());
            ended(&mut cx, supervisor).await;
            ended(&mut cx, first).await;
            // The second signal: the link's.
            ended(&mut cx, stubborn).await;
        });
    }
}

#[test]
fn calls_race_with_the_end_of_the_server_and_all_return() {
    run(async |mut cx: Context| {
        const CALLERS: usize = 8;
        let me = cx.pid();
        for round in 0..200 {
            let server = Probe::start(&mut cx, ProbeArgs::new("a", me))
                .name("a")
                .await
                .unwrap();
            started(&mut cx, "a").await;
            let pid = server.pid().unwrap();
            let callers: Vec<Pid> = (0..CALLERS)
                .map(|_| {
                    let by_name = ServerRef::<Probe>::from_name("a").unwrap();
                    cx.spawn(async move |mut cx: Context| {
                        loop {
                            match by_name.call(&mut cx, Do::Ping).await {
                                Ok(_) => {}
                                Err(CallError::Exit(_)) => break,
                                Err(other) => panic!("{other}"),
                            }
                        }
                    })
                    .unwrap()
                })
                .collect();
            match round % 3 {
                0 => cx.exit_process(pid, ExitReason::kill()),
                1 => server.cast(&cx, Do::Stop(ExitReason::normal())).unwrap(),
                _ => server.cast(&cx, Do::Panic).unwrap(),
            }
            for caller in callers {
                let end = ended(&mut cx, caller).await;
                assert!(end.is_normal() || end == ExitReason::noproc(), "{end}");
            }
            ended(&mut cx, pid).await;
            assert_eq!(cx.whereis("a"), None);
            while !no_event(&mut cx).await {}
        }
    });
}

#[test]
fn starts_of_one_name_race_with_its_holder_and_give_the_holder_or_a_server() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let starters: Vec<Pid> = (0..4)
            .map(|_| {
                cx.spawn(async move |mut cx: Context| {
                    for _ in 0..500 {
                        let args = ProbeArgs::new("a", me).not_trapping();
                        match Probe::start(&mut cx, args).name("a").await {
                            Ok(server) => {
                                cx.exit_process(server.pid().unwrap(), ExitReason::kill())
                            }
                            Err(StartError::AlreadyStarted(_)) => {}
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                })
                .unwrap()
            })
            .collect();
        for starter in starters {
            let end = ended(&mut cx, starter).await;
            assert!(!end.is_abnormal() || end == ExitReason::noproc(), "{end}");
        }
    });
}

#[test]
fn a_task_killed_or_gone_is_an_error_to_its_owner() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let mut task = Task::async_(&cx, async |mut cx: Context| for_ever(&mut cx).await).unwrap();
        cx.exit_process(task.pid().unwrap(), ExitReason::kill());
        let end = task.yield_(&mut cx, LIMIT).await.unwrap();
        assert_eq!(end, Err(ExitReason::killed()));

        let task = Task::async_(&cx, async |mut cx: Context| for_ever(&mut cx).await).unwrap();
        cx.exit_process(task.pid().unwrap(), ExitReason::kill());
        ended(&mut cx, task.pid().unwrap()).await;
        let end = task.shutdown(&mut cx, Shutdown::BrutalKill).await;
        assert_eq!(end, None);
        while cx
            .receive_timeout(std::time::Duration::ZERO)
            .await
            .is_some()
        {}
    });
}

#[test]
fn the_end_of_a_tasks_owner_is_the_end_of_the_task() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let owner = cx
            .spawn(async move |mut cx: Context| {
                let task = Task::async_(&cx, async move |mut cx: Context| {
                    cx.send(me, &Event::Started("task".into(), cx.pid()))
                        .unwrap();
                    for_ever(&mut cx).await;
                })
                .unwrap();
                task.await_timeout(&mut cx, LIMIT).await;
            })
            .unwrap();
        let task = started(&mut cx, "task").await;
        cx.exit_process(owner, ExitReason::kill());
        let end = ended(&mut cx, task).await;
        assert!(end == ExitReason::killed() || end == ExitReason::noproc());
    });
}

/// A value whose encoding tells that it began, and waits until it may go on.
struct Stuck(Mutex<Option<Gate>>);

type Gate = (mpsc::Sender<()>, mpsc::Receiver<()>);

impl Serialize for Stuck {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Some((begun, go_on)) = self.0.lock().unwrap().take() {
            begun.send(()).unwrap();
            go_on.recv_timeout(LIMIT / 4).unwrap();
        }
        serializer.serialize_unit()
    }
}

#[test]
fn a_process_that_dies_while_it_registers_leaves_no_key_that_nobody_gets() {
    run(async |mut cx: Context| {
        let names = Registry::<u64, Stuck>::start_link(&mut cx, "names")
            .await
            .unwrap();
        let (begun, has_begun) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let stuck = Stuck(Mutex::new(Some((begun, may_go_on))));
        let free = Stuck(Mutex::new(None));
        let dying = cx
            .spawn(async move |mut cx: Context| {
                names.register(&mut cx, &1, &free).await.unwrap();
                // The registry has nothing to do on this scheduler, which will be held up.
                let partition = cx.whereis("names").unwrap();
                assert!(cx.is_alive(partition).await);
                // From here on it is as good as dead, and still registers.
                cx.vm().exit(cx.pid(), ExitReason::kill());
                cx.message_queue_len();
                let _ = names.register(&mut cx, &2, &stuck).await;
                for_ever(&mut cx).await;
            })
            .unwrap();
        let monitor = cx.monitor(dying);
        // Not by blocking: the other may wait behind this process.
        while has_begun.try_recv().is_err() {
            assert!(
                cx.process_info(dying).is_some(),
                "it ended before it registered"
            );
            cx.yield_now().await;
        }
        // Its first key is had by somebody else, who has what it had removed for that.
        let nothing = Stuck(Mutex::new(None));
        let wants_first = cx
            .spawn(async move |mut cx: Context| {
                names.register(&mut cx, &1, &nothing).await.unwrap();
                for_ever(&mut cx).await;
            })
            .unwrap();
        // Every wait for it counts as an event: the registry has been asked, or asks.
        let partition = cx.whereis("names").unwrap();
        assert!(cx.is_alive(wants_first).await && cx.is_alive(partition).await);
        go_on.send(()).unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        let nothing = Stuck(Mutex::new(None));
        names.register(&mut cx, &2, &nothing).await.unwrap();
        assert_eq!(names.whereis(&cx, &2), Some(cx.pid()));
    });
}

#[test]
fn contenders_for_the_keys_of_the_dying_all_get_an_answer() {
    run(async |mut cx: Context| {
        let names = Registry::<u64, ()>::start_link(&mut cx, "names")
            .await
            .unwrap();
        let left = Arc::new(std::sync::atomic::AtomicUsize::new(300));
        let contenders: Vec<Pid> = (0..4)
            .map(|_| {
                let left = Arc::clone(&left);
                cx.spawn(async move |mut cx: Context| {
                    use std::sync::atomic::Ordering;
                    while left.fetch_sub(1, Ordering::SeqCst) as isize > 0 {
                        let (_, monitor) = cx
                            .spawn_monitor(async move |mut cx: Context| {
                                for key in 0..5 {
                                    let _ = names.register(&mut cx, &key, &()).await;
                                }
                            })
                            .unwrap();
                        down(&mut cx, monitor).await;
                    }
                })
                .unwrap()
            })
            .collect();
        for contender in contenders {
            ended(&mut cx, contender).await;
        }
        for key in 0..5 {
            names.register(&mut cx, &key, &()).await.unwrap();
        }
        let partition = ServerRef::<otp_stdlib::registry::Partition>::from_name("names").unwrap();
        // What it had in its mailbox is done when it answers.
        let clean = otp_stdlib::registry::Request::Clean(cx.pid(), otp_vm::to_term(&7).unwrap());
        partition.call(&mut cx, clean).await.unwrap();
        assert_eq!(names.count(&cx), 5);
        let rows = cx.table("names.pids").unwrap().len();
        // The parent's row, this process's count and its five places.
        assert_eq!(rows, 7, "rows of the dead are left");
    });
}
