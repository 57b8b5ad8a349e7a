//! The lock-free front of a process's mailbox, and the queue that owns parcels behind it.
//!
//! # Protocol
//! 1. A sender links its parcel in front of the present head by a compare-and-swap. When the
//!    head was empty, it wakes the receiver; otherwise whoever made it non-empty does so. The lowest
//!    bits of the head say what the parcels ask for, all together ([`Care`]): the first signal wakes
//!    the receiver, too, since it may let messages lie until it looks for some.
//! 2. The receiver takes the whole chain by one exchange and turns it around: first in, first out.
//! 3. A dying receiver exchanges [`CLOSED`] for the chain. What it got, it answers; a sender that
//!    comes later sees `CLOSED` and keeps its parcel. Nothing falls between the two.
//! 4. Slots are used again, and so a sender that comes later still may find the mailbox of another process. Each parcel
//!    says whom it is for; one that isn't for the receiver is a stray: `process/strays.rs`.
//!
//! A queue of Vyukov's kind would push by one exchange without a retry, but can't be closed in
//! one step, and leaves a moment in which a pushed node isn't reachable yet.

use std::mem::ManuallyDrop;
use std::ptr::{self, NonNull};

use crate::envelope::{Care, Envelope, Parcel};
use crate::sync::{AtomicPtr, Ordering};

/// Stands in the head of a mailbox whose process is gone.
const CLOSED: *mut Envelope = ptr::without_provenance_mut(align_of::<Envelope>());

/// The lock-free part: many senders, one receiver.
#[derive(Debug)]
pub(crate) struct Mailbox {
    head: AtomicPtr<Envelope>,
}

/// What became of a push.
#[derive(Debug)]
pub(crate) enum Push {
    /// The mailbox was empty, or this is its first signal: its owner must be woken.
    First,
    /// Somebody before has woken the owner, or is about to.
    Behind,
    /// The owner is gone; the parcel comes back.
    Closed(Parcel),
}

impl Mailbox {
    /// A mailbox that isn't open yet.
    pub(crate) fn closed() -> Self {
        Self {
            head: AtomicPtr::new(CLOSED),
        }
    }

    /// Opens a closed mailbox for a new owner.
    pub(crate) fn open(&self) {
        debug_assert_eq!(self.head.load(Ordering::Relaxed), CLOSED);
        self.head.store(ptr::null_mut(), Ordering::Release);
    }

    /// Adds a parcel for the process with the serial `to`.
    pub(crate) fn push(&self, mut parcel: Parcel, to: u32) -> Push {
        parcel.header_mut().to = to;
        let care = parcel.header().kind.care();
        let node = into_node(parcel);
        let mut head = self.head.load(Ordering::Relaxed);
        loop {
            if head == CLOSED {
                // SAFETY: the node was made above and was not published.
                return Push::Closed(unsafe { from_node(node) });
            }
            // SAFETY: until the exchange below succeeds, the node is this thread's alone.
            unsafe { (*node).next = Care::strip(head) };
            let before = Care::of_pointer(head);
            let marked = care.with(before).mark(node);
            // AcqRel: the receiver must see the node's content; and the sender that finds the
            // mailbox empty must see that its receiver drained it before (it then wakes it).
            match self
                .head
                .compare_exchange_weak(head, marked, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if head.is_null() || (care.has_signal() && !before.has_signal()) => {
                    return Push::First;
                }
                Ok(_) => return Push::Behind,
                Err(now) => head = now,
            }
        }
    }

