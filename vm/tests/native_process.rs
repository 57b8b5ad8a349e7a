//! Native processes: plain blocking code with a pid.

mod common;

use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use common::{LIMIT, bounded, down, exit, expect, idle, run};
use otp_vm::{
    CallError, Context, ExitReason, NativeContext, Pid, Ref, RunError, SpawnError, SpawnOptions, Vm,
};

fn spawn_monitored<E: otp_vm::IntoExit>(
    cx: &Context,
    body: impl FnOnce(NativeContext) -> E + Send + 'static,
) -> (Pid, Ref) {
    let spawned = cx.spawn_native_opt(SpawnOptions::new().monitor(), body);
    let spawned = spawned.unwrap();
    (spawned.pid, spawned.monitor.unwrap())
}

/// Says when it is dropped.
struct Told(Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

#[test]
fn messages_go_to_and_fro_between_a_native_and_a_green_process() {
    run(|mut cx| async move {
        let parent = cx.pid();
        let (native, monitor) = spawn_monitored(&cx, move |mut cx| {
            for _ in 0..500 {
                let number: u32 = cx.receive().decode().unwrap();
                cx.send(parent, &(number + 1)).unwrap();
            }
        });
        for number in 0..500 {
            cx.send(native, &number).unwrap();
            assert_eq!(expect::<u32>(&mut cx).await, number + 1);
        }
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn two_native_processes_talk() {
    run(|mut cx| async move {
        let (echo, echo_monitor) = spawn_monitored(&cx, |mut cx| {
            for _ in 0..500 {
                let (from, number): (Pid, u32) = cx.receive().decode().unwrap();
                cx.send(from, &number).unwrap();
            }
        });
        let (_, monitor) = spawn_monitored(&cx, move |mut cx| {
            for number in 0..500_u32 {
                cx.send(echo, &(cx.pid(), number)).unwrap();
                assert_eq!(cx.receive().decode::<u32>().unwrap(), number);
            }
        });
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        assert_eq!(down(&mut cx, echo_monitor).await, ExitReason::normal());
    });
}

#[test]
fn exit_reasons_are_those_of_any_process() {
    bounded(2, |mut cx| async move {
        let (_, monitor) = spawn_monitored(&cx, |_| ());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        let (_, monitor) = spawn_monitored(&cx, |cx| -> () { cx.exit("enough") });
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("enough"));
        let (_, monitor) = spawn_monitored(&cx, |_| -> () { panic!("it broke") });
        let reason = down(&mut cx, monitor).await.to_string();
        assert!(
            reason.starts_with("{panic,") && reason.contains("it broke"),
            "{reason}"
        );
        assert!(reason.contains("native_process.rs"), "{reason}");
    });
}

#[test]
fn a_kill_ends_one_that_waits_and_its_destructors_run() {
    run(|mut cx| async move {
        for how in [ExitReason::kill(), ExitReason::shutdown()] {
            let (out, dropped) = channel();
            let parent = cx.pid();
            let (pid, monitor) = spawn_monitored(&cx, move |mut cx| {
                let _told = Told(out);
                cx.send(parent, &"waits").unwrap();
                // Who catches it is told again.
                let caught =
                    std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cx.receive()));
                assert!(caught.is_err());
                cx.receive();
            });
            assert_eq!(expect::<String>(&mut cx).await, "waits");
            cx.exit_process(pid, how.clone());
            let reason = if how == ExitReason::kill() {
                ExitReason::killed()
            } else {
                how
            };
            assert_eq!(down(&mut cx, monitor).await, reason);
            dropped.recv().expect("before anybody was told of the end");
        }
    });
}

#[test]
fn a_kill_reaches_one_that_runs_at_its_next_wait() {
    bounded(1, |mut cx| async move {
        let (release, released) = channel::<()>();
        let (pid, monitor) = spawn_monitored(&cx, move |mut cx| {
            released.recv_timeout(LIMIT).unwrap();
            cx.sleep(Duration::ZERO);
        });
        cx.exit_process(pid, ExitReason::kill());
        release.send(()).unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
    });
}

#[test]
fn links_go_both_ways_and_exits_may_be_trapped() {
    bounded(2, |mut cx| async move {
        cx.trap_exit(true);
        let linked = SpawnOptions::new().link();
        let native = cx.spawn_native_opt(linked, |cx| cx.exit("bad"));
        let native: Pid = native.map(|spawned: otp_vm::Spawned| spawned.pid).unwrap();
        assert_eq!(exit(&mut cx, native).await, ExitReason::from("bad"));
        let parent = cx.pid();
        cx.spawn_native_opt(SpawnOptions::new().trap_exit(), move |mut cx| {
            let green = cx.spawn_link(idle).unwrap();
            cx.exit_process(green, "why");
            let exit = cx.receive_where(LIMIT, |message| message.exit()).unwrap();
            cx.send(parent, &(exit.from == green, exit.reason.to_string()))
                .unwrap();
        })
        .unwrap();
        let (is_green, reason): (bool, String) = expect(&mut cx).await;
        assert!(is_green && reason.contains("why"), "{reason}");
    });
}

#[test]
fn waits_have_their_limits() {
    bounded(1, |mut cx| async move {
        const TIME: Duration = Duration::from_millis(20);
        let server = cx.spawn(idle).unwrap();
        let (_, monitor) = spawn_monitored(&cx, move |mut cx| {
            let begun = Instant::now();
            assert!(cx.receive_timeout(TIME).is_none());
            assert!(begun.elapsed() >= TIME);
            assert!(cx.receive_timeout(Duration::ZERO).is_none());
            cx.sleep(TIME);
            assert!(begun.elapsed() >= 2 * TIME);
            let called: Result<u32, _> = cx.call(server, &"question", TIME);
            assert!(matches!(called, Err(CallError::Timeout)), "{called:?}");
            // A wait of the kernel's own is as good.
            thread::sleep(TIME);
        });
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn over_the_limit_an_error_says_so() {
    let vm = Vm::builder().schedulers(1).max_native(1).build().unwrap();
    let first = vm.spawn_native(|mut cx| drop(cx.receive())).unwrap();
    let error = vm.spawn_native(|_| ()).unwrap_err();
    assert_eq!(error, SpawnError::NativeLimit { limit: 1 });
    assert!(error.to_string().contains("max_native"));
    assert!(vm.is_alive(first));
    let report = vm.shutdown(LIMIT).wait().unwrap();
    assert!(report.is_orderly(), "{report:?}");
    assert_eq!(
        vm.spawn_native(|_| ()).unwrap_err(),
        SpawnError::ShuttingDown
    );
}

#[test]
fn a_shut_down_names_a_native_process_that_does_not_come_back() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let (release, released) = channel::<()>();
    let (begun, begins) = channel();
    let body = move |_| {
        begun.send(()).unwrap();
        let _ = released.recv();
    };
    let pid = vm.spawn_native(body).unwrap();
    begins.recv_timeout(LIMIT).unwrap();
    let report = vm.shutdown(Duration::from_millis(10)).wait().unwrap();
    assert_eq!(report.stuck, [pid]);
    let process = format!("process {pid}");
    let is_native = |name: &String| name.contains("native thread") && name.ends_with(&process);
    assert!(report.threads.iter().any(is_native), "{report:?}");
    drop(release);
}

/// Green and native processes use the same slots in turn, while stale wakes come.
#[test]
fn slots_go_from_native_processes_to_green_ones_and_back() {
    run(|mut cx| async move {
        for round in 0..200_u32 {
            let parent = cx.pid();
            if round % 2 == 0 {
                cx.spawn_native(move |mut cx| {
                    cx.receive_timeout(Duration::from_micros(50));
                    cx.send(parent, &round).unwrap();
                })
                .unwrap();
            } else {
                cx.spawn(async move |mut cx| {
                    cx.receive_timeout(Duration::from_micros(50)).await;
                    cx.send(parent, &round).unwrap();
                })
                .unwrap();
            }
            assert_eq!(expect::<u32>(&mut cx).await, round);
        }
    });
}

#[test]
fn blocking_forms_of_the_hosts_calls_are_refused_on_all_threads_that_run_processes() {
    bounded(1, |mut cx| async move {
        let refused = |vm: Vm| {
            assert_eq!(
                vm.run(async |_| ()).wait(),
                Err(RunError::OnSchedulerThread)
            );
            assert!(vm.shutdown(LIMIT).wait().is_none());
        };
        let other = || Vm::builder().schedulers(1).build().unwrap();
        // Green, then bound, then native.
        refused(other());
        let vm = other();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(50) {
            std::hint::spin_loop();
        }
        refused(vm);
        let vm = other();
        let (_, monitor) = spawn_monitored(&cx, move |_| refused(vm));
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        assert!(RunError::OnSchedulerThread.to_string().contains(".await"));
    });
}
