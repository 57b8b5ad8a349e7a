//! Both sides of a link, as each process keeps its own.
//!
//! # Protocol
//! 1. `link` makes the own entry and sends a link signal; its receiver makes the other.
//! 2. `unlink` turns the own entry into one that is being *taken back*, under a number, and sends the number. It is no
//!    link any more: an exit signal of it is dropped. But until the number comes back, a link signal of the other side
//!    is ignored, since the unlink signal follows it there and ends what it meant.
//! 3. Who gets an unlink signal removes its link, if there is one, and sends the number back in any case. An entry that
//!    it is taking back itself stays: that is the other number's.
//! 4. The number that comes back removes the entry, if the entry is still that number's. `link` in between makes a link
//!    of the entry again and sends a new signal, which comes behind the unlink signal.
//!
//! So whatever both sides do at once, they agree when all signals have arrived. Without the number the unlink signal of
//! one side could take away a link that the other has made anew.

use otp_heap::{Pid, Ref};

use super::State;
use crate::core::Core;
use crate::envelope::{self, Kind};
use crate::exit_reason::ExitReason;

impl State {
    /// Makes the own side of a link. Whether the other side is to be told.
    pub(crate) fn link(&mut self, pid: Pid) -> bool {
        if self.links.insert(pid, ()).is_some() {
            return false;
        }
        if let Some(rare) = &mut self.rare {
            rare.unlinking.remove(&pid);
        }
        true
    }

    /// Takes the own side of a link back, under a number. Whether the other side is to be told.
    pub(crate) fn unlink(&mut self, pid: Pid, number: Ref) -> bool {
        let was_linked = self.links.remove(&pid).is_some();
        if was_linked {
            self.rare().unlinking.insert(pid, number);
        }
        was_linked
    }

    /// A number has come back, or never will.
    pub(crate) fn unlinked(&mut self, pid: Pid, number: Ref) {
        if let Some(rare) = &mut self.rare
            && rare.unlinking.get(&pid).copied() == Some(number)
        {
            rare.unlinking.remove(&pid);
            self.shed_rare();
        }
    }

    /// A link signal has come. Whether it made a link.
    pub(super) fn linked_from(&mut self, pid: Pid) -> bool {
        !self.is_unlinking(pid) && self.links.insert(pid, ()).is_none()
    }

    pub(super) fn is_linked(&self, pid: Pid) -> bool {
        self.links.get(&pid).is_some()
    }

    pub(super) fn is_unlinking(&self, pid: Pid) -> bool {
        let rare = self.rare.as_ref();
        rare.is_some_and(|rare| rare.unlinking.get(&pid).is_some())
    }
}

/// Answers a link signal for a process that has ended, or is about to.
pub(super) fn refuse_link(core: &Core, pid: Pid, from: Pid) {
    let exit = envelope::exit(Kind::LinkExit, pid, &ExitReason::noproc());
    core.signal(from, exit);
}

/// Sends the number of an unlink signal back.
pub(super) fn acknowledge_unlink(core: &Core, pid: Pid, from: Pid, number: Ref) {
    core.signal(from, envelope::signal(Kind::UnlinkAck, pid, number));
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// Two processes, and what each has sent and the other not yet seen.
    #[derive(Default)]
    struct Pair {
        states: [State; 2],
        sent: [VecDeque<(Kind, Ref)>; 2],
        numbers: u64,
    }

    const PIDS: [Pid; 2] = [Pid::from_parts(1, 1), Pid::from_parts(2, 1)];

    impl Pair {
        fn number(&mut self) -> Ref {
            self.numbers += 1;
            Ref::from_u64(self.numbers)
        }

        fn act(&mut self, side: usize, links: bool) {
            let number = self.number();
            let (state, other) = (&mut self.states[side], PIDS[1 - side]);
            if links && state.link(other) {
                self.sent[side].push_back((Kind::Link, number));
            }
            if !links && state.unlink(other, number) {
                self.sent[side].push_back((Kind::Unlink, number));
            }
        }

        /// Lets a side see one signal. False if there is none.
        fn see(&mut self, side: usize) -> bool {
            let Some((kind, number)) = self.sent[1 - side].pop_front() else {
                return false;
            };
            let (state, other) = (&mut self.states[side], PIDS[1 - side]);
            match kind {
                Kind::Link => {
                    state.linked_from(other);
                }
                Kind::Unlink => {
                    state.links.remove(&other);
                    self.sent[side].push_back((Kind::UnlinkAck, number));
                }
                _ => state.unlinked(other, number),
            }
            true
        }

        fn agree(&self) -> bool {
            let [a, b] = &self.states;
            let unlinking = a.is_unlinking(PIDS[1]) || b.is_unlinking(PIDS[0]);
            a.is_linked(PIDS[1]) == b.is_linked(PIDS[0]) && !unlinking
        }
    }

    /// All sequences of so many steps: each side links, unlinks, or sees a signal.
    #[test]
    fn both_sides_agree_after_every_interleaving() {
        const STEPS: u32 = 8;
        for mut code in 0..6_u32.pow(STEPS) {
            let mut pair = Pair::default();
            for _ in 0..STEPS {
                let (side, step) = ((code % 2) as usize, code / 2 % 3);
                code /= 6;
                match step {
                    0 => pair.act(side, true),
                    1 => pair.act(side, false),
                    _ => drop(pair.see(side)),
                }
            }
            while pair.see(0) || pair.see(1) {}
            assert!(pair.agree());
        }
    }
}
