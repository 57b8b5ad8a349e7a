//! What holds when a program does its worst: stale contexts, foreign wakers, ill-timed ends.

mod common;

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::task::Poll;
use std::time::{Duration, Instant};

use common::{Flag, Foreign, LIMIT, bounded, down, exit, idle, run};
use otp_vm::{
    Builder, CallError, Context, ExitReason, Native, OwnedTerm, Pid, REDUCTIONS_PER_SLICE, Status,
    SuspendOptions, TableOptions, Vm, to_term,
};

/// A context whose process has ended.
async fn stale(cx: &mut Context) -> Context {
    let (sender, receiver) = mpsc::channel();
    let (_, monitor) = cx
        .spawn_monitor(move |child| async move { sender.send(child).unwrap() })
        .unwrap();
    down(cx, monitor).await;
    receiver.recv().unwrap()
}

#[test]
fn a_stale_context_reaches_no_later_process_of_its_slot() {
    run(|mut cx| async move {
        let old = stale(&mut cx).await;
        let mut same_slot = None;
        let mut others = Vec::new();
        let started = Instant::now();
        while same_slot.is_none() && started.elapsed() < LIMIT {
            let pid = cx.spawn(idle).unwrap();
            others.push(pid);
            same_slot = (pid.index() == old.pid().index()).then_some(pid);
            if same_slot.is_none() && others.len() > 200 {
                for pid in others.drain(..) {
                    cx.exit_process(pid, ExitReason::kill());
                }
            }
            cx.yield_now().await;
        }
        let pid = same_slot.expect("the slot is used again");
        old.exit_process(old.pid(), ExitReason::kill());
        // Asked twice: the first answer may come from a slice that is the last.
        assert!(cx.is_alive(pid).await);
        assert!(cx.is_alive(pid).await);
    });
}

#[test]
fn a_child_of_a_dead_maker_is_not_left_over() {
    run(|mut cx| async move {
        let old = stale(&mut cx).await;
        let child = old.spawn_link(idle).unwrap();
        let monitor = cx.monitor(child);
        assert_eq!(down(&mut cx, monitor).await, ExitReason::noproc());
    });
}

#[test]
fn who_was_sent_an_exit_signal_is_not_alive_to_its_sender() {
    run(|mut cx| async move {
        for reason in [ExitReason::kill(), ExitReason::from("enough")] {
            let pid = cx.spawn(idle).unwrap();
            assert!(cx.is_alive(pid).await);
            cx.exit_process(pid, reason);
            assert!(!cx.is_alive(pid).await);
        }
    });
}

/// A term that nests far deeper than a stack, and than serde encodes a value.
fn deep() -> OwnedTerm {
    let mut builder = Builder::new();
    builder.integer(1);
    for _ in 0..100_000 {
        builder.list(1);
    }
    builder.finish(()).unwrap()
}

#[test]
fn a_deep_reason_travels_as_it_is() {
    run(|mut cx| async move {
        cx.trap_exit(true);
        let child = cx
            .spawn_link(|mut cx| async move {
                cx.receive().await;
                Err::<(), _>(ExitReason::from(deep()))
            })
            .unwrap();
        let monitor = cx.monitor(child);
        cx.send(child, &()).unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from(deep()));
        assert_eq!(exit(&mut cx, child).await, ExitReason::from(deep()));
    });
}

#[test]
fn a_reason_that_cannot_travel_makes_the_news_no_worse() {
    run(|mut cx| async move {
        cx.trap_exit(true);
        let native = || to_term(&Native::new(5)).unwrap();
        for reason in [ExitReason::from(native()), ExitReason::new(&Native::new(5))] {
            let child = cx
                .spawn_link(move |mut cx| async move {
                    cx.receive().await;
                    Err::<(), _>(reason)
                })
                .unwrap();
            let monitor = cx.monitor(child);
            cx.send(child, &()).unwrap();
            assert!(down(&mut cx, monitor).await.is_abnormal());
            assert!(exit(&mut cx, child).await.is_abnormal());
        }
    });
}

