//! Native tasks: code that blocks as it likes, on a thread of its own from the start, which takes turns as bound
//! threads do.
//!
//! Life of a native task:
//! 1. It takes a *place*, of which there are so many, and with it counts as a thread that has not ended. Its header
//!    is marked with the place: such a task never stands in a queue.
//! 2. The maker (`threads.rs`) makes a thread for it. It is bound from the first moment (`bound.rs`), and waits for its
//!    turn: many that start at once would keep the schedulers from the cores.
//! 3. In [`block_on`] it waits: its state is at rest (`state.rs`), and its thread is not bound, so it costs its
//!    schedulers nothing. The next wake of the task finds the state idle, and instead of pushing it wakes the thread,
//!    which is bound again. It goes on at once if it used little lately, or a scheduler has nothing to do, as one that
//!    comes out of a sleep in the kernel: its gate is open until the monitor sees it burn. Else it waits for its turn.
//! 4. When the scheduler is stopped, those that wait are woken, and unwind with [`Stopped`]. Others go on until they
//!    wait or end; `join` names their threads. Those that have no thread yet are given up, unrun.
//!
//! Races considered:
//! - *A wake against the wait.* `rest` and `wake` have an order, as for all tasks. If the wake comes first, the task is
//!   at rest for no moment. If not, its waker pushes: it writes PUSHED into the place's word, on which the thread
//!   sleeps.
//! - *A push that comes late.* The thread goes on after that one push and no sooner, so none is ever left over: for the
//!   next wait, or for who has the place, or the task's memory, later.
//! - *Stop against the wait.* `close` writes STOPPED into the word. A thread that finds it leaves the state idle by a
//!   compare-and-swap, and if that fails, a push is on its way.
//! - *Stop against start.* Under one lock: nothing gets a place, or a thread, once the list is closed. The end of the
//!   scheduler closes it, then looks again whether anybody is left.
//! - *Join against start.* From its start to its end the place says that there is a thread, or will be: `join` waits
//!   also for one that the maker makes at this moment, and of which nobody else knows.

use std::any::Any;
use std::cell::Cell;
use std::collections::VecDeque;
use std::future::{Future, poll_fn};
use std::io;
use std::panic::resume_unwind;
use std::pin::pin;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use crate::bound::SLEEPER_MAY_USE_NS;
use crate::core::Core;
use crate::futex;
use crate::gate::{self, MAX_GATES};
use crate::header::{Header, Task};
use crate::lock::Mutex;
use crate::seat::{NoGate, Reserved};
use crate::slice::REDUCTIONS_PER_SLICE;
use crate::slot::{self, Slot};
use crate::task::{self, JoinHandle};
use crate::threads::First;
use crate::worker;

/// Native tasks of a scheduler at most, unless set. Each costs a thread: 2 MiB of address space, some 20 KiB of memory.
/// As many as bound threads.
pub const DEFAULT_MAX_NATIVE: usize = 256;

/// The most that can be asked for. Threads of a program are few: of all its schedulers together there are no more than
/// [`MAX_GATES`], and a native task past that is refused with [`NativeError::Gates`].
pub const MAX_NATIVE: usize = 1 << 13;

/// What a native task used is measured over so long at most.
const REMEMBERED_NS: u64 = 10_000_000;

/// Stands for the id of a thread that is not there yet.
pub(crate) const NOT_MADE: i32 = -1;

const PUSHED: u32 = 1;
const STOPPED: u32 = 2;

/// Why a native task was not started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NativeError {
    /// There are as many as may be.
    #[error(
        "the limit of {limit} native tasks is reached: end some, build with `max_native` higher, or use `blocking`, whose \
         closures wait for a thread"
    )]
    Limit {
        /// The limit in force.
        limit: usize,
    },
    /// There are as many threads that run tasks as may be, of all schedulers together: [`MAX_GATES`].
    #[error(
        "all {limit} gates of the program are in use, one for each thread that runs tasks, of all its schedulers together: \
         end native tasks, or use `blocking`, whose closures share a few threads"
    )]
    Gates {
        /// [`MAX_GATES`].
        limit: usize,
    },
    /// A simulation has one thread.
    #[error("a simulation runs no native tasks: use an async body there")]
    Simulated,
    /// The scheduler was stopped.
    #[error("the scheduler was stopped: no native task is started any more")]
    Stopped,
}

