//! `idle_cpu`: what a VM costs in which nothing happens.

use std::time::{Duration, Instant};

use clap::Args;

use crate::harness::{BenchError, SETTLE, Settings, seconds};
use crate::proc_fs::cpu_seconds;
use crate::report::Report;

/// CPU time of a VM whose processes all sleep
#[derive(Debug, Clone, Args)]
pub struct IdleCpu {
    /// Processes that sleep
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub n: u64,
    /// How long to look, in seconds; the kernel's clock has steps of 10 ms
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    pub seconds: f64,
}

/// Longer than any run.
const SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

impl IdleCpu {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, seconds } = *self;
        settings.measure(move |cx| async move {
            for _ in 0..n {
                let sleep = |cx: otp_vm::Context| async move { cx.sleep(SLEEP).await };
                cx.spawn(sleep).expect("room for all");
            }
            cx.sleep(SETTLE).await;
            let before = cpu_seconds();
            let began = Instant::now();
            cx.sleep(Duration::from_secs_f64(seconds)).await;
            let cpu = cpu_seconds() - before;
            Report::new("idle_cpu")
                .with("n", n)
                .figure("seconds", began.elapsed().as_secs_f64())
                .figure("cpu_s", cpu)
                .figure("cpu_percent", 100.0 * cpu / began.elapsed().as_secs_f64())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn the_look_takes_as_long_as_was_asked() {
        let report = run(Workload::IdleCpu(IdleCpu {
            n: 10,
            seconds: 0.05,
        }));
        assert!(
            report
                .number("seconds")
                .is_some_and(|seconds| seconds >= 0.05)
        );
        assert_positive(&report, &["n"]);
        assert!(report.number("cpu_percent").is_some());
    }
}
