//! The messages that a process has taken in, in order of arrival, with the places where receives go on.
//!
//! # Protocol
//! 1. A selective receive keeps a place, the last message that it has passed over: so it looks at each message once.
//!    The messages stay where they are: who counts or lists them meanwhile sees all, and a receive that is dropped
//!    half-way has nothing to give back.
//! 2. A *mark* is such a place that a process keeps: a receive from a mark on does not look at what is older.
//! 3. When a message leaves, the places at it move to the one before it.
//! 4. The program's closure looks at messages without the process's lock. Between [`Inbox::begin_scan`] and
//!    [`Inbox::end_scan`] none of the messages that were there leaves or is freed; new ones are linked behind the last,
//!    whose `next` the scan doesn't read, and may leave again.
//!
//! Race: *the process ends during a scan* (from outside, or since its `Context` is on another thread). The messages are
//! then the scan's: [`Inbox::into_queue`] leaves them, and the scan finds that they are gone from the process.

use std::mem::{self, ManuallyDrop};
use std::ptr;

use crate::envelope::{Envelope, Parcel};
use crate::mailbox::{Queue, borrowed};

/// Marks of one process at once; one more is none, and a receive from it on looks at all messages. Each message that
/// leaves is compared with all marks. More than nested requests need; chosen by feel.
const MAX_MARKS: usize = 64;

/// A mark of a process's, by number. The first is 1.
pub(crate) type MarkId = u64;

#[derive(Debug, Default)]
pub(crate) struct Inbox {
    messages: Queue,
    /// The running selective receive's.
    passed: Place,
    /// The last message that a running scan looks at, without the lock; null while there is no scan.
    scanned: Place,
    /// Ascending. None while there are none, as nearly always.
    #[expect(
        clippy::box_collection,
        reason = "a word in each process instead of three"
    )]
    marks: Option<Box<Vec<(MarkId, Place)>>>,
}

/// Behind this message; null: before all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place(*mut Envelope);

// SAFETY: a place is followed under the lock of the inbox that has it, or by the one scan.
unsafe impl Send for Place {}

impl Default for Place {
    fn default() -> Self {
        Self(ptr::null_mut())
    }
}

impl Inbox {
    fn is_scanned(&self) -> bool {
        self.scanned != Place::default()
    }

