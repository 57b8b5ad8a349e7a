//! What one asks of the controller. Each function is OTP's of the same name in `application`.

use otp_vm::{Atom, Context, ExitReason, Native, OwnedTerm, Pid, Timeout};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::config::{self, Config};
use super::env::{AppInfo, get_application, get_key};
use super::errors::ApplicationError;
use super::spec::ApplicationSpec;
use super::wire::{Request, ToMaster};
use super::{CONTROLLER, StartType, master};
use crate::done::Done;
use crate::r#gen::{self, CALL_TIMEOUT, Target};
use crate::proc_lib::Watch;
use crate::supervisor::Restart;

/// An application that is asked for: by name, or by a specification, which is loaded then.
#[derive(Clone, Debug)]
pub struct Which(Asked);

#[derive(Clone, Debug)]
enum Asked {
    Name(String),
    Spec(Box<ApplicationSpec>),
}

impl From<&str> for Which {
    fn from(name: &str) -> Self {
        Self(Asked::Name(name.to_owned()))
    }
}

impl From<Atom> for Which {
    fn from(name: Atom) -> Self {
        Self::from(name.as_str())
    }
}

impl From<ApplicationSpec> for Which {
    fn from(spec: ApplicationSpec) -> Self {
        Self(Asked::Spec(Box::new(spec)))
    }
}

