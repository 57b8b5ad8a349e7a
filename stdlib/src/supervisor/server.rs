//! The supervisor's process: what it starts with, what it answers, and what it does when it ends. What it does when a
//! child ends is in `restart.rs`.

use std::pin::pin;

use otp_vm::{Context, DecodeError, ExitReason, Message, MessageKind, OwnedTerm, Pid};
use serde::{Deserialize, Serialize};

use super::Supervisor;
use super::callback::{Callback, SupervisorInit, not_one};
use super::child::{ChildSpec, Restart};
use super::children::{self, ChildState, Children, Place};
use super::client::{Answer, Child, ChildError, ChildInfo, Childspec, Request, moved};
use super::data::{FlagsError, SpecError, check};
use super::flags::{AutoShutdown, Strategy, SupervisorFlags};
use super::id::ChildId;
use super::intensity::Intensity;
use super::report::{ReportContext, Reporter};
use super::simple::Simple;
use super::start::{Source, SupervisorArgs};
use super::wire::{Plain, request_of};
use crate::r#gen::bad_call;
use crate::gen_server::{From, GenServer, Init, NoMessage, NoReply, Reply};
use crate::proc_lib::StartError;
use crate::report::UNKNOWN_TEXT_LIMIT_BYTES;
use crate::sys;
use crate::unwind::Caught;

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
                bad_call(cx, &from, &error);
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
            // The caller may be gone: a reply to nobody is not an error.
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

    /// The callback is called again: see [`SupervisorRef::code_change`](super::SupervisorRef::code_change).
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
                Err(specs) => Init::stop(not_one(&specs)),
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
    pub(super) async fn start_place(
        &mut self,
        place: Place,
        cx: &mut Context,
    ) -> Result<Child, StartError> {
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
