//! How often children may be restarted before their supervisor gives up.

use std::collections::VecDeque;
use std::time::Duration;

use otp_vm::ExitReason;
use serde::Serialize;

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
    /// with the reason to stop with.
    pub(crate) fn new(max_restarts: u32, period: Duration) -> Result<Self, ExitReason> {
        if period.is_zero() {
            return Err(ExitReason::new(&Invalid::SupervisorData(
                InvalidFlag::InvalidPeriod(0),
            )));
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
        let period_ns = self.period_ns;
        let is_old = |&mut oldest: &mut u64| now_ns.saturating_sub(oldest) > period_ns;
        while self.times_ns.pop_front_if(is_old).is_some() {}
        if self.times_ns.len() == self.max_restarts {
            return false;
        }
        self.times_ns.push_back(now_ns);
        true
    }
}

/// `{supervisor_data, {invalid_period, 0}}`.
#[derive(Serialize)]
enum Invalid {
    SupervisorData(InvalidFlag),
}

#[derive(Serialize)]
enum InvalidFlag {
    InvalidPeriod(u64),
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
        let reason = Intensity::new(3, Duration::ZERO).unwrap_err();
        assert_eq!(reason.to_string(), "{supervisor_data,{invalid_period,0}}");
    }

    #[test]
    fn an_intensity_of_zero_allows_none() {
        assert!(!Intensity::new(0, PERIOD).unwrap().add(at(0)));
    }
}
