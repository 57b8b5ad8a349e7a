//! `garbage_collect`, of oneself and of others; and suspended processes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use otp_vm::{
    Atom, Context, ExitReason, Pid, Priority, Ref, SpawnOptions, Status, SuspendError,
    SuspendOptions, Timeout, Vm, timeout,
};

use crate::common::{LIMIT, down, expect, idle, run};
use crate::{looper, poll_mailbox, until, waits};

/// So many numbers lie on the heap of who is collected: enough for several steps.
const LIST: u64 = 200_000;

/// Keeps a long list, then does as it is told.
async fn keeps_much<F: Future<Output = ()>>(cx: Context, then: impl FnOnce(Context) -> F) {
    let list: Vec<u64> = (0..LIST).collect();
    let kept = cx.heap().keep_value(&list).unwrap();
    then(cx).await;
    drop(kept);
}

/// Waits for a message, and says that it came.
async fn receives(mut cx: Context, tester: Pid) {
    cx.send(tester, &()).unwrap();
    expect::<Ref>(&mut cx).await;
    cx.send(tester, "received").unwrap();
    idle(cx).await;
}

fn low() -> SpawnOptions {
    SpawnOptions::new().link().priority(Priority::Low)
}

async fn told_received(cx: &mut Context) {
    assert_eq!(expect::<String>(cx).await, "received");
}

#[test]
fn garbage_collect() {
    run(|mut cx| async move {
        cx.set_priority(Priority::High);
        cx.garbage_collect();
        let loopers: Vec<Pid> = (0..10)
            .map(|_| cx.spawn_opt(low(), looper).unwrap().pid)
            .collect();
        let (gone, monitor) = cx.spawn_monitor(|_| async {}).unwrap();
        down(&mut cx, monitor).await;
        assert!(!cx.garbage_collect_process(gone).await);
        for pid in cx.vm().processes() {
            let monitor = cx.monitor(pid);
            assert!(cx.garbage_collect_process(pid).await);
            // Of oneself there is none.
            assert_eq!(cx.demonitor(monitor), pid != cx.pid());
        }
        for pid in loopers {
            cx.unlink(pid);
            cx.exit_process(pid, ExitReason::kill());
        }
    });
}

#[test]
fn otp_7738_waiting() {
    run(|mut cx| async move {
        let me = cx.pid();
        let receiver = cx
            .spawn_link(move |cx| keeps_much(cx, move |cx| receives(cx, me)))
            .unwrap();
        expect::<()>(&mut cx).await;
        waits(&mut cx, receiver).await;
        let sender = move |cx: Context| async move { cx.send(receiver, &cx.make_ref()).unwrap() };
        cx.spawn_link(sender).unwrap();
        assert!(cx.garbage_collect_process(receiver).await);
        told_received(&mut cx).await;
    });
}

