//! How full a mailbox is: its limit, who waits for room, and whether the system's monitor was told that it is long.
//!
//! # Protocol
//! 1. A mailbox with a limit is marked (`Process::limited`), next to what each sender reads anyway. Senders of messages
//!    then take the receiver's lock and have it take in what waits, as `process_info` does: so the length is known, and
//!    nothing is counted where there is no limit. What is admitted goes through the mailbox like any other parcel,
//!    still under the lock, so that the order of a sender's signals and messages is that of their sending.
//! 2. A sender that waits for room leaves its waker under a *ticket*. When messages leave ([`Attention::COUNTED`]), the
//!    oldest tickets are *granted* the room: it is kept for them, whoever else sends meanwhile, until they send or are
//!    given up, which passes the room on. So they get in by turns.
//! 3. A ticket that is neither waiting nor granted is void: the limit was changed, or the slot has another process. Its
//!    sender looks again.
//! 4. For the system's monitor, each process is marked ([`Attention::LENGTHY`]) while it wants to know of long
//!    mailboxes. A process compares its length when it takes messages in, and, while it is known to be long, when some
//!    leave.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::task::Waker;

use otp_heap::Pid;

use super::drain::MailboxEvent;
use super::panics::quietly;
use super::{Attention, Leftovers, Process, Rare, State};
use crate::core::Core;
use crate::envelope::{self, Kind, Parcel};
use crate::mailbox_limit::{MailboxFull, MailboxInfo, MailboxLimit, OLDEST_LOOKS, WhenFull};

/// What few processes have.
#[derive(Debug, Default)]
pub(crate) struct Occupancy {
    limit: MailboxLimit,
    /// Told of being full already; again after it was half full at most.
    told: bool,
    times_full: u64,
    rejected: u64,
    dropped: u64,
    last_ticket: Ticket,
    /// Oldest first.
    waiting: BTreeMap<Ticket, Waker>,
    granted: BTreeSet<Ticket>,
    /// The system's monitor was told that it is long.
    is_long: bool,
}

/// A place among the senders that wait for room. The first is 1.
pub(crate) type Ticket = u64;

/// Why a message did not get to its receiver.
#[derive(Debug)]
pub(crate) enum Undelivered {
    /// Nobody is there.
    Gone(Parcel),
    Full(MailboxFull),
}

/// A sender that would wait for room: its waker, and in the end its ticket.
#[derive(Debug)]
pub(crate) struct Waits<'w> {
    pub(crate) ticket: &'w mut Option<Ticket>,
    pub(crate) waker: Waker,
}

/// What becomes of a message for a mailbox that may have a limit.
enum Admission {
    /// It is there, or was dropped.
    Over,
    Gone(Parcel),
    Full(MailboxFull),
    /// It is the sender's, until there is room.
    Waits(Parcel),
}

impl Occupancy {
    fn has_room(&self, len: usize) -> bool {
        self.limit.max_len == 0 || len + self.granted.len() < self.limit.max_len
    }

    /// Keeps room for those that wait, and gives their wakers.
    fn grant(&mut self, len: usize, wakers: &mut Vec<Waker>) {
        while self.has_room(len) {
            let Some((ticket, waker)) = self.waiting.pop_first() else {
                return;
            };
            self.granted.insert(ticket);
            wakers.push(waker);
        }
    }

    fn info(&self) -> MailboxInfo {
        MailboxInfo {
            limit: self.limit,
            times_full: self.times_full,
            rejected: self.rejected,
            dropped: self.dropped,
            waiting_senders: self.waiting.len() + self.granted.len(),
        }
    }
}

impl State {
    fn occupancy(&mut self) -> &mut Occupancy {
        self.rare().occupancy.get_or_insert_default()
    }

    pub(crate) fn mailbox_info(&self) -> MailboxInfo {
        let rare = self.rare.as_deref();
        let occupancy = rare.and_then(|rare| rare.occupancy.as_deref());
        occupancy.map(Occupancy::info).unwrap_or_default()
    }

    pub(crate) fn forget_that_it_is_long(&mut self) {
        let rare = self.rare.as_deref_mut();
        if let Some(occupancy) = rare.and_then(|rare| rare.occupancy.as_deref_mut()) {
            occupancy.is_long = false;
        }
    }
}

