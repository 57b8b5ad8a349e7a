//! Code that counts its reductions: checkpoints, awaited ticks, and the attribute that puts them in.

mod common;

use std::cell::Cell;
use std::future::ready;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use common::{LIMIT, next, scheduler};
use otp_scheduler::lock::section;
use otp_scheduler::{
    JoinHandle, Policy, REDUCTIONS_PER_SLICE, Scheduler, checkpoint, proceed, reductions,
    reductions_left, slice_is_over, yield_now,
};

/// Counts its turns until the flag is set. The checkpoints are the attribute's.
#[reductions]
fn spin(stop: &AtomicBool, turns: &AtomicU64) {
    while !stop.load(Ordering::Relaxed) {
        turns.fetch_add(1, Ordering::Relaxed);
    }
}

struct Loops {
    stop: Arc<AtomicBool>,
    turns: Vec<Arc<AtomicU64>>,
    tasks: Vec<JoinHandle<()>>,
}

impl Loops {
    fn start(scheduler: &Scheduler, count: usize) -> Loops {
        let stop = Arc::new(AtomicBool::new(false));
        let turns: Vec<_> = (0..count).map(|_| Arc::default()).collect();
        let tasks = turns
            .iter()
            .map(|turns| {
                let (stop, turns) = (Arc::clone(&stop), Arc::clone(turns));
                scheduler.spawn(async move { spin(&stop, &turns) })
            })
            .collect();
        Loops { stop, turns, tasks }
    }

    fn turns(&self) -> Vec<u64> {
        let load = |turns: &Arc<AtomicU64>| turns.load(Ordering::Relaxed);
        self.turns.iter().map(load).collect()
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.wait().expect("the loop ends with its flag");
        }
    }
}

fn until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < LIMIT, "it does not come about: {what}");
        std::thread::yield_now();
    }
}

fn end(scheduler: &Scheduler) {
    scheduler.stop();
    scheduler.join(LIMIT).expect("no thread is left");
    assert_eq!(scheduler.figures().bound, 0);
}

/// What a task of its own makes of it.
fn run<F>(work: F) -> F::Output
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let scheduler = scheduler(1);
    scheduler.spawn(work).wait().expect("it ends")
}

fn tell(scheduler: &Scheduler, told: &Sender<()>) {
    let told = told.clone();
    scheduler.spawn(async move { told.send(()).expect("the test listens") });
}

#[test]
fn a_loop_with_checkpoints_gives_its_scheduler_to_who_waits() {
    let scheduler = scheduler(1);
    let (told, heard) = channel();
    let begun = Instant::now();
    // On a busy machine the monitor may be first: then once more.
    let loops = loop {
        assert!(begun.elapsed() < LIMIT, "no loop gives way by choice");
        let loops = Loops::start(&scheduler, 1);
        until("the loop is bound", || {
            tell(&scheduler, &told);
            next(&heard);
            scheduler.figures().bound == 1
        });
        if scheduler.figures().given_away > 0 {
            break loops;
        }
        loops.end();
    };
    assert_eq!(scheduler.figures().bound, 1);
    for _ in 0..100 {
        tell(&scheduler, &told);
        next(&heard);
    }
    let before = loops.turns()[0];
    until("the loop goes on", || loops.turns()[0] > before);
    loops.end();
    end(&scheduler);
}

#[test]
fn loops_with_checkpoints_share_a_scheduler() {
    let scheduler = Scheduler::builder()
        .schedulers(1)
        .name("test")
        .kernel_policy(Policy::Normal)
        .build()
        .expect("worker threads start");
    let loops = Loops::start(&scheduler, 4);
    until("all loops are bound", || scheduler.figures().bound == 4);
    let before = loops.turns();
    let since = || -> Vec<u64> {
        let turns = loops.turns();
        turns
            .iter()
            .zip(&before)
            .map(|(now, before)| now - before)
            .collect()
    };
    until("each has its share", || {
        let shares = since();
        let sum: u64 = shares.iter().sum();
        sum > 10_000_000 && shares.iter().all(|share| share * 4 >= sum / 4)
    });
    assert!(scheduler.figures().given_away > 0);
    loops.end();
    end(&scheduler);
}

#[test]
fn stop_lets_loops_behind_their_gates_go() {
    let scheduler = scheduler(1);
    let loops = Loops::start(&scheduler, 3);
    until("all loops are bound", || scheduler.figures().bound == 3);
    scheduler.stop();
    loops.end();
    end(&scheduler);
}

