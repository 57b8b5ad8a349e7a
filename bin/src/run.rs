//! `otp-vm run MODULE`: a VM with one application in it, and those that it depends on, from start to orderly end.
//!
//! # Protocol
//! 1. A root process, which traps exits, starts the controller of applications, and by it the application, as
//!    permanent, behind all that it depends on. A process module is made an application for that.
//! 2. It waits: for the controller to end, which it does when an application ends, or for `shutdown`, which SIGTERM,
//!    SIGHUP and Ctrl-C send it.
//! 3. On `shutdown` it passes it to the controller, which stops all applications, newest first; and waits for the
//!    controller's end, until the limit is over.
//! 4. The VM is shut down with what is left of the limit; who is there then is killed and counted. A second signal
//!    doesn't wait, unless it is the first one told twice ([`SAME_SIGNAL`]).

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::{Args, Command};
use otp_stdlib::application::{
    ApplicationError, Config, ConfigError, Controller, ControllerOptions, ensure_all_started_as,
};
use otp_stdlib::prelude::Restart;
use otp_vm::{Atom, Context, ExitReason, OwnedTerm, Pid, Term, Timeout, Vm, from_term};
use serde::Deserialize;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit_code;
use crate::runnable::Runnable;

/// What the VM of `otp-vm run` is built with.
#[derive(Debug, Clone, Args)]
pub(crate) struct VmOptions {
    /// Scheduler threads [default: as many as there are cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    schedulers: Option<u16>,
    /// Pin each scheduler to a core, on a machine that runs nothing else
    #[arg(long)]
    pin: bool,
    /// Most processes at once
    #[arg(long, value_name = "N", default_value_t = otp_vm::DEFAULT_MAX_PROCESSES as u32, value_parser = clap::value_parser!(u32).range(1..=otp_vm::MAX_PROCESSES as i64))]
    max_processes: u32,
    /// How long the tree may take to end in order, before what is left is killed
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    shutdown_limit: u64,
    /// Configure applications by a TOML file: a table for each; of several files later ones override earlier ones
    #[arg(long, value_name = "FILE")]
    config: Vec<PathBuf>,
    /// Set a key of an application's environment, over all files: a value as in TOML, or a word
    #[arg(long, value_name = "APP.KEY=VALUE")]
    set: Vec<String>,
}

impl VmOptions {
    /// Whether this is one of them, such as `--config`.
    pub(crate) fn has(option: &str) -> bool {
        let name = option.strip_prefix("--");
        let all = Self::augment_args(Command::new("run"));
        name.is_some()
            && all
                .get_arguments()
                .any(|argument| argument.get_long() == name)
    }

    /// What the files say, and what `--set` does.
    pub(crate) fn configs(&self) -> Result<(Config, Config), ConfigError> {
        let mut set = Config::new();
        for text in &self.set {
            set.set_text(text)?;
        }
        Ok((Config::from_files(&self.config)?, set))
    }
}

/// How a run came to its end.
#[derive(Debug)]
enum End {
    /// It was told to, so long ago.
    Asked(Instant),
    /// By itself.
    Alone(ExitReason),
    /// It never started, and why.
    NotStarted(String),
    /// Its function does not take what the command line gives; the log says why not.
    Refused,
    /// A value of its environment is none that its start could read: what it is, and what it is to be.
    Misconfigured(String),
}

/// What is run.
pub(crate) struct Release {
    /// The application to be started.
    pub(crate) app: &'static str,
    /// What the controller begins with: all that the application may depend on, and how they are configured.
    pub(crate) controller: ControllerOptions,
    /// With what the application ends, or does not start, if its module's function does not take what it gets.
    pub(crate) refusal: Option<ExitReason>,
}

