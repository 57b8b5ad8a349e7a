//! An actor that answers requests with their argument, and one that counts.
//!
//! Mailboxes are unbounded, as those of otp-vm are.

use std::time::{Duration, Instant};

use kameo::actor::{ActorRef, Spawn};
use kameo::error::Infallible;
use kameo::message::{Context, Message};
use kameo::{Actor, mailbox};
use peer_common::{Gate, SETTLE, WAVE, at_once, resident_bytes};
use tokio::sync::oneshot;

#[derive(Clone)]
pub struct Echo;

impl Actor for Echo {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(echo: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(echo)
    }
}

struct Request(u64);

impl Message<Request> for Echo {
    type Reply = u64;

    async fn handle(&mut self, Request(number): Request, _: &mut Context<Self, u64>) -> u64 {
        number
    }
}

/// Starts an actor, and waits until it has started, as a gen_server's start does.
async fn start() -> ActorRef<Echo> {
    let echo = Echo::spawn_with_mailbox(Echo, mailbox::unbounded());
    echo.wait_for_startup().await;
    echo
}

async fn ask(server: &ActorRef<Echo>, number: u64) {
    let reply = server.ask(Request(number)).await;
    assert_eq!(reply.expect("the server replies"), number);
}

pub async fn call(n: u64, clients: u64, servers: u64) -> Duration {
    let mut echoes = Vec::new();
    for _ in 0..servers {
        echoes.push(start().await);
    }
    let each = n / clients;
    at_once(clients, |client| {
        let server = echoes[(client % servers) as usize].clone();
        async move {
            for number in (1..=each).rev() {
                ask(&server, number).await;
            }
        }
    })
    .await
}

/// An actor to which nobody has a reference ends: all are kept, and don't count.
pub async fn idle_memory(n: u64) -> u64 {
    let mut actors = Vec::with_capacity(n as usize);
    let before = resident_bytes();
    for number in 0..n {
        actors.push(start().await);
        ask(&actors[number as usize], number).await;
    }
    tokio::time::sleep(SETTLE).await;
    (resident_bytes() - before).saturating_sub(size_of_val(&actors[..]) as u64)
}

/// Actors of the warm-up.
const WARM_UP: u64 = 100_000;

/// Actors that are told to stop when all of their wave are there.
pub async fn spawn_exit(n: u64, spawners: u64) -> Duration {
    waves(n.min(WARM_UP)).await;
    let each = n / spawners;
    at_once(spawners, |_| waves(each)).await
}

async fn waves(total: u64) {
    let mut left = total;
    while left > 0 {
        let now = left.min(WAVE);
        let mut actors = Vec::with_capacity(now as usize);
        for _ in 0..now {
            actors.push(start().await);
        }
        for echo in &actors {
            let stopped = echo.stop_gracefully().await;
            stopped.expect("it ran until now");
        }
        for echo in actors {
            let reason = echo.wait_for_shutdown_result().await;
            assert!(reason.expect("the actor ends in order").is_normal());
        }
        left -= now;
    }
}

/// Counts messages down to the last, then tells.
struct Counter {
    left: u64,
    told: Option<oneshot::Sender<()>>,
}

impl Actor for Counter {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(counter: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(counter)
    }
}

impl Message<u64> for Counter {
    type Reply = ();

    async fn handle(&mut self, _: u64, _: &mut Context<Self, ()>) {
        self.left -= 1;
        if self.left == 0
            && let Some(told) = self.told.take()
        {
            told.send(()).expect("the driver waits");
        }
    }
}

pub async fn fan_in(n: u64, senders: u64) -> Duration {
    let (told, all_received) = oneshot::channel();
    let counter = Counter {
        left: n,
        told: Some(told),
    };
    let counter = Counter::spawn_with_mailbox(counter, mailbox::unbounded());
    let each = n / senders;
    let gate = Gate::new(senders, |_| {
        let counter = counter.clone();
        async move {
            for number in (1..=each).rev() {
                counter.tell(number).await.expect("the actor runs");
            }
        }
    })
    .await;
    let began = Instant::now();
    let senders = gate.open();
    all_received.await.expect("the counter tells");
    let elapsed = began.elapsed();
    senders.all_done().await;
    elapsed
}
