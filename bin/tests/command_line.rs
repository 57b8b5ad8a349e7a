//! The command line: what it lists, what it refuses, and what its exit codes mean.

use std::os::unix::process::CommandExt;
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
        &["run", "--schedulers", "1025", "kv"],
        &["run", "--max-processes", "0", "kv"],
        &["run", "--max-processes", "134217729", "kv"],
        &["run", "--shutdown-limit", "-1", "kv"],
        &["run", "kv", "--max-clients", "0"],
        &["run", "kv", "--max-arguments", "0"],
        &["run", "kv", "--max-frame-bytes", "0"],
        &["frobnicate"],
        &["bench", "no_such_workload"],
        &["bench", "pingpong", "--n", "0"],
        &["bench", "pingpong", "--pairs", "0"],
        &["bench", "call", "--servers", "0"],
        &["bench", "call", "--clients", "0"],
        &["bench", "call", "--n", "5", "--clients", "10"],
        &["bench", "fan_in", "--n", "5", "--senders", "10"],
        &["bench", "start_child", "--clients", "0"],
        &["bench", "spawn_exit", "--wave", "0"],
        &["bench", "spawn_exit", "--spawners", "0"],
        &["bench", "ring", "--rounds", "0"],
        &["bench", "timers", "--n", "1"],
        &["bench", "timers", "--min-ms", "5", "--max-ms", "4"],
        &["bench", "message_copy", "--words", "0"],
        &["bench", "message_copy", "--n", "0"],
        &["bench", "fairness", "--seconds", "0"],
        &["bench", "fairness", "--seconds", "nan"],
        &["bench", "idle_cpu", "--seconds", "inf"],
        &["bench", "ring", "--n", "9999999999"],
        &["bench", "call", "--servers", "9999999999"],
        &["bench", "timers", "--n", "9999999999"],
        &["bench", "soak", "--n", "18446744073709551615"],
        &["bench", "fairness", "--hogs", "9999999999"],
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
fn an_unknown_module_or_workload_is_told_where_they_are_listed_by_the_binarys_own_name() {
    for (command, hint) in [
        ("run", "`mine modules` lists the modules"),
        ("bench", "`mine bench --help` lists the workloads"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_otp-vm"))
            .arg0("/somewhere/mine")
            .args([command, "no_such"])
            .output()
            .expect("the binary runs");
        let error = text(&output.stderr);
        assert!(error.contains(hint), "{error}");
    }
}

#[test]
fn an_option_of_run_behind_the_module_is_told_where_it_stands() {
    for option in ["--config", "--set", "--schedulers", "--shutdown-limit"] {
        let output = otp_vm(&["run", "kv", option, "1"]);
        assert_eq!(output.status.code(), Some(2));
        let hint = format!("`{option}` stands before the module: `otp-vm run {option} … MODULE`");
        assert!(
            text(&output.stderr).contains(&hint),
            "{}",
            text(&output.stderr)
        );
    }
    let unknown = otp_vm(&["run", "kv", "--no-such-option"]);
    assert!(!text(&unknown.stderr).contains("before the module"));
}

#[test]
fn errors_begin_with_the_binarys_own_name() {
    for arguments in [
        &["run", "--config", "no_such_file.toml", "kv"][..],
        &["bench", "call", "--n", "5", "--clients", "10"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_otp-vm"))
            .arg0("/somewhere/mine")
            .args(arguments)
            .output()
            .expect("the binary runs");
        let error = text(&output.stderr);
        assert!(error.starts_with("mine"), "{error}");
    }
}

#[test]
fn levels_of_the_log_that_are_none_are_refused() {
    let output = Command::new(env!("CARGO_BIN_EXE_otp-vm"))
        .env("RUST_LOG", "otp_vm=loud")
        .arg("modules")
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(2));
    let error = text(&output.stderr);
    assert!(
        error.contains("otp_vm=loud") && error.contains("otp_vm=debug"),
        "{error}"
    );
}

#[test]
fn a_module_that_is_not_there_points_to_the_list() {
    let output = otp_vm(&["run", "no_such_module"]);
    assert!(
        text(&output.stderr).contains("`otp-vm modules`"),
        "{}",
        text(&output.stderr)
    );
    let output = otp_vm(&["bench", "no_such_workload"]);
    assert!(!text(&output.stderr).contains("`otp-vm modules`"));
}

#[test]
fn what_is_no_address_is_told_the_form_of_one() {
    for address in ["localhost:1", "127.0.0.1", "127.0.0.1:80000"] {
        let output = otp_vm(&["run", "kv", "--listen", address]);
        assert_eq!(output.status.code(), Some(2));
        assert!(
            text(&output.stderr).contains("127.0.0.1:6380"),
            "{}",
            text(&output.stderr)
        );
    }
}

#[test]
fn a_list_that_nobody_reads_is_no_crash() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = Command::new(env!("CARGO_BIN_EXE_otp-vm"))
        .arg("modules")
        .stdout(writer)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn output_that_cannot_be_written_is_exit_code_1_with_the_cause() {
    for arguments in [
        &["modules"][..],
        &["--help"],
        &["bench", "pingpong", "--n", "10"],
    ] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let output = Command::new(env!("CARGO_BIN_EXE_otp-vm"))
            .args(arguments)
            .stdout(full.unwrap())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments:?}");
        let error = text(&output.stderr);
        assert!(
            error.starts_with("otp-vm: the output could not be written: No space left")
                && error.lines().count() == 1,
            "{arguments:?}: {error}"
        );
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
        help.contains("Run an application or a process module until it ends"),
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
