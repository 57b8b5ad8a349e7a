//! Processes that fit into a tree: OTP's `proc_lib`.
//!
//! What [`spawn()`], [`start`] and their like make knows its ancestors ([`Context::origin`]), and reports its crash
//! ([`CrashReport`]); what is started says besides when it is ready. All behaviours are made so. A plain
//! [`Context::spawn`] makes a process without either, whose panic is logged and no more.
//!
//! # Protocol of a start
//!
//! 1. [`start`] or [`start_link`] spawns the process and calls it, as one calls a server: the
//!    request is "begin", and carries a monitor.
//! 2. The body takes the request by [`Starter::receive`], initialises itself, and answers:
//!    [`Starter::init_ack`] (it is ready) or [`Starter::init_fail`] (it is not, and will end).
//! 3. Ready: the start returns the pid.
//! 4. Not ready: the start waits until the process is gone, then returns why. A body that ends
//!    or panics without an answer fails the start with its exit reason.
//! 5. No answer in time: the process is killed, and gone before the start returns
//!    [`StartError::Timeout`]. Its late answer, if any, is dropped by the VM.
//!
//! # Races
//!
//! * A failed `start_link` leaves no `EXIT` message of the process in a parent that traps exits.
//! * A parent that does not trap exits dies with a linked child whose initialisation *exits*
//!   abnormally, as in OTP: it does not get past the start. Use `start`, trap exits, or have the
//!   child say `init_fail`, to get the error instead.
//! * The parent dies while it waits: the link ends the child. One that was not even asked to begin ends in any case,
//!   linked or not, and whether or not it traps exits.
//! * The future of a start is dropped: the process starts all the same, and nobody is told.
//! * [`start_monitor`] gives a monitor as well, from before the process runs, so its `DOWN` has the true reason however
//!   soon it ends. That `DOWN` comes after a failed start, too: with `killed`, if it took too long.

mod crash_report;
mod format;
mod spawn;
mod stop;

use std::time::Duration;

use otp_vm::{
    CallError, Context, ExitReason, IntoExit, MessageKind, Pid, Ref, ReplyTo, SpawnError,
    SpawnOptions, Spawned, Timeout,
};
use serde::{Deserialize, Serialize};

pub(crate) use crash_report::class_of;
pub use crash_report::{
    Class, CrashReport, Dictionary, ErrorInfo, MAX_DICTIONARY, MAX_LINKS, MAX_MESSAGES,
    MAX_NEIGHBOURS, Neighbour,
};
pub(crate) use format::EVENT_LIMIT_CHARS;
pub use format::Format;
pub(crate) use spawn::{callers, spawn_for};
pub use spawn::{hibernate, initial_call, spawn, spawn_link, spawn_opt, translate_initial_call};
pub use stop::{StopError, stop, terminate_request};

/// Why a process did not start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The process chose not to run: `ignore`. Not a failure.
    #[error("the process chose not to run (ignore)")]
    Ignore,
    /// The name, or the id under a supervisor, belongs to a running process.
    #[error("already started as {0}; use that process, or another name")]
    AlreadyStarted(Pid),
    /// The process was not ready in time, and was killed.
    #[error("initialisation took longer than the start's timeout, and was killed")]
    Timeout,
    /// Initialisation failed with this reason.
    #[error("initialisation failed: {0}")]
    Exit(ExitReason),
    /// No process could be made.
    #[error("no process could be made: {0}")]
    Spawn(String),
    /// The name can't be used.
    #[error("the name can't be used: {0}")]
    BadName(String),
}

impl From<SpawnError> for StartError {
    fn from(error: SpawnError) -> Self {
        Self::Spawn(error.to_string())
    }
}

/// As the reason of a process that can't go on without the other: OTP's own terms.
impl From<StartError> for ExitReason {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Exit(reason) => reason,
            other => ExitReason::new(&other),
        }
    }
}

/// How a start is done.
#[derive(Clone, Debug)]
pub struct StartOptions {
    link: bool,
    timeout: Timeout,
    label: Option<&'static str>,
    // Few starts have any, and a start's future is held while a process waits for it.
    spawn: Option<Box<SpawnOptions>>,
}

