//! Bound tasks that come and go at the worst moments.

mod common;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use common::{LIMIT, next, scheduler};
use otp_scheduler::{Policy, REDUCTIONS_PER_SLICE, Scheduler, poll_proceed, tick, yield_now};

fn burn(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Waits for `done`; fails with what the scheduler counts when it takes too long.
fn until(what: &str, figures: impl Fn() -> String, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < LIMIT, "{what}: {}", figures());
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn tasks_that_give_way_as_they_are_bound_lose_no_scheduler() {
    for schedulers in [1, 2, 1, 2] {
        let scheduler = scheduler(schedulers);
        let tasks: Vec<_> = (0..4)
            .map(|task| {
                scheduler.spawn(async move {
                    for round in 0..60 {
                        let long = if round % 3 == 0 { 3000 } else { 0 };
                        burn(Duration::from_micros(
                            900 + (37 * task + 61 * round) % 700 + long,
                        ));
                        yield_now().await;
                    }
                })
            })
            .collect();
        until(
            "a task stands still",
            || format!("{:?}", scheduler.figures()),
            || tasks.iter().all(|task| task.is_finished()),
        );
        scheduler.stop();
        scheduler.join(LIMIT).expect("no thread is left");
        assert_eq!(scheduler.figures().bound, 0);
    }
}

/// A bound thread that is stopped in the midst of a push into the common queue would leave a place there that is
/// claimed and empty. Who takes tasks out spins until it is filled: the schedulers, and nobody gives turns.
#[test]
fn tasks_woken_by_bound_ones_go_on() {
    const WOKEN: usize = 256;
    let scheduler = scheduler(1);
    let stop = Arc::new(AtomicBool::new(false));
    let runs = Arc::new(AtomicU64::new(0));
    let (told, heard) = channel();
    let woken: Vec<_> = (0..WOKEN)
        .map(|_| {
            let (stop, runs) = (Arc::clone(&stop), Arc::clone(&runs));
            let mut told = Some(told.clone());
            scheduler.spawn(poll_fn(move |cx| {
                runs.fetch_add(1, Ordering::Relaxed);
                if let Some(told) = told.take() {
                    told.send(cx.waker().clone()).expect("the test listens");
                }
                if stop.load(Ordering::Relaxed) {
                    Poll::Ready(())
                } else {
                    Poll::Pending
                }
            }))
        })
        .collect();
    let wakers: Arc<[Waker]> = (0..WOKEN).map(|_| next(&heard)).collect();
    let hogs: Vec<_> = (0..3)
        .map(|_| {
            let (stop, wakers) = (Arc::clone(&stop), Arc::clone(&wakers));
            scheduler.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    wakers.iter().for_each(Waker::wake_by_ref);
                }
            })
        })
        .collect();
    for _ in 0..100 {
        let before = runs.load(Ordering::Relaxed);
        until(
            "no woken task runs any more",
            || format!("{:?}", scheduler.figures()),
            || runs.load(Ordering::Relaxed) > before + 1000,
        );
        std::thread::sleep(Duration::from_millis(20));
    }
    stop.store(true, Ordering::Relaxed);
    for hog in hogs {
        hog.wait().expect("it ends by the flag");
    }
    wakers.iter().for_each(Waker::wake_by_ref);
    for woken in woken {
        woken.wait().expect("it ends by the flag");
    }
    scheduler.stop();
    scheduler.join(LIMIT).expect("no thread is left");
}

/// Its own executor polls again whatever it is told.
#[test]
fn a_task_with_an_executor_of_its_own_gets_on_once_it_is_bound() {
    let scheduler = scheduler(1);
    let task = scheduler.spawn(async {
        tick(REDUCTIONS_PER_SLICE);
        let begun = Instant::now();
        let mut cx = Context::from_waker(Waker::noop());
        for _ in 0..10 {
            tick(REDUCTIONS_PER_SLICE);
            while poll_proceed(&mut cx).is_pending() {
                assert!(begun.elapsed() < LIMIT, "it never gets on");
            }
        }
    });
    task.wait().expect("it gets on");
    scheduler.stop();
    scheduler.join(LIMIT).expect("no thread is left");
}

