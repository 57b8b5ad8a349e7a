//! What a simulation did, step by step.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::random::mix;

/// The steps of a simulation: how many, a hash of all, and the last ones themselves. Printed, it is a line for each
/// kept step.
///
/// Two runs that did the same have equal traces. Nothing in a trace depends on where in memory anything lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    steps: VecDeque<Step>,
    keep: usize,
    count: u64,
    hash: u64,
}

/// One step of a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Step {
    /// Its number, from 0.
    pub number: u64,
    /// Virtual time when it began, in nanoseconds since the simulation was built.
    pub at: u64,
    /// What it was.
    pub event: Event,
}

/// What happened in a step. Tasks are numbered from 0 in the order in which they became ready first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Event {
    /// A task was woken, or is new.
    Ready {
        /// Its number.
        task: u64,
    },
    /// A task ran.
    Slice {
        /// Its number.
        task: u64,
        /// Reductions that it was given.
        budget: u32,
        /// Reductions that it charged, what its resumption costs apart.
        used: u64,
        /// How its slice ended.
        end: End,
    },
    /// A timer fired.
    Timer {
        /// When it was due, in nanoseconds of virtual time.
        deadline: u64,
    },
}

/// How a slice ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum End {
    /// The task waits for a wake.
    Waits,
    /// The task would wait, but was woken while it ran: by another, or by itself, as in `yield_now`.
    Woken,
    /// The task gave way and wants to go on.
    Yields,
    /// The task is done.
    Done,
}

impl Trace {
    pub(super) fn new(keep: usize) -> Trace {
        Trace {
            steps: VecDeque::new(),
            keep,
            count: 0,
            hash: 0,
        }
    }

    /// Steps so far.
    pub fn len(&self) -> u64 {
        self.count
    }

    /// True before the first step.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// A hash of all steps, those too that are not kept any more. The same in each run of the same program.
    pub fn hash(&self) -> u64 {
        self.hash
    }

    /// The last steps, as many as are kept.
    pub fn last_steps(&self) -> impl ExactSizeIterator<Item = &Step> {
        self.steps.iter()
    }

    pub(super) fn add(&mut self, at: u64, event: Event) {
        let step = Step {
            number: self.count,
            at,
            event,
        };
        self.count += 1;
        let words = match event {
            Event::Ready { task } => [0, task, 0, 0],
            Event::Slice {
                task,
                budget,
                used,
                end,
            } => [1 + end as u64, task, u64::from(budget), used],
            Event::Timer { deadline } => [5, deadline, 0, 0],
        };
        for word in [at].into_iter().chain(words) {
            self.hash = mix(self.hash ^ word).wrapping_add(1);
        }
        if self.steps.len() >= self.keep {
            self.steps.pop_front();
        }
        if self.keep > 0 {
            self.steps.push_back(step);
        }
    }

    pub(super) fn step(&self, number: u64) -> Option<Step> {
        let first = self.steps.front()?.number;
        let index = number.checked_sub(first)?;
        self.steps.get(index as usize).copied()
    }

    /// The first kept step that the other has not, or has otherwise.
    pub(super) fn first_difference(&self, other: &Trace) -> Option<u64> {
        if self == other {
            return None;
        }
        let first = self.steps.front().map_or(0, |step| step.number);
        (first..self.count.max(other.count)).find(|&number| self.step(number) != other.step(number))
    }

    /// The trace of a run that ended before the step, all of whose steps are kept.
    pub(super) fn up_to(&self, number: u64) -> Trace {
        let mut trace = Trace::new(usize::MAX);
        for step in self.steps.iter().take_while(|step| step.number < number) {
            trace.add(step.at, step.event);
        }
        trace
    }

    /// A trace with the last `keep` steps only.
    pub(super) fn shortened(mut self, keep: usize) -> Trace {
        self.keep = keep;
        self.steps.drain(..self.steps.len().saturating_sub(keep));
        self
    }
}

impl fmt::Display for Trace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, hash) = (self.count, self.hash);
        write!(formatter, "{count} steps, hash {hash:016x}")?;
        if (self.steps.len() as u64) < count {
            write!(formatter, "; the last {}", self.steps.len())?;
        }
        for step in &self.steps {
            write!(formatter, "\n{step}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = Duration::from_nanos(self.at).as_secs_f64() * 1e3;
        let number = self.number;
        write!(formatter, "{number:>7} {at:>14.6} ms  {}", self.event)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Ready { task } => write!(formatter, "task {task} is ready"),
            Event::Slice {
                task,
                budget,
                used,
                end,
            } => {
                let end = match end {
                    End::Waits => "waits",
                    End::Woken => "was woken meanwhile",
                    End::Yields => "gives way",
                    End::Done => "is done",
                };
                write!(
                    formatter,
                    "task {task} uses {used} of {budget} reductions and {end}"
                )
            }
            Event::Timer { deadline } => {
                let deadline = Duration::from_nanos(*deadline).as_secs_f64() * 1e3;
                write!(formatter, "the timer of {deadline:.6} ms fires")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(keep: usize, tasks: &[u64]) -> Trace {
        let mut trace = Trace::new(keep);
        for &task in tasks {
            trace.add(task * 1000, Event::Ready { task });
        }
        trace
    }

    #[test]
    fn what_is_not_kept_still_counts() {
        let (one, other) = (trace(2, &[0, 1, 2, 3]), trace(2, &[7, 1, 2, 3]));
        assert!(one.last_steps().eq(other.last_steps()));
        assert_ne!(one, other);
        assert_ne!(one.hash(), other.hash());
        assert_eq!((one.len(), one.last_steps().len()), (4, 2));
    }

    #[test]
    fn the_first_difference_is_found_at_an_end_as_well() {
        let long = trace(9, &[0, 1, 2]);
        assert_eq!(long.first_difference(&long.clone()), None);
        assert_eq!(long.first_difference(&trace(9, &[0, 1])), Some(2));
        assert_eq!(trace(9, &[0, 1]).first_difference(&long), Some(2));
        assert_eq!(long.first_difference(&trace(9, &[0, 5, 2])), Some(1));
        assert_eq!(trace(9, &[]).first_difference(&long), Some(0));
    }

    #[test]
    fn it_prints_a_line_for_each_step() {
        let mut trace = trace(2, &[0, 1]);
        trace.add(
            1_500_000,
            Event::Slice {
                task: 1,
                budget: 4000,
                used: 12,
                end: End::Waits,
            },
        );
        let printed = trace.to_string();
        let mut lines = printed.lines();
        assert!(lines.next().unwrap().ends_with("; the last 2"), "{printed}");
        assert_eq!(
            lines.next().unwrap(),
            "      1       0.001000 ms  task 1 is ready"
        );
        assert_eq!(
            lines.next().unwrap(),
            "      2       1.500000 ms  task 1 uses 12 of 4000 reductions and waits"
        );
    }
}
