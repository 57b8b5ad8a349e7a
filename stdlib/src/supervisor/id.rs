//! What a supervisor calls its children.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use otp_vm::{Atom, OwnedTerm, Pid, Term, View};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::r#gen::Name;

/// A child's id, unique among the children of its supervisor: a text, or any other term.
///
/// A text that the program holds (`"cache"`) travels as an atom, one made at run time as a binary, so that the table of
/// atoms does not fill; both are the same id, and so are the atom and the binary in a specification that is data. Any
/// other term is an id as well: a number, a tuple with a reference.
#[derive(Clone)]
pub struct ChildId(Repr);

#[derive(Clone)]
enum Repr {
    Static(&'static str),
    Text(Arc<str>),
    Term(Arc<(String, OwnedTerm)>),
}

/// Longest text of an id that is a term, in bytes. Chosen by feel: what a line of a log may hold.
const ID_TEXT_LIMIT_BYTES: usize = 256;

impl ChildId {
    /// The id's text: of one that is no text, how it is printed.
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Static(text) => text,
            Repr::Text(text) => text,
            Repr::Term(both) => &both.0,
        }
    }

    /// The text, if the program's own text holds it.
    pub(super) fn as_static(&self) -> Option<&'static str> {
        match self.0 {
            Repr::Static(text) => Some(text),
            _ => None,
        }
    }

    /// The pid, if the id is one: how a child of a `simple_one_for_one` supervisor is named.
    pub fn as_pid(&self) -> Option<Pid> {
        self.as_term()?.root().as_pid()
    }

    fn as_term(&self) -> Option<&OwnedTerm> {
        match &self.0 {
            Repr::Term(both) => Some(&both.1),
            _ => None,
        }
    }

    pub(super) fn of_term(term: Term<'_>) -> Option<Self> {
        match term.view() {
            View::Atom(atom) => Some(Self::from(atom)),
            _ => match term.as_str() {
                Some(text) => Some(Self::from(text.to_owned())),
                None => OwnedTerm::copy_of((), term).ok().map(Self::other),
            },
        }
    }

    fn other(term: OwnedTerm) -> Self {
        let text = term.root().display_limited(ID_TEXT_LIMIT_BYTES).to_string();
        Self(Repr::Term(Arc::new((text, term))))
    }
}

/// The name alone, without what keeps it.
impl From<&Name> for ChildId {
    fn from(name: &Name) -> Self {
        match name {
            Name::Local(name) => Self::from(*name),
            Name::Via(_) => Self::from(name.to_term()),
        }
    }
}

impl From<&'static str> for ChildId {
    fn from(id: &'static str) -> Self {
        Self(Repr::Static(id))
    }
}

impl From<String> for ChildId {
    fn from(id: String) -> Self {
        Self(Repr::Text(id.into()))
    }
}

impl From<Atom> for ChildId {
    fn from(id: Atom) -> Self {
        Self(Repr::Static(id.as_str()))
    }
}

impl From<Pid> for ChildId {
    fn from(id: Pid) -> Self {
        match otp_vm::to_term(&id) {
            Ok(term) => Self::other(term),
            Err(error) => unreachable!("a pid could not be encoded: {error}"),
        }
    }
}

impl From<OwnedTerm> for ChildId {
    fn from(id: OwnedTerm) -> Self {
        match Self::of_term(id.root()) {
            Some(Self(Repr::Term(_))) | None => Self::other(id),
            Some(text) => text,
        }
    }
}

impl PartialEq for ChildId {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for ChildId {}

impl PartialOrd for ChildId {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Texts before other terms.
impl Ord for ChildId {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.as_term(), other.as_term()) {
            (None, None) => self.as_str().cmp(other.as_str()),
            (Some(this), Some(that)) => this.cmp(that),
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
        }
    }
}

impl Hash for ChildId {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self.as_term() {
            Some(term) => term.hash(state),
            None => self.as_str().hash(state),
        }
    }
}

impl PartialEq<str> for ChildId {
    fn eq(&self, other: &str) -> bool {
        self.as_term().is_none() && self.as_str() == other
    }
}

impl PartialEq<&str> for ChildId {
    fn eq(&self, other: &&str) -> bool {
        *self == **other
    }
}

impl fmt::Display for ChildId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl fmt::Debug for ChildId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_term() {
            Some(term) => write!(formatter, "ChildId({term})"),
            None => write!(formatter, "ChildId({:?})", self.as_str()),
        }
    }
}

impl Serialize for ChildId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            // A text too long for an atom, or for the table of atoms, goes as a binary: the same id.
            Repr::Static(text) => match Atom::new(text) {
                Ok(atom) => atom.serialize(serializer),
                Err(_) => text.serialize(serializer),
            },
            Repr::Text(text) => serializer.serialize_str(text),
            Repr::Term(both) => both.1.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for ChildId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        OwnedTerm::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> ChildId {
        ChildId::from(text.parse::<OwnedTerm>().expect("a term"))
    }

    #[test]
    fn a_text_is_the_same_id_in_each_of_its_forms() {
        let ids = [
            ChildId::from("a"),
            ChildId::from("a".to_owned()),
            parsed("a"),
            parsed("<<\"a\">>"),
        ];
        for one in &ids {
            for other in &ids {
                assert_eq!(one, other);
            }
            assert!(*one == "a" && *one < parsed("1"));
        }
        assert_ne!(ids[0], parsed("{a}"));
        assert!(
            parsed("{a}") != "{a}",
            "its text is not the id of a term that is none"
        );
        assert_ne!(parsed("1"), parsed("\"1\""));
    }

    #[test]
    fn an_id_travels_as_the_term_it_is() {
        for (id, term) in [
            (ChildId::from("a"), "a"),
            (ChildId::from("a".to_owned()), "<<\"a\">>"),
            (parsed("{child,7}"), "{child,7}"),
        ] {
            let sent = otp_vm::to_term(&id).expect("a term");
            assert_eq!(sent.to_string(), term);
            assert_eq!(
                otp_vm::from_term::<ChildId>(sent.root()).expect("an id"),
                id
            );
        }
    }
}