impl StartOptions {
    /// Without a link, and with all the time that initialisation takes.
    pub fn new() -> Self {
        Self {
            link: false,
            timeout: Timeout::Infinity,
            label: None,
            spawn: None,
        }
    }

    /// Links the process to its starter.
    pub fn link(mut self, link: bool) -> Self {
        self.link = link;
        self
    }

    /// Kills the process if it is not ready in time.
    pub fn timeout(mut self, timeout: impl Into<Timeout>) -> Self {
        self.timeout = timeout.into();
        self
    }

    /// Names the process in lists and reports; not an address.
    pub fn label(mut self, label: &'static str) -> Self {
        self.label = Some(label);
        self
    }

    /// How the process is made: priority, heap, mailbox. `{spawn_opt, Options}`. A link among them is one of the start.
    /// A monitor fails the start, as in OTP: [`start_monitor`] gives one.
    pub fn spawn_opt(mut self, options: SpawnOptions) -> Self {
        self.link |= options.has_link();
        self.spawn = Some(Box::new(options));
        self
    }
}

impl Default for StartOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The request to begin.
#[derive(Serialize, Deserialize)]
enum Begin {
    #[serde(rename = "$begin")]
    Begin,
}

/// Whom to answer, if a message is one.
fn begin_request(message: &otp_vm::Message) -> Option<ReplyTo> {
    match message.kind() {
        MessageKind::Call { from, request } => {
            otp_vm::from_term::<Begin>(request).is_ok().then_some(from)
        }
        _ => None,
    }
}

/// The answer to it.
#[derive(Serialize, Deserialize)]
enum Begun {
    Ack,
    Nack(Refusal),
}

/// Why a process will not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Refusal {
    /// It chose not to.
    Ignore,
    /// Its name belongs to another.
    AlreadyStarted(Pid),
    /// It could not take its name.
    BadName(String),
    /// It failed, and ends by itself.
    Error(ExitReason),
}

/// The right and duty of a new process to tell its starter how initialisation went.
#[derive(Debug)]
#[must_use = "whoever started the process waits for init_ack or init_fail"]
pub struct Starter {
    to: ReplyTo,
}

impl Starter {
    /// Takes the request to begin: the first thing that a started body does.
    ///
    /// **Exits** with `{shutdown, Reason}` if whoever made the process ends without a request, with the reason of that
    /// end: he may be killed in between. Cancel-safe: a request that was not returned stays in the mailbox.
    pub async fn receive(cx: &mut Context) -> Self {
        // It is there, as a rule.
        let to = match cx.receive_where(Duration::ZERO, begin_request).await {
            Some(to) => to,
            None => Box::pin(Self::wait(cx)).await,
        };
        Self { to }
    }

    /// Who traps exits would not end with who made him, nor would one without a link.
    async fn wait(cx: &mut Context) -> ReplyTo {
        let monitor = cx.monitor(cx.parent());
        let asked = cx.receive_where(Timeout::Infinity, |message| match message.kind() {
            MessageKind::Down { reference, .. } if reference == monitor => {
                message.down().map(|down| Err(down.reason))
            }
            _ => begin_request(message).map(Ok),
        });
        match asked.await {
            Some(Ok(to)) => {
                cx.demonitor_flush(monitor);
                to
            }
            Some(Err(reason)) => cx.exit(ExitReason::shutdown_with(&reason)),
            None => unreachable!("a receive without a time limit ended without a message"),
        }
    }

    /// Who started the process.
    pub fn parent(&self) -> Pid {
        self.to.pid()
    }

    /// Says that the process is ready. `proc_lib:init_ack/2`.
    pub fn init_ack(self, cx: &Context) {
        self.answer(cx, &Begun::Ack);
    }

    /// Says that the process will not run; the body must end then. `proc_lib:init_fail/3`.
    pub fn init_fail(self, cx: &Context, refusal: Refusal) {
        self.answer(cx, &Begun::Nack(refusal));
    }

