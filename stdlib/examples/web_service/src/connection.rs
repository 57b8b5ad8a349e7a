//! A connection: a process that owns the socket and serves its requests.

use std::pin::pin;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use otp_stdlib::prelude::*;
use otp_stdlib::supervisor::{BoxFuture, ChildError};
use otp_vm::{Context, ExitReason, Message, Pid, Timeout};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};

use crate::{News, Notice, Options, routes};

const CONNECTIONS: &str = "connections";

pub(crate) fn supervisor_spec(options: &Options) -> ChildSpec {
    let flags = DynamicSupervisorFlags::new().max_children(options.max_connections);
    ChildSpec::supervisor(CONNECTIONS, move |cx| {
        DynamicSupervisor::start_link(cx, flags.clone()).name(CONNECTIONS)
    })
}

/// Starts a connection's process. If there are too many, the socket is closed.
pub(crate) async fn start(
    cx: &mut Context,
    socket: TcpStream,
    options: &Options,
) -> Result<Pid, ChildError> {
    let connections = DynamicSupervisorRef::from_name(CONNECTIONS).expect("a short name");
    let notice = Notice::new("connection", options);
    let spec = ChildSpec::process_once("connection", move |cx| serve(cx, socket, notice))
        .shutdown(Shutdown::After(options.drain));
    connections.start_child(cx, spec).await
}

/// Serves until the client hangs up, or until the process is told to end: then the request that it is at is answered,
/// and the connection closed.
async fn serve(mut cx: Context, socket: TcpStream, notice: Notice) -> Result<(), ExitReason> {
    cx.trap_exit(true);
    let (process, mut jobs) = Process::new();
    let service = TowerToHyperService::new(routes::router(process));
    let connection = http1::Builder::new()
        // With hyper's limit of 30 seconds for the head of a request.
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(socket), service);
    let mut connection = pin!(connection);
    let mut ends = false;
    loop {
        tokio::select! {
            served = connection.as_mut() => {
                // A client that is gone is no crash.
                return served.map_err(|error| ExitReason::shutdown_with(&error.to_string()));
            }
            Some(job) = jobs.recv() => job(&mut cx).await,
            Some(_exit) = cx.receive_where(Timeout::Infinity, Message::exit), if !ends => {
                ends = true;
                connection.as_mut().graceful_shutdown();
                notice.tell(News::Draining);
            }
        }
    }
}

type Job = Box<dyn for<'a> FnOnce(&'a mut Context) -> BoxFuture<'a, ()> + Send>;

/// A connection's process, for the handlers of its requests: axum calls them without a `Context`, though it is in that
/// process that they run. What they have to ask of others they hand to the process, and await.
#[derive(Clone)]
pub(crate) struct Process(mpsc::Sender<Job>);

impl Process {
    fn new() -> (Self, mpsc::Receiver<Job>) {
        // HTTP/1 has one request at a time.
        let (jobs, queue) = mpsc::channel(1);
        (Self(jobs), queue)
    }

    /// Runs a function in the process. None: the process is about to end.
    pub(crate) async fn run<T, F>(&self, function: F) -> Option<T>
    where
        T: Send + 'static,
        F: for<'a> FnOnce(&'a mut Context) -> BoxFuture<'a, T> + Send + 'static,
    {
        let (give, given) = oneshot::channel();
        let job: Job = Box::new(move |cx| {
            Box::pin(async move {
                // The request may have been given up.
                let _ = give.send(function(cx).await);
            })
        });
        self.0.send(job).await.ok()?;
        given.await.ok()
    }
}
