//! A crate outside of the workspace gets the same binary, with its own module, in three lines.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MAIN: &str = r#"
use clap::Args;
use otp_stdlib::application::{self, Application, ApplicationSpec, StartType};
use otp_stdlib::prelude::*;
use otp_vm::{Context, Pid, module};
use otp_vm_cli::{Runnable, modules};
use serde::{Deserialize, Serialize};

#[derive(Debug, Args, Serialize, Deserialize)]
pub struct Options {
    /// How often
    #[arg(long)]
    times: u32,
}

module! {
    /// Greets, and ends.
    pub mod greet {
        /// Whom to greet.
        pub async fn run(cx: &mut Context, name: String) {
            println!("{} greets {name}", cx.pid());
        }
    }
}

module! {
    /// Has others greet.
    pub mod host {
        pub async fn run(cx: &mut Context, options: Options) {
            for guest in 0..options.times {
                let name = format!("guest {guest}");
                cx.apply::<_, ()>("greet", "run", &(name,)).await.expect("it is loaded, too");
            }
        }
    }
}

module! {
    /// Starts nothing that could be waited for.
    pub mod wrong {
        pub async fn start(_cx: &mut Context) -> u32 {
            7
        }
    }
}

module! {
    /// Wants a number, and words are texts.
    pub mod number {
        pub async fn run(_cx: &mut Context, n: u32) {
            println!("got {n}");
        }
    }
}

module! {
    /// The same with a tree.
    pub mod tree {
        pub async fn start(_cx: &mut Context, n: u32) {
            println!("got {n}");
        }
    }
}

module! {
    /// Ignores every wish to end.
    pub mod stubborn {
        pub async fn run(cx: &mut Context) {
            cx.trap_exit(true);
            println!("ready");
            loop {
                cx.receive().await;
            }
        }
    }
}

/// An application that says when it starts and stops, and fails if it is told to.
struct Shop(String);

impl Application for Shop {
    type Args = String;

    async fn start(_: StartType, name: String, cx: &mut Context) -> Result<(Pid, Self), StartError> {
        let word: String = application::get_env_or(cx, &name, "word", "starts".to_owned())?;
        println!("{name} {word}");
        if word == "fails" {
            return Err(StartError::Exit("as told".into()));
        }
        let dies = word == "dies";
        let mortal = ChildSpec::process("mortal", move |mut cx: Context| async move {
            if !dies {
                cx.receive().await;
            }
        });
        let flags = SupervisorFlags::one_for_one().intensity(0, std::time::Duration::from_secs(1));
        let tree = Supervisor::start_link(cx, flags, vec![mortal]);
        Ok((application::tree(tree.await)?, Shop(name)))
    }

    async fn stop(self, _: &mut Context) {
        println!("{} stops", self.0);
    }
}

fn shop(name: &str, depends_on: &'static [&'static str]) -> Runnable {
    let spec = ApplicationSpec::new(name).description("Sells what there is");
    spec.applications(depends_on.iter().copied()).module::<Shop>(name.to_owned()).into()
}

