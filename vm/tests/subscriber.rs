//! A `tracing` subscriber that panics. It belongs to the program, so its test is a program of its own.

mod common;

use std::pin::Pin;
use std::sync::{Arc, Once, mpsc};
use std::task::{self, Wake, Waker};
use std::time::Duration;

use common::{Bomb, LIMIT, down, idle, run};
use otp_vm::{ExitReason, Vm};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

struct Panics;

impl Subscriber for Panics {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("otp_vm::")
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

struct Rings;

impl Wake for Rings {
    fn wake(self: Arc<Self>) {
        panic!("in a waker");
    }
}

struct Tells(mpsc::Sender<()>);

impl Wake for Tells {
    fn wake(self: Arc<Self>) {
        let _ = self.0.send(());
    }
}

fn install() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing::subscriber::set_global_default(Panics).expect("the first one");
    });
}

#[test]
fn processes_end_all_the_same() {
    install();
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

#[test]
fn a_shut_down_ends_all_the_same() {
    install();
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let (release, released) = mpsc::channel::<()>();
    let (tell, told) = mpsc::channel();
    // Native code that doesn't return while the VM is there: the shut-down reports it.
    vm.spawn(move |_| async move {
        tell.send(()).unwrap();
        let _ = released.recv();
    })
    .unwrap();
    told.recv_timeout(LIMIT).unwrap();
    let shutdown = vm.shutdown(Duration::ZERO);
    // Who else waits for it has a waker that panics, and comes first.
    let mut other = vm.shutdown(Duration::ZERO);
    let waker = Waker::from(Arc::new(Rings));
    let polled = Pin::new(&mut other).poll(&mut task::Context::from_waker(&waker));
    assert!(polled.is_pending());
    let (woken, is_woken) = mpsc::channel();
    let waker = Waker::from(Arc::new(Tells(woken)));
    let polled = Pin::new(&mut other).poll(&mut task::Context::from_waker(&waker));
    assert!(polled.is_pending());
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || done.send(shutdown.wait()));
    // Each of the panics on the way prints its frames, which takes its time on a loaded machine.
    let report = is_done.recv_timeout(3 * LIMIT).expect("an end in time");
    assert_eq!(report.unwrap().stuck.len(), 1);
    is_woken.recv_timeout(LIMIT).expect("woken all the same");
    drop(release);
}
