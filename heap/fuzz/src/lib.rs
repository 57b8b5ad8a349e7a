//! What the fuzz targets share: terms out of a fuzzer's bytes, and what must hold of any term.

mod check;
mod make;

pub use check::{assert_same, walk};
pub use libfuzzer_sys::arbitrary::Unstructured;
pub use make::{Maker, byte, number};

/// Atoms that a run may make: names out of hostile input stay, and the memory of a run is limited.
const ATOM_LIMIT: u32 = 100_000;

/// To be called once, before the first input.
pub fn limit_atoms() {
    otp_heap::set_atom_limit(ATOM_LIMIT).expect("no atom was made before");
}
