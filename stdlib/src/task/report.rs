//! What is reported of a task that failed.

use std::fmt;

use otp_vm::{Ancestor, Atom, ExitReason, InitialCall, Pid, Vm};

/// A task that ended by a failure of its own: neither `normal` nor `shutdown` nor `{shutdown, _}`. Elixir's
/// `{Task.Supervisor, terminating}`.
///
/// It goes to `tracing` as an error (`event = "task_terminated"`), and to the handler that the VM was built with, in
/// the task's own last slice. The [crash report](crate::proc_lib::CrashReport) of its process follows, as in OTP.
///
/// ```
/// use std::sync::mpsc;
/// use otp_stdlib::task::{Task, TaskReport};
/// use otp_vm::{Context, Vm};
///
/// let (sender, reports) = mpsc::channel();
/// let vm = Vm::builder()
///     .schedulers(1)
///     .report_handler(move |report| {
///         if let Some(report) = report.downcast_ref::<TaskReport>() {
///             sender.send(report.to_string()).unwrap();
///         }
///     })
///     .build()?;
/// vm.run(async |mut cx: Context| {
///     let mut task = Task::<()>::async_(&cx, async |cx: Context| cx.exit("oops")).unwrap();
///     cx.trap_exit(true);
///     task.yield_(&mut cx, None).await;
/// })
/// .wait()?;
/// assert!(reports.recv()?.contains("terminating: <<\"oops\">>"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TaskReport {
    /// The task's process.
    pub pid: Pid,
    /// Its label.
    pub label: Option<Atom>,
    /// Whom it worked for: the name, if there is one.
    pub starter: Option<Ancestor>,
    /// What it ran.
    pub function: Option<InitialCall>,
    /// Why it ended.
    pub reason: ExitReason,
}

impl fmt::Display for TaskReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "task {}", self.pid)?;
        if let Some(label) = self.label {
            write!(formatter, " ({label})")?;
        }
        if let Some(starter) = self.starter {
            write!(formatter, " started from {starter}")?;
        }
        write!(formatter, " terminating: {}", self.reason)?;
        match self.function {
            Some(function) => write!(formatter, "; function: {function}"),
            None => Ok(()),
        }
    }
}

/// Reports the end of a task, in its own last slice, if it is a failure. Nothing is said of one that was ended from
/// outside meanwhile.
pub(super) fn terminated(vm: &Vm, pid: Pid, reason: &ExitReason) {
    if !reason.is_abnormal() || !vm.is_alive(pid) {
        return;
    }
    let starter = vm
        .origin(pid)
        .and_then(|origin| origin.callers.first().copied());
    let name = |pid| vm.process_info(pid).and_then(|info| info.registered_name);
    let report = TaskReport {
        pid,
        label: vm.process_info(pid).and_then(|info| info.label),
        starter: starter.map(|pid| name(pid).map_or(Ancestor::Pid(pid), Ancestor::Name)),
        function: vm.initial_call(pid),
        reason: reason.clone(),
    };
    tracing::error!(
        event = "task_terminated",
        %pid,
        label = report.label.map(|label| label.as_str()),
        starter = report.starter.map(tracing::field::display),
        function = report.function.map(tracing::field::display),
        %reason,
        "{report}"
    );
    vm.report(&report);
}
