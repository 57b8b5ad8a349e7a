//! What a VM has done so far.

use std::sync::atomic::Ordering;
use std::time::Duration;

use otp_heap::{Builder, OwnedTerm};
use otp_scheduler::{RunQueueLengths, WallTime};

use crate::named_items::{atom, finish, named_items};
use crate::process::reductions_here;
use crate::vm::Vm;

/// Figures of a VM at one moment: `statistics/1`. What is counted is counted since the VM was built; what was counted
/// between two readings, which OTP keeps one of for the whole node, is [`Statistics::since`], for each reader by
/// itself.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Statistics {
    /// Collections of heaps. `statistics(garbage_collection)`.
    pub collections: u64,
    /// Words of 8 bytes that they gave back.
    pub words_reclaimed: u64,
    /// Reductions of all slices that have ended. `statistics(reductions)`.
    pub reductions: u64,
    /// The same with those of the slice in which this is asked. `statistics(exact_reductions)`, but slices that other
    /// schedulers run at the moment are not in it before they end.
    pub exact_reductions: u64,
    /// Slices: times that a scheduler went on with another process, or took the same one up again.
    /// `statistics(context_switches)`.
    pub context_switches: u64,
    /// CPU time of the program, the host's threads included. `statistics(runtime)`.
    pub runtime: Duration,
    /// Time since the VM was built. `statistics(wall_clock)`.
    pub wall_clock: Duration,
    /// Processes that are ready to run, by queue and priority: one entry for each scheduler, then the common queue, of
    /// those that were woken from outside. `statistics(run_queue_lengths)`. In a simulation, which has a queue of its
    /// own, all are 0.
    pub run_queue_lengths: Vec<RunQueueLengths>,
    /// Processes that are ready or run, by queue, as above; those with a thread of their own, since they don't give
    /// way, are in the last. `statistics(active_tasks)`. A scheduler that looks for work counts as running some.
    pub active_tasks: Vec<usize>,
    /// What each scheduler's time went into. `statistics(scheduler_wall_time)`, `statistics(microstate_accounting)`.
    ///
    /// ```
    /// # let vm = otp_vm::Vm::builder().schedulers(1).build()?;
    /// let before = vm.statistics();
    /// // ... a minute later:
    /// let spent = vm.statistics().since(&before);
    /// for (scheduler, time) in spent.scheduler_wall_time.iter().enumerate() {
    ///     println!("{scheduler}: {:.0} %", 100.0 * time.utilisation());
    /// }
    /// # Ok::<(), otp_vm::BuildError>(())
    /// ```
    pub scheduler_wall_time: Vec<WallTime>,
}

impl Statistics {
    /// Processes that are ready to run, in all queues. `statistics(run_queue)`,
    /// `statistics(total_run_queue_lengths)`.
    pub fn total_run_queue_lengths(&self) -> usize {
        self.run_queue_lengths
            .iter()
            .map(RunQueueLengths::total)
            .sum()
    }

    /// Processes that are ready or run. `statistics(total_active_tasks)`.
    pub fn total_active_tasks(&self) -> usize {
        self.active_tasks.iter().sum()
    }

    /// What was counted since an earlier reading of the same VM; lengths of queues stay what they are.
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let before = vm.statistics();
    /// vm.run(|cx| async move { cx.tick(3000).await }).wait()?;
    /// let spent = vm.statistics().since(&before);
    /// assert!(spent.exact_reductions >= 3000 && spent.context_switches >= 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn since(&self, earlier: &Statistics) -> Statistics {
        let times = self.scheduler_wall_time.iter();
        let times = times.zip(&earlier.scheduler_wall_time);
        Statistics {
            collections: self.collections.saturating_sub(earlier.collections),
            words_reclaimed: self.words_reclaimed.saturating_sub(earlier.words_reclaimed),
            reductions: self.reductions.saturating_sub(earlier.reductions),
            exact_reductions: self
                .exact_reductions
                .saturating_sub(earlier.exact_reductions),
            context_switches: self
                .context_switches
                .saturating_sub(earlier.context_switches),
            runtime: self.runtime.saturating_sub(earlier.runtime),
            wall_clock: self.wall_clock.saturating_sub(earlier.wall_clock),
            run_queue_lengths: self.run_queue_lengths.clone(),
            active_tasks: self.active_tasks.clone(),
            scheduler_wall_time: times.map(|(now, then)| now.since(*then)).collect(),
        }
    }
}

impl Vm {
    /// What the VM has done so far. Each figure is right by itself; they are read one after the other while all goes
    /// on. `statistics/1`.
    pub fn statistics(&self) -> Statistics {
        let core = self.core();
        let figures = core.scheduler.figures();
        let schedulers = figures.schedulers.iter();
        let active = schedulers
            .clone()
            .map(|scheduler| scheduler.run_queue_length + usize::from(scheduler.is_busy));
        let common = figures.injector_length + figures.bound;
        let reductions = schedulers.clone().map(|scheduler| scheduler.reductions);
        let reductions: u64 = reductions.sum();
        let own_queues = schedulers
            .clone()
            .map(|scheduler| scheduler.run_queue_lengths);
        Statistics {
            collections: core.counts.collections.load(Ordering::Relaxed),
            words_reclaimed: core.counts.words_reclaimed.load(Ordering::Relaxed),
            reductions,
            exact_reductions: reductions + reductions_here(core),
            context_switches: schedulers.clone().map(|scheduler| scheduler.slices).sum(),
            runtime: otp_scheduler::cpu_time(),
            wall_clock: Duration::from_nanos(core.scheduler.now()),
            active_tasks: active.chain([common]).collect(),
            run_queue_lengths: own_queues.chain([figures.injector_lengths]).collect(),
            scheduler_wall_time: schedulers.map(|scheduler| scheduler.wall_time).collect(),
        }
    }
}