#[test]
fn a_task_that_gave_way_at_a_checkpoint_is_a_task_like_others_after_its_next_await() {
    let scheduler = scheduler(1);
    let (told, heard) = channel();
    let (stop, turns) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let task = {
        let stop = Arc::clone(&stop);
        scheduler.spawn(async move {
            spin(&stop, &turns);
            yield_now().await;
            otp_scheduler::current_scheduler()
        })
    };
    tell(&scheduler, &told);
    next(&heard);
    until("it is bound", || scheduler.figures().bound == 1);
    stop.store(true, Ordering::Relaxed);
    assert_eq!(task.wait(), Ok(Some(0)));
    assert_eq!(scheduler.figures().bound, 0);
}

#[test]
fn a_checkpoint_goes_on_with_a_new_slice_if_nothing_waits() {
    let scheduler = scheduler(1);
    let task = scheduler.spawn(async {
        let before = reductions_left();
        let mut over = 0;
        for _ in 0..10 {
            checkpoint(REDUCTIONS_PER_SLICE);
            over += u32::from(slice_is_over());
        }
        (before - reductions_left(), over)
    });
    let (charged, over) = task.wait().expect("it ends");
    assert_eq!(charged, 10 * i64::from(REDUCTIONS_PER_SLICE));
    // The monitor may have ended a slice by the clock, hardly all of them.
    assert!(over < 10, "{over}");
    let figures = scheduler.figures();
    assert_eq!(figures.given_away, 0);
    until("the slice is counted", || {
        scheduler.figures().schedulers[0].reductions >= charged as u64
    });
}

#[test]
fn a_checkpoint_only_counts_within_a_section_past_the_limit_and_off_scheduler_threads() {
    let scheduler = Scheduler::builder()
        .schedulers(1)
        .name("test")
        .max_bound(0)
        .build()
        .expect("worker threads start");
    let (told, heard) = channel();
    let (go, wait) = channel();
    let task = scheduler.spawn(async move {
        next(&wait);
        let begun = Instant::now();
        let mut sections = 0_u64;
        while begun.elapsed().as_millis() < 5 {
            checkpoint(REDUCTIONS_PER_SLICE);
            let _section = section();
            checkpoint(REDUCTIONS_PER_SLICE);
            sections += 1;
        }
        (slice_is_over(), sections)
    });
    tell(&scheduler, &told);
    go.send(()).expect("the task listens");
    // What waits makes awaits give way.
    assert!(task.wait().expect("it ends").0);
    next(&heard);
    assert_eq!(scheduler.figures().given_away, 0);
    checkpoint(u32::MAX);
    assert!(!slice_is_over());
}

#[test]
fn what_a_loop_wakes_is_passed_on_to_an_idle_scheduler() {
    // No thread may be bound, so nothing but the checkpoints can help: nobody steals from the run-next slot.
    let scheduler = Scheduler::builder()
        .schedulers(2)
        .name("test")
        .max_bound(0)
        .build()
        .expect("worker threads start");
    let inner = scheduler.clone();
    let task = scheduler.spawn(async move {
        let stop = Arc::new(AtomicBool::new(false));
        let woken = Arc::clone(&stop);
        inner.spawn(async move { woken.store(true, Ordering::Relaxed) });
        spin(&stop, &AtomicU64::new(0));
    });
    until("the loop ends", || {
        scheduler
            .figures()
            .schedulers
            .iter()
            .map(|one| one.slices)
            .sum::<u64>()
            >= 2
    });
    task.wait().expect("it ends");
    assert_eq!(scheduler.figures().given_away, 0);
}

#[test]
fn proceed_charges_once_and_gives_way_once_when_the_slice_is_over() {
    let mut polling = Context::from_waker(Waker::noop());
    // Off a scheduler thread there is no slice.
    assert!(pin!(proceed(u32::MAX)).poll(&mut polling).is_ready());
    let charged = run(async {
        let mut polling = Context::from_waker(Waker::noop());
        let before = reductions_left();
        assert!(pin!(proceed(7)).poll(&mut polling).is_ready());
        assert_eq!(before - reductions_left(), 7);
        let mut last = pin!(proceed(REDUCTIONS_PER_SLICE));
        assert!(last.as_mut().poll(&mut polling).is_pending());
        assert_eq!(last.as_mut().poll(&mut polling), Poll::Ready(()));
        before - reductions_left()
    });
    assert_eq!(charged, 7 + i64::from(REDUCTIONS_PER_SLICE));
}

/// What a part of a task is charged, less what its start costs.
fn charged<F: Future<Output = ()> + Send + 'static>(work: F) -> i64 {
    run(async {
        let before = reductions_left();
        work.await;
        before - reductions_left()
    })
}

#[reductions]
mod counted {
    use super::*;

