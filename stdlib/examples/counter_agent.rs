//! A counter that many share: an agent, with all its functions in one module, so that nobody else knows what its state
//! looks like.
//!
//! `cargo run -p otp-stdlib --example counter_agent`

use std::error::Error;
use std::time::Duration;

use otp_stdlib::prelude::*;
use otp_vm::Vm;

mod counter {
    use otp_stdlib::prelude::*;
    use otp_vm::{CallError, Context};

    const NAME: &str = "counter";

    pub fn child_spec(initial: u64) -> ChildSpec {
        Agent::child_spec_with_name(NAME, move || initial)
    }

    fn agent() -> Agent<u64> {
        Agent::from_name(NAME).expect("a short name")
    }

    pub async fn value(cx: &mut Context) -> Result<u64, CallError> {
        agent().get(cx, |count| *count).await
    }

    pub async fn increment(cx: &mut Context) -> Result<u64, CallError> {
        let increment = |count: &mut u64| {
            *count += 1;
            *count
        };
        agent().get_and_update(cx, increment).await
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let vm = Vm::builder().schedulers(2).build()?;
    let run = vm.run(|mut cx| async move {
        let flags = SupervisorFlags::one_for_one();
        let children = vec![counter::child_spec(10)];
        Supervisor::start_link(&mut cx, flags, children)
            .await
            .expect("the tree starts");

        // Each sees a number of its own.
        let increment = |mut cx, _| async move { counter::increment(&mut cx).await };
        let seen = Task::async_stream(0..100, increment).collect(&mut cx).await;
        let mut seen: Vec<u64> = seen
            .into_iter()
            .map(|seen| {
                seen.expect("the task is done")
                    .expect("the counter answers")
            })
            .collect();
        seen.sort_unstable();
        assert_eq!(seen, (11..=110).collect::<Vec<u64>>());
        counter::value(&mut cx).await.expect("the counter answers")
    });
    let value = run.wait()?;
    println!("the counter is at {value}");
    assert_eq!(value, 110);
    vm.shutdown(Duration::from_secs(5)).wait();
    Ok(())
}

#[test]
fn runs() {
    main().unwrap();
}
