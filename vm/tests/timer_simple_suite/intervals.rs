//! Messages that are sent again and again.

use otp_vm::{Context, IntervalError, timer};

use crate::common::{down, idle};
use crate::virtual_time::{ms, nothing_within, simulated, within};

/// So many messages, each in time; then the interval is cancelled, and no more come.
async fn beats(cx: &mut Context, timer: timer::TRef, count: u32) {
    for _ in 0..count {
        assert_eq!(within(cx, ms(1500)).await, "beat");
    }
    timer::cancel(cx, &timer);
    nothing_within(cx, ms(1000)).await;
}

/// To the caller: it has no form of its own here.
#[test]
fn send_interval1() {
    simulated(async |mut cx: Context| {
        let timer = timer::send_interval(&cx, ms(1000), cx.pid(), "beat").unwrap();
        beats(&mut cx, timer, 5).await;
    });
}

#[test]
fn send_interval2() {
    simulated(async |mut cx: Context| {
        let timer = timer::send_interval(&cx, ms(1000), cx.pid(), "beat").unwrap();
        beats(&mut cx, timer, 2).await;
    });
}

#[test]
fn send_interval3() {
    simulated(async |mut cx: Context| {
        cx.trap_exit(true);
        cx.register("timer_simple_send_interval3", cx.pid())
            .unwrap();
        let name = "timer_simple_send_interval3";
        let timer = timer::send_interval(&cx, ms(1000), name, "beat").unwrap();
        beats(&mut cx, timer, 2).await;
    });
}

/// An interval ends with its receiver, whoever has it meanwhile.
#[test]
fn send_interval5() {
    simulated(async |mut cx: Context| {
        let (receiver, monitor) = cx.spawn_monitor(idle).unwrap();
        let interval = cx.send_interval(ms(500), receiver, "beat").unwrap();
        cx.sleep(ms(600)).await;
        cx.exit_process(receiver, "bang");
        down(&mut cx, monitor).await;
        timer::send_after(&cx, ms(600), cx.pid(), "after").unwrap();
        assert_eq!(within(&mut cx, ms(1000)).await, "after");
        assert_eq!(cx.cancel_interval(&interval), None);
    });
}

#[test]
fn an_interval_to_a_name_ends_with_who_had_it_when_it_was_set() {
    simulated(async |mut cx: Context| {
        let name = otp_vm::Atom::new("timer_simple_follows").unwrap();
        let nobodys = cx.send_interval(ms(10), name, "beat").unwrap();
        let (holder, monitor) = cx.spawn_monitor(idle).unwrap();
        cx.register(name.as_str(), holder).unwrap();
        let holders = cx.send_interval(ms(10), name, "beat").unwrap();
        cx.unregister(name.as_str());
        cx.register(name.as_str(), cx.pid()).unwrap();
        // The messages go to who has the name.
        assert_eq!(within(&mut cx, ms(15)).await, "beat");
        assert_eq!(cx.cancel_interval(&nobodys), None);
        cx.exit_process(holder, "bang");
        down(&mut cx, monitor).await;
        cx.sleep(ms(20)).await;
        while cx.receive_timeout(ms(0)).await.is_some() {}
        nothing_within(&mut cx, ms(100)).await;
        assert_eq!(cx.cancel_interval(&holders), None);
    });
}

/// Negative times are no `Duration`; zero is refused, which is legal in OTP; a text that is no name is nobody's, and
/// the interval is over before its first message.
#[test]
fn send_interval_invalid_args() {
    simulated(async |cx: Context| {
        let zero = timer::send_interval(&cx, ms(0), cx.pid(), "beat");
        assert!(matches!(zero, Err(IntervalError::Zero)), "{zero:?}");
        let nobodys = cx
            .send_interval(ms(1), "timer_simple: no atom", "beat")
            .unwrap();
        cx.sleep(ms(2)).await;
        assert_eq!(cx.cancel_interval(&nobodys), None);
    });
}

#[test]
fn cancel4() {
    simulated(async |mut cx: Context| {
        let timer = timer::send_interval(&cx, ms(500), cx.pid(), "beat").unwrap();
        assert_eq!(within(&mut cx, ms(1000)).await, "beat");
        timer::cancel(&cx, &timer);
        timer::send_after(&cx, ms(600), cx.pid(), "after").unwrap();
        assert_eq!(within(&mut cx, ms(1000)).await, "after");
    });
}
