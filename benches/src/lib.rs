//! The workloads of `otp-vm bench`, as a library.
//!
//! ```
//! use otp_benches::{Ring, Settings, Workload};
//!
//! let ring = Workload::Ring(Ring { n: 10, rounds: 3 });
//! let report = ring.run(&Settings::default())?;
//! assert!(report.number("ns_per_hop").unwrap() > 0.0);
//! println!("{}", report.to_json());
//! # Ok::<(), otp_benches::BenchError>(())
//! ```
//!
//! # What is promised
//! - Each workload runs in a VM of its own, which is shut down before the report is given.
//! - Messages are serialised, go through mailboxes and are decoded. No workload knows a shorter
//!   way than a program has.
//! - A clock runs around what the figure's name says and nothing else: processes are made before,
//!   unless making them is the figure.
//!
//! # What is not
//! - A workload runs one time. Medians, and quiet machines, are the caller's business.
//! - Memory and CPU time are read from `/proc`: those workloads need Linux.
//!
//! The defaults are those of the Erlang programs that the figures are compared with.

mod echo;
mod harness;
mod idle;
mod load;
mod proc_fs;
mod report;
mod samples;
mod workload;

mod call;
mod fairness;
mod fan_in;
mod idle_cpu;
mod idle_memory;
mod kill_links;
mod kill_monitors;
mod message_copy;
mod pingpong;
mod restart;
mod ring;
mod selective_receive;
mod skynet;
mod soak;
mod spawn_exit;
mod start_child;
mod timers;

pub use harness::{BenchError, Settings};
pub use report::Report;
pub use workload::Workload;

pub use call::Call;
pub use fairness::{Fairness, HogKind, Level};
pub use fan_in::{FanIn, FanInKind};
pub use idle_cpu::IdleCpu;
pub use idle_memory::{IdleKind, IdleMemory};
pub use kill_links::KillLinks;
pub use kill_monitors::{KillMonitors, WatcherKind};
pub use message_copy::MessageCopy;
pub use pingpong::Pingpong;
pub use restart::Restart;
pub use ring::Ring;
pub use selective_receive::{SelectiveReceive, Wait};
pub use skynet::Skynet;
pub use soak::Soak;
pub use spawn_exit::{SpawnExit, SpawnKind};
pub use start_child::StartChild;
pub use timers::Timers;
