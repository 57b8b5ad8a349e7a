//! A process that starts, watches and restarts others: OTP's `supervisor`.
//!
//! # The life of a supervisor
//!
//! 1. It traps exits and starts its children, in order, each linked to it; a child is started
//!    when its own start says so (a server's `init` is done). If one fails, those already started
//!    are shut down in reverse order, and the supervisor fails with
//!    `{shutdown, {failed_to_start_child, Id, Reason}}`. A child that says `ignore` is kept
//!    without a process (a temporary one is dropped).
//! 2. A child ends. Its [`Restart`] type decides whether it is started again. A temporary child
//!    leaves the list; a transient one that ended well is kept without a process.
//! 3. A restart counts against the intensity, [`MAX_RESTARTS`] within [`MAX_SECONDS`] unless told
//!    otherwise. One too many, and the supervisor shuts all children down and exits `shutdown`,
//!    so that its own supervisor may try at a larger scale.
//! 4. The strategy says who else is affected: [`one_for_one`](SupervisorFlags::one_for_one)
//!    nobody; [`rest_for_one`](SupervisorFlags::rest_for_one) those that started after the child;
//!    [`one_for_all`](SupervisorFlags::one_for_all) everyone. The affected are shut down in
//!    reverse order, and started again in order; temporary ones are not.
//! 5. A start that fails within a restart counts as another restart. The supervisor sends itself
//!    the message to try again, so calls to it are served in between.
//! 6. It ends when its parent says `shutdown` or ends, when it is stopped, or by point 3: children
//!    are shut down one after the other, in reverse order, each within its own [`Shutdown`].
//!
//! # Specifications that are data
//!
//! A child may be started by a function of a process module, by name: [`ChildSpec::call`]. The whole specification may
//! be a term, OTP's map or tuple ([`ChildSpec::from_term`], [`check_childspecs`]), and so may the flags
//! ([`SupervisorFlags::from_term`]) and the callback that gives both ([`Supervisor::start_link_call`]).
//!
//! # Requests that are terms
//!
//! Any process may call a supervisor as it would one of OTP's: with `{start_child, Spec}`, `{restart_child, Id}`,
//! `{terminate_child, Id}`, `{delete_child, Id}`, `{get_childspec, Id}`, `{which_child, Id}`, `which_children`,
//! `count_children`. It is answered as by OTP's. [`SupervisorRef`] has the same as functions.
//!
//! # Where this differs from OTP
//!
//! * Rust's flags have Elixir's intensity, 3 within 5 seconds, unless told otherwise; those that are data have OTP's,
//!   1.
//! * [`SupervisorRef::which_children`] lists children in the order of their start; OTP, and the answer to the request
//!   that is a term, newest first.
//! * An id that is a text is the same as an atom and as a binary: [`ChildId`].
//! * A child that ends while its siblings are shut down for a restart is not restarted on top.
//!
//! # Races
//!
//! * A child may end while it is being shut down. Its monitor tells, and its `EXIT` is taken out
//!   of the mailbox: it is not restarted on top. See `shutdown.rs`.
//! * A child may send the supervisor an exit signal, and live on. It is not taken for its end.
//! * A child may unlink itself. It is still shut down: the monitor sees its end.
//! * A sibling may end while another is restarted with it. It is found dead when its turn comes
//!   to be shut down, and counts once.
//! * A child may be terminated by hand while it waits to be tried again. The late message finds
//!   that it no longer waits, and does nothing.
//! * Killing a supervisor (`kill`) leaves its children to their links: they end with `killed`,
//!   except those that trap exits and ignore it.
//!
//! # Example
//!
//! ```
//! use std::time::Duration;
//! use otp_stdlib::prelude::*;
//! use otp_vm::{Context, Vm};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let vm = Vm::builder().schedulers(1).build()?;
//! let active = vm
//!     .run(async |mut cx: Context| {
//!         let children = vec![
//!             ChildSpec::process("first", async |mut cx: Context| { cx.receive().await; }),
//!             ChildSpec::process("second", async |mut cx: Context| { cx.receive().await; })
//!                 .restart(Restart::Transient)
//!                 .shutdown(Shutdown::BrutalKill),
//!         ];
//!         let flags = SupervisorFlags::rest_for_one().intensity(10, Duration::from_secs(1));
//!         let supervisor = Supervisor::start_link(&mut cx, flags, children).name("tree").await.unwrap();
//!         let counts = supervisor.count_children(&mut cx).await.unwrap();
//!         supervisor.stop(&mut cx, otp_vm::ExitReason::normal(), Duration::from_secs(5)).await.unwrap();
//!         counts.active
//!     })
//!     .wait()?;
//! assert_eq!(active, 2);
//! vm.shutdown(Duration::from_secs(1)).wait();
//! # Ok(())
//! # }
//! ```

mod back_off;
mod by_call;
mod callback;
mod child;
mod children;
mod client;
mod data;
pub(crate) mod dynamics;
mod flags;
mod id;
mod intensity;
pub(crate) mod report;
pub(crate) mod restart;
mod server;
pub(crate) mod shutdown;
mod simple;
mod start;
mod wire;

use std::fmt;

pub use callback::{Supervise, SupervisorInit};
pub use child::{
    BoxFuture, ChildKind, ChildSpec, Modules, Restart, Shutdown, Started, WORKER_SHUTDOWN,
};
pub use client::{
    Answer, Child, ChildCounts, ChildError, ChildInfo, Childspec, Request, SupervisorRef,
};
pub(crate) use client::{confused, moved};
pub use data::{FlagsError, Given, SpecError, check_childspecs};
pub use flags::{AutoShutdown, SupervisorFlags};
pub use id::ChildId;
pub(crate) use intensity::Intensity;
pub use intensity::{MAX_RESTARTS, MAX_SECONDS};
pub use report::{Offender, ReportContext, SupervisorReport};
pub use server::{Info, Later};
pub use start::SupervisorArgs;

use back_off::BackOff;
use callback::Callback;
use children::Children;
use flags::Strategy;
use report::Reporter;
use simple::Simple;

/// The supervisor's process: a [`GenServer`](crate::GenServer), as in OTP.
pub struct Supervisor {
    strategy: Strategy,
    auto_shutdown: AutoShutdown,
    intensity: Intensity,
    back_off: Option<BackOff>,
    reporter: Reporter,
    children: Children,
    /// The children of one whose strategy is `simple_one_for_one`, in the place of those.
    simple: Option<Box<Simple>>,
    callback: Option<Callback>,
}

impl fmt::Debug for Supervisor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Supervisor")
            .field("strategy", &self.strategy)
            .field("children", &self.children.which().len())
            .finish_non_exhaustive()
    }
}
