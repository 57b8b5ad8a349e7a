//! `kv`: a server that speaks the Redis protocol, built the OTP way.
//!
//! ```text
//! kv_supervisor (one_for_one)
//! ├── kv_keeper              heir of the tables, without other work
//! ├── kv_store_supervisor    (one_for_one)
//! │   ├── kv_store           owner of the tables; executes every write
//! │   └── kv_sweeper         looks for expired keys
//! ├── kv_listener            owns the listening socket
//! ├── kv_client_supervisor   (one_for_one)
//! │   ├── kv_pubsub          who listens to which channel
//! │   ├── kv_connections     (DynamicSupervisor) a process for each client
//! │   └── kv_acceptor_supervisor (one_for_one)
//! │       └── acceptors
//! └── kv_chaos               with --chaos: kills the others
//! ```
//!
//! All strategies are one_for_one, since nobody holds a pid of anybody: each finds the others by name, copes with their
//! absence, and what belongs together is linked or monitored. So the death of one process takes down none besides.
//!
//! There is no state outside of processes and tables. What must not be lost is in tables, whose heir is the keeper
//! (`keeper`); what a process knows beyond that can be asked for again.
//!
//! # A request's way
//!
//! 1. A connection reads what has come, and parses it in place (`resp`).
//! 2. Commands for the store are put together, as long as they follow each other, into one batch: one call, however
//!    many they are. The store executes a batch one command after the other (`store`). When the replies are many it
//!    leaves the batch off, and they are written before the rest is another call.
//! 3. A command that one row answers is read past the store (`row`), if no batch of the connection is waiting to be
//!    sent; otherwise it goes with the batch, since it must see what the batch does.
//! 4. The replies to all that has come are written at once.
//!
//! If the store dies with a batch, nobody knows how far it got. Its commands are answered by an error and never sent
//! again: a write is executed once or not at all, and an acknowledged write is in the tables.

mod acceptor;
mod application;
mod batch;
mod chaos;
mod clock;
mod command;
mod connection;
mod entry;
mod glob;
mod keeper;
mod listener;
mod options;
mod pubsub;
mod random;
mod resp;
mod row;
mod store;
mod sweeper;
mod tables;

use std::io::Write;
use std::time::Duration;

use otp_stdlib::application::tree;
use otp_stdlib::prelude::{
    ChildSpec, DynamicSupervisor, GenServer, Restart, ServerRef, Shutdown, StartError, Supervisor,
    SupervisorFlags,
};
use otp_stdlib::{DynamicSupervisorFlags, supervisor::BoxFuture};
use otp_vm::{Context, ExitReason, Pid, Timeout};

pub use application::{Kv, application, runnable};
pub use options::{ChaosOptions, Limits, Options};

use keeper::Keeper;
use listener::Listener;
use pubsub::Pubsub;
use store::Store;

/// The top supervisor.
const TOP: &str = "kv_supervisor";
/// Supervises the store and the sweeper.
const STORE_SUPERVISOR: &str = "kv_store_supervisor";
/// Supervises what clients need.
const CLIENT_SUPERVISOR: &str = "kv_client_supervisor";
/// Supervises the acceptors.
const ACCEPTOR_SUPERVISOR: &str = "kv_acceptor_supervisor";

/// Restarts that each supervisor allows within the period. OTP's own default is one in five seconds, for processes
/// whose death is a surprise; these ones take milliseconds to start and are restarted without loss, so a fault that
/// comes back every second is survived, and one that comes back at once is not.
const MAX_RESTARTS: u32 = 10;
const PERIOD: Duration = Duration::from_secs(10);

/// How long a start waits for the process that had its name before.
const NAME_TIMEOUT: Duration = Duration::from_secs(5);

