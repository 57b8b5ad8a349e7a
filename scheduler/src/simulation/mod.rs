//! Simulation: tasks on one thread, in virtual time, in an order that a seed decides. The same seed does the same
//! again.
//!
//! ```
//! use std::sync::Arc;
//! use std::sync::atomic::{AtomicU64, Ordering};
//!
//! use otp_scheduler::simulation::Simulation;
//! use otp_scheduler::yield_now;
//!
//! // Reads, gives way, then writes what it made of what it read: somebody else's change in between is lost.
//! let lost_update = |simulation: &mut Simulation| {
//!     let balance = Arc::new(AtomicU64::new(0));
//!     for _ in 0..2 {
//!         let balance = Arc::clone(&balance);
//!         simulation.scheduler().spawn(async move {
//!             let seen = balance.load(Ordering::Relaxed);
//!             yield_now().await;
//!             balance.store(seen + 1, Ordering::Relaxed);
//!         });
//!     }
//!     simulation.run()?;
//!     match balance.load(Ordering::Relaxed) {
//!         2 => Ok(()),
//!         balance => Err(format!("the balance is {balance}").into()),
//!     }
//! };
//!
//! let failure = Simulation::builder().explore(0..100, lost_update).unwrap_err();
//! assert!(failure.to_string().contains("the balance is 1"));
//! // Once more, with the same end.
//! let seed = failure.seed();
//! let again = Simulation::builder().explore([seed], lost_update).unwrap_err();
//! assert_eq!(failure, again);
//! ```
//!
//! # What is simulated
//!
//! - *Order*: the next to run is any task that is ready, or any timer that is due; each is as likely. While tasks of
//!   priority max or high are ready it is one of the highest among them. Nothing else of the queues' order is kept:
//!   whatever a set of schedulers could do, one of many seeds does.
//! - *Preemption*: each slice gets a number of reductions at random, often so few that nearly each await gives way. As
//!   everywhere, a task gives way at awaits only; a [`checkpoint`](crate::checkpoint) charges.
//! - *Time*: stands still in a slice, goes on by its reductions and something at random after it, now and then by as
//!   much as a kernel that is busy elsewhere would take, and jumps to the next timer when nothing is ready.
//! - *Randomness*: [`random`](crate::random()) and [`RandomState`](crate::RandomState).
//!
//! # What is not
//!
//! - Threads: a [`blocking`](crate::blocking()) closure runs at once, in one step, and native tasks are refused.
//! - Parallelism: one thread runs everything, so there are no data races to find. (loom finds those.)
//! - The monitor, gates and bound threads. Code that never gives way never ends, and the simulation neither.
//! - Sockets and other sources of events: they answer `Unsupported`.
//! - What a program takes from elsewhere: real time, the system's random numbers, addresses, the standard `HashMap`'s
//!   order, other threads. Then a seed need not do the same again; [`Builder::replay`] finds the first step that
//!   differs.

mod explore;
mod seam;
mod trace;

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use crate::core::Core;
use crate::fire::AnyFire;
use crate::gate::MAX_GATES;
use crate::header::{Step as Slice, Task};
use crate::panics::{drop_quietly, quietly};
use crate::priority::Priority;
use crate::random::SplitMix;
use crate::scheduler::Scheduler;
use crate::seat::{Reserved, Seat};
use crate::slice::{REDUCTIONS_PER_SLICE, RESUME_REDUCTIONS};
use crate::slot::{self, Slot};
use crate::task::JoinError;
use crate::worker::{leave_off, run_slice};

pub use explore::{Failure, SEED_VARIABLE};
pub(crate) use seam::Simulated;
pub use trace::{End, Event, Step, Trace};

/// Steps of one simulation, unless set. A step takes a microsecond, so one that never ends is told within seconds.
pub const DEFAULT_MAX_STEPS: u64 = 1_000_000;

/// Steps that a trace keeps, unless set: a page of text.
pub const DEFAULT_KEPT_STEPS: usize = 40;

/// What a reduction takes: about what it takes outside, where 4000 are to be less than the millisecond of a slice.
const NS_PER_REDUCTION: u64 = 10;

/// So much more a slice takes, at most, but for one in so many, after which the kernel gives the core to others. Chosen
/// by feel: the pause is twice a slice.
const JITTER_NS: u64 = 1_000;
const SLICES_PER_PAUSE: u64 = 32;
const PAUSE_NS: u64 = 2_000_000;

