//! What OTP and Elixir keep in the process dictionary, and a process here in its [`Origin`]: the dictionary shows it
//! all the same, and lets it be set and erased. So tools and users find it where they look for it, and an idle process
//! pays a shared pointer for it.
//!
//! An entry that was put under such a key, and that can't be an origin, lies in the dictionary like any other, and
//! hides the note.

use std::sync::Arc;

use otp_heap::{Atom, OwnedTerm, Pid, Term, View, from_term, to_term};

use super::State;
use super::memory::Dictionary;
use crate::origin::{Ancestor, InitialCall, MAX_ANCESTORS, Mfa, Origin};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Note {
    Ancestors,
    InitialCall,
    Callers,
}

impl Note {
    const ALL: [Self; 3] = [Self::Ancestors, Self::InitialCall, Self::Callers];

    const fn key(self) -> &'static str {
        match self {
            Self::Ancestors => "$ancestors",
            Self::InitialCall => "$initial_call",
            Self::Callers => "$callers",
        }
    }

    /// What a key of the dictionary names.
    pub(crate) fn of(key: &OwnedTerm) -> Option<Self> {
        let key = key.root().as_atom()?.as_str();
        Self::ALL.into_iter().find(|note| note.key() == key)
    }

    /// The origin with another value for this, if the term is one.
    fn set(self, origin: &mut Origin, value: Term<'_>) -> Option<()> {
        match self {
            Self::Ancestors => origin.ancestors = Some(ancestors(value)?),
            Self::InitialCall => {
                origin.ancestors.as_ref()?;
                let (module, function, arity): (Atom, Atom, u8) = from_term(value).ok()?;
                let mfa = Mfa {
                    module,
                    function,
                    arity,
                };
                origin.initial_call = Some(mfa.into());
            }
            Self::Callers => {
                let callers: Vec<Pid> = from_term(value).ok()?;
                let fits = (1..=MAX_ANCESTORS).contains(&callers.len());
                origin.callers = fits.then_some(callers)?;
            }
        }
        Some(())
    }
}

fn ancestors(mut rest: Term<'_>) -> Option<Vec<Ancestor>> {
    let mut ancestors = Vec::new();
    while let View::Cons(cons) = rest.view() {
        let head = cons.head();
        let pid = head.as_pid().map(Ancestor::Pid);
        ancestors.push(pid.or_else(|| head.as_atom().map(Ancestor::Name))?);
        if ancestors.len() > MAX_ANCESTORS {
            return None;
        }
        rest = cons.tail();
    }
    matches!(rest.view(), View::Nil).then_some(ancestors)
}

impl State {
    /// What is noted, as a term. Of the initial call nothing, unless `proc_lib` started the process.
    pub(crate) fn noted(&self, note: Note) -> Option<OwnedTerm> {
        let origin = self.origin.as_deref()?;
        let term = match note {
            Note::Ancestors => to_term(origin.ancestors.as_ref()?),
            Note::InitialCall => {
                origin.ancestors.as_ref()?;
                let begun = self.initial_call.map(|name| InitialCall::Fun(name()));
                to_term(&origin.initial_call.or(begun)?)
            }
            Note::Callers if origin.callers.is_empty() => return None,
            Note::Callers => to_term(&origin.callers),
        };
        term.ok()
    }

    /// Notes a value; false if it can't be one. Then nothing is noted any more.
    pub(crate) fn set_note(&mut self, note: Note, value: Term<'_>) -> bool {
        let mut origin = self.origin.as_deref().cloned().unwrap_or_default();
        let is_set = note.set(&mut origin, value).is_some();
        if is_set {
            self.origin = Some(Arc::new(origin));
        } else {
            self.erase_note(note);
        }
        is_set
    }

    /// Takes a note away. Ancestors and initial call go together: without either it is no process of `proc_lib`'s.
    pub(crate) fn erase_note(&mut self, note: Note) {
        if self.noted(note).is_none() {
            return;
        }
        let Some(origin) = self.origin.as_mut() else {
            return;
        };
        let origin = Arc::make_mut(origin);
        match note {
            Note::Callers => origin.callers.clear(),
            Note::Ancestors | Note::InitialCall => {
                origin.ancestors = None;
                origin.initial_call = None;
            }
        }
        if *origin == Origin::default() {
            self.origin = None;
        }
    }

    pub(crate) fn erase_notes(&mut self) {
        Note::ALL.into_iter().for_each(|note| self.erase_note(note));
    }

    /// All that is noted, as entries of the dictionary, but for what the dictionary has itself.
    pub(crate) fn notes(&self, dictionary: Option<&Dictionary>) -> Vec<(OwnedTerm, OwnedTerm)> {
        if self.origin.is_none() {
            return Vec::new();
        }
        let notes = Note::ALL.into_iter().filter_map(|note| {
            let value = self.noted(note)?;
            let key = OwnedTerm::from(Atom::new(note.key()).ok()?);
            let is_hidden = dictionary.is_some_and(|dictionary| dictionary.get(&key).is_some());
            (!is_hidden).then_some((key, value))
        });
        notes.collect()
    }
}
