//! A supervisor for children that come and go, by the million: Elixir's `DynamicSupervisor`,
//! OTP's `simple_one_for_one`.
//!
//! It differs from a [`Supervisor`](crate::supervisor) in that
//! * it starts empty, and children are known by their pid; ids are only labels;
//! * children have no order: the strategy is one_for_one, and at the end all are shut down at
//!   once, each within its own limit, so the time is that of the slowest;
//! * it may limit how many there are;
//! * a one-shot child ([`ChildSpec::once`]) is cheap, and what it captured moves into it: an
//!   accepted socket.
//!
//! # The life of a dynamic supervisor
//!
//! 1. It traps exits, and waits for `start_child`. The child is linked to it; the call returns
//!    when the child has started. One that fails to start, or ignores, is not kept.
//! 2. A child ends. A temporary one, or a transient one that ended well, is forgotten. Any other
//!    is started again, which counts against the intensity, as a supervisor's do.
//! 3. A restart that fails is tried again behind what waits in the mailbox. Until then the child
//!    is listed under its old pid as restarting, and can be terminated by that.
//! 4. It ends as a supervisor does.
//!
//! # Races
//!
//! * The caller of `start_child` may be gone when the child is there: the child stays.
//! * `terminate_child` may meet a child that just ended: it is found dead, and not restarted.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use otp_stdlib::prelude::*;
//! use otp_vm::{Context, Vm};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vm = Vm::builder().schedulers(1).build()?;
//! let active = vm
//!     .run(async |mut cx: Context| {
//!         let flags = DynamicSupervisorFlags::new().max_children(100);
//!         let sessions = DynamicSupervisor::start_link(&mut cx, flags).await.unwrap();
//!         let socket = String::from("a thing that is moved into its process");
//!         let session = ChildSpec::process_once("session", async move |mut cx: Context| {
//!             let _serve = socket;
//!             cx.receive().await;
//!         });
//!         sessions.start_child(&mut cx, session).await.unwrap();
//!         sessions.count_children(&mut cx).await.unwrap().active
//!     })
//!     .wait()?;
//! assert_eq!(active, 1);
//! vm.shutdown(Duration::from_secs(1)).wait();
//! # Ok(())
//! # }
//! ```

mod callback;

use std::fmt;
use std::time::Duration;

use otp_vm::{Arguments, ArgumentsError, Context, ExitReason, Native, OwnedTerm, Pid, Timeout};
use serde::{Deserialize, Serialize};

use crate::gen_server::{From, GenServer, Init, Name, NoMessage, NoReply, Reply, ServerRef, Start};
use crate::proc_lib::StartError;
use crate::supervisor::dynamics::{Dynamics, Ended};
use crate::supervisor::report::{ReportContext, Reporter, reached_max_restart_intensity};
use crate::supervisor::restart::tell_oneself;
use crate::supervisor::{
    Child, ChildCounts, ChildError, ChildInfo, ChildSpec, Given, Info, Intensity, MAX_RESTARTS,
    MAX_SECONDS, confused, moved,
};
use crate::sys;
use crate::unwind::drop_caught;

use callback::Callback;
pub use callback::{DynamicInit, SuperviseDynamic};

/// A reference to a dynamic supervisor.
pub type DynamicSupervisorRef = ServerRef<DynamicSupervisor>;

/// How a dynamic supervisor treats its children.
#[derive(Clone, Debug)]
pub struct DynamicSupervisorFlags {
    max_restarts: u32,
    period: Duration,
    max_children: u64,
    extra_arguments: Option<Arguments>,
    /// Gives the others in their place.
    callback: Option<Callback>,
}

impl DynamicSupervisorFlags {
    /// Elixir's defaults: 3 restarts within 5 seconds, any number of children.
    pub fn new() -> Self {
        Self {
            max_restarts: MAX_RESTARTS,
            period: MAX_SECONDS,
            max_children: u64::MAX,
            extra_arguments: None,
            callback: None,
        }
    }

