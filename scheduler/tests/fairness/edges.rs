//! The edges of the gate: limits, signals, locks, and the end.

use std::io::{Read, Write};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use otp_scheduler::Scheduler;

use crate::kinds::{self, spin_for};
use crate::rig::{LIMIT, Rig, alone, result, until};

fn until_bound(rig: &Rig, count: usize) {
    until("a hog is not bound", || {
        rig.scheduler.figures().bound >= count
    });
}

#[test]
fn two_sets_of_schedulers_go_their_own_ways() {
    let _alone = alone();
    let (mut one, mut other) = (Rig::new(1), Rig::new(1));
    for _ in 0..5 {
        one.hog(kinds::arithmetic);
        other.hog(kinds::c_spinning);
    }
    until_bound(&one, 5);
    until_bound(&other, 5);
    one.watch(Duration::from_millis(300));
    other.check_beats();
    // The end of one opens no gate of the other, and closes none.
    one.scheduler.stop();
    let late = one.scheduler.join(Duration::from_millis(50)).unwrap_err();
    assert_eq!(late.len(), 5, "{late:?}");
    assert!(late.iter().all(|name| name.contains("bound")), "{late:?}");
    other.watch(Duration::from_millis(300));
    assert_eq!(other.scheduler.figures().bound, 5);
    one.flag.end();
    one.scheduler.join(LIMIT).expect("no thread is left");
    other.end();
    // Slots are in use again.
    let mut third = Rig::new(2);
    (0..10).for_each(|_| third.hog(kinds::arithmetic));
    until_bound(&third, 10);
    third.watch(Duration::from_millis(200));
    third.end();
}

#[test]
fn stop_returns_within_its_limit_beside_an_endless_hog() {
    let _alone = alone();
    let mut rig = Rig::new(2);
    (0..4).for_each(|_| rig.hog(kinds::arithmetic));
    until_bound(&rig, 4);
    let begun = Instant::now();
    rig.scheduler.stop();
    let late = rig
        .scheduler
        .join(Duration::from_millis(100))
        .expect_err("the hogs still run");
    assert!(begun.elapsed() < Duration::from_secs(1));
    assert_eq!(late.len(), 4, "{late:?}");
    assert!(late.iter().all(|name| name.contains("bound")), "{late:?}");
    rig.flag.end();
    rig.scheduler.join(LIMIT).expect("no thread is left");
    assert_eq!(rig.scheduler.figures().bound, 0);
}

#[test]
fn a_host_that_forbids_signals_still_has_schedulers_handed_over() {
    let _alone = alone();
    let mut rig = Rig::with(Scheduler::builder().schedulers(2).gate_signal(None));
    for _ in 0..6 {
        rig.hog(kinds::arithmetic);
        rig.hog(kinds::sleeping);
    }
    until_bound(&rig, 12);
    rig.watch(Duration::from_millis(500));
    rig.end();
}

#[test]
fn past_the_limit_of_bound_threads_a_hog_keeps_its_scheduler() {
    let _alone = alone();
    let rig = Rig::with(Scheduler::builder().schedulers(1).max_bound(1));
    let flags: [Arc<crate::rig::Flag>; 2] = Default::default();
    let [first, second] = flags
        .clone()
        .map(|flag| rig.scheduler.spawn(async move { kinds::arithmetic(&flag) }));
    until("nothing is held up", || {
        rig.scheduler.figures().held_up > 10
    });
    assert_eq!(rig.scheduler.figures().bound, 1);
    // The bound one gets on only when the other ends, and so do all others.
    let late = rig.scheduler.spawn(async {});
    thread::sleep(Duration::from_millis(50));
    assert!(!late.is_finished(), "the scheduler is held up");
    flags[1].end();
    result("others run again", late);
    result("the second hog ends", second);
    flags[0].end();
    result("the first hog ends", first);
    until("a thread stays bound", || {
        rig.scheduler.figures().bound == 0
    });
    rig.scheduler.stop();
    rig.scheduler.join(LIMIT).expect("no thread is left");
}

#[test]
fn at_the_limit_two_schedulers_of_which_one_is_held_up_serve_all() {
    let _alone = alone();
    let mut rig = Rig::with(Scheduler::builder().schedulers(2).max_bound(1));
    // One is bound, one holds its scheduler.
    (0..2).for_each(|_| rig.hog(kinds::arithmetic));
    rig.until_all_have_begun();
    rig.watch(Duration::from_millis(500));
    assert_eq!(rig.scheduler.figures().bound, 1);
    rig.end();
}

