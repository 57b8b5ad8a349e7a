//! Acceptors: each takes connections off the listening socket and hands them to a process of their own.
//!
//! 1. The acceptor links itself with the listener and asks it for the socket.
//! 2. For each connection, it has the connections' supervisor start a process, and sends it the socket; from then on
//!    the socket is that process's. If the process dies before it took the socket out of its mailbox, the socket is
//!    closed with the message.
//! 3. If there are as many connections as there may be, it says so and closes.
//! 4. If the supervisor is not there (it is being restarted), it waits for it a little; the client waits too.

use std::io;
use std::time::Duration;

use otp_stdlib::ChildError;
use otp_stdlib::prelude::{ChildSpec, DynamicSupervisorRef, ServerRef, Shutdown};
use otp_vm::net::TcpStream;
use otp_vm::{Context, ExitReason, Native, Pid};

use super::connection::{self, Handover};
use super::listener::{self, Listener};
use super::options::Limits;

/// The registered name of the connections' supervisor.
pub const CONNECTIONS: &str = "kv_connections";

/// How long to wait when the system has no more room for connections, which other connections' ends give back.
const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(50);

/// How often the connections' supervisor is looked for, and how long in between: a second in all.
const SUPERVISOR_TRIES: u32 = 50;
const SUPERVISOR_PAUSE: Duration = Duration::from_millis(20);

/// Redis's words.
const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";

/// Accepts for ever.
pub async fn run(mut cx: Context, limits: Limits) -> Result<(), ExitReason> {
    let listener = cx.whereis(listener::NAME).ok_or_else(ExitReason::noproc)?;
    cx.link(listener);
    let socket = ServerRef::<Listener>::from_pid(listener)
        .call(&mut cx, listener::Socket)
        .await?;
    let socket = socket
        .into_inner()
        .ok_or_else(|| ExitReason::from("the listener sent no socket"))?;
    let connections = DynamicSupervisorRef::from_name(CONNECTIONS)
        .map_err(|error| ExitReason::from(error.to_string()))?;
    let mut is_full = false;
    loop {
        match socket.accept().await {
            Ok((stream, peer)) => {
                is_full = false;
                if let Err(error) = hand_over(&mut cx, &connections, stream, limits).await {
                    tracing::warn!(%peer, %error, "a connection was turned away");
                }
            }
            Err(error) if is_of_the_connection(&error) => {
                tracing::debug!(%error, "a connection ended before it began")
            }
            Err(error) => {
                // Once, not at each try.
                if !is_full {
                    tracing::warn!(%error, "no connection can be accepted for the moment");
                }
                is_full = true;
                cx.sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }
}

fn is_of_the_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
    )
}

async fn hand_over(
    cx: &mut Context,
    connections: &DynamicSupervisorRef,
    stream: TcpStream,
    limits: Limits,
) -> Result<(), String> {
    match start_connection(cx, connections, limits).await {
        Ok(connection) => cx
            .send(connection, &Handover(Native::new(stream)))
            .map_err(|error| error.to_string()),
        Err(ChildError::MaxChildren(limit)) => {
            // A fresh socket has room for a line; if not, the client learns by the close alone.
            let _ = stream.try_write(TOO_MANY_CLIENTS);
            Err(format!(
                "there are {limit} already, which is the limit; raise it by --max-clients"
            ))
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn start_connection(
    cx: &mut Context,
    connections: &DynamicSupervisorRef,
    limits: Limits,
) -> Result<Pid, ChildError> {
    let mut tries = 0;
    loop {
        // A connection is told to end by the kernel's hand: it traps nothing and has nothing to tidy.
        let child = ChildSpec::process_once("connection", move |cx| connection::run(cx, limits))
            .shutdown(Shutdown::BrutalKill);
        match connections.start_child(cx, child).await {
            Err(ChildError::Supervisor(reason)) if tries < SUPERVISOR_TRIES => {
                tracing::debug!(%reason, "the connections' supervisor is not there");
                tries += 1;
                cx.sleep(SUPERVISOR_PAUSE).await;
            }
            outcome => return outcome,
        }
    }
}
