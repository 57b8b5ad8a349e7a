//! The handle of a scheduler, and its builder.
//!
//! Life cycle:
//! 1. `build` makes the core, then the worker threads; each holds the core.
//! 2. Handles are counted apart from the core. `stop`, or the drop of the last handle, tells the workers to end after
//!    the slice they are in; nothing waits for them.
//! 3. The last worker to end cancels the plain tasks and drops timers and wakers, so that no circle keeps the core.
//! 4. `join` waits for that, up to a limit.

use std::fmt;
use std::future::Future;
use std::io;
use std::ptr::NonNull;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_deque::Worker;
use mio::Interest;
use mio::event::Source;

use crate::core::Core;
use crate::figures::Figures;
use crate::header::{Header, Task};
use crate::registration::Registration;
use crate::slice;
use crate::task::{self, JoinHandle};
use crate::timers::{Fire, TimerKey};
use crate::worker::Local;

/// Worker threads of one scheduler at most: OTP's own limit of schedulers.
pub const MAX_SCHEDULERS: usize = 1024;

/// The name of a scheduler whose builder was given none.
const DEFAULT_NAME: &str = "vm";

/// A set of worker threads that run tasks. Cloning gives another handle of the same one; when the last handle is
/// dropped, the workers end.
pub struct Scheduler {
    core: Arc<Core>,
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Scheduler")
            .field("schedulers", &self.schedulers())
            .finish_non_exhaustive()
    }
}

impl Clone for Scheduler {
    fn clone(&self) -> Scheduler {
        self.core.add_handle();
        Scheduler {
            core: Arc::clone(&self.core),
        }
    }
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        self.core.drop_handle();
    }
}

impl Scheduler {
    /// A builder with the defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// Number of worker threads.
    pub fn schedulers(&self) -> usize {
        self.core.remotes.len()
    }

    /// Makes sure that the task runs once more after this call began. May be called from any thread, any number of
    /// times; wakes of a task that is in a queue already cost one atomic addition.
    ///
    /// From inside a slice the task goes into the worker's run-next slot. A task that is done is left alone.
    ///
    /// # Safety
    ///
    /// `task` points to the header, made for this scheduler, at the beginning of a task (with the provenance of the
    /// whole task, which is what `run` gets). The memory holds a header at least until the task's `run` has answered
    /// [`Step::Done`](crate::Step::Done). A caller that may come later than that knows otherwise that it still does,
    /// for instance since it lies in a type-stable slab; if another task uses it now, that one runs once more.
    #[inline]
    pub unsafe fn wake(&self, task: NonNull<Header>) {
        // SAFETY: the caller promises a header.
        if unsafe { task.as_ref() }.state.wake() {
            self.core.schedule(Task(task));
        }
    }

    /// Pushes a task that is new, or whose header is in use again, without regard to wakes before: a [`Header::reset`]
    /// and a wake in one.
    ///
    /// # Safety
    ///
    /// As for [`Scheduler::wake`]; and the task is neither in a queue nor running, and wholly written.
    #[inline]
    pub unsafe fn start(&self, task: NonNull<Header>) {
        // SAFETY: the caller promises a header.
        unsafe { task.as_ref() }.state.start();
        self.core.schedule(Task(task));
    }

    /// Nanoseconds since the scheduler was built, monotonic. Costs some 23 ns.
    pub fn now(&self) -> u64 {
        self.core.clock.now()
    }

    /// The worker's last reading of the clock, which may be as old as its last look at timers (64 slices or 4000
    /// reductions, or the slice that is running); elsewhere the same as [`Scheduler::now`]. Costs a nanosecond.
    pub fn coarse_now(&self) -> u64 {
        slice::with_current(|local| local.belongs_to(&self.core).then(|| local.coarse_now()))
            .flatten()
            .unwrap_or_else(|| self.now())
    }

    /// Starts a timer that fires at `at` (nanoseconds on [`Scheduler::now`]'s clock) or soon after, never before. One
    /// for a time gone by fires at once. After the scheduler has ended it is dropped. Mirrors `erlang:start_timer/4`.
    ///
    /// # Panics
    ///
    /// With four thousand million timers in one worker's wheel.
    pub fn start_timer(&self, at: u64, fire: Box<dyn Fire>) -> TimerKey {
        self.core.start_timer(at, fire)
    }

    /// Takes a timer out before it fires: its deadline and what it would have fired. `None` if it has fired (or is
    /// about to: it was taken out for it) or was cancelled. Mirrors `erlang:cancel_timer/1`.
    pub fn cancel_timer(&self, key: TimerKey) -> Option<(u64, Box<dyn Fire>)> {
        self.core.timers(key)?.cancel(key.entry)
    }

