//! `pingpong`: two processes send each other a message to and fro.

use clap::Args;
use otp_vm::{Context, Pid};

use crate::harness::{BenchError, Settings, at_once, each_of, ns_each};
use crate::report::Report;

/// A message to another process and back
#[derive(Debug, Clone, Args)]
pub struct Pingpong {
    /// Round trips, all pairs together
    #[arg(long, default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub n: u64,
    /// Pairs of processes at once
    #[arg(long, default_value_t = 1)]
    pub pairs: u64,
}

/// Round trips of the warm-up.
const WARM_UP: u64 = 100_000;

impl Pingpong {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, pairs } = *self;
        let each = each_of(n, pairs, "pairs")?;
        settings.measure(move |mut cx| async move {
            ping(&mut cx, n.min(WARM_UP)).await;
            let elapsed = at_once(&mut cx, pairs, move |_, mut cx| async move {
                ping(&mut cx, each).await;
            });
            let elapsed = elapsed.await;
            Report::new("pingpong")
                .with("n", each * pairs)
                .with("pairs", pairs)
                .figure("ns_per_round_trip", ns_each(elapsed, each * pairs))
        })
    }
}

async fn ping(cx: &mut Context, rounds: u64) {
    let partner = cx.spawn(pong).expect("room for the partner");
    for round in (1..=rounds).rev() {
        cx.send(partner, &(cx.pid(), round))
            .expect("a pid needs no name");
        let answer: (Pid, u64) = cx
            .receive()
            .await
            .decode()
            .expect("the partner answers in kind");
        assert_eq!(answer, (partner, round));
    }
}

async fn pong(mut cx: Context) {
    loop {
        let (from, round): (Pid, u64) = cx.receive().await.decode().expect("pings are pairs");
        cx.send(from, &(cx.pid(), round))
            .expect("a pid needs no name");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn each_pair_makes_its_round_trips() {
        let report = run(Workload::Pingpong(Pingpong { n: 90, pairs: 3 }));
        assert_eq!(report.number("n"), Some(90.0));
        assert_positive(&report, &["ns_per_round_trip"]);
    }
}
