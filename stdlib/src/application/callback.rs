//! An application's callbacks without their types: of a Rust type, or of a process module that is named.

use std::fmt;
use std::marker::PhantomData;

use otp_vm::{
    Arguments, Atom, Call, Context, ExitReason, OwnedTerm, Pid, atoms, from_term, to_term,
};
use serde::Serialize;

use super::config::Env;
use super::{Application, StartType};
use crate::r#gen::short_name;
use crate::proc_lib::StartError;
use crate::supervisor::{BoxFuture, Given};
use crate::unwind::{Caught, DropCaught};

/// Why a callback did not do what it was to do.
pub(super) enum Failure {
    /// It gave `{error, Reason}`.
    Error(ExitReason),
    /// It panicked, or called [`Context::exit`].
    Exit(ExitReason),
    /// It gave something else.
    Other(Given),
}

impl Failure {
    /// The term that a wrong return is reported by.
    fn given(self) -> Given {
        match self {
            Self::Error(reason) => given(&(atoms::ERROR, reason)),
            Self::Exit(reason) => given(&(atoms::EXIT, reason)),
            Self::Other(term) => term,
        }
    }

    /// The reason of a start that failed.
    pub(super) fn of_start(self, module: Atom, start_type: StartType, args: &Given) -> ExitReason {
        let call = mfa(module, "start", &(start_type, args));
        match self {
            Self::Error(reason) => ExitReason::new(&(reason, call)),
            Self::Exit(reason) if reason.is_normal() => {
                ExitReason::new(&((atoms::EXIT, reason), call))
            }
            other => ExitReason::new(&(atom("bad_return"), (call, other.given()))),
        }
    }

    /// The reason of a phase that failed.
    pub(super) fn of_phase(
        self,
        module: Atom,
        (phase, start_type, args): (Atom, StartType, &Given),
    ) -> ExitReason {
        let call = mfa(module, "start_phase", &(phase, start_type, args));
        match self {
            Self::Error(reason) => ExitReason::new(&(reason, call)),
            other => ExitReason::new(&(atom("bad_return_value"), (call, other.given()))),
        }
    }
}

/// `{Module, Function, [Argument]}`.
fn mfa(module: Atom, function: &str, arguments: &impl Serialize) -> Given {
    match Arguments::new(arguments) {
        Ok(arguments) => given(&(module, atom(function), arguments)),
        Err(_) => given(&(module, atom(function))),
    }
}

pub(super) fn atom(name: &str) -> Atom {
    Atom::new(name).unwrap_or(atoms::UNDEFINED)
}

/// A value as a term; `badarg` of one that can't be, or can't be copied.
pub(super) fn given<T: Serialize + ?Sized>(value: &T) -> Given {
    copyable(value).unwrap_or_else(|_| OwnedTerm::from(atoms::BADARG).into())
}

/// A value as a term that can be copied.
pub(super) fn copyable<T: Serialize + ?Sized>(value: &T) -> Result<Given, String> {
    match to_term(value) {
        Ok(term) if term.has_natives() => Err("a native resource can't be copied".to_owned()),
        Ok(term) => Ok(term.into()),
        Err(error) => Err(error.to_string()),
    }
}

/// A start that went well: the top, and what the application keeps until its stop.
pub(super) type Begun = (Pid, Box<dyn Kept>);

/// What an application keeps while it runs: OTP's state.
pub(super) trait Kept: Send {
    fn prep_stop<'a>(&'a mut self, cx: &'a mut Context) -> BoxFuture<'a, ()>;
    fn stop<'a>(self: Box<Self>, cx: &'a mut Context) -> BoxFuture<'a, ()>;
}

/// The callbacks of an application.
pub(super) trait Callbacks: Send + Sync {
    /// OTP's `mod`: what the module is called, and the argument of its start.
    fn module(&self) -> Atom;
    fn args(&self) -> &Given;
    fn start<'a>(
        &'a self,
        start_type: StartType,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Result<Begun, Failure>>;
    fn start_phase<'a>(
        &'a self,
        phase: Atom,
        start_type: StartType,
        args: &'a Given,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Result<(), Failure>>;
    fn config_change<'a>(
        &'a self,
        change: Change,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Result<(), ExitReason>>;
}

impl fmt::Debug for dyn Callbacks {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}({})", self.module(), self.args())
    }
}

/// What became of an environment, for [`Application::config_change`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Change {
    /// Keys with other values than before.
    pub changed: Env,
    /// Keys that are new.
    pub new: Env,
    /// Keys that are gone.
    pub removed: Vec<Atom>,
}

/// The callbacks of a type.
pub(super) struct Typed<A: Application> {
    args: DropCaught<A::Args>,
    term: Given,
    application: PhantomData<fn(A)>,
}

impl<A: Application> Typed<A> {
    pub(super) fn new(args: A::Args) -> Self {
        Self {
            term: given(&args),
            args: DropCaught::new(args),
            application: PhantomData,
        }
    }
}

impl<A: Application> Callbacks for Typed<A> {
    fn module(&self) -> Atom {
        atom(short_name::<A>())
    }

    fn args(&self) -> &Given {
        &self.term
    }

    fn start<'a>(
        &'a self,
        start_type: StartType,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Result<Begun, Failure>> {
        Box::pin(async move {
            // The call itself may panic as well.
            let args = self.args.clone();
            let start = Box::pin(async move { A::start(start_type, args, cx).await });
            match Caught(start).await {
                Ok(Ok((top, kept))) => Ok((top, Box::new(KeptTyped(kept)) as Box<dyn Kept>)),
                Ok(Err(StartError::Ignore)) => Err(Failure::Other(given(&atoms::IGNORE))),
                Ok(Err(error)) => Err(Failure::Error(error.into())),
                Err(reason) => Err(Failure::Exit(reason)),
            }
        })
    }

