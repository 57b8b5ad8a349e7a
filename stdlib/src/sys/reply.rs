//! A reply of a process that somebody looks at: it is sent, and shown.

use otp_vm::{Context, NATIVE_SHOWN, Native, OwnedTerm, ReplyTo, SendError, Term, View, from_term};
use serde::{Serialize, Serializer};

/// Sends a reply; gives what can be shown of it. Native resources in it are moved, and so can't be.
pub(crate) fn reply_and_show(
    cx: &Context,
    to: &ReplyTo,
    reply: OwnedTerm,
) -> (Result<(), SendError>, OwnedTerm) {
    match reply.has_natives() {
        false => (cx.reply(to, &reply), reply),
        true => (
            cx.reply(to, &Moved(reply.root())),
            super::text(NATIVE_SHOWN),
        ),
    }
}

/// A term whose native resources move on.
struct Moved<'a>(Term<'a>);

impl Serialize for Moved<'_> {
    fn serialize<Z: Serializer>(&self, serializer: Z) -> Result<Z::Ok, Z::Error> {
        use serde::ser::{SerializeMap, SerializeTuple};

        let Self(term) = *self;
        match term.view() {
            View::Native => match from_term::<Native>(term) {
                Ok(native) => native.serialize(serializer),
                Err(error) => Err(serde::ser::Error::custom(error)),
            },
            View::Tuple(tuple) => {
                let mut elements = serializer.serialize_tuple(tuple.len())?;
                let mut each = tuple.iter();
                each.try_for_each(|element| elements.serialize_element(&Moved(element)))?;
                elements.end()
            }
            View::Cons(_) => serializer.collect_seq(term.list_iter().map(Moved)),
            View::Map(map) => {
                let mut pairs = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    pairs.serialize_entry(&Moved(key), &Moved(value))?;
                }
                pairs.end()
            }
            _ => term.serialize(serializer),
        }
    }
}
