//! Cases of OTP's `gen_server_SUITE` and of Elixir's `GenServer` under their own names, and what holds besides.

mod behaving;
mod calls;
#[path = "../common/mod.rs"]
mod common;
mod elixir;
mod ending;
mod failing;
mod loops;
mod messages;
mod names;
mod requests;
mod signals;
mod starting;
mod suite;
mod system;

use std::time::Duration;

use common::{LIMIT, down, exit_of, for_ever, reason, run};
use otp_stdlib::StartError;
use otp_stdlib::gen_server::{From, StopError};
use otp_stdlib::prelude::*;
use otp_stdlib::sys;
use otp_vm::{Atom, CallError, Context, ExitReason, Pid, Ref, Timeout, Vm};
use serde::{Deserialize, Serialize};

/// The server of most cases: does as it is told, and tells its witness.
struct Server {
    witness: Pid,
    log: Vec<String>,
    kept: Option<From<Answer>>,
}

type Answer = Vec<String>;

enum Start {
    Ok,
    Trap,
    Timeout(Duration),
    Continue,
    Hibernate,
    Ignore,
    Stop(ExitReason),
    Error(ExitReason),
    Panic,
    Hang,
}

#[derive(Serialize, Deserialize)]
enum Call {
    Log,
    Reply,
    ReplyLater,
    ReplyByCast,
    ReplyTimeout(Duration),
    ReplyContinue,
    ReplyHibernate,
    Stop(ExitReason),
    StopWith(ExitReason),
    Panic,
    Exit(ExitReason),
    Never,
    Itself,
}

#[derive(Serialize, Deserialize)]
enum Cast {
    Note(String),
    Timeout(Duration),
    Continue,
    Stop(ExitReason),
    Panic,
    Answer,
    Hibernate,
    /// Leaves something on the heap of the process.
    Litter,
}

#[derive(Deserialize)]
enum Info {
    Note(String),
    Timeout,
    Hibernate,
    Panic,
    Stop(ExitReason),
    #[serde(rename = "DOWN")]
    Down(Ref, Atom, Pid, ExitReason),
    #[serde(rename = "EXIT")]
    Exit(Pid, ExitReason),
}

