//! `processes/0`, and processes in numbers.

use std::collections::HashSet;
use std::time::Duration;

use otp_vm::{Context, DEFAULT_MAX_PROCESSES, ExitReason, Pid, Priority, SpawnOptions, Vm};

use crate::common::{LIMIT, down, idle, run};

/// Processes of all priorities come and go while others ask for the list, in tables of several sizes. Each answer has
/// all that were there before and after it, none twice, and none that was gone before it or came after it.
fn processes_tab(limit: usize, standing: usize) {
    let vm = Vm::builder()
        .schedulers(2)
        .max_processes(limit)
        .build()
        .unwrap();
    let run = vm.run(move |mut cx| async move {
        let priorities = [Priority::Low, Priority::Normal, Priority::High];
        let make = |cx: &Context, n: usize| {
            let options = SpawnOptions::new().link().priority(priorities[n % 3]);
            cx.spawn_opt(options, idle).unwrap().pid
        };
        cx.trap_exit(true);
        let stay: Vec<Pid> = (0..standing).map(|n| make(&cx, n)).collect();
        let mut gone = HashSet::new();
        // Killed before any call.
        for n in 0..standing / 10 {
            let pid = make(&cx, n);
            cx.exit_process(pid, ExitReason::kill());
            crate::common::exit(&mut cx, pid).await;
            gone.insert(pid);
        }
        let (killer, killed) = cx
            .spawn_monitor(move |mut cx| async move {
                cx.trap_exit(true);
                for n in 0..200 {
                    let options = SpawnOptions::new().link().priority(priorities[n % 3]);
                    let pid = cx.spawn_opt(options, idle).unwrap().pid;
                    cx.yield_now().await;
                    cx.exit_process(pid, ExitReason::kill());
                    crate::common::exit(&mut cx, pid).await;
                    assert!(!cx.vm().processes().contains(&pid), "it was gone before");
                }
            })
            .unwrap();
        let askers = [Priority::Low, Priority::High].map(|priority| {
            let options = SpawnOptions::new().monitor().priority(priority);
            let stay = stay.clone();
            let asks = move |cx: Context| async move {
                for _ in 0..20 {
                    check(&cx.vm().processes(), &stay, &HashSet::new());
                    cx.yield_now().await;
                }
            };
            cx.spawn_opt(options, asks).unwrap().monitor.unwrap()
        });
        for _ in 0..50 {
            let pids = cx.vm().processes();
            check(&pids, &stay, &gone);
            assert!(pids.contains(&cx.pid()));
            cx.yield_now().await;
        }
        for monitor in [killed, askers[0], askers[1]] {
            assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        }
        let _ = killer;
        // Nobody comes or goes any more but those that stay: the list is exactly this.
        let mut pids = cx.vm().processes();
        let mut expected = stay.clone();
        expected.push(cx.pid());
        pids.sort_unstable();
        expected.sort_unstable();
        assert_eq!(pids, expected);
        assert!(cx.vm().system_info().process_count >= expected.len());
    });
    run.wait().unwrap();
    assert_eq!(vm.system_info().process_limit, limit);
    vm.shutdown(LIMIT).wait();
}

fn check(pids: &[Pid], stay: &[Pid], gone: &HashSet<Pid>) {
    let all: HashSet<Pid> = pids.iter().copied().collect();
    assert_eq!(all.len(), pids.len(), "one is there twice");
    assert!(stay.iter().all(|pid| all.contains(pid)), "one is missing");
    assert!(gone.is_disjoint(&all), "one is dead");
}

#[test]
fn processes_small_tab() {
    processes_tab(1024, 800);
}

#[test]
fn processes_this_tab() {
    processes_tab(5000, 4000);
}

#[test]
fn processes_default_tab() {
    processes_tab(DEFAULT_MAX_PROCESSES, 10_000);
}

#[test]
fn processes_large_tab() {
    processes_tab(1_000_000, 50_000);
}

/// A process whose destructors run is no process any more for who asks for the list.
#[test]
fn processes_leave_out_those_that_are_ending() {
    struct Ending(Vm, Pid, Pid);
    impl Drop for Ending {
        fn drop(&mut self) {
            let is_listed = self.0.processes().contains(&self.1);
            self.0.send(self.2, &is_listed).unwrap();
        }
    }
    run(|mut cx| async move {
        let me = cx.pid();
        let pid = cx
            .spawn(move |cx| async move {
                let _ending = Ending(cx.vm().clone(), cx.pid(), me);
                cx.send(me, &true).unwrap();
                idle(cx).await;
            })
            .unwrap();
        assert!(crate::common::expect::<bool>(&mut cx).await);
        cx.exit_process(pid, ExitReason::kill());
        assert!(!crate::common::expect::<bool>(&mut cx).await);
    });
}

#[test]
fn spawn_with_binaries() {
    run(|mut cx| async move {
        for _ in 0..150 {
            let binary = vec![7_u8; 2 << 20];
            let (_, monitor) = cx
                .spawn_monitor(move |_| async move { assert_eq!(binary[0], 7) })
                .unwrap();
            assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        }
        cx.sleep(Duration::from_millis(1)).await;
        assert_eq!(cx.vm().processes(), [cx.pid()]);
    });
}
