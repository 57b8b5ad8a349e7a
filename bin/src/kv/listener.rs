//! The listener: owns the listening socket, and does nothing else.
//!
//! 1. It binds the socket. If the address is in use it tries again for a while: a listener before it may have died, and
//!    the acceptors that still had its socket are just ending.
//! 2. Acceptors ask it for the socket. Each of them is linked with it: without a listener there are no acceptors, so
//!    that the port is free for the next one. The listener traps exits, so that an acceptor's end is not its own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use otp_stdlib::gen_server::From;
use otp_stdlib::prelude::{GenServer, Init, NoMessage, NoReply, Reply};
use otp_vm::net::TcpListener;
use otp_vm::{Context, ExitReason, Native, Pid};
use serde::{Deserialize, Serialize};

/// The listener's registered name.
pub const NAME: &str = "kv_listener";

/// How often binding to an address in use is tried again, and how long the listener waits in between: a second in all.
const BIND_TRIES: u32 = 50;
const BIND_PAUSE: Duration = Duration::from_millis(20);

/// The owner of the listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: Arc<TcpListener>,
}

/// Asks for the socket. The reply is a handle to it.
#[derive(Debug, Serialize, Deserialize)]
pub struct Socket;

/// The end of an acceptor.
#[derive(Debug, Deserialize)]
pub enum Info {
    /// It is linked with the listener.
    #[serde(rename = "EXIT")]
    Exit(Pid, ExitReason),
}

impl GenServer for Listener {
    type Args = SocketAddr;
    type Call = Socket;
    type Reply = Native<Arc<TcpListener>>;
    type Cast = NoMessage;
    type Info = Info;
    type Continue = NoMessage;

    async fn init(address: SocketAddr, cx: &mut Context) -> Init<Listener> {
        cx.trap_exit(true);
        let mut tries = 0;
        loop {
            match TcpListener::bind(address) {
                Ok(socket) => {
                    return Init::ok(Listener {
                        socket: Arc::new(socket),
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AddrInUse && tries < BIND_TRIES => {
                    tries += 1;
                    cx.sleep(BIND_PAUSE).await;
                }
                Err(error) => {
                    return Init::error(ExitReason::new(&(
                        "listen",
                        address.to_string(),
                        error.to_string(),
                    )));
                }
            }
        }
    }

    async fn handle_call(
        &mut self,
        _: Socket,
        _: From<Native<Arc<TcpListener>>>,
        _: &mut Context,
    ) -> Reply<Listener> {
        Reply::new(Native::new(Arc::clone(&self.socket)))
    }

    async fn handle_info(
        &mut self,
        Info::Exit(acceptor, reason): Info,
        _: &mut Context,
    ) -> NoReply<Listener> {
        tracing::debug!(%acceptor, %reason, "an acceptor ended");
        NoReply::new()
    }
}
