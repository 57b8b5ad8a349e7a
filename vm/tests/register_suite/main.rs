//! Cases of register_SUITE.

#[path = "../common/mod.rs"]
mod common;

use std::sync::mpsc;

use common::{bounded, idle, run};
use otp_vm::{Context, ExitReason};

/// OTP has a million.
const ROUNDS: usize = 20_000;

async fn rounds(cx: Context) {
    for _ in 0..ROUNDS {
        let pid = cx.spawn(idle).unwrap();
        if cx.register("otp_8099", pid).is_err() {
            let before = cx.whereis("otp_8099");
            cx.unregister("otp_8099");
            if let Some(before) = before {
                cx.exit_process(before, ExitReason::kill());
            }
            cx.register("otp_8099", pid).expect("the name is free now");
        }
        assert_eq!(cx.whereis("otp_8099"), Some(pid));
        cx.exit_process(pid, ExitReason::kill());
    }
}

#[test]
fn otp_8099() {
    run(rounds);
}

/// The window that the case looks for, as long as one likes.
#[test]
fn otp_8099_a_name_is_taken_from_a_process_that_is_dropping_its_body() {
    struct Slow(mpsc::Sender<()>, mpsc::Receiver<()>);
    impl Drop for Slow {
        fn drop(&mut self) {
            self.0.send(()).unwrap();
            self.1.recv().unwrap();
        }
    }
    bounded(2, |cx| async move {
        let (dropping, is_dropping) = mpsc::channel();
        let (go_on, goes_on) = mpsc::channel();
        let slow = Slow(dropping, goes_on);
        let dying = cx
            .spawn(|cx| async move {
                let _slow = slow;
                idle(cx).await;
            })
            .unwrap();
        cx.register("slow", dying).unwrap();
        // It has begun, and so has the value.
        while cx.process_info(dying).unwrap().status != otp_vm::Status::Waiting {
            cx.yield_now().await;
        }
        cx.exit_process(dying, ExitReason::kill());
        is_dropping.recv().unwrap();
        assert_eq!(cx.whereis("slow"), Some(dying));
        let next = cx.spawn(idle).unwrap();
        cx.register("slow", next).unwrap_err();
        assert_eq!(cx.unregister("slow"), Some(dying));
        cx.register("slow", next).unwrap();
        go_on.send(()).unwrap();
        while cx.process_info(dying).is_some() {
            cx.yield_now().await;
        }
        assert_eq!(cx.whereis("slow"), Some(next));
    });
}
