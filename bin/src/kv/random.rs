//! Random numbers that need not be secret.

use std::hash::{BuildHasher, RandomState};

/// SplitMix64: one addition and a mix, good enough to choose members and victims by.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// The same seed gives the same numbers.
    pub fn from_seed(seed: u64) -> Random {
        Random { state: seed }
    }

    /// A seed of the system's.
    pub fn from_system() -> Random {
        Random::from_seed(RandomState::new().hash_one(0))
    }

    /// A number below `bound`, each as likely as any other but for a part in 2^64 / `bound`. 0 if `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        ((u128::from(mixed) * u128::from(bound)) >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_repeats_and_numbers_stay_below() {
        let (mut one, mut two) = (Random::from_seed(7), Random::from_seed(7));
        let mut seen = [0; 10];
        for _ in 0..1000 {
            let number = one.below(10);
            assert_eq!(number, two.below(10));
            seen[number as usize] += 1;
        }
        assert!(
            seen.iter().all(|count| (50..200).contains(count)),
            "{seen:?}"
        );
        assert_eq!(one.below(0), 0);
    }
}
