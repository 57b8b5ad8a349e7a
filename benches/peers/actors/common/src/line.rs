//! The lines of the table, and their sizes.

use crate::Peer;

/// Actors that a spawner starts before it waits for their ends.
pub const WAVE: u64 = 10_000;

/// Actors of a ring.
const MEMBERS: u64 = 1000;

/// Processes that send, in a fan-in.
const SENDERS: u64 = 100;

/// Restarts before the clock starts, where the window is to be full: with those that are measured, ten thousand.
const BEFORE: u64 = 9000;

/// A line of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line {
    /// Its name: the workload, and after a slash its variant.
    pub name: &'static str,
    /// The unit of its figure.
    pub unit: &'static str,
    /// How much is measured, unless told otherwise: as much as takes the slower ones about a second.
    pub n: u64,
    /// Where a message that wakes another thread costs forty times as much, a part of it is enough: one in so many.
    pub part: u64,
}

const fn line(name: &'static str, unit: &'static str, n: u64, part: u64) -> Line {
    Line {
        name,
        unit,
        n,
        part,
    }
}

/// All lines.
pub const LINES: [Line; 13] = [
    line("call/1x1", "ns", 500_000, 50),
    line("call/100x1", "ns", 500_000, 1),
    line("call/100x100", "ns", 500_000, 1),
    line("fan_in/cast", "ns", 1_000_000, 1),
    line("pingpong", "ns", 500_000, 50),
    line("ring", "ns", 500_000, 10),
    line("spawn_exit", "ns", 50_000, 1),
    line("spawn_exit/gen_server", "ns", 50_000, 1),
    line("idle_memory/gen_server", "bytes", 100_000, 1),
    line("restart", "us", 1000, 1),
    line("restart/10000", "us", 1000, 1),
    line("start_child", "us", 50_000, 1),
    line("start_child/partitions", "us", 50_000, 1),
];

/// The lines and sizes that arguments name, `NAME` or `NAME=N`; without arguments, all.
///
/// # Errors
/// A sentence when there is no such line, or the size is no number from 1.
pub fn parse(
    arguments: impl IntoIterator<Item = String>,
) -> Result<Vec<(&'static Line, u64)>, String> {
    let named: Result<Vec<_>, _> = arguments
        .into_iter()
        .map(|argument| one(&argument))
        .collect();
    match named {
        Ok(named) if named.is_empty() => Ok(LINES.iter().map(|line| (line, line.n)).collect()),
        named => named,
    }
}

fn one(argument: &str) -> Result<(&'static Line, u64), String> {
    let (name, size) = match argument.split_once('=') {
        Some((name, size)) => (name, Some(size)),
        None => (argument, None),
    };
    let Some(line) = LINES.iter().find(|line| line.name == name) else {
        let names: Vec<&str> = LINES.iter().map(|line| line.name).collect();
        return Err(format!(
            "there is no line {name:?}; there are {}",
            names.join(", ")
        ));
    };
    match size.map(str::parse) {
        None => Ok((line, line.n)),
        Some(Ok(size @ 1..)) => Ok((line, size)),
        Some(_) => Err(format!(
            "{argument:?} has no size; give {name}=N with N from 1"
        )),
    }
}

