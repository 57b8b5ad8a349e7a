//! Tests in simulations, and what they catch.

#![allow(dead_code, missing_docs)] // Each test uses its own part of it.

use std::error::Error;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use otp_vm::simulation::Simulation;
use otp_vm::{Context, ExitReason, Vm};

/// In how many orders each test runs. Chosen by feel: a suite takes seconds.
const SEEDS: u64 = 10;

/// Runs `body` as the first process of a VM, once for each seed. Fails if it panics, and names the seed.
pub fn simulated<B, F>(body: B)
where
    B: Fn(Context) -> F + Send + Clone + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    simulated_on(Vm::builder, body);
}

/// As [`simulated`], in VMs of one's own.
pub fn simulated_on<B, F>(builder: impl Fn() -> otp_vm::VmBuilder, body: B)
where
    B: Fn(Context) -> F + Send + Clone + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let explored = Simulation::builder().explore(0..SEEDS, |simulation| {
        let vm = builder().simulate(simulation).build()?;
        simulation.block_on(vm.run(body.clone()))??;
        simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
        Ok::<(), Box<dyn Error>>(())
    });
    if let Err(failure) = explored {
        panic!("{failure}");
    }
}

/// Why `future` exits, or what it panics with. `catch_exit` and `assert_raise`.
pub async fn catch_exit<T>(future: impl Future<Output = T>) -> ExitReason {
    let mut future = pin!(future);
    std::future::poll_fn(|task| {
        match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(task))) {
            Ok(Poll::Ready(_)) => panic!("it did not exit"),
            Ok(Poll::Pending) => Poll::Pending,
            Err(payload) => Poll::Ready(ExitReason::from_panic(payload)),
        }
    })
    .await
}

/// Whether nothing is in the mailbox.
pub async fn no_message(cx: &mut Context) -> bool {
    cx.receive_timeout(Duration::ZERO).await.is_none()
}
