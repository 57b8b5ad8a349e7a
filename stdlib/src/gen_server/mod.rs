//! A server process with a typed state: OTP's `gen_server`.
//!
//! # The callback contract
//!
//! | callback | runs | mirrors |
//! | --- | --- | --- |
//! | [`init`](GenServer::init) | first, before `start` returns | `init/1` |
//! | [`handle_continue`](GenServer::handle_continue) | after a callback that asked for it, before any message | `handle_continue/2` |
//! | [`handle_call`](GenServer::handle_call) | for each [`ServerRef::call`] | `handle_call/3` |
//! | [`handle_cast`](GenServer::handle_cast) | for each [`ServerRef::cast`] | `handle_cast/2` |
//! | [`handle_info`](GenServer::handle_info) | for any other message, and for the atom `timeout` | `handle_info/2` |
//! | [`handle_unknown`](GenServer::handle_unknown) | for a message that does not decode | none: OTP's would crash |
//! | [`terminate`](GenServer::terminate) | last, see below | `terminate/2` |
//! | [`format_status`](GenServer::format_status) | for a report of its end, and for `sys` | `format_status/1` |
//! | [`system_get_state`](GenServer::system_get_state) | when `sys` asks for the state | `system_get_state/1` |
//! | [`code_change`](GenServer::code_change) | when `sys` changes its version | `code_change/3` |
//!
//! Only `init` must be written. A server without casts says `type Cast = NoMessage;`, and so on.
//!
//! # By the attribute, or by hand
//!
//! The attribute [`gen_server`](macro@crate::gen_server) writes the trait from a block of handlers, with a type for
//! each request's reply, and the functions that clients call:
//!
//! ```
//! use otp_stdlib::prelude::*;
//! use otp_vm::{Context, Vm};
//!
//! struct Counter {
//!     count: u64,
//! }
//!
//! #[gen_server]
//! impl Counter {
//!     async fn init(count: u64, _cx: &mut Context) -> Init<Self> {
//!         Init::ok(Counter { count })
//!     }
//!
//!     /// Adds, and gives the sum.
//!     #[call]
//!     fn add(&mut self, n: u64) -> u64 {
//!         self.count += n;
//!         self.count
//!     }
//!
//!     #[cast]
//!     fn reset(&mut self) {
//!         self.count = 0;
//!     }
//! }
//!
//! let vm = Vm::builder().schedulers(1).build()?;
//! let run = vm.run(async |mut cx: Context| {
//!     let counter = Counter::start(&mut cx, 40).name("counter").await.expect("starts");
//!     assert_eq!(counter.add(&mut cx, 2).await.expect("answers"), 42);
//!     counter.reset(&cx).expect("a term");
//!     counter
//! });
//! // The same functions outside of the VM: waited for, or awaited in any async runtime.
//! let counter = run.wait()?;
//! assert_eq!(counter.on(&vm).add(1).wait()??, 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! By hand a server has one type for each kind of message: for messages of a shape of one's own, for a generic server,
//! and for what the attribute does not do. The [example](#example) below does so.
//!
//! # The life of a server
//!
//! 1. `start_link` spawns the process, linked, and asks it to begin; it waits for the answer
//!    (for ever, unless [`Start::timeout`] says otherwise; then the process is killed).
//! 2. The process takes its name. If another process holds it, the start fails with
//!    [`StartError::AlreadyStarted`](crate::StartError::AlreadyStarted) and `init` does not run.
//! 3. `init` runs. Only when it gave a state does `start_link` return. When it did not, the
//!    process is gone, and its name free, before `start_link` returns.
//! 4. The server takes one message at a time. While it handles one, others wait in its mailbox.
//!    A callback may await: calls to other servers, timers, input and output.
//! 5. It ends, and `terminate` is called, when
//!    * a callback returned `stop`;
//!    * somebody called [`ServerRef::stop`];
//!    * its parent (who called `start_link`) ended, or its supervisor said `shutdown`, **and** the
//!      server traps exits. A server that does not trap exits dies of the signal without a word.
//!      An exit signal of the host program counts as the parent's: when the VM is shut down,
//!      servers without a supervisor end in order too;
//!    * a callback panicked, or called `Context::exit`; so did the decoding of a message, or the
//!      encoding of a reply.
//! 6. It does not run when the process was killed, nor when `init` failed.
//! 7. The reply of `Reply::stop_with` is sent after `terminate`, as OTP does.
//!
//! **After a panic** `terminate` is called with the state as the panic left it. OTP calls it with
//! the state of before the message, which costs nothing there because states are immutable; here
//! the callback had the state by `&mut`. It is called all the same, because what it does (close
//! the file, give the lease back) matters most when things went wrong. So: let `terminate` release
//! what is held outside the process, and do not have it trust invariants that a half-done callback
//! may have broken. A panic in `terminate`, or when the state is dropped, takes the place of the reason.
//!
//! # Races
//!
//! * A call to a server that dies meanwhile returns the exit reason: the request carries a monitor.
//! * A reply that comes after the caller's timeout is dropped by the VM: it never shows up in the
//!   caller's mailbox.
//! * A `timeout` asked for by a callback is off as soon as any message came, even one that was in
//!   the mailbox before: with a timeout of 0 the mailbox is looked at first.
//! * An `EXIT` from the parent is never seen by `handle_info`; one from any other process is, when
//!   the server traps exits.
//!
//! # When not to use it
//!
//! A server handles one message at a time: it serialises access, by design. For data that many
//! read, own a table and let readers pass by the server. For code without state, write a function.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use otp_stdlib::prelude::*;
//! use otp_vm::{Context, ExitReason, Vm};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Default)]
//! struct Counter {
//!     count: u64,
//! }
//!
//! #[derive(Serialize, Deserialize)]
//! enum Request {
//!     Add(u64),
//!     Value,
//! }
//!
//! impl GenServer for Counter {
//!     type Args = u64;
//!     type Call = Request;
//!     type Reply = u64;
//!     type Cast = NoMessage;
//!     type Info = NoMessage;
//!     type Continue = NoMessage;
//!
//!     async fn init(count: u64, _cx: &mut Context) -> Init<Self> {
//!         Init::ok(Counter { count })
//!     }
//!
//!     async fn handle_call(
//!         &mut self,
//!         request: Request,
//!         _from: gen_server::From<u64>,
//!         _cx: &mut Context,
//!     ) -> Reply<Self> {
//!         if let Request::Add(n) = request {
//!             self.count += n;
//!         }
//!         Reply::new(self.count)
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vm = Vm::builder().schedulers(1).build()?;
//! let counted = vm
//!     .run(async |mut cx: Context| {
//!         let counter = Counter::start_link(&mut cx, 40).name("counter").await.expect("starts");
//!         counter.call(&mut cx, Request::Add(2)).await.expect("answers");
//!         let by_name = ServerRef::<Counter>::from_name("counter").expect("a short name");
//!         by_name.call(&mut cx, Request::Value).await.expect("answers")
//!     })
//!     .wait()?;
//! assert_eq!(counted, 42);
//! vm.shutdown(Duration::from_secs(1)).wait();
//! # Ok(())
//! # }
//! ```