    pub(crate) fn len(&self) -> usize {
        self.messages.len()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Neither messages nor places.
    #[inline]
    pub(crate) fn is_bare(&self) -> bool {
        self.messages.is_empty() && self.marks.is_none()
    }

    #[inline]
    pub(crate) fn append(&mut self, arrived: Queue) {
        self.messages.append(arrived);
    }

    pub(crate) fn push_back(&mut self, parcel: Parcel) {
        self.messages.push_back(parcel);
    }

    /// The oldest message. Not during a scan.
    #[inline]
    pub(crate) fn pop_front(&mut self) -> Option<Parcel> {
        debug_assert!(!self.is_scanned());
        self.passed = Place::default();
        let head = self.messages.head();
        if self.marks.is_some() {
            self.move_marks(head, Place::default());
        }
        self.messages.pop_front()
    }

    /// Removes the messages that `unwanted` holds for. Linear. Not during a scan.
    pub(crate) fn discard(&mut self, mut unwanted: impl FnMut(&Parcel) -> bool) {
        debug_assert!(!self.is_scanned());
        let mut place = Place::default();
        while let Some(node) = self.after(place) {
            // SAFETY: a message of this inbox, which nobody else reaches.
            if unwanted(&*unsafe { borrowed(node) }) {
                drop(self.remove(place));
            } else {
                place = Place(node);
            }
        }
        self.passed = Place::default();
    }

    /// Takes out the oldest message that `fits`, of the first `looks` that no scan looks at.
    pub(crate) fn take_oldest(
        &mut self,
        looks: usize,
        fits: impl Fn(&Parcel) -> bool,
    ) -> Option<Parcel> {
        let mut place = self.scanned;
        for _ in 0..looks {
            let node = self.after(place)?;
            // SAFETY: a message of this inbox, under its lock.
            if fits(&*unsafe { borrowed(node) }) {
                if self.passed == Place(node) {
                    self.passed = place;
                }
                return self.remove(place);
            }
            place = Place(node);
        }
        None
    }

    /// All messages, oldest first; also during a scan.
    pub(crate) fn each(&self, mut look: impl FnMut(&Parcel)) {
        let mut place = Place::default();
        while let Some(node) = self.after(place) {
            // SAFETY: a message of this inbox; those that a scan looks at are only read by both.
            look(&*unsafe { borrowed(node) });
            place = Place(node);
        }
    }

    /// Bytes of all of them. Linear.
    pub(crate) fn bytes(&self) -> usize {
        let mut bytes = 0;
        self.each(|parcel| bytes += parcel.bytes());
        bytes
    }

    /// Leaves room for what is there.
    pub(crate) fn shrink(&mut self) {
        if let Some(marks) = &mut self.marks {
            marks.shrink_to_fit();
        }
    }

    /// What is left at the process's end, but for what a scan has.
    pub(crate) fn into_queue(self) -> Queue {
        if self.is_scanned() {
            mem::forget(self.messages);
            return Queue::default();
        }
        self.messages
    }

    fn after(&self, place: Place) -> Option<*mut Envelope> {
        let node = if place.0.is_null() {
            self.messages.head()
        } else {
            // SAFETY: places move when their message leaves, so it is in the queue.
            unsafe { (*place.0).next }
        };
        (!node.is_null()).then_some(node)
    }

    /// Takes out the message behind a place.
    fn remove(&mut self, place: Place) -> Option<Parcel> {
        let node = self.after(place)?;
        self.move_marks(node, place);
        // SAFETY: the place is in the queue, and a message is behind it.
        Some(unsafe { self.messages.remove_after(place.0) })
    }

    fn move_marks(&mut self, from: *mut Envelope, to: Place) {
        for (_, place) in self.marks.iter_mut().flat_map(|marks| marks.iter_mut()) {
            if *place == Place(from) {
                *place = to;
            }
        }
    }
}

/// Marks.
impl Inbox {
    /// A mark behind all messages that are there; 0 if there are too many.
    pub(crate) fn mark(&mut self) -> MarkId {
        let place = Place(self.messages.tail());
        let marks = self.marks.get_or_insert_default();
        if marks.len() >= MAX_MARKS {
            return 0;
        }
        let id = marks.last().map_or(1, |(id, _)| id + 1);
        marks.push((id, place));
        id
    }

    pub(crate) fn unmark(&mut self, id: MarkId) {
        let Some(marks) = &mut self.marks else {
            return;
        };
        marks.retain(|&(mark, _)| mark != id);
        if marks.is_empty() {
            self.marks = None;
        }
    }

    fn place_of(&self, id: MarkId) -> Place {
        let mut marks = self.marks.iter().flat_map(|marks| marks.iter());
        let mark = marks.find(|(mark, _)| *mark == id);
        mark.map_or(Place::default(), |&(_, place)| place)
    }
}

/// Messages that the program's closure looks at, without the lock.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The first of all messages, by which the scan knows its inbox.
    head: *mut Envelope,
    passed: Place,
    next: *mut Envelope,
    last: *mut Envelope,
}

// SAFETY: the messages stay where they are while there is a scan, and are Sync.
unsafe impl Send for Scan {}

impl Inbox {
    /// A selective receive begins: with all messages, or with those behind a mark.
    pub(crate) fn begin_receive(&mut self, mark: Option<MarkId>) {
        self.passed = mark.map_or(Place::default(), |id| self.place_of(id));
    }

    /// What the running receive has not yet looked at, if there is anything.
    pub(crate) fn begin_scan(&mut self) -> Option<Scan> {
        debug_assert!(!self.is_scanned());
        let next = self.after(self.passed)?;
        let last = self.messages.tail();
        self.scanned = Place(last);
        Some(Scan {
            head: self.messages.head(),
            passed: self.passed,
            next,
            last,
        })
    }

