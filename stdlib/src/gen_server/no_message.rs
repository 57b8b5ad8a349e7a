//! The type of messages that a server does not have.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error};
use serde::{Serialize, Serializer};

/// No message at all: no value of it exists, and nothing decodes into it.
///
/// The idiom for a server without casts, infos or continuations: `type Cast = NoMessage;`. What
/// comes all the same goes to [`handle_unknown`](crate::gen_server::GenServer::handle_unknown).
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoMessage {}

impl fmt::Debug for NoMessage {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl Serialize for NoMessage {
    fn serialize<S: Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        match *self {}
    }
}

impl<'de> Deserialize<'de> for NoMessage {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        Err(D::Error::custom("the server takes no message of this kind"))
    }
}
