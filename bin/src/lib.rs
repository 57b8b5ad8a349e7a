//! The `otp-vm` binary as a library: anybody's crate gets the same binary, with its own modules.
//!
//! ```no_run
//! use otp_vm::{Context, module};
//! use otp_vm_cli::modules;
//!
//! module! {
//!     /// Does nothing, and ends.
//!     pub mod mine {
//!         pub async fn run(_cx: &mut Context) {}
//!     }
//! }
//!
//! fn main() -> std::process::ExitCode {
//!     otp_vm_cli::main(modules![mine])
//! }
//! ```
//!
//! `run MODULE [ARGS]` runs an application with all that it depends on, or a process module ([`Runnable`] says which
//! function of it); `--config FILE.toml` and `--set APP.KEY=VALUE` configure applications. `modules` lists both, `bench
//! WORKLOAD` measures. Logs go to standard error; `RUST_LOG` says which. Exit codes: see [`exit_code`].

mod beginning;
mod bench;
pub mod exit_code;
pub mod kv;
mod options;
mod run;
mod runnable;

use std::env::{self, VarError};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, Args, Command, FromArgMatches};
use otp_stdlib::application::{Config, ControllerOptions};
use otp_vm::Atom;
use tracing_subscriber::EnvFilter;

pub use runnable::Runnable;

/// Every block of the binary comes from mimalloc, as messages do in any case, and is counted for its process.
#[global_allocator]
static ALLOCATOR: otp_vm::AccountingAllocator = otp_vm::AccountingAllocator;

/// Runs the command line, of a program that has these applications and modules. `otp-vm` itself has
/// [`kv::runnable`].
pub fn main(modules: impl IntoIterator<Item: Into<Runnable>>) -> ExitCode {
    let modules: Vec<Runnable> = modules.into_iter().map(Into::into).collect();
    let matches = match command(&modules).try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return usage(&with_hint(error)),
    };
    // A bench measures what processes do, not what their reports cost.
    let logged = log_to_stderr(if matches.subcommand_name() == Some("bench") {
        "off"
    } else {
        "info"
    });
    if let Err(error) = logged {
        eprintln!("{}: {error}", binary_name());
        return ExitCode::from(exit_code::USAGE);
    }
    match matches.subcommand() {
        Some(("run", matches)) => run_module(&modules, matches),
        Some(("modules", _)) => {
            let mut out = io::stdout().lock();
            printed(list(&modules, &mut out), exit_code::DONE)
        }
        Some(("bench", matches)) => bench::run(matches),
        _ => unreachable!("clap asks for one of the commands"),
    }
}

fn command(modules: &[Runnable]) -> Command {
    // The text last: the options' own doc comment would take its place.
    let run = run::VmOptions::augment_args(Command::new("run"))
        .about("Run an application or a process module until it ends; SIGTERM, SIGHUP and Ctrl-C end it in order")
        .long_about(None)
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand_value_name("MODULE")
        .subcommand_help_heading("Applications and modules")
        .subcommands(modules.iter().map(Runnable::command));
    Command::new("otp-vm")
        .about("A preemptive process VM for Rust")
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(run)
        .subcommand(Command::new("modules").about("List the applications and process modules"))
        .subcommand(bench::command())
}

fn run_module(modules: &[Runnable], matches: &ArgMatches) -> ExitCode {
    let options = match run::VmOptions::from_arg_matches(matches) {
        Ok(options) => options,
        Err(error) => return usage(&error),
    };
    let (name, matches) = matches.subcommand().expect("clap asks for a module");
    let module = modules
        .iter()
        .find(|module| module.name() == name)
        .expect("clap knows the modules");
    let (files, set) = match options.configs() {
        Ok(configs) => configs,
        Err(error) => {
            eprintln!("{}: {error}", binary_name());
            return ExitCode::from(exit_code::USAGE);
        }
    };
    let mut config = files.clone();
    config.merge(set.clone());
    for app in strangers(modules, &config) {
        tracing::warn!(application = %app, "configured, and not here: `{} modules` lists what is", binary_name());
    }
    let plan = match module.plan(matches, &config) {
        Ok(plan) => plan,
        Err(error) => return usage(&error),
    };
    let mut controller = ControllerOptions::new().config(files);
    for spec in modules.iter().filter_map(Runnable::spec) {
        controller = controller.define(spec.clone());
    }
    let release = run::Release {
        app: module.name(),
        controller: controller
            .define(plan.spec)
            .command_line(set)
            .command_line(plan.given),
        refusal: plan.beginning.map(|beginning| beginning.refusal()),
    };
    run::run(release, modules, &options)
}

