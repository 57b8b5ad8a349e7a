//! How often children may be restarted before their supervisor gives up.

use std::collections::VecDeque;
use std::time::Duration;

/// Restarts allowed unless told otherwise: Elixir's 3 …
pub const MAX_RESTARTS: u32 = 3;
/// … within 5 seconds.
pub const MAX_SECONDS: Duration = Duration::from_secs(5);

/// The times of the last restarts, as a ring of at most `max_restarts`: one more than fit into
/// the period is found by looking at the oldest, so a restart costs the same whatever the limit.
#[derive(Clone, Debug)]
pub(crate) struct Intensity {
    max_restarts: usize,
    period_ns: u64,
    times_ns: VecDeque<u64>,
}

impl Intensity {
    pub(crate) fn new(max_restarts: u32, period: Duration) -> Self {
        let period_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        Self {
            max_restarts: max_restarts as usize,
            period_ns,
            times_ns: VecDeque::new(),
        }
    }

    /// Counts a restart at `now_ns` of the VM's monotonic time. False: it is one too many.
    #[must_use]
    pub(crate) fn add(&mut self, now_ns: u64) -> bool {
        if self.times_ns.len() == self.max_restarts {
            match self.times_ns.pop_front() {
                Some(oldest) if now_ns.saturating_sub(oldest) > self.period_ns => {}
                // Within the period, or no restart is allowed at all.
                _ => return false,
            }
        }
        self.times_ns.push_back(now_ns);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: Duration = Duration::from_secs(5);

    fn at(seconds: u64) -> u64 {
        seconds * 1_000_000_000
    }

    #[test]
    fn one_restart_more_than_the_limit_within_the_period_is_too_many() {
        let mut intensity = Intensity::new(3, PERIOD);
        for second in 0..3 {
            assert!(intensity.add(at(second)));
        }
        assert!(!intensity.add(at(5)), "0 is still within the 5 seconds");
    }

    #[test]
    fn old_restarts_are_forgotten() {
        let mut intensity = Intensity::new(3, PERIOD);
        for second in 0..300 {
            assert!(intensity.add(at(second * 2)));
        }
    }

    #[test]
    fn an_intensity_of_zero_allows_none() {
        assert!(!Intensity::new(0, PERIOD).add(at(0)));
    }
}
