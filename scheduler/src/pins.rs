//! Pinning: scheduler `i` stays on the `i`-th of the cores that the builder's thread may use, counted round and round.
//!
//! The thread that runs a scheduler is pinned, and so is a bound thread while the scheduler gives it a turn: one of the
//! two runs, the other sleeps. Without pins the kernel now and then places two turns on one core and leaves another
//! idle.
//!
//! Whoever hands over a scheduler or a turn pins the thread before it wakes it: a sleeping thread wakes on its new
//! core, a running one would be moved, which costs more. A bound thread that has no scheduler's core to itself (it
//! sleeps in the kernel, or was let go) may run anywhere. Spares keep the last pin until they are given something.
//!
//! Threads that others made are never pinned: the monitor, the maker, the pools. But the kernel hands affinity down, so
//! what a pinned thread starts is pinned as well.

use std::io;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use crate::gate::Gate;

const ANYWHERE: usize = 0;

/// Where a thread is pinned: the core's place in [`Pins`], plus one. Written by who gives the thread something, or
/// under the lock of the bound threads.
#[derive(Debug, Default)]
pub(crate) struct Pin(AtomicUsize);

impl Pin {
    /// For the slot's next thread.
    pub(crate) fn forget(&self) {
        self.0.store(ANYWHERE, Ordering::Relaxed);
    }
}

/// The cores to pin to; none if there shall be no pins.
#[derive(Debug, Default)]
pub(crate) struct Pins {
    cores: Box<[usize]>,
    refused: AtomicU64,
}

impl Pins {
    /// The cores that the calling thread may use, if the system lets it choose among them.
    pub(crate) fn of_this_thread() -> io::Result<Pins> {
        let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
        // SAFETY: room for a set of that size, and a set of no cores is all zero.
        let (result, set) = unsafe {
            let result = libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), set.as_mut_ptr());
            (result, set.assume_init())
        };
        if result < 0 {
            return Err(refusal("tell", &io::Error::last_os_error()));
        }
        let all = 0..libc::CPU_SETSIZE as usize;
        let pins = Pins {
            // SAFETY: the numbers are those of a set.
            cores: all
                .filter(|&core| unsafe { libc::CPU_ISSET(core, &set) })
                .collect(),
            refused: AtomicU64::new(0),
        };
        // Nothing changes by that, but a sandbox that forbids the call says so here.
        set_affinity(0, &pins.cores).map_err(|error| refusal("choose", &error))?;
        Ok(pins)
    }

    /// Pins a thread to a scheduler's core.
    #[inline]
    pub(crate) fn pin(&self, gate: &Gate, scheduler: usize) {
        if !self.cores.is_empty() {
            let place = scheduler % self.cores.len();
            self.place(gate, place + 1, &self.cores[place..=place]);
        }
    }

    /// Lets a thread run anywhere again.
    #[inline]
    pub(crate) fn release(&self, gate: &Gate) {
        if !self.cores.is_empty() {
            self.place(gate, ANYWHERE, &self.cores);
        }
    }

    /// Asks the system only for what is not so already. If that refuses (the cores of the container were changed), the
    /// thread runs where it is put, and the next hand-over asks again.
    fn place(&self, gate: &Gate, place: usize, cores: &[usize]) {
        if gate.pin.0.load(Ordering::Relaxed) == place {
            return;
        }
        match set_affinity(gate.thread(), cores) {
            Ok(()) => gate.pin.0.store(place, Ordering::Relaxed),
            Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    pub(crate) fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }
}

fn refusal(what: &str, error: &io::Error) -> io::Error {
    io::Error::new(
        error.kind(),
        format!(
            "schedulers cannot be pinned: the system does not {what} the cores that threads run on ({error}); build without `pin`"
        ),
    )
}

/// Costs a microsecond for a thread that sleeps.
fn set_affinity(thread: i32, cores: &[usize]) -> io::Result<()> {
    // SAFETY: a set of no cores is all zero, and the numbers are those of a set.
    let set = unsafe {
        let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed().assume_init();
        cores.iter().for_each(|&core| libc::CPU_SET(core, &mut set));
        set
    };
    // SAFETY: a valid set, of that size; the thread is one of this program.
    match unsafe { libc::sched_setaffinity(thread, size_of::<libc::cpu_set_t>(), &set) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// As where a container's cores were changed.
    #[test]
    fn a_core_that_is_refused_is_counted_and_asked_for_again() {
        let pins = Pins {
            cores: Box::new([libc::CPU_SETSIZE as usize - 1]),
            refused: AtomicU64::new(0),
        };
        let before = Pins::of_this_thread().unwrap().cores;
        let gate = Gate::default();
        gate.sit_down();
        pins.pin(&gate, 0);
        pins.pin(&gate, 1);
        assert_eq!(pins.refused(), 2);
        assert_eq!(Pins::of_this_thread().unwrap().cores, before);
    }

    #[test]
    fn schedulers_go_round_the_cores_and_a_release_gives_all_back() {
        let all = Pins::of_this_thread().unwrap();
        let gate = Gate::default();
        gate.sit_down();
        for scheduler in 0..2 * all.cores.len() {
            all.pin(&gate, scheduler);
            let own = Pins::of_this_thread().unwrap().cores;
            assert_eq!(*own, [all.cores[scheduler % all.cores.len()]]);
        }
        all.release(&gate);
        assert_eq!(Pins::of_this_thread().unwrap().cores, all.cores);
        assert_eq!(all.refused(), 0);
    }

    #[test]
    fn without_cores_nothing_is_pinned() {
        let before = Pins::of_this_thread().unwrap().cores;
        let gate = Gate::default();
        gate.sit_down();
        Pins::default().pin(&gate, 0);
        assert_eq!(Pins::of_this_thread().unwrap().cores, before);
    }
}
