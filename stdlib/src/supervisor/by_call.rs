//! Children whose start is data: `start => {Module, Function, Arguments}`.

use otp_vm::{ApplyError, Call, Context, ExitReason, OwnedTerm, Pid, atoms, from_term};

use super::child::{ChildId, ChildSpec};
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
        Self::new(id, move |cx| Box::pin(start(cx, call.clone())))
    }
}

async fn start(cx: &mut Context, call: Call) -> Result<Pid, StartError> {
    let failed = |error: ApplyError| StartError::Exit(error.into());
    let given: OwnedTerm = cx.apply_call(call).await.map_err(failed)?;
    if let Ok(started) = from_term::<Result<Pid, StartError>>(given.root()) {
        return started;
    }
    // Functions may have reasons of their own, and may be wrong.
    match from_term::<Result<Pid, ExitReason>>(given.root()) {
        Ok(started) => started.map_err(StartError::Exit),
        Err(_) => Err(StartError::Exit(ExitReason::new(&(
            atoms::BAD_RETURN_VALUE,
            given,
        )))),
    }
}