async fn ask<R: DeserializeOwned>(
    cx: &mut Context,
    request: &Request,
    after: Timeout,
) -> Result<R, ApplicationError> {
    let target = Target::Name(atom(CONTROLLER)?);
    Ok(r#gen::call(cx, &target, request, after).await?)
}

async fn done(cx: &mut Context, request: Request) -> Result<(), ApplicationError> {
    let done: Done<_> = ask(cx, &request, Timeout::Infinity).await?;
    done.into_result()
}

fn atom(name: &str) -> Result<Atom, ApplicationError> {
    Ok(config::atom(name)?)
}

/// Makes a specification known, so that it is found by name: in place of one that was known by it. It changes nothing
/// of one that is loaded. What in OTP a file on the code path does.
///
/// # Errors
/// [`ApplicationError::Spec`].
pub async fn define(cx: &mut Context, spec: ApplicationSpec) -> Result<(), ApplicationError> {
    done(cx, Request::Define(Native::new(spec))).await
}

/// Loads an application: its environment, and those that it includes. `application:load/1`.
///
/// # Errors
/// [`ApplicationError::AlreadyLoaded`]; [`ApplicationError::NoSuchFile`] for a name that is not known, of it or of one
/// that it includes: nothing is loaded then; [`ApplicationError::Spec`].
pub async fn load(cx: &mut Context, app: impl Into<Which>) -> Result<(), ApplicationError> {
    let request = match app.into().0 {
        Asked::Name(name) => Request::LoadApplication(OwnedTerm::from(atom(&name)?)),
        Asked::Spec(spec) => Request::LoadSpec(Native::new(*spec)),
    };
    done(cx, request).await
}

/// Forgets an application that is loaded, its environment, and those that it includes. What was set to persist comes
/// back when it is loaded again. `application:unload/1`.
///
/// # Errors
/// [`ApplicationError::Running`], [`ApplicationError::NotLoaded`].
pub async fn unload(cx: &mut Context, app: &str) -> Result<(), ApplicationError> {
    done(cx, Request::UnloadApplication(atom(app)?)).await
}

/// Loads an application unless it is. Gives its name. `application:ensure_loaded/1` of OTP's own.
///
/// # Errors
/// As [`load`], but [`ApplicationError::AlreadyLoaded`].
pub async fn ensure_loaded(
    cx: &mut Context,
    app: impl Into<Which>,
) -> Result<Atom, ApplicationError> {
    let app = app.into();
    let name = match &app.0 {
        Asked::Name(name) => atom(name)?,
        Asked::Spec(spec) => spec.name(),
    };
    match load(cx, app).await {
        Ok(()) => Ok(name),
        Err(ApplicationError::AlreadyLoaded(loaded)) if loaded == name => Ok(name),
        Err(error) => Err(error),
    }
}

/// Starts an application as temporary, and waits until it runs. `application:start/1`.
///
/// # Errors
/// See [`start_as`].
pub async fn start(cx: &mut Context, app: impl Into<Which>) -> Result<(), ApplicationError> {
    start_as(cx, app, Restart::Temporary).await
}

/// Starts an application, which is loaded first if it is not, and waits until it runs: as long as that takes.
/// `application:start/2`.
///
/// What the end of the application means is said by `restart`: of a **permanent** one each end, of a **transient** one
/// an end other than `normal`, ends the controller, and with it all applications; the end of a **temporary** one is
/// reported, and that is all. A start that fails counts as an end.
///
/// Dropping the future gives the wait up; the application starts all the same.
///
/// # Errors
/// [`ApplicationError::AlreadyStarted`]; [`ApplicationError::NotStarted`] and [`ApplicationError::NotRunning`] with the
/// application that it depends on; [`ApplicationError::Failed`] with why it did not start; those of [`load`].
pub async fn start_as(
    cx: &mut Context,
    app: impl Into<Which>,
    restart: Restart,
) -> Result<(), ApplicationError> {
    let name = ensure_loaded(cx, app).await?;
    done(cx, Request::StartApplication(name, restart)).await
}

/// As [`start`], but one that runs is no error. `application:ensure_started/1`.
///
/// # Errors
/// See [`start_as`].
pub async fn ensure_started(
    cx: &mut Context,
    app: impl Into<Which>,
) -> Result<(), ApplicationError> {
    ensure_started_as(cx, app, Restart::Temporary).await
}

/// As [`start_as`], but one that runs is no error. `application:ensure_started/2`.
///
/// # Errors
/// See [`start_as`].
pub async fn ensure_started_as(
    cx: &mut Context,
    app: impl Into<Which>,
    restart: Restart,
) -> Result<(), ApplicationError> {
    match start_as(cx, app, restart).await {
        Err(ApplicationError::AlreadyStarted(_)) => Ok(()),
        result => result,
    }
}

/// Starts an application as temporary, and before it, one after the other, all that it depends on. Gives those that it
/// had to start, in order. `application:ensure_all_started/1`.
///
/// # Errors
/// See [`ensure_all_started_as`].
pub async fn ensure_all_started(
    cx: &mut Context,
    app: impl Into<Which>,
) -> Result<Vec<Atom>, ApplicationError> {
    ensure_all_started_as(cx, app, Restart::Temporary).await
}

/// As [`ensure_all_started`], each with a start type. `application:ensure_all_started/2`.
///
/// Optional applications are started if there are specifications of them.
///
/// # Errors
/// [`ApplicationError::Of`] with the first application that did not start, and why:
/// [`ApplicationError::CircularDependency`] if it waits for itself. Those that it had started are stopped again.
pub async fn ensure_all_started_as(
    cx: &mut Context,
    app: impl Into<Which>,
    restart: Restart,
) -> Result<Vec<Atom>, ApplicationError> {
    let app = app.into();
    let name = match &app.0 {
        Asked::Name(name) => atom(name)?,
        Asked::Spec(spec) => {
            let of = |error: ApplicationError| ApplicationError::Of(spec.name(), error.into());
            ensure_loaded(cx, app.clone()).await.map_err(of)?
        }
    };
    let mut all = All {
        restart,
        started: Vec::new(),
    };
    match all.ensure(cx, name).await {
        Ok(()) => Ok(all.started),
        Err(error) => {
            for app in all.started.into_iter().rev() {
                // The error is why it failed, whatever else does.
                let _ = stop(cx, app.as_str()).await;
            }
            Err(error)
        }
    }
}

/// Applications that are started together.
struct All {
    restart: Restart,
    started: Vec<Atom>,
}

/// An application that waits for those that it depends on.
struct Waiting {
    app: Atom,
    below: std::vec::IntoIter<Atom>,
    may_miss: Vec<Atom>,
}

impl All {
    /// The application, behind all that it depends on.
    async fn ensure(&mut self, cx: &mut Context, app: Atom) -> Result<(), ApplicationError> {
        let mut path: Vec<Waiting> = Vec::new();
        path.extend(self.waiting(cx, app, false).await?);
        while let Some(last) = path.last_mut() {
            let Some(app) = last.below.next() else {
                let app = last.app;
                path.pop();
                match done(cx, Request::StartApplication(app, self.restart)).await {
                    Ok(()) => self.started.push(app),
                    Err(ApplicationError::AlreadyStarted(_)) => {}
                    Err(error) => return Err(ApplicationError::Of(app, error.into())),
                }
                continue;
            };
            let may_miss = last.may_miss.contains(&app);
            if let Some(at) = path.iter().position(|waiting| waiting.app == app) {
                let circle = path[at..].iter().map(|waiting| waiting.app).collect();
                let error = ApplicationError::CircularDependency(circle);
                return Err(ApplicationError::Of(app, error.into()));
            }
            path.extend(self.waiting(cx, app, may_miss).await?);
        }
        Ok(())
    }

    /// What it waits for; `None`: it runs, or may be missing and is.
    async fn waiting(
        &self,
        cx: &mut Context,
        app: Atom,
        may_miss: bool,
    ) -> Result<Option<Waiting>, ApplicationError> {
        if ask(cx, &Request::IsRunning(app), Timeout::Infinity).await? {
            return Ok(None);
        }
        match ensure_loaded(cx, app).await {
            Ok(_) => {}
            Err(ApplicationError::NoSuchFile(missing)) if missing == app && may_miss => {
                return Ok(None);
            }
            Err(error) => return Err(ApplicationError::Of(app, error.into())),
        }
        let key = |key| get_key::<Vec<Atom>>(cx, app.as_str(), key).ok().flatten();
        Ok(Some(Waiting {
            app,
            below: key("applications").unwrap_or_default().into_iter(),
            may_miss: key("optional_applications").unwrap_or_default(),
        }))
    }
}

/// Stops an application, and waits until it has: as long as its tree and its callbacks take. Others that depend on it
/// run on. `application:stop/1`.
///
/// Whoever belongs to the application must not wait for this, and OTP's manual says so: it would wait for its own end,
/// until its supervisor kills it.
///
/// # Errors
/// [`ApplicationError::NotStarted`].
pub async fn stop(cx: &mut Context, app: &str) -> Result<(), ApplicationError> {
    done(cx, Request::StopApplication(atom(app)?)).await
}

/// Says whether an application may run. One that may not is stopped; its start is put off until it may.
/// `application:permit/2`.
///
/// # Errors
/// [`ApplicationError::NotLoaded`]; when it has to be started, those of [`start_as`].
pub async fn permit(cx: &mut Context, app: &str, permission: bool) -> Result<(), ApplicationError> {
    done(cx, Request::PermitApplication(atom(app)?, permission)).await
}

/// Those that run, newest first. Waits for at most [`CALL_TIMEOUT`]. `application:which_applications/0`.
///
/// # Errors
/// [`ApplicationError::Controller`].
pub async fn which_applications(cx: &mut Context) -> Result<Vec<AppInfo>, ApplicationError> {
    which_applications_timeout(cx, CALL_TIMEOUT).await
}

/// As [`which_applications`], with a time of the caller's. `application:which_applications/1`.
///
/// # Errors
/// [`ApplicationError::Controller`].
pub async fn which_applications_timeout(
    cx: &mut Context,
    after: impl Into<Timeout>,
) -> Result<Vec<AppInfo>, ApplicationError> {
    ask(cx, &Request::WhichApplications, after.into()).await
}

/// How the application is started that the caller belongs to: [`StartType::Normal`] while it starts, and
/// [`StartType::Local`] afterwards, for a process that is restarted. `None` for who belongs to none.
/// `application:start_type/0`.
///
/// # Errors
/// [`ApplicationError::Controller`].
pub async fn start_type(cx: &mut Context) -> Result<Option<StartType>, ApplicationError> {
    match get_application(cx) {
        Some(app) => ask(cx, &Request::StartType(app), Timeout::Infinity)
            .await
            .map(Some),
        None => Ok(None),
    }
}

/// How [`set_env_opt`] and its like set: OTP's options.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EnvOptions {
    persistent: bool,
    timeout: Timeout,
}

