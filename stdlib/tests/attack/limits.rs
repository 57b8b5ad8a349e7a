//! Limits of the VM that are reached while a behaviour starts, or goes on: a clear error, and nothing is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use otp_stdlib::partition_supervisor::{PartitionFlags, PartitionSupervisor};
use otp_stdlib::prelude::*;
use otp_stdlib::{ChildError, StartError, gen_statem};
use otp_vm::{Context, ExitReason, MailboxLimit, SpawnOptions, TableOptions, Vm};

use crate::common::{Probe, ProbeArgs, for_ever};
use crate::simulated::{simulated, simulated_on};

const LIMIT: Duration = Duration::from_secs(60);

/// A child whose second start fails, once it has filled the supervisor's mailbox.
fn filling(starts: &Arc<AtomicU64>) -> ChildSpec {
    let starts = Arc::clone(starts);
    ChildSpec::new("filling", move |cx| {
        let started = match starts.fetch_add(1, Ordering::SeqCst) {
            1 => {
                for _ in 0..100 {
                    let _ = cx.send(cx.pid(), "a flood");
                }
                Err(StartError::Ignore)
            }
            _ => cx
                .spawn_link(async |mut cx: Context| for_ever(&mut cx).await)
                .map_err(StartError::from),
        };
        // An ignored start would not be tried again.
        let started = started.map_err(|_| StartError::Exit(ExitReason::new("not now")));
        Box::pin(std::future::ready(started))
    })
}

const MAILBOXES: [MailboxLimit; 3] = [
    MailboxLimit::reject(2),
    MailboxLimit::drop_newest(2),
    MailboxLimit::drop_oldest(2),
];

#[test]
fn a_restart_is_tried_again_though_the_supervisors_mailbox_is_full() {
    simulated(async |mut cx: Context| {
        for mailbox in MAILBOXES {
            let starts = Arc::default();
            let flags = SupervisorFlags::one_for_one().intensity(3, Duration::from_secs(5));
            let tree = Supervisor::start_link(&mut cx, flags, vec![filling(&starts)])
                .spawn_opt(SpawnOptions::new().mailbox_limit(mailbox))
                .await
                .unwrap();
            let child = tree.which_children(&mut cx).await.unwrap()[0].pid.unwrap();
            cx.exit_process(child, ExitReason::kill());
            cx.sleep(Duration::from_millis(1)).await;
            // The question may be what is dropped.
            let child = loop {
                if let Ok(children) = tree.which_children(&mut cx).await {
                    break children;
                }
            };
            assert!(child[0].pid.is_some(), "{mailbox:?}: {child:?}");
            assert_eq!(starts.load(Ordering::SeqCst), 3);
            tree.stop(&mut cx, ExitReason::normal(), LIMIT)
                .await
                .unwrap();
        }
    });
}

#[test]
fn a_restart_that_was_put_off_is_made_though_the_mailbox_is_full() {
    const WAIT: Duration = Duration::from_secs(1);
    simulated(async |mut cx: Context| {
        for mailbox in MAILBOXES {
            let starts = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&starts);
            let child = ChildSpec::new("child", move |cx| {
                counted.fetch_add(1, Ordering::SeqCst);
                let started = cx.spawn_link(async |mut cx: Context| for_ever(&mut cx).await);
                Box::pin(std::future::ready(started.map_err(StartError::from)))
            });
            // While it starts, the time of the other's restart comes.
            let slow = ChildSpec::new("slow", |cx| {
                Box::pin(async move {
                    for _ in 0..2 {
                        for _ in 0..100 {
                            let _ = cx.send(cx.pid(), "a flood");
                        }
                        cx.sleep(2 * WAIT).await;
                    }
                    Err(StartError::Ignore)
                })
            });
            let flags = SupervisorFlags::one_for_one().back_off(WAIT, WAIT);
            let tree = Supervisor::start_link(&mut cx, flags, vec![child])
                .spawn_opt(SpawnOptions::new().mailbox_limit(mailbox))
                .await
                .unwrap();
            let pid = tree.which_children(&mut cx).await.unwrap()[0].pid.unwrap();
            cx.exit_process(pid, ExitReason::kill());
            cx.sleep(WAIT / 2).await;
            assert!(tree.which_children(&mut cx).await.unwrap()[0].restarting);
            let ignored = tree.start_child(&mut cx, slow).await;
            assert_eq!(ignored, Err(ChildError::Start(StartError::Ignore)));
            // What was due came before the next question.
            let mut children = tree.which_children(&mut cx).await;
            while children.is_err() {
                children = tree.which_children(&mut cx).await;
            }
            let child = &children.unwrap()[0];
            assert!(child.pid.is_some(), "{mailbox:?}: {child:?}");
            assert_eq!(starts.load(Ordering::SeqCst), 2);
            tree.stop(&mut cx, ExitReason::normal(), LIMIT)
                .await
                .unwrap();
        }
    });
}

