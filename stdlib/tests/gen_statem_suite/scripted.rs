//! A machine that is a function: of OTP's cases that bring a machine of their own.

use otp_stdlib::gen_statem::{Enter, Event, From, GenStatem, Init, StatemRef, Transition};
use otp_stdlib::sys;
use otp_vm::{
    Atom, BoxFuture, CallError, Context, ExitReason, Message, OwnedTerm, Pid, Ref, Timeout,
    from_term, to_term,
};
use serde::{Deserialize, Serialize};

use super::deeds::is_noproc;
use super::stage::{atom, ms};

/// All that they say to each other.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Word {
    Echo,
    Repeat,
    Test,
    Check,
    Go(u64),
    Stop(ExitReason),
    N(u32),
    A,
    B,
    MessageToSelf,
    Buffer(Vec<From<String>>),
    /// What is to be replied to whom.
    Reply(From<String>, String),
    StopAndReply(From<String>, String),
    Asked(From<String>),
    Hej,
}

pub type Said = Event<Scripted>;
pub type Next = Transition<Scripted>;
type Handler = for<'a> fn(&'a mut Data, &'a str, Said, &'a mut Context) -> BoxFuture<'a, Next>;
type Entering = fn(&mut Data, &str, &str, &Context) -> Enter<Scripted>;

/// What they keep.
#[derive(Default)]
pub struct Data {
    pub n: u32,
    pub witness: Option<Pid>,
    /// Where replies go that nobody called for.
    pub from: Option<From<String>>,
    pub words: Vec<Word>,
    pub time: u64,
}

pub struct Scripted {
    data: Data,
    handler: Handler,
    entering: Entering,
}

impl Scripted {
    pub fn new(data: Data, handler: Handler) -> Self {
        Self {
            data,
            handler,
            entering: |_, _, _, _| Enter::keep_state(),
        }
    }

    /// OTP's callback mode with `state_enter`.
    pub fn entering(mut self, entering: Entering) -> Self {
        self.entering = entering;
        self
    }

    pub fn init(self, state: &str) -> Init<Self> {
        Init::ok(atom(state), self)
    }
}

impl GenStatem for Scripted {
    type Args = Init<Self>;
    type State = Atom;
    type Call = Word;
    type Reply = String;
    type Cast = Word;
    type Info = Word;
    type Internal = Word;
    type Timeout = Word;
    type TimeoutName = &'static str;

    async fn init(init: Init<Self>, _cx: &mut Context) -> Init<Self> {
        init
    }

    async fn handle_event(
        &mut self,
        state: &Atom,
        event: Event<Self>,
        cx: &mut Context,
    ) -> Transition<Self> {
        (self.handler)(&mut self.data, state.as_str(), event, cx).await
    }

    fn system_get_data(&self) -> OwnedTerm {
        sys::term(&self.data.n)
    }

    async fn state_enter(&mut self, state: &Atom, old: &Atom, cx: &mut Context) -> Enter<Self> {
        (self.entering)(&mut self.data, state.as_str(), old.as_str(), cx)
    }
}

pub type Machine = StatemRef<Scripted>;

/// Starts it, linked; exits are trapped.
pub async fn start_link(cx: &mut Context, init: Init<Scripted>) -> Machine {
    cx.trap_exit(true);
    Scripted::start_link(cx, init).await.expect("it starts")
}

/// A caller made by hand: its replies are messages.
pub fn from_by_hand(cx: &Context) -> From<String> {
    let term = to_term(&(cx.pid(), cx.alias())).expect("a pair");
    from_term(term.root()).expect("a caller")
}

/// The state goes to `next`.
pub fn to(next: &str) -> Next {
    Next::next_state(atom(next))
}

pub fn keep() -> Next {
    Next::keep_state()
}

/// No event that the script knows.
pub fn surprise(state: &str, event: &Said) -> ! {
    panic!("{event:?} in {state}")
}

/// All that comes until nothing does for 500 ms: texts, those of replies, and the reasons of linked ends.
pub async fn flush(cx: &mut Context) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(message) = cx.receive_timeout(ms(500)).await {
        all.push(text(&message));
    }
    all
}

fn text(message: &Message) -> String {
    if let Some(exit) = message.exit() {
        return format!("EXIT {}", exit.reason);
    }
    let reply = message.decode::<(Ref, String)>();
    reply
        .map(|(_, text)| text)
        .or_else(|_| message.decode::<String>())
        .unwrap_or_else(|_| panic!("nothing of the kind was to come: {message}"))
}

pub async fn call(cx: &mut Context, machine: &Machine, word: Word) -> String {
    machine.call(cx, word).await.expect("an answer")
}

/// Nobody is there, and nothing comes.
pub async fn gone(cx: &mut Context, machine: &Machine) {
    let called: Result<String, CallError> =
        machine.call_timeout(cx, Word::Hej, Timeout::Infinity).await;
    is_noproc(called);
    assert_eq!(flush(cx).await, [""; 0]);
}