    /// At most `max_restarts` within `period`, over all children; one more ends the supervisor. With
    /// a period of zero it does not start.
    pub fn intensity(mut self, max_restarts: u32, period: Duration) -> Self {
        self.max_restarts = max_restarts;
        self.period = period;
        self
    }

    /// At most so many children at a time; one more is [`ChildError::MaxChildren`].
    pub fn max_children(mut self, max_children: u64) -> Self {
        self.max_children = max_children;
        self
    }
}

impl DynamicSupervisorFlags {
    /// Arguments that come before those of each child which is started by module, function and arguments
    /// ([`ChildSpec::call`], [`DynamicSupervisorRef::start_child_data`]). A child whose start is a closure has what it
    /// captured, and does not start with any of these.
    ///
    /// # Errors
    /// When they are no arguments: see [`Arguments::new`].
    pub fn extra_arguments<A: Serialize + ?Sized>(
        mut self,
        arguments: &A,
    ) -> Result<Self, ArgumentsError> {
        self.extra_arguments = Some(Arguments::new(arguments)?);
        Ok(self)
    }
}

impl Default for DynamicSupervisorFlags {
    fn default() -> Self {
        Self::new()
    }
}

/// The supervisor's process.
pub struct DynamicSupervisor {
    intensity: Intensity,
    max_children: u64,
    extra_arguments: Option<Arguments>,
    callback: Option<Callback>,
    reporter: Reporter,
    children: Dynamics,
}

/// A request to a dynamic supervisor. Use the functions of [`DynamicSupervisorRef`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Request {
    /// `DynamicSupervisor.start_child/2`.
    StartChild(Native<ChildSpec>),
    /// `DynamicSupervisor.start_child/2`, with a specification that is data.
    StartChildData(Given),
    /// `DynamicSupervisor.terminate_child/2`.
    TerminateChild(Pid),
    /// `DynamicSupervisor.which_children/1`.
    WhichChildren,
    /// `DynamicSupervisor.count_children/1`.
    CountChildren,
}

/// The reply to a [`Request`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// To `StartChild`.
    Child(Result<Child, ChildError>),
    /// To `TerminateChild`.
    Done(Result<(), ChildError>),
    /// To `WhichChildren`.
    Children(Vec<ChildInfo>),
    /// To `CountChildren`.
    Counts(ChildCounts),
}

/// What the supervisor tells itself, as the reason of an exit signal of its own.
#[derive(Debug, Serialize, Deserialize)]
pub enum Later {
    /// The restart of the child with this former pid failed, and is due again.
    TryAgainRestart(Pid),
}

/// `{supervisor_data, Error}`.
#[derive(Serialize)]
enum Reason {
    SupervisorData(crate::supervisor::FlagsError),
}

impl DynamicSupervisor {
    /// Starts a dynamic supervisor, linked to the caller. `DynamicSupervisor.start_link/1`.
    ///
    /// Await the result, perhaps after `name`.
    pub fn start_link(cx: &mut Context, flags: DynamicSupervisorFlags) -> Start<'_, Self> {
        <Self as GenServer>::start_link(cx, flags)
    }

    /// A dynamic supervisor as a child of another supervisor, without a name, with the id `DynamicSupervisor`.
    /// `DynamicSupervisor.child_spec/1`.
    pub fn child_spec(flags: DynamicSupervisorFlags) -> ChildSpec {
        <Self as GenServer>::child_spec(flags).into_supervisor()
    }

    /// As [`child_spec`](Self::child_spec), with a name, which is the id as well.
    pub fn child_spec_with_name(name: &'static str, flags: DynamicSupervisorFlags) -> ChildSpec {
        <Self as GenServer>::child_spec_with_name(name, flags).into_supervisor()
    }

    /// As [`child_spec_with_name`](Self::child_spec_with_name), for a name of any kind.
    pub fn child_spec_named(name: Name, flags: DynamicSupervisorFlags) -> ChildSpec {
        <Self as GenServer>::child_spec_named(name, flags).into_supervisor()
    }
}

