//! OTP's timer_simple_SUITE: the module `timer`. In virtual time, where a time limit is exact.

mod apply;
#[path = "../common/mod.rs"]
mod common;
mod ends;
mod intervals;
mod sends;
#[path = "../common/virtual_time.rs"]
mod virtual_time;
