//! Processes whose ends are reported, and that know where they come from.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use otp_vm::{
    Context, ExitReason, InitialCall, IntoExit, Origin, Pid, SpawnError, SpawnOptions, Spawned, Vm,
};
use pin_project_lite::pin_project;

use super::crash_report::{class_of, crashed};

/// Makes a process that reports its crash and keeps its ancestors. `proc_lib:spawn/1,3`: a function of a module is
/// `call.body()` ([`otp_vm::Call`]).
///
/// # Errors
/// See [`SpawnError`]; the same for all of this family.
pub fn spawn<B, F>(cx: &Context, body: B) -> Result<Pid, SpawnError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    spawn_opt(cx, SpawnOptions::new(), body).map(|spawned| spawned.pid)
}

/// As [`spawn()`], linked with this process. `proc_lib:spawn_link/1,3`.
///
/// # Errors
/// See [`SpawnError`].
pub fn spawn_link<B, F>(cx: &Context, body: B) -> Result<Pid, SpawnError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    spawn_opt(cx, SpawnOptions::new().link(), body).map(|spawned| spawned.pid)
}

/// As [`spawn()`], by options. `proc_lib:spawn_opt/2,4`; OTP's takes no monitor, this one does.
///
/// # Errors
/// See [`SpawnError`].
pub fn spawn_opt<B, F>(cx: &Context, options: SpawnOptions, body: B) -> Result<Spawned, SpawnError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    cx.spawn_opt(
        options.initial_call::<B>(),
        watched(cx.child_origin(), body),
    )
}

/// On whose behalf others do what this process has them do: its own, and theirs on whose behalf it works itself.
/// Elixir's `$callers`.
pub(crate) fn callers(cx: &Context) -> Vec<Pid> {
    let above = cx.origin();
    let above = above
        .iter()
        .flat_map(|origin| origin.callers.iter().copied());
    std::iter::once(cx.pid()).chain(above).collect()
}

/// As [`spawn_opt`], for work on behalf of `callers`. What it is said to have begun with is in the options, or the
/// body.
pub(crate) fn spawn_for<B, F>(
    cx: &Context,
    options: SpawnOptions,
    callers: Vec<Pid>,
    body: B,
) -> Result<Spawned, SpawnError>
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    let mut origin = cx.child_origin();
    Arc::make_mut(&mut origin).callers = callers;
    cx.spawn_opt(options, watched(origin, body))
}

/// Hibernates a process that `proc_lib` started: as [`Context::hibernate`], and the crash of what it goes on with is
/// reported as well. A function of a module is `call.continuation()` ([`otp_vm::Call`]). `proc_lib:hibernate/3`.
///
/// ```
/// use otp_stdlib::proc_lib;
/// use otp_vm::{Context, Vm};
///
/// async fn awake(mut cx: Context) {
///     // The message that woke it is still there.
///     let message = cx.receive().await;
///     println!("{message}");
/// }
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// vm.run(async |mut cx: Context| {
///     let sleeper = async |mut cx: Context| proc_lib::hibernate(&mut cx, awake).await;
///     let pid = proc_lib::spawn(&cx, sleeper).unwrap();
///     let monitor = cx.monitor(pid);
///     cx.send(pid, "good morning").unwrap();
///     assert!(cx.receive().await.down().is_some_and(|down| down.reference == monitor));
/// })
/// .wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub async fn hibernate<B, F>(cx: &mut Context, next: B) -> !
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    cx.hibernate(watch(next)).await
}

/// What a process was started with, for one that `proc_lib` started. `proc_lib:initial_call/1`.
pub fn initial_call(vm: &Vm, pid: Pid) -> Option<InitialCall> {
    vm.origin(pid)?.ancestors.as_ref()?;
    vm.initial_call(pid)
}

/// What a process was started with, whoever started it; None if it is gone. `proc_lib:translate_initial_call/1`.
pub fn translate_initial_call(vm: &Vm, pid: Pid) -> Option<InitialCall> {
    vm.initial_call(pid)
}

/// The body with a watch over it.
pub(super) fn watched<B, F>(
    origin: Arc<Origin>,
    body: B,
) -> impl FnOnce(Context) -> Watched<F> + Send + 'static
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    move |cx| {
        cx.set_origin(Some(origin));
        watch(body)(cx)
    }
}

/// The body with a watch over it, where the process knows already where it comes from.
fn watch<B, F>(body: B) -> impl FnOnce(Context) -> Watched<F> + Send + 'static
where
    B: FnOnce(Context) -> F + Send + 'static,
    F: Future<Output: IntoExit> + Send + 'static,
{
    move |cx| {
        let (vm, pid) = (cx.vm().clone(), cx.pid());
        // A panic of the body's function itself is the process's as well.
        match catch_unwind(AssertUnwindSafe(|| body(cx))) {
            Ok(future) => Watched::Running { future, vm, pid },
            Err(payload) => Watched::Failed {
                reason: Some(unwound(&vm, pid, payload)),
            },
        }
    }
}

pin_project! {
    /// The future of a body, whose end is reported. Of the end itself the VM takes care.
    #[project = WatchedProjection]
    pub(super) enum Watched<F> {
        Running { #[pin] future: F, vm: Vm, pid: Pid },
        Failed { reason: Option<ExitReason> },
    }
}

impl<F: Future<Output: IntoExit>> Future for Watched<F> {
    type Output = ExitReason;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<ExitReason> {
        match self.project() {
            WatchedProjection::Running { future, vm, pid } => {
                // What the panic left half done is dropped with the process.
                let polled = catch_unwind(AssertUnwindSafe(|| {
                    future.poll(task).map(IntoExit::into_exit)
                }));
                Poll::Ready(match polled {
                    Ok(poll) => {
                        let reason = ready!(poll);
                        crashed(vm, *pid, class_of(&reason), &reason);
                        reason
                    }
                    Err(payload) => unwound(vm, *pid, payload),
                })
            }
            WatchedProjection::Failed { reason } => {
                Poll::Ready(reason.take().unwrap_or_else(ExitReason::normal))
            }
        }
    }
}

fn unwound(vm: &Vm, pid: Pid, payload: Box<dyn std::any::Any + Send>) -> ExitReason {
    let reason = ExitReason::from_panic(payload);
    crashed(vm, pid, class_of(&reason), &reason);
    reason
}
