//! What whoever asks for a deed gets.

use serde::{Deserialize, Serialize};

/// `ok`, or `{error, Reason}`.
#[derive(Serialize, Deserialize)]
pub(crate) enum Done<E> {
    Ok,
    Error(E),
}

impl<E> From<Result<(), E>> for Done<E> {
    fn from(result: Result<(), E>) -> Self {
        match result {
            Ok(()) => Self::Ok,
            Err(error) => Self::Error(error),
        }
    }
}

impl<E> Done<E> {
    pub(crate) fn into_result(self) -> Result<(), E> {
        match self {
            Self::Ok => Ok(()),
            Self::Error(error) => Err(error),
        }
    }
}
