//! Nobody waits for long, whatever code others run. Cases that have a number are named after the incident elsewhere.
//!
//! The long version, 60 seconds and more: `OTP_SCHEDULER_LONG=1 cargo test -p otp-scheduler --test fairness long`.

mod edges;
mod hogs;
mod incidents;
mod kinds;
mod rig;
