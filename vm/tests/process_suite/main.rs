//! Cases of process_SUITE.

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/seeds.rs"]
mod simulated;

mod aliases;
mod exits;
mod names;
mod spawn_requests;
