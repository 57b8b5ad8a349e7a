//! What the scheduler's operations cost, each beside tokio's in the same run: so their ratio counts for something on a
//! machine that does other work as well.
//!
//! Both do the same work with as many threads. At the end, how late timers are.

use std::future::{Future, poll_fn};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use criterion::Criterion;
use otp_scheduler::Scheduler;
use parking_lot::Mutex;
use tokio::runtime::Runtime;

const MS: u64 = 1_000_000;

fn ours(threads: usize) -> Scheduler {
    Scheduler::builder()
        .schedulers(threads)
        .name("bench")
        .build()
        .expect("worker threads start")
}

fn tokios(threads: usize) -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(threads)
        .enable_time()
        .build()
        .expect("worker threads start")
}

/// Runs a task that measures itself.
fn timed<F>(scheduler: &Scheduler, work: F) -> Duration
where
    F: Future<Output = Duration> + Send + 'static,
{
    scheduler.spawn(work).wait().expect("the work ends")
}

fn timed_by_tokio<F>(runtime: &Runtime, work: F) -> Duration
where
    F: Future<Output = Duration> + Send + 'static,
{
    let task = runtime.spawn(work);
    runtime.block_on(task).expect("the work ends")
}

fn yields(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("yield and resume");
    let scheduler = ours(1);
    group.bench_function("otp", |bencher| {
        bencher.iter_custom(|rounds| {
            timed(&scheduler, async move {
                let start = Instant::now();
                for _ in 0..rounds {
                    otp_scheduler::yield_now().await;
                }
                start.elapsed()
            })
        });
    });
    let runtime = tokios(1);
    group.bench_function("tokio", |bencher| {
        bencher.iter_custom(|rounds| {
            timed_by_tokio(&runtime, async move {
                let start = Instant::now();
                for _ in 0..rounds {
                    tokio::task::yield_now().await;
                }
                start.elapsed()
            })
        });
    });
}

/// Two tasks that wake each other in turn.
#[derive(Default)]
struct Baton {
    turn: AtomicU64,
    wakers: [Mutex<Option<Waker>>; 2],
}

impl Baton {
    /// Waits for the turn of the player (0 or 1), gives it to the other, and so on until so many turns are over. The
    /// time from the first turn to the last.
    async fn play(self: Arc<Baton>, player: u64, rounds: u64) -> Duration {
        let mut begun = None;
        poll_fn(|cx| self.turn(player, rounds, &mut begun, cx)).await
    }

    fn turn(
        &self,
        player: u64,
        rounds: u64,
        begun: &mut Option<Instant>,
        cx: &mut Context<'_>,
    ) -> Poll<Duration> {
        let mut own = self.wakers[player as usize].lock();
        if own.is_none() {
            *own = Some(cx.waker().clone());
        }
        drop(own);
        let other = &self.wakers[1 - player as usize];
        let turn = self.turn.load(Ordering::Acquire);
        if turn >= rounds {
            if let Some(other) = &*other.lock() {
                other.wake_by_ref();
            }
            return Poll::Ready(begun.map_or(Duration::ZERO, |begun| begun.elapsed()));
        }
        match &*other.lock() {
            Some(other) if turn % 2 == player => {
                begun.get_or_insert_with(Instant::now);
                self.turn.store(turn + 1, Ordering::Release);
                other.wake_by_ref();
            }
            Some(_) => {}
            // The other has not come yet.
            None => cx.waker().wake_by_ref(),
        }
        Poll::Pending
    }
}

