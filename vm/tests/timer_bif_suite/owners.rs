//! Whom timers belong to, and that nothing of them is left.

use std::sync::Arc;

use otp_vm::{Atom, Context, ExitReason, Pid, Priority, Ref, TimerRef, receive};

use crate::common::{down, expect, idle};
use crate::virtual_time::{ms, simulated, within};

fn count(cx: &Context) -> usize {
    cx.vm().system_info().timer_count
}

fn start_two(cx: &Context, after: u64, to: impl Into<otp_vm::Destination> + Copy) -> [TimerRef; 2] {
    [
        cx.start_timer(ms(after), to, "x").unwrap(),
        cx.send_after(ms(after), to, "x").unwrap(),
    ]
}

async fn receive_two(cx: &mut Context, timers: [TimerRef; 2]) {
    for _ in 0..2 {
        receive!(cx, {
            {timeout, reference: Ref, "x"} => assert_eq!(reference, timers[0]),
            "x" => (),
            after ms(6000) => panic!("no timeout"),
        });
    }
    assert_eq!((count(cx), cx.message_queue_len()), (0, 0));
}

#[test]
fn cleanup() {
    simulated(async |mut cx: Context| {
        let is_over = |cx: &Context, timers: [TimerRef; 2]| {
            assert_eq!(count(cx), 0);
            assert_eq!(timers.map(|timer| cx.read_timer(timer)), [None; 2]);
        };
        // The receiver is dead before.
        let (dead, monitor) = cx.spawn_monitor(async |_: Context| ()).unwrap();
        down(&mut cx, monitor).await;
        let timers = start_two(&cx, 10_000, dead);
        is_over(&cx, timers);
        // It ends.
        let lives = async |cx: Context| cx.sleep(ms(500)).await;
        let (receiver, monitor) = cx.spawn_monitor(lives).unwrap();
        let timers = start_two(&cx, 10_000, receiver);
        assert_eq!(count(&cx), 2);
        assert!(timers.iter().all(|&timer| cx.read_timer(timer).is_some()));
        down(&mut cx, monitor).await;
        is_over(&cx, timers);
        assert_eq!(cx.cancel_timer(timers[0]), None);
        // It lives on.
        let (receiver, monitor) = cx.spawn_monitor(idle).unwrap();
        let timers = start_two(&cx, 10_000, receiver);
        assert!(timers.iter().all(|&timer| cx.cancel_timer(timer).is_some()));
        is_over(&cx, timers);
        cx.exit_process(receiver, ExitReason::kill());
        down(&mut cx, monitor).await;
        is_over(&cx, timers);
        // To itself.
        let timers = start_two(&cx, 5001, cx.pid());
        assert_eq!(count(&cx), 2);
        assert!(timers.iter().all(|&timer| cx.read_timer(timer).is_some()));
        receive_two(&mut cx, timers).await;
    });
}

/// Without the collections in between, which move nothing of a message here.
#[test]
fn evil_timers() {
    const TIMERS: u64 = 200;
    simulated(async |mut cx: Context| {
        cx.set_priority(Priority::Max);
        let big = "7".repeat(1_000_000);
        let composite = (
            cx.pid(),
            cx.make_ref(),
            &big,
            [1_u128 << 90; 3],
            ("a", "b", 1.5),
        );
        let composite = Arc::new(otp_vm::to_term(&composite).unwrap());
        let immediate = Arc::new(otp_vm::to_term(&4711).unwrap());
        for by_another in [false, true] {
            for message in [&composite, &immediate] {
                let start = {
                    let (receiver, message) = (cx.pid(), Arc::clone(message));
                    move |cx: &Context| -> Vec<Ref> {
                        let start = |n| cx.start_timer(ms(n), receiver, &*message).unwrap();
                        (0..TIMERS).map(start).collect()
                    }
                };
                let mut expected = if by_another {
                    let parent = cx.pid();
                    // It ends at once.
                    cx.spawn(async move |cx: Context| {
                        let timers = start(&cx);
                        cx.send(parent, &("started", timers)).unwrap();
                    })
                    .unwrap();
                    receive!(cx, { {"started", timers: Vec<Ref>} => timers })
                } else {
                    start(&cx)
                };
                let mut got = Vec::new();
                while got.len() < expected.len() {
                    receive!(cx, {
                        {timeout, timer: Ref, term: otp_vm::Term} => {
                            assert!(term == message.root());
                            got.push(timer);
                        },
                        after ms(0) => cx.sleep(ms(1)).await,
                    });
                }
                got.sort();
                expected.sort();
                assert_eq!(got, expected);
                assert_eq!((cx.message_queue_len(), count(&cx)), (0, 0));
            }
        }
    });
}

#[test]
fn registered_process() {
    simulated(async |mut cx: Context| {
        let name = Atom::new("timer_bif_registered").unwrap();
        let timers = start_two(&cx, 5001, name);
        assert_eq!(cx.whereis(name.as_str()), None);
        assert_eq!(count(&cx), 2);
        assert!(timers.iter().all(|&timer| cx.cancel_timer(timer).is_some()));
        assert_eq!(timers.map(|timer| cx.read_timer(timer)), [None; 2]);
        assert_eq!(count(&cx), 0);
        for registered_before in [false, true] {
            if registered_before {
                assert_eq!(cx.whereis(name.as_str()), Some(cx.pid()));
            }
            let timers = start_two(&cx, 5001, name);
            assert!(timers.iter().all(|&timer| cx.read_timer(timer).is_some()));
            if !registered_before {
                cx.register(name.as_str(), cx.pid()).unwrap();
            }
            receive_two(&mut cx, timers).await;
        }
        assert_eq!(cx.unregister(name.as_str()), Some(cx.pid()));
    });
}

#[test]
fn auto_cancel_yielding() {
    const TIMERS: u64 = 301 * 7;
    simulated(async |mut cx: Context| {
        let parent = cx.pid();
        let (receiver, monitor) = cx
            .spawn_monitor(async move |mut cx: Context| {
                for n in 0..TIMERS {
                    cx.start_timer(ms((1 << 28) + n), cx.pid(), "never")
                        .unwrap();
                }
                cx.send(parent, &cx.pid()).unwrap();
                cx.receive().await;
            })
            .unwrap();
        assert_eq!(expect::<Pid>(&mut cx).await, receiver);
        assert_eq!(count(&cx), TIMERS as usize);
        cx.exit_process(receiver, "bang");
        down(&mut cx, monitor).await;
        assert_eq!(count(&cx), 0);
        cx.send_after(ms(1), cx.pid(), "others go on").unwrap();
        assert_eq!(within(&mut cx, ms(2)).await, "others go on");
    });
}
