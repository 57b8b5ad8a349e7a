//! What an application is: OTP's `.app` file as a value.

use std::sync::Arc;
use std::time::Duration;

use otp_vm::{Arguments, Atom, Timeout, atoms};
use serde::Serialize;

use super::Application;
use super::callback::{ByName, Callbacks, Typed, atom, copyable, given};
use super::config::Env;
use super::data::SpecError;
use crate::r#gen::milliseconds;
use crate::supervisor::Given;

/// OTP's module that has phases run for included applications.
pub(super) const STARTER: &str = "application_starter";

/// The specification of an application: what OTP has in its `.app` file.
///
/// A specification without a module is a library: it has a version and an environment, and nothing runs.
///
/// ```
/// use otp_stdlib::application::ApplicationSpec;
/// # use otp_stdlib::{StartError, application::{self, StartType}, prelude::*};
/// # use otp_vm::{Context, Pid};
/// # struct Shop;
/// # impl Application for Shop {
/// #     type Args = ();
/// #     async fn start(_: StartType, _: (), cx: &mut Context) -> Result<(Pid, Self), StartError> {
/// #         let flags = SupervisorFlags::one_for_one();
/// #         Ok((application::tree(Supervisor::start_link(cx, flags, vec![]).await)?, Shop))
/// #     }
/// # }
///
/// let spec = ApplicationSpec::new("shop")
///     .description("Sells what there is")
///     .vsn("1.0")
///     .registered(["shop_supervisor"])
///     .applications(["kernel", "stdlib", "warehouse"])
///     .optional_applications(["metrics"])
///     .env("open", &true)
///     .env("tills", &4)
///     .module::<Shop>(());
/// assert_eq!(spec.name().as_str(), "shop");
/// ```
#[derive(Clone, Debug)]
pub struct ApplicationSpec {
    pub(super) name: Atom,
    pub(super) description: String,
    pub(super) id: String,
    pub(super) vsn: String,
    pub(super) modules: Vec<Atom>,
    pub(super) max_processes: Option<u64>,
    pub(super) max_time: Timeout,
    pub(super) registered: Vec<Atom>,
    pub(super) included: Vec<Atom>,
    pub(super) optional: Vec<Atom>,
    pub(super) applications: Vec<Atom>,
    pub(super) env: Env,
    pub(super) callbacks: Option<Arc<dyn Callbacks>>,
    /// Whether phases run for included applications as well: OTP's `application_starter`.
    pub(super) starts_included: bool,
    pub(super) phases: Option<Vec<(Atom, Given)>>,
    /// The first of its parts that was wrong.
    wrong: Option<SpecError>,
}

impl ApplicationSpec {
    /// A library of that name. A name that can't be an atom, here and below, is an error of whoever loads it.
    pub fn new(name: &str) -> Self {
        let mut spec = Self {
            name: atoms::UNDEFINED,
            description: String::new(),
            id: String::new(),
            vsn: String::new(),
            modules: Vec::new(),
            max_processes: None,
            max_time: Timeout::Infinity,
            registered: Vec::new(),
            included: Vec::new(),
            optional: Vec::new(),
            applications: Vec::new(),
            env: Vec::new(),
            callbacks: None,
            starts_included: false,
            phases: None,
            wrong: None,
        };
        spec.name = spec.atom(name);
        spec
    }

    /// The name.
    pub fn name(&self) -> Atom {
        self.name
    }

    /// What it is, in a line.
    pub fn description(mut self, description: &str) -> Self {
        description.clone_into(&mut self.description);
        self
    }

    /// What it is, as [`description`](Self::description) said.
    pub fn about(&self) -> &str {
        &self.description
    }

    /// A product number, or the like.
    pub fn id(mut self, id: &str) -> Self {
        id.clone_into(&mut self.id);
        self
    }

    /// The version.
    pub fn vsn(mut self, vsn: &str) -> Self {
        vsn.clone_into(&mut self.vsn);
        self
    }

