//! Child specifications: how a child is started, restarted and shut down.

use std::fmt;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use otp_vm::{
    Arguments, Atom, Builder, Call, Context, ExitReason, IntoExit, OwnedTerm, Pid, SpawnOptions,
    Term, atoms,
};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::by_call;
use super::id::ChildId;
use super::shutdown::shut_down;

use crate::r#gen::{Behaviour, Start};
use crate::proc_lib::StartError;
use crate::unwind::{Caught, DropCaught};

/// A boxed future of a start.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How long a worker has to end by itself once it was told `shutdown`: OTP's 5 seconds.
pub const WORKER_SHUTDOWN: Duration = Duration::from_secs(5);

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

/// How a child is ended. As a term: `brutal_kill`, `infinity`, or milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shutdown {
    /// By `kill`, at once.
    BrutalKill,
    /// By `shutdown`; if it still runs after this time, by `kill`.
    After(Duration),
    /// By `shutdown`, and all the time it takes. For supervisors, and for workers that must not
    /// be killed, at the price that a stuck one stops the whole tree from ending.
    Infinity,
}

impl Shutdown {
    pub(super) fn from_term(term: Term<'_>) -> Option<Self> {
        match term.as_atom() {
            Some(atoms::BRUTAL_KILL) => Some(Self::BrutalKill),
            Some(atoms::INFINITY) => Some(Self::Infinity),
            _ => {
                let milliseconds = u64::try_from(term.as_i64()?).ok()?;
                Some(Self::After(Duration::from_millis(milliseconds)))
            }
        }
    }
}

impl Serialize for Shutdown {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::BrutalKill => atoms::BRUTAL_KILL.serialize(serializer),
            Self::Infinity => atoms::INFINITY.serialize(serializer),
            Self::After(limit) => {
                let milliseconds = limit.as_micros().div_ceil(1000);
                u64::try_from(milliseconds)
                    .unwrap_or(u64::MAX)
                    .serialize(serializer)
            }
        }
    }
}

impl<'de> Deserialize<'de> for Shutdown {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let term = OwnedTerm::deserialize(deserializer)?;
        Self::from_term(term.root()).ok_or_else(|| {
            serde::de::Error::custom("a shutdown is brutal_kill, infinity, or milliseconds")
        })
    }
}

/// The modules of a child that is started by module, function and arguments: OTP's `modules`, for who replaces code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Modules {
    /// Not known beforehand: `dynamic`.
    #[serde(with = "dynamic")]
    Dynamic,
    /// These.
    List(Vec<Atom>),
}

/// `dynamic`, in the place of a list.
mod dynamic {
    use otp_vm::Atom;
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    #[derive(Serialize)]
    enum Word {
        Dynamic,
    }

    pub(super) fn serialize<S: Serializer>(serializer: S) -> Result<S::Ok, S::Error> {
        Word::Dynamic.serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<(), D::Error> {
        match Atom::deserialize(deserializer)?.as_str() {
            "dynamic" => Ok(()),
            _ => Err(D::Error::custom("modules are a list, or dynamic")),
        }
    }
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
    Again(DropCaught<Arc<SharedStart>>),
    /// As often as need be, by data.
    Call(Box<Call>),
    /// One time: what it captured is moved into the child.
    Once(DropCaught<Box<OnceStart>>),
    /// Never again; of one by data, which function it was.
    Spent(Option<(Atom, Atom)>),
}

/// A child that was started, and what its start gave besides: `{ok, Pid, Info}`.
#[derive(Debug)]
pub struct Started {
    /// Its process.
    pub pid: Pid,
    /// What its start gave besides.
    pub info: Option<OwnedTerm>,
}

impl From<Pid> for Started {
    fn from(pid: Pid) -> Self {
        Self { pid, info: None }
    }
}

impl StartChild {
    /// Starts the child, linked to the caller. A start function that panics, or calls
    /// `Context::exit`, is a start that failed: a supervisor does not fall with one of its children.
    pub(crate) async fn start(&mut self, cx: &mut Context) -> Result<Started, StartError> {
        // The starts of plain processes wait for nothing: a long list of them would keep the scheduler.
        cx.tick(1).await;
        Caught(pin!(self.call(cx)))
            .await
            .unwrap_or_else(|reason| Err(StartError::Exit(reason)))
    }

