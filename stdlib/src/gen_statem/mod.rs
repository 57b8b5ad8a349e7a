//! A state machine process with typed states and events: OTP's `gen_statem`.
//!
//! # The callback contract
//!
//! | callback | runs | mirrors |
//! | --- | --- | --- |
//! | [`init`](GenStatem::init) | first, before `start` returns | `init/1` |
//! | [`handle_event`](GenStatem::handle_event) | for each event | `handle_event/4`, `StateName/3` |
//! | [`state_enter`](GenStatem::state_enter) | when a state is entered or repeated | the same, with `enter` |
//! | [`handle_unknown`](GenStatem::handle_unknown) | for an event that does not decode | none: OTP's would crash |
//! | [`terminate`](GenStatem::terminate) | last | `terminate/3` |
//! | [`format_status`](GenStatem::format_status) | for a report of its end, and for `sys` | `format_status/1` |
//! | [`system_get_data`](GenStatem::system_get_data) | when `sys` asks for the state and the data | none: data is a term |
//! | [`code_change`](GenStatem::code_change) | when `sys` changes its version | `code_change/4` |
//!
//! A value of the type is the machine's *data*; its *state* is one of a type of its own, mostly an enum. The life of
//! the process is [a server's](mod@crate::gen_server#the-life-of-a-server), with events for messages; replies of one
//! that stops are sent before `terminate`.
//!
//! What a type does not need of all that says `NoMessage`: `type Cast = NoMessage;`.
//!
//! # The two callback modes
//!
//! OTP has one handler for all states, or a function for each. Here it is one handler, whose `match` takes either way:
//!
//! ```
//! # use otp_stdlib::gen_statem::{Event, GenStatem, Init, Transition};
//! # use otp_stdlib::prelude::NoMessage;
//! # use otp_vm::Context;
//! # use serde::{Deserialize, Serialize};
//! # use std::time::Duration;
//! # #[derive(Clone, PartialEq, Serialize, Deserialize)]
//! # enum State { Closed, Open }
//! # #[derive(Serialize, Deserialize)]
//! # enum Call { Open, State }
//! # struct Door;
//! # struct Window;
//! # macro_rules! types {
//! #     ($data:expr) => {
//! #         type Args = ();
//! #         type State = State;
//! #         type Call = Call;
//! #         type Reply = State;
//! #         type Cast = NoMessage;
//! #         type Info = NoMessage;
//! #         type Internal = NoMessage;
//! #         type Timeout = ();
//! #         type TimeoutName = NoMessage;
//! #         async fn init((): (), _cx: &mut Context) -> Init<Self> {
//! #             Init::ok(State::Closed, $data)
//! #         }
//! #     };
//! # }
//! // By state and event at once: `handle_event_function`.
//! impl GenStatem for Door {
//!     // …
//! #     types!(Door);
//!     async fn handle_event(&mut self, state: &State, event: Event<Self>, _cx: &mut Context) -> Transition<Self> {
//!         match (state, event) {
//!             (State::Closed, Event::Call(from, Call::Open)) => Transition::next_state(State::Open)
//!                 .reply(from, State::Open)
//!                 .state_timeout(Duration::from_secs(5), ()),
//!             (State::Open, Event::StateTimeout(())) => Transition::next_state(State::Closed),
//!             // In any state.
//!             (_, Event::Call(from, _)) => Transition::keep_state().reply(from, state.clone()),
//!             _ => Transition::keep_state(),
//!         }
//!     }
//! }
//!
//! // A function for each state: `state_functions`.
//! impl GenStatem for Window {
//!     // …
//! #     types!(Window);
//!     async fn handle_event(&mut self, state: &State, event: Event<Self>, cx: &mut Context) -> Transition<Self> {
//!         match state {
//!             State::Closed => self.closed(event, cx).await,
//!             State::Open => self.open(event, cx).await,
//!         }
//!     }
//! }
//! # impl Window {
//! #     async fn closed(&mut self, _: Event<Self>, _: &mut Context) -> Transition<Self> {
//! #         Transition::next_state(State::Open)
//! #     }
//! #     async fn open(&mut self, _: Event<Self>, _: &mut Context) -> Transition<Self> {
//! #         Transition::next_state(State::Closed)
//! #     }
//! # }
//! ```
//!
//! To change, push and pop callback modules has no meaning here: a type has its callbacks for good. What they are used
//! for in OTP, another set of handlers for a while, is a state that says which, or a `Box<dyn Handlers>` in the data.
//!
//! # The order of events
//!
//! An event is handled to the end before the next one is looked at. Then comes the first of
//!
//! 1. events inserted by [`next_event`](Transition::next_event), in their order: those of the last transition before
//!    older ones;
//! 2. if the state has changed, the events that were postponed, the oldest first; then what else was queued;
//! 3. timeouts that are due at once (of time zero, or updated though they did not run), in the order of their start;
//! 4. messages, timers among them, as they come.
//!
//! A change of the state is one to a state that is not equal (`PartialEq`). Before the next event
//!
//! * the event timeout is cancelled by any event, timeouts and internal ones too;
//! * the state timeout is cancelled by a change of the state;
//! * generic timeouts are cancelled by nothing.
//!
//! A timeout that was cancelled, or started anew, does not come: also if its time was over already.
//!
//! # Postponing
//!
//! An event that this state can't handle waits for the next: [`postpone`](Transition::postpone). Its caller waits as
//! well, so calls have no time limit unless one is given ([`StatemRef::call`]). Postponed events are looked at again
//! after each change of the state: a machine that postpones much and changes often works for it.
//!
//! # System messages
//!
//! A machine answers [`sys`](crate::sys), as OTP's. Its state is the pair of state and data there: `{State, Data}` as a
//! term, `(State, Self)` for functions; the example below has both.
//!
//! What is replaced that way is no transition: no state is entered, and what was postponed waits on. Timeouts run on
//! while the machine is suspended; what they say comes when it is resumed. One that hibernated hibernates on.
//!
//! Its events are OTP's, each a [`SystemEvent::Other`](crate::sys::SystemEvent::Other): `{in, Event, State}`,
//! `{out, Reply, From}`, `{consume, Event, State, NextState}`, `{postpone, Event, State, NextState}`,
//! `{start_timer, {TimeoutType, Milliseconds, Content, Options}, State}` and, when it ends well,
//! `{terminate, Reason, State}`.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use otp_stdlib::gen_statem::{Enter, Event, From, GenStatem, Init, Transition};
//! use otp_stdlib::prelude::NoMessage;
//! use otp_stdlib::sys;
//! use otp_vm::{Context, Vm};
//! use serde::{Deserialize, Serialize};
//!
//! /// A door that closes by itself.
//! #[derive(Default)]
//! struct Door {
//!     times_opened: u32,
//! }
//!
//! #[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
//! enum State {
//!     Closed,
//!     Open,
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! enum Call {
//!     Open,
//!     /// Answered when the door is closed.
//!     AwaitClosed,
//! }
//!
//! impl GenStatem for Door {
//!     type Args = ();
//!     type State = State;
//!     type Call = Call;
//!     type Reply = u32;
//!     type Cast = NoMessage;
//!     type Info = NoMessage;
//!     type Internal = NoMessage;
//!     /// What a timeout says; here they have nothing to say.
//!     type Timeout = ();
//!     type TimeoutName = NoMessage;
//!
//!     async fn init(_: (), _cx: &mut Context) -> Init<Self> {
//!         Init::ok(State::Closed, Door::default())
//!     }
//!
//!     async fn handle_event(&mut self, state: &State, event: Event<Self>, _cx: &mut Context) -> Transition<Self> {
//!         match (state, event) {
//!             (State::Closed, Event::Call(from, Call::Open)) => {
//!                 self.times_opened += 1;
//!                 Transition::next_state(State::Open).reply(from, self.times_opened)
//!             }
//!             (State::Open, Event::StateTimeout(())) => Transition::next_state(State::Closed),
//!             (State::Closed, Event::Call(from, Call::AwaitClosed)) => {
//!                 Transition::keep_state().reply(from, self.times_opened)
//!             }
//!             // Not now.
//!             (_, _) => Transition::keep_state().postpone(),
//!         }
//!     }
//!
//!     async fn state_enter(&mut self, state: &State, _old: &State, _cx: &mut Context) -> Enter<Self> {
//!         match state {
//!             State::Open => Enter::keep_state().state_timeout(Duration::from_millis(10), ()),
//!             State::Closed => Enter::keep_state(),
//!         }
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vm = Vm::builder().schedulers(1).build()?;
//! let opened = vm
//!     .run(async |mut cx: Context| {
//!         let door = Door::start_link(&mut cx, ()).name("door").await.expect("starts");
//!         assert_eq!(door.call(&mut cx, Call::Open).await.expect("answers"), 1);
//!         // Both wait until the door is closed.
//!         assert_eq!(door.call(&mut cx, Call::Open).await.expect("answers"), 2);
//!         door.call(&mut cx, Call::AwaitClosed).await.expect("answers");
//!         // Looked into from outside.
//!         let state = sys::get_state(&door).call(&mut cx).await.expect("answers");
//!         assert!(state.to_string().starts_with("{closed,"));
//!         let count = |(_, door): &(State, Door)| door.times_opened;
//!         sys::inspect(&door, count).call(&mut cx).await.expect("answers")
//!     })
//!     .wait()?;
//! assert_eq!(opened, 2);
//! # Ok(())
//! # }
//! ```

mod client;
mod enter_loop;
mod event;
mod host;
mod machine;
mod report;
mod returns;
mod settle;
mod start;
mod status;
mod system;
mod timers;

use std::hash::Hash;

use otp_vm::{Context, DecodeError, ExitReason, OwnedTerm, Term};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use client::StatemRef;
pub use enter_loop::{EnterLoop, enter_loop};
pub use event::{Event, EventType, TimeoutType};
pub use host::HostRef;
pub use report::Terminated;
pub use returns::{Enter, Init, Transition, When};
pub use start::{Start, StatemProcess};
pub use status::FormatStatus;

pub use crate::r#gen::{
    Client, DuplicateRequest, From, Monitored, Name, NameError, RequestId, RequestIds, Response,
    ResponseTimeout, Target, Via, ViaName,
};
pub use crate::proc_lib::StopError;

