//! What a scheduler is built with, and how its threads are started.

use std::io;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::blocking;
use crate::core::Core;
use crate::gate::{self, MAX_GATES};
use crate::kernel_class::Policy;
use crate::long::{DEFAULT_LONG_SCHEDULE_QUEUE, LongSlice, MAX_LONG_SCHEDULE_QUEUE, Watch};
use crate::monitor::SLICE_NS;
use crate::native::{DEFAULT_MAX_NATIVE, MAX_NATIVE};
use crate::pins::Pins;
use crate::run_queue::RunQueue;
use crate::scheduler::Scheduler;
use crate::threads::{First, KERNEL_SLICE_NS};
use crate::worker::Local;

/// Worker threads of one scheduler at most: OTP's own limit of schedulers.
pub const MAX_SCHEDULERS: usize = 1024;

/// Threads of one scheduler that are bound at once, unless set. Each keeps a thread's stack and a turn in the round.
pub const DEFAULT_MAX_BOUND: usize = 256;

/// The most that can be asked for: a quarter of the gates that a program has.
pub const MAX_BOUND: usize = 4096;

// A scheduler that has all it may ask for has a gate for each of its threads, with room for another's.
const _: () = assert!(MAX_SCHEDULERS + MAX_BOUND + MAX_NATIVE < MAX_GATES);

/// The name of a scheduler whose builder was given none.
const DEFAULT_NAME: &str = "vm";

/// What a builder was told, but for the number of schedulers and their cores.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) name: String,
    /// The signal of the gates; none if there shall be no gates.
    pub(crate) gate_signal: Option<i32>,
    pub(crate) max_bound: usize,
    pub(crate) max_native: usize,
    pub(crate) policy: Policy,
    pub(crate) long_schedule: Option<Watch>,
    pub(crate) long_schedule_queue: usize,
    pub(crate) blocking: blocking::Limits,
    #[cfg(feature = "tokio")]
    pub(crate) tokio: Option<tokio::runtime::Handle>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            name: DEFAULT_NAME.to_owned(),
            gate_signal: Some(gate::default_signal()),
            max_bound: DEFAULT_MAX_BOUND,
            max_native: DEFAULT_MAX_NATIVE,
            policy: Policy::default(),
            long_schedule: None,
            long_schedule_queue: DEFAULT_LONG_SCHEDULE_QUEUE,
            blocking: blocking::Limits::default(),
            #[cfg(feature = "tokio")]
            tokio: None,
        }
    }
}

impl Settings {
    /// Those of a simulation: no thread runs anything.
    pub(crate) fn of_simulation(name: String) -> Settings {
        Settings {
            name,
            gate_signal: None,
            max_bound: 0,
            max_native: 0,
            ..Settings::default()
        }
    }

    fn check(&self) -> io::Result<()> {
        if self.name.contains('\0') {
            return Err(refusal(
                "the scheduler's name has a nul byte; thread names cannot have one".to_owned(),
            ));
        }
        in_range("bound threads", self.max_bound, 0..=MAX_BOUND)?;
        in_range("native tasks", self.max_native, 0..=MAX_NATIVE)?;
        in_range(
            "places for long slices",
            self.long_schedule_queue,
            0..=MAX_LONG_SCHEDULE_QUEUE,
        )?;
        self.blocking.check()
    }
}

fn refusal(text: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text)
}

/// Refuses a number out of range.
pub(crate) fn in_range(what: &str, asked: usize, range: RangeInclusive<usize>) -> io::Result<()> {
    if range.contains(&asked) {
        return Ok(());
    }
    let (least, most) = range.into_inner();
    Err(refusal(format!(
        "{asked} {what} asked for; give a number from {least} to {most}"
    )))
}

/// Makes a [`Scheduler`].
#[derive(Clone, Debug, Default)]
pub struct Builder {
    schedulers: Option<usize>,
    online: Option<usize>,
    pin: bool,
    settings: Settings,
}

