//! What the model goes by: the order of things, where Erlang does otherwise, and rules that can be broken.

/// In what order things happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grain {
    /// As OTP promises: what one process sends to another arrives in the order sent, and that is all. It arrives at any
    /// time, whatever others do meanwhile. Between the decision that a process ends and the end there is time, in which
    /// it has its name.
    Signals,
    /// As on one scheduler: one process at a time runs. When it begins it takes in all that was sent to it. What it
    /// sends is there at once, and its end is one step.
    Slices,
}

/// A rule that is left out or turned around, to see that the comparison notices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// Who unlinks does not wait for the other side to say that it knows.
    UnlinkUnacknowledged,
    /// The other side of a link is not told that it was taken back.
    UnlinkUntold,
    KillIsTrapped,
    /// Who is killed ends with `kill`.
    KilledByKill,
    /// The exit signal of a link with the reason `kill` can't be trapped either.
    LinkKills,
    NormalEnds,
    NormalEndsNotEvenOneself,
    TrapsNothing,
    NobodyIsLinked,
    NobodyIsMonitored,
    /// A monitor that comes too late is told the reason.
    LateMonitorKnows,
    DownAfterDemonitor,
    FlushLeavesMessage,
    NameStays,
    TwoNames,
}

/// What Erlang does now and then, and we never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liberty {
    /// An exit signal to oneself only comes in order; else it acts before the next step.
    LateToOneself,
    /// Whoever links once more to one who is gone is told so at once, though the news of the first link is on its way;
    /// else it waits for those.
    LinksAnew,
    /// Who ends is gone for links, monitors and messages while it still has its name; else it is gone for all of them
    /// at once.
    GoneBeforeItsName,
}

/// Sets of liberties, and what an observation that needs one is said to have. The fewer the earlier.
pub const LIBERTIES: [(&[Liberty], &str); 4] = [
    (
        &[Liberty::LateToOneself],
        "with a late exit signal to oneself",
    ),
    (&[Liberty::LinksAnew], "with a second link to the dead"),
    (&[Liberty::GoneBeforeItsName], "with a name of the dead"),
    (
        &[
            Liberty::LateToOneself,
            Liberty::LinksAnew,
            Liberty::GoneBeforeItsName,
        ],
        "with several of these",
    ),
];

#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub grain: Grain,
    pub liberties: &'static [Liberty],
    pub broken: Option<Broken>,
}