impl Rare {
    /// At the end of a process: who waited for room there, and finds it gone.
    pub(super) fn take_waiting_senders(&mut self) -> BTreeMap<Ticket, Waker> {
        let occupancy = self.occupancy.as_deref_mut();
        occupancy.map_or_else(BTreeMap::new, |occupancy| mem::take(&mut occupancy.waiting))
    }
}

impl Process {
    #[inline]
    pub(crate) fn has_limited_mailbox(&self) -> bool {
        self.limited.load(Ordering::Relaxed)
    }

    /// Under the lock: sets the limit, and gives the one before. Who waits for room looks again.
    pub(crate) fn limit_mailbox(
        &self,
        state: &mut State,
        limit: MailboxLimit,
    ) -> (MailboxLimit, Leftovers) {
        let mut leftovers = Leftovers::default();
        self.limited.store(limit.max_len > 0, Ordering::Relaxed);
        let occupancy = state.occupancy();
        let before = mem::replace(&mut occupancy.limit, limit);
        occupancy.told = false;
        occupancy.granted.clear();
        let waiting = mem::take(&mut occupancy.waiting);
        if !waiting.is_empty() {
            leftovers.senders().extend(waiting.into_values());
        }
        (before, leftovers)
    }

    /// Under the lock, for one that is [`Attention::COUNTED`]: messages have left.
    #[cold]
    pub(crate) fn messages_left(&self, state: &mut State, leftovers: &mut Leftovers) {
        let len = state.queue_len();
        let Some(rare) = state.rare.as_deref_mut() else {
            return self.forget(Attention::COUNTED);
        };
        let Some(occupancy) = rare.occupancy.as_deref_mut() else {
            return self.forget(Attention::COUNTED);
        };
        if !occupancy.waiting.is_empty() {
            occupancy.grant(len, leftovers.senders());
        }
        if occupancy.is_long {
            let marks = self.core().system_monitor.long_message_queue();
            if marks.is_none_or(|marks| len <= marks.disable) {
                occupancy.is_long = false;
                if let (Some(_), Some(pid)) = (marks, self.pid()) {
                    leftovers.tell(self.event(pid, MailboxNews::Long(false)));
                }
            }
        }
        if occupancy.waiting.is_empty() && !occupancy.is_long {
            self.forget(Attention::COUNTED);
        }
    }

    /// Under the lock, for one that is [`Attention::LENGTHY`]: messages may have come.
    #[cold]
    pub(crate) fn messages_came(&self, state: &mut State, leftovers: &mut Leftovers) {
        let Some(marks) = self.core().system_monitor.long_message_queue() else {
            return self.forget(Attention::LENGTHY);
        };
        if state.queue_len() < marks.enable {
            return;
        }
        let was_long = mem::replace(&mut state.occupancy().is_long, true);
        if let (false, Some(pid)) = (was_long, self.pid()) {
            self.note(Attention::COUNTED);
            leftovers.tell(self.event(pid, MailboxNews::Long(true)));
        }
    }

    fn event(&self, pid: Pid, news: MailboxNews) -> MailboxEvent {
        MailboxEvent {
            process: NonNull::from(self),
            pid,
            news,
        }
    }

