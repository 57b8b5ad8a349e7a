//! Reductions: what is left of the running slice.
//!
//! A slice is [`REDUCTIONS_PER_SLICE`] reductions. Work charges by [`tick`]; once it is used up, whatever can give
//! way does so at its next chance ([`poll_proceed`], [`yield_now`]).

use std::future::poll_fn;
use std::task::{Context, Poll};

use crate::slot::{self, Slot, UNLIMITED};
use crate::worker::Local;

/// Reductions in a slice: OTP's own figure.
pub const REDUCTIONS_PER_SLICE: u32 = 4000;

/// What each resumption of a task costs, in reductions. With it, tasks that hand each other the run-next slot end
/// their common slice after 400 turns at the latest (some 20 us), and the queue gets its turn.
pub(crate) const RESUME_REDUCTIONS: u32 = 10;

/// Charges the running slice with `n` reductions.
///
/// True when the slice is used up: the caller should give way soon. Off a scheduler thread it does nothing and
/// returns false.
#[inline]
pub fn tick(n: u32) -> bool {
    slot::current().is_some_and(|slot| slot.charge(n))
}

/// True when the running slice is used up; false off a scheduler thread.
#[inline]
pub fn slice_is_over() -> bool {
    slot::current().is_some_and(Slot::is_over)
}

/// True on the threads of any scheduler.
#[inline]
pub fn on_scheduler_thread() -> bool {
    slot::current().is_some()
}

/// The number of the scheduler that the calling thread runs, from 0; `None` if it runs none: on a thread of somebody
/// else's, and on one whose task kept it for so long that the scheduler went on without it. Mirrors
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
    slot::current().map_or(UNLIMITED, Slot::left)
}

/// Does something with the scheduler that the calling thread owns, in a section of the VM: no user code.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Local) -> R) -> Option<R> {
    let slot = slot::current()?;
    let _section = slot.enter();
    slot.local().map(f)
}