impl fmt::Debug for DynamicSupervisor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("DynamicSupervisor")
            .field("children", &self.children.len())
            .finish_non_exhaustive()
    }
}

impl GenServer for DynamicSupervisor {
    type Args = DynamicSupervisorFlags;
    type Call = Request;
    type Reply = Answer;
    type Cast = NoMessage;
    type Info = Info;
    type Continue = NoMessage;

    async fn init(mut flags: DynamicSupervisorFlags, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(true);
        let callback = flags.callback.take();
        if let Some(callback) = &callback {
            flags = match callback.init(cx).await {
                DynamicInit::Ok(flags) => flags,
                DynamicInit::Ignore => return Init::ignore(),
                DynamicInit::Stop(reason) => return Init::stop(reason),
            };
        }
        match Intensity::new(flags.max_restarts, flags.period) {
            Ok(intensity) => Init::ok(Self {
                intensity,
                max_children: flags.max_children,
                extra_arguments: flags.extra_arguments,
                callback,
                reporter: Reporter::new(cx),
                children: Dynamics::default(),
            }),
            Err(error) => Init::stop(ExitReason::new(&Reason::SupervisorData(error))),
        }
    }

    async fn handle_call(
        &mut self,
        request: Request,
        _from: From<Answer>,
        cx: &mut Context,
    ) -> Reply<Self> {
        Reply::new(match request {
            Request::StartChild(spec) => Answer::Child(match spec.into_inner() {
                Some(spec) => self.start_child(spec, cx).await,
                None => Err(moved()),
            }),
            Request::StartChildData(data) => {
                Answer::Child(match ChildSpec::from_term(data.term()) {
                    Ok(spec) => self.start_child(spec, cx).await,
                    Err(error) => Err(error.into()),
                })
            }
            Request::TerminateChild(pid) => {
                let ended = self.children.terminate(pid, self.reporter, cx).await;
                Answer::Done(ended.then_some(()).ok_or(ChildError::NotFound))
            }
            Request::WhichChildren => Answer::Children(self.children.which()),
            Request::CountChildren => Answer::Counts(self.children.count()),
        })
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context) -> NoReply<Self> {
        let Info::Exit(pid, reason) = info;
        if pid == cx.pid() {
            return match reason.decode() {
                Ok(later) => self.later(later, cx).await,
                Err(_) => NoReply::new(),
            };
        }
        if cx.vm().is_alive(pid) {
            // A signal that a child sent, which lives: to start it again would make two of it.
            return NoReply::new();
        }
        match self.children.ended(pid, &reason, self.reporter, cx) {
            Ended::Restart(spec) => self.restart(pid, spec, cx).await,
            Ended::Stranger | Ended::Gone { .. } => NoReply::new(),
        }
    }

    /// The callback is called again: [`DynamicSupervisor::start_link_with`].
    async fn code_change(
        &mut self,
        _old_version: OwnedTerm,
        _extra: OwnedTerm,
        cx: &mut Context,
    ) -> Result<(), ExitReason> {
        self.take_on(cx).await
    }

    fn system_get_state(&self) -> OwnedTerm {
        #[derive(Serialize)]
        struct State {
            children: ChildCounts,
            max_children: u64,
            intensity: (usize, u64),
        }
        sys::term(&State {
            children: self.children.count(),
            max_children: self.max_children,
            intensity: self.intensity.limits(),
        })
    }

    async fn terminate(&mut self, _reason: &ExitReason, cx: &mut Context) {
        self.children.shut_down(self.reporter, cx).await;
    }
}