/// Applications that are configured and that nobody knows: a slip of the pen, or one that is to be defined later.
fn strangers<'a>(modules: &'a [Runnable], config: &'a Config) -> impl Iterator<Item = Atom> + 'a {
    let known = |app: &str| {
        ["kernel", "stdlib"].contains(&app) || modules.iter().any(|module| module.name() == app)
    };
    config
        .iter()
        .map(|(app, _)| app)
        .filter(move |app| !known(app.as_str()))
}

/// Who asks for a module or a workload that is not there is told where they are listed, and who writes an option of
/// `run` behind the module is told where it stands: by the binary's own name.
fn with_hint(mut error: clap::Error) -> clap::Error {
    let usage = match error.get(ContextKind::Usage) {
        Some(ContextValue::StyledStr(usage)) => usage.to_string(),
        _ => String::new(),
    };
    let binary = binary_name();
    let hint = match (error.kind(), error.get(ContextKind::InvalidArg)) {
        (ErrorKind::InvalidSubcommand, _) if usage.contains("<MODULE>") => {
            format!("`{binary} modules` lists the modules")
        }
        (ErrorKind::InvalidSubcommand, _) if usage.contains("<WORKLOAD>") => {
            format!("`{binary} bench --help` lists the workloads")
        }
        (ErrorKind::UnknownArgument, Some(ContextValue::String(option)))
            if usage.contains(" run ") && run::VmOptions::has(option) =>
        {
            format!("`{option}` stands before the module: `{binary} run {option} … MODULE`")
        }
        _ => return error,
    };
    let hints = ContextValue::StyledStrs(vec![hint.into()]);
    error.insert(ContextKind::Suggested, hints);
    error
}

/// As its caller calls it: another crate's binary has a name of its own.
pub(crate) fn binary_name() -> String {
    let path = env::args_os().next().unwrap_or_default();
    Path::new(&path).file_name().map_or_else(
        || "otp-vm".to_owned(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// Help and version are no errors; a wrong command line is.
fn usage(error: &clap::Error) -> ExitCode {
    let code = if error.use_stderr() {
        exit_code::USAGE
    } else {
        exit_code::DONE
    };
    printed(error.print(), code)
}

/// The exit code after output: `code`, unless it could not be written, to a disk that is full, say. A reader that is
/// gone has read what it wanted.
fn printed(output: io::Result<()>, code: u8) -> ExitCode {
    match output {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            // Nothing is left to tell who has no standard error either.
            let _ = writeln!(
                io::stderr(),
                "{}: the output could not be written: {error}",
                binary_name()
            );
            ExitCode::from(exit_code::FAILED)
        }
        _ => ExitCode::from(code),
    }
}

fn list(modules: &[Runnable], out: &mut impl Write) -> io::Result<()> {
    let width = modules
        .iter()
        .map(|module| module.name().len())
        .max()
        .unwrap_or(0);
    for module in modules {
        writeln!(out, "{:width$}  {}", module.name(), module.about())?;
    }
    out.flush()
}

/// Logs what `RUST_LOG` says, or `default` where it is not set. One that says nothing known is no default: who looks
/// for a fault would look in vain.
fn log_to_stderr(default: &str) -> Result<(), String> {
    let hint = "give levels such as `info` or `info,otp_vm=debug`";
    let filter = match env::var("RUST_LOG") {
        Ok(levels) => EnvFilter::try_new(&levels)
            .map_err(|error| format!("RUST_LOG is {levels:?}: {error}; {hint}"))?,
        Err(VarError::NotPresent) => EnvFilter::new(default),
        Err(error) => return Err(format!("RUST_LOG: {error}; {hint}")),
    };
    let stderr = io::stderr;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal())
        .with_target(false)
        // It would tell of a standard error that nobody reads by a panic, in whatever was logging.
        .log_internal_errors(false);
    // A host that set a subscriber before keeps it.
    let _ = subscriber.try_init();
    Ok(())
}