impl EnvOptions {
    /// Until the application is unloaded, and waiting for at most [`CALL_TIMEOUT`].
    pub fn new() -> Self {
        Self {
            persistent: false,
            timeout: Timeout::After(CALL_TIMEOUT),
        }
    }

    /// Has the value outlive loading: it overrides what the specification says. `{persistent, Bool}`.
    pub fn persistent(mut self, persistent: bool) -> Self {
        self.persistent = persistent;
        self
    }

    /// How long to wait for the controller. `{timeout, Time}`.
    pub fn timeout(mut self, after: impl Into<Timeout>) -> Self {
        self.timeout = after.into();
        self
    }
}

impl Default for EnvOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Sets a key of an application's environment, loaded or not. When it is loaded, a value of its specification or of the
/// configuration takes the place of this one. `application:set_env/3`.
///
/// # Errors
/// [`ApplicationError::Config`] when the value can't be a term; [`ApplicationError::Controller`].
pub async fn set_env<T: Serialize + ?Sized>(
    cx: &mut Context,
    app: &str,
    key: &str,
    value: &T,
) -> Result<(), ApplicationError> {
    set_env_opt(cx, app, key, value, EnvOptions::new()).await
}

/// As [`set_env`], with options. `application:set_env/4`.
///
/// # Errors
/// As [`set_env`].
pub async fn set_env_opt<T: Serialize + ?Sized>(
    cx: &mut Context,
    app: &str,
    key: &str,
    value: &T,
    options: EnvOptions,
) -> Result<(), ApplicationError> {
    let mut config = Config::new();
    config.set(app, key, value)?;
    set_all_env(cx, config, options).await
}

