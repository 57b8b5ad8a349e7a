//! How often children may be restarted before their supervisor gives up.

use std::collections::VecDeque;
use std::time::Duration;

use otp_vm::to_term;

use super::data::{FlagsError, Given};

/// Restarts allowed unless told otherwise: Elixir's 3 …
pub const MAX_RESTARTS: u32 = 3;
/// … within 5 seconds.
pub const MAX_SECONDS: Duration = Duration::from_secs(5);

/// The times of the restarts within the period, at most `max_restarts` of them: each is added once and forgotten once,
/// so a restart costs the same whatever the limit.
#[derive(Clone, Debug)]
pub(crate) struct Intensity {
    max_restarts: usize,
    period_ns: u64,
    times_ns: VecDeque<u64>,
}

impl Intensity {
    /// A period of nothing holds no restart, and would have a supervisor restart for ever: it is refused, as in OTP,
    /// with the error to stop with.
    pub(crate) fn new(max_restarts: u32, period: Duration) -> Result<Self, FlagsError> {
        if period.is_zero() {
            let zero = to_term(&0).unwrap_or_else(|_| otp_vm::atoms::UNDEFINED.into());
            return Err(FlagsError::InvalidPeriod(Given::from(zero)));
        }
        let period_ns = u64::try_from(period.as_nanos()).unwrap_or(u64::MAX);
        Ok(Self {
            max_restarts: max_restarts as usize,
            period_ns,
            times_ns: VecDeque::new(),
        })
    }

    /// Counts a restart at `now_ns` of the VM's monotonic time. False: it is one too many.
    #[must_use]
    pub(crate) fn add(&mut self, now_ns: u64) -> bool {
        if self.recent(now_ns) >= self.max_restarts {
            return false;
        }
        self.times_ns.push_back(now_ns);
        true
    }

    /// How many restarts are within the period that ends at `now_ns`; older ones are forgotten.
    pub(crate) fn recent(&mut self, now_ns: u64) -> usize {
        let period_ns = self.period_ns;
        let is_old = |&mut oldest: &mut u64| now_ns.saturating_sub(oldest) > period_ns;
        while self.times_ns.pop_front_if(is_old).is_some() {}
        self.times_ns.len()
    }

    /// So many restarts within so many seconds.
    pub(crate) fn limits(&self) -> (usize, u64) {
        (
            self.max_restarts,
            Duration::from_nanos(self.period_ns).as_secs(),
        )
    }

    /// Another limit for the restarts that were.
    pub(crate) fn take_over(&mut self, other: Self) -> Self {
        Self {
            times_ns: std::mem::take(&mut self.times_ns),
            ..other
        }
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
        let mut intensity = Intensity::new(3, PERIOD).unwrap();
        for second in 0..3 {
            assert!(intensity.add(at(second)));
        }
        assert!(!intensity.add(at(5)), "0 is still within the 5 seconds");
    }

    #[test]
    fn old_restarts_are_forgotten() {
        for max_restarts in [3, u32::MAX] {
            let mut intensity = Intensity::new(max_restarts, PERIOD).unwrap();
            for second in 0..300 {
                assert!(intensity.add(at(second * 2)));
                assert!(intensity.times_ns.len() <= 3, "they take memory");
            }
        }
    }

    #[test]
    fn a_period_of_nothing_is_refused() {
        let error = Intensity::new(3, Duration::ZERO).unwrap_err();
        let term = otp_vm::to_term(&error).unwrap();
        assert_eq!(term.to_string(), "{invalid_period,0}");
    }

    #[test]
    fn a_lower_limit_counts_what_was() {
        let mut intensity = Intensity::new(3, PERIOD).unwrap();
        assert!((0..3).all(|second| intensity.add(at(second))));
        let mut intensity = intensity.take_over(Intensity::new(1, PERIOD).unwrap());
        assert!(
            !intensity.add(at(7)),
            "the restart of second 2 is within the period"
        );
        assert!(intensity.add(at(8)));
    }

    #[test]
    fn an_intensity_of_zero_allows_none() {
        assert!(!Intensity::new(0, PERIOD).unwrap().add(at(0)));
    }
}
