//! Looking into a running process, and having it wait: OTP's `sys`.
//!
//! Each process of a behaviour takes *system messages*: servers, state machines, event managers, supervisors, agents,
//! tasks' supervisors, and whatever implements [`System`]. They are handled between two messages, so a process that is
//! busy, or that awaits something in a callback, answers when it is done.
//!
//! | function | what it does |
//! | --- | --- |
//! | [`suspend`], [`resume`] | has the process take nothing but system messages and its parent's end |
//! | [`get_state`], [`inspect`] | its state: as a term, or as what a function makes of it |
//! | [`replace_state`] | another state |
//! | [`change_code`], [`change_code_by`] | the state of another version of the code |
//! | [`get_status`] | what it shows of itself |
//! | [`terminate`] | has it clean up and end |
//! | [`trace`], [`log`], [`get_log`], [`log_to_file`] | its events, printed, kept, written |
//! | [`statistics`], [`get_statistics`] | how many messages it took and sent |
//! | [`install`], [`remove`] | a function that sees its events |
//! | [`no_debug`] | none of these any more |
//!
//! Each gives a [`SysCall`], which is called from a process, or on a VM from outside:
//!
//! ```
//! use otp_stdlib::prelude::*;
//! use otp_stdlib::sys;
//! use otp_vm::{Context, Vm};
//! use serde::Serialize;
//!
//! #[derive(Serialize)]
//! struct Counter { count: u64 }
//!
//! #[gen_server]
//! impl Counter {
//!     fn init(count: u64) -> Self {
//!         Counter { count }
//!     }
//!
//!     #[call]
//!     fn add(&mut self, n: u64) -> u64 {
//!         self.count += n;
//!         self.count
//!     }
//! }
//!
//! let vm = Vm::builder().schedulers(1).build()?;
//! let run = vm.run(async |mut cx: Context| {
//!     let counter = Counter::start(&mut cx, 40).name("counter").await.unwrap();
//!     sys::log(&counter, true).call(&mut cx).await.unwrap();
//!     counter.add(&mut cx, 2).await.unwrap();
//!     let state = sys::get_state(&counter).call(&mut cx).await.unwrap();
//!     assert_eq!(state.to_string(), "#{count => 42}");
//!     let events = sys::get_log(&counter).call(&mut cx).await.unwrap();
//!     assert!(events[0].to_string().starts_with("{in,{'$gen_call',"));
//!     counter
//! });
//! let counter = run.wait()?;
//! let zero = sys::replace_state(&counter, |_: &Counter| Counter { count: 0 });
//! assert_eq!(zero.on(&vm).wait()??.to_string(), "#{count => 0}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # States
//!
//! In Rust a state need not be a term. [`inspect`] and [`replace_state`] move a function to the process, which runs on
//! the state there: for this nothing is asked of the state's type, and a panic in the function is the caller's error,
//! and leaves the process alone. [`get_state`] gives a term. A server of the attribute
//! [`gen_server`](macro@crate::gen_server) whose type derives `Serialize` shows itself; one that derives `Debug` shows
//! that, as a text; any other shows its type's name. By hand a server says
//! [`system_get_state`](crate::GenServer::system_get_state). The state of a state machine is
//! [a pair](mod@crate::gen_statem#system-messages), that of an event manager
//! [a list](mod@crate::gen_event#system-messages) of its handlers'. What must not be seen, `format_status` hides from
//! the status and from reports; but whoever can ask for the state sees it, as in OTP.
//!
//! # Costs
//!
//! Nobody pays for what is not used: a server learns only behind all its other messages' kinds that one is of the
//! system, and one that is suspended or has debug options runs another loop. Then each event costs a copy of its
//! message, and the state as a term.
//!
//! # Processes of one's own
//!
//! ```
//! use std::any::Any;
//! use otp_stdlib::proc_lib::{self, Starter};
//! use otp_stdlib::sys::{self, Control, Next, System, SystemEvent, SystemMessage};
//! use otp_vm::{Context, ExitReason, OwnedTerm, Vm};
//!
//! /// A process that counts its messages.
//! struct Counts(u64);
//!
//! impl System for Counts {
//!     fn module(&self) -> &'static str {
//!         "counts"
//!     }
//!     fn get_state(&self) -> OwnedTerm {
//!         sys::term(&self.0)
//!     }
//!     fn state(&mut self) -> &mut dyn Any {
//!         &mut self.0
//!     }
//! }
//!
//! async fn body(mut cx: Context) -> ExitReason {
//!     let starter = Starter::receive(&mut cx).await;
//!     let mut control = Control::new(starter.parent());
//!     starter.init_ack(&cx);
//!     let mut counts = Counts(0);
//!     loop {
//!         let message = cx.receive().await;
//!         if let Some(message) = SystemMessage::of(&message) {
//!             match sys::handle_system_msg(&mut cx, message, &mut control, &mut counts).await {
//!                 Next::Continue => continue,
//!                 Next::Terminate(reason) => return reason,
//!             }
//!         }
//!         control.debug(&cx, &counts, || SystemEvent::of_message(&message));
//!         counts.0 += 1;
//!     }
//! }
//!
//! let vm = Vm::builder().schedulers(1).build()?;
//! let run = vm.run(async |mut cx: Context| {
//!     let pid = proc_lib::start_link(&mut cx, body).await.unwrap();
//!     cx.send(pid, "a message").unwrap();
//!     assert_eq!(sys::inspect(pid, |count: &u64| *count).call(&mut cx).await, Ok(1));
//!     proc_lib::stop(&mut cx, pid, ExitReason::normal(), None).await.unwrap();
//! });
//! run.wait()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Protocol
//!
//! `{system, {Pid, Ref}, Request}`, and the answer `{Ref, Answer}`, as OTP has them; functions (of `replace_state` and
//! `install`) are native resources in the place of funs, so they reach processes of the same VM, and go to one.
//!
//! # Races
//!
//! * A process may end before it answers: [`SysError::Exit`] has its reason.
//! * A suspended process whose parent ends, or which a supervisor shuts down, ends, and cleans up as it would else.
//! * Who gives up waiting (a time limit, a dropped future) does not take the request back: a process may be suspended
//!   later, and nobody knows. Suspend with time enough.
//! * A call to a suspended server waits, and is answered after the resumption, unless its caller's time is over.

