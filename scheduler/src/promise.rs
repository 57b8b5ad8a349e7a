//! A promise: the place for one result, which comes once, and which one handle takes, by a poll or by a blocking wait.
//!
//! Wakers are the program's: their `clone` and `drop` may run any code, which may come back here, or panic. So none of
//! that happens under the lock: a waker is cloned before the lock is taken for it, and what it replaces is dropped
//! after.

use std::mem;
use std::task::{Context, Poll, Waker};

use crate::lock::{Condvar, Mutex, MutexGuard};

pub(crate) struct Promise<T> {
    state: Mutex<State<T>>,
    kept: Condvar,
}

enum State<T> {
    /// Nothing has come yet. Who is to be woken, if somebody polled.
    Open(Option<Waker>),
    Kept(T),
    Taken,
}

impl<T> Promise<T> {
    pub(crate) fn new() -> Promise<T> {
        Promise {
            state: Mutex::new(State::Open(None)),
            kept: Condvar::new(),
        }
    }

    /// The result has come: once.
    pub(crate) fn keep(&self, result: T) {
        let before = mem::replace(&mut *self.state.lock(), State::Kept(result));
        self.kept.notify_all();
        if let State::Open(Some(waker)) = before {
            waker.wake();
        }
    }

    /// True once the result has come, also when it was taken.
    pub(crate) fn is_kept(&self) -> bool {
        !matches!(*self.state.lock(), State::Open(_))
    }

    /// Blocks the thread until the result is there, and takes it. Panics if it was taken before.
    pub(crate) fn wait(&self) -> T {
        let mut state = self.state.lock();
        while let State::Open(_) = *state {
            self.kept.wait(&mut state);
        }
        take(state)
    }

    /// Takes the result, or has the waker called when it comes. Panics if it was taken before.
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<T> {
        let state = self.state.lock();
        match &*state {
            State::Open(Some(known)) if known.will_wake(cx.waker()) => return Poll::Pending,
            State::Open(_) => drop(state),
            State::Kept(_) | State::Taken => return Poll::Ready(take(state)),
        }
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        if let State::Open(known) = &mut *state {
            let before = known.replace(waker);
            drop(state);
            drop(before);
            return Poll::Pending;
        }
        // It came meanwhile. The waker goes first: if that panics, the result is still there.
        drop(state);
        drop(waker);
        Poll::Ready(take(self.state.lock()))
    }
}

/// Of one that is kept.
fn take<T>(mut state: MutexGuard<'_, State<T>>) -> T {
    let before = mem::replace(&mut *state, State::Taken);
    drop(state);
    match before {
        State::Kept(result) => result,
        State::Open(_) | State::Taken => {
            panic!("the result of this join handle was taken already: it gives it once")
        }
    }
}
