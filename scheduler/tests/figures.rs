//! What a scheduler counts about itself.

mod common;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use common::{LIMIT, next, scheduler};
use otp_scheduler::{LongSlice, Priority, Scheduler, WallTime, yield_now};

fn burn(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {
        std::hint::spin_loop();
    }
}

/// Waits for something that figures shall show; fails with them when it takes too long.
fn until(what: &str, scheduler: &Scheduler, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        let figures = scheduler.figures();
        assert!(begun.elapsed() < LIMIT, "{what}: {figures:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn wall_time(scheduler: &Scheduler) -> WallTime {
    scheduler.figures().schedulers[0].wall_time
}

#[test]
fn the_microstates_add_up_to_the_wall_time() {
    let scheduler = scheduler(1);
    for round in 0..5 {
        let clock = scheduler.clone();
        let worked = scheduler.spawn(async move {
            burn(Duration::from_micros(300));
            clock.sleep_until(clock.now() + 1_000_000).await;
            yield_now().await;
        });
        worked.wait().expect("it does not panic");
        // A state that changes while it is read may be missed in part; at rest none does.
        until("time is missing, or counted twice", &scheduler, || {
            let before = Duration::from_nanos(scheduler.now());
            let total = wall_time(&scheduler).total();
            let after = Duration::from_nanos(scheduler.now());
            before <= total && total <= after
        });
        let time = wall_time(&scheduler);
        assert!(time.busy >= Duration::from_micros(300) * (round + 1));
        assert!(time.polling > Duration::ZERO, "the timers: {time:?}");
    }
}

#[test]
fn a_scheduler_without_work_is_idle() {
    let scheduler = scheduler(1);
    until("it is never idle for 5 ms", &scheduler, || {
        let before = wall_time(&scheduler);
        std::thread::sleep(Duration::from_millis(5));
        let spent = wall_time(&scheduler).since(before);
        spent.idle == spent.total() && spent.utilisation() == 0.0
    });
}

#[test]
fn a_scheduler_that_runs_tasks_is_busy() {
    let scheduler = scheduler(1);
    let before = wall_time(&scheduler);
    let burned = scheduler.spawn(async {
        for _ in 0..10 {
            burn(Duration::from_millis(1));
            yield_now().await;
        }
    });
    burned.wait().expect("it does not panic");
    let spent = wall_time(&scheduler).since(before);
    assert!(spent.busy >= Duration::from_millis(10), "{spent:?}");
}

#[test]
fn a_scheduler_that_gives_turns_to_a_bound_thread_is_hosting() {
    let scheduler = scheduler(1);
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let hog = scheduler.spawn(async move {
        while !stopped.load(Ordering::Relaxed) {
            std::hint::spin_loop();
        }
    });
    let hosting = || wall_time(&scheduler).hosting >= Duration::from_millis(5);
    until("it hosts nobody", &scheduler, hosting);
    stop.store(true, Ordering::Relaxed);
    hog.wait().expect("it ends by the flag");
    until("it is not idle again", &scheduler, || {
        let before = wall_time(&scheduler);
        std::thread::sleep(Duration::from_millis(5));
        let spent = wall_time(&scheduler).since(before);
        spent.idle == spent.total()
    });
}

#[test]
fn run_queue_lengths_are_told_by_priority() {
    let scheduler = scheduler(1);
    let inside = scheduler.clone();
    let lengths = scheduler.spawn(async move {
        let of = [
            (Priority::Max, 1),
            (Priority::High, 2),
            (Priority::Normal, 5),
            (Priority::Low, 3),
        ];
        for (priority, tasks) in of {
            for _ in 0..tasks {
                drop(inside.spawn_at(priority, async {}));
            }
        }
        inside.figures().schedulers.remove(0)
    });
    let figures = lengths.wait().expect("it does not panic");
    let lengths = figures.run_queue_lengths;
    assert_eq!((lengths.max, lengths.high, lengths.low), (1, 2, 3));
    assert_eq!(
        lengths.normal, 4,
        "the last one is the next to run, in no queue"
    );
    assert_eq!(figures.run_queue_length, lengths.total());
}

// Long slices.

const THRESHOLD: Duration = Duration::from_millis(20);

/// One scheduler that tells of slices of 20 ms and more.
fn telling() -> (Scheduler, Receiver<LongSlice>) {
    let (out, slices) = channel();
    let scheduler = Scheduler::builder()
        .schedulers(1)
        .name("test")
        .long_schedule(THRESHOLD, move |slice| drop(out.send(slice)))
        .build()
        .expect("worker threads start");
    (scheduler, slices)
}

async fn dawdle(time: Duration) {
    burn(time);
}

async fn hog(stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        std::hint::spin_loop();
    }
}

