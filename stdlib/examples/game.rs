//! A game for some players: a state machine that is a lobby, then played, then ended. A lobby that does not fill, a
//! round that takes too long and an ended game whose result was read by nobody are state timeouts; a player who goes is
//! seen by a monitor.
//!
//! Erlang's `gen_statem` with one handler for states and events (`handle_event_function`), state enter calls and
//! `state_timeout`s.
//!
//! `cargo run -p otp-stdlib --example game`

use std::collections::BTreeMap;
use std::error::Error;
use std::time::Duration;

use otp_stdlib::gen_statem::{Enter, Event, From, GenStatem, Init, Transition};
use otp_stdlib::prelude::{NoMessage, StatemRef};
use otp_vm::simulation::Simulation;
use otp_vm::{CallError, Context, Down, ExitReason, Pid, Ref, Vm};
use serde::{Deserialize, Serialize};

/// How many players it takes to begin.
const PLAYERS: usize = 3;
/// How long the lobby is open, a game lasts, and its result is kept.
const LOBBY: Duration = Duration::from_secs(60);
const ROUND: Duration = Duration::from_secs(300);
const RESULT: Duration = Duration::from_secs(3600);

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum State {
    Lobby,
    Playing,
    Ended(Outcome),
}

#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum Outcome {
    /// By points, or as the last one.
    Won(String),
    /// Too few came, or all have left.
    Nobody,
}

#[derive(Default)]
struct Game {
    players: BTreeMap<Pid, Player>,
}

struct Player {
    name: String,
    points: u32,
    monitor: Ref,
}

#[derive(Serialize, Deserialize)]
enum Request {
    /// Whoever calls is the player.
    Join(String),
    Score(u32),
    /// Answered when there is one.
    Outcome,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Answer {
    Points(u32),
    Outcome(Outcome),
    /// Not in this state, or not by this process.
    Refused(State),
}

#[derive(Serialize, Deserialize)]
enum Over {
    Lobby,
    Round,
    Result,
}

impl Game {
    /// Who has most points; of several, one.
    fn leader(&self) -> Outcome {
        let leader = self.players.values().max_by_key(|player| player.points);
        leader.map_or(Outcome::Nobody, |player| Outcome::Won(player.name.clone()))
    }
}

impl GenStatem for Game {
    type Args = ();
    type State = State;
    type Call = Request;
    type Reply = Answer;
    type Cast = NoMessage;
    type Info = Down;
    type Internal = NoMessage;
    type Timeout = Over;
    type TimeoutName = NoMessage;

    async fn init((): (), _cx: &mut Context) -> Init<Self> {
        Init::ok(State::Lobby, Game::default())
    }

    /// Each state begins its time, from wherever it is entered. To leave a state cancels it.
    async fn state_enter(&mut self, state: &State, old: &State, cx: &mut Context) -> Enter<Self> {
        let seconds = cx.monotonic_time() / 1_000_000_000;
        println!("{seconds:>5} s  {old:?} -> {state:?}");
        match state {
            State::Lobby => Enter::keep_state().state_timeout(LOBBY, Over::Lobby),
            State::Playing => Enter::keep_state().state_timeout(ROUND, Over::Round),
            State::Ended(_) => {
                for player in self.players.values() {
                    cx.demonitor_flush(player.monitor);
                }
                Enter::keep_state().state_timeout(RESULT, Over::Result)
            }
        }
    }

