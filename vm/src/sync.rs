//! Atomics, exchanged for loom's under `cfg(loom)`, so that the types that ship are the types
//! that are model-checked.

#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicPtr, Ordering};

#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, Ordering};
