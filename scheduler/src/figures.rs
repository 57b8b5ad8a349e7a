//! What the scheduler counts about itself. Each scheduler writes its own line with plain stores; readers get a picture
//! that is right for each figure and only roughly so between them.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Clock;
use crate::long::{LongSlice, Mark};
use crate::microstates::{Microstates, WallTime};

/// Figures of a whole scheduler, as [`Scheduler::figures`](crate::Scheduler::figures) gives them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// One entry for each scheduler, which is a worker thread of the set.
    pub schedulers: Vec<SchedulerFigures>,
    /// Tasks that wait in the common queue (woken from outside).
    pub injector_length: usize,
    /// The same by priority.
    pub injector_lengths: RunQueueLengths,
    /// Schedulers that wait for something to do.
    pub idle: usize,
    /// Schedulers that have gone offline
    /// ([`Scheduler::set_schedulers_online`](crate::Scheduler::set_schedulers_online)).
    pub offline: usize,
    /// Times that the system refused to pin a thread to its scheduler's core ([`Builder::pin`](crate::Builder::pin)):
    /// the cores that the process may use were changed since the scheduler was built.
    pub pins_refused: u64,
    /// Timers that are started and neither fired nor cancelled.
    pub timers: usize,
    /// Sources registered for readiness.
    pub sources: usize,
    /// Wake-ups of an idle scheduler asked for by threads of others.
    pub outside_wakes: u64,
    /// Threads bound to tasks that don't give way, and those of native tasks that don't wait.
    pub bound: usize,
    /// Those of them that were let go ([`Scheduler::condemn`](crate::Scheduler::condemn)): their tasks count as ended
    /// for everybody else, and they get the lowest share.
    pub condemned: usize,
    /// Times that a scheduler was taken from a thread whose task did not give way.
    pub taken_away: u64,
    /// Times that such a thread did not come to its gate in some 20 ms: its code masks the signal, and runs on behind
    /// no gate until it gives way, or it got no core.
    pub unanswered: u64,
    /// Times that a thread gave its scheduler away at a [`checkpoint`](crate::checkpoint).
    pub given_away: u64,
    /// Looks of the monitor (one in a millisecond) that found such a task, but the limit of bound threads reached.
    pub held_up: u64,
    /// Times that all bound threads were let go on for a moment, since a scheduler waited for a lock that one of them
    /// may have held.
    pub emergencies: u64,
    /// Slices that lasted for a millisecond or more, as far as the monitor saw, and have ended.
    pub long_slices: u64,
    /// The longest of them, or one that goes on and is longer, since the scheduler was built or
    /// [`Scheduler::forget_longest_slice`](crate::Scheduler::forget_longest_slice) was called. Native tasks have no
    /// slices.
    pub longest_slice: Option<LongSlice>,
    /// Long slices that the handler of [`Builder::long_schedule`](crate::Builder::long_schedule) never heard of, since
    /// too many waited for it.
    pub long_slices_lost: u64,
    /// The same of tasks that were bound.
    pub bound_panics: u64,
    /// Native tasks.
    pub native: usize,
    /// Threads of the blocking pool.
    pub blocking_threads: usize,
    /// Closures that run on them.
    pub blocking_busy: usize,
    /// Closures that wait for one of them.
    pub blocking_queued: usize,
}

/// Figures of one scheduler, counted since the scheduler was built unless said otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SchedulerFigures {
    /// Slices run: resumptions of a task, those out of the run-next slot too, and those that it was taken away from.
    pub slices: u64,
    /// Reductions charged.
    pub reductions: u64,
    /// Successful steals out of another's queue (a steal takes up to half of it).
    pub steals: u64,
    /// Times that it slept: in the poller, on its futex, or while a bound thread had its turn.
    pub parks: u64,
    /// Wake-ups of an idle scheduler that it asked for.
    pub wakes: u64,
    /// Events of sockets and other sources that it took from the poller.
    pub events: u64,
    /// Timers that it fired.
    pub timers_fired: u64,
    /// Panics that left a task's `run`, a timer's `fire`, a waker, or the handler of
    /// [`Builder::long_schedule`](crate::Builder::long_schedule).
    pub panics: u64,
    /// Tasks in its queue now, without the one in the run-next slot. Mirrors `statistics(run_queue_lengths)`.
    pub run_queue_length: usize,
    /// The same by priority.
    pub run_queue_lengths: RunQueueLengths,
    /// It runs a task, or looks for one. Mirrors what `statistics(active_tasks)` counts beside the queue.
    pub is_busy: bool,
    /// What its time went into. Mirrors `statistics(scheduler_wall_time)`.
    pub wall_time: WallTime,
}

/// Tasks in a queue, by their priority at the time they were queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RunQueueLengths {
    /// Of priority max.
    pub max: usize,
    /// Of priority high.
    pub high: usize,
    /// Of priority normal.
    pub normal: usize,
    /// Of priority low.
    pub low: usize,
}

impl RunQueueLengths {
    /// All of them.
    pub fn total(&self) -> usize {
        self.max + self.high + self.normal + self.low
    }
}

/// A counter written by one thread only: an addition without a locked instruction.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    /// Gives the sum.
    #[inline]
    pub(crate) fn add(&self, n: u64) -> u64 {
        let sum = self.0.load(Ordering::Relaxed).wrapping_add(n);
        self.0.store(sum, Ordering::Relaxed);
        sum
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) slices: Counter,
    pub(crate) reductions: Counter,
    pub(crate) steals: Counter,
    pub(crate) parks: Counter,
    pub(crate) wakes: Counter,
    pub(crate) events: Counter,
    pub(crate) timers_fired: Counter,
    pub(crate) panics: Counter,
    pub(crate) time: Microstates,
    /// The monitor's; it writes rarely.
    pub(crate) long: Mark,
}

impl Counters {
    pub(crate) fn read(
        &self,
        run_queue_lengths: RunQueueLengths,
        clock: &Clock,
    ) -> SchedulerFigures {
        SchedulerFigures {
            slices: self.slices.get(),
            reductions: self.reductions.get(),
            steals: self.steals.get(),
            parks: self.parks.get(),
            wakes: self.wakes.get(),
            events: self.events.get(),
            timers_fired: self.timers_fired.get(),
            panics: self.panics.get(),
            run_queue_length: run_queue_lengths.total(),
            run_queue_lengths,
            is_busy: self.time.is_busy(),
            wall_time: self.time.read(|| clock.now()),
        }
    }
}
