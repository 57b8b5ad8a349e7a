//! Handlers, processes that are bound, and that a flood of events stays small.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use otp_vm::{
    Context, MAX_WAITING_SYSTEM_EVENTS, SystemEvent, SystemMonitor, SystemMonitorOptions, Vm,
};

use super::common::{LIMIT, bounded, down, expect};
use super::virtual_time::simulated_with;
use super::{event, monitor};

#[test]
fn a_process_that_becomes_bound_to_its_thread_is_told_of() {
    let stop = Arc::new(AtomicBool::new(false));
    bounded(2, move |mut cx| async move {
        monitor(&cx, SystemMonitorOptions::new().bound());
        let stopped = Arc::clone(&stop);
        let hog = cx
            .spawn(move |_: Context| async move {
                let begun = Instant::now();
                while !stopped.load(Ordering::Relaxed) && begun.elapsed() < 3 * LIMIT {
                    std::hint::spin_loop();
                }
            })
            .unwrap();
        let told = event(&mut cx, hog, "bound").await;
        assert_eq!(told, format!("{{monitor,{hog},bound,[]}}"));
        stop.store(true, Ordering::Relaxed);
    });
}

/// Many short mailboxes become long: an event each.
async fn many_events(cx: &mut Context, count: usize) {
    for _ in 0..count {
        cx.spawn_link(|mut cx| async move {
            cx.send(cx.pid(), &1).unwrap();
            cx.receive().await;
            cx.send(cx.parent(), "gone").unwrap();
        })
        .unwrap();
    }
}

#[test]
fn a_handler_that_does_not_return_holds_nobody_up_and_what_it_misses_is_counted() {
    let (out, told) = channel();
    let (release, released) = channel::<()>();
    let released = std::sync::Mutex::new(released);
    let panicked = AtomicBool::new(false);
    let options = SystemMonitorOptions::new().long_message_queue(0, 1);
    let handler = SystemMonitor::handler(options, move |event| {
        drop(out.send(event));
        // It blocks its thread.
        drop(released.lock().map(|released| released.recv()));
        if !panicked.swap(true, Ordering::SeqCst) {
            panic!("a handler's panic ends nobody");
        }
    });
    let vm = Vm::builder()
        .schedulers(2)
        .system_monitor(handler)
        .system_monitor_queue(4)
        .build()
        .unwrap();
    let run = vm.run(|mut cx| async move {
        // Its own mailbox becomes long as well.
        many_events(&mut cx, 50).await;
        for _ in 0..50 {
            expect::<String>(&mut cx).await;
        }
    });
    let first = told.recv_timeout(LIMIT).expect("it is called");
    assert!(matches!(
        first,
        SystemEvent::LongMessageQueue { is_long: true, .. }
    ));
    run.wait().expect("nobody is held up");
    let lost = vm.system_info().system_monitor_events_lost;
    assert!(lost >= 50, "{lost}");
    // Those that waited: four at some time, of which the first may have been one. It panicked meanwhile, and is called
    // for the next ones all the same.
    drop(release);
    for _ in 0..3 {
        told.recv_timeout(LIMIT).expect("it is called again");
    }
    // Without its handler, this is the last one's drop.
    drop(vm.set_system_monitor(None).unwrap());
    vm.shutdown(LIMIT).wait();
}

#[test]
fn a_monitor_that_does_not_receive_gets_no_more_than_its_mailbox_takes() {
    simulated_with(
        |vm| vm.system_monitor_queue(10_000),
        |mut cx: Context| async move {
            let deaf = cx
                .spawn_link(|cx| async move {
                    cx.sleep(Duration::from_secs(3600)).await;
                })
                .unwrap();
            let options = SystemMonitorOptions::new().long_message_queue(0, 1);
            let monitor = SystemMonitor::process(deaf, options);
            cx.vm().set_system_monitor(monitor).unwrap();
            // Two events each.
            let count = MAX_WAITING_SYSTEM_EVENTS / 2 + 100;
            many_events(&mut cx, count).await;
            for _ in 0..count {
                expect::<String>(&mut cx).await;
            }
            cx.sleep(Duration::from_secs(1)).await;
            let len = cx.process_info(deaf).unwrap().message_queue_len;
            assert_eq!(len, MAX_WAITING_SYSTEM_EVENTS);
            let lost = cx.vm().system_info().system_monitor_events_lost;
            assert!(lost >= 200, "{lost}");
        },
    );
}

/// The process is gone between the first look at it and the last.
#[test]
fn a_monitor_that_was_not_set_leaves_the_one_before() {
    bounded(2, |mut cx| async move {
        let options = SystemMonitorOptions::new().bound();
        for _ in 0..300 {
            let handler = SystemMonitor::handler(options, |_| {});
            cx.vm().set_system_monitor(handler).unwrap();
            let (ends, monitor) = cx.spawn_monitor(|_| async {}).unwrap();
            let process = SystemMonitor::process(ends, options);
            while cx.vm().set_system_monitor(process.clone()).is_ok() {
                let handler = SystemMonitor::handler(options, |_| {});
                cx.vm().set_system_monitor(handler).unwrap();
                otp_vm::checkpoint(1);
            }
            let left = cx.vm().system_monitor().expect("the handler");
            assert_eq!(left.pid(), None);
            down(&mut cx, monitor).await;
        }
    });
}
