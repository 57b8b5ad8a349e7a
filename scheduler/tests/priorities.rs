//! Priorities, and who goes first among the normal.

mod common;

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::task::{Poll, Waker};
use std::time::Instant;

use common::{LIMIT, next};
use otp_scheduler::lock::Mutex;
use otp_scheduler::{
    JoinHandle, Priority, REDUCTIONS_PER_SLICE, Scheduler, poll_proceed, tick, yield_now,
};

/// Schedulers that are taken from no task, however late a loaded machine lets it run: so the order is the queues'
/// alone.
fn scheduler(schedulers: usize) -> Scheduler {
    let builder = Scheduler::builder().schedulers(schedulers);
    builder.max_bound(0).build().expect("worker threads start")
}

/// Holds the only scheduler until the sender is dropped, so that what is started meanwhile waits in the queues.
fn hold(scheduler: &Scheduler) -> (std::sync::mpsc::Sender<()>, JoinHandle<()>) {
    let (release, released) = channel::<()>();
    let (began, begin) = channel();
    let holder = scheduler.spawn(async move {
        began.send(()).unwrap();
        let _ = released.recv();
    });
    next(&begin);
    (release, holder)
}

/// Uses its slice up again and again, and counts the slices.
async fn hog(slices: Arc<AtomicU64>, stop: Arc<AtomicBool>) {
    while !stop.load(Ordering::Relaxed) {
        slices.fetch_add(1, Ordering::Relaxed);
        tick(REDUCTIONS_PER_SLICE);
        poll_fn(poll_proceed_once()).await;
    }
}

/// Gives way once.
fn poll_proceed_once() -> impl FnMut(&mut std::task::Context<'_>) -> Poll<()> {
    let mut gave = false;
    move |cx| {
        if gave {
            return Poll::Ready(());
        }
        gave = true;
        poll_proceed(cx)
    }
}

struct Hogs {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Hogs {
    fn new() -> Hogs {
        Hogs {
            stop: Arc::default(),
            tasks: Vec::new(),
        }
    }

    /// Starts so many, and answers their counters.
    fn start(
        &mut self,
        scheduler: &Scheduler,
        priority: Priority,
        n: usize,
    ) -> Vec<Arc<AtomicU64>> {
        (0..n)
            .map(|_| {
                let slices = Arc::new(AtomicU64::new(0));
                let hog = hog(Arc::clone(&slices), Arc::clone(&self.stop));
                self.tasks.push(scheduler.spawn_at(priority, hog));
                slices
            })
            .collect()
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.wait().unwrap();
        }
    }
}

fn total(counters: &[Arc<AtomicU64>]) -> u64 {
    counters
        .iter()
        .map(|slices| slices.load(Ordering::Relaxed))
        .sum()
}

/// Waits, without a scheduler thread, until the counters have come to so much.
fn until(counters: &[Arc<AtomicU64>], sum: u64) {
    while total(counters) < sum {
        std::thread::yield_now();
    }
}

#[test]
fn the_urgent_go_first_whatever_the_order_they_were_started_in() {
    let scheduler = scheduler(1);
    let (release, holder) = hold(&scheduler);
    let (told, order) = channel();
    let all = [
        Priority::Low,
        Priority::Normal,
        Priority::High,
        Priority::Max,
    ];
    for priority in all {
        for _ in 0..3 {
            let told = told.clone();
            scheduler.spawn_at(priority, async move { told.send(priority).unwrap() });
        }
    }
    drop(release);
    holder.wait().unwrap();
    let order: Vec<Priority> = (0..12).map(|_| next(&order)).collect();
    let mut sorted = order.clone();
    sorted.sort_by(|one, other| other.cmp(one));
    assert_eq!(order, sorted);
}

