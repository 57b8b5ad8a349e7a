//! The run queue of one worker: who of those that want to run is next.
//!
//! It has five lanes, each first in, first out, each open to thieves:
//!
//! | lane    | tasks                                            | its turn                                           |
//! |---------|--------------------------------------------------|----------------------------------------------------|
//! | MAX     | of priority max                                  | before all others                                  |
//! | HIGH    | of priority high                                 | before all but MAX                                 |
//! | WOKEN   | normal ones that come from waiting, or are new   | before YIELDED, within its share                   |
//! | YIELDED | normal ones whose slice was over, or that yielded | first when WOKEN has had its share                |
//! | LOW     | of priority low                                  | each task an eighth as often as each normal one    |
//!
//! *WOKEN before YIELDED.* Who waits for an event shall not wait for everyone's whole slice after it: with a hundred
//! loops, each of which uses its slice up, that made 650 us of a ticker's 650 us. Its share keeps it honest: the two
//! lanes are charged with the reductions that their slices use, and WOKEN goes first only while it has used no more
//! than a slice beyond its part. That is half, or more if it has more tasks than YIELDED: its part in a plain queue. (A
//! chain of tasks that wake each other through the run-next slot is in YIELDED after its first slice: see `worker.rs`.)
//!
//! *LOW.* OTP passes over a low process seven times of eight. The same comes of counting: each normal slice brings each
//! low task an eighth of a turn, divided by the number of the normal ones.

use std::cell::Cell;
use std::iter;

use crossbeam_deque::{Injector, Steal, Stealer, Worker};

use crate::figures::RunQueueLengths;
use crate::header::Task;
use crate::priority::Priority;
use crate::slice::REDUCTIONS_PER_SLICE;

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lane {
    Max,
    High,
    Woken,
    Yielded,
    Low,
}

const LANES: [Lane; 5] = [Lane::Max, Lane::High, Lane::Woken, Lane::Yielded, Lane::Low];

const URGENT: [Lane; 2] = [Lane::Max, Lane::High];

/// Turns of a normal task for one of a low one.
const TURNS_FOR_A_LOW_ONE: usize = 8;

/// Where a task comes from when it is queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// It waited, or is new.
    Waiting,
    /// It ran.
    Running,
}

impl Lane {
    #[inline]
    pub(crate) fn is_urgent(self) -> bool {
        URGENT.contains(&self)
    }

    #[inline]
    fn of(task: Task, origin: Origin) -> Lane {
        match (task.priority(), origin) {
            (Priority::Normal, Origin::Waiting) => Lane::Woken,
            (Priority::Normal, Origin::Running) => Lane::Yielded,
            (Priority::Low, _) => Lane::Low,
            (Priority::High, _) => Lane::High,
            (Priority::Max, _) => Lane::Max,
        }
    }
}

/// The worker's end.
pub(crate) struct RunQueue {
    lanes: [Worker<Task>; 5],
    /// Reductions that WOKEN has used beyond its part.
    ahead: Cell<i64>,
    /// Turns that low tasks have coming, times the number of eighths that make one.
    low_due: Cell<usize>,
}

/// The end of everybody else.
#[derive(Debug)]
pub(crate) struct Stealers([Stealer<Task>; 5]);

impl RunQueue {
    pub(crate) fn new() -> RunQueue {
        RunQueue {
            lanes: LANES.map(|_| Worker::new_fifo()),
            ahead: Cell::new(0),
            low_due: Cell::new(0),
        }
    }

    pub(crate) fn stealers(&self) -> Stealers {
        Stealers(LANES.map(|lane| self.lane(lane).stealer()))
    }

    fn lane(&self, lane: Lane) -> &Worker<Task> {
        &self.lanes[lane as usize]
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.iter().all(Worker::is_empty)
    }

    pub(crate) fn len(&self) -> usize {
        self.lanes.iter().map(Worker::len).sum()
    }

