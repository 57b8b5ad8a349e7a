//! An actor that answers requests with their argument, and one that counts.

use std::time::{Duration, Instant};

use peer_common::{Gate, SETTLE, WAVE, at_once, resident_bytes};
use ractor::rpc::CallResult;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::sync::oneshot;

pub struct Echo;

pub struct Request(u64, RpcReplyPort<u64>);

impl Actor for Echo {
    type Msg = Request;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Request>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Request>,
        Request(number, reply): Request,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        reply.send(number)?;
        Ok(())
    }
}

async fn start() -> ActorRef<Request> {
    let started = Actor::spawn(None, Echo, ()).await;
    started.expect("the actor starts").0
}

async fn ask(server: &ActorRef<Request>, number: u64) {
    let reply = server
        .call(|reply| Request(number, reply), None)
        .await
        .expect("the server runs");
    assert!(matches!(reply, CallResult::Success(answer) if answer == number));
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
            let started = Actor::spawn(None, Echo, ()).await;
            actors.push(started.expect("the actor starts"));
        }
        for (actor, _) in &actors {
            actor.stop(None);
        }
        for (_, end) in actors {
            end.await.expect("the actor ends in order");
        }
        left -= now;
    }
}

/// Counts messages down to the last, then tells.
struct Counter;

struct Counting {
    left: u64,
    told: Option<oneshot::Sender<()>>,
}

impl Actor for Counter {
    type Msg = u64;
    type State = Counting;
    type Arguments = Counting;

    async fn pre_start(
        &self,
        _: ActorRef<u64>,
        counting: Counting,
    ) -> Result<Counting, ActorProcessingErr> {
        Ok(counting)
    }

    async fn handle(
        &self,
        _: ActorRef<u64>,
        _: u64,
        state: &mut Counting,
    ) -> Result<(), ActorProcessingErr> {
        state.left -= 1;
        if state.left == 0
            && let Some(told) = state.told.take()
        {
            told.send(()).expect("the driver waits");
        }
        Ok(())
    }
}

pub async fn fan_in(n: u64, senders: u64) -> Duration {
    let (told, all_received) = oneshot::channel();
    let counting = Counting {
        left: n,
        told: Some(told),
    };
    let started = Actor::spawn(None, Counter, counting).await;
    let (counter, _) = started.expect("the actor starts");
    let each = n / senders;
    let gate = Gate::new(senders, |_| {
        let counter = counter.clone();
        async move {
            for number in (1..=each).rev() {
                counter.cast(number).expect("the actor runs");
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
