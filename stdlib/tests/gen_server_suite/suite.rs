//! The server of the cases that were ported line by line, and the simulation that they run in: time is virtual.

use std::sync::mpsc;
use std::time::Duration;

use otp_stdlib::gen_server::{FormatStatus, From, NoHandleInfo, Terminated};
use otp_stdlib::prelude::*;
use otp_stdlib::proc_lib::CrashReport;
use otp_vm::simulation::Simulation;
use otp_vm::{Atom, Context, ExitReason, Message, OwnedTerm, Pid, Timeout, Vm};
use serde::{Deserialize, Serialize};

/// Each case runs in the orders of so many seeds.
const SEEDS: u64 = 10;

pub const SECOND: Duration = Duration::from_secs(1);

pub fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

pub fn atom(name: &str) -> Atom {
    Atom::new(name).expect("an atom")
}

/// The reports of a run, in order.
#[derive(Debug)]
pub enum Report {
    Server {
        pid: Pid,
        text: String,
        last_message: Option<String>,
        state: String,
        reason: String,
        client: Option<Pid>,
        log: Vec<String>,
    },
    NoHandleInfo(String),
    Crash(Box<CrashReport>),
}

pub type Reports = mpsc::Receiver<Report>;

/// Runs `body` as a process of a simulated VM, under some seeds.
pub fn simulate<B, F>(body: B)
where
    B: Fn(Context, Reports) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let explored = Simulation::builder().explore(0..SEEDS, |simulation| {
        let (sender, reports) = mpsc::channel();
        let vm = Vm::builder()
            .simulate(simulation)
            .report_handler(move |report| {
                let text = |term: &otp_vm::OwnedTerm| term.to_string();
                let report = if let Some(report) = report.downcast_ref::<Terminated>() {
                    Report::Server {
                        pid: report.pid,
                        text: report.format(otp_stdlib::proc_lib::Format::new()),
                        last_message: report.last_message.as_ref().map(text),
                        state: text(&report.state),
                        reason: text(&report.reason),
                        client: report.client.map(|client| client.pid),
                        log: report.log.iter().map(text).collect(),
                    }
                } else if let Some(report) = report.downcast_ref::<NoHandleInfo>() {
                    let message = report.message.as_ref().map(text);
                    Report::NoHandleInfo(message.expect("a message of this test can be copied"))
                } else if let Some(report) = report.downcast_ref::<CrashReport>() {
                    Report::Crash(Box::new(report.clone()))
                } else {
                    return;
                };
                // A case that is over wants no report any more.
                let _ = sender.send(report);
            })
            .build()?;
        let body = body.clone();
        simulation.block_on(vm.run(move |cx| body(cx, reports)))??;
        simulation.block_on(vm.shutdown(SECOND))?;
        Ok(())
    });
    explored.unwrap_or_else(|failure| panic!("{failure}"));
}

/// As [`simulate`], for those that look at no report.
pub fn simulated<B, F>(body: B)
where
    B: Fn(Context) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    simulate(move |cx, _| body(cx));
}

/// The server of OTP's suite: what it does at a message depends on its state.
pub struct Suite(pub State);