/// Nobody is left to end the turn of one and begin that of the other, and all wait for both.
fn bound_tasks_past_the_limit_get_on(schedulers: usize) {
    let builder = Scheduler::builder().schedulers(schedulers);
    let scheduler = builder.max_bound(2).build().expect("worker threads start");
    scheduler.set_schedulers_online(1).expect("there is one");
    let kept = Arc::new(AtomicBool::new(false));
    let seen = Arc::new(AtomicU64::new(0));
    let spin = |done: &dyn Fn() -> bool| {
        let begun = Instant::now();
        while !done() && begun.elapsed() < LIMIT {
            std::hint::spin_loop();
        }
        done()
    };
    let bound = [(); 2].map(|()| {
        let (kept, seen) = (Arc::clone(&kept), Arc::clone(&seen));
        scheduler.spawn(async move {
            let goes_on = spin(&|| kept.load(Ordering::Relaxed));
            seen.fetch_add(1, Ordering::Relaxed);
            goes_on && spin(&|| seen.load(Ordering::Relaxed) == 2)
        })
    });
    let figures = || format!("{:?}", scheduler.figures());
    until("they are not bound", figures, || {
        scheduler.figures().bound == 2
    });
    let keeps = scheduler.spawn(async move {
        kept.store(true, Ordering::Relaxed);
        spin(&|| seen.load(Ordering::Relaxed) == 2)
    });
    assert_eq!(keeps.wait(), Ok(true));
    for bound in bound {
        assert_eq!(bound.wait(), Ok(true));
    }
    scheduler.stop();
    scheduler.join(LIMIT).expect("no thread is left");
}

#[test]
fn past_the_limit_bound_tasks_get_on_though_all_schedulers_are_kept() {
    bound_tasks_past_the_limit_get_on(1);
}

#[test]
fn past_the_limit_bound_tasks_get_on_though_all_schedulers_that_are_online_are_kept() {
    bound_tasks_past_the_limit_get_on(3);
}

/// A thread that masks the signal never comes to its gate. It takes its turns all the same.
#[test]
fn who_never_comes_to_its_gate_has_turns_as_the_others() {
    let scheduler = Scheduler::builder()
        .schedulers(1)
        .kernel_policy(Policy::Idle)
        .build()
        .expect("worker threads start");
    let stop = Arc::new(AtomicBool::new(false));
    let (told, heard) = channel();
    let hogs: Vec<_> = (0..3)
        .map(|_| {
            let (stop, told) = (Arc::clone(&stop), told.clone());
            scheduler.spawn(async move {
                let before = mask_all();
                // SAFETY: a call without arguments.
                told.send(unsafe { libc::gettid() })
                    .expect("the test listens");
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
                unmask(&before);
            })
        })
        .collect();
    let threads: Vec<i32> = hogs.iter().map(|_| next(&heard)).collect();
    // The idle class is what comes after a turn.
    until(
        "somebody has no turn",
        || format!("{:?}", scheduler.figures()),
        || {
            let mut threads = threads.iter();
            // SAFETY: a call without pointers.
            threads.all(|&id| unsafe { libc::sched_getscheduler(id) } == libc::SCHED_IDLE)
        },
    );
    assert!(scheduler.figures().unanswered >= 3);
    stop.store(true, Ordering::Relaxed);
    for hog in hogs {
        hog.wait().expect("it ends by the flag");
    }
    scheduler.stop();
    scheduler.join(LIMIT).expect("no thread is left");
}

/// On this thread; the mask before.
fn mask_all() -> libc::sigset_t {
    // SAFETY: sets on this stack.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_BLOCK, &all, &mut before);
        before
    }
}

fn unmask(before: &libc::sigset_t) {
    // SAFETY: a set that `mask_all` gave.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before, std::ptr::null_mut()) };
}

#[test]
fn a_gate_signal_that_is_no_real_time_one_is_refused_each_time() {
    const SIGKILL: i32 = 9;
    const SIGSEGV: i32 = 11;
    for signal in [SIGKILL, SIGKILL, SIGSEGV, 0, 1000] {
        let built = Scheduler::builder().gate_signal(Some(signal)).build();
        let error = built.expect_err("others need it, or nobody can catch it");
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidInput);
        assert!(error.to_string().contains("SIGRTMIN"), "{error}");
    }
}