#[test]
fn otp_7738_suspended() {
    run(|mut cx| async move {
        let me = cx.pid();
        let receiver = cx
            .spawn_link(move |cx| keeps_much(cx, move |cx| receives(cx, me)))
            .unwrap();
        expect::<()>(&mut cx).await;
        let (_, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                let options = SuspendOptions::new();
                cx.suspend_process(receiver, options).await.unwrap();
                cx.send(receiver, &cx.make_ref()).unwrap();
                cx.send(me, &()).unwrap();
                cx.sleep(Duration::from_millis(10)).await;
                cx.resume_process(receiver).unwrap();
            })
            .unwrap();
        expect::<()>(&mut cx).await;
        assert!(cx.garbage_collect_process(receiver).await);
        let told = cx.receive_where(LIMIT, |message| message.decode::<String>().ok());
        assert_eq!(told.await.as_deref(), Some("received"));
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn otp_7738_resume() {
    run(|mut cx| async move {
        let me = cx.pid();
        let polls = move |mut cx: Context| async move {
            cx.send(me, &()).unwrap();
            loop {
                let found =
                    cx.receive_where(Duration::ZERO, |message| message.decode::<Ref>().ok());
                if found.await.is_some() {
                    break;
                }
                cx.yield_now().await;
            }
            cx.send(me, "received").unwrap();
            idle(cx).await;
        };
        let receiver = cx.spawn_link(move |cx| keeps_much(cx, polls)).unwrap();
        expect::<()>(&mut cx).await;
        cx.spawn_link(move |mut cx| async move {
            cx.suspend_process(receiver, SuspendOptions::new())
                .await
                .unwrap();
            cx.sleep(Duration::from_millis(10)).await;
            cx.resume_process(receiver).unwrap();
            cx.send(receiver, &cx.make_ref()).unwrap();
        })
        .unwrap();
        assert!(cx.garbage_collect_process(receiver).await);
        told_received(&mut cx).await;
    });
}

#[test]
fn garb_other_running() {
    run(|mut cx| async move {
        let me = cx.pid();
        let (pid, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                let mut turns = 0_u64;
                loop {
                    turns += 1;
                    let message = cx.receive_timeout(Duration::ZERO).await;
                    match message.map(|message| message.decode::<String>().unwrap()) {
                        Some(word) if word == "count" => cx.send(me, &turns).unwrap(),
                        Some(word) if word == "stop" => break,
                        _ => cx.yield_now().await,
                    }
                }
                cx.send(me, &turns).unwrap();
            })
            .unwrap();
        let mut last = 0;
        for turn in 0..2000 {
            if turn % 2 == 0 {
                cx.send(pid, "drop").unwrap();
            }
            assert!(cx.garbage_collect_process(pid).await);
            cx.send(pid, "count").unwrap();
            let count: u64 = expect(&mut cx).await;
            assert!(count > last);
            last = count;
        }
        cx.send(pid, "stop").unwrap();
        assert!(expect::<u64>(&mut cx).await > last);
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn no_priority_inversion() {
    run(|mut cx| async move {
        cx.set_priority(Priority::Max);
        cx.yield_now().await;
        let high = SpawnOptions::new().link().priority(Priority::High);
        let mut loopers: Vec<Pid> = (0..cx.vm().schedulers_online())
            .map(|_| cx.spawn_opt(high.clone(), looper).unwrap().pid)
            .collect();
        let keeps = |cx| keeps_much(cx, looper);
        loopers.insert(0, cx.spawn_opt(low(), keeps).unwrap().pid);
        assert!(cx.garbage_collect_process(loopers[0]).await);
        let monitors: Vec<_> = loopers.iter().map(|&pid| cx.monitor(pid)).collect();
        for &pid in &loopers {
            cx.unlink(pid);
            cx.exit_process(pid, ExitReason::kill());
        }
        // The low one starves, and learns of its end once the others are gone.
        for monitor in monitors {
            assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        }
    });
}

#[test]
fn system_task_on_suspended() {
    run(|mut cx| async move {
        let (pid, monitor) = cx.spawn_monitor(poll_mailbox).unwrap();
        let status = |cx: &Context| cx.process_info(pid).unwrap().status;
        assert_eq!(
            cx.suspend_process(pid, SuspendOptions::new()).await,
            Ok(true)
        );
        assert_eq!(status(&cx), Status::Suspended);
        assert!(cx.garbage_collect_process(pid).await);
        assert_eq!(status(&cx), Status::Suspended);
        cx.resume_process(pid).unwrap();
        assert_ne!(status(&cx), Status::Suspended);
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
    });
}

/// A process that does not give way until it is let, and says when it began.
fn stubborn(let_go: Arc<AtomicBool>, tester: Pid) -> impl FnOnce(Context) -> BoxFuture {
    move |cx: Context| {
        Box::pin(async move {
            cx.send(tester, "begun").unwrap();
            while !let_go.load(Ordering::Acquire) {
                std::hint::spin_loop();
            }
            cx.send(tester, "let go").unwrap();
            idle(cx).await;
        })
    }
}

type BoxFuture = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

#[test]
fn gc_request_when_gc_disabled() {
    run(|mut cx| async move {
        let me = cx.pid();
        let let_go = Arc::new(AtomicBool::new(false));
        let (pid, monitor) = cx.spawn_monitor(stubborn(Arc::clone(&let_go), me)).unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "begun");
        let reference = cx.make_ref();
        cx.garbage_collect_async(pid, &reference).unwrap();
        cx.garbage_collect_async(pid, &Atom::new("an_atom").unwrap())
            .unwrap();
        assert!(
            cx.receive_timeout(Duration::from_millis(20))
                .await
                .is_none()
        );
        let_go.store(true, Ordering::Release);
        assert_eq!(expect::<String>(&mut cx).await, "let go");
        for _ in 0..2 {
            let answer = cx.receive_timeout(LIMIT).await.expect("an answer");
            let text = answer.to_string();
            let ids = [
                format!("{{garbage_collect,{reference},true}}"),
                "{garbage_collect,an_atom,true}".into(),
            ];
            assert!(ids.contains(&text), "{text}");
        }
        // Of one that is gone.
        cx.exit_process(pid, "over");
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("over"));
        cx.garbage_collect_async(pid, &1).unwrap();
        let answer = cx.receive_timeout(LIMIT).await.expect("an answer");
        assert_eq!(answer.to_string(), "{garbage_collect,1,false}");
    });
}

#[test]
fn gc_request_blast_when_gc_disabled() {
    const ASKERS: usize = 2000;
    run(|mut cx| async move {
        let me = cx.pid();
        let let_go = Arc::new(AtomicBool::new(false));
        let (pid, monitor) = cx.spawn_monitor(stubborn(Arc::clone(&let_go), me)).unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "begun");
        let priorities = [
            Priority::Low,
            Priority::Normal,
            Priority::High,
            Priority::Max,
        ];
        let mut monitors = Vec::new();
        for asker in 0..ASKERS {
            let options = SpawnOptions::new()
                .monitor()
                .priority(priorities[asker % 4]);
            let asks = move |mut cx: Context| async move {
                assert!(cx.garbage_collect_process(pid).await);
            };
            monitors.push(cx.spawn_opt(options, asks).unwrap().monitor.unwrap());
        }
        let_go.store(true, Ordering::Release);
        for monitor in monitors {
            assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        }
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
    });
}

/// Suspensions are counted, by who suspends, and end with it, before its end is seen.
#[test]
fn suspensions_are_counted_and_vanish_with_who_made_them() {
    run(|mut cx| async move {
        let me = cx.pid();
        let (pid, _) = cx.spawn_monitor(idle).unwrap();
        let is_suspended = |cx: &Context| cx.process_info(pid).unwrap().status == Status::Suspended;
        let plain = SuspendOptions::new();
        assert_eq!(cx.suspend_process(pid, plain).await, Ok(true));
        assert_eq!(cx.suspend_process(pid, plain).await, Ok(true));
        let unless = plain.unless_suspending();
        assert_eq!(cx.suspend_process(pid, unless).await, Ok(false));
        assert_eq!(cx.process_info(me).unwrap().suspending, [(pid, 2, 0)]);
        cx.resume_process(pid).unwrap();
        assert!(is_suspended(&cx));
        let (other, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                cx.suspend_process(pid, SuspendOptions::new().asynchronous())
                    .await
                    .unwrap();
                cx.send(me, &()).unwrap();
                idle(cx).await;
            })
            .unwrap();
        expect::<()>(&mut cx).await;
        cx.resume_process(pid).unwrap();
        assert!(is_suspended(&cx));
        assert_eq!(cx.resume_process(pid), Err(SuspendError::NotSuspended));
        assert_eq!(
            cx.suspend_process(me, plain).await,
            Err(SuspendError::Myself)
        );
        cx.exit_process(other, ExitReason::kill());
        down(&mut cx, monitor).await;
        assert!(!is_suspended(&cx));
        assert_eq!(
            cx.suspend_process(other, plain).await,
            Err(SuspendError::NoProcess)
        );
        assert_eq!(cx.resume_process(other), Err(SuspendError::NoProcess));
    });
}

