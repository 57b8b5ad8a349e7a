//! Reductions: what is left of the running slice.
//!
//! A slice is [`REDUCTIONS_PER_SLICE`] reductions. Work charges by [`tick`]; once it is used up, whatever can give
//! way does so at its next chance ([`poll_proceed`], [`proceed`], [`yield_now`]). Code that can't await gives way at a
//! [`checkpoint`]; `reductions.rs` has the words, `slot.rs` the protocol, `threads.rs` the conditions.

use std::future::{Future, poll_fn};
use std::ops::Sub;
use std::task::{Context, Poll};

use crate::reductions::UNLIMITED;
use crate::simulation;
use crate::slot::{self, Slot};
use crate::threads::{self, Way};
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
    slot::current().is_some_and(|slot| slot.reductions().charge(n))
}

/// Charges the running slice with `n` reductions and, if it is over, gives way: in code that can't await.
///
/// The thread gives its scheduler to a spare thread, waits until it is its turn, and goes on: on a thread of its own,
/// which takes turns of a millisecond with all other tasks, until the task gives way at an await. That costs two
/// wake-ups of threads, some 30 us. So it happens once something else has waited for 100 us after the end of the
/// slice, or has been waiting when a slice ended by the clock (1 ms); and not if another scheduler is idle, which is
/// woken instead. If nothing else wants to run, a new slice begins.
///
/// Otherwise it only charges, as [`tick`] does: within a section of the VM ([`section`](crate::lock::section)), in a
/// [simulation](crate::simulation), while no spare thread is at hand, past the limit of bound threads
/// ([`Builder::max_bound`](crate::Builder::max_bound)), and on a thread that is bound already, whose turns its
/// schedulers end. Off a scheduler thread it does nothing.
///
/// Locks that the caller holds stay held while others run, as with any code that the clock interrupts. The attribute
/// [`reductions`](macro@crate::reductions) puts checkpoints where they belong.
///
/// ```
/// use otp_scheduler::checkpoint;
///
/// fn count_primes(below: u32) -> usize {
///     let is_prime = |n: &u32| {
///         checkpoint(1);
///         (2..*n).take_while(|d| d * d <= *n).all(|d| n % d != 0)
///     };
///     (2..below).filter(is_prime).count()
/// }
///
/// let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).build()?;
/// let primes = scheduler.spawn(async { count_primes(10_000) }).wait()?;
/// assert_eq!(primes, 1229);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn checkpoint(n: u32) {
    if let Some(slot) = slot::current()
        && slot.reductions().charge_checkpoint(n)
    {
        look_about(slot);
    }
}

/// So many reductions pass between two looks of checkpoints in a slice that is over. Chosen by feel: a look costs
/// 30 ns, so much of them at least.
const CHECKS_APART: i64 = REDUCTIONS_PER_SLICE as i64 / 10;

#[cold]
#[inline(never)]
fn look_about(slot: &'static Slot) {
    if slot.is_taken() {
        slot.reductions().put_off_check(i64::MAX);
        return;
    }
    let way = if slot.in_user_state() {
        slot::with_core(|core| threads::give_way(core, slot))
    } else {
        None
    };
    match way {
        Some(Way::Given) => {
            slot.reductions().put_off_check(i64::MAX);
            slot.gate().pass();
        }
        Some(Way::Free) => slot
            .reductions()
            .extend_slice(i64::from(REDUCTIONS_PER_SLICE)),
        Some(Way::Kept) | None => slot.reductions().put_off_check(CHECKS_APART),
    }
}

/// Charges the running slice with `n` reductions when it is polled first and, if the slice is over, gives way once: the
/// task goes to the back of the queue. The awaited form of [`tick`].
///
/// While there is something left of the slice it costs about as much as [`tick`], and it never allocates. It may be
/// dropped at any time.
///
/// ```
/// # let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).build()?;
/// let sum = scheduler.spawn(async {
///     let mut sum = 0;
///     for n in 0..100_000_u64 {
///         otp_scheduler::proceed(1).await;
///         sum += n;
///     }
///     sum
/// });
/// assert_eq!(sum.wait()?, 4_999_950_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn proceed(n: u32) -> impl Future<Output = ()> + Send + Sync + Unpin + 'static {
    let mut charged = false;
    poll_fn(move |cx| {
        if !charged {
            charged = true;
            if tick(n) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
        }
        Poll::Ready(())
    })
}