#[test]
fn a_high_task_that_never_waits_keeps_normal_ones_from_its_scheduler_until_it_ends() {
    let scheduler = scheduler(1);
    let (release, holder) = hold(&scheduler);
    let (mut high, mut others) = (Hogs::new(), Hogs::new());
    let urgent = high.start(&scheduler, Priority::High, 1);
    let mut waiting = others.start(&scheduler, Priority::Normal, 3);
    waiting.extend(others.start(&scheduler, Priority::Low, 3));
    drop(release);
    holder.wait().unwrap();
    until(&urgent, 20_000);
    assert_eq!(total(&waiting), 0);
    high.end();
    until(&waiting, 100);
    others.end();
}

/// Wiger's complaint: with many normal processes, those of low priority got all of the time, or none.
fn low_gets_an_eighth_of_what_a_normal_one_gets(normal: usize, low: usize) {
    let scheduler = scheduler(1);
    let (release, holder) = hold(&scheduler);
    let mut hogs = Hogs::new();
    let judge_slices = ROUNDS / normal as u64;
    let mut normal = hogs.start(&scheduler, Priority::Normal, normal - 1);
    let low = hogs.start(&scheduler, Priority::Low, low);
    // One of the normal ones counts, in its own turn: nobody else runs meanwhile.
    let own = Arc::new(AtomicU64::new(0));
    normal.push(Arc::clone(&own));
    let judge = scheduler.spawn(async move {
        let each = |counters: &[Arc<AtomicU64>]| total(counters) as f64 / counters.len() as f64;
        while own.fetch_add(1, Ordering::Relaxed) < judge_slices {
            tick(REDUCTIONS_PER_SLICE);
            poll_fn(poll_proceed_once()).await;
        }
        each(&normal) / each(&low)
    });
    drop(release);
    holder.wait().unwrap();
    let ratio = judge.wait().unwrap();
    hogs.end();
    assert!((7.5..=8.5).contains(&ratio), "{ratio} turns for one");
}

/// Turns of all normal tasks together.
const ROUNDS: u64 = 200_000;

#[test]
fn wiger_one_low_beside_one_normal() {
    low_gets_an_eighth_of_what_a_normal_one_gets(1, 1);
}

#[test]
fn wiger_few_low_beside_hundreds_of_normal() {
    low_gets_an_eighth_of_what_a_normal_one_gets(300, 3);
}

#[test]
fn wiger_many_low_beside_few_normal() {
    low_gets_an_eighth_of_what_a_normal_one_gets(2, 50);
}

#[test]
fn low_tasks_run_at_once_where_nothing_else_does() {
    let scheduler = scheduler(1);
    let mut hogs = Hogs::new();
    let low = hogs.start(&scheduler, Priority::Low, 3);
    until(&low, 1000);
    hogs.end();
}

#[test]
fn hundreds_of_normal_tasks_keep_no_scheduler_from_the_low_on_another() {
    let scheduler = scheduler(2);
    let mut hogs = Hogs::new();
    let normal = hogs.start(&scheduler, Priority::Normal, 200);
    let low = hogs.start(&scheduler, Priority::Low, 4);
    // Until the normal ones have spread, the low ones may have a scheduler to themselves.
    until(&normal, 200_000);
    let (normal_before, low_before) = (total(&normal), total(&low));
    until(&normal, normal_before + 1_000_000);
    let normal = (total(&normal) - normal_before) / 200;
    let each = (total(&low) - low_before) / 4;
    hogs.end();
    assert!(each > 0 && each < normal, "{each} beside {normal}");
}

/// Tasks from outside that never end keep no low one from its queue, where its turns count.
#[test]
fn a_low_task_from_outside_waits_for_no_flood_of_normal_ones_from_there() {
    const FLOOD: u64 = 10_000;
    let scheduler = scheduler(1);
    let (release, holder) = hold(&scheduler);
    let ran = Arc::new(AtomicU64::new(0));
    let flood: Vec<_> = (0..FLOOD)
        .map(|_| {
            let ran = Arc::clone(&ran);
            scheduler.spawn(async move {
                ran.fetch_add(1, Ordering::Relaxed);
            })
        })
        .collect();
    let low = {
        let ran = Arc::clone(&ran);
        scheduler.spawn_at(Priority::Low, async move { ran.load(Ordering::Relaxed) })
    };
    drop(release);
    let before = low.wait().unwrap();
    assert!(before < FLOOD / 2, "after {before} of {FLOOD}");
    flood.into_iter().for_each(|task| task.wait().unwrap());
    holder.wait().unwrap();
}

