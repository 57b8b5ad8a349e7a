//! The controller: a server that knows which applications there are, which run, and who waits for what.
//!
//! It runs no application itself: each that runs has a master ([`master`](super::master)), which is linked to it. A
//! start and a stop are answered when the master is done, and the controller serves others meanwhile. What is asked
//! about an application that is on its way down waits until it is.

use std::sync::Arc;

use otp_vm::{
    Atom, Context, DecodeError, ExitReason, HOST, Message, MessageKind, OwnedTerm, Pid, Ref, Table,
    TableOptions, atoms, from_term,
};

use super::callback::{Change, atom};
use super::config::{self, Config, Env, KERNEL};
use super::env::{Row, TABLE, get_all_env, get_env, term};
use super::errors::ApplicationError;
use super::master::{self, Plan, kill_all};
use super::report;
use super::spec::ApplicationSpec;
use super::specs::{Specs, builtin};
use super::wire::{Done, Info, Request, ToMaster};
use super::{CONTROLLER, ControllerOptions, StartType};
use crate::gen_server::{From, GenServer, Init, NoMessage, NoReply, Reply, Start};
use crate::supervisor::shutdown::shut_down;
use crate::supervisor::{Restart, Shutdown};

/// Who waits for an answer.
type Caller = From<OwnedTerm>;

/// An application that is being started.
struct Starting {
    spec: Arc<ApplicationSpec>,
    restart: Restart,
    master: Option<Pid>,
    callers: Vec<Caller>,
}

/// One that runs: newest first, as all lists here.
struct Running {
    app: Atom,
    /// None for a library.
    master: Option<Pid>,
    /// It has been told to stop, by whom.
    stopping: Option<Vec<Caller>>,
}

/// The controller of a VM's applications: OTP's `application_controller`, which is its name as well. A VM has one, or
/// none at all; what starts it decides for how long.
///
/// Ask it by the functions of the [module](super).
pub struct Controller {
    table: Table,
    specs: Specs,
    /// By files and by [`set_env`](super::set_env) that persists.
    config: Config,
    /// By the command line, which has the last word when an application is loaded.
    command_line: Config,
    starting: Vec<Starting>,
    running: Vec<Running>,
    /// Those that were started, and how, whether or not they still run.
    started: Vec<(Atom, Restart)>,
    /// Those that start when they are permitted.
    unpermitted: Vec<(Atom, Restart)>,
    /// What is asked about applications on their way down.
    deferred: Vec<(Request, Caller)>,
    /// Masters that were killed, each with the monitor of who ends its tree.
    orphaned: Vec<(Ref, Pid)>,
}

impl std::fmt::Debug for Controller {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let running: Vec<Atom> = self.running.iter().map(|running| running.app).collect();
        formatter
            .debug_struct("Controller")
            .field("running", &running)
            .finish_non_exhaustive()
    }
}

/// What comes of a request: an answer now, or one later; and perhaps the controller's end.
enum Outcome {
    Answer(OwnedTerm),
    Later,
}

/// Why the controller ends by itself.
type End = Option<ExitReason>;

/// `ok`, or `{error, Reason}`.
trait IntoOutcome {
    fn outcome(self) -> Outcome;
}

impl IntoOutcome for Result<(), ApplicationError> {
    fn outcome(self) -> Outcome {
        Outcome::Answer(term(&Done::from(self)))
    }
}

impl Controller {
    /// Starts the controller, linked to the caller, who becomes its parent, under OTP's name `application_controller`.
    ///
    /// The applications `kernel` and `stdlib` run then, as libraries. When the controller ends, it stops those that
    /// run, newest first. It ends with its parent; and by itself with `{shutdown, {application_terminated, App,
    /// Reason}}` when a permanent application ended, or a transient one abnormally, and with `{shutdown,
    /// {application_start_failure, App, Reason}}` when such a one did not start.
    ///
    /// # Errors
    /// [`StartError::AlreadyStarted`](crate::StartError::AlreadyStarted) when the VM has one; the reason that a
    /// configuration or a specification is wrong.
    pub fn start_link(cx: &mut Context, options: ControllerOptions) -> Start<'_, Self> {
        <Self as GenServer>::start_link(cx, options).name(CONTROLLER)
    }

    /// As [`start_link`](Self::start_link), without a link and without a parent.
    pub fn start(cx: &mut Context, options: ControllerOptions) -> Start<'_, Self> {
        <Self as GenServer>::start(cx, options).name(CONTROLLER)
    }
}

