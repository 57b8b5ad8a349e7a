//! What comes that a machine does not expect, what it costs, and whom it obeys.

use std::time::Duration;

use otp_heap::Term;
use otp_stdlib::gen_statem::{Event, EventType, GenStatem, Init, StatemRef, Transition};
use otp_stdlib::prelude::*;
use otp_vm::{CallError, Context, DecodeError, ExitReason, Timeout, Vm};
use serde::{Deserialize, Serialize};

use super::common::{self, LIMIT, run};
use super::deeds::{call, down_of, start};
use super::stage::{SECOND, atom, ms, simulated};
use super::suite::{Answer, Args, Call, MODES, Suite};

/// Counts what was put off until it is open.
struct Gate {
    seen: Vec<u32>,
    witness: Option<otp_vm::Pid>,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
enum State {
    Shut,
    Ajar,
    Open,
}

#[derive(Serialize, Deserialize)]
enum Request {
    Turn(State),
    Seen,
    Pass(u32),
}

impl GenStatem for Gate {
    type Args = Option<otp_vm::Pid>;
    type State = State;
    type Call = Request;
    type Reply = Vec<u32>;
    type Cast = u32;
    type Info = NoMessage;
    type Internal = u32;
    type Timeout = NoMessage;
    type TimeoutName = NoMessage;

    async fn init(witness: Option<otp_vm::Pid>, _: &mut Context) -> Init<Self> {
        Init::ok(
            State::Shut,
            Self {
                seen: vec![],
                witness,
            },
        )
    }

    async fn handle_event(
        &mut self,
        state: &State,
        event: Event<Self>,
        _: &mut Context,
    ) -> Transition<Self> {
        match (state, event) {
            (_, Event::Call(from, Request::Turn(to))) => {
                Transition::next_state(to).reply(from, vec![])
            }
            (_, Event::Call(from, Request::Seen)) => {
                Transition::keep_state().reply(from, self.seen.clone())
            }
            (State::Open, Event::Cast(n)) => {
                self.seen.push(n);
                // Internal ones come before what was postponed.
                Transition::keep_state().next_event(Event::Internal(n + 100))
            }
            (State::Open, Event::Internal(n)) => {
                self.seen.push(n);
                Transition::keep_state()
            }
            (State::Open, Event::Call(from, Request::Pass(n))) => {
                self.seen.push(n);
                Transition::keep_state().reply(from, vec![n])
            }
            _ => Transition::keep_state().postpone(),
        }
    }

    async fn handle_unknown(
        &mut self,
        state: &State,
        event_type: EventType<NoMessage>,
        content: Term<'_>,
        _: DecodeError,
        cx: &mut Context,
    ) -> Transition<Self> {
        match (state, event_type) {
            (State::Open, EventType::Info) => {
                cx.send(self.witness.unwrap(), &content.to_string())
                    .unwrap();
                Transition::keep_state()
            }
            _ => Transition::keep_state().postpone(),
        }
    }

