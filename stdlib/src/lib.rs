//! The behaviours of OTP as a native library: servers, state machines, event managers, supervisors, registries, tasks.
//!
//! ```
//! use std::collections::HashMap;
//! use std::time::Duration;
//!
//! use otp_stdlib::prelude::*;
//! use otp_vm::{Context, Vm};
//!
//! /// A server: its state …
//! #[derive(Default)]
//! struct Cache {
//!     entries: HashMap<String, String>,
//! }
//!
//! /// … and what it is asked and told. The messages are terms of Erlang: `{get, Key}`, `{put, Key, Value}`.
//! #[gen_server]
//! impl Cache {
//!     fn init() -> Self {
//!         Cache::default()
//!     }
//!
//!     #[call]
//!     async fn get(&mut self, key: String) -> Option<String> {
//!         self.entries.get(&key).cloned()
//!     }
//!
//!     #[cast]
//!     async fn put(&mut self, key: String, value: String) {
//!         self.entries.insert(key, value);
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vm = Vm::builder().schedulers(1).build()?;
//! let value = vm
//!     .run(async |mut cx: Context| {
//!         // A tree of one child. If the cache crashes, it starts again, empty, under its name.
//!         let children = vec![ChildSpec::worker("cache", |cx| Cache::start_link(cx, ()).name("cache"))];
//!         let flags = SupervisorFlags::one_for_one().intensity(3, Duration::from_secs(5));
//!         Supervisor::start_link(&mut cx, flags, children).name("tree").await.expect("the tree starts");
//!
//!         let cache = ServerRef::<Cache>::from_name("cache").expect("a name");
//!         cache.put(&cx, "k".into(), "v".into()).expect("a term");
//!         cache.get(&mut cx, "k".into()).await.expect("an answer")
//!     })
//!     .wait()?;
//! assert_eq!(value.as_deref(), Some("v"));
//! vm.shutdown(Duration::from_secs(5)).wait();
//! # Ok(())
//! # }
//! ```
//!
//! A tree ends with the process that started it: here, when the body of `run` returns. One that is to last starts in a
//! process of its own, or as an application: see [`application`].
//!
//! # What is promised
//!
//! * Names, defaults and life cycles are OTP's (and Elixir's, for [`DynamicSupervisor`],
//!   [`Registry`], [`Task`] and [`Agent`]). Each module opens with its callback contract and its protocol,
//!   and says where it differs and why.
//! * Every error of a call carries the other side's exit reason.
//! * A message that does not decode is logged, or handled by
//!   [`handle_unknown`](GenServer::handle_unknown); never lost in silence.
//! * Everything stands on the public functions of `otp-vm`: what a behaviour does here, a program
//!   can do as well.
//!
//! # What is not
//!
//! * A server's state after a panic is what the panic left; only
//!   [`terminate`](GenServer::terminate) sees it.
//! * A child that traps exits and has [`Shutdown::Infinity`](supervisor::Shutdown::Infinity) may
//!   keep its tree from ending for ever.
//!
//! # Where to begin
//!
//! | to | use |
//! | --- | --- |
//! | keep state that many ask for | [`gen_server`](mod@gen_server) |
//! | go from state to state, by events and timeouts | [`gen_statem`] |
//! | hand news to handlers that come and go | [`gen_event`] |
//! | start, watch and restart a fixed set of processes | [`supervisor`] |
//! | the same for processes that come and go | [`dynamic_supervisor`] |
//! | divide work among as many processes as schedulers | [`partition_supervisor`] |
//! | name processes by things that are no atoms | [`registry`] |
//! | share a value, and functions on it | [`agent`] |
//! | compute something aside | [`task`] |
//! | give a tree a start, a stop, an environment, and what it depends on | [`application`] |
//! | write a behaviour | [`gen`](mod@crate::gen), [`proc_lib`] |
//! | keep names of servers in your own way | [`Via`] |
//! | look into a running process, suspend it, trace it | [`sys`] |

#[doc(hidden)]
#[path = "private.rs"]
pub mod __private;
pub mod agent;
pub mod application;
mod done;
pub mod dynamic_supervisor;
pub mod r#gen;
pub mod gen_event;
pub mod gen_server;
pub mod gen_statem;
#[cfg(doctest)]
mod guide;
pub mod partition_supervisor;
pub mod proc_lib;
pub mod registry;
mod report;
pub mod supervisor;
pub mod supervisor_bridge;
pub mod sys;
pub mod task;
mod unwind;
mod vm_made;

pub use agent::Agent;
pub use application::Application;
pub use dynamic_supervisor::{DynamicSupervisor, DynamicSupervisorFlags, DynamicSupervisorRef};
pub use r#gen::{Name, NameError, Via};
pub use gen_event::{EventHandler, EventManager, EventManagerRef};
pub use gen_server::{GenServer, Init, NoMessage, NoReply, Reply, ServerRef};
pub use gen_statem::{GenStatem, StatemRef};
pub use otp_stdlib_macros::gen_server;
pub use partition_supervisor::PartitionSupervisor;
pub use proc_lib::StartError;
pub use registry::{RegisterError, Registry};
pub use supervisor::{ChildError, ChildSpec, Supervisor, SupervisorFlags, SupervisorRef};
pub use task::{Task, TaskSupervisor};

/// What nearly every program wants.
pub mod prelude {
    pub use crate::agent::Agent;
    pub use crate::application::Application;
    pub use crate::dynamic_supervisor::{
        DynamicSupervisor, DynamicSupervisorFlags, DynamicSupervisorRef,
    };
    // `From` stays behind its module's name: the standard trait has it.
    pub use crate::StartError;
    pub use crate::gen_event::{self, EventHandler, EventManager, EventManagerRef};
    pub use crate::gen_server::{self, GenServer, Init, NoMessage, NoReply, Reply, ServerRef};
    pub use crate::gen_statem::{self, GenStatem, StatemRef};
    pub use crate::partition_supervisor::{PartitionFlags, PartitionSupervisor};
    pub use crate::registry::Registry;
    pub use crate::supervisor::{
        ChildSpec, Restart, Shutdown, Supervisor, SupervisorFlags, SupervisorRef,
    };
    pub use crate::task::{Task, TaskSupervisor, TaskSupervisorRef};
    pub use otp_stdlib_macros::gen_server;
}
