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
//! # Specifications that are data
//!
//! A child may be started by a function of a process module, by name: [`ChildSpec::call`]. The whole specification may
//! be a term, OTP's map or tuple ([`ChildSpec::from_term`], [`check_childspecs`]), and so may the flags
//! ([`SupervisorFlags::from_term`]) and the callback that gives both ([`Supervisor::start_link_call`]).
//!
//! # Requests that are terms
//!
//! Any process may call a supervisor as it would one of OTP's: with `{start_child, Spec}`, `{restart_child, Id}`,
//! `{terminate_child, Id}`, `{delete_child, Id}`, `{get_childspec, Id}`, `{which_child, Id}`, `which_children`,
//! `count_children`. It is answered as by OTP's. [`SupervisorRef`] has the same as functions.
//!
//! # Where this differs from OTP
//!
//! * Rust's flags have Elixir's intensity, 3 within 5 seconds, unless told otherwise; those that are data have OTP's,
//!   1.
//! * [`SupervisorRef::which_children`] lists children in the order of their start; OTP, and the answer to the request
//!   that is a term, newest first.
//! * An id that is a text is the same as an atom and as a binary: [`ChildId`].
//! * A child that ends while its siblings are shut down for a restart is not restarted on top.
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

mod back_off;
mod by_call;
mod callback;
mod child;
mod children;
mod client;
mod data;
pub(crate) mod dynamics;
mod id;
mod intensity;
pub(crate) mod report;
pub(crate) mod restart;
pub(crate) mod shutdown;
mod simple;
mod wire;

use std::fmt;
use std::pin::pin;
use std::time::Duration;

use otp_vm::{Call, Context, DecodeError, ExitReason, Message, MessageKind, OwnedTerm, Pid};
use serde::{Deserialize, Serialize};

pub use callback::{Supervise, SupervisorInit};
pub use child::{
    BoxFuture, ChildKind, ChildSpec, Modules, Restart, Shutdown, Started, WORKER_SHUTDOWN,
};
pub use client::{
    Answer, Child, ChildCounts, ChildError, ChildInfo, Childspec, Request, SupervisorRef,
};
pub(crate) use client::{confused, moved};
pub use data::{FlagsError, Given, SpecError, check_childspecs};
pub use id::ChildId;
pub(crate) use intensity::Intensity;
pub use intensity::{MAX_RESTARTS, MAX_SECONDS};
pub use report::{Offender, ReportContext, SupervisorReport};

use crate::gen_server::{From, GenServer, Init, NoMessage, NoReply, Reply, Start};
use crate::proc_lib::StartError;
use crate::report::UNKNOWN_TEXT_LIMIT_BYTES;
use crate::sys;
use crate::unwind::Caught;
use back_off::BackOff;
use callback::Callback;
use children::{ChildState, Children, Place};
use data::check;
use report::Reporter;
use simple::Simple;
use wire::{Plain, request_of};

/// Who is restarted together with a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
enum Strategy {
    OneForOne,
    OneForAll,
    RestForOne,
    SimpleOneForOne,
}

/// Whether the supervisor ends by itself when significant children do. `auto_shutdown` of OTP 24.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
    back_off: Option<BackOff>,
}

impl SupervisorFlags {
    fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            max_restarts: MAX_RESTARTS,
            period: MAX_SECONDS,
            auto_shutdown: AutoShutdown::Never,
            back_off: None,
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

    /// Children come and go, all started by the one specification that there is, with arguments of their own:
    /// [`SupervisorRef::start_child_with`]. See [`DynamicSupervisor`](crate::DynamicSupervisor) for children that
    /// differ.
    pub fn simple_one_for_one() -> Self {
        Self::new(Strategy::SimpleOneForOne)
    }

    /// At most `max_restarts` within `period`; one more ends the supervisor. With a period of
    /// zero it does not start.
    pub fn intensity(mut self, max_restarts: u32, period: Duration) -> Self {
        self.max_restarts = max_restarts;
        self.period = period;
        self
    }

