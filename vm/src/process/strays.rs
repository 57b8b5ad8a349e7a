//! What was sent to one process and came into the mailbox of another.
//!
//! Who looked a pid up holds nothing. Between its look-up and its push the process may end, and another begin in the
//! same slot. Such a *stray* is told from what is the other's own, and comes to the same end as if it had found the
//! mailbox closed.
//!
//! # Protocol
//! 1. A sender finds the pid's serial in the slot, writes it into its parcel, and pushes.
//! 2. Then it looks at the serial again. If that is another, the parcel may be a stray: it pushes a [`Kind::Nudge`], a
//!    signal that is as urgent as any, and a stray itself.
//! 3. Who takes parcels out of a mailbox, under the process's lock, compares each one's serial with the process's.
//!    Strays are not counted, told of or filed; those that want an answer get it: that their receiver is gone.
//! 4. An ending process clears its serial and closes its mailbox in one hold of its lock; a new one opens the mailbox
//!    and writes its serial in one hold. A slot has each serial once (`table.rs`).
//!
//! So the compared serials differ if and only if the parcel is a stray, and a message for the dead never reaches the
//! living. Who waits for an answer gets it soon, whatever the present owner does:
//!
//! - The push of a stray read a head that the new process, or who came after it, has written. The dead one's serial
//!   was cleared before that, so the second look can't find it any more: there is a nudge behind each stray.
//! - The nudge is a signal, and so the process takes in what waits in its next slice, without its body's help; its
//!   deputy does if it is in native code. If it has ended, its end has answered, or finds both.
//! - A new process may not be there for wakes when the nudge comes (`Process::occupy` resets them); but it begins with
//!   a look for signals.
//!
//! All else that is done to a process that was looked up is harmless to another (a wake, a look at a flag that decides
//! how to go on), or done under its lock, after a look at the serial that is right there while the lock is held.

use otp_heap::Pid;

use super::Process;
use super::links::{acknowledge_unlink, refuse_link};
use crate::core::Core;
use crate::envelope::{self, Envelope, HOST, Kind, NO_REF};
use crate::exit_reason::ExitReason;
use crate::mailbox::{Push, Queue};

impl Process {
    /// Step 2, for who has sent something to `to`, which is gone. Locks nothing: the caller may hold another process's
    /// lock, or this one's.
    #[cold]
    pub(crate) fn may_have_stray(&self, to: Pid) {
        let nudge = envelope::signal(Kind::Nudge, HOST, NO_REF);
        let was_idle = match self.mailbox.push(nudge, to.serial()) {
            Push::First => self.wake(),
            Push::Behind => false,
            // It has no destructors of the program's.
            Push::Closed(nudge) => return drop(nudge),
        };
        if !was_idle {
            self.call_deputy_if_bound();
        }
    }

    /// Step 3, of what was taken out: what is the process's own, and the strays, answered, to be dropped outside of the
    /// lock.
    #[cold]
    pub(super) fn without_strays(&self, mut arrived: Queue, owner: u32) -> (Queue, Queue) {
        let (mut own, mut strays) = (Queue::default(), Queue::default());
        while let Some(parcel) = arrived.pop_front() {
            if parcel.header().to == owner {
                own.push_back(parcel);
            } else {
                answer_stray(self.core(), self.index, parcel.header());
                strays.push_back(parcel);
            }
        }
        (own, strays)
    }
}

/// Answers a stray of a slot. Why its receiver ended, nobody knows any more.
pub(super) fn answer_stray(core: &Core, index: u32, stray: &Envelope) {
    let dead = Pid::from_parts(index, stray.to);
    let noproc = ExitReason::noproc();
    answer_for_the_dead(core, dead, stray, &noproc, &noproc);
}

/// Answers what was sent to a process that has ended: monitors with one reason, calls with the other.
pub(super) fn answer_for_the_dead(
    core: &Core,
    dead: Pid,
    sent: &Envelope,
    why_monitored: &ExitReason,
    why_called: &ExitReason,
) {
    let (from, reference) = (sent.from, sent.reference);
    let down = |reason| core.signal(from, envelope::down(dead, reference, reason));
    match sent.kind {
        Kind::Link => refuse_link(core, dead, from),
        Kind::Unlink => acknowledge_unlink(core, dead, from, reference),
        Kind::Monitor => down(why_monitored),
        Kind::Call | Kind::AliveRequest => down(why_called),
        Kind::Suspend | Kind::Collect => down(&ExitReason::noproc()),
        _ => {}
    }
}

#[cfg(all(test, not(loom)))]
mod tests;

