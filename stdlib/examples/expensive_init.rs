//! A server that has much to load: `init` says `continue`, so that whoever started it goes on at once, and the load is
//! done before any message is looked at. A call that comes meanwhile waits, and is answered from what was loaded.
//!
//! Elixir's `{:ok, state, {:continue, :load}}` with `handle_continue/2`, and what it is better than: a message to
//! oneself.
//!
//! `cargo run -p otp-stdlib --example expensive_init`

use std::error::Error;
use std::time::Duration;

use otp_stdlib::prelude::*;
use otp_vm::simulation::Simulation;
use otp_vm::{Context, Vm};
use serde::{Deserialize, Serialize};

const LOAD: Duration = Duration::from_secs(3);

/// What is loaded: it takes its time, longer than a supervisor should wait before it starts the next child.
async fn load(cx: &Context) -> Vec<String> {
    cx.sleep(LOAD).await;
    vec!["apples".into(), "pears".into()]
}

/// What has to be done before the start returns. Meanwhile others run.
async fn prepare(cx: &Context) {
    cx.yield_now().await;
}

struct Catalogue {
    wares: Vec<String>,
}

#[gen_server]
impl Catalogue {
    async fn init(cx: &mut Context) -> Init<Self> {
        prepare(cx).await;
        let empty = Catalogue { wares: Vec::new() };
        Init::ok(empty).and_continue(CatalogueContinue::Load)
    }

    /// Comes before any message, also before one that was there before `init` was done.
    #[continues]
    async fn load(&mut self, cx: &mut Context) {
        self.wares = load(cx).await;
    }

    #[call]
    fn wares(&self) -> Vec<String> {
        self.wares.clone()
    }
}

/// The same by a message to itself. It looks as if that must be the first in the mailbox; but a process that has a name
/// can be sent to from the moment in which it has it, and that is before `init` runs.
struct Hasty {
    wares: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Load;

#[gen_server]
impl Hasty {
    async fn init(cx: &mut Context) -> Self {
        prepare(cx).await;
        cx.send(cx.pid(), &Load).expect("a term");
        Hasty { wares: Vec::new() }
    }

    #[info]
    async fn load(&mut self, _: Load, cx: &mut Context) {
        self.wares = load(cx).await;
    }

    #[call]
    fn wares(&self) -> Vec<String> {
        self.wares.clone()
    }
}

fn since(cx: &Context, begun: u64) -> u64 {
    Duration::from_nanos(cx.monotonic_time() - begun).as_secs()
}

/// Asks the server of this name as soon as somebody has it.
macro_rules! asks_at_once {
    ($server:ty, $cx:expr, $name:literal) => {
        Task::async_($cx, async |mut cx: Context| {
            while cx.whereis($name).is_none() {
                cx.yield_now().await;
            }
            let server = ServerRef::<$server>::from_name($name).expect("a short name");
            server.wares(&mut cx).await.expect("an answer")
        })
        .expect("a process")
    };
}

async fn use_it(mut cx: Context) -> bool {
    let cx = &mut cx;
    let begun = cx.monotonic_time();
    let early = asks_at_once!(Catalogue, cx, "catalogue");
    let start = Catalogue::start_link(cx, ()).name("catalogue");
    let catalogue = start.await.expect("it starts");
    // The start has not waited for the load; the call does.
    assert_eq!(since(cx, begun), 0);
    let wares = catalogue.wares(cx).await.expect("an answer");
    assert_eq!(since(cx, begun), LOAD.as_secs());
    assert_eq!(wares, ["apples", "pears"]);
    // Whoever asks, and however early, sees all.
    assert_eq!(early.await_(cx).await, wares);

    let early = asks_at_once!(Hasty, cx, "hasty");
    let start = Hasty::start_link(cx, ()).name("hasty");
    let hasty = start.await.expect("it starts");
    let seen = early.await_(cx).await;
    assert!(seen.is_empty() || seen == wares, "{seen:?}");
    assert_eq!(hasty.wares(cx).await.expect("an answer"), wares);
    seen.is_empty()
}

/// In a simulation: whether somebody has seen the hasty server without its wares.
fn run(simulation: &mut Simulation) -> Result<bool, Box<dyn Error>> {
    let vm = Vm::builder().simulate(simulation).build()?;
    let seen_empty = simulation.block_on(vm.run(use_it))??;
    simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
    Ok(seen_empty)
}

fn main() -> Result<(), Box<dyn Error>> {
    // Under some seeds the call comes first, and under others the message.
    let mut seen_empty = 0;
    Simulation::builder().explore(0..50, |simulation| {
        seen_empty += u32::from(run(simulation)?);
        Ok(())
    })?;
    println!("{seen_empty} of 50 callers were told by the hasty one that there are no wares");
    assert!((1..50).contains(&seen_empty));
    Ok(())
}

#[test]
fn holds_in_every_order() {
    main().unwrap();
}
