//! Held against a real Erlang: all tests of this program ask one node.

#[path = "../erlang_support/mod.rs"]
mod erlang_support;

mod etf;
mod order;
mod rig;
mod text;
