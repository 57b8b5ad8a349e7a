//! Cases about exits and exit signals.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use otp_vm::{Call, Context, ExitReason, OwnedTerm, Priority, SpawnOptions, module, to_term};

use crate::common::{LIMIT, bounded, exit, expect, idle, run};
use crate::simulated::seeds;

/// Some of each kind of term; 128 kB with `scale` 30.
fn large_term(scale: u32) -> ExitReason {
    let tuples: Vec<_> = (0..scale)
        .map(|n| (n, (f64::from(n) / 3.0, ("deep", Some(n)))))
        .collect();
    let integers: Vec<Vec<i64>> = (0..i64::from(scale))
        .map(|n| (0..64).map(|m| (n * m) << 20).collect())
        .collect();
    let small: Vec<OwnedTerm> = (0..scale)
        .map(|n| to_term(&"s".repeat(n as usize)).unwrap())
        .collect();
    let shared = "shared ".repeat(100 * scale as usize);
    ExitReason::new(&(tuples, integers, small, shared))
}

#[test]
fn t_exit_1() {
    seeds(0..3, |mut cx| async move {
        cx.trap_exit(true);
        let term = large_term(30);
        for _ in 0..10 {
            let reason = term.clone();
            let child = cx.spawn_link(|cx| async move { cx.exit(reason) }).unwrap();
            let told = cx.receive().await.exit().unwrap();
            assert_eq!((told.from, told.reason), (child, term.clone()));
        }
    });
}

#[test]
fn t_exit_2_other() {
    seeds(0..3, |mut cx| async move {
        cx.trap_exit(true);
        let term = large_term(30);
        for _ in 0..10 {
            let child = cx.spawn_link(idle).unwrap();
            cx.exit_process(child, term.clone());
            let told = cx.receive().await.exit().unwrap();
            assert_eq!((told.from, told.reason), (child, term.clone()));
        }
    });
}

#[test]
fn t_exit_2_other_normal() {
    seeds(0..10, |mut cx| async move {
        cx.trap_exit(true);
        let child = cx.spawn_link(idle).unwrap();
        cx.exit_process(child, ExitReason::normal());
        let told = cx.receive_timeout(Duration::from_secs(1)).await;
        assert!(told.is_none(), "{told:?}");
        assert!(cx.process_info(child).is_some());
        cx.exit_process(child, ExitReason::kill());
        assert_eq!(exit(&mut cx, child).await, ExitReason::killed());
    });
}

#[test]
fn self_exit() {
    run(|mut cx| async move {
        cx.trap_exit(true);
        let term = large_term(2);
        for _ in 0..200 {
            cx.exit_process(cx.pid(), term.clone());
            let told = cx.receive_timeout(Duration::ZERO).await.expect("at once");
            let told = told.exit().unwrap();
            assert_eq!((told.from, told.reason), (cx.pid(), term.clone()));
        }
    });
}

#[test]
fn normal_suicide_exit() {
    seeds(0..10, |mut cx| async move {
        cx.trap_exit(true);
        let child = cx.spawn_link(|cx| async move {
            cx.exit_process(cx.pid(), ExitReason::normal());
            // Not as any body that returns.
            Err::<(), _>(ExitReason::new("it went on"))
        });
        let told = cx.receive().await.exit().unwrap();
        assert_eq!(
            (told.from, told.reason),
            (child.unwrap(), ExitReason::normal())
        );
    });
}

#[test]
fn abnormal_suicide_exit() {
    seeds(0..10, |mut cx| async move {
        cx.trap_exit(true);
        let term = large_term(2);
        let reason = term.clone();
        let child = cx
            .spawn_link(|cx| async move { cx.exit_process(cx.pid(), reason) })
            .unwrap();
        let told = cx.receive().await.exit().unwrap();
        assert_eq!((told.from, told.reason), (child, term));
    });
}

/// What catches the unwinding gets nothing done, however it goes on.
async fn catches_its_own_exit(mut cx: Context, goes_on: fn(&Context)) {
    let parent = cx.pid();
    cx.trap_exit(true);
    for native in [false, true] {
        let body = move |cx: &Context| {
            let tries = || cx.exit_process(cx.pid(), ExitReason::new("die"));
            assert!(catch_unwind(AssertUnwindSafe(tries)).is_err());
            cx.send(parent, "from the dead").unwrap();
            cx.exit_process(parent, ExitReason::new("from the dead"));
            cx.trap_exit(true);
            cx.link(parent);
            cx.monitor(parent);
            cx.spawn(idle).unwrap_err();
            cx.register("the_dead", cx.pid()).unwrap_err();
            cx.send_after(Duration::ZERO, parent, "from the dead")
                .unwrap();
            goes_on(cx);
        };
        let child = if native {
            cx.spawn_native_opt(SpawnOptions::new().link(), move |cx| body(&cx))
                .map(|spawned| spawned.pid)
        } else {
            cx.spawn_link(move |cx| async move { body(&cx) })
        };
        let Ok(child) = child else {
            // There are none in a simulation.
            continue;
        };
        let told = cx.receive_timeout(LIMIT).await.unwrap().exit().unwrap();
        assert_eq!((told.from, told.reason), (child, ExitReason::new("die")));
        let more = cx.receive_timeout(Duration::from_millis(20)).await;
        assert!(more.is_none(), "{more:?}");
        assert_eq!(cx.process_info(cx.pid()).unwrap().monitored_by, []);
    }
}

