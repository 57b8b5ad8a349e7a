//! OTP's hibernate_SUITE. Sizes in words are those of BEAM's heap; what is measured here is the body's memory.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/virtual_time.rs"]
mod virtual_time;

use std::pin::Pin;
use std::sync::Arc;

use otp_vm::{Context, ExitReason, Pid, ProcessInfo, Ref, Status, receive};

use common::{LIMIT, bounded, down, exit, expect};
use virtual_time::{ms, simulated};

/// Waits until the process hibernates, and tells how it looks then.
async fn hibernated(cx: &Context, pid: Pid) -> ProcessInfo {
    loop {
        let info = cx.process_info(pid).expect("it lives");
        if info.hibernated && info.status == Status::Waiting {
            return info;
        }
        cx.sleep(ms(1)).await;
    }
}

/// Bytes that the body holds in itself, and that hibernation gives back.
const SCRATCH: usize = 10_000;

/// A process that keeps a pid and a reference, and hibernates when it is told to.
fn basic_child(mut cx: Context, kept: (Pid, Ref)) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        let scratch = [1_u8; SCRATCH];
        loop {
            receive!(cx, {
                {hibernate, from: Pid} => {
                    cx.send(from, "going").unwrap();
                    cx.hibernate(move |cx| basic_child(cx, kept)).await
                },
                {"whats_up", from: Pid} => {
                    let sum: u64 = scratch.iter().map(|&byte| u64::from(byte)).sum();
                    cx.send(from, &(kept, sum)).unwrap();
                },
                "stop" => return,
            });
        }
    })
}

#[test]
fn basic() {
    simulated(async |mut cx: Context| {
        let kept = (cx.pid(), cx.make_ref());
        let child = cx.spawn_link(move |cx| basic_child(cx, kept)).unwrap();
        let hibernate = otp_vm::Atom::new("hibernate").unwrap();
        let mut bytes = None;
        for _ in 0..100 {
            cx.send(child, &(hibernate, cx.pid())).unwrap();
            assert_eq!(expect::<String>(&mut cx).await, "going");
            let asleep = hibernated(&cx, child).await;
            assert_eq!(asleep.message_queue_len, 0);
            // Not more from one round to the next.
            assert_eq!(*bytes.get_or_insert(asleep.memory), asleep.memory);
            cx.send(child, &("whats_up", cx.pid())).unwrap();
            let (state, sum): ((Pid, Ref), u64) = expect(&mut cx).await;
            assert_eq!((state, sum), (kept, SCRATCH as u64));
            assert!(!cx.process_info(child).unwrap().hibernated);
        }
        cx.unlink(child);
        let monitor = cx.monitor(child);
        cx.send(child, "stop").unwrap();
        assert!(down(&mut cx, monitor).await.is_normal());
    });
}

/// What `min_heap_size` is about here: a body that began large is as small as its successor while it hibernates, and
/// large again afterwards.
#[test]
fn min_heap_size() {
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        let large = [3_u8; 15_000];
        let child = cx
            .spawn_link(async move |cx: Context| {
                let large = Box::new(large);
                cx.hibernate(async move |cx: Context| {
                    let mut room = [0_u8; 15_000];
                    room.copy_from_slice(&large[..]);
                    cx.yield_now().await;
                    cx.send(parent, &room[14_999]).unwrap();
                    common::idle(cx).await;
                })
                .await
            })
            .unwrap();
        let asleep = hibernated(&cx, child).await.memory;
        cx.send(child, "wake up").unwrap();
        assert_eq!(expect::<u8>(&mut cx).await, 3);
        // The room for what the body will be is part of it from the start.
        assert!(asleep < 17_000, "{asleep}");
        cx.unlink(child);
        cx.exit_process(child, ExitReason::kill());
    });
}

#[test]
fn what_the_body_held_is_dropped_before_it_sleeps_and_what_is_passed_on_is_kept() {
    simulated(async |mut cx: Context| {
        let (dropped, kept) = (Arc::new(()), Arc::new(()));
        let (held, passed) = (Arc::clone(&dropped), Arc::clone(&kept));
        let (child, monitor) = cx
            .spawn_monitor(async move |mut cx: Context| {
                let room = [0_u8; SCRATCH];
                cx.receive().await;
                let _held = (held, room);
                cx.hibernate(async move |mut cx: Context| {
                    cx.receive().await;
                    drop(passed);
                })
                .await
            })
            .unwrap();
        cx.sleep(ms(1)).await;
        let awake = cx.process_info(child).unwrap().memory;
        cx.send(child, "sleep").unwrap();
        let asleep = hibernated(&cx, child).await.memory;
        assert!(asleep + SCRATCH <= awake, "{awake}, then {asleep}");
        assert_eq!(
            (Arc::strong_count(&dropped), Arc::strong_count(&kept)),
            (1, 2)
        );
        cx.send(child, "wake up").unwrap();
        assert!(down(&mut cx, monitor).await.is_normal());
        assert_eq!(Arc::strong_count(&kept), 1);
    });
}

