//! A `tracing` subscriber that panics. It belongs to the program, so its test is a program of its own.

mod common;

use common::{Bomb, down, idle, run};
use otp_vm::ExitReason;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

struct Panics;

impl Subscriber for Panics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == "otp_vm::crash"
    }

    fn event(&self, _: &Event<'_>) {
        panic!("in the subscriber");
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[test]
fn processes_end_all_the_same() {
    tracing::subscriber::set_global_default(Panics).expect("the first one");
    run(|mut cx| async move {
        let (_, monitor) = cx
            .spawn_monitor(|_| async { panic!("in the body") })
            .unwrap();
        let reason = down(&mut cx, monitor).await;
        assert!(reason.to_string().contains("in the body"));
        let (pid, monitor) = cx
            .spawn_monitor(|cx| async move {
                let _bomb = Bomb;
                idle(cx).await;
            })
            .unwrap();
        assert!(cx.is_alive(pid).await);
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
    });
}