/// A suspended process takes in signals, answers questions and is killed, and its body does not run.
#[test]
fn a_suspended_process_takes_in_signals_alone() {
    run(|mut cx| async move {
        let me = cx.pid();
        let (pid, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                loop {
                    let word: String = expect(&mut cx).await;
                    cx.send(me, &word).unwrap();
                }
            })
            .unwrap();
        cx.suspend_process(pid, SuspendOptions::new())
            .await
            .unwrap();
        cx.send(pid, "echo").unwrap();
        assert!(cx.is_alive(pid).await);
        assert_eq!(cx.process_info(pid).unwrap().message_queue_len, 1);
        assert_eq!(cx.message_queue_len(), 0);
        cx.resume_process(pid).unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "echo");
        cx.suspend_process(pid, SuspendOptions::new())
            .await
            .unwrap();
        cx.exit_process(pid, "enough");
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("enough"));
    });
}

/// A resource on a heap whose destructor takes what the VM has.
#[test]
fn resources_on_a_heap_are_dropped_by_the_collection_and_may_panic() {
    struct Resource;
    impl Drop for Resource {
        fn drop(&mut self) {
            panic!("a resource");
        }
    }
    run(|mut cx| async move {
        let me = cx.pid();
        let (pid, monitor) = cx
            .spawn_monitor(move |mut cx| async move {
                let root = cx.heap().keep_value(&otp_vm::Native::new(Resource));
                cx.heap().release(root.unwrap()).unwrap();
                cx.send(me, &()).unwrap();
                expect::<()>(&mut cx).await;
                let kept = cx.heap().keep_value(&7).unwrap();
                assert_eq!(cx.heap().get(&kept).unwrap().as_i64(), Some(7));
            })
            .unwrap();
        expect::<()>(&mut cx).await;
        assert!(cx.garbage_collect_process(pid).await);
        cx.send(pid, &()).unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    });
}

