//! `idle_cpu`: what a VM costs in which nothing happens.

use std::time::{Duration, Instant};

use clap::Args;
use otp_vm::Context;

use crate::harness::{BenchError, MEMBERS_MAX, SETTLE, Settings, seconds};
use crate::proc_fs::{context_switches, cpu_seconds};
use crate::report::Report;

/// CPU time and context switches of a VM whose processes all wait, every other with a timer
#[derive(Debug, Clone, Args)]
pub struct IdleCpu {
    /// Processes that wait: half of them sleep for a day, the others wait for a message
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=MEMBERS_MAX))]
    pub n: u64,
    /// How long to look, in seconds; the kernel's clock has steps of 10 ms
    #[arg(long, default_value_t = 10.0, value_parser = seconds)]
    pub seconds: f64,
}

/// Longer than any run.
const SLEEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Slices between two looks of a VM that is quiet: the driver's own.
const QUIET_SLICES: u64 = 2;

impl IdleCpu {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, seconds } = *self;
        settings.measure(move |cx| async move {
            for number in 0..n {
                let wait = move |mut cx: Context| async move {
                    if number % 2 == 0 {
                        cx.sleep(SLEEP).await;
                    } else {
                        cx.receive().await;
                    }
                };
                cx.spawn(wait).expect("room for all");
            }
            until_quiet(&cx).await;
            let (cpu, switches) = (cpu_seconds(), context_switches());
            let began = Instant::now();
            cx.sleep(Duration::from_secs_f64(seconds)).await;
            let cpu = cpu_seconds() - cpu;
            let elapsed = began.elapsed().as_secs_f64();
            let switches = context_switches().saturating_sub(switches);
            Report::new("idle_cpu")
                .with("n", n)
                .with("timers", cx.vm().system_info().schedulers_figures.timers)
                .figure("seconds", elapsed)
                .figure("cpu_s", cpu)
                .figure("cpu_percent", 100.0 * cpu / elapsed)
                .with("context_switches", switches)
        })
    }
}

/// Waits until a while has passed in which no process ran.
async fn until_quiet(cx: &Context) {
    let slices = || {
        let workers = cx.vm().system_info().schedulers_figures.schedulers;
        workers.iter().map(|worker| worker.slices).sum::<u64>()
    };
    let mut before = slices();
    loop {
        cx.sleep(SETTLE).await;
        let now = slices();
        if now - before <= QUIET_SLICES {
            break;
        }
        before = now;
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
        // Every other process has one; the driver's own may be among them.
        let timers = report.number("timers").expect("it is counted");
        assert!((5.0..=6.0).contains(&timers), "{timers}");
        assert!(report.number("cpu_percent").is_some());
        assert!(report.number("context_switches").is_some());
    }
}
