//! The limit on how many messages wait for a process, and what happens to one more.

use serde::Serialize;

use crate::context::{Context, SpawnOptions};
use crate::exit_reason::ExitReason;
use crate::vm::VmBuilder;

/// How many messages may wait for a process, and what happens to one more.
///
/// What counts are the messages that were sent to the process and that it has not received. The limit is about what
/// the program sends: messages, casts, requests of calls, through aliases and from timers as well. Signals never wait
/// behind it, and are never refused or dropped: exits, links, monitors, and what becomes of them in a mailbox
/// (`'EXIT'`, `'DOWN'`), replies to calls, tables handed over, answers of the VM's own. These count, but for replies to
/// calls, which lie elsewhere; so a mailbox may hold more than its limit.
///
/// The length is exact, but for sends that are under way while the limit is set: of these each thread may add one.
///
/// Whoever sends to a process that has a limit takes its lock; to others nothing changes. When a mailbox becomes full
/// an event of `tracing` tells of it (target `otp_vm::mailbox_limit`), once until at most half of the limit wait; and
/// each message that is refused or dropped is counted, with the process ([`ProcessInfo::mailbox`]) and with the VM
/// ([`SystemInfo::messages_rejected`], [`SystemInfo::messages_dropped`]).
///
/// [`ProcessInfo::mailbox`]: crate::ProcessInfo::mailbox
/// [`SystemInfo::messages_rejected`]: crate::SystemInfo::messages_rejected
/// [`SystemInfo::messages_dropped`]: crate::SystemInfo::messages_dropped
///
/// ```
/// use otp_vm::{MailboxLimit, SendError, SpawnOptions, Vm};
///
/// let vm = Vm::builder().schedulers(1).build()?;
/// let options = SpawnOptions::new().mailbox_limit(MailboxLimit::reject(2));
/// let slow = vm.spawn_opt(options, |_| std::future::pending::<()>())?;
/// vm.send(slow, "one")?;
/// vm.send(slow, "two")?;
/// assert!(matches!(vm.send(slow, "three"), Err(SendError::MailboxFull(_))));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub struct MailboxLimit {
    /// Messages; 0 for no limit.
    pub max_len: usize,
    /// What happens to one more.
    pub when_full: WhenFull,
}

/// What happens to a message for a full mailbox: see [`MailboxLimit`]. A sender that waits for room instead
/// ([`Context::send_wait`]) is not concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum WhenFull {
    /// It goes in all the same: the limit is a mark that is only told of.
    #[default]
    Tell,
    /// Its sender gets an error: [`SendError::MailboxFull`](crate::SendError), of a call
    /// [`CallError::MailboxFull`](crate::CallError). What a timer sends is dropped.
    Reject,
    /// It is dropped, and its sender doesn't learn of it; but who calls does, as with `Reject`.
    DropNewest,
    /// The oldest message is dropped in its place, and if that is a request, its caller gets
    /// [`CallError::MailboxFull`](crate::CallError). Where none of the oldest messages may be dropped (`'DOWN'`
    /// messages, say; [`OLDEST_LOOKS`] of them are looked at), the new one is, as with `DropNewest`; so it is while a
    /// selective receive is looking at all that there is.
    DropOldest,
    /// The process that has the mailbox is killed, whether it traps exits or not, with reason
    /// `{mailbox_limit, MaxLen}`.
    Kill,
}

/// Messages that [`WhenFull::DropOldest`] looks at, for one that may be dropped: each send to a full mailbox may look
/// at as many, under the receiver's lock. Chosen by feel.
pub const OLDEST_LOOKS: usize = 64;

impl MailboxLimit {
    /// No limit.
    pub const NONE: Self = Self::of(0, WhenFull::Tell);

    const fn of(max_len: usize, when_full: WhenFull) -> Self {
        Self { max_len, when_full }
    }

