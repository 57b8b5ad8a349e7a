//! The end of a VM.
//!
//! # Protocol
//! 1. Processes without a parent get the exit signal `shutdown`. Supervisors among them end their
//!    children in order; links do the rest.
//! 2. When they are gone, the same is sent to those whose parent is gone: processes that nobody supervised, and the
//!    tops of trees that a plain process had started. Not yet to those below: a tree ends from its top, in its order.
//!    So [`GENERATIONS`] times, and then to whoever is left.
//! 3. Whatever is left after the limit is killed, and no process is made any more. The killed end one by one, and get
//!    [`PATIENCE`] after the last that did; who is there then is stuck.
//! 4. The scheduler's threads end after their present slice, the blocking pool's after their closure: within what is
//!    left of the limit, and [`PATIENCE`]. A thread that runs code which never returns is named in the report and left
//!    alone; then the VM's memory is left as well.
//! 5. The core is let go: it is freed when the last handle is.
//!
//! So code that does not return makes it twice the patience longer than the limit, a second, and not more.
//!
//! A thread of its own does all this, so that neither a drop nor an async caller ever blocks. In a simulation a plain
//! task does, and point 4 is left out: the simulation goes on, and keeps the core until it is dropped.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{self, Poll, Waker};
use std::time::Duration;

use otp_heap::Pid;
use otp_scheduler::lock::{Condvar, Mutex};

use crate::core::Core;
use crate::envelope::{self, HOST, Kind};
use crate::exit_reason::ExitReason;
use crate::host::OnExit;
use crate::process::table::Left;
use crate::process::{NEVER, quietly, report};

/// How long, past the limit, killed processes get until one of them has ended, and then the threads to end. Chosen by
/// feel: both take microseconds, unless native code doesn't return, or other programs have the cores.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long they get in all, if they end one after the other: a million of them, or destructors that take their time.
/// Chosen by feel.
const KILL_LIMIT: Duration = Duration::from_secs(2);

/// How many plain processes there may be one below the other above a tree for it to end in its order. Chosen by feel:
/// there is one, mostly; and each look goes over all processes.
const GENERATIONS: usize = 4;

/// What a shut-down came to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Processes that ended in order.
    pub ended: usize,
    /// Processes that had to be killed.
    pub killed: usize,
    /// Processes that even a kill did not end: their code does not return. For everybody else they are gone. Their
    /// threads run on, in the lowest class of the kernel (unless the policy is
    /// [`Policy::Normal`](crate::Policy::Normal)) and behind no gate; their memory, and the VM's, is never freed.
    pub stuck: Vec<Pid>,
    /// Threads that still run, and the process that each runs: its pid and, if it has one, its label.
    pub threads: Vec<String>,
}

impl ShutdownReport {
    /// Whether every process ended in order.
    pub fn is_orderly(&self) -> bool {
        self.killed == 0 && self.stuck.is_empty() && self.threads.is_empty()
    }
}

/// A shut-down under way: a future, and [`Shutdown::wait`] for threads.
#[must_use = "the shut-down goes on all the same; await it to know when it is over"]
pub struct Shutdown {
    progress: Arc<Progress>,
    simulated: bool,
}

#[derive(Debug, Default)]
struct Progress {
    state: Mutex<(Option<ShutdownReport>, Vec<Waker>)>,
    over: Condvar,
}

/// Where a core keeps its one shut-down.
#[derive(Debug, Default)]
pub(crate) struct ShutdownSlot(Mutex<Option<Arc<Progress>>>);

impl Shutdown {
    /// Blocks the thread until the VM is down. None on a thread that runs processes, which would
    /// wait for itself, and in a simulation, which waiting does not run.
    pub fn wait(self) -> Option<ShutdownReport> {
        if otp_scheduler::on_scheduler_thread() {
            return None;
        }
        let mut state = self.progress.state.lock();
        loop {
            if let Some(report) = &state.0 {
                return Some(report.clone());
            }
            if self.simulated {
                return None;
            }
            self.progress.over.wait(&mut state);
        }
    }
}

impl Future for Shutdown {
    type Output = ShutdownReport;

    fn poll(self: Pin<&mut Self>, cx: &mut task::Context<'_>) -> Poll<ShutdownReport> {
        // Cloned outside of the lock: the program's code.
        let waker = cx.waker().clone();
        let mut state = self.progress.state.lock();
        match &state.0 {
            Some(report) => Poll::Ready(report.clone()),
            None => {
                if !state.1.iter().any(|known| known.will_wake(&waker)) {
                    state.1.push(waker);
                }
                Poll::Pending
            }
        }
    }
}

