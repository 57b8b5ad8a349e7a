//! What a server shows of itself.

use otp_vm::{ExitReason, OwnedTerm, to_term};
use serde::Serialize;

use super::GenServer;
use crate::r#gen::short_name;
use crate::unwind::caught;

/// What reports tell of a server, to be changed by [`GenServer::format_status`]. The map of `format_status/1`.
#[derive(Debug)]
#[non_exhaustive]
pub struct FormatStatus {
    /// The state. A state need not be a term: until [`set_state`](Self::set_state) says more, this is its type's name,
    /// as a text.
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
        self.state = match to_term(state) {
            Ok(term) if !term.has_natives() => term,
            Ok(_) => text("a native resource can't be shown"),
            Err(error) => text(&error.to_string()),
        };
    }

    /// What the server makes of it. One whose callback panics shows that in place of its state.
    pub(super) fn of<S: GenServer>(
        server: &S,
        message: Option<OwnedTerm>,
        reason: Option<ExitReason>,
    ) -> Self {
        let new = |message, reason| Self {
            state: text(std::any::type_name::<S>()),
            message,
            reason,
            log: Vec::new(),
        };
        let kept = message
            .as_ref()
            .and_then(|message| message.try_clone().ok());
        let formatted = caught(|| server.format_status(new(kept, reason.clone())));
        formatted.unwrap_or_else(|_| {
            let mut status = new(message, reason);
            status.state = text(&format!("{}::format_status crashed", short_name::<S>()));
            status
        })
    }
}

fn text(text: &str) -> OwnedTerm {
    to_term(text).unwrap_or_else(|_| OwnedTerm::from(otp_vm::atoms::UNDEFINED))
}
