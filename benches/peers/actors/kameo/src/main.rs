//! The workloads of `otp-vm bench`, as kameo does them: `peer-kameo [LINE[=N]]...`.

mod balls;
mod echo;
mod supervision;

use std::process::ExitCode;
use std::time::Duration;

use peer_common::{Peer, block_on};

struct Kameo;

impl Peer for Kameo {
    fn call(&self, n: u64, clients: u64, servers: u64) -> Duration {
        block_on(echo::call(n, clients, servers))
    }

    fn fan_in(&self, n: u64, senders: u64) -> Duration {
        block_on(echo::fan_in(n, senders))
    }

    fn spawn_exit(&self, n: u64, spawners: u64) -> Duration {
        block_on(echo::spawn_exit(n, spawners))
    }

    fn pingpong(&self, n: u64) -> Duration {
        block_on(balls::pingpong(n))
    }

    fn ring(&self, members: u64, rounds: u64) -> Duration {
        block_on(balls::ring(members, rounds))
    }

    fn idle_memory(&self, n: u64) -> u64 {
        block_on(echo::idle_memory(n))
    }

    fn restart(&self, n: u64, before: u64) -> Duration {
        block_on(supervision::restart(n, before))
    }

    fn start_child(&self, n: u64, clients: u64, supervisors: u64) -> Option<Duration> {
        Some(block_on(supervision::start_child(n, clients, supervisors)))
    }
}

fn main() -> ExitCode {
    peer_common::run(&Kameo, std::env::args().skip(1))
}
