//! Messages that are sent once.

use std::time::Duration;

use otp_vm::{Atom, Context, TimerError, timer};

use crate::virtual_time::{ms, nothing_within, simulated, within};

#[test]
fn send_after1() {
    simulated(async |mut cx: Context| {
        timer::send_after(&cx, ms(0), cx.pid(), "ok_send1").unwrap();
        // Without a timer: it is there.
        assert_eq!(cx.message_queue_len(), 1);
        assert_eq!(within(&mut cx, ms(1000)).await, "ok_send1");
    });
}

#[test]
fn send_after2() {
    simulated(async |mut cx: Context| {
        cx.register("timer_simple_send_after2", cx.pid()).unwrap();
        timer::send_after(&cx, ms(0), "timer_simple_send_after2", "ok_send2").unwrap();
        assert_eq!(cx.message_queue_len(), 1);
        assert_eq!(within(&mut cx, ms(1000)).await, "ok_send2");
    });
}

#[test]
fn send_after4() {
    simulated(async |mut cx: Context| {
        timer::send_after(&cx, ms(500), cx.pid(), "ok_send4").unwrap();
        assert_eq!(within(&mut cx, ms(2000)).await, "ok_send4");
    });
}

#[test]
fn send_after5() {
    simulated(async |mut cx: Context| {
        cx.register("timer_simple_send_after5", cx.pid()).unwrap();
        timer::send_after(&cx, ms(500), "timer_simple_send_after5", "ok_send5").unwrap();
        assert_eq!(within(&mut cx, ms(2000)).await, "ok_send5");
    });
}

#[test]
fn send_after7() {
    simulated(async |mut cx: Context| {
        let name = Atom::new("timer_simple_send_after7").unwrap();
        timer::send_after(&cx, ms(500), name, "ok_send7").unwrap();
        cx.register(name.as_str(), cx.pid()).unwrap();
        assert_eq!(within(&mut cx, ms(2000)).await, "ok_send7");
    });
}

/// Negative times are no `Duration`; a text that is no name is nobody's, at once, and is looked for again later.
#[test]
fn send_after_invalid_args() {
    simulated(async |cx: Context| {
        for after in [ms(0), ms(1)] {
            timer::send_after(&cx, after, "timer_simple: no atom", "nobody").unwrap();
        }
        assert_eq!(cx.vm().system_info().timer_count, 1);
        cx.sleep(ms(2)).await;
        assert_eq!(cx.vm().system_info().timer_count, 0);
        let refused = timer::send_after(&cx, Duration::MAX, cx.pid(), "never");
        assert!(matches!(refused, Err(TimerError::TooFar)), "{refused:?}");
    });
}

#[test]
fn cancel1() {
    simulated(async |mut cx: Context| {
        let timer = timer::send_after(&cx, ms(0), cx.pid(), "cancel1").unwrap();
        timer::cancel(&cx, &timer);
        assert_eq!(within(&mut cx, ms(0)).await, "cancel1");
    });
}

#[test]
fn cancel2() {
    simulated(async |mut cx: Context| {
        let timer = timer::send_after(&cx, ms(1000), cx.pid(), "cancel2").unwrap();
        timer::cancel(&cx, &timer);
        nothing_within(&mut cx, ms(2000)).await;
    });
}

/// Of each kind, cancelled twice, and after they acted.
#[test]
fn cancel6() {
    simulated(async |mut cx: Context| {
        let pid = cx.pid();
        let timers = [
            timer::send_after(&cx, ms(0), pid, "instant").unwrap(),
            timer::send_after(&cx, ms(1), pid, "once").unwrap(),
            timer::send_interval(&cx, ms(1), pid, "interval").unwrap(),
            timer::apply_after(&cx, ms(1), async |_: Context| ()).unwrap(),
        ];
        cx.sleep(ms(2)).await;
        for timer in timers.iter().chain(&timers) {
            timer::cancel(&cx, timer);
        }
        let sent = cx.message_queue_len();
        cx.sleep(ms(500)).await;
        assert_eq!(cx.message_queue_len(), sent);
        while cx.receive_timeout(ms(0)).await.is_some() {}
    });
}

/// Atoms and tuples are no timer, by its type; a timer of another kind is cancelled by any process.
#[test]
fn cancel_invalid_args() {
    simulated(async |mut cx: Context| {
        let timer = timer::send_after(&cx, ms(10), cx.pid(), "late").unwrap();
        let (_, monitor) = cx
            .spawn_monitor(async move |cx: Context| timer::cancel(&cx, &timer))
            .unwrap();
        assert!(crate::common::down(&mut cx, monitor).await.is_normal());
        nothing_within(&mut cx, ms(100)).await;
    });
}
