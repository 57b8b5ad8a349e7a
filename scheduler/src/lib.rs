//! An M:N scheduler: run queues, reductions, timers and I/O readiness. It knows no term and no OTP.
//!
//! ```
//! use otp_scheduler::{Scheduler, net, yield_now};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let scheduler = Scheduler::builder().schedulers(2).name("example").build()?;
//!
//! let listener = net::TcpListener::bind_on(&scheduler, "127.0.0.1:0")?;
//! let address = listener.local_addr()?;
//! let server = scheduler.spawn(async move {
//!     let (stream, _) = listener.accept().await?;
//!     stream.write_all(b"hello").await
//! });
//! let client = scheduler.spawn(async move {
//!     let stream = net::TcpStream::connect(address).await?;
//!     yield_now().await;
//!     let mut buffer = [0; 16];
//!     let count = stream.read(&mut buffer).await?;
//!     std::io::Result::Ok(buffer[..count].to_vec())
//! });
//! server.wait()??;
//! assert!(b"hello".starts_with(&client.wait()??));
//!
//! scheduler.stop();
//! # scheduler.join(std::time::Duration::from_secs(5)).map_err(|names| names.join(", "))?;
//! # Ok(())
//! # }
//! ```
//!
//! # Tasks
//!
//! [`Scheduler::spawn`] makes a plain task out of a future, [`Scheduler::spawn_at`] one of a [`Priority`], and in a
//! task there is [`spawn()`]; their results come from a [`JoinHandle`], which can [abort](JoinHandle::abort) them.
//!
//! Beneath, a task is memory of its owner's that begins with a [`Header`]; the scheduler runs it through its [`VTable`]
//! a slice at a time. [`Scheduler::wake`] is all it takes to run one: no allocation, no reference count, no lock, and
//! no system call but to wake an idle thread. A VM makes its processes that way.
//!
//! # Code that blocks
//!
//! [`blocking`] runs a closure on a pool of threads, for tasks to await. [`Scheduler::spawn_native`] runs a whole body
//! of plain code on a thread of its own, in which [`block_on`] waits for futures. Both have limits, which the
//! [`Builder`] sets.
//!
//! # Time
//!
//! [`Scheduler::start_timer`] runs a closure once, [`Scheduler::start_periodic`] again and again; both are cancelled
//! from any thread. In tasks there are [`sleep()`], [`timeout`] and [`interval`].
//!
//! # Looking in
//!
//! [`Scheduler::figures`] has the lengths of the queues, what each scheduler's time goes into, and the longest slice.
//! [`Builder::long_schedule`] tells of each long one. [`AccountingAllocator`] counts what tasks allocate.
//!
//! # What is promised
//!
//! - Code with [`macro@reductions`], or with a [`checkpoint`] here and there, gives way without an await, too.
//! - A wake is never lost: after it, the task runs once more (`state.rs` has the argument, loom tries it).
//! - A slice is [`REDUCTIONS_PER_SLICE`] reductions. Tasks that wake each other share one slice, so the run-next slot
//!   keeps the queue waiting for a bounded time.
//! - Normal tasks woken from outside wait for at most 61 turns of a busy worker, while no higher one wants to run.
//! - A timer never fires before its deadline. Busy workers look after timers and sockets between slices. If all are
//!   stuck in long slices and another is idle, that one does from two milliseconds on.
//! - Idle workers use no time at all.
//! - No task, timer or waker that panics ends a worker.
//!
//! # What is not
//!
//! - A slice ends when the task gives way: [`REDUCTIONS_PER_SLICE`] and a millisecond of the clock only ask it to. Code
//!   that ignores both for 4 ms loses its scheduler, and gets turns of a millisecond on a thread of its own, behind a
//!   gate: `docs/scheduler.md` tells how. A lock of the program's that such code holds is held until its next turn.
//! - Code that never returns can't be ended: [`Scheduler::join`] names its thread.
//! - Spurious runs happen: whatever a task waits for, it must look whether it came.
//! - Timers of different workers, and those due within 32.8 us of each other when more than a thousand are due at
//!   once, fire in no order.
//!
//! # Tests
//!
//! A [`simulation`] runs tasks on one thread, in virtual time, in an order that a seed decides and replays.
//!
//! # Features
//!
//! `tokio`, off by default: `Builder::tokio` takes a runtime's handle, and tokio's libraries work in tasks.
//!
//! The crate is for 64-bit Linux (epoll, timer descriptors, timer slack).

