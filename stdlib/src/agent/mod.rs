//! State behind a process, and functions that run on it there: Elixir's `Agent`.
//!
//! | function | runs | mirrors |
//! | --- | --- | --- |
//! | [`Agent::start_link`], [`start`](Agent::start) | the function that makes the state, before the start returns | `start_link/2`, `start/2` |
//! | [`get`](Agent::get) | a function of the state; its value is the reply | `get/3` |
//! | [`update`](Agent::update) | one that changes the state | `update/3` |
//! | [`get_and_update`](Agent::get_and_update) | both | `get_and_update/3` |
//! | [`cast`](Agent::cast) | as `update`, and nobody waits | `cast/2` |
//! | [`stop`](Agent::stop) | | `stop/3` |
//! | [`sys::change_code_by`](crate::sys::change_code_by) | one that makes another state, while the agent is suspended | `code_change/3` |
//!
//! # Protocol
//!
//! An agent is a [`gen_server`](mod@crate::gen_server) with the state as its own; its life is that of one. A closure
//! travels to it as a [native resource](otp_vm::Native), moved and not serialised, and so does its value on the way
//! back: neither state nor value need be terms. Agents and their references are typed by the state. A reference by name
//! is taken on trust: an agent with another state answers [`CallError::Decode`].
//!
//! # Races
//!
//! * Functions run one at a time, in the order in which they came; those of one caller in the order of its calls and
//!   casts.
//! * A panic in a function ends the agent, and never the caller, who gets the reason as [`CallError::Exit`]; so does
//!   everybody who waits behind it. A caller linked to the agent is its parent, and falls with it by the link.
//! * A call that takes too long, or whose future is dropped, is run all the same.
//!
//! # When not to use it
//!
//! A function that takes long keeps all others waiting: take what it needs out by `get`, compute in the caller, and put
//! the result back. (Whoever wants the state to be the same by then uses `get_and_update`.) What many read and few
//! write belongs in a table, past any process. When the state is to do something by itself (time out, watch, be told)
//! it is a
//! [`gen_server`](mod@crate::gen_server). And let one module have all the functions that go to one agent: an interface
//! that is scattered over the program's closures can't be changed.
//!
//! # Example
//!
//! ```
//! use otp_stdlib::prelude::*;
//! use otp_vm::{Context, Vm};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vm = Vm::builder().schedulers(1).build()?;
//! let seen = vm
//!     .run(async |mut cx: Context| {
//!         let seen = Agent::start_link(&mut cx, Vec::new).name("seen").await.expect("it starts");
//!         seen.cast(&cx, |seen| seen.push("first".to_owned())).expect("it can be sent");
//!         // By its name, from anywhere.
//!         let seen = Agent::<Vec<String>>::from_name("seen").expect("a name");
//!         seen.update(&mut cx, |seen| seen.push("second".to_owned())).await.expect("it answers");
//!         seen.get(&mut cx, |seen| seen.join(" ")).await.expect("it answers")
//!     })
//!     .wait()?;
//! assert_eq!(seen, "first second");
//! # Ok(())
//! # }
//! ```

