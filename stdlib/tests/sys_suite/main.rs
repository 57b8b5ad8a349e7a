//! Cases of OTP's `sys_SUITE` under their own names, and what holds besides.

#[path = "../common/mod.rs"]
mod common;
mod limits;
mod natives;
#[path = "../common/simulated.rs"]
mod simulated;
mod special;
mod suspended;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use otp_stdlib::gen_server::{Name, enter_loop};
use otp_stdlib::prelude::*;
use otp_stdlib::proc_lib::{self, Starter};
use otp_stdlib::sys::{self, DebugOption, SysError, SysState, SystemEvent, Traced};
use otp_vm::{Atom, CallError, Context, ExitReason, Message, Timeout, Vm};
use serde::Serialize;
use simulated::{simulated, simulated_on};

/// The suite's server: its state is how many requests it had.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Server(u64);

#[gen_server]
impl Server {
    fn init() -> Self {
        Server(0)
    }

    #[call]
    fn req(&mut self, arg: i64) -> Result<i64, ()> {
        self.0 += 1;
        Ok(-arg)
    }

    #[call]
    fn halt(&mut self) -> Reply<Self, Atom> {
        Reply::stop_with(ExitReason::normal(), atom("ok"))
    }

    async fn code_change(
        &mut self,
        old_version: otp_vm::OwnedTerm,
        extra: otp_vm::OwnedTerm,
        _cx: &mut Context,
    ) -> Result<(), ExitReason> {
        if extra.root().as_i64() == Some(0) {
            return Err(ExitReason::new(&(atom("no_way_from"), old_version)));
        }
        self.0 += extra.root().as_i64().expect("a number").unsigned_abs();
        Ok(())
    }
}

type Ref = ServerRef<Server>;

fn atom(name: &str) -> Atom {
    Atom::new(name).expect("an atom")
}

const NAME: &str = "sys_suite_server";

async fn start(cx: &mut Context) -> Ref {
    let started = Server::start_link(cx, ()).name(NAME).await;
    started.expect("it starts");
    Ref::from_name(NAME).expect("a name")
}

/// The suite's `public_call`, within a second.
async fn public_call(cx: &mut Context, server: &Ref, arg: i64) -> Result<i64, CallError> {
    let answer = server.timeout(Duration::from_secs(1)).req(cx, arg).await?;
    Ok(answer.expect("it is ok"))
}

async fn stop(cx: &mut Context, server: &Ref) {
    assert_eq!(server.halt(cx).await.expect("it answers"), atom("ok"));
}

/// Runs a test with the lines that are traced.
fn traced<B, F>(body: B)
where
    B: Fn(Context, Arc<Mutex<Vec<String>>>) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let lines = Arc::new(Mutex::new(Vec::new()));
    let reported = Arc::clone(&lines);
    let builder = move || {
        let lines = Arc::clone(&reported);
        lines.lock().expect("no panic").clear();
        Vm::builder().report_handler(move |report| {
            if let Some(Traced { text, .. }) = report.downcast_ref() {
                lines.lock().expect("no panic").push(text.clone());
            }
        })
    };
    simulated_on(builder, move |cx| body(cx, Arc::clone(&lines)));
}

/// What the suite looks for in what is printed of one call.
fn assert_call(lines: &[String], state: u64) {
    let [got, sent] = lines else {
        panic!("two lines: {lines:?}")
    };
    let start = "*DBG* sys_suite_server got call {req,44} from <";
    assert!(got.starts_with(start), "{got}");
    let start = "*DBG* sys_suite_server sent {ok,-44} to <";
    assert!(sent.starts_with(start), "{sent}");
    assert!(sent.ends_with(&format!(", new state {state}")), "{sent}");
}

