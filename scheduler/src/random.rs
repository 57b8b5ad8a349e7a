//! Random numbers: for the choice of victims, for programs, and for simulations, where they come from the seed.

use std::cell::Cell;
use std::hash::{BuildHasher, DefaultHasher, Hasher};

use crate::slot;

/// SplitMix64 (Steele, Lea and Flood, 2014): any seed will do, and near seeds give streams that have nothing in common.
/// An addition and a mix, so it is fast enough for the choice of victims, too.
#[derive(Debug)]
pub(crate) struct SplitMix(Cell<u64>);

impl SplitMix {
    pub(crate) const fn new(seed: u64) -> SplitMix {
        SplitMix(Cell::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        let state = self.0.get().wrapping_add(0x9E37_79B9_7F4A_7C15);
        self.0.set(state);
        mix(state)
    }

    /// A number below `n`, which is not 0.
    pub(crate) fn below(&self, n: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(n)) >> 64) as u64
    }
}

/// Spreads each bit over all of the word.
pub(crate) fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    word ^ (word >> 31)
}

/// A random number. In a [simulation](crate::simulation) it comes from the seed; elsewhere from a generator of the
/// thread, which the system seeded. Not for secrets. Mirrors `rand:uniform/1`.
///
/// ```
/// let side = otp_scheduler::random() % 6 + 1;
/// assert!((1..=6).contains(&side));
/// ```
pub fn random() -> u64 {
    let simulated = slot::with_core(|core| core.simulated.as_deref().map(|it| it.random()));
    simulated.flatten().unwrap_or_else(of_thread)
}

fn of_thread() -> u64 {
    thread_local! {
        static OF_THREAD: SplitMix = SplitMix::new(std::hash::RandomState::new().build_hasher().finish());
    }
    OF_THREAD.with(SplitMix::next)
}

/// The standard library's `RandomState` for programs that are to be simulated: its keys are [`random`] numbers, so that
/// in a simulation the seed decides the order in which a map is walked.
///
/// Made outside a running simulation, for instance in a `static`, it is random there, too: the run is not the same
/// twice.
///
/// ```
/// use std::collections::HashMap;
///
/// let mut ages: HashMap<&str, u32, otp_scheduler::RandomState> = HashMap::default();
/// ages.insert("Joe", 68);
/// assert_eq!(ages["Joe"], 68);
/// ```
#[derive(Clone, Debug)]
pub struct RandomState {
    keys: [u64; 2],
}

impl RandomState {
    /// Two random keys.
    pub fn new() -> RandomState {
        RandomState {
            keys: [random(), random()],
        }
    }
}

impl Default for RandomState {
    fn default() -> RandomState {
        RandomState::new()
    }
}

impl BuildHasher for RandomState {
    type Hasher = DefaultHasher;

    fn build_hasher(&self) -> DefaultHasher {
        // The standard library lets nobody choose the keys of its SipHash. Secret words that are hashed first do as
        // well.
        let mut hasher = DefaultHasher::new();
        for key in self.keys {
            hasher.write_u64(key);
        }
        hasher
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The reference implementation's first numbers for the seed 1234567.
    #[test]
    fn splitmix_gives_its_known_numbers() {
        let generator = SplitMix::new(1_234_567);
        let numbers = [(); 3].map(|()| generator.next());
        let known = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
        ];
        assert_eq!(numbers, known);
    }

    #[test]
    fn numbers_below_a_bound_are_all_there_and_none_beyond() {
        let generator = SplitMix::new(1);
        let mut seen = [false; 5];
        for _ in 0..1000 {
            seen[generator.below(5) as usize] = true;
        }
        assert_eq!(seen, [true; 5]);
    }

    #[test]
    fn states_hash_differently_from_each_other_and_alike_among_themselves() {
        let (one, other) = (RandomState::new(), RandomState::new());
        assert_eq!(one.hash_one("a"), one.clone().hash_one("a"));
        assert_ne!(one.hash_one("a"), other.hash_one("a"));
        assert_ne!(one.hash_one("a"), one.hash_one("b"));
    }
}
