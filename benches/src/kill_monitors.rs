//! `kill_monitors`: a process ends, and all who watch it learn of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::{Args, ValueEnum};
use otp_vm::{Context, Pid, atoms};

use crate::harness::{BenchError, MEMBERS_MAX, SETTLE, Settings, ms};
use crate::idle;
use crate::report::Report;

/// A process with many monitors on it ends, until all have their `DOWN`
#[derive(Debug, Clone, Args)]
pub struct KillMonitors {
    /// Monitors
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=MEMBERS_MAX))]
    pub n: u64,
    /// Who has set them
    #[arg(long, value_enum, default_value_t = WatcherKind::Many)]
    pub kind: WatcherKind,
}

/// Who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WatcherKind {
    /// As many processes, a monitor each
    Many,
    /// One process has set all of them
    One,
}

/// How often the count of those who know is looked at: the figure's own step.
const LOOK: Duration = Duration::from_millis(1);

impl KillMonitors {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, kind } = *self;
        settings.measure(move |mut cx| async move {
            let target = cx.spawn(idle::until_told).expect("room for the target");
            let elapsed = match kind {
                WatcherKind::One => one(&mut cx, target, n).await,
                WatcherKind::Many => many(&cx, target, n).await,
            };
            let kind = kind.to_possible_value().expect("every kind has a name");
            Report::new("kill_monitors")
                .with("n", n)
                .with("kind", kind.get_name())
                .figure("ms", ms(elapsed))
        })
    }
}

async fn one(cx: &mut Context, target: Pid, n: u64) -> Duration {
    for _ in 0..n {
        cx.monitor(target);
    }
    cx.sleep(SETTLE).await;
    let began = Instant::now();
    cx.send(target, &atoms::STOP).expect("a pid needs no name");
    for _ in 0..n {
        let down = cx.receive().await.down().expect("only ends arrive");
        assert_eq!(down.object, target);
    }
    began.elapsed()
}

#[derive(Debug, Default)]
struct Watch {
    set: AtomicU64,
    down: AtomicU64,
}

async fn many(cx: &Context, target: Pid, n: u64) -> Duration {
    let watch = Arc::new(Watch::default());
    for _ in 0..n {
        let watch = Arc::clone(&watch);
        let watcher = move |mut cx: Context| async move {
            cx.monitor(target);
            watch.set.fetch_add(1, Ordering::Relaxed);
            let down = cx.receive().await.down().expect("only the end arrives");
            assert_eq!(down.object, target);
            watch.down.fetch_add(1, Ordering::Relaxed);
            // Its own end is not part of the figure.
            idle::until_told(cx).await;
        };
        cx.spawn(watcher).expect("room for all");
    }
    until(cx, &watch.set, n).await;
    cx.sleep(SETTLE).await;
    let began = Instant::now();
    cx.send(target, &atoms::STOP).expect("a pid needs no name");
    until(cx, &watch.down, n).await;
    began.elapsed()
}

async fn until(cx: &Context, counter: &AtomicU64, n: u64) {
    while counter.load(Ordering::Relaxed) < n {
        cx.sleep(LOOK).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn everybody_learns_of_the_end() {
        for kind in [WatcherKind::Many, WatcherKind::One] {
            let report = run(Workload::KillMonitors(KillMonitors { n: 50, kind }));
            assert_eq!(report.number("n"), Some(50.0));
            assert_positive(&report, &["ms"]);
        }
    }
}
