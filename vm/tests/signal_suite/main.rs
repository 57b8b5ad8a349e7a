//! Cases of signal_SUITE.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/seeds.rs"]
mod simulated;

mod order;
mod simultaneous;

use std::time::Duration;

use common::{down, exit, expect, idle, run};
use otp_vm::{
    AliasMode, Atom, Context, Destination, ExitReason, MonitorOptions, Monitored, Pid, Ref,
    SpawnOptions, TableOptions, random,
};
use simulated::seeds;

async fn polls(mut cx: Context) {
    loop {
        while let Some(message) = cx.receive_timeout(Duration::ZERO).await {
            if message.decode::<String>().unwrap() == "may_not_reach" {
                cx.exit(ExitReason::new("bad_signal_order"));
            }
        }
        cx.yield_now().await;
    }
}

async fn exits_between_messages(mut cx: Context, rounds: usize) {
    for _ in 0..rounds {
        let (pid, monitor) = cx.spawn_monitor(polls).unwrap();
        for _ in 0..random() % 3 {
            cx.yield_now().await;
        }
        for _ in 0..3 {
            cx.send(pid, "may_reach").unwrap();
        }
        cx.exit_process(pid, ExitReason::new("good_signal_order"));
        for _ in 0..3 {
            cx.send(pid, "may_not_reach").unwrap();
        }
        let reason = down(&mut cx, monitor).await;
        assert_eq!(reason, ExitReason::new("good_signal_order"));
    }
}

#[test]
fn xm_sig_order() {
    seeds(0..100, |cx| exits_between_messages(cx, 10));
    run(|cx| exits_between_messages(cx, 1000));
}

/// What the last of a line does.
#[derive(Clone, Copy, PartialEq)]
enum Last {
    Waits,
    KillsItself,
    ExitsWithKill,
}

/// A line of linked processes; the last tells the tester its pid.
fn line(
    cx: &Context,
    length: usize,
    tester: Pid,
    last: Last,
) -> std::pin::Pin<Box<dyn Future<Output = ()> + Send>> {
    if length > 1 {
        cx.spawn_link(move |cx| async move {
            line(&cx, length - 1, tester, last).await;
            idle(cx).await;
        })
        .unwrap();
        return Box::pin(async {});
    }
    cx.send(tester, &cx.pid()).unwrap();
    match last {
        Last::Waits => {}
        Last::KillsItself => cx.exit_process(cx.pid(), ExitReason::kill()),
        Last::ExitsWithKill => cx.exit(ExitReason::kill()),
    }
    Box::pin(async {})
}

#[test]
fn kill2killed() {
    for length in [1, 2, 9, 10] {
        for last in [Last::Waits, Last::KillsItself, Last::ExitsWithKill] {
            seeds(0..20, move |mut cx| async move {
                cx.trap_exit(true);
                let tester = cx.pid();
                let first = cx.spawn_link(move |cx| async move {
                    line(&cx, length, tester, last).await;
                    idle(cx).await;
                });
                let told: Pid = expect(&mut cx).await;
                if last == Last::Waits {
                    cx.exit_process(told, ExitReason::kill());
                }
                let expected = if last == Last::ExitsWithKill {
                    ExitReason::kill()
                } else {
                    ExitReason::killed()
                };
                assert_eq!(exit(&mut cx, first.unwrap()).await, expected);
            });
        }
    }
}

/// The parent unlinks its child, tells it to go, and ends, which takes a while.
async fn parent(cx: Context, tester: Pid, rows: u32) {
    let table = cx.table_new("", TableOptions::set()).unwrap();
    for row in 0..rows {
        table.insert(&cx, &row, &()).unwrap();
    }
    let options = SpawnOptions::new().link().trap_exit();
    let child = cx.spawn_opt(options, move |mut cx| async move {
        let parent = expect::<Pid>(&mut cx).await;
        let lived = cx.is_alive(parent).await;
        cx.link(parent);
        let told = exit(&mut cx, parent).await;
        cx.send(tester, &(lived, &told)).unwrap();
    });
    let child = child.unwrap().pid;
    cx.unlink(child);
    cx.send(child, &cx.pid()).unwrap();
    cx.exit(ExitReason::new("bye"));
}

