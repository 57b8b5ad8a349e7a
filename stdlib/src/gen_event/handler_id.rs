//! By what a handler is known to its manager.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;
use std::sync::Arc;

use otp_vm::{Atom, DecodeError, EncodeError, OwnedTerm, Term, from_term, to_term, with_term};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::EventHandler;

/// A handler of a manager, without its type: `Module`, or `{Module, Id}`. OTP's `handler()`.
///
/// The module is what [`EventHandler::module`] says. Two handlers of the same id are told apart by nothing: what is
/// asked of them reaches the one that was added last.
///
/// ```
/// use otp_stdlib::gen_event::HandlerId;
/// use otp_vm::Atom;
///
/// let file_log = Atom::new("file_log")?;
/// assert_eq!(HandlerId::new(file_log).to_string(), "file_log");
/// assert_eq!(HandlerId::with_id(file_log, &7)?.to_string(), "{file_log,7}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct HandlerId {
    module: Atom,
    id: Option<Arc<OwnedTerm>>,
}

impl HandlerId {
    /// `Module`.
    pub fn new(module: Atom) -> Self {
        Self { module, id: None }
    }

    /// `{Module, Id}`: one of several of a module.
    ///
    /// # Errors
    /// When the id can't be a term.
    pub fn with_id<T: Serialize + ?Sized>(module: Atom, id: &T) -> Result<Self, EncodeError> {
        let id = Some(Arc::new(to_term(id)?));
        Ok(Self { module, id })
    }

    /// The module.
    pub fn module(&self) -> Atom {
        self.module
    }

    /// What tells it from others of the module.
    pub fn id(&self) -> Option<&OwnedTerm> {
        self.id.as_deref()
    }

    fn of(term: Term<'_>) -> Result<Self, DecodeError> {
        if let Some(module) = term.as_atom() {
            return Ok(Self::new(module));
        }
        let (module, id) = from_term(term)?;
        let id = Some(Arc::new(id));
        Ok(Self { module, id })
    }
}

impl PartialEq for HandlerId {
    fn eq(&self, other: &Self) -> bool {
        self.module == other.module && self.id() == other.id()
    }
}

impl Eq for HandlerId {}

impl Hash for HandlerId {
    fn hash<S: Hasher>(&self, state: &mut S) {
        self.module.hash(state);
        self.id().hash(state);
    }
}

impl fmt::Display for HandlerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match to_term(self) {
            Ok(term) => fmt::Display::fmt(&term, formatter),
            Err(_) => fmt::Display::fmt(&self.module, formatter),
        }
    }
}

impl fmt::Debug for HandlerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl Serialize for HandlerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.id() {
            None => self.module.serialize(serializer),
            Some(id) => (self.module, id).serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for HandlerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        with_term(deserializer, Self::of)
    }
}

/// A handler of a manager, by its type: what [`add_handler`](super::EventManagerRef::add_handler) adds and
/// [`call`](super::EventManagerRef::call) asks. That the manager has one of that type under the id is taken on trust.
pub struct Handler<H> {
    id: HandlerId,
    handler: PhantomData<fn(H)>,
}

impl<H: EventHandler> Handler<H> {
    /// The one of its type: `Module`.
    ///
    /// # Panics
    /// When [`EventHandler::module`] can't be an atom: it is longer than 255 characters, or the table of atoms is full.
    pub fn new() -> Self {
        Self::of(HandlerId::new(module::<H>()))
    }

    /// One of several of its type: `{Module, Id}`.
    ///
    /// # Errors
    /// When the id can't be a term.
    ///
    /// # Panics
    /// As [`new`](Self::new).
    pub fn with_id<T: Serialize + ?Sized>(id: &T) -> Result<Self, EncodeError> {
        HandlerId::with_id(module::<H>(), id).map(Self::of)
    }
}

impl<H> Handler<H> {
    fn of(id: HandlerId) -> Self {
        Self {
            id,
            handler: PhantomData,
        }
    }

    /// The same without the type.
    pub fn id(&self) -> &HandlerId {
        &self.id
    }
}

fn module<H: EventHandler>() -> Atom {
    let module = H::module();
    Atom::new(module).unwrap_or_else(|error| panic!("the module of a handler, {module}: {error}"))
}

impl<H: EventHandler> Default for Handler<H> {
    fn default() -> Self {
        Self::new()
    }
}

impl<H> From<Handler<H>> for HandlerId {
    fn from(handler: Handler<H>) -> Self {
        handler.id
    }
}

impl<H> From<&Handler<H>> for HandlerId {
    fn from(handler: &Handler<H>) -> Self {
        handler.id.clone()
    }
}

impl From<&HandlerId> for HandlerId {
    fn from(handler: &HandlerId) -> Self {
        handler.clone()
    }
}

impl<H> Clone for Handler<H> {
    fn clone(&self) -> Self {
        Self::of(self.id.clone())
    }
}

impl<H> PartialEq for Handler<H> {
    fn eq(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl<H> Eq for Handler<H> {}

impl<H> fmt::Debug for Handler<H> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Handler").field(&self.id).finish()
    }
}
