//! Processes in native code that never gives way.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::{bounded, down, expect};
use otp_vm::{Atom, Native, Policy, Vm};

/// Ends the loops when the test ends, however it does.
struct Flag(Arc<AtomicBool>);

impl Flag {
    fn new() -> Flag {
        Flag(Arc::new(AtomicBool::new(false)))
    }

    fn spin(&self) -> impl FnOnce() + Send + 'static {
        let flag = Arc::clone(&self.0);
        move || {
            while !flag.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        }
    }
}

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn processes_exchange_messages_beside_endless_loops() {
    bounded(2, |mut cx| async move {
        let flag = Flag::new();
        let loops: Vec<_> = (0..5)
            .map(|_| {
                let spin = flag.spin();
                let (_, monitor) = cx.spawn_monitor(|_| async move { spin() }).unwrap();
                monitor
            })
            .collect();
        let parent = cx.pid();
        let echo = cx.spawn_link(move |mut cx| async move {
            loop {
                let number: u32 = expect(&mut cx).await;
                cx.send(parent, &number).unwrap();
            }
        });
        let echo = echo.unwrap();
        for number in 0..100 {
            cx.send(echo, &number).unwrap();
            assert_eq!(expect::<u32>(&mut cx).await, number);
            cx.sleep(Duration::from_millis(1)).await;
        }
        drop(flag);
        for monitor in loops {
            assert_eq!(down(&mut cx, monitor).await.to_string(), "normal");
        }
    });
}

#[test]
fn a_shut_down_names_what_does_not_return() {
    for signal in [None, Some(40)] {
        let flag = Flag::new();
        let vm = Vm::builder()
            .schedulers(1)
            .gate_signal(signal)
            .kernel_policy(Policy::Normal)
            .max_bound(1)
            .build()
            .unwrap();
        let spin = flag.spin();
        let pid = vm.spawn(|_| async move { spin() }).unwrap();
        // The one scheduler goes on without it.
        let answer = vm.run(|_| async { 42 }).wait().unwrap();
        assert_eq!(answer, 42);
        let report = vm.shutdown(Duration::from_millis(50)).wait().unwrap();
        assert_eq!(report.stuck, [pid], "{report:?}");
        assert!(report.threads[0].contains("bound"), "{report:?}");
    }
}

/// Runs native code when it is dropped.
struct AtDrop<F: FnOnce()>(Option<F>);

impl<F: FnOnce()> Drop for AtDrop<F> {
    fn drop(&mut self) {
        if let Some(run) = self.0.take() {
            run();
        }
    }
}

/// Its timer fires between the slices of a scheduler.
#[test]
fn a_late_message_for_nobody_whose_destructor_does_not_return_holds_nobody_up() {
    bounded(1, |cx| async move {
        let flag = Flag::new();
        let gone = Atom::new("nobody_gets_it").unwrap();
        let (told, begins) = std::sync::mpsc::channel();
        let spin = flag.spin();
        let late = Native::new(AtDrop(Some(move || {
            told.send(()).unwrap();
            spin();
        })));
        cx.send_after(Duration::from_millis(1), gone, &late)
            .unwrap();
        // A scheduler that is in the destructor comes to no wait's end.
        while begins.try_recv().is_err() {
            cx.sleep(Duration::from_millis(1)).await;
        }
    });
}