/// A scheduler without threads, that runs tasks on the thread which calls [`run`](Simulation::run) and its like. See
/// the [module](self).
///
/// Between two runs time stands still. Dropping the simulation ends it: plain tasks are cancelled, timers dropped.
pub struct Simulation {
    scheduler: Scheduler,
    random: SplitMix,
    budgets: Vec<RangeInclusive<u32>>,
    max_steps: u64,
    /// Tasks that could run now.
    ready: Vec<Task>,
    /// Timers that could fire now.
    due: Vec<(u64, AnyFire)>,
    /// The numbers of tasks that are not done, by address.
    numbers: HashMap<usize, u64>,
    next_number: u64,
    trace: Trace,
}

impl fmt::Debug for Simulation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Simulation")
            .field("seed", &self.seed())
            .field("now", &self.now())
            .field("steps", &self.trace.len())
            .finish_non_exhaustive()
    }
}

/// What a run came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Outcome {
    /// Virtual time since the simulation was built.
    pub now: Duration,
    /// Tasks that wait for something, which only the caller could bring about.
    pub waiting: usize,
    /// Steps of the simulation so far.
    pub steps: u64,
}

/// Why a run did not come to its end. Its `Debug` form is its text, for tests that unwrap it.
#[derive(Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SimulationError {
    /// The future waits for something that no task and no timer will bring about.
    #[error(
        "at {now:?} of virtual time everything waits (tasks: {waiting}), and no timer is left: somebody waits for a \
         wake that never comes. The last steps:\n{trace}"
    )]
    Stalled {
        /// Virtual time since the simulation was built.
        now: Duration,
        /// Tasks that wait.
        waiting: usize,
        /// What was done.
        trace: Box<Trace>,
    },
    /// It did not end within [`Builder::max_steps`].
    #[error(
        "no end after {limit} steps: a task wakes itself for ever, or the work is long; `max_steps` sets the limit. \
         The last steps:\n{trace}"
    )]
    TooManySteps {
        /// The limit.
        limit: u64,
        /// What was done.
        trace: Box<Trace>,
    },
    /// The future panicked; the text is the panic's.
    #[error("the simulated future panicked: {0}")]
    Panicked(String),
    /// A task called [`Scheduler::stop`].
    #[error("the simulation's scheduler was stopped before the future was ready")]
    Stopped,
    /// The thread runs tasks already, those of another scheduler or of this one.
    #[error("a simulation can't run on a thread that runs tasks; run it on a thread of its own")]
    OnSchedulerThread,
    /// There are as many threads that run tasks as may be, of all schedulers of the program together.
    #[error(
        "all {limit} gates of the program are in use, and a thread that runs a simulation needs one: end native tasks, or \
         other schedulers"
    )]
    Gates {
        /// [`MAX_GATES`].
        limit: usize,
    },
}

impl fmt::Debug for SimulationError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Makes [`Simulation`]s that differ in nothing but the seed, and tries many.
#[derive(Clone, Debug)]
pub struct Builder {
    name: String,
    budgets: Vec<RangeInclusive<u32>>,
    max_steps: u64,
    keep_steps: usize,
}

impl Default for Builder {
    fn default() -> Builder {
        Builder {
            name: "simulation".to_owned(),
            // Three slices of four are tiny.
            budgets: vec![
                1..=50,
                1..=50,
                1..=50,
                REDUCTIONS_PER_SLICE..=REDUCTIONS_PER_SLICE,
            ],
            max_steps: DEFAULT_MAX_STEPS,
            keep_steps: DEFAULT_KEPT_STEPS,
        }
    }
}

impl Builder {
    /// Reductions of a slice: one of the ranges, each as likely, then any number in it. Tiny slices explore more.
    /// Default: three times 1 to 50, once [`REDUCTIONS_PER_SLICE`].
    pub fn budgets(mut self, ranges: impl IntoIterator<Item = RangeInclusive<u32>>) -> Builder {
        self.budgets = ranges.into_iter().collect();
        self
    }

    /// Steps of one simulation at most: slices, timers that fire, and tasks that become ready. Default:
    /// [`DEFAULT_MAX_STEPS`].
    pub fn max_steps(mut self, steps: u64) -> Builder {
        self.max_steps = steps;
        self
    }

    /// Steps that a trace keeps; of those before it only the hash counts. Default: [`DEFAULT_KEPT_STEPS`].
    pub fn keep_steps(mut self, steps: usize) -> Builder {
        self.keep_steps = steps;
        self
    }

