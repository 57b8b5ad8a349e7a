//! Time for tasks: sleeps, time limits, intervals.

mod common;

use std::future::{Future, pending, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use common::{next, scheduler};
use otp_scheduler::{Elapsed, current_scheduler, interval, sleep, timeout};

const MS: u64 = 1_000_000;

/// A waker that is nobody's task.
struct Tell(Sender<&'static str>, &'static str);

impl Wake for Tell {
    fn wake(self: Arc<Self>) {
        self.0.send(self.1).unwrap();
    }
}

fn poll_once<F: Future>(future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(waker))
}

#[test]
fn many_tasks_sleep_and_none_wakes_early() {
    let scheduler = scheduler(2);
    let tasks: Vec<_> = (0..1_000)
        .map(|number: u64| {
            let clock = scheduler.clone();
            let duration = Duration::from_nanos(number * 7_919 % (10 * MS));
            scheduler.spawn(async move {
                let begun = clock.now();
                sleep(duration).await;
                Duration::from_nanos(clock.now() - begun) >= duration
            })
        })
        .collect();
    for task in tasks {
        assert!(task.wait().unwrap(), "one woke early");
    }
    assert_eq!(scheduler.figures().timers, 0);
}

#[test]
fn a_sleep_that_is_dropped_leaves_no_timer() {
    let scheduler = scheduler(1);
    let inner = scheduler.clone();
    let timers = scheduler.spawn(async move {
        let mut far = Box::pin(sleep(Duration::MAX));
        poll_fn(|cx| Poll::Ready(far.as_mut().poll(cx).is_pending())).await;
        let before = inner.figures().timers;
        drop(far);
        (before, inner.figures().timers)
    });
    assert_eq!(timers.wait(), Ok((1, 0)));
}

#[test]
fn a_sleep_wakes_whoever_polled_it_last_on_any_thread() {
    let scheduler = scheduler(1);
    let (out, woken) = mpsc::channel();
    let [first, second] = ["first", "second"].map(|name| {
        let tell = Tell(out.clone(), name);
        Waker::from(Arc::new(tell))
    });
    let mut sleep = pin!(scheduler.sleep_until(u64::MAX));
    assert!(poll_once(sleep.as_mut(), &first).is_pending());
    assert!(poll_once(sleep.as_mut(), &first).is_pending());
    let at = scheduler.now() + 20 * MS;
    sleep.reset(at);
    assert_eq!(sleep.deadline(), at);
    if poll_once(sleep.as_mut(), &first).is_pending()
        && poll_once(sleep.as_mut(), &second).is_pending()
    {
        assert!(scheduler.figures().timers <= 1);
        // The first may have been told in the moment before the second came.
        while next(&woken) == "first" {}
    }
    assert!(poll_once(sleep.as_mut(), &second).is_ready());
}

#[test]
fn a_sleep_off_the_schedulers_says_what_to_use() {
    let panic = catch_unwind(AssertUnwindSafe(|| drop(sleep(Duration::ZERO)))).unwrap_err();
    let text = panic.downcast_ref::<String>().cloned().unwrap_or_else(|| {
        let text = panic.downcast_ref::<&str>();
        text.copied().unwrap_or_default().to_owned()
    });
    assert!(text.contains("sleep_until"), "{text}");
}

#[test]
fn a_task_that_lost_its_scheduler_sleeps_all_the_same() {
    let scheduler = scheduler(1);
    let clock = scheduler.clone();
    let slept = scheduler.spawn(async move {
        while current_scheduler().is_some() {
            std::hint::spin_loop();
        }
        let begun = clock.now();
        sleep(Duration::from_millis(1)).await;
        clock.now() - begun
    });
    assert!(slept.wait().unwrap() >= MS);
}

#[test]
fn a_time_limit_cancels_its_timer_when_the_future_is_first() {
    let scheduler = scheduler(1);
    let inner = scheduler.clone();
    let tried = scheduler.spawn(async move {
        let hour = Duration::from_secs(3_600);
        let slept = timeout(hour, sleep(Duration::from_millis(1))).await;
        let never = timeout(Duration::from_millis(1), pending::<()>()).await;
        (slept, never, inner.figures().timers)
    });
    assert_eq!(tried.wait(), Ok((Ok(()), Err(Elapsed), 0)));
}

#[test]
fn a_tick_that_is_dropped_loses_no_beat() {
    let scheduler = scheduler(1);
    let clock = scheduler.clone();
    let beat = scheduler.spawn(async move {
        // Further and further away, until the machine finds the time to drop one before the beat.
        for distance in (0..).map(|round| (5 * MS) << round) {
            let first_at = clock.now() + distance;
            let mut interval = clock.interval_at(first_at, 3_600_000 * MS).unwrap();
            let mut dropped = false;
            let beat = loop {
                let mut tick = pin!(interval.tick());
                match poll_fn(|cx| Poll::Ready(tick.as_mut().poll(cx))).await {
                    Poll::Ready(beat) => break beat,
                    Poll::Pending => dropped = true,
                }
            };
            if dropped {
                return (beat.at - first_at, beat.missed);
            }
        }
        unreachable!("there is always a greater distance");
    });
    assert_eq!(beat.wait(), Ok((0, 0)));
}

#[test]
fn an_interval_keeps_to_its_multiples_and_tells_what_was_missed() {
    let scheduler = scheduler(1);
    let clock = scheduler.clone();
    let beats = scheduler.spawn(async move {
        let begun = clock.now();
        let mut interval = interval(Duration::from_millis(1)).unwrap();
        let first = interval.tick().await;
        assert!(first.at >= begun + MS, "the first is a period away");
        while clock.now() < first.at + 5 * MS {}
        let late = interval.tick().await;
        assert!(late.missed >= 4);
        assert_eq!(late.at, first.at + (1 + late.missed) * MS);
        interval.tick().await.at > late.at
    });
    assert_eq!(beats.wait(), Ok(true));
}
