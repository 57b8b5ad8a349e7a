//! Cancelling and reading, and the answers that come as messages.

use otp_vm::{Context, Ref, TimerRef, receive};

use crate::virtual_time::{ms, nothing_within, simulated, within};

#[test]
fn cancel_timer_1() {
    simulated(async |cx: Context| {
        assert_eq!(cx.cancel_timer(cx.make_ref()), None);
    });
}

/// From the process that started the timers and from another, which has their references by message.
#[test]
fn cancel_timer_sync() {
    simulated(async |mut cx: Context| {
        for by_another in [false, true] {
            let begun = cx.monotonic_time();
            let late = [(); 3].map(|()| cx.send_after(ms(1000), cx.pid(), "late").unwrap());
            let soon = [(); 3].map(|()| cx.send_after(ms(0), cx.pid(), "soon").unwrap());
            let never = [(); 3].map(|()| cx.make_ref());
            for _ in soon {
                assert_eq!(within(&mut cx, ms(100)).await, "soon");
            }
            let checks = async move |cx: &Context, late: Vec<TimerRef>| {
                for timer in late {
                    assert!(cx.cancel_timer(timer).unwrap() <= ms(1000));
                }
                for timer in soon.into_iter().chain(never) {
                    assert_eq!(cx.cancel_timer(timer), None);
                }
            };
            if by_another {
                let (other, monitor) = cx
                    .spawn_monitor(async move |mut cx: Context| {
                        let late = receive!(cx, { timers: Vec<Ref> => timers });
                        checks(&cx, late).await;
                    })
                    .unwrap();
                cx.send(other, &late).unwrap();
                assert!(crate::common::down(&mut cx, monitor).await.is_normal());
            } else {
                checks(&cx, late.to_vec()).await;
            }
            let passed = std::time::Duration::from_nanos(cx.monotonic_time() - begun);
            nothing_within(&mut cx, ms(1500) - passed).await;
        }
    });
}

#[test]
fn read_timer_trivial() {
    simulated(async |cx: Context| {
        assert_eq!(cx.read_timer(cx.make_ref()), None);
    });
}

#[test]
fn read_timer() {
    simulated(async |cx: Context| {
        let timer = cx.send_after(ms(1 << 31), cx.pid(), "hej").unwrap();
        cx.sleep(ms(200)).await;
        let left = cx.read_timer(timer).unwrap();
        let at_cancel = cx.cancel_timer(timer).unwrap();
        assert!(at_cancel <= left && left - at_cancel <= ms(1));
        assert_eq!(cx.read_timer(timer), None);
        let passed = ms(1 << 31) - left;
        assert!(passed >= ms(200) && passed < ms(10_000), "{passed:?}");
    });
}

#[test]
fn read_timer_async() {
    simulated(async |mut cx: Context| {
        let timer = cx.send_after(ms(1 << 33), cx.pid(), "hej").unwrap();
        let parent = cx.pid();
        cx.spawn(async move |mut cx: Context| {
            cx.sleep(ms(200)).await;
            cx.read_timer_async(timer);
            cx.cancel_timer_async(timer);
            cx.read_timer_async(timer);
            for _ in 0..3 {
                let answer = cx.receive().await;
                cx.forward(parent, answer).unwrap();
            }
        })
        .unwrap();
        let left = receive!(cx, { {read_timer, (timer), left: u64} => left });
        let first = cx.message_queue_len();
        let at_cancel = receive!(cx, { {cancel_timer, (timer), left: u64} => left });
        assert!(first <= 2 && at_cancel <= left && left - at_cancel <= 1);
        // The third is in its place: nothing else comes before it.
        let third = cx.receive().await;
        let (_, _, at_last): (otp_vm::Atom, Ref, bool) = third.decode().unwrap();
        assert!(!at_last);
        let passed = (1 << 33) - left;
        assert!((200..10_000).contains(&passed), "{passed}");
    });
}
