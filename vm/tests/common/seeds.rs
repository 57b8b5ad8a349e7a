//! A body in simulations by many seeds: in virtual time, and each time in another order.

use std::error::Error;
use std::ops::Range;
use std::time::Duration;

use otp_vm::simulation::Simulation;
use otp_vm::{Context, Vm};

/// Runs `body` as the first process of a VM, once for each seed. Fails if it panics, and names the seed; then waits for
/// nobody else: whoever asserts is linked with it.
pub fn seeds<B, F>(seeds: Range<u64>, body: B)
where
    B: Fn(Context) -> F + Send + Clone + 'static,
    F: Future<Output = ()> + Send + 'static,
{
    let explored = Simulation::builder().explore(seeds, |simulation| {
        let vm = Vm::builder().simulate(simulation).build()?;
        simulation.block_on(vm.run(body.clone()))??;
        simulation.block_on(vm.shutdown(Duration::from_secs(5)))?;
        Ok::<(), Box<dyn Error>>(())
    });
    if let Err(failure) = explored {
        panic!("{failure}");
    }
}
