//! Locks whose holder is never made to wait at a gate, and a section for everything else that must be short.
//!
//! A thread that is bound to a task waits for its turns wherever it is (`gate.rs`); if it held a lock meanwhile, all
//! who want that lock would wait for its next turn. These locks are `parking_lot`'s, held within a section of the VM.
//! They are for code that does little under them and never calls the user's; locks of programs need none of it.

use std::fmt;
use std::marker::PhantomData;
use std::ops::{Deref, DerefMut};
use std::ptr;
use std::sync::PoisonError;
use std::time::Instant;

use crate::slot::{self, Slot};

/// While it lives, the thread is in a section of the VM, where it is not made to wait at a gate. For a few instructions
/// at a time, and never around code of the user's. Sections nest.
#[must_use = "the section ends when this is dropped"]
pub struct Section {
    slot: Option<&'static Slot>,
    /// It is the thread's own.
    not_send: PhantomData<*const ()>,
}

impl fmt::Debug for Section {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Section")
    }
}

/// Begins a section of the VM. On threads that run no tasks it does nothing.
#[inline]
pub fn section() -> Section {
    let slot = slot::current();
    if let Some(slot) = slot {
        slot.enter_apart();
    }
    Section {
        slot,
        not_send: PhantomData,
    }
}

impl Drop for Section {
    #[inline]
    fn drop(&mut self) {
        // One that outlived its thread's time as ours, in a thread-local say, must not touch the next thread's slot.
        if let Some(slot) = self.slot
            && slot::current().is_some_and(|current| ptr::eq(current, slot))
        {
            slot.leave();
        }
    }
}

macro_rules! guard {
    ($(#[$docs:meta])* $name:ident, $inner:ident $(, $mutable:ident)?) => {
        $(#[$docs])*
        pub struct $name<'a, T: ?Sized> {
            // Dropped in this order: the lock is released within the section.
            inner: parking_lot::$inner<'a, T>,
            _section: Section,
        }

        impl<T: ?Sized> Deref for $name<'_, T> {
            type Target = T;

            #[inline]
            fn deref(&self) -> &T {
                &self.inner
            }
        }

        $(
            impl<T: ?Sized> DerefMut for $name<'_, T> {
                #[inline]
                fn deref_mut(&mut self) -> &mut T {
                    let $mutable = &mut self.inner;
                    $mutable
                }
            }
        )?

        impl<T: ?Sized + fmt::Debug> fmt::Debug for $name<'_, T> {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(formatter)
            }
        }
    };
}

guard! {
    /// The hold of a [`Mutex`].
    MutexGuard, MutexGuard, inner
}
guard! {
    /// The shared hold of a [`RwLock`].
    RwLockReadGuard, RwLockReadGuard
}
guard! {
    /// The exclusive hold of a [`RwLock`].
    RwLockWriteGuard, RwLockWriteGuard, inner
}

/// A mutex whose holder is never made to wait at a gate.
#[derive(Debug, Default)]
pub struct Mutex<T: ?Sized>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    /// An unlocked mutex.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(parking_lot::Mutex::new(value))
    }

    /// The value, without a lock: nobody else has the mutex.
    pub fn into_inner(self) -> T {
        self.0.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Waits for the lock.
    #[inline]
    pub fn lock(&self) -> MutexGuard<'_, T> {
        let section = section();
        MutexGuard {
            inner: self.0.lock(),
            _section: section,
        }
    }

    /// The lock, if nobody has it: for who must not wait.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let section = section();
        Some(MutexGuard {
            inner: self.0.try_lock()?,
            _section: section,
        })
    }

    /// The value, without a lock: nobody else has a reference to the mutex.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

/// A mutex that the monitor takes, and who must be there for it.
///
/// `parking_lot` keeps the waiters of all its locks in one table for the whole program, whose buckets it locks for
/// moments. A program's own lock may be in that moment when its thread is stopped at a gate; who waits for a lock of
/// the same bucket then waits for that thread's turn. The monitor sees to it that such threads get on, so it must never
/// wait that way itself. The standard library's mutex has no table. For the same reason nobody allocates memory under
/// it.
#[derive(Debug)]
pub(crate) struct MonitorMutex<T>(std::sync::Mutex<T>);

/// The hold of a [`MonitorMutex`].
pub(crate) struct MonitorGuard<'a, T> {
    // Dropped in this order: the lock is released within the section.
    inner: std::sync::MutexGuard<'a, T>,
    _section: Section,
}

impl<T> MonitorMutex<T> {
    pub(crate) fn new(value: T) -> MonitorMutex<T> {
        MonitorMutex(std::sync::Mutex::new(value))
    }

    #[inline]
    pub(crate) fn lock(&self) -> MonitorGuard<'_, T> {
        let section = section();
        MonitorGuard {
            inner: self.0.lock().unwrap_or_else(PoisonError::into_inner),
            _section: section,
        }
    }
}

impl<T> Deref for MonitorGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T> DerefMut for MonitorGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

/// A lock with shared and exclusive holds, whose holders are never made to wait at a gate.
#[derive(Debug, Default)]
pub struct RwLock<T: ?Sized>(parking_lot::RwLock<T>);

impl<T> RwLock<T> {
    /// An unlocked lock.
    pub const fn new(value: T) -> RwLock<T> {
        RwLock(parking_lot::RwLock::new(value))
    }
}

impl<T: ?Sized> RwLock<T> {
    /// Waits for a shared hold.
    #[inline]
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        let section = section();
        RwLockReadGuard {
            inner: self.0.read(),
            _section: section,
        }
    }

    /// Waits for the exclusive hold.
    #[inline]
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        let section = section();
        RwLockWriteGuard {
            inner: self.0.write(),
            _section: section,
        }
    }

    /// The value, without a lock: nobody else has a reference to it.
    pub fn get_mut(&mut self) -> &mut T {
        self.0.get_mut()
    }
}

/// A condition to wait for with a [`Mutex`]; for threads that run no tasks, since it blocks.
#[derive(Debug, Default)]
pub struct Condvar(parking_lot::Condvar);

impl Condvar {
    /// A condition nobody waits for.
    pub const fn new() -> Condvar {
        Condvar(parking_lot::Condvar::new())
    }

    /// Lets go of the lock, waits to be told, and takes it again. May return without a reason.
    pub fn wait<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>) {
        self.0.wait(&mut guard.inner);
    }

    /// As [`Condvar::wait`], at most until `until`. True if that time has come.
    pub fn wait_until<T: ?Sized>(&self, guard: &mut MutexGuard<'_, T>, until: Instant) -> bool {
        self.0.wait_until(&mut guard.inner, until).timed_out()
    }

    /// Tells all that wait.
    pub fn notify_all(&self) {
        // It locks a bucket of the table of waiters.
        let _section = section();
        self.0.notify_all();
    }
}
