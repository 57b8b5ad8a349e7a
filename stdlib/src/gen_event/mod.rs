//! A process that hands events to handlers which come and go: OTP's `gen_event`.
//!
//! A manager ([`EventManager`]) is a process without a will of its own. A handler is a value in it, with state and
//! callbacks ([`EventHandler`]); any process may add and remove some. Each event goes to every handler, newest first,
//! one after the other, and one that fails is taken out, and reported, while the others go on.
//!
//! # The callback contract
//!
//! | callback | runs | mirrors |
//! | --- | --- | --- |
//! | [`init`](EventHandler::init) | when it is added, in the manager's process | `init(Args)` |
//! | [`init_swapped`](EventHandler::init_swapped) | when it takes another one's place | `init({Args, Term})` |
//! | [`handle_event`](EventHandler::handle_event) | for each event | `handle_event/2` |
//! | [`handle_call`](EventHandler::handle_call) | for a call to this handler | `handle_call/2` |
//! | [`handle_info`](EventHandler::handle_info) | for any other message | `handle_info/2` |
//! | [`handle_unknown`](EventHandler::handle_unknown) | for a message that does not decode | none: OTP's would crash |
//! | [`terminate`](EventHandler::terminate) | last, whatever removes it | `terminate/2` |
//! | [`format_status`](EventHandler::format_status) | for a report, and for `sys` | `format_status/1` |
//! | [`system_get_state`](EventHandler::system_get_state) | when `sys` asks for the state | `system_get_state/1` |
//! | [`code_change`](EventHandler::code_change) | when `sys` changes its version | `code_change/3` |
//!
//! Only `init` and `handle_event` must be written. A handler without calls says `type Call = NoMessage;`, and so on.
//!
//! # Types
//!
//! A manager has one type of events, and decodes each event once. All its handlers are of that type
//! ([`EventHandler::Event`]). One for any events at all is an `EventManager<OwnedTerm>`: its handlers get terms.
//! Requests are typed by the handler: [`Handler`] has its type, [`HandlerId`] hasn't. What any process sends as
//! `{notify, Event}` is an event; one that is none of the type goes to `handle_unknown` of every handler.
//!
//! A handler is made in the manager's process, of arguments that are moved there: a file or a channel may be among
//! them. So handlers are added by processes of the same VM.
//!
//! # The life of a handler
//!
//! 1. Its `init` runs in the manager, which handles nothing else meanwhile. It is added in front, or not at all.
//! 2. Its callbacks run one after the other, and between those of the other handlers: one that takes long keeps all of
//!    them waiting, and whoever calls the manager.
//! 3. It goes, and its `terminate` is called with a [`Terminate`] that says why, when
//!    * it returned [`Next::remove`], or an error, or panicked, or called `Context::exit`. After a failure comes a
//!      [report](Terminated);
//!    * somebody deleted it; what `terminate` gives goes to whom did;
//!    * it was swapped, by somebody or by its own [`Next::swap`]: what `terminate` gives goes to the new one. It stays
//!      in its place if it had itself swapped; else the new one is in front;
//!    * the process that supervises it ended;
//!    * the manager ends: it is stopped, or its parent has ended.
//! 4. Whoever supervises it ([`add_sup_handler`](EventManagerRef::add_sup_handler)) is told by a [`GenEventExit`].
//!
//! **After a panic** `terminate` is called with the state as the panic left it, as that of a
//! [server](mod@crate::gen_server#the-life-of-a-server) is. A panic in `terminate`, or when the state is dropped, is
//! logged.
//!
//! # System messages
//!
//! A manager answers [`sys`](mod@crate::sys). Its state is `[{Module, Id, State}]`, a handler each, newest first; that
//! of a handler is what its [`system_get_state`](EventHandler::system_get_state) shows, or for functions the value
//! itself ([`EventManagerRef::inspect`], [`EventManagerRef::replace_state`]). A change of code names the module of
//! handlers. One that hibernated does so again when it has answered.
//!
//! # Where this differs from OTP
//!
//! * A request is `{'$gen_call', From, Request}` to the manager, and the reply to a call of a handler
//!   `{ok, Reply}` or `{error, Reason}`: OTP can't tell the manager's error from a reply of the same shape.
//! * A message that a handler has no type for is a warning; OTP's handler fails, unless it has no `handle_info` at all.
//! * A handler that takes the place of another by that one's own wish may hibernate the manager; OTP's would be
//!   lost.
//! * An exit signal of the host program ends a manager, as its parent's does.
//!
//! # When not to use it
//!
//! Handlers share a process and wait for each other. If each is to work at its own pace, or to crash by itself, they
//! are processes, and whoever has news sends it to them: keep their pids in a [`Registry`](crate::Registry). A manager
//! is right for small things that belong to one stream of news: counts, logs, alarms.
//!
//! # Example
//!
//! ```
//! use otp_stdlib::gen_event::{self, Answer, EventHandler, EventManager, Handler, Init, Next};
//! use otp_stdlib::prelude::*;
//! use otp_vm::{Context, Vm};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Serialize, Deserialize)]
//! enum Door {
//!     Opened,
//!     Closed,
//! }
//!
//! /// How often it was opened.
//! struct Count(u64);
//!
//! impl EventHandler for Count {
//!     type Event = Door;
//!     type Args = u64;
//!     type Call = ();
//!     type Reply = u64;
//!     type Info = NoMessage;
//!
//!     async fn init(count: u64, _cx: &mut Context) -> Init<Self> {
//!         Init::ok(Count(count))
//!     }
//!
//!     async fn handle_event(&mut self, event: &Door, _cx: &mut Context) -> Next<Door> {
//!         if let Door::Opened = event {
//!             self.0 += 1;
//!         }
//!         Next::ok()
//!     }
//!
//!     async fn handle_call(&mut self, _request: (), _cx: &mut Context) -> Answer<u64, Door> {
//!         Answer::new(self.0)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vm = Vm::builder().schedulers(1).build()?;
//! let run = vm.run(async |mut cx: Context| {
//!     let doors = EventManager::<Door>::start_link(&mut cx).name("doors").await.expect("it starts");
//!     let count = Handler::<Count>::new();
//!     doors.add_handler(&mut cx, count.clone(), 0).await.expect("it is added");
//!     doors.notify(&cx, &Door::Opened).expect("a term");
//!     doors.notify(&cx, &Door::Closed).expect("a term");
//!     doors.notify(&cx, &Door::Opened).expect("a term");
//!     doors.call(&mut cx, &count, ()).await.expect("it answers")
//! });
//! assert_eq!(run.wait()?, 2);
//! # Ok(())
//! # }
//! ```

