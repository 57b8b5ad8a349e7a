//! Cases of OTP's `supervisor_SUITE` that are about data, under their own names: specifications, flags and requests are
//! the terms of the case, a supervisor is asked as any process would ask it, and its answers are compared as terms. All
//! of it in virtual time, under several seeds each.

mod administration;
mod children;
mod code_change;
mod logs;
mod restarting;
mod significant;
mod simple;
mod starting;
mod stopping;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use otp_stdlib::StartError;
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::{Given, SupervisorReport};
use otp_vm::simulation::Simulation;
use otp_vm::{
    Arguments, Atom, Call, Context, ExitReason, Function, FunctionError, Module, OwnedTerm, Pid,
    Timeout, Vm, to_term,
};
use serde::Deserialize;

const SEEDS: u64 = 3;
const LIMIT: Duration = Duration::from_secs(60);
/// Time enough for all that is to happen at once.
const SOON: Duration = Duration::from_millis(1);

/// What the callback named `shared` gives, and the reports of all supervisors.
#[derive(Clone, Default)]
struct Shared {
    init: Arc<Mutex<String>>,
    reports: Arc<Mutex<Vec<SupervisorReport>>>,
}

fn run<B, F>(body: B)
where
    B: Fn(Context, Shared) -> F + Send + Sync + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let body = Arc::new(body);
    for seed in 1..=SEEDS {
        let mut simulation = Simulation::new(seed).expect("a simulation");
        let (body, shared) = (Arc::clone(&body), Shared::default());
        let mut builder = Vm::builder();
        for module in modules(&shared) {
            builder = builder.module(module);
        }
        let reports = Arc::clone(&shared.reports);
        let vm = builder
            .report_handler(move |report| {
                if let Some(report) = report.downcast_ref::<SupervisorReport>() {
                    reports.lock().unwrap().push(report.clone());
                }
            })
            .simulate(&simulation)
            .build()
            .expect("a VM");
        let run = vm.run(async move |cx: Context| {
            cx.trap_exit(true);
            body(cx, shared).await;
        });
        simulation
            .block_on(run)
            .expect("it goes on")
            .expect("it holds");
        drop(simulation.block_on(vm.shutdown(LIMIT)));
    }
}

fn term(text: &str) -> OwnedTerm {
    text.parse()
        .unwrap_or_else(|error| panic!("{text}: {error}"))
}

/// A child of OTP's `supervisor_1`, `supervisor_2` and `supervisor_4`.
struct Server {
    linger: Duration,
    last: Option<OwnedTerm>,
}

#[derive(Deserialize)]
enum Info {
    Die,
    Stop,
    Fail,
    /// Milliseconds for which it is deaf.
    Sleep(u64),
    #[serde(rename = "EXIT")]
    Exit(Pid, ExitReason),
}

#[derive(Clone, Default)]
struct Options {
    /// Milliseconds that its end takes.
    linger: u64,
    /// What it ends with, whatever it was asked.
    last: Option<Arc<OwnedTerm>>,
}

impl GenServer for Server {
    type Args = Options;
    type Call = NoMessage;
    type Reply = ();
    type Cast = NoMessage;
    type Info = Info;
    type Continue = NoMessage;

    async fn init(options: Options, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(true);
        Init::ok(Self {
            linger: Duration::from_millis(options.linger),
            last: options.last.map(|last| last.try_clone().expect("a copy")),
        })
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context) -> NoReply<Self> {
        match info {
            Info::Die => NoReply::stop(atom("died")),
            Info::Fail => NoReply::stop(atom("error")),
            Info::Stop => NoReply::stop(ExitReason::normal()),
            Info::Sleep(milliseconds) => {
                cx.sleep(Duration::from_millis(milliseconds)).await;
                NoReply::new()
            }
            Info::Exit(from, reason) if reason.is_shutdown() => {
                assert_ne!(from, cx.pid(), "nobody told it to end");
                NoReply::stop(reason)
            }
            Info::Exit(..) => NoReply::new(),
        }
    }