#[test]
fn a_restart_is_tried_again_though_the_dynamic_supervisors_mailbox_is_full() {
    simulated(async |mut cx: Context| {
        for mailbox in MAILBOXES {
            let starts = Arc::default();
            let flags = DynamicSupervisorFlags::new().intensity(3, Duration::from_secs(5));
            let sessions = DynamicSupervisor::start_link(&mut cx, flags)
                .spawn_opt(SpawnOptions::new().mailbox_limit(mailbox))
                .await
                .unwrap();
            let child = sessions
                .start_child(&mut cx, filling(&starts))
                .await
                .unwrap();
            cx.exit_process(child, ExitReason::kill());
            cx.sleep(Duration::from_millis(1)).await;
            // The question may be what is dropped.
            let child = loop {
                if let Ok(children) = sessions.which_children(&mut cx).await {
                    break children;
                }
            };
            assert!(child[0].pid.is_some(), "{mailbox:?}: {child:?}");
            assert_eq!(starts.load(Ordering::SeqCst), 3);
            sessions
                .stop(&mut cx, ExitReason::normal(), LIMIT)
                .await
                .unwrap();
        }
    });
}

/// Sets a timeout for each event.
struct Timed;

impl GenStatem for Timed {
    type Args = ();
    type State = ();
    type Call = ();
    type Reply = ();
    type Cast = ();
    type Info = NoMessage;
    type Internal = ();
    type Timeout = ();
    type TimeoutName = u8;

    async fn init((): (), _: &mut Context) -> gen_statem::Init<Self> {
        gen_statem::Init::ok((), Self)
    }

    async fn handle_event(
        &mut self,
        (): &(),
        event: gen_statem::Event<Self>,
        _: &mut Context,
    ) -> gen_statem::Transition<Self> {
        let kept = gen_statem::Transition::keep_state().generic_timeout(7, LIMIT, ());
        match event {
            gen_statem::Event::Call(from, ()) => kept.reply(from, ()),
            _ => kept,
        }
    }
}

/// A partition that does nothing.
fn idle(_partition: usize) -> ChildSpec {
    ChildSpec::process("", async |mut cx: Context| for_ever(&mut cx).await)
}

/// Waits until nobody else is left.
async fn alone(cx: &Context) {
    let begun = cx.monotonic_time();
    while cx.vm().processes().len() > 1 {
        let waited = Duration::from_nanos(cx.monotonic_time() - begun);
        assert!(waited < LIMIT, "left: {:?}", cx.vm().processes());
        cx.sleep(Duration::from_millis(1)).await;
    }
}

