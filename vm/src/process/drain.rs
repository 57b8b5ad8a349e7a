//! How a process takes in what was sent to it: messages into the inbox, signals at once.
//!
//! Draining happens in each receive, and at the start of a slice if a signal has come, or if a receive waits where only
//! a drain wakes it. It decides *that* the process ends (`State::exit`), never ends it: that is the slice's, once the
//! body's poll is over.

use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::task::Waker;

use otp_heap::{Pid, Ref};

use super::links::{acknowledge_unlink, refuse_link};
use super::memory::{CollectRequest, Excess};
use super::occupancy::MailboxNews;
use super::{Answer, Attention, Process, State, SuspendOutcome, is_running, quietly};
use crate::envelope::{self, Envelope, HOST, Kind, Parcel};
use crate::exit_reason::ExitReason;
use crate::mailbox::Queue;
use crate::mailbox_limit::MailboxFull;
use crate::origin::OrHost;
use crate::trace::Event;

/// What a drain leaves to do once the lock is given up: all of it may run the program's code.
/// Nearly always nothing, and then it costs nothing.
#[must_use]
#[derive(Debug, Default)]
pub(crate) struct Leftovers(Option<Box<Remains>>);

#[derive(Debug, Default)]
struct Remains {
    garbage: Queue,
    receiver: Option<Waker>,
    excess: Option<Box<(NonNull<Process>, Pid, Excess)>>,
    /// Senders that waited for room in the mailbox.
    senders: Vec<Waker>,
    /// Wakers that nobody wants.
    unwanted: Vec<Waker>,
    news: Vec<MailboxEvent>,
}

// SAFETY: all in it may go to another thread. The pointers are to slots of processes, which are Sync; whoever drains
// holds the VM, which they live as long as, until it has finished what is left.
unsafe impl Send for Remains {}

/// What is to be told of a process's mailbox.
#[derive(Debug)]
pub(super) struct MailboxEvent {
    pub(super) process: NonNull<Process>,
    pub(super) pid: Pid,
    pub(super) news: MailboxNews,
}

impl Leftovers {
    fn remains(&mut self) -> &mut Remains {
        self.0.get_or_insert_default()
    }

    pub(crate) fn is_nothing(&self) -> bool {
        self.0.is_none()
    }

    /// Senders that waited for room, to be woken.
    pub(super) fn senders(&mut self) -> &mut Vec<Waker> {
        &mut self.remains().senders
    }

    pub(super) fn discard(&mut self, parcel: Parcel) {
        self.remains().garbage.push_back(parcel);
    }

    pub(super) fn discard_waker(&mut self, waker: Option<Waker>) {
        if waker.is_some() {
            self.remains().unwanted.extend(waker);
        }
    }

    pub(super) fn tell(&mut self, event: MailboxEvent) {
        self.remains().news.push(event);
    }

    /// Drops what nobody wants and wakes a receive inside a foreign combinator.
    #[inline]
    pub(crate) fn finish(self) {
        if let Some(remains) = self.0 {
            remains.finish();
        }
    }
}

impl Remains {
    #[cold]
    fn finish(mut self) {
        // First: they have room, whatever becomes of this process by a panic in what follows.
        for sender in self.senders {
            // A panic of it is not the receiver's.
            quietly(HOST, || sender.wake());
        }
        if let Some(receiver) = self.receiver.take() {
            receiver.wake();
        }
        if let Some(excess) = self.excess.take() {
            let (process, pid, excess) = *excess;
            // SAFETY: slots live as long as the VM, and who drains holds that.
            excess.tell(unsafe { process.as_ref() }, pid);
        }
        for MailboxEvent { process, pid, news } in self.news {
            // SAFETY: as above.
            news.tell(unsafe { process.as_ref() }, pid);
        }
    }
}

impl Process {
    /// For the process's own receive: the message or call that waits alone, if nothing else is to be seen to. It need
    /// not pass through the inbox. The caller holds the lock.
    #[inline]
    pub(crate) fn take_lone(&self, state: &mut State) -> Option<Parcel> {
        if !self.attention().is_nothing() || !state.inbox.is_bare() {
            return None;
        }
        let owner = self.serial.load(Ordering::Relaxed);
        let parcel = self.mailbox.take_lone(owner, |envelope| {
            envelope.kind.care().is_plain() || envelope.kind == Kind::Call
        })?;
        let Envelope {
            kind,
            from,
            reference,
            ..
        } = *parcel.header();
        if kind == Kind::Call {
            state.monitored_by.insert(reference, from);
        }
        Some(parcel)
    }