/// True when the running slice is used up; false off a scheduler thread.
#[inline]
pub fn slice_is_over() -> bool {
    slot::current().is_some_and(|slot| slot.reductions().is_over())
}

/// True on the threads of any scheduler.
#[inline]
pub fn on_scheduler_thread() -> bool {
    slot::current().is_some()
}

/// The number of the scheduler that the calling thread runs, from 0; `None` if it runs none: on a thread of somebody
/// else's, and on one whose task kept it for so long that the scheduler went on without it. Mirrors
/// `erlang:system_info(scheduler_id)`, which counts from 1.
///
/// In a simulation it is 0.
pub fn current_scheduler() -> Option<usize> {
    with_current(|local| local.index()).or_else(|| simulation::is_running().then_some(0))
}

/// Gives way when the slice is over: wakes the task and answers `Pending`, so that it goes to the back of the queue.
///
/// Operations that may never wait (an always-ready socket, a full mailbox) call it before each unit of work.
///
/// A task that has an executor of its own around this, one that polls again on the same thread, can't be made to give
/// way so. It is bound before long, and gets on after some polls then: its turns are ended by the schedulers.
#[inline]
pub fn poll_proceed(cx: &mut Context<'_>) -> Poll<()> {
    if slice_is_over() {
        give_way_or_go_on(cx)
    } else {
        Poll::Ready(())
    }
}

/// On a bound thread the task is told so often to give way. More than combinators poll one future in a poll of their
/// own; chosen by feel.
const REFUSALS: u32 = 64;

#[cold]
fn give_way_or_go_on(cx: &mut Context<'_>) -> Poll<()> {
    if let Some(slot) = slot::current()
        && slot.is_taken()
        && slot.reductions().count_refusal() > REFUSALS
    {
        slot.reductions()
            .extend_slice(i64::from(REDUCTIONS_PER_SLICE));
        slot.reductions().forget_refusals();
        return Poll::Ready(());
    }
    cx.waker().wake_by_ref();
    Poll::Pending
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

/// Reductions left of the running slice; 0 or less when it is over, or goes on since nothing else wants to run
/// ([`checkpoint`]); a very large number off a scheduler thread. The difference of two readings inside one slice is
/// what was charged between them.
#[inline]
pub fn reductions_left() -> i64 {
    slot::current().map_or(UNLIMITED, |slot| slot.reductions().left())
}

/// What the calling thread's slices have used so far: the difference of two readings inside one slice is what was used
/// between them. See [`usage`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Reductions charged.
    pub reductions: i64,
    /// Bytes allocated minus those freed, as [`allocated_bytes`](crate::allocated_bytes) counts them.
    pub allocated: i64,
}

impl Sub for Usage {
    type Output = Usage;

    #[inline]
    fn sub(self, before: Usage) -> Usage {
        Usage {
            reductions: self.reductions.wrapping_sub(before.reductions),
            allocated: self.allocated.wrapping_sub(before.allocated),
        }
    }
}

/// What [`reductions_left`] and [`allocated_bytes`](crate::allocated_bytes) tell, in one look. Only differences mean
/// something. Off a scheduler thread nothing is used.
///
/// ```
/// # let scheduler = otp_scheduler::Scheduler::builder().schedulers(1).build()?;
/// # let task = scheduler.spawn(async {
/// let before = otp_scheduler::usage();
/// otp_scheduler::tick(7);
/// assert_eq!((otp_scheduler::usage() - before).reductions, 7);
/// # });
/// # task.wait()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[inline]
pub fn usage() -> Usage {
    let slot = slot::current();
    Usage {
        reductions: slot.map_or(0, |slot| slot.reductions().left().wrapping_neg()),
        allocated: slot.map_or(0, Slot::allocated),
    }
}

/// Does something with the scheduler that the calling thread owns, in a section of the VM: no user code.
#[inline]
pub(crate) fn with_current<R>(f: impl FnOnce(&Local) -> R) -> Option<R> {
    let slot = slot::current()?;
    let _section = slot.enter();
    slot.local().map(f)
}
