//! What OTP's module `timer` has, beside the timers of [`Context`] (which are those of OTP's `erlang`).
//!
//! They differ in what a time of zero does: here it acts at once, in the caller, so that a message to oneself is in the
//! mailbox on return and [`cancel`] takes nothing back. There is no timer server. A function that is to be applied
//! later waits in a process of its own, which [`cancel`] kills.
//!
//! ```
//! use otp_vm::{Timeout, Vm, timer};
//! use std::time::Duration;
//!
//! let vm = Vm::builder().schedulers(1).build()?;
//! let run = vm.run(|mut cx| async move {
//!     let parent = cx.pid();
//!     let (took, ()) = timer::tc(&cx, cx.sleep(Duration::from_millis(2))).await;
//!     let every = Duration::from_millis(1);
//!     let beats = timer::apply_interval(&cx, every, move |cx| async move {
//!         cx.send(parent, "beat").unwrap();
//!     }).unwrap();
//!     for _ in 0..3 {
//!         cx.receive_as::<String>(Timeout::Infinity).await;
//!     }
//!     timer::cancel(&cx, &beats);
//!     took
//! });
//! assert!(run.wait()? >= Duration::from_millis(2));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

use otp_heap::Pid;
use serde::Serialize;

use crate::context::{Context, Due, IntervalError, IntervalRef, TimerRef};
use crate::destination::{Destination, SendError};
use crate::envelope::HOST;
use crate::exit_reason::{ExitReason, IntoExit};
use crate::timers::TimerError;

/// What [`cancel`] takes: a timer of this module. A clone is the same timer.
#[derive(Debug, Clone)]
pub struct TRef(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// It acted at once.
    Instant,
    Once(TimerRef),
    Interval(IntervalRef),
    Waiting(Pid),
}

/// Runs a function in a process of its own, `after` from now; at once for zero. `timer:apply_after/2`.
///
/// It runs whether or not the caller still lives, and is linked with nobody.
///
/// # Errors
/// [`TimerError::Spawn`].
pub fn apply_after<B, F>(cx: &Context, after: Duration, function: B) -> Result<TRef, TimerError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    if after.is_zero() {
        cx.spawn(function)?;
        return Ok(TRef(Kind::Instant));
    }
    let begun = cx.monotonic_time();
    let waiting = cx.spawn(move |mut cx| async move {
        let due = nanoseconds(after).saturating_add(begun);
        while wait_until(&mut cx, due).await.is_some() {}
        function(cx).await
    })?;
    Ok(TRef(Kind::Waiting(waiting)))
}

/// Runs a function in a process of its own each `interval`, from one interval on, whether or not the one before has
/// ended. `timer:apply_interval/2`.
///
/// It ends with the caller, or by [`cancel`]; functions that run then go on. It does not drift.
///
/// # Errors
/// [`TimerError::ZeroInterval`], [`TimerError::Spawn`]. What can't be spawned later is left out.
pub fn apply_interval<B, F>(
    cx: &Context,
    interval: Duration,
    function: B,
) -> Result<TRef, TimerError>
where
    B: Fn(Context) -> F + Clone + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    repeat(cx, interval, false, function)
}

/// As [`apply_interval`], but the function is not run again before it has ended; then at once, if its time has come.
/// `timer:apply_repeatedly/2`, of OTP 26.
///
/// # Errors
/// As for [`apply_interval`].
pub fn apply_repeatedly<B, F>(
    cx: &Context,
    interval: Duration,
    function: B,
) -> Result<TRef, TimerError>
where
    B: Fn(Context) -> F + Clone + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    repeat(cx, interval, true, function)
}

fn repeat<B, F>(
    cx: &Context,
    interval: Duration,
    one_at_a_time: bool,
    function: B,
) -> Result<TRef, TimerError>
where
    B: Fn(Context) -> F + Clone + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    if interval.is_zero() {
        return Err(TimerError::ZeroInterval);
    }
    let (caller, begun) = (cx.pid(), cx.monotonic_time());
    let waiting = cx.spawn(move |mut cx| async move {
        cx.monitor(caller);
        let mut due = begun;
        loop {
            due = due.saturating_add(nanoseconds(interval));
            while let Some(ended) = wait_until(&mut cx, due).await {
                if ended == caller {
                    return;
                }
            }
            if !one_at_a_time {
                let _left_out_at_the_limit = cx.spawn(function.clone());
            } else if let Ok((running, _)) = cx.spawn_monitor(function.clone()) {
                loop {
                    let message = cx.receive().await;
                    match message.down().and_then(|down| down.object.pid()) {
                        Some(ended) if ended == caller => return,
                        Some(ended) if ended == running => break,
                        _ => {}
                    }
                }
                due = due.max(cx.monotonic_time().saturating_sub(nanoseconds(interval)));
            }
        }
    })?;
    Ok(TRef(Kind::Waiting(waiting)))
}

