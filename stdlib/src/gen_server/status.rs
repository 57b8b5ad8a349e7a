//! What a server shows of itself.

use otp_vm::{ExitReason, OwnedTerm};
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

    /// What the server makes of it. One whose callback panics shows that in place of its state.
    pub(super) fn of<S: GenServer>(
        server: &S,
        message: Option<OwnedTerm>,
        reason: Option<ExitReason>,
        log: Vec<OwnedTerm>,
    ) -> Self {
        let copies = |log: &[OwnedTerm]| {
            log.iter()
                .filter_map(|event| event.try_clone().ok())
                .collect()
        };
        let kept = message
            .as_ref()
            .and_then(|message| message.try_clone().ok());
        let (kept_log, kept_reason) = (copies(&log), reason.clone());
        let formatted = caught(|| {
            server.format_status(Self {
                state: server.system_get_state(),
                message: kept,
                reason: kept_reason,
                log: kept_log,
            })
        });
        formatted.unwrap_or_else(|_| Self {
            state: sys::text(&format!("{}::format_status crashed", short_name::<S>())),
            message,
            reason,
            log,
        })
    }
}