/// One wake with the resumption that it causes.
fn wakes(criterion: &mut Criterion) {
    for (name, sets) in [
        // The woken task's thread is the waker's.
        ("wake, same scheduler", 1),
        // A set of one scheduler each, so that the tasks stay apart: each wake finds the other's thread asleep.
        ("wake, another scheduler that sleeps", 2),
    ] {
        let mut group = criterion.benchmark_group(name);
        let schedulers: Vec<Scheduler> = (0..sets).map(|_| ours(1)).collect();
        group.bench_function("otp", |bencher| {
            bencher.iter_custom(|rounds| {
                let baton = Arc::new(Baton::default());
                let second = schedulers[sets - 1].spawn(Arc::clone(&baton).play(1, rounds));
                let first = schedulers[0].spawn(baton.play(0, rounds));
                second.wait().expect("it ends");
                first.wait().expect("it ends")
            });
        });
        let runtimes: Vec<Runtime> = (0..sets).map(|_| tokios(1)).collect();
        group.bench_function("tokio", |bencher| {
            bencher.iter_custom(|rounds| {
                let baton = Arc::new(Baton::default());
                let second = runtimes[sets - 1].spawn(Arc::clone(&baton).play(1, rounds));
                let first = runtimes[0].spawn(baton.play(0, rounds));
                runtimes[0].block_on(second).expect("it ends");
                runtimes[0].block_on(first).expect("it ends")
            });
        });
    }
}

/// Empty tasks are started so many at a time, as from a server's loop; tokio's own queue holds 256.
const TASKS_AT_ONCE: u64 = 100;

static ENDED: AtomicU64 = AtomicU64::new(0);

/// From inside a task; all have ended when the clock stops, but nobody asks for their results.
fn spawns(criterion: &mut Criterion) {
    for threads in [1, 2] {
        let mut group =
            criterion.benchmark_group(format!("spawn and finish, {threads} schedulers"));
        let scheduler = ours(threads);
        group.bench_function("otp", |bencher| {
            bencher.iter_custom(|rounds| {
                let inner = scheduler.clone();
                timed(&scheduler, async move {
                    let start = Instant::now();
                    let mut left = rounds;
                    while left > 0 {
                        let now = left.min(TASKS_AT_ONCE);
                        left -= now;
                        ENDED.store(0, Ordering::Relaxed);
                        for _ in 0..now {
                            drop(inner.spawn(async { ENDED.fetch_add(1, Ordering::Relaxed) }));
                        }
                        while ENDED.load(Ordering::Relaxed) < now {
                            otp_scheduler::yield_now().await;
                        }
                    }
                    start.elapsed()
                })
            });
        });
        let runtime = tokios(threads);
        group.bench_function("tokio", |bencher| {
            bencher.iter_custom(|rounds| {
                timed_by_tokio(&runtime, async move {
                    let start = Instant::now();
                    let mut left = rounds;
                    while left > 0 {
                        let now = left.min(TASKS_AT_ONCE);
                        left -= now;
                        ENDED.store(0, Ordering::Relaxed);
                        for _ in 0..now {
                            drop(tokio::spawn(async {
                                ENDED.fetch_add(1, Ordering::Relaxed)
                            }));
                        }
                        while ENDED.load(Ordering::Relaxed) < now {
                            tokio::task::yield_now().await;
                        }
                    }
                    start.elapsed()
                })
            });
        });
    }
}

/// Timers that are there at once while starts and cancels are measured.
const TIMERS: u64 = 100_000;

/// Their times, from ten seconds to an hour: none fires meanwhile.
fn delay(number: u64) -> Duration {
    Duration::from_millis(10_000 + number * 7_919 % 3_590_000)
}

/// A task that keeps its scheduler for milliseconds is no usual one.
async fn give_way_at_times(number: u64) {
    if number.is_multiple_of(1_000) {
        otp_scheduler::yield_now().await;
    }
}

/// Measures starts and cancels of many timers; asks for one of the two.
async fn start_and_cancel<T>(
    cancel_it: bool,
    mut start: impl FnMut(Duration) -> T,
    mut cancel: impl FnMut(T),
) -> Duration {
    let mut timers = Vec::with_capacity(TIMERS as usize);
    let began = Instant::now();
    for number in 0..TIMERS {
        timers.push(start(delay(number)));
        give_way_at_times(number).await;
    }
    let starting = began.elapsed();
    let began = Instant::now();
    for (timer, number) in timers.into_iter().zip(0..) {
        cancel(timer);
        give_way_at_times(number).await;
    }
    let cancelling = began.elapsed();
    if cancel_it { cancelling } else { starting }
}