    /// The scheduler's name.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.name = name.into();
        self
    }

    /// A simulation that has done nothing yet, at time nought.
    ///
    /// # Errors
    ///
    /// `InvalidInput` without a range of budgets, or with one that is empty; what the system says to a descriptor.
    pub fn build(&self, seed: u64) -> io::Result<Simulation> {
        if self.budgets.is_empty() || self.budgets.iter().any(RangeInclusive::is_empty) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "a simulation's slices need budgets: give `budgets` ranges like 1..=50",
            ));
        }
        Ok(Simulation {
            scheduler: Scheduler::simulated(self.name.clone(), seed)?,
            random: SplitMix::new(seed),
            budgets: self.budgets.clone(),
            max_steps: self.max_steps,
            ready: Vec::new(),
            due: Vec::new(),
            numbers: HashMap::new(),
            next_number: 0,
            trace: Trace::new(self.keep_steps),
        })
    }
}

impl Simulation {
    /// A builder with the defaults.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// A simulation with the defaults.
    ///
    /// # Errors
    ///
    /// What the system says to a descriptor.
    pub fn new(seed: u64) -> io::Result<Simulation> {
        Builder::default().build(seed)
    }

    /// The scheduler, to spawn tasks and start timers on. They run when the simulation does.
    pub fn scheduler(&self) -> &Scheduler {
        &self.scheduler
    }

    /// What decides all.
    pub fn seed(&self) -> u64 {
        let simulated = self.scheduler.core().simulated.as_deref();
        simulated.map_or(0, Simulated::seed)
    }

    /// Virtual time since the simulation was built.
    pub fn now(&self) -> Duration {
        Duration::from_nanos(self.scheduler.now())
    }

    /// What was done so far.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// Runs until no task is ready and no timer is left.
    ///
    /// # Errors
    ///
    /// [`SimulationError::TooManySteps`], [`SimulationError::Stopped`], [`SimulationError::OnSchedulerThread`].
    pub fn run(&mut self) -> Result<Outcome, SimulationError> {
        self.run_until(u64::MAX)
    }

    /// Runs for so much virtual time, which passes even if there is nothing to do.
    ///
    /// # Errors
    ///
    /// As for [`Simulation::run`].
    pub fn run_for(&mut self, duration: Duration) -> Result<Outcome, SimulationError> {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        self.run_until(self.scheduler.now().saturating_add(nanoseconds))
    }

