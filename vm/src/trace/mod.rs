//! Tracing: what processes do, told to a process or to a handler of the program's.
//!
//! A [`TraceSession`] has one tracer and doesn't disturb the others; the *default session*, that of [`Context::trace`],
//! is `erlang:trace/3`'s, where each process may have a tracer of its own. What is off costs nothing: see [`marks`].
//!
//! Which messages are told can be said by a [`TracePattern`].

mod collection;
mod event;
mod flags;
mod marks;
mod pattern;
mod stream;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use otp_heap::{Pid, Ref, to_block};
use otp_scheduler::lock::Mutex;
use serde::Serialize;

use crate::context::Context;
use crate::core::Core;
use crate::envelope::{Envelope, HOST, Kind, NO_REF};
use crate::message::Message;
use crate::vm::Vm;

pub(crate) use collection::collection;
pub(crate) use event::Event;
pub use flags::{TraceFlags, UnknownTraceFlag};
pub(crate) use marks::{Mark, spawned, spawns};
use pattern::Patterns;
pub use pattern::{TraceClause, TraceMessages, TracePattern};
use stream::Stream;
pub use stream::TraceStop;

/// Most events that one tracer is told in a second, unless set. OTP has no such limit. A trace message takes some 200
/// bytes, so a tracer that does not keep up costs 40 MB in a second, and then no more. Chosen by feel.
pub const DEFAULT_MAX_TRACE_EVENTS: u64 = 200_000;

/// A session's number; 0 is the default session.
type SessionId = u64;

const DEFAULT_SESSION: SessionId = 0;

/// What a VM knows of its traces, besides the marks of each process.
#[derive(Debug)]
pub(crate) struct Traces {
    /// Most events of a tracer within a second.
    limit: u64,
    next_session: AtomicU64,
    /// `new` is not empty.
    has_new: AtomicBool,
    /// What processes begin with.
    new: Mutex<Vec<Mark>>,
    /// Those of the default session, one for each tracer.
    streams: Mutex<Vec<Arc<Stream>>>,
    /// Of the default session.
    patterns: Arc<Patterns>,
}

/// Which processes a trace is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TraceTargets {
    /// One.
    Pid(Pid),
    /// All that are there now. `existing`, `existing_processes`.
    Existing,
    /// All that will be made. `new`, `new_processes`.
    New,
    /// Both. `all`, `processes`.
    All,
}

impl From<Pid> for TraceTargets {
    fn from(pid: Pid) -> Self {
        Self::Pid(pid)
    }
}

/// Why nothing is traced. `badarg` in OTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The process to be traced is gone.
    #[error("no such process: it ended before it could be traced")]
    NoProcess,
    /// The process that is to be told is gone.
    #[error("the tracer is not alive: give a process that is")]
    NoTracer,
    /// In this session the process is traced already, for another tracer.
    #[error(
        "the process is traced for {by:?} in this session: end that, or make a `trace_session` of your own"
    )]
    Traced {
        /// Who is told; None for a handler.
        by: Option<Pid>,
    },
    /// The session was switched off.
    #[error("the session was switched off ({0:?}): make a new one")]
    Stopped(TraceStop),
}

/// What is traced of a process, or of new ones. `trace_info/2`, items `flags` and `tracer`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TraceInfo {
    /// None where the tracer is gone.
    pub flags: TraceFlags,
    /// Who is told; None if nothing is traced, or for a handler.
    pub tracer: Option<Pid>,
}

impl TraceInfo {
    fn of(mark: Option<&Mark>) -> Self {
        mark.map_or_else(Self::default, |mark| Self {
            flags: mark.flags,
            tracer: mark.stream.tracer(),
        })
    }
}

impl Traces {
    pub(crate) fn new(limit: u64) -> Self {
        Self {
            limit,
            next_session: AtomicU64::new(DEFAULT_SESSION + 1),
            has_new: AtomicBool::new(false),
            new: Mutex::new(Vec::new()),
            streams: Mutex::new(Vec::new()),
            patterns: Arc::default(),
        }
    }

