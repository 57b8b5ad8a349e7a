//! Atomics and the lock of the types that loom tries: the real ones, or loom's where every interleaving is tried.

#[cfg(not(loom))]
pub(crate) use crate::futex::{wait as futex_wait, wake_one as futex_wake_one};
#[cfg(not(loom))]
pub(crate) use crate::lock::{MonitorMutex as Mutex, Mutex as LockMutex};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub(crate) use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

/// The side of a barrier on all threads (`gate.rs`) that costs nothing: the compiler keeps the order, and the barrier
/// does the rest. loom knows no such barrier: a full fence on both sides allows the same.
#[inline]
pub(crate) fn fence_of_barrier() {
    #[cfg(not(loom))]
    std::sync::atomic::compiler_fence(Ordering::SeqCst);
    #[cfg(loom)]
    fence(Ordering::SeqCst);
}

#[cfg(loom)]
loom::lazy_static! {
    /// The kernel's table of those who sleep on words, one row long.
    static ref SLEEPERS: (loom::sync::Mutex<()>, loom::sync::Condvar) =
        (loom::sync::Mutex::new(()), loom::sync::Condvar::new());
}

/// As the kernel does it: who falls asleep looks at the word under the lock that wakers take. loom fails if nobody ever
/// wakes it.
#[cfg(loom)]
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, _limit_ns: Option<u64>) {
    let (lock, woken) = &*SLEEPERS;
    let guard = lock.lock().expect("no test panics with the lock");
    if word.load(Ordering::Relaxed) == expected {
        drop(woken.wait(guard));
    }
}

#[cfg(loom)]
pub(crate) fn futex_wake_one(_word: &AtomicU32) {
    let (lock, woken) = &*SLEEPERS;
    let _guard = lock.lock().expect("no test panics with the lock");
    // Those of other words go round their loops.
    woken.notify_all();
}

#[cfg(loom)]
pub(crate) use Mutex as LockMutex;

/// loom's lock with the interface of the others.
#[cfg(loom)]
#[derive(Debug)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

#[cfg(loom)]
impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Mutex<T> {
        Mutex(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
        self.0.lock().expect("no test panics with the lock")
    }
}