impl GenServer for Controller {
    type Args = ControllerOptions;
    type Call = Request;
    type Reply = OwnedTerm;
    type Cast = NoMessage;
    type Info = Info;
    type Continue = NoMessage;

    async fn init(options: ControllerOptions, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(true);
        // It belongs to no application, whoever starts it.
        let _ = cx.set_group_leader(HOST, cx.pid());
        let checked = options.config.check().and(options.command_line.check());
        if let Err(error) = checked {
            return Init::stop(ExitReason::new(&(atoms::BADARG, error.to_string())));
        }
        let table = match cx.table_new(TABLE, TableOptions::set().named()) {
            Ok(table) => table,
            Err(error) => return Init::stop(ExitReason::from(error.to_string())),
        };
        let mut controller = Self {
            table,
            specs: Specs::default(),
            config: options.config,
            command_line: options.command_line,
            starting: Vec::new(),
            running: Vec::new(),
            started: Vec::new(),
            unpermitted: Vec::new(),
            deferred: Vec::new(),
            orphaned: Vec::new(),
        };
        for spec in options.specs {
            if let Err(error) = spec.check() {
                return Init::stop(ExitReason::new(&error));
            }
            controller.specs.define(spec);
        }
        for spec in builtin() {
            let app = spec.name;
            if let Err(error) = controller.load(spec, cx) {
                return Init::stop(error);
            }
            controller.run(app, None, Restart::Permanent);
        }
        Init::ok(controller)
    }

    async fn handle_call(
        &mut self,
        request: Request,
        from: Caller,
        cx: &mut Context,
    ) -> Reply<Self> {
        match self.request(request, from, cx).await {
            (Outcome::Answer(answer), None) => Reply::new(answer),
            (Outcome::Later, None) => Reply::later(),
            (Outcome::Answer(answer), Some(reason)) => Reply::stop_with(reason, answer),
            (Outcome::Later, Some(reason)) => Reply::stop(reason),
        }
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context) -> NoReply<Self> {
        let end = match info {
            Info::ApplicationStarted(master) => self.master_started(master, cx),
            Info::Exit(pid, reason) => self.master_ended(pid, &reason, cx).await,
            Info::Down(monitor, ..) => {
                self.orphans_left(monitor, cx).await;
                None
            }
        };
        end.map_or_else(NoReply::new, NoReply::stop)
    }

    async fn handle_unknown(
        &mut self,
        message: Message,
        error: DecodeError,
        cx: &mut Context,
    ) -> NoReply<Self> {
        if let MessageKind::Call { from, .. } = message.kind() {
            let unknown = (atom("bad_call"), error.to_string());
            // The caller may be gone: a reply to nobody is not an error.
            let _ = cx.reply(&from, &unknown);
        }
        NoReply::new()
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Context) {
        self.call_shutdown_func(reason, cx).await;
        let limit = match get_env::<OwnedTerm>(cx, KERNEL, "shutdown_timeout") {
            Ok(Some(value)) => config::shutdown_timeout(value.root()),
            _ => None,
        };
        let shutdown = match limit {
            Some(otp_vm::Timeout::After(limit)) => Shutdown::After(limit),
            _ => Shutdown::Infinity,
        };
        let starting = std::mem::take(&mut self.starting);
        let starting = starting.iter().filter_map(|starting| starting.master);
        let running = std::mem::take(&mut self.running);
        let running = running.iter().filter_map(|running| running.master);
        for master in starting.chain(running) {
            if let Err(reason) = shut_down(cx, master, shutdown, Restart::Permanent).await {
                tracing::warn!(
                    event = "application_shutdown",
                    %master,
                    %reason,
                    "an application did not stop in order"
                );
                kill_all(cx, master).await;
            }
        }
    }
}

