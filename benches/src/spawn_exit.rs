//! `spawn_exit`: processes that return at once, made in waves and watched; or gen_servers that are told to end.

use clap::{Args, ValueEnum};
use otp_stdlib::gen_server::GenServer;
use otp_vm::{Context, ExitReason};

use crate::echo::Echo;
use crate::harness::{BenchError, MEMBERS_MAX, Settings, at_once, each_of, ns_each};
use crate::report::Report;

/// Make processes that end at once, and see them end: a start with a monitor until `DOWN`
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
    /// What kind of process
    #[arg(long, value_enum, default_value_t = SpawnKind::Process)]
    pub kind: SpawnKind,
}

/// What is made, and how it ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum SpawnKind {
    /// A plain process that returns
    Process,
    /// A gen_server that gets an exit signal once all of its wave have started
    GenServer,
}

/// Processes of the warm-up.
const WARM_UP: u64 = 100_000;

impl SpawnExit {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self {
            n,
            wave,
            spawners,
            kind,
        } = *self;
        let each = each_of(n, spawners, "spawners")?;
        let wave = wave.max(1);
        settings.measure(move |mut cx| async move {
            waves(&mut cx, kind, n.min(WARM_UP), wave).await;
            let elapsed = at_once(&mut cx, spawners, move |_, mut cx| async move {
                waves(&mut cx, kind, each, wave).await;
            });
            let elapsed = elapsed.await;
            let kind = kind.to_possible_value().expect("every kind has a name");
            Report::new("spawn_exit")
                .with("n", each * spawners)
                .with("wave", wave)
                .with("spawners", spawners)
                .with("kind", kind.get_name())
                .figure("ns_per_op", ns_each(elapsed, each * spawners))
        })
    }
}

async fn waves(cx: &mut Context, kind: SpawnKind, total: u64, wave: u64) {
    let wanted = match kind {
        SpawnKind::Process => ExitReason::normal(),
        SpawnKind::GenServer => ExitReason::shutdown(),
    };
    let mut left = total;
    while left > 0 {
        let now = left.min(wave);
        match kind {
            SpawnKind::Process => {
                for _ in 0..now {
                    cx.spawn_monitor(|_| async {}).expect("room for a wave");
                }
            }
            SpawnKind::GenServer => {
                // All of a wave run before the first one ends: else each start looks for its answer among the ends.
                let mut servers = Vec::with_capacity(now as usize);
                for _ in 0..now {
                    let started = Echo::start_monitor(cx, ()).await;
                    let (server, _monitor) = started.expect("the server starts");
                    servers.push(server.pid().expect("it was started by pid"));
                }
                for server in servers {
                    cx.exit_process(server, ExitReason::shutdown());
                }
            }
        }
        for _ in 0..now {
            let down = cx.receive().await.down().expect("only ends arrive");
            assert_eq!(down.reason, wanted, "a process ended otherwise");
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
        for kind in [SpawnKind::Process, SpawnKind::GenServer] {
            let report = run(Workload::SpawnExit(SpawnExit {
                n: 50,
                wave: 10,
                spawners: 2,
                kind,
            }));
            assert_eq!(report.number("n"), Some(50.0));
            assert_positive(&report, &["ns_per_op"]);
        }
    }
}
