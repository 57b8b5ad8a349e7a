//! System messages: `{system, From, Request}`, and what may be requested.

use std::any::Any;

use otp_vm::{Atom, ExitReason, Message, Native, OwnedTerm, ReplyTo, Term, atoms, from_term};
use serde::Serialize;

use super::debug::{DebugFunction, LOG_EVENTS};

/// What is done with a state, in its process. A closure can't be copied, so it moves.
pub(super) type StateFunction =
    Box<dyn FnOnce(&mut dyn Any) -> Result<Box<dyn Any + Send>, WrongState> + Send>;

/// The state is of another type than the function was written for.
pub(super) struct WrongState(pub(super) &'static str);

/// A request, as it is sent.
#[derive(Serialize)]
pub(super) enum Request {
    Suspend,
    Resume,
    GetState,
    ReplaceState(Native<StateFunction>),
    /// No request of OTP's, whose states are terms.
    #[serde(rename = "$inspect")]
    Inspect(Native<StateFunction>),
    GetStatus,
    ChangeCode(OwnedTerm, OwnedTerm, OwnedTerm),
    #[serde(rename = "change_code")]
    ChangeCodeBy(OwnedTerm, OwnedTerm, Native<StateFunction>),
    Terminate(ExitReason),
    Debug(DebugRequest),
}

/// `{debug, Request}`.
#[derive(Serialize)]
pub(super) enum DebugRequest {
    Trace(bool),
    Log(LogRequest),
    LogToFile(FileRequest),
    Statistics(StatisticsRequest),
    NoDebug,
    Install(OwnedTerm, Native<DebugFunction>),
    Remove(OwnedTerm),
}

#[derive(Serialize)]
pub(super) enum LogRequest {
    #[serde(rename = "true")]
    Keep(u64),
    False,
    Get,
    Print,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum FileRequest {
    Path(String),
    Off(bool),
}

#[derive(Serialize)]
pub(super) enum StatisticsRequest {
    True,
    False,
    Get,
}

/// A system message in its receiver's hands: `{system, From, Request}`. Give it to
/// [`handle_system_msg`](super::handle_system_msg).
#[derive(Debug)]
pub struct SystemMessage {
    pub(super) from: ReplyTo,
    pub(super) wanted: Wanted,
}

/// A request, as it was received.
pub(super) enum Wanted {
    Suspend,
    Resume,
    GetState,
    ReplaceState(StateFunction),
    Inspect(StateFunction),
    GetStatus,
    ChangeCode(OwnedTerm, OwnedTerm, Extra),
    Terminate(ExitReason),
    Debug(WantedDebug),
    Unknown(OwnedTerm),
}

pub(super) enum Extra {
    Term(OwnedTerm),
    Function(StateFunction),
}

pub(super) enum WantedDebug {
    Trace(bool),
    Log(u64),
    GetLog,
    PrintLog,
    LogToFile(Option<String>),
    Statistics(bool),
    GetStatistics,
    NoDebug,
    Install(OwnedTerm, DebugFunction),
    Remove(OwnedTerm),
    Unknown,
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Suspend => "Suspend",
            Self::Resume => "Resume",
            Self::GetState => "GetState",
            Self::ReplaceState(_) => "ReplaceState",
            Self::Inspect(_) => "Inspect",
            Self::GetStatus => "GetStatus",
            Self::ChangeCode(..) => "ChangeCode",
            Self::Terminate(_) => "Terminate",
            Self::Debug(_) => "Debug",
            Self::Unknown(_) => "Unknown",
        })
    }
}

impl SystemMessage {
    /// The system message that this is, if it is one. What is moved with it (a function) is taken out of it: ask one
    /// time.
    pub fn of(message: &Message) -> Option<Self> {
        let (from, request) = parts(message)?;
        Some(Self {
            from,
            wanted: Wanted::of(request),
        })
    }

    /// Whether this is a system message. Cheap: most messages are something else, and are told by their first word.
    pub fn is_in(message: &Message) -> bool {
        parts(message).is_some()
    }
}

