//! The host's side: building, running, names, limits, shutting down.

mod common;

use std::sync::mpsc;
use std::time::Duration;

use common::{LIMIT, bounded, expect, idle, run};
use otp_vm::{
    Context, ExitReason, HOST, IntervalError, MAX_PROCESSES, RegisterError, RunError, SpawnError,
    SpawnOptions, Status, SystemMonitor, SystemMonitorOptions, Vm, VmBuilder, receive,
};

fn vm() -> Vm {
    Vm::builder().schedulers(2).build().expect("a VM")
}

#[test]
fn a_result_is_moved_to_the_host() {
    let vm = vm();
    let thread = std::thread::current().id();
    let (sender, receiver) = mpsc::channel();
    let channel = vm.run(move |_| async move { sender }).wait().unwrap();
    channel.send(thread).unwrap();
    assert_eq!(receiver.recv().unwrap(), thread);
    assert!(vm.shutdown(LIMIT).wait().unwrap().is_orderly());
}

#[test]
fn the_host_learns_why_there_is_no_result() {
    let vm = vm();
    let error = vm
        .run(|_| async {
            if true {
                panic!("no result")
            }
        })
        .wait()
        .unwrap_err();
    let RunError::Exit(reason) = error else {
        panic!("{error}")
    };
    assert!(reason.to_string().contains("no result"));
    let (tell, told) = mpsc::channel();
    let running = vm.run(move |cx| {
        tell.send(cx.pid()).unwrap();
        idle(cx)
    });
    vm.exit(told.recv_timeout(LIMIT).unwrap(), ExitReason::kill());
    assert_eq!(
        running.wait().unwrap_err(),
        RunError::Exit(ExitReason::killed())
    );
    vm.shutdown(LIMIT).wait();
}

#[test]
fn waiting_on_a_scheduler_thread_is_refused() {
    let vm = vm();
    let inner = vm.clone();
    let refused = vm
        .run(move |_| async move { inner.run(|_| async {}).wait() })
        .wait()
        .unwrap();
    assert_eq!(refused, Err(RunError::OnSchedulerThread));
    vm.shutdown(LIMIT).wait();
}

#[test]
fn results_are_awaited_by_any_executor() {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let vm = vm();
    let mut running = std::pin::pin!(vm.run(|cx| async move {
        cx.sleep(Duration::from_millis(5)).await;
        7
    }));
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut task = std::task::Context::from_waker(&waker);
    let result = loop {
        match running.as_mut().poll(&mut task) {
            std::task::Poll::Ready(result) => break result,
            std::task::Poll::Pending => std::thread::park_timeout(LIMIT),
        }
    };
    assert_eq!(result.unwrap(), 7);
    vm.shutdown(LIMIT).wait();
}

#[test]
fn names_go_with_their_process() {
    run(|mut cx| async move {
        let (pid, _) = cx.spawn_monitor(idle).unwrap();
        cx.register("a_name", pid).unwrap();
        assert_eq!(cx.whereis("a_name"), Some(pid));
        assert_eq!(
            cx.register("a_name", cx.pid()),
            Err(RegisterError::Taken(pid))
        );
        assert!(
            matches!(cx.register("another", pid), Err(RegisterError::Named(name)) if name.as_str() == "a_name")
        );
        assert_eq!(
            cx.register("undefined", cx.pid()),
            Err(RegisterError::Reserved)
        );
        cx.exit_process(pid, ExitReason::kill());
        cx.receive().await.down().expect("a DOWN");
        // Gone before anybody was told.
        assert_eq!(cx.whereis("a_name"), None);
        assert_eq!(cx.register("a_name", pid), Err(RegisterError::NoProcess));
        cx.register("a_name", cx.pid()).unwrap();
        cx.send("a_name", &3).unwrap();
        assert_eq!(expect::<i32>(&mut cx).await, 3);
        assert_eq!(cx.unregister("a_name"), Some(cx.pid()));
        assert_eq!(cx.unregister("a_name"), None);
    });
}