    async fn terminate(&mut self, _reason: &ExitReason, cx: &mut Context) {
        cx.sleep(self.linger).await;
        if let Some(last) = self.last.take() {
            cx.exit(ExitReason::from(last));
        }
    }
}

/// A child of OTP's `supervisor_3`: its `init` asks whether it may start.
struct Asking;

#[derive(Deserialize)]
enum Answer {
    Go,
    Stop,
}

impl GenServer for Asking {
    type Args = (Atom, Pid);
    type Call = NoMessage;
    type Reply = ();
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init((name, caller): (Atom, Pid), cx: &mut Context) -> Init<Self> {
        cx.send(caller, &(name, cx.pid())).expect("a term");
        match cx.receive_as::<Answer>(Timeout::Infinity).await {
            Some(Answer::Go) => Init::ok(Self),
            _ => Init::stop(ExitReason::normal()),
        }
    }
}

fn atom(name: &str) -> ExitReason {
    ExitReason::from(Atom::new(name).expect("an atom"))
}

async fn server(cx: &mut Context, options: Options) -> Result<Pid, StartError> {
    let started = Server::start_link(cx, options).await?;
    Ok(started.pid().expect("by pid"))
}

/// `{ok, Pid}`, `{error, Reason}`.
fn plain(started: Result<Pid, StartError>) -> Result<OwnedTerm, FunctionError> {
    match started {
        Ok(pid) => Arguments::result(&(Atom::new("ok").expect("an atom"), pid)),
        Err(StartError::Ignore) => Ok(term("ignore")),
        Err(error) => Arguments::result(&Err::<Pid, _>(ExitReason::from(error))),
    }
}

fn modules(shared: &Shared) -> [Module; 6] {
    let start = Function::new("start_child", 0, |cx, _| {
        Box::pin(async move { plain(server(cx, Options::default()).await) })
    });
    // What it does hangs on its argument, as in OTP's.
    let special = Function::new("start_child", 1, |cx, arguments| {
        Box::pin(async move {
            let (what,): (OwnedTerm,) = arguments.decode()?;
            match what.to_string().as_str() {
                "ignore" => {
                    if cx.put("child_ignored", &true).expect("a term").is_none() {
                        return Ok(term("ignore"));
                    }
                    plain(server(cx, Options::default()).await)
                }
                "error" => {
                    if cx
                        .put("start_child_error", &true)
                        .expect("a term")
                        .is_some()
                    {
                        return Ok(term("{error, {function_clause, []}}"));
                    }
                    plain(server(cx, Options::default()).await)
                }
                text if text.starts_with("{return,") => {
                    let tuple = what.root().as_tuple().expect("a pair");
                    Arguments::result(&Given::new(tuple.get(1).expect("a term")))
                }
                _ => match server(cx, Options::default()).await {
                    Ok(pid) => Arguments::result(&(Atom::new("ok").expect("an atom"), pid, what)),
                    error => plain(error),
                },
            }
        })
    });
    let lingering = Function::new("start_child", 1, |cx, arguments| {
        Box::pin(async move {
            let (linger,) = arguments.decode()?;
            let last = None;
            plain(server(cx, Options { linger, last }).await)
        })
    });
    let asking = Function::new("start_child", 2, |cx, arguments| {
        Box::pin(async move {
            let started = Asking::start_link(cx, arguments.decode()?).await;
            plain(started.map(|started| started.pid().expect("by pid")))
        })
    });
    let ending = Function::new("start_child", 0, |cx, _| {
        Box::pin(async move { plain(server(cx, Options::default()).await) })
    });
    let ending_with = Function::new("start_child", 1, |cx, arguments| {
        Box::pin(async move {
            let (last,): (OwnedTerm,) = arguments.decode()?;
            let (linger, last) = (0, Some(Arc::new(last)));
            plain(server(cx, Options { linger, last }).await)
        })
    });
    let fails = Arc::clone(&shared.init);
    // It fails to start, after a while, as long as the test says so.
    let deadlock = Function::new("start_child", 0, move |cx, _| {
        let fails = fails.lock().unwrap().as_str() == "fail";
        Box::pin(async move {
            if fails {
                cx.sleep(Duration::from_secs(2)).await;
                return Ok(term("{error, error}"));
            }
            plain(server(cx, Options::default()).await)
        })
    });
    let given = Arc::clone(&shared.init);
    let init = Function::new("init", 1, move |_, arguments| {
        let given = given.lock().unwrap().clone();
        Box::pin(async move {
            let (what,): (OwnedTerm,) = arguments.decode()?;
            match what.to_string().as_str() {
                "fail" => panic!("as told"),
                "shared" => Ok(term(&given)),
                _ => Ok(what),
            }
        })
    });
    let nested = Function::new("start_nested", 1, |cx, arguments| {
        Box::pin(async move {
            let call = Call::new("suite", "init", &arguments).expect("a call");
            let started = Supervisor::start_link_call(cx, call).await;
            plain(started.map(|started| started.pid().expect("by pid")))
        })
    });
    let module = |name, functions: Vec<Function>| {
        let builder = Module::builder(name);
        let builder = functions
            .into_iter()
            .fold(builder, |builder, function| builder.function(function));
        builder.build().expect("a module")
    };
    [
        module("supervisor_1", vec![start, special]),
        module("supervisor_2", vec![lingering]),
        module("supervisor_3", vec![asking]),
        module("supervisor_4", vec![ending, ending_with]),
        module("supervisor_deadlock", vec![deadlock]),
        module("suite", vec![init, nested]),
    ]
}

