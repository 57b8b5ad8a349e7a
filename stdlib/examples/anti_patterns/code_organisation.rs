//! A process for code organisation. A module is how code is organised; a process is for what happens at run time:
//! state that outlives a call, access one at a time, failures kept apart. Where none of these is wanted, it is a queue
//! in front of a function.

use std::time::Duration;

use otp_stdlib::prelude::*;
use otp_vm::Context;

use crate::Failure;

/// How long a price takes to compute.
const COST: Duration = Duration::from_millis(10);

/// Right: a function.
mod right {
    use super::*;

    pub(super) async fn price(cx: &Context, pieces: u64) -> u64 {
        cx.sleep(COST).await;
        3 * pieces
    }
}

/// Wrong: a server without a state. All its callers wait in one line, and a crash is one for everybody in it.
mod wrong {
    use super::*;

    pub(super) struct Calculator;

    #[gen_server]
    impl Calculator {
        fn init() -> Self {
            Calculator
        }

        #[call]
        async fn price(&mut self, pieces: u64, cx: &mut Context) -> u64 {
            right::price(cx, pieces).await
        }
    }
}

pub(crate) async fn shows(mut cx: Context) -> Result<String, Failure> {
    use wrong::{Calculator, CalculatorClient};

    let cx = &mut cx;
    let calculator = Calculator::start_link(cx, ()).await?;
    let mut took = [Duration::ZERO; 2];
    for (is_server, took) in [true, false].into_iter().zip(&mut took) {
        let begun = cx.monotonic_time();
        let mut asked = Vec::new();
        for pieces in 0..100 {
            let calculator = calculator.clone();
            asked.push(Task::async_(
                cx,
                async move |mut cx: Context| match is_server {
                    true => calculator.price(&mut cx, pieces).await.expect("a price"),
                    false => right::price(&cx, pieces).await,
                },
            )?);
        }
        let prices = Task::await_many(cx, asked).await;
        assert_eq!(prices[99], 297);
        *took = Duration::from_nanos(cx.monotonic_time() - begun);
    }
    let [server, function] = took;
    assert!(server >= 100 * COST);
    assert!(function < 20 * COST);
    Ok(format!(
        "100 callers take {server:.1?} by a server, {function:.1?} by a function"
    ))
}
