//! A crate outside of the workspace gets the same binary, with its own module, in three lines.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MAIN: &str = r#"
mod greet {
    use otp_vm_cli::Module;

    #[derive(Debug, clap::Args)]
    pub struct Options {
        /// Whom to greet
        name: String,
    }

    pub fn module() -> Module {
        Module::process("greet", "Greets, and ends", |options: Options, cx: otp_vm::Context| async move {
            println!("{} greets {}", cx.pid(), options.name);
        })
    }
}

mod stubborn {
    use otp_vm_cli::Module;

    #[derive(Debug, clap::Args)]
    pub struct Options {}

    pub fn module() -> Module {
        Module::process("stubborn", "Ignores every wish to end", |_: Options, mut cx: otp_vm::Context| async move {
            cx.trap_exit(true);
            println!("ready");
            loop {
                cx.receive().await;
            }
        })
    }
}

use otp_vm_cli::modules;
fn main() -> std::process::ExitCode {
    otp_vm_cli::main(modules![greet, stubborn])
}
"#;

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("bin lies in the workspace")
        .to_owned()
}

/// Cargo's target directory: two above the binary under test.
fn target_dir() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_otp-vm"))
        .ancestors()
        .nth(2)
        .expect("target/profile/otp-vm")
        .to_owned()
}

#[test]
fn has_the_same_binary_with_its_own_module() {
    let workspace = workspace();
    let crate_dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("outside");
    fs::create_dir_all(crate_dir.join("src")).unwrap();
    let vm = workspace.join("vm");
    let cli = workspace.join("bin");
    let manifest = fs::read_to_string(workspace.join("Cargo.toml")).unwrap();
    // The workspace's own profile and lock file, so that what is built already is not built again.
    let profile = manifest
        .split("[profile.dev]")
        .nth(1)
        .expect("the workspace has a dev profile");
    let manifest = format!(
        "[package]\nname = \"outside\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         clap = {{ version = \"4.6\", features = [\"derive\"] }}\notp-vm = {{ path = {vm:?} }}\notp-vm-cli = {{ path = {cli:?} }}\n\n\
         [profile.dev]{profile}"
    );
    fs::write(crate_dir.join("Cargo.toml"), manifest).unwrap();
    fs::write(crate_dir.join("src/main.rs"), MAIN).unwrap();
    fs::copy(workspace.join("Cargo.lock"), crate_dir.join("Cargo.lock")).unwrap();

    let built = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--offline"])
        .current_dir(&crate_dir)
        .env("CARGO_TARGET_DIR", target_dir())
        .output()
        .unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );

    let binary = target_dir().join("debug/outside");
    let listed = Command::new(&binary).arg("modules").output().unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    assert!(
        listed
            .lines()
            .any(|line| line.starts_with("greet  ") && line.ends_with("Greets, and ends")),
        "{listed}"
    );
    assert!(
        listed.lines().any(|line| line.starts_with("kv ")),
        "the bundled modules are there too: {listed}"
    );

    let run = Command::new(&binary)
        .args(["run", "greet", "the outside"])
        .output()
        .unwrap();
    assert!(
        run.status.success(),
        "{}",
        String::from_utf8_lossy(&run.stderr)
    );
    let said = String::from_utf8(run.stdout).unwrap();
    assert!(
        said.starts_with("<0.") && said.ends_with("> greets the outside\n"),
        "{said}"
    );

    // A module that never ends is killed when the limit is over, and the exit code says so.
    let mut stubborn = Command::new(&binary)
        .args(["run", "--shutdown-limit", "1", "stubborn"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = String::new();
    let output = stubborn.stdout.take().expect("it is piped");
    BufReader::new(output).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    let told = Command::new("kill")
        .arg(stubborn.id().to_string())
        .status()
        .unwrap();
    assert!(told.success());
    assert_eq!(stubborn.wait().unwrap().code(), Some(4));
}
