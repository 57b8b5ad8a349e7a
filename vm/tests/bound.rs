//! Processes in native code for so long that their threads lost their schedulers.

mod common;

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use common::{LIMIT, down, expect, run};
use otp_vm::{ExitReason, Pid, Vm};

/// Native code that ends by a flag; and it ends when the test fails.
fn spin(stop: &AtomicBool) {
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) && begun.elapsed() < 3 * LIMIT {
        std::hint::spin_loop();
    }
}

fn flag() -> Arc<AtomicBool> {
    Arc::new(AtomicBool::new(false))
}

/// Long enough for a spinning process to be bound and behind its gate.
const UNTIL_BOUND: Duration = Duration::from_millis(30);

#[test]
fn a_kill_reaches_a_bound_process_when_it_comes_back() {
    run(|mut cx| async move {
        let stop = flag();
        let doomed: Vec<_> = (0..4)
            .map(|_| {
                let stop = Arc::clone(&stop);
                cx.spawn_monitor(move |mut cx| async move {
                    spin(&stop);
                    cx.receive().await;
                })
                .expect("a process")
            })
            .collect();
        cx.sleep(UNTIL_BOUND).await;
        for (pid, _) in &doomed {
            cx.exit_process(*pid, ExitReason::kill());
        }
        stop.store(true, Ordering::Relaxed);
        for (_, monitor) in doomed {
            assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        }
    });
}

#[test]
fn a_bound_process_may_panic_exit_or_return() {
    run(|mut cx| async move {
        let stop = flag();
        let ends: Vec<_> = (0..6)
            .map(|how| {
                let stop = Arc::clone(&stop);
                cx.spawn_monitor(move |cx| async move {
                    spin(&stop);
                    match how % 3 {
                        0 => panic!("while bound"),
                        1 => cx.exit("enough"),
                        _ => {}
                    }
                })
                .expect("a process")
            })
            .collect();
        cx.sleep(UNTIL_BOUND).await;
        stop.store(true, Ordering::Relaxed);
        for (how, (_, monitor)) in ends.into_iter().enumerate() {
            let reason = down(&mut cx, monitor).await;
            match how % 3 {
                0 => assert!(reason.is_abnormal()),
                1 => assert_eq!(reason, ExitReason::from("enough")),
                _ => assert_eq!(reason, ExitReason::normal()),
            }
        }
    });
}

#[test]
fn links_and_monitors_of_bound_processes_fire() {
    run(|mut cx| async move {
        cx.trap_exit(true);
        let stop = flag();
        let linked: Vec<Pid> = (0..3)
            .map(|_| {
                let stop = Arc::clone(&stop);
                cx.spawn(move |mut cx| async move {
                    spin(&stop);
                    cx.receive().await;
                })
                .expect("a process")
            })
            .collect();
        cx.sleep(UNTIL_BOUND).await;
        // Made while they are bound, by signals that they have not seen.
        let monitors: Vec<_> = linked
            .iter()
            .map(|&pid| {
                cx.link(pid);
                let given_up = cx.monitor(pid);
                cx.demonitor(given_up);
                cx.monitor(pid)
            })
            .collect();
        for &pid in &linked {
            cx.exit_process(pid, "over");
        }
        stop.store(true, Ordering::Relaxed);
        for monitor in monitors {
            assert_eq!(down(&mut cx, monitor).await, ExitReason::from("over"));
        }
        for _ in linked {
            let exit = cx.receive_where(LIMIT, |message| message.exit().map(|exit| exit.reason));
            assert_eq!(exit.await, Some(ExitReason::from("over")));
        }
    });
}

