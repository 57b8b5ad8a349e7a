//! What happens when a child ends: points 2 to 6 of the life of a supervisor.

use std::time::Duration;

use otp_vm::{Context, ExitReason, Pid, TimerError, TimerRef};
use serde::Serialize;

use super::Supervisor;
use super::child::Restart;
use super::children::{ChildState, Place};
use super::flags::{AutoShutdown, Strategy};
use super::report::{ReportContext, reached_max_restart_intensity};
use super::server::Later;
use super::shutdown::shut_down;
use crate::gen_server::NoReply;

/// Puts a supervisor's message to itself behind all that waits for it: as an exit signal of its own, since a limit of
/// its mailbox may refuse messages, and never a signal.
pub(crate) fn tell_oneself<L: Serialize>(cx: &Context, later: &L) {
    cx.exit_process(cx.pid(), ExitReason::new(later));
}

/// The same, when `wait` is over.
pub(super) fn tell_oneself_after<L: Serialize>(
    cx: &Context,
    wait: Duration,
    later: &L,
) -> Result<TimerRef, TimerError> {
    cx.exit_process_after(wait, cx.pid(), ExitReason::new(later))
}

impl Supervisor {
    /// The child at `place` ended by itself.
    pub(super) async fn child_ended(
        &mut self,
        place: Place,
        pid: Pid,
        reason: &ExitReason,
        cx: &mut Context,
    ) -> NoReply<Self> {
        let Some(child) = self.children.get(place) else {
            return NoReply::new();
        };
        let restart = child.spec.restart;
        let significant = child.spec.significant;
        if restart == Restart::Permanent || reason.is_abnormal() {
            let context = ReportContext::ChildTerminated;
            self.reporter
                .error(cx, context, reason, &child.spec, Some(pid));
        }
        self.children.set(place, ChildState::Stopped);
        match restart {
            Restart::Permanent => return self.restart_in_time(place, cx).await,
            Restart::Transient if reason.is_abnormal() => {
                return self.restart_in_time(place, cx).await;
            }
            Restart::Transient => {}
            Restart::Temporary => self.children.remove(place),
        }
        if significant && self.ends_with_its_children() {
            return NoReply::stop(ExitReason::shutdown());
        }
        NoReply::new()
    }

    /// Whether a significant child that ended for good was the last that the supervisor ran for.
    fn ends_with_its_children(&self) -> bool {
        match self.auto_shutdown {
            AutoShutdown::Never => false,
            AutoShutdown::AnySignificant => true,
            AutoShutdown::AllSignificant => !self
                .children
                .iter()
                .any(|child| child.spec.significant && child.state() != ChildState::Stopped),
        }
    }

    /// Restarts the child at `place`, and whom the strategy adds; or gives up.
    pub(super) async fn restart(&mut self, place: Place, cx: &mut Context) -> NoReply<Self> {
        if !self.intensity.add(cx.monotonic_time()) {
            if let Some(child) = self.children.get(place) {
                let (context, reason) = (ReportContext::Shutdown, reached_max_restart_intensity());
                self.reporter.error(cx, context, &reason, &child.spec, None);
            }
            return NoReply::stop(ExitReason::shutdown());
        }
        let affected = match self.strategy {
            Strategy::OneForOne | Strategy::SimpleOneForOne => vec![place],
            Strategy::RestForOne => self.children.from(place),
            Strategy::OneForAll => self.children.from(0),
        };
        // It no longer waits. If another's start fails in front of it, that one does.
        self.children.set(place, ChildState::Stopped);
        for &other in affected.iter().rev() {
            if other != place {
                self.terminate_place(other, cx).await;
            }
        }
        for other in affected {
            if self.start_place(other, cx).await.is_err() {
                self.try_again(other, cx);
                break;
            }
        }
        NoReply::new()
    }

    /// Point 5: the failed start stands in line behind what waits in the mailbox.
    fn try_again(&mut self, place: Place, cx: &Context) {
        let Some(child) = self.children.get(place) else {
            return;
        };
        tell_oneself(cx, &Later::TryAgainRestart(child.spec.id.clone()));
        self.children.set(place, ChildState::Restarting);
    }

    /// Ends the child at `place` if it runs. A temporary child is forgotten then.
    pub(super) async fn terminate_place(&mut self, place: Place, cx: &mut Context) {
        let Some(child) = self.children.get(place) else {
            return;
        };
        let (shutdown, restart) = (child.spec.shutdown, child.spec.restart);
        if let ChildState::Running(pid) = child.state()
            && let Err(reason) = shut_down(cx, pid, shutdown, restart).await
            && let Some(child) = self.children.get(place)
        {
            let context = ReportContext::ShutdownError;
            self.reporter
                .error(cx, context, &reason, &child.spec, Some(pid));
        }
        if restart == Restart::Temporary {
            self.children.remove(place);
        } else {
            self.children.set(place, ChildState::Stopped);
        }
    }

    /// Ends the children from `first` on, in reverse order.
    pub(super) async fn terminate_from(&mut self, first: Place, cx: &mut Context) {
        for place in self.children.from(first).into_iter().rev() {
            self.terminate_place(place, cx).await;
        }
    }
}