/// Runs one module or application. All modules are loaded: each may call the others by name.
pub(crate) fn run(release: Release, modules: &[Runnable], options: &VmOptions) -> ExitCode {
    let name = release.app;
    let mut builder = Vm::builder()
        .name(name)
        .max_processes(options.max_processes as usize)
        .pin(options.pin);
    if let Some(schedulers) = options.schedulers {
        builder = builder.schedulers(schedulers.into());
    }
    for module in modules.iter().filter_map(Runnable::module) {
        builder = builder.module(module.clone());
    }
    let vm = match builder.build() {
        Ok(vm) => vm,
        Err(error) => {
            tracing::error!(%error, "the VM could not be built");
            return ExitCode::from(exit_code::NOT_STARTED);
        }
    };
    let hang_up = (!is_ignored(SIGHUP)).then_some(SIGHUP);
    let signals = match Signals::new([SIGTERM, SIGINT].into_iter().chain(hang_up)) {
        Ok(signals) => signals,
        Err(error) => {
            tracing::error!(%error, "the signals could not be caught");
            return ExitCode::from(exit_code::NOT_STARTED);
        }
    };
    let limit = Duration::from_secs(options.shutdown_limit);
    let (ready, told) = mpsc::channel();
    let root = vm.run(move |mut cx| async move { root(&mut cx, release, limit, ready).await });
    let handle = signals.handle();
    let listener = watch_signals(vm.clone(), signals, told);
    let end = root.wait();
    let left = match &end {
        Ok(End::Asked(asked)) => limit.saturating_sub(asked.elapsed()),
        _ => limit,
    };
    let report = vm.shutdown(left).wait().unwrap_or_default();
    handle.close();
    drop(listener.map(thread::JoinHandle::join));
    if !report.is_orderly() {
        tracing::warn!(killed = report.killed, stuck = ?report.stuck, "some processes did not end in order");
    }
    tracing::info!("the VM is down");
    let code = match end {
        Ok(End::Asked(_)) if report.is_orderly() => exit_code::DONE,
        Ok(End::Asked(_)) => exit_code::KILLED,
        Ok(End::Alone(reason)) if reason.is_normal() => exit_code::DONE,
        Ok(End::Alone(reason)) => {
            tracing::error!(application = name, %reason, "the application ended by itself");
            exit_code::FAILED
        }
        Ok(End::NotStarted(error)) => {
            tracing::error!(application = name, %error, "the application did not start");
            exit_code::NOT_STARTED
        }
        Ok(End::Refused) => {
            tracing::error!(module = name, "the module does not take these words");
            exit_code::USAGE
        }
        Ok(End::Misconfigured(error)) => {
            let binary = crate::binary_name();
            eprintln!("{binary}: the configuration of {name} (--config, --set): {error}");
            exit_code::USAGE
        }
        Err(error) => {
            tracing::error!(application = name, %error, "the root process failed");
            exit_code::FAILED
        }
    };
    ExitCode::from(code)
}

/// Starts the applications by a controller and waits for the end. `ready` gets the root's pid once it can be told to
/// end.
async fn root(
    cx: &mut Context,
    release: Release,
    limit: Duration,
    ready: mpsc::Sender<Pid>,
) -> End {
    cx.trap_exit(true);
    // Without a thread that watches signals, nobody asks.
    let _ = ready.send(cx.pid());
    let Release {
        app,
        controller,
        refusal,
    } = release;
    let controller = match Controller::start_link(cx, controller).await {
        Ok(controller) => controller.pid().expect("a start gives a reference by pid"),
        Err(error) => return End::NotStarted(error.to_string()),
    };
    let (failed, failure) = mpsc::channel();
    // Aside, so that a start that takes long can be given up.
    let starter = cx.spawn_link(move |mut cx: Context| async move {
        if let Err(error) = ensure_all_started_as(&mut cx, app, Restart::Permanent).await {
            let _ = failed.send(error);
        }
    });
    let starter = match starter {
        Ok(starter) => starter,
        Err(error) => return End::NotStarted(error.to_string()),
    };
    let (mut starting, mut end) = (true, None);
    while starting || end.is_none() {
        let waited = next_exit(cx, [controller, starter], Timeout::Infinity).await;
        let (from, reason) = waited.expect("no time limit was given");
        if from == starter {
            starting = false;
            if let Ok(error) = failure.try_recv() {
                return failed_start(&error, end, refusal.as_ref());
            }
        } else if from == controller {
            end = Some(reason);
        } else {
            return shut_down(cx, controller, limit).await;
        }
    }
    alone(&end.unwrap_or_else(ExitReason::normal), refusal.as_ref())
}

/// What became of a start that failed, and perhaps of the controller, which may have ended because of it, or of another
/// application before.
fn failed_start(
    error: &ApplicationError,
    controller: Option<ExitReason>,
    refusal: Option<&ExitReason>,
) -> End {
    let mut cause = error;
    while let ApplicationError::Of(_, inner) = cause {
        cause = inner;
    }
    match cause {
        ApplicationError::Failed(reason) => {
            // `{Reason, {Module, start, Args}}`.
            let given = reason.decode::<(ExitReason, OwnedTerm)>();
            if given.is_ok_and(|(reason, _)| Some(&reason) == refusal) {
                return End::Refused;
            }
            match bad_environment_value(reason.to_term().root()) {
                Some(text) => End::Misconfigured(text),
                None => End::NotStarted(error.to_string()),
            }
        }
        ApplicationError::Controller(reason) => {
            alone(&controller.unwrap_or_else(|| reason.clone()), refusal)
        }
        _ => End::NotStarted(error.to_string()),
    }
}

/// Parts of a reason that are looked at. A supervisor wraps the reason of a child into four more.
const PARTS_LOOKED_AT: usize = 1000;

