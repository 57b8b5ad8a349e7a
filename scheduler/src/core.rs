//! What all workers and handles of one scheduler share.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::blocking::{Limits, Pool};
use crate::bound::{Bound, Policy};
use crate::clock::Clock;
use crate::driver::Driver;
use crate::figures::{Counters, Figures};
use crate::fire::AnyFire;
use crate::header::Task;
use crate::idle::{Idle, Place};
use crate::lock::{Condvar, Mutex, section};
use crate::long::{LongSlices, Watch};
use crate::monitor::{Monitor, Offenders};
use crate::native::{NOT_MADE, Natives};
use crate::online::Online;
use crate::pins::Pins;
use crate::run_queue::{Injectors, Lane, Stealers};
use crate::simulation::Simulated;
use crate::slice;
use crate::slot::{self, Slot};
use crate::sync;
use crate::task::Owned;
use crate::threads::Threads;
use crate::timers::{TimerKey, Timers};
use crate::unusual::{Matter, Unusual};

/// The part of a worker that other threads reach.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) stealers: Stealers,
    pub(crate) timers: CachePadded<Timers>,
    pub(crate) counters: CachePadded<Counters>,
    /// What others tell the worker.
    pub(crate) told: CachePadded<Told>,
    /// The thread that runs the scheduler; null for moments in between.
    runner: AtomicPtr<Slot>,
}

impl Remote {
    pub(crate) fn runner(&self) -> Option<&'static Slot> {
        // SAFETY: null or a slot, and slots are never freed.
        unsafe { self.runner.load(Ordering::Acquire).as_ref() }
    }

    pub(crate) fn set_runner(&self, slot: Option<&'static Slot>) {
        let slot = slot.map_or(ptr::null_mut(), |slot| ptr::from_ref(slot).cast_mut());
        self.runner.store(slot, Ordering::Release);
    }
}

#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The monitor: look at timers and sockets after this slice.
    pub(crate) look: AtomicBool,
    /// It waits in the poller or on its futex.
    resting: AtomicBool,
    /// It gives a bound thread its turn.
    hosting: AtomicBool,
    /// It sleeps on its futex, so that its timers are for the others to fire.
    pub(crate) asleep: AtomicBool,
    /// A wake-up call, which it sleeps on.
    call: sync::AtomicU32,
}

impl Told {
    pub(crate) fn is_resting(&self) -> bool {
        self.resting.load(Ordering::Relaxed)
    }

    pub(crate) fn set_resting(&self, resting: bool) {
        self.resting.store(resting, Ordering::Relaxed);
    }

    pub(crate) fn set_hosting(&self, hosting: bool) {
        self.hosting.store(hosting, Ordering::Relaxed);
    }

    /// It waits, and no bound thread has a turn from it.
    pub(crate) fn could_host(&self) -> bool {
        self.is_resting() && !self.hosting.load(Ordering::Relaxed)
    }

    /// Sleeps until it is called, once for all calls so far, and at most so long.
    pub(crate) fn await_call(&self, limit_ns: u64) {
        if self.call.swap(0, Ordering::SeqCst) == 0 {
            self.asleep.store(true, Ordering::Relaxed);
            sync::futex_wait(&self.call, 0, (limit_ns < u64::MAX / 2).then_some(limit_ns));
            // What was told before a call that is taken back here is seen from here on.
            self.call.swap(0, Ordering::SeqCst);
            self.asleep.store(false, Ordering::Relaxed);
        }
    }

    pub(crate) fn call(&self) {
        self.call.swap(1, Ordering::SeqCst);
        sync::futex_wake_one(&self.call);
    }
}

