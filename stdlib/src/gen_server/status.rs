//! What a server shows of itself.

use otp_vm::{ExitReason, OwnedTerm, atoms};
use serde::Serialize;

use super::GenServer;
use crate::r#gen::short_name;
use crate::sys;
use crate::unwind::caught;

/// What reports tell of a server, to be changed by [`GenServer::format_status`]. The map of `format_status/1`.
#[derive(Debug)]
#[non_exhaustive]
pub struct FormatStatus {
    /// The state, as [`system_get_state`](GenServer::system_get_state) gives it, until [`set_state`](Self::set_state)
    /// says something else.
    pub state: OwnedTerm,
    /// The last message, when the server ends by a failure and there is one: as it came, `{'$gen_call', …}` too.
    pub message: Option<OwnedTerm>,
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

    /// What the server makes of it.
    pub(super) fn of<S: GenServer>(
        server: &S,
        message: Option<OwnedTerm>,
        reason: Option<ExitReason>,
        log: Vec<OwnedTerm>,
    ) -> Self {
        Self::made(
            short_name::<S>(),
            (message, reason, log),
            || server.system_get_state(),
            |status| server.format_status(status),
        )
    }

    /// What one makes of it whose type has that name. If a callback panics, that is shown in place of the state.
    pub(crate) fn made(
        name: &str,
        (message, reason, log): (Option<OwnedTerm>, Option<ExitReason>, Vec<OwnedTerm>),
        state: impl FnOnce() -> OwnedTerm,
        format: impl FnOnce(Self) -> Self,
    ) -> Self {
        let copy = |term: &OwnedTerm| term.try_clone().ok();
        let copies = Self {
            state: OwnedTerm::from(atoms::UNDEFINED),
            message: message.as_ref().and_then(copy),
            reason: reason.clone(),
            log: log.iter().filter_map(copy).collect(),
        };
        let formatted = caught(|| {
            format(Self {
                state: state(),
                ..copies
            })
        });
        formatted.unwrap_or_else(|_| Self {
            state: sys::text(&format!("{name}::format_status crashed")),
            message,
            reason,
            log,
        })
    }
}
