//! Turns by priority, counted by the workers themselves, on one scheduler that nobody can take from a task: so it is
//! the order of the queues that is measured, not the machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use otp_vm::{Context, Priority, REDUCTIONS_PER_SLICE, SpawnOptions, Vm};

use crate::common::{LIMIT, expect};

/// Workers of each class, and one that sleeps most of the time.
#[derive(Clone, Copy, Default)]
struct Classes {
    low: usize,
    normal: usize,
    high: usize,
    max: usize,
    part_time: Option<Priority>,
}

/// Turns of the workers of each class during the window.
struct Turns {
    low: Vec<u64>,
    normal: Vec<u64>,
    high: Vec<u64>,
    max: Vec<u64>,
}

/// The window is over when so many turns have been counted for each busy worker, on the average.
const TURNS_EACH: u64 = 200;

struct Shared {
    stop: AtomicBool,
    all: AtomicU64,
}

/// A turn is a slice used up. Part-timers sleep for a millisecond after each.
async fn worker(cx: Context, shared: Arc<Shared>, turns: Arc<AtomicU64>, part_time: bool) {
    while !shared.stop.load(Ordering::Relaxed) {
        turns.fetch_add(1, Ordering::Relaxed);
        shared.all.fetch_add(1, Ordering::Relaxed);
        cx.tick(REDUCTIONS_PER_SLICE).await;
        if part_time {
            cx.sleep(Duration::from_millis(1)).await;
        }
    }
}

type Counters = Vec<Arc<AtomicU64>>;

fn read(counters: &Counters) -> Vec<u64> {
    let counters = counters.iter();
    counters
        .map(|turns| turns.load(Ordering::Relaxed))
        .collect()
}

/// Starts the workers, lets all of them begin, and counts their turns in a window.
fn turns(classes: Classes) -> Turns {
    let builder = Vm::builder().schedulers(1).max_bound(0);
    let vm = builder.build().unwrap();
    let run = vm.run(move |mut cx| async move {
        // Of priority max, as OTP's tester; it sleeps while the workers run.
        cx.set_priority(Priority::Max);
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            all: AtomicU64::new(0),
        });
        let mut workers = 0;
        let mut start = |count: usize, priority: Priority, part_time: bool| -> Counters {
            workers += count;
            let start = |_| {
                let turns = Arc::new(AtomicU64::new(0));
                let (shared, counter) = (Arc::clone(&shared), Arc::clone(&turns));
                let body = move |cx| worker(cx, shared, counter, part_time);
                let options = SpawnOptions::new().monitor().priority(priority);
                cx.spawn_opt(options, body).unwrap();
                turns
            };
            (0..count).map(start).collect()
        };
        let mut low = start(classes.low, Priority::Low, false);
        let mut normal = start(classes.normal, Priority::Normal, false);
        let mut high = start(classes.high, Priority::High, false);
        let mut max = start(classes.max, Priority::Max, false);
        if let Some(priority) = classes.part_time {
            let part_timer = start(1, priority, true);
            match priority {
                Priority::High => high.extend(part_timer),
                _ => max.extend(part_timer),
            }
        }
        let turns_before = |shared: &Shared| shared.all.load(Ordering::Relaxed);
        // The balance is there before the window begins.
        let window = TURNS_EACH * workers as u64;
        let mut marks = Vec::new();
        for until in [window / 4, window / 4 + window] {
            while turns_before(&shared) < until {
                cx.sleep(Duration::from_millis(1)).await;
            }
            marks.push([&low, &normal, &high, &max].map(read));
        }
        shared.stop.store(true, Ordering::Relaxed);
        for _ in 0..workers {
            let down = cx.receive_timeout(LIMIT).await.expect("all of them stop");
            assert!(down.down().unwrap().reason.is_normal());
        }
        for counters in [&mut low, &mut normal, &mut high, &mut max] {
            counters.clear();
        }
        let [before, after] = &marks[..] else {
            unreachable!()
        };
        let of = |class: usize| {
            let turns = before[class].iter().zip(&after[class]);
            turns.map(|(before, after)| after - before).collect()
        };
        [of(0), of(1), of(2), of(3)]
    });
    let [low, normal, high, max]: [Vec<u64>; 4] = run.wait().unwrap();
    vm.shutdown(LIMIT).wait();
    Turns {
        low,
        normal,
        high,
        max,
    }
}

