//! The strategy `simple_one_for_one`: children of one kind that come and go, each started by the same function with
//! arguments of its own.
//!
//! It is there for what is written as data, and for who knows OTP. Rust has
//! [`DynamicSupervisor`](crate::DynamicSupervisor), whose children differ and may move what they captured; both keep
//! their children in the same way (`dynamics.rs`).

use otp_vm::{Arguments, Context, ExitReason, Pid};

use super::Supervisor;
use super::child::ChildSpec;
use super::client::{Child, ChildCounts, ChildError, ChildInfo, Childspec};
use super::data::Given;
use super::dynamics::{Dynamics, Ended};
use super::flags::AutoShutdown;
use super::id::ChildId;
use super::report::{ReportContext, Reporter, reached_max_restart_intensity};
use super::restart::tell_oneself;
use super::server::Later;
use crate::gen_server::NoReply;
use crate::proc_lib::StartError;

/// The children of a `simple_one_for_one` supervisor.
pub(super) struct Simple {
    template: ChildSpec,
    pub(super) children: Dynamics,
}

impl Simple {
    pub(super) fn new(template: ChildSpec) -> Self {
        Self {
            template,
            children: Dynamics::default(),
        }
    }

    /// Takes on another specification, for the children that run as well, all but their start.
    pub(super) fn change(&mut self, template: ChildSpec) {
        for spec in self.children.specs_mut() {
            spec.like(&template);
        }
        self.template = template;
    }

    pub(super) async fn start_child(
        &mut self,
        arguments: &Given,
        reporter: Reporter,
        cx: &mut Context,
    ) -> Result<Child, ChildError> {
        let bad = |error: &dyn std::fmt::Display| {
            ChildError::Start(StartError::Exit(ExitReason::from(
                error.to_string().as_str(),
            )))
        };
        let arguments = Arguments::from_term(arguments.term()).map_err(|error| bad(&error))?;
        let none = Arguments::new(&()).map_err(|error| bad(&error))?;
        let start = self
            .template
            .start
            .with(&none, &arguments)
            .map_err(ChildError::Start)?;
        // OTP names them all so: the id is that of the kind, not of the child.
        let mut spec = ChildSpec::starting(ChildId::from("undefined"), start);
        spec.like(&self.template);
        match self.children.start(spec, reporter, cx).await {
            Ok(started) => Ok(started.into()),
            Err(StartError::Ignore) => Ok(Child::ignored()),
            Err(error) => Err(ChildError::Start(error)),
        }
    }

    /// Ends a child. One that has ended already is as good as ended.
    pub(super) async fn terminate_child(
        &mut self,
        pid: Option<Pid>,
        reporter: Reporter,
        cx: &mut Context,
    ) -> Result<(), ChildError> {
        let pid = pid.ok_or(ChildError::SimpleOneForOne)?;
        if self.children.terminate(pid, reporter, cx).await || !cx.vm().is_alive(pid) {
            Ok(())
        } else {
            Err(ChildError::NotFound)
        }
    }

    pub(super) fn which_child(&self, pid: Option<Pid>) -> Result<ChildInfo, ChildError> {
        let pid = pid.ok_or(ChildError::SimpleOneForOne)?;
        self.children.which_child(pid).ok_or(ChildError::NotFound)
    }

    pub(super) fn get_childspec(&self, pid: Option<Pid>) -> Result<Childspec, ChildError> {
        match pid.and_then(|pid| self.children.spec(pid)) {
            Some(_) => Ok(Childspec::of(&self.template)),
            None => Err(ChildError::NotFound),
        }
    }

    pub(super) fn count(&self) -> ChildCounts {
        ChildCounts {
            specs: 1,
            ..self.children.count()
        }
    }
}

impl Supervisor {
    /// A process ended, perhaps a child's.
    pub(super) async fn simple_ended(
        &mut self,
        pid: Pid,
        reason: &ExitReason,
        cx: &mut Context,
    ) -> NoReply<Self> {
        let Some(simple) = &mut self.simple else {
            return NoReply::new();
        };
        match simple.children.ended(pid, reason, self.reporter, cx) {
            Ended::Stranger | Ended::Gone { significant: false } => NoReply::new(),
            Ended::Restart(spec) => self.simple_restart(pid, spec, cx).await,
            Ended::Gone { significant: true } => match self.auto_shutdown {
                AutoShutdown::AnySignificant => NoReply::stop(ExitReason::shutdown()),
                AutoShutdown::AllSignificant if simple.children.len() == 0 => {
                    NoReply::stop(ExitReason::shutdown())
                }
                _ => NoReply::new(),
            },
        }
    }

    /// The restart of the child whose process was `before` is due again.
    pub(super) async fn simple_try_again(
        &mut self,
        before: Pid,
        cx: &mut Context,
    ) -> NoReply<Self> {
        let waiting = self
            .simple
            .as_mut()
            .and_then(|simple| simple.children.waiting(before));
        match waiting {
            Some(spec) => self.simple_restart(before, spec, cx).await,
            // Terminated by hand meanwhile.
            None => NoReply::new(),
        }
    }

    async fn simple_restart(
        &mut self,
        before: Pid,
        spec: ChildSpec,
        cx: &mut Context,
    ) -> NoReply<Self> {
        let Some(simple) = &mut self.simple else {
            return NoReply::new();
        };
        if !self.intensity.add(cx.monotonic_time()) {
            let reason = reached_max_restart_intensity();
            self.reporter
                .error(cx, ReportContext::Shutdown, &reason, &spec, Some(before));
            return NoReply::stop(ExitReason::shutdown());
        }
        if !simple
            .children
            .restart(before, spec, self.reporter, cx)
            .await
        {
            tell_oneself(cx, &Later::TryAgainRestartOf(before));
        }
        NoReply::new()
    }
}
