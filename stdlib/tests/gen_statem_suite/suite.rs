//! The state machine of OTP's suite.

use std::time::Duration;

use otp_stdlib::gen_statem::{Event, FormatStatus, From, GenStatem, Init, Transition, When};
use otp_stdlib::sys;
use otp_vm::{Atom, Context, ExitReason, OwnedTerm, Pid, Ref, Timeout, from_term};
use serde::{Deserialize, Serialize};

use super::stage::{SECOND, atom, ms};

/// Whether OTP's case would have a function for each state, or one whose states are lists besides.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Mode {
    StateFunctions,
    HandleEventFunction,
}

/// The groups of OTP's suite run their cases in both.
pub const MODES: [Mode; 2] = [Mode::StateFunctions, Mode::HandleEventFunction];

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Name {
    Idle,
    Timeout,
    Timeout2,
    WforConf,
    Connected,
    State0,
    HiberIdle,
    HiberWakeup,
    NextEvents,
}

/// A name alone, or in a list, as the suite has them to test states that are no atoms.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum State {
    Plain(Name),
    Listed(Vec<Name>),
}

impl State {
    pub fn name(&self) -> Name {
        match self {
            Self::Plain(name) => *name,
            Self::Listed(names) => names[0],
        }
    }
}

/// The machine, by its data.
pub struct Suite {
    pub mode: Mode,
    pub data: Data,
}