fn average(turns: &[u64]) -> f64 {
    turns.iter().sum::<u64>() as f64 / turns.len() as f64
}

fn is_even(turns: &[u64], least_of_average: f64) {
    let least = *turns.iter().min().unwrap() as f64;
    let average = average(turns);
    assert!(least >= least_of_average * average, "{least} of {average}");
}

/// OTP's limits.
fn shares(turns: &Turns) {
    is_even(&turns.low, 0.5);
    is_even(&turns.normal, 0.5);
    let ratio = average(&turns.low) / average(&turns.normal);
    assert!((0.05..=0.25).contains(&ratio), "low to normal: {ratio}");
    for class in [&turns.high, &turns.max] {
        if !class.is_empty() {
            is_even(class, 0.5);
            assert!(average(class) > 0.0, "a class never ran");
        }
    }
}

fn none(turns: &[u64]) {
    assert!(turns.iter().all(|&turns| turns == 0), "{turns:?}");
}

const EQUAL: Classes = Classes {
    low: 500,
    normal: 500,
    high: 0,
    max: 0,
    part_time: None,
};

#[test]
fn equal() {
    shares(&turns(EQUAL));
}

#[test]
fn few_low() {
    shares(&turns(Classes {
        low: 2,
        normal: 1000,
        ..EQUAL
    }));
}

#[test]
fn many_low() {
    shares(&turns(Classes {
        low: 1000,
        normal: 2,
        ..EQUAL
    }));
}

#[test]
fn equal_with_part_time_high() {
    shares(&turns(Classes {
        part_time: Some(Priority::High),
        ..EQUAL
    }));
}

#[test]
fn equal_with_part_time_max() {
    shares(&turns(Classes {
        part_time: Some(Priority::Max),
        ..EQUAL
    }));
}

#[test]
fn equal_and_high_with_part_time_max() {
    let turns = turns(Classes {
        high: 500,
        part_time: Some(Priority::Max),
        ..EQUAL
    });
    none(&turns.low);
    none(&turns.normal);
    is_even(&turns.high, 0.5);
    assert!(turns.max[0] > 0);
}

/// One scheduler: the high one runs alone.
#[test]
fn equal_with_high() {
    let turns = turns(Classes { high: 1, ..EQUAL });
    none(&turns.low);
    none(&turns.normal);
    assert!(turns.high[0] > 0);
}

/// One scheduler: the max one runs alone.
#[test]
fn equal_with_high_max() {
    let turns = turns(Classes {
        high: 1,
        max: 1,
        ..EQUAL
    });
    none(&turns.low);
    none(&turns.normal);
    none(&turns.high);
    assert!(turns.max[0] > 0);
}

/// Closures of low processes that wait for the pool get fewer turns than those of normal ones, and some; and who is
/// killed is not alive.
#[test]
fn otp_16446() {
    let vm = Vm::builder()
        .schedulers(2)
        .blocking_threads(2)
        .build()
        .unwrap();
    let run = vm.run(|mut cx| async move {
        cx.set_priority(Priority::High);
        let parent = cx.pid();
        let mut callers = Vec::new();
        for priority in [Priority::Normal, Priority::Low].repeat(10 * 2) {
            let options = SpawnOptions::new().link().priority(priority);
            let body = async move |cx: Context| {
                loop {
                    let slept = cx.blocking(|| std::thread::sleep(Duration::from_millis(1)));
                    slept.await.unwrap();
                    cx.send(parent, &(priority == Priority::Low)).unwrap();
                }
            };
            callers.push(cx.spawn_opt(options, body).unwrap().pid);
        }
        let mut calls = [0, 0];
        while calls[0] + calls[1] < 2000 {
            calls[usize::from(expect::<bool>(&mut cx).await)] += 1;
        }
        let ratio = f64::from(calls[1]) / f64::from(calls[0]);
        assert!(ratio > 0.05 && ratio < 0.5, "{calls:?}");
        for pid in callers {
            cx.unlink(pid);
            cx.exit_process(pid, otp_vm::ExitReason::kill());
            assert!(!cx.is_alive(pid).await);
        }
    });
    run.wait().unwrap();
    vm.shutdown(LIMIT).wait();
}