#[test]
fn pids_are_never_used_again() {
    run(|mut cx| async move {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3_000 {
            let (pid, _) = cx.spawn_monitor(|_| async {}).unwrap();
            assert!(seen.insert(pid), "{pid} was used before");
            cx.receive().await;
        }
    });
}

#[test]
fn timers_send_and_can_be_taken_back() {
    run(|mut cx| async move {
        let timer = cx
            .send_after(Duration::from_secs(60), cx.pid(), "never")
            .unwrap();
        assert!(cx.read_timer(timer).unwrap() > Duration::from_secs(50));
        assert!(cx.cancel_timer(timer).unwrap() > Duration::from_secs(50));
        assert_eq!(cx.cancel_timer(timer), None);
        let before = cx.monotonic_time();
        cx.send_after(Duration::from_millis(20), cx.pid(), "second")
            .unwrap();
        cx.send_after(Duration::from_millis(10), cx.pid(), "first")
            .unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "first");
        assert_eq!(expect::<String>(&mut cx).await, "second");
        assert!(cx.monotonic_time() - before >= 20_000_000);
        assert_eq!(cx.message_queue_len(), 0);
    });
}

#[test]
fn intervals_send_until_they_are_cancelled() {
    run(|mut cx| async move {
        let period = Duration::from_millis(2);
        let before = cx.monotonic_time();
        let interval = cx.send_interval(period, cx.pid(), "tick").unwrap();
        for count in 1..=5 {
            assert_eq!(expect::<String>(&mut cx).await, "tick");
            assert!(cx.monotonic_time() - before >= count * 2_000_000);
        }
        // From another process.
        let (same, parent) = (interval.clone(), cx.pid());
        cx.spawn(move |cx| async move {
            let left = cx.cancel_interval(&same).expect("it goes on");
            cx.send(parent, &("cancelled", left <= period)).unwrap();
        })
        .unwrap();
        loop {
            let message = cx.receive().await;
            if let Ok((what, within)) = message.decode::<(String, bool)>() {
                assert_eq!((what.as_str(), within), ("cancelled", true));
                break;
            }
        }
        assert_eq!(cx.cancel_interval(&interval), None);
        // At most the message that was under way follows.
        cx.sleep(5 * period).await;
        let queued = cx.message_queue_len();
        cx.sleep(5 * period).await;
        assert_eq!(cx.message_queue_len(), queued);
    });
}

#[test]
fn an_interval_ends_with_who_gets_it_and_a_name_s_with_who_had_it() {
    run(|mut cx| async move {
        let period = Duration::from_micros(100);
        let until_told = |mut cx: Context| async move {
            cx.receive().await;
        };
        let sink = cx.spawn(until_told).unwrap();
        let to_pid = cx.send_interval(period, sink, "tick").unwrap();
        let until_the_end = |mut cx: Context| async move {
            receive!(cx, { "end" => () });
        };
        let holder = cx.spawn(until_the_end).unwrap();
        cx.register("gets_ticks", holder).unwrap();
        cx.send_interval(period, "gets_ticks", "tick").unwrap();
        cx.unregister("gets_ticks").unwrap();
        cx.register("gets_ticks", cx.pid()).unwrap();
        while cx.is_alive(sink).await {
            cx.yield_now().await;
        }
        // Without a limit, whose timer would stay for a while.
        let tick: String = cx.receive().await.decode().unwrap();
        assert_eq!(tick, "tick");
        cx.send(holder, "end").unwrap();
        // Both are over at the next beat, and the VM has no timer any more.
        while cx.vm().system_info().schedulers_figures.timers > 0 {
            cx.yield_now().await;
        }
        assert_eq!(cx.cancel_interval(&to_pid), None);
    });
}

