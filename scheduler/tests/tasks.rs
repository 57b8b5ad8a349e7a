//! Plain tasks: wakes, fairness, stealing, panics.

mod common;

use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::task::{Poll, Waker};
use std::thread;

use common::{next, scheduler};
use otp_scheduler::{
    JoinError, REDUCTIONS_PER_SLICE, Scheduler, block_on, current_scheduler, on_scheduler_thread,
    poll_proceed, slice_is_over, tick, yield_now,
};

#[test]
fn a_result_comes_to_wait_and_to_await() {
    let scheduler = scheduler(2);
    assert_eq!(scheduler.spawn(async { 7 }).wait(), Ok(7));
    let inner = scheduler.clone();
    let outer = scheduler.spawn(async move { inner.spawn(async { 8 }).await });
    assert_eq!(outer.wait(), Ok(Ok(8)));
}

#[test]
fn a_task_whose_result_was_taken_is_finished() {
    let scheduler = scheduler(1);
    let mut task = scheduler.spawn(async { 7 });
    assert_eq!(block_on(&mut task), Ok(Ok(7)));
    assert!(task.is_finished());
    assert!(format!("{task:?}").contains("is_finished: true"));
    let waited = catch_unwind(AssertUnwindSafe(|| task.wait()));
    assert!(waited.is_err(), "there is no second result");
}

#[test]
fn wait_on_a_scheduler_thread_is_refused() {
    let scheduler = scheduler(1);
    let inner = scheduler.clone();
    let result = scheduler.spawn(async move { inner.spawn(async {}).wait() });
    assert_eq!(result.wait(), Ok(Err(JoinError::WouldBlock)));
}

#[test]
fn a_panic_ends_its_task_only() {
    let scheduler = scheduler(1);
    let five = 5;
    let failed = scheduler.spawn(async move { assert!(five == 6, "broken {five}") });
    assert_eq!(
        failed.wait(),
        Err(JoinError::Panicked("broken 5".to_owned()))
    );
    assert_eq!(scheduler.spawn(async { 1 }).wait(), Ok(1));
}

/// Threads write a number and wake; the task reads the numbers whenever it runs. A lost wake leaves it asleep with
/// the last number unread.
#[test]
fn a_wake_is_never_lost() {
    const THREADS: usize = 3;
    const ROUNDS: u64 = 20_000;
    let scheduler = scheduler(2);
    let written: Arc<[AtomicU64; THREADS]> = Arc::new([const { AtomicU64::new(0) }; THREADS]);
    let (waker_out, waker_in) = mpsc::channel::<Waker>();
    let (seen_out, seen_in) = mpsc::channel();
    let task = scheduler.spawn({
        let written = Arc::clone(&written);
        let mut announced = false;
        let mut seen = [0; THREADS];
        poll_fn(move |cx| {
            if !announced {
                announced = true;
                waker_out.send(cx.waker().clone()).unwrap();
            }
            for (number, seen) in written.iter().zip(&mut seen) {
                *seen = number.load(Ordering::Relaxed);
            }
            seen_out.send(seen).unwrap();
            if seen == [ROUNDS; THREADS] {
                return Poll::Ready(());
            }
            Poll::Pending
        })
    });
    let waker = next(&waker_in);
    let start = Arc::new(Barrier::new(THREADS));
    let writers: Vec<_> = (0..THREADS)
        .map(|which| {
            let (written, waker, start) = (Arc::clone(&written), waker.clone(), Arc::clone(&start));
            thread::spawn(move || {
                start.wait();
                for round in 1..=ROUNDS {
                    written[which].store(round, Ordering::Relaxed);
                    waker.wake_by_ref();
                    if round % 64 == 0 {
                        thread::yield_now();
                    }
                }
            })
        })
        .collect();
    for writer in writers {
        writer.join().unwrap();
    }
    while next(&seen_in) != [ROUNDS; THREADS] {}
    assert_eq!(task.wait(), Ok(()));
}