#[test]
fn the_longest_slice_is_told_with_its_tasks_name_until_it_is_forgotten() {
    let scheduler = scheduler(1);
    assert_eq!(scheduler.figures().longest_slice, None);
    // On a machine under load the monitor may miss some.
    until("no long slice is found", &scheduler, || {
        let dawdled = scheduler.spawn(dawdle(Duration::from_millis(50)));
        dawdled.wait().expect("it does not panic");
        let figures = scheduler.figures();
        let longest = figures.longest_slice;
        figures.bound == 0
            && longest
                .is_some_and(|slice| slice.is_over && slice.duration >= Duration::from_millis(10))
    });
    let figures = scheduler.figures();
    let longest = figures.longest_slice.expect("it was there before");
    assert!(longest.task.name.contains("figures::dawdle"), "{longest:?}");
    assert!(longest.is_over && longest.scheduler == 0, "{longest:?}");
    assert!(figures.long_slices >= 1);
    scheduler.forget_longest_slice();
    let rest = scheduler.figures().longest_slice;
    assert!(rest.is_none_or(|slice| slice.duration < longest.duration));
}

#[test]
fn a_slice_that_goes_on_is_the_longest_already() {
    let scheduler = scheduler(1);
    let stop = Arc::new(AtomicBool::new(false));
    let endless = scheduler.spawn(hog(Arc::clone(&stop)));
    until("the endless slice is not seen", &scheduler, || {
        let longest = scheduler.figures().longest_slice;
        longest.is_some_and(|slice| {
            slice.task.name.contains("hog")
                && slice.bound
                && !slice.is_over
                && slice.duration >= Duration::from_millis(30)
        })
    });
    stop.store(true, Ordering::Relaxed);
    endless.wait().expect("it ends by the flag");
    // Its result is there before its slice is over.
    until("its end is not seen", &scheduler, || {
        let longest = scheduler.figures().longest_slice;
        longest.is_some_and(|slice| slice.is_over && slice.bound)
    });
}

#[test]
fn a_slice_that_never_ends_is_told_of_once_when_it_has_lasted_for_the_threshold() {
    let (scheduler, slices) = telling();
    let mut stops = Vec::new();
    let mut hogs = Vec::new();
    for _ in 0..2 {
        let stop = Arc::new(AtomicBool::new(false));
        hogs.push(scheduler.spawn(hog(Arc::clone(&stop))));
        stops.push(stop);
        let slice = next(&slices);
        assert!(slice.task.name.contains("figures::hog"), "{slice:?}");
        assert!(slice.bound && !slice.is_over, "{slice:?}");
        assert!(slice.duration >= THRESHOLD, "{slice:?}");
    }
    for (stop, hog) in stops.iter().zip(hogs) {
        stop.store(true, Ordering::Relaxed);
        hog.wait().expect("it ends by the flag");
    }
    // Nothing comes of their ends: this one is next.
    scheduler.spawn(dawdle(Duration::from_millis(100)));
    assert!(next(&slices).task.name.contains("figures::dawdle"));
}

#[test]
fn a_task_that_sleeps_in_the_kernel_is_told_of_although_all_schedulers_are_idle() {
    let (scheduler, slices) = telling();
    let (out, released) = channel::<()>();
    let sleeper = scheduler.spawn(async move { released.recv().is_ok() });
    let slice = next(&slices);
    assert!(slice.bound && !slice.is_over, "{slice:?}");
    drop(out);
    assert!(!sleeper.wait().expect("it does not panic"));
}

#[test]
fn slices_below_the_threshold_are_counted_but_not_told() {
    let called = Arc::new(AtomicUsize::new(0));
    let calls = Arc::clone(&called);
    let scheduler = Scheduler::builder()
        .schedulers(1)
        .long_schedule(Duration::from_secs(3600), move |_| {
            calls.fetch_add(1, Ordering::Relaxed);
        })
        .build()
        .expect("worker threads start");
    until("no long slice is counted", &scheduler, || {
        let dawdled = scheduler.spawn(dawdle(Duration::from_millis(10)));
        dawdled.wait().expect("it does not panic");
        scheduler.figures().long_slices > 0
    });
    scheduler.stop();
    scheduler.join(LIMIT).expect("no thread is left");
    assert_eq!(called.load(Ordering::Relaxed), 0);
}

#[test]
fn those_that_run_after_a_long_slice_are_not_taken_for_it() {
    const ROUNDS: usize = 30;
    let innocents = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&innocents);
    let scheduler = Scheduler::builder()
        .schedulers(1)
        .long_schedule(Duration::from_millis(3), move |slice| {
            let is_innocent = slice.task.name.contains("innocent");
            told.fetch_add(usize::from(is_innocent), Ordering::Relaxed);
        })
        .build()
        .expect("worker threads start");
    async fn innocent() {}
    for _ in 0..ROUNDS {
        let stop = Arc::new(AtomicBool::new(false));
        let before = scheduler.figures().taken_away;
        let endless = scheduler.spawn(hog(Arc::clone(&stop)));
        // It runs when the scheduler was taken from the other.
        scheduler.spawn(innocent()).wait().expect("it ends");
        until("it was never taken away", &scheduler, || {
            scheduler.figures().taken_away > before || scheduler.figures().bound > 0
        });
        stop.store(true, Ordering::Relaxed);
        endless.wait().expect("it ends by the flag");
    }
    // A few may have been kept from their core.
    let innocents = innocents.load(Ordering::Relaxed);
    assert!(innocents < ROUNDS / 2, "{innocents} of {ROUNDS}");
}

