//! The poller: sockets, the timer descriptor and the wake token, in one epoll instance.
//!
//! One worker at most waits in it, the attendant (`idle.rs`); while there is none, busy workers look for sockets
//! between slices. Sockets are registered through `mio`, edge triggered. The token and the timer are the attendant's:
//! level triggered, so that a busy worker that looks at the wrong moment passes them over and does not take them away.
//!
//! mio rounds timeouts up to milliseconds; a timer descriptor on the same clock has nanoseconds. It is armed while
//! somebody waits, for the earliest deadline of all wheels; an early deadline left armed by a cancel costs a look.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Waker;

use mio::event::Source;
use mio::{Interest, Poll, Token};
use slab::Slab;

use crate::clock::Clock;
use crate::lock::Mutex;
use crate::panics::report;
use crate::registration::{Entry, Readiness};

/// Events taken from the kernel at once. Chosen by feel: what is left goes to the next waiter.
const EVENTS_AT_ONCE: usize = 256;

/// Sockets that nobody has polled for so long are attended to by an idle worker, if there is one.
const SOCKETS_LATE_NS: u64 = 1_000_000;

const WAKE: u64 = u64::MAX;
const TIMER: u64 = u64::MAX - 1;

/// A source's token is its index in the low 32 bits, its generation above. (The crate is for 64-bit Linux.)
const INDEX: usize = u32::MAX as usize;

/// How to look for events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wait {
    /// Do not wait, and take sockets only: for busy workers.
    No,
    /// Wait for sockets, the timer and the token: for the attendant.
    Attend,
}

/// What a wait came to, apart from the wakers of the sockets' tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Polled {
    pub(crate) timer: bool,
    pub(crate) events: u64,
}

#[derive(Debug)]
pub(crate) struct Driver {
    epoll: Poll,
    token: OwnedFd,
    timer: OwnedFd,
    /// Deadline that the timer descriptor is armed for; changed only under `arming`, since two threads that arm at
    /// once could leave the later deadline in the kernel.
    armed: AtomicU64,
    arming: Mutex<()>,
    clock: Clock,
    entries: Mutex<Entries>,
    sources: AtomicU64,
    /// When somebody last looked for sockets, or stopped to wait for them.
    polled_at: AtomicU64,
}

#[derive(Debug, Default)]
struct Entries {
    slab: Slab<Slotted>,
    generation: u32,
}

#[derive(Debug)]
struct Slotted {
    generation: u32,
    entry: Arc<Entry>,
}

