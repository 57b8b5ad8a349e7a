//! Loops without end, as processes and as bare threads, and what each has done.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use otp_vm::Context;

/// How long bare threads are measured.
pub(super) const BARE_SPAN: Duration = Duration::from_secs(1);

/// How long a burst lasts.
const BURST: Duration = Duration::from_millis(5);

/// Steps between two looks at the clock in a burst: some 5 us, so that the looks cost under a
/// hundredth.
const STEPS_PER_LOOK: u32 = 4096;

/// Where the hogs run, and whether they still do.
#[derive(Debug)]
pub(super) struct Yard {
    meters: Box<[Meter]>,
    over: AtomicBool,
}

/// What one hog has done: in memory, so that others can read it while it loops. On lines of its
/// own, or hogs on two cores would slow each other.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Meter {
    iterations: AtomicU64,
    state: AtomicU64,
}

/// The registers of a hog's loop.
struct Hog<'yard> {
    yard: &'yard Yard,
    meter: &'yard Meter,
    iterations: u64,
    state: u64,
}

impl Hog<'_> {
    /// One step of Knuth's linear congruential generator. The stores keep it from being optimised
    /// away; nothing waits for them.
    #[inline(always)]
    fn step(&mut self) {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.iterations += 1;
        self.meter.state.store(self.state, Ordering::Relaxed);
        self.meter
            .iterations
            .store(self.iterations, Ordering::Relaxed);
    }

    #[inline(always)]
    fn goes_on(&self) -> bool {
        !self.yard.over.load(Ordering::Relaxed)
    }
}

impl Yard {
    pub(super) fn new(hogs: usize) -> Self {
        Self {
            meters: (0..hogs).map(|_| Meter::default()).collect(),
            over: AtomicBool::new(false),
        }
    }

    fn hog(&self, number: usize) -> Hog<'_> {
        Hog {
            yard: self,
            meter: &self.meters[number],
            iterations: 0,
            state: number as u64,
        }
    }

    /// The run is over: the loops end.
    pub(super) fn stop(&self) {
        self.over.store(true, Ordering::Relaxed);
    }

    /// What each has done so far.
    pub(super) fn iterations(&self) -> Vec<u64> {
        self.meters
            .iter()
            .map(|meter| meter.iterations.load(Ordering::Relaxed))
            .collect()
    }

    /// Iterations a second of each since `before`, which was `elapsed` ago.
    pub(super) fn rates_since(&self, before: &[u64], elapsed: Duration) -> Vec<f64> {
        let done = self
            .iterations()
            .into_iter()
            .zip(before)
            .map(|(now, before)| now - before);
        done.map(|done| done as f64 / elapsed.as_secs_f64())
            .collect()
    }

    fn run_native(&self, number: usize) {
        let mut hog = self.hog(number);
        while hog.goes_on() {
            hog.step();
        }
    }
}

pub(super) async fn tick(cx: Context, yard: Arc<Yard>, number: usize) {
    let mut hog = yard.hog(number);
    while hog.goes_on() {
        hog.step();
        cx.tick(1).await;
    }
}

pub(super) async fn native(yard: Arc<Yard>, number: usize) {
    yard.run_native(number);
}

pub(super) async fn burst(cx: Context, yard: Arc<Yard>, number: usize) {
    let mut hog = yard.hog(number);
    while hog.goes_on() {
        let began = Instant::now();
        while began.elapsed() < BURST {
            for _ in 0..STEPS_PER_LOOK {
                hog.step();
            }
        }
        cx.tick(1).await;
    }
}

/// Iterations a second, all together, of as many plain threads as there will be hogs, each with
/// the native loop.
pub(super) fn bare_work(hogs: usize, span: Duration) -> io::Result<f64> {
    let yard = Arc::new(Yard::new(hogs));
    let mut threads = Vec::with_capacity(hogs);
    for number in 0..hogs {
        let shared = Arc::clone(&yard);
        match thread::Builder::new().spawn(move || shared.run_native(number)) {
            Ok(thread) => threads.push(thread),
            Err(error) => {
                yard.stop();
                return Err(error);
            }
        }
    }
    let before = yard.iterations();
    let began = Instant::now();
    thread::sleep(span);
    let rates = yard.rates_since(&before, began.elapsed());
    yard.stop();
    for thread in threads {
        thread.join().expect("the loop has nothing that panics");
    }
    Ok(total(&rates))
}

/// The sum of rates: 0 for none, where that of the standard library is -0.
pub(super) fn total(rates: &[f64]) -> f64 {
    rates.iter().fold(0.0, |sum, rate| sum + rate)
}

/// Jain's index of fairness: 1 when all shares are equal, 1/n when one has all; None when nobody
/// has anything.
pub(super) fn jain(shares: &[f64]) -> Option<f64> {
    let sum = total(shares);
    let squares: f64 = shares.iter().map(|share| share * share).sum();
    (squares > 0.0).then(|| sum * sum / (shares.len() as f64 * squares))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jain_is_one_for_equal_shares_and_small_for_one_winner() {
        assert_eq!(jain(&[3.0, 3.0, 3.0]), Some(1.0));
        assert_eq!(jain(&[8.0, 0.0, 0.0, 0.0]), Some(0.25));
        assert_eq!(jain(&[0.0, 0.0]), None);
        assert_eq!(jain(&[]), None);
    }

    #[test]
    fn bare_threads_work_and_end() {
        let work = bare_work(2, Duration::from_millis(20)).expect("two threads can be had");
        assert!(work > 0.0);
        assert_eq!(
            bare_work(0, Duration::ZERO).expect("no threads are needed"),
            0.0
        );
    }
}