/// Under seeds: whoever asks gets an answer, and no wake-up is lost.
#[test]
fn collections_and_suspensions_in_simulation() {
    use otp_vm::simulation::Simulation;
    Simulation::builder()
        .explore(0..200, |simulation| {
            let vm = Vm::builder().simulate(simulation).build()?;
            let run = vm.run(|mut cx| async move {
                let me = cx.pid();
                let receiver = cx
                    .spawn_opt(low(), move |cx| keeps_much(cx, move |cx| receives(cx, me)))
                    .unwrap()
                    .pid;
                for priority in [Priority::Low, Priority::Normal, Priority::High] {
                    let options = SpawnOptions::new().priority(priority);
                    cx.spawn_opt(options, move |mut cx| async move {
                        let suspended = cx.suspend_process(receiver, SuspendOptions::new()).await;
                        let collected = cx.garbage_collect_process(receiver).await;
                        cx.resume_process(receiver).unwrap();
                        cx.send(me, &(suspended == Ok(true) && collected)).unwrap();
                    })
                    .unwrap();
                }
                cx.send(receiver, &cx.make_ref()).unwrap();
                let mut answers = 0;
                let mut received = false;
                while answers < 3 || !received {
                    let message = timeout(LIMIT, cx.receive()).await.expect("no lost wake-up");
                    received |= message.decode::<String>().is_ok();
                    if let Ok(holds) = message.decode::<bool>() {
                        assert!(holds);
                        answers += 1;
                    }
                }
            });
            simulation.block_on(run)??;
            Ok(())
        })
        .unwrap();
}

/// Whoever takes the signal in, a third process that asks for its figures too: once it is said to be suspended, it does
/// not run.
#[test]
fn a_suspended_process_has_stopped_when_the_answer_comes() {
    run(|mut cx| async move {
        let turns = Arc::new(std::sync::atomic::AtomicU64::new(0));
        let counts = Arc::clone(&turns);
        let counter = cx
            .spawn_link(move |cx| async move {
                loop {
                    for _ in 0..1000 {
                        counts.fetch_add(1, Ordering::Relaxed);
                    }
                    cx.yield_now().await;
                }
            })
            .unwrap();
        let asker = cx
            .spawn_link(move |cx| async move {
                loop {
                    cx.process_info(counter);
                    cx.yield_now().await;
                }
            })
            .unwrap();
        for _ in 0..200 {
            let options = SuspendOptions::new();
            assert_eq!(cx.suspend_process(counter, options).await, Ok(true));
            let before = turns.load(Ordering::Relaxed);
            for _ in 0..10 {
                cx.yield_now().await;
            }
            assert_eq!(turns.load(Ordering::Relaxed), before);
            cx.resume_process(counter).unwrap();
        }
        for pid in [asker, counter] {
            cx.unlink(pid);
            cx.exit_process(pid, ExitReason::kill());
        }
    });
}

/// What lies on the heap is there after somebody else collected it.
#[test]
fn others_collect_and_terms_stay() {
    run(|mut cx| async move {
        let me = cx.pid();
        let holder = cx
            .spawn_opt(low(), move |mut cx| async move {
                let mut state = cx.heap().keep_value::<[u64]>(&[]).unwrap();
                for n in 0..1000_u64 {
                    crate::push(&cx, &mut state, n);
                    cx.yield_now().await;
                }
                let numbers = cx.heap().get(&state).unwrap().list_len();
                cx.send(me, &numbers).unwrap();
                cx.receive_where(Timeout::Infinity, |_| None::<()>).await;
            })
            .unwrap()
            .pid;
        until(&mut cx, |cx| {
            cx.message_queue_len() > 0 || {
                let _ = cx.garbage_collect_async(holder, &"id");
                false
            }
        })
        .await;
        let numbers = cx.receive_where(LIMIT, |message| message.decode::<usize>().ok());
        assert_eq!(numbers.await, Some(1000));
    });
}
