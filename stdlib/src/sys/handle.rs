//! The side of the process that is asked: its callbacks, and the loop of one that is suspended.

use std::any::Any;
use std::path::Path;
use std::pin::pin;

use otp_vm::{
    BoxFuture, Context, ExitReason, HOST, MessageKind, OwnedTerm, Pid, ReplyTo, Timeout, atoms,
    to_term,
};
use serde::Serialize;

use super::debug::Debug;
use super::event::{SystemEvent, copy};
use super::options::DebugOption;
use super::wire::{Extra, StateFunction, SystemMessage, Wanted, WantedDebug};
use crate::proc_lib::{Class, class_of};
use crate::unwind::{Caught, caught, drop_caught};

/// What `sys` asks a process: OTP's `system_*` callbacks. Each behaviour of the library has it; a body of one's own
/// that is to be looked at implements it, and gives what it receives to [`handle_system_msg`].
pub trait System: Send {
    /// The module of the callbacks, as the status and reasons name it.
    fn module(&self) -> &'static str;

    /// What events call the process. By default its registered name, or its pid.
    fn name(&self, cx: &Context) -> OwnedTerm {
        name_of(cx)
    }

    /// The state as a term. `system_get_state/1`.
    fn get_state(&self) -> OwnedTerm;

    /// The state itself: what the functions of [`inspect`](super::inspect) and
    /// [`replace_state`](super::replace_state) get. `system_replace_state/2`.
    fn state(&mut self) -> &mut dyn Any;

    /// What the status shows beside what it shows of each process: by default the state. `format_status/2`.
    fn format_status(&mut self, cx: &Context, shown: Shown) -> OwnedTerm {
        let _ = (cx, shown);
        self.get_state()
    }

    /// Changes the state to that of another version of the code. The default refuses: `undef`. `system_code_change/4`.
    fn code_change<'a>(
        &'a mut self,
        cx: &'a mut Context,
        module: OwnedTerm,
        old_version: OwnedTerm,
        extra: OwnedTerm,
    ) -> BoxFuture<'a, Result<(), ExitReason>> {
        let _ = (module, old_version, extra);
        cx.exit(atoms::UNDEF)
    }

    /// An event in words, for the trace and the log. `FormFunc` of `sys:handle_debug/4`.
    fn format_event(&self, name: &OwnedTerm, event: &SystemEvent) -> String {
        event.format(name)
    }
}

/// What a status shows, for [`System::format_status`].
#[derive(Debug)]
#[non_exhaustive]
pub struct Shown {
    /// Whether the process is suspended.
    pub state: SysState,
    /// Whose end ends it.
    pub parent: Pid,
    /// The events that were logged, oldest first.
    pub log: Vec<OwnedTerm>,
}

/// Whether a process takes messages, or only those of `sys`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
pub enum SysState {
    /// It takes all.
    Running,
    /// It takes system messages, and its parent's end.
    Suspended,
}

/// What a process keeps for `sys`: who its parent is, whether it is suspended, and its debug options.
#[derive(Debug)]
pub struct Control {
    parent: Pid,
    is_suspended: bool,
    debug: Debug,
}

/// What a process does after a system message.
#[derive(Debug)]
#[must_use = "a process that is told to end must end"]
pub enum Next {
    /// It goes on. `system_continue/3`.
    Continue,
    /// It cleans up, and ends with this reason. `system_terminate/4`.
    Terminate(ExitReason),
}

impl Control {
    /// Of a process that runs, without debug options. Whoever's end ends it is its parent, for a process without one
    /// [`HOST`].
    pub fn new(parent: Pid) -> Self {
        Self {
            parent,
            is_suspended: false,
            debug: Debug::default(),
        }
    }

    /// With the debug options of a start; None: there are none, and the process needs nothing for `sys`.
    pub(crate) fn of_start(cx: &Context, parent: Pid, options: Vec<DebugOption>) -> Option<Self> {
        if options.is_empty() {
            return None;
        }
        // One that can't be is passed over.
        let control = Self::with_options(cx, parent, options);
        control.is_needed().then_some(control)
    }

    /// Whether the process has to keep it.
    pub(crate) fn is_needed(&self) -> bool {
        self.is_suspended || !self.debug.is_empty()
    }

    /// As [`new`](Self::new), with debug options from the beginning: those of a process of one's own that takes them
    /// when it starts. See [`DebugOption`].
    pub fn with_options(
        cx: &Context,
        parent: Pid,
        options: impl IntoIterator<Item = DebugOption>,
    ) -> Self {
        Self {
            debug: Debug::of(cx, options),
            ..Self::new(parent)
        }
    }

    /// Whether the process is suspended.
    pub fn is_suspended(&self) -> bool {
        self.is_suspended
    }

    /// The debug options.
    pub fn options(&self) -> &Debug {
        &self.debug
    }

