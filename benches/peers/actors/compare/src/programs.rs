//! What is compared: how each is called for a line, and where its figure stands in what it prints.

use std::path::{Path, PathBuf};
use std::process::Command;

use peer_common::Line;

/// The longest that one figure may take, in seconds: a hundred times what it does.
const LIMIT_S: u64 = 120;

/// The columns of the table. Ours is the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    OtpVm,
    Beam,
    Ractor,
    Kameo,
    /// With an arbiter for each core.
    Actix,
    ActixOneArbiter,
}

const ALL: [Program; 6] = [
    Program::OtpVm,
    Program::Beam,
    Program::Ractor,
    Program::Kameo,
    Program::Actix,
    Program::ActixOneArbiter,
];

/// Where they are.
#[derive(Debug)]
pub struct Programs {
    otp_vm: PathBuf,
    /// Has the other peers' programs: it is where this one is.
    peers: PathBuf,
    release: String,
}

impl Programs {
    /// # Errors
    /// A sentence when one is not there.
    pub fn find(otp_vm: &Path) -> Result<Self, String> {
        let this = std::env::current_exe().map_err(|error| error.to_string())?;
        let peers = this.parent().map(Path::to_owned).unwrap_or_default();
        let needed = [
            otp_vm.to_owned(),
            PathBuf::from("benches/peers/behaviours.escript"),
            peers.join("peer-ractor"),
            peers.join("peer-kameo"),
            peers.join("peer-actix"),
        ];
        for path in needed {
            if !path.is_file() {
                return Err(format!(
                    "{} is missing; run benches/peers/compare.sh in the repository's root, which builds what is needed",
                    path.display()
                ));
            }
        }
        let text = "io:put_chars(erlang:system_info(otp_release)), halt().";
        let release = output(Command::new("erl").args(["-noshell", "-eval", text]))
            .map_err(|error| format!("Erlang does not run, install it: {error}"))?;
        Ok(Self {
            otp_vm: otp_vm.to_owned(),
            peers,
            release,
        })
    }

    pub fn count(&self) -> usize {
        ALL.len()
    }

    pub fn names(&self) -> Vec<&'static str> {
        let name = |program| match program {
            Program::OtpVm => "otp-vm",
            Program::Beam => "BEAM",
            Program::Ractor => "ractor",
            Program::Kameo => "kameo",
            Program::Actix => "actix",
            Program::ActixOneArbiter => "actix, 1 arbiter",
        };
        ALL.map(name).to_vec()
    }

    /// What is compared, in a sentence.
    pub fn versions(&self) -> String {
        let [ractor, kameo, actix, tokio] = ["ractor", "kameo", "actix", "tokio"].map(version);
        format!(
            "On {} cores: Erlang/OTP {}, ractor {ractor}, kameo {kameo}, actix {actix}, tokio {tokio}.",
            peer_common::cores(),
            self.release
        )
    }

    /// Has the program of this column do `n` of this line, or a part of them; `None`: it has no such thing.
    pub fn measure(&self, column: usize, line: &Line, n: u64) -> Result<Option<f64>, String> {
        let program = ALL[column];
        let sized = |n: u64| format!("{}={n}", line.name);
        let mut command = match program {
            Program::OtpVm => {
                let (arguments, field) = ours(line.name, n);
                let mut command = self.limited(&self.otp_vm);
                command
                    .arg("bench")
                    .args(arguments.split(' '))
                    .arg("--json");
                let text = output(&mut command)?;
                let figure = json_number(&text, field);
                return figure.map(Some).ok_or(format!("no {field} in {text:?}"));
            }
            Program::Beam => {
                let script = match line.name {
                    "pingpong" | "ring" | "spawn_exit" => "benches/peers/processes.escript",
                    _ => "benches/peers/behaviours.escript",
                };
                let mut command = self.limited(Path::new("escript"));
                command.arg(script).arg(sized(n));
                command
            }
            Program::Ractor => self.peer("peer-ractor", sized(n)),
            Program::Kameo => self.peer("peer-kameo", sized(n)),
            // Between two threads a message wakes one of them.
            Program::Actix => self.peer("peer-actix", sized(n.div_ceil(line.part))),
            Program::ActixOneArbiter => {
                let mut command = self.limited(&self.peers.join("peer-actix"));
                command.args(["--arbiters", "1"]).arg(sized(n));
                command
            }
        };
        let text = output(&mut command)?;
        if text.is_empty() {
            return Ok(None);
        }
        let figure = text_number(&text, line.name);
        figure.map(Some).ok_or(format!("no figure in {text:?}"))
    }

    fn peer(&self, name: &str, line: String) -> Command {
        let mut command = self.limited(&self.peers.join(name));
        command.arg(line);
        command
    }

    /// One that is killed if it hangs.
    fn limited(&self, program: &Path) -> Command {
        let mut command = Command::new("timeout");
        command.arg(LIMIT_S.to_string()).arg(program);
        command
    }
}

