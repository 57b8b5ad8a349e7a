//! A process that becomes a state machine: `gen_statem:enter_loop/4,5,6`.

use std::fmt;
use std::future::IntoFuture;

use otp_vm::{BoxFuture, Context, ExitReason};

use super::GenStatem;
use super::machine::{Machine, life};
use super::returns::{Actions, Init, InitKind};
use super::start::Seed;
use crate::r#gen::{self, Entering};

/// Makes the calling process a state machine: await it, and end the body with the reason that it gives.
///
/// It begins as after an [`init`](GenStatem::init) that gave this: an [`Init::ok`], with its actions. (What gives no
/// state ends it at once, with its reason.) The process must have been started by [`proc_lib`](crate::proc_lib); it has
/// initialised itself, and told its starter so. Whoever started it is the machine's parent.
///
/// ```
/// use otp_stdlib::gen_statem::{Event, GenStatem, Init, StatemRef, Transition, enter_loop};
/// use otp_stdlib::prelude::NoMessage;
/// use otp_stdlib::proc_lib::{self, Starter};
/// use otp_vm::{Context, ExitReason, Vm};
/// use serde::{Deserialize, Serialize};
///
/// struct Turnstile;
///
/// #[derive(Clone, PartialEq, Serialize, Deserialize, Debug)]
/// enum State { Locked, Unlocked }
///
/// impl GenStatem for Turnstile {
///     type Args = ();
///     type State = State;
///     type Call = ();
///     type Reply = State;
///     type Cast = NoMessage;
///     type Info = NoMessage;
///     type Internal = NoMessage;
///     type Timeout = NoMessage;
///     type TimeoutName = NoMessage;
///
///     async fn init(_: (), _cx: &mut Context) -> Init<Self> {
///         Init::ok(State::Locked, Turnstile)
///     }
///
///     async fn handle_event(&mut self, state: &State, event: Event<Self>, _cx: &mut Context) -> Transition<Self> {
///         match event {
///             Event::Call(from, ()) => Transition::keep_state().reply(from, state.clone()),
///             _ => Transition::keep_state(),
///         }
///     }
/// }
///
/// async fn body(mut cx: Context) -> ExitReason {
///     let starter = Starter::receive(&mut cx).await;
///     starter.init_ack(&cx);
///     enter_loop(cx, Init::ok(State::Unlocked, Turnstile)).await
/// }
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let state = vm.run(async |mut cx: Context| {
///     let pid = proc_lib::start_link(&mut cx, body).await.unwrap();
///     StatemRef::<Turnstile>::from_pid(pid).call(&mut cx, ()).await.unwrap()
/// });
/// assert_eq!(state.wait()?, State::Unlocked);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn enter_loop<M: GenStatem>(cx: Context, init: Init<M>) -> EnterLoop<M> {
    EnterLoop {
        entering: Entering::new(cx),
        init,
    }
}

/// A process about to become a state machine: see [`enter_loop`]. It gives the reason with which the process has to
/// end: `process_was_not_started_by_proc_lib`, `process_not_registered` or `{process_not_registered_via, Module}` at
/// once, if that is so.
#[must_use = "nothing happens until it is awaited"]
pub struct EnterLoop<M: GenStatem> {
    entering: Entering,
    init: Init<M>,
}

impl<M: GenStatem> EnterLoop<M> {
    r#gen::entering!();

    fn begin(self) -> Result<(Context, Box<Seed<M>>), ExitReason> {
        let (cx, origin) = self.entering.begin()?;
        let (state, data, actions): (_, _, Actions<M>) = match self.init.0 {
            InitKind::Ok(state, data, actions) => (state, data, actions),
            InitKind::Ignore => return Err(ExitReason::normal()),
            InitKind::Stop(reason) | InitKind::Error(reason) => return Err(reason),
        };
        let machine = Machine::new(&cx, state, data, origin);
        Ok((cx, Box::new(Seed::Entered(machine, actions))))
    }
}

impl<M: GenStatem> IntoFuture for EnterLoop<M> {
    type Output = ExitReason;
    type IntoFuture = BoxFuture<'static, ExitReason>;

    fn into_future(self) -> Self::IntoFuture {
        match self.begin() {
            Ok((cx, seed)) => Box::pin(life(cx, seed)),
            Err(reason) => Box::pin(async { reason }),
        }
    }
}

impl<M: GenStatem> fmt::Debug for EnterLoop<M> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("EnterLoop")
            .field("init", &self.init)
            .field("name", &self.entering.name)
            .finish_non_exhaustive()
    }
}
