//! All workloads by name.

use clap::Subcommand;

use crate::harness::{BenchError, Settings};
use crate::report::Report;
use crate::{
    Call, Fairness, FanIn, IdleCpu, IdleMemory, KillLinks, KillMonitors, MessageCopy, Pingpong,
    Restart, Ring, SelectiveReceive, Skynet, Soak, SpawnExit, StartChild, Timers,
};

/// A workload with its options. As a command: its name and `--options`.
#[derive(Debug, Clone, Subcommand)]
#[command(rename_all = "snake_case")]
#[allow(
    missing_docs,
    reason = "a doc comment here would take the place of the workload's own in the help"
)]
pub enum Workload {
    SpawnExit(SpawnExit),
    IdleMemory(IdleMemory),
    IdleCpu(IdleCpu),
    Pingpong(Pingpong),
    Call(Call),
    Ring(Ring),
    FanIn(FanIn),
    SelectiveReceive(SelectiveReceive),
    Skynet(Skynet),
    Restart(Restart),
    StartChild(StartChild),
    KillLinks(KillLinks),
    KillMonitors(KillMonitors),
    Timers(Timers),
    MessageCopy(MessageCopy),
    Fairness(Fairness),
    Soak(Soak),
}

impl Workload {
    /// Runs the workload in a VM of its own, one time. Blocks the thread.
    ///
    /// # Errors
    /// See [`BenchError`].
    pub fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        match self {
            Self::SpawnExit(workload) => workload.run(settings),
            Self::IdleMemory(workload) => workload.run(settings),
            Self::IdleCpu(workload) => workload.run(settings),
            Self::Pingpong(workload) => workload.run(settings),
            Self::Call(workload) => workload.run(settings),
            Self::Ring(workload) => workload.run(settings),
            Self::FanIn(workload) => workload.run(settings),
            Self::SelectiveReceive(workload) => workload.run(settings),
            Self::Skynet(workload) => workload.run(settings),
            Self::Restart(workload) => workload.run(settings),
            Self::StartChild(workload) => workload.run(settings),
            Self::KillLinks(workload) => workload.run(settings),
            Self::KillMonitors(workload) => workload.run(settings),
            Self::Timers(workload) => workload.run(settings),
            Self::MessageCopy(workload) => workload.run(settings),
            Self::Fairness(workload) => workload.run(settings),
            Self::Soak(workload) => workload.run(settings),
        }
    }
}