/// What `otp-vm bench` is called with, and the name of the figure.
fn ours(line: &str, n: u64) -> (String, &'static str) {
    // As the others: the same number for each.
    let hundreds = n.next_multiple_of(100);
    let twos = n.next_multiple_of(2);
    match line {
        "call/1x1" => (format!("call --n {n}"), "ns_per_call"),
        "call/100x1" => (format!("call --n {hundreds} --clients 100"), "ns_per_call"),
        "call/100x100" => (
            format!("call --n {hundreds} --clients 100 --servers 100"),
            "ns_per_call",
        ),
        "fan_in/cast" => (format!("fan_in --n {hundreds} --kind cast"), "ns_per_msg"),
        "pingpong" => (format!("pingpong --n {n}"), "ns_per_round_trip"),
        "ring" => (
            format!("ring --n 1000 --rounds {}", n.div_ceil(1000)),
            "ns_per_hop",
        ),
        "spawn_exit" => (format!("spawn_exit --n {twos}"), "ns_per_op"),
        "spawn_exit/gen_server" => (
            format!("spawn_exit --n {twos} --kind gen_server"),
            "ns_per_op",
        ),
        "idle_memory/gen_server" => (
            format!("idle_memory --n {n} --kind gen_server"),
            "bytes_per_process",
        ),
        "restart" => (format!("restart --n {n}"), "us_per_restart"),
        "restart/10000" => (format!("restart --n {n} --before 9000"), "us_per_restart"),
        "start_child" => (format!("start_child --n {n}"), "us_per_child"),
        "start_child/partitions" => (
            format!("start_child --n {twos} --clients 2 --partitions 2"),
            "us_per_child",
        ),
        other => unreachable!("the line {other} has no workload"),
    }
}

fn output(command: &mut Command) -> Result<String, String> {
    let done = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if !done.status.success() {
        let said = String::from_utf8_lossy(&done.stderr);
        return Err(format!("{command:?}: {}: {}", done.status, said.trim()));
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// The number of a field of a flat JSON object.
fn json_number(text: &str, field: &str) -> Option<f64> {
    let (_, rest) = text.split_once(&format!("\"{field}\":"))?;
    let end = rest.find([',', '}'])?;
    rest[..end].trim().parse().ok()
}

/// The figure in a line of text, `NAME FIGURE UNIT`.
fn text_number(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.strip_prefix(' ')?.split(' ').next()?.parse().ok()
}

/// The version of a package, by the lock file that the programs were built with.
fn version(package: &str) -> &'static str {
    const LOCK: &str = include_str!("../../Cargo.lock");
    let named = format!("name = \"{package}\"\nversion = \"");
    let found = LOCK.split_once(&named);
    found.map_or("?", |(_, rest)| rest.split('"').next().unwrap_or("?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_workload_of_ours() {
        for line in &peer_common::LINES {
            let (arguments, field) = ours(line.name, 1001);
            let workload = line.name.split('/').next().unwrap();
            assert!(arguments.starts_with(workload), "{arguments}");
            let unit = if line.unit == "bytes" {
                "bytes_"
            } else {
                line.unit
            };
            assert!(field.starts_with(unit), "{field} of {}", line.name);
        }
        assert_eq!(ours("call/100x1", 1001).0, "call --n 1100 --clients 100");
    }

    #[test]
    fn figures_are_found_in_both_kinds_of_output() {
        let json = r#"{"workload":"ring","n":3,"ns_per_hop":61.235}"#;
        assert_eq!(json_number(json, "ns_per_hop"), Some(61.235));
        assert_eq!(json_number(json, "n"), Some(3.0));
        assert_eq!(json_number(json, "ns"), None);
        assert_eq!(text_number("ring 61.2 ns a hop\n", "ring"), Some(61.2));
        assert_eq!(text_number("restart/10000 2 us\n", "restart"), None);
    }

    #[test]
    fn versions_are_those_of_the_lock_file() {
        for package in ["ractor", "kameo", "actix", "tokio"] {
            assert!(version(package).contains('.'), "{package}");
        }
        assert_eq!(version("no-such-package"), "?");
    }
}