#[test]
fn log() {
    traced(async |mut cx: Context, lines| {
        let cx = &mut cx;
        let server = start(cx).await;
        sys::log(&server, true).call(cx).await.unwrap();
        assert_eq!(public_call(cx, &server, 44).await.unwrap(), -44);
        let events = sys::get_log(&server).call(cx).await.unwrap();
        let texts: Vec<String> = events.iter().map(ToString::to_string).collect();
        assert!(texts[0].starts_with("{in,{'$gen_call',{<"), "{texts:?}");
        assert!(texts[0].ends_with(",{req,44}}}"), "{texts:?}");
        assert!(texts[1].starts_with("{out,{ok,-44},<"), "{texts:?}");
        assert!(texts[1].ends_with(",1}"), "{texts:?}");
        assert!(lines.lock().unwrap().is_empty(), "kept, and not printed");
        sys::print_log(&server).call(cx).await.unwrap();
        assert_call(&lines.lock().unwrap(), 1);
        sys::log(&server, false).call(cx).await.unwrap();
        sys::print_log(&server).call(cx).await.unwrap();
        assert_eq!(lines.lock().unwrap().len(), 2, "nothing is kept any more");
        assert_eq!(sys::get_log(&server).call(cx).await, Ok(vec![]));
        stop(cx, &server).await;
    });
}

#[test]
fn log_to_file() {
    let path = std::env::temp_dir().join(format!("sys_suite.{}", std::process::id()));
    let file = path.to_str().expect("a text").to_owned();
    simulated(move |mut cx: Context| {
        let file = file.clone();
        async move {
            let cx = &mut cx;
            let server = start(cx).await;
            let to = sys::log_to_file(&server, Some(&file));
            to.call(cx).await.unwrap();
            assert_eq!(public_call(cx, &server, 44).await.unwrap(), -44);
            sys::log_to_file(&server, None).call(cx).await.unwrap();
            public_call(cx, &server, 45).await.unwrap();
            let written = std::fs::read_to_string(&file).unwrap();
            let lines: Vec<String> = written.lines().map(str::to_owned).collect();
            assert_call(&lines, 1);
            let nowhere = sys::log_to_file(&server, Some("/no/such/directory"));
            let refused = SysError::Refused(atom("open_file").into());
            assert_eq!(nowhere.call(cx).await, Err(refused));
            stop(cx, &server).await;
        }
    });
    std::fs::remove_file(path).expect("it was written");
}

/// The options of a start: as those that are asked for later, from the first event on.
#[test]
fn a_server_starts_with_debug_options() {
    traced(async |mut cx: Context, lines| {
        let (me, cx) = (cx.pid(), &mut cx);
        let all = move || {
            let spy =
                DebugOption::install("spy", move |cx: &Context, event: &SystemEvent, _: &_| {
                    cx.send(me, event).expect("a term");
                    ControlFlow::Break(())
                });
            let too_many = DebugOption::LogMost(sys::MAX_LOG_EVENTS + 1);
            let nowhere = DebugOption::LogToFile("/no/such/directory/file".into());
            let plain = [
                DebugOption::Trace,
                DebugOption::Log,
                DebugOption::Statistics,
            ];
            let mut all = vec![spy.expect("a term"), too_many, nowhere];
            all.extend(plain);
            all
        };
        let started = Server::start_link(cx, ()).name(NAME).debug(all()).await;
        let by_start = started.unwrap();
        let body = async move |mut cx: Context| {
            let starter = Starter::receive(&mut cx).await;
            cx.register("entered", cx.pid()).expect("it is free");
            starter.init_ack(&cx);
            let entered = enter_loop(cx, Server(0)).debug(all());
            entered.name(Name::local("entered").expect("a name")).await
        };
        let by_loop = Ref::from_pid(proc_lib::start_link(cx, body).await.unwrap());
        for (server, name) in [(by_start, NAME), (by_loop, "entered")] {
            assert_eq!(public_call(cx, &server, 44).await.unwrap(), -44);
            let seen = cx.receive().await.term().to_string();
            assert!(seen.starts_with("{in,{'$gen_call',"), "{seen}");
            let events = sys::get_log(&server).call(cx).await.unwrap();
            assert_eq!(events.len(), 2);
            let counts = sys::get_statistics(&server).call(cx).await.unwrap();
            let counts = counts.expect("it counts");
            assert_eq!((counts.messages_in, counts.messages_out), (1, 1));
            let told = std::mem::take(&mut *lines.lock().unwrap());
            let start = format!("*DBG* {name} got call {{req,44}} from <");
            assert!(told.len() == 2 && told[0].starts_with(&start), "{told:?}");
            sys::no_debug(&server).call(cx).await.unwrap();
            public_call(cx, &server, 44).await.unwrap();
            stop(cx, &server).await;
            assert!(lines.lock().unwrap().is_empty());
        }
    });
}