#[test]
fn an_owner_ends_whatever_data_its_heir_was_promised() {
    bounded(1, |mut cx| async move {
        let heir = cx.pid();
        let (_, monitor) = cx
            .spawn_monitor(move |owner| async move {
                let options = TableOptions::set().heir(heir, &deep()).unwrap();
                owner.table_new("deep", options).unwrap();
            })
            .unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn a_call_in_a_foreign_combinator_times_out_behind_a_long_slice() {
    bounded(2, |mut cx| async move {
        let silent = cx.spawn(idle).unwrap();
        let started = Instant::now();
        let mut call = Foreign::new(Box::pin(cx.call::<_, ()>(
            silent,
            &1,
            Duration::from_millis(20),
        )));
        std::future::poll_fn(|task| {
            let polled = Pin::new(&mut call).poll(task);
            // A slice during which the timer fires on the other, idle scheduler.
            if polled.is_pending() && started.elapsed() < Duration::from_millis(20) {
                std::thread::sleep(Duration::from_millis(60));
            }
            polled.map(|result| assert!(result.is_err()))
        })
        .await;
    });
}

/// The time is over while the caller is queued: it was told to give way before it looked for the answer.
#[test]
fn a_call_times_out_though_its_slice_was_over_as_it_began() {
    bounded(1, |mut cx| async move {
        let silent = cx.spawn(idle).unwrap();
        for after in [1, 5].map(Duration::from_millis) {
            cx.spawn(|_| async { std::thread::sleep(Duration::from_millis(20)) })
                .unwrap();
            drop(cx.tick(REDUCTIONS_PER_SLICE));
            let result = cx.call::<_, ()>(silent, &1, after).await;
            assert!(matches!(result, Err(CallError::Timeout)), "{result:?}");
        }
    });
}

/// Who looks at a process takes its signals in, and the slice that they woke may find nothing.
#[test]
fn a_suspension_is_answered_whoever_takes_the_signal_in() {
    bounded(2, |mut cx| async move {
        let rests = cx.spawn(|_| std::future::pending::<()>()).unwrap();
        let vm = cx.vm().clone();
        let looks = Arc::new(AtomicBool::new(true));
        let lookers = [(); 2].map(|()| {
            let (vm, looks) = (vm.clone(), Arc::clone(&looks));
            std::thread::spawn(move || {
                while looks.load(Ordering::Relaxed) {
                    vm.process_info(rests);
                }
            })
        });
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(1) {
            let suspended = cx.suspend_process(rests, SuspendOptions::new());
            let suspended = otp_vm::timeout(LIMIT, suspended).await;
            assert_eq!(suspended, Ok(Ok(true)));
            cx.resume_process(rests).unwrap();
        }
        looks.store(false, Ordering::Relaxed);
        for looker in lookers {
            looker.join().unwrap();
        }
    });
}

/// Its Context is another thread's, which suspends as the process ends.
#[test]
fn who_has_ended_leaves_nobody_suspended() {
    bounded(2, |cx| async move {
        for _ in 0..200 {
            let target = cx.spawn(idle).unwrap();
            let (sender, receiver) = mpsc::channel::<Context>();
            let lender = cx.spawn(move |lent| async move {
                sender.send(lent).unwrap();
                std::future::pending::<()>().await;
            });
            let suspends = std::thread::spawn(move || {
                // Else it ended before it began.
                let Ok(lent) = receiver.recv() else { return };
                let options = SuspendOptions::new();
                while lent.suspend_process_async(target, options, &1).is_ok() {
                    drop(lent.resume_process(target));
                }
            });
            cx.sleep(Duration::from_micros(200)).await;
            cx.exit_process(lender.unwrap(), ExitReason::kill());
            while !suspends.is_finished() {
                cx.yield_now().await;
            }
            // The process may be about to end still.
            let began = Instant::now();
            while cx.process_info(target).unwrap().status == Status::Suspended {
                assert!(began.elapsed() < LIMIT);
                cx.yield_now().await;
            }
            cx.exit_process(target, ExitReason::kill());
        }
    });
}

/// The same of links, of monitors, and of requests.
#[test]
fn who_has_ended_is_linked_to_nobody_and_watches_nobody() {
    bounded(2, |cx| async move {
        for _ in 0..200 {
            let targets: Vec<Pid> = (0..1000).map(|_| cx.spawn(idle).unwrap()).collect();
            let linked = targets.clone();
            let (sender, receiver) = mpsc::channel::<Context>();
            let lender = cx.spawn(move |lent| async move {
                sender.send(lent).unwrap();
                std::future::pending::<()>().await;
            });
            let links = std::thread::spawn(move || {
                let Ok(lent) = receiver.recv() else { return };
                for target in linked {
                    drop(lent.send_request(target, &1));
                    lent.monitor(target);
                    lent.link(target);
                }
            });
            cx.sleep(Duration::from_micros(100)).await;
            cx.exit_process(lender.unwrap(), ExitReason::kill());
            while !links.is_finished() {
                cx.yield_now().await;
            }
            // Those that it was linked to end with it.
            let began = Instant::now();
            for target in targets {
                while let Some(info) = cx.process_info(target)
                    && !(info.links.is_empty() && info.monitored_by.is_empty())
                {
                    assert!(began.elapsed() < LIMIT, "{info:?}");
                    cx.yield_now().await;
                }
                cx.exit_process(target, ExitReason::kill());
            }
        }
    });
}

#[test]
fn wakers_that_come_and_go_are_not_kept() {
    bounded(1, |mut cx| async move {
        let mut flags = Vec::new();
        for _ in 0..100 {
            let mut receive = Foreign::new(cx.receive());
            std::future::poll_fn(|task| {
                assert!(Pin::new(&mut receive).poll(task).is_pending());
                Poll::Ready(())
            })
            .await;
            flags.push(Arc::downgrade(&receive.flag));
        }
        let kept = flags.iter().filter(|flag| flag.strong_count() > 0).count();
        assert!(kept <= 1, "{kept} wakers are kept");
    });
}

/// What a waker drags along may call the process's own operations when it is dropped.
#[test]
fn a_waker_is_dropped_outside_of_the_processs_lock() {
    bounded(1, |cx| async move {
        let silent = cx.spawn(idle).unwrap();
        for _ in 0..3 {
            let request = cx.send_request(silent, &1).unwrap();
            let mut sleep = Foreign::new(cx.sleep(Duration::from_secs(60)));
            *sleep.flag.cargo.lock().unwrap() = Some(Box::new(request));
            std::future::poll_fn(|task| {
                assert!(Pin::new(&mut sleep).poll(task).is_pending());
                // Another waker from now on: the first goes.
                sleep.flag = Arc::new(Flag::default());
                sleep.flag.woken.store(true, Ordering::SeqCst);
                assert!(Pin::new(&mut sleep).poll(task).is_pending());
                Poll::Ready(())
            })
            .await;
        }
    });
}

#[test]
fn who_receives_for_a_process_learns_that_it_ended() {
    bounded(1, |mut cx| async move {
        let (sender, receiver) = mpsc::channel();
        let lender = cx
            .spawn(move |lent| async move {
                sender.send(lent).unwrap();
                std::future::pending::<()>().await;
            })
            .unwrap();
        let (_, monitor) = cx
            .spawn_monitor(move |cx| async move {
                let mut lent = loop {
                    match receiver.try_recv() {
                        Ok(lent) => break lent,
                        Err(_) => cx.yield_now().await,
                    }
                };
                lent.receive().await;
            })
            .unwrap();
        cx.sleep(Duration::from_millis(20)).await;
        cx.exit_process(lender, ExitReason::kill());
        assert!(down(&mut cx, monitor).await.is_abnormal());
    });
}

#[test]
fn a_reply_by_another_that_nobody_fetches_leaves_no_monitor() {
    bounded(1, |mut cx| async move {
        let server = cx
            .spawn(|mut cx| async move {
                loop {
                    let message = cx.receive().await;
                    let otp_vm::MessageKind::Call { from, .. } = message.kind() else {
                        continue;
                    };
                    cx.spawn(move |cx| async move { cx.reply(&from, &1).unwrap() })
                        .unwrap();
                }
            })
            .unwrap();
        for _ in 0..10 {
            drop(cx.send_request(server, &1).unwrap());
            let request = cx.send_request(server, &1).unwrap();
            cx.sleep(Duration::from_millis(5)).await;
            drop(request);
        }
        assert!(cx.is_alive(server).await);
        assert_eq!(cx.process_info(server).unwrap().monitored_by, []);
    });
}

#[test]
fn a_response_is_only_looked_for_with_a_limit_of_zero() {
    bounded(1, |mut cx| async move {
        let silent = cx.spawn(idle).unwrap();
        let started = Instant::now();
        for _ in 0..100 {
            let request = cx.send_request(silent, &1).unwrap();
            let answer = cx.receive_response::<()>(request, Duration::ZERO).await;
            assert!(answer.is_err());
        }
        assert!(started.elapsed() < Duration::from_millis(190));
    });
}

#[test]
fn runs_that_race_with_the_shut_down_all_have_an_end() {
    for round in 0..400u64 {
        let vm = Vm::builder().schedulers(2).build().unwrap();
        let host = vm.clone();
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || {
            loop {
                if host.run(|_| async {}).wait().is_err() {
                    break;
                }
            }
            let _ = done.send(());
        });
        std::thread::sleep(Duration::from_micros(50 * (round % 8)));
        let report = vm.shutdown(Duration::from_millis(200)).wait().unwrap();
        assert_eq!((&report.stuck[..], &report.threads[..]), (&[][..], &[][..]));
        is_done.recv_timeout(LIMIT).expect("every run ends");
    }
}
