//! What a state machine shows of itself.

use otp_vm::{ExitReason, OwnedTerm, atoms, to_term};
use serde::Serialize;

use super::GenStatem;
use super::machine::Machine;
use crate::r#gen::short_name;
use crate::unwind::caught;

/// What reports tell of a state machine, to be changed by [`GenStatem::format_status`]. The map of `format_status/1`.
///
/// What waits is shown as `{Type, Content}`.
#[derive(Debug)]
#[non_exhaustive]
pub struct FormatStatus {
    /// The state, as it serialises.
    pub state: OwnedTerm,
    /// The data. Data need not be a term: until [`set_data`](Self::set_data) says more, this is its type's name, as a
    /// text.
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
        self.state = shown(state);
    }

    /// Shows this as the data; a value that can't be a term shows the encoder's words.
    pub fn set_data<T: Serialize + ?Sized>(&mut self, data: &T) {
        self.data = shown(data);
    }

    /// What the machine makes of it. One whose callback panics shows that in place of its data.
    pub(super) fn of<M: GenStatem>(machine: &Machine<M>, reason: Option<ExitReason>) -> Self {
        let formatted = caught(|| {
            let status = Self::plain(machine, reason.clone());
            machine.data.format_status(&machine.state, status)
        });
        formatted.unwrap_or_else(|_| {
            let mut status = Self::plain(machine, reason);
            status.data = text(&format!("{}::format_status crashed", short_name::<M>()));
            status
        })
    }

    fn plain<M: GenStatem>(machine: &Machine<M>, reason: Option<ExitReason>) -> Self {
        let (mut queue, mut postponed, mut timeouts) = (Vec::new(), Vec::new(), Vec::new());
        queue.extend(machine.current.iter().map(|event| event.to_term()));
        if let Some(rare) = &machine.rare {
            queue.extend(rare.queue.iter().map(|event| event.to_term()));
            postponed.extend(rare.postponed.iter().map(|event| event.to_term()));
            timeouts.extend(rare.timers.list().iter().map(shown));
        }
        Self {
            // The program's code may panic here, too: then there is no state to be shown.
            state: caught(|| shown(&machine.state)).unwrap_or_else(|_| atoms::UNDEFINED.into()),
            data: text(std::any::type_name::<M>()),
            queue,
            postponed,
            timeouts,
            reason,
            log: Vec::new(),
        }
    }
}

fn shown<T: Serialize + ?Sized>(value: &T) -> OwnedTerm {
    match to_term(value) {
        Ok(term) if !term.has_natives() => term,
        Ok(_) => text("a native resource can't be shown"),
        Err(error) => text(&error.to_string()),
    }
}

fn text(text: &str) -> OwnedTerm {
    to_term(text).unwrap_or_else(|_| OwnedTerm::from(atoms::UNDEFINED))
}