#[test]
fn t_exit_2_catch() {
    let returns = |_: &Context| {};
    let panics = |_: &Context| panic!("again");
    let exits = |cx: &Context| cx.exit(ExitReason::new("otherwise"));
    for goes_on in [returns, panics, exits] {
        seeds(0..5, move |cx| catches_its_own_exit(cx, goes_on));
        run(move |cx| catches_its_own_exit(cx, goes_on));
    }
}

/// Not OTP's: a destructor that exits its own process, while the body unwinds and while it is dropped.
#[test]
fn an_exit_of_oneself_in_a_destructor_does_no_harm() {
    struct Exits(Context);
    impl Drop for Exits {
        fn drop(&mut self) {
            self.0.exit_process(self.0.pid(), ExitReason::new("again"));
        }
    }
    run(|mut cx| async move {
        cx.trap_exit(true);
        for killed in [false, true] {
            let parent = cx.pid();
            let child = cx.spawn_link(move |cx| async move {
                let exits = Exits(cx);
                if killed {
                    exits.0.send(parent, &()).unwrap();
                    std::future::pending::<()>().await;
                }
                panic!("the first");
            });
            let child = child.unwrap();
            if killed {
                expect::<()>(&mut cx).await;
                cx.exit_process(child, ExitReason::kill());
            }
            let reason = exit(&mut cx, child).await;
            assert_eq!(reason == ExitReason::killed(), killed, "{reason}");
            assert!(killed || reason == ExitReason::new("again"), "{reason}");
        }
    });
}

/// Not OTP's: signals that came before the own one, and were not yet seen, count before it.
#[test]
fn an_exit_of_oneself_comes_behind_what_has_arrived() {
    run(|mut cx| async move {
        cx.trap_exit(true);
        let child = cx.spawn_link(|cx| async move {
            let child = cx.pid();
            cx.vm().exit(child, ExitReason::new("first"));
            cx.exit_process(child, ExitReason::new("second"));
        });
        assert_eq!(
            exit(&mut cx, child.unwrap()).await,
            ExitReason::new("first")
        );
    });
}

#[test]
fn exit_and_timeout() {
    seeds(0..20, |mut cx| async move {
        cx.trap_exit(true);
        let reason = ExitReason::new(&("you", "are", "dead"));
        let low = cx.spawn_link(|mut cx| async move {
            let options = Duration::from_millis(2500);
            drop(cx.receive_timeout(options).await);
        });
        let low = low.unwrap();
        let dead = reason.clone();
        let options = SpawnOptions::new().link().priority(Priority::High);
        let high = cx.spawn_opt(options, move |mut cx| async move {
            drop(cx.receive_timeout(Duration::from_secs(1)).await);
            cx.exit_process(low, dead);
            let end = cx.monotonic_time() + 5_000_000_000;
            while cx.monotonic_time() < end {
                cx.sleep(Duration::from_millis(100)).await;
            }
        });
        let high = high.unwrap().pid;
        for _ in 0..2 {
            let told = cx.receive().await.exit().unwrap();
            if told.from == low {
                assert_eq!(told.reason, reason);
            } else {
                assert_eq!((told.from, told.reason), (high, ExitReason::normal()));
            }
        }
    });
}

#[test]
fn exit_twice() {
    bounded(2, |mut cx| async move {
        cx.trap_exit(true);
        let low = cx.spawn_link(|cx| async move {
            loop {
                cx.tick(1).await;
            }
        });
        let low = low.unwrap();
        let options = SpawnOptions::new().link().priority(Priority::High);
        let high = cx.spawn_opt(options, move |cx| async move {
            cx.exit_process(low, ExitReason::new("first"));
            cx.exit_process(low, ExitReason::new("second"));
        });
        assert_eq!(exit(&mut cx, low).await, ExitReason::new("first"));
        let high = high.unwrap().pid;
        assert_eq!(exit(&mut cx, high).await, ExitReason::normal());
    });
}

module! {
    /// What is spawned by name.
    pub mod exits_suite {
        /// Takes a number, and nothing else.
        pub async fn takes_a_number(_cx: &mut Context, _n: u64) {
            panic!("it was called");
        }
    }
}

/// The spawn succeeds; that the function does not take the argument is the child's failure.
#[test]
fn trap_exit_badarg_in_bif() {
    seeds(0..5, |mut cx| async move {
        cx.trap_exit(true);
        cx.vm().load_module(exits_suite::module()).unwrap();
        for _ in 0..10 {
            let call = Call::new("exits_suite", "takes_a_number", &("apskalle",)).unwrap();
            let child = cx.spawn_link(call.body()).unwrap();
            let told = cx.receive().await.exit().unwrap();
            let expected = "{function_clause,[{exits_suite,takes_a_number,[<<\"apskalle\">>],[]}]}";
            assert_eq!(
                (told.from, told.reason.to_string().as_str()),
                (child, expected)
            );
        }
    });
}

/// A panic with a large value in hand is told, and it alone.
#[test]
fn trap_exit_badarg() {
    seeds(0..5, |mut cx| async move {
        cx.trap_exit(true);
        for _ in 0..10 {
            let child = cx.spawn_link(|_| async {
                let value = large_term(30);
                let _fails: i32 = value.decode().expect("a number");
            });
            let told = cx.receive().await.exit().unwrap();
            assert_eq!(told.from, child.unwrap());
            let (tag, text, place): (String, String, String) = told.reason.decode().unwrap();
            assert_eq!(tag, "panic");
            assert!(text.starts_with("a number"), "{text}");
            assert!(place.contains("exits.rs"), "{place}");
        }
    });
}
