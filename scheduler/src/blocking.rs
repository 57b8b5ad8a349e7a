//! The blocking pool: threads for closures that wait in the kernel, or compute, for as long as they like.
//!
//! Its threads are the kernel's to share out: they run no tasks, have no gate, and are not counted as bound.
//!
//! Protocol:
//! 1. A closure goes into the queue under the pool's lock, which counts it as *pending* until it has run. If more are
//!    pending than there are threads, and there may be more threads, one more is wanted, and the maker (`threads.rs`)
//!    is called: a thread made by somebody else might inherit the kernel's idle class.
//!    The queue has lanes by the priority of the task that asks, and the channel only tells threads that there is
//!    something: each sign in it stands for one closure in a lane, and goes in under the lock together with that.
//! 2. A thread takes closures out of the queue until none came for a while. It ends if the others suffice for those
//!    that are pending, which it finds under the lock: no closure is left without a thread.
//! 3. Who finds the queue full waits in a line, first in, first out. Each closure taken out of the queue wakes the
//!    first.
//! 4. `close`, at the end, takes the sending side away. The threads drop what is still in the queue, unrun, and end;
//!    what they leave, the last scheduler drops. A closure that is dropped tells its handle so.
//!
//! Race: *a waiter is dropped after it was woken.* It finds that it is not in the line any more, and passes the wake
//! on.

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Waker};
use std::thread::{self, ThreadId};
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::builder::in_range;
use crate::core::Core;
use crate::gate;
use crate::lock::{Mutex, MutexGuard};
use crate::panics::{drop_quietly, quietly};
use crate::priority::Priority;
use crate::promise::Promise;
use crate::slot::{self, Slot};
use crate::task::{JoinError, JoinHandle, Joined, panicked};

mod lanes;

use lanes::Lanes;

/// Threads of a blocking pool at most, unless set: each waits for a disk or a peer, and more than so many make neither
/// faster. A thread costs a stack, 2 MiB of address space and some 20 KiB of memory.
pub const DEFAULT_BLOCKING_THREADS: usize = 64;

/// The most that can be asked for.
pub const MAX_BLOCKING_THREADS: usize = 4096;

/// Closures in the queue of a blocking pool at most, unless set. A place costs 24 bytes; chosen by feel, so that a
/// burst fits and a queue that only grows is told of soon.
pub const DEFAULT_BLOCKING_QUEUE: usize = 1024;

/// The most that can be asked for.
pub const MAX_BLOCKING_QUEUE: usize = 1 << 20;

/// A thread of the pool that had nothing to do for so long ends, unless set. Chosen by feel: bursts a few seconds apart
/// find their threads again.
pub const DEFAULT_BLOCKING_IDLE: Duration = Duration::from_secs(10);

/// What the builder was told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) threads: usize,
    pub(crate) queue: usize,
    pub(crate) idle: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            threads: DEFAULT_BLOCKING_THREADS,
            queue: DEFAULT_BLOCKING_QUEUE,
            idle: DEFAULT_BLOCKING_IDLE,
        }
    }
}

impl Limits {
    pub(crate) fn check(&self) -> io::Result<()> {
        in_range("blocking threads", self.threads, 1..=MAX_BLOCKING_THREADS)?;
        in_range(
            "places in the blocking queue",
            self.queue,
            1..=MAX_BLOCKING_QUEUE,
        )
    }
}

/// The queue of the blocking pool is full: see [`Scheduler::try_blocking`](crate::Scheduler::try_blocking). The closure
/// was not run.
#[derive(Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the queue of the blocking pool is full with {limit} closures: await `blocking`, which waits for room, or build with \
     `blocking_threads` or `blocking_queue` higher"
)]
#[non_exhaustive]
pub struct QueueFull<F> {
    /// What was to be run.
    pub closure: F,
    /// The limit in force.
    pub limit: usize,
}

impl<F> fmt::Debug for QueueFull<F> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("QueueFull")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

/// Runs a closure that may block on the blocking pool of the scheduler that the calling task runs on:
/// [`Scheduler::blocking`](crate::Scheduler::blocking) for who has no handle.
///
/// The scheduler is looked up when the future is polled first. Off a scheduler's threads its result is
/// [`JoinError::NoScheduler`].
///
/// ```
/// # let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).build()?;
/// let length = scheduler.spawn(async {
///     let read = otp_scheduler::blocking(|| std::fs::read("/proc/self/stat")).await;
///     read.expect("it does not panic").expect("the file is there").len()
/// });
/// assert!(length.wait()? > 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn blocking<F, T>(closure: F) -> Blocking<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    Blocking::new(None, closure)
}

