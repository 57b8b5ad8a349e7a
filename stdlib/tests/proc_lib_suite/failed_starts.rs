//! Starts that fail, on threads.

use crate::common::*;

use std::time::Duration;

use otp_stdlib::StartError;
use otp_stdlib::proc_lib::{self, Refusal, StartOptions, Starter};
use otp_vm::Context;

async fn ready(mut cx: Context) {
    Starter::receive(&mut cx).await.init_ack(&cx);
    for_ever(&mut cx).await;
}

#[test]
fn a_start_gives_the_pid_or_why_there_is_none() {
    run(async |mut cx: Context| {
        let pid = proc_lib::start(&mut cx, ready).await.unwrap();
        assert!(cx.vm().is_alive(pid));
        assert!(cx.vm().process_info(pid).unwrap().links.is_empty());

        // It ends without an answer: its reason is the error.
        let error = proc_lib::start(&mut cx, async |_| reason("bad"))
            .await
            .unwrap_err();
        assert_eq!(error, StartError::Exit(reason("bad")));

        // It says no.
        let refuses = async |mut cx: Context| {
            Starter::receive(&mut cx)
                .await
                .init_fail(&cx, Refusal::Error(reason("no")));
        };
        let error = proc_lib::start(&mut cx, refuses).await.unwrap_err();
        assert_eq!(error, StartError::Exit(reason("no")));
        assert!(cx.receive_timeout(Duration::ZERO).await.is_none());
    });
}

#[test]
fn a_linked_start_gives_the_pid_or_why_there_is_none() {
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        let pid = proc_lib::start_link(&mut cx, ready).await.unwrap();
        assert_eq!(cx.vm().process_info(pid).unwrap().links, [cx.pid()]);

        let error = proc_lib::start_link(&mut cx, async |_| reason("bad"))
            .await
            .unwrap_err();
        assert_eq!(error, StartError::Exit(reason("bad")));
        assert!(
            cx.receive_timeout(Duration::ZERO).await.is_none(),
            "no EXIT is left behind"
        );
    });
}

#[test]
fn a_failed_start_is_gone_before_it_returns() {
    run(async |mut cx: Context| {
        for _ in 0..200 {
            let refuses = async |mut cx: Context| {
                cx.register("refuses", cx.pid()).unwrap();
                Starter::receive(&mut cx)
                    .await
                    .init_fail(&cx, Refusal::Ignore);
                // Its answer is out; it takes its time to end.
                cx.yield_now().await;
            };
            assert_eq!(
                proc_lib::start(&mut cx, refuses).await,
                Err(StartError::Ignore)
            );
            assert_eq!(cx.whereis("refuses"), None);
        }
    });
}

#[test]
fn who_takes_too_long_is_gone() {
    run(async |mut cx: Context| {
        for link in [false, true] {
            let options = StartOptions::new()
                .link(link)
                .timeout(Duration::from_millis(5))
                .label("late");
            let late = async |mut cx: Context| {
                cx.trap_exit(true);
                cx.register("late", cx.pid()).unwrap();
                for_ever(&mut cx).await;
            };
            let error = proc_lib::start_opt(&mut cx, options, late)
                .await
                .unwrap_err();
            assert_eq!(error, StartError::Timeout);
            assert_eq!(cx.whereis("late"), None, "it was killed, and is gone");
        }
        assert!(cx.receive_timeout(Duration::ZERO).await.is_none());
    });
}

#[test]
fn a_child_that_dies_at_once_never_hangs_its_starter() {
    // A child that dies at once, before or after the request to begin, never hangs its starter.
    run(async |mut cx: Context| {
        for _ in 0..500 {
            let error = proc_lib::start(&mut cx, async |_| reason("die"))
                .await
                .unwrap_err();
            assert_eq!(error, StartError::Exit(reason("die")));
        }
    });
}

#[test]
fn a_starter_that_dies_takes_a_linked_start_along() {
    run(async |mut cx: Context| {
        let me = cx.pid();
        let (parent, monitor) = cx
            .spawn_monitor(move |mut cx: Context| async move {
                let hangs = move |mut cx: Context| async move {
                    cx.send(me, &Event::Started("hangs".into(), cx.pid()))
                        .unwrap();
                    for_ever(&mut cx).await;
                };
                let _ = proc_lib::start_link(&mut cx, hangs).await;
            })
            .unwrap();
        let child = started(&mut cx, "hangs").await;
        let child = cx.monitor(child);
        cx.exit_process(parent, reason("parent"));
        assert_eq!(down(&mut cx, monitor).await, reason("parent"));
        assert_eq!(down(&mut cx, child).await, reason("parent"));
    });
}

#[test]
fn a_body_that_ends_at_once_tells_why() {
    // It may be gone before the request to begin comes: the reason is not lost.
    run(async |mut cx: Context| {
        cx.trap_exit(true);
        for _ in 0..500 {
            let error = proc_lib::start_link(&mut cx, async |_| reason("die"))
                .await
                .unwrap_err();
            assert_eq!(error, StartError::Exit(reason("die")));
        }
        assert!(
            cx.receive_timeout(Duration::ZERO).await.is_none(),
            "no EXIT is left behind"
        );
    });
}
