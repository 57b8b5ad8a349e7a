//! The side that asks.

use std::any::Any;
use std::fmt;
use std::ops::ControlFlow;

use otp_vm::{
    Atom, CallError, Context, ExitReason, Native, OwnedTerm, Run, Term, Timeout, Vm, atoms,
    from_term, to_term,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::debug::DebugFunction;
use super::event::SystemEvent;
use super::status::{Statistics, Status};
use super::wire::{
    DebugRequest, FileRequest, LogRequest, Request, StateFunction, StatisticsRequest, WrongState,
};
use crate::r#gen::{CALL_TIMEOUT, Target};

/// A request of `sys`, ready to be sent: [`call`](Self::call) sends it from a process, [`on`](Self::on) from outside of
/// the VM. It waits for 5 seconds, or as [`timeout`](Self::timeout) says.
#[must_use = "nothing is asked until it is called"]
pub struct SysCall<R> {
    target: Target,
    after: Timeout,
    request: Result<Request, SysError>,
    read: fn(Term<'_>) -> Result<R, SysError>,
}

/// Why a process did not do what `sys` asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SysError {
    /// The process ended; `noproc`: there was none.
    #[error("the process ended: {0}")]
    Exit(ExitReason),
    /// It did not answer in time: it is busy, or takes no system messages. The request stands.
    #[error("no answer in time: wait longer, or see whether the process takes system messages")]
    Timeout,
    /// A process asked itself.
    #[error("a process can't ask itself by sys: use what it has at hand")]
    CallingSelf,
    /// The process answered `{error, Reason}`: `{callback_failed, {Module, Function}, {Class, Reason}}`,
    /// `{unknown_system_msg, Request}` (to `change_code`: it is not suspended), `{error, Reason}` and
    /// `{'EXIT', Reason}` of a change of code, `{wrong_state, Text}`.
    #[error("the process refused: {0}")]
    Refused(ExitReason),
    /// What was to be sent can't be, or the answer is another than was asked for.
    #[error("the request can't be sent, or the answer not read: {0}")]
    Encode(String),
}

/// The reason of a process that can't go on without the answer. OTP's.
impl From<SysError> for ExitReason {
    fn from(error: SysError) -> Self {
        match error {
            SysError::Exit(reason) | SysError::Refused(reason) => reason,
            SysError::Timeout => Self::timeout(),
            SysError::CallingSelf => CallError::CallingSelf.reason(),
            SysError::Encode(text) => Self::new(&(atoms::BADARG, text)),
        }
    }
}

impl<R: Send + 'static> SysCall<R> {
    fn new(
        target: impl Into<Target>,
        request: Result<Request, SysError>,
        read: fn(Term<'_>) -> Result<R, SysError>,
    ) -> Self {
        Self {
            target: target.into(),
            after: Timeout::After(CALL_TIMEOUT),
            request,
            read,
        }
    }

    /// Waits so long.
    pub fn timeout(mut self, after: impl Into<Timeout>) -> Self {
        self.after = after.into();
        self
    }

    /// Sends the request, and waits for the answer.
    ///
    /// Dropping the future gives it up; the process does what it was asked all the same.
    ///
    /// # Errors
    /// See [`SysError`].
    pub async fn call(self, cx: &mut Context) -> Result<R, SysError> {
        let request = self.request?;
        if let Some(node) = self.target.other_node(cx) {
            return Err(SysError::Exit(Target::node_down(node)));
        }
        let process = self.target.resolve(cx);
        let called = cx.call_labelled(atoms::SYSTEM, process, &request, self.after, self.read);
        match called.await {
            Ok(answer) => answer,
            Err(CallError::Exit(reason)) => Err(SysError::Exit(reason)),
            Err(CallError::Timeout) => Err(SysError::Timeout),
            Err(CallError::CallingSelf) => Err(SysError::CallingSelf),
            Err(CallError::MailboxFull(full)) => Err(SysError::Exit(full.reason())),
            Err(error) => Err(SysError::Encode(error.to_string())),
        }
    }

    /// As [`call`](Self::call), from outside of the VM: the answer is waited for ([`Run::wait`]), or awaited in any
    /// async runtime.
    ///
    /// ```
    /// use otp_stdlib::prelude::*;
    /// use otp_stdlib::sys;
    /// use otp_vm::{Context, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let agent = vm.run(async |mut cx: Context| Agent::start(&mut cx, || 7).await.unwrap()).wait()?;
    /// assert_eq!(sys::inspect(&agent, |count: &i32| *count).on(&vm).wait()??, 7);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn on(self, vm: &Vm) -> Run<Result<R, SysError>> {
        vm.run(async move |mut cx: Context| self.call(&mut cx).await)
    }
}

