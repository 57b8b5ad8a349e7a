//! The seat of a thread that runs tasks: a slot (`slot.rs`) of its own, for as long as it lives.
//!
//! There are so many slots in a program, since the gate's handler finds each by its number (`gate.rs`). So whoever
//! wants a thread reserves a slot first, and hears of the limit before there is anything that could not be made to
//! wait.
//!
//! Slots are never freed: a signal handler or a monitor may come late. Threads that end leave theirs to the next ones.

use std::io;
use std::marker::PhantomData;
use std::sync::Arc;

use crate::accounting;
use crate::core::Core;
use crate::gate::{self, MAX_GATES};
use crate::lock::Mutex;
use crate::slot::{self, Slot};

/// Slots that nobody has.
static FREE: Mutex<Vec<&'static Slot>> = Mutex::new(Vec::new());

/// No slot is left.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error(
    "all {MAX_GATES} gates of the program are in use, one for each thread that runs tasks, of all its schedulers together: \
     end native tasks or schedulers, or build them with `max_native` lower"
)]
pub(crate) struct NoGate;

impl From<NoGate> for io::Error {
    fn from(error: NoGate) -> io::Error {
        io::Error::new(io::ErrorKind::QuotaExceeded, error)
    }
}

/// A slot for a thread to come. Dropped, it is free again.
#[derive(Debug)]
pub(crate) struct Reserved(&'static Slot);

impl Reserved {
    pub(crate) fn take() -> Result<Reserved, NoGate> {
        let free = FREE.lock().pop();
        free.or_else(|| gate::enrol(Slot::new))
            .map(Reserved)
            .ok_or(NoGate)
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        FREE.lock().push(self.0);
    }
}

/// Gives the calling thread a slot for as long as this lives.
pub(crate) struct Seat<'a> {
    reserved: Reserved,
    core: PhantomData<&'a Arc<Core>>,
}

impl<'a> Seat<'a> {
    pub(crate) fn take(reserved: Reserved, core: &'a Arc<Core>) -> Seat<'a> {
        let slot = reserved.0;
        slot.sit_down(core);
        slot::set_current(Some(slot));
        accounting::look_for_it();
        Seat {
            reserved,
            core: PhantomData,
        }
    }

    pub(crate) fn slot(&self) -> &'static Slot {
        self.reserved.0
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        slot::set_current(None);
        self.slot().stand_up();
    }
}