mod client;
mod errors;
mod handler_id;
mod handlers;
mod host;
mod install;
mod manager;
mod report;
mod returns;
mod start;
mod system;
mod wire;

use otp_vm::{Context, DecodeError, ExitReason, Message, OwnedTerm, atoms};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use client::EventManagerRef;
pub use errors::{GenEventExit, HandlerError, ManagerError, Removed};
pub use handler_id::{Handler, HandlerId};
pub use host::HostRef;
pub use install::Install;
pub use report::{NoHandleInfo, Terminated};
pub use returns::{Answer, Init, Next, Terminate};
pub use start::{EventManager, Start};

pub use crate::r#gen::{
    CALL_TIMEOUT, DuplicateRequest, Monitored, Name, NameError, RequestId, RequestIds, Response,
    ResponseTimeout, Target, Via,
};
pub use crate::gen_server::{FormatStatus, NoMessage};
pub use crate::proc_lib::StopError;

use crate::r#gen::short_name;

/// What a manager hands to its handlers: any type that can be a message. The handlers get it by reference.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no event: it does not serialise, or does not deserialise, or can't be shared",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it"
)]
pub trait Event: Serialize + DeserializeOwned + Send + Sync + 'static {}

impl<T: Serialize + DeserializeOwned + Send + Sync + 'static> Event for T {}