#[test]
fn messages_in_queue() {
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        let child = cx
            .spawn_link(async move |mut cx: Context| {
                receive!(cx, { "go_ahead" => () });
                assert_eq!(cx.message_queue_len(), 1);
                cx.hibernate(async move |mut cx: Context| {
                    let first = cx.receive().await;
                    cx.forward(parent, first).unwrap();
                    common::idle(cx).await;
                })
                .await
            })
            .unwrap();
        let tag = cx.make_ref();
        cx.send(child, &tag).unwrap();
        cx.send(child, "go_ahead").unwrap();
        assert_eq!(expect::<Ref>(&mut cx).await, tag);
        cx.unlink(child);
        cx.exit_process(child, "done");
    });
}

/// A function that isn't there is refused when the program is built; one that panics at once ends the process, not
/// before a message is there.
#[test]
fn undefined_mfa() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        for _ in 0..2 {
            let child = cx
                .spawn_link(async |cx: Context| {
                    cx.hibernate(|_: Context| -> std::future::Ready<()> { panic!("undef") })
                        .await
                })
                .unwrap();
            hibernated(&cx, child).await;
            cx.send(child, "wake up").unwrap();
            let reason = exit(&mut cx, child).await.to_string();
            assert!(reason.contains("undef"), "{reason}");
        }
    });
}

fn clean(mut cx: Context) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        while cx.receive_timeout(ms(0)).await.is_some() {}
        cx.hibernate(clean).await
    })
}

#[test]
fn no_heap() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        let child = cx.spawn_link(clean).unwrap();
        let least = hibernated(&cx, child).await.memory;
        for _ in 0..100 {
            let asleep = hibernated(&cx, child).await;
            assert_eq!((asleep.memory, asleep.message_queue_len), (least, 0));
            cx.send(child, "wake up").unwrap();
            while cx.process_info(child).unwrap().message_queue_len > 0 {
                cx.yield_now().await;
            }
        }
        cx.unlink(child);
        let monitor = cx.monitor(child);
        cx.exit_process(child, "bye");
        assert_eq!(down(&mut cx, monitor).await, ExitReason::from("bye"));
    });
}

#[test]
fn wake_up_and_bif_trap() {
    bounded(2, async |mut cx: Context| {
        let parent = cx.pid();
        let child = cx
            .spawn_link(async move |cx: Context| {
                cx.hibernate(async move |mut cx: Context| {
                    cx.receive().await;
                    // Long enough to give way in between.
                    let text = "0123456789abcdef".repeat(54_000 / 16);
                    let mut sum = 0;
                    for byte in text.bytes() {
                        cx.tick(10).await;
                        sum += u64::from(byte);
                    }
                    cx.send(parent, &(cx.pid(), sum > 0)).unwrap();
                    common::idle(cx).await;
                })
                .await
            })
            .unwrap();
        hibernated(&cx, child).await;
        cx.send(child, "wake up").unwrap();
        let answer = cx.receive_as::<(Pid, bool)>(LIMIT).await;
        assert_eq!(answer, Some((child, true)));
        cx.unlink(child);
        cx.exit_process(child, "done");
    });
}

#[test]
fn signals_act_on_one_that_hibernates_and_only_messages_wake_it() {
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        let child = cx
            .spawn(async move |cx: Context| {
                cx.trap_exit(true);
                cx.hibernate(async move |mut cx: Context| {
                    let exit = cx.receive().await.exit().unwrap();
                    cx.send(parent, &exit.reason.to_string()).unwrap();
                    cx.hibernate(common::idle).await
                })
                .await
            })
            .unwrap();
        hibernated(&cx, child).await;
        for _ in 0..3 {
            // Links, monitors and their ends are no messages.
            cx.link(child);
            let monitor = cx.monitor(child);
            assert!(cx.is_alive(child).await);
            cx.demonitor(monitor);
            cx.unlink(child);
            assert!(cx.is_alive(child).await);
            assert!(hibernated(&cx, child).await.links.is_empty());
        }
        assert_eq!(cx.message_queue_len(), 0);
        // A trapped exit is a message.
        cx.exit_process(child, "wake up");
        assert!(expect::<String>(&mut cx).await.contains("wake up"));
        hibernated(&cx, child).await;
        let monitor = cx.monitor(child);
        cx.exit_process(child, ExitReason::kill());
        assert_eq!(down(&mut cx, monitor).await, ExitReason::killed());
    });
}
