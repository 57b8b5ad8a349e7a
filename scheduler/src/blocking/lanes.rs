//! Which closure of a blocking pool's queue is next.

use std::collections::VecDeque;

use super::Job;
use crate::priority::Priority;

/// The closures in the queue, by priority.
#[derive(Default)]
pub(super) struct Lanes {
    /// Of priority max and high: before all others.
    high: VecDeque<Box<dyn Job>>,
    normal: VecDeque<Box<dyn Job>>,
    /// After so many of the others, one of these.
    low: VecDeque<Box<dyn Job>>,
    /// Since the last low one.
    turns: u32,
}

/// While others wait a low closure gets each eighth turn, as OTP has it for processes in dirty native functions.
const TURNS_BEFORE_LOW: u32 = 7;

impl Lanes {
    pub(super) fn push(&mut self, priority: Priority, job: Box<dyn Job>) {
        let lane = match priority {
            Priority::Max | Priority::High => &mut self.high,
            Priority::Normal => &mut self.normal,
            Priority::Low => &mut self.low,
        };
        lane.push_back(job);
    }

    /// The next to be run.
    pub(super) fn pop(&mut self) -> Option<Box<dyn Job>> {
        if let Some(job) = self.high.pop_front() {
            return Some(job);
        }
        if self.normal.is_empty() || self.turns >= TURNS_BEFORE_LOW {
            self.turns = 0;
            if let Some(job) = self.low.pop_front() {
                return Some(job);
            }
        }
        self.turns += 1;
        self.normal.pop_front()
    }

    /// What is left at the end, in no order that counts.
    pub(super) fn into_rest(self) -> impl Iterator<Item = Box<dyn Job>> {
        [self.high, self.normal, self.low].into_iter().flatten()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    struct Tells(Sender<Priority>, Priority);

    impl Job for Tells {
        fn run(self: Box<Self>) {
            self.0.send(self.1).unwrap();
        }
    }

    #[test]
    fn high_closures_go_first_and_low_ones_each_eighth_turn() {
        use Priority::{High, Low, Max, Normal};

        let (out, told) = channel();
        let mut lanes = Lanes::default();
        for priority in [Low, Normal].repeat(10).into_iter().chain([High, Max]) {
            lanes.push(priority, Box::new(Tells(out.clone(), priority)));
        }
        while let Some(job) = lanes.pop() {
            job.run();
        }
        let mut order: Vec<Priority> = told.try_iter().collect();
        let rest = order.split_off(2);
        assert_eq!(order, [High, Max]);
        let first_low = rest.iter().position(|&one| one == Low).unwrap();
        assert_eq!(first_low, TURNS_BEFORE_LOW as usize);
        assert_eq!(rest[first_low + 1..first_low + 4], [Normal; 3]);
        // Nothing else waits any more.
        assert_eq!(rest[first_low + 4..], [Low; 9]);
    }
}
