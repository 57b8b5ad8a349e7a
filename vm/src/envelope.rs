//! What lies in front of a message's words: the node of the mailbox's queue.

use std::ptr;

use otp_heap::{Block, EncodeError, Pid, Ref, atoms, to_block};
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
}

// SAFETY: `next` is only followed by the queue that owns the node, and a queue is owned by one
// thread at a time or published by an atomic exchange.
unsafe impl Send for Envelope {}
// SAFETY: a shared envelope is only read; `next` is written through queues that own the node.
unsafe impl Sync for Envelope {}

/// Stands for the host program where OTP would name a process: the sender of its messages and
/// exit signals, the parent of what it spawned. No process has this pid.
pub const HOST: Pid = Pid::from_parts(0, 0);

/// What a parcel means to its receiver. All kinds go through the one queue, so that signals
/// between two processes keep their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A message for the body.
    Message,
    /// A message that carries a monitor of its receiver: what a call sends. The monitor ends
    /// with the reply.
    Call,
    /// The reply to a call or request, through its alias: dropped when the alias is gone.
    Reply,
    /// `exit(Pid, Reason)`; root is `{'EXIT', From, Reason}`.
    Exit,
    /// A linked process ended; root is `{'EXIT', From, Reason}`.
    LinkExit,
    Link,
    Unlink,
    Monitor,
    Demonitor,
    /// A monitored process ended; root is `{'DOWN', Ref, process, Pid, Reason}`.
    Down,
    /// A question for `is_alive`, answered in its turn among the sender's signals.
    AliveRequest,
}

impl Kind {
    /// Signals that a process's deputy takes in, if the process itself is in native code: those that may end it, and the
    /// question whether it lives.
    pub(crate) const fn is_urgent(self) -> bool {
        matches!(self, Self::Exit | Self::LinkExit | Self::AliveRequest)
    }
}

impl Envelope {
    pub(crate) const fn new(kind: Kind, from: Pid, reference: Ref) -> Self {
        Self {
            next: ptr::null_mut(),
            from,
            reference,
            kind,
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

/// An exit signal, in the form that a trapping receiver gets it: `{'EXIT', From, Reason}`. A
/// reason that can't travel (nested to the limit, or with a native resource) is `badarg` to others.
pub(crate) fn exit(kind: Kind, from: Pid, reason: &ExitReason) -> Parcel {
    to_block(
        Envelope::new(kind, from, NO_REF),
        &(atoms::EXIT, from, reason),
    )
    .unwrap_or_else(|_| exit(kind, from, &ExitReason::from(atoms::BADARG)))
}

/// The news that `pid` ended: `{'DOWN', Ref, process, Pid, Reason}`. Of a reason that can't
/// travel, as for [`exit`].
pub(crate) fn down(pid: Pid, reference: Ref, reason: &ExitReason) -> Parcel {
    let envelope = || Envelope::new(Kind::Down, pid, reference);
    to_block(
        envelope(),
        &(atoms::DOWN, reference, atoms::PROCESS, pid, reason),
    )
    .unwrap_or_else(|_| down(pid, reference, &ExitReason::from(atoms::BADARG)))
}

/// The reason inside an exit or down parcel: its last element.
pub(crate) fn reason_of(parcel: &Parcel) -> ExitReason {
    let tuple = parcel.root().as_tuple();
    tuple
        .and_then(|tuple| tuple.iter().last())
        .map_or_else(ExitReason::noproc, ExitReason::copy_of)
}
