//! Functions that are applied later, and the smaller functions of the module.

use std::time::Duration;

use otp_vm::{Context, ExitReason, Pid, TimerError, timer};

use crate::common::{LIMIT, down};
use crate::virtual_time::{ms, nothing_within, simulated, within};

/// A function that sends `message` to `to`.
fn sends(
    to: Pid,
    message: &'static str,
) -> impl Fn(Context) -> std::future::Ready<()> + Clone + Send + 'static {
    move |cx| {
        cx.send(to, message).unwrap();
        std::future::ready(())
    }
}

#[test]
fn apply_after1() {
    simulated(async |mut cx: Context| {
        timer::apply_after(&cx, ms(0), sends(cx.pid(), "ok_apply")).unwrap();
        assert_eq!(within(&mut cx, ms(1000)).await, "ok_apply");
    });
}

#[test]
fn apply_after2() {
    simulated(async |mut cx: Context| {
        timer::apply_after(&cx, ms(500), sends(cx.pid(), "ok_apply")).unwrap();
        nothing_within(&mut cx, ms(499)).await;
        assert_eq!(within(&mut cx, ms(501)).await, "ok_apply");
    });
}

/// There is no timer server to stop: timers work whoever else ends, their starter among them.
#[test]
fn apply_after3() {
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        let (starter, monitor) = cx
            .spawn_monitor(async move |cx: Context| {
                timer::apply_after(&cx, ms(100), sends(parent, "ok_apply")).unwrap();
            })
            .unwrap();
        cx.exit_process(starter, "not yet, or no more");
        down(&mut cx, monitor).await;
        let (_, monitor) = cx
            .spawn_monitor(async move |cx: Context| {
                timer::apply_after(&cx, ms(100), sends(parent, "after its end")).unwrap();
            })
            .unwrap();
        down(&mut cx, monitor).await;
        let first = within(&mut cx, ms(500)).await;
        if first != "after its end" {
            assert_eq!(within(&mut cx, ms(500)).await, "after its end");
        }
    });
}

/// Nor can it be deleted: a VM has timers from its first process on, with no other process in it.
#[test]
fn apply_after4() {
    simulated(async |mut cx: Context| {
        assert_eq!(cx.vm().processes(), [cx.pid()]);
        timer::apply_after(&cx, ms(100), sends(cx.pid(), "ok_apply")).unwrap();
        assert_eq!(within(&mut cx, ms(500)).await, "ok_apply");
    });
}

/// Times are durations and functions are functions, by their types; what is left to refuse is one process too many.
#[test]
fn apply_after_invalid_args() {
    crate::virtual_time::simulated_with(
        |builder| builder.max_processes(1),
        async |cx: Context| {
            for after in [ms(0), ms(1)] {
                let refused = timer::apply_after(&cx, after, sends(cx.pid(), "never"));
                assert!(matches!(refused, Err(TimerError::Spawn(_))), "{refused:?}");
            }
        },
    );
}

#[test]
fn apply_interval1() {
    simulated(async |mut cx: Context| {
        let timer = timer::apply_interval(&cx, ms(1000), sends(cx.pid(), "apply_int")).unwrap();
        for _ in 0..3 {
            assert_eq!(within(&mut cx, ms(1500)).await, "apply_int");
        }
        timer::cancel(&cx, &timer);
        nothing_within(&mut cx, ms(1000)).await;
    });
}

/// An interval of zero, legal in OTP 25, is refused: it would spawn without end.
#[test]
fn apply_interval_invalid_args() {
    simulated(async |cx: Context| {
        let refused = timer::apply_interval(&cx, ms(0), sends(cx.pid(), "never"));
        assert!(matches!(refused, Err(TimerError::ZeroInterval)));
        let refused = timer::apply_repeatedly(&cx, ms(0), sends(cx.pid(), "never"));
        assert!(matches!(refused, Err(TimerError::ZeroInterval)));
    });
}

#[test]
fn apply_interval_ends_with_its_caller_and_does_not_wait_for_what_it_runs() {
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        let (caller, monitor) = cx
            .spawn_monitor(async move |mut cx: Context| {
                let slow = move |cx: Context| async move {
                    cx.send(parent, "began").unwrap();
                    cx.sleep(ms(250)).await;
                    cx.send(parent, "ended").unwrap();
                };
                timer::apply_interval(&cx, ms(100), slow).unwrap();
                cx.receive().await;
            })
            .unwrap();
        for _ in 0..3 {
            assert_eq!(within(&mut cx, ms(101)).await, "began");
        }
        cx.exit_process(caller, "bang");
        down(&mut cx, monitor).await;
        // Those that run go on, and no more begin.
        for _ in 0..3 {
            assert_eq!(within(&mut cx, ms(101)).await, "ended");
        }
        nothing_within(&mut cx, ms(1000)).await;
        assert_eq!(cx.vm().processes(), [cx.pid()]);
    });
}

