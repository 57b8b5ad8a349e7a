//! Actors that pass something on: to each other, or round a ring.

use std::time::{Duration, Instant};

use actix::prelude::*;
use peer_common::SETTLE;
use tokio::sync::oneshot;

use crate::arbiters::Arbiters;

/// Round trips of the warm-up.
const WARM_UP: u64 = 100_000;

/// Sends back what it gets, to whom it came from.
struct Pong;

struct Ball {
    from: Addr<Ping>,
    round: u64,
}

impl Message for Ball {
    type Result = ();
}

impl Actor for Pong {
    type Context = Context<Self>;
}

impl Handler<Ball> for Pong {
    type Result = ();

    fn handle(&mut self, ball: Ball, _: &mut Context<Self>) {
        ball.from.do_send(Back(ball.round));
    }
}

/// Plays so many rounds, then tells.
struct Ping {
    partner: Addr<Pong>,
    left: u64,
    over: Option<oneshot::Sender<()>>,
}

struct Back(u64);

impl Message for Back {
    type Result = ();
}

struct Serve;

impl Message for Serve {
    type Result = ();
}

impl Actor for Ping {
    type Context = Context<Self>;
}

impl Ping {
    fn serve(&mut self, cx: &Context<Self>) {
        self.partner.do_send(Ball {
            from: cx.address(),
            round: self.left,
        });
    }
}

impl Handler<Serve> for Ping {
    type Result = ();

    fn handle(&mut self, _: Serve, cx: &mut Context<Self>) {
        self.serve(cx);
    }
}

impl Handler<Back> for Ping {
    type Result = ();

    fn handle(&mut self, Back(round): Back, cx: &mut Context<Self>) {
        assert_eq!(round, self.left);
        self.left -= 1;
        if self.left > 0 {
            self.serve(cx);
        } else if let Some(over) = self.over.take() {
            over.send(()).expect("the driver waits");
        }
    }
}

pub async fn pingpong(arbiters: &Arbiters, n: u64) -> Duration {
    rounds(arbiters, n.min(WARM_UP)).await;
    rounds(arbiters, n).await
}

async fn rounds(arbiters: &Arbiters, left: u64) -> Duration {
    let (over, is_over) = oneshot::channel();
    let ping = Ping {
        partner: Pong::start_in_arbiter(arbiters.next(), |_| Pong),
        left,
        over: Some(over),
    };
    let ping = Ping::start_in_arbiter(arbiters.next(), |_| ping);
    actix::clock::sleep(SETTLE).await;
    let began = Instant::now();
    ping.do_send(Serve);
    is_over.await.expect("the game ends");
    began.elapsed()
}

/// A member of a ring. The first one counts the rounds.
struct Node {
    next: Option<Addr<Node>>,
    first: Option<First>,
}

struct First {
    rounds: u64,
    members: u64,
    over: Option<oneshot::Sender<()>>,
}

struct Next(Addr<Node>);

impl Message for Next {
    type Result = ();
}

struct Token(u64);

impl Message for Token {
    type Result = ();
}

impl Actor for Node {
    type Context = Context<Self>;
}

impl Handler<Next> for Node {
    type Result = ();

    fn handle(&mut self, Next(next): Next, _: &mut Context<Self>) {
        self.next = Some(next);
    }
}

impl Handler<Token> for Node {
    type Result = ();

    fn handle(&mut self, Token(mut hops): Token, _: &mut Context<Self>) {
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
        next.do_send(Token(hops + 1));
    }
}

pub async fn ring(arbiters: &Arbiters, members: u64, rounds: u64) -> Duration {
    let (over, is_over) = oneshot::channel();
    let first = Node {
        next: None,
        first: Some(First {
            rounds,
            members,
            over: Some(over),
        }),
    };
    let first = Node::start_in_arbiter(arbiters.next(), |_| first);
    let mut next = first.clone();
    for _ in 1..members {
        let node = Node {
            next: Some(next),
            first: None,
        };
        next = Node::start_in_arbiter(arbiters.next(), |_| node);
    }
    first.do_send(Next(next));
    actix::clock::sleep(SETTLE).await;
    let began = Instant::now();
    first.do_send(Token(0));
    is_over.await.expect("the last round ends");
    began.elapsed()
}
