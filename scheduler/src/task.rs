//! Plain tasks: a future, its header and its result in one counted allocation. For use of the scheduler by itself.
//!
//! Protocol:
//! 1. `spawn` makes the task, puts a reference into the scheduler's list of owned tasks, and pushes it.
//! 2. That reference keeps the memory while the task is in a queue. Wakers and the join handle hold others.
//! 3. When the future is ready, or panics, `run` drops it, stores the result, tells who waits, and takes the task off
//!    the list: the memory may go then, so `run` answers `Step::Done`.
//! 4. `abort` writes a note into the header, then wakes the task: the slice that comes of the wake finds the note (what
//!    a waker wrote before is seen, see `state.rs`), and ends the task without a poll.
//! 5. When the last worker has ended, the tasks still on the list are cancelled: futures dropped, who waits is told.
//!
//! The future is touched by the thread inside `run` only, or by `cancel` when no thread runs tasks any more.

use std::any::Any;
use std::cell::UnsafeCell;
use std::fmt;
use std::future::Future;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, RawWaker, RawWakerVTable, Waker};

use slab::Slab;

use crate::core::Core;
use crate::header::{Header, Step, Task, VTable};
use crate::lock::Mutex;
use crate::long::name_of_type;
use crate::native::{NativePlace, Stopped};
use crate::panics::{drop_quietly, forget_payload, panic_text, quietly};
use crate::priority::Priority;
use crate::promise::Promise;
use crate::scheduler::Scheduler;
use crate::slice;

/// Why a plain task, a native task or a blocking closure has no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    /// The task panicked; the text is the panic's.
    #[error("the task panicked: {0}; its panic message and location are on standard error")]
    Panicked(String),
    /// The task was aborted, or the scheduler was stopped before the task ended.
    #[error(
        "the task was aborted, or the scheduler was stopped before it ended; join its tasks before `stop`"
    )]
    Cancelled,
    /// `wait` was called on a scheduler thread, which would stand still, or in a native task, which would keep its
    /// turn.
    #[error(
        "`wait` would block a scheduler thread; use `.await` on the handle, or `block_on(handle)` in a native task"
    )]
    WouldBlock,
    /// `wait` was called on a task of a simulation that has not ended: waiting does not run it.
    #[error(
        "`wait` does not run a simulation; hand the handle to `Simulation::block_on`, or `Simulation::run` before"
    )]
    Simulated,
    /// [`blocking`](crate::blocking) was awaited off a scheduler's threads.
    #[error(
        "no scheduler runs on this thread; use `Scheduler::blocking` of the one whose pool is meant"
    )]
    NoScheduler,
}

/// The result of a plain task, a native task or a blocking closure: to await, or to [`wait`](JoinHandle::wait) for.
///
/// Dropping it lets the task go on; [`abort`](JoinHandle::abort) ends it.
pub struct JoinHandle<T> {
    joined: Arc<dyn Joined<T>>,
    is_simulated: bool,
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_finished = self.joined.promise().is_kept();
        formatter
            .debug_struct("JoinHandle")
            .field("is_finished", &is_finished)
            .finish_non_exhaustive()
    }
}

impl<T: Send + 'static> JoinHandle<T> {
    /// Of a closure on the blocking pool: a simulation has none, and such a closure has run when it gets its handle.
    pub(crate) fn of_closure(joined: Arc<dyn Joined<T>>) -> JoinHandle<T> {
        JoinHandle {
            joined,
            is_simulated: false,
        }
    }

    /// Blocks the thread until the task has ended.
    ///
    /// # Errors
    ///
    /// The task panicked or was cancelled; this is a scheduler thread; the task is one of a simulation and has not
    /// ended.
    ///
    /// # Panics
    ///
    /// If the result was taken already, by an `.await` on a reference to the handle.
    pub fn wait(self) -> Result<T, JoinError> {
        if slice::on_scheduler_thread() {
            return Err(JoinError::WouldBlock);
        }
        if self.is_simulated && !self.is_finished() {
            return Err(JoinError::Simulated);
        }
        self.joined.promise().wait()
    }

    /// True if the task has ended, so that neither `wait` nor `.await` would wait.
    pub fn is_finished(&self) -> bool {
        self.joined.promise().is_kept()
    }

    /// Ends the task, from any thread: its result is [`JoinError::Cancelled`], unless it comes to its end before.
    /// Nothing waits for that; [`wait`](JoinHandle::wait), or `.await`, does. Mirrors `exit(Pid, kill)`.
    ///
    /// - A plain task that waits, or is in a queue, is not polled again: its future is dropped by the scheduler that
    ///   would have run it. One that runs goes on until its next await that is not ready; if it is bound to a thread by
    ///   now, that one is let go ([`Scheduler::condemn`](crate::Scheduler::condemn)).
    /// - A native task that waits in [`block_on`](crate::block_on) unwinds, as when its scheduler is stopped:
    ///   destructors run. One that runs, or sleeps in the kernel, goes on until it waits that way, or ends, let go as
    ///   well. One that has not begun is dropped unrun.
    /// - A closure of [`Scheduler::try_blocking`](crate::Scheduler::try_blocking) that is in the queue is dropped unrun
    ///   when its turn comes. One that runs goes on to its end, and gives its result.
    ///
    /// ```
    /// use otp_scheduler::{JoinError, Scheduler};
    /// use std::future::pending;
    ///
    /// let scheduler = Scheduler::builder().schedulers(1).build()?;
    /// let waits = scheduler.spawn(pending::<()>());
    /// waits.abort();
    /// assert_eq!(waits.wait(), Err(JoinError::Cancelled));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn abort(&self) {
        if !self.is_finished() {
            Arc::clone(&self.joined).abort();
        }
    }
}