/// The result of a closure that may block, to come: see [`Scheduler::blocking`](crate::Scheduler::blocking).
#[must_use = "the closure runs when this is awaited"]
pub struct Blocking<F, T> {
    core: Option<Arc<Core>>,
    closure: Option<F>,
    /// A place in the line of those who wait for room; or one that was left for it.
    ticket: Option<u64>,
    handle: Option<JoinHandle<T>>,
}

// Nothing in it is pinned: the closure is moved to the pool.
impl<F, T> Unpin for Blocking<F, T> {}

impl<F, T> fmt::Debug for Blocking<F, T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Blocking").finish_non_exhaustive()
    }
}

impl<F, T> Blocking<F, T> {
    pub(crate) fn new(core: Option<Arc<Core>>, closure: F) -> Blocking<F, T> {
        Blocking {
            core,
            closure: Some(closure),
            ticket: None,
            handle: None,
        }
    }
}

impl<F, T> Future for Blocking<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    type Output = Result<T, JoinError>;

    /// # Panics
    ///
    /// If it is polled again after it was ready.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        if this.handle.is_none() {
            if this.core.is_none() {
                this.core = slot::with_core(Arc::clone);
            }
            let Some(core) = &this.core else {
                return Poll::Ready(Err(JoinError::NoScheduler));
            };
            // The program's code, which may panic: not under the lock, and before anything changes.
            let waker = cx.waker().clone();
            let closure = this.closure.take();
            let work = Work::new(closure.expect("a blocking future was polled after it was ready"));
            match core.blocking.wait_in_line(core, work, this.ticket, waker) {
                Ok(handle) => {
                    this.ticket = None;
                    this.handle = Some(handle);
                }
                Err((closure, ticket)) => {
                    this.closure = Some(closure);
                    this.ticket = Some(ticket);
                    return Poll::Pending;
                }
            }
        }
        let handle = this.handle.as_mut().expect("it is there by now");
        Pin::new(handle).poll(cx)
    }
}

impl<F, T> Drop for Blocking<F, T> {
    fn drop(&mut self) {
        if let (Some(core), Some(ticket)) = (&self.core, self.ticket) {
            core.blocking.leave_line(ticket);
        }
    }
}

/// Closures of all kinds, for the queue. Dropped unrun, they tell who waits.
trait Job: Send {
    fn run(self: Box<Self>);
}

struct Work<F, T> {
    closure: Option<F>,
    shared: Arc<Shared<T>>,
}

/// What the handle of a closure sees.
struct Shared<T> {
    promise: Promise<Result<T, JoinError>>,
    aborted: AtomicBool,
}

impl<T: Send> Joined<T> for Shared<T> {
    fn promise(&self) -> &Promise<Result<T, JoinError>> {
        &self.promise
    }

    fn abort(self: Arc<Self>) {
        self.aborted.store(true, Ordering::Relaxed);
    }
}

impl<F, T> Work<F, T>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    fn new(closure: F) -> Box<Work<F, T>> {
        Box::new(Work {
            closure: Some(closure),
            shared: Arc::new(Shared {
                promise: Promise::new(),
                aborted: AtomicBool::new(false),
            }),
        })
    }

    fn handle(&self) -> JoinHandle<T> {
        JoinHandle::of_closure(self.shared.clone())
    }
}

impl<F, T> Job for Work<F, T>
where
    F: FnOnce() -> T + Send,
    T: Send,
{
    fn run(mut self: Box<Self>) {
        if self.shared.aborted.load(Ordering::Relaxed) {
            return;
        }
        if let Some(closure) = self.closure.take() {
            let result = catch_unwind(AssertUnwindSafe(closure));
            self.shared.promise.keep(result.map_err(panicked));
        }
    }
}

impl<F, T> Drop for Work<F, T> {
    fn drop(&mut self) {
        if let Some(closure) = self.closure.take() {
            drop_quietly(closure);
            self.shared.promise.keep(Err(JoinError::Cancelled));
        }
    }
}

pub(crate) struct Pool {
    limits: Limits,
    signs: Receiver<()>,
    state: Mutex<State>,
}

struct State {
    /// None at the end.
    sender: Option<Sender<()>>,
    lanes: Lanes,
    /// Closures in the queue, and those that run.
    pending: usize,
    /// Threads that are wanted, and not made yet.
    wanted: usize,
    /// Threads that are there: their numbers.
    threads: Vec<(usize, Option<ThreadId>)>,
    /// Threads made so far, for their names.
    made: usize,
    /// Who waits for room, by ticket.
    line: VecDeque<(u64, Waker)>,
    tickets: u64,
}

