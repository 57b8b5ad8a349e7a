//! Turns of bound threads (`bound.rs`), which a worker gives between slices and while it has nothing to run.
//!
//! Virtual time decides whose turn it is, the queue's or that of a bound thread: each advances by what it used, divided
//! by the number that share in it. Who was idle is behind, and goes first, but not for longer than a credit.

use std::cell::Cell;

use super::Local;
use crate::bound::Among;
use crate::slot::Slot;
use crate::unusual::Matter;

/// A turn of a bound thread.
const TURN_NS: u64 = 1_000_000;

/// So far behind the bound threads, in virtual time, a queue may be that was empty.
const CREDIT_NS: u64 = 1_000_000;

/// For so many turns of bound threads at most the queue waits, even if one of its tasks had a very long slice: the
/// others in it are not to blame.
const DEBT_TURNS: u64 = 4;

/// Tasks that come from waiting go before bound threads until the queue is so many of their turns ahead. Less than
/// [`DEBT_TURNS`], or they would for ever.
const WOKEN_TURNS: u64 = 2;

#[derive(Debug)]
pub(super) struct Turns {
    /// The bound thread that has its turn, and since when.
    guest: Cell<Option<&'static Slot>>,
    began: Cell<u64>,
    /// Virtual times of the queue and of the bound threads, and when the former was last brought up to date.
    queue_time: Cell<u64>,
    bound_time: Cell<u64>,
    seen: Cell<u64>,
}

impl Turns {
    pub(super) fn new(now: u64) -> Turns {
        Turns {
            guest: Cell::new(None),
            began: Cell::new(0),
            queue_time: Cell::new(0),
            bound_time: Cell::new(0),
            seen: Cell::new(now),
        }
    }

    pub(super) fn has_guest(&self) -> bool {
        self.guest.get().is_some()
    }

    /// The guest, if there is one, keeps its gate open: it is the end.
    pub(super) fn forget_guest(&self) {
        self.guest.set(None);
    }

    /// The time before `now` was not the queue's.
    pub(super) fn skip_to(&self, now: u64) {
        self.seen.set(now);
    }

    /// The time before `now` was that of a queue of so many tasks, whose debt has a limit.
    fn charge_queue(&self, now: u64, tasks: u64, debt: u64) {
        let used = (now - self.seen.replace(now)) / tasks;
        let latest = self.bound_time.get() + debt;
        self.queue_time
            .set((self.queue_time.get() + used).min(latest));
    }

    fn charge_bound(&self, used: u64) {
        self.bound_time.set(self.bound_time.get() + used);
    }

    /// The queue was empty: what it has saved up is bounded.
    pub(super) fn limit_credit(&self) {
        let earliest = self.bound_time.get().saturating_sub(CREDIT_NS);
        self.queue_time.set(self.queue_time.get().max(earliest));
    }

    /// What the queue has had more than the bound threads.
    fn queue_is_ahead(&self) -> u64 {
        self.queue_time.get().saturating_sub(self.bound_time.get())
    }

    fn end(&self) -> u64 {
        self.began.get() + TURN_NS
    }
}

impl Local {
    /// Between slices, while there are bound threads: gives turns to them, and ends them.
    #[cold]
    pub(super) fn take_turns(&self) {
        let core = &self.core;
        let (bound, turns) = (&core.bound, &self.turns);
        let now = core.clock.now();
        let turn = TURN_NS / bound.sharing(core.online.count());
        turns.charge_queue(now, self.queue.len() as u64 + 1, DEBT_TURNS * turn);
        if let Some(slot) = turns.guest.get()
            && (now >= turns.end() || !bound.has_turn(slot, self.index))
        {
            self.go_on_or_end_turn(slot, now);
        }
        if self.queue.is_empty() || self.run_next_is_some() {
            // Whatever there is runs at once, or the worker rests, and gives a turn meanwhile.
            return;
        }
        let ahead = turns.queue_is_ahead();
        let is_pressing = || {
            (core.unusual.has(Matter::Urgent) && self.queue.has_urgent(&core.injectors))
                || (ahead <= WOKEN_TURNS * turn && self.queue.has_woken(&core.injectors))
        };
        let waits = match turns.guest.get() {
            Some(slot) => (ahead > 0 || slot.gate().bound.is_new()) && !is_pressing(),
            None if ahead > 0 => !is_pressing() && self.begin_turn(Among::Waiting),
            None => bound.has_new() && !is_pressing() && self.begin_turn(Among::New),
        };
        if waits {
            self.wait(turns.end(), is_pressing);
        }
    }

    /// Found nothing to run: gives a turn, if anybody wants one. When that is over.
    pub(super) fn host(&self) -> Option<u64> {
        (self.turns.has_guest() || self.begin_turn(Among::All)).then(|| self.turns.end())
    }

    fn begin_turn(&self, among: Among) -> bool {
        let bound = &self.core.bound;
        if bound.ready() == 0 && !(among == Among::All && bound.has_condemned()) {
            return false;
        }
        let Some(slot) = bound.begin_turn(self.index, among) else {
            return false;
        };
        self.turns.guest.set(Some(slot));
        self.remote().told.set_hosting(true);
        self.turns.began.set(self.core.clock.now());
        true
    }

    fn go_on_or_end_turn(&self, slot: &'static Slot, now: u64) {
        let bound = &self.core.bound;
        let lasted = now.saturating_sub(self.turns.began.get());
        self.turns
            .charge_bound(lasted / bound.sharing(self.core.online.count()));
        let nothing_else = !self.run_next_is_some() && !self.core.has_work();
        if bound.extend_turn(slot, self.index, lasted, nothing_else) {
            self.turns.began.set(now);
        } else {
            self.end_turn(now);
        }
    }

    /// Ends the turn that it gives, if it gives one.
    pub(super) fn end_turn(&self, now: u64) {
        if let Some(slot) = self.turns.guest.take() {
            self.remote().told.set_hosting(false);
            let lasted = now.saturating_sub(self.turns.began.get());
            self.core.bound.end_turn(slot, self.index, lasted);
        }
    }
}
