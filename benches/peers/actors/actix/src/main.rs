//! The workloads of `otp-vm bench`, as actix does them: `peer-actix [--arbiters N] [LINE[=N]]...`.
//!
//! An actor lives on the thread of its arbiter, and never leaves it. Here actors and those who use them are spread over
//! the arbiters in the order in which they are made. `--arbiters 1` has all of them on one thread, where no message has
//! to wake another, and leaves the other cores idle.

mod arbiters;
mod balls;
mod echo;
mod supervision;

use std::process::ExitCode;
use std::time::Duration;

use arbiters::Arbiters;
use peer_common::{Peer, cores};

struct Actix {
    arbiters: usize,
}

impl Peer for Actix {
    fn call(&self, n: u64, clients: u64, servers: u64) -> Duration {
        Arbiters::run(self.arbiters, async move |arbiters| {
            echo::call(&arbiters, n, clients, servers).await
        })
    }

    fn fan_in(&self, n: u64, senders: u64) -> Duration {
        Arbiters::run(self.arbiters, async move |arbiters| {
            echo::fan_in(&arbiters, n, senders).await
        })
    }

    fn spawn_exit(&self, n: u64, spawners: u64) -> Duration {
        Arbiters::run(self.arbiters, async move |arbiters| {
            echo::spawn_exit(&arbiters, n, spawners).await
        })
    }

    fn pingpong(&self, n: u64) -> Duration {
        Arbiters::run(self.arbiters, async move |arbiters| {
            balls::pingpong(&arbiters, n).await
        })
    }

    fn ring(&self, members: u64, rounds: u64) -> Duration {
        Arbiters::run(self.arbiters, async move |arbiters| {
            balls::ring(&arbiters, members, rounds).await
        })
    }

    fn idle_memory(&self, n: u64) -> u64 {
        Arbiters::run(self.arbiters, async move |arbiters| {
            echo::idle_memory(&arbiters, n).await
        })
    }

    fn restart(&self, n: u64, before: u64) -> Duration {
        Arbiters::run(self.arbiters, async move |arbiters| {
            supervision::restart(&arbiters, n, before).await
        })
    }

    /// A supervisor of actix has one actor, from its start.
    fn start_child(&self, _n: u64, _clients: u64, _supervisors: u64) -> Option<Duration> {
        None
    }
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1).peekable();
    let mut arbiters = cores();
    if arguments.next_if_eq("--arbiters").is_some() {
        arbiters = match arguments.next().map(|number| number.parse()) {
            Some(Ok(number @ 1..)) => number,
            _ => {
                eprintln!("--arbiters needs a number from 1");
                return ExitCode::from(2);
            }
        };
    }
    peer_common::run(&Actix { arbiters }, arguments)
}
