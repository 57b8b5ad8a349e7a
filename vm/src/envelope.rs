//! What lies in front of a message's words: the node of the mailbox's queue.

use std::ptr;

use otp_heap::{Atom, Block, EncodeError, Pid, Ref, atoms, to_block};
use serde::Serialize;

use crate::exit_reason::ExitReason;

/// A message or signal: one block, which is itself the node in the receiver's queue.
pub(crate) type Parcel = Block<Envelope>;

/// The header of every message and signal.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Envelope {
    /// The next node; owned by whichever queue the parcel is in.
    pub(crate) next: *mut Envelope,
    /// Who sent it ([`HOST`] for the host program).
    pub(crate) from: Pid,
    /// The monitor, alias or request that it belongs to; 0 where there is none.
    pub(crate) reference: Ref,
    pub(crate) kind: Kind,
    /// The serial of whom it was sent to, while it is in a mailbox: `process/strays.rs`.
    pub(crate) to: u32,
}

// Each message has one.
const _: () = assert!(size_of::<Envelope>() == 32);

// SAFETY: `next` is only followed by the queue that owns the node, and a queue is owned by one
// thread at a time or published by an atomic exchange.
unsafe impl Send for Envelope {}
// SAFETY: a shared envelope is only read; `next` is written through queues that own the node.
unsafe impl Sync for Envelope {}

/// Stands for the host program where OTP would name a process: the sender of its messages and
/// exit signals, the parent of what it spawned. No process has this pid.
pub const HOST: Pid = Pid::from_parts(0, 0);

/// What a parcel means to its receiver. All kinds go through the one queue, so that signals
/// between two processes keep their order. The last octal digit is the kind's [`Care`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    /// A message for the body.
    Message = 0,
    /// A message that carries a monitor of its receiver: what a call sends. The monitor ends
    /// with the reply.
    Call = 0o11,
    /// As a message, of the VM's own (tables handed over, answers to what was asked for): a mailbox's limit neither
    /// refuses nor drops it.
    News = 0o10,
    /// The reply to a call or request, through its alias: dropped when the alias is gone.
    Reply = 0o21,
    /// In place of a reply: the request was dropped from a full mailbox; root is the limit.
    Refused = 0o41,
    /// A message through an alias: dropped when the alias is gone.
    Alias = 0o31,
    Link = 0o12,
    /// Has a number, which comes back: `process/links.rs`.
    Unlink = 0o22,
    Monitor = 0o32,
    Demonitor = 0o42,
    /// An unlink signal was seen; has its number.
    UnlinkAck = 0o62,
    /// A monitored process ended; root is `{'DOWN', Ref, process, Pid, Reason}`.
    Down = 0o52,
    /// `exit(Pid, Reason)`; root is `{'EXIT', From, Reason}`.
    Exit = 0o16,
    /// A linked process ended; root is `{'EXIT', From, Reason}`.
    LinkExit = 0o26,
    /// A question for `is_alive`, answered in its turn among the sender's signals.
    AliveRequest = 0o36,
    /// A stray may lie before it: `process/strays.rs`. Is one itself.
    Nudge = 0o46,
    /// The body is to rest until the sender resumes it, or ends; answered when it does.
    Suspend = 0o202,
    Resume = 0o212,
    /// The answer: the sender's body rests.
    Suspended = 0o242,
    /// Root is the new group leader.
    GroupLeader = 0o222,
    /// The heap is to be collected; answered when it was.
    Collect = 0o232,
}

/// What a parcel asks of its receiver, as bits: those of a whole mailbox are of all parcels in it. With none of them
/// set it goes into the inbox as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Care(usize);

impl Care {
    /// It is filed when the process next looks for messages or replies.
    const FILED: usize = 1;
    /// A signal: it acts at once, in the process's next slice at the latest.
    const SIGNAL: usize = 2;
    /// It does not wait for native code to give way either.
    const URGENT: usize = 4;
    /// All bits.
    const ALL: usize = Self::FILED | Self::SIGNAL | Self::URGENT;
    /// Some of what was taken out of a mailbox was not for its owner; in no pointer.
    const STRAYS: usize = Self::ALL + 1;

    pub(crate) const fn is_plain(self) -> bool {
        self.0 == 0
    }

    pub(crate) const fn has_signal(self) -> bool {
        self.0 & Self::SIGNAL != 0
    }

    /// Signals that a process's deputy takes in, if the process itself is in native code: those that may end it, the
    /// question whether it lives, and what has strays seen to.
    pub(crate) const fn is_urgent(self) -> bool {
        self.0 & Self::URGENT != 0
    }

    pub(crate) const fn has_strays(self) -> bool {
        self.0 & Self::STRAYS != 0
    }

    /// The same, and whether there are strays.
    pub(crate) const fn and_strays(self, are_there: bool) -> Self {
        Self(self.0 | (are_there as usize * Self::STRAYS))
    }

    /// As it is kept in the lowest bits of a pointer to an envelope.
    pub(crate) fn of_pointer(pointer: *mut Envelope) -> Self {
        Self(pointer.addr() & Self::ALL)
    }

    pub(crate) fn strip(pointer: *mut Envelope) -> *mut Envelope {
        pointer.map_addr(|address| address & !Self::ALL)
    }

    /// Both together.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Into a pointer without it.
    pub(crate) fn mark(self, pointer: *mut Envelope) -> *mut Envelope {
        pointer.map_addr(|address| address | self.0)
    }
}

const _: () = assert!(align_of::<Envelope>() > Care::ALL);

