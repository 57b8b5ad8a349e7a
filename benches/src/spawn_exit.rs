//! `spawn_exit`: processes that return at once, made in waves and watched.

use clap::Args;
use otp_vm::Context;

use crate::harness::{BenchError, MEMBERS_MAX, Settings, at_once, each_of, ns_each};
use crate::report::Report;

/// Make processes that end at once, and see them end: `spawn_monitor` until `DOWN`
#[derive(Debug, Clone, Args)]
pub struct SpawnExit {
    /// Processes, all spawners together
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub n: u64,
    /// Processes that a spawner makes before it waits for their ends
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=MEMBERS_MAX))]
    pub wave: u64,
    /// Processes that do so at once
    #[arg(long, default_value_t = 2)]
    pub spawners: u64,
}

/// Processes of the warm-up.
const WARM_UP: u64 = 100_000;

impl SpawnExit {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, wave, spawners } = *self;
        let each = each_of(n, spawners, "spawners")?;
        let wave = wave.max(1);
        settings.measure(move |mut cx| async move {
            waves(&mut cx, n.min(WARM_UP), wave).await;
            let elapsed = at_once(&mut cx, spawners, move |_, mut cx| async move {
                waves(&mut cx, each, wave).await;
            });
            let elapsed = elapsed.await;
            Report::new("spawn_exit")
                .with("n", each * spawners)
                .with("wave", wave)
                .with("spawners", spawners)
                .figure("ns_per_op", ns_each(elapsed, each * spawners))
        })
    }
}

async fn waves(cx: &mut Context, total: u64, wave: u64) {
    let mut left = total;
    while left > 0 {
        let now = left.min(wave);
        for _ in 0..now {
            cx.spawn_monitor(|_| async {}).expect("room for a wave");
        }
        for _ in 0..now {
            let down = cx.receive().await.down().expect("only ends arrive");
            assert!(
                down.reason.is_normal(),
                "a process ended with {}",
                down.reason
            );
        }
        left -= now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn every_process_is_seen_to_end_also_in_a_wave_that_is_not_full() {
        let report = run(Workload::SpawnExit(SpawnExit {
            n: 50,
            wave: 10,
            spawners: 2,
        }));
        assert_eq!(report.number("n"), Some(50.0));
        assert_positive(&report, &["ns_per_op"]);
    }
}
