//! Native tasks: on threads of their own.

mod common;

use std::future::{Future, pending, poll_fn};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::thread;
use std::time::{Duration, Instant};

use common::{LIMIT, next, scheduler};
use otp_scheduler::{
    Figures, JoinError, NativeError, Scheduler, WouldBlock, block_on, checkpoint, tick, yield_now,
};

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
    let figures = scheduler.figures();
    assert_eq!((figures.native, figures.bound), (0, 0));
}

/// A place for one number, to be awaited.
#[derive(Clone, Default)]
struct Cell(Arc<Mutex<(Option<u64>, Option<Waker>)>>);

impl Cell {
    fn put(&self, number: u64) {
        let mut inside = self.0.lock().unwrap();
        inside.0 = Some(number);
        let waker = inside.1.take();
        drop(inside);
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn take(&self) -> impl Future<Output = u64> + '_ {
        poll_fn(|cx: &mut Context<'_>| {
            let mut inside = self.0.lock().unwrap();
            inside.1 = Some(cx.waker().clone());
            inside.0.take().map_or(Poll::Pending, Poll::Ready)
        })
    }
}

struct Told(Sender<&'static str>);

impl Drop for Told {
    fn drop(&mut self) {
        let _ = self.0.send("dropped");
    }
}

#[test]
fn a_native_task_gives_its_result_and_panics_are_told() {
    let scheduler = scheduler(1);
    let first = thread::current().id();
    let handle = scheduler.spawn_native(|| thread::current().id()).unwrap();
    assert_ne!(handle.wait().unwrap(), first);
    let handle = scheduler.spawn_native(|| panic!("boom")).unwrap();
    let result: Result<(), _> = handle.wait();
    assert_eq!(result, Err(JoinError::Panicked("boom".to_owned())));
    until(&scheduler, |figures| figures.native == 0);
    end(&scheduler);
}

#[test]
fn native_and_green_tasks_wake_each_other() {
    for schedulers in [1, 2] {
        let scheduler = scheduler(schedulers);
        let (there, back) = (Cell::default(), Cell::default());
        let native = {
            let (there, back) = (there.clone(), back.clone());
            let native = move || {
                let mut sum = 0;
                for _ in 0..2000 {
                    let number = block_on(there.take()).unwrap();
                    sum += number;
                    back.put(number + 1);
                }
                sum
            };
            scheduler.spawn_native(native).unwrap()
        };
        let green = scheduler.spawn(async move {
            let mut number = 0;
            for _ in 0..2000 {
                there.put(number);
                number = back.take().await;
            }
            number
        });
        assert_eq!(green.wait(), Ok(2000));
        assert_eq!(native.wait(), Ok(1999 * 1000));
        end(&scheduler);
    }
}

#[test]
fn two_native_tasks_wake_each_other() {
    let scheduler = scheduler(1);
    let (there, back) = (Cell::default(), Cell::default());
    let echo = {
        let (there, back) = (there.clone(), back.clone());
        let echo = move || {
            for _ in 0..2000 {
                back.put(block_on(there.take()).unwrap());
            }
        };
        scheduler.spawn_native(echo).unwrap()
    };
    let asks = move || {
        for number in 0..2000 {
            there.put(number);
            assert_eq!(block_on(back.take()), Ok(number));
        }
    };
    scheduler.spawn_native(asks).unwrap().wait().unwrap();
    echo.wait().unwrap();
    end(&scheduler);
}

#[test]
fn futures_that_give_way_when_the_slice_is_over_go_on() {
    let scheduler = scheduler(1);
    let native = scheduler.spawn_native(|| {
        for _ in 0..10 {
            tick(100_000);
            checkpoint(100_000);
            block_on(async {
                otp_scheduler::proceed(100_000).await;
                yield_now().await;
                poll_fn(otp_scheduler::poll_proceed).await;
            })
            .unwrap();
        }
    });
    native.unwrap().wait().unwrap();
    end(&scheduler);
}

#[test]
fn block_on_works_on_foreign_threads_and_is_refused_on_schedulers() {
    let scheduler = scheduler(1);
    let six = scheduler.spawn(async {
        yield_now().await;
        6
    });
    assert_eq!(block_on(six), Ok(Ok(6)));
    let refused = scheduler.spawn(async { block_on(async {}) });
    assert_eq!(refused.wait(), Ok(Err(refusal())));
    // The same on a thread that lost its scheduler, though it is bound.
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let bound = scheduler.spawn(async move {
        let begun = Instant::now();
        while !flag.load(Ordering::Relaxed) && begun.elapsed() < LIMIT {
            std::hint::spin_loop();
        }
        block_on(async {})
    });
    until(&scheduler, |figures| figures.bound == 1);
    stop.store(true, Ordering::Relaxed);
    assert_eq!(bound.wait(), Ok(Err(refusal())));
    // On the blocking pool it may block, and on a native thread other forms of waiting name the one to use.
    let pool = scheduler.try_blocking(|| block_on(async { 7 })).unwrap();
    assert_eq!(pool.wait(), Ok(Ok(7)));
    let inner = scheduler.clone();
    let native = scheduler.spawn_native(move || inner.spawn(async {}).wait());
    assert_eq!(native.unwrap().wait(), Ok(Err(JoinError::WouldBlock)));
    assert!(refusal().to_string().contains(".await"));
    assert!(JoinError::WouldBlock.to_string().contains(".await"));
    end(&scheduler);
}

fn refusal() -> WouldBlock {
    let scheduler = scheduler(1);
    let refused = scheduler.spawn(async { block_on(async {}) });
    refused.wait().unwrap().unwrap_err()
}

#[test]
fn those_that_wait_cost_their_schedulers_nothing() {
    let scheduler = scheduler(1);
    let waiting: Vec<_> = (0..20)
        .map(|_| {
            scheduler
                .spawn_native(|| block_on(pending::<()>()))
                .unwrap()
        })
        .collect();
    until(&scheduler, |figures| {
        figures.native == 20 && figures.bound == 0
    });
    scheduler.stop();
    for handle in waiting {
        assert_eq!(handle.wait(), Err(JoinError::Cancelled));
    }
    end(&scheduler);
}

#[test]
fn stop_unwinds_those_that_wait_and_join_names_those_that_run() {
    let scheduler = scheduler(1);
    let (out, heard) = channel();
    let told = Told(out);
    let waits = scheduler.spawn_native(move || {
        let _told = told;
        // Once more for who catches it.
        for _ in 0..2 {
            let waits = std::panic::catch_unwind(|| block_on(pending::<()>()));
            assert!(waits.unwrap_err().is::<otp_scheduler::Stopped>());
        }
        let _ = block_on(pending::<()>());
    });
    let (release, released) = channel::<()>();
    let (begun, begins) = channel();
    let runs = scheduler.spawn_native(move || {
        begun.send(()).unwrap();
        next(&released);
        // What is ready is had, even now.
        block_on(async { 7 })
    });
    next(&begins);
    until(&scheduler, |figures| {
        figures.native == 2 && figures.bound == 1
    });
    scheduler.stop();
    assert_eq!(next(&heard), "dropped");
    assert_eq!(waits.unwrap().wait(), Err(JoinError::Cancelled));
    let names = scheduler.join(Duration::from_millis(50)).unwrap_err();
    assert_eq!(names.len(), 1, "{names:?}");
    assert!(
        names[0].starts_with("otp-test, native thread "),
        "{names:?}"
    );
    release.send(()).unwrap();
    assert_eq!(runs.unwrap().wait(), Ok(Ok(7)));
    assert_eq!(scheduler.join(LIMIT), Ok(()));
    assert_eq!(
        scheduler.spawn_native(|| ()).unwrap_err(),
        NativeError::Stopped
    );
    end(&scheduler);
}

#[test]
fn natives_that_are_started_while_the_scheduler_stops_are_done_or_cancelled() {
    for round in 0..50 {
        let scheduler = scheduler(1);
        let inner = scheduler.clone();
        let starts = thread::spawn(move || {
            let spawn = |_| inner.spawn_native(|| block_on(yield_now())).ok();
            (0..20).filter_map(spawn).collect::<Vec<_>>()
        });
        thread::sleep(Duration::from_micros(20 * round));
        scheduler.stop();
        for handle in starts.join().unwrap() {
            match handle.wait() {
                Ok(done) => done.unwrap(),
                Err(error) => assert_eq!(error, JoinError::Cancelled),
            }
        }
        end(&scheduler);
    }
}

#[test]
fn over_the_limit_an_error_says_so() {
    let built = Scheduler::builder().schedulers(1).max_native(2).build();
    let scheduler = built.unwrap();
    let cells = [Cell::default(), Cell::default()];
    let two = cells.clone().map(|cell| {
        let native = scheduler.spawn_native(move || block_on(cell.take()));
        native.unwrap()
    });
    let error = scheduler.spawn_native(|| ()).unwrap_err();
    assert_eq!(error, NativeError::Limit { limit: 2 });
    let text = error.to_string();
    assert!(text.contains("limit of 2") && text.contains("max_native"));
    cells.iter().for_each(|cell| cell.put(1));
    two.into_iter()
        .for_each(|handle| assert_eq!(handle.wait(), Ok(Ok(1))));
    until(&scheduler, |figures| figures.native == 0);
    scheduler.spawn_native(|| ()).unwrap().wait().unwrap();
    end(&scheduler);
    let none = Scheduler::builder().max_native(usize::MAX).build();
    assert_eq!(none.unwrap_err().kind(), std::io::ErrorKind::InvalidInput);
}

/// Bound tasks have their own limit.
#[test]
fn native_tasks_take_no_place_of_bound_ones() {
    let built = Scheduler::builder().schedulers(1).max_bound(1).build();
    let scheduler = built.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let turns = Arc::new(AtomicU64::new(0));
    let burn = || {
        let (stop, turns) = (Arc::clone(&stop), Arc::clone(&turns));
        move || {
            let begun = Instant::now();
            while !stop.load(Ordering::Relaxed) && begun.elapsed() < LIMIT {
                turns.fetch_add(1, Ordering::Relaxed);
            }
        }
    };
    let natives: Vec<_> = (0..3)
        .map(|_| scheduler.spawn_native(burn()).unwrap())
        .collect();
    let spin = burn();
    let green = scheduler.spawn(async move { spin() });
    until(&scheduler, |figures| figures.bound == 4);
    // The scheduler runs others beside them.
    scheduler.spawn(yield_now()).wait().unwrap();
    stop.store(true, Ordering::Relaxed);
    green.wait().unwrap();
    natives
        .into_iter()
        .for_each(|native| native.wait().unwrap());
    end(&scheduler);
}

/// All share the task's wakes: what an inner wait took belongs to those around it as well.
#[test]
fn a_wake_that_an_inner_wait_took_reaches_the_outer_one() {
    let scheduler = scheduler(1);
    let native = scheduler.spawn_native(|| {
        let mut polls = 0;
        let outer = poll_fn(|cx| {
            polls += 1;
            if polls > 1 {
                return Poll::Ready(());
            }
            // For this future, before the inner one waits.
            cx.waker().wake_by_ref();
            let mut waited = false;
            let inner = poll_fn(|_| {
                if std::mem::replace(&mut waited, true) {
                    return Poll::Ready(());
                }
                Poll::Pending
            });
            block_on(inner).unwrap();
            Poll::Pending
        });
        block_on(outer).unwrap();
    });
    let (done, is_done) = channel();
    thread::spawn(move || done.send(native.unwrap().wait()));
    assert_eq!(next(&is_done), Ok(()));
    end(&scheduler);
}