    /// For a wait for one reply: that, if it waits alone and nothing else is to be seen to; and who was asked. It need
    /// not be filed with its request, which is over. The caller holds the lock.
    #[inline]
    pub(crate) fn take_lone_reply(
        &self,
        state: &mut State,
        reference: Ref,
    ) -> Option<(Pid, Parcel)> {
        let attention = self.attention();
        if !attention.is_nothing() && !attention.is_only(Attention::HOLDS) {
            return None;
        }
        let request = state.requests.get(&reference)?;
        if request.answer.is_some() {
            return None;
        }
        let owner = self.serial.load(Ordering::Relaxed);
        let reply = self.mailbox.take_lone(owner, |envelope| {
            envelope.kind == Kind::Reply && envelope.reference == reference
        })?;
        let request = state.requests.remove(&reference)?;
        Some((request.to, reply))
    }

    /// For the process's own receive of its oldest message: takes in what waits, unless that is another message for
    /// sure. So a long mailbox is taken in at a time, not each message at its own cost. The caller holds the lock.
    #[inline]
    pub(crate) fn drain_for_next(&self, state: &mut State) -> Leftovers {
        let has_next = self.attention().is_only(Attention::HOLDS) && !state.inbox.is_empty();
        if has_next && !self.mailbox.has_signal() {
            return Leftovers::default();
        }
        self.drain(state)
    }

    /// Takes in everything that waits. The caller holds the lock.
    #[inline]
    pub(crate) fn drain(&self, state: &mut State) -> Leftovers {
        if self.mailbox.is_empty() {
            return Leftovers::default();
        }
        // Before: a receive that finds the mailbox empty by this, without the lock, looks for the note afterwards.
        self.note(Attention::HOLDS);
        let owner = self.serial.load(Ordering::Relaxed);
        let (arrived, care) = self.mailbox.take(owner);
        if care.has_strays() {
            let (own, strays) = self.without_strays(arrived, owner);
            let mut leftovers = self.take_in_all(state, own);
            leftovers.remains().garbage.append(strays);
            return leftovers;
        }
        if self.attention().has(Attention::WEIGHED) {
            return self.drain_weighed(state, arrived);
        }
        if care.is_plain() && state.receiver.is_none() {
            state.inbox.append(arrived);
            return Leftovers::default();
        }
        self.sort::<false>(state, arrived)
    }

    /// Takes in everything that waits, and then a signal that the process sends itself: nobody else can put anything
    /// between the two. The caller holds the lock.
    pub(crate) fn take_in_own(&self, state: &mut State, signal: Parcel) -> Leftovers {
        self.note(Attention::HOLDS);
        let owner = self.serial.load(Ordering::Relaxed);
        let (arrived, _) = self.mailbox.take(owner);
        let (mut own, strays) = self.without_strays(arrived, owner);
        own.push_back(signal);
        let mut leftovers = self.sort_told(state, own);
        if !strays.is_empty() {
            leftovers.remains().garbage.append(strays);
        }
        leftovers
    }

    #[cold]
    fn take_in_all(&self, state: &mut State, arrived: Queue) -> Leftovers {
        match self.attention().has(Attention::WEIGHED) {
            true => self.drain_weighed(state, arrived),
            false => self.sort::<false>(state, arrived),
        }
    }

    /// With a limit on what the process keeps, messages included, or where somebody wants to know of long mailboxes, or
    /// of what arrives.
    #[cold]
    fn drain_weighed(&self, state: &mut State, arrived: Queue) -> Leftovers {
        let attention = self.attention();
        if attention.has(Attention::LIMITED) {
            self.count_mail(state, &arrived);
        }
        let mut leftovers = self.sort_told(state, arrived);
        if let (Some(excess), Some(pid)) = (self.check_limit(state), self.pid()) {
            let told = Box::new((NonNull::from(self), pid, excess));
            leftovers.remains().excess = Some(told);
        }
        if attention.has(Attention::LENGTHY) {
            self.messages_came(state, &mut leftovers);
        }
        leftovers
    }

    fn sort_told(&self, state: &mut State, arrived: Queue) -> Leftovers {
        match self.is_traced() {
            true => self.sort::<true>(state, arrived),
            false => self.sort::<false>(state, arrived),
        }
    }

