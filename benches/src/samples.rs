//! Percentiles of waiting times.

use crate::report::Report;

/// Waiting times in nanoseconds, sorted.
#[derive(Debug)]
pub(crate) struct Samples(Vec<u64>);

/// The names of the four fields of one kind of wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    pub(crate) p50: &'static str,
    pub(crate) p99: &'static str,
    pub(crate) p999: &'static str,
    pub(crate) max: &'static str,
}

impl Samples {
    pub(crate) fn new(mut nanoseconds: Vec<u64>) -> Self {
        nanoseconds.sort_unstable();
        Self(nanoseconds)
    }

    /// The smallest sample that at least `share` of all are not above, in microseconds.
    fn percentile_us(&self, share: f64) -> Option<f64> {
        let rank = (share * self.0.len() as f64).ceil() as usize;
        let last = self.0.len().checked_sub(1)?;
        Some(self.0[rank.saturating_sub(1).min(last)] as f64 / 1000.0)
    }

    /// Adds the percentiles to a report; nothing when there are no samples.
    pub(crate) fn report(&self, mut report: Report, names: Names) -> Report {
        for (name, share) in [
            (names.p50, 0.5),
            (names.p99, 0.99),
            (names.p999, 0.999),
            (names.max, 1.0),
        ] {
            if let Some(value) = self.percentile_us(share) {
                report = report.figure(name, value);
            }
        }
        report
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_samples_by_rank() {
        let samples = Samples::new((1..=1000).rev().map(|n| n * 1000).collect());
        assert_eq!(samples.percentile_us(0.5), Some(500.0));
        assert_eq!(samples.percentile_us(0.99), Some(990.0));
        assert_eq!(samples.percentile_us(0.999), Some(999.0));
        assert_eq!(samples.percentile_us(1.0), Some(1000.0));
    }

    #[test]
    fn one_sample_is_every_percentile() {
        let samples = Samples::new(vec![7000]);
        assert_eq!(samples.percentile_us(0.001), Some(7.0));
        assert_eq!(samples.percentile_us(1.0), Some(7.0));
    }

    #[test]
    fn without_samples_there_are_no_percentiles() {
        assert_eq!(Samples::new(Vec::new()).percentile_us(0.5), None);
    }
}
