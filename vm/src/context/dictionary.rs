//! The process dictionary.

use std::sync::Arc;

use otp_heap::{DecodeError, EncodeError, OwnedTerm, from_term, to_term};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Context;
use crate::process::{Note, State};

/// Why something was not put into the dictionary, or not read from it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DictionaryError {
    /// The key or the value could not be serialised.
    #[error("the key or value could not be encoded: {0}")]
    Encode(#[from] EncodeError),
    /// The value is of another shape than was asked for.
    #[error("the value could not be decoded: {0}")]
    Decode(#[from] DecodeError),
    /// A native resource can't be copied, and so not shown to who asks for the dictionary.
    #[error("a native resource can't lie in the process dictionary: keep it in the body")]
    Native,
}

fn encode<T: Serialize + ?Sized>(value: &T) -> Result<OwnedTerm, DictionaryError> {
    let term = to_term(value)?;
    if term.has_natives() {
        return Err(DictionaryError::Native);
    }
    Ok(term)
}

/// The term, without a copy if nobody else has it.
fn own(term: Arc<OwnedTerm>) -> OwnedTerm {
    Arc::try_unwrap(term).unwrap_or_else(|shared| copy(&shared))
}

fn copy(term: &OwnedTerm) -> OwnedTerm {
    term.try_clone()
        .expect("the dictionary has no native resource")
}

/// What the process notes of its origin, as entries.
fn notes(state: &State) -> Vec<(OwnedTerm, OwnedTerm)> {
    let rare = state.rare.as_deref();
    let memory = rare.and_then(|rare| rare.memory.as_deref());
    state.notes(memory.map(|memory| &memory.dictionary))
}

/// The process dictionary: what is needed everywhere in a process, and by who looks at it from outside. Keys and values
/// are terms; a Rust value is put in and read out by serde. Each entry is charged by its size.
///
/// A process that `proc_lib` started has the entries `$ancestors` and `$initial_call`, as in OTP, and one that works
/// for others `$callers`, as in Elixir. They are its [`Origin`](crate::Origin): to put or erase them changes that, and
/// the reports of its crash. (`$ancestors` and `$initial_call` are erased together.)
///
/// ```
/// use otp_vm::Vm;
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let run = vm.run(|cx| async move {
///     assert_eq!(cx.put("request_id", &7)?, None);
///     let before = cx.put("request_id", &8)?.expect("the 7");
///     assert_eq!(before.to_string(), "7");
///     assert_eq!(cx.get::<u32, _>("request_id")?, Some(8));
///     assert_eq!(cx.erase("request_id")?.expect("the 8").to_string(), "8");
///     assert!(cx.get_keys().is_empty());
///     Ok::<(), otp_vm::DictionaryError>(())
/// });
/// run.wait()??;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
impl Context {
    /// Sets a key's value; gives the value before. `put/2`.
    ///
    /// A process past its `max_heap_size` ends here, by unwinding, with reason `killed`.
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|cx| async move {
    ///     assert!(cx.put("tries", &1).unwrap().is_none());
    ///     let before = cx.put("tries", &2).unwrap().unwrap();
    ///     assert_eq!(before.to_string(), "1");
    ///     let tries: Option<u32> = cx.get("tries").unwrap();
    ///     cx.erase("tries").unwrap();
    ///     (tries, cx.get_keys().len())
    /// });
    /// assert_eq!(run.wait()?, (Some(2), 0));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DictionaryError::Encode`] and [`DictionaryError::Native`]; then nothing was changed.
    pub fn put<K, V>(&self, key: &K, value: &V) -> Result<Option<OwnedTerm>, DictionaryError>
    where
        K: Serialize + ?Sized,
        V: Serialize + ?Sized,
    {
        let (key, value) = (encode(key)?, Arc::new(encode(value)?));
        self.charge_entry(key.bytes() + value.bytes());
        let before = match self.state() {
            Some(mut state) => match Note::of(&key) {
                Some(note) => self.put_note(&mut state, note, key, value),
                None => {
                    let memory = self.process().memory(&mut state);
                    memory.dictionary.put(key, value)
                }
            },
            None => None,
        };
        self.check_limit();
        Ok(before.map(own))
    }

    fn put_note(
        &self,
        state: &mut State,
        note: Note,
        key: OwnedTerm,
        value: Arc<OwnedTerm>,
    ) -> Option<Arc<OwnedTerm>> {
        let noted = state.noted(note).map(Arc::new);
        let is_note = state.set_note(note, value.root());
        let dictionary = &mut self.process().memory(state).dictionary;
        let before = match is_note {
            true => dictionary.erase(&key).map(|(_, value)| value),
            false => dictionary.put(key, value),
        };
        before.or(noted)
    }

    /// A key's value, decoded; None if there is none. `get/1`.
    ///
    /// # Errors
    /// [`DictionaryError::Decode`] if the value is of another shape, [`DictionaryError::Encode`] for the key.
    pub fn get<V, K>(&self, key: &K) -> Result<Option<V>, DictionaryError>
    where
        K: Serialize + ?Sized,
        V: DeserializeOwned,
    {
        let value = self.entry(key)?;
        Ok(match value {
            Some(value) => Some(from_term(value.root())?),
            None => None,
        })
    }

    /// A key's value as a term; None if there is none. `get/1`.
    ///
    /// # Errors
    /// [`DictionaryError::Encode`] for the key.
    pub fn get_term<K: Serialize + ?Sized>(
        &self,
        key: &K,
    ) -> Result<Option<OwnedTerm>, DictionaryError> {
        Ok(self.entry(key)?.map(own))
    }

    fn entry<K: Serialize + ?Sized>(
        &self,
        key: &K,
    ) -> Result<Option<Arc<OwnedTerm>>, DictionaryError> {
        let key = encode(key)?;
        let state = self.state();
        let rare = state.as_ref().and_then(|state| state.rare.as_deref());
        let value = rare
            .and_then(|rare| rare.memory.as_deref())
            .and_then(|memory| memory.dictionary.get(&key));
        let value = value.or_else(|| {
            let noted = state.as_ref()?.noted(Note::of(&key)?)?;
            Some(Arc::new(noted))
        });
        drop(state);
        self.charge_entry(value.as_ref().map_or(0, |value| value.bytes()));
        Ok(value)
    }

    /// Takes a key out; gives its value. `erase/1`.
    ///
    /// # Errors
    /// [`DictionaryError::Encode`] for the key.
    pub fn erase<K: Serialize + ?Sized>(
        &self,
        key: &K,
    ) -> Result<Option<OwnedTerm>, DictionaryError> {
        let key = encode(key)?;
        otp_scheduler::tick(1);
        let mut state = self.state();
        let rare = state.as_mut().and_then(|state| state.rare.as_deref_mut());
        let entry = rare
            .and_then(|rare| rare.memory.as_deref_mut())
            .and_then(|memory| memory.dictionary.erase(&key));
        let noted = state.as_mut().and_then(|state| {
            let note = Note::of(&key)?;
            let noted = state.noted(note);
            state.erase_note(note);
            noted
        });
        drop(state);
        Ok(entry.map(|(_, value)| own(value)).or(noted))
    }

    /// Takes everything out, and gives it. `erase/0`.
    pub fn erase_all(&self) -> Vec<(OwnedTerm, OwnedTerm)> {
        let mut state = self.state();
        let notes = state.as_ref().map_or_else(Vec::new, |state| notes(state));
        if let Some(state) = &mut state {
            state.erase_notes();
        }
        let rare = state.as_mut().and_then(|state| state.rare.as_deref_mut());
        let entries = rare
            .and_then(|rare| rare.memory.as_deref_mut())
            .map(|memory| memory.dictionary.take());
        drop(state);
        let entries = entries.unwrap_or_default().into_iter();
        let entries = entries.map(|(key, value)| (key, own(value)));
        entries.chain(notes).collect()
    }

    /// All keys and values, in no order. `get/0`.
    pub fn dictionary(&self) -> Vec<(OwnedTerm, OwnedTerm)> {
        let state = self.state();
        let rare = state.as_ref().and_then(|state| state.rare.as_deref());
        let entries = rare.and_then(|rare| rare.memory.as_deref()).map(|memory| {
            let entries = memory.dictionary.iter();
            entries
                .map(|(key, value)| (copy(key), Arc::clone(value)))
                .collect::<Vec<_>>()
        });
        let notes = state.as_ref().map_or_else(Vec::new, |state| notes(state));
        drop(state);
        let entries = entries.unwrap_or_default();
        otp_scheduler::tick(1 + entries.len() as u32);
        let entries = entries.into_iter();
        let entries = entries.map(|(key, value)| (key, own(value)));
        entries.chain(notes).collect()
    }

    /// All keys, in no order. `get_keys/0`.
    pub fn get_keys(&self) -> Vec<OwnedTerm> {
        self.dictionary().into_iter().map(|(key, _)| key).collect()
    }

    /// The keys that have this value (`=:=`), in no order. `get_keys/1`.
    ///
    /// ```
    /// # use otp_vm::Vm;
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let run = vm.run(|cx| async move {
    /// for (key, value) in [("a", 1), ("b", 2), ("c", 1)] {
    ///     cx.put(key, &value)?;
    /// }
    /// let mut keys: Vec<String> = cx.get_keys_of(&1)?.iter().map(|key| key.root().to_string()).collect();
    /// keys.sort();
    /// assert_eq!(keys, [r#"<<"a">>"#, r#"<<"c">>"#]);
    /// # Ok::<(), otp_vm::DictionaryError>(())
    /// # });
    /// # run.wait()??;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`DictionaryError::Encode`] for the value.
    pub fn get_keys_of<V: Serialize + ?Sized>(
        &self,
        value: &V,
    ) -> Result<Vec<OwnedTerm>, DictionaryError> {
        let value = encode(value)?;
        let entries = self.dictionary().into_iter();
        let with_value = entries.filter(|(_, present)| *present == value);
        Ok(with_value.map(|(key, _)| key).collect())
    }

    fn charge_entry(&self, bytes: usize) {
        otp_scheduler::tick(1 + (bytes / super::SEND_BYTES_PER_REDUCTION) as u32);
    }
}