#[test]
fn a_normal_task_from_outside_goes_before_low_ones_in_the_queue() {
    const LOW: usize = 100;
    let scheduler = scheduler(1);
    let (told, order) = channel();
    let inner = scheduler.clone();
    let (release, released) = channel::<()>();
    let (began, begin) = channel();
    let low_told = told.clone();
    // In the queue of the scheduler that they are woken on.
    let holder = scheduler.spawn(async move {
        for _ in 0..LOW {
            let told = low_told.clone();
            inner.spawn_at(Priority::Low, async move { told.send("low").unwrap() });
        }
        began.send(()).unwrap();
        let _ = released.recv();
    });
    next(&begin);
    scheduler.spawn(async move { told.send("normal").unwrap() });
    drop(release);
    holder.wait().unwrap();
    let order: Vec<_> = (0..=LOW).map(|_| next(&order)).collect();
    let before = order.iter().position(|&who| who == "normal");
    // What the low ones had coming for the slice that made them.
    assert!(before.is_some_and(|low| low <= LOW / 8), "{before:?}");
}

/// Schedulers stop to look for urgent tasks when there are none, and one that moves from queue to queue is in none for
/// a moment.
#[test]
fn urgent_tasks_that_come_now_and_then_and_move_about_are_all_found() {
    const ROUNDS: usize = 300;
    let scheduler = scheduler(3);
    let mut hogs = Hogs::new();
    let slices = hogs.start(&scheduler, Priority::Normal, 6);
    for round in 0..ROUNDS {
        // Long enough to be forgotten, by turns.
        if round % 3 == 0 {
            until(&slices, total(&slices) + 1000);
        }
        let inner = scheduler.clone();
        let urgent = scheduler.spawn_at(Priority::High, async move {
            let started: Vec<_> = (0..20)
                .map(|n| {
                    inner.spawn_at([Priority::High, Priority::Max][n % 2], async move {
                        yield_now().await;
                        n
                    })
                })
                .collect();
            let mut sum = 0;
            for one in started {
                sum += one.await.unwrap();
            }
            sum
        });
        assert_eq!(urgent.wait(), Ok(190), "in round {round}");
    }
    hogs.end();
}

/// In the run-next slot nobody else could take it.
#[test]
fn what_was_to_run_next_is_open_to_others_while_an_urgent_task_goes_first() {
    let scheduler = scheduler(2);
    // The other scheduler, until the urgent task runs.
    let (release, holder) = hold(&scheduler);
    let inner = scheduler.clone();
    let ran = Arc::new(AtomicBool::new(false));
    let (began, begin) = channel();
    let (made, urgent) = channel();
    scheduler.spawn(async move {
        let runs = Arc::clone(&ran);
        let urgent = inner.spawn_at(Priority::High, async move {
            began.send(()).unwrap();
            let begun = Instant::now();
            while !ran.load(Ordering::Relaxed) && begun.elapsed() < LIMIT {
                std::hint::spin_loop();
            }
            ran.load(Ordering::Relaxed)
        });
        inner.spawn(async move { runs.store(true, Ordering::Relaxed) });
        made.send(urgent).unwrap();
    });
    next(&begin);
    drop(release);
    assert!(next(&urgent).wait().unwrap(), "nobody could take it");
    holder.wait().unwrap();
}

/// A task that waits for wakes, counts them, and tells of the first so many.
struct Waiter {
    waker: Mutex<Option<Waker>>,
    wakes: AtomicU64,
}

