//! How children are ended. One: OTP's order of monitor, signal, wait, unlink.
//!
//! 1. Monitor the child, so that its end is seen even if it took the link away by itself.
//! 2. Send the exit signal: `kill`, or `shutdown` with a limit and then `kill`.
//! 3. Wait for its `DOWN`.
//! 4. Unlink it and take its `EXIT` out of the mailbox, so that the supervisor does not treat an
//!    end that it caused as one to restart. If `DOWN` says `noproc` the child was dead before the
//!    monitor came; then that `EXIT` has the true reason.

use std::collections::BTreeSet;
use std::time::Duration;

use otp_vm::{Context, ExitReason, Pid, Timeout};

use super::child::{ChildSpec, Restart, Shutdown};
use crate::proc_lib::unlink_flush;
use crate::vm_made::MapByVmMade;

/// Ends a child and waits for its end.
///
/// # Errors
/// The reason, when the child ended otherwise than asked for: worth a report, no more.
pub(crate) async fn shut_down(
    cx: &mut Context,
    pid: Pid,
    shutdown: Shutdown,
    restart: Restart,
) -> Result<(), ExitReason> {
    let monitor = cx.monitor(pid);
    let (signal, after) = match shutdown {
        Shutdown::BrutalKill => (ExitReason::kill(), Timeout::Infinity),
        Shutdown::After(limit) => (ExitReason::shutdown(), Timeout::After(limit)),
        Shutdown::Infinity => (ExitReason::shutdown(), Timeout::Infinity),
    };
    cx.exit_process(pid, signal);
    let down = match cx.await_down_timeout(monitor, after).await {
        Some(down) => down.reason,
        None => {
            cx.exit_process(pid, ExitReason::kill());
            cx.await_down(monitor).await.reason
        }
    };
    let exit = unlink_flush(cx, pid).await;
    let reason = if down == ExitReason::noproc() {
        exit.unwrap_or(down)
    } else {
        down
    };
    if as_asked(&reason, shutdown, restart) {
        Ok(())
    } else {
        Err(reason)
    }
}

/// Whether a child that was told to end ended in a way that needs no report.
pub(crate) fn as_asked(reason: &ExitReason, shutdown: Shutdown, restart: Restart) -> bool {
    if shutdown == Shutdown::BrutalKill && *reason == ExitReason::killed() {
        return true;
    }
    if shutdown != Shutdown::BrutalKill && *reason == ExitReason::shutdown() {
        return true;
    }
    restart != Restart::Permanent && !reason.is_abnormal()
}

/// A child that [`shut_down_all`] is to end.
#[derive(Debug)]
pub(crate) struct Ending {
    pub(crate) pid: Pid,
    pub(crate) spec: ChildSpec,
}

/// Children that ended otherwise than asked, all for the same reason, and one of their specifications.
pub(crate) type Failure = (ExitReason, Vec<Pid>, ChildSpec);

/// Different reasons of children that ended otherwise than asked, of which a supervisor that ends reports. Chosen by
/// feel: more say no more.
const MAX_REASONS: usize = 16;

/// Ends children that have no order among them, all at once: the time it takes is that of the
/// slowest, not the sum. For a supervisor that is ending: whatever else comes to its mailbox
/// meanwhile is dropped. Gives who ended otherwise than asked.
pub(crate) async fn shut_down_all(cx: &mut Context, children: Vec<Ending>) -> Vec<Failure> {
    let mut failures: Vec<Failure> = Vec::new();
    let begun_ns = cx.monotonic_time();
    // By a state that a simulation decides: its order is that of the kills.
    let mut waited_for = MapByVmMade::default();
    waited_for.reserve(children.len());
    let mut limits = BTreeSet::new();
    for child in children {
        let monitor = cx.monitor(child.pid);
        let signal = match child.spec.shutdown {
            Shutdown::BrutalKill => ExitReason::kill(),
            Shutdown::After(limit) => {
                limits.insert(limit);
                ExitReason::shutdown()
            }
            Shutdown::Infinity => ExitReason::shutdown(),
        };
        cx.exit_process(child.pid, signal);
        waited_for.insert(monitor, child);
        cx.tick(1).await;
    }
    while !waited_for.is_empty() {
        let passed = Duration::from_nanos(cx.monotonic_time() - begun_ns);
        // Looked at before the mailbox: a flood of messages must not put the kill off.
        if let Some(limit) = limits.first().copied().filter(|&limit| limit <= passed) {
            limits.remove(&limit);
            let limit = Shutdown::After(limit);
            for late in waited_for
                .values()
                .filter(|child| child.spec.shutdown == limit)
            {
                cx.exit_process(late.pid, ExitReason::kill());
            }
        }
        let left = limits.first().map(|limit| limit.saturating_sub(passed));
        let Some(message) = cx.receive_timeout(left).await else {
            continue;
        };
        let Some(down) = message.down() else { continue };
        let Some(child) = waited_for.remove(&down.reference) else {
            continue;
        };
        // `noproc`: it ended before the monitor came, and that was reported or will not be.
        let known = down.reason == ExitReason::noproc();
        let Ending { pid, spec } = child;
        if known || as_asked(&down.reason, spec.shutdown, spec.restart) {
            continue;
        }
        // As many reasons as there are: few, and each is reported once.
        let known = failures
            .iter()
            .position(|(reason, ..)| *reason == down.reason);
        match known {
            Some(at) => failures[at].1.push(pid),
            None if failures.len() < MAX_REASONS => {
                failures.push((down.reason, vec![pid], spec));
            }
            None => {}
        }
    }
    failures
}