/// The time before a slice, when the scheduler slept and the monitor with it, is not the slice's.
#[test]
fn a_slice_after_an_idle_time_began_with_its_task() {
    let scheduler = scheduler(1);
    let now = scheduler.now();
    scheduler.spawn(async {}).wait().expect("it does nothing");
    // The monitor sleeps after some 15 ms.
    let slept = scheduler.sleep_until(now + 100_000_000);
    scheduler.spawn(slept).wait().expect("it only sleeps");
    for _ in 0..3 {
        let idle = scheduler.sleep_until(scheduler.now() + 100_000_000);
        scheduler.spawn(idle).wait().expect("it only sleeps");
        scheduler.forget_longest_slice();
        let before = scheduler.now();
        scheduler
            .spawn(dawdle(Duration::from_millis(30)))
            .wait()
            .expect("it ends");
        until("it is not told", &scheduler, || {
            scheduler.figures().longest_slice.is_some()
        });
        let slice = scheduler.figures().longest_slice.expect("seen just now");
        assert!(slice.began_at >= before, "{slice:?} of a task of {before}");
    }
}

#[test]
fn a_handler_that_panics_is_counted_and_called_again() {
    let (out, slices) = channel();
    let scheduler = Scheduler::builder()
        .schedulers(1)
        .long_schedule(THRESHOLD, move |slice| {
            drop(out.send(slice));
            panic!("a handler's own");
        })
        .build()
        .expect("worker threads start");
    for _ in 0..2 {
        scheduler.spawn(dawdle(Duration::from_millis(100)));
        assert!(next(&slices).task.name.contains("dawdle"));
    }
    until("a panic is not counted", &scheduler, || {
        let figures = scheduler.figures();
        let panics: u64 = figures.schedulers.iter().map(|worker| worker.panics).sum();
        panics + figures.bound_panics == 2
    });
}

#[test]
fn the_threshold_may_change_and_be_taken_away() {
    let (out, slices) = channel();
    let scheduler = Scheduler::builder()
        .schedulers(1)
        .long_schedule(Duration::MAX, move |slice| drop(out.send(slice)))
        .build()
        .expect("worker threads start");
    let dawdle = || scheduler.spawn(dawdle(2 * THRESHOLD)).wait();
    dawdle().expect("it ends");
    scheduler.set_long_schedule(Some(THRESHOLD));
    until("one is told of", &scheduler, || {
        dawdle().expect("it ends");
        slices.try_recv().is_ok()
    });
    // A task that was told of is bound from the start next time, and told of by the reporter as well.
    let stop = Arc::new(AtomicBool::new(false));
    let hog = scheduler.spawn(hog(Arc::clone(&stop)));
    let slice = loop {
        let slice = next(&slices);
        if slice.task.name.contains("figures::hog") {
            break slice;
        }
    };
    assert!(!slice.is_over, "{slice:?}");
    scheduler.set_long_schedule(None);
    stop.store(true, Ordering::Relaxed);
    hog.wait().expect("it ends by the flag");
    // What was told before may still be on its way; then nothing comes any more.
    while slices.recv_timeout(2 * THRESHOLD).is_ok() {}
    for _ in 0..3 {
        dawdle().expect("it ends");
    }
    assert!(slices.recv_timeout(2 * THRESHOLD).is_err());
}

#[test]
fn while_a_handler_does_not_return_some_slices_wait_for_it_and_the_others_are_lost() {
    let (out, slices) = channel();
    let (release, released) = channel::<()>();
    let released = Mutex::new(released);
    let scheduler = Scheduler::builder()
        .schedulers(1)
        .long_schedule(THRESHOLD, move |slice| {
            drop(out.send(slice));
            // It blocks its thread, for longer than the threshold.
            drop(released.lock().map(|released| released.recv()));
        })
        .long_schedule_queue(2)
        .build()
        .expect("worker threads start");
    let dawdle = || scheduler.spawn(dawdle(Duration::from_millis(60))).wait();
    until("none is lost", &scheduler, || {
        dawdle().expect("schedulers are not held up by the handler");
        scheduler.figures().long_slices_lost > 0
    });
    drop(release);
    // The one that it was called for, and two that waited; nothing of itself.
    for _ in 0..3 {
        let slice = next(&slices);
        assert!(slice.task.name.contains("figures::dawdle"), "{slice:?}");
    }
    dawdle().expect("it ends");
    assert!(next(&slices).task.name.contains("figures::dawdle"));
}