/// A supervisor, named `sup_test`, with what `init/1` gives.
async fn start_link(cx: &mut Context, init: &str) -> Result<SupervisorRef, StartError> {
    let call = Call::new("suite", "init", &(term(init),)).expect("a call");
    Supervisor::start_link_call(cx, call).name("sup_test").await
}

async fn started(cx: &mut Context, init: &str) -> Pid {
    let supervisor = start_link(cx, init).await.expect("it starts");
    supervisor.pid().expect("by pid")
}

/// The reason why it does not start.
async fn refused(cx: &mut Context, init: &str) -> String {
    let error = start_link(cx, init).await.expect_err("it does not start");
    ExitReason::from(error).to_string()
}

/// What a supervisor answers to a term.
async fn ask_of(cx: &mut Context, supervisor: Pid, request: &str) -> String {
    let answer: OwnedTerm = cx
        .call(supervisor, &term(request), Timeout::Infinity)
        .await
        .expect("it answers");
    answer.to_string()
}

/// What `sup_test` answers to a term.
async fn ask(cx: &mut Context, request: &str) -> String {
    let supervisor = cx.whereis("sup_test").expect("it runs");
    ask_of(cx, supervisor, request).await
}

/// The pid in an answer `{ok, Pid}` or `{ok, Pid, Extra}`.
fn pid_in(answer: &str) -> Pid {
    let answer = term(answer);
    let tuple = answer
        .root()
        .as_tuple()
        .unwrap_or_else(|| panic!("no pid: {answer}"));
    let pid = tuple.get(1).and_then(|pid| pid.as_pid());
    pid.unwrap_or_else(|| panic!("no pid: {answer}"))
}

/// Starts a child, which must start.
async fn child_of(cx: &mut Context, supervisor: Pid, spec: &str) -> Pid {
    pid_in(&ask_of(cx, supervisor, &format!("{{start_child, {spec}}}")).await)
}

async fn child(cx: &mut Context, spec: &str) -> Pid {
    let supervisor = cx.whereis("sup_test").expect("it runs");
    child_of(cx, supervisor, spec).await
}

/// The children in OTP's order: ids and what runs there.
async fn which_of(cx: &mut Context, supervisor: Pid) -> Vec<(String, Option<Pid>)> {
    let list = term(&ask_of(cx, supervisor, "which_children").await);
    let parts = list.root().list_iter().map(|child| {
        let child = child.as_tuple().expect("a tuple of four");
        assert_eq!(child.len(), 4);
        let id = child.get(0).expect("an id").to_string();
        (id, child.get(1).expect("a child").as_pid())
    });
    parts.collect()
}