    /// Tells an event to whoever looks at the process; nothing is made if nobody does. `sys:handle_debug/4`.
    pub fn debug<P: System>(
        &mut self,
        cx: &Context,
        process: &P,
        event: impl FnOnce() -> SystemEvent,
    ) {
        if !self.debug.is_empty() {
            let name = process.name(cx);
            let format = |event: &SystemEvent| process.format_event(&name, event);
            self.debug.handle(cx, &name, event(), format);
        }
    }

    /// Does what one message says; gives the reason if that is to end.
    pub(crate) async fn take(
        &mut self,
        cx: &mut Context,
        message: SystemMessage,
        process: &mut dyn System,
    ) -> Next {
        let SystemMessage { from, wanted } = message;
        match wanted {
            Wanted::Suspend => {
                self.is_suspended = true;
                reply(cx, from, &atoms::OK);
            }
            Wanted::Resume => {
                self.is_suspended = false;
                reply(cx, from, &atoms::OK);
            }
            Wanted::GetState => {
                let state = caught(|| process.get_state());
                give(
                    cx,
                    from,
                    state.map_err(|e| callback_failed(process, "system_get_state", &e)),
                );
            }
            Wanted::Inspect(function) => match apply(process, function) {
                Ok(value) => reply(cx, from, &(atoms::OK, otp_vm::Native::new(value))),
                Err(error) => refuse(cx, from, &error),
            },
            Wanted::ReplaceState(function) => {
                let replaced = apply(process, function).and_then(|_| {
                    let state = caught(|| process.get_state());
                    state.map_err(|e| callback_failed(process, "system_get_state", &e))
                });
                give(cx, from, replaced);
            }
            Wanted::GetStatus => {
                let status = self.status(cx, process);
                reply(cx, from, &status);
            }
            Wanted::ChangeCode(module, old_version, extra) if self.is_suspended => {
                match change(cx, process, module, old_version, extra).await {
                    Ok(()) => reply(cx, from, &atoms::OK),
                    Err(error) => refuse(cx, from, &error),
                }
            }
            Wanted::ChangeCode(module, old_version, extra) => {
                let extra = match extra {
                    Extra::Term(extra) => extra,
                    Extra::Function(function) => {
                        drop_caught(function);
                        super::text("a function")
                    }
                };
                refuse(
                    cx,
                    from,
                    &unknown(&(super::atom("change_code"), module, old_version, extra)),
                );
            }
            Wanted::Terminate(reason) => {
                reply(cx, from, &atoms::OK);
                return Next::Terminate(reason);
            }
            Wanted::Debug(wanted) => self.set(cx, from, wanted),
            Wanted::Unknown(request) => refuse(cx, from, &unknown(&request)),
        }
        Next::Continue
    }

    /// Does what is wanted of the debug options.
    fn set(&mut self, cx: &Context, from: ReplyTo, wanted: WantedDebug) {
        let debug = &mut self.debug;
        let mut done = Ok(());
        match wanted {
            WantedDebug::Trace(on) => debug.trace(on),
            WantedDebug::Log(most) => done = debug.log(most),
            WantedDebug::PrintLog => debug.print_log(cx),
            WantedDebug::LogToFile(path) => {
                done = debug.log_to_file(path.as_deref().map(Path::new))
            }
            WantedDebug::Statistics(on) => debug.statistics(cx, on),
            WantedDebug::NoDebug => *debug = Debug::default(),
            WantedDebug::Install(id, function) => done = debug.install(id, function),
            WantedDebug::Remove(id) => debug.remove(&id),
            WantedDebug::GetLog => return reply(cx, from, &(atoms::OK, debug.logged())),
            WantedDebug::GetStatistics => {
                return match debug.get_statistics(cx) {
                    Some(counts) => reply(cx, from, &(atoms::OK, &counts[..])),
                    None => reply(cx, from, &(atoms::OK, super::atom("no_statistics"))),
                };
            }
            WantedDebug::Unknown => return reply(cx, from, &super::atom("unknown_debug")),
        }
        match done {
            Ok(()) => reply(cx, from, &atoms::OK),
            Err(error) => refuse(cx, from, &error),
        }
    }

    /// `{status, Pid, {module, Module}, [PDict, SysState, Parent, Debug, Misc]}`.
    fn status(&self, cx: &Context, process: &mut dyn System) -> OwnedTerm {
        let state = match self.is_suspended {
            true => SysState::Suspended,
            false => SysState::Running,
        };
        // A process without a parent is its own, as in OTP.
        let parent = match self.parent {
            HOST => cx.pid(),
            parent => parent,
        };
        let shown = Shown {
            state,
            parent,
            log: self.debug.logged(),
        };
        let shown = caught(|| process.format_status(cx, shown));
        let dictionary = cx.dictionary();
        let parts = [
            copy(to_term(&dictionary)),
            copy(to_term(&state)),
            copy(to_term(&parent)),
            self.debug.to_term(),
            shown.unwrap_or_else(|reason| callback_failed(process, "format_status", &reason)),
        ];
        let status = super::atom("status");
        let module = (super::atom("module"), super::atom(process.module()));
        copy(to_term(&(status, cx.pid(), module, &parts[..])))
    }
}