impl Kind {
    /// What a mailbox's limit is about: what the program sends, but for replies.
    pub(crate) const fn is_limited(self) -> bool {
        matches!(self, Self::Message | Self::Call | Self::Alias)
    }

    #[inline]
    pub(crate) const fn care(self) -> Care {
        Care(self as usize & Care::ALL)
    }
}

impl Envelope {
    pub(crate) const fn new(kind: Kind, from: Pid, reference: Ref) -> Self {
        Self {
            next: ptr::null_mut(),
            from,
            reference,
            kind,
            to: 0,
        }
    }
}

/// No reference.
pub(crate) const NO_REF: Ref = Ref::from_u64(0);

/// A message of the program's.
pub(crate) fn message<M: Serialize + ?Sized>(
    from: Pid,
    message: &M,
) -> Result<Parcel, EncodeError> {
    to_block(Envelope::new(Kind::Message, from, NO_REF), message)
}

/// A signal without content.
pub(crate) fn signal(kind: Kind, from: Pid, reference: Ref) -> Parcel {
    Block::of_atom(Envelope::new(kind, from, reference), atoms::NIL)
}

/// The news for who asked `from` that its request was dropped.
pub(crate) fn refused(from: Pid, reference: Ref, limit: usize) -> Parcel {
    to_block(Envelope::new(Kind::Refused, from, reference), &limit).expect("a number is a term")
}

/// An exit signal, in the form that a trapping receiver gets it: `{'EXIT', From, Reason}`. A
/// reason that can't travel (nested to the limit, or with a native resource) is `badarg` to others.
#[inline]
pub(crate) fn exit(kind: Kind, from: Pid, reason: &ExitReason) -> Parcel {
    match reason.as_bare_atom() {
        Some(atom) => exit_with_atom(kind, from, atom),
        None => exit_with_term(kind, from, reason),
    }
}

fn exit_with_atom(kind: Kind, from: Pid, reason: Atom) -> Parcel {
    let elements = [atoms::EXIT.into(), from.into(), reason.into()];
    Block::of_tuple(Envelope::new(kind, from, NO_REF), elements)
}

#[cold]
fn exit_with_term(kind: Kind, from: Pid, reason: &ExitReason) -> Parcel {
    let envelope = Envelope::new(kind, from, NO_REF);
    to_block(envelope, &(atoms::EXIT, from, reason))
        .unwrap_or_else(|_| exit_with_atom(kind, from, atoms::BADARG))
}

/// The news that `pid` ended: `{'DOWN', Ref, process, Pid, Reason}`. Of a reason that can't
/// travel, as for [`exit`].
#[inline]
pub(crate) fn down(pid: Pid, reference: Ref, reason: &ExitReason) -> Parcel {
    match reason.as_bare_atom() {
        Some(atom) => down_with_atom(pid, reference, atom),
        None => down_with_term(pid, reference, reason),
    }
}

fn down_with_atom(pid: Pid, reference: Ref, reason: Atom) -> Parcel {
    let elements = [
        atoms::DOWN.into(),
        reference.into(),
        atoms::PROCESS.into(),
        pid.into(),
        reason.into(),
    ];
    Block::of_tuple(Envelope::new(Kind::Down, pid, reference), elements)
}

#[cold]
fn down_with_term(pid: Pid, reference: Ref, reason: &ExitReason) -> Parcel {
    let envelope = Envelope::new(Kind::Down, pid, reference);
    to_block(
        envelope,
        &(atoms::DOWN, reference, atoms::PROCESS, pid, reason),
    )
    .unwrap_or_else(|_| down_with_atom(pid, reference, atoms::BADARG))
}

/// The reason inside an exit or down parcel: its last element.
pub(crate) fn reason_of(parcel: &Parcel) -> ExitReason {
    let tuple = parcel.root().as_tuple();
    tuple
        .and_then(|tuple| tuple.get(tuple.len().checked_sub(1)?))
        .map_or_else(ExitReason::noproc, ExitReason::copy_of)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Reasons that are one atom go a way of their own.
    #[test]
    fn what_is_told_of_an_end_is_the_same_term_for_each_kind_of_reason() {
        let (pid, reference) = (Pid::from_parts(7, 3), Ref::from_u64(9));
        for reason in [ExitReason::normal(), ExitReason::new(&("bad_file", 7))] {
            let told = down(pid, reference, &reason);
            let term = (atoms::DOWN, reference, atoms::PROCESS, pid, &reason);
            assert_eq!(told.root(), otp_heap::to_term(&term).unwrap().root());
            assert_eq!(told.header().kind, Kind::Down);
            assert_eq!(reason_of(&told), reason);

            let told = exit(Kind::LinkExit, pid, &reason);
            let term = (atoms::EXIT, pid, &reason);
            assert_eq!(told.root(), otp_heap::to_term(&term).unwrap().root());
            assert_eq!(
                (told.header().kind, told.header().from),
                (Kind::LinkExit, pid)
            );
            assert_eq!(reason_of(&told), reason);
        }
        assert!(down(pid, reference, &ExitReason::normal()).is_self_contained());
    }

    /// 100,000 are on their way when a process with as many links ends.
    #[test]
    fn signals_have_no_spare_room() {
        assert!(signal(Kind::Link, HOST, NO_REF).bytes() <= 64);
        assert!(exit(Kind::LinkExit, HOST, &ExitReason::normal()).bytes() <= 96);
        assert!(down(HOST, NO_REF, &ExitReason::normal()).bytes() <= 112);
    }
}