    /// Whether new processes are traced.
    #[inline]
    pub(crate) fn has_new(&self) -> bool {
        self.has_new.load(Ordering::Acquire)
    }

    /// Adds what each new process begins with to what this one inherits, which counts before it.
    #[cold]
    pub(crate) fn of_new(
        &self,
        core: &Core,
        inherited: Option<Box<[Mark]>>,
    ) -> Option<Box<[Mark]>> {
        let mut marks = inherited.map_or_else(Vec::new, <[Mark]>::into_vec);
        let mut new = self.new.lock().clone();
        new.retain(|mark| mark.stream.is_live(core));
        for mark in new {
            match marks.iter_mut().find(|own| own.session == mark.session) {
                Some(own) => own.flags |= mark.flags,
                None => marks.push(mark),
            }
        }
        boxed(marks)
    }

    fn change_new(&self, change: impl FnOnce(&mut Vec<Mark>)) {
        let mut new = self.new.lock();
        change(&mut new);
        self.has_new.store(!new.is_empty(), Ordering::Release);
    }

    /// The default session's stream for a tracer.
    fn stream_to(&self, core: &Core, tracer: Pid) -> Result<Arc<Stream>, TraceError> {
        if core.with_process(tracer, |_| ()).is_none() {
            return Err(TraceError::NoTracer);
        }
        let mut streams = self.streams.lock();
        streams.retain(|stream| stream.is_live(core));
        let known = streams
            .iter()
            .find(|stream| stream.tracer() == Some(tracer));
        if let Some(known) = known {
            return Ok(Arc::clone(known));
        }
        let stream = Arc::new(Stream::to_process(tracer, Arc::clone(&self.patterns)));
        streams.push(Arc::clone(&stream));
        Ok(stream)
    }

    fn on(&self, core: &Core, targets: TraceTargets, mark: &Mark) -> Result<usize, TraceError> {
        if let TraceTargets::Pid(pid) = targets {
            return marks::mark(core, pid, mark).map(|()| 1);
        }
        // New ones first: who is made meanwhile is one of the two.
        if matches!(targets, TraceTargets::New | TraceTargets::All) && !mark.flags.is_empty() {
            self.change_new(
                |new| match new.iter_mut().find(|new| new.session == mark.session) {
                    Some(present) if Arc::ptr_eq(&present.stream, &mark.stream) => {
                        present.flags |= mark.flags
                    }
                    Some(present) => *present = mark.clone(),
                    None => new.push(mark.clone()),
                },
            );
        }
        Ok(self.existing(core, targets, |pid| marks::mark(core, pid, mark).is_ok()))
    }

    fn off(
        &self,
        core: &Core,
        session: SessionId,
        targets: TraceTargets,
        flags: TraceFlags,
    ) -> usize {
        if let TraceTargets::Pid(pid) = targets {
            return usize::from(marks::unmark(core, pid, session, flags));
        }
        if matches!(targets, TraceTargets::New | TraceTargets::All) {
            self.change_new(|new| {
                for mark in new.iter_mut().filter(|mark| mark.session == session) {
                    mark.flags = mark.flags.without(flags);
                }
                new.retain(|mark| !mark.flags.is_empty());
            });
        }
        self.existing(core, targets, |pid| {
            marks::unmark(core, pid, session, flags)
        })
    }

    fn existing(&self, core: &Core, targets: TraceTargets, change: impl Fn(Pid) -> bool) -> usize {
        if targets == TraceTargets::New {
            return 0;
        }
        let charged = core.processes.pids().inspect(|_| {
            otp_scheduler::tick(1);
        });
        charged.filter(|&pid| change(pid)).count()
    }

    fn info_new(&self, core: &Core, session: SessionId) -> TraceInfo {
        let new = self.new.lock();
        let mut marks = new.iter().filter(|mark| mark.session == session);
        TraceInfo::of(marks.find(|mark| mark.stream.is_live(core)))
    }