impl Controller {
    async fn request(
        &mut self,
        request: Request,
        from: Caller,
        cx: &mut Context,
    ) -> (Outcome, End) {
        if let Some(app) = about(&request)
            && self.is_stopping(app)
        {
            self.deferred.push((request, from));
            return (Outcome::Later, None);
        }
        let outcome = match request {
            Request::LoadApplication(which) => self.load_application(&which, cx).outcome(),
            Request::LoadSpec(spec) => match spec.into_inner() {
                Some(spec) => self.load_spec(spec, cx).outcome(),
                None => moved(),
            },
            Request::Define(spec) => match spec.into_inner() {
                Some(spec) => {
                    let checked = spec.check().map_err(ApplicationError::from);
                    checked.map(|()| self.specs.define(spec)).outcome()
                }
                None => moved(),
            },
            Request::UnloadApplication(app) => self.unload_application(app, cx).outcome(),
            Request::StartApplication(app, restart) => {
                return self.start_application(app, restart, from, cx);
            }
            Request::StopApplication(app) => return (self.stop_application(app, from, cx), None),
            Request::IsRunning(app) => Outcome::Answer(term(&self.is_running(app))),
            Request::PermitApplication(app, permit) => {
                return self.permit_application(app, permit, from, cx);
            }
            Request::WhichApplications => {
                let running = self.running.iter().map(|running| running.app);
                let known = running.filter_map(|app| self.specs.info(app));
                Outcome::Answer(term(&known.collect::<Vec<_>>()))
            }
            Request::StartType(app) => {
                let is_starting = self
                    .starting
                    .iter()
                    .any(|starting| starting.spec.name == app);
                let start_type = match is_starting {
                    true => StartType::Normal,
                    false => StartType::Local,
                };
                Outcome::Answer(term(&start_type))
            }
            Request::SetEnv(config, persistent) => {
                for (app, env) in config.iter() {
                    for (key, value) in env {
                        self.change_env(app, cx, |env| config::put(env, *key, value.clone()));
                    }
                }
                if persistent {
                    self.config.merge(config);
                }
                Ok(()).outcome()
            }
            Request::UnsetEnv(app, key, persistent) => {
                self.change_env(app, cx, |env| env.retain(|(name, _)| *name != key));
                if persistent {
                    self.config.remove(app, key);
                }
                Ok(()).outcome()
            }
            Request::PrepConfigChange => {
                let running = self.running.iter().map(|running| running.app);
                let envs = running.map(|app| (app, get_all_env(cx, app.as_str())));
                Outcome::Answer(term(&envs.collect::<Config>()))
            }
            Request::ConfigChange(before) => {
                let errors = self.config_change(&before, cx).await;
                Outcome::Answer(term(&errors))
            }
            Request::ChangeApplicationData(specs, config) => match specs.into_inner() {
                Some(specs) => self.change_application_data(specs, config, cx).outcome(),
                None => moved(),
            },
        };
        (outcome, None)
    }

    // Loading.

    fn load_application(
        &mut self,
        which: &OwnedTerm,
        cx: &Context,
    ) -> Result<(), ApplicationError> {
        let Some(app) = which.root().as_atom() else {
            let spec = ApplicationSpec::from_term(which.root())?;
            return self.load_spec(spec, cx);
        };
        if self.specs.loaded(app).is_some() {
            return Err(ApplicationError::AlreadyLoaded(app));
        }
        let spec = self.specs.known(app)?;
        self.load_spec(spec, cx)
    }

