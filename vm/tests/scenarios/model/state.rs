//! What there is at one moment: each process with what it keeps, and the signals that are on their way to it.

use std::collections::VecDeque;

#[cfg(doc)]
use crate::rules::Grain;
use crate::scenario::{Event, MAX_PROCESSES, Mark, NAMES, Name, Reason, Slot};

/// Who sends what nobody sent: the news that nobody has a name.
pub(super) const NOBODY: Slot = MAX_PROCESSES as Slot;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Life {
    Unborn,
    /// Before its first step.
    New,
    Running,
    /// Its end is decided.
    Exiting(Reason),
    Dead(Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Link {
    None,
    Linked,
    /// Taken back, and the other side has not yet said that it knows.
    Unlinking(u8),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Message(u8),
    Link,
    Unlink(u8),
    UnlinkAck(u8),
    Exit(Reason),
    LinkExit(Reason),
    /// Who was to be linked was not there.
    Nobody,
    Monitor(Mark),
    Demonitor(Mark),
    Down(Mark, Reason),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Signal {
    pub(super) from: Slot,
    pub(super) kind: Kind,
    /// It tells of its sender's end. In what order such signals of one end come to the same process is not promised.
    pub(super) ends: bool,
}

impl Signal {
    pub(super) fn new(from: Slot, kind: Kind) -> Self {
        let ends = false;
        Self { from, kind, ends }
    }

    /// In what order it stands: behind all before it of the same lane.
    pub(super) fn lane(self) -> Slot {
        match self.kind {
            Kind::Nobody => NOBODY,
            _ => self.from,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(super) life: Life,
    /// Steps that it has taken, and events that it has told.
    pub(super) steps: u8,
    pub(super) told: u8,
    /// It has taken one step of which it could tell nothing any more.
    pub(super) is_last: bool,
    pub(super) traps: bool,
    /// It has sent itself an exit signal.
    pub(super) awaits_itself: bool,
    pub(super) name: Option<Name>,
    pub(super) links: [Link; MAX_PROCESSES],
    pub(super) monitors: Vec<(Mark, Slot)>,
    pub(super) watchers: Vec<(Mark, Slot)>,
    pub(super) inbox: VecDeque<Event>,
    /// Signals on their way to it. Those of one sender stand in the order sent; by [`Grain::Slices`] all do.
    pub(super) arriving: Vec<Signal>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub(super) processes: Vec<Process>,
    pub(super) names: [Option<Slot>; NAMES],
    pub(super) unlinks: u8,
    /// Whose slice it is, by [`Grain::Slices`], and whether it has only begun.
    pub(super) current: Option<Slot>,
    pub(super) has_begun: bool,
}

impl State {
    pub(super) fn at(&mut self, slot: Slot) -> &mut Process {
        &mut self.processes[usize::from(slot)]
    }
}