mod client;
mod debug;
mod event;
mod handle;
mod options;
mod reply;
mod status;
mod wire;

use otp_vm::{Atom, OwnedTerm, atoms, to_shown_term, to_term};
use serde::Serialize;

pub(crate) use client::change_state;
pub use client::{
    SysCall, SysError, change_code, change_code_by, get_log, get_state, get_statistics, get_status,
    inspect, install, log, log_most, log_to_file, no_debug, print_log, remove, replace_state,
    resume, statistics, suspend, terminate, trace,
};
pub use debug::{Debug, DebugFunction, LOG_EVENTS, MAX_DEBUG_FUNCTIONS, MAX_LOG_EVENTS, Traced};
pub use event::SystemEvent;
pub use handle::{Control, Next, Shown, SysState, System, handle_system_msg};
pub(crate) use handle::{name_of, suspended};
pub use options::DebugOption;
pub(crate) use reply::reply_and_show;
pub use status::{Statistics, Status};
pub use wire::SystemMessage;

/// A value as a term, for [`System::get_state`] and [`system_get_state`](crate::GenServer::system_get_state): one that
/// can't be a term is told by a text in its place. So is each native resource in it, which stays where it is.
pub fn term<T: Serialize + ?Sized>(value: &T) -> OwnedTerm {
    to_shown_term(value).unwrap_or_else(|error| text(&error.to_string()))
}

pub(crate) fn text(text: &str) -> OwnedTerm {
    to_term(text).unwrap_or_else(|_| OwnedTerm::from(atoms::UNDEFINED))
}

pub(crate) fn atom(name: &str) -> OwnedTerm {
    OwnedTerm::from(atom_of(name))
}

pub(crate) fn atom_of(name: &str) -> Atom {
    Atom::new(name).unwrap_or(atoms::UNDEFINED)
}
