//! What runs: starts and stops of applications, and the ends of their masters.

use std::sync::Arc;

use otp_vm::{Atom, Context, ExitReason, OwnedTerm, Pid, Ref, atoms, from_term};

use super::permissions::permissions;
use super::{Caller, Controller, End, IntoOutcome, Outcome, Running, Starting, about, answer};
use crate::application::callback::atom;
use crate::application::env::Row;
use crate::application::errors::ApplicationError;
use crate::application::master::{Plan, kill_all};
use crate::application::spec::ApplicationSpec;
use crate::application::wire::ToMaster;
use crate::application::{StartType, master, report};
use crate::supervisor::Restart;

impl Controller {
    pub(super) fn start_application(
        &mut self,
        app: Atom,
        restart: Restart,
        from: Caller,
        cx: &mut Context,
    ) -> (Outcome, End) {
        let mut starting = self.starting.iter_mut();
        if let Some(starting) = starting.find(|starting| starting.spec.name == app) {
            starting.callers.push(from);
            return (Outcome::Later, None);
        }
        let spec = match self.check_start(app) {
            Ok(spec) => spec,
            Err(error) => return (Err(error).outcome(), None),
        };
        if permissions(cx).contains(&(app, false)) {
            self.unpermitted.insert(0, (app, restart));
            return (Ok(()).outcome(), None);
        }
        let end = self.begin(spec, restart, from, cx);
        (Outcome::Later, end)
    }

    /// Whether it can be started: by what was started, not by what runs, so that one that has ended can be started
    /// again.
    pub(super) fn check_start(&self, app: Atom) -> Result<Arc<ApplicationSpec>, ApplicationError> {
        let spec = self.specs.loaded(app);
        let spec = spec.ok_or(ApplicationError::NotLoaded(app))?;
        if self.is_running(app) {
            return Err(ApplicationError::AlreadyStarted(app));
        }
        let is_there = |app| self.started.iter().any(|(name, _)| *name == app);
        match missing(&spec, is_there) {
            Some(missing) => Err(ApplicationError::NotStarted(missing)),
            None => Ok(spec),
        }
    }

    pub(super) fn begin(
        &mut self,
        spec: Arc<ApplicationSpec>,
        restart: Restart,
        from: Caller,
        cx: &mut Context,
    ) -> End {
        let app = spec.name;
        let mut starting = Starting {
            spec: Arc::clone(&spec),
            restart,
            master: None,
            callers: vec![from],
        };
        let Some(callbacks) = spec.callbacks.clone() else {
            return self.started(starting, cx);
        };
        let missing = missing(&spec, |app| self.is_running(app));
        if let Some(missing) = missing {
            let error = ApplicationError::NotRunning(missing);
            return self.not_started(starting, error, cx);
        }
        let plan = Plan {
            included: self.specs.included(&spec),
            spec,
            callbacks,
            start_type: StartType::Normal,
        };
        match master::spawn(cx, plan) {
            Ok(master) => {
                // Known before it starts anything, so that whoever it starts finds its application.
                self.insert(&Row::ApplicationMaster(app), &master, cx);
                self.insert(&Row::Master(master), &app, cx);
                let _ = cx.send(master, &ToMaster::Begin);
                starting.master = Some(master);
                self.starting.insert(0, starting);
                None
            }
            Err(error) => {
                let error = ApplicationError::Failed(error.into());
                self.not_started(starting, error, cx)
            }
        }
    }

    /// A master has its application running.
    pub(super) fn master_started(&mut self, master: Pid, cx: &mut Context) -> End {
        let mut starting = self.starting.iter();
        let at = starting.position(|starting| starting.master == Some(master))?;
        let starting = self.starting.remove(at);
        self.started(starting, cx)
    }

    pub(super) fn started(&mut self, starting: Starting, cx: &mut Context) -> End {
        let app = starting.spec.name;
        report::started(cx, app);
        self.run(app, starting.master, starting.restart);
        answer(&starting.callers, Ok(()), cx);
        // OTP looks only at distributed ones again: here each may have lost its permission as it started.
        if permissions(cx).contains(&(app, false)) {
            self.halt(app, Vec::new(), cx);
        }
        None
    }

    pub(super) fn run(&mut self, app: Atom, master: Option<Pid>, restart: Restart) {
        let running = Running {
            app,
            master,
            stopping: None,
        };
        self.running.insert(0, running);
        match self.started.iter_mut().find(|(name, _)| *name == app) {
            Some((_, how)) => *how = restart,
            None => self.started.insert(0, (app, restart)),
        }
    }

    pub(super) fn not_started(
        &mut self,
        starting: Starting,
        error: ApplicationError,
        cx: &Context,
    ) -> End {
        let Starting { spec, restart, .. } = &starting;
        let app = spec.name;
        // One that is missing is no failure of this one, which was not tried.
        let is_tried = !matches!(error, ApplicationError::NotRunning(_));
        let reason = ExitReason::from(error.clone());
        answer(&starting.callers, Err(error), cx);
        if is_tried {
            report::exited(cx, app, &reason, *restart);
        }
        match restart {
            Restart::Temporary => None,
            Restart::Transient if is_normal_exit(&reason) => None,
            _ => Some(ended_by("application_start_failure", app, &reason)),
        }
    }

