//! Cases of OTP's trace_SUITE, each by its name, in simulation: an order of events that a seed decides, and time that
//! costs none.

mod collections;
mod flags;
mod inherited;
mod messages;
mod procs;
mod stage;
mod suspend;
mod tracers;