use crate::r#gen::{bad_call, short_name};
use crate::report::UNKNOWN_TEXT_LIMIT_BYTES;
use crate::supervisor::ChildSpec;

/// The callbacks of a state machine, and the types of its states and events. The [module](self) has the contract.
///
/// Implement the callbacks as `async fn`. A value of the type is the machine's data.
pub trait GenStatem: Sized + Send + 'static {
    /// What `init` gets. Moved into the process, never serialised: a socket or a channel may be in it.
    type Args: Send + 'static;
    /// The state. Reports show it as a term.
    type State: Clone + PartialEq + Serialize + Send + Sync + 'static;
    /// A request of [`StatemRef::call`].
    type Call: Serialize + DeserializeOwned + Send + 'static;
    /// The reply to it.
    type Reply: Serialize + Send + 'static;
    /// A message of [`StatemRef::cast`].
    type Cast: Serialize + DeserializeOwned + Send + 'static;
    /// Any other message: as a server's [`Info`](crate::GenServer::Info).
    type Info: DeserializeOwned + Send + 'static;
    /// What the machine tells itself, by [`next_event`](Transition::next_event). It waits as a term.
    type Internal: Serialize + DeserializeOwned + Send + 'static;
    /// What a timeout says when it comes. It waits as a term.
    type Timeout: Serialize + DeserializeOwned + Send + 'static;
    /// The names of generic timeouts. Any type: a number of a request, say, where each has its own.
    type TimeoutName: Clone + Eq + Hash + Serialize + Send + Sync + 'static;

    /// Makes the data, and the first state. `start` and `start_link` return when it is done; then that state is
    /// entered.
    fn init(args: Self::Args, cx: &mut Context) -> impl Future<Output = Init<Self>> + Send;

    /// Handles an event in a state. See [the two callback modes](self#the-two-callback-modes).
    fn handle_event(
        &mut self,
        state: &Self::State,
        event: Event<Self>,
        cx: &mut Context,
    ) -> impl Future<Output = Transition<Self>> + Send;

    /// Runs when the state has changed from `old`, when it is repeated, and for the first state (which is `old` as
    /// well); before any event. What it does stands at one place, however the state is reached. The state enter call of
    /// OTP, which has to be asked for there; the default does nothing.
    ///
    /// If it fails the machine ends in the old state.
    fn state_enter(
        &mut self,
        state: &Self::State,
        old: &Self::State,
        cx: &mut Context,
    ) -> impl Future<Output = Enter<Self>> + Send {
        let _ = (state, old, cx);
        async { Enter::keep_state() }
    }

    /// Gets an event whose content does not decode: an unknown request, or a message that is no `Info`.
    ///
    /// The default logs a warning with the content, cut at 1 KiB. To an unknown *call* it replies `{bad_call, Text}`,
    /// so that the caller fails at once with a decode error in place of its timeout.
    fn handle_unknown(
        &mut self,
        state: &Self::State,
        event_type: EventType<Self::TimeoutName>,
        content: Term<'_>,
        error: DecodeError,
        cx: &mut Context,
    ) -> impl Future<Output = Transition<Self>> + Send {
        let _ = state;
        tracing::warn!(
            event = "gen_statem_unknown_event",
            pid = %cx.pid(),
            machine = std::any::type_name::<Self>(),
            content = %content.display_limited(UNKNOWN_TEXT_LIMIT_BYTES),
            %error,
            "an event did not decode and was dropped"
        );
        if let EventType::Call(from) = event_type {
            bad_call(cx, &from, &error);
        }
        async { Transition::keep_state() }
    }

    /// Runs last. The default does nothing.
    fn terminate(
        &mut self,
        reason: &ExitReason,
        state: &Self::State,
        cx: &mut Context,
    ) -> impl Future<Output = ()> + Send {
        let _ = (reason, state, cx);
        async {}
    }

    /// Says what reports, and [`sys::get_status`](crate::sys::get_status), show of the machine: to show the data as a
    /// term, and to keep secrets out of state, data and events. The default shows the state, and what
    /// [`system_get_data`](Self::system_get_data) gives. A panic shows itself. `format_status/1`.
    fn format_status(&self, state: &Self::State, status: FormatStatus) -> FormatStatus {
        let _ = state;
        status
    }

    /// The data as a term, for [`sys::get_state`](crate::sys::get_state), the status and reports. The default gives the
    /// type's name, as a text. For data that derives `Serialize`: `sys::term(self)`.
    fn system_get_data(&self) -> OwnedTerm {
        crate::sys::text(std::any::type_name::<Self>())
    }

    /// Changes state and data to those of another version of the code, when
    /// [`sys::change_code`](crate::sys::change_code) says so; it gets the version that they are of, and whatever the
    /// upgrade brings. `code_change/4`. No state is entered by that, whatever the state is after it.
    ///
    /// The default is none: the change is refused with `{'EXIT', undef}`, and the machine goes on with what it has.
    ///
    /// # Errors
    /// The reason why it can't: state and data must be as they were then.
    fn code_change(
        &mut self,
        state: &mut Self::State,
        old_version: OwnedTerm,
        extra: OwnedTerm,
        cx: &mut Context,
    ) -> impl Future<Output = Result<(), ExitReason>> + Send {
        let _ = (state, old_version, extra);
        async { cx.exit(otp_vm::atoms::UNDEF) }
    }

    /// Starts the machine linked to the caller, who becomes its parent. Await the result, perhaps after
    /// [`name`](Start::name). `gen_statem:start_link/3,4`.
    fn start_link(cx: &mut Context, args: Self::Args) -> Start<'_, Self> {
        Start::new(cx, args, true)
    }

    /// Starts the machine without a link and without a parent. `gen_statem:start/3,4`.
    fn start(cx: &mut Context, args: Self::Args) -> Start<'_, Self> {
        Start::new(cx, args, false)
    }

    /// Starts the machine without a link, and monitors it from before it runs: gives the reference and the monitor.
    /// `gen_statem:start_monitor/3,4`.
    fn start_monitor(cx: &mut Context, args: Self::Args) -> Start<'_, Self, Monitored> {
        Start::new(cx, args, false).monitor()
    }

    /// The machine as a child of a supervisor, by its type's name as id, permanent, with 5 seconds to shut down: as
    /// [`GenServer::child_spec`](crate::GenServer::child_spec).
    fn child_spec(args: Self::Args) -> ChildSpec
    where
        Self::Args: Clone + Sync,
    {
        ChildSpec::worker(short_name::<Self>(), move |cx| {
            Self::start_link(cx, args.clone())
        })
    }

    /// As [`child_spec`](Self::child_spec), with a name, which is the id as well: the machine is found by
    /// [`StatemRef::from_name`]. A name that can't be an atom is an error of the start.
    fn child_spec_with_name(name: &'static str, args: Self::Args) -> ChildSpec
    where
        Self::Args: Clone + Sync,
    {
        ChildSpec::worker(name, move |cx| {
            Self::start_link(cx, args.clone()).name(name)
        })
    }
}