fn timers(criterion: &mut Criterion) {
    let scheduler = ours(1);
    let runtime = tokios(1);
    for (name, cancel) in [("timer start", false), ("timer cancel", true)] {
        let each = move |rounds: u64, all: Duration| all.mul_f64(rounds as f64 / TIMERS as f64);
        let mut group = criterion.benchmark_group(name);
        // Each would wake a task. As a program does it, with a look at the clock; and for a deadline that is known.
        for (name, by_clock) in [("otp", true), ("otp, deadline known", false)] {
            group.bench_function(name, |bencher| {
                bencher.iter_custom(|rounds| {
                    let inner = scheduler.clone();
                    let all = timed(&scheduler, async move {
                        let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
                        let begun = inner.now();
                        start_and_cancel(
                            cancel,
                            |delay| {
                                let now = if by_clock { inner.now() } else { begun };
                                let waker = waker.clone();
                                let at = now + delay.as_nanos() as u64;
                                inner.start_timer(at, move |_| waker.wake())
                            },
                            |timer| {
                                black_box(inner.cancel_timer(timer));
                            },
                        )
                        .await
                    });
                    each(rounds, all)
                });
            });
        }
        group.bench_function("tokio", |bencher| {
            bencher.iter_custom(|rounds| {
                let all = timed_by_tokio(&runtime, async move {
                    let waker = poll_fn(|cx| Poll::Ready(cx.waker().clone())).await;
                    start_and_cancel(
                        cancel,
                        |delay| {
                            let mut sleep = Box::pin(tokio::time::sleep(delay));
                            let polled = sleep.as_mut().poll(&mut Context::from_waker(&waker));
                            assert!(polled.is_pending(), "it is far off");
                            sleep
                        },
                        |timer: Pin<Box<tokio::time::Sleep>>| drop(timer),
                    )
                    .await
                });
                each(rounds, all)
            });
        });
    }
}

/// How late timers are that are spread over a while, on otherwise idle schedulers.
fn lateness(timers: u64, over_ns: u64) {
    let delays = move || (0..timers).map(move |number| 20 * MS + number * over_ns / timers);

    let scheduler = ours(2);
    let (out, late) = mpsc::channel();
    let start = scheduler.now();
    for delay in delays() {
        let (out, clock, at) = (out.clone(), scheduler.clone(), start + delay);
        let fire = move |_| out.send(clock.now() - at).expect("it is awaited");
        scheduler.start_timer(at, fire);
    }
    drop(out);
    report("otp, a closure", late.iter().collect());

    let runtime = tokios(2);
    let (out, late) = mpsc::channel();
    let start = tokio::time::Instant::now();
    for delay in delays() {
        let (out, at) = (out.clone(), start + Duration::from_nanos(delay));
        runtime.spawn(async move {
            tokio::time::sleep_until(at).await;
            out.send(at.elapsed().as_nanos() as u64)
                .expect("it is awaited");
        });
    }
    drop(out);
    report("tokio, a task", late.iter().collect());
}

fn report(name: &str, mut late: Vec<u64>) {
    late.sort_unstable();
    let us = |part: f64| late[((late.len() - 1) as f64 * part) as usize] as f64 / 1e3;
    println!(
        "timer lateness/{name}: p50 {:.1} us, p99 {:.1} us, max {:.1} us ({} timers)",
        us(0.5),
        us(0.99),
        us(1.0),
        late.len()
    );
}

fn main() {
    let mut criterion = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .configure_from_args();
    yields(&mut criterion);
    wakes(&mut criterion);
    spawns(&mut criterion);
    timers(&mut criterion);
    criterion.final_summary();
    let tries_only = std::env::args().any(|argument| argument == "--test");
    lateness(1_000, if tries_only { 50 * MS } else { 1_000 * MS });
}