#[test]
fn stats() {
    simulated(|mut cx: Context| async move {
        let (me, cx) = (cx.pid(), &mut cx);
        let server = start(cx).await;
        sys::statistics(&server, true).call(cx).await.unwrap();
        assert_eq!(public_call(cx, &server, 44).await.unwrap(), -44);
        let statistics = sys::get_statistics(&server).call(cx).await.unwrap();
        let statistics = statistics.expect("it counts");
        assert_eq!(statistics.messages_in, 1);
        assert_eq!(statistics.messages_out, 1);
        assert!(statistics.start_time <= statistics.current_time);
        sys::statistics(&server, false).call(cx).await.unwrap();
        let status = sys::get_status(&server).call(cx).await.unwrap();
        assert_eq!((status.state, status.parent), (SysState::Running, me));
        let statistics = sys::get_statistics(&server).call(cx).await;
        assert_eq!(statistics, Ok(None));
        stop(cx, &server).await;
    });
}

#[test]
fn trace() {
    traced(async |mut cx: Context, lines| {
        let cx = &mut cx;
        let server = start(cx).await;
        sys::trace(&server, true).call(cx).await.unwrap();
        assert_eq!(public_call(cx, &server, 44).await.unwrap(), -44);
        // The second line is printed when the answer is out.
        sys::get_state(&server).call(cx).await.unwrap();
        assert_call(&lines.lock().unwrap(), 1);
        sys::trace(&server, false).call(cx).await.unwrap();
        public_call(cx, &server, 44).await.unwrap();
        stop(cx, &server).await;
        assert_eq!(lines.lock().unwrap().len(), 2);
    });
}

#[test]
fn suspend() {
    simulated(|mut cx: Context| async move {
        let cx = &mut cx;
        let server = start(cx).await;
        let second = Duration::from_secs(1);
        // Doing it twice is no error.
        for _ in 0..2 {
            sys::suspend(&server)
                .timeout(second)
                .call(cx)
                .await
                .unwrap();
            let error = public_call(cx, &server, 48).await.unwrap_err();
            assert!(matches!(error, CallError::Timeout), "{error}");
            let status = sys::get_status(&server).call(cx).await.unwrap();
            assert_eq!(status.state, SysState::Suspended);
        }
        for _ in 0..2 {
            sys::resume(&server).call(cx).await.unwrap();
            let status = sys::get_status(&server).call(cx).await.unwrap();
            assert_eq!(status.state, SysState::Running);
            assert_eq!(public_call(cx, &server, 48).await.unwrap(), -48);
        }
        // The two that waited were handled; their replies came too late to be seen.
        assert_eq!(
            sys::inspect(&server, |state: &Server| state.0)
                .call(cx)
                .await,
            Ok(4)
        );
        assert!(cx.receive_timeout(Duration::ZERO).await.is_none());
        stop(cx, &server).await;
    });
}

/// Sends what is asked to the test, with the name of the process.
fn spy(
    to: otp_vm::Pid,
) -> impl FnMut(&Context, &SystemEvent, &otp_vm::OwnedTerm) -> ControlFlow<()> + Send {
    move |cx, event, name| {
        if let SystemEvent::In(message) = event
            && let Some(request) = message.root().as_tuple().and_then(|call| call.get(2))
        {
            cx.send(to, &(request, name)).expect("terms");
        }
        ControlFlow::Continue(())
    }
}