    /// Decides on a message for the process, under its lock.
    fn admit(
        &self,
        state: &mut State,
        pid: Pid,
        parcel: Parcel,
        waits: &mut Option<Waits<'_>>,
        leftovers: &mut Leftovers,
    ) -> Admission {
        let core = self.core();
        if state.exit.is_some() || state.exiting {
            // It receives no more. Who calls learns of the end.
            return match parcel.header().kind {
                Kind::Call => self.put(pid, parcel),
                _ => {
                    leftovers.discard(parcel);
                    Admission::Over
                }
            };
        }
        let len = state.queue_len();
        let occupancy = state.occupancy();
        let limit = occupancy.limit;
        if !occupancy.waiting.is_empty() {
            occupancy.grant(len, leftovers.senders());
        }
        let is_granted = waits.as_ref().is_some_and(|waits| {
            let ticket = waits.ticket.as_ref();
            ticket.is_some_and(|ticket| occupancy.granted.remove(ticket))
        });
        if is_granted || occupancy.has_room(len) {
            if len <= limit.max_len / 2 {
                occupancy.told = false;
            }
            let ticket = waits.as_mut().and_then(|waits| waits.ticket.take());
            if let Some(ticket) = ticket {
                leftovers.discard_waker(occupancy.waiting.remove(&ticket));
            }
            return self.put(pid, parcel);
        }
        if !mem::replace(&mut occupancy.told, true) {
            occupancy.times_full += 1;
            leftovers.tell(self.event(pid, MailboxNews::Full { limit, len }));
        }
        if limit.when_full == WhenFull::Tell {
            return self.put(pid, parcel);
        }
        if let Some(waits) = waits.take() {
            let ticket = *waits.ticket.get_or_insert_with(|| {
                occupancy.last_ticket += 1;
                occupancy.last_ticket
            });
            let before = occupancy.waiting.insert(ticket, waits.waker);
            leftovers.discard_waker(before);
            self.note(Attention::COUNTED);
            return Admission::Waits(parcel);
        }
        let is_call = parcel.header().kind == Kind::Call;
        let full = MailboxFull::new(limit.max_len);
        match limit.when_full {
            WhenFull::Tell => unreachable!("it was put there above"),
            WhenFull::Reject => {
                occupancy.rejected += 1;
                core.counts
                    .messages_rejected
                    .fetch_add(1, Ordering::Relaxed);
                leftovers.discard(parcel);
                return Admission::Full(full);
            }
            WhenFull::Kill => {
                self.doom(state, full.reason());
                if is_call {
                    // The end answers it, with its reason.
                    return self.put(pid, parcel);
                }
            }
            WhenFull::DropOldest => {
                let is_limited = |parcel: &Parcel| parcel.header().kind.is_limited();
                if let Some(oldest) = state.inbox.take_oldest(OLDEST_LOOKS, is_limited) {
                    state.occupancy().dropped += 1;
                    core.counts.messages_dropped.fetch_add(1, Ordering::Relaxed);
                    let request = oldest.header();
                    if request.kind == Kind::Call {
                        state.monitored_by.remove(&request.reference);
                        let refused = envelope::refused(pid, request.reference, limit.max_len);
                        core.signal(request.from, refused);
                    }
                    leftovers.discard(oldest);
                    return self.put(pid, parcel);
                }
            }
            WhenFull::DropNewest => {}
        }
        state.occupancy().dropped += 1;
        core.counts.messages_dropped.fetch_add(1, Ordering::Relaxed);
        leftovers.discard(parcel);
        match is_call {
            true => Admission::Full(full),
            false => Admission::Over,
        }
    }

    /// Puts an admitted message into the mailbox.
    fn put(&self, pid: Pid, parcel: Parcel) -> Admission {
        match self.core().push(self, pid, parcel) {
            Ok(()) => Admission::Over,
            Err(parcel) => Admission::Gone(parcel),
        }
    }
}

/// What is told of a mailbox, outside of the lock.
#[derive(Clone, Copy, Debug)]
pub(crate) enum MailboxNews {
    Full {
        limit: MailboxLimit,
        len: usize,
    },
    /// To the system's monitor.
    Long(bool),
}

impl MailboxNews {
    /// Runs the program's code: its `tracing` subscriber.
    #[cold]
    pub(super) fn tell(self, process: &Process, pid: Pid) {
        match self {
            Self::Long(is_long) => {
                let core = process.core();
                core.system_monitor.queue_is_long(core, pid, is_long);
            }
            Self::Full { limit, len } => {
                let count = &process.core().counts.mailbox_limits_reached;
                count.fetch_add(1, Ordering::Relaxed);
                let name = process.lock().name();
                super::report(|| {
                    tracing::warn!(
                        target: "otp_vm::mailbox_limit",
                        %pid,
                        registered_name = name.map(|name| name.as_str()),
                        max_len = limit.max_len,
                        when_full = ?limit.when_full,
                        message_queue_len = len,
                        "a mailbox is full: see why its process is slow, or let others send less"
                    );
                });
            }
        }
    }
}