/// They come and go all the time, under messages from all sides.
#[test]
fn no_message_to_or_from_processes_in_and_out_of_native_code_is_lost() {
    const MESSAGES: u64 = 20_000;
    run(|mut cx| async move {
        let parent = cx.pid();
        let workers: Vec<Pid> = (0..3)
            .map(|_| {
                cx.spawn(move |mut cx| async move {
                    for expected in 0..MESSAGES {
                        let number: u64 = expect(&mut cx).await;
                        assert_eq!(number, expected, "in order");
                        if number.is_multiple_of(500) {
                            let begun = Instant::now();
                            while begun.elapsed() < Duration::from_millis(6) {
                                // What bound code does with the VM, too.
                                cx.send(parent, &0_u64).expect("the parent is there");
                            }
                            cx.send(parent, &1_u64).expect("the parent is there");
                        }
                    }
                })
                .expect("a process")
            })
            .collect();
        for number in 0..MESSAGES {
            for &worker in &workers {
                cx.send(worker, &number).expect("it is there");
            }
            if number.is_multiple_of(100) {
                cx.yield_now().await;
            }
        }
        let mut marks = 0;
        while marks < workers.len() as u64 * MESSAGES.div_ceil(500) {
            marks += expect::<u64>(&mut cx).await;
        }
    });
}

#[test]
fn a_shut_down_with_bound_processes_is_over_in_time_and_names_them() {
    for schedulers in [1, 2] {
        let vm = Vm::builder().schedulers(schedulers).build().expect("a VM");
        let stop = flag();
        let (begun, has_begun) = mpsc::channel();
        let hogs: Vec<Pid> = (0..4)
            .map(|_| {
                let (stop, begun) = (Arc::clone(&stop), begun.clone());
                vm.spawn(move |_| async move {
                    begun.send(()).expect("the test listens");
                    spin(&stop);
                })
                .expect("a process")
            })
            .collect();
        for _ in &hogs {
            has_begun.recv_timeout(LIMIT).expect("all begin");
        }
        let begun = Instant::now();
        let report = vm.shutdown(Duration::from_millis(50)).wait();
        let report = report.expect("no scheduler thread");
        // A second more than asked for, and two for a loaded machine.
        let took = begun.elapsed();
        assert!(took < Duration::from_millis(3050), "{took:?}");
        assert_eq!(report.stuck.len(), hogs.len(), "{report:?}");
        assert_eq!(report.threads.len(), hogs.len(), "{report:?}");
        stop.store(true, Ordering::Relaxed);
    }
}

fn entries(directory: &str) -> usize {
    fs::read_dir(directory).expect("a directory").count()
}

/// Each leaves nothing once its bound processes have come back.
#[test]
fn vms_come_and_go_with_bound_processes() {
    // The test's own, those of its neighbours, and what the first VM makes for good.
    let threads = || entries("/proc/self/task");
    let files = || entries("/proc/self/fd");
    let round = |hogs: usize, drops: bool| {
        let vm = Vm::builder().schedulers(2).build().expect("a VM");
        let stop = flag();
        for _ in 0..hogs {
            let stop = Arc::clone(&stop);
            vm.spawn(move |_| async move { spin(&stop) })
                .expect("a process");
        }
        std::thread::sleep(Duration::from_millis(10));
        if drops {
            drop(vm);
            stop.store(true, Ordering::Relaxed);
        } else {
            let ending = vm.shutdown(LIMIT);
            stop.store(true, Ordering::Relaxed);
            let report = ending.wait().expect("no scheduler thread");
            assert!(report.stuck.is_empty(), "{report:?}");
            assert!(report.threads.is_empty(), "{report:?}");
        }
    };
    round(3, false);
    let (threads_before, files_before) = (threads(), files());
    for number in 0..60 {
        round(number % 5, number % 2 == 0);
    }
    let begun = Instant::now();
    while threads() > threads_before + 8 || files() > files_before + 16 {
        assert!(
            begun.elapsed() < LIMIT,
            "{threads_before} threads were {}, {files_before} descriptors {}",
            threads(),
            files()
        );
        std::thread::sleep(Duration::from_millis(10));
    }
}
