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

#[derive(Clone, Copy, Debug)]
pub struct Rules {
    pub grain: Grain,
    /// An exit signal to oneself acts before the next step; else it only comes in order, as now and then on Erlang.
    pub acts_on_oneself: bool,
    /// Whoever links once more to one who is gone is told so at once, as on Erlang, though the news of the first link is
    /// on its way; else it waits for those.
    pub links_anew: bool,
    pub broken: Option<Broken>,
}