mod server;
mod start;

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use otp_vm::{
    AtomError, CallError, Context, EncodeError, ExitReason, Native, Pid, SendError, Timeout,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::r#gen::{Target, Via};
use crate::gen_server::{CALL_TIMEOUT, ServerRef};
use crate::proc_lib::StopError;
use crate::supervisor::{ChildId, ChildSpec};
use server::{Begin, Run, Server};
pub use start::{AgentProcess, StartAgent};

/// A reference to an agent with the state `S`: by pid, by name, or through a registry. Cheap to clone, and a message
/// may carry it.
pub struct Agent<S> {
    server: ServerRef<Server<S>>,
}

impl<S: Send + 'static> Agent<S> {
    /// Starts an agent, linked to the caller, its parent; `init` makes the state, in the agent's process. Await the
    /// result, perhaps after [`name`](StartAgent::name). `Agent.start_link/2`.
    pub fn start_link<F>(cx: &mut Context, init: F) -> StartAgent<'_, S>
    where
        F: FnOnce() -> S + Send + 'static,
    {
        StartAgent::new(cx, Begin::new(init), true)
    }

    /// Starts an agent without a link and without a parent. `Agent.start/2`.
    pub fn start<F>(cx: &mut Context, init: F) -> StartAgent<'_, S>
    where
        F: FnOnce() -> S + Send + 'static,
    {
        StartAgent::new(cx, Begin::new(init), false)
    }

    /// An agent as a child of a supervisor, with the id `Agent`: permanent, 5 seconds to shut down.
    /// `Agent.child_spec/1`. What else it is to have says its start, as that of any behaviour: [`ChildSpec::worker`].
    ///
    /// ```
    /// use std::time::Duration;
    /// use otp_stdlib::prelude::*;
    /// use otp_vm::{Context, Vm};
    ///
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # vm.run(async |mut cx: Context| {
    /// let patient = ChildSpec::worker("patient", |cx| {
    ///     Agent::start_link(cx, || 0_u64).name("patient").hibernate_after(Duration::from_secs(60))
    /// });
    /// let counter = Agent::child_spec_with_name("counter", || 0_u64);
    /// let children = vec![counter, patient, Agent::child_spec(String::new)];
    /// let tree = Supervisor::start_link(&mut cx, SupervisorFlags::one_for_one(), children);
    /// tree.await.unwrap();
    /// # }).wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn child_spec<F>(init: F) -> ChildSpec
    where
        F: Fn() -> S + Send + Sync + 'static,
    {
        Self::child_spec_with_id("Agent", init)
    }

    /// As [`child_spec`](Self::child_spec), with an id of the caller's: `use Agent, id: …`. The agent has no name by that.
    pub fn child_spec_with_id<F>(id: impl Into<ChildId>, init: F) -> ChildSpec
    where
        F: Fn() -> S + Send + Sync + 'static,
    {
        let init = Arc::new(init);
        ChildSpec::worker(id, move |cx| {
            let init = Arc::clone(&init);
            StartAgent::new(cx, Begin::of::<F>(move || init()), true)
        })
    }

    /// As [`child_spec`](Self::child_spec), with a name, which is the id as well: `use Agent, name: …`.
    pub fn child_spec_with_name<F>(name: &'static str, init: F) -> ChildSpec
    where
        F: Fn() -> S + Send + Sync + 'static,
    {
        let init = Arc::new(init);
        ChildSpec::worker(name, move |cx| {
            let init = Arc::clone(&init);
            StartAgent::new(cx, Begin::of::<F>(move || init()), true).name(name)
        })
    }

    /// The agent with this pid.
    pub fn from_pid(pid: Pid) -> Self {
        Self {
            server: ServerRef::from_pid(pid),
        }
    }

    /// Whichever agent has this name when the reference is used.
    ///
    /// # Errors
    /// When the text can't be an atom.
    pub fn from_name(name: &str) -> Result<Self, AtomError> {
        let server = ServerRef::from_name(name)?;
        Ok(Self { server })
    }

    /// Whichever agent has this name when the reference is used, as `via` knows: a [`Registry`](crate::Registry), or
    /// what else implements [`Via`].
    ///
    /// # Errors
    /// When the name can't be a term.
    pub fn via<V: Via>(via: &V, name: &V::Name) -> Result<Self, EncodeError> {
        let server = ServerRef::via(via, name)?;
        Ok(Self { server })
    }

    /// The pid of a reference by pid, such as a start gives.
    pub fn pid(&self) -> Option<Pid> {
        self.server.pid()
    }

    /// The pid behind the reference now, if the name is taken. `GenServer.whereis/1`.
    pub fn whereis(&self, cx: &Context) -> Option<Pid> {
        self.server.whereis(cx)
    }

    /// Gives what `function` makes of the state, in at most [`CALL_TIMEOUT`]. `Agent.get/2`.
    ///
    /// # Errors
    /// As [`ServerRef::call`]: [`CallError::Exit`] has the reason with which the agent ended, perhaps by a panic of
    /// `function`.
    pub async fn get<R, F>(&self, cx: &mut Context, function: F) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: FnOnce(&S) -> R + Send + 'static,
    {
        self.get_timeout(cx, CALL_TIMEOUT, function).await
    }

    /// As [`get`](Self::get), with a time of the caller's. `Agent.get/3`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_timeout<R, F>(
        &self,
        cx: &mut Context,
        after: impl Into<Timeout>,
        function: F,
    ) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: FnOnce(&S) -> R + Send + 'static,
    {
        let function = |state: &mut S| function(state);
        self.get_and_update_timeout(cx, after, function).await
    }

    /// Changes the state, in at most [`CALL_TIMEOUT`], and returns when it is done. `Agent.update/2`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn update<F>(&self, cx: &mut Context, function: F) -> Result<(), CallError>
    where
        F: FnOnce(&mut S) + Send + 'static,
    {
        self.get_and_update(cx, function).await
    }

    /// As [`update`](Self::update), with a time of the caller's. `Agent.update/3`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn update_timeout<F>(
        &self,
        cx: &mut Context,
        after: impl Into<Timeout>,
        function: F,
    ) -> Result<(), CallError>
    where
        F: FnOnce(&mut S) + Send + 'static,
    {
        self.get_and_update_timeout(cx, after, function).await
    }

    /// Changes the state, in at most [`CALL_TIMEOUT`], and gives what `function` gives. `Agent.get_and_update/2`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_and_update<R, F>(&self, cx: &mut Context, function: F) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: FnOnce(&mut S) -> R + Send + 'static,
    {
        self.get_and_update_timeout(cx, CALL_TIMEOUT, function)
            .await
    }

    /// As [`get_and_update`](Self::get_and_update), with a time of the caller's. `Agent.get_and_update/3`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_and_update_timeout<R, F>(
        &self,
        cx: &mut Context,
        after: impl Into<Timeout>,
        function: F,
    ) -> Result<R, CallError>
    where
        R: Send + 'static,
        F: FnOnce(&mut S) -> R + Send + 'static,
    {
        let run: Run<S> = Box::new(|state| Box::new(function(state)) as Box<dyn Any + Send>);
        let request = Native::new(run);
        let reply = self.server.call_timeout(cx, request, after).await?;
        match reply.into_inner().map(|value| value.downcast::<R>()) {
            Some(Ok(value)) => Ok(*value),
            // Somebody else answered in the agent's place.
            _ => Err(CallError::Exit(ExitReason::from(
                "the reply is not of the function's type",
            ))),
        }
    }

    /// Has the state changed, and does not wait. Silent if nobody is there. `Agent.cast/2`.
    ///
    /// # Errors
    /// When the agent's mailbox refuses it.
    pub fn cast<F>(&self, cx: &Context, function: F) -> Result<(), SendError>
    where
        F: FnOnce(&mut S) + Send + 'static,
    {
        let run: Run<S> = Box::new(|state| {
            function(state);
            Box::new(())
        });
        self.server.cast(cx, Native::new(run))
    }

    /// Asks the agent to end, after what came before, and waits until it has. `Agent.stop/3`; the defaults there are
    /// `normal` and infinity.
    ///
    /// # Errors
    /// As [`ServerRef::stop`].
    pub async fn stop(
        &self,
        cx: &mut Context,
        reason: impl Into<ExitReason>,
        after: impl Into<Timeout>,
    ) -> Result<(), StopError> {
        self.server.stop(cx, reason, after).await
    }
}

impl<S> From<&Agent<S>> for Target {
    fn from(agent: &Agent<S>) -> Self {
        agent.server.target().clone()
    }
}

impl<S> Clone for Agent<S> {
    fn clone(&self) -> Self {
        Self {
            server: self.server.clone(),
        }
    }
}

impl<S> PartialEq for Agent<S> {
    fn eq(&self, other: &Self) -> bool {
        self.server == other.server
    }
}

impl<S> Eq for Agent<S> {}

impl<S> fmt::Debug for Agent<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Agent").field(&self.server).finish()
    }
}

impl<S> Serialize for Agent<S> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        self.server.serialize(serializer)
    }
}

impl<'de, S> Deserialize<'de> for Agent<S> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let server = ServerRef::deserialize(deserializer)?;
        Ok(Self { server })
    }
}