impl<T: Send + 'static> Future for JoinHandle<T> {
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// If it is polled again after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.joined.promise().poll(cx)
    }
}

/// What a handle asks of its task, whatever that is.
pub(crate) trait Joined<T>: Send + Sync {
    fn promise(&self) -> &Promise<Result<T, JoinError>>;
    /// Has it end soon, and says nothing of when.
    fn abort(self: Arc<Self>);
}

#[repr(C)]
struct Plain<F: Future> {
    header: Header,
    core: Arc<Core>,
    /// Place in the list of owned tasks.
    place: AtomicU32,
    future: UnsafeCell<Option<F>>,
    promise: Promise<Result<F::Output, JoinError>>,
}

// SAFETY: the future is `Send` and only touched by one thread at a time (module docs); the result is `Send` and
// behind a lock; the rest is `Sync`.
unsafe impl<F: Future + Send> Sync for Plain<F> where F::Output: Send {}
// SAFETY: as above.
unsafe impl<F: Future + Send> Send for Plain<F> where F::Output: Send {}

impl<F> Joined<F::Output> for Plain<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn promise(&self) -> &Promise<Result<F::Output, JoinError>> {
        &self.promise
    }

    fn abort(self: Arc<Self>) {
        self.header.abort();
        // SAFETY: this reference keeps the task, and the task its core.
        unsafe { Header::wake(self.pointer()) };
        // If it never awaits: nobody waits for what it does.
        self.core.bound.condemn(self.pointer());
    }
}

/// Starts a plain task on the scheduler that the calling task runs on: [`Scheduler::spawn`](crate::Scheduler::spawn)
/// for who has no handle. Its priority is normal, whatever the caller's is.
///
/// # Panics
///
/// Off the threads of a scheduler, those of the blocking pool included; there, use a handle's
/// [`Scheduler::spawn`](crate::Scheduler::spawn).
///
/// ```
/// let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).build()?;
/// let outer = scheduler.spawn(async {
///     let inner = otp_scheduler::spawn(async { 6 });
///     7 * inner.await.expect("it does not panic")
/// });
/// assert_eq!(outer.wait()?, 42);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    Scheduler::current().spawn(future)
}

/// Starts a plain task.
pub(crate) fn spawn_on<F>(core: &Arc<Core>, priority: Priority, future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let task = Plain::make(core, future);
    task.header.set_priority(priority);
    if core.owned.add(&task) {
        core.schedule_if(Task(task.pointer()), || {
            task.header.state.start();
            true
        });
    } else {
        task.cancel();
    }
    task.handle()
}

/// Starts a plain task on a thread of its own. The future is ready when it is polled first.
pub(crate) fn spawn_native<F>(
    core: &Arc<Core>,
    place: NativePlace,
    future: F,
) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    let task = Plain::make(core, future);
    if core.owned.add(&task) {
        // SAFETY: a whole new task, kept by the owned list until it is done.
        unsafe { place.start(task.pointer()) };
    } else {
        task.cancel();
    }
    task.handle()
}

