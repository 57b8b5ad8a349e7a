//! Which messages are traced: patterns, as data that the VM looks at by itself, since it does so under the lock of the
//! process that is traced.

use std::mem;
use std::sync::Arc;

use otp_heap::{Atom, EncodeError, OwnedTerm, Term, atoms};
use otp_scheduler::lock::RwLock;
use serde::Serialize;

use super::event::Event;
use crate::context::shared_term;
use crate::destination::Destination;

/// Which messages of the traced processes are told: clauses, of which the first that fits a message decides. A message
/// that none fits is not told. What a list of match specifications is to `trace_pattern/3` for `send` and `'receive'`,
/// with the conditions of [`TraceClause`].
///
/// A session has one for sent and one for received messages; without it, all are told.
///
/// ```
/// use otp_vm::{TraceClause, TraceFlags, TraceMessages, TracePattern, Vm};
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let told = vm.run(|mut cx| async move {
///     let other = cx.spawn(|mut cx| async move { drop(cx.receive().await) }).unwrap();
///     let session = cx.vm().trace_session(other);
///     let pattern = TracePattern::new()
///         .clause(TraceClause::new().message("secret").unwrap().hidden())
///         .clause(TraceClause::new().peer(cx.pid()));
///     session.pattern(TraceMessages::Send, pattern);
///     session.trace(cx.pid(), TraceFlags::SEND).unwrap();
///     cx.send(cx.pid(), "secret").unwrap();
///     cx.send(cx.pid(), "news").unwrap();
///     cx.send(other, "to another").unwrap();
///     cx.receive().await;
///     session.figures().events
/// });
/// assert_eq!(told.wait()?, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TracePattern {
    clauses: Vec<TraceClause>,
}

/// A clause of a [`TracePattern`]: it fits a message that fulfils all its conditions. One without any fits all.
///
/// There are no conditions within conditions, and so nothing that could nest too deeply.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TraceClause {
    conditions: Vec<Condition>,
    outcome: Outcome,
}

#[derive(Debug, Clone, PartialEq)]
enum Condition {
    Peer(Destination, bool),
    Message(Arc<OwnedTerm>, bool),
    IsAtom,
}

/// What becomes of a message that the clause fits.
#[derive(Debug, Clone, Default, PartialEq)]
enum Outcome {
    #[default]
    Told,
    /// With this at the end.
    ToldWith(Arc<OwnedTerm>),
    Hidden,
}

/// Which messages a pattern is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceMessages {
    /// Those that a traced process sends.
    Send,
    /// Those that reach it, and times that are over.
    Receive,
}

impl TracePattern {
    /// No clauses, so nothing is told: `false`.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a clause, behind those that are there.
    pub fn clause(mut self, clause: TraceClause) -> Self {
        self.clauses.push(clause);
        self
    }

    fn look(&self, event: &Event<'_>) -> Look {
        let mut clauses = self.clauses.iter();
        match clauses.find(|clause| clause.fits(event)) {
            None => Look::Hidden,
            Some(clause) => match &clause.outcome {
                Outcome::Told => Look::Told(None),
                Outcome::ToldWith(more) => Look::Told(Some(Arc::clone(more))),
                Outcome::Hidden => Look::Hidden,
            },
        }
    }
}

impl TraceClause {
    /// Fits all messages, and has them told.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a message that is sent: it is sent to that, and as it is given here: a name is not its pid. Of one that is
    /// received: it is from that process; the end of a wait's time is from `clock_service`, and what the host program
    /// sends from [`HOST`](crate::HOST).
    pub fn peer(self, peer: impl Into<Destination>) -> Self {
        self.condition(Condition::Peer(named(peer.into()), true))
    }

    /// The opposite of [`TraceClause::peer`].
    pub fn not_peer(self, peer: impl Into<Destination>) -> Self {
        self.condition(Condition::Peer(named(peer.into()), false))
    }

    /// The message is exactly that (`=:=`). The end of a wait's time is the atom `timeout`.
    ///
    /// # Errors
    /// When the value can't be serialised (it nests too deeply, say), or has a native resource, which equals no other.
    pub fn message<M: Serialize + ?Sized>(self, message: &M) -> Result<Self, EncodeError> {
        Ok(self.condition(Condition::Message(shared_term(message)?, true)))
    }

