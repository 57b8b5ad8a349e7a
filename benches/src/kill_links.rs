//! `kill_links`: a process dies, and with it all that are linked to it.

use std::time::{Duration, Instant};

use clap::Args;
use otp_vm::{ExitReason, atoms};

use crate::harness::{BenchError, MEMBERS_MAX, SETTLE, Settings, ms};
use crate::idle;
use crate::report::Report;

/// A process with many links dies, until all that were linked are gone
#[derive(Debug, Clone, Args)]
pub struct KillLinks {
    /// Linked processes
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=MEMBERS_MAX))]
    pub n: u64,
}

/// How often the count of processes is looked at: the figure's own step.
const LOOK: Duration = Duration::from_millis(1);

impl KillLinks {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n } = *self;
        settings.measure(move |mut cx| async move {
            let vm = cx.vm().clone();
            let count = move || vm.system_info().process_count as u64;
            let (base, driver) = (count(), cx.pid());
            let hub = cx.spawn(move |mut cx| async move {
                for _ in 0..n {
                    cx.spawn_link(idle::until_told).expect("room for all");
                }
                cx.send(driver, &atoms::OK).expect("a pid needs no name");
                cx.receive().await;
                ExitReason::new(&atoms::ERROR)
            });
            let hub = hub.expect("room for the hub");
            cx.receive().await;
            cx.sleep(SETTLE).await;
            let linked = count() - base - 1;
            let began = Instant::now();
            cx.send(hub, &atoms::STOP).expect("a pid needs no name");
            while count() > base {
                cx.sleep(LOOK).await;
            }
            let elapsed = began.elapsed();
            Report::new("kill_links")
                .with("n", n)
                .with("linked", linked)
                .figure("ms", ms(elapsed))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn all_that_were_linked_are_gone() {
        let report = run(Workload::KillLinks(KillLinks { n: 50 }));
        assert_eq!(report.number("linked"), Some(50.0));
        assert_positive(&report, &["ms"]);
    }
}
