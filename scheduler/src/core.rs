//! What all workers and handles of one scheduler share.

use std::any::Any;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_deque::{Injector, Stealer};
use crossbeam_utils::CachePadded;
use parking_lot::{Condvar, Mutex};

use crate::clock::Clock;
use crate::driver::Driver;
use crate::figures::{Counters, Figures};
use crate::futex;
use crate::header::Task;
use crate::idle::{Idle, Place};
use crate::monitor::Monitor;
use crate::slice;
use crate::task::Owned;
use crate::timers::{Fire, TimerKey, Timers};

/// The part of a worker that other threads reach.
#[derive(Debug)]
pub(crate) struct Remote {
    pub(crate) stealer: Stealer<Task>,
    pub(crate) timers: CachePadded<Timers>,
    pub(crate) counters: CachePadded<Counters>,
    /// What others tell the worker.
    pub(crate) told: CachePadded<Told>,
}

#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The monitor: look at timers and sockets after this slice.
    pub(crate) look: AtomicBool,
    /// It sleeps, so that its timers are for the others to fire.
    pub(crate) asleep: AtomicBool,
    /// A wake-up call, which it sleeps on.
    call: AtomicU32,
}

impl Told {
    /// Sleeps until it is called, once for all calls so far.
    pub(crate) fn await_call(&self) {
        if self.call.swap(0, Ordering::SeqCst) == 0 {
            self.asleep.store(true, Ordering::Relaxed);
            futex::wait(&self.call, 0, None);
            self.call.store(0, Ordering::SeqCst);
            self.asleep.store(false, Ordering::Relaxed);
        }
    }

    fn call(&self) {
        self.call.store(1, Ordering::SeqCst);
        futex::wake_one(&self.call);
    }
}

#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) injector: Injector<Task>,
    pub(crate) remotes: Box<[Remote]>,
    pub(crate) idle: CachePadded<Idle>,
    pub(crate) driver: Driver,
    pub(crate) monitor: Monitor,
    pub(crate) clock: Clock,
    pub(crate) owned: Owned,
    stopping: AtomicBool,
    /// Public handles; with the last one the workers are told to stop.
    handles: AtomicUsize,
    outside_wakes: AtomicU64,
    /// Worker threads that have not ended.
    left: AtomicUsize,
    names: Vec<String>,
    threads: Mutex<Threads>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct Threads {
    running: Vec<bool>,
    handles: Vec<thread::JoinHandle<()>>,
}

impl Core {
    pub(crate) fn new(stealers: Vec<Stealer<Task>>, names: Vec<String>) -> io::Result<Core> {
        let clock = Clock::new();
        let remotes: Box<[Remote]> = stealers
            .into_iter()
            .map(|stealer| Remote {
                stealer,
                timers: CachePadded::new(Timers::new()),
                counters: CachePadded::new(Counters::default()),
                told: CachePadded::default(),
            })
            .collect();
        Ok(Core {
            injector: Injector::new(),
            idle: CachePadded::new(Idle::new(remotes.len())),
            remotes,
            monitor: Monitor::default(),
            driver: Driver::new(clock)?,
            clock,
            owned: Owned::default(),
            stopping: AtomicBool::new(false),
            handles: AtomicUsize::new(1),
            outside_wakes: AtomicU64::new(0),
            left: AtomicUsize::new(names.len()),
            threads: Mutex::new(Threads {
                running: vec![true; names.len()],
                handles: Vec::new(),
            }),
            names,
            ended: Condvar::new(),
        })
    }

    // Tasks.

    /// Puts a task that is SCHEDULED where it will be run.
    #[inline]
    pub(crate) fn schedule(&self, task: Task) {
        let pushed =
            slice::with_current(|local| local.belongs_to(self).then(|| local.push_woken(task)));
        if pushed.flatten().is_none() {
            self.inject(task);
        }
    }

    fn inject(&self, task: Task) {
        self.injector.push(task);
        if self.wake_one() {
            self.outside_wakes.fetch_add(1, Ordering::Relaxed);
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
        !self.injector.is_empty() || self.remotes.iter().any(|remote| !remote.stealer.is_empty())
    }

    // Timers.

    pub(crate) fn start_timer(&self, at: u64, fire: Box<dyn Fire>) -> TimerKey {
        let worker = slice::with_current(|local| local.belongs_to(self).then(|| local.index()))
            .flatten()
            .unwrap_or(0);
        let (entry, is_next) = self.remotes[worker].timers.start(at, fire);
        if is_next {
            fence(Ordering::SeqCst);
            if self.idle.is_attended() {
                self.driver.arm(at);
            }
        }
        TimerKey {
            worker: worker as u32,
            entry,
        }
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
        for remote in &self.remotes {
            remote.told.call();
        }
        self.driver.wake();
        self.monitor.wake();
    }

    pub(crate) fn threads_started(&self, handles: Vec<thread::JoinHandle<()>>) {
        self.threads.lock().handles = handles;
    }

    /// The last thing that a worker thread does.
    pub(crate) fn thread_ended(&self, index: usize) {
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.finish();
        }
        self.threads.lock().running[index] = false;
        self.ended.notify_all();
    }

    /// For threads that never came to be, because one before them could not be made.
    pub(crate) fn threads_missing(&self, indices: std::ops::Range<usize>) {
        for index in indices {
            self.thread_ended(index);
        }
    }

    /// Lets go of everything that could hold this core in a circle, once no worker runs any more: plain tasks are
    /// cancelled, timers and wakers dropped. Tasks in the queues belong to their owners.
    fn finish(&self) {
        self.owned.cancel_all();
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
        let mut threads = self.threads.lock();
        loop {
            let others = (0..threads.running.len())
                .filter(|&index| threads.running[index] && Some(index) != own);
            let late: Vec<usize> = others.collect();
            if late.is_empty() {
                break;
            }
            let Some(until) = until else {
                self.ended.wait(&mut threads);
                continue;
            };
            if self.ended.wait_until(&mut threads, until).timed_out() {
                let names = &self.names;
                return Err(late.into_iter().map(|index| names[index].clone()).collect());
            }
        }
        if own.is_none() {
            let handles = std::mem::take(&mut threads.handles);
            drop(threads);
            for handle in handles {
                // A worker catches what its tasks throw; its own panic is on standard error already.
                let _ = handle.join();
            }
        }
        Ok(())
    }

    pub(crate) fn figures(&self) -> Figures {
        Figures {
            workers: self
                .remotes
                .iter()
                .map(|remote| remote.counters.read(remote.stealer.len()))
                .collect(),
            injector_length: self.injector.len(),
            idle: self.idle.count(),
            timers: self.remotes.iter().map(|remote| remote.timers.len()).sum(),
            sources: self.driver.sources(),
            outside_wakes: self.outside_wakes.load(Ordering::Relaxed),
        }
    }
}

/// Drops what may have a destructor of the user's.
fn drop_quietly<T>(value: T) {
    if let Err(payload) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        tracing::error!(panic = panic_text(&*payload), "a destructor panicked");
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
