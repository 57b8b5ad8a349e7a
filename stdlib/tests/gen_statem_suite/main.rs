//! Cases of OTP's `gen_statem_SUITE` under their own names, and what holds besides.

mod abnormal;
#[path = "../common/mod.rs"]
mod common;
mod deeds;
mod events;
mod failing;
mod hibernation;
mod loops;
#[expect(dead_code, reason = "the cases of servers use all of it")]
#[path = "../gen_server_suite/names.rs"]
mod names;
mod order;
mod requests;
mod scripted;
mod stage;
mod starting;
mod stopping;
mod suite;
mod system;
mod timeouts;
