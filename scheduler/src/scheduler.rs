//! The handle of a scheduler.
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
use std::ops::ControlFlow;
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::Duration;

use mio::Interest;
use mio::event::Source;

use crate::blocking::{Blocking, QueueFull};
use crate::builder::{Builder, Settings};
use crate::core::Core;
use crate::figures::Figures;
use crate::fire::{AnyFire, Fire};
use crate::header::{Header, Task};
use crate::long::NO_THRESHOLD;
use crate::monitor::SLICE_NS;
use crate::native::{self, NativeError, NativePlace};
use crate::online::OnlineError;
use crate::periodic::{Beat, PeriodicTimer, ZeroPeriod};
use crate::pins::Pins;
use crate::priority::Priority;
use crate::random;
use crate::registration::Registration;
use crate::run_queue::RunQueue;
use crate::sleep::{Interval, Sleep};
use crate::slice;
use crate::slot;
use crate::task::{self, JoinHandle};
use crate::timers::TimerKey;

/// A set of worker threads that run tasks. Cloning gives another handle of the same one; when the last handle is
/// dropped, the workers end.
pub struct Scheduler {
    core: Arc<Core>,
}

impl fmt::Debug for Scheduler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Scheduler")
            .field("name", &self.core.name())
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
    pub(crate) fn of_core(core: Arc<Core>) -> Scheduler {
        Scheduler { core }
    }

    /// The one of a simulation: nobody runs it yet.
    pub(crate) fn simulated(name: String, seed: u64) -> io::Result<Scheduler> {
        let stealers = vec![RunQueue::new().stealers()];
        let settings = Settings::of_simulation(name);
        let core = Core::new(stealers, settings, Pins::default(), Some(seed))?;
        Ok(Scheduler::of_core(Arc::new(core)))
    }

    /// A builder with the defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Another handle of the scheduler that the calling task runs on. As any handle, it keeps the scheduler up.
    ///
    /// # Panics
    ///
    /// Off the threads of a scheduler, those of the blocking pool included: there, hand a clone of the scheduler over,
    /// or see [`Scheduler::try_current`].
    ///
    /// ```
    /// use otp_scheduler::Scheduler;
    ///
    /// let scheduler = Scheduler::builder().schedulers(1).name("app").build()?;
    /// let name = scheduler.spawn(async { Scheduler::current().name().to_owned() });
    /// assert_eq!(name.wait()?, "app");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[track_caller]
    pub fn current() -> Scheduler {
        Scheduler::try_current().expect(
            "this thread runs no tasks, so it has no current scheduler: call it inside a task, or have a clone of the \
             `Scheduler` here",
        )
    }

    /// As [`Scheduler::current`], but `None` off the threads of a scheduler.
    ///
    /// ```
    /// assert!(otp_scheduler::Scheduler::try_current().is_none());
    /// ```
    pub fn try_current() -> Option<Scheduler> {
        let core = slot::with_core(Arc::clone)?;
        core.add_handle();
        Some(Scheduler { core })
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// The name that it was built with.
    ///
    /// ```
    /// let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).name("io").build()?;
    /// assert_eq!(scheduler.name(), "io");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn name(&self) -> &str {
        self.core.name()
    }

    /// Number of worker threads.
    pub fn schedulers(&self) -> usize {
        self.core.remotes.len()
    }

    /// Number of them that run tasks: those with the lowest numbers. Mirrors
    /// `erlang:system_info(schedulers_online)`.
    pub fn schedulers_online(&self) -> usize {
        self.core.online.asked()
    }

    /// Number of them that are not asleep for being offline or blocked: by and by those online, or the first alone
    /// while they are blocked ([`Scheduler::block_schedulers`]).
    pub fn schedulers_active(&self) -> usize {
        self.schedulers() - self.core.idle.offline()
    }

    /// Leaves only the first of the worker threads to run tasks, as if it were the only one online, or takes that back.
    /// The number online can be set meanwhile, and counts afterwards. Nothing waits for the others, as with
    /// [`Scheduler::set_schedulers_online`]: [`Scheduler::schedulers_active`] tells. Mirrors
    /// `erlang:system_flag(multi_scheduling, block_normal)` without its count of who blocks.
    ///
    /// ```
    /// let scheduler = otp_scheduler::Scheduler::builder().schedulers(4).build()?;
    /// scheduler.block_schedulers(true);
    /// while scheduler.schedulers_active() > 1 {}
    /// assert_eq!(scheduler.schedulers_online(), 4);
    /// scheduler.block_schedulers(false);
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn block_schedulers(&self, blocked: bool) {
        self.core.online.block(&self.core, blocked);
    }

    /// Has `n` of the worker threads run tasks, 1 to all, from now on, and gives the number before. Mirrors
    /// `erlang:system_flag(schedulers_online, N)`. From any thread, also in a task.
    ///
    /// One that shall be offline ends its slice, gives what is in its queue to the others, and sleeps; its timers fire
    /// as before. Nothing waits for that: [`Figures::offline`] tells how many sleep by now. A simulation has one
    /// scheduler, which is always online.
    ///
    /// # Errors
    ///
    /// [`OnlineError`] for 0, and for more than [`Scheduler::schedulers`].
    ///
    /// ```
    /// let scheduler = otp_scheduler::Scheduler::builder().schedulers(4).build()?;
    /// assert_eq!(scheduler.set_schedulers_online(2)?, 4);
    /// assert_eq!(scheduler.schedulers_online(), 2);
    /// assert!(scheduler.set_schedulers_online(5).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_schedulers_online(&self, n: usize) -> Result<usize, OnlineError> {
        self.core.online.set(&self.core, n)
    }

    /// Makes sure that the task runs once more after this call began. May be called from any thread, any number of
    /// times; wakes of a task that is in a queue already cost one atomic addition.
    ///
    /// From inside a slice the task goes into the worker's run-next slot. A task that is done is left alone.
    ///
    /// True if the task was idle, and went into a queue: no thread ran it at that moment, nor is one bound to it. Of a
    /// native task it is always false.
    ///
    /// # Safety
    ///
    /// `task` points to the header, made for this scheduler, at the beginning of a task (with the provenance of the
    /// whole task, which is what `run` gets). The memory holds a header at least until the task's `run` has answered
    /// [`Step::Done`](crate::Step::Done). A caller that may come later than that knows otherwise that it still does,
    /// for instance since it lies in a type-stable slab; if another task uses it now, that one runs once more.
    #[inline]
    pub unsafe fn wake(&self, task: NonNull<Header>) -> bool {
        // SAFETY: the caller promises a header.
        let header = unsafe { task.as_ref() };
        self.core.schedule_if(Task(task), || header.state.wake())
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
        let header = unsafe { task.as_ref() };
        self.core.schedule_if(Task(task), || {
            header.state.start();
            true
        });
    }

    /// The kernel's id of the thread that is bound to the task, if its slice lasted for so long that one is. Follows
    /// nothing: the pointer may be stale.
    ///
    /// Of a note that was left for a task before this call, and the task's own look for such notes when it begins its
    /// slice, or the call of [`VTable::bound`](crate::VTable::bound), at least one side sees the other: either this
    /// gives the thread, or they find the note. (Those who look after `bound` was called use a `SeqCst` fence before.)
    pub fn bound_thread(&self, task: NonNull<Header>) -> Option<i32> {
        self.core.bound.thread_of(task)
    }

    /// Lets the thread go that is bound to the task, since nobody waits for the task any more: until it gives way it
    /// gets a turn where nothing else is to be run, and one in [`CONDEMNED_INTERVAL_MS`](crate::CONDEMNED_INTERVAL_MS),
    /// shared with others of its kind, beside that; and, unless the policy is
    /// [`Policy::Normal`](crate::Policy::Normal), the kernel's idle class. It does nothing if no thread is bound to the
    /// task. Follows nothing: the pointer may be stale.
    pub fn condemn(&self, task: NonNull<Header>) {
        self.core.bound.condemn(task);
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

    /// Sets from what duration on the handler of [`Builder::long_schedule`] is told of slices, a millisecond at least;
    /// `None`: of none. Without such a handler it does nothing.
    ///
    /// [`Builder::long_schedule`]: crate::Builder::long_schedule
    pub fn set_long_schedule(&self, threshold: Option<Duration>) {
        let threshold_ns = threshold.map_or(NO_THRESHOLD, |threshold| {
            let nanoseconds = u64::try_from(threshold.as_nanos()).unwrap_or(NO_THRESHOLD);
            nanoseconds.max(SLICE_NS)
        });
        self.core.long.set_threshold(&self.core, threshold_ns);
    }

    /// Starts a timer that fires at `at` (nanoseconds on [`Scheduler::now`]'s clock) or soon after, never before. One
    /// for a time gone by fires at once. After the scheduler has ended it is dropped. Mirrors `erlang:start_timer/4`.
    ///
    /// ```
    /// let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).build()?;
    /// let (out, fired) = std::sync::mpsc::channel();
    /// let at = scheduler.now() + 2_000_000;
    /// let timer = scheduler.start_timer(at, move |now| out.send(now).unwrap());
    /// assert!(fired.recv()? >= at);
    /// assert_eq!(scheduler.cancel_timer(timer), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Panics
    ///
    /// With four thousand million timers in one worker's wheel.
    pub fn start_timer<F: Fire>(&self, at: u64, fire: F) -> TimerKey {
        // After the end it is dropped here, and the key finds nothing.
        self.core
            .start_timer(at, AnyFire::new(fire))
            .unwrap_or(TimerKey::NOTHING)
    }

    /// Takes a timer out before it fires, from any thread, and drops what it would have fired: gives its deadline, so
    /// the time left is that less [`Scheduler::now`]. `None` if it has fired (or is about to: it was taken out for it)
    /// or was cancelled. Mirrors `erlang:cancel_timer/1`.
    pub fn cancel_timer(&self, key: TimerKey) -> Option<u64> {
        self.core.cancel_timer(key)
    }

    /// The deadline of a timer that has neither fired nor was cancelled. Mirrors `erlang:read_timer/1`.
    pub fn read_timer(&self, key: TimerKey) -> Option<u64> {
        self.core.timers(key)?.deadline(key.entry)
    }

    /// A random number: in a simulation from its seed, elsewhere as [`random`](crate::random).
    pub fn random(&self) -> u64 {
        match &self.core.simulated {
            None => random::random(),
            Some(simulated) => simulated.random(),
        }
    }

    /// True for the scheduler of a [`Simulation`](crate::simulation::Simulation).
    pub fn is_simulated(&self) -> bool {
        self.core.simulated.is_some()
    }

    /// Starts a timer that fires at `first_at` (on [`Scheduler::now`]'s clock) and each `period` nanoseconds from
    /// there, until it is cancelled, or answers `Break`. Mirrors `timer:send_interval/2`.
    ///
    /// It does not drift: beats are due at multiples of the period, and none fires before its time. If the scheduler is
    /// late by whole periods, they are fired as one, with the number of those missed: who wants them all makes up for
    /// them (as `timer:send_interval` does), who wants the next one only needs nothing.
    ///
    /// `fire` runs as a timer does ([`Fire`]): on a scheduler thread, between slices, never twice at a time, and should
    /// do little. If it panics, the panic is logged and counted, and the timer is over. A firing allocates nothing.
    ///
    /// # Errors
    ///
    /// [`ZeroPeriod`].
    ///
    /// # Panics
    ///
    /// As [`Scheduler::start_timer`].
    ///
    /// ```
    /// use std::ops::ControlFlow;
    ///
    /// let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).build()?;
    /// let (out, beats) = std::sync::mpsc::channel();
    /// let start = scheduler.now();
    /// let timer = scheduler.start_periodic(start, 1_000_000, move |beat| match out.send(beat) {
    ///     Ok(()) => ControlFlow::Continue(()),
    ///     Err(_) => ControlFlow::Break(()),
    /// })?;
    /// for beat in beats.iter().take(3) {
    ///     assert_eq!((beat.at - start) % 1_000_000, 0);
    /// }
    /// let next = timer.cancel().expect("it goes on");
    /// assert_eq!((next - start) % 1_000_000, 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn start_periodic<F>(
        &self,
        first_at: u64,
        period: u64,
        fire: F,
    ) -> Result<PeriodicTimer, ZeroPeriod>
    where
        F: FnMut(Beat) -> ControlFlow<()> + Send + 'static,
    {
        PeriodicTimer::start(&self.core, first_at, period, fire)
    }

    /// Waits until `at` (on [`Scheduler::now`]'s clock), not less: for any task, also one of another scheduler.
    /// Inside a task, [`sleep`](crate::sleep) needs no handle.
    pub fn sleep_until(&self, at: u64) -> Sleep {
        Sleep::until(&self.core, at)
    }

    /// Beats at `first_at` (on [`Scheduler::now`]'s clock) and each `period` nanoseconds from there, for a task to wait
    /// for. Inside a task, [`interval`](crate::interval) needs no handle.
    ///
    /// # Errors
    ///
    /// [`ZeroPeriod`].
    pub fn interval_at(&self, first_at: u64, period: u64) -> Result<Interval, ZeroPeriod> {
        Interval::new(&self.core, first_at, period)
    }

    /// Registers a source with the poller, edge triggered.
    ///
    /// # Errors
    ///
    /// `Unsupported` in a simulation. What the system says: too many descriptors watched, or one that cannot be.
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
        self.spawn_at(Priority::Normal, future)
    }

    /// Starts a plain task of a priority. As [`Scheduler::spawn`] otherwise.
    ///
    /// ```
    /// use otp_scheduler::{Priority, Scheduler};
    ///
    /// let scheduler = Scheduler::builder().schedulers(1).build()?;
    /// let answer = scheduler.spawn_at(Priority::High, async { 42 });
    /// assert_eq!(answer.wait()?, 42);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn spawn_at<F>(&self, priority: Priority, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        task::spawn_on(&self.core, priority, future)
    }

    /// Runs a closure on a thread of its own, as a *native task*: plain code that blocks as it likes, and shares the
    /// schedulers' cores by turns with all tasks, as one does that never gives way. Within it
    /// [`block_on`](crate::block_on) waits for futures.
    ///
    /// It costs a thread from its start to its end. For many short ones there is [`Scheduler::blocking`].
    ///
    /// When the scheduler is stopped, one that waits in `block_on` unwinds, and its result is
    /// [`JoinError::Cancelled`](crate::JoinError::Cancelled); one that runs, or sleeps in the kernel, is waited for by
    /// [`Scheduler::join`], which names its thread if it is late.
    ///
    /// # Errors
    ///
    /// There are as many as may be ([`Builder::max_native`], and [`MAX_GATES`](crate::MAX_GATES) in the whole program),
    /// or the scheduler was stopped.
    pub fn spawn_native<F, T>(&self, body: F) -> Result<JoinHandle<T>, NativeError>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        native::spawn(&self.core, body)
    }

    /// A place for a native task whose header and `run` are the caller's: see [`NativePlace::start`].
    ///
    /// # Errors
    ///
    /// As for [`Scheduler::spawn_native`].
    pub fn native_place(&self) -> Result<NativePlace, NativeError> {
        NativePlace::take(&self.core)
    }

    /// Runs a closure that may block (files, a database's client, a long computation) on a thread of the blocking pool,
    /// and gives its result. Awaiting it costs no thread; if the pool's queue is full, it waits for room.
    ///
    /// Nothing happens before the first poll. Dropped before the closure is in the queue, the future drops it; later
    /// the closure runs all the same, and its result is dropped. Threads of the pool may block as they like,
    /// [`JoinHandle::wait`] included; they run beside the schedulers, as the kernel sees fit, and
    /// [`checkpoint`](crate::checkpoint) does nothing there.
    ///
    /// The result is an error if the closure panicked, or if the scheduler was stopped before it began. One that runs
    /// by then goes on; [`Scheduler::join`] waits for it.
    ///
    /// ```
    /// # use otp_scheduler::Scheduler;
    /// let scheduler = Scheduler::builder().schedulers(1).build()?;
    /// let handle = scheduler.clone();
    /// let names = scheduler.spawn(async move {
    ///     let listed = handle.blocking(|| std::fs::read_dir("/").map(Iterator::count));
    ///     listed.await.expect("it does not panic")
    /// });
    /// assert!(names.wait()?? > 0);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn blocking<F, T>(&self, closure: F) -> Blocking<F, T>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Blocking::new(Some(Arc::clone(&self.core)), closure)
    }

    /// As [`Scheduler::blocking`], but the closure is in the queue at once; with a full queue it is given back. For
    /// threads outside as well: [`JoinHandle::wait`]. Dropping the handle lets the closure run.
    ///
    /// # Errors
    ///
    /// [`QueueFull`], with the closure and the limit
    /// ([`Builder::blocking_queue`]).
    ///
    /// ```
    /// # use otp_scheduler::Scheduler;
    /// let scheduler = Scheduler::builder().schedulers(1).build()?;
    /// let sum = scheduler.try_blocking(|| (1..=10).sum::<u32>())?;
    /// assert_eq!(sum.wait()?, 55);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn try_blocking<F, T>(&self, closure: F) -> Result<JoinHandle<T>, QueueFull<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.core.blocking.try_submit(&self.core, closure)
    }

    /// Tells the workers to end, each after the slice that it runs. Tasks in the queues run no more: they are their
    /// owners' to drop. Closures in the blocking pool's queue are dropped. Does not wait.
    pub fn stop(&self) {
        self.core.stop();
    }

    /// Waits until the workers have ended, at most for `limit`, and all other threads of the scheduler. On one of them
    /// it waits for the others.
    ///
    /// # Errors
    ///
    /// The names of the threads that still run (one is stuck in a slice, or [`Scheduler::stop`] was not called). At
    /// once for a simulation: it ends when it is dropped.
    pub fn join(&self, limit: Duration) -> Result<(), Vec<String>> {
        self.core.join(limit)
    }

    /// What the scheduler counts about itself.
    pub fn figures(&self) -> Figures {
        self.core.figures()
    }

    /// [`Figures::longest_slice`] is the longest from here on; one that goes on is found again.
    pub fn forget_longest_slice(&self) {
        self.core.long.forget_longest();
    }
}
