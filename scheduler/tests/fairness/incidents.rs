//! What stood still elsewhere, as tasks that do give way and a few that don't.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use otp_scheduler::{Scheduler, poll_proceed, tick, yield_now};

use crate::kinds::{self, spin_for};
use crate::rig::{Flag, LIMIT, Mailbox, Rig, alone, result, sleep_until, until};

/// Two that wake each other kept the run-next slot for themselves.
#[test]
fn tokio_5712_two_ping_pongers_and_a_counter() {
    let _alone = alone();
    let mut rig = Rig::new(1);
    let (ping, pong) = (Arc::new(Mailbox::default()), Arc::new(Mailbox::default()));
    let turns = Arc::new(AtomicU64::new(0));
    for (own, other) in [(&ping, &pong), (&pong, &ping)] {
        let (own, other, turns) = (Arc::clone(own), Arc::clone(other), Arc::clone(&turns));
        rig.task(async move |flag: Arc<Flag>| {
            while flag.goes_on() {
                own.receive().await;
                other.send(1);
                turns.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    ping.send(1);
    let count = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&count);
    rig.task(async move |flag: Arc<Flag>| {
        while flag.goes_on() {
            counter.fetch_add(1, Ordering::Relaxed);
            yield_now().await;
        }
    });
    rig.watch(Duration::from_millis(500));
    let (turns, count) = (turns.load(Ordering::Relaxed), count.load(Ordering::Relaxed));
    // A slice of theirs is 400 turns at most.
    assert!(
        count > 0 && turns / count < 1000,
        "{count} against {turns} turns"
    );
    rig.end();
}

/// A woken task waited in a slot that nobody could steal from, behind its waker, which waited for it.
#[test]
fn tokio_4941_a_waker_that_spins_until_the_woken_task_has_run() {
    let _alone = alone();
    for schedulers in 1..=2 {
        let mut rig = Rig::new(schedulers);
        let mailbox = Arc::new(Mailbox::default());
        let answered = Arc::new(AtomicBool::new(false));
        let (inbox, answer) = (Arc::clone(&mailbox), Arc::clone(&answered));
        rig.scheduler.spawn(async move {
            inbox.receive().await;
            answer.store(true, Ordering::Relaxed);
        });
        rig.hog(move |_| {
            // The other one waits by now.
            spin_for(Duration::from_millis(20));
            mailbox.send(1);
            while !answered.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        rig.until_all_have_begun();
        rig.end();
    }
}

/// A mailbox that ten thousand send to grew faster than it was read.
#[test]
fn otp_5020_ten_thousand_senders_to_one_mailbox() {
    const SENDERS: u64 = 10_000;
    let _alone = alone();
    let rig = Rig::new(2);
    let mailbox = Arc::new(Mailbox::default());
    for sender in 0..SENDERS {
        let mailbox = Arc::clone(&mailbox);
        rig.scheduler.spawn(async move {
            for _ in 0..3 {
                mailbox.send(sender);
                yield_now().await;
            }
        });
    }
    let receiver = rig.scheduler.spawn(async move {
        let mut received = 0;
        while received < 3 * SENDERS {
            received += mailbox.receive().await.len() as u64;
        }
    });
    result("messages are missing", receiver);
    rig.end();
}

/// Timers were late for one whose mailbox was never empty.
#[test]
fn nearcore_2983_timers_under_a_full_mailbox() {
    let _alone = alone();
    let mut rig = Rig::new(1);
    for _ in 0..10 {
        rig.task(async move |flag: Arc<Flag>| {
            while flag.goes_on() {
                // A message, which is there already.
                tick(50);
                std::future::poll_fn(poll_proceed).await;
            }
        });
    }
    rig.watch(Duration::from_millis(500));
    rig.end();
}

/// A long native call on the only scheduler: others wait for a few milliseconds, not for its end.
#[test]
fn y_ex_249_one_long_call_and_a_ticker() {
    let _alone = alone();
    let mut rig = Rig::new(1);
    rig.hog(|_| spin_for(Duration::from_millis(1500)));
    rig.until_all_have_begun();
    rig.watch(Duration::from_millis(1600));
    rig.end();
}

/// Long calls one after the other queued up for a pool of fixed size.
#[test]
fn y_ex_249_more_long_calls_than_schedulers() {
    let _alone = alone();
    let mut rig = Rig::new(2);
    for _ in 0..20 {
        rig.hog(|_| thread::sleep(Duration::from_millis(300)));
    }
    let begun = Instant::now();
    rig.until_all_have_begun();
    rig.end();
    // One after the other on two schedulers it would be three seconds.
    assert!(
        begun.elapsed() < Duration::from_millis(2500),
        "{:?}",
        begun.elapsed()
    );
}

/// A task that starts others in a loop.
#[test]
fn lunatic_78_a_storm_of_spawns() {
    let _alone = alone();
    let mut rig = Rig::new(2);
    let scheduler = rig.scheduler.clone();
    let ended = Arc::new(AtomicU64::new(0));
    let count = Arc::clone(&ended);
    rig.task(async move |_| {
        for _ in 0..50_000 {
            let count = Arc::clone(&count);
            scheduler.spawn(async move {
                count.fetch_add(1, Ordering::Relaxed);
            });
        }
    });
    until("a task is lost", || ended.load(Ordering::Relaxed) == 50_000);
    rig.end();
}

/// A wake-up went missing. Here each task is taken its scheduler every few rounds, in the midst of wakes.
#[test]
fn otp_7595_no_wake_is_lost_while_schedulers_are_taken_away() {
    const TASKS: usize = 8;
    const HOPS: u64 = 3000;
    let _alone = alone();
    let rig = Rig::new(2);
    let ring: Arc<Vec<Mailbox>> = Arc::new((0..TASKS).map(|_| Mailbox::default()).collect());
    let tasks: Vec<_> = (0..TASKS)
        .map(|index| {
            let ring = Arc::clone(&ring);
            rig.scheduler.spawn(async move {
                loop {
                    for hop in ring[index].receive().await {
                        if hop % 200 == index as u64 {
                            spin_for(Duration::from_millis(7));
                        }
                        ring[(index + 1) % TASKS].send(hop + 1);
                        if hop >= HOPS {
                            return;
                        }
                    }
                }
            })
        })
        .collect();
    ring[0].send(0);
    for task in tasks {
        result("a wake is lost", task);
    }
    rig.end();
}

/// Native code that wakes the same task as everybody else, at its gate at any moment of it.
#[test]
fn hogs_that_wake_a_server_of_all() {
    let _alone = alone();
    for count in [1, 10, 100] {
        let mut rig = Rig::new(2);
        let (mailbox, served) = (Arc::new(Mailbox::default()), Arc::new(AtomicU64::new(0)));
        let (inbox, counter) = (Arc::clone(&mailbox), Arc::clone(&served));
        rig.scheduler.spawn(async move {
            loop {
                let messages = inbox.receive().await.len() as u64;
                counter.fetch_add(messages, Ordering::Relaxed);
            }
        });
        for _ in 0..count {
            let mailbox = Arc::clone(&mailbox);
            rig.hog(move |flag| {
                while flag.goes_on() {
                    mailbox.send(1);
                    for _ in 0..100 {
                        std::hint::spin_loop();
                    }
                }
            });
        }
        rig.until_all_have_begun();
        for _ in 0..5 {
            let before = served.load(Ordering::Relaxed);
            rig.watch(Duration::from_millis(100));
            until("the server stands still", || {
                served.load(Ordering::Relaxed) > before
            });
        }
        rig.end();
    }
}

/// Native code that starts tasks and timers, and waits for them natively.
#[test]
fn hogs_that_wait_natively_for_tasks_and_timers_of_theirs() {
    let _alone = alone();
    for count in [1, 10, 100] {
        let mut rig = Rig::new(2);
        for _ in 0..count {
            let scheduler = rig.scheduler.clone();
            rig.hog(move |flag| {
                while flag.goes_on() {
                    wait_for_a_task(&scheduler);
                }
            });
        }
        rig.until_all_have_begun();
        rig.watch(Duration::from_millis(500));
        rig.end();
    }
}

fn wait_for_a_task(scheduler: &Scheduler) {
    let done = Arc::new(AtomicBool::new(false));
    let (tells, clock) = (Arc::clone(&done), scheduler.clone());
    scheduler.spawn(async move {
        let at = clock.now() + 100_000;
        sleep_until(&clock, at).await;
        tells.store(true, Ordering::Relaxed);
    });
    let begun = Instant::now();
    while !done.load(Ordering::Relaxed) {
        assert!(begun.elapsed() < LIMIT, "the task of a hog does not run");
        std::hint::spin_loop();
    }
}

/// Tasks that alternate: native for some milliseconds, then they give way.
#[test]
fn go_15442_loops_that_give_way_too_rarely() {
    let _alone = alone();
    let mut rig = Rig::new(2);
    for index in 0..10 {
        rig.task(async move |flag: Arc<Flag>| {
            while flag.goes_on() {
                spin_for(Duration::from_millis(2 + index));
                yield_now().await;
            }
        });
    }
    rig.until_all_have_begun();
    rig.watch(Duration::from_secs(1));
    rig.end();
}

/// Kinds beside each other.
#[test]
fn one_hog_of_each_kind() {
    let _alone = alone();
    let mut rig = Rig::new(2);
    for kind in [
        kinds::arithmetic,
        kinds::sorting,
        kinds::hashing,
        kinds::sleeping,
        kinds::c_sorting,
        kinds::c_filling,
        kinds::c_spinning,
        kinds::rayon_summing,
        kinds::starting_threads,
        kinds::unwinding,
    ] {
        rig.hog(kind);
    }
    rig.until_all_have_begun();
    rig.watch(Duration::from_secs(1));
    rig.end();
}
