//! The command line: what it lists, what it refuses, and what its exit codes mean.

use std::process::{Command, Output};

fn otp_vm(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_otp-vm"))
        .args(arguments)
        .output()
        .expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn modules_lists_what_is_bundled() {
    let output = otp_vm(&["modules"]);
    assert!(output.status.success());
    assert!(
        text(&output.stdout)
            .lines()
            .any(|line| line.starts_with("kv  "))
    );
}

#[test]
fn a_wrong_command_line_is_exit_code_2_with_a_hint() {
    for arguments in [
        &["run", "no_such_module"][..],
        &["run", "kv", "--no-such-option"],
        &["run", "kv", "--listen", "not an address"],
        &["run", "--schedulers", "0", "kv"],
        &["frobnicate"],
        &["bench", "no_such_workload"],
        &["bench", "pingpong", "--n", "0"],
        &[],
    ] {
        let output = otp_vm(arguments);
        assert_eq!(
            output.status.code(),
            Some(2),
            "{arguments:?}: {}",
            text(&output.stderr)
        );
        assert!(!output.stderr.is_empty(), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_and_version_are_no_errors() {
    for arguments in [
        &["--help"][..],
        &["--version"],
        &["run", "--help"],
        &["run", "kv", "--help"],
        &["bench", "--help"],
    ] {
        let output = otp_vm(arguments);
        assert!(output.status.success(), "{arguments:?}");
        assert!(!output.stdout.is_empty(), "{arguments:?}");
    }
}

#[test]
fn help_tells_what_a_command_does() {
    let help = text(&otp_vm(&["--help"]).stdout);
    assert!(
        help.contains("Run a process module until it ends"),
        "{help}"
    );
    let modules = text(&otp_vm(&["modules"]).stdout);
    let kv = modules.lines().find_map(|line| line.strip_prefix("kv  "));
    let help = text(&otp_vm(&["run", "--help"]).stdout);
    assert!(help.contains(kv.expect("kv is bundled")), "{help}");
}

#[test]
fn an_address_in_use_is_exit_code_3_and_named() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = otp_vm(&["run", "kv", "--listen", &address]);
    assert_eq!(output.status.code(), Some(3), "{}", text(&output.stderr));
    assert!(
        text(&output.stderr).contains(&address),
        "{}",
        text(&output.stderr)
    );
}
