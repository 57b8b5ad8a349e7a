//! Asking a process to end.

use otp_vm::{Context, Destination, ExitReason, Message, Pid, Ref, SendError, Timeout, from_term};
use serde::{Deserialize, Serialize};

use super::Watch;

/// Why a process was not stopped as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StopError {
    /// It ended, but with another reason; `noproc`: it was not there.
    #[error("the process ended with another reason: {0}")]
    Exit(ExitReason),
    /// It did not end in time.
    #[error("the process did not end in time; it was asked to: wait longer, or kill it")]
    Timeout,
    /// A process can't wait for its own end.
    #[error(
        "a process can't wait for its own end: return from the body, or stop from the callback"
    )]
    CallingSelf,
    /// The reason can't be a term.
    #[error("the reason can't be sent: {0}")]
    Encode(String),
}

/// As the reason of a process that can't go on: OTP's.
impl From<StopError> for ExitReason {
    fn from(error: StopError) -> Self {
        match error {
            StopError::Exit(reason) => reason,
            StopError::Timeout => Self::timeout(),
            StopError::CallingSelf => otp_vm::CallError::CallingSelf.reason(),
            StopError::Encode(text) => Self::new(&(otp_vm::atoms::BADARG, text)),
        }
    }
}

fn is_named(cx: &Context, name: &str) -> bool {
    cx.whereis(name) == Some(cx.pid())
}

/// Asks a process, by pid, name, or name and node, to end with `reason`, and waits until it has. `proc_lib:stop/1,3`.
///
/// The request is OTP's system message `{system, {Pid, Ref}, {terminate, Reason}}`, which every behaviour knows. A body
/// of one's own looks for it with [`terminate_request`]; one that does not goes on, and the stop ends by its time
/// limit. To end any process there is [`Context::exit_process`].
///
/// Dropping the future leaves nothing with the caller; the request stands.
///
/// # Errors
/// [`StopError::Exit`] when it ended with another reason (`noproc`: it was not there), [`StopError::Timeout`] when it
/// did not end in time; the request stands, also with a limit of zero.
pub async fn stop(
    cx: &mut Context,
    process: impl Into<Destination>,
    reason: impl Into<ExitReason>,
    after: impl Into<Timeout>,
) -> Result<(), StopError> {
    let process = process.into();
    let is_self = match &process {
        Destination::Pid(pid) => *pid == cx.pid(),
        Destination::Name(name) => is_named(cx, name.as_str()),
        Destination::NameAt(name, node) => *node == cx.node() && is_named(cx, name.as_str()),
        Destination::Text { name, node } => {
            node.is_none_or(|node| node == cx.node()) && is_named(cx, name)
        }
        _ => false,
    };
    if is_self {
        return Err(StopError::CallingSelf);
    }
    let reason = reason.into();
    let monitor = cx.monitor(process.clone());
    let watch = Watch { cx, monitor };
    let from = (watch.cx.pid(), watch.cx.make_ref());
    let request = Request::System(from, Terminate::Terminate(reason.clone()));
    if let Err(SendError::Encode(error)) = watch.cx.send(process, &request) {
        return Err(StopError::Encode(error.to_string()));
    }
    match watch.cx.await_down_timeout(monitor, after).await {
        Some(down) if down.reason == reason => Ok(()),
        Some(down) => Err(StopError::Exit(down.reason)),
        None => Err(StopError::Timeout),
    }
}

/// The reason that a process is asked to end with, if the message is such a request. Whoever gets it cleans up, and
/// returns the reason from its body.
///
/// ```
/// use std::time::Duration;
/// use otp_stdlib::proc_lib;
/// use otp_vm::{Context, ExitReason, Vm};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// async fn polite(mut cx: Context) -> ExitReason {
///     loop {
///         let message = cx.receive().await;
///         if let Some(reason) = proc_lib::terminate_request(&message) {
///             return reason;
///         }
///     }
/// }
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// vm.run(async |mut cx: Context| {
///     let pid = proc_lib::spawn(&cx, polite).unwrap();
///     proc_lib::stop(&mut cx, pid, ExitReason::shutdown(), Duration::from_secs(5)).await.unwrap();
///     assert!(!cx.is_alive(pid).await);
/// })
/// .wait()?;
/// # Ok(())
/// # }
/// ```
pub fn terminate_request(message: &Message) -> Option<ExitReason> {
    let term = message.term();
    let tuple = term.as_tuple().filter(|tuple| tuple.len() == 3)?;
    // Told by its tag first: most messages are something else.
    if tuple.get(0)?.as_atom()? != otp_vm::atoms::SYSTEM {
        return None;
    }
    match from_term(term) {
        Ok(Request::System(_, Terminate::Terminate(reason))) => Some(reason),
        Err(_) => None,
    }
}

#[derive(Serialize, Deserialize)]
enum Request {
    System((Pid, Ref), Terminate),
}

#[derive(Serialize, Deserialize)]
enum Terminate {
    Terminate(ExitReason),
}
