//! The task's own side: it waits until it may begin, runs, and sends its result. Elixir's `Task.Supervised`.

use std::pin::pin;
use std::time::Duration;

use otp_vm::{
    Call, Context, ExitReason, IntoExit, Message, Native, Origin, Pid, Ref, SendError, Timeout,
    atoms,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::report;
use crate::unwind::{Caught, caught};

/// How long a task that a supervisor started waits for whom it works for. Elixir's: it has nothing to do in between,
/// but may have given the start up.
pub(super) const BEGIN_TIMEOUT: Duration = Duration::from_secs(5);

/// What tells a task to begin: who says it, and where the result goes.
#[derive(Serialize, Deserialize)]
enum Order {
    #[serde(rename = "$task")]
    Begin(Pid, Ref),
}

/// Whom a task waits for before it begins.
#[derive(Clone, Copy)]
pub(super) struct Starter {
    pub(super) pid: Pid,
    /// Nothing else tells the task of its end: there may be no link yet, or never.
    pub(super) is_watched: bool,
}

/// Tells a task to begin. Its result goes to `reference`.
pub(super) fn begin(cx: &Context, task: Pid, reference: Ref) {
    // One that is gone is none to tell; the mailbox of a new process has room.
    let _ = cx.send(task, &Order::Begin(cx.pid(), reference));
}

/// Waits until the task may begin. Gives where the result goes.
async fn begun(cx: &mut Context, starter: Starter) -> Result<Ref, ExitReason> {
    let monitor = starter.is_watched.then(|| cx.monitor(starter.pid));
    let after = match monitor {
        Some(_) => Timeout::After(BEGIN_TIMEOUT),
        None => Timeout::Infinity,
    };
    let begun = cx.receive_where(after, |message: &Message| {
        if let Ok(Order::Begin(from, reference)) = message.decode() {
            return (from == starter.pid).then_some(Ok(reference));
        }
        let down = message.down()?;
        (Some(down.reference) == monitor).then(|| Err(ExitReason::shutdown_with(&down.reason)))
    });
    let begun = begun.await;
    if let Some(monitor) = monitor {
        cx.demonitor_flush(monitor);
    }
    begun.unwrap_or_else(|| Err(ExitReason::timeout()))
}

/// The process of a task with a result, which goes as `{Ref, Result}` to whoever told it to begin.
pub(super) async fn reply<B, F>(
    mut cx: Context,
    starter: Starter,
    body: B,
) -> Result<(), ExitReason>
where
    B: FnOnce(Context) -> F,
    F: Future<Output: Send + 'static>,
{
    let reference = begun(&mut cx, starter).await?;
    let vm = cx.vm().clone();
    let value = run(cx, body).await?;
    // The body had the Context: so it is the VM that sends, behind all that the body sent.
    match vm.send(reference, &(reference, Native::new(value))) {
        Ok(()) => Ok(()),
        // The owner would take the end for that of a task without a result.
        Err(SendError::MailboxFull(full)) => Err(full.reason()),
        Err(error) => Err(ExitReason::new(&(atoms::BADARG, error.to_string()))),
    }
}

/// The process of a task whose result is given to `keep`.
pub(super) async fn give<B, F>(
    mut cx: Context,
    starter: Starter,
    body: B,
    keep: impl FnOnce(F::Output),
) -> Result<(), ExitReason>
where
    B: FnOnce(Context) -> F,
    F: Future,
{
    begun(&mut cx, starter).await?;
    keep(run(cx, body).await?);
    Ok(())
}

/// The process of a task without a result.
pub(super) async fn noreply<B, F>(cx: Context, body: B) -> ExitReason
where
    B: FnOnce(Context) -> F,
    F: Future<Output: IntoExit>,
{
    let (vm, pid) = (cx.vm().clone(), cx.pid());
    match run(cx, body).await {
        Ok(ended) => {
            let reason = ended.into_exit();
            report::terminated(&vm, pid, &reason);
            reason
        }
        Err(reason) => reason,
    }
}

/// Runs the body to its end. A panic, or `Context::exit`, gives the reason, and is reported.
async fn run<B, F>(cx: Context, body: B) -> Result<F::Output, ExitReason>
where
    B: FnOnce(Context) -> F,
    F: Future,
{
    let (vm, pid) = (cx.vm().clone(), cx.pid());
    let ended = match caught(|| body(cx)) {
        Ok(running) => Caught(pin!(running)).await,
        Err(reason) => Err(reason),
    };
    if let Err(reason) = &ended {
        report::terminated(&vm, pid, reason);
    }
    ended
}

/// The body of a task that is a function of a process module, for each way to start one: `Task::start(&cx, |cx|
/// task::apply::<()>(cx, call))`. `Task.start/3` and its like.
///
/// It becomes the process's initial call. A function that is not there, that does not take the arguments, or whose
/// result is no `R`, ends the task with OTP's reason: `{undef, _}` and so on.
pub async fn apply<R: DeserializeOwned>(mut cx: Context, call: Call) -> R {
    let mfa = call.mfa();
    let origin = cx.origin();
    let origin = Origin {
        initial_call: Some(mfa.into()),
        ..origin.map_or_else(Origin::default, |origin| (*origin).clone())
    };
    cx.set_origin(Some(origin.into()));
    let result = match cx.apply_call(call).await {
        Ok(result) => result,
        Err(error) => cx.exit(error),
    };
    match otp_vm::from_term(result.root()) {
        Ok(value) => value,
        Err(error) => cx.exit(otp_vm::ApplyError::Decode { mfa, error }),
    }
}
