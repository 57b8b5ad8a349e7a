//! Many timers at one time, cancels among them, and schedulers that go offline.

use std::collections::BTreeMap;

use otp_vm::{Context, Due, ExitReason, Pid, Ref, receive};

use crate::common::{self, LIMIT, bounded, expect};
use crate::virtual_time::{ms, simulated};

/// On each of up to seven schedulers in OTP.
const TIMERS: u64 = 301 * 7;

#[test]
fn same_time_yielding() {
    simulated(async |mut cx: Context| {
        let at = cx.monotonic_time() + 20_000_000_000;
        let tag = cx.make_ref();
        for _ in 0..TIMERS {
            cx.start_timer(Due::At(at), cx.pid(), &tag).unwrap();
        }
        for _ in 0..TIMERS {
            receive!(cx, {
                {timeout, _, (tag)} => assert!(cx.monotonic_time() >= at),
                after ms(20_300) => panic!("a timer is late"),
            });
        }
        assert!(cx.monotonic_time() <= at + 200_000_000);
        assert_eq!(cx.vm().system_info().timer_count, 0);
    });
}

/// How one timer ended, from its messages.
#[derive(Default, Debug, PartialEq)]
struct Outcome {
    timeouts: u32,
    answers: Vec<Option<u64>>,
}

/// Takes all answers in, and checks that each timer either fired and was not there any more, or was cancelled and did
/// not fire. Gives how many fired.
async fn exactly_one_each(cx: &mut Context, timers: &[Ref]) -> usize {
    let mut outcomes: BTreeMap<Ref, Outcome> = BTreeMap::new();
    while receive!(cx, {
        {timeout, timer: Ref, _} => {
            outcomes.entry(timer).or_default().timeouts += 1;
            true
        },
        {cancel_timer, timer: Ref, false} => {
            outcomes.entry(timer).or_default().answers.push(None);
            true
        },
        {cancel_timer, timer: Ref, left: u64} => {
            outcomes.entry(timer).or_default().answers.push(Some(left));
            true
        },
        after ms(1000) => false,
    }) {}
    assert_eq!(outcomes.len(), timers.len());
    let fired = |outcome: &&Outcome| match (outcome.timeouts, &outcome.answers[..]) {
        (1, [None]) => true,
        (0, [Some(_)]) => false,
        _ => panic!("{outcome:?}"),
    };
    let fired = outcomes.values().filter(fired).count();
    assert_eq!(cx.vm().system_info().timer_count, 0);
    fired
}

#[test]
fn same_time_yielding_with_cancel() {
    simulated(async |mut cx: Context| {
        let at = cx.monotonic_time() + 6_000_000_000;
        let start = |_| cx.start_timer(Due::At(at), cx.pid(), "due").unwrap();
        let timers: Vec<Ref> = (0..TIMERS).map(start).collect();
        // Half of them before the time, half after it.
        let early = std::time::Duration::from_nanos(at - 500_000 - cx.monotonic_time());
        cx.sleep(early).await;
        for (n, &timer) in timers.iter().enumerate() {
            if n == timers.len() / 2 {
                cx.sleep(ms(1)).await;
            }
            cx.cancel_timer_async(timer);
        }
        let fired = exactly_one_each(&mut cx, &timers).await;
        assert!(fired > 0 && fired < timers.len(), "{fired}");
    });
}

/// On threads, so that cancels meet firings.
#[test]
fn same_time_yielding_with_cancel_other() {
    bounded(2, async |mut cx: Context| {
        let parent = cx.pid();
        let canceller = cx
            .spawn(async move |mut cx: Context| {
                let (at, timers): (u64, Vec<Ref>) = expect(&mut cx).await;
                let half = at.saturating_sub(cx.monotonic_time());
                cx.sleep(std::time::Duration::from_nanos(half)).await;
                for timer in timers {
                    cx.cancel_timer_async(timer);
                }
                loop {
                    let answer = cx.receive().await;
                    cx.forward(parent, answer).unwrap();
                }
            })
            .unwrap();
        let at = cx.monotonic_time() + 50_000_000;
        let start = |_| cx.start_timer(Due::At(at), cx.pid(), "due").unwrap();
        let timers: Vec<Ref> = (0..TIMERS).map(start).collect();
        cx.send(canceller, &(at - 500_000, &timers)).unwrap();
        exactly_one_each(&mut cx, &timers).await;
        let monitor = cx.monitor(canceller);
        cx.exit_process(canceller, "bang");
        assert_eq!(
            common::down(&mut cx, monitor).await,
            ExitReason::from("bang")
        );
    });
}

#[test]
fn suspended_scheduler_timeout() {
    bounded(2, async |mut cx: Context| {
        let parent = cx.pid();
        // Each on a scheduler of its own: they wait for one another without giving way.
        let met = std::sync::Arc::new(std::sync::Barrier::new(2));
        for number in 0..2_u32 {
            let met = std::sync::Arc::clone(&met);
            cx.spawn(async move |cx: Context| {
                met.wait();
                let to = parent;
                cx.send_after(ms(100), to, &number).unwrap();
                cx.send(parent, &cx.pid()).unwrap();
            })
            .unwrap();
        }
        for _ in 0..2 {
            cx.receive_as::<Pid>(LIMIT).await.expect("it was started");
        }
        assert_eq!(cx.vm().set_schedulers_online(1), Ok(2));
        let mut got = [expect::<u32>(&mut cx).await, expect::<u32>(&mut cx).await];
        got.sort_unstable();
        assert_eq!(got, [0, 1]);
        assert_eq!(cx.vm().set_schedulers_online(2), Ok(1));
    });
}
