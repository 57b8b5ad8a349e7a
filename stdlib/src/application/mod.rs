//! Applications: what belongs together, has a version and an environment, and is started and stopped as one. OTP's
//! `application`.
//!
//! # Who there is
//!
//! - An [`ApplicationSpec`] says what an application is: what it depends on, its environment, its callbacks.
//! - The [`Controller`] is a process that knows all specifications, and which applications run. A VM has one if
//!   somebody starts it; `otp-vm run` does. There is no state outside of it: two VMs know nothing of each other's.
//! - Each application that runs has a master, which is the group leader of all its processes, and a child of that,
//!   which calls the callbacks of [`Application`] and is the parent of the tree.
//!
//! # The life of an application
//!
//! 1. **Loaded**: its environment is that of its specification, overridden by the configuration ([`Config`]),
//!    overridden by the command line. [`get_env`] reads it from now on.
//! 2. **Started**: those that it depends on must be. [`Application::start`] starts the tree, linked, and gives its top;
//!    then [`Application::start_phase`] is called for each phase. [`start`] returns when all that is done.
//! 3. **Told to stop**: [`Application::prep_stop`] is called, the tree is ended by `shutdown`, in order and with all
//!    the time that it takes, [`Application::stop`] is called, and whoever else belongs to the application is killed.
//! 4. **Ended by itself**, when its top does: `prep_stop` and `stop` are called, too. What follows is said by how it
//!    was started: see [`start_as`].
//!
//! When the controller ends, it stops all that run, newest first, each within `kernel.shutdown_timeout` milliseconds,
//! which unless it is set are infinite: then it is killed with all that belongs to it. Before, it calls the function
//! `kernel.shutdown_func`, `{Module, Function}`, with the reason.
//!
//! ```
//! use std::time::Duration;
//! use otp_stdlib::application::{self, ApplicationSpec, Controller, ControllerOptions, StartType};
//! use otp_stdlib::{StartError, prelude::*};
//! use otp_vm::{Context, Pid, Vm};
//!
//! struct Shop;
//!
//! impl Application for Shop {
//!     type Args = ();
//!
//!     async fn start(_: StartType, _: (), cx: &mut Context) -> Result<(Pid, Self), StartError> {
//!         let tills: usize = application::get_env_or(cx, "shop", "tills", 1)?;
//!         let tills = (0..tills).map(|till| {
//!             ChildSpec::process(format!("till {till}"), |mut cx: Context| async move {
//!                 cx.receive().await;
//!             })
//!         });
//!         let flags = SupervisorFlags::one_for_one();
//!         let top = application::tree(Supervisor::start_link(cx, flags, tills.collect()).await)?;
//!         Ok((top, Shop))
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vm = Vm::builder().schedulers(1).build()?;
//! let run = vm.run(async |mut cx: Context| {
//!     Controller::start_link(&mut cx, ControllerOptions::new()).await.unwrap();
//!     let warehouse = ApplicationSpec::new("warehouse").vsn("2.1");
//!     application::define(&mut cx, warehouse).await.unwrap();
//!     let shop = ApplicationSpec::new("shop")
//!         .vsn("1.0")
//!         .applications(["kernel", "stdlib", "warehouse"])
//!         .env("tills", &4)
//!         .module::<Shop>(());
//!
//!     let started = application::ensure_all_started(&mut cx, shop).await.unwrap();
//!     assert_eq!(started.iter().map(|app| app.as_str()).collect::<Vec<_>>(), ["warehouse", "shop"]);
//!     let master = application::get_master(&cx, "shop").unwrap();
//!     let (top, _) = application::get_child(&mut cx, master).await.unwrap();
//!     assert_eq!(application::get_application_of(&cx, top).unwrap().as_str(), "shop");
//!     application::stop(&mut cx, "shop").await.unwrap();
//! });
//! run.wait()?;
//! vm.shutdown(Duration::from_secs(1)).wait();
//! # Ok(())
//! # }
//! ```
//!
//! # What differs from OTP
//!
//! - The controller serves others while an application stops; OTP's waits for it.
//! - Whoever belongs to an application whose master was killed, or whose phase failed, is ended with it; in OTP some
//!   live on.
//! - A loaded application is found by [`define`], not by a file on a code path. Distributed applications (takeover,
//!   failover, `kernel.distributed`) wait for distribution.