/// [`block_on`] was called on a thread whose task may not block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`block_on` would block a scheduler thread: use `.await`, or run this code in a native task or on the blocking pool"
)]
#[non_exhaustive]
pub struct WouldBlock;

/// What a native task unwinds with when the scheduler is stopped, or its handle [aborts](crate::JoinHandle::abort) it,
/// while it waits.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Stopped;

/// A place for a native task, taken before it is made. Dropped, it is free again.
#[derive(Debug)]
#[must_use = "dropped, the place is free again"]
pub struct NativePlace {
    core: Arc<Core>,
    index: u32,
    /// The thread's to come; `None` when the place is the task's.
    slot: Option<Reserved>,
}

impl NativePlace {
    pub(crate) fn take(core: &Arc<Core>) -> Result<NativePlace, NativeError> {
        if core.simulated.is_some() {
            return Err(NativeError::Simulated);
        }
        let natives = &core.natives;
        let limit = natives.places.len();
        let slot = Reserved::take();
        let mut list = natives.list.lock();
        if list.closed {
            return Err(NativeError::Stopped);
        }
        let index = match list.free.pop() {
            Some(index) => index,
            None if list.used < limit => {
                list.used += 1;
                (list.used - 1) as u32
            }
            None => return Err(NativeError::Limit { limit }),
        };
        let slot = match slot {
            Ok(slot) => slot,
            Err(NoGate) => {
                list.free.push(index);
                return Err(NativeError::Gates { limit: MAX_GATES });
            }
        };
        // Under the lock: see the race of stop against start.
        core.bound_begins();
        drop(list);
        Ok(NativePlace {
            core: Arc::clone(core),
            index,
            slot: Some(slot),
        })
    }

    /// Says that the header is that of a native task, for which [`NativePlace::start`] will be called. Wakes do nothing
    /// until then.
    ///
    /// # Safety
    ///
    /// The header was made for the same scheduler. Its task is new or done, so that it is in no queue, no slice of it
    /// runs, and nobody wakes it at this moment but by mistake (a wake of the task that was done). What comes next is
    /// its start, in this place, or a [`Header::reset`].
    pub unsafe fn mark(&self, header: &Header) {
        header.set_native(self.index + 1);
        header.state.hold();
    }

    /// Starts a native task: `run` is called once, on a thread of its own, and whatever it answers is taken for
    /// [`Step::Done`](crate::Step::Done). Within `run`, [`enter_native`] makes [`block_on`] work. If the scheduler is
    /// stopped before there is a thread, `run` is never called, as with tasks in a queue.
    ///
    /// # Safety
    ///
    /// As for [`Scheduler::start`](crate::Scheduler::start). The header was made for the same scheduler.
    pub unsafe fn start(mut self, task: NonNull<Header>) {
        // SAFETY: the caller promises a header.
        let header = unsafe { task.as_ref() };
        // SAFETY: the caller promises that the task is in no queue and not running, and the header this scheduler's.
        unsafe { self.mark(header) };
        header.state.start();
        let natives = &self.core.natives;
        let mut list = natives.list.lock();
        if list.closed {
            drop(list);
            // The place is free again, and the task its owner's.
            return;
        }
        natives.places[self.index as usize]
            .thread
            .store(NOT_MADE, Ordering::Relaxed);
        list.unstarted.push_back(Unstarted {
            task: Task(task),
            index: self.index,
            slot: self.slot.take(),
        });
        drop(list);
        self.core.threads.wake_maker();
    }
}

impl Drop for NativePlace {
    fn drop(&mut self) {
        if self.slot.is_some() {
            self.core.natives.leave(&self.core, self.index);
        }
    }
}

#[derive(Debug)]
pub(crate) struct Natives {
    places: Box<[Place]>,
    list: Mutex<List>,
}

#[derive(Debug, Default)]
struct Place {
    /// PUSHED, STOPPED, or both: a futex.
    word: AtomicU32,
    /// The kernel's id of the task's thread, NOT_MADE from its start until then, or 0.
    thread: AtomicI32,
}

impl Place {
    fn tell(&self, what: u32) {
        self.word.fetch_or(what, Ordering::SeqCst);
        futex::wake_one(&self.word);
    }
}

#[derive(Debug, Default)]
struct List {
    /// Places from here on were never used.
    used: usize,
    free: Vec<u32>,
    unstarted: VecDeque<Unstarted>,
    closed: bool,
}

/// A native task that has no thread yet.
#[derive(Debug)]
struct Unstarted {
    task: Task,
    index: u32,
    /// `None` once the system refused a thread.
    slot: Option<Reserved>,
}

