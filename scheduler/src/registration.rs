//! Readiness of one registered source, and the tasks that wait for it.
//!
//! Protocol (edge triggered, so an event is told once):
//! 1. The poller adds the event's bits and one to the tick, in one step, then takes the wakers.
//! 2. An operation reads the readiness (bits and tick), tries the system call, and on `WouldBlock` clears the bits
//!    *of that tick*. If an event came in between, the tick differs, nothing is cleared, and it tries again.
//! 3. To wait, a task stores its waker, then reads the readiness again; both under the wakers' lock, which the
//!    poller takes after it set the bits. So either the task sees the bits or the poller sees the waker. Wakers are
//!    cloned before that lock and dropped after it: both are the program's code.
//!
//! New sources count as ready for everything: the first operation tries the system call at once.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use mio::event::Source;
use mio::{Interest, Token};

use crate::core::Core;
use crate::lock::Mutex;

/// What a source is ready for, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness(u64);

impl Readiness {
    const READ: u64 = 1;
    const WRITE: u64 = 2;
    const READ_CLOSED: u64 = 4;
    const WRITE_CLOSED: u64 = 8;
    const BITS: u64 = 15;
    const TICK: u64 = 16;

    /// Ready for everything, closed on both sides: what waiters see at the end of the scheduler.
    pub(crate) const ALL: Readiness = Readiness(Readiness::BITS);

    pub(crate) fn of_epoll(events: u32) -> Readiness {
        let any = |flags: i32| events & flags as u32 != 0;
        let mut bits = 0;
        if any(libc::EPOLLIN | libc::EPOLLPRI) {
            bits |= Readiness::READ;
        }
        if any(libc::EPOLLOUT) {
            bits |= Readiness::WRITE;
        }
        if any(libc::EPOLLRDHUP) {
            bits |= Readiness::READ | Readiness::READ_CLOSED;
        }
        if any(libc::EPOLLHUP | libc::EPOLLERR) {
            bits |= Readiness::BITS;
        }
        Readiness(bits)
    }

    fn of_interest(interest: Interest) -> u64 {
        let mut bits = 0;
        if interest.is_readable() {
            bits |= Readiness::READ | Readiness::READ_CLOSED;
        }
        if interest.is_writable() {
            bits |= Readiness::WRITE | Readiness::WRITE_CLOSED;
        }
        bits
    }

    /// A read would give data, the end, or an error.
    pub fn is_readable(self) -> bool {
        self.0 & (Readiness::READ | Readiness::READ_CLOSED) != 0
    }

    /// A write would take data or give an error.
    pub fn is_writable(self) -> bool {
        self.0 & (Readiness::WRITE | Readiness::WRITE_CLOSED) != 0
    }
}

/// Wakers that wait for one direction of a source at most. A task that polls with another waker each time leaves the
/// one before; past the limit the oldest is woken, and waits anew if it still wants to. So many that do have more room
/// ([`Probe`]). Chosen by feel.
const WAITERS_MAX: usize = 1024;

/// A probe that has not come back after so many others is given up: nobody polls with that waker any more. More than
/// wait for one source, and some 50 ms of wakes in vain where a source has both more waiters than the limit and such
/// wakers.
const PROBE_PATIENCE: usize = 1 << 16;

/// Tasks that wait in one direction. Nearly always one, which costs no allocation.
#[derive(Debug, Default)]
struct Waiters {
    first: Option<Waker>,
    others: VecDeque<Waker>,
    /// Past the limit, for those that come back.
    extra_room: usize,
    probe: Option<Probe>,
}

/// One that was woken because of the limit. If it comes back it still waited, and so did those woken after it, most
/// likely: without room for them all they would wake each other for ever.
#[derive(Debug)]
struct Probe {
    waker: Waker,
    /// Woken because of the limit since then, this one included.
    woken: usize,
}

/// What a waker that waits leaves over.
#[derive(Debug)]
enum Over {
    /// It was there already.
    Known(Waker),
    /// The oldest one, which is to be woken.
    Oldest(Waker),
    /// The same; it is to be the probe.
    Probe(Waker),
}