impl DynamicSupervisor {
    async fn start_child(
        &mut self,
        mut spec: ChildSpec,
        cx: &mut Context,
    ) -> Result<Child, ChildError> {
        if let Err(error) = self.admit(&mut spec) {
            drop_caught(spec);
            return Err(error);
        }
        let started = self.children.start(spec, self.reporter, cx).await;
        started
            .map(|started| started.into())
            .map_err(ChildError::Start)
    }

    /// Whether there is room for it; it has the arguments of all then.
    fn admit(&self, spec: &mut ChildSpec) -> Result<(), ChildError> {
        if self.children.len() >= self.max_children {
            return Err(ChildError::MaxChildren(self.max_children));
        }
        match &self.extra_arguments {
            Some(extra) => spec.add_arguments(extra).map_err(ChildError::Start),
            None => Ok(()),
        }
    }

    async fn later(&mut self, later: Later, cx: &mut Context) -> NoReply<Self> {
        let Later::TryAgainRestart(pid) = later;
        match self.children.waiting(pid) {
            Some(spec) => self.restart(pid, spec, cx).await,
            // Terminated by hand meanwhile.
            None => NoReply::new(),
        }
    }

    /// Starts a child again in place of its former process; or gives up.
    async fn restart(&mut self, before: Pid, spec: ChildSpec, cx: &mut Context) -> NoReply<Self> {
        if !self.intensity.add(cx.monotonic_time()) {
            let (context, reason) = (ReportContext::Shutdown, reached_max_restart_intensity());
            self.reporter
                .error(cx, context, &reason, &spec, Some(before));
            return NoReply::stop(ExitReason::shutdown());
        }
        if !self.children.restart(before, spec, self.reporter, cx).await {
            tell_oneself(cx, &Later::TryAgainRestart(before));
        }
        NoReply::new()
    }
}

impl DynamicSupervisorRef {
    /// Starts a child, and returns when it has started. `DynamicSupervisor.start_child/2`.
    ///
    /// # Errors
    /// The limit is reached, or the child did not start.
    pub async fn start_child(&self, cx: &mut Context, spec: ChildSpec) -> Result<Pid, ChildError> {
        match self.ask(cx, Request::StartChild(Native::new(spec))).await? {
            Answer::Child(child) => child?.pid.ok_or(ChildError::Start(StartError::Ignore)),
            _ => Err(confused()),
        }
    }

    /// As [`start_child`](Self::start_child), by a specification that is data: OTP's map or tuple. Its id is only a
    /// label.
    ///
    /// # Errors
    /// As [`start_child`](Self::start_child), and [`ChildError::Spec`].
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

    /// Shuts a child down; it is not started again. `DynamicSupervisor.terminate_child/2`.
    ///
    /// # Errors
    /// There is none with this pid.
    pub async fn terminate_child(&self, cx: &mut Context, pid: Pid) -> Result<(), ChildError> {
        match self.ask(cx, Request::TerminateChild(pid)).await? {
            Answer::Done(done) => done,
            _ => Err(confused()),
        }
    }

    /// The children, in no order. `DynamicSupervisor.which_children/1`.
    ///
    /// # Errors
    /// [`ChildError::Supervisor`].
    pub async fn which_children(&self, cx: &mut Context) -> Result<Vec<ChildInfo>, ChildError> {
        match self.ask(cx, Request::WhichChildren).await? {
            Answer::Children(children) => Ok(children),
            _ => Err(confused()),
        }
    }

    /// How many children there are. `DynamicSupervisor.count_children/1`.
    ///
    /// # Errors
    /// [`ChildError::Supervisor`].
    pub async fn count_children(&self, cx: &mut Context) -> Result<ChildCounts, ChildError> {
        match self.ask(cx, Request::CountChildren).await? {
            Answer::Counts(counts) => Ok(counts),
            _ => Err(confused()),
        }
    }

    async fn ask(&self, cx: &mut Context, request: Request) -> Result<Answer, ChildError> {
        self.call_timeout(cx, request, Timeout::Infinity)
            .await
            .map_err(|error| ChildError::Supervisor(error.into()))
    }
}