impl Builder {
    /// Number of worker threads, 1 to [`MAX_SCHEDULERS`]. Default: the cores that the process may use, with the
    /// container's limits respected.
    pub fn schedulers(mut self, n: usize) -> Builder {
        self.schedulers = Some(n);
        self
    }

    /// Number of the worker threads that run tasks from the start, 1 to all; the others sleep until
    /// [`Scheduler::set_schedulers_online`] has them run. Default: all. Mirrors `erl +S Schedulers:Online`.
    ///
    /// ```
    /// let scheduler = otp_scheduler::Scheduler::builder()
    ///     .schedulers(4)
    ///     .schedulers_online(1)
    ///     .build()?;
    /// assert_eq!((scheduler.schedulers(), scheduler.schedulers_online()), (4, 1));
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn schedulers_online(mut self, n: usize) -> Builder {
        self.online = Some(n);
        self
    }

    /// Threads are named `otp-<name>-<n>`, of which the system shows the first 15 bytes. Default: `vm`.
    pub fn name(mut self, name: impl Into<String>) -> Builder {
        self.settings.name = name.into();
        self
    }

    /// The signal that makes threads wait at their gates; `None` for a host that forbids signals: then a task that does
    /// not give way still loses its scheduler, but its thread competes with the others for the cores as the kernel sees
    /// fit. Default: SIGRTMIN + 5. From SIGRTMIN to SIGRTMAX: [`Builder::build`] refuses others.
    ///
    /// The handler is installed once for the whole program, and passes on what it did not send itself.
    pub fn gate_signal(mut self, signal: Option<i32>) -> Builder {
        self.settings.gate_signal = signal;
        self
    }

    /// Threads that may be bound to tasks that don't give way, at once, 0 to [`MAX_BOUND`]. A task past the limit keeps
    /// its scheduler; with 0 each does. Default: [`DEFAULT_MAX_BOUND`].
    pub fn max_bound(mut self, n: usize) -> Builder {
        self.settings.max_bound = n;
        self
    }

    /// Native tasks at once, 0 to [`MAX_NATIVE`](crate::MAX_NATIVE); apart from `max_bound`. Default:
    /// [`DEFAULT_MAX_NATIVE`](crate::DEFAULT_MAX_NATIVE).
    pub fn max_native(mut self, n: usize) -> Builder {
        self.settings.max_native = n;
        self
    }

    /// What the kernel shall make of threads bound to tasks that don't give way. Default: [`Policy::Auto`].
    pub fn kernel_policy(mut self, policy: Policy) -> Builder {
        self.settings.policy = policy;
        self
    }