/// The answer `{error, Reason}`, else what the answer is.
fn not_refused(answer: Term<'_>) -> Result<Term<'_>, SysError> {
    let tuple = answer.as_tuple().filter(|tuple| tuple.len() == 2);
    let tag = tuple.and_then(|tuple| tuple.get(0)?.as_atom());
    match (tag, tuple.and_then(|tuple| tuple.get(1))) {
        (Some(atoms::ERROR), Some(reason)) => Err(SysError::Refused(reason_of(reason))),
        _ => Ok(answer),
    }
}

fn reason_of(term: Term<'_>) -> ExitReason {
    ExitReason::from(super::event::copy(OwnedTerm::copy_of((), term)))
}

/// `ok`.
fn done(answer: Term<'_>) -> Result<(), SysError> {
    match not_refused(answer)?.as_atom() {
        Some(atoms::OK) => Ok(()),
        _ => Err(SysError::Refused(reason_of(answer))),
    }
}

/// `{ok, Value}`.
fn value<R: DeserializeOwned>(answer: Term<'_>) -> Result<R, SysError> {
    let tuple = not_refused(answer)?.as_tuple();
    match tuple.map(|tuple| (tuple.get(0), tuple.get(1))) {
        Some((Some(tag), Some(value))) if tag.as_atom() == Some(atoms::OK) => {
            from_term(value).map_err(|error| SysError::Encode(error.to_string()))
        }
        _ => Err(SysError::Refused(reason_of(answer))),
    }
}

/// Suspends a process: from now on it takes system messages and its parent's end, and all else waits in its mailbox.
/// One that is suspended stays so. `sys:suspend/1,2`.
pub fn suspend(process: impl Into<Target>) -> SysCall<()> {
    SysCall::new(process, Ok(Request::Suspend), done)
}

/// Lets a suspended process go on, with what came meanwhile, in order. `sys:resume/1,2`.
pub fn resume(process: impl Into<Target>) -> SysCall<()> {
    SysCall::new(process, Ok(Request::Resume), done)
}

/// The state of a process as a term, as far as the process can show it so; see [the module](super#states). That of a
/// known type is had by [`inspect`]. `sys:get_state/1,2`.
pub fn get_state(process: impl Into<Target>) -> SysCall<OwnedTerm> {
    SysCall::new(process, Ok(Request::GetState), value)
}

/// What `look` makes of the state of a process, in that process: its type must be the state's, and need not be a term.
/// For a gen_server that is the server's, for an agent its value's. `sys:get_state/1,2`.
///
/// ```
/// # use otp_stdlib::prelude::*;
/// # use otp_stdlib::sys;
/// # use otp_vm::{Context, Vm};
/// # let vm = Vm::builder().schedulers(1).build()?;
/// # let run = vm.run(async |mut cx: Context| {
/// let agent = Agent::start_link(&mut cx, || vec![1, 2, 3]).await.unwrap();
/// let count = sys::inspect(&agent, |numbers: &Vec<i32>| numbers.len()).call(&mut cx).await;
/// assert_eq!(count, Ok(3));
/// // Another type than the state's is refused.
/// assert!(sys::inspect(&agent, |text: &String| text.len()).call(&mut cx).await.is_err());
/// # });
/// # run.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn inspect<S, R, F>(process: impl Into<Target>, look: F) -> SysCall<R>
where
    S: 'static,
    R: Send + 'static,
    F: FnOnce(&S) -> R + Send + 'static,
{
    let function = state_function(move |state: &mut S| look(state));
    let request = Request::Inspect(Native::new(function));
    SysCall::new(process, Ok(request), |answer| {
        let native: Native = value(answer)?;
        let inner = native.into_inner();
        match inner.map(|value| value.downcast::<R>()) {
            Some(Ok(value)) => Ok(*value),
            _ => Err(SysError::Encode("the answer is of another type".into())),
        }
    })
}

/// Replaces the state of a process by what `replace` makes of it, and gives the new one as [`get_state`] shows it. If
/// `replace` panics, the state stays: `{callback_failed, {Module, system_replace_state}, {error, Panic}}`.
/// `sys:replace_state/2,3`.
///
/// For the debugging of a running system, as OTP's: nobody else knows of the change.
pub fn replace_state<S, F>(process: impl Into<Target>, replace: F) -> SysCall<OwnedTerm>
where
    S: 'static,
    F: FnOnce(&S) -> S + Send + 'static,
{
    change_state(process, move |state: &mut S| *state = replace(state))
}

/// As [`replace_state`], in place: what a function that panics leaves is its own affair.
pub(crate) fn change_state<S, F>(process: impl Into<Target>, change: F) -> SysCall<OwnedTerm>
where
    S: 'static,
    F: FnOnce(&mut S) + Send + 'static,
{
    let function = state_function(change);
    let request = Request::ReplaceState(Native::new(function));
    SysCall::new(process, Ok(request), value)
}

/// What a process is doing: see [`Status`]. `sys:get_status/1,2`.
pub fn get_status(process: impl Into<Target>) -> SysCall<Status> {
    SysCall::new(process, Ok(Request::GetStatus), |answer| {
        Status::of(not_refused(answer)?)
    })
}

/// Has a suspended process change its state to that of another version of its code: its `code_change` gets the version
/// that the state is of, and `extra`, terms of any shape. `sys:change_code/4,5`.
pub fn change_code<V, E>(
    process: impl Into<Target>,
    module: Atom,
    old_version: &V,
    extra: &E,
) -> SysCall<()>
where
    V: Serialize + ?Sized,
    E: Serialize + ?Sized,
{
    let terms = to_term(old_version).and_then(|version| Ok((version, to_term(extra)?)));
    let request =
        terms.map(|(version, extra)| Request::ChangeCode(OwnedTerm::from(module), version, extra));
    SysCall::new(
        process,
        request.map_err(|e| SysError::Encode(e.to_string())),
        done,
    )
}

/// As [`change_code`], by a function that makes the new state of the old one, in place of the process's `code_change`.
/// If it panics, the state stays. `extra` as a function, which `Agent`s have in Elixir.
pub fn change_code_by<S, F>(process: impl Into<Target>, module: Atom, change: F) -> SysCall<()>
where
    S: 'static,
    F: FnOnce(&S) -> S + Send + 'static,
{
    let function = state_function(move |state: &mut S| *state = change(state));
    let function = Native::new(function);
    let version = OwnedTerm::from(atoms::UNDEFINED);
    let request = Request::ChangeCodeBy(OwnedTerm::from(module), version, function);
    SysCall::new(process, Ok(request), done)
}

/// Has a process clean up and end. It answers at once: [`proc_lib::stop`](crate::proc_lib::stop) waits for the end.
/// `sys:terminate/2,3`.
pub fn terminate(process: impl Into<Target>, reason: impl Into<ExitReason>) -> SysCall<()> {
    SysCall::new(process, Ok(Request::Terminate(reason.into())), done)
}

fn debug(process: impl Into<Target>, request: DebugRequest) -> SysCall<()> {
    SysCall::new(process, Ok(Request::Debug(request)), done)
}

/// Has each event of the process printed, or no more: to `tracing`, as `INFO`, and to the handler of reports, as
/// [`Traced`](super::Traced). `sys:trace/2,3`.
pub fn trace(process: impl Into<Target>, on: bool) -> SysCall<()> {
    debug(process, DebugRequest::Trace(on))
}

/// Has the process keep its last [`LOG_EVENTS`](super::LOG_EVENTS) events, or forget them and keep none.
/// `sys:log/2,3` with `true` and `false`.
pub fn log(process: impl Into<Target>, on: bool) -> SysCall<()> {
    let flag = match on {
        true => LogRequest::Keep(super::LOG_EVENTS),
        false => LogRequest::False,
    };
    debug(process, DebugRequest::Log(flag))
}

/// Has the process keep its last `most` events, at most [`MAX_LOG_EVENTS`](super::MAX_LOG_EVENTS). `sys:log/2,3` with
/// `{true, N}`.
pub fn log_most(process: impl Into<Target>, most: u64) -> SysCall<()> {
    debug(process, DebugRequest::Log(LogRequest::Keep(most)))
}

/// The events that the process has logged, oldest first, as OTP's terms. `sys:log/2,3` with `get`.
pub fn get_log(process: impl Into<Target>) -> SysCall<Vec<OwnedTerm>> {
    let request = Request::Debug(DebugRequest::Log(LogRequest::Get));
    SysCall::new(process, Ok(request), value)
}

/// Has the events that the process has logged printed, as [`trace`] prints them. `sys:log/2,3` with `print`.
pub fn print_log(process: impl Into<Target>) -> SysCall<()> {
    debug(process, DebugRequest::Log(LogRequest::Print))
}

/// Has each event of the process written to a file, a line each; `None` closes it. A file that is there is overwritten.
/// One that can't be made is [`SysError::Refused`] with `open_file`. `sys:log_to_file/2,3`.
pub fn log_to_file(process: impl Into<Target>, path: Option<&str>) -> SysCall<()> {
    let flag = match path {
        Some(path) => FileRequest::Path(path.to_owned()),
        None => FileRequest::Off(false),
    };
    debug(process, DebugRequest::LogToFile(flag))
}

/// Has the process count its messages, from now on or no more. `sys:statistics/2,3` with `true` and `false`.
pub fn statistics(process: impl Into<Target>, on: bool) -> SysCall<()> {
    let flag = match on {
        true => StatisticsRequest::True,
        false => StatisticsRequest::False,
    };
    debug(process, DebugRequest::Statistics(flag))
}

/// What the process has counted; `None`: it does not count. `sys:statistics/2,3` with `get`.
pub fn get_statistics(process: impl Into<Target>) -> SysCall<Option<Statistics>> {
    let request = Request::Debug(DebugRequest::Statistics(StatisticsRequest::Get));
    SysCall::new(process, Ok(request), |answer| {
        Statistics::of(&value(answer)?)
    })
}

/// Ends all that was asked of the process in the way of debugging. `sys:no_debug/1,2`.
pub fn no_debug(process: impl Into<Target>) -> SysCall<()> {
    debug(process, DebugRequest::NoDebug)
}

/// Has a function see each event of the process, in that process, with the process's name. One that gives
/// [`Break`](ControlFlow::Break) is taken out, and so is one that panics. What it keeps from one event to the next it
/// captures. If there is one with this id, it stays, and this one is dropped. `sys:install/2,3` with
/// `{FuncId, Func, FuncState}`.
///
/// Functions are told by their ids only: two closures can't be compared. They are moved to the process, and so reach
/// processes of this VM.
///
/// ```
/// use std::ops::ControlFlow;
/// use otp_stdlib::sys::{self, SystemEvent};
/// # use otp_stdlib::prelude::*;
/// # use otp_vm::{Context, Vm};
/// # let vm = Vm::builder().schedulers(1).build()?;
/// # let run = vm.run(async |mut cx: Context| {
/// let agent = Agent::start_link(&mut cx, || 0).await.unwrap();
/// let me = cx.pid();
/// let spy = sys::install(&agent, "spy", move |cx, event, _name| match event {
///     SystemEvent::In(_) => {
///         cx.send(me, "it was asked").unwrap();
///         ControlFlow::Break(())
///     }
///     _ => ControlFlow::Continue(()),
/// });
/// spy.call(&mut cx).await.unwrap();
/// agent.update(&mut cx, |count| *count += 1).await.unwrap();
/// assert_eq!(cx.receive().await.decode::<String>().unwrap(), "it was asked");
/// # });
/// # run.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn install<I, F>(process: impl Into<Target>, id: &I, function: F) -> SysCall<()>
where
    I: Serialize + ?Sized,
    F: FnMut(&Context, &SystemEvent, &OwnedTerm) -> ControlFlow<()> + Send + 'static,
{
    let function: DebugFunction = Box::new(function);
    let request =
        to_term(id).map(|id| Request::Debug(DebugRequest::Install(id, Native::new(function))));
    SysCall::new(
        process,
        request.map_err(|e| SysError::Encode(e.to_string())),
        done,
    )
}

/// Takes the function with this id out; there need not be one. `sys:remove/2,3`.
pub fn remove<I: Serialize + ?Sized>(process: impl Into<Target>, id: &I) -> SysCall<()> {
    let request = to_term(id).map(|id| Request::Debug(DebugRequest::Remove(id)));
    SysCall::new(
        process,
        request.map_err(|e| SysError::Encode(e.to_string())),
        done,
    )
}

fn state_function<S: 'static, R: Send + 'static>(
    function: impl FnOnce(&mut S) -> R + Send + 'static,
) -> StateFunction {
    Box::new(move |state: &mut dyn Any| match state.downcast_mut::<S>() {
        Some(state) => Ok(Box::new(function(state))),
        None => Err(WrongState(std::any::type_name::<S>())),
    })
}

impl<R> fmt::Debug for SysCall<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("SysCall")
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}
