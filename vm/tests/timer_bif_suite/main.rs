//! OTP's timer_bif_SUITE: timers that send a message once. In virtual time, where a time limit is exact.

mod answers;
#[path = "../common/mod.rs"]
mod common;
mod errors;
mod many;
mod messages;
mod owners;
#[path = "../common/virtual_time.rs"]
mod virtual_time;