mod client;
mod enter_loop;
mod host;
mod no_message;
mod report;
mod returns;
mod server_loop;
mod start;
mod status;
mod system;

use std::any::Any;

use otp_vm::{Context, DecodeError, ExitReason, Message, MessageKind, OwnedTerm};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use client::ServerRef;
pub use enter_loop::{EnterLoop, enter_loop};
pub use host::HostRef;
pub use no_message::NoMessage;
pub use report::{NoHandleInfo, Terminated};
pub use returns::{Action, Init, NoReply, Reply};
pub use start::{ServerProcess, Start};
pub use status::FormatStatus;

pub use crate::r#gen::{
    BadServer, CALL_TIMEOUT, Client, DuplicateRequest, From, Monitored, MultiCall, Name, NameError,
    RequestId, RequestIds, Response, ResponseTimeout, Target, Via, ViaName,
};
pub use crate::proc_lib::StopError;

use crate::r#gen::{bad_call, short_name};
use crate::report::{UNKNOWN_TEXT_LIMIT_BYTES, hint};
use crate::supervisor::ChildSpec;

/// The callbacks of a server, and the types of its messages. The [module](self) has the contract.
///
/// Implement the callbacks as `async fn`. A value of the type is the server's state.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no gen_server",
    note = "write `#[gen_server]` above its `impl`, or implement `GenServer`",
    note = "`Init` of the prelude is a server's: for a state machine take `gen_statem::Init`, for an event handler \
            `gen_event::Init`"
)]
pub trait GenServer: Sized + Send + 'static {
    /// What `init` gets. Moved into the process, never serialised: a socket or a channel may be in it.
    type Args: Send + 'static;
    /// A request of [`ServerRef::call`].
    type Call: Serialize + DeserializeOwned + Send + 'static;
    /// The reply to it.
    type Reply: Serialize + Send + 'static;
    /// A message of [`ServerRef::cast`].
    type Cast: Serialize + DeserializeOwned + Send + 'static;
    /// Any other message. The VM's own are decoded as well: a unit variant `Timeout` gets the
    /// server's timeout, `#[serde(rename = "DOWN")] Down(Ref, Atom, Pid, ExitReason)` the end of a
    /// monitored process, `#[serde(rename = "EXIT")] Exit(Pid, ExitReason)` that of a linked one.
    ///
    /// A variant's name is an atom, and a text is a binary: `cx.send_after(after, cx.pid(), "sweep")` does not reach a
    /// variant `Sweep`. Derive `Serialize` as well, and send `&Info::Sweep`.
    type Info: DeserializeOwned + Send + 'static;
    /// What `handle_continue` gets. Moved, never serialised.
    type Continue: Send + 'static;

    /// Makes the state. `start` and `start_link` return when it is done.
    fn init(args: Self::Args, cx: &mut Context) -> impl Future<Output = Init<Self>> + Send;

    /// Answers a call. `from` can be kept, or sent to another process, to reply later.
    ///
    /// The default stops the server with `{bad_call, Request}`, as Elixir's does.
    fn handle_call(
        &mut self,
        request: Self::Call,
        from: From<Self::Reply>,
        cx: &mut Context,
    ) -> impl Future<Output = Reply<Self>> + Send {
        let _ = (from, cx);
        async move { Reply::stop(ExitReason::new(&Unhandled::Call(&request))) }
    }

    /// Handles a cast. The default stops the server with `{bad_cast, Message}`, as Elixir's does.
    fn handle_cast(
        &mut self,
        request: Self::Cast,
        cx: &mut Context,
    ) -> impl Future<Output = NoReply<Self>> + Send {
        let _ = cx;
        async move { NoReply::stop(ExitReason::new(&Unhandled::Cast(&request))) }
    }

    /// Handles any other message. The default logs a warning: a server that declares a type for
    /// these messages should say what it does with them.
    fn handle_info(
        &mut self,
        info: Self::Info,
        cx: &mut Context,
    ) -> impl Future<Output = NoReply<Self>> + Send {
        let pid = cx.pid();
        drop(info);
        async move {
            tracing::warn!(
                event = "gen_server_no_handle_info",
                %pid,
                server = std::any::type_name::<Self>(),
                "a message was decoded, but the server has no handle_info: write one, or use NoMessage"
            );
            NoReply::new()
        }
    }

    /// Runs what a callback put off, before any message. The default stops the server with
    /// `bad_continue`: a server that asks for it must have it.
    fn handle_continue(
        &mut self,
        next: Self::Continue,
        cx: &mut Context,
    ) -> impl Future<Output = NoReply<Self>> + Send {
        let _ = cx;
        drop(next);
        async move { NoReply::stop(ExitReason::new(&Unhandled::<()>::Continue)) }
    }

    /// Gets a message that is neither a call, a cast nor an `Info`: an unknown request or shape.
    ///
    /// The default logs a warning with the message, cut at 1 KiB, and a hint where a text stands
    /// in the place of a variant's name. To an unknown *call* it replies
    /// `{bad_call, Text}`, so that the caller fails at once with a decode error in place of its
    /// timeout.
    fn handle_unknown(
        &mut self,
        message: Message,
        error: DecodeError,
        cx: &mut Context,
    ) -> impl Future<Output = NoReply<Self>> + Send {
        tracing::warn!(
            event = "gen_server_unknown_message",
            pid = %cx.pid(),
            server = std::any::type_name::<Self>(),
            content = %message.term().display_limited(UNKNOWN_TEXT_LIMIT_BYTES),
            %error,
            hint = hint(&message),
            "a message did not decode and was dropped"
        );
        match message.kind() {
            MessageKind::Call { from, .. } => bad_call(cx, &from, &error),
            MessageKind::Cast(_) => {}
            _ => report::no_handle_info::<Self>(cx, &message),
        }
        async { NoReply::new() }
    }

    /// Runs last: see [the life of a server](self#the-life-of-a-server). The default does nothing.
    fn terminate(
        &mut self,
        reason: &ExitReason,
        cx: &mut Context,
    ) -> impl Future<Output = ()> + Send {
        let _ = (reason, cx);
        async {}
    }

    /// Says what reports, and [`sys::get_status`](crate::sys::get_status), show of the server: to show the state as a
    /// term, and to keep secrets out of state, message, reason and events. The default shows what
    /// [`system_get_state`](Self::system_get_state) gives. A panic shows itself. `format_status/1`.
    ///
    /// ```
    /// # use otp_stdlib::prelude::*;
    /// # use otp_stdlib::gen_server::FormatStatus;
    /// # use otp_vm::Context;
    /// struct Session { user: String, password: String }
    ///
    /// impl GenServer for Session {
    /// #   type Args = ();
    /// #   type Call = NoMessage;
    /// #   type Reply = NoMessage;
    /// #   type Cast = NoMessage;
    /// #   type Info = NoMessage;
    /// #   type Continue = NoMessage;
    /// #   async fn init(_: (), _: &mut Context) -> Init<Self> { Init::ignore() }
    ///     // …
    ///     fn format_status(&self, mut status: FormatStatus) -> FormatStatus {
    ///         status.set_state(&("session", &self.user));
    ///         status
    ///     }
    /// }
    /// # let _ = |session: Session| session.password;
    /// ```
    fn format_status(&self, status: FormatStatus) -> FormatStatus {
        status
    }

    /// The state as a term, for [`sys::get_state`](crate::sys::get_state), the status, events and reports. The default
    /// gives the type's name, as a text. For a state that derives `Serialize`: `sys::term(self)`; the attribute
    /// [`gen_server`](macro@crate::gen_server) does that by itself. `system_get_state/1`.
    fn system_get_state(&self) -> OwnedTerm {
        crate::sys::text(std::any::type_name::<Self>())
    }

    /// The state that functions of [`sys`](crate::sys) get, by its type: the server itself, unless it stands before
    /// something else. `system_replace_state/2`.
    fn system_state(&mut self) -> &mut dyn Any {
        self
    }

    /// Changes the state to that of another version of the code, when [`sys::change_code`](crate::sys::change_code)
    /// says so; it gets the version that the state is of, and whatever the upgrade brings. `code_change/3`.
    ///
    /// The default refuses with `undef`, so that a server that has no such callback goes on with what it has.
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
        async move { cx.exit(otp_vm::atoms::UNDEF) }
    }

    /// Starts the server linked to the caller, who becomes its parent. Await the result, perhaps
    /// after [`name`](Start::name). `gen_server:start_link/3,4`.
    fn start_link(cx: &mut Context, args: Self::Args) -> Start<'_, Self> {
        Start::new(cx, args, true)
    }

    /// Starts the server without a link and without a parent. `gen_server:start/3,4`.
    fn start(cx: &mut Context, args: Self::Args) -> Start<'_, Self> {
        Start::new(cx, args, false)
    }

    /// Starts the server without a link, and monitors it from before it runs: gives the reference and the monitor.
    /// `gen_server:start_monitor/3,4`.
    fn start_monitor(cx: &mut Context, args: Self::Args) -> Start<'_, Self, Monitored> {
        Start::new(cx, args, false).monitor()
    }

    /// The server as a child of a supervisor, by its type's name as id, permanent, with 5 seconds to shut down.
    /// Elixir's `child_spec/1`, which `use GenServer` writes; its options are methods of [`ChildSpec`].
    ///
    /// ```
    /// use otp_stdlib::prelude::*;
    /// use otp_vm::{Context, Vm};
    ///
    /// struct Cache;
    ///
    /// #[gen_server]
    /// impl Cache {
    ///     fn init(_size: usize) -> Self {
    ///         Cache
    ///     }
    /// }
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(async |mut cx: Context| {
    ///     let children = vec![
    ///         Cache::child_spec(100),
    ///         Cache::child_spec(10).with_id("small").restart(Restart::Transient),
    ///         Cache::child_spec_with_name("shared", 1000),
    ///     ];
    ///     let tree = Supervisor::start_link(&mut cx, SupervisorFlags::one_for_one(), children);
    ///     tree.await.unwrap();
    /// });
    /// run.wait()?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    fn child_spec(args: Self::Args) -> ChildSpec
    where
        Self::Args: Clone + Sync,
    {
        ChildSpec::worker(short_name::<Self>(), move |cx| {
            Self::start_link(cx, args.clone())
        })
    }

    /// As [`child_spec`](Self::child_spec), with a name, which is the id as well: the server is found by
    /// [`ServerRef::from_name`]. A name that can't be an atom is an error of the start.
    fn child_spec_with_name(name: &'static str, args: Self::Args) -> ChildSpec
    where
        Self::Args: Clone + Sync,
    {
        ChildSpec::worker(name, move |cx| {
            Self::start_link(cx, args.clone()).name(name)
        })
    }

    /// As [`child_spec_with_name`](Self::child_spec_with_name), for a name of any kind.
    fn child_spec_named(name: Name, args: Self::Args) -> ChildSpec
    where
        Self::Args: Clone + Sync,
    {
        ChildSpec::worker(&name.clone(), move |cx| {
            Self::start_link(cx, args.clone()).named(name.clone())
        })
    }
}

/// The reasons of servers that lack a callback.
#[derive(Serialize)]
enum Unhandled<T> {
    #[serde(rename = "bad_call")]
    Call(T),
    #[serde(rename = "bad_cast")]
    Cast(T),
    #[serde(rename = "bad_continue")]
    Continue,
}
