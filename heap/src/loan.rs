//! Values lent through the thread to our own serializer or to our own visitors.
//!
//! serde gives a serializer a value only as `&impl Serialize`, so a term, a shared binary or a
//! native resource cannot be handed over as itself. The protocol:
//!
//! 1. the lender ([`lend`]) writes what it lends into a slot of the thread, keeping what was
//!    there, and calls the other side under a name of [`crate::embed`];
//! 2. the other side takes the loan ([`take`] empties the slot) and uses it within the call;
//! 3. the lender's guard puts the former content back, whether the call returned or unwound,
//!    and reports whether the loan was taken. A loan left in the slot means that the other side
//!    was a foreign format.
//!
//! What is lent is borrowed by the lender's frame, which is still on this thread's stack while
//! the slot holds it; so whoever takes it, even a nested encoder that safe code started in
//! between, meets a live value. That is all that soundness needs. The slot has no destructor:
//! it works while a thread ends.

use std::cell::Cell;
use std::ptr::NonNull;

use crate::Binary;
use crate::native::NativeCell;
use crate::term::Term;

#[derive(Clone, Copy)]
enum Slot {
    Empty,
    Term(Term<'static>),
    Binary(NonNull<Binary>),
    Native(NonNull<NativeCell>),
    Source(Term<'static>),
}

thread_local! {
    static SLOT: Cell<Slot> = const { Cell::new(Slot::Empty) };
}

/// What a lender gives.
#[derive(Clone, Copy)]
pub(crate) enum Loan<'a> {
    /// To the serializer: embed a copy of this term.
    Term(Term<'a>),
    /// To the serializer: embed this binary.
    Binary(&'a Binary),
    /// To the serializer: move this resource into the block.
    Native(&'a NativeCell),
    /// To a visitor of ours: the term that is being deserialised.
    Source(Term<'a>),
}

struct Restore(Slot);

impl Drop for Restore {
    fn drop(&mut self) {
        SLOT.set(self.0);
    }
}

/// Runs `call` with the loan in the slot; tells as well whether the loan was taken.
#[inline]
pub(crate) fn lend<R>(loan: Loan<'_>, call: impl FnOnce() -> R) -> (R, bool) {
    let slot = match loan {
        // SAFETY: only the lifetime changes. The slot gives the term out for the length of a
        // closure, and is emptied or restored before this frame, which borrows it, ends.
        Loan::Term(term) => Slot::Term(unsafe { term.detach() }),
        Loan::Binary(binary) => Slot::Binary(NonNull::from(binary)),
        Loan::Native(native) => Slot::Native(NonNull::from(native)),
        // SAFETY: as for `Loan::Term`.
        Loan::Source(term) => Slot::Source(unsafe { term.detach() }),
    };
    let restore = Restore(SLOT.replace(slot));
    let result = call();
    let taken = matches!(SLOT.get(), Slot::Empty);
    drop(restore);
    (result, taken)
}

/// Takes a lent term and gives it to `embed`; `None` if no term is lent.
pub(crate) fn take_term<R>(embed: impl FnOnce(Term<'_>) -> R) -> Option<R> {
    let Slot::Term(term) = SLOT.get() else {
        return None;
    };
    SLOT.set(Slot::Empty);
    Some(embed(term))
}

/// Takes a lent binary and gives it to `embed`.
pub(crate) fn take_binary<R>(embed: impl FnOnce(&Binary) -> R) -> Option<R> {
    let Slot::Binary(binary) = SLOT.get() else {
        return None;
    };
    SLOT.set(Slot::Empty);
    // SAFETY: the lender's frame, below us on this stack, borrows the binary.
    Some(embed(unsafe { binary.as_ref() }))
}

/// Takes a lent resource and gives it to `embed`.
pub(crate) fn take_native<R>(embed: impl FnOnce(&NativeCell) -> R) -> Option<R> {
    let Slot::Native(native) = SLOT.get() else {
        return None;
    };
    SLOT.set(Slot::Empty);
    // SAFETY: the lender's frame, below us on this stack, borrows the cell.
    Some(embed(unsafe { native.as_ref() }))
}

/// Takes the term that a deserializer of ours lent to its visitor.
pub(crate) fn take_source<R>(read: impl FnOnce(Term<'_>) -> R) -> Option<R> {
    let Slot::Source(term) = SLOT.get() else {
        return None;
    };
    SLOT.set(Slot::Empty);
    Some(read(term))
}
