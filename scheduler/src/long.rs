//! Slices that last for long: the longest one, with its task's name, and the handler that hears of each
//! (`Builder::long_schedule`, `Scheduler::set_long_schedule`). Mirrors `erlang:system_monitor(long_schedule)`.
//!
//! A slice reads no clock. The monitor, which looks each millisecond, *marks* one that it finds still running: it
//! writes down which slice of the scheduler's that is, and since when it knows it. So:
//! 1. Who ran a slice compares the mark with the slice's number: one load and a comparison. If it is this one's, the
//!    thread takes the time and reports, as long as the task is still its own.
//! 2. A slice ends for its scheduler when that is given away at a checkpoint, so it is reported there.
//! 3. One whose scheduler was taken away (or never had one, since its task is bound from the start) is reported by its
//!    thread when it ends; or, since it may never, by the *reporter* as soon as it has lasted for the threshold.
//!    Whoever is first marks it as told, under the lock of the bound threads.
//!
//! The reporter is a plain task, made when it is needed first. It calls the handler, so that a handler is code like any
//! other of the program's: no lock is held around it, it may block or loop, and is bound then. The reporter's own
//! slices are not reported, lest a slow handler hear of itself for ever; what others report meanwhile waits, up to a
//! limit.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering, fence};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::bound::Overrun;
use crate::core::Core;
use crate::header::{Header, Task, VTable};
use crate::lock::Mutex;
use crate::panics::quietly;
use crate::priority::Priority;
use crate::sleep::Sleep;
use crate::slice::{self, yield_now};
use crate::slot::{self, Slot};
use crate::task;

/// Long slices that may wait for the handler of [`Builder::long_schedule`](crate::Builder::long_schedule) to return,
/// unless set. More at a time tell nobody anything new; chosen by feel.
pub const DEFAULT_LONG_SCHEDULE_QUEUE: usize = 64;

/// The most that can be asked for.
pub const MAX_LONG_SCHEDULE_QUEUE: usize = 1 << 20;

/// Longer than any slice.
pub(crate) const NO_THRESHOLD: u64 = u64::MAX;

/// What a task's owner calls it in reports: see [`VTable::name`](crate::VTable::name).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct TaskName {
    /// A number that the owner finds it by; 0 if it has none. otp-vm gives the pid of a process.
    pub id: u64,
    /// For people. For plain tasks, the type of the future, which has the function and module that it comes from.
    pub name: String,
}

impl fmt::Display for TaskName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.name)
    }
}

/// A slice that lasted for a millisecond or more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LongSlice {
    /// Whose it is.
    pub task: TaskName,
    /// The scheduler that ran it, from 0; if it was taken away, which one that was.
    pub scheduler: usize,
    /// When it was seen to run first, in nanoseconds on [`Scheduler::now`](crate::Scheduler::now)'s clock: within some
    /// milliseconds of its beginning, as the monitor looks once in one.
    pub began_at: u64,
    /// From there to its end, or until now if it goes on. By the wall clock: turns that its thread waited for are in
    /// it.
    pub duration: Duration,
    /// It was bound to a thread: its scheduler was taken away and went on elsewhere. (A task that did so before may be
    /// bound from the start, and hold nobody up.)
    pub bound: bool,
    /// It has ended. Else it goes on, and is not reported a second time.
    pub is_over: bool,
}

/// The monitor's mark on a slice of a scheduler.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    /// The number of that slice, from 1; 0 for none.
    slice: AtomicU64,
    since: AtomicU64,
}

impl Mark {
    /// By the monitor only.
    pub(crate) fn set(&self, slice: u64, since: u64) {
        self.since.store(since, Ordering::Relaxed);
        self.slice.store(slice, Ordering::Release);
    }

    #[inline]
    pub(crate) fn is_of(&self, slice: u64) -> bool {
        self.slice.load(Ordering::Relaxed) == slice
    }

    /// By who found that it is of the slice that runs: no other is marked before that one ends.
    pub(crate) fn since(&self) -> u64 {
        fence(Ordering::Acquire);
        self.since.load(Ordering::Relaxed)
    }
}

/// What the builder was told.
#[derive(Clone)]
pub(crate) struct Watch {
    pub(crate) threshold_ns: u64,
    pub(crate) handler: Arc<dyn Fn(LongSlice) + Send + Sync>,
}

impl fmt::Debug for Watch {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Watch")
            .field("threshold_ns", &self.threshold_ns)
            .finish_non_exhaustive()
    }
}

