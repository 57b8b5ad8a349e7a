//! 1, 10 and 100 hogs of each kind on two schedulers, beside a ticker and a caller.

use std::fs::File;
use std::io::Read;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use otp_scheduler::{Policy, Scheduler};

use crate::kinds;
use crate::rig::{Flag, Rig, alone};

const COUNTS: [usize; 3] = [1, 10, 100];

/// So long each count is watched: three seconds a kind.
const TIME: Duration = Duration::from_secs(1);

/// No stall, and even shares.
fn shared_evenly(hog: fn(&Flag)) {
    tasks_shared_evenly(move |rig| rig.hog(hog));
}

/// Shares are looked at in the kernel's ordinary class: what the idle class gets is up to the machine's other programs.
fn tasks_shared_evenly(start: impl Fn(&mut Rig)) {
    let _alone = alone();
    for count in COUNTS {
        let mut rig = Rig::new(2);
        (0..count).for_each(|_| start(&mut rig));
        rig.until_all_have_begun();
        rig.watch(TIME);
        rig.end();
    }
    for count in [10, 100] {
        let ordinary = Scheduler::builder().kernel_policy(Policy::Normal);
        let mut rig = Rig::with(ordinary.schedulers(2));
        (0..count).for_each(|_| start(&mut rig));
        rig.until_all_have_begun();
        rig.check_shares(Duration::from_millis(5 * count));
        rig.end();
    }
}

/// No stall.
fn held_up_nobody(hog: impl Fn(&Flag) + Clone + Send + 'static) {
    let _alone = alone();
    for count in COUNTS {
        let mut rig = Rig::new(2);
        (0..count).for_each(|_| rig.hog(hog.clone()));
        rig.until_all_have_begun();
        rig.watch(TIME);
        rig.end();
    }
}

#[test]
fn go_10958_tight_loops_and_a_timer() {
    shared_evenly(kinds::arithmetic);
}

#[test]
fn endless_allocation() {
    let _alone = alone();
    // A hundred that want large blocks starve each other at the allocator's locks, also as plain threads.
    for (count, largest) in [(1, 200_000), (10, 200_000), (100, 1000)] {
        let mut rig = Rig::new(2);
        (0..count).for_each(|_| rig.hog(move |flag| kinds::allocation(flag, largest)));
        rig.until_all_have_begun();
        rig.watch(TIME);
        rig.end();
    }
}

#[test]
fn endless_sorts() {
    shared_evenly(kinds::sorting);
}

#[test]
fn endless_hashes() {
    shared_evenly(kinds::hashing);
}

#[test]
fn go_35923_c_functions_that_sort() {
    shared_evenly(kinds::c_sorting);
}

#[test]
fn c_functions_that_fill_memory() {
    shared_evenly(kinds::c_filling);
}

#[test]
fn c_functions_that_spin() {
    shared_evenly(kinds::c_spinning);
}

#[test]
fn libinger_unwinding() {
    shared_evenly(kinds::unwinding);
}

#[test]
fn tokio_2542_futures_that_are_always_ready() {
    tasks_shared_evenly(|rig| {
        rig.task(async |flag: Arc<Flag>| kinds::always_ready(&flag).await);
    });
}

#[test]
fn endless_locking() {
    let shared = Arc::new(Mutex::new(0));
    held_up_nobody(move |flag| kinds::locking(flag, &shared));
}

#[test]
fn endless_printing() {
    let (mut drain, output) = kinds::pipe();
    let drainer = thread::spawn(move || {
        let mut text = [0; 4096];
        while drain.read(&mut text).expect("the pipe can be read") > 0 {}
    });
    let output = Arc::new(Mutex::new(output));
    held_up_nobody(move |flag| kinds::printing(flag, &output));
    drainer.join().expect("it drains until the end");
}

#[test]
fn endless_sleeping() {
    held_up_nobody(kinds::sleeping);
}

#[test]
fn endless_starts_of_threads() {
    held_up_nobody(kinds::starting_threads);
}

#[test]
fn endless_rayon() {
    held_up_nobody(kinds::rayon_summing);
}

#[test]
fn blocking_reads() {
    let _alone = alone();
    for count in COUNTS {
        let mut rig = Rig::new(2);
        let writers: Vec<File> = (0..count)
            .map(|_| {
                let (reader, writer) = kinds::pipe();
                rig.hog(move |_| kinds::reading(reader));
                writer
            })
            .collect();
        rig.until_all_have_begun();
        rig.watch(TIME);
        drop(writers);
        rig.end();
    }
}

/// A minute of what wears most: locks of the program and of the allocator.
#[test]
fn long_locking_and_allocation() {
    if std::env::var_os("OTP_SCHEDULER_LONG").is_none() {
        println!(
            "left out: a minute of 100 hogs that lock and 100 that allocate; OTP_SCHEDULER_LONG=1 runs it"
        );
        return;
    }
    let _alone = alone();
    let mut rig = Rig::new(2);
    let shared = Arc::new(Mutex::new(0));
    for _ in 0..100 {
        let shared = Arc::clone(&shared);
        rig.hog(move |flag| kinds::locking(flag, &shared));
        rig.hog(|flag| kinds::allocation(flag, 1000));
    }
    rig.until_all_have_begun();
    for _ in 0..60 {
        rig.watch(Duration::from_secs(1));
    }
    rig.end();
}

#[test]
fn native_tasks_that_burn_share_evenly() {
    let _alone = alone();
    let ordinary = Scheduler::builder().kernel_policy(Policy::Normal);
    let mut rig = Rig::with(ordinary.schedulers(2));
    (0..50).for_each(|_| rig.native(kinds::arithmetic));
    rig.until_all_have_begun();
    rig.watch(TIME);
    rig.check_shares(5 * TIME);
    rig.end();
}

/// Their bursts are shorter than a turn, and each comes out of a wait.
#[test]
fn native_tasks_that_burn_and_wait_in_turn_hold_up_nobody() {
    let _alone = alone();
    let mut rig = Rig::new(2);
    for _ in 0..50 {
        rig.native(|flag| {
            while flag.goes_on() {
                let begun = std::time::Instant::now();
                while begun.elapsed() < Duration::from_micros(900) {
                    std::hint::spin_loop();
                }
                otp_scheduler::block_on(otp_scheduler::yield_now()).expect("it may block");
            }
        });
    }
    // A green task that never waits gets on as well, though it gives way all the time.
    let turns = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counter = Arc::clone(&turns);
    rig.task(async move |flag| {
        while flag.goes_on() {
            counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            otp_scheduler::yield_now().await;
        }
    });
    rig.until_all_have_begun();
    rig.watch(2 * TIME);
    assert!(turns.load(std::sync::atomic::Ordering::Relaxed) > 100);
    rig.end();
}
