//! What others may ask of a supervisor.

use otp_vm::{Arguments, Context, ExitReason, Native, Pid, Timeout};
use serde::{Deserialize, Serialize};

use super::Supervisor;
use super::child::{ChildKind, ChildSpec, Modules, Restart, Shutdown, Started};
use super::data::{FlagsError, Given, SpecError};
use super::id::ChildId;
use crate::gen_server::ServerRef;
use crate::proc_lib::StartError;

/// A reference to a supervisor.
pub type SupervisorRef = ServerRef<Supervisor>;

/// A request to a supervisor. Use the functions of [`SupervisorRef`].
///
/// These are requests between Rust and Rust. OTP's own, `{start_child, Spec}` and its like, are understood as well, and
/// answered as OTP answers them: see [the module](super#requests-that-are-terms).
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// `supervisor:start_child/2`. A closure can't be copied, so it moves.
    #[serde(rename = "$start_child")]
    StartChild(Native<ChildSpec>),
    /// `supervisor:start_child/2` of a `simple_one_for_one` supervisor, or with a specification that is data.
    #[serde(rename = "$start_child_data")]
    StartChildData(Given),
    /// `supervisor:restart_child/2`.
    #[serde(rename = "$restart_child")]
    RestartChild(ChildId),
    /// `supervisor:terminate_child/2`.
    #[serde(rename = "$terminate_child")]
    TerminateChild(ChildId),
    /// `supervisor:delete_child/2`.
    #[serde(rename = "$delete_child")]
    DeleteChild(ChildId),
    /// `supervisor:which_children/1`.
    #[serde(rename = "$which_children")]
    WhichChildren,
    /// `supervisor:which_child/2`.
    #[serde(rename = "$which_child")]
    WhichChild(ChildId),
    /// `supervisor:count_children/1`.
    #[serde(rename = "$count_children")]
    CountChildren,
    /// `supervisor:get_childspec/2`.
    #[serde(rename = "$get_childspec")]
    GetChildspec(ChildId),
    /// `supervisor:get_callback_module/1`.
    #[serde(rename = "$get_callback_module")]
    GetCallbackModule,
    /// Has the callback called again: `supervisor:code_change/3`.
    #[serde(rename = "$code_change")]
    CodeChange,
}

/// The reply to a [`Request`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// To those that start a child; `None`: it chose not to run.
    Child(Result<Child, ChildError>),
    /// To those that end one.
    Done(Result<(), ChildError>),
    /// To `WhichChildren`.
    Children(Vec<ChildInfo>),
    /// To `WhichChild`.
    ChildInfo(Result<ChildInfo, ChildError>),
    /// To `CountChildren`.
    Counts(ChildCounts),
    /// To `GetChildspec`.
    Spec(Box<Result<Childspec, ChildError>>),
    /// To `GetCallbackModule`.
    Module(Option<String>),
}

/// A child that was started.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Its process; `None`: it chose not to run.
    pub pid: Option<Pid>,
    /// What its start gave besides, if it gave `{ok, Pid, Info}`.
    pub info: Option<Given>,
}

impl Child {
    /// Of one that chose not to run.
    pub(super) fn ignored() -> Self {
        Self {
            pid: None,
            info: None,
        }
    }
}

impl From<Started> for Child {
    fn from(started: Started) -> Self {
        Self {
            pid: Some(started.pid),
            info: started.info.map(Given::from),
        }
    }
}

/// A child as [`which_children`](SupervisorRef::which_children) lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildInfo {
    /// Its id. A [`DynamicSupervisor`](crate::DynamicSupervisor) keeps them only as labels.
    pub id: ChildId,
    /// Its process, if it runs.
    pub pid: Option<Pid>,
    /// Whether it failed to restart, and is about to be tried again.
    pub restarting: bool,
    /// Worker or supervisor.
    pub kind: ChildKind,
    /// Its modules, if it is started by module, function and arguments.
    pub modules: Modules,
}

/// How many children there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildCounts {
    /// Specifications, whether their process runs or not.
    pub specs: u64,
    /// Children whose process runs.
    pub active: u64,
    /// Children that are supervisors.
    pub supervisors: u64,
    /// Children that are workers.
    pub workers: u64,
}

/// A child specification as it can be shown: a start that is a closure can't be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Childspec {
    /// The child's id.
    pub id: ChildId,
    /// `{Module, Function, Arguments}`; `None` for a closure. Arguments of a temporary child are not kept once it
    /// started: `undefined` is in their place.
    pub start: Option<Given>,
    /// When it is started again.
    pub restart: Restart,
    /// How it is ended.
    pub shutdown: Shutdown,
    /// Worker or supervisor.
    #[serde(rename = "type")]
    pub kind: ChildKind,
    /// Whether its end may end the supervisor.
    pub significant: bool,
    /// Its modules, if it is started by module, function and arguments.
    pub modules: Modules,
}

