//! What a process has to see to besides its body's code: a note of flags, read without the lock.

use std::sync::atomic::Ordering;

use super::Process;

/// What of the state a slice or a receive would have to look at under the lock; nearly always nothing, and then neither
/// takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attention(u16);

impl Attention {
    /// `State::exit` is set.
    pub(crate) const DOOMED: Self = Self(1);
    /// `State::exiting` is set.
    pub(crate) const EXITING: Self = Self(2);
    /// There may be messages in `State::inbox`.
    pub(crate) const HOLDS: Self = Self(4);
    /// A receive has waited with a waker that is not the process's own: slices take in messages for it, too.
    pub(crate) const FOREIGN: Self = Self(8);
    /// `Rare::next_body` is set.
    pub(crate) const TURNS: Self = Self(16);
    /// The body waits for a message to be polled.
    pub(crate) const HIBERNATED: Self = Self(32);
    /// Others have suspended it: its slices take in signals and leave the body alone.
    pub(crate) const SUSPENDED: Self = Self(64);
    /// Its heap is being collected by somebody else: the same.
    pub(crate) const HELD: Self = Self(128);
    /// Others wait for what it does before or after it next runs: a collection of its heap, or that it rests.
    pub(crate) const ASKED: Self = Self(256);
    /// It has a limit on what it keeps.
    pub(crate) const LIMITED: Self = Self(512);
    /// `Rare::marks` has some: see `trace`.
    pub(crate) const TRACED: Self = Self(1024);
    /// Somebody is to be told, or woken, when messages leave its mailbox.
    pub(crate) const COUNTED: Self = Self(2048);
    /// The system's monitor wants to know when its mailbox is long.
    pub(crate) const LENGTHY: Self = Self(4096);
    /// What comes into its mailbox is looked at.
    pub(crate) const WEIGHED: Self = Self(Self::LIMITED.0 | Self::LENGTHY.0 | Self::TRACED.0);
    /// What a receive has to see to, though nothing has come.
    pub(crate) const BESIDE_MESSAGES: Self =
        Self(!(Self::LIMITED.0 | Self::COUNTED.0 | Self::LENGTHY.0));
    /// The body is not to run.
    pub(crate) const RESTS: Self = Self(Self::SUSPENDED.0 | Self::HELD.0);
    /// What a slice looks at once the body has given way.
    pub(crate) const AFTER: Self =
        Self(Self::DOOMED.0 | Self::TURNS.0 | Self::ASKED.0 | Self::TRACED.0);
    /// For these a slice takes in what waits before it runs the body.
    pub(crate) const UNUSUAL: Self =
        Self(Self::FOREIGN.0 | Self::SUSPENDED.0 | Self::HELD.0 | Self::ASKED.0 | Self::TRACED.0);
    /// What a slice looks at before it runs the body.
    pub(crate) const BEFORE: Self = Self(Self::UNUSUAL.0 | Self::DOOMED.0 | Self::HIBERNATED.0);
    /// What a send looks at: one that was ended is doomed.
    pub(crate) const WATCHED: Self = Self(Self::DOOMED.0 | Self::TRACED.0);

    #[inline]
    pub(crate) fn is_nothing(self) -> bool {
        self.0 == 0
    }

    #[inline]
    pub(crate) fn is_only(self, other: Self) -> bool {
        self == other
    }

    #[inline]
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

impl Process {
    #[inline]
    pub(crate) fn attention(&self) -> Attention {
        Attention(self.attention.load(Ordering::Acquire))
    }

    /// Under the lock.
    #[inline]
    pub(crate) fn note(&self, what: Attention) {
        let noted = self.attention.load(Ordering::Relaxed);
        self.attention.store(noted | what.0, Ordering::Release);
    }

    /// Under the lock: the opposite.
    #[inline]
    pub(crate) fn forget(&self, what: Attention) {
        let noted = self.attention.load(Ordering::Relaxed);
        self.attention.store(noted & !what.0, Ordering::Release);
    }
}