    /// True if a task of priority max or high waits, here or in the common queue.
    pub(crate) fn has_urgent(&self, injectors: &Injectors) -> bool {
        URGENT.iter().any(|&lane| !self.lane(lane).is_empty()) || injectors.has_urgent()
    }

    /// True if a normal task waits that comes from waiting.
    pub(crate) fn has_woken(&self, injectors: &Injectors) -> bool {
        !self.lane(Lane::Woken).is_empty() || !injectors.lanes[Lane::Woken as usize].is_empty()
    }

    #[inline]
    pub(crate) fn push(&self, task: Task, origin: Origin) -> Lane {
        let lane = Lane::of(task, origin);
        self.lane(lane).push(task);
        lane
    }

    /// Moves everything into the common queue. Nothing from outside comes into YIELDED, so normal tasks whose slice was
    /// over come into WOKEN there, this once.
    pub(crate) fn move_to(&self, injectors: &Injectors) {
        for lane in LANES {
            while let Some((task, _)) = self.pop_from(lane) {
                injectors.push(task);
            }
        }
    }

    /// The next of priority max or high.
    pub(crate) fn pop_urgent(&self) -> Option<(Task, Lane)> {
        self.pop_from(Lane::Max)
            .or_else(|| self.pop_from(Lane::High))
    }

    /// The next of the others. What was woken from outside stands behind what was woken here.
    #[inline]
    pub(crate) fn pop(&self, injectors: &Injectors) -> Option<(Task, Lane)> {
        if self.low_due.get() > 0
            && self.is_low_due()
            && let Some(low) = self.pop_from(Lane::Low)
        {
            return Some(low);
        }
        let woken = || {
            self.pop_from(Lane::Woken)
                .or_else(|| self.take_from(injectors, Lane::Woken))
        };
        let found = if self.ahead.get() < i64::from(REDUCTIONS_PER_SLICE) {
            woken().or_else(|| self.pop_from(Lane::Yielded))
        } else {
            self.pop_from(Lane::Yielded).or_else(woken)
        };
        found.or_else(|| self.pop_from(Lane::Low))
    }

    #[inline]
    fn pop_from(&self, lane: Lane) -> Option<(Task, Lane)> {
        Some((self.lane(lane).pop()?, lane))
    }

    fn normal_len(&self) -> usize {
        self.lane(Lane::Woken).len() + self.lane(Lane::Yielded).len()
    }

    #[cold]
    fn is_low_due(&self) -> bool {
        let turn = TURNS_FOR_A_LOW_ONE * self.normal_len().max(1);
        if self.lane(Lane::Low).is_empty() {
            self.low_due.set(0);
        }
        let rest = self.low_due.get().checked_sub(turn);
        self.low_due.set(rest.unwrap_or(self.low_due.get()));
        rest.is_some()
    }

    /// After a slice that began with a task out of that lane.
    #[inline]
    pub(crate) fn charge(&self, lane: Lane, reductions: i64) {
        match lane {
            Lane::Woken => {
                let (woken, yielded) =
                    (self.lane(Lane::Woken).len(), self.lane(Lane::Yielded).len());
                let ahead = match woken.checked_div(yielded) {
                    // Nobody else wants a part.
                    None => 0,
                    Some(times) => self.ahead.get() + reductions / times.max(1) as i64,
                };
                self.ahead
                    .set(ahead.min(2 * i64::from(REDUCTIONS_PER_SLICE)));
            }
            Lane::Yielded => self.ahead.set((self.ahead.get() - reductions).max(0)),
            _ => {}
        }
        if matches!(lane, Lane::Woken | Lane::Yielded) && !self.lane(Lane::Low).is_empty() {
            self.bring_low_closer();
        }
    }

    #[cold]
    fn bring_low_closer(&self) {
        let low = self.lane(Lane::Low).len();
        // No more than a turn for each: what was not used is not saved up.
        let most = TURNS_FOR_A_LOW_ONE * (self.normal_len() + 1) * low;
        self.low_due.set((self.low_due.get() + low).min(most));
    }