impl Natives {
    pub(crate) fn new(limit: usize) -> Natives {
        Natives {
            places: (0..limit).map(|_| Place::default()).collect(),
            list: Mutex::default(),
        }
    }

    /// By who may push the task: its thread goes on. By the mark of its header.
    #[cold]
    pub(crate) fn push(&self, mark: u32) {
        if let Some(place) = self.places.get(mark as usize - 1) {
            place.tell(PUSHED);
        }
    }

    fn leave(&self, core: &Core, index: u32) {
        self.places[index as usize]
            .thread
            .store(0, Ordering::Relaxed);
        self.list.lock().free.push(index);
        core.bound_ended();
    }

    /// By the maker: makes the threads that are wanted. What could not be made waits.
    pub(crate) fn make_wanted(&self, core: &Arc<Core>) -> io::Result<()> {
        loop {
            let Some(unstarted) = self.list.lock().unstarted.pop_front() else {
                return Ok(());
            };
            let Unstarted { task, index, slot } = unstarted;
            let made = slot
                .map_or_else(Reserved::take, Ok)
                .map_err(io::Error::from)
                .and_then(|slot| core.threads.make_on(slot, core, First::Native(task)));
            if let Err(error) = made {
                let mut list = self.list.lock();
                if list.closed {
                    drop(list);
                    self.leave(core, index);
                } else {
                    let slot = None;
                    list.unstarted.push_front(Unstarted { task, index, slot });
                }
                return Err(error);
            }
        }
    }

    /// The end: nothing is started any more, and whoever waits is woken.
    pub(crate) fn close(&self, core: &Core) {
        let mut list = self.list.lock();
        list.closed = true;
        let unstarted = std::mem::take(&mut list.unstarted);
        let used = list.used;
        drop(list);
        for place in &self.places[..used] {
            place.tell(STOPPED);
        }
        for Unstarted { index, .. } in unstarted {
            self.leave(core, index);
        }
    }

    /// Kernel ids of their threads, NOT_MADE for each that has none yet: who was started is named until it has ended.
    pub(crate) fn threads(&self) -> Vec<i32> {
        let threads = self.places.iter();
        threads
            .map(|place| place.thread.load(Ordering::Relaxed))
            .filter(|&thread| thread != 0)
            .collect()
    }

    pub(crate) fn count(&self) -> usize {
        let list = self.list.lock();
        list.used - list.free.len()
    }
}

/// A native task's whole life, on a thread of its own.
pub(crate) fn run(core: &Core, slot: &'static Slot, task: Task) {
    // SAFETY: it was started and has not run, so its memory is its owner's promise.
    let index = unsafe { task.0.as_ref() }.native() - 1;
    let place = &core.natives.places[index as usize];
    place.thread.store(slot.gate().thread(), Ordering::Relaxed);
    gate::set_kernel_slice(0, 0);
    slot.begin_bound();
    bind(core, slot, task, false);
    slot.reductions().new_slice(i64::from(REDUCTIONS_PER_SLICE));
    worker::run_slice(core, slot, task);
    unbind(core, slot);
    slot.unbind();
    core.natives.leave(core, index);
}

/// Binds the thread; unless `at_once`, it waits for its turn.
fn bind(core: &Core, slot: &'static Slot, task: Task, at_once: bool) {
    core.bound.bind_native(slot, task, at_once);
    core.monitor.wake();
    if !at_once {
        core.wake_one();
        slot.gate().pass();
    }
}

fn unbind(core: &Core, slot: &'static Slot) {
    let scheduler = core.bound.unbind(slot);
    worker::end_unused_turn(core, scheduler);
}

/// Starts a native task that gives a result.
pub(crate) fn spawn<F, T>(core: &Arc<Core>, body: F) -> Result<JoinHandle<T>, NativeError>
where
    F: FnOnce() -> T + Send + 'static,
    T: Send + 'static,
{
    let place = NativePlace::take(core)?;
    let mut body = Some(body);
    let once = poll_fn(move |cx| {
        if slot::with_core(|core| core.is_stopping()) == Some(true) {
            resume_unwind(Box::new(Stopped));
        }
        let body = body
            .take()
            .expect("a task that is ready is not polled again");
        Poll::Ready(enter_native(cx.waker(), &end_of_aborted, body))
    });
    Ok(task::spawn_native(core, place, once))
}

