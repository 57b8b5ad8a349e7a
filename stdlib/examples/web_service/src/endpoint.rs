//! The process that listens, and hands what it accepts to processes of their own.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use otp_stdlib::prelude::*;
use otp_stdlib::proc_lib::{self, Refusal, Starter};
use otp_vm::{Context, ExitReason};
use tokio::net::TcpListener;

use crate::{News, Notice, Options, connection};

const ENDPOINT: &str = "endpoint";

/// How long to wait when the system gives no socket: the program has too many files open, say. Others may close some.
const PAUSE: Duration = Duration::from_millis(100);

/// What outlives the process lies in its specification: the address that the system chose.
type Address = Arc<OnceLock<SocketAddr>>;

pub(crate) fn child_spec(options: &Options) -> ChildSpec {
    let (options, address) = (options.clone(), Address::default());
    ChildSpec::new(ENDPOINT, move |cx| {
        let (options, address) = (options.clone(), Arc::clone(&address));
        Box::pin(proc_lib::start_link(cx, move |cx| {
            endpoint(cx, options, address)
        }))
    })
}

/// It does not trap exits: told to end, it ends where it waits, and the port is closed with it.
async fn endpoint(mut cx: Context, options: Options, address: Address) -> Result<(), ExitReason> {
    let starter = Starter::receive(&mut cx).await;
    let notice = Notice::new(ENDPOINT, &options);
    let listener = match listen(&cx, &options, &address, &notice).await {
        Ok(listener) => listener,
        Err(reason) => {
            starter.init_fail(&cx, Refusal::Error(reason.clone()));
            return Err(reason);
        }
    };
    starter.init_ack(&cx);
    match accept(&mut cx, &listener, &options).await {}
}

async fn listen(
    cx: &Context,
    options: &Options,
    address: &OnceLock<SocketAddr>,
    notice: &Notice,
) -> Result<TcpListener, ExitReason> {
    let reason = |error: io::Error| ExitReason::from(error.to_string());
    let wanted = *address.get().unwrap_or(&options.address);
    let listener = TcpListener::bind(wanted).await.map_err(reason)?;
    let bound = listener.local_addr().map_err(reason)?;
    let kept = *address.get_or_init(|| bound);
    cx.register(ENDPOINT, cx.pid())
        .map_err(|error| ExitReason::from(error.to_string()))?;
    notice.tell(News::Listening(kept));
    Ok(listener)
}

async fn accept(cx: &mut Context, listener: &TcpListener, options: &Options) -> Infallible {
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            cx.sleep(PAUSE).await;
            continue;
        };
        // Too many, or no supervisor of connections for the moment: the client is hung up on, and the next one waits.
        let _ = connection::start(cx, socket, options).await;
    }
}
