//! Libraries of tokio's on all kinds of threads that a scheduler has.
#![cfg(feature = "tokio")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use common::{LIMIT, next};
use otp_scheduler::{JoinError, Scheduler, blocking, yield_now};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;

fn runtime() -> Runtime {
    let mut builder = Builder::new_multi_thread();
    builder.worker_threads(1).enable_all();
    builder.build().expect("a runtime")
}

fn scheduler(runtime: &Runtime, schedulers: usize) -> Scheduler {
    Scheduler::builder()
        .schedulers(schedulers)
        .name("test")
        .tokio(runtime.handle().clone())
        .build()
        .expect("worker threads start")
}

fn end(scheduler: &Scheduler) {
    scheduler.stop();
    assert_eq!(scheduler.join(LIMIT), Ok(()));
}

#[test]
fn a_task_sleeps_by_tokio() {
    let runtime = runtime();
    let scheduler = scheduler(&runtime, 1);
    const TIME: Duration = Duration::from_millis(20);
    let slept = scheduler.spawn(async {
        let begun = Instant::now();
        sleep(TIME).await;
        begun.elapsed()
    });
    assert!(slept.wait().unwrap() >= TIME);
    end(&scheduler);
}

#[test]
fn an_echo_over_tokios_sockets() {
    let runtime = runtime();
    let scheduler = scheduler(&runtime, 2);
    let inner = scheduler.clone();
    let client = scheduler.spawn(async move {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = inner.spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let (mut read, mut write) = stream.split();
            tokio::io::copy(&mut read, &mut write).await.unwrap()
        });
        let mut stream = TcpStream::connect(address).await.unwrap();
        for number in 0..1000_u32 {
            stream.write_u32(number).await.unwrap();
            assert_eq!(stream.read_u32().await.unwrap(), number);
        }
        drop(stream);
        server.await.unwrap()
    });
    assert_eq!(client.wait(), Ok(4000));
    end(&scheduler);
}

#[test]
fn tasks_start_tasks_of_tokios_and_await_them() {
    let runtime = runtime();
    let scheduler = scheduler(&runtime, 1);
    let sum = scheduler.spawn(async {
        let task = tokio::spawn(async {
            tokio::task::yield_now().await;
            40
        });
        let blocks = tokio::task::spawn_blocking(|| 2);
        task.await.unwrap() + blocks.await.unwrap()
    });
    assert_eq!(sum.wait(), Ok(42));
    end(&scheduler);
}

#[test]
fn spares_blocking_threads_and_native_ones_have_the_runtime_too() {
    let runtime = runtime();
    let scheduler = scheduler(&runtime, 1);
    let stop = Arc::new(AtomicBool::new(false));
    let (begun, begins) = channel();
    let spinner = {
        let stop = Arc::clone(&stop);
        scheduler.spawn(async move {
            begun.send(std::thread::current().id()).unwrap();
            let begun = Instant::now();
            while !stop.load(Ordering::Relaxed) && begun.elapsed() < LIMIT {
                std::hint::spin_loop();
            }
            // Still on the thread that was bound.
            sleep(Duration::from_millis(1)).await;
        })
    };
    let first = next(&begins);
    // Only a spare can run this: the first thread is in the loop.
    let slept = scheduler.spawn(async {
        sleep(Duration::from_millis(1)).await;
        std::thread::current().id()
    });
    assert_ne!(slept.wait().unwrap(), first);
    assert_eq!(scheduler.figures().taken_away, 1);
    stop.store(true, Ordering::Relaxed);
    spinner.wait().unwrap();
    let on_the_pool = scheduler.spawn(blocking(|| {
        tokio::runtime::Handle::current().block_on(async {
            sleep(Duration::from_millis(1)).await;
            7
        })
    }));
    assert_eq!(on_the_pool.wait(), Ok(Ok(7)));
    let native = scheduler.spawn_native(|| {
        otp_scheduler::block_on(async {
            let (sender, mut receiver) = unbounded_channel();
            tokio::spawn(async move {
                sleep(Duration::from_millis(1)).await;
                sender.send(7).unwrap();
            });
            receiver.recv().await
        })
    });
    assert_eq!(native.unwrap().wait(), Ok(Ok(Some(7))));
    end(&scheduler);
}

/// No budget of tokio's holds outside of its own tasks, and this scheduler sees no operation of theirs.
#[test]
fn a_foreign_future_that_is_always_ready_holds_nobody_up() {
    let runtime = runtime();
    let scheduler = scheduler(&runtime, 1);
    let stop = Arc::new(AtomicBool::new(false));
    let (flag, other) = (Arc::clone(&stop), Arc::clone(&stop));
    let begun = Instant::now();
    let goes_on = move |stop: &AtomicBool| !stop.load(Ordering::Relaxed) && begun.elapsed() < LIMIT;
    let ready = scheduler.spawn(async move {
        while goes_on(&flag) {
            std::future::ready(()).await;
        }
    });
    let (sender, mut receiver) = unbounded_channel();
    let never_empty = scheduler.spawn(async move {
        sender.send(()).unwrap();
        while goes_on(&other) {
            receiver.recv().await.unwrap();
            sender.send(()).unwrap();
        }
    });
    for _ in 0..20 {
        let inside = scheduler.spawn(async {
            yield_now().await;
            sleep(Duration::from_millis(1)).await;
        });
        inside.wait().unwrap();
    }
    assert!(!ready.is_finished() && !never_empty.is_finished());
    stop.store(true, Ordering::Relaxed);
    ready.wait().unwrap();
    never_empty.wait().unwrap();
    end(&scheduler);
}

#[test]
fn a_runtime_that_is_shut_down_first_fails_its_own_users_only() {
    let runtime = runtime();
    let scheduler = scheduler(&runtime, 1);
    runtime.shutdown_timeout(LIMIT);
    let slept = scheduler.spawn(async { sleep(Duration::from_millis(1)).await });
    let text = match slept.wait() {
        Err(JoinError::Panicked(text)) => text,
        other => panic!("{other:?}"),
    };
    assert!(text.contains("shut"), "{text}");
    assert_eq!(scheduler.spawn(async { 1 }).wait(), Ok(1));
    end(&scheduler);
}