impl Childspec {
    pub(super) fn of(spec: &ChildSpec) -> Self {
        Self {
            start: spec.start.mfargs().map(Given::from),
            modules: spec.modules.clone(),
            id: spec.id.clone(),
            restart: spec.restart,
            shutdown: spec.shutdown,
            kind: spec.kind,
            significant: spec.significant,
        }
    }
}

/// Why a supervisor did not do what was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum ChildError {
    /// No child has the id, or the pid.
    #[error("no such child; see which_children")]
    NotFound,
    /// The child runs.
    #[error("the child is running; terminate it first")]
    Running,
    /// The child failed to restart, and is about to be tried again.
    #[error("the child is being restarted; terminate it first to stop that")]
    Restarting,
    /// The id is in use by a child that does not run.
    #[error("the id is in use by a child that does not run; restart or delete that one")]
    AlreadyPresent,
    /// The id is in use by a running child.
    #[error("the id is in use by {0}; use that process, or another id")]
    AlreadyStarted(Pid),
    /// The child did not start.
    #[error("the child did not start: {0}")]
    Start(#[source] StartError),
    /// The specification is wrong.
    #[error(transparent)]
    Spec(#[from] SpecError),
    /// The flags that a callback gave are wrong.
    #[error(transparent)]
    Flags(#[from] FlagsError),
    /// It is asked for by id, but a `simple_one_for_one` supervisor knows its children by pid, and starts them by their
    /// arguments.
    #[error(
        "a simple_one_for_one supervisor knows its children by their pids; see start_child_with"
    )]
    SimpleOneForOne,
    /// The supervisor has no callback, or the callback gave something else than flags and children: this.
    #[error("the supervisor has no new code to take on: its callback gave {0}")]
    CodeChange(ExitReason),
    /// The supervisor has as many children as it may have.
    #[error("the supervisor has {0} children, its limit; raise max_children or start another")]
    MaxChildren(u64),
    /// The supervisor did not answer.
    #[error("the supervisor did not answer: {0}")]
    Supervisor(ExitReason),
}

impl SupervisorRef {
    /// Adds a child and starts it. `supervisor:start_child/2`.
    ///
    /// Returns when the child has started, however long that takes.
    ///
    /// # Errors
    /// The id is in use, or the child did not start; it is not kept then. For a child that
    /// chooses not to run OTP has `{ok, undefined}`, and here it is
    /// [`ChildError::Start`]`(`[`StartError::Ignore`]`)`; it is kept, unless it is temporary.
    pub async fn start_child(&self, cx: &mut Context, spec: ChildSpec) -> Result<Pid, ChildError> {
        self.ask_child(cx, Request::StartChild(Native::new(spec)))
            .await
    }

    /// Adds a child and starts it, by a specification that is data: OTP's map or tuple.
    /// `supervisor:start_child/2`.
    ///
    /// # Errors
    /// As [`start_child`](Self::start_child), and [`ChildError::Spec`]. That the child chose not to run is no error
    /// here.
    pub async fn start_child_data(
        &self,
        cx: &mut Context,
        spec: impl Into<Given>,
    ) -> Result<Child, ChildError> {
        match self.ask(cx, Request::StartChildData(spec.into())).await? {
            Answer::Child(child) => child,
            _ => Err(confused()),
        }
    }

    /// Starts a child of a `simple_one_for_one` supervisor, with these arguments behind those of the specification:
    /// a tuple or a list of them, `()` for none. `supervisor:start_child/2`.
    ///
    /// # Errors
    /// The child did not start; or the supervisor has another strategy.
    pub async fn start_child_with<A: Serialize + ?Sized>(
        &self,
        cx: &mut Context,
        arguments: &A,
    ) -> Result<Child, ChildError> {
        let bad = |error: &dyn std::fmt::Display| {
            ChildError::Start(StartError::Exit(ExitReason::from(
                error.to_string().as_str(),
            )))
        };
        let arguments = Arguments::new(arguments).map_err(|error| bad(&error))?;
        self.start_child_data(cx, Given::new(arguments.term()))
            .await
    }

    /// Starts a child again that was terminated, or ended for good. `supervisor:restart_child/2`.
    ///
    /// # Errors
    /// There is none such, or it runs, or did not start.
    pub async fn restart_child(
        &self,
        cx: &mut Context,
        id: impl Into<ChildId>,
    ) -> Result<Pid, ChildError> {
        self.ask_child(cx, Request::RestartChild(id.into())).await
    }

    /// Shuts a child down; a temporary one is forgotten, any other can be restarted.
    /// `supervisor:terminate_child/2`.
    ///
    /// # Errors
    /// There is none such.
    pub async fn terminate_child(
        &self,
        cx: &mut Context,
        id: impl Into<ChildId>,
    ) -> Result<(), ChildError> {
        self.ask_done(cx, Request::TerminateChild(id.into())).await
    }

