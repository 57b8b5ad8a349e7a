//! What the tests share: a VM with a bound on its time, and a server that tells what happens to it.

#![allow(dead_code, missing_docs)] // Each test file uses its own part of it.

use std::sync::mpsc;
use std::time::Duration;

use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::*;
use otp_vm::{Context, ExitReason, Pid, Ref, Timeout, Vm};
use serde::{Deserialize, Serialize};

/// No test needs a fraction of it; one that hangs fails by it.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Runs `body` as a process of a fresh VM, and fails if it fails or hangs.
pub fn run<B, F, T>(body: B) -> T
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    run_on(2, body)
}

/// Waits until the caller is the only process: one that ended while it was bound to its thread, as on a loaded machine
/// any may be, is counted out when that gets on.
pub async fn alone(cx: &Context) {
    let begun = std::time::Instant::now();
    while cx.vm().system_info().process_count > 1 {
        assert!(begun.elapsed() < LIMIT, "somebody is left");
        cx.yield_now().await;
    }
}

/// As [`run`], on so many schedulers.
pub fn run_on<B, F, T>(schedulers: usize, body: B) -> T
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    let vm = Vm::builder().schedulers(schedulers).build().expect("a VM");
    let (done, result) = mpsc::channel();
    let host = vm.clone();
    std::thread::spawn(move || done.send(host.run(body).wait()));
    let result = result.recv_timeout(LIMIT).expect("the test hangs");
    let value = result.unwrap_or_else(|error| panic!("the test's process failed: {error:?}"));
    vm.shutdown(Duration::from_secs(5)).wait();
    value
}

/// What a [`Probe`] tells its witness.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Event {
    Started(String, Pid),
    Terminated(String, ExitReason),
}

/// The next event, within the test's limit.
pub async fn event(cx: &mut Context) -> Event {
    cx.receive_where(LIMIT, |message| message.decode::<Event>().ok())
        .await
        .expect("an event")
}

/// The next event, which must be a start of `name`; gives the pid.
pub async fn started(cx: &mut Context, name: &str) -> Pid {
    match event(cx).await {
        Event::Started(who, pid) if who == name => pid,
        other => panic!("expected the start of {name}, got {other:?}"),
    }
}

/// The next event, which must be the end of `name`; gives the reason.
pub async fn terminated(cx: &mut Context, name: &str) -> ExitReason {
    match event(cx).await {
        Event::Terminated(who, reason) if who == name => reason,
        other => panic!("expected the end of {name}, got {other:?}"),
    }
}

/// Whether no event waits.
pub async fn no_event(cx: &mut Context) -> bool {
    cx.receive_where(Duration::ZERO, |message| message.decode::<Event>().ok())
        .await
        .is_none()
}

/// Waits for the end of a monitored process.
pub async fn down(cx: &mut Context, monitor: Ref) -> ExitReason {
    let down = cx.await_down_timeout(monitor, LIMIT).await;
    down.expect("a DOWN").reason
}

/// Waits for the end of a process.
pub async fn ended(cx: &mut Context, pid: Pid) -> ExitReason {
    let monitor = cx.monitor(pid);
    down(cx, monitor).await
}

/// The `EXIT` of a linked process, when trapping.
pub async fn exit_of(cx: &mut Context, pid: Pid) -> ExitReason {
    cx.receive_where(LIMIT, |message| {
        message.exit().filter(|exit| exit.from == pid)
    })
    .await
    .expect("an EXIT")
    .reason
}

pub fn reason(text: &str) -> ExitReason {
    ExitReason::new(text)
}

/// A server that tells a witness of its start and end, and does as it is told.
pub struct Probe {
    name: String,
    witness: Pid,
}

#[derive(Clone)]
pub struct ProbeArgs {
    pub name: String,
    pub witness: Pid,
    pub trap_exit: bool,
}

impl ProbeArgs {
    pub fn new(name: &str, witness: Pid) -> Self {
        Self {
            name: name.to_owned(),
            witness,
            trap_exit: true,
        }
    }

    pub fn not_trapping(mut self) -> Self {
        self.trap_exit = false;
        self
    }
}

#[derive(Serialize, Deserialize)]
pub enum Do {
    Ping,
    Stop(ExitReason),
    Panic,
    /// Unlinks from its parent.
    Unlink(Pid),
}

impl GenServer for Probe {
    type Args = ProbeArgs;
    type Call = Do;
    type Reply = Pid;
    type Cast = Do;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init(args: ProbeArgs, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(args.trap_exit);
        cx.send(args.witness, &Event::Started(args.name.clone(), cx.pid()))
            .expect("a term");
        Init::ok(Self {
            name: args.name,
            witness: args.witness,
        })
    }

    async fn handle_call(
        &mut self,
        request: Do,
        _from: From<Pid>,
        cx: &mut Context,
    ) -> Reply<Self> {
        match request {
            Do::Ping => Reply::new(cx.pid()),
            Do::Stop(reason) => Reply::stop_with(reason, cx.pid()),
            Do::Panic => panic!("as told"),
            Do::Unlink(parent) => {
                cx.unlink(parent);
                Reply::new(cx.pid())
            }
        }
    }

    async fn handle_cast(&mut self, request: Do, _cx: &mut Context) -> NoReply<Self> {
        match request {
            Do::Stop(reason) => NoReply::stop(reason),
            Do::Panic => panic!("as told"),
            Do::Ping | Do::Unlink(_) => NoReply::new(),
        }
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Context) {
        let event = Event::Terminated(self.name.clone(), reason.clone());
        cx.send(self.witness, &event).expect("a term");
    }
}

/// A child that runs a probe.
pub fn probe(name: &'static str, witness: Pid) -> ChildSpec {
    let args = ProbeArgs::new(name, witness);
    ChildSpec::worker(name, move |cx| Probe::start_link(cx, args.clone()))
}

/// Ends the probe with a reason, and waits for its end.
pub async fn stop_probe(cx: &mut Context, pid: Pid, with: ExitReason) {
    let monitor = cx.monitor(pid);
    ServerRef::<Probe>::from_pid(pid)
        .cast(cx, Do::Stop(with))
        .expect("a term");
    down(cx, monitor).await;
}

/// A receive that never ends.
pub async fn for_ever(cx: &mut Context) {
    cx.receive_where(Timeout::Infinity, |_| None::<()>).await;
}
