//! `processes/0`, and processes in numbers.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otp_vm::{
    Context, DEFAULT_MAX_PROCESSES, ExitReason, Pid, Priority, SpawnOptions, SuspendOptions, Vm,
};

use crate::common::{LIMIT, down, exit, idle, run};

const PRIORITIES: [Priority; 3] = [Priority::Low, Priority::Normal, Priority::High];

/// Processes that are made one after the other once all before them are gone, and killed one after the other.
const GENERATION: usize = 40;
const GENERATIONS: usize = 6;

/// What the killer has made so far, generation by generation.
type Made = Arc<Mutex<Vec<Vec<Pid>>>>;

/// Kills all of a generation and starts as many new ones, again and again.
async fn killer(mut cx: Context, made: Made) {
    cx.trap_exit(true);
    for _ in 0..GENERATIONS {
        made.lock().unwrap().push(Vec::new());
        let mut generation = Vec::new();
        for n in 0..GENERATION {
            let options = SpawnOptions::new().link().priority(PRIORITIES[n % 3]);
            let pid = cx.spawn_opt(options, idle).unwrap().pid;
            made.lock().unwrap().last_mut().unwrap().push(pid);
            generation.push(pid);
        }
        for pid in generation {
            cx.exit_process(pid, ExitReason::kill());
            assert_eq!(exit(&mut cx, pid).await, ExitReason::killed());
            assert!(!cx.vm().processes().contains(&pid), "it was gone before");
        }
    }
}

/// Lists until it is told to stop.
async fn lister(cx: Context, stop: Arc<AtomicBool>, lists: Arc<Mutex<Vec<Vec<Pid>>>>) {
    let mut own = Vec::new();
    while !stop.load(Ordering::Acquire) || own.is_empty() {
        own.push(cx.vm().processes());
        cx.yield_now().await;
    }
    check_in_order(&own);
    lists.lock().unwrap().append(&mut own);
}

/// By slot, none twice.
fn check_in_order(lists: &[Vec<Pid>]) {
    for list in lists {
        assert!(list.is_sorted_by(|a, b| a.index() < b.index()));
    }
}

/// Of the killer's work a list shows one moment: all that stood then, and nobody else. Those made up to it, or those
/// not yet killed, of one generation.
fn check_moment(list: &[Pid], made: &HashMap<Pid, (usize, usize)>) {
    let mut seen: Vec<(usize, usize)> = list
        .iter()
        .filter_map(|pid| made.get(pid).copied())
        .collect();
    seen.sort_unstable();
    let (Some(&first), Some(&last)) = (seen.first(), seen.last()) else {
        return;
    };
    assert_eq!(first.0, last.0, "one was made when the other was dead");
    assert_eq!(last.1 - first.1 + 1, seen.len(), "one is missing");
    let is_of_a_moment = first.1 == 0 || last.1 == GENERATION - 1;
    assert!(is_of_a_moment, "some are killed, and others not yet made");
}

/// Slots of a table of `limit` are taken at random by processes of all priorities, linked to a cleaner. While a killer
/// kills and starts others, processes of several priorities ask for the list: each list is of one moment.
fn processes_tab(limit: usize, standing: usize) {
    let vm = Vm::builder()
        .schedulers(2)
        .max_processes(limit)
        .build()
        .unwrap();
    let run = vm.run(move |mut cx| async move {
        cx.trap_exit(true);
        let tester = cx.pid();
        let (cleaner, cleaned) = cx
            .spawn_monitor(move |cx| async move {
                let mut stay = Vec::new();
                for n in 0..standing {
                    let options = SpawnOptions::new().link().priority(PRIORITIES[n % 3]);
                    let pid = cx.spawn_opt(options, idle).unwrap().pid;
                    // Every third slot, about, is given back, to be taken by the killer's.
                    if cx.random() % 3 == 0 {
                        cx.unlink(pid);
                        cx.exit_process(pid, ExitReason::kill());
                    } else {
                        stay.push(pid);
                    }
                }
                cx.send(tester, &stay).unwrap();
                idle(cx).await;
            })
            .unwrap();
        let mut stay: Vec<Pid> = crate::common::expect(&mut cx).await;
        stay.extend([cx.pid(), cleaner]);

        let (made, lists) = (Made::default(), Arc::new(Mutex::new(Vec::new())));
        let stop = Arc::new(AtomicBool::new(false));
        let mut monitors = Vec::new();
        for priority in [Priority::Low, Priority::High] {
            let (stop, lists) = (Arc::clone(&stop), Arc::clone(&lists));
            let options = SpawnOptions::new().monitor().priority(priority);
            let lister = cx.spawn_opt(options, move |cx| lister(cx, stop, lists));
            monitors.push(lister.unwrap().monitor.unwrap());
        }
        // Beside one that is suspended between its calls.
        let (suspended, of_suspended) = cx.spawn_monitor(lists_for_ever).unwrap();
        let options = SuspendOptions::new();
        assert_eq!(cx.suspend_process(suspended, options).await, Ok(true));

        let made_by_killer = Arc::clone(&made);
        let (_, of_killer) = cx
            .spawn_monitor(move |cx| killer(cx, made_by_killer))
            .unwrap();
        assert_eq!(down(&mut cx, of_killer).await, ExitReason::normal());
        stop.store(true, Ordering::Release);
        for monitor in monitors {
            assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
        }
        // And one that is killed while it lists: it tells nothing, and ends as it was told.
        let (killed, of_killed) = cx
            .spawn_monitor(move |cx| async move {
                cx.send(tester, "begun").unwrap();
                lists_for_ever(cx).await;
            })
            .unwrap();
        assert_eq!(crate::common::expect::<String>(&mut cx).await, "begun");
        cx.exit_process(killed, "got_him");
        assert_eq!(down(&mut cx, of_killed).await, "got_him".into());
        cx.resume_process(suspended).unwrap();
        cx.exit_process(suspended, ExitReason::kill());
        assert_eq!(down(&mut cx, of_suspended).await, ExitReason::killed());

        let made: HashMap<Pid, (usize, usize)> = made.lock().unwrap().iter().enumerate().fold(
            HashMap::new(),
            |mut all, (generation, pids)| {
                let numbered = pids.iter().enumerate();
                all.extend(numbered.map(|(n, &pid)| (pid, (generation, n))));
                all
            },
        );
        assert_eq!(made.len(), GENERATION * GENERATIONS);
        let lists = std::mem::take(&mut *lists.lock().unwrap());
        for list in &lists {
            let all: HashSet<Pid> = list.iter().copied().collect();
            assert!(stay.iter().all(|pid| all.contains(pid)), "one is missing");
            check_moment(list, &made);
        }
        // Nobody comes or goes any more but those that stay: the list is exactly this; and so it is one by one.
        let mut pids = cx.vm().processes();
        assert!(cx.vm().processes_iterator().eq(pids.iter().copied()));
        pids.sort_unstable();
        stay.sort_unstable();
        assert_eq!(pids, stay);
        assert!(cx.vm().system_info().process_count >= stay.len());
        cx.exit_process(cleaner, "cleaned");
        assert_eq!(down(&mut cx, cleaned).await, "cleaned".into());
    });
    run.wait().unwrap();
    assert_eq!(vm.system_info().process_limit, limit);
    vm.shutdown(LIMIT).wait();
}

async fn lists_for_ever(cx: Context) {
    loop {
        drop(cx.vm().processes());
        cx.yield_now().await;
    }
}

#[test]
fn processes_small_tab() {
    processes_tab(1024, 900);
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
