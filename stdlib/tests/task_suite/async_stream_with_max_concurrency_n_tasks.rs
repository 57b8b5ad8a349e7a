//! `async_stream` with as many tasks at a time as there are elements, with fewer, and with more.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use otp_stdlib::task::{self, AsyncStream};
use otp_vm::Call;

use super::streams::*;
use super::*;

const CONCURRENCY: [usize; 3] = [4, 2, 8];

/// The first so many results.
async fn take<I>(cx: &mut Context, mut stream: AsyncStream<I, u64>, count: usize) -> Vec<Result>
where
    I: Iterator<Item = u64>,
{
    let mut results = Vec::new();
    while results.len() < count {
        results.push(stream.next(cx).await.expect("there are more"));
    }
    stream.close(cx).await;
    results
}

/// The results of elements for which the tasks sleep, with each number of tasks at a time. Nothing is left behind.
fn sleeping(
    source: impl Iterator<Item = u64> + Clone + Send + Sync + 'static,
    count: usize,
    expected: &'static [u64],
) {
    simulated(move |mut cx| {
        let source = source.clone();
        async move {
            cx.trap_exit(true);
            for concurrency in CONCURRENCY {
                let stream = Task::async_stream(source.clone(), sleep);
                let stream = stream.max_concurrency(concurrency);
                let results = take(&mut cx, stream, count).await;
                assert_eq!(results, ok(expected.iter().copied()));
                alone(&mut cx).await;
            }
        }
    });
}

/// The same for tasks that exit.
fn exiting(source: impl Iterator<Item = u64> + Clone + Send + Sync + 'static) {
    simulated(move |mut cx| {
        let source = source.clone();
        async move {
            cx.trap_exit(true);
            for concurrency in CONCURRENCY {
                let stream = Task::async_stream(source.clone(), exit);
                let stream = stream.max_concurrency(concurrency);
                let results = take(&mut cx, stream, 4).await;
                assert_eq!(results, exits(1..=4));
                alone(&mut cx).await;
            }
        }
    });
}

/// No process, no link and no message is left of a stream.
async fn alone(cx: &mut Context) {
    assert_eq!(cx.vm().processes(), [cx.pid()]);
    assert_eq!(cx.process_info(cx.pid()).unwrap().links, []);
    assert!(no_message(cx).await);
}

#[test]
fn streams_an_enumerable_with_fun() {
    sleeping(1..=4, 4, &[1, 2, 3, 4]);
}

#[test]
fn streams_an_enumerable_with_mfa() {
    simulated(|mut cx| async move {
        cx.vm().load_module(task_test::module()).unwrap();
        for concurrency in CONCURRENCY {
            let call = |n: u64| Call::new("task_test", "sleep", &(n,)).unwrap();
            let stream = Task::async_stream((1..=4).map(call), task::apply::<u64>);
            let stream = stream.max_concurrency(concurrency);
            let results = stream.collect(&mut cx).await;
            let values: Vec<u64> = results
                .into_iter()
                .map(std::result::Result::unwrap)
                .collect();
            assert_eq!(values, [1, 2, 3, 4]);
        }
    });
}

#[test]
fn streams_an_enumerable_without_leaking_tasks() {
    simulated(|mut cx| async move {
        for concurrency in CONCURRENCY {
            let stream = Task::async_stream(1..=4, sleep).max_concurrency(concurrency);
            assert_eq!(stream.collect(&mut cx).await, ok(1..=4));
            alone(&mut cx).await;
        }
    });
}

#[test]
fn streams_an_enumerable_with_slowest_first() {
    sleeping((1..=4).rev(), 4, &[4, 3, 2, 1]);
}

#[test]
fn streams_an_enumerable_with_exits() {
    exiting(1..=4);
}

#[test]
fn shuts_down_unused_tasks() {
    sleeping([0, INFINITY, INFINITY, INFINITY].into_iter(), 1, &[0]);
}

#[test]
fn shuts_down_unused_tasks_without_leaking_messages() {
    simulated(|mut cx| async move {
        for concurrency in CONCURRENCY {
            let elements = [0, INFINITY, INFINITY, INFINITY];
            let stream = Task::async_stream(elements, sleep).max_concurrency(concurrency);
            assert_eq!(take(&mut cx, stream, 1).await, ok([0]));
            alone(&mut cx).await;
        }
    });
}

/// Two streams of the same, consumed by turns.
async fn zipped<F, R>(
    cx: &mut Context,
    source: &[u64],
    concurrency: usize,
    body: F,
) -> [Vec<Result>; 2]
where
    F: Fn(Context, u64) -> R + Clone + Send + Sync + 'static,
    R: Future<Output = u64> + Send + 'static,
{
    let stream = || Task::async_stream(source.to_vec(), body.clone()).max_concurrency(concurrency);
    let (mut left, mut right) = (stream(), stream());
    let mut pairs = [Vec::new(), Vec::new()];
    while let Some(result) = left.next(cx).await {
        pairs[0].push(result);
        pairs[1].push(right.next(cx).await.expect("as many"));
    }
    assert_eq!(right.next(cx).await, None);
    pairs
}

