//! What the terms of a program take outside of its blocks: shared binaries, and the table of atoms.

use std::cell::Cell;
use std::ptr;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

/// Parts of the count of shared bytes, so that threads seldom meet. Chosen by feel: as many as a large machine's
/// threads that make binaries at the same moment.
const PARTS: usize = 32;

/// One part, on cache lines of its own. What one thread adds another may take off: only the sum means something.
#[repr(align(128))]
struct Part(AtomicI64);

static SHARED_BYTES: [Part; PARTS] = [const { Part(AtomicI64::new(0)) }; PARTS];

/// This thread has no part yet.
const NO_PART: usize = usize::MAX;

thread_local! {
    static PART: Cell<usize> = const { Cell::new(NO_PART) };
}

/// Counts bytes of a buffer of shared binaries, or takes them off.
#[inline]
pub(crate) fn count_shared(bytes: i64) {
    let mut part = PART.get();
    if part == NO_PART {
        part = choose_part();
    }
    SHARED_BYTES[part].0.fetch_add(bytes, Ordering::Relaxed);
}

#[cold]
fn choose_part() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    let part = THREADS.fetch_add(1, Ordering::Relaxed) % PARTS;
    PART.set(part);
    part
}

/// Bytes of all shared binaries of the program, each once however many refer to it, with what it takes to share them.
/// Mirrors `erlang:memory(binary)`.
///
/// Beside threads that make or drop some it is as it was for each of them at one moment or another.
///
/// ```
/// let before = otp_heap::shared_binary_bytes();
/// let binary = otp_heap::Binary::from(vec![0_u8; 1 << 20]);
/// assert!(otp_heap::shared_binary_bytes() - before >= 1 << 20);
/// # drop(binary);
/// ```
pub fn shared_binary_bytes() -> usize {
    let parts = SHARED_BYTES.iter();
    let sum: i64 = parts.map(|part| part.0.load(Ordering::Relaxed)).sum();
    usize::try_from(sum).unwrap_or(0)
}

unsafe extern "C" {
    /// Of mimalloc, which this crate links: it writes where it is given room. The sixth is what we want, the rest may
    /// be null.
    fn mi_process_info(
        elapsed_ms: *mut usize,
        user_ms: *mut usize,
        system_ms: *mut usize,
        current_rss: *mut usize,
        peak_rss: *mut usize,
        current_commit: *mut usize,
        peak_commit: *mut usize,
        page_faults: *mut usize,
    );
}

/// Bytes that mimalloc has from the system at this moment, what lies free in it included. All blocks of terms come from
/// it; the rest of the program's memory does if it is the global allocator, too.
///
/// ```
/// let term = otp_heap::to_term(&vec![1_u8; 1000])?;
/// assert!(otp_heap::allocator_bytes() >= term.bytes());
/// # Ok::<(), otp_heap::EncodeError>(())
/// ```
pub fn allocator_bytes() -> usize {
    let mut committed = 0;
    let nothing = ptr::null_mut();
    // SAFETY: room for one number, and it takes null for those not wanted.
    unsafe {
        mi_process_info(
            nothing,
            nothing,
            nothing,
            nothing,
            nothing,
            &raw mut committed,
            nothing,
            nothing,
        );
    }
    committed
}

/// Bytes of the table of atoms: see [`atom_bytes`](crate::atom_bytes).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct AtomBytes {
    /// All of the table, room for atoms to come included. Mirrors `erlang:memory(atom)`.
    pub allocated: usize,
    /// What the atoms take that there are. Mirrors `erlang:memory(atom_used)`.
    pub used: usize,
}