/// One message in flight: each side sleeps until the other wakes it, so one lost wake stops the game.
#[test]
fn a_ball_between_a_thread_and_a_task_never_rests() {
    const ROUNDS: u64 = 2_000;
    let scheduler = scheduler(2);
    let ball = Arc::new(AtomicU64::new(0));
    let (waker_out, waker_in) = mpsc::channel::<Waker>();
    let (back_out, back_in) = mpsc::channel();
    let task = scheduler.spawn({
        let ball = Arc::clone(&ball);
        let mut last = u64::MAX;
        poll_fn(move |cx| {
            if last == u64::MAX {
                waker_out.send(cx.waker().clone()).unwrap();
                last = 0;
            }
            let now = ball.load(Ordering::Acquire);
            if now != last {
                last = now;
                back_out.send(now).unwrap();
            }
            if now == ROUNDS {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
    });
    let waker = next(&waker_in);
    for round in 1..=ROUNDS {
        ball.store(round, Ordering::Release);
        waker.wake_by_ref();
        assert_eq!(next(&back_in), round);
    }
    assert_eq!(task.wait(), Ok(()));
}

#[test]
fn a_wake_after_the_end_does_nothing() {
    let scheduler = scheduler(1);
    let (waker_out, waker_in) = mpsc::channel::<Waker>();
    let task = scheduler.spawn(poll_fn(move |cx| {
        waker_out.send(cx.waker().clone()).unwrap();
        Poll::Ready(())
    }));
    let waker = next(&waker_in);
    assert_eq!(task.wait(), Ok(()));
    waker.wake_by_ref();
    waker.wake();
    assert_eq!(scheduler.spawn(async { 3 }).wait(), Ok(3));
    assert_eq!(scheduler.figures().injector_length, 0);
}

#[test]
fn tasks_that_yield_take_turns() {
    const TURNS: usize = 50;
    let scheduler = scheduler(1);
    let order = Arc::new(Mutex::new(Vec::new()));
    let inner = scheduler.clone();
    let outer = scheduler.spawn({
        let order = Arc::clone(&order);
        async move {
            let tasks = [0, 1, 2].map(|name| {
                let order = Arc::clone(&order);
                inner.spawn(async move {
                    for _ in 0..TURNS {
                        order.lock().unwrap().push(name);
                        yield_now().await;
                    }
                })
            });
            for task in tasks {
                task.await.unwrap();
            }
        }
    });
    outer.wait().unwrap();
    let order = order.lock().unwrap();
    for turn in order.chunks(3) {
        let mut names = turn.to_vec();
        names.sort_unstable();
        assert_eq!(names, [0, 1, 2], "in {order:?}");
    }
}

/// Two tasks that wake each other for ever share one slice; the third gets its turn all the same.
#[test]
fn the_run_next_slot_is_bounded() {
    let scheduler = scheduler(1);
    let stop = Arc::new(AtomicBool::new(false));
    let wakers: Arc<Mutex<[Option<Waker>; 2]>> = Arc::default();
    let players: Vec<_> = (0..2)
        .map(|which| {
            let (stop, wakers) = (Arc::clone(&stop), Arc::clone(&wakers));
            scheduler.spawn(poll_fn(move |cx| {
                let mut wakers = wakers.lock().unwrap();
                wakers[which] = Some(cx.waker().clone());
                if let Some(other) = &wakers[1 - which] {
                    other.wake_by_ref();
                }
                if stop.load(Ordering::Relaxed) {
                    return Poll::Ready(());
                }
                Poll::Pending
            }))
        })
        .collect();
    assert_eq!(scheduler.spawn(async { 1 }).wait(), Ok(1));
    stop.store(true, Ordering::Relaxed);
    for player in players {
        player.wait().unwrap();
    }
}

#[test]
fn a_slice_has_its_reductions() {
    assert!(!on_scheduler_thread());
    assert!(!tick(u32::MAX) && !slice_is_over());
    assert_eq!(current_scheduler(), None);
    let scheduler = scheduler(1);
    let ticked = scheduler.spawn(async {
        assert!(on_scheduler_thread());
        assert_eq!(current_scheduler(), Some(0));
        let mut ticks = 0;
        while !tick(1) {
            ticks += 1;
        }
        assert!(slice_is_over());
        poll_fn(poll_proceed).await;
        assert!(!slice_is_over(), "a new slice came");
        ticks
    });
    let ticks = ticked.wait().unwrap();
    assert!((REDUCTIONS_PER_SLICE - 100..REDUCTIONS_PER_SLICE).contains(&ticks));
    assert!(scheduler.figures().schedulers[0].reductions >= u64::from(REDUCTIONS_PER_SLICE));
}

/// Two tasks meet at a barrier on which each blocks its thread: only if the second is stolen do they pass.
#[test]
fn an_idle_worker_steals() {
    // No scheduler is taken away from a thread at the barrier: it would run both.
    let built = Scheduler::builder().schedulers(2).max_bound(0).build();
    let scheduler = built.unwrap();
    let inner = scheduler.clone();
    let barrier = Arc::new(Barrier::new(2));
    let (out, passed) = mpsc::channel();
    let task = scheduler.spawn(async move {
        for _ in 0..2 {
            let (barrier, out) = (Arc::clone(&barrier), out.clone());
            inner.spawn(async move {
                barrier.wait();
                out.send(current_scheduler()).unwrap();
            });
        }
    });
    task.wait().unwrap();
    assert_ne!(next(&passed), next(&passed));
    let steals: u64 = scheduler
        .figures()
        .schedulers
        .iter()
        .map(|w| w.steals)
        .sum();
    assert!(steals >= 1);
}

#[test]
fn many_tasks_all_end() {
    const TASKS: usize = 20_000;
    let scheduler = scheduler(2);
    let ended = Arc::new(AtomicUsize::new(0));
    let inner = scheduler.clone();
    let task = scheduler.spawn({
        let ended = Arc::clone(&ended);
        async move {
            let tasks: Vec<_> = (0..TASKS)
                .map(|_| {
                    let ended = Arc::clone(&ended);
                    inner.spawn(async move {
                        yield_now().await;
                        ended.fetch_add(1, Ordering::Relaxed);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
        }
    });
    task.wait().unwrap();
    assert_eq!(ended.load(Ordering::Relaxed), TASKS);
}

/// Two busy workers never run dry, so neither steals: one of them made eight more tasks, and the other still gets
/// its part of them.
#[test]
fn busy_workers_even_out_their_queues() {
    const MORE: usize = 8;
    let scheduler = scheduler(2);
    let seen_on: Arc<[[AtomicBool; 2]; 2]> = Arc::default();
    let apart = Arc::new(AtomicBool::new(false));
    let over = Arc::new(AtomicBool::new(false));
    let (tell, told) = mpsc::channel();
    // A task that never waits, and says on which worker it runs.
    let spinners: Vec<_> = (0..2)
        .map(|number| {
            let (seen_on, apart, over) =
                (Arc::clone(&seen_on), Arc::clone(&apart), Arc::clone(&over));
            let (inner, tell) = (scheduler.clone(), tell.clone());
            scheduler.spawn(async move {
                let mut made = false;
                while !over.load(Ordering::Relaxed) {
                    let here = current_scheduler().expect("on a worker");
                    seen_on[number][here].store(true, Ordering::Relaxed);
                    if number == 0 && !made && apart.load(Ordering::Relaxed) {
                        made = true;
                        for task in 0..MORE {
                            let (over, tell) = (Arc::clone(&over), tell.clone());
                            drop(inner.spawn(async move {
                                while !over.load(Ordering::Relaxed) {
                                    let there = current_scheduler().expect("on a worker");
                                    let _ = tell.send((task, there));
                                    tick(REDUCTIONS_PER_SLICE);
                                    yield_now().await;
                                }
                            }));
                        }
                    }
                    tick(REDUCTIONS_PER_SLICE);
                    yield_now().await;
                }
            })
        })
        .collect();
    let on_both = |seen: &[[AtomicBool; 2]; 2]| {
        (0..2).all(|worker| (0..2).any(|number| seen[number][worker].load(Ordering::Relaxed)))
    };
    let deadline = std::time::Instant::now() + common::LIMIT;
    while !on_both(&seen_on) {
        assert!(
            std::time::Instant::now() < deadline,
            "one worker never ran anything"
        );
        thread::yield_now();
    }
    apart.store(true, Ordering::Relaxed);
    let mut seen = [[false; MORE]; 2];
    while !seen
        .iter()
        .all(|tasks| tasks.iter().filter(|seen| **seen).count() >= 3)
    {
        assert!(
            std::time::Instant::now() < deadline,
            "the queues stay uneven"
        );
        let (task, worker) = next(&told);
        seen[worker][task] = true;
    }
    over.store(true, Ordering::Relaxed);
    for spinner in spinners {
        spinner.wait().unwrap();
    }
}
