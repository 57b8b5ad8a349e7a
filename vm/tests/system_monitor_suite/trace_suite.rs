//! The cases of trace_SUITE.

use std::time::Duration;

use otp_vm::{
    Context, ExitReason, QueueMarks, SpawnOptions, SystemMonitor, SystemMonitorError,
    SystemMonitorOptions,
};

use super::common::{bounded, down, expect, idle, run};
use super::virtual_time::simulated_with;
use super::{burn, collect_for, event, figure, keys, monitor};

fn present(cx: &Context) -> Option<(otp_vm::Pid, SystemMonitorOptions)> {
    let monitor = cx.vm().system_monitor()?;
    Some((monitor.pid().expect("a process"), monitor.options()))
}

/// What is no pid or no option does not compile.
#[test]
fn system_monitor_args() {
    simulated_with(
        |vm| vm,
        |mut cx: Context| async move {
            let vm = cx.vm().clone();
            let me = cx.pid();
            assert!(vm.system_monitor().is_none());
            // Zero is raised.
            let zero = SystemMonitorOptions::new()
                .long_gc(Duration::ZERO)
                .large_heap(0)
                .long_schedule(Duration::ZERO);
            monitor(&cx, zero);
            let (pid, raised) = present(&cx).unwrap();
            assert_eq!(pid, me);
            assert!(raised.long_gc.unwrap() > Duration::ZERO);
            assert!(raised.large_heap.unwrap() > 0);
            assert_eq!(raised.long_schedule, Some(Duration::from_millis(1)));

            // Each replaces all options, and gives what was set before.
            let ports = SystemMonitorOptions::new().busy_port().busy_dist_port();
            let all = ports.long_gc(Duration::from_millis(1)).large_heap(65535);
            let before = vm
                .set_system_monitor(SystemMonitor::process(me, all))
                .unwrap()
                .unwrap();
            assert_eq!((before.pid(), before.options()), (Some(me), raised));
            assert_eq!(present(&cx), Some((me, all)));
            vm.set_system_monitor(SystemMonitor::process(me, ports))
                .unwrap();
            assert_eq!(present(&cx), Some((me, ports)));

            // Nothing asked for is none, and so is `None`.
            monitor(&cx, SystemMonitorOptions::new());
            assert_eq!(present(&cx), None);
            vm.set_system_monitor(SystemMonitor::process(me, all))
                .unwrap();
            let before = vm.set_system_monitor(None).unwrap();
            assert_eq!(present(&cx), None);
            // As it was read.
            vm.set_system_monitor(before).unwrap();
            assert_eq!(present(&cx), Some((me, all)));

            // With the end of the process.
            let (other, watch) = cx.spawn_monitor(idle).unwrap();
            let before = vm
                .set_system_monitor(SystemMonitor::process(other, ports))
                .unwrap();
            assert_eq!(present(&cx), Some((other, ports)));
            cx.exit_process(other, ExitReason::kill());
            down(&mut cx, watch).await;
            assert_eq!(present(&cx), None);
            assert_eq!(
                vm.set_system_monitor(SystemMonitor::process(other, ports))
                    .unwrap_err(),
                SystemMonitorError::NoProcess
            );
            vm.set_system_monitor(before).unwrap();
            assert_eq!(present(&cx), Some((me, all)));
            // The end of one that was the monitor before changes nothing.
            let (other, watch) = cx.spawn_monitor(idle).unwrap();
            vm.set_system_monitor(SystemMonitor::process(other, ports))
                .unwrap();
            vm.set_system_monitor(SystemMonitor::process(me, all))
                .unwrap();
            cx.exit_process(other, ExitReason::kill());
            down(&mut cx, watch).await;
            assert_eq!(present(&cx), Some((me, all)));

            let marks = SystemMonitorOptions::new().long_message_queue(7, 7);
            assert_eq!(
                vm.set_system_monitor(SystemMonitor::process(me, marks))
                    .unwrap_err(),
                SystemMonitorError::QueueMarks {
                    disable: 7,
                    enable: 7
                }
            );
            assert_eq!(present(&cx), Some((me, all)), "an error changes nothing");
        },
    );
}

#[test]
fn more_system_monitor_args() {
    simulated_with(
        |vm| vm,
        |cx: Context| async move {
            for value in [
                64_000,
                (1_u64 << 27) - 1,
                (1 << 30) - 1,
                (1 << 31) - 1,
                (1 << 32) - 1,
            ] {
                let options = SystemMonitorOptions::new()
                    .long_gc(Duration::from_millis(value))
                    .large_heap(value as usize);
                monitor(&cx, options);
                let before = cx.vm().set_system_monitor(None).unwrap().unwrap();
                let options = before.options();
                assert_eq!(options.long_gc.unwrap().as_millis(), u128::from(value));
                assert_eq!(options.large_heap, Some(value as usize));
            }
            let marks = SystemMonitorOptions::new().long_message_queue(0, usize::MAX);
            let QueueMarks {
                disable, enable, ..
            } = marks.long_message_queue.unwrap();
            assert_eq!((disable, enable), (0, usize::MAX));
        },
    );
}

