//! Closures on the VM's blocking pool.

mod common;

use std::sync::mpsc::channel;

use common::{LIMIT, bounded, down, expect};
use otp_vm::{ExitReason, JoinError};

#[test]
fn a_process_awaits_a_closure_that_blocks() {
    bounded(1, |mut cx| async move {
        let (release, released) = channel::<()>();
        let parent = cx.pid();
        cx.spawn_link(move |cx| async move {
            let value = cx.blocking(move || released.recv_timeout(LIMIT)).await;
            value.unwrap().unwrap();
            cx.send(parent, &"done").unwrap();
        })
        .unwrap();
        // The one scheduler is free meanwhile.
        cx.sleep(std::time::Duration::from_millis(1)).await;
        release.send(()).unwrap();
        assert_eq!(expect::<String>(&mut cx).await, "done");
    });
}

#[test]
fn a_panic_in_a_closure_is_an_error_and_ends_nobody() {
    bounded(1, |cx| async move {
        let result = cx.blocking(|| panic!("boom")).await;
        assert_eq!(result, Err::<(), _>(JoinError::Panicked("boom".to_owned())));
    });
}

#[test]
fn the_closure_of_a_process_that_is_killed_runs_on() {
    bounded(1, |mut cx| async move {
        let (release, released) = channel::<()>();
        let (began, begins) = channel();
        let (ran, runs) = channel();
        let (pid, monitor) = cx
            .spawn_monitor(|cx| async move {
                let closure = move || {
                    began.send(()).unwrap();
                    released.recv_timeout(LIMIT).unwrap();
                    ran.send(()).unwrap();
                };
                cx.blocking(closure).await.unwrap();
                unreachable!("it was killed");
            })
            .unwrap();
        let begun = cx.blocking(move || begins.recv_timeout(LIMIT)).await;
        begun.unwrap().unwrap();
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        release.send(()).unwrap();
        let ran = cx.blocking(move || runs.recv_timeout(LIMIT)).await;
        ran.unwrap().unwrap();
    });
}

#[test]
fn a_thread_of_the_pool_may_wait_for_a_process() {
    bounded(1, |cx| async move {
        let vm = cx.vm().clone();
        let waited = cx.blocking(move || vm.run(|_| async { 7 }).wait()).await;
        assert_eq!(waited.unwrap().unwrap(), 7);
    });
}
