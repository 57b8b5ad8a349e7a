//! An actor that answers requests with their argument, and one that counts.

use std::time::{Duration, Instant};

use actix::prelude::*;
use peer_common::{SETTLE, WAVE, resident_bytes};
use tokio::sync::oneshot;

use crate::arbiters::Arbiters;

struct Echo;

struct Request(u64);

impl Message for Request {
    type Result = u64;
}

impl Actor for Echo {
    type Context = Context<Self>;
}

impl Handler<Request> for Echo {
    type Result = u64;

    fn handle(&mut self, Request(number): Request, _: &mut Context<Self>) -> u64 {
        number
    }
}

async fn ask(server: &Addr<Echo>, number: u64) {
    let reply = server.send(Request(number)).await;
    assert_eq!(reply.expect("the server replies"), number);
}

pub async fn call(arbiters: &Arbiters, n: u64, clients: u64, servers: u64) -> Duration {
    let echoes: Vec<Addr<Echo>> = (0..servers)
        .map(|_| Echo::start_in_arbiter(arbiters.next(), |_| Echo))
        .collect();
    let each = n / clients;
    let gate = arbiters.gate(clients, move |client| {
        let server = echoes[(client % servers) as usize].clone();
        async move {
            for number in (1..=each).rev() {
                ask(&server, number).await;
            }
        }
    });
    gate.await.time().await
}

/// An actor to which nobody has an address ends: all are kept, and don't count.
pub async fn idle_memory(arbiters: &Arbiters, n: u64) -> u64 {
    let mut actors = Vec::with_capacity(n as usize);
    let before = resident_bytes();
    for number in 0..n {
        actors.push(Echo::start_in_arbiter(arbiters.next(), |_| Echo));
        ask(&actors[number as usize], number).await;
    }
    actix::clock::sleep(SETTLE).await;
    (resident_bytes() - before).saturating_sub(size_of_val(&actors[..]) as u64)
}

/// An actor that is told to stop when all of its wave are there, and whose end somebody waits for.
struct Brief {
    _ended: oneshot::Sender<()>,
}

struct Stop;

impl Message for Stop {
    type Result = ();
}

impl Actor for Brief {
    type Context = Context<Self>;
}

impl Handler<Stop> for Brief {
    type Result = ();

    fn handle(&mut self, _: Stop, cx: &mut Context<Self>) {
        cx.stop();
    }
}

/// Actors of the warm-up.
const WARM_UP: u64 = 100_000;

/// Each spawner starts its actors on its own thread.
pub async fn spawn_exit(arbiters: &Arbiters, n: u64, spawners: u64) -> Duration {
    arbiters
        .gate(1, move |_| waves(n.min(WARM_UP)))
        .await
        .time()
        .await;
    let each = n / spawners;
    arbiters
        .gate(spawners, move |_| waves(each))
        .await
        .time()
        .await
}

async fn waves(total: u64) {
    let mut left = total;
    while left > 0 {
        let now = left.min(WAVE);
        let mut actors = Vec::with_capacity(now as usize);
        for _ in 0..now {
            let (ended, has_ended) = oneshot::channel();
            actors.push((Brief { _ended: ended }.start(), has_ended));
        }
        for (actor, _) in &actors {
            actor.do_send(Stop);
        }
        for (_, has_ended) in actors {
            // The actor is dropped with its sender.
            has_ended.await.expect_err("nobody sends");
        }
        left -= now;
    }
}

/// Counts messages down to the last, then tells.
struct Counter {
    left: u64,
    told: Option<oneshot::Sender<()>>,
}

struct Count(u64);

impl Message for Count {
    type Result = ();
}

impl Actor for Counter {
    type Context = Context<Self>;
}

impl Handler<Count> for Counter {
    type Result = ();

    fn handle(&mut self, Count(number): Count, _: &mut Context<Self>) {
        assert!(number > 0, "each sender counts down to 1");
        self.left -= 1;
        if self.left == 0
            && let Some(told) = self.told.take()
        {
            told.send(()).expect("the driver waits");
        }
    }
}

pub async fn fan_in(arbiters: &Arbiters, n: u64, senders: u64) -> Duration {
    let (told, all_received) = oneshot::channel();
    let counter = Counter {
        left: n,
        told: Some(told),
    };
    let counter = Counter::start_in_arbiter(arbiters.next(), |_| counter);
    let each = n / senders;
    let gate = arbiters.gate(senders, move |_| {
        let counter = counter.clone();
        async move {
            for number in (1..=each).rev() {
                counter.do_send(Count(number));
            }
        }
    });
    let gate = gate.await;
    let began = Instant::now();
    let senders = gate.open();
    all_received.await.expect("the counter tells");
    let elapsed = began.elapsed();
    senders.all_done().await;
    elapsed
}
