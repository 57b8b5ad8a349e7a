//! For the suites: a body that runs in virtual time.
#![allow(dead_code, reason = "each test binary uses its part")]

use std::time::Duration;

use otp_vm::simulation::Simulation;
use otp_vm::{Context, Message, Vm, VmBuilder};

/// Each test runs in the orders of so many seeds.
pub const SEEDS: u64 = 5;

/// Runs `body` as a process of a simulated VM, once for each of some seeds.
pub fn simulated<B, F>(body: B)
where
    B: Fn(Context) -> F + Send + Clone + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    simulated_with(|builder| builder, body);
}

/// The same with a VM of its own kind.
pub fn simulated_with<B, F>(build: impl Fn(VmBuilder) -> VmBuilder, body: B)
where
    B: Fn(Context) -> F + Send + Clone + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    for seed in 0..SEEDS {
        let mut simulation = Simulation::new(seed).unwrap();
        let vm = build(Vm::builder()).simulate(&simulation).build().unwrap();
        let run = simulation.block_on(vm.run(body.clone())).unwrap();
        run.unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        let shutdown = vm.shutdown(Duration::from_secs(5));
        simulation.block_on(shutdown).unwrap();
    }
}

pub const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// The next message as text, which must come within a time.
pub async fn within(cx: &mut Context, limit: Duration) -> String {
    text(&cx.receive_timeout(limit).await.expect("a message in time"))
}

/// Fails if a message comes within a time.
pub async fn nothing_within(cx: &mut Context, limit: Duration) {
    let message = cx.receive_timeout(limit).await;
    assert!(message.is_none(), "{message:?}");
}

pub fn text(message: &Message) -> String {
    message
        .decode::<String>()
        .unwrap_or_else(|_| message.to_string())
}