/// Sets keys of several applications at once. `application:set_env/1,2`. From OTP's list of lists:
/// [`Config::from_term`].
///
/// # Errors
/// [`ApplicationError::Config`] when a key that the controller reads has another shape than it wants;
/// [`ApplicationError::Controller`].
pub async fn set_all_env(
    cx: &mut Context,
    config: Config,
    options: EnvOptions,
) -> Result<(), ApplicationError> {
    config.check()?;
    let request = Request::SetEnv(config, options.persistent);
    ask::<Done<_>>(cx, &request, options.timeout)
        .await?
        .into_result()
}

/// Takes a key away. `application:unset_env/2`.
///
/// # Errors
/// [`ApplicationError::Controller`].
pub async fn unset_env(cx: &mut Context, app: &str, key: &str) -> Result<(), ApplicationError> {
    unset_env_opt(cx, app, key, EnvOptions::new()).await
}

/// As [`unset_env`], with options: what persists is taken away only with
/// [`persistent`](EnvOptions::persistent). `application:unset_env/3`.
///
/// # Errors
/// [`ApplicationError::Controller`].
pub async fn unset_env_opt(
    cx: &mut Context,
    app: &str,
    key: &str,
    options: EnvOptions,
) -> Result<(), ApplicationError> {
    let request = Request::UnsetEnv(atom(app)?, atom(key)?, options.persistent);
    ask::<Done<_>>(cx, &request, options.timeout)
        .await?
        .into_result()
}

/// The environments of all that run, to be given to [`config_change`] when they have changed.
/// `application_controller:prep_config_change/0`.
///
/// # Errors
/// [`ApplicationError::Controller`].
pub async fn prep_config_change(cx: &mut Context) -> Result<Config, ApplicationError> {
    ask(cx, &Request::PrepConfigChange, Timeout::Infinity).await
}

/// Tells all that run what has changed in their environments since then:
/// [`Application::config_change`](super::Application::config_change) is called, in the controller's process. Gives what
/// they had against it. `application_controller:config_change/1`.
///
/// # Errors
/// [`ApplicationError::Controller`].
pub async fn config_change(
    cx: &mut Context,
    before: Config,
) -> Result<Vec<ExitReason>, ApplicationError> {
    ask(cx, &Request::ConfigChange(before), Timeout::Infinity).await
}

/// Changes the specifications of those that are loaded, and the configuration of all, as an upgrade does. Environments
/// are made anew: by specification, configuration, command line. Those that run are not told: see [`config_change`].
/// `application_controller:change_application_data/2`.
///
/// # Errors
/// [`ApplicationError::Spec`], [`ApplicationError::Config`]: nothing is changed then.
pub async fn change_application_data(
    cx: &mut Context,
    specs: Vec<ApplicationSpec>,
    config: Config,
) -> Result<(), ApplicationError> {
    config.check()?;
    let request = Request::ChangeApplicationData(Native::new(specs), config);
    done(cx, request).await
}

/// The top process of an application, and the name of its module: asked of its master
/// ([`get_master`](super::get_master)). `None` while it starts, and when it is gone.
/// `application_master:get_child/1`.
pub async fn get_child(cx: &mut Context, master: Pid) -> Option<(Pid, Atom)> {
    let (tag, monitor) = (cx.make_ref(), cx.monitor(master));
    let watch = Watch { cx, monitor };
    // Nobody is told by the monitor.
    let request = ToMaster::GetChild(watch.cx.pid(), tag);
    let _ = watch.cx.send(master, &request);
    let answer = watch.cx.receive_where(Timeout::Infinity, |message| {
        if message.down().is_some_and(|down| down.reference == monitor) {
            return Some(None);
        }
        master::child_of(message, tag)
    });
    answer.await.flatten()
}

/// What the controller is started with: see [`Controller`](super::Controller).
#[derive(Clone, Debug, Default)]
pub struct ControllerOptions {
    pub(super) config: Config,
    pub(super) command_line: Config,
    pub(super) specs: Vec<ApplicationSpec>,
}

impl ControllerOptions {
    /// Nothing is configured, and only `kernel` and `stdlib` are known.
    pub fn new() -> Self {
        Self::default()
    }

    /// What applications are configured with when they are loaded: it overrides their specifications.
    pub fn config(mut self, config: Config) -> Self {
        self.config.merge(config);
        self
    }

    /// The same, with the last word, as a command line has it: it overrides what is set to persist as well.
    pub fn command_line(mut self, config: Config) -> Self {
        self.command_line.merge(config);
        self
    }

    /// A specification to be found by name: see [`define`].
    pub fn define(mut self, spec: ApplicationSpec) -> Self {
        self.specs.push(spec);
        self
    }
}