named_items! {
    /// An item of `statistics/1`, by OTP's name.
    ///
    /// `io` is not among them: nothing counts the bytes of sockets.
    StatisticsItem
    /// A list of numbers, by queue.
    ActiveTasks "active_tasks"
    /// `{Slices, 0}`.
    ContextSwitches "context_switches"
    /// `{Total, SinceLastReading}`.
    ExactReductions "exact_reductions"
    /// `{Collections, WordsReclaimed, 0}`.
    GarbageCollection "garbage_collection"
    /// A list of maps with `type`, `id` and `counters`, in nanoseconds: `emulator` (busy), `check_io` (polling),
    /// `sleep`, and `other` (asleep while a process that does not give way had the scheduler's turn).
    MicrostateAccounting "microstate_accounting"
    /// `{Total, SinceLastReading}`.
    Reductions "reductions"
    /// A number: the sum of `run_queue_lengths`.
    RunQueue "run_queue"
    /// A list of numbers, by queue.
    RunQueueLengths "run_queue_lengths"
    /// `{Total, SinceLastReading}`, in milliseconds.
    Runtime "runtime"
    /// A list of `{Scheduler, ActiveTime, TotalTime}`, in nanoseconds.
    SchedulerWallTime "scheduler_wall_time"
    /// A number.
    TotalActiveTasks "total_active_tasks"
    /// A number.
    TotalRunQueueLengths "total_run_queue_lengths"
    /// `{Total, SinceLastReading}`, in milliseconds.
    WallClock "wall_clock"
}

impl Statistics {
    /// One item, as `statistics/1` gives it. Those that OTP gives since the last call are given since `last`, an
    /// earlier reading of the caller's; since the VM was built without one.
    ///
    /// ```
    /// # use otp_vm::{StatisticsItem, Vm};
    /// let vm = Vm::builder().schedulers(2).build()?;
    /// let item = StatisticsItem::from_name("run_queue_lengths").unwrap();
    /// assert_eq!(vm.statistics().item(item, None).to_string(), "[0,0,0]");
    /// # Ok::<(), otp_vm::BuildError>(())
    /// ```
    pub fn item(&self, item: StatisticsItem, last: Option<&Statistics>) -> OwnedTerm {
        let part = last.map_or_else(|| self.clone(), |last| self.since(last));
        let mut builder = Builder::new();
        let to = &mut builder;
        match item {
            StatisticsItem::ActiveTasks => list(to, self.active_tasks.iter().copied()),
            StatisticsItem::ContextSwitches => tuple(to, &[self.context_switches, 0]),
            StatisticsItem::ExactReductions => {
                tuple(to, &[self.exact_reductions, part.exact_reductions]);
            }
            StatisticsItem::GarbageCollection => {
                tuple(to, &[self.collections, self.words_reclaimed, 0]);
            }
            StatisticsItem::MicrostateAccounting => microstates(to, &self.scheduler_wall_time),
            StatisticsItem::Reductions => tuple(to, &[self.reductions, part.reductions]),
            StatisticsItem::RunQueue | StatisticsItem::TotalRunQueueLengths => {
                to.integer(self.total_run_queue_lengths() as i128);
            }
            StatisticsItem::RunQueueLengths => {
                list(
                    to,
                    self.run_queue_lengths.iter().map(RunQueueLengths::total),
                );
            }
            StatisticsItem::Runtime => milliseconds(to, self.runtime, part.runtime),
            StatisticsItem::SchedulerWallTime => {
                for (number, time) in (1..).zip(&self.scheduler_wall_time) {
                    let total = time.total();
                    tuple(
                        to,
                        &[number, nanoseconds(total - time.idle), nanoseconds(total)],
                    );
                }
                to.list(self.scheduler_wall_time.len());
            }
            StatisticsItem::TotalActiveTasks => {
                to.integer(self.total_active_tasks() as i128);
            }
            StatisticsItem::WallClock => milliseconds(to, self.wall_clock, part.wall_clock),
        }
        finish(builder)
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn milliseconds(builder: &mut Builder<()>, total: Duration, part: Duration) {
    let [total, part] = [total, part].map(|time| nanoseconds(time) / 1_000_000);
    tuple(builder, &[total, part]);
}

fn tuple(builder: &mut Builder<()>, numbers: &[u64]) {
    for &number in numbers {
        builder.integer(i128::from(number));
    }
    builder.tuple(numbers.len());
}

fn list(builder: &mut Builder<()>, numbers: impl ExactSizeIterator<Item = usize>) {
    let len = numbers.len();
    for number in numbers {
        builder.integer(number as i128);
    }
    builder.list(len);
}

fn microstates(builder: &mut Builder<()>, schedulers: &[WallTime]) {
    for (number, time) in (1..).zip(schedulers) {
        builder.atom(atom("type")).atom(atom("scheduler"));
        builder.atom(atom("id")).integer(number);
        builder.atom(atom("counters"));
        let counters = [
            ("emulator", time.busy),
            ("check_io", time.polling),
            ("sleep", time.idle),
            ("other", time.hosting),
        ];
        for (name, time) in counters {
            builder
                .atom(atom(name))
                .integer(i128::from(nanoseconds(time)));
        }
        builder.map(counters.len()).map(3);
    }
    builder.list(schedulers.len());
}