async fn which(cx: &mut Context) -> Vec<(String, Option<Pid>)> {
    let supervisor = cx.whereis("sup_test").expect("it runs");
    which_of(cx, supervisor).await
}

/// The same without the pids.
async fn ids(cx: &mut Context) -> Vec<String> {
    which(cx).await.into_iter().map(|(id, _)| id).collect()
}

/// `[specs, active, supervisors, workers]`.
async fn counts_of(cx: &mut Context, supervisor: Pid) -> [i64; 4] {
    let list = term(&ask_of(cx, supervisor, "count_children").await);
    let names = ["specs", "active", "supervisors", "workers"];
    let mut counts = [0; 4];
    for (at, pair) in list.root().list_iter().enumerate() {
        let pair = pair.as_tuple().expect("a pair");
        assert_eq!(pair.get(0).expect("a name").to_string(), names[at]);
        counts[at] = pair
            .get(1)
            .and_then(|count| count.as_i64())
            .expect("a number");
    }
    counts
}

async fn counts(cx: &mut Context) -> [i64; 4] {
    let supervisor = cx.whereis("sup_test").expect("it runs");
    counts_of(cx, supervisor).await
}

/// Ends a process as the cases do, and waits until its supervisor has dealt with it.
async fn terminate(cx: &mut Context, pid: Pid, how: &str) {
    let monitor = cx.monitor(pid);
    let expected = match how {
        "normal" => {
            cx.send(pid, &Atom::new("stop").unwrap()).unwrap();
            "normal"
        }
        "abnormal" => {
            cx.send(pid, &Atom::new("die").unwrap()).unwrap();
            "died"
        }
        "kill" => {
            cx.exit_process(pid, ExitReason::kill());
            "killed"
        }
        reason => {
            cx.exit_process(pid, ExitReason::from(term(reason)));
            reason
        }
    };
    let down = cx.await_down_timeout(monitor, LIMIT).await;
    let reason = down.expect("a DOWN").reason;
    assert_eq!(reason, ExitReason::from(term(expected)));
    cx.sleep(SOON).await;
}

/// The reason of the `EXIT` of a linked process.
async fn exit_of(cx: &mut Context, pid: Pid) -> String {
    let exit = cx.receive_where(LIMIT, |message| {
        message.exit().filter(|exit| exit.from == pid)
    });
    exit.await.expect("an EXIT").reason.to_string()
}

/// All of these end.
async fn check_exit(cx: &mut Context, pids: &[Pid]) {
    for &pid in pids {
        exit_of(cx, pid).await;
    }
}

/// None of these ends within a second.
async fn no_exit(cx: &mut Context, pids: &[Pid]) {
    cx.sleep(Duration::from_secs(1)).await;
    for &pid in pids {
        assert!(cx.is_alive(pid).await, "{pid} ended");
        let exit = cx.receive_where(Duration::ZERO, |message| {
            message.exit().filter(|exit| exit.from == pid)
        });
        assert!(exit.await.is_none());
    }
}

/// `{Name, {supervisor_1, start_child, Arguments}, Restart, 1000, worker, []}`.
fn spec(name: &str, arguments: &str, restart: &str) -> String {
    format!("{{{name}, {{supervisor_1, start_child, {arguments}}}, {restart}, 1000, worker, []}}")
}

fn permanent(name: &str) -> String {
    spec(name, "[]", "permanent")
}

fn init(strategy: &str, intensity: u32, children: &[String]) -> String {
    format!(
        "{{ok, {{{{{strategy}, {intensity}, 3600}}, [{}]}}}}",
        children.join(",")
    )
}

#[test]
fn the_terms_of_these_tests_are_what_they_seem() {
    assert_eq!(to_term(&term("{a,1}")).unwrap().to_string(), "{a,1}");
    assert_eq!(
        term(&init("one_for_one", 2, &[permanent("c")])).to_string(),
        "{ok,{{one_for_one,2,3600},[{c,{supervisor_1,start_child,[]},permanent,1000,worker,[]}]}}"
    );
}