    pub(super) fn stop_application(&mut self, app: Atom, from: Caller, cx: &Context) -> Outcome {
        let running = self.running.iter().find(|running| running.app == app);
        match running.map(|running| running.master) {
            Some(Some(_)) => {
                self.halt(app, vec![from], cx);
                self.forget_started(app);
                Outcome::Later
            }
            Some(None) => {
                report::exited(cx, app, &report::stopped(), self.restart_of(app));
                self.running.retain(|running| running.app != app);
                self.forget_started(app);
                Ok(()).outcome()
            }
            None if self.forget_started(app) => Ok(()).outcome(),
            None => Err(ApplicationError::NotStarted(app)).outcome(),
        }
    }

    /// Tells the master to stop. Whoever waits for it is answered when it has.
    pub(super) fn halt(&mut self, app: Atom, callers: Vec<Caller>, cx: &Context) {
        let restart = self.restart_of(app);
        let mut running = self.running.iter_mut();
        let Some(running) = running.find(|running| running.app == app) else {
            return;
        };
        match running.master {
            Some(master) => {
                running.stopping = Some(callers);
                let _ = cx.send(master, &ToMaster::Stop);
            }
            None => {
                self.running.retain(|running| running.app != app);
                report::exited(cx, app, &report::stopped(), restart);
                answer(&callers, Ok(()), cx);
            }
        }
    }

    pub(super) fn forget_started(&mut self, app: Atom) -> bool {
        let before = self.started.len();
        self.started.retain(|(name, _)| *name != app);
        self.started.len() < before
    }

    pub(super) fn restart_of(&self, app: Atom) -> Restart {
        let started = self.started.iter().find(|(name, _)| *name == app);
        started.map_or(Restart::Temporary, |(_, restart)| *restart)
    }

    /// A linked process ended: a master, or one that somebody linked.
    pub(super) async fn master_ended(
        &mut self,
        pid: Pid,
        reason: &ExitReason,
        cx: &mut Context,
    ) -> End {
        if cx.vm().is_alive(pid) {
            // It sent that by hand.
            return None;
        }
        let mut starting = self.starting.iter();
        if let Some(at) = starting.position(|starting| starting.master == Some(pid)) {
            let starting = self.starting.remove(at);
            self.forget_master(starting.spec.name, pid, cx);
            if *reason == ExitReason::killed() {
                // Whoever runs the callbacks is in the program's code, and looks at nothing.
                kill_all(cx, pid).await;
            }
            let error = ApplicationError::Failed(reason.clone());
            return self.not_started(starting, error, cx);
        }
        let mut running = self.running.iter();
        let at = running.position(|running| running.master == Some(pid))?;
        let Running { app, stopping, .. } = self.running.remove(at);
        self.forget_master(app, pid, cx);
        if *reason == ExitReason::killed() {
            self.orphaned(pid, cx).await;
        }
        let restart = self.restart_of(app);
        if let Some(callers) = stopping {
            report::exited(cx, app, &report::stopped(), restart);
            answer(&callers, Ok(()), cx);
            return self.go_on(app, cx).await;
        }
        report::exited(cx, app, reason, restart);
        match restart {
            Restart::Temporary => None,
            Restart::Transient if reason.is_normal() => None,
            _ => Some(ended_by("application_terminated", app, reason)),
        }
    }

    /// Whoever runs the callbacks ends the tree of a master that was killed, and all the rest. If he is killed as well
    /// nobody would.
    pub(super) async fn orphaned(&mut self, master: Pid, cx: &mut Context) {
        match master::child_left(cx, master) {
            Some(child) => self.orphaned.push((cx.monitor(child), master)),
            None => kill_all(cx, master).await,
        }
    }

    pub(super) async fn orphans_left(&mut self, monitor: Ref, cx: &mut Context) {
        let mut orphaned = self.orphaned.iter();
        if let Some(at) = orphaned.position(|(reference, _)| *reference == monitor) {
            let (_, master) = self.orphaned.swap_remove(at);
            kill_all(cx, master).await;
        }
    }

    /// What was asked about an application, now that it has stopped.
    pub(super) async fn go_on(&mut self, app: Atom, cx: &mut Context) -> End {
        let deferred = std::mem::take(&mut self.deferred);
        for (request, from) in deferred {
            if about(&request) != Some(app) {
                self.deferred.push((request, from));
                continue;
            }
            let (outcome, end) = self.request(request, from, cx).await;
            if let Outcome::Answer(answer) = outcome {
                let _ = from.reply(cx, &answer);
            }
            if end.is_some() {
                return end;
            }
        }
        None
    }

    pub(super) fn is_running(&self, app: Atom) -> bool {
        self.running.iter().any(|running| running.app == app)
    }

    pub(super) fn is_stopping(&self, app: Atom) -> bool {
        let mut running = self.running.iter();
        running.any(|running| running.app == app && running.stopping.is_some())
    }
}

/// One that an application depends on and that is not there.
fn missing(spec: &ApplicationSpec, is_there: impl Fn(Atom) -> bool) -> Option<Atom> {
    let needed = spec.applications.iter().copied();
    let mut needed = needed.filter(|app| !spec.optional.contains(app));
    needed.find(|&app| !is_there(app))
}

/// `{{'EXIT', normal}, Call}`: a transient application may end so as it starts.
fn is_normal_exit(reason: &ExitReason) -> bool {
    let reason = reason.to_term();
    let exit = from_term::<((Atom, Atom), OwnedTerm)>(reason.root());
    exit.is_ok_and(|(exit, _)| exit == (atoms::EXIT, atoms::NORMAL))
}

/// The reason of a controller that ends because of an application: `{shutdown, {What, App, Reason}}`. It is an orderly
/// end, and the report of the application's own says what went wrong.
fn ended_by(what: &str, app: Atom, reason: &ExitReason) -> ExitReason {
    ExitReason::shutdown_with(&(atom(what), app, reason))
}