/// Who holds a lock of the program's stands behind a gate like anyone else; those that want it wait a round.
#[test]
fn a_lock_held_behind_a_gate_comes_free() {
    let _alone = alone();
    let mut rig = Rig::new(2);
    let lock = Arc::new(Mutex::new(()));
    (0..10).for_each(|_| rig.hog(kinds::arithmetic));
    let holder = Arc::clone(&lock);
    rig.hog(move |flag| {
        while flag.goes_on() {
            let held = holder.lock().unwrap();
            spin_for(Duration::from_millis(10));
            drop(held);
            thread::sleep(Duration::from_millis(1));
        }
    });
    let taken: Vec<_> = (0..5).map(|_| Arc::new(AtomicU64::new(0))).collect();
    for taken in &taken {
        let (lock, taken) = (Arc::clone(&lock), Arc::clone(taken));
        rig.hog(move |flag| {
            while flag.goes_on() {
                drop(lock.lock().unwrap());
                taken.fetch_add(1, Ordering::Relaxed);
                thread::sleep(Duration::from_millis(1));
            }
        });
    }
    rig.until_all_have_begun();
    rig.watch(Duration::from_millis(300));
    until("the lock is not had", || {
        taken.iter().all(|taken| taken.load(Ordering::Relaxed) > 0)
    });
    rig.end();
}

/// A timer waits, on the scheduler itself, for a lock that code behind a gate holds: the gates open.
#[test]
fn a_scheduler_that_waits_for_a_lock_behind_a_gate_gets_it() {
    let _alone = alone();
    let mut rig = Rig::new(2);
    let lock = Arc::new(Mutex::new(()));
    for _ in 0..10 {
        let lock = Arc::clone(&lock);
        rig.hog(move |flag| {
            while flag.goes_on() {
                let held = lock.lock().unwrap();
                spin_for(Duration::from_millis(3));
                drop(held);
                thread::sleep(Duration::from_millis(1));
            }
        });
    }
    (0..4).for_each(|_| rig.hog(kinds::arithmetic));
    rig.until_all_have_begun();
    let fired = Arc::new(AtomicU64::new(0));
    for _ in 0..10 {
        let before = fired.load(Ordering::Relaxed);
        let (lock, fired_now) = (Arc::clone(&lock), Arc::clone(&fired));
        let fire = move |_| {
            drop(lock.lock().unwrap());
            fired_now.fetch_add(1, Ordering::Relaxed);
        };
        rig.scheduler.start_timer(rig.scheduler.now(), fire);
        until("the timer waits for ever", || {
            fired.load(Ordering::Relaxed) > before
        });
    }
    rig.end();
}

/// The program's own handler for the signal, there before, is still called for signals that the program sends.
#[test]
fn a_handler_that_was_there_before_is_still_called() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn count(_: libc::c_int) {
        CALLS.fetch_add(1, Ordering::Relaxed);
    }
    let _alone = alone();
    let signal = libc::SIGRTMIN() + 9;
    // SAFETY: plain data, and a handler that touches an atomic only.
    unsafe {
        let mut action: libc::sigaction = MaybeUninit::zeroed().assume_init();
        action.sa_sigaction = count as extern "C" fn(libc::c_int) as usize;
        assert_eq!(libc::sigaction(signal, &action, ptr::null_mut()), 0);
    }
    let mut rig = Rig::with(Scheduler::builder().schedulers(2).gate_signal(Some(signal)));
    (0..6).for_each(|_| rig.hog(kinds::arithmetic));
    until_bound(&rig, 6);
    rig.watch(Duration::from_millis(200));
    assert_eq!(
        CALLS.load(Ordering::Relaxed),
        0,
        "the gates' signals are not its"
    );
    // SAFETY: a signal to this program, which has a handler for it. Twice: to the thread, and to all.
    unsafe {
        libc::raise(signal);
        libc::kill(libc::getpid(), signal);
    }
    until("the handler is not called", || {
        CALLS.load(Ordering::Relaxed) == 2
    });
    rig.watch(Duration::from_millis(100));
    rig.end();
}

/// Reads that block between spells of work: the gate's signals interrupt none of them for the task.
#[test]
fn a_blocking_read_goes_on_after_the_gates_signal() {
    let _alone = alone();
    let mut rig = Rig::new(2);
    (0..6).for_each(|_| rig.hog(kinds::arithmetic));
    let mut writers = Vec::new();
    let reads = Arc::new(AtomicU64::new(0));
    for _ in 0..6 {
        let (mut reader, writer) = kinds::pipe();
        writers.push(writer);
        let reads = Arc::clone(&reads);
        rig.hog(move |_| {
            let mut text = [0; 1];
            // An interrupted read would be an error here: `read` does not try again.
            while reader.read(&mut text).expect("no EINTR") > 0 {
                reads.fetch_add(1, Ordering::Relaxed);
                spin_for(Duration::from_millis(2));
            }
        });
    }
    rig.until_all_have_begun();
    for _ in 0..50 {
        for writer in &mut writers {
            writer.write_all(b"x").expect("the pipe has room");
        }
        thread::sleep(Duration::from_millis(10));
    }
    until("a read stands still", || {
        reads.load(Ordering::Relaxed) == 50 * 6
    });
    drop(writers);
    rig.end();
}