/// What the builder was told.
#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) name: String,
    /// The signal of the gates; none if there shall be no gates.
    pub(crate) gate_signal: Option<i32>,
    pub(crate) max_bound: usize,
    pub(crate) max_native: usize,
    pub(crate) policy: Policy,
    pub(crate) long_schedule: Option<Watch>,
    pub(crate) long_schedule_queue: usize,
    pub(crate) pins: Pins,
    /// It is a simulation, with this seed.
    pub(crate) seed: Option<u64>,
    pub(crate) blocking: Limits,
    #[cfg(feature = "tokio")]
    pub(crate) tokio: Option<tokio::runtime::Handle>,
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) injectors: Injectors,
    pub(crate) remotes: Box<[Arc<Remote>]>,
    pub(crate) unusual: CachePadded<Unusual>,
    pub(crate) idle: CachePadded<Idle>,
    pub(crate) online: Online,
    pub(crate) driver: Driver,
    pub(crate) monitor: Monitor,
    pub(crate) clock: Clock,
    pub(crate) owned: Owned,
    /// No thread runs it: a [`Simulation`](crate::simulation::Simulation) does.
    pub(crate) simulated: Option<Box<Simulated>>,
    stopping: AtomicBool,
    /// Public handles; with the last one the workers are told to stop.
    handles: AtomicUsize,
    outside_wakes: AtomicU64,
    pub(crate) bound_panics: AtomicU64,
    name: String,
    #[cfg(feature = "tokio")]
    tokio: Option<tokio::runtime::Handle>,
    pub(crate) threads: Threads,
    pub(crate) bound: Bound,
    pub(crate) blocking: Pool,
    pub(crate) natives: Natives,
    pub(crate) offenders: Offenders,
    pub(crate) long: LongSlices,
    /// Times that a scheduler was taken from a thread, was given away by one, and should have been taken but for a limit.
    pub(crate) taken_away: AtomicU64,
    pub(crate) given_away: AtomicU64,
    pub(crate) held_up: AtomicU64,
    /// Times that all gates were opened, since a scheduler waited for something.
    pub(crate) emergencies: AtomicU64,
    /// Schedulers that have not ended.
    running: Mutex<Vec<bool>>,
    ended: Condvar,
    /// Schedulers that have not ended, bound threads, and native tasks.
    left: AtomicUsize,
}