    fn end(&self, core: &Core, session: SessionId, reach: &Reach) {
        if let Reach::Few(pids) = reach {
            for &pid in pids {
                marks::unmark(core, pid, session, TraceFlags::ALL);
            }
            return;
        }
        self.off(core, session, TraceTargets::New, TraceFlags::ALL);
        let is_traced = |pid: &Pid| core.with_process(*pid, |process| process.is_traced());
        for pid in core
            .processes
            .pids()
            .filter(|pid| is_traced(pid) == Some(true))
        {
            marks::unmark(core, pid, session, TraceFlags::ALL);
        }
    }
}

/// None of none, which is nearly always: a new process pays for nothing else.
fn boxed(marks: Vec<Mark>) -> Option<Box<[Mark]>> {
    (!marks.is_empty()).then(|| marks.into_boxed_slice())
}

/// Who a [`TraceSession`] tells.
pub struct Tracer(To);

enum To {
    Process(Pid),
    Handler(stream::Handler),
}

impl fmt::Debug for Tracer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            To::Process(pid) => formatter.debug_tuple("Tracer").field(pid).finish(),
            To::Handler(_) => formatter.write_str("Tracer(handler)"),
        }
    }
}

impl Tracer {
    /// A process, which gets the events as messages. It is not told of itself.
    pub fn process(pid: Pid) -> Self {
        Self(To::Process(pid))
    }

    /// A function, which is called with the messages that a process would get, in their order, one at a time, on a
    /// scheduler's thread: soon after the event, and after whoever is traced has gone on.
    ///
    /// If it panics, the panic is logged and the session is switched off ([`TraceStop::Panic`]). It must not hold the
    /// session, which would then never end.
    pub fn handler(handler: impl FnMut(&Message) + Send + 'static) -> Self {
        Self(To::Handler(Box::new(handler)))
    }
}

impl From<Pid> for Tracer {
    fn from(pid: Pid) -> Self {
        Self::process(pid)
    }
}

/// Traces that others don't disturb: the module `trace` of OTP 27. Clones are handles on the same one; it ends when
/// the last is dropped, or its process ends that it tells.
///
/// ```
/// use otp_vm::{Pid, TraceFlags, Tracer, Vm};
/// use std::sync::mpsc;
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let (tell, told) = mpsc::channel();
/// let session = vm.trace_session(Tracer::handler(move |event| tell.send(event.to_string()).unwrap()));
/// let echo = vm.spawn(|mut cx| async move {
///     let (from, text): (Pid, String) = cx.receive().await.decode().unwrap();
///     cx.send(from, &text).unwrap();
/// })?;
/// assert_eq!(session.trace(echo, TraceFlags::RECEIVE | TraceFlags::PROCS)?, 1);
/// vm.send(echo, &(echo, "hello"))?;
/// assert!(told.recv()?.contains("receive"));
/// assert!(told.recv()?.ends_with("exit,normal}"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct TraceSession(Arc<Session>);

struct Session {
    core: Arc<Core>,
    reach: Mutex<Reach>,
    id: SessionId,
    stream: Arc<Stream>,
    patterns: Arc<Patterns>,
}

/// Which processes may have marks of a session: at its end all have to be looked at, unless they are few.
#[derive(Debug)]
enum Reach {
    Few(Vec<Pid>),
    Any,
}

impl Reach {
    /// More are many.
    const FEW: usize = 64;

    fn add(&mut self, targets: TraceTargets, flags: TraceFlags) {
        match (self, targets) {
            (Self::Few(pids), TraceTargets::Pid(pid))
                if pids.len() < Self::FEW && !flags.are_inherited() =>
            {
                if !pids.contains(&pid) {
                    pids.push(pid);
                }
            }
            (reach, _) => *reach = Self::Any,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Session")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let handler = self.stream.end();
        let reach = self.reach.get_mut();
        self.core.traces.end(&self.core, self.id, reach);
        drop(handler);
    }
}

/// What a [`TraceSession`] has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TraceFigures {
    /// Events that the tracer was told.
    pub events: u64,
    /// Why it is told no more, if that is so.
    pub stopped: Option<TraceStop>,
}