    /// The deadline of a timer that has neither fired nor was cancelled. Mirrors `erlang:read_timer/1`.
    pub fn read_timer(&self, key: TimerKey) -> Option<u64> {
        self.core.timers(key)?.deadline(key.entry)
    }

    /// Registers a source with the poller, edge triggered.
    ///
    /// # Errors
    ///
    /// What the system says: too many descriptors watched, or one that cannot be.
    pub fn register<S: Source + ?Sized>(
        &self,
        source: &mut S,
        interest: Interest,
    ) -> io::Result<Registration> {
        Registration::new(&self.core, source, interest)
    }

    /// Starts a plain task. If the scheduler has ended, its result is [`JoinError::Cancelled`](crate::JoinError).
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        task::spawn(&self.core, future)
    }

    /// Tells the workers to end, each after the slice that it runs. Tasks in the queues run no more: they are their
    /// owners' to drop. Does not wait.
    pub fn stop(&self) {
        self.core.stop();
    }

    /// Waits until the workers have ended, at most for `limit`. On a worker's own thread it waits for the others.
    ///
    /// # Errors
    ///
    /// The names of the threads that still run (one is stuck in a slice, or [`Scheduler::stop`] was not called).
    pub fn join(&self, limit: Duration) -> Result<(), Vec<String>> {
        self.core.join(limit)
    }

    /// What the scheduler counts about itself.
    pub fn figures(&self) -> Figures {
        self.core.figures()
    }
}

/// Makes a [`Scheduler`].
#[derive(Clone, Debug)]
pub struct Builder {
    schedulers: Option<usize>,
    name: String,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            schedulers: None,
            name: DEFAULT_NAME.to_owned(),
        }
    }
}

impl Builder {
    /// Number of worker threads, 1 to [`MAX_SCHEDULERS`]. Default: the cores that the process may use, with the
    /// container's limits respected.
    pub fn schedulers(mut self, n: usize) -> Builder {
        self.schedulers = Some(n);
        self
    }

    /// Threads are named `otp-<name>-<n>`.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = name.into();
        self
    }

    /// Starts the worker threads.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a number of schedulers out of range or a name with a nul byte; otherwise what the system
    /// says to a new thread or descriptor.
    pub fn build(self) -> io::Result<Scheduler> {
        let count = match self.schedulers {
            Some(count) => count,
            None => thread::available_parallelism()?.get().min(MAX_SCHEDULERS),
        };
        if !(1..=MAX_SCHEDULERS).contains(&count) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{count} schedulers asked for; give a number from 1 to {MAX_SCHEDULERS}"),
            ));
        }
        if self.name.contains('\0') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "the scheduler's name has a nul byte; thread names cannot have one",
            ));
        }
        let names: Vec<String> = (0..count)
            .map(|index| format!("otp-{}-{index}", self.name))
            .collect();
        let queues: Vec<Worker<Task>> = (0..count).map(|_| Worker::new_fifo()).collect();
        let stealers = queues.iter().map(Worker::stealer).collect();
        let core = Arc::new(Core::new(stealers, names.clone())?);
        let scheduler = Scheduler {
            core: Arc::clone(&core),
        };
        let mut handles = Vec::with_capacity(count);
        for (index, (queue, name)) in queues.into_iter().zip(names).enumerate() {
            let core = Arc::clone(&core);
            let thread = thread::Builder::new().name(name);
            match thread.spawn(move || work(&core, index, queue)) {
                Ok(handle) => handles.push(handle),
                Err(error) => {
                    // Dropping the handle ends the workers already there.
                    scheduler.core.threads_missing(index..count);
                    return Err(error);
                }
            }
        }
        let monitor = {
            let core = Arc::clone(&core);
            thread::Builder::new()
                .name(format!("otp-{}-m", self.name))
                .spawn(move || core.monitor.run(&core))
        };
        handles.push(monitor?);
        scheduler.core.threads_started(handles);
        Ok(scheduler)
    }
}

fn work(core: &Arc<Core>, index: usize, queue: Worker<Task>) {
    // The kernel's default of 50 us would come on top of every sleep (p50 of a 1 ms ticker: 65 us against 15).
    // SAFETY: a call without pointers, about the calling thread only.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1 as libc::c_ulong) };
    Local::new(Arc::clone(core), index, queue).run();
    core.thread_ended(index);
}