    /// Whether nothing waits. Only a hint for everybody but the owner.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.head.load(Ordering::Acquire).is_null()
    }

    /// Whether a signal waits. Only a hint for everybody but the owner.
    #[inline]
    pub(crate) fn has_signal(&self) -> bool {
        Care::of_pointer(self.head.load(Ordering::Acquire)).has_signal()
    }

    /// Takes everything, oldest first, strays included, and what it asks for; an exchange, even if nothing is there.
    /// Only the owner, who has that serial, may call it, while the mailbox is open.
    #[inline]
    pub(crate) fn take(&self, owner: u32) -> (Queue, Care) {
        let chain = self.head.swap(ptr::null_mut(), Ordering::AcqRel);
        debug_assert_ne!(chain, CLOSED);
        // SAFETY: the exchange made this thread the chain's only owner.
        let (queue, has_strays) = unsafe { Queue::from_chain(Care::strip(chain), owner) };
        (queue, Care::of_pointer(chain).and_strays(has_strays))
    }

    /// Takes what is there, if it is one parcel alone, no signal, no stray, and wanted. Only the owner may call it.
    #[inline]
    pub(crate) fn take_lone(
        &self,
        owner: u32,
        is_wanted: impl FnOnce(&Envelope) -> bool,
    ) -> Option<Parcel> {
        let head = self.head.load(Ordering::Acquire);
        let node = Care::strip(head);
        if node.is_null() || head == CLOSED || Care::of_pointer(head).has_signal() {
            return None;
        }
        // SAFETY: only the owner takes nodes out, so this one stays; it is written no more.
        let envelope = unsafe { &*node };
        if !envelope.next.is_null() || envelope.to != owner || !is_wanted(envelope) {
            return None;
        }
        let taken =
            self.head
                .compare_exchange(head, ptr::null_mut(), Ordering::AcqRel, Ordering::Relaxed);
        // SAFETY: the exchange made this thread the node's only owner.
        taken.is_ok().then(|| unsafe { from_node(node) })
    }

    /// Closes the mailbox and takes what was in it, oldest first, strays included.
    pub(crate) fn close(&self) -> Queue {
        let chain = self.head.swap(CLOSED, Ordering::AcqRel);
        if chain == CLOSED {
            return Queue::default();
        }
        // SAFETY: as in `take`.
        unsafe { Queue::from_chain(Care::strip(chain), 0) }.0
    }
}

impl Drop for Mailbox {
    fn drop(&mut self) {
        drop(self.close());
    }
}

fn into_node(parcel: Parcel) -> *mut Envelope {
    parcel.into_raw().cast::<Envelope>().as_ptr()
}

/// # Safety
/// `node` came from [`into_node`] and is owned by the caller.
unsafe fn from_node(node: *mut Envelope) -> Parcel {
    // SAFETY: never null for such a node; the envelope is the first field of the raw block.
    unsafe { Parcel::from_raw(NonNull::new_unchecked(node).cast()) }
}

/// A parcel in a queue, only to be looked at.
///
/// # Safety
/// It stays in its queue, and is written by nobody, until the last use of what this gives.
pub(crate) unsafe fn borrowed(node: *mut Envelope) -> ManuallyDrop<Parcel> {
    // SAFETY: the caller's; it is not dropped.
    ManuallyDrop::new(unsafe { from_node(node) })
}

/// A first-in-first-out queue of parcels, linked through their envelopes. Dropping it drops them.
#[derive(Debug)]
pub(crate) struct Queue {
    head: *mut Envelope,
    tail: *mut Envelope,
    len: usize,
}

// SAFETY: a queue owns its nodes, and parcels are Send.
unsafe impl Send for Queue {}

impl Default for Queue {
    fn default() -> Self {
        Self {
            head: ptr::null_mut(),
            tail: ptr::null_mut(),
            len: 0,
        }
    }
}

impl Queue {
    /// Takes a newest-first chain as an oldest-first queue, and tells whether some of it is not for `owner`.
    ///
    /// # Safety
    /// The caller owns every node of the chain.
    #[inline]
    unsafe fn from_chain(chain: *mut Envelope, owner: u32) -> (Self, bool) {
        let tail = chain;
        let mut head = ptr::null_mut();
        let mut next = chain;
        let mut len = 0;
        let mut differences = 0;
        while !next.is_null() {
            let node = next;
            // SAFETY: a node of the chain, owned by the caller.
            unsafe {
                next = (*node).next;
                (*node).next = head;
                differences |= (*node).to ^ owner;
            }
            head = node;
            len += 1;
        }
        (Self { head, tail, len }, differences != 0)
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_null()
    }

    pub(crate) fn push_back(&mut self, parcel: Parcel) {
        let node = into_node(parcel);
        // SAFETY: the node is this queue's now, and so is its tail.
        unsafe {
            (*node).next = ptr::null_mut();
            if self.tail.is_null() {
                self.head = node;
            } else {
                (*self.tail).next = node;
            }
        }
        self.tail = node;
        self.len += 1;
    }

    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Parcel> {
        let node = self.head;
        if node.is_null() {
            return None;
        }
        // SAFETY: the queue owns its nodes; this one leaves it.
        unsafe {
            self.head = (*node).next;
            if self.head.is_null() {
                self.tail = ptr::null_mut();
            }
            self.len -= 1;
            Some(from_node(node))
        }
    }

