//! Timers that send: whom they belong to, and who decides whether one fires or is cancelled.
//!
//! # Protocol
//! 1. A timer is an entry of this table, by its reference; the scheduler's wheel has only the reference. So what it
//!    sends lies here, and whoever takes the entry out decides: the firing, a cancel, or the end of the receiver.
//!    Exactly one.
//! 2. A timer to a pid belongs to that process, which lists its references (`Rare::timers`). List and table are changed
//!    in one hold of the receiver's lock when it starts; so a receiver that ends either lists it, or no timer is made.
//! 3. Who fires or cancels takes the entry first, then the reference off the list, then delivers: who has the message
//!    finds no trace of the timer.
//! 4. A timer to a name belongs to nobody, and the name is resolved when it fires.
//!
//! Locks: the receiver's, then a part of the table, then the wheel's. What a timer would have sent is dropped outside
//! of all of them.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use foldhash::fast::FixedState;
use hashbrown::HashMap;
use otp_heap::{EncodeError, Pid, Ref};
use otp_scheduler::lock::Mutex;
use otp_scheduler::{Fire, TimerKey, uncounted};

use crate::context::SpawnError;
use crate::core::Core;
use crate::destination::Destination;
use crate::envelope::{Kind, Parcel};
use crate::message_size::MessageTooLarge;
use crate::process::{Process, Undelivered, quietly};

/// Most timers of a VM, unless set: 2^24, some 2 GB of them with small messages. OTP has no such limit, and dies for
/// want of memory.
pub const DEFAULT_MAX_TIMERS: usize = 1 << 24;

/// Parts of the table, each with its lock. References come by blocks of 1024 for each thread, and go to one part by the
/// block: so threads seldom meet.
const PARTS: usize = 16;
const REFERENCES_TOGETHER: u64 = 1024;

/// Why a timer was not started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TimerError {
    /// The message could not be serialised.
    #[error("the message could not be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// The message is larger than the VM was built for.
    #[error(transparent)]
    TooLarge(#[from] MessageTooLarge),
    /// The time lies beyond what the clock can say. `badarg` in OTP.
    #[error(
        "the time is too far off: give one within 584 years of the VM's start, or no timer at all"
    )]
    TooFar,
    /// As many timers wait as the VM was built for.
    #[error(
        "the limit of {limit} timers is reached: cancel some, or build the VM with `max_timers` higher"
    )]
    Limit {
        /// The limit in force.
        limit: usize,
    },
    /// The interval is zero.
    #[error("the interval is zero: give at least a nanosecond")]
    ZeroInterval,
    /// The process that waits for the time could not be made.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
}

