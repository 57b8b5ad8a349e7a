//! What a state machine shows of itself.

use otp_vm::{ExitReason, OwnedTerm, atoms};
use serde::Serialize;

use super::GenStatem;
use super::machine::Machine;
use crate::r#gen::short_name;
use crate::sys;
use crate::unwind::caught;

/// What reports tell of a state machine, to be changed by [`GenStatem::format_status`]. The map of `format_status/1`.
///
/// What waits is shown as `{Type, Content}`.
#[derive(Debug)]
#[non_exhaustive]
pub struct FormatStatus {
    /// The state, as it serialises.
    pub state: OwnedTerm,
    /// The data, as [`system_get_data`](GenStatem::system_get_data) gives it, until [`set_data`](Self::set_data) says
    /// something else.
    pub data: OwnedTerm,
    /// When it ends: the event that was being handled, and those that would have been handled before any message.
    pub queue: Vec<OwnedTerm>,
    /// Events that wait for another state, the oldest first.
    pub postponed: Vec<OwnedTerm>,
    /// Timeouts that run, or are due.
    pub timeouts: Vec<OwnedTerm>,
    /// Why it ends.
    pub reason: Option<ExitReason>,
    /// The events that `sys` logged.
    pub log: Vec<OwnedTerm>,
}

impl FormatStatus {
    /// Shows this as the state; a value that can't be a term shows the encoder's words.
    pub fn set_state<T: Serialize + ?Sized>(&mut self, state: &T) {
        self.state = sys::term(state);
    }

    /// Shows this as the data; a value that can't be a term shows the encoder's words.
    pub fn set_data<T: Serialize + ?Sized>(&mut self, data: &T) {
        self.data = sys::term(data);
    }

    /// What the machine makes of it. One whose callback panics shows that in place of its data.
    pub(super) fn of<M: GenStatem>(
        machine: &Machine<M>,
        reason: Option<ExitReason>,
        log: Vec<OwnedTerm>,
    ) -> Self {
        let (state, data) = &machine.state_data;
        let kept_log = log.iter().filter_map(|event| event.try_clone().ok());
        let kept_log = kept_log.collect();
        let formatted = caught(|| {
            let mut status = Self::plain(machine, reason.clone(), kept_log);
            status.data = data.system_get_data();
            data.format_status(state, status)
        });
        formatted.unwrap_or_else(|_| {
            let mut status = Self::plain(machine, reason, log);
            status.data = sys::text(&format!("{}::format_status crashed", short_name::<M>()));
            status
        })
    }

    /// But for the data. All of it is shown by the program's code; what panics there is not shown.
    fn plain<M: GenStatem>(
        machine: &Machine<M>,
        reason: Option<ExitReason>,
        log: Vec<OwnedTerm>,
    ) -> Self {
        let rare = machine.rare.as_ref();
        let (current, queue) = (&machine.current, rare.map(|rare| &rare.queue));
        let queue = current.iter().chain(queue.into_iter().flatten());
        let postponed = rare.into_iter().flat_map(|rare| &rare.postponed);
        let timeouts = rare.into_iter().flat_map(|rare| rare.timers.list());
        Self {
            state: caught(|| sys::term(&machine.state_data.0))
                .unwrap_or_else(|_| atoms::UNDEFINED.into()),
            data: atoms::UNDEFINED.into(),
            queue: shown(queue.map(|event| event.to_term())),
            postponed: shown(postponed.map(|event| event.to_term())),
            timeouts: shown(timeouts.map(|timeout| sys::term(&timeout))),
            reason,
            log,
        }
    }
}

fn shown(terms: impl Iterator<Item = OwnedTerm>) -> Vec<OwnedTerm> {
    caught(|| terms.collect()).unwrap_or_default()
}