#[derive(Clone)]
pub enum Data {
    Text(&'static str),
    /// Who asked for a timeout, and of how long.
    Asked(From<Answer>, u64),
    Timer(From<Answer>, Ref),
    HiberTimer(Ref),
    Left(Vec<&'static str>),
    CrashTerminate,
    /// `terminate` calls what is not there.
    UndefInTerminate,
    CrashInFormatStatus,
    Pid(Pid),
    /// Once the code was changed: from which version, what was there before, and to what.
    Changed(String, String, Mode),
    /// All that is shown is wrapped in its name.
    Wraps,
}

impl Data {
    fn shown(&self) -> OwnedTerm {
        match self {
            Self::Text(text) => sys::term(text),
            Self::Pid(pid) => sys::term(pid),
            Self::Changed(version, before, mode) => sys::term(&(version, before, mode)),
            Self::Wraps => sys::term(&atom("wraps")),
            _ => sys::term("something"),
        }
    }
}

/// `{Name, Term}`.
fn wrapped(name: &str, term: &OwnedTerm) -> OwnedTerm {
    sys::term(&(atom(name), term))
}

fn all_wrapped(name: &str, terms: &[OwnedTerm]) -> Vec<OwnedTerm> {
    terms.iter().map(|term| wrapped(name, term)).collect()
}

#[derive(Clone)]
pub enum Args {
    Ok,
    Data(Data),
    Ignore,
    Stop,
    Sleep,
    Hiber,
    HiberNow,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub enum Call {
    #[serde(rename = "alive?")]
    Alive,
    Hping,
    StartHtimer(Pid, u64),
    Connect,
    BadReply,
    BadEvent,
    BadTimeout,
    TooFar,
    Panic,
    DelayedAnswer(u64),
    Timeout(u64),
    Confirm,
    Msg(Ref),
    Disconnect,
    Get,
    GetCallbackMode,
    Stop,
    StopWith(ExitReason),
    HibernateSync,
    WakeupSync,
    SnoozeSync,
    Hej,
}

/// What does not serialise when it is told so.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub enum Fragile {
    Ok,
    Bad,
}

impl Serialize for Fragile {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Ok => serializer.serialize_unit_variant("Fragile", 0, "ok"),
            Self::Bad => Err(serde::ser::Error::custom("no term")),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    Yes,
    Ok,
    Accept,
    Ack(Ref),
    State(Name, String),
    Stopped,
    Delayed,
    #[serde(rename = "eh?")]
    Eh,
    Hpong,
    Hibernating,
    GoodMorning,
    PleaseJustFiveMore,
    #[serde(rename = "alive!")]
    Alive,
    Mode(Mode),
    Fragile(Fragile),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Cast {
    #[serde(rename = "alive?")]
    Alive(Pid),
    Hping(Pid),
    Connect(Pid),
    Confirm,
    Ping(Pid, Ref),
    Msg(Pid, Ref),
    Disconnect,
    PostponeEvent,
    Timeout(u64),
    NextEvent,
    Stop,
    StopWith(ExitReason),
    HibernateAsync,
    WakeupAsync,
    SnoozeAsync,
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Info {
    Hping(Pid),
    HibernateLater,
    HibernateNow,
    Timeout(Ref, Atom),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Content {
    Idle,
    Zero,
    ShouldBeCancelled,
    Htimer(Pid),
    Fragile(Fragile),
}

#[derive(Debug, Serialize, Deserialize)]
pub enum Internal {
    Text(String),
    Fragile(Fragile),
}

/// What the machine tells by a message of its own.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub enum Told {
    Yes,
    Accept,
    Ack(Ref),
    Pong(Ref),
    Hpong(Pid),
    HtimerTimeout(Pid),
}

fn tell(cx: &Context, whom: Pid, what: Told) {
    cx.send(whom, &what).expect("a message");
}

type Next = Transition<Suite>;

impl GenStatem for Suite {
    type Args = (Mode, Args);
    type State = State;
    type Call = Call;
    type Reply = Answer;
    type Cast = Cast;
    type Info = Info;
    type Internal = Internal;
    type Timeout = Content;
    type TimeoutName = String;

    async fn init((mode, args): (Mode, Args), cx: &mut Context) -> Init<Self> {
        let sleeps = matches!(args, Args::HiberNow);
        let (name, data) = match args {
            Args::Ok => (Name::Idle, Data::Text("data")),
            Args::Data(data) => (Name::Idle, data),
            Args::Ignore => return Init::ignore(),
            Args::Stop => return Init::stop(atom("stopped")),
            Args::Sleep => {
                cx.sleep(SECOND).await;
                (Name::Idle, Data::Text("data"))
            }
            Args::Hiber | Args::HiberNow => (Name::HiberIdle, Data::Text("")),
        };
        let init = Init::ok(State::Plain(name), Suite { mode, data });
        if sleeps { init.hibernate() } else { init }
    }

    async fn handle_event(
        &mut self,
        state: &State,
        event: Event<Self>,
        cx: &mut Context,
    ) -> Transition<Self> {
        if let Event::Call(from, Call::GetCallbackMode) = event {
            return Next::keep_state().reply(from, Answer::Mode(self.mode));
        }
        match state.name() {
            Name::Idle => self.idle(state, event, cx).await,
            Name::Timeout => self.timeout(event, cx),
            Name::Timeout2 => self.timeout2(event),
            Name::WforConf => self.wfor_conf(state, event, cx),
            Name::Connected => self.connected(state, event, cx),
            Name::State0 => self
                .common(state, event, cx)
                .unwrap_or_else(|_| Next::keep_state()),
            Name::HiberIdle => self.hiber_idle(state, event, cx),
            Name::HiberWakeup => self.hiber_wakeup(state, event, cx),
            Name::NextEvents => self.next_events(state, event, cx),
        }
    }

    async fn terminate(&mut self, _reason: &ExitReason, _state: &State, cx: &mut Context) {
        match self.data {
            Data::CrashTerminate => cx.exit(ExitReason::new(&(atom("crash"), atom("terminate")))),
            Data::UndefInTerminate => panic!("undef: terminate"),
            _ => {}
        }
    }

    fn system_get_data(&self) -> OwnedTerm {
        self.data.shown()
    }

    async fn code_change(
        &mut self,
        _state: &mut State,
        old_version: OwnedTerm,
        extra: OwnedTerm,
        _cx: &mut Context,
    ) -> Result<(), ExitReason> {
        let mode = from_term(extra.root()).map_err(|_| ExitReason::from(atom("bad_mode")))?;
        let before = self.data.shown().to_string();
        self.data = Data::Changed(old_version.to_string(), before, mode);
        self.mode = mode;
        Ok(())
    }

    fn format_status(&self, state: &State, mut status: FormatStatus) -> FormatStatus {
        if let Data::Wraps = self.data {
            status.state = wrapped("state", &status.state);
            status.data = wrapped("data", &status.data);
            status.queue = all_wrapped("queue", &status.queue);
            status.postponed = all_wrapped("postponed", &status.postponed);
            status.timeouts = all_wrapped("timeouts", &status.timeouts);
            status.log = all_wrapped("log", &status.log);
            let reason = status
                .reason
                .map(|reason| wrapped("reason", &reason.to_term()));
            status.reason = reason.map(ExitReason::from);
            return status;
        }
        if status.reason.is_none() {
            status.set_state(&atom("format_status_called"));
            status.set_data(&atom("format_data"));
            return status;
        }
        let formatted = atom("formatted");
        status.set_state(&(formatted, state));
        match self.data {
            Data::Text(text) => status.set_data(&(formatted, text)),
            Data::CrashTerminate => status.set_data(&(formatted, atom("crash_terminate"))),
            Data::CrashInFormatStatus => panic!("crash, format_status"),
            _ => {}
        }
        status
    }
}

impl Suite {
    fn next(&self, name: Name) -> Next {
        Next::next_state(match self.mode {
            Mode::StateFunctions => State::Plain(name),
            Mode::HandleEventFunction => State::Listed(vec![name]),
        })
    }

    async fn idle(&mut self, state: &State, event: Event<Self>, cx: &mut Context) -> Next {
        let keep = Next::keep_state();
        match event {
            Event::Info(Info::Hping(pid)) | Event::Cast(Cast::Hping(pid)) => {
                tell(cx, pid, Told::Hpong(cx.pid()));
                keep
            }
            Event::Call(from, Call::Hping) => keep.reply(from, Answer::Hpong),
            Event::Call(from, Call::StartHtimer(pid, after)) => keep
                .reply(from, Answer::Ok)
                .timeout(ms(after), Content::Htimer(pid)),
            Event::Timeout(Content::Htimer(pid)) => {
                tell(cx, pid, Told::HtimerTimeout(cx.pid()));
                keep
            }
            Event::Cast(Cast::Connect(pid)) => {
                tell(cx, pid, Told::Accept);
                // A timeout that never comes.
                self.next(Name::WforConf)
                    .timeout(When::Infinity, Content::Zero)
            }
            Event::Call(from, Call::Connect) => {
                from.reply(cx, &Answer::Accept).unwrap();
                self.next(Name::WforConf)
                    .timeout(Timeout::Infinity, Content::Zero)
            }
            Event::Call(from, Call::BadReply) => keep.reply(from, Answer::Fragile(Fragile::Bad)),
            Event::Call(_, Call::BadEvent) => {
                keep.next_event(Event::Internal(Internal::Fragile(Fragile::Bad)))
            }
            Event::Call(_, Call::BadTimeout) => {
                keep.state_timeout(ms(4711), Content::Fragile(Fragile::Bad))
            }
            Event::Call(_, Call::TooFar) => keep.state_timeout(Duration::MAX, Content::Zero),
            Event::Call(_, Call::Panic) => panic!("as told"),
            Event::Call(from, Call::DelayedAnswer(after)) => {
                cx.sleep(ms(after)).await;
                from.reply(cx, &Answer::Delayed).unwrap();
                keep
            }
            Event::Call(from, Call::Timeout(time)) => {
                self.data = Data::Asked(from, time);
                self.next(Name::Timeout)
                    .timeout(at(cx, time), Content::Idle)
            }
            Event::Cast(Cast::Timeout(time)) => keep.timeout(at(cx, time), Content::Idle),
            Event::Cast(Cast::PostponeEvent) => keep.postpone(),
            Event::Cast(Cast::NextEvent) => {
                self.data = Data::Left(vec!["a", "b", "c"]);
                let event = |text: &str| Event::Internal(Internal::Text(text.into()));
                self.next(Name::NextEvents)
                    .next_event(event("a"))
                    .next_event(event("b"))
                    .next_event(event("c"))
            }
            event => match self.common(state, event, cx) {
                Ok(next) => next,
                Err(Event::Call(from, _)) => keep.reply(from, Answer::Eh),
                Err(_) => Next::stop(atom("unexpected")),
            },
        }
    }

    fn timeout(&mut self, event: Event<Self>, cx: &mut Context) -> Next {
        match (event, self.data.clone()) {
            (Event::Timeout(Content::Idle), Data::Asked(from, time)) => {
                let timer = cx.start_timer(ms(time), cx.pid(), &atom("ok")).unwrap();
                self.data = Data::Timer(from, timer);
                Next::keep_state().timeout(Duration::ZERO, Content::Zero)
            }
            (Event::Timeout(Content::Zero), Data::Timer(..)) => self
                .next(Name::Timeout2)
                .timeout(ms(1), Content::ShouldBeCancelled)
                .postpone(),
            _ => Next::keep_state(),
        }
    }

    fn timeout2(&mut self, event: Event<Self>) -> Next {
        match (event, self.data.clone()) {
            (Event::Timeout(Content::Zero), _) => Next::keep_state(),
            (Event::Timeout(_), _) => Next::stop(atom("should_be_cancelled")),
            (Event::Info(Info::Timeout(timer, _)), Data::Timer(from, kept)) if timer == kept => {
                self.data = Data::Text("state");
                self.next(Name::Idle).reply(from, Answer::Ok)
            }
            _ => Next::keep_state(),
        }
    }

    fn wfor_conf(&mut self, state: &State, event: Event<Self>, cx: &mut Context) -> Next {
        match event {
            Event::Call(from, Call::Confirm) => self.next(Name::Connected).reply(from, Answer::Yes),
            Event::Cast(Cast::Ping(..)) => Next::keep_state().postpone(),
            Event::Cast(Cast::Confirm) => self.next(Name::Connected),
            event => match self.common(state, event, cx) {
                Ok(next) => next,
                Err(Event::Call(from, _)) => self.next(Name::Idle).reply(from, Answer::Eh),
                Err(_) => Next::keep_state(),
            },
        }
    }

    fn connected(&mut self, state: &State, event: Event<Self>, cx: &mut Context) -> Next {
        match event {
            Event::Call(from, Call::Msg(msg)) => Next::keep_state().reply(from, Answer::Ack(msg)),
            Event::Cast(Cast::Msg(from, msg)) => {
                tell(cx, from, Told::Ack(msg));
                Next::keep_state()
            }
            Event::Call(from, Call::Disconnect) => self.next(Name::Idle).reply(from, Answer::Yes),
            Event::Cast(Cast::Disconnect) => self.next(Name::Idle),
            Event::Cast(Cast::Ping(pid, tag)) => {
                tell(cx, pid, Told::Pong(tag));
                Next::keep_state()
            }
            event => match self.common(state, event, cx) {
                Ok(next) => next,
                Err(Event::Call(from, _)) => Next::keep_state().reply(from, Answer::Eh),
                Err(_) => Next::keep_state(),
            },
        }
    }

    fn hiber_idle(&mut self, state: &State, event: Event<Self>, cx: &mut Context) -> Next {
        match event {
            Event::Call(from, Call::Alive) => Next::keep_state().reply(from, Answer::Alive),
            Event::Call(from, Call::HibernateSync) => self
                .next(Name::HiberWakeup)
                .reply(from, Answer::Hibernating)
                .hibernate(),
            Event::Info(Info::HibernateLater) => {
                let timer = cx.start_timer(ms(1000), cx.pid(), &atom("hibernate"));
                self.data = Data::HiberTimer(timer.unwrap());
                Next::keep_state()
            }
            Event::Info(Info::HibernateNow) => Next::keep_state().hibernate(),
            Event::Info(Info::Timeout(timer, _)) if matches!(self.data, Data::HiberTimer(kept) if kept == timer) =>
            {
                self.data = Data::Text("");
                Next::keep_state().hibernate()
            }
            Event::Cast(Cast::HibernateAsync) => self.next(Name::HiberWakeup).hibernate(),
            event => self
                .common(state, event, cx)
                .unwrap_or_else(|_| Next::keep_state()),
        }
    }

    fn hiber_wakeup(&mut self, state: &State, event: Event<Self>, cx: &mut Context) -> Next {
        match event {
            Event::Call(from, Call::WakeupSync) => {
                self.next(Name::HiberIdle).reply(from, Answer::GoodMorning)
            }
            Event::Call(from, Call::SnoozeSync) => Next::keep_state()
                .reply(from, Answer::PleaseJustFiveMore)
                .hibernate(),
            Event::Cast(Cast::WakeupAsync) => self.next(Name::HiberIdle),
            Event::Cast(Cast::SnoozeAsync) => Next::keep_state().hibernate(),
            event => self
                .common(state, event, cx)
                .unwrap_or_else(|_| Next::keep_state()),
        }
    }

    fn next_events(&mut self, state: &State, event: Event<Self>, cx: &mut Context) -> Next {
        match (event, &mut self.data) {
            (Event::Internal(Internal::Text(text)), Data::Left(left)) if left[0] == text => {
                left.remove(0);
                Next::keep_state()
            }
            (event, _) => self
                .common(state, event, cx)
                .unwrap_or_else(|_| Next::keep_state()),
        }
    }

    /// What is the same in many states. Gives the event back if it is not.
    fn common(
        &mut self,
        state: &State,
        event: Event<Self>,
        cx: &mut Context,
    ) -> Result<Next, Event<Self>> {
        Ok(match event {
            Event::Call(from, Call::Get) => {
                let data = match &self.data {
                    Data::Text(text) => (*text).to_owned(),
                    Data::Left(left) => left.concat(),
                    _ => "something".to_owned(),
                };
                Next::keep_state().reply(from, Answer::State(state.name(), data))
            }
            Event::Call(from, Call::Stop) => {
                Next::stop(ExitReason::normal()).reply(from, Answer::Stopped)
            }
            Event::Call(from, Call::StopWith(reason)) => {
                Next::stop(reason).reply(from, Answer::Stopped)
            }
            Event::Cast(Cast::Stop) => Next::stop(ExitReason::normal()),
            Event::Cast(Cast::StopWith(reason)) => Next::stop(reason),
            Event::Call(from, Call::Alive) => Next::keep_state().reply(from, Answer::Yes),
            Event::Cast(Cast::Alive(pid)) => {
                tell(cx, pid, Told::Yes);
                Next::keep_state()
            }
            event => return Err(event),
        })
    }
}

/// So many milliseconds from now, as a point in time.
fn at(cx: &Context, after: u64) -> When {
    When::At(cx.monotonic_time() + after * 1_000_000)
}