    /// Twice, so that a process that is not traced pays nothing for it.
    #[inline(never)]
    fn sort<const TRACED: bool>(&self, state: &mut State, mut arrived: Queue) -> Leftovers {
        let mut leftovers = Leftovers::default();
        let before = state.inbox.len();
        while let Some(parcel) = arrived.pop_front() {
            // Most signals have done what they came for, and go at once.
            if let Some(unwanted) = self.take_in::<TRACED>(state, parcel)
                && !unwanted.is_self_contained()
            {
                leftovers.discard(unwanted);
            }
        }
        if state.receiver.is_some() && (state.inbox.len() > before || state.answered) {
            leftovers.remains().receiver = state.receiver.take();
        }
        state.answered = false;
        leftovers
    }

    /// Handles one parcel; gives it back when nobody wants it.
    fn take_in<const TRACED: bool>(&self, state: &mut State, mut parcel: Parcel) -> Option<Parcel> {
        let Envelope {
            from,
            reference,
            kind,
            ..
        } = *parcel.header();
        match kind {
            Kind::Message | Kind::News => {}
            Kind::Call => {
                state.monitored_by.insert(reference, from);
            }
            Kind::Reply => {
                // An answer of the VM's is no tuple, and no message either.
                if TRACED && parcel.root().as_tuple().is_some() && awaits(state, reference) {
                    self.trace_received(state, &parcel);
                }
                // To nobody's request: a message, if it was asked for by an alias made by hand.
                parcel = answer(state, reference, parcel)?;
                let is_message = parcel.root().as_tuple().is_some();
                let owner = self.pid().filter(|_| is_message);
                if !owner.is_some_and(|owner| state.accepts(self.core(), owner, reference)) {
                    return Some(parcel);
                }
            }
            Kind::Refused => {
                if let Some(request) = state.requests.get_mut(&reference) {
                    let max_len = parcel.root().as_i64().unwrap_or(0) as usize;
                    let refused = Answer::Refused(MailboxFull::new(max_len));
                    request.answer.get_or_insert(refused);
                    state.answered = true;
                }
                return Some(parcel);
            }
            Kind::Down => {
                if let Some(request) = state.requests.get_mut(&reference) {
                    let reason = envelope::reason_of(&parcel);
                    request.answer.get_or_insert(Answer::Down(reason));
                    state.answered = true;
                    return Some(parcel);
                }
                // Else demonitored meanwhile.
                match state.remove_monitor(self.core(), reference) {
                    Some((_, extras)) => parcel = extras.retell(parcel),
                    None => match state.tell_suspender(from, reference, SuspendOutcome::Exited) {
                        Some(message) => parcel = message,
                        None => return Some(parcel),
                    },
                }
            }
            Kind::Alias => {
                let owner = self.pid();
                if !owner.is_some_and(|owner| state.accepts(self.core(), owner, reference)) {
                    return Some(parcel);
                }
            }
            Kind::Exit => {
                let reason = envelope::reason_of(&parcel);
                if reason.is_kill() {
                    state.killed = true;
                    self.doom(state, ExitReason::killed());
                    return Some(parcel);
                }
                if !state.trap_exit {
                    // `normal` from another process is ignored, from oneself it isn't.
                    if !reason.is_normal() || self.pid() == Some(from) {
                        self.doom(state, reason);
                    }
                    return Some(parcel);
                }
            }
            Kind::LinkExit => {
                // Unlinked meanwhile.
                if state.links.remove(&from).is_none() {
                    return Some(parcel);
                }
                if !state.trap_exit {
                    let reason = envelope::reason_of(&parcel);
                    if !reason.is_normal() {
                        self.doom(state, reason);
                    }
                }
                // Of one that ends by it, nothing more is told.
                if TRACED {
                    self.trace_signal(state, Event::GettingUnlinked(from));
                }
                if !state.trap_exit {
                    return Some(parcel);
                }
            }
            Kind::Link => {
                // Once its end is decided it is as good as gone, as for `AliveRequest`.
                if state.exit.is_some() && !state.is_linked(from) {
                    refuse_link(self.core(), self.pid()?, from);
                } else if state.linked_from(from) && TRACED {
                    self.trace_signal(state, Event::GettingLinked(from));
                }
                return Some(parcel);
            }
            Kind::Unlink => {
                let was_linked = state.links.remove(&from).is_some();
                acknowledge_unlink(self.core(), self.pid()?, from, reference);
                if TRACED && was_linked {
                    self.trace_signal(state, Event::GettingUnlinked(from));
                }
                return Some(parcel);
            }
            Kind::UnlinkAck => {
                state.unlinked(from, reference);
                return Some(parcel);
            }
            Kind::Monitor => {
                if state.exit.is_some() {
                    let noproc = envelope::down(self.pid()?, reference, &ExitReason::noproc());
                    self.core().signal(from, noproc);
                } else {
                    state.monitored_by.insert(reference, from);
                }
                return Some(parcel);
            }
            Kind::Demonitor => {
                state.monitored_by.remove(&reference);
                return Some(parcel);
            }
            Kind::Suspend => {
                let rare = state.rare();
                rare.suspenders.insert(from, ());
                rare.rest_awaited.push((from, reference));
                self.note(Attention::SUSPENDED);
                // Answered between two runs of the body: this may be in the middle of one.
                self.note_asked();
                return Some(parcel);
            }
            Kind::Suspended => match state.rests(from, reference) {
                Some(message) => parcel = message,
                None => return answer(state, reference, parcel),
            },
            Kind::Resume => {
                if let Some(rare) = &mut state.rare
                    && rare.suspenders.remove(&from).is_some()
                    && rare.suspenders.is_empty()
                {
                    self.forget(Attention::SUSPENDED);
                    self.wake();
                    state.shed_rare();
                }
                return Some(parcel);
            }
            Kind::GroupLeader => {
                state.group_leader = parcel.root().as_pid().map(OrHost).unwrap_or_default();
                return Some(parcel);
            }
            Kind::Collect => {
                self.memory(state)
                    .request(CollectRequest { from, reference });
                self.note_asked();
                return Some(parcel);
            }
            // There are none but strays.
            Kind::Nudge => return Some(parcel),
            Kind::AliveRequest => {
                let pid = self.pid()?;
                // An exit signal before the question counts: the process is as good as gone.
                let answer = if state.exit.is_some() {
                    envelope::down(pid, reference, &ExitReason::noproc())
                } else {
                    envelope::signal(Kind::Reply, pid, reference)
                };
                // Whoever asked may be gone; then nobody waits for the answer.
                self.core().signal(from, answer);
                return Some(parcel);
            }
        }
        if TRACED {
            self.trace_received(state, &parcel);
        }
        state.inbox.push_back(parcel);
        None
    }

