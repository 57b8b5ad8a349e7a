//! Actors that pass something on: to each other, or round a ring.

use std::time::{Duration, Instant};

use peer_common::SETTLE;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

/// Round trips of the warm-up.
const WARM_UP: u64 = 100_000;

/// Sends back what it gets, to whom it came from.
struct Pong;

struct Ball {
    from: ActorRef<Played>,
    round: u64,
}

impl Actor for Pong {
    type Msg = Ball;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Ball>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(
        &self,
        _: ActorRef<Ball>,
        ball: Ball,
        (): &mut (),
    ) -> Result<(), ActorProcessingErr> {
        ball.from.cast(Played::Back(ball.round))?;
        Ok(())
    }
}

/// Plays so many rounds, then tells.
struct Ping;

enum Played {
    Serve,
    Back(u64),
}

struct Game {
    partner: ActorRef<Ball>,
    left: u64,
    over: Option<oneshot::Sender<()>>,
}

impl Actor for Ping {
    type Msg = Played;
    type State = Game;
    type Arguments = Game;

    async fn pre_start(&self, _: ActorRef<Played>, game: Game) -> Result<Game, ActorProcessingErr> {
        Ok(game)
    }

    async fn handle(
        &self,
        myself: ActorRef<Played>,
        played: Played,
        game: &mut Game,
    ) -> Result<(), ActorProcessingErr> {
        if let Played::Back(round) = played {
            assert_eq!(round, game.left);
            game.left -= 1;
        }
        if game.left > 0 {
            let ball = Ball {
                from: myself,
                round: game.left,
            };
            game.partner.cast(ball)?;
        } else if let Some(over) = game.over.take() {
            over.send(()).expect("the driver waits");
        }
        Ok(())
    }
}

pub async fn pingpong(n: u64) -> Duration {
    rounds(n.min(WARM_UP)).await;
    rounds(n).await
}

async fn rounds(left: u64) -> Duration {
    let (over, is_over) = oneshot::channel();
    let (partner, _) = Actor::spawn(None, Pong, ()).await.expect("it starts");
    let game = Game {
        partner,
        left,
        over: Some(over),
    };
    let (ping, _) = Actor::spawn(None, Ping, game).await.expect("it starts");
    tokio::time::sleep(SETTLE).await;
    let began = Instant::now();
    ping.cast(Played::Serve).expect("the actor runs");
    is_over.await.expect("the game ends");
    began.elapsed()
}

/// A member of a ring. The first one counts the rounds.
struct Node;

enum Passed {
    Next(ActorRef<Passed>),
    Token(u64),
}

struct Place {
    next: Option<ActorRef<Passed>>,
    first: Option<First>,
}

struct First {
    rounds: u64,
    members: u64,
    over: Option<oneshot::Sender<()>>,
}

impl Actor for Node {
    type Msg = Passed;
    type State = Place;
    type Arguments = Place;

    async fn pre_start(
        &self,
        _: ActorRef<Passed>,
        place: Place,
    ) -> Result<Place, ActorProcessingErr> {
        Ok(place)
    }

    async fn handle(
        &self,
        _: ActorRef<Passed>,
        passed: Passed,
        place: &mut Place,
    ) -> Result<(), ActorProcessingErr> {
        let mut hops = match passed {
            Passed::Next(next) => {
                place.next = Some(next);
                return Ok(());
            }
            Passed::Token(hops) => hops,
        };
        if let Some(first) = &mut place.first {
            // It comes round with a hop for each member; the one that begins has made none.
            if hops > 0 {
                assert_eq!(hops, first.members);
                first.rounds -= 1;
            }
            if first.rounds == 0 {
                let over = first.over.take().expect("the last round ends once");
                over.send(()).expect("the driver waits");
                return Ok(());
            }
            hops = 0;
        }
        let next = place.next.as_ref().expect("the ring is closed");
        next.cast(Passed::Token(hops + 1))?;
        Ok(())
    }
}

pub async fn ring(members: u64, rounds: u64) -> Duration {
    let (over, is_over) = oneshot::channel();
    let first = Place {
        next: None,
        first: Some(First {
            rounds,
            members,
            over: Some(over),
        }),
    };
    let (first, _) = Actor::spawn(None, Node, first).await.expect("it starts");
    let mut next = first.clone();
    for _ in 1..members {
        let place = Place {
            next: Some(next),
            first: None,
        };
        next = Actor::spawn(None, Node, place).await.expect("it starts").0;
    }
    first.cast(Passed::Next(next)).expect("the actor runs");
    tokio::time::sleep(SETTLE).await;
    let began = Instant::now();
    first.cast(Passed::Token(0)).expect("the actor runs");
    is_over.await.expect("the last round ends");
    began.elapsed()
}
