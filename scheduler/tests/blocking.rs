//! The blocking pool.

mod common;

use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Barrier};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use common::{LIMIT, next, scheduler};
use otp_scheduler::{Builder, Figures, JoinError, Scheduler, blocking, checkpoint, yield_now};

fn build(with: impl FnOnce(Builder) -> Builder) -> Scheduler {
    let builder = Scheduler::builder().schedulers(1).name("test");
    with(builder).build().expect("worker threads start")
}

/// Waits until the figures are as they should be.
fn until(scheduler: &Scheduler, holds: impl Fn(&Figures) -> bool) {
    let begun = Instant::now();
    while !holds(&scheduler.figures()) {
        assert!(begun.elapsed() < LIMIT, "{:?}", scheduler.figures());
        thread::sleep(Duration::from_millis(1));
    }
}

fn end(scheduler: &Scheduler) {
    scheduler.stop();
    assert_eq!(scheduler.join(LIMIT), Ok(()));
    assert_eq!(scheduler.figures().blocking_threads, 0);
}

/// Keeps a thread of the pool until something is sent, or the sender goes.
fn held(scheduler: &Scheduler) -> (Sender<()>, otp_scheduler::JoinHandle<()>) {
    let (release, released) = channel();
    let (begun, begins) = channel();
    let handle = scheduler.try_blocking(move || {
        begun.send(()).expect("the test listens");
        let _ = released.recv();
    });
    next(&begins);
    (release, handle.expect("there is room"))
}

/// Says when it is dropped.
struct Told(Sender<()>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send(());
    }
}

fn told() -> (Told, Receiver<()>) {
    let (out, dropped) = channel();
    (Told(out), dropped)
}

#[test]
fn closures_run_on_threads_of_their_own_and_give_their_results() {
    let scheduler = scheduler(1);
    let handle = scheduler.try_blocking(|| thread::current().name().map(str::to_owned));
    let name = handle.unwrap().wait().unwrap();
    assert_eq!(name.as_deref(), Some("otp-test-blocking-0"));
    let inner = scheduler.clone();
    let sum = scheduler.spawn(async move {
        let by_handle = inner.blocking(|| 40).await.unwrap();
        by_handle + blocking(|| 2).await.unwrap()
    });
    assert_eq!(sum.wait(), Ok(42));
    end(&scheduler);
}

#[test]
fn a_task_that_awaits_one_leaves_its_scheduler_to_others() {
    let scheduler = scheduler(1);
    let (release, released) = channel::<()>();
    let waits = scheduler.spawn(async move { blocking(move || next(&released)).await });
    until(&scheduler, |figures| figures.blocking_busy == 1);
    // The one scheduler goes on, and lets the closure go on.
    scheduler.spawn(async move { release.send(()).unwrap() });
    assert_eq!(waits.wait(), Ok(Ok(())));
    end(&scheduler);
}

#[test]
fn a_panic_is_told() {
    let scheduler = scheduler(1);
    let handle = scheduler.try_blocking(|| panic!("no {}", "disk"));
    let result: Result<(), JoinError> = handle.unwrap().wait();
    assert_eq!(result, Err(JoinError::Panicked("no disk".to_owned())));
    // The thread goes on with others.
    assert_eq!(scheduler.try_blocking(|| 1).unwrap().wait(), Ok(1));
    end(&scheduler);
}

#[test]
fn a_result_that_nobody_wants_may_panic_in_its_destructor() {
    struct Bomb;
    impl Drop for Bomb {
        fn drop(&mut self) {
            panic!("boom");
        }
    }
    let scheduler = build(|builder| builder.blocking_threads(1));
    let (release, released) = channel::<()>();
    let closure = move || {
        next(&released);
        Bomb
    };
    drop(scheduler.try_blocking(closure).unwrap());
    release.send(()).unwrap();
    assert_eq!(scheduler.try_blocking(|| 1).unwrap().wait(), Ok(1));
    end(&scheduler);
}

#[test]
fn a_dropped_handle_lets_the_closure_run() {
    let scheduler = scheduler(1);
    let (ran, runs) = channel();
    drop(scheduler.try_blocking(move || ran.send(()).unwrap()));
    next(&runs);
    // The same for a task that is dropped while it awaits one.
    let (release, released) = channel::<()>();
    let (ran, runs) = channel();
    let closure = move || {
        next(&released);
        ran.send(()).unwrap();
    };
    let mut awaited = Box::pin(scheduler.blocking(closure));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(awaited.as_mut().poll(&mut cx).is_pending());
    drop(awaited);
    release.send(()).unwrap();
    next(&runs);
    end(&scheduler);
}