#[test]
fn a_start_without_a_process_left_says_so_and_leaves_nothing() {
    fn refused<T>(started: Result<T, StartError>) {
        match started.err() {
            Some(StartError::Spawn(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    const MOST: usize = 8;
    simulated_on(
        || Vm::builder().max_processes(MOST),
        async |mut cx: Context| {
            cx.trap_exit(true);
            let flags = DynamicSupervisorFlags::new();
            let sessions = DynamicSupervisor::start_link(&mut cx, flags.clone());
            let sessions = sessions.await.unwrap();
            let idle = async |mut cx: Context| for_ever(&mut cx).await;
            let mut others = vec![];
            while let Ok(other) = cx.spawn_link(idle) {
                others.push(other);
            }
            assert_eq!(cx.vm().processes().len(), MOST);
            let witness = cx.pid();
            let args = || ProbeArgs::new("named", witness);
            refused(Probe::start_link(&mut cx, args()).name("named").await);
            refused(Probe::start(&mut cx, args()).name("named").await);
            let monitored = Probe::start_monitor(&mut cx, args()).name("named").await;
            refused(monitored);
            refused(Timed::start_link(&mut cx, ()).name("named").await);
            refused(EventManager::<u8>::start_link(&mut cx).name("named").await);
            refused(Agent::start_link(&mut cx, || 7).name("named").await);
            let tree = Supervisor::start_link(&mut cx, SupervisorFlags::one_for_one(), vec![]);
            refused(tree.name("named").await);
            let partitions = PartitionFlags::new().partitions(2);
            let child = move |_| ChildSpec::process("", idle);
            refused(
                PartitionSupervisor::<Probe>::start_link(&mut cx, "named", partitions, child).await,
            );
            assert!(Task::async_(&cx, async |_| 7).is_err());
            let task = TaskSupervisor::async_(&sessions, &mut cx, async |_| 7).await;
            let error = task.err();
            let is_spawn = matches!(error, Some(ChildError::Start(StartError::Spawn(_))));
            assert!(is_spawn, "{error:?}");
            assert_eq!(cx.whereis("named"), None);
            assert_eq!(cx.vm().processes().len(), MOST);

            // With one process more, a tree's second child has none: the first one goes again.
            for (at, free) in [(0, 2), (1, 1)] {
                for other in others.drain(..free) {
                    cx.unlink(other);
                    let monitor = cx.monitor(other);
                    cx.exit_process(other, ExitReason::kill());
                    crate::common::down(&mut cx, monitor).await;
                }
                let children = (0..3).map(|id| ChildSpec::process(id.to_string(), idle));
                let flags = SupervisorFlags::one_for_one();
                let tree = Supervisor::start_link(&mut cx, flags, children.collect());
                let error = tree.name("named").await.unwrap_err().to_string();
                assert!(error.contains("failed_to_start_child"), "{at}: {error}");
                let partitions = PartitionFlags::new().partitions(3);
                let started =
                    PartitionSupervisor::<Probe>::start_link(&mut cx, "named", partitions, child);
                let error = started.await.unwrap_err().to_string();
                assert!(error.contains("failed_to_start_child"), "{at}: {error}");
                assert_eq!(cx.whereis("named"), None);
                assert!(cx.table("named").is_none());
            }
            assert_eq!(cx.message_queue_len(), 0);
        },
    );
}

#[test]
fn a_machine_without_a_timer_left_ends_with_what_it_lacks() {
    simulated_on(
        || Vm::builder().max_timers(1),
        async |mut cx: Context| {
            // The one that there is.
            let first = Timed::start(&mut cx, ()).await.unwrap();
            first.call(&mut cx, ()).await.unwrap();
            // It is replaced, and not another one.
            first.call(&mut cx, ()).await.unwrap();
            let second = Timed::start(&mut cx, ()).await.unwrap();
            let (pid, monitor) = (second.pid().unwrap(), cx.monitor(second.pid().unwrap()));
            second.call(&mut cx, ()).await.unwrap();
            let reason = crate::common::down(&mut cx, monitor).await.to_string();
            assert!(
                reason.starts_with("{bad_action_from_state_function"),
                "{reason}"
            );
            assert!(!cx.is_alive(pid).await);
            first
                .stop(&mut cx, ExitReason::normal(), LIMIT)
                .await
                .unwrap();
            let third = Timed::start(&mut cx, ()).await.unwrap();
            third.call(&mut cx, ()).await.unwrap();
            third
                .stop(&mut cx, ExitReason::normal(), LIMIT)
                .await
                .unwrap();
            alone(&cx).await;
        },
    );
}

#[test]
fn a_partition_supervisor_whose_table_cannot_be_does_not_start() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        // Another's table has the name: nobody writes into it.
        let table = cx.table_new("named", TableOptions::set().public().named());
        let table = table.unwrap();
        let flags = PartitionFlags::new().partitions(2);
        let started = PartitionSupervisor::<Probe>::start_link(&mut cx, "named", flags, idle);
        let error = started.await.err();
        assert!(matches!(error, Some(StartError::Exit(_))), "{error:?}");
        assert_eq!(table.len(), 0);
        assert_eq!(cx.whereis("named"), None);
        alone(&cx).await;
    });
    simulated_on(
        || Vm::builder().max_tables(0),
        async |mut cx: Context| {
            cx.trap_exit(true);
            let flags = PartitionFlags::new().partitions(2);
            let started = PartitionSupervisor::<Probe>::start_link(&mut cx, "named", flags, idle);
            let error = started.await.err();
            assert!(matches!(error, Some(StartError::Exit(_))), "{error:?}");
            let names = Registry::<u8, ()>::start_link(&mut cx, "named").await;
            assert!(names.is_err());
            assert_eq!(cx.whereis("named"), None);
            alone(&cx).await;
        },
    );
}

#[test]
fn a_partition_that_cannot_be_noted_does_not_run_on_unknown() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let witness = cx.pid();
        let flags = PartitionFlags::new().partitions(1);
        let child = move |_| {
            ChildSpec::new("", move |cx| {
                Box::pin(async move {
                    // A start is run by the supervisor, which may take its own table away.
                    let table = cx.table("named").expect("a table");
                    let _rows = table.delete_table(cx).expect("its own");
                    let server = Probe::start(cx, ProbeArgs::new("partition", witness)).await?;
                    cx.link(server.pid().expect("a pid"));
                    Ok(server.pid().expect("a pid"))
                })
            })
        };
        let started = PartitionSupervisor::<Probe>::start_link(&mut cx, "named", flags, child);
        let error = started.await.unwrap_err().to_string();
        assert!(error.contains("failed_to_start_child"), "{error}");
        // It traps exits, and has no parent: the end of who is linked to it is not its own.
        let partition = crate::common::started(&mut cx, "partition").await;
        assert!(!cx.is_alive(partition).await);
        alone(&cx).await;
    });
}

