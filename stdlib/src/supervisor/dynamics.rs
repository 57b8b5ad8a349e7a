//! Children without an order among them, known by their pids: those of a `DynamicSupervisor`, and those of a supervisor
//! whose strategy is `simple_one_for_one`.

use otp_vm::{Context, ExitReason, Pid};

use super::child::{ChildKind, ChildSpec, Restart, Started};
use super::client::{ChildCounts, ChildInfo};
use super::report::{Offender, ReportContext, Reporter};
use super::shutdown::{Ending, shut_down, shut_down_all};
use crate::proc_lib::StartError;
use crate::unwind::drop_caught;
use crate::vm_made::MapByVmMade;

/// The children, by pid. One that is to be tried again keeps the pid of its process before.
#[derive(Default)]
pub(crate) struct Dynamics {
    // By a state that a simulation decides: its order is that of the shut-down.
    children: MapByVmMade<Pid, Dynamic>,
}

struct Dynamic {
    spec: ChildSpec,
    /// Its start failed and is to be tried again.
    restarting: bool,
}

/// What follows from the end of a process.
pub(crate) enum Ended {
    /// It was no child.
    Stranger,
    /// The child is to be started again.
    Restart(ChildSpec),
    /// It is forgotten.
    Gone { significant: bool },
}

impl Dynamics {
    pub(crate) fn len(&self) -> u64 {
        self.children.len() as u64
    }

    pub(crate) fn spec(&self, pid: Pid) -> Option<&ChildSpec> {
        self.children.get(&pid).map(|child| &child.spec)
    }

    pub(crate) fn specs_mut(&mut self) -> impl Iterator<Item = &mut ChildSpec> {
        self.children.values_mut().map(|child| &mut child.spec)
    }

    /// Starts a child. One that ignores, or fails, is not kept.
    pub(crate) async fn start(
        &mut self,
        mut spec: ChildSpec,
        reporter: Reporter,
        cx: &mut Context,
    ) -> Result<Started, StartError> {
        match spec.start.start(cx).await {
            Ok(started) => {
                self.keep(started.pid, spec, reporter, cx);
                Ok(started)
            }
            Err(error) => {
                if error != StartError::Ignore {
                    let reason = ExitReason::from(error.clone());
                    reporter.error(cx, ReportContext::StartError, &reason, &spec, None);
                }
                drop_caught(spec);
                Err(error)
            }
        }
    }

    fn keep(&mut self, pid: Pid, mut spec: ChildSpec, reporter: Reporter, cx: &Context) {
        reporter.progress(cx, &spec, pid);
        if spec.restart == Restart::Temporary {
            spec.start.forget();
        }
        let restarting = false;
        self.children.insert(pid, Dynamic { spec, restarting });
    }

    /// Takes out a child that ended, and says what becomes of it.
    pub(crate) fn ended(
        &mut self,
        pid: Pid,
        reason: &ExitReason,
        reporter: Reporter,
        cx: &Context,
    ) -> Ended {
        if self.children.get(&pid).is_none_or(|child| child.restarting) {
            return Ended::Stranger;
        }
        let Some(Dynamic { spec, .. }) = self.children.remove(&pid) else {
            return Ended::Stranger;
        };
        if spec.restart == Restart::Permanent || reason.is_abnormal() {
            reporter.error(cx, ReportContext::ChildTerminated, reason, &spec, Some(pid));
        }
        match spec.restart {
            Restart::Permanent => Ended::Restart(spec),
            Restart::Transient if reason.is_abnormal() => Ended::Restart(spec),
            Restart::Transient | Restart::Temporary => Ended::Gone {
                significant: spec.significant,
            },
        }
    }

    /// The child that waits to be tried again under this pid, taken out.
    pub(crate) fn waiting(&mut self, before: Pid) -> Option<ChildSpec> {
        self.children
            .get(&before)
            .filter(|child| child.restarting)?;
        self.children.remove(&before).map(|child| child.spec)
    }

    /// Has a child wait to be tried again.
    pub(crate) fn wait(&mut self, before: Pid, spec: ChildSpec) {
        let restarting = true;
        self.children.insert(before, Dynamic { spec, restarting });
    }

    /// Starts a child again in place of its former process. False: it failed, and waits to be tried again.
    pub(crate) async fn restart(
        &mut self,
        before: Pid,
        mut spec: ChildSpec,
        reporter: Reporter,
        cx: &mut Context,
    ) -> bool {
        match spec.start.start(cx).await {
            Ok(started) => self.keep(started.pid, spec, reporter, cx),
            Err(StartError::Ignore) => {}
            Err(error) => {
                let reason = ExitReason::from(error);
                reporter.error(cx, ReportContext::StartError, &reason, &spec, Some(before));
                self.wait(before, spec);
                return false;
            }
        }
        true
    }

    /// Ends a child. False: there is none with this pid.
    pub(crate) async fn terminate(
        &mut self,
        pid: Pid,
        reporter: Reporter,
        cx: &mut Context,
    ) -> bool {
        let Some(Dynamic { spec, restarting }) = self.children.remove(&pid) else {
            return false;
        };
        if !restarting && let Err(reason) = shut_down(cx, pid, spec.shutdown, spec.restart).await {
            reporter.error(cx, ReportContext::ShutdownError, &reason, &spec, Some(pid));
        }
        true
    }

    /// Ends all of them at once.
    pub(crate) async fn shut_down(&mut self, reporter: Reporter, cx: &mut Context) {
        let running = self.children.drain().filter(|(_, child)| !child.restarting);
        let ending = running.map(|(pid, child)| Ending {
            pid,
            spec: child.spec,
        });
        let ending = ending.collect();
        for (reason, mut pids, spec) in shut_down_all(cx, ending).await {
            let mut offender = Offender::of(&spec, pids.pop());
            if !pids.is_empty() {
                offender.nb_children = Some(pids.len() as u64 + 1);
            }
            reporter.offence(cx, ReportContext::ShutdownError, &reason, &offender);
        }
    }

    pub(crate) fn which(&self) -> Vec<ChildInfo> {
        let info = |(&pid, child): (&Pid, &Dynamic)| ChildInfo {
            id: child.spec.id.clone(),
            pid: (!child.restarting).then_some(pid),
            restarting: child.restarting,
            kind: child.spec.kind,
            modules: child.spec.modules.clone(),
        };
        self.children.iter().map(info).collect()
    }

    pub(crate) fn count(&self) -> ChildCounts {
        let mut counts = ChildCounts {
            specs: self.len(),
            ..ChildCounts::default()
        };
        for child in self.children.values() {
            match child.spec.kind {
                ChildKind::Worker => counts.workers += 1,
                ChildKind::Supervisor => counts.supervisors += 1,
            }
            counts.active += u64::from(!child.restarting);
        }
        counts
    }
}
