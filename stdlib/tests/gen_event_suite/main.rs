//! Cases of OTP's `gen_event_SUITE` under their own names, and what holds besides.

mod calls;
#[path = "../common/mod.rs"]
mod common;
mod dummies;
mod failing;
mod handlers;
#[path = "../gen_server_suite/names.rs"]
#[expect(dead_code, reason = "the other suite uses more of it")]
mod names;
mod notifying;
mod outside;
mod requests;
mod robust;
mod sleeping;
mod starting;
mod system;

use std::sync::mpsc;
use std::time::Duration;

use common::LIMIT;
use dummies::{Args, Dummy, Event, dummy};
use otp_stdlib::gen_event::{
    EventManager, EventManagerRef, HandlerError, ManagerError, NoHandleInfo, StopError, Terminated,
};
use otp_stdlib::proc_lib::Format;
use otp_stdlib::sys::Traced;
use otp_vm::simulation::Simulation;
use otp_vm::{Atom, Context, ExitReason, Pid, Timeout, Vm};

/// Each case runs in the orders of so many seeds.
const SEEDS: u64 = 10;

type Manager = EventManagerRef<Event>;

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn atom(name: &str) -> Atom {
    Atom::new(name).expect("an atom")
}

/// A report as the tests look at it.
#[derive(Debug)]
enum Report {
    Terminated {
        pid: Pid,
        handler: String,
        name: String,
        last: Option<String>,
        state: String,
        reason: String,
    },
    NoHandleInfo {
        pid: Pid,
        module: &'static str,
        message: Option<String>,
        text: String,
    },
    /// A line of a trace.
    Line(String),
}

type Reports = mpsc::Receiver<Report>;

/// Runs `body` as a process of a simulated VM, under some seeds, with the reports of that run.
fn simulate<B, F>(body: B)
where
    B: Fn(Context, Reports) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let explored = Simulation::builder().explore(0..SEEDS, |simulation| {
        let (sender, reports) = mpsc::channel();
        let vm = Vm::builder()
            .simulate(simulation)
            .report_handler(move |report| {
                let report = if let Some(report) = report.downcast_ref::<Terminated>() {
                    Report::Terminated {
                        pid: report.pid,
                        handler: report.handler.to_string(),
                        name: report.name.to_string(),
                        last: report.last_message.as_ref().map(ToString::to_string),
                        state: report.state.to_string(),
                        reason: report.reason.to_string(),
                    }
                } else if let Some(report) = report.downcast_ref::<NoHandleInfo>() {
                    Report::NoHandleInfo {
                        pid: report.pid,
                        module: report.module,
                        message: report.message.as_ref().map(ToString::to_string),
                        text: report.format(Format::new()),
                    }
                } else if let Some(Traced { text, .. }) = report.downcast_ref() {
                    Report::Line(text.clone())
                } else {
                    return;
                };
                // A case that is over wants no report any more.
                let _ = sender.send(report);
            })
            .build()?;
        let body = body.clone();
        simulation.block_on(vm.run(move |cx| body(cx, reports)))??;
        simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
        Ok::<(), Box<dyn std::error::Error>>(())
    });
    explored.unwrap_or_else(|failure| panic!("{failure}"));
}

/// As [`simulate`], for those that look at no report.
fn simulated<B, F>(body: B)
where
    B: Fn(Context) -> F + Clone + Send + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    simulate(move |cx, _| body(cx));
}

/// A manager with the name that the suite gives it, and a reference by the name.
async fn manager(cx: &mut Context) -> Manager {
    EventManager::<Event>::start(cx)
        .name("my_dummy_handler")
        .await
        .expect("it starts");
    Manager::from_name("my_dummy_handler").expect("a name")
}

async fn stop(cx: &mut Context, manager: &Manager) {
    let stopped = manager.stop(cx, ExitReason::normal(), Timeout::Infinity);
    stopped.await.expect("it stops");
}

/// `which_handlers`, as text.
async fn which(cx: &mut Context, manager: &Manager) -> Vec<String> {
    let handlers = manager.which_handlers(cx).await.expect("an answer");
    handlers.iter().map(ToString::to_string).collect()
}

async fn add(cx: &mut Context, manager: &Manager) {
    let args = Args::Parent(cx.pid());
    manager
        .add_handler(cx, dummy(), args)
        .await
        .expect("it is added");
}

async fn add_sup(cx: &mut Context, manager: &Manager) {
    let args = Args::Parent(cx.pid());
    let added = manager.add_sup_handler(cx, dummy(), args).await;
    added.expect("it is added");
}

/// The next message, as text.
async fn told(cx: &mut Context) -> String {
    let message = cx.receive_timeout(LIMIT).await.expect("a message");
    message.term().to_string()
}

/// Fails if anything is in the mailbox, or comes.
async fn nothing(cx: &mut Context) {
    let message = cx.receive_timeout(ms(1)).await;
    assert!(message.is_none(), "nothing was to come: {message:?}");
}

/// What went wrong with a handler.
fn handler_error<T: std::fmt::Debug>(result: Result<T, ManagerError>) -> HandlerError {
    match result {
        Err(ManagerError::Handler(error)) => error,
        other => panic!("the error of a handler: {other:?}"),
    }
}

/// `{error, Reason}` with that atom.
fn refused<T: std::fmt::Debug>(result: Result<T, ManagerError>, reason: &str) {
    let expected = HandlerError::Error(ExitReason::from(atom(reason)));
    assert_eq!(handler_error(result), expected);
}
