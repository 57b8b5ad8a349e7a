//! A web service whose parts are children of one supervisor: a database (redb), its readers, the connections, and an
//! endpoint (axum's router, served by hyper).
//!
//! ```text
//!   rest_for_one
//!   |- store        owns the database, and writes: one write after the other
//!   |- readers      a PartitionSupervisor: each looks at what is committed
//!   |- connections  a DynamicSupervisor: a process for each connection
//!   `- endpoint     listens, and accepts
//! ```
//!
//! The order says it all. Whoever needs another starts after it, is restarted with it, and ends before it. So the tree's
//! end is a drain: the endpoint closes its port; each connection answers the request that it is at; the readers go; the
//! database is closed last. It mirrors Elixir's list of children with the repository first and the endpoint last.
//!
//! | file | what |
//! | --- | --- |
//! | `store.rs` | the database: the server that writes, those that read, and functions to ask them |
//! | `connection.rs` | a connection's process, and how the handlers of its requests get at its `Context` |
//! | `endpoint.rs` | the process that listens |
//! | `routes.rs` | axum's part: what is asked by which path |

mod connection;
mod endpoint;
mod routes;
mod store;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::Duration;

use otp_stdlib::gen_server::Start;
use otp_stdlib::prelude::*;
use otp_vm::{Context, ExitReason, Message, Timeout};

/// Most connections at a time; who comes then is hung up on. For each there is a process, a socket and hyper's buffers.
pub const MAX_CONNECTIONS: u64 = 10_000;

/// The first wait before a restart, and the longest. A database that was killed is still open for a moment.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

/// What a service is started with.
#[derive(Clone, Debug)]
pub struct Options {
    /// The database's file. It is made if there is none.
    pub database: PathBuf,
    /// Where to listen. With port 0 the system chooses one, and the service keeps it.
    pub address: SocketAddr,
    /// How many processes read.
    pub readers: usize,
    /// How long a connection may take, at the end, to answer the request that it is at.
    pub drain: Duration,
    /// Most connections at a time.
    pub max_connections: u64,
    /// Who wants to know what happens.
    pub news: Sender<News>,
}

impl Options {
    /// A port that the system chooses on this machine, 4 readers, 30 seconds to drain, [`MAX_CONNECTIONS`].
    pub fn new(database: PathBuf, news: Sender<News>) -> Self {
        Self {
            database,
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            readers: 4,
            drain: Duration::from_secs(30),
            max_connections: MAX_CONNECTIONS,
            news,
        }
    }
}

/// What happens in a service, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// The endpoint listens: there may be requests.
    Listening(SocketAddr),
    /// A connection was told to end, and is about to, when it has answered.
    Draining,
    /// A part has ended, and let go what it had.
    Ended(&'static str),
}

/// Tells of a part's end, whatever the part ends by: it lies in the part's state, as the last of its fields.
struct Notice {
    part: &'static str,
    news: Sender<News>,
}

impl Notice {
    fn new(part: &'static str, options: &Options) -> Self {
        let news = options.news.clone();
        Self { part, news }
    }

    fn tell(&self, news: News) {
        // Nobody may want to know any more.
        let _ = self.news.send(news);
    }
}

impl Drop for Notice {
    fn drop(&mut self) {
        self.tell(News::Ended(self.part));
    }
}

/// Starts the service's tree, linked to the caller.
pub fn start_link(cx: &mut Context, options: Options) -> Start<'_, Supervisor> {
    let (first, longest) = BACK_OFF;
    let flags = SupervisorFlags::rest_for_one().back_off(first, longest);
    let children = vec![
        store::child_spec(&options),
        store::readers_spec(&options),
        connection::supervisor_spec(&options),
        endpoint::child_spec(&options),
    ];
    Supervisor::start_link(cx, flags, children).name("web_service")
}

/// The body of the process at the top: it runs the service until the tree ends, or until the process is told to end, and
/// gives why.
pub async fn run(mut cx: Context, options: Options) -> ExitReason {
    cx.trap_exit(true);
    let tree = match start_link(&mut cx, options).await {
        Ok(tree) => tree,
        Err(error) => return error.into(),
    };
    let told = cx.receive_where(Timeout::Infinity, Message::exit).await;
    let told = told.expect("there is no time limit");
    if tree.pid() == Some(told.from) {
        return told.reason;
    }
    // Each part has its own limit.
    match tree
        .stop(&mut cx, ExitReason::shutdown(), Timeout::Infinity)
        .await
    {
        Ok(()) => told.reason,
        Err(error) => ExitReason::from(error.to_string()),
    }
}