    /// Forgets a child that does not run. `supervisor:delete_child/2`.
    ///
    /// # Errors
    /// There is none such, or it runs.
    pub async fn delete_child(
        &self,
        cx: &mut Context,
        id: impl Into<ChildId>,
    ) -> Result<(), ChildError> {
        self.ask_done(cx, Request::DeleteChild(id.into())).await
    }

    /// The children, in the order of their start. `supervisor:which_children/1`.
    ///
    /// # Errors
    /// [`ChildError::Supervisor`].
    pub async fn which_children(&self, cx: &mut Context) -> Result<Vec<ChildInfo>, ChildError> {
        match self.ask(cx, Request::WhichChildren).await? {
            Answer::Children(children) => Ok(children),
            _ => Err(confused()),
        }
    }

    /// One child, by its id: its pid among the rest. `supervisor:which_child/2`.
    ///
    /// A child that is started again has another pid then; what it is to be found by for longer is a name.
    ///
    /// ```
    /// use otp_stdlib::prelude::*;
    /// use otp_vm::{Context, Vm};
    ///
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(async |mut cx: Context| {
    ///     let idle = ChildSpec::process("idle", async |mut cx: Context| { cx.receive().await; });
    ///     let tree = Supervisor::start_link(&mut cx, SupervisorFlags::one_for_one(), vec![idle]).await.unwrap();
    ///     let pid = tree.which_child(&mut cx, "idle").await.unwrap().pid;
    ///     pid.is_some_and(|pid| cx.vm().is_alive(pid))
    /// });
    /// assert!(run.wait()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is none such. A `simple_one_for_one` supervisor has pids for ids ([`ChildError::SimpleOneForOne`]).
    pub async fn which_child(
        &self,
        cx: &mut Context,
        id: impl Into<ChildId>,
    ) -> Result<ChildInfo, ChildError> {
        match self.ask(cx, Request::WhichChild(id.into())).await? {
            Answer::ChildInfo(child) => child,
            _ => Err(confused()),
        }
    }

    /// How many children there are. `supervisor:count_children/1`.
    ///
    /// # Errors
    /// [`ChildError::Supervisor`].
    pub async fn count_children(&self, cx: &mut Context) -> Result<ChildCounts, ChildError> {
        match self.ask(cx, Request::CountChildren).await? {
            Answer::Counts(counts) => Ok(counts),
            _ => Err(confused()),
        }
    }

    /// A child's specification. `supervisor:get_childspec/2`.
    ///
    /// # Errors
    /// There is none such.
    pub async fn get_childspec(
        &self,
        cx: &mut Context,
        id: impl Into<ChildId>,
    ) -> Result<Childspec, ChildError> {
        match self.ask(cx, Request::GetChildspec(id.into())).await? {
            Answer::Spec(spec) => *spec,
            _ => Err(confused()),
        }
    }

    /// The name of the supervisor's callback; `None` for one that was given its children itself.
    /// `supervisor:get_callback_module/1`.
    ///
    /// # Errors
    /// [`ChildError::Supervisor`].
    pub async fn get_callback_module(
        &self,
        cx: &mut Context,
    ) -> Result<Option<String>, ChildError> {
        match self.ask(cx, Request::GetCallbackModule).await? {
            Answer::Module(module) => Ok(module),
            _ => Err(confused()),
        }
    }

    /// Has the supervisor call its callback again, and take on the flags and specifications that it gives now. Running
    /// children run on; those with a new specification are restarted by that, and new ones are started by
    /// [`restart_child`](Self::restart_child). `supervisor:code_change/3`.
    ///
    /// # Errors
    /// What the callback gave was wrong, and all stays as it was; [`ChildError::CodeChange`] when there is no callback.
    pub async fn code_change(&self, cx: &mut Context) -> Result<(), ChildError> {
        self.ask_done(cx, Request::CodeChange).await
    }

    async fn ask(&self, cx: &mut Context, request: Request) -> Result<Answer, ChildError> {
        self.call_timeout(cx, request, Timeout::Infinity)
            .await
            .map_err(|error| ChildError::Supervisor(error.into()))
    }

    async fn ask_child(&self, cx: &mut Context, request: Request) -> Result<Pid, ChildError> {
        match self.ask(cx, request).await? {
            Answer::Child(child) => child?.pid.ok_or(ChildError::Start(StartError::Ignore)),
            _ => Err(confused()),
        }
    }

    async fn ask_done(&self, cx: &mut Context, request: Request) -> Result<(), ChildError> {
        match self.ask(cx, request).await? {
            Answer::Done(done) => done,
            _ => Err(confused()),
        }
    }
}

/// A specification that had moved out of its message already.
pub(crate) fn moved() -> ChildError {
    ChildError::Start(StartError::Spawn("the specification was sent twice".into()))
}

/// The reference named something that is not a supervisor.
pub(crate) fn confused() -> ChildError {
    ChildError::Supervisor(ExitReason::from("the answer was to another question"))
}
