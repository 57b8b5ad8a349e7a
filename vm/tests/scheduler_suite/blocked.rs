//! Schedulers left to one.

use std::time::Instant;

use otp_vm::{BlockError, Context, ExitReason, MultiScheduling, SystemInfoItem, Vm};

use crate::common::{LIMIT, bounded, down, idle};

use MultiScheduling::{Blocked, Disabled, Enabled};

/// All, online, active, as `system_info(all_schedulers_state)` tells.
fn state(vm: &Vm) -> String {
    vm.system_info_item(SystemInfoItem::AllSchedulersState)
        .to_string()
}

/// Waits until it is so; who goes online takes a moment.
async fn comes_to(cx: &Context, expected: &str) {
    let begun = Instant::now();
    while state(cx.vm()) != expected {
        assert!(
            begun.elapsed() < LIMIT,
            "{} is not {expected}",
            state(cx.vm())
        );
        cx.yield_now().await;
    }
}

#[test]
fn scheduler_suspend_basic() {
    bounded(4, |cx| async move {
        let vm = cx.vm().clone();
        comes_to(&cx, "[{normal,4,4,4}]").await;
        assert_eq!(vm.multi_scheduling(), Enabled);
        assert_eq!(cx.unblock_multi_scheduling(), Err(BlockError::NotBlocking));

        assert_eq!(cx.block_multi_scheduling().await, Ok(Blocked));
        assert_eq!(vm.multi_scheduling(), Blocked);
        assert_eq!(vm.multi_scheduling_blockers(), [cx.pid()]);
        assert_eq!(state(&vm), "[{normal,4,4,1}]");
        assert_eq!(vm.set_schedulers_online(1), Ok(4));
        assert_eq!(state(&vm), "[{normal,4,1,1}]");
        assert_eq!(vm.set_schedulers_online(4), Ok(1));
        assert_eq!(state(&vm), "[{normal,4,4,1}]");

        // Once more: the number online follows, the active one stays until both are taken back.
        assert_eq!(cx.block_multi_scheduling().await, Ok(Blocked));
        assert_eq!(vm.set_schedulers_online(1), Ok(4));
        assert_eq!(vm.set_schedulers_online(4), Ok(1));
        assert_eq!(state(&vm), "[{normal,4,4,1}]");
        assert_eq!(cx.unblock_multi_scheduling(), Ok(Blocked));
        assert_eq!(state(&vm), "[{normal,4,4,1}]");
        assert_eq!(cx.unblock_multi_scheduling(), Ok(Enabled));
        comes_to(&cx, "[{normal,4,4,4}]").await;
        assert!(vm.multi_scheduling_blockers().is_empty());

        assert_eq!(vm.set_schedulers_online(1), Ok(4));
        comes_to(&cx, "[{normal,4,1,1}]").await;
        assert_eq!(vm.set_schedulers_online(4), Ok(1));
        comes_to(&cx, "[{normal,4,4,4}]").await;
    });
}

/// A VM of one scheduler has nothing to block; and the count is kept all the same.
#[test]
fn one_scheduler_can_not_be_left_to_fewer() {
    bounded(1, |cx| async move {
        assert_eq!(cx.vm().multi_scheduling(), Disabled);
        assert_eq!(cx.block_multi_scheduling().await, Ok(Disabled));
        assert_eq!(cx.unblock_multi_scheduling(), Ok(Disabled));
        assert!(cx.unblock_multi_scheduling().is_err());
    });
}

async fn block_and_unblock(cx: Context, times: usize, deep: usize, yields: bool) {
    for _ in 0..times {
        for _ in 0..deep {
            assert_eq!(cx.block_multi_scheduling().await, Ok(Blocked));
            assert_eq!(cx.vm().schedulers_active(), 1);
        }
        if yields {
            cx.yield_now().await;
        }
        for _ in 0..deep {
            cx.unblock_multi_scheduling().unwrap();
        }
    }
}

/// Rounds of each kind; OTP's case has 300 and 200.
const ROUNDS: usize = 50;

async fn suspend(mut cx: Context) {
    let vm = cx.vm().clone();
    let all = vm.system_info().schedulers;
    let at_start = format!("[{{normal,{all},{all},{all}}}]");
    comes_to(&cx, &at_start).await;
    let kinds = [(1, false), (1, true), (3, false), (3, true)];
    for (deep, yields) in kinds {
        let body = move |cx| block_and_unblock(cx, ROUNDS, deep, yields);
        let (_, monitor) = cx.spawn_monitor(body).unwrap();
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    }
    // Several at once, and one that changes the number online.
    let mut monitors = Vec::new();
    for (deep, yields) in kinds.into_iter().chain([(1, true), (3, true)]) {
        let body = move |cx| block_and_unblock(cx, ROUNDS, deep, yields);
        monitors.push(cx.spawn_monitor(body).unwrap().1);
    }
    let changes = move |cx: Context| async move {
        for _ in 0..ROUNDS {
            for online in [1, all / 2 + 1, all] {
                cx.vm().set_schedulers_online(online).unwrap();
                cx.yield_now().await;
            }
        }
    };
    monitors.push(cx.spawn_monitor(changes).unwrap().1);
    for monitor in monitors {
        assert_eq!(down(&mut cx, monitor).await, ExitReason::normal());
    }
    assert_eq!(vm.multi_scheduling(), Enabled);
    comes_to(&cx, &at_start).await;
}

#[test]
fn scheduler_suspend() {
    for schedulers in [2, 4, 16] {
        bounded(schedulers, suspend);
    }
}

/// Whoever has blocked and ends has taken it back.
#[test]
fn a_block_goes_with_its_process() {
    bounded(2, |mut cx| async move {
        let parent = cx.pid();
        let (pid, monitor) = cx
            .spawn_monitor(move |cx| async move {
                cx.block_multi_scheduling().await.unwrap();
                cx.block_multi_scheduling().await.unwrap();
                cx.send(parent, "blocked").unwrap();
                idle(cx).await;
            })
            .unwrap();
        assert_eq!(crate::common::expect::<String>(&mut cx).await, "blocked");
        assert_eq!(cx.vm().multi_scheduling_blockers(), [pid]);
        assert_eq!(state(cx.vm()), "[{normal,2,2,1}]");
        assert_eq!(cx.unblock_multi_scheduling(), Err(BlockError::NotBlocking));
        cx.exit_process(pid, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
        assert_eq!(cx.vm().multi_scheduling(), Enabled);
        comes_to(&cx, "[{normal,2,2,2}]").await;
    });
}