    /// Moves everything of `other` behind what is here.
    #[inline]
    pub(crate) fn append(&mut self, mut other: Queue) {
        if other.is_empty() {
            return;
        }
        if self.is_empty() {
            std::mem::swap(self, &mut other);
            return;
        }
        // SAFETY: both queues own their nodes; `other` gives its own up below.
        unsafe { (*self.tail).next = other.head };
        self.tail = other.tail;
        self.len += other.len;
        std::mem::forget(other);
    }

    /// Bytes of all of them. Linear.
    pub(crate) fn bytes(&self) -> usize {
        let (mut bytes, mut node) = (0, self.head);
        while !node.is_null() {
            // SAFETY: a node of the queue, which stays while it is borrowed.
            let parcel = unsafe { borrowed(node) };
            bytes += parcel.bytes();
            node = parcel.header().next;
        }
        bytes
    }

    /// The oldest, or null.
    #[inline]
    pub(crate) fn head(&self) -> *mut Envelope {
        self.head
    }

    /// The newest, or null.
    pub(crate) fn tail(&self) -> *mut Envelope {
        self.tail
    }

    /// Takes out the parcel behind `before`, or the oldest if that is null.
    ///
    /// # Safety
    /// `before` is in the queue or null, and there is a parcel behind it.
    pub(crate) unsafe fn remove_after(&mut self, before: *mut Envelope) -> Parcel {
        // SAFETY: the queue owns its nodes, and these two are there; the second leaves it.
        unsafe {
            let link = if before.is_null() {
                &raw mut self.head
            } else {
                &raw mut (*before).next
            };
            let node = *link;
            *link = (*node).next;
            if self.tail == node {
                self.tail = before;
            }
            self.len -= 1;
            from_node(node)
        }
    }

    /// A queue of linked nodes, oldest first.
    ///
    /// # Safety
    /// The caller owns every node from `head` on.
    pub(crate) unsafe fn of_chain(head: *mut Envelope) -> Self {
        let mut queue = Self {
            head,
            ..Self::default()
        };
        let mut next = head;
        while !next.is_null() {
            queue.tail = next;
            queue.len += 1;
            // SAFETY: a node of the chain, owned by the caller.
            next = unsafe { (*next).next };
        }
        queue
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        while self.pop_front().is_some() {}
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::envelope::{HOST, Kind, NO_REF, message, signal};

    const OWNER: u32 = 1;

    fn number(parcel: &Parcel) -> i64 {
        parcel.root().as_i64().expect("an integer")
    }

    fn drain(mut queue: Queue) -> Vec<i64> {
        std::iter::from_fn(|| queue.pop_front().map(|parcel| number(&parcel))).collect()
    }

    #[test]
    fn takes_in_the_order_of_pushes() {
        let mailbox = Mailbox::closed();
        mailbox.open();
        assert!(matches!(
            mailbox.push(message(HOST, &1).unwrap(), OWNER),
            Push::First
        ));
        assert!(matches!(
            mailbox.push(message(HOST, &2).unwrap(), OWNER),
            Push::Behind
        ));
        assert_eq!(drain(mailbox.take(OWNER).0), [1, 2]);
        assert!(matches!(
            mailbox.push(message(HOST, &3).unwrap(), OWNER),
            Push::First
        ));
        assert_eq!(drain(mailbox.close()), [3]);
    }

    #[test]
    fn a_closed_mailbox_gives_the_parcel_back() {
        let mailbox = Mailbox::closed();
        let Push::Closed(parcel) = mailbox.push(message(HOST, &7).unwrap(), OWNER) else {
            panic!("a closed mailbox took a parcel");
        };
        assert_eq!(number(&parcel), 7);
    }

    #[test]
    fn the_first_signal_wakes_also_behind_messages() {
        let mailbox = Mailbox::closed();
        mailbox.open();
        let message = || mailbox.push(message(HOST, &1).unwrap(), OWNER);
        let link = || mailbox.push(signal(Kind::Link, HOST, NO_REF), OWNER);
        assert!(matches!(message(), Push::First));
        assert!(matches!(message(), Push::Behind));
        assert!(!mailbox.has_signal());
        assert!(matches!(link(), Push::First));
        assert!(mailbox.has_signal());
        assert!(matches!(link(), Push::Behind));
        assert!(matches!(message(), Push::Behind));
        let (queue, care) = mailbox.take(OWNER);
        assert_eq!(queue.len(), 5);
        assert!(care.has_signal() && !care.is_plain());
        assert!(!mailbox.has_signal());
        assert!(matches!(message(), Push::First));
        assert!(mailbox.take(OWNER).1.is_plain());
    }

    #[test]
    fn append_and_remove_keep_order() {
        let mut queue = Queue::default();
        let mut other = Queue::default();
        for number in 0..5 {
            queue.push_back(message(HOST, &number).unwrap());
            other.push_back(message(HOST, &(number + 5)).unwrap());
        }
        queue.append(other);
        queue.append(Queue::default());
        assert_eq!(queue.len(), 10);
        // SAFETY: there are ten.
        unsafe {
            assert_eq!(number(&queue.remove_after(ptr::null_mut())), 0);
            let (mut before, mut behind) = (queue.head, (*queue.head).next);
            while behind != queue.tail {
                (before, behind) = (behind, (*behind).next);
            }
            assert_eq!(number(&queue.remove_after(before)), 9);
        }
        queue.push_back(message(HOST, &11).unwrap());
        assert_eq!(drain(queue), [1, 2, 3, 4, 5, 6, 7, 8, 11]);
    }

    #[test]
    fn concurrent_senders_keep_their_own_order() {
        const SENDERS: i64 = 4;
        const EACH: i64 = 5_000;
        let mailbox = Mailbox::closed();
        mailbox.open();
        let mut got = Vec::new();
        std::thread::scope(|scope| {
            for sender in 0..SENDERS {
                let mailbox = &mailbox;
                scope.spawn(move || {
                    for number in 0..EACH {
                        mailbox.push(message(HOST, &(sender * EACH + number)).unwrap(), OWNER);
                    }
                });
            }
            while got.len() < (SENDERS * EACH) as usize {
                got.extend(drain(mailbox.take(OWNER).0));
            }
        });
        for sender in 0..SENDERS {
            let own: Vec<i64> = got.iter().copied().filter(|n| n / EACH == sender).collect();
            assert_eq!(
                own,
                (sender * EACH..(sender + 1) * EACH).collect::<Vec<_>>()
            );
        }
    }
}

#[cfg(all(test, loom))]
mod loom_tests {
    use std::sync::atomic::{AtomicUsize, Ordering as StdOrdering};

