//! The controller: a server that knows which applications there are, which run, and who waits for what.
//!
//! It runs no application itself: each that runs has a master ([`master`](super::master)), which is linked to it. A
//! start and a stop are answered when the master is done, and the controller serves others meanwhile. What is asked
//! about an application that is on its way down waits until it is.

mod environment;
mod loading;
mod permissions;
mod running;

use std::sync::Arc;

use otp_vm::{
    Atom, Context, DecodeError, ExitReason, HOST, Message, MessageKind, OwnedTerm, Pid, Ref, Table,
    TableOptions, Timeout, atoms,
};

use super::config::{self, Config, KERNEL};
use super::env::{TABLE, get_all_env, get_env, term};
use super::errors::ApplicationError;
use super::master::kill_all;
use super::spec::ApplicationSpec;
use super::specs::{Specs, builtin};
use super::wire::{Info, Request};
use super::{CONTROLLER, ControllerOptions, StartType};
use crate::done::Done;
use crate::r#gen::bad_call;
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
            bad_call(cx, &from, &error);
        }
        NoReply::new()
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Context) {
        self.call_shutdown_func(reason, cx).await;
        let limit = match get_env::<OwnedTerm>(cx, KERNEL, "shutdown_timeout") {
            Ok(Some(value)) => config::shutdown_timeout(value.root()),
            _ => None,
        };
        let limit = limit.unwrap_or(Timeout::Infinity);
        let shutdown = match limit {
            Timeout::After(limit) => Shutdown::After(limit),
            Timeout::Infinity => Shutdown::Infinity,
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
        // Whoever runs the callbacks ends these; nobody else would, if he is killed.
        for (monitor, master) in std::mem::take(&mut self.orphaned) {
            cx.await_down_timeout(monitor, limit).await;
            kill_all(cx, master).await;
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
