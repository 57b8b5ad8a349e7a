//! Children whose start is data: `start => {Module, Function, Arguments}`.

use otp_vm::{ApplyError, Call, Context, ExitReason, OwnedTerm, Pid, Term, atoms, from_term};

use super::child::{ChildSpec, Modules, StartChild, Started};
use super::id::ChildId;
use crate::proc_lib::StartError;

impl ChildSpec {
    /// A worker that a function of a process module starts, by name: it gives `Result<Pid, StartError>`, of a process
    /// that is linked to the caller, which is the supervisor. The module is looked up at each start, so a restart comes
    /// from the version that is loaded then.
    ///
    /// ```
    /// use otp_stdlib::prelude::*;
    /// use otp_stdlib::proc_lib::{self, Starter};
    /// use otp_vm::{Call, Context, Pid, Vm, module};
    ///
    /// module! {
    ///     /// A worker.
    ///     pub mod worker {
    ///         /// Starts one.
    ///         pub async fn start_link(cx: &mut Context, name: String) -> Result<Pid, StartError> {
    ///             proc_lib::start_link(cx, async move |mut cx: Context| {
    ///                 cx.register(&name, cx.pid()).unwrap();
    ///                 Starter::receive(&mut cx).await.init_ack(&cx);
    ///                 cx.receive().await;
    ///             })
    ///             .await
    ///         }
    ///     }
    /// }
    ///
    /// fn main() -> Result<(), Box<dyn std::error::Error>> {
    ///     let vm = Vm::builder().schedulers(1).module(worker::module()).build()?;
    ///     let run = vm.run(async |mut cx: Context| {
    ///         let call = |function| Call::new("worker", function, &("first",)).unwrap();
    ///         let flags = SupervisorFlags::one_for_one();
    ///         let children = vec![ChildSpec::call("first", call("start_link"))];
    ///         Supervisor::start_link(&mut cx, flags.clone(), children).await.unwrap();
    ///         assert!(cx.whereis("first").is_some());
    ///
    ///         cx.trap_exit(true);
    ///         let children = vec![ChildSpec::call("first", call("walk"))];
    ///         let error = Supervisor::start_link(&mut cx, flags, children).await.unwrap_err();
    ///         assert!(error.to_string().contains("{undef,[{worker,walk,"), "{error}");
    ///     });
    ///     run.wait()?;
    ///     Ok(())
    /// }
    /// ```
    pub fn call(id: impl Into<ChildId>, call: Call) -> Self {
        Self {
            modules: Modules::List(vec![call.mfa().module]),
            ..Self::starting(id.into(), StartChild::Call(Box::new(call)))
        }
    }
}

/// What a function of a module gave: `{ok, Pid}`, `{ok, Pid, Info}`, `ignore`, `{error, Reason}`; anything else is a
/// reason as well.
pub(super) async fn start(cx: &mut Context, call: Call) -> Result<Started, StartError> {
    let failed = |error: ApplyError| StartError::Exit(error.into());
    let given: OwnedTerm = cx.apply_call(call).await.map_err(failed)?;
    let term = given.root();
    if term.as_atom() == Some(atoms::IGNORE) {
        return Err(StartError::Ignore);
    }
    let tuple = term.as_tuple();
    let part = |at: usize| tuple.and_then(|tuple| tuple.get(at));
    let tag = part(0).and_then(|tag| tag.as_atom());
    match (tag, tuple.map_or(0, |tuple| tuple.len())) {
        (Some(atoms::OK), 2 | 3) => {
            if let Some(pid) = part(1).and_then(|pid| pid.as_pid()) {
                let info = part(2).and_then(|info| OwnedTerm::copy_of((), info).ok());
                return Ok(Started { pid, info });
            }
        }
        (Some(atoms::ERROR), 2) => {
            return Err(match (from_term(term), part(1)) {
                // As a behaviour's start gives it.
                (Ok(Err::<Pid, StartError>(error)), _) => error,
                (_, Some(reason)) => StartError::Exit(reason_of(reason)),
                (_, None) => StartError::Exit(reason_of(term)),
            });
        }
        _ => {}
    }
    Err(StartError::Exit(ExitReason::from(given)))
}

fn reason_of(term: Term<'_>) -> ExitReason {
    match OwnedTerm::copy_of((), term) {
        Ok(term) => ExitReason::from(term),
        Err(_) => ExitReason::from(atoms::BADARG),
    }
}
