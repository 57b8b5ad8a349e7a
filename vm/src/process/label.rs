//! What a process is called in reports.

use otp_heap::{Atom, atoms};

/// A label, or none: that is `undefined`, as OTP shows it. So it takes 4 bytes in each process, where an option takes 8.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Label(Atom);

impl Label {
    pub(crate) fn get(self) -> Option<Atom> {
        Some(self.0).filter(|&label| label != atoms::UNDEFINED)
    }
}

impl From<Option<Atom>> for Label {
    fn from(label: Option<Atom>) -> Self {
        Self(label.unwrap_or(atoms::UNDEFINED))
    }
}

impl Default for Label {
    fn default() -> Self {
        None.into()
    }
}
