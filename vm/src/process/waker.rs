//! Wakers of processes: a pointer to the slot, and a count on the VM for each clone.
//!
//! A waker may outlive its process. The slot lives as long as the VM's core, each clone holds a
//! count of the core, and a wake of a later incarnation is a spurious one.

use std::mem::ManuallyDrop;
use std::sync::Arc;
use std::task::{RawWaker, RawWakerVTable, Waker};

use super::Process;
use crate::core::Core;

static WAKER_VTABLE: RawWakerVTable = RawWakerVTable::new(clone, wake, wake_by_ref, release);

/// The waker that a process is polled with: borrowed, without a count.
pub(super) fn borrowed(process: &Process) -> ManuallyDrop<Waker> {
    let raw = RawWaker::new(std::ptr::from_ref(process).cast(), &WAKER_VTABLE);
    // SAFETY: the table's functions keep the waker's contract: see each.
    ManuallyDrop::new(unsafe { Waker::from_raw(raw) })
}

/// Whether `waker` is the process's own, and not that of a combinator within its body.
#[inline]
pub(crate) fn own_waker_matches(process: &Process, waker: &Waker) -> bool {
    waker.data() == std::ptr::from_ref(process).cast()
        && std::ptr::eq(waker.vtable(), &WAKER_VTABLE)
}

/// # Safety
/// `data` points to a slot whose core lives.
unsafe fn clone(data: *const ()) -> RawWaker {
    // SAFETY: a waker's data is its slot, alive by the count that the waker holds or, for a
    // borrowed one, by the slice that polls.
    let process = unsafe { &*data.cast::<Process>() };
    // SAFETY: the core always lives in an Arc.
    unsafe { Arc::increment_strong_count(std::ptr::from_ref::<Core>(process.core())) };
    RawWaker::new(data, &WAKER_VTABLE)
}

/// # Safety
/// As for [`clone`]; takes the waker's count.
unsafe fn wake(data: *const ()) {
    // SAFETY: the caller's.
    unsafe {
        wake_by_ref(data);
        release(data);
    }
}

/// # Safety
/// As for [`clone`].
unsafe fn wake_by_ref(data: *const ()) {
    // SAFETY: as in `clone`.
    unsafe { &*data.cast::<Process>() }.wake();
}

/// # Safety
/// As for [`clone`]; takes the waker's count.
unsafe fn release(data: *const ()) {
    // SAFETY: as in `clone`.
    let process = unsafe { &*data.cast::<Process>() };
    // SAFETY: undoes the increment of `clone`.
    unsafe { Arc::decrement_strong_count(std::ptr::from_ref::<Core>(process.core())) };
}
