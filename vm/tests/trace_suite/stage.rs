//! A process that does as it is told, and what its tracer sees.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use otp_vm::simulation::Simulation;
use otp_vm::{Atom, Context, Destination, ExitReason, Message, Pid, Ref, Timeout, Vm};
use serde::{Deserialize, Serialize};

/// No wait takes longer, in virtual time.
const LIMIT: Duration = Duration::from_secs(60);

/// As long as OTP's suite looks whether nothing comes.
const NOTHING: Duration = Duration::from_millis(100);

/// Seeds of each case.
const SEEDS: u64 = 25;

/// Runs a case under each seed. What it panics with fails the test.
pub fn simulate<F>(case: impl Fn(Context) -> F + Copy + Send + 'static)
where
    F: Future<Output = ()> + Send + 'static,
{
    let explored = Simulation::builder().explore(0..SEEDS, |simulation| {
        let vm = Vm::builder().simulate(simulation).build()?;
        simulation.block_on(vm.run(case))??;
        let report = simulation.block_on(vm.shutdown(LIMIT))?;
        assert!(report.is_orderly(), "{report:?}");
        Ok(())
    });
    if let Err(failure) = explored {
        panic!("{failure}");
    }
}

/// What a worker is told.
#[derive(Debug, Serialize, Deserialize)]
pub enum Do {
    /// Nothing: to have it receive something.
    Note(u32),
    /// Send a text.
    Send(Pid, String),
    /// Send an atom.
    SendAtom(Pid, Atom),
    /// Send a text to a name.
    SendNamed(String, String),
    Link(Pid),
    Unlink(Pid),
    TrapExit(bool),
    /// Make a worker and tell the pid.
    Spawn(Pid),
    SpawnLink(Pid),
    /// `exit(self(), Reason)`, and tell the process what came of it, if it is trapped.
    ExitSelf(Pid, String),
    /// Wait for what doesn't come.
    Wait(u64),
    /// Call a server.
    Call(Pid),
    /// Ask whether somebody lives.
    Asks(Pid),
    End(String),
    EndNormally,
}

/// Names a type that would have itself in it.
pub type Boxed = Pin<Box<dyn Future<Output = ExitReason> + Send>>;

pub fn worker(cx: Context) -> Boxed {
    Box::pin(work(cx))
}

async fn work(mut cx: Context) -> ExitReason {
    loop {
        let Ok(order) = cx.receive().await.decode::<Do>() else {
            continue;
        };
        match order {
            Do::Note(_) => {}
            Do::Send(to, text) => cx.send(to, &text).unwrap(),
            Do::SendAtom(to, atom) => cx.send(to, &atom).unwrap(),
            Do::SendNamed(name, text) => drop(cx.send(name.as_str(), &text)),
            Do::Link(pid) => cx.link(pid),
            Do::Unlink(pid) => cx.unlink(pid),
            Do::TrapExit(trap) => drop(cx.trap_exit(trap)),
            Do::Spawn(to) => {
                let child = cx.spawn(worker).unwrap();
                cx.send(to, &child).unwrap();
            }
            Do::SpawnLink(to) => {
                let child = cx.spawn_link(worker).unwrap();
                cx.send(to, &child).unwrap();
            }
            Do::ExitSelf(to, reason) => {
                cx.exit_process(cx.pid(), reason);
                let exit = cx.receive_where(Timeout::Infinity, Message::exit).await;
                cx.send(to, &exit.unwrap().reason).unwrap();
            }
            Do::Wait(ms) => {
                let never = cx.receive_where(Duration::from_millis(ms), |_| None::<()>);
                assert_eq!(never.await, None);
            }
            Do::Call(pid) => drop(cx.call::<_, u32>(pid, &7_u32, Timeout::Infinity).await),
            Do::Asks(pid) => assert!(cx.is_alive(pid).await),
            Do::End(reason) => return ExitReason::from(reason),
            Do::EndNormally => return ExitReason::normal(),
        }
    }
}

/// Gives the worker something to do.
pub fn tell(cx: &Context, to: impl Into<Destination>, order: Do) {
    cx.send(to, &order).unwrap();
}

/// The text of an order, as it stands in a trace.
pub fn text(order: &Do) -> String {
    otp_vm::to_term(order).unwrap().root().to_string()
}

/// The next message as text.
pub async fn next(cx: &mut Context) -> String {
    let message = cx.receive_timeout(LIMIT).await;
    message.expect("a message in time").to_string()
}

/// So many messages, sorted: where it is open whose come first.
pub async fn sorted(cx: &mut Context, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(next(cx).await);
    }
    all.sort();
    all
}

/// Fails unless the next messages are those.
pub async fn expect(cx: &mut Context, expected: impl IntoIterator<Item = String>) {
    for expected in expected {
        assert_eq!(next(cx).await, expected);
    }
}

/// Fails if anything comes.
pub async fn nothing(cx: &mut Context) {
    if let Some(message) = cx.receive_timeout(NOTHING).await {
        panic!("{message}");
    }
}

/// A pid that is told.
pub async fn pid(cx: &mut Context) -> Pid {
    let told = cx.receive_where(LIMIT, |message| message.decode::<Pid>().ok());
    told.await.expect("a pid in time")
}

pub async fn down(cx: &mut Context, monitor: Ref) -> ExitReason {
    let down = cx.await_down_timeout(monitor, LIMIT).await;
    down.expect("a DOWN in time").reason
}

/// Ends a process and waits until it is gone.
pub async fn end(cx: &mut Context, pid: Pid) {
    let monitor = cx.monitor(pid);
    cx.exit_process(pid, "die");
    down(cx, monitor).await;
}

/// Waits until a process has done what it was told so far.
pub async fn settle(cx: &mut Context, pid: Pid) {
    assert!(cx.is_alive(pid).await);
    cx.sleep(Duration::from_millis(1)).await;
}

/// `{trace, Pid, …}`.
pub fn event(pid: Pid, rest: impl std::fmt::Display) -> String {
    format!("{{trace,{pid},{rest}}}")
}

pub fn received(pid: Pid, order: &Do) -> String {
    event(pid, format!("'receive',{}", text(order)))
}
