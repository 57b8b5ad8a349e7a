//! `idle_memory`: what a process takes that has done something and now waits.

use std::time::Instant;

use clap::{Args, ValueEnum};
use otp_stdlib::gen_server::{GenServer, ServerRef};
use otp_vm::{Context, Pid};

use crate::echo::Echo;
use crate::harness::{BenchError, MEMBERS_MAX, SETTLE, Settings, ms, ns_each};
use crate::proc_fs::resident_bytes;
use crate::report::Report;

/// Resident memory of idle processes, after one message or call each
#[derive(Debug, Clone, Args)]
pub struct IdleMemory {
    /// Processes
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=MEMBERS_MAX))]
    pub n: u64,
    /// What kind of process
    #[arg(long, value_enum, default_value_t = IdleKind::Process)]
    pub kind: IdleKind,
}

/// What waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum IdleKind {
    /// A plain process in a receive
    Process,
    /// A gen_server
    GenServer,
}

/// Processes that are made, and then spoken to, at a time: so the driver keeps no list of all of
/// them, which would count as theirs.
const BATCH: u64 = 1000;

impl IdleMemory {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, kind } = *self;
        settings.measure(move |mut cx| async move {
            let before = resident_bytes();
            let began = Instant::now();
            let mut left = n;
            while left > 0 {
                let now = left.min(BATCH);
                match kind {
                    IdleKind::Process => processes(&mut cx, now).await,
                    IdleKind::GenServer => servers(&mut cx, now).await,
                }
                left -= now;
            }
            let elapsed = began.elapsed();
            cx.sleep(SETTLE).await;
            let grown = resident_bytes().saturating_sub(before);
            let kind = kind.to_possible_value().expect("every kind has a name");
            Report::new("idle_memory")
                .with("n", n)
                .with("kind", kind.get_name())
                .with("processes", cx.vm().system_info().process_count)
                .figure("bytes_per_process", grown as f64 / n.max(1) as f64)
                .figure("ns_per_spawn", ns_each(elapsed, n))
                .figure("spawn_ms", ms(elapsed))
        })
    }
}

async fn processes(cx: &mut Context, count: u64) {
    let answer = |mut cx: Context| async move {
        loop {
            let from: Pid = cx.receive().await.decode().expect("it is asked by pid");
            cx.send(from, &cx.pid()).expect("a pid needs no name");
        }
    };
    let pids: Vec<Pid> = (0..count)
        .map(|_| cx.spawn(answer).expect("room for all"))
        .collect();
    for pid in &pids {
        cx.send(*pid, &cx.pid()).expect("a pid needs no name");
    }
    for _ in &pids {
        let _from: Pid = cx
            .receive()
            .await
            .decode()
            .expect("each answers with its pid");
    }
}

async fn servers(cx: &mut Context, count: u64) {
    let mut servers: Vec<ServerRef<Echo>> = Vec::with_capacity(count as usize);
    for _ in 0..count {
        servers.push(Echo::start(cx, ()).await.expect("the server starts"));
    }
    for (number, server) in (0..).zip(&servers) {
        assert_eq!(
            server.call(cx, number).await.expect("the server answers"),
            number
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::{assert_positive, run};
    use crate::workload::Workload;

    #[test]
    fn both_kinds_wait_and_take_memory() {
        for kind in [IdleKind::Process, IdleKind::GenServer] {
            let report = run(Workload::IdleMemory(IdleMemory { n: 5_000, kind }));
            // And the driver.
            assert_eq!(report.number("processes"), Some(5_001.0));
            assert_positive(&report, &["bytes_per_process", "ns_per_spawn"]);
        }
    }
}
