//! How a worker waits: for something to do, and offline.
//!
//! It *looks on* first, awake and for some microseconds, if another is busy: processes that ask each other across two
//! cores leave one of them without work for less time than a sleep and a wake-up take. Where that has not paid of late
//! (what is busy makes work for itself alone, or the work comes from sockets) it sleeps at once, and tries again now
//! and then. An idle VM never looks on.

use std::cell::Cell;

use super::{Local, REDUCTIONS_BETWEEN_LOOKS};
use crate::driver::Wait;
use crate::idle::Place;
use crate::microstates::State;

/// An idle worker wakes for timers no more often: a wake-up costs 10 us, and timers that are spread out evenly would
/// take half a core at 20 us each. So much later a timer may be that follows another closely.
const TIMER_WAKES_APART_NS: u64 = 50_000;

/// So long a worker looks on: about what a wake-up costs both threads, so that one in vain costs no more than the sleep
/// that follows it. Beside other busy programs, gen_servers that two clients start under two supervisors took 4.0 us
/// each without, 2.5 with 10 us, 2.4 with 20 and with 50; on a quiet machine nothing was lost or won.
const LOOK_ON_NS: u64 = 20_000;

/// Pauses of the core between two looks at the queues.
const PAUSES: u32 = 8;

/// Whether it pays to look on: falls with each time, and rises by more where a task was stolen next.
#[derive(Debug)]
pub(super) struct Hope {
    earned: Cell<u8>,
    looked: Cell<bool>,
    passed: Cell<u8>,
}

/// At most so many times in vain, one after the other.
const MOST_EARNED: u8 = 8;

/// Without hope, one rest in so many looks on all the same.
const RESTS_WITHOUT_HOPE: u8 = 32;

impl Default for Hope {
    fn default() -> Hope {
        Hope {
            earned: Cell::new(MOST_EARNED),
            looked: Cell::new(false),
            passed: Cell::new(0),
        }
    }
}

impl Hope {
    fn is_worth_a_look(&self) -> bool {
        match self.earned.get().checked_sub(1) {
            Some(left) => self.earned.set(left),
            None => {
                let passed = (self.passed.get() + 1) % RESTS_WITHOUT_HOPE;
                self.passed.set(passed);
                if passed != 0 {
                    return false;
                }
            }
        }
        self.looked.set(true);
        true
    }

    /// A task was stolen, perhaps after a look.
    pub(super) fn pays(&self) {
        if self.looked.replace(false) {
            self.earned.set(MOST_EARNED.min(self.earned.get() + 2));
        }
    }

    /// The search is over: the worker sleeps, or has found what was not stolen.
    pub(super) fn ends(&self) {
        self.looked.set(false);
    }
}

impl Local {
    /// Found nothing: waits for an event, for a call, or for the end of a bound thread's turn. See `idle.rs`.
    pub(super) fn rest(&self) {
        let core = &self.core;
        let host = self.host();
        if host.is_none() && self.searching.get() && self.looks_on() {
            return;
        }
        self.hope.ends();
        self.wait(host.unwrap_or(u64::MAX), || core.has_work());
        self.turns.limit_credit();
    }

    /// True: there may be something to take. The worker searches meanwhile, so nobody is woken for what it will see.
    fn looks_on(&self) -> bool {
        let core = &self.core;
        // The last one awake must attend to sockets and timers. And where there are more workers than cores, those who
        // look on take them from those who work: one is enough.
        let may_look = || core.idle.count() + 1 < core.online.count() && core.idle.searching() == 1;
        if !may_look() || !self.hope.is_worth_a_look() {
            return false;
        }
        // As a sleep would be, which it may be instead of, for who reads the figures or a clock that is not looked at.
        let began = core.clock.now();
        self.enter(State::Idle, began);
        let mut now = began;
        let mut found = false;
        while !found && may_look() && now < began + LOOK_ON_NS {
            for _ in 0..PAUSES {
                std::hint::spin_loop();
            }
            found = core.has_work() || core.is_stopping();
            now = core.clock.now();
        }
        self.enter(State::Busy, now);
        self.turns.skip_to(now);
        self.coarse_now.set(now);
        found
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::builder::Settings;
    use crate::core::Core;
    use crate::pins::Pins;
    use crate::run_queue::RunQueue;

    /// One of two, which searches. The other never sleeps, and there are no threads.
    fn worker() -> Local {
        let queues = [RunQueue::new(), RunQueue::new()];
        let stealers = queues.iter().map(RunQueue::stealers).collect();
        let settings = Settings::of_simulation("test".to_owned());
        let core = Core::new(stealers, settings, Pins::default(), None);
        let core = Arc::new(core.expect("descriptors are to be had"));
        let [queue, _] = queues;
        let local = Local::new(Arc::clone(&core), 0, queue);
        core.idle.search();
        local.searching.set(true);
        local.enter(State::Busy, core.clock.now());
        local
    }

    #[test]
    fn a_look_is_idle_time_after_which_the_clock_has_been_read() {
        let local = worker();
        let core = &local.core;
        let wall_time = || local.remote().counters.time.read(|| core.clock.now());
        let before = wall_time();
        assert!(!local.looks_on(), "there is nothing");
        let looked_for = wall_time().since(before).idle;
        assert!(looked_for.as_nanos() >= LOOK_ON_NS.into(), "{looked_for:?}");
        assert!(local.remote().counters.time.is_busy());
        core.stop();
        let begun = core.clock.now();
        assert!(local.looks_on(), "it is the end");
        assert!(local.coarse_now() >= begun);
        assert!(local.remote().counters.time.is_busy());
    }

    #[test]
    fn nobody_looks_on_who_is_the_last_awake_or_beside_another_that_searches() {
        let local = worker();
        let core = &local.core;
        core.stop();
        core.idle.search();
        assert!(!local.looks_on(), "another searches");
        core.idle.end_search();
        core.idle.enter(1, 2, false, false);
        assert!(!local.looks_on(), "the other sleeps");
        core.idle.leave(1);
        core.idle.go_offline(2, false);
        core.online.set(core, 1).unwrap();
        assert!(!local.looks_on(), "the other is offline");
        assert_eq!(
            local.hope.earned.get(),
            MOST_EARNED,
            "none has cost anything"
        );
        core.idle.come_online();
        core.online.set(core, 2).unwrap();
        assert!(local.looks_on());
    }

    fn looks(hope: &Hope, rests: usize) -> usize {
        let in_vain = |_: &usize| {
            let looks = hope.is_worth_a_look();
            hope.ends();
            looks
        };
        (0..rests).filter(in_vain).count()
    }

    #[test]
    fn who_looks_on_in_vain_soon_sleeps_at_once_and_tries_again_now_and_then() {
        let hope = Hope::default();
        assert_eq!(looks(&hope, 100), usize::from(MOST_EARNED) + 2);
        assert_eq!(looks(&hope, 10 * usize::from(RESTS_WITHOUT_HOPE)), 10);
    }

    #[test]
    fn a_task_that_is_stolen_after_a_look_pays_for_the_next() {
        let hope = Hope::default();
        looks(&hope, 100);
        while !hope.is_worth_a_look() {}
        hope.pays();
        assert_eq!(looks(&hope, usize::from(RESTS_WITHOUT_HOPE) - 1), 2);
        hope.pays();
        assert!(
            !hope.is_worth_a_look(),
            "what is stolen after a sleep pays for none"
        );
    }
}