fn main() -> std::process::ExitCode {
    let mut all = modules![greet, host: Options, wrong, number, tree, stubborn];
    all.push(shop("front", &["stdlib", "back"]));
    all.push(shop("back", &["kernel"]));
    all.push(shop("lost", &["back", "nowhere"]));
    otp_vm_cli::main(all)
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
    let stdlib = workspace.join("stdlib");
    let cli = workspace.join("bin");
    let manifest = fs::read_to_string(workspace.join("Cargo.toml")).unwrap();
    // The workspace's own profile and lock file, so that what is built already is not built again.
    let profile = manifest
        .split("[profile.dev]")
        .nth(1)
        .expect("the workspace has a dev profile");
    let manifest = format!(
        "[package]\nname = \"outside\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\n[workspace]\n\n[dependencies]\n\
         clap = {{ version = \"4.6\", features = [\"derive\"] }}\notp-stdlib = {{ path = {stdlib:?} }}\notp-vm = {{ path = {vm:?} }}\notp-vm-cli = {{ path = {cli:?} }}\n\
         serde = {{ version = \"1\", features = [\"derive\"] }}\n\n\
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
        !listed.lines().any(|line| line.starts_with("kv ")),
        "nothing is listed that it did not ask for: {listed}"
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

    let run = |arguments: &[&str]| {
        let run = Command::new(&binary).arg("run").args(arguments).output();
        let run = run.unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (run.status.code(), text(run.stdout), text(run.stderr))
    };
    // Words are arguments, also those that look like options; and there must be a function that takes as many.
    let (code, said, _) = run(&["greet", "--times"]);
    assert_eq!(code, Some(0));
    assert!(said.ends_with("greets --times\n"), "{said}");
    for words in [&["greet"][..], &["greet", "Ann", "Bob"], &["stubborn", "x"]] {
        let (code, said, error) = run(words);
        assert_eq!((code, said.as_str()), (Some(2), ""), "{words:?}: {error}");
        let arity = words.len() - 1;
        assert!(error.contains(&format!("export run/{arity}")), "{error}");
        assert!(error.contains("exports run/"), "{error}");
    }
    // Words that don't decode are a wrong command line, too.
    for (module, function) in [("number", "number:run/1"), ("tree", "tree:start/1")] {
        let (code, said, error) = run(&[module, "7"]);
        assert_eq!((code, said.as_str()), (Some(2), ""), "{error}");
        let refused = format!("{function} does not take these arguments");
        assert!(error.contains(&refused), "{error}");
    }
    // Options are read by their type, and modules call each other by name.
    let (code, said, _) = run(&["host", "--times", "2"]);
    assert_eq!(code, Some(0));
    assert_eq!(said.lines().count(), 2, "{said}");
    assert!(said.ends_with("greets guest 1\n"), "{said}");
    assert_eq!(run(&["host", "--times", "x"]).0, Some(2));
    assert_eq!(run(&["host"]).0, Some(2));
    let (code, _, error) = run(&["wrong"]);
    assert_eq!(code, Some(3), "{error}");
    assert!(error.contains("wrong:start/0 gave 7"), "{error}");

    // Applications come with all that they depend on …
    let output = Command::new(&binary)
        .args(["run", "front"])
        .stdout(Stdio::piped())
        .spawn();
    let mut front = output.unwrap();
    let mut lines = BufReader::new(front.stdout.take().expect("it is piped")).lines();
    let mut line = || lines.next().expect("a line").unwrap();
    assert_eq!(
        (line(), line()),
        ("back starts".into(), "front starts".into())
    );
    let told = Command::new("kill").arg(front.id().to_string()).status();
    assert!(told.unwrap().success());
    // … and are stopped in reverse order.
    assert_eq!(
        (line(), line()),
        ("front stops".into(), "back stops".into())
    );
    assert_eq!(front.wait().unwrap().code(), Some(0));
    // One that fails takes those along that were started for it; the exit code says when it failed.
    let set = |setting, app| run(&["--set", setting, app]);
    let (code, said, error) = set("front.word=fails", "front");
    assert_eq!(code, Some(3), "{error}");
    assert_eq!(said, "back starts\nfront fails\nback stops\n");
    assert!(error.contains("as told"), "{error}");
    // A value of another type is a wrong configuration, which the start finds out.
    let (code, said, error) = set("front.word=7", "front");
    assert_eq!(
        (code, said.as_str()),
        (Some(2), "back starts\nback stops\n"),
        "{error}"
    );
    let told = "outside: the configuration of front (--config, --set): front.word is 7, and no alloc::string::String: ";
    assert!(error.contains(told), "{error}");
    assert!(error.contains("; give it another value"), "{error}");
    let (code, said, error) = set("back.word=dies", "back");
    assert_eq!(
        (code, said.as_str()),
        (Some(1), "back dies\nback stops\n"),
        "{error}"
    );
    let (code, said, error) = run(&["lost"]);
    assert_eq!(
        (code, said.as_str()),
        (Some(3), "back starts\nback stops\n"),
        "{error}"
    );
    assert!(error.contains("no application nowhere is known"), "{error}");

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