#[derive(Debug)]
pub(crate) struct LongSlices {
    count: AtomicU64,
    longest: Mutex<Option<LongSlice>>,
    watch: Option<Watch>,
    /// The watch's, as it is now; [`NO_THRESHOLD`] for none.
    threshold_ns: AtomicU64,
    reports: Mutex<Reports>,
    limit: usize,
    /// Reports that found no room.
    lost: AtomicU64,
    /// The reporter's address, never followed; 0 before it runs.
    reporter: AtomicUsize,
}

#[derive(Debug, Default)]
struct Reports {
    waiting: VecDeque<LongSlice>,
    is_started: bool,
    /// The reporter's, while it waits.
    waker: Option<Waker>,
}

/// What is known of a slice that ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lasted {
    pub(crate) scheduler: usize,
    pub(crate) since: u64,
    pub(crate) bound: bool,
    /// It was reported already.
    pub(crate) is_told: bool,
}

impl LongSlices {
    pub(crate) fn new(watch: Option<Watch>, limit: usize) -> LongSlices {
        LongSlices {
            count: AtomicU64::new(0),
            longest: Mutex::default(),
            threshold_ns: AtomicU64::new(
                watch
                    .as_ref()
                    .map_or(NO_THRESHOLD, |watch| watch.threshold_ns),
            ),
            watch,
            reports: Mutex::default(),
            limit,
            lost: AtomicU64::new(0),
            reporter: AtomicUsize::new(0),
        }
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// The reporter was cancelled: its waker, which holds it, goes as well.
    pub(crate) fn end(&self) {
        let waker = self.reports.lock().waker.take();
        drop(waker);
    }

    pub(crate) fn forget_longest(&self) {
        let forgotten = self.longest.lock().take();
        drop(forgotten);
    }

    /// On the thread that ran it, before the task's state says that it gave way.
    pub(crate) fn ended(&self, core: &Arc<Core>, slot: &Slot, task: Task, lasted: Lasted) {
        let said = SAID.take();
        self.count.fetch_add(1, Ordering::Relaxed);
        let duration = Duration::from_nanos(core.clock.now().saturating_sub(lasted.since));
        let is_longest = is_longer(duration, &self.longest.lock());
        let is_reported = !lasted.is_told
            && !self.is_reporter(task)
            && duration.as_nanos() >= u128::from(self.threshold_ns());
        if !is_longest && !is_reported {
            return;
        }
        let slice = LongSlice {
            // SAFETY: the slot's last task, by its own table. It is done or still this thread's.
            task: said.unwrap_or_else(|| unsafe { name(slot.vtable(), task) }),
            scheduler: lasted.scheduler,
            began_at: lasted.since,
            duration,
            bound: lasted.bound,
            is_over: true,
        };
        if is_reported {
            self.report(core, slice.clone());
        }
        let mut longest = self.longest.lock();
        let replaced = is_longer(duration, &longest).then(|| longest.replace(slice));
        drop(longest);
        drop(replaced);
    }

    /// The longest of all, also of those that go on.
    pub(crate) fn longest(&self, core: &Core) -> Option<LongSlice> {
        let ended = self.longest.lock().clone();
        let running = core.bound.oldest_overrun().map(|overrun| {
            let now = core.clock.now();
            (
                Duration::from_nanos(now.saturating_sub(overrun.since)),
                overrun,
            )
        });
        match running {
            Some((duration, overrun)) if is_longer(duration, &ended) => {
                Some(still_runs(overrun, duration))
            }
            _ => ended,
        }
    }

    fn is_reporter(&self, task: Task) -> bool {
        self.reporter.load(Ordering::Relaxed) == task.0.addr().get()
    }

    fn report(&self, core: &Arc<Core>, slice: LongSlice) {
        let mut reports = self.reports.lock();
        if reports.waiting.len() < self.limit {
            reports.waiting.push_back(slice);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        drop(reports);
        self.call_reporter(core);
    }

    /// A task was bound by force: it is to be reported if it does not give way in time.
    pub(crate) fn expect(&self, core: &Arc<Core>) {
        if self.threshold_ns() != NO_THRESHOLD {
            self.call_reporter(core);
        }
    }

    fn threshold_ns(&self) -> u64 {
        self.threshold_ns.load(Ordering::Relaxed)
    }

    /// From here on; `NO_THRESHOLD`: tells of none. Without a handler it does nothing.
    pub(crate) fn set_threshold(&self, core: &Arc<Core>, threshold_ns: u64) {
        if self.watch.is_some() {
            self.threshold_ns.store(threshold_ns, Ordering::Relaxed);
            // What it sleeps for may be due earlier now.
            self.expect(core);
        }
    }

    fn call_reporter(&self, core: &Arc<Core>) {
        let mut reports = self.reports.lock();
        let is_started = std::mem::replace(&mut reports.is_started, true);
        let waker = reports.waker.take();
        drop(reports);
        if !is_started {
            drop(task::spawn_on(
                core,
                Priority::Normal,
                report_all(Arc::clone(core)),
            ));
        }
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

fn is_longer(duration: Duration, than: &Option<LongSlice>) -> bool {
    than.as_ref().is_none_or(|slice| duration > slice.duration)
}

/// # Safety
///
/// As for [`VTable::name`], of the task's own table.
unsafe fn name(vtable: Option<&'static VTable>, task: Task) -> TaskName {
    let mut known = None;
    if let Some(name) = vtable.and_then(|vtable| vtable.name) {
        // SAFETY: the caller's promise.
        quietly("a task's `name`", || known = Some(unsafe { name(task.0) }));
    }
    known.unwrap_or_else(|| TaskName {
        id: 0,
        name: "a task without a name".to_owned(),
    })
}

fn still_runs(overrun: Overrun, duration: Duration) -> LongSlice {
    LongSlice {
        // SAFETY: both are the slot's. The task may be done by now, as `VTable::name` says.
        task: unsafe { name(Some(overrun.vtable), overrun.task) },
        scheduler: overrun.scheduler,
        began_at: overrun.since,
        duration,
        bound: true,
        is_over: false,
    }
}

// The reporter.

async fn report_all(core: Arc<Core>) {
    let Some(watch) = core.long.watch.clone() else {
        return;
    };
    let own = slot::current().and_then(Slot::task);
    core.long
        .reporter
        .store(own.map_or(0, |own| own.addr().get()), Ordering::Relaxed);
    let mut sleep = None;
    loop {
        let slice = poll_fn(|cx| poll_next(&core, &mut sleep, cx)).await;
        if !quietly("the handler of long slices", || (watch.handler)(slice)) {
            core.count_panic();
        }
        yield_now().await;
    }
}

fn poll_next(core: &Arc<Core>, sleep: &mut Option<Sleep>, cx: &mut Context<'_>) -> Poll<LongSlice> {
    // First the waker, then the looks: whoever reports, or binds a task, after a look wakes.
    let mut reports = core.long.reports.lock();
    reports.waker = Some(cx.waker().clone());
    let first = reports.waiting.pop_front();
    drop(reports);
    if let Some(slice) = first {
        return Poll::Ready(slice);
    }
    let threshold_ns = core.long.threshold_ns();
    if threshold_ns == NO_THRESHOLD {
        *sleep = None;
        return Poll::Pending;
    }
    loop {
        let now = core.clock.now();
        let Some(overrun) = core.bound.overdue(now.saturating_sub(threshold_ns)) else {
            *sleep = None;
            return Poll::Pending;
        };
        if overrun.is_told {
            let duration = Duration::from_nanos(now.saturating_sub(overrun.since));
            return Poll::Ready(still_runs(overrun, duration));
        }
        let at = overrun.since.saturating_add(threshold_ns);
        let sleep = sleep.get_or_insert_with(|| Sleep::until(core, at));
        if sleep.deadline() != at {
            sleep.reset(at);
        }
        if Pin::new(sleep).poll(cx).is_pending() {
            return Poll::Pending;
        }
    }
}

impl Core {
    /// A panic of the program's code, on a thread that runs tasks.
    fn count_panic(&self) {
        let counted = slice::with_current(|local| {
            self.remotes[local.index()].counters.panics.add(1);
        });
        if counted.is_none() {
            self.bound_panics.fetch_add(1, Ordering::Relaxed);
        }
    }
}

// Names.

thread_local! {
    /// What the owner of the task said whose slice runs on this thread, if the slice is long.
    static SAID: Cell<Option<TaskName>> = const { Cell::new(None) };
}

/// Names the task whose slice runs on this thread, if the slice is a long one: for owners of tasks that can't name one
/// any more once it is done ([`VTable::name`](crate::VTable::name) is asked for all others). Of several names the last
/// counts. `name` is called only if it is needed; else this costs some nanoseconds.
pub fn name_long_slice(name: impl FnOnce() -> TaskName) {
    let Some(slot) = slot::current() else {
        return;
    };
    let is_long = {
        let _section = slot.enter();
        match slot.local() {
            Some(local) => local.is_long(),
            None => slot.gate().bound.is_overrun(),
        }
    };
    if is_long {
        SAID.set(Some(name()));
    }
}

/// The name of a plain task: of its future's type, so nothing is followed.
pub(crate) fn name_of_type<F>(_: NonNull<Header>) -> TaskName {
    TaskName {
        id: 0,
        name: std::any::type_name::<F>().to_owned(),
    }
}