/// Starts the tree, linked with the caller, and gives its top.
///
/// # Errors
///
/// When a part does not start, such as the listener on an address that is in use.
pub async fn start(cx: &mut Context, options: Options) -> Result<Pid, StartError> {
    let (limits, chaos) = (options.limits, options.chaos);
    let mut children = vec![
        named(keeper::NAME, |cx| {
            Box::pin(async { tree(Keeper::start_link(cx, ()).name(keeper::NAME).await) })
        }),
        named(STORE_SUPERVISOR, move |cx| {
            Box::pin(async move {
                let children = store_children(limits);
                tree(
                    Supervisor::start_link(cx, flags(), children)
                        .name(STORE_SUPERVISOR)
                        .await,
                )
            })
        })
        .shutdown(Shutdown::Infinity),
        named(listener::NAME, move |cx| {
            Box::pin(async move {
                tree(
                    Listener::start_link(cx, options.listen)
                        .name(listener::NAME)
                        .await,
                )
            })
        }),
        named(CLIENT_SUPERVISOR, move |cx| {
            Box::pin(async move {
                let children = client_children(limits, options.acceptors);
                tree(
                    Supervisor::start_link(cx, flags(), children)
                        .name(CLIENT_SUPERVISOR)
                        .await,
                )
            })
        })
        .shutdown(Shutdown::Infinity),
    ];
    if chaos.exceed || chaos.kills_per_second > 0 {
        let chaos = ChildSpec::process(chaos::ID, move |cx| chaos::run(cx, chaos));
        children.push(
            chaos
                .restart(Restart::Temporary)
                .shutdown(Shutdown::BrutalKill),
        );
    }
    tree(
        Supervisor::start_link(cx, flags(), children)
            .name(TOP)
            .await,
    )
}

fn flags() -> SupervisorFlags {
    SupervisorFlags::one_for_one().intensity(MAX_RESTARTS, PERIOD)
}

fn store_children(limits: Limits) -> Vec<ChildSpec> {
    vec![
        named(store::NAME, move |cx| {
            Box::pin(async move { tree(Store::start_link(cx, limits).name(store::NAME).await) })
        }),
        ChildSpec::process(sweeper::NAME, sweeper::run).shutdown(Shutdown::BrutalKill),
    ]
}

fn client_children(limits: Limits, acceptors: u16) -> Vec<ChildSpec> {
    vec![
        named(pubsub::NAME, |cx| {
            Box::pin(async { tree(Pubsub::start_link(cx, ()).name(pubsub::NAME).await) })
        }),
        named(acceptor::CONNECTIONS, move |cx| {
            Box::pin(async move {
                let flags = DynamicSupervisorFlags::new().max_children(limits.clients);
                tree(
                    DynamicSupervisor::start_link(cx, flags)
                        .name(acceptor::CONNECTIONS)
                        .await,
                )
            })
        })
        .shutdown(Shutdown::Infinity),
        named(ACCEPTOR_SUPERVISOR, move |cx| {
            Box::pin(async move {
                let children = (0..acceptors).map(|number| {
                    ChildSpec::process(format!("acceptor {number}"), move |cx| {
                        acceptor::run(cx, limits)
                    })
                    .shutdown(Shutdown::BrutalKill)
                });
                let children = children.collect();
                tree(
                    Supervisor::start_link(cx, flags(), children)
                        .name(ACCEPTOR_SUPERVISOR)
                        .await,
                )
            })
        })
        .shutdown(Shutdown::Infinity),
    ]
}

/// A child that is registered as `name`, which is its id as well.
///
/// If its supervisor was killed, the next one starts while the old children are just dying of their links. So the start
/// first waits for the end of who still has the name, and with it of all that ends with it: tables have gone to their
/// heir before a monitor tells of a death.
fn named<F>(name: &'static str, start: F) -> ChildSpec
where
    F: for<'a> Fn(&'a mut Context) -> BoxFuture<'a, Result<Pid, StartError>>
        + Clone
        + Send
        + Sync
        + 'static,
{
    ChildSpec::new(name, move |cx| {
        let start = start.clone();
        Box::pin(async move {
            if let Some(before) = cx.whereis(name) {
                let monitor = cx.monitor(before);
                cx.await_down_timeout(monitor, NAME_TIMEOUT).await;
                cx.demonitor_flush(monitor);
            }
            start(cx).await
        })
    })
}

/// Says where the server listens: for people in the log, for programs on standard output.
async fn announce(cx: &mut Context) -> Result<(), ExitReason> {
    let listener = ServerRef::<Listener>::from_name(listener::NAME)
        .map_err(|error| ExitReason::from(error.to_string()))?;
    let socket = listener
        .call_timeout(cx, listener::Socket, Timeout::Infinity)
        .await?;
    let address = socket
        .into_inner()
        .and_then(|socket| socket.local_addr().ok());
    if let Some(address) = address {
        tracing::info!(%address, "kv listens");
        // A closed standard output is the reader's business.
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "listening on {address}").and_then(|()| out.flush());
    }
    Ok(())
}
