//! Who sends to a long mailbox pays for it, so that its owner gets its turns.
//!
//! Of a hundred senders and one receiver each has one slice in 101: what is sent in a hundred slices can't be received
//! in one, all messages pile up, and each is out of every cache when its turn comes. So a send costs the more
//! reductions, the more lies before it: the senders' slices get shorter until as much is received as is sent, while
//! the backlog is still small. (BEAM did so until OTP 20, by the length of the whole queue.)

use std::sync::atomic::Ordering;

use super::Process;

/// Each so many parcels that wait before it cost a send one reduction.
const PARCELS_PER_REDUCTION: u16 = 64;

/// The longest that is told apart: it makes a send cost 256 reductions. So even then a slice has some 16 sends, and
/// a mailbox that nobody empties costs its senders hardly more than their switches.
const MAX_BACKLOG: u16 = 256 * PARCELS_PER_REDUCTION;

impl Process {
    /// A parcel was put into the empty mailbox.
    #[inline]
    pub(crate) fn begin_backlog(&self) {
        // A line that is written by every sender stays where it is while they have nothing new to say.
        if self.backlog.load(Ordering::Relaxed) != 0 {
            self.backlog.store(0, Ordering::Relaxed);
        }
    }

    /// A parcel was put behind others: its sender is charged for them.
    #[inline]
    pub(crate) fn charge_backlog(&self) {
        // Counts of senders at the same time may get lost: it is a measure, not a length.
        let backlog = self.backlog.load(Ordering::Relaxed);
        if backlog < MAX_BACKLOG {
            self.backlog.store(backlog + 1, Ordering::Relaxed);
        }
        if backlog >= PARCELS_PER_REDUCTION {
            otp_scheduler::tick(u32::from(backlog / PARCELS_PER_REDUCTION));
        }
    }
}