#[test]
fn is_zippable_on_success() {
    simulated(|mut cx| async move {
        for concurrency in CONCURRENCY {
            let pairs = zipped(&mut cx, &[1, 2, 3, 4], concurrency, sleep).await;
            assert_eq!(pairs, [ok(1..=4), ok(1..=4)]);
        }
    });
}

#[test]
fn is_zippable_on_failure() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        for concurrency in CONCURRENCY {
            let pairs = zipped(&mut cx, &[1, 2, 3, 4], concurrency, exit).await;
            assert_eq!(pairs, [exits(1..=4), exits(1..=4)]);
        }
    });
}

#[test]
fn is_zippable_with_slowest_first() {
    simulated(|mut cx| async move {
        for concurrency in CONCURRENCY {
            let pairs = zipped(&mut cx, &[4, 3, 2, 1], concurrency, sleep).await;
            assert_eq!(pairs, [ok([4, 3, 2, 1]), ok([4, 3, 2, 1])]);
        }
    });
}

#[test]
fn with_inner_halt_on_success() {
    sleeping((1..=8).take(4), 4, &[1, 2, 3, 4]);
}

#[test]
fn with_inner_halt_on_failure() {
    exiting((1..=8).take(4));
}

#[test]
fn with_inner_halt_and_slowest_first() {
    sleeping((1..=8).rev().take(4), 4, &[8, 7, 6, 5]);
}

#[test]
fn with_outer_halt_on_success() {
    sleeping(1..=8, 4, &[1, 2, 3, 4]);
}

#[test]
fn with_outer_halt_on_failure() {
    exiting(1..=8);
}

#[test]
fn with_outer_halt_and_slowest_first() {
    sleeping((1..=8).rev(), 4, &[8, 7, 6, 5]);
}

/// An iterator that tells of its end.
struct Effect<I>(I, Arc<AtomicBool>);

impl<I: Iterator> Iterator for Effect<I> {
    type Item = I::Item;

    fn next(&mut self) -> Option<I::Item> {
        self.0.next()
    }
}

impl<I> Drop for Effect<I> {
    fn drop(&mut self) {
        self.1.store(true, Ordering::Relaxed);
    }
}

#[test]
fn terminates_inner_effect() {
    simulated(|mut cx| async move {
        for concurrency in CONCURRENCY {
            // What goes over the stream has its own end.
            let ended = Arc::new(AtomicBool::new(false));
            let stream = Task::async_stream(1..=4, sleep).max_concurrency(concurrency);
            let results = Effect(
                stream.collect(&mut cx).await.into_iter(),
                Arc::clone(&ended),
            );
            assert!(!ended.load(Ordering::Relaxed));
            assert_eq!(results.collect::<Vec<_>>(), ok(1..=4));
            assert!(ended.load(Ordering::Relaxed));
        }
    });
}

#[test]
fn terminates_outer_effect() {
    simulated(|mut cx| async move {
        for concurrency in CONCURRENCY {
            // What the stream goes over ends with its last element, or with the stream.
            for count in [4, 1] {
                let ended = Arc::new(AtomicBool::new(false));
                let source = Effect(1..=4, Arc::clone(&ended));
                let mut stream = Task::async_stream(source, sleep).max_concurrency(concurrency);
                for n in 1..=count {
                    assert_eq!(stream.next(&mut cx).await, Some(Ok(n)));
                }
                if count == 4 {
                    assert_eq!(stream.next(&mut cx).await, None);
                } else {
                    stream.close(&mut cx).await;
                }
                assert!(ended.load(Ordering::Relaxed));
            }
        }
    });
}

#[test]
fn with_on_timeout_set_to_kill_task() {
    simulated(|mut cx| async move {
        for concurrency in CONCURRENCY {
            let stream = Task::async_stream([100, 1, 100, 1], sleep)
                .max_concurrency(concurrency)
                .kill_task_on_timeout()
                .timeout(Duration::from_millis(50));
            let late = || failed(ExitReason::timeout(), None);
            let results = stream.collect(&mut cx).await;
            assert_eq!(results, [late(), Ok(1), late(), Ok(1)]);
            assert!(no_message(&mut cx).await);
        }
    });
}

#[test]
fn with_timeout_and_zip_input_on_exit_set_to_true() {
    simulated(|mut cx| async move {
        for concurrency in CONCURRENCY {
            let stream = Task::async_stream([1, 100], sleep)
                .max_concurrency(concurrency)
                .zip_input_on_exit()
                .kill_task_on_timeout()
                .timeout(Duration::from_millis(50));
            let results = stream.collect(&mut cx).await;
            assert_eq!(results, [Ok(1), failed(ExitReason::timeout(), Some(100))]);
        }
    });
}

#[test]
fn with_outer_halt_on_failure_and_zip_input_on_exit() {
    simulated(|mut cx| async move {
        cx.trap_exit(true);
        for concurrency in CONCURRENCY {
            let stream = Task::async_stream(1..=8, exit)
                .max_concurrency(concurrency)
                .zip_input_on_exit();
            let results = take(&mut cx, stream, 4).await;
            let zipped = |n: u64| failed(ExitReason::new(&n), Some(n));
            assert_eq!(results, (1..=4).map(zipped).collect::<Vec<_>>());
        }
    });
}
