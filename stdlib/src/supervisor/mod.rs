//! A process that starts, watches and restarts others: OTP's `supervisor`.
//!
//! # The life of a supervisor
//!
//! 1. It traps exits and starts its children, in order, each linked to it; a child is started
//!    when its own start says so (a server's `init` is done). If one fails, those already started
//!    are shut down in reverse order, and the supervisor fails with
//!    `{shutdown, {failed_to_start_child, Id, Reason}}`. A child that says `ignore` is kept
//!    without a process (a temporary one is dropped).
//! 2. A child ends. Its [`Restart`] type decides whether it is started again. A temporary child
//!    leaves the list; a transient one that ended well is kept without a process.
//! 3. A restart counts against the intensity, [`MAX_RESTARTS`] within [`MAX_SECONDS`] unless told
//!    otherwise. One too many, and the supervisor shuts all children down and exits `shutdown`,
//!    so that its own supervisor may try at a larger scale.
//! 4. The strategy says who else is affected: [`one_for_one`](SupervisorFlags::one_for_one)
//!    nobody; [`rest_for_one`](SupervisorFlags::rest_for_one) those that started after the child;
//!    [`one_for_all`](SupervisorFlags::one_for_all) everyone. The affected are shut down in
//!    reverse order, and started again in order; temporary ones are not.
//! 5. A start that fails within a restart counts as another restart. The supervisor sends itself
//!    the message to try again, so calls to it are served in between.
//! 6. It ends when its parent says `shutdown` or ends, when it is stopped, or by point 3: children
//!    are shut down one after the other, in reverse order, each within its own [`Shutdown`].
//!
//! # Races
//!
//! * A child may end while it is being shut down. Its monitor tells, and its `EXIT` is taken out
//!   of the mailbox: it is not restarted on top. See `shutdown.rs`.
//! * A child may send the supervisor an exit signal, and live on. It is not taken for its end.
//! * A child may unlink itself. It is still shut down: the monitor sees its end.
//! * A sibling may end while another is restarted with it. It is found dead when its turn comes
//!   to be shut down, and counts once.
//! * A child may be terminated by hand while it waits to be tried again. The late message finds
//!   that it no longer waits, and does nothing.
//! * Killing a supervisor (`kill`) leaves its children to their links: they end with `killed`,
//!   except those that trap exits and ignore it.
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
//!         let children = vec![
//!             ChildSpec::process("first", async |mut cx: Context| { cx.receive().await; }),
//!             ChildSpec::process("second", async |mut cx: Context| { cx.receive().await; })
//!                 .restart(Restart::Transient)
//!                 .shutdown(Shutdown::BrutalKill),
//!         ];
//!         let flags = SupervisorFlags::rest_for_one().intensity(10, Duration::from_secs(1));
//!         let supervisor = Supervisor::start_link(&mut cx, flags, children).name("tree").await.unwrap();
//!         let counts = supervisor.count_children(&mut cx).await.unwrap();
//!         supervisor.stop(&mut cx, otp_vm::ExitReason::normal(), Duration::from_secs(5)).await.unwrap();
//!         counts.active
//!     })
//!     .wait()?;
//! assert_eq!(active, 2);
//! vm.shutdown(Duration::from_secs(1)).wait();
//! # Ok(())
//! # }
//! ```

mod by_call;
mod child;
mod children;
mod client;
mod intensity;
mod restart;
pub(crate) mod shutdown;

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use otp_vm::{Context, ExitReason, Pid};
use serde::{Deserialize, Serialize};

pub use child::{BoxFuture, ChildId, ChildKind, ChildSpec, Restart, Shutdown, WORKER_SHUTDOWN};
pub use client::{Answer, ChildCounts, ChildError, ChildInfo, Childspec, Request, SupervisorRef};
pub(crate) use client::{confused, moved};
pub(crate) use intensity::Intensity;
pub use intensity::{MAX_RESTARTS, MAX_SECONDS};

use crate::gen_server::{From, GenServer, Init, NoMessage, NoReply, Reply, Start};
use crate::proc_lib::StartError;
use crate::report::{self, Doing};
use children::{ChildState, Children, Place};

/// Who is restarted together with a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Strategy {
    OneForOne,
    OneForAll,
    RestForOne,
}

/// Whether the supervisor ends by itself when significant children do. `auto_shutdown` of OTP 24.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AutoShutdown {
    /// No. The default; then no child may be significant.
    #[default]
    Never,
    /// When one significant child ended and is not restarted.
    AnySignificant,
    /// When the last significant child ended and none is restarted.
    AllSignificant,
}

