//! Receiving: the next message, or the first that fits.
//!
//! A selective receive sets aside what it passes over (`State::skipped`), so that each message is
//! looked at once for each receive; when the next receive begins, what was set aside comes first
//! again. A receive that is dropped half-way loses nothing.

use std::mem;
use std::pin::Pin;
use std::task::{self, Poll, Waker, ready};
use std::time::Duration;

use super::Context;
use super::time::Alarm;
use crate::envelope::Parcel;
use crate::mailbox::Queue;
use crate::message::Message;
use crate::process::{Attention, Process, State, is_running, own_waker_matches};

/// How long to wait. `after` in OTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timeout {
    /// For ever.
    Infinity,
    /// This long; not before it is over. Zero: only look.
    After(Duration),
}

impl From<Duration> for Timeout {
    fn from(duration: Duration) -> Self {
        Self::After(duration)
    }
}

impl From<Option<Duration>> for Timeout {
    fn from(duration: Option<Duration>) -> Self {
        duration.map_or(Self::Infinity, Self::After)
    }
}

impl Context {
    /// The next message, in order of arrival. Dropping the future loses nothing.
    pub fn receive(&mut self) -> Receive<'_> {
        Receive { cx: self }
    }

    /// The next message, or None when none came in time. `receive … after`.
    pub async fn receive_timeout(&mut self, after: impl Into<Timeout>) -> Option<Message> {
        let mut alarm = Alarm::new(self, after.into());
        let cx = &*self;
        std::future::poll_fn(move |task| {
            ready!(otp_scheduler::poll_proceed(task));
            poll_receive(cx, Some(&mut alarm), task)
        })
        .await
    }

    /// The first message for which `select` gives a value; the others stay, in order.
    /// Selective `receive`, with `after`.
    ///
    /// `select` sees each message once for each receive. Dropping the future loses nothing.
    pub fn receive_where<T, S>(
        &mut self,
        after: impl Into<Timeout>,
        select: S,
    ) -> ReceiveWhere<'_, S>
    where
        S: FnMut(&Message) -> Option<T> + Send,
    {
        let alarm = Alarm::new(self, after.into());
        ReceiveWhere {
            cx: self,
            select,
            alarm,
            started: false,
        }
    }

    /// Without the lock: no message is there, and nothing else to be seen to. If one comes after this look it finds the
    /// mailbox empty, so the process is woken.
    #[inline]
    fn finds_nothing(&self) -> bool {
        let process = self.process();
        // In this order: see `Process::drain`.
        process.mailbox.is_empty()
            && process.attention() == Attention::NOTHING
            && process.is(self.pid)
    }

    /// The next message, if there is one: all that nearly every receive does.
    #[inline]
    fn next_message(&self) -> Option<Message> {
        let mut state = self.state()?;
        let leftovers = self.process().drain(&mut state);
        let parcel = take_next(self.process(), &mut state);
        drop(state);
        leftovers.finish();
        let message = Message::new(parcel?);
        otp_scheduler::tick(1);
        Some(message)
    }

    /// How many messages wait. `process_info(self(), message_queue_len)`.
    pub fn message_queue_len(&self) -> usize {
        let Some(mut state) = self.state() else {
            return 0;
        };
        let leftovers = self.process().drain(&mut state);
        let len = state.queue_len();
        drop(state);
        leftovers.finish();
        len
    }
}

/// The future of [`Context::receive`].
#[derive(Debug)]
#[must_use = "a receive does nothing until it is awaited"]
pub struct Receive<'cx> {
    cx: &'cx mut Context,
}

impl Future for Receive<'_> {
    type Output = Message;

    fn poll(self: Pin<&mut Self>, task: &mut task::Context<'_>) -> Poll<Message> {
        ready!(otp_scheduler::poll_proceed(task));
        if own_waker_matches(self.cx.process(), task.waker()) {
            if self.cx.finds_nothing() {
                return Poll::Pending;
            }
            if let Some(message) = self.cx.next_message() {
                return Poll::Ready(message);
            }
        }
        poll_receive(self.cx, None, task)
            .map(|message| message.expect("without an alarm it waits for a message"))
    }
}

/// The next message of a process that goes on.
#[inline]
fn take_next(process: &Process, state: &mut State) -> Option<Parcel> {
    if state.exit.is_some() {
        return None;
    }
    let parcel = match state.skipped.pop_front() {
        None => state.inbox.pop_front(),
        skipped => skipped,
    };
    if state.skipped.is_empty() && state.inbox.is_empty() {
        process.forget(Attention::HOLDS);
    }
    parcel
}

