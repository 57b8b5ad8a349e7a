//! A word to sleep on, by the kernel's futex.

use std::ptr;
use std::sync::atomic::AtomicU32;

/// Sleeps while the word is `expected`, until a wake, a signal, or the given nanoseconds are over. It may return
/// without a reason: the caller looks again.
pub(crate) fn wait(word: &AtomicU32, expected: u32, limit_ns: Option<u64>) {
    let limit = limit_ns.map(|limit| libc::timespec {
        tv_sec: (limit / 1_000_000_000) as libc::time_t,
        tv_nsec: (limit % 1_000_000_000) as libc::c_long,
    });
    let limit = limit.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the word and the time are borrowed for the call.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG,
            expected,
            limit,
        )
    };
}

/// Wakes one thread that sleeps on the word.
pub(crate) fn wake_one(word: &AtomicU32) {
    // SAFETY: the kernel takes the address as a key.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG,
            1,
        )
    };
}
