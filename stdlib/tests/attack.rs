//! What holds when a program does its worst to the behaviours: panics wherever its own code runs, kills at ill times,
//! floods, and wrong input.

mod common;
#[path = "common/simulated.rs"]
mod simulated;

#[path = "attack/destructors.rs"]
mod destructors;
#[path = "attack/floods.rs"]
mod floods;
#[path = "attack/kills.rs"]
mod kills;
#[path = "attack/kills_anywhere.rs"]
mod kills_anywhere;
#[path = "attack/left_over.rs"]
mod left_over;
#[path = "attack/limits.rs"]
mod limits;
#[path = "attack/looked_at.rs"]
mod looked_at;
#[path = "attack/panics.rs"]
mod panics;
#[path = "attack/rubbish.rs"]
mod rubbish;
#[path = "attack/wrong_input.rs"]
mod wrong_input;
