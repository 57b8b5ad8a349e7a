//! Slips of the pen on the command line, which are no errors and are told all the same.

use std::process::Command;

/// What it says to standard error, of a command line that is refused in the end.
fn refused(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_otp-vm"))
        .args(arguments)
        .env_remove("RUST_LOG")
        .output()
        .expect("it runs");
    let said = String::from_utf8(output.stderr).expect("text");
    assert_eq!(output.status.code(), Some(2), "{said}");
    said
}

#[test]
fn an_application_that_is_not_there_and_is_configured_is_told() {
    // The last of these is an error, so nothing starts.
    let wrong = "kv.acceptors=none";
    let said = refused(&["run", "--set", "kb.acceptors=4", "--set", wrong, "kv"]);
    let told = said.lines().filter(|line| line.contains("WARN"));
    let told: Vec<_> = told.collect();
    assert_eq!(told.len(), 1, "{said}");
    assert!(told[0].contains("application=kb"), "{said}");
    assert!(told[0].contains("`otp-vm modules` lists"), "{said}");

    let known = [
        "run",
        "--set",
        "kernel.x=1",
        "--set",
        "stdlib.x=1",
        "--set",
        wrong,
        "kv",
    ];
    let said = refused(&known);
    assert!(!said.contains("WARN"), "{said}");
}