/// How a supervisor treats its children: OTP's `sup_flags`.
#[derive(Clone, Debug)]
pub struct SupervisorFlags {
    strategy: Strategy,
    max_restarts: u32,
    period: Duration,
    auto_shutdown: AutoShutdown,
}

impl SupervisorFlags {
    fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            max_restarts: MAX_RESTARTS,
            period: MAX_SECONDS,
            auto_shutdown: AutoShutdown::Never,
        }
    }

    /// A child is restarted alone.
    pub fn one_for_one() -> Self {
        Self::new(Strategy::OneForOne)
    }

    /// All children are restarted together.
    pub fn one_for_all() -> Self {
        Self::new(Strategy::OneForAll)
    }

    /// A child is restarted together with those that started after it.
    pub fn rest_for_one() -> Self {
        Self::new(Strategy::RestForOne)
    }

    /// At most `max_restarts` within `period`; one more ends the supervisor. With a period of
    /// zero it does not start.
    pub fn intensity(mut self, max_restarts: u32, period: Duration) -> Self {
        self.max_restarts = max_restarts;
        self.period = period;
        self
    }

    /// Whether the supervisor ends with its significant children.
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }
}

/// The supervisor's process: a [`GenServer`], as in OTP.
pub struct Supervisor {
    strategy: Strategy,
    auto_shutdown: AutoShutdown,
    intensity: Intensity,
    children: Children,
}

impl Supervisor {
    /// Starts a supervisor with its children, linked to the caller. `supervisor:start_link/2,3`.
    ///
    /// Await the result, perhaps after `name`. It returns when all children have started.
    pub fn start_link(
        cx: &mut Context,
        flags: SupervisorFlags,
        children: Vec<ChildSpec>,
    ) -> Start<'_, Self> {
        <Self as GenServer>::start_link(cx, (flags, children))
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Supervisor")
            .field("strategy", &self.strategy)
            .field("children", &self.children.count())
            .finish_non_exhaustive()
    }
}

/// A message of the supervisor to itself.
#[derive(Debug, Serialize, Deserialize)]
pub enum Later {
    /// The child's restart failed and is due again.
    TryAgainRestart(ChildId),
}

/// What reaches a supervisor besides calls.
#[derive(Debug, Deserialize)]
pub enum Info {
    /// A linked process ended.
    #[serde(rename = "EXIT")]
    Exit(Pid, ExitReason),
}

/// Reasons that a supervisor gives.
#[derive(Serialize)]
enum Reason<'a> {
    FailedToStartChild(&'a ChildId, ExitReason),
    StartSpec(&'a ChildError),
}

impl GenServer for Supervisor {
    type Args = (SupervisorFlags, Vec<ChildSpec>);
    type Call = Request;
    type Reply = Answer;
    type Cast = Later;
    type Info = Info;
    type Continue = NoMessage;

    async fn init((flags, specs): Self::Args, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(true);
        let intensity = match Intensity::new(flags.max_restarts, flags.period) {
            Ok(intensity) => intensity,
            Err(reason) => return Init::stop(reason),
        };
        let mut supervisor = Self {
            strategy: flags.strategy,
            auto_shutdown: flags.auto_shutdown,
            intensity,
            children: Children::default(),
        };
        if let Err(error) = check(&specs, flags.auto_shutdown) {
            return Init::stop(ExitReason::new(&Reason::StartSpec(&error)));
        }
        for spec in specs {
            let place = supervisor.children.push(spec);
            let Err(error) = supervisor.start_place(place, cx).await else {
                continue;
            };
            let id = supervisor
                .children
                .get(place)
                .map(|child| child.spec.id.clone());
            supervisor.terminate_from(0, cx).await;
            let id = id.unwrap_or_else(|| ChildId::from(""));
            let reason = Reason::FailedToStartChild(&id, error.into());
            return Init::stop(ExitReason::shutdown_with(&reason));
        }
        Init::ok(supervisor)
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
            Request::RestartChild(id) => Answer::Child(self.restart_child(&id, cx).await),
            Request::TerminateChild(id) => Answer::Done(self.terminate_child(&id, cx).await),
            Request::DeleteChild(id) => Answer::Done(self.delete_child(&id)),
            Request::WhichChildren => Answer::Children(self.children.which()),
            Request::CountChildren => Answer::Counts(self.children.count()),
            Request::GetChildspec(id) => {
                let place = self.children.place_of(&id);
                let child = place.and_then(|place| self.children.get(place));
                let spec = child.map(|child| Childspec::of(&child.spec));
                Answer::Spec(spec.ok_or(ChildError::NotFound))
            }
        })
    }

    async fn handle_cast(&mut self, later: Later, cx: &mut Context) -> NoReply<Self> {
        let Later::TryAgainRestart(id) = later;
        let waits = |&place: &Place| {
            let child = self.children.get(place);
            child.is_some_and(|child| child.state() == ChildState::Restarting)
        };
        match self.children.place_of(&id).filter(waits) {
            Some(place) => self.restart(place, cx).await,
            // Terminated, deleted or restarted by hand meanwhile.
            None => NoReply::new(),
        }
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context) -> NoReply<Self> {
        let Info::Exit(pid, reason) = info;
        match self.children.place_of_pid(pid) {
            // A child that lives sent the signal itself: to start it again would make two of it.
            Some(place) if !cx.vm().is_alive(pid) => {
                self.child_ended(place, pid, &reason, cx).await
            }
            // Somebody linked himself, or a child whose end was dealt with already.
            _ => NoReply::new(),
        }
    }

    async fn terminate(&mut self, _reason: &ExitReason, cx: &mut Context) {
        self.terminate_from(0, cx).await;
    }
}

