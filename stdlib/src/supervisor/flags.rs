//! How a supervisor treats its children: the strategy, the intensity of restarts, and when it ends by itself.

use std::time::Duration;

use serde::Serialize;

use super::back_off::BackOff;
use super::intensity::{MAX_RESTARTS, MAX_SECONDS};

/// Who is restarted together with a child.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum Strategy {
    OneForOne,
    OneForAll,
    RestForOne,
    SimpleOneForOne,
}

/// Whether the supervisor ends by itself when significant children do. `auto_shutdown` of OTP 24.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum AutoShutdown {
    /// No. The default; then no child may be significant.
    #[default]
    Never,
    /// When one significant child ended and is not restarted.
    AnySignificant,
    /// When the last significant child ended and none is restarted.
    AllSignificant,
}

/// How a supervisor treats its children: OTP's `sup_flags`.
#[derive(Clone, Debug)]
pub struct SupervisorFlags {
    pub(super) strategy: Strategy,
    pub(super) max_restarts: u32,
    pub(super) period: Duration,
    pub(super) auto_shutdown: AutoShutdown,
    pub(super) back_off: Option<BackOff>,
}

impl SupervisorFlags {
    pub(super) fn new(strategy: Strategy) -> Self {
        Self {
            strategy,
            max_restarts: MAX_RESTARTS,
            period: MAX_SECONDS,
            auto_shutdown: AutoShutdown::Never,
            back_off: None,
        }
    }

    /// A child is restarted alone.
    pub fn one_for_one() -> Self {
        Self::new(Strategy::OneForOne)
    }

    /// All children are restarted together.
    pub fn one_for_all() -> Self {
        Self::new(Strategy::OneForAll)
    }

    /// A child is restarted together with those that started after it.
    pub fn rest_for_one() -> Self {
        Self::new(Strategy::RestForOne)
    }

    /// Children come and go, all started by the one specification that there is, with arguments of their own:
    /// [`start_child_with`](super::SupervisorRef::start_child_with). See
    /// [`DynamicSupervisor`](crate::DynamicSupervisor) for children that differ.
    pub fn simple_one_for_one() -> Self {
        Self::new(Strategy::SimpleOneForOne)
    }

    /// At most `max_restarts` within `period`; one more ends the supervisor. With a period of
    /// zero it does not start.
    pub fn intensity(mut self, max_restarts: u32, period: Duration) -> Self {
        self.max_restarts = max_restarts;
        self.period = period;
        self
    }

    pub(crate) fn is_auto_shutdown(&self) -> bool {
        self.auto_shutdown != AutoShutdown::Never
    }

    /// Whether the supervisor ends with its significant children.
    pub fn auto_shutdown(mut self, auto_shutdown: AutoShutdown) -> Self {
        self.auto_shutdown = auto_shutdown;
        self
    }

    /// Has each restart wait: for `first`, and twice as long for each restart that was within the period, but never
    /// longer than `longest`. Not OTP's, and off unless asked for.
    ///
    /// Meanwhile the child is listed as restarting, and its siblings run on, whatever the strategy; it can be
    /// terminated, which ends the wait. A restart counts against the intensity when it is made. Children of the
    /// strategy `simple_one_for_one` don't wait.
    pub fn back_off(mut self, first: Duration, longest: Duration) -> Self {
        self.back_off = Some(BackOff { first, longest });
        self
    }
}
