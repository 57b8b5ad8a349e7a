//! What a process keeps of those that it suspends. The protocol is told in `context/suspend.rs`.

use std::sync::Arc;

use otp_heap::{OwnedTerm, Pid, Ref, to_block};
use serde::Serialize;

use super::State;
use crate::envelope::{Envelope, Kind, Parcel};

/// One process that another suspends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Suspension {
    /// How often.
    pub(crate) count: u32,
    /// The last signal that was sent for it.
    reference: Ref,
    /// The process has said that it rests.
    is_active: bool,
}

/// What came of a suspension that somebody wants a message about, as OTP's atoms.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SuspendOutcome {
    Suspended,
    /// It ended before.
    Exited,
    /// It was gone before it was asked.
    Badarg,
}

impl Suspension {
    /// How often the process is suspended, and how often it will be, once it rests: one of the two is 0.
    pub(crate) fn counts(&self) -> (u32, u32) {
        match self.is_active {
            true => (self.count, 0),
            false => (0, self.count),
        }
    }
}

impl State {
    /// How often this process suspends that one.
    pub(crate) fn suspend_count(&self, pid: Pid) -> u32 {
        let rare = self.rare.as_deref();
        rare.and_then(|rare| rare.suspending.get(&pid))
            .map_or(0, |suspension| suspension.count)
    }

    /// Counts one more, for which a signal goes out.
    pub(crate) fn suspends(&mut self, pid: Pid, count: u32, reference: Ref) {
        let suspending = &mut self.rare().suspending;
        let is_active = suspending.get(&pid).is_some_and(|before| before.is_active);
        let suspension = Suspension {
            count,
            reference,
            is_active,
        };
        suspending.insert(pid, suspension);
    }

    /// Counts one more or one less of a suspension that stands.
    pub(crate) fn set_suspend_count(&mut self, pid: Pid, count: u32) {
        if let Some(suspension) = self.rare().suspending.get_mut(&pid) {
            suspension.count = count;
        }
    }

    /// The process has answered that it rests. The message that is wanted about it, if one is.
    pub(super) fn rests(&mut self, pid: Pid, reference: Ref) -> Option<Parcel> {
        let rare = self.rare.as_deref_mut()?;
        if let Some(suspension) = rare.suspending.get_mut(&pid)
            && suspension.reference == reference
        {
            suspension.is_active = true;
        }
        self.tell_suspender(pid, reference, SuspendOutcome::Suspended)
    }

    /// The message `{Tag, Outcome}`, if one is wanted about that signal.
    pub(crate) fn tell_suspender(
        &mut self,
        pid: Pid,
        reference: Ref,
        outcome: SuspendOutcome,
    ) -> Option<Parcel> {
        let rare = self.rare.as_deref_mut()?;
        let tag = rare.suspend_tags.remove(&reference)?;
        if !matches!(outcome, SuspendOutcome::Suspended) {
            rare.suspending.remove(&pid);
        }
        let envelope = || Envelope::new(Kind::Message, pid, reference);
        let message = to_block(envelope(), &(&*tag, outcome));
        // A tag as large as may be is said by its reference.
        message
            .or_else(|_| to_block(envelope(), &(reference, outcome)))
            .ok()
    }

    /// Wants a message about that signal.
    pub(crate) fn tag_suspension(&mut self, reference: Ref, tag: Arc<OwnedTerm>) {
        self.rare().suspend_tags.insert(reference, tag);
    }
}