    async fn call(&mut self, cx: &mut Context) -> Result<Started, StartError> {
        match self {
            Self::Again(start) => start(cx).await.map(Started::from),
            Self::Call(call) => Box::pin(by_call::start(cx, (**call).clone())).await,
            Self::Once(_) | Self::Spent(_) => match std::mem::replace(self, Self::Spent(None)) {
                Self::Once(start) => start.into_inner()(cx).await.map(Started::from),
                // Only temporary children start once, and those are never started again.
                _ => Err(StartError::Spawn(
                    "a one-shot child can't be started twice".into(),
                )),
            },
        }
    }

    /// The start as a function to be called as often as need be.
    fn shared(self) -> Arc<SharedStart> {
        match self {
            Self::Again(start) => start.into_inner(),
            Self::Call(call) => Arc::new(move |cx| {
                let call = (*call).clone();
                Box::pin(async move { by_call::start(cx, call).await.map(|started| started.pid) })
            }),
            Self::Once(_) | Self::Spent(_) => Arc::new(|_cx| {
                Box::pin(async {
                    Err(StartError::Spawn(
                        "a one-shot child can't be started as often as need be".into(),
                    ))
                })
            }),
        }
    }

    /// Lets go of the arguments of a start that is data. A closure goes with its child: what it captured may be the
    /// program's to drop.
    pub(crate) fn forget(&mut self) {
        if let Self::Call(call) = self {
            let mfa = call.mfa();
            *self = Self::Spent(Some((mfa.module, mfa.function)));
        }
    }

    /// The same start with further arguments, before its own or behind them: how supervisors start children that share
    /// some.
    pub(crate) fn with(&self, before: &Arguments, after: &Arguments) -> Result<Self, StartError> {
        match self {
            Self::Call(call) => {
                let mut all = Builder::<()>::new();
                let lists = [before, call.arguments(), after].map(Arguments::term);
                let mut count = 0;
                for argument in lists.into_iter().flat_map(Term::list_iter) {
                    all.term(argument);
                    count += 1;
                }
                all.list(count);
                let all = all.finish(()).map_err(|error| bad_arguments(&error))?;
                let mfa = call.mfa();
                let call = Call::new(mfa.module.as_str(), mfa.function.as_str(), &all);
                Ok(Self::Call(Box::new(
                    call.map_err(|error| bad_arguments(&error))?,
                )))
            }
            Self::Again(start) if before.arity() + after.arity() == 0 => {
                Ok(Self::Again(DropCaught::new(Arc::clone(start))))
            }
            _ => Err(bad_arguments(
                &"only a start by module, function and arguments takes further arguments",
            )),
        }
    }

    /// `{Module, Function, Arguments}`, where the arguments of who is never started again are `undefined`. None for a
    /// closure.
    pub(super) fn mfargs(&self) -> Option<OwnedTerm> {
        match self {
            Self::Call(call) => otp_vm::to_term(call).ok(),
            Self::Spent(Some((module, function))) => {
                otp_vm::to_term(&(module, function, atoms::UNDEFINED)).ok()
            }
            _ => None,
        }
    }
}

fn bad_arguments(error: &dyn fmt::Display) -> StartError {
    StartError::Exit(ExitReason::new(&(atoms::BADARG, error.to_string())))
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
    pub(crate) modules: Modules,
}

impl ChildSpec {
    /// A worker that is a server or a state machine, of whatever [`Behaviour`] the start is: `start` is called at each
    /// start and restart.
    ///
    /// `ChildSpec::worker("cache", |cx| Cache::start_link(cx, Options::default()).name("cache"))`
    pub fn worker<B, F>(id: impl Into<ChildId>, start: F) -> Self
    where
        B: Behaviour,
        F: for<'a> Fn(&'a mut Context) -> Start<'a, B> + Send + Sync + 'static,
    {
        Self::new(id, move |cx| Box::pin(start(cx).run()))
    }