async fn links_to_one_that_ends(mut cx: Context, rounds: usize) {
    let tester = cx.pid();
    for _ in 0..rounds {
        let (_, monitor) = cx.spawn_monitor(move |cx| parent(cx, tester, 100)).unwrap();
        let (lived, reason): (bool, ExitReason) = expect_told(&mut cx).await;
        let is_noproc = reason == ExitReason::noproc();
        assert!(
            is_noproc || (lived && reason == ExitReason::new("bye")),
            "{lived}: {reason}"
        );
        assert_eq!(down(&mut cx, monitor).await, ExitReason::new("bye"));
    }
}

async fn expect_told(cx: &mut Context) -> (bool, ExitReason) {
    let told = cx.receive_where(common::LIMIT, |message| message.decode().ok());
    told.await.expect("word of the child")
}

#[test]
fn unlink_exit() {
    seeds(0..200, |cx| links_to_one_that_ends(cx, 5));
    run(|cx| links_to_one_that_ends(cx, 500));
}

#[test]
fn monitor_order() {
    let two_before_down = |mut cx: Context| async move {
        let parent = cx.pid();
        for _ in 0..10 {
            let (_, monitor) = cx
                .spawn_monitor(move |cx| async move {
                    cx.send(parent, &1).unwrap();
                    cx.send(parent, &2).unwrap();
                })
                .unwrap();
            down(&mut cx, monitor).await;
            assert!(!cx.demonitor(monitor));
            for number in [1, 2] {
                let message = cx.receive_timeout(Duration::ZERO).await;
                assert_eq!(
                    message.expect("before the DOWN").decode::<i32>().unwrap(),
                    number
                );
            }
        }
    };
    seeds(0..50, two_before_down);
    run(two_before_down);
}

/// Counts down to 1, through one destination after the other.
async fn counts_down(mut cx: Context) {
    let (pid, alias, from): (Pid, Ref, u32) = expect(&mut cx).await;
    let monitor: Ref = expect(&mut cx).await;
    let ways: [Destination; 4] = [
        pid.into(),
        ("tester", cx.node()).into(),
        alias.into(),
        monitor.into(),
    ];
    for number in (1..=from).rev() {
        let way = &ways[number as usize % ways.len()];
        cx.send(way.clone(), &number).unwrap();
    }
}

async fn by_all_ways(mut cx: Context, rounds: u32) {
    cx.register("tester", cx.pid()).unwrap();
    let explicit = MonitorOptions::new().alias(AliasMode::ExplicitUnalias);
    for round in 0..rounds {
        let pid = cx.spawn(counts_down).unwrap();
        cx.register("counter", pid).unwrap();
        let alias = cx.alias();
        let monitor = cx.monitor_opt(("counter", cx.node()), explicit.clone());
        let from = 1000 + round;
        cx.send(pid, &(cx.pid(), alias, from)).unwrap();
        cx.send(pid, &monitor).unwrap();
        for number in (1..=from).rev() {
            assert_eq!(expect::<u32>(&mut cx).await, number);
        }
        let told = cx.receive().await.down().unwrap();
        let counter = Monitored::Name(Atom::new("counter").unwrap());
        assert_eq!((told.reference, told.object), (monitor, counter));
        assert_eq!(told.reason, ExitReason::normal());
        assert!(cx.unalias(alias) && cx.unalias(monitor));
    }
}

#[test]
fn monitor_named_order_local() {
    seeds(0..5, |cx| by_all_ways(cx, 5));
    run(|cx| by_all_ways(cx, 50));
}
