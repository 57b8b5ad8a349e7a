//! What a timer does when it is due, as the wheel keeps it: in place if it is small, so that most timers allocate
//! nothing.

use std::fmt;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::ptr;

/// What a timer does when it is due. Runs on a scheduler thread, between slices, outside every lock of the timers.
///
/// It should do little: wake a task, push a message. It may start and cancel timers. If it panics, the panic is
/// logged and counted. Two words, a pointer and a number say, need no allocation.
pub trait Fire: Send + 'static {
    /// `now` is the clock's reading, in nanoseconds since the scheduler was built; never before the deadline.
    fn fire(self, now: u64);
}

impl<F: FnOnce(u64) + Send + 'static> Fire for F {
    fn fire(self, now: u64) {
        self(now);
    }
}

/// Room for a waker, or for a pointer and what tells that it still means the same. Three words more and each of a
/// million sleeping tasks would pay for them.
type Room = [usize; 2];

/// Any [`Fire`].
pub(crate) struct AnyFire {
    room: MaybeUninit<Room>,
    how: &'static How,
}

/// How to treat what lies in the room.
struct How {
    /// Takes it out, and fires it.
    fire: unsafe fn(*mut Room, u64),
    drop: unsafe fn(*mut Room),
}

// SAFETY: made of a `Fire`, which is `Send`.
unsafe impl Send for AnyFire {}

impl fmt::Debug for AnyFire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("AnyFire")
    }
}

/// One that is too large.
struct Boxed<F>(Box<F>);

impl<F: Fire> Fire for Boxed<F> {
    fn fire(self, now: u64) {
        (*self.0).fire(now);
    }
}

const fn fits<F>() -> bool {
    size_of::<F>() <= size_of::<Room>() && align_of::<F>() <= align_of::<Room>()
}

impl AnyFire {
    #[inline]
    pub(crate) fn new<F: Fire>(fire: F) -> AnyFire {
        if const { fits::<F>() } {
            AnyFire::within(fire)
        } else {
            AnyFire::within(Boxed(Box::new(fire)))
        }
    }

    #[inline]
    fn within<F: Fire>(fire: F) -> AnyFire {
        // Compiled for those that are too large as well, but never run.
        assert!(const { fits::<F>() });
        let mut room = MaybeUninit::<Room>::uninit();
        // SAFETY: there is room for it.
        unsafe { room.as_mut_ptr().cast::<F>().write(fire) };
        AnyFire {
            room,
            how: const {
                &How {
                    fire: fire_in::<F>,
                    drop: drop_in::<F>,
                }
            },
        }
    }

    pub(crate) fn fire(self, now: u64) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: it is what `how` was made for, and nobody looks at it again.
        unsafe { (this.how.fire)(this.room.as_mut_ptr(), now) };
    }
}

impl Drop for AnyFire {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: it is what `how` was made for; `fire` takes it without a drop.
        unsafe { (self.how.drop)(self.room.as_mut_ptr()) };
    }
}

/// # Safety
/// There is an `F`, which is the caller's to give away.
unsafe fn fire_in<F: Fire>(room: *mut Room, now: u64) {
    // SAFETY: the caller's promise.
    let fire = unsafe { room.cast::<F>().read() };
    fire.fire(now);
}

/// # Safety
/// There is an `F`, which is the caller's to drop.
unsafe fn drop_in<F>(room: *mut Room) {
    // SAFETY: the caller's promise.
    unsafe { ptr::drop_in_place(room.cast::<F>()) };
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Of any size, and aligned as nothing else is.
    #[repr(align(64))]
    struct Wide(u64);

    #[test]
    fn small_and_large_ones_fire_once_and_are_dropped_once() {
        let told = Arc::new(AtomicU64::new(0));
        let small = {
            let told = Arc::clone(&told);
            AnyFire::new(move |now| {
                told.fetch_add(now, Ordering::Relaxed);
            })
        };
        let large = {
            let (told, words) = (Arc::clone(&told), [100, 200, 300]);
            AnyFire::new(move |now| {
                told.fetch_add(now + words.iter().sum::<u64>(), Ordering::Relaxed);
            })
        };
        let wide = {
            let (told, wide) = (Arc::clone(&told), Wide(1000));
            AnyFire::new(move |now| {
                let wide = &wide;
                assert_eq!(ptr::from_ref(wide).addr() % 64, 0);
                told.fetch_add(now + wide.0, Ordering::Relaxed);
            })
        };
        assert_eq!(Arc::strong_count(&told), 4);
        small.fire(1);
        large.fire(2);
        wide.fire(3);
        assert_eq!(told.load(Ordering::Relaxed), 1606);
        assert_eq!(Arc::strong_count(&told), 1);
    }

    #[test]
    fn those_that_never_fire_are_dropped() {
        let told = Arc::new(AtomicU64::new(0));
        let (small, large) = (Arc::clone(&told), (Arc::clone(&told), [0u64; 5]));
        drop(AnyFire::new(move |_| drop(small)));
        drop(AnyFire::new(move |_| drop(large)));
        assert_eq!(Arc::strong_count(&told), 1);
        assert_eq!(told.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn one_that_panics_is_dropped_all_the_same() {
        let told = Arc::new(AtomicU64::new(0));
        let held = Arc::clone(&told);
        let fire = AnyFire::new(move |_| {
            let _held = held;
            panic!("a timer's own");
        });
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| fire.fire(0)));
        assert!(panicked.is_err());
        assert_eq!(Arc::strong_count(&told), 1);
    }

    #[test]
    fn a_timer_takes_three_words_of_the_wheel() {
        assert_eq!(size_of::<AnyFire>(), 24);
    }
}