#[test]
fn apply_repeatedly_waits_for_what_it_runs() {
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        let slow = move |cx: Context| async move {
            cx.send(parent, "began").unwrap();
            cx.sleep(ms(250)).await;
            cx.send(parent, "ended").unwrap();
        };
        let timer = timer::apply_repeatedly(&cx, ms(100), slow).unwrap();
        nothing_within(&mut cx, ms(99)).await;
        for _ in 0..3 {
            assert_eq!(within(&mut cx, ms(2)).await, "began");
            assert_eq!(within(&mut cx, ms(251)).await, "ended");
        }
        timer::cancel(&cx, &timer);
    });
}

#[test]
fn cancel3() {
    simulated(async |mut cx: Context| {
        let timer = timer::apply_after(&cx, ms(1000), sends(cx.pid(), "late")).unwrap();
        timer::cancel(&cx, &timer);
        nothing_within(&mut cx, ms(2000)).await;
    });
}

#[test]
fn cancel5() {
    simulated(async |mut cx: Context| {
        let timer = timer::apply_interval(&cx, ms(500), sends(cx.pid(), "beat")).unwrap();
        assert_eq!(within(&mut cx, ms(1000)).await, "beat");
        timer::cancel(&cx, &timer);
        timer::send_after(&cx, ms(600), cx.pid(), "after").unwrap();
        assert_eq!(within(&mut cx, ms(1000)).await, "after");
    });
}

#[test]
fn sleep1() {
    simulated(async |cx: Context| {
        let begun = cx.monotonic_time();
        cx.sleep(ms(1000)).await;
        assert!(cx.monotonic_time() - begun >= 1_000_000_000);
    });
}

#[test]
fn tc() {
    simulated(async |cx: Context| {
        let pid = cx.pid();
        let sleeps = async || {
            cx.sleep(ms(500)).await;
            pid
        };
        for _ in 0..3 {
            let (took, value) = timer::tc(&cx, sleeps()).await;
            assert!((500_000..=800_000).contains(&took.as_micros()), "{took:?}");
            assert_eq!(value, pid);
        }
        assert_eq!(
            timer::seconds(4) + timer::minutes(4) + timer::hours(4),
            timer::hms(4, 4, 4)
        );
        assert_eq!(timer::hms(4, 4, 4), Duration::from_millis(14_644_000));
    });
    // What ends the process passes through.
    simulated(async |mut cx: Context| {
        let (_, exits) = cx
            .spawn_monitor(async |cx: Context| {
                let exits = async { cx.exit("foo") };
                let _: (Duration, ()) = timer::tc(&cx, exits).await;
            })
            .unwrap();
        assert_eq!(down(&mut cx, exits).await, ExitReason::from("foo"));
        let (_, panics) = cx
            .spawn_monitor(async |cx: Context| {
                let panics = async { panic!("a bad match") };
                let _: (Duration, ()) = timer::tc(&cx, panics).await;
            })
            .unwrap();
        let reason = down(&mut cx, panics).await.to_string();
        assert!(reason.contains("a bad match"), "{reason}");
    });
}

/// Each message within three times its interval and 300 ms of the one before, under load, on threads: OTP's limits,
/// with a shorter run.
#[test]
fn timer_perf() {
    crate::common::bounded(2, async |mut cx: Context| {
        let mut load = Vec::new();
        for _ in 0..20 {
            let busy = async |cx: Context| {
                loop {
                    cx.tick(1000).await;
                }
            };
            load.push(cx.spawn_monitor(busy).unwrap());
        }
        let parent = cx.pid();
        let (every, times) = (ms(100), 3);
        let mut testers = Vec::new();
        for _ in 0..5 {
            let tester = async move |mut cx: Context| {
                timer::apply_after(&cx, every, sends(cx.pid(), "once")).unwrap();
                let beats = timer::apply_interval(&cx, every, sends(cx.pid(), "beat")).unwrap();
                // On a machine that others use as well; OTP's limit is 300 ms.
                let slack = 3 * every + Duration::from_secs(5);
                for _ in 0..=times {
                    within(&mut cx, slack).await;
                }
                timer::cancel(&cx, &beats);
                cx.send(parent, "done").unwrap();
            };
            testers.push(cx.spawn_monitor(tester).unwrap().1);
        }
        for tester in testers {
            assert!(down(&mut cx, tester).await.is_normal());
            let done = cx.receive_as::<String>(LIMIT).await;
            assert_eq!(done.as_deref(), Some("done"));
        }
        for (pid, monitor) in load {
            cx.exit_process(pid, ExitReason::kill());
            assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        }
    });
}
