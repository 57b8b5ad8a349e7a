//! `soak`: everything at once, at random, for minutes; then nothing may be left over.
//!
//! # Protocol
//! 1. Some drivers make the members, all of which stay alive; who ends is replaced.
//! 2. A ticker of high priority, and a bare thread beside it, note how late they are.
//! 3. In each round the drivers do random deeds (`deeds.rs`), each of which ends with what it must have come to: each
//!    message that was sent arrived, each end was told once, with its reason. Then each driver settles its accounts
//!    with the members that it sent numbers to.
//! 4. Between two rounds nothing happens: every count of the VM must be what it was, and resident memory is read. The
//!    first round warms up.
//! 5. At the end the members are told to stop, and all counts must be as before they were made.
//!
//! Whatever is not as it must be is a panic of the process that found it, and so the run's error.

mod beat;
mod deeds;
mod members;

use std::time::{Duration, Instant};

use clap::Args;
use otp_vm::{Context, Pid, Priority, SpawnOptions, Vm};
use serde::{Deserialize, Serialize};

use crate::harness::{BenchError, SETTLE, Settings, each_of, ms, seconds};
use crate::proc_fs::resident_bytes;
use crate::report::Report;
use beat::Beat;
use deeds::{Deeds, Driver};

/// Random spawns, sends, links, kills, timers, limits; then counts and memory must be as before
#[derive(Debug, Clone, Args)]
pub struct Soak {
    /// Processes that are alive all the time
    #[arg(long, default_value_t = 1_000_000, value_parser = clap::value_parser!(u64).range(1..=MEMBERS_MAX))]
    pub n: u64,
    /// Processes that do the deeds
    #[arg(long, default_value_t = 8)]
    pub drivers: u64,
    /// How long in all, in seconds, but for the members' making and ending
    #[arg(long, default_value_t = 600.0, value_parser = seconds)]
    pub seconds: f64,
    /// How long a round is, in seconds
    #[arg(long, default_value_t = 20.0, value_parser = seconds)]
    pub round: f64,
    /// Only these deeds [default: all]
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(deeds::NAMES))]
    pub deeds: Vec<String>,
}

/// The most members: so many drivers again, and some besides, a VM has room for.
const MEMBERS_MAX: u64 = otp_vm::MAX_PROCESSES as u64 / 2 - SPARE_PROCESSES as u64;

/// Processes beyond the members, at most: deeds that want more are refused.
const SPARE_PROCESSES: usize = 2000;

/// More than the bare thread's worst beat by so much is a stall.
const STALL: Duration = Duration::from_millis(50);

/// Resident memory after a round may differ so much from that after the first.
const MEMORY_TOLERANCE: f64 = 0.05;

/// Resident memory may move by so much at any size: threads keep pages by chance, and a round of few members does as
/// many deeds as one of many. Less than the tolerance of a million members.
const MEMORY_CHANCE_BYTES: f64 = 24e6;

/// What makes a difference of counts: all of it must come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Counts {
    processes: usize,
    timers: usize,
    tables: usize,
    names: usize,
}

impl Counts {
    fn of(vm: &Vm) -> Self {
        let info = vm.system_info();
        Self {
            processes: info.process_count,
            timers: info.timer_count,
            tables: info.table_count,
            names: vm.registered().len(),
        }
    }
}

/// What drivers are told.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
enum Order {
    /// Deeds for so many milliseconds; the answer is what was done.
    Round(u64),
    /// Tell the members to stop; the answer comes when they have.
    End,
}

impl Soak {
    pub(crate) fn run(&self, settings: &Settings) -> Result<Report, BenchError> {
        let Self { n, drivers, .. } = *self;
        let each = each_of(n, drivers, "drivers")?;
        let members = each * drivers;
        let limit = (members + drivers) as usize + SPARE_PROCESSES;
        let soak = self.clone();
        let chosen = deeds::chosen(&self.deeds);
        settings.measure_within(limit, move |mut cx| async move {
            let before = Counts::of(cx.vm());
            let beat = Beat::begin(&cx);
            let drivers: Vec<Pid> = (0..drivers)
                .map(|number| start(&cx, number, each, chosen.clone()))
                .collect();
            // Each answers once its members are there.
            answers::<()>(&mut cx, &drivers).await;
            let (rounds, done) = soak.rounds(&mut cx, &drivers).await;
            for &driver in &drivers {
                cx.send(driver, &Order::End).expect("a pid needs no name");
            }
            answers::<()>(&mut cx, &drivers).await;
            let (late, bare) = beat.end(&mut cx).await;
            settled(&mut cx, before).await;
            assert!(
                late <= bare + STALL,
                "the ticker was late by {late:?}, a bare thread by {bare:?}"
            );
            let report = Report::new("soak")
                .with("n", members)
                .with("rounds", rounds.len() as u64)
                .with("resident_bytes_first", rounds[0])
                .with("resident_bytes_last", rounds[rounds.len() - 1])
                .figure("ticker_max_ms", ms(late))
                .figure("bare_max_ms", ms(bare));
            done.report(report)
        })
    }

