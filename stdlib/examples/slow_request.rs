//! A request that takes long, in a server that must not keep the others waiting: `handle_call` starts a task and says
//! `Reply::later`; the task has the `From`, and replies itself. If it fails the server hears of it, and tells the
//! caller.
//!
//! `cargo run -p otp-stdlib --example slow_request`

use std::collections::HashMap;
use std::error::Error;
use std::time::Duration;

use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::*;
use otp_stdlib::task::TaskMessage;
use otp_vm::simulation::Simulation;
use otp_vm::{Context, RandomState, Ref, Vm};
use serde::{Deserialize, Serialize};

struct Reports {
    tasks: TaskSupervisorRef,
    /// Who waits for which task.
    running: HashMap<Ref, From<Answer>, RandomState>,
}

#[derive(Serialize, Deserialize)]
enum Request {
    /// Takes long, and with 0 it fails.
    Render(u64),
    Running,
}

type Answer = Result<u64, String>;

/// What is slow: on a page of its own it would be a query, or an image.
async fn render(cx: &Context, pages: u64) -> u64 {
    assert!(pages > 0, "nothing to render");
    cx.sleep(Duration::from_secs(pages)).await;
    pages * 1000
}

impl GenServer for Reports {
    type Args = TaskSupervisorRef;
    type Call = Request;
    type Reply = Answer;
    type Cast = NoMessage;
    type Info = TaskMessage<()>;
    type Continue = NoMessage;

    async fn init(tasks: TaskSupervisorRef, _cx: &mut Context) -> Init<Self> {
        Init::ok(Self {
            tasks,
            running: HashMap::default(),
        })
    }

    async fn handle_call(
        &mut self,
        request: Request,
        from: From<Answer>,
        cx: &mut Context,
    ) -> Reply<Self> {
        let pages = match request {
            Request::Render(pages) => pages,
            Request::Running => return Reply::new(Ok(self.running.len() as u64)),
        };
        // Here `cx.pid()` is the server; in the task's body it would be the task.
        let body = async move |cx: Context| {
            let rendered = render(&cx, pages).await;
            from.reply(&cx, &Ok(rendered)).expect("a number is a term");
        };
        // Not linked: a report that fails is not to take the server along.
        match TaskSupervisor::async_nolink(&self.tasks, cx, body).await {
            Ok(task) => {
                self.running.insert(task.reference(), from);
                Reply::later()
            }
            Err(error) => Reply::new(Err(error.to_string())),
        }
    }

    async fn handle_info(&mut self, message: TaskMessage<()>, cx: &mut Context) -> NoReply<Self> {
        match message {
            TaskMessage::Reply(task, ()) => {
                cx.demonitor_flush(task);
                self.running.remove(&task);
            }
            TaskMessage::Down(task, reason) => {
                if let Some(from) = self.running.remove(&task) {
                    let told = from.reply(cx, &Err(reason.to_string()));
                    told.expect("a text is a term");
                }
            }
        }
        NoReply::new()
    }
}

async fn ask(mut cx: Context) {
    let tasks = TaskSupervisor::start_link(&mut cx, DynamicSupervisorFlags::new())
        .await
        .expect("it starts");
    let reports = Reports::start_link(&mut cx, tasks)
        .await
        .expect("it starts");

    let slow = reports
        .send_request(&cx, Request::Render(50))
        .expect("it is sent");
    let fails = reports
        .send_request(&cx, Request::Render(0))
        .expect("it is sent");
    // The server answers others meanwhile.
    let begun = cx.monotonic_time();
    let since = |cx: &Context| Duration::from_nanos(cx.monotonic_time() - begun).as_secs();
    let running = reports.call(&mut cx, Request::Running).await;
    println!("{:?} are under way", running.expect("an answer"));

    let failed = fails
        .receive_response(&mut cx, None)
        .await
        .expect("an answer");
    println!("{failed:?}");
    assert!(failed.is_err_and(|reason| reason.contains("nothing to render")));
    // The one that takes long is under way, and nobody has waited for it.
    let running = reports.call(&mut cx, Request::Running).await;
    assert_eq!(running.expect("an answer"), Ok(1));
    assert_eq!(since(&cx), 0);
    let rendered = slow
        .receive_response(&mut cx, None)
        .await
        .expect("an answer");
    println!("{rendered:?}");
    assert_eq!(rendered, Ok(50_000));
    assert_eq!(since(&cx), 50);
}

/// In a simulation, where seconds pass at once, and who is first is another in each order.
fn run(simulation: &mut Simulation) -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().simulate(simulation).build()?;
    simulation.block_on(vm.run(ask))??;
    simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    run(&mut Simulation::new(1)?)
}

#[test]
fn holds_in_every_order() {
    let explored = Simulation::builder().explore(0..50, run);
    assert_eq!(explored.unwrap_or_else(|failure| panic!("{failure}")), 50);
}