impl Waiters {
    fn add(&mut self, waker: Waker) -> Option<Over> {
        let mut known = self.first.iter().chain(&self.others);
        if known.any(|known| known.will_wake(&waker)) {
            return Some(Over::Known(waker));
        }
        if self.first.is_none() {
            self.first = Some(waker);
            return None;
        }
        if let Some(probe) = self.probe.take_if(|probe| probe.waker.will_wake(&waker)) {
            self.extra_room += probe.woken;
            self.others.push_back(probe.waker);
            return Some(Over::Known(waker));
        }
        self.others.push_back(waker);
        if self.others.len() < WAITERS_MAX + self.extra_room {
            return None;
        }
        let oldest = self.others.pop_front()?;
        match &mut self.probe {
            Some(probe) if probe.woken < PROBE_PATIENCE => {
                probe.woken += 1;
                Some(Over::Oldest(oldest))
            }
            _ => Some(Over::Probe(oldest)),
        }
    }

    fn take(&mut self, wakers: &mut Vec<Waker>) {
        if self.others.len() < WAITERS_MAX {
            self.extra_room = 0;
        }
        wakers.extend(self.first.take());
        wakers.extend(self.others.drain(..));
        wakers.extend(self.probe.take().map(|probe| probe.waker));
    }
}

#[derive(Debug, Default)]
struct Waiting {
    readers: Waiters,
    writers: Waiters,
}

#[derive(Debug)]
pub(crate) struct Entry {
    readiness: AtomicU64,
    waiting: Mutex<Waiting>,
}

impl Entry {
    pub(crate) fn new() -> Entry {
        Entry {
            readiness: AtomicU64::new(Readiness::READ | Readiness::WRITE),
            waiting: Mutex::default(),
        }
    }

    pub(crate) fn set_ready(&self, ready: Readiness, wakers: &mut Vec<Waker>) {
        let bits = ready.0 & Readiness::BITS;
        let add = |now: u64| Some((now | bits).wrapping_add(Readiness::TICK));
        // Cannot fail: the closure always gives a value.
        let _ = self
            .readiness
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, add);
        let mut waiting = self.waiting.lock();
        if ready.is_readable() {
            waiting.readers.take(wakers);
        }
        if ready.is_writable() {
            waiting.writers.take(wakers);
        }
    }

    /// Outside of the lock: what is left over, of the one direction or the other.
    fn settle(&self, over: Option<Over>, of: impl FnOnce(&mut Waiting) -> &mut Waiters) {
        match over {
            None => {}
            Some(Over::Known(waker)) => drop(waker),
            Some(Over::Oldest(waker)) => waker.wake(),
            Some(Over::Probe(waker)) => {
                waker.wake_by_ref();
                let mut waiting = self.waiting.lock();
                let probe = Probe { waker, woken: 1 };
                let before = of(&mut waiting).probe.replace(probe);
                drop(waiting);
                drop(before);
            }
        }
    }
}

/// A source registered with the poller of a scheduler. Dropping it ends the waiting; the poller itself forgets the
/// source when its descriptor is closed, or by [`Registration::deregister`].
#[derive(Debug)]
pub struct Registration {
    core: Arc<Core>,
    entry: Arc<Entry>,
    token: Token,
}

impl Registration {
    pub(crate) fn new<S: Source + ?Sized>(
        core: &Arc<Core>,
        source: &mut S,
        interest: Interest,
    ) -> io::Result<Registration> {
        core.real_io()?;
        let (entry, token) = core.driver.register(source, interest)?;
        Ok(Registration {
            core: Arc::clone(core),
            entry,
            token,
        })
    }

    pub(crate) fn core(&self) -> &Arc<Core> {
        &self.core
    }

    /// What the source is ready for, as far as is known. Read it before the operation whose `WouldBlock` will be
    /// handed to [`Registration::clear_ready`].
    pub fn readiness(&self) -> Readiness {
        Readiness(self.entry.readiness.load(Ordering::Acquire))
    }

    /// Waits until the source is ready in a direction of `interest`. Several tasks may wait at once; all are woken.
    pub fn poll_ready(&self, cx: &mut Context<'_>, interest: Interest) -> Poll<Readiness> {
        let wanted = Readiness::of_interest(interest);
        let ready = self.readiness();
        if ready.0 & wanted != 0 {
            return Poll::Ready(ready);
        }
        let clone = || cx.waker().clone();
        let reader = interest.is_readable().then(clone);
        let writer = interest.is_writable().then(clone);
        let mut waiting = self.entry.waiting.lock();
        let reader = reader.and_then(|waker| waiting.readers.add(waker));
        let writer = writer.and_then(|waker| waiting.writers.add(waker));
        let ready = self.readiness();
        drop(waiting);
        self.entry.settle(reader, |waiting| &mut waiting.readers);
        self.entry.settle(writer, |waiting| &mut waiting.writers);
        if ready.0 & wanted != 0 {
            // The waker stays: a spurious wake costs less than to find it again.
            return Poll::Ready(ready);
        }
        Poll::Pending
    }

