//! OTP's receive_SUITE: receives that name a fresh reference, and receives that fail half-way.
//!
//! Where OTP compares times, the messages that were looked at are counted.

#[path = "../common/mod.rs"]
mod common;
mod failing;
mod mailbox;
mod marks;
#[path = "../common/virtual_time.rs"]
mod virtual_time;
