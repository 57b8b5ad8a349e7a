//! Threads for actors, and tasks on them that begin at once.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix::prelude::*;
use peer_common::SETTLE;
use tokio::sync::oneshot;

/// So many arbiters, beside the system's own, which has only the driver.
pub struct Arbiters {
    handles: Vec<ArbiterHandle>,
    next: AtomicUsize,
}

impl Arbiters {
    /// Runs the driver of a workload on a system of its own, with so many arbiters.
    pub fn run<B, T>(count: usize, driver: B) -> T
    where
        B: AsyncFnOnce(Self) -> T,
    {
        System::new().block_on(async {
            let handles = (0..count).map(|_| Arbiter::new().handle()).collect();
            let arbiters = Self {
                handles,
                next: AtomicUsize::new(0),
            };
            driver(arbiters).await
        })
    }

    /// The arbiter for whoever is made next.
    pub fn next(&self) -> &ArbiterHandle {
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        &self.handles[turn % self.handles.len()]
    }

    /// Makes `count` tasks on arbiters that will run `body` with their number, from 0.
    pub async fn gate<B, F>(&self, count: u64, body: B) -> Gate
    where
        B: Fn(u64) -> F + Clone + Send + 'static,
        F: Future<Output = ()> + 'static,
    {
        let mut waiting = Vec::new();
        for number in 0..count {
            let (gate, opened) = oneshot::channel();
            let (done, is_done) = oneshot::channel();
            let body = body.clone();
            let begun = self.next().spawn_fn(move || {
                // It stays on this thread, so it needn't be Send.
                actix::spawn(async move {
                    opened.await.expect("the gate opens");
                    body(number).await;
                    done.send(()).expect("the driver waits");
                });
            });
            assert!(begun, "the arbiter runs");
            waiting.push((gate, is_done));
        }
        actix::clock::sleep(SETTLE).await;
        Gate { waiting }
    }
}

/// Tasks that wait to be told to begin all at once.
pub struct Gate {
    waiting: Vec<(oneshot::Sender<()>, oneshot::Receiver<()>)>,
}

impl Gate {
    /// Lets them begin.
    pub fn open(self) -> Begun {
        let begin = |(gate, done): (oneshot::Sender<()>, _)| {
            gate.send(()).expect("the task waits at the gate");
            done
        };
        Begun(self.waiting.into_iter().map(begin).collect())
    }

    /// The time from now until all have returned.
    pub async fn time(self) -> Duration {
        let began = Instant::now();
        self.open().all_done().await;
        began.elapsed()
    }
}

/// Tasks that have begun.
pub struct Begun(Vec<oneshot::Receiver<()>>);

impl Begun {
    /// Waits until all have returned.
    pub async fn all_done(self) {
        for done in self.0 {
            done.await.expect("the task does its work");
        }
    }
}
