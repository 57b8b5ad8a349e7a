//! Reductions: what is left of the running slice, in a thread-local word.
//!
//! A slice is [`REDUCTIONS_PER_SLICE`] reductions. Work charges by [`tick`]; once it is used up, whatever can give
//! way does so at its next chance ([`poll_proceed`], [`yield_now`]).

use std::cell::Cell;
use std::future::poll_fn;
use std::ptr;
use std::task::{Context, Poll};

use crate::worker::Local;

/// Reductions in a slice: OTP's own figure.
pub const REDUCTIONS_PER_SLICE: u32 = 4000;

/// What each resumption of a task costs, in reductions. With it, tasks that hand each other the run-next slot end
/// their common slice after 400 turns at the latest (some 20 us), and the queue gets its turn.
pub(crate) const RESUME_REDUCTIONS: u32 = 10;

/// So much is left off a scheduler thread that it never runs out.
const UNLIMITED: i64 = i64::MAX;

thread_local! {
    static LEFT: Cell<i64> = const { Cell::new(UNLIMITED) };
    static CURRENT: Cell<*const Local> = const { Cell::new(ptr::null()) };
}

/// Charges the running slice with `n` reductions.
///
/// True when the slice is used up: the caller should give way soon. Off a scheduler thread it does nothing and
/// returns false.
#[inline]
pub fn tick(n: u32) -> bool {
    LEFT.with(|cell| {
        let left = cell.get() - i64::from(n);
        cell.set(left);
        left <= 0 && used_up(cell)
    })
}

#[cold]
fn used_up(cell: &Cell<i64>) -> bool {
    let on_scheduler = on_scheduler_thread();
    // Either way the word stays far from overflow, whatever is charged from here on.
    cell.set(if on_scheduler {
        cell.get().max(-(1 << 62))
    } else {
        UNLIMITED
    });
    on_scheduler
}

/// True when the running slice is used up; false off a scheduler thread.
#[inline]
pub fn slice_is_over() -> bool {
    LEFT.with(Cell::get) <= 0
}

/// True on the threads of any scheduler.
#[inline]
pub fn on_scheduler_thread() -> bool {
    !CURRENT.with(Cell::get).is_null()
}

/// The number of the scheduler thread this runs on, from 0; `None` off a scheduler thread. Mirrors
/// `erlang:system_info(scheduler_id)`, which counts from 1.
pub fn current_scheduler() -> Option<usize> {
    with_current(|local| local.index())
}

/// Gives way when the slice is over: wakes the task and answers `Pending`, so that it goes to the back of the queue.
///
/// Operations that may never wait (an always-ready socket, a full mailbox) call it before each unit of work.
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    if slice_is_over() {
        cx.waker().wake_by_ref();
        Poll::Pending
    } else {
        Poll::Ready(())
    }
}

/// Gives way once, whatever is left of the slice: the task goes to the back of the queue. Mirrors `erlang:yield/0`.
pub async fn yield_now() {
    let mut given = false;
    poll_fn(|cx| {
        if given {
            return Poll::Ready(());
        }
        given = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await
}

/// Reductions left of the running slice; 0 or less when it is over, a very large number off a scheduler thread. The
/// difference of two readings inside one slice is what was charged between them.
#[inline]
pub fn reductions_left() -> i64 {
    LEFT.with(Cell::get)
}

#[inline]
pub(crate) fn set_left(left: i64) {
    LEFT.with(|cell| cell.set(left));
}

/// The worker that this thread is.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Local) -> R) -> Option<R> {
    let current = CURRENT.with(Cell::get);
    // SAFETY: the pointer is null or set by `Entered`, which the worker holds while it lives, and clears before it
    // goes. It is this thread's own.
    unsafe { current.as_ref() }.map(f)
}

/// Makes the worker reachable through the thread-local for as long as it lives.
#[derive(Debug)]
pub(crate) struct Entered<'a>(#[expect(dead_code, reason = "keeps the worker borrowed")] &'a Local);

impl<'a> Entered<'a> {
    pub(crate) fn new(local: &'a Local) -> Entered<'a> {
        CURRENT.with(|cell| cell.set(local));
        set_left(i64::from(REDUCTIONS_PER_SLICE));
        Entered(local)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        CURRENT.with(|cell| cell.set(ptr::null()));
        set_left(UNLIMITED);
    }
}