impl fmt::Debug for Shutdown {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Shutdown")
    }
}

/// Begins the shut-down of a VM, or joins the one that has begun.
pub(crate) fn begin(core: &Arc<Core>, limit: Duration) -> Shutdown {
    let simulated = core.scheduler.is_simulated();
    let mut slot = core.shutdown.0.lock();
    if let Some(progress) = &*slot {
        return Shutdown {
            progress: Arc::clone(progress),
            simulated,
        };
    }
    let progress = Arc::new(Progress::default());
    *slot = Some(Arc::clone(&progress));
    drop(slot);
    if simulated {
        let unfinished = Unfinished {
            core: Arc::clone(core),
            progress: Arc::clone(&progress),
        };
        drop(core.scheduler.spawn(async move {
            let report = conduct(&unfinished.core, limit).await;
            finish(&unfinished.core, &unfinished.progress, report);
        }));
        return Shutdown {
            progress,
            simulated,
        };
    }
    let conductor = {
        let core = Arc::clone(core);
        let progress = Arc::clone(&progress);
        move || {
            // On this thread all waits block, so it comes to its end at once.
            let mut conduct = pin!(conduct(&core, limit));
            if let Poll::Ready(report) = conduct
                .as_mut()
                .poll(&mut task::Context::from_waker(Waker::noop()))
            {
                finish(&core, &progress, report);
            }
        }
    };
    let thread = std::thread::Builder::new().name(format!("otp-{}-shutdown", core.name));
    if let Err(error) = thread.spawn(conductor) {
        report(|| {
            tracing::error!(%error, "no thread for the shut-down of the VM: its processes are killed");
        });
        kill_all(core);
        core.scheduler.stop();
        finish(
            core,
            &progress,
            ShutdownReport {
                stuck: core.processes.pids().collect(),
                ..Default::default()
            },
        );
    }
    Shutdown {
        progress,
        simulated,
    }
}

/// A simulated shut-down. If the simulation is dropped before it is over, who waits for it is told all the same.
struct Unfinished {
    core: Arc<Core>,
    progress: Arc<Progress>,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if self.progress.state.lock().0.is_none() {
            let report = ShutdownReport {
                stuck: self.core.processes.pids().collect(),
                ..Default::default()
            };
            finish(&self.core, &self.progress, report);
        }
    }
}

fn finish(core: &Core, progress: &Progress, report: ShutdownReport) {
    for &pid in &report.stuck {
        // No slice will end it any more: who waits for its result learns what all others would.
        let on_exit = core.with_process(pid, |process| {
            let mut state = process.lock();
            let rare = state.rare.as_mut().filter(|_| process.is(pid))?;
            rare.on_exit.take()
        });
        if let Some(OnExit(on_exit)) = on_exit.flatten() {
            quietly(pid, || on_exit(&ExitReason::killed()));
        }
    }
    let mut state = progress.state.lock();
    state.0 = Some(report);
    let wakers = std::mem::take(&mut state.1);
    drop(state);
    progress.over.notify_all();
    // One that panics keeps no other from being woken.
    for waker in wakers {
        quietly(HOST, || waker.wake());
    }
}