impl Core {
    /// Puts a message of the program's into the mailbox of `to`, if its limit admits it. Replies, and what else a limit
    /// is not about, always are.
    #[inline]
    pub(crate) fn send(&self, to: Pid, parcel: Parcel) -> Result<(), Undelivered> {
        {
            let _section = otp_scheduler::lock::section();
            let Some(process) = self.processes.get(to) else {
                return Err(Undelivered::Gone(parcel));
            };
            if !process.has_limited_mailbox() {
                let pushed = self.push(process, to, parcel);
                return pushed.map_err(Undelivered::Gone);
            }
        }
        self.send_limited(to, parcel)
    }

    #[cold]
    #[inline(never)]
    fn send_limited(&self, to: Pid, parcel: Parcel) -> Result<(), Undelivered> {
        if !parcel.header().kind.is_limited() {
            return self.deliver(to, parcel).map_err(Undelivered::Gone);
        }
        let (sent, leftovers) = self.send_leaving(to, parcel);
        // Destructors, wakers, subscribers: the program's, and not all of them the sender's.
        quietly(to, || leftovers.finish());
        sent
    }

    /// The same of what a limit is about, for a caller that can't run the program's code and does so later.
    pub(crate) fn send_leaving(
        &self,
        to: Pid,
        parcel: Parcel,
    ) -> (Result<(), Undelivered>, Leftovers) {
        let (admission, leftovers) = self.ask_for_room(to, parcel, &mut None);
        let sent = match admission {
            Admission::Over => Ok(()),
            Admission::Gone(parcel) => Err(Undelivered::Gone(parcel)),
            Admission::Full(full) => Err(Undelivered::Full(full)),
            Admission::Waits(_) => unreachable!("nobody said that he would wait"),
        };
        (sent, leftovers)
    }

    /// The same for a sender that waits for room: gives the message back as long as there is none, and wakes `waits`
    /// when there may be.
    pub(crate) fn send_or_wait(
        &self,
        to: Pid,
        parcel: Parcel,
        waits: Waits<'_>,
    ) -> Result<(), Parcel> {
        // What is left of it is dropped outside of the lock.
        let mut waits = Some(waits);
        let (admission, leftovers) = self.ask_for_room(to, parcel, &mut waits);
        quietly(to, || leftovers.finish());
        match admission {
            Admission::Waits(parcel) => Err(parcel),
            // To the dead, as any message.
            Admission::Over | Admission::Gone(_) | Admission::Full(_) => Ok(()),
        }
    }

    fn ask_for_room(
        &self,
        to: Pid,
        parcel: Parcel,
        waits: &mut Option<Waits<'_>>,
    ) -> (Admission, Leftovers) {
        let mut asked = Some(parcel);
        let admitted = self.with_process(to, |process| {
            let mut state = process.lock();
            if !process.is(to) {
                return None;
            }
            let mut leftovers = match state.exiting {
                true => Leftovers::default(),
                false => process.drain(&mut state),
            };
            let parcel = asked.take()?;
            let admission = process.admit(&mut state, to, parcel, waits, &mut leftovers);
            let is_doomed = state.exit.is_some();
            drop(state);
            if is_doomed {
                process.call_deputy_if_bound();
            }
            Some((admission, leftovers))
        });
        match (admitted.flatten(), asked) {
            (Some(admitted), _) => admitted,
            (None, Some(parcel)) => (Admission::Gone(parcel), Leftovers::default()),
            (None, None) => (Admission::Over, Leftovers::default()),
        }
    }

    /// A sender waits no longer. What room was kept for it goes to the next.
    pub(crate) fn give_room_up(&self, to: Pid, ticket: Ticket) {
        let given_up = self.with_process(to, |process| {
            let mut state = process.lock();
            if !process.is(to) {
                return None;
            }
            let mut leftovers = Leftovers::default();
            let len = state.queue_len();
            let occupancy = state.rare.as_deref_mut()?.occupancy.as_deref_mut()?;
            leftovers.discard_waker(occupancy.waiting.remove(&ticket));
            if occupancy.granted.remove(&ticket) {
                occupancy.grant(len, leftovers.senders());
            }
            Some(leftovers)
        });
        if let Some(leftovers) = given_up.flatten() {
            quietly(to, || leftovers.finish());
        }
    }
}