/// Of the task that asks.
fn priority_here() -> Priority {
    slot::current()
        .filter(|slot| slot.in_slice())
        .map_or(Priority::Normal, Slot::task_priority)
}

impl fmt::Debug for Pool {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Pool")
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Work that found no room, and the lock under which it found none.
type Refused<'a, F, T> = (MutexGuard<'a, State>, Box<Work<F, T>>);

/// What the pool counts about itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolFigures {
    pub(crate) threads: usize,
    pub(crate) busy: usize,
    pub(crate) queued: usize,
}

impl Pool {
    pub(crate) fn new(limits: Limits) -> Pool {
        let (sender, signs) = bounded(limits.queue);
        Pool {
            limits,
            signs,
            state: Mutex::new(State {
                sender: Some(sender),
                lanes: Lanes::default(),
                pending: 0,
                wanted: 0,
                threads: Vec::new(),
                made: 0,
                line: VecDeque::new(),
                tickets: 0,
            }),
        }
    }

    /// Puts a closure into the queue, if there is room.
    pub(crate) fn try_submit<F, T>(
        &self,
        core: &Core,
        closure: F,
    ) -> Result<JoinHandle<T>, QueueFull<F>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        self.submit(core, Work::new(closure), |_| true)
            .map_err(|(state, mut work)| {
                drop(state);
                QueueFull {
                    closure: take_closure(&mut work),
                    limit: self.limits.queue,
                }
            })
    }

    /// The same for one who waits for room in a line, and may have a ticket from before.
    fn wait_in_line<F, T>(
        &self,
        core: &Core,
        work: Box<Work<F, T>>,
        ticket: Option<u64>,
        waker: Waker,
    ) -> Result<JoinHandle<T>, (F, u64)>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        // Whoever was woken has left the line, and goes first.
        let is_first = |state: &State| match ticket {
            Some(ticket) => state.place_of(ticket).is_none(),
            None => state.line.is_empty(),
        };
        let (mut state, mut work) = match self.submit(core, work, is_first) {
            Ok(handle) => return Ok(handle),
            Err(refused) => refused,
        };
        let (ticket, before) = match ticket {
            Some(ticket) => match state.place_of(ticket) {
                Some(place) => (
                    ticket,
                    Some(std::mem::replace(&mut state.line[place].1, waker)),
                ),
                None => {
                    state.line.push_front((ticket, waker));
                    (ticket, None)
                }
            },
            None => {
                state.tickets += 1;
                let ticket = state.tickets;
                state.line.push_back((ticket, waker));
                (ticket, None)
            }
        };
        drop(state);
        drop(before);
        Err((take_closure(&mut work), ticket))
    }

    /// Puts work into the queue if there is room, and `is_turn` says so. Else it comes back, under the lock.
    fn submit<F, T>(
        &self,
        core: &Core,
        work: Box<Work<F, T>>,
        is_turn: impl FnOnce(&State) -> bool,
    ) -> Result<JoinHandle<T>, Refused<'_, F, T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        let handle = work.handle();
        if core.simulated.is_some() {
            // It has one thread, and no world outside of it.
            work.run();
            return Ok(handle);
        }
        let mut state = self.state.lock();
        match state.sender.as_ref().map(Sender::is_full) {
            None => {
                drop(state);
                // It says that it was cancelled.
                drop(work);
            }
            Some(is_full) if is_full || !is_turn(&state) => return Err((state, work)),
            Some(_) => {
                let calls = self.put(&mut state, work);
                drop(state);
                if calls {
                    core.threads.wake_maker();
                }
            }
        }
        Ok(handle)
    }

    fn leave_line(&self, ticket: u64) {
        let mut state = self.state.lock();
        let place = state.place_of(ticket);
        let unused = match place {
            Some(place) => state.line.remove(place).map(|(_, waker)| (waker, false)),
            None => state.next_in_line().map(|waker| (waker, true)),
        };
        drop(state);
        match unused {
            Some((waker, true)) => wake_quietly(waker),
            Some((waker, false)) => drop(waker),
            None => {}
        }
    }

    /// Under the lock, with room in the queue. True: the maker is to be called.
    fn put(&self, state: &mut State, job: Box<dyn Job>) -> bool {
        let sender = state.sender.as_ref().expect("looked at under this lock");
        if let Err(error) = sender.try_send(()) {
            unreachable!("there was room under the lock: {error}");
        }
        state.lanes.push(priority_here(), job);
        state.pending += 1;
        let threads = state.threads.len() + state.wanted;
        let wants = state.pending > threads && threads < self.limits.threads;
        state.wanted += usize::from(wants);
        wants
    }

    /// By the maker: makes the threads that are wanted. What could not be made stays wanted.
    pub(crate) fn make_wanted(&self, core: &Arc<Core>) -> io::Result<()> {
        loop {
            let mut state = self.state.lock();
            if state.wanted == 0 || state.sender.is_none() {
                return Ok(());
            }
            state.wanted -= 1;
            let number = state.made;
            state.made += 1;
            state.threads.push((number, None));
            drop(state);
            let lives = Arc::clone(core);
            let made = thread::Builder::new()
                .name(format!("otp-{}-blocking-{number}", core.name()))
                .spawn(move || live(&lives, number));
            match made {
                Ok(handle) => core.threads.keep(handle),
                Err(error) => {
                    let mut state = self.state.lock();
                    state.threads.retain(|&(one, _)| one != number);
                    state.wanted += 1;
                    drop(state);
                    // Who waits in `join` may have seen it.
                    core.thread_ended();
                    return Err(error);
                }
            }
        }
    }

    fn enter(&self, number: usize) {
        let own = thread::current().id();
        let mut state = self.state.lock();
        for thread in &mut state.threads {
            if thread.0 == number {
                thread.1 = Some(own);
            }
        }
    }

    /// By a thread that had nothing to do for a while. True: it ends, and is counted as gone.
    fn retire(&self, number: usize) -> bool {
        let mut state = self.state.lock();
        let ends = state.pending < state.threads.len();
        if ends {
            state.threads.retain(|&(one, _)| one != number);
        }
        ends
    }

    /// The end: nothing comes into the queue any more, nobody waits for room.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        let sender = state.sender.take();
        let line = std::mem::take(&mut state.line);
        drop(state);
        drop(sender);
        line.into_iter().for_each(|(_, waker)| wake_quietly(waker));
    }

    /// After `close`: drops what no thread came for.
    pub(crate) fn clear(&self) {
        let left = std::mem::take(&mut self.state.lock().lanes);
        left.into_rest().for_each(drop_quietly);
    }

    /// Numbers of the threads that are there, the calling one apart.
    pub(crate) fn threads(&self) -> Vec<usize> {
        let own = Some(thread::current().id());
        let state = self.state.lock();
        let others = state.threads.iter().filter(|&&(_, id)| id != own);
        others.map(|&(number, _)| number).collect()
    }

    pub(crate) fn figures(&self) -> PoolFigures {
        let state = self.state.lock();
        let queued = self.signs.len();
        PoolFigures {
            threads: state.threads.len(),
            busy: state.pending.saturating_sub(queued),
            queued,
        }
    }
}