    pub(crate) fn is_auto_shutdown(&self) -> bool {
        self.auto_shutdown != AutoShutdown::Never
    }

    /// Whether the supervisor ends with its significant children.
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// Has each restart wait: for `first`, and twice as long for each restart that was within the period, but never
    /// longer than `longest`. Not OTP's, and off unless asked for.
    ///
    /// Meanwhile the child is listed as restarting, and its siblings run on, whatever the strategy; it can be
    /// terminated, which ends the wait. A restart counts against the intensity when it is made. Children of the
    /// strategy `simple_one_for_one` don't wait.
    pub fn back_off(mut self, first: Duration, longest: Duration) -> Self {
        self.back_off = Some(BackOff { first, longest });
        self
    }
}

/// The supervisor's process: a [`GenServer`], as in OTP.
pub struct Supervisor {
    strategy: Strategy,
    auto_shutdown: AutoShutdown,
    intensity: Intensity,
    back_off: Option<BackOff>,
    reporter: Reporter,
    children: Children,
    /// The children of one whose strategy is `simple_one_for_one`, in the place of those.
    simple: Option<Box<Simple>>,
    callback: Option<Callback>,
}

/// What a supervisor starts from. Made by [`Supervisor::start_link`] and its like.
#[derive(Debug)]
pub struct SupervisorArgs(Source);

#[derive(Debug)]
enum Source {
    Given(SupervisorFlags, Vec<ChildSpec>),
    Callback(Callback),
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
        let args = SupervisorArgs(Source::Given(flags, children));
        <Self as GenServer>::start_link(cx, args)
    }

    /// As [`start_link`](Self::start_link), with the flags and children that a callback gives: see [`Supervise`].
    pub fn start_link_with<S: Supervise>(cx: &mut Context, args: S::Args) -> Start<'_, Self> {
        let args = SupervisorArgs(Source::Callback(Callback::of::<S>(args)));
        <Self as GenServer>::start_link(cx, args)
    }

    /// As [`start_link`](Self::start_link), with the flags and children that a function of a process module gives, as
    /// data: `{ok, {Flags, [ChildSpec]}}`, or `ignore`. What is wrong with them ends the start with OTP's reasons:
    /// `{bad_return, {Module, Function, Term}}`, `{supervisor_data, Error}`, `{start_spec, Error}`,
    /// `{bad_start_spec, Term}`.
    pub fn start_link_call(cx: &mut Context, init: Call) -> Start<'_, Self> {
        let args = SupervisorArgs(Source::Callback(Callback::by_call(init)));
        <Self as GenServer>::start_link(cx, args)
    }
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Supervisor")
            .field("strategy", &self.strategy)
            .field("children", &self.children.which().len())
            .finish_non_exhaustive()
    }
}

/// What the supervisor tells itself, as the reason of an exit signal of its own.
#[derive(Debug, Serialize, Deserialize)]
pub enum Later {
    /// The child's restart failed and is due again.
    TryAgainRestart(ChildId),
    /// That of a child of `simple_one_for_one`, whose process was this.
    TryAgainRestartOf(Pid),
    /// The child's restart, which was put off to this nanosecond of the monotonic time, is due: see
    /// [`SupervisorFlags::back_off`].
    BackedOff(ChildId, u64),
}

/// What reaches a supervisor besides calls.
#[derive(Debug, Deserialize)]
pub enum Info {
    /// A linked process ended; from the supervisor itself, a [`Later`].
    #[serde(rename = "EXIT")]
    Exit(Pid, ExitReason),
}

