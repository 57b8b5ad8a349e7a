//! Tasks in native code that never gives way.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::{LIMIT, next, scheduler};
use otp_scheduler::yield_now;

/// Spins until the flag is set; how many times round.
fn spin(stop: &AtomicBool, rounds: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        rounds.fetch_add(1, Ordering::Relaxed);
        std::hint::spin_loop();
    }
}

#[test]
fn others_run_beside_endless_loops() {
    let scheduler = scheduler(2);
    let stop = Arc::new(AtomicBool::new(false));
    let rounds: Vec<_> = (0..6).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let hogs: Vec<_> = rounds
        .iter()
        .map(|rounds| {
            let (stop, rounds) = (Arc::clone(&stop), Arc::clone(rounds));
            scheduler.spawn(async move { spin(&stop, &rounds) })
        })
        .collect();
    let (told, heard) = channel();
    let beats = scheduler.spawn(async move {
        for _ in 0..1000 {
            yield_now().await;
            told.send(()).expect("the test listens");
        }
    });
    for _ in 0..1000 {
        next(&heard);
    }
    beats.wait().expect("the beating task ends");
    // Until each has had several turns.
    let begun = Instant::now();
    while rounds
        .iter()
        .any(|rounds| rounds.load(Ordering::Relaxed) < 1_000_000)
    {
        assert!(begun.elapsed() < LIMIT, "a loop starves: {rounds:?}");
        std::thread::yield_now();
    }
    assert!(scheduler.figures().bound > 0);
    stop.store(true, Ordering::Relaxed);
    for hog in hogs {
        hog.wait().expect("the loop ends with its flag");
    }
    scheduler.stop();
    scheduler.join(LIMIT).expect("no thread is left");
    assert_eq!(scheduler.figures().bound, 0);
}

#[test]
fn a_task_that_sleeps_in_the_kernel_holds_up_nobody() {
    let scheduler = scheduler(1);
    let (done, waits) = channel::<()>();
    let sleeper = scheduler.spawn(async move {
        // A blocking call, in the middle of a task.
        let _ = waits.recv();
    });
    let (told, heard) = channel();
    scheduler.spawn(async move { told.send(()).expect("the test listens") });
    next(&heard);
    drop(done);
    sleeper.wait().expect("the sleeper ends");
}

#[test]
fn stop_lets_bound_tasks_go_and_names_those_that_stay() {
    let scheduler = scheduler(1);
    let stop = Arc::new(AtomicBool::new(false));
    let hog = {
        let stop = Arc::clone(&stop);
        scheduler.spawn(async move { spin(&stop, &AtomicU64::new(0)) })
    };
    let begun = Instant::now();
    while scheduler.figures().bound == 0 {
        assert!(begun.elapsed() < LIMIT, "the loop is not bound");
        std::thread::yield_now();
    }
    scheduler.stop();
    let late = scheduler.join(Duration::from_millis(50)).unwrap_err();
    assert!(late[0].contains("bound"), "{late:?}");
    stop.store(true, Ordering::Relaxed);
    scheduler.join(LIMIT).expect("no thread is left");
    hog.wait().expect("its result came all the same");
}