impl State {
    fn place_of(&self, ticket: u64) -> Option<usize> {
        self.line.iter().position(|&(one, _)| one == ticket)
    }

    fn next_in_line(&mut self) -> Option<Waker> {
        self.line.pop_front().map(|(_, waker)| waker)
    }
}

fn take_closure<F, T>(work: &mut Work<F, T>) -> F {
    work.closure.take().expect("it was not run")
}

fn wake_quietly(waker: Waker) {
    quietly("a waker", || waker.wake());
}

/// A thread's whole life.
fn live(core: &Arc<Core>, number: usize) {
    // The maker has a scheduler's.
    gate::set_kernel_slice(0, 0);
    let _tokio = core.enter_tokio();
    let pool = &core.blocking;
    pool.enter(number);
    loop {
        match pool.signs.recv_timeout(pool.limits.idle) {
            Ok(()) => {
                let mut state = pool.state.lock();
                let (job, next) = (state.lanes.pop(), state.next_in_line());
                drop(state);
                if let Some(next) = next {
                    wake_quietly(next);
                }
                let Some(job) = job else {
                    // At the end: it was dropped by who cleared the lanes.
                    continue;
                };
                // At the end it is dropped unrun. What its result does when nobody wants it, is the program's code,
                // too.
                let runs = !core.is_stopping();
                quietly("a destructor or waker on a blocking thread", || {
                    if runs { job.run() } else { drop(job) }
                });
                pool.state.lock().pending -= 1;
            }
            Err(RecvTimeoutError::Timeout) => {
                if pool.retire(number) {
                    // Who waits in `join` may have counted on it.
                    break;
                }
            }
            Err(RecvTimeoutError::Disconnected) => break,
        }
    }
    pool.state.lock().threads.retain(|&(one, _)| one != number);
    core.thread_ended();
}
