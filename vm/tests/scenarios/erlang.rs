//! Runs on an Erlang node, a child process; `scenarios.erl` is its side.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use otp_heap::{etf, from_term, to_term};

use crate::scenario::{Observation, Scenario};

/// So many scenarios are under way at once: most of a run is waiting until nothing happens any more, and beside each
/// other they bring up more orders.
const WORKERS: usize = 400;

/// What was seen of one scenario, and how often.
pub type Tally = Vec<(Observation, u32)>;

/// Each scenario's observations out of so many runs.
///
/// `None` if there is no Erlang: the test is to skip, and a line says so. With `OTP_VM_REQUIRE_FOREIGN=1` its absence
/// is a failure.
pub fn run(scenarios: &[Scenario], runs: u32) -> Option<Vec<Tally>> {
    let is_there = Command::new("erl")
        .arg("-version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if is_there.is_err() {
        let required = std::env::var("OTP_VM_REQUIRE_FOREIGN").is_ok_and(|value| value == "1");
        assert!(
            !required,
            "erl is not installed, and OTP_VM_REQUIRE_FOREIGN=1 asks for it"
        );
        println!("skipped for want of erl: {} scenarios", scenarios.len());
        return None;
    }
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios/scenarios.erl");
    let beams = std::env::temp_dir().join(format!("otp-vm-scenarios-{}", std::process::id()));
    std::fs::create_dir_all(&beams).expect("the temporary directory is writable");
    let compiled = Command::new("erlc")
        .arg("-Werror")
        .arg("-o")
        .args([&beams, &source])
        .status()
        .expect("erlc stands beside erl");
    assert!(compiled.success(), "{} compiles", source.display());
    let mut node = Command::new("erl")
        // Two at once in any case: signals are to cross.
        .args(["+S", "2:2"])
        // The logger would write between our packets.
        .args(["-noinput", "-kernel", "logger_level", "none"])
        .args(["-s", "scenarios", "main", "-pa"])
        .arg(&beams)
        .env("ERL_CRASH_DUMP_SECONDS", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("erl starts");
    // A program is a pair there, not a map.
    let programs = scenarios.iter().map(|scenario| {
        let programs = scenario.programs.iter();
        let pairs = programs.map(|program| (program.root, &program.steps));
        pairs.collect::<Vec<_>>()
    });
    let programs: Vec<_> = programs.collect();
    let request = to_term(&(runs, WORKERS, programs)).expect("scenarios are terms");
    let request = etf::term_to_binary(request.root()).expect("scenarios are terms");
    let mut input = node.stdin.take().expect("it is piped");
    let mut output = node.stdout.take().expect("it is piped");
    let length = u32::try_from(request.len()).expect("a request is under 4 GB");
    input
        .write_all(&length.to_be_bytes())
        .and_then(|()| input.write_all(&request))
        .and_then(|()| input.flush())
        .expect("the node reads");
    let mut length = [0; 4];
    output.read_exact(&mut length).expect("the node answers");
    let mut reply = vec![0; u32::from_be_bytes(length) as usize];
    output.read_exact(&mut reply).expect("the node answers");
    // Its standard input ends, and so it does.
    drop(input);
    node.wait().expect("the node ends");
    std::fs::remove_dir_all(&beams).expect("the directory is ours");
    let reply = etf::binary_to_term(&reply).expect("a term");
    let tallies: Vec<Tally> = from_term(reply.root()).expect("observations by scenario");
    assert_eq!(tallies.len(), scenarios.len());
    Some(tallies)
}
