//! Maps whose keys the VM makes: pids and references.

use std::collections::HashMap;
use std::hash::BuildHasher;

use foldhash::SharedSeed;
use foldhash::fast::{FoldHasher, SeedableRandomState};
use otp_vm::random;

/// By pid or by reference.
pub(crate) type MapByVmMade<K, V> = HashMap<K, V, State>;

/// Nobody chooses such keys, so a fast hash will do. A simulation decides it, and with it the order in which a map is
/// walked.
#[derive(Clone)]
pub(crate) struct State(SeedableRandomState);

impl Default for State {
    fn default() -> Self {
        Self(SeedableRandomState::with_seed(
            random(),
            SharedSeed::global_fixed(),
        ))
    }
}

impl BuildHasher for State {
    type Hasher = FoldHasher<'static>;

    #[inline]
    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_of_a_map_is_its_own() {
        let orders = (0..16).map(|_| {
            let map: MapByVmMade<u64, ()> = (0..16).map(|key| (key, ())).collect();
            map.into_keys().collect::<Vec<_>>()
        });
        let orders: std::collections::HashSet<_> = orders.collect();
        assert!(orders.len() > 1);
    }
}