/// What an application's start says of a value that it could not read, in its own reason, or in that of a child that
/// did not start.
fn bad_environment_value(reason: Term<'_>) -> Option<String> {
    #[derive(Deserialize)]
    enum Reason {
        BadEnvironmentValue(String),
    }
    let mut parts = VecDeque::from([reason]);
    for _ in 0..PARTS_LOOKED_AT {
        let part = parts.pop_front()?;
        if let Ok(Reason::BadEnvironmentValue(text)) = from_term(part) {
            return Some(text);
        }
        let inside = part.as_tuple().into_iter().flat_map(|parts| parts.iter());
        parts.extend(inside.take(PARTS_LOOKED_AT));
    }
    None
}

/// What the end of the controller says: `{shutdown, {application_terminated, App, Reason}}`.
fn alone(reason: &ExitReason, refusal: Option<&ExitReason>) -> End {
    let ended = reason.decode::<(Atom, (Atom, Atom, ExitReason))>();
    let reason = ended.map_or_else(|_| reason.clone(), |(_, (_, _, reason))| reason);
    match Some(&reason) == refusal {
        true => End::Refused,
        false => End::Alone(reason),
    }
}

/// Has the controller stop all applications, newest first.
async fn shut_down(cx: &mut Context, controller: Pid, limit: Duration) -> End {
    let asked = Instant::now();
    cx.exit_process(controller, ExitReason::shutdown());
    loop {
        let left = limit.saturating_sub(asked.elapsed());
        match next_exit(cx, [controller], left.into()).await {
            Some((from, _reason)) if from != controller => {}
            // It ended, or its time is over.
            _ => return End::Asked(asked),
        }
    }
}

/// The end of one of these, or the host's `shutdown`.
async fn next_exit<const N: usize>(
    cx: &mut Context,
    of: [Pid; N],
    after: Timeout,
) -> Option<(Pid, ExitReason)> {
    let parent = cx.parent();
    let exit = cx.receive_where(after, |message| {
        message
            .exit()
            .filter(|exit| of.contains(&exit.from) || exit.from == parent)
    });
    exit.await.map(|exit| (exit.from, exit.reason))
}

/// Whether whoever started the program has it ignore a signal: `nohup` does, so that the program outlives the terminal,
/// and to catch the signal would undo that.
fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))
        .and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    ignored.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// Within this time the same signal is no second one: `timeout` sends its signal to the program and then to its group,
/// a millisecond apart. A person's second Ctrl-C comes later. Chosen by feel.
const SAME_SIGNAL: Duration = Duration::from_millis(200);

/// Whether a signal says nothing new, so long after the first.
fn is_told_twice(first: i32, signal: i32, after: Duration) -> bool {
    signal == first && after < SAME_SIGNAL
}

/// The first signal asks for an orderly end, the second ends the program.
fn watch_signals(
    vm: Vm,
    mut signals: Signals,
    root: mpsc::Receiver<Pid>,
) -> Option<thread::JoinHandle<()>> {
    let watch = move || {
        let mut first = None;
        for signal in signals.forever() {
            if let Some((before, at)) = first {
                if is_told_twice(before, signal, Instant::now().duration_since(at)) {
                    continue;
                }
                tracing::warn!(signal, "a second signal: the program ends at once");
                std::process::exit(128 + signal);
            }
            first = Some((signal, Instant::now()));
            tracing::info!(
                signal,
                "shutting down in order; a second signal ends the program at once"
            );
            // A signal may come before the root is there; it is not there at all when it could not be made.
            if let Ok(root) = root.recv() {
                vm.exit(root, ExitReason::shutdown());
            }
        }
    };
    thread::Builder::new()
        .name("otp-signals".to_owned())
        .spawn(watch)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_a_child_could_not_read_is_told() {
        let told = "{bad_environment_value, <<\"no\">>}";
        let far = format!("{{{}{told}}}", "0, ".repeat(PARTS_LOOKED_AT));
        for (reason, expected) in [
            (told, Some("no")),
            (
                "{{shutdown, {failed_to_start_child, till, {bad_environment_value, <<\"no\">>}}}, {shop, start, []}}",
                Some("no"),
            ),
            ("{{badarg, <<\"no\">>}, {shop, start, []}}", None),
            (&far, None),
        ] {
            let reason: OwnedTerm = reason.parse().unwrap();
            let text = bad_environment_value(reason.root());
            assert_eq!(text.as_deref(), expected);
        }
    }

    #[test]
    fn a_signal_told_twice_at_once_is_one() {
        let soon = Duration::from_millis(1);
        assert!(is_told_twice(SIGTERM, SIGTERM, soon));
        assert!(!is_told_twice(SIGTERM, SIGINT, soon));
        assert!(!is_told_twice(SIGTERM, SIGTERM, SAME_SIGNAL));
    }
}