/// Before one of its messages is sent, the next is late.
#[test]
fn an_interval_too_short_to_keep_leaves_others_their_turns() {
    bounded(1, |mut cx| async move {
        let period = Duration::from_nanos(1);
        let interval = cx.send_interval(period, cx.pid(), &()).unwrap();
        for _ in 0..5000 {
            expect::<()>(&mut cx).await;
        }
        assert!(cx.cancel_interval(&interval).is_some());
        let queued = cx.message_queue_len();
        cx.yield_now().await;
        assert_eq!(cx.message_queue_len(), queued);
    });
}

#[test]
fn an_interval_of_nought_is_an_error() {
    run(|cx| async move {
        let zero = cx.send_interval(Duration::ZERO, cx.pid(), "tick");
        assert!(matches!(zero, Err(IntervalError::Zero)));
    });
}

#[test]
fn sleeps_of_many_processes_end_in_order() {
    run(|mut cx| async move {
        let parent = cx.pid();
        for number in (1..=40_u64).rev() {
            cx.spawn(move |cx| async move {
                cx.sleep(Duration::from_millis(number * 2)).await;
                cx.send(parent, &number).unwrap();
            })
            .unwrap();
        }
        let mut got = Vec::new();
        for _ in 0..40 {
            got.push(expect::<u64>(&mut cx).await);
        }
        got.sort_unstable();
        assert_eq!(got, (1..=40).collect::<Vec<_>>());
    });
}

#[test]
fn a_shorter_limit_after_a_longer_one_is_kept() {
    run(|mut cx| async move {
        let before = cx.monotonic_time();
        // Arms the process's timer far out, then needs it sooner.
        cx.send(cx.pid(), &1).unwrap();
        assert!(cx.receive_timeout(Duration::from_secs(600)).await.is_some());
        assert!(
            cx.receive_timeout(Duration::from_millis(10))
                .await
                .is_none()
        );
        cx.sleep(Duration::from_millis(3)).await;
        assert!(
            cx.receive_timeout(Duration::from_millis(10))
                .await
                .is_none()
        );
        assert!(cx.monotonic_time() - before < 60_000_000_000);
    });
}

#[test]
fn a_process_that_never_awaits_anything_else_still_gives_way_by_ticks() {
    run(|mut cx| async move {
        let (hog, _) = cx
            .spawn_monitor(|cx| async move {
                loop {
                    cx.tick(1).await;
                }
            })
            .unwrap();
        cx.sleep(Duration::from_millis(5)).await;
        cx.exit_process(hog, ExitReason::kill());
        assert_eq!(
            cx.receive().await.down().unwrap().reason,
            ExitReason::killed()
        );
    });
}

#[test]
fn the_limit_of_processes_is_an_error_not_an_abort() {
    let vm = Vm::builder()
        .schedulers(1)
        .max_processes(10)
        .build()
        .unwrap();
    let pids: Vec<_> = (0..10).map(|_| vm.spawn(idle).unwrap()).collect();
    assert_eq!(vm.spawn(idle), Err(SpawnError::ProcessLimit { limit: 10 }));
    assert!(matches!(
        vm.run(|_| async {}).wait(),
        Err(RunError::Spawn(SpawnError::ProcessLimit { .. }))
    ));
    vm.exit(pids[3], ExitReason::kill());
    // The slot is free again once the process is gone.
    let deadline = std::time::Instant::now() + LIMIT;
    while vm.system_info().process_count == 10 {
        assert!(
            std::time::Instant::now() < deadline,
            "the killed process is still counted"
        );
        std::thread::yield_now();
    }
    vm.spawn(idle).unwrap();
    let report = vm.shutdown(LIMIT).wait().unwrap();
    assert_eq!((report.ended, report.is_orderly()), (10, true));
}

type Change = fn(VmBuilder) -> VmBuilder;

