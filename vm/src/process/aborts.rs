//! Which process it was whose code aborts the program.
//!
//! Rust aborts when a stack overflows, when there is no memory, and when a panic may not unwind; it says so, with the
//! thread's name, which is a scheduler's. The line after it is ours. It is made on the stack, since nothing else can be
//! relied on any more.

use std::cell::Cell;
use std::fmt::{self, Write};
use std::mem;

use super::panics::CURRENT;

/// Bytes of the line; what is longer is cut. Little, since the stack for signals is small.
const LINE_BYTES: usize = 256;

struct Line {
    text: [u8; LINE_BYTES],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Room for the end of the line.
        let room = LINE_BYTES - 1 - self.len;
        let part = &text.as_bytes()[..text.len().min(room)];
        self.text[self.len..self.len + part.len()].copy_from_slice(part);
        self.len += part.len();
        Ok(())
    }
}

/// Installed with the panic hook, once for the program.
pub(super) fn install() {
    // SAFETY: `name_process` allocates nothing, tries for a lock and waits for none, and does not unwind.
    unsafe { otp_scheduler::before_abort(name_process) }
}

fn name_process() {
    let Some((pid, process)) = CURRENT.try_with(Cell::get).ok().flatten() else {
        return;
    };
    let mut line = Line {
        text: [0; LINE_BYTES],
        len: 0,
    };
    // Nothing here fails: what finds no room is cut.
    let _ = write!(line, "otp-vm: the program aborts in process {pid}");
    // SAFETY: `run` set it for the time of its slice on this thread, and slots outlive slices.
    if let Some(state) = unsafe { process.as_ref() }.state.try_lock() {
        if let Some(called) = state.name().or(state.label.get()) {
            let _ = write!(line, " ({})", called.as_str());
        }
        if let Some(initial_call) = state.initial_call {
            let _ = write!(line, ": {}", initial_call());
        }
        // Nobody needs the lock any more, and to give it back may wake somebody, or wait at a gate.
        mem::forget(state);
    }
    line.text[line.len] = b'\n';
    otp_scheduler::write_last_word(&line.text[..=line.len]);
}
