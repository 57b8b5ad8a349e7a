//! The scheduler's own prices: a plain task, a yield, a wake, a timer.

use std::future::{poll_fn, ready};
use std::hint::black_box;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use otp_scheduler::{Scheduler, reductions, yield_now};

fn scheduler() -> Scheduler {
    Scheduler::builder()
        .schedulers(1)
        .name("bench")
        .build()
        .expect("worker threads start")
}

/// Runs `work(rounds)` as a task and gives the time that it measured.
fn timed<F>(scheduler: &Scheduler, work: F) -> Duration
where
    F: Future<Output = Duration> + Send + 'static,
{
    scheduler.spawn(work).wait().expect("the work ends")
}

fn tasks(criterion: &mut Criterion) {
    let scheduler = scheduler();
    criterion.bench_function("spawn and finish", |bencher| {
        bencher.iter_custom(|rounds| {
            let inner = scheduler.clone();
            timed(&scheduler, async move {
                let start = Instant::now();
                for _ in 0..rounds {
                    inner.spawn(async {}).await.expect("it ends");
                }
                start.elapsed()
            })
        });
    });
    criterion.bench_function("yield", |bencher| {
        bencher.iter_custom(|rounds| {
            timed(&scheduler, async move {
                let start = Instant::now();
                for _ in 0..rounds {
                    yield_now().await;
                }
                start.elapsed()
            })
        });
    });
}

/// Two tasks that wake each other in turn; the time of one wake with the resumption that it causes.
fn ping_pong(criterion: &mut Criterion) {
    let scheduler = scheduler();
    criterion.bench_function("wake ping-pong, one way", |bencher| {
        bencher.iter_custom(|rounds| {
            let wakers: Arc<[parking_lot::Mutex<Option<Waker>>; 2]> = Arc::default();
            let turn = Arc::new(AtomicU64::new(0));
            let players = [0u64, 1].map(|which| {
                let (wakers, turn) = (Arc::clone(&wakers), Arc::clone(&turn));
                let mut other: Option<Waker> = None;
                let mut start = None;
                scheduler.spawn(poll_fn(move |cx| {
                    if start.is_none() {
                        start = Some(Instant::now());
                        *wakers[which as usize].lock() = Some(cx.waker().clone());
                    }
                    if other.is_none() {
                        other = wakers[1 - which as usize].lock().clone();
                    }
                    let now = turn.load(Ordering::Relaxed);
                    if now >= rounds {
                        if let Some(other) = &other {
                            other.wake_by_ref();
                        }
                        return Poll::Ready(start.map_or(Duration::ZERO, |start| start.elapsed()));
                    }
                    if let Some(other) = &other
                        && now % 2 == which
                    {
                        turn.store(now + 1, Ordering::Relaxed);
                        other.wake_by_ref();
                    } else if other.is_none() {
                        cx.waker().wake_by_ref();
                    }
                    Poll::Pending
                }))
            });
            let [first, second] = players;
            second.wait().expect("it ends");
            first.wait().expect("it ends")
        });
    });
}

fn timers(criterion: &mut Criterion) {
    let scheduler = scheduler();
    criterion.bench_function("timer start and cancel", |bencher| {
        bencher.iter_custom(|rounds| {
            let inner = scheduler.clone();
            timed(&scheduler, async move {
                let at = inner.now() + 3_600_000_000_000;
                let start = Instant::now();
                for _ in 0..rounds {
                    let key = inner.start_timer(at, |_| {});
                    black_box(inner.cancel_timer(key));
                }
                start.elapsed()
            })
        });
    });
    const MANY: u64 = 1_000_000;
    for (name, cancel) in [("timer start, 1 M", false), ("timer cancel, 1 M", true)] {
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                let inner = scheduler.clone();
                let total = timed(&scheduler, async move {
                    let mut keys = Vec::with_capacity(MANY as usize);
                    let at = inner.now() + 5_000_000_000;
                    let start = Instant::now();
                    for number in 0..MANY {
                        let at = at + number * 7_919;
                        keys.push(inner.start_timer(at, |_| {}));
                    }
                    let started = start.elapsed();
                    let start = Instant::now();
                    for key in keys {
                        black_box(inner.cancel_timer(key));
                    }
                    if cancel { start.elapsed() } else { started }
                });
                total.mul_f64(rounds as f64 / MANY as f64)
            });
        });
    }
}

fn sum(rounds: u64) -> u64 {
    let mut sum = 0;
    for n in 0..rounds {
        sum = black_box(sum ^ n);
    }
    sum
}

#[reductions]
fn sum_counted(rounds: u64) -> u64 {
    let mut sum = 0;
    for n in 0..rounds {
        sum = black_box(sum ^ n);
    }
    sum
}

async fn sum_awaited(rounds: u64) -> u64 {
    let mut sum = 0;
    for n in 0..rounds {
        sum = ready(black_box(sum ^ n)).await;
    }
    sum
}

#[reductions]
async fn sum_awaited_counted(rounds: u64) -> u64 {
    let mut sum = 0;
    for n in 0..rounds {
        sum = ready(black_box(sum ^ n)).await;
    }
    sum
}

/// A turn of a loop that does next to nothing: what the attribute adds.
fn loops(criterion: &mut Criterion) {
    let scheduler = scheduler();
    let mut bench = |name: &str, work: fn(u64) -> Pin<Box<dyn Future<Output = u64> + Send>>| {
        criterion.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| {
                timed(&scheduler, async move {
                    let start = Instant::now();
                    black_box(work(rounds).await);
                    start.elapsed()
                })
            });
        });
    };
    bench("loop", |rounds| Box::pin(async move { sum(rounds) }));
    bench("loop with checkpoints", |rounds| {
        Box::pin(async move { sum_counted(rounds) })
    });
    bench("loop that awaits", |rounds| Box::pin(sum_awaited(rounds)));
    bench("loop that awaits, with awaited ticks", |rounds| {
        Box::pin(sum_awaited_counted(rounds))
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .sample_size(10)
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1));
    targets = tasks, ping_pong, timers, loops
}
criterion_main!(benches);
