//! What a busy worker looks at now and then: the clock, timers, sockets, and how long the others' queues are.

use std::sync::atomic::Ordering;

use super::{Local, REDUCTIONS_BETWEEN_LOOKS};
use crate::core::Remote;
use crate::driver::{Polled, Wait};
use crate::microstates::State;
use crate::panics::quietly;
use crate::unusual::Matter;

/// Busy workers poll for sockets no more often, together: a poll costs 300 ns, this bounds it to under 2 % of a core.
const POLL_INTERVAL_NS: u64 = 20_000;

/// Busy workers compare their queues no more often. Half the difference moves at a time, so a few rounds even out
/// whatever came about; more often would only move tasks away from their caches. Chosen by feel: a slice of the clock.
const BALANCE_INTERVAL_NS: u64 = 1_000_000;

/// Timers of another busy worker are left to it for so long after their deadline; then it is taken to be in a long
/// slice.
const OTHERS_TIMERS_NS: u64 = 50_000;

impl Local {
    /// What a busy worker does now and then.
    #[cold]
    pub(super) fn look(&self) {
        self.until_look.set(REDUCTIONS_BETWEEN_LOOKS);
        self.remote().told.look.store(false, Ordering::Relaxed);
        let now = self.core.clock.now();
        self.coarse_now.set(now);
        let mut polls = false;
        for (index, remote) in self.core.remotes.iter().enumerate() {
            let grace = if index == self.index || remote.told.asleep.load(Ordering::Relaxed) {
                0
            } else {
                OTHERS_TIMERS_NS
            };
            if remote.timers.next().saturating_add(grace) <= now {
                polls = true;
                self.enter(State::Polling, now);
                self.fire_due(remote);
            }
        }
        if now.saturating_sub(self.balanced_at.get()) >= BALANCE_INTERVAL_NS {
            self.balanced_at.set(now);
            self.balance();
        }
        let core = &self.core;
        core.unusual.settle(Matter::Urgent, || core.has_urgent());
        let driver = &core.driver;
        if !self.core.idle.is_attended() && driver.is_unpolled(now, POLL_INTERVAL_NS) {
            driver.set_polled(now);
            polls = true;
            self.enter(State::Polling, now);
            self.poll(Wait::No);
        }
        if polls {
            self.enter(State::Busy, self.core.clock.now());
        }
    }

    /// Takes tasks from workers that have over twice as many. Stealing alone evens out nothing among workers that never
    /// run dry: one could serve nine endless tasks and another one.
    fn balance(&self) {
        for (index, remote) in self.core.remotes.iter().enumerate() {
            if index != self.index && self.queue.balance(&remote.stealers) {
                self.remote().counters.steals.add(1);
                self.core.note_if_urgent();
                return;
            }
        }
    }

    pub(super) fn poll(&self, wait: Wait) -> Polled {
        let mut wakers = self.wakers.take();
        let polled = self.core.driver.poll(wait, &mut wakers);
        if wait == Wait::Attend {
            self.enter(State::Polling, self.core.clock.now());
        }
        let counters = &self.remote().counters;
        counters.events.add(polled.events);
        for waker in wakers.drain(..) {
            // A waker may be anybody's.
            if !quietly("a waker", || waker.wake()) {
                counters.panics.add(1);
            }
        }
        self.wakers.replace(wakers);
        polled
    }

    /// Fires what is due in all wheels, and arms the descriptor again for those who still wait.
    pub(super) fn fire_all(&self) {
        let now = self.core.clock.now();
        self.fired_at.set(now);
        for remote in &self.core.remotes {
            if remote.timers.next() <= now {
                self.fire_due(remote);
            }
        }
        if self.core.idle.is_attended() {
            self.core.driver.arm(self.core.next_deadline());
        }
    }

    /// Fires what is due in one wheel, up to a limit; the rest at the next look.
    fn fire_due(&self, remote: &Remote) {
        let now = self.core.clock.now();
        let mut due = self.due.take();
        if remote.timers.take_due(now, &mut due) {
            self.until_look.set(0);
        }
        let counters = &self.remote().counters;
        counters.timers_fired.add(due.len() as u64);
        for (_, fire) in due.drain(..) {
            if !quietly("a timer", || fire.fire(now)) {
                counters.panics.add(1);
            }
        }
        self.due.replace(due);
    }
}
