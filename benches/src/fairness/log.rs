//! Waiting times as they come, readable while the processes that write them are stuck.

use std::sync::{Mutex, MutexGuard};
use std::time::Instant;

/// The log of one process, which the host thread closes.
#[derive(Debug, Default)]
pub(super) struct Log(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    closed: bool,
    waits: Waits,
}

/// What a log has when it is closed.
#[derive(Debug, Default)]
pub(super) struct Waits {
    /// Waits that were over, in nanoseconds.
    pub(super) served: Vec<u64>,
    /// When the wait began that was not over.
    pub(super) pending: Option<Instant>,
}

impl Log {
    fn open(&self) -> Option<MutexGuard<'_, State>> {
        let state = self.0.lock().expect("nothing panics under this lock");
        (!state.closed).then_some(state)
    }

    /// A wait begins.
    pub(super) fn begin(&self, at: Instant) {
        if let Some(mut state) = self.open() {
            state.waits.pending = Some(at);
        }
    }

    /// A wait is over.
    pub(super) fn served(&self, nanoseconds: u64) {
        if let Some(mut state) = self.open() {
            state.waits.pending = None;
            state.waits.served.push(nanoseconds);
        }
    }

    /// Takes what there is; what comes later is ignored.
    pub(super) fn close(&self) -> Waits {
        let mut state = self.0.lock().expect("nothing panics under this lock");
        state.closed = true;
        std::mem::take(&mut state.waits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_log_takes_no_more() {
        let log = Log::default();
        let began = Instant::now();
        log.begin(began);
        log.served(7);
        log.begin(began);
        let waits = log.close();
        assert_eq!((waits.served, waits.pending), (vec![7], Some(began)));
        log.served(8);
        assert!(log.close().served.is_empty());
    }
}
