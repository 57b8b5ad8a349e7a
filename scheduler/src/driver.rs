//! The poller: sockets, the timer descriptor and the wake token, in one epoll instance that all idle workers wait in.
//!
//! Sources are registered through `mio` (edge triggered). The wait itself is `epoll_wait` on mio's descriptor, since
//! `mio::Poll::poll` lets only one thread in, and then a worker that left with an event would have to wake another to
//! take its place (11 to 20 us of somebody's time for each event) or leave sockets and timers alone during its slice.
//! The kernel gives each edge to one waiter, the last that came.
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
use mio::unix::SourceFd;
use mio::{Interest, Poll, Token};
use parking_lot::Mutex;
use slab::Slab;

use crate::clock::Clock;
use crate::registration::{Entry, Readiness};

/// Events taken from the kernel at once. Chosen by feel: what is left goes to the next waiter.
const EVENTS_AT_ONCE: usize = 256;

const WAKE: Token = Token(usize::MAX);
const TIMER: Token = Token(usize::MAX - 1);

/// A source's token is its index in the low 32 bits, its generation above. (The crate is for 64-bit Linux.)
const INDEX: usize = u32::MAX as usize;

/// What a wait came to, apart from the wakers of the sockets' tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Polled {
    /// The wake token was read: see `idle.rs`.
    pub(crate) token: bool,
    pub(crate) timer: bool,
    pub(crate) events: u64,
}

#[derive(Debug)]
pub(crate) struct Driver {
    poll: Poll,
    waker: mio::Waker,
    timer: OwnedFd,
    /// Deadline that the timer descriptor is armed for; changed only under `arming`, since two threads that arm at
    /// once could leave the later deadline in the kernel.
    armed: AtomicU64,
    arming: Mutex<()>,
    clock: Clock,
    entries: Mutex<Entries>,
    sources: AtomicU64,
    /// When a busy worker last polled.
    pub(crate) polled_at: AtomicU64,
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
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), WAKE)?;
        // SAFETY: a call without pointers.
        let timer = unsafe {
            libc::timerfd_create(
                libc::CLOCK_MONOTONIC,
                libc::TFD_NONBLOCK | libc::TFD_CLOEXEC,
            )
        };
        if timer < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just made, owned by nobody else.
        let timer = unsafe { OwnedFd::from_raw_fd(timer) };
        poll.registry()
            .register(&mut SourceFd(&timer.as_raw_fd()), TIMER, Interest::READABLE)?;
        Ok(Driver {
            poll,
            waker,
            timer,
            armed: AtomicU64::new(u64::MAX),
            arming: Mutex::new(()),
            clock,
            entries: Mutex::new(Entries::default()),
            sources: AtomicU64::new(0),
            polled_at: AtomicU64::new(0),
        })
    }

    /// Writes the wake token.
    pub(crate) fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            // Writing eight bytes to an event descriptor of our own: this is a broken process, not a case to handle.
            tracing::error!(%error, "the wake-up of an idle scheduler thread failed");
        }
    }

    /// Makes sure that a waiter is woken at `deadline`.
    pub(crate) fn arm(&self, deadline: u64) {
        if deadline >= self.armed.load(Ordering::SeqCst) {
            return;
        }
        let _arming = self.arming.lock();
        if deadline < self.armed.load(Ordering::SeqCst) {
            self.armed.store(deadline, Ordering::SeqCst);
            self.set_timer(self.clock.absolute(deadline));
        }
    }

    fn set_timer(&self, absolute: u64) {
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
            let error = io::Error::last_os_error();
            tracing::error!(%error, "the timer of the idle scheduler threads could not be set");
        }
    }

    /// True if there is anything that a busy worker should poll for.
    pub(crate) fn has_sources(&self) -> bool {
        self.sources.load(Ordering::Relaxed) > 0
    }

    pub(crate) fn sources(&self) -> usize {
        self.sources.load(Ordering::Relaxed) as usize
    }

    /// Waits for events (or, without `block`, takes those that are there) and collects the wakers of the tasks that wait
    /// for them, for the caller to wake outside every lock.
    pub(crate) fn poll(&self, block: bool, wakers: &mut Vec<Waker>) -> Polled {
        let mut events = [const { MaybeUninit::<libc::epoll_event>::uninit() }; EVENTS_AT_ONCE];
        // SAFETY: the descriptor is mio's own, open as long as `self.poll`; the buffer has room for as many events as
        // are asked for.
        let count = unsafe {
            libc::epoll_wait(
                self.poll.as_raw_fd(),
                events.as_mut_ptr().cast(),
                EVENTS_AT_ONCE as libc::c_int,
                if block { -1 } else { 0 },
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
            let token = Token(event.u64 as usize);
            match token {
                WAKE => polled.token = true,
                TIMER => {
                    polled.timer = true;
                    let _arming = self.arming.lock();
                    self.armed.store(u64::MAX, Ordering::SeqCst);
                }
                Token(token) => {
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
        match self.poll.registry().register(source, token, interest) {
            Ok(()) => Ok((entry, token)),
            Err(error) => {
                self.forget(token);
                Err(error)
            }
        }
    }

    pub(crate) fn deregister<S: Source + ?Sized>(&self, source: &mut S) -> io::Result<()> {
        self.poll.registry().deregister(source)
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