    /// An event at a mark of so many messages; 0 for none. See [`WhenFull::Tell`].
    pub const fn tell(max_len: usize) -> Self {
        Self::of(max_len, WhenFull::Tell)
    }

    /// At most so many messages, 0 for no limit; further ones are an error of their sender's: [`WhenFull::Reject`].
    pub const fn reject(max_len: usize) -> Self {
        Self::of(max_len, WhenFull::Reject)
    }

    /// At most so many messages, 0 for no limit; further ones are dropped: [`WhenFull::DropNewest`].
    pub const fn drop_newest(max_len: usize) -> Self {
        Self::of(max_len, WhenFull::DropNewest)
    }

    /// At most so many messages, 0 for no limit; the oldest leave for further ones: [`WhenFull::DropOldest`].
    pub const fn drop_oldest(max_len: usize) -> Self {
        Self::of(max_len, WhenFull::DropOldest)
    }

    /// At most so many messages, 0 for no limit; one more kills the process: [`WhenFull::Kill`].
    pub const fn kill(max_len: usize) -> Self {
        Self::of(max_len, WhenFull::Kill)
    }
}

/// A mailbox holds as many messages as it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the receiver's mailbox is full: its limit is {max_len} messages; send less, wait for room with `send_wait`, or \
     give the process a higher limit"
)]
#[non_exhaustive]
pub struct MailboxFull {
    /// The limit, in messages.
    pub max_len: usize,
}

impl MailboxFull {
    pub(crate) const fn new(max_len: usize) -> Self {
        Self { max_len }
    }

    /// `{mailbox_limit, MaxLen}`: what [`WhenFull::Kill`] ends a process with, and whoever can't go on without a call's
    /// reply.
    pub fn reason(&self) -> ExitReason {
        ExitReason::new(&(Tag::MailboxLimit, self.max_len))
    }
}

#[derive(Serialize)]
enum Tag {
    MailboxLimit,
}

/// What became of a process's mailbox so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MailboxInfo {
    /// The limit on it.
    pub limit: MailboxLimit,
    /// Times that it was found full, after at most half of the limit waited.
    pub times_full: u64,
    /// Messages that were an error of their sender's.
    pub rejected: u64,
    /// Messages that were dropped, those sent to a process that its limit kills included.
    pub dropped: u64,
    /// Who waits for room: [`Context::send_wait`].
    pub waiting_senders: usize,
}

impl VmBuilder {
    /// The limit on the mailboxes of all processes that are not told otherwise, those of behaviours and supervisors as
    /// well; by default none, as in OTP.
    pub fn mailbox_limit(mut self, limit: MailboxLimit) -> Self {
        self.mailbox_limit = limit;
        self
    }
}

impl SpawnOptions {
    /// The limit on its mailbox; by default the VM's, whatever the maker's is.
    pub fn mailbox_limit(mut self, limit: MailboxLimit) -> Self {
        self.mailbox_limit = Some(limit);
        self
    }
}

impl Context {
    /// Sets the limit on the process's mailbox, and gives what was set before. Messages that are over it already stay;
    /// who waits for room looks again.
    ///
    /// ```
    /// use otp_vm::{MailboxLimit, Vm};
    ///
    /// let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     let before = cx.set_mailbox_limit(MailboxLimit::drop_oldest(2));
    ///     for number in 0..5 {
    ///         cx.send(cx.pid(), &number).unwrap();
    ///     }
    ///     let dropped = cx.process_info(cx.pid()).unwrap().mailbox.dropped;
    ///     (before, dropped, cx.receive().await.decode::<u8>().unwrap())
    /// });
    /// assert_eq!(run.wait()?, (MailboxLimit::NONE, 3, 3));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_mailbox_limit(&self, limit: MailboxLimit) -> MailboxLimit {
        let Some(mut state) = self.state() else {
            return limit;
        };
        let (before, leftovers) = self.process().limit_mailbox(&mut state, limit);
        drop(state);
        leftovers.finish();
        before
    }
}