    /// The modules that it brings: [`get_application_of_module`](super::get_application_of_module) looks here.
    pub fn modules<'a>(mut self, modules: impl IntoIterator<Item = &'a str>) -> Self {
        self.modules = self.atoms(modules);
        self
    }

    /// The names that its processes register. For who reads it: nothing checks it.
    pub fn registered<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.registered = self.atoms(names);
        self
    }

    /// Those that must be started before this one.
    pub fn applications<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.applications = self.atoms(names);
        self
    }

    /// Those of [`applications`](Self::applications) that may be missing.
    /// [`ensure_all_started`](super::ensure_all_started) starts them if there are specifications of them.
    pub fn optional_applications<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.optional = self.atoms(names);
        self
    }

    /// Those that are loaded with this one, and whose trees are part of its own: its supervisors start theirs.
    pub fn included_applications<'a>(mut self, names: impl IntoIterator<Item = &'a str>) -> Self {
        self.included = self.atoms(names);
        self
    }

    /// A key of the environment, with its value unless a configuration says otherwise. Of two with one key the last
    /// counts.
    pub fn env<T: Serialize + ?Sized>(mut self, key: &str, value: &T) -> Self {
        let key = self.atom(key);
        match copyable(value) {
            Ok(term) => super::config::put(&mut self.env, key, term),
            Err(text) => {
                self.wrong.get_or_insert(SpecError::Value(key, text));
            }
        }
        self
    }

    /// Whether its environment has a key by itself.
    pub fn has_env(&self, key: &str) -> bool {
        self.env.iter().any(|(name, _)| name.as_str() == key)
    }

    /// The type with its callbacks, and the argument of its start. `{mod, {Module, Args}}`.
    pub fn module<A: Application>(mut self, args: A::Args) -> Self {
        self.callbacks = Some(Arc::new(Typed::<A>::new(args)));
        self
    }

    /// The process module with its callbacks, by name: `start/2` gets the start type and `args`, and gives `{ok, Pid}`,
    /// `{ok, Pid, State}` or `{error, Reason}`. It may have `prep_stop/1` and `stop/1`, which get the state,
    /// `start_phase/3` and `config_change/3`.
    pub fn call<T: Serialize + ?Sized>(mut self, module: &str, args: &T) -> Self {
        let module = self.atom(module);
        let args = given(args);
        self.callbacks = Some(Arc::new(ByName { module, args }));
        self
    }

    /// Phases of the start: when the tree has started, [`start_phase`](Application::start_phase) is called for each, in
    /// this order, before the application counts as started.
    pub fn start_phase<T: Serialize + ?Sized>(mut self, phase: &str, args: &T) -> Self {
        let phase = self.atom(phase);
        let phases = self.phases.get_or_insert_default();
        phases.push((phase, given(args)));
        self
    }

    /// Runs each phase for the included applications as well, each with its own arguments, behind this one: as OTP does
    /// where the module is `application_starter`. They need phases of their own, and a module.
    pub fn start_phases_of_included(mut self) -> Self {
        self.starts_included = true;
        self
    }

    /// Stops the application so long after it started. `maxT`; the default is infinity.
    pub fn max_time(mut self, after: Duration) -> Self {
        self.max_time = after.into();
        self
    }

    /// The most processes that it may have. `maxP`: as in OTP it is there to be read, and limits nothing.
    pub fn max_processes(mut self, processes: u64) -> Self {
        self.max_processes = Some(processes);
        self
    }

    /// What is wrong with it, if something is.
    pub(super) fn check(&self) -> Result<(), SpecError> {
        self.wrong.clone().map_or(Ok(()), Err)
    }

    fn atom(&mut self, name: &str) -> Atom {
        Atom::new(name).unwrap_or_else(|error| {
            let error = SpecError::Name(name.to_owned(), error.to_string());
            self.wrong.get_or_insert(error);
            atoms::UNDEFINED
        })
    }

    fn atoms<'a>(&mut self, names: impl IntoIterator<Item = &'a str>) -> Vec<Atom> {
        names.into_iter().map(|name| self.atom(name)).collect()
    }

    /// OTP's keys with their values, in OTP's order; the environment is elsewhere.
    pub(super) fn keys(&self) -> Env {
        let infinity = || given(&atoms::INFINITY);
        let module = match &self.callbacks {
            Some(callbacks) if self.starts_included => {
                let start = Arguments::new(&(callbacks.module(), callbacks.args()));
                given(&(atom(STARTER), start.ok()))
            }
            Some(callbacks) => given(&(callbacks.module(), callbacks.args())),
            None => given::<[Atom]>(&[]),
        };
        let phases = match &self.phases {
            Some(phases) => given(phases),
            None => given(&atoms::UNDEFINED),
        };
        let keys = [
            ("description", given(&self.description)),
            ("id", given(&self.id)),
            ("vsn", given(&self.vsn)),
            ("modules", given(&self.modules)),
            (
                "maxP",
                self.max_processes.map_or_else(infinity, |max| given(&max)),
            ),
            ("maxT", milliseconds(self.max_time).into()),
            ("registered", given(&self.registered)),
            ("included_applications", given(&self.included)),
            ("optional_applications", given(&self.optional)),
            ("applications", given(&self.applications)),
            ("mod", module),
            ("start_phases", phases),
        ];
        keys.map(|(key, value)| (atom(key), value)).into()
    }
}