    /// The message is anything but that.
    ///
    /// # Errors
    /// As for [`TraceClause::message`].
    pub fn not_message<M: Serialize + ?Sized>(self, message: &M) -> Result<Self, EncodeError> {
        Ok(self.condition(Condition::Message(shared_term(message)?, false)))
    }

    /// The message is an atom.
    pub fn is_atom(self) -> Self {
        self.condition(Condition::IsAtom)
    }

    /// Has what fits told with `more` as a further element: `{trace, Pid, send, Message, To, More}`.
    /// `{message, More}`.
    ///
    /// # Errors
    /// When the value can't be serialised, or has a native resource, of which there is only one.
    pub fn told_with<M: Serialize + ?Sized>(mut self, more: &M) -> Result<Self, EncodeError> {
        self.outcome = Outcome::ToldWith(shared_term(more)?);
        Ok(self)
    }

    /// Has what fits not told. `{message, false}`.
    pub fn hidden(mut self) -> Self {
        self.outcome = Outcome::Hidden;
        self
    }

    fn condition(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    fn fits(&self, event: &Event<'_>) -> bool {
        self.conditions.iter().all(|condition| match condition {
            Condition::Peer(peer, is) => is_peer(event, peer) == *is,
            Condition::Message(wanted, is) => {
                let fits = match *event {
                    Event::Timeout => is_atom(wanted.root(), atoms::TIMEOUT),
                    _ => message_of(event) == Some(wanted.root()),
                };
                fits == *is
            }
            Condition::IsAtom => {
                matches!(event, Event::Timeout)
                    || message_of(event).is_some_and(|message| message.as_atom().is_some())
            }
        })
    }
}

/// A name that is no atom yet becomes one: it is wanted from here on.
fn named(peer: Destination) -> Destination {
    match &peer {
        Destination::Text { name, node: None } => Atom::new(name).map_or(peer, Destination::Name),
        _ => peer,
    }
}

fn is_atom(term: Term<'_>, atom: Atom) -> bool {
    term.as_atom() == Some(atom)
}

fn message_of<'e>(event: &Event<'e>) -> Option<Term<'e>> {
    match *event {
        Event::Send { message, .. } | Event::Receive { message, .. } => Some(message),
        _ => None,
    }
}

fn is_peer(event: &Event<'_>, peer: &Destination) -> bool {
    match event {
        Event::Send { to, .. } => *to == peer,
        Event::Receive { from, .. } => *peer == Destination::Pid(*from),
        Event::Timeout => {
            matches!(peer, Destination::Name(name) if name.as_str() == "clock_service")
        }
        _ => false,
    }
}

/// What a look at a message says.
pub(super) enum Look {
    Hidden,
    /// With more at the end, if there is more.
    Told(Option<Arc<OwnedTerm>>),
}

/// The patterns of a session.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    send: RwLock<Option<Arc<TracePattern>>>,
    receive: RwLock<Option<Arc<TracePattern>>>,
}

impl Patterns {
    pub(super) fn set(&self, of: TraceMessages, pattern: Option<TracePattern>) {
        let pattern = pattern.map(Arc::new);
        let before = mem::replace(&mut *self.of(of).write(), pattern);
        drop(before);
    }

    pub(super) fn get(&self, of: TraceMessages) -> Option<Arc<TracePattern>> {
        self.of(of).read().clone()
    }

    fn of(&self, of: TraceMessages) -> &RwLock<Option<Arc<TracePattern>>> {
        match of {
            TraceMessages::Send => &self.send,
            TraceMessages::Receive => &self.receive,
        }
    }

    /// Whether an event is told.
    pub(super) fn look(&self, event: &Event<'_>) -> Look {
        let pattern = match event {
            Event::Send { .. } => self.get(TraceMessages::Send),
            Event::Receive { .. } | Event::Timeout => self.get(TraceMessages::Receive),
            _ => None,
        };
        pattern.map_or(Look::Told(None), |pattern| pattern.look(event))
    }
}
