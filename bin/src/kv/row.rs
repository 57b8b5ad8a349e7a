//! Reads that one row answers. The store uses them in batches, a connection by itself past the store.
//!
//! A command changes `kv_data` at one instant: by one row, or by many under all the locks that they need. So a row
//! that is read past the store is of the state before or after a command, and who reads two of them in turn never sees
//! a later state first. Reads that need rows of two tables don't have this property and go through the store.

use super::clock::now_ms;
use super::command::Name;
use super::entry::{Entry, Kind, Value};
use super::resp::{Refusal, Reply};

/// Answers `name` for the key's row, `None` if there is no such key.
///
/// # Errors
///
/// [`Refusal::WrongType`].
///
/// # Panics
///
/// If the command is not one that a row answers.
pub fn answer(name: Name, entry: Option<Entry<'_>>, reply: &mut Reply) -> Result<(), Refusal> {
    match name {
        Name::Get => match string(entry)? {
            Some(bytes) => reply.bulk(bytes),
            None => reply.null(),
        },
        Name::Strlen => reply.count(string(entry)?.unwrap_or_default().len()),
        Name::Exists => reply.flag(entry.is_some()),
        Name::Type => reply.simple(entry.map_or("none", |entry| entry.value.kind().name())),
        Name::Ttl => {
            reply.integer(time_to_live(entry).map_or_else(|code| code, |left| (left + 500) / 1000))
        }
        Name::Pttl => reply.integer(time_to_live(entry).unwrap_or_else(|code| code)),
        Name::Llen => reply.integer(length(entry, Kind::List)?),
        Name::Scard => reply.integer(length(entry, Kind::Set)?),
        Name::Hlen => reply.integer(length(entry, Kind::Hash)?),
        other => unreachable!("{other:?} is not answered by a row"),
    }
    Ok(())
}

/// The bytes of a string.
///
/// # Errors
///
/// [`Refusal::WrongType`].
pub fn string(entry: Option<Entry<'_>>) -> Result<Option<&[u8]>, Refusal> {
    match entry.map(|entry| entry.value) {
        None => Ok(None),
        Some(Value::String(bytes)) => Ok(Some(bytes)),
        Some(Value::Container(_)) => Err(Refusal::WrongType),
    }
}

/// Milliseconds that are left, or the code for no key (-2) or no end (-1).
fn time_to_live(entry: Option<Entry<'_>>) -> Result<i64, i64> {
    match entry {
        None => Err(-2),
        Some(Entry { expires_at: 0, .. }) => Err(-1),
        Some(Entry { expires_at, .. }) => Ok((expires_at - now_ms()).max(0)),
    }
}

fn length(entry: Option<Entry<'_>>, kind: Kind) -> Result<i64, Refusal> {
    match entry.map(|entry| entry.value) {
        None => Ok(0),
        Some(Value::Container(container)) if container.kind == kind => Ok(container.length),
        Some(_) => Err(Refusal::WrongType),
    }
}