    /// All rounds: the resident memory after each, and what was done in all.
    async fn rounds(&self, cx: &mut Context, drivers: &[Pid]) -> (Vec<u64>, Deeds) {
        let (round, all) = (self.round * 1000.0, Duration::from_secs_f64(self.seconds));
        let began = Instant::now();
        let at_rest = Counts::of(cx.vm());
        let (mut memory, mut done) = (Vec::new(), Deeds::default());
        // One to warm up, and one at least to compare with it.
        while began.elapsed() < all || memory.len() < 2 {
            for &driver in drivers {
                cx.send(driver, &Order::Round(round as u64))
                    .expect("a pid needs no name");
            }
            for deeds in answers::<Deeds>(cx, drivers).await {
                done.add(&deeds);
            }
            settled(cx, at_rest).await;
            memory.push(resident_bytes());
            let (first, last) = (memory[0] as f64, memory[memory.len() - 1] as f64);
            assert!(
                (last - first).abs() <= (first * MEMORY_TOLERANCE).max(MEMORY_CHANCE_BYTES),
                "resident memory went from {first} to {last} bytes: {memory:?}"
            );
        }
        (memory, done)
    }
}

fn start(cx: &Context, number: u64, members: u64, chosen: Vec<usize>) -> Pid {
    let options = SpawnOptions::new()
        .link()
        .priority(Priority::Normal)
        .label("soak driver");
    let orders = cx.pid();
    cx.spawn_opt(options, move |cx| {
        drive(cx, orders, number, members, chosen)
    })
    .expect("room for the drivers")
    .pid
}

async fn drive(mut cx: Context, orders: Pid, number: u64, members: u64, chosen: Vec<usize>) {
    let mut driver = Driver::new(&mut cx, number, members, chosen).await;
    cx.send(orders, &((cx.pid()), ()))
        .expect("a pid needs no name");
    loop {
        match cx.receive().await.decode().expect("only orders arrive") {
            Order::Round(milliseconds) => {
                let done = driver.round(&mut cx, Duration::from_millis(milliseconds));
                let done = done.await;
                cx.send(orders, &(cx.pid(), done))
                    .expect("a pid needs no name");
            }
            Order::End => {
                driver.end(&mut cx).await;
                cx.send(orders, &(cx.pid(), ()))
                    .expect("a pid needs no name");
                return;
            }
        }
    }
}

/// One answer of each.
async fn answers<T: serde::de::DeserializeOwned>(cx: &mut Context, drivers: &[Pid]) -> Vec<T> {
    let mut answers = Vec::with_capacity(drivers.len());
    for _ in drivers {
        let (_, answer): (Pid, T) = cx.receive().await.decode().expect("only answers arrive");
        answers.push(answer);
    }
    answers
}

/// Waits until all who are about to be gone are gone, and then insists.
async fn settled(cx: &mut Context, expected: Counts) {
    let patience = Instant::now() + Duration::from_secs(10);
    while Counts::of(cx.vm()) != expected && Instant::now() < patience {
        cx.sleep(SETTLE).await;
    }
    assert_eq!(Counts::of(cx.vm()), expected, "counts at rest");
    assert_eq!(cx.message_queue_len(), 0, "messages that nobody expects");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::tests::run;
    use crate::workload::Workload;

    #[test]
    fn everything_comes_back() {
        let report = run(Workload::Soak(Soak {
            n: 2000,
            drivers: 2,
            seconds: 1.0,
            round: 0.5,
            deeds: Vec::new(),
        }));
        assert_eq!(report.number("n"), Some(2000.0));
        assert_eq!(report.number("rounds"), Some(2.0));
        for deed in deeds::NAMES {
            assert!(report.number(deed).unwrap() > 0.0, "{report}");
        }
    }
}
