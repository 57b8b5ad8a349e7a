//! How a worker waits: for something to do, and offline.

use super::{Local, REDUCTIONS_BETWEEN_LOOKS};
use crate::driver::Wait;
use crate::idle::Place;
use crate::microstates::State;

/// An idle worker wakes for timers no more often: a wake-up costs 10 us, and timers that are spread out evenly would
/// take half a core at 20 us each. So much later a timer may be that follows another closely.
const TIMER_WAKES_APART_NS: u64 = 50_000;

impl Local {
    /// Found nothing: waits for an event, for a call, or for the end of a bound thread's turn. See `idle.rs`.
    pub(super) fn rest(&self) {
        let core = &self.core;
        let until = self.host().unwrap_or(u64::MAX);
        self.wait(until, || core.has_work());
        self.turns.limit_credit();
    }

    /// Waits for an event or a call, but not if there is `something` already, and at most until `until`.
    pub(super) fn wait(&self, until: u64, something: impl Fn() -> bool) {
        let core = &self.core;
        self.waiting_since.set(0);
        self.remote().told.set_resting(true);
        let now = core.clock.now();
        let late = core.is_late(now);
        let was_searching = self.searching.replace(false);
        let place = core
            .idle
            .enter(self.index, core.remotes.len(), was_searching, late);
        if core.is_stopping() || !self.is_online() || something() {
            if !core.idle.leave(self.index) {
                core.idle.search();
            }
            self.searching.set(true);
            self.remote().told.set_resting(false);
            // It may have seen all idle, and fallen asleep.
            core.monitor.wake();
            self.turns.skip_to(core.clock.now());
            return;
        }
        self.remote().counters.parks.add(1);
        let state = if self.turns.has_guest() {
            State::Hosting
        } else {
            State::Idle
        };
        self.enter(state, now);
        let timer = match place {
            Place::Attendant => {
                let next = self.fired_at.get() + TIMER_WAKES_APART_NS;
                core.driver.arm(core.next_deadline().max(next).min(until));
                self.poll(Wait::Attend).timer
            }
            Place::Sleeper => {
                let limit = until.saturating_sub(core.clock.now());
                self.remote().told.await_call(limit);
                false
            }
        };
        let now = core.clock.now();
        self.turns.skip_to(now);
        if place == Place::Attendant {
            core.driver.set_polled(now);
        }
        self.searching.set(core.idle.leave(self.index));
        self.remote().told.set_resting(false);
        core.monitor.wake();
        self.coarse_now.set(now);
        self.until_look.set(REDUCTIONS_BETWEEN_LOOKS);
        if timer {
            self.fire_all();
            self.enter(State::Busy, core.clock.now());
        } else {
            self.enter(State::Busy, now);
        }
    }

    /// Leaves everything to the other workers, and sleeps until it is online again, or it is the end. See `online.rs`.
    #[cold]
    pub(super) fn stay_offline(&self) {
        let core = &self.core;
        self.end_turn(core.clock.now());
        self.queue_run_next();
        self.queue.move_to(&core.injectors);
        core.note_if_urgent();
        self.waiting_since.set(0);
        self.remote().told.set_resting(true);
        let was_searching = self.searching.replace(false);
        if let Some(sleeper) = core.idle.go_offline(core.remotes.len(), was_searching) {
            core.remotes[sleeper].told.call();
        }
        if core.has_work() {
            self.wake_another();
        }
        self.enter(State::Idle, core.clock.now());
        while !self.is_online() && !core.is_stopping() {
            self.remote().told.await_call(u64::MAX);
        }
        self.enter(State::Busy, core.clock.now());
        core.idle.come_online();
        self.remote().told.set_resting(false);
        core.monitor.wake();
        let now = core.clock.now();
        self.turns.skip_to(now);
        self.coarse_now.set(now);
    }
}
