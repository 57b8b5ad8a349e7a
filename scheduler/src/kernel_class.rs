//! Which class of the kernel's bound threads are in: the normal one, or the idle one, which leaves the cores to
//! everyone else.

use crate::gate::Gate;

/// Turns before a bound thread is put into the kernel's idle class. Until then a scheduler that wakes may wait for it,
/// up to a tick of the kernel's clock (4 ms).
const TURNS_BEFORE_DEMOTION: u32 = 1;

/// The same where a thread does not come out of that class again and is lost for schedulers.
const TURNS_BEFORE_DEMOTION_FOR_EVER: u32 = 10;

/// How much of what was offered to demoted threads is remembered, and how much it must be before it tells anything.
const OFFERED_REMEMBERED_NS: u64 = 1_000_000_000;
const OFFERED_AT_LEAST_NS: u64 = 20_000_000;

/// Time in turns after which it is forgotten that the idle class starved.
const STARVED_REMEMBERED_NS: u64 = 2_000_000_000;

/// What the kernel shall make of the threads that are bound to tasks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Policy {
    /// The idle class after a turn behind the gate, so that schedulers that wake run at once; but no more of them while
    /// those get less than half of the CPU that their turns offer, since other programs want it.
    #[default]
    Auto,
    /// The idle class from the first turn on. For machines that run nothing else.
    Idle,
    /// The class of all other threads. A scheduler that wakes may wait for a tick of the kernel's clock.
    Normal,
}

/// Puts threads into the idle class, and takes them out of it. Under the lock of the bound threads.
#[derive(Debug)]
pub(crate) struct KernelClass {
    policy: Policy,
    record: Record,
    /// A thread that was demoted could not come back.
    no_way_back: bool,
}

impl KernelClass {
    pub(crate) fn new(policy: Policy) -> KernelClass {
        KernelClass {
            policy,
            record: Record::default(),
            no_way_back: false,
        }
    }

    /// After a turn of a thread: demotes it if it has had enough of them, or takes it back where demoted ones starve.
    pub(crate) fn after_turn(&mut self, gate: &Gate, lasted_ns: u64, used_ns: u64) {
        if gate.bound.is_demoted() {
            self.record.offer(lasted_ns, used_ns);
            if self.policy == Policy::Auto && self.record.starves() {
                self.promote(gate);
            }
        } else if self.shall_demote(gate.bound.turns(), lasted_ns) {
            demote(gate);
        }
    }

    fn shall_demote(&mut self, turns: u32, lasted_ns: u64) -> bool {
        let turns_before = if self.no_way_back {
            TURNS_BEFORE_DEMOTION_FOR_EVER
        } else {
            TURNS_BEFORE_DEMOTION
        };
        match self.policy {
            Policy::Normal => false,
            Policy::Idle => true,
            Policy::Auto if self.record.starves() => {
                self.record.forget_in_time(lasted_ns);
                false
            }
            Policy::Auto => turns >= turns_before,
        }
    }

    /// Out of the idle class, if there is a way.
    pub(crate) fn promote(&mut self, gate: &Gate) {
        if gate.promote() {
            gate.bound.forget();
        } else {
            self.no_way_back = true;
        }
    }

    /// For one that nobody waits for any more.
    pub(crate) fn demote_for_good(&self, gate: &Gate) {
        if self.policy != Policy::Normal && !gate.bound.is_demoted() {
            demote(gate);
        }
    }
}

fn demote(gate: &Gate) {
    gate.demote();
    gate.bound.set_demoted();
}

/// What the kernel made of the turns of demoted threads, in nanoseconds: of the last second or so.
#[derive(Debug, Default)]
struct Record {
    offered: u64,
    used: u64,
    /// Turns of those that were not demoted since the idle class starves.
    since_starved: u64,
}

impl Record {
    /// A turn of a demoted thread.
    fn offer(&mut self, lasted: u64, used: u64) {
        self.offered += lasted;
        self.used += used;
        if self.offered > OFFERED_REMEMBERED_NS {
            self.offered /= 2;
            self.used /= 2;
        }
    }

    /// Beside other busy programs the idle class starves. Then it does not get any more of ours, and gives back those
    /// that it has.
    fn starves(&self) -> bool {
        2 * self.used < self.offered.saturating_sub(OFFERED_AT_LEAST_NS)
    }

    /// A turn of a thread that is not demoted. The others may have ended meanwhile: after so much time in turns the
    /// idle class is tried anew.
    fn forget_in_time(&mut self, lasted: u64) {
        self.since_starved += lasted;
        if self.since_starved >= STARVED_REMEMBERED_NS {
            *self = Record::default();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const TURN: u64 = 1_000_000;

    fn auto() -> KernelClass {
        KernelClass::new(Policy::Auto)
    }

    /// Turns in which the kernel ran something else instead.
    fn starve(class: &mut KernelClass) {
        while !class.record.starves() {
            class.record.offer(TURN, 0);
        }
    }

    #[test]
    fn the_idle_class_comes_with_the_policy_and_after_a_turn() {
        let demotes = |policy, turns| KernelClass::new(policy).shall_demote(turns, TURN);
        assert!(!demotes(Policy::Auto, 0) && demotes(Policy::Auto, 1));
        assert!(demotes(Policy::Idle, 0));
        assert!(!demotes(Policy::Normal, 1000));
    }

    #[test]
    fn where_there_is_no_way_back_it_comes_later() {
        let mut class = auto();
        class.no_way_back = true;
        assert!(!class.shall_demote(9, TURN) && class.shall_demote(10, TURN));
    }

    #[test]
    fn half_of_what_is_offered_is_enough() {
        let mut record = Record::default();
        for _ in 0..10_000 {
            record.offer(TURN, TURN / 2);
            assert!(!record.starves());
        }
    }

    #[test]
    fn one_that_starves_takes_nobody_in_and_is_tried_again_later() {
        let mut class = auto();
        starve(&mut class);
        assert!(class.record.offered <= OFFERED_AT_LEAST_NS + TURN);
        let turns = (1..).take_while(|_| !class.shall_demote(1, TURN)).count();
        assert_eq!(turns as u64, STARVED_REMEMBERED_NS / TURN);
    }

    #[test]
    fn what_was_long_ago_weighs_little() {
        let mut record = Record::default();
        for _ in 0..100_000 {
            record.offer(TURN, TURN);
        }
        let until_starved = (0..).take_while(|_| {
            record.offer(TURN, 0);
            !record.starves()
        });
        assert!(until_starved.count() as u64 <= 2 * OFFERED_REMEMBERED_NS / TURN);
    }
}