async fn conduct(core: &Core, limit: Duration) -> ShutdownReport {
    let deadline = from_now(core, limit);
    let before = core.processes.live();
    let parent = |pid: Pid| core.with_process(pid, |process| process.lock().parent.0);
    let is_there = |pid: Pid| core.with_process(pid, |_| ()).is_some();
    let mut told: Vec<Pid> = core.processes.pids().collect();
    told.retain(|&pid| parent(pid) == Some(HOST));
    for _ in 0..GENERATIONS {
        send_exit(core, told.iter().copied(), &ExitReason::shutdown());
        let is_one_there = || told.iter().any(|&pid| is_there(pid));
        core.wait_until(deadline, || !is_one_there()).await;
        told = core.processes.pids().collect();
        told.retain(|&pid| parent(pid).is_some_and(|parent| !is_there(parent)));
        if told.is_empty() {
            break;
        }
    }
    send_exit(core, core.processes.pids(), &ExitReason::shutdown());
    let nobody_left = || core.processes.live() == 0;
    let mut killed = 0;
    core.wait_until(deadline, nobody_left).await;
    // From here on whoever spawns sees this, or is counted already.
    core.closed.store(true, Ordering::SeqCst);
    if !nobody_left() {
        killed = core.processes.live();
        kill_all(core);
        wait_for_the_killed(core).await;
    }
    let left = core.processes.left();
    let stuck: Vec<Pid> = left.iter().map(|process| process.pid).collect();
    let threads = if core.scheduler.is_simulated() {
        Vec::new()
    } else {
        core.scheduler.stop();
        let left = deadline.saturating_sub(core.scheduler.now());
        let left = Duration::from_nanos(left).saturating_add(PATIENCE);
        core.scheduler.join(left).err().unwrap_or_default()
    };
    let threads: Vec<String> = threads
        .into_iter()
        .map(|thread| name_process(thread, &left))
        .collect();
    if threads.is_empty() && stuck.is_empty() {
        core.let_go();
    } else {
        report(|| {
            tracing::error!(
                ?threads,
                ?stuck,
                "code that does not return outlives the VM: its thread and memory are left"
            );
        });
    }
    let killed = killed.saturating_sub(stuck.len());
    ShutdownReport {
        ended: before.saturating_sub(killed + stuck.len()),
        killed,
        stuck,
        threads,
    }
}

/// The time when `limit` will be over, on the scheduler's clock.
fn from_now(core: &Core, limit: Duration) -> u64 {
    let limit = u64::try_from(limit.as_nanos()).unwrap_or(NEVER);
    core.scheduler.now().saturating_add(limit)
}

/// Until all are gone, or none has ended for so long that no other will.
async fn wait_for_the_killed(core: &Core) {
    let at_last = from_now(core, KILL_LIMIT);
    let mut left = core.processes.live();
    while left > 0 {
        let fewer = || core.processes.live() < left;
        let until = at_last.min(from_now(core, PATIENCE));
        if !core.wait_until(until, fewer).await {
            return;
        }
        left = core.processes.live();
    }
}

/// Adds the process that a bound thread runs to the thread's name.
fn name_process(thread: String, left: &[Left]) -> String {
    let is_its = |process: &&Left| {
        let id = process.thread.map(|id| format!(" thread {id}"));
        id.is_some_and(|id| thread.ends_with(&id))
    };
    match left.iter().find(is_its) {
        Some(Left {
            pid,
            label: Some(label),
            ..
        }) => format!("{thread}: process {pid} ({label})"),
        Some(Left { pid, .. }) => format!("{thread}: process {pid}"),
        None => thread,
    }
}

fn kill_all(core: &Core) {
    core.closed.store(true, Ordering::SeqCst);
    send_exit(core, core.processes.pids(), &ExitReason::kill());
}

fn send_exit(core: &Core, to: impl Iterator<Item = Pid>, reason: &ExitReason) {
    for pid in to {
        core.signal(pid, envelope::exit(Kind::Exit, HOST, reason));
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;

    use otp_scheduler::simulation::Simulation;

    use super::*;
    use crate::{Context, Vm};

    /// How long the wait takes, and who is left then, when processes end after so many milliseconds, and one never.
    fn waits(ends_ms: impl IntoIterator<Item = u64>) -> (Duration, usize) {
        let mut simulation = Simulation::new(1).unwrap();
        let vm = Vm::builder().simulate(&simulation).build().unwrap();
        vm.spawn(|_| std::future::pending::<()>()).unwrap();
        for end_ms in ends_ms {
            let after = Duration::from_millis(end_ms);
            vm.spawn(move |cx: Context| async move { cx.sleep(after).await })
                .unwrap();
        }
        let core = Arc::clone(vm.core());
        let begun = simulation.now();
        simulation
            .block_on(async move { wait_for_the_killed(&core).await })
            .unwrap();
        (simulation.now() - begun, vm.core().processes.live())
    }

    #[test]
    fn killed_processes_are_waited_for_while_they_end_one_after_the_other() {
        let slack = Duration::from_millis(10);
        let takes = |(took, left): (Duration, usize), expected, left_over| {
            assert!((expected..expected + slack).contains(&took), "{took:?}");
            assert_eq!(left, left_over);
        };
        takes(waits([]), PATIENCE, 1);
        takes(waits([400, 800]), PATIENCE + Duration::from_millis(800), 1);
        // The gap after the second is too long.
        takes(waits([1, 2, 1000]), PATIENCE + Duration::from_millis(2), 2);
        takes(waits((1..10).map(|number| number * 400)), KILL_LIMIT, 6);
    }
}
