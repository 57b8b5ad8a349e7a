//! Stops, by pid and by name.

use std::time::Duration;

use otp_stdlib::proc_lib::{self, StopError};
use otp_vm::{Context, ExitReason, Pid, Timeout};

use crate::common::down;
use crate::{SECOND, atom, nothing_comes, simulate};

#[derive(Clone, Copy)]
enum When {
    Ends,
    Dies,
    Hangs,
    EndsLater,
    Panics,
}

/// A process that does so when it is asked to end.
fn asked(cx: &Context, when: When) -> Pid {
    let body = move |mut cx: Context| async move {
        loop {
            let message = cx.receive().await;
            let Some(reason) = proc_lib::terminate_request(&message) else {
                continue;
            };
            match when {
                When::Ends => return reason,
                When::Dies => cx.exit(atom("die")),
                When::Hangs => {}
                When::EndsLater => {
                    cx.sleep(Duration::from_secs(5)).await;
                    return reason;
                }
                When::Panics => panic!("on the way out"),
            }
        }
    };
    proc_lib::spawn(cx, body).unwrap()
}

#[test]
fn stop() {
    simulate(|mut cx, _| async move {
        let normal = ExitReason::normal;
        let noproc = Err(StopError::Exit(ExitReason::noproc()));
        let ever = Timeout::Infinity;

        let pid = asked(&cx, When::Ends);
        assert_eq!(proc_lib::stop(&mut cx, pid, normal(), ever).await, Ok(()));
        assert!(!cx.is_alive(pid).await);
        assert_eq!(proc_lib::stop(&mut cx, pid, normal(), ever).await, noproc);

        let pid = asked(&cx, When::Dies);
        let died = proc_lib::stop(&mut cx, pid, normal(), ever).await;
        assert_eq!(died, Err(StopError::Exit(atom("die").into())));

        let pid = asked(&cx, When::Hangs);
        let begun = cx.monotonic_time();
        let hung = proc_lib::stop(&mut cx, pid, normal(), SECOND).await;
        assert_eq!(hung, Err(StopError::Timeout));
        assert!(cx.monotonic_time() - begun >= SECOND.as_nanos() as u64);
        assert!(cx.is_alive(pid).await);
        cx.exit_process(pid, ExitReason::kill());

        // The request was sent all the same.
        let pid = asked(&cx, When::EndsLater);
        let monitor = cx.monitor(pid);
        let late = proc_lib::stop(&mut cx, pid, normal(), Duration::ZERO).await;
        assert_eq!(late, Err(StopError::Timeout));
        assert!(cx.is_alive(pid).await);
        assert_eq!(down(&mut cx, monitor).await, normal());

        let pid = asked(&cx, When::Ends);
        let other = ExitReason::from(atom("other_reason"));
        let monitor = cx.monitor(pid);
        assert_eq!(
            proc_lib::stop(&mut cx, pid, other.clone(), ever).await,
            Ok(())
        );
        assert_eq!(down(&mut cx, monitor).await, other);

        let pid = asked(&cx, When::Panics);
        match proc_lib::stop(&mut cx, pid, normal(), ever).await {
            Err(StopError::Exit(reason)) => {
                assert!(
                    reason
                        .to_string()
                        .starts_with("{panic,<<\"on the way out\">>,")
                );
            }
            other => panic!("it panicked, and yet {other:?}"),
        }
        assert!(!cx.is_alive(pid).await);

        let pid = asked(&cx, When::Ends);
        cx.register("to_be_stopped", pid).unwrap();
        let stopped = proc_lib::stop(&mut cx, "to_be_stopped", normal(), ever).await;
        assert_eq!(stopped, Ok(()));
        assert_eq!(cx.whereis("to_be_stopped"), None);
        assert!(!cx.is_alive(pid).await);
        let again = proc_lib::stop(&mut cx, "to_be_stopped", normal(), ever).await;
        assert_eq!(again, noproc);

        // By name and node, which is this VM's.
        let pid = asked(&cx, When::Ends);
        cx.register("to_be_stopped", pid).unwrap();
        let at_node = ("to_be_stopped", cx.node());
        let stopped = proc_lib::stop(&mut cx, at_node, normal(), ever).await;
        assert_eq!(stopped, Ok(()));
        assert!(!cx.is_alive(pid).await);
        let again = proc_lib::stop(&mut cx, at_node, normal(), ever).await;
        assert_eq!(again, noproc);
        nothing_comes(&mut cx, SECOND).await;
    });
}

#[test]
fn nobody_stops_itself() {
    simulate(|mut cx, _| async move {
        let me = cx.pid();
        let stopped = proc_lib::stop(&mut cx, me, ExitReason::normal(), SECOND).await;
        assert_eq!(stopped, Err(StopError::CallingSelf));
        cx.register("me", me).unwrap();
        let node = cx.node();
        let by_name = proc_lib::stop(&mut cx, "me", ExitReason::normal(), SECOND).await;
        let at_node = proc_lib::stop(&mut cx, ("me", node), ExitReason::normal(), SECOND).await;
        assert_eq!(
            [by_name, at_node],
            [const { Err(StopError::CallingSelf) }; 2]
        );
    });
}