impl Driver {
    pub(crate) fn new(clock: Clock) -> io::Result<Driver> {
        let epoll = Poll::new()?;
        // SAFETY: calls without pointers; each answers a new descriptor of our own or an error.
        let (token, timer) = unsafe {
            (
                owned(libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC))?,
                owned(libc::timerfd_create(
                    libc::CLOCK_MONOTONIC,
                    libc::TFD_NONBLOCK | libc::TFD_CLOEXEC,
                ))?,
            )
        };
        for (descriptor, name) in [(&token, WAKE), (&timer, TIMER)] {
            watch(&epoll, descriptor, name)?;
        }
        Ok(Driver {
            epoll,
            token,
            timer,
            armed: AtomicU64::new(u64::MAX),
            arming: Mutex::new(()),
            clock,
            entries: Mutex::new(Entries::default()),
            sources: AtomicU64::new(0),
            polled_at: AtomicU64::new(0),
        })
    }

    /// Wakes the attendant.
    pub(crate) fn wake(&self) {
        let one = 1_u64;
        // SAFETY: eight bytes of a living word, to a descriptor of our own.
        let written = unsafe { libc::write(self.token.as_raw_fd(), (&raw const one).cast(), 8) };
        if written < 0 {
            let error = io::Error::last_os_error();
            // Only a count near 2^64 or a descriptor that is not ours any more: a broken process, no case to handle.
            report(|| tracing::error!(%error, "the wake-up of an idle scheduler thread failed"));
        }
    }

    /// Makes sure that the attendant is woken at `deadline`.
    pub(crate) fn arm(&self, deadline: u64) {
        if deadline >= self.armed.load(Ordering::SeqCst) {
            return;
        }
        let arming = self.arming.lock();
        let set = if deadline < self.armed.load(Ordering::SeqCst) {
            self.armed.store(deadline, Ordering::SeqCst);
            self.set_timer(self.clock.absolute(deadline))
        } else {
            Ok(())
        };
        drop(arming);
        if let Err(error) = set {
            report(
                || tracing::error!(%error, "the timer of the idle scheduler threads could not be set"),
            );
        }
    }

    fn set_timer(&self, absolute: u64) -> io::Result<()> {
        let setting = libc::itimerspec {
            it_interval: libc::timespec {
                tv_sec: 0,
                tv_nsec: 0,
            },
            it_value: libc::timespec {
                tv_sec: (absolute / 1_000_000_000) as libc::time_t,
                // A setting of nought would disarm it; the clock never reads so little again.
                tv_nsec: (absolute % 1_000_000_000).max(1) as libc::c_long,
            },
        };
        // SAFETY: the descriptor is ours, `setting` is valid, and the old setting is not asked for.
        let result = unsafe {
            libc::timerfd_settime(
                self.timer.as_raw_fd(),
                libc::TFD_TIMER_ABSTIME,
                &setting,
                ptr::null_mut(),
            )
        };
        if result < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(())
    }

    /// True if there is anything to poll for, and nobody has for so long.
    pub(crate) fn is_unpolled(&self, now: u64, for_ns: u64) -> bool {
        self.sources.load(Ordering::Relaxed) > 0
            && now.saturating_sub(self.polled_at.load(Ordering::Relaxed)) >= for_ns
    }

    /// True if the busy workers have not polled for so long that they must be stuck in slices.
    pub(crate) fn is_late(&self, now: u64) -> bool {
        self.is_unpolled(now, SOCKETS_LATE_NS)
    }

    /// For who is about to poll, or has just waited.
    pub(crate) fn set_polled(&self, now: u64) {
        self.polled_at.store(now, Ordering::Relaxed);
    }

    pub(crate) fn sources(&self) -> usize {
        self.sources.load(Ordering::Relaxed) as usize
    }

    /// Looks for events and collects the wakers of the tasks that wait for them, for the caller to wake outside every
    /// lock.
    pub(crate) fn poll(&self, wait: Wait, wakers: &mut Vec<Waker>) -> Polled {
        let mut events = [const { MaybeUninit::<libc::epoll_event>::uninit() }; EVENTS_AT_ONCE];
        // SAFETY: the descriptor is our own, open as long as `self`; the buffer has room for as many events as are
        // asked for.
        let count = unsafe {
            libc::epoll_wait(
                self.epoll.as_raw_fd(),
                events.as_mut_ptr().cast(),
                EVENTS_AT_ONCE as libc::c_int,
                if wait == Wait::Attend { -1 } else { 0 },
            )
        };
        let mut polled = Polled::default();
        if count <= 0 {
            // Interrupted by a signal: the caller goes round its loop.
            return polled;
        }
        let mut entries = None;
        for event in &events[..count as usize] {
            // SAFETY: the kernel wrote `count` events.
            let event = unsafe { event.assume_init() };
            match event.u64 {
                WAKE | TIMER if wait == Wait::No => {}
                WAKE => empty(&self.token),
                TIMER => {
                    empty(&self.timer);
                    polled.timer = true;
                    let _arming = self.arming.lock();
                    self.armed.store(u64::MAX, Ordering::SeqCst);
                }
                token => {
                    let token = token as usize;
                    polled.events += 1;
                    let entries = entries.get_or_insert_with(|| self.entries.lock());
                    // A token of a source dropped meanwhile, or of its successor: the generation tells.
                    if let Some(slotted) = entries.slab.get(token & INDEX)
                        && slotted.generation == (token >> 32) as u32
                    {
                        slotted
                            .entry
                            .set_ready(Readiness::of_epoll(event.events), wakers);
                    }
                }
            }
        }
        polled
    }

    pub(crate) fn register<S: Source + ?Sized>(
        &self,
        source: &mut S,
        interest: Interest,
    ) -> io::Result<(Arc<Entry>, Token)> {
        let entry = Arc::new(Entry::new());
        let token = {
            let mut entries = self.entries.lock();
            entries.generation = entries.generation.wrapping_add(1);
            let generation = entries.generation;
            let index = entries.slab.insert(Slotted {
                generation,
                entry: Arc::clone(&entry),
            });
            Token((generation as usize) << 32 | index)
        };
        self.sources.fetch_add(1, Ordering::Relaxed);
        match self.epoll.registry().register(source, token, interest) {
            Ok(()) => Ok((entry, token)),
            Err(error) => {
                self.forget(token);
                Err(error)
            }
        }
    }

    pub(crate) fn deregister<S: Source + ?Sized>(&self, source: &mut S) -> io::Result<()> {
        self.epoll.registry().deregister(source)
    }

    /// Drops the entry; events still to come for its token are passed over.
    pub(crate) fn forget(&self, Token(token): Token) {
        let removed = self.entries.lock().slab.try_remove(token & INDEX);
        if removed.is_some() {
            self.sources.fetch_sub(1, Ordering::Relaxed);
        }
        // The entry may hold the last reference to a task: dropped here, outside the lock.
        drop(removed);
    }

    /// Takes all wakers out, so that the tasks that they hold can go; for the end of the scheduler.
    pub(crate) fn clear(&self) -> Vec<Waker> {
        let entries = self.entries.lock();
        let mut wakers = Vec::new();
        for (_, slotted) in &entries.slab {
            slotted.entry.set_ready(Readiness::ALL, &mut wakers);
        }
        wakers
    }
}

fn owned(descriptor: libc::c_int) -> io::Result<OwnedFd> {
    if descriptor < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor just made, owned by nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn watch(epoll: &Poll, watched: &OwnedFd, name: u64) -> io::Result<()> {
    let mut event = libc::epoll_event {
        events: libc::EPOLLIN as u32,
        u64: name,
    };
    // SAFETY: two open descriptors and a valid event.
    let result = unsafe {
        libc::epoll_ctl(
            epoll.as_raw_fd(),
            libc::EPOLL_CTL_ADD,
            watched.as_raw_fd(),
            &mut event,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Empties a descriptor that counts, an event or timer descriptor, so that it is ready no more.
fn empty(counting: &OwnedFd) {
    let mut count = 0_u64;
    // SAFETY: room for the eight bytes that such a descriptor gives.
    unsafe { libc::read(counting.as_raw_fd(), (&raw mut count).cast(), 8) };
}