    /// What is in the common queue: up to half of a lane at a time.
    pub(crate) fn take_injected(&self, injectors: &Injectors) -> Option<(Task, Lane)> {
        let mut lanes = INJECTED.into_iter();
        lanes.find_map(|lane| self.take_from(injectors, lane))
    }

    /// The same for what is of priority max or high.
    pub(crate) fn take_injected_urgent(&self, injectors: &Injectors) -> Option<(Task, Lane)> {
        self.take_from(injectors, Lane::Max)
            .or_else(|| self.take_from(injectors, Lane::High))
    }

    /// Low tasks from outside come into the lane here, where they count: those of other lanes may never end.
    pub(crate) fn take_injected_low(&self, injectors: &Injectors) {
        let injector = &injectors.lanes[Lane::Low as usize];
        if !injector.is_empty() {
            // If another takes some at this moment, they are that one's.
            let _ = injector.steal_batch(self.lane(Lane::Low));
        }
    }

    fn take_from(&self, injectors: &Injectors, lane: Lane) -> Option<(Task, Lane)> {
        let injector = &injectors.lanes[lane as usize];
        if injector.is_empty() {
            return None;
        }
        let task = retried(|| injector.steal_batch_and_pop(self.lane(lane)))?;
        Some((task, lane))
    }

    /// What another has: up to half of a lane.
    pub(crate) fn steal(&self, victim: &Stealers) -> Option<(Task, Lane)> {
        victim.0.iter().zip(LANES).find_map(|(stealer, lane)| {
            let task = retried(|| stealer.steal_batch_and_pop(self.lane(lane)))?;
            Some((task, lane))
        })
    }

    /// Takes tasks out of lanes that have over twice as many there as here. True if some came over.
    pub(crate) fn balance(&self, other: &Stealers) -> bool {
        let mut some = false;
        for (stealer, lane) in other.0.iter().zip(LANES) {
            if stealer.len() > 2 * self.lane(lane).len() + 2 {
                some |= stealer.steal_batch(self.lane(lane)).is_success();
            }
        }
        some
    }
}

impl Stealers {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.iter().all(Stealer::is_empty)
    }

    pub(crate) fn has_urgent(&self) -> bool {
        URGENT.iter().any(|&lane| !self.0[lane as usize].is_empty())
    }

    pub(crate) fn lengths(&self) -> RunQueueLengths {
        lengths(|lane| self.0[lane as usize].len())
    }
}

/// The common queue: tasks woken from outside, by priority.
#[derive(Debug)]
pub(crate) struct Injectors {
    /// One for each lane; nothing from outside comes into YIELDED.
    lanes: [Injector<Task>; 5],
}

const INJECTED: [Lane; 4] = [Lane::Max, Lane::High, Lane::Woken, Lane::Low];

impl Injectors {
    pub(crate) fn new() -> Injectors {
        Injectors {
            lanes: LANES.map(|_| Injector::new()),
        }
    }

    pub(crate) fn push(&self, task: Task) -> Lane {
        let lane = Lane::of(task, Origin::Waiting);
        self.lanes[lane as usize].push(task);
        lane
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lanes.iter().all(Injector::is_empty)
    }

    pub(crate) fn has_urgent(&self) -> bool {
        URGENT
            .iter()
            .any(|&lane| !self.lanes[lane as usize].is_empty())
    }

    pub(crate) fn lengths(&self) -> RunQueueLengths {
        lengths(|lane| self.lanes[lane as usize].len())
    }
}

fn lengths(of: impl Fn(Lane) -> usize) -> RunQueueLengths {
    RunQueueLengths {
        max: of(Lane::Max),
        high: of(Lane::High),
        normal: of(Lane::Woken) + of(Lane::Yielded),
        low: of(Lane::Low),
    }
}

/// Tries again for as long as another thief was in the way.
fn retried(mut steal: impl FnMut() -> Steal<Task>) -> Option<Task> {
    iter::repeat_with(&mut steal)
        .find(|result| !result.is_retry())
        .and_then(Steal::success)
}