    async fn terminate(&mut self, reason: &ExitReason, state: &State, cx: &mut Context) {
        if let Some(witness) = self.witness {
            cx.send(witness, &(reason, state)).unwrap();
        }
    }
}

async fn turn(cx: &mut Context, gate: &StatemRef<Gate>, to: State) {
    gate.call(cx, Request::Turn(to)).await.expect("it turns");
}

#[test]
fn what_is_postponed_keeps_its_order_through_all_states() {
    simulated(async |mut cx: Context| {
        let gate = Gate::start_link(&mut cx, None).await.unwrap();
        let pass = gate.send_request(&cx, Request::Pass(0)).unwrap();
        for n in 1..=3 {
            gate.cast(&cx, n).unwrap();
        }
        for state in [State::Ajar, State::Ajar, State::Shut] {
            turn(&mut cx, &gate, state).await;
        }
        gate.cast(&cx, 4).unwrap();
        assert_eq!(gate.call(&mut cx, Request::Seen).await.unwrap(), []);
        turn(&mut cx, &gate, State::Open).await;
        gate.cast(&cx, 5).unwrap();
        let seen = [0, 1, 101, 2, 102, 3, 103, 4, 104, 5, 105];
        assert_eq!(gate.call(&mut cx, Request::Seen).await.unwrap(), seen);
        let passed = pass.receive_response(&mut cx, Duration::ZERO).await;
        assert_eq!(passed.unwrap(), [0]);
    });
}

#[test]
fn an_unknown_event_can_be_postponed_too() {
    simulated(async |mut cx: Context| {
        let witness = Some(cx.pid());
        let gate = Gate::start(&mut cx, witness).await.unwrap();
        cx.send(gate.pid().unwrap(), &("what", 1)).unwrap();
        turn(&mut cx, &gate, State::Open).await;
        let told: String = cx.receive().await.decode().unwrap();
        assert_eq!(told, "{<<\"what\">>,1}");
    });
}

#[test]
fn an_unknown_call_is_answered_at_once_and_changes_nothing() {
    simulated(async |mut cx: Context| {
        let machine = start(&mut cx, MODES[0], Args::Ok).await;
        let other = StatemRef::<Gate>::from_pid(machine.pid().unwrap());
        let called = other.call_timeout(&mut cx, Request::Pass(1), LIMIT).await;
        assert!(matches!(called, Err(CallError::Decode(_))), "{called:?}");
        other.cast(&cx, 7).unwrap();
        cx.send(machine.pid().unwrap(), &atom("hej")).unwrap();
        assert_eq!(call(&mut cx, &machine, Call::Alive).await, Answer::Yes);
    });
}

#[test]
fn a_call_has_no_limit_unless_it_is_given_one() {
    simulated(async |mut cx: Context| {
        let gate = Gate::start(&mut cx, None).await.unwrap();
        let early = gate.call_timeout(&mut cx, Request::Pass(1), ms(10)).await;
        assert!(matches!(early, Err(CallError::Timeout)), "{early:?}");
        let waits = gate.clone();
        let body = async move |mut cx: Context| {
            waits.call(&mut cx, Request::Pass(2)).await.expect("passes");
        };
        let (_, monitor) = cx.spawn_monitor(body).unwrap();
        cx.sleep(3600 * SECOND).await;
        turn(&mut cx, &gate, State::Open).await;
        assert_eq!(down_of(&mut cx, monitor).await, ExitReason::normal());
    });
}

#[test]
fn one_that_cannot_go_on_without_an_answer_exits_as_in_otp() {
    simulated(async |mut cx: Context| {
        let body = async |mut cx: Context| {
            let nobody = StatemRef::<Suite>::from_name("nobody").unwrap();
            nobody
                .call_or_exit(&mut cx, Call::Hej, Timeout::Infinity)
                .await;
        };
        let (_, monitor) = cx.spawn_monitor(body).unwrap();
        let reason = down_of(&mut cx, monitor).await.to_string();
        assert_eq!(reason, "{noproc,{gen_statem,call,[nobody,hej,infinity]}}");
    });
}

#[test]
fn the_end_of_its_parent_ends_a_machine_that_traps_exits() {
    simulated(async |mut cx: Context| {
        let me = cx.pid();
        let body = async move |mut cx: Context| {
            let gate = Traps::start_link(&mut cx, me).await.unwrap();
            cx.send(me, &gate).unwrap();
            common::for_ever(&mut cx).await;
        };
        let parent = cx.spawn(body).unwrap();
        let machine: StatemRef<Traps> = cx.receive().await.decode().unwrap();
        let monitor = cx.monitor(machine.pid().unwrap());
        // From another it is an event.
        cx.exit_process(machine.pid().unwrap(), atom("other"));
        assert_eq!(machine.call(&mut cx, ()).await.unwrap(), "other");
        cx.exit_process(parent, atom("over"));
        assert_eq!(down_of(&mut cx, monitor).await, atom("over").into());
        let (reason, state): (ExitReason, String) = cx.receive().await.decode().unwrap();
        assert_eq!((reason, state), (atom("over").into(), "other".to_owned()));
    });
}

/// Its state is the last exit that it heard of.
struct Traps(otp_vm::Pid);

#[derive(Deserialize)]
enum Signal {
    #[serde(rename = "EXIT")]
    Exit(otp_vm::Pid, ExitReason),
}

impl GenStatem for Traps {
    type Args = otp_vm::Pid;
    type State = String;
    type Call = ();
    type Reply = String;
    type Cast = NoMessage;
    type Info = Signal;
    type Internal = NoMessage;
    type Timeout = NoMessage;
    type TimeoutName = NoMessage;

    async fn init(witness: otp_vm::Pid, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(true);
        Init::ok(String::new(), Self(witness))
    }

    async fn handle_event(
        &mut self,
        state: &String,
        event: Event<Self>,
        _: &mut Context,
    ) -> Transition<Self> {
        match event {
            Event::Call(from, ()) => Transition::keep_state().reply(from, state.clone()),
            Event::Info(Signal::Exit(from, reason)) => {
                assert_eq!(from, self.0);
                Transition::next_state(reason.to_string())
            }
            event => panic!("{event:?}"),
        }
    }