/// None when the time has come; else who ended before it.
async fn wait_until(cx: &mut Context, due: u64) -> Option<Pid> {
    loop {
        let left = Duration::from_nanos(due.saturating_sub(cx.monotonic_time()));
        let message = cx.receive_timeout(left).await?;
        if let Some(ended) = message.down().and_then(|down| down.object.pid()) {
            return Some(ended);
        }
    }
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Sends a message later; for zero it is sent already. To a name that nobody has then, silently to nobody.
/// `timer:send_after/3`.
///
/// # Errors
/// As for [`Context::send_after`].
pub fn send_after<M: Serialize + ?Sized>(
    cx: &Context,
    after: Duration,
    to: impl Into<Destination>,
    message: &M,
) -> Result<TRef, TimerError> {
    if !after.is_zero() {
        return Ok(TRef(Kind::Once(cx.send_after(after, to, message)?)));
    }
    match cx.send(to, message) {
        Ok(()) | Err(SendError::NoName) => Ok(TRef(Kind::Instant)),
        // What a timer sends to a full mailbox is dropped.
        Err(SendError::MailboxFull(_)) => Ok(TRef(Kind::Instant)),
        Err(SendError::Encode(error)) => Err(error.into()),
        Err(SendError::TooLarge(error)) => Err(error.into()),
    }
}

/// [`Context::send_interval`], for [`cancel`]. `timer:send_interval/3`.
///
/// # Errors
/// As for [`Context::send_interval`].
pub fn send_interval<M: Serialize + ?Sized>(
    cx: &Context,
    interval: Duration,
    to: impl Into<Destination>,
    message: &M,
) -> Result<TRef, IntervalError> {
    let interval = cx.send_interval(interval, to, message)?;
    Ok(TRef(Kind::Interval(interval)))
}

/// Sends an exit signal later; at once for zero. A name is resolved when the time has come. `timer:exit_after/3`.
///
/// The signal is nobody's, as that of OTP's timer server: with the reason `normal` it ends nobody.
/// [`Context::exit_process_after`] sends one in the caller's name.
///
/// # Errors
/// [`TimerError::TooFar`], [`TimerError::Limit`].
pub fn exit_after(
    cx: &Context,
    after: Duration,
    to: impl Into<Destination>,
    reason: impl Into<ExitReason>,
) -> Result<TRef, TimerError> {
    let (to, reason) = (to.into(), reason.into());
    if !after.is_zero() {
        let timer = cx.exit_later(HOST, Due::After(after), to, &reason)?;
        return Ok(TRef(Kind::Once(timer)));
    }
    if let Ok(to) = cx.core().resolve(&to) {
        cx.exit_process(to.pid, reason);
    }
    Ok(TRef(Kind::Instant))
}

/// [`exit_after`] with the reason `kill`. `timer:kill_after/2`.
///
/// # Errors
/// As for [`exit_after`].
pub fn kill_after(
    cx: &Context,
    after: Duration,
    to: impl Into<Destination>,
) -> Result<TRef, TimerError> {
    exit_after(cx, after, to, ExitReason::kill())
}

/// Ends a timer of this module, from any process. No error if it has acted or was cancelled already. `timer:cancel/1`,
/// which gives `{ok, cancel}`.
pub fn cancel(cx: &Context, timer: &TRef) {
    match &timer.0 {
        Kind::Instant => {}
        Kind::Once(reference) => drop(cx.cancel_timer(*reference)),
        Kind::Interval(interval) => drop(cx.cancel_interval(interval)),
        Kind::Waiting(waiting) => cx.exit_process(*waiting, ExitReason::kill()),
    }
}

/// Awaits a future, and gives the time that it took on the VM's clock, with its value. A panic passes through.
/// `timer:tc/1`.
pub async fn tc<F: Future>(cx: &Context, future: F) -> (Duration, F::Output) {
    let vm = cx.vm().for_process();
    let begun = vm.core().scheduler.now();
    let value = future.await;
    let took = vm.core().scheduler.now() - begun;
    (Duration::from_nanos(took), value)
}

/// `timer:seconds/1`.
pub const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// `timer:minutes/1`.
pub const fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(minutes * 60)
}

/// `timer:hours/1`.
pub const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 60 * 60)
}

/// Hours, minutes and seconds together. `timer:hms/3`.
pub const fn hms(h: u64, m: u64, s: u64) -> Duration {
    Duration::from_secs((h * 60 + m) * 60 + s)
}
