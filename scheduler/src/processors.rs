//! What the system tells of the program: its processors, and the time that it had on them.

use std::mem::MaybeUninit;
use std::thread;
use std::time::Duration;

/// Logical processors, as the system tells of them. Mirrors `erlang:system_info(logical_processors)` and its like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Processors {
    /// Those that the machine may have.
    pub configured: usize,
    /// Those of them that run.
    pub online: usize,
    /// As many of them as the program may use at once: by the affinity of its main thread, and the limit of its
    /// container, if it has one.
    pub available: usize,
}

impl Processors {
    /// Asks the system: some microseconds, since limits of containers lie in files.
    ///
    /// The limit of the container is not seen on a thread that is pinned to fewer processors than it has.
    ///
    /// ```
    /// let processors = otp_scheduler::Processors::now();
    /// assert!((1..=processors.online).contains(&processors.available));
    /// assert!(processors.online <= processors.configured);
    /// ```
    pub fn now() -> Processors {
        let configured = system_count(libc::_SC_NPROCESSORS_CONF);
        let online = system_count(libc::_SC_NPROCESSORS_ONLN);
        // The standard library tells the lesser of this thread's affinity and the container's limit.
        let here = thread::available_parallelism().map_or(1, usize::from);
        // SAFETY: a call without arguments. The main thread has the program's number.
        let main = unsafe { libc::getpid() };
        let of_main = processors_of(main).unwrap_or(online);
        let is_limited = processors_of(0).is_some_and(|of_this| here < of_this);
        Processors {
            configured,
            online,
            available: if is_limited {
                of_main.min(here)
            } else {
                of_main
            },
        }
    }
}

fn system_count(what: libc::c_int) -> usize {
    // SAFETY: a call with a number.
    let count = unsafe { libc::sysconf(what) };
    usize::try_from(count).unwrap_or(1).max(1)
}

/// How many a thread may use; 0 is the calling one.
fn processors_of(thread: libc::pid_t) -> Option<usize> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: room for a set of that size, and a set of none is all zero.
    let (result, set) = unsafe {
        let result =
            libc::sched_getaffinity(thread, size_of::<libc::cpu_set_t>(), set.as_mut_ptr());
        (result, set.assume_init())
    };
    // SAFETY: a set.
    (result >= 0).then(|| unsafe { libc::CPU_COUNT(&set) } as usize)
}

/// Time that all threads of the program had on processors so far, the host's among them. Mirrors
/// `erlang:statistics(runtime)`.
///
/// ```
/// let before = otp_scheduler::cpu_time();
/// while otp_scheduler::cpu_time() == before {}
/// ```
pub fn cpu_time() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: room for a time; the clock is there on each system that this runs on.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