impl Line {
    /// What this library takes for one of so many, in the line's unit; `None`: it has no such thing.
    pub(crate) fn measure(&self, peer: &impl Peer, n: u64) -> Option<f64> {
        // All do the same number, at least one each.
        let of = |count: u64| n.next_multiple_of(count);
        let (elapsed, n) = match self.name {
            "call/1x1" => (peer.call(n, 1, 1), n),
            "call/100x1" => (peer.call(of(100), 100, 1), of(100)),
            "call/100x100" => (peer.call(of(100), 100, 100), of(100)),
            "fan_in/cast" => (peer.fan_in(of(SENDERS), SENDERS), of(SENDERS)),
            "pingpong" => (peer.pingpong(n), n),
            "ring" => {
                let rounds = n.div_ceil(MEMBERS);
                (peer.ring(MEMBERS, rounds), MEMBERS * rounds)
            }
            // An actor is both.
            "spawn_exit" | "spawn_exit/gen_server" => (peer.spawn_exit(of(2), 2), of(2)),
            "idle_memory/gen_server" => return Some(peer.idle_memory(n) as f64 / n as f64),
            "restart" => (peer.restart(n, 0), n),
            "restart/10000" => (peer.restart(n, BEFORE), n),
            "start_child" => (peer.start_child(n, 1, 1)?, n),
            "start_child/partitions" => (peer.start_child(of(2), 2, 2)?, of(2)),
            other => unreachable!("the line {other} has no workload"),
        };
        let nanoseconds = elapsed.as_nanos() as f64 / n as f64;
        Some(if self.unit == "us" {
            nanoseconds / 1000.0
        } else {
            nanoseconds
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::time::Duration;

    use super::*;

    /// Notes what it is asked for, and takes a microsecond for each.
    #[derive(Default)]
    struct Noting(RefCell<Vec<Vec<u64>>>);

    impl Noting {
        fn took<const N: usize>(&self, sizes: [u64; N], n: u64) -> Duration {
            self.0.borrow_mut().push(sizes.to_vec());
            Duration::from_micros(n)
        }
    }

    impl Peer for Noting {
        fn call(&self, n: u64, clients: u64, servers: u64) -> Duration {
            self.took([n, clients, servers], n)
        }
        fn fan_in(&self, n: u64, senders: u64) -> Duration {
            self.took([n, senders], n)
        }
        fn spawn_exit(&self, n: u64, spawners: u64) -> Duration {
            self.took([n, spawners], n)
        }
        fn pingpong(&self, n: u64) -> Duration {
            self.took([n], n)
        }
        fn ring(&self, members: u64, rounds: u64) -> Duration {
            self.took([members, rounds], members * rounds)
        }
        fn idle_memory(&self, n: u64) -> u64 {
            self.took([n], n);
            n * 700
        }
        fn restart(&self, n: u64, before: u64) -> Duration {
            self.took([n, before], n)
        }
        fn start_child(&self, n: u64, clients: u64, supervisors: u64) -> Option<Duration> {
            Some(self.took([n, clients, supervisors], n))
        }
    }

    #[test]
    fn every_line_is_measured_in_its_unit_and_with_all_its_work() {
        let peer = Noting::default();
        for line in &LINES {
            let figure = line.measure(&peer, 1001);
            let wanted = match line.unit {
                "ns" => 1000.0,
                "us" => 1.0,
                _ => 700.0,
            };
            assert_eq!(figure, Some(wanted), "{}", line.name);
        }
        let asked = peer.0.into_inner();
        assert_eq!(asked.len(), LINES.len());
        assert!(
            asked.contains(&vec![1100, 100, 100]),
            "each client has as many calls: {asked:?}"
        );
        assert!(asked.contains(&vec![1000, 2]), "two rounds: {asked:?}");
        assert!(
            asked.contains(&vec![1001, 9000]),
            "a full window: {asked:?}"
        );
    }

    #[test]
    fn arguments_name_lines_and_sizes() {
        let parsed = |text: &str| parse(text.split(' ').map(str::to_owned));
        let call = &LINES[0];
        assert_eq!(parsed("call/1x1").unwrap(), [(call, call.n)]);
        assert_eq!(
            parsed("call/1x1=7 call/1x1").unwrap(),
            [(call, 7), (call, call.n)]
        );
        assert_eq!(parse([]).unwrap().len(), LINES.len());
        assert!(parsed("calls").unwrap_err().contains("call/100x1"));
        for wrong in ["call/1x1=", "call/1x1=0", "call/1x1=-1"] {
            assert!(parsed(wrong).unwrap_err().contains("N from 1"), "{wrong}");
        }
    }
}
