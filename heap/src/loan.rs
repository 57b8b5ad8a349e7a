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

use crate::Binary;
use crate::native::NativeCell;
use crate::term::Term;

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

thread_local! {
    static SLOT: Cell<Option<Loan<'static>>> = const { Cell::new(None) };
}

struct Restore(Option<Loan<'static>>);

impl Drop for Restore {
    fn drop(&mut self) {
        SLOT.set(self.0);
    }
}

/// Runs `call` with the loan in the slot; tells as well whether the loan was taken.
#[inline]
pub(crate) fn lend<R>(loan: Loan<'_>, call: impl FnOnce() -> R) -> (R, bool) {
    // SAFETY: only the lifetime changes. The slot gives the loan out for the length of a closure
    // (see `take`), and is emptied or restored before this frame, which borrows it, ends.
    let loan = unsafe { std::mem::transmute::<Loan<'_>, Loan<'static>>(loan) };
    let restore = Restore(SLOT.replace(Some(loan)));
    let result = call();
    let taken = SLOT.get().is_none();
    drop(restore);
    (result, taken)
}

/// Offers what is lent to `call`, which gives None to leave it; None as well if nothing is lent.
pub(crate) fn take<R>(call: impl for<'a> FnOnce(Loan<'a>) -> Option<R>) -> Option<R> {
    let loan = SLOT.take()?;
    let result = call(loan);
    if result.is_none() {
        SLOT.set(Some(loan));
    }
    result
}

/// Takes the term that a deserializer of ours lent to its visitor.
pub(crate) fn take_source<R>(read: impl FnOnce(Term<'_>) -> R) -> Option<R> {
    take(|loan| match loan {
        Loan::Source(term) => Some(read(term)),
        _ => None,
    })
}
