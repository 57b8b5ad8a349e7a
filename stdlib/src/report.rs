//! Reports of the behaviours: events of `tracing`, each bounded in size.
//!
//! A reason prints itself within 4 KiB; everything else that comes from outside is cut here.

use otp_vm::{Message, MessageKind};

/// Longest text of an unknown message in a report, in bytes. Chosen by feel: what a line of a log
/// may hold.
pub(crate) const UNKNOWN_TEXT_LIMIT_BYTES: usize = 1024;

/// What may be wrong with a message that did not decode: a text in the place of the variant's name.
pub(crate) fn hint(message: &Message) -> Option<&'static str> {
    let content = match message.kind() {
        MessageKind::Call { request, .. } | MessageKind::Cast(request) => request,
        _ => message.term(),
    };
    let tag = match content.as_tuple() {
        Some(tuple) => tuple.get(0)?,
        None => content,
    };
    tag.as_str()?;
    Some(
        "a text is a binary, and a variant's name an atom: send the variant itself, of a type that derives Serialize",
    )
}