    pub struct Thing(pub u32);

    pub trait Works {
        fn work(&self) -> u32;

        fn twice(&self) -> u32 {
            2 * self.work()
        }
    }

    impl Works for Thing {
        fn work(&self) -> u32 {
            let mut turns = 0;
            loop {
                if turns == self.0 {
                    break turns;
                }
                turns += 1;
            }
        }
    }

    impl Thing {
        pub const LIMIT: usize = limit();

        pub fn closure(&self) -> u32 {
            let count = |times| {
                let mut sum = 0;
                for n in 0..times {
                    sum += n;
                }
                sum
            };
            [0; Thing::LIMIT].len() as u32 + count(self.0)
        }

        #[reductions(skip)]
        pub fn skipped(&self) -> u32 {
            (0..self.0).sum()
        }
    }

    const fn limit() -> usize {
        let mut n = 0;
        while n < 3 {
            n += 1;
        }
        n
    }

    /// Labels, patterns, conditions that bind, and ways out of loops that await.
    pub async fn awaiting(list: Vec<(u32, &'static str)>) -> (u32, String) {
        let mut sum = 0;
        let mut text = String::new();
        'all: for (n, word) in list {
            yield_now().await;
            for letter in word.chars() {
                if letter == '.' {
                    break 'all;
                }
                if letter == '-' {
                    continue 'all;
                }
                text.push(letter);
            }
            sum += n;
        }
        let mut rest = Some(3_u32);
        while let Some(n) = rest
            && n > 0
        {
            rest = n.checked_sub(1);
            yield_now().await;
        }
        let mut rounds = 0;
        #[allow(clippy::never_loop, reason = "attributes stay with their loops")]
        while ready(true).await {
            rounds += 1;
            if rounds == 2 {
                break;
            }
        }
        (sum + rounds, text)
    }

    pub fn recursive(n: u32) -> u32 {
        if n == 0 { 0 } else { 1 + recursive(n - 1) }
    }
}

#[test]
fn entries_and_turns_are_charged() {
    use counted::{Thing, Works};
    // One for the entry, one for each turn, the last one too.
    assert_eq!(charged(async { assert_eq!(Thing(10).work(), 10) }), 12);
    assert_eq!(charged(async { assert_eq!(Thing(10).twice(), 20) }), 13);
    assert_eq!(charged(async { assert_eq!(Thing(10).closure(), 48) }), 11);
    assert_eq!(charged(async { assert_eq!(Thing(10).skipped(), 45) }), 0);
    assert_eq!(charged(async { assert_eq!(counted::recursive(9), 9) }), 10);
}

#[test]
fn loops_that_await_mean_the_same_as_before() {
    let list = vec![
        (1, "ab"),
        (10, "c-d"),
        (100, "e"),
        (1000, "."),
        (10_000, "f"),
    ];
    assert_eq!(run(counted::awaiting(list)), (103, "abce".to_owned()));
}

/// Compiles, so its future is `Send`: what the condition binds is not held at the tick.
#[reductions]
async fn awaits_in_its_condition(turns: u32) -> u32 {
    let mut sum = 0;
    while let Some(item) = {
        yield_now().await;
        (sum < turns).then(|| Rc::new(Cell::new(2)))
    } {
        sum += item.get();
    }
    sum
}

#[test]
fn an_awaited_tick_holds_nothing_of_a_turn() {
    assert_eq!(run(awaits_in_its_condition(9)), 10);
}

#[test]
fn a_loop_that_is_dropped_at_its_tick_has_taken_no_item() {
    #[reductions]
    async fn take(items: &mut std::slice::Iter<'_, u32>, taken: &Cell<u32>) {
        for item in items {
            taken.set(taken.get() + item);
            ready(()).await;
        }
    }
    let (is_ready, taken, sum) = run(async {
        let list = vec![1; 3 * REDUCTIONS_PER_SLICE as usize];
        let (mut items, taken) = (list.iter(), Cell::new(0));
        let mut polling = Context::from_waker(Waker::noop());
        let is_ready = pin!(take(&mut items, &taken)).poll(&mut polling).is_ready();
        (is_ready, list.len() - items.len(), taken.get())
    });
    assert!(!is_ready);
    assert_eq!(taken, sum as usize);
}

/// As in a program that has the crate by another name.
mod renamed {
    pub use otp_scheduler::{checkpoint, proceed, tick};
}

#[otp_scheduler::reductions(crate = crate::renamed)]
async fn by_another_name() {
    ready(()).await;
    for _ in 0..2 {}
}

#[test]
fn the_crate_may_have_another_name() {
    assert_eq!(charged(by_another_name()), 3);
}
