//! What the attribute's code refers to. No part of the interface.

use std::fmt::{self, Write};

use otp_vm::{DecodeError, Term, atoms};

pub use otp_vm::{CallError, Context, OwnedTerm, Run, SendError, from_term, with_term};
pub use serde;

pub use crate::gen_server::HostRef;

/// Whether a message is the server's timeout.
pub fn is_timeout(term: Term<'_>) -> bool {
    term.as_atom() == Some(atoms::TIMEOUT)
}

/// Why no handler takes a message.
#[derive(Debug, Default)]
pub struct Errors(Vec<DecodeError>);

impl Errors {
    /// One handler more that does not.
    pub fn add(&mut self, error: DecodeError) {
        self.0.push(error);
    }
}

impl fmt::Display for Errors {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0[..] {
            [] => formatter.write_str("the server takes nothing but its timeout"),
            [error] => error.fmt(formatter),
            [first, others @ ..] => {
                write!(formatter, "no handler takes it: {first}")?;
                others
                    .iter()
                    .try_for_each(|error| write!(formatter, "; {error}"))
            }
        }
    }
}

/// A value that messages are made of.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no part of a message: it does not serialise, or does not deserialise",
    label = "this goes from one process to another as a term",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it; what can't be a term is a `otp_vm::Native`"
)]
pub trait Message: serde::Serialize + serde::de::DeserializeOwned + Send + 'static {}

impl<T: serde::Serialize + serde::de::DeserializeOwned + Send + 'static> Message for T {}

/// Compiles if it is one.
pub fn is_message<T: Message>() {}

/// Longest text of a state that is shown by its `Debug`, in bytes; the rest is cut off. Chosen by feel: a few screens.
pub const DEBUG_LIMIT_BYTES: usize = 16 << 10;

/// A state to be shown. The method `show` of `&&&Shown(…)` is that of the first of the three traits whose bounds the
/// state's type has.
#[derive(Debug)]
pub struct Shown<'a, T>(pub &'a T);

/// Shows a state that can be a term.
pub trait ShowByTerm {
    /// The state.
    fn show(&self) -> OwnedTerm;
}

impl<T: serde::Serialize> ShowByTerm for &&Shown<'_, T> {
    fn show(&self) -> OwnedTerm {
        crate::sys::term(self.0)
    }
}

/// Shows a state as a text.
pub trait ShowByDebug {
    /// The state.
    fn show(&self) -> OwnedTerm;
}

impl<T: fmt::Debug> ShowByDebug for &Shown<'_, T> {
    fn show(&self) -> OwnedTerm {
        let mut text = Limited(String::new());
        // That there is no more room is no error.
        let _ = write!(text, "{:?}", self.0);
        crate::sys::text(&text.0)
    }
}

/// Shows the name of a state's type.
pub trait ShowByName {
    /// The name.
    fn show(&self) -> OwnedTerm;
}

impl<T> ShowByName for Shown<'_, T> {
    fn show(&self) -> OwnedTerm {
        crate::sys::text(std::any::type_name::<T>())
    }
}

/// A text that ends at the limit.
struct Limited(String);

impl Write for Limited {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = DEBUG_LIMIT_BYTES - self.0.len();
        if text.len() <= room {
            self.0.push_str(text);
            return Ok(());
        }
        self.0.push_str(&text[..text.floor_char_boundary(room)]);
        Err(fmt::Error)
    }
}

#[cfg(test)]
#[expect(
    clippy::needless_borrow,
    reason = "as the attribute writes it, for any type"
)]
mod tests {
    use super::*;

    #[derive(serde::Serialize, Debug)]
    struct Both {
        n: u8,
    }

    #[derive(Debug)]
    struct Text(#[expect(dead_code, reason = "it is shown")] String);

    struct Neither;

    #[test]
    fn a_state_is_shown_as_well_as_it_can_be() {
        assert_eq!((&&&Shown(&Both { n: 7 })).show().to_string(), "#{n => 7}");
        let shown = (&&&Shown(&Text("a".into()))).show();
        assert_eq!(shown.root().as_str(), Some("Text(\"a\")"));
        let shown = (&&&Shown(&Neither)).show();
        assert!(
            shown
                .root()
                .as_str()
                .is_some_and(|name| name.ends_with("Neither"))
        );
    }

    #[test]
    fn a_long_text_is_cut() {
        let shown = (&&&Shown(&Text("ä".repeat(DEBUG_LIMIT_BYTES)))).show();
        let len = shown.root().as_str().expect("a text").len();
        assert!(
            (DEBUG_LIMIT_BYTES - 1..=DEBUG_LIMIT_BYTES).contains(&len),
            "{len}"
        );
    }
}