async fn spied(cx: &mut Context) -> Vec<String> {
    let mut seen = Vec::new();
    while let Some(message) = cx.receive_timeout(Duration::ZERO).await {
        seen.push(Message::term(&message).to_string());
    }
    seen
}

#[test]
fn install() {
    simulated(|mut cx: Context| async move {
        let (me, cx) = (cx.pid(), &mut cx);
        let server = start(cx).await;
        let got = |arg: i64| format!("{{{{req,{arg}}},sys_suite_server}}");
        sys::install(&server, "spy", spy(me))
            .call(cx)
            .await
            .unwrap();
        assert_eq!(public_call(cx, &server, 1).await.unwrap(), -1);
        sys::no_debug(&server).call(cx).await.unwrap();
        public_call(cx, &server, 2).await.unwrap();
        sys::install(&server, "spy", spy(me))
            .call(cx)
            .await
            .unwrap();
        sys::install(&server, "spy", spy(me))
            .call(cx)
            .await
            .unwrap();
        public_call(cx, &server, 3).await.unwrap();
        public_call(cx, &server, 4).await.unwrap();
        sys::remove(&server, "spy").call(cx).await.unwrap();
        public_call(cx, &server, 5).await.unwrap();
        assert_eq!(spied(cx).await, [got(1), got(3), got(4)]);

        for id in ["id1", "id1", "id2"] {
            sys::install(&server, id, spy(me)).call(cx).await.unwrap();
        }
        public_call(cx, &server, 1).await.unwrap();
        assert_eq!(spied(cx).await, [got(1), got(1)]);
        sys::remove(&server, "id1").call(cx).await.unwrap();
        public_call(cx, &server, 1).await.unwrap();
        assert_eq!(spied(cx).await, [got(1)]);
        sys::no_debug(&server).call(cx).await.unwrap();
        public_call(cx, &server, 1).await.unwrap();
        assert_eq!(spied(cx).await, [""; 0]);
        stop(cx, &server).await;
    });
}

#[test]
fn a_debug_function_goes_when_it_has_seen_enough_or_panics() {
    simulated(|mut cx: Context| async move {
        let (me, cx) = (cx.pid(), &mut cx);
        let server = start(cx).await;
        let once = move |cx: &Context, _: &SystemEvent, _: &otp_vm::OwnedTerm| {
            cx.send(me, "seen").expect("a text");
            ControlFlow::Break(())
        };
        sys::install(&server, "once", once).call(cx).await.unwrap();
        let panics = |_: &Context, _: &SystemEvent, _: &otp_vm::OwnedTerm| panic!("as it is");
        sys::install(&server, "panics", panics)
            .call(cx)
            .await
            .unwrap();
        public_call(cx, &server, 1).await.unwrap();
        public_call(cx, &server, 2).await.unwrap();
        assert_eq!(spied(cx).await, ["<<\"seen\">>"]);
        let status = sys::get_status(&server).call(cx).await.unwrap();
        assert_eq!(status.debug.to_string(), "[]");
        stop(cx, &server).await;
    });
}