#[test]
fn a_setting_that_is_out_of_range_is_refused_with_what_to_give() {
    let built = |change: Change| {
        let built = change(Vm::builder().schedulers(1)).build();
        built.map(drop).map_err(|error| error.to_string())
    };
    let refused: &[(Change, &str)] = &[
        (|vm| vm.schedulers(0), "from 1 to 1024"),
        (|vm| vm.schedulers(1025), "from 1 to 1024"),
        (|vm| vm.max_processes(0), "from 1 to 134217728"),
        (
            |vm| vm.max_processes(MAX_PROCESSES + 1),
            "from 1 to 134217728",
        ),
        (|vm| vm.max_bound(usize::MAX), "from 0 to"),
        (|vm| vm.max_native(usize::MAX), "from 0 to"),
        (|vm| vm.system_monitor_queue(usize::MAX), "from 0 to"),
        (|vm| vm.max_message_size(4095), "give 4096 or more"),
        (|vm| vm.blocking_threads(0), "from 1 to"),
        (|vm| vm.blocking_threads(usize::MAX), "from 1 to"),
        (|vm| vm.blocking_queue(0), "from 1 to"),
        (|vm| vm.blocking_queue(usize::MAX), "from 1 to"),
        (|vm| vm.gate_signal(Some(9)), "signal"),
        (|vm| vm.name("a\0b"), "nul byte"),
        (
            |vm| {
                let options = SystemMonitorOptions::new().long_message_queue(5, 5);
                vm.system_monitor(SystemMonitor::handler(options, drop))
            },
            "below the enable mark",
        ),
        (
            |vm| {
                let options = SystemMonitorOptions::new().bound();
                vm.system_monitor(SystemMonitor::process(HOST, options))
            },
            "one that is alive",
        ),
    ];
    for (number, (change, hint)) in refused.iter().enumerate() {
        let error = built(*change).expect_err("it is out of range");
        assert!(error.contains(hint), "{number}: {error}");
    }
    // The least that means something.
    let least = |vm: VmBuilder| {
        vm.max_processes(1)
            .max_tables(0)
            .max_bound(0)
            .max_native(0)
            .blocking_threads(1)
            .blocking_queue(1)
            .blocking_idle(Duration::ZERO)
            .gate_signal(None)
            .max_message_size(4096)
            .system_monitor_queue(0)
    };
    assert_eq!(built(least), Ok(()));
}

#[test]
fn process_info_tells_what_is_there() {
    run(|cx| async move {
        let options = SpawnOptions::new().link().monitor().label("worker");
        let pid = cx.spawn_opt(options, idle).unwrap().pid;
        cx.register("informer", pid).unwrap();
        for number in 0..5 {
            cx.send(pid, &number).unwrap();
        }
        cx.yield_now().await;
        let own = cx.process_info(cx.pid()).unwrap();
        assert_eq!(
            (own.status, own.links, own.monitors.len()),
            (Status::Running, vec![pid], 1)
        );
        let info = cx.process_info(pid).unwrap();
        assert_eq!(info.registered_name.unwrap().as_str(), "informer");
        assert_eq!(info.label.unwrap().as_str(), "worker");
        assert_eq!(
            (info.links, info.monitored_by),
            (vec![cx.pid()], vec![cx.pid()])
        );
        assert_eq!(info.parent, Some(cx.pid()));
        assert!(info.memory > 0 && !info.trap_exit);
        // This program has not installed the allocator that counts.
        assert_eq!(info.native_memory, None);
        cx.unlink(pid);
        cx.exit_process(pid, ExitReason::kill());
    });
}

#[test]
fn shutdown_asks_first_and_kills_what_stays() {
    let vm = vm();
    let (tell, told) = mpsc::channel();
    for stubborn in [false, true] {
        let tell = tell.clone();
        vm.spawn(move |mut cx| async move {
            cx.trap_exit(true);
            tell.send(()).unwrap();
            loop {
                let exit = cx.receive().await.exit();
                if exit.is_some_and(|exit| exit.reason.is_shutdown()) && !stubborn {
                    return;
                }
            }
        })
        .unwrap();
        told.recv_timeout(LIMIT).unwrap();
    }
    let report = vm.shutdown(Duration::from_millis(100)).wait().unwrap();
    assert_eq!((report.ended, report.killed, report.stuck.len()), (1, 1, 0));
    assert!(matches!(vm.spawn(idle), Err(SpawnError::ShuttingDown)));
    // A second call gives the same report.
    assert_eq!(vm.shutdown(LIMIT).wait().unwrap(), report);
}

