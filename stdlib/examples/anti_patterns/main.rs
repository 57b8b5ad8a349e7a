//! What one had better not write, each beside what to write instead, and an assertion that shows the difference. The
//! anti-patterns are Elixir's and Erlang's; so is what they are replaced by. Each module is one of them.
//!
//! `cargo run -p otp-stdlib --example anti_patterns`

mod blocked_server;
mod captured_struct;
mod code_organisation;
mod dynamic_names;
mod global_singleton;
mod message_to_oneself;
mod scattered_interface;
mod unknown_messages;
mod unsupervised_process;
mod unsupervised_task;

use std::error::Error;
use std::time::Duration;

use otp_vm::simulation::Simulation;
use otp_vm::{Context, Vm};

/// Whatever may go wrong in a process.
type Failure = Box<dyn Error + Send + Sync>;

/// In how many orders each is shown.
const SEEDS: u64 = 20;

/// What a module shows, as a sentence: in a VM of its own, in virtual time, once for each seed.
fn explore<B, F>(body: B) -> Result<String, Box<dyn Error>>
where
    B: Fn(Context) -> F + Send + Clone + 'static,
    F: Future<Output = Result<String, Failure>> + Send + 'static,
{
    let mut shown = String::new();
    Simulation::builder().explore(0..SEEDS, |simulation| {
        shown = once(simulation, body.clone())?;
        Ok(())
    })?;
    Ok(shown)
}

fn once<B, F>(simulation: &mut Simulation, body: B) -> Result<String, Box<dyn Error>>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output = Result<String, Failure>> + Send + 'static,
{
    let vm = Vm::builder().simulate(simulation).build()?;
    let shown = simulation.block_on(vm.run(body))??;
    simulation.block_on(vm.shutdown(Duration::from_secs(60)))?;
    shown.map_err(|error| error as Box<dyn Error>)
}

/// Ends a process, and waits until it has.
async fn kill(cx: &mut Context, pid: otp_vm::Pid) {
    let monitor = cx.monitor(pid);
    cx.exit_process(pid, otp_vm::ExitReason::kill());
    cx.await_down(monitor).await;
}

fn main() -> Result<(), Box<dyn Error>> {
    let print = |what: &str, shown: String| println!("{what}: {shown}");
    print(
        "a process for code organisation",
        explore(code_organisation::shows)?,
    );
    print(
        "a scattered interface",
        explore(scattered_interface::shows)?,
    );
    print(
        "a closure that captures all of it",
        explore(captured_struct::shows)?,
    );
    print(
        "a process that nobody supervises",
        explore(unsupervised_process::shows)?,
    );
    print(
        "one process for all users",
        explore(global_singleton::shows)?,
    );
    print(
        "init by a message to oneself",
        explore(message_to_oneself::shows)?,
    );
    print("unknown messages, ignored", unknown_messages::run()?);
    print("a blocked server", explore(blocked_server::shows)?);
    print(
        "a task that nobody supervises",
        explore(unsupervised_task::shows)?,
    );
    // Last, and one time: it leaves the program without room for another atom.
    let mut simulation = Simulation::new(1)?;
    print(
        "names made at run time",
        once(&mut simulation, dynamic_names::shows)?,
    );
    Ok(())
}

#[test]
fn the_differences_show() {
    main().unwrap();
}
