//! Long mailboxes.

use std::time::Duration;

use otp_vm::{Context, MailboxLimit, SpawnOptions, SystemMonitorOptions};

use super::common::{expect, idle};
use super::virtual_time::{ms, nothing_within, simulated_with};
use super::{event, monitor};

fn marks(disable: usize, enable: usize) -> SystemMonitorOptions {
    SystemMonitorOptions::new().long_message_queue(disable, enable)
}

/// Receives one message each millisecond; from when on is told.
async fn slow(cx: Context) {
    let mut cx = cx;
    cx.receive().await;
    loop {
        cx.sleep(ms(1)).await;
        cx.receive().await;
    }
}

async fn tells(cx: &mut Context, pid: otp_vm::Pid, is_long: bool) {
    let told = event(cx, pid, "long_message_queue").await;
    assert_eq!(
        told,
        format!("{{monitor,{pid},long_message_queue,{is_long}}}")
    );
}

#[test]
fn a_mailbox_is_told_to_be_long_once_and_short_once() {
    simulated_with(
        |vm| vm,
        |mut cx: Context| async move {
            // One that was there before, and one that comes later.
            let old = cx.spawn_link(slow).unwrap();
            monitor(&cx, marks(2, 5));
            let new = cx.spawn_link(slow).unwrap();
            for pid in [old, new] {
                for _ in 0..2 {
                    for number in 0..9 {
                        cx.send(pid, &number).unwrap();
                    }
                    tells(&mut cx, pid, true).await;
                    let len = cx.process_info(pid).unwrap().message_queue_len;
                    assert!(len >= 3, "{len}");
                    tells(&mut cx, pid, false).await;
                    let len = cx.process_info(pid).unwrap().message_queue_len;
                    assert!(len <= 2, "{len}");
                    nothing_within(&mut cx, ms(20)).await;
                }
                // Not from between the marks.
                for number in 0..4 {
                    cx.send(pid, &number).unwrap();
                }
                nothing_within(&mut cx, ms(20)).await;
            }
        },
    );
}

#[test]
fn one_that_is_long_already_is_told_of_when_the_marks_are_set() {
    simulated_with(
        |vm| vm,
        |mut cx: Context| async move {
            let long = cx.spawn_link(|cx| async move {
                cx.sleep(Duration::from_secs(3600)).await;
            });
            let long = long.unwrap();
            for number in 0..5 {
                cx.send(long, &number).unwrap();
            }
            monitor(&cx, marks(0, 5));
            tells(&mut cx, long, true).await;
            // A new monitor is told anew, also after there was none.
            monitor(&cx, marks(0, 4));
            tells(&mut cx, long, true).await;
            cx.vm().set_system_monitor(None).unwrap();
            monitor(&cx, marks(0, 4));
            tells(&mut cx, long, true).await;
            nothing_within(&mut cx, ms(1500)).await;
        },
    );
}

#[test]
fn it_is_short_again_by_selective_receives_as_well() {
    simulated_with(
        |vm| vm,
        |mut cx: Context| async move {
            monitor(&cx, marks(1, 3));
            let picky = cx.spawn_link(|mut cx| async move {
                while cx.message_queue_len() < 3 {
                    cx.sleep(ms(1)).await;
                }
                for wanted in [2, 1] {
                    cx.receive_where(otp_vm::Timeout::Infinity, |message| {
                        message
                            .decode::<u8>()
                            .ok()
                            .filter(|&number| number == wanted)
                    })
                    .await;
                }
                idle(cx).await;
            });
            let picky = picky.unwrap();
            for number in 0..3_u8 {
                cx.send(picky, &number).unwrap();
            }
            tells(&mut cx, picky, true).await;
            tells(&mut cx, picky, false).await;
        },
    );
}

/// A sender looks at the length, so one that never receives is found.
#[test]
fn one_with_a_limit_is_found_though_it_never_receives() {
    simulated_with(
        |vm| vm,
        |mut cx: Context| async move {
            monitor(&cx, marks(0, 3));
            let options = SpawnOptions::new()
                .link()
                .mailbox_limit(MailboxLimit::reject(10));
            let deaf = cx.spawn_opt(options, |cx| async move {
                cx.sleep(Duration::from_secs(3600)).await;
            });
            let deaf = deaf.unwrap().pid;
            for number in 0..4 {
                cx.send(deaf, &number).unwrap();
            }
            tells(&mut cx, deaf, true).await;
        },
    );
}

/// It is found by a look each second.
#[test]
fn one_that_never_receives_is_found_as_well() {
    simulated_with(
        |vm| vm,
        |mut cx: Context| async move {
            monitor(&cx, marks(0, 3));
            // A second time: there is one that looks, not two.
            monitor(&cx, marks(0, 4));
            let deaf = cx
                .spawn_link(|cx| async move {
                    cx.sleep(Duration::from_secs(3600)).await;
                })
                .unwrap();
            for number in 0..4 {
                cx.send(deaf, &number).unwrap();
            }
            let begun = cx.monotonic_time();
            tells(&mut cx, deaf, true).await;
            let took = Duration::from_nanos(cx.monotonic_time() - begun);
            assert!(took > ms(100) && took < ms(1500), "{took:?}");
        },
    );
}

/// After the monitor is taken away, what was marked forgets it.
#[test]
fn without_a_monitor_nothing_is_told() {
    simulated_with(
        |vm| vm,
        |mut cx: Context| async move {
            monitor(&cx, marks(0, 2));
            let busy = cx.spawn_link(slow).unwrap();
            cx.vm().set_system_monitor(None).unwrap();
            for number in 0..9 {
                cx.send(busy, &number).unwrap();
            }
            nothing_within(&mut cx, ms(20)).await;
            let asked = cx.spawn_link(|cx| async move {
                cx.send(cx.parent(), "there").unwrap();
            });
            asked.unwrap();
            assert_eq!(expect::<String>(&mut cx).await, "there");
        },
    );
}
