//! What anybody may read of applications: their environments, keys and masters. OTP's table `ac_tab`.
//!
//! The controller owns the table and writes it; to read is no call, so it works in a start, a stop and a controller
//! that is busy.

use std::any::type_name;

use otp_vm::{
    Atom, Builder, Context, DecodeError, InfoItem, OwnedTerm, Pid, Term, from_term, to_term,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::callback::{atom, given};
use super::config::Env;
use crate::supervisor::Given;

/// The table's name.
pub(super) const TABLE: &str = "ac_tab";

/// A row's key.
#[derive(Serialize)]
pub(super) enum Row {
    /// `[{Key, Value}]`.
    Env(Atom),
    /// The keys of a loaded application: `[{Key, Value}]`.
    Loaded(Atom),
    /// `[{App, Description, Vsn}]`.
    LoadedApplications,
    /// Who runs the application.
    ApplicationMaster(Atom),
    /// The application that a process is the master of.
    Master(Pid),
}

/// A key of an environment, or of a specification, has another shape than was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{app}{dot}{key} is {value}, and no {wanted}: {error}; give it another value in the configuration, or by set_env",
    dot = if key.is_empty() { "" } else { "." }
)]
#[non_exhaustive]
pub struct EnvError {
    /// The application.
    pub app: String,
    /// The key; empty where it is the whole environment.
    pub key: String,
    /// What is there.
    pub value: Given,
    /// The type that was asked for.
    pub wanted: &'static str,
    /// Why it does not fit.
    pub error: DecodeError,
}

impl EnvError {
    fn new<T>(app: &str, key: &str, value: Term<'_>, error: DecodeError) -> Self {
        Self {
            app: app.to_owned(),
            key: key.to_owned(),
            value: Given::new(value),
            wanted: type_name::<T>(),
            error,
        }
    }
}

/// The reason of a process that can't go on without the value: `{bad_environment_value, Text}`.
impl From<EnvError> for otp_vm::ExitReason {
    fn from(error: EnvError) -> Self {
        #[derive(Serialize)]
        enum Reason {
            BadEnvironmentValue(String),
        }
        Self::new(&Reason::BadEnvironmentValue(error.to_string()))
    }
}

impl From<EnvError> for crate::StartError {
    fn from(error: EnvError) -> Self {
        Self::Exit(error.into())
    }
}

/// Looks at a row. Without a controller there is none.
pub(super) fn look<R>(cx: &Context, row: &Row, look: impl FnOnce(Term<'_>) -> R) -> Option<R> {
    let table = cx.table(TABLE)?;
    // The table may be gone by now, with its controller.
    table.lookup_with(cx, row, look).ok().flatten()
}

/// The value of a key in a list of pairs.
fn value_of<'t>(list: Term<'t>, key: &str) -> Option<Term<'t>> {
    list.list_iter().find_map(|pair| {
        let pair = pair.as_tuple()?;
        let is_key = pair.get(0)?.as_atom()?.as_str() == key;
        is_key.then(|| pair.get(1))?
    })
}

fn read<T: DeserializeOwned>(
    cx: &Context,
    row: &Row,
    (app, key): (&str, &str),
) -> Result<Option<T>, EnvError> {
    let read = look(cx, row, |list| {
        let value = value_of(list, key)?;
        Some(from_term(value).map_err(|error| EnvError::new::<T>(app, key, value, error)))
    });
    read.flatten().transpose()
}

/// The value of a key of an application's environment; `None` if it is not set. `application:get_env/2`.
///
/// ```
/// use otp_stdlib::application::{self, Config, Controller, ControllerOptions};
/// use otp_vm::{Context, Vm};
///
/// let config = Config::from_toml("shop = { tills = 4, listen = '127.0.0.1:80' }")?;
/// let vm = Vm::builder().schedulers(1).build()?;
/// let run = vm.run(async |mut cx: Context| {
///     let options = ControllerOptions::new().config(config);
///     Controller::start_link(&mut cx, options).await.unwrap();
///     let shop = application::ApplicationSpec::new("shop").env("tills", &1).env("open", &true);
///     application::load(&mut cx, shop).await.unwrap();
///
///     assert_eq!(application::get_env(&cx, "shop", "tills"), Ok(Some(4)));
///     assert_eq!(application::get_env(&cx, "shop", "open"), Ok(Some(true)));
///     assert_eq!(application::get_env::<u32>(&cx, "shop", "owner"), Ok(None));
///     let error = application::get_env::<u32>(&cx, "shop", "listen").unwrap_err();
///     assert!(error.to_string().starts_with("shop.listen is <<\"127.0.0.1:80\">>, and no u32: "));
/// });
/// run.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// When the value is of another shape.
pub fn get_env<T: DeserializeOwned>(
    cx: &Context,
    app: &str,
    key: &str,
) -> Result<Option<T>, EnvError> {
    let Some(name) = Atom::existing(app) else {
        return Ok(None);
    };
    read(cx, &Row::Env(name), (app, key))
}

/// As [`get_env`], with what it is where it is not set. `application:get_env/3`.
///
/// # Errors
/// When the value is of another shape.
pub fn get_env_or<T: DeserializeOwned>(
    cx: &Context,
    app: &str,
    key: &str,
    default: T,
) -> Result<T, EnvError> {
    get_env(cx, app, key).map(|value| value.unwrap_or(default))
}

/// The value of a key of the application that the caller belongs to; `None` as well where it belongs to none.
/// `application:get_env/1`.
///
/// # Errors
/// When the value is of another shape.
pub fn get_own_env<T: DeserializeOwned>(cx: &Context, key: &str) -> Result<Option<T>, EnvError> {
    match get_application(cx) {
        Some(app) => get_env(cx, app.as_str(), key),
        None => Ok(None),
    }
}

