//! The program's code fails where it hurts most: what stays whole then. `docs/faults.md` has the table.

mod common;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{self, Wake};
use std::time::Duration;

use common::{LIMIT, bounded, down, run};
use otp_vm::{Context, ExitReason, Native, Vm, checkpoint};

/// Panics when it is dropped.
struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("a destructor");
    }
}

#[test]
fn a_resource_whose_destructor_panics_changes_no_reason() {
    run(|mut cx| async move {
        let (pid, monitor) = cx
            .spawn_monitor(|mut cx: Context| async move {
                let word: String = common::expect(&mut cx).await;
                ExitReason::from(word)
            })
            .unwrap();
        cx.send(pid, "as it was to be").unwrap();
        // They lie in its mailbox when it ends.
        for _ in 0..3 {
            cx.send(pid, &Native::new(Bomb)).unwrap();
        }
        assert_eq!(down(&mut cx, monitor).await, "as it was to be".into());
        // Sent to nobody, it is dropped in its sender, and no more is it that one's panic.
        let (_, monitor) = cx
            .spawn_monitor(move |cx: Context| async move {
                cx.send(pid, &Native::new(Bomb)).unwrap();
            })
            .unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn a_waker_that_panics_ends_nobody() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker");
        }
    }
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let mut first = vm.run(|mut cx| async move { cx.receive().await.decode::<u8>().unwrap() });
    let pid = vm.processes()[0];
    let waker = Arc::new(Panics).into();
    let mut task = task::Context::from_waker(&waker);
    assert!(Pin::new(&mut first).poll(&mut task).is_pending());
    vm.send(pid, &7).unwrap();
    assert_eq!(first.wait(), Ok(7));
    assert_eq!(vm.run(|_| async { 8 }).wait(), Ok(8));
    assert!(vm.shutdown(LIMIT).wait().unwrap().is_orderly());
}

#[test]
fn a_report_handler_that_panics_ends_nobody() {
    let vm = Vm::builder()
        .schedulers(1)
        .report_handler(|_| panic!("a handler"))
        .build()
        .unwrap();
    let run = vm.run(|cx| async move {
        cx.vm().report(&"a report");
        9
    });
    assert_eq!(run.wait(), Ok(9));
}

/// A body that is dropped is its process's own work, and gives way: by ticks, and by the clock.
#[test]
fn a_body_whose_drop_loops_leaves_others_their_turns() {
    static BEGAN: AtomicBool = AtomicBool::new(false);
    static ENOUGH: AtomicBool = AtomicBool::new(false);
    struct Loops;
    impl Drop for Loops {
        fn drop(&mut self) {
            BEGAN.store(true, Ordering::SeqCst);
            while !ENOUGH.load(Ordering::SeqCst) {
                checkpoint(1);
            }
        }
    }
    bounded(1, |mut cx| async move {
        let (pid, monitor) = cx
            .spawn_monitor(|mut cx: Context| async move {
                let _loops = Loops;
                cx.receive().await;
            })
            .unwrap();
        // Once it waits there is something to drop.
        while cx.process_info(pid).unwrap().status != otp_vm::Status::Waiting {
            cx.yield_now().await;
        }
        cx.exit_process(pid, ExitReason::shutdown());
        while !BEGAN.load(Ordering::SeqCst) {
            cx.yield_now().await;
        }
        // Others run meanwhile, on the one scheduler; whoever watches it waits for its end.
        let other = cx
            .spawn(|cx: Context| async move { cx.yield_now().await })
            .unwrap();
        let of_other = cx.monitor(other);
        down(&mut cx, of_other).await;
        let early = cx.receive_timeout(Duration::ZERO).await;
        assert!(early.is_none(), "it is not gone yet");
        ENOUGH.store(true, Ordering::SeqCst);
        assert_eq!(down(&mut cx, monitor).await, ExitReason::shutdown());
    });
}