impl TraceSession {
    /// Traces processes; gives how many there are of them, without new ones. Flags add up. `trace:process/4`.
    ///
    /// Among all or existing processes, the tracer is counted as well, though it is not told of itself.
    ///
    /// # Errors
    /// [`TraceError::NoProcess`] for one that is gone, [`TraceError::NoTracer`], [`TraceError::Stopped`].
    pub fn trace(
        &self,
        targets: impl Into<TraceTargets>,
        flags: TraceFlags,
    ) -> Result<usize, TraceError> {
        let Session {
            core, id, stream, ..
        } = &*self.0;
        if let Some(why) = stream.stopped() {
            return Err(TraceError::Stopped(why));
        }
        if !stream.is_live(core) {
            return Err(TraceError::NoTracer);
        }
        let mark = Mark {
            session: *id,
            flags,
            stream: Arc::clone(stream),
        };
        let targets = targets.into();
        // Before there is a mark.
        self.0.reach.lock().add(targets, flags);
        core.traces.on(core, targets, &mark)
    }

    /// Takes flags back; gives how many processes are there. `trace:process/4` with `false`.
    pub fn stop(&self, targets: impl Into<TraceTargets>, flags: TraceFlags) -> usize {
        let Session { core, id, .. } = &*self.0;
        core.traces.off(core, *id, targets.into(), flags)
    }

    /// What the session traces of a process; None if that is gone. `trace:info/3`.
    pub fn info(&self, pid: Pid) -> Option<TraceInfo> {
        let mark = marks::find(&self.0.core, pid, self.0.id)?;
        Some(TraceInfo::of(mark.as_ref()))
    }

    /// What it traces of each new process.
    pub fn info_new(&self) -> TraceInfo {
        self.0.core.traces.info_new(&self.0.core, self.0.id)
    }

    /// Sets which messages are told of those that its processes send or receive; None: all. `trace:send/3`,
    /// `trace:recv/3`.
    pub fn pattern(&self, of: TraceMessages, pattern: impl Into<Option<TracePattern>>) {
        self.0.patterns.set(of, pattern.into());
    }

    /// The pattern that was set last.
    pub fn pattern_info(&self, of: TraceMessages) -> Option<Arc<TracePattern>> {
        self.0.patterns.get(of)
    }

    /// How much it told, and whether it was switched off.
    pub fn figures(&self) -> TraceFigures {
        TraceFigures {
            events: self.0.stream.events(),
            stopped: self.0.stream.stopped(),
        }
    }

    /// Has the message `{trace_delivered, Tracee, Ref}` sent to the process of `cx`, once all that was to be told of
    /// `tracee` so far has reached the tracer's mailbox, or the handler has returned from it. `trace:delivered/2`.
    pub fn delivered(&self, cx: &Context, tracee: Pid) -> Ref {
        delivered(cx, tracee, Some(&self.0.stream))
    }
}

fn delivered(cx: &Context, tracee: Pid, stream: Option<&Arc<Stream>>) -> Ref {
    #[derive(Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Word {
        TraceDelivered,
    }
    let reference = cx.make_ref();
    let core = cx.core();
    // Whoever tells of an event of it now, under its lock, is through with that.
    core.with_process(tracee, |process| drop(process.lock()));
    let envelope = Envelope::new(Kind::Message, HOST, NO_REF);
    let message = to_block(envelope, &(Word::TraceDelivered, tracee, reference));
    let message = message.expect("a word, a pid and a reference");
    match stream {
        Some(stream) => stream.then(core, cx.pid(), message),
        None => core.signal(cx.pid(), message),
    }
    reference
}