    /// Has `handler` called for each slice that lasts for `threshold` or more; one under a millisecond counts as one.
    /// Mirrors `erlang:system_monitor(long_schedule)`. Default: none.
    ///
    /// [`Scheduler::set_long_schedule`](crate::Scheduler::set_long_schedule) changes the threshold later;
    /// [`Duration::MAX`] is none, so the handler is not called until then.
    ///
    /// Once for each slice: when it ends, or is given away at a [`checkpoint`](crate::checkpoint); or, if the task lost
    /// its scheduler ([`LongSlice::bound`]), already when it has lasted for the threshold, since it may never end. The
    /// monitor finds them, to a millisecond or so, so one of little over the threshold may go unseen. Native tasks have
    /// no slices, and a simulation finds none.
    ///
    /// A plain task of the scheduler's calls it, with nothing held; it may send, log, block and take its time, and is
    /// then treated as any task that does. Its own slices are not reported. What happens before it returns waits
    /// ([`Builder::long_schedule_queue`]). If it panics, that is logged and counted ([`SchedulerFigures::panics`]), and
    /// it is called for the next one. Once the scheduler is stopped it is not called any more. It should hold no handle
    /// of the scheduler's, which would keep that up.
    ///
    /// [`SchedulerFigures::panics`]: crate::SchedulerFigures::panics
    ///
    /// ```
    /// use otp_scheduler::Scheduler;
    /// use std::time::{Duration, Instant};
    ///
    /// let (out, slices) = std::sync::mpsc::channel();
    /// let scheduler = Scheduler::builder()
    ///     .schedulers(1)
    ///     .long_schedule(Duration::from_millis(20), move |slice| drop(out.send(slice)))
    ///     .build()?;
    /// let begun = Instant::now();
    /// scheduler.spawn(async move { while begun.elapsed() < Duration::from_millis(50) {} });
    /// let slice = slices.recv()?;
    /// assert!(slice.duration >= Duration::from_millis(20) && slice.bound && !slice.is_over);
    /// println!("{} goes on for {:?}", slice.task, slice.duration);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn long_schedule(
        mut self,
        threshold: Duration,
        handler: impl Fn(LongSlice) + Send + Sync + 'static,
    ) -> Builder {
        let threshold_ns = u64::try_from(threshold.as_nanos()).unwrap_or(u64::MAX);
        self.settings.long_schedule = Some(Watch {
            threshold_ns: threshold_ns.max(SLICE_NS),
            handler: Arc::new(handler),
        });
        self
    }

    /// Long slices that may wait for that handler to return, up to
    /// [`MAX_LONG_SCHEDULE_QUEUE`](crate::MAX_LONG_SCHEDULE_QUEUE); further ones are counted
    /// ([`Figures::long_slices_lost`](crate::Figures::long_slices_lost)) and it never hears of them. Default:
    /// [`DEFAULT_LONG_SCHEDULE_QUEUE`](crate::DEFAULT_LONG_SCHEDULE_QUEUE).
    pub fn long_schedule_queue(mut self, n: usize) -> Builder {
        self.settings.long_schedule_queue = n;
        self
    }

    /// Pins each scheduler to a core: scheduler `i` to the `i`-th of those that the thread which builds it may use,
    /// round and round. Whichever thread runs the scheduler is on that core, and so is one that it gives a turn, since
    /// its task does not give way. More of such tasks' work gets done so, but where other programs use a core as well,
    /// a pinned scheduler does not evade them: it is for machines (or containers with cores of their own) that run
    /// nothing else. Mirrors `erl +sbt`. Default: false.
    ///
    /// **What is started in a task inherits its core**: threads, pools that a library makes when it is first used
    /// (rayon's global one), child processes; and [`std::thread::available_parallelism`] says 1 there. Make such pools
    /// before, on a thread of the host's, or in [`Scheduler::blocking`]: threads of that pool, and the scheduler's own
    /// helpers, are not pinned.
    ///
    /// ```
    /// let scheduler = otp_scheduler::Scheduler::builder().pin(true).build()?;
    /// let cores = || std::thread::available_parallelism().map(usize::from);
    /// assert_eq!(scheduler.spawn(async move { cores() }).wait()??, 1);
    /// assert_eq!(scheduler.try_blocking(cores)?.wait()??, cores()?);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn pin(mut self, pin: bool) -> Builder {
        self.pin = pin;
        self
    }

    /// Threads of the blocking pool at most, 1 to [`MAX_BLOCKING_THREADS`](crate::MAX_BLOCKING_THREADS); they are made
    /// when they are needed. Default: [`DEFAULT_BLOCKING_THREADS`](crate::DEFAULT_BLOCKING_THREADS).
    pub fn blocking_threads(mut self, n: usize) -> Builder {
        self.settings.blocking.threads = n;
        self
    }

    /// Closures that may wait for a thread of the blocking pool, 1 to
    /// [`MAX_BLOCKING_QUEUE`](crate::MAX_BLOCKING_QUEUE). Default:
    /// [`DEFAULT_BLOCKING_QUEUE`](crate::DEFAULT_BLOCKING_QUEUE).
    pub fn blocking_queue(mut self, n: usize) -> Builder {
        self.settings.blocking.queue = n;
        self
    }

    /// A thread of the blocking pool that had nothing to do for so long ends. Default:
    /// [`DEFAULT_BLOCKING_IDLE`](crate::DEFAULT_BLOCKING_IDLE).
    pub fn blocking_idle(mut self, idle: Duration) -> Builder {
        self.settings.blocking.idle = idle;
        self
    }

    /// Lets tasks, and blocking closures, use tokio's libraries: the runtime is *entered* on every thread that runs
    /// code of the program's. Feature `tokio`. Default: none.
    ///
    /// Timers and sockets of tokio's are served by the runtime's own driver, which must run: a multi-thread runtime
    /// does by itself, a current-thread one only while somebody is inside its `block_on`. The scheduler runs the tasks
    /// all the same; what they start by `tokio::spawn` runs on the runtime's threads.
    ///
    /// A handle keeps no runtime up: the host keeps the `Runtime` until the scheduler has ended ([`Scheduler::join`]).
    /// If it is shut down first, tokio's operations fail or panic as they do in a task of its own, and tasks that wait
    /// for a timer or socket of it are never woken or fail; no other task is touched.
    ///
    /// ```
    /// # #[cfg(feature = "tokio")] {
    /// use otp_scheduler::Scheduler;
    /// use std::time::Duration;
    ///
    /// let runtime = tokio::runtime::Builder::new_multi_thread()
    ///     .worker_threads(1)
    ///     .enable_all()
    ///     .build()?;
    /// let scheduler = Scheduler::builder()
    ///     .schedulers(1)
    ///     .tokio(runtime.handle().clone())
    ///     .build()?;
    /// let slept = scheduler.spawn(async { tokio::time::sleep(Duration::from_millis(1)).await });
    /// slept.wait()?;
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[cfg(feature = "tokio")]
    pub fn tokio(mut self, handle: tokio::runtime::Handle) -> Builder {
        self.settings.tokio = Some(handle);
        self
    }

    /// Starts the worker threads.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a number out of range or a name with a nul byte; `QuotaExceeded` if the program has
    /// [`MAX_GATES`] threads that run tasks; otherwise what the system says to a new thread or descriptor, or
    /// to [`Builder::pin`].
    pub fn build(self) -> io::Result<Scheduler> {
        let count = match self.schedulers {
            Some(count) => count,
            None => thread::available_parallelism()?.get().min(MAX_SCHEDULERS),
        };
        in_range("schedulers", count, 1..=MAX_SCHEDULERS)?;
        let online = self.online.unwrap_or(count);
        in_range("schedulers online", online, 1..=count)?;
        self.settings.check()?;
        gate::prepare_barriers()?;
        if let Some(signal) = self.settings.gate_signal {
            gate::install(signal)?;
        }
        let pins = if self.pin {
            Pins::of_this_thread()?
        } else {
            Pins::default()
        };
        let queues: Vec<RunQueue> = (0..count).map(|_| RunQueue::new()).collect();
        let stealers = queues.iter().map(RunQueue::stealers).collect();
        let core = Arc::new(Core::new(stealers, self.settings, pins, None)?);
        if online < count {
            core.online.set(&core, online).map_err(io::Error::other)?;
        }
        // Dropped, it ends the threads already there.
        let scheduler = Scheduler::of_core(Arc::clone(&core));
        for (index, queue) in queues.into_iter().enumerate() {
            let local = Box::new(Local::new(Arc::clone(&core), index, queue));
            if let Err(error) = core.threads.make(&core, First::Scheduler(local)) {
                for missing in index..count {
                    core.worker_ended(missing);
                }
                return Err(error);
            }
        }
        service(&core, "monitor", |core| core.monitor.run(core))?;
        service(&core, "maker", |core| core.threads.make_spares(core))?;
        Ok(scheduler)
    }
}

/// A thread that serves the set of schedulers until it is told to stop.
fn service(core: &Arc<Core>, name: &str, run: fn(&Arc<Core>)) -> io::Result<()> {
    let thread = thread::Builder::new().name(format!("otp-{}-{name}", core.name()));
    let served = Arc::clone(core);
    core.threads.keep(thread.spawn(move || {
        gate::set_kernel_slice(0, KERNEL_SLICE_NS);
        run(&served);
    })?);
    Ok(())
}
