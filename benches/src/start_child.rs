//! `start_child`: gen_servers under a DynamicSupervisor, or under several that a PartitionSupervisor keeps.

use std::time::Instant;

use clap::Args;
use otp_stdlib::dynamic_supervisor::{
    DynamicSupervisor, DynamicSupervisorFlags, DynamicSupervisorRef,
};
use otp_stdlib::gen_server::GenServer;
use otp_stdlib::partition_supervisor::{PartitionFlags, PartitionSupervisor};
use otp_stdlib::supervisor::{ChildSpec, Restart};
use otp_vm::{Context, Pid};

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
    /// DynamicSupervisors that a PartitionSupervisor keeps, one looked up for each child by its number; 0: one without
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=PARTITIONS_MAX))]
    pub partitions: u64,
}

/// The most partitions: far more than any machine has cores.
const PARTITIONS_MAX: u64 = 10_000;

/// The name of the PartitionSupervisor.
const NAME: &str = "bench_partitions";

impl StartChild {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self {
            n,
            clients,
            partitions,
        } = *self;
        let each = each_of(n, clients, "clients")?;
        settings.measure(move |mut cx| async move {
            let parents = Parents::start(&mut cx, partitions as usize).await;
            let asked = parents.clone();
            let elapsed = at_once(&mut cx, clients, move |client, mut cx| async move {
                for number in 0..each {
                    let child = ChildSpec::worker("worker", |cx| Echo::start_link(cx, ()))
                        .restart(Restart::Temporary);
                    asked
                        .of(&cx, client * each + number)
                        .start_child(&mut cx, child)
                        .await
                        .expect("the child starts");
                }
            });
            let elapsed = elapsed.await;
            let (children, least) = parents.children(&mut cx).await;
            let pid = parents.pid(&cx);
            let began = Instant::now();
            stop_supervisor(&mut cx, pid).await;
            let stopped = began.elapsed();
            Report::new("start_child")
                .with("n", each * clients)
                .with("clients", clients)
                .with("partitions", partitions)
                .with("children", children)
                .with("children_least", least)
                .with("processes", cx.vm().system_info().process_count)
                .figure("us_per_child", ns_each(elapsed, each * clients) / 1000.0)
                .figure("children_per_s", per_second(elapsed, each * clients))
                .figure("stop_all_ms", ms(stopped))
        })
    }
}

/// Who starts the children.
#[derive(Clone)]
enum Parents {
    One(DynamicSupervisorRef),
    Partitions(PartitionSupervisor<DynamicSupervisor>),
}

impl Parents {
    async fn start(cx: &mut Context, partitions: usize) -> Self {
        if partitions == 0 {
            let started = DynamicSupervisor::start_link(cx, DynamicSupervisorFlags::new()).await;
            return Self::One(started.expect("the supervisor starts"));
        }
        let flags = PartitionFlags::new().partitions(partitions);
        let started = PartitionSupervisor::start_link(cx, NAME, flags, |_partition| {
            DynamicSupervisor::child_spec(DynamicSupervisorFlags::new())
        });
        Self::Partitions(started.await.expect("the partitions start"))
    }

    /// The one for this key.
    fn of(&self, cx: &Context, key: u64) -> DynamicSupervisorRef {
        match self {
            Self::One(supervisor) => supervisor.clone(),
            Self::Partitions(partitions) => partitions
                .server(cx, &key)
                .expect("the key has a partition"),
        }
    }

    /// How many children there are, and how many the supervisor has that has the fewest.
    async fn children(&self, cx: &mut Context) -> (u64, u64) {
        let supervisors = match self {
            Self::One(_) => 1,
            Self::Partitions(partitions) => {
                partitions.partitions(cx).expect("the supervisor runs") as u64
            }
        };
        let (mut all, mut least) = (0, u64::MAX);
        for key in 0..supervisors {
            let counted = self.of(cx, key).count_children(cx).await;
            let active = counted.expect("the supervisor answers").active;
            all += active;
            least = least.min(active);
        }
        (all, least)
    }

    /// The process that ends all of them with itself.
    fn pid(&self, cx: &Context) -> Pid {
        match self {
            Self::One(supervisor) => supervisor.pid().expect("it was started by pid"),
            Self::Partitions(_) => cx.whereis(NAME).expect("the supervisor has its name"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn all_children_run_and_are_gone_with_their_supervisor() {
        let workload = StartChild {
            n: 40,
            clients: 2,
            partitions: 0,
        };
        let report = run(Workload::StartChild(workload));
        assert_eq!(report.number("children"), Some(40.0));
        // Only the driver is left.
        assert_eq!(report.number("processes"), Some(1.0));
        assert_positive(&report, &["us_per_child", "children_per_s", "stop_all_ms"]);
    }

    #[test]
    fn partitions_share_the_children_and_are_gone_with_their_supervisor() {
        let workload = StartChild {
            n: 42,
            clients: 2,
            partitions: 3,
        };
        let report = run(Workload::StartChild(workload));
        assert_eq!(report.number("children"), Some(42.0));
        assert_eq!(report.number("children_least"), Some(14.0));
        assert_eq!(report.number("processes"), Some(1.0));
        assert_positive(&report, &["us_per_child", "children_per_s", "stop_all_ms"]);
    }
}
