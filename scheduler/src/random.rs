//! A small generator (xorshift) for the choice of victims; quality hardly matters, speed does.

use std::cell::Cell;

#[derive(Debug)]
pub(crate) struct Random(Cell<u32>);

impl Random {
    pub(crate) fn new(seed: u32) -> Random {
        Random(Cell::new(seed.wrapping_mul(0x9E37_79B9) | 1))
    }

    /// A number below `n`, which is not 0.
    pub(crate) fn below(&self, n: usize) -> usize {
        let mut word = self.0.get();
        word ^= word << 13;
        word ^= word >> 17;
        word ^= word << 5;
        self.0.set(word);
        ((u64::from(word) * n as u64) >> 32) as usize
    }
}