/// Every interleaving, under `RUSTFLAGS="--cfg loom" cargo test --release --lib loom`.
#[cfg(all(test, loom))]
mod loom_tests {
    use loom::sync::Arc;
    use loom::sync::atomic::{AtomicU32, Ordering};
    use loom::thread;

    use super::*;
    use crate::envelope::{Parcel, message};
    use crate::mailbox::Mailbox;

    const DEAD: u32 = 1;
    const NEXT: u32 = 2;

    /// A slot, with what senders and owners do of the protocol.
    struct Model {
        serial: AtomicU32,
        mailbox: Mailbox,
    }

    impl Model {
        /// Steps 1 and 2. Whether the parcel went anywhere; and what came back, to be kept: no address comes twice in a
        /// run, which would go on in another way by what the allocator does.
        fn send(&self, to: u32) -> (bool, Option<Push>) {
            if self.serial.load(Ordering::Acquire) != to {
                return (false, None);
            }
            let pushed = self.mailbox.push(message(HOST, &to).unwrap(), to);
            if matches!(pushed, Push::Closed(_)) {
                return (false, Some(pushed));
            }
            if self.serial.load(Ordering::Acquire) == to {
                return (true, None);
            }
            let nudge = envelope::signal(Kind::Nudge, HOST, NO_REF);
            (true, Some(self.mailbox.push(nudge, to)))
        }
    }

    /// Messages for the dead one and for the next, and whether a nudge is there.
    fn sorted(mut queue: Queue, kept: &mut Vec<Parcel>) -> (usize, usize, bool) {
        let (mut dead, mut next, mut nudged) = (0, 0, false);
        while let Some(parcel) = queue.pop_front() {
            let envelope = parcel.header();
            match envelope.kind {
                Kind::Nudge => nudged = true,
                _ => {
                    assert_eq!(parcel.root().as_i64(), Some(envelope.to.into()));
                    match envelope.to {
                        DEAD => dead += 1,
                        _ => next += 1,
                    }
                }
            }
            kept.push(parcel);
        }
        (dead, next, nudged)
    }

    #[test]
    fn loom_a_stray_is_known_and_a_nudge_comes_behind_it() {
        loom::model(|| {
            let model = Arc::new(Model {
                serial: AtomicU32::new(DEAD),
                mailbox: Mailbox::closed(),
            });
            model.mailbox.open();
            let late = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.send(DEAD))
            };
            // Step 4, twice.
            model.serial.store(0, Ordering::Release);
            let mut kept = Vec::new();
            let (before, _, _) = sorted(model.mailbox.close(), &mut kept);
            model.mailbox.open();
            model.serial.store(NEXT, Ordering::Release);
            // What is there early, and all that comes.
            let (first, care) = model.mailbox.take(NEXT);
            let first = sorted(first, &mut kept);
            assert_eq!(care.has_strays(), first.0 > 0 || first.2);
            let own = model.send(NEXT);
            let late = late.join().unwrap();
            let (second, care) = model.mailbox.take(NEXT);
            let second = sorted(second, &mut kept);
            assert_eq!(care.has_strays(), second.0 > 0 || second.2);
            assert_eq!(care.has_signal(), second.2);

            let strays = first.0 + second.0;
            assert_eq!(before + strays, usize::from(late.0));
            assert!(own.0 && first.1 == 0 && second.1 == 1);
            assert!(strays == 0 || first.2 || second.2, "nobody looks after it");
        });
    }

    /// Who comes next ends before it has looked, and a third looks once all have come.
    #[test]
    fn loom_an_end_finds_strays_or_leaves_a_nudge_behind_them() {
        loom::model(|| {
            let model = Arc::new(Model {
                serial: AtomicU32::new(DEAD),
                mailbox: Mailbox::closed(),
            });
            model.mailbox.open();
            let late = {
                let model = Arc::clone(&model);
                thread::spawn(move || model.send(DEAD))
            };
            let mut kept = Vec::new();
            let mut ends = |serial| {
                model.serial.store(0, Ordering::Release);
                let found = sorted(model.mailbox.close(), &mut kept);
                model.mailbox.open();
                model.serial.store(serial, Ordering::Release);
                found
            };
            let (own, _, _) = ends(NEXT);
            let (by_next, _, _) = ends(NEXT + 1);
            let late = late.join().unwrap();
            let (queue, care) = model.mailbox.take(NEXT + 1);
            let (by_third, _, nudged) = sorted(queue, &mut kept);
            assert_eq!(own + by_next + by_third, usize::from(late.0));
            assert!(by_third == 0 || nudged, "nobody looks after it");
            assert_eq!(care.has_strays(), by_third > 0 || nudged);
        });
    }
}
