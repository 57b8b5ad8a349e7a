//! Actors that pass something on: to each other, or round a ring.

use std::time::{Duration, Instant};

use kameo::actor::{ActorRef, Spawn};
use kameo::error::Infallible;
use kameo::message::{Context, Message};
use kameo::{Actor, mailbox};
use peer_common::SETTLE;
use tokio::sync::oneshot;

/// Round trips of the warm-up.
const WARM_UP: u64 = 100_000;

/// Sends back what it gets, to whom it came from.
struct Pong;

struct Ball {
    from: ActorRef<Ping>,
    round: u64,
}

impl Actor for Pong {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(pong: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(pong)
    }
}

impl Message<Ball> for Pong {
    type Reply = ();

    async fn handle(&mut self, ball: Ball, _: &mut Context<Self, ()>) {
        let back = ball.from.tell(Played::Back(ball.round)).await;
        back.expect("the other one plays");
    }
}

/// Plays so many rounds, then tells.
struct Ping {
    partner: ActorRef<Pong>,
    left: u64,
    over: Option<oneshot::Sender<()>>,
}

enum Played {
    Serve,
    Back(u64),
}

impl Actor for Ping {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(ping: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(ping)
    }
}

impl Message<Played> for Ping {
    type Reply = ();

    async fn handle(&mut self, played: Played, cx: &mut Context<Self, ()>) {
        if let Played::Back(round) = played {
            assert_eq!(round, self.left);
            self.left -= 1;
        }
        if self.left > 0 {
            let ball = Ball {
                from: cx.actor_ref().clone(),
                round: self.left,
            };
            self.partner.tell(ball).await.expect("the other one plays");
        } else if let Some(over) = self.over.take() {
            over.send(()).expect("the driver waits");
        }
    }
}

pub async fn pingpong(n: u64) -> Duration {
    rounds(n.min(WARM_UP)).await;
    rounds(n).await
}

async fn rounds(left: u64) -> Duration {
    let (over, is_over) = oneshot::channel();
    let ping = Ping {
        partner: Pong::spawn_with_mailbox(Pong, mailbox::unbounded()),
        left,
        over: Some(over),
    };
    let ping = Ping::spawn_with_mailbox(ping, mailbox::unbounded());
    tokio::time::sleep(SETTLE).await;
    let began = Instant::now();
    ping.tell(Played::Serve).await.expect("the actor runs");
    is_over.await.expect("the game ends");
    began.elapsed()
}

/// A member of a ring. The first one counts the rounds.
struct Node {
    next: Option<ActorRef<Node>>,
    first: Option<First>,
}

struct First {
    rounds: u64,
    members: u64,
    over: Option<oneshot::Sender<()>>,
}

struct Next(ActorRef<Node>);

struct Token(u64);

impl Actor for Node {
    type Args = Self;
    type Error = Infallible;

    async fn on_start(node: Self, _: ActorRef<Self>) -> Result<Self, Infallible> {
        Ok(node)
    }
}

impl Message<Next> for Node {
    type Reply = ();

    async fn handle(&mut self, Next(next): Next, _: &mut Context<Self, ()>) {
        self.next = Some(next);
    }
}

impl Message<Token> for Node {
    type Reply = ();

    async fn handle(&mut self, Token(mut hops): Token, _: &mut Context<Self, ()>) {
        if let Some(first) = &mut self.first {
            // It comes round with a hop for each member; the one that begins has made none.
            if hops > 0 {
                assert_eq!(hops, first.members);
                first.rounds -= 1;
            }
            if first.rounds == 0 {
                let over = first.over.take().expect("the last round ends once");
                over.send(()).expect("the driver waits");
                return;
            }
            hops = 0;
        }
        let next = self.next.as_ref().expect("the ring is closed");
        next.tell(Token(hops + 1)).await.expect("the next one runs");
    }
}

pub async fn ring(members: u64, rounds: u64) -> Duration {
    let (over, is_over) = oneshot::channel();
    let first = Node {
        next: None,
        first: Some(First {
            rounds,
            members,
            over: Some(over),
        }),
    };
    let first = Node::spawn_with_mailbox(first, mailbox::unbounded());
    let mut next = first.clone();
    for _ in 1..members {
        let node = Node {
            next: Some(next),
            first: None,
        };
        next = Node::spawn_with_mailbox(node, mailbox::unbounded());
    }
    first.tell(Next(next)).await.expect("the actor runs");
    tokio::time::sleep(SETTLE).await;
    let began = Instant::now();
    first.tell(Token(0)).await.expect("the actor runs");
    is_over.await.expect("the last round ends");
    began.elapsed()
}