#[test]
fn a_run_whose_process_outlives_the_vm_has_an_end() {
    let vm = vm();
    let (tell, told) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let running = vm.run(move |cx| async move {
        tell.send(cx.pid()).unwrap();
        // Native code that doesn't return while the VM is there.
        released.recv().unwrap();
        std::future::pending::<()>().await;
    });
    let pid = told.recv_timeout(LIMIT).unwrap();
    let report = vm.shutdown(Duration::ZERO).wait().unwrap();
    assert_eq!(report.stuck, [pid]);
    release.send(()).unwrap();
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || done.send(running.wait()));
    let result = is_done.recv_timeout(LIMIT).expect("an end in time");
    // The first signal that it got; or the kill, if it lost its scheduler too late for the other.
    let reasons = [ExitReason::shutdown(), ExitReason::killed()];
    assert!(
        reasons
            .map(|reason| Err(RunError::Exit(reason)))
            .contains(&result)
    );
}

#[test]
fn a_dropped_vm_ends_its_processes_in_the_background() {
    struct Tell(mpsc::Sender<()>);
    impl Drop for Tell {
        fn drop(&mut self) {
            let _ = self.0.send(());
        }
    }
    let (tell, told) = mpsc::channel();
    let vm = vm();
    let tell = Tell(tell);
    vm.spawn(move |cx| async move {
        let _tell = tell;
        idle(cx).await;
    })
    .unwrap();
    drop(vm);
    told.recv_timeout(LIMIT).expect("the body was dropped");
}

#[test]
fn two_vms_do_not_see_each_other() {
    let (left, right) = (vm(), vm());
    let pid = left.spawn(idle).unwrap();
    left.register("shared name", pid).unwrap();
    assert_eq!(right.whereis("shared name"), None);
    assert!(!right.is_alive(pid));
    right.exit(pid, ExitReason::kill());
    assert!(
        left.run(move |mut cx| async move { cx.is_alive(pid).await })
            .wait()
            .unwrap()
    );
    left.shutdown(LIMIT).wait();
    assert_eq!(right.run(|_| async { 1 }).wait().unwrap(), 1);
    right.shutdown(LIMIT).wait();
}

#[test]
fn a_context_that_outlives_its_process_answers_errors() {
    run(|mut cx| async move {
        let (sender, receiver) = mpsc::channel();
        let (pid, _) = cx
            .spawn_monitor(move |inner| async move {
                sender.send(inner).unwrap();
            })
            .unwrap();
        cx.receive().await;
        let mut dead = receiver.recv().unwrap();
        assert_eq!(dead.pid(), pid);
        dead.send(cx.pid(), "from beyond").unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "from beyond");
        dead.link(cx.pid());
        assert!(!dead.trap_exit(true));
        assert!(dead.call::<_, ()>(cx.pid(), &1, LIMIT).await.is_err());
        let refused = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            let mut task = std::task::Context::from_waker(std::task::Waker::noop());
            let _ = std::pin::pin!(dead.receive()).as_mut().poll(&mut task);
        }));
        assert!(refused.is_err());
    });
}

#[test]
fn spawn_storms_leave_nothing_behind() {
    let vm = vm();
    vm.run(|mut cx| async move {
        for _ in 0..20 {
            for _ in 0..500 {
                cx.spawn_monitor(|cx| async move {
                    let _ = cx.spawn(|_| async {});
                })
                .unwrap();
            }
            for _ in 0..500 {
                cx.receive_timeout(LIMIT).await.expect("a DOWN");
            }
        }
    })
    .wait()
    .unwrap();
    let report = vm.shutdown(LIMIT).wait().unwrap();
    assert!(report.is_orderly(), "{report:?}");
    assert_eq!(vm.system_info().process_count, 0);
    assert_eq!(vm.processes(), []);
}
