//! Cases of OTP's `supervisor_SUITE`, as behaviour, under their own names.

mod administration;
#[path = "../common/mod.rs"]
mod common;
mod restart_loops;
mod restarting;
#[path = "../common/simulated.rs"]
mod simulated;
mod starting;
mod stopping;
mod strategies;
mod trees;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::*;
use otp_stdlib::StartError;
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::{AutoShutdown, ChildCounts, ChildError, ChildKind};
use otp_vm::{Context, ExitReason, Pid};
use simulated::simulated;

fn one_for_one() -> SupervisorFlags {
    SupervisorFlags::one_for_one()
}

async fn start(
    cx: &mut Context,
    flags: SupervisorFlags,
    children: Vec<ChildSpec>,
) -> SupervisorRef {
    cx.trap_exit(true);
    Supervisor::start_link(cx, flags, children)
        .await
        .expect("the supervisor starts")
}

/// Tells a process to end, and waits for its end, which must be for that reason.
async fn terminate(cx: &mut Context, pid: Pid, with: ExitReason) {
    let monitor = cx.monitor(pid);
    cx.exit_process(pid, with.clone());
    assert_eq!(down(cx, monitor).await, with);
}

/// Adds a child, and links the caller with it.
async fn linked_child(cx: &mut Context, supervisor: &SupervisorRef, child: ChildSpec) -> Pid {
    let pid = supervisor.start_child(cx, child).await.expect("it starts");
    cx.link(pid);
    pid
}

async fn counts(cx: &mut Context, supervisor: &SupervisorRef) -> [u64; 4] {
    let counts = supervisor.count_children(cx).await.expect("counts");
    [
        counts.specs,
        counts.active,
        counts.supervisors,
        counts.workers,
    ]
}

async fn stop(cx: &mut Context, supervisor: &SupervisorRef) {
    supervisor
        .stop(cx, ExitReason::shutdown(), LIMIT)
        .await
        .expect("the supervisor ends");
}

async fn pids(cx: &mut Context, supervisor: &SupervisorRef) -> Vec<Option<Pid>> {
    let children = supervisor.which_children(cx).await.expect("children");
    children.into_iter().map(|child| child.pid).collect()
}

/// A child whose starts, counted from 0, fail where `fails` says so; and their count.
fn flaky(
    name: &'static str,
    witness: Pid,
    fails: impl Fn(u32) -> bool + Send + Sync + 'static,
) -> (ChildSpec, Arc<AtomicU32>) {
    let starts = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&starts);
    let args = ProbeArgs::new(name, witness);
    let spec = ChildSpec::new(name, move |cx| {
        let start = counted.fetch_add(1, Ordering::SeqCst);
        let fails = fails(start);
        let args = args.clone();
        Box::pin(async move {
            if fails {
                return Err(StartError::Exit(reason("start_error")));
            }
            Ok(Probe::start_link(cx, args).await?.pid().expect("by pid"))
        })
    });
    (spec, starts)
}

fn ignoring(name: &'static str) -> ChildSpec {
    ChildSpec::new(name, |_cx| Box::pin(async { Err(StartError::Ignore) }))
}
