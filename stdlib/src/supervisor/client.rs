//! What others may ask of a supervisor.

use otp_vm::{Context, ExitReason, Native, Pid, Timeout};
use serde::{Deserialize, Serialize};

use super::Supervisor;
use super::child::{ChildId, ChildKind, ChildSpec, Restart, Shutdown};
use crate::gen_server::ServerRef;
use crate::proc_lib::StartError;

/// A reference to a supervisor.
pub type SupervisorRef = ServerRef<Supervisor>;

/// A request to a supervisor. Use the functions of [`SupervisorRef`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// `supervisor:start_child/2`. A closure can't be copied, so it moves.
    StartChild(Native<ChildSpec>),
    /// `supervisor:restart_child/2`.
    RestartChild(ChildId),
    /// `supervisor:terminate_child/2`.
    TerminateChild(ChildId),
    /// `supervisor:delete_child/2`.
    DeleteChild(ChildId),
    /// `supervisor:which_children/1`.
    WhichChildren,
    /// `supervisor:count_children/1`.
    CountChildren,
    /// `supervisor:get_childspec/2`.
    GetChildspec(ChildId),
}

/// The reply to a [`Request`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// To those that start a child; `None`: it chose not to run.
    Child(Result<Option<Pid>, ChildError>),
    /// To those that end one.
    Done(Result<(), ChildError>),
    /// To `WhichChildren`.
    Children(Vec<ChildInfo>),
    /// To `CountChildren`.
    Counts(ChildCounts),
    /// To `GetChildspec`.
    Spec(Result<Childspec, ChildError>),
}

/// A child in a list.
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

/// A child specification without its start, which is a closure and can't be shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Childspec {
    /// The child's id.
    pub id: ChildId,
    /// When it is started again.
    pub restart: Restart,
    /// How it is ended.
    pub shutdown: Shutdown,
    /// Worker or supervisor.
    pub kind: ChildKind,
    /// Whether its end may end the supervisor.
    pub significant: bool,
}

impl Childspec {
    pub(super) fn of(spec: &ChildSpec) -> Self {
        Self {
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
    /// Two children of one list have the same id.
    #[error("two children have the id {0}; each needs its own")]
    DuplicateChild(ChildId),
    /// A significant child must not be permanent, and needs a supervisor with `auto_shutdown`.
    #[error(
        "the child {0} can't be significant: make it transient or temporary, and set auto_shutdown"
    )]
    BadSignificance(ChildId),
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
            Answer::Spec(spec) => spec,
            _ => Err(confused()),
        }
    }

    async fn ask(&self, cx: &mut Context, request: Request) -> Result<Answer, ChildError> {
        self.call_timeout(cx, request, Timeout::Infinity)
            .await
            .map_err(|error| ChildError::Supervisor(error.into()))
    }

    async fn ask_child(&self, cx: &mut Context, request: Request) -> Result<Pid, ChildError> {
        match self.ask(cx, request).await? {
            Answer::Child(child) => child?.ok_or(ChildError::Start(StartError::Ignore)),
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
