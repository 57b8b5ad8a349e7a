//! An Erlang node to compare with, and random terms to compare.
//!
//! [`Value`] is a term as a plain tree, with an external format written apart from the crate's
//! own, so that neither can hide the other's errors.

// Each test that includes this module uses a part of it.
#![allow(dead_code, unused_imports)]

mod node;
mod random;
mod value;

pub use node::{Erlang, erlang};
pub use random::Random;
pub use value::{Node, Value};