    /// Takes back the readiness of a direction after an operation gave `WouldBlock`, unless an event came since
    /// `seen` was read. What was believed closed is open after all, if it would block (an error that was not fatal).
    pub fn clear_ready(&self, seen: Readiness, interest: Interest) {
        self.clear(seen, Readiness::of_interest(interest));
    }

    /// After an operation that moved less than it was asked to: the next would block, unless the side is closed.
    pub(crate) fn clear_open(&self, seen: Readiness, interest: Interest) {
        let open = Readiness::READ | Readiness::WRITE;
        self.clear(seen, Readiness::of_interest(interest) & open);
    }

    fn clear(&self, seen: Readiness, bits: u64) {
        // If it fails, an event came: the caller finds it in `poll_ready`.
        let _ = self.entry.readiness.compare_exchange(
            seen.0,
            seen.0 & !bits,
            Ordering::AcqRel,
            Ordering::Relaxed,
        );
    }

    /// Takes the source out of the poller, for a source that lives on.
    ///
    /// # Errors
    ///
    /// What the system says, for instance that `source` is not the registered one.
    pub fn deregister<S: Source + ?Sized>(self, source: &mut S) -> io::Result<()> {
        self.core.driver.deregister(source)
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.core.driver.forget(self.token);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn counts(n: usize) -> Vec<Arc<Count>> {
        (0..n).map(|_| Arc::default()).collect()
    }

    fn woken(count: &Arc<Count>) -> usize {
        count.0.load(Ordering::Relaxed)
    }

    fn wait(entry: &Entry, count: &Arc<Count>) {
        let waker = Waker::from(Arc::clone(count));
        let over = entry.waiting.lock().readers.add(waker);
        entry.settle(over, |waiting| &mut waiting.readers);
    }

    fn taken(entry: &Entry) -> Vec<Waker> {
        let mut wakers = Vec::new();
        entry.waiting.lock().readers.take(&mut wakers);
        wakers
    }

    #[test]
    fn past_the_limit_the_oldest_waiter_is_woken() {
        let entry = Entry::new();
        let counts = counts(2 * WAITERS_MAX);
        counts.iter().for_each(|count| wait(&entry, count));
        assert_eq!(counts.iter().map(woken).sum::<usize>(), WAITERS_MAX);
        let left = taken(&entry);
        // And the probe.
        assert_eq!(left.len(), WAITERS_MAX + 1);
        left.into_iter().for_each(Waker::wake);
        assert!(counts.iter().all(|count| woken(count) >= 1), "one is lost");
    }

    #[test]
    fn more_waiters_than_the_limit_that_all_come_back_come_to_rest() {
        const TASKS: usize = 3 * WAITERS_MAX;
        let entry = Entry::new();
        // One that nobody polls with any more, among the first to be woken.
        let left_behind = Arc::new(Count::default());
        wait(&entry, &Arc::default());
        wait(&entry, &left_behind);
        let counts = counts(TASKS);
        let mut seen = vec![0; TASKS];
        let mut to_run: VecDeque<usize> = (0..TASKS).collect();
        let mut rounds = 0;
        while let Some(task) = to_run.pop_front() {
            rounds += 1;
            assert!(rounds < 4 * PROBE_PATIENCE, "they wake each other for ever");
            wait(&entry, &counts[task]);
            // As a scheduler would: each that was woken runs, and polls again.
            if rounds % WAITERS_MAX == 0 || to_run.is_empty() {
                for (task, seen) in seen.iter_mut().enumerate() {
                    if woken(&counts[task]) > *seen {
                        *seen = woken(&counts[task]);
                        to_run.push_back(task);
                    }
                }
            }
        }
        assert!(taken(&entry).len() > TASKS, "each waits");
    }

    #[test]
    fn wakers_that_come_and_go_get_no_room_beside_one_that_stays() {
        let entry = Entry::new();
        let stays = Arc::new(Count::default());
        wait(&entry, &Arc::default());
        wait(&entry, &stays);
        let mut seen = 0;
        for _ in 0..100 * WAITERS_MAX {
            wait(&entry, &Arc::default());
            if woken(&stays) > seen {
                seen = woken(&stays);
                wait(&entry, &stays);
            }
        }
        assert!(seen > 0, "it was not woken");
        assert!(taken(&entry).len() < 2 * WAITERS_MAX);
    }
}
