//! OTP's scheduler_SUITE: shares by priority, and the number of schedulers online.

mod blocked;
#[path = "../common/mod.rs"]
mod common;
mod online;
mod priorities;