#[derive(Debug)]
pub(crate) struct Timers {
    parts: [Mutex<Part>; PARTS],
    count: AtomicUsize,
    max: usize,
    /// How many found no room.
    pub(crate) refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Part {
    timers: HashMap<Ref, Timer, FixedState>,
    /// What they send.
    bytes: usize,
}

#[derive(Debug)]
struct Timer {
    key: TimerKey,
    at: u64,
    to: Destination,
    parcel: Parcel,
}

impl Timers {
    pub(crate) fn new(max: usize) -> Self {
        Self {
            parts: Default::default(),
            count: AtomicUsize::new(0),
            max,
            refused: AtomicU64::new(0),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    pub(crate) fn limit(&self) -> usize {
        self.max
    }

    /// Of all entries, with what they send.
    pub(crate) fn bytes(&self) -> usize {
        let of_part = |part: &Mutex<Part>| {
            let part = part.lock();
            part.timers.allocation_size() + part.bytes
        };
        self.parts.iter().map(of_part).sum()
    }

    fn part(&self, reference: Ref) -> &Mutex<Part> {
        let block = reference.as_u64() / REFERENCES_TOGETHER;
        &self.parts[block as usize % PARTS]
    }

    /// Room for one more.
    fn count_in(&self) -> Result<(), TimerError> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.max {
            self.count_out();
            self.refused.fetch_add(1, Ordering::Relaxed);
            return Err(TimerError::Limit { limit: self.max });
        }
        Ok(())
    }

    fn count_out(&self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }

    fn insert(&self, core: &Core, reference: Ref, at: u64, to: Destination, parcel: Parcel) {
        let fire = FireTimer {
            core: NonNull::from(core),
            reference,
        };
        let mut part = self.part(reference).lock();
        // Under the lock: it may fire at once, and is to find the entry.
        let key = core.scheduler.start_timer(at, fire);
        part.bytes += parcel.bytes();
        let timer = Timer {
            key,
            at,
            to,
            parcel,
        };
        part.timers.insert(reference, timer);
    }

    fn take(&self, reference: Ref) -> Option<Timer> {
        let timer = {
            let mut part = self.part(reference).lock();
            let timer = uncounted(|| part.timers.remove(&reference))?;
            part.bytes -= timer.parcel.bytes();
            timer
        };
        self.count_out();
        Some(timer)
    }

    /// Drops all, once nothing fires any more.
    pub(crate) fn clear(&self) {
        for part in &self.parts {
            let Part { timers, .. } = std::mem::take(&mut *part.lock());
            self.count.fetch_sub(timers.len(), Ordering::Relaxed);
            drop(timers);
        }
    }
}

/// What the wheel has: two words, so it allocates nothing.
struct FireTimer {
    core: NonNull<Core>,
    reference: Ref,
}

// SAFETY: the core is Sync, and kept until the threads that fire timers have ended (`Core::let_go`).
unsafe impl Send for FireTimer {}

impl Fire for FireTimer {
    fn fire(self, _now: u64) {
        // SAFETY: as above.
        let core = unsafe { self.core.as_ref() };
        let Some(timer) = core.take_timer(self.reference) else {
            return;
        };
        // Whoever is gone by now gets nothing, as in OTP.
        let mut parcel = timer.parcel;
        let unwanted = match core.resolve(&timer.to) {
            Ok(to) => {
                if parcel.header().kind == Kind::Message {
                    *parcel.header_mut() = to.envelope(parcel.header().from);
                }
                core.send_from_timer(to.pid, parcel).err()
            }
            Err(_) => Some(parcel),
        };
        if let Some(parcel) = unwanted.filter(|parcel| parcel.has_natives()) {
            // Their destructors are the program's code, from which nobody could take this thread's scheduler.
            drop(core.scheduler.spawn(async move { drop(parcel) }));
        }
    }
}

impl Core {
    /// Delivers what a timer sends. What a mailbox's limit drops goes to a task: its destructor may be the program's
    /// code, from which nobody could take this thread's scheduler.
    pub(crate) fn send_from_timer(&self, to: Pid, parcel: Parcel) -> Result<(), Parcel> {
        let is_limited = parcel.header().kind.is_limited()
            && self.with_process(to, Process::has_limited_mailbox) == Some(true);
        if !is_limited {
            return self.deliver(to, parcel);
        }
        let (sent, leftovers) = self.send_leaving(to, parcel);
        if !leftovers.is_nothing()
            && let Some(core) = self.weak().upgrade()
        {
            drop(self.scheduler.spawn(async move {
                quietly(to, || leftovers.finish());
                drop(core);
            }));
        }
        match sent {
            Err(Undelivered::Gone(parcel)) => Err(parcel),
            Ok(()) | Err(Undelivered::Full(_)) => Ok(()),
        }
    }

    /// Has a parcel delivered at `at`. To a pid that is gone, or to nobody, no timer is made.
    pub(crate) fn start_timer(
        &self,
        reference: Ref,
        at: u64,
        to: Destination,
        parcel: Parcel,
    ) -> Result<(), TimerError> {
        self.timers.count_in()?;
        // What is not taken is dropped at the end, outside of the locks.
        let owner = match &to {
            Destination::Pid(pid) => Some(*pid),
            _ => None,
        };
        let is_nobodys = to == Destination::Nobody;
        let mut left = Some((to, parcel));
        let mut start = || {
            if let Some((to, parcel)) = left.take() {
                uncounted(|| self.timers.insert(self, reference, at, to, parcel));
            }
        };
        match owner {
            Some(pid) => {
                self.with_state(pid, |state| {
                    uncounted(|| state.rare().timers.insert(reference, ()));
                    start();
                });
            }
            None if is_nobodys => {}
            None => start(),
        }
        if left.is_some() {
            self.timers.count_out();
        }
        Ok(())
    }

    /// Takes a timer out, before it is fired or instead; the wheel may still have its reference.
    fn take_timer(&self, reference: Ref) -> Option<Timer> {
        let timer = self.timers.take(reference)?;
        if let Destination::Pid(pid) = timer.to {
            self.with_state(pid, |state| {
                let rare = state.rare.as_mut();
                rare.and_then(|rare| rare.timers.remove(&reference))
            });
        }
        Some(timer)
    }

    /// The time that it would have fired.
    pub(crate) fn cancel_timer(&self, reference: Ref) -> Option<u64> {
        let timer = self.take_timer(reference)?;
        uncounted(|| self.scheduler.cancel_timer(timer.key));
        Some(timer.at)
    }

    pub(crate) fn read_timer(&self, reference: Ref) -> Option<u64> {
        let part = self.timers.part(reference).lock();
        part.timers.get(&reference).map(|timer| timer.at)
    }

    /// The end of a receiver: its timers go; what they would have sent is given to `discard`.
    pub(crate) fn timers_of_the_dead(
        &self,
        references: impl Iterator<Item = Ref>,
        mut discard: impl FnMut(Parcel),
    ) {
        for reference in references {
            otp_scheduler::tick(1);
            if let Some(timer) = self.timers.take(reference) {
                uncounted(|| self.scheduler.cancel_timer(timer.key));
                discard(timer.parcel);
            }
        }
    }
}
