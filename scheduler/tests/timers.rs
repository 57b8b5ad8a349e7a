//! Timers: never early, in order, cancelled, many, panicking; idle workers that use no time.

mod common;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier, OnceLock, mpsc};
use std::time::Duration;

use common::{LIMIT, next, scheduler};
use otp_scheduler::{Scheduler, current_scheduler};

const MS: u64 = 1_000_000;

#[test]
fn timers_fire_in_order_and_never_early() {
    let scheduler = scheduler(1);
    let (out, fired) = mpsc::channel();
    let start = scheduler.now();
    for delay in [5 * MS, 0, 70_000, 20 * MS, 71_000, 3 * MS, 1] {
        let (out, clock) = (out.clone(), scheduler.clone());
        let at = start + delay;
        let fire = move |now| out.send((at, now, clock.now())).unwrap();
        scheduler.start_timer(at, fire);
    }
    let mut last = 0;
    for _ in 0..7 {
        let (at, now, true_now) = next(&fired);
        assert!(at <= now && now <= true_now, "{at} {now} {true_now}");
        if at > start + MS {
            assert!(last <= at, "out of order");
        }
        last = at;
    }
}

#[test]
fn an_earlier_timer_overtakes_while_all_are_idle() {
    let scheduler = scheduler(2);
    let (out, fired) = mpsc::channel();
    let later = scheduler.start_timer(scheduler.now() + 3_600_000 * MS, |_| {});
    let at = scheduler.now() + 2 * MS;
    scheduler.start_timer(at, move |now| out.send(now).unwrap());
    assert!(next(&fired) >= at);
    assert!(scheduler.read_timer(later).is_some());
}

#[test]
fn a_cancelled_timer_gives_its_deadline_and_drops() {
    struct Dropped(Arc<AtomicBool>);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let scheduler = scheduler(1);
    let dropped = Arc::new(AtomicBool::new(false));
    let mark = Dropped(Arc::clone(&dropped));
    let at = scheduler.now() + 1_000_000 * MS;
    let key = scheduler.start_timer(at, move |_| drop(mark));
    assert_eq!(scheduler.read_timer(key), Some(at));
    assert_eq!(scheduler.figures().timers, 1);
    assert!(!dropped.load(Ordering::Relaxed));
    assert_eq!(scheduler.cancel_timer(key), Some(at));
    assert!(dropped.load(Ordering::Relaxed));
    assert_eq!(scheduler.cancel_timer(key), None);
    assert_eq!(scheduler.read_timer(key), None);
}

/// Two tasks that meet at a barrier, which blocks, are on two schedulers.
#[test]
fn a_cancel_from_another_scheduler_gives_the_time_left() {
    // Nobody loses a scheduler at the barrier.
    let scheduler = Scheduler::builder().schedulers(2).max_bound(0).build();
    let scheduler = scheduler.expect("worker threads start");
    let (meeting, started) = (Arc::new(Barrier::new(2)), Arc::new(OnceLock::new()));
    let starter = {
        let (scheduler, meeting) = (scheduler.clone(), Arc::clone(&meeting));
        let started = Arc::clone(&started);
        let at = scheduler.now() + 3_600_000 * MS;
        scheduler.clone().spawn(async move {
            let key = scheduler.start_timer(at, |_| panic!("it is cancelled"));
            started.set((at, key)).expect("one starts it");
            meeting.wait();
            let own = current_scheduler();
            meeting.wait();
            (own, scheduler.read_timer(key))
        })
    };
    let canceller = scheduler.spawn({
        let scheduler = scheduler.clone();
        async move {
            meeting.wait();
            let &(at, key) = started.get().expect("it is started");
            let (read, cancelled) = (scheduler.read_timer(key), scheduler.cancel_timer(key));
            let left = cancelled.map(|deadline| deadline - scheduler.now());
            let again = scheduler.cancel_timer(key);
            let own = current_scheduler();
            meeting.wait();
            (own, read == Some(at), left, again)
        }
    });
    let (elsewhere, read, left, again) = canceller.wait().unwrap();
    let (own, read_later) = starter.wait().unwrap();
    assert!(own.is_some() && elsewhere.is_some() && own != elsewhere);
    assert!(read);
    let left = left.expect("it was far off");
    assert!(left <= 3_600_000 * MS && left > 3_600_000 * MS - LIMIT.as_nanos() as u64);
    assert_eq!((again, read_later), (None, None));
}

#[test]
fn a_hundred_thousand_timers_fire() {
    const TIMERS: u64 = 100_000;
    let scheduler = scheduler(2);
    let (out, fired) = mpsc::channel();
    let start = scheduler.now();
    for number in 0..TIMERS {
        let out = out.clone();
        let at = start + number * 7919 % (40 * MS);
        scheduler.start_timer(at, move |now| out.send(now >= at).unwrap());
    }
    for _ in 0..TIMERS {
        assert!(next(&fired), "a timer fired early");
    }
    assert_eq!(scheduler.figures().timers, 0);
}

#[test]
fn a_timer_that_panics_is_counted_and_the_worker_goes_on() {
    let scheduler = scheduler(1);
    let (out, fired) = mpsc::channel();
    scheduler.start_timer(0, |_| panic!("a timer's own"));
    scheduler.start_timer(MS, move |_| out.send(()).unwrap());
    next(&fired);
    let figures = scheduler.figures();
    assert_eq!(figures.schedulers[0].panics, 1);
    assert_eq!(figures.schedulers[0].timers_fired, 2);
}

/// The only busy worker is stuck in a slice; an idle one fires the stuck one's timers.
#[test]
fn timers_of_a_stuck_worker_fire_on_an_idle_one() {
    let scheduler = scheduler(2);
    let inner = scheduler.clone();
    let (out, fired) = mpsc::channel();
    let stuck = scheduler.spawn(async move {
        let at = inner.now() + MS;
        inner.start_timer(at, move |_| out.send(()).unwrap());
        // Blocks this worker until the timer has fired.
        next(&fired);
    });
    assert_eq!(stuck.wait(), Ok(()));
}

#[test]
fn idle_workers_use_no_time() {
    fn cpu_time() -> Duration {
        let mut time = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: `time` is a valid place for the answer.
        let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &mut time) };
        assert_eq!(result, 0);
        Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
    }
    // Other tests of this file may run at the same time; the quietest of several periods counts.
    let scheduler = scheduler(4);
    let quietest = (0..20)
        .map(|_| {
            let (out, fired) = mpsc::channel();
            let before = cpu_time();
            let at = scheduler.now() + 100 * MS;
            scheduler.start_timer(at, move |_| out.send(()).unwrap());
            next(&fired);
            cpu_time() - before
        })
        .min()
        .expect("there are periods");
    assert!(
        quietest < Duration::from_millis(1),
        "{quietest:?} in 100 ms is more than 1 % of a core"
    );
}
