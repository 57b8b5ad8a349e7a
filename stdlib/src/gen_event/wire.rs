//! What travels between a manager and those who ask it: OTP's terms.

use otp_vm::{Pid, Term, from_term};
use serde::{Deserialize, Serialize};

use super::HandlerId;

/// What a message to a manager begins with.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Tag {
    Notify,
    SyncNotify,
    Call,
    AddHandler,
    AddSupHandler,
    DeleteHandler,
    SwapHandler,
    SwapSupHandler,
    WhichHandlers,
    GetModules,
}

/// What is asked by a call.
pub(super) enum Request<'m> {
    /// `{sync_notify, Event}`.
    SyncNotify(Term<'m>),
    /// `{call, Handler, Request}`.
    Call(HandlerId, Term<'m>),
    /// `{add_handler, Handler, Make}`, `{add_sup_handler, Handler, Make, Pid}`.
    Add(New<'m>),
    /// `{delete_handler, Handler, Args}`.
    Delete(HandlerId, Term<'m>),
    /// `{swap_handler, Handler1, Args1, Handler2, Make}`, and `{swap_sup_handler, …, Pid}`.
    Swap(HandlerId, Term<'m>, New<'m>),
    /// `which_handlers`.
    WhichHandlers,
    /// `get_modules`.
    GetModules,
}

/// A handler to be made.
pub(super) struct New<'m> {
    pub(super) id: HandlerId,
    /// What makes it: a native resource.
    pub(super) make: Term<'m>,
    /// Who supervises it.
    pub(super) supervisor: Option<Pid>,
}

impl<'m> Request<'m> {
    pub(super) fn of(term: Term<'m>) -> Option<Self> {
        let Some(tuple) = term.as_tuple() else {
            return match from_term(term).ok()? {
                Tag::WhichHandlers => Some(Self::WhichHandlers),
                Tag::GetModules => Some(Self::GetModules),
                _ => None,
            };
        };
        let tag: Tag = from_term(tuple.get(0)?).ok()?;
        let at = |index| tuple.get(index);
        let id = |index| from_term::<HandlerId>(tuple.get(index)?).ok();
        let pid = |index| tuple.get(index)?.as_pid();
        let new = |index, supervisor| {
            Some(New {
                id: id(index)?,
                make: at(index + 1)?,
                supervisor,
            })
        };
        match (tag, tuple.len()) {
            (Tag::SyncNotify, 2) => Some(Self::SyncNotify(at(1)?)),
            (Tag::Call, 3) => Some(Self::Call(id(1)?, at(2)?)),
            (Tag::AddHandler, 3) => Some(Self::Add(new(1, None)?)),
            (Tag::AddSupHandler, 4) => Some(Self::Add(new(1, Some(pid(3)?))?)),
            (Tag::DeleteHandler, 3) => Some(Self::Delete(id(1)?, at(2)?)),
            (Tag::SwapHandler, 5) => Some(Self::Swap(id(1)?, at(2)?, new(3, None)?)),
            (Tag::SwapSupHandler, 6) => Some(Self::Swap(id(1)?, at(2)?, new(3, Some(pid(5)?))?)),
            _ => None,
        }
    }
}

/// The event of `{notify, Event}`.
pub(super) fn notified(term: Term<'_>) -> Option<Term<'_>> {
    let tuple = term.as_tuple().filter(|tuple| tuple.len() == 2)?;
    let is_event = tuple.get(0)?.as_atom()?.as_str() == "notify";
    is_event.then(|| tuple.get(1))?
}