    fn start_phase<'a>(
        &'a self,
        phase: Atom,
        start_type: StartType,
        args: &'a Given,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let run = Box::pin(async move {
                A::start_phase(phase.as_str(), start_type, args.term(), cx).await
            });
            match Caught(run).await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(reason)) => Err(Failure::Error(reason)),
                Err(reason) => Err(Failure::Exit(reason)),
            }
        })
    }

    fn config_change<'a>(
        &'a self,
        change: Change,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Result<(), ExitReason>> {
        Box::pin(async move {
            let run = Box::pin(async move { A::config_change(change, cx).await });
            Caught(run).await.and_then(|result| result)
        })
    }
}

struct KeptTyped<A>(A);

impl<A: Application> Kept for KeptTyped<A> {
    fn prep_stop<'a>(&'a mut self, cx: &'a mut Context) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.0.prep_stop(cx).await })
    }

    fn stop<'a>(self: Box<Self>, cx: &'a mut Context) -> BoxFuture<'a, ()> {
        Box::pin(async move { self.0.stop(cx).await })
    }
}

/// The callbacks that a process module exports: `start/2`, and if it likes `prep_stop/1`, `stop/1`, `start_phase/3`
/// and `config_change/3`. The module is looked up at each call.
pub(super) struct ByName {
    pub(super) module: Atom,
    pub(super) args: Given,
}

/// What a function of the module gave; a module that lacks it gives nothing.
async fn call(
    cx: &mut Context,
    module: Atom,
    function: &str,
    arguments: &impl Serialize,
) -> Result<OwnedTerm, Failure> {
    let failed = |error: otp_vm::ApplyError| Failure::Exit(error.into());
    let call = Call::new(module.as_str(), function, arguments).map_err(failed)?;
    let applied = Box::pin(async move { cx.apply_call(call).await });
    let given = Caught(applied).await.map_err(Failure::Exit)?;
    given.map_err(failed)
}

impl Callbacks for ByName {
    fn module(&self) -> Atom {
        self.module
    }

    fn args(&self) -> &Given {
        &self.args
    }

    fn start<'a>(
        &'a self,
        start_type: StartType,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Result<Begun, Failure>> {
        Box::pin(async move {
            let module = self.module;
            let given = call(cx, module, "start", &(start_type, &self.args)).await?;
            let term = given.root();
            if let Ok(result) = from_term::<Result<Pid, ExitReason>>(term) {
                let top = result.map_err(Failure::Error)?;
                let state = OwnedTerm::from(atoms::NIL);
                return Ok((top, Box::new(KeptTerm { module, state }) as Box<dyn Kept>));
            }
            match from_term::<(Atom, Pid, OwnedTerm)>(term) {
                Ok((atoms::OK, top, state)) => Ok((top, Box::new(KeptTerm { module, state }))),
                _ => Err(Failure::Other(Given::new(term))),
            }
        })
    }

    fn start_phase<'a>(
        &'a self,
        phase: Atom,
        start_type: StartType,
        args: &'a Given,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move {
            let arguments = (phase, start_type, args);
            let given = call(cx, self.module, "start_phase", &arguments).await?;
            ok_or_error(&given)
        })
    }

    fn config_change<'a>(
        &'a self,
        change: Change,
        cx: &'a mut Context,
    ) -> BoxFuture<'a, Result<(), ExitReason>> {
        Box::pin(async move {
            let vm = cx.vm();
            if !vm.function_exported(self.module.as_str(), "config_change", 3) {
                return Ok(());
            }
            let arguments = (change.changed, change.new, change.removed);
            let given = call(cx, self.module, "config_change", &arguments).await;
            let done = given.and_then(|given| ok_or_error(&given));
            done.map_err(|failure| match failure {
                Failure::Error(reason) | Failure::Exit(reason) => reason,
                Failure::Other(term) => ExitReason::new(&term),
            })
        })
    }
}

/// `ok`, or `{error, Reason}`.
fn ok_or_error(given: &OwnedTerm) -> Result<(), Failure> {
    let term = given.root();
    if term.as_atom() == Some(atoms::OK) {
        return Ok(());
    }
    match from_term::<(Atom, ExitReason)>(term) {
        Ok((atoms::ERROR, reason)) => Err(Failure::Error(reason)),
        _ => Err(Failure::Other(Given::new(term))),
    }
}

struct KeptTerm {
    module: Atom,
    state: OwnedTerm,
}

impl Kept for KeptTerm {
    fn prep_stop<'a>(&'a mut self, cx: &'a mut Context) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let name = self.module.as_str();
            if !cx.vm().function_exported(name, "prep_stop", 1) {
                return;
            }
            match call(cx, self.module, "prep_stop", &(&self.state,)).await {
                Ok(state) => self.state = state,
                Err(failure) => cx.exit(ExitReason::new(&failure.given())),
            }
        })
    }

    fn stop<'a>(self: Box<Self>, cx: &'a mut Context) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let name = self.module.as_str();
            if !cx.vm().function_exported(name, "stop", 1) {
                return;
            }
            if let Err(failure) = call(cx, self.module, "stop", &(&self.state,)).await {
                cx.exit(ExitReason::new(&failure.given()));
            }
        })
    }
}