    use loom::sync::Arc;
    use loom::thread;

    use super::*;
    use crate::envelope::{HOST, message};

    const OWNER: u32 = 1;

    /// Every parcel is taken by the owner or comes back to its sender, and whoever makes the
    /// mailbox non-empty is told to wake the owner.
    #[test]
    fn loom_nothing_falls_between_push_and_close() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::closed());
            mailbox.open();
            let wakes = std::sync::Arc::new(AtomicUsize::new(0));
            let senders: Vec<_> = (0..2)
                .map(|number| {
                    let mailbox = Arc::clone(&mailbox);
                    let wakes = std::sync::Arc::clone(&wakes);
                    thread::spawn(move || {
                        match mailbox.push(message(HOST, &number).unwrap(), OWNER) {
                            Push::First => {
                                wakes.fetch_add(1, StdOrdering::Relaxed);
                                0
                            }
                            Push::Behind => 0,
                            Push::Closed(parcel) => {
                                usize::from(parcel.root().as_i64() == Some(number))
                            }
                        }
                    })
                })
                .collect();
            let taken = mailbox.take(OWNER).0.len();
            let rest = mailbox.close().len();
            let returned: usize = senders
                .into_iter()
                .map(|sender| sender.join().unwrap())
                .sum();
            assert_eq!(taken + rest + returned, 2);
            if taken + rest > 0 {
                assert!(wakes.load(StdOrdering::Relaxed) > 0);
            }
        });
    }

    /// The owner drains, finds nothing and sleeps; a push after that sees an empty mailbox.
    #[test]
    fn loom_a_push_after_a_drain_wakes() {
        loom::model(|| {
            let mailbox = Arc::new(Mailbox::closed());
            mailbox.open();
            let sender = {
                let mailbox = Arc::clone(&mailbox);
                thread::spawn(move || {
                    let first =
                        matches!(mailbox.push(message(HOST, &1).unwrap(), OWNER), Push::First);
                    let second =
                        matches!(mailbox.push(message(HOST, &2).unwrap(), OWNER), Push::First);
                    (first, second)
                })
            };
            let early = mailbox.take(OWNER).0.len();
            let (first, second) = sender.join().unwrap();
            assert!(first, "the first push finds the mailbox empty");
            assert_eq!(
                second,
                early == 1,
                "the second does if and only if the owner drained in between"
            );
            assert_eq!(early + mailbox.take(OWNER).0.len(), 2);
        });
    }
}