    fn answer(self, cx: &Context, begun: &Begun) {
        // A starter that gave up or died wants no answer.
        let _ = cx.reply(&self.to, begun);
    }
}

/// Starts a process and waits until it is ready. `proc_lib:start/3,4,5`.
///
/// # Errors
/// Whatever kept the process from being ready. It is gone by then.
pub async fn start<B, F>(cx: &mut Context, body: B) -> Result<Pid, StartError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future + Send + 'static,
    F::Output: IntoExit,
{
    start_opt(cx, StartOptions::new(), body).await
}

/// Starts a linked process and waits until it is ready. `proc_lib:start_link/3,4,5`.
///
/// # Errors
/// As [`start`].
pub async fn start_link<B, F>(cx: &mut Context, body: B) -> Result<Pid, StartError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future + Send + 'static,
    F::Output: IntoExit,
{
    start_opt(cx, StartOptions::new().link(true), body).await
}

/// Starts a process as `options` say and waits until it is ready.
///
/// # Errors
/// As [`start`].
pub async fn start_opt<B, F>(
    cx: &mut Context,
    options: StartOptions,
    body: B,
) -> Result<Pid, StartError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future + Send + 'static,
    F::Output: IntoExit,
{
    if options
        .spawn
        .as_ref()
        .is_some_and(|spawn| spawn.has_monitor())
    {
        let text = "badarg: a start takes no option `monitor`; use start_monitor";
        return Err(StartError::Spawn(text.to_owned()));
    }
    let begun = spawn_to_start(cx, &options, !options.link, body)?;
    let Spawned { pid, monitor } = begun;
    let begun = begin(cx, pid, &options).await;
    let Some(monitor) = monitor else {
        return begun;
    };
    if begun == Err(StartError::Exit(ExitReason::noproc())) {
        return Err(StartError::Exit(cx.await_down(monitor).await.reason));
    }
    cx.demonitor_flush(monitor);
    begun
}

/// Starts a process as `options` say and waits until it is ready, and monitors it, from before it runs.
/// `proc_lib:start_monitor/3,4,5`.
///
/// The monitor is the caller's whether or not the start failed: its `DOWN` comes when the process is gone, which after
/// a failure it is. No `EXIT` is left behind by a failure.
///
/// # Errors
/// When no process can be made, and so there is no monitor either. Why the process is not ready is in what is given.
pub async fn start_monitor<B, F>(
    cx: &mut Context,
    options: StartOptions,
    body: B,
) -> Result<(Result<Pid, StartError>, Ref), SpawnError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future + Send + 'static,
    F::Output: IntoExit,
{
    let Spawned { pid, monitor } = spawn_to_start(cx, &options, true, body)?;
    let Some(monitor) = monitor else {
        unreachable!("a spawn with a monitor gave none");
    };
    let mut begun = begin(cx, pid, &options).await;
    if begun == Err(StartError::Exit(ExitReason::noproc())) {
        // It ended before the request came. The reason is in the `DOWN`, which stays for the caller.
        begun = Err(StartError::Exit(reason_in_mailbox(cx, monitor).await));
    }
    Ok((begun, monitor))
}

/// The reason in a `DOWN` that is here or will be at once, and that stays where it is.
async fn reason_in_mailbox(cx: &mut Context, monitor: Ref) -> ExitReason {
    loop {
        let mut reason = None;
        let look = cx.receive_where(Duration::ZERO, |message| {
            if reason.is_none() {
                let down = message.down().filter(|down| down.reference == monitor);
                reason = down.map(|down| down.reason);
            }
            None::<()>
        });
        look.await;
        match reason {
            Some(reason) => return reason,
            None => cx.yield_now().await,
        }
    }
}

/// Makes the process of a start. Whoever dies before it gets the request to begin tells why by the link, or by the
/// monitor.
fn spawn_to_start<B, F>(
    cx: &Context,
    options: &StartOptions,
    monitor: bool,
    body: B,
) -> Result<Spawned, SpawnError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    let mut spawn = options.spawn.as_deref().cloned().unwrap_or_default();
    if options.link {
        spawn = spawn.link();
    }
    if monitor {
        spawn = spawn.monitor();
    }
    if let Some(label) = options.label {
        spawn = spawn.label(label);
    }
    spawn_opt(cx, spawn, body)
}