#[test]
fn partitions_that_are_too_many_are_ended_by_the_next_resize() {
    simulated(async |mut cx: Context| {
        let flags = PartitionFlags::new().partitions(3);
        let idle = async |mut cx: Context| for_ever(&mut cx).await;
        let child = move |_| ChildSpec::process("", idle);
        let partitions = PartitionSupervisor::<Probe>::start_link(&mut cx, "named", flags, child);
        let partitions = partitions.await.unwrap();
        // As one leaves it that is killed after he wrote the number.
        partitions.resize(&mut cx, 1).await.unwrap();
        let tree = otp_stdlib::SupervisorRef::from_name("named").unwrap();
        let last = otp_stdlib::supervisor::ChildId::from(otp_vm::to_term(&2).unwrap());
        tree.restart_child(&mut cx, last).await.unwrap();
        assert_eq!(partitions.resize(&mut cx, 1).await, Ok(1));
        assert_eq!(partitions.count_children(&mut cx).await.unwrap().active, 1);
    });
}

#[test]
fn a_process_whose_starter_is_gone_before_he_asked_ends() {
    simulated(async |mut cx: Context| {
        for traps in [true, false] {
            // It makes the process, and dies before it says more.
            let starter = cx
                .spawn(async move |cx: Context| {
                    let body = async move |mut cx: Context| {
                        cx.trap_exit(traps);
                        let starter = otp_stdlib::proc_lib::Starter::receive(&mut cx).await;
                        panic!("{starter:?} asked");
                    };
                    cx.spawn_link(body).unwrap();
                })
                .unwrap();
            crate::common::ended(&mut cx, starter).await;
            alone(&cx).await;
        }
    });
}