#[inline]
fn parts(message: &Message) -> Option<(ReplyTo, Term<'_>)> {
    let tuple = message.term().as_tuple().filter(|tuple| tuple.len() == 3)?;
    // Told by its tag first.
    if tuple.get(0)?.as_atom()? != atoms::SYSTEM {
        return None;
    }
    Some((from_term(tuple.get(1)?).ok()?, tuple.get(2)?))
}

impl Wanted {
    fn of(request: Term<'_>) -> Self {
        Self::known(request).unwrap_or_else(|| Self::Unknown(own(request)))
    }

    fn known(request: Term<'_>) -> Option<Self> {
        if let Some(atom) = request.as_atom() {
            return match atom.as_str() {
                "suspend" => Some(Self::Suspend),
                "resume" => Some(Self::Resume),
                "get_state" => Some(Self::GetState),
                "get_status" => Some(Self::GetStatus),
                _ => None,
            };
        }
        let tuple = request.as_tuple()?;
        let part = |at| tuple.get(at);
        match (part(0)?.as_atom()?.as_str(), tuple.len()) {
            ("replace_state", 2) => function(part(1)?).map(Self::ReplaceState),
            ("$inspect", 2) => function(part(1)?).map(Self::Inspect),
            ("change_code", 4) => {
                let extra = match function(part(3)?) {
                    Some(function) => Extra::Function(function),
                    None => Extra::Term(own(part(3)?)),
                };
                Some(Self::ChangeCode(own(part(1)?), own(part(2)?), extra))
            }
            ("terminate", 2) => Some(Self::Terminate(from_term(part(1)?).ok()?)),
            ("debug", 2) => Some(Self::Debug(
                WantedDebug::known(part(1)?).unwrap_or(WantedDebug::Unknown),
            )),
            _ => None,
        }
    }
}

impl WantedDebug {
    fn known(request: Term<'_>) -> Option<Self> {
        if request.as_atom().map(Atom::as_str) == Some("no_debug") {
            return Some(Self::NoDebug);
        }
        let tuple = request.as_tuple()?;
        let about = tuple.get(1)?;
        let flag = about.as_atom().map(Atom::as_str);
        match (tuple.get(0)?.as_atom()?.as_str(), flag, tuple.len()) {
            ("trace", Some("true"), 2) => Some(Self::Trace(true)),
            ("trace", Some("false"), 2) => Some(Self::Trace(false)),
            ("log", Some("true"), 2) => Some(Self::Log(LOG_EVENTS)),
            ("log", Some("false"), 2) => Some(Self::Log(0)),
            ("log", Some("get"), 2) => Some(Self::GetLog),
            ("log", Some("print"), 2) => Some(Self::PrintLog),
            ("log", None, 2) => {
                let (tag, most): (Atom, u64) = from_term(about).ok()?;
                (tag == atoms::TRUE && most > 0).then_some(Self::Log(most))
            }
            ("log_to_file", Some("false"), 2) => Some(Self::LogToFile(None)),
            ("log_to_file", None, 2) => from_term(about).ok().map(Some).map(Self::LogToFile),
            ("statistics", Some("true"), 2) => Some(Self::Statistics(true)),
            ("statistics", Some("false"), 2) => Some(Self::Statistics(false)),
            ("statistics", Some("get"), 2) => Some(Self::GetStatistics),
            ("install", _, 3) => {
                let function = from_term::<Native<DebugFunction>>(tuple.get(2)?).ok()?;
                Some(Self::Install(own(about), function.into_inner()?))
            }
            ("remove", _, 2) => Some(Self::Remove(own(about))),
            _ => None,
        }
    }
}

fn function(term: Term<'_>) -> Option<StateFunction> {
    from_term::<Native<StateFunction>>(term).ok()?.into_inner()
}

fn own(term: Term<'_>) -> OwnedTerm {
    super::event::copy(OwnedTerm::copy_of((), term))
}