    fn load_spec(&mut self, spec: ApplicationSpec, cx: &Context) -> Result<(), ApplicationError> {
        spec.check()?;
        if self.specs.loaded(spec.name).is_some() {
            return Err(ApplicationError::AlreadyLoaded(spec.name));
        }
        // All that it includes, before any is loaded.
        let mut specs = vec![spec];
        let mut at = 0;
        while at < specs.len() {
            for app in specs[at].included.clone() {
                let is_there = specs.iter().any(|spec| spec.name == app);
                if !is_there && self.specs.loaded(app).is_none() {
                    specs.push(self.specs.known(app)?);
                }
            }
            at += 1;
        }
        for spec in specs {
            if let Err(reason) = self.load(spec, cx) {
                return Err(ApplicationError::Failed(reason));
            }
        }
        Ok(())
    }

    fn load(&mut self, spec: ApplicationSpec, cx: &Context) -> Result<(), ExitReason> {
        let app = spec.name;
        let env = self.env_of(&spec);
        // Values that were set before are left, unless the specification or the configuration has others.
        self.change_env(app, cx, |now| {
            for (key, value) in env {
                config::put(now, key, value);
            }
        });
        let written = self.table.insert(cx, &Row::Loaded(app), &spec.keys());
        written.map_err(|error| ExitReason::from(error.to_string()))?;
        self.specs.load(spec);
        self.list_loaded(cx);
        Ok(())
    }

    /// What a specification's environment is, as configured.
    fn env_of(&self, spec: &ApplicationSpec) -> Env {
        let mut env = Env::new();
        let layers = [
            &spec.env[..],
            self.config.env(spec.name),
            self.command_line.env(spec.name),
        ];
        for (key, value) in layers.into_iter().flatten() {
            config::put(&mut env, *key, value.clone());
        }
        env
    }

    fn unload_application(&mut self, app: Atom, cx: &Context) -> Result<(), ApplicationError> {
        if self.is_running(app) {
            return Err(ApplicationError::Running(app));
        }
        if self.specs.loaded(app).is_none() {
            return Err(ApplicationError::NotLoaded(app));
        }
        let mut apps = vec![app];
        while let Some(app) = apps.pop() {
            if let Some(spec) = self.specs.unload(app) {
                self.delete(&Row::Env(app), cx);
                self.delete(&Row::Loaded(app), cx);
                apps.extend(&spec.included);
            }
        }
        self.list_loaded(cx);
        Ok(())
    }

    fn list_loaded(&self, cx: &Context) {
        self.insert(&Row::LoadedApplications, &self.specs.infos(), cx);
    }

    // Starting.

