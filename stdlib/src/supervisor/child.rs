//! Child specifications: how a child is started, restarted and shut down.

use std::borrow::Cow;
use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use otp_vm::{Context, IntoExit, Pid, SpawnOptions};
use serde::{Deserialize, Serialize};

use crate::gen_server::{GenServer, Start};
use crate::proc_lib::StartError;
use crate::unwind::Caught;

/// A boxed future of a start.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How long a worker has to end by itself once it was told `shutdown`: OTP's 5 seconds.
pub const WORKER_SHUTDOWN: Duration = Duration::from_secs(5);

/// What a supervisor calls a child: unique among its children.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChildId(Cow<'static, str>);

impl ChildId {
    /// The id's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&'static str> for ChildId {
    fn from(id: &'static str) -> Self {
        Self(Cow::Borrowed(id))
    }
}

impl From<String> for ChildId {
    fn from(id: String) -> Self {
        Self(Cow::Owned(id))
    }
}

impl PartialEq<str> for ChildId {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for ChildId {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// When a child that ended is started again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// Always. The default.
    #[default]
    Permanent,
    /// When it ended abnormally: with anything but `normal`, `shutdown` or `{shutdown, _}`.
    Transient,
    /// Never; it leaves the list of children when it ends.
    Temporary,
}

/// How a child is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Shutdown {
    /// By `kill`, at once.
    BrutalKill,
    /// By `shutdown`; if it still runs after this time, by `kill`.
    After(Duration),
    /// By `shutdown`, and all the time it takes. For supervisors, and for workers that must not
    /// be killed, at the price that a stuck one stops the whole tree from ending.
    Infinity,
}

/// What a child is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChildKind {
    /// It does the work.
    Worker,
    /// It supervises others.
    Supervisor,
}

type SharedStart =
    dyn for<'a> Fn(&'a mut Context) -> BoxFuture<'a, Result<Pid, StartError>> + Send + Sync;
type OnceStart =
    dyn for<'a> FnOnce(&'a mut Context) -> BoxFuture<'a, Result<Pid, StartError>> + Send;

/// How a child is started.
pub(crate) enum StartChild {
    /// As often as need be.
    Again(Arc<SharedStart>),
    /// One time: what it captured is moved into the child.
    Once(Box<OnceStart>),
    /// Its one time is over.
    Spent,
}

impl StartChild {
    /// Starts the child, linked to the caller. A start function that panics, or calls
    /// `Context::exit`, is a start that failed: a supervisor does not fall with one of its children.
    pub(crate) async fn start(&mut self, cx: &mut Context) -> Result<Pid, StartError> {
        // The starts of plain processes wait for nothing: a long list of them would keep the scheduler.
        cx.tick(1).await;
        Caught(pin!(self.call(cx)))
            .await
            .unwrap_or_else(|reason| Err(StartError::Exit(reason)))
    }

    async fn call(&mut self, cx: &mut Context) -> Result<Pid, StartError> {
        match self {
            Self::Again(start) => start(cx).await,
            Self::Once(_) | Self::Spent => match std::mem::replace(self, Self::Spent) {
                Self::Once(start) => start(cx).await,
                // Only temporary children start once, and those are never started again.
                _ => Err(StartError::Spawn(
                    "a one-shot child can't be started twice".into(),
                )),
            },
        }
    }
}

/// A child specification: OTP's map `#{id, start, restart, shutdown, type, significant}`.
///
/// ```no_run
/// # use otp_stdlib::prelude::*;
/// # use otp_vm::Context;
/// # use std::time::Duration;
/// let ticker = ChildSpec::process("ticker", |mut cx: Context| async move {
///     loop {
///         cx.sleep(Duration::from_secs(1)).await;
///     }
/// })
/// .restart(Restart::Transient)
/// .shutdown(Shutdown::BrutalKill);
/// ```
pub struct ChildSpec {
    pub(crate) id: ChildId,
    pub(crate) start: StartChild,
    pub(crate) restart: Restart,
    pub(crate) shutdown: Shutdown,
    pub(crate) kind: ChildKind,
    pub(crate) significant: bool,
}

