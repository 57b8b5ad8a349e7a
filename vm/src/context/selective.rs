//! Selective receive: the first message that fits, of all or of those that are newer than a mark.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{self, Poll, ready};

use otp_heap::Pid;
use serde::de::DeserializeOwned;

use super::Context;
use super::receive::{Timeout, Waiter};
use super::time::Alarm;
use crate::core::Core;
use crate::inbox::{MarkId, Scan, Scanned};
use crate::message::Message;
use crate::process::{Attention, Leftovers};

impl Context {
    /// The first message for which `select` gives a value; the others stay, in order.
    /// Selective `receive`, with `after`; [`receive!`](crate::receive!) has patterns for it.
    ///
    /// `select` sees each message once for each receive. Each look is a reduction, and when the slice is used up others
    /// run. Dropping the future loses nothing; a panic in `select` neither.
    pub fn receive_where<T, S>(
        &mut self,
        after: impl Into<Timeout>,
        select: S,
    ) -> ReceiveWhere<'_, S>
    where
        S: FnMut(&Message) -> Option<T> + Send,
    {
        ReceiveWhere {
            select,
            selective: Selective::new(self, after.into(), None),
        }
    }

    /// As [`Context::receive_where`], of the messages that came after the mark was made: what is older is not looked
    /// at, and costs nothing.
    pub fn receive_since<'cx, T, S>(
        &'cx mut self,
        mark: &'cx ReceiveMark,
        after: impl Into<Timeout>,
        select: S,
    ) -> ReceiveWhere<'cx, S>
    where
        S: FnMut(&Message) -> Option<T> + Send,
    {
        let mark = (mark.owner == self.pid).then_some(mark.id);
        ReceiveWhere {
            select,
            selective: Selective::new(self, after.into(), mark),
        }
    }

    /// The first message that decodes as a `T`, or None when none came in time; the others stay, in order.
    /// Dropping the future loses nothing.
    ///
    /// ```
    /// # use otp_vm::{Timeout, Vm};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// let run = vm.run(|mut cx| async move {
    ///     cx.send(cx.pid(), "a text").unwrap();
    ///     cx.send(cx.pid(), &(20, 22)).unwrap();
    ///     let (a, b) = cx.receive_as::<(i32, i32)>(Timeout::Infinity).await.unwrap();
    ///     (a + b, cx.message_queue_len())
    /// });
    /// assert_eq!(run.wait()?, (42, 1));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub async fn receive_as<T: DeserializeOwned>(
        &mut self,
        after: impl Into<Timeout>,
    ) -> Option<T> {
        self.receive_where(after, |message| message.decode().ok())
            .await
    }

    /// The first message for which `fits` holds, or None when none came in time; the others stay, in order.
    /// Dropping the future loses nothing.
    pub async fn receive_matching(
        &mut self,
        after: impl Into<Timeout>,
        mut fits: impl FnMut(&Message) -> bool + Send,
    ) -> Option<Message> {
        let mut selective = Selective::new(self, after.into(), None);
        let mut select = |message: &Message| fits(message).then_some(());
        let found = std::future::poll_fn(|task| selective.poll(task, &mut select)).await;
        found.map(|((), message)| message)
    }

    /// Marks the mailbox's end: [`Context::receive_since`] passes by all that is older. For a reference that is made
    /// after the mark, since no message with it can be older: so waiting for an answer costs the same whatever else
    /// waits, as OTP's compiler arranges for a receive that matches on a fresh reference.
    ///
    /// It ends when it is dropped. There may be several; a process that holds more than 64 gets one that marks nothing,
    /// from which a receive looks at all messages.
    ///
    /// ```
    /// # use otp_vm::{Timeout, Vm, term_match, Ref};
    /// # let vm = Vm::builder().schedulers(1).build()?;
    /// # let run = vm.run(|mut cx| async move {
    /// # let server = cx.spawn(|mut cx| async move {
    /// #     let (from, tag): (otp_vm::Pid, Ref) = cx.receive().await.decode().unwrap();
    /// #     cx.send(from, &(tag, 42)).unwrap();
    /// # }).unwrap();
    /// let mark = cx.receive_mark();
    /// let tag = cx.make_ref();
    /// cx.send(server, &(cx.pid(), tag)).unwrap();
    /// let answer = cx
    ///     .receive_since(&mark, Timeout::Infinity, |message| {
    ///         term_match!(message.term(), {(tag), answer: i32})
    ///     })
    ///     .await;
    /// # answer });
    /// # assert_eq!(run.wait()?, Some(42));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn receive_mark(&self) -> ReceiveMark {
        let mut id = 0;
        if let Some(mut state) = self.state() {
            let leftovers = self.process().drain(&mut state);
            id = state.inbox.mark();
            drop(state);
            leftovers.finish();
        }
        ReceiveMark {
            core: Arc::clone(self.vm.core()),
            owner: self.pid,
            id,
        }
    }
}

/// A mark in a process's mailbox: see [`Context::receive_mark`]. It ends when it is dropped.
pub struct ReceiveMark {
    core: Arc<Core>,
    owner: Pid,
    id: MarkId,
}