    async fn terminate(&mut self, reason: &ExitReason, state: &String, cx: &mut Context) {
        cx.send(self.0, &(reason, state)).unwrap();
    }
}

#[test]
fn a_machine_is_a_child_like_any_other_and_ends_in_order() {
    simulated(async |mut cx: Context| {
        let witness = Some(cx.pid());
        let child = ChildSpec::worker("gate", move |cx| Gate::start_link(cx, witness).name("gate"));
        let flags = SupervisorFlags::one_for_one();
        let tree = Supervisor::start_link(&mut cx, flags, vec![child]).await;
        let tree = tree.unwrap();
        let gate = StatemRef::<Gate>::from_name("gate").unwrap();
        turn(&mut cx, &gate, State::Open).await;
        let first = gate.whereis(&cx).unwrap();
        let monitor = cx.monitor(first);
        cx.exit_process(first, ExitReason::kill());
        down_of(&mut cx, monitor).await;
        while gate.whereis(&cx).is_none_or(|pid| pid == first) {
            cx.sleep(ms(1)).await;
        }
        // It begins anew.
        gate.cast(&cx, 1).unwrap();
        assert_eq!(gate.call(&mut cx, Request::Seen).await.unwrap(), []);
        cx.unlink(tree.pid().unwrap());
        tree.stop(&mut cx, ExitReason::normal(), LIMIT)
            .await
            .unwrap();
        assert_eq!(gate.whereis(&cx), None);
    });
}

#[test]
fn a_machine_ends_in_order_with_its_vm() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let (sender, ended) = std::sync::mpsc::channel();
    let run = vm.run(async move |mut cx: Context| {
        Drops::start(&mut cx, sender).await.unwrap();
    });
    run.wait().unwrap();
    vm.shutdown(LIMIT).wait();
    assert_eq!(ended.try_recv().unwrap(), "shutdown");
}

#[test]
fn a_program_outside_calls_and_casts() {
    let vm = Vm::builder().schedulers(1).build().unwrap();
    let keeper = super::names::DummyVia::default();
    let via = keeper.clone();
    let run = vm.run(async move |mut cx: Context| {
        let gate = Gate::start(&mut cx, None).via(&via, "gate").await;
        gate.unwrap()
    });
    let gate = run.wait().unwrap();
    let by_via = StatemRef::<Gate>::via(&keeper, "gate").unwrap();
    // It waits for the state in which it is answered.
    let pass = gate.on(&vm).call(Request::Pass(7));
    let early = gate.on(&vm).call_timeout(Request::Pass(8), ms(1)).wait();
    assert!(matches!(early.unwrap(), Err(CallError::Timeout)));
    for gate in [&gate, &by_via] {
        gate.on(&vm).cast(1).unwrap();
    }
    let turned = by_via.on(&vm).call(Request::Turn(State::Open)).wait();
    assert_eq!(turned.unwrap().unwrap(), []);
    assert_eq!(pass.wait().unwrap().unwrap(), [7]);
    let count = |seen: Vec<u32>| seen.iter().filter(|&&n| n == 1).count();
    while count(gate.on(&vm).call(Request::Seen).wait().unwrap().unwrap()) < 2 {}
    vm.shutdown(LIMIT).wait();
}

/// Tells a thread of its end.
struct Drops(std::sync::mpsc::Sender<String>);

impl GenStatem for Drops {
    type Args = std::sync::mpsc::Sender<String>;
    type State = u8;
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Internal = NoMessage;
    type Timeout = NoMessage;
    type TimeoutName = NoMessage;

    async fn init(sender: Self::Args, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(true);
        Init::ok(0, Self(sender))
    }

    async fn handle_event(
        &mut self,
        _: &u8,
        event: Event<Self>,
        _: &mut Context,
    ) -> Transition<Self> {
        panic!("{event:?}")
    }

    async fn terminate(&mut self, reason: &ExitReason, _: &u8, _: &mut Context) {
        self.0.send(reason.to_string()).unwrap();
    }
}

#[test]
fn an_idle_machine_is_small() {
    let bytes = run(async |mut cx: Context| {
        let small = Small::start(&mut cx, ()).await.unwrap();
        small.call(&mut cx, ()).await.unwrap();
        let pid = small.pid().unwrap();
        cx.process_info(pid).expect("it is alive").memory
    });
    println!("an idle gen_statem with 9 bytes of state and data: {bytes} bytes");
    assert!(bytes <= 900, "{bytes} bytes");
}

struct Small(u64);

impl GenStatem for Small {
    type Args = ();
    type State = bool;
    type Call = ();
    type Reply = u64;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Internal = NoMessage;
    type Timeout = NoMessage;
    type TimeoutName = NoMessage;

    async fn init(_: (), _: &mut Context) -> Init<Self> {
        Init::ok(false, Self(0))
    }

    async fn handle_event(
        &mut self,
        state: &bool,
        event: Event<Self>,
        _: &mut Context,
    ) -> Transition<Self> {
        self.0 += 1;
        match event {
            Event::Call(from, ()) => Transition::next_state(!state).reply(from, self.0),
            event => panic!("{event:?}"),
        }
    }
}
