//! A `tracing` subscriber that panics. It belongs to the program, so its test is a program of its own.

mod common;

use common::{LIMIT, run};
use otp_vm::{Context, ExitReason};
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

struct Bomb;

impl Drop for Bomb {
    fn drop(&mut self) {
        panic!("boom");
    }
}

async fn reason(cx: &mut Context) -> ExitReason {
    let down = cx.receive_where(LIMIT, |message| message.down()).await;
    down.expect("a DOWN in time").reason
}

#[test]
fn processes_end_all_the_same() {
    tracing::subscriber::set_global_default(Panics).expect("the first one");
    run(|mut cx| async move {
        cx.spawn_monitor(|_| async { panic!("in the body") })
            .unwrap();
        assert!(reason(&mut cx).await.to_string().contains("in the body"));
        let (pid, _) = cx
            .spawn_monitor(|mut cx| async move {
                let _bomb = Bomb;
                cx.receive().await;
            })
            .unwrap();
        assert!(cx.is_alive(pid).await);
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(reason(&mut cx).await, ExitReason::killed());
    });
}
