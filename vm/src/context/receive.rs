//! Receiving: the next message, or the first that fits.
//!
//! The messages stay in the inbox until one is chosen (`inbox.rs`), so a receive that is dropped half-way loses
//! nothing. A selective one looks at each message once; `selective.rs` has it.

use std::mem;
use std::pin::Pin;
use std::task::{self, Poll, Waker, ready};
use std::time::Duration;

use otp_scheduler::lock::MutexGuard;

use super::Context;
use super::time::Alarm;
use crate::envelope::Parcel;
use crate::message::Message;
use crate::process::{Attention, Leftovers, Process, State, is_running, own_waker_matches};

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

    /// Without the lock: no message is there, and nothing else to be seen to. If one comes after this look it finds the
    /// mailbox empty, so the process is woken.
    #[inline]
    pub(super) fn finds_nothing(&self) -> bool {
        let process = self.process();
        // In this order: see `Process::drain`.
        process.mailbox.is_empty()
            && !process.attention().has(Attention::BESIDE_MESSAGES)
            && process.is(self.pid)
    }

    /// The next message, if there is one: all that nearly every receive does.
    #[inline]
    fn next_message(&self) -> Option<Message> {
        let process = self.process();
        let mut state = self.state_here()?;
        let parcel = match process.take_lone(&mut state) {
            Some(parcel) => {
                drop(state);
                parcel
            }
            None => {
                let mut leftovers = process.drain_for_next(&mut state);
                let parcel = take_next(process, &mut state, &mut leftovers);
                drop(state);
                leftovers.finish();
                parcel?
            }
        };
        let message = Message::new(parcel);
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
fn take_next(process: &Process, state: &mut State, leftovers: &mut Leftovers) -> Option<Parcel> {
    if state.exit.is_some() {
        return None;
    }
    let parcel = state.inbox.pop_front();
    if state.inbox.is_empty() {
        process.forget(Attention::HOLDS);
    }
    if process.attention().has(Attention::COUNTED) {
        process.messages_left(state, leftovers);
    }
    parcel
}

fn poll_receive(
    cx: &Context,
    mut alarm: Option<&mut Alarm>,
    task: &mut task::Context<'_>,
) -> Poll<Option<Message>> {
    let waiter = Waiter::new(cx, task);
    if let Some(alarm) = &mut alarm {
        alarm.arm_foreign(cx, task);
    }
    match cx.waiting_state() {
        Some(state) => receive_in(cx, state, waiter, alarm, task),
        None => cx.wait_in_vain(task),
    }
}

/// A receive of the host program's, which may outlive the process: then it waits, and whoever polls learns of the end
/// in another way.
pub(crate) fn poll_receive_of_host(
    cx: &Context,
    mut alarm: Option<&mut Alarm>,
    task: &mut task::Context<'_>,
) -> Poll<Option<Message>> {
    let waiter = Waiter::new(cx, task);
    if let Some(alarm) = &mut alarm {
        alarm.arm_foreign(cx, task);
    }
    match cx.state() {
        Some(state) => receive_in(cx, state, waiter, alarm, task),
        None => Poll::Pending,
    }
}

#[inline]
fn receive_in(
    cx: &Context,
    mut state: MutexGuard<'_, State>,
    mut waiter: Waiter,
    alarm: Option<&mut Alarm>,
    task: &mut task::Context<'_>,
) -> Poll<Option<Message>> {
    let mut leftovers = cx.process().drain_for_next(&mut state);
    let ends = state.exit.is_some();
    let message = take_next(cx.process(), &mut state, &mut leftovers);
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
