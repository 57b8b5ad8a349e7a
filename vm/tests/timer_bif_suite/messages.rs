//! What timers send, and when.

use otp_vm::{Context, Ref, TimerRef, receive};

use crate::virtual_time::{ms, nothing_within, simulated, within};

/// Receives `{timeout, Timer, plopp}`.
async fn plopp(cx: &mut Context, timer: TimerRef) {
    receive!(cx, {
        {timeout, reference: Ref, "plopp"} => assert_eq!(reference, timer),
        after ms(500) => panic!("no timeout"),
    });
}

#[test]
fn start_timer_1() {
    simulated(async |mut cx: Context| {
        let timer = cx.start_timer(ms(1000), cx.pid(), "plopp").unwrap();
        nothing_within(&mut cx, ms(999)).await;
        plopp(&mut cx, timer).await;
        assert_eq!(cx.read_timer(timer), None);
        assert_eq!(cx.cancel_timer(timer), None);
        assert_eq!(cx.read_timer(timer), None);

        let timer = cx.start_timer(ms(1000), cx.pid(), "plopp").unwrap();
        let left = cx.cancel_timer(timer).unwrap();
        assert!(left > ms(600) && left <= ms(1000), "{left:?}");
        assert_eq!(cx.message_queue_len(), 0);
        assert_eq!(cx.cancel_timer(timer), None);

        let timer = cx.start_timer(ms(1000), cx.pid(), "plopp").unwrap();
        nothing_within(&mut cx, ms(600)).await;
        plopp(&mut cx, timer).await;
    });
}

#[test]
fn send_after_1() {
    simulated(async |mut cx: Context| {
        let timer = cx.send_after(ms(1000), cx.pid(), "plipp").unwrap();
        assert_eq!(within(&mut cx, ms(1500)).await, "plipp");
        assert_eq!(cx.read_timer(timer), None);
    });
}

#[test]
fn send_after_2() {
    simulated(async |mut cx: Context| {
        let messages = [
            (5000, "last"),
            (0, "a0"),
            (200, "a2"),
            (100, "a1"),
            (500, "a5"),
            (300, "a3"),
            (400, "a4"),
        ];
        for (after, message) in messages {
            cx.send_after(ms(after), cx.pid(), message).unwrap();
        }
        for message in ["a0", "a1", "a2", "a3", "a4", "a5", "last"] {
            assert_eq!(within(&mut cx, ms(5000)).await, message);
        }
        nothing_within(&mut cx, ms(10_000)).await;
    });
}

/// A timer of zero is a timer: what is sent after it was started comes first, unless others run meanwhile.
#[test]
fn send_after_zero_is_not_there_on_return_and_can_be_cancelled() {
    simulated(async |mut cx: Context| {
        let timer = cx.send_after(ms(0), cx.pid(), "zero").unwrap();
        assert_eq!(cx.message_queue_len(), 0);
        assert_eq!(cx.cancel_timer(timer), Some(ms(0)));
        nothing_within(&mut cx, ms(10)).await;
    });
}

async fn big(cx: &mut Context, timer: TimerRef) {
    cx.sleep(ms(200)).await;
    let left = cx.cancel_timer(timer).unwrap();
    let passed = ms(1 << 31) - left;
    assert!(passed >= ms(200) && passed < ms(10_000), "{passed:?}");
}

#[test]
fn start_timer_big() {
    simulated(async |mut cx: Context| {
        let timer = cx.start_timer(ms(1 << 31), cx.pid(), "hej").unwrap();
        big(&mut cx, timer).await;
    });
}

#[test]
fn send_after_big() {
    simulated(async |mut cx: Context| {
        let timer = cx.send_after(ms(1 << 31), cx.pid(), "hej").unwrap();
        big(&mut cx, timer).await;
    });
}
