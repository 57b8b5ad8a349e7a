//! Processes that keep a scheduler for long, and figures of the schedulers.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use common::LIMIT;
use otp_vm::{
    Context, LongSlice, Pid, SpawnOptions, SystemEvent, SystemMonitor, SystemMonitorOptions, Vm,
};

const THRESHOLD: Duration = Duration::from_millis(20);

fn telling() -> (Vm, Receiver<(Pid, LongSlice)>) {
    let (out, slices) = channel();
    let options = SystemMonitorOptions::new().long_schedule(THRESHOLD);
    let monitor = SystemMonitor::handler(options, move |event| {
        if let SystemEvent::LongSchedule { pid, slice } = event {
            drop(out.send((pid, slice)));
        }
    });
    let vm = Vm::builder()
        .schedulers(1)
        .system_monitor(monitor)
        .build()
        .expect("a VM");
    (vm, slices)
}

/// Native code that ends by a flag; and it ends when the test fails.
fn spin(stop: &AtomicBool) {
    let begun = Instant::now();
    while !stop.load(Ordering::Relaxed) && begun.elapsed() < 3 * LIMIT {
        std::hint::spin_loop();
    }
}

fn burn(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

#[test]
fn a_process_that_never_gives_way_is_named_with_its_pid_label_and_function() {
    let (vm, slices) = telling();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let options = SpawnOptions::new().label("miner");
    let spinner = move |_: Context| async move { spin(&stopped) };
    let pid = vm.spawn_opt(options, spinner).expect("a process");
    let (told, slice) = slices.recv_timeout(LIMIT).expect("an event");
    assert_eq!(told, pid);
    assert!(slice.bound && !slice.is_over, "{slice:?}");
    let name = &slice.task.name;
    assert!(name.starts_with(&format!("{pid} (miner): ")), "{name}");
    let function = "a_process_that_never_gives_way_is_named_with_its_pid_label_and_function";
    assert!(name.contains(function), "{name}");
    let longest = vm.system_info().schedulers_figures.longest_slice;
    assert_eq!(longest.map(|slice| slice.task.id), Some(pid.as_u64()));
    let info = vm.process_info(pid).expect("it runs");
    assert!(name.ends_with(info.initial_call), "{name}");
    stop.store(true, Ordering::Relaxed);
    vm.shutdown(LIMIT).wait();
}

#[test]
fn a_process_is_named_though_its_long_slice_was_its_last() {
    let vm = Vm::builder().schedulers(1).build().expect("a VM");
    let begun = Instant::now();
    let mut pids = Vec::new();
    // On a machine under load the monitor may miss some.
    let longest = loop {
        pids.push(vm.spawn(|_| async { burn(THRESHOLD) }).expect("a process"));
        let longest = vm.system_info().schedulers_figures.longest_slice;
        if let Some(longest) = longest.filter(|slice| slice.is_over) {
            break longest;
        }
        assert!(begun.elapsed() < LIMIT, "no long slice is found");
        std::thread::sleep(THRESHOLD);
    };
    let pid = Pid::from_u64(longest.task.id);
    assert!(pids.contains(&pid), "{longest:?}");
    assert!(longest.task.name.contains("its_last"), "{longest:?}");
    vm.shutdown(LIMIT).wait();
}

#[test]
fn a_run_is_named_after_the_hosts_function() {
    let (vm, slices) = telling();
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let run = vm.run(move |_| async move { spin(&stopped) });
    let (_, slice) = slices.recv_timeout(LIMIT).expect("an event");
    let name = slice.task.name;
    assert!(
        name.contains("a_run_is_named_after_the_hosts_function"),
        "{name}"
    );
    stop.store(true, Ordering::Relaxed);
    run.wait().expect("it ends by the flag");
    vm.shutdown(LIMIT).wait();
}

#[test]
fn wall_time_and_run_queues_have_an_entry_for_each_scheduler() {
    let vm = Vm::builder().schedulers(2).build().expect("a VM");
    let before = vm.statistics();
    assert_eq!(
        before.run_queue_lengths.len(),
        3,
        "and one for the common queue"
    );
    assert_eq!(before.scheduler_wall_time.len(), 2);
    vm.run(|_| async { burn(Duration::from_millis(3)) })
        .wait()
        .expect("it ends");
    let spent = vm.statistics().since(&before);
    let busy: Duration = spent.scheduler_wall_time.iter().map(|time| time.busy).sum();
    assert!(busy >= Duration::from_millis(1), "{busy:?}");
    vm.shutdown(LIMIT).wait();
}
