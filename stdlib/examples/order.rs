//! An order: what can be done with it depends on how far it is. A state machine refuses the rest by itself, cancels an
//! order that nobody pays in time, and takes the steps that follow from others by internal events.
//!
//! `cargo run -p otp-stdlib --example order`

use std::error::Error;
use std::time::Duration;

use otp_stdlib::gen_statem::{Enter, Event, GenStatem, Init, StatemRef, Transition};
use otp_stdlib::prelude::NoMessage;
use otp_vm::{CallError, Context, Vm};
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy)]
struct New {
    price: u64,
    pay_within: Duration,
}

struct Order {
    new: New,
    paid: u64,
    history: Vec<State>,
}

#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
enum State {
    Placed,
    Paid,
    Packed,
    Shipped,
    Cancelled,
}

#[derive(Serialize, Deserialize)]
enum Command {
    Pay(u64),
    Ship,
    Cancel,
    History,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Answer {
    Done(State),
    /// Not in this state.
    Refused(State),
    History(Vec<State>),
}

#[derive(Serialize, Deserialize)]
enum Step {
    Pack,
}

#[derive(Serialize, Deserialize)]
enum Over {
    NotPaid,
}

impl GenStatem for Order {
    type Args = New;
    type State = State;
    type Call = Command;
    type Reply = Answer;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Internal = Step;
    type Timeout = Over;
    type TimeoutName = NoMessage;

    async fn init(new: New, _cx: &mut Context) -> Init<Self> {
        let order = Order {
            new,
            paid: 0,
            history: Vec::new(),
        };
        Init::ok(State::Placed, order).state_timeout(new.pay_within, Over::NotPaid)
    }

    async fn state_enter(&mut self, state: &State, _old: &State, _cx: &mut Context) -> Enter<Self> {
        self.history.push(*state);
        Enter::keep_state()
    }

    async fn handle_event(
        &mut self,
        state: &State,
        event: Event<Self>,
        _cx: &mut Context,
    ) -> Transition<Self> {
        match (state, event) {
            (State::Placed, Event::Call(from, Command::Pay(amount))) => {
                self.paid += amount;
                if self.paid < self.new.price {
                    // The time for the rest goes on.
                    return Transition::keep_state().reply(from, Answer::Done(State::Placed));
                }
                Transition::next_state(State::Paid)
                    .reply(from, Answer::Done(State::Paid))
                    .next_event(Event::Internal(Step::Pack))
            }
            (State::Placed, Event::StateTimeout(Over::NotPaid)) => {
                Transition::next_state(State::Cancelled)
            }
            (State::Paid, Event::Internal(Step::Pack)) => Transition::next_state(State::Packed),
            (State::Packed, Event::Call(from, Command::Ship)) => {
                Transition::next_state(State::Shipped).reply(from, Answer::Done(State::Shipped))
            }
            (State::Placed | State::Paid | State::Packed, Event::Call(from, Command::Cancel)) => {
                Transition::next_state(State::Cancelled).reply(from, Answer::Done(State::Cancelled))
            }
            (_, Event::Call(from, Command::History)) => {
                Transition::keep_state().reply(from, Answer::History(self.history.clone()))
            }
            (state, Event::Call(from, _)) => {
                Transition::keep_state().reply(from, Answer::Refused(*state))
            }
            (state, event) => unreachable!("{event:?} when {state:?}"),
        }
    }
}

async fn place(cx: &mut Context, pay_within: Duration) -> StatemRef<Order> {
    let new = New {
        price: 30,
        pay_within,
    };
    Order::start_link(cx, new).await.expect("it starts")
}

async fn sell(mut cx: Context) -> Result<(), CallError> {
    use Command::{Cancel, History, Pay, Ship};

    let order = place(&mut cx, Duration::from_secs(3600)).await;
    assert_eq!(
        order.call(&mut cx, Ship).await?,
        Answer::Refused(State::Placed)
    );
    assert_eq!(
        order.call(&mut cx, Pay(10)).await?,
        Answer::Done(State::Placed)
    );
    assert_eq!(
        order.call(&mut cx, Pay(20)).await?,
        Answer::Done(State::Paid)
    );
    // It is packed before anything else is looked at.
    assert_eq!(
        order.call(&mut cx, Ship).await?,
        Answer::Done(State::Shipped)
    );
    assert_eq!(
        order.call(&mut cx, Cancel).await?,
        Answer::Refused(State::Shipped)
    );
    let history = order.call(&mut cx, History).await?;
    println!("{history:?}");
    let steps = vec![State::Placed, State::Paid, State::Packed, State::Shipped];
    assert_eq!(history, Answer::History(steps));

    let forgotten = place(&mut cx, Duration::from_millis(10)).await;
    let cancelled = Answer::History(vec![State::Placed, State::Cancelled]);
    while forgotten.call(&mut cx, History).await? != cancelled {
        cx.yield_now().await;
    }
    let late = forgotten.call(&mut cx, Pay(30)).await?;
    println!("too late: {late:?}");
    assert_eq!(late, Answer::Refused(State::Cancelled));
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().schedulers(2).build()?;
    vm.run(sell).wait()??;
    vm.shutdown(Duration::from_secs(5)).wait();
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
