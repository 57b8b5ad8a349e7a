//! `restart`: a child is killed, and its supervisor starts it again. The supervisor remembers the restarts of its
//! period: with `--before`, there are many to remember when the clock starts.

use std::time::{Duration, Instant};

use clap::Args;
use otp_stdlib::gen_server::{GenServer, Init, NoMessage};
use otp_stdlib::supervisor::{ChildSpec, Supervisor, SupervisorFlags};
use otp_vm::{Context, ExitReason, Pid};
use serde::{Deserialize, Serialize};

use crate::harness::{BenchError, Settings, ns_each, stop_supervisor};
use crate::report::Report;

/// Kill a supervised gen_server, until it runs again
#[derive(Debug, Clone, Args)]
pub struct Restart {
    /// Kills
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u64).range(1..))]
    pub n: u64,
    /// Kills before the clock starts: restarts that the supervisor remembers
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(..=BEFORE_MAX))]
    pub before: u64,
}

/// More restarts within the period than any run makes.
const MAX_RESTARTS: u32 = 100_000_000;

/// No restart of a run gets older than the supervisor remembers.
const PERIOD: Duration = Duration::from_secs(3600);

/// The most restarts before the clock starts: so many take a minute or two, far from the period.
const BEFORE_MAX: u64 = 10_000_000;

impl Restart {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, before } = *self;
        settings.measure(move |mut cx| async move {
            let driver = cx.pid();
            let child = ChildSpec::worker("child", move |cx| {
                Child::start_link(cx, driver).name("bench_child")
            });
            let flags = SupervisorFlags::one_for_one().intensity(MAX_RESTARTS, PERIOD);
            let supervisor = Supervisor::start_link(&mut cx, flags, vec![child])
                .await
                .expect("the supervisor starts");
            let supervisor = supervisor.pid().expect("it was started by pid");
            let child = started(&mut cx).await;
            let first = Instant::now();
            let child = restarts(&mut cx, child, before).await;
            let began = Instant::now();
            let child = restarts(&mut cx, child, n).await;
            let elapsed = began.elapsed();
            assert!(
                first.elapsed() < PERIOD,
                "the supervisor has forgotten restarts that it was to remember"
            );
            assert_eq!(
                cx.whereis("bench_child"),
                Some(child),
                "the last child has the name"
            );
            stop_supervisor(&mut cx, supervisor).await;
            Report::new("restart")
                .with("n", n)
                .with("before", before)
                .figure("us_per_restart", ns_each(elapsed, n) / 1000.0)
        })
    }
}

/// Kills the child so many times, and gives the last one's pid.
async fn restarts(cx: &mut Context, mut child: Pid, count: u64) -> Pid {
    for _ in 0..count {
        cx.exit_process(child, ExitReason::kill());
        let next = started(cx).await;
        assert_ne!(
            next, child,
            "the child that was killed is another one's predecessor"
        );
        child = next;
    }
    child
}

/// `{started, Pid}`.
#[derive(Debug, Serialize, Deserialize)]
enum News {
    Started(Pid),
}

async fn started(cx: &mut Context) -> Pid {
    let News::Started(pid) = cx
        .receive()
        .await
        .decode()
        .expect("only the child's news come");
    pid
}

/// Tells the driver that it runs.
struct Child;

impl GenServer for Child {
    type Args = Pid;
    type Call = NoMessage;
    type Reply = NoMessage;
    type Cast = NoMessage;
    type Info = NoMessage;
    type Continue = NoMessage;

    async fn init(driver: Pid, cx: &mut Context) -> Init<Self> {
        cx.send(driver, &News::Started(cx.pid()))
            .expect("a pid needs no name");
        Init::ok(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn the_child_comes_back_each_time() {
        for before in [0, 20] {
            let report = run(Workload::Restart(Restart { n: 10, before }));
            assert_eq!(report.number("n"), Some(10.0));
            assert_eq!(report.number("before"), Some(before as f64));
            assert_positive(&report, &["us_per_restart"]);
        }
    }
}