#[test]
fn as_many_threads_are_made_as_may_be_and_no_more() {
    let scheduler = build(|builder| builder.blocking_threads(3));
    let (running, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // All three must be there at once, or nobody passes.
    let barrier = Arc::new(Barrier::new(3));
    let handles: Vec<_> = (0..30)
        .map(|_| {
            let (running, most) = (Arc::clone(&running), Arc::clone(&most));
            let barrier = Arc::clone(&barrier);
            let closure = move || {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                barrier.wait();
                running.fetch_sub(1, Ordering::SeqCst);
            };
            scheduler.try_blocking(closure).unwrap()
        })
        .collect();
    for handle in handles {
        handle.wait().unwrap();
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
    assert_eq!(scheduler.figures().blocking_threads, 3);
    end(&scheduler);
}

#[test]
fn a_full_queue_gives_the_closure_back_and_says_what_to_do() {
    let scheduler = build(|builder| builder.blocking_threads(1).blocking_queue(2));
    let (release, holder) = held(&scheduler);
    let queued = [1, 2].map(|n| scheduler.try_blocking(move || n).unwrap());
    let figures = scheduler.figures();
    assert_eq!(figures.blocking_threads, 1);
    assert_eq!((figures.blocking_busy, figures.blocking_queued), (1, 2));
    let full = scheduler.try_blocking(|| 3).unwrap_err();
    assert_eq!(full.limit, 2);
    let text = full.to_string();
    assert!(text.contains("full with 2 closures") && text.contains("blocking_queue"));
    assert_eq!((full.closure)(), 3, "nothing is lost");
    drop(release);
    holder.wait().unwrap();
    assert_eq!(queued.map(|handle| handle.wait().unwrap()), [1, 2]);
    end(&scheduler);
}

#[test]
fn awaited_ones_wait_for_room_in_their_order() {
    let scheduler = build(|builder| builder.blocking_threads(1).blocking_queue(1));
    let (release, _) = held(&scheduler);
    let (ran, runs) = channel();
    let tasks: Vec<_> = (0..20)
        .map(|n| {
            let ran = ran.clone();
            let inner = scheduler.clone();
            scheduler.spawn(async move { inner.blocking(move || ran.send(n).unwrap()).await })
        })
        .collect();
    until(&scheduler, |figures| figures.blocking_queued == 1);
    // All have had their first slice, and wait.
    scheduler.spawn(yield_now()).wait().unwrap();
    drop(release);
    for task in tasks {
        assert_eq!(task.wait(), Ok(Ok(())));
    }
    drop(ran);
    assert_eq!(runs.iter().collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    end(&scheduler);
}

#[test]
fn whoever_leaves_the_line_passes_the_room_on() {
    let scheduler = build(|builder| builder.blocking_threads(1).blocking_queue(1));
    let (release, holder) = held(&scheduler);
    let queued = scheduler.try_blocking(|| ()).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    // It waits, is woken, and never polled again.
    let mut first = Box::pin(scheduler.blocking(|| 1));
    assert!(first.as_mut().poll(&mut cx).is_pending());
    // It waits, and goes before it is woken.
    let mut second = Box::pin(scheduler.blocking(|| 2));
    assert!(second.as_mut().poll(&mut cx).is_pending());
    let inner = scheduler.clone();
    let third = scheduler.spawn(async move { inner.blocking(|| 3).await });
    scheduler.spawn(yield_now()).wait().unwrap();
    drop(second);
    drop(release);
    holder.wait().unwrap();
    queued.wait().unwrap();
    drop(first);
    assert_eq!(third.wait(), Ok(Ok(3)));
    end(&scheduler);
}

#[test]
fn threads_with_nothing_to_do_end_and_come_again() {
    let scheduler = build(|builder| builder.blocking_idle(Duration::from_millis(1)));
    for n in 0..3 {
        assert_eq!(scheduler.try_blocking(move || n).unwrap().wait(), Ok(n));
        until(&scheduler, |figures| figures.blocking_threads == 0);
    }
    // Many that come while threads end: none is left in the queue.
    for n in 0..500 {
        let handle = scheduler.try_blocking(move || n).unwrap();
        assert_eq!(handle.wait(), Ok(n));
        if n % 3 == 0 {
            thread::sleep(Duration::from_micros(900 + 10 * (n % 40)));
        }
    }
    end(&scheduler);
}

#[test]
fn stop_drops_what_waits_and_join_names_what_runs() {
    let scheduler = build(|builder| builder.blocking_threads(1).blocking_queue(1));
    let (release, holder) = held(&scheduler);
    let (told, dropped) = told();
    let queued = scheduler.try_blocking(move || drop(told)).unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let mut in_line = pin!(scheduler.blocking(|| ()));
    assert!(in_line.as_mut().poll(&mut cx).is_pending());
    scheduler.stop();
    let names = scheduler.join(Duration::from_millis(50)).unwrap_err();
    assert!(names.contains(&"otp-test, blocking thread 0".to_owned()));
    next(&dropped);
    assert_eq!(queued.wait(), Err(JoinError::Cancelled));
    let polled = in_line.as_mut().poll(&mut cx);
    assert_eq!(polled, Poll::Ready(Err(JoinError::Cancelled)));
    release.send(()).unwrap();
    assert_eq!(holder.wait(), Ok(()));
    assert_eq!(scheduler.join(LIMIT), Ok(()));
    let late = scheduler.try_blocking(|| ()).unwrap();
    assert_eq!(late.wait(), Err(JoinError::Cancelled));
}

#[test]
fn a_thread_of_the_pool_may_wait_stop_and_join() {
    let scheduler = scheduler(1);
    let inner = scheduler.clone();
    let handle = scheduler.try_blocking(move || {
        checkpoint(1_000_000);
        assert!(!otp_scheduler::on_scheduler_thread());
        assert_eq!(inner.spawn(async { 7 }).wait(), Ok(7));
        inner.stop();
        inner.join(LIMIT)
    });
    assert_eq!(handle.unwrap().wait(), Ok(Ok(())));
    end(&scheduler);
}

#[test]
fn off_a_scheduler_the_free_function_says_so() {
    let mut cx = Context::from_waker(Waker::noop());
    let polled = pin!(blocking(|| ())).poll(&mut cx);
    assert_eq!(polled, Poll::Ready(Err(JoinError::NoScheduler)));
}

#[test]
fn limits_out_of_range_are_refused() {
    let builder = || Scheduler::builder().schedulers(1);
    for builder in [
        builder().blocking_threads(0),
        builder().blocking_threads(1 << 30),
        builder().blocking_queue(0),
        builder().blocking_queue(1 << 30),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("give a number from 1 to"));
    }
}
