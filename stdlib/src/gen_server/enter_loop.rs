//! A process that becomes a server: `gen_server:enter_loop/3,4,5`.

use std::fmt;
use std::future::IntoFuture;
use std::time::Duration;

use otp_vm::{BoxFuture, Context, ExitReason};

use super::server_loop::life;
use super::start::Seed;
use super::{Action, GenServer};
use crate::r#gen::{self, Entering};

/// Makes the calling process a server with this state: await it, and end the body with the reason that it gives.
///
/// The process must have been started by [`proc_lib`](crate::proc_lib); it has initialised itself, and told its starter
/// so. Whoever started it is the server's parent.
///
/// ```
/// use otp_stdlib::gen_server::{self, enter_loop};
/// use otp_stdlib::prelude::*;
/// use otp_stdlib::proc_lib::{self, Starter};
/// use otp_vm::{Context, ExitReason, Vm};
///
/// struct Counter(u64);
///
/// impl GenServer for Counter {
///     type Args = ();
///     type Call = u64;
///     type Reply = u64;
///     type Cast = NoMessage;
///     type Info = NoMessage;
///     type Continue = NoMessage;
///
///     async fn init(_args: (), _cx: &mut Context) -> Init<Self> {
///         Init::ok(Counter(0))
///     }
///
///     async fn handle_call(&mut self, n: u64, _from: gen_server::From<u64>, _cx: &mut Context) -> Reply<Self> {
///         self.0 += n;
///         Reply::new(self.0)
///     }
/// }
///
/// async fn body(mut cx: Context) -> ExitReason {
///     let starter = Starter::receive(&mut cx).await;
///     let state = Counter(40);
///     starter.init_ack(&cx);
///     enter_loop(cx, state).await
/// }
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let count = vm.run(async |mut cx: Context| {
///     let pid = proc_lib::start_link(&mut cx, body).await.unwrap();
///     ServerRef::<Counter>::from_pid(pid).call(&mut cx, 2).await.unwrap()
/// });
/// assert_eq!(count.wait()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn enter_loop<S: GenServer>(cx: Context, state: S) -> EnterLoop<S> {
    EnterLoop {
        entering: Entering::new(cx),
        state,
        action: Action::Wait,
    }
}

/// A process about to become a server: see [`enter_loop`]. It gives the reason with which the process has to end:
/// `process_was_not_started_by_proc_lib`, `process_not_registered` or `{process_not_registered_via, Module}` at once,
/// if that is so.
#[must_use = "nothing happens until it is awaited"]
pub struct EnterLoop<S: GenServer> {
    entering: Entering,
    state: S,
    action: Action<S>,
}

impl<S: GenServer> EnterLoop<S> {
    r#gen::entering!();

    /// Sends `timeout` to `handle_info` if no message came within `after`.
    pub fn timeout(mut self, after: Duration) -> Self {
        self.action = Action::Timeout(after);
        self
    }

    /// Runs `handle_continue` before any message.
    pub fn and_continue(mut self, next: S::Continue) -> Self {
        self.action = Action::Continue(next);
        self
    }

    /// Hibernates until the first message.
    pub fn hibernate(mut self) -> Self {
        self.action = Action::Hibernate;
        self
    }
}

impl<S: GenServer> IntoFuture for EnterLoop<S> {
    type Output = ExitReason;
    type IntoFuture = BoxFuture<'static, ExitReason>;

    fn into_future(self) -> Self::IntoFuture {
        match self.entering.begin() {
            Ok((cx, origin)) => {
                let seed = Seed::Entered(self.state, self.action, origin);
                Box::pin(life(cx, Box::new(seed)))
            }
            Err(reason) => Box::pin(async { reason }),
        }
    }
}

impl<S: GenServer> fmt::Debug for EnterLoop<S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EnterLoop")
            .field("name", &self.entering.name)
            .finish_non_exhaustive()
    }
}
