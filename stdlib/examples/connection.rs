//! A connection that comes back: a state machine that is disconnected, connecting or connected. While it is not
//! connected requests wait (they are postponed); a try that takes too long, and a peer that is gone, lead to the next
//! try, each later than the one before.
//!
//! `cargo run -p otp-stdlib --example connection`

use std::error::Error;
use std::time::Duration;

use otp_stdlib::gen_statem::{Enter, Event, From, GenStatem, Init, Transition};
use otp_stdlib::prelude::NoMessage;
use otp_vm::{Atom, Context, ExitReason, Pid, Ref, Timeout, Vm};
use serde::{Deserialize, Serialize};

/// How long the peer has to say welcome.
const CONNECT_LIMIT: Duration = Duration::from_millis(500);
/// How long it waits after the first try that failed; after each further one twice as long, up to the limit.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const PAUSE_LIMIT: Duration = Duration::from_millis(50);

struct Connection {
    peer: &'static str,
    pause: Duration,
    tries: u32,
}

/// What is known in a state stands in the state.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
enum State {
    Disconnected,
    Connecting,
    Connected { peer: Pid, monitor: Ref },
}

#[derive(Serialize, Deserialize)]
enum Request {
    /// Answered by the peer.
    Query(u64),
    Tries,
}

/// What the peer understands; on a page of its own it would be bytes on a socket.
#[derive(Serialize, Deserialize)]
enum Wire {
    Hello(Pid),
    Query(From<u64>, u64),
}

#[derive(Deserialize)]
enum Info {
    Welcome(Pid),
    #[serde(rename = "DOWN")]
    Down(Ref, Atom, Pid, ExitReason),
}

#[derive(Serialize, Deserialize)]
enum Over {
    /// The peer took too long.
    Connect,
    /// Time for the next try.
    Pause,
}

impl GenStatem for Connection {
    type Args = &'static str;
    type State = State;
    type Call = Request;
    type Reply = u64;
    type Cast = NoMessage;
    type Info = Info;
    type Internal = NoMessage;
    type Timeout = Over;
    type TimeoutName = NoMessage;

    async fn init(peer: &'static str, _cx: &mut Context) -> Init<Self> {
        let connection = Connection {
            peer,
            pause: FIRST_PAUSE,
            tries: 0,
        };
        Init::ok(State::Connecting, connection)
    }

    /// What a state begins with, from wherever it is entered.
    async fn state_enter(&mut self, state: &State, _old: &State, cx: &mut Context) -> Enter<Self> {
        match state {
            State::Connecting => {
                self.tries += 1;
                let within = match cx.whereis(self.peer) {
                    Some(peer) => {
                        let hello = Wire::Hello(cx.pid());
                        cx.send(peer, &hello).expect("a term");
                        CONNECT_LIMIT
                    }
                    // Nobody is there. A state that is being entered can't be left: it is over at once.
                    None => Duration::ZERO,
                };
                Enter::keep_state().state_timeout(within, Over::Connect)
            }
            State::Disconnected => {
                let pause = self.pause;
                self.pause = PAUSE_LIMIT.min(2 * pause);
                Enter::keep_state().state_timeout(pause, Over::Pause)
            }
            State::Connected { .. } => {
                self.pause = FIRST_PAUSE;
                Enter::keep_state()
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
            (State::Connecting, Event::Info(Info::Welcome(peer))) => {
                let monitor = cx.monitor(peer);
                Transition::next_state(State::Connected { peer, monitor })
            }
            (State::Connecting, Event::StateTimeout(Over::Connect)) => {
                Transition::next_state(State::Disconnected)
            }
            (State::Disconnected, Event::StateTimeout(Over::Pause)) => {
                Transition::next_state(State::Connecting)
            }
            (
                State::Connected { monitor, .. },
                Event::Info(Info::Down(of, process, peer, reason)),
            ) if of == *monitor => {
                println!("{process} {peer} is gone: {reason}");
                Transition::next_state(State::Disconnected)
            }
            // The peer answers the caller itself.
            (State::Connected { peer, .. }, Event::Call(from, Request::Query(n))) => {
                cx.send(*peer, &Wire::Query(from, n)).expect("a term");
                Transition::keep_state()
            }
            (_, Event::Call(from, Request::Tries)) => {
                Transition::keep_state().reply(from, self.tries.into())
            }
            // Not now: when it is connected.
            (_, Event::Call(_, Request::Query(_))) => Transition::keep_state().postpone(),
            // A welcome that comes too late, and the end of a peer from before.
            (_, Event::Info(_)) => Transition::keep_state(),
            (_, Event::StateTimeout(_)) => unreachable!("a change of the state cancels it"),
            (_, _) => unreachable!("there are no others"),
        }
    }
}

async fn peer(mut cx: Context) {
    cx.register("peer", cx.pid()).expect("nobody has the name");
    #[derive(Serialize)]
    enum Say {
        Welcome(Pid),
    }
    while let Some(message) = cx.receive_as(Timeout::Infinity).await {
        match message {
            Wire::Hello(whom) => cx.send(whom, &Say::Welcome(cx.pid())).expect("a term"),
            Wire::Query(from, n) => from.reply(&cx, &(2 * n)).expect("a number"),
        }
    }
}

async fn use_it(mut cx: Context) {
    let connection = Connection::start_link(&mut cx, "peer").await;
    let connection = connection.expect("it starts");
    // Nobody is there yet: it waits, and tries again.
    let early = connection.send_request(&cx, Request::Query(20));
    let early = early.expect("it is sent");
    while connection
        .call(&mut cx, Request::Tries)
        .await
        .expect("it answers")
        < 3
    {
        cx.yield_now().await;
    }
    let first = cx.spawn(peer).expect("a process");
    let answer = early.receive_response(&mut cx, None).await;
    println!("after some tries: {answer:?}");
    assert_eq!(answer.expect("an answer"), 40);
    let answer = connection.call(&mut cx, Request::Query(21)).await;
    assert_eq!(answer.expect("an answer"), 42);

    // The peer goes, and another one comes: nobody but the connection notices.
    let monitor = cx.monitor(first);
    cx.exit_process(first, ExitReason::kill());
    cx.await_down(monitor).await;
    let tries = connection.call(&mut cx, Request::Tries).await;
    let tries = tries.expect("it answers");
    while connection
        .call(&mut cx, Request::Tries)
        .await
        .expect("it answers")
        == tries
    {
        cx.yield_now().await;
    }
    cx.spawn(peer).expect("a process");
    let answer = connection.call(&mut cx, Request::Query(22)).await;
    println!("by another peer: {answer:?}");
    assert_eq!(answer.expect("an answer"), 44);
}

fn main() -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().schedulers(2).build()?;
    vm.run(use_it).wait()?;
    vm.shutdown(Duration::from_secs(5)).wait();
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