/// What a plain native task unwinds with when its handle aborts it.
fn end_of_aborted() -> Option<Box<dyn Any + Send>> {
    let task = slot::current()?.task()?;
    // SAFETY: this thread runs the task, which is not done.
    let is_aborted = unsafe { task.as_ref() }.is_aborted();
    is_aborted.then(|| Box::new(Stopped) as Box<dyn Any + Send>)
}

/// What a native task told of itself.
struct Inside<'a> {
    waker: &'a Waker,
    ends: &'a dyn Fn() -> Option<Box<dyn Any + Send>>,
    pace: Cell<Pace>,
    /// Calls of [`block_on`], one within the other.
    depth: Cell<u32>,
}

thread_local! {
    /// The native task that runs on this thread, while it is in `enter_native`.
    static INSIDE: Cell<*const Inside<'static>> = const { Cell::new(ptr::null()) };
}

/// In the `run` of a native task: calls its body, in which [`block_on`] waits.
///
/// `waker` wakes the task's own header. `ends` is asked before each wait and after it: what it gives, the body unwinds
/// with. (Not while it is unwinding already: destructors may wait.)
pub fn enter_native<R>(
    waker: &Waker,
    ends: &dyn Fn() -> Option<Box<dyn Any + Send>>,
    body: impl FnOnce() -> R,
) -> R {
    struct Back(*const Inside<'static>);
    impl Drop for Back {
        fn drop(&mut self) {
            INSIDE.set(self.0);
        }
    }
    let inside = Inside {
        waker,
        ends,
        pace: Cell::new(Pace::default()),
        depth: Cell::new(0),
    };
    let _back = Back(INSIDE.replace((&raw const inside).cast()));
    body()
}

/// Blocks the thread until the future is ready: in a native task, and on threads that are not a scheduler's.
///
/// A native task that waits here uses no turn, and no core. When the scheduler is stopped meanwhile it unwinds: its
/// destructors run, and its result is [`JoinError::Cancelled`](crate::JoinError::Cancelled).
///
/// # Errors
///
/// [`WouldBlock`] on a thread that runs other tasks, which should `.await` instead.
///
/// ```
/// use otp_scheduler::{Scheduler, block_on, yield_now};
///
/// let scheduler = Scheduler::builder().schedulers(1).build()?;
/// let inner = scheduler.clone();
/// let native = scheduler.spawn_native(move || {
///     let six = inner.spawn(async { yield_now().await; 6 });
///     7 * block_on(six).expect("this may block").expect("it does not panic")
/// })?;
/// assert_eq!(block_on(native)??, 42);
/// let refused = scheduler.spawn(async { block_on(async {}).is_err() });
/// assert!(refused.wait()?);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn block_on<F: Future>(future: F) -> Result<F::Output, WouldBlock> {
    let Some(slot) = slot::current() else {
        return Ok(block_foreign(future));
    };
    let task = Task(slot.task().ok_or(WouldBlock)?);
    // SAFETY: this thread runs the task, which is not done.
    let mark = unsafe { task.0.as_ref() }.native();
    // SAFETY: null, or set by an `enter_native` that this thread is in: what it points to is on its stack.
    let inside = unsafe { INSIDE.get().as_ref() };
    let (Some(inside), 1..) = (inside, mark) else {
        return Err(WouldBlock);
    };
    let core = slot::with_core(Arc::clone).ok_or(WouldBlock)?;
    let _nested = Nested::begin(inside);
    let mut future = pin!(future);
    let mut cx = Context::from_waker(inside.waker);
    loop {
        // Its turns are ended by the schedulers, not by its reductions.
        slot.reductions()
            .extend_slice(i64::from(REDUCTIONS_PER_SLICE));
        end_if_told(inside);
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return Ok(output);
        }
        end_if_told(inside);
        if core.is_stopping() && !thread::panicking() {
            resume_unwind(Box::new(Stopped));
        }
        rest(&core, slot, task, mark, &inside.pace);
    }
}

/// A [`block_on`], maybe within the future of another. All share the task's wakes, so at its end an inner one passes on
/// those that it took.
struct Nested<'a>(&'a Inside<'a>);

impl<'a> Nested<'a> {
    fn begin(inside: &'a Inside<'a>) -> Nested<'a> {
        inside.depth.set(inside.depth.get() + 1);
        Nested(inside)
    }
}