/// How long the exit signal of a linked process may take that is dead already: microseconds. The
/// limit is for one that took the link away before it died.
const EXIT_LIMIT: Duration = Duration::from_secs(1);

/// Steps 1 and 3 to 5 of the protocol.
async fn begin(cx: &mut Context, pid: Pid, options: &StartOptions) -> Result<Pid, StartError> {
    let error = match cx
        .call::<_, Begun>(pid, &Begin::Begin, options.timeout)
        .await
    {
        Ok(Begun::Ack) => return Ok(pid),
        Ok(Begun::Nack(refusal)) => {
            gone(cx, pid).await;
            match refusal {
                Refusal::Ignore => StartError::Ignore,
                Refusal::AlreadyStarted(holder) => StartError::AlreadyStarted(holder),
                Refusal::BadName(text) => StartError::BadName(text),
                Refusal::Error(reason) => StartError::Exit(reason),
            }
        }
        Err(CallError::Exit(reason)) if options.link => {
            StartError::Exit(linked_end(cx, pid, reason).await)
        }
        Err(CallError::Exit(reason)) => StartError::Exit(reason),
        Err(failed) => {
            // Without the unlink the kill would come back to a parent that does not trap exits.
            cx.unlink(pid);
            cx.exit_process(pid, ExitReason::kill());
            gone(cx, pid).await;
            match failed {
                CallError::Timeout => StartError::Timeout,
                other => StartError::Spawn(other.to_string()),
            }
        }
    };
    if options.link {
        unlink_flush(cx, pid).await;
    }
    Err(error)
}

/// A linked process ended without an answer. `noproc` says only that it was gone before the
/// request came; its `EXIT` has the true reason.
async fn linked_end(cx: &mut Context, pid: Pid, reason: ExitReason) -> ExitReason {
    if !traps_exits(cx) {
        // The exit signal is on its way, or here already: OTP's parent would not get past this
        // point if it is abnormal, and neither shall one here, whichever of the two news came
        // first. A slice takes it in when it begins, and the link goes.
        while cx
            .process_info(cx.pid())
            .is_some_and(|me| me.links.contains(&pid))
        {
            cx.yield_now().await;
        }
        return if reason == ExitReason::noproc() {
            ExitReason::normal()
        } else {
            reason
        };
    }
    if reason != ExitReason::noproc() {
        return reason;
    }
    exit_of(cx, pid, EXIT_LIMIT).await.unwrap_or(reason)
}

fn traps_exits(cx: &Context) -> bool {
    let traps = cx.trap_exit(true);
    cx.trap_exit(traps);
    traps
}

/// Waits until `pid` is gone.
async fn gone(cx: &mut Context, pid: Pid) {
    let monitor = cx.monitor(pid);
    cx.await_down(monitor).await;
}

/// A monitor for the time of a wait: who gives the wait up hears nothing of it afterwards.
pub(crate) struct Watch<'a> {
    pub(crate) cx: &'a mut Context,
    pub(crate) monitor: Ref,
}

impl Drop for Watch<'_> {
    fn drop(&mut self) {
        self.cx.demonitor_flush(self.monitor);
    }
}

/// Ends the link to `pid`, and takes its `EXIT` message out of the mailbox if it came already.
pub(crate) async fn unlink_flush(cx: &mut Context, pid: Pid) -> Option<ExitReason> {
    cx.unlink(pid);
    exit_of(cx, pid, Duration::ZERO).await
}

/// Takes the `EXIT` message of `pid` out of the mailbox.
async fn exit_of(cx: &mut Context, pid: Pid, after: Duration) -> Option<ExitReason> {
    cx.receive_where(after, |message| match message.kind() {
        MessageKind::Exit { from, .. } if from == pid => message.exit().map(|exit| exit.reason),
        _ => None,
    })
    .await
}
