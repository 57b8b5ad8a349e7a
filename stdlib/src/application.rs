//! A supervision tree with a name and a start: OTP's `application`, in its first, thin form.
//!
//! # The life of an application
//!
//! 1. [`run`] starts the tree, linked: the application's top supervisor.
//! 2. It waits. If the tree ends, the application ends with its reason.
//! 3. Told to end (an exit signal of its parent or the host, `shutdown` as a rule) it shuts the
//!    tree down, in order and with all the time that takes, then calls [`Application::stop`]. Any
//!    other exit signal does the same, as it would end a process that does not trap exits: so
//!    `normal` is ignored, such as that of a task which [`Application::start`] awaited.
//!
//! ```
//! use std::time::Duration;
//! use otp_stdlib::{StartError, application, prelude::*};
//! use otp_vm::{Context, ExitReason, Pid, Vm};
//!
//! struct Shop;
//!
//! impl Application for Shop {
//!     async fn start(_args: Vec<String>, cx: &mut Context) -> Result<Pid, StartError> {
//!         let flags = SupervisorFlags::one_for_one();
//!         application::tree(Supervisor::start_link(cx, flags, vec![]).await)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vm = Vm::builder().schedulers(1).build()?;
//! let reason = vm
//!     .run(async |mut cx: Context| {
//!         let (pid, _monitor) = cx.spawn_monitor(|cx| application::run::<Shop>(cx, vec![])).unwrap();
//!         cx.exit_process(pid, ExitReason::shutdown());
//!         cx.receive().await.down().expect("a DOWN").reason
//!     })
//!     .wait()?;
//! assert_eq!(reason, ExitReason::shutdown());
//! vm.shutdown(Duration::from_secs(1)).wait();
//! # Ok(())
//! # }
//! ```

use otp_vm::{Context, ExitReason, HOST, Pid};

use crate::gen_server::{GenServer, ServerRef};
use crate::proc_lib::StartError;
use crate::supervisor::shutdown::shut_down;
use crate::supervisor::{Restart, Shutdown};

/// The callbacks of an application.
pub trait Application: Send + 'static {
    /// Starts the tree, linked to the caller, and gives its top process. `start/2`.
    fn start(
        args: Vec<String>,
        cx: &mut Context,
    ) -> impl Future<Output = Result<Pid, StartError>> + Send;

    /// Runs after the tree has ended. `stop/1`. The default does nothing.
    fn stop(cx: &mut Context) -> impl Future<Output = ()> + Send {
        let _ = cx;
        async {}
    }
}

/// What a `start_link` gave, as [`Application::start`] returns it.
///
/// # Errors
/// Those of the start.
pub fn tree<S: GenServer>(started: Result<ServerRef<S>, StartError>) -> Result<Pid, StartError> {
    match started?.pid() {
        Some(pid) => Ok(pid),
        None => unreachable!("a start gives a reference by pid"),
    }
}

/// Runs an application in the calling process, until its tree ends or the process is told to.
///
/// Gives the reason to exit with: that of the tree, or the one it was told.
pub async fn run<A: Application>(mut cx: Context, args: Vec<String>) -> ExitReason {
    cx.trap_exit(true);
    let top = match A::start(args, &mut cx).await {
        Ok(top) => top,
        Err(error) => return error.into(),
    };
    let above = [top, cx.parent(), HOST];
    let (from, reason) = loop {
        let message = cx.receive().await;
        match message.exit() {
            Some(exit) if above.contains(&exit.from) || !exit.reason.is_normal() => {
                break (exit.from, exit.reason);
            }
            Some(_) => {}
            None => tracing::warn!(
                event = "application_unknown_message",
                message = %message.term().display_limited(crate::report::UNKNOWN_TEXT_LIMIT_BYTES),
                "an application's process takes no messages"
            ),
        }
    };
    if from != top
        && let Err(reason) = shut_down(&mut cx, top, Shutdown::Infinity, Restart::Temporary).await
    {
        tracing::error!(event = "application_shutdown", %reason, "the tree did not end in order");
    }
    A::stop(&mut cx).await;
    reason
}