    /// Runs a future to its end, and everything else meanwhile.
    ///
    /// # Errors
    ///
    /// Each [`SimulationError`]. The future is left in the simulation then, unless it panicked.
    pub fn block_on<F>(&mut self, future: F) -> Result<F::Output, SimulationError>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        if slot::current().is_some() {
            return Err(SimulationError::OnSchedulerThread);
        }
        let handle = self.scheduler.spawn(future);
        self.go(u64::MAX, || handle.is_finished())?;
        match handle.wait() {
            Ok(output) => Ok(output),
            Err(JoinError::Panicked(text)) => Err(SimulationError::Panicked(text)),
            Err(JoinError::Cancelled) => Err(SimulationError::Stopped),
            // Not finished, and nothing left that could run.
            Err(JoinError::Simulated | JoinError::WouldBlock | JoinError::NoScheduler) => {
                Err(SimulationError::Stalled {
                    now: self.now(),
                    waiting: self.waiting(),
                    trace: Box::new(self.trace.clone()),
                })
            }
        }
    }

    fn run_until(&mut self, until: u64) -> Result<Outcome, SimulationError> {
        self.go(until, || false)?;
        Ok(Outcome {
            now: self.now(),
            waiting: self.waiting(),
            steps: self.trace.len(),
        })
    }

    fn waiting(&self) -> usize {
        self.numbers.len() - self.ready.len()
    }

    /// Runs until `is_enough`, until the time is there, or until there is nothing to run any more.
    fn go(&mut self, until: u64, is_enough: impl Fn() -> bool) -> Result<(), SimulationError> {
        if slot::current().is_some() {
            return Err(SimulationError::OnSchedulerThread);
        }
        let core = Arc::clone(self.scheduler.core());
        let reserved = Reserved::take().map_err(|_| SimulationError::Gates { limit: MAX_GATES })?;
        let seat = Seat::take(reserved, &core);
        loop {
            self.take_in(&core);
            if is_enough() {
                return Ok(());
            }
            if core.is_stopping() {
                return Err(SimulationError::Stopped);
            }
            let now = core.clock.now();
            if now >= until {
                return Ok(());
            }
            if self.ready.is_empty() && self.due.is_empty() {
                let next = core.next_deadline();
                if next == u64::MAX || next >= until {
                    if until < u64::MAX {
                        core.clock.set(until);
                    }
                    return Ok(());
                }
                core.clock.set(next);
                continue;
            }
            if self.trace.len() >= self.max_steps {
                return Err(SimulationError::TooManySteps {
                    limit: self.max_steps,
                    trace: Box::new(self.trace.clone()),
                });
            }
            let first = self.first_class();
            let tasks = self.ready.iter().filter(|&&task| first(task)).count();
            let chosen = self.random.below((tasks + self.due.len()) as u64) as usize;
            match chosen.checked_sub(tasks) {
                None => {
                    let mut places = (0..self.ready.len()).filter(|&at| first(self.ready[at]));
                    let place = places.nth(chosen).expect("so many were counted");
                    let task = self.ready.swap_remove(place);
                    self.run_slice(&core, seat.slot(), task);
                }
                Some(chosen) => {
                    let (deadline, fire) = self.due.swap_remove(chosen);
                    self.fire(&core, deadline, fire);
                }
            }
        }
    }

    /// Who may be next: any, or while tasks of priority max or high are ready, any of the highest among them.
    fn first_class(&self) -> impl Fn(Task) -> bool + use<> {
        let highest = self.ready.iter().map(|task| task.priority()).max();
        let at_least = highest.filter(|&highest| highest > Priority::Normal);
        move |task| at_least.is_none_or(|at_least| task.priority() >= at_least)
    }

    /// Takes in tasks that became ready, and timers that became due.
    fn take_in(&mut self, core: &Core) {
        let now = core.clock.now();
        if let Some(simulated) = &core.simulated {
            let known = self.ready.len();
            simulated.take(&mut self.ready);
            for index in known..self.ready.len() {
                let task = self.number(self.ready[index]);
                self.trace.add(now, Event::Ready { task });
            }
        }
        // Also to learn the next deadline exactly, after a cancel.
        for remote in &core.remotes {
            while remote.timers.take_due(now, &mut self.due) {}
        }
    }

    fn number(&mut self, task: Task) -> u64 {
        *self.numbers.entry(task.0.addr().get()).or_insert_with(|| {
            self.next_number += 1;
            self.next_number - 1
        })
    }

    fn run_slice(&mut self, core: &Core, slot: &'static Slot, task: Task) {
        let at = core.clock.now();
        let number = self.number(task);
        let budget = self.budget();
        // What the resumption costs comes on top, or else a tiny slice would be over before it began.
        slot.reductions()
            .new_slice(i64::from(budget) + i64::from(RESUME_REDUCTIONS));
        let before = slot.reductions().left();
        let step = run_slice(core, slot, task);
        let used = (before - slot.reductions().left()).max(0) as u64;
        let end = match (step, leave_off(task, step)) {
            (Slice::Done, _) => End::Done,
            (Slice::Yield, _) => End::Yields,
            (Slice::Idle, true) => End::Woken,
            (Slice::Idle, false) => End::Waits,
        };
        match end {
            End::Done => {
                self.numbers.remove(&task.0.addr().get());
            }
            End::Woken | End::Yields => self.ready.push(task),
            End::Waits => {}
        }
        for remote in &core.remotes {
            remote.counters.slices.add(1);
            remote.counters.reductions.add(used);
        }
        self.trace.add(
            at,
            Event::Slice {
                task: number,
                budget,
                used: used.saturating_sub(u64::from(RESUME_REDUCTIONS)),
                end,
            },
        );
        self.pass_time(core, used);
    }

    fn budget(&mut self) -> u32 {
        let which = self.random.below(self.budgets.len() as u64) as usize;
        let (least, most) = (*self.budgets[which].start(), *self.budgets[which].end());
        least + self.random.below(u64::from(most - least) + 1) as u32
    }

    fn pass_time(&mut self, core: &Core, reductions: u64) {
        let jitter = if self.random.below(SLICES_PER_PAUSE) == 0 {
            PAUSE_NS
        } else {
            JITTER_NS
        };
        let passed = reductions * NS_PER_REDUCTION + self.random.below(jitter);
        // The last instant never comes: timers for it are those that never fire.
        let now = core.clock.now().saturating_add(passed);
        core.clock.set(now.min(u64::MAX - 1));
    }

    fn fire(&mut self, core: &Core, deadline: u64, fire: AnyFire) {
        let now = core.clock.now();
        self.trace.add(now, Event::Timer { deadline });
        let went_well = quietly("a timer", || fire.fire(now));
        for remote in &core.remotes {
            remote.counters.timers_fired.add(1);
            remote.counters.panics.add(u64::from(!went_well));
        }
    }
}

/// True on a thread that runs a simulation, in its tasks and timers.
pub fn is_running() -> bool {
    slot::with_core(|core| core.simulated.is_some()).unwrap_or(false)
}

impl Drop for Simulation {
    fn drop(&mut self) {
        let core = self.scheduler.core();
        // Nobody is in a slice of ours: that would take the mutable borrow of a run. So what the tasks hold may go.
        core.stop();
        for (_, fire) in self.due.drain(..) {
            drop_quietly(fire);
        }
        core.worker_ended(0);
    }
}
