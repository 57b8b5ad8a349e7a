//! `JoinHandle::abort`: of tasks that wait, run, stand in a queue or have ended; of native tasks and blocking closures.

mod common;

use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Context, Poll};
use std::time::Instant;

use common::{LIMIT, next, scheduler};
use otp_scheduler::simulation::Simulation;
use otp_scheduler::{JoinError, Scheduler, block_on, spawn, yield_now};

struct Told(Sender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

fn told() -> (Told, Receiver<&'static str>) {
    let (out, heard) = channel();
    (Told(out), heard)
}

#[test]
fn a_task_that_waits_is_dropped() {
    let scheduler = scheduler(2);
    let (told, heard) = told();
    let task = scheduler.spawn(async move {
        told.0.send("begun").unwrap();
        pending::<()>().await;
    });
    assert_eq!(next(&heard), "begun");
    task.abort();
    task.abort();
    assert_eq!(next(&heard), "dropped");
    assert_eq!(task.wait(), Err(JoinError::Cancelled));
}

#[test]
fn a_task_in_the_queue_is_not_polled_any_more() {
    let scheduler = scheduler(1);
    let polled = Arc::new(AtomicBool::new(false));
    let polls = Arc::clone(&polled);
    let result = scheduler.spawn(async move {
        let task = spawn(async move { polls.store(true, Ordering::Relaxed) });
        task.abort();
        task.await
    });
    assert_eq!(result.wait(), Ok(Err(JoinError::Cancelled)));
    assert!(!polled.load(Ordering::Relaxed));
}

/// It never gives way, so it may be bound by then.
fn aborted_while_it_runs(waits_then: bool) -> Result<u32, JoinError> {
    let scheduler = scheduler(1);
    let (begun, begins) = channel();
    let release = Arc::new(AtomicBool::new(false));
    let released = Arc::clone(&release);
    let task = scheduler.spawn(async move {
        begun.send(()).unwrap();
        while !released.load(Ordering::Relaxed) {}
        if waits_then {
            yield_now().await;
        }
        7
    });
    next(&begins);
    task.abort();
    assert!(!task.is_finished());
    release.store(true, Ordering::Relaxed);
    task.wait()
}

#[test]
fn a_task_that_runs_goes_on_until_it_gives_way() {
    assert_eq!(aborted_while_it_runs(true), Err(JoinError::Cancelled));
}

#[test]
fn a_task_that_comes_to_its_end_first_gives_its_result() {
    assert_eq!(aborted_while_it_runs(false), Ok(7));
}

/// It can't be ended, but nobody waits for what it does: others go first.
#[test]
fn a_bound_task_that_is_aborted_is_let_go() {
    let scheduler = scheduler(1);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let task = scheduler.spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    let begun = Instant::now();
    while scheduler.figures().bound == 0 {
        assert!(begun.elapsed() < LIMIT, "it is never bound");
        std::thread::yield_now();
    }
    task.abort();
    assert_eq!(scheduler.figures().condemned, 1);
    stop.store(true, Ordering::Relaxed);
    assert_eq!(task.wait(), Ok(()));
    scheduler.stop();
    assert_eq!(scheduler.join(LIMIT), Ok(()));
    assert_eq!(scheduler.figures().condemned, 0);
}

#[test]
fn a_task_that_has_ended_keeps_its_result() {
    let scheduler = scheduler(1);
    let task = scheduler.spawn(async { 7 });
    while !task.is_finished() {
        std::thread::yield_now();
    }
    task.abort();
    assert_eq!(task.wait(), Ok(7));
}

/// Ready at once, with itself as the result, which breaks like the future.
struct Breaks;

impl Future for Breaks {
    type Output = Breaks;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Breaks> {
        Poll::Ready(Breaks)
    }
}

impl Drop for Breaks {
    fn drop(&mut self) {
        panic!("late");
    }
}

#[test]
fn a_panic_in_the_destructor_of_what_is_aborted_is_told() {
    let scheduler = scheduler(1);
    let breaks = Breaks;
    let task = scheduler.spawn(async move {
        let _breaks = breaks;
        pending::<()>().await;
    });
    task.abort();
    let result = task.wait();
    assert_eq!(result, Err(JoinError::Panicked("late".to_owned())));
}

#[test]
fn a_result_is_told_though_the_future_and_the_output_panic_in_their_destructors() {
    let result = scheduler(1).spawn(Breaks).wait();
    assert!(matches!(result, Err(JoinError::Panicked(_))));
}

#[test]
fn a_task_may_abort_another_of_a_simulation() {
    let mut simulation = Simulation::new(1).unwrap();
    let result = simulation.block_on(async {
        let task = spawn(pending::<()>());
        yield_now().await;
        task.abort();
        task.await
    });
    assert_eq!(result.unwrap(), Err(JoinError::Cancelled));
}

#[test]
fn a_native_task_that_waits_unwinds() {
    let scheduler = scheduler(1);
    let (told, heard) = told();
    let task = scheduler.spawn_native(move || {
        told.0.send("begun").unwrap();
        block_on(pending::<()>()).unwrap();
    });
    let task = task.unwrap();
    assert_eq!(next(&heard), "begun");
    task.abort();
    assert_eq!(next(&heard), "dropped");
    assert_eq!(task.wait(), Err(JoinError::Cancelled));
    assert_eq!(end(&scheduler), Ok(()));
}

#[test]
fn a_native_task_that_runs_goes_on_until_it_waits() {
    let scheduler = scheduler(1);
    for waits_then in [true, false] {
        let ((begun, begins), (release, released)) = (channel(), channel());
        let task = scheduler.spawn_native(move || {
            begun.send(()).unwrap();
            next(&released);
            if waits_then {
                block_on(pending::<()>()).unwrap();
            }
            7
        });
        let task = task.unwrap();
        next(&begins);
        task.abort();
        assert!(!task.is_finished());
        release.send(()).unwrap();
        let expected = if waits_then {
            Err(JoinError::Cancelled)
        } else {
            Ok(7)
        };
        assert_eq!(task.wait(), expected);
    }
    assert_eq!(end(&scheduler), Ok(()));
}

#[test]
fn a_native_task_is_aborted_at_any_moment_of_its_start() {
    let scheduler = scheduler(1);
    for _ in 0..50 {
        let task = scheduler.spawn_native(|| block_on(pending::<()>()).unwrap());
        let task = task.unwrap();
        task.abort();
        assert_eq!(task.wait(), Err(JoinError::Cancelled));
    }
    assert_eq!(end(&scheduler), Ok(()));
}

fn end(scheduler: &Scheduler) -> Result<(), Vec<String>> {
    scheduler.stop();
    scheduler.join(LIMIT)
}

#[test]
fn a_closure_in_the_queue_is_dropped_and_one_that_runs_is_not() {
    let built = Scheduler::builder()
        .schedulers(1)
        .blocking_threads(1)
        .build();
    let scheduler = built.unwrap();
    let ((begun, begins), (release, released)) = (channel(), channel());
    let runs = scheduler.try_blocking(move || {
        begun.send(()).unwrap();
        next(&released);
        7
    });
    next(&begins);
    let (told, heard) = told();
    let waits = scheduler.try_blocking(move || told.0.send("run").unwrap());
    let (runs, waits) = (runs.unwrap(), waits.unwrap());
    runs.abort();
    waits.abort();
    release.send(()).unwrap();
    assert_eq!(next(&heard), "dropped");
    assert_eq!(runs.wait(), Ok(7));
    assert_eq!(waits.wait(), Err(JoinError::Cancelled));
}

#[test]
fn the_current_scheduler_is_that_of_the_task() {
    let scheduler = scheduler(1);
    let name = || Scheduler::current().name().to_owned();
    assert_eq!(
        scheduler.spawn(async move { name() }).wait().unwrap(),
        "test"
    );
    let native = scheduler.spawn_native(name).unwrap();
    assert_eq!(native.wait().unwrap(), "test");
    let on_the_pool = scheduler.try_blocking(|| Scheduler::try_current().is_some());
    assert_eq!(on_the_pool.unwrap().wait(), Ok(false));
    let refused = std::panic::catch_unwind(|| spawn(async {})).unwrap_err();
    let text = refused.downcast_ref::<String>().map(String::as_str);
    let text = text.or(refused.downcast_ref::<&str>().copied());
    assert!(text.is_some_and(|text| text.contains("inside a task")));
}
