//! What the tests share: a scheduler, and waits that fail instead of hanging.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use otp_scheduler::Scheduler;

/// Long enough for a machine under load; only a failing test waits so long.
pub const LIMIT: Duration = Duration::from_secs(30);

#[allow(dead_code, reason = "some build their own")]
pub fn scheduler(schedulers: usize) -> Scheduler {
    Scheduler::builder()
        .schedulers(schedulers)
        .name("test")
        .build()
        .expect("worker threads start")
}

/// The next value of a channel; fails when none comes.
#[allow(dead_code, reason = "not every test file waits on a channel")]
pub fn next<T>(receiver: &Receiver<T>) -> T {
    match receiver.recv_timeout(LIMIT) {
        Ok(value) => value,
        Err(RecvTimeoutError::Timeout) => panic!("nothing happened within {LIMIT:?}"),
        Err(RecvTimeoutError::Disconnected) => panic!("the sender went without a word"),
    }
}
