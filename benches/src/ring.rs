//! `ring`: a token goes round.

use std::time::Instant;

use clap::Args;
use otp_vm::{Context, Pid};
use serde::{Deserialize, Serialize};

use crate::harness::{BenchError, MEMBERS_MAX, SETTLE, Settings, ns_each};
use crate::report::Report;

/// A token goes round a ring of processes
#[derive(Debug, Clone, Args)]
pub struct Ring {
    /// Processes in the ring
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..=MEMBERS_MAX))]
    pub n: u64,
    /// Rounds
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub rounds: u64,
}

/// `{token, Hops}`.
#[derive(Debug, Serialize, Deserialize)]
enum Passed {
    Token(u64),
}

impl Ring {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, rounds } = *self;
        settings.measure(move |mut cx| async move {
            // The driver is one of them.
            let mut first = cx.pid();
            for _ in 1..n {
                first = cx
                    .spawn(move |cx| node(cx, first))
                    .expect("room for the ring");
            }
            cx.sleep(SETTLE).await;
            let began = Instant::now();
            for _ in 0..rounds {
                cx.send(first, &Passed::Token(0))
                    .expect("a pid needs no name");
                let Passed::Token(hops) =
                    cx.receive().await.decode().expect("only the token comes");
                assert_eq!(hops, n - 1);
            }
            let elapsed = began.elapsed();
            Report::new("ring")
                .with("n", n)
                .with("rounds", rounds)
                .figure("ns_per_hop", ns_each(elapsed, n * rounds))
        })
    }
}

async fn node(mut cx: Context, next: Pid) {
    loop {
        let Passed::Token(hops) = cx.receive().await.decode().expect("only the token comes");
        cx.send(next, &Passed::Token(hops + 1))
            .expect("a pid needs no name");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn the_token_visits_all() {
        let report = run(Workload::Ring(Ring { n: 20, rounds: 5 }));
        assert_eq!(
            (report.number("n"), report.number("rounds")),
            (Some(20.0), Some(5.0))
        );
        assert_positive(&report, &["ns_per_hop"]);
    }
}
