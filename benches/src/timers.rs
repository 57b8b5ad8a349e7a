//! `timers`: many are started, every other is cancelled, the rest fire.

use std::time::{Duration, Instant};

use clap::Args;
use otp_vm::TimerRef;

use crate::harness::{BenchError, Settings, ns_each};
use crate::load::{self, Load};
use crate::proc_fs::{cpu_seconds, resident_bytes};
use crate::report::Report;

/// Start many timers, cancel every other, let the rest fire
#[derive(Debug, Clone, Args)]
pub struct Timers {
    /// Timers; one of two is cancelled
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(2..=otp_vm::DEFAULT_MAX_TIMERS as u64))]
    pub n: u64,
    /// The shortest time, in ms: long enough that none fires while others are started
    #[arg(long, default_value_t = 1_000)]
    pub min_ms: u64,
    /// The longest time, in ms
    #[arg(long, default_value_t = 10_000)]
    pub max_ms: u64,
}

impl Timers {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, min_ms, max_ms } = *self;
        if min_ms > max_ms {
            return Err(BenchError::NoWork(format!(
                "no time lies between --min-ms {min_ms} and --max-ms {max_ms}"
            )));
        }
        settings.measure(move |mut cx| async move {
            let times = times(n, min_ms, max_ms);
            let mut timers: Vec<TimerRef> = Vec::with_capacity(times.len());
            let (driver, cancelled) = (cx.pid(), n / 2);
            let firing = n - cancelled;
            let sink = cx
                .spawn(move |cx| load::count(cx, driver, firing))
                .expect("room for the sink");

            let cpu = cpu_seconds();
            let began = Instant::now();
            for time in times {
                timers.push(
                    cx.send_after(time, sink, &Load::Msg(0))
                        .expect("a number can be sent"),
                );
            }
            let starting = began.elapsed();
            let cpu_starting = cpu_seconds() - cpu;
            let resident_mb = resident_bytes() as f64 / 1e6;

            let began = Instant::now();
            for timer in timers.chunks_exact(2).map(|pair| pair[0]) {
                cx.cancel_timer(timer)
                    .expect("it was cancelled before its time");
            }
            let cancelling = began.elapsed();

            let cpu = cpu_seconds();
            let began = Instant::now();
            load::all_received(&mut cx).await;
            let cpu_firing = cpu_seconds() - cpu;
            Report::new("timers")
                .with("n", n)
                .with("cancelled", cancelled)
                .with("fired", firing)
                .figure("ns_per_start", ns_each(starting, n))
                .figure("ns_per_cancel", ns_each(cancelling, cancelled))
                .figure("cpu_s_starting", cpu_starting)
                .figure("cpu_s_firing", cpu_firing)
                .figure("cpu_ns_per_fire", cpu_firing * 1e9 / firing.max(1) as f64)
                .figure("firing_s", began.elapsed().as_secs_f64())
                .figure("rss_mb", resident_mb)
        })
    }
}

/// Times spread evenly over the span, the same in every run: Knuth's linear congruential
/// generator, its high bits.
fn times(n: u64, min_ms: u64, max_ms: u64) -> Vec<Duration> {
    let span = (max_ms - min_ms).saturating_add(1);
    let mut state: u64 = 42;
    let next = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(min_ms.saturating_add((state >> 33) % span))
    };
    (0..n).map(next).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn half_are_cancelled_and_the_rest_fire() {
        // A cancel that came too late would fail the run.
        let report = run(Workload::Timers(Timers {
            n: 101,
            min_ms: 1000,
            max_ms: 1100,
        }));
        assert_eq!(
            (report.number("cancelled"), report.number("fired")),
            (Some(50.0), Some(51.0))
        );
        assert_positive(&report, &["ns_per_start", "ns_per_cancel", "firing_s"]);
        assert!(report.number("cpu_s_firing").is_some());
    }

    #[test]
    fn times_lie_in_the_span_and_reach_both_ends_of_it() {
        let times = times(1000, 3, 7);
        assert_eq!(times.iter().min(), Some(&Duration::from_millis(3)));
        assert_eq!(times.iter().max(), Some(&Duration::from_millis(7)));
    }
}