    /// Has the next slice, or this one, do what others wait for.
    fn note_asked(&self) {
        self.note(Attention::ASKED);
        if !self.pid().is_some_and(is_running) {
            // As in `doom`.
            self.wake();
        }
    }

    /// Decides that the process ends. The first reason counts.
    pub(super) fn doom(&self, state: &mut State, reason: ExitReason) {
        state.exit.get_or_insert(reason);
        self.note(Attention::DOOMED);
        if !self.pid().is_some_and(is_running) {
            // The drain is another thread's, that of a Context moved there or of who asks how long the mailbox is,
            // while the slice that the signal woke may have found the mailbox empty.
            self.wake();
        }
    }
}

/// Whether a reply to that request is wanted still.
fn awaits(state: &mut State, reference: Ref) -> bool {
    let request = state.requests.get_mut(&reference);
    request.is_some_and(|request| request.answer.is_none())
}

/// Files a reply with its request; gives it back when the request is over.
fn answer(state: &mut State, reference: Ref, parcel: Parcel) -> Option<Parcel> {
    let request = match state.requests.get_mut(&reference) {
        Some(request) if request.answer.is_none() => request,
        _ => return Some(parcel),
    };
    request.answer = Some(Answer::Reply(parcel));
    state.answered = true;
    None
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::task::{Wake, Waker};

    use super::Leftovers;

    struct Panics;

    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("a waker of the receiver's");
        }
    }

    struct Sender(AtomicBool);

    impl Wake for Sender {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// Room was kept for it, and nobody would wake it again.
    #[test]
    fn a_sender_learns_of_its_room_though_the_receivers_waker_panics() {
        let sender = Arc::new(Sender(AtomicBool::new(false)));
        let mut leftovers = Leftovers::default();
        leftovers.senders().push(Arc::clone(&sender).into());
        leftovers.remains().receiver = Some(Waker::from(Arc::new(Panics)));
        let finished = catch_unwind(AssertUnwindSafe(|| leftovers.finish()));
        assert!(finished.is_err());
        assert!(sender.0.load(Ordering::Relaxed));
    }
}