#[derive(Clone)]
pub enum State {
    Empty,
    /// Shown as it is in reports.
    Shown(&'static str),
    CallWithin,
    ReplyTo(From<Answer>),
    DelayedCast(Pid),
    DelayedInfo(Pid),
    CrashTerminate,
    /// `terminate` calls what is not there.
    UndefInTerminate,
    /// `format_status` panics.
    CrashInFormatStatus,
    /// It does so with what is no text.
    ThrowInFormatStatus,
}

#[derive(Clone)]
pub enum Args {
    Ok,
    State(State),
    Ignore,
    Stop,
    Continue(Pid),
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum Answer {
    Ok,
    Delayed,
    False,
    True,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[expect(clippy::enum_variant_names, reason = "the words of OTP's suite")]
pub enum Call {
    StartedP,
    DelayedAnswer(u64),
    CallWithin(u64),
    NextCall,
    Stop,
    Crash,
    ExitShutdown,
    StopShutdown,
    ShutdownReason,
    StopShutdownReason,
    ContinueReply(Pid),
    ContinueNoreply(Pid),
}

#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::enum_variant_names, reason = "the words of OTP's suite")]
pub enum Cast {
    HandleCast(Pid),
    DelayedCast(Pid, u64),
    ContinueNoreply(Pid),
    Stop(Pid),
}

#[derive(Debug, Serialize, Deserialize)]
#[expect(clippy::enum_variant_names, reason = "the words of OTP's suite")]
pub enum Info {
    Timeout,
    HandleInfo(Pid),
    DelayedInfo(Pid, u64),
    Stop(Pid),
    AfterContinue(Pid),
    ContinueNoreply(Pid),
    ContinueContinue(Pid),
    ContinueStop,
    CallUndefFun,
}

pub enum Next {
    Message(Pid),
    Reply(Pid, From<Answer>),
    Continue(Pid),
    Stop,
}

/// Why the server stops when it is asked to tell so.
#[derive(Serialize, Deserialize)]
struct Tells(Pid, String);

fn tell(cx: &Context, whom: Pid, what: &str) {
    cx.send(whom, &(cx.pid(), what)).expect("a text");
}

/// What a server told, and who it was.
pub async fn told(cx: &mut Context) -> (Pid, String) {
    let told = cx.receive_as(Timeout::After(SECOND * 60)).await;
    told.expect("somebody tells something")
}

fn atom_reason(name: &str) -> ExitReason {
    atom(name).into()
}

fn to_itself(cx: &Context, info: &Info) {
    cx.send(cx.pid(), info).expect("a message");
}

impl GenServer for Suite {
    type Args = Args;
    type Call = Call;
    type Reply = Answer;
    type Cast = Cast;
    type Info = Info;
    type Continue = Next;

    async fn init(args: Args, cx: &mut Context) -> Init<Self> {
        match args {
            Args::Ok => Init::ok(Suite(State::Empty)),
            Args::State(state) => Init::ok(Suite(state)),
            Args::Ignore => Init::ignore(),
            Args::Stop => Init::stop(atom("stopped")),
            Args::Continue(pid) => {
                to_itself(cx, &Info::AfterContinue(pid));
                Init::ok(Suite(State::Empty)).and_continue(Next::Message(pid))
            }
        }
    }

    async fn handle_call(
        &mut self,
        request: Call,
        from: From<Answer>,
        cx: &mut Context,
    ) -> Reply<Self> {
        match request {
            Call::StartedP => Reply::new(Answer::Ok),
            Call::DelayedAnswer(after) => {
                self.0 = State::ReplyTo(from);
                Reply::later().timeout(ms(after))
            }
            Call::CallWithin(after) => {
                self.0 = State::CallWithin;
                Reply::new(Answer::Ok).timeout(ms(after))
            }
            Call::NextCall => match std::mem::replace(&mut self.0, State::Empty) {
                State::CallWithin => Reply::new(Answer::Ok),
                state => {
                    self.0 = state;
                    Reply::new(Answer::False)
                }
            },
            Call::Stop => Reply::stop_with(atom("stopped"), Answer::Ok),
            Call::Crash => cx.exit(atom("crashed")),
            Call::ExitShutdown => cx.exit(ExitReason::shutdown()),
            Call::StopShutdown => Reply::stop(ExitReason::shutdown()),
            Call::ShutdownReason => cx.exit(ExitReason::shutdown_with(&atom("reason"))),
            Call::StopShutdownReason => {
                Reply::stop(ExitReason::shutdown_with(&atom("stop_reason")))
            }
            Call::ContinueReply(pid) => {
                to_itself(cx, &Info::AfterContinue(pid));
                Reply::new(Answer::Ok).and_continue(Next::Message(pid))
            }
            Call::ContinueNoreply(pid) => {
                to_itself(cx, &Info::AfterContinue(pid));
                Reply::later().and_continue(Next::Reply(pid, from))
            }
        }
    }

    async fn handle_cast(&mut self, request: Cast, cx: &mut Context) -> NoReply<Self> {
        match request {
            Cast::HandleCast(from) => {
                tell(cx, from, "handled_cast");
                NoReply::new()
            }
            Cast::DelayedCast(from, after) => {
                self.0 = State::DelayedCast(from);
                NoReply::new().timeout(ms(after))
            }
            Cast::ContinueNoreply(pid) => {
                to_itself(cx, &Info::AfterContinue(pid));
                NoReply::new().and_continue(Next::Message(pid))
            }
            Cast::Stop(from) => NoReply::stop(ExitReason::new(&Tells(from, "stopped".into()))),
        }
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context) -> NoReply<Self> {
        match info {
            Info::Timeout => match std::mem::replace(&mut self.0, State::Empty) {
                State::ReplyTo(from) => from.reply(cx, &Answer::Delayed).expect("an atom"),
                State::DelayedCast(from) => tell(cx, from, "delayed"),
                State::DelayedInfo(from) => tell(cx, from, "delayed_info"),
                _ => {}
            },
            Info::HandleInfo(from) => tell(cx, from, "handled_info"),
            Info::DelayedInfo(from, after) => {
                self.0 = State::DelayedInfo(from);
                return NoReply::new().timeout(ms(after));
            }
            Info::Stop(from) => {
                let reason = ExitReason::new(&Tells(from, "stopped_info".into()));
                return NoReply::stop(reason);
            }
            Info::AfterContinue(pid) => {
                tell(cx, pid, "after_continue");
                tell(cx, pid, "ack");
            }
            Info::ContinueNoreply(pid) => {
                to_itself(cx, &Info::AfterContinue(pid));
                return NoReply::new().and_continue(Next::Message(pid));
            }
            Info::ContinueContinue(pid) => return NoReply::new().and_continue(Next::Continue(pid)),
            Info::ContinueStop => return NoReply::new().and_continue(Next::Stop),
            Info::CallUndefFun => panic!("undef: handle_info"),
        }
        NoReply::new()
    }

    async fn handle_continue(&mut self, next: Next, cx: &mut Context) -> NoReply<Self> {
        match next {
            Next::Continue(pid) => {
                tell(cx, pid, "before_continue");
                to_itself(cx, &Info::AfterContinue(pid));
                return NoReply::new().and_continue(Next::Message(pid));
            }
            Next::Stop => return NoReply::stop(ExitReason::normal()),
            Next::Message(pid) => tell(cx, pid, "continue"),
            Next::Reply(pid, from) => {
                tell(cx, pid, "continue");
                from.reply(cx, &Answer::Ok).expect("an atom");
            }
        }
        NoReply::new()
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Context) {
        if let Ok(Tells(from, what)) = reason.decode() {
            tell(cx, from, &what);
        }
        match self.0 {
            State::CrashTerminate => cx.exit(ExitReason::new(&(atom("crash"), atom("terminate")))),
            State::UndefInTerminate => panic!("undef: terminate"),
            _ => {}
        }
    }

    fn format_status(&self, mut status: FormatStatus) -> FormatStatus {
        match self.0 {
            State::Shown(text) => status.set_state(&(atom("formatted"), atom(text))),
            State::CrashTerminate => {
                status.set_state(&(atom("formatted"), atom("crash_terminate")));
            }
            State::CrashInFormatStatus => panic!("crash, format_status"),
            State::ThrowInFormatStatus => std::panic::panic_any(("throw", "format_status")),
            _ => {}
        }
        status
    }

    fn system_get_state(&self) -> OwnedTerm {
        match self.0 {
            State::Shown(text) => atom(text).into(),
            _ => atom("other").into(),
        }
    }
}

pub async fn suite(cx: &mut Context) -> ServerRef<Suite> {
    Suite::start_link(cx, Args::Ok).await.expect("it starts")
}

/// The `EXIT` of a linked process.
pub async fn exit_within(cx: &mut Context, pid: Pid) -> ExitReason {
    let exit = cx.receive_where(SECOND * 5, |message| {
        message.exit().filter(|exit| exit.from == pid)
    });
    exit.await.expect("an EXIT").reason
}

/// The `DOWN` of a monitor.
pub async fn down_within(cx: &mut Context, monitor: otp_vm::Ref) -> ExitReason {
    let down = cx.await_down_timeout(monitor, SECOND * 5).await;
    down.expect("a DOWN").reason
}

/// Fails if anything is in the mailbox, or comes.
pub async fn nothing(cx: &mut Context) {
    let message: Option<Message> = cx.receive_timeout(ms(1)).await;
    assert!(message.is_none(), "nothing was to come: {message:?}");
}

pub fn is(reason: &ExitReason, name: &str) -> bool {
    *reason == atom_reason(name)
}
