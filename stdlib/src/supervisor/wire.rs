//! Requests that are terms: what any process may ask of a supervisor, in OTP's words, and OTP's answers.

use otp_vm::{OwnedTerm, Pid, Term, atoms, to_term};
use serde::{Serialize, Serializer};

use super::client::{Answer, Child, ChildCounts, ChildError, ChildInfo, Request};
use super::data::Given;
use super::id::ChildId;
use crate::proc_lib::StartError;

/// The request behind a term of OTP's: `{start_child, Spec}`, `which_children`, …
pub(super) fn request_of(term: Term<'_>) -> Option<Request> {
    if let Some(atom) = term.as_atom() {
        return match atom.as_str() {
            "which_children" => Some(Request::WhichChildren),
            "count_children" => Some(Request::CountChildren),
            _ => None,
        };
    }
    let tuple = term.as_tuple().filter(|tuple| tuple.len() == 2)?;
    let about = tuple.get(1)?;
    let id = || ChildId::of_term(about);
    match tuple.get(0)?.as_atom()?.as_str() {
        "start_child" => Some(Request::StartChildData(Given::new(about))),
        "restart_child" => Some(Request::RestartChild(id()?)),
        "terminate_child" => Some(Request::TerminateChild(id()?)),
        "delete_child" => Some(Request::DeleteChild(id()?)),
        "which_child" => Some(Request::WhichChild(id()?)),
        "get_childspec" => Some(Request::GetChildspec(id()?)),
        _ => None,
    }
}

/// An answer in OTP's form.
pub(super) struct Plain<'a> {
    pub(super) answer: &'a Answer,
    /// The specification of a child that did not start, which is part of the answer.
    pub(super) child: Option<&'a Given>,
}

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.answer {
            Answer::Child(Ok(Child { pid, info })) => match info {
                Some(info) => (atoms::OK, PlainPid(*pid), info).serialize(serializer),
                None => (atoms::OK, PlainPid(*pid)).serialize(serializer),
            },
            Answer::Child(Err(error)) => self.error(error).serialize(serializer),
            Answer::Done(Ok(())) => atoms::OK.serialize(serializer),
            Answer::Done(Err(error)) => self.error(error).serialize(serializer),
            // Newest first, as OTP lists them.
            Answer::Children(children) => {
                serializer.collect_seq(children.iter().rev().map(PlainChild))
            }
            Answer::ChildInfo(Ok(child)) => (atoms::OK, PlainChild(child)).serialize(serializer),
            Answer::ChildInfo(Err(error)) => self.error(error).serialize(serializer),
            Answer::Counts(counts) => {
                let ChildCounts {
                    specs,
                    active,
                    supervisors,
                    workers,
                } = *counts;
                [
                    Count::Specs(specs),
                    Count::Active(active),
                    Count::Supervisors(supervisors),
                    Count::Workers(workers),
                ]
                .as_slice()
                .serialize(serializer)
            }
            Answer::Spec(spec) => match &**spec {
                Ok(spec) => (atoms::OK, spec).serialize(serializer),
                Err(error) => self.error(error).serialize(serializer),
            },
            Answer::Module(module) => module.serialize(serializer),
        }
    }
}

#[derive(Serialize)]
enum Count {
    Specs(u64),
    Active(u64),
    Supervisors(u64),
    Workers(u64),
}

impl Plain<'_> {
    fn error(&self, error: &ChildError) -> (otp_vm::Atom, OwnedTerm) {
        let term = match error {
            ChildError::Start(error) => match (start_error(error), self.child) {
                (reason, Some(child)) => to_term(&(reason, child)),
                (reason, None) => Ok(reason),
            },
            ChildError::Spec(error) => to_term(error),
            ChildError::Flags(error) => to_term(error),
            other => to_term(other),
        };
        (
            atoms::ERROR,
            term.unwrap_or_else(|_| OwnedTerm::from(atoms::BADARG)),
        )
    }
}

fn start_error(error: &StartError) -> OwnedTerm {
    otp_vm::ExitReason::from(error.clone()).to_term()
}

/// `undefined` is nobody's pid.
struct PlainPid(Option<Pid>);

impl Serialize for PlainPid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(pid) => pid.serialize(serializer),
            None => atoms::UNDEFINED.serialize(serializer),
        }
    }
}

/// `{Id, Child, Type, Modules}`.
struct PlainChild<'a>(&'a ChildInfo);

impl Serialize for PlainChild<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(child) = self;
        if child.restarting {
            (&child.id, atoms::RESTARTING, child.kind, &child.modules).serialize(serializer)
        } else {
            (&child.id, PlainPid(child.pid), child.kind, &child.modules).serialize(serializer)
        }
    }
}