/// The examples of `docs/scheduler.md` are tests.
#[cfg(doctest)]
#[doc = include_str!("../../docs/scheduler.md")]
struct SchedulerPage;

mod abort;
mod accounting;
mod blocking;
mod bound;
mod builder;
mod clock;
mod core;
mod driver;
mod figures;
mod fire;
mod futex;
mod gate;
mod header;
mod idle;
mod kernel_class;
pub mod lock;
mod long;
mod microstates;
mod monitor;
mod native;
pub mod net;
mod notices;
mod offenders;
mod online;
mod panics;
mod periodic;
mod pins;
mod priority;
mod processors;
mod promise;
mod random;
mod reductions;
mod registration;
mod run_queue;
mod scheduler;
mod seat;
pub mod simulation;
mod sleep;
mod slice;
mod slot;
mod standing;
mod state;
mod sync;
mod task;
mod threads;
mod timers;
mod told;
mod unusual;
mod wheel;
mod worker;

pub use abort::{before_abort, write_last_word};
pub use accounting::{AccountingAllocator, allocated_bytes, counts_allocations, uncounted};
pub use blocking::{
    Blocking, DEFAULT_BLOCKING_IDLE, DEFAULT_BLOCKING_QUEUE, DEFAULT_BLOCKING_THREADS,
    MAX_BLOCKING_QUEUE, MAX_BLOCKING_THREADS, QueueFull, blocking,
};
pub use bound::CONDEMNED_INTERVAL_MS;
pub use builder::{Builder, DEFAULT_MAX_BOUND, MAX_BOUND, MAX_SCHEDULERS};
pub use figures::{Figures, RunQueueLengths, SchedulerFigures};
pub use fire::Fire;
pub use gate::MAX_GATES;
pub use header::{Activity, Header, Step, VTable};
pub use kernel_class::Policy;
pub use long::{
    DEFAULT_LONG_SCHEDULE_QUEUE, LongSlice, MAX_LONG_SCHEDULE_QUEUE, TaskName, name_long_slice,
};
pub use microstates::WallTime;
pub use mio::Interest;
pub use mio::event::Source;
pub use native::{
    DEFAULT_MAX_NATIVE, MAX_NATIVE, NativeError, NativePlace, Stopped, WouldBlock, block_on,
    enter_native,
};
pub use online::OnlineError;
/// Makes code give way by itself.
///
/// ```
/// use otp_scheduler::{Scheduler, reductions, yield_now};
///
/// struct Sums(Vec<u64>);
///
/// #[reductions]
/// impl Sums {
///     // Checkpoints: at the entry, and in each turn.
///     fn longest_below(limit: u64) -> u64 {
///         let mut longest = (0, 0);
///         for start in 1..limit {
///             let (mut n, mut steps) = (start, 0);
///             while n != 1 {
///                 n = if n % 2 == 0 { n / 2 } else { 3 * n + 1 };
///                 steps += 1;
///             }
///             longest = longest.max((steps, start));
///         }
///         longest.1
///     }
///
///     // This loop awaits, so its ticks are awaited, too.
///     async fn fill(&mut self) {
///         for n in 0..1000 {
///             yield_now().await;
///             self.0.push(n);
///         }
///     }
/// }
///
/// let scheduler = Scheduler::builder().schedulers(1).build()?;
/// let longest = scheduler.spawn(async { Sums::longest_below(10_000) });
/// let filled = scheduler.spawn(async {
///     let mut sums = Sums(Vec::new());
///     sums.fill().await;
///     sums.0.len()
/// });
/// assert_eq!((longest.wait()?, filled.wait()?), (6171, 1000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub use otp_scheduler_macros::reductions;
pub use periodic::{Beat, PeriodicTimer, ZeroPeriod};
pub use priority::Priority;
pub use processors::{Processors, cpu_time};
pub use random::{RandomState, random};
pub use registration::{Readiness, Registration};
pub use scheduler::Scheduler;
pub use sleep::{Elapsed, Interval, Sleep, interval, sleep, timeout};
pub use slice::{
    REDUCTIONS_PER_SLICE, Usage, checkpoint, current_scheduler, on_scheduler_thread, poll_proceed,
    proceed, reductions_left, slice_is_over, tick, usage, yield_now,
};
pub use task::{JoinError, JoinHandle, spawn};
pub use timers::TimerKey;