    async fn handle_event(
        &mut self,
        state: &State,
        event: Event<Self>,
        cx: &mut Context,
    ) -> Transition<Self> {
        match (state, event) {
            (State::Lobby, Event::Call(from, Request::Join(name)))
                if !self.players.contains_key(&from.pid()) =>
            {
                let monitor = cx.monitor(from.pid());
                let points = 0;
                let player = Player {
                    name,
                    points,
                    monitor,
                };
                self.players.insert(from.pid(), player);
                let next = match self.players.len() {
                    PLAYERS => Transition::next_state(State::Playing),
                    _ => Transition::keep_state(),
                };
                next.reply(from, Answer::Points(0))
            }
            (State::Lobby, Event::StateTimeout(Over::Lobby)) => {
                Transition::next_state(State::Ended(Outcome::Nobody))
            }
            (State::Playing, Event::Call(from, Request::Score(points))) => self.score(from, points),
            (State::Playing, Event::StateTimeout(Over::Round)) => {
                Transition::next_state(State::Ended(self.leader()))
            }
            (State::Lobby | State::Playing, Event::Info(down)) => {
                self.players
                    .retain(|_, player| player.monitor != down.reference);
                match (state, self.players.len()) {
                    (State::Playing, 0 | 1) => Transition::next_state(State::Ended(self.leader())),
                    _ => Transition::keep_state(),
                }
            }
            (State::Ended(outcome), Event::Call(from, Request::Outcome)) => {
                Transition::keep_state().reply(from, Answer::Outcome(outcome.clone()))
            }
            (State::Ended(_), Event::StateTimeout(_)) => Transition::stop(ExitReason::normal()),
            // Not now: when it has ended.
            (_, Event::Call(_, Request::Outcome)) => Transition::keep_state().postpone(),
            (state, Event::Call(from, _)) => {
                Transition::keep_state().reply(from, Answer::Refused(state.clone()))
            }
            // The end of one who played a game that has ended.
            (_, Event::Info(_)) => Transition::keep_state(),
            (state, event) => unreachable!("{event:?} when {state:?}"),
        }
    }
}

impl Game {
    fn score(&mut self, from: From<Answer>, points: u32) -> Transition<Self> {
        let Some(player) = self.players.get_mut(&from.pid()) else {
            return Transition::keep_state().reply(from, Answer::Refused(State::Playing));
        };
        player.points += points;
        Transition::keep_state().reply(from, Answer::Points(player.points))
    }
}

/// A process that joins, scores, says so, and stays.
fn player(cx: &Context, game: &StatemRef<Game>, name: &str, points: u32) -> Pid {
    let (game, owner, name) = (game.clone(), cx.pid(), name.to_owned());
    let body = async move |mut cx: Context| -> Result<(), CallError> {
        game.call(&mut cx, Request::Join(name)).await?;
        loop {
            match game.call(&mut cx, Request::Score(points)).await? {
                Answer::Refused(State::Lobby) => cx.sleep(Duration::from_secs(1)).await,
                Answer::Refused(_) => return Ok(()),
                _ => break,
            }
        }
        cx.send(owner, &points).expect("a term");
        cx.receive().await;
        Ok(())
    };
    cx.spawn(async move |cx: Context| body(cx).await.expect("answers"))
        .expect("a process")
}

async fn outcome(cx: &mut Context, game: &StatemRef<Game>) -> Outcome {
    // It takes as long as the game.
    match game.call(cx, Request::Outcome).await.expect("an answer") {
        Answer::Outcome(outcome) => outcome,
        other => panic!("{other:?}"),
    }
}

async fn play(mut cx: Context) {
    let cx = &mut cx;

    // Until the time is over: by points.
    let game = Game::start_link(cx, ()).await.expect("it starts");
    let begun = cx.monotonic_time();
    for (name, points) in [("ada", 3), ("bob", 7), ("cyd", 5)] {
        player(cx, &game, name, points);
    }
    let late = Request::Join("dan".into());
    for _ in 0..PLAYERS {
        cx.receive().await;
    }
    let refused = game.call(cx, late).await.expect("an answer");
    assert_eq!(refused, Answer::Refused(State::Playing));
    assert_eq!(outcome(cx, &game).await, Outcome::Won("bob".into()));
    let took = Duration::from_nanos(cx.monotonic_time() - begun);
    assert_eq!(took.as_secs(), ROUND.as_secs());
    // It stays for whoever wants to know, and then ends by itself.
    assert_eq!(outcome(cx, &game).await, Outcome::Won("bob".into()));
    let monitor = cx.monitor(game.pid().expect("a reference by pid"));
    assert_eq!(cx.await_down(monitor).await.reason, ExitReason::normal());

    // Until all but one have left.
    let game = Game::start_link(cx, ()).await.expect("it starts");
    let names = ["ada", "bob", "cyd"];
    let players = names.map(|name| player(cx, &game, name, 1));
    for _ in names {
        cx.receive().await;
    }
    for leaving in &players[..2] {
        cx.exit_process(*leaving, ExitReason::kill());
    }
    assert_eq!(outcome(cx, &game).await, Outcome::Won("cyd".into()));

    // Too few come: one of the three leaves the lobby.
    let game = Game::start_link(cx, ()).await.expect("it starts");
    player(cx, &game, "ada", 1);
    cx.sleep(LOBBY / 2).await;
    let leaving = player(cx, &game, "bob", 1);
    cx.sleep(LOBBY / 4).await;
    cx.exit_process(leaving, ExitReason::kill());
    cx.sleep(LOBBY / 8).await;
    player(cx, &game, "cyd", 1);
    assert_eq!(outcome(cx, &game).await, Outcome::Nobody);
}

/// In a simulation, where hours pass at once, and who is first is another in each order.
fn run(simulation: &mut Simulation) -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().simulate(simulation).build()?;
    simulation.block_on(vm.run(play))??;
    simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut Simulation::new(1)?)
}

#[test]
fn holds_in_every_order() {
    let explored = Simulation::builder().explore(0..50, run);
    assert_eq!(explored.unwrap_or_else(|failure| panic!("{failure}")), 50);
}
