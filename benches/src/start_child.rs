//! `start_child`: gen_servers under a DynamicSupervisor.

use std::time::Instant;

use clap::Args;
use otp_stdlib::dynamic_supervisor::{DynamicSupervisor, DynamicSupervisorFlags};
use otp_stdlib::gen_server::GenServer;
use otp_stdlib::supervisor::{ChildSpec, Restart};

use crate::echo::Echo;
use crate::harness::{
    BenchError, MEMBERS_MAX, Settings, at_once, each_of, ms, ns_each, per_second, stop_supervisor,
};
use crate::report::Report;

/// Start gen_servers under a DynamicSupervisor, and stop it with all of them
#[derive(Debug, Clone, Args)]
pub struct StartChild {
    /// Children, all clients together
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=MEMBERS_MAX))]
    pub n: u64,
    /// Processes that ask for children
    #[arg(long, default_value_t = 1)]
    pub clients: u64,
}

impl StartChild {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, clients } = *self;
        let each = each_of(n, clients, "clients")?;
        settings.measure(move |mut cx| async move {
            let started =
                DynamicSupervisor::start_link(&mut cx, DynamicSupervisorFlags::new()).await;
            let supervisor = started.expect("the supervisor starts");
            let asked = supervisor.clone();
            let elapsed = at_once(&mut cx, clients, move |_, mut cx| async move {
                for _ in 0..each {
                    let child = ChildSpec::worker("worker", |cx| Echo::start_link(cx, ()))
                        .restart(Restart::Temporary);
                    asked
                        .start_child(&mut cx, child)
                        .await
                        .expect("the child starts");
                }
            });
            let elapsed = elapsed.await;
            let children = supervisor
                .count_children(&mut cx)
                .await
                .expect("the supervisor answers")
                .active;
            let pid = supervisor.pid().expect("it was started by pid");
            let began = Instant::now();
            stop_supervisor(&mut cx, pid).await;
            let stopped = began.elapsed();
            Report::new("start_child")
                .with("n", each * clients)
                .with("clients", clients)
                .with("children", children)
                .with("processes", cx.vm().system_info().process_count)
                .figure("us_per_child", ns_each(elapsed, each * clients) / 1000.0)
                .figure("children_per_s", per_second(elapsed, each * clients))
                .figure("stop_all_ms", ms(stopped))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn all_children_run_and_are_gone_with_their_supervisor() {
        let report = run(Workload::StartChild(StartChild { n: 40, clients: 2 }));
        assert_eq!(report.number("children"), Some(40.0));
        // Only the driver is left.
        assert_eq!(report.number("processes"), Some(1.0));
        assert_positive(&report, &["us_per_child", "children_per_s", "stop_all_ms"]);
    }
}