fn poll_receive(
    cx: &Context,
    mut alarm: Option<&mut Alarm>,
    task: &mut task::Context<'_>,
) -> Poll<Option<Message>> {
    let mut waiter = Waiter::new(cx, task);
    if let Some(alarm) = &mut alarm {
        alarm.arm_foreign(cx, task);
    }
    let Some(mut state) = cx.waiting_state() else {
        return cx.wait_in_vain(task);
    };
    let leftovers = cx.process().drain(&mut state);
    let ends = state.exit.is_some();
    let message = take_next(cx.process(), &mut state);
    let mut timed_out = false;
    if message.is_none() {
        waiter.wait(cx, &mut state);
        timed_out = !ends && alarm.is_some_and(|alarm| alarm.poll(cx, &mut state, task).is_ready());
    }
    drop(state);
    leftovers.finish();
    match message {
        Some(parcel) => {
            otp_scheduler::tick(1);
            Poll::Ready(Some(Message::new(parcel)))
        }
        None if timed_out => {
            cx.trace_timeout();
            Poll::Ready(None)
        }
        None if ends => cx.wait_in_vain(task),
        None => Poll::Pending,
    }
}

/// The waker of a receive inside a foreign combinator; the process's own needs no keeping. It is
/// cloned before the lock is taken and the one before it dropped after it is given up: both are
/// the program's code.
pub(super) struct Waiter(Option<Waker>);

impl Waiter {
    pub(super) fn new(cx: &Context, task: &task::Context<'_>) -> Self {
        let waker = task.waker();
        Self((!own_waker_matches(cx.process(), waker)).then(|| waker.clone()))
    }

    /// Has the waker woken at the next message or answer.
    pub(super) fn wait(&mut self, cx: &Context, state: &mut State) {
        if self.0.is_some() {
            mem::swap(&mut state.receiver, &mut self.0);
            let process = cx.process();
            if !process.attention().has(Attention::FOREIGN) {
                process.note(Attention::FOREIGN);
                if !is_running(cx.pid) {
                    // A slice for a message that came since the drain may have begun before it could know.
                    process.wake();
                }
            }
        }
    }
}

/// The future of [`Context::receive_where`].
#[must_use = "a receive does nothing until it is awaited"]
pub struct ReceiveWhere<'cx, S> {
    cx: &'cx mut Context,
    select: S,
    alarm: Alarm,
    started: bool,
}

impl<S> std::fmt::Debug for ReceiveWhere<'_, S> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("ReceiveWhere")
            .field("cx", &self.cx)
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
        ready!(otp_scheduler::poll_proceed(task));
        let this = &mut *self;
        if !this.started {
            this.started = true;
            if let Some(mut state) = this.cx.waiting_state() {
                merge_skipped(&mut state);
            }
        }
        let mut waiter = Waiter::new(this.cx, task);
        this.alarm.arm_foreign(this.cx, task);
        loop {
            let Some(mut state) = this.cx.waiting_state() else {
                return this.cx.wait_in_vain(task);
            };
            let leftovers = this.cx.process().drain(&mut state);
            if state.exit.is_some() {
                drop(state);
                leftovers.finish();
                return this.cx.wait_in_vain(task);
            }
            if state.inbox.is_empty() {
                waiter.wait(this.cx, &mut state);
                let over = this.alarm.poll(this.cx, &mut state, task);
                drop(state);
                leftovers.finish();
                if over.is_ready() {
                    this.cx.trace_timeout();
                }
                return over.map(|()| None);
            }
            let arrived = mem::take(&mut state.inbox);
            drop(state);
            leftovers.finish();
            let mut scan = Scan {
                cx: this.cx,
                arrived,
                passed: Queue::default(),
            };
            if let Some(found) = scan.run(&mut this.select) {
                return Poll::Ready(Some(found));
            }
        }
    }
}

/// Puts what an earlier selective receive passed over back in front.
fn merge_skipped(state: &mut State) {
    if state.skipped.is_empty() {
        return;
    }
    let mut all = mem::take(&mut state.skipped);
    all.append(mem::take(&mut state.inbox));
    state.inbox = all;
}

/// Messages out of the lock while the program's closure looks at them; they go back whatever
/// happens.
struct Scan<'cx> {
    cx: &'cx Context,
    arrived: Queue,
    passed: Queue,
}

impl Scan<'_> {
    fn run<T>(&mut self, select: &mut impl FnMut(&Message) -> Option<T>) -> Option<T> {
        while let Some(parcel) = self.arrived.pop_front() {
            otp_scheduler::tick(1);
            let message = Message::new(parcel);
            match select(&message) {
                Some(found) => return Some(found),
                None => self.passed.push_back(message.into_parcel()),
            }
        }
        None
    }
}

impl Drop for Scan<'_> {
    fn drop(&mut self) {
        let passed = mem::take(&mut self.passed);
        let mut arrived = mem::take(&mut self.arrived);
        // A process that ended meanwhile has nobody to keep them for.
        if let Some(mut state) = self.cx.state() {
            self.cx.process().note(Attention::HOLDS);
            state.skipped.append(passed);
            if !arrived.is_empty() {
                arrived.append(mem::take(&mut state.inbox));
                state.inbox = arrived;
            }
        }
    }
}
