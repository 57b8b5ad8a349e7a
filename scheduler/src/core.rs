//! What all workers and handles of one scheduler share.

use std::io;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;

use crate::blocking::Pool;
use crate::bound::Bound;
use crate::builder::Settings;
use crate::clock::Clock;
use crate::driver::Driver;
use crate::figures::{Counters, Figures};
use crate::fire::AnyFire;
use crate::header::Task;
use crate::idle::{Idle, Place};
use crate::lock::{Condvar, Mutex, section};
use crate::long::LongSlices;
use crate::monitor::Monitor;
use crate::native::{NOT_MADE, Natives};
use crate::notices::Notices;
use crate::offenders::Offenders;
use crate::online::Online;
use crate::panics::drop_quietly;
use crate::pins::Pins;
use crate::run_queue::{Injectors, Lane, Stealers};
use crate::simulation::Simulated;
use crate::slice;
use crate::slot::{self, Slot};
use crate::task::Owned;
use crate::threads::Threads;
use crate::timers::{TimerKey, Timers};
use crate::told::Told;
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
    /// Times that a scheduler was taken from a thread, was given away by one, and should have been taken but for a
    /// limit.
    pub(crate) taken_away: AtomicU64,
    pub(crate) given_away: AtomicU64,
    pub(crate) held_up: AtomicU64,
    /// Times that all gates were opened, since a scheduler waited for something.
    pub(crate) emergencies: AtomicU64,
    pub(crate) notices: Notices,
    /// Schedulers that have not ended.
    running: Mutex<Vec<bool>>,
    ended: Condvar,
    /// Schedulers that have not ended, bound threads, and native tasks.
    left: AtomicUsize,
}

impl Core {
    pub(crate) fn new(
        stealers: Vec<Stealers>,
        settings: Settings,
        pins: Pins,
        seed: Option<u64>,
    ) -> io::Result<Core> {
        let simulated = seed.map(|seed| Box::new(Simulated::new(seed)));
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
            threads: Threads::default(),
            bound: Bound::new(&settings, pins),
            blocking: Pool::new(settings.blocking),
            natives: Natives::new(settings.max_native),
            offenders: Offenders::default(),
            long: LongSlices::new(settings.long_schedule, settings.long_schedule_queue),
            name: settings.name,
            #[cfg(feature = "tokio")]
            tokio: settings.tokio,
            taken_away: AtomicU64::new(0),
            given_away: AtomicU64::new(0),
            held_up: AtomicU64::new(0),
            emergencies: AtomicU64::new(0),
            notices: Notices::default(),
            left: AtomicUsize::new(workers),
            running: Mutex::new(vec![true; workers]),
            ended: Condvar::new(),
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// By a thread that is about to run code of the program's: while what this gives lives, tokio's libraries find
    /// their runtime on it.
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
    /// thread made to wait between the two would keep the task from all other wakers. True if it went into a queue.
    #[inline]
    pub(crate) fn schedule_if(&self, task: Task, change: impl FnOnce() -> bool) -> bool {
        let Some(slot) = slot::current() else {
            let goes = change() && !self.wake_native(task);
            if goes {
                self.inject(task);
            }
            return goes;
        };
        let _section = slot.enter();
        if !change() || self.wake_native(task) {
            return false;
        }
        match slot.local() {
            Some(local) if local.belongs_to(self) => local.push_woken(task, slot),
            _ => self.inject(task),
        }
        true
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

    /// A task was queued in that lane.
    #[inline]
    pub(crate) fn note(&self, lane: Lane) {
        if lane.is_urgent() {
            self.unusual.note(Matter::Urgent);
        }
    }

    /// Tasks of all lanes moved from one queue to another.
    pub(crate) fn note_if_urgent(&self) {
        if self.has_urgent() {
            self.unusual.note(Matter::Urgent);
        }
    }

    /// True if a task of priority max or high stands in some queue.
    pub(crate) fn has_urgent(&self) -> bool {
        self.injectors.has_urgent()
            || self
                .remotes
                .iter()
                .any(|remote| remote.stealers.has_urgent())
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

    /// Lets go of everything that could hold this core in a circle, once no thread runs a task any more: plain tasks
    /// are cancelled, timers and wakers dropped. Tasks in the queues belong to their owners.
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
            schedulers: self
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
            unanswered: self.bound.unanswered(),
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