impl<F> Plain<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    const VTABLE: VTable = VTable {
        run: Plain::<F>::run,
        bound: None,
        name: Some(name_of_type::<F>),
    };

    const WAKER: RawWakerVTable = RawWakerVTable::new(
        Plain::<F>::waker_clone,
        Plain::<F>::waker_wake,
        Plain::<F>::waker_wake_by_ref,
        Plain::<F>::waker_drop,
    );

    fn make(core: &Arc<Core>, future: F) -> Arc<Plain<F>> {
        Arc::new(Plain {
            header: Header::of_core(core, &Plain::<F>::VTABLE),
            core: Arc::clone(core),
            place: AtomicU32::new(0),
            future: UnsafeCell::new(Some(future)),
            promise: Promise::new(),
        })
    }

    fn handle(self: Arc<Self>) -> JoinHandle<F::Output> {
        JoinHandle {
            is_simulated: self.core.simulated.is_some(),
            joined: self,
        }
    }

    fn pointer(self: &Arc<Self>) -> NonNull<Header> {
        // The header is the first field, and the pointer has the provenance of the whole task.
        NonNull::new(Arc::as_ptr(self).cast_mut().cast()).expect("an Arc is never null")
    }

    unsafe fn run(header: NonNull<Header>) -> Step {
        let pointer = header.as_ptr().cast_const().cast::<Plain<F>>();
        // SAFETY: the header is that of a `Plain<F>`, kept by the owned list until `finish` below; the waker is only
        // lent, so it counts no reference.
        let (task, waker) = unsafe {
            let waker = Waker::from_raw(RawWaker::new(pointer.cast(), &Self::WAKER));
            (&*pointer, ManuallyDrop::new(waker))
        };
        let mut cx = Context::from_waker(&waker);
        // SAFETY: this thread is the one inside `run`.
        let future = unsafe { &mut *task.future.get() };
        let Some(pinned) = future.as_mut() else {
            return Step::Done;
        };
        // SAFETY: the future lies in the task's allocation and is dropped in place.
        let pinned = unsafe { Pin::new_unchecked(pinned) };
        let result = if task.header.is_aborted() {
            Err(JoinError::Cancelled)
        } else {
            match catch_unwind(AssertUnwindSafe(|| pinned.poll(&mut cx))) {
                Ok(Poll::Pending) => return Step::Idle,
                Ok(Poll::Ready(output)) => Ok(output),
                Err(payload) => Err(panicked(payload)),
            }
        };
        // The future goes before the result is told, so that what it held is free by then.
        let dropped = catch_unwind(AssertUnwindSafe(|| *future = None));
        let result = match dropped {
            Ok(()) => result,
            Err(payload) => {
                drop_quietly(result);
                Err(panicked(payload))
            }
        };
        // SAFETY: the owned list still holds the task; this reference keeps it until `finish` is through.
        let kept = unsafe {
            Arc::increment_strong_count(pointer);
            Arc::from_raw(pointer)
        };
        kept.core.owned.remove(kept.place.load(Ordering::Relaxed));
        kept.promise.keep(result);
        Step::Done
    }

    unsafe fn waker_clone(data: *const ()) -> RawWaker {
        // SAFETY: a waker holds a reference of the task, or `run` does.
        unsafe { Arc::increment_strong_count(data.cast::<Plain<F>>()) };
        RawWaker::new(data, &Self::WAKER)
    }

    unsafe fn waker_wake(data: *const ()) {
        // SAFETY: the waker's own reference, consumed.
        unsafe {
            Self::waker_wake_by_ref(data);
            Self::waker_drop(data);
        }
    }

    unsafe fn waker_wake_by_ref(data: *const ()) {
        // SAFETY: a waker holds a reference of the task, or `run` does; the task holds its core.
        unsafe { Header::wake(NonNull::new_unchecked(data.cast_mut().cast())) };
    }

    unsafe fn waker_drop(data: *const ()) {
        // SAFETY: the waker's own reference, consumed.
        unsafe { Arc::decrement_strong_count(data.cast::<Plain<F>>()) };
    }
}

pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> JoinError {
    if payload.is::<Stopped>() {
        return JoinError::Cancelled;
    }
    let text = panic_text(&*payload).to_owned();
    forget_payload(payload);
    JoinError::Panicked(text)
}

/// What the list of owned tasks asks of a task, whatever its future is.
trait Cancel: Send + Sync {
    /// Drops the future and tells who waits. No thread may run tasks any more.
    fn cancel(&self);
    fn set_place(&self, place: u32);
}

impl<F> Cancel for Plain<F>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn cancel(&self) {
        // SAFETY: no worker is left (or the task was never pushed), so nobody is inside `run`.
        let dropped = catch_unwind(AssertUnwindSafe(|| unsafe { *self.future.get() = None }));
        self.promise.keep(Err(match dropped {
            Ok(()) => JoinError::Cancelled,
            Err(payload) => panicked(payload),
        }));
    }

    fn set_place(&self, place: u32) {
        self.place.store(place, Ordering::Relaxed);
    }
}

/// The plain tasks of a scheduler that have not ended.
pub(crate) struct Owned(Mutex<List>);

struct List {
    tasks: Slab<Arc<dyn Cancel>>,
    closed: bool,
}

impl fmt::Debug for Owned {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Owned")
            .field("tasks", &self.0.lock().tasks.len())
            .finish()
    }
}

impl Default for Owned {
    fn default() -> Owned {
        Owned(Mutex::new(List {
            tasks: Slab::new(),
            closed: false,
        }))
    }
}

impl Owned {
    /// False if the scheduler has ended.
    fn add<T: Cancel + 'static>(&self, task: &Arc<T>) -> bool {
        let mut list = self.0.lock();
        if list.closed {
            return false;
        }
        let place = list.tasks.insert(Arc::clone(task) as Arc<dyn Cancel>);
        task.set_place(place as u32);
        true
    }

    fn remove(&self, place: u32) {
        let removed = self.0.lock().tasks.try_remove(place as usize);
        // Never the last reference (`run` keeps one), so no destructor of the user's runs here.
        drop(removed);
    }

    pub(crate) fn cancel_all(&self) {
        let mut list = self.0.lock();
        list.closed = true;
        let tasks = std::mem::take(&mut list.tasks);
        drop(list);
        for (_, task) in tasks {
            // Who waits for it may have a waker of its own.
            quietly("a waker", || task.cancel());
        }
    }
}