    /// A supervisor: has all the time it takes to shut its children down.
    pub fn supervisor<B, F>(id: impl Into<ChildId>, start: F) -> Self
    where
        B: Behaviour,
        F: for<'a> Fn(&'a mut Context) -> Start<'a, B> + Send + Sync + 'static,
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
        let start = StartChild::Again(DropCaught::new(Arc::new(start)));
        Self::starting(id.into(), start)
    }

    /// A worker that is started one time, so that what the closure captured can be moved into it:
    /// an accepted socket. It is [`Temporary`](Restart::Temporary) and stays so.
    pub fn once<B, F>(id: impl Into<ChildId>, start: F) -> Self
    where
        B: Behaviour,
        F: for<'a> FnOnce(&'a mut Context) -> Start<'a, B> + Send + 'static,
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

    /// A specification by its start, with the defaults of a worker.
    pub(super) fn starting(id: ChildId, start: StartChild) -> Self {
        Self {
            id,
            start,
            restart: Restart::Permanent,
            shutdown: Shutdown::After(WORKER_SHUTDOWN),
            kind: ChildKind::Worker,
            significant: false,
            modules: Modules::List(Vec::new()),
        }
    }

    /// With further arguments before its own.
    pub(crate) fn with_arguments(mut self, before: &Arguments) -> Result<Self, StartError> {
        let none = Arguments::new(&()).map_err(|error| bad_arguments(&error))?;
        self.start = self.start.with(before, &none)?;
        Ok(self)
    }

    /// The same with another id: for several of a kind. Elixir's `Supervisor.child_spec(spec, id: …)`.
    pub fn with_id(mut self, id: impl Into<ChildId>) -> Self {
        self.id = id.into();
        self
    }

    /// A supervisor's: has all the time it takes to shut its children down.
    pub(crate) fn into_supervisor(mut self) -> Self {
        self.kind = ChildKind::Supervisor;
        self.shutdown(Shutdown::Infinity)
    }

    /// Has the supervisor note each start.
    pub(crate) fn noting<F>(self, note: F) -> Self
    where
        F: Fn(&Context, Pid) -> Result<(), StartError> + Send + Sync + 'static,
    {
        let (start, note) = (self.start.shared(), Arc::new(note));
        let noted = Self::new("", move |cx| {
            let (start, note) = (Arc::clone(&start), Arc::clone(&note));
            Box::pin(async move {
                let pid = start(cx).await?;
                if let Err(error) = note(cx, pid) {
                    // Nobody would know of it.
                    let _ = shut_down(cx, pid, Shutdown::BrutalKill, Restart::Temporary).await;
                    return Err(error);
                }
                Ok(pid)
            })
        });
        Self {
            start: noted.start,
            ..self
        }
    }

    /// Takes on what another one says, but for id and start.
    pub(super) fn like(&mut self, other: &Self) {
        self.restart = other.restart;
        self.shutdown = other.shutdown;
        self.kind = other.kind;
        self.significant = other.significant;
        self.modules = other.modules.clone();
    }

    fn one_shot(id: ChildId, start: Box<OnceStart>) -> Self {
        Self {
            restart: Restart::Temporary,
            ..Self::starting(id, StartChild::Once(DropCaught::new(start)))
        }
    }

    /// When it is started again; [`Restart::Permanent`] unless told otherwise. A one-shot child
    /// stays temporary.
    pub fn restart(mut self, restart: Restart) -> Self {
        if !matches!(self.start, StartChild::Once(_)) {
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
    match id.as_static() {
        Some(text) => options.label(text),
        None => options,
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