impl Vm {
    /// Begins a session. It traces nothing yet. `trace:session_create/3`.
    pub fn trace_session(&self, tracer: impl Into<Tracer>) -> TraceSession {
        let patterns = Arc::<Patterns>::default();
        let stream = match tracer.into().0 {
            To::Process(pid) => Stream::to_process(pid, Arc::clone(&patterns)),
            To::Handler(handler) => Stream::to_handler(handler, Arc::clone(&patterns)),
        };
        TraceSession(Arc::new(Session {
            core: Arc::clone(self.core()),
            reach: Mutex::new(Reach::Few(Vec::new())),
            id: self
                .core()
                .traces
                .next_session
                .fetch_add(1, Ordering::Relaxed),
            stream: Arc::new(stream),
            patterns,
        }))
    }

    /// Traces processes in the default session, for the process `tracer`; gives how many there are of them, without new
    /// ones. Of all or existing ones, those that are traced for another tracer are left out. `erlang:trace/3` with
    /// `{tracer, Pid}`.
    ///
    /// # Errors
    /// See [`TraceError`].
    pub fn trace(
        &self,
        targets: impl Into<TraceTargets>,
        flags: TraceFlags,
        tracer: Pid,
    ) -> Result<usize, TraceError> {
        let core = self.core();
        let mark = Mark {
            session: DEFAULT_SESSION,
            flags,
            stream: core.traces.stream_to(core, tracer)?,
        };
        core.traces.on(core, targets.into(), &mark)
    }

    /// Takes flags of the default session back, whoever set them; gives how many processes there are.
    /// `erlang:trace/3` with `false`.
    pub fn trace_stop(&self, targets: impl Into<TraceTargets>, flags: TraceFlags) -> usize {
        let core = self.core();
        core.traces
            .off(core, DEFAULT_SESSION, targets.into(), flags)
    }

    /// What the default session traces of a process; None if that is gone. `erlang:trace_info/2`.
    pub fn trace_info(&self, pid: Pid) -> Option<TraceInfo> {
        let mark = marks::find(self.core(), pid, DEFAULT_SESSION)?;
        Some(TraceInfo::of(mark.as_ref()))
    }

    /// Sets which messages the default session tells of, whoever is told; None: all. `erlang:trace_pattern/3` with
    /// `send` or `'receive'`.
    pub fn trace_pattern(&self, of: TraceMessages, pattern: impl Into<Option<TracePattern>>) {
        self.core().traces.patterns.set(of, pattern.into());
    }

    /// The pattern of the default session. `trace_info(send, match_spec)`.
    pub fn trace_pattern_info(&self, of: TraceMessages) -> Option<Arc<TracePattern>> {
        self.core().traces.patterns.get(of)
    }

    /// What the default session traces of each new process. `erlang:trace_info(new, …)`.
    pub fn trace_info_new(&self) -> TraceInfo {
        self.core().traces.info_new(self.core(), DEFAULT_SESSION)
    }
}

impl Context {
    /// Traces processes in the default session; this process is told, by messages. See [`Vm::trace`]. `erlang:trace/3`.
    ///
    /// ```
    /// use otp_vm::{Atom, Pid, TraceFlags, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let told = vm.run(|mut cx| async move {
    ///     let child = cx.spawn(|mut cx| async move { drop(cx.receive().await) }).unwrap();
    ///     cx.trace(child, TraceFlags::RECEIVE).unwrap();
    ///     cx.send(child, &42).unwrap();
    ///     cx.receive().await.decode::<(Atom, Pid, Atom, u32)>().unwrap()
    /// }).wait()?;
    /// assert_eq!((told.0.as_str(), told.2.as_str(), told.3), ("trace", "receive", 42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// See [`TraceError`].
    pub fn trace(
        &self,
        targets: impl Into<TraceTargets>,
        flags: TraceFlags,
    ) -> Result<usize, TraceError> {
        self.vm().trace(targets, flags, self.pid())
    }

    /// As [`TraceSession::delivered`], for the default session. `erlang:trace_delivered/1`.
    pub fn trace_delivered(&self, tracee: Pid) -> Ref {
        delivered(self, tracee, None)
    }
}
