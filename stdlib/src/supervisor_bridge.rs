//! A process that stands in a tree for something that was not made for one: OTP's `supervisor_bridge`.
//!
//! A subsystem that has its own way to start and to end (a driver, a foreign library with a process before it) gets a
//! process that a supervisor can start and end: the bridge. It starts the subsystem, is linked to its main process, and
//! ends it.
//!
//! # The life of a bridge
//!
//! 1. It traps exits and calls [`init`](SupervisorBridge::init), which gives the subsystem's main process, linked to
//!    the bridge, and a state.
//! 2. That process ends: it is [reported](BridgeReport), and the bridge ends for the same reason.
//! 3. Whenever the bridge ends, for this reason or because its supervisor says so, it calls
//!    [`terminate`](SupervisorBridge::terminate) first, which ends the subsystem.
//!
//! ```
//! use otp_stdlib::prelude::*;
//! use otp_stdlib::supervisor_bridge::{self, Bridged, SupervisorBridge};
//! use otp_vm::{Context, ExitReason, Pid, Vm};
//!
//! struct Driver(Pid);
//!
//! impl SupervisorBridge for Driver {
//!     type Args = ();
//!
//!     async fn init((): (), cx: &mut Context) -> Bridged<Self> {
//!         let main = cx.spawn_link(async |mut cx: Context| { cx.receive().await; }).unwrap();
//!         Bridged::Ok(main, Driver(main))
//!     }
//!
//!     async fn terminate(&mut self, _reason: &ExitReason, cx: &mut Context) {
//!         cx.exit_process(self.0, ExitReason::kill());
//!     }
//! }
//!
//! let vm = Vm::builder().schedulers(1).build()?;
//! let run = vm.run(async |mut cx: Context| {
//!     let driver = ChildSpec::worker("driver", |cx| supervisor_bridge::start_link::<Driver>(cx, ()));
//!     let flags = SupervisorFlags::one_for_one();
//!     let tree = Supervisor::start_link(&mut cx, flags, vec![driver]).await.unwrap();
//!     tree.stop(&mut cx, ExitReason::normal(), std::time::Duration::from_secs(5)).await.unwrap();
//! });
//! run.wait()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod report;

use std::fmt;

use otp_vm::{Context, ExitReason, OwnedTerm, Pid};

pub use report::{BridgeNews, BridgeReport};

use crate::r#gen::short_name;
use crate::gen_server::{GenServer, Init, NoMessage, NoReply, Start};
use crate::supervisor::Info;

/// The callbacks of a bridge. A value of the type is its state.
pub trait SupervisorBridge: Sized + Send + 'static {
    /// What `init` gets.
    type Args: Send + 'static;

    /// What [reports](BridgeReport) call the bridge: the module's name, in OTP. The type's name without its path,
    /// unless told otherwise.
    fn module() -> &'static str {
        short_name::<Self>()
    }

    /// The arguments as the report of a start shows them, which need be no terms. The default gives their type's name,
    /// as a text; for those that derive `Serialize`: `sys::term(args)`.
    fn show_args(args: &Self::Args) -> OwnedTerm {
        let _ = args;
        crate::sys::text(std::any::type_name::<Self::Args>())
    }

    /// Starts the subsystem. `init/1`.
    fn init(args: Self::Args, cx: &mut Context) -> impl Future<Output = Bridged<Self>> + Send;

    /// Ends the subsystem. `terminate/2`.
    fn terminate(
        &mut self,
        reason: &ExitReason,
        cx: &mut Context,
    ) -> impl Future<Output = ()> + Send;
}

/// What [`init`](SupervisorBridge::init) gives.
#[derive(Debug)]
pub enum Bridged<B> {
    /// `{ok, Pid, State}`: the main process, linked to the caller.
    Ok(Pid, B),
    /// `ignore`: the bridge ends with `normal`.
    Ignore,
    /// `{error, Reason}`: the start fails for this reason.
    Error(ExitReason),
}

/// The bridge's process.
pub struct Bridge<B> {
    main: Pid,
    bridge: B,
}

/// Starts a bridge, linked to the caller; await it, perhaps after `name`. `supervisor_bridge:start_link/2,3`.
pub fn start_link<B: SupervisorBridge>(cx: &mut Context, args: B::Args) -> Start<'_, Bridge<B>> {
    <Bridge<B> as GenServer>::start_link(cx, args)
}

impl<B> fmt::Debug for Bridge<B> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Bridge")
            .field("main", &self.main)
            .finish_non_exhaustive()
    }
}

impl<B: SupervisorBridge> GenServer for Bridge<B> {
    type Args = B::Args;
    type Call = NoMessage;
    type Reply = ();
    type Cast = NoMessage;
    type Info = Info;
    type Continue = NoMessage;

    async fn init(args: B::Args, cx: &mut Context) -> Init<Self> {
        cx.trap_exit(true);
        let shown = B::show_args(&args);
        match B::init(args, cx).await {
            Bridged::Ok(main, bridge) => {
                let progress = BridgeNews::Progress(shown);
                BridgeReport::new::<B>(cx, main, progress).send(cx);
                Init::ok(Self { main, bridge })
            }
            Bridged::Ignore => Init::ignore(),
            Bridged::Error(reason) => Init::stop(reason),
        }
    }

    async fn handle_info(&mut self, info: Info, cx: &mut Context) -> NoReply<Self> {
        let Info::Exit(pid, reason) = info;
        if pid != self.main || cx.vm().is_alive(pid) {
            return NoReply::new();
        }
        let ended = BridgeNews::ChildTerminated(reason.clone());
        BridgeReport::new::<B>(cx, pid, ended).send(cx);
        NoReply::stop(reason)
    }

    async fn terminate(&mut self, reason: &ExitReason, cx: &mut Context) {
        self.bridge.terminate(reason, cx).await;
    }
}
