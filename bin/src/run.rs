//! `otp-vm run MODULE`: a VM with one module in it, from start to orderly end.
//!
//! # Protocol
//! 1. A root process, which traps exits, starts the module's tree and is linked with its top.
//! 2. It waits: for the top to end, or for `shutdown`, which SIGTERM, SIGHUP and Ctrl-C send it.
//! 3. On `shutdown` it passes it to the top, and waits for the top's end, until the limit is over.
//! 4. The VM is shut down with what is left of the limit; who is there then is killed and counted. A second signal
//!    doesn't wait, unless it is the first one told twice ([`SAME_SIGNAL`]).

use std::fs;
use std::process::ExitCode;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use clap::Args;
use otp_vm::{Context, ExitReason, Pid, Timeout, Vm};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::exit_code;
use crate::runnable::{Beginning, Runnable};

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
}

/// How a run came to its end.
#[derive(Debug)]
enum End {
    /// It was told to, so long ago.
    Asked(Instant),
    /// By itself.
    Alone(ExitReason),
    /// It never started.
    NotStarted(ExitReason),
    /// Its function does not take what the command line gives; the log says why not.
    Refused,
}

/// Runs one module. All of them are loaded: each may call the others by name.
pub(crate) fn run(
    name: &'static str,
    beginning: Beginning,
    modules: &[Runnable],
    options: &VmOptions,
) -> ExitCode {
    let mut builder = Vm::builder()
        .name(name)
        .max_processes(options.max_processes as usize)
        .pin(options.pin);
    if let Some(schedulers) = options.schedulers {
        builder = builder.schedulers(schedulers.into());
    }
    for module in modules {
        builder = builder.module(module.module().clone());
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
    let root = vm.run(move |mut cx| async move { root(&mut cx, beginning, limit, ready).await });
    let handle = signals.handle();
    let listener = watch_signals(vm.clone(), signals, told);
    let end = root.wait();
    let limit = Duration::from_secs(options.shutdown_limit);
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
            tracing::error!(module = name, %reason, "the module ended by itself");
            exit_code::FAILED
        }
        Ok(End::NotStarted(reason)) => {
            tracing::error!(module = name, %reason, "the module did not start");
            exit_code::NOT_STARTED
        }
        Ok(End::Refused) => {
            tracing::error!(module = name, "the module does not take these words");
            exit_code::USAGE
        }
        Err(error) => {
            tracing::error!(module = name, %error, "the root process failed");
            exit_code::FAILED
        }
    };
    ExitCode::from(code)
}

/// Starts the module and waits for its end. `ready` gets the root's pid once it can be told to end.
async fn root(
    cx: &mut Context,
    beginning: Beginning,
    limit: Duration,
    ready: mpsc::Sender<Pid>,
) -> End {
    cx.trap_exit(true);
    // Without a thread that watches signals, nobody asks.
    let _ = ready.send(cx.pid());
    let refusal = beginning.refusal();
    let top = match beginning.begin(cx).await {
        Ok(top) => top,
        Err(reason) if reason == refusal => return End::Refused,
        Err(reason) => return End::NotStarted(reason),
    };
    let waited = next_exit(cx, top, Timeout::Infinity).await;
    let (from, reason) = waited.expect("no time limit was given");
    if from == top {
        return if reason == refusal {
            End::Refused
        } else {
            End::Alone(reason)
        };
    }
    let asked = Instant::now();
    cx.exit_process(top, ExitReason::shutdown());
    loop {
        let left = limit.saturating_sub(asked.elapsed());
        match next_exit(cx, top, left.into()).await {
            Some((from, _reason)) if from != top => {}
            // It ended, or its time is over.
            _ => return End::Asked(asked),
        }
    }
}

/// The end of the top, or the host's `shutdown`. Other exits are of processes that the start
/// left behind.
async fn next_exit(cx: &mut Context, top: Pid, after: Timeout) -> Option<(Pid, ExitReason)> {
    let parent = cx.parent();
    let exit = cx.receive_where(after, |message| {
        message
            .exit()
            .filter(|exit| exit.from == top || exit.from == parent)
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
    fn a_signal_told_twice_at_once_is_one() {
        let soon = Duration::from_millis(1);
        assert!(is_told_twice(SIGTERM, SIGTERM, soon));
        assert!(!is_told_twice(SIGTERM, SIGINT, soon));
        assert!(!is_told_twice(SIGTERM, SIGTERM, SAME_SIGNAL));
    }
}