impl Waiter {
    fn start(scheduler: &Scheduler, priority: Priority) -> (Arc<Waiter>, Receiver<()>) {
        let waiter = Arc::new(Waiter {
            waker: Mutex::new(None),
            wakes: AtomicU64::new(0),
        });
        let (told, runs) = channel();
        let own = Arc::clone(&waiter);
        scheduler.spawn_at(
            priority,
            poll_fn(move |cx| {
                *own.waker.lock() = Some(cx.waker().clone());
                own.wakes.fetch_add(1, Ordering::Relaxed);
                if told.send(()).is_err() {
                    return Poll::Ready(());
                }
                Poll::Pending
            }),
        );
        (waiter, runs)
    }

    fn wake(&self) {
        let waker = self.waker.lock().clone();
        waker.expect("it has run once").wake();
    }
}

/// One that comes from waiting goes before a hundred that use their slices up.
#[test]
fn who_was_woken_waits_for_no_round_of_the_others() {
    let scheduler = scheduler(1);
    let (waiter, runs) = Waiter::start(&scheduler, Priority::Normal);
    next(&runs);
    let mut hogs = Hogs::new();
    let slices = hogs.start(&scheduler, Priority::Normal, 100);
    until(&slices, 1000);
    let mut most = 0;
    // On the scheduler, so that no thread of the test's adds its own lateness.
    let counters = slices.clone();
    let waits = scheduler.spawn(async move {
        for _ in 0..20 {
            let before = total(&counters);
            waiter.wake();
            let woken = waiter.wakes.load(Ordering::Relaxed);
            while waiter.wakes.load(Ordering::Relaxed) == woken {
                yield_now().await;
            }
            most = most.max(total(&counters) - before);
        }
        most
    });
    // This task is one of those that yield: a round goes by before it looks again.
    let most = waits.wait().unwrap();
    hogs.end();
    assert!(most <= 205, "{most} slices of the others within a round");
}

/// Tasks that come from waiting all the time leave those that use their slices up their part.
#[test]
fn a_flood_of_wakes_leaves_half_of_the_time_to_those_that_yield() {
    let scheduler = scheduler(1);
    let stop = Arc::new(AtomicBool::new(false));
    let (release, holder) = hold(&scheduler);
    let mut hogs = Hogs::new();
    let slices = hogs.start(&scheduler, Priority::Normal, 4);
    // Pairs that wake each other across the queue, each turn a quarter of a slice.
    let turns = Arc::new(AtomicU64::new(0));
    let cells: Vec<_> = (0..4)
        .map(|_| Arc::new(Mutex::new(None::<Waker>)))
        .collect();
    let mut tasks = Vec::new();
    for index in 0..4 {
        let (own, other) = (
            Arc::clone(&cells[index]),
            Arc::clone(&cells[(index + 1) % 4]),
        );
        let (stop, turns) = (Arc::clone(&stop), Arc::clone(&turns));
        tasks.push(scheduler.spawn(poll_fn(move |cx| {
            *own.lock() = Some(cx.waker().clone());
            tick(REDUCTIONS_PER_SLICE / 4);
            turns.fetch_add(1, Ordering::Relaxed);
            let next = other.lock().take();
            if let Some(waker) = next {
                waker.wake();
            }
            if stop.load(Ordering::Relaxed) {
                return Poll::Ready(());
            }
            Poll::Pending
        })));
    }
    drop(release);
    holder.wait().unwrap();
    until(&slices, 5000);
    let (slices, turns) = (total(&slices), turns.load(Ordering::Relaxed));
    stop.store(true, Ordering::Relaxed);
    hogs.end();
    for cell in &cells {
        if let Some(waker) = cell.lock().take() {
            waker.wake();
        }
    }
    for task in tasks {
        task.wait().unwrap();
    }
    // Four of its turns make a slice.
    assert!(
        turns / 4 <= slices + slices / 4,
        "{turns} turns beside {slices} slices"
    );
}

#[test]
fn wiger_one_low_beside_few_normal() {
    low_gets_an_eighth_of_what_a_normal_one_gets(3, 1);
}