/// The sizes that OTP tells.
const SIZES: [&str; 6] = [
    "heap_size",
    "old_heap_size",
    "stack_size",
    "mbuf_size",
    "heap_block_size",
    "old_heap_block_size",
];

const LONG: Duration = Duration::from_millis(40);

/// The monitor is not told of itself: what comes is about the next one. The collection is slow by a destructor.
#[test]
fn system_monitor_long_gc_1() {
    run(|mut cx| async move {
        monitor(
            &cx,
            SystemMonitorOptions::new().long_gc(Duration::from_millis(1)),
        );
        collect_for(&cx, LONG);
        let other = cx
            .spawn(|cx| async move {
                collect_for(&cx, LONG);
            })
            .unwrap();
        event(&mut cx, other, "long_gc").await;
        assert_eq!(cx.message_queue_len(), 0);
    });
}

#[test]
fn system_monitor_long_gc_2() {
    run(|mut cx| async move {
        monitor(
            &cx,
            SystemMonitorOptions::new().long_gc(Duration::from_millis(1)),
        );
        for _ in 0..3 {
            let other = cx
                .spawn_link(|mut cx| async move {
                    cx.receive().await;
                    collect_for(&cx, LONG);
                    idle(cx).await;
                })
                .unwrap();
            cx.send(other, &()).unwrap();
            let event = event(&mut cx, other, "long_gc").await;
            let timeout = figure(&event, "timeout");
            assert!((40..20_000).contains(&timeout), "{event}");
            assert_eq!(keys(&event)[0], "timeout");
            assert_eq!(keys(&event)[1..], SIZES);
        }
    });
}

/// Cells of a list have two words each.
const CELLS: usize = 70_000;

fn keep_much(cx: &Context) {
    let numbers = vec![1_u8; CELLS];
    let _kept = cx.heap().keep_value(numbers.as_slice()).unwrap();
    cx.garbage_collect();
}

#[test]
fn system_monitor_large_heap_1() {
    run(|mut cx| async move {
        monitor(&cx, SystemMonitorOptions::new().large_heap(65535));
        keep_much(&cx);
        let other = cx
            .spawn(|cx| async move {
                keep_much(&cx);
            })
            .unwrap();
        event(&mut cx, other, "large_heap").await;
        assert_eq!(cx.message_queue_len(), 0);
    });
}

/// A heap of the least size is not made in advance here, so the process keeps as much.
#[test]
fn system_monitor_large_heap_2() {
    run(|mut cx| async move {
        monitor(&cx, SystemMonitorOptions::new().large_heap(65535));
        let options = SpawnOptions::new().link().min_heap_size(131_070);
        let other = cx
            .spawn_opt(options, |cx| async move {
                for number in 0..3 {
                    cx.send(cx.pid(), &number).unwrap();
                }
                while cx.message_queue_len() < 3 {}
                keep_much(&cx);
                idle(cx).await;
            })
            .unwrap()
            .pid;
        let event = event(&mut cx, other, "large_heap").await;
        assert_eq!(keys(&event), SIZES);
        let words = 2 * CELLS as u64;
        assert!(figure(&event, "heap_size") >= words, "{event}");
        assert!(
            figure(&event, "heap_block_size") >= figure(&event, "heap_size"),
            "{event}"
        );
        assert!(figure(&event, "mbuf_size") >= 3, "{event}");
        assert_eq!(cx.message_queue_len(), 0, "once for a collection");
    });
}

/// Without the part about ports.
#[test]
fn system_monitor_long_schedule() {
    bounded(2, |mut cx| async move {
        let threshold = Duration::from_millis(100);
        monitor(&cx, SystemMonitorOptions::new().long_schedule(threshold));
        let options = SpawnOptions::new().link().label("sleeps_long");
        let other = cx
            .spawn_opt(options, move |cx| async move {
                burn(2 * threshold);
                cx.send(cx.parent(), "over").unwrap();
                idle(cx).await;
            })
            .unwrap()
            .pid;
        let event = event(&mut cx, other, "long_schedule").await;
        assert!(figure(&event, "timeout") >= 90, "{event}");
        // The name has braces of its own.
        assert_eq!(keys(&event)[..5], ["timeout", "in", "out", "bound", "name"]);
        assert!(event.contains("sleeps_long"), "{event}");
        assert_eq!(expect::<String>(&mut cx).await, "over");

        // Taken back, nothing is told any more: the handler would be called for the second one.
        let before = cx.vm().set_system_monitor(None).unwrap();
        assert_eq!(before.unwrap().options().long_schedule, Some(threshold));
        let (out, told) = std::sync::mpsc::channel();
        let options = SystemMonitorOptions::new().bound();
        let handler = SystemMonitor::handler(options, move |event| drop(out.send(event)));
        cx.vm().set_system_monitor(handler).unwrap();
        let again = cx
            .spawn(move |_| async move { burn(2 * threshold) })
            .unwrap();
        while cx.is_alive(again).await {}
        let told: Vec<_> = told.try_iter().collect();
        let is_bound =
            |event: &otp_vm::SystemEvent| *event == otp_vm::SystemEvent::Bound { pid: again };
        assert!(told.iter().all(is_bound), "{told:?}");
    });
}