impl ChildSpec {
    /// A worker that is a [`GenServer`]: `start` is called at each start and restart.
    ///
    /// `ChildSpec::worker("cache", |cx| Cache::start_link(cx, Options::default()).name("cache"))`
    pub fn worker<S, F>(id: impl Into<ChildId>, start: F) -> Self
    where
        S: GenServer,
        F: for<'a> Fn(&'a mut Context) -> Start<'a, S> + Send + Sync + 'static,
    {
        Self::new(id, move |cx| Box::pin(start(cx).run()))
    }

    /// A supervisor: has all the time it takes to shut its children down.
    pub fn supervisor<S, F>(id: impl Into<ChildId>, start: F) -> Self
    where
        S: GenServer,
        F: for<'a> Fn(&'a mut Context) -> Start<'a, S> + Send + Sync + 'static,
    {
        Self {
            kind: ChildKind::Supervisor,
            ..Self::worker(id, start)
        }
        .shutdown(Shutdown::Infinity)
    }

    /// A plain process: its body is made anew at each start. It counts as started at once.
    pub fn process<B, F>(id: impl Into<ChildId>, body: B) -> Self
    where
        B: Fn(Context) -> F + Send + Sync + 'static,
        F: Future + Send + 'static,
        F::Output: IntoExit,
    {
        let id = id.into();
        let options = options(&id);
        let body = Arc::new(body);
        Self::new(id, move |cx| {
            let (body, options) = (Arc::clone(&body), options.clone());
            Box::pin(std::future::ready(spawn_child(cx, options, move |cx| {
                body(cx)
            })))
        })
    }

    /// Anything that gives the pid of a process which is linked to the caller. A panic of `start`,
    /// as of those of the other kinds of children, is a start that failed.
    pub fn new<F>(id: impl Into<ChildId>, start: F) -> Self
    where
        F: for<'a> Fn(&'a mut Context) -> BoxFuture<'a, Result<Pid, StartError>>
            + Send
            + Sync
            + 'static,
    {
        Self {
            id: id.into(),
            start: StartChild::Again(Arc::new(start)),
            restart: Restart::Permanent,
            shutdown: Shutdown::After(WORKER_SHUTDOWN),
            kind: ChildKind::Worker,
            significant: false,
        }
    }

    /// A server that is started one time, so that what the closure captured can be moved into it:
    /// an accepted socket. It is [`Temporary`](Restart::Temporary) and stays so.
    pub fn once<S, F>(id: impl Into<ChildId>, start: F) -> Self
    where
        S: GenServer,
        F: for<'a> FnOnce(&'a mut Context) -> Start<'a, S> + Send + 'static,
    {
        Self::one_shot(id.into(), Box::new(move |cx| Box::pin(start(cx).run())))
    }

    /// A plain process that is started one time; see [`once`](Self::once).
    pub fn process_once<B, F>(id: impl Into<ChildId>, body: B) -> Self
    where
        B: FnOnce(Context) -> F + Send + 'static,
        F: Future + Send + 'static,
        F::Output: IntoExit,
    {
        let id = id.into();
        let options = options(&id);
        Self::one_shot(
            id,
            Box::new(move |cx| Box::pin(std::future::ready(spawn_child(cx, options, body)))),
        )
    }

    fn one_shot(id: ChildId, start: Box<OnceStart>) -> Self {
        Self {
            id,
            start: StartChild::Once(start),
            restart: Restart::Temporary,
            shutdown: Shutdown::After(WORKER_SHUTDOWN),
            kind: ChildKind::Worker,
            significant: false,
        }
    }

    /// When it is started again; [`Restart::Permanent`] unless told otherwise. A one-shot child
    /// stays temporary.
    pub fn restart(mut self, restart: Restart) -> Self {
        if matches!(self.start, StartChild::Again(_)) {
            self.restart = restart;
        }
        self
    }

    /// How it is ended: 5 seconds for workers, infinity for supervisors unless told otherwise.
    pub fn shutdown(mut self, shutdown: Shutdown) -> Self {
        self.shutdown = shutdown;
        self
    }

    /// Whether its end may end the supervisor: see
    /// [`AutoShutdown`](crate::supervisor::AutoShutdown).
    pub fn significant(mut self, significant: bool) -> Self {
        self.significant = significant;
        self
    }

    /// The child's id.
    pub fn id(&self) -> &ChildId {
        &self.id
    }
}

impl fmt::Debug for ChildSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ChildSpec")
            .field("id", &self.id)
            .field("restart", &self.restart)
            .field("shutdown", &self.shutdown)
            .field("kind", &self.kind)
            .field("significant", &self.significant)
            .finish_non_exhaustive()
    }
}

/// The options of a child's process, with its id as label. Only ids that the program's text holds become atoms: one
/// made at run time could fill the table of atoms.
fn options(id: &ChildId) -> SpawnOptions {
    let options = SpawnOptions::new().link();
    match id.0 {
        Cow::Borrowed(text) => options.label(text),
        Cow::Owned(_) => options,
    }
}

fn spawn_child<B, F>(cx: &Context, options: SpawnOptions, body: B) -> Result<Pid, StartError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future + Send + 'static,
    F::Output: IntoExit,
{
    Ok(cx.spawn_opt(options, body)?.pid)
}