    /// Ends a scan, in the hold of the lock of the process that it was begun with; with `takes`, takes out the message
    /// that the scan is at. Gives what the caller has to drop outside of the lock, or to use: the message, or all of
    /// them if the process has ended.
    pub(crate) fn end_scan(&mut self, scan: &Scan, takes: bool) -> Scanned {
        if !self.is_scanned() || self.messages.head() != scan.head {
            // SAFETY: the end of the process left the chain to the scan (`into_queue`); nobody else reaches it.
            return Scanned::Orphaned(unsafe { Queue::of_chain(scan.head) });
        }
        self.scanned = Place::default();
        self.passed = scan.passed;
        if takes {
            Scanned::Ended(self.remove(scan.passed))
        } else {
            Scanned::Ended(None)
        }
    }
}

/// What comes of the end of a scan.
#[derive(Debug)]
pub(crate) enum Scanned {
    Ended(Option<Parcel>),
    /// The process has ended.
    Orphaned(Queue),
}

impl Scan {
    /// The message that it is at: only to be looked at.
    pub(crate) fn message(&self) -> ManuallyDrop<Parcel> {
        // SAFETY: no message leaves or is freed while there is a scan.
        unsafe { borrowed(self.next) }
    }

    /// Passes over the message; false if it was the last.
    pub(crate) fn pass(&mut self) -> bool {
        self.passed = Place(self.next);
        if self.next == self.last {
            return false;
        }
        // SAFETY: as in `message`; only the last one's `next` is written meanwhile.
        self.next = unsafe { (*self.next).next };
        true
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::envelope::{HOST, message};

    fn inbox(numbers: std::ops::Range<i64>) -> Inbox {
        let mut inbox = Inbox::default();
        push(&mut inbox, numbers);
        inbox
    }

    fn push(inbox: &mut Inbox, numbers: std::ops::Range<i64>) {
        for number in numbers {
            inbox.push_back(message(HOST, &number).unwrap());
        }
    }

    fn numbers(inbox: &Inbox) -> Vec<i64> {
        let mut numbers = Vec::new();
        inbox.each(|parcel| numbers.push(parcel.root().as_i64().unwrap()));
        assert_eq!(numbers.len(), inbox.len());
        numbers
    }

    fn number(parcel: &Parcel) -> i64 {
        parcel.root().as_i64().unwrap()
    }

    /// Takes the first from the mark on that `wanted` holds for; and how many were looked at.
    fn take(
        inbox: &mut Inbox,
        mark: Option<MarkId>,
        wanted: impl Fn(i64) -> bool,
    ) -> (Option<i64>, usize) {
        inbox.begin_receive(mark);
        let Some(mut scan) = inbox.begin_scan() else {
            return (None, 0);
        };
        let mut looks = 0;
        let found = loop {
            looks += 1;
            if wanted(number(&scan.message())) {
                break true;
            }
            if !scan.pass() {
                break false;
            }
        };
        match inbox.end_scan(&scan, found) {
            Scanned::Ended(parcel) => (parcel.map(|parcel| number(&parcel)), looks),
            Scanned::Orphaned(_) => panic!("the inbox is there"),
        }
    }

    #[test]
    fn a_receive_from_a_mark_on_looks_at_what_is_newer() {
        let mut inbox = inbox(0..1000);
        let outer = inbox.mark();
        push(&mut inbox, 1000..1002);
        let inner = inbox.mark();
        push(&mut inbox, 1002..1004);
        assert_eq!(
            take(&mut inbox, Some(inner), |n| n == 1003),
            (Some(1003), 2)
        );
        assert_eq!(
            take(&mut inbox, Some(outer), |n| n == 1002),
            (Some(1002), 3)
        );
        assert_eq!(take(&mut inbox, Some(inner), |_| true), (None, 0));
        inbox.unmark(inner);
        assert_eq!(take(&mut inbox, Some(outer), |_| true), (Some(1000), 1));
        assert_eq!(take(&mut inbox, None, |n| n == 999), (Some(999), 1000));
        inbox.unmark(outer);
        assert!(inbox.marks.is_none());
        assert_eq!(inbox.len(), 1000);
    }

    #[test]
    fn marks_move_when_their_message_leaves() {
        let mut inbox = inbox(0..3);
        let mark = inbox.mark();
        push(&mut inbox, 3..5);
        // The mark is behind 2, then behind 1, then before all.
        assert_eq!(take(&mut inbox, None, |n| n == 2).0, Some(2));
        assert_eq!(take(&mut inbox, Some(mark), |_| true).0, Some(3));
        inbox.discard(|parcel| number(parcel) == 1);
        assert_eq!(inbox.pop_front().map(|parcel| number(&parcel)), Some(0));
        assert_eq!(take(&mut inbox, Some(mark), |_| true), (Some(4), 1));
        assert!(inbox.is_empty());
        push(&mut inbox, 7..8);
        assert_eq!(take(&mut inbox, Some(mark), |_| true), (Some(7), 1));
    }

    #[test]
    fn one_mark_too_many_is_none() {
        let mut inbox = inbox(0..1);
        let marks: Vec<MarkId> = (0..MAX_MARKS).map(|_| inbox.mark()).collect();
        assert!(!marks.contains(&0));
        let none = inbox.mark();
        assert_eq!(none, 0);
        assert_eq!(take(&mut inbox, Some(none), |_| true), (Some(0), 1));
        inbox.unmark(marks[3]);
        assert_ne!(inbox.mark(), 0);
    }

    #[test]
    fn messages_stay_where_they_are_during_a_scan_and_come_behind_it() {
        let mut inbox = inbox(0..3);
        inbox.begin_receive(None);
        let mut scan = inbox.begin_scan().unwrap();
        assert_eq!(number(&scan.message()), 0);
        push(&mut inbox, 3..4);
        assert_eq!(numbers(&inbox), [0, 1, 2, 3]);
        assert!(scan.pass() && scan.pass() && !scan.pass());
        assert!(matches!(inbox.end_scan(&scan, false), Scanned::Ended(None)));
        // The same receive goes on with what is new.
        let scan = inbox.begin_scan().unwrap();
        assert_eq!(number(&scan.message()), 3);
        let Scanned::Ended(Some(last)) = inbox.end_scan(&scan, true) else {
            panic!("it was there");
        };
        assert_eq!((number(&last), numbers(&inbox)), (3, vec![0, 1, 2]));
        push(&mut inbox, 9..10);
        assert_eq!(numbers(&inbox), [0, 1, 2, 9]);
    }

    #[test]
    fn the_oldest_leaves_from_behind_a_scan_and_a_receive_goes_on_where_it_was() {
        let mut inbox = inbox(0..3);
        inbox.begin_receive(None);
        let mut scan = inbox.begin_scan().unwrap();
        assert!(
            inbox.take_oldest(9, |_| true).is_none(),
            "all are looked at"
        );
        push(&mut inbox, 3..6);
        let oldest = |inbox: &mut Inbox, looks, wanted: fn(i64) -> bool| {
            let taken = inbox.take_oldest(looks, |parcel| wanted(number(parcel)));
            taken.map(|parcel| number(&parcel))
        };
        assert_eq!(oldest(&mut inbox, 9, |n| n > 3), Some(4));
        assert_eq!(oldest(&mut inbox, 1, |n| n > 3), None, "it looks at 3 only");
        assert_eq!(oldest(&mut inbox, 9, |_| true), Some(3));
        assert!(scan.pass() && scan.pass() && !scan.pass());
        assert!(matches!(inbox.end_scan(&scan, false), Scanned::Ended(None)));
        assert_eq!(numbers(&inbox), [0, 1, 2, 5]);
        // The receive has passed over 2, which leaves.
        assert_eq!(oldest(&mut inbox, 9, |n| n == 2), Some(2));
        let scan = inbox.begin_scan().unwrap();
        assert_eq!(number(&scan.message()), 5);
        let Scanned::Ended(Some(last)) = inbox.end_scan(&scan, true) else {
            panic!("it was there");
        };
        assert_eq!((number(&last), numbers(&inbox)), (5, vec![0, 1]));
        assert_eq!(oldest(&mut inbox, 9, |_| true), Some(0));
        push(&mut inbox, 6..7);
        assert_eq!(numbers(&inbox), [1, 6]);
    }

    #[derive(Debug, Clone)]
    enum Change {
        Push(u8),
        Pop,
        Mark,
        /// The mark of this number, modulo how many there are.
        Unmark(usize),
        /// The first message with this remainder, from a mark on or from the beginning.
        Take(Option<usize>, i64),
        Discard(i64),
    }

    fn change() -> impl Strategy<Value = Change> {
        prop_oneof![
            (0..5_u8).prop_map(Change::Push),
            Just(Change::Pop),
            Just(Change::Mark),
            any::<usize>().prop_map(Change::Unmark),
            (any::<Option<usize>>(), 0..7_i64).prop_map(|(mark, n)| Change::Take(mark, n)),
            (0..7_i64).prop_map(Change::Discard),
        ]
    }

    proptest! {
        /// The model: numbers, each greater than the one before; and for each mark the number that was next then.
        #[test]
        fn marks_hold_whatever_leaves(changes in vec(change(), 0..60)) {
            let mut inbox = Inbox::default();
            let (mut model, mut marks, mut next) = (Vec::new(), Vec::new(), 0);
            for change in changes {
                match change {
                    Change::Push(count) => {
                        let numbers = next..next + i64::from(count);
                        push(&mut inbox, numbers.clone());
                        model.extend(numbers.clone());
                        next = numbers.end;
                    }
                    Change::Pop => {
                        let oldest = (!model.is_empty()).then(|| model.remove(0));
                        prop_assert_eq!(inbox.pop_front().map(|parcel| number(&parcel)), oldest);
                    }
                    Change::Mark => marks.push((inbox.mark(), next)),
                    Change::Unmark(n) if !marks.is_empty() => {
                        let (mark, _) = marks.remove(n % marks.len());
                        inbox.unmark(mark);
                    }
                    Change::Take(n, wanted) => {
                        let mark = n.filter(|_| !marks.is_empty()).map(|n| marks[n % marks.len()]);
                        let from = mark.map_or(0, |(_, from)| from);
                        let place = model.iter().position(|&n| n >= from && n % 7 == wanted);
                        let looks = model.iter().filter(|&&n| n >= from);
                        let looks = looks.take_while(|&&n| n % 7 != wanted).count();
                        let found = place.map(|place| model.remove(place));
                        let taken = take(&mut inbox, mark.map(|(mark, _)| mark), |n| n % 7 == wanted);
                        prop_assert_eq!(taken, (found, looks + usize::from(found.is_some())));
                    }
                    Change::Discard(unwanted) => {
                        model.retain(|n| n % 7 != unwanted);
                        inbox.discard(|parcel| number(parcel) % 7 == unwanted);
                    }
                    Change::Unmark(_) => {}
                }
                prop_assert_eq!(numbers(&inbox), model.clone());
            }
        }
    }

    #[test]
    fn the_messages_of_a_process_that_ends_during_a_scan_are_the_scans() {
        let mut inbox = inbox(0..3);
        inbox.begin_receive(None);
        let scan = inbox.begin_scan().unwrap();
        push(&mut inbox, 3..4);
        assert!(mem::take(&mut inbox).into_queue().is_empty());
        // The slot has another process by now, which scans as well.
        push(&mut inbox, 7..8);
        let other = inbox.begin_scan().unwrap();
        assert_eq!(number(&scan.message()), 0);
        let Scanned::Orphaned(queue) = inbox.end_scan(&scan, true) else {
            panic!("it is another inbox");
        };
        assert_eq!(queue.len(), 4);
        assert!(matches!(
            inbox.end_scan(&other, false),
            Scanned::Ended(None)
        ));
        assert_eq!(inbox.into_queue().len(), 1);
    }
}
