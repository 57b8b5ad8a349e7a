//! What is refused.

use std::time::Duration;

use otp_vm::{Context, Due, TimerError, Vm};

use crate::virtual_time::{ms, simulated, simulated_with, within};

/// 2^64 ms.
const TOO_FAR: Duration = Duration::new(18_446_744_073_709_551, 616_000_000);

/// Negative times, fractions and other terms are no `Duration`; a time that is too far off is refused.
#[test]
fn start_timer_e() {
    simulated(async |cx: Context| {
        let error = cx.start_timer(TOO_FAR, cx.pid(), "hej").unwrap_err();
        assert!(matches!(error, TimerError::TooFar), "{error}");
        assert_eq!(cx.vm().system_info().timer_count, 0);
    });
}

#[test]
fn send_after_e() {
    simulated(async |cx: Context| {
        for due in [Due::After(TOO_FAR), Due::At(u64::MAX)] {
            let error = cx.send_after(due, cx.pid(), "hej").unwrap_err();
            assert!(matches!(error, TimerError::TooFar), "{error}");
        }
        assert_eq!(cx.vm().system_info().timer_count, 0);
    });
}

/// Numbers, pids and atoms are no `Ref`; a reference that is no timer's is false.
#[test]
fn cancel_timer_e() {
    simulated(async |cx: Context| {
        assert_eq!(cx.cancel_timer(cx.make_ref()), None);
    });
}

#[test]
fn one_timer_more_than_the_limit_is_refused_until_one_is_over() {
    simulated_with(
        |builder| builder.max_timers(2),
        async |mut cx: Context| {
            let timers = [1, 2].map(|after| cx.send_after(ms(after), cx.pid(), "due").unwrap());
            let error = cx.start_timer(ms(1), cx.pid(), "more").unwrap_err();
            assert!(matches!(error, TimerError::Limit { limit: 2 }));
            assert!(error.to_string().contains("max_timers"), "{error}");
            let info = cx.vm().system_info();
            assert_eq!((info.timer_count, info.timer_limit), (2, 2));
            assert_eq!(within(&mut cx, ms(5)).await, "due");
            let third = cx.send_after(ms(5), cx.pid(), "third").unwrap();
            assert!(cx.send_after(ms(5), cx.pid(), "fourth").is_err());
            assert!(cx.cancel_timer(timers[1]).is_some());
            assert!(cx.cancel_timer(third).is_some());
            assert_eq!(cx.vm().system_info().timer_count, 0);
        },
    );
    let vm = Vm::builder().schedulers(1).build().unwrap();
    assert_eq!(vm.system_info().timer_limit, otp_vm::DEFAULT_MAX_TIMERS);
}