/// The callbacks of a handler, and the types of its messages. The [module](self) has the contract.
///
/// Implement the callbacks as `async fn`. A value of the type is the handler's state.
pub trait EventHandler: Sized + Send + 'static {
    /// What the manager hands out.
    type Event: Event;
    /// What `init` gets. Moved into the manager's process, never serialised: a file or a channel may be in it.
    type Args: Send + 'static;
    /// A request of [`EventManagerRef::call`].
    type Call: Serialize + DeserializeOwned + Send + 'static;
    /// The reply to it.
    type Reply: Serialize + Send + 'static;
    /// Any other message that the manager's process gets: see
    /// [`GenServer::Info`](crate::gen_server::GenServer::Info). Every handler gets each of them.
    type Info: DeserializeOwned + Send + 'static;

    /// By what a manager knows handlers of this type: the module's name, in OTP. The type's name without its path,
    /// unless told otherwise; two types with the same name are the same to a manager.
    fn module() -> &'static str {
        short_name::<Self>()
    }

    /// Makes the state. The manager handles nothing else meanwhile.
    fn init(args: Self::Args, cx: &mut Context) -> impl Future<Output = Init<Self>> + Send;

    /// Makes the state of a handler that takes the place of another: `old` is what that one's `terminate` gave, or
    /// `{'EXIT', Reason}` if that panicked; None: there was no other. The default makes nothing of it.
    /// `init({Args, Term})`.
    fn init_swapped(
        args: Self::Args,
        old: Option<OwnedTerm>,
        cx: &mut Context,
    ) -> impl Future<Output = Init<Self>> + Send {
        drop(old);
        Self::init(args, cx)
    }

    /// Handles an event.
    fn handle_event(
        &mut self,
        event: &Self::Event,
        cx: &mut Context,
    ) -> impl Future<Output = Next<Self::Event>> + Send;

    /// Answers a call to this handler. There is no replying later: the caller waits for the manager, which waits for
    /// the handler.
    ///
    /// The default fails with `{bad_call, Request}`: the handler is taken out.
    fn handle_call(
        &mut self,
        request: Self::Call,
        cx: &mut Context,
    ) -> impl Future<Output = Answer<Self::Reply, Self::Event>> + Send {
        let _ = cx;
        async move { Answer::error(ExitReason::new(&Unhandled::BadCall(&request))) }
    }

    /// Handles any other message. The default logs a warning: a handler that declares a type for these messages should
    /// say what it does with them.
    fn handle_info(
        &mut self,
        info: Self::Info,
        cx: &mut Context,
    ) -> impl Future<Output = Next<Self::Event>> + Send {
        drop(info);
        tracing::warn!(
            event = "gen_event_no_handle_info",
            pid = %cx.pid(),
            handler = std::any::type_name::<Self>(),
            "a message was decoded, but the handler has no handle_info: write one, or use NoMessage"
        );
        async { Next::ok() }
    }

    /// Gets a message that is no `Info`, or an event that is none of the manager's type.
    ///
    /// The default logs a warning with the message, cut at 1 KiB, and [reports](NoHandleInfo) it.
    fn handle_unknown(
        &mut self,
        message: &Message,
        error: &DecodeError,
        cx: &mut Context,
    ) -> impl Future<Output = Next<Self::Event>> + Send {
        report::no_handle_info(cx, Self::module(), message, error);
        async { Next::ok() }
    }

    /// Runs last: see [the life of a handler](self#the-life-of-a-handler). What it gives goes to whoever deletes or
    /// swaps it. A handler that only hands over to others in the same manager may give a
    /// [native resource](otp_vm::Native) as well.
    ///
    /// The default does nothing, and gives `ok`.
    fn terminate(
        &mut self,
        why: Terminate<'_>,
        cx: &mut Context,
    ) -> impl Future<Output = OwnedTerm> + Send {
        let _ = (why, cx);
        async { OwnedTerm::from(atoms::OK) }
    }

    /// Says what reports, and [`sys::get_status`](crate::sys::get_status), show of the handler: as
    /// [`GenServer::format_status`](crate::gen_server::GenServer::format_status). `format_status/1`.
    fn format_status(&self, status: FormatStatus) -> FormatStatus {
        status
    }

    /// The state as a term, for [`sys::get_state`](crate::sys::get_state), the status and reports. The default gives
    /// the type's name, as a text. For a state that derives `Serialize`: `sys::term(self)`. `system_get_state/1`.
    fn system_get_state(&self) -> OwnedTerm {
        crate::sys::text(std::any::type_name::<Self>())
    }

    /// Changes the state to that of another version of the code, when [`sys::change_code`](crate::sys::change_code)
    /// names the handler's [module](Self::module): as
    /// [`GenServer::code_change`](crate::gen_server::GenServer::code_change). `code_change/3`.
    ///
    /// The default refuses with `undef`. If there are several handlers of the module, those before one that refuses
    /// have changed.
    ///
    /// # Errors
    /// The reason why it can't: the state must be as it was then.
    fn code_change(
        &mut self,
        old_version: OwnedTerm,
        extra: OwnedTerm,
        cx: &mut Context,
    ) -> impl Future<Output = Result<(), ExitReason>> + Send {
        let _ = (old_version, extra);
        // It is not there, which is more than a refusal.
        async move { cx.exit(atoms::UNDEF) }
    }
}

/// The reason of a handler that lacks a callback.
#[derive(Serialize)]
enum Unhandled<T> {
    BadCall(T),
}