impl fmt::Debug for ReceiveMark {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ReceiveMark")
            .field("owner", &self.owner)
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

impl Drop for ReceiveMark {
    fn drop(&mut self) {
        self.core
            .with_state(self.owner, |state| state.inbox.unmark(self.id));
    }
}

/// The future of [`Context::receive_where`] and [`Context::receive_since`].
#[must_use = "a receive does nothing until it is awaited"]
pub struct ReceiveWhere<'cx, S> {
    select: S,
    selective: Selective<'cx>,
}

impl<S> fmt::Debug for ReceiveWhere<'_, S> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ReceiveWhere")
            .field("cx", &self.selective.cx)
            .finish_non_exhaustive()
    }
}

// Nothing in it is pinned.
impl<S> Unpin for ReceiveWhere<'_, S> {}

impl<T, S> Future for ReceiveWhere<'_, S>
where
    S: FnMut(&Message) -> Option<T> + Send,
{
    type Output = Option<T>;

    fn poll(mut self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Option<T>> {
        let this = &mut *self;
        let found = ready!(this.selective.poll(task, &mut this.select));
        Poll::Ready(found.map(|(value, _)| value))
    }
}

/// A selective receive. It has the Context alone: nobody else takes messages meanwhile.
struct Selective<'cx> {
    cx: &'cx mut Context,
    alarm: Alarm,
    mark: Option<MarkId>,
    begun: bool,
}

impl<'cx> Selective<'cx> {
    fn new(cx: &'cx mut Context, after: Timeout, mark: Option<MarkId>) -> Self {
        let alarm = Alarm::new(cx, after);
        Self {
            cx,
            alarm,
            mark,
            begun: false,
        }
    }

    /// What `select` gave, and for which message; None when the time is over.
    fn poll<T>(
        &mut self,
        task: &mut task::Context<'_>,
        select: &mut impl FnMut(&Message) -> Option<T>,
    ) -> Poll<Option<(T, Message)>> {
        ready!(otp_scheduler::poll_proceed(task));
        let mut waiter = Waiter::new(self.cx, task);
        self.alarm.arm_foreign(self.cx, task);
        loop {
            let Some(mut state) = self.cx.waiting_state() else {
                return self.cx.wait_in_vain(task);
            };
            let leftovers = self.cx.process().drain(&mut state);
            if state.exit.is_some() {
                drop(state);
                leftovers.finish();
                return self.cx.wait_in_vain(task);
            }
            if !self.begun {
                self.begun = true;
                state.inbox.begin_receive(self.mark);
            }
            let Some(scan) = state.inbox.begin_scan() else {
                waiter.wait(self.cx, &mut state);
                let over = self.alarm.poll(self.cx, &mut state, task);
                drop(state);
                leftovers.finish();
                if over.is_ready() {
                    self.cx.trace_timeout();
                }
                return over.map(|()| None);
            };
            // Before what may panic: it ends the scan.
            drop(state);
            let looks = Looks {
                cx: self.cx,
                scan,
                ended: false,
            };
            leftovers.finish();
            match looks.run(select) {
                Looked::Found(value, Some(message)) => return Poll::Ready(Some((value, message))),
                // Its process ended meanwhile.
                Looked::Found(_, None) | Looked::All => {}
                Looked::SliceOver => {
                    task.waker().wake_by_ref();
                    return Poll::Pending;
                }
            }
        }
    }
}

/// The looks at the messages, outside of the process's lock; the scan ends whatever happens.
struct Looks<'cx> {
    cx: &'cx Context,
    scan: Scan,
    ended: bool,
}

enum Looked<T> {
    Found(T, Option<Message>),
    All,
    SliceOver,
}

impl Looks<'_> {
    fn run<T>(mut self, select: &mut impl FnMut(&Message) -> Option<T>) -> Looked<T> {
        loop {
            let slice_over = otp_scheduler::tick(1);
            let parcel = self.scan.message();
            if let Some(value) = select(Message::borrowed(&parcel)) {
                return Looked::Found(value, self.end(true));
            }
            if !self.scan.pass() {
                return Looked::All;
            }
            if slice_over {
                return Looked::SliceOver;
            }
        }
    }

    fn end(&mut self, takes: bool) -> Option<Message> {
        self.ended = true;
        let process = self.cx.process();
        let mut state = process.lock();
        let scanned = state.inbox.end_scan(&self.scan, takes);
        if state.inbox.is_empty() && matches!(scanned, Scanned::Ended(_)) {
            process.forget(Attention::HOLDS);
        }
        let mut leftovers = Leftovers::default();
        if takes && process.attention().has(Attention::COUNTED) {
            process.messages_left(&mut state, &mut leftovers);
        }
        drop(state);
        leftovers.finish();
        match scanned {
            Scanned::Ended(parcel) => parcel.map(Message::new),
            Scanned::Orphaned(messages) => {
                drop(messages);
                None
            }
        }
    }
}

impl Drop for Looks<'_> {
    fn drop(&mut self) {
        if !self.ended {
            self.end(false);
        }
    }
}