#[test]
fn the_code_of_a_suspended_server_is_changed() {
    simulated(|mut cx: Context| async move {
        let cx = &mut cx;
        let server = start(cx).await;
        let change = |server: &Ref, extra: i64| sys::change_code(server, atom("m"), "1", &extra);
        let refused = change(&server, 7).call(cx).await.unwrap_err();
        let text = "{unknown_system_msg,{change_code,m,<<\"1\">>,7}}";
        assert!(
            matches!(&refused, SysError::Refused(why) if why.to_string() == text),
            "{refused}"
        );
        sys::suspend(&server).call(cx).await.unwrap();
        change(&server, 7).call(cx).await.unwrap();
        let refused = change(&server, 0).call(cx).await.unwrap_err();
        let text = "{error,{no_way_from,<<\"1\">>}}";
        assert!(
            matches!(&refused, SysError::Refused(why) if why.to_string() == text),
            "{refused}"
        );
        let panicked = sys::change_code(&server, atom("m"), "1", "no number")
            .call(cx)
            .await;
        let text = panicked.unwrap_err().to_string();
        assert!(text.contains("{'EXIT',{panic,<<\"a number\">>"), "{text}");
        let by = sys::change_code_by(&server, atom("m"), |state: &Server| Server(state.0 * 2));
        by.call(cx).await.unwrap();
        sys::resume(&server).call(cx).await.unwrap();
        let state = sys::get_state(&server).call(cx).await.unwrap();
        assert_eq!(state.root().as_i64(), Some(14));
        stop(cx, &server).await;
    });
}

#[test]
fn who_is_not_there_and_oneself_and_who_does_not_listen() {
    simulated(|mut cx: Context| async move {
        let (me, cx) = (cx.pid(), &mut cx);
        let nobody = sys::suspend(atom("nobody")).call(cx).await;
        assert_eq!(nobody, Err(SysError::Exit(ExitReason::noproc())));
        assert_eq!(
            sys::get_state(me).call(cx).await,
            Err(SysError::CallingSelf)
        );
        let deaf = cx.spawn(async |mut cx: Context| common::for_ever(&mut cx).await);
        let deaf = deaf.unwrap();
        let second = Duration::from_secs(1);
        let timeout = sys::get_status(deaf).timeout(second).call(cx).await;
        assert_eq!(timeout, Err(SysError::Timeout));
        // Ended as it is asked: its reason is the answer.
        let dying = cx.spawn(async |mut cx: Context| {
            cx.receive().await;
            ExitReason::from("enough")
        });
        let ended = sys::resume(dying.unwrap()).call(cx).await;
        assert_eq!(ended, Err(SysError::Exit(ExitReason::from("enough"))));
        cx.exit_process(deaf, ExitReason::kill());
    });
}

#[test]
fn what_nobody_knows_is_refused_as_by_otp() {
    simulated(|mut cx: Context| async move {
        let cx = &mut cx;
        let server = start(cx).await;
        let pid = server.whereis(cx).unwrap();
        let ask = async |cx: &mut Context, request: &str| {
            let request: otp_vm::OwnedTerm = request.parse().expect("a term");
            let system = otp_vm::atoms::SYSTEM;
            let answer = cx.call_labelled(system, pid, &request, Timeout::Infinity, |answer| {
                answer.to_string()
            });
            answer.await.expect("an answer")
        };
        assert_eq!(
            ask(cx, "nonsense").await,
            "{error,{unknown_system_msg,nonsense}}"
        );
        assert_eq!(ask(cx, "{debug,nonsense}").await, "unknown_debug");
        assert_eq!(ask(cx, "{debug,{log,{true,0}}}").await, "unknown_debug");
        assert_eq!(ask(cx, "{debug,{log,true}}").await, "ok");
        assert_eq!(
            ask(cx, "{debug,{statistics,get}}").await,
            "{ok,no_statistics}"
        );
        assert_eq!(ask(cx, "get_state").await, "{ok,0}");
        assert_eq!(ask(cx, "suspend").await, "ok");
        let change = "{change_code,m,1,3}";
        assert_eq!(ask(cx, change).await, "ok");
        assert_eq!(ask(cx, "resume").await, "ok");
        assert_eq!(ask(cx, "get_state").await, "{ok,3}");
        let status = ask(cx, "get_status").await;
        let start = format!("{{status,{pid},{{module,gen_server}},[[");
        assert!(status.starts_with(&start), "{status}");
        // A message that only looks like one of the system goes on to the server.
        cx.send(pid, &(otp_vm::atoms::SYSTEM, "nobody", "x"))
            .unwrap();
        assert_eq!(ask(cx, "get_state").await, "{ok,3}");
        stop(cx, &server).await;
    });
}
