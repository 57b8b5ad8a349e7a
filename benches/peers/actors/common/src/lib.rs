//! What the programs have in common: the lines that they measure, with their sizes; a clock and a gate.
//!
//! A program runs the lines that its arguments name, `call/1x1` or `call/1x1=20000`, or all; it prints one line of text
//! for each, `call/1x1 417.3 ns`, as the escripts beside it do.

mod gate;
mod line;
mod resident;

use std::process::ExitCode;
use std::time::Duration;

pub use gate::{Begun, Gate, SETTLE, at_once, block_on, cores};
pub use line::{LINES, Line, WAVE, parse};
pub use resident::resident_bytes;

/// The programs allocate as `otp-vm` does.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The workloads, as one library does them. Each checks that what it measures was done, and panics if not.
///
/// What a library does not have is `None`.
pub trait Peer {
    /// The time of so many requests by so many clients, who are spread over so many servers.
    fn call(&self, n: u64, clients: u64, servers: u64) -> Duration;

    /// The time until one actor has received so many messages that nobody answers, from so many senders.
    fn fan_in(&self, n: u64, senders: u64) -> Duration;

    /// The time to start so many actors, stop each and wait until it has ended, in waves, by so many spawners.
    fn spawn_exit(&self, n: u64, spawners: u64) -> Duration;

    /// The time of so many messages to another actor and back.
    fn pingpong(&self, n: u64) -> Duration;

    /// The time in which a token goes so many times round so many actors.
    fn ring(&self, members: u64, rounds: u64) -> Duration;

    /// Bytes of resident memory that so many actors take which have answered one request each and wait: without the
    /// references to them.
    fn idle_memory(&self, n: u64) -> u64;

    /// The time in which a supervised actor ends so many times and is there again, after it did so `before` times.
    fn restart(&self, n: u64, before: u64) -> Duration;

    /// The time in which so many clients start so many actors under so many supervisors.
    fn start_child(&self, n: u64, clients: u64, supervisors: u64) -> Option<Duration>;
}

/// Runs the lines that the arguments name, or all, and prints their figures.
pub fn run(peer: &impl Peer, arguments: impl IntoIterator<Item = String>) -> ExitCode {
    let lines = match parse(arguments) {
        Ok(lines) => lines,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(2);
        }
    };
    for (line, n) in lines {
        if let Some(value) = line.measure(peer, n) {
            println!("{} {value:.3} {}", line.name, line.unit);
        }
    }
    ExitCode::SUCCESS
}