mod callback;
mod client;
mod config;
mod config_toml;
mod controller;
mod data;
mod env;
mod errors;
mod master;
mod phases;
mod report;
mod spec;
mod specs;
mod wire;

use otp_vm::{Context, ExitReason, Pid, Term};
use serde::{Deserialize, Serialize};

pub use callback::Change;
pub use client::{
    ControllerOptions, EnvOptions, Which, change_application_data, config_change, define,
    ensure_all_started, ensure_all_started_as, ensure_loaded, ensure_started, ensure_started_as,
    get_child, load, permit, prep_config_change, set_all_env, set_env, set_env_opt, start,
    start_as, start_type, stop, unload, unset_env, unset_env_opt, which_applications,
    which_applications_timeout,
};
pub use config::{Config, ConfigError, Env};
pub use config_toml::{MAX_CONFIG_BYTES, MAX_INCLUDES};
pub use controller::Controller;
pub use data::SpecError;
pub use env::{
    AppInfo, EnvError, get_all_env, get_all_env_as, get_all_key, get_application,
    get_application_of, get_application_of_module, get_env, get_env_or, get_key, get_master,
    get_own_env, get_own_key, loaded_applications,
};
pub use errors::ApplicationError;
pub use report::ApplicationReport;
pub use spec::ApplicationSpec;
pub use wire::{Info, Request};

use crate::gen_server::{GenServer, ServerRef};
use crate::proc_lib::StartError;

/// The controller's name.
pub const CONTROLLER: &str = "application_controller";

/// How an application is started. Takeover and failover wait for distribution.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StartType {
    /// It is started.
    Normal,
    /// It runs already, and a process of it is restarted: see [`start_type`].
    Local,
}

/// The callbacks of an application. The [module](self) has the contract.
///
/// A value of the type is what the application keeps until its stop: OTP's state.
pub trait Application: Sized + Send + 'static {
    /// The argument of the start, from the specification: cloned for each start, serialised to be shown.
    type Args: Clone + Serialize + Send + Sync + 'static;

    /// Starts the tree, linked to the caller, and gives its top process, and what is kept. `start/2`.
    ///
    /// The caller traps exits. If it fails, whoever it had linked ends by the caller's end.
    fn start(
        start_type: StartType,
        args: Self::Args,
        cx: &mut Context,
    ) -> impl Future<Output = Result<(Pid, Self), StartError>> + Send;

    /// Does what a phase of the start is for, after the tree has started. `start_phase/3`.
    ///
    /// The default exits with `undef`, which fails the start: an application with phases must have it.
    fn start_phase(
        phase: &str,
        start_type: StartType,
        args: Term<'_>,
        cx: &mut Context,
    ) -> impl Future<Output = Result<(), ExitReason>> + Send {
        let _ = (phase, start_type, args);
        async move { cx.exit(otp_vm::atoms::UNDEF) }
    }

    /// Prepares the stop, while the tree still runs (unless it ended by itself). `prep_stop/1`. A panic is logged.
    fn prep_stop(&mut self, cx: &mut Context) -> impl Future<Output = ()> + Send {
        let _ = cx;
        async {}
    }

    /// Cleans up after the tree has ended. `stop/1`. A panic is logged.
    fn stop(self, cx: &mut Context) -> impl Future<Output = ()> + Send {
        let _ = cx;
        async {}
    }

    /// Is told what has changed in the environment, after an upgrade: see [`config_change`]. `config_change/3`.
    ///
    /// It is called in the controller's process, so it must ask nothing of that.
    ///
    /// # Errors
    /// What it has against the change, for who made it.
    fn config_change(
        change: Change,
        cx: &mut Context,
    ) -> impl Future<Output = Result<(), ExitReason>> + Send {
        let _ = (change, cx);
        async { Ok(()) }
    }
}

/// The process of what a `start_link` gave, for [`Application::start`].
///
/// # Errors
/// Those of the start.
pub fn tree<S: GenServer>(started: Result<ServerRef<S>, StartError>) -> Result<Pid, StartError> {
    match started?.pid() {
        Some(pid) => Ok(pid),
        None => unreachable!("a start gives a reference by pid"),
    }
}