/// Does what a system message says, and, if the process is suspended by it, takes nothing but system messages and the
/// parent's end until it is resumed. `sys:handle_system_msg/6`.
///
/// Dropping the future of a suspended process resumes it: await it.
pub async fn handle_system_msg(
    cx: &mut Context,
    message: SystemMessage,
    control: &mut Control,
    process: &mut dyn System,
) -> Next {
    let mut message = message;
    loop {
        match control.take(cx, message, process).await {
            Next::Continue if control.is_suspended => {}
            next => return next,
        }
        message = match suspended(cx, control.parent).await {
            Ok(message) => message,
            Err(reason) => return Next::Terminate(reason),
        };
    }
}

/// What comes next to a suspended process: a system message, or its parent's end.
pub(crate) async fn suspended(cx: &mut Context, parent: Pid) -> Result<SystemMessage, ExitReason> {
    let next = cx.receive_where(Timeout::Infinity, |message| match message.kind() {
        MessageKind::Exit { from, .. } if from == parent || from == HOST => {
            let exit = message.exit();
            Some(Err(
                exit.map_or_else(ExitReason::shutdown, |exit| exit.reason)
            ))
        }
        _ => SystemMessage::of(message).map(Ok),
    });
    match next.await {
        Some(next) => next,
        None => unreachable!("a receive without a time limit ended without a message"),
    }
}

/// The registered name, or the pid.
pub(crate) fn name_of(cx: &Context) -> OwnedTerm {
    let info = cx.process_info(cx.pid());
    match info.and_then(|info| info.registered_name) {
        Some(name) => OwnedTerm::from(name),
        None => copy(to_term(&cx.pid())),
    }
}

fn apply(
    process: &mut dyn System,
    function: StateFunction,
) -> Result<Box<dyn Any + Send>, OwnedTerm> {
    match caught(|| function(process.state())) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(wrong)) => Err(wrong.to_term()),
        Err(reason) => Err(callback_failed(process, "system_replace_state", &reason)),
    }
}

async fn change(
    cx: &mut Context,
    process: &mut dyn System,
    module: OwnedTerm,
    old_version: OwnedTerm,
    extra: Extra,
) -> Result<(), OwnedTerm> {
    let changed = match extra {
        Extra::Function(function) => match caught(|| function(process.state())) {
            Ok(Err(wrong)) => return Err(wrong.to_term()),
            Ok(Ok(_)) => Ok(Ok(())),
            Err(reason) => Err(reason),
        },
        Extra::Term(extra) => {
            // In a block of its own, so that the callback is called under the watch as well, not only polled.
            let change = async { process.code_change(cx, module, old_version, extra).await };
            Caught(pin!(change)).await
        }
    };
    match changed {
        Ok(Ok(())) => Ok(()),
        Ok(Err(reason)) => Err(copy(to_term(&(atoms::ERROR, reason)))),
        Err(reason) => Err(copy(to_term(&(atoms::EXIT, reason)))),
    }
}

impl super::wire::WrongState {
    fn to_term(&self) -> OwnedTerm {
        let Self(expected) = self;
        let text = format!("the state is no {expected}: give the function that state's type");
        copy(to_term(&(super::atom("wrong_state"), text)))
    }
}

/// `{callback_failed, {Module, Function}, {Class, Reason}}`.
fn callback_failed(process: &dyn System, function: &str, reason: &ExitReason) -> OwnedTerm {
    let class = match class_of(reason) {
        Class::Error => atoms::ERROR,
        _ => super::atom_of("exit"),
    };
    let callback = (super::atom(process.module()), super::atom(function));
    copy(to_term(&(
        super::atom("callback_failed"),
        callback,
        (class, reason),
    )))
}

/// `{unknown_system_msg, Request}`.
fn unknown<T: Serialize>(request: &T) -> OwnedTerm {
    copy(to_term(&(super::atom("unknown_system_msg"), request)))
}

fn give(cx: &Context, from: ReplyTo, given: Result<OwnedTerm, OwnedTerm>) {
    match given {
        Ok(term) => reply(cx, from, &(atoms::OK, term)),
        Err(error) => refuse(cx, from, &error),
    }
}

fn refuse(cx: &Context, from: ReplyTo, error: &OwnedTerm) {
    reply(cx, from, &(atoms::ERROR, error));
}

/// The caller may be gone: a reply to nobody is no error. What can't be a reply is told so.
fn reply<T: Serialize>(cx: &Context, from: ReplyTo, value: &T) {
    if let Err(error) = cx.reply(&from, value) {
        let _ = cx.reply(&from, &(atoms::ERROR, error.to_string()));
    }
}