/// Reasons that a supervisor gives.
#[derive(Serialize)]
enum Reason<'a> {
    FailedToStartChild(&'a ChildId, ExitReason),
    StartSpec(&'a SpecError),
    SupervisorData(&'a FlagsError),
}

impl GenServer for Supervisor {
    type Args = SupervisorArgs;
    type Call = Request;
    type Reply = Answer;
    type Cast = NoMessage;
    type Info = Info;
    type Continue = NoMessage;

    async fn init(SupervisorArgs(source): SupervisorArgs, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(true);
        let (flags, specs, callback) = match source {
            Source::Given(flags, specs) => (flags, specs, None),
            Source::Callback(callback) => match callback.init(cx).await {
                Ok(SupervisorInit::Ok(flags, specs)) => (flags, specs, Some(callback)),
                Ok(SupervisorInit::Ignore) => return Init::ignore(),
                Ok(SupervisorInit::Stop(reason)) => return Init::stop(reason),
                Err(refused) => return Init::stop(refused),
            },
        };
        match Self::new(&flags, callback, cx) {
            Ok(supervisor) => supervisor.begin(specs, cx).await,
            Err(error) => Init::stop(ExitReason::new(&Reason::SupervisorData(&error))),
        }
    }

    async fn handle_call(
        &mut self,
        request: Request,
        _from: From<Answer>,
        cx: &mut Context,
    ) -> Reply<Self> {
        Reply::new(self.answer(request, cx).await)
    }

    async fn handle_unknown(
        &mut self,
        message: Message,
        error: DecodeError,
        cx: &mut Context,
    ) -> NoReply<Self> {
        if let MessageKind::Call { from, request } = message.kind() {
            let Some(request) = request_of(request) else {
                // The caller may be gone: a reply to nobody is not an error.
                let _ = cx.reply(&from, &Unknown::BadCall(error.to_string()));
                return NoReply::new();
            };
            let child = match &request {
                Request::StartChildData(spec) if self.simple.is_none() => Some(spec.clone()),
                _ => None,
            };
            drop(message);
            let answer = self.answer(request, cx).await;
            let plain = Plain {
                answer: &answer,
                child: child.as_ref(),
            };
            let _ = cx.reply(&from, &plain);
        } else {
            tracing::error!(
                event = "supervisor_unknown_message",
                pid = %cx.pid(),
                content = %message.term().display_limited(UNKNOWN_TEXT_LIMIT_BYTES),
                "a supervisor received an unexpected message"
            );
        }
        NoReply::new()
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context) -> NoReply<Self> {
        let Info::Exit(pid, reason) = info;
        if pid == cx.pid() {
            return match reason.decode() {
                Ok(later) => self.later(later, cx).await,
                Err(_) => NoReply::new(),
            };
        }
        if self.simple.is_some() {
            if cx.vm().is_alive(pid) {
                return NoReply::new();
            }
            return self.simple_ended(pid, &reason, cx).await;
        }
        match self.children.place_of_pid(pid) {
            // A child that lives sent the signal itself: to start it again would make two of it.
            Some(place) if !cx.vm().is_alive(pid) => {
                self.child_ended(place, pid, &reason, cx).await
            }
            // Somebody linked himself, or a child whose end was dealt with already.
            _ => NoReply::new(),
        }
    }

    /// The callback is called again: see [`SupervisorRef::code_change`].
    async fn code_change(
        &mut self,
        _old_version: OwnedTerm,
        _extra: OwnedTerm,
        cx: &mut Context,
    ) -> Result<(), ExitReason> {
        let changed = Supervisor::code_change(self, cx).await;
        changed.map_err(|error| match error {
            ChildError::CodeChange(reason) => reason,
            ChildError::Flags(error) => ExitReason::new(&error),
            ChildError::Spec(error) => ExitReason::new(&error),
            other => ExitReason::new(&other),
        })
    }

    fn system_get_state(&self) -> OwnedTerm {
        #[derive(Serialize)]
        struct State<'a> {
            strategy: Strategy,
            children: Vec<ChildInfo>,
            intensity: (usize, u64),
            auto_shutdown: AutoShutdown,
            module: Option<&'a str>,
        }
        sys::term(&State {
            strategy: self.strategy,
            children: match &self.simple {
                Some(simple) => simple.children.which(),
                None => self.children.which(),
            },
            intensity: self.intensity.limits(),
            auto_shutdown: self.auto_shutdown,
            module: self.callback.as_ref().map(|callback| callback.module),
        })
    }

    async fn terminate(&mut self, _reason: &ExitReason, cx: &mut Context) {
        if let Some(simple) = &mut self.simple {
            simple.children.shut_down(self.reporter, cx).await;
        }
        self.terminate_from(0, cx).await;
    }
}

impl Supervisor {
    fn new(
        flags: &SupervisorFlags,
        callback: Option<Callback>,
        cx: &Context,
    ) -> Result<Self, FlagsError> {
        Ok(Self {
            strategy: flags.strategy,
            auto_shutdown: flags.auto_shutdown,
            intensity: Intensity::new(flags.max_restarts, flags.period)?,
            back_off: flags.back_off,
            reporter: Reporter::new(cx),
            children: Children::default(),
            simple: None,
            callback,
        })
    }

    /// Starts the children, in order. When one fails, those that started are ended.
    async fn begin(mut self, specs: Vec<ChildSpec>, cx: &mut Context) -> Init<Self> {
        if let Err(error) = check(&specs, Some(self.auto_shutdown)) {
            return Init::stop(ExitReason::new(&Reason::StartSpec(&error)));
        }
        if self.strategy == Strategy::SimpleOneForOne {
            return match <[ChildSpec; 1]>::try_from(specs) {
                Ok([template]) => {
                    self.simple = Some(Box::new(Simple::new(template)));
                    Init::ok(self)
                }
                Err(specs) => Init::stop(callback::not_one(&specs)),
            };
        }
        for spec in specs {
            let id = spec.id.clone();
            let place = self.children.push(spec);
            let Err(error) = self.start_place(place, cx).await else {
                continue;
            };
            self.terminate_from(0, cx).await;
            let reason = Reason::FailedToStartChild(&id, error.into());
            return Init::stop(ExitReason::shutdown_with(&reason));
        }
        Init::ok(self)
    }

    async fn answer(&mut self, request: Request, cx: &mut Context) -> Answer {
        match request {
            Request::StartChild(spec) => Answer::Child(match spec.into_inner() {
                Some(_) if self.simple.is_some() => Err(ChildError::SimpleOneForOne),
                Some(spec) => self.start_child(spec, cx).await,
                None => Err(moved()),
            }),
            Request::StartChildData(data) => Answer::Child(match &mut self.simple {
                Some(simple) => simple.start_child(&data, self.reporter, cx).await,
                None => match ChildSpec::from_term(data.term()) {
                    Ok(spec) => self.start_child(spec, cx).await,
                    Err(error) => Err(error.into()),
                },
            }),
            Request::RestartChild(id) => Answer::Child(self.restart_child(&id, cx).await),
            Request::TerminateChild(id) => Answer::Done(match &mut self.simple {
                Some(simple) => simple.terminate_child(id.as_pid(), self.reporter, cx).await,
                None => self.terminate_child(&id, cx).await,
            }),
            Request::DeleteChild(id) => Answer::Done(self.delete_child(&id)),
            Request::WhichChildren => Answer::Children(match &self.simple {
                Some(simple) => simple.children.which(),
                None => self.children.which(),
            }),
            Request::WhichChild(id) => Answer::ChildInfo(match &self.simple {
                Some(simple) => simple.which_child(id.as_pid()),
                None => {
                    let child = self.children.by_id(&id).map(children::Child::info);
                    child.ok_or(ChildError::NotFound)
                }
            }),
            Request::CountChildren => Answer::Counts(match &self.simple {
                Some(simple) => simple.count(),
                None => self.children.count(|pid| cx.vm().is_alive(pid)),
            }),
            Request::GetChildspec(id) => Answer::Spec(Box::new(match &self.simple {
                Some(simple) => simple.get_childspec(id.as_pid()),
                None => {
                    let child = self.children.by_id(&id);
                    let spec = child.map(|child| Childspec::of(&child.spec));
                    spec.ok_or(ChildError::NotFound)
                }
            })),
            Request::GetCallbackModule => {
                let callback = self.callback.as_ref();
                Answer::Module(callback.map(|callback| callback.module.to_owned()))
            }
            // Nothing has changed yet when the callback panics.
            Request::CodeChange => Answer::Done(
                Caught(pin!(self.code_change(cx)))
                    .await
                    .unwrap_or_else(|reason| Err(ChildError::CodeChange(reason))),
            ),
        }
    }

    /// Starts the child at `place`. A child that ignores is left without a process, a temporary
    /// one is dropped then.
    async fn start_place(&mut self, place: Place, cx: &mut Context) -> Result<Child, StartError> {
        let Some(child) = self.children.get_mut(place) else {
            return Ok(Child::ignored());
        };
        match child.spec.start.start(cx).await {
            Ok(started) => {
                self.reporter.progress(cx, &child.spec, started.pid);
                if child.spec.restart == Restart::Temporary {
                    child.spec.start.forget();
                }
                self.children.set(place, ChildState::Running(started.pid));
                Ok(started.into())
            }
            Err(StartError::Ignore) => {
                if child.spec.restart == Restart::Temporary {
                    self.children.remove(place);
                } else {
                    self.children.set(place, ChildState::Stopped);
                }
                Ok(Child::ignored())
            }
            Err(error) => {
                let reason = ExitReason::from(error.clone());
                let context = ReportContext::StartError;
                self.reporter.error(cx, context, &reason, &child.spec, None);
                Err(error)
            }
        }
    }

    async fn later(&mut self, later: Later, cx: &mut Context) -> NoReply<Self> {
        // One that was terminated meanwhile may wait again, for something else.
        let (id, waits_for) = match later {
            Later::TryAgainRestart(id) => (id, ChildState::Restarting),
            Later::BackedOff(id, due_ns) => (id, ChildState::BackingOff { due_ns }),
            Later::TryAgainRestartOf(pid) => return self.simple_try_again(pid, cx).await,
        };
        let waits = |&place: &Place| {
            let child = self.children.get(place);
            child.is_some_and(|child| child.state() == waits_for)
        };
        match self.children.place_of(&id).filter(waits) {
            Some(place) if waits_for == ChildState::Restarting => {
                self.restart_in_time(place, cx).await
            }
            Some(place) => self.restart(place, cx).await,
            // Terminated, deleted or restarted by hand meanwhile.
            None => NoReply::new(),
        }
    }

    async fn start_child(
        &mut self,
        spec: ChildSpec,
        cx: &mut Context,
    ) -> Result<Child, ChildError> {
        check(std::slice::from_ref(&spec), Some(self.auto_shutdown))?;
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
            Ok(child) => Ok(child),
            Err(error) => {
                self.children.remove(place);
                Err(ChildError::Start(error))
            }
        }
    }

    async fn restart_child(&mut self, id: &ChildId, cx: &mut Context) -> Result<Child, ChildError> {
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
        if self.simple.is_some() {
            return Err(ChildError::SimpleOneForOne);
        }
        let place = self.children.place_of(id).ok_or(ChildError::NotFound)?;
        match self
            .children
            .get(place)
            .ok_or(ChildError::NotFound)?
            .state()
        {
            ChildState::Stopped => Ok(place),
            ChildState::Running(_) => Err(ChildError::Running),
            ChildState::Restarting | ChildState::BackingOff { .. } => Err(ChildError::Restarting),
        }
    }

    async fn terminate_child(&mut self, id: &ChildId, cx: &mut Context) -> Result<(), ChildError> {
        let place = self.children.place_of(id).ok_or(ChildError::NotFound)?;
        self.terminate_place(place, cx).await;
        Ok(())
    }
}

/// What a supervisor says to who asks something unknown.
#[derive(Serialize)]
enum Unknown {
    BadCall(String),
}