/// What the tests send as plain messages: the encoding of [`Info`].
#[derive(Serialize)]
enum Do {
    Note(&'static str),
    Hibernate,
    Panic,
    Stop(ExitReason),
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Ended {
    ended: ExitReason,
}

async fn ended(cx: &mut Context) -> ExitReason {
    let ended = cx
        .receive_where(LIMIT, |message| message.decode::<Ended>().ok())
        .await;
    ended.expect("terminate was not called").ended
}

/// Whether `terminate` was called, after the server's end.
async fn no_terminate(cx: &mut Context) -> bool {
    cx.receive_where(Duration::ZERO, |message| message.decode::<Ended>().ok())
        .await
        .is_none()
}

impl Server {
    fn note(&mut self, text: impl Into<String>) {
        self.log.push(text.into());
    }
}

impl GenServer for Server {
    type Args = (Pid, Start);
    type Call = Call;
    type Reply = Answer;
    type Cast = Cast;
    type Info = Info;
    type Continue = &'static str;

    async fn init((witness, start): Self::Args, cx: &mut Context) -> Init<Self> {
        let state = Server {
            witness,
            log: vec!["init".into()],
            kept: None,
        };
        match start {
            Start::Ok => Init::ok(state),
            Start::Trap => {
                cx.trap_exit(true);
                Init::ok(state)
            }
            Start::Timeout(after) => Init::ok(state).timeout(after),
            Start::Continue => Init::ok(state).and_continue("init"),
            Start::Hibernate => Init::ok(state).hibernate(),
            Start::Ignore => Init::ignore(),
            Start::Stop(reason) => Init::stop(reason),
            Start::Error(reason) => Init::error(reason),
            Start::Panic => panic!("in init"),
            Start::Hang => {
                for_ever(cx).await;
                Init::ignore()
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
            Call::Log => Reply::new(self.log.clone()),
            Call::Reply => {
                self.note("call");
                Reply::new(self.log.clone())
            }
            Call::ReplyLater => {
                let log = self.log.clone();
                cx.spawn(async move |cx: Context| from.reply(&cx, &log).unwrap())
                    .unwrap();
                Reply::later()
            }
            Call::ReplyByCast => {
                self.kept = Some(from);
                Reply::later()
            }
            Call::ReplyTimeout(after) => Reply::new(vec![]).timeout(after),
            Call::ReplyContinue => Reply::new(vec![]).and_continue("call"),
            Call::ReplyHibernate => Reply::new(self.log.clone()).hibernate(),
            Call::Stop(reason) => Reply::stop(reason),
            Call::StopWith(reason) => Reply::stop_with(reason, vec!["last".into()]),
            Call::Panic => {
                self.note("half done");
                panic!("in call")
            }
            Call::Exit(reason) => cx.exit(reason),
            Call::Never => Reply::later(),
            Call::Itself => {
                let me = ServerRef::<Server>::from_pid(cx.pid());
                let error = me.call(cx, Call::Log).await.unwrap_err();
                Reply::new(vec![error.to_string()])
            }
        }
    }

    async fn handle_cast(&mut self, cast: Cast, cx: &mut Context) -> NoReply<Self> {
        match cast {
            Cast::Note(text) => {
                self.note(text);
                NoReply::new()
            }
            Cast::Timeout(after) => NoReply::new().timeout(after),
            Cast::Continue => NoReply::new().and_continue("cast"),
            Cast::Stop(reason) => NoReply::stop(reason),
            Cast::Panic => panic!("in cast"),
            Cast::Hibernate => NoReply::new().hibernate(),
            Cast::Litter => {
                let list = cx.heap().keep_value(&vec![1_u64; 10_000]).unwrap();
                cx.heap().release(list).unwrap();
                NoReply::new()
            }
            Cast::Answer => {
                let from = self.kept.take().expect("a caller waits");
                from.reply(cx, &vec!["kept".into()]).unwrap();
                NoReply::new()
            }
        }
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context) -> NoReply<Self> {
        match info {
            Info::Note(text) => self.note(text),
            Info::Timeout => {
                self.note("timeout");
                cx.send(self.witness, &"timeout").unwrap();
            }
            Info::Panic => panic!("in info"),
            Info::Hibernate => return NoReply::new().hibernate(),
            Info::Stop(reason) => return NoReply::stop(reason),
            Info::Down(reference, kind, pid, reason) => {
                self.note(format!("{reference} {kind} {pid} down {reason}"));
            }
            Info::Exit(from, reason) => {
                assert_eq!(from, self.witness);
                self.note(format!("exit {reason}"));
            }
        }
        NoReply::new()
    }

    async fn handle_continue(&mut self, next: &'static str, _cx: &mut Context) -> NoReply<Self> {
        self.note(format!("continue {next}"));
        match next {
            "init" => NoReply::new().and_continue("again"),
            _ => NoReply::new(),
        }
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Context) {
        let _ = cx.send(
            self.witness,
            &Ended {
                ended: reason.clone(),
            },
        );
        if *reason == common::reason("panic in terminate") {
            panic!("in terminate");
        }
    }
}

async fn server(cx: &mut Context, start: Start) -> ServerRef<Server> {
    let witness = cx.pid();
    Server::start(cx, (witness, start))
        .await
        .expect("the server starts")
}

async fn log(cx: &mut Context, server: &ServerRef<Server>) -> Vec<String> {
    server.call(cx, Call::Log).await.expect("an answer")
}

fn is_exit(result: Result<Answer, CallError>, expected: &ExitReason) -> bool {
    matches!(result, Err(CallError::Exit(reason)) if reason == *expected)
}