/// All keys of an application's environment, with their values. `application:get_all_env/1`.
pub fn get_all_env(cx: &Context, app: &str) -> Env {
    let name = Atom::existing(app);
    let list = name.and_then(|name| look(cx, &Row::Env(name), |list| from_term::<Env>(list).ok()));
    list.flatten().unwrap_or_default()
}

/// The whole environment of an application as one value: a struct with a field for each key. Keys that it has no field
/// for are passed over.
///
/// # Errors
/// When a value is of another shape, or one is missing that the struct must have.
pub fn get_all_env_as<T: DeserializeOwned>(cx: &Context, app: &str) -> Result<T, EnvError> {
    let mut builder = Builder::<()>::new();
    let env = get_all_env(cx, app);
    for (key, value) in &env {
        builder.atom(*key);
        builder.term(value.term());
    }
    builder.map(env.len());
    let map = builder
        .finish(())
        .unwrap_or_else(|_| OwnedTerm::from(otp_vm::atoms::BADARG));
    from_term(map.root()).map_err(|error| EnvError::new::<T>(app, "", map.root(), error))
}

/// A key of a loaded application's specification, under OTP's name: `description`, `id`, `vsn`, `modules`, `maxP`,
/// `maxT`, `registered`, `included_applications`, `optional_applications`, `applications`, `env`, `mod`,
/// `start_phases`. `None` when there is no such key, or the application is not loaded. `application:get_key/2`.
///
/// # Errors
/// When the value is of another shape. An [`OwnedTerm`] takes any.
pub fn get_key<T: DeserializeOwned>(
    cx: &Context,
    app: &str,
    key: &str,
) -> Result<Option<T>, EnvError> {
    let Some(name) = Atom::existing(app) else {
        return Ok(None);
    };
    let row = Row::Loaded(name);
    if key != "env" {
        return read(cx, &row, (app, key));
    }
    if look(cx, &row, |_| ()).is_none() {
        return Ok(None);
    }
    let env = given(&get_all_env(cx, app));
    let read = from_term(env.term());
    read.map(Some)
        .map_err(|error| EnvError::new::<T>(app, key, env.term(), error))
}

/// As [`get_key`], of the application that the caller belongs to. `application:get_key/1`.
///
/// # Errors
/// When the value is of another shape.
pub fn get_own_key<T: DeserializeOwned>(cx: &Context, key: &str) -> Result<Option<T>, EnvError> {
    match get_application(cx) {
        Some(app) => get_key(cx, app.as_str(), key),
        None => Ok(None),
    }
}

/// All keys of a loaded application's specification, in OTP's order. `application:get_all_key/1`.
pub fn get_all_key(cx: &Context, app: &str) -> Option<Env> {
    let name = Atom::existing(app)?;
    let mut keys: Env = look(cx, &Row::Loaded(name), |list| from_term(list).ok())??;
    let at = keys.iter().position(|(key, _)| key.as_str() == "mod");
    let env = given(&get_all_env(cx, app));
    keys.insert(at.unwrap_or(keys.len()), (atom("env"), env));
    Some(keys)
}

/// What is known of an application: its name, its description, its version.
pub type AppInfo = (Atom, String, String);

/// All that are loaded, newest first. `application:loaded_applications/0`.
pub fn loaded_applications(cx: &Context) -> Vec<AppInfo> {
    let list = look(cx, &Row::LoadedApplications, |list| from_term(list).ok());
    list.flatten().unwrap_or_default()
}

/// The application that the caller belongs to: it, or who made it, was started by the application, whoever its
/// supervisor is now. Told by the group leader, which is the application's master. `application:get_application/0`.
pub fn get_application(cx: &Context) -> Option<Atom> {
    of_master(cx, cx.group_leader())
}

/// The application that a process belongs to. `application:get_application/1`.
pub fn get_application_of(cx: &Context, pid: Pid) -> Option<Atom> {
    of_master(cx, group_leader_of(cx, pid)?)
}

/// The loaded application that says that it brings a module. `application:get_application/1`.
pub fn get_application_of_module(cx: &Context, module: &str) -> Option<Atom> {
    let loaded = loaded_applications(cx).into_iter().map(|(app, ..)| app);
    loaded.into_iter().find(|&app| {
        let brings = look(cx, &Row::Loaded(app), |keys| {
            let mut modules = value_of(keys, "modules")?.list_iter();
            modules.find(|name| name.as_atom().map(Atom::as_str) == Some(module))?;
            Some(())
        });
        brings.flatten().is_some()
    })
}

/// The process that runs an application: the group leader of all that belong to it. `None` if it does not run, or is a
/// library. `application_controller:get_master/1`.
pub fn get_master(cx: &Context, app: &str) -> Option<Pid> {
    let row = Row::ApplicationMaster(Atom::existing(app)?);
    look(cx, &row, |pid| pid.as_pid()).flatten()
}

fn of_master(cx: &Context, master: Pid) -> Option<Atom> {
    look(cx, &Row::Master(master), |app| app.as_atom()).flatten()
}

pub(super) fn group_leader_of(cx: &Context, pid: Pid) -> Option<Pid> {
    let item = cx.process_info_item(pid, InfoItem::GroupLeader)?;
    item.root().as_tuple()?.get(1)?.as_pid()
}

/// A value as a term of its own.
pub(super) fn term<T: Serialize + ?Sized>(value: &T) -> OwnedTerm {
    to_term(value).unwrap_or_else(|_| OwnedTerm::from(otp_vm::atoms::BADARG))
}
