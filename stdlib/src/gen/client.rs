//! Who had asked a process that failed.

use otp_vm::{Atom, Context, OwnedTerm, Pid};

use crate::proc_lib::Format;

/// The caller of a process that failed while it handled a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Client {
    /// The process.
    pub pid: Pid,
    /// Its registered name.
    pub registered_name: Option<Atom>,
    /// Whether it is alive still.
    pub is_alive: bool,
}

impl Client {
    pub(crate) fn of(cx: &Context, pid: Pid) -> Self {
        let info = cx.process_info(pid);
        Self {
            pid,
            is_alive: info.is_some(),
            registered_name: info.and_then(|info| info.registered_name),
        }
    }

    /// As the reports of behaviours name it.
    pub(crate) fn format(&self, format: &Format) -> String {
        let who = match self.registered_name {
            Some(name) => format.term(OwnedTerm::from(name).root()),
            None => self.pid.to_string(),
        };
        match self.is_alive {
            true => format!("Client {who}"),
            false => format!("Client {who} is dead"),
        }
    }
}
