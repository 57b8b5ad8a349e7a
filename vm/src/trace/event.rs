//! What is told to a tracer: the messages `{trace, Pid, What, …}`.

use std::time::{SystemTime, UNIX_EPOCH};

use otp_heap::{Atom, EncodeError, OwnedTerm, Pid, Ref, Term, to_block};
use serde::ser::SerializeTuple;
use serde::{Serialize, Serializer};

use super::collection::CollectionItem;
use super::flags::TraceFlags;
use crate::core::Core;
use crate::destination::Destination;
use crate::envelope::{Envelope, Kind, NO_REF, Parcel};
use crate::exit_reason::{ExitReason, REASON_TEXT_LIMIT_BYTES};
use crate::process::TypeName;

/// Something that happened to a process.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Event<'e> {
    Send {
        message: Term<'e>,
        to: &'e Destination,
        /// Somebody has that pid or name.
        is_there: bool,
    },
    Receive {
        from: Pid,
        message: Term<'e>,
    },
    /// A wait's time is over.
    Timeout,
    Spawn(Pid, TypeName),
    Spawned(Pid, TypeName),
    Exit(&'e ExitReason),
    Link(Pid),
    Unlink(Pid),
    GettingLinked(Pid),
    GettingUnlinked(Pid),
    Register(Atom),
    Unregister(Atom),
    In(TypeName),
    Out(TypeName),
    CollectionBegins(&'e [(CollectionItem, usize)]),
    CollectionEnds(&'e [(CollectionItem, usize)]),
}

/// The words of trace messages, as atoms.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    Trace,
    TraceTs,
    TraceOverload,
    Send,
    SendToNonExistingProcess,
    Receive,
    Timeout,
    Spawn,
    Spawned,
    Exit,
    Link,
    Unlink,
    GettingLinked,
    GettingUnlinked,
    Register,
    Unregister,
    In,
    Out,
    GcMajorStart,
    GcMajorEnd,
    Undefined,
}

/// An element of a trace message.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
enum Element<'e> {
    Word(Word),
    Pid(Pid),
    Atom(Atom),
    Term(Term<'e>),
    Text(&'e str),
    Reason(&'e ExitReason),
    Info(&'e [(CollectionItem, usize)]),
    Ref(Ref),
    /// A name and its node.
    NameAt(Atom, Atom),
    TextAt(&'e str, Atom),
    Number(u64),
    /// `{MegaSeconds, Seconds, Microseconds}`.
    Wall(u64, u64, u64),
    /// `{Nanoseconds, Number}`.
    Strict(u64, u64),
}

/// A tuple whose size the compiler doesn't know.
struct Elements<'e>(Vec<Element<'e>>);

impl Serialize for Elements<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for element in &self.0 {
            tuple.serialize_element(element)?;
        }
        tuple.end()
    }
}

impl<'e> Event<'e> {
    /// The flag that it is traced by.
    pub(super) const fn flag(&self) -> TraceFlags {
        match self {
            Self::Send { .. } => TraceFlags::SEND,
            Self::Receive { .. } | Self::Timeout => TraceFlags::RECEIVE,
            Self::In(_) | Self::Out(_) => TraceFlags::RUNNING,
            Self::CollectionBegins(_) | Self::CollectionEnds(_) => TraceFlags::GARBAGE_COLLECTION,
            _ => TraceFlags::PROCS,
        }
    }

    fn word(&self) -> Word {
        match self {
            Self::Send { is_there: true, .. } => Word::Send,
            Self::Send { to, .. } if !matches!(to, Destination::Pid(_)) => Word::Send,
            Self::Send { .. } => Word::SendToNonExistingProcess,
            Self::Receive { .. } | Self::Timeout => Word::Receive,
            Self::Spawn(..) => Word::Spawn,
            Self::Spawned(..) => Word::Spawned,
            Self::Exit(_) => Word::Exit,
            Self::Link(_) => Word::Link,
            Self::Unlink(_) => Word::Unlink,
            Self::GettingLinked(_) => Word::GettingLinked,
            Self::GettingUnlinked(_) => Word::GettingUnlinked,
            Self::Register(_) => Word::Register,
            Self::Unregister(_) => Word::Unregister,
            Self::In(_) => Word::In,
            Self::Out(_) => Word::Out,
            Self::CollectionBegins(_) => Word::GcMajorStart,
            Self::CollectionEnds(_) => Word::GcMajorEnd,
        }
    }

    fn push_details(&self, elements: &mut Vec<Element<'e>>) {
        match *self {
            Self::Send { message, to, .. } => {
                elements.push(Element::Term(message));
                elements.push(match to {
                    Destination::Pid(pid) => Element::Pid(*pid),
                    Destination::Name(name) => Element::Atom(*name),
                    Destination::NameAt(name, node) => Element::NameAt(*name, *node),
                    Destination::Text { name, node: None } => Element::Text(name),
                    Destination::Text {
                        name,
                        node: Some(node),
                    } => Element::TextAt(name, *node),
                    Destination::Alias(alias) => Element::Ref(*alias),
                    Destination::Nobody => Element::Word(Word::Undefined),
                });
            }
            Self::Receive { message, .. } => elements.push(Element::Term(message)),
            Self::Timeout => elements.push(Element::Word(Word::Timeout)),
            Self::Spawn(pid, initial_call) | Self::Spawned(pid, initial_call) => {
                elements.push(Element::Pid(pid));
                elements.push(Element::Text(initial_call()));
            }
            Self::Exit(reason) => elements.push(Element::Reason(reason)),
            Self::Link(pid)
            | Self::Unlink(pid)
            | Self::GettingLinked(pid)
            | Self::GettingUnlinked(pid) => elements.push(Element::Pid(pid)),
            Self::Register(name) | Self::Unregister(name) => elements.push(Element::Atom(name)),
            Self::In(initial_call) | Self::Out(initial_call) => {
                elements.push(Element::Text(initial_call()));
            }
            Self::CollectionBegins(info) | Self::CollectionEnds(info) => {
                elements.push(Element::Info(info));
            }
        }
    }

    /// The message for the tracer, with `more` behind it; `number` is the event's among those of its tracer.
    pub(super) fn to_parcel(
        self,
        core: &Core,
        pid: Pid,
        flags: TraceFlags,
        number: u64,
        more: Option<&OwnedTerm>,
    ) -> Parcel {
        let stamp = stamp(core, flags, number);
        let head = match stamp {
            None => Word::Trace,
            Some(_) => Word::TraceTs,
        };
        let mut elements = Vec::with_capacity(8);
        elements.extend([
            Element::Word(head),
            Element::Pid(pid),
            Element::Word(self.word()),
        ]);
        self.push_details(&mut elements);
        elements.extend(more.map(|more| Element::Term(more.root())));
        if flags.contains(TraceFlags::SCHEDULER_ID) {
            let id = otp_scheduler::current_scheduler().map_or(0, |index| index as u64 + 1);
            elements.push(Element::Number(id));
        }
        elements.extend(stamp);
        let elements = Elements(elements);
        block(pid, &elements).unwrap_or_else(|_| {
            let text = self.limited_text();
            let copyable = elements.0.iter().map(|&element| match element {
                Element::Term(_) | Element::Reason(_) => Element::Text(&text),
                other => other,
            });
            block(pid, &Elements(copyable.collect()))
                .expect("pids, words, numbers and a text of bounded length")
        })
    }

    /// What stands for a message or reason that can't be copied: it has a native resource, of which there is one, or is
    /// nested as deeply as may be.
    fn limited_text(&self) -> String {
        match self {
            Self::Send { message, .. } | Self::Receive { message, .. } => {
                message.display_limited(REASON_TEXT_LIMIT_BYTES).to_string()
            }
            Self::Exit(reason) => reason.to_string(),
            _ => String::new(),
        }
    }
}

fn block(from: Pid, elements: &Elements<'_>) -> Result<Parcel, EncodeError> {
    to_block(Envelope::new(Kind::Message, from, NO_REF), elements)
}

/// The last message of a trace that was switched off since there were more than `limit` events within a second:
/// `{trace_overload, Limit}`.
pub(super) fn overload(limit: u64) -> Parcel {
    let elements = Elements(vec![
        Element::Word(Word::TraceOverload),
        Element::Number(limit),
    ]);
    block(crate::envelope::HOST, &elements).expect("a word and a number")
}

fn stamp(core: &Core, flags: TraceFlags, number: u64) -> Option<Element<'static>> {
    if flags.contains(TraceFlags::TIMESTAMP) {
        let micros = if core.scheduler.is_simulated() {
            core.scheduler.now() / 1000
        } else {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            since.map_or(0, |since| since.as_micros() as u64)
        };
        let seconds = micros / 1_000_000;
        return Some(Element::Wall(
            seconds / 1_000_000,
            seconds % 1_000_000,
            micros % 1_000_000,
        ));
    }
    if flags.contains(TraceFlags::STRICT_MONOTONIC_TIMESTAMP) {
        return Some(Element::Strict(core.scheduler.now(), number));
    }
    let is_stamped = flags.contains(TraceFlags::MONOTONIC_TIMESTAMP);
    is_stamped.then(|| Element::Number(core.scheduler.now()))
}