impl Core {
    pub(crate) fn new(stealers: Vec<Stealers>, options: Options) -> io::Result<Core> {
        let simulated = options.seed.map(|seed| Box::new(Simulated::new(seed)));
        let clock = match &simulated {
            None => Clock::new(),
            Some(_) => Clock::simulated(),
        };
        let workers = stealers.len();
        let remotes: Box<[Arc<Remote>]> = stealers
            .into_iter()
            .map(|stealers| Remote {
                stealers,
                timers: CachePadded::new(Timers::new()),
                counters: CachePadded::new(Counters::default()),
                told: CachePadded::default(),
                runner: AtomicPtr::new(ptr::null_mut()),
            })
            .map(Arc::new)
            .collect();
        Ok(Core {
            injectors: Injectors::new(),
            idle: CachePadded::new(Idle::new(workers)),
            online: Online::new(workers),
            remotes,
            unusual: CachePadded::default(),
            monitor: Monitor::default(),
            driver: Driver::new(clock.clone())?,
            clock,
            owned: Owned::default(),
            simulated,
            stopping: AtomicBool::new(false),
            handles: AtomicUsize::new(1),
            outside_wakes: AtomicU64::new(0),
            bound_panics: AtomicU64::new(0),
            name: options.name,
            #[cfg(feature = "tokio")]
            tokio: options.tokio,
            threads: Threads::default(),
            bound: Bound::new(
                options.max_bound,
                options.max_native,
                options.gate_signal,
                options.policy,
                options.pins,
            ),
            blocking: Pool::new(options.blocking),
            natives: Natives::new(options.max_native),
            offenders: Offenders::default(),
            long: LongSlices::new(options.long_schedule, options.long_schedule_queue),
            taken_away: AtomicU64::new(0),
            given_away: AtomicU64::new(0),
            held_up: AtomicU64::new(0),
            emergencies: AtomicU64::new(0),
            left: AtomicUsize::new(workers),
            running: Mutex::new(vec![true; workers]),
            ended: Condvar::new(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// By a thread that is about to run code of the program's: while what this gives lives, tokio's libraries find their
    /// runtime on it.
    #[cfg(feature = "tokio")]
    pub(crate) fn enter_tokio(&self) -> Option<tokio::runtime::EnterGuard<'_>> {
        self.tokio.as_ref().map(tokio::runtime::Handle::enter)
    }

    #[cfg(not(feature = "tokio"))]
    pub(crate) fn enter_tokio(&self) -> Option<()> {
        None
    }

    // Tasks.

    /// Changes a task's state, and if that answers true, puts the task where it will be run. In one section: a bound
    /// thread made to wait between the two would keep the task from all other wakers.
    #[inline]
    pub(crate) fn schedule_if(&self, task: Task, change: impl FnOnce() -> bool) {
        let Some(slot) = slot::current() else {
            if change() && !self.wake_native(task) {
                self.inject(task);
            }
            return;
        };
        let _section = slot.enter();
        if !change() || self.wake_native(task) {
            return;
        }
        match slot.local() {
            Some(local) if local.belongs_to(self) => local.push_woken(task, slot),
            _ => self.inject(task),
        }
    }

    /// For who would push the task: a native one stands in no queue, its thread is woken instead.
    #[inline]
    fn wake_native(&self, task: Task) -> bool {
        // SAFETY: who may push a task keeps it from running, and with it from its end. So the mark is this task's, too.
        let mark = unsafe { task.0.as_ref() }.native();
        if mark != 0 {
            self.natives.push(mark);
        }
        mark != 0
    }

    pub(crate) fn inject(&self, task: Task) {
        if let Some(simulated) = &self.simulated {
            simulated.push(task);
            return;
        }
        // Those who take tasks out spin while a push is half done, so none must be stopped at a gate.
        let _section = section();
        let lane = self.injectors.push(task);
        self.note(lane);
        if self.wake_one() {
            self.outside_wakes.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A task was, or is about to be, queued in that lane.
    #[inline]
    pub(crate) fn note(&self, lane: Lane) {
        if lane.is_urgent() && !self.unusual.has(Matter::Urgent) {
            self.unusual.set(Matter::Urgent, true);
        }
    }

    /// Wakes an idle worker to search, if there is one and none searches.
    #[inline]
    pub(crate) fn wake_one(&self) -> bool {
        let woken = self.idle.wake_one();
        if let Some((worker, place)) = woken {
            self.call(worker, place);
        }
        woken.is_some()
    }

    #[cold]
    fn call(&self, worker: usize, place: Place) {
        match place {
            Place::Attendant => self.driver.wake(),
            Place::Sleeper => self.remotes[worker].told.call(),
        }
    }

    /// True if some queue shows a task that any worker may take.
    pub(crate) fn has_work(&self) -> bool {
        !self.injectors.is_empty()
            || self
                .remotes
                .iter()
                .any(|remote| !remote.stealers.is_empty())
    }

    /// Workers that have nothing to do, and could give a bound thread its turn.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = &Remote> {
        self.remotes[..self.online.count()]
            .iter()
            .map(|remote| &**remote)
            .filter(|remote| remote.told.could_host())
    }

    /// Sources of events are the world's, and a simulation has none.
    pub(crate) fn real_io(&self) -> io::Result<()> {
        match &self.simulated {
            None => Ok(()),
            Some(simulated) => Err(simulated.refuse_io()),
        }
    }

    // Timers.

    /// After the end, the caller gets back what would have fired.
    pub(crate) fn start_timer(&self, at: u64, fire: AnyFire) -> Result<TimerKey, AnyFire> {
        let worker = slice::with_current(|local| local.belongs_to(self).then(|| local.index()))
            .flatten()
            .unwrap_or(0);
        let (entry, is_next) = self.remotes[worker].timers.start(at, fire)?;
        if is_next {
            fence(Ordering::SeqCst);
            if self.idle.is_attended() {
                self.driver.arm(at);
            }
        }
        Ok(TimerKey {
            worker: worker as u32,
            entry,
        })
    }

    /// The deadline of a timer that had neither fired nor was cancelled; what it would have fired is dropped.
    pub(crate) fn cancel_timer(&self, key: TimerKey) -> Option<u64> {
        let (at, fire) = self.timers(key)?.cancel(key.entry)?;
        drop(fire);
        Some(at)
    }

    pub(crate) fn timers(&self, key: TimerKey) -> Option<&Timers> {
        Some(&*self.remotes.get(key.worker as usize)?.timers)
    }

    /// The earliest deadline of all wheels.
    pub(crate) fn next_deadline(&self) -> u64 {
        self.remotes
            .iter()
            .map(|remote| remote.timers.next())
            .min()
            .unwrap_or(u64::MAX)
    }

    // The life of the workers.

    pub(crate) fn add_handle(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn drop_handle(&self) {
        if self.handles.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.stop();
        }
    }

    #[inline]
    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.unusual.set(Matter::Stopping, true);
        for remote in &self.remotes {
            remote.told.call();
        }
        self.driver.wake();
        self.monitor.wake();
        self.threads.dismiss();
        self.bound.end();
        self.blocking.close();
        self.natives.close(self);
    }

    /// A scheduler has ended, or could not begin.
    pub(crate) fn worker_ended(&self, index: usize) {
        self.one_less();
        self.running.lock()[index] = false;
        self.ended.notify_all();
    }

    /// By the monitor, before it binds a thread, or by a thread that gives its scheduler away.
    pub(crate) fn bound_begins(&self) {
        self.left.fetch_add(1, Ordering::AcqRel);
    }

    /// A bound thread's task gave way.
    pub(crate) fn bound_ended(&self) {
        self.one_less();
        if self.is_stopping() {
            self.thread_ended();
        }
    }

    /// For those who wait in `join`: one thread less.
    pub(crate) fn thread_ended(&self) {
        let _running = self.running.lock();
        self.ended.notify_all();
    }

    fn one_less(&self) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish();
        }
    }

    /// Lets go of everything that could hold this core in a circle, once no thread runs a task any more: plain tasks are
    /// cancelled, timers and wakers dropped. Tasks in the queues belong to their owners.
    fn finish(&self) {
        self.natives.close(self);
        if self.left.load(Ordering::Acquire) > 0 {
            // One began in this moment, the last. Its end comes here again.
            return;
        }
        self.owned.cancel_all();
        self.long.end();
        // Again: it may be that nobody has told the pool yet.
        self.blocking.close();
        self.blocking.clear();
        for remote in &self.remotes {
            for fire in remote.timers.close() {
                drop_quietly(fire);
            }
        }
        for waker in self.driver.clear() {
            drop_quietly(waker);
        }
    }

    /// Waits until all workers have ended, this thread's own apart.
    pub(crate) fn join(&self, limit: Duration) -> Result<(), Vec<String>> {
        let own = slice::with_current(|local| local.belongs_to(self).then(|| local.index()));
        let own = own.flatten();
        // A limit past the clock's end is none.
        let until = Instant::now().checked_add(limit);
        let mut running = self.running.lock();
        loop {
            let late = self.late(&running, own);
            if late.is_empty() {
                break;
            }
            if self.simulated.is_some() {
                // It ends with its owner, who may be waiting here.
                return Err(late);
            }
            let Some(until) = until else {
                self.ended.wait(&mut running);
                continue;
            };
            if self.ended.wait_until(&mut running, until) {
                self.bound.leave_alone();
                return Err(late);
            }
        }
        drop(running);
        // A thread of ours would wait for itself.
        if !slice::on_scheduler_thread() {
            // Again for a spare that came while the others ended.
            loop {
                let (own, others): (Vec<_>, Vec<_>) = self
                    .threads
                    .take_handles()
                    .into_iter()
                    .partition(|handle| handle.thread().id() == thread::current().id());
                own.into_iter().for_each(|own| self.threads.keep(own));
                if others.is_empty() {
                    break;
                }
                for handle in others {
                    // A worker catches what its tasks throw; its own panic is on standard error already.
                    let _ = handle.join();
                }
            }
        }
        Ok(())
    }

    /// Names of the threads that still run something, this one's own scheduler apart.
    fn late(&self, running: &[bool], own: Option<usize>) -> Vec<String> {
        let schedulers = (0..running.len())
            .filter(|&index| running[index] && Some(index) != own)
            .map(|index| match &self.simulated {
                None => format!("otp-{}, scheduler {index}", self.name),
                Some(simulated) => format!("the simulation of seed {}", simulated.seed()),
            });
        let own_thread = slot::current().map(|slot| slot.gate().thread());
        let is_other = |&id: &i32| Some(id) != own_thread;
        let bound = self.bound.threads().into_iter().filter(is_other);
        let natives = self.natives.threads().into_iter().filter(is_other);
        let blocking = self.blocking.threads().into_iter();
        schedulers
            .chain(bound.map(|id| format!("otp-{}, bound thread {id}", self.name)))
            .chain(natives.map(|id| match id {
                NOT_MADE => format!("otp-{}, native thread that is not made yet", self.name),
                id => format!("otp-{}, native thread {id}", self.name),
            }))
            .chain(blocking.map(|number| format!("otp-{}, blocking thread {number}", self.name)))
            .collect()
    }

    pub(crate) fn figures(&self) -> Figures {
        let blocking = self.blocking.figures();
        let injector_lengths = self.injectors.lengths();
        Figures {
            native: self.natives.count(),
            blocking_threads: blocking.threads,
            blocking_busy: blocking.busy,
            blocking_queued: blocking.queued,
            workers: self
                .remotes
                .iter()
                .map(|remote| {
                    let lengths = remote.stealers.lengths();
                    remote.counters.read(lengths, &self.clock)
                })
                .collect(),
            injector_length: injector_lengths.total(),
            injector_lengths,
            idle: self.idle.count(),
            offline: self.idle.offline(),
            pins_refused: self.bound.pins.refused(),
            timers: self.remotes.iter().map(|remote| remote.timers.len()).sum(),
            sources: self.driver.sources(),
            outside_wakes: self.outside_wakes.load(Ordering::Relaxed),
            bound: self.bound.count(),
            condemned: self.bound.condemned(),
            taken_away: self.taken_away.load(Ordering::Relaxed),
            given_away: self.given_away.load(Ordering::Relaxed),
            held_up: self.held_up.load(Ordering::Relaxed),
            emergencies: self.emergencies.load(Ordering::Relaxed),
            bound_panics: self.bound_panics.load(Ordering::Relaxed),
            long_slices: self.long.count(),
            longest_slice: self.long.longest(self),
            long_slices_lost: self.long.lost(),
        }
    }
}

/// Drops what may have a destructor of the user's.
pub(crate) fn drop_quietly<T>(value: T) {
    quietly("a destructor", || drop(value));
}

/// Runs code of the program's; a panic of it is logged, and ends here. True: it went well.
pub(crate) fn quietly(what: &str, call: impl FnOnce()) -> bool {
    let result = catch_unwind(AssertUnwindSafe(call));
    match result {
        Ok(()) => true,
        Err(payload) => {
            log_panic(what, payload);
            false
        }
    }
}

/// Logs a panic that was caught, and disposes of its payload.
#[cold]
pub(crate) fn log_panic(what: &str, payload: Box<dyn Any + Send>) {
    report(|| tracing::error!(panic = panic_text(&*payload), "{what} panicked"));
    forget_payload(payload);
}

/// Logs. The program's `tracing` subscriber may panic as well: no thread of the scheduler's ends by it.
#[cold]
pub(crate) fn report(log: impl FnOnce()) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(log)) {
        forget_payload(payload);
    }
}

