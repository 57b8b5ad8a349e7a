//! What the attribute's code refers to. No part of the interface.

use std::fmt;

use otp_vm::{DecodeError, Term, atoms};

pub use otp_vm::{CallError, Context, Run, SendError, from_term, with_term};
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