impl Drop for Nested<'_> {
    fn drop(&mut self) {
        let depth = self.0.depth.get() - 1;
        self.0.depth.set(depth);
        if depth > 0 {
            self.0.waker.wake_by_ref();
        }
    }
}

fn end_if_told(inside: &Inside<'_>) {
    // A destructor that unwinds while others do would abort the program.
    if !thread::panicking()
        && let Some(payload) = (inside.ends)()
    {
        resume_unwind(payload);
    }
}

/// Waits until the task is woken, or for no reason.
fn rest(core: &Core, slot: &'static Slot, task: Task, mark: u32, pace: &Cell<Pace>) {
    // SAFETY: this thread runs the task, which is not done.
    let header = unsafe { task.0.as_ref() };
    if header.state.rest() {
        header.state.begin();
        return;
    }
    unbind(core, slot);
    let place = &core.natives.places[mark as usize - 1];
    loop {
        let word = place.word.load(Ordering::SeqCst);
        if word & PUSHED != 0 {
            place.word.fetch_and(!PUSHED, Ordering::SeqCst);
            header.state.begin();
            break;
        }
        if word & STOPPED != 0 && !thread::panicking() && header.state.begin_idle() {
            break;
        }
        futex::wait(&place.word, word, None);
    }
    let mut so_far = pace.get();
    let is_modest = so_far.is_modest(core, slot);
    pace.set(so_far);
    bind(core, slot, task, is_modest || core.hosts().next().is_some());
}

/// How much a native task uses beside its waits.
#[derive(Clone, Copy, Default)]
struct Pace {
    since_ns: u64,
    cpu_ns: u64,
}

impl Pace {
    /// True if it used no more than a bound thread may that counts as asleep.
    fn is_modest(&mut self, core: &Core, slot: &Slot) -> bool {
        let now = core.clock.now();
        let cpu = slot.gate().cpu_ns().unwrap_or(0);
        let lasted = now.saturating_sub(self.since_ns);
        let used = cpu.saturating_sub(self.cpu_ns);
        if lasted >= REMEMBERED_NS {
            *self = Pace {
                since_ns: now,
                cpu_ns: cpu,
            };
        }
        used <= SLEEPER_MAY_USE_NS * (1 + lasted / 1_000_000)
    }
}

/// On a thread that runs no tasks.
fn block_foreign<F: Future>(future: F) -> F::Output {
    struct Unpark {
        thread: Thread,
        woken: AtomicBool,
    }
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.woken.store(true, Ordering::Release);
            self.thread.unpark();
        }
    }
    let unpark = Arc::new(Unpark {
        thread: thread::current(),
        woken: AtomicBool::new(false),
    });
    let waker = Waker::from(Arc::clone(&unpark));
    let mut future = pin!(future);
    let mut cx = Context::from_waker(&waker);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut cx) {
            return output;
        }
        while !unpark.woken.swap(false, Ordering::Acquire) {
            thread::park();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::builder::Settings;
    use crate::header::{Step, VTable};
    use crate::pins::Pins;
    use crate::run_queue::RunQueue;

    /// One whose only scheduler has ended, and which has no maker.
    fn core() -> Arc<Core> {
        let settings = Settings {
            max_native: 1,
            ..Settings::of_simulation("test".to_owned())
        };
        let stealers = vec![RunQueue::new().stealers()];
        let core = Core::new(stealers, settings, Pins::default(), None);
        Arc::new(core.expect("descriptors are to be had"))
    }

    #[test]
    fn join_names_one_whose_thread_is_being_made() {
        unsafe fn never(_: NonNull<Header>) -> Step {
            unreachable!("there is no thread");
        }
        static TABLE: VTable = VTable {
            run: never,
            bound: None,
            name: None,
        };
        let core = core();
        let header = Header::of_core(&core, &TABLE);
        let place = NativePlace::take(&core).expect("there is one");
        core.worker_ended(0);
        assert_eq!(core.join(Duration::ZERO), Ok(()), "nothing was started");
        // SAFETY: a new header, which stays until the end; nobody runs it.
        unsafe { place.start(NonNull::from(&header)) };
        let unstarted = core.natives.list.lock().unstarted.pop_front();
        let unstarted = unstarted.expect("it waits for the maker");
        let late = core.join(Duration::ZERO).unwrap_err();
        assert!(
            late[0].contains("native thread that is not made yet"),
            "{late:?}"
        );
        core.natives.leave(&core, unstarted.index);
        assert_eq!(core.join(Duration::ZERO), Ok(()));
    }
}