    fn start_application(
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
    fn check_start(&self, app: Atom) -> Result<Arc<ApplicationSpec>, ApplicationError> {
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

    fn begin(
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
    fn master_started(&mut self, master: Pid, cx: &mut Context) -> End {
        let mut starting = self.starting.iter();
        let at = starting.position(|starting| starting.master == Some(master))?;
        let starting = self.starting.remove(at);
        self.started(starting, cx)
    }

    fn started(&mut self, starting: Starting, cx: &mut Context) -> End {
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

    fn run(&mut self, app: Atom, master: Option<Pid>, restart: Restart) {
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

    fn not_started(&mut self, starting: Starting, error: ApplicationError, cx: &Context) -> End {
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

    // Stopping.

    fn stop_application(&mut self, app: Atom, from: Caller, cx: &Context) -> Outcome {
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
    fn halt(&mut self, app: Atom, callers: Vec<Caller>, cx: &Context) {
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

    fn forget_started(&mut self, app: Atom) -> bool {
        let before = self.started.len();
        self.started.retain(|(name, _)| *name != app);
        self.started.len() < before
    }

    fn restart_of(&self, app: Atom) -> Restart {
        let started = self.started.iter().find(|(name, _)| *name == app);
        started.map_or(Restart::Temporary, |(_, restart)| *restart)
    }

    /// A linked process ended: a master, or one that somebody linked.
    async fn master_ended(&mut self, pid: Pid, reason: &ExitReason, cx: &mut Context) -> End {
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
    async fn orphaned(&mut self, master: Pid, cx: &mut Context) {
        match master::child_left(cx, master) {
            Some(child) => self.orphaned.push((cx.monitor(child), master)),
            None => kill_all(cx, master).await,
        }
    }

    async fn orphans_left(&mut self, monitor: Ref, cx: &mut Context) {
        let mut orphaned = self.orphaned.iter();
        if let Some(at) = orphaned.position(|(reference, _)| *reference == monitor) {
            let (_, master) = self.orphaned.swap_remove(at);
            kill_all(cx, master).await;
        }
    }

    /// What was asked about an application, now that it has stopped.
    async fn go_on(&mut self, app: Atom, cx: &mut Context) -> End {
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

    fn is_running(&self, app: Atom) -> bool {
        self.running.iter().any(|running| running.app == app)
    }

    fn is_stopping(&self, app: Atom) -> bool {
        let mut running = self.running.iter();
        running.any(|running| running.app == app && running.stopping.is_some())
    }

    // Permissions.

    fn permit_application(
        &mut self,
        app: Atom,
        permit: bool,
        from: Caller,
        cx: &mut Context,
    ) -> (Outcome, End) {
        if permit && self.is_running(app) {
            return (Ok(()).outcome(), None);
        }
        if self.specs.loaded(app).is_none() {
            return (Err(ApplicationError::NotLoaded(app)).outcome(), None);
        }
        if !self.is_running(app) {
            self.set_permission(app, permit, cx);
        }
        let waiting = self.unpermitted.iter().position(|(name, _)| *name == app);
        let is_starting = self
            .starting
            .iter()
            .any(|starting| starting.spec.name == app);
        let started = self.started.iter().find(|(name, _)| *name == app).copied();
        match permit {
            true if is_starting => {}
            true => {
                let waiting = waiting.map(|at| self.unpermitted.remove(at));
                if let Some((_, restart)) = waiting.or(started)
                    && let Some(spec) = self.specs.loaded(app)
                {
                    self.forget_started(app);
                    let end = self.begin(spec, restart, from, cx);
                    return (Outcome::Later, end);
                }
            }
            false if self.is_running(app) => {
                self.halt(app, vec![from], cx);
                return (Outcome::Later, None);
            }
            false => {
                if let Some(at) = waiting {
                    self.unpermitted.remove(at);
                }
            }
        }
        (Ok(()).outcome(), None)
    }

    fn set_permission(&self, app: Atom, permit: bool, cx: &Context) {
        let mut permissions = permissions(cx);
        permissions.retain(|(name, _)| *name != app);
        permissions.insert(0, (app, permit));
        let value = super::callback::given(&permissions);
        self.change_env(atom(KERNEL), cx, |env| {
            config::put(env, atom("permissions"), value);
        });
    }

    // Configuration.

    /// Changes an environment, which others see before or after, never between.
    fn change_env(&self, app: Atom, cx: &Context, change: impl FnOnce(&mut Env)) {
        let mut env = get_all_env(cx, app.as_str());
        change(&mut env);
        self.insert(&Row::Env(app), &env, cx);
    }

    fn change_application_data(
        &mut self,
        specs: Vec<ApplicationSpec>,
        config: Config,
        cx: &Context,
    ) -> Result<(), ApplicationError> {
        for spec in &specs {
            spec.check()?;
        }
        self.config = config;
        for spec in specs {
            if self.specs.loaded(spec.name).is_some() {
                let env = self.env_of(&spec);
                self.change_env(spec.name, cx, |now| *now = env);
                self.insert(&Row::Loaded(spec.name), &spec.keys(), cx);
                self.specs.load(spec);
            }
        }
        self.list_loaded(cx);
        Ok(())
    }

    /// Tells all that run what has changed. Gives what they have against it.
    async fn config_change(&self, before: &Config, cx: &mut Context) -> Vec<ExitReason> {
        let mut errors = Vec::new();
        for app in self.running.iter().map(|running| running.app) {
            let now = get_all_env(cx, app.as_str());
            let Some(change) = difference(&now, before.env(app)) else {
                continue;
            };
            let callbacks = self
                .specs
                .loaded(app)
                .and_then(|spec| spec.callbacks.clone());
            let told = match callbacks {
                Some(callbacks) => callbacks.config_change(change, cx).await,
                None => Err(ExitReason::new(&(atom("module_not_defined"), app))),
            };
            errors.extend(told.err());
        }
        errors.reverse();
        errors
    }

    async fn call_shutdown_func(&self, reason: &ExitReason, cx: &mut Context) {
        let Ok(Some((module, function))) = get_env::<(Atom, Atom)>(cx, KERNEL, "shutdown_func")
        else {
            return;
        };
        let arguments = (reason.clone(),);
        let applied = Box::pin(async move {
            let (module, function) = (module.as_str(), function.as_str());
            cx.apply::<_, OwnedTerm>(module, function, &arguments).await
        });
        match crate::unwind::Caught(applied).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => {
                tracing::error!(event = "shutdown_func", %error, "kernel.shutdown_func failed")
            }
            Err(reason) => {
                tracing::error!(event = "shutdown_func", %reason, "kernel.shutdown_func failed")
            }
        }
    }

    // The table.

    fn insert<T: serde::Serialize>(&self, row: &Row, value: &T, cx: &Context) {
        if let Err(error) = self.table.insert(cx, row, value) {
            tracing::error!(event = "ac_tab", %error, "the table of applications was not written");
        }
    }

    fn delete(&self, row: &Row, cx: &Context) {
        // A row that is not there is as good as gone.
        let _ = self.table.delete(cx, row);
    }

    fn forget_master(&self, app: Atom, master: Pid, cx: &Context) {
        self.delete(&Row::ApplicationMaster(app), cx);
        self.delete(&Row::Master(master), cx);
    }
}

/// The application that a request must not be about while that is on its way down.
fn about(request: &Request) -> Option<Atom> {
    match request {
        Request::UnloadApplication(app)
        | Request::StartApplication(app, _)
        | Request::StopApplication(app)
        | Request::IsRunning(app)
        | Request::PermitApplication(app, _) => Some(*app),
        _ => None,
    }
}

/// One that an application depends on and that is not there.
fn missing(spec: &ApplicationSpec, is_there: impl Fn(Atom) -> bool) -> Option<Atom> {
    let needed = spec.applications.iter().copied();
    let mut needed = needed.filter(|app| !spec.optional.contains(app));
    needed.find(|&app| !is_there(app))
}

fn permissions(cx: &Context) -> Vec<(Atom, bool)> {
    match get_env::<OwnedTerm>(cx, KERNEL, "permissions") {
        Ok(Some(value)) => config::permissions(value.root()).unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// What changed between two environments; nothing if nothing did.
fn difference(now: &Env, before: &[(Atom, crate::supervisor::Given)]) -> Option<Change> {
    let mut change = Change::default();
    for (key, value) in now {
        match before.iter().find(|(name, _)| name == key) {
            None => change.new.push((*key, value.clone())),
            Some((_, old)) if old != value => change.changed.push((*key, value.clone())),
            Some(_) => {}
        }
    }
    let gone = before.iter().map(|(key, _)| *key);
    let gone = gone.filter(|key| now.iter().all(|(name, _)| name != key));
    change.removed.extend(gone);
    (change != Change::default()).then_some(change)
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

fn answer(callers: &[Caller], result: Result<(), ApplicationError>, cx: &Context) {
    let result = term(&Done::from(result));
    for caller in callers {
        let _ = caller.reply(cx, &result);
    }
}

/// A request whose specification somebody else took out of it.
fn moved() -> Outcome {
    let reason = ExitReason::from(atoms::BADARG);
    Err(ApplicationError::Failed(reason)).outcome()
}