/// A payload's own destructor may panic: nobody is left to tell.
pub(crate) fn forget_payload(payload: Box<dyn Any + Send>) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        std::mem::forget(payload);
    }
}

/// The text of a panic's payload, where it has one.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("a payload that is no text")
}

/// Every interleaving, under `RUSTFLAGS="--cfg loom" cargo test --release --lib loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicBool;
    use loom::thread;

    use super::{Idle, Ordering, Told};

    /// What workers and `Core::stop` share; the attendant's descriptor is a call as well.
    struct Model {
        idle: Idle,
        told: Vec<Told>,
        stopping: AtomicBool,
    }

    impl Model {
        fn new(workers: usize) -> Arc<Model> {
            Arc::new(Model {
                idle: Idle::new(workers),
                told: (0..workers).map(|_| Told::default()).collect(),
                stopping: AtomicBool::new(false),
            })
        }

        fn is_stopping(&self) -> bool {
            self.stopping.load(Ordering::Relaxed)
        }

        /// As `Core::stop`.
        fn stop(&self) {
            self.stopping.store(true, Ordering::SeqCst);
            for told in &self.told {
                told.call();
            }
        }

        /// The loop of a worker that never finds anything, as `worker::run` and `Local::wait`. loom fails if it sleeps
        /// for ever.
        fn run(&self, worker: usize) {
            while !self.is_stopping() {
                self.idle.enter(worker, self.told.len(), false, false);
                if !self.is_stopping() {
                    self.told[worker].await_call(u64::MAX);
                }
                if self.idle.leave(worker) {
                    self.idle.end_search();
                }
            }
        }
    }

    #[test]
    fn loom_no_worker_sleeps_through_a_stop() {
        loom::model(|| {
            let model = Model::new(1);
            let worker = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.run(0))
            };
            model.stop();
            worker.join().unwrap();
            assert_eq!(model.idle.count(), 0);
        });
    }

    /// A wake-up call for a task at the same time takes nothing away from the stop's. With two preemptions at most: all
    /// orders of three threads would take hours.
    #[test]
    fn loom_a_wake_up_call_does_not_hide_a_stop() {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = Some(2);
        model.check(|| {
            let model = Model::new(1);
            let worker = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.run(0))
            };
            let waker = {
                let model = Arc::clone(&model);
                thread::spawn(move || {
                    if let Some((worker, _)) = model.idle.wake_one() {
                        model.told[worker].call();
                    }
                })
            };
            model.stop();
            waker.join().unwrap();
            worker.join().unwrap();
            assert_eq!(model.idle.count(), 0);
        });
    }

    #[test]
    fn loom_what_was_told_before_a_call_is_seen_after_it() {
        loom::model(|| {
            let model = Model::new(1);
            let caller = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.stop())
            };
            model.told[0].await_call(u64::MAX);
            assert!(model.is_stopping());
            caller.join().unwrap();
        });
    }
}
