//! Periodic timers: beats at multiples of the period, cancelled from anywhere, ended by themselves.

mod common;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Arc, OnceLock};

use common::{LIMIT, next, scheduler};
use otp_scheduler::{Beat, PeriodicTimer, ZeroPeriod};

const MS: u64 = 1_000_000;

/// What fires is gone: it took its sender along.
fn is_gone<T: std::fmt::Debug>(receiver: &mpsc::Receiver<T>) {
    assert_eq!(
        receiver.recv_timeout(LIMIT).unwrap_err(),
        RecvTimeoutError::Disconnected
    );
}

#[test]
fn beats_come_at_multiples_of_the_period_and_never_early() {
    let scheduler = scheduler(2);
    let (out, beats) = mpsc::channel();
    let clock = scheduler.clone();
    let first_at = scheduler.now() + MS;
    let timer = scheduler
        .start_periodic(first_at, MS, move |beat| {
            out.send((beat, clock.now())).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    let mut expected = first_at;
    for _ in 0..20 {
        let (Beat { at, missed }, now) = next(&beats);
        assert_eq!(
            at,
            expected + missed * MS,
            "beats are neither lost nor doubled"
        );
        assert!(at <= now, "{at} {now}");
        expected = at + MS;
    }
    assert!(timer.deadline().expect("it goes on") >= expected);
}

#[test]
fn a_late_one_fires_once_and_tells_what_it_missed() {
    let scheduler = scheduler(1);
    let (out, beats) = mpsc::channel();
    // Due since the scheduler was built, some hundred times at least.
    while scheduler.now() < 100_000 {}
    let begun = scheduler.now();
    let _timer = scheduler.start_periodic(0, 1_000, move |beat| {
        out.send(beat).unwrap();
        ControlFlow::Break(())
    });
    let Beat { at, missed } = next(&beats);
    assert_eq!(at, missed * 1_000);
    assert!(at + 1_000 > begun, "the latest that was due");
    is_gone(&beats);
}

#[test]
fn a_cancel_gives_the_next_deadline_and_drops_what_fires() {
    let scheduler = scheduler(1);
    let (out, beats) = mpsc::channel::<()>();
    let at = scheduler.now() + 3_600_000 * MS;
    let timer = scheduler
        .start_periodic(at, MS, move |_| {
            out.send(()).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(timer.deadline(), Some(at));
    let same = timer.clone();
    let cancelled = std::thread::spawn(move || same.cancel());
    assert_eq!(cancelled.join().unwrap(), Some(at));
    is_gone(&beats);
    assert_eq!((timer.cancel(), timer.deadline()), (None, None));
    assert_eq!(scheduler.figures().timers, 0);
}

#[test]
fn it_may_cancel_itself_while_it_fires() {
    let scheduler = scheduler(1);
    let (out, told) = mpsc::channel();
    let own: Arc<OnceLock<PeriodicTimer>> = Arc::default();
    let inner = Arc::clone(&own);
    let first_at = scheduler.now() + MS;
    let timer = scheduler
        .start_periodic(first_at, MS, move |beat| {
            let next = inner.wait().cancel();
            out.send((beat.at, next)).unwrap();
            ControlFlow::Continue(())
        })
        .unwrap();
    own.set(timer).unwrap();
    let (at, next_at) = next(&told);
    assert_eq!(next_at, Some(at + MS));
    is_gone(&told);
}

#[test]
fn after_a_cancel_from_elsewhere_the_running_firing_is_the_last() {
    let scheduler = scheduler(2);
    let (out, begun) = mpsc::channel();
    let (go, gone) = mpsc::channel::<()>();
    let first_at = scheduler.now();
    let timer = scheduler
        .start_periodic(first_at, MS, move |beat| {
            out.send(beat.at).unwrap();
            next(&gone);
            ControlFlow::Continue(())
        })
        .unwrap();
    let at = next(&begun);
    assert_eq!(timer.deadline(), Some(at + MS));
    assert_eq!(timer.cancel(), Some(at + MS));
    go.send(()).unwrap();
    is_gone(&begun);
}

#[test]
fn no_firing_begins_after_a_cancel() {
    let scheduler = scheduler(2);
    for round in 0..200 {
        let (out, over) = mpsc::channel::<()>();
        let fired = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&fired);
        let timer = scheduler
            .start_periodic(scheduler.now(), 10_000, move |_| {
                let _until_over = &out;
                count.fetch_add(1, Ordering::SeqCst);
                ControlFlow::Continue(())
            })
            .unwrap();
        while fired.load(Ordering::SeqCst) < round % 3 {
            std::hint::spin_loop();
        }
        assert!(timer.cancel().is_some());
        let at_cancel = fired.load(Ordering::SeqCst);
        is_gone(&over);
        // The one that had begun may count only now.
        assert!(fired.load(Ordering::SeqCst) <= at_cancel + 1);
    }
    assert_eq!(scheduler.figures().timers, 0);
}

#[test]
fn it_ends_when_it_says_so() {
    let scheduler = scheduler(1);
    let (out, beats) = mpsc::channel();
    let mut left = 3;
    let timer = scheduler
        .start_periodic(scheduler.now(), 1_000, move |_| {
            left -= 1;
            out.send(left).unwrap();
            if left == 0 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    assert_eq!([next(&beats), next(&beats), next(&beats)], [2, 1, 0]);
    is_gone(&beats);
    assert_eq!((timer.cancel(), timer.deadline()), (None, None));
}

#[test]
fn a_panic_is_counted_and_ends_it() {
    let scheduler = scheduler(1);
    let (out, beats) = mpsc::channel();
    let timer = scheduler
        .start_periodic(scheduler.now(), 1_000, move |_| {
            out.send(()).unwrap();
            panic!("a timer's own");
        })
        .unwrap();
    next(&beats);
    is_gone(&beats);
    assert_eq!((timer.cancel(), timer.deadline()), (None, None));
    // The worker goes on, and has counted it by then.
    scheduler.spawn(async {}).wait().unwrap();
    assert_eq!(scheduler.figures().schedulers[0].panics, 1);
}

#[test]
fn a_period_of_nought_is_an_error() {
    let scheduler = scheduler(1);
    let zero = scheduler.start_periodic(0, 0, |_| ControlFlow::Continue(()));
    assert_eq!(zero.unwrap_err(), ZeroPeriod);
    assert_eq!(scheduler.interval_at(0, 0).unwrap_err(), ZeroPeriod);
    assert_eq!(scheduler.figures().timers, 0);
}

#[test]
fn it_ends_with_its_scheduler() {
    let scheduler = scheduler(1);
    let (out, beats) = mpsc::channel();
    let start = || {
        let out = out.clone();
        let fire = move |_| {
            out.send(()).unwrap();
            ControlFlow::Continue(())
        };
        scheduler
            .start_periodic(scheduler.now(), 1_000, fire)
            .unwrap()
    };
    let timer = start();
    next(&beats);
    scheduler.stop();
    scheduler.join(LIMIT).unwrap();
    assert_eq!((timer.cancel(), timer.deadline()), (None, None));
    let late = start();
    assert_eq!((late.cancel(), late.deadline()), (None, None));
    drop(out);
    while beats.recv_timeout(LIMIT).is_ok() {}
    is_gone(&beats);
}
