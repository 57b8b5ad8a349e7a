//! A process changes its body, and sleeps until a message is there: see
//! [`Context::hibernate`](crate::Context::hibernate).
//!
//! # Protocol
//! 1. The body leaves its successor in the state (`Rare::next_body`), notes it ([`Attention::TURNS`]) and never goes
//!    on.
//! 2. The slice that polled it puts the successor in its place and drops it, as part of the slice; then it collects the
//!    heap, and gives back what that does not need.
//! 3. From then on the process is hibernated ([`Attention::HIBERNATED`]): its slices take signals in, and poll the new
//!    body only once there is a message.

use otp_heap::Pid;

use super::panics::quietly;
use super::{Attention, Body, Process};

/// The body that a process goes on with.
pub(crate) struct NextBody {
    pub(crate) body: Body,
    pub(crate) bytes: u32,
}

impl std::fmt::Debug for NextBody {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("NextBody")
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

impl Process {
    /// Step 2, by the slice.
    #[cold]
    pub(super) fn fall_asleep(&self, pid: Pid) {
        let next = {
            let mut state = self.lock();
            let Some(next) = state.rare.as_mut().and_then(|rare| rare.next_body.take()) else {
                return;
            };
            state.body_bytes = next.bytes;
            state.links.shrink();
            state.monitors.shrink();
            state.monitored_by.shrink();
            state.requests.shrink();
            state.inbox.shrink();
            state.shed_rare();
            self.forget(Attention::TURNS);
            self.note(Attention::HIBERNATED);
            next
        };
        // SAFETY: this slice is the only one that reaches the body.
        let old = unsafe { (*self.body.get()).replace(next.body) };
        quietly(pid, || drop(old));
        self.shrink_heap(pid);
        // Another slice looks whether a message is there already.
        self.wake();
    }

    /// Step 3: whether it goes on sleeping.
    #[cold]
    pub(super) fn sleeps_on(&self, pid: Pid) -> bool {
        let (leftovers, sleeps) = {
            let mut state = self.lock();
            if self.was_ended(pid) {
                return false;
            }
            let leftovers = self.drain(&mut state);
            let sleeps = state.inbox.is_empty();
            if !sleeps {
                self.forget(Attention::HIBERNATED);
            }
            (leftovers, sleeps)
        };
        quietly(pid, || leftovers.finish());
        sleeps
    }
}