impl Supervisor {
    /// Starts the child at `place`. A child that ignores is left without a process, a temporary
    /// one is dropped then.
    async fn start_place(
        &mut self,
        place: Place,
        cx: &mut Context,
    ) -> Result<Option<Pid>, StartError> {
        let Some(child) = self.children.get_mut(place) else {
            return Ok(None);
        };
        match child.spec.start.start(cx).await {
            Ok(pid) => {
                report::progress(cx.pid(), child.spec.id.as_str(), pid);
                self.children.set(place, ChildState::Running(pid));
                Ok(Some(pid))
            }
            Err(StartError::Ignore) => {
                if child.spec.restart == Restart::Temporary {
                    self.children.remove(place);
                } else {
                    self.children.set(place, ChildState::Stopped);
                }
                Ok(None)
            }
            Err(error) => {
                let id = child.spec.id.as_str();
                report::supervisor(cx.pid(), Doing::StartError, &error, id, None);
                Err(error)
            }
        }
    }

    async fn start_child(
        &mut self,
        spec: ChildSpec,
        cx: &mut Context,
    ) -> Result<Option<Pid>, ChildError> {
        check(std::slice::from_ref(&spec), self.auto_shutdown)?;
        if let Some(child) = self
            .children
            .place_of(&spec.id)
            .and_then(|at| self.children.get(at))
        {
            return Err(match child.state() {
                ChildState::Running(pid) => ChildError::AlreadyStarted(pid),
                _ => ChildError::AlreadyPresent,
            });
        }
        let place = self.children.push(spec);
        match self.start_place(place, cx).await {
            Ok(pid) => Ok(pid),
            Err(error) => {
                self.children.remove(place);
                Err(ChildError::Start(error))
            }
        }
    }

    async fn restart_child(
        &mut self,
        id: &ChildId,
        cx: &mut Context,
    ) -> Result<Option<Pid>, ChildError> {
        let place = self.stopped(id)?;
        self.start_place(place, cx).await.map_err(ChildError::Start)
    }

    fn delete_child(&mut self, id: &ChildId) -> Result<(), ChildError> {
        let place = self.stopped(id)?;
        self.children.remove(place);
        Ok(())
    }

    /// The place of a child that is there, but not running.
    fn stopped(&self, id: &ChildId) -> Result<Place, ChildError> {
        let place = self.children.place_of(id).ok_or(ChildError::NotFound)?;
        match self
            .children
            .get(place)
            .ok_or(ChildError::NotFound)?
            .state()
        {
            ChildState::Stopped => Ok(place),
            ChildState::Running(_) => Err(ChildError::Running),
            ChildState::Restarting => Err(ChildError::Restarting),
        }
    }

    async fn terminate_child(&mut self, id: &ChildId, cx: &mut Context) -> Result<(), ChildError> {
        let place = self.children.place_of(id).ok_or(ChildError::NotFound)?;
        self.terminate_place(place, cx).await;
        Ok(())
    }
}

/// Checks specifications before any child is started.
fn check(specs: &[ChildSpec], auto_shutdown: AutoShutdown) -> Result<(), ChildError> {
    let mut ids = HashSet::new();
    for spec in specs {
        if !ids.insert(&spec.id) {
            return Err(ChildError::DuplicateChild(spec.id.clone()));
        }
        if spec.significant
            && (spec.restart == Restart::Permanent || auto_shutdown == AutoShutdown::Never)
        {
            return Err(ChildError::BadSignificance(spec.id.clone()));
        }
    }
    Ok(())
}
