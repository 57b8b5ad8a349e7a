//! The life of the worker threads: stop, join, dropped handles.

mod common;

use std::future::pending;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use common::{LIMIT, next, scheduler};
use otp_scheduler::{
    JoinError, MAX_BLOCKING_QUEUE, MAX_BLOCKING_THREADS, MAX_BOUND, MAX_LONG_SCHEDULE_QUEUE,
    MAX_NATIVE, MAX_SCHEDULERS, Scheduler,
};

/// Says when it is dropped.
struct Told(mpsc::Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        // Nobody may listen any more.
        let _ = self.0.send(());
    }
}

#[test]
fn stop_ends_the_threads() {
    let scheduler = scheduler(3);
    assert_eq!(scheduler.schedulers(), 3);
    scheduler.spawn(async {}).wait().unwrap();
    scheduler.stop();
    assert_eq!(scheduler.join(LIMIT), Ok(()));
    assert_eq!(scheduler.join(Duration::MAX), Ok(()));
}

#[test]
fn join_names_the_threads_that_still_run() {
    let scheduler = scheduler(2);
    let names = scheduler.join(Duration::from_millis(1)).unwrap_err();
    assert_eq!(names, ["otp-test, scheduler 0", "otp-test, scheduler 1"]);

    let (started_out, started) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let stuck = scheduler.spawn(async move {
        started_out.send(()).unwrap();
        next(&released);
    });
    next(&started);
    scheduler.stop();
    let names = scheduler.join(Duration::from_millis(50)).unwrap_err();
    assert!(
        names.iter().any(|name| name.starts_with("otp-test, ")),
        "{names:?}"
    );
    release.send(()).unwrap();
    assert_eq!(scheduler.join(LIMIT), Ok(()));
    assert_eq!(stuck.wait(), Ok(()));
}

#[test]
fn join_on_a_worker_waits_for_the_others_only() {
    let scheduler = scheduler(2);
    let inner = scheduler.clone();
    let joined = scheduler.spawn(async move {
        inner.stop();
        inner.join(LIMIT)
    });
    assert_eq!(joined.wait(), Ok(Ok(())));
    assert_eq!(scheduler.join(LIMIT), Ok(()));
}

#[test]
fn stop_cancels_plain_tasks() {
    let scheduler = scheduler(2);
    let (out, dropped) = mpsc::channel();
    let (started_out, started) = mpsc::channel();
    let told = Told(out);
    let task = scheduler.spawn(async move {
        let _told = told;
        started_out.send(()).unwrap();
        pending::<()>().await
    });
    next(&started);
    scheduler.stop();
    next(&dropped);
    assert_eq!(task.wait(), Err(JoinError::Cancelled));
    scheduler.join(LIMIT).unwrap();
    assert_eq!(scheduler.spawn(async {}).wait(), Err(JoinError::Cancelled));
}

#[test]
fn the_last_handle_ends_the_threads_without_waiting() {
    let scheduler = scheduler(2);
    let (out, dropped) = mpsc::channel();
    let (started_out, started) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let told = Told(out);
    let inner = scheduler.clone();
    // A timer, a task that waits for ever, and one that holds a worker (and a handle, until it ends).
    let far = Told(told.0.clone());
    scheduler.start_timer(u64::MAX, move |_| drop(far));
    scheduler.spawn(async move {
        let _told = told;
        pending::<()>().await
    });
    scheduler.spawn(async move {
        let _inner = inner;
        started_out.send(()).unwrap();
        next(&released);
    });
    next(&started);
    let before = Instant::now();
    drop(scheduler);
    assert!(before.elapsed() < LIMIT / 2, "drop waited");
    release.send(()).unwrap();
    next(&dropped);
    next(&dropped);
}

#[test]
fn a_number_out_of_range_is_refused() {
    let builder = Scheduler::builder;
    let tries = [
        (builder().schedulers(0), "0 schedulers", MAX_SCHEDULERS),
        (
            builder().schedulers(1_000_000),
            "1000000 schedulers",
            MAX_SCHEDULERS,
        ),
        (
            builder().max_bound(MAX_BOUND + 1),
            "bound threads",
            MAX_BOUND,
        ),
        (builder().max_bound(usize::MAX), "bound threads", MAX_BOUND),
        (
            builder().max_native(MAX_NATIVE + 1),
            "native tasks",
            MAX_NATIVE,
        ),
        (
            builder().long_schedule_queue(MAX_LONG_SCHEDULE_QUEUE + 1),
            "long slices",
            MAX_LONG_SCHEDULE_QUEUE,
        ),
        (
            builder().blocking_threads(0),
            "blocking threads",
            MAX_BLOCKING_THREADS,
        ),
        (
            builder().blocking_queue(MAX_BLOCKING_QUEUE + 1),
            "blocking queue",
            MAX_BLOCKING_QUEUE,
        ),
    ];
    for (builder, what, most) in tries {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        let text = error.to_string();
        assert!(
            text.contains(what) && text.ends_with(&format!("to {most}")),
            "{text}"
        );
    }
    let error = Scheduler::builder().name("a\0b").build().unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
}
